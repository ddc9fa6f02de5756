use std::path::Path;

use groundline_engine::model::{CityObject, Class, Geometry, Origin, Section, Value, Vertical};

use crate::{Options, inp::real_files, trial, trial::Trial};

const SMALL: &str = "\
[TITLE]
 A small network; with a comment
[JUNCTIONS]
;ID  Elev  Demand  Pattern
 J1\t100\t10\tday\t;
 \"J 2\"  200  0
 J3  150
[RESERVOIRS]
 R1  300
[TANKS]
 T1  250  10  5  20  40  0
 R2  310  day
[PIPES]
;ID Node1 Node2 Length Diameter Roughness MinorLoss Status
 10  R1  J1  1000  12  100  0  Open
 11  J1  \"J 2\"  1200  6  110  0.5  CV
 J1  \"J 2\"  T1  656  8  120  Closed
 12  R2  J3  5125  8  120
[PUMPS]
 P1  J1  J3  HEAD 1 SPEED 1.2
[VALVES]
 V1  J3  T1  6  PRV  50  0
[DEMANDS]
 J1 20 day
 J1 30 night
[STATUS]
 P1 Closed
[PATTERNS]
 day 1 2 3
[OPTIONS]
 Units GPM
 Headloss H-W
[COORDINATES]
 J1  1000 1000
 \"J 2\"  1300 1000
 J3  1000 1200
 T1  1300 1200
 R1  700 1000
 R2  0 0
[VERTICES]
 11  1100 1100
[BACKDROP]
 UNITS None
[END]
";

fn read(text: &str) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.inp");
    std::fs::write(&path, text).unwrap();
    Trial::of(&super::FORMAT, &path, &Options::default(), 4549)
}

fn object<'t>(trial: &'t Trial, id: &str) -> &'t CityObject {
    trial.objects.iter().find(|o| o.id.as_str() == id).unwrap_or_else(|| panic!("no {id}"))
}

fn real(object: &CityObject, key: &str) -> f64 {
    object.value(key).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {key} in {}", object.id))
}

fn tube(object: &CityObject) -> &groundline_engine::model::Tube {
    match &object.geometry {
        Geometry::Tube(tube) => tube,
        other => panic!("{}: {other:?}", object.id),
    }
}

fn codes(trial: &Trial) -> Vec<&str> {
    trial.report.warnings.iter().map(|w| w.code.as_str()).collect()
}

#[test]
fn feet_and_inches_become_metres_and_millimetres() {
    let trial = read(SMALL);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!(trial.report.skips, []);
    assert_eq!(codes(&trial), Vec::<&str>::new());
    assert_eq!(trial.objects.len(), 6 + 4 + 2);
    assert_eq!(trial.objects.iter().filter(|o| o.class == Class::Pipe).count(), 4);
    let probe = trial.probe.as_ref().unwrap();
    assert!(probe.needs_crs && probe.crs.is_none());
    assert_eq!(probe.source_extent, Some([0.0, 0.0, 1300.0, 1200.0]));

    let pipe = object(&trial, "t/link/11");
    let shape = tube(pipe);
    assert_eq!(shape.vertical, Vertical::Absolute);
    assert_eq!(shape.section, Section::Circle { diameter_m: 0.1524 });
    assert_eq!((shape.from.as_deref(), shape.to.as_deref()), (Some("J1"), Some("J 2")));
    assert_eq!(shape.axis.len(), 3);
    assert!((shape.axis[0].z - 30.48).abs() < 1e-9 && (shape.axis[2].z - 60.96).abs() < 1e-9);
    assert!(shape.axis[1].z > 30.48 && shape.axis[1].z < 60.96);
    assert_eq!(real(pipe, "diameter_mm"), 152.4);
    assert_eq!(real(pipe, "length_m"), 365.76);
    assert_eq!(real(pipe, "minor_loss"), 0.5);
    assert_eq!(pipe.value("status"), Some(&Value::Text("CV".into())));
    let diameter = pipe.attributes.iter().find(|a| &*a.key == "diameter_mm").unwrap();
    let Origin::Converted(rule) = &diameter.origin else { panic!() };
    assert!(rule.contains("inches"), "{rule}");
    // The column of the minor loss was left out.
    assert_eq!(object(&trial, "t/link/J1").value("status"), Some(&Value::Text("Closed".into())));

    let junction = object(&trial, "t/J1");
    assert_eq!(junction.class, Class::PipeNode);
    assert_eq!(real(junction, "elevation_m"), 30.48);
    // [DEMANDS] replace the junction's own: 50 gpm.
    assert!((real(junction, "base_demand_l_s") - 3.154510).abs() < 1e-6);
    assert_eq!(real(junction, "links"), 3.0);
    assert_eq!(real(object(&trial, "t/R1"), "head_m"), 91.44);
    assert_eq!(
        object(&trial, "t/R2").value("feature"),
        Some(&Value::Text("reservoir".into())),
        "three columns in TANKS"
    );
    assert_eq!(real(object(&trial, "t/T1"), "tank_diameter_m"), 12.192);
}

#[test]
fn a_pipe_from_a_reservoir_is_as_high_as_its_other_end_and_says_so() {
    let trial = read(SMALL);
    let pipe = object(&trial, "t/link/10");
    assert_eq!(tube(pipe).axis[0].z, tube(pipe).axis[1].z);
    let start = pipe.attributes.iter().find(|a| &*a.key == "z_start_m").unwrap();
    assert!(matches!(&start.origin, Origin::Defaulted(why) if why.contains("reservoir")), "{start:?}");
    let pump = object(&trial, "t/link/P1");
    assert_eq!(pump.class, Class::PipeNode);
    assert_eq!(pump.value("pump_curve"), Some(&Value::Text("1".into())));
    assert_eq!(pump.value("status"), Some(&Value::Text("Closed".into())));
    assert_eq!(object(&trial, "t/link/V1").value("setting_unit"), Some(&Value::Text("psi".into())));
}

#[test]
fn what_cannot_be_placed_is_skipped_with_its_links() {
    let trial = read(&SMALL.replace(" J3  1000 1200\n", ""));
    let reasons: Vec<&str> = trial.report.skips.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "JUNCTIONS line 7: node J3 has no coordinates",
            "PIPES line 18: node J3 at its end has no coordinates",
            "PUMPS line 20: node J3 at its end has no coordinates",
            "VALVES line 22: node J3 at its start has no coordinates"
        ]
    );
    let trial = read(&SMALL.replace(" J1  1000 1000", " J1  1000 nowhere"));
    assert!(codes(&trial).contains(&"bad_coordinates"));
    assert_eq!(trial.objects.len(), 6 + 6 - 1 - 3);
}

#[test]
fn units_are_never_guessed() {
    let trial = read(&SMALL.replace("Units GPM", "Units LPS"));
    assert_eq!(real(object(&trial, "t/J1"), "elevation_m"), 100.0);
    assert_eq!(tube(object(&trial, "t/link/11")).section, Section::Circle { diameter_m: 0.006 });
    let trial = read(&SMALL.replace("Units GPM", "Units barrels"));
    assert!(trial.outcome.unwrap_err().to_string().contains("BARRELS"));
    let trial = read(&SMALL.replace(" Units GPM\n", ""));
    assert!(codes(&trial).contains(&"units_defaulted"));
    assert_eq!(real(object(&trial, "t/J1"), "elevation_m"), 30.48);
}

#[test]
fn a_file_without_heights_lies_below_the_terrain() {
    let flat = SMALL.replace("J1\t100", "J1\t0").replace("\"J 2\"  200", "\"J 2\"  0").replace("J3  150", "J3  0");
    let trial = read(&flat);
    assert!(codes(&trial).contains(&"no_elevations"));
    let shape = tube(object(&trial, "t/link/11"));
    assert_eq!(shape.vertical, Vertical::AboveTerrain);
    assert!((shape.axis[0].z + 1.2 + 0.0762).abs() < 1e-9);
}

#[test]
fn a_map_in_feet_under_a_metric_crs_is_noticed() {
    // 1000 units between the nodes, stated as 1000 ft: feet, drawn as metres.
    let text = "[JUNCTIONS]\nA 10\nB 20\n[PIPES]\nP A B 1000 12 100\n[OPTIONS]\nUNITS GPM\n\
                [COORDINATES]\nA 0 0\nB 1000 0\n[BACKDROP]\nUNITS Feet\n[END]\n";
    let trial = read(text);
    assert_eq!(codes(&trial), ["map_units_disagree", "lengths_disagree"]);
    assert!(trial.report.warnings[1].message.contains("--crs in feet"));
}

#[test]
fn other_inp_files_are_left_to_others() {
    assert!(read("*HEADING\n Abaqus model\n*NODE\n1, 0., 0.\n").probe.is_none());
    assert!(read("[JUNCTIONS]\nA 1\n[CONDUITS]\nC A B 1 0.01\n[XSECTIONS]\nC CIRCULAR 1\n").probe.is_none());
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    let found = trial::miscounts(&super::FORMAT, "net.inp", SMALL.as_bytes(), &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
}

/// File, junctions, reservoirs, tanks, pipes, pumps, valves, bends, sum of pipe lengths (m), sum of diameters (m), sum of
/// the elevations of junctions and tanks (m), sum of heads (m), sum of base demands (m³/s), box of the coordinates:
/// by wntr 1.5.0. wntr refuses BWSN_Network_1 (error 200); its counts are those of its rows, without the sums.
#[rustfmt::skip]
const REFEREE: &[(&str, [usize; 7], [f64; 5], [f64; 4])] = &[
    ("Anytown", [19, 3, 0, 40, 1, 0, 2], [35173.92, 10.5664, 423.672, 134.112, 0.403777], [825.2, 3281.25, 7241.21, 7500.0]),
    ("Balerma", [443, 4, 0, 454, 0, 0, 0], [100262.6, 65.7682, 25210.28, 478.0, 2.4531], [-725.47, -260.69, 202.88, 913.46]),
    ("Hanoi", [31, 1, 0, 34, 0, 0, 0], [39420.0, 22.352, 930.0, 100.0, 5.5389], [2716.12, 4485.98, 7260.51, 8960.28]),
    ("KL", [935, 1, 0, 1274, 0, 0, 2974], [252497.767, 232.6132, 333247.752, 413.309, 0.336649], [455116.66, 738175.17, 475983.66, 759541.56]),
    ("L-TOWN", [782, 2, 1, 905, 1, 3, 0], [43163.219, 104.337, 23550.747, 200.0, 0.04905], [135.02, 77.03, 2835.43, 1617.66]),
    ("Net1", [9, 1, 1, 12, 1, 0, 0], [19363.944, 3.3528, 2182.368, 243.84, 0.069399], [10.0, 10.0, 70.0, 90.0]),
    ("Net2", [35, 0, 1, 40, 0, 0, 0], [10972.8, 10.16, 1653.54, 0.0, -0.023446], [11.0, 4.0, 56.0, 87.0]),
    ("Net3", [92, 2, 3, 117, 2, 0, 0], [65748.957, 49.7586, 612.983, 117.958, 0.192558], [8.0, 0.0, 44.86, 31.06]),
    ("ky1", [856, 1, 2, 984, 1, 0, 0], [65616.314, 196.5427, 106480.975, 9.144, 0.087266], [4386290.05, 3830001.0, 4394669.92, 3841931.0]),
    ("ky10", [920, 2, 13, 1043, 13, 5, 7796], [430025.77, 162.0139, 190310.206, 377.687, 0.094722], [5709604.87, 3801262.0, 5810617.2, 3912293.0]),
    ("ky2", [811, 1, 3, 1124, 1, 0, 750], [152248.454, 154.4066, 119270.528, 145.146, 0.091548], [4055486.0, 3431578.0, 4079171.74, 3449833.0]),
    ("ky4", [959, 1, 4, 1156, 2, 0, 2812], [260241.035, 207.899, 189128.618, 149.311, 0.065651], [4942452.99, 3888731.0, 4993232.24, 3917215.0]),
    ("BWSN_Network_1", [126, 1, 2, 168, 2, 8, 0], [0.0; 5], [0.0; 4]),
];

fn real_file(folder: &Path, name: &str) -> Trial {
    // The transform is the identity: coordinates come out as they stand in the file.
    Trial::of(&super::FORMAT, &folder.join(format!("underground/epanet/{name}.inp")), &Options::default(), 32650)
}

#[test]
fn counts_lengths_and_heights_are_those_of_wntr() {
    let Some(folder) = real_files() else { return };
    for (name, counts, sums, extent) in REFEREE {
        let trial = real_file(&folder, name);
        assert!(trial.outcome.is_ok(), "{name}: {:?}", trial.outcome);
        assert_eq!(trial.report.skips, [], "{name}");
        let feature = |word: &str| {
            let is = |o: &&CityObject| o.value("feature").and_then(Value::as_str) == Some(word);
            trial.objects.iter().filter(is).count()
        };
        let pipes: Vec<_> = trial.objects.iter().filter(|o| o.class == Class::Pipe).collect();
        let bends: usize = trial
            .objects
            .iter()
            .map(|o| match &o.geometry {
                Geometry::Tube(tube) => tube.axis.len() - 2,
                _ => 0,
            })
            .sum();
        let found = ["junction", "reservoir", "tank"].map(feature);
        assert_eq!(found, counts[..3], "{name}");
        assert_eq!([pipes.len(), feature("pump"), feature("valve")], counts[3..6], "{name}");
        // A bend that repeats the one before is drawn once.
        assert!(bends <= counts[6] && bends + 40 >= counts[6], "{name}: {bends} of {} bends", counts[6]);
        println!("{name}: {:?}", trial.report.warnings.iter().map(|w| (&w.code, &w.message)).collect::<Vec<_>>());
        if sums[0] == 0.0 {
            continue;
        }
        let sum = |key: &str| trial.objects.iter().filter_map(|o| o.value(key)?.as_f64()).sum::<f64>();
        let of_pipes = |key: &str| pipes.iter().map(|o| real(o, key)).sum::<f64>();
        let got = [
            of_pipes("length_m"),
            of_pipes("diameter_mm") / 1000.0,
            sum("elevation_m"),
            sum("head_m"),
            sum("base_demand_l_s") / 1000.0,
        ];
        for (i, (got, wanted)) in got.iter().zip(sums).enumerate() {
            assert!((got - wanted).abs() < 0.002, "{name}: sum {i} is {got}, not {wanted}");
        }
        let e = trial.probe.as_ref().unwrap().source_extent.unwrap();
        assert!(e.iter().zip(extent).all(|(a, b)| (a - b).abs() < 1e-6), "{name}: {e:?}");
    }
}

#[test]
fn ky4_is_the_same_network_as_its_geojson() {
    let Some(folder) = real_files() else { return };
    let trial = real_file(&folder, "ky4");
    let json = |part: &str| {
        let path = folder.join(format!("underground/pipes/ky4/ky4_{part}.geojson"));
        Trial::of(&crate::geojson::FORMAT, &path, &Options::default(), 3547)
    };
    let of = |class: Class| trial.objects.iter().filter(move |o| o.class == class);
    let pipes = json("pipes");
    assert_eq!(pipes.objects.len(), of(Class::Pipe).count());
    let mut checked = 0;
    for theirs in &pipes.objects {
        let name = theirs.value("name").unwrap().to_string();
        let ours = object(&trial, &format!("t/link/{name}"));
        assert!((real(ours, "length_m") - real(theirs, "length")).abs() < 1e-5, "{name}");
        assert!((real(ours, "diameter_mm") / 1000.0 - real(theirs, "diameter")).abs() < 1e-6, "{name}");
        assert_eq!(ours.value("from"), theirs.value("start_node_name"));
        let (Geometry::Tube(a), Geometry::Tube(b)) = (&ours.geometry, &theirs.geometry) else { continue };
        // Both stand in the feet of EPSG:3547.
        for (a, b) in [(a.axis.first(), b.axis.first()), (a.axis.last(), b.axis.last())] {
            let (Some(a), Some(b)) = (a, b) else { panic!("{name}") };
            assert!((a.truncate() - b.truncate()).length() < 0.02, "{name}: {a} and {b}");
        }
        assert_eq!(a.axis.len(), b.axis.len(), "{name}");
        checked += 1;
    }
    assert_eq!(checked, 1156);
    for theirs in &json("junctions").objects {
        let name = theirs.value("name").unwrap().to_string();
        assert!((real(object(&trial, &format!("t/{name}")), "elevation_m") - real(theirs, "elevation")).abs() < 1e-5);
    }
    for part in ["tanks", "reservoirs", "pumps"] {
        let theirs = json(part).objects.len();
        let word = part.trim_end_matches('s');
        let ours = trial.objects.iter().filter(|o| o.value("feature").and_then(Value::as_str) == Some(word)).count();
        assert_eq!(ours, theirs, "{part}");
    }
}
