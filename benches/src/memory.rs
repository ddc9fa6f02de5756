//! Proof that an import needs no more memory for a larger input: inputs of ten times what a small one would need, and the
//! peak of the importer and of the children that read for it, added up, under what is promised.
//!
//! `GROUNDLINE_MEMORY_MB` makes inputs of another size; `GROUNDLINE_MEMORY_ROWS` (a list of names with commas) takes some of
//! the rows. Each process also runs under the promise as its limit of address space (`ulimit -v`), unless
//! `GROUNDLINE_MEMORY_UNLIMITED` is set.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{large, run::Run, text};

/// What is promised, MiB.
const CEILING_MIB: f64 = 2048.0;
/// Size of the large input, MB.
const INPUT_MB: u64 = 1600;
/// Size of the small one.
const SMALL_MB: u64 = 1;

type Make = fn(&Path, u64) -> Result<PathBuf>;

/// A row: its name, how the input is made, and the share of the usual size that it has.
const FORMATS: [(&str, Make, f64); 8] = [
    // Its tiles take ten times what it holds.
    ("shapefile", large::shapefile, 0.4),
    ("GeoJSON", large::geojson, 0.5),
    ("CityGML", large::citygml, 1.0),
    ("CityJSONSeq", large::cityjsonseq, 1.0),
    ("LAS", large::las, 1.0),
    ("LAZ", large::laz, 1.0),
    ("DEM+orthophoto", large::terrain, 1.0),
    // A model is one web of references: it is read whole, and the source's limit of memory holds.
    ("IFC", large::ifc, 0.1),
];

/// Imports a small and a large input of each format and prints the peaks; an error where one is above what is promised.
pub fn memory(groundline: &Path, work: &Path) -> Result<()> {
    let asked = std::env::var("GROUNDLINE_MEMORY_MB").ok().and_then(|text| text.parse().ok());
    let large_mb: u64 = asked.unwrap_or(INPUT_MB);
    let rows = std::env::var("GROUNDLINE_MEMORY_ROWS").unwrap_or_default();
    let is_asked = |name: &str| rows.is_empty() || rows.split(',').any(|row| row.eq_ignore_ascii_case(name));
    println!(
        "\n| memory of an import | input MB | objects, points | tiles | s | peak MiB, {SMALL_MB} MB of input | peak MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut over = Vec::new();
    for (name, make, share) in FORMATS.iter().filter(|(name, ..)| is_asked(name)) {
        let folder = work.join("memory");
        let mut peaks = Vec::new();
        for size_mb in [SMALL_MB as f64, large_mb as f64 * share] {
            std::fs::create_dir_all(&folder)?;
            let source = make(&folder, (size_mb * 1e6) as u64)?;
            let input_mb = size_of_all(&source)? as f64 / 1e6;
            let (run, report) = import(groundline, &source, &folder.join("a.city"))?;
            peaks.push(report["peak_rss_bytes"].as_f64().context("peak_rss_bytes")? / f64::from(1 << 20));
            if let [small, large] = peaks[..] {
                println!(
                    "| {name} | {input_mb:.0} | {}, {} | {} | {:.0} | {small:.0} | **{large:.0}** |",
                    report["objects"], report["points"], report["tiles"], run.wall_s
                );
                if large > CEILING_MIB {
                    over.push(format!("{name} needs {large:.0} MiB"));
                }
            }
            std::fs::remove_dir_all(&folder)?;
        }
    }
    anyhow::ensure!(over.is_empty(), "{CEILING_MIB} MiB are promised: {}", over.join(", "));
    Ok(())
}

/// Imports under the limit; the report's peak is that of the importer and of the children that read for it.
fn import(groundline: &Path, source: &Path, city: &Path) -> Result<(Run, serde_json::Value)> {
    let is_limited = std::env::var_os("GROUNDLINE_MEMORY_UNLIMITED").is_none();
    let limit = if is_limited { format!("ulimit -v {}; ", CEILING_MIB as u64 * 1024) } else { String::new() };
    let script = format!("{limit}exec \"$0\" \"$@\"");
    let args = ["-c", &script, text(groundline)?, "import", text(source)?, "--city", text(city)?];
    let run = Run::of(Path::new("/bin/sh"), &[args.as_slice(), &["--crs", "EPSG:4549", "--json"]].concat())?;
    let report: serde_json::Value = serde_json::from_str(&run.output).context("the import's report")?;
    let read = report["objects"].as_u64().unwrap_or(0) + report["points"].as_u64().unwrap_or(0);
    let is_whole = report["sources"].as_array().is_some_and(|all| all.iter().all(|s| s["error"].is_null()));
    anyhow::ensure!(read > 0 && is_whole, "not all was read: {report}");
    Ok((run, report))
}

/// Bytes of a file with those beside it of the same name, or of all files of a folder.
fn size_of_all(source: &Path) -> Result<u64> {
    let (folder, stem) = match source.is_dir() {
        true => (source, None),
        false => (source.parent().context("a folder")?, source.file_stem()),
    };
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if stem.is_none() || Path::new(&entry.file_name()).file_stem() == stem {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
