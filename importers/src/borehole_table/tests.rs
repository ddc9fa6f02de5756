use std::path::Path;

use groundline_engine::model::{CityObject, Class, Geometry, Origin, Value};

use crate::{Options, intake, pipe_table, trial, trial::Trial};

const BOTH: &str = "\
钻孔编号,X,Y,孔口高程(m),孔深(m),层号,层底深度(m),岩土名称,备注
ZK1,3991000.00,240100.00,12.50,10,①,1.50,杂填土,松散
ZK1,3991000.00,240100.00,12.50,10,②,4.00,粉质黏土,可塑
,,,,,③,10.00,中风化花岗岩,
ZK2,3991050.00,240150.00,13.00,6,①,2.00,素填土,
ZK2,3991050.00,240150.00,13.00,6,③,6.00,强风化花岗岩,
";

const HOLES: &str = "\
勘探点编号,X坐标,Y坐标,孔口标高,孔深,勘探点类型
ZK1,3991000.00,240100.00,12.50,10,取土孔
ZK2,3991050.00,240150.00,13.00,6,鉴别孔
";

const LAYERS: &str = "\
孔号,层号,土层名称,层厚,层底标高,岩性描述
ZK1,1,杂填土,1.5,11.0,松散
ZK1,2,粉质黏土,2.5,8.5,可塑
ZK1,3,花岗岩,6.0,2.5,中风化
ZK2,1,素填土,2.0,,稍湿
ZK2,3,花岗岩,4.0,,强风化
";

fn put(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn read(text: &str) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    Trial::of(&super::FORMAT, &put(folder.path(), "zk.csv", text), &Options::default(), 4549)
}

fn object<'t>(trial: &'t Trial, id: &str) -> &'t CityObject {
    trial.objects.iter().find(|o| o.id.as_str() == id).unwrap_or_else(|| panic!("no {id}"))
}

fn codes(trial: &Trial) -> Vec<&str> {
    trial.report.warnings.iter().map(|w| w.code.as_str()).collect()
}

fn tube_z(object: &CityObject) -> (f64, f64) {
    match &object.geometry {
        Geometry::Tube(tube) => (tube.axis[0].z, tube.axis[tube.axis.len() - 1].z),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_table_holds_holes_and_strata() {
    let trial = read(BOTH);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!(trial.report.skips, []);
    assert_eq!(codes(&trial), ["id_carried"]);
    assert_eq!(trial.objects.len(), 2 + 5);
    let hole = object(&trial, "t/ZK1");
    let Geometry::Shaft(shaft) = hole.geometry else { panic!() };
    assert_eq!((shaft.top.x, shaft.top.y, shaft.top.z, shaft.depth_m), (240100.0, 3991000.0, 12.5, 10.0), "X is north");
    let clay = object(&trial, "t/ZK1/1.5-4");
    assert_eq!((clay.class, tube_z(clay)), (Class::Stratum, (11.0, 8.5)));
    assert_eq!(clay.name.as_deref(), Some("粉质黏土"));
    assert_eq!(clay.parent.as_ref().map(|p| p.as_str()), Some("t/ZK1"));
    assert_eq!(clay.value("备注"), Some(&Value::Text("可塑".into())));
    assert_eq!(clay.value("soil"), Some(&Value::Text("clay".into())));
    let top = clay.attributes.iter().find(|a| &*a.key == "depth_top_m").unwrap();
    assert!(matches!(top.origin, Origin::Measured(_)));
    assert_eq!(tube_z(object(&trial, "t/ZK1/4-10")), (8.5, 2.5));
    let probe = trial.probe.unwrap();
    assert!(probe.needs_crs && probe.crs.is_none());
    assert_eq!(probe.source_extent, Some([240100.0, 3991000.0, 240150.0, 3991050.0]));
}

#[test]
fn a_table_of_strata_beside_the_holes_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let holes = put(folder.path(), "A区钻孔表.csv", HOLES);
    let layers = put(folder.path(), "A区地层表.csv", LAYERS);
    put(folder.path(), "B区地层表.csv", LAYERS);
    let trial = Trial::of(&super::FORMAT, &holes, &Options::default(), 4549);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!(trial.probe.as_ref().unwrap().companions, std::slice::from_ref(&layers));
    assert_eq!((codes(&trial), trial.report.skipped), (vec![], 0));
    assert_eq!(trial.objects.len(), 2 + 5);
    // By height of the base in one hole, by thickness in the other.
    assert_eq!(tube_z(object(&trial, "t/ZK1/4-10")), (8.5, 2.5));
    assert_eq!(tube_z(object(&trial, "t/ZK2/2-6")), (11.0, 7.0));
    assert_eq!(object(&trial, "t/ZK1").value("hole_type"), Some(&Value::Text("取土孔".into())));
    let error = (super::FORMAT.probe)(&layers, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("钻孔表"), "{error}");
    let report = intake::import(
        &intake::Request {
            sources: vec![holes, layers],
            city: folder.path().join("x.city"),
            dry_run: true,
            options: Options { crs: Some(groundline_engine::crs::Crs::from_epsg(4549).unwrap()), ..Options::default() },
            ..intake::Request::default()
        },
        &mut |_| {},
    )
    .unwrap();
    assert_eq!((report.sources.len(), report.objects), (1, 7), "the companion is no source of its own");
}

#[test]
fn a_workbook_holds_both_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("勘察.xlsx");
    let mut workbook = rust_xlsxwriter::Workbook::new();
    for (name, text) in [("钻孔", HOLES), ("地层", LAYERS)] {
        let sheet = workbook.add_worksheet();
        sheet.set_name(name).unwrap();
        for (r, line) in text.lines().enumerate() {
            for (c, cell) in line.split(',').enumerate() {
                match cell.parse::<f64>() {
                    Ok(number) => sheet.write_number(r as u32, c as u16, number).unwrap(),
                    Err(_) => sheet.write_string(r as u32, c as u16, cell).unwrap(),
                };
            }
        }
    }
    workbook.save(&path).unwrap();
    assert!((pipe_table::FORMAT.probe)(&path, &Options::default()).unwrap().is_none());
    let trial = Trial::of(&super::FORMAT, &path, &Options::default(), 4549);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!((trial.objects.len(), trial.report.skipped), (7, 0));
}

#[test]
fn english_tables_have_x_to_the_east() {
    let trial = read("BH_ID,X,Y,Ground level,From,To,Lithology\nB1,500,9000,10,0,2,FILL\nB1,500,9000,10,2,5,CLAY\n");
    let Geometry::Shaft(shaft) = object(&trial, "t/B1").geometry else { panic!() };
    assert_eq!((shaft.top.x, shaft.top.y, shaft.depth_m), (500.0, 9000.0, 5.0));
    assert_eq!(codes(&trial), Vec::<&str>::new());
}

#[test]
fn what_cannot_be_is_skipped_and_what_does_not_fit_is_said() {
    let text = BOTH.replace("②,4.00", "②,1.00").replace("ZK2,3991050.00,240150.00,13.00,6,①", "ZK3,,,13.00,6,①");
    let trial = read(&text);
    let reasons: Vec<&str> = trial.report.skips.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "zk.csv row 5: hole ZK3 has no coordinates",
            "zk.csv row 3: its base at 1 m is not below its top at 1.5 m",
            "zk.csv row 5: hole ZK3 was skipped",
        ]
    );
    assert!(codes(&read(&BOTH.replace("6.00,强", "5.00,强"))).contains(&"strata_gap"));
}

#[test]
fn pipe_and_sensor_tables_are_left_to_others() {
    for text in [
        "物探点号,X,Y,地面高程,特征,附属物\nJ1,3991000,240100,12,三通,\n",
        "起点点号,终点点号,起点埋深,终点埋深,管径,材质\nJ1,J2,1,1,300,PE\n",
        "编号,名称,X,Y,类型,单位\nS1,液位,240100,3991000,level,m\n",
    ] {
        assert!(read(text).probe.is_none(), "{text}");
    }
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    // Every cell filled, so that the whole file is read without a word.
    let text = BOTH.replace(",,,,,③", "ZK1,3991000.00,240100.00,12.50,10,③");
    assert_eq!(codes(&read(&text)), Vec::<&str>::new());
    let found = trial::miscounts(&super::FORMAT, "zk.csv", text.as_bytes(), &Options::default(), 4549);
    // The first of ZK2's two rows and the line end before it are gone: the row that is left is a whole one, and its
    // stratum begins at the ground for want of another above it.
    assert_eq!(found, ["bytes 252 to 314 missing: 6 objects instead of 7"]);
}
