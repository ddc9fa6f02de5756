//! Imports that are stopped, resumed, repeated, and added to a layer.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use groundline_engine::{
    model::ImportReport,
    query::{Query, run},
    store::{City, kept_layers},
};

use super::{IntakeError, Progress, Request, import};

/// Objects of each file.
const EACH: usize = 120;

/// A GeoJSON file of `numbers`, each a square of its own; `height` tells two deliveries apart.
fn write_file(folder: &Path, name: &str, numbers: std::ops::Range<usize>, height: f64) -> PathBuf {
    let features: Vec<String> = numbers
        .map(|n| {
            let (x, y) = (120.3 + (n % 40) as f64 * 5e-4, 36.0 + (n / 40) as f64 * 5e-4);
            let ring = [(0.0, 0.0), (2e-4, 0.0), (2e-4, 2e-4), (0.0, 2e-4), (0.0, 0.0)]
                .map(|(u, v)| format!("[{:.6},{:.6}]", x + u, y + v));
            format!(
                r#"{{"type":"Feature","id":"{n}","properties":{{"height_m":{height}}},"geometry":{{"type":"Polygon","coordinates":[[{}]]}}}}"#,
                ring.join(",")
            )
        })
        .collect();
    let path = folder.join(name);
    std::fs::write(&path, format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","))).unwrap();
    path
}

/// Fourteen files of a layer each.
fn folder_of_files(place: &Path) -> PathBuf {
    let folder = place.join("files");
    std::fs::create_dir_all(&folder).unwrap();
    for file in 0..14 {
        write_file(&folder, &format!("f{file:02}.geojson"), file * EACH..(file + 1) * EACH, 9.0);
    }
    folder
}

fn request(sources: &[PathBuf], city: &Path, layer: Option<&str>) -> Request {
    let class = Some(groundline_engine::model::Class::Building);
    let options = crate::Options { class, ..crate::Options::default() };
    let layer = layer.map(str::to_owned);
    Request { sources: sources.to_vec(), city: city.to_owned(), layer, options, ..Request::default() }
}

fn done(sources: &[PathBuf], city: &Path, layer: Option<&str>) -> ImportReport {
    import(&request(sources, city, layer), &mut |_| {}).unwrap()
}

/// Imports and stops when `after` sources are finished; the layers that are kept then.
fn stopped(sources: &[PathBuf], city: &Path, after: usize) -> usize {
    let request = request(sources, city, None);
    let stop = request.stop.clone();
    let outcome = import(&request, &mut |progress| {
        if let Progress::Reading { done, .. } = progress
            && done >= after
        {
            stop.set();
        }
    });
    match outcome {
        Err(IntakeError::Stopped { kept, .. }) => kept,
        other => panic!("not stopped: {other:?}"),
    }
}

fn data(city: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![city.join("objects"), city.join("tiles")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(city).unwrap().display().to_string();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn heights(city: &Path, at: Option<i64>) -> Vec<(String, f64)> {
    let city = City::open(city).unwrap();
    let query = Query { at, ..Query::default() };
    let mut all: Vec<(String, f64)> =
        run(&city, &query).unwrap().map(|hit| hit.unwrap()).map(|hit| (hit.id, hit.extent.max.z)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn a_stopped_import_goes_on_and_makes_the_same_city() {
    let place = tempfile::tempdir().unwrap();
    let files = [folder_of_files(place.path())];
    let undisturbed = place.path().join("undisturbed.city");
    assert_eq!(done(&files, &undisturbed, None).objects_read, 14 * EACH as u64);
    for after in [1, 5, 12] {
        let city = place.path().join(format!("stopped-{after}.city"));
        let kept = stopped(&files, &city, after);
        // Layers may be finished beside the one that was waited for.
        assert!(kept >= after && kept <= 14, "{kept} kept after {after}");
        assert_eq!(City::open(&city).unwrap().version(), 0);
        let report = done(&files, &city, None);
        assert_eq!(report.resumed, kept as u64);
        assert!(report.objects_read <= ((14 - kept) * EACH) as u64, "nothing that was finished is read again");
        assert_eq!(report.objects, 14 * EACH as u64, "the account has all");
        assert_eq!(report.sources.iter().filter(|s| s.resumed).count(), kept);
        assert_eq!(data(&city), data(&undisturbed));
        assert!(!city.join(".resume").exists());
    }
}

/// Imports one layer and stops when so many objects are read; how many times it did so until the import came to its end,
/// and how many objects were read altogether.
fn in_steps(sources: &[PathBuf], city: &Path, step: u64, damage: &dyn Fn(&Path)) -> (usize, u64, ImportReport) {
    let (mut stops, mut read) = (0, 0);
    loop {
        let request = request(sources, city, Some("all"));
        let stop = request.stop.clone();
        let mut now = 0;
        let outcome = import(&request, &mut |progress| {
            if let Progress::Reading { taken, .. } = progress {
                now = taken.max(now);
                if taken >= read + step {
                    stop.set();
                }
            }
        });
        match outcome {
            Ok(report) => return (stops, read + report.objects_read, report),
            Err(IntakeError::Stopped { kept, begun }) if kept + begun == 1 => {}
            other => panic!("{other:?}"),
        }
        stops += 1;
        read = now;
        damage(&city.join(".resume"));
        assert!(stops < 100, "it never comes to its end");
    }
}

#[test]
fn a_layer_of_many_sources_goes_on_within_a_source() {
    let place = tempfile::tempdir().unwrap();
    let files = [folder_of_files(place.path())];
    let undisturbed = place.path().join("undisturbed.city");
    let whole = done(&files, &undisturbed, Some("all"));
    let city = place.path().join("stopped.city");
    let (stops, _, report) = in_steps(&files, &city, 3 * EACH as u64, &|_| {});
    assert!(stops >= 2, "{stops}");
    assert!(report.objects_read < 8 * EACH as u64, "{} were read again", report.objects_read);
    assert_eq!(report.objects, whole.objects);
    let accounts = |report: &ImportReport| -> Vec<(String, u64)> {
        report.sources.iter().map(|source| (source.path.clone(), source.objects)).collect()
    };
    assert_eq!(accounts(&report), accounts(&whole));
    assert_eq!(data(&city), data(&undisturbed));
    assert!(!city.join(".resume").exists());
}

/// Cuts the end off a file.
fn damage(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, &text[..text.len() * 2 / 3]).unwrap();
}

#[test]
fn a_source_that_fails_is_left_out_of_its_layer() {
    let place = tempfile::tempdir().unwrap();
    let good = write_file(place.path(), "a.geojson", 0..500, 9.0);
    let bad = write_file(place.path(), "b.geojson", 500..1000, 9.0);
    damage(&bad);
    let last = write_file(place.path(), "c.geojson", 1000..1700, 9.0);
    let (city, without) = (place.path().join("a.city"), place.path().join("b.city"));
    let report = done(&[good.clone(), bad.clone(), last.clone()], &city, Some("all"));
    let counts: Vec<(bool, u64)> = report.sources.iter().map(|s| (s.error.is_some(), s.objects)).collect();
    assert_eq!(counts, [(false, 500), (true, 0), (false, 700)]);
    assert_eq!((report.version, report.objects), (1, 1200));
    done(&[good.clone(), last.clone()], &without, Some("all"));
    assert_eq!(data(&city), data(&without), "as if it had not been there");
    let sources = City::open(&city).unwrap().layer("all").unwrap().sources.len();
    assert_eq!(sources, 2);
    assert!(!city.join(".resume").exists());

    // Delivered again, whole: it alone is read.
    write_file(place.path(), "b.geojson", 500..1000, 9.0);
    let report = done(&[good.clone(), bad.clone(), last.clone()], &city, Some("all"));
    assert_eq!((report.version, report.objects_read), (2, 500));
    let all = City::open(&city).unwrap().layer("all").unwrap().objects;
    assert_eq!(all, 1700);

    // A later delivery is damaged: what the city has of that source stays, and another new one is taken.
    damage(&bad);
    write_file(place.path(), "c.geojson", 1000..1700, 12.0);
    let report = done(&[good.clone(), bad.clone(), last.clone()], &city, Some("all"));
    assert_eq!(report.version, 3);
    assert_eq!(report.sources.iter().filter(|s| s.error.is_some()).count(), 1);
    let found = heights(&city, None);
    assert_eq!(found.len(), 1700);
    assert_eq!(found.iter().filter(|(_, height)| *height == 12.0).count(), 700);

    // The only one that changed is damaged: nothing happens, and it is tried again the next time.
    for _ in 0..2 {
        let outcome = import(&request(&[good.clone(), bad.clone(), last.clone()], &city, Some("all")), &mut |_| {});
        let version = match outcome {
            Ok(report) => report.version,
            Err(IntakeError::Nothing(report)) => report.version,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(version, 3);
    }
}

#[test]
fn one_large_file_goes_on_where_it_was_and_a_damaged_checkpoint_begins_anew() {
    let place = tempfile::tempdir().unwrap();
    let count = 20_000;
    let files = [write_file(place.path(), "large.geojson", 0..count, 9.0)];
    let undisturbed = place.path().join("undisturbed.city");
    done(&files, &undisturbed, Some("all"));
    for damaged in [false, true] {
        let city = place.path().join(format!("stopped-{damaged}.city"));
        let is_first = std::cell::Cell::new(true);
        let damage = |resume: &Path| {
            if damaged && is_first.replace(false) {
                let draft = std::fs::read_dir(resume).unwrap().next().unwrap().unwrap().path();
                let path = draft.join("checkpoint");
                let mut bytes = std::fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(path, bytes).unwrap();
            }
        };
        let (stops, _, report) = in_steps(&files, &city, count as u64 / 4, &damage);
        assert!(stops >= 2, "{stops}");
        assert!(report.objects_read < count as u64 / 2, "{} were read in the last import", report.objects_read);
        assert_eq!(report.objects, count as u64);
        assert_eq!(data(&city), data(&undisturbed), "damaged: {damaged}");
        assert!(!city.join(".resume").exists());
    }
}

#[test]
fn a_source_that_changed_in_between_is_read_again_and_only_that() {
    let place = tempfile::tempdir().unwrap();
    let folder = folder_of_files(place.path());
    let files = [folder.clone()];
    let city = place.path().join("a.city");
    let kept = stopped(&files, &city, 13);
    assert!(kept >= 13, "{kept}");
    for file in 0..14 {
        write_file(&folder, &format!("f{file:02}.geojson"), file * EACH..(file + 1) * EACH, 9.0);
    }
    // Written again, but the same: the hash counts, not the time. One is another.
    write_file(&folder, "f03.geojson", 0..50, 4.0);
    let report = done(&files, &city, None);
    assert!(report.resumed >= 12, "{}", report.resumed);
    let changed = report.sources.iter().find(|s| s.path.ends_with("f03.geojson")).unwrap();
    assert_eq!((changed.objects, changed.resumed), (50, false));
    let other = place.path().join("b.city");
    done(&files, &other, None);
    assert_eq!(data(&city), data(&other));
}

#[test]
fn other_options_take_nothing_over_and_nothing_is_left_of_a_stopped_import() {
    let place = tempfile::tempdir().unwrap();
    let files = [folder_of_files(place.path())];
    let city = place.path().join("a.city");
    assert!(stopped(&files, &city, 6) >= 6);
    let mut other = request(&files, &city, None);
    other.options.stage = Some(groundline_engine::model::Stage::Planned);
    let report = import(&other, &mut |_| {}).unwrap();
    assert_eq!((report.resumed, report.objects_read), (0, 14 * EACH as u64));
    assert_eq!(kept_layers(&city), 0);
    // Nothing was finished: no empty city is left.
    let empty = place.path().join("b.city");
    let request = request(&files, &empty, None);
    request.stop.set();
    assert!(matches!(import(&request, &mut |_| {}), Err(IntakeError::Stopped { kept: 0, begun: 0 })));
    assert!(!empty.exists());
}

#[test]
fn importing_again_reads_only_what_changed_and_ends_what_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let folder = folder_of_files(place.path());
    let files = [folder.clone()];
    let city = place.path().join("a.city");
    done(&files, &city, None);
    let report = done(&files, &city, None);
    assert_eq!((report.objects_read, report.version), (0, 1));
    let first = chrono::Utc::now().timestamp_millis();
    std::thread::sleep(std::time::Duration::from_millis(5));
    write_file(&folder, "f00.geojson", 10..EACH, 9.0);
    let report = done(&files, &city, None);
    assert_eq!((report.objects_read, report.version), (EACH as u64 - 10, 2));
    assert_eq!((report.changes.ended, report.changes.same, report.changes.changed), (10, EACH as u64 - 10, 0));
    assert_eq!(heights(&city, None).len(), 14 * EACH - 10);
    assert_eq!(heights(&city, Some(first)).len(), 14 * EACH);
    let layer = City::open(&city).unwrap().layer("f00").unwrap().clone();
    assert_eq!((layer.objects, layer.ended), (EACH as u64 - 10, 10));
}

#[test]
fn a_second_file_is_added_to_a_layer_and_each_is_replaced_by_itself() {
    let place = tempfile::tempdir().unwrap();
    let a = write_file(place.path(), "a.geojson", 0..20, 9.0);
    let b = write_file(place.path(), "b.geojson", 100..130, 5.0);
    let city = place.path().join("a.city");
    let count = |wanted: &str| heights(&city, None).iter().filter(|(id, _)| id.starts_with(wanted)).count();
    done(std::slice::from_ref(&a), &city, Some("all"));
    let ids = heights(&city, None);
    // Without the layer's name it is not clear what is meant.
    let report = done(std::slice::from_ref(&b), &city, Some("all"));
    assert_eq!((report.objects_read, report.changes.same, report.changes.added), (30, 20, 30));
    let account = report.sources.iter().find(|s| s.path.ends_with("b.geojson")).unwrap();
    assert!(account.warnings.iter().any(|w| w.code == "other_sources_kept"), "{account:?}");
    assert_eq!((count("all/b/"), count("all/")), (30, 50));
    assert!(ids.iter().all(|old| heights(&city, None).contains(old)), "what was there kept its ids");

    // Either alone, unchanged: nothing to do.
    assert_eq!(done(std::slice::from_ref(&a), &city, Some("all")).version, 2);
    assert_eq!(done(&[b.clone(), a.clone()], &city, Some("all")).version, 2);
    // One changed: the other is not read.
    write_file(place.path(), "a.geojson", 5..20, 9.0);
    let report = done(&[a.clone(), b.clone()], &city, Some("all"));
    assert_eq!((report.objects_read, report.changes.ended, report.changes.same), (15, 5, 45));
    assert!(report.sources.iter().any(|s| s.path.ends_with("b.geojson") && s.unchanged));
    let layer = City::open(&city).unwrap().layer("all").unwrap().clone();
    assert_eq!((layer.objects, layer.sources.len()), (45, 2));

    // A file of the same name elsewhere is another source, and only by the layer's name.
    let elsewhere = place.path().join("all");
    std::fs::create_dir(&elsewhere).unwrap();
    let third = write_file(&elsewhere, "all.geojson", 200..203, 1.0);
    done(std::slice::from_ref(&third), &city, Some("all"));
    assert_eq!(City::open(&city).unwrap().layer("all").unwrap().objects, 48);
    let other = place.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let fourth = write_file(&other, "all.geojson", 300..303, 1.0);
    let refused = import(&request(&[fourth], &city, None), &mut |_| {});
    assert!(matches!(&refused, Err(IntakeError::Usage(text)) if text.contains("--layer all")), "{refused:?}");
}

#[test]
fn a_city_of_a_stopped_import_does_not_bind_the_next_to_its_system() {
    let place = tempfile::tempdir().unwrap();
    let files = [folder_of_files(place.path())];
    let city = place.path().join("a.city");
    stopped(&files, &city, 3);
    let was = City::open(&city).unwrap().crs().label();
    let mut other = request(&files, &city, None);
    other.options.crs = Some(groundline_engine::crs::Crs::from_epsg(4547).unwrap());
    let outcome = import(&other, &mut |_| {});
    // Degrees read as metres of another system: what matters is whose system the city has.
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(City::open(&city).unwrap().crs().label(), "EPSG:4547");
    assert_ne!(was, "EPSG:4547");
}

#[test]
fn a_source_that_cannot_lie_in_the_system_that_was_said_does_not_end_the_import() {
    let place = tempfile::tempdir().unwrap();
    let good = write_file(place.path(), "good.geojson", 0..20, 9.0);
    // Projected coordinates, said to be degrees: what would be the city's system has no longitude -54000.
    let bad = place.path().join("bad.geojson");
    std::fs::write(&bad, std::fs::read_to_string(&good).unwrap().replace("[120.", "[-54000.")).unwrap();
    let city = place.path().join("a.city");
    let mut said = request(&[bad.clone(), good.clone()], &city, None);
    said.options.crs = Some(groundline_engine::crs::Crs::from_epsg(4326).unwrap());
    let report = import(&said, &mut |_| {}).unwrap();
    let account = |name: &str| report.sources.iter().find(|s| s.path.ends_with(name)).unwrap();
    assert_eq!((account("good.geojson").objects, account("good.geojson").skipped), (20, 0));
    assert_eq!((account("bad.geojson").objects, account("bad.geojson").skipped), (0, 20));
    assert_eq!(report.objects, 20);
    let alone = place.path().join("b.city");
    done(std::slice::from_ref(&good), &alone, None);
    assert_eq!(City::open(&city).unwrap().crs().label(), City::open(&alone).unwrap().crs().label());
    // None of them says where it is: that is told, with what to do.
    let none = Request { sources: vec![bad], city: place.path().join("c.city"), ..said };
    let refused = import(&none, &mut |_| {});
    assert!(matches!(&refused, Err(IntakeError::Usage(text)) if text.contains("--crs")), "{refused:?}");
}
