//! Views as text and tours, on the command line.

mod common;

use common::{run, run_json, text, tiny_sample};

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
