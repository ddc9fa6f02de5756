//! Imports beside the programs that cities use for the same today.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use groundline_sample::mass;

use crate::{
    contest::{Entry, contest, contest_of},
    large,
    run::program,
};

/// Footprints of the generated shapefile.
const FOOTPRINTS: usize = 1_000_000;
/// Houses of the generated city models.
const HOUSES: usize = 20_000;

/// What every contest needs.
pub struct Bench {
    /// The command.
    pub groundline: PathBuf,
    /// Folder for inputs and outputs.
    pub work: PathBuf,
}

impl Bench {
    /// A shapefile of many footprints: read with its attributes; read, reprojected and indexed; imported whole.
    pub fn footprints(&self) -> Result<()> {
        let source = mass::shapefile(&self.work, FOOTPRINTS)?;
        let count = (FOOTPRINTS as u64, "objects");
        let input = format!("{FOOTPRINTS} L-shaped footprints, 5 attributes, GBK");
        contest("shapefile read with attributes", &input, count, &self.read(&source, 0)?, &[pyogrio(&source)])?;
        let convert = || {
            let out = self.work.join("peer.fgb");
            let args = ["-f", "FlatGeobuf", "-t_srs", "EPSG:4326"].map(str::to_owned).to_vec();
            let args = [args, vec![shown(&out), shown(&source)]].concat();
            let name = "ogr2ogr -t_srs to FlatGeobuf with its index".into();
            Entry { name, program: program("ogr2ogr"), args, output: vec![out], result: nothing }
        };
        contest("shapefile read, reprojected, indexed", &input, count, &self.read(&source, 4326)?, &[convert()])?;
        let import = self.import("footprints", &[&source], &["--crs", "EPSG:4549"]);
        contest("shapefile to 3D tiles, index, GeoParquet", &input, count, &import, &[convert()])?;
        for ending in ["shp", "shx", "dbf", "prj", "cpg"] {
            let _ = std::fs::remove_file(source.with_extension(ending));
        }
        Ok(())
    }

    /// Real footprints in GeoJSON.
    pub fn real_footprints(&self, data: &Path) -> Result<()> {
        let source = data.join("gis/geojson/beijing_buildings_height.geojson");
        let count = (5442, "objects");
        let convert = || {
            let out = self.work.join("peer.fgb");
            let args = ["-f", "FlatGeobuf", "-t_srs", "EPSG:32650", "-nlt", "PROMOTE_TO_MULTI"].map(str::to_owned);
            let args = [args.to_vec(), vec![shown(&out), shown(&source)]].concat();
            let name = "ogr2ogr -t_srs to FlatGeobuf with its index".into();
            Entry { name, program: program("ogr2ogr"), args, output: vec![out], result: nothing }
        };
        let input = "5 442 real footprints";
        contest("GeoJSON read, reprojected, indexed", input, count, &self.read(&source, 32650)?, &[convert()])?;
        let import = self.import("real", &[&source], &[]);
        contest("GeoJSON to 3D tiles, index, GeoParquet", input, count, &import, &[convert()])
    }

    /// City models.
    pub fn houses(&self) -> Result<()> {
        let folder = self.work.join("sequence");
        std::fs::create_dir_all(&folder)?;
        let sequence = mass::city_json_sequence(&folder, HOUSES)?;
        let gml = mass::city_gml(&self.work, HOUSES)?;
        let count = (HOUSES as u64, "buildings");
        let input = format!("{HOUSES} gabled houses of LoD 2.2");
        let out = self.work.join("tyler");
        let mut args: Vec<String> =
            ["--object-type", "Building", "--lod-building", "2.2", "--object-attributes"].map(str::to_owned).to_vec();
        args.extend(["name:string,measuredHeight:float,storeys:int", "-o"].map(str::to_owned));
        args.extend([shown(&out), shown(&folder)]);
        let output = vec![out, folder.join(".cityjson-index.sqlite")];
        let tyler = Entry {
            name: "tyler 0.4.1, its index made anew".into(),
            program: program("tyler"),
            args,
            output,
            result: nothing,
        };
        let import = self.import("sequence", &[&sequence], &[]);
        contest("CityJSONSeq to 3D tiles, index, GeoParquet", &input, count, &import, &[tyler])?;
        let parse = Entry {
            name: "libcitygml 2.4 (citygmltest): parsing and triangles only".into(),
            program: program("citygmltest"),
            args: vec![shown(&gml)],
            output: Vec::new(),
            result: nothing,
        };
        let import = self.import("gml", &[&gml], &[]);
        contest("CityGML to 3D tiles, index, GeoParquet", &input, count, &import, &[parse])
    }

    /// Real scans.
    pub fn scan(&self, data: &Path) -> Result<()> {
        let source = data.join("pointcloud/bcts_4tiles");
        let laz = files(&source, "laz")?;
        let copc = self.work.join("peer.copc.laz");
        let copc_converter = Entry {
            name: "copc_converter 0.16".into(),
            program: program("copc_converter"),
            args: vec!["--progress".into(), "plain".into(), shown(&source), shown(&copc)],
            output: vec![copc],
            result: nothing,
        };
        let out = self.work.join("py3dtiles");
        let py3dtiles = Entry {
            name: "py3dtiles 12 --jobs 2, the same points as LAS".into(),
            program: program("py3dtiles"),
            args: ["convert", "--jobs", "2", "--overwrite", "--out"]
                .map(str::to_owned)
                .into_iter()
                .chain([shown(&out)])
                .chain(self.plain(&laz)?.iter().map(|p| shown(p)))
                .collect(),
            output: vec![out],
            result: nothing,
        };
        // Any projected system does for timing.
        let import = self.import("scan", &[&source], &["--crs", "EPSG:26910", "--layer", "scan"]);
        let count = (2_834_350, "points");
        contest("LAZ to 3D tiles", "four real tiles, 2 834 350 points", count, &import, &[copc_converter, py3dtiles])
    }

    /// Real models of buildings and bridges.
    pub fn ifc(&self, data: &Path) -> Result<()> {
        let names = [
            "ifc2x3/Duplex_A_20110907.ifc",
            "ifc2x3/schependomlaan/002.ifc",
            "ifc4/19-12-12-Ziegelstraße_withPSetsAndNames.ifc",
            "ifc4/AC20-FZK-Haus.ifc",
            "ifc4/SampleHouse4.ifc",
            "ifc4/infra-bridge.ifc",
        ];
        let files: Vec<PathBuf> = names.iter().map(|name| data.join("bim").join(name)).collect();
        let all: Vec<String> = files.iter().map(|p| shown(p)).collect();
        let script = |name: &str| shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name));
        let ifcopenshell = Entry {
            name: "IfcOpenShell, 2 threads: meshes only".into(),
            program: python("ifcopenshell"),
            args: [vec![script("ifcopenshell_mesh.py")], all.clone()].concat(),
            output: Vec::new(),
            result: products,
        };
        let web_ifc = Entry {
            name: "web-ifc: meshes only".into(),
            program: program("node").filter(|_| std::env::var_os("NODE_PATH").is_some()),
            args: [vec![script("webifc_mesh.cjs")], all].concat(),
            output: Vec::new(),
            result: products,
        };
        let sources: Vec<&PathBuf> = files.iter().collect();
        let import = self.import("ifc", &sources, &["--crs", "EPSG:25832"]);
        let bytes: u64 = files.iter().filter_map(|p| p.metadata().ok()).map(|m| m.len()).sum();
        let input = format!("{} real files, {:.1} MB", files.len(), bytes as f64 / 1e6);
        contest("IFC to 3D tiles, index, GeoParquet", &input, (bytes, "bytes"), &import, &[ifcopenshell, web_ifc])
    }

    /// A scan that is far larger than memory: 200 million points, or as many as `GROUNDLINE_POINTS` says; two runs of each.
    pub fn points(&self) -> Result<()> {
        let wanted = std::env::var("GROUNDLINE_POINTS").unwrap_or_else(|_| "200000000".into());
        let count: u64 = wanted.trim().parse().context("GROUNDLINE_POINTS")?;
        let folder = self.work.join("points");
        std::fs::create_dir_all(&folder)?;
        let source = large::laz(&folder, count * large::LAZ_POINT_BYTES)?;
        let copc = self.work.join("points.copc.laz");
        let copc_converter = Entry {
            name: "copc_converter 0.16".into(),
            program: program("copc_converter"),
            args: vec!["--progress".into(), "plain".into(), shown(&source), shown(&copc)],
            output: vec![copc.clone()],
            result: nothing,
        };
        let import = self.import("points", &[&source], &["--crs", "EPSG:4549", "--layer", "scan"]);
        let input = format!("{count} generated points, {:.0} MB of LAZ", source.metadata()?.len() as f64 / 1e6);
        contest_of(2, "LAZ to 3D tiles", &input, (count, "points"), &import, &[copc_converter])?;
        for path in import.output.iter().chain([&folder]) {
            std::fs::remove_dir_all(path)?;
        }
        let _ = std::fs::remove_file(copc);
        Ok(())
    }

    fn import(&self, name: &str, sources: &[&PathBuf], more: &[&str]) -> Entry {
        let city = self.work.join(format!("{name}.city"));
        let mut args = vec!["import".to_owned()];
        args.extend(sources.iter().map(|s| shown(s)));
        args.extend(["--city".into(), shown(&city), "--json".into()]);
        args.extend(more.iter().map(|a| (*a).to_owned()));
        Entry {
            name: "import".into(),
            program: Some(self.groundline.clone()),
            args,
            output: vec![city],
            result: |printed| {
                let report: serde_json::Value = serde_json::from_str(printed).unwrap_or_default();
                let bytes = report["bytes"].as_f64().unwrap_or(0.0) / 1e6;
                let (objects, points) = (&report["objects"], &report["points"]);
                format!("{objects} objects, {points} points, {} tiles, {bytes:.1} MB", report["tiles"])
            },
        }
    }

    fn read(&self, source: &Path, epsg: u32) -> Result<Entry> {
        Ok(Entry {
            name: "read".into(),
            program: Some(std::env::current_exe()?),
            args: vec!["read".into(), shown(source), epsg.to_string()],
            output: Vec::new(),
            result: |printed| {
                let report: serde_json::Value = serde_json::from_str(printed).unwrap_or_default();
                format!("{} objects, {} attributes", report["objects"], report["attributes"])
            },
        })
    }

    /// The scans uncompressed: with LAZ py3dtiles 12.1.1 does not end, so it gets the same points with less work.
    fn plain(&self, scans: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let folder = self.work.join("las");
        std::fs::create_dir_all(&folder)?;
        let mut plain = Vec::new();
        for path in scans {
            let to = folder.join(path.file_name().context("a file")?).with_extension("las");
            let mut reader = las::Reader::from_path(path)?;
            let mut builder = las::Builder::from(reader.header().clone());
            builder.point_format.is_compressed = false;
            let mut writer = las::Writer::from_path(&to, builder.into_header()?)?;
            loop {
                let points = reader.read_points(1 << 16)?;
                if points.is_empty() {
                    break;
                }
                for point in points.points() {
                    writer.write_point(point?)?;
                }
            }
            writer.close()?;
            plain.push(to);
        }
        Ok(plain)
    }
}

/// GDAL through Python, without writing anything.
fn pyogrio(source: &Path) -> Entry {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/pyogrio_read.py");
    Entry {
        name: "pyogrio raw.read (GDAL)".into(),
        program: python("pyogrio"),
        args: vec![shown(&script), shown(source)],
        output: Vec::new(),
        result: |printed| format!("{} features", printed.split_whitespace().next().unwrap_or("?")),
    }
}

/// The Python that has a module: the one that `GROUNDLINE_PYTHON` names, or the first on the path.
fn python(module: &str) -> Option<PathBuf> {
    let named = std::env::var_os("GROUNDLINE_PYTHON").map(PathBuf::from);
    let python = named.or_else(|| program("python3"))?;
    let found = std::process::Command::new(&python).args(["-c", &format!("import {module}")]).output();
    found.is_ok_and(|o| o.status.success()).then_some(python)
}

fn nothing(_printed: &str) -> String {
    String::new()
}

fn products(printed: &str) -> String {
    let mut words = printed.split_whitespace();
    format!("{} products, {} triangles", words.next().unwrap_or("?"), words.next().unwrap_or("?"))
}

fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == ending));
    files.sort();
    Ok(files)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
