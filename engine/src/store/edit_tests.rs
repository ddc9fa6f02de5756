//! Changes of a few objects: what they become, and that it is what a whole import would have made.

use std::{collections::BTreeSet, path::Path, time::Duration};

use glam::{DVec2, DVec3};

use super::{
    Change, City, Edit, SourceRef, StoreError, diff,
    disk::{FAIL_AT, Step},
    tests::files,
};
use crate::{
    crs::Crs,
    model::{
        Area, Attribute, CityObject, Class, Geometry, ImportReport, Mesh, MeshPart, ObjectId, Polygon, Value, Vertical,
    },
    query::{Query, Shape, run},
};

/// Numbers that look like chance and are always the same.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A green of a hundred corners, which costs so much that few fill a tile.
fn green(number: u32, centre: DVec2, radius_m: f64) -> CityObject {
    let corner = |i: u32| {
        let turn = f64::from(i) / 100.0 * std::f64::consts::TAU;
        let radius = radius_m * (1.0 + 0.2 * (turn * 7.0).sin());
        (centre + DVec2::from_angle(turn) * radius).extend(5.0)
    };
    let outer: Vec<DVec3> = (0..100).map(corner).collect();
    let area = Area { polygons: vec![Polygon { outer, holes: Vec::new() }], vertical: Vertical::Absolute };
    let mut object = CityObject::new(ObjectId::new("greens", number), Class::Greenery, Geometry::Area(area));
    object.attributes.push(Attribute::converted("area_m2", Value::Real(radius_m * radius_m), "r", "r²"));
    object
}

/// Most in one quarter of the city, some far away.
fn greens(count: u32) -> Vec<CityObject> {
    let mut chance = Chance(7);
    (0..count)
        .map(|number| {
            let reach = if number % 10 == 0 { 9000.0 } else { 1200.0 };
            let place = DVec2::new(500_000.0, 4_000_000.0) + DVec2::new(chance.next(), chance.next()) * reach;
            green(number, place, 2.0 + 30.0 * chance.next().powi(3))
        })
        .collect()
}

fn city(folder: &Path, objects: &[CityObject]) -> City {
    let city = City::create(folder, "edits", &Crs::from_epsg(4549).unwrap(), None).unwrap();
    let mut draft = city.begin().unwrap();
    draft.replace_layer("greens", vec![SourceRef::default()]).unwrap();
    for object in objects {
        draft.push("greens", object.clone()).unwrap();
    }
    draft.commit(&mut ImportReport::default()).unwrap();
    City::open(folder).unwrap()
}

fn edited(city: &City, put: Vec<CityObject>, remove: Vec<ObjectId>) -> Result<(City, ImportReport), StoreError> {
    let mut report = ImportReport::default();
    city.edit("greens", Edit { put, remove, what: String::new() }, &mut report)?;
    Ok((City::open(city.folder()).unwrap(), report))
}

/// The objects of the layer, without the order in which they lie.
fn held(city: &City) -> Vec<String> {
    let query = Query::default();
    let mut ids: Vec<String> =
        run(city, &query).unwrap().map(|found| format!("{:?}", found.map(|f| (f.id, f.extent)).unwrap())).collect();
    ids.sort();
    ids
}

fn tiles(city: &City) -> BTreeSet<String> {
    city.tile_files("greens").unwrap().into_iter().collect()
}

#[test]
fn a_change_of_a_few_objects_makes_the_tiles_that_a_whole_import_makes() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = greens(3000);
    let mut city = city(&folder.path().join("changed"), &objects);
    let whole = |name: String, objects: &[CityObject]| self::city(&folder.path().join(name), objects);
    let mut chance = Chance(11);
    let far = DVec2::new(540_000.0, 3_950_000.0);
    for step in 0..12 {
        let number = 10_000 + step;
        let mut at = |objects: &[CityObject]| (chance.next() * objects.len() as f64) as usize;
        let (mut put, mut remove) = (Vec::new(), Vec::new());
        match step {
            // one changes its shape, grows to the largest of all, moves, comes, comes from far beyond, goes
            0 => put.push(green(objects[at(&objects)].record_number(), DVec2::new(500_400.0, 4_000_300.0), 3.0)),
            1 => put.push(green(objects[at(&objects)].record_number(), DVec2::new(500_700.0, 4_000_700.0), 500.0)),
            2 => put.push(green(5, DVec2::new(508_000.0, 4_008_000.0), 9.0)),
            3 => put.push(green(number, DVec2::new(500_100.5, 4_000_900.0), 12.0)),
            4 => put.push(green(number, far, 1.0)),
            5 => remove.push(objects[at(&objects)].id.clone()),
            // the one from far beyond goes again, the largest goes, many go and come at once
            6 => remove.push(ObjectId::new("greens", number - 2)),
            7 => {
                let size = |o: &&CityObject| o.value("area_m2").and_then(Value::as_f64).unwrap_or(0.0);
                let largest = objects.iter().max_by(|a, b| size(a).total_cmp(&size(b))).unwrap();
                remove.push(largest.id.clone());
            }
            8 => {
                for i in 0..300 {
                    put.push(green(20_000 + i, DVec2::new(503_000.0 + f64::from(i), 4_003_000.0), 2.5));
                }
                remove.extend(objects.iter().skip(40).step_by(9).map(|o| o.id.clone()).take(200));
            }
            9 => remove.extend((0..300).map(|i| ObjectId::new("greens", 20_000 + i))),
            // so many go that tiles above become leaves
            10 => remove.extend(objects.iter().skip(60).map(|o| o.id.clone())),
            _ => remove.extend(objects.iter().map(|o| o.id.clone())),
        }
        let before = tiles(&city);
        objects.retain(|o| !remove.contains(&o.id) && put.iter().all(|new| new.id != o.id));
        objects.extend(put.iter().cloned());
        let (next, report) = edited(&city, put, remove).unwrap();
        assert_eq!((report.version, next.version()), (city.version() + 1, city.version() + 1), "step {step}");
        city = next;
        let expected = whole(format!("whole {step}"), &objects);
        let differing: Vec<String> = tiles(&city).symmetric_difference(&tiles(&expected)).cloned().collect();
        assert_eq!(differing, Vec::<String>::new(), "step {step}");
        assert_eq!(held(&city), held(&expected), "step {step}");
        let (entry, other) = (&city.layers()[0], &expected.layers()[0]);
        assert_eq!((entry.objects, entry.tiles, &entry.classes), (other.objects, other.tiles, &other.classes));
        assert_eq!(entry.extent, other.extent, "step {step}");
        assert_eq!(city.verify().unwrap(), [], "step {step}");
        if step < 6 {
            let made = tiles(&city).difference(&before).count();
            assert!(
                made > 0 && made * 4 < before.len(),
                "step {step}: {made} of {} files for one object",
                before.len()
            );
        }
        for object in objects.iter().take(3) {
            assert!(city.object(&object.id).unwrap().is_some(), "{}", object.id);
        }
    }
    assert!(city.layers()[0].tileset.is_none() && held(&city).is_empty());
    // Every state that ended is found at its time, and nothing that a version names is garbage.
    assert_eq!(city.collect_garbage().unwrap(), 0);
    assert_eq!(City::open_version(city.folder(), 1).unwrap().verify().unwrap(), []);
    assert_eq!(held(&City::open_version(city.folder(), 1).unwrap()).len(), 3000);
}

trait Numbered {
    fn record_number(&self) -> u32;
}

impl Numbered for CityObject {
    fn record_number(&self) -> u32 {
        self.id.as_str().rsplit('/').next().unwrap().parse().unwrap()
    }
}

#[test]
fn a_changed_state_is_ended_and_an_equal_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let objects = greens(40);
    let city = city(folder.path(), &objects);
    let (same, report) = edited(&city, objects[..3].to_vec(), Vec::new()).unwrap();
    assert_eq!((same.version(), report.changes.same, report.changes.changed), (1, 3, 0));

    let mut changed = objects[4].clone();
    changed.name = Some("人民公园".into());
    let place = changed.geometry.extent();
    let (next, report) = edited(&city, vec![changed.clone()], vec![objects[5].id.clone()]).unwrap();
    assert_eq!((next.version(), report.changes.changed, report.changes.ended), (2, 1, 1));
    assert_eq!(next.versions().unwrap()[2].what, "edited greens: 1 changed, 1 removed");
    assert_eq!(next.object(&changed.id).unwrap().unwrap().name, changed.name);
    assert_eq!(next.object(&objects[5].id).unwrap(), None);
    assert_eq!(next.layers()[0].ended, 2);
    let names = |at: Option<i64>| -> Vec<Option<String>> {
        let shape = Shape::Box { min: place.min - DVec3::splat(0.1), max: place.max + DVec3::splat(0.1) };
        let query = Query { shape, at, ..Query::default() };
        let found = run(&next, &query).unwrap().map(Result::unwrap).filter(|f| f.id == changed.id.as_str());
        found.map(|f| f.name).collect()
    };
    assert_eq!(names(None), [Some("人民公园".to_owned())]);
    assert_eq!(names(Some(0)), [None], "as it was before");

    let differing = diff(city.folder(), 1, 2, 10).unwrap();
    let [layer] = &differing[..] else { panic!("{differing:?}") };
    assert_eq!((layer.counts.added, layer.counts.changed, layer.counts.ended), (0, 1, 1));
    let told: Vec<(&str, Change, Option<&str>)> =
        layer.objects.iter().map(|o| (o.id.as_str(), o.change, o.name.as_deref())).collect();
    let expected =
        [(changed.id.as_str(), Change::Changed, Some("人民公园")), (objects[5].id.as_str(), Change::Removed, None)];
    assert_eq!(told, expected);
    let back = diff(city.folder(), 2, 1, 1).unwrap();
    assert_eq!((back[0].counts.added, back[0].counts.changed, back[0].objects.len()), (1, 1, 1));
    assert!(diff(city.folder(), 1, 1, 10).unwrap().is_empty());
    assert_eq!(diff(city.folder(), 0, 2, 5).unwrap()[0].counts.added, 39);
    assert!(matches!(diff(city.folder(), 1, 9, 1), Err(StoreError::NoVersion { version: 9, .. })));
}

#[test]
fn many_small_files_of_ended_states_become_one_and_each_state_is_still_told() {
    let folder = tempfile::tempdir().unwrap();
    let objects = greens(40);
    let mut city = city(folder.path(), &objects);
    let mut files = Vec::new();
    for round in 0..11 {
        let mut changed = objects[4].clone();
        changed.name = Some(format!("第{round}次"));
        city = edited(&city, vec![changed], Vec::new()).unwrap().0;
        files.push(city.layers()[0].ended_files.len());
    }
    assert_eq!(files, [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3]);
    assert_eq!(city.layers()[0].ended, 11);
    let query = Query { at: Some(0), ..Query::default() };
    let first: Vec<_> = run(&city, &query).unwrap().map(Result::unwrap).filter(|f| f.id.ends_with("/4")).collect();
    assert_eq!((first.len(), first[0].name.as_deref()), (1, None), "the state before all changes");
    assert_eq!(city.verify().unwrap(), []);
    assert_eq!(city.collect_garbage().unwrap(), 0, "earlier versions name the small files");
}

#[test]
fn versions_that_are_given_up_are_gone_and_the_rest_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let objects = greens(30);
    let mut city = city(folder.path(), &objects);
    for object in &objects[..4] {
        let mut changed = object.clone();
        changed.name = Some("改".into());
        city = edited(&city, vec![changed], Vec::new()).unwrap().0;
    }
    assert_eq!(city.version(), 5);
    let (whole, before) = (held(&city), files(folder.path()));
    let keep = |n| std::num::NonZeroU64::new(n).unwrap();
    assert_eq!(city.give_up_versions(keep(9), Duration::ZERO).unwrap(), 0);
    assert_eq!(files(folder.path()), before, "fewer versions than are to be kept");
    assert!(city.give_up_versions(keep(2), Duration::ZERO).unwrap() > 0);

    let city = City::open(folder.path()).unwrap();
    let numbers: Vec<u64> = city.versions().unwrap().iter().map(|version| version.version).collect();
    assert_eq!((numbers, held(&city)), (vec![4, 5], whole));
    assert_eq!(city.verify().unwrap(), []);
    assert!(!folder.path().join("versions/000003.json").exists());
    let told = City::open_version(folder.path(), 3).err().unwrap().to_string();
    assert!(told.contains("versions before 4"), "{told}");
    assert!(matches!(diff(folder.path(), 1, 5, 1), Err(StoreError::GivenUp { version: 1, oldest: 4, .. })));
    assert_eq!(diff(folder.path(), 4, 5, 1).unwrap()[0].counts.changed, 1);
    // What ended before the oldest version that is kept is still told.
    let query = Query { at: Some(0), ..Query::default() };
    let first = run(&city, &query).unwrap().map(Result::unwrap).filter(|f| f.name.is_none()).count();
    assert_eq!(first, 30);
    // Fewer are given up than were before: nothing comes back, nothing goes.
    assert_eq!(city.give_up_versions(keep(5), Duration::ZERO).unwrap(), 0);
    let (next, _) = edited(&city, Vec::new(), vec![objects[9].id.clone()]).unwrap();
    assert_eq!((next.version(), next.verify().unwrap()), (6, vec![]));
}

#[test]
fn what_cannot_be_changed_alone_is_refused_and_nothing_happens() {
    let folder = tempfile::tempdir().unwrap();
    let objects = greens(10);
    let city = city(folder.path(), &objects);
    let refused = |put: Vec<CityObject>, remove: Vec<ObjectId>, word: &str| {
        let error = edited(&city, put, remove).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
        assert_eq!(City::open(folder.path()).unwrap().version(), 1);
    };
    refused(Vec::new(), vec![ObjectId::new("greens", 99)], "greens/99");
    refused(vec![objects[1].clone()], vec![objects[1].id.clone()], "named twice");
    refused(vec![green(3, DVec2::new(f64::NAN, 0.0), 1.0)], Vec::new(), "not numbers");
    let part = MeshPart { positions: vec![DVec3::ZERO; 3], indices: vec![0, 1, 2], ..MeshPart::default() };
    let mesh = Mesh { origin: DVec3::ZERO, parts: vec![part] };
    let model = CityObject::new(ObjectId::new("greens", 3), Class::Building, Geometry::Mesh(mesh));
    refused(vec![model], Vec::new(), "cannot be changed alone");
    let error = city.edit("trees", Edit::default(), &mut ImportReport::default()).unwrap_err();
    assert!(matches!(error, StoreError::NoLayer(_)), "{error}");
}

#[test]
fn a_layer_of_an_earlier_release_is_refused_until_it_is_imported_again() {
    let folder = tempfile::tempdir().unwrap();
    let objects = greens(20);
    let city = city(folder.path(), &objects);
    let sources = city.layers()[0].sources.clone();
    assert!(city.begin().unwrap().is_unchanged("greens", &sources));
    // As format 1 had it: nothing is known of the parts.
    let path = folder.path().join("versions/000001.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["format_version"] = 1.into();
    manifest["layers"][0].as_object_mut().unwrap().remove("object_parts");
    let text = serde_json::to_vec(&manifest).unwrap();
    std::fs::write(&path, &text).unwrap();
    let head = folder.path().join("city.json");
    let mut value: serde_json::Value = serde_json::from_slice(&std::fs::read(&head).unwrap()).unwrap();
    value["manifest"] = blake3::hash(&text).to_hex().to_string().into();
    value.as_object_mut().unwrap().remove("check");
    std::fs::write(&head, value.to_string()).unwrap();

    let error = edited(&city, Vec::new(), vec![objects[0].id.clone()]).err().unwrap().to_string();
    assert!(error.contains("import its sources again once"), "{error}");
    assert!(!City::open(folder.path()).unwrap().begin().unwrap().is_unchanged("greens", &sources));
    assert_eq!(held(&City::open(folder.path()).unwrap()).len(), 20);
}

#[test]
fn a_failure_at_any_step_of_a_change_leaves_the_old_version() {
    let folder = tempfile::tempdir().unwrap();
    let objects = greens(30);
    let city = city(folder.path(), &objects);
    let clean = files(folder.path());
    let mut changed = objects[4].clone();
    changed.name = Some("人民公园".into());
    for step in [Step::Objects, Step::Tiles, Step::Staged, Step::Moving, Step::Moved, Step::Reported, Step::Manifested]
    {
        FAIL_AT.set(Some(step));
        let failed = edited(&city, vec![changed.clone()], vec![objects[5].id.clone()]);
        FAIL_AT.set(None);
        assert!(matches!(failed.err(), Some(StoreError::Io { .. })), "{step:?}");
        let opened = City::open(folder.path()).unwrap();
        assert_eq!((opened.version(), opened.verify().unwrap()), (1, Vec::new()), "{step:?}");
        opened.collect_garbage().unwrap();
        assert_eq!(files(folder.path()), clean, "{step:?}: what was left is cleaned");
    }
    let (next, _) = edited(&city, vec![changed], vec![objects[5].id.clone()]).unwrap();
    assert_eq!((next.version(), next.verify().unwrap()), (2, Vec::new()));
}

#[test]
fn a_flipped_bit_in_any_file_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let objects = greens(900);
    let (city, _) = edited(&city(folder.path(), &objects), Vec::new(), vec![objects[5].id.clone()]).unwrap();
    let mut named = 0;
    for (name, bytes) in files(folder.path()) {
        let path = folder.path().join(&name);
        if name == ".lock" {
            continue;
        }
        let mut damaged = bytes.clone();
        let at = bytes.len() * 2 / 3;
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        let found: Vec<String> = city.verify().unwrap().into_iter().map(|damage| damage.path).collect();
        assert!(found.len() == 1 && found[0] == name, "{name}: {found:?}");
        std::fs::write(&path, bytes).unwrap();
        named += 1;
    }
    assert!(named > 30 && city.verify().unwrap().is_empty(), "{named}");
}
