//! How cost grows with the number of objects: import, bytes, memory, questions, and the change of one object, as whole commands and,
//! for questions, in this process on the open city. Each row is a city of footprints of its own.
//!
//! `GROUNDLINE_SCALE` (numbers with commas) takes other numbers of objects.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use glam::{DVec2, DVec3};
use groundline_engine::{
    query::{Found, Query, Shape, run},
    store::City,
};
use serde_json::json;

use crate::{
    index::Dice,
    large,
    run::{Run, median},
    text,
};

/// Bytes of a footprint in the shapefile and its table.
const BYTES_EACH: u64 = 189;
const QUESTIONS: usize = 500;
const CHANGES: usize = 5;
const SIDE_M: f64 = 100.0;

/// Prints a row for each number of objects.
pub fn scale(groundline: &Path, work: &Path) -> Result<()> {
    println!(
        "\n| objects | import, s | objects/s | peak MiB | bytes an object in the city | tiles | opened and first box, ms | box of {SIDE_M} m with attributes, p50 and p99, p99 of the next {QUESTIONS}, ms | nearest, p50 and p99, ms | first on a ray of a kilometre, p50 and p99, ms | one object changed, s | files of that version |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let counts = std::env::var("GROUNDLINE_SCALE").unwrap_or_else(|_| "10000,100000,1000000,10000000".into());
    for count in counts.split(',') {
        let folder = work.join("scale");
        std::fs::create_dir_all(&folder)?;
        one(groundline, &folder, count.trim().parse().context("GROUNDLINE_SCALE")?)?;
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn one(groundline: &Path, folder: &Path, count: u64) -> Result<()> {
    let source = large::shapefile(folder, count * BYTES_EACH)?;
    let path = folder.join("a.city");
    let city = ["--city", text(&path)?, "--json"];
    let made = Run::of(groundline, &[&["import", text(&source)?, "--crs", "EPSG:4549"], &city[..]].concat())?;
    let report: serde_json::Value = serde_json::from_str(&made.output)?;
    ensure!(report["objects"] == count, "not all was read: {}", report["objects"]);
    for ending in ["shp", "shx", "dbf"] {
        std::fs::remove_file(source.with_extension(ending))?;
    }
    let bytes: u64 = City::open(&path)?.layers().iter().map(|layer| layer.bytes).sum();

    let timer = Instant::now();
    let open = City::open(&path)?;
    let mut dice = Dice(7);
    let extent = open.extent();
    let mut place = || extent.min + DVec3::new(dice.roll(), dice.roll(), 0.0) * extent.size();
    let boxed = |at: DVec3| {
        let shape = Shape::Box {
            min: DVec3::new(at.x, at.y, f64::NEG_INFINITY),
            max: DVec3::new(at.x + SIDE_M, at.y + SIDE_M, f64::INFINITY),
        };
        Query { shape, ..Query::default() }
    };
    let near = |at: DVec3| {
        let shape = Shape::Near { at: at.truncate(), z: None, radius_m: 1e6, limit: 1 };
        Query { shape, ..Query::default() }
    };
    answer(&open, &boxed(place()))?;
    let cold_ms = timer.elapsed().as_secs_f64() * 1e3;
    let boxes = times_ms(&mut || answer(&open, &boxed(place())))?;
    // At other places: the files were opened before, their blocks were not.
    let later = times_ms(&mut || answer(&open, &boxed(place())))?;
    let nearest = times_ms(&mut || answer(&open, &near(place())))?;
    let mut turn = Dice(11);
    let mut ray = |at: DVec3| {
        let plan = DVec2::from_angle(turn.roll() * std::f64::consts::TAU);
        // From above the roofs, down by one in eight.
        let shape = Shape::Ray { origin: at.truncate().extend(100.0), direction: plan.extend(-0.125), max_m: 1_000.0 };
        Query { shape, limit: Some(1), ..Query::default() }
    };
    let rays = times_ms(&mut || answer(&open, &ray(place())))?;

    let (mut changes, mut files) = (Vec::new(), 0);
    for number in 0..CHANGES {
        let found = answer(&open, &near(place()))?;
        let id = found.first().context("an object")?.id.clone();
        let key = id.rsplit('/').next().unwrap_or_default().parse::<u64>()?;
        let at = found[0].extent.centre();
        let corner = |dx: f64, dy: f64| [at.x + dx, at.y + dy];
        let ring = [corner(-5.0, -5.0), corner(5.0, -5.0), corner(5.0, 5.0), corner(-5.0, 5.0), corner(-5.0, -5.0)];
        let feature = json!({
            "type": "FeatureCollection",
            "features": [{
                "type": "Feature", "id": key, "properties": {"name": format!("changed {number}"), "height_m": 33},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }],
        });
        let change = folder.join("change.geojson");
        std::fs::write(&change, feature.to_string())?;
        let layer = open.layers()[0].name.clone();
        let args = ["import", text(&change)?, "--crs", "EPSG:4549", "--layer", &layer, "--update"];
        let run = Run::of(groundline, &[&args[..], &city[..]].concat())?;
        let report: serde_json::Value = serde_json::from_str(&run.output)?;
        ensure!(report["changes"]["changed"] == 1, "not one object changed: {}", report["changes"]);
        changes.push(run.wall_s);
        let before: std::collections::BTreeSet<String> =
            City::open_version(&path, number as u64 + 1)?.tile_files(&layer)?.into_iter().collect();
        files = City::open(&path)?.tile_files(&layer)?.iter().filter(|file| !before.contains(*file)).count();
    }
    println!(
        "| {count} | {:.1} | {:.0} | {:.0} | {:.0} | {} | {cold_ms:.0} | {:.2}, {:.2}, {:.2} | {:.2}, {:.2} | {:.2}, {:.2} | {:.2} | {files} |",
        made.wall_s,
        count as f64 / made.wall_s,
        report["peak_rss_bytes"].as_f64().context("peak_rss_bytes")? / f64::from(1 << 20),
        bytes as f64 / count as f64,
        report["tiles"],
        boxes.0,
        boxes.1,
        later.1,
        nearest.0,
        nearest.1,
        rays.0,
        rays.1,
        median(changes.into_iter()),
    );
    Ok(())
}

fn answer(city: &City, query: &Query) -> Result<Vec<Found>> {
    Ok(run(city, query)?.collect::<Result<_, _>>()?)
}

/// Middle and 99th of a hundred.
fn times_ms(ask: &mut dyn FnMut() -> Result<Vec<Found>>) -> Result<(f64, f64)> {
    let mut times = Vec::new();
    for _ in 0..QUESTIONS {
        let timer = Instant::now();
        std::hint::black_box(ask()?);
        times.push(timer.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[QUESTIONS / 2], times[QUESTIONS * 99 / 100]))
}
