//! Tiles that are no files of a city: a tileset of others, turned to the city's terms as it is asked for.

use glam::{DVec2, DVec3};

use super::{Tile, TileContent};
use crate::model::CityObject;

/// What stands behind the address of a tile.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Tiles: the first one takes the place of the tile that was asked for, the others are below it. Parents are
    /// counted in this list and come before their children.
    Tiles(Vec<Tile>),
    /// What the tile draws, around an origin in the frame of the source.
    Drawn(Box<TileContent>, DVec3),
}

/// A tileset that can be looked at where it lies.
///
/// Its frame is a plane one of its own: metres, x east, y north, z up. [`Tile::content`] of its tiles is an address that
/// only the source knows.
pub trait TileSource: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// What its frame is, for people.
    fn frame(&self) -> String;

    /// Longitude and latitude of the origin of its frame, degrees, where it lies on the Earth.
    fn lon_lat(&self) -> Option<DVec2>;

    /// The tiles that are known from the start.
    fn tiles(&self) -> Vec<Tile>;

    /// Reads what stands behind an address; called from several threads, and may ask the network. The error is a sentence.
    fn read(&self, address: &str) -> Result<Piece, String>;

    /// What is known of a feature of tiles read a while ago, without its shape.
    fn object(&self, id: &str) -> Option<CityObject>;
}
