//! Half a minute of the tour that `make tour` flies for ten: memory, frame times, errors of the graphics library, bare ground.

mod common;

use common::{groundline, hilly_city, text};
use serde_json::Value;

#[test]
fn a_short_tour_keeps_its_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let city = hilly_city(folder.path());
    let args = ["--seconds", "30", "--lap", "14", "--size", "160x90", "--memory-limit", "24"];
    let output = groundline().args(["tour", text(&city)]).args(args).output().unwrap();
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{said}{told}"));
    assert_eq!(said.lines().count(), 1, "one line");
    for nothing in ["validation_errors", "other_graphics_errors", "bare_tile_frames", "bare_pixels"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}");
    }
    assert!(report["looked_frames"].as_u64() > Some(5) && report["laps"] == 2, "{report}");
    // Both looks see bare ground where there is some.
    assert!(
        report["bare_when_taken_away"].as_array().unwrap().iter().all(|count| count.as_u64() > Some(0)),
        "{report}"
    );
    // A machine with other work keeps no pace; every other bound holds at once.
    let pace = ["percentile", "a frame of"];
    let broken = report["broken"].as_array().unwrap().iter().filter_map(Value::as_str);
    let broken: Vec<&str> = broken.filter(|broken| !pace.iter().any(|bound| broken.contains(bound))).collect();
    assert!(broken.is_empty(), "{broken:?} {report}");
    assert_eq!(output.status.success(), report["broken"].as_array().unwrap().is_empty(), "{told}");
}
