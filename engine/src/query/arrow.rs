//! Hits as a stream of Apache Arrow: a table that pandas, GeoPandas, Polars, DuckDB and R take in without reading text.

use std::{collections::HashMap, io::Write, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{BinaryBuilder, Float64Builder, StringBuilder, TimestampMillisecondBuilder, UInt32Builder},
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::json;

use super::hit::Hit;
use crate::store::StoreError;

/// Rows and bytes of texts and shapes after which a batch is written.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 1 << 20;

/// What the table holds beside the members of a hit.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArrowForm {
    /// Columns `question`, the number of the question that a row answers, and `error`, the reason where it has no answer.
    pub by_question: bool,
    /// Column `geometry`: footprint or axis as WKB in the city's system, marked as GeoArrow (`geoarrow.wkb`).
    pub geometry: bool,
}

/// Writes hits as they come.
///
/// Columns: `id`, `layer`, `class`, `stage`, `domain`, `name`, `parent`, the corners `x_min` … `z_max` and `distance_m` in metres of the
/// city's system, `exact`, `valid_from`, `valid_to`, `attributes` and `assumed` as JSON objects.
pub struct ArrowWriter<W: Write> {
    writer: StreamWriter<W>,
    schema: SchemaRef,
    form: ArrowForm,
    batch: Batch,
}

#[derive(Default)]
struct Batch {
    rows: usize,
    bytes: usize,
    question: UInt32Builder,
    error: StringBuilder,
    /// In the order of [`TEXTS`].
    texts: [StringBuilder; TEXTS.len()],
    /// In the order of [`NUMBERS`].
    numbers: [Float64Builder; NUMBERS.len()],
    exact: arrow_array::builder::BooleanBuilder,
    times: [TimestampMillisecondBuilder; TIMES.len()],
    geometry: BinaryBuilder,
}

const TEXTS: [&str; 9] = ["id", "layer", "class", "stage", "domain", "name", "parent", "attributes", "assumed"];
const NUMBERS: [&str; 7] = ["x_min", "y_min", "z_min", "x_max", "y_max", "z_max", "distance_m"];
const TIMES: [&str; 2] = ["valid_from", "valid_to"];

impl<W: Write> ArrowWriter<W> {
    /// Begins a stream; `crs` is the PROJJSON of the city's system, null where it has none.
    pub fn new(out: W, form: ArrowForm, crs: &serde_json::Value) -> Result<Self, StoreError> {
        let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let mut fields = Vec::new();
        if form.by_question {
            fields.push(Field::new("question", DataType::UInt32, false));
            fields.push(Field::new("error", DataType::Utf8, true));
        }
        fields.extend(TEXTS.map(|name| Field::new(name, DataType::Utf8, true)));
        fields.extend(NUMBERS.map(|name| Field::new(name, DataType::Float64, true)));
        fields.push(Field::new("exact", DataType::Boolean, true));
        fields.extend(TIMES.map(|name| Field::new(name, time.clone(), true)));
        if form.geometry {
            let about = json!({"crs": crs, "crs_type": "projjson", "edges": "planar"});
            fields.push(Field::new("geometry", DataType::Binary, true).with_metadata(HashMap::from([
                ("ARROW:extension:name".into(), "geoarrow.wkb".into()),
                ("ARROW:extension:metadata".into(), if crs.is_null() { "{}".into() } else { about.to_string() }),
            ])));
        }
        let schema = Arc::new(Schema::new(fields));
        let writer = StreamWriter::try_new(out, &schema).map_err(failed)?;
        Ok(Self { writer, schema, form, batch: Batch::default() })
    }

    /// Writes a hit, an answer to the question of this number.
    pub fn push(&mut self, question: u32, hit: &Hit) -> Result<(), StoreError> {
        let (row, batch) = (&hit.row, &mut self.batch);
        let text = hit.text()?;
        batch.rows += 1;
        batch.bytes += row.attributes.len();
        let texts = [
            Some(row.id.as_str()),
            Some(&*hit.layer),
            Some(row.class.word()),
            Some(row.stage.word()),
            Some(row.domain.word()),
            row.name.as_deref(),
            row.parent.as_deref(),
            Some(row.attributes.as_str()),
            text.assumed.as_deref(),
        ];
        batch.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_option(text));
        let (low, high) = (row.extent.min, row.extent.max);
        let placed = |v: f64| (!row.extent.is_empty()).then_some(v);
        let corners = [low.x, low.y, low.z, high.x, high.y, high.z].map(placed);
        let numbers = corners.into_iter().chain([hit.distance_m]);
        batch.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.append_option(number));
        batch.exact.append_option(hit.exact);
        let times = [row.valid_from, row.valid_to];
        batch.times.iter_mut().zip(times).for_each(|(column, time)| column.append_option(time));
        if self.form.by_question {
            batch.question.append_value(question);
            batch.error.append_null();
        }
        if self.form.geometry {
            batch.bytes += row.wkb.len();
            batch.geometry.append_option((!row.wkb.is_empty()).then_some(&row.wkb));
        }
        self.flush_when(BATCH_ROWS, BATCH_BYTES)
    }

    /// Says why a question has no answer.
    pub fn push_error(&mut self, question: u32, reason: &str) -> Result<(), StoreError> {
        let batch = &mut self.batch;
        batch.rows += 1;
        batch.bytes += reason.len();
        batch.texts.iter_mut().for_each(StringBuilder::append_null);
        batch.numbers.iter_mut().for_each(Float64Builder::append_null);
        batch.exact.append_null();
        batch.times.iter_mut().for_each(TimestampMillisecondBuilder::append_null);
        if self.form.by_question {
            batch.question.append_value(question);
            batch.error.append_value(reason);
        }
        if self.form.geometry {
            batch.geometry.append_null();
        }
        self.flush_when(BATCH_ROWS, BATCH_BYTES)
    }

    /// Ends the stream.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.flush_when(1, 0)?;
        self.writer.finish().map_err(failed)
    }

    fn flush_when(&mut self, rows: usize, bytes: usize) -> Result<(), StoreError> {
        if self.batch.rows < rows && (self.batch.bytes < bytes || bytes == 0) {
            return Ok(());
        }
        let columns = self.batch.columns(self.form);
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(failed)?;
        self.writer.write(&batch).map_err(failed)
    }
}

impl Batch {
    /// What it holds; it is empty then and keeps its room.
    fn columns(&mut self, form: ArrowForm) -> Vec<ArrayRef> {
        (self.rows, self.bytes) = (0, 0);
        let mut columns: Vec<ArrayRef> = Vec::new();
        if form.by_question {
            columns.push(Arc::new(self.question.finish()));
            columns.push(Arc::new(self.error.finish()));
        }
        columns.extend(self.texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.extend(self.numbers.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.push(Arc::new(self.exact.finish()));
        columns.extend(self.times.iter_mut().map(|column| Arc::new(column.finish().with_timezone("UTC")) as ArrayRef));
        if form.geometry {
            columns.push(Arc::new(self.geometry.finish()));
        }
        columns
    }
}

fn failed(error: ArrowError) -> StoreError {
    let source = match error {
        ArrowError::IoError(_, source) => source,
        other => std::io::Error::other(other),
    };
    StoreError::Io { path: "answer".into(), source }
}
