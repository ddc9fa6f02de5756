//! Imports that are killed or stopped go on where they were; what vanishes from a source is ended.

mod common;

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use common::{fingerprint, groundline, run_json, text};

const FILES: usize = 14;
const EACH: usize = 1500;

/// Files of a layer each.
fn write_files(place: &Path) -> PathBuf {
    let folder = place.join("files");
    std::fs::create_dir_all(&folder).unwrap();
    for file in 0..FILES {
        write_file(&folder.join(format!("f{file:02}.geojson")), file * EACH..(file + 1) * EACH);
    }
    folder
}

fn write_file(path: &Path, numbers: std::ops::Range<usize>) {
    let features: Vec<String> = numbers
        .map(|n| {
            let (x, y) = (120.3 + (n % 200) as f64 * 5e-4, 36.0 + (n / 200) as f64 * 5e-4);
            let ring = [(0.0, 0.0), (2e-4, 0.0), (2e-4, 2e-4), (0.0, 2e-4), (0.0, 0.0)]
                .map(|(u, v)| format!("[{:.6},{:.6}]", x + u, y + v));
            format!(
                r#"{{"type":"Feature","id":"{n}","properties":{{"height_m":9}},"geometry":{{"type":"Polygon","coordinates":[[{}]]}}}}"#,
                ring.join(",")
            )
        })
        .collect();
    std::fs::write(path, format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","))).unwrap();
}

fn import_args<'a>(files: &'a Path, city: &'a Path) -> [&'a str; 6] {
    ["import", text(files), "--city", text(city), "--class", "building"]
}

fn kept(city: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(city.join(".resume")) else { return 0 };
    entries.flatten().filter(|e| e.path().join("layer.json").exists()).count()
}

/// Starts the import and waits until `wanted` layers are kept. `None` when it ended before.
fn started(files: &Path, city: &Path, wanted: usize) -> Option<Child> {
    let mut child =
        groundline().args(import_args(files, city)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while kept(city) < wanted {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    Some(child)
}

/// Objects and tiles of a city.
fn data(city: &Path) -> Vec<(String, u64)> {
    fingerprint(city).into_iter().filter(|(n, _)| n.starts_with("objects/") || n.starts_with("tiles/")).collect()
}

#[test]
fn a_killed_import_goes_on_and_repeats_what_was_in_progress_only() {
    let place = tempfile::tempdir().unwrap();
    let files = write_files(place.path());
    let undisturbed = place.path().join("undisturbed.city");
    let (code, whole) = run_json(&import_args(&files, &undisturbed));
    assert_eq!((code, whole["objects"].as_u64()), (0, Some((FILES * EACH) as u64)), "{whole:#}");
    let expected = data(&undisturbed);
    for wanted in [1, 4, 8, 12] {
        let city = place.path().join(format!("killed-{wanted}.city"));
        let mut child = started(&files, &city, wanted).expect("killed before its end");
        child.kill().unwrap();
        child.wait().unwrap();
        let there = kept(&city);
        let (code, info) = run_json(&["info", text(&city)]);
        assert_eq!((code, info["version"].as_u64()), (0, Some(0)), "{info:#}");
        let (code, report) = run_json(&import_args(&files, &city));
        assert_eq!((code, report["version"].as_u64()), (0, Some(1)), "{report:#}");
        assert!(there >= wanted && report["resumed"].as_u64() == Some(there as u64), "{report:#}");
        assert!(report["objects_read"].as_u64() <= Some(((FILES - there) * EACH) as u64), "{report:#}");
        assert_eq!(report["objects"], whole["objects"]);
        assert_eq!(data(&city), expected, "killed after {wanted}");
        assert!(!std::fs::read_dir(&city).unwrap().flatten().any(|e| {
            let name = e.file_name().to_string_lossy().into_owned();
            name.starts_with(".staging") || name == ".resume"
        }));
    }
}

#[test]
fn ctrl_c_stops_an_import_and_the_next_one_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let files = write_files(place.path());
    for (signals, wanted) in [(vec!["-INT"], 2), (vec!["-TERM"], 5), (vec!["-INT", "-INT"], 3)] {
        let city = place.path().join(format!("stopped-{wanted}.city"));
        let mut child = started(&files, &city, wanted).expect("stopped before its end");
        let at = Instant::now();
        for signal in &signals {
            std::process::Command::new("kill").args([*signal, child.id().to_string().as_str()]).status().unwrap();
        }
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{signals:?}");
        assert!(at.elapsed() < Duration::from_secs(3), "{:?}", at.elapsed());
        let (code, info) = run_json(&["info", text(&city)]);
        assert_eq!((code, info["version"].as_u64()), (0, Some(0)), "{info:#}");
        let (code, report) = run_json(&import_args(&files, &city));
        assert_eq!(code, 0, "{report:#}");
        assert!(report["resumed"].as_u64() >= Some(wanted as u64), "{report:#}");
        assert_eq!(report["objects"].as_u64(), Some((FILES * EACH) as u64));
    }
}

#[test]
fn progress_is_quiet_when_nobody_watches_and_a_finished_import_says_what_changed() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("houses.geojson");
    write_file(&file, 0..10);
    let city = place.path().join("a.city");
    let output = groundline().args(import_args(&file, &city)).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    let (_, before) = run_json(&["query", text(&city), "where", "class = 'building'"]);
    std::thread::sleep(Duration::from_millis(1100));
    let time = chrono::Utc::now().to_rfc3339();
    std::thread::sleep(Duration::from_millis(20));
    write_file(&file, 3..12);
    let (code, report) = run_json(&import_args(&file, &city));
    assert_eq!(code, 0, "{report:#}");
    let changes = &report["changes"];
    assert_eq!(
        (changes["ended"].as_u64(), changes["added"].as_u64(), changes["same"].as_u64()),
        (Some(3), Some(2), Some(7))
    );
    let count = |answer: &serde_json::Value| answer["features"].as_array().unwrap().len();
    let (_, now) = run_json(&["query", text(&city), "where", "class = 'building'"]);
    assert_eq!((count(&before), count(&now)), (10, 9));
    let (code, then) = run_json(&["query", text(&city), "at", &time]);
    assert_eq!((code, count(&then)), (0, 10), "{then:#}");
    let (_, then) = run_json(&["query", text(&city), "where", "id = 'houses/1'", "--at", &time]);
    assert_eq!(count(&then), 1);
    assert!(then["features"][0]["properties"]["valid_to"].is_string(), "{then:#}");
    let (_, info) = run_json(&["info", text(&city)]);
    assert_eq!((info["layers"][0]["objects"].as_u64(), info["layers"][0]["ended"].as_u64()), (Some(9), Some(3)));
    // A second file into the layer, and each again by itself.
    let second = place.path().join("more.geojson");
    write_file(&second, 100..105);
    let args = [&import_args(&second, &city)[..], &["--layer", "houses"]].concat();
    let (code, report) = run_json(&args);
    assert_eq!((code, report["objects_read"].as_u64()), (0, Some(5)), "{report:#}");
    let (_, info) = run_json(&["info", text(&city)]);
    assert_eq!(info["layers"][0]["objects"], 14);
}

/// Tiles that are written for layers that are not finished, and bytes of the journals beside them.
fn begun(city: &Path) -> (Vec<PathBuf>, u64) {
    let (mut tiles, mut bytes) = (Vec::new(), 0);
    let mut folders = vec![city.join(".resume")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "glb") {
                tiles.push(path);
            } else if path.ends_with("journal") {
                bytes += entry.metadata().map_or(0, |m| m.len());
            }
        }
    }
    (tiles, bytes)
}

#[test]
fn one_large_file_that_is_killed_again_and_again_goes_on_and_keeps_the_tiles_that_it_has() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("houses.geojson");
    let count = 60_000;
    write_file(&file, 0..count);
    let undisturbed = place.path().join("undisturbed.city");
    let (code, whole) = run_json(&import_args(&file, &undisturbed));
    assert_eq!(code, 0, "{whole:#}");
    let all = whole["tiles"].as_u64().unwrap() as usize;
    let city = place.path().join("killed.city");
    let (mut kills, mut kept) = (0, 0);
    for part in [0.1, 0.4, 0.8] {
        let mut child =
            groundline().args(import_args(&file, &city)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while begun(&city).0.len() < (all as f64 * part) as usize && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        let (tiles, journal) = begun(&city);
        assert!(tiles.len() >= kept && journal > 0, "{} tiles of {all}, {journal} bytes", tiles.len());
        kept = tiles.len();
    }
    assert_eq!(kills, 3, "it came to its end before it was killed");
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for tile in begun(&city).0 {
        std::fs::File::options().write(true).open(tile).unwrap().set_modified(old).unwrap();
    }
    let (code, report) = run_json(&import_args(&file, &city));
    assert_eq!((code, report["objects"].as_u64()), (0, Some(count as u64)), "{report:#}");
    assert_eq!(data(&city), data(&undisturbed));
    let mut taken_over = 0;
    for (name, _) in data(&city) {
        taken_over += usize::from(city.join(name).metadata().unwrap().modified().unwrap() == old);
    }
    // A tile that was being written when it was killed is written again.
    assert!(taken_over + 4 >= kept, "{taken_over} of {kept} tiles were taken over");
    assert!(!city.join(".resume").exists());
}
