//! The terrain as a function: height at a place.

use std::sync::Arc;

use glam::DVec2;

use super::{TileError, raster::HeightRaster};
use crate::model::{Extent, HeightGrid};

/// Heights of the city's terrain, from all its grids; the last grid that covers a place wins.
///
/// Grids that contradict themselves (fewer heights than columns × rows, steps that are not above 0) are kept
/// in [`Ground::grids`] but give no heights.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    grids: Vec<Arc<HeightRaster>>,
    index: Index,
}

impl Ground {
    /// The terrain made of `grids`, all of them in memory.
    pub fn new(grids: Vec<HeightGrid>) -> Self {
        Self::of(grids.into_iter().map(HeightRaster::in_memory).map(Arc::new).collect())
    }

    /// The terrain made of `grids`, which may be on disk.
    pub fn of(grids: Vec<Arc<HeightRaster>>) -> Self {
        let index = Index::of(&grids);
        Self { grids, index }
    }

    /// Takes grids into memory, the topmost first, as long as all that are there take less than `bytes`.
    pub fn hold(&self, bytes: u64) -> Result<(), TileError> {
        let mut left = bytes;
        for grid in self.grids.iter().rev() {
            let needed = grid.bytes_on_disk();
            if needed <= left {
                left -= needed;
                grid.hold()?;
            }
        }
        Ok(())
    }

    /// Whether a height could not be read back from disk: until then it counts as missing.
    pub fn check(&self) -> Result<(), TileError> {
        self.grids.iter().try_for_each(|grid| grid.check())
    }

    /// Whether there is no terrain at all.
    pub fn is_empty(&self) -> bool {
        self.grids.is_empty()
    }

    /// Its grids.
    pub fn grids(&self) -> &[Arc<HeightRaster>] {
        &self.grids
    }

    /// The box around all of it.
    pub fn extent(&self) -> Extent {
        self.grids.iter().fold(Extent::EMPTY, |mut all, grid| {
            all.merge(&grid.extent());
            all
        })
    }

    /// Height at `place` in the city's frame, metres; `None` where no grid has data.
    pub fn height_at(&self, place: DVec2) -> Option<f64> {
        self.index.near(place).iter().find_map(|grid| self.grids[*grid as usize].height_at(place))
    }
}

/// Cells a side.
const CELLS: usize = 32;

/// Which grids lie where: a DEM may come as thousands of blocks, and heights are asked by the million.
#[derive(Clone, Debug, Default)]
struct Index {
    low: DVec2,
    cell_m: DVec2,
    /// Grids that touch each cell, row by row from the south-west, the last grid first.
    cells: Vec<Vec<u32>>,
}

impl Index {
    fn of(grids: &[Arc<HeightRaster>]) -> Self {
        let sound: Vec<(u32, DVec2, DVec2)> = grids
            .iter()
            .enumerate()
            .filter(|(_, grid)| is_sound(grid))
            .map(|(i, grid)| {
                let span = DVec2::new(f64::from(grid.columns() - 1), f64::from(grid.rows() - 1)) * grid.step_m();
                let low = DVec2::new(grid.north_west().x, grid.north_west().y - span.y);
                (i as u32, low, low + span)
            })
            .collect();
        if sound.is_empty() {
            return Self::default();
        }
        let low = sound.iter().fold(DVec2::INFINITY, |all, (_, low, _)| all.min(*low));
        let high = sound.iter().fold(DVec2::NEG_INFINITY, |all, (_, _, high)| all.max(*high));
        let mut index = Self { low, cell_m: (high - low) / CELLS as f64, cells: vec![Vec::new(); CELLS * CELLS] };
        for (grid, low, high) in sound.iter().rev() {
            let (from, to) = (index.cell(*low), index.cell(*high));
            for row in from.1..=to.1 {
                for column in from.0..=to.0 {
                    index.cells[row * CELLS + column].push(*grid);
                }
            }
        }
        index
    }

    fn cell(&self, place: DVec2) -> (usize, usize) {
        // A cast of what is negative or not a number gives 0: such places are in no grid anyway.
        let cell = (place - self.low) / self.cell_m;
        ((cell.x as usize).min(CELLS - 1), (cell.y as usize).min(CELLS - 1))
    }

    fn near(&self, place: DVec2) -> &[u32] {
        let (column, row) = self.cell(place);
        self.cells.get(row * CELLS + column).map_or(&[], Vec::as_slice)
    }
}

fn is_sound(grid: &HeightRaster) -> bool {
    grid.columns() >= 2
        && grid.rows() >= 2
        && grid.is_whole()
        && grid.step_m().cmpgt(DVec2::ZERO).all()
        && grid.step_m().is_finite()
        && grid.north_west().is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(x: f64, y: f64, height: f32) -> HeightGrid {
        HeightGrid {
            north_west: DVec2::new(x, y),
            step_m: DVec2::splat(10.0),
            columns: 11,
            rows: 11,
            heights: vec![height; 121],
        }
    }

    #[test]
    fn the_last_grid_that_covers_a_place_wins_wherever_it_lies() {
        let mut grids: Vec<HeightGrid> =
            (0..400).map(|i| grid((i % 20) as f64 * 100.0, (i / 20) as f64 * 100.0, i as f32)).collect();
        grids.push(HeightGrid { heights: vec![f32::NAN; 121], ..grid(500.0, 500.0, 0.0) });
        let one_by_one = |place: DVec2| grids.iter().rev().find_map(|g| g.height_at(place));
        let ground = Ground::new(grids.clone());
        for i in 0..5000 {
            let place = DVec2::new((i * 37 % 2200) as f64 - 100.0, (i * 91 % 2200) as f64 - 150.0);
            assert_eq!(ground.height_at(place), one_by_one(place), "{place}");
        }
        assert_eq!(ground.height_at(DVec2::NAN), None);
    }

    #[test]
    fn grids_that_contradict_themselves_give_no_heights() {
        let short = HeightGrid { heights: vec![1.0; 5], ..grid(0.0, 100.0, 0.0) };
        let flat = HeightGrid { step_m: DVec2::new(0.0, 10.0), ..grid(0.0, 100.0, 0.0) };
        let ground = Ground::new(vec![short, flat, HeightGrid::default()]);
        assert_eq!(ground.height_at(DVec2::new(50.0, 50.0)), None);
        assert!(!ground.is_empty());
    }
}
