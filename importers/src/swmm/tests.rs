use groundline_engine::model::{CityObject, Class, Domain, Geometry, Origin, Section, Tube, Value, Vertical};

use crate::{Options, inp::real_files, trial, trial::Trial};

const SMALL: &str = "\
[TITLE]
;;Project Title/Notes
[OPTIONS]
FLOW_UNITS           LPS
LINK_OFFSETS         DEPTH
[RAINGAGES]
RG1 INTENSITY 1:00 1.0 TIMESERIES TS1
[SUBCATCHMENTS]
S1 RG1 J1 0.5 40 20 1.5 0
[JUNCTIONS]
;;Name Elevation MaxDepth
J1     10        3   0 0 0
j2     9         0   0 0 0
[OUTFALLS]
OUT    8         FREE    NO
[STORAGE]
ST     9.5       4   0  FUNCTIONAL 0 0 78.53981634
[DIVIDERS]
D1     9.2       C3  CUTOFF 5 2.5 0 0 0
[CONDUITS]
C1     J1  J2   100  0.013  0.5  0.1  0 0
C2     J2  OUT  100  0.013  0    0    0 0
C3     ST  D1   50   0.013  1    0    0 0
C4     D1  J2   50   0.013  0    0    0 0
[PUMPS]
P1     ST  J1   PC  ON 0 0
[WEIRS]
W1     ST  J2   TRANSVERSE  3  3.33 NO 0 0
[XSECTIONS]
C1     CIRCULAR     0.5  0 0 0 1
C2     RECT_CLOSED  1    2 0 0 2
C3     EGG          1.5  0 0 0 1
C4     TRAPEZOIDAL  1    2 1 1 1
W1     RECT_OPEN    1    4 0 0
[DWF]
J1 FLOW 1.5
[COORDINATES]
J1   0    0
J2   100  0
OUT  200  0
ST   0    50
D1   50   50
[VERTICES]
C4   60   25
[Polygons]
S1   0 0
S1   0 70
S1   70 70
S1   70 0
[SYMBOLS]
RG1  500 500
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

fn tube(object: &CityObject) -> &Tube {
    match &object.geometry {
        Geometry::Tube(tube) => tube,
        other => panic!("{}: {other:?}", object.id),
    }
}

fn codes(trial: &Trial) -> Vec<&str> {
    trial.report.warnings.iter().map(|w| w.code.as_str()).collect()
}

#[test]
fn conduits_lie_at_inverts_plus_offsets_plus_half_their_height() {
    let trial = read(SMALL);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!(trial.report.skips, []);
    assert_eq!(codes(&trial), ["section_simplified"]);
    assert_eq!(trial.objects.len(), 5 + 6 + 2);
    let pipe = object(&trial, "t/link/C1");
    assert_eq!(pipe.class, Class::Pipe);
    assert_eq!(tube(pipe).section, Section::Circle { diameter_m: 0.5 });
    assert_eq!(tube(pipe).axis[0].z, 10.0 + 0.5 + 0.25);
    assert!((tube(pipe).axis[1].z - (9.0 + 0.1 + 0.25)).abs() < 1e-9);
    assert_eq!(tube(pipe).vertical, Vertical::Absolute);
    assert_eq!((real(pipe, "invert_start_m"), real(pipe, "invert_end_m")), (10.5, 9.1));
    assert_eq!(pipe.value("pipe_kind"), Some(&Value::Text("combined".into())));
    let culvert = object(&trial, "t/link/C2");
    assert_eq!(tube(culvert).section, Section::Rect { width_m: 2.0, height_m: 1.0 });
    assert_eq!(real(culvert, "barrels"), 2.0);
    let egg = object(&trial, "t/link/C3");
    assert_eq!(tube(egg).section, Section::Rect { width_m: 1.0, height_m: 1.5 });
    assert_eq!((real(egg, "width_mm"), real(egg, "height_mm")), (1000.0, 1500.0));
    let channel = object(&trial, "t/link/C4");
    assert_eq!(tube(channel).section, Section::Rect { width_m: 4.0, height_m: 1.0 });
    assert_eq!((channel.domain, tube(channel).axis.len()), (Domain::Surface, 3));
    let weir = object(&trial, "t/link/W1");
    assert_eq!((weir.class, tube(weir).axis[0].z), (Class::PipeNode, 9.5 + 3.0 + 0.5));
}

#[test]
fn junctions_are_shafts_with_their_depth() {
    let trial = read(SMALL);
    let shaft = |id: &str| match &object(&trial, id).geometry {
        Geometry::Shaft(shaft) => *shaft,
        other => panic!("{id}: {other:?}"),
    };
    assert_eq!((shaft("t/J1").top.z, shaft("t/J1").depth_m), (13.0, 3.0));
    // No maximum depth: up to the highest crown, that of the culvert and the channel.
    assert!((shaft("t/j2").depth_m - 1.0).abs() < 1e-9);
    let depth = object(&trial, "t/j2").attributes.iter().find(|a| &*a.key == "well_depth_m").unwrap();
    assert!(matches!(depth.origin, Origin::Measured(_)));
    assert_eq!(shaft("t/D1").depth_m, 2.5);
    assert!((shaft("t/ST").diameter_m - 10.0).abs() < 1e-6);
    assert_eq!(object(&trial, "t/ST").class, Class::PipeNode);
    assert_eq!(object(&trial, "t/J1").class, Class::Manhole);
    let area = object(&trial, "t/subcatchment/S1");
    assert_eq!(real(area, "area_m2"), 5000.0);
    let Geometry::Area(shape) = &area.geometry else { panic!() };
    assert_eq!(shape.polygons[0].outer.len(), 4);
    assert!(matches!(object(&trial, "t/raingage/RG1").geometry, Geometry::Instance(_)));
}

#[test]
fn offsets_may_be_elevations_and_lengths_feet() {
    let text = SMALL.replace("FLOW_UNITS           LPS", "FLOW_UNITS CFS").replace("DEPTH\n[RAIN", "ELEVATION\n[RAIN");
    let text = text.replace("0.013  0.5  0.1", "0.013  10.5  *").replace("0.013  1    0", "0.013  9  9.4");
    let trial = read(&text);
    let pipe = object(&trial, "t/link/C1");
    assert_eq!(real(pipe, "invert_start_m"), 3.2004, "10.5 ft");
    assert_eq!(real(pipe, "invert_end_m"), 2.7432, "the node's 9 ft");
    assert_eq!(real(pipe, "diameter_mm"), 152.4);
    assert_eq!(real(pipe, "length_m"), 30.48);
    let egg = object(&trial, "t/link/C3");
    assert_eq!(real(egg, "invert_start_m"), 2.8956, "9 ft is below the storage's 9.5 ft: on the invert");
    assert!(codes(&trial).contains(&"offset_below_invert"));
    assert!((real(object(&trial, "t/subcatchment/S1"), "area_m2") - 2023.4282112).abs() < 1e-6, "acres");
    assert!(read(&text.replace("CFS", "XYZ")).outcome.is_err());
}

#[test]
fn what_has_no_place_is_skipped_with_its_links() {
    let trial = read(&SMALL.replace("D1   50   50\n", ""));
    assert_eq!(trial.report.skipped, 3);
    assert!(trial.report.skips.iter().all(|s| s.reason.contains("D1") && s.reason.contains("no coordinates")));
    let trial = read(&SMALL.replace("C1     CIRCULAR     0.5  0 0 0 1\n", ""));
    assert!(codes(&trial).contains(&"section_unknown"));
    let size = object(&trial, "t/link/C1").attributes.iter().find(|a| &*a.key == "diameter_mm").unwrap().clone();
    assert!(matches!(size.origin, Origin::Defaulted(_)));
}

#[test]
fn standard_ellipses_go_by_their_code_and_transects_by_their_outline() {
    let text = SMALL.replace("C3     EGG          1.5  0 0 0 1", "C3 HORIZ_ELLIPSE 13 0 0 0 1");
    let text = text.replace("C4     TRAPEZOIDAL  1    2 1 1 1", "C4 IRREGULAR brook")
        + "[TRANSECTS]\nNC 0.03 0.03 0.03\nX1 brook 4 10 20 0 0 0 0 0\nGR 5 0 3 10 2.5 15\nGR 6 30\n";
    let trial = read(&text);
    assert_eq!(tube(object(&trial, "t/link/C3")).section, Section::Rect { width_m: 2.3114, height_m: 1.4732 });
    assert_eq!(tube(object(&trial, "t/link/C4")).section, Section::Rect { width_m: 30.0, height_m: 3.5 });
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    // Without the egg and the trapezium the file is read without any warning, so that damage is all that shows.
    let clean = SMALL
        .replace("EGG          1.5", "CIRCULAR     1.5")
        .replace("TRAPEZOIDAL  1    2 1 1 1", "RECT_OPEN 1 2 0 0 1");
    assert_eq!(codes(&read(&clean)), Vec::<&str>::new());
    let found = trial::miscounts(&super::FORMAT, "net.inp", clean.as_bytes(), &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
}

/// File; rows of junctions, outfalls, storage, conduits, pumps, orifices, weirs, subcatchments, rain gages; sums in metres
/// of conduit lengths, of inverts at both ends of conduits, of diameters of round conduits, of maximum depths of junctions
/// and storage, and of subcatchment areas (m²); box of the coordinates. By a script of its own that shares no code.
#[rustfmt::skip]
const REFEREE: &[(&str, [usize; 9], [f64; 5], [f64; 4])] = &[
    ("Example1", [13, 1, 0, 13, 0, 0, 0, 8, 1], [1310.640, 7844.942, 6.0960, 11.887, 287326.8], [2336.84, 505.26, 7768.42, 9600.0]),
    ("alpha", [26, 2, 0, 22, 0, 5, 5, 7, 1], [1676.610, 66537.383, 8.2296, 48.646, 117035.1], [122.363, 205.292, 1860.683, 1148.947]),
    ("bellinge_small", [0, 1, 15, 15, 0, 0, 0, 13, 1], [675.358, 706.363, 18.4500, 38.600, 38607.0], [583195.159999074, 6132834.320124185, 583418.3599990713, 6133031.370124184]),
    ("beta", [206, 1, 3, 206, 1, 3, 1, 165, 1], [11247.306, 236.872, 95.8593, 344.478, 1314916.7], [5000.0, 5000.0, 105000.0, 105000.0]),
    ("delta", [20, 1, 6, 21, 0, 5, 4, 9, 1], [3656.920, 10729.446, 18.7452, 97.079, 1691966.4], [5216.854, -26548.805, 105000.0, 105000.0]),
    ("extran1", [9, 1, 0, 9, 0, 0, 0, 0, 0], [8465.820, 603.169, 10.2108, 47.915, 0.0], [-578.95, 2421.05, 10115.79, 7536.84]),
    ("gamma", [10, 1, 11, 10, 0, 11, 0, 19, 10], [1848.853, 5219.685, 4.8463, 39.222, 833450.1], [28229.615, 43393.437, 44517.726, 65890.252]),
    ("swmmio/groundwater_model", [0, 1, 0, 0, 0, 0, 0, 1, 1], [0.000, 0.000, 0.0000, 0.000, 20234.3], [4556.338, 3352.113, 4556.338, 3352.113]),
    ("swmmio/model_full_features_network_xy", [7, 1, 1, 7, 1, 0, 1, 4, 1], [887.160, 61.823, 2.1336, 13.716, 113312.0], [2746913.127, 1117746.087, 2748515.571, 1118656.381]),
    ("swmmio/model_state_plane", [31, 1, 13, 44, 0, 0, 0, 2, 1], [3053.375, 25892.102, 15.1638, 145.117, 40468.6], [2745798.568, 1116987.094, 2749098.306, 1121651.848]),
    ("user2", [43, 1, 28, 83, 0, 0, 19, 17, 1], [16948.099, 45346.132, 44.1960, 2143.293, 9125499.4], [118791.0, 44166.0, 131805.0, 59452.0]),
    ("user3", [5, 6, 130, 134, 5, 0, 0, 168, 1], [32490.600, 60172.789, 154.2970, 864.582, 12575168.0], [1094.5, 492.5, 3522.5, 5323.5]),
];

#[test]
fn counts_lengths_and_inverts_are_those_of_the_rows() {
    let Some(folder) = real_files() else { return };
    for (name, counts, sums, extent) in REFEREE {
        let path = folder.join(format!("underground/swmm/{name}.inp"));
        assert!((crate::epanet::FORMAT.probe)(&path, &Options::default()).unwrap().is_none(), "{name} is no EPANET");
        let trial = Trial::of(&super::FORMAT, &path, &Options::default(), 32650);
        assert!(trial.outcome.is_ok(), "{name}: {:?}", trial.outcome);
        assert_eq!(trial.report.skips, [], "{name}");
        println!(
            "{name}: {:?}",
            trial.report.warnings.iter().map(|w| (&w.code, w.count, &w.message)).collect::<Vec<_>>()
        );
        let feature = |word: &str| {
            let is = |o: &&CityObject| o.value("feature").and_then(Value::as_str) == Some(word);
            trial.objects.iter().filter(is).count()
        };
        let conduits: Vec<_> = trial.objects.iter().filter(|o| o.class == Class::Pipe).collect();
        let [junctions, outfalls, storage] = ["junction", "outfall", "storage"].map(feature);
        let [pumps, orifices, weirs, areas, gages] =
            ["pump", "orifice", "weir", "subcatchment", "raingage"].map(feature);
        let got = [junctions, outfalls, storage, conduits.len(), pumps, orifices, weirs, areas, gages];
        assert_eq!(got, *counts, "{name}");
        let sum = |key: &str| conduits.iter().filter_map(|o| o.value(key)?.as_f64()).sum::<f64>();
        let round = conduits.iter().filter_map(|o| match (&o.geometry, o.value("shape")) {
            (Geometry::Tube(Tube { section: Section::Circle { diameter_m }, .. }), Some(_)) => Some(diameter_m),
            _ => None,
        });
        let all = |key: &str, is_field: &str| {
            let of =
                |o: &CityObject| o.attributes.iter().find(|a| &*a.key == key && &*a.field == is_field)?.value.as_f64();
            trial.objects.iter().filter_map(of).sum::<f64>()
        };
        let got = [
            sum("length_m"),
            sum("invert_start_m") + sum("invert_end_m"),
            round.sum(),
            all("well_depth_m", "MaxDepth"),
            all("area_m2", "Area"),
        ];
        for (i, (got, wanted)) in got.iter().zip(sums).enumerate() {
            let tolerance = if i == 4 { 0.1 } else { 0.002 };
            assert!((got - wanted).abs() < tolerance, "{name}: sum {i} is {got}, not {wanted}");
        }
        let e = trial.probe.as_ref().unwrap().source_extent.unwrap();
        assert!(e.iter().zip(extent).all(|(a, b)| (a - b).abs() < 1e-6), "{name}: {e:?}");
    }
}

#[test]
fn bellinge_s_subcatchments_are_those_of_its_geojson() {
    let Some(folder) = real_files() else { return };
    let folder = folder.join("underground/swmm");
    let ours = Trial::of(&super::FORMAT, &folder.join("bellinge_small.inp"), &Options::default(), 32632);
    let path = folder.join("bellinge_small_subcatchments.geojson");
    let theirs = Trial::of(&crate::geojson::FORMAT, &path, &Options::default(), 32632);
    let extent = |objects: Vec<&CityObject>| {
        let mut all = groundline_engine::model::Extent::EMPTY;
        objects.iter().for_each(|o| all.merge(&o.geometry.extent()));
        all
    };
    let areas: Vec<_> = ours.objects.iter().filter(|o| o.class == Class::District).collect();
    assert_eq!(areas.len(), theirs.objects.len());
    let (a, b) = (extent(areas), extent(theirs.objects.iter().collect()));
    assert!((a.min - b.min).truncate().length() < 0.01 && (a.max - b.max).truncate().length() < 0.01, "{a:?} {b:?}");
}
