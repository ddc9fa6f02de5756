//! The choice of tiles over a tree of a million: the time of one choice along a flight, with all tiles, a part and none loaded.

use std::time::Instant;

use anyhow::{Result, ensure};
use glam::{DMat4, DVec3};
use groundline_engine::{
    model::Extent,
    tile::{Refine, SelectOptions, Tile, TileId, TileTree, View, select},
};

/// Tiles of the tree: a quadtree whose last level is not full.
const TILES: usize = 1_000_000;
const SIDE_M: f64 = 32_768.0;
/// Where the city lies; its coordinates are as large as those with a zone before the easting.
const CORNER: DVec3 = DVec3::new(40_500_000.0, 4_000_000.0, 0.0);
const VIEWS: usize = 1000;

/// Prints a row for each share of the tiles that is loaded.
pub fn choice() -> Result<()> {
    let tree = TileTree::from_tiles(tiles())?;
    println!(
        "\nThe choice of tiles over {} tiles, {VIEWS} views of 1920×1080 along a flight, one thread:",
        tree.tiles().len()
    );
    println!("| loaded | p50, ms | p99, ms | longest, ms | drawn, median | drawn, most | wanted, most |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let half = |tile: TileId| !tile.index().is_multiple_of(3);
    let shares: [(&str, &dyn Fn(TileId) -> bool); 3] =
        [("all", &|_| true), ("two of three", &half), ("none", &|_| false)];
    for (what, loaded) in shares {
        row(&tree, what, loaded)?;
    }
    Ok(())
}

fn row(tree: &TileTree, what: &str, loaded: &dyn Fn(TileId) -> bool) -> Result<()> {
    let (mut times, mut drawn, mut most_wanted) = (Vec::new(), Vec::new(), 0);
    let options = SelectOptions::default();
    for number in 0..VIEWS {
        let view = view(number as f64 / VIEWS as f64);
        let timer = Instant::now();
        let selection = select(tree, &[view], &options, loaded);
        times.push(timer.elapsed().as_secs_f64() * 1e3);
        ensure!(selection.draw.len() <= options.max_tiles, "more tiles than the budget allows");
        most_wanted = most_wanted.max(selection.load.len());
        drawn.push(selection.draw.len());
    }
    times.sort_by(f64::total_cmp);
    drawn.sort_unstable();
    println!(
        "| {what} | {:.3} | {:.3} | {:.3} | {} | {} | {most_wanted} |",
        times[VIEWS / 2],
        times[VIEWS * 99 / 100],
        times[VIEWS - 1],
        drawn[VIEWS / 2],
        drawn[VIEWS - 1]
    );
    Ok(())
}

/// A flight across the city that comes down from 6 km to 60 m and turns once around.
fn view(share: f64) -> View {
    let place = CORNER + DVec3::new(SIDE_M * (0.2 + 0.6 * share), SIDE_M * 0.4, 6000.0 * 0.01_f64.powf(share));
    let (sin, cos) = (share * std::f64::consts::TAU).sin_cos();
    View::perspective(place, DVec3::new(cos, sin, -0.4), DVec3::Z, 38_f64.to_radians(), 16.0 / 9.0, 1080.0)
}

fn tiles() -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::with_capacity(TILES);
    tiles.push(tile(None, CORNER, SIDE_M));
    let mut parent = 0;
    while tiles.len() < TILES {
        let (corner, side) = (tiles[parent].extent.min, tiles[parent].extent.size().x / 2.0);
        for (x, y) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
            if tiles.len() < TILES {
                tiles.push(tile(Some(TileId(parent as u32)), corner + DVec3::new(x, y, 0.0) * side, side));
            }
        }
        parent += 1;
    }
    tiles
}

/// A tile of which a hundredth of its side is lost.
fn tile(parent: Option<TileId>, corner: DVec3, side_m: f64) -> Tile {
    Tile {
        parent,
        children: Vec::new(),
        extent: Extent { min: corner, max: corner + DVec3::new(side_m, side_m, 60.0) },
        geometric_error_m: side_m / 100.0,
        refine: Refine::Replace,
        content: Some(String::from("t.glb")),
        bytes: 60_000,
        origin: Some(corner),
        stands_for: None,
        world_from_tile: DMat4::IDENTITY,
    }
}
