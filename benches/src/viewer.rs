//! The viewer beside CesiumJS in headless Chromium, both on software drivers: the same city, place, size and error on the screen.
//!
//! Then ours alone: from the start of the program to the first whole picture, and what relief costs a frame.
//! `GROUNDLINE_ROUNDS` takes another number of rounds.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    run::{Run, median, program},
    serve::Served,
    text,
};

const ROUNDS: usize = 5;
const SIZE: (u32, u32) = (1280, 720);
/// Frames that are timed while the camera turns, and by how much each.
const FRAMES: u32 = 10;
const TURN_DEG: f64 = 0.1;
/// Smaller angle of view of both.
const FOV_DEG: f64 = 38.0;
/// Error on the screen of both: our usual one, half of CesiumJS's.
const ERROR_PX: f64 = 8.0;

/// A place to look from: metres of the sample city's system, the same as longitude and latitude, heading and pitch.
struct Place {
    name: &'static str,
    city: [f64; 3],
    heading_deg: f64,
    pitch_deg: f64,
}

const PLACES: [Place; 2] = [
    Place { name: "the whole city", city: [535_500.0, 3_990_300.0, 1_500.0], heading_deg: 0.0, pitch_deg: -28.0 },
    Place { name: "a street", city: [535_390.0, 3_993_330.0, 120.0], heading_deg: 5.0, pitch_deg: -32.0 },
];

/// Prints a row for each place.
pub fn viewer(groundline: &Path, work: &Path) -> Result<()> {
    println!(
        "\n| view of the sample city, 1280×720 | | whole picture, s | its triangles | a frame, ms | CesiumJS over ours: whole picture | frames |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let folder = work.join("viewer");
    Run::of(groundline, &["demo", "--dir", text(&folder)?, "--no-view"])?;
    let city = folder.join("haiwan.city");
    let server = Served::ours(groundline, &city)?;
    let address = format!("http://{}", server.address);
    let rounds = std::env::var("GROUNDLINE_ROUNDS").ok().and_then(|word| word.parse().ok()).unwrap_or(ROUNDS);
    for place in &PLACES {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            ours.push(own(groundline, &city, work, (place, &[]), round)?);
            theirs.push(cesium(&address, work, place)?);
        }
        let of = |all: &[Figures], figure: fn(&Figures) -> f64| median(all.iter().map(figure));
        let ratio = |figure: fn(&Figures) -> f64| median(ours.iter().zip(&theirs).map(|(a, b)| figure(b) / figure(a)));
        for (who, all) in [("groundline", &ours), ("CesiumJS 1.140", &theirs)] {
            let is_peer = who != "groundline";
            let ratios = if is_peer {
                format!("**{:.2}×** | **{:.2}×**", ratio(|f| f.whole_s), ratio(|f| f.frame_ms))
            } else {
                " | ".into()
            };
            println!(
                "| {} | {who} | {:.2} | {:.0} | {:.1} | {ratios} |",
                place.name,
                of(all, |f| f.whole_s),
                of(all, |f| f.triangles),
                of(all, |f| f.frame_ms)
            );
        }
    }
    alone(groundline, &city, work, rounds)
}

/// Rows without a peer.
fn alone(groundline: &Path, city: &Path, work: &Path, rounds: usize) -> Result<()> {
    println!("\n| the sample city, 1280×720, without a peer | | goal |\n| --- | --- | --- |");
    let size = format!("{}x{}", SIZE.0, SIZE.1);
    let picture = work.join("viewer-first.png");
    let first = ["snapshot", text(city)?, "--json", "--size", &size, "--out", text(&picture)?];
    let starts = (0..rounds).map(|_| Ok(Run::of(groundline, &first)?.wall_s)).collect::<Result<Vec<f64>>>()?;
    let seconds = median(starts.into_iter());
    println!("| start of the program to the first whole picture, its overview | {seconds:.2} s | ≤ 3 s |");
    for place in &PLACES {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            without.push(own(groundline, city, work, (place, &["--relief", "none"]), round)?);
            with.push(own(groundline, city, work, (place, &["--relief", "corners,points"]), round)?);
        }
        let frame = |all: &[Figures]| median(all.iter().map(|figures| figures.frame_ms));
        let (plain, relief) = (frame(&without), frame(&with));
        println!("| a frame of {}, without and with relief | {plain:.1} ms, {relief:.1} ms | |", place.name);
    }
    Ok(())
}

struct Figures {
    whole_s: f64,
    triangles: f64,
    frame_ms: f64,
}

/// Our picture from the start of the program to the file, then frames of a film in which the camera turns.
/// `more` are options of the look.
fn own(groundline: &Path, city: &Path, work: &Path, (place, more): (&Place, &[&str]), round: usize) -> Result<Figures> {
    let [x, y, z] = place.city;
    let at = |turned: f64| format!("groundline:?c={x},{y},{z},{},{}", place.heading_deg + turned, place.pitch_deg);
    let size = format!("{}x{}", SIZE.0, SIZE.1);
    let picture = work.join(format!("viewer-{}.png", place.name.replace(' ', "-")));
    let view = at(0.0);
    let one = ["snapshot", text(city)?, "--json", "--size", &size, "--view", &view, "--out", text(&picture)?];
    let run = Run::of(groundline, &[&one[..], more].concat())?;
    let report: Value = serde_json::from_str(&run.output)?;

    let last = at(TURN_DEG * f64::from(FRAMES));
    let shelf = work.join("bookmarks.json");
    let marks = json!({"format": 1, "city": city.file_stem().and_then(|n| n.to_str()), "bookmarks": [
        {"name": "1", "view": at(0.0)}, {"name": "2", "view": last},
    ]});
    std::fs::write(&shelf, marks.to_string())?;
    let frames = work.join(format!("frames-{round}"));
    let _ = std::fs::remove_dir_all(&frames);
    // Five seconds a stop.
    let fps = format!("{}", f64::from(FRAMES) / 10.0);
    let film = ["snapshot", text(city)?, "--json", "--size", &size, "--bookmarks", text(&shelf)?, "--tour", "all"];
    let film = Run::of(groundline, &[&film[..], &["--frames", text(&frames)?, "--fps", &fps], more].concat())?;
    let film: Value = serde_json::from_str(&film.output)?;
    Ok(Figures {
        whole_s: run.wall_s,
        triangles: report["triangles"].as_f64().context("triangles")?,
        frame_ms: film["frame_seconds"].as_f64().context("frame_seconds")? * 1e3,
    })
}

/// CesiumJS's, from the page being asked for: the start of the browser is not counted against it.
fn cesium(server: &str, work: &Path, place: &Place) -> Result<Figures> {
    let web = std::env::var_os("GROUNDLINE_WEB")
        .context("GROUNDLINE_WEB: the folder with CesiumJS, as .ci/setup test makes it")?;
    let frame = groundline_engine::crs::Frame::new(groundline_engine::crs::Crs::from_epsg(4549)?)?;
    let lonlat = frame.geographic_from_city(glam::DVec3::from(place.city));
    let view = json!({
        "lon": lonlat.x, "lat": lonlat.y, "height_m": lonlat.z, "heading_deg": place.heading_deg, "pitch_deg": place.pitch_deg,
        "fov_deg": FOV_DEG, "width": SIZE.0, "height": SIZE.1, "error_px": ERROR_PX, "frames": FRAMES, "turn_deg": TURN_DEG,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/cesium_frames.mjs");
    let picture = work.join(format!("viewer-{}-cesium.png", place.name.replace(' ', "-")));
    let node = program("node").context("node")?;
    let output = Command::new(node)
        .arg(script)
        .args([server, &view.to_string(), text(&picture)?])
        .env("GROUNDLINE_WEB", web)
        .output()?;
    ensure!(output.status.success(), "CesiumJS: {}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(found["loaded"] == true && found["failures"] == json!([]), "CesiumJS did not load the city: {found}");
    let times = found["frames_ms"].as_array().context("frames_ms")?;
    Ok(Figures {
        whole_s: found["page_s"].as_f64().context("page_s")?,
        triangles: found["triangles"].as_f64().context("triangles")?,
        frame_ms: median(times.iter().filter_map(Value::as_f64)),
    })
}
