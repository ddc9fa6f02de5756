//! The cells in which a tree keeps its boxes.

use glam::DVec3;

use super::node::{Span, Spot};
use crate::model::Extent;

/// Cells that the tree's own box is divided into; the first has number 1, and 0 is what lies before it.
const CELLS: f64 = 65_530.0;
/// The last cell: that of the upper side.
const LAST: u16 = CELLS as u16 + 1;
/// Shortest side that is divided, metres.
const LEAST_SIDE: f64 = 0.1;

/// The cells of a tree.
///
/// All that the tree knows of a number is its cell. Of two numbers the greater never has the lower cell, whatever is rounded on
/// the way, so what differs in cells differs in truth; only within a cell must the numbers themselves be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub origin: DVec3,
    pub cells_per_m: DVec3,
}

impl Grid {
    pub fn of(extent: &Extent) -> Self {
        if extent.is_empty() {
            return Self { origin: DVec3::ZERO, cells_per_m: DVec3::ONE };
        }
        Self { origin: extent.min, cells_per_m: CELLS / extent.size().max(DVec3::splat(LEAST_SIDE)) }
    }

    /// In cells, fractions and all.
    #[inline]
    fn place(&self, axis: usize, v: f64) -> f64 {
        (v - self.origin[axis]) * self.cells_per_m[axis] + 1.0
    }

    #[inline]
    pub fn cell(&self, axis: usize, v: f64) -> u16 {
        self.place(axis, v) as u16
    }

    #[inline]
    pub fn span(&self, axis: usize, extent: &Extent) -> Span {
        Span { low: self.cell(axis, extent.min[axis]), high: self.cell(axis, extent.max[axis]) }
    }

    pub fn cell_m(&self) -> DVec3 {
        self.cells_per_m.recip()
    }

    #[inline]
    pub fn spot(&self, axis: usize, v: f64) -> Spot {
        Spot::new(self.place(axis, v), LAST, self.cells_per_m[axis].recip())
    }

    /// Corners of a box that is not smaller than any with these cells.
    pub fn corners(&self, spans: [Span; 3]) -> (DVec3, DVec3) {
        let (low, high) = (spans.map(|span| f64::from(span.low)), spans.map(|span| f64::from(span.high)));
        let at = |cells: [f64; 3], edge: f64| self.origin + (DVec3::from_array(cells) - edge) * self.cell_m();
        let (min, max) = (at(low, 1.0), at(high, 0.0));
        // More than what the few operations of either way can lose.
        let lost = (min.abs().max(max.abs()) + self.cell_m()) * (f64::EPSILON * 8.0);
        (min - lost, max + lost)
    }
}
