//! Source files to city objects.
//!
//! A format is one file (or folder) here and one line in [`FORMATS`]. An importer emits
//! [`CityObject`](groundline_engine::model::CityObject)s in the city's frame and keeps the account of what it did;
//! it never sees a tile, the store or the viewer.

pub mod ags;
pub mod apart;
mod archive;
mod borehole;
pub mod borehole_table;
pub mod citygml;
pub mod cityjson;
mod citymodel;
mod cloud;
#[cfg(test)]
mod damage_test;
pub mod dwg;
pub mod dxf;
pub mod e57;
pub mod encoding;
pub mod epanet;
pub mod esri_grid;
mod feature;
pub mod field;
pub mod flatgeobuf;
mod format;
pub mod geojson;
pub mod geopackage;
pub mod geoparquet;
pub mod geotiff;
pub mod gltf;
mod height;
pub mod ifc;
mod inp;
pub mod intake;
pub mod kml;
pub mod las;
mod mesh;
pub mod osm;
pub mod pcd;
pub mod picture;
pub mod pipe_table;
pub mod ply;
pub mod sensor_table;
pub mod shapefile;
mod sheet;
mod source;
pub mod swmm;
pub mod table;
mod text;
mod texture;
pub mod tiles3d;
#[cfg(test)]
mod trial;
pub mod xyz;

pub use format::{FORMATS, Format, ImportError, Job, Kind, Options, Out, Probe, Start};
