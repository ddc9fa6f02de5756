//! Esri ASCII grids (`.asc`): heights as text, from north to south.

#[cfg(test)]
mod tests;

use std::path::Path;

use glam::DVec2;
use groundline_engine::model::{Class, SourceReport};

use crate::{
    Format, ImportError, Job, Kind, Options, Out, Probe,
    cloud::Input,
    geotiff::{DemOut, DemWay, crs_from_prj, place::Affine, raster::bad},
};

/// Esri ASCII grid.
pub static FORMAT: Format = Format {
    name: "esri-grid",
    title: "Esri ASCII grid: heights",
    title_zh: "Esri ASCII 高程栅格",
    extensions: &["asc"],
    probe,
    read,
    memory_per_byte: 1.0,
};

/// Samples of a grid.
const MAX_SAMPLES: u64 = 1_000_000_000;
/// A line holds a row, or part of it.
const MAX_LINE: u64 = 64 << 20;
/// The value that stands for no data where the file names none, by Esri's own default.
const USUAL_NODATA: f64 = -9999.0;

/// What stands before the heights.
#[derive(Debug, PartialEq)]
struct Header {
    columns: u32,
    rows: u32,
    affine: Affine,
    nodata: Option<f64>,
    /// The first line of heights, which ended the header.
    first: Vec<u8>,
    /// Lines of the header.
    lines: u64,
}

impl Header {
    /// Reads the header; `Ok(None)` when the file does not begin as a grid.
    fn read(path: &Path, input: &mut Input<'_>) -> Result<Option<Self>, ImportError> {
        let mut buffer = Vec::new();
        let mut found: Vec<(String, f64)> = Vec::new();
        let mut lines = 0;
        let mut first = Vec::new();
        while let Some(line) = match input.line(&mut buffer, MAX_LINE) {
            Ok(line) => line,
            Err(_) if found.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        } {
            if line.is_empty() {
                lines += 1;
                continue;
            }
            let is_word = line.first().is_some_and(|b| b.is_ascii_alphabetic()) && !is_missing(line);
            if !is_word || found.len() == 16 {
                first = line.to_vec();
                break;
            }
            lines += 1;
            let text = String::from_utf8_lossy(line.get(..line.len().min(200)).unwrap_or(line)).to_lowercase();
            let mut words = text.split_whitespace();
            let (Some(key), Some(value), None) = (words.next(), words.next(), words.next()) else { break };
            const KEYS: [&str; 10] = [
                "ncols",
                "nrows",
                "xllcorner",
                "yllcorner",
                "xllcenter",
                "yllcenter",
                "cellsize",
                "dx",
                "dy",
                "nodata_value",
            ];
            let Some(value) = value.replace(',', ".").parse().ok().filter(|_| KEYS.contains(&key)) else {
                if found.is_empty() {
                    return Ok(None);
                }
                return Err(bad(path, &format!("line {lines}"), format!("not understood: {text:.80}")));
            };
            if found.iter().any(|(k, _)| k == key) {
                return Err(bad(path, &format!("line {lines}"), format!("{key} stands twice")));
            }
            found.push((key.to_owned(), value));
        }
        if !found.iter().any(|(key, _)| key == "ncols" || key == "nrows") {
            return Ok(None);
        }
        let get = |key: &str| found.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
        let wrong = |reason: String| Err(bad(path, "header", reason));
        let size = |key: &str| get(key).filter(|n| n.fract() == 0.0 && (1.0..=4e9).contains(n)).map(|n| n as u32);
        let (Some(columns), Some(rows)) = (size("ncols"), size("nrows")) else {
            return wrong("ncols and nrows are no counts".into());
        };
        let (step_x, step_y) = (get("cellsize").or(get("dx")), get("cellsize").or(get("dy")));
        let (Some(step_x), Some(step_y)) = (step_x.filter(|s| *s > 0.0), step_y.filter(|s| *s > 0.0)) else {
            return wrong("no cellsize above 0".into());
        };
        let corner = |corner: &str, centre: &str, step: f64| get(corner).or_else(|| Some(get(centre)? - step / 2.0));
        let (Some(x), Some(y)) = (corner("xllcorner", "xllcenter", step_x), corner("yllcorner", "yllcenter", step_y))
        else {
            return wrong("no lower left corner or centre".into());
        };
        let affine = Affine {
            origin: DVec2::new(x, y + f64::from(rows) * step_y),
            column: DVec2::new(step_x, 0.0),
            row: DVec2::new(0.0, -step_y),
        };
        if !affine.is_valid() {
            return wrong("corner and cellsize are no place".into());
        }
        Ok(Some(Self { columns, rows, affine, nodata: get("nodata_value"), first, lines }))
    }
}

fn is_missing(line: &[u8]) -> bool {
    let word = line.split(|b| b.is_ascii_whitespace()).next().unwrap_or(&[]);
    word.eq_ignore_ascii_case(b"nan") || word.eq_ignore_ascii_case(b"inf")
}

fn probe(path: &Path, _options: &Options) -> Result<Option<Probe>, ImportError> {
    let mut input = Input::open(path)?;
    let Some(header) = Header::read(path, &mut input)? else { return Ok(None) };
    let mut probe = Probe {
        kind: Kind::Terrain,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: true,
        encoding: None,
        source_extent: Some(header.affine.extent(header.columns, header.rows)),
        records: Some(u64::from(header.columns) * u64::from(header.rows)),
        companions: Vec::new(),
        class: Some((Class::Terrain, "ncols and nrows".into())),
    };
    crs_from_prj(path, &mut probe);
    Ok(Some(probe))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let mut input = Input::open(job.path)?;
    let Some(header) = Header::read(job.path, &mut input)? else {
        return Err(bad(job.path, "line 1", "the file does not begin with ncols".into()));
    };
    let (columns, rows, affine) = (header.columns, header.rows, header.affine);
    let samples = u64::from(columns) * u64::from(rows);
    // A height takes two bytes at least, with what parts it from the next.
    let has_room = samples <= input.length.div_ceil(2);
    if samples > MAX_SAMPLES || !has_room {
        let reason = match has_room {
            true => format!("{columns} x {rows} samples are more than {MAX_SAMPLES}; cut it into tiles"),
            false => format!("{columns} x {rows} samples are promised, which do not fit into {} bytes", input.length),
        };
        return Err(bad(job.path, "header", reason));
    }
    let mut way = DemWay::of(job, &affine, (columns, rows))?;
    let mut heights = Heights::new(job.path, header, input);
    let mut faults = Vec::new();
    let mut dem = DemOut::with(job, (columns, rows), None, out, report);
    let mut row = Vec::new();
    for number in 0..rows {
        heights.row(&mut row, &mut faults)?;
        dem.push(&mut way, &row)?;
        if number.is_multiple_of(64) {
            dem.out.progress(number as f32 / rows as f32);
        }
    }
    dem.finish()?;
    for (sample, word) in faults {
        report.skip(sample, format!("{word} is no height"));
    }
    if heights.unannounced > 0 {
        let message = format!("{} samples of -9999 were taken as missing", heights.unannounced);
        report.warn("nodata_assumed", message, "the file names no no-data value");
    }
    if heights.has_more()? {
        report.warn("trailing_data", format!("there are more than {columns} x {rows} heights"), "");
    }
    Ok(())
}

/// The heights one after the other; a row of the grid may stand on any number of lines.
struct Heights<'p> {
    path: &'p Path,
    columns: usize,
    samples: u64,
    nodata: Option<f64>,
    unannounced: u64,
    input: Input<'p>,
    line: Vec<u8>,
    /// Byte of the line that is read next.
    at: usize,
    lines: u64,
    taken: u64,
}

impl<'p> Heights<'p> {
    fn new(path: &'p Path, header: Header, input: Input<'p>) -> Self {
        Self {
            path,
            columns: header.columns as usize,
            samples: u64::from(header.columns) * u64::from(header.rows),
            nodata: header.nodata,
            unannounced: 0,
            input,
            line: header.first,
            at: 0,
            lines: header.lines + 1,
            taken: 0,
        }
    }

    /// The next word, as a range of the current line.
    fn word(&mut self) -> Result<Option<(usize, usize)>, ImportError> {
        loop {
            let rest = self.line.get(self.at..).unwrap_or(&[]);
            let gap = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let length = rest.iter().skip(gap).take_while(|b| !b.is_ascii_whitespace()).count();
            if length > 0 {
                let from = self.at + gap;
                self.at = from + length;
                return Ok(Some((from, self.at)));
            }
            let mut line = std::mem::take(&mut self.line);
            if self.input.line(&mut line, MAX_LINE)?.is_none() {
                return Ok(None);
            }
            (self.line, self.at, self.lines) = (line, 0, self.lines + 1);
        }
    }

    fn row(&mut self, row: &mut Vec<f32>, faults: &mut Vec<(u64, String)>) -> Result<(), ImportError> {
        row.clear();
        for _ in 0..self.columns {
            let Some((from, to)) = self.word()? else {
                let reason = format!("{} heights are promised, the file ends after {}", self.samples, self.taken);
                return Err(bad(self.path, &format!("line {}", self.lines), reason));
            };
            self.taken += 1;
            let word = std::str::from_utf8(self.line.get(from..to).unwrap_or(&[])).unwrap_or("");
            let number: Option<f64> = word.parse().ok().or_else(|| word.replace(',', ".").parse().ok());
            let Some(number) = number else {
                if faults.len() >= 1000 {
                    return Err(bad(
                        self.path,
                        &format!("line {}", self.lines),
                        "a thousand words that are no height".into(),
                    ));
                }
                faults.push((self.taken, word.chars().take(20).collect()));
                row.push(f32::NAN);
                continue;
            };
            let is_missing = match self.nodata {
                Some(nodata) => number == nodata || number as f32 == nodata as f32,
                None if number == USUAL_NODATA => {
                    self.unannounced += 1;
                    true
                }
                None => false,
            };
            row.push(if is_missing || !number.is_finite() { f32::NAN } else { number as f32 });
        }
        Ok(())
    }

    fn has_more(&mut self) -> Result<bool, ImportError> {
        Ok(self.word()?.is_some())
    }
}
