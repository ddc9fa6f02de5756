//! What is taken out of an IFC file, in the file's own axes and metres.

use groundline_engine::model::Value;
use serde::{Deserialize, Serialize};

/// What is said of the file as a whole, after everything has been read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Products handed on.
    pub products: u64,
    /// Products whose shape could not be made, or not wholly.
    pub failed_shapes: u64,
    /// Metres in the file's length unit, where it names one.
    pub length_unit_m: Option<f64>,
}

/// One IfcProduct.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// Number of its entity.
    pub express_id: u32,
    /// `IfcWall` …, as the schema writes it.
    pub ifc_type: String,
    /// GlobalId; the entity number where the file has none.
    pub global_id: String,
    /// Name.
    pub name: Option<String>,
    /// GlobalId of what it is part of.
    pub parent: Option<String>,
    /// Types of what it is part of, from the nearest to the farthest.
    pub within: Vec<String>,
    /// Height of its storey, or its own where it is one, metres above the building's zero.
    pub storey_elevation_m: Option<f64>,
    /// For a building: how many storeys it has.
    pub storeys: Option<u32>,
    /// Attributes, property sets and quantities: key, value.
    pub attributes: Vec<(String, Value)>,
}

/// Triangles of one colour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Vertices, metres in the file's axes.
    pub positions: Vec<[f64; 3]>,
    /// Three indices a triangle.
    pub indices: Vec<u32>,
    /// Colour, sRGB with alpha.
    pub rgba: [u8; 4],
}

/// What comes of reading.
pub enum Found {
    /// A product with its shape.
    Product(Box<Product>, Vec<Part>),
    /// Reading could go on from here another time, by one who knows what was told at the first of these.
    Mark(u64, Vec<u8>),
}

/// Takes what is read. An error stops the reading.
pub type Sink<'a> = dyn FnMut(Found) -> Result<(), String> + 'a;
