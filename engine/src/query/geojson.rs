//! Hits as JSON and GeoJSON.

use std::{io::Write, path::Path, sync::Arc};

use glam::DVec3;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value as Json, json};

use super::Found;
use crate::{
    crs::Frame,
    model::Value,
    store::{Footprint, StoreError, read_footprint, read_time},
};

/// In which coordinates geometries are written.
#[derive(Clone, Copy)]
pub enum Coordinates<'a> {
    /// Metres in the city's own frame.
    City,
    /// Longitude and latitude in degrees, WGS 84, as GeoJSON (RFC 7946) wants them.
    Geographic(&'a Frame),
    /// As the function gives them for a place in the city.
    By(&'a dyn Fn(DVec3) -> DVec3),
}

impl Coordinates<'_> {
    fn place(&self, at: DVec3) -> DVec3 {
        match self {
            Coordinates::City => at,
            Coordinates::Geographic(frame) => frame.geographic_from_city(at),
            Coordinates::By(place) => place(at),
        }
    }
}

/// A time as RFC 3339 in UTC.
pub(super) fn time_text(ms: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_millis(ms)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}

/// Attributes as one JSON object.
pub(super) struct Attributes<'a>(pub &'a [(Arc<str>, Value)]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (&**key, Plainly(value))))
    }
}

/// The attributes that nobody delivered, with what was assumed and why.
pub(super) struct Assumed<'a>(pub &'a [(Arc<str>, Arc<str>)]);

impl Serialize for Assumed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, why)| (&**key, &**why)))
    }
}

/// A value as JSON has it.
struct Plainly<'a>(&'a Value);

impl Serialize for Plainly<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bool(b) => to.serialize_bool(*b),
            Value::Int(i) => to.serialize_i64(*i),
            Value::Real(r) => to.serialize_f64(*r),
            Value::Text(t) => to.serialize_str(t),
        }
    }
}

/// A hit as a GeoJSON feature: footprint or axis as geometry, attributes as properties beside `class`, `layer`,
/// `stage`, `domain`, `name`, `z_min`, `z_max`, `distance_m`, `exact` and, where they are known, `valid_from` and `valid_to`; `assumed` says of
/// which attributes the value was assumed, and why.
struct Feature<'a> {
    found: &'a Found,
    footprint: Footprint,
    coordinates: Coordinates<'a>,
}

impl<'a> Feature<'a> {
    fn new(found: &'a Found, coordinates: Coordinates<'a>) -> Result<Self, StoreError> {
        let footprint =
            read_footprint(&found.footprint_wkb).map_err(|e| StoreError::damaged(Path::new(&found.id), e))?;
        Ok(Self { found, footprint, coordinates })
    }
}

impl Serialize for Feature<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(4))?;
        map.serialize_entry("type", "Feature")?;
        map.serialize_entry("id", &self.found.id)?;
        map.serialize_entry("geometry", &Place(self))?;
        map.serialize_entry("properties", &Properties(self.found))?;
        map.end()
    }
}

struct Properties<'a>(&'a Found);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let found = self.0;
        let has_place = !found.extent.is_empty();
        // What the source said stays as it said it, as long as that is the period of this state.
        let period = |key: &str, ms: Option<i64>| {
            let said = found.attributes.iter().find(|(k, _)| &**k == key).and_then(|(_, value)| match value {
                Value::Int(ms) => Some(*ms),
                Value::Text(text) => read_time(text),
                _ => None,
            });
            ms.filter(|ms| said != Some(*ms)).and_then(time_text)
        };
        let (from, to_when) = (period("valid_from", found.valid_from), period("valid_to", found.valid_to));
        // An attribute that is called like what stands beside it gives way.
        let is_own = |key: &str| match key {
            "layer" | "class" | "stage" | "domain" => true,
            "assumed" => !found.assumed.is_empty(),
            "name" => found.name.is_some(),
            "z_min" | "z_max" => has_place,
            "distance_m" => found.distance_m.is_some(),
            "exact" => found.exact.is_some(),
            "valid_from" => from.is_some(),
            "valid_to" => to_when.is_some(),
            _ => false,
        };
        let mut map = to.serialize_map(None)?;
        for (key, value) in found.attributes.iter().filter(|(key, _)| !is_own(key)) {
            map.serialize_entry(&**key, &Plainly(value))?;
        }
        map.serialize_entry("layer", &found.layer)?;
        map.serialize_entry("class", found.class.word())?;
        map.serialize_entry("stage", found.stage.word())?;
        map.serialize_entry("domain", found.domain.word())?;
        if !found.assumed.is_empty() {
            map.serialize_entry("assumed", &Assumed(&found.assumed))?;
        }
        if let Some(name) = &found.name {
            map.serialize_entry("name", name)?;
        }
        if has_place {
            map.serialize_entry("z_min", &found.extent.min.z)?;
            map.serialize_entry("z_max", &found.extent.max.z)?;
        }
        if let Some(distance_m) = found.distance_m {
            map.serialize_entry("distance_m", &distance_m)?;
        }
        if let Some(exact) = found.exact {
            map.serialize_entry("exact", &exact)?;
        }
        for (key, time) in [("valid_from", from), ("valid_to", to_when)] {
            if let Some(time) = time {
                map.serialize_entry(key, &time)?;
            }
        }
        map.end()
    }
}

/// The footprint or axis as a GeoJSON geometry.
struct Place<'a>(&'a Feature<'a>);

impl Serialize for Place<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Footprint { points, lines, polygons, is_multi, .. } = &self.0.footprint;
        let (kind, nest) = if let Some(point) = points.first() {
            ("Point", Nest::Vertex(*point))
        } else if *is_multi && !lines.is_empty() {
            ("MultiLineString", Nest::Paths(lines))
        } else if let Some(line) = lines.first() {
            ("LineString", Nest::Path(line))
        } else if *is_multi && !polygons.is_empty() {
            ("MultiPolygon", Nest::Polygons(polygons))
        } else if let Some(rings) = polygons.first() {
            ("Polygon", Nest::Paths(rings))
        } else {
            return to.serialize_unit();
        };
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("type", kind)?;
        map.serialize_entry("coordinates", &Nested { feature: self.0, nest })?;
        map.end()
    }
}

/// Vertices, as deep in lists as their geometry has them.
enum Nest<'a> {
    Vertex(DVec3),
    Path(&'a [DVec3]),
    Paths(&'a [Vec<DVec3>]),
    Polygons(&'a [Vec<Vec<DVec3>>]),
}

struct Nested<'a> {
    feature: &'a Feature<'a>,
    nest: Nest<'a>,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let within = |nest| Nested { feature: self.feature, nest };
        match self.nest {
            Nest::Vertex(vertex) => {
                let place = self.feature.coordinates.place(vertex).to_array();
                to.collect_seq(&place[..if self.feature.footprint.has_z { 3 } else { 2 }])
            }
            Nest::Path(path) => to.collect_seq(path.iter().map(|vertex| within(Nest::Vertex(*vertex)))),
            Nest::Paths(paths) => to.collect_seq(paths.iter().map(|path| within(Nest::Path(path)))),
            Nest::Polygons(polygons) => to.collect_seq(polygons.iter().map(|rings| within(Nest::Paths(rings)))),
        }
    }
}

/// The hit as a GeoJSON feature.
pub fn feature(found: &Found, coordinates: Coordinates<'_>) -> Result<Json, StoreError> {
    let feature = Feature::new(found, coordinates)?;
    serde_json::to_value(feature).map_err(|e| StoreError::damaged(Path::new(&found.id), e))
}

/// Names what is written to, which has no path.
const OUTPUT: &str = "output";

fn io_error(error: serde_json::Error) -> StoreError {
    StoreError::Io { path: OUTPUT.into(), source: error.into() }
}

/// Writes hits as one GeoJSON feature collection, feature by feature, and returns how many. In the city's
/// coordinates the collection says so in a `crs` member, as GeoJSON did before RFC 7946 and GIS programs still read.
pub fn write_geojson(
    out: &mut dyn Write,
    hits: impl Iterator<Item = Result<Found, StoreError>>,
    coordinates: Coordinates<'_>,
    crs: &crate::crs::Crs,
) -> Result<u64, StoreError> {
    let io = |source| StoreError::Io { path: OUTPUT.into(), source };
    let mut count = 0u64;
    out.write_all(b"{\"type\":\"FeatureCollection\",").map_err(io)?;
    if let (Coordinates::City, Some(code)) = (coordinates, crs.epsg) {
        let name = format!("urn:ogc:def:crs:EPSG::{code}");
        write!(out, "\"crs\":{},", json!({"type": "name", "properties": {"name": name}})).map_err(io)?;
    }
    out.write_all(b"\"features\":[").map_err(io)?;
    for found in hits {
        let found = found?;
        out.write_all(if count > 0 { b",\n" } else { b"\n" }).map_err(io)?;
        serde_json::to_writer(&mut *out, &Feature::new(&found, coordinates)?).map_err(io_error)?;
        count += 1;
    }
    out.write_all(b"\n]}\n").map_err(io)?;
    Ok(count)
}
