//! A city written, opened, broken and mended.

use std::{collections::BTreeMap, fs, path::Path};

use glam::{DVec2, DVec3};

use super::{
    City, SourceRef, StoreError,
    disk::{FAIL_AT, Step},
};
use crate::{
    crs::Crs,
    model::{
        Area, Attribute, Block, CityObject, Class, Geometry, HeightGrid, ImportReport, Mesh, MeshPart, ObjectId,
        Picture, PointBatch, Polygon, Section, Tube, Value, Vertical,
    },
};

/// South-west corner of the test city.
pub(super) const CORNER: DVec2 = DVec2::new(500_000.0, 4_000_000.0);

pub(super) fn crs() -> Crs {
    Crs::from_epsg(4549).unwrap()
}

pub(super) fn source(name: &str) -> Vec<SourceRef> {
    vec![SourceRef {
        path: name.into(),
        hash: blake3::hash(name.as_bytes()).to_hex().to_string(),
        ..SourceRef::default()
    }]
}

fn square(x: f64, y: f64, size: f64) -> Polygon {
    let corners = [(0.0, 0.0), (size, 0.0), (size, size), (0.0, size)];
    Polygon { outer: corners.map(|(u, v)| (CORNER + DVec2::new(x + u, y + v)).extend(0.0)).to_vec(), holes: vec![] }
}

pub(super) fn building(number: u64) -> CityObject {
    let (x, y) = ((number % 50) as f64 * 20.0, (number / 50) as f64 * 20.0);
    let block = Block {
        footprint: vec![square(x, y, 12.0)],
        base_m: None,
        height_m: 6.0 + (number % 20) as f64,
        lift_m: 0.0,
        storeys: Some(2),
        roof: None,
    };
    let mut object = CityObject::new(ObjectId::new("buildings", number), Class::Building, Geometry::Block(block));
    object.name = Some(format!("{number} 号楼"));
    object.record = number;
    object.attributes.push(Attribute::converted("height_m", Value::Real(6.0 + (number % 20) as f64), "H", "as is"));
    object
}

pub(super) fn pipe(number: u64) -> CityObject {
    let y = number as f64 * 30.0;
    let axis = vec![(CORNER + DVec2::new(0.0, y)).extend(-3.0), (CORNER + DVec2::new(900.0, y)).extend(-4.5)];
    let section = Section::Circle { diameter_m: 0.3 };
    let tube = Tube { axis, vertical: Vertical::Absolute, section, from: Some("A".into()), to: None };
    CityObject::new(ObjectId::new("pipes", number), Class::Pipe, Geometry::Tube(tube))
}

pub(super) fn dem(height: f32) -> CityObject {
    let grid = HeightGrid {
        north_west: CORNER + DVec2::new(-100.0, 1100.0),
        step_m: DVec2::splat(50.0),
        columns: 26,
        rows: 26,
        heights: vec![height; 26 * 26],
    };
    CityObject::new(ObjectId::new("dem", 0), Class::Terrain, Geometry::Heights(grid))
}

fn photo() -> CityObject {
    let rgb = (0..64 * 64 * 3).map(|i| (i * 7 % 251) as u8).collect();
    let picture =
        Picture { north_west: CORNER + DVec2::new(0.0, 640.0), step_m: DVec2::splat(10.0), columns: 64, rows: 64, rgb };
    CityObject::new(ObjectId::new("photo", 0), Class::Imagery, Geometry::Picture(picture))
}

pub(super) fn import(city: &City, layers: &[(&str, Vec<CityObject>)]) -> Result<ImportReport, StoreError> {
    let mut draft = city.begin()?;
    for (layer, objects) in layers {
        draft.replace_layer(layer, source(layer))?;
        for object in objects {
            draft.push(layer, object.clone())?;
        }
    }
    let mut report = ImportReport::default();
    draft.commit(&mut report)?;
    Ok(report)
}

/// Every file below `folder` with its bytes.
pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

pub(super) fn new_city() -> (tempfile::TempDir, City) {
    let dir = tempfile::tempdir().unwrap();
    let city = City::create(&dir.path().join("test.city"), "测试城", &crs(), Some(5737)).unwrap();
    (dir, city)
}

#[test]
fn what_is_imported_comes_back() {
    let (_dir, city) = new_city();
    let buildings: Vec<_> = (1..=500).map(building).collect();
    let pipes: Vec<_> = (1..=20).map(pipe).collect();
    let layers =
        [("buildings", buildings.clone()), ("pipes", pipes), ("dem", vec![dem(42.0)]), ("photo", vec![photo()])];
    let report = import(&city, &layers).unwrap();
    assert_eq!((report.version, report.city.as_str()), (1, "测试城"));

    let city = City::open(city.folder()).unwrap();
    assert_eq!((city.version(), city.name(), city.vertical_epsg()), (1, "测试城", Some(5737)));
    assert_eq!(city.crs(), &crs());
    let names: Vec<_> = city.layers().iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["buildings", "dem", "photo", "pipes"]);
    assert_eq!(city.layers()[0].objects, 500);
    assert_eq!(city.layers()[0].classes["building"], 500);
    assert_eq!(city.layers()[0].parts, std::collections::BTreeMap::new());
    assert!(city.layers()[0].extent.min.z >= 42.0, "buildings stand on the terrain");
    assert_eq!(city.ground().unwrap().height_at(CORNER), Some(42.0));
    let Geometry::Picture(expected) = photo().geometry else { unreachable!() };
    assert_eq!(city.pictures().unwrap(), [expected]);

    for number in [1, 77, 500] {
        assert_eq!(city.object(&ObjectId::new("buildings", number)).unwrap().unwrap(), building(number));
    }
    assert_eq!(city.object(&ObjectId::new("pipes", 3)).unwrap().unwrap(), pipe(3));
    assert_eq!(city.object(&ObjectId::new("buildings", 501)).unwrap(), None);
    let mut all: Vec<_> = city.objects("buildings").unwrap().map(|o| o.unwrap()).collect();
    all.sort_by_key(|o| o.record);
    assert_eq!(all, buildings);
    assert!(matches!(city.objects("nothing"), Err(StoreError::NoLayer(_))));
    assert_eq!(city.verify().unwrap(), []);
    assert_eq!(city.collect_garbage().unwrap(), 0);
    assert_eq!(city.report().unwrap().unwrap().version, 1);
    assert_eq!(city.versions().unwrap().len(), 2);
}

#[test]
fn the_same_input_makes_the_same_bytes_in_any_order() {
    let build = |backwards: bool| {
        let (dir, city) = new_city();
        let mut buildings: Vec<_> = (1..=300).map(building).collect();
        if backwards {
            buildings.reverse();
        }
        import(&city, &[("buildings", buildings)]).unwrap();
        let mut found = files(city.folder());
        found.retain(|name, _| name.starts_with("objects/"));
        drop(dir);
        found
    };
    let (a, b, c) = (build(false), build(false), build(true));
    assert_eq!(a.len(), 25, "five parts, each with its list of ids, its index, its rows in blocks and its checksums");
    assert!(a == b, "twice the same");
    assert!(a == c, "backwards too");
}

#[test]
fn identical_sources_are_known_and_an_empty_draft_makes_no_version() {
    let (_dir, city) = new_city();
    import(&city, &[("pipes", vec![pipe(1)])]).unwrap();
    let draft = city.begin().unwrap();
    assert!(draft.is_unchanged("pipes", &source("pipes")));
    assert!(!draft.is_unchanged("pipes", &source("other")));
    assert!(!draft.is_unchanged("buildings", &source("pipes")));
    let mut report = ImportReport::default();
    assert_eq!(draft.commit(&mut report).unwrap(), 1);
    assert_eq!(report.version, 1);
    assert!(!city.folder().join("versions/000002.json").exists());
}

#[test]
fn a_failure_at_any_step_leaves_the_old_version() {
    for step in [Step::Objects, Step::Tiles, Step::Staged, Step::Moving, Step::Moved, Step::Reported, Step::Manifested]
    {
        let (_dir, city) = new_city();
        import(&city, &[("pipes", vec![pipe(1)])]).unwrap();
        let before = fs::read(city.folder().join("city.json")).unwrap();
        let clean = files(city.folder());
        FAIL_AT.set(Some(step));
        let failed = import(&city, &[("pipes", vec![pipe(1), pipe(2)]), ("buildings", vec![building(1)])]);
        FAIL_AT.set(None);
        assert!(
            matches!(&failed, Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull),
            "{step:?}: {failed:?}"
        );
        assert_eq!(fs::read(city.folder().join("city.json")).unwrap(), before, "{step:?}");
        let opened = City::open(city.folder()).unwrap();
        assert_eq!((opened.version(), opened.layers().len()), (1, 1), "{step:?}");
        assert_eq!(opened.verify().unwrap(), [], "{step:?}");
        assert!(opened.object(&ObjectId::new("pipes", 1)).unwrap().is_some());
        opened.collect_garbage().unwrap();
        assert_eq!(files(city.folder()), clean, "{step:?}: what was left is cleaned");
        // The next import goes through as if nothing had been.
        let report = import(&opened, &[("buildings", vec![building(1)])]).unwrap();
        assert_eq!(report.version, 2);
        assert_eq!(City::open(city.folder()).unwrap().verify().unwrap(), []);
    }
}

#[test]
fn one_writer_at_a_time_and_a_dropped_draft_leaves_nothing() {
    let (_dir, city) = new_city();
    let clean = files(city.folder());
    let mut draft = city.begin().unwrap();
    assert!(matches!(city.begin(), Err(StoreError::Locked(_))));
    assert!(matches!(city.collect_garbage(), Err(StoreError::Locked(_))));
    draft.replace_layer("pipes", source("pipes")).unwrap();
    draft.push("pipes", pipe(1)).unwrap();
    assert!(matches!(draft.push("other", pipe(1)), Err(StoreError::NoLayer(_))));
    drop(draft);
    assert_eq!(files(city.folder()), clean);
    // A folder that a killed process left is removed at the next beginning.
    let stale = city.folder().join(".staging-999999");
    fs::create_dir_all(stale.join("objects")).unwrap();
    drop(city.begin().unwrap());
    assert!(!stale.exists());
}

#[test]
fn layers_are_replaced_given_back_and_removed_and_old_versions_stay() {
    let (_dir, city) = new_city();
    import(&city, &[("pipes", vec![pipe(1)]), ("buildings", vec![building(1)])]).unwrap();
    import(&city, &[("pipes", vec![pipe(2)])]).unwrap();
    let mut draft = city.begin().unwrap();
    draft.replace_layer("pipes", source("broken")).unwrap();
    draft.push("pipes", pipe(9)).unwrap();
    draft.abandon_layer("pipes");
    draft.remove_layer("buildings").unwrap();
    assert!(draft.remove_layer("nothing").is_err());
    assert_eq!(draft.commit(&mut ImportReport::default()).unwrap(), 3);

    let at = |version| City::open_version(city.folder(), version).unwrap();
    let has = |version, id: ObjectId| at(version).object(&id).unwrap().is_some();
    assert!(has(1, ObjectId::new("pipes", 1)) && has(1, ObjectId::new("buildings", 1)));
    assert!(!has(2, ObjectId::new("pipes", 1)) && has(2, ObjectId::new("pipes", 2)));
    assert!(!has(3, ObjectId::new("pipes", 9)) && !has(3, ObjectId::new("buildings", 1)));
    assert!(matches!(City::open_version(city.folder(), 4), Err(StoreError::NoVersion { .. })));
    assert_eq!(at(3).collect_garbage().unwrap(), 0, "files of old versions are no garbage");
    assert_eq!(at(1).verify().unwrap(), []);
}

#[test]
fn new_terrain_lifts_the_layers_that_stand_on_it() {
    let (_dir, city) = new_city();
    import(&city, &[("buildings", vec![building(1)]), ("pipes", vec![pipe(1)])]).unwrap();
    let part = MeshPart {
        positions: vec![DVec3::ZERO, DVec3::X, DVec3::Y],
        indices: vec![0, 1, 2],
        rgba: [255; 4],
        ..MeshPart::default()
    };
    let mesh = Geometry::Mesh(Mesh { origin: CORNER.extend(0.0), parts: vec![part] });
    let mixed = vec![building(7), CityObject::new(ObjectId::new("bim", 1), Class::BuildingElement, mesh)];
    import(&city, &[("bim", mixed)]).unwrap();
    let report = import(&city, &[("dem", vec![dem(30.0)])]).unwrap();
    let codes: Vec<_> = report.sources.iter().map(|s| (s.layer.as_str(), s.warnings[0].code.as_str())).collect();
    assert_eq!(codes, [("bim", "stands_on_old_terrain"), ("buildings", "fitted_to_new_terrain")]);
    let city = City::open(city.folder()).unwrap();
    assert_eq!(city.layer("buildings").unwrap().extent.min.z, 30.0);
    assert_eq!(city.object(&ObjectId::new("buildings", 1)).unwrap().unwrap(), building(1));
    // A picture drapes the terrain that was there before it.
    let report = import(&city, &[("photo", vec![photo()])]).unwrap();
    let layers: Vec<_> = report.sources.iter().map(|s| s.layer.as_str()).collect();
    assert_eq!(layers, ["bim", "dem"], "what could not be lifted is named each time");
    assert_eq!(City::open(city.folder()).unwrap().ground().unwrap().height_at(CORNER), Some(30.0));
}

#[test]
fn scans_become_one_object_and_bad_shapes_are_counted() {
    let (_dir, city) = new_city();
    let batch = |x: f64| {
        let positions = (0..100).map(|i| (CORNER + DVec2::new(x + f64::from(i), 5.0)).extend(1.0)).collect();
        let points = PointBatch { positions, ..PointBatch::default() };
        CityObject::new(ObjectId::new("scan", 0), Class::PointCloud, Geometry::Points(points))
    };
    let mut broken = building(1);
    if let Geometry::Block(block) = &mut broken.geometry {
        block.height_m = f64::NAN;
    }
    let report = import(&city, &[("scan", vec![batch(0.0), batch(100.0), broken, building(2), building(2)])]).unwrap();
    let codes: Vec<_> = report.sources[0].warnings.iter().map(|w| (w.code.as_str(), w.count)).collect();
    assert!(codes.contains(&("not_finite", 1)) && codes.contains(&("duplicate_id", 1)), "{codes:?}");
    let city = City::open(city.folder()).unwrap();
    let layer = city.layer("scan").unwrap();
    assert_eq!((layer.points, layer.objects, layer.classes["point_cloud"]), (200, 3, 1));
    let id = ObjectId::new("scan", 0);
    assert_eq!(city.object(&id).unwrap().unwrap().geometry, Geometry::None);
    assert_eq!(city.object_extent(&id).unwrap().unwrap().size().x, 199.0);
}

#[test]
fn damage_is_found_and_never_followed_out_of_the_city() {
    let (_dir, city) = new_city();
    import(&city, &[("pipes", vec![pipe(1)])]).unwrap();
    let city = City::open(city.folder()).unwrap();
    let parquet = city.folder().join(&city.layers()[0].object_files[0]);
    let good = fs::read(&parquet).unwrap();
    fs::write(&parquet, &good[..good.len() / 2]).unwrap();
    assert_eq!(city.verify().unwrap().len(), 1);
    assert!(city.objects("pipes").unwrap().any(|o| o.is_err()));
    fs::remove_file(&parquet).unwrap();
    assert_eq!(city.verify().unwrap().len(), 1);
    assert!(city.object(&ObjectId::new("pipes", 1)).is_err());
    fs::write(&parquet, &good).unwrap();
    assert_eq!(city.verify().unwrap(), []);

    let manifest = city.folder().join("versions/000001.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"objects/pipes/", "\"objects/../../")).unwrap();
    assert!(matches!(City::open(city.folder()), Err(StoreError::Damaged { .. })));
    assert!(matches!(City::open_version(city.folder(), 1), Err(StoreError::Damaged { .. })));
    fs::write(&manifest, text.replace("imported pipes", "did nothing")).unwrap();
    assert!(matches!(City::open(city.folder()), Err(StoreError::Damaged { .. })), "not the manifest of city.json");
    fs::write(&manifest, &text).unwrap();
    let head = city.folder().join("city.json");
    let text = fs::read_to_string(&head).unwrap();
    fs::write(&head, text.replace("\"format_version\": 2", "\"format_version\": 99")).unwrap();
    assert!(matches!(City::open(city.folder()), Err(StoreError::TooNew { found: 99, .. })));
    fs::write(&head, "{}").unwrap();
    assert!(matches!(City::open(city.folder()), Err(StoreError::Damaged { .. })));
    assert!(matches!(City::open(&city.folder().join("objects")), Err(StoreError::NotACity(_))));
    assert!(matches!(City::create(city.folder(), "x", &crs(), None), Err(StoreError::Exists(_))));
}

#[test]
fn layer_names_of_any_script_lead_to_safe_folders() {
    let (_dir, city) = new_city();
    let area = |layer: &str| {
        let area = Area { polygons: vec![square(0.0, 0.0, 10.0)], vertical: Vertical::AboveTerrain };
        vec![CityObject::new(ObjectId::new(layer, 1), Class::Greenery, Geometry::Area(area))]
    };
    let names = ["绿地 2024/春", "../../etc", "a/b", ".."];
    let layers: Vec<_> = names.iter().map(|n| (*n, area(n))).collect();
    import(&city, &layers).unwrap();
    let city = City::open(city.folder()).unwrap();
    assert_eq!(city.layers().len(), names.len());
    for name in names {
        assert!(city.object(&ObjectId::new(name, 1)).unwrap().is_some(), "{name}");
    }
    assert_eq!(city.verify().unwrap(), []);
}

#[test]
fn flipped_bytes_are_errors_and_never_panics() {
    let (_dir, city) = new_city();
    import(&city, &[("buildings", (1..=300).map(building).collect())]).unwrap();
    let city = City::open(city.folder()).unwrap();
    let entry = city.layer("buildings").unwrap();
    let parquet = city.folder().join(&entry.object_files[0]);
    let objects: Vec<CityObject> = city.objects("buildings").unwrap().map(Result::unwrap).collect();
    let id = ObjectId::new("buildings", 5);
    for path in [parquet.clone(), parquet.with_extension("ids")] {
        let good = fs::read(&path).unwrap();
        for round in 0..150usize {
            let mut bad = good.clone();
            // The footer is where a reader believes most: half of the flips go there.
            let at = if round % 2 == 0 {
                round * 7919 % bad.len()
            } else {
                bad.len() - 1 - round * 31 % 3000.min(bad.len())
            };
            bad[at] ^= 1 << (round % 8);
            fs::write(&path, &bad).unwrap();
            let read = city.objects("buildings").and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let found = city.object(&id);
            if let Ok(read) = read {
                assert!(read == objects, "round {round}: other objects");
            }
            // A damaged list of ids is found out when the city is opened anew.
            if let Ok(found) = found
                && path == parquet
            {
                assert_eq!(found.as_ref(), objects.iter().find(|o| o.id == id), "round {round}");
            }
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(city.verify().unwrap(), []);
}
