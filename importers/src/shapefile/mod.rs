//! Shapefiles: .shp with .shx, .dbf, .prj and .cpg.

mod dbf;
#[cfg(test)]
mod kind_test;
mod patch;
mod shp;

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use groundline_engine::{
    crs::Crs,
    model::{SourceReport, Value},
};

use crate::{
    encoding::{self, EncodingFound},
    feature::{BLOCK, Feature, Maker, Names, Sample, has_swapped_axes, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};

/// The shapefile importer.
pub static FORMAT: Format = Format {
    name: "shapefile",
    title: "ESRI Shapefile (points, lines, polygons, multi-patches)",
    title_zh: "Shapefile 矢量数据",
    extensions: &["shp"],
    probe,
    read,
    memory_per_byte: 1.0,
};

/// A .prj or .cpg of more bytes is none.
const MAX_TEXT_BYTES: u64 = 64 * 1024;
/// Buffer of each file; records are some hundred bytes.
const BUFFER_BYTES: usize = 256 * 1024;
/// Bytes of records that are made together at most, but for the last.
const BLOCK_BYTES: usize = 32 << 20;

/// The files of one shapefile.
struct Files {
    shp: PathBuf,
    shx: Option<PathBuf>,
    dbf: Option<PathBuf>,
    prj: Option<PathBuf>,
    cpg: Option<PathBuf>,
    others: Vec<PathBuf>,
}

impl Files {
    /// Finds the companions, whatever the case of their endings.
    fn beside(shp: &Path) -> Self {
        let folder = shp.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let stem = shp.file_stem().unwrap_or_default();
        let mut files = Self { shp: shp.into(), shx: None, dbf: None, prj: None, cpg: None, others: Vec::new() };
        let mut candidates: Vec<PathBuf> = std::fs::read_dir(folder)
            .map(|entries| entries.filter_map(|e| Some(e.ok()?.path())).collect())
            .unwrap_or_default();
        candidates.sort();
        for path in candidates {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            let own = stem.to_string_lossy().to_lowercase();
            let Some(ending) = name.strip_prefix(&format!("{own}.")) else { continue };
            match ending {
                "shx" => files.shx = Some(path),
                "dbf" => files.dbf = Some(path),
                "prj" => files.prj = Some(path),
                "cpg" => files.cpg = Some(path),
                "sbn" | "sbx" | "qix" | "qpj" | "fix" | "shp.xml" | "qmd" | "idm" | "ind" | "ain" | "aih" => {
                    files.others.push(path);
                }
                _ => {}
            }
        }
        files
    }

    fn companions(&self) -> Vec<PathBuf> {
        let named = [&self.shx, &self.dbf, &self.prj, &self.cpg];
        named.into_iter().flatten().chain(&self.others).cloned().collect()
    }
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> ImportError + '_ {
    move |source| ImportError::Io { path: path.into(), source }
}

fn bad(path: &Path, place: impl Into<String>, reason: impl Into<String>) -> ImportError {
    ImportError::Bad { path: path.into(), place: place.into(), reason: reason.into() }
}

fn small_text(path: &Path) -> Option<String> {
    let is_small = std::fs::metadata(path).is_ok_and(|m| m.len() <= MAX_TEXT_BYTES);
    let bytes = is_small.then(|| std::fs::read(path).ok()).flatten()?;
    Some(encoding::decode(&bytes, None).0)
}

fn header(path: &Path) -> Result<shp::Header, ImportError> {
    let file = File::open(path).map_err(io_error(path))?;
    shp::Header::read(file).map_err(|fault| match fault {
        shp::Fault::Io(source) => io_error(path)(source),
        shp::Fault::End(reason) | shp::Fault::Record(reason) => bad(path, "header", reason),
    })
}

/// The table beside the geometry, its encoding, and what is odd about them.
struct Attributes {
    path: PathBuf,
    table: dbf::Table,
    encoding: EncodingFound,
    twice: Vec<String>,
}

impl Attributes {
    /// `Ok(Err)` says why the table cannot be used.
    fn open(files: &Files, options: &Options) -> Result<Result<Self, String>, ImportError> {
        let Some(path) = &files.dbf else { return Ok(Err("there is no .dbf".into())) };
        let open = || File::open(path).map(BufReader::new).map_err(io_error(path));
        let length = std::fs::metadata(path).map_err(io_error(path))?.len();
        let mut table = match dbf::Table::read(open()?, length).map_err(io_error(path))? {
            Ok(table) => table,
            Err(reason) => return Ok(Err(format!("the .dbf cannot be read: {reason}"))),
        };
        let sample = table.sample(open()?).map_err(io_error(path))?;
        let label = files.cpg.as_deref().and_then(small_text);
        let encoding = encoding::choose(options.encoding.as_deref(), label.as_deref(), Some(table.ldid), &sample);
        let twice = table.name_fields(&encoding);
        Ok(Ok(Self { path: path.clone(), table, encoding, twice }))
    }
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let header = header(path)?;
    let files = Files::beside(path);
    let text = files.prj.as_deref().and_then(small_text).filter(|text| !text.trim().is_empty());
    let (crs, crs_text) = match text.as_deref().map(Crs::parse) {
        Some(Ok(crs)) => (Some(crs), None),
        Some(Err(_)) => (None, text),
        None => (None, None),
    };
    let mut attributes = Attributes::open(&files, options)?.ok();
    let mut sample = Sample {
        stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        dimension: Some(header.dimension()),
        ..Sample::default()
    };
    if let Some(attributes) = &mut attributes {
        sample.fields = attributes.table.fields.iter().map(|f| f.name.clone()).collect();
        sample.values = first_values(attributes).map_err(io_error(&attributes.path))?;
    }
    let mut extent = header.extent;
    if has_swapped_axes(&options.map) {
        extent = [extent[1], extent[0], extent[3], extent[2]];
    }
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs_from: if crs.is_some() { ".prj".into() } else { String::new() },
        crs,
        crs_text,
        needs_crs: true,
        encoding: attributes.as_ref().map(|a| (a.encoding.label.clone(), a.encoding.from.clone())),
        source_extent: header.has_extent().then_some(extent),
        records: attributes.as_ref().map(|a| a.table.records()),
        companions: files.companions(),
        class: suggest(&sample),
    }))
}

/// The fields of some first records.
fn first_values(attributes: &Attributes) -> io::Result<Vec<(std::sync::Arc<str>, Value)>> {
    let file = BufReader::new(File::open(&attributes.path)?);
    let mut rows = dbf::Reader::new(file, attributes.table.clone(), attributes.encoding.clone())?;
    let mut values = Vec::new();
    // Nothing is reported twice: this look is thrown away.
    let mut unused = SourceReport::default();
    let (mut block, mut names) = (Vec::new(), Names::default());
    for _ in 0..32 {
        match rows.next(&mut block) {
            Some(Ok(row)) if row.is_deleted => {}
            Some(Ok(row)) => values.extend(rows.values(&row, &block, &mut names, &mut unused)),
            _ => break,
        }
    }
    Ok(values)
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let path = job.path;
    let files = Files::beside(path);
    let header = header(path)?;
    refuse_impossible_degrees(job, &header)?;
    let length = std::fs::metadata(&files.shp).map_err(io_error(path))?.len();
    if header.length != length {
        let message = format!("the header says {} bytes, the file has {length}", header.length);
        report.warn("length_mismatch", message, "header");
    }
    let offsets = index(&files, length, report)?;
    let indexed = offsets.as_ref().map(|o| o.len() as u64);
    let file = File::open(path).map_err(io_error(path))?;
    let mut shapes = shp::Reader::new(BufReader::with_capacity(BUFFER_BYTES, file), length, offsets);

    let mut maker = Maker::new(job);
    let mut rows = rows(&files, job, &mut maker, report)?;
    let expected = rows.as_ref().map(|(_, records)| *records).max(indexed);
    let mut count = Count::default();
    loop {
        let mut block = Block::default();
        let is_over = block.fill(&mut shapes, rows.as_mut().map(|(rows, _)| rows), &mut count, path)?;
        let Block { bytes, records, .. } = &mut block;
        let (records, bytes) = (std::mem::take(records), &*bytes);
        let rows = rows.as_ref().map(|(rows, _)| rows);
        maker.take_block(records, |raw, names, report| raw.feature(bytes, rows, names, report), out, report)?;
        if is_over {
            break;
        }
        out.progress((shapes.position() as f64 / length.max(1) as f64) as f32);
    }
    let Count { record, deleted, missing_rows } = count;
    if deleted > 0 {
        let message = format!("{deleted} records are marked as deleted in the .dbf and were left out");
        report.warn("deleted_records", message, "");
    }
    account(record, missing_rows, expected, report);
    maker.finish(out, report)
}

/// What was met so far.
#[derive(Default)]
struct Count {
    record: u64,
    deleted: u64,
    missing_rows: u64,
}

/// Records as they stand in the files, to be made together.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    records: Vec<Raw>,
}

/// One record as it stands in the files.
struct Raw {
    record: u64,
    shape: Result<shp::Content, shp::Fault>,
    row: Option<dbf::Row>,
}

impl Block {
    /// Reads records until the block is full; `true` when there are no more.
    fn fill(
        &mut self,
        shapes: &mut shp::Reader<BufReader<File>>,
        mut rows: Option<&mut dbf::Reader<BufReader<File>>>,
        count: &mut Count,
        path: &Path,
    ) -> Result<bool, ImportError> {
        while self.records.len() < BLOCK && self.bytes.len() < BLOCK_BYTES {
            let Some(shape) = shapes.next(&mut self.bytes) else { return Ok(true) };
            count.record += 1;
            let row = match &mut rows {
                Some(reader) => match reader.next(&mut self.bytes) {
                    Some(row) => Some(row.map_err(io_error(path))?),
                    None => {
                        count.missing_rows += 1;
                        None
                    }
                },
                None => None,
            };
            if row.as_ref().is_some_and(|row| row.is_deleted) {
                count.deleted += 1;
                continue;
            }
            match shape {
                Err(shp::Fault::Io(source)) => return Err(io_error(path)(source)),
                shape => {
                    let is_end = matches!(shape, Err(shp::Fault::End(_)));
                    self.records.push(Raw { record: count.record, shape, row });
                    if is_end {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}

impl Raw {
    fn feature(
        self,
        bytes: &[u8],
        rows: Option<&dbf::Reader<BufReader<File>>>,
        names: &mut Names,
        report: &mut SourceReport,
    ) -> Option<Feature> {
        let record = self.record;
        let fields = match (&self.row, rows) {
            (Some(row), Some(rows)) => rows.values(row, bytes, names, report),
            _ => Vec::new(),
        };
        let reason = match self.shape.map(|content| content.shape(bytes)) {
            Ok(Ok(shape)) => return Some(Feature { record, id: None, shape, fields }),
            Ok(Err(reason)) | Err(shp::Fault::Record(reason)) => reason,
            Err(shp::Fault::End(reason)) => {
                let message = format!("the .shp is damaged or cut off: {reason}");
                report.warn("truncated", message, format!("record {record}"));
                reason
            }
            Err(shp::Fault::Io(source)) => source.to_string(),
        };
        report.skip(record, reason);
        None
    }
}

/// Says where the counts of the files differ: a file that lacks records must not look whole.
fn account(shapes: u64, missing_rows: u64, expected: Option<u64>, report: &mut SourceReport) {
    if missing_rows > 0 {
        let message = format!(
            "{shapes} shapes, but only {} attribute records: the rest has no attributes",
            shapes - missing_rows
        );
        report.warn("count_mismatch", message, format!("record {}", shapes - missing_rows + 1));
        // Attributes that are not there count as skipped, so that the import does not end as if all were well.
        report.skip(0, format!("attributes of {missing_rows} records are missing"));
        report.skipped += missing_rows - 1;
    }
    if let Some(expected) = expected.filter(|e| *e > shapes) {
        let message = format!("{shapes} shapes, but {expected} records are listed: the rest has no shape");
        report.warn("count_mismatch", message, format!("record {}", shapes + 1));
        report.skip(shapes + 1, format!("{} records have no shape", expected - shapes));
        report.skipped += expected - shapes - 1;
    }
}

/// The offsets of the records; `None` (with a warning) where the index cannot be used.
fn index(files: &Files, length: u64, report: &mut SourceReport) -> Result<Option<Vec<u64>>, ImportError> {
    let Some(shx) = &files.shx else {
        report.warn("no_shx", "there is no .shx; records were read one after another", "");
        return Ok(None);
    };
    match shp::read_index(shx, length).map_err(io_error(shx))? {
        Ok(offsets) => Ok(Some(offsets)),
        Err(reason) => {
            report.warn("bad_shx", format!("the .shx was not used: {reason}"), "");
            Ok(None)
        }
    }
}

type Rows = (dbf::Reader<BufReader<File>>, u64);

/// The attribute records, where they can be read; their absence counts as skipped data.
fn rows(
    files: &Files,
    job: &Job<'_>,
    maker: &mut Maker<'_>,
    report: &mut SourceReport,
) -> Result<Option<Rows>, ImportError> {
    let attributes = match Attributes::open(files, job.options)? {
        Ok(attributes) => attributes,
        Err(reason) => {
            report.warn("no_dbf", format!("shapes were read without attributes: {reason}"), "");
            report.skip(0, reason);
            maker.settle_id(&[]);
            return Ok(None);
        }
    };
    let table = &attributes.table;
    for name in &attributes.twice {
        report.warn("duplicate_column", format!("column {name} comes twice; the second is {name}_2"), "header");
    }
    for oddity in &table.oddities {
        report.warn("odd_dbf_header", oddity.clone(), "header");
    }
    if let Some(warning) = &attributes.encoding.warning {
        report.warn("encoding", warning.clone(), "");
    }
    if table.has_odd_count() {
        let message = format!("the .dbf speaks of {} records and holds {}", table.header_records, table.file_records);
        report.warn("dbf_count", message, "header");
    }
    let names: Vec<_> = table.fields.iter().map(|f| f.name.clone()).collect();
    maker.settle_id(&names);
    let records = table.records();
    let file = File::open(&attributes.path).map_err(io_error(&attributes.path))?;
    let reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let reader = dbf::Reader::new(reader, attributes.table, attributes.encoding).map_err(io_error(&attributes.path))?;
    Ok(Some((reader, records)))
}

/// Latitudes beyond 90° are certainly no latitudes; where exchanging x and y would mend it, the message says how.
fn refuse_impossible_degrees(job: &Job<'_>, header: &shp::Header) -> Result<(), ImportError> {
    let [min_x, min_y, max_x, max_y] = header.extent;
    let is_mendable = max_y.abs().max(min_y.abs()) > 90.0 && max_x.abs().max(min_x.abs()) <= 90.0;
    let is_degrees = max_y.abs().max(min_y.abs()) <= 180.0;
    if job.crs.is_geographic && header.has_extent() && is_mendable && is_degrees && !has_swapped_axes(&job.options.map)
    {
        let reason =
            format!("latitudes of {min_y} to {max_y}: longitude and latitude seem to be exchanged; give --map axes=yx");
        return Err(bad(job.path, "header", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
