//! City models in XML: CityGML 1.0, 2.0 and 3.0, with extensions such as PLATEAU's i-UR.
//!
//! The file is cut into members, which are made on every core: one `cityObjectMember` is a small tree in memory, its
//! objects are handed on, and the tree is used again. Materials stand before or behind the members they paint, so a file that has any is gone
//! through once before for them alone.

mod appearance;
mod attribute;
mod block;
mod geometry;
mod grammar;
mod implicit;
mod input;
mod member;
mod name;
mod object;
mod picture;
mod seek;
mod source;
#[cfg(test)]
mod tests;
mod tree;

use std::{fs::File, io::Read, path::Path};

use groundline_engine::model::{Class, SourceReport};

use memchr::memmem;

use crate::{
    citymodel::named_crs,
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};
use appearance::Materials;
use geometry::numbers;
use member::Members;
use source::{Part, Source, Use};
use tree::{AttributeName, Tree, View};

/// The CityGML importer.
pub static FORMAT: Format = Format {
    name: "citygml",
    title: "City model (CityGML 1.0, 2.0, 3.0)",
    title_zh: "城市三维模型 (CityGML)",
    extensions: &["gml", "citygml", "xml"],
    probe,
    read,
    memory_per_byte: 1.0,
};

/// Members that a first look reads for the name of the coordinate system.
const PROBED_MEMBERS: u64 = 20;

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let mut source = Source::open(path)?;
    let version = match source.root() {
        Ok(Some(root)) => root.version,
        Ok(None) => return Ok(None),
        // What is no XML is of another format; a city model that is refused says why.
        Err(error) if error.to_string().contains("DOCTYPE") => return Err(error),
        Err(_) => return Ok(None),
    };
    let mut tree = Tree::default();
    let (mut srs, mut corners) = (None, Vec::new());
    loop {
        let part = source.part(&mut tree, |part| match part {
            Part::Member(_) | Part::Envelope => Use::Tree,
            _ => Use::Leap,
        });
        // The rest of the file is for reading; what is wrong there is told there.
        let Ok(part) = part else { break };
        if part == Part::End || matches!(part, Part::Member(number) if number > PROBED_MEMBERS) {
            break;
        }
        if matches!(part, Part::Other | Part::Appearance) {
            continue;
        }
        let view = View { tree: &tree, names: source.names() };
        for node in tree.all() {
            if srs.is_none() {
                srs = tree.get(node, AttributeName::SrsName).map(str::to_owned);
            }
            if corners.is_empty() && matches!(view.local(node), "lowerCorner" | "upperCorner" | "posList") {
                // Words that are no numbers are told when they are read.
                let _ = numbers(tree.text(node), 3, &mut corners);
            }
        }
        if srs.is_some() && !corners.is_empty() {
            break;
        }
    }
    let named = srs.as_deref().and_then(named_crs);
    let is_named = named.is_some();
    let crs_from = named.as_ref().map_or_else(String::new, |n| n.from("srsName"));
    let crs = named.map(|n| n.crs);
    let order =
        Order::of(crs.as_ref().is_some_and(|crs| crs.is_geographic), srs.as_deref().unwrap_or(""), options, &corners);
    let extent = corners.iter().fold(None, |extent: Option<[f64; 4]>, corner| {
        let p = order.apply(*corner);
        let e = extent.unwrap_or([p.x, p.y, p.x, p.y]);
        Some([e[0].min(p.x), e[1].min(p.y), e[2].max(p.x), e[3].max(p.y)])
    });
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs,
        crs_from,
        crs_text: srs.filter(|_| !is_named),
        needs_crs: true,
        encoding: None,
        source_extent: extent,
        records: None,
        companions: Vec::new(),
        class: Some((Class::Building, format!("CityGML {version}"))),
    }))
}

/// Which of the numbers of a position stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// East or longitude.
    East,
    /// North or latitude, as the EPSG register orders geographic systems.
    North,
    /// Longitude, against the register: the first number is no latitude.
    Longitude,
}

impl Order {
    const ALL: [Self; 3] = [Self::East, Self::North, Self::Longitude];

    /// By the user's word, else the system, its name and a first corner.
    fn of(is_geographic: bool, srs_name: &str, options: &Options, corners: &[glam::DVec3]) -> Self {
        let said = options.map.iter().find(|(key, _)| key == "axes").map(|(_, value)| value.to_ascii_lowercase());
        match said.as_deref() {
            Some("yx") => Order::North,
            Some("xy") => Order::East,
            // OGC's own name for longitude first
            _ if !is_geographic || srs_name.contains("CRS84") => Order::East,
            _ if corners.first().is_some_and(|c| c.x.abs() > 90.0 && c.y.abs() <= 90.0) => Order::Longitude,
            _ => Order::North,
        }
    }

    fn apply(self, p: glam::DVec3) -> glam::DVec3 {
        match self {
            Order::North => glam::DVec3::new(p.y, p.x, p.z),
            Order::East | Order::Longitude => p,
        }
    }
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let materials = materials(job)?;
    if materials.is_cut && out.start() == 0 {
        report.warn(
            "materials_cut",
            "more surfaces have materials than can be remembered; others get usual colours",
            "",
        );
    }
    let length = std::fs::metadata(job.path).map_or(1, |m| m.len()).max(1);
    let mut source = Source::open(job.path)?;
    if source.root()?.is_none() {
        return Err(source.bad("no CityModel of CityGML"));
    }
    let mut members = Members::new(job, materials);
    if out.start() > 0 {
        members.restore(out.state()).ok_or_else(|| source.bad("what was kept of an import before is damaged"))?;
        source.leap_to(out.start())?;
    }
    let outcome = read_members(&mut source, length, &mut members, out, report);
    members.finish(report);
    outcome
}

fn read_members(
    source: &mut Source,
    length: u64,
    members: &mut Members<'_>,
    out: &mut dyn Out,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    let mut tree = Tree::default();
    while !members.is_settled() {
        match source.part(&mut tree, use_of)? {
            Part::End => return Ok(()),
            Part::Envelope => members.see_envelope(View { tree: &tree, names: source.names() }),
            Part::Member(_) => {
                if let Some(raw) = source.take_raw() {
                    members.take(&raw, out, report)?;
                }
            }
            Part::Appearance | Part::Other => {}
        }
        out.progress((source.at() as f64 / length as f64).min(1.0) as f32);
    }
    block::read(source, length, members, out, report)
}

/// What is wrong with a part is told, though only members are made.
fn use_of(part: Part) -> Use {
    match part {
        Part::Member(_) => Use::Text,
        Part::Envelope => Use::Tree,
        _ => Use::Check,
    }
}

/// The materials of the whole file, gone through only when there are any.
fn materials(job: &Job<'_>) -> Result<Materials, ImportError> {
    let mut materials = Materials::default();
    let io_error = |source| ImportError::Io { path: job.path.into(), source };
    if !has_word(File::open(job.path).map_err(io_error)?, b"surfaceDataMember").map_err(io_error)? {
        return Ok(materials);
    }
    let mut source = Source::open(job.path)?;
    if source.root()?.is_none() {
        return Ok(materials);
    }
    let mut tree = Tree::default();
    // What is wrong with the file is told when its members are read.
    let use_of = |part| if part == Part::Appearance { Use::Tree } else { Use::Leap };
    while let Ok(part) = source.part(&mut tree, use_of) {
        match part {
            Part::End => break,
            Part::Appearance => materials.take(View { tree: &tree, names: source.names() }, 0),
            _ => {}
        }
    }
    Ok(materials)
}

/// Whether a word stands anywhere in a file.
fn has_word(mut source: impl Read, word: &[u8]) -> std::io::Result<bool> {
    let mut buffer = vec![0; 1 << 18];
    let mut kept = 0;
    loop {
        let room = buffer.get_mut(kept..).unwrap_or(&mut []);
        let count = match source.read(room) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let filled = kept + count;
        if memmem::find(buffer.get(..filled).unwrap_or(&[]), word).is_some() {
            return Ok(true);
        }
        kept = filled.min(word.len().saturating_sub(1));
        buffer.copy_within(filled - kept..filled, 0);
    }
}
