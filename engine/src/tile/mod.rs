//! City objects to 3D Tiles 1.1.
//!
//! One tileset per layer. Tile content is GLB with `EXT_mesh_features` and `EXT_structural_metadata`;
//! files are named by the hash of their content.

//!
//! ```text
//! CityObject ─► LayerTiler ─┬─ heights, pictures ─► TerrainTiler ─┐
//!                           ├─ scan points ───────► CloudTiler ───┼─► TilesetBuilder ─► tileset-<hash>.json, <hash>.glb
//!                           └─ everything else ───► SolidTiler ───┘
//! ```

mod album;
mod cloud;
mod content;
mod curve;
pub mod glb;
mod ground;
mod horizon;
mod journal;
pub mod meshopt;
mod page;
pub mod raster;
pub mod select;
mod shape;
mod solid;
mod source;
mod spill;
mod table;
mod terrain;
mod tileset;
mod tree;

pub use glb::TileContent;
pub use ground::Ground;
pub use horizon::{Horizon, LowGround};
pub use journal::Journal;
pub use page::PageError;
pub use select::{SelectOptions, Selection, View, select};
pub use source::{Piece, TileSource};
pub(crate) use tileset::NAME_DIGITS;
pub use tileset::{Content, Refine, TileNode, TilesetBuilder};
pub use tree::{Tile, TileId, TileTree, TreeError, volume_box};

pub(crate) use curve::{Square, hilbert};
pub(crate) use page::{each_file, read as read_page};
pub(crate) use solid::{Delta, Objects, change};

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use self::{
    cloud::CloudTiler,
    raster::{HeightRaster, Photo},
    solid::SolidTiler,
    terrain::TerrainTiler,
};
use crate::{
    crs::Frame,
    model::{CityObject, Class, Extent, Geometry},
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
    pub pictures: &'a [Arc<Photo>],
    /// What of the layer's tiles a process before this one has made.
    pub journal: &'a Journal,
}

/// A file of a layer's tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileFile {
    /// Name in the folder given.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of its content.
    pub blake3: String,
}

/// The tiles of one layer, as written.
#[derive(Clone, Debug, Default)]
pub struct LayerTiles {
    /// Name of the layer's `tileset.json`, relative to the folder given; `None` when nothing can be drawn.
    pub tileset: Option<String>,
    /// Every file written, in order of their names.
    pub files: Vec<TileFile>,
    /// Tiles with content.
    pub tiles: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Box around what is drawn, in the city's frame.
    pub extent: Extent,
    /// Objects whose shape cannot be drawn, as (id, reason); the first [`LayerTiles::UNDRAWN_LISTED`] of them.
    pub undrawn: Vec<(String, String)>,
    /// How many objects cannot be drawn.
    pub undrawn_total: u64,
    /// Surfaces in their plain colour because their picture cannot be decoded or is too large.
    pub plain_surfaces: u64,
}

impl LayerTiles {
    /// How many undrawn objects are named.
    pub const UNDRAWN_LISTED: usize = 100;
}

/// Collects the objects of one layer and writes its tiles.
///
/// Objects of class `Sensor` and objects without shape are passed over: nothing of them is drawn as geometry.
pub struct LayerTiler {
    layer: String,
    spill: PathBuf,
    surface: PathBuf,
    solid: Option<SolidTiler>,
    terrain: Option<TerrainTiler>,
    cloud: Option<CloudTiler>,
}

/// What another process needs to know to go on with a [`LayerTiler`]; the rest is in its folder.
#[derive(Serialize, Deserialize)]
pub struct TilerState {
    solid: Option<solid::State>,
    cloud: Option<cloud::State>,
}

/// Whether an object is drawn as what it is, in a place of its own: neither terrain nor scan, and nothing without a shape.
fn is_solid(object: &CityObject) -> bool {
    use Geometry::{Heights, None, Picture, Points};
    object.class != Class::Sensor && !matches!(object.geometry, None | Heights(_) | Picture(_) | Points(_))
}

impl LayerTiler {
    /// A tiler for `layer`; what does not fit in memory goes to files in `spill`, heights and pictures to one in `surface`,
    /// which must stay as long as the city's ground is asked for.
    pub fn new(layer: &str, spill: &Path, surface: &Path) -> Result<Self, TileError> {
        let (layer, spill, surface) = (layer.into(), spill.into(), surface.into());
        Ok(Self { layer, spill, surface, solid: None, terrain: None, cloud: None })
    }

    /// The heights and pictures that it was given.
    pub fn surfaces(&mut self) -> Result<(&[Arc<HeightRaster>], &[Arc<Photo>]), TileError> {
        self.terrain.as_mut().map_or(Ok((&[], &[])), TerrainTiler::surfaces)
    }

    /// Whether it holds a scan that is small enough to stay in memory: to put it on the disk would cost more than to read
    /// it again.
    pub fn holds_small_scan(&self) -> bool {
        self.cloud.as_ref().is_some_and(CloudTiler::is_in_memory)
    }

    /// Puts what it holds on the disk, for another process to go on from; `None` when that cannot be, since it holds
    /// terrain or pictures of the ground.
    pub fn checkpoint(&mut self) -> Result<Option<TilerState>, TileError> {
        if self.terrain.is_some() {
            return Ok(None);
        }
        let solid = self.solid.as_mut().map(SolidTiler::checkpoint).transpose()?;
        let cloud = self.cloud.as_mut().map(CloudTiler::checkpoint).transpose()?;
        Ok(Some(TilerState { solid, cloud }))
    }

    /// The tiler that had this `state` in a process before this one; `spill` is the same folder.
    pub fn restore(layer: &str, spill: &Path, surface: &Path, state: TilerState) -> Result<Self, TileError> {
        let solid = state.solid.map(|state| SolidTiler::restore(spill, state)).transpose()?;
        let cloud = state.cloud.map(|state| CloudTiler::restore(layer, spill, state)).transpose()?;
        Ok(Self { solid, cloud, ..Self::new(layer, spill, surface)? })
    }

    /// Takes one object.
    pub fn push(&mut self, object: &CityObject) -> Result<(), TileError> {
        if object.class == Class::Sensor {
            return Ok(());
        }
        match &object.geometry {
            Geometry::None => {
                // The block of its components is shown as the building.
                if object.class == Class::Building {
                    let solid = match self.solid.take() {
                        Some(solid) => solid,
                        None => SolidTiler::new(&self.spill)?,
                    };
                    self.solid.insert(solid).push_whole(object);
                }
                Ok(())
            }
            Geometry::Heights(_) | Geometry::Picture(_) => {
                let terrain = match self.terrain.take() {
                    Some(terrain) => terrain,
                    None => TerrainTiler::new(&self.surface),
                };
                self.terrain.insert(terrain).push(object)
            }
            Geometry::Points(_) => {
                let cloud = match self.cloud.take() {
                    Some(cloud) => cloud,
                    None => CloudTiler::new(&self.layer, &self.spill)?,
                };
                self.cloud.insert(cloud).push(object)
            }
            _ => {
                let solid = match self.solid.take() {
                    Some(solid) => solid,
                    None => SolidTiler::new(&self.spill)?,
                };
                self.solid.insert(solid).push(object)
            }
        }
    }

    /// Writes the tiles into `folder` (which becomes `tiles/<layer>/` of the city).
    pub fn finish(self, folder: &Path, around: &Surroundings<'_>) -> Result<LayerTiles, TileError> {
        let mut tileset = TilesetBuilder::new(folder, around.frame)?.with_journal(around.journal);
        let mut undrawn = solid::Undrawn::default();
        if let Some(terrain) = self.terrain {
            terrain.finish(around, &mut tileset)?;
        }
        if let Some(cloud) = self.cloud {
            cloud.finish(folder, around, &mut tileset)?;
        }
        if let Some(solid) = self.solid {
            undrawn = solid.finish(around, &mut tileset)?;
        }
        Ok(LayerTiles {
            undrawn: undrawn.listed,
            undrawn_total: undrawn.total,
            plain_surfaces: undrawn.plain_surfaces,
            ..tileset.finish()?
        })
    }
}
