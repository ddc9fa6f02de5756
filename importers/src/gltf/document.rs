//! glTF 2.0: its JSON, its container and its buffers (Khronos glTF 2.0, chapters 3 and 4).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use groundline_engine::tile::meshopt::Packed;

use super::{first, folder::Folder};

/// Bytes of all buffers of one document.
const MAX_BYTES: u64 = 1 << 30;
/// Numbers of one accessor.
const MAX_NUMBERS: usize = 200_000_000;

/// The JSON of a glTF.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Root {
    pub asset: Asset,
    pub buffers: Vec<Buffer>,
    pub buffer_views: Vec<View>,
    pub accessors: Vec<Accessor>,
    pub meshes: Vec<Mesh>,
    pub nodes: Vec<Node>,
    pub scenes: Vec<Scene>,
    pub scene: Option<usize>,
    pub materials: Vec<Material>,
    pub textures: Vec<Texture>,
    pub images: Vec<Image>,
    pub extensions_required: Vec<String>,
    pub extensions: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asset {
    pub version: String,
}

/// What tells the version, which decides how the rest is to be understood.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OnlyAsset {
    asset: Asset,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Buffer {
    pub byte_length: u64,
    pub uri: Option<String>,
    pub extensions: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct View {
    pub buffer: usize,
    pub byte_offset: usize,
    pub byte_length: usize,
    pub byte_stride: Option<usize>,
    pub extensions: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Accessor {
    pub buffer_view: Option<usize>,
    pub byte_offset: usize,
    pub component_type: u32,
    pub normalized: bool,
    pub count: usize,
    #[serde(rename = "type")]
    pub kind: String,
    pub min: Vec<f64>,
    pub max: Vec<f64>,
    pub sparse: Option<Sparse>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sparse {
    pub count: usize,
    pub indices: SparsePart,
    pub values: SparsePart,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SparsePart {
    pub buffer_view: usize,
    pub byte_offset: usize,
    pub component_type: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mesh {
    pub name: Option<String>,
    pub primitives: Vec<Primitive>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Primitive {
    pub attributes: std::collections::BTreeMap<String, usize>,
    pub indices: Option<usize>,
    pub material: Option<usize>,
    pub mode: Option<u32>,
    pub targets: Vec<Json>,
    pub extensions: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub name: Option<String>,
    pub mesh: Option<usize>,
    pub skin: Option<usize>,
    pub children: Vec<usize>,
    pub matrix: Option<[f64; 16]>,
    pub translation: Option<[f64; 3]>,
    pub rotation: Option<[f64; 4]>,
    pub scale: Option<[f64; 3]>,
    pub extensions: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Scene {
    pub nodes: Vec<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Material {
    pub pbr_metallic_roughness: Pbr,
    pub alpha_mode: Option<String>,
    pub extensions: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Pbr {
    pub base_color_factor: Option<[f64; 4]>,
    pub base_color_texture: Option<TextureUse>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TextureUse {
    pub index: usize,
    pub tex_coord: usize,
    pub extensions: Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Texture {
    pub source: Option<usize>,
    pub extensions: Json,
}

impl Texture {
    /// The image that is shown: the one that every program knows, else one of a kind that is read.
    pub fn image(&self) -> Option<usize> {
        let named = |name: &str| self.extensions.get(name)?.get("source")?.as_u64().map(|n| n as usize);
        self.source.or_else(|| named("EXT_texture_webp")).or_else(|| named("KHR_texture_basisu"))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Image {
    pub uri: Option<String>,
    pub buffer_view: Option<usize>,
}

/// A glTF with its bytes.
pub(crate) struct Document {
    pub root: Root,
    pub folder: Folder,
    buffers: Vec<Vec<u8>>,
    /// Bytes of views that were compressed, by number of the view, or why they cannot be had.
    unpacked: BTreeMap<usize, Result<Vec<u8>, String>>,
}

/// The extensions by which views are compressed.
const PACKED: [&str; 2] = ["EXT_meshopt_compression", "KHR_meshopt_compression"];

fn packed(extensions: &Json) -> Option<&Json> {
    PACKED.iter().find_map(|name| extensions.get(name))
}

/// JSON and binary chunk of a `.glb`, or the JSON of a `.gltf`.
pub(crate) fn split(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), String> {
    if !bytes.starts_with(b"glTF") {
        return Ok((bytes, None));
    }
    let u32_at = |at: usize| {
        let four = bytes.get(at..at + 4)?;
        four.try_into().ok().map(u32::from_le_bytes)
    };
    match u32_at(4) {
        Some(2) => {}
        Some(1) => {
            // Length of all, length of the JSON, its format; what follows the JSON is the binary.
            let (length, json) = (u32_at(8).ok_or("the file ends within its header")?, u32_at(12));
            let end = json.ok_or("the file ends within its header")? as usize + 20;
            let body = bytes.get(..length as usize).and_then(|all| Some((all.get(20..end)?, all.get(end..)?)));
            let (json, binary) = body.ok_or("the binary glTF is shorter than it promises")?;
            return Ok((json, Some(binary)));
        }
        _ => return Err("the version of the binary glTF is not known".into()),
    }
    let length = u32_at(8).ok_or("the file ends within its header")? as usize;
    if length > bytes.len() {
        return Err(format!("{length} bytes are promised, the file has {}", bytes.len()));
    }
    let (mut at, mut json, mut binary) = (12usize, None, None);
    while at + 8 <= length {
        let (Some(size), Some(kind)) = (u32_at(at), bytes.get(at + 4..at + 8)) else { break };
        let end = at + 8 + size as usize;
        let chunk = bytes.get(at + 8..end).filter(|_| end <= length);
        let chunk = chunk.ok_or_else(|| format!("byte {at}: a chunk of {size} bytes does not fit"))?;
        match kind {
            b"JSON" if json.is_none() => json = Some(chunk),
            b"BIN\0" if binary.is_none() => binary = Some(chunk),
            _ => {}
        }
        at = end.next_multiple_of(4);
    }
    Ok((json.ok_or("the binary glTF has no JSON chunk")?, binary))
}

/// Reads the JSON alone.
pub(crate) fn root_of(json: &[u8]) -> Result<Root, String> {
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    let said = |e: serde_json::Error| format!("JSON: {e}");
    let version: OnlyAsset = serde_json::from_slice(json).map_err(said)?;
    if version.asset.version.starts_with("1.") || version.asset.version == "1" {
        let old: Json = serde_json::from_slice(json).map_err(said)?;
        return serde_json::from_value(first::upgraded(&old)?).map_err(said);
    }
    let root: Root = serde_json::from_slice(json).map_err(said)?;
    match root.asset.version.split('.').next() {
        Some("2") => Ok(root),
        _ => Err(format!("glTF version {:.10} is not read, only 2.0", root.asset.version)),
    }
}

impl Document {
    /// Reads a `.gltf` or `.glb`; buffers may lie in `folder`.
    pub fn read(bytes: &[u8], folder: Folder) -> Result<Self, String> {
        let (json, binary) = split(bytes)?;
        let root = root_of(json)?;
        let mut buffers = Vec::with_capacity(root.buffers.len());
        let mut left = MAX_BYTES;
        for (number, buffer) in root.buffers.iter().enumerate() {
            let is_fallback = packed(&buffer.extensions).is_some();
            let mut bytes = match (&buffer.uri, binary) {
                (Some(uri), _) => folder.read(uri, left).map_err(|e| format!("buffer {number}: {e}"))?,
                (None, Some(binary)) if number == 0 => binary.to_vec(),
                (None, _) if is_fallback => Vec::new(),
                (None, _) => return Err(format!("buffer {number} has no bytes")),
            };
            if (bytes.len() as u64) < buffer.byte_length && !is_fallback {
                return Err(format!(
                    "buffer {number}: {} bytes are promised, {} are there",
                    buffer.byte_length,
                    bytes.len()
                ));
            }
            bytes.truncate(buffer.byte_length as usize);
            left = left.saturating_sub(bytes.len() as u64);
            buffers.push(bytes);
        }
        let mut document = Self { root, folder, buffers, unpacked: BTreeMap::new() };
        for (number, view) in document.root.buffer_views.iter().enumerate() {
            if let Some(said) = packed(&view.extensions) {
                let bytes = document.unpack(said, &mut left);
                document.unpacked.insert(number, bytes.map_err(|reason| format!("bufferView {number}: {reason}")));
            }
        }
        Ok(document)
    }

    /// The bytes of a compressed view, of at most `left`.
    fn unpack(&self, said: &Json, left: &mut u64) -> Result<Vec<u8>, String> {
        let packed: Packed = serde_json::from_value(said.clone()).map_err(|e| format!("meshopt: {e}"))?;
        let size = packed.size().filter(|size| *size as u64 <= *left).ok_or("meshopt: it would be too large")?;
        let buffer = self.buffers.get(packed.buffer).ok_or("meshopt: its buffer is not there")?;
        let end = packed.byte_offset.checked_add(packed.byte_length);
        let bytes = end.and_then(|end| buffer.get(packed.byte_offset..end));
        let made = packed.unpack(bytes.ok_or("meshopt: it exceeds its buffer")?)?;
        *left -= size as u64;
        Ok(made)
    }

    /// The bytes of a view.
    pub fn view(&self, index: usize) -> Result<&[u8], String> {
        let view = self.root.buffer_views.get(index).ok_or_else(|| format!("there is no bufferView {index}"))?;
        if let Some(unpacked) = self.unpacked.get(&index) {
            return unpacked.as_deref().map_err(String::clone);
        }
        let bytes = self.buffers.get(view.buffer).ok_or_else(|| format!("there is no buffer {}", view.buffer))?;
        let end = view.byte_offset.checked_add(view.byte_length);
        end.and_then(|end| bytes.get(view.byte_offset..end))
            .ok_or_else(|| format!("bufferView {index} exceeds its buffer"))
    }

    /// The numbers of an accessor, one after the other, with how many belong together.
    pub fn numbers(&self, index: usize) -> Result<(Vec<f64>, usize), String> {
        let accessor = self.root.accessors.get(index).ok_or_else(|| format!("there is no accessor {index}"))?;
        let wrong = |reason: &str| format!("accessor {index}: {reason}");
        let width = width_of(&accessor.kind).ok_or_else(|| wrong("its type is not known"))?;
        let size = component_bytes(accessor.component_type).ok_or_else(|| wrong("its componentType is not known"))?;
        let total = accessor.count.checked_mul(width).filter(|n| *n <= MAX_NUMBERS);
        let total = total.ok_or_else(|| wrong("it has too many elements"))?;
        let mut numbers = Vec::new();
        if let Some(view) = accessor.buffer_view {
            let bytes = self.view(view)?;
            let stride = self.root.buffer_views.get(view).and_then(|v| v.byte_stride).unwrap_or(width * size);
            let element = width * size;
            let last =
                accessor.count.saturating_sub(1).checked_mul(stride).and_then(|n| n.checked_add(accessor.byte_offset));
            let end = last.and_then(|n| n.checked_add(if accessor.count > 0 { element } else { 0 }));
            if end.is_none_or(|end| end > bytes.len()) || stride < element {
                return Err(wrong("its elements exceed its bufferView"));
            }
            numbers.reserve(total);
            for k in 0..accessor.count {
                let at = accessor.byte_offset + k * stride;
                let element = bytes.get(at..at + element).unwrap_or_default();
                numbers.extend(
                    element.chunks_exact(size).map(|b| component(b, accessor.component_type, accessor.normalized)),
                );
            }
        } else if accessor.sparse.is_some() && total <= 16 << 20 {
            numbers.resize(total, 0.0);
        } else {
            return Err(wrong("it has no bytes"));
        }
        if let Some(sparse) = &accessor.sparse {
            self.apply_sparse(sparse, accessor, width, &mut numbers).map_err(|e| wrong(&e))?;
        }
        Ok((numbers, width))
    }

    fn apply_sparse(
        &self,
        sparse: &Sparse,
        accessor: &Accessor,
        width: usize,
        numbers: &mut [f64],
    ) -> Result<(), String> {
        let part =
            |part: &SparsePart| self.view(part.buffer_view).map(|b| b.get(part.byte_offset..).unwrap_or_default());
        let (indices, values) = (part(&sparse.indices)?, part(&sparse.values)?);
        let index_bytes = component_bytes(sparse.indices.component_type).ok_or("its sparse indices have no type")?;
        let size = component_bytes(accessor.component_type).ok_or("it has no type")?;
        let mut places = indices.chunks_exact(index_bytes);
        let mut elements = values.chunks_exact(size * width);
        for _ in 0..sparse.count {
            let (Some(place), Some(element)) = (places.next(), elements.next()) else {
                return Err("its sparse elements exceed their bufferView".into());
            };
            let at = component(place, sparse.indices.component_type, false) as usize * width;
            let slots = numbers.get_mut(at..at + width).ok_or("a sparse index is too large")?;
            for (slot, b) in slots.iter_mut().zip(element.chunks_exact(size)) {
                *slot = component(b, accessor.component_type, accessor.normalized);
            }
        }
        Ok(())
    }

    /// The elements of an accessor as vectors of a known width.
    pub fn vectors<const N: usize>(&self, index: usize) -> Result<Vec<[f64; N]>, String> {
        let (numbers, width) = self.numbers(index)?;
        if width != N {
            return Err(format!("accessor {index} has {width} numbers an element, not {N}"));
        }
        Ok(numbers.chunks_exact(N).map(|c| std::array::from_fn(|k| c.get(k).copied().unwrap_or(0.0))).collect())
    }
}

/// Numbers of an element of this type.
pub(crate) fn width_of(kind: &str) -> Option<usize> {
    Some(match kind {
        "SCALAR" => 1,
        "VEC2" => 2,
        "VEC3" => 3,
        "VEC4" | "MAT2" => 4,
        "MAT3" => 9,
        "MAT4" => 16,
        _ => return None,
    })
}

/// Bytes of a component of this type.
pub(crate) fn component_bytes(kind: u32) -> Option<usize> {
    Some(match kind {
        5120 | 5121 => 1,
        5122 | 5123 => 2,
        5125 | 5126 => 4,
        _ => return None,
    })
}

fn component(bytes: &[u8], kind: u32, is_normalized: bool) -> f64 {
    let mut b = [0u8; 4];
    b.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let [b0, b1, ..] = b;
    let (value, most) = match kind {
        5120 => (f64::from(b0 as i8), 127.0),
        5121 => (f64::from(b0), 255.0),
        5122 => (f64::from(i16::from_le_bytes([b0, b1])), 32767.0),
        5123 => (f64::from(u16::from_le_bytes([b0, b1])), 65535.0),
        5125 => (f64::from(u32::from_le_bytes(b)), 4_294_967_295.0),
        _ => return f64::from(f32::from_le_bytes(b)),
    };
    if is_normalized { (value / most).max(-1.0) } else { value }
}
