//! Drawings that the library's own writer makes, in every release, held against the DXF of the same drawing.

use acadrust::{
    CadDocument, DwgWriter, DxfVersion, DxfWriter,
    entities::{
        Arc, BoundaryEdge, BoundaryPath, Circle, Ellipse, EntityType, Face3D, Hatch, Insert, Line, LwPolyline,
        LwVertex, MText, Point, PolylineEdge, Spline, Text,
    },
    tables::{BlockRecord, Layer},
    types::{Vector2, Vector3},
    xdata::{ExtendedDataRecord, XDataValue},
};
use groundline_engine::model::{Class, Geometry, Value};

use super::FORMAT;
use crate::{Format, Options, dxf, trial, trial::Trial};

fn at(x: f64, y: f64, z: f64) -> Vector3 {
    Vector3::new(521_000.0 + x, 3_993_000.0 + y, z)
}

fn flat(x: f64, y: f64) -> Vector2 {
    Vector2::new(521_000.0 + x, 3_993_000.0 + y)
}

/// A drawing with an entity of each kind that the writer is trusted with.
fn document(version: DxfVersion) -> CadDocument {
    let mut document = CadDocument::with_version(version);
    document.layers.add(Layer::new("buildings")).unwrap();
    document.app_ids.add(acadrust::tables::AppId::new("SOUTH")).unwrap();
    let mut add = |entity: EntityType| {
        document.add_entity(entity).unwrap();
    };
    let mut house = LwPolyline::from_points(vec![flat(0.0, 0.0), flat(10.0, 0.0), flat(10.0, 8.0), flat(0.0, 8.0)]);
    house.is_closed = true;
    house.common.layer = "buildings".into();
    let mut code = ExtendedDataRecord::new("SOUTH");
    code.add_value(XDataValue::String("141101".into()));
    code.add_value(XDataValue::Integer16(7));
    house.common.extended_data.add_record(code);
    add(EntityType::LwPolyline(house));
    let mut bent = LwPolyline::from_points(vec![flat(20.0, 0.0)]);
    bent.vertices = vec![LwVertex::with_bulge(flat(20.0, 0.0), 1.0), LwVertex::new(flat(22.0, 0.0))];
    add(EntityType::LwPolyline(bent));
    add(EntityType::Line(Line::from_points(at(0.0, 0.0, 1.0), at(5.0, 5.0, 2.0))));
    let mut point = Point::new();
    point.location = at(1.0, 2.0, 12.5);
    add(EntityType::Point(point));
    let mut circle = Circle::new();
    (circle.center, circle.radius) = (at(30.0, 0.0, 0.0), 2.0);
    add(EntityType::Circle(circle));
    let mut arc = Arc::new();
    (arc.center, arc.radius, arc.start_angle, arc.end_angle) = (at(40.0, 0.0, 0.0), 3.0, 6.0, 0.5);
    add(EntityType::Arc(arc));
    let mut ellipse = Ellipse::new();
    (ellipse.center, ellipse.major_axis, ellipse.minor_axis_ratio) =
        (at(50.0, 0.0, 0.0), Vector3::new(4.0, 1.0, 0.0), 0.5);
    (ellipse.start_parameter, ellipse.end_parameter) = (0.5, 2.5);
    add(EntityType::Ellipse(ellipse));
    let mut spline = Spline::new();
    spline.degree = 3;
    spline.knots = vec![0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
    spline.control_points = vec![at(60.0, 0.0, 0.0), at(61.0, 5.0, 0.0), at(65.0, -5.0, 1.0), at(66.0, 0.0, 0.0)];
    add(EntityType::Spline(spline));
    add(EntityType::Text(Text::with_value("Station 7", at(70.0, 0.0, 0.0)).with_height(2.0)));
    add(EntityType::MText(Box::new(MText::with_value("first\\Psecond", at(72.0, 0.0, 0.0)))));
    add(EntityType::Face3D(Face3D::new(
        at(80.0, 0.0, 0.0),
        at(81.0, 0.0, 0.0),
        at(81.0, 0.0, 3.0),
        at(80.0, 0.0, 3.0),
    )));
    let mut hatch = Hatch::new();
    let mut outline = BoundaryPath::new();
    let corners = vec![flat(90.0, 0.0), flat(96.0, 0.0), flat(96.0, 6.0)];
    outline.add_edge(BoundaryEdge::Polyline(PolylineEdge::new(corners, true)));
    hatch.paths.push(outline);
    add(EntityType::Hatch(Box::new(hatch)));
    let mut block = BlockRecord::new("WELL");
    block.handle = document.allocate_handle();
    block.block_entity_handle = document.allocate_handle();
    block.block_end_handle = document.allocate_handle();
    let owner = block.handle;
    document.block_records.add(block).unwrap();
    let mut rim = Line::from_points(Vector3::new(0.0, 0.0, 0.0), Vector3::new(1.0, 0.0, 0.0));
    rim.common.owner_handle = owner;
    document.add_entity(EntityType::Line(rim)).unwrap();
    let mut insert = Insert::new("WELL", at(100.0, 0.0, 0.0)).with_scale(2.0, 2.0, 2.0);
    insert.rotation = std::f64::consts::FRAC_PI_2;
    document.add_entity(EntityType::Insert(insert)).unwrap();
    document
}

fn read(format: &'static Format, bytes: &[u8]) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("plan.{}", format.extensions[0]));
    std::fs::write(&path, bytes).unwrap();
    Trial::of(format, &path, &Options::default(), 4549)
}

const RELEASES: &[DxfVersion] = &[
    DxfVersion::AC1012,
    DxfVersion::AC1014,
    DxfVersion::AC1015,
    DxfVersion::AC1018,
    DxfVersion::AC1021,
    DxfVersion::AC1024,
    DxfVersion::AC1027,
    DxfVersion::AC1032,
];

#[test]
fn every_release_holds_what_its_dxf_holds() {
    for version in RELEASES {
        let document = document(*version);
        let drawing = read(&FORMAT, &DwgWriter::write_to_vec(&document).unwrap());
        drawing.outcome.as_ref().unwrap_or_else(|e| panic!("{version:?}: {e}"));
        assert_eq!(drawing.report.skipped, 0, "{version:?}: {:?}", drawing.report.skips);
        assert_eq!(drawing.objects.len(), 13, "{version:?}: {:?}", drawing.report.warnings);
        let text = read(&dxf::FORMAT, &DxfWriter::new(&document).write_to_vec().unwrap());
        text.outcome.as_ref().unwrap_or_else(|e| panic!("{version:?}: {e}"));
        for object in &drawing.objects {
            let Some(same) = text.objects.iter().find(|o| o.id == object.id) else {
                panic!("{version:?}: {} {:?} is not in the DXF", object.id, object.value("entity"))
            };
            let (one, other) = (object.geometry.extent(), same.geometry.extent());
            assert!(
                one.min.abs_diff_eq(other.min, 1e-6) && one.max.abs_diff_eq(other.max, 1e-6),
                "{version:?}: {object:?} {same:?}"
            );
            assert_eq!((object.class, &object.attributes), (same.class, &same.attributes), "{version:?}");
        }
    }
}

#[test]
fn layers_blocks_and_extended_data_are_kept() {
    let drawing = read(&FORMAT, &DwgWriter::write_to_vec(&document(DxfVersion::AC1032)).unwrap());
    let house = drawing.objects.iter().find(|o| o.value("layer") == Some(&Value::Text("buildings".into()))).unwrap();
    assert_eq!((house.class, house.value("SOUTH")), (Class::Building, Some(&Value::Text("141101; 7".into()))));
    let rim = drawing.objects.iter().find(|o| o.value("block") == Some(&Value::Text("WELL".into()))).unwrap();
    let Geometry::Line(line) = &rim.geometry else { panic!() };
    let along = line.paths[0][1] - line.paths[0][0];
    assert!(along.abs_diff_eq(glam::DVec3::new(0.0, 2.0, 0.0), 1e-6), "{along}");
}

#[test]
fn strange_files_are_told_apart() {
    assert!(read(&FORMAT, b"MC0.0 and more").probe.is_none());
    let old = read(&FORMAT, b"AC1009 and more").outcome.unwrap_err().to_string();
    assert!(old.contains("AC1009 is not read"), "{old}");
    assert!(read(&FORMAT, b"AC1032").outcome.is_err());
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    // in a process of its own, as an import reads it
    let crs = groundline_engine::crs::Crs::from_epsg(4549).ok();
    let options = Options { crs, worker: Some(crate::apart::tests::workers()), ..Options::default() };
    for version in [DxfVersion::AC1015, DxfVersion::AC1018, DxfVersion::AC1032] {
        let bytes = DwgWriter::write_to_vec(&document(version)).unwrap();
        let found = trial::miscounts(&FORMAT, "plan.dwg", &bytes, &options, 4549);
        assert_eq!(found, Vec::<String>::new(), "{version:?}");
    }
}
