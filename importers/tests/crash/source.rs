//! The files of the small city: terrain, a scan, houses on the terrain, parks.

use std::{fmt::Write, fs, path::Path};

use crate::Chance;

/// South-west corner, EPSG:4549.
pub const CORNER: (f64, f64) = (520_000.0, 3_990_000.0);

/// Writes what the first import reads.
pub fn first(folder: &Path) {
    let sources = folder.join("sources");
    fs::create_dir_all(&sources).unwrap();
    terrain(&sources.join("terrain.asc"), 5.0);
    scan(&sources.join("scan.xyz"));
    houses(&sources.join("buildings.geojson"), 0..160, 9.0);
    parks(&sources.join("parks.geojson"), 0..340);
    houses(&folder.join("more-buildings.geojson"), 400..460, 12.0);
}

/// Writes what the import after it reads: parks that go and come, and another terrain, on which the houses stand then.
pub fn again(folder: &Path) {
    let sources = folder.join("sources");
    terrain(&sources.join("terrain.asc"), 6.0);
    parks(&sources.join("parks.geojson"), 8..346);
    fs::remove_file(sources.join("buildings.geojson")).unwrap();
}

/// Writes what the update reads.
pub fn update(folder: &Path) {
    houses(&folder.join("changed-buildings.geojson"), 157..163, 40.0);
}

fn houses(path: &Path, numbers: std::ops::Range<usize>, height_m: f64) {
    let features: Vec<String> = numbers
        .map(|n| {
            let (x, y) = (CORNER.0 + 20.0 + (n % 25) as f64 * 30.0, CORNER.1 + 20.0 + (n / 25) as f64 * 30.0);
            let ring = ring(x, y, 4, 9.0);
            // Some are as they were in the delivery before.
            let height_m = if n % 3 == 0 { 8.0 } else { height_m };
            format!(
                r#"{{"type":"Feature","id":"{n}","properties":{{"height_m":{height_m},"name":"{n} 号楼"}},"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}"#
            )
        })
        .collect();
    write_collection(path, &features);
}

/// Polygons of many corners: few fill a tile, so that there are far tiles, which draw some of them only.
fn parks(path: &Path, numbers: std::ops::Range<u64>) {
    let features: Vec<String> = numbers
        .map(|n| {
            let mut chance = Chance(n);
            chance.roll();
            let (x, y) = (CORNER.0 + 760.0 * chance.roll(), CORNER.1 + 760.0 * chance.roll());
            let ring = ring(x, y, 100, 1.0 + 20.0 * chance.roll().powi(3));
            format!(
                r#"{{"type":"Feature","id":"{n}","properties":{{}},"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}"#
            )
        })
        .collect();
    write_collection(path, &features);
}

fn ring(x: f64, y: f64, corners: usize, radius_m: f64) -> String {
    let corner = |i: usize| {
        let turn = (i % corners) as f64 / corners as f64 * std::f64::consts::TAU;
        format!("[{:.3},{:.3}]", x + radius_m * turn.cos(), y + radius_m * turn.sin())
    };
    format!("[{}]", (0..=corners).map(corner).collect::<Vec<_>>().join(","))
}

fn write_collection(path: &Path, features: &[String]) {
    fs::write(path, format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","))).unwrap();
}

fn terrain(path: &Path, height_m: f64) {
    let side = 41;
    let mut text = format!("ncols {side}\nnrows {side}\nxllcorner {}\nyllcorner {}\ncellsize 20\n", CORNER.0, CORNER.1);
    for row in 0..side {
        for column in 0..side {
            let _ = write!(text, "{:.2} ", height_m + (row as f64 * 0.3).sin() + (column as f64 * 0.2).cos());
        }
        text.push('\n');
    }
    fs::write(path, text).unwrap();
}

fn scan(path: &Path) {
    let mut chance = Chance(5);
    let mut text = String::new();
    for _ in 0..4000 {
        let (x, y) = (CORNER.0 + 300.0 + 60.0 * chance.roll(), CORNER.1 + 300.0 + 60.0 * chance.roll());
        let _ = writeln!(text, "{x:.3} {y:.3} {:.3}", 5.0 + 10.0 * chance.roll());
    }
    fs::write(path, text).unwrap();
}
