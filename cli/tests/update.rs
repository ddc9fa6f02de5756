//! Single objects of a layer changed by the command: what takes whose place, what is refused, what differs afterwards.

mod common;

use std::path::Path;

use common::{run_json, text};
use serde_json::{Value, json};

/// Houses as GeoJSON: number, place from the corner, height.
fn houses(path: &Path, houses: &[(u64, f64, f64, f64)]) {
    let features: Vec<Value> = houses
        .iter()
        .map(|(number, x, y, height_m)| {
            let (x, y) = (520_000.0 + x, 3_990_000.0 + y);
            let ring = [[x, y], [x + 8.0, y], [x + 8.0, y + 8.0], [x, y + 8.0], [x, y]];
            json!({
                "type": "Feature", "id": number, "properties": {"height_m": height_m, "name": format!("{number} 号")},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            })
        })
        .collect();
    std::fs::write(path, json!({"type": "FeatureCollection", "features": features}).to_string()).unwrap();
}

fn row(number: u64) -> (u64, f64, f64, f64) {
    (number, number as f64 * 20.0, 0.0, 6.0)
}

#[test]
fn objects_change_one_by_one_and_the_difference_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (source, city) = (folder.path().join("houses.geojson"), folder.path().join("a.city"));
    houses(&source, &(0..50).map(row).collect::<Vec<_>>());
    let (code, report) = run_json(&["import", text(&source), "--city", text(&city), "--crs", "EPSG:4549"]);
    assert_eq!((code, &report["objects"]), (0, &json!(50)), "{report:#}");

    // One that changes, one that is as it was, one that is new; the file has a name of its own.
    let change = folder.path().join("delivery of May.geojson");
    houses(&change, &[(7, 140.0, 0.0, 90.0), row(8), (99, 5.0, 500.0, 12.0)]);
    let update = |source: &Path, more: &[&str]| {
        let args =
            ["import", text(source), "--city", text(&city), "--crs", "EPSG:4549", "--layer", "houses", "--update"];
        run_json(&[&args[..], more].concat())
    };
    let (code, report) = update(&change, &["--remove", "houses/3,houses/4"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["changes"], json!({"added": 1, "changed": 1, "ended": 2, "same": 1}), "{report:#}");
    assert_eq!(report["version"], 2);
    let (_, info) = run_json(&["info", text(&city)]);
    assert_eq!(info["layers"][0]["objects"], 49);
    let heights = |id: &str| {
        let (_, found) = run_json(&["query", text(&city), "where", &format!("id = '{id}'")]);
        found["features"].as_array().unwrap().iter().map(|f| f["properties"]["height_m"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(heights("houses/7"), [json!(90.0)]);
    assert_eq!(heights("houses/99"), [json!(12.0)]);
    assert!(heights("houses/3").is_empty());

    let (code, diff) = run_json(&["diff", text(&city), "1"]);
    assert_eq!(code, 0);
    let told: Vec<(&str, &str)> = diff["layers"][0]["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| (o["id"].as_str().unwrap(), o["change"].as_str().unwrap()))
        .collect();
    let expected = [("houses/3", "removed"), ("houses/4", "removed"), ("houses/7", "changed"), ("houses/99", "added")];
    assert_eq!(told, expected);

    // The same again changes nothing.
    let (code, report) = update(&change, &[]);
    assert_eq!((code, &report["version"], &report["changes"]["same"]), (0, &json!(2), &json!(3)));
    // Without sources objects only go.
    let (code, report) = run_json(&["import", "--city", text(&city), "--layer", "houses", "--remove", "houses/99"]);
    assert_eq!((code, &report["version"], &report["changes"]["ended"]), (0, &json!(3), &json!(1)), "{report:#}");

    std::fs::write(city.join("objects/left by a crash"), [0; 1000]).unwrap();
    let (code, freed) = run_json(&["gc", text(&city)]);
    assert_eq!((code, &freed["freed_bytes"]), (0, &json!(1000)));
    let (code, verdict) = run_json(&["check", "--city", text(&city)]);
    assert_eq!(code, 0, "{verdict:#}");
    let (code, differing) = run_json(&["diff", text(&city), "2", "3"]);
    assert_eq!((code, &differing["layers"][0]["counts"]["ended"]), (0, &json!(1)));
}

#[test]
fn a_change_with_a_fault_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (source, city) = (folder.path().join("houses.geojson"), folder.path().join("a.city"));
    houses(&source, &(0..5).map(row).collect::<Vec<_>>());
    let (code, _) = run_json(&["import", text(&source), "--city", text(&city), "--crs", "EPSG:4549"]);
    assert_eq!(code, 0);
    let said = |args: &[&str], expected: i32, words: &str| {
        let (code, answer) = run_json(&[&["import", "--city", text(&city), "--crs", "EPSG:4549"][..], args].concat());
        assert_eq!(code, expected, "{args:?}: {answer:#}");
        assert!(answer.to_string().contains(words), "{args:?}: {answer:#}");
        let (_, info) = run_json(&["info", text(&city)]);
        assert_eq!(info["version"], 1, "{args:?}");
    };
    let file = text(&source);
    said(&[file, "--layer", "trees", "--update"], 2, "no layer trees");
    said(&["--layer", "houses", "--remove", "houses/77"], 1, "houses/77");
    said(&[file, "--layer", "houses", "--remove", "houses/1"], 2, "--update");
    // A ring of two corners is a bad record: of the good one beside it nothing is taken either.
    let bad = folder.path().join("bad.geojson");
    let ring = json!([[[520_000.0, 3_990_000.0], [520_009.0, 3_990_000.0]]]);
    let good = json!([[[0.0, 0.0], [9.0, 0.0], [9.0, 9.0], [0.0, 0.0]]]);
    let feature = |id: u64, ring: &Value| json!({"type": "Feature", "id": id, "properties": {}, "geometry": {"type": "Polygon", "coordinates": ring}});
    let all = json!({"type": "FeatureCollection", "features": [feature(1, &good), feature(2, &ring)]});
    std::fs::write(&bad, all.to_string()).unwrap();
    said(&[text(&bad), "--layer", "houses", "--update"], 1, "bad records");
}
