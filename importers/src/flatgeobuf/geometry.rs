//! Geometry tables of FlatGeobuf to shapes.

use flatgeobuf::Geometry;
use glam::DVec3;
use groundline_engine::model::Polygon;

use crate::feature::{Shape, triangulate, wkb::refusal};

/// Parts within parts; more are no city.
const MAX_DEPTH: usize = 8;

/// The shape of a geometry; `kind` is the type that the header gives for all, 0 where each says its own.
pub(super) fn shape(geometry: &Geometry<'_>, kind: u8) -> Result<Shape, String> {
    let mut shape = Shape::default();
    let kind = if kind == 0 { geometry.type_().0 } else { kind };
    add(geometry, kind, &mut shape, 0)?;
    Ok(shape)
}

fn add(geometry: &Geometry<'_>, kind: u8, shape: &mut Shape, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("geometries nested deeper than {MAX_DEPTH}"));
    }
    // The numbers of the types are those of WKB.
    if let Some(reason) = refusal(u32::from(kind)) {
        return Err(reason);
    }
    match kind {
        1 => {
            // An empty point is written as NaN.
            let place = vertices(geometry, shape)?;
            shape.points.extend(place.into_iter().filter(|v| v.is_finite()));
        }
        4 => {
            let points = all_finite(vertices(geometry, shape)?)?;
            shape.points.extend(points);
        }
        2 => {
            let line = all_finite(vertices(geometry, shape)?)?;
            shape.lines.extend(Some(line).filter(|line| !line.is_empty()));
        }
        5 => {
            let lines = rings(geometry, shape)?;
            shape.lines.extend(lines);
        }
        3 => {
            let polygon = polygon(rings(geometry, shape)?);
            shape.polygons.extend(polygon);
        }
        // Faces stand in space only where they have heights.
        16 | 17 => {
            for ring in rings(geometry, shape)? {
                let face = Polygon { outer: ring, holes: Vec::new() };
                match shape.has_z {
                    true => triangulate(&face, &mut shape.triangles),
                    false => shape.polygons.push(face),
                }
            }
        }
        6 | 7 | 15 => {
            for part in geometry.parts().into_iter().flatten() {
                match kind {
                    6 => add(&part, 3, shape, depth + 1)?,
                    7 => add(&part, part.type_().0, shape, depth + 1)?,
                    _ => {
                        let face = polygon(rings(&part, shape)?);
                        match (face, shape.has_z) {
                            (Some(face), true) => triangulate(&face, &mut shape.triangles),
                            (face, _) => shape.polygons.extend(face),
                        }
                    }
                }
            }
        }
        other => return Err(format!("geometry type {other} does not exist")),
    }
    Ok(())
}

fn polygon(rings: Vec<Vec<DVec3>>) -> Option<Polygon> {
    let mut rings = rings.into_iter();
    rings.next().map(|outer| Polygon { outer, holes: rings.collect() })
}

fn vertices(geometry: &Geometry<'_>, shape: &mut Shape) -> Result<Vec<DVec3>, String> {
    let Some(xy) = geometry.xy() else { return Ok(Vec::new()) };
    if xy.len() % 2 != 0 {
        return Err(format!("{} numbers are no pairs of x and y", xy.len()));
    }
    let heights: Vec<f64> = geometry.z().map(|z| z.iter().collect()).unwrap_or_default();
    if !heights.is_empty() && heights.len() != xy.len() / 2 {
        return Err(format!("{} heights for {} places", heights.len(), xy.len() / 2));
    }
    shape.has_z |= !heights.is_empty();
    let numbers: Vec<f64> = xy.iter().collect();
    let height = |i: usize| heights.get(i).copied().filter(|z| z.is_finite()).unwrap_or(0.0);
    Ok(numbers.chunks_exact(2).enumerate().map(|(i, v)| DVec3::new(v[0], v[1], height(i))).collect())
}

fn all_finite(vertices: Vec<DVec3>) -> Result<Vec<DVec3>, String> {
    match vertices.iter().all(|v| v.is_finite()) {
        true => Ok(vertices),
        false => Err("a coordinate is no number".into()),
    }
}

/// The vertices cut at `ends`; one ring or line where there are none.
fn rings(geometry: &Geometry<'_>, shape: &mut Shape) -> Result<Vec<Vec<DVec3>>, String> {
    let all = all_finite(vertices(geometry, shape)?)?;
    let ends: Vec<usize> = match geometry.ends() {
        Some(ends) if !ends.is_empty() => ends.iter().map(|end| end as usize).collect(),
        _ => vec![all.len()],
    };
    if ends.last() != Some(&all.len()) {
        return Err(format!("its parts end at {:?} of {} places", ends.last(), all.len()));
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let cut = starts.zip(&ends).map(|(start, end)| {
        let part = all.get(start..*end).ok_or_else(|| format!("part from {start} to {end} of {} places", all.len()))?;
        Ok(part.to_vec())
    });
    let cut = cut.collect::<Result<Vec<_>, String>>()?;
    Ok(cut.into_iter().filter(|part| !part.is_empty()).collect())
}
