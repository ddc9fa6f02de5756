//! Whole, odd, hostile and damaged GeoPackages, written with SQLite.

use std::path::PathBuf;

use groundline_engine::model::{CityObject, Geometry, Value};
use rusqlite::params;

use super::*;
use crate::trial::{self, Trial};

/// A file under construction.
struct Package {
    folder: tempfile::TempDir,
    db: Connection,
}

impl Package {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Connection::open(folder.path().join("city.gpkg")).unwrap();
        db.execute_batch(
            "PRAGMA application_id = 1196444487;
             CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT, srs_id INTEGER PRIMARY KEY, organization TEXT,
                 organization_coordsys_id INTEGER, definition TEXT, description TEXT);
             CREATE TABLE gpkg_contents (table_name TEXT PRIMARY KEY, data_type TEXT, identifier TEXT, description TEXT,
                 last_change DATETIME, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER);
             CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, geometry_type_name TEXT,
                 srs_id INTEGER, z TINYINT, m TINYINT);
             CREATE TABLE gpkg_ogr_contents (table_name TEXT PRIMARY KEY, feature_count INTEGER);
             INSERT INTO gpkg_spatial_ref_sys VALUES
                 ('undefined', -1, 'NONE', -1, 'undefined', NULL),
                 ('CGCS2000', 4549, 'EPSG', 4549, 'none', NULL),
                 ('degrees', 4490, 'EPSG', 4490, 'none', NULL),
                 ('Beijing 1954', 100001, 'EPSG', 2415, 'none', NULL),
                 ('by text', 100002, 'NONE', 1, '+proj=tmerc +lon_0=120 +x_0=500000 +ellps=GRS80 +units=m', NULL),
                 ('nonsense', 100003, 'NONE', 2, 'LOCAL_CS[\"a site\"]', NULL);",
        )
        .unwrap();
        Self { folder, db }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("city.gpkg")
    }

    /// A table of `count` square buildings from `x` on, with GDAL's count.
    fn table(&self, name: &str, srs_id: i32, count: i64, [x, y, size]: [f64; 3]) {
        self.register(name, srs_id);
        let sql = format!(
            "CREATE TABLE {} (fid INTEGER PRIMARY KEY, geom BLOB, 名称 TEXT, height REAL, listed BOOLEAN)",
            quoted(name)
        );
        self.db.execute_batch(&sql).unwrap();
        for i in 0..count {
            let geometry = square(srs_id, [x + i as f64 * 2.0 * size, y, size]);
            let sql = format!("INSERT INTO {} VALUES (?1, ?2, ?3, 12.5, 1)", quoted(name));
            self.db.execute(&sql, params![i + 7, geometry, format!("{i}号楼")]).unwrap();
        }
        self.db.execute("INSERT INTO gpkg_ogr_contents VALUES (?1, ?2)", params![name, count]).unwrap();
    }

    fn register(&self, name: &str, srs_id: i32) {
        let insert = "INSERT INTO gpkg_contents (table_name, data_type, srs_id) VALUES (?1, 'features', ?2)";
        self.db.execute(insert, params![name, srs_id]).unwrap();
        let insert = "INSERT INTO gpkg_geometry_columns VALUES (?1, 'geom', 'POLYGON', ?2, 0, 0)";
        self.db.execute(insert, params![name, srs_id]).unwrap();
    }

    fn run(&self, sql: &str) {
        self.db.execute_batch(sql).unwrap();
    }

    fn read(&self, options: Options) -> Trial {
        Trial::of(&FORMAT, &self.path(), &options, 4549)
    }
}

const METRES: [f64; 3] = [500_000.0, 4_000_000.0, 20.0];

fn square(srs_id: i32, [x, y, size]: [f64; 3]) -> Vec<u8> {
    let mut bytes = vec![b'G', b'P', 0, 1];
    bytes.extend(srs_id.to_le_bytes());
    bytes.push(1);
    [3_u32, 1, 5].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    for (u, v) in [(0.0, 0.0), (size, 0.0), (size, size), (0.0, size), (0.0, 0.0)] {
        [x + u, y + v].iter().for_each(|n: &f64| bytes.extend(n.to_le_bytes()));
    }
    bytes
}

fn codes(report: &SourceReport) -> Vec<&str> {
    report.warnings.iter().map(|w| w.code.as_str()).collect()
}

fn west(object: &CityObject) -> f64 {
    let Geometry::Block(block) = &object.geometry else { panic!("{object:?}") };
    block.footprint[0].outer.iter().map(|v| v.x).fold(f64::INFINITY, f64::min)
}

#[test]
fn one_table_keeps_its_own_ids_and_types() {
    let package = Package::new();
    package.table("建筑", 4549, 3, METRES);
    let read = package.read(Options::default());
    assert!(read.outcome.is_ok(), "{:?}", read.outcome);
    let probe = read.probe.unwrap();
    assert_eq!((probe.crs.unwrap().epsg, probe.records), (Some(4549), Some(3)));
    assert_eq!(probe.source_extent, Some([500_000.0, 4_000_000.0, 500_100.0, 4_000_020.0]), "seen, not said");
    assert_eq!(probe.class.unwrap().0.word(), "building");
    assert_eq!(read.objects.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["t/7", "t/8", "t/9"]);
    let object = &read.objects[1];
    assert_eq!(object.name.as_deref(), Some("1号楼"));
    for (key, value) in [
        ("height_m", Value::Real(12.5)),
        ("listed", Value::Bool(true)),
        ("fid", Value::Int(8)),
        ("table_name", Value::Text("建筑".into())),
    ] {
        assert_eq!(object.value(key), Some(&value), "{key}");
    }
    assert_eq!((read.report.skipped, read.report.warnings.len()), (0, 0), "{:?}", read.report.warnings);
}

#[test]
fn tables_of_several_systems_meet_in_the_first_or_are_refused_by_name() {
    let package = Package::new();
    package.table("site", 100003, 1, METRES);
    package.table("buildings", 4549, 2, METRES);
    package.table("old", 100001, 3, METRES);
    package.table("bldg_degrees", 4490, 2, [120.0, 36.0, 0.0002]);
    package.table("again", 100002, 1, METRES);
    let read = package.read(Options::default());
    assert!(read.outcome.is_ok(), "{:?}", read.outcome);
    assert_eq!(read.probe.unwrap().crs.unwrap().epsg, Some(4549));
    let ids: Vec<&str> = read.objects.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(ids, ["t/buildings/7", "t/buildings/8", "t/bldg_degrees/7", "t/bldg_degrees/8", "t/again/7"]);
    assert!((west(&read.objects[2]) - 500_000.0).abs() < 1e-3, "120° east is the central meridian");
    assert_eq!(read.objects[2].class.word(), "building");
    assert_eq!(read.report.skipped, 4);
    let refused = read.report.warnings.iter().find(|w| w.code == "table_refused").unwrap();
    assert!(["site (", "old ("].iter().all(|name| refused.message.contains(name)), "{refused:?}");
    assert!(codes(&read.report).contains(&"several_crs"));
}

#[test]
fn a_system_that_nobody_names_is_asked_for() {
    let package = Package::new();
    package.table("buildings", -1, 2, METRES);
    let crs = groundline_engine::crs::Crs::from_epsg(4549).unwrap();
    let read = package.read(Options { crs: Some(crs), ..Options::default() });
    let probe = read.probe.unwrap();
    assert_eq!((probe.crs, probe.crs_text, probe.needs_crs), (None, None, true));
    assert!(probe.source_extent.is_some());
    assert_eq!((read.objects.len(), read.report.skipped), (2, 0));
}

#[test]
fn bad_rows_cost_themselves_only() {
    let package = Package::new();
    package.table("buildings", 4549, 2, METRES);
    package.run(
        "INSERT INTO buildings VALUES (20, x'475000', 'a', 1, 0), (21, 'POINT(1 2)', 'b', 1, 0), (22, NULL, 'c', 1, 0),
             (23, NULL, CAST(x'b5' AS TEXT), 1, x'00');
         UPDATE gpkg_ogr_contents SET feature_count = 6",
    );
    let read = package.read(Options::default());
    assert_eq!((read.objects.len(), read.report.skipped), (4, 2), "{:?}", read.report);
    let mut codes = codes(&read.report);
    codes.sort_unstable();
    assert_eq!(codes, ["bad_text", "binary_column", "no_geometry"]);
    assert!(read.report.skips[0].reason.contains("row 3"), "{:?}", read.report.skips);
}

#[test]
fn what_would_run_is_refused() {
    let package = Package::new();
    package.table("buildings", 4549, 1, METRES);
    for name in ["endless", "index", "nowhere"] {
        package.register(name, 4549);
    }
    package.run(
        "CREATE VIEW endless AS WITH RECURSIVE n(fid) AS (SELECT 1 UNION ALL SELECT fid + 1 FROM n) SELECT fid FROM n;
         CREATE VIRTUAL TABLE \"index\" USING rtree(id, a, b, c, d);
         INSERT INTO gpkg_contents (table_name, data_type) VALUES ('notes', 'attributes'), ('map', 'tiles');",
    );
    let read = package.read(Options::default());
    assert!(read.outcome.is_ok());
    assert_eq!((read.objects.len(), read.report.skipped), (1, 3));
    for (code, names) in [("table_refused", &["endless", "index", "nowhere"][..]), ("other_table", &["notes", "map"])] {
        let message = &read.report.warnings.iter().find(|w| w.code == code).unwrap().message;
        assert!(names.iter().all(|name| message.contains(name)), "{message}");
    }
}

#[test]
fn counts_that_differ_are_said() {
    let package = Package::new();
    package.table("buildings", 4549, 3, METRES);
    package.run("UPDATE gpkg_ogr_contents SET feature_count = 5");
    let read = package.read(Options::default());
    assert_eq!((read.objects.len(), read.report.skipped), (3, 2));
    assert_eq!(codes(&read.report), ["count_mismatch"]);
}

#[test]
fn files_without_features_and_files_in_use_are_errors_with_a_way_out() {
    let package = Package::new();
    package.run("INSERT INTO gpkg_contents (table_name, data_type) VALUES ('map', 'tiles')");
    let message = |package: &Package| package.read(Options::default()).outcome.unwrap_err().to_string();
    assert!(message(&package).contains("map (tiles)"), "{}", message(&package));
    std::fs::write(package.folder.path().join("city.gpkg-wal"), b"changes").unwrap();
    assert!(message(&package).contains("close the program"), "{}", message(&package));
    let other = Package::new();
    other.run("DROP TABLE gpkg_contents");
    assert!(message(&other).contains("no GeoPackage"), "{}", message(&other));
}

#[test]
fn nothing_is_written_beside_the_source_and_odd_names_are_found() {
    let package = Package::new();
    package.table("a \"b\" 'c'", 4549, 1, METRES);
    let odd = package.folder.path().join("a b?mode=rwc&x=%41#ü.gpkg");
    std::fs::copy(package.path(), &odd).unwrap();
    let read = Trial::of(&FORMAT, &odd, &Options::default(), 4549);
    assert_eq!(read.objects.len(), 1, "{:?}", read.outcome);
    assert_eq!(std::fs::read_dir(package.folder.path()).unwrap().count(), 2);
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    let package = Package::new();
    package.table("buildings", 4549, 40, METRES);
    let bytes = std::fs::read(package.path()).unwrap();
    let found = trial::miscounts(&FORMAT, "buildings.gpkg", &bytes, &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
}
