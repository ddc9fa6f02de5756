//! 3D Tiles 1.0 and 1.1 as a source: the finest level of a tileset becomes city objects again.
//!
//! One object for each feature (batch id, or feature id with its row of the property table), one for each content that
//! tells no features apart; the points of all contents are one scan. Contents are read one after the other, so that
//! memory is that of the largest. Nothing is fetched, nothing outside of the tileset's folder is read.

mod batch;
mod content;
mod draw;
mod look;
#[cfg(test)]
mod look_test;
mod part;
mod subtree;
#[cfg(test)]
mod tests;
mod tree;

pub use self::look::{Tileset, is_tileset_file, is_tileset_url};

use std::{collections::HashMap, path::Path};

use groundline_engine::model::{Class, SourceReport, Value};

use self::{
    content::{Fault, Place, Reader},
    tree::{Content, Found, middle, tileset_of, walk},
};
use crate::{
    Format, ImportError, Job, Kind, Options, Out, Probe,
    cloud::{Depth, Placing, Scan, is_earth_centred, probe_of, tell_earth_centred},
    geotiff::{raster::bad, stem},
};

/// 3D Tiles.
pub static FORMAT: Format = Format {
    name: "3dtiles",
    title: "3D Tiles 1.0 or 1.1 tileset",
    title_zh: "3D Tiles 三维瓦片",
    extensions: &["json"],
    probe,
    read,
    memory_per_byte: 4.0,
};

/// Bytes of one content.
const MAX_CONTENT: u64 = 1 << 30;

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let fail = |reason: String| bad(path, "tileset", reason);
    // Other JSON, and JSON that is no JSON, is for others to look at.
    let Ok(Some(tileset)) = tileset_of(path) else { return Ok(None) };
    let mut contents = 0u64;
    let found = walk(path, &tileset, &mut |_, _| {
        contents += 1;
        Ok(())
    })
    .map_err(fail)?;
    let middle = middle(&tileset);
    let extent = middle.map(|m| [m.x, m.y, m.x, m.y]);
    let mut probe = probe_of(path, &FORMAT, options, Some(contents), extent);
    probe.kind = Kind::Objects;
    probe.class = Some((Class::Generic, "asset and root".into()));
    if middle.is_some_and(is_earth_centred) {
        tell_earth_centred(&mut probe, options, middle);
    }
    let mut files = found.files;
    files.sort();
    files.dedup();
    probe.companions.extend(files);
    Ok(Some(probe))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let fail = |reason: String| bad(job.path, "tileset", reason);
    let tileset = tileset_of(job.path).map_err(fail)?.ok_or_else(|| fail("it has no asset and root".into()))?;
    let placing = Placing::for_source(job, report)?;
    let done = Placing::done();
    let mut scan = Scan::new(job, &done, &stem(job.path), Depth::Range(0.0, 255.0), Depth::Open { whole: true });
    let version = tileset.pointer("/asset/version").and_then(|v| v.as_str()).unwrap_or("");
    scan.attribute("tiles_version", Value::Text(version.chars().take(20).collect()));
    let total = job.probe.records.unwrap_or(1).max(1);
    let mut reader = Reader { job, placing: &placing, out, report, scan, points: 0, record: 0, keys: HashMap::new() };
    // The walk can only hand on text; the error itself waits here.
    let mut stopped = None;
    let walked = walk(job.path, &tileset, &mut |content: Content, _: &mut Found| {
        reader.record += 1;
        match take(&mut reader, &content) {
            Ok(()) => {}
            Err(Fault::Bad(reason)) => {
                let uri: String = content.uri.chars().take(100).collect();
                reader.report.skip(reader.record, format!("{uri}: {reason}"));
            }
            Err(Fault::Stopped(error)) => {
                stopped = Some(error);
                return Err("stopped".into());
            }
        }
        reader.out.progress((reader.record as f64 / total as f64).min(1.0) as f32);
        Ok(())
    });
    if let Some(error) = stopped {
        return Err(error);
    }
    let found = walked.map_err(fail)?;
    let Reader { scan, out, report, .. } = reader;
    scan.finish(out, report)?;
    for (place, reason) in found.faults {
        report.skip(0, format!("{place}: {reason}"));
    }
    if found.replaced > 0 {
        let message = format!("{} contents were left out since finer tiles replace them", found.replaced);
        report.warn("coarse_left_out", message, "");
    }
    if report.objects == 0 {
        report.warn("empty", "no content of the tileset could be read", "");
    }
    Ok(())
}

fn take(reader: &mut Reader<'_>, content: &Content) -> Result<(), Fault> {
    let root = reader.job.path.parent().unwrap_or(Path::new(""));
    let (bytes, key, folder) = if content.uri.starts_with("data:") {
        (content.folder.read(&content.uri, MAX_CONTENT)?, format!("content{}", reader.record), content.folder.clone())
    } else {
        let path = content.folder.path(&content.uri)?;
        let bytes = crate::gltf::folder::read_file(&path, MAX_CONTENT)?;
        let key = path.strip_prefix(root).unwrap_or(&path).with_extension("").to_string_lossy().into_owned();
        (bytes, key, content.folder.beside(&path))
    };
    let place = Place { key: &key, folder: &folder, transform: content.transform, up: content.up };
    reader.read(&bytes, &place, 0)
}
