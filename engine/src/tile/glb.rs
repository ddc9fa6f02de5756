//! Tile content as GLB: meshes, instances and points with feature ids and a property table.
//!
//! Coordinates here are metres from the tile's origin, x east, y north, z up; the writer turns them to
//! glTF's y-up. Vertex data are f32: the only place where the engine has them. They are rounded to half a millimetre
//! (2⁻¹¹ m), or to what f32 has beyond four kilometres, and compressed where that saves anything.
//!
//! What is written, for whoever reads the tiles:
//! - vertex (x, y, z) becomes (x, z, -y); the implicit turn of 3D Tiles (y-up to z-up) restores it;
//! - `COLOR_0` and `_COLOR_0` are normalized u8 and **linear**, as glTF asks, though colours here are sRGB;
//! - `_FEATURE_ID_0` is u16 (padded to four bytes) up to 65 536 features and f32 above;
//! - instances of a model are one node for each of a few colours, or one with `_COLOR_0`, with `EXT_mesh_gpu_instancing` (`TRANSLATION`,
//!   `ROTATION`, `SCALE`, `_FEATURE_ID_0`) and `EXT_instance_features`;
//! - points are a primitive of mode 0 with an unlit material;
//! - normals are bytes (`KHR_mesh_quantization`); vertex data, instances and indices are compressed
//!   (`EXT_meshopt_compression`, without a fallback).

use glam::{Quat, Vec2, Vec3};
use serde_json::{Map, Value, json};

pub use super::content::{FeatureTable, Material, PipeShape, TileContent, TileInstances, TileMesh, TilePoints};
use super::{
    content::tinted,
    meshopt::{self, Filter},
    table,
};

/// The content as one GLB file (glTF 2.0 binary). Same content, same bytes.
///
/// Meshes without triangles, instances without places and empty point sets are left out. Indices, normals,
/// colours and features that do not fit the positions are left out too: what is written is always valid.
pub fn write_glb(content: &TileContent) -> Vec<u8> {
    Writer::new(content).write()
}

const ARRAY_BUFFER: u32 = 34962;
const ELEMENT_ARRAY_BUFFER: u32 = 34963;
const BYTE: u32 = 5120;
const UNSIGNED_BYTE: u32 = 5121;
const UNSIGNED_SHORT: u32 = 5123;
const UNSIGNED_INT: u32 = 5125;
const FLOAT: u32 = 5126;

const PACKED: &str = "EXT_meshopt_compression";
const QUANTIZED: &str = "KHR_mesh_quantization";

/// Places are multiples of 2⁻¹¹ m, texture coordinates of 2⁻¹⁴, turns of 2⁻²⁰, as long as 24 bits hold them.
const FINEST_PLACE: i32 = 11;
const FINEST_UV: i32 = 14;
const FINEST_TURN: i32 = 20;
/// What takes so few bytes is not compressed.
const LEAST_PACKED: usize = 256;

/// z-up to glTF's y-up.
/// Colours of a model's instances in a tile up to which each gets a node of its own.
const MOST_TINTS: usize = 8;

/// In the extras of a GLB's asset: whether its places are lower than in the plane of the city by [`fall_m`]. Those of earlier releases are not.
pub const FOLLOWS_EARTH: &str = "follows_earth";

/// Twice the radius with which tiles follow the Earth, metres. Its curvature differs from this mean by 0.5 % at most.
const TWICE_EARTH_RADIUS_M: f32 = 2.0 * 6_371_000.0;

/// How far the Earth has fallen away below the plane of a tile, metres, at a place so many metres aside of the tile's origin: 1 cm at
/// 350 m. Places in a GLB are lower by that than in the city, which is plane.
pub fn fall_m(aside: Vec2) -> f32 {
    aside.length_squared() / TWICE_EARTH_RADIUS_M
}

/// A place in the plane of the city as it lies on the Earth.
fn on_earth(v: Vec3) -> Vec3 {
    v - Vec3::Z * fall_m(v.truncate())
}

fn gltf_from_tile(v: Vec3) -> Vec3 {
    Vec3::new(v.x, v.z, -v.y)
}

/// A scale has no sign to turn, only its axes change places.
fn gltf_scale_from_tile(v: Vec3) -> Vec3 {
    Vec3::new(v.x, v.z, v.y)
}

fn gltf_quat_from_tile(q: Quat) -> Quat {
    let q = if q.is_finite() && q.length_squared() > 1e-12 { q.normalize() } else { Quat::IDENTITY };
    Quat::from_xyzw(q.x, q.z, -q.y, q.w)
}

/// sRGB byte to linear byte, as glTF wants its vertex colours.
pub(crate) fn linear_from_srgb(byte: u8) -> u8 {
    let s = f32::from(byte) / 255.0;
    let linear = if s <= 0.04045 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) };
    (linear * 255.0 + 0.5) as u8
}

struct Writer<'a> {
    content: &'a TileContent,
    linear: [u8; 256],
    bin: Vec<u8>,
    views: Vec<Value>,
    accessors: Vec<Value>,
    meshes: Vec<Value>,
    nodes: Vec<Value>,
    extensions: Vec<&'static str>,
    /// Bytes of the compressed views when they are unpacked.
    unpacked: usize,
}

/// Elements of a view: as they are read, and as they are compressed where a filter makes them easier to.
struct Elements {
    bytes: Vec<u8>,
    filtered: Option<(Vec<u8>, Filter)>,
    stride: usize,
}

impl Elements {
    fn plain(bytes: Vec<u8>, stride: usize) -> Self {
        Self { bytes, filtered: None, stride }
    }

    /// Numbers of `stride` bytes an element, rounded to multiples of 2^-`finest`, or of the power of two above it that
    /// 24 bits can hold.
    fn rounded(values: &mut [f32], stride: usize, finest: i32) -> Self {
        let greatest = values.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        let mut exponent = -finest;
        while f64::from(greatest) * f64::from(-exponent).exp2() >= f64::from(1 << 23) - 1.0 && exponent < 100 {
            exponent += 1;
        }
        let (step, steps) = (f64::from(exponent).exp2(), f64::from(-exponent).exp2());
        let (mut bytes, mut filtered) = (Vec::new(), Vec::new());
        for value in values {
            let mantissa = (f64::from(*value) * steps).round() as i32;
            *value = (f64::from(mantissa) * step) as f32;
            bytes.extend(value.to_le_bytes());
            let [a, b, c, _] = mantissa.to_le_bytes();
            filtered.extend([a, b, c, exponent as i8 as u8]);
        }
        Self { bytes, filtered: Some((filtered, Filter::Exponential)), stride }
    }

    /// Unit vectors as four signed bytes each, of which three are read.
    fn unit(vectors: impl Iterator<Item = Vec3>) -> Self {
        let (mut bytes, mut filtered) = (Vec::new(), Vec::new());
        for v in vectors {
            let round = |n: f32| (n * 127.0).round() as i8 as u8;
            bytes.extend([round(v.x), round(v.y), round(v.z), 0]);
            let sum = v.abs().element_sum();
            let (x, y) = (v.x / sum, v.y / sum);
            let folded = |own: f32, other: f32| (1.0 - other.abs()) * if own >= 0.0 { 1.0 } else { -1.0 };
            let (x, y) = if v.z >= 0.0 { (x, y) } else { (folded(x, y), folded(y, x)) };
            filtered.extend([round(x), round(y), 127, 0]);
        }
        Self { bytes, filtered: Some((filtered, Filter::Octahedral)), stride: 4 }
    }
}

impl<'a> Writer<'a> {
    fn new(content: &'a TileContent) -> Self {
        let mut linear = [0; 256];
        for (byte, value) in linear.iter_mut().enumerate() {
            *value = linear_from_srgb(byte as u8);
        }
        Self {
            content,
            linear,
            bin: Vec::new(),
            views: Vec::new(),
            accessors: Vec::new(),
            meshes: Vec::new(),
            nodes: Vec::new(),
            extensions: Vec::new(),
            unpacked: 0,
        }
    }

    fn write(mut self) -> Vec<u8> {
        let content = self.content;
        let primitives: Vec<Value> = content.meshes.iter().filter_map(|mesh| self.primitive(mesh, true)).collect();
        if !primitives.is_empty() {
            self.add_node(primitives, None);
        }
        for instances in &content.instances {
            self.add_instances(instances);
        }
        let has_points = content.points.as_ref().is_some_and(|points| self.add_points(points));
        let (materials, textures, images) = self.materials(has_points);
        let metadata = self.structural_metadata();

        let mut root = Map::new();
        let extras = json!({FOLLOWS_EARTH: true});
        root.insert("asset".into(), json!({"version": "2.0", "generator": "Groundline", "extras": extras}));
        let insert_list = |root: &mut Map<String, Value>, key: &str, list: Vec<Value>| {
            if !list.is_empty() {
                root.insert(key.into(), Value::Array(list));
            }
        };
        root.insert("scene".into(), json!(0));
        let scene =
            if self.nodes.is_empty() { json!({}) } else { json!({"nodes": (0..self.nodes.len()).collect::<Vec<_>>()}) };
        insert_list(&mut root, "scenes", vec![scene]);
        insert_list(&mut root, "nodes", self.nodes);
        insert_list(&mut root, "meshes", self.meshes);
        insert_list(&mut root, "materials", materials);
        if !textures.is_empty() {
            let sampler = json!({"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497});
            insert_list(&mut root, "samplers", vec![sampler]);
        }
        insert_list(&mut root, "textures", textures);
        insert_list(&mut root, "images", images);
        insert_list(&mut root, "accessors", self.accessors);
        insert_list(&mut root, "bufferViews", self.views);
        while !self.bin.len().is_multiple_of(8) {
            self.bin.push(0);
        }
        if !self.bin.is_empty() {
            let mut buffers = vec![json!({"byteLength": self.bin.len()})];
            if self.unpacked > 0 {
                // Where unpacked views lie in memory; there is no such file.
                let extensions = json!({PACKED: {"fallback": true}});
                buffers.push(json!({"byteLength": self.unpacked, "extensions": extensions}));
                self.extensions.push(PACKED);
            }
            insert_list(&mut root, "buffers", buffers);
        }
        if let Some(metadata) = metadata {
            self.extensions.push("EXT_structural_metadata");
            root.insert("extensions".into(), json!({"EXT_structural_metadata": metadata}));
        }
        self.extensions.sort_unstable();
        self.extensions.dedup();
        insert_list(&mut root, "extensionsUsed", self.extensions.iter().map(|e| json!(e)).collect());
        let is_required = |e: &&&str| matches!(**e, "EXT_mesh_gpu_instancing" | PACKED | QUANTIZED);
        let required = self.extensions.iter().filter(is_required).map(|e| json!(e)).collect();
        insert_list(&mut root, "extensionsRequired", required);
        pack(&Value::Object(root).to_string(), self.bin)
    }

    /// A buffer view of `bytes`, aligned to 8 as property tables ask. Never called with no bytes.
    fn add_view(&mut self, bytes: &[u8], stride: Option<usize>, target: Option<u32>) -> usize {
        while !self.bin.len().is_multiple_of(8) {
            self.bin.push(0);
        }
        let mut view = Map::new();
        view.insert("buffer".into(), json!(0));
        view.insert("byteOffset".into(), json!(self.bin.len()));
        view.insert("byteLength".into(), json!(bytes.len()));
        if let Some(stride) = stride {
            view.insert("byteStride".into(), json!(stride));
        }
        if let Some(target) = target {
            view.insert("target".into(), json!(target));
        }
        self.bin.extend_from_slice(bytes);
        self.views.push(Value::Object(view));
        self.views.len() - 1
    }

    /// A view of elements, compressed where that saves anything.
    fn add_elements(&mut self, elements: &Elements, target: Option<u32>) -> usize {
        let Elements { bytes, filtered, stride } = elements;
        let byte_stride = target.map(|_| *stride);
        if bytes.len() < LEAST_PACKED {
            return self.add_view(bytes, byte_stride, target);
        }
        let (to_pack, filter) = filtered.as_ref().map_or((bytes, Filter::None), |(bytes, filter)| (bytes, *filter));
        let packed = meshopt::vertices(to_pack, *stride);
        if packed.len() >= bytes.len() {
            return self.add_view(bytes, byte_stride, target);
        }
        let mut said = json!({"byteStride": stride, "count": bytes.len() / stride, "mode": "ATTRIBUTES"});
        if filter != Filter::None {
            said["filter"] = json!(filter.word());
        }
        self.add_packed(&packed, said, bytes.len(), byte_stride, target)
    }

    fn add_packed(
        &mut self,
        packed: &[u8],
        mut said: Value,
        unpacked: usize,
        stride: Option<usize>,
        target: Option<u32>,
    ) -> usize {
        let view = self.add_view(packed, stride, target);
        let value = &mut self.views[view];
        said["buffer"] = json!(0);
        said["byteOffset"] = value["byteOffset"].clone();
        said["byteLength"] = json!(packed.len());
        value["buffer"] = json!(1);
        value["byteOffset"] = json!(self.unpacked);
        value["byteLength"] = json!(unpacked);
        value["extensions"] = json!({PACKED: said});
        self.unpacked = (self.unpacked + unpacked).next_multiple_of(8);
        view
    }

    fn add_accessor(&mut self, view: usize, component: u32, kind: &str, count: usize, normalized: bool) -> usize {
        let mut accessor = json!({"bufferView": view, "componentType": component, "type": kind, "count": count});
        if normalized {
            accessor["normalized"] = json!(true);
        }
        self.accessors.push(accessor);
        self.accessors.len() - 1
    }

    /// Places; `bounds` writes min and max, which positions must have.
    fn add_vec3(&mut self, values: impl Iterator<Item = Vec3>, target: Option<u32>, bounds: bool) -> usize {
        let finite = |value: Vec3| if value.is_finite() { value } else { Vec3::ZERO };
        let mut numbers: Vec<f32> = values.flat_map(|value| finite(value).to_array()).collect();
        let elements = Elements::rounded(&mut numbers, 12, FINEST_PLACE);
        let view = self.add_elements(&elements, target);
        let accessor = self.add_accessor(view, FLOAT, "VEC3", numbers.len() / 3, false);
        if bounds {
            let places = || numbers.chunks_exact(3).map(Vec3::from_slice);
            self.accessors[accessor]["min"] = json!(places().fold(Vec3::INFINITY, Vec3::min).to_array());
            self.accessors[accessor]["max"] = json!(places().fold(Vec3::NEG_INFINITY, Vec3::max).to_array());
        }
        accessor
    }

    fn add_colours(&mut self, colours: impl Iterator<Item = [u8; 4]>, target: Option<u32>) -> usize {
        let linear = self.linear;
        let to_linear = |[r, g, b, a]: [u8; 4]| {
            let [r, g, b] = [r, g, b].map(|c| linear[usize::from(c)]);
            [r, g, b, a]
        };
        let bytes: Vec<u8> = colours.flat_map(to_linear).collect();
        let count = bytes.len() / 4;
        let view = self.add_elements(&Elements::plain(bytes, 4), target);
        self.add_accessor(view, UNSIGNED_BYTE, "VEC4", count, true)
    }

    /// Vertex attributes may not be u32, so ids beyond u16 are f32, which is exact up to 2^24.
    fn add_feature_ids(&mut self, ids: &[u32], target: Option<u32>) -> usize {
        let fits_u16 = ids.iter().all(|id| *id <= u32::from(u16::MAX));
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for id in ids {
            let padded_u16_or_f32 = if fits_u16 { id.to_le_bytes() } else { (*id as f32).to_le_bytes() };
            bytes.extend_from_slice(&padded_u16_or_f32);
        }
        let view = self.add_elements(&Elements::plain(bytes, 4), Some(target.unwrap_or(ARRAY_BUFFER)));
        self.add_accessor(view, if fits_u16 { UNSIGNED_SHORT } else { FLOAT }, "SCALAR", ids.len(), false)
    }

    fn feature_count(ids: &[u32]) -> usize {
        let mut unique = ids.to_vec();
        unique.sort_unstable();
        unique.dedup();
        unique.len()
    }

    fn feature_ids(&self, ids: &[u32]) -> Value {
        let mut value = json!({"featureCount": Self::feature_count(ids), "attribute": 0});
        if !self.content.features.ids.is_empty() {
            value["propertyTable"] = json!(0);
        }
        json!({"featureIds": [value]})
    }

    /// `is_placed`: whether its vertices are places in the tile, not those of a model that stands in many places.
    fn primitive(&mut self, mesh: &TileMesh, is_placed: bool) -> Option<Value> {
        let count = mesh.positions.len();
        let indices: Vec<u32> = mesh
            .indices
            .chunks_exact(3)
            .filter(|triangle| triangle.iter().all(|i| (*i as usize) < count))
            .flatten()
            .copied()
            .collect();
        if indices.is_empty() {
            return None;
        }
        let mut attributes = Map::new();
        let target = Some(ARRAY_BUFFER);
        let place = |v: &Vec3| gltf_from_tile(if is_placed { on_earth(*v) } else { *v });
        let positions = self.add_vec3(mesh.positions.iter().map(place), target, true);
        attributes.insert("POSITION".into(), json!(positions));
        if mesh.normals.len() == count {
            let normals = mesh.normals.iter().map(|n| gltf_from_tile(n.try_normalize().unwrap_or(Vec3::Z)));
            let view = self.add_elements(&Elements::unit(normals), target);
            let normals = self.add_accessor(view, BYTE, "VEC3", count, true);
            self.extensions.push(QUANTIZED);
            attributes.insert("NORMAL".into(), json!(normals));
        }
        if mesh.uvs.len() == count {
            let mut numbers: Vec<f32> = mesh.uvs.iter().flat_map(|uv| uv.to_array()).collect();
            let view = self.add_elements(&Elements::rounded(&mut numbers, 8, FINEST_UV), target);
            attributes.insert("TEXCOORD_0".into(), json!(self.add_accessor(view, FLOAT, "VEC2", count, false)));
        }
        if mesh.colours.len() == count {
            attributes.insert("COLOR_0".into(), json!(self.add_colours(mesh.colours.iter().copied(), target)));
        }
        let has_features = mesh.features.len() == count;
        if has_features {
            attributes.insert("_FEATURE_ID_0".into(), json!(self.add_feature_ids(&mesh.features, target)));
        }
        let indices = self.add_indices(&indices, count);
        let mut primitive = json!({"attributes": attributes, "indices": indices, "mode": 4});
        if mesh.material < self.content.materials.len() {
            primitive["material"] = json!(mesh.material);
        }
        if has_features {
            self.extensions.push("EXT_mesh_features");
            primitive["extensions"] = json!({"EXT_mesh_features": self.feature_ids(&mesh.features)});
        }
        Some(primitive)
    }

    /// 65 535 is kept free: glTF reserves the highest index of a type.
    fn add_indices(&mut self, indices: &[u32], vertices: usize) -> usize {
        let is_short = vertices <= usize::from(u16::MAX);
        let bytes: Vec<u8> = if is_short {
            indices.iter().flat_map(|i| (*i as u16).to_le_bytes()).collect()
        } else {
            indices.iter().flat_map(|i| i.to_le_bytes()).collect()
        };
        let stride = if is_short { 2 } else { 4 };
        let packed = if bytes.len() < LEAST_PACKED { Vec::new() } else { meshopt::triangles(indices) };
        let view = if packed.is_empty() || packed.len() >= bytes.len() {
            self.add_view(&bytes, None, Some(ELEMENT_ARRAY_BUFFER))
        } else {
            let said = json!({"byteStride": stride, "count": indices.len(), "mode": "TRIANGLES"});
            self.add_packed(&packed, said, bytes.len(), None, Some(ELEMENT_ARRAY_BUFFER))
        };
        self.add_accessor(view, if is_short { UNSIGNED_SHORT } else { UNSIGNED_INT }, "SCALAR", indices.len(), false)
    }

    fn add_node(&mut self, primitives: Vec<Value>, extensions: Option<Value>) {
        self.meshes.push(json!({"primitives": primitives}));
        let mut node = json!({"mesh": self.meshes.len() - 1});
        if let Some(extensions) = extensions {
            node["extensions"] = extensions;
        }
        self.nodes.push(node);
    }

    /// Instances of few colours become nodes of one colour each, with that colour at the vertices: readers of other people do not know
    /// colours of instances.
    fn add_instances(&mut self, instances: &TileInstances) {
        let mut tints: Vec<[u8; 4]> = Vec::new();
        for tint in &instances.colours {
            if tints.len() <= MOST_TINTS && !tints.contains(tint) {
                tints.push(*tint);
            }
        }
        if instances.colours.len() != instances.translations.len() || tints.len() > MOST_TINTS {
            self.add_instances_of_colours(instances);
            return;
        }
        for tint in tints {
            self.add_instances_of_colours(&tinted(instances, tint));
        }
    }

    fn add_instances_of_colours(&mut self, instances: &TileInstances) {
        let count = instances.translations.len();
        if count == 0 {
            return;
        }
        let Some(primitive) = self.primitive(&instances.mesh, false) else { return };
        let mut attributes = Map::new();
        let places = self.add_vec3(instances.translations.iter().map(|v| gltf_from_tile(on_earth(*v))), None, false);
        attributes.insert("TRANSLATION".into(), json!(places));
        if instances.rotations.len() == count {
            let turns = instances.rotations.iter().flat_map(|q| gltf_quat_from_tile(*q).to_array());
            let mut numbers: Vec<f32> = turns.collect();
            let view = self.add_elements(&Elements::rounded(&mut numbers, 16, FINEST_TURN), None);
            attributes.insert("ROTATION".into(), json!(self.add_accessor(view, FLOAT, "VEC4", count, false)));
        }
        if instances.scales.len() == count {
            let scales = self.add_vec3(instances.scales.iter().map(|v| gltf_scale_from_tile(*v)), None, false);
            attributes.insert("SCALE".into(), json!(scales));
        }
        if instances.colours.len() == count {
            attributes.insert("_COLOR_0".into(), json!(self.add_colours(instances.colours.iter().copied(), None)));
        }
        let mut extensions = Map::new();
        if instances.features.len() == count {
            let ids = self.add_feature_ids(&instances.features, None);
            attributes.insert("_FEATURE_ID_0".into(), json!(ids));
        }
        extensions.insert("EXT_mesh_gpu_instancing".into(), json!({"attributes": attributes}));
        self.extensions.push("EXT_mesh_gpu_instancing");
        if instances.features.len() == count {
            extensions.insert("EXT_instance_features".into(), self.feature_ids(&instances.features));
            self.extensions.push("EXT_instance_features");
        }
        self.add_node(vec![primitive], Some(Value::Object(extensions)));
    }

    fn add_points(&mut self, points: &TilePoints) -> bool {
        let count = points.positions.len();
        if count == 0 {
            return false;
        }
        let target = Some(ARRAY_BUFFER);
        let positions = self.add_vec3(points.positions.iter().map(|v| gltf_from_tile(on_earth(*v))), target, true);
        let mut attributes = json!({"POSITION": positions});
        if points.colours.len() == count {
            let colours = self.add_colours(points.colours.iter().map(|[r, g, b]| [*r, *g, *b, 255]), target);
            attributes["COLOR_0"] = json!(colours);
        }
        let material = self.content.materials.len();
        self.add_node(vec![json!({"attributes": attributes, "mode": 0, "material": material})], None);
        true
    }

    fn materials(&mut self, has_points: bool) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
        let (mut materials, mut textures, mut images) = (Vec::new(), Vec::new(), Vec::new());
        for material in &self.content.materials {
            let mut pbr = json!({
                "baseColorFactor": material.base_colour.map(|c| c.clamp(0.0, 1.0)),
                "metallicFactor": material.metallic.clamp(0.0, 1.0),
                "roughnessFactor": material.roughness.clamp(0.0, 1.0),
            });
            if let Some(encoded) = material.texture.as_ref().filter(|t| !t.is_empty()) {
                let mime = if encoded.starts_with(&[0xff, 0xd8]) { "image/jpeg" } else { "image/png" };
                let view = self.add_view(encoded, None, None);
                images.push(json!({"bufferView": view, "mimeType": mime}));
                textures.push(json!({"sampler": 0, "source": images.len() - 1}));
                pbr["baseColorTexture"] = json!({"index": textures.len() - 1});
            }
            let mut value = json!({"name": material.name, "pbrMetallicRoughness": pbr});
            if material.base_colour[3] < 1.0 {
                value["alphaMode"] = json!("BLEND");
            }
            if material.double_sided {
                value["doubleSided"] = json!(true);
            }
            materials.push(value);
        }
        if has_points {
            self.extensions.push("KHR_materials_unlit");
            materials.push(json!({
                "name": "points",
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
                "extensions": {"KHR_materials_unlit": {}},
            }));
        }
        (materials, textures, images)
    }

    /// The property table of the features, and the schema that says what its columns mean.
    fn structural_metadata(&mut self) -> Option<Value> {
        let content = self.content;
        let features = &content.features;
        let count = features.ids.len();
        if count == 0 {
            return None;
        }
        let columns = table::columns(features);
        let (mut properties, mut values) = (Map::new(), Map::new());
        for column in &columns {
            properties.insert(column.name.into(), column.property());
            if let Some(value) = self.add_column(&column.values) {
                values.insert(column.name.into(), value);
            }
        }
        Some(json!({
            "schema": {
                "id": "groundline",
                "classes": {"object": {"name": "City object", "properties": properties}},
            },
            "propertyTables": [{"name": "objects", "class": "object", "count": count, "properties": values}],
        }))
    }

    /// `None` when there is nothing in it: a buffer view cannot be empty, and an absent column means just that.
    fn add_column(&mut self, values: &table::Values) -> Option<Value> {
        match values {
            table::Values::Texts(texts) => {
                let (text, offsets) = table::joined(texts);
                if text.is_empty() {
                    return None;
                }
                let text = self.add_view(&text, None, None);
                let offsets = self.add_view(&offsets, None, None);
                Some(json!({"values": text, "stringOffsets": offsets, "stringOffsetType": "UINT32"}))
            }
            table::Values::Plain(bytes) if bytes.is_empty() => None,
            table::Values::Plain(bytes) => Some(json!({"values": self.add_view(bytes, None, None)})),
            table::Values::Lists(bytes, _) if bytes.is_empty() => None,
            table::Values::Lists(bytes, offsets) => {
                let values = self.add_view(bytes, None, None);
                let offsets: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
                let offsets = self.add_view(&offsets, None, None);
                Some(json!({"values": values, "arrayOffsets": offsets, "arrayOffsetType": "UINT32"}))
            }
        }
    }
}

/// Header, JSON chunk padded with spaces, binary chunk already padded (glTF 2.0, chapter 4).
fn pack(json: &str, bin: Vec<u8>) -> Vec<u8> {
    let mut json = json.as_bytes().to_vec();
    // The binary chunk starts on a multiple of 8, so that what is aligned in it is aligned in the file.
    while !(20 + json.len() + 8).is_multiple_of(8) {
        json.push(b' ');
    }
    let bin_chunk = if bin.is_empty() { 0 } else { 8 + bin.len() };
    let total = 12 + 8 + json.len() + bin_chunk;
    let mut glb = Vec::with_capacity(total);
    glb.extend_from_slice(b"glTF");
    glb.extend_from_slice(&2u32.to_le_bytes());
    glb.extend_from_slice(&(total as u32).to_le_bytes());
    glb.extend_from_slice(&(json.len() as u32).to_le_bytes());
    glb.extend_from_slice(b"JSON");
    glb.extend_from_slice(&json);
    if !bin.is_empty() {
        glb.extend_from_slice(&(bin.len() as u32).to_le_bytes());
        glb.extend_from_slice(b"BIN\0");
        glb.extend_from_slice(&bin);
    }
    glb
}

#[cfg(test)]
#[path = "glb_test.rs"]
pub(crate) mod tests;
