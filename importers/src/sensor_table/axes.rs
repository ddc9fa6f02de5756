//! Where the sensors of a register stand.

use std::collections::HashMap;

use glam::DVec3;
use groundline_engine::model::SourceReport;

use super::header::Table;
use crate::Job;

/// Which columns hold the place and which way they run.
pub(super) struct Axes {
    pub east: usize,
    pub north: usize,
    pub z: Option<usize>,
    /// Taken off eastings that carry the number of their zone.
    pub zone_m: f64,
    pub warnings: Vec<(&'static str, String)>,
}

impl Axes {
    /// By magnitude, since X is north in survey tables and east elsewhere (7-digit northings tell them apart);
    /// titles decide where numbers cannot.
    pub fn settle(columns: &HashMap<&'static str, usize>, table: &Table, is_geographic: bool) -> Option<Self> {
        let pair = |a: &str, b: &str| Some((*columns.get(a)?, *columns.get(b)?));
        let degrees = pair("lon", "lat");
        let plane = pair("east", "north").or_else(|| pair("x", "y"));
        let z = columns.get("z").copied();
        let (mut east, mut north) = if is_geographic { degrees.or(plane)? } else { plane.or(degrees)? };
        let mut axes = Self { east, north, z, zone_m: 0.0, warnings: Vec::new() };
        let middle = |column: usize| {
            let mut values: Vec<f64> = table.rows.iter().filter_map(|(_, row)| row.get(column)?.parse().ok()).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let (first, second) = (middle(east), middle(north));
        let is_north = |v: f64| (1e6..1e7).contains(&v);
        let is_east = |v: f64| (1e5..1e6).contains(&v) || v >= 1e7;
        let is_swapped_plane = is_north(first) && is_east(second);
        let is_swapped_degrees = first.abs() <= 54.0 && (72.0..=137.0).contains(&second);
        if is_swapped_plane || is_swapped_degrees {
            (east, north) = (north, east);
            let title = |column: usize| table.header[column].as_str();
            let is_titled = columns.get("x").is_none_or(|x| *x != north);
            let code = if is_titled { "axes_contradict_titles" } else { "axes_swapped" };
            let message =
                format!("{} is taken as north and {} as east, by the size of the numbers", title(north), title(east));
            axes.warnings.push((code, message));
        }
        (axes.east, axes.north) = (east, north);
        Some(axes)
    }

    /// The place in a row: `Ok(None)` when a coordinate is not given.
    pub fn place(&self, row: &[String]) -> Result<Option<DVec3>, usize> {
        let number = |column: usize| match row.get(column).map(|cell| cell.trim()) {
            None | Some("") => Ok(None),
            Some(text) => text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Some).ok_or(column),
        };
        let (Some(x), Some(y)) = (number(self.east)?, number(self.north)?) else { return Ok(None) };
        let z = self.z.map_or(Ok(None), number)?;
        Ok(Some(DVec3::new(x - self.zone_m, y, z.unwrap_or(0.0))))
    }

    pub fn has_height(&self, row: &[String]) -> bool {
        self.z.and_then(|z| row.get(z)).is_some_and(|cell| !cell.is_empty())
    }
}

pub(super) fn is_degrees(axes: &Axes, table: &Table) -> bool {
    let mut places = table.rows.iter().filter_map(|(_, row)| axes.place(row).ok().flatten()).peekable();
    places.peek().is_some() && places.all(|p| (72.0..=180.0).contains(&p.x.abs()) && p.y.abs() <= 90.0 && p.y != 0.0)
}

/// Eastings of 10⁷ and more carry the number of their zone in front (GB 50026); a system without it in its false
/// easting needs it taken off.
pub(super) fn settle_zone(axes: &mut Axes, table: &Table, job: &Job<'_>, report: &mut SourceReport) {
    let first = table.rows.iter().find_map(|(_, row)| axes.place(row).ok().flatten());
    let Some(easting) = first.map(|place| place.x).filter(|x| *x >= 1e7 && *x < 1e8) else { return };
    if job.crs.proj4.contains("+x_0=500000 ") || job.crs.proj4.ends_with("+x_0=500000") {
        let zone = (easting / 1e6).floor();
        axes.zone_m = zone * 1e6;
        let message = format!("eastings carry zone {zone}, which {} has not: taken off", job.crs.label());
        report.warn("zone_prefix", message, "header");
    }
}
