//! Multi-patches (ESRI Shapefile Technical Description, pages 20 to 24): surfaces in space out of strips, fans and
//! rings.

use glam::DVec3;
use groundline_engine::model::Polygon;

use crate::feature::{Shape, faces_hold, triangulate};

const STRIP: u32 = 0;
const FAN: u32 = 1;
const OUTER: u32 = 2;
const INNER: u32 = 3;
const FIRST: u32 = 4;
const RING: u32 = 5;

/// The shape of a multi-patch: faces in space, or polygons in plan where every height is 0, as writers leave them
/// that had none.
pub(super) fn shape(parts: Vec<Vec<DVec3>>, kinds: &[u32]) -> Result<Shape, String> {
    let is_flat = parts.iter().flatten().all(|v| v.z == 0.0);
    let mut shape = Shape { has_z: true, ..Shape::default() };
    let mut rings: Vec<Polygon> = Vec::new();
    // The kind of the ring that further rings may belong to.
    let mut open = None;
    for (part, kind) in parts.into_iter().zip(kinds.iter().copied()) {
        match (kind, rings.last_mut()) {
            (STRIP, _) => shape.triangles.extend(strip(&part)),
            (FAN, _) => shape.triangles.extend(fan(&part)),
            (INNER, Some(polygon)) if open == Some(OUTER) => polygon.holes.push(part),
            (RING, Some(polygon)) if open == Some(FIRST) && faces_hold(&polygon.outer, &part) => {
                polygon.holes.push(part);
            }
            (OUTER | INNER | FIRST | RING, _) => rings.push(Polygon { outer: part, holes: Vec::new() }),
            _ => return Err(format!("part type {kind} does not exist")),
        }
        open = match kind {
            STRIP | FAN => None,
            OUTER | FIRST => Some(kind),
            _ => open,
        };
    }
    if is_flat {
        let triangles = std::mem::take(&mut shape.triangles).into_iter();
        let simple = |t: [DVec3; 3]| Polygon { outer: t.to_vec(), holes: Vec::new() };
        shape.polygons = rings.into_iter().chain(triangles.map(simple)).collect();
        return Ok(shape);
    }
    let had_faces = !rings.is_empty() || !shape.triangles.is_empty();
    rings.iter().for_each(|polygon| triangulate(polygon, &mut shape.triangles));
    match had_faces && shape.triangles.is_empty() {
        true => Err("its patches have no area".into()),
        false => Ok(shape),
    }
}

/// Every vertex after the second closes a triangle with the two before it; every second one turns the other way.
fn strip(part: &[DVec3]) -> impl Iterator<Item = [DVec3; 3]> {
    let turned = |(i, t): (usize, &[DVec3])| if i % 2 == 0 { [t[0], t[1], t[2]] } else { [t[1], t[0], t[2]] };
    part.windows(3).enumerate().map(turned)
}

/// Every vertex after the second closes a triangle with the first and the one before it.
fn fan(part: &[DVec3]) -> impl Iterator<Item = [DVec3; 3]> {
    let middle = part.first().copied().unwrap_or_default();
    part.get(1..).unwrap_or_default().windows(2).map(move |t| [middle, t[0], t[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(points: &[(f64, f64, f64)]) -> Vec<DVec3> {
        points.iter().map(|p| DVec3::from(*p)).collect()
    }

    fn area(shape: &Shape) -> f64 {
        shape.triangles.iter().map(|[a, b, c]| (*b - *a).cross(*c - *a).length() / 2.0).sum()
    }

    /// A wall along x, `size` long and high, from (x, z) on.
    fn wall(x: f64, z: f64, size: f64) -> Vec<DVec3> {
        at(&[(x, 5., z), (x + size, 5., z), (x + size, 5., z + size), (x, 5., z + size), (x, 5., z)])
    }

    #[test]
    fn strips_turn_and_fans_do_not() {
        let strip_of = at(&[(0., 0., 0.), (0., 0., 3.), (4., 0., 0.), (4., 0., 3.)]);
        let made = shape(vec![strip_of], &[STRIP]).unwrap();
        assert_eq!((made.triangles.len(), area(&made)), (2, 12.0));
        let sides: Vec<DVec3> = made.triangles.iter().map(|[a, b, c]| (*b - *a).cross(*c - *a)).collect();
        assert!(sides[0].dot(sides[1]) > 0.0, "both faces look the same way");
        let roof = at(&[(2., 2., 5.), (0., 0., 3.), (4., 0., 3.), (4., 4., 3.), (0., 4., 3.), (0., 0., 3.)]);
        assert_eq!(shape(vec![roof], &[FAN]).unwrap().triangles.len(), 4);
    }

    #[test]
    fn inner_rings_are_windows_and_rings_of_unknown_kind_are_where_they_lie_within() {
        let made = shape(vec![wall(0., 0., 10.), wall(2., 2., 3.)], &[OUTER, INNER]).unwrap();
        assert!((area(&made) - 91.0).abs() < 1e-9);
        let kinds = [FIRST, RING, RING];
        let made = shape(vec![wall(0., 0., 10.), wall(2., 2., 3.), wall(20., 0., 5.)], &kinds).unwrap();
        assert!((area(&made) - 116.0).abs() < 1e-9, "a window of 9 and a wall of 25 beside: {}", area(&made));
    }

    #[test]
    fn without_heights_they_are_areas_in_plan() {
        let flat = at(&[(0., 0., 0.), (4., 0., 0.), (4., 4., 0.), (0., 4., 0.)]);
        let made = shape(vec![flat.clone(), flat], &[OUTER, STRIP]).unwrap();
        assert_eq!((made.polygons.len(), made.triangles.len()), (3, 0));
    }

    #[test]
    fn kinds_that_do_not_exist_are_told() {
        assert!(shape(vec![wall(0., 0., 1.)], &[6]).unwrap_err().contains("type 6"));
        assert!(shape(vec![at(&[(0., 0., 1.), (1., 0., 1.)])], &[OUTER]).is_err());
    }
}
