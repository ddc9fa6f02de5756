//! OpenStreetMap as PBF (.osm.pbf): buildings and their parts, roads, railways, water, land use, greenery, trees, lamps.
//!
//! A file is read several times, blob by blob, so that memory does not grow with it:
//! relations and wanted ways first (which nodes are needed?), then the ways that relations are made of, then the places of
//! the needed nodes ([`place`]: 16 bytes a node, at most 64 Mi of them), then the ways themselves. Blobs that hold nothing
//! of what a pass wants are not read again.
//!
//! Each object gets the class that its tags tell; ids are `node/6`, `way/123` and `relation/45`, as OpenStreetMap has
//! them. Depths are in no tag: what runs in a tunnel lies at an assumed depth, and says so.

mod blob;
mod block;
mod class;
mod part;
mod place;
mod ring;
mod survey;
mod thing;
mod wire;

use std::path::Path;

use groundline_engine::{crs::Crs, model::SourceReport};

use crate::format::{Format, ImportError, Job, Kind, Options, Out, Probe};
use blob::{BlobKind, Blobs};
use block::{Block, Element, FileHeader, Stop, Wanted};
use class::{Form, Role};
use survey::Survey;
use thing::Things;

/// The OpenStreetMap importer.
pub static FORMAT: Format = Format {
    name: "osm",
    title: "OpenStreetMap (PBF)",
    title_zh: "OpenStreetMap 数据（PBF）",
    extensions: &["pbf"],
    probe,
    read,
    memory_per_byte: 8.0,
};

/// Data blobs that a first look takes for the extent where the header names none.
const PROBE_BLOBS: usize = 4;
/// Times that a file is read, at most; for the progress.
const PASSES: f32 = 6.0;

fn probe(path: &Path, _: &Options) -> Result<Option<Probe>, ImportError> {
    let mut blobs = Blobs::open(path)?;
    let mut bytes = Vec::new();
    // Other things end in .pbf too, such as vector tiles; they do not start with this.
    let header = match blobs.next(&mut bytes) {
        Ok(Some(BlobKind::Header)) => FileHeader::read(&bytes).map_err(|fault| blobs.bad(0, fault))?,
        Ok(_) => return Ok(None),
        Err(error) => return if starts_as_osm(path) { Err(error) } else { Ok(None) },
    };
    refuse_unknown(&blobs, &header)?;
    let extent = match header.extent {
        Some(extent) => Some(extent),
        None => first_nodes(&mut blobs, &mut bytes)?,
    };
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: Some(Crs::from_epsg(4326)?),
        crs_from: "OSM PBF".into(),
        crs_text: None,
        needs_crs: true,
        encoding: Some(("UTF-8".into(), "OSM PBF".into())),
        source_extent: extent,
        records: None,
        companions: Vec::new(),
        class: None,
    }))
}

/// Whether the first blob calls itself the header of an OSM file, damaged or not.
fn starts_as_osm(path: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    read.is_ok() && head.windows(9).any(|bytes| bytes == b"OSMHeader")
}

fn refuse_unknown(blobs: &Blobs, header: &FileHeader) -> Result<(), ImportError> {
    let unknown = header.required.iter().find(|f| !matches!(f.as_str(), "OsmSchema-V0.6" | "DenseNodes"));
    match unknown.map(String::as_str) {
        None => Ok(()),
        Some("HistoricalInformation") => {
            Err(blobs
                .bad(0, "it holds the history of its elements; take one time out of it first (osmium time-filter)"))
        }
        Some(other) => Err(blobs.bad(0, format!("it needs a reader that knows {other:?}"))),
    }
}

/// Box of the nodes in the first blobs.
fn first_nodes(blobs: &mut Blobs, bytes: &mut Vec<u8>) -> Result<Option<[f64; 4]>, ImportError> {
    let mut extent: Option<[f64; 4]> = None;
    for _ in 0..PROBE_BLOBS {
        let at = blobs.position();
        match blobs.next(bytes)? {
            None => break,
            Some(BlobKind::Data) => {}
            Some(_) => continue,
        }
        let nodes = Wanted { nodes: true, ..Wanted::default() };
        each(blobs, at, bytes, nodes, &mut |element| {
            if let Element::Node { lon, lat, .. } = element {
                let (x, y) = (f64::from(lon) / 1e7, f64::from(lat) / 1e7);
                let e = extent.get_or_insert([x, y, x, y]);
                *e = [e[0].min(x), e[1].min(y), e[2].max(x), e[3].max(y)];
            }
            Ok(())
        })?;
    }
    Ok(extent)
}

/// Hands over the wanted elements of an unpacked blob; gives how many of its strings are no text.
fn each(
    blobs: &Blobs,
    at: u64,
    bytes: &[u8],
    wanted: Wanted,
    take: &mut dyn FnMut(Element<'_>) -> Result<(), ImportError>,
) -> Result<usize, ImportError> {
    let block = Block::read(bytes).map_err(|fault| blobs.bad(at, fault))?;
    match block.each(wanted, take) {
        Ok(()) => Ok(block.damaged_strings),
        Err(Stop::Fault(fault)) => Err(blobs.bad(at, fault)),
        Err(Stop::Taker(error)) => Err(error),
    }
}

/// The file and where it is read.
struct Reading {
    blobs: Blobs,
    bytes: Vec<u8>,
    pass: f32,
}

impl Reading {
    /// Unpacks the blob at a place.
    fn load(&mut self, at: u64, out: &mut dyn Out) -> Result<(), ImportError> {
        self.blobs.seek(at)?;
        if self.blobs.next(&mut self.bytes)? != Some(BlobKind::Data) {
            return Err(self.blobs.bad(at, "the file changed while it was read"));
        }
        let along = at as f32 / self.blobs.length.max(1) as f32;
        out.progress(((self.pass + along) / PASSES).clamp(0.0, 1.0));
        Ok(())
    }

    /// Hands over the wanted elements of the blob that was unpacked last.
    fn each(
        &self,
        at: u64,
        wanted: Wanted,
        take: &mut dyn FnMut(Element<'_>) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        each(&self.blobs, at, &self.bytes, wanted, take).map(|_| ())
    }
}

const NODES: Wanted = Wanted { nodes: true, ways: false, relations: false };
const WAYS: Wanted = Wanted { nodes: false, ways: true, relations: false };

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    if let Some(class) = job.options.class {
        let message = format!("--class {class} was not used: each object has the class that its tags tell");
        report.warn("class_ignored", message, "");
    }
    let mut reading = Reading { blobs: Blobs::open(job.path)?, bytes: Vec::new(), pass: 0.0 };
    let mut things = Things::new(job, out, report);
    let mut survey = Survey::take(&mut reading, &mut things)?;
    reading.pass = 1.0;
    survey.find_members(&mut reading, &mut things)?;
    let Survey { index, wanted, relations, .. } = survey;

    reading.pass = 2.0;
    let mut places = wanted.places();
    for blob in index.iter().filter(|blob| blob.holds.nodes) {
        reading.load(blob.at, things.out)?;
        reading.each(blob.at, NODES, &mut |element| {
            if let Element::Node { id, lon, lat, .. } = element {
                places.put(id, lon, lat);
            }
            Ok(())
        })?;
    }
    things.places = Some(places);

    reading.pass = 3.0;
    for blob in index.iter().filter(|blob| blob.has_parts) {
        reading.load(blob.at, things.out)?;
        reading.each(blob.at, WAYS, &mut |element| {
            if let Element::Way { id, refs, tags } = element
                && is_part(tags, form(refs))
            {
                things.note_part(id, refs);
            }
            Ok(())
        })?;
    }
    for relation in relations.list.iter().filter(|r| r.found.part == Role::Part) {
        things.note_part_relation(&relations, relation);
    }
    things.parts.settle();

    // Outlines before parts: they tell the parts whose they are.
    for takes_parts in [false, true] {
        reading.pass += 1.0;
        for blob in index.iter().filter(|blob| if takes_parts { blob.has_parts } else { blob.holds.ways }) {
            reading.load(blob.at, things.out)?;
            reading.each(blob.at, WAYS, &mut |element| {
                if let Element::Way { id, refs, tags } = element
                    && let Some(found) = class::classify(tags, form(refs))
                    && (found.part == Role::Part) == takes_parts
                {
                    things.way(id, refs, tags, &found)?;
                }
                Ok(())
            })?;
        }
        for relation in relations.list.iter().filter(|r| (r.found.part == Role::Part) == takes_parts) {
            things.relation(&relations, relation)?;
        }
    }
    things.out.progress(1.0);
    things.finish()?;
    Ok(())
}

fn form(refs: &[i64]) -> Form {
    // Three corners and the first again.
    if refs.len() >= 4 && refs.first() == refs.last() { Form::ClosedWay } else { Form::OpenWay }
}

fn is_part(tags: &block::Tags<'_>, form: Form) -> bool {
    class::classify(tags, form).is_some_and(|found| found.part == Role::Part)
}

#[cfg(test)]
mod tests;
