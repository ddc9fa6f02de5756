//! Proof that reading needs no more memory for a larger file: inputs of ten times the ceiling, and the peak under it.
//!
//! The base is the peak of importing a small file of the same format, the children's memory included; the large one may
//! need [`CEILING_MB`] more. `GROUNDLINE_MEMORY_MB` makes other sizes.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{run::Run, text};

/// What reading the large file may need beyond the small one, MB.
const CEILING_MB: f64 = 100.0;
/// Size of the large input, MB.
const INPUT_MB: u64 = 1024;
/// Size of the small one.
const SMALL_MB: u64 = 1;

type Make = fn(&Path, u64) -> Result<PathBuf>;

/// Reads a small and a large input of each format and prints the peaks; an error where one is above the ceiling.
pub fn memory(groundline: &Path, work: &Path) -> Result<()> {
    let asked = std::env::var("GROUNDLINE_MEMORY_MB").ok().and_then(|text| text.parse().ok());
    let large_mb: u64 = asked.unwrap_or(INPUT_MB);
    println!(
        "\n| memory of reading | input MB | peak MB, 1 MB of input | peak MB | more by MB | s | import: peak MB | s |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let formats: [(&str, Make); 4] =
        [("LAS", las), ("GeoJSON", geojson), ("shapefile", shapefile), ("CityJSONSeq", cityjsonseq)];
    let mut over = Vec::new();
    for (name, make) in formats {
        let folder = work.join("memory");
        let mut peaks = Vec::new();
        let (mut seconds, mut whole) = (0.0, (0.0, 0.0));
        for size_mb in [SMALL_MB, large_mb] {
            std::fs::create_dir_all(&folder)?;
            let source = make(&folder, size_mb << 20)?;
            let city = folder.join("a.city");
            let args = ["import", text(&source)?, "--city", text(&city)?, "--crs", "EPSG:4549", "--json"];
            let dry = Run::of(groundline, &[args.as_slice(), &["--dry-run"]].concat())?;
            peaks.push(peak_mb(&dry)?);
            seconds = dry.wall_s;
            if size_mb == large_mb {
                let run = Run::of(groundline, &args)?;
                whole = (peak_mb(&run)?, run.wall_s);
            }
            std::fs::remove_dir_all(&folder)?;
        }
        let more = peaks[1] - peaks[0];
        println!(
            "| {name} | {large_mb} | {:.0} | {:.0} | **{more:.0}** | {seconds:.1} | {:.0} | {:.1} |",
            peaks[0], peaks[1], whole.0, whole.1
        );
        if more > CEILING_MB {
            over.push(format!("{name} needs {more:.0} MB more"));
        }
    }
    anyhow::ensure!(over.is_empty(), "the ceiling is {CEILING_MB} MB: {}", over.join(", "));
    Ok(())
}

/// Of the importer and the children that read for it, as the report adds them up.
fn peak_mb(run: &Run) -> Result<f64> {
    let report: serde_json::Value = serde_json::from_str(&run.output).context("the import's report")?;
    anyhow::ensure!(report["objects"].as_u64().unwrap_or(0) > 0, "nothing was read: {report}");
    Ok(report["peak_rss_bytes"].as_f64().context("peak_rss_bytes")? / 1e6)
}

/// Where object `number` lies, in metres of EPSG:4549.
fn place(number: u64) -> (f64, f64) {
    (520_000.0 + (number % 3000) as f64 * 20.0, 3_990_000.0 + (number / 3000) as f64 * 20.0)
}

fn las(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let path = folder.join("scan.las");
    let points = (bytes / 20) as u32;
    let mut header = vec![0_u8; 227];
    header[..4].copy_from_slice(b"LASF");
    header[24..26].copy_from_slice(&[1, 2]);
    header[94..96].copy_from_slice(&227_u16.to_le_bytes());
    header[96..100].copy_from_slice(&227_u32.to_le_bytes());
    header[105..107].copy_from_slice(&20_u16.to_le_bytes());
    header[107..111].copy_from_slice(&points.to_le_bytes());
    header[111..115].copy_from_slice(&points.to_le_bytes());
    let numbers =
        [0.01, 0.01, 0.01, 520_000.0, 3_990_000.0, 0.0, 530_000.0, 520_000.0, 4_000_000.0, 3_990_000.0, 100.0, 0.0];
    for (at, number) in (131..).step_by(8).zip(numbers) {
        header[at..at + 8].copy_from_slice(&f64::to_le_bytes(number));
    }
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    out.write_all(&header)?;
    for i in 0..points {
        let mut record = [0_u8; 20];
        let (x, y) = (i % 1_000_000, i / 1_000_000 * 1000 + i % 997);
        record[..4].copy_from_slice(&x.to_le_bytes());
        record[4..8].copy_from_slice(&y.to_le_bytes());
        record[8..12].copy_from_slice(&(i % 10_000).to_le_bytes());
        record[14] = 0b0000_1001;
        record[15] = 2;
        out.write_all(&record)?;
    }
    out.flush()?;
    Ok(path)
}

fn geojson(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let path = folder.join("buildings.geojson");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    write!(out, "{{\"type\":\"FeatureCollection\",\"features\":[")?;
    let (mut written, mut number) = (0_u64, 0_u64);
    while written < bytes {
        let ((x, y), comma) = (place(number), if number == 0 { "" } else { "," });
        let feature = format!(
            "{comma}\n{{\"type\":\"Feature\",\"id\":{number},\"properties\":{{\"name\":\"house {number}\",\"height_m\":{}}},\"geometry\":{{\"type\":\"Polygon\",\"coordinates\":[[[{x},{y}],[{},{y}],[{},{}],[{x},{}],[{x},{y}]]]}}}}",
            number % 90 + 3,
            x + 9.5,
            x + 9.5,
            y + 9.5,
            y + 9.5
        );
        out.write_all(feature.as_bytes())?;
        written += feature.len() as u64;
        number += 1;
    }
    write!(out, "\n]}}")?;
    out.flush()?;
    Ok(path)
}

fn shapefile(folder: &Path, bytes: u64) -> Result<PathBuf> {
    const CONTENT: u64 = 4 + 32 + 8 + 4 + 5 * 16;
    const ROW: u64 = 1 + 12 + 40;
    let count = bytes / (8 + CONTENT + ROW);
    let create = |ending: &str| File::create(folder.join("buildings").with_extension(ending));
    let (mut shp, mut shx) = (BufWriter::with_capacity(1 << 20, create("shp")?), BufWriter::new(create("shx")?));
    let mut dbf = BufWriter::with_capacity(1 << 20, create("dbf")?);
    let head = |file_bytes: u64| {
        let mut head = vec![0_u8; 100];
        head[..4].copy_from_slice(&9994_i32.to_be_bytes());
        head[24..28].copy_from_slice(&((file_bytes / 2) as i32).to_be_bytes());
        head[28..32].copy_from_slice(&1000_i32.to_le_bytes());
        head[32..36].copy_from_slice(&5_i32.to_le_bytes());
        for (at, number) in [(36, 520_000.0), (44, 3_990_000.0), (52, 600_000.0), (60, 4_100_000.0)] {
            head[at..at + 8].copy_from_slice(&f64::to_le_bytes(number));
        }
        head
    };
    shp.write_all(&head(100 + count * (8 + CONTENT)))?;
    shx.write_all(&head(100 + count * 8))?;
    let mut table = vec![0_u8; 32];
    table[..4].copy_from_slice(&[3, 126, 1, 1]);
    table[4..8].copy_from_slice(&(count as u32).to_le_bytes());
    table[8..10].copy_from_slice(&97_u16.to_le_bytes());
    table[10..12].copy_from_slice(&(ROW as u16).to_le_bytes());
    for (name, kind, length) in [("height_m", b'N', 12), ("name", b'C', 40)] {
        let mut field = [0_u8; 32];
        field[..name.len()].copy_from_slice(name.as_bytes());
        (field[11], field[16]) = (kind, length);
        table.extend(field);
    }
    table.push(13);
    dbf.write_all(&table)?;
    for number in 0..count {
        let (x, y) = place(number);
        let offset = 50 + number * (8 + CONTENT) / 2;
        shx.write_all(&(offset as i32).to_be_bytes())?;
        shx.write_all(&((CONTENT / 2) as i32).to_be_bytes())?;
        shp.write_all(&(number as i32 + 1).to_be_bytes())?;
        shp.write_all(&((CONTENT / 2) as i32).to_be_bytes())?;
        shp.write_all(&5_i32.to_le_bytes())?;
        let (far_x, far_y) = (x + 9.5, y + 9.5);
        for number in [x, y, far_x, far_y] {
            shp.write_all(&number.to_le_bytes())?;
        }
        for number in [1_i32, 5, 0] {
            shp.write_all(&number.to_le_bytes())?;
        }
        for number in [x, y, x, far_y, far_x, far_y, far_x, y, x, y] {
            shp.write_all(&number.to_le_bytes())?;
        }
        write!(dbf, " {:>12}{:<40}", number % 90 + 3, format!("house {number}"))?;
    }
    dbf.write_all(&[26])?;
    shp.flush()?;
    shx.flush()?;
    dbf.flush()?;
    Ok(folder.join("buildings.shp"))
}

fn cityjsonseq(folder: &Path, bytes: u64) -> Result<PathBuf> {
    let path = folder.join("city.city.jsonl");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    writeln!(
        out,
        "{{\"type\":\"CityJSON\",\"version\":\"2.0\",\"transform\":{{\"scale\":[0.01,0.01,0.01],\"translate\":[520000,3990000,0]}},\"metadata\":{{\"referenceSystem\":\"https://www.opengis.net/def/crs/EPSG/0/4549\"}},\"CityObjects\":{{}},\"vertices\":[]}}"
    )?;
    let (mut written, mut number) = (0_u64, 0_u64);
    while written < bytes {
        let (x, y) = ((number % 3000) * 2000, (number / 3000) * 2000);
        let (far_x, far_y, z) = (x + 950, y + 950, 300 + number % 90 * 100);
        let feature = format!(
            "{{\"type\":\"CityJSONFeature\",\"id\":\"b{number}\",\"CityObjects\":{{\"b{number}\":{{\"type\":\"Building\",\"attributes\":{{\"name\":\"house {number}\"}},\"geometry\":[{{\"type\":\"Solid\",\"lod\":\"1.2\",\"boundaries\":[[[[0,3,2,1]],[[4,5,6,7]],[[0,1,5,4]],[[1,2,6,5]],[[2,3,7,6]],[[3,0,4,7]]]]}}]}}}},\"vertices\":[[{x},{y},0],[{far_x},{y},0],[{far_x},{far_y},0],[{x},{far_y},0],[{x},{y},{z}],[{far_x},{y},{z}],[{far_x},{far_y},{z}],[{x},{far_y},{z}]]}}\n"
        );
        out.write_all(feature.as_bytes())?;
        written += feature.len() as u64;
        number += 1;
    }
    out.flush()?;
    Ok(path)
}
