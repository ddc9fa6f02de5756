//! A layer's objects as GeoParquet 1.1.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch, StructArray,
    builder::{BinaryBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder},
};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::ColumnPath,
};
use rayon::prelude::*;

use super::{StoreError, row::Row, wkb};
use crate::{
    fault::{self, Output, Place},
    model::Extent,
};

/// Rows of a row group: what a reader may skip at once. A part of a layer has fewer.
const GROUP_ROWS: usize = 65_536;
/// Rows of a page: what is decoded to read one object.
const PAGE_ROWS: usize = 512;
/// Bytes of a column's dictionary, beyond which its values stand for themselves.
const MOST_DICTIONARY_BYTES: usize = 32 << 10;
/// A batch is handed to the writer when it has this many rows or bytes.
const BATCH_ROWS: usize = 4_096;
const BATCH_BYTES: usize = 32 << 20;

/// The columns of every layer, in their order.
pub(crate) fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let time = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        text("id", false),
        text("class", false),
        text("stage", false),
        text("domain", false),
        text("name", true),
        text("parent", true),
        Field::new("record", DataType::Int64, false),
        Field::new("part", DataType::Int64, false),
        Field::new("geometry", DataType::Binary, true),
        Field::new("bbox", DataType::Struct(bbox_fields()), false),
        Field::new("z_min", DataType::Float64, true),
        Field::new("z_max", DataType::Float64, true),
        Field::new("valid_from", time(), true),
        Field::new("valid_to", time(), true),
        text("attributes", false),
        text("provenance", false),
        text("shape_kind", false),
        Field::new("shape", DataType::Binary, true),
        Field::new("points", DataType::Int64, false),
    ]))
}

fn bbox_fields() -> Fields {
    ["xmin", "ymin", "xmax", "ymax"].iter().map(|n| Field::new(*n, DataType::Float64, true)).collect()
}

/// Writes a file row by row; its columns are packed on all cores.
pub(crate) struct ObjectsWriter<'a> {
    path: &'a Path,
    crs: serde_json::Value,
    writer: SerializedFileWriter<Output>,
    groups: ArrowRowGroupWriterFactory,
    /// Of the row group in the making.
    columns: Vec<ArrowColumnWriter>,
    group_rows: usize,
    batch: Batch,
    types: BTreeSet<&'static str>,
    extent: Extent,
}

impl<'a> ObjectsWriter<'a> {
    /// Starts the file; `crs` is the PROJJSON of the city's system.
    pub(crate) fn new(path: &'a Path, crs: serde_json::Value) -> Result<Self, StoreError> {
        let file = Output::create(path).map_err(StoreError::at(path))?;
        fault::at(Place::RowsBegun);
        let level = ZstdLevel::try_new(3).map_err(StoreError::parquet(path))?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by("groundline".into())
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(PAGE_ROWS / 2);
        // A dictionary is read whole for a single row: only what has few values gets one.
        properties = properties.set_dictionary_enabled(false).set_dictionary_page_size_limit(MOST_DICTIONARY_BYTES);
        for column in ["class", "stage", "domain", "shape_kind", "provenance"] {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), true);
        }
        let (writer, groups) = ArrowWriter::try_new(file, schema(), Some(properties.build()))
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(StoreError::parquet(path))?;
        Ok(Self {
            path,
            crs,
            writer,
            groups,
            columns: Vec::new(),
            group_rows: 0,
            batch: Batch::default(),
            types: BTreeSet::new(),
            extent: Extent::EMPTY,
        })
    }

    /// Writes one row.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), StoreError> {
        self.extent.merge(&row.extent);
        self.types.extend(wkb::type_name(&row.wkb));
        self.batch.push(row);
        if self.batch.rows >= BATCH_ROWS || self.batch.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.batch.rows == 0 {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch).finish().map_err(|e| StoreError::damaged(self.path, e))?;
        self.write(&batch).map_err(StoreError::parquet(self.path))?;
        // DEM blocks and pictures are large: their row groups are cut by size, so that memory stays bounded.
        let bytes: usize = self.columns.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum();
        if self.group_rows >= GROUP_ROWS || bytes > 4 * BATCH_BYTES {
            self.end_group().map_err(StoreError::parquet(self.path))?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            self.columns = self.groups.create_column_writers(self.writer.flushed_row_groups().len())?;
        }
        let mut leaves = Vec::with_capacity(self.columns.len());
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            leaves.extend(compute_leaves(field, column)?);
        }
        self.group_rows += batch.num_rows();
        self.columns.par_iter_mut().zip(leaves).try_for_each(|(column, leaf)| column.write(&leaf))
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            return Ok(());
        }
        self.group_rows = 0;
        let columns = std::mem::take(&mut self.columns).into_par_iter();
        let chunks = columns.map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>()?;
        let mut group = self.writer.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close().map(drop)
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        self.flush()?;
        self.end_group().map_err(StoreError::parquet(self.path))?;
        fault::at(Place::RowsWritten);
        let geo = geo_metadata(&self.crs, &self.types, &self.extent);
        self.writer.append_key_value_metadata(KeyValue::new("geo".into(), geo.to_string()));
        self.writer.close().map_err(StoreError::parquet(self.path))?;
        Ok(())
    }
}

/// The `geo` entry of the file's metadata (GeoParquet 1.1.0).
fn geo_metadata(crs: &serde_json::Value, types: &BTreeSet<&str>, extent: &Extent) -> serde_json::Value {
    let edge = |name: &str| serde_json::json!(["bbox", name]);
    let mut column = serde_json::json!({
        "encoding": "WKB",
        "geometry_types": types,
        "crs": crs,
        "edges": "planar",
        "covering": {"bbox": {"xmin": edge("xmin"), "ymin": edge("ymin"), "xmax": edge("xmax"), "ymax": edge("ymax")}},
    });
    if !extent.is_empty() {
        column["bbox"] = serde_json::json!([extent.min.x, extent.min.y, extent.max.x, extent.max.y]);
    }
    serde_json::json!({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}})
}

/// Rows as columns.
struct Batch {
    rows: usize,
    bytes: usize,
    texts: [StringBuilder; 9],
    record: Int64Builder,
    part: Int64Builder,
    points: Int64Builder,
    geometry: BinaryBuilder,
    shape: BinaryBuilder,
    edges: [Float64Builder; 6],
    times: [TimestampMillisecondBuilder; 2],
}

impl Default for Batch {
    fn default() -> Self {
        let time = || TimestampMillisecondBuilder::new().with_timezone("UTC");
        Self {
            rows: 0,
            bytes: 0,
            texts: Default::default(),
            record: Default::default(),
            part: Default::default(),
            points: Default::default(),
            geometry: Default::default(),
            shape: Default::default(),
            edges: Default::default(),
            times: [time(), time()],
        }
    }
}

impl Batch {
    fn push(&mut self, row: &Row) {
        self.rows += 1;
        self.bytes += row.wkb.len() + row.shape.len() + row.attributes.len() + row.provenance.len();
        let texts = [
            Some(row.id.as_str()),
            Some(row.class.word()),
            Some(row.stage.word()),
            Some(row.domain.word()),
            row.name.as_deref(),
            row.parent.as_deref(),
            Some(&row.attributes),
            Some(&row.provenance),
            Some(row.kind.word()),
        ];
        self.texts.iter_mut().zip(texts).for_each(|(builder, text)| builder.append_option(text));
        let whole = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
        self.record.append_value(whole(row.record));
        self.part.append_value(i64::from(row.part));
        self.points.append_value(whole(row.points));
        self.geometry.append_option((!row.wkb.is_empty()).then_some(&row.wkb));
        self.shape.append_option((!row.shape.is_empty()).then_some(&row.shape));
        let Extent { min, max } = row.extent;
        let is_placed = !row.extent.is_empty();
        let edges = [min.x, min.y, max.x, max.y, min.z, max.z];
        self.edges.iter_mut().zip(edges).for_each(|(builder, v)| builder.append_option(is_placed.then_some(v)));
        self.times[0].append_option(row.valid_from);
        self.times[1].append_option(row.valid_to);
    }

    fn finish(self) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let [id, class, stage, domain, name, parent, attributes, provenance, kind] =
            self.texts.map(|mut b| Arc::new(b.finish()) as ArrayRef);
        let [x0, y0, x1, y1, z0, z1] = self.edges.map(|mut b| Arc::new(b.finish()) as ArrayRef);
        let [from, to] = self.times.map(|mut b| Arc::new(b.finish()) as ArrayRef);
        let [record, part, points] =
            [self.record, self.part, self.points].map(|mut b| Arc::new(b.finish()) as ArrayRef);
        let [geometry, shape] = [self.geometry, self.shape].map(|mut b| Arc::new(b.finish()) as ArrayRef);
        let bbox = Arc::new(StructArray::try_new(bbox_fields(), vec![x0, y0, x1, y1], None)?) as ArrayRef;
        let columns = vec![
            id, class, stage, domain, name, parent, record, part, geometry, bbox, z0, z1, from, to, attributes,
            provenance, kind, shape, points,
        ];
        RecordBatch::try_new(schema(), columns)
    }
}
