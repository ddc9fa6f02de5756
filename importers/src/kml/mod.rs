//! KML 2.2 and 2.3 (OGC 12-007), and KMZ, which is KML in a ZIP archive.
//!
//! Placemarks with points, lines, polygons, tracks and collections of these are read one after the other; heights follow
//! their `altitudeMode`. Styles, views and time are not geometry and left alone; network links are never followed.

mod parse;
mod placemark;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use groundline_engine::{
    crs::Crs,
    model::{Attribute, Class, SourceReport, Value, Vertical},
};

use crate::{
    feature::{Feature, Maker, Said, Sample, has_swapped_axes, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};
use parse::{Item, Stop};
use placemark::{Mode, Piece, Placemark};

/// The KML importer.
pub static FORMAT: Format = Format {
    name: "kml",
    title: "KML and KMZ (placemarks)",
    title_zh: "KML、KMZ 地标数据",
    extensions: &["kml", "kmz"],
    probe,
    read,
    memory_per_byte: 4.0,
};

/// How much of the beginning a first look takes, unpacked.
const HEAD_BYTES: u64 = 4 << 20;
const SAMPLE_FEATURES: usize = 32;
/// Files in an archive; more are no map.
const MAX_ENTRIES: usize = 65_536;
/// Largest KML in an archive, unpacked bytes: a small archive can claim to be terabytes of text.
const MAX_UNPACKED_BYTES: u64 = 4 << 30;

fn io_error(path: &Path) -> impl Fn(std::io::Error) -> ImportError + '_ {
    move |source| ImportError::Io { path: path.into(), source }
}

fn bad(path: &Path, place: impl Into<String>, reason: impl ToString) -> ImportError {
    ImportError::Bad { path: path.into(), place: place.into(), reason: reason.to_string() }
}

/// Opens the text of a file, and hands it over with its length; for an archive also what else is in it.
fn with_text<T>(
    path: &Path,
    take: impl FnOnce(&mut dyn BufRead, u64, usize) -> Result<T, ImportError>,
) -> Result<T, ImportError> {
    let file = File::open(path).map_err(io_error(path))?;
    let length = file.metadata().map_err(io_error(path))?.len();
    if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("kmz")) {
        return take(&mut BufReader::with_capacity(1 << 16, file), length, 0);
    }
    let mut archive =
        zip::ZipArchive::new(BufReader::new(file)).map_err(|e| bad(path, "archive", format!("no ZIP archive: {e}")))?;
    if archive.len() > MAX_ENTRIES {
        return Err(bad(path, "archive", format!("{} files (at most {MAX_ENTRIES})", archive.len())));
    }
    let is_kml = |name: &str| Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("kml"));
    let names: Vec<String> =
        archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).filter(|name| is_kml(name)).collect();
    // The specification says: the first one at the root; everybody calls it doc.kml.
    let depth = |name: &str| name.matches(['/', '\\']).count();
    let first = names.iter().min_by_key(|name| (depth(name), !name.eq_ignore_ascii_case("doc.kml")));
    let Some(first) = first else { return Err(bad(path, "archive", "there is no .kml in it")) };
    let entry = archive.by_name(first).map_err(|e| bad(path, first.clone(), e))?;
    let size = entry.size();
    if size > MAX_UNPACKED_BYTES {
        return Err(bad(path, first.clone(), format!("unpacks to more than {} MiB", MAX_UNPACKED_BYTES >> 20)));
    }
    // The archive's checksum is looked at when the text is read to its end.
    let mut text = BufReader::with_capacity(1 << 16, entry.take(MAX_UNPACKED_BYTES));
    take(&mut text, size, names.len() - 1)
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let mut is_kml = false;
    let mut features: Vec<Feature> = Vec::new();
    let mut extent: Option<[f64; 4]> = None;
    let mut refusal = None;
    with_text(path, |text, _, _| {
        let head = BufReader::new(text.take(HEAD_BYTES));
        // A cut beginning ends in an error, which tells nothing.
        let outcome = parse::read(head, &mut |item, _| {
            match item {
                Item::Root => is_kml = true,
                Item::Placemark(placemark) => {
                    for mut piece in placemark.pieces {
                        if has_swapped_axes(&options.map) {
                            piece.shape.for_each_mut(|v| (v.x, v.y) = (v.y, v.x));
                        }
                        for v in piece.shape.vertices() {
                            let e = extent.get_or_insert([v.x, v.y, v.x, v.y]);
                            *e = [e[0].min(v.x), e[1].min(v.y), e[2].max(v.x), e[3].max(v.y)];
                        }
                        if features.len() < SAMPLE_FEATURES {
                            let fields = placemark.fields.clone();
                            features.push(Feature { shape: piece.shape, fields, ..Feature::default() });
                        }
                    }
                }
                Item::Notice(..) | Item::Bad(_) => {}
            }
            Ok(())
        });
        if let Err(Stop::Refused { at, reason }) = outcome {
            refusal = Some(bad(path, format!("byte {at}"), reason));
        }
        Ok(())
    })?;
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    if !is_kml {
        return Ok(None);
    }
    let mut sample = Sample {
        stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        dimension: features.first().map(|f| f.shape.dimension()),
        ..Sample::default()
    };
    for (name, value) in features.iter().flat_map(|f| &f.fields) {
        if !sample.fields.contains(name) {
            sample.fields.push(name.clone());
        }
        sample.values.push((name.clone(), value.clone()));
    }
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: Some(Crs::from_epsg(4326)?),
        crs_from: "KML".into(),
        crs_text: None,
        needs_crs: true,
        encoding: Some(("UTF-8".into(), "KML".into())),
        source_extent: extent,
        records: None,
        companions: Vec::<PathBuf>::new(),
        class: suggest(&sample),
    }))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let mut maker = Maker::new(job);
    let mut record = 0_u64;
    with_text(job.path, |text, length, others| {
        if others > 0 {
            let message =
                format!("{others} further .kml files in the archive were not read: only its main document is");
            report.warn("further_documents", message, "archive");
        }
        let outcome = parse::read(text, &mut |item, at| {
            match item {
                Item::Root => {}
                Item::Notice(code, message) => report.warn(code, message, format!("byte {at}")),
                Item::Bad(reason) => {
                    record += 1;
                    report.skip(record, format!("byte {at}: {reason}"));
                }
                Item::Placemark(placemark) => {
                    record += 1;
                    take(job, record, placemark, &mut maker, out, report)?;
                    if record.is_multiple_of(256) {
                        out.progress((at as f64 / length.max(1) as f64).min(1.0) as f32);
                    }
                }
            }
            Ok(())
        });
        outcome.map_err(|stop| match stop {
            Stop::Import(error) => error,
            Stop::Xml { at, reason } | Stop::Refused { at, reason } => {
                bad(job.path, format!("byte {at}, after {record} placemarks"), reason)
            }
        })
    })?;
    maker.finish(out, report)?;
    Ok(())
}

/// One feature for each way of reading heights that the placemark uses; nearly always one.
fn take(
    job: &Job<'_>,
    record: u64,
    placemark: Placemark,
    maker: &mut Maker<'_>,
    out: &mut dyn Out,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    let Placemark { id, fields, pieces } = placemark;
    let mut features = pieces;
    if features.is_empty() {
        features.push(Piece::default());
    }
    if features.len() > 1 {
        let message = "placemarks whose parts read heights in several ways became several objects";
        report.warn("split_placemark", message, format!("record {record}"));
    }
    for (part, mut piece) in features.into_iter().enumerate() {
        let id = id.clone().map(|id| if part == 0 { id } else { format!("{id}~{}", part + 1) });
        let mut said = Said::default();
        match piece.mode {
            Mode::Clamped => {
                if piece.shape.has_z && piece.shape.vertices().iter().any(|v| v.z != 0.0) {
                    let message = "heights of placemarks that are clamped to the ground were left out, as KML says";
                    report.warn("clamped_height", message, format!("record {record}"));
                }
                piece.shape.for_each_mut(|v| v.z = 0.0);
                piece.shape.has_z = false;
            }
            Mode::Relative => said.vertical = Some(Vertical::AboveTerrain),
            Mode::Absolute => said.vertical = Some(Vertical::Absolute),
        }
        if piece.is_extruded && !piece.shape.polygons.is_empty() {
            extrude(job, &mut piece, &mut said, report, record);
        }
        let feature = Feature { record, id, shape: piece.shape, fields: fields.clone() };
        maker.take_as(feature, said, out, report)?;
    }
    Ok(())
}

/// An outline drawn down to the ground is a body: its height above the ground is that of a building.
fn extrude(job: &Job<'_>, piece: &mut Piece, said: &mut Said, report: &mut SourceReport, record: u64) {
    let top = piece.shape.vertices().iter().map(|v| v.z).fold(0.0, f64::max);
    match piece.mode {
        Mode::Relative if top > 0.0 => {
            let suggested = job.probe.class.as_ref().map(|(class, _)| *class);
            let class = job.options.class.or(suggested).unwrap_or(Class::Building);
            said.class = Some(class);
            if class == Class::Building {
                let rule = "altitude of the extruded outline";
                said.attributes.push(Attribute::measured("height_m", Value::Real(top), rule));
                said.height_m = Some(top);
                piece.shape.for_each_mut(|v| v.z = 0.0);
            }
        }
        Mode::Absolute => {
            said.is_flat = true;
            let message = "extruded outlines of absolute height are drawn as surfaces: how high the ground is below them \
                           is not in the file";
            report.warn("extruded_absolute", message, format!("record {record}"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
