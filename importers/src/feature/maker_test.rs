//! Features made side by side.

use std::fmt::Write;

use crate::{Options, geojson, trial::Trial};

/// Ten thousand footprints, some with an id that comes twice, far apart; some without area, some without a number.
fn collection() -> String {
    let mut text = String::from(r#"{"type":"FeatureCollection","features":["#);
    for i in 0..10_000_u32 {
        let (x, y) = (120.1 + f64::from(i % 100) * 0.001, 36.1 + f64::from(i / 100) * 0.001);
        let id = if i % 1000 == 999 { i - 900 } else { i };
        let far = if i % 777 == 5 { x } else { x + 0.0005 };
        let first = if i % 3001 == 7 { "\"a\"".into() } else { x.to_string() };
        let _ = write!(
            text,
            r#"{}{{"type":"Feature","properties":{{"编号":"b{id}","height":{}.5}},"geometry":{{"type":"Polygon","coordinates":[[[{first},{y}],[{far},{y}],[{far},{}],[{x},{y}]]]}}}}"#,
            if i == 0 { "" } else { "," },
            10 + i % 50,
            y + 0.0004
        );
    }
    text + "]}"
}

fn on(threads: usize, path: &std::path::Path) -> Trial {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| Trial::of(&geojson::FORMAT, path, &Options::default(), 4549))
}

#[test]
fn the_number_of_cores_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("buildings.geojson");
    std::fs::write(&path, collection()).unwrap();
    let (one, four) = (on(1, &path), on(4, &path));
    assert!(one.outcome.is_ok(), "{:?}", one.outcome);
    assert_eq!(one.report, four.report);
    assert_eq!(one.objects, four.objects);

    assert_eq!(one.objects.len() as u64 + one.report.skipped, 10_000);
    let records: Vec<u64> = one.objects.iter().map(|o| o.record).collect();
    assert!(records.windows(2).all(|w| w[0] < w[1]), "objects come in the order of their records");
    let places: Vec<u64> = one.report.skips.iter().map(|s| s.record).collect();
    assert!(places.windows(2).all(|w| w[0] < w[1]), "skips too: {places:?}");
    assert_eq!(&places[..2], &[6, 8], "no area, no number");
}

#[test]
fn an_id_that_was_taken_thousands_of_records_before_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("buildings.geojson");
    std::fs::write(&path, collection()).unwrap();
    let trial = on(2, &path);
    let again = trial.report.warnings.iter().find(|w| w.code == "duplicate_id").unwrap();
    assert_eq!((again.count, again.place.as_str()), (10, "record 1000"));
    let ids: std::collections::HashSet<&str> = trial.objects.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(ids.len(), trial.objects.len());
    assert!(ids.contains("t/b99") && ids.contains("t/b99~1000"), "id 99 belongs to record 100 and came again in 1000");
}
