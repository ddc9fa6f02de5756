//! Meshes as the renderer wants them.

use bevy::{
    asset::RenderAssetUsages,
    camera::primitives::Aabb,
    mesh::{Indices, PrimitiveTopology},
    prelude::*,
};

use crate::content::DrawMesh;

/// A mesh in the layout that all city meshes share: one layout, one pipeline.
pub fn gpu_mesh(mesh: &DrawMesh) -> Mesh {
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::RENDER_WORLD)
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, mesh.positions.clone())
        .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, mesh.normals.clone())
        .with_inserted_attribute(Mesh::ATTRIBUTE_UV_0, mesh.uvs.clone())
        .with_inserted_attribute(Mesh::ATTRIBUTE_COLOR, mesh.colours.clone())
        .with_inserted_indices(Indices::U32(mesh.indices.clone()))
}

/// One triangle a point; its corners stand in the texture coordinates, in pixels a pixel of point size.
pub fn points_mesh(positions: &[[f32; 3]], colours: &[[f32; 4]]) -> (Mesh, Aabb) {
    const CORNERS: [[f32; 2]; 3] = [[-1.25, -0.72], [1.25, -0.72], [0.0, 1.44]];
    let mut out = DrawMesh { min: Vec3::INFINITY, max: Vec3::NEG_INFINITY, ..DrawMesh::default() };
    for (position, colour) in positions.iter().zip(colours) {
        out.min = out.min.min(Vec3::from(*position));
        out.max = out.max.max(Vec3::from(*position));
        for corner in CORNERS {
            out.indices.push(out.positions.len() as u32);
            out.positions.push(*position);
            out.normals.push([0.0, 1.0, 0.0]);
            out.uvs.push(corner);
            out.colours.push(*colour);
        }
    }
    (gpu_mesh(&out), Aabb::from_min_max(out.min, out.max))
}
