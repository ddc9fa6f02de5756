//! FlatGeobuf 3 (flatgeobuf.org): header, spatial index, then feature after feature, read in the file's order.
//!
//! The tables are verified by the library's generated code before anything in them is used. What stands around and
//! within them is read here, since the library believes the length of a feature and the ends of its properties.

mod geometry;
mod property;

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use flatgeobuf::{Header, size_prefixed_root_as_feature, size_prefixed_root_as_header};
use groundline_engine::{crs::Crs, model::SourceReport};

use crate::{
    feature::{Feature, Look, Maker, has_swapped_axes, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};
use property::Column;

/// The FlatGeobuf importer.
pub static FORMAT: Format = Format {
    name: "flatgeobuf",
    title: "FlatGeobuf (points, lines, polygons)",
    title_zh: "FlatGeobuf 矢量数据",
    extensions: &["fgb"],
    probe,
    read,
    memory_per_byte: 1.0,
};

/// A header of more bytes is none; that of a table with thousands of columns takes some hundred KiB.
const MAX_HEADER_BYTES: u64 = 10 << 20;
/// A feature of more bytes than this is not read: no single thing of a city is that large.
const MAX_FEATURE_BYTES: u64 = 128 << 20;
/// Bytes of a node of the index: a box and an offset.
const NODE_BYTES: u64 = 40;
/// Features that a first look takes, and bytes.
const SAMPLE_FEATURES: u64 = 32;
const SAMPLE_BYTES: u64 = 16 << 20;
const FEATURES_A_STEP: u64 = 1024;

fn io_error(path: &Path) -> impl Fn(io::Error) -> ImportError + '_ {
    move |source| ImportError::Io { path: path.into(), source }
}

fn bad(path: &Path, place: impl Into<String>, reason: impl Into<String>) -> ImportError {
    ImportError::Bad { path: path.into(), place: place.into(), reason: reason.into() }
}

/// What the header says.
struct Layer {
    name: String,
    kind: u8,
    /// Features; 0 where the writer did not know.
    count: u64,
    columns: Vec<Column>,
    /// The system, or the text of one that is not understood (empty where none is named).
    crs: Result<Crs, String>,
    extent: Option<[f64; 4]>,
    /// Byte of the first feature.
    start: u64,
    length: u64,
}

impl Layer {
    /// Reads the header and leaves the file at its first feature.
    fn open(path: &Path) -> Result<(Self, BufReader<File>), ImportError> {
        let file = File::open(path).map_err(io_error(path))?;
        let length = file.metadata().map_err(io_error(path))?.len();
        let mut source = BufReader::with_capacity(256 * 1024, file);
        let mut start = [0; 12];
        if length < start.len() as u64 {
            return Err(bad(path, "header", format!("{length} bytes are too few for a FlatGeobuf")));
        }
        source.read_exact(&mut start).map_err(io_error(path))?;
        let [b'f', b'g', b'b', version, b'f', b'g', b'b', _patch, size @ ..] = start else {
            return Err(bad(path, "header", "it does not begin as a FlatGeobuf does"));
        };
        if version != flatgeobuf::VERSION {
            let reason = format!("version {version} of the format is not read, only version {}", flatgeobuf::VERSION);
            return Err(bad(path, "header", reason));
        }
        let size = u64::from(u32::from_le_bytes(size));
        if !(8..=MAX_HEADER_BYTES).contains(&size) || 12 + size > length {
            return Err(bad(path, "header", format!("a header of {size} bytes in a file of {length}")));
        }
        let mut bytes = (size as u32).to_le_bytes().to_vec();
        source.by_ref().take(size).read_to_end(&mut bytes).map_err(io_error(path))?;
        let header = size_prefixed_root_as_header(&bytes).map_err(|e| bad(path, "header", damage(&e)))?;
        let mut layer = Self::of(&header, length);
        let index = index_bytes(header.features_count(), u64::from(header.index_node_size()));
        let start = index.and_then(|index| index.checked_add(12 + size));
        layer.start = start.filter(|start| *start <= length).ok_or_else(|| {
            let count = header.features_count();
            bad(path, "index", format!("the index of {count} features does not fit into {length} bytes"))
        })?;
        source.seek(SeekFrom::Start(layer.start)).map_err(io_error(path))?;
        Ok((layer, source))
    }

    fn of(header: &Header<'_>, length: u64) -> Self {
        let envelope: Vec<f64> = header.envelope().map(|e| e.iter().take(8).collect()).unwrap_or_default();
        // With z the box is min x, min y, max x, max y all the same; longer ones are not defined.
        let extent = match envelope.as_slice() {
            &[a, b, c, d] if a <= c && b <= d && [a, b, c, d].iter().all(|n| n.is_finite()) => Some([a, b, c, d]),
            _ => None,
        };
        Self {
            name: header.name().unwrap_or_default().to_string(),
            kind: header.geometry_type().0,
            count: header.features_count(),
            columns: property::columns(header.columns().into_iter().flatten()),
            crs: crs(header),
            extent,
            start: 0,
            length,
        }
    }
}

/// The library's message in one line.
fn damage(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    format!("it is damaged: {}", text.lines().next().unwrap_or_default())
}

fn crs(header: &Header<'_>) -> Result<Crs, String> {
    let Some(crs) = header.crs() else { return Err(String::new()) };
    let organisation = crs.org().unwrap_or("EPSG");
    let by_code =
        (organisation.eq_ignore_ascii_case("epsg") && crs.code() > 0).then(|| Crs::from_epsg(crs.code() as u32));
    if let Some(Ok(found)) = by_code {
        return Ok(found);
    }
    let texts = [crs.wkt(), crs.code_string(), crs.name()];
    let texts = || texts.iter().flatten().filter(|text| !text.trim().is_empty());
    let by_text = texts().find_map(|text| Crs::parse(text).ok());
    by_text.ok_or_else(|| match (crs.code(), texts().next()) {
        (0, None) => String::new(),
        (_, Some(text)) => text.to_string(),
        (code, None) => format!("{organisation}:{code}"),
    })
}

/// Bytes of the packed R-tree over `count` features with `node` entries a node; `None` for numbers beyond sense.
fn index_bytes(count: u64, node: u64) -> Option<u64> {
    if count == 0 || node == 0 {
        return Some(0);
    }
    if node < 2 {
        return None;
    }
    let (mut level, mut nodes) = (count, count);
    // Even a single feature has a root above it.
    loop {
        level = level.div_ceil(node);
        nodes = nodes.checked_add(level)?;
        if level == 1 {
            break;
        }
    }
    nodes.checked_mul(NODE_BYTES)
}

/// Why a feature could not be read.
enum Fault {
    /// This one is damaged; the next may be whole.
    Feature(String),
    /// The way to the next one is lost.
    End(String),
    Io(io::Error),
}

/// Features in the file's order.
struct Features<'l, R> {
    layer: &'l Layer,
    source: R,
    at: u64,
    record: u64,
    buffer: Vec<u8>,
}

impl<'l, R: Read> Features<'l, R> {
    fn new(layer: &'l Layer, source: R) -> Self {
        Self { layer, source, at: layer.start, record: 0, buffer: Vec::new() }
    }

    fn next(&mut self, report: &mut SourceReport) -> Option<Result<Feature, Fault>> {
        if self.at >= self.layer.length {
            return None;
        }
        self.record += 1;
        Some(self.read(report))
    }

    fn read(&mut self, report: &mut SourceReport) -> Result<Feature, Fault> {
        let rest = self.layer.length - self.at;
        let mut size = [0; 4];
        if rest < 4 {
            return Err(Fault::End(format!("byte {}: {rest} bytes are left over", self.at)));
        }
        self.source.read_exact(&mut size).map_err(Fault::Io)?;
        let bytes = u64::from(u32::from_le_bytes(size));
        let start = self.at;
        self.at += 4 + bytes;
        if bytes > rest - 4 || bytes > MAX_FEATURE_BYTES {
            let reason =
                format!("byte {start}: a feature of {bytes} bytes, but the file ends at {}", self.layer.length);
            return Err(Fault::End(reason));
        }
        self.buffer.clear();
        self.buffer.extend(size);
        self.source.by_ref().take(bytes).read_to_end(&mut self.buffer).map_err(Fault::Io)?;
        let wrong = |reason: String| Fault::Feature(format!("byte {start}: {reason}"));
        let feature = size_prefixed_root_as_feature(&self.buffer).map_err(|e| wrong(damage(&e)))?;
        let shape = match feature.geometry() {
            Some(geometry) => geometry::shape(&geometry, self.layer.kind).map_err(wrong)?,
            None => Default::default(),
        };
        let own = feature.columns().map(|columns| property::columns(columns.into_iter()));
        let columns = own.as_deref().unwrap_or(&self.layer.columns);
        let properties = feature.properties().map(|p| p.bytes()).unwrap_or_default();
        let fields = property::fields(properties, columns, self.record, report).map_err(wrong)?;
        Ok(Feature { record: self.record, id: None, shape, fields })
    }
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let (layer, source) = Layer::open(path)?;
    let is_swapped = has_swapped_axes(&options.map);
    let mut look = Look::default();
    let mut features = Features::new(&layer, source);
    let mut unused = SourceReport::default();
    while features.record < SAMPLE_FEATURES && features.at < layer.start + SAMPLE_BYTES {
        match features.next(&mut unused) {
            Some(Ok(feature)) => look.take(feature, is_swapped),
            Some(Err(Fault::Feature(_))) => {}
            _ => break,
        }
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let by_name = Some(layer.name.as_str()).filter(|name| !name.is_empty() && *name != stem);
    let class = suggest(&look.sample(&stem)).or_else(|| suggest(&look.sample(by_name?)));
    let extent = layer.extent.map(|[a, b, c, d]| if is_swapped { [b, a, d, c] } else { [a, b, c, d] });
    let (crs, crs_text) = match layer.crs {
        Ok(crs) => (Some(crs), None),
        Err(text) => (None, Some(text).filter(|text| !text.is_empty())),
    };
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs_from: if crs.is_some() { "header".into() } else { String::new() },
        crs,
        crs_text,
        needs_crs: true,
        encoding: Some(("UTF-8".into(), "FlatGeobuf".into())),
        source_extent: extent.or(look.extent),
        records: (layer.count > 0).then_some(layer.count),
        companions: Vec::new(),
        class,
    }))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let (layer, source) = Layer::open(job.path)?;
    let mut features = Features::new(&layer, source);
    let mut maker = Maker::new(job);
    let names: Vec<_> = layer.columns.iter().map(|c| c.name.clone()).collect();
    maker.settle_id(&names);
    while let Some(feature) = features.next(report) {
        match feature {
            Ok(feature) => maker.take(feature, out, report)?,
            Err(Fault::Feature(reason)) => report.skip(features.record, reason),
            Err(Fault::Io(source)) => return Err(io_error(job.path)(source)),
            Err(Fault::End(reason)) => {
                let message = format!("the file is damaged or cut off: {reason}");
                report.warn("truncated", message, format!("record {}", features.record));
                report.skip(features.record, reason);
                break;
            }
        }
        if features.record.is_multiple_of(FEATURES_A_STEP) {
            out.progress((features.at as f64 / layer.length.max(1) as f64).min(1.0) as f32);
        }
    }
    account(&layer, features.record, report);
    maker.finish(out, report)?;
    Ok(())
}

/// Holds the features read against the header's count.
fn account(layer: &Layer, records: u64, report: &mut SourceReport) {
    if layer.count == records || layer.count == 0 {
        return;
    }
    let message = format!("the header says {} features, the file holds {records}", layer.count);
    report.warn("count_mismatch", message.clone(), "header");
    if layer.count > records {
        report.skip(records + 1, message);
        report.skipped += layer.count - records - 1;
    }
}

#[cfg(test)]
mod tests;
