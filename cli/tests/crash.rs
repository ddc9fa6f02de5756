//! What the command says when its writer dies, the disk is full or a file is damaged. The whole battery is in the importers' tests,
//! which need no viewer.

mod common;

use std::path::Path;

use common::{fingerprint, groundline, run_json, text, tiny_sample};

const FAULT: &str = "GROUNDLINE_FAULT";

fn import<'a>(files: &'a Path, city: &'a Path) -> [&'a str; 6] {
    ["import", text(files), "--city", text(city), "--crs", "EPSG:4549"]
}

#[test]
fn a_killed_import_and_one_on_a_full_disk_leave_the_version_before() {
    let folder = tempfile::tempdir().unwrap();
    let sources = folder.path().join("buildings.geojson");
    let write = |count: usize| {
        let feature = |n: usize| {
            let (x, y) = (520_000.0 + n as f64 * 20.0, 3_990_000.0);
            let (u, v) = (x + 9.0, y + 9.0);
            format!(
                r#"{{"type":"Feature","id":{n},"properties":{{}},"geometry":{{"type":"Polygon","coordinates":[[[{x},{y}],[{u},{y}],[{u},{v}],[{x},{y}]]]}}}}"#
            )
        };
        let all = (0..count).map(feature).collect::<Vec<_>>().join(",");
        std::fs::write(&sources, format!(r#"{{"type":"FeatureCollection","features":[{all}]}}"#)).unwrap();
    };
    write(20);
    let city = folder.path().join("a.city");
    assert_eq!(run_json(&import(&sources, &city)).0, 0);
    let first = fingerprint(&city);
    write(30);
    for (fault, code) in [("kill=manifest-done", None), ("room=9000", Some(1)), ("sync=1", Some(1))] {
        let output = groundline().args(import(&sources, &city)).env(FAULT, fault).output().unwrap();
        assert_eq!(output.status.code(), code, "{fault}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(code.is_none() || said.contains("os error") && said.contains("a.city"), "{fault}: {said}");
        let (code, info) = run_json(&["info", text(&city)]);
        assert_eq!((code, &info["version"]), (0, &1.into()), "{fault}: {info:#}");
        assert_eq!(run_json(&["gc", text(&city)]).0, 0);
        assert_eq!(fingerprint(&city), first, "{fault}: nothing is left and nothing is lost");
    }
    let (code, report) = run_json(&import(&sources, &city));
    assert_eq!((code, &report["version"], &report["objects"]), (0, &2.into(), &30.into()), "{report:#}");
}

#[test]
fn check_names_damaged_files_and_judges_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path());
    let city = folder.path().join("tiny.city");
    assert_eq!(run_json(&import(&files, &city)).0, 0);
    let (code, whole) = run_json(&["check", "--city", text(&city)]);
    assert_eq!((code, &whole["damaged"]), (0, &serde_json::json!([])));
    let names: Vec<String> = fingerprint(&city).into_iter().map(|(name, _)| name).collect();
    for ending in [".parquet", ".ids", ".tree", ".glb", "000001.json", "000000.json", "city.json"] {
        let name = names.iter().rfind(|name| name.ends_with(ending)).unwrap();
        let path = city.join(name);
        let bytes = std::fs::read(&path).unwrap();
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let (code, checked) = run_json(&["check", "--city", text(&city)]);
        // Without its head or its manifest there is no city to check.
        assert!(matches!(code, 1 | 3), "{name}: {checked:#}");
        let said = if code == 3 { checked["damaged"].to_string() } else { checked.to_string() };
        assert!(said.contains(name.as_str()), "{name}: {checked:#}");
        assert_eq!(checked["objects"].as_u64().is_some_and(|count| count > 100), code == 3, "{name}: {checked:#}");
        std::fs::write(&path, bytes).unwrap();
    }
}
