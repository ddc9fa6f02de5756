//! Whole, odd and damaged shapefiles, written here byte by byte.

use std::{collections::BTreeSet, fs, path::PathBuf};

use glam::DVec3;
use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, Class, Geometry, Origin, SourceReport, Value},
};

use super::*;
use crate::format::Options;
use crate::trial::Kept;

/// A layer of square buildings.
struct Layer {
    folder: tempfile::TempDir,
}

const NAMES: [&str; 3] = ["青岛", "市南区", "Haus"];

impl Layer {
    /// Three buildings with name (GBK), height, storeys and an id that comes twice.
    fn new() -> Self {
        let layer = Self { folder: tempfile::tempdir().unwrap() };
        let (mut shp, mut shx) = (header(), header());
        for i in 0..3_u32 {
            let (x, y) = (500_000.0 + 100.0 * f64::from(i), 4_000_000.0);
            let ring = [(0.0, 0.0), (0.0, 20.0), (30.0, 20.0), (30.0, 0.0), (0.0, 0.0)];
            let mut content = 5_u32.to_le_bytes().to_vec();
            [x, y, x + 30.0, y + 20.0].iter().for_each(|n: &f64| content.extend(n.to_le_bytes()));
            [1_u32, 5, 0].iter().for_each(|n| content.extend(n.to_le_bytes()));
            ring.iter().for_each(|(u, v)| {
                content.extend((x + u).to_le_bytes());
                content.extend((y + v).to_le_bytes());
            });
            shx.extend((shp.len() as u32 / 2).to_be_bytes());
            shx.extend((content.len() as u32 / 2).to_be_bytes());
            shp.extend((i + 1).to_be_bytes());
            shp.extend((content.len() as u32 / 2).to_be_bytes());
            shp.extend(content);
        }
        for file in [&mut shp, &mut shx] {
            let words = (file.len() as u32 / 2).to_be_bytes();
            file[24..28].copy_from_slice(&words);
        }
        layer.write("shp", &shp);
        layer.write("shx", &shx);
        layer.write("dbf", &table(3));
        layer.write("prj", b"EPSG:4549");
        layer.write("cpg", b"GBK");
        layer
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.folder.path().join(format!("layer.{ending}"))
    }

    fn write(&self, ending: &str, bytes: &[u8]) {
        fs::write(self.path(ending), bytes).unwrap();
    }

    fn read(&self, options: Options) -> (Vec<CityObject>, SourceReport, Result<(), ImportError>) {
        let path = self.path("shp");
        let probe = probe(&path, &options).unwrap().unwrap();
        let crs = probe.crs.clone().unwrap_or_else(|| Crs::from_epsg(4549).unwrap());
        let transform = Transform::new(&crs, &crs).unwrap();
        let job =
            Job { path: &path, probe: &probe, layer: "b", city_from_source: &transform, crs: &crs, options: &options };
        let (mut kept, mut report) = (Kept::default(), SourceReport::default());
        let outcome = super::read(&job, &mut kept, &mut report);
        (kept.0, report, outcome)
    }
}

fn header() -> Vec<u8> {
    let mut bytes = vec![0; 100];
    bytes[..4].copy_from_slice(&9994_u32.to_be_bytes());
    bytes[28..32].copy_from_slice(&1000_u32.to_le_bytes());
    bytes[32..36].copy_from_slice(&5_u32.to_le_bytes());
    for (at, n) in [(36, 500_000.0_f64), (44, 4_000_000.0), (52, 500_230.0), (60, 4_000_020.0)] {
        bytes[at..at + 8].copy_from_slice(&n.to_le_bytes());
    }
    bytes
}

/// Columns 名称 C10, height N5.1, 层数 N3, id N3; the third record has no height that fits.
fn table(records: u32) -> Vec<u8> {
    let gbk = |text: &str| encoding_rs::GB18030.encode(text).0.into_owned();
    let columns = [("名称", b'C', 10, 0), ("height", b'N', 5, 1), ("层数", b'N', 3, 0), ("id", b'N', 3, 0)];
    let mut bytes = vec![3, 113, 11, 22];
    bytes.extend(records.to_le_bytes());
    bytes.extend((33 + 32 * columns.len() as u16).to_le_bytes());
    bytes.extend(22_u16.to_le_bytes());
    bytes.resize(32, 0);
    for (name, kind, length, decimals) in columns {
        let mut column = gbk(name);
        column.resize(11, 0);
        column.push(kind);
        column.resize(16, 0);
        column.extend([length, decimals]);
        column.resize(32, 0);
        bytes.extend(column);
    }
    bytes.push(0x0D);
    for (name, height, storeys, id) in
        [(NAMES[0], " 12.5", "  4", "  7"), (NAMES[1], "  0.0", "  5", "  8"), (NAMES[2], "*****", "   ", "  8")]
    {
        let mut name = gbk(name);
        name.resize(10, b' ');
        bytes.push(b' ');
        bytes.extend(name);
        [height, storeys, id].iter().for_each(|text| bytes.extend(text.as_bytes()));
    }
    bytes.push(0x1A);
    bytes
}

fn codes(report: &SourceReport) -> BTreeSet<&str> {
    report.warnings.iter().map(|w| w.code.as_str()).collect()
}

fn height(object: &CityObject) -> f64 {
    match &object.geometry {
        Geometry::Block(block) => block.height_m,
        other => panic!("{other:?}"),
    }
}

#[test]
fn buildings_get_names_ids_and_heights_each_with_its_origin() {
    let layer = Layer::new();
    let probe = probe(&layer.path("shp"), &Options::default()).unwrap().unwrap();
    assert_eq!(probe.class.as_ref().map(|(c, _)| c.word()), Some("building"));
    assert_eq!(probe.encoding, Some(("gb18030".into(), ".cpg".into())));
    assert_eq!(probe.records, Some(3));
    assert_eq!(probe.companions.len(), 4);

    let (objects, report, outcome) = layer.read(Options::default());
    outcome.unwrap();
    assert_eq!(objects.iter().map(|o| o.name.as_deref().unwrap()).collect::<Vec<_>>(), NAMES);
    assert_eq!(objects.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["b/7", "b/8", "b/8~3"]);
    assert_eq!(objects.iter().map(height).collect::<Vec<_>>(), [12.5, 15.0, 6.0]);
    let origin = |i: usize| &objects[i].attributes.iter().find(|a| &*a.key == "height_m").unwrap().origin;
    assert_eq!(origin(0), &Origin::Read);
    assert!(matches!(origin(1), Origin::Converted(rule) if rule.contains("3.0 m")));
    assert!(matches!(origin(2), Origin::Defaulted(_)));
    assert_eq!(objects[1].value("storeys"), Some(&Value::Int(5)));
    assert_eq!(codes(&report), BTreeSet::from(["duplicate_id", "dbf_overflow", "height_defaulted"]));
    assert_eq!(report.skipped, 0);
}

#[test]
fn the_users_field_goes_before_the_recognised_one() {
    let map = vec![("height_m".to_string(), "id".to_string())];
    let (objects, ..) = Layer::new().read(Options { map, ..Options::default() });
    assert_eq!(height(&objects[0]), 7.0);
}

#[test]
fn a_cut_file_yields_its_whole_records_and_says_what_is_missing() {
    let layer = Layer::new();
    let shp = fs::read(layer.path("shp")).unwrap();
    for keep_index in [true, false] {
        layer.write("shp", &shp[..shp.len() - 10]);
        if !keep_index {
            fs::remove_file(layer.path("shx")).unwrap();
        }
        let (objects, report, outcome) = layer.read(Options::default());
        outcome.unwrap();
        assert_eq!(objects.len(), 2, "index {keep_index}");
        assert_eq!(report.skipped, 1);
        assert_eq!(report.skips[0].record, 3);
        assert!(report.skips[0].reason.contains("byte"), "{:?}", report.skips);
        assert!(codes(&report).contains("length_mismatch"));
    }
    // Cut between two records: only the counts tell.
    layer.write("shp", &shp[..100 + 136]);
    let (objects, report, _) = layer.read(Options::default());
    assert_eq!((objects.len() as u64, report.skipped), (1, 2));
    assert!(codes(&report).contains("count_mismatch"));
}

#[test]
fn without_index_all_is_read_and_without_table_only_shapes() {
    let layer = Layer::new();
    fs::remove_file(layer.path("shx")).unwrap();
    let (objects, report, _) = layer.read(Options::default());
    assert_eq!((objects.len(), report.skipped), (3, 0));
    assert!(codes(&report).contains("no_shx"));

    fs::remove_file(layer.path("dbf")).unwrap();
    let (objects, report, outcome) = layer.read(Options::default());
    outcome.unwrap();
    assert_eq!(objects.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["b/1", "b/2", "b/3"]);
    assert!(codes(&report).contains("no_dbf") && report.skipped > 0, "lost attributes are no success");
}

#[test]
fn a_table_of_another_length_is_said_with_both_counts() {
    let layer = Layer::new();
    let whole = table(3);
    layer.write("dbf", &whole[..whole.len() - 23]);
    let (objects, report, _) = layer.read(Options::default());
    assert_eq!(objects.len(), 3);
    let message = &report.warnings.iter().find(|w| w.code == "count_mismatch").unwrap().message;
    assert!(message.contains("3 shapes") && message.contains("2 attribute records"), "{message}");
    assert_eq!(report.skipped, 1);

    layer.write("dbf", &table(4_000_000_000));
    let (objects, report, _) = layer.read(Options::default());
    assert_eq!(objects.len(), 3);
    assert!(codes(&report).contains("dbf_count"));
}

#[test]
fn deleted_records_are_left_out_and_counted() {
    let layer = Layer::new();
    let mut bytes = table(3);
    let second = 33 + 32 * 4 + 22;
    bytes[second] = b'*';
    layer.write("dbf", &bytes);
    let (objects, report, _) = layer.read(Options::default());
    assert_eq!(objects.iter().map(|o| o.record).collect::<Vec<_>>(), [1, 3]);
    assert!(codes(&report).contains("deleted_records"));
}

#[test]
fn a_label_that_the_text_contradicts_loses_with_a_warning() {
    let layer = Layer::new();
    layer.write("cpg", b"UTF-8");
    let (objects, report, _) = layer.read(Options::default());
    assert_eq!(objects[0].name.as_deref(), Some("青岛"));
    assert!(codes(&report).contains("encoding"));
}

#[test]
fn counts_within_a_record_are_not_believed() {
    let layer = Layer::new();
    let mut shp = fs::read(layer.path("shp")).unwrap();
    let points = 100 + 136 + 8 + 40;
    shp[points..points + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    layer.write("shp", &shp);
    let (objects, report, outcome) = layer.read(Options::default());
    outcome.unwrap();
    assert_eq!((objects.len(), report.skipped), (2, 1));
    assert!(report.skips[0].reason.contains("do not fit"), "{:?}", report.skips);
}

#[test]
fn what_is_no_shapefile_is_an_error() {
    let layer = Layer::new();
    for bytes in [&b""[..], b"PK\x03\x04", &[0; 200]] {
        layer.write("shp", bytes);
        assert!(matches!(probe(&layer.path("shp"), &Options::default()), Err(ImportError::Bad { .. })));
    }
}

/// Houses as multi-patches, each four walls as a strip and a roof as a fan, with a table of one column.
fn houses(count: u32) -> [(&'static str, Vec<u8>); 3] {
    let (mut shp, mut shx) = (header(), header());
    let mut dbf = vec![3, 113, 11, 22];
    dbf.extend(count.to_le_bytes());
    dbf.extend(65_u16.to_le_bytes());
    dbf.extend(5_u16.to_le_bytes());
    dbf.resize(32, 0);
    dbf.extend(*b"OBJECTID\0\0\0N\0\0\0\0\x04\0");
    dbf.resize(64, 0);
    dbf.push(0x0D);
    for i in 0..count {
        let x = 500_000.0 + 100.0 * f64::from(i);
        let corner = |u: f64, v: f64, z: f64| [x + u, 4_000_000.0 + v, z];
        let around = [(0.0, 0.0), (10.0, 0.0), (10.0, 8.0), (0.0, 8.0), (0.0, 0.0)];
        let walls = around.iter().flat_map(|(u, v)| [corner(*u, *v, 20.0), corner(*u, *v, 26.0)]);
        let roof = std::iter::once(corner(5.0, 4.0, 29.0)).chain(around.iter().map(|(u, v)| corner(*u, *v, 26.0)));
        let points: Vec<[f64; 3]> = walls.chain(roof).collect();
        let mut content = 31_u32.to_le_bytes().to_vec();
        [x, 4_000_000.0, x + 10.0, 4_000_008.0].iter().for_each(|n: &f64| content.extend(n.to_le_bytes()));
        [2, points.len() as u32, 0, 10, 0, 1].iter().for_each(|n| content.extend(n.to_le_bytes()));
        points.iter().flat_map(|p| &p[..2]).for_each(|n| content.extend(n.to_le_bytes()));
        [20.0_f64, 29.0].iter().for_each(|n| content.extend(n.to_le_bytes()));
        points.iter().for_each(|p| content.extend(p[2].to_le_bytes()));
        shx.extend((shp.len() as u32 / 2).to_be_bytes());
        shx.extend((content.len() as u32 / 2).to_be_bytes());
        shp.extend((i + 1).to_be_bytes());
        shp.extend((content.len() as u32 / 2).to_be_bytes());
        shp.extend(content);
        dbf.extend(format!(" {:>4}", i + 1).bytes());
    }
    dbf.push(0x1A);
    for file in [&mut shp, &mut shx] {
        let words = (file.len() as u32 / 2).to_be_bytes();
        file[24..28].copy_from_slice(&words);
        file[32..36].copy_from_slice(&31_u32.to_le_bytes());
    }
    [("shp", shp), ("shx", shx), ("dbf", dbf)]
}

#[test]
fn multi_patches_are_meshes_of_their_true_surface() {
    let layer = Layer::new();
    houses(3).iter().for_each(|(ending, bytes)| layer.write(ending, bytes));
    let (objects, report, outcome) = layer.read(Options { class: Some(Class::Building), ..Options::default() });
    outcome.unwrap();
    assert_eq!((objects.len(), report.skipped, codes(&report)), (3, 0, BTreeSet::new()));
    let Geometry::Mesh(mesh) = &objects[1].geometry else { panic!("{:?}", objects[1]) };
    assert_eq!(mesh.origin, DVec3::new(500_105.0, 4_000_004.0, 24.5));
    assert_eq!((mesh.parts[0].indices.len(), mesh.parts[0].positions.len()), (12 * 3, 9));
    assert_eq!(objects[1].value("height_m"), Some(&Value::Real(9.0)));
    assert_eq!(objects[1].id.as_str(), "b/2");
}

#[test]
fn no_damage_to_multi_patches_makes_it_panic_hang_or_miscount_silently() {
    let folder = tempfile::tempdir().unwrap();
    let files = houses(8);
    for (ending, bytes) in &files[1..] {
        fs::write(folder.path().join(format!("houses.{ending}")), bytes).unwrap();
    }
    let found =
        crate::trial::miscounts_in(folder.path(), &FORMAT, "houses.shp", &files[0].1, &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
}
