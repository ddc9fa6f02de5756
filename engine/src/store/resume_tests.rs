//! Layers that a stopped import had finished.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    City, Draft, StoreError,
    disk::{FAIL_AT, Step},
    kept_layers,
    tests::{building, dem, files, new_city, pipe, source},
};
use crate::model::{
    CityObject, Class, Geometry, ImportReport, Mesh, MeshPart, ObjectId, PointBatch, SourceReport, Texture,
};
use glam::DVec3;

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
    site.drop_others();
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
        for ending in ["layer.json", ".parquet", ".ids", ".tree", ".glb", ".json"] {
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

/// Objects of every kind that a checkpoint holds: shapes, sensors, a scan in batches, a mesh with its picture.
fn of_every_kind() -> Vec<CityObject> {
    let mut objects: Vec<CityObject> = (1..=60).map(building).collect();
    objects.extend((1..=20).map(pipe));
    for batch in 0..30_u32 {
        let positions: Vec<DVec3> = (0..2000_u32)
            .map(|i| DVec3::new(f64::from(i % 50) * 0.4, f64::from(i / 50) * 0.4, f64::from(batch)))
            .collect();
        let classes = vec![2; positions.len()];
        let points = PointBatch { positions, colours: Vec::new(), intensities: Vec::new(), classes };
        objects.push(CityObject::new(ObjectId::new("scan", 0), Class::PointCloud, Geometry::Points(points)));
    }
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(8, 8, image::Rgb([200, 40, 20])).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let texture = Texture::new(png.into_inner());
    for number in 0..12 {
        let part = MeshPart {
            positions: vec![DVec3::ZERO, DVec3::X * 4.0, DVec3::Y * 4.0],
            indices: vec![0, 1, 2],
            texture: Some(texture.clone()),
            uvs: vec![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
            rgba: [200, 40, 20, 255],
        };
        let mesh = Mesh { origin: DVec3::new(f64::from(number) * 9.0, 50.0, 3.0), parts: vec![part] };
        objects.push(CityObject::new(ObjectId::new("mesh", number), Class::Building, Geometry::Mesh(mesh)));
    }
    objects.push(building(3)); // an id that comes twice, for a warning
    objects
}

/// Fills the layer with `objects` from where an import before was, with a checkpoint after those of `stops`; goes to the
/// commit unless it stops at the last of them.
fn fill(city: &City, objects: &[CityObject], stops: &[usize], commits: bool) -> Option<ImportReport> {
    let mut draft = city.begin().unwrap();
    draft.keep_finished();
    let site = draft.settle().unwrap();
    assert!(site.adopt("all", &source("all"), &[]).is_none());
    site.drop_others();
    let mut writer = site.start("all", source("all"), Vec::new()).unwrap();
    let from = writer.take_read().map_or(0, |read| usize::from(read[0]) << 8 | usize::from(read[1]));
    for (number, object) in objects.iter().enumerate().skip(from) {
        if stops.contains(&number) {
            writer.checkpoint(vec![(number >> 8) as u8, number as u8]).unwrap();
        }
        writer.push(object.clone()).unwrap();
    }
    if !commits {
        return None;
    }
    site.finish(writer, &[]).unwrap();
    let mut report = ImportReport::default();
    site.commit(&mut report).unwrap();
    Some(report)
}

#[test]
fn a_layer_that_is_begun_goes_on_from_its_last_checkpoint() {
    let objects = of_every_kind();
    let (_dir, undisturbed) = new_city();
    let whole = fill(&undisturbed, &objects, &[], true).unwrap();
    assert!(whole.sources.iter().flat_map(|s| &s.warnings).any(|w| w.code == "duplicate_id"), "{whole:?}");
    for stops in [vec![1], vec![70], vec![90, 95], vec![30, 85, 110, 121]] {
        let (_dir, city) = new_city();
        for round in 1..=stops.len() {
            // What follows the checkpoint is lost each time.
            fill(&city, &objects, &stops[..round], false);
            assert!(city.folder().join(".resume").is_dir());
        }
        let report = fill(&city, &objects, &[], true).unwrap();
        assert_eq!(data(city.folder()), data(undisturbed.folder()), "{stops:?}");
        assert_eq!(report.sources, whole.sources, "{stops:?}");
        assert!(!city.folder().join(".resume").exists());
    }
}

#[test]
fn what_is_damaged_of_a_begun_layer_is_not_gone_on_from() {
    let objects = of_every_kind();
    let (_dir, undisturbed) = new_city();
    fill(&undisturbed, &objects, &[], true).unwrap();
    for ending in ["checkpoint", "rows-0", "solids", "index", "pictures", "all"] {
        let (_dir, city) = new_city();
        fill(&city, &objects, &[122], false);
        let resume = city.folder().join(".resume");
        let kept = files(&resume);
        let name = kept.keys().find(|name| name.ends_with(ending)).unwrap_or_else(|| panic!("no {ending}: {kept:?}"));
        let bytes = &kept[name];
        fs::write(resume.join(name), &bytes[..bytes.len() - 1]).unwrap();
        fill(&city, &objects, &[], true).unwrap();
        assert_eq!(data(city.folder()), data(undisturbed.folder()), "{ending}");
    }
}

#[cfg(unix)]
#[test]
fn parts_of_objects_that_are_written_are_not_written_again() {
    use std::os::unix::fs::MetadataExt;
    let (_dir, city) = new_city();
    let buildings: Vec<CityObject> = (1..=300).map(building).collect();
    go_on(&city, &[("buildings", buildings.clone())], 1, true).unwrap();
    let expected = data(city.folder());
    // The import dies where the tiles begin; one part is lost besides.
    let (_dir, city) = new_city();
    FAIL_AT.set(Some(Step::Tiles));
    assert!(go_on(&city, &[("buildings", buildings.clone())], 1, true).is_err());
    FAIL_AT.set(None);
    let resume = city.folder().join(".resume");
    let parts: Vec<String> = files(&resume).into_keys().filter(|name| name.ends_with(".parquet")).collect();
    assert_eq!(parts.len(), 5);
    fs::write(resume.join(&parts[2]), b"damaged").unwrap();
    let inodes: Vec<(String, u64)> = parts
        .iter()
        .map(|part| (part.rsplit('/').next().unwrap().to_owned(), fs::metadata(resume.join(part)).unwrap().ino()))
        .collect();
    go_on(&city, &[("buildings", buildings)], 1, true).unwrap();
    assert_eq!(data(city.folder()), expected);
    for (number, (name, inode)) in inodes.iter().enumerate() {
        let now = fs::metadata(city.folder().join("objects/buildings").join(name)).unwrap().ino();
        assert_eq!(now == *inode, number != 2, "{name}");
    }
}
