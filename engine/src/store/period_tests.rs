//! Periods of objects over several imports, and layers of several sources.

use super::{
    City, SourceRef, StoreError,
    tests::{CORNER, building, dem, import, new_city, pipe, source},
};
use crate::{
    model::{Attribute, CityObject, Geometry, ImportReport, ObjectId, Value},
    query::{Query, Shape, run},
};
use glam::DVec3;

fn ids_at(city: &City, at: Option<i64>) -> Vec<String> {
    let query = Query { at, ..Query::default() };
    let mut ids: Vec<String> = run(city, &query).unwrap().map(|hit| hit.unwrap().id).collect();
    ids.sort();
    ids
}

fn now_ms() -> i64 {
    // Times of imports are whole milliseconds: two must not fall into one.
    std::thread::sleep(std::time::Duration::from_millis(5));
    let now = chrono::Utc::now().timestamp_millis();
    std::thread::sleep(std::time::Duration::from_millis(5));
    now
}

fn higher(number: u64) -> CityObject {
    let mut object = building(number);
    if let Geometry::Block(block) = &mut object.geometry {
        block.height_m = 99.0;
    }
    object
}

fn open(city: &City) -> City {
    City::open(city.folder()).unwrap()
}

#[test]
fn what_vanishes_is_ended_and_found_only_at_its_time() {
    let (_dir, city) = new_city();
    import(&city, &[("buildings", vec![building(1), building(2), building(3)])]).unwrap();
    let first = now_ms();
    let report = import(&city, &[("buildings", vec![building(1), higher(2), building(4)])]).unwrap();
    let changes = report.changes;
    assert_eq!((changes.same, changes.changed, changes.added, changes.ended), (1, 1, 1, 1));
    let second = now_ms();
    let report = import(&city, &[("buildings", vec![building(1), higher(2), building(3), building(4)])]).unwrap();
    assert_eq!((report.changes.same, report.changes.added, report.changes.ended), (3, 1, 0));
    let third = now_ms();

    let city = open(&city);
    let layer = city.layer("buildings").unwrap();
    assert_eq!(
        (layer.objects, layer.ended, layer.ended_files.len()),
        (4, 2, 1),
        "two states ended, no object counts twice"
    );
    let id = |n: u64| format!("buildings/{n}");
    assert_eq!(ids_at(&city, None), [id(1), id(2), id(3), id(4)]);
    assert_eq!(ids_at(&city, Some(first)), [id(1), id(2), id(3)]);
    assert_eq!(ids_at(&city, Some(second)), [id(1), id(2), id(4)]);
    assert_eq!(ids_at(&city, Some(third)), [id(1), id(2), id(3), id(4)]);

    // The changed one kept its id and has one state at each time, everywhere that is asked for it.
    let corner = (CORNER + glam::DVec2::new(45.0, 5.0)).extend(0.0);
    let tops = |at| -> Vec<f64> {
        let shape = Shape::Box { min: corner - DVec3::splat(1.0), max: corner + DVec3::new(1.0, 1.0, 500.0) };
        let query = Query { at: Some(at), shape, ..Query::default() };
        run(&city, &query).unwrap().map(|hit| hit.unwrap().extent.max.z).collect()
    };
    assert_eq!((tops(first), tops(second)), (vec![8.0], vec![99.0]));
    let near = Shape::Near { at: corner.truncate(), z: None, radius_m: 3.0, limit: 9 };
    let query = Query { at: Some(first), shape: near, ..Query::default() };
    let found: Vec<_> = run(&city, &query).unwrap().map(|hit| hit.unwrap()).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].valid_from, None, "since when it was there is not known");
    assert!(found[0].valid_to.is_some_and(|t| t > first && t < second));

    // The versions before are what they were.
    assert_eq!(ids_at(&City::open_version(city.folder(), 1).unwrap(), None), [id(1), id(2), id(3)]);
    assert_eq!(city.verify().unwrap(), []);
    assert_eq!(city.collect_garbage().unwrap(), 0);
}

#[test]
fn what_the_source_says_of_times_stays() {
    let (_dir, city) = new_city();
    let dated = |number: u64, key: &str, day: &str| {
        let mut object = building(number);
        object.attributes.push(Attribute::converted(key, Value::Text(day.into()), "D", "date"));
        object
    };
    let old = || dated(1, "valid_from", "2001-02-03");
    let gone = || dated(2, "valid_to", "1999-01-01");
    import(&city, &[("buildings", vec![old(), gone()])]).unwrap();
    import(&city, &[("buildings", vec![old()])]).unwrap();
    let city = open(&city);
    assert_eq!(ids_at(&city, Some(0)), ["buildings/2"], "its end is what the source said, not the import");
    assert_eq!(ids_at(&city, Some(981_158_400_000)), ["buildings/1"]);
}

#[test]
fn new_terrain_ends_nothing_and_keeps_periods() {
    let (_dir, city) = new_city();
    import(&city, &[("buildings", vec![building(1), building(2)])]).unwrap();
    let first = now_ms();
    import(&city, &[("buildings", vec![building(1), building(3)])]).unwrap();
    let report = import(&city, &[("dem", vec![dem(30.0)])]).unwrap();
    assert_eq!(report.changes.ended, 0);
    import(&city, &[("dem", vec![dem(31.0)])]).unwrap();
    let city = open(&city);
    assert_eq!(city.layer("buildings").unwrap().extent.min.z, 31.0);
    assert_eq!(ids_at(&city, Some(first)), ["buildings/1", "buildings/2", "dem/0"]);
    assert_eq!(ids_at(&city, None), ["buildings/1", "buildings/3", "dem/0"]);
}

/// Imports sources into the layer `all`; those that are named with `None` are kept.
fn import_parts(city: &City, parts: &[(&str, Option<Vec<CityObject>>)]) -> Result<ImportReport, StoreError> {
    let mut draft = city.begin()?;
    let sources: Vec<SourceRef> = parts.iter().flat_map(|(name, _)| source(name)).collect();
    let held = city.layer("all").map_or(Vec::new(), |l| l.sources.clone());
    let kept = held.iter().map(|old| {
        let number = parts.iter().position(|(name, objects)| *name == old.path && objects.is_none());
        number.map(|n| n as u32)
    });
    draft.update_layer("all", sources, kept.collect())?;
    for (number, (_, objects)) in parts.iter().enumerate() {
        let writer = draft.writers().next().unwrap();
        writer.next_source(number);
        for object in objects.iter().flatten() {
            writer.push(object.clone())?;
        }
    }
    let mut report = ImportReport::default();
    draft.commit(&mut report)?;
    Ok(report)
}

#[test]
fn a_source_is_added_to_a_layer_and_replaced_in_it_without_the_others() {
    let (_dir, city) = new_city();
    import_parts(&city, &[("a", Some(vec![building(1), building(2)]))]).unwrap();
    assert!(city.begin().unwrap().can_keep("all"));
    let report = import_parts(&open(&city), &[("a", None), ("b", Some(vec![pipe(1), pipe(2)]))]).unwrap();
    assert_eq!((report.changes.same, report.changes.added, report.changes.ended), (2, 2, 0));
    let before = now_ms();
    assert_eq!(ids_at(&open(&city), Some(0)).len(), 4, "nothing of the layer was read again: all has always been");
    let report = import_parts(&open(&city), &[("a", Some(vec![building(2)])), ("b", None)]).unwrap();
    assert_eq!((report.changes.same, report.changes.ended), (3, 1));
    let report = import_parts(&open(&city), &[("a", None), ("b", Some(vec![pipe(2), pipe(3)]))]).unwrap();
    assert_eq!((report.changes.same, report.changes.added, report.changes.ended), (2, 1, 1));
    let now = open(&city);
    assert_eq!(ids_at(&now, None), ["buildings/2", "pipes/2", "pipes/3"]);
    assert_eq!(ids_at(&now, Some(before)), ["buildings/1", "buildings/2", "pipes/1", "pipes/2"]);
    assert_eq!(now.object(&ObjectId::new("buildings", 2)).unwrap().unwrap(), building(2));
    assert_eq!(now.verify().unwrap(), []);

    let report = import_parts(&now, &[("a", Some(vec![building(2), pipe(3)])), ("b", None)]).unwrap();
    let warning = report.sources.iter().flat_map(|s| &s.warnings).find(|w| w.code == "duplicate_id_across_sources");
    let warning = warning.expect("the same id from two sources is told");
    assert_eq!((warning.count, warning.place.as_str()), (1, "pipes/3"));
    assert_eq!(open(&city).layer("all").unwrap().objects, 4, "both are kept");
}

#[test]
fn grids_that_are_kept_stay_those_of_their_source() {
    let (_dir, city) = new_city();
    import_parts(&city, &[("a", Some(vec![dem(30.0)])), ("b", Some(vec![pipe(1)]))]).unwrap();
    let third = ("c", Some(vec![pipe(2)]));
    import_parts(&open(&city), &[("a", None), ("b", None), third]).unwrap();
    assert!(!open(&city).ground().unwrap().is_empty());
    import_parts(&open(&city), &[("a", Some(vec![])), ("b", None), ("c", None)]).unwrap();
    assert!(open(&city).ground().unwrap().is_empty());
    assert_eq!(ids_at(&open(&city), None), ["pipes/1", "pipes/2"]);
}

#[test]
fn a_layer_that_cannot_be_read_any_more_is_replaced_all_the_same() {
    let (_dir, city) = new_city();
    import(&city, &[("pipes", vec![pipe(1)])]).unwrap();
    let file = city.folder().join(&open(&city).layers()[0].object_files[0]);
    std::fs::write(&file, b"PAR1").unwrap();
    let report = import(&city, &[("pipes", vec![pipe(2)])]).unwrap();
    let codes: Vec<_> = report.sources.iter().flat_map(|s| &s.warnings).map(|w| w.code.as_str()).collect();
    assert_eq!(codes, ["periods_lost"]);
    assert_eq!(ids_at(&open(&city), None), ["pipes/2"]);
}
