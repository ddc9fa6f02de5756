//! From a cloud's or a model's own coordinates to the city's frame.

use glam::{DVec2, DVec3};
use groundline_engine::{
    crs::{Crs, Transform, geographic_from_ecef, geographic_from_ecef_all},
    model::SourceReport,
};

use crate::{ImportError, Job, Options, Probe, ifc::place::Place};

/// Formats whose coordinates may be local, for the hint in the error about a missing coordinate system.
pub(crate) const PLACEABLE: &[&str] = &["e57", "ply", "pcd", "xyz", "gltf", "3dtiles"];

/// Whether the user says where local coordinates go (`--map place=x,y[,z[,rotation]]`).
pub(crate) fn is_placed(options: &Options) -> bool {
    options.map.iter().any(|(key, _)| key == "place")
}

/// What named the system of coordinates from the middle of the Earth.
const EARTH_CENTRED: &str = "EPSG:4978";

/// Whether a place given in metres from the middle of the Earth lies near its surface: no other system has such numbers.
pub(crate) fn is_earth_centred(place: DVec3) -> bool {
    (6.33e6..6.4e6).contains(&place.length())
}

/// Says in the probe that coordinates are metres from the middle of the Earth; the reader turns them into longitude and
/// latitude, which is what the transformation then starts from.
pub(crate) fn tell_earth_centred(probe: &mut Probe, options: &Options, middle: Option<DVec3>) {
    if is_placed(options) {
        return;
    }
    let degrees = middle.map(geographic_from_ecef);
    probe.crs = Crs::from_epsg(4326).ok();
    probe.crs_from = EARTH_CENTRED.into();
    probe.source_extent = degrees.map(|d| [d.x, d.y, d.x, d.y]);
}

/// How points get into the city.
pub(crate) struct Placing<'a> {
    /// `None`: they are in the city already.
    city_from_source: Option<&'a Transform>,
    is_earth_centred: bool,
    /// Turn, shift in metres, and metres in a unit of the system they lead to.
    local: Option<(DVec2, DVec3, f64)>,
    height_unit_m: f64,
    is_yx: bool,
}

impl<'a> Placing<'a> {
    /// For points that are in the city already.
    pub fn done() -> Self {
        Self { city_from_source: None, is_earth_centred: false, local: None, height_unit_m: 1.0, is_yx: false }
    }

    /// As [`Placing::of`], or from the middle of the Earth where the probe said so.
    pub fn for_source(job: &Job<'a>, report: &mut SourceReport) -> Result<Self, ImportError> {
        if job.probe.crs_from != EARTH_CENTRED {
            return Self::of(job, report);
        }
        if job.options.crs.as_ref().is_some_and(|crs| crs.proj4 != job.probe.crs.as_ref().map_or("", |c| &c.proj4)) {
            let reason =
                "its coordinates are metres from the middle of the Earth (EPSG:4978); leave --crs out".to_owned();
            return Err(ImportError::Bad { path: job.path.into(), place: "--crs".into(), reason });
        }
        let message = "heights above the WGS 84 ellipsoid were taken as they are: the geoid was not applied";
        report.warn("heights_ellipsoidal", message, "");
        Ok(Self { city_from_source: Some(job.city_from_source), is_earth_centred: true, ..Self::done() })
    }

    /// By the user's word, else the coordinates are those of the source's system. There z has the unit of x and y, or
    /// metres beside degrees; where that is no metre the report says so.
    pub fn of(job: &Job<'a>, report: &mut SourceReport) -> Result<Self, ImportError> {
        let wrong = |reason: String| ImportError::Bad { path: job.path.into(), place: "--map".into(), reason };
        let is_yx = crate::feature::has_swapped_axes(&job.options.map);
        let place = Place::of(job.options).map_err(wrong)?;
        let unit_m = if job.crs.is_geographic { 1.0 } else { job.crs.unit_m };
        let Some(place) = place else {
            let height_unit_m = job.crs.height_unit_m().unwrap_or(unit_m);
            if job.crs.vertical.is_some() {
                crate::height::unit_of(job.crs, report, "");
            } else if (unit_m - 1.0).abs() > 1e-9 {
                let message = format!("no unit of z is stated; it was taken as that of x and y, {unit_m} m");
                report.warn("height_unit_assumed", message, "");
            }
            return Ok(Self {
                city_from_source: Some(job.city_from_source),
                is_earth_centred: false,
                local: None,
                height_unit_m,
                is_yx,
            });
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
            city_from_source: Some(job.city_from_source),
            is_earth_centred: false,
            local: Some((turn, shift, unit_m)),
            height_unit_m: 1.0,
            is_yx,
        })
    }

    /// Moves points into the city; those that have no place there become NaN.
    pub fn apply(&self, points: &mut [DVec3]) {
        let Some(city_from_source) = self.city_from_source else { return };
        if self.is_earth_centred {
            geographic_from_ecef_all(points);
            city_from_source.apply(points);
            return;
        }
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
        city_from_source.apply(points);
    }
}
