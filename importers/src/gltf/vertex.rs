//! The vertices of a primitive, as accessors hold them or compressed with Draco.

use std::panic::{AssertUnwindSafe, catch_unwind};

use draco_core::{DecodeLimits, DecoderBuffer, Mesh, MeshDecoder};
use serde_json::Value as Json;

use super::document::{Document, Primitive, width_of};

/// Vertices, triangles, and bytes of attributes that a compressed primitive may unpack to.
const LIMITS: (u64, u64, u64) = (20_000_000, 20_000_000, 1 << 30);

/// A primitive opened for reading.
pub(super) struct Vertices<'d> {
    document: &'d Document,
    primitive: &'d Primitive,
    unpacked: Option<Mesh>,
}

impl<'d> Vertices<'d> {
    pub fn of(document: &'d Document, primitive: &'d Primitive) -> Result<Self, String> {
        let unpacked = match primitive.extensions.get("KHR_draco_mesh_compression") {
            None => None,
            Some(draco) => {
                let view = draco.get("bufferView").and_then(Json::as_u64).ok_or("a Draco primitive without bytes")?;
                Some(unpack(document.view(view as usize)?)?)
            }
        };
        Ok(Self { document, primitive, unpacked })
    }

    /// The numbers of an attribute, one after the other, with how many belong together; `None` when it has none.
    pub fn numbers(&self, name: &str) -> Result<Option<(Vec<f64>, usize)>, String> {
        let Some(accessor) = self.primitive.attributes.get(name) else { return Ok(None) };
        let inside =
            self.primitive.extensions.get("KHR_draco_mesh_compression").and_then(|d| d.get("attributes")?.get(name));
        let (Some(mesh), Some(id)) = (&self.unpacked, inside.and_then(Json::as_u64)) else {
            return self.document.numbers(*accessor).map(Some);
        };
        let described = self.document.root.accessors.get(*accessor);
        let described = described.ok_or_else(|| format!("there is no accessor {accessor}"))?;
        let width = width_of(&described.kind).ok_or_else(|| format!("accessor {accessor}: its type is not known"))?;
        let attribute = u32::try_from(id).ok().and_then(|id| mesh.attribute_by_unique_id(id));
        let attribute = attribute.ok_or_else(|| format!("there is no Draco attribute {id}"))?;
        let most = match (described.normalized, described.component_type) {
            (true, 5120) => 127.0,
            (true, 5121) => 255.0,
            (true, 5122) => 32767.0,
            (true, 5123) => 65535.0,
            _ => 1.0,
        };
        let numbers = attribute.read_f32s(mesh.num_points(), width);
        Ok(Some((numbers.into_iter().map(|v| f64::from(v) / most).collect(), width)))
    }

    /// The elements of an attribute as vectors of a known width.
    pub fn vectors<const N: usize>(&self, name: &str) -> Result<Option<Vec<[f64; N]>>, String> {
        let Some((numbers, width)) = self.numbers(name)? else { return Ok(None) };
        if width != N {
            return Err(format!("{name} has {width} numbers a vertex, not {N}"));
        }
        let vectors = numbers.chunks_exact(N).map(|c| std::array::from_fn(|k| c.get(k).copied().unwrap_or(0.0)));
        Ok(Some(vectors.collect()))
    }

    /// Indices of the primitive; `None` when its vertices stand in order.
    pub fn indices(&self) -> Result<Option<Vec<u32>>, String> {
        if let Some(mesh) = &self.unpacked {
            return Ok(Some(mesh.faces().iter().flatten().map(|p| p.0).collect()));
        }
        let Some(accessor) = self.primitive.indices else { return Ok(None) };
        let (numbers, width) = self.document.numbers(accessor)?;
        if width != 1 {
            return Err(format!("accessor {accessor} holds no indices"));
        }
        Ok(Some(numbers.into_iter().map(|n| n as u32).collect()))
    }

    /// How the indices make triangles: what was unpacked is single triangles whatever it was.
    pub fn mode(&self) -> u32 {
        if self.unpacked.is_some() { 4 } else { self.primitive.mode.unwrap_or(4) }
    }
}

/// The decoder checks what it reads, but a panic in it must not take the import along.
fn unpack(bytes: &[u8]) -> Result<Mesh, String> {
    let (points, faces, decoded) = LIMITS;
    let limits = DecodeLimits::default().with_max_points(points).with_max_faces(faces).with_max_decoded_bytes(decoded);
    let work = || {
        let mut mesh = Mesh::new();
        let mut buffer = DecoderBuffer::new(bytes).with_limits(limits);
        MeshDecoder::new().decode(&mut buffer, &mut mesh).map(|()| mesh)
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(mesh)) => Ok(mesh),
        Ok(Err(error)) => Err(format!("Draco: {error}")),
        Err(_) => Err("Draco: the compressed mesh is damaged".into()),
    }
}
