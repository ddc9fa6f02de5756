//! Whole, odd and damaged FlatGeobuf files, written by the library.

use flatgeobuf::{
    ColumnType, FgbCrs, FgbWriter, FgbWriterOptions, GeometryType, GeozeroGeometry,
    geozero::{ColumnValue, CoordDimensions, GeomProcessor, PropertyProcessor},
};
use groundline_engine::model::{Geometry, Value};

use super::*;
use crate::trial::{self, Trial};

/// A square building of so many metres.
struct Square {
    x: f64,
    size: f64,
    z: Option<f64>,
}

impl GeozeroGeometry for Square {
    fn process_geom<P: GeomProcessor>(&self, processor: &mut P) -> flatgeobuf::geozero::error::Result<()> {
        let (x, y, s) = (self.x, 4_000_000.0, self.size);
        processor.polygon_begin(true, 1, 0)?;
        processor.linestring_begin(false, 5, 0)?;
        for (i, (u, v)) in [(0.0, 0.0), (s, 0.0), (s, s), (0.0, s), (0.0, 0.0)].into_iter().enumerate() {
            match self.z {
                Some(z) => processor.coordinate(x + u, y + v, Some(z), None, None, None, i)?,
                None => processor.xy(x + u, y + v, i)?,
            }
        }
        processor.linestring_end(false, 0)?;
        processor.polygon_end(true, 0)
    }

    fn dims(&self) -> CoordDimensions {
        if self.z.is_some() { CoordDimensions::xyz() } else { CoordDimensions::xy() }
    }
}

fn file(count: u32, write_index: bool, kind: GeometryType, z: Option<f64>) -> Vec<u8> {
    let crs = FgbCrs { code: 4549, ..FgbCrs::default() };
    let options = FgbWriterOptions { crs, write_index, has_z: z.is_some(), detect_type: false, ..Default::default() };
    let mut writer = FgbWriter::create_with_options("建筑", kind, options).unwrap();
    writer.add_column("fid", ColumnType::Long, |_, _| {});
    writer.add_column("名称", ColumnType::String, |_, _| {});
    writer.add_column("height", ColumnType::Double, |_, _| {});
    for i in 0..count {
        let square = Square { x: 500_000.0 + 100.0 * f64::from(i), size: 20.0, z };
        writer
            .add_feature_geom(square, |feature| {
                feature.property(0, "fid", &ColumnValue::Long(i64::from(i) + 7)).unwrap();
                feature.property(1, "名称", &ColumnValue::String(&format!("{i}号楼"))).unwrap();
                feature.property(2, "height", &ColumnValue::Double(12.5)).unwrap();
            })
            .unwrap();
    }
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    bytes
}

fn trial(bytes: &[u8]) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.fgb");
    std::fs::write(&path, bytes).unwrap();
    Trial::of(&FORMAT, &path, &Options::default(), 4549)
}

#[test]
fn features_come_with_attributes_with_and_without_an_index() {
    assert_eq!(trial(&file(1, true, GeometryType::Polygon, None)).objects.len(), 1);
    for (has_index, kind) in
        [(true, GeometryType::Polygon), (false, GeometryType::Polygon), (true, GeometryType::Unknown)]
    {
        let read = trial(&file(20, has_index, kind, None));
        assert!(read.outcome.is_ok(), "{:?}", read.outcome);
        let probe = read.probe.unwrap();
        assert_eq!((probe.crs.unwrap().epsg, probe.records), (Some(4549), Some(20)));
        assert_eq!(probe.class.unwrap().0.word(), "building");
        assert_eq!(read.objects.len(), 20);
        let object = read.objects.iter().find(|o| o.id.as_str() == "t/7").unwrap();
        assert_eq!((object.name.as_deref(), object.value("height_m")), (Some("0号楼"), Some(&Value::Real(12.5))));
        assert_eq!((read.report.skipped, read.report.warnings.len()), (0, 0), "{:?}", read.report.warnings);
    }
}

#[test]
fn heights_are_those_of_the_footprint() {
    let read = trial(&file(2, true, GeometryType::Polygon, Some(31.5)));
    let Geometry::Block(block) = &read.objects[0].geometry else { panic!("{:?}", read.objects[0]) };
    assert_eq!(block.base_m, Some(31.5));
}

#[test]
fn a_cut_file_yields_its_whole_features_and_says_what_is_missing() {
    let whole = file(5, true, GeometryType::Polygon, None);
    let read = trial(&whole[..whole.len() - 10]);
    assert!(read.outcome.is_ok());
    assert_eq!((read.objects.len(), read.report.skipped), (4, 1));
    assert!(read.report.warnings.iter().any(|w| w.code == "truncated"), "{:?}", read.report.warnings);
}

#[test]
fn other_versions_and_other_files_are_refused() {
    let mut bytes = file(1, true, GeometryType::Polygon, None);
    bytes[3] = 2;
    assert!(trial(&bytes).outcome.unwrap_err().to_string().contains("version 2"));
    assert!(trial(b"PK\x03\x04").outcome.is_err());
}

#[test]
fn no_index_is_larger_than_the_file() {
    assert_eq!(index_bytes(0, 16), Some(0));
    assert_eq!(index_bytes(1, 16), Some(80));
    assert_eq!(index_bytes(179, 16), Some(40 * (179 + 12 + 1)));
    assert_eq!(index_bytes(u64::MAX, 2), None);
    assert_eq!(index_bytes(10, 1), None);
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    for has_index in [true, false] {
        let bytes = file(12, has_index, GeometryType::Polygon, None);
        let found = trial::miscounts(&FORMAT, "buildings.fgb", &bytes, &Options::default(), 4549);
        assert_eq!(found, Vec::<String>::new());
    }
}
