//! Bare ground (白块): places in view that have ground, but of which no tile is drawn. A picture of a city never shows any.
//!
//! Two ways of looking, which do not know of each other: by the tiles that are drawn, and by the pixels of the finished picture.

use bevy::math::Vec2;
use groundline_engine::{
    model::Extent,
    tile::{Refine, TileId, TileTree, View},
};

use crate::{city::CityModel, scene::Viewed};

/// What stands where nothing is drawn while pixels are looked at: no material of a city has it.
pub const NOTHING: [u8; 3] = [255, 0, 255];

/// Pixels looked at, one of so many in both directions.
const STEP_PX: usize = 4;
/// Share of the city's size at its border that is not judged: land dissolves into haze there.
const BORDER: f64 = 0.03;
/// A ray has met ground when it is at least so far below it, metres, and farther than the coarsest tile is off: hills of coarse tiles are
/// lower than they are.
const SUNK_M: f64 = 40.0;
/// Farthest that a ray is followed, metres.
const FARTHEST_M: f64 = 30_000.0;

/// Tiles in view that nothing covers: neither they nor what is above or below them in the tree is drawn.
pub fn bare_tiles(tree: &TileTree, view: &View, is_drawn: &dyn Fn(TileId) -> bool) -> usize {
    let (mut bare, mut stack) = (0, Vec::new());
    if !tree.is_empty() {
        stack.push(TileId::ROOT);
    }
    while let Some(id) = stack.pop() {
        let tile = tree.tile(id);
        if !view.is_visible(&tile.extent) || (tile.content.is_some() && is_drawn(id)) {
            continue;
        }
        if tile.children.is_empty() || (tile.refine == Refine::Add && tile.content.is_some()) {
            bare += usize::from(tile.content.is_some());
        } else {
            stack.extend(&tile.children);
        }
    }
    bare
}

/// Pixels of a picture (RGBA, row by row) that show nothing although there is ground behind them, and how many were looked at.
pub fn bare_pixels(city: &CityModel, viewed: &Viewed, width: usize, pixels: &[u8]) -> (usize, usize) {
    let extent = city.ground.extent();
    let border = extent.size() * BORDER;
    let inside = Extent { min: extent.min + border, max: extent.max - border };
    let trees = city.layers.iter().filter(|layer| layer.is_ground()).map(|layer| layer.tree.now());
    let errors = trees.filter(|tree| !tree.is_empty()).map(|tree| tree.tile(TileId::ROOT).geometric_error_m);
    let sunk_m = errors.fold(SUNK_M, f64::max);
    let (mut bare, mut looked) = (0, 0);
    for (row, line) in pixels.chunks_exact(width * 4).enumerate().step_by(STEP_PX) {
        for (column, pixel) in line.chunks_exact(4).enumerate().step_by(STEP_PX) {
            looked += 1;
            let is_nothing = pixel.iter().zip(NOTHING).all(|(is, nothing)| is.abs_diff(nothing) <= 2);
            let place = Vec2::new(column as f32 + 0.5, row as f32 + 0.5);
            bare += usize::from(is_nothing && meets_ground(city, viewed, place, (&inside, sunk_m)));
        }
    }
    (bare, looked)
}

/// Whether the ray through a pixel meets the ground from above and goes `sunk_m` below it within `inside`, in plan. One that comes in from
/// outside, under the edge of the city, meets nothing.
fn meets_ground(city: &CityModel, viewed: &Viewed, pixel: Vec2, (inside, sunk_m): (&Extent, f64)) -> bool {
    let ray = viewed.ray(pixel);
    let (mut along_m, mut was_above) = (1.0, false);
    while along_m < FARTHEST_M {
        let place = ray.from + ray.direction * along_m;
        let plan = place.truncate();
        if let Some(ground) = city.ground.height_at(plan) {
            was_above |= place.z > ground;
            if !was_above {
                return false;
            }
            let is_inside = plan.cmpge(inside.min.truncate()).all() && plan.cmple(inside.max.truncate()).all();
            if is_inside && place.z < ground - sunk_m {
                return true;
            }
        }
        along_m += (along_m * 0.02).max(2.0);
    }
    false
}

#[cfg(test)]
mod tests {
    use glam::{DMat4, DVec2, DVec3};
    use groundline_engine::{
        model::HeightGrid,
        tile::{Ground, Tile},
    };

    use super::*;
    use crate::camera::CameraPose;

    /// Looking straight down on the middle of 1 km of ground.
    fn viewed() -> Viewed {
        let pose = CameraPose { place: DVec3::new(500.0, 500.0, 600.0), heading_deg: 0.0, pitch_deg: -90.0 };
        Viewed { pose, size: Vec2::new(160.0, 90.0) }
    }

    #[test]
    fn a_tile_that_nothing_covers_is_bare() {
        let tile = |parent, west: f64, east: f64| Tile {
            parent,
            children: Vec::new(),
            extent: Extent { min: DVec3::new(west, 450.0, 0.0), max: DVec3::new(east, 550.0, 10.0) },
            geometric_error_m: 8.0,
            refine: Refine::Replace,
            content: Some("a.glb".into()),
            bytes: 1,
            origin: None,
            stands_for: None,
            world_from_tile: DMat4::IDENTITY,
        };
        let root = Some(TileId::ROOT);
        let far = tile(root, 9000.0, 9100.0);
        let tree = TileTree::from_tiles(vec![
            tile(None, 400.0, 9100.0),
            tile(root, 400.0, 500.0),
            tile(root, 500.0, 600.0),
            far,
        ]);
        let (tree, view) = (tree.expect("a tree"), viewed().view().expect("a size"));
        let bare = |drawn: &[u32]| bare_tiles(&tree, &view, &|id| drawn.contains(&id.0));
        assert_eq!((bare(&[0]), bare(&[1, 2]), bare(&[1]), bare(&[])), (0, 0, 1, 2), "the far one is not in view");
        assert_eq!(bare_tiles(&TileTree::default(), &view, &|_| false), 0);
    }

    #[test]
    fn a_pixel_is_bare_where_there_is_ground_behind_it() {
        let grid = HeightGrid {
            north_west: DVec2::new(0.0, 1000.0),
            step_m: DVec2::splat(10.0),
            columns: 101,
            rows: 101,
            heights: vec![0.0; 101 * 101],
        };
        let ground = Ground::new(vec![grid]);
        let city = CityModel::of_layers("a", vec![], ground, vec![]);
        let picture = |rgb: [u8; 3]| [rgb[0], rgb[1], rgb[2], 255].repeat(160 * 90);
        let count = |viewed: &Viewed, rgb| bare_pixels(&city, viewed, 160, &picture(rgb));
        assert_eq!(count(&viewed(), NOTHING), (40 * 23, 40 * 23));
        assert_eq!(count(&viewed(), [90, 120, 60]).0, 0);
        let mut up = viewed();
        up.pose.pitch_deg = 20.0;
        assert_eq!(count(&up, NOTHING).0, 0, "the sky is not ground");
        let mut beside = viewed();
        beside.pose = CameraPose { place: DVec3::new(500.0, -500.0, -50.0), heading_deg: 0.0, pitch_deg: 0.0 };
        assert_eq!(count(&beside, NOTHING).0, 0, "nor is what lies under the edge");
    }
}
