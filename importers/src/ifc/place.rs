//! From the axes of a building model to the city's frame.

use glam::{DVec2, DVec3};
use groundline_engine::{
    crs::{Crs, Transform},
    model::SourceReport,
};

use super::georeference::{Georeference, MapConversion};
use crate::{ImportError, Job, Options};

/// Site and map conversion may lie this far apart before the report says so, metres.
const AGREE_M: f64 = 100.0;

/// Where the user wants the model: `--map place=x,y[,z[,rotation]]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Where the model's origin goes, in the coordinates of `--crs`, else of the city.
    pub at: DVec3,
    /// Turn of the model, degrees, counter-clockwise.
    pub rotation_deg: f64,
    /// Whether a height was given.
    pub has_height: bool,
}

impl Place {
    /// What the options say, if they do.
    pub fn of(options: &Options) -> Result<Option<Self>, String> {
        let Some((_, text)) = options.map.iter().find(|(key, _)| key == "place") else { return Ok(None) };
        let wrong = || format!("--map place={text}: expected place=x,y[,z[,rotation in degrees]]");
        let numbers: Vec<f64> = text
            .split(',')
            .map(|part| part.trim().parse::<f64>().ok().filter(|n| n.is_finite()))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let (at, has_height, rotation_deg) = match *numbers.as_slice() {
            [x, y] => (DVec3::new(x, y, 0.0), false, 0.0),
            [x, y, z] => (DVec3::new(x, y, z), true, 0.0),
            [x, y, z, rotation] => (DVec3::new(x, y, z), true, rotation),
            _ => return Err(wrong()),
        };
        Ok(Some(Self { at, rotation_deg, has_height }))
    }
}

/// A turn about z with a scale, and a shift: from the model's metres to plane coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plane {
    x_axis: DVec2,
    scale: f64,
    scale_up: f64,
    shift: DVec3,
}

impl Plane {
    fn turned(rotation: f64, shift: DVec3) -> Self {
        Self { x_axis: DVec2::from_angle(rotation), scale: 1.0, scale_up: 1.0, shift }
    }

    fn of(conversion: &MapConversion) -> Self {
        Self {
            x_axis: DVec2::new(conversion.x_axis.0, conversion.x_axis.1),
            scale: conversion.scale,
            scale_up: conversion.scale_up,
            shift: DVec3::new(conversion.eastings_m, conversion.northings_m, conversion.height_m),
        }
    }

    fn apply(&self, p: DVec3) -> DVec3 {
        let plan = self.x_axis.rotate(p.truncate()) * self.scale;
        plan.extend(p.z * self.scale_up) + self.shift
    }
}

/// How the points of a model get into the city.
pub struct Placing<'a> {
    plane: Plane,
    /// The plane's coordinates are metres of the source's CRS and are converted; `None`: they are the city's.
    city_from_source: Option<(&'a Transform, f64)>,
}

impl<'a> Placing<'a> {
    /// Decides by the user's word, else the map conversion, else the site's longitude and latitude, else the flag alone;
    /// tells the report what was used and what disagreed.
    pub fn of(job: &Job<'a>, geo: &Georeference, report: &mut SourceReport) -> Result<Self, ImportError> {
        let source_unit_m = job.crs.unit_m;
        let convert = Some((job.city_from_source, source_unit_m));
        let usage = |reason: String| ImportError::Bad { path: job.path.into(), place: "--map".into(), reason };
        if let Some(place) = Place::of(job.options).map_err(usage)? {
            let height = if place.has_height { "" } else { ", at height 0 since none was given" };
            report.warn("georeference", format!("placed where you asked (--map place){height}"), "");
            let shift = (place.at.truncate() * source_unit_m).extend(place.at.z);
            return Ok(Self {
                plane: Plane::turned(place.rotation_deg.to_radians(), shift),
                city_from_source: convert,
            });
        }
        if !geo.doubts.is_empty() {
            report.warn("georeference_doubtful", geo.doubts.join("; "), "");
        }
        if let Some(conversion) = &geo.conversion {
            let message = format!(
                "{}: origin at {:.3}, {:.3}, height {:.3} m, turned {:.4}°, scale {:.6}, in {}",
                geo.conversion_from,
                conversion.eastings_m,
                conversion.northings_m,
                conversion.height_m,
                conversion.x_axis.1.atan2(conversion.x_axis.0).to_degrees(),
                conversion.scale,
                job.crs.label()
            );
            report.warn("georeference", message, &geo.conversion_from);
            if let Some(message) = disagreement(geo, conversion, job.crs) {
                report.warn("georeference_disagrees", message, "IfcSite");
            }
            return Ok(Self { plane: Plane::of(conversion), city_from_source: convert });
        }
        if let Some([longitude, latitude, elevation]) = geo.site {
            return Self::of_site(job, geo, [longitude, latitude, elevation], report);
        }
        if job.options.crs.is_some() {
            let message = format!("the file names no place: its coordinates were read as {}", job.crs.label());
            report.warn("georeference", message, "--crs");
            return Ok(Self { plane: Plane::turned(0.0, DVec3::ZERO), city_from_source: convert });
        }
        Err(ImportError::Missing {
            path: job.path.into(),
            missing: "its place on the Earth (IfcMapConversion, or IfcSite's latitude and longitude)".into(),
            hint: "say where its origin goes with --map place=x,y[,z[,rotation in degrees]], in the city's coordinates"
                .into(),
        })
    }

    /// By longitude and latitude: the origin goes there, and true north to where it is in the city.
    fn of_site(
        job: &Job<'a>,
        geo: &Georeference,
        site: [f64; 3],
        report: &mut SourceReport,
    ) -> Result<Self, ImportError> {
        let [longitude, latitude, elevation] = site;
        let degrees = Crs::from_epsg(4326)?;
        let to_source = (!job.crs.is_geographic).then(|| Transform::new(&degrees, job.crs)).transpose()?;
        let in_city = |longitude: f64, latitude: f64| {
            let point = DVec3::new(longitude, latitude, 0.0);
            let point = match &to_source {
                Some(to_source) => to_source.point(point)?,
                None => point,
            };
            job.city_from_source.point(point)
        };
        let outside = || ImportError::Bad {
            path: job.path.into(),
            place: "IfcSite".into(),
            reason: format!("{latitude:.6}, {longitude:.6} lies outside of the city's coordinate system"),
        };
        let origin = in_city(longitude, latitude).ok_or_else(outside)?;
        let further = in_city(longitude, latitude + if latitude > 0.0 { -1e-3 } else { 1e-3 }).ok_or_else(outside)?;
        let to_north = if latitude > 0.0 { origin - further } else { further - origin };
        let (north_x, north_y) = geo.true_north.unwrap_or((0.0, 1.0));
        let turn = to_north.y.atan2(to_north.x) - north_y.atan2(north_x);
        let message = format!(
            "IfcSite: origin at {latitude:.6}° N, {longitude:.6}° E, height {elevation:.3} m, true north {}: \
             seldom better than some metres, and often a default of the program that wrote the file",
            if geo.true_north.is_some() { "as the file has it" } else { "taken to be y" }
        );
        report.warn("georeference", message, "IfcSite");
        Ok(Self { plane: Plane::turned(turn, origin.truncate().extend(elevation)), city_from_source: None })
    }

    /// Moves points into the city; false when one of them cannot be.
    pub fn apply(&self, points: &mut [DVec3]) -> bool {
        for point in points.iter_mut() {
            *point = self.plane.apply(*point);
            if let Some((_, unit_m)) = self.city_from_source {
                *point = (point.truncate() / unit_m).extend(point.z);
            }
        }
        if let Some((transform, _)) = self.city_from_source {
            transform.apply(points);
        }
        points.iter().all(|p| p.is_finite())
    }
}

/// What site and map conversion say differently, if anything.
fn disagreement(geo: &Georeference, conversion: &MapConversion, crs: &Crs) -> Option<String> {
    let [longitude, latitude, _] = geo.site?;
    let degrees = Crs::from_epsg(4326).ok()?;
    let site = Transform::new(&degrees, crs).ok()?.point(DVec3::new(longitude, latitude, 0.0))?;
    let metres = (site.truncate() * crs.unit_m).distance(DVec2::new(conversion.eastings_m, conversion.northings_m));
    (metres > AGREE_M).then(|| {
        format!(
            "IfcSite's latitude and longitude ({latitude:.5}, {longitude:.5}) lie {metres:.0} m from the {}, which is used",
            geo.conversion_from
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(place: &str) -> Options {
        Options { map: vec![("place".into(), place.into())], ..Options::default() }
    }

    #[test]
    fn a_place_is_two_to_four_numbers() {
        let place = Place::of(&options("85000, 446000.5,2,-30")).unwrap().unwrap();
        assert_eq!(place.at, DVec3::new(85000.0, 446000.5, 2.0));
        assert_eq!((place.rotation_deg, place.has_height), (-30.0, true));
        assert!(!Place::of(&options("1,2")).unwrap().unwrap().has_height);
        assert_eq!(Place::of(&Options::default()), Ok(None));
        for text in ["", "1", "1,2,3,4,5", "a,b", "1,nan", "1;2"] {
            assert!(Place::of(&options(text)).unwrap_err().contains("place=x,y"), "{text}");
        }
    }

    #[test]
    fn a_map_conversion_turns_then_shifts() {
        let conversion = MapConversion {
            eastings_m: 500_000.0,
            northings_m: 4_000_000.0,
            height_m: 10.0,
            x_axis: (0.0, 1.0),
            scale: 0.9996,
            scale_up: 1.0,
        };
        let moved = Plane::of(&conversion).apply(DVec3::new(100.0, 10.0, 3.0));
        assert!(moved.abs_diff_eq(DVec3::new(500_000.0 - 9.996, 4_000_000.0 + 99.96, 13.0), 1e-9), "{moved}");
    }
}
