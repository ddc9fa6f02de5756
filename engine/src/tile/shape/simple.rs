//! A modelled shape from afar: its corners gathered in cells, each drawn at one of them.
//!
//! After J. Rossignac and P. Borrel, "Multi-resolution 3D approximations for rendering complex scenes" (1993). The corner that is
//! kept is one that was there, so that walls stay on their lines; by how much the others move is measured.

use glam::{DVec3, IVec3};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Extent, Mesh};

/// Shapes of fewer triangles stay as they are.
const LEAST_TRIANGLES: usize = 24;
/// Cells along the largest side of a shape, and their least side, metres.
const CELLS: f64 = 16.0;
const LEAST_CELL_M: f64 = 0.25;
/// The part of the triangles that may be left for it to be worth while.
const WORTH_WHILE: f64 = 0.7;

/// A shape with fewer triangles.
pub(super) struct Simple {
    /// Number of the part, and corners relative to the shape's origin.
    pub triangles: Vec<(usize, [DVec3; 3])>,
    /// By how many metres a corner has moved at most.
    pub deviation_m: f64,
}

/// A cell's corners: their sum and number, and the one that is nearest to their middle.
struct Cell {
    sum: DVec3,
    count: f64,
    nearest: DVec3,
}

/// The shape from afar; `None` where it would not have far fewer triangles.
pub(super) fn simple(mesh: &Mesh) -> Option<Simple> {
    let before: usize = mesh.parts.iter().map(|part| part.indices.len() / 3).sum();
    if before < LEAST_TRIANGLES || mesh.parts.iter().any(|part| part.texture.is_some()) {
        return None;
    }
    let all = || mesh.parts.iter().flat_map(|part| &part.positions);
    let extent = Extent::around(all().copied());
    let cell_m = (extent.size().max_element() / CELLS).max(LEAST_CELL_M);
    let key = |place: DVec3| ((place - extent.min) / cell_m).as_ivec3();
    let mut cells: FxHashMap<IVec3, Cell> = FxHashMap::default();
    for place in all() {
        let cell = cells.entry(key(*place)).or_insert(Cell { sum: DVec3::ZERO, count: 0.0, nearest: *place });
        cell.sum += *place;
        cell.count += 1.0;
    }
    for place in all() {
        let Some(cell) = cells.get_mut(&key(*place)) else { continue };
        let middle = cell.sum / cell.count;
        if place.distance_squared(middle) < cell.nearest.distance_squared(middle) {
            cell.nearest = *place;
        }
    }
    let mut deviation_m = 0.0_f64;
    let (mut seen, mut triangles) = (FxHashSet::default(), Vec::new());
    for (number, part) in mesh.parts.iter().enumerate() {
        for corners in part.indices.chunks_exact(3) {
            let places = [0, 1, 2].map(|i| part.positions.get(corners[i] as usize).copied());
            let [Some(a), Some(b), Some(c)] = places else { continue };
            let keys = [a, b, c].map(key);
            let moved = keys.map(|key| cells.get(&key).map_or(DVec3::ZERO, |cell| cell.nearest));
            for (from, to) in [a, b, c].iter().zip(&moved) {
                deviation_m = deviation_m.max(from.distance(*to));
            }
            // Both sides of what is thinner than a cell become one, which is seen from both.
            let mut sorted = keys.map(|key| key.to_array());
            sorted.sort_unstable();
            if sorted[0] != sorted[1] && sorted[1] != sorted[2] && seen.insert(sorted) {
                triangles.push((number, moved));
            }
        }
    }
    let is_worth_while = !triangles.is_empty() && triangles.len() as f64 <= before as f64 * WORTH_WHILE;
    is_worth_while.then_some(Simple { triangles, deviation_m })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MeshPart;

    /// A round tower of many small faces, 10 m wide and 30 m high.
    fn tower(sides: u32, rings: u32) -> Mesh {
        let mut part = MeshPart { rgba: [200, 200, 200, 255], ..MeshPart::default() };
        for ring in 0..=rings {
            for side in 0..sides {
                let out = glam::DVec2::from_angle(f64::from(side) / f64::from(sides) * std::f64::consts::TAU) * 5.0;
                part.positions.push(out.extend(f64::from(ring) / f64::from(rings) * 30.0));
            }
        }
        for ring in 0..rings {
            for side in 0..sides {
                let [a, b] = [ring * sides + side, ring * sides + (side + 1) % sides];
                part.indices.extend([a, b, b + sides, a, b + sides, a + sides]);
            }
        }
        Mesh { origin: DVec3::ZERO, parts: vec![part] }
    }

    #[test]
    fn a_shape_of_many_faces_has_far_fewer_from_afar_and_says_by_how_much_it_is_off() {
        let tower = tower(96, 120);
        let simple = simple(&tower).unwrap();
        let before = tower.parts[0].indices.len() / 3;
        assert!(simple.triangles.len() * 10 < before, "{} of {before}", simple.triangles.len());
        // A cell is 30/16 m: no corner moves by more than its diagonal, and some move.
        assert!(simple.deviation_m > 0.3 && simple.deviation_m < 30.0 / 16.0 * 3f64.sqrt(), "{}", simple.deviation_m);
        let places: FxHashSet<[u64; 3]> =
            tower.parts[0].positions.iter().map(|v| v.to_array().map(f64::to_bits)).collect();
        let corners = || simple.triangles.iter().flat_map(|(_, corners)| corners);
        assert!(corners().all(|v| places.contains(&v.to_array().map(f64::to_bits))), "corners that were there");
        let extent = Extent::around(corners().copied());
        assert!((extent.size() - DVec3::new(10.0, 10.0, 30.0)).abs().max_element() < 2.0, "{extent:?}");
    }

    #[test]
    fn plain_shapes_stay_as_they_are() {
        assert!(simple(&tower(4, 1)).is_none(), "few triangles");
        // Faces that are larger than cells: nothing to gain.
        assert!(simple(&tower(6, 3)).is_none());
    }
}
