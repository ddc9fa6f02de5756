//! Faces in space: what a multi-patch, a polyhedral surface or a TIN is made of.

use std::collections::HashMap;

use earcut::Earcut;
use glam::{DVec2, DVec3};
use groundline_engine::model::{Class, Extent, Mesh, MeshPart, Polygon};

use super::shape::is_inside;

/// Faces smaller than this are points or lines, square metres squared.
const NO_AREA: f64 = 1e-16;

/// Adds the triangles of a plane polygon that may stand upright. A polygon without area in space adds none.
pub(crate) fn triangulate(polygon: &Polygon, into: &mut Vec<[DVec3; 3]>) {
    let mut corners: Vec<DVec3> = open(&polygon.outer).to_vec();
    let Some(&origin) = corners.first() else { return };
    let normal = normal(&corners);
    if normal.length_squared() == 0.0 || !normal.is_finite() {
        return;
    }
    let mut holes = Vec::with_capacity(polygon.holes.len());
    for hole in polygon.holes.iter().map(|hole| open(hole)).filter(|hole| hole.len() >= 3) {
        holes.push(corners.len());
        corners.extend_from_slice(hole);
    }
    let flat = |v: &DVec3| flattened(*v - origin, normal);
    let mut indices: Vec<usize> = Vec::new();
    Earcut::new().earcut(corners.iter().map(flat), &holes, &mut indices);
    for triangle in indices.chunks_exact(3) {
        let corner = |i: usize| corners.get(triangle[i]).copied();
        let (Some(a), Some(b), Some(c)) = (corner(0), corner(1), corner(2)) else { continue };
        // The side that the source's ring faces is kept.
        into.push(if (b - a).cross(c - a).dot(normal) < 0.0 { [a, c, b] } else { [a, b, c] });
    }
}

/// Along the axis that the polygon faces most: no division, and no corner moves against another.
fn flattened(v: DVec3, normal: DVec3) -> [f64; 2] {
    let [x, y, z] = normal.abs().to_array();
    match (x > y && x > z, y > z) {
        (true, _) => [v.y, v.z],
        (_, true) => [v.z, v.x],
        _ => [v.x, v.y],
    }
}

/// Whether a ring lies within another in the latter's plane, by most of its first vertices.
pub(crate) fn faces_hold(outer: &[DVec3], ring: &[DVec3]) -> bool {
    let Some(&origin) = outer.first() else { return false };
    let normal = normal(open(outer));
    let flat = |v: &DVec3| DVec2::from(flattened(*v - origin, normal)).extend(0.0);
    let outline: Vec<DVec3> = open(outer).iter().map(flat).collect();
    let sample = || open(ring).iter().take(7);
    let inside = sample().filter(|v| is_inside(flat(v), &outline)).count();
    2 * inside > sample().count()
}

/// A ring without the vertex that closes it.
fn open(ring: &[DVec3]) -> &[DVec3] {
    match ring {
        [first, inner @ .., last] if !inner.is_empty() && first == last => &ring[..ring.len() - 1],
        _ => ring,
    }
}

/// Newell's normal, twice the area long.
fn normal(ring: &[DVec3]) -> DVec3 {
    let Some(&origin) = ring.first() else { return DVec3::ZERO };
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(a, b)| (*a - origin).cross(*b - origin)).sum()
}

/// Whether a face is more than a line.
pub(super) fn has_area([a, b, c]: &[DVec3; 3]) -> bool {
    (*b - *a).cross(*c - *a).length_squared() > NO_AREA
}

/// The faces as a mesh around the middle of their box, in the usual colour of their class.
pub(super) fn mesh(triangles: &[[DVec3; 3]], class: Class) -> Mesh {
    let origin = Extent::around(triangles.iter().flatten().copied()).centre();
    let mut positions: Vec<DVec3> = Vec::new();
    let mut known: HashMap<[u64; 3], u32> = HashMap::new();
    let indices = triangles.iter().flatten().map(|v| {
        *known.entry(v.to_array().map(f64::to_bits)).or_insert_with(|| {
            positions.push(*v - origin);
            // A record of that many vertices is beyond every format's limit of bytes.
            positions.len() as u32 - 1
        })
    });
    let indices = indices.collect();
    Mesh { origin, parts: vec![MeshPart { positions, indices, rgba: colour(class), ..MeshPart::default() }] }
}

fn colour(class: Class) -> [u8; 4] {
    match class {
        Class::Building | Class::Station => [222, 216, 206, 255],
        Class::Water => [120, 160, 190, 255],
        Class::Greenery | Class::Tree => [130, 160, 110, 255],
        Class::Road | Class::Railway | Class::Bridge | Class::Tunnel => [150, 150, 152, 255],
        _ => [200, 198, 194, 255],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(triangles: &[[DVec3; 3]]) -> f64 {
        triangles.iter().map(|[a, b, c]| (*b - *a).cross(*c - *a).length() / 2.0).sum()
    }

    fn ring(points: &[(f64, f64)], place: impl Fn(f64, f64) -> DVec3) -> Vec<DVec3> {
        points.iter().map(|(u, v)| place(*u, *v)).collect()
    }

    const WALL: [(f64, f64); 5] = [(0.0, 0.0), (10.0, 0.0), (10.0, 4.0), (0.0, 4.0), (0.0, 0.0)];
    const WINDOW: [(f64, f64); 4] = [(2.0, 1.0), (2.0, 2.0), (4.0, 2.0), (4.0, 1.0)];

    #[test]
    fn walls_with_windows_keep_area_and_side_whatever_way_they_face() {
        let east = |u: f64, v: f64| DVec3::new(500_000.0, 4_000_000.0 + u, v);
        let north = |u: f64, v: f64| DVec3::new(500_000.0 + u, 4_000_000.0, v);
        let roof = |u: f64, v: f64| DVec3::new(500_000.0 + u, 4_000_000.0 + v, 9.0 + 0.5 * u);
        for (place, wanted) in
            [(&east as &dyn Fn(f64, f64) -> DVec3, 38.0), (&north, 38.0), (&roof, 38.0 * 1.25_f64.sqrt())]
        {
            let polygon = Polygon { outer: ring(&WALL, place), holes: vec![ring(&WINDOW, place)] };
            let mut triangles = Vec::new();
            triangulate(&polygon, &mut triangles);
            assert!((area(&triangles) - wanted).abs() < 1e-6, "{}", area(&triangles));
            let side = normal(open(&polygon.outer));
            assert!(triangles.iter().all(|[a, b, c]| (*b - *a).cross(*c - *a).dot(side) > 0.0));
        }
    }

    #[test]
    fn what_has_no_area_adds_nothing() {
        let mut triangles = Vec::new();
        for outer in [vec![], vec![DVec3::X], vec![DVec3::X, DVec3::Y, DVec3::X], vec![DVec3::NAN; 4]] {
            triangulate(&Polygon { outer, holes: vec![] }, &mut triangles);
        }
        assert_eq!(triangles.len(), 0);
    }
}
