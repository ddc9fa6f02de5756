//! Source files to city objects.
//!
//! A format is one file (or folder) here and one line in [`FORMATS`]. An importer emits
//! [`CityObject`](groundline_engine::model::CityObject)s in the city's frame and keeps the account of what it did;
//! it never sees a tile, the store or the viewer.

mod format;
pub mod geotiff;
pub mod intake;
pub mod las;
pub mod picture;
pub mod pipe_table;
mod source;

pub use format::{FORMATS, Format, ImportError, Job, Kind, Options, Out, Probe};
