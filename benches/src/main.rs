//! Times the whole command, and peers on the same input in the same run, interleaved.
//!
//! `make bench` builds and runs it; it prints a table for benches/README.md, which says how the peers are installed.
//! A peer that is not there is named as such, never left out silently. Words after the program's name choose rows:
//! `groundline-bench gis ifc`.

mod choice;
mod contest;
mod converge;
mod crs;
mod http;
mod import;
mod index;
mod large;
mod live;
mod memory;
mod postgis;
mod rays;
mod read;
mod resume;
mod run;
mod scale;
mod serve;
mod viewer;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use contest::{RUNS, row};
use run::Run;

/// The command's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, path, epsg] = args.as_slice()
        && word == "read"
    {
        return read::read(Path::new(path), epsg.parse().context("an EPSG code")?);
    }
    let work = tempfile::tempdir()?;
    if args == ["crs"] {
        // The one table that the command has no part in.
        header();
        return crs::crs(work.path());
    }
    if args == ["index"] {
        return index::index();
    }
    if args == ["choice"] {
        return choice::choice();
    }
    if args == ["rays"] {
        return rays::rays(work.path());
    }
    let groundline = std::env::current_exe()?.with_file_name("groundline");
    anyhow::ensure!(groundline.exists(), "{} is missing: build it with the same profile first", groundline.display());
    let is_wanted = |row: &str| args.is_empty() || args.iter().any(|a| a == row);
    header();
    if is_wanted("demo") {
        demo(&groundline, work.path())?;
        snapshot(&groundline, work.path())?;
    }
    let bench = import::Bench { groundline, work: work.path().to_path_buf() };
    if is_wanted("gis") {
        bench.footprints()?;
    }
    if is_wanted("city") {
        bench.houses()?;
    }
    if is_wanted("crs") {
        crs::crs(work.path())?;
    }
    if is_wanted("index") {
        index::index()?;
    }
    if is_wanted("choice") {
        choice::choice()?;
    }
    if is_wanted("rays") {
        rays::rays(work.path())?;
    }
    if is_wanted("memory") {
        memory::memory(&bench.groundline, work.path())?;
    }
    if is_wanted("postgis") {
        postgis::postgis(&bench.groundline, work.path())?;
    }
    if is_wanted("scale") {
        scale::scale(&bench.groundline, work.path())?;
    }
    if is_wanted("points") {
        bench.points()?;
    }
    if is_wanted("resume") {
        resume::resume(&bench.groundline, work.path())?;
    }
    if is_wanted("viewer") {
        viewer::viewer(&bench.groundline, work.path())?;
    }
    if is_wanted("converge") {
        converge::converge(&bench.groundline, work.path())?;
    }
    if is_wanted("live") {
        live::live(&bench.groundline, work.path())?;
    }
    if is_wanted("serve") {
        serve::serve(&bench.groundline, work.path())?;
    }
    match std::env::var_os("GROUNDLINE_DATA").map(PathBuf::from) {
        Some(data) => {
            if is_wanted("gis") {
                bench.real_footprints(&data)?;
            }
            if is_wanted("scan") {
                bench.scan(&data)?;
            }
            if is_wanted("ifc") {
                bench.ifc(&data)?;
            }
        }
        None => println!("| real data | GROUNDLINE_DATA is not set | | | | | not run |"),
    }
    Ok(())
}

fn header() {
    println!("| what | input | wall s | cpu s | rate | peak MB | result |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
}

/// From the start of the built binary to the first whole picture, software rendering included.
fn demo(groundline: &Path, work: &Path) -> Result<()> {
    let mut runs = Vec::new();
    let mut report = serde_json::Value::Null;
    for number in 0..RUNS {
        let dir = work.join(format!("demo{number}"));
        let picture = dir.join("first.png");
        let args = ["demo", "--no-view", "--json", "--dir", text(&dir)?, "--snapshot", text(&picture)?];
        let run = Run::of(groundline, &args)?;
        report = serde_json::from_str(&run.output).context("the demo's report")?;
        anyhow::ensure!(picture.metadata()?.len() > 50_000, "the demo's picture is too small to be one");
        runs.push(run);
    }
    let result = format!(
        "{} objects, {} points, {} tiles, {:.1} MB",
        report["import"]["objects"],
        report["import"]["points"],
        report["import"]["tiles"],
        report["import"]["bytes"].as_f64().unwrap_or(0.0) / 1e6
    );
    row("demo: files made, imported, first picture", "the sample city", &runs, (0, ""), &result);
    Ok(())
}

fn snapshot(groundline: &Path, work: &Path) -> Result<()> {
    let city = work.join("demo0/haiwan.city");
    for below in [false, true] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let picture = work.join("snapshot.png");
            let mut args = vec!["snapshot", text(&city)?, "--json", "--size", "1280x720", "--out", text(&picture)?];
            args.extend(below.then_some("--below"));
            runs.push(Run::of(groundline, &args)?);
        }
        let report: serde_json::Value = serde_json::from_str(&runs[0].output)?;
        let result = format!("{} tiles, {} triangles, {}", report["tiles_drawn"], report["triangles"], report["gpu"]);
        let what = if below { "snapshot --below" } else { "snapshot" };
        row(what, "the sample city, 1280×720", &runs, (0, ""), &result);
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
