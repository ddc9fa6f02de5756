//! 200 damaged copies of files of the sample city, for the formats that it has.

use std::{fs, path::Path, sync::OnceLock};

use crate::{Format, Options, trial};

/// The tiny sample city's files.
fn sample() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            groundline_sample::make(&groundline_sample::Recipe::tiny(), folder.path(), &mut |_| {}).unwrap();
            folder
        })
        .path()
}

/// Damages `name` 200 times and reads `read` each time, both in the sample's folder `folder`.
fn miscounts(format: &'static Format, folder: &str, read: &str, name: &str) -> Vec<String> {
    let own = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(sample().join(folder)).unwrap() {
        let entry = entry.unwrap();
        // Companions have the stem of the file; pipe tables that of their kind.
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.chars().take(2).eq(read.chars().take(2)) {
            fs::copy(entry.path(), own.path().join(file)).unwrap();
        }
    }
    let bytes = fs::read(own.path().join(name)).unwrap();
    trial::miscounts_of(own.path(), format, read, name, &bytes, &Options::default(), 4549)
}

#[test]
fn shapefiles() {
    for name in ["建筑.shp", "建筑.shx", "建筑.dbf", "建筑.prj", "建筑.cpg"] {
        let found = miscounts(&crate::shapefile::FORMAT, "基础测绘", "建筑.shp", name);
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn elevation_models_and_pictures() {
    let found = miscounts(&crate::geotiff::FORMAT, "基础测绘", "DEM_5m.tif", "DEM_5m.tif");
    assert_eq!(found, Vec::<String>::new());
    for name in ["DOM_2026.jpg", "DOM_2026.jgw"] {
        let found = miscounts(&crate::picture::FORMAT, "基础测绘", "DOM_2026.jpg", name);
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn scans() {
    let found = miscounts(&crate::las::FORMAT, "点云", "街区扫描.laz", "街区扫描.laz");
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn pipe_tables() {
    for name in ["WS_管线.csv", "WS_管点.csv"] {
        let found = miscounts(&crate::pipe_table::FORMAT, "地下管线/污水", "WS_管线.csv", name);
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
    let book = "TX_管线成果.xlsx";
    let found = miscounts(&crate::pipe_table::FORMAT, "地下管线/通信", book, book);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn sensor_registers() {
    let found = miscounts(&crate::sensor_table::FORMAT, "物联网", "传感器.csv", "传感器.csv");
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn building_models() {
    // in processes of their own, as an import does it
    let options = Options { worker: Some(crate::apart::tests::workers()), ..Options::default() };
    let bytes = fs::read(sample().join("BIM/海湾中心.ifc")).unwrap();
    let found = trial::miscounts(&crate::ifc::FORMAT, "海湾中心.ifc", &bytes, &options, 4549);
    assert_eq!(found, Vec::<String>::new());
}
