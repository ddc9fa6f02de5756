//! From a cloud's or a model's own coordinates to the city's frame.

use glam::{DVec2, DVec3};
use groundline_engine::{crs::Transform, model::SourceReport};

use crate::{ImportError, Job, Options, ifc::place::Place};

/// Formats whose coordinates may be local, for the hint in the error about a missing coordinate system.
pub(crate) const PLACEABLE: &[&str] = &["e57", "ply", "pcd", "xyz", "gltf"];

/// Whether the user says where local coordinates go (`--map place=x,y[,z[,rotation]]`).
pub(crate) fn is_placed(options: &Options) -> bool {
    options.map.iter().any(|(key, _)| key == "place")
}

/// How points get into the city.
pub(crate) struct Placing<'a> {
    city_from_source: &'a Transform,
    /// Turn, shift in metres, and metres in a unit of the system they lead to.
    local: Option<(DVec2, DVec3, f64)>,
    height_unit_m: f64,
    is_yx: bool,
}

impl<'a> Placing<'a> {
    /// By the user's word, else the coordinates are those of the source's system. There z has the unit of x and y, or
    /// metres beside degrees; where that is no metre the report says so.
    pub fn of(job: &Job<'a>, report: &mut SourceReport) -> Result<Self, ImportError> {
        let wrong = |reason: String| ImportError::Bad { path: job.path.into(), place: "--map".into(), reason };
        let is_yx = crate::feature::has_swapped_axes(&job.options.map);
        let place = Place::of(job.options).map_err(wrong)?;
        let unit_m = if job.crs.is_geographic { 1.0 } else { job.crs.unit_m };
        let Some(place) = place else {
            if (unit_m - 1.0).abs() > 1e-9 {
                let message = format!("no unit of z is stated; it was taken as that of x and y, {unit_m} m");
                report.warn("height_unit_assumed", message, "");
            }
            return Ok(Self { city_from_source: job.city_from_source, local: None, height_unit_m: unit_m, is_yx });
        };
        if job.crs.is_geographic {
            return Err(wrong("place=… wants plane coordinates: leave --crs out to give them in the city's".into()));
        }
        let height = if place.has_height { "" } else { ", at height 0 since none was given" };
        let message = format!("placed where you asked (--map place){height}; its numbers are taken as metres");
        report.warn("georeference", message, "");
        let shift = (place.at.truncate() * unit_m).extend(place.at.z);
        let turn = DVec2::from_angle(place.rotation_deg.to_radians());
        Ok(Self {
            city_from_source: job.city_from_source,
            local: Some((turn, shift, unit_m)),
            height_unit_m: 1.0,
            is_yx,
        })
    }

    /// Moves points into the city; those that have no place there become NaN.
    pub fn apply(&self, points: &mut [DVec3]) {
        for point in points.iter_mut() {
            if self.is_yx {
                (point.x, point.y) = (point.y, point.x);
            }
            *point = match self.local {
                Some((turn, shift, unit_m)) => {
                    let placed = turn.rotate(point.truncate()).extend(point.z) + shift;
                    (placed.truncate() / unit_m).extend(placed.z)
                }
                None => point.truncate().extend(point.z * self.height_unit_m),
            };
        }
        self.city_from_source.apply(points);
    }
}
