//! Points as text: XYZ, ASC, TXT and Leica's PTS, with intensity and colour.
//!
//! Separator and columns are found from the first lines. A `.txt` is taken only when all its first lines are numbers:
//! tables with words in them belong to other formats.

mod layout;
#[cfg(test)]
mod tests;

use std::path::Path;

use groundline_engine::model::{SourceReport, Value};

use self::layout::{Layout, Separator};
use crate::{
    Format, ImportError, Job, Options, Out, Probe,
    cloud::{Depth, Input, Placing, SAMPLE_POINTS, Scan, grow, probe_of},
    geotiff::{raster::bad, stem},
};

/// Points as text.
pub static FORMAT: Format = Format {
    name: "xyz",
    title: "Points as text (XYZ, PTS, ASC, TXT)",
    title_zh: "文本点云（XYZ/PTS）",
    extensions: &["xyz", "pts", "asc", "txt"],
    probe,
    read,
    memory_per_byte: 1.0,
};

/// Bytes of a line.
const MAX_LINE: u64 = 1 << 16;
/// Lines of numbers that settle separator and columns.
const SAMPLE_LINES: usize = 200;
/// Lines before the numbers.
const MAX_HEADER: usize = 20;
/// Words that begin the header of an Esri ASCII grid.
const GRID_WORDS: [&str; 6] = ["ncols", "nrows", "xll", "yll", "cellsize", "nodata_value"];
/// Lines between two notes of progress.
const STEP: u64 = 65_536;

/// What the first lines say.
struct Head {
    separator: Separator,
    layout: Layout,
    /// Lines before the first numbers.
    skip: u64,
    /// Points that the file promises (PTS).
    count: Option<u64>,
    /// Numbers are whole, so that an intensity of 1 is no share.
    is_whole: bool,
}

fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with('#') || line.starts_with("//") || line.starts_with('%')
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)).trim().to_owned()
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// `Ok(None)` when the first lines are no points.
fn head(path: &Path) -> Result<Option<Head>, ImportError> {
    let mut input = Input::open(path)?;
    let mut buffer = Vec::new();
    let (mut before, mut lines, mut is_cut) = (Vec::<String>::new(), Vec::<String>::new(), false);
    let is_numbers = |line: &str| Separator::of(&[line.to_owned()]).is_some();
    while lines.len() < SAMPLE_LINES {
        let line = match input.line(&mut buffer, MAX_LINE) {
            Ok(Some(line)) => text(line),
            Ok(None) => break,
            Err(ImportError::Bad { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if lines.is_empty() && !is_numbers(&line) {
            if before.len() == MAX_HEADER {
                return Ok(None);
            }
            before.push(line);
        } else if !is_comment(&line) {
            if !is_numbers(&line) {
                // Damage after whole lines is told when it is read; one line alone is no list.
                is_cut = true;
                break;
            }
            lines.push(line);
        }
    }
    // A grid of heights whose header is damaged is no list of points.
    let is_grid = |line: &String| GRID_WORDS.iter().any(|w| line.to_ascii_lowercase().starts_with(w));
    let is_text = ending(path) == "txt";
    if before.iter().any(is_grid) {
        return Ok(None);
    }
    if is_text && (is_cut || before.iter().any(|line| !is_comment(line))) {
        return Ok(None);
    }
    let Some(separator) = Separator::of(&lines) else { return Ok(None) };
    let rows: Vec<Vec<f64>> = lines.iter().filter_map(|l| separator.numbers(l).ok()).collect();
    let count = before.iter().rev().find(|l| !l.is_empty()).and_then(|l| l.parse().ok());
    let titles = before.iter().rev().find(|l| !l.is_empty() && l.parse::<u64>().is_err());
    let stated = titles.and_then(|line| Layout::of_header(&separator.words(line)));
    let columns = rows.first().map_or(0, Vec::len);
    let layout = match stated.filter(|s| s.columns == columns) {
        Some(stated) => stated,
        None => match Layout::of_numbers(&rows) {
            Some(layout) => layout,
            None => return Ok(None),
        },
    };
    let is_whole = rows.iter().flatten().skip(3).all(|v| v.fract() == 0.0);
    Ok(Some(Head { separator, layout, skip: before.len() as u64, count, is_whole }))
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let Some(head) = head(path)? else { return Ok(None) };
    let mut input = Input::open(path)?;
    let (mut buffer, mut extent, mut records) = (Vec::new(), None, 0);
    let is_yx = crate::feature::has_swapped_axes(&options.map);
    while records < SAMPLE_POINTS + head.skip {
        let Ok(Some(line)) = input.line(&mut buffer, MAX_LINE) else { break };
        records += 1;
        if records <= head.skip {
            continue;
        }
        if let Ok(numbers) = head.separator.numbers(&text(line)) {
            let mut at = head.layout.point(&numbers).at;
            if is_yx {
                (at.x, at.y) = (at.y, at.x);
            }
            grow(&mut extent, at);
        }
    }
    Ok(Some(probe_of(path, &FORMAT, options, head.count, extent)))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let Some(head) = head(job.path)? else {
        return Err(bad(job.path, "line 1", "the first lines are no points".into()));
    };
    let layout = &head.layout;
    if !layout.is_stated && layout.columns > 3 {
        let message = format!("no header names the columns; by their numbers they were taken as {}", layout.text());
        report.warn("columns_assumed", message, "line 1");
    }
    let placing = Placing::of(job, report)?;
    let mut scan = Scan::new(
        job,
        &placing,
        &stem(job.path),
        Depth::Open { whole: head.is_whole },
        Depth::Open { whole: head.is_whole },
    );
    scan.attribute("columns", Value::Text(layout.text()));
    scan.attribute("separator", Value::Text(head.separator.text().into()));
    let is_pts = ending(job.path) == "pts";
    let mut promised = head.count;
    let mut input = Input::open(job.path)?;
    let (mut buffer, mut number, mut lines) = (Vec::new(), 0u64, 0u64);
    while let Some(line) = input.line(&mut buffer, MAX_LINE)? {
        number += 1;
        if number.is_multiple_of(STEP) {
            out.progress(input.fraction());
        }
        if number <= head.skip {
            continue;
        }
        let Ok(line) = std::str::from_utf8(line) else {
            report.skip(number, "the line is no text");
            continue;
        };
        if is_comment(line) {
            continue;
        }
        match head.separator.numbers(line) {
            Ok(numbers) if numbers.len() == layout.columns => {
                lines += 1;
                scan.push(number, layout.point(&numbers), out, report)?;
            }
            // A further scan in the same file begins with its count.
            Ok(numbers) if is_pts && numbers.len() == 1 && promised.is_some() => {
                let more = numbers.first().copied().filter(|n| n.fract() == 0.0 && *n >= 0.0).unwrap_or(0.0) as u64;
                promised = promised.map(|p| p.saturating_add(more));
            }
            Ok(numbers) => report.skip(number, format!("{} numbers instead of {}", numbers.len(), layout.columns)),
            Err(word) => report.skip(number, format!("{word} is no number")),
        }
    }
    if let Some(promised) = promised.filter(|p| *p != lines) {
        let message = format!("{promised} points are promised, the file has {lines}");
        report.warn("count_mismatch", message, "line 1");
    }
    if scan.finish(out, report)? == 0 {
        report.warn("empty", "the file has no points", "");
    }
    out.progress(1.0);
    Ok(())
}
