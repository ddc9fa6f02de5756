//! Tilesets made here, real ones held against an independent reading by numpy and pyproj, damaged copies.

use std::path::Path;

use glam::DVec3;
use groundline_engine::model::Geometry;

use super::*;
use crate::{
    cloud::tests::{METRIC, codes, positions},
    gltf::tests::two_features,
    las::tests::shared_data,
    trial::{Trial, miscounts},
};

/// The zone of the fixtures' place in Pennsylvania.
const UTM_18: u32 = 32618;

/// A b3dm of two features with a batch table.
pub(super) fn b3dm() -> Vec<u8> {
    let padded = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(8), b' ');
        bytes
    };
    let features = padded(r#"{"BATCH_LENGTH":2,"RTC_CENTER":[100,200,300]}"#);
    let batches =
        padded(r#"{"name":["a","b"],"floors":{"byteOffset":0,"componentType":"UNSIGNED_SHORT","type":"SCALAR"}}"#);
    let body = [7u8, 0, 9, 0, 0, 0, 0, 0];
    let model = two_features("_BATCHID");
    let model = String::from_utf8_lossy(&model).contains("EXT_mesh_features").then_some(model).unwrap();
    // The same model with the batch ids of 3D Tiles 1.0 instead of the extension.
    let model = replaced(&model, b"EXT_mesh_features", b"EXT_nothing______");
    let total = 28 + features.len() + batches.len() + body.len() + model.len();
    let mut bytes = b"b3dm".to_vec();
    for word in [1, total, features.len(), 0, batches.len(), body.len()] {
        bytes.extend_from_slice(&(word as u32).to_le_bytes());
    }
    [bytes, features, batches, body.to_vec(), model].concat()
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = bytes.windows(from.len()).position(|w| w == from).expect("it is there");
    bytes[at..at + from.len()].copy_from_slice(to);
    bytes
}

fn base64(bytes: &[u8]) -> String {
    const WORDS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let held = (0..3).fold(0u32, |v, k| v << 8 | u32::from(three.get(k).copied().unwrap_or(0)));
        for k in 0..4 {
            let is_pad = k > three.len();
            text.push(if is_pad { '=' } else { WORDS[(held >> (18 - 6 * k) & 63) as usize] as char });
        }
    }
    text
}

pub(super) fn tileset(refine: &str, contents: [&str; 2]) -> String {
    let volume = r#""boundingVolume":{"box":[0,0,0,9,0,0,0,9,0,0,0,9]}"#;
    format!(
        r#"{{"asset":{{"version":"1.1"}},"geometricError":9,"root":{{{volume},"geometricError":5,"refine":"{refine}",
        "transform":[1,0,0,0,0,1,0,0,0,0,1,0,1000,2000,0,1],"content":{{"uri":"{}"}},
        "children":[{{{volume},"geometricError":0,"content":{{"uri":"{}"}}}}]}}}}"#,
        contents[0], contents[1]
    )
}

pub(super) fn written(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

fn read_at(path: &Path, city: u32) -> Trial {
    Trial::of(&FORMAT, path, &Options::default(), city)
}

#[test]
fn replacing_tiles_are_taken_at_the_leaves_adding_ones_all() {
    for (refine, ids) in
        [("REPLACE", &["t/fine#0", "t/fine#1"][..]), ("ADD", &["t/coarse#0", "t/coarse#1", "t/fine#0", "t/fine#1"])]
    {
        let json = tileset(refine, ["coarse.b3dm", "fine.b3dm"]);
        let folder = written(&[("tileset.json", json.as_bytes()), ("coarse.b3dm", &b3dm()), ("fine.b3dm", &b3dm())]);
        let trial = read_at(&folder.path().join("tileset.json"), METRIC);
        assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
        let found: Vec<&str> = trial.objects.iter().map(|o| o.id.as_str()).collect();
        assert_eq!(found, ids, "{:?}", trial.report.skips);
        let last = trial.objects.last().unwrap();
        assert_eq!((last.name.as_deref(), last.value("floors")), (Some("b"), Some(&Value::Int(9))));
        // Transform, RTC_CENTER, y up, the node's own place: in this order.
        let at = positions(&trial.objects)[2];
        assert!(at.distance(DVec3::new(1000.0 + 100.0 + 10.0, 2000.0 + 200.0 - 30.0, 300.0 + 21.0)) < 1e-9, "{at}");
        assert_eq!(codes(&trial).contains(&"coarse_left_out"), refine == "REPLACE");
        assert_eq!(trial.probe.unwrap().companions.len(), 2);
    }
}

#[test]
fn external_tilesets_are_followed_below_the_folder_and_nowhere_else() {
    let inner = tileset("ADD", ["../fine.b3dm", "missing.b3dm"]);
    let json = tileset("ADD", ["sub/inner.json", "../../outside.b3dm"]);
    let json = json.replace(
        "\"children\":[",
        "\"children\":[{\"content\":{\"uri\":\"https://a.b/c.b3dm\"}},{\"content\":{\"uri\":\"tileset.json\"}},",
    );
    let folder =
        written(&[("tileset.json", json.as_bytes()), ("sub/inner.json", inner.as_bytes()), ("fine.b3dm", &b3dm())]);
    let trial = read_at(&folder.path().join("tileset.json"), METRIC);
    assert_eq!(trial.objects.len(), 2, "{:?}", trial.report.skips);
    let at = positions(&trial.objects)[2];
    assert!((at.x - (2000.0 + 110.0)).abs() < 1e-9, "both transforms count: {at}");
    let reasons: Vec<&str> = trial.report.skips.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    for word in ["missing.b3dm", "network", "within itself", "outside"] {
        assert!(reasons.iter().any(|r| r.contains(word)), "{word}: {reasons:?}");
    }
}

#[test]
fn other_json_is_left_to_others() {
    for text in [
        r#"{"type":"FeatureCollection","features":[]}"#,
        r#"{"asset":{"version":"2.0"},"meshes":[]}"#,
        "[]",
        "",
        "{\"asset\":",
    ] {
        let folder = written(&[("a.json", text.as_bytes())]);
        assert!(read_at(&folder.path().join("a.json"), METRIC).probe.is_none(), "{text}");
    }
}

#[test]
fn real_tilesets_have_the_objects_and_places_of_an_independent_reading() {
    let Some(data) = shared_data() else { return };
    let mut faults = Vec::new();
    let mut files = 0;
    for row in include_str!("referee.tsv").lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<&str> = row.split('\t').collect();
        let numbers: Vec<f64> = fields[2..9].iter().map(|f| f.parse().unwrap()).collect();
        let city = if fields[1] == "earth" { UTM_18 } else { METRIC };
        let trial = read_at(&data.join(fields[0]), city);
        assert!(trial.outcome.is_ok() && trial.probe.is_some(), "{}: {:?}", fields[0], trial.outcome);
        let all = positions(&trial.objects);
        let low = all.iter().fold(DVec3::INFINITY, |a, b| a.min(*b));
        let high = all.iter().fold(DVec3::NEG_INFINITY, |a, b| a.max(*b));
        let expected = [DVec3::new(numbers[1], numbers[2], numbers[3]), DVec3::new(numbers[4], numbers[5], numbers[6])];
        let off = (low - expected[0]).abs().max_element().max((high - expected[1]).abs().max_element());
        // The table has a tenth of a millimetre.
        if trial.objects.len() as f64 != numbers[0] || off.is_nan() || off > 2e-3 {
            faults.push(format!(
                "{}: {} objects of {}, {off} m off; {:?}",
                fields[0],
                trial.objects.len(),
                numbers[0],
                trial.report.skips.first()
            ));
        }
        files += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(files >= 40, "{files}");
}

#[test]
fn an_implicit_tileset_gives_every_content_that_its_subtrees_name() {
    let Some(data) = shared_data() else { return };
    let folder = data.join("3dtiles/samples_1.1/SparseImplicitQuadtree");
    let contents = std::fs::read_dir(folder.join("content")).unwrap().count();
    let trial = read_at(&folder.join("tileset.json"), METRIC);
    assert_eq!((trial.objects.len(), trial.report.skipped), (contents, 0), "{:?}", trial.report.skips);
    assert_eq!(trial.probe.unwrap().companions.len(), contents + 9, "contents and subtrees");
}

#[test]
fn points_and_surfaces_of_one_tile_are_both_taken() {
    let Some(data) = shared_data() else { return };
    let trial = read_at(&data.join("3dtiles/samples_1.1/MultipleContents/tileset.json"), METRIC);
    let has = |f: fn(&Geometry) -> bool| trial.objects.iter().any(|o| f(&o.geometry));
    assert!(has(|g| matches!(g, Geometry::Mesh(_))) && has(|g| matches!(g, Geometry::Points(_))), "{:?}", trial.report);
    assert_eq!(trial.report.skipped, 0);
}

#[test]
fn instances_of_a_gltf_have_their_rows() {
    let Some(data) = shared_data() else { return };
    let trial = read_at(&data.join("3dtiles/gltf_ext/GpuInstancesMetadata/tileset.json"), METRIC);
    assert_eq!(trial.objects.len(), 10, "{:?}", trial.report);
    let Some(Value::Text(first)) = trial.objects[0].value("example_STRING") else { panic!("no text") };
    assert_eq!(first, "zero");
}

#[test]
fn a_hierarchy_gives_what_a_feature_is_part_of() {
    let Some(data) = shared_data() else { return };
    let trial = read_at(&data.join("3dtiles/cesiumjs_fixtures/Hierarchy/BatchTableHierarchy/tileset.json"), UTM_18);
    assert_eq!(trial.objects[0].value("class"), Some(&Value::Text("doorknob".into())));
    assert!(trial.objects[0].value("building_name").is_some(), "{:?}", trial.objects[0].attributes);
}

#[test]
fn damaged_copies_neither_panic_nor_hang_nor_miscount() {
    let uri = format!("data:application/octet-stream;base64,{}", base64(&b3dm()));
    let json = tileset("ADD", [&uri, &uri]);
    let found = miscounts(&FORMAT, "tileset.json", json.as_bytes(), &Options::default(), METRIC);
    assert_eq!(found, Vec::<String>::new());
}
