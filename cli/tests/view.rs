//! Views as text and tours, on the command line.

mod common;

use std::path::Path;

use common::{Server, groundline, run, run_json, text, tiny_sample};
use serde_json::Value;

/// What the command says on a machine whose copies lie in `cache`.
fn asked(cache: &Path, args: &[&str]) -> (i32, String) {
    let output = groundline().env("GROUNDLINE_CACHE", cache).args(args).output().unwrap();
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_city_is_seen_through_its_server_as_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (city, cache) = (folder.path().join("a.city"), folder.path().join("cache"));
    let files = tiny_sample(folder.path()).join("基础测绘");
    let import = |more: &[&str]| {
        let (code, report) = run_json(&[&["import", "--city", text(&city), "--crs", "EPSG:4549"], more].concat());
        assert_eq!(code, 0, "{report:#}");
    };
    import(&[text(&files)]);
    let server = Server::start(&city);
    let there = server.http().to_owned();

    let shown = |from: &str, name: &str| {
        let out = folder.path().join(name);
        let (code, said) = asked(&cache, &["snapshot", from, "--size", "320x180", "--out", text(&out), "--json"]);
        assert_eq!(code, 0, "{said}");
        let report: Value = serde_json::from_str(&said).unwrap();
        (image::open(&out).unwrap().to_rgb8(), report["tiles_drawn"].clone())
    };
    let ((far, tiles), (near, _)) = (shown(&there, "far.png"), shown(text(&city), "near.png"));
    assert!(tiles.as_u64() > Some(0), "{tiles}");
    let differing =
        far.pixels().zip(near.pixels()).filter(|(a, b)| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > 2));
    assert_eq!(differing.count(), 0, "the server's picture is the folder's");

    let found = |from: &str| asked(&cache, &["query", from, "where", "z_max > 12", "--json"]);
    assert_eq!(found(&there), found(text(&city)));
    assert!(found(&there).1.contains("\"id\""), "{}", found(&there).1);

    // What is committed behind the server's back is seen; nothing can be written through it, and readings are nobody's files.
    std::fs::write(folder.path().join("new.geojson"), NEW).unwrap();
    import(&[text(&folder.path().join("new.geojson")), "--layer", "new"]);
    assert!(found(&there).1.contains("new/1"), "the newest version");
    let refused = asked(&cache, &["import", text(&files), "--city", &there, "--crs", "EPSG:4549"]);
    assert!(refused.0 == 1 && refused.1.contains("only shows its city"), "{refused:?}");
    for path in ["/files/readings/lock", "/files/lock", "/files/objects/../city.json", "/files/objects/%2e%2e/lock"] {
        let (status, _) = server.get(path);
        assert!(status.contains(" 404 ") || status.contains(" 400 "), "{path}: {status}");
    }
    drop(server);
    let (code, said) = asked(&cache, &["info", &there]);
    assert!(code == 1 && said.lines().count() == 1 && said.contains(&there), "{said}");
}

#[test]
fn a_file_that_is_no_city_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let (source, out, cache) =
        (folder.path().join("hall.geojson"), folder.path().join("a.png"), folder.path().join("cache"));
    std::fs::write(&source, NEW).unwrap();
    let look = |more: &[&str]| {
        let args = ["--lang", "en", "snapshot", text(&source), "--size", "160x90", "--out", text(&out)];
        asked(&cache, &[&args, more].concat())
    };
    let (code, said) = look(&[]);
    assert!(code == 1 && said.contains("nothing could be imported") && !out.exists(), "{said}");
    let looked = || {
        let city =
            std::fs::read_dir(cache.join("looked")).unwrap().map(|entry| entry.unwrap().path().join("city.json"));
        let heads: Vec<Value> =
            city.filter_map(|head| serde_json::from_slice(&std::fs::read(head).ok()?).ok()).collect();
        heads.iter().map(|head| (head["name"].clone(), head["version"].clone())).collect::<Vec<_>>()
    };
    for (version, height) in [(1, 40), (1, 40), (2, 25)] {
        std::fs::write(&source, NEW.replace("40}", &format!("{height}}}"))).unwrap();
        let (code, said) = look(&["--crs", "EPSG:4549"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(looked(), [("hall".into(), version.into())]);
        let colours: std::collections::BTreeSet<_> =
            image::open(&out).unwrap().to_rgb8().pixels().map(|pixel| pixel.0.map(|c| c / 8)).collect();
        assert!(colours.len() > 20, "a hall, its shadow and the sky: {}", colours.len());
    }
}

#[test]
fn a_file_with_nothing_to_show_is_an_error_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("empty.geojson");
    std::fs::write(
        &source,
        r#"{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"a": 1}}]}"#,
    )
    .unwrap();
    let out = folder.path().join("a.png");
    let args = ["--lang", "en", "snapshot", text(&source), "--crs", "EPSG:4549", "--out", text(&out)];
    let (code, said) = asked(&folder.path().join("cache"), &args);
    assert!(code == 1 && said.contains("nothing in it can be shown") && !out.exists(), "{said}");
}

const NEW: &str = r#"{"type": "FeatureCollection", "features": [{"type": "Feature", "id": 1, "properties": {"height": 40},
    "geometry": {"type": "Polygon", "coordinates": [[[534500, 3993000], [534520, 3993000], [534520, 3993020], [534500, 3993000]]]}}]}"#;

#[test]
fn views_and_tours_that_make_no_sense_are_wrong_usage_and_a_tour_becomes_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path()).join("基础测绘");
    let city = folder.path().join("a.city");
    let (code, report) = run_json(&["import", text(&files), "--city", text(&city), "--crs", "EPSG:4549"]);
    assert_eq!(code, 0, "{report:#}");
    let out = folder.path().join("a.png");
    let marks = folder.path().join("b.json");
    let snapshot = |more: &[&str]| {
        let output = run(&[&["snapshot", text(&city), "--size", "64x36"], more].concat());
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code().unwrap_or(-1), said)
    };
    for view in ["", "groundline:?zz=1", "groundline:?c=1,2", "groundline:?v=9"] {
        let (code, said) = snapshot(&["--view", view, "--out", text(&out)]);
        assert_eq!(code, 2, "{view}: {said}");
        assert!(said.contains("--view: "), "{said}");
    }
    let frames = folder.path().join("frames");
    let tour = ["--tour", "all", "--frames", text(&frames), "--fps", "1", "--bookmarks", text(&marks)];
    let (code, said) = snapshot(&tour);
    assert!(code == 2 && said.contains("no stops"), "{said}");
    assert!(!out.exists() && !frames.exists());

    // Damaged bookmarks are told of and kept.
    std::fs::write(&marks, "{").unwrap();
    let (code, said) = snapshot(&tour);
    assert!(code == 2 && said.contains("damaged-1.json"), "{said}");

    let stop = r#"{"name":"a","view":"groundline:?u=1"}"#;
    std::fs::write(&marks, format!(r#"{{"format":1,"city":"a","bookmarks":[{stop}]}}"#)).unwrap();
    let (code, said) = snapshot(&tour);
    assert_eq!(code, 0, "{said}");
    assert_eq!(std::fs::read_dir(&frames).unwrap().count(), 5, "five seconds at one picture a second");
}

#[test]
fn a_comparison_tells_how_much_is_built_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path()).join("基础测绘");
    let city = folder.path().join("a.city");
    let (code, report) = run_json(&["import", text(&files), "--city", text(&city), "--crs", "EPSG:4549"]);
    assert_eq!(code, 0, "{report:#}");
    let out = folder.path().join("a.png");
    let told = |more: &[&str]| {
        let args = ["snapshot", text(&city), "--size", "64x36", "--plain", "--out", text(&out)];
        let (code, report) = run_json(&[&args, more].concat());
        assert_eq!(code, 0, "{report:#}");
        report["bulk"].clone()
    };
    assert_eq!(told(&[]), Value::Null, "nothing is compared");
    let (_, found) =
        run_json(&["query", text(&city), "where", "class = 'building' and parent is null", "--limit", "100000"]);
    let bulk = told(&["--compare", "beside", "--other", "--without building"]);
    let number = |side: &str, key: &str| bulk[side][key].as_f64().unwrap();
    assert_eq!(number("this", "buildings"), found["features"].as_array().map_or(0, Vec::len) as f64, "{bulk:#}");
    assert!(
        number("this", "floor_m2") > number("this", "footprint_m2") && number("this", "volume_m3") > 0.0,
        "{bulk:#}"
    );
    assert_eq!((number("other", "buildings"), number("other", "volume_m3")), (0.0, 0.0));
    assert_eq!(number("difference", "volume_m3"), -number("this", "volume_m3"));
    let extent = groundline_engine::store::City::open(&city).unwrap().extent();
    let (low, high) = (extent.min, extent.centre());
    let cut = format!("box:{},{},{},{},{},{}", low.x, low.y, low.z, high.x, high.y, extent.max.z);
    let part = told(&["--compare", "swipe", "--other", "--style xray", "--cut", &cut]);
    assert_eq!(part["is_of_box"], true, "{part:#}");
    let (some, all) = (part["this"]["buildings"].as_i64().unwrap(), number("this", "buildings") as i64);
    assert!(0 < some && some < all, "{some} of {all}");
}
