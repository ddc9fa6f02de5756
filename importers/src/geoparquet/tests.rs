//! Whole, odd and damaged GeoParquet files, written by the library.

use arrow_array::{
    BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, StringArray, StructArray,
    TimestampMicrosecondArray,
    builder::{Float64Builder, ListBuilder, StructBuilder},
    types::Float64Type,
};
use arrow_schema::{Field, Fields, Schema};
use groundline_engine::model::{Geometry, Value};
use parquet::{
    arrow::ArrowWriter,
    basic::{GzipLevel, ZstdLevel},
    file::{metadata::KeyValue, properties::WriterProperties},
};
use serde_json::json;

use super::*;
use crate::trial::{self, Trial};

fn write(columns: Vec<(&str, ArrayRef)>, geo: Option<&str>, rows_a_group: usize, compression: Compression) -> Vec<u8> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, array)| array).collect()).unwrap();
    let pairs = geo.map(|text| vec![KeyValue::new("geo".to_string(), text.to_string())]);
    let properties = WriterProperties::builder()
        .set_key_value_metadata(pairs)
        .set_max_row_group_row_count(Some(rows_a_group))
        .set_compression(compression);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn geo(encoding: &str) -> String {
    let crs = json!({"type": "ProjectedCRS", "name": "x", "id": {"authority": "EPSG", "code": 4549}});
    json!({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": encoding, "crs": crs}}})
        .to_string()
}

fn square(i: u32) -> Vec<u8> {
    let mut bytes = vec![1];
    [3_u32, 1, 5].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    let (x, y) = (500_000.0 + 50.0 * f64::from(i), 4_000_000.0);
    for (u, v) in [(0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0), (0.0, 0.0)] {
        [x + u, y + v].iter().for_each(|n: &f64| bytes.extend(n.to_le_bytes()));
    }
    bytes
}

/// Square buildings with id and height, five to a row group.
fn buildings(count: u32, compression: Compression) -> Vec<u8> {
    let squares: Vec<Vec<u8>> = (0..count).map(square).collect();
    let ids: Vec<String> = (0..count).map(|i| format!("b{i}")).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from(ids))),
        ("geometry", Arc::new(BinaryArray::from_iter_values(&squares))),
        ("height", Arc::new(Float64Array::from_iter_values((0..count).map(|i| 10.0 + f64::from(i))))),
    ];
    write(columns, Some(&geo("WKB")), 5, compression)
}

fn trial(bytes: &[u8]) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.parquet");
    std::fs::write(&path, bytes).unwrap();
    Trial::of(&FORMAT, &path, &Options::default(), 4549)
}

#[test]
fn row_groups_and_codecs_make_no_difference() {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let gzip = Compression::GZIP(GzipLevel::default());
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, zstd, gzip] {
        let read = trial(&buildings(12, compression));
        assert!(read.outcome.is_ok(), "{:?}", read.outcome);
        let probe = read.probe.unwrap();
        assert_eq!((probe.crs.unwrap().epsg, probe.records), (Some(4549), Some(12)));
        assert_eq!(probe.class.unwrap().0.word(), "building");
        let heights: Vec<_> = read.objects.iter().filter_map(|o| o.value("height_m")?.as_f64()).collect();
        assert_eq!(heights, (0..12).map(|i| 10.0 + f64::from(i)).collect::<Vec<_>>());
        assert_eq!((read.objects[11].id.as_str(), read.objects[11].record), ("t/b11", 12));
        assert_eq!((read.report.skipped, read.report.warnings.len()), (0, 0), "{:?}", read.report.warnings);
    }
}

#[test]
fn attributes_of_every_kind_are_kept() {
    let names = StructArray::from(vec![(
        Arc::new(Field::new("primary", DataType::Utf8, true)),
        Arc::new(StringArray::from(vec!["崂山"])) as ArrayRef,
    )]);
    let bounds = ["xmin", "ymin", "xmax", "ymax"].map(|name| {
        (Arc::new(Field::new(name, DataType::Float64, true)), Arc::new(Float64Array::from(vec![1.0])) as ArrayRef)
    });
    let list = ListArray::from_iter_primitive::<Float64Type, _, _>(vec![Some(vec![Some(1.5), None])]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("geometry", Arc::new(BinaryArray::from_iter_values([square(0)]))),
        ("count", Arc::new(Int64Array::from(vec![7]))),
        ("open", Arc::new(BooleanArray::from(vec![true]))),
        ("day", Arc::new(Date32Array::from(vec![16_031]))),
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![1_385_086_200_000_000]).with_timezone("UTC"))),
        ("nothing", Arc::new(StringArray::from(vec![None::<&str>]))),
        ("names", Arc::new(names)),
        ("bbox", Arc::new(StructArray::from(bounds.to_vec()))),
        ("sizes", Arc::new(list)),
        ("raw", Arc::new(BinaryArray::from_iter_values([b"x"]))),
    ];
    let read = trial(&write(columns, Some(&geo("WKB")), 5, Compression::SNAPPY));
    assert!(read.outcome.is_ok(), "{:?}", read.outcome);
    let text = |key: &str| read.objects[0].value(key).cloned();
    for (key, wanted) in [
        ("count", Some(Value::Int(7))),
        ("open", Some(Value::Bool(true))),
        ("day", Some(Value::Text("2013-11-22".into()))),
        ("time", Some(Value::Text("2013-11-22T02:10:00Z".into()))),
        ("nothing", None),
        ("names.primary", Some(Value::Text("崂山".into()))),
        ("bbox.xmin", None),
        ("sizes", Some(Value::Text("[1.5,null]".into()))),
        ("raw", None),
    ] {
        assert_eq!(text(key), wanted, "{key}");
    }
    assert_eq!(read.report.warnings[0].code, "binary_column");
}

/// Builds the nested lists of the native encodings.
type Places = StructBuilder;

fn places() -> Places {
    let fields = ["x", "y", "z"].map(|name| Field::new(name, DataType::Float64, false));
    let builders = fields.iter().map(|_| Box::new(Float64Builder::new()) as _).collect();
    StructBuilder::new(Fields::from(fields.to_vec()), builders)
}

fn put(builder: &mut Places, ring: &[(f64, f64, f64)]) {
    for (x, y, z) in ring {
        for (i, n) in [x, y, z].into_iter().enumerate() {
            builder.field_builder::<Float64Builder>(i).unwrap().append_value(*n);
        }
        builder.append(true);
    }
}

const RING: [(f64, f64, f64); 5] =
    [(5e5, 4e6, 3.0), (500_020.0, 4e6, 3.0), (500_020.0, 4_000_020.0, 3.0), (5e5, 4_000_020.0, 3.0), (5e5, 4e6, 3.0)];
const HOLE: [(f64, f64, f64); 4] = [
    (500_005.0, 4_000_005.0, 3.0),
    (500_005.0, 4_000_009.0, 3.0),
    (500_009.0, 4_000_009.0, 3.0),
    (500_005.0, 4_000_005.0, 3.0),
];

#[test]
fn native_encodings_are_read() {
    let mut point = places();
    put(&mut point, &RING[..1]);
    let mut line = ListBuilder::new(places());
    put(line.values(), &RING[..3]);
    line.append(true);
    let mut polygon = ListBuilder::new(ListBuilder::new(places()));
    for ring in [&RING[..], &HOLE] {
        put(polygon.values().values(), ring);
        polygon.values().append(true);
    }
    polygon.append(true);
    let mut many = ListBuilder::new(ListBuilder::new(ListBuilder::new(places())));
    put(many.values().values().values(), &RING);
    many.values().values().append(true);
    many.values().append(true);
    many.append(true);
    let (point, line, polygon): (ArrayRef, ArrayRef, ArrayRef) =
        (Arc::new(point.finish()), Arc::new(line.finish()), Arc::new(polygon.finish()));
    for (encoding, array, vertices) in [
        ("point", point, 1),
        ("linestring", line.clone(), 3),
        ("multipoint", line, 3),
        ("polygon", polygon.clone(), 7),
        ("multilinestring", polygon, 9),
        ("multipolygon", Arc::new(many.finish()) as ArrayRef, 4),
    ] {
        let read = trial(&write(vec![("geometry", array)], Some(&geo(encoding)), 5, Compression::SNAPPY));
        assert!(read.outcome.is_ok() && read.report.skipped == 0, "{encoding}: {:?} {:?}", read.outcome, read.report);
        let count = |geometry: &Geometry| match geometry {
            Geometry::Point(_) => 1,
            Geometry::Line(line) => line.paths.iter().map(Vec::len).sum(),
            Geometry::Area(area) => {
                area.polygons.iter().map(|p| p.outer.len() + p.holes.iter().map(Vec::len).sum::<usize>()).sum()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(read.objects.iter().map(|o| count(&o.geometry)).sum::<usize>(), vertices, "{encoding}");
    }
}

#[test]
fn plain_parquet_and_other_files_are_refused() {
    let columns = || vec![("a", Arc::new(Int64Array::from(vec![7])) as ArrayRef)];
    let message = |bytes: &[u8]| trial(bytes).outcome.unwrap_err().to_string();
    assert!(message(&write(columns(), None, 5, Compression::SNAPPY)).contains("no geo metadata"));
    let text = geo("WKB");
    assert!(message(&write(columns(), Some(&text), 5, Compression::SNAPPY)).contains("no column geometry"));
    assert!(message(&write(columns(), Some("{"), 5, Compression::SNAPPY)).contains("geo metadata"));
    assert!(message(b"PK\x03\x04 and so on").contains("footer"));
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
        let bytes = buildings(12, compression);
        let found = trial::miscounts(&FORMAT, "buildings.parquet", &bytes, &Options::default(), 4549);
        assert_eq!(found, Vec::<String>::new(), "{compression}");
    }
}
