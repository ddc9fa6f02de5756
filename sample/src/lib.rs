//! The sample city: from a recipe to files in the formats that a city really has.
//!
//! [`make`] turns a [`Recipe`] into the files that the departments of a seaside district would hand over: GBK shapefiles, a
//! GeoTIFF, an orthophoto, pipe tables, an IFC building, a laser scan, a sensor registry with recorded readings.
//! Everything is invented. Same recipe, same bytes: on every machine, with any number of threads, on any day.
//!
//! The path through the crate: [`Recipe`] ─► coast ─► terrain ─► streets ─► plots ─► buildings ─► plants, networks ─► files.

mod angle;
mod bim;
mod building;
mod city;
mod coast;
mod drain;
mod finding;
mod gallery;
mod layer;
pub mod mass;
mod network;
mod note;
mod outline;
mod picture;
mod plane;
mod plant;
mod plot;
mod random;
mod raster_file;
mod recipe;
mod scan;
mod sensor;
mod shape_file;
mod street;
mod table;
mod terrain;

use std::path::{Path, PathBuf};

pub use recipe::{Promises, Recipe};

/// Why a sample city could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The recipe is not one.
    #[error("recipe {place}: {reason}")]
    Recipe {
        /// File.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The disk said no.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// A library refused to write a format.
    #[error("{what}: {reason}")]
    Encode {
        /// Which file.
        what: &'static str,
        /// What it said.
        reason: String,
    },
    /// The recipe makes less or more than it promises.
    #[error("the city has {count} {what}, its recipe promises {low} to {high}")]
    Promise {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// Least promised.
        low: usize,
        /// Most promised.
        high: usize,
    },
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Files with their sizes in bytes, relative to the folder, in order of their paths.
    pub files: Vec<(PathBuf, u64)>,
    /// Buildings in 建筑.shp.
    pub buildings: usize,
    /// Streets between crossings in 道路.shp.
    pub streets: usize,
    /// Pipe segments in the tables of 地下管线.
    pub pipes: usize,
    /// Sensors in 物联网/传感器.csv.
    pub sensors: usize,
    /// Points in 点云/街区扫描.laz.
    pub points: u64,
    /// Trees in 行道树.shp.
    pub trees: usize,
    /// Lamps in 路灯.shp.
    pub lamps: usize,
}

/// Makes the city of a recipe in a folder (created when missing; files of the same names are replaced).
pub fn make(recipe: &Recipe, dir: &Path, progress: &mut dyn FnMut(&str)) -> Result<Made, SampleError> {
    progress("laying out the city");
    let city = city::City::new(recipe);
    check("buildings", city.buildings.len(), recipe.promises.buildings)?;
    let mut made = Made {
        buildings: city.buildings.len(),
        streets: city.streets.streets.len(),
        pipes: city.networks.iter().map(|n| n.pipes.len()).sum(),
        trees: city.trees.len(),
        lamps: city.lamps.len(),
        ..Made::default()
    };
    check("pipes", made.pipes, recipe.promises.pipes)?;
    let sensors = sensor::sensors(&city);
    made.sensors = sensors.len();
    check("sensors", made.sensors, recipe.promises.sensors)?;
    progress("writing survey layers, painting the orthophoto, scanning a block");
    // Each of these takes about as long as the others; what they make does not depend on which is done first.
    let (survey, photo, scan) = std::thread::scope(|scope| {
        let photo = scope.spawn(|| picture::paint(&city));
        let scan = scope.spawn(|| scan::scan(&city));
        let survey = survey(&city, recipe);
        let photo = photo.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let scan = scan.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (survey, photo, scan)
    });
    let mut files = survey?;
    files.push(("基础测绘/DOM_2026.jpg".into(), photo?));
    let corner = recipe.shift() + glam::DVec2::new(recipe.extent().min.x, recipe.extent().max.y);
    files.push(("基础测绘/DOM_2026.jgw".into(), raster_file::world_file(corner, recipe.picture.metres_per_pixel)));
    files.push(("基础测绘/DOM_2026.prj".into(), shape_file::PRJ.as_bytes().to_vec()));
    let (bytes, points) = scan?;
    made.points = points;
    files.push(("点云/街区扫描.laz".into(), bytes));
    files.extend(gallery::files(&city));
    files.push(("物联网/传感器.csv".into(), sensor::registry(&sensors, &city).csv_gbk()));
    files.push(("物联网/读数.csv".into(), sensor::readings(&sensors, &city)?));
    files.push(("说明.txt".into(), note::note(&city, &made)));
    files.sort();
    for (name, bytes) in files {
        let path = dir.join(&name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|source| SampleError::Io { path: parent.to_owned(), source })?;
        }
        std::fs::write(&path, &bytes).map_err(|source| SampleError::Io { path: path.clone(), source })?;
        made.files.push((PathBuf::from(name), bytes.len() as u64));
    }
    Ok(made)
}

/// Files of the survey, the pipe offices and the designers.
fn survey(city: &city::City, recipe: &Recipe) -> Result<Vec<(String, Vec<u8>)>, SampleError> {
    let mut files = layer::survey(city);
    files.push(("基础测绘/DEM_5m.tif".into(), raster_file::geotiff(&city.ground.field, recipe.shift())?));
    for network in &city.networks {
        let (letters, zh) = (network.service.letters(), network.service.zh());
        let (points, lines) = table::tables(network, recipe);
        if network.service == network::Service::Telecom {
            files.push((format!("地下管线/{zh}/{letters}_管线成果.xlsx"), table::workbook(&points, &lines)?));
        } else {
            files.push((format!("地下管线/{zh}/{letters}_管点.csv"), points.csv_gbk()));
            files.push((format!("地下管线/{zh}/{letters}_管线.csv"), lines.csv_gbk()));
        }
    }
    if let Some(bytes) = bim::building(city) {
        files.push(("BIM/海湾中心.ifc".into(), bytes));
    }
    Ok(files)
}

fn check(what: &'static str, count: usize, [low, high]: [usize; 2]) -> Result<(), SampleError> {
    if (low..=high).contains(&count) { Ok(()) } else { Err(SampleError::Promise { what, count, low, high }) }
}
