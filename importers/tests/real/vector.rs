//! Shapefiles, GeoJSON, GeoPackages, FlatGeobuf and GeoParquet of other people, held against what GDAL (for GeoParquet
//! pyarrow and shapely) says about them.

use std::{collections::BTreeSet, path::Path};

use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, Geometry, SourceReport},
};
use groundline_importers::{FORMATS, Format, ImportError, Job, Options, Probe, shapefile};

use super::{Kept, data, record::vertices};

struct Imported {
    probe: Probe,
    objects: Vec<CityObject>,
    report: SourceReport,
    outcome: Result<(), ImportError>,
}

impl Imported {
    fn warning(&self, code: &str) -> Option<&str> {
        self.report.warnings.iter().find(|w| w.code == code).map(|w| w.message.as_str())
    }

    /// Records that objects came of.
    fn records(&self) -> usize {
        self.objects.iter().map(|o| o.record).collect::<BTreeSet<_>>().len()
    }

    fn extent(&self) -> Option<[f64; 4]> {
        let mut vertices = self.objects.iter().flat_map(|o| vertices(&o.geometry)).peekable();
        vertices.peek()?;
        Some(vertices.fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |e, v| {
            [e[0].min(v.x), e[1].min(v.y), e[2].max(v.x), e[3].max(v.y)]
        }))
    }
}

fn format_of(path: &Path, options: &Options) -> (&'static Format, Probe) {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut formats = FORMATS.iter().filter(|format| format.extensions.contains(&ending.as_str()));
    let found = formats.find_map(|format| Some((*format, (format.probe)(path, options).unwrap()?)));
    found.expect("a file of a known format")
}

/// Imports into `city`, or into the source's own system where it is `None`.
fn import(path: &Path, options: Options, city: Option<&Crs>) -> Imported {
    let (format, probe) = format_of(path, &options);
    // A system for files that name none; nothing is transformed into itself.
    let source = options.crs.clone().or(probe.crs.clone()).unwrap_or_else(|| Crs::from_epsg(32650).unwrap());
    let transform = Transform::new(&source, city.unwrap_or(&source)).unwrap();
    let mut report = SourceReport::default();
    let mut kept = Kept::default();
    let layer = path.file_stem().unwrap().to_string_lossy().into_owned();
    let job = Job { path, probe: &probe, layer: &layer, city_from_source: &transform, crs: &source, options: &options };
    let outcome = (format.read)(&job, &mut kept, &mut report);
    Imported { probe, objects: kept.0, report, outcome }
}

/// Files whose records are not all taken over, with the reason.
const EXCUSED: &[(&str, usize, &str)] = &[
    ("bad/shp/gt_lsOnePoint/lsOnePoint.shp", 1, "a line of one place has no length"),
    ("gis/shp/berlin_osmbuildings/osmbuildings.shp", 3, "records 384, 391 and 394 are polygons without area"),
    (
        "bad/shp/gt_screenmap-deleted/screenmap-deleted.shp",
        1,
        "deleted in the .dbf; GDAL counts it and does not read it",
    ),
];

/// GDAL gives the box of the file's header. That of the first file is 2.5 m larger than its points, those of the
/// second are rounded to six digits.
const LOOSE_HEADERS: &[(&str, f64)] =
    &[("gis/shp/aurich_osm_dhdn_gk2/obepath.shp", 2.5), ("gis/gpkg/morro_bay.gpkg", 5e-4)];

#[test]
fn counts_and_extents_are_those_of_gdal() {
    let Some(data) = data() else { return };
    let mut failures = Vec::new();
    let mut checked = 0;
    for row in include_str!("vector_referee.tsv").lines().filter(|l| !l.starts_with('#')) {
        let [path, count, extent @ ..] = &row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let file = data.join(path);
        if !file.exists() {
            failures.push(format!("{path}: not there"));
            continue;
        }
        let imported = import(&file, Options::default(), None);
        if let Err(error) = &imported.outcome {
            failures.push(error.to_string());
            continue;
        }
        let left_out = EXCUSED.iter().find(|(p, ..)| p == path).map_or(0, |(_, n, _)| *n);
        let expected: usize = count.parse().unwrap_or(1);
        if imported.records() + left_out != expected {
            let (n, skips) = (imported.records(), &imported.report.skips);
            failures.push(format!("{path}: {n} of {expected} records, skipped {skips:?}"));
        }
        let wanted: Vec<f64> = extent.iter().filter_map(|n| n.parse().ok()).collect();
        // GDAL prints six digits.
        let tolerance = LOOSE_HEADERS.iter().find(|(p, _)| p == path).map_or(1e-6, |(_, t)| *t);
        if let Some(got) = imported.extent()
            && left_out == 0
            && wanted.len() == 4
            && got.iter().zip(&wanted).any(|(a, b)| (a - b).abs() > tolerance)
        {
            failures.push(format!("{path}: extent {got:?}, not {wanted:?}"));
        }
        let ids: BTreeSet<_> = imported.objects.iter().map(|o| &o.id).collect();
        if ids.len() != imported.objects.len() {
            failures.push(format!("{path}: ids are not unique"));
        }
        println!(
            "{path}: {} objects, {:?}, encoding {:?}, crs {:?} by {}, warnings {:?}",
            imported.objects.len(),
            imported.probe.class,
            imported.probe.encoding,
            imported.probe.crs.as_ref().map(Crs::label),
            imported.probe.crs_from,
            imported.report.warnings.iter().map(|w| (&w.code, w.count)).collect::<Vec<_>>()
        );
        checked += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(checked > 50);
}

#[test]
fn berlin_is_found_out_and_lands_in_berlin_when_told_so() {
    let Some(data) = data() else { return };
    let path = data.join("gis/shp/berlin_osmbuildings/osmbuildings.shp");
    let as_it_is = import(&path, Options::default(), None);
    let message = as_it_is.warning("axes_maybe_swapped").expect("the corners give it away");
    assert!(message.contains("--map axes=yx"), "{message}");

    let map = vec![("axes".to_string(), "yx".to_string())];
    let city = Crs::city_default(13.4, 52.5).unwrap();
    let told = import(&path, Options { map, ..Options::default() }, Some(&city));
    assert_eq!(told.warning("axes_maybe_swapped"), None);
    let [min_x, min_y, max_x, max_y] = told.extent().unwrap();
    assert!(min_x > 3.5e5 && max_x < 4.5e5 && min_y > 5.7e6 && max_y < 5.9e6, "{:?}", told.extent());
    assert_eq!(told.report.skipped, 3);
}

#[test]
fn beijing_has_heights_and_delft_says_that_it_has_none() {
    let Some(data) = data() else { return };
    let city = Crs::city_default(116.4, 39.9).unwrap();
    let beijing = import(&data.join("gis/geojson/beijing_buildings_height.geojson"), Options::default(), Some(&city));
    assert_eq!((beijing.objects.len(), beijing.report.skipped), (5442, 0));
    let block = |o: &CityObject| match &o.geometry {
        Geometry::Block(block) => block.height_m,
        other => panic!("{other:?}"),
    };
    assert!(beijing.objects.iter().map(block).any(|h| h > 50.0));

    let delft = import(&data.join("gis/geojson/delft_tudcampus_bag.geojson"), Options::default(), None);
    assert_eq!(delft.objects.len(), 1529);
    assert_eq!(delft.probe.crs.as_ref().and_then(|c| c.epsg), Some(28992));
    let defaulted = delft.report.warnings.iter().find(|w| w.code == "height_defaulted").unwrap();
    assert_eq!(defaulted.count, 1529);
}

#[test]
fn ky4_becomes_pipes_of_true_diameter_in_metres() {
    let Some(data) = data() else { return };
    let folder = data.join("underground/pipes/ky4");
    let city = Crs::from_epsg(32616).unwrap();
    let pipes = import(&folder.join("ky4_pipes.geojson"), Options::default(), Some(&city));
    assert_eq!(pipes.objects.len(), 1156);
    let Geometry::Tube(tube) = &pipes.objects[0].geometry else { panic!("{:?}", pipes.objects[0]) };
    assert_eq!(tube.section.size_m(), 0.1524);
    assert_eq!((tube.from.as_deref(), tube.to.as_deref()), (Some("J-1"), Some("J-34")));
    // The first pipe is 536.488 m long by its own field; feet became metres.
    let length: f64 = tube.axis.windows(2).map(|w| w[0].truncate().distance(w[1].truncate())).sum();
    assert!((length / 536.488 - 1.0).abs() < 2e-3, "{length}");
    assert!(tube.axis.iter().all(|v| (v.z + 1.2 + 0.0762).abs() < 1e-9));
    let value = |key: &str| pipes.objects[0].value(key).map(ToString::to_string);
    assert_eq!((value("pipe_kind").as_deref(), value("diameter_mm").as_deref()), (Some("water"), Some("152.4")));
    assert_eq!(pipes.objects[0].id.as_str(), "ky4_pipes/P-1");
    let tanks = import(&folder.join("ky4_tanks.geojson"), Options::default(), Some(&city));
    assert_eq!(tanks.objects.len(), 4);
}

#[test]
fn beijing_1954_is_not_moved_into_another_datum() {
    let Some(data) = data() else { return };
    let path = data.join("gis/shp/youwuzhen_beijing54/thiessen_pcp.shp");
    let probe = (shapefile::FORMAT.probe)(&path, &Options::default()).unwrap().unwrap();
    let source = probe.crs.unwrap();
    assert_eq!(source.epsg, Some(2415));
    assert!(Transform::new(&source, &Crs::from_epsg(4547).unwrap()).is_err());
}

#[test]
fn multi_patches_become_meshes_of_the_area_that_gdal_finds() {
    let Some(data) = data() else { return };
    let patches = import(&data.join("gis/shp/multipatch_la/mpatch3.shp"), Options::default(), None);
    let area = |object: &CityObject| {
        let Geometry::Mesh(mesh) = &object.geometry else { panic!("{object:?}") };
        let part = &mesh.parts[0];
        let corners = part.indices.chunks_exact(3).map(|t| [t[0], t[1], t[2]].map(|i| part.positions[i as usize]));
        corners.map(|[a, b, c]| (b - a).cross(c - a).length() / 2.0).sum::<f64>()
    };
    // sum(st_area(geometry)) by ogrinfo 3.6.2; the patches lie flat, each at a height of its own.
    let sum: f64 = patches.objects.iter().map(area).sum();
    assert!((sum / 27_090_086.593_75 - 1.0).abs() < 1e-6, "{sum}");
}

#[test]
fn a_geopackage_of_many_tables_keeps_them_apart() {
    let Some(data) = data() else { return };
    let read = import(&data.join("gis/gpkg/morro_bay.gpkg"), Options::default(), None);
    let of = |table: &str| {
        let prefix = format!("morro_bay/{table}/");
        read.objects.iter().filter(|o| o.id.as_str().starts_with(&prefix)).collect::<Vec<_>>()
    };
    for (table, count, class) in [("roads", 572, "road"), ("waterways", 43, "water"), ("landuse", 80, "land_use")] {
        let found = of(table);
        assert_eq!(found.len(), count, "{table}");
        assert!(found.iter().any(|o| o.class.word() == class), "{table}: {}", found[0].class.word());
    }
}

#[test]
fn what_gdal_cannot_open_either_is_refused_with_a_reason() {
    let Some(data) = data() else { return };
    for (path, word) in [
        ("bad/gpkg/import_db_corrupt.gpkg", "not a database"),
        ("bad/parquet/PARQUET-1481.parquet", "footer"),
        ("gis/fgb/topp_states.fgb", "version 2"),
    ] {
        let path = data.join(path);
        let ending = path.extension().unwrap().to_string_lossy().into_owned();
        let format = FORMATS.iter().find(|f| f.extensions.contains(&ending.as_str())).unwrap();
        let message = (format.probe)(&path, &Options::default()).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}
