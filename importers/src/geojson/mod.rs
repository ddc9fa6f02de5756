//! GeoJSON (RFC 7946), with the `crs` member of the older version (2008), read feature by feature, and its text
//! sequences (RFC 8142).

mod geometry;
mod sequence;
mod stream;

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use groundline_engine::{
    crs::Crs,
    model::{SourceReport, Value},
};
use serde_json::{Map, Value as Json, value::RawValue};

use crate::{
    encoding,
    feature::{BLOCK, Feature, Look, Maker, Names, has_swapped_axes, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};
pub use sequence::FORMAT as SEQUENCE;
use stream::{Member, Stop};

/// The GeoJSON importer.
pub static FORMAT: Format = Format {
    name: "geojson",
    title: "GeoJSON (points, lines, polygons)",
    title_zh: "GeoJSON 矢量数据",
    extensions: &["geojson", "json"],
    probe,
    read,
    memory_per_byte: 1.0,
};

/// How much of the beginning and the end of a file a first look takes.
const HEAD_BYTES: u64 = 4 << 20;
const TAIL_BYTES: u64 = 64 << 10;
const FEATURES_A_STEP: u64 = 1024;
/// Bytes of features that are made together at most, but for the last.
const BLOCK_BYTES: usize = 16 << 20;

fn io_error(path: &Path) -> impl Fn(std::io::Error) -> ImportError + '_ {
    move |source| ImportError::Io { path: path.into(), source }
}

/// What stands in the members beside the features.
#[derive(Default)]
struct Head {
    is_geojson: bool,
    crs_text: Option<String>,
    look: Look,
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let mut file = File::open(path).map_err(io_error(path))?;
    let length = file.metadata().map_err(io_error(path))?.len();
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes).map_err(io_error(path))?;
    let mut head = Head::default();
    let (mut record, mut names) = (0, Names::default());
    // A cut beginning ends in an error, which tells nothing.
    let _ = stream::read(&bytes[..], |member, _| {
        match member {
            Member::Type(kind) => head.is_geojson |= is_geojson(kind),
            Member::Crs(crs) => head.crs_text = head.crs_text.take().or_else(|| crs_text(&crs)),
            Member::Feature(text) => {
                let Ok(json) = serde_json::from_str::<Json>(text.get()) else { return Ok(()) };
                record += 1;
                head.is_geojson |= json.get("type").and_then(Json::as_str) == Some("Feature");
                if let Ok(feature) = feature(record, json, &mut names) {
                    head.look.take(feature, has_swapped_axes(&options.map));
                }
            }
        }
        Ok(())
    });
    if !head.is_geojson {
        return Ok(None);
    }
    if head.crs_text.is_none() && length > HEAD_BYTES {
        head.crs_text = crs_in_tail(&mut file, length).map_err(io_error(path))?;
    }
    settled(path, head.crs_text, head.look).map(Some)
}

/// What a first look amounts to.
fn settled(path: &Path, crs_text: Option<String>, look: Look) -> Result<Probe, ImportError> {
    let (crs, crs_from, crs_text) = match crs_text {
        Some(text) => match Crs::parse(&text) {
            Ok(crs) => (Some(crs), "crs member", None),
            Err(_) => (None, "", Some(text)),
        },
        // RFC 7946 section 4: longitude and latitude on WGS 84, unless the numbers are none.
        None if look.extent.is_none_or(is_degrees) => (Some(Crs::from_epsg(4326)?), "RFC 7946", None),
        None => (None, "", None),
    };
    Ok(Probe {
        kind: Kind::Objects,
        crs,
        crs_from: crs_from.into(),
        crs_text,
        needs_crs: true,
        encoding: Some(("UTF-8".into(), "RFC 7946".into())),
        source_extent: look.extent,
        records: None,
        companions: Vec::new(),
        class: suggest(&look.sample(&path.file_stem().unwrap_or_default().to_string_lossy())),
    })
}

fn is_geojson(kind: &str) -> bool {
    matches!(
        kind,
        "FeatureCollection"
            | "Feature"
            | "GeometryCollection"
            | "Point"
            | "MultiPoint"
            | "LineString"
            | "MultiLineString"
            | "Polygon"
            | "MultiPolygon"
    )
}

fn is_degrees(extent: [f64; 4]) -> bool {
    extent.iter().all(|n| n.abs() <= 180.0)
}

/// The name in a `crs` member: `{"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::28992"}}`.
fn crs_text(member: &Json) -> Option<String> {
    let properties = member.get("properties")?;
    match properties.get("name").or_else(|| properties.get("code"))? {
        Json::String(name) => Some(name.clone()),
        Json::Number(code) => Some(format!("EPSG:{code}")),
        _ => None,
    }
}

/// The `crs` member of a file that has it after its features.
fn crs_in_tail(file: &mut File, length: u64) -> std::io::Result<Option<String>> {
    let start = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let Some(at) = text.rfind("\"crs\"") else { return Ok(None) };
    let after = text[at + 5..].trim_start().strip_prefix(':').unwrap_or_default();
    let first = serde_json::Deserializer::from_str(after).into_iter::<Json>().next();
    Ok(first.and_then(Result::ok).and_then(|member| crs_text(&member)))
}

/// A feature out of its JSON; the error is the reason to skip it.
fn feature(record: u64, json: Json, names: &mut Names) -> Result<Feature, String> {
    let Json::Object(mut object) = json else { return Err("it is no object".into()) };
    let id = match object.get("id") {
        Some(Json::String(id)) => Some(id.clone()),
        Some(Json::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    let is_feature = object.get("type").and_then(Json::as_str) == Some("Feature");
    let (shape, fields) = if is_feature {
        let properties = match object.remove("properties") {
            Some(Json::Object(properties)) => fields(properties, names),
            _ => Vec::new(),
        };
        let shape = match object.remove("geometry") {
            None | Some(Json::Null) => Default::default(),
            Some(json) => geometry::shape(&json)?,
        };
        (shape, properties)
    } else {
        (geometry::shape(&Json::Object(object))?, Vec::new())
    };
    Ok(Feature { record, id, shape, fields })
}

fn fields(properties: Map<String, Json>, names: &mut Names) -> Vec<(Arc<str>, Value)> {
    let values = properties.into_iter().filter_map(|(name, json)| {
        let value = match json {
            Json::Null => return None,
            Json::Bool(b) => Value::Bool(b),
            Json::Number(n) => match n.as_i64() {
                Some(whole) => Value::Int(whole),
                None => Value::Real(n.as_f64().filter(|n| n.is_finite())?),
            },
            Json::String(text) => Value::Text(text),
            // Lists and objects have no column to stand in; they stay readable.
            nested => Value::Text(nested.to_string()),
        };
        Some((names.get(&name), value))
    });
    values.collect()
}

/// Texts of features that wait until they are made together: number, byte at which it ends, text.
#[derive(Default)]
struct Waiting {
    records: Vec<(u64, u64, Box<RawValue>)>,
    bytes: usize,
}

impl Waiting {
    fn make(&mut self, maker: &mut Maker<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        self.bytes = 0;
        let read = |(record, at, text): (u64, u64, Box<RawValue>), names: &mut Names, report: &mut SourceReport| {
            // What is no JSON has ended the reading already; what is left is nested too deep, or a number too large.
            let json = serde_json::from_str(text.get()).map_err(|error| error.to_string());
            match json.and_then(|json| feature(record, json, names)) {
                Ok(feature) => Some(feature),
                Err(reason) => {
                    report.skip(record, format!("byte {at}: {reason}"));
                    None
                }
            }
        };
        maker.take_block(std::mem::take(&mut self.records), read, out, report)
    }
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let file = File::open(job.path).map_err(io_error(job.path))?;
    let length = file.metadata().map_err(io_error(job.path))?.len();
    let mut maker = Maker::new(job);
    if let Some(extent) = job.probe.source_extent.filter(|_| !has_swapped_axes(&job.options.map)) {
        refuse_impossible_degrees(job, extent)?;
    }
    let mut record = 0;
    let mut late_crs = None;
    let mut waiting = Waiting::default();
    let outcome = stream::read(file, |member, at| {
        match member {
            Member::Feature(text) => {
                record += 1;
                waiting.bytes += text.get().len();
                waiting.records.push((record, at, text));
            }
            Member::Crs(json) => late_crs = crs_text(&json),
            Member::Type(_) => {}
        }
        if waiting.records.len() >= BLOCK || waiting.bytes >= BLOCK_BYTES {
            waiting.make(&mut maker, out, report)?;
            out.progress((at as f64 / length.max(1) as f64) as f32);
        }
        Ok(())
    });
    waiting.make(&mut maker, out, report)?;
    maker.finish(out, report)?;
    // A crs between head and tail of a large file was not seen by the first look.
    if let Some(text) = late_crs.filter(|_| job.options.crs.is_none()) {
        let is_other = Crs::parse(&text).map_or(true, |crs| crs.label() != job.crs.label());
        if is_other {
            let reason =
                format!("its crs member says {text}, but it was read as {}; give --crs {text}", job.crs.label());
            return Err(ImportError::Bad { path: job.path.into(), place: "crs member".into(), reason });
        }
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(Stop::Import(error)) => Err(error),
        Err(Stop::Io(source)) => Err(io_error(job.path)(source)),
        Err(Stop::Json { at, reason }) => Err(ImportError::Bad {
            path: job.path.into(),
            place: format!("byte {at}, after {record} features"),
            reason,
        }),
    }
}

fn refuse_impossible_degrees(job: &Job<'_>, [min_x, min_y, max_x, max_y]: [f64; 4]) -> Result<(), ImportError> {
    let is_mendable = max_y.abs().max(min_y.abs()) > 90.0 && max_x.abs().max(min_x.abs()) <= 90.0;
    if job.crs.is_geographic && is_mendable && is_degrees([min_x, min_y, max_x, max_y]) {
        return Err(ImportError::Bad {
            path: job.path.into(),
            place: "coordinates".into(),
            reason: format!(
                "latitudes of {min_y} to {max_y}: longitude and latitude seem to be exchanged; give --map axes=yx"
            ),
        });
    }
    Ok(())
}

/// Whether text is UTF-8 was settled by the format; files in other encodings are refused with the way out.
fn encoding_hint(bytes: &[u8]) -> String {
    let found = encoding::decode(bytes, None).1;
    format!("the text is not UTF-8 (it looks like {}); GeoJSON has to be UTF-8: convert it first", found.label)
}

#[cfg(test)]
mod tests {
    use crate::{
        Options,
        trial::{self, Trial},
    };

    #[test]
    fn a_feature_nested_too_deep_costs_itself_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep.geojson");
        let good = r#"{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[120.1,36.1]}}"#;
        let deep = format!(r#"{{"type":"Feature","a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        std::fs::write(&path, format!(r#"{{"type":"FeatureCollection","features":[{good},{deep},{good}]}}"#)).unwrap();
        let trial = Trial::of(&super::FORMAT, &path, &Options::default(), 4549);
        assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
        assert_eq!((trial.objects.len(), trial.report.skipped), (2, 1));
        assert!(trial.report.skips[0].reason.contains("recursion limit"), "{:?}", trial.report.skips);
    }

    #[test]
    fn no_damage_makes_it_panic_hang_or_miscount_silently() {
        let feature = |i: u32| {
            let (x, y) = (120.1 + f64::from(i) * 0.001, 36.1);
            format!(
                r#"{{"type":"Feature","id":"b{i}","properties":{{"名称":"楼{i}","height":{}.5}},"geometry":{{"type":"Polygon","coordinates":[[[{x},{y}],[{},{y}],[{},{}],[{x},{y}]]]}}}}"#,
                10 + i,
                x + 0.0005,
                x + 0.0005,
                y + 0.0004
            )
        };
        let features: Vec<String> = (0..12).map(feature).collect();
        let text = format!(r#"{{"type":"FeatureCollection","name":"buildings","features":[{}]}}"#, features.join(","));
        let found = trial::miscounts(&super::FORMAT, "buildings.geojson", text.as_bytes(), &Options::default(), 4549);
        assert_eq!(found, Vec::<String>::new());
    }
}
