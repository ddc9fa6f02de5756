//! Edges of buildings as lines, for white and dark models and the X-ray: where two faces meet at an angle, or a face ends.

use std::collections::HashMap;

use bevy::{
    asset::RenderAssetUsages,
    mesh::{Indices, Mesh, PrimitiveTopology},
};
use glam::Vec3;

/// Faces that meet at less than this angle are one surface: cos 25°.
const SAME_SURFACE: f32 = 0.906;
/// Most triangles of a mesh whose edges are sought; beyond it (a furnished BIM model) lines would be a tangle.
const MAX_TRIANGLES: usize = 400_000;

/// Corner of an edge, in centimetres: vertices that are split for their normals meet again.
type Corner = [i32; 3];

/// What is known of an edge.
struct Edge {
    ends: (Vec3, Vec3),
    /// Of the first face that has it.
    normal: Vec3,
    faces: u32,
    is_sharp: bool,
}

/// Pairs of places between which an edge runs.
fn edges(positions: &[[f32; 3]], indices: &[u32]) -> Vec<(Vec3, Vec3)> {
    let corner = |place: Vec3| -> Corner { (place * 100.0).round().as_ivec3().to_array() };
    let mut found: HashMap<(Corner, Corner), Edge> = HashMap::with_capacity(indices.len() / 2);
    for triangle in indices.chunks_exact(3) {
        let places = [0, 1, 2].map(|k| Vec3::from(positions[triangle[k] as usize]));
        let normal = (places[1] - places[0]).cross(places[2] - places[0]).normalize_or_zero();
        if normal == Vec3::ZERO {
            continue;
        }
        for k in 0..3 {
            let (a, b) = (places[k], places[(k + 1) % 3]);
            let (ka, kb) = (corner(a), corner(b));
            if ka == kb {
                continue;
            }
            let key = if ka < kb { (ka, kb) } else { (kb, ka) };
            let edge = found.entry(key).or_insert(Edge { ends: (a, b), normal, faces: 0, is_sharp: false });
            edge.faces += 1;
            edge.is_sharp |= edge.normal.dot(normal).abs() < SAME_SURFACE;
        }
    }
    let mut out: Vec<_> = found.into_iter().filter(|(_, edge)| edge.is_sharp || edge.faces == 1).collect();
    // The map's order is random; the picture must not be.
    out.sort_unstable_by_key(|(key, _)| *key);
    out.into_iter().map(|(_, edge)| edge.ends).collect()
}

/// The edges of triangles as a line mesh with the vertex layout of all city meshes; `None` when there are none.
pub fn edge_mesh(positions: &[[f32; 3]], indices: &[u32]) -> Option<Mesh> {
    if indices.len() / 3 > MAX_TRIANGLES {
        return None;
    }
    let edges = edges(positions, indices);
    if edges.is_empty() {
        return None;
    }
    let positions: Vec<[f32; 3]> = edges.iter().flat_map(|(a, b)| [a.to_array(), b.to_array()]).collect();
    let count = positions.len();
    Some(
        Mesh::new(PrimitiveTopology::LineList, RenderAssetUsages::RENDER_WORLD)
            .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
            .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, vec![[0.0, 1.0, 0.0]; count])
            .with_inserted_attribute(Mesh::ATTRIBUTE_UV_0, vec![[0.0, 0.0]; count])
            .with_inserted_attribute(Mesh::ATTRIBUTE_COLOR, vec![[1.0, 1.0, 1.0, 1.0]; count])
            .with_inserted_indices(Indices::U32((0..count as u32).collect())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_has_twelve_edges_whatever_its_diagonals() {
        let corner = |i: usize| [(i & 1) as f32 * 4.0, ((i >> 1) & 1) as f32 * 9.0, ((i >> 2) & 1) as f32 * 4.0];
        let faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]];
        let (mut positions, mut indices) = (Vec::new(), Vec::new());
        for face in faces {
            let first = positions.len() as u32;
            positions.extend(face.map(corner));
            indices.extend([0, 1, 2, 0, 2, 3].map(|k| first + k));
        }
        assert_eq!(edges(&positions, &indices).len(), 12);
    }
}
