//! GeoParquet (OGC 24-013, versions 0.1 to 1.1): the primary geometry column and the attributes, row group by row
//! group and within it batch by batch, so that memory does not grow with the file.

mod footer;
mod geo;
mod geometry;
mod value;

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;
use groundline_engine::model::SourceReport;
use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    },
    basic::Compression,
};

use crate::{
    feature::{Feature, Look, Maker, has_swapped_axes, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};
use geo::Geo;

/// The GeoParquet importer.
pub static FORMAT: Format = Format {
    name: "geoparquet",
    title: "GeoParquet (points, lines, polygons)",
    title_zh: "GeoParquet 矢量数据",
    extensions: &["parquet", "geoparquet"],
    probe,
    read,
    memory_per_byte: 6.0,
};

/// Rows in one batch, and the bytes that a batch should stay below by the file's own account.
const BATCH_ROWS: usize = 512;
const BATCH_BYTES: i64 = 64 << 20;
/// Rows that a first look takes.
const SAMPLE_ROWS: usize = 32;

fn io_error(path: &Path) -> impl Fn(io::Error) -> ImportError + '_ {
    move |source| ImportError::Io { path: path.into(), source }
}

fn bad(path: &Path, place: impl Into<String>, reason: impl Into<String>) -> ImportError {
    ImportError::Bad { path: path.into(), place: place.into(), reason: reason.into() }
}

/// The library's decoders panic on some damaged pages (seen in its bit reader); that is a reason like any other.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("its pages are damaged".into()))
}

/// A compression that is not built in.
fn unread_codec(metadata: &ArrowReaderMetadata) -> Option<Compression> {
    let groups = metadata.metadata().row_groups().iter();
    let codecs = groups.flat_map(|group| group.columns()).map(|column| column.compression());
    let is_read = |codec: &Compression| {
        let read = [Compression::UNCOMPRESSED, Compression::SNAPPY];
        read.contains(codec) || matches!(codec, Compression::ZSTD(_) | Compression::GZIP(_))
    };
    codecs.into_iter().find(|codec| !is_read(codec))
}

/// An open file.
struct Table {
    file: File,
    metadata: ArrowReaderMetadata,
    geo: Geo,
}

impl Table {
    /// Opens a file and reads its footer; `Ok(None)` for a Parquet file that says nothing of geometries.
    fn open(path: &Path) -> Result<Option<Self>, ImportError> {
        let file = File::open(path).map_err(io_error(path))?;
        footer::check(&file).map_err(io_error(path))?.map_err(|reason| bad(path, "footer", reason))?;
        // The schema that Arrow hides in the metadata may say anything; the types of Parquet itself are enough.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let load = || ArrowReaderMetadata::load(&file, options).map_err(|error| error.to_string());
        let metadata = guarded(load).map_err(|reason| bad(path, "footer", reason))?;
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let text = pairs.into_iter().flatten().find(|pair| pair.key == "geo").and_then(|pair| pair.value.as_deref());
        let Some(text) = text else { return Ok(None) };
        let geo = Geo::parse(text).map_err(|reason| bad(path, "geo metadata", reason))?;
        if let Some(codec) = unread_codec(&metadata) {
            let reason =
                format!("it is compressed with {codec}, which is not read: write it with zstd, snappy or gzip");
            return Err(bad(path, "footer", reason));
        }
        if metadata.schema().column_with_name(&geo.column).is_none() {
            return Err(bad(path, "geo metadata", format!("there is no column {}", geo.column)));
        }
        Ok(Some(Self { file, metadata, geo }))
    }

    fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Rows of a row group by the footer.
    fn rows(&self, group: usize) -> u64 {
        u64::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    fn batches(&self, group: usize, most: usize) -> Result<ParquetRecordBatchReader, String> {
        let file = self.file.try_clone().map_err(|error| error.to_string())?;
        let about = self.metadata.metadata().row_group(group);
        let row_bytes = (about.total_byte_size() / about.num_rows().max(1)).max(1);
        let rows = usize::try_from(BATCH_BYTES / row_bytes).unwrap_or(1).clamp(1, most);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let builder = builder.with_row_groups(vec![group]).with_batch_size(rows);
        builder.build().map_err(|error| error.to_string())
    }

    /// Columns that become attributes.
    fn attributes(&self) -> Vec<(usize, Arc<str>)> {
        let is_box = |name: &str, kind: &DataType| match kind {
            DataType::Struct(members) => {
                let has = |wanted: &str| members.iter().any(|m| m.name() == wanted);
                self.geo.boxes.iter().any(|b| b == name)
                    || (members.len() <= 6 && ["xmin", "ymin", "xmax", "ymax"].iter().all(|w| has(w)))
            }
            _ => false,
        };
        let fields = self.metadata.schema().fields().iter().enumerate();
        let kept = fields.filter(|(_, field)| {
            let name = field.name();
            // A box repeats what the geometry says; further geometries are told of when the file is read.
            *name != self.geo.column && !self.geo.others.contains(name) && !is_box(name, field.data_type())
        });
        kept.map(|(i, field)| (i, Arc::from(field.name().as_str()))).collect()
    }
}

/// Features out of a batch.
struct Features<'t> {
    batch: &'t RecordBatch,
    geometry: ArrayRef,
    table: &'t Table,
    attributes: &'t [(usize, Arc<str>)],
}

impl<'t> Features<'t> {
    fn of(batch: &'t RecordBatch, table: &'t Table, attributes: &'t [(usize, Arc<str>)]) -> Result<Self, String> {
        let geometry = batch.column_by_name(&table.geo.column).ok_or("it lacks its geometry column")?.clone();
        Ok(Self { batch, geometry, table, attributes })
    }

    fn feature(&self, row: usize, record: u64, report: &mut SourceReport) -> Result<Feature, String> {
        let shape = geometry::shape(&self.geometry, row, self.table.geo.encoding)?;
        let (mut fields, mut left_out) = (Vec::new(), Vec::new());
        for (index, name) in self.attributes {
            value::add(name, self.batch.column(*index), row, 0, &mut fields, &mut left_out);
        }
        for name in left_out {
            let message = format!("column {name} holds values that have no text form; they were left out");
            report.warn("binary_column", message, format!("record {record}"));
        }
        Ok(Feature { record, id: None, shape, fields })
    }
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let Some(table) = Table::open(path)? else {
        let reason = "it is Parquet, but has no geo metadata: no GeoParquet";
        return Err(bad(path, "footer", reason));
    };
    let attributes = table.attributes();
    let is_swapped = has_swapped_axes(&options.map);
    let mut look = Look::default();
    let mut unused = SourceReport::default();
    if table.groups() > 0 {
        // A file that cannot be decoded says so when it is read.
        let first = guarded(|| table.batches(0, SAMPLE_ROWS)?.next().transpose().map_err(|e| e.to_string()));
        if let Ok(Some(batch)) = &first
            && let Ok(features) = Features::of(batch, &table, &attributes)
        {
            for row in 0..batch.num_rows() {
                if let Ok(feature) = features.feature(row, 0, &mut unused) {
                    look.take(feature, is_swapped);
                }
            }
        }
    }
    let extent = table.geo.extent.map(|[a, b, c, d]| if is_swapped { [b, a, d, c] } else { [a, b, c, d] });
    let (crs, crs_text) = match table.geo.crs.clone() {
        Ok(crs) => (Some(crs), None),
        Err(text) => (None, Some(text).filter(|text| !text.is_empty())),
    };
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs,
        crs_from: table.geo.crs_from.into(),
        crs_text,
        needs_crs: true,
        encoding: Some(("UTF-8".into(), "Parquet".into())),
        source_extent: extent.or(look.extent),
        records: Some((0..table.groups()).map(|group| table.rows(group)).sum()),
        companions: Vec::new(),
        class: suggest(&look.sample(&path.file_stem().unwrap_or_default().to_string_lossy())),
    }))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let gone = || bad(job.path, "footer", "it has no geo metadata");
    let table = Table::open(job.path)?.ok_or_else(gone)?;
    let attributes = table.attributes();
    for name in &table.geo.others {
        report.warn("other_geometry", format!("geometry column {name} was not read, only {}", table.geo.column), "");
    }
    if table.geo.is_spherical {
        let message = "edges are great circles by the file's account and were taken as straight lines";
        report.warn("spherical_edges", message, "geo metadata");
    }
    let said = u64::try_from(table.metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
    let listed: u64 = (0..table.groups()).map(|group| table.rows(group)).sum();
    if said != listed {
        let message = format!("the footer says {said} rows, its row groups hold {listed}");
        report.warn("count_mismatch", message.clone(), "footer");
        report.skip(0, message);
    }
    let mut maker = Maker::new(job);
    let names: Vec<Arc<str>> = attributes.iter().map(|(_, name)| name.clone()).collect();
    maker.settle_id(&names);
    let (mut start, mut good, mut failure) = (0, 0_u64, None);
    for group in 0..table.groups() {
        let rows = table.rows(group);
        let mut record = start;
        let outcome = guarded(|| table.batches(group, BATCH_ROWS));
        let mut batches = match outcome {
            Ok(batches) => Some(batches),
            Err(reason) => {
                failure = failure.or(Some((group, reason)));
                None
            }
        };
        while let Some(reader) = &mut batches {
            let batch = match guarded(|| reader.next().transpose().map_err(|error| error.to_string())) {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(reason) => {
                    let message = format!("row group {} cannot be read further: {reason}", group + 1);
                    report.warn("truncated", message, format!("record {}", record + 1));
                    failure = failure.or(Some((group, reason)));
                    break;
                }
            };
            let features =
                Features::of(&batch, &table, &attributes).map_err(|reason| bad(job.path, "schema", reason))?;
            for row in 0..batch.num_rows() {
                record += 1;
                match features.feature(row, record, report) {
                    Ok(feature) => {
                        good += 1;
                        maker.take(feature, out, report)?;
                    }
                    Err(reason) => report.skip(record, reason),
                }
            }
            out.progress((record as f64 / listed.max(1) as f64).min(1.0) as f32);
        }
        account(group, start + rows, record, failure.as_ref(), report);
        start += rows;
    }
    maker.finish(out, report)?;
    match failure {
        Some((group, reason)) if good == 0 => Err(bad(job.path, format!("row group {}", group + 1), reason)),
        _ => Ok(()),
    }
}

/// Counts the rows of a row group that did not come.
fn account(group: usize, expected: u64, record: u64, failure: Option<&(usize, String)>, report: &mut SourceReport) {
    if expected <= record {
        return;
    }
    let why = match failure {
        Some((broken, reason)) if *broken == group => reason.as_str(),
        _ => "it ends early",
    };
    let missing = expected - record;
    report.skip(record + 1, format!("{missing} rows of row group {} are lost: {why}", group + 1));
    report.skipped += missing - 1;
}

#[cfg(test)]
mod tests;
