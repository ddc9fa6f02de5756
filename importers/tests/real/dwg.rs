//! Drawings held against what ezdwg, which shares no code with our reader, counts and places in them: those that come
//! with the sources of the library we read with (some written by AutoCAD), and one of ours in every release.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use acadrust::{
    CadDocument, DwgWriter, DxfVersion,
    entities::{Arc, Circle, EntityType, Line, LwPolyline, Point, Text},
    types::{Vector2, Vector3},
};
use groundline_engine::model::{CityObject, Extent, Value};
use groundline_importers::dwg;

use super::{import_in, referee};

/// Kinds of entities that are read, as both name them; what is inserted as a block is another thing to each.
const KINDS: &[&str] = &["LINE", "CIRCLE", "ARC", "ELLIPSE", "LWPOLYLINE", "POINT", "TEXT", "MTEXT", "HATCH"];

/// Differences: drawing, kind, how many ezdwg has, how many we have, why.
const KNOWN: &[(&str, &str, usize, usize, &str)] =
    &[("mpolygon-fixture", "HATCH", 0, 5, "MPOLYGONs, which ezdwg does not read")];

/// Drawings among the sources of the library.
fn of_the_library() -> Vec<PathBuf> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    // Of this platform alone: what others need was never fetched.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let args =
        ["metadata", "--format-version", "1", "--offline", "--filter-platform", &platform, "--manifest-path", manifest];
    let told = Command::new(env!("CARGO")).args(args).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("what cargo says of the sources");
    let library = told["packages"].as_array().unwrap().iter().find(|p| p["name"] == "acadrust").expect("acadrust");
    let root = PathBuf::from(library["manifest_path"].as_str().unwrap()).parent().unwrap().join("tests");
    let (mut folders, mut found) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "dwg") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A drawing with some entities of the plain kinds.
fn drawing(version: DxfVersion) -> Vec<u8> {
    let mut document = CadDocument::with_version(version);
    let at = |x: f64, y: f64| Vector3::new(521_000.0 + x, 3_993_000.0 + y, 12.5);
    let mut add = |entity: EntityType| {
        document.add_entity(entity).unwrap();
    };
    for number in 0..7 {
        let x = f64::from(number) * 10.0;
        add(EntityType::Line(Line::from_points(at(x, 0.0), at(x + 4.0, 9.25))));
        add(EntityType::Circle(Circle::from_center_radius(at(x, 30.0), 1.5)));
        add(EntityType::Point(Point::at(at(x, 60.0))));
        let corners =
            [(0.0, 0.0), (6.0, 0.0), (6.0, 4.0)].map(|(u, v)| Vector2::new(521_000.0 + x + u, 3_993_040.0 + v));
        add(EntityType::LwPolyline(LwPolyline::from_points(corners.to_vec())));
    }
    for number in 0..3 {
        let x = f64::from(number) * 10.0;
        let (center, radius, end_angle) = (at(x, 80.0), 2.0, 1.0);
        add(EntityType::Arc(Arc { center, radius, start_angle: 0.0, end_angle, ..Arc::new() }));
        add(EntityType::Text(Text::with_value("泵站", at(x, 90.0))));
    }
    DwgWriter::write_to_vec(&document).unwrap()
}

#[test]
fn drawings_hold_what_ezdwg_counts_and_where() {
    let Some(python) = referee::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut paths = of_the_library();
    assert!(paths.len() >= 8, "{paths:?}");
    for version in [
        DxfVersion::AC1014,
        DxfVersion::AC1015,
        DxfVersion::AC1018,
        DxfVersion::AC1021,
        DxfVersion::AC1024,
        DxfVersion::AC1027,
        DxfVersion::AC1032,
    ] {
        let path = folder.path().join(format!("ours-{version:?}.dwg"));
        std::fs::write(&path, drawing(version)).unwrap();
        paths.push(path);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/referee/dwg.py");
    let run = Command::new(python).arg("-B").arg(script).args(&paths).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let said = String::from_utf8(run.stdout).unwrap();
    assert_eq!(said.lines().count(), paths.len());
    let (mut compared, mut placed, mut failures) = (0, 0, Vec::new());
    for (path, line) in paths.iter().zip(said.lines()) {
        let theirs: BTreeMap<String, (usize, Option<[f64; 4]>)> = serde_json::from_str(line).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (objects, _) = import_in(&dwg::FORMAT, path, 4549);
        for kind in KINDS {
            let is_of_kind =
                |o: &&CityObject| o.value("block").is_none() && o.value("entity").and_then(Value::as_str) == Some(kind);
            let own: Vec<&CityObject> = objects.iter().filter(is_of_kind).collect();
            let (count, place) = theirs.get(*kind).copied().unwrap_or_default();
            if own.len() != count {
                let is_known = KNOWN.iter().any(|k| (k.0, k.1, k.2, k.3) == (&name, kind, count, own.len()));
                if !is_known {
                    failures.push(format!("{name}: {} of {kind}, not {count}", own.len()));
                }
                continue;
            }
            compared += count;
            let Some([west, south, east, north]) = place else { continue };
            let mut extent = Extent::EMPTY;
            own.iter().for_each(|object| extent.merge(&object.geometry.extent()));
            // Circles are drawn as chords, which stay within them.
            let most = if *kind == "CIRCLE" { 0.05 } else { 1e-6 };
            let gaps = [extent.min.x - west, extent.min.y - south, extent.max.x - east, extent.max.y - north];
            if gaps.iter().any(|gap| gap.abs() > most) {
                failures.push(format!("{name}: {kind} {extent:?}, not {place:?}"));
            }
            placed += count;
        }
    }
    println!("ezdwg: {} drawings, {compared} entities counted, {placed} placed", paths.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(placed >= 7 * 28, "{placed}");
}
