//! Tiles of everything that is neither terrain nor scan.

use std::path::Path;

use super::{Surroundings, TileError, TilesetBuilder};
use crate::model::CityObject;

/// Objects that could not be drawn.
#[derive(Default)]
pub struct Undrawn {
    /// The first of them: id and reason.
    pub listed: Vec<(String, String)>,
    /// How many.
    pub total: u64,
}

/// Collects the solid objects of one layer.
pub struct SolidTiler {}

impl SolidTiler {
    /// A tiler; what does not fit in memory goes to files in `spill`.
    pub fn new(spill: &Path) -> Result<Self, TileError> {
        let _ = spill;
        Ok(Self {})
    }

    /// Takes one object.
    pub fn push(&mut self, object: &CityObject) -> Result<(), TileError> {
        let _ = object;
        Ok(())
    }

    /// Writes the tiles.
    pub fn finish(self, around: &Surroundings<'_>, tileset: &mut TilesetBuilder<'_>) -> Result<Undrawn, TileError> {
        let _ = (around, tileset);
        Ok(Undrawn::default())
    }
}
