//! City models of other people, held against what other programs say about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use glam::DVec3;
use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, Class, Domain, Extent, Geometry, SourceReport, Value},
};
use groundline_importers::{
    ImportError, Job, Options, Probe, citygml, cityjson,
    intake::{self, Request},
};

use super::{Kept, data};

struct Imported {
    probe: Probe,
    objects: Vec<CityObject>,
    report: SourceReport,
    outcome: Result<(), ImportError>,
}

/// Imports into `city`, or into the source's own system where it is `None`.
fn import(path: &Path, city: Option<u32>) -> Imported {
    let is_json = path.extension().is_some_and(|e| e == "json" || e == "jsonl");
    let format = if is_json { &cityjson::FORMAT } else { &citygml::FORMAT };
    let options = Options::default();
    let probe = (format.probe)(path, &options).unwrap().expect("a city model");
    // A system for files that name none; nothing is transformed into itself.
    let source = probe.crs.clone().unwrap_or_else(|| Crs::from_epsg(28992).unwrap());
    let target = city.map_or_else(|| source.clone(), |code| Crs::from_epsg(code).unwrap());
    let transform = Transform::new(&source, &target).unwrap();
    let mut report = SourceReport::default();
    let mut kept = Kept::default();
    let job = Job { path, probe: &probe, layer: "t", city_from_source: &transform, crs: &source, options: &options };
    let outcome = (format.read)(&job, &mut kept, &mut report);
    Imported { probe, objects: kept.0, report, outcome }
}

fn ring_area(ring: &[DVec3]) -> f64 {
    let first = ring.first().copied().unwrap_or_default();
    let double: DVec3 = ring.windows(2).map(|w| (w[0] - first).cross(w[1] - first)).sum();
    double.length() * 0.5
}

/// Area of all surfaces, and their vertices.
fn area_and_vertices(geometry: &Geometry) -> (f64, Vec<DVec3>) {
    let plan = |polygons: &[groundline_engine::model::Polygon]| {
        let area = polygons.iter().map(|p| ring_area(&p.outer) - p.holes.iter().map(|h| ring_area(h)).sum::<f64>());
        (area.sum(), polygons.iter().flat_map(|p| p.outer.iter().copied()).collect())
    };
    match geometry {
        Geometry::Mesh(mesh) => {
            let mut area = 0.0;
            for part in &mesh.parts {
                for t in part.indices.chunks_exact(3) {
                    let [a, b, c] = [t[0], t[1], t[2]].map(|i| part.positions[i as usize]);
                    area += (b - a).cross(c - a).length() * 0.5;
                }
            }
            (area, mesh.parts.iter().flat_map(|p| p.positions.iter().map(|v| *v + mesh.origin)).collect())
        }
        Geometry::Area(area) => plan(&area.polygons),
        Geometry::Block(block) => plan(&block.footprint),
        Geometry::Line(line) => (0.0, line.paths.iter().flatten().copied().collect()),
        Geometry::Tube(tube) => (0.0, tube.axis.clone()),
        Geometry::Point(point) => (0.0, vec![point.at]),
        Geometry::Instance(instance) => (0.0, vec![instance.at]),
        _ => (0.0, Vec::new()),
    }
}

/// Files whose figures differ from the referee's, and why: part of the area, reason.
const EXCUSED: &[(&str, f64, &str)] = &[(
    "bad/citygml/plateau_cons_errors/Z-cons-01_surface-errors/udx/cons/49303415_cons_6697_op.gml",
    0.03,
    "one of the planted errors is a face that is not plane, whose area depends on its triangles",
)];

#[test]
fn types_areas_and_extents_are_those_of_others() {
    let Some(data) = data() else { return };
    let mut failures = Vec::new();
    let mut checked = 0;
    for row in include_str!("citymodel_referee.tsv").lines().filter(|l| !l.starts_with('#')) {
        let [path, city, types, polygons, area, extent @ ..] = &row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let imported = import(&data.join(path), city.parse().ok());
        if let Err(error) = &imported.outcome {
            failures.push(error.to_string());
            continue;
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let (mut total, mut found) = (0.0, Extent::EMPTY);
        for object in &imported.objects {
            let kind = object.value("citygml_type").map(ToString::to_string).unwrap_or_default();
            *counts.entry(kind).or_default() += 1;
            let (area, vertices) = area_and_vertices(&object.geometry);
            total += area;
            vertices.into_iter().for_each(|v| found.add(v));
        }
        let counted: Vec<String> = counts.iter().map(|(kind, n)| format!("{kind}:{n}")).collect();
        if counted.join(",") != *types {
            failures.push(format!("{path}: {} objects, not {types}", counted.join(",")));
        }
        let wanted: f64 = area.parse().unwrap();
        let part = EXCUSED.iter().find(|(p, ..)| p == path).map_or(1e-6, |(_, part, _)| *part);
        if (total - wanted).abs() > wanted * part + 0.01 {
            failures.push(format!("{path}: {total} m² of {wanted}"));
        }
        let corners: Vec<f64> = extent.iter().map(|n| n.parse().unwrap()).collect();
        let got = [found.min, found.max].map(|v| v.to_array()).concat();
        if got.iter().zip(&corners).any(|(a, b)| (a - b).abs() > 2e-3) {
            failures.push(format!("{path}: extent {got:.4?}, not {corners:?}"));
        }
        let ids: BTreeSet<_> = imported.objects.iter().map(|o| &o.id).collect();
        if ids.len() != imported.objects.len() {
            failures.push(format!("{path}: ids are not unique"));
        }
        if imported.report.skipped > 0 {
            failures.push(format!("{path}: skipped {:?}", imported.report.skips.iter().take(5).collect::<Vec<_>>()));
        }
        println!(
            "{path}: {} objects, {polygons} polygons, crs {:?} by {}, warnings {:?}",
            imported.objects.len(),
            imported.probe.crs.as_ref().map(Crs::label),
            imported.probe.crs_from,
            imported.report.warnings.iter().map(|w| (&w.code, w.count, &w.place)).collect::<Vec<_>>()
        );
        checked += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(checked > 25);
}

fn text(object: &CityObject, key: &str) -> Option<String> {
    object.value(key).map(ToString::to_string)
}

#[test]
fn plateau_attributes_keep_their_types_and_pipes_lie_below() {
    let Some(data) = data() else { return };
    let buildings = import(&data.join("citymodel/plateau/v6_51357309_bldg_6697_op.gml"), Some(6690));
    let first = &buildings.objects[0];
    assert_eq!(first.id.as_str(), "t/bldg_fdbf34c2-400a-4ce6-aa4c-898f17fa4d78");
    assert_eq!(first.value("height_m"), Some(&Value::Real(7.0)));
    assert_eq!(first.value("storeys"), Some(&Value::Int(2)));
    assert_eq!(first.value("ユーザーID"), Some(&Value::Int(100_979)));
    assert_eq!(first.value("計測周辺長"), Some(&Value::Real(25.314672973)));
    assert_eq!(first.value("RiverFloodingRiskAttribute.depth[2]"), Some(&Value::Real(0.94)));
    assert_eq!(text(first, "BuildingIDAttribute.buildingID").as_deref(), Some("27100-bldg-27086"));
    assert_eq!(text(first, "lods_not_taken").as_deref(), Some("0"));

    let pipes = import(&data.join("underground/citygml_unf/53393680_unf_6697_op.gml"), Some(6691));
    let classes: Vec<Class> = pipes.objects.iter().map(|o| o.class).collect();
    assert_eq!(classes, [Class::Pipe, Class::Manhole]);
    assert!(pipes.objects.iter().all(|o| o.domain == Domain::Below));
    assert_eq!(text(&pipes.objects[0], "pipe_kind").as_deref(), Some("water"));
    assert_eq!(pipes.objects[0].value("depth_m"), Some(&Value::Real(4.0)));
}

#[test]
fn parts_name_their_buildings_and_buildings_leave_the_drawing_to_them() {
    let Some(data) = data() else { return };
    let model = import(&data.join("citymodel/cityjson/3dbag_b2.city.jsonl"), None);
    let part = &model.objects.iter().find(|o| o.parent.is_some()).unwrap();
    assert_eq!(part.parent.as_ref().unwrap().as_str(), "t/NL.IMBAG.Pand.0503100000031927");
    assert_eq!(text(part, "lod").as_deref(), Some("2.2"));
    let whole = model.objects.iter().find(|o| Some(&o.id) == part.parent.as_ref()).unwrap();
    assert_eq!(whole.geometry, Geometry::None);
    assert!(model.probe.crs.as_ref().is_some_and(|crs| crs.epsg == Some(28992)));
}

#[test]
fn damaged_models_are_named_and_not_silently_short() {
    let Some(data) = data() else { return };
    let folder = data.join("bad/cityjson");
    let empty = (cityjson::FORMAT.probe)(&folder.join("completely_empty.json"), &Options::default());
    assert!(matches!(empty, Ok(None)));
    // Objects, parts skipped, warnings: by the name of the file.
    for (name, objects, skipped, codes) in [
        ("invalid_schema_cityjson_2.json", 1, 1, &[][..]),
        ("cube_tol_1.json", 1, 0, &[]),
        ("duplicate.json", 3, 0, &["surface_without_area", "surface_bent", "duplicate_id", "several_parents"]),
        ("o.json", 3, 2, &["surface_without_area", "surface_bent", "several_parents"]),
        ("several_lods_invalid.json", 2, 0, &[]),
    ] {
        let model = import(&folder.join(name), None);
        assert!(model.outcome.is_ok(), "{name}");
        let warned: Vec<&str> = model.report.warnings.iter().map(|w| w.code.as_str()).collect();
        assert_eq!((model.objects.len(), model.report.skipped), (objects, skipped), "{name}: {:?}", model.report.skips);
        assert_eq!(warned, codes, "{name}");
    }
    let lone = data.join("citymodel/cityjson/3dbag_feature_x71.city.jsonl");
    assert!(import(&lone, None).outcome.unwrap_err().to_string().contains("transform"));
}

#[test]
fn a_city_with_tiles_is_made_of_them() {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let sources = [
        "citymodel/plateau/53404336_bldg_6697.gml",
        "citymodel/plateau/53393690_tun_6697_40_op.gml",
        "underground/citygml_unf/53393680_unf_6697_op.gml",
    ];
    let request = Request {
        sources: sources.iter().map(|s| data.join(s)).collect(),
        city: folder.path().join("tokyo.city"),
        ..Request::default()
    };
    let report = intake::import(&request, &mut |_| {}).unwrap();
    for source in &report.sources {
        let codes: Vec<_> = source.warnings.iter().map(|w| (&w.code, w.count)).collect();
        println!("{} {}: {} objects, {codes:?}", source.format, source.path, source.objects);
        assert_eq!((source.format.as_str(), source.error.as_deref(), source.skipped), ("citygml", None, 0));
    }
    assert_eq!(report.objects, 98 + 7 + 2);
    assert!(report.tiles >= 3, "{}", report.tiles);

    let request = Request {
        sources: ["delft.json", "3dbag_b2.city.jsonl"].map(|s| data.join("citymodel/cityjson").join(s)).to_vec(),
        city: folder.path().join("delft.city"),
        ..Request::default()
    };
    let report = intake::import(&request, &mut |_| {}).unwrap();
    assert_eq!(report.objects, 570 + 4);
    for source in &report.sources {
        let codes: Vec<_> = source.warnings.iter().map(|w| (&w.code, w.count)).collect();
        println!("{} {}: {} objects, {codes:?}", source.format, source.path, source.objects);
        assert_eq!((source.format.as_str(), source.error.as_deref()), ("cityjson", None));
    }
}
