//! Files of other people, held against what other programs say about them.
//!
//! The files lie outside the repository; where they are absent the tests say so and pass. One program for all formats:
//! each further one would be linked anew.

mod citymodel;
mod dxf;
mod kml;
mod osm;
mod record;
mod referee;
mod table;
mod vector;

use std::path::{Path, PathBuf};

use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, SourceReport},
};
use groundline_importers::{Format, ImportError, Job, Options, Out};

/// The folder of real input files: `GROUNDLINE_DATA`, or `shared/data` beside or above the repository.
fn data() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("GROUNDLINE_DATA").map(PathBuf::from);
    let near = ["../../shared/data", "../shared/data", "../../../shared/data"].map(|way| here.join(way));
    let found = named.into_iter().chain(near).find(|path| path.is_dir());
    if found.is_none() {
        println!("no input files (set GROUNDLINE_DATA): nothing tested");
    }
    found
}

/// Keeps what an importer emits.
#[derive(Default)]
struct Kept(Vec<CityObject>);

impl Out for Kept {
    fn emit(&mut self, object: CityObject) -> Result<(), ImportError> {
        self.0.push(object);
        Ok(())
    }

    fn progress(&mut self, fraction: f32) {
        assert!((0.0..=1.0).contains(&fraction));
    }
}

/// Objects and account of a file in its own system, which has this EPSG code.
fn import_in(format: &Format, path: &Path, epsg: u32) -> (Vec<CityObject>, SourceReport) {
    let options = Options::default();
    let probe = (format.probe)(path, &options).unwrap().expect("a file of the format");
    let crs = Crs::from_epsg(epsg).unwrap();
    let transform = Transform::new(&crs, &crs).unwrap();
    let layer = format.name;
    let job = Job { path, probe: &probe, layer, city_from_source: &transform, crs: &crs, options: &options };
    let (mut kept, mut report) = (Kept::default(), SourceReport::default());
    (format.read)(&job, &mut kept, &mut report).unwrap_or_else(|error| panic!("{error}"));
    (kept.0, report)
}
