use groundline_engine::{
    crs::Crs,
    model::{Class, Geometry, Value, Vertical},
};

use super::FORMAT;
use crate::{FORMATS, Options, trial, trial::Trial};

fn read_with(name: &str, bytes: &[u8], options: &Options) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Trial::of(&FORMAT, &path, options, 4549)
}

fn in_crs(code: u32) -> Options {
    Options { crs: Some(Crs::from_epsg(code).unwrap()), ..Options::default() }
}

/// What the import takes a file for.
fn detected(name: &str, bytes: &[u8]) -> Option<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    crate::intake::detect(&path, &Options::default()).unwrap().map(|(format, _)| format.name)
}

#[test]
fn longitude_and_latitude_become_points_of_the_class_that_the_name_says() {
    let text = "编号,树种,经度,纬度,树高(m)\nT1,银杏,120.38,36.06,12\nT2,雪松,120.39,36.07,\nT3,法桐,120.40,,9\n";
    let trees = read_with("行道树.csv", text.as_bytes(), &in_crs(4326));
    trees.outcome.as_ref().unwrap();
    assert_eq!((trees.objects.len(), trees.report.skipped), (2, 1));
    assert_eq!(trees.probe.as_ref().unwrap().class.as_ref().unwrap().0, Class::Tree);
    assert_eq!(trees.objects[0].id.as_str(), "t/T1");
    let Geometry::Instance(tree) = &trees.objects[0].geometry else { panic!() };
    assert_eq!((tree.height_m, tree.vertical), (12.0, Vertical::AboveTerrain));
    assert_eq!(trees.objects[0].value("树种"), Some(&Value::Text("银杏".into())));
    assert!(trees.objects[0].value("经度").is_none(), "the place is the geometry");
}

#[test]
fn x_is_north_where_the_numbers_say_so() {
    let text = "点号,X,Y,H\nK1,3993000.5,521000.25,35.5\nK2,3993100,521100,36\n";
    let points = read_with("控制点.csv", text.as_bytes(), &in_crs(4549));
    points.outcome.as_ref().unwrap();
    let Geometry::Point(point) = &points.objects[0].geometry else { panic!() };
    assert_eq!((point.at.x, point.at.y, point.at.z), (521_000.25, 3_993_000.5, 35.5));
    assert_eq!(point.vertical, Vertical::Absolute);
    assert_eq!(points.objects[0].value("elevation_m"), Some(&Value::Real(35.5)));
    assert!(points.report.warnings.iter().any(|w| w.code == "axes_swapped"), "X stands first and is north");

    let gis = "name;POINT_X;POINT_Y\na;521000,5;3\nb;521000.5;3993000.5\nc;521100;3993100\n";
    let points = read_with("points.csv", gis.as_bytes(), &in_crs(4549));
    assert_eq!((points.objects.len(), points.report.skipped), (2, 1));
    let Geometry::Point(point) = &points.objects[0].geometry else { panic!() };
    assert_eq!(point.at.x, 521_000.5);

    let text = "id,x,y\n1,10,20\n2,11,21\n";
    let local = read_with("a.csv", text.as_bytes(), &in_crs(4549));
    assert!(local.report.warnings.iter().any(|w| w.code == "axes_assumed"));
}

#[test]
fn well_known_text_becomes_lines_and_areas_in_the_system_that_it_names() {
    let text = "id,name,wkt\n1,路,\"SRID=4326;LINESTRING(120.38 36.06,120.39 36.06)\"\n2,湖,\"SRID=4326;POLYGON((120.38 36.06,120.39 36.06,120.39 36.07,120.38 36.06))\"\n3,错,LINESTRING(120\n";
    let shapes = read_with("shapes.csv", text.as_bytes(), &Options::default());
    shapes.outcome.as_ref().unwrap();
    let probe = shapes.probe.as_ref().unwrap();
    assert_eq!((probe.crs.as_ref().and_then(|c| c.epsg), probe.crs_from.as_str()), (Some(4326), "SRID"));
    assert!(matches!(shapes.objects[0].geometry, Geometry::Line(_)));
    assert!(matches!(shapes.objects[1].geometry, Geometry::Area(_)));
    assert_eq!((shapes.objects.len(), shapes.report.skipped), (2, 1));
}

#[test]
fn a_workbook_is_read_sheet_by_sheet() {
    let mut book = rust_xlsxwriter::Workbook::new();
    for (name, offset) in [("东区", 0.0), ("西区", 0.01)] {
        let sheet = book.add_worksheet();
        sheet.set_name(name).unwrap();
        for (column, title) in ["名称", "经度", "纬度"].into_iter().enumerate() {
            sheet.write(0, column as u16, title).unwrap();
        }
        for row in 1..4_u32 {
            sheet.write(row, 0, format!("点{row}")).unwrap();
            sheet.write(row, 1, 120.3 + offset + f64::from(row) * 0.001).unwrap();
            sheet.write(row, 2, 36.1).unwrap();
        }
    }
    book.add_worksheet().write(0, 0, "说明").unwrap();
    let bytes = book.save_to_buffer().unwrap();
    let points = read_with("points.xlsx", &bytes, &in_crs(4326));
    points.outcome.as_ref().unwrap();
    let ids: Vec<&str> = points.objects.iter().map(|o| o.id.as_str()).collect();
    assert_eq!((ids.len(), ids[0], ids[5]), (6, "t/东区/1", "t/西区/3"));
}

#[test]
fn pipe_tables_registers_and_readings_stay_with_their_formats() {
    let pipes = "点号,X,Y,地面高程,特征,附属物\nJ1,3993000,521000,10,直通,检修井\n";
    let register = "编号,名称,监测项,单位,经度,纬度\nS1,一号,水位,m,120.3,36.1\n";
    let readings = "time,value\n2026-01-01 00:00:00,1.5\n2026-01-01 00:01:00,1.6\n";
    let shaking = "time,x,y,z\n2026-01-01 00:00:00,1.5,2,3\n2026-01-01 00:01:00,1.6,2,3\n";
    let curve = "x,y\n1,2\n2,4\n";
    let people = "name,age\na,1\n";
    let stops = "name,lon,lat\na,120.3,36.1\n";
    for (text, wanted) in [
        (pipes, Some("pipe_table")),
        (register, Some("sensor-table")),
        (readings, Some("sensor-table")),
        (shaking, Some("sensor-table")),
        (curve, None),
        (people, None),
        (stops, Some("table")),
    ] {
        assert_eq!(detected("a.csv", text.as_bytes()), wanted, "{text}");
    }
    let order: Vec<&str> = FORMATS.iter().map(|f| f.name).collect();
    let place = |name: &str| order.iter().position(|n| *n == name);
    assert!(place("table") > place("pipe_table") && place("table") > place("sensor-table"));
}

#[test]
fn degrees_in_a_plane_system_are_refused() {
    let text = "name,lon,lat\na,120.3,36.1\n";
    let error = read_with("a.csv", text.as_bytes(), &in_crs(4549)).outcome.unwrap_err().to_string();
    assert!(error.contains("degrees"), "{error}");
    let dms = "name,lon,lat\na,120°18′00″,36°6′0″\n";
    let points = read_with("a.csv", dms.as_bytes(), &in_crs(4326));
    assert_eq!(points.probe.unwrap().source_extent, Some([120.3, 36.1, 120.3, 36.1]));
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    let rows: String = (0..40).map(|i| format!("T{i},树,120.3{i:02},36.1,{}\n", 5 + i)).collect();
    let text = format!("编号,名称,经度,纬度,高度\n{rows}");
    let found = trial::miscounts(&FORMAT, "trees.csv", text.as_bytes(), &in_crs(4326), 4549);
    // From the middle of one row to the same place in another: whole rows are missing, and nothing in the text tells.
    let is_seamless = |what: &String| what.starts_with("bytes 146 to 381 missing");
    let unexplained: Vec<_> = found.iter().filter(|what| !is_seamless(what)).collect();
    assert_eq!(unexplained, Vec::<&String>::new());
}
