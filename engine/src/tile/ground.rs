//! The terrain as a function: height at a place.

use glam::DVec2;

use crate::model::{Extent, HeightGrid};

/// Heights of the city's terrain, from all its grids; the last grid that covers a place wins.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    grids: Vec<HeightGrid>,
}

impl Ground {
    /// The terrain made of `grids`.
    pub fn new(grids: Vec<HeightGrid>) -> Self {
        Self { grids }
    }

    /// Whether there is no terrain at all.
    pub fn is_empty(&self) -> bool {
        self.grids.is_empty()
    }

    /// Its grids.
    pub fn grids(&self) -> &[HeightGrid] {
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
        self.grids.iter().rev().find_map(|grid| grid.height_at(place))
    }
}
