//! Hits as JSON and GeoJSON.

use std::io::Write;

use glam::DVec3;
use serde_json::{Map, Value as Json, json};

use super::Found;
use crate::{
    crs::Frame,
    model::Value,
    store::{StoreError, read_footprint, read_time},
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
    fn place(&self, at: DVec3, has_z: bool) -> Json {
        let at = match self {
            Coordinates::City => at,
            Coordinates::Geographic(frame) => frame.geographic_from_city(at),
            Coordinates::By(place) => place(at),
        };
        if has_z { json!([at.x, at.y, at.z]) } else { json!([at.x, at.y]) }
    }
}

/// The hit as one JSON object, without its geometry.
pub fn to_json(found: &Found) -> Json {
    let attributes: Map<String, Json> = found.attributes.iter().map(|(k, v)| (k.to_string(), of_value(v))).collect();
    let mut object = json!({
        "id": found.id,
        "layer": found.layer,
        "class": found.class,
        "stage": found.stage,
        "domain": found.domain,
        "name": found.name,
        "parent": found.parent,
        "extent": found.extent,
        "distance_m": found.distance_m,
        "valid_from": found.valid_from.and_then(time_text),
        "valid_to": found.valid_to.and_then(time_text),
        "attributes": attributes,
        "assumed": assumed(found),
    });
    if let Some(exact) = found.exact {
        object["exact"] = json!(exact);
    }
    object
}

/// The attributes that nobody delivered, with what was assumed and why.
fn assumed(found: &Found) -> Json {
    Json::Object(found.assumed.iter().map(|(key, why)| (key.to_string(), json!(&**why))).collect())
}

/// A time as RFC 3339 in UTC.
pub(super) fn time_text(ms: i64) -> Option<String> {
    let time = chrono::DateTime::from_timestamp_millis(ms)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!(i),
        Value::Real(r) => json!(r),
        Value::Text(t) => json!(t),
    }
}

/// The hit as a GeoJSON feature: footprint or axis as geometry, attributes as properties beside `class`, `layer`,
/// `stage`, `domain`, `name`, `z_min`, `z_max`, `distance_m`, `exact` and, where they are known, `valid_from` and `valid_to`; `assumed` says of
/// which attributes the value was assumed, and why.
pub fn feature(found: &Found, coordinates: Coordinates<'_>) -> Result<Json, StoreError> {
    let mut properties = Map::new();
    for (key, value) in &found.attributes {
        properties.insert(key.to_string(), of_value(value));
    }
    for (key, word) in [
        ("layer", found.layer.as_str()),
        ("class", found.class.word()),
        ("stage", found.stage.word()),
        ("domain", found.domain.word()),
    ] {
        properties.insert(key.into(), json!(word));
    }
    if !found.assumed.is_empty() {
        properties.insert("assumed".into(), assumed(found));
    }
    if let Some(name) = &found.name {
        properties.insert("name".into(), json!(name));
    }
    if !found.extent.is_empty() {
        properties.insert("z_min".into(), json!(found.extent.min.z));
        properties.insert("z_max".into(), json!(found.extent.max.z));
    }
    if let Some(distance_m) = found.distance_m {
        properties.insert("distance_m".into(), json!(distance_m));
    }
    if let Some(exact) = found.exact {
        properties.insert("exact".into(), json!(exact));
    }
    for (key, ms) in [("valid_from", found.valid_from), ("valid_to", found.valid_to)] {
        // What the source said stays as it said it, as long as that is the period of this state.
        let said = found.attributes.iter().find(|(k, _)| &**k == key).and_then(|(_, value)| match value {
            Value::Int(ms) => Some(*ms),
            Value::Text(text) => read_time(text),
            _ => None,
        });
        if let Some(text) = ms.filter(|ms| said != Some(*ms)).and_then(time_text) {
            properties.insert(key.into(), json!(text));
        }
    }
    let geometry = geometry(found, coordinates)?;
    Ok(json!({"type": "Feature", "id": found.id, "geometry": geometry, "properties": properties}))
}

fn geometry(found: &Found, coordinates: Coordinates<'_>) -> Result<Json, StoreError> {
    let shape =
        read_footprint(&found.footprint_wkb).map_err(|e| StoreError::damaged(std::path::Path::new(&found.id), e))?;
    let path = |path: &Vec<DVec3>| -> Json { path.iter().map(|v| coordinates.place(*v, shape.has_z)).collect() };
    let rings = |rings: &Vec<Vec<DVec3>>| -> Json { rings.iter().map(path).collect() };
    Ok(if let Some(point) = shape.points.first() {
        json!({"type": "Point", "coordinates": coordinates.place(*point, shape.has_z)})
    } else if shape.is_multi && !shape.lines.is_empty() {
        json!({"type": "MultiLineString", "coordinates": shape.lines.iter().map(path).collect::<Json>()})
    } else if let Some(line) = shape.lines.first() {
        json!({"type": "LineString", "coordinates": path(line)})
    } else if shape.is_multi && !shape.polygons.is_empty() {
        json!({"type": "MultiPolygon", "coordinates": shape.polygons.iter().map(rings).collect::<Json>()})
    } else if let Some(polygon) = shape.polygons.first() {
        json!({"type": "Polygon", "coordinates": rings(polygon)})
    } else {
        Json::Null
    })
}

/// Writes hits as one GeoJSON feature collection, feature by feature, and returns how many. In the city's
/// coordinates the collection says so in a `crs` member, as GeoJSON did before RFC 7946 and GIS programs still read.
pub fn write_geojson(
    out: &mut dyn Write,
    hits: impl Iterator<Item = Result<Found, StoreError>>,
    coordinates: Coordinates<'_>,
    crs: &crate::crs::Crs,
) -> Result<u64, StoreError> {
    let io = |source| StoreError::Io { path: "output".into(), source };
    let mut count = 0u64;
    out.write_all(b"{\"type\":\"FeatureCollection\",").map_err(io)?;
    if let (Coordinates::City, Some(code)) = (coordinates, crs.epsg) {
        let name = format!("urn:ogc:def:crs:EPSG::{code}");
        write!(out, "\"crs\":{},", json!({"type": "name", "properties": {"name": name}})).map_err(io)?;
    }
    out.write_all(b"\"features\":[").map_err(io)?;
    for found in hits {
        let feature = feature(&found?, coordinates)?;
        let comma = if count > 0 { ",\n" } else { "\n" };
        write!(out, "{comma}{feature}").map_err(io)?;
        count += 1;
    }
    out.write_all(b"\n]}\n").map_err(io)?;
    Ok(count)
}
