//! Other people's software reads the tiles of the sample city: CesiumJS in a browser, the glTF validator.
//!
//! `web/package.json` names their versions; `.ci/setup test` installs them outside the clone. Nothing else of Groundline needs them.

mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use common::{Server, run_json, sample_city, text};
use serde_json::{Value, json};

/// The city's system for proj4, which knows no EPSG codes by itself.
const EPSG_4549: &str = "+proj=tmerc +lat_0=0 +lon_0=120 +k=1 +x_0=500000 +y_0=0 +ellps=GRS80 +units=m +no_defs";
/// Around each of these places of the city one thing of each kind is measured.
const PLACES: [&str; 3] = ["534600,3993000", "536300,3994300", "535400,3993600"];
const ALLOWED_M: f64 = 0.01;

/// The sample city, made once for all tests of this file in a folder that the next run replaces.
static CITY: LazyLock<PathBuf> = LazyLock::new(|| sample_city(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("cesium")));

/// What CesiumJS finds in the city, asked once.
static FOUND: LazyLock<Value> = LazyLock::new(|| {
    let server = Server::start(&CITY);
    let folder = CITY.parent().unwrap();
    let questions = folder.join("questions.json");
    std::fs::write(&questions, json!({ "proj": EPSG_4549, "things": *THINGS }).to_string()).unwrap();
    judge("cesium.mjs", &[server.http(), text(&questions), text(&picture())])
});

/// The browser's last view: the whole city, or what was there when it failed.
fn picture() -> PathBuf {
    CITY.with_file_name("cesium.png")
}

/// Runs one of the drivers in `web/` and returns what it said.
fn judge(script: &str, args: &[&str]) -> Value {
    let folder = std::env::var_os("GROUNDLINE_WEB").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache/groundline/web"),
        PathBuf::from,
    );
    assert!(folder.join("node_modules").is_dir(), "{} has no node_modules: run .ci/setup test", folder.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web").join(script);
    let output = Command::new("node").arg(script).args(args).env("GROUNDLINE_WEB", folder).output();
    let output = output.expect("node starts (Debian package nodejs)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("an array: {value:#}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value:#}"))
}

/// The layers of the city that have tiles.
fn tiled_layers() -> Vec<Value> {
    let (_, info) = run_json(&["info", text(&CITY)]);
    array(&info["layers"]).iter().filter(|l| l["tiles"].as_u64() > Some(0)).cloned().collect()
}

/// Objects that a query finds: each with the city's coordinates and with longitude and latitude.
fn query(question: &[&str]) -> Vec<(Value, Value)> {
    let ask = |more: &[&str]| {
        let (code, answer) = run_json(&[&["query", text(&CITY)][..], question, more].concat());
        assert_eq!(code, 0, "{answer:#}");
        array(&answer["features"]).to_vec()
    };
    ask(&[]).into_iter().zip(ask(&["--lonlat"])).collect()
}

/// Points of an object's line, or of its outer ring.
fn points(feature: &Value) -> Vec<Vec<f64>> {
    let coordinates = &feature["geometry"]["coordinates"];
    let list = match feature["geometry"]["type"].as_str() {
        Some("Point") => std::slice::from_ref(coordinates),
        Some("Polygon") => array(&coordinates[0]),
        Some("MultiPolygon") => array(&coordinates[0][0]),
        _ => array(coordinates),
    };
    list.iter().map(|p| array(p).iter().map(number).collect()).collect()
}

/// A thing to measure in CesiumJS: an object, how, and where the city has it.
fn thing(object: &(Value, Value), kind: &str, places: &[(usize, f64)]) -> Value {
    let (city, lonlat) = (points(&object.0), points(&object.1));
    let place = |(i, z): &(usize, f64)| json!({ "city": [city[*i][0], city[*i][1], z], "lonlat": lonlat[*i][..2] });
    let places: Vec<Value> = places.iter().map(place).collect();
    json!({ "layer": object.0["properties"]["layer"], "id": object.0["id"], "kind": kind, "places": places })
}

/// What is measured: buildings, manholes, lamps, pipes, a metro station and a slab of a BIM model.
static THINGS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut all = Vec::new();
    let height = |object: &(Value, Value), key: &str| number(&object.0["properties"][key]);
    for place in PLACES {
        let nearest = |class| {
            let found = query(&["near", place, "--radius", "400", "--class", class, "--limit", "1"]);
            found.into_iter().next().unwrap_or_else(|| panic!("no {class} near {place}"))
        };
        let building = nearest("building");
        let above = height(&building, "z_min") + 3.0;
        all.push(thing(&building, "corner", &[0, 1, 2].map(|i| (i, above))));
        for class in ["manhole", "lamp"] {
            let post = nearest(class);
            all.push(thing(&post, "post", &[(0, height(&post, "z_min") + 1.0)]));
        }
        let pipe = nearest("pipe");
        let axis = points(&pipe.0);
        all.push(thing(&pipe, "tube", &[0, 1].map(|i| (i, axis[i][2]))));
    }
    let station = &query(&["where", "class = 'station'"])[0];
    all.push(thing(station, "corner", &[0, 1, 2].map(|i| (i, -5.0))));
    let slab = &query(&["where", "ifc_type = 'IfcSlab' and name = '屋面板12-1'"])[0];
    for (object, top) in [(station, height(station, "top_m")), (slab, height(slab, "z_max"))] {
        all.push(thing(object, "top", &[0, 2].map(|i| (i, top))));
    }
    all
});

#[test]
fn cesiumjs_draws_every_layer_without_an_error_and_picks_objects_that_are_there() {
    let found = &*FOUND;
    assert_eq!(found["errors"], json!([]), "{}", picture().display());
    let layers = tiled_layers();
    let names: Vec<&Value> = layers.iter().map(|l| &l["name"]).collect();
    let read = array(&found["layers"]);
    assert_eq!(read.iter().map(|l| &l["layer"]).collect::<Vec<_>>(), names);
    for (layer, known) in read.iter().zip(&layers) {
        assert_eq!((&layer["loaded"], &layer["failures"]), (&json!(true), &json!([])), "{layer:#}");
        let (triangles, points) = (number(&layer["triangles"]), number(&layer["points"]));
        let is_scan = known["points"].as_u64() > Some(0);
        assert!(if is_scan { points > 1000.0 } else { triangles > 0.0 }, "{layer:#}");
        let picked = array(&layer["picked"]);
        assert!(!picked.is_empty(), "{layer:#}");
        // The ground and a scan are one object each; their tiles say nothing of parts.
        if is_scan || known["classes"]["terrain"] == 1 {
            continue;
        }
        let ids: Vec<String> =
            picked.iter().map(|p| format!("'{}'", p["id"].as_str().unwrap_or("none").replace('\'', "''"))).collect();
        let condition = format!("id in ({})", ids.join(", "));
        let there = query(&["where", &condition, "--layers", known["name"].as_str().unwrap()]);
        for one in picked {
            let object = there.iter().find(|o| o.0["id"] == one["id"]);
            let (object, _) = object.unwrap_or_else(|| panic!("{one} is not in the layer {}", known["name"]));
            assert_eq!(object["properties"]["class"], one["class"]);
        }
    }
    let whole = &found["whole"];
    assert_eq!((&whole["loaded"], &whole["failures"]), (&json!(true), &json!([])), "{whole:#}");
    assert!(number(&whole["triangles"]) > 50_000.0 && number(&whole["points"]) > 1000.0, "{whole:#}");
    assert!(std::fs::read(picture()).unwrap().starts_with(b"\x89PNG"));
}

/// Where CesiumJS draws the surface of known objects, against where the city's own coordinates put them: those go through proj4,
/// which is other people's too, to longitude and latitude, and through CesiumJS's ellipsoid to its space. Heights of the city's
/// datum stand as heights above the ellipsoid, as in `groundline_engine::crs::Frame`.
#[test]
fn cesiumjs_has_known_objects_in_their_places_to_the_centimetre() {
    let found = &*FOUND;
    let (mut worst_aside_m, mut worst_up_m, mut farthest_m) = (0.0_f64, 0.0_f64, 0.0_f64);
    let measured = array(&found["things"]);
    assert_eq!(measured.len(), THINGS.len());
    for (object, asked) in measured.iter().zip(THINGS.iter()) {
        assert_eq!((&object["id"], &object["loaded"]), (&asked["id"], &json!(true)), "{object:#}");
        assert_eq!(object["picked"], object["id"], "what is seen there: {object:#}");
        assert!(number(&object["projected_off_m"]) < 1e-5, "proj4 has its longitude or latitude elsewhere: {object:#}");
        farthest_m = farthest_m.max(number(&object["away_m"]));
        for one in array(&object["found"]) {
            assert_eq!(one["id"], object["id"], "what the ray meets: {object:#}");
            let off_m = number(&one["off_m"]);
            match one["axis"].as_str() {
                // From side to side: lamps are the thinnest.
                Some("across") => assert!((0.1..3.0).contains(&off_m), "{object:#}"),
                Some("up") => {
                    assert!(off_m.abs() <= ALLOWED_M, "{off_m} m too high: {object:#}");
                    worst_up_m = worst_up_m.max(off_m.abs());
                }
                _ => {
                    assert!(off_m.abs() <= ALLOWED_M, "{off_m} m aside: {object:#}");
                    worst_aside_m = worst_aside_m.max(off_m.abs());
                }
            }
        }
    }
    // A plane tile would be 2 cm too high there.
    assert!(farthest_m > 500.0, "nothing is measured far from a tile's origin");
    println!("aside {worst_aside_m:.4} m, up {worst_up_m:.4} m, up to {farthest_m:.0} m from the origins of tiles");
}

/// Every tile below a folder.
fn glbs(folder: &Path) -> Vec<PathBuf> {
    let names = common::fingerprint(folder).into_iter().map(|(name, _)| name);
    names.filter(|n| n.ends_with(".glb")).map(|n| folder.join(n)).collect()
}

fn validate(files: &[PathBuf]) -> Value {
    judge("validate.mjs", &files.iter().map(|f| text(f)).collect::<Vec<_>>())
}

#[test]
fn the_validator_finds_nothing_wrong_with_any_tile() {
    let tiles = glbs(&CITY.join("tiles"));
    let known = tiled_layers().iter().map(|l| l["tiles"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(tiles.len() as u64, known);
    let said = validate(&tiles);
    assert_eq!(said.as_object().unwrap().len(), tiles.len());
    for (file, verdict) in said.as_object().unwrap() {
        let found = (&verdict["errors"], &verdict["warnings"]);
        assert_eq!(found, (&json!(0), &json!(0)), "{file}: {:#}", verdict["issues"]);
    }
}

/// Makes the first digit after `mark` another one.
fn change_number(path: &Path, mark: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    let found = bytes.windows(mark.len()).position(|w| w == mark.as_bytes());
    let mut at = found.unwrap_or_else(|| panic!("{} has no {mark}", path.display())) + mark.len();
    at += bytes[at..].iter().position(u8::is_ascii_digit).unwrap();
    bytes[at] = b'0' + (bytes[at] - b'0' + 1) % 10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_validator_finds_what_is_wrong_with_a_tile() {
    let tile = glbs(&CITY.join("tiles/路灯")).remove(0);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("tile.glb");
    std::fs::copy(&tile, &copy).unwrap();
    // A corner of a box where no vertex lies.
    change_number(&copy, "\"max\":[");
    let said = validate(&[copy]);
    let (_, verdict) = said.as_object().unwrap().iter().next().unwrap();
    assert!(number(&verdict["errors"]) > 0.0, "{verdict:#}");
}
