//! What a city is made of. No I/O, no formats, no tiles.
//!
//! All positions are f64 metres in the city's own frame: x east, y north, z up,
//! in the city's projected CRS and vertical datum.

mod attribute;
mod cim;
mod class;
mod extent;
mod geometry;
mod object;
mod payload;
mod reading;
mod report;
mod sensor;
mod sensors;
mod texts;
mod texture;

pub use attribute::{Attribute, Origin, Value};
pub use cim::CimLevel;
pub use class::{Class, Domain, PipeKind, Soil, Stage};
pub use extent::Extent;
pub(crate) use geometry::interpolate;
pub use geometry::{
    Area, Block, Geometry, HeightGrid, Instance, InstanceModel, Line, Mesh, MeshPart, Picture, Point, PointBatch,
    Polygon, Roof, Section, Shaft, Tube, Vertical,
};
pub use object::{CityObject, ObjectId};
pub use payload::{Field, Kind, Layout, Payload};
pub use reading::{Quality, Reading};
pub use report::{Changes, ImportReport, Skip, SourceReport, Warning};
pub use sensor::{Sensor, Threshold};
pub use sensors::{SensorKind, Sensors};
pub use texture::Texture;
