//! Times the whole command, and peers on the same input in the same run, interleaved.
//!
//! `make bench` builds and runs it; it prints a table for benches/README.md. A peer that is not installed is named as such,
//! never left out silently. Peers: `ogr2ogr` (gdal-bin), `py3dtiles` (PyPI, `py3dtiles[las]`).

mod run;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use run::{Run, median, program};

/// Runs of each command; the median stands in the table.
const RUNS: usize = 5;

fn main() -> Result<()> {
    let groundline = std::env::current_exe()?.with_file_name("groundline");
    anyhow::ensure!(groundline.exists(), "{} is missing: build it with the same profile first", groundline.display());
    let work = tempfile::tempdir()?;
    println!("| what | input | wall s | cpu s | rate | peak MB | result |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    demo(&groundline, work.path())?;
    let sample = work.path().join("sample");
    std::fs::create_dir_all(&sample)?;
    let recipe = groundline_sample::Recipe::default_city();
    groundline_sample::make(&recipe, &sample, &mut |_| {})?;
    snapshot(&groundline, work.path())?;
    buildings(&groundline, &sample, work.path())?;
    if let Some(data) = std::env::var_os("GROUNDLINE_DATA").map(PathBuf::from) {
        scan(&groundline, &data.join("pointcloud/bcts_4tiles"), work.path())?;
        real_buildings(&groundline, &data.join("gis/geojson/beijing_buildings_height.geojson"), work.path())?;
    } else {
        println!("| real data | GROUNDLINE_DATA is not set | | | | | not run |");
    }
    Ok(())
}

fn row(what: &str, input: &str, runs: &[Run], rate: &str, result: &str) {
    let wall = median(runs.iter().map(|r| r.wall_s));
    let cpu = median(runs.iter().map(|r| r.cpu_s));
    let peak = median(runs.iter().map(|r| r.peak_mb));
    println!("| {what} | {input} | {wall:.2} | {cpu:.2} | {rate} | {peak:.0} | {result} |");
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
    row("demo: files made, imported, first picture", "the sample city", &runs, "", &result);
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
        row(if below { "snapshot --below" } else { "snapshot" }, "the sample city, 1280×720", &runs, "", &result);
    }
    Ok(())
}

/// Imports `source` a few times, interleaved with a peer when there is one, and prints both rows.
fn beside(
    groundline: &Path,
    work: &Path,
    what: &str,
    source: &Path,
    more: &[&str],
    peer: Option<(&Path, Vec<String>, &str)>,
) -> Result<()> {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut report = serde_json::Value::Null;
    for number in 0..RUNS {
        let city = work.join(format!("{}-{number}.city", what.replace(' ', "_")));
        let mut args = vec!["import", text(source)?, "--city", text(&city)?, "--json"];
        args.extend(more);
        let run = Run::of(groundline, &args)?;
        report = serde_json::from_str(&run.output).context("the import's report")?;
        if let Some((program, args, _)) = &peer {
            let out = work.join("peer-out");
            let _ = std::fs::remove_dir_all(&out);
            let _ = std::fs::remove_file(&out);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let other = Run::of(program, &args)?;
            ratios.push(other.wall_s / run.wall_s);
            theirs.push(other);
        }
        ours.push(run);
        std::fs::remove_dir_all(&city)?;
    }
    let (points, objects) = (report["points"].as_u64().unwrap_or(0), report["objects"].as_u64().unwrap_or(0));
    let (count, unit) = if points > 0 { (points, "points") } else { (objects, "objects") };
    let wall = median(ours.iter().map(|r| r.wall_s));
    let rate = format!("{:.0} {unit}/s", count as f64 / wall);
    let bytes = report["bytes"].as_f64().unwrap_or(0.0) / 1e6;
    let mut result = format!("{count} {unit}, {} tiles, {bytes:.1} MB", report["tiles"]);
    if !ratios.is_empty() {
        result += &format!("; **{:.2}×** the peer below", median(ratios.into_iter()));
    }
    let input = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    row(what, &input, &ours, &rate, &result);
    if let Some((_, _, name)) = peer {
        let rate = format!("{:.0} {unit}/s", count as f64 / median(theirs.iter().map(|r| r.wall_s)));
        row(name, &input, &theirs, &rate, "");
    }
    Ok(())
}

fn buildings(groundline: &Path, sample: &Path, work: &Path) -> Result<()> {
    let source = sample.join("基础测绘/建筑.shp");
    let out = work.join("peer-out").display().to_string();
    let peer = program("ogr2ogr");
    let peer = peer.as_deref().map(|p| {
        let args = vec![
            "-f".into(),
            "FlatGeobuf".into(),
            "-nlt".into(),
            "PROMOTE_TO_MULTI".into(),
            out,
            source.display().to_string(),
        ];
        (p, args, "ogr2ogr to FlatGeobuf (no 3D, no tiles)")
    });
    if peer.is_none() {
        println!("| ogr2ogr | not installed | | | | | not run |");
    }
    beside(groundline, work, "shapefile to 3D tiles", &source, &[], peer)
}

fn real_buildings(groundline: &Path, source: &Path, work: &Path) -> Result<()> {
    let out = work.join("peer-out").display().to_string();
    let peer = program("ogr2ogr");
    let peer = peer.as_deref().map(|p| {
        let args = [
            "-f",
            "FlatGeobuf",
            "-t_srs",
            "EPSG:32650",
            "-nlt",
            "PROMOTE_TO_MULTI",
            &out,
            &source.display().to_string(),
        ];
        (p, args.map(str::to_owned).to_vec(), "ogr2ogr -t_srs to FlatGeobuf (no 3D, no tiles)")
    });
    beside(groundline, work, "GeoJSON reprojected to 3D tiles", source, &[], peer)
}

fn scan(groundline: &Path, source: &Path, work: &Path) -> Result<()> {
    let plain = work.join("las");
    std::fs::create_dir_all(&plain)?;
    let mut args: Vec<String> = ["convert", "--jobs", "2", "--overwrite", "--out"].map(str::to_owned).to_vec();
    args.push(work.join("peer-out").display().to_string());
    let peer = program("py3dtiles");
    if peer.is_some() {
        // With LAZ input it does not end (version 12.1.1), so it gets the same points uncompressed, which is less work.
        for path in laz_files(source)? {
            let to = plain.join(path.file_name().context("a file")?).with_extension("las");
            let mut reader = las::Reader::from_path(&path)?;
            let mut builder = las::Builder::from(reader.header().clone());
            builder.point_format.is_compressed = false;
            let mut writer = las::Writer::from_path(&to, builder.into_header()?)?;
            loop {
                let points = reader.read_points(1 << 16)?;
                if points.is_empty() {
                    break;
                }
                for point in points.points() {
                    writer.write_point(point?)?;
                }
            }
            writer.close()?;
            args.push(to.display().to_string());
        }
    } else {
        println!("| py3dtiles | not installed | | | | | not run |");
    }
    let peer = peer.as_deref().map(|p| (p, args, "py3dtiles --jobs 2, the same points as LAS"));
    // Any projected system does for timing.
    beside(groundline, work, "LAZ to 3D tiles", source, &["--crs", "EPSG:26910", "--layer", "scan"], peer)
}

fn laz_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "laz"));
    files.sort();
    Ok(files)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
