//! What a tile draws, in metres from its origin: x east, y north, z up.

use glam::{Quat, Vec2, Vec3};

use super::glb::linear_from_srgb;

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
    /// CIM levels (CJJ/T 315-2022), 1 to 7.
    pub levels: Vec<u8>,
    /// What the features that are pipes are drawn from, by row.
    pub pipes: Vec<(u32, PipeShape)>,
}

/// A pipe as its parameters (参数化): the picture of it is made of these.
#[derive(Clone, Debug, PartialEq)]
pub struct PipeShape {
    /// Vertices of the centre line, metres from the tile's origin in the city's frame: east, north, up.
    pub axis: Vec<Vec3>,
    /// Outer width and height of the section, metres; the same twice for a round one.
    pub section: Vec2,
    /// Whether the section is round.
    pub is_round: bool,
    /// Nodes at its start and end, as the source names them; empty where it does not.
    pub nodes: [String; 2],
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

/// The instances of one colour, with that colour at the vertices.
pub(super) fn tinted(instances: &TileInstances, tint: [u8; 4]) -> TileInstances {
    fn only<T: Copy>(all: &[T], which: &[usize]) -> Vec<T> {
        which.iter().filter_map(|i| all.get(*i).copied()).collect()
    }
    let own: Vec<usize> = (0..instances.colours.len()).filter(|i| instances.colours[*i] == tint).collect();
    let mut mesh = instances.mesh.clone();
    if mesh.colours.len() == mesh.positions.len() {
        // Colours are multiplied as light.
        let linear = |byte: u8| u32::from(linear_from_srgb(byte));
        let product = |a: u8, b: u8| srgb_from_linear((linear(a) * linear(b) + 127) / 255);
        for [r, g, b, a] in &mut mesh.colours {
            let alpha = f32::from(*a) * f32::from(tint[3]) / 255.0;
            (*r, *g, *b, *a) = (product(*r, tint[0]), product(*g, tint[1]), product(*b, tint[2]), alpha.round() as u8);
        }
    } else {
        mesh.colours = vec![tint; mesh.positions.len()];
    }
    TileInstances {
        mesh,
        translations: only(&instances.translations, &own),
        rotations: only(&instances.rotations, &own),
        scales: only(&instances.scales, &own),
        colours: Vec::new(),
        features: only(&instances.features, &own),
    }
}

/// The first sRGB byte that is no darker than this linear one.
fn srgb_from_linear(linear: u32) -> u8 {
    (0..=u8::MAX).find(|byte| u32::from(linear_from_srgb(*byte)) >= linear).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tint_takes_its_instances_and_multiplies_as_light() {
        let mesh = TileMesh {
            positions: vec![Vec3::ZERO, Vec3::X, Vec3::Y],
            colours: vec![[255, 255, 255, 255], [128, 64, 0, 255], [200, 200, 200, 128]],
            ..TileMesh::default()
        };
        let red = [255, 0, 0, 255];
        let all = TileInstances {
            mesh: mesh.clone(),
            translations: (0..4).map(|i| Vec3::splat(i as f32)).collect(),
            colours: vec![red, [9, 9, 9, 255], red, red],
            features: vec![10, 11, 12, 13],
            ..TileInstances::default()
        };
        let of_red = tinted(&all, red);
        assert_eq!((of_red.translations.len(), &of_red.features[..]), (3, &[10, 12, 13][..]));
        assert!(of_red.colours.is_empty() && of_red.rotations.is_empty());
        assert_eq!(of_red.mesh.colours, [[255, 0, 0, 255], [128, 0, 0, 255], [200, 0, 0, 128]]);
        let plain = TileInstances { mesh: TileMesh { colours: Vec::new(), ..mesh }, ..all };
        assert_eq!(tinted(&plain, red).mesh.colours, [red; 3]);
    }
}
