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
        (image::open(&out).unwrap().to_rgb8(), report["tiles"].clone())
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
