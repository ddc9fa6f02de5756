//! Source files to city objects.
//!
//! A format is one file (or folder) here and one line in [`FORMATS`]. An importer emits
//! [`CityObject`](groundline_engine::model::CityObject)s in the city's frame and keeps the account of what it did;
//! it never sees a tile, the store or the viewer.

mod cloud;
pub mod e57;
pub mod encoding;
pub mod esri_grid;
mod feature;
pub mod field;
mod format;
pub mod geojson;
pub mod geotiff;
pub mod gltf;
pub mod ifc;
pub mod intake;
pub mod las;
mod mesh;
pub mod pcd;
pub mod picture;
pub mod pipe_table;
pub mod ply;
pub mod sensor_table;
pub mod shapefile;
mod source;
pub mod tiles3d;
#[cfg(test)]
mod trial;
pub mod xyz;

pub use format::{FORMATS, Format, ImportError, Job, Kind, Options, Out, Probe};
