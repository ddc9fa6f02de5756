//! Drawings as DXF, ASCII or binary: lines, polylines, circles, arcs, ellipses, splines, points, texts, faces, meshes,
//! hatches, and blocks taken apart.
//!
//! The drawing is read record by record; only its blocks are kept, within limits. Closed polylines and circles are areas.
//! Each object knows its layer, which also tells its class where neither the user nor the file's name does. A drawing
//! names no coordinate system: `--crs` says in which it was drawn.

pub(crate) mod curve;
pub(crate) mod drawing;
pub(crate) mod entity;
pub(crate) mod hatch;
mod pair;

use std::{fs::File, io::BufReader, path::Path};

use encoding_rs::{Encoding, GB18030, UTF_8, WINDOWS_1252};
use glam::DVec3;
use groundline_engine::model::SourceReport;

use crate::{
    feature::{Sample, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};
use drawing::{Block, Drawing};
use entity::{Body, Entity, Polyline, Taken};
use pair::{Pairs, Record, Stop};

/// The DXF importer.
pub static FORMAT: Format = Format {
    name: "dxf",
    title: "DXF drawing",
    title_zh: "DXF 图纸",
    extensions: &["dxf"],
    probe,
    read,
    memory_per_byte: 8.0,
};

/// Attributes of one insert.
pub(crate) const MAX_ATTRIBUTES: usize = 1_000;
/// Header variables are looked for in so many records at most.
const HEADER_RECORDS: usize = 4;

/// Sections of a drawing.
const SECTIONS: [&str; 8] =
    ["HEADER", "CLASSES", "TABLES", "BLOCKS", "ENTITIES", "OBJECTS", "THUMBNAILIMAGE", "ACDSDATA"];

/// What the header says.
struct Head {
    encoding: &'static Encoding,
    encoding_from: &'static str,
    extent: Option<[f64; 4]>,
    unit: i64,
}

fn open(path: &Path) -> Result<(Pairs<BufReader<File>>, u64), ImportError> {
    let io = |source| ImportError::Io { path: path.into(), source };
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    Ok((Pairs::new(BufReader::with_capacity(1 << 16, file)).map_err(io)?, length))
}

fn failed(path: &Path, stop: Stop) -> ImportError {
    match stop {
        Stop::Io(source) => ImportError::Io { path: path.into(), source },
        Stop::Bad(place, reason) => ImportError::Bad { path: path.into(), place, reason },
    }
}

pub(crate) fn bad(path: &Path, place: impl Into<String>, reason: impl Into<String>) -> ImportError {
    ImportError::Bad { path: path.into(), place: place.into(), reason: reason.into() }
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let (mut pairs, _) = open(path)?;
    let Ok(Some(record)) = pairs.record() else { return Ok(None) };
    if record.kind != "SECTION" {
        return Ok(None);
    }
    let head = head(record, &mut pairs, options);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // Only the name is asked: what dimension the drawing mostly has is not known.
    let dimension = Some(crate::feature::Dimension::Polygon);
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: true,
        encoding: Some((head.encoding.name().into(), head.encoding_from.into())),
        source_extent: head.extent,
        records: None,
        companions: Vec::new(),
        class: suggest(&Sample { stem, dimension, ..Sample::default() }),
    }))
}

/// Reads the variables of the header section, where there is one.
fn head(first: Record, pairs: &mut Pairs<BufReader<File>>, options: &Options) -> Head {
    let mut head = Head { encoding: WINDOWS_1252, encoding_from: "DXF", extent: None, unit: 0 };
    let mut record = Some(first);
    let (mut version, mut page) = (String::new(), String::new());
    let mut corners = [f64::NAN; 4];
    for _ in 0..HEADER_RECORDS {
        let Some(this) = record.take().filter(|r| r.kind == "SECTION") else { break };
        let mut variable = String::new();
        for (code, value) in this.iter() {
            let text = || String::from_utf8_lossy(value).trim().to_owned();
            match (code, variable.as_str()) {
                (9, _) => variable = text(),
                (1, "$ACADVER") => version = text(),
                (3, "$DWGCODEPAGE") => page = text().to_ascii_uppercase(),
                (70, "$INSUNITS") => head.unit = pair::number(value).unwrap_or(0.0) as i64,
                (10 | 20, "$EXTMIN") => corners[usize::from(code == 20)] = pair::number(value).unwrap_or(f64::NAN),
                (10 | 20, "$EXTMAX") => corners[2 + usize::from(code == 20)] = pair::number(value).unwrap_or(f64::NAN),
                _ => {}
            }
        }
        if let Ok(Some(next)) = pairs.record() {
            record = Some(next);
        }
    }
    let [west, south, east, north] = corners;
    // An empty drawing has ±10²⁰ there.
    let is_box = west <= east && south <= north && corners.iter().all(|c| c.abs() < 1e12);
    head.extent = is_box.then_some(corners);
    if let Some(label) = &options.encoding
        && let Some(asked) = Encoding::for_label(label.trim().as_bytes())
    {
        (head.encoding, head.encoding_from) = (asked, "flag");
    } else if version.as_str() >= "AC1021" {
        (head.encoding, head.encoding_from) = (UTF_8, "$ACADVER");
    } else if page.contains("936") || page.contains("GB") {
        (head.encoding, head.encoding_from) = (GB18030, "$DWGCODEPAGE");
    } else if let Some(named) = page.strip_prefix("ANSI_")
        && let Some(named) = Encoding::for_label(format!("windows-{named}").as_bytes())
    {
        (head.encoding, head.encoding_from) = (named, "$DWGCODEPAGE");
    }
    head
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let (mut pairs, length) = open(job.path)?;
    let head = {
        let (mut pairs, _) = open(job.path)?;
        match pairs.record().map_err(|stop| failed(job.path, stop))? {
            Some(first) => head(first, &mut pairs, job.options),
            None => return Err(bad(job.path, "line 1", "an empty file")),
        }
    };
    drawing::tell_unit(head.unit, job, report);
    let mut drawing = Drawing::new(job, out, report);
    let mut section = String::new();
    let (mut has_entities, mut has_end) = (false, false);
    let mut block: Option<(String, Block)> = None;
    let mut pending = Pending::None;
    let mut seen = 0_u64;
    while let Some(record) = pairs.record().map_err(|stop| failed(job.path, stop))? {
        seen += 1;
        if seen.is_multiple_of(1024) {
            drawing.out.progress((pairs.position as f64 / length.max(1) as f64).min(1.0) as f32);
        }
        match record.kind.as_str() {
            "SECTION" => {
                section = record.text(2, UTF_8).unwrap_or_default();
                has_entities |= section == "ENTITIES";
                if !SECTIONS.contains(&section.as_str()) {
                    let message = format!("section {section:?} is unknown and was left out");
                    drawing.report.warn("unknown_section", message, record.place());
                }
            }
            "ENDSEC" => section.clear(),
            "EOF" => {
                has_end = true;
                break;
            }
            "BLOCK" if section == "BLOCKS" => {
                let name = record.text(2, head.encoding).unwrap_or_default().to_lowercase();
                let number = |code| record.number(code).unwrap_or(0.0);
                let base = DVec3::new(number(10), number(20), number(30));
                block = Some((name, Block { base, entities: Vec::new() }));
            }
            "ENDBLK" => {
                pending.flush(&mut block, &mut drawing)?;
                if let Some((name, block)) = block.take() {
                    drawing.blocks.insert(name, block);
                }
            }
            _ if section == "ENTITIES" || (section == "BLOCKS" && block.is_some()) => {
                pending.take(&record, head.encoding, &mut block, &mut drawing)?;
            }
            _ => {}
        }
        if section.is_empty() || section == "OBJECTS" {
            pending.flush(&mut block, &mut drawing)?;
        }
    }
    pending.flush(&mut block, &mut drawing)?;
    if !has_end {
        return Err(bad(job.path, "end", "the file ends without EOF: it was cut off"));
    }
    if !has_entities {
        return Err(bad(job.path, "end", "it has no section ENTITIES"));
    }
    drawing.finish()
}

/// An entity whose parts follow it.
enum Pending {
    None,
    Polyline(Entity, Polyline, Option<String>),
    Insert(Entity),
}

impl Pending {
    fn take(
        &mut self,
        record: &Record,
        encoding: &'static Encoding,
        block: &mut Option<(String, Block)>,
        drawing: &mut Drawing<'_>,
    ) -> Result<(), ImportError> {
        match (record.kind.as_str(), &mut *self) {
            ("VERTEX", Pending::Polyline(_, polyline, fault)) => {
                if let Err(reason) = polyline.vertex(record) {
                    fault.get_or_insert(reason);
                }
                return Ok(());
            }
            ("ATTRIB", Pending::Insert(Entity { body: Body::Insert(insert), .. })) => {
                let texts = (record.text(2, encoding), record.text(1, encoding));
                if let (Some(tag), Some(value)) = texts
                    && insert.attributes.len() < MAX_ATTRIBUTES
                {
                    insert.attributes.push((tag, value));
                } else {
                    drawing.report.warn(
                        "attribute_left_out",
                        "attributes without a tag, or beyond the thousandth, were left out",
                        record.place(),
                    );
                }
                return Ok(());
            }
            ("SEQEND", _) => return self.flush(block, drawing),
            ("VERTEX" | "ATTRIB" | "ATTDEF", _) => return Ok(()),
            _ => self.flush(block, drawing)?,
        }
        let is_in_block = block.is_some();
        if !is_in_block {
            drawing.record += 1;
        }
        match entity::take(record, encoding) {
            Ok(Taken::Polyline(entity, polyline)) => *self = Pending::Polyline(entity, polyline, None),
            Ok(Taken::Entity(entity)) if matches!(entity.body, Body::Insert(_)) => *self = Pending::Insert(entity),
            Ok(Taken::Entity(entity)) => drawing.put(entity, block)?,
            Ok(Taken::Paper) => {
                drawing.report.warn("paper_space", "entities of layouts were left out", record.place());
            }
            Ok(Taken::Unknown) => {
                let message = format!("entities of kind {} were left out", record.kind);
                drawing.report.warn(&format!("left_out_{}", record.kind.to_lowercase()), message, record.place());
            }
            Err(reason) => {
                let number = if is_in_block { 0 } else { drawing.record };
                drawing.report.skip(number, format!("{}: {}: {reason}", record.place(), record.kind));
            }
        }
        Ok(())
    }

    /// The parts are complete.
    fn flush(&mut self, block: &mut Option<(String, Block)>, drawing: &mut Drawing<'_>) -> Result<(), ImportError> {
        match std::mem::replace(self, Pending::None) {
            Pending::None => Ok(()),
            Pending::Insert(entity) => drawing.put(entity, block),
            Pending::Polyline(entity, polyline, fault) => match fault.map_or_else(|| polyline.body(), Err) {
                Ok(body) => drawing.put(Entity { body, ..entity }, block),
                Err(reason) => {
                    drawing.report.skip(drawing.record, format!("POLYLINE: {reason}"));
                    Ok(())
                }
            },
        }
    }
}

#[cfg(test)]
mod tests;
