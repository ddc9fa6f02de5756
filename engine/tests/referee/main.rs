//! Held against PROJ: 2 500 places in each of some eighty systems, written by pyproj (`points.py`) in the same run.
//!
//! Runs where `GROUNDLINE_PYTHON` names a python that has pyproj, and then fails where that fails.

use std::{fmt::Write, path::Path, process::Command};

use glam::DVec3;
use groundline_engine::crs::{
    Crs, CrsError, Transform, ecef_from_geographic, geographic_from_ecef, geographic_from_ecef_all,
};
use serde::Deserialize;

/// What is allowed between us and PROJ, metres on the ground.
const TOLERANCE_M: f64 = 1e-3;
const DEGREE_M: f64 = 111_320.0;

#[derive(Deserialize)]
struct Reference {
    pyproj: String,
    proj: String,
    count: usize,
    systems: Vec<System>,
    #[serde(skip)]
    points: Vec<[f64; 8]>,
}

#[derive(Deserialize)]
struct System {
    epsg: u32,
    name: String,
    is_geocentric: bool,
    texts: std::collections::BTreeMap<String, Option<String>>,
}

impl Reference {
    /// `None` where no python is named.
    fn read() -> Option<Self> {
        let Ok(python) = std::env::var("GROUNDLINE_PYTHON") else {
            println!("GROUNDLINE_PYTHON is not set: not held against PROJ");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder for the points");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/referee/points.py");
        let ended = Command::new(&python).arg(&script).arg(folder.path()).env("PROJ_NETWORK", "OFF").status();
        assert!(ended.is_ok_and(|status| status.success()), "{python} {} failed", script.display());
        let about = std::fs::read(folder.path().join("systems.json")).expect("the script wrote the systems");
        let mut reference: Self = serde_json::from_slice(&about).expect("the systems are JSON");
        let bytes = std::fs::read(folder.path().join("points.bin")).expect("the script wrote the points");
        let number = |eight: &[u8]| f64::from_le_bytes(eight.try_into().expect("eight bytes"));
        let row = |bytes: &[u8]| std::array::from_fn(|i| number(&bytes[i * 8..i * 8 + 8]));
        reference.points = bytes.chunks_exact(64).map(row).collect();
        assert_eq!(reference.points.len(), reference.count * reference.systems.len());
        println!("pyproj {}, PROJ {}, {} points", reference.pyproj, reference.proj, reference.points.len());
        Some(reference)
    }

    fn rows(&self) -> impl Iterator<Item = (&System, &[[f64; 8]])> {
        self.systems.iter().zip(self.points.chunks_exact(self.count))
    }
}

/// Farthest that `got` lies from `wanted`, metres on the ground; what PROJ cannot convert is left out.
fn worst_m(target: &Crs, got: &[DVec3], wanted: impl Iterator<Item = [f64; 2]>) -> f64 {
    let mut worst = 0.0_f64;
    for (got, [x, y]) in got.iter().zip(wanted).filter(|(_, [x, y])| x.is_finite() && y.is_finite()) {
        let apart = if target.is_geographic {
            let turn = (got.x - x + 540.0).rem_euclid(360.0) - 180.0;
            (turn * y.to_radians().cos()).hypot(got.y - y) * DEGREE_M
        } else {
            (got.x - x).hypot(got.y - y) * target.unit_m
        };
        worst = if apart.is_nan() { f64::INFINITY } else { worst.max(apart) };
    }
    worst
}

fn places(rows: &[[f64; 8]], x: usize) -> Vec<DVec3> {
    rows.iter().map(|row| DVec3::new(row[x], row[x + 1], 7.0)).collect()
}

fn converted(transform: &Transform, mut points: Vec<DVec3>) -> Vec<DVec3> {
    transform.apply(&mut points);
    points
}

/// The farthest from PROJ between a system and its own geographic base, there and back.
fn own_datum(code: u32, rows: &[[f64; 8]]) -> Result<[f64; 2], CrsError> {
    let crs = Crs::from_epsg(code)?;
    let base = crs.geographic()?;
    let there = converted(&Transform::new(&base, &crs)?, places(rows, 0));
    // Where PROJ has no numbers there is no way back either.
    let known: Vec<[f64; 8]> = rows.iter().copied().filter(|row| row[2].is_finite()).collect();
    let back = converted(&Transform::new(&crs, &base)?, places(&known, 2));
    Ok([
        worst_m(&crs, &there, rows.iter().map(|row| [row[2], row[3]])),
        worst_m(&base, &back, known.iter().map(|row| [row[0], row[1]])),
    ])
}

/// The farthest from PROJ on the way from WGS 84.
fn from_world(code: u32, rows: &[[f64; 8]]) -> Result<f64, CrsError> {
    let (world, crs) = (Crs::from_epsg(4326)?, Crs::from_epsg(code)?);
    let there = converted(&Transform::new(&world, &crs)?, places(rows, 4));
    Ok(worst_m(&crs, &there, rows.iter().map(|row| [row[6], row[7]])))
}

/// Systems that the default path has no way to from WGS 84, with the reason.
#[cfg(not(feature = "proj"))]
const REFUSED: &[(&str, &[u32])] = &[
    (
        "no transformation of Beijing 1954 or Xian 1980 is published that holds for a city",
        &[2401, 2415, 2433, 21420, 21460, 2334, 2338, 2349, 2364, 2385],
    ),
    ("PROJ takes other parameters from place to place", &[31256, 31467, 5513, 5514, 29873]),
    ("PROJ has no way without grids", &[2062]),
];

/// With PROJ: what PROJ has no way for either, or must not have one.
#[cfg(feature = "proj")]
const REFUSED: &[(&str, &[u32])] = &[
    (
        "no transformation of Beijing 1954 or Xian 1980 is published that holds for a city",
        &[2401, 2415, 2433, 21420, 21460, 2334, 2338, 2349, 2364, 2385],
    ),
    ("PROJ has no way without grids", &[2062]),
];

#[test]
fn proj_is_met_within_a_millimetre_or_the_way_is_refused() {
    let Some(reference) = Reference::read() else { return };
    let mut wrong = String::new();
    for (system, rows) in reference.rows() {
        if system.is_geocentric {
            let mut many: Vec<DVec3> = rows.iter().map(|row| DVec3::new(row[3], row[4], row[5])).collect();
            geographic_from_ecef_all(&mut many);
            let worst = rows.iter().zip(many).map(|(row, many)| {
                let (geographic, ecef) = (DVec3::new(row[0], row[1], row[2]), DVec3::new(row[3], row[4], row[5]));
                let off = |at: DVec3| (ecef_from_geographic(at) - ecef).length();
                off(geographic).max(off(geographic_from_ecef(ecef))).max(off(many))
            });
            let worst = worst.fold(0.0, f64::max);
            println!("EPSG:{} {}: {worst:.1e} m", system.epsg, system.name);
            if worst > TOLERANCE_M {
                let _ = writeln!(wrong, "EPSG:{}: {worst:e} m", system.epsg);
            }
            continue;
        }
        let own = own_datum(system.epsg, rows);
        let world = from_world(system.epsg, rows);
        println!("EPSG:{} {}: {own:?} from WGS 84 {world:?}", system.epsg, system.name);
        let _ = match own {
            Ok([there, back]) if there.max(back) <= TOLERANCE_M => Ok(()),
            other => writeln!(wrong, "EPSG:{} {} on its own datum: {other:?}", system.epsg, system.name),
        };
        let is_refused = REFUSED.iter().any(|(_, codes)| codes.contains(&system.epsg));
        let _ = match world {
            Ok(worst) if worst <= TOLERANCE_M && !is_refused => Ok(()),
            Err(CrsError::NoPath { .. }) if is_refused => Ok(()),
            other => writeln!(wrong, "EPSG:{} {} from WGS 84: {other:?}", system.epsg, system.name),
        };
    }
    assert!(wrong.is_empty(), "{wrong}");
    for (reason, codes) in REFUSED {
        println!("refused from WGS 84: {codes:?}: {reason}");
    }
}

/// Where PROJ has only a ballpark from WGS 84, that both are equal: this is taken here too, with a note, but not from PROJ.
#[cfg(feature = "proj")]
const EQUAL: &[u32] = &[4490, 4513, 4526, 4528, 4533, 4534, 4547, 4549, 4491, 4498, 4499, 4501, 4502, 4509];

/// PROJ 9.6 has the latitudes of equal areas to a nanometre, 9.5 was off by this much on the way back from these.
#[cfg(feature = "proj")]
const EQUAL_AREA: (&[u32], f64) = (&[3035, 6931], 1.7e-3);

/// The library that a build with the feature `proj` brings, as the reference for everything.
#[cfg(feature = "proj")]
#[test]
fn the_reference_is_proj_itself() {
    let Some(reference) = Reference::read() else { return };
    let mut wrong = String::new();
    let world = Crs::from_epsg(4326).expect("known");
    for (system, rows) in reference.rows().filter(|(system, _)| !system.is_geocentric) {
        let crs = Crs::from_epsg(system.epsg).expect("known");
        let base = crs.geographic().expect("every system has a base");
        let known: Vec<[f64; 8]> = rows.iter().copied().filter(|row| row[2].is_finite()).collect();
        let mut hold = |name: &str, source: &Crs, target: &Crs, from: usize, to: usize, rows: &[[f64; 8]]| {
            let there = Transform::reference(source, target).map(|way| converted(&way, places(rows, from)));
            let allowed_m = if EQUAL_AREA.0.contains(&system.epsg) { EQUAL_AREA.1 } else { TOLERANCE_M };
            let _ = match there.map(|got| worst_m(target, &got, rows.iter().map(|row| [row[to], row[to + 1]]))) {
                Ok(worst) if worst <= allowed_m => Ok(()),
                other => writeln!(wrong, "EPSG:{} {} {name} {}: {other:?}", system.epsg, system.name, base.label()),
            };
        };
        if base.epsg.is_some() {
            hold("from its base", &base, &crs, 0, 2, &known);
            hold("to its base", &crs, &base, 2, 0, &known);
        } else {
            println!("EPSG:{} {}: the base has no code", system.epsg, system.name);
        }
        let is_refused = REFUSED.iter().any(|(_, codes)| codes.contains(&system.epsg));
        if !is_refused && !EQUAL.contains(&system.epsg) {
            hold("from WGS 84", &world, &crs, 4, 6, rows);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A description that the built-in code does not read; the values are pyproj's.
#[cfg(feature = "proj")]
#[test]
fn proj_reads_more() {
    let world = Crs::from_epsg(4326).expect("known");
    let place = DVec3::new(12.5, 41.9, 7.0);
    let text = "PROJCS[\"World_Gall\",GEOGCS[\"GCS_WGS_1984\",DATUM[\"D_WGS_1984\",SPHEROID[\"WGS_1984\",6378137.0,298.257223563]],\
         PRIMEM[\"Greenwich\",0.0],UNIT[\"Degree\",0.0174532925199433]],PROJECTION[\"Gall_Stereographic\"],\
         PARAMETER[\"False_Easting\",0.0],PARAMETER[\"False_Northing\",0.0],PARAMETER[\"Central_Meridian\",0.0],UNIT[\"Meter\",1.0]]";
    let crs = Crs::parse(text).expect("PROJ reads it");
    let got = Transform::new(&world, &crs).expect("PROJ has a way").point(place).expect("it has a place");
    let wanted = DVec3::new(983_934.585_23, 4_168_675.228_91, 7.0);
    assert!((got - wanted).length() < TOLERANCE_M && got.z == 7.0, "{got}");
    assert!(crs.geographic().expect("it has a base").is_geographic);
}

/// Datums that are shifted by other parameters from place to place: PROJ chooses, and the note says what its choice is worth.
#[cfg(feature = "proj")]
#[test]
fn a_datum_that_is_refused_without_proj_has_a_way_and_a_note() {
    for (from, to, place) in [
        (31467, 25832, DVec3::new(3_500_000.0, 5_500_000.0, 7.0)),
        (31256, 4326, DVec3::new(2_000.0, 340_000.0, 7.0)),
        (5514, 25833, DVec3::new(-743_000.0, -1_043_000.0, 7.0)),
        (4267, 4326, DVec3::new(-100.0, 40.0, 7.0)),
        (4230, 25831, DVec3::new(2.35, 48.85, 7.0)),
        (4326, 23031, DVec3::new(2.35, 48.85, 7.0)),
        (31467, 4549, DVec3::new(3_500_000.0, 5_500_000.0, 7.0)),
    ] {
        let (source, target) = (Crs::from_epsg(from).expect("known"), Crs::from_epsg(to).expect("known"));
        let way = Transform::new(&source, &target).expect("PROJ has a way");
        let note = way.note().expect("a choice of PROJ is told");
        println!("EPSG:{from} to EPSG:{to}: {note}");
        let got = way.point(place);
        // Beyond the edge of the target's own projection there may be no place.
        assert!(to == 4549 || got.is_some_and(|got| got.is_finite() && got.z == place.z), "EPSG:{from} to EPSG:{to}");
        assert!(note.starts_with("converted by PROJ 9.") && note.contains(" m"), "{note}");
        assert!(note.contains("good to about") || note.contains("not known everywhere"), "{note}");
        // Many and one by one are the same, from another thread too.
        let there = std::thread::spawn(move || way.point(place)).join().expect("no panic");
        assert_eq!(got, there);
    }
}

/// The tables of PROJ are built in. Those of another release in the way are an error in words; a folder without any is not.
#[cfg(feature = "proj")]
#[test]
fn tables_of_another_release_are_an_error_and_never_a_number() {
    let (empty, foreign) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    std::fs::write(foreign.path().join("proj.db"), "").expect("a file");
    let said = |folder: &Path| {
        let mut itself = Command::new(std::env::current_exe().expect("a test is a program"));
        itself.args(["--ignored", "--exact", "says_what_proj_says", "--nocapture"]);
        itself.env("PROJ_DATA", folder).env("PROJ_SKIP_READ_USER_WRITABLE_DIRECTORY", "YES");
        let output = itself.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said_by_empty = said(empty.path());
    assert!(said_by_empty.contains("state Ok(") && said_by_empty.contains("way Ok("), "{said_by_empty}");
    let said_by_foreign = said(foreign.path());
    let reasons = said_by_foreign.matches("a proj.db of another release stands before the one built in").count();
    assert!(reasons >= 3 && !said_by_foreign.contains("way Ok("), "{said_by_foreign}");
}

#[cfg(feature = "proj")]
#[test]
#[ignore = "run by the test above, with other folders of PROJ"]
fn says_what_proj_says() {
    println!("state {:?}", groundline_engine::crs::proj_state().expect("PROJ is in"));
    println!("code {:?}", Crs::from_epsg(102_100).map_err(|error| error.to_string()));
    let (dhdn, world) = (Crs::from_epsg(31467).expect("built in"), Crs::from_epsg(4326).expect("built in"));
    println!("way {:?}", Transform::new(&dhdn, &world).map(|way| way.note()).map_err(|error| error.to_string()));
}

/// Farthest that the bulk way may lie from the exact one, and how far apart they were.
const BULK_M: f64 = 1e-4;

#[test]
fn the_bulk_way_is_the_exact_way_within_a_tenth_of_a_millimetre() {
    let Some(reference) = Reference::read() else { return };
    let mut worst_of_all = 0.0_f64;
    for (system, rows) in reference.rows().filter(|(system, _)| !system.is_geocentric) {
        let crs = Crs::from_epsg(system.epsg).expect("known");
        let base = crs.geographic().expect("every system has a base");
        let known: Vec<[f64; 8]> = rows.iter().copied().filter(|row| row[2].is_finite()).collect();
        for (source, target, points) in [(&base, &crs, places(&known, 0)), (&crs, &base, places(&known, 2))] {
            let way = Transform::new(source, target).expect("the same datum");
            let mut exact = points.clone();
            way.apply_exact(&mut exact);
            let bulk = converted(&way, points.clone());
            let mut one_by_one = points.clone();
            one_by_one.chunks_mut(7).rev().for_each(|some| way.clone().apply(some));
            assert!(bulk.iter().zip(&one_by_one).all(|(a, b)| a == b), "EPSG:{}: by batches", system.epsg);
            assert!(bulk.iter().zip(&points).all(|(b, p)| b.z == p.z), "EPSG:{}: heights", system.epsg);
            let worst = worst_m(target, &bulk, exact.iter().map(|p| [p.x, p.y]));
            assert!(worst < BULK_M, "EPSG:{} {}: {worst:e} m", system.epsg, system.name);
            worst_of_all = worst_of_all.max(worst);
        }
    }
    println!("bulk and exact are at most {worst_of_all:e} m apart");
}

#[test]
fn three_flavours_of_text_are_one_system() {
    let Some(reference) = Reference::read() else { return };
    let mut wrong = String::new();
    for (system, rows) in reference.rows() {
        let Ok(crs) = Crs::from_epsg(system.epsg) else { continue };
        let base = crs.geographic().expect("every system has a base");
        let Ok(way) = Transform::new(&base, &crs) else { continue };
        let wanted = converted(&way, places(&rows[..100], 0));
        for (flavour, text) in &system.texts {
            let Some(text) = text else { continue };
            let read = Crs::parse(text).and_then(|read| {
                let there = converted(&Transform::new(&read.geographic()?, &read)?, places(&rows[..100], 0));
                Ok((read.epsg, read.datum == crs.datum, worst_m(&crs, &there, wanted.iter().map(|w| [w.x, w.y]))))
            });
            match read {
                Ok((_, true, worst)) if worst < 1e-3 => {}
                other => {
                    let _ = writeln!(wrong, "EPSG:{} {} as {flavour}: {other:?}", system.epsg, system.name);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
