//! The scene of a glTF as pieces: what each node draws, in the scene's axes, with colours and features.

use glam::{DMat3, DMat4, DQuat, DVec3};
use serde_json::Value as Json;

use super::{
    document::{Document, Primitive},
    paint::{Paint, Pictured},
    vertex::Vertices,
};
use crate::mesh::PLAIN;

/// Vertices of all pieces of one document, instances counted.
const MAX_VERTICES: usize = 50_000_000;

/// Extensions without which a file cannot be drawn as meant, but which are read, or whose absence changes only the look.
const UNDERSTOOD: &[&str] = &[
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "KHR_texture_basisu",
    "KHR_lights_punctual",
    "KHR_techniques_webgl",
    "EXT_texture_webp",
    "EXT_texture_avif",
    "EXT_mesh_gpu_instancing",
    "EXT_instance_features",
    "EXT_mesh_features",
    "EXT_structural_metadata",
    "CESIUM_RTC",
    "CESIUM_primitive_outline",
    "CESIUM_mesh_vector",
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_meshopt_compression",
];

/// What a piece is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Triangles,
    Lines,
    Points,
}

/// Features of the vertices of a piece.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ids {
    None,
    One(u32),
    Each(Vec<u32>),
}

/// What one primitive of one node draws.
pub(crate) struct Piece {
    pub node: usize,
    pub shape: Shape,
    /// In the axes of the scene: y up.
    pub positions: Vec<DVec3>,
    /// One a vertex, in the same axes, of any length; where they were asked for and are there.
    pub normals: Option<Vec<DVec3>>,
    /// Three a triangle, two a line; none for points.
    pub indices: Vec<u32>,
    pub colours: Option<Vec<[u8; 4]>>,
    pub plain: [u8; 4],
    /// The picture on its triangles.
    pub picture: Option<Pictured>,
    pub ids: Ids,
    /// The property table that the ids count in.
    pub table: Option<usize>,
}

/// A scene.
pub(crate) struct Scene {
    pub pieces: Vec<Piece>,
    /// Name of each node.
    pub names: Vec<Option<String>>,
    /// What was left out, as warnings.
    pub notes: Vec<(&'static str, String)>,
}

/// Reads the scene.
pub(crate) fn scene_of(document: &Document) -> Result<Scene, String> {
    read(document, false)
}

/// Reads the scene for drawing: with normals, and with colours that tint the pictures.
pub(crate) fn drawn_scene_of(document: &Document) -> Result<Scene, String> {
    read(document, true)
}

fn read(document: &Document, is_drawn: bool) -> Result<Scene, String> {
    let unknown = |e: &&String| !UNDERSTOOD.contains(&e.as_str()) && !e.starts_with("KHR_materials_");
    if let Some(extension) = document.root.extensions_required.iter().find(unknown) {
        return Err(format!("it cannot be read without the extension {extension:.60}, which is not known"));
    }
    let root = &document.root;
    let mut reading = Reading {
        document,
        is_drawn,
        paint: Paint::new(document, is_drawn),
        vertices: 0,
        pieces: Vec::new(),
        notes: Vec::new(),
    };
    let starts: Vec<usize> = match root.scenes.get(root.scene.unwrap_or(0)) {
        Some(scene) => scene.nodes.clone(),
        None if root.scenes.is_empty() => {
            let is_child = |k: usize| root.nodes.iter().any(|n| n.children.contains(&k));
            // A quadratic search is no harm for few nodes; many without a scene are drawn as they stand.
            (0..root.nodes.len()).filter(|k| root.nodes.len() > 5000 || !is_child(*k)).collect()
        }
        None => return Err("the scene that it names is not there".into()),
    };
    let centre = root.extensions.pointer("/CESIUM_RTC/center").and_then(vector);
    // The centre is in the axes of the tileset, z up.
    let start = centre.map_or(DMat4::IDENTITY, |c| DMat4::from_translation(DVec3::new(c.x, c.z, -c.y)));
    let mut seen = vec![false; root.nodes.len()];
    let mut open: Vec<(usize, DMat4)> = starts.into_iter().rev().map(|n| (n, start)).collect();
    while let Some((index, parent)) = open.pop() {
        let (Some(node), Some(seen)) = (root.nodes.get(index), seen.get_mut(index)) else {
            return Err(format!("there is no node {index}"));
        };
        if std::mem::replace(seen, true) {
            return Err(format!("node {index} has two parents or is its own"));
        }
        let local = match node.matrix {
            Some(matrix) => DMat4::from_cols_array(&matrix),
            None => DMat4::from_scale_rotation_translation(
                DVec3::from_array(node.scale.unwrap_or([1.0; 3])),
                DQuat::from_array(node.rotation.unwrap_or([0.0, 0.0, 0.0, 1.0])),
                DVec3::from_array(node.translation.unwrap_or_default()),
            ),
        };
        let transform = parent * local;
        if !transform.is_finite() {
            return Err(format!("node {index}: its place is no number"));
        }
        open.extend(node.children.iter().rev().map(|child| (*child, transform)));
        if let Some(mesh) = node.mesh {
            let mesh = root.meshes.get(mesh).ok_or_else(|| format!("there is no mesh {mesh}"))?;
            if node.skin.is_some() {
                reading.note("skin_left_out", "skinned meshes are drawn in the pose in which they were bound");
            }
            for primitive in &mesh.primitives {
                reading.primitive(index, &node.extensions, transform, primitive)?;
            }
        }
    }
    let name = |n: &super::document::Node| {
        n.name.clone().or_else(|| n.mesh.and_then(|m| root.meshes.get(m)).and_then(|m| m.name.clone()))
    };
    let mut notes = reading.notes;
    notes.extend(reading.paint.notes());
    Ok(Scene { pieces: reading.pieces, names: root.nodes.iter().map(name).collect(), notes })
}

/// Three numbers of a JSON array.
pub(crate) fn vector(json: &Json) -> Option<DVec3> {
    let at = |k: usize| json.get(k)?.as_f64().filter(|n| n.is_finite());
    Some(DVec3::new(at(0)?, at(1)?, at(2)?))
}

struct Reading<'d> {
    document: &'d Document,
    /// Whether it is for drawing: with normals, and pictures and colours apart.
    is_drawn: bool,
    paint: Paint<'d>,
    vertices: usize,
    pieces: Vec<Piece>,
    notes: Vec<(&'static str, String)>,
}

impl Reading<'_> {
    fn note(&mut self, code: &'static str, message: &str) {
        if !self.notes.iter().any(|(c, _)| *c == code) {
            self.notes.push((code, message.into()));
        }
    }

    fn primitive(
        &mut self,
        node: usize,
        extensions: &Json,
        transform: DMat4,
        primitive: &Primitive,
    ) -> Result<(), String> {
        let vertices = Vertices::of(self.document, primitive)?;
        if !primitive.targets.is_empty() {
            self.note("morph_left_out", "morph targets were left out");
        }
        let Some(places) = vertices.vectors::<3>("POSITION")? else {
            self.note("no_position", "primitives without positions were left out");
            return Ok(());
        };
        let places: Vec<DVec3> = places.into_iter().map(DVec3::from_array).collect();
        let count = places.len();
        let mut indices = vertices.indices()?.unwrap_or_else(|| (0..count as u32).collect());
        let restart =
            match primitive.indices.and_then(|a| self.document.root.accessors.get(a)).map(|a| a.component_type) {
                Some(5121) => 255,
                Some(5123) => 65535,
                _ => u32::MAX,
            };
        let shape = match vertices.mode() {
            0 => Shape::Points,
            1..=3 => Shape::Lines,
            4..=6 => Shape::Triangles,
            mode => return Err(format!("mode {mode} of a primitive is not known")),
        };
        indices = unrolled(&indices, vertices.mode(), restart);
        let before = indices.len();
        if shape != Shape::Points {
            let n = if shape == Shape::Lines { 2 } else { 3 };
            let kept = indices.chunks_exact(n).filter(|c| c.iter().all(|i| (*i as usize) < count));
            indices = kept.flatten().copied().collect();
            if indices.len() < before - before % n {
                self.note("index_too_large", "triangles or lines that name a vertex which is not there were left out");
            }
        }
        let (ids, table) = self.features(primitive, &vertices, count)?;
        let picture = match shape {
            Shape::Triangles => self.paint.picture(primitive, &vertices, count)?,
            _ => None,
        };
        let (colours, plain) = self.paint.colours(primitive, &vertices, count, shape != Shape::Triangles)?;
        let normals = match self.is_drawn && shape == Shape::Triangles {
            true => vertices.vectors::<3>("NORMAL")?.filter(|normals| normals.len() == count),
            false => None,
        };
        let instances = self.instances(extensions)?;
        let copies = instances.as_ref().map_or(1, |i| i.len());
        self.vertices = self.vertices.saturating_add(count.saturating_mul(copies));
        if self.vertices > MAX_VERTICES {
            return Err(format!("it has more than {MAX_VERTICES} vertices, instances counted"));
        }
        let own = [(DMat4::IDENTITY, None)];
        let instances = instances.as_deref().unwrap_or(&own);
        let instance_table = extensions.pointer("/EXT_instance_features/featureIds/0/propertyTable");
        let instance_table = instance_table.and_then(Json::as_u64).map(|t| t as usize);
        for (place, id) in instances {
            let whole = transform * *place;
            let turn = DMat3::from_mat4(whole).inverse().transpose();
            self.pieces.push(Piece {
                node,
                shape,
                positions: places.iter().map(|p| whole.transform_point3(*p)).collect(),
                normals: normals.as_ref().map(|n| n.iter().map(|n| turn * DVec3::from_array(*n)).collect()),
                indices: indices.clone(),
                colours: colours.clone(),
                plain: plain.unwrap_or(if self.is_drawn && picture.is_some() { [255; 4] } else { PLAIN }),
                picture: picture.clone(),
                ids: id.map_or_else(|| ids.clone(), Ids::One),
                table: if id.is_some() { instance_table } else { table },
            });
        }
        Ok(())
    }

    /// Features by EXT_mesh_features, or by the batch ids of 3D Tiles 1.0.
    fn features(
        &mut self,
        primitive: &Primitive,
        vertices: &Vertices<'_>,
        count: usize,
    ) -> Result<(Ids, Option<usize>), String> {
        let sets = primitive.extensions.pointer("/EXT_mesh_features/featureIds").and_then(Json::as_array);
        let with_attribute = sets.and_then(|s| s.iter().find(|f| f.get("texture").is_none()));
        if sets.is_some() && with_attribute.is_none() {
            self.note(
                "feature_texture_left_out",
                "features that a texture marks were left out: the mesh is one object",
            );
            return Ok((Ids::None, None));
        }
        let table = with_attribute.and_then(|f| f.get("propertyTable")).and_then(Json::as_u64).map(|t| t as usize);
        let attribute = match with_attribute {
            Some(set) => match set.get("attribute").and_then(Json::as_u64) {
                Some(number) => Some(format!("_FEATURE_ID_{number}")),
                // Without attribute and texture each vertex is a feature.
                None => return Ok((Ids::Each((0..count as u32).collect()), table)),
            },
            None => {
                let known = ["_BATCHID", "BATCHID", "_FEATURE_ID_0"].into_iter();
                known.map(str::to_owned).find(|n| primitive.attributes.contains_key(n))
            }
        };
        let Some(attribute) = attribute else { return Ok((Ids::None, None)) };
        let Some((numbers, width)) = vertices.numbers(&attribute)? else {
            self.note("feature_ids_missing", &format!("features are promised in {attribute}, which is not there"));
            return Ok((Ids::None, None));
        };
        if width != 1 || numbers.len() != count {
            return Err(format!("{attribute} does not hold one feature id a vertex"));
        }
        Ok((Ids::Each(numbers.into_iter().map(|n| n as u32).collect()), table))
    }

    /// Places and features of instances by EXT_mesh_gpu_instancing.
    fn instances(&self, extensions: &Json) -> Result<Option<Vec<(DMat4, Option<u32>)>>, String> {
        let Some(attributes) = extensions.pointer("/EXT_mesh_gpu_instancing/attributes") else { return Ok(None) };
        let accessor = |name: &str| attributes.get(name).and_then(Json::as_u64).map(|a| a as usize);
        let translations = accessor("TRANSLATION").map(|a| self.document.vectors::<3>(a)).transpose()?;
        let rotations = accessor("ROTATION").map(|a| self.document.vectors::<4>(a)).transpose()?;
        let scales = accessor("SCALE").map(|a| self.document.vectors::<3>(a)).transpose()?;
        let has_features = extensions.get("EXT_instance_features").is_some();
        let ids = accessor("_FEATURE_ID_0").filter(|_| has_features).map(|a| self.document.numbers(a)).transpose()?;
        let counts =
            [translations.as_ref().map(Vec::len), rotations.as_ref().map(Vec::len), scales.as_ref().map(Vec::len)];
        let count = counts.into_iter().flatten().max().unwrap_or(0);
        if counts.into_iter().flatten().any(|c| c != count) {
            return Err("its instances have different numbers of places, turns and sizes".into());
        }
        let place = |k: usize| {
            DMat4::from_scale_rotation_translation(
                scales.as_ref().and_then(|s| s.get(k)).map_or(DVec3::ONE, |s| DVec3::from_array(*s)),
                rotations
                    .as_ref()
                    .and_then(|r| r.get(k))
                    .map_or(DQuat::IDENTITY, |r| DQuat::from_array(*r).normalize()),
                translations.as_ref().and_then(|t| t.get(k)).map_or(DVec3::ZERO, |t| DVec3::from_array(*t)),
            )
        };
        let id = |k: usize| match &ids {
            Some((ids, 1)) => ids.get(k).map(|n| *n as u32),
            _ => has_features.then_some(k as u32),
        };
        Ok(Some((0..count).map(|k| (place(k), id(k))).collect()))
    }
}

/// Strips, loops and fans as single lines and triangles.
fn unrolled(indices: &[u32], mode: u32, restart: u32) -> Vec<u32> {
    if matches!(mode, 0 | 1 | 4) {
        return indices.to_vec();
    }
    let mut flat = Vec::with_capacity(indices.len() * 3);
    for run in indices.split(|i| *i == restart) {
        match mode {
            2 | 3 => {
                run.windows(2).for_each(|pair| flat.extend_from_slice(pair));
                if let (2, [first, .., last]) = (mode, run) {
                    flat.extend([*last, *first]);
                }
            }
            5 => {
                for (k, triangle) in run.windows(3).enumerate() {
                    if let [a, b, c] = *triangle {
                        flat.extend(if k % 2 == 0 { [a, b, c] } else { [b, a, c] });
                    }
                }
            }
            _ => {
                if let Some((first, rest)) = run.split_first() {
                    for pair in rest.windows(2) {
                        flat.push(*first);
                        flat.extend_from_slice(pair);
                    }
                }
            }
        }
    }
    flat
}

#[cfg(test)]
pub(super) mod tests {
    pub fn unrolled(indices: &[u32], mode: u32) -> Vec<u32> {
        super::unrolled(indices, mode, 255)
    }
}
