//! Rows read back from a layer's GeoParquet file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{
    Array, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray, TimestampMillisecondArray,
};
use glam::DVec3;
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector},
};

use super::{HeldRow, StoreError, footers, objects, row::Row, row_file::SomeRows, shape::Kind, sums::Checked};
use crate::model::{Class, Domain, Extent, Stage};

/// Bytes of rows that are unpacked at a time, as far as they are about equally large.
const BATCH_BYTES: usize = 16 << 20;

/// Which rows to read.
pub(crate) enum Rows<'a> {
    /// All.
    All,
    /// These, ascending without repetition.
    These(&'a [u32]),
}

/// Reads rows without their `shape`, which may be megabytes of a DEM, in the order of the file.
#[derive(Debug)]
pub(crate) enum HeldRows {
    /// Batch by batch.
    Parquet(RowReader),
    /// A few, from the file beside it.
    Some(SomeRows),
}

impl HeldRows {
    /// Opens a layer's file.
    pub(crate) fn open(path: &Path, rows: Rows<'_>) -> Result<Self, StoreError> {
        if let Rows::These(wanted) = rows
            && let Some(rows) = SomeRows::open(path, wanted)?
        {
            return Ok(Self::Some(rows));
        }
        let schema = objects::schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).filter(|n| *n != "shape").collect();
        Ok(Self::Parquet(RowReader::new(path, open(path, &rows, Some(&names))?)))
    }
}

impl Iterator for HeldRows {
    type Item = Result<Arc<HeldRow>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Parquet(rows) => Some(rows.next()?.map(|row| Arc::new(row.into()))),
            Self::Some(rows) => rows.next(),
        }
    }
}

/// Reads rows in the order of the file, batch by batch.
#[derive(Debug)]
pub(crate) struct RowReader {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    next: usize,
    is_broken: bool,
}

impl RowReader {
    /// Opens a layer's file.
    pub(crate) fn open(path: &Path, rows: Rows<'_>) -> Result<Self, StoreError> {
        Ok(Self::new(path, open(path, &rows, None)?))
    }

    fn new(path: &Path, reader: ParquetRecordBatchReader) -> Self {
        Self { path: path.to_path_buf(), reader, batch: None, next: 0, is_broken: false }
    }
}

/// Runs a step of the Parquet reader. On damaged pages it may panic instead of returning an error; that must not
/// take a server or an import down, so it becomes what it is: a damaged file.
fn guarded<T>(path: &Path, step: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // The reader is not used again after an error, so what the panic left half done is never seen.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(step))
        .unwrap_or_else(|_| Err(StoreError::damaged(path, "a page of it cannot be decoded")))
}

fn next_batch(path: &Path, reader: &mut ParquetRecordBatchReader) -> Result<Option<RecordBatch>, StoreError> {
    guarded(path, || reader.next().transpose().map_err(|e| StoreError::damaged(path, e)))
}

fn open(path: &Path, rows: &Rows<'_>, columns: Option<&[&str]>) -> Result<ParquetRecordBatchReader, StoreError> {
    guarded(path, || open_unguarded(path, rows, columns))
}

fn open_unguarded(
    path: &Path,
    rows: &Rows<'_>,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, StoreError> {
    let file = Checked::open(path)?;
    // With the places of the pages, only those of the wanted rows are read.
    let builder = match rows {
        Rows::All => ParquetRecordBatchReaderBuilder::try_new(file),
        Rows::These(_) => {
            footers::of(path, &file).map(|footer| ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer))
        }
    };
    let mut builder = builder.map_err(StoreError::parquet(path))?;
    let (found, known) = (builder.schema(), objects::schema());
    let same = found.fields().len() == known.fields().len()
        && found
            .fields()
            .iter()
            .zip(known.fields())
            .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
    if !same {
        return Err(StoreError::damaged(path, "its columns are not those of a Groundline layer"));
    }
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    if let Rows::These(rows) = rows {
        let total = builder.metadata().file_metadata().num_rows();
        let mut selectors = Vec::new();
        let mut at = 0u64;
        for &row in rows.iter().filter(|r| i64::from(**r) < total) {
            let row = u64::from(row);
            if row > at {
                selectors.push(RowSelector::skip((row - at) as usize));
            }
            selectors.push(RowSelector::select(1));
            at = row + 1;
        }
        builder = builder.with_row_selection(RowSelection::from(selectors));
    }
    // Few rows a batch where shapes are read: one may be a DEM block of many megabytes.
    let row_bytes = builder.metadata().row_groups().iter().map(|g| g.total_byte_size() / g.num_rows().max(1)).max();
    let row_bytes = usize::try_from(row_bytes.unwrap_or(0)).unwrap_or(0).max(1);
    let has_shapes = columns.is_none_or(|columns| columns.contains(&"shape"));
    let batch_rows = if !has_shapes { 2048 } else { (BATCH_BYTES / row_bytes).clamp(1, 256) };
    builder.with_batch_size(batch_rows).build().map_err(StoreError::parquet(path))
}

impl Iterator for RowReader {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = &self.batch
                && self.next < batch.num_rows()
            {
                self.next += 1;
                let row = row_at(batch, self.next - 1);
                return Some(row.ok_or_else(|| StoreError::damaged(&self.path, "a row is not understood")));
            }
            if self.is_broken {
                return None;
            }
            match next_batch(&self.path, &mut self.reader) {
                Ok(Some(batch)) => (self.batch, self.next) = (Some(batch), 0),
                Ok(None) => return None,
                Err(e) => {
                    (self.is_broken, self.batch) = (true, None);
                    return Some(Err(e));
                }
            }
        }
    }
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Option<&'a T> {
    batch.column_by_name(name)?.as_any().downcast_ref::<T>()
}

fn text<'a>(batch: &'a RecordBatch, name: &str, at: usize) -> Option<Option<&'a str>> {
    let array = column::<StringArray>(batch, name)?;
    Some(array.is_valid(at).then(|| array.value(at)))
}

fn bytes(batch: &RecordBatch, name: &str, at: usize) -> Option<Vec<u8>> {
    let Some(array) = column::<BinaryArray>(batch, name) else {
        return Some(Vec::new());
    };
    Some(if array.is_valid(at) { array.value(at).to_vec() } else { Vec::new() })
}

fn whole(batch: &RecordBatch, name: &str, at: usize) -> Option<u64> {
    u64::try_from(column::<Int64Array>(batch, name)?.value(at)).ok()
}

fn time(batch: &RecordBatch, name: &str, at: usize) -> Option<Option<i64>> {
    let array = column::<TimestampMillisecondArray>(batch, name)?;
    Some(array.is_valid(at).then(|| array.value(at)))
}

fn row_at(batch: &RecordBatch, at: usize) -> Option<Row> {
    let kind = Kind::parse(text(batch, "shape_kind", at)??)?;
    Some(Row {
        id: text(batch, "id", at)??.to_owned(),
        class: Class::parse(text(batch, "class", at)??)?,
        stage: Stage::parse(text(batch, "stage", at)??)?,
        domain: Domain::parse(text(batch, "domain", at)??)?,
        name: text(batch, "name", at)?.map(str::to_owned),
        parent: text(batch, "parent", at)?.map(str::to_owned),
        record: whole(batch, "record", at)?,
        part: u32::try_from(whole(batch, "part", at)?).ok()?,
        kind,
        wkb: bytes(batch, "geometry", at)?,
        extent: extent_at(batch, at)?,
        stands_on_terrain: false,
        valid_from: time(batch, "valid_from", at)?,
        valid_to: time(batch, "valid_to", at)?,
        attributes: text(batch, "attributes", at)??.to_owned(),
        provenance: text(batch, "provenance", at)??.to_owned(),
        shape: bytes(batch, "shape", at)?,
        points: whole(batch, "points", at)?,
        source: 0,
    })
}

fn extent_at(batch: &RecordBatch, at: usize) -> Option<Extent> {
    let bbox = column::<StructArray>(batch, "bbox")?;
    let edge = |i: usize| -> Option<f64> {
        let array = bbox.columns().get(i)?.as_any().downcast_ref::<Float64Array>()?;
        Some(if array.is_valid(at) { array.value(at) } else { f64::NAN })
    };
    let height = |name: &str| -> Option<f64> {
        let array = column::<Float64Array>(batch, name)?;
        Some(if array.is_valid(at) { array.value(at) } else { f64::NAN })
    };
    let extent = Extent {
        min: DVec3::new(edge(0)?, edge(1)?, height("z_min")?),
        max: DVec3::new(edge(2)?, edge(3)?, height("z_max")?),
    };
    Some(if extent.min.is_finite() && extent.max.is_finite() { extent } else { Extent::EMPTY })
}

/// The boxes of all rows, in the order of the file; those without a place are empty.
pub(crate) fn read_boxes(path: &Path) -> Result<Vec<Extent>, StoreError> {
    let mut reader = open(path, &Rows::All, Some(&["bbox", "z_min", "z_max"]))?;
    let mut boxes = Vec::new();
    while let Some(batch) = next_batch(path, &mut reader)? {
        for at in 0..batch.num_rows() {
            boxes.push(extent_at(&batch, at).ok_or_else(|| StoreError::damaged(path, "a box is not understood"))?);
        }
    }
    Ok(boxes)
}

/// Hands over text columns row by row, read without the others, until `each` says that it has enough.
pub(crate) fn read_texts(
    path: &Path,
    columns: &[&str],
    each: &mut dyn FnMut(&[Option<&str>]) -> bool,
) -> Result<(), StoreError> {
    let mut reader = open(path, &Rows::All, Some(columns))?;
    while let Some(batch) = next_batch(path, &mut reader)? {
        let mut row = vec![None; columns.len()];
        for at in 0..batch.num_rows() {
            for (text_of, name) in row.iter_mut().zip(columns) {
                *text_of =
                    text(&batch, name, at).ok_or_else(|| StoreError::damaged(path, "a text is not understood"))?;
            }
            if !each(&row) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The id, parent, class and attributes of a row, and from when to when it is valid.
type Period<'a> = ([Option<&'a str>; 4], (Option<i64>, Option<i64>));

/// Hands over row by row who is valid when, until `each` says that it has enough.
pub(crate) fn read_periods(
    path: &Path,
    each: &mut dyn FnMut([Option<&str>; 4], (Option<i64>, Option<i64>)) -> bool,
) -> Result<(), StoreError> {
    let columns = ["id", "parent", "class", "attributes", "valid_from", "valid_to"];
    let mut reader = open(path, &Rows::All, Some(&columns))?;
    while let Some(batch) = next_batch(path, &mut reader)? {
        for at in 0..batch.num_rows() {
            let (texts, period) =
                period_at(&batch, at).ok_or_else(|| StoreError::damaged(path, "a row is not understood"))?;
            if !each(texts, period) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn period_at(batch: &RecordBatch, at: usize) -> Option<Period<'_>> {
    let text = |name| text(batch, name, at);
    let texts = [text("id")?, text("parent")?, text("class")?, text("attributes")?];
    Some((texts, (time(batch, "valid_from", at)?, time(batch, "valid_to", at)?)))
}

/// Hands over the `shape` of each of these rows, ascending without repetition, until `each` says that it has enough.
pub(crate) fn read_shapes(path: &Path, rows: &[u32], each: &mut dyn FnMut(&[u8]) -> bool) -> Result<(), StoreError> {
    let mut reader = open(path, &Rows::These(rows), Some(&["shape"]))?;
    while let Some(batch) = next_batch(path, &mut reader)? {
        let shapes = column::<BinaryArray>(&batch, "shape").ok_or_else(|| StoreError::damaged(path, "no shapes"))?;
        for at in 0..shapes.len() {
            if !each(if shapes.is_valid(at) { shapes.value(at) } else { &[] }) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Row numbers of the rows with this kind of shape.
pub(crate) fn rows_of_kind(path: &Path, wanted: Kind) -> Result<Vec<u32>, StoreError> {
    rows_with_word(path, "shape_kind", wanted.word())
}

/// Row numbers of the rows with `word` in the text column `name`.
pub(crate) fn rows_with_word(path: &Path, name: &str, word: &str) -> Result<Vec<u32>, StoreError> {
    let mut reader = open(path, &Rows::All, Some(&[name]))?;
    let (mut rows, mut number) = (Vec::new(), 0u32);
    while let Some(batch) = next_batch(path, &mut reader)? {
        for at in 0..batch.num_rows() {
            if text(&batch, name, at).flatten() == Some(word) {
                rows.push(number);
            }
            number = number.saturating_add(1);
        }
    }
    Ok(rows)
}
