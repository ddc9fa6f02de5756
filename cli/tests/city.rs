//! From files to a city, on the sample city's own files and on damaged ones.

mod common;

use std::path::Path;

use common::{fingerprint, groundline, run, run_json, text, tiny_sample};

const CRS: [&str; 2] = ["--crs", "EPSG:4549"];

/// A tiny city, imported; returns the folder of its files and the city.
fn tiny_city(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf, serde_json::Value) {
    let files = tiny_sample(folder);
    let city = folder.join("tiny.city");
    let (code, report) = run_json(&["import", text(&files), "--city", text(&city), CRS[0], CRS[1]]);
    assert_eq!(code, 0, "{report:#}");
    (files, city, report)
}

fn source<'a>(report: &'a serde_json::Value, ending: &str) -> &'a serde_json::Value {
    let all = report["sources"].as_array().expect("sources");
    all.iter()
        .find(|s| s["path"].as_str().is_some_and(|p| p.ends_with(ending)))
        .unwrap_or_else(|| panic!("{ending}: {report:#}"))
}

#[test]
fn every_file_of_the_sample_city_becomes_objects_and_the_second_import_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (files, city, report) = tiny_city(folder.path());
    assert_eq!(report["version"], 1);
    assert!(report["objects"].as_u64().unwrap() > 100, "{report:#}");
    assert!(report["points"].as_u64().unwrap() > 1000, "{report:#}");
    assert!(report["tiles"].as_u64().unwrap() > 10);
    let buildings = source(&report, "建筑.shp");
    assert_eq!(buildings["format"], "shapefile");
    assert!(buildings["encoding"].as_str().unwrap().to_lowercase().contains("gb"), "{buildings:#}");
    for made in report["sources"].as_array().unwrap() {
        assert_eq!(made["skipped"], 0, "{made:#}");
        assert!(made["error"].is_null(), "{made:#}");
    }

    let before = fingerprint(&city);
    let (code, again) = run_json(&["import", text(&files), "--city", text(&city), CRS[0], CRS[1]]);
    assert_eq!(code, 0);
    assert_eq!(again["version"], 1);
    assert!(again["sources"].as_array().unwrap().iter().all(|s| s["unchanged"] == true || s["objects"] == 0));
    assert_eq!(fingerprint(&city), before, "the second import wrote something");
}

#[test]
fn the_same_files_give_the_same_tiles_and_objects_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (files, city, _) = tiny_city(folder.path());
    let other = folder.path().join("other.city");
    // On one core: what a city becomes does not depend on how many threads read and write it.
    let alone = ["-c", "0", env!("CARGO_BIN_EXE_groundline"), "import", text(&files), "--city", text(&other)];
    let status =
        std::process::Command::new("taskset").args(alone).args(CRS).stdout(std::process::Stdio::null()).status();
    assert!(status.expect("taskset starts").success());
    for part in ["objects", "tiles"] {
        assert_eq!(fingerprint(&city.join(part)), fingerprint(&other.join(part)), "{part} differ");
    }
}

#[test]
fn a_missing_coordinate_system_is_refused_with_the_flag_to_give() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path()).join("基础测绘");
    std::fs::remove_file(files.join("建筑.prj")).unwrap();
    let city = folder.path().join("a.city");
    let output = run(&["import", text(&files.join("建筑.shp")), "--city", text(&city)]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("--crs EPSG:") && said.contains("4549"), "{said}");
    assert!(!city.exists(), "an empty city is left behind");
}

/// Damages one file of the buildings' shapefile and imports it; returns the exit code and the account.
fn import_damaged(damage: impl FnOnce(&Path)) -> (i32, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path()).join("基础测绘");
    damage(&files);
    let city = folder.path().join("a.city");
    run_json(&["import", text(&files.join("建筑.shp")), "--city", text(&city), CRS[0], CRS[1]])
}

fn cut(path: &Path, keep: f64) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..(bytes.len() as f64 * keep) as usize]).unwrap();
}

#[test]
fn a_truncated_shapefile_is_never_a_plain_success() {
    let (code, report) = import_damaged(|files| cut(&files.join("建筑.shp"), 0.6));
    assert!(code == 1 || code == 3, "exit {code}: {report:#}");
    let account = source(&report, "建筑.shp");
    let told = account["error"].as_str().map_or_else(|| account["skips"].to_string(), str::to_owned);
    assert!(told.contains("record") || told.contains("byte"), "{account:#}");
}

#[test]
fn a_wrong_record_count_in_the_dbf_is_told() {
    let (code, report) = import_damaged(|files| {
        let path = files.join("建筑.dbf");
        let mut bytes = std::fs::read(&path).unwrap();
        let count = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
        bytes[4..8].copy_from_slice(&(count + 7).to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
    });
    let account = source(&report, "建筑.shp");
    assert!(code == 0 || code == 3, "{report:#}");
    assert!(!account["warnings"].as_array().unwrap().is_empty(), "{account:#}");
}

#[test]
fn a_missing_index_is_told_and_missing_attributes_count_as_skipped_data() {
    let (_, report) = import_damaged(|files| std::fs::remove_file(files.join("建筑.shx")).unwrap());
    assert!(source(&report, "建筑.shp")["warnings"].to_string().contains("shx"), "{report:#}");
    let (code, report) = import_damaged(|files| std::fs::remove_file(files.join("建筑.dbf")).unwrap());
    assert!(code == 1 || code == 3, "exit {code}: {report:#}");
    assert!(report.to_string().contains("dbf"), "{report:#}");
}

#[test]
fn one_bad_source_leaves_the_others_and_the_last_version_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (files, city, _) = tiny_city(folder.path());
    let scan = files.join("点云/街区扫描.laz");
    cut(&scan, 0.5);
    let (code, report) = run_json(&["import", text(&files), "--city", text(&city), CRS[0], CRS[1]]);
    assert_eq!(code, 3, "{report:#}");
    assert!(source(&report, "街区扫描.laz")["error"].is_string(), "{report:#}");
    let (code, info) = run_json(&["info", text(&city)]);
    assert_eq!(code, 0);
    let layers = info["layers"].as_array().unwrap();
    let scanned = layers.iter().find(|l| l["name"] == "街区扫描").expect("the scan of version 1 is still there");
    assert!(scanned["points"].as_u64().unwrap() > 1000);
}

#[test]
fn text_where_a_depth_belongs_is_skipped_by_record_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path());
    let lines = &files.join("地下管线/给水/JS_管线.csv");
    let bytes = std::fs::read(lines).unwrap();
    let rows: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    // The header says which column holds the depth at the start: 起点埋深 in GBK.
    let depth: &[u8] = &[0xc6, 0xf0, 0xb5, 0xe3, 0xc2, 0xf1, 0xc9, 0xee];
    let column = rows[0].split(|b| *b == b',').position(|c| c.starts_with(depth)).expect("a depth column");
    let mut third: Vec<Vec<u8>> = rows[3].split(|b| *b == b',').map(<[u8]>::to_vec).collect();
    third[column] = b"deep".to_vec();
    let mut damaged: Vec<Vec<u8>> = rows.iter().map(|r| r.to_vec()).collect();
    damaged[3] = third.join(&b","[..]);
    std::fs::write(lines, damaged.join(&b"\n"[..])).unwrap();

    let city = folder.path().join("a.city");
    let (code, report) = run_json(&["import", text(lines), "--city", text(&city), CRS[0], CRS[1]]);
    assert_eq!(code, 3, "{report:#}");
    let account = &report["sources"][0];
    assert_eq!(account["skipped"], 1, "{account:#}");
    assert!(account["skips"][0]["reason"].as_str().unwrap().contains("deep"), "{account:#}");
}

#[test]
fn an_ifc_with_a_syntax_error_is_refused_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.ifc");
    std::fs::write(&path, "ISO-10303-21;\nHEADER;\nFILE_SCHEMA(('IFC4'));\nENDSEC;\nDATA;\n#1=IFCPROJECT('x,$;\n")
        .unwrap();
    let city = folder.path().join("a.city");
    let (code, report) = run_json(&["import", text(&path), "--city", text(&city), CRS[0], CRS[1]]);
    assert_eq!(code, 1, "{report:#}");
    assert!(source(&report, "bad.ifc")["error"].is_string(), "{report:#}");
}

#[test]
fn a_reader_that_goes_away_is_no_error_message() {
    let folder = tempfile::tempdir().unwrap();
    let (_, city, _) = tiny_city(folder.path());
    let script = format!("'{}' info '{}' --json | true", env!("CARGO_BIN_EXE_groundline"), text(&city));
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn an_unknown_coordinate_system_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let files = tiny_sample(folder.path());
    let city = folder.path().join("a.city");
    let output = run(&["import", text(&files), "--city", text(&city), "--crs", "EPSG:999999"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("999999"));
}

#[test]
fn a_disk_that_is_full_leaves_the_city_at_its_last_version() {
    let folder = tempfile::tempdir().unwrap();
    let (files, city, _) = tiny_city(folder.path());
    let before = fingerprint(&city);
    // One building more, so that there is something to write; the shell's limit on file size stands in for the disk.
    let prj = files.join("基础测绘/建筑.cpg");
    std::fs::write(&prj, "GB18030").unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f 1; exec '{}' import '{}' --city '{}' --crs EPSG:4549",
        env!("CARGO_BIN_EXE_groundline"),
        text(&files.join("基础测绘/建筑.shp")),
        text(&city)
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(said.contains("File too large") || said.contains("os error 27"), "{said}");
    let (code, info) = run_json(&["info", text(&city)]);
    assert_eq!((code, info["version"].as_u64()), (0, Some(1)));
    let (code, _) = run_json(&["import", text(&files), "--city", text(&city), CRS[0], CRS[1]]);
    assert_eq!(code, 0, "with room again it works");
    assert!(fingerprint(&city).len() > before.len());
}

#[test]
fn a_kill_half_way_leaves_the_old_version_and_the_next_import_works() {
    let folder = tempfile::tempdir().unwrap();
    let (files, city, _) = tiny_city(folder.path());
    std::fs::write(files.join("基础测绘/建筑.cpg"), "GB18030").unwrap();
    for wait_ms in [5, 40, 120, 250] {
        let mut child = groundline()
            .args(["import", text(&files), "--city", text(&city), CRS[0], CRS[1]])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        let _ = child.kill();
        child.wait().unwrap();
        let (code, info) = run_json(&["info", text(&city)]);
        assert_eq!(code, 0, "killed after {wait_ms} ms: {info:#}");
        assert!(matches!(info["version"].as_u64(), Some(1 | 2)), "{info:#}");
    }
    let (code, _) = run_json(&["import", text(&files), "--city", text(&city), CRS[0], CRS[1]]);
    assert_eq!(code, 0);
    let (_, info) = run_json(&["info", text(&city)]);
    assert_eq!(info["version"], 2);
}

#[test]
fn a_city_is_asked_by_box_place_id_and_attribute() {
    let folder = tempfile::tempdir().unwrap();
    let (_, city, report) = tiny_city(folder.path());
    let extent = &source(&report, "建筑.shp")["extent"];
    let corner = |which: &str, axis: usize| extent[which][axis].as_f64().unwrap();
    let area = format!("{},{},{},{}", corner("min", 0), corner("min", 1), corner("max", 0), corner("max", 1));
    let (code, all) = run_json(&["query", text(&city), "box", &area, "--class", "building"]);
    assert_eq!(code, 0, "{all:#}");
    let count = all["features"].as_array().unwrap().len();
    assert_eq!(count as u64, source(&report, "建筑.shp")["objects"].as_u64().unwrap());

    let (code, tall) = run_json(&["query", text(&city), "where", "height_m > 20", "--class", "building"]);
    assert_eq!(code, 0, "{tall:#}");
    for found in tall["features"].as_array().unwrap() {
        assert!(found["properties"]["height_m"].as_f64().unwrap() > 20.0, "{found:#}");
    }
    assert!(tall["features"].as_array().unwrap().len() < count);

    let middle =
        format!("{},{}", (corner("min", 0) + corner("max", 0)) / 2.0, (corner("min", 1) + corner("max", 1)) / 2.0);
    let (code, near) = run_json(&["query", text(&city), "near", &middle, "--radius", "500", "--limit", "3"]);
    assert_eq!(code, 0, "{near:#}");
    let distances: Vec<f64> =
        near["features"].as_array().unwrap().iter().map(|f| f["properties"]["distance_m"].as_f64().unwrap()).collect();
    assert_eq!(distances.len(), 3);
    assert!(distances.is_sorted(), "{distances:?}");

    // What no object has is found nowhere, and said.
    let output = run(&["--lang", "en", "query", text(&city), "where", "hight_m > 20 AND class = 'building'", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.trim()), (Some(0), "no object has this attribute: hight_m"));
    let output = run(&["query", text(&city), "where", "height_m >"]);
    assert_eq!(output.status.code(), Some(2), "a filter that ends too early is wrong usage");
}

#[test]
fn one_bad_file_among_hundreds_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir_all(&files).unwrap();
    for number in 0..300 {
        let feature = format!(
            r#"{{"type":"FeatureCollection","crs":{{"type":"name","properties":{{"name":"EPSG:4549"}}}},"features":[
            {{"type":"Feature","id":1,"properties":{{}},"geometry":{{"type":"Point","coordinates":[{},3993000]}}}}]}}"#,
            521_000 + number
        );
        std::fs::write(files.join(format!("f{number}.geojson")), feature).unwrap();
    }
    std::fs::write(files.join("bad.dwg"), b"AC1032 and nothing that a drawing has").unwrap();
    std::fs::write(files.join("bad.ifc"), b"ISO-10303-21;\nHEADER;").unwrap();
    let city = folder.path().join("a.city");
    let (code, report) = run_json(&["import", text(&files), "--city", text(&city), "--layer", "points"]);
    assert_eq!((code, report["objects"].as_u64()), (3, Some(300)), "{report}");
    let errors: Vec<&str> = report["sources"].as_array().unwrap().iter().filter_map(|s| s["error"].as_str()).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn a_worker_is_not_for_people() {
    let output = run(&["worker"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("by an import"), "{output:?}");
}
