//! Live verdicts: what Groundline reads of every real file, held record by record against what programs of other people
//! read of the same file in the same run. `referee/README.md` says what is compared and which differences are known.
//!
//! The programs are Python packages, installed by `.ci/setup referee`; `GROUNDLINE_PYTHON` names their Python.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use groundline_engine::model::Geometry;
use groundline_importers::{Format, Options, Probe};

use super::{data, record};

/// The Python that has the referees. Whoever names the data must name it too, or say by an empty name that nothing is to
/// be judged; where the data were merely found, its absence is said and the test passes.
pub(super) fn python() -> Option<PathBuf> {
    match std::env::var_os("GROUNDLINE_PYTHON") {
        Some(python) if !python.is_empty() => Some(python.into()),
        None if std::env::var_os("GROUNDLINE_DATA").is_some() => {
            panic!(
                "GROUNDLINE_DATA is set and GROUNDLINE_PYTHON is not: run `.ci/setup referee` and set it to \
                 ~/.cache/groundline/referees/venv/bin/python (or to nothing, to judge nothing)"
            )
        }
        _ => {
            println!("no referees (set GROUNDLINE_PYTHON, see .ci/setup referee): nothing judged");
            None
        }
    }
}

/// Files under `folder` with one of the endings, in order of their names.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, endings, found);
        } else if path.extension().is_some_and(|e| endings.contains(&&*e.to_string_lossy().to_lowercase())) {
            found.push(path);
        }
    }
}

/// What a case tells the script of a file, besides its name.
type Written = Option<serde_json::Value>;

/// Writes down what is read of all files of a kind and lets a script judge it. `write` gets a file that was recognised
/// and the path to write to, and says `None` where the file is none of the script's.
fn judge(
    script: &str,
    endings: &[&str],
    options: &Options,
    write: impl Fn(&Path, (&Format, &Probe), &Path) -> Written,
) {
    let Some(data) = data() else { return };
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    files(&data, endings, &mut paths);
    let mut list = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let name = path.strip_prefix(&data).unwrap().to_string_lossy().into_owned();
        let to = folder.path().join(format!("{number}.txt"));
        let written = match record::detect(path, options) {
            Ok(Some((format, probe))) => match write(path, (format, &probe), &to) {
                Some(more) => serde_json::json!({"format": format.name, "ours": to, "more": more}),
                None => continue,
            },
            Ok(None) => serde_json::json!({"refused": "it is of none of the formats"}),
            Err(error) => serde_json::json!({"refused": error.to_string()}),
        };
        list.push(serde_json::json!({"name": name, "path": path, "read": written}));
    }
    let list_path = folder.path().join("list.json");
    std::fs::write(&list_path, serde_json::to_vec(&list).unwrap()).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/referee");
    let run = Command::new(&python).arg("-B").arg(scripts.join(script)).arg(&list_path).output();
    let run = run.unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    println!("{}", String::from_utf8_lossy(&run.stdout));
    assert!(run.status.success(), "{script}: {}", String::from_utf8_lossy(&run.stderr));
}

/// Formats whose features GDAL reads (pyarrow for GeoParquet, which the GDAL of the Python packages lacks).
const VECTOR: &[&str] =
    &["shapefile", "geojson", "geojsonseq", "geopackage", "flatgeobuf", "geoparquet", "kml", "table"];

#[test]
fn every_field_and_vertex_of_gis_files_is_what_gdal_reads() {
    let endings = ["shp", "geojson", "geojsonl", "json", "gpkg", "fgb", "parquet", "geoparquet", "kml", "csv"];
    let options = Options::default();
    judge("gdal.py", &endings, &options, |path, found, to| {
        if !VECTOR.contains(&found.0.name) {
            return None;
        }
        record::write(path, found, &options, to);
        Some(serde_json::json!({"crs": found.1.crs.as_ref().map(|c| c.label())}))
    });
}

#[test]
fn every_product_of_building_models_is_what_ifcopenshell_makes() {
    // At the origin of the model: the referee says where things lie in the model, not on the Earth.
    let options = Options { map: vec![("place".into(), "0,0,0".into())], ..Options::default() };
    judge("ifc.py", &["ifc"], &options, |path, found, to| {
        record::write(path, found, &options, to);
        Some(serde_json::Value::Null)
    });
}

#[test]
fn every_point_of_scans_is_what_laspy_reads() {
    let options = Options::default();
    judge("las.py", &["las", "laz"], &options, |path, found, to| {
        // Columns one after another: positions, then what else the scan has. What is 0 throughout a batch is not there.
        fn put<T: Copy + Default, const N: usize>(
            to: &mut Vec<u8>,
            column: &[T],
            points: usize,
            bytes: fn(T) -> [u8; N],
        ) {
            let all = (0..points).map(|i| column.get(i).copied().unwrap_or_default());
            to.extend(all.flat_map(bytes));
        }
        let (mut places, mut rgb, mut intensities, mut classes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (report, outcome) = record::read_as_it_stands(path, found, &options, |object| {
            if let Geometry::Points(batch) = object.geometry {
                places.extend(batch.positions.iter().flat_map(|p| p.to_array()).flat_map(f64::to_le_bytes));
                let points = batch.positions.len();
                put(&mut rgb, &batch.colours, points, |c| c);
                put(&mut intensities, &batch.intensities, points, u16::to_le_bytes);
                put(&mut classes, &batch.classes, points, |c| [c]);
            }
        });
        let lengths = [places.len(), rgb.len(), intensities.len(), classes.len()];
        std::fs::write(to, [places, rgb, intensities, classes].concat()).unwrap();
        Some(serde_json::json!({
            "lengths": lengths,
            "error": outcome.err().map(|e| e.to_string()),
            "warnings": report.warnings,
            "skipped": report.skipped,
        }))
    });
}

#[test]
fn every_object_of_city_models_is_what_cjio_reads() {
    let options = Options::default();
    judge("cityjson.py", &["json", "jsonl"], &options, |path, found, to| {
        if found.0.name != "cityjson" {
            return None;
        }
        record::write(path, found, &options, to);
        Some(serde_json::Value::Null)
    });
}
