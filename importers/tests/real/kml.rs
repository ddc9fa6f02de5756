//! KML of other people, held against what GDAL says about it.

use std::{collections::BTreeSet, path::Path};

use groundline_engine::model::{CityObject, Class, Extent, Geometry, SourceReport};
use groundline_importers::{Options, kml};

use super::{data, import_in};

/// Objects and account, in degrees.
fn import(path: &Path) -> (Vec<CityObject>, SourceReport) {
    import_in(&kml::FORMAT, path, 4326)
}

/// Features and extent by ogrinfo of GDAL 3.6.2, over all layers; without the layer `Ground Overlays`, whose one feature
/// is the outline of a picture.
const REFEREE: &[(&str, usize, [f64; 4])] = &[
    ("gis/kml/kmlsamples.kml", 20, [-122.086016, 36.079550, -77.053155, 38.872910]),
    ("gis/kml/states.kml", 49, [-124.731422, 24.955967, -66.969849, 49.371735]),
];

#[test]
fn counts_and_extents_are_those_of_gdal() {
    let Some(data) = data() else { return };
    for (path, count, wanted) in REFEREE {
        let (objects, report) = import(&data.join(path));
        let records: BTreeSet<u64> = objects.iter().map(|o| o.record).collect();
        println!("{path}: {} objects of {} placemarks, {:?}", objects.len(), records.len(), report.warnings);
        assert_eq!((records.len(), report.skipped), (*count, 0), "{path}");
        let mut extent = Extent::EMPTY;
        objects.iter().for_each(|o| extent.merge(&o.geometry.extent()));
        let found = [extent.min.x, extent.min.y, extent.max.x, extent.max.y];
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{path}: {found:?}, not {wanted:?}");
    }
}

#[test]
fn the_campus_stands_in_buildings_and_the_path_in_the_air() {
    let Some(data) = data() else { return };
    let (objects, _) = import(&data.join("gis/kml/kmlsamples.kml"));
    let buildings: Vec<_> = objects.iter().filter(|o| o.class == Class::Building).collect();
    for building in &buildings {
        let Geometry::Block(block) = &building.geometry else { panic!("{building:?}") };
        println!("{:?}: {} m", building.name, block.height_m);
    }
    let pentagon = buildings.iter().find(|o| o.name.as_deref() == Some("The Pentagon")).expect("the Pentagon");
    let Geometry::Block(block) = &pentagon.geometry else { panic!() };
    assert_eq!((block.height_m, block.footprint[0].holes.len()), (100.0, 1));
}

#[test]
fn what_gdal_cannot_open_is_refused_here_too() {
    let Some(data) = data() else { return };
    let refused = (kml::FORMAT.probe)(&data.join("bad/kml/bad.kmz"), &Options::default());
    let error = refused.expect_err("no archive").to_string();
    assert!(error.contains("archive"), "{error}");
}
