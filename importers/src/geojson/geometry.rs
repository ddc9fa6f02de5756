//! Geometry objects of GeoJSON to shapes (RFC 7946 section 3.1).

use glam::DVec3;
use groundline_engine::model::Polygon;
use serde_json::Value as Json;

use crate::feature::Shape;

/// Collections within collections; more are no city.
const MAX_DEPTH: usize = 8;

/// The shape of a geometry object; the error says what is wrong.
pub(super) fn shape(json: &Json) -> Result<Shape, String> {
    let mut shape = Shape::default();
    add(json, &mut shape, 0)?;
    Ok(shape)
}

fn add(json: &Json, shape: &mut Shape, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("collections nested deeper than {MAX_DEPTH}"));
    }
    let kind = json.get("type").and_then(Json::as_str).ok_or("its geometry has no type")?;
    if kind == "GeometryCollection" {
        let members = json.get("geometries").and_then(Json::as_array).ok_or("its collection has no geometries")?;
        return members.iter().try_for_each(|member| add(member, shape, depth + 1));
    }
    let coordinates = json.get("coordinates").and_then(Json::as_array).ok_or("its geometry has no coordinates")?;
    let has_z = &mut shape.has_z;
    match kind {
        // An empty list is how an empty point is written.
        "Point" if coordinates.is_empty() => {}
        "Point" => shape.points.push(place(coordinates, has_z)?),
        "MultiPoint" => shape.points.extend(places(coordinates, has_z)?),
        "LineString" if coordinates.is_empty() => {}
        "LineString" => shape.lines.push(places(coordinates, has_z)?),
        "MultiLineString" => {
            for line in coordinates {
                shape.lines.push(places(list(line)?, has_z)?);
            }
        }
        "Polygon" => shape.polygons.extend(polygon(coordinates, has_z)?),
        "MultiPolygon" => {
            for rings in coordinates {
                shape.polygons.extend(polygon(list(rings)?, has_z)?);
            }
        }
        other => return Err(format!("geometry type {other} does not exist")),
    }
    Ok(())
}

fn list(json: &Json) -> Result<&Vec<Json>, String> {
    json.as_array().ok_or_else(|| "its coordinates are not nested as its type asks".into())
}

fn polygon(rings: &[Json], has_z: &mut bool) -> Result<Option<Polygon>, String> {
    let mut rings = rings.iter().map(|ring| places(list(ring)?, has_z)).collect::<Result<Vec<_>, _>>()?.into_iter();
    Ok(rings.next().map(|outer| Polygon { outer, holes: rings.collect() }))
}

fn places(list_of_places: &[Json], has_z: &mut bool) -> Result<Vec<DVec3>, String> {
    list_of_places.iter().map(|json| place(list(json)?, has_z)).collect()
}

fn place(numbers: &[Json], has_z: &mut bool) -> Result<DVec3, String> {
    let number =
        |i: usize| numbers.get(i).map(|n| n.as_f64().filter(|n| n.is_finite()).ok_or("a coordinate is no number"));
    let (Some(x), Some(y)) = (number(0), number(1)) else { return Err("a position has fewer than two numbers".into()) };
    let z = match number(2) {
        Some(z) => {
            *has_z = true;
            z?
        }
        None => 0.0,
    };
    Ok(DVec3::new(x?, y?, z))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_geometry_is_read() {
        let all = json!({"type": "GeometryCollection", "geometries": [
            {"type": "Point", "coordinates": [1, 2, 3]},
            {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
            {"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
            {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]], [[2, 2], [3, 3]]]},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]], [[0.2, 0.1], [0.3, 0.1], [0.3, 0.2], [0.2, 0.1]]]},
            {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1], [0, 0]]]]},
        ]});
        let shape = shape(&all).unwrap();
        assert_eq!((shape.points.len(), shape.lines.len(), shape.polygons.len()), (3, 3, 2));
        assert_eq!(shape.polygons[0].holes.len(), 1);
        assert!(shape.has_z);
    }

    #[test]
    fn wrong_nesting_and_words_are_refused() {
        for json in [
            json!({"type": "Polygon", "coordinates": [[0, 0], [1, 1]]}),
            json!({"type": "Point", "coordinates": ["a", 1]}),
            json!({"type": "Point", "coordinates": [1]}),
            json!({"type": "Circle", "coordinates": [1, 2]}),
            json!({"coordinates": [1, 2]}),
            json!({"type": "LineString"}),
        ] {
            assert!(shape(&json).is_err(), "{json}");
        }
    }
}
