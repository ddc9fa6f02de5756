//! Layers that a stopped import had finished.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    City, Draft, StoreError,
    disk::{FAIL_AT, Step},
    kept_layers,
    tests::{building, dem, files, new_city, pipe, source},
};
use crate::model::{CityObject, ImportReport, SourceReport};

fn layers() -> Vec<(&'static str, Vec<CityObject>)> {
    let buildings = (1..=40).map(building).collect();
    vec![("buildings", buildings), ("dem", vec![dem(42.0)]), ("pipes", vec![pipe(1), pipe(2)])]
}

/// Imports as the importers do: the ground first, then layer by layer, each taken over where it is kept.
/// Stops before the commit unless `commits`; returns the layers that were made by this import.
fn go_on(
    city: &City,
    layers: &[(&str, Vec<CityObject>)],
    only: usize,
    commits: bool,
) -> Result<(Vec<String>, ImportReport), StoreError> {
    let mut draft: Draft = city.begin()?;
    draft.keep_finished();
    for (layer, objects) in layers.iter().filter(|(name, _)| *name == "dem") {
        draft.replace_layer(layer, source(layer))?;
        for object in objects {
            draft.push(layer, object.clone())?;
        }
    }
    let mut site = draft.settle()?;
    let mut made = Vec::new();
    let mut to_make = Vec::new();
    for writer in site.take_started() {
        if site.adopt_started(&writer).is_none() {
            to_make.push((writer, Vec::new()));
        }
    }
    for (layer, objects) in layers.iter().filter(|(name, _)| *name != "dem") {
        match site.adopt(layer, &source(layer), &[]) {
            Some(accounts) => assert_eq!(accounts[0].path, *layer),
            None => to_make.push((site.start(layer, source(layer), Vec::new())?, objects.clone())),
        }
    }
    site.drop_others([]);
    for (mut writer, objects) in to_make.into_iter().take(only) {
        for object in objects {
            writer.push(object)?;
        }
        let name = writer.name().to_owned();
        made.push(name.clone());
        site.finish(writer, &[SourceReport { path: name, ..SourceReport::default() }])?;
    }
    let mut report = ImportReport::default();
    if commits {
        site.commit(&mut report)?;
    }
    Ok((made, report))
}

fn data(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = files(folder);
    found.retain(|name, _| name.starts_with("objects/") || name.starts_with("tiles/"));
    found
}

#[test]
fn finished_layers_are_taken_over_and_the_city_is_the_same() {
    let (_dir, undisturbed) = new_city();
    go_on(&undisturbed, &layers(), 9, true).unwrap();
    for stop_after in 0..=3 {
        let (_dir, city) = new_city();
        let (made, _) = go_on(&city, &layers(), stop_after, false).unwrap();
        assert_eq!((made.len(), kept_layers(city.folder())), (stop_after, stop_after));
        assert_eq!(City::open(city.folder()).unwrap().version(), 0);
        let (made, report) = go_on(&city, &layers(), 9, true).unwrap();
        assert_eq!((made.len(), report.resumed), (3 - stop_after, stop_after as u64));
        assert_eq!(data(city.folder()), data(undisturbed.folder()), "stopped after {stop_after}");
        assert_eq!(City::open(city.folder()).unwrap().verify().unwrap(), []);
        assert!(!city.folder().join(".resume").exists(), "swept after the commit");
    }
}

#[test]
fn a_crash_in_the_commit_loses_no_finished_layer() {
    for step in [Step::Staged, Step::Moving, Step::Moved, Step::Reported, Step::Manifested] {
        let (_dir, city) = new_city();
        FAIL_AT.set(Some(step));
        let failed = go_on(&city, &layers(), 9, true);
        FAIL_AT.set(None);
        assert!(failed.is_err(), "{step:?}");
        let (made, report) = go_on(&city, &layers(), 9, true).unwrap();
        assert_eq!((made.len(), report.resumed, report.version), (0, 3, 1), "{step:?}");
        assert_eq!(City::open(city.folder()).unwrap().verify().unwrap(), [], "{step:?}");
    }
}

#[test]
fn what_is_damaged_or_of_another_import_is_made_anew() {
    let (_dir, undisturbed) = new_city();
    go_on(&undisturbed, &layers(), 9, true).unwrap();
    let damage: [&dyn Fn(&Path); 4] = [
        &|path| fs::write(path, b"").unwrap(),
        &|path| fs::remove_file(path).unwrap(),
        &|path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(path, bytes).unwrap();
        },
        &|path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        },
    ];
    for (number, damage) in damage.iter().enumerate() {
        for ending in ["layer.json", ".parquet", ".ids", ".glb", ".json"] {
            let (_dir, city) = new_city();
            go_on(&city, &layers(), 9, false).unwrap();
            let kept = files(&city.folder().join(".resume"));
            let mut hit = 0;
            for name in kept.keys().filter(|name| name.ends_with(ending)) {
                damage(&city.folder().join(".resume").join(name));
                hit += 1;
            }
            assert!(hit > 0, "{ending}");
            let (made, report) = go_on(&city, &layers(), 9, true).unwrap();
            assert_eq!(made.len() as u64 + report.resumed, 3);
            assert!(!made.is_empty(), "damage {number} of {ending} was not noticed");
            assert_eq!(data(city.folder()), data(undisturbed.folder()), "damage {number} of {ending}");
        }
    }
    // Another terrain is below: nothing of what stood on the old one is taken over, nor is it left lying about.
    let (_dir, city) = new_city();
    go_on(&city, &layers(), 9, false).unwrap();
    let mut other = layers();
    other[1].1 = vec![dem(43.0)];
    let (made, report) = go_on(&city, &other, 9, true).unwrap();
    assert_eq!((made.len(), report.resumed), (3, 0));
    // A file where the folder should be is no reason to fail.
    let (_dir, city) = new_city();
    fs::write(city.folder().join(".resume"), b"x").unwrap();
    let (made, report) = go_on(&city, &layers(), 9, true).unwrap();
    assert_eq!((made.len(), report.version), (3, 1));
    // An import that has nothing to do with it, and the removal of garbage, sweep it.
    go_on(&city, &[("more", vec![pipe(9)])], 9, false).unwrap();
    assert_eq!(kept_layers(city.folder()), 1);
    city.collect_garbage().unwrap();
    assert!(!city.folder().join(".resume").join("x").exists() && kept_layers(city.folder()) == 0);
}
