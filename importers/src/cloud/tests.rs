//! Placing, batches, and real files held against what other libraries read (`referee.tsv`).

use std::path::{Path, PathBuf};

use glam::DVec3;
use groundline_engine::{
    crs::Crs,
    model::{CityObject, Geometry},
};

use crate::{Format, Options, las::tests::shared_data, trial::Trial};

/// A metric system in which tests place files: nothing is converted.
pub(crate) const METRIC: u32 = 3857;

/// Reads bytes as a file of a format, source and city in one metric system.
pub(crate) fn trial(format: &Format, name: &str, bytes: &[u8]) -> Trial {
    with(format, name, bytes, &Options::default())
}

/// The same with options.
pub(crate) fn with(format: &Format, name: &str, bytes: &[u8], options: &Options) -> Trial {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    Trial::of(format, &path, options, METRIC)
}

/// All positions of a scan or mesh.
pub(crate) fn positions(objects: &[CityObject]) -> Vec<DVec3> {
    let of = |object: &CityObject| match &object.geometry {
        Geometry::Points(batch) => batch.positions.clone(),
        Geometry::Mesh(mesh) => mesh.parts.iter().flat_map(|p| p.positions.iter().map(|v| mesh.origin + *v)).collect(),
        _ => Vec::new(),
    };
    objects.iter().flat_map(of).collect()
}

/// The first batch.
pub(crate) fn batch(objects: &[CityObject]) -> &groundline_engine::model::PointBatch {
    match objects.first().map(|o| &o.geometry) {
        Some(Geometry::Points(batch)) => batch,
        other => panic!("no points but {other:?}"),
    }
}

/// Codes of the warnings.
pub(crate) fn codes(trial: &Trial) -> Vec<&str> {
    trial.report.warnings.iter().map(|w| w.code.as_str()).collect()
}

pub(crate) fn format_of(path: &Path) -> &'static Format {
    match path.extension().and_then(|e| e.to_str()) {
        Some("e57") => &crate::e57::FORMAT,
        Some("ply") => &crate::ply::FORMAT,
        Some("pcd") => &crate::pcd::FORMAT,
        _ => &crate::xyz::FORMAT,
    }
}

#[test]
fn counts_and_corners_of_real_files_are_those_of_pye57_plyfile_and_pypcd4() {
    let Some(data) = shared_data() else { return };
    let mut files = 0;
    for row in include_str!("referee.tsv").lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<&str> = row.split('\t').collect();
        let numbers: Vec<f64> = fields[1..9].iter().map(|f| f.parse().expect("a number")).collect();
        let path: PathBuf = data.join(fields[0]);
        let trial = Trial::of(format_of(&path), &path, &Options::default(), METRIC);
        assert!(trial.outcome.is_ok() && trial.probe.is_some(), "{}: {:?}", fields[0], trial.outcome);
        let all = positions(&trial.objects);
        // A coloured mesh has a vertex once in each of its parts.
        let vertices = trial.objects.first().and_then(|o| o.value("vertices")?.as_f64());
        let count = vertices.unwrap_or(all.len() as f64);
        assert_eq!((count, trial.report.skipped as f64), (numbers[0], numbers[1]), "{}", fields[0]);
        if all.is_empty() {
            continue;
        }
        let low = all.iter().fold(DVec3::INFINITY, |a, b| a.min(*b));
        let high = all.iter().fold(DVec3::NEG_INFINITY, |a, b| a.max(*b));
        let expected = [DVec3::new(numbers[2], numbers[3], numbers[4]), DVec3::new(numbers[5], numbers[6], numbers[7])];
        for (got, expected) in [low, high].iter().zip(expected) {
            // The table has nine digits.
            assert!((*got - expected).abs().max_element() < 1e-8 * expected.length().max(1e2), "{}: {got}", fields[0]);
        }
        files += 1;
    }
    assert!(files >= 18, "{files}");
}

#[test]
fn local_coordinates_go_where_the_user_says() {
    let options = Options { map: vec![("place".into(), "1000,2000,30,90".into())], ..Options::default() };
    let trial = with(&crate::xyz::FORMAT, "a.xyz", b"1 2 3\n4 5 6\n", &options);
    assert!(!trial.probe.as_ref().expect("points").needs_crs);
    let all = positions(&trial.objects);
    assert!(all[0].distance(DVec3::new(998.0, 2001.0, 33.0)) < 1e-9, "{}", all[0]);
    assert_eq!(codes(&trial), ["georeference"]);
    let plain = with(&crate::xyz::FORMAT, "a.xyz", b"1 2 3\n4 5 6\n", &Options::default());
    assert!(plain.probe.expect("points").needs_crs);
}

#[test]
fn heights_beside_feet_are_taken_as_feet_and_told() {
    let options = Options { crs: Some(Crs::from_epsg(2263).expect("feet")), ..Options::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xyz");
    std::fs::write(&path, b"985000 210000 100\n985010 210000 100\n").expect("written");
    let trial = Trial::of(&crate::xyz::FORMAT, &path, &options, 32618);
    let all = positions(&trial.objects);
    assert!((all[0].z - 30.48).abs() < 1e-3, "{}", all[0]);
    assert!(codes(&trial).contains(&"height_unit_assumed"));
}

#[test]
fn heights_whose_unit_is_said_are_read_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.xyz");
    std::fs::write(&path, b"985000 210000 100\n985010 210000 100\n").expect("written");
    for (crs, wanted) in [("EPSG:2263+6360", 30.480_061), ("EPSG:2263+5703", 100.0)] {
        let options = Options { crs: Some(Crs::parse(crs).expect("compound")), ..Options::default() };
        let trial = Trial::of(&crate::xyz::FORMAT, &path, &options, 32618);
        assert!((positions(&trial.objects)[0].z - wanted).abs() < 1e-6, "{crs}");
        assert_eq!(codes(&trial).contains(&"height_unit"), wanted != 100.0, "{crs}");
        assert!(!codes(&trial).contains(&"height_unit_assumed"), "{crs}");
    }
    let features = folder.path().join("a.geojson");
    let json = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":
        {"type":"Point","coordinates":[985000,210000,100]}}]}"#;
    std::fs::write(&features, json).expect("written");
    for (crs, wanted, code) in [("EPSG:2263+6360", 30.480_061, "height_unit"), ("EPSG:2263", 100.0, "z_unit_unknown")] {
        let options = Options { crs: Some(Crs::parse(crs).expect("known")), ..Options::default() };
        let trial = Trial::of(&crate::geojson::FORMAT, &features, &options, 32618);
        let place = trial.objects[0].geometry.extent().centre();
        assert!((place.z - wanted).abs() < 1e-6, "{crs}: {place}");
        assert!(codes(&trial).contains(&code), "{crs}");
    }
}

#[test]
fn a_large_cloud_leaves_in_batches_of_one_object() {
    let lines: String = (0..450_000).map(|i| format!("{i} 0 0\n")).collect();
    let trial = trial(&crate::xyz::FORMAT, "many.xyz", lines.as_bytes());
    assert_eq!((trial.objects.len(), trial.report.objects, trial.report.points), (3, 1, 450_000));
    assert!(trial.objects.iter().all(|o| o.id.as_str() == "t/many"));
    assert!(trial.objects[1].attributes.is_empty(), "only the first batch describes the scan");
}

#[test]
fn copc_files_have_the_counts_and_systems_that_laspy_reads() {
    let Some(data) = shared_data() else { return };
    // laspy 2.7.0: points, EPSG code of the horizontal system. lone-star says EPSG:4978 and holds UTM coordinates.
    for (name, points, code) in [
        ("1.2-with-color.copc.laz", 1065, Some(2991)),
        ("ellipsoid-1.4.laz", 100_000, Some(3857)),
        ("ellipsoid.copc.laz", 100_000, Some(3857)),
        ("lone-star.copc.laz", 518_862, None),
    ] {
        let path = data.join("pointcloud/copc").join(name);
        let probe = (crate::las::FORMAT.probe)(&path, &Options::default()).expect("a header").expect("LAZ");
        assert_eq!(
            (probe.records, probe.crs.and_then(|c| c.epsg)),
            (Some(points), code),
            "{name}: {:?}",
            probe.crs_text
        );
    }
}

#[test]
fn files_that_others_made_badly_neither_panic_nor_hang() {
    let Some(data) = shared_data() else { return };
    let mut open = vec![data.join("bad/e57"), data.join("bad/3dtiles")];
    let mut files = 0;
    while let Some(folder) = open.pop() {
        for path in std::fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path()) {
            let format = match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => {
                    open.push(path);
                    continue;
                }
                Some("json") => &crate::tiles3d::FORMAT,
                Some("e57") => &crate::e57::FORMAT,
                _ => continue,
            };
            let trial = Trial::of(format, &path, &Options::default(), METRIC);
            if let Err(error) = &trial.outcome {
                println!("{error}");
            }
            files += 1;
        }
    }
    assert!(files > 50, "{files}");
}
