//! Whether triangles close a body, and how large it is (体积).
//!
//! The volume is the sum of signed tetrahedra from one point (divergence theorem). A body without a floor, as buildings are
//! often drawn, counts as closed by it where the open edges lie on one level: seen from a point on that level the floor
//! adds nothing.

use std::collections::HashMap;

use glam::{DVec3, I64Vec3};

/// Corners nearer than this are one, metres: tiles keep 2⁻¹¹ m.
const WELD_M: f64 = 1e-3;
/// Open edges may differ in height by this and still be the edge of a level floor, metres.
const LEVEL_M: f64 = 0.02;

/// A closed body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solid {
    /// Volume, m³.
    pub volume_m3: f64,
    /// Area of its surface as drawn, m²: without a floor that was only assumed.
    pub surface_m2: f64,
    /// From its lowest to its highest point, metres.
    pub height_m: f64,
    /// It was closed by a level floor.
    pub has_floor_added: bool,
}

/// Why triangles close no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// There are none.
    Empty,
    /// This many edges are not shared by two triangles that run along them in opposite directions.
    Edges(usize),
}

/// The body of `triangles`, which face outwards (or all inwards).
pub fn solid(triangles: &[[DVec3; 3]]) -> Result<Solid, Open> {
    let first = triangles.first().ok_or(Open::Empty)?[0];
    let mut corners: HashMap<I64Vec3, usize> = HashMap::new();
    let mut index = |place: DVec3| {
        let count = corners.len();
        *corners.entry(((place - first) / WELD_M).round().as_i64vec3()).or_insert(count)
    };
    // Number of triangles that run along an edge forwards less those that run backwards.
    let mut edges: HashMap<(usize, usize), (i32, DVec3, DVec3)> = HashMap::new();
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let mut surface_m2 = 0.0;
    for triangle in triangles {
        let [a, b, c] = triangle.map(&mut index);
        for corner in triangle {
            (low, high) = (low.min(corner.z), high.max(corner.z));
        }
        if a == b || b == c || c == a {
            continue;
        }
        surface_m2 += (triangle[1] - triangle[0]).cross(triangle[2] - triangle[0]).length() * 0.5;
        for (from, to, start, end) in
            [(a, b, triangle[0], triangle[1]), (b, c, triangle[1], triangle[2]), (c, a, triangle[2], triangle[0])]
        {
            let step = if from < to { 1 } else { -1 };
            edges.entry((from.min(to), from.max(to))).or_insert((0, start, end)).0 += step;
        }
    }
    let open: Vec<f64> =
        edges.values().filter(|(sum, ..)| *sum != 0).flat_map(|(_, start, end)| [start.z, end.z]).collect();
    let floor = open.iter().copied().fold(f64::INFINITY, f64::min);
    let is_level = open.iter().all(|z| *z <= floor + LEVEL_M) && (open.is_empty() || floor <= low + LEVEL_M);
    if surface_m2 == 0.0 {
        return Err(Open::Empty);
    }
    if !is_level {
        return Err(Open::Edges(open.len() / 2));
    }
    let from = first.with_z(if open.is_empty() { low } else { floor });
    let volume: f64 =
        triangles.iter().map(|[a, b, c]| (*a - from).dot((*b - from).cross(*c - from))).sum::<f64>() / 6.0;
    Ok(Solid { volume_m3: volume.abs(), surface_m2, height_m: high - low, has_floor_added: !open.is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box of 4 × 5 × 6 m far out, outwards; the floor first.
    fn cube() -> Vec<[DVec3; 3]> {
        let origin = DVec3::new(40_534_000.0, 3_993_000.0, -2.0);
        let at =
            |k: u32| origin + DVec3::new(f64::from(k & 1) * 4.0, f64::from(k >> 1 & 1) * 5.0, f64::from(k >> 2) * 6.0);
        let quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
        quads.into_iter().flat_map(|[a, b, c, d]| [[a, b, c], [a, c, d]]).map(|triangle| triangle.map(at)).collect()
    }

    #[test]
    fn a_box_is_as_large_as_it_is() {
        let whole = solid(&cube()).expect("closed");
        assert!((whole.volume_m3 - 120.0).abs() < 1e-6 && (whole.surface_m2 - 148.0).abs() < 1e-6, "{whole:?}");
        assert!((whole.height_m - 6.0).abs() < 1e-9 && !whole.has_floor_added);
        let inwards: Vec<[DVec3; 3]> = cube().into_iter().map(|[a, b, c]| [a, c, b]).collect();
        assert!((solid(&inwards).expect("closed").volume_m3 - 120.0).abs() < 1e-6);
    }

    #[test]
    fn a_house_without_a_floor_is_closed_by_it_and_one_without_a_wall_is_not() {
        let bottomless = solid(&cube()[2..]).expect("the floor is level");
        assert!((bottomless.volume_m3 - 120.0).abs() < 1e-6 && bottomless.has_floor_added);
        assert_eq!(solid(&cube()[..10]), Err(Open::Edges(4)), "a wall is missing");
        let roofless: Vec<_> =
            cube().into_iter().enumerate().filter(|(i, _)| !(2..4).contains(i)).map(|(_, t)| t).collect();
        assert_eq!(solid(&roofless), Err(Open::Edges(4)), "open at the top");
        assert_eq!(solid(&[]), Err(Open::Empty));
        let mut flipped = cube();
        flipped[4].swap(1, 2);
        assert!(matches!(solid(&flipped), Err(Open::Edges(_))), "one triangle faces inwards");
    }
}
