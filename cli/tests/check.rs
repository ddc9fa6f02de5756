//! What is wrong with data, by rule and clause.

mod common;

use common::{run, run_json, text, tiny_sample};
use serde_json::Value;

fn rule<'a>(checked: &'a Value, id: &str) -> &'a Value {
    let all = checked["rules"].as_array().expect("rules");
    all.iter().find(|r| r["id"] == id).unwrap_or_else(|| panic!("no rule {id}: {checked:#}"))
}

fn counts(checked: &Value, id: &str) -> [u64; 4] {
    let rule = rule(checked, id);
    ["pass", "fail", "unknown", "review"].map(|key| rule[key].as_u64().expect("a count"))
}

#[test]
fn the_sample_city_is_sound_as_files_and_as_a_city() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path());
    let common = ["--crs", "EPSG:4549", "--vertical", "EPSG:5737"];
    let (code, checked) = run_json(&[&["check", text(&files)][..], &common].concat());
    assert_eq!(checked["errors"], 0, "{checked:#}");
    assert_eq!(code, 0);
    assert_eq!(counts(&checked, "network/ends-exist")[1..], [0, 0, 0]);
    assert!(counts(&checked, "network/ends-exist")[0] > 50);
    assert!(counts(&checked, "pipe/material")[0] > 20, "materials are those of CJJ 61");
    assert_eq!(counts(&checked, "datum/national")[1..], [0, 0, 0]);
    assert!(!folder.path().join("tiny.city").exists(), "a check writes nothing");

    let city = folder.path().join("tiny.city");
    let imported = run(&[&["import", text(&files), "--city", text(&city)][..], &common].concat());
    assert!(imported.status.success());
    let (code, of_city) = run_json(&["check", "--city", text(&city)]);
    assert_eq!(code, 0);
    for id in ["network/ends-exist", "network/node-linked", "pipe/required", "pipe/length", "geometry/simple-rings"] {
        assert_eq!(counts(&of_city, id), counts(&checked, id), "{id}");
    }
}

#[test]
fn a_missing_manhole_is_told_and_findings_have_places() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path());
    let sewers = files.join("地下管线/污水");
    // The second row of the table of points: the first under its header.
    let points = std::fs::read(sewers.join("WS_管点.csv")).unwrap();
    let lines: Vec<&[u8]> = points.split_inclusive(|b| *b == b'\n').collect();
    let kept: Vec<&[u8]> = [&lines[..1], &lines[2..]].concat();
    std::fs::write(sewers.join("WS_管点.csv"), kept.concat()).unwrap();
    let found = folder.path().join("found.geojson");
    let (code, checked) = run_json(&["check", text(&sewers), "--crs", "EPSG:4549", "--geojson", text(&found)]);
    assert_eq!(code, 3, "{checked:#}");
    let skipped = rule(&checked, "import/skipped");
    assert!(skipped["fail"].as_u64().unwrap() > 0, "{checked:#}");
    let told = skipped["findings"][0]["en"].as_str().unwrap();
    assert!(told.contains("point WS") && told.contains("is in no point table"), "{told}");
    let geojson: Value = serde_json::from_slice(&std::fs::read(&found).unwrap()).unwrap();
    let features = geojson["features"].as_array().unwrap();
    assert!(!features.is_empty());
    for feature in features {
        let place = &feature["geometry"]["coordinates"];
        assert!((119.0..122.0).contains(&place[0].as_f64().unwrap()), "{feature}");
        assert!((35.0..38.0).contains(&place[1].as_f64().unwrap()), "{feature}");
        assert!(feature["properties"]["rule"].is_string());
    }
}

#[test]
fn a_table_of_rules_overrides_and_a_bad_one_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path());
    let table = folder.path().join("local.toml");
    let rule = |max: &str| {
        format!(
            "[[rule]]\nid = \"pipe/length\"\ntest = {{ check = \"length\", max = {max} }}\nclasses = [\"pipe\"]\n\
             severity = \"advice\"\nstandard = \"local\"\ntag = \"P\"\nzh = \"过长\"\nen = \"too long: {{value}}\"\n"
        )
    };
    std::fs::write(&table, rule("1.0")).unwrap();
    let sewers = files.join("地下管线/污水");
    let args = ["check", text(&sewers), "--crs", "EPSG:4549", "--rules", text(&table)];
    let (_, checked) = run_json(&args);
    let [pass, fail, ..] = counts(&checked, "pipe/length");
    assert!(fail > 0 && fail > pass, "sewers are longer than a metre");
    std::fs::write(&table, rule("\"long\"")).unwrap();
    let refused = run(&args);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("local.toml"));
    assert_eq!(run(&["check"]).status.code(), Some(2), "nothing to check is wrong usage");
    let (code, listed) = run_json(&["check", "--list"]);
    assert_eq!(code, 0);
    let gravity = listed["rules"].as_array().unwrap().iter().find(|r| r["id"] == "drain/gravity").unwrap().clone();
    assert_eq!((gravity["tag"].as_str(), gravity["enabled"].as_bool()), (Some("K"), Some(false)));
}
