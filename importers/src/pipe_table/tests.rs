//! Whole tables, read as a city would deliver them.

use std::path::{Path, PathBuf};

use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, Domain, InstanceModel, Origin, Section, Value},
};

use super::*;
use crate::trial::Kept;

fn crs() -> Crs {
    Crs::from_epsg(4549).unwrap()
}

struct Outcome {
    objects: Vec<CityObject>,
    report: SourceReport,
    probe: Probe,
}

impl Outcome {
    fn get(&self, id: &str) -> &CityObject {
        let found = self.objects.iter().find(|o| o.id.as_str() == format!("t/{id}"));
        found.unwrap_or_else(|| panic!("no {id} among {:?}", self.objects.iter().map(|o| &o.id).collect::<Vec<_>>()))
    }

    fn has_warning(&self, code: &str) -> bool {
        self.report.warnings.iter().any(|w| w.code == code)
    }

    fn axis(&self, id: &str) -> [DVec3; 2] {
        match &self.get(id).geometry {
            Geometry::Tube(tube) => [tube.axis[0], tube.axis[1]],
            other => panic!("{id} is {other:?}"),
        }
    }
}

fn import_with(path: &Path, options: Options) -> Result<Outcome, ImportError> {
    let probe = probe(path, &options)?.expect("a pipe table");
    let crs = crs();
    let transform = Transform::new(&crs, &crs)?;
    let job = Job { path, probe: &probe, layer: "t", city_from_source: &transform, crs: &crs, options: &options };
    let mut out = Kept::default();
    let mut report = SourceReport::default();
    read(&job, &mut out, &mut report)?;
    Ok(Outcome { objects: out.0, report, probe })
}

fn import(path: &Path) -> Outcome {
    import_with(path, Options::default()).unwrap()
}

fn write(folder: &Path, name: &str, text: &str, encoding: &'static encoding_rs::Encoding) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, encoding.encode(text).0).unwrap();
    path
}

const WATER_POINTS: &str = "物探点号,X,Y,地面高程,特征,附属物,井底深,权属单位,备注\n\
    JS1,3993055.813,534467.459,5.00,,阀门井,1.8,自来水公司,甲\n\
    JS2,3993055.813,534497.459,5.20,弯头,,,自来水公司,\n\
    JS3,3993085.813,534497.459,5.40,,消防栓,,,\n";
const WATER_LINES: &str = "起点点号,终点点号,起点埋深(m),终点埋深(m),管径或断面,材质,埋设方式,权属单位,建设年代,使用状态,道路名称,图幅号\n\
    JS1,JS2,1.20,1.30,DN300,球墨铸铁,直埋,自来水公司,2009-05-01,在用,香港中路,12-34\n\
    JS2,JS3,1.30,1.10,200,PE,直埋,自来水公司,1998,废弃,香港中路,12-34\n";

fn water(lines: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "JSPoint.csv", WATER_POINTS, encoding_rs::GBK);
    let lines = write(folder.path(), "JSLine.csv", lines, encoding_rs::GBK);
    (folder, lines)
}

#[test]
fn a_gbk_pair_becomes_pipes_at_their_height_and_nodes_of_their_kind() {
    let (folder, lines) = water(WATER_LINES);
    let read = import(&lines);
    assert_eq!(read.probe.companions, [folder.path().join("JSPoint.csv")]);
    assert_eq!(read.probe.encoding, Some(("gb18030".into(), "content".into())));
    assert_eq!(read.probe.source_extent, Some([534467.459, 3993055.813, 534497.459, 3993085.813]));
    assert!(read.probe.needs_crs && read.probe.crs.is_none());
    assert_eq!(read.objects.len(), 5);
    assert_eq!((read.report.skipped, read.report.warnings.len()), (0, 0), "{:?}", read.report);

    // a pressure pipe is measured to its top: 5.00 - 1.20 - 0.15
    let [start, end] = read.axis("JS1-JS2");
    assert!(start.abs_diff_eq(DVec3::new(534467.459, 3993055.813, 3.65), 1e-6), "{start}");
    assert!(end.abs_diff_eq(DVec3::new(534497.459, 3993055.813, 3.75), 1e-6), "{end}");
    let pipe = read.get("JS1-JS2");
    assert_eq!((pipe.class, pipe.domain, pipe.stage), (Class::Pipe, Domain::Below, Stage::Operation));
    for (key, value) in [
        ("pipe_kind", Value::Text("water".into())),
        ("diameter_mm", Value::Real(300.0)),
        ("material", Value::Text("球墨铸铁".into())),
        ("laying", Value::Text("直埋".into())),
        ("owner", Value::Text("自来水公司".into())),
        ("year", Value::Int(2009)),
        ("depth_start_m", Value::Real(1.2)),
        ("depth_end_m", Value::Real(1.3)),
        ("ground_start_m", Value::Real(5.0)),
        ("road", Value::Text("香港中路".into())),
        ("图幅号", Value::Text("12-34".into())),
    ] {
        assert_eq!(pipe.value(key), Some(&value), "{key}");
    }
    let length = pipe.value("length_m").and_then(Value::as_f64).unwrap();
    assert!((length - 30.0_f64.hypot(0.1)).abs() < 1e-9);
    let depth = pipe.attributes.iter().find(|a| &*a.key == "depth_start_m").unwrap();
    assert_eq!(&*depth.field, "起点埋深(m)");
    assert_eq!(depth.origin, Origin::Converted("metres, depth of the top (by practice)".into()));
    assert_eq!(read.get("JS2-JS3").stage, Stage::Retired);

    let Geometry::Tube(tube) = &pipe.geometry else { panic!() };
    assert_eq!((tube.from.as_deref(), tube.to.as_deref()), (Some("JS1"), Some("JS2")));
    let Geometry::Shaft(well) = &read.get("JS1").geometry else { panic!() };
    assert_eq!((well.top.z, well.depth_m, well.diameter_m), (5.0, 1.8, 0.8));
    let diameter = read.get("JS1").attributes.iter().find(|a| &*a.key == "well_diameter_m").unwrap();
    assert!(matches!(diameter.origin, Origin::Defaulted(_)));
    assert_eq!(read.get("JS1").value("备注"), Some(&Value::Text("甲".into())));
    let Geometry::Instance(bend) = &read.get("JS2").geometry else { panic!() };
    assert_eq!(bend.model, InstanceModel::Joint);
    // 3.75 as the end of one and 3.80 as the start of the other
    assert!((bend.at.z + bend.height_m / 2.0 - 3.775).abs() < 1e-9);
    let Geometry::Instance(hydrant) = &read.get("JS3").geometry else { panic!() };
    assert_eq!((hydrant.model, hydrant.at.z), (InstanceModel::Hydrant, 5.4));
}

#[test]
fn a_drain_is_measured_to_its_invert() {
    let folder = tempfile::tempdir().unwrap();
    let points = "管线点号,X,Y,地面高程,附属物\nYS1,3993000,534400,6.0,雨水井\nYS2,3993040,534400,6.0,雨水篦\n";
    write(folder.path(), "雨水管点.csv", points, encoding_rs::UTF_8);
    let lines = "起点点号,终点点号,起点埋深,终点埋深,断面尺寸,流向\nYS1,YS2,2.0,2.1,1000X800,1\n";
    let path = write(folder.path(), "雨水管线.csv", lines, encoding_rs::UTF_8);
    let read = import(&path);
    assert_eq!(read.probe.encoding, Some(("UTF-8".into(), "content".into())));
    let [start, end] = read.axis("YS1-YS2");
    assert!((start.z - 4.4).abs() < 1e-9 && (end.z - 4.3).abs() < 1e-9, "{start} {end}");
    let Geometry::Tube(tube) = &read.get("YS1-YS2").geometry else { panic!() };
    assert_eq!(tube.section, Section::Rect { width_m: 1.0, height_m: 0.8 });
    assert_eq!(read.get("YS1-YS2").value("width_mm"), Some(&Value::Real(1000.0)));
    // without 井底深 a well reaches to the underside of its lowest pipe
    let Geometry::Shaft(well) = &read.get("YS1").geometry else { panic!() };
    assert!((well.depth_m - 2.0).abs() < 1e-9);
}

#[test]
fn elevations_win_and_disagreement_is_told() {
    let lines = "起点点号,终点点号,起点埋深,终点埋深,起点管顶高程,终点管底高程,管径\nJS1,JS2,1.20,1.30,3.80,3.00,200\n";
    let (_folder, path) = water(lines);
    let read = import(&path);
    let [start, end] = read.axis("JS1-JS2");
    assert!((start.z - 3.7).abs() < 1e-9, "top 3.80 minus half of 200 mm");
    assert!((end.z - 3.1).abs() < 1e-9, "invert 3.00 plus half of 200 mm");
    let warning = read.report.warnings.iter().find(|w| w.code == "elevation_disagrees").unwrap();
    assert_eq!((warning.count, warning.place.as_str()), (1, "JSLine.csv row 2"), "5.2 - 1.3 - 0.1 is 3.8, not 3.1");
}

#[test]
fn an_elevation_that_is_the_ground_height_is_taken_for_that() {
    let lines = "起点点号,终点点号,起点埋深,终点埋深,起点高程,终点高程,管径\nJS1,JS2,1.20,1.30,5.00,5.20,200\n";
    let (_folder, path) = water(lines);
    let read = import(&path);
    assert!(read.has_warning("elevation_is_ground"));
    assert!((read.axis("JS1-JS2")[0].z - 3.7).abs() < 1e-9);
}

#[test]
fn bad_records_are_skipped_with_row_column_and_value() {
    let lines = "起点点号,终点点号,起点埋深,终点埋深,管径\n\
        JS1,JS2,1.20,1.30,300\n\
        JS1,JS2,约1.2,1.30,300\n\
        JS1,JS9,1.20,1.30,300\n\
        JS1,JS1,1.20,1.30,300\n\
        JS2,JS3,9999,1.30,300\n\
        JS2,JS3,1.0,1.0,*\n\
        JS3,JS2,1.0,1.0,large\n\
        ,JS2,1.0,1.0,100\n\
        JS2,JS3,,,100\n";
    let (_folder, path) = water(lines);
    let read = import(&path);
    let skips: Vec<_> = read.report.skips.iter().map(|s| (s.record, s.reason.as_str())).collect();
    assert_eq!(
        skips,
        [
            (2, "JSLine.csv row 3: column 起点埋深: \"约1.2\" is no depth"),
            (3, "JSLine.csv row 4: end point JS9 is in no point table"),
            (4, "JSLine.csv row 5: the line starts and ends at point JS1"),
            (5, "JSLine.csv row 6: column 起点埋深: 9999 m is outside -30 to 100 m"),
            (8, "JSLine.csv row 9: the line has no start point"),
        ]
    );
    assert_eq!(read.report.skipped, 5);
    let defaulted = read.get("JS2-JS3").attributes.iter().find(|a| &*a.key == "diameter_mm").unwrap();
    assert_eq!(defaulted.value, Value::Real(200.0));
    assert!(matches!(defaulted.origin, Origin::Defaulted(_)));
    assert!(read.has_warning("size_defaulted") && read.has_warning("size_not_understood"));
    // the second line between the same two points is numbered, and one without any depth gets a default one
    let no_depth = read.get("JS2-JS3-2");
    assert!(read.has_warning("parallel_line") && read.has_warning("depth_defaulted"));
    let depth = no_depth.attributes.iter().find(|a| &*a.key == "depth_start_m").unwrap();
    assert!(matches!(depth.origin, Origin::Defaulted(_)), "{depth:?}");
    assert!((depth.value.as_f64().unwrap() - 1.0).abs() < 1e-9);
}

#[test]
fn a_point_with_text_for_a_coordinate_is_skipped_and_a_second_of_its_id_too() {
    let folder = tempfile::tempdir().unwrap();
    let points = "物探点号,X,Y,地面高程,特征\nJS1,north,534467,5,弯头\nJS2,3993055,534497,5,弯头\n\
        JS2,3993056,534497,5,弯头\nJS3,3993057,534497,deep,弯头\n,3993057,534497,5,弯头\nJS4,3993057,,5,弯头\n";
    let path = write(folder.path(), "JSPoint.csv", points, encoding_rs::UTF_8);
    let read = import(&path);
    assert_eq!(read.objects.len(), 1);
    assert!(read.has_warning("no_line_table") && read.has_warning("duplicate_point"));
    let reasons: Vec<_> = read.report.skips.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "JSPoint.csv row 2: column X: \"north\" is no coordinate",
            "JSPoint.csv row 4: point JS2 stands twice",
            "JSPoint.csv row 5: column 地面高程: \"deep\" is no ground height",
            "JSPoint.csv row 6: the point has no id",
            "JSPoint.csv row 7: one of the two coordinates is missing",
        ]
    );
}

#[test]
fn a_line_table_alone_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "JSLine.csv", WATER_LINES, encoding_rs::UTF_8);
    let error = probe(&path, &Options::default()).unwrap_err();
    assert!(matches!(error, ImportError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("管点表") && error.to_string().contains("Point/Line"), "{error}");
    // other tables in the folder are not taken for it
    write(folder.path(), "sensors.csv", "id,x,y\na,1,2\n", encoding_rs::UTF_8);
    assert!(probe(&path, &Options::default()).is_err());
    write(folder.path(), "JSPoint.csv", WATER_POINTS, encoding_rs::UTF_8);
    assert!(probe(&path, &Options::default()).unwrap().is_some());
}

#[test]
fn one_point_table_may_serve_several_line_tables() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "all_points.csv", WATER_POINTS, encoding_rs::UTF_8);
    let one = "起点点号,终点点号,起点埋深,终点埋深,管径\nJS1,JS2,1.2,1.3,300\n";
    let path = write(folder.path(), "JSLine.csv", one, encoding_rs::UTF_8);
    let read = import(&path);
    assert_eq!(read.objects.len(), 3, "the hydrant belongs to another line table");
}

#[test]
fn swapped_columns_are_set_right_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let points = "物探点号,X,Y,地面高程,特征\nJS1,534467.0,3993055.0,5,弯头\n";
    let path = write(folder.path(), "JSPoint.csv", points, encoding_rs::UTF_8);
    let read = import(&path);
    assert!(read.has_warning("axes_swapped"));
    assert_eq!(read.objects[0].geometry.extent().centre().truncate(), glam::DVec2::new(534467.0, 3993055.0));
    let points = "物探点号,X,Y,地面高程,特征\nJS1,1200.0,3400.0,5,弯头\n";
    let path = write(folder.path(), "JSPoint.csv", points, encoding_rs::UTF_8);
    let read = import(&path);
    assert!(read.has_warning("axes_assumed"));
    assert_eq!(read.objects[0].geometry.extent().centre().truncate(), glam::DVec2::new(3400.0, 1200.0));
    let map = vec![("east".to_owned(), "X".to_owned()), ("north".to_owned(), "Y".to_owned())];
    let read = import_with(&path, Options { map, ..Options::default() }).unwrap();
    assert!(!read.has_warning("axes_assumed"));
    assert_eq!(read.objects[0].geometry.extent().centre().truncate(), glam::DVec2::new(1200.0, 3400.0));
}

#[test]
fn degrees_in_a_plane_system_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let points = "物探点号,经度,纬度,地面高程,特征\nJS1,120.38,36.06,5,弯头\n";
    let path = write(folder.path(), "JSPoint.csv", points, encoding_rs::UTF_8);
    assert_eq!(probe(&path, &Options::default()).unwrap().unwrap().source_extent, Some([120.38, 36.06, 120.38, 36.06]));
    let error = import_with(&path, Options::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("degrees, which EPSG:4549 does not have"), "{error}");
}

#[test]
fn a_number_as_status_is_not_guessed() {
    let lines = "起点点号,终点点号,起点埋深,终点埋深,管径,使用状态\nJS1,JS2,1.2,1.3,300,0\n";
    let (_folder, path) = water(lines);
    let read = import(&path);
    assert!(read.has_warning("status_not_understood"));
    assert_eq!(read.get("JS1-JS2").stage, Stage::Operation);
    assert_eq!(read.get("JS1-JS2").value("status"), Some(&Value::Text("0".into())));
}

#[test]
fn a_kind_comes_from_the_cell_before_the_name_before_the_id() {
    let points = "物探点号,X,Y,地面高程,特征\nWS1,3993055,534467,5,\nWS2,3993055,534497,5,\nRQ1,3993055,534507,5,\n";
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "管点.csv", points, encoding_rs::UTF_8);
    let lines =
        "起点点号,终点点号,起点埋深,终点埋深,管径,管线类别\nWS1,WS2,1,1,300,雨水\nWS1,WS2,1,1,300,\nRQ1,WS2,1,1,100,\n";
    let path = write(folder.path(), "管线.csv", lines, encoding_rs::UTF_8);
    let read = import(&path);
    for (id, kind) in [("WS1-WS2", "storm"), ("WS1-WS2-2", "sewage"), ("RQ1-WS2", "gas")] {
        assert_eq!(read.get(id).value("pipe_kind"), Some(&Value::Text(kind.into())), "{id}");
    }
    let path = write(folder.path(), "PSLine.csv", lines, encoding_rs::UTF_8);
    let read = import(&path);
    assert_eq!(
        read.get("WS1-WS2-2").value("pipe_kind"),
        Some(&Value::Text("sewage".into())),
        "PS told apart by its ids"
    );
}

#[test]
fn no_ground_height_means_below_the_terrain() {
    let folder = tempfile::tempdir().unwrap();
    let points = "物探点号,X,Y,地面高程,特征,附属物\nDL1,3993055,534467,,,人孔\nDL2,3993055,534497,*,直线点,\n";
    write(folder.path(), "DL_P.csv", points, encoding_rs::UTF_8);
    let lines =
        "起点点号,终点点号,起点埋深,终点埋深,断面尺寸,总孔数,电缆条数,电压\nDL1,DL2,0.8,0.9,600X400,12,4,10kV\n";
    let path = write(folder.path(), "DL_L.csv", lines, encoding_rs::UTF_8);
    let read = import(&path);
    let Geometry::Tube(tube) = &read.get("DL1-DL2").geometry else { panic!() };
    assert_eq!(tube.vertical, groundline_engine::model::Vertical::AboveTerrain);
    assert!((tube.axis[0].z + 1.0).abs() < 1e-9);
    assert!(read.has_warning("no_ground_height"));
    assert_eq!(read.get("DL1-DL2").value("holes"), Some(&Value::Int(12)));
    assert_eq!(read.get("DL1-DL2").value("voltage"), Some(&Value::Text("10kV".into())));
    let Geometry::Shaft(well) = &read.get("DL1").geometry else { panic!() };
    assert!((well.depth_m - 1.2).abs() < 1e-9);
}

#[test]
fn a_workbook_may_hold_several_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("survey.xlsx");
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let tables: [(&str, &[&[&str]]); 5] = [
        ("说明", &[&["测绘单位", "某院"]]),
        (
            "给水点",
            &[
                &["点号", "X", "Y", "地面高程", "特征", "附属物"],
                &["1", "3993055.5", "534467", "5", "", "阀门井"],
                &["2", "3993055", "534497", "5.5", "弯头", ""],
            ],
        ),
        ("给水线", &[&["起点", "终点", "起点埋深", "终点埋深", "管径"], &["1", "2", "1", "1.5", "300"]]),
        (
            "RQPoint",
            &[
                &["点号", "X", "Y", "地面高程", "特征"],
                &["1", "3993155", "534467", "5", "三通"],
                &["2", "3993155", "534497", "5", "弯头"],
            ],
        ),
        (
            "RQLine",
            &[
                &["起点", "终点", "起点埋深", "终点埋深", "管径", "压力"],
                &["1", "2", "1", "deep", "100", "中压A"],
                &["2", "1", "1", "1", "100", "中压A"],
            ],
        ),
    ];
    for (name, rows) in tables {
        let sheet = workbook.add_worksheet();
        sheet.set_name(name).unwrap();
        for (r, row) in rows.iter().enumerate() {
            for (c, text) in row.iter().enumerate() {
                match text.parse::<f64>() {
                    Ok(number) => sheet.write_number(r as u32, c as u16, number).unwrap(),
                    Err(_) => sheet.write_string(r as u32, c as u16, *text).unwrap(),
                };
            }
        }
    }
    workbook.save(&path).unwrap();
    let read = import(&path);
    assert_eq!(read.probe.encoding, None);
    let ids: Vec<_> = read.objects.iter().map(|o| o.id.as_str().to_owned()).collect();
    assert_eq!(ids, ["t/1-2", "t/rq:2-rq:1", "t/1", "t/2", "t/rq:1", "t/rq:2"]);
    assert_eq!(read.get("1-2").value("pipe_kind"), Some(&Value::Text("water".into())));
    assert_eq!(read.get("rq:2-rq:1").value("pipe_kind"), Some(&Value::Text("gas".into())));
    assert!((read.axis("1-2")[0].y - 3993055.5).abs() < 1e-9);
    assert_eq!(read.report.skips[0].reason, "survey.xlsx sheet RQLine row 2: column 终点埋深: \"deep\" is no depth");
}

#[test]
fn a_table_of_linked_points_has_each_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = "某市地下管线点成果表,,,,,,,,,\n\
        管点,连接,平面坐标,,高程,,管径,材质,特征,附属物\n\
        编号,点号,X,Y,地面,管顶,(mm),,,\n\
        RL1,RL2,3379503.338,501548.722,5.00,4.00,300,钢,,检查井\n\
        RL2,RL1,3379503.338,501578.722,5.20,4.10,300,钢,三通,\n\
        ,RL3,,,,4.12,200,钢,,\n\
        ,RL4,,,,4.12,100,钢,,\n\
        RL3,RL2,3379533.338,501578.722,5.30,4.20,250,钢,弯头,\n\
        RL4,,3379473.338,501578.722,5.30,,,,弯头,\n";
    let path = write(folder.path(), "热力成果表.csv", text, encoding_rs::GBK);
    let read = import(&path);
    let ids: Vec<_> = read.objects.iter().map(|o| o.id.as_str().to_owned()).collect();
    assert_eq!(ids, ["t/RL1-RL2", "t/RL2-RL3", "t/RL2-RL4", "t/RL1", "t/RL2", "t/RL3", "t/RL4"]);
    let [start, end] = read.axis("RL1-RL2");
    assert!((start.z - 3.85).abs() < 1e-9 && (end.z - 3.95).abs() < 1e-9, "{start} {end}");
    assert!((start.x - 501548.722).abs() < 1e-9);
    assert!(read.has_warning("ends_disagree"), "200 from one end, 250 from the other");
    assert!(read.has_warning("one_end_only"));
    assert_eq!(read.get("RL1-RL2").value("pipe_kind"), Some(&Value::Text("heat".into())));
    assert_eq!(read.report.skipped, 0, "{:?}", read.report.skips);
}

#[test]
fn damaged_files_are_errors_that_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("JSLine.xlsx");
    std::fs::write(&path, b"PK\x03\x04 not a workbook").unwrap();
    let error = probe(&path, &Options::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("JSLine.xlsx: workbook"), "{error}");

    let mut text = b"\"never closed".to_vec();
    text.resize(3 << 20, b'a');
    let path = folder.path().join("JSLine.csv");
    std::fs::write(&path, text).unwrap();
    let error = probe(&path, &Options::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("a quote that is never closed"), "{error}");

    for text in ["", "\n\n\n", "a,b,c\n1,2,3\n", "\u{0}\u{1}\u{2}"] {
        std::fs::write(&path, text).unwrap();
        assert!(probe(&path, &Options::default()).unwrap().is_none(), "{text:?}");
    }
}

#[test]
fn a_workbook_tells_the_kind_where_its_sheets_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("TX_管线成果.xlsx");
    let mut workbook = rust_xlsxwriter::Workbook::new();
    let points: [&[&str]; 3] = [
        &["物探点号", "X", "Y", "地面高程", "特征"],
        &["1", "3993055", "534467", "5", ""],
        &["2", "3993055", "534497", "5", ""],
    ];
    let lines: [&[&str]; 2] =
        [&["起点点号", "终点点号", "起点埋深", "终点埋深", "管径或断面"], &["1", "2", "0.8", "0.8", "400X200"]];
    for (name, rows) in [("管点", &points[..]), ("管线", &lines[..])] {
        let sheet = workbook.add_worksheet();
        sheet.set_name(name).unwrap();
        for (r, row) in rows.iter().enumerate() {
            for (c, text) in row.iter().enumerate() {
                sheet.write_string(r as u32, c as u16, *text).unwrap();
            }
        }
    }
    workbook.save(&path).unwrap();
    assert_eq!(import(&path).get("1-2").value("pipe_kind"), Some(&Value::Text("telecom".into())));
}
