//! Tests of shapes.

use std::collections::HashMap;

use geo::{Coord, LineString, algorithm::Validation};
use glam::DVec3;

use super::{
    Verdict,
    attribute::{self, Outcome, PASS, limits, number},
    rule::Test,
};
use crate::model::{CityObject, Geometry, Polygon};

/// Rings of more corners than this are left to a person: the test costs their square.
const MOST_CORNERS: usize = 20_000;

/// Wrong edges of one object that are told with their places.
const MOST_EDGES: usize = 64;

/// A verdict on a shape.
pub(super) struct Judged {
    pub outcome: Outcome,
    pub place: Option<DVec3>,
    /// Edges that are wrong, in the city's frame.
    pub edges: Vec<[DVec3; 2]>,
}

/// The verdict of a shape test with where it fails; `None` for the other tests and for shapes it does not apply to.
pub(super) fn look(test: &Test, object: &CityObject) -> Option<Judged> {
    let (outcome, place) = match test {
        Test::SimpleRings {} => {
            let polygons = match &object.geometry {
                Geometry::Area(area) => &area.polygons,
                Geometry::Block(block) => &block.footprint,
                _ => return None,
            };
            polygons.iter().map(simple).find(|(outcome, _)| outcome.0 != Verdict::Pass).unwrap_or((PASS, None))
        }
        Test::ClosedSolid { tolerance_m } => {
            return solid(object, *tolerance_m, |edge| edge.forth + edge.back == 1);
        }
        Test::ManifoldSolid { tolerance_m } => {
            return solid(object, *tolerance_m, |edge| edge.forth + edge.back > 1 && (edge.forth, edge.back) != (1, 1));
        }
        Test::Length { min, max } => {
            let axis = axis(object)?;
            let length: f64 = axis.windows(2).map(|w| w[0].distance(w[1])).sum();
            let is_off = min.is_some_and(|m| length < m) || max.is_some_and(|m| length > m);
            let outcome = if is_off { (Verdict::Fail, format!("{length:.2}"), limits(*min, *max)) } else { PASS };
            (outcome, axis.first().copied())
        }
        Test::Spacing { steps } => {
            let axis = axis(object)?;
            let length: f64 = axis.windows(2).map(|w| w[0].distance(w[1])).sum();
            let outcome = match by_diameter(object, steps)? {
                Err(outcome) => outcome,
                Ok(most) if length > most => (Verdict::Fail, format!("{length:.1}"), most.to_string()),
                Ok(_) => PASS,
            };
            (outcome, Some(axis.first()?.midpoint(*axis.last()?)))
        }
        Test::LeastSlope { steps, tolerance_m } => {
            let axis = axis(object)?;
            let (start, end) = (*axis.first()?, *axis.last()?);
            let (run, rise) = (start.truncate().distance(end.truncate()), (end.z - start.z).abs());
            let is_guessed = object.attributes.iter().any(|a| a.is_defaulted() && is_height(&a.key));
            let outcome = match by_diameter(object, steps)? {
                _ if is_guessed => (Verdict::Unknown, "z".into(), String::new()),
                Err(outcome) => outcome,
                Ok(least) if rise + tolerance_m < least * run => {
                    (Verdict::Fail, format!("{:.4}", rise / run), least.to_string())
                }
                Ok(_) => PASS,
            };
            (outcome, Some(start.midpoint(end)))
        }
        Test::Slope { max } => {
            let axis = axis(object)?;
            let (start, end) = (*axis.first()?, *axis.last()?);
            let (run, rise) = (start.truncate().distance(end.truncate()), (end.z - start.z).abs());
            let degrees = rise.atan2(run).to_degrees();
            let outcome = if degrees > *max { (Verdict::Fail, format!("{degrees:.1}"), max.to_string()) } else { PASS };
            (outcome, Some(start))
        }
        _ => return None,
    };
    Some(Judged { outcome, place, edges: Vec::new() })
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

/// Whether an attribute says how high or deep a line lies.
pub(super) fn is_height(key: &str) -> bool {
    matches!(key, "depth_start_m" | "depth_end_m" | "z_start_m" | "z_end_m" | "depth_m")
}

/// The figure of the first step that the diameter does not exceed; `None` beyond the last and for other sections.
fn by_diameter(object: &CityObject, steps: &[[f64; 2]]) -> Option<Result<f64, Outcome>> {
    match number(object, "diameter_mm") {
        Ok(diameter) => steps.iter().find(|[most, _]| diameter <= *most).map(|[_, figure]| Ok(*figure)),
        Err(_) if attribute::held(object, "width_mm").is_some() => None,
        Err(outcome) => Some(Err(outcome)),
    }
}

/// An edge of a mesh: how many triangles run through it in each direction.
struct Edge {
    forth: u32,
    back: u32,
    ends: [DVec3; 2],
}

/// Edges of all parts together, with corners that lie close made one; those that are wrong are told with their places.
fn solid(object: &CityObject, tolerance_m: f64, is_wrong: impl Fn(&Edge) -> bool) -> Option<Judged> {
    let Geometry::Mesh(mesh) = &object.geometry else { return None };
    let mut corners: HashMap<[i64; 3], u32> = HashMap::new();
    let mut edges: HashMap<(u32, u32), Edge> = HashMap::new();
    for part in &mesh.parts {
        let mut of = |index: u32| {
            let at = *part.positions.get(index as usize)?;
            let key = (at / tolerance_m.max(1e-6)).round().to_array().map(|v| v as i64);
            let next = corners.len() as u32;
            Some((*corners.entry(key).or_insert(next), at))
        };
        for triangle in part.indices.chunks_exact(3) {
            let (Some(a), Some(b), Some(c)) = (of(triangle[0]), of(triangle[1]), of(triangle[2])) else {
                let outcome = (Verdict::Fail, "index without corner".into(), String::new());
                return Some(Judged { outcome, place: Some(mesh.origin), edges: Vec::new() });
            };
            if a.0 == b.0 || b.0 == c.0 || c.0 == a.0 {
                continue; // smaller than the tolerance
            }
            for (from, to) in [(a, b), (b, c), (c, a)] {
                let ends = if from.0 < to.0 { [from.1, to.1] } else { [to.1, from.1] };
                let new = Edge { forth: 0, back: 0, ends };
                let edge = edges.entry((from.0.min(to.0), from.0.max(to.0))).or_insert(new);
                if from.0 < to.0 {
                    edge.forth += 1;
                } else {
                    edge.back += 1;
                }
            }
        }
    }
    let all = edges.len();
    let mut wrong: Vec<_> = edges.into_iter().filter(|(_, edge)| is_wrong(edge)).collect();
    wrong.sort_unstable_by_key(|(key, _)| *key);
    let outcome = match wrong.len() {
        0 => PASS,
        some => (Verdict::Review, format!("{some} / {all}"), String::new()),
    };
    let told = wrong.iter().take(MOST_EDGES).map(|(_, edge)| edge.ends.map(|at| mesh.origin + at));
    let told: Vec<[DVec3; 2]> = told.collect();
    Some(Judged { outcome, place: told.first().map(|[a, b]| a.midpoint(*b)), edges: told })
}
