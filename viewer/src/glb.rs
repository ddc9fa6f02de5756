//! Reading GLB (glTF 2.0 binary) without trusting it: every index, offset and count is checked before use.
//!
//! The JSON part is read with the `gltf` crate's types; the data are resolved here, because the crate's own
//! accessor iterators take the file's word for its offsets. Compressed views are unpacked at once.

use std::collections::HashMap;

use gltf::json::{
    Accessor, Index, Root,
    accessor::{ComponentType, Type},
    buffer,
    validation::Checked,
};
use groundline_engine::tile::meshopt::Packed;

/// Most elements that one accessor may have.
const MAX_COUNT: usize = 16_000_000;

/// Bytes of all compressed views of a tile, when they are unpacked.
const MAX_UNPACKED: usize = 1 << 30;
/// Names under which views are compressed.
const PACKED: [&str; 2] = ["EXT_meshopt_compression", "KHR_meshopt_compression"];

/// Why a tile could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GlbError {
    /// Not a GLB container, or cut off.
    #[error("no glTF binary: {0}")]
    Container(String),
    /// Its JSON is not understood.
    #[error("glTF json: {0}")]
    Json(String),
    /// Data outside of the file, or of a type that makes no sense.
    #[error("glTF {what} {index}: {reason}")]
    Data {
        /// Accessor, buffer view, node …
        what: &'static str,
        /// Its number.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A view that is damaged in itself.
    #[error("glTF buffer view {0}: {1}")]
    Packed(usize, String),
}

fn wrong(what: &'static str, index: usize, reason: &'static str) -> GlbError {
    GlbError::Data { what, index, reason }
}

/// A parsed container.
pub struct Glb<'a> {
    /// The JSON part.
    pub root: Root,
    bin: &'a [u8],
    unpacked: HashMap<usize, Vec<u8>>,
}

impl<'a> Glb<'a> {
    /// Reads the container and its JSON.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GlbError> {
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
        };
        let short = || GlbError::Container("cut off".into());
        if bytes.get(..4) != Some(b"glTF") {
            return Err(GlbError::Container("does not begin with `glTF`".into()));
        }
        if word(4).ok_or_else(short)? != 2 {
            return Err(GlbError::Container("version is not 2".into()));
        }
        let mut json: Option<&[u8]> = None;
        let mut bin: &[u8] = &[];
        let mut at = 12;
        while at < bytes.len() {
            let length = word(at).ok_or_else(short)? as usize;
            let kind = word(at + 4).ok_or_else(short)?;
            let end = (at + 8).checked_add(length).ok_or_else(short)?;
            let chunk = bytes.get(at + 8..end).ok_or_else(short)?;
            match kind {
                0x4E4F_534A if json.is_none() => json = Some(chunk),
                0x004E_4942 => bin = chunk,
                _ => {}
            }
            at = end.next_multiple_of(4);
        }
        let json = json.ok_or_else(|| GlbError::Container("has no JSON".into()))?;
        let root = gltf::json::deserialize::from_slice(json).map_err(|error| GlbError::Json(error.to_string()))?;
        let unpacked = unpacked(&root, bin)?;
        Ok(Self { root, bin, unpacked })
    }

    /// Bytes of a buffer view; only the file's own binary chunk can be referred to.
    pub fn view(&self, index: usize) -> Result<&[u8], GlbError> {
        if let Some(bytes) = self.unpacked.get(&index) {
            return Ok(bytes);
        }
        let view = self.view_of(index)?;
        if view.buffer.value() != 0 {
            return Err(wrong("buffer view", index, "is outside of this file"));
        }
        let start = usize::try_from(view.byte_offset.map_or(0, |o| o.0)).unwrap_or(usize::MAX);
        let length = usize::try_from(view.byte_length.0).unwrap_or(usize::MAX);
        start
            .checked_add(length)
            .and_then(|end| self.bin.get(start..end))
            .ok_or_else(|| wrong("buffer view", index, "reaches beyond the data"))
    }

    fn view_of(&self, index: usize) -> Result<&buffer::View, GlbError> {
        self.root.buffer_views.get(index).ok_or_else(|| wrong("buffer view", index, "does not exist"))
    }

    /// Values of an accessor with `N` components, as f32; normalised integers become 0..1 or -1..1.
    pub fn floats<const N: usize>(&self, accessor: Index<Accessor>) -> Result<Vec<[f32; N]>, GlbError> {
        let raw = self.raw(accessor)?;
        if raw.components != N {
            return Err(wrong("accessor", accessor.value(), "has another number of components"));
        }
        let mut out = Vec::with_capacity(raw.count);
        for row in 0..raw.count {
            out.push(std::array::from_fn(|c| raw.component(row, c).float(raw.normalised)));
        }
        Ok(out)
    }

    /// Number of components of an accessor's elements.
    pub fn components(&self, accessor: Index<Accessor>) -> Result<usize, GlbError> {
        Ok(self.raw(accessor)?.components)
    }

    /// Values of a scalar accessor as whole numbers (feature ids may be stored as floats).
    pub fn integers(&self, accessor: Index<Accessor>) -> Result<Vec<u32>, GlbError> {
        let raw = self.raw(accessor)?;
        if raw.components != 1 {
            return Err(wrong("accessor", accessor.value(), "is not a scalar"));
        }
        Ok((0..raw.count).map(|row| raw.component(row, 0).integer()).collect())
    }

    fn raw(&self, index: Index<Accessor>) -> Result<Raw<'_>, GlbError> {
        let number = index.value();
        let fail = |reason| wrong("accessor", number, reason);
        let accessor = self.root.accessors.get(number).ok_or_else(|| fail("does not exist"))?;
        if accessor.sparse.is_some() {
            return Err(fail("is sparse"));
        }
        let Checked::Valid(component) = accessor.component_type else { return Err(fail("has an unknown type")) };
        let components = match accessor.type_ {
            Checked::Valid(Type::Scalar) => 1,
            Checked::Valid(Type::Vec2) => 2,
            Checked::Valid(Type::Vec3) => 3,
            Checked::Valid(Type::Vec4) => 4,
            _ => return Err(fail("is neither scalar nor vector")),
        };
        let count = usize::try_from(accessor.count.0).unwrap_or(usize::MAX);
        if count > MAX_COUNT {
            return Err(fail("has too many elements"));
        }
        let view_index = accessor.buffer_view.ok_or_else(|| fail("has no data"))?.value();
        let view = self.view(view_index)?;
        let width = match component.0 {
            ComponentType::I8 | ComponentType::U8 => 1,
            ComponentType::I16 | ComponentType::U16 => 2,
            ComponentType::U32 | ComponentType::F32 => 4,
        };
        let element = width * components;
        let stride = self.view_of(view_index)?.byte_stride.map_or(element, |stride| stride.0);
        let start = usize::try_from(accessor.byte_offset.map_or(0, |o| o.0)).unwrap_or(usize::MAX);
        if stride < element || stride > 4096 {
            return Err(fail("has a stride that makes no sense"));
        }
        let needed = if count == 0 { 0 } else { (count - 1) * stride + element };
        let data = start
            .checked_add(needed)
            .and_then(|end| view.get(start..end))
            .ok_or_else(|| fail("reaches beyond its buffer view"))?;
        Ok(Raw { data, count, components, stride, width, kind: component.0, normalised: accessor.normalized })
    }
}

/// The bytes of the compressed views.
fn unpacked(root: &Root, bin: &[u8]) -> Result<HashMap<usize, Vec<u8>>, GlbError> {
    let mut made = HashMap::new();
    let mut left = MAX_UNPACKED;
    for (index, view) in root.buffer_views.iter().enumerate() {
        let others = view.extensions.as_ref().map(|e| &e.others);
        let Some(said) = others.and_then(|others| PACKED.iter().find_map(|name| others.get(*name))) else { continue };
        let fail = |reason: String| GlbError::Packed(index, reason);
        let packed: Packed = serde_json::from_value(said.clone()).map_err(|error| fail(error.to_string()))?;
        let size = packed.size().filter(|size| *size <= left).ok_or_else(|| fail("it would be too large".into()))?;
        let end = packed.byte_offset.checked_add(packed.byte_length).filter(|_| packed.buffer == 0);
        let bytes = end.and_then(|end| bin.get(packed.byte_offset..end));
        let bytes = bytes.ok_or_else(|| fail("reaches beyond the data".into()))?;
        made.insert(index, packed.unpack(bytes).map_err(fail)?);
        left -= size;
    }
    Ok(made)
}

/// Checked data of one accessor.
struct Raw<'a> {
    data: &'a [u8],
    count: usize,
    components: usize,
    stride: usize,
    width: usize,
    kind: ComponentType,
    normalised: bool,
}

impl Raw<'_> {
    /// One component; `row` and `component` lie within what `Glb::raw` has checked.
    fn component(&self, row: usize, component: usize) -> Component {
        let at = row * self.stride + component * self.width;
        let bytes = &self.data[at..at + self.width];
        match (self.kind, bytes) {
            (ComponentType::I8, &[a]) => Component::Signed(i32::from(a as i8), i32::from(i8::MAX)),
            (ComponentType::U8, &[a]) => Component::Unsigned(u32::from(a), u32::from(u8::MAX)),
            (ComponentType::I16, &[a, b]) => {
                Component::Signed(i32::from(i16::from_le_bytes([a, b])), i32::from(i16::MAX))
            }
            (ComponentType::U16, &[a, b]) => {
                Component::Unsigned(u32::from(u16::from_le_bytes([a, b])), u32::from(u16::MAX))
            }
            (ComponentType::U32, &[a, b, c, d]) => Component::Unsigned(u32::from_le_bytes([a, b, c, d]), u32::MAX),
            (_, &[a, b, c, d]) => Component::Float(f32::from_le_bytes([a, b, c, d])),
            _ => Component::Float(0.0),
        }
    }
}

/// A number with, for integers, the greatest one of its type.
enum Component {
    Signed(i32, i32),
    Unsigned(u32, u32),
    Float(f32),
}

impl Component {
    fn float(&self, normalised: bool) -> f32 {
        match *self {
            Self::Signed(value, max) if normalised => (value as f32 / max as f32).max(-1.0),
            Self::Signed(value, _) => value as f32,
            Self::Unsigned(value, max) if normalised => value as f32 / max as f32,
            Self::Unsigned(value, _) => value as f32,
            Self::Float(value) => value,
        }
    }

    fn integer(&self) -> u32 {
        match *self {
            Self::Signed(value, _) => u32::try_from(value).unwrap_or(u32::MAX),
            Self::Unsigned(value, _) => value,
            Self::Float(value) if value >= 0.0 => value as u32,
            Self::Float(_) => u32::MAX,
        }
    }
}
