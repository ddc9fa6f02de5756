//! City objects to 3D Tiles 1.1.
//!
//! One tileset per layer. Tile content is GLB with `EXT_mesh_features` and `EXT_structural_metadata`;
//! files are named by the hash of their content.

pub mod glb;
mod ground;

pub use ground::Ground;

use std::path::Path;

use crate::{
    crs::Frame,
    model::{CityObject, Extent, Picture},
};

/// Why tiles could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// The disk said no.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: std::path::PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// What was written to a temporary file could not be read back.
    #[error("temporary tile data: {0}")]
    Spill(String),
}

/// What the tiler needs to know about the city around the layer.
pub struct Surroundings<'a> {
    /// The city's frame on the Earth.
    pub frame: &'a Frame,
    /// Its terrain; empty when it has none.
    pub ground: &'a Ground,
    /// Pictures to drape on terrain, the later over the earlier.
    pub pictures: &'a [Picture],
}

/// The tiles of one layer, as written.
#[derive(Clone, Debug, Default)]
pub struct LayerTiles {
    /// Name of the layer's `tileset.json`, relative to the folder given; `None` when nothing can be drawn.
    pub tileset: Option<String>,
    /// Every file written, relative to the folder given.
    pub files: Vec<String>,
    /// Tiles with content.
    pub tiles: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Box around what is drawn, in the city's frame.
    pub extent: Extent,
}

/// Collects the objects of one layer and writes its tiles.
pub struct LayerTiler {}

impl LayerTiler {
    /// A tiler for `layer`; what does not fit in memory goes to files in `spill`.
    pub fn new(layer: &str, spill: &Path) -> Result<Self, TileError> {
        let _ = (layer, spill);
        Ok(Self {})
    }

    /// Takes one object.
    pub fn push(&mut self, object: &CityObject) -> Result<(), TileError> {
        let _ = object;
        Ok(())
    }

    /// Writes the tiles into `folder` (which becomes `tiles/<layer>/` of the city).
    pub fn finish(self, folder: &Path, around: &Surroundings<'_>) -> Result<LayerTiles, TileError> {
        let _ = (folder, around);
        Ok(LayerTiles::default())
    }
}
