//! Drawings as DWG, releases 13 to 2018: what the DXF reader takes, in the binary form that AutoCAD keeps.
//!
//! A library decodes the file ([`library`], the one place that names it); what it finds becomes the entities of the DXF
//! reader, with the same layers, handles and blocks. The library keeps the whole drawing in memory, so files have a
//! largest size; an import reads them in a process of its own.

mod library;
#[cfg(test)]
mod tests;

use std::{fs::File, io::Read, path::Path};

use groundline_engine::model::SourceReport;

use crate::{
    dxf::{
        bad,
        drawing::{Block, Drawing, tell_unit},
    },
    feature::{Dimension, Sample, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};

/// The DWG importer.
pub static FORMAT: Format = Format {
    name: "dwg",
    title: "DWG drawing",
    title_zh: "DWG 图纸",
    extensions: &["dwg"],
    probe,
    read,
    memory_per_byte: 20.0,
};

/// Largest file, bytes.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// What files of releases 13, 14, 2000, 2004, 2007, 2010, 2013 and 2018 begin with.
const RELEASES: [&str; 8] = ["AC1012", "AC1014", "AC1015", "AC1018", "AC1021", "AC1024", "AC1027", "AC1032"];

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let io = |source| ImportError::Io { path: path.into(), source };
    let mut first = Vec::new();
    File::open(path).map_err(io)?.take(6).read_to_end(&mut first).map_err(io)?;
    let version = String::from_utf8_lossy(&first).into_owned();
    if !version.starts_with("AC") || version.len() != 6 {
        return Ok(None);
    }
    if !RELEASES.contains(&version.as_str()) {
        let reason = format!("DWG version {version} is not read; save it as AutoCAD 2018 or DXF");
        return Err(bad(path, "byte 0", reason));
    }
    // The box is wanted for proposals alone; that costs a reading.
    let extent = match options.crs {
        Some(_) => None,
        None => library::Document::read(&content(path)?).map_err(|reason| bad(path, "drawing", reason))?.extent(),
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: true,
        encoding: None,
        source_extent: extent,
        records: None,
        companions: Vec::new(),
        class: suggest(&Sample { stem, dimension: Some(Dimension::Polygon), ..Sample::default() }),
    }))
}

fn content(path: &Path) -> Result<Vec<u8>, ImportError> {
    let io = |source| ImportError::Io { path: path.into(), source };
    let mut content = Vec::new();
    File::open(path).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(io)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(bad(path, "end", format!("larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(content)
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let document = library::Document::read(&content(job.path)?).map_err(|reason| bad(job.path, "drawing", reason))?;
    out.progress(0.3);
    tell_unit(document.unit(), job, report);
    for (record, reason) in document.faults() {
        report.skip(record, reason);
    }
    let mut drawing = Drawing::new(job, out, report);
    for block in document.blocks() {
        let mut open = Some((block.name.clone(), Block { base: block.base, entities: Vec::new() }));
        for found in block.entities {
            take(found, &mut open, &mut drawing)?;
        }
        if let Some((name, block)) = open {
            drawing.blocks.insert(name.to_lowercase(), block);
        }
    }
    let total = document.model_space().count().max(1);
    for (number, found) in document.model_space().enumerate() {
        drawing.record += 1;
        take(found, &mut None, &mut drawing)?;
        if number.is_multiple_of(1024) {
            drawing.out.progress(0.3 + 0.7 * (number as f32 / total as f32));
        }
    }
    let papers = document.papers();
    if papers > 0 {
        drawing.report.warn("paper_space", format!("{papers} entities of layouts were left out"), "");
    }
    drawing.finish()
}

/// Puts an entity where it belongs, or says why not.
fn take(
    found: library::Found,
    block: &mut Option<(String, Block)>,
    drawing: &mut Drawing<'_>,
) -> Result<(), ImportError> {
    match found {
        library::Found::Entity(entity) => drawing.put(*entity, block),
        library::Found::Structure => Ok(()),
        library::Found::Unknown(kind) => {
            let code = format!("left_out_{}", kind.to_lowercase());
            drawing.report.warn(&code, format!("entities of kind {kind} were left out"), "");
            Ok(())
        }
        library::Found::Faulty(handle, reason) => {
            let number = if block.is_some() { 0 } else { drawing.record };
            drawing.report.skip(number, format!("entity {handle}: {reason}"));
            Ok(())
        }
    }
}
