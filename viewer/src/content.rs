//! One tile's GLB as what the renderer and the mouse need: merged meshes, points and the table of features.
//!
//! Instances (`EXT_mesh_gpu_instancing`) are expanded into the meshes of their material, so that a tile costs one
//! draw call a material. Positions stay relative to the tile's origin, in the renderer's axes (y up).

use std::collections::HashMap;

use glam::{Mat4, Quat, Vec2, Vec3, Vec4};
use gltf::json::{
    Index, Node, Root,
    mesh::{Mode, Primitive, Semantic},
    validation::Checked,
};
use groundline_engine::tile::glb::{FOLLOWS_EARTH, fall_m};
use serde_json::Value;

use crate::{
    feature_table::features,
    glb::{Glb, GlbError},
};

/// Most triangles of one tile after its instances are expanded.
const MAX_TRIANGLES: usize = 6_000_000;
/// Deepest nesting of nodes.
const MAX_DEPTH: usize = 32;
/// The feature of a vertex that belongs to none.
pub const NO_FEATURE: u32 = u32::MAX;

/// A material as the file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawMaterial {
    /// Name: chooses the shading.
    pub name: String,
    /// Base colour, linear RGBA.
    pub base_colour: [f32; 4],
    /// 1 = fully rough.
    pub roughness: f32,
    /// Encoded PNG or JPEG.
    pub texture: Option<Vec<u8>>,
    /// Whether both sides are seen.
    pub double_sided: bool,
}

impl Default for DrawMaterial {
    fn default() -> Self {
        Self {
            name: String::new(),
            base_colour: [0.8, 0.8, 0.8, 1.0],
            roughness: 0.9,
            texture: None,
            double_sided: true,
        }
    }
}

/// Triangles of one material.
#[derive(Clone, Debug, Default)]
pub struct DrawMesh {
    /// Index into [`TileMeshes::materials`].
    pub material: usize,
    /// Vertices, metres from the tile's origin, y up.
    pub positions: Vec<[f32; 3]>,
    /// Normals, one a vertex.
    pub normals: Vec<[f32; 3]>,
    /// Texture coordinates, one a vertex.
    pub uvs: Vec<[f32; 2]>,
    /// Linear colours, one a vertex.
    pub colours: Vec<[f32; 4]>,
    /// Row of the feature table, one a vertex; [`NO_FEATURE`] = none.
    pub features: Vec<u32>,
    /// Three a triangle.
    pub indices: Vec<u32>,
    /// Lowest corner of the box around it.
    pub min: Vec3,
    /// Highest corner.
    pub max: Vec3,
}

/// Points of a scan.
#[derive(Clone, Debug, Default)]
pub struct DrawPoints {
    /// Places, metres from the tile's origin, y up.
    pub positions: Vec<[f32; 3]>,
    /// Linear colours, one a point.
    pub colours: Vec<[f32; 4]>,
}

/// What each feature is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Object ids.
    pub ids: Vec<String>,
    /// Class words.
    pub classes: Vec<String>,
    /// Names; empty when unnamed.
    pub names: Vec<String>,
    /// CIM levels; none in tilesets of others.
    pub levels: Vec<u8>,
}

/// Everything one tile draws.
#[derive(Clone, Debug, Default)]
pub struct TileMeshes {
    /// Materials.
    pub materials: Vec<DrawMaterial>,
    /// One mesh for each material that is used.
    pub meshes: Vec<DrawMesh>,
    /// Points.
    pub points: DrawPoints,
    /// Features.
    pub features: Features,
}

impl TileMeshes {
    /// Triangles of all meshes.
    pub fn triangles(&self) -> usize {
        self.meshes.iter().map(|mesh| mesh.indices.len() / 3).sum()
    }

    /// Bytes that vertices, indices and points take in memory.
    pub fn bytes(&self) -> usize {
        let meshes: usize = self.meshes.iter().map(|mesh| mesh.positions.len() * 52 + mesh.indices.len() * 4).sum();
        meshes + self.points.positions.len() * 28
    }
}

/// Reads the content of one tile.
///
/// A primitive that is damaged or of a kind that is not drawn (lines, strips) is an error: a tile is drawn whole or
/// reported.
pub fn load_tile(bytes: &[u8]) -> Result<TileMeshes, GlbError> {
    let glb = Glb::parse(bytes)?;
    let mut out = TileMeshes { features: features(&glb)?, ..TileMeshes::default() };
    out.materials = (0..glb.root.materials.len()).map(|index| material(&glb, index)).collect::<Result<_, _>>()?;
    let extras = glb.root.asset.extras.as_ref().and_then(|extras| serde_json::from_str::<Value>(extras.get()).ok());
    let follows_earth = extras.is_some_and(|extras| extras.get(FOLLOWS_EARTH) == Some(&Value::Bool(true)));
    let mut builder = Builder { glb: &glb, follows_earth, by_material: HashMap::new(), out: &mut out, triangles: 0 };
    for root in scene_roots(&glb.root) {
        builder.add_node(root, Mat4::IDENTITY, 0)?;
    }
    let mut meshes: Vec<DrawMesh> = builder.by_material.into_values().collect();
    meshes.sort_by_key(|mesh| mesh.material);
    meshes.iter_mut().for_each(DrawMesh::measure);
    out.meshes = meshes;
    Ok(out)
}

fn scene_roots(root: &Root) -> Vec<usize> {
    let scene = root.scene.map_or(0, |scene| scene.value());
    match root.scenes.get(scene) {
        Some(scene) => scene.nodes.iter().map(|node| node.value()).collect(),
        None => (0..root.nodes.len()).collect(),
    }
}

impl DrawMesh {
    /// Measures the box around it.
    pub fn measure(&mut self) {
        let nothing = (Vec3::INFINITY, Vec3::NEG_INFINITY);
        (self.min, self.max) = self.positions.iter().fold(nothing, |(min, max), position| {
            let position = Vec3::from_array(*position);
            (min.min(position), max.max(position))
        });
    }
}

/// One instance of a mesh.
struct Instance {
    transform: Mat4,
    colour: Vec4,
    feature: Option<u32>,
    /// Whether it is one of many of a model, so that the vertices are no places in the tile.
    is_model: bool,
}

struct Builder<'a, 'b> {
    glb: &'b Glb<'a>,
    follows_earth: bool,
    by_material: HashMap<usize, DrawMesh>,
    out: &'b mut TileMeshes,
    triangles: usize,
}

impl Builder<'_, '_> {
    /// A place in the plane of the city.
    fn in_plane(&self, place: [f32; 3]) -> Vec3 {
        let place = Vec3::from_array(place);
        let fall_m = if self.follows_earth { fall_m(Vec2::new(place.x, place.z)) } else { 0.0 };
        place + Vec3::Y * fall_m
    }

    fn add_node(&mut self, index: usize, parent: Mat4, depth: usize) -> Result<(), GlbError> {
        let fail = |reason| GlbError::Data { what: "node", index, reason };
        if depth > MAX_DEPTH {
            return Err(fail("is nested too deep"));
        }
        let glb = self.glb;
        let node = glb.root.nodes.get(index).ok_or_else(|| fail("does not exist"))?;
        let transform = parent * local_transform(node);
        if let Some(mesh_index) = node.mesh {
            let mesh = glb.root.meshes.get(mesh_index.value()).ok_or_else(|| fail("names a mesh that is not there"))?;
            let instances = self.instances(node, transform)?;
            for primitive in &mesh.primitives {
                self.add_primitive(primitive, &instances)?;
            }
        }
        for child in node.children.iter().flatten() {
            self.add_node(child.value(), transform, depth + 1)?;
        }
        Ok(())
    }

    fn instances(&self, node: &Node, transform: Mat4) -> Result<Vec<Instance>, GlbError> {
        let extension = node.extensions.as_ref().and_then(|e| e.others.get("EXT_mesh_gpu_instancing"));
        let Some(attributes) = extension.and_then(|e| e.get("attributes")) else {
            return Ok(vec![Instance { transform, colour: Vec4::ONE, feature: None, is_model: false }]);
        };
        let accessor = |name: &str| {
            let index = attributes.get(name).and_then(Value::as_u64)?;
            Some(Index::<gltf::json::Accessor>::new(u32::try_from(index).ok()?))
        };
        let translations = accessor("TRANSLATION").map(|a| self.glb.floats::<3>(a)).transpose()?.unwrap_or_default();
        let rotations = accessor("ROTATION").map(|a| self.glb.floats::<4>(a)).transpose()?.unwrap_or_default();
        let scales = accessor("SCALE").map(|a| self.glb.floats::<3>(a)).transpose()?.unwrap_or_default();
        let colours = accessor("_COLOR_0").map(|a| self.glb.floats::<4>(a)).transpose()?.unwrap_or_default();
        let features = accessor("_FEATURE_ID_0").map(|a| self.glb.integers(a)).transpose()?.unwrap_or_default();
        let count = translations.len().max(rotations.len()).max(scales.len());
        let at = |i: usize| {
            let translation = translations.get(i).copied().map_or(Vec3::ZERO, |place| self.in_plane(place));
            let rotation = rotations.get(i).copied().map_or(Quat::IDENTITY, Quat::from_array);
            let rotation = if rotation.length_squared() > 1e-6 { rotation.normalize() } else { Quat::IDENTITY };
            let scale = scales.get(i).copied().map_or(Vec3::ONE, Vec3::from_array);
            Instance {
                transform: transform * Mat4::from_scale_rotation_translation(scale, rotation, translation),
                colour: colours.get(i).copied().map_or(Vec4::ONE, Vec4::from_array),
                feature: features.get(i).copied(),
                is_model: true,
            }
        };
        Ok((0..count).map(at).collect())
    }

    fn add_primitive(&mut self, primitive: &Primitive, instances: &[Instance]) -> Result<(), GlbError> {
        let attribute = |semantic: Semantic| primitive.attributes.get(&Checked::Valid(semantic)).copied();
        let Some(positions) = attribute(Semantic::Positions) else { return Ok(()) };
        let mut positions = self.glb.floats::<3>(positions)?;
        // Places in the tile follow the Earth; the city is plane.
        if instances.iter().all(|instance| !instance.is_model) {
            positions.iter_mut().for_each(|place| *place = self.in_plane(*place).to_array());
        }
        let count = positions.len();
        let colours = match attribute(Semantic::Colors(0)) {
            None => Vec::new(),
            Some(accessor) if self.glb.components(accessor)? == 3 => {
                self.glb.floats::<3>(accessor)?.into_iter().map(|[r, g, b]| [r, g, b, 1.0]).collect()
            }
            Some(accessor) => self.glb.floats::<4>(accessor)?,
        };
        let material = primitive.material.map_or(usize::MAX, |m| m.value());
        if primitive.mode == Checked::Valid(Mode::Points) {
            return self.add_points(&positions, &colours, instances);
        }
        if primitive.mode != Checked::Valid(Mode::Triangles) {
            return Err(GlbError::Data { what: "mesh", index: 0, reason: "is of a mode that is not drawn" });
        }
        let indices = match primitive.indices {
            Some(accessor) => self.glb.integers(accessor)?,
            None => (0..count as u32).collect(),
        };
        let whole = indices.len() / 3 * 3;
        let indices = &indices[..whole];
        if indices.iter().any(|&index| index as usize >= count) {
            return Err(GlbError::Data { what: "mesh", index: 0, reason: "has indices beyond its vertices" });
        }
        self.triangles = self.triangles.saturating_add(indices.len() / 3 * instances.len());
        if self.triangles > MAX_TRIANGLES {
            return Err(GlbError::Data { what: "mesh", index: 0, reason: "has too many triangles for one tile" });
        }
        let normals = match attribute(Semantic::Normals) {
            Some(accessor) => self.glb.floats::<3>(accessor)?,
            None => Vec::new(),
        };
        let uvs = match attribute(Semantic::TexCoords(0)) {
            Some(accessor) => self.glb.floats::<2>(accessor)?,
            None => Vec::new(),
        };
        let features = match attribute(Semantic::Extras("FEATURE_ID_0".into())) {
            Some(accessor) => self.glb.integers(accessor)?,
            None => Vec::new(),
        };
        let normals = if normals.len() == count { normals } else { smooth_normals(&positions, indices) };
        let mesh = self.mesh_of(material);
        for instance in instances {
            let first = mesh.positions.len() as u32;
            let transform = instance.transform;
            let is_identity = transform == Mat4::IDENTITY;
            let normal_matrix = glam::Mat3::from_mat4(transform).inverse().transpose();
            for vertex in 0..count {
                let (position, normal) = (Vec3::from(positions[vertex]), Vec3::from(normals[vertex]));
                if is_identity {
                    mesh.positions.push(position.into());
                    mesh.normals.push(normal.into());
                } else {
                    mesh.positions.push(transform.transform_point3(position).into());
                    mesh.normals.push((normal_matrix * normal).normalize_or(Vec3::Y).into());
                }
                mesh.uvs.push(uvs.get(vertex).copied().unwrap_or_default());
                let colour = colours.get(vertex).copied().map_or(Vec4::ONE, Vec4::from_array);
                mesh.colours.push((colour * instance.colour).into());
                mesh.features.push(instance.feature.or_else(|| features.get(vertex).copied()).unwrap_or(NO_FEATURE));
            }
            // A mirrored instance turns its triangles inside out.
            if transform.determinant() < 0.0 {
                for triangle in indices.chunks_exact(3) {
                    mesh.indices.extend([triangle[0], triangle[2], triangle[1]].map(|i| first + i));
                }
            } else {
                mesh.indices.extend(indices.iter().map(|i| first + i));
            }
        }
        Ok(())
    }

    fn add_points(
        &mut self,
        positions: &[[f32; 3]],
        colours: &[[f32; 4]],
        instances: &[Instance],
    ) -> Result<(), GlbError> {
        for instance in instances {
            for (index, position) in positions.iter().enumerate() {
                self.out.points.positions.push(instance.transform.transform_point3((*position).into()).into());
                self.out.points.colours.push(colours.get(index).copied().unwrap_or([0.7, 0.7, 0.7, 1.0]));
            }
        }
        Ok(())
    }

    fn mesh_of(&mut self, material: usize) -> &mut DrawMesh {
        let material = if material < self.out.materials.len() {
            material
        } else {
            self.out.materials.push(DrawMaterial::default());
            self.out.materials.len() - 1
        };
        self.by_material.entry(material).or_insert_with(|| DrawMesh { material, ..DrawMesh::default() })
    }
}

fn local_transform(node: &Node) -> Mat4 {
    let matrix = match &node.matrix {
        Some(columns) => Mat4::from_cols_array(columns),
        None => Mat4::from_scale_rotation_translation(
            node.scale.map_or(Vec3::ONE, Vec3::from_array),
            node.rotation.map_or(Quat::IDENTITY, |rotation| Quat::from_array(rotation.0)),
            node.translation.map_or(Vec3::ZERO, Vec3::from_array),
        ),
    };
    if matrix.is_finite() { matrix } else { Mat4::IDENTITY }
}

/// Normals of a mesh that brought none: the sum of its triangles' at each vertex.
pub fn smooth_normals(positions: &[[f32; 3]], indices: &[u32]) -> Vec<[f32; 3]> {
    let mut sums = vec![Vec3::ZERO; positions.len()];
    for triangle in indices.chunks_exact(3) {
        let [a, b, c] = [0, 1, 2].map(|k| Vec3::from(positions[triangle[k] as usize]));
        let normal = (b - a).cross(c - a);
        for &corner in triangle {
            sums[corner as usize] += normal;
        }
    }
    sums.into_iter().map(|sum| sum.normalize_or(Vec3::Y).into()).collect()
}

fn material(glb: &Glb<'_>, index: usize) -> Result<DrawMaterial, GlbError> {
    let material = &glb.root.materials[index];
    let pbr = &material.pbr_metallic_roughness;
    let texture = match &pbr.base_color_texture {
        None => None,
        Some(info) => image_bytes(glb, info.index.value())?,
    };
    Ok(DrawMaterial {
        name: material.name.clone().unwrap_or_default(),
        base_colour: pbr.base_color_factor.0,
        roughness: pbr.roughness_factor.0,
        texture,
        double_sided: material.double_sided,
    })
}

fn image_bytes(glb: &Glb<'_>, texture: usize) -> Result<Option<Vec<u8>>, GlbError> {
    let fail = |reason| GlbError::Data { what: "texture", index: texture, reason };
    let texture = glb.root.textures.get(texture).ok_or_else(|| fail("does not exist"))?;
    let image = glb.root.images.get(texture.source.value()).ok_or_else(|| fail("has no image"))?;
    image.buffer_view.map(|view| glb.view(view.value()).map(<[u8]>::to_vec)).transpose()
}

#[cfg(test)]
mod tests {
    use glam::Vec2;
    use groundline_engine::tile::glb::{
        FeatureTable, Material, TileContent, TileInstances, TileMesh, TilePoints, write_glb,
    };

    use super::*;

    fn material(name: &str) -> Material {
        Material {
            name: name.into(),
            base_colour: [0.5, 0.4, 0.3, 1.0],
            metallic: 0.0,
            roughness: 0.8,
            texture: None,
            double_sided: false,
        }
    }

    fn triangle(material: usize, feature: Option<u32>) -> TileMesh {
        TileMesh {
            material,
            positions: vec![Vec3::ZERO, Vec3::new(2.0, 0.0, 0.0), Vec3::new(0.0, 3.0, 4.0)],
            normals: vec![Vec3::Z; 3],
            uvs: vec![Vec2::ZERO, Vec2::X, Vec2::Y],
            colours: vec![[255, 0, 0, 255]; 3],
            features: feature.map_or_else(Vec::new, |feature| vec![feature; 3]),
            indices: vec![0, 1, 2],
        }
    }

    fn content() -> TileContent {
        TileContent {
            materials: vec![material("facade_office"), material("tree")],
            meshes: vec![triangle(0, Some(1))],
            instances: vec![TileInstances {
                mesh: triangle(1, None),
                translations: vec![Vec3::new(10.0, 20.0, 30.0), Vec3::new(-5.0, 0.0, 0.0)],
                rotations: vec![Quat::IDENTITY, Quat::from_rotation_z(std::f32::consts::FRAC_PI_2)],
                scales: vec![Vec3::ONE, Vec3::new(1.0, 1.0, 2.0)],
                colours: vec![[255; 4], [0, 255, 0, 255]],
                features: vec![0, 2],
            }],
            points: Some(TilePoints { positions: vec![Vec3::new(1.0, 2.0, 3.0)], colours: vec![[255, 255, 255]] }),
            features: FeatureTable {
                ids: vec!["trees/1".into(), "建筑/2".into(), "trees/3".into()],
                classes: vec!["tree", "building", "tree"],
                names: vec![String::new(), "海湾中心".into(), String::new()],
                levels: vec![4, 2, 4],
                ..FeatureTable::default()
            },
        }
    }

    /// Places are rounded to half a millimetre.
    fn is_near(found: [f32; 3], wanted: [f32; 3]) -> bool {
        Vec3::from(found).distance(wanted.into()) < 3e-4
    }

    #[test]
    fn what_the_engine_writes_is_read_back() {
        let tile = load_tile(&write_glb(&content())).expect("own files are readable");
        assert_eq!(tile.features.ids, ["trees/1", "建筑/2", "trees/3"]);
        assert_eq!(tile.features.classes[1], "building");
        assert_eq!(tile.features.names[1], "海湾中心");
        assert_eq!(tile.features.levels, [4, 2, 4]);
        assert_eq!(tile.meshes.len(), 2, "one mesh a material, instances expanded");
        let (facade, trees) = (&tile.meshes[0], &tile.meshes[1]);
        assert_eq!(tile.materials[facade.material].name, "facade_office");
        // City (x, y, z) is (x, z, -y) in render axes.
        assert!(is_near(facade.positions[2], [0.0, 4.0, -3.0]));
        assert_eq!(facade.features, [1, 1, 1]);
        assert_eq!(facade.colours[0], [1.0, 0.0, 0.0, 1.0]);
        assert_eq!((trees.positions.len(), trees.indices.len()), (6, 6));
        assert!(is_near(trees.positions[0], [10.0, 30.0, -20.0]));
        assert_eq!(trees.features, [0, 0, 0, 2, 2, 2]);
        // The second tree is turned by 90° about the vertical and twice as high: (0, 3, 4) becomes (-8, 0, 8).
        let top = Vec3::from(trees.positions[5]);
        assert!(top.distance(Vec3::new(-8.0, 8.0, 0.0)) < 3e-4, "{top}");
        assert!(trees.colours[3][1] < 0.01, "colours of mesh and instance multiply");
        assert!(tile.points.positions.len() == 1 && is_near(tile.points.positions[0], [1.0, 3.0, -2.0]));
        assert_eq!(tile.triangles(), 3);
    }

    /// Enough walls for their data to be compressed.
    fn many() -> TileContent {
        let mut mesh = TileMesh::default();
        for wall in 0..60_u32 {
            let at = Vec3::new(wall as f32 * 7.5, wall as f32 * -3.25, 0.5);
            for (u, v) in [(0.0, 0.0), (6.0, 0.0), (6.0, 9.0), (0.0, 9.0)] {
                mesh.positions.push(at + Vec3::new(u, 0.0, v));
                mesh.normals.push(Vec3::NEG_Y);
                mesh.features.push(wall % 3);
            }
            mesh.indices.extend([0, 1, 2, 0, 2, 3].map(|k| wall * 4 + k));
        }
        TileContent { meshes: vec![mesh], ..content() }
    }

    #[test]
    fn compressed_data_are_what_they_were() {
        let bytes = write_glb(&many());
        assert!(bytes.windows(4).any(|w| w == b"EXT_"));
        let tile = load_tile(&bytes).expect("own files are readable");
        let walls = &tile.meshes[0];
        assert_eq!((walls.positions.len(), walls.indices.len()), (240, 360));
        // City (x, y, z) is (x, z, -y) in render axes; the Earth has fallen by 2 cm there, which is taken back.
        assert!(is_near(walls.positions[4 * 59 + 2], [59.0 * 7.5 + 6.0, 9.5, 59.0 * 3.25]));
        assert!(walls.normals.iter().all(|n| Vec3::from(*n).distance(Vec3::Z) < 1e-6));
        assert!(walls.features.iter().enumerate().all(|(k, id)| *id == (k as u32 / 4) % 3));
        let corners: Vec<u32> = walls.indices.iter().map(|i| i / 4).collect();
        assert!(corners.chunks_exact(6).enumerate().all(|(wall, six)| six.iter().all(|w| *w == wall as u32)));
    }

    #[test]
    fn damaged_compressed_data_do_no_harm() {
        let bytes = write_glb(&many());
        let start = bytes.windows(4).position(|w| w == b"BIN\0").expect("a binary chunk") + 4;
        let mut refused = 0;
        for at in (start..bytes.len()).step_by(3) {
            for mask in [1, 0x80, 0xff] {
                let mut wild = bytes.clone();
                wild[at] ^= mask;
                refused += usize::from(load_tile(&wild).is_err());
            }
        }
        assert!(refused > 20, "{refused}");
    }

    #[test]
    fn cut_files_are_errors_and_never_more() {
        for bytes in [write_glb(&content()), write_glb(&many())] {
            for length in (0..bytes.len() - 1).step_by(7) {
                assert!(load_tile(&bytes[..length]).is_err(), "cut at {length}");
            }
        }
    }

    #[test]
    fn wild_numbers_do_no_harm() {
        let bytes = write_glb(&many());
        let json_length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        let json = String::from_utf8(bytes[20..20 + json_length].to_vec()).unwrap();
        let mut refused = 0;
        for (position, _) in json.match_indices(|c: char| c.is_ascii_digit()) {
            for digit in [b'9', b'0'] {
                let mut wild = bytes.clone();
                wild[20 + position] = digit;
                // Whatever comes of it, it comes without a panic and without gigabytes.
                refused += usize::from(load_tile(&wild).is_err());
            }
        }
        assert!(refused > 20, "{refused}");
        assert!(load_tile(b"").is_err());
        assert!(load_tile(b"glTF\x02\0\0\0").is_err());
    }
}
