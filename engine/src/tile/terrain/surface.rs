//! The heights of a layer as one surface.

use std::sync::Arc;

use glam::{DVec2, DVec3};

use crate::{model::Extent, tile::raster::HeightRaster};

/// Heights of all grids of a layer; where grids overlap the last one counts.
pub(super) struct Surface<'a> {
    grids: Vec<(&'a HeightRaster, Extent)>,
}

impl<'a> Surface<'a> {
    /// The surface of `grids`.
    pub fn new(grids: &'a [Arc<HeightRaster>]) -> Self {
        Self { grids: grids.iter().filter(|g| g.has_heights()).map(|g| (g.as_ref(), g.extent())).collect() }
    }

    /// The grids that touch a box in plan.
    pub fn within(&self, extent: &Extent) -> Surface<'a> {
        Surface { grids: self.grids.iter().filter(|(_, e)| e.overlaps_in_plan(extent)).copied().collect() }
    }

    /// Whether any grid touches a box in plan.
    pub fn overlaps(&self, extent: &Extent) -> bool {
        self.grids.iter().any(|(_, e)| e.overlaps_in_plan(extent))
    }

    /// The smallest step of all grids.
    pub fn finest_step(&self) -> Option<DVec2> {
        self.grids.iter().map(|(g, _)| g.step_m()).min_by(|a, b| a.element_product().total_cmp(&b.element_product()))
    }

    /// The smallest step of the grids that touch a box.
    pub fn finest_step_within(&self, extent: &Extent) -> Option<DVec2> {
        self.within(extent).finest_step()
    }

    /// A sample of the finest grid.
    pub fn anchor(&self) -> DVec2 {
        self.grids
            .iter()
            .min_by(|a, b| a.0.step_m().element_product().total_cmp(&b.0.step_m().element_product()))
            .map_or(DVec2::ZERO, |(g, _)| g.north_west())
    }

    /// Box around all samples.
    pub fn extent(&self) -> Extent {
        self.grids.iter().fold(Extent::EMPTY, |mut all, (_, extent)| {
            all.merge(extent);
            all
        })
    }

    /// Lowest and highest of nearly all heights: 2 % on either side are left out.
    pub fn usual_range(&self) -> (f32, f32) {
        let samples = |grid: &HeightRaster| grid.columns() as usize * grid.rows() as usize;
        let stride = (self.grids.iter().map(|(g, _)| samples(g)).sum::<usize>() / 200_000).max(1);
        let mut some: Vec<f32> = Vec::new();
        for (grid, _) in &self.grids {
            let columns = grid.columns() as usize;
            some.extend((0..samples(grid)).step_by(stride).map(|i| grid.at(i % columns, i / columns)));
        }
        some.retain(|h| h.is_finite());
        some.sort_unstable_by(f32::total_cmp);
        match some.len() {
            0 => (0.0, 0.0),
            n => (some[n / 50], some[n - 1 - n / 50]),
        }
    }

    /// Height at a place; NaN where there is none. Half a step beyond a grid its outermost samples still count,
    /// since neighbouring files of a DEM are that far apart.
    pub fn height(&self, place: DVec2) -> f32 {
        let exact = self.grids.iter().rev().map(|(g, _)| sample(g, place, 0.0)).find(|h| !h.is_nan());
        exact
            .or_else(|| self.grids.iter().rev().map(|(g, _)| sample(g, place, 0.5)).find(|h| !h.is_nan()))
            .unwrap_or(f32::NAN)
    }

    /// Upward normal at a place from differences over `reach`, straight up where there are no heights.
    pub fn normal(&self, place: DVec2, reach: DVec2) -> DVec3 {
        let slope = self.slope(place, reach);
        DVec3::new(-slope.x, -slope.y, 1.0).normalize()
    }

    /// Rise per metre to the east and to the north, from differences over `reach`.
    pub fn slope(&self, place: DVec2, reach: DVec2) -> DVec2 {
        let along = |axis: DVec2, reach: f64| {
            let (before, here, after) = (
                f64::from(self.height(place - axis * reach)),
                f64::from(self.height(place)),
                f64::from(self.height(place + axis * reach)),
            );
            match (before.is_nan(), after.is_nan()) {
                (false, false) => (after - before) / (2.0 * reach),
                (false, true) if !here.is_nan() => (here - before) / reach,
                (true, false) if !here.is_nan() => (after - here) / reach,
                _ => 0.0,
            }
        };
        DVec2::new(along(DVec2::X, reach.x), along(DVec2::Y, reach.y))
    }
}

/// Bilinear height in one grid; corners without weight do not matter, so that samples beside holes keep their height.
fn sample(grid: &HeightRaster, place: DVec2, beyond: f64) -> f32 {
    let (corner, step) = (grid.north_west(), grid.step_m());
    let column = (place.x - corner.x) / step.x;
    let row = (corner.y - place.y) / step.y;
    let (last_column, last_row) = (f64::from(grid.columns()) - 1.0, f64::from(grid.rows()) - 1.0);
    let slack = beyond + 1e-7;
    if !(column >= -slack && row >= -slack && column <= last_column + slack && row <= last_row + slack) {
        return f32::NAN;
    }
    let (column, row) = (column.clamp(0.0, last_column), row.clamp(0.0, last_row));
    // Places that are meant to be samples come with rounding; a hair beside a hole they would be lost.
    let snap = |v: f64| if (v - v.round()).abs() < 1e-6 { v.round() } else { v };
    let (column, row) = (snap(column), snap(row));
    let (c, r) = (column.floor(), row.floor());
    let (u, v) = ((column - c) as f32, (row - r) as f32);
    let (c, r) = (c as usize, r as usize);
    let at = |dc: usize, dr: usize| grid.at(c + dc, r + dr);
    let line = |dr: usize| if u == 0.0 { at(0, dr) } else { at(0, dr) * (1.0 - u) + at(1, dr) * u };
    if v == 0.0 { line(0) } else { line(0) * (1.0 - v) + line(1) * v }
}
