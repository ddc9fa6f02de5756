use groundline_engine::model::{CityObject, Class, Geometry, Value, Vertical};

use crate::{Options, inp::real_files, trial, trial::Trial};

const FOUR: &str = r#""GROUP","PROJ"
"HEADING","PROJ_ID","PROJ_NAME"
"UNIT","",""
"TYPE","X","X"
"DATA","1","A ""quoted"" project"

"GROUP","ABBR"
"HEADING","ABBR_HDNG","ABBR_CODE","ABBR_DESC"
"UNIT","","",""
"TYPE","X","X","X"
"DATA","GEOL_GEOL","MGR","Made Ground"
"DATA","LOCA_TYPE","CP","Cable percussion"

"GROUP","GEOL"
"HEADING","LOCA_ID","GEOL_TOP","GEOL_BASE","GEOL_DESC","GEOL_LEG","GEOL_GEOL","GEOL_STAT"
"UNIT","","m","m","","","",""
"TYPE","ID","2DP","2DP","X","PA","PA","X"
"DATA","BH1","0.00","1.50","MADE GROUND: brick and ash","102","MGR","A"
"DATA","BH1","1.50","6.00","Firm brown CLAY","201","",""
"DATA","BH2","0.00","4.00","Brown SAND","401","",""

"GROUP","ISPT"
"HEADING","LOCA_ID","ISPT_TOP","ISPT_NVAL"
"UNIT","","m",""
"TYPE","ID","2DP","0DP"
"DATA","BH1","2.00","12"
"DATA","BH1","4.00","21"
"DATA","BH1","5.00",""

"GROUP","LOCA"
"HEADING","LOCA_ID","LOCA_TYPE","LOCA_NATE","LOCA_NATN","LOCA_GREF","LOCA_GL","LOCA_FDEP"
"UNIT","","","m","m","","m","m"
"TYPE","ID","PA","2DP","2DP","PA","2DP","2DP"
"DATA","BH1","CP","530100.00","180200.00","OSGB","12.50","6.00"
"DATA","BH2","CP","530120.00","180210.00","OSGB","12.80","4.00"
"#;

const THREE: &str = r#""**PROJ"
"*PROJ_ID","*PROJ_NAME"
"<UNITS>",""
"P1","Old"
"**HOLE"
"*HOLE_ID","*HOLE_TYPE","*HOLE_NATE","*HOLE_NATN",
"*HOLE_GL","*HOLE_FDEP","*HOLE_LETT"
"<UNITS>","","m","m","m","m",""
"BH1","CP","530100","180200","12.5","20","TQ"
"**GEOL"
"*HOLE_ID","*GEOL_TOP","*GEOL_BASE","*GEOL_DESC"
"<UNITS>","m","m",""
"BH1","0","20","Stiff grey "
"<CONT>","","","CLAY"
"#;

fn read_named(text: &str, city: u32) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.ags");
    std::fs::write(&path, text).unwrap();
    Trial::of(&super::FORMAT, &path, &Options::default(), city)
}

fn read(text: &str) -> Trial {
    read_named(text, 27700)
}

fn object<'t>(trial: &'t Trial, id: &str) -> &'t CityObject {
    trial.objects.iter().find(|o| o.id.as_str() == id).unwrap_or_else(|| panic!("no {id}"))
}

fn codes(trial: &Trial) -> Vec<&str> {
    trial.report.warnings.iter().map(|w| w.code.as_str()).collect()
}

#[test]
fn strata_hang_in_their_holes() {
    let trial = read(FOUR);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!((codes(&trial), trial.report.skipped), (Vec::<&str>::new(), 0));
    assert_eq!(trial.objects.len(), 2 + 3);
    let probe = trial.probe.as_ref().unwrap();
    assert_eq!(probe.crs.as_ref().and_then(|c| c.epsg), Some(27700));
    assert_eq!(probe.crs_from, "LOCA_GREF OSGB");
    assert_eq!(probe.source_extent, Some([530100.0, 180200.0, 530120.0, 180210.0]));
    let hole = object(&trial, "t/BH1");
    let Geometry::Shaft(shaft) = hole.geometry else { panic!("{:?}", hole.geometry) };
    assert_eq!((hole.class, shaft.vertical, shaft.depth_m), (Class::Borehole, Vertical::Absolute, 6.0));
    assert_eq!((shaft.top.x, shaft.top.y, shaft.top.z), (530100.0, 180200.0, 12.5));
    assert_eq!(hole.value("LOCA_TYPE"), Some(&Value::Text("Cable percussion".into())));
    assert_eq!(hole.value("spt"), Some(&Value::Text("2 m: 12; 4 m: 21".into())));
    let clay = object(&trial, "t/BH1/1.5-6");
    assert_eq!(clay.class, Class::Stratum);
    assert_eq!(clay.parent.as_ref().map(|p| p.as_str()), Some("t/BH1"));
    let Geometry::Tube(tube) = &clay.geometry else { panic!() };
    assert_eq!((tube.axis[0].z, tube.axis[1].z), (11.0, 6.5));
    assert_eq!(clay.value("soil"), Some(&Value::Text("clay".into())));
    assert_eq!(clay.value("spt_n_mean"), Some(&Value::Real(16.5)));
    assert_eq!(object(&trial, "t/BH1/0-1.5").name.as_deref(), Some("Made Ground"));
}

#[test]
fn edition_three_continues_headings_and_cells() {
    let trial = read(THREE);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!((codes(&trial), trial.report.skipped), (Vec::<&str>::new(), 0));
    assert_eq!(trial.objects.len(), 2);
    let clay = object(&trial, "t/BH1/0-20");
    assert_eq!(clay.value("description"), Some(&Value::Text("Stiff grey CLAY".into())));
    assert_eq!(trial.probe.unwrap().crs.unwrap().epsg, Some(27700), "the letters of the grid reference");
}

#[test]
fn no_grid_is_guessed_from_numbers() {
    let probe = |text: &str| read(text).probe.unwrap();
    let none = probe(&FOUR.replace("\"OSGB\"", "\"\""));
    assert!(none.crs.is_none() && none.needs_crs && none.crs_text.is_none());
    let odd = probe(&FOUR.replace("\"OSGB\"", "\"SNAKE\""));
    assert_eq!((odd.crs, odd.crs_text.as_deref()), (None, Some("LOCA_GREF SNAKE")));
    let two = probe(&FOUR.replacen("\"OSGB\"", "\"OSI\"", 1));
    assert_eq!((two.crs, two.crs_text.as_deref()), (None, Some("LOCA_GREF OSGB and OSI")));
}

#[test]
fn depths_in_feet_are_converted_and_unknown_units_refused() {
    let feet = FOUR
        .replace("\"UNIT\",\"\",\"m\",\"m\",\"\",\"\",\"\",\"\"", "\"UNIT\",\"\",\"ft\",\"ft\",\"\",\"\",\"\",\"\"");
    let trial = read(&feet);
    assert!(trial.objects.iter().any(|o| o.value("depth_base_m") == Some(&Value::Real(6.0 * 0.3048))));
    assert!(codes(&trial).contains(&"strata_gap"), "6 ft of strata in 6 m of hole");
    let trial = read(&feet.replace("\"ft\"", "\"chain\""));
    assert_eq!(trial.report.skipped, 3);
    assert!(trial.report.skips[0].reason.contains("chain"), "{:?}", trial.report.skips);
}

#[test]
fn an_inclined_hole_is_drawn_inclined_and_a_hole_without_ground_below_the_terrain() {
    let horn = "\n\"GROUP\",\"HORN\"\n\"HEADING\",\"LOCA_ID\",\"HORN_TOP\",\"HORN_BASE\",\"HORN_ORNT\",\"HORN_INCL\"\n\
                \"UNIT\",\"\",\"m\",\"m\",\"deg\",\"deg\"\n\"DATA\",\"BH1\",\"0\",\"6\",\"90\",\"30\"\n\"DATA\",\"BH2\",\"0\",\"4\",\"\",\"45\"\n";
    let trial = read(&(FOUR.to_owned() + horn));
    assert_eq!(codes(&trial), ["bad_orientation", "inclined_hole"]);
    let Geometry::Tube(tube) = &object(&trial, "t/BH1").geometry else { panic!() };
    let end = tube.axis[tube.axis.len() - 1];
    assert!((end.x - (530100.0 + 6.0 * 0.75_f64.sqrt())).abs() < 1e-6 && (end.z - 9.5).abs() < 1e-6, "{end}");
    let trial = read(&FOUR.replace("\"12.50\"", "\"\""));
    let Geometry::Shaft(shaft) = object(&trial, "t/BH1").geometry else { panic!() };
    assert_eq!((shaft.vertical, shaft.top.z), (Vertical::AboveTerrain, 0.0));
    assert!(codes(&trial).contains(&"no_ground_level"));
}

#[test]
fn what_cannot_be_is_skipped_with_its_reason() {
    let text = FOUR
        .replace("\"1.50\",\"6.00\"", "\"6.00\",\"1.50\"")
        .replace("\"DATA\",\"BH2\",\"0.00\"", "\"DATA\",\"BH9\",\"0.00\"");
    let trial = read(&text);
    let reasons: Vec<&str> = trial.report.skips.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["GEOL line 19: its base at 1.5 m is not below its top at 6 m", "GEOL line 20: hole BH9 is not in the file"]
    );
    assert!(read("\"GROUP\",\"PROJ\"\n\"HEADING\",\"PROJ_ID\"\n\"DATA\",\"1\"\n").outcome.is_err());
    assert!(read("id,x,y\n1,2,3\n").probe.is_none());
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    let found = trial::miscounts(&super::FORMAT, "site.ags", FOUR.as_bytes(), &Options::default(), 27700);
    assert_eq!(found, Vec::<String>::new());
}

/// File; holes, strata; sums of eastings, northings, thickness of strata, ground levels, final depths; box of the
/// coordinates; tests with a value and the sum of their values: by python-ags4 1.2.0.
#[rustfmt::skip]
const REFEREE: &[(&str, [usize; 2], [f64; 5], [f64; 4], [usize; 2])] = &[
    ("309B - Complete AGS Data 24-10-17", [9, 54], [2475850.06, 5913483.14, 62.8, 753.17, 62.8], [275087.15, 657012.64, 275098.85, 657114.0], [14, 580]),
    ("A112794-9 - 2020-01-23 1558 - Final - 3", [9, 60], [2577843.07, 3394664.3, 83.0, 258.31, 112.6], [286402.18, 377063.18, 286444.08, 377268.56], [47, 910]),
    ("Docklands Light Railway London City Airport Extension", [100, 775], [54127080.0, 18027094.0, 1310.7, 283.63, 1313.98], [539605.0, 180073.0, 543363.0, 180962.0], [228, 6060]),
    ("Wigan Depot", [105, 287], [37411421.48, 42338355.98, 308.65, 3550.23, 343.51], [35934.98, 359567.3, 359679.01, 404053.24], [62, 1592]),
];

#[test]
fn holes_and_strata_are_those_of_python_ags4() {
    let Some(folder) = real_files() else { return };
    for (name, [holes, strata], sums, extent, tests) in REFEREE {
        let path = folder.join(format!("underground/boreholes/ags/{name}.ags"));
        let probe = (super::FORMAT.probe)(&path, &Options::default()).unwrap().unwrap();
        let named = probe.crs.as_ref().and_then(|c| c.epsg);
        assert_eq!(named, name.starts_with("A112794").then_some(29903), "{name}");
        assert!(probe.source_extent.unwrap().iter().zip(extent).all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
        // Read in its own grid, so that nothing is moved.
        let trial = Trial::of(&super::FORMAT, &path, &Options::default(), named.unwrap_or(27700));
        assert!(trial.outcome.is_ok(), "{name}: {:?}", trial.outcome);
        println!(
            "{name}: {:?}",
            trial.report.warnings.iter().map(|w| (&w.code, w.count, &w.message)).collect::<Vec<_>>()
        );
        assert_eq!(trial.report.skips, [], "{name}");
        let of = |class: Class| trial.objects.iter().filter(move |o| o.class == class);
        assert_eq!((of(Class::Borehole).count(), of(Class::Stratum).count()), (*holes, *strata), "{name}");
        let sum = |class: Class, key: &str| of(class).filter_map(|o| o.value(key)?.as_f64()).sum::<f64>();
        let tops: Vec<_> = of(Class::Borehole)
            .map(|o| match &o.geometry {
                Geometry::Shaft(shaft) => shaft.top,
                Geometry::Point(point) => point.at,
                other => panic!("{other:?}"),
            })
            .collect();
        let said = of(Class::Borehole).filter_map(|o| {
            let depth = o.attributes.iter().find(|a| &*a.key == "depth_m" && &*a.field == "LOCA_FDEP")?;
            depth.value.as_f64()
        });
        let got = [
            tops.iter().map(|t| t.x).sum(),
            tops.iter().map(|t| t.y).sum(),
            sum(Class::Stratum, "thickness_m"),
            sum(Class::Borehole, "ground_m"),
            said.sum(),
        ];
        for (i, (got, wanted)) in got.iter().zip(sums).enumerate() {
            assert!((got - wanted).abs() < 0.006, "{name}: sum {i} is {got}, not {wanted}");
        }
        let spt: Vec<usize> = of(Class::Borehole)
            .filter_map(|o| Some(o.value("spt")?.to_string()))
            .flat_map(|text| {
                text.split("; ").map(|t| t.rsplit(' ').next().unwrap().parse().unwrap()).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!([spt.len(), spt.iter().sum()], *tests, "{name}");
    }
}

#[test]
fn a_hole_with_local_coordinates_among_national_ones_is_skipped() {
    let Some(folder) = real_files() else { return };
    let path = folder.join("bad/ags/locax_is_duplicate.ags");
    let trial = Trial::of(&super::FORMAT, &path, &Options::default(), 27700);
    assert!(trial.outcome.is_ok());
    assert_eq!(trial.objects.len(), 1);
    assert!(trial.report.skips[0].reason.contains("local grid"), "{:?}", trial.report.skips);
}

#[test]
fn a_real_network_and_real_boreholes_become_cities() {
    let Some(folder) = real_files() else { return };
    let place = tempfile::tempdir().unwrap();
    for (name, crs, objects) in [
        ("underground/boreholes/ags/A112794-9 - 2020-01-23 1558 - Final - 3.ags", None, 69),
        ("underground/boreholes/ags/309B - Complete AGS Data 24-10-17.ags", Some(27700), 63),
        ("underground/epanet/ky4.inp", Some(3547), 964 + 1158),
        ("underground/swmm/bellinge_small.inp", Some(25832), 16 + 15 + 13 + 1),
    ] {
        let request = crate::intake::Request {
            sources: vec![folder.join(name)],
            city: place.path().join(format!("{objects}.city")),
            options: Options {
                crs: crs.map(|c| groundline_engine::crs::Crs::from_epsg(c).unwrap()),
                ..Options::default()
            },
            ..crate::intake::Request::default()
        };
        let report = crate::intake::import(&request, &mut |_| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((report.objects, report.sources[0].skipped), (objects, 0), "{name}");
        println!("{name}: {:?} {:?}", report.extent, report.sources[0].warnings);
    }
}
