//! Tests of shapes.

use std::collections::HashMap;

use geo::{Coord, LineString, algorithm::Validation};
use glam::DVec3;

use super::{
    Verdict,
    attribute::{Outcome, PASS, limits},
    rule::Test,
};
use crate::model::{CityObject, Geometry, Mesh, Polygon};

/// Rings of more corners than this are left to a person: the test costs their square.
const MOST_CORNERS: usize = 20_000;

/// The verdict of a shape test with where it fails; `None` for the other tests and for shapes it does not apply to.
pub(super) fn look(test: &Test, object: &CityObject) -> Option<(Outcome, Option<DVec3>)> {
    match test {
        Test::SimpleRings {} => {
            let polygons = match &object.geometry {
                Geometry::Area(area) => &area.polygons,
                Geometry::Block(block) => &block.footprint,
                _ => return None,
            };
            polygons.iter().map(simple).find(|(outcome, _)| outcome.0 != Verdict::Pass).or(Some((PASS, None)))
        }
        Test::ClosedSolid { tolerance_m } => match &object.geometry {
            Geometry::Mesh(mesh) => Some(closed(mesh, *tolerance_m)),
            _ => None,
        },
        Test::Length { min, max } => {
            let axis = axis(object)?;
            let length: f64 = axis.windows(2).map(|w| w[0].distance(w[1])).sum();
            let is_off = min.is_some_and(|m| length < m) || max.is_some_and(|m| length > m);
            let outcome = if is_off { (Verdict::Fail, format!("{length:.2}"), limits(*min, *max)) } else { PASS };
            Some((outcome, axis.first().copied()))
        }
        Test::Slope { max } => {
            let axis = axis(object)?;
            let (start, end) = (*axis.first()?, *axis.last()?);
            let (run, rise) = (start.truncate().distance(end.truncate()), (end.z - start.z).abs());
            let degrees = rise.atan2(run).to_degrees();
            let outcome = if degrees > *max { (Verdict::Fail, format!("{degrees:.1}"), max.to_string()) } else { PASS };
            Some((outcome, Some(start)))
        }
        _ => None,
    }
}

/// Axis of a pipe, gallery or tunnel.
fn axis(object: &CityObject) -> Option<&[DVec3]> {
    match &object.geometry {
        Geometry::Tube(tube) if tube.axis.len() >= 2 => Some(&tube.axis),
        _ => None,
    }
}

fn simple(polygon: &Polygon) -> (Outcome, Option<DVec3>) {
    let corners = polygon.outer.len() + polygon.holes.iter().map(Vec::len).sum::<usize>();
    let place = polygon.outer.first().copied();
    if corners > MOST_CORNERS {
        return ((Verdict::Review, corners.to_string(), MOST_CORNERS.to_string()), place);
    }
    // Around the first corner: the test works with differences of large numbers.
    let origin = place.unwrap_or(DVec3::ZERO);
    let ring = |ring: &Vec<DVec3>| {
        let coordinates = ring.iter().map(|p| Coord { x: p.x - origin.x, y: p.y - origin.y });
        LineString::new(coordinates.collect())
    };
    let shape = geo::Polygon::new(ring(&polygon.outer), polygon.holes.iter().map(ring).collect());
    match shape.check_validation() {
        Ok(()) => (PASS, None),
        Err(error) => ((Verdict::Fail, error.to_string(), String::new()), place),
    }
}

/// Edges of all parts together, with corners that lie close made one.
fn closed(mesh: &Mesh, tolerance_m: f64) -> (Outcome, Option<DVec3>) {
    let mut corners: HashMap<[i64; 3], u32> = HashMap::new();
    let mut edges: HashMap<(u32, u32), (u32, DVec3)> = HashMap::new();
    for part in &mesh.parts {
        let mut of = |index: u32| {
            let at = *part.positions.get(index as usize)?;
            let key = (at / tolerance_m.max(1e-6)).round().to_array().map(|v| v as i64);
            let next = corners.len() as u32;
            Some((*corners.entry(key).or_insert(next), at))
        };
        for triangle in part.indices.chunks_exact(3) {
            let (Some(a), Some(b), Some(c)) = (of(triangle[0]), of(triangle[1]), of(triangle[2])) else {
                return ((Verdict::Fail, "index without corner".into(), String::new()), Some(mesh.origin));
            };
            if a.0 == b.0 || b.0 == c.0 || c.0 == a.0 {
                continue; // smaller than the tolerance
            }
            for (from, to) in [(a, b), (b, c), (c, a)] {
                let edge = edges.entry((from.0.min(to.0), from.0.max(to.0))).or_insert((0, from.1));
                edge.0 += 1;
            }
        }
    }
    let mut open: Vec<_> = edges.iter().filter(|(_, (count, _))| count % 2 == 1).collect();
    open.sort_unstable_by_key(|(edge, _)| **edge);
    match open.first() {
        None => (PASS, None),
        Some((_, (_, at))) => {
            let found = format!("{} / {}", open.len(), edges.len());
            ((Verdict::Review, found, String::new()), Some(mesh.origin + *at))
        }
    }
}
