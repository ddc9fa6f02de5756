//! The contents of tiles taken apart: what b3dm, i3dm, pnts and cmpt of 3D Tiles 1.0 wrap.

use glam::{DMat3, DMat4, DVec3};
use groundline_engine::crs::geographic_from_ecef;

use super::batch::{BatchTable, Body};
use crate::gltf::scene::vector;

/// One content.
pub(super) enum Part<'b> {
    /// A glTF, with the rows of its batches where it has any.
    Model { model: &'b [u8], batches: Option<BatchTable>, centre: DVec3 },
    /// A glTF in many places.
    Instances { model: InstanceModel<'b>, places: Instances, table: BatchTable },
    /// A cloud of points.
    Points(Points),
    /// Contents in one file.
    Composite(Composite<'b>),
}

/// The glTF of instances.
pub(super) enum InstanceModel<'b> {
    Inside(&'b [u8]),
    At(String),
}

/// The points of a content, in its axes.
pub(super) struct Points {
    pub positions: Vec<DVec3>,
    pub colours: Option<Vec<[f32; 3]>>,
    pub centre: DVec3,
    /// Whether there are properties of the points besides.
    pub has_table: bool,
}

impl<'b> Part<'b> {
    /// Takes a content apart by its first bytes.
    pub fn of(bytes: &'b [u8]) -> Result<Self, String> {
        match bytes.get(..4) {
            Some(b"glTF") => Ok(Self::Model { model: bytes, batches: None, centre: DVec3::ZERO }),
            Some(b"b3dm") => batched(whole(bytes)?),
            Some(b"i3dm") => instanced(whole(bytes)?),
            Some(b"pnts") => cloud(whole(bytes)?),
            Some(b"cmpt") => {
                let bytes = whole(bytes)?;
                Ok(Self::Composite(Composite { bytes, at: 16, left: u32_at(bytes, 12)?, number: 0 }))
            }
            _ if bytes.trim_ascii_start().starts_with(b"{") => {
                Ok(Self::Model { model: bytes, batches: None, centre: DVec3::ZERO })
            }
            _ => Err("its first bytes are those of no known content".into()),
        }
    }
}

/// The contents of a composite, one after the other.
pub(super) struct Composite<'b> {
    bytes: &'b [u8],
    at: usize,
    left: usize,
    number: usize,
}

impl<'b> Iterator for Composite<'b> {
    type Item = Result<&'b [u8], String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let inner = u32_at(self.bytes, self.at + 8).and_then(|length| {
            let inner = self.bytes.get(self.at..self.at + length).filter(|b| b.len() >= 12);
            inner.ok_or_else(|| format!("inner tile {} of {length} bytes does not fit", self.number))
        });
        match &inner {
            Ok(inner) => (self.at, self.number) = (self.at + inner.len(), self.number + 1),
            Err(_) => self.left = 0,
        }
        Some(inner)
    }
}

/// Four bytes as a number.
fn u32_at(bytes: &[u8], at: usize) -> Result<usize, String> {
    let four = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    four.map(|b| u32::from_le_bytes(b) as usize).ok_or_else(|| "it ends within its header".to_owned())
}

/// Consecutive pieces of these lengths from `at`, and what is left.
fn cut<const N: usize>(bytes: &[u8], at: usize, lengths: [usize; N]) -> Result<([&[u8]; N], &[u8]), String> {
    let mut rest = bytes.get(at..).ok_or("it ends within its header")?;
    let mut pieces = [&bytes[..0]; N];
    for (piece, length) in pieces.iter_mut().zip(lengths) {
        if length > rest.len() {
            return Err(format!("a table of {length} bytes does not fit"));
        }
        (*piece, rest) = rest.split_at(length);
    }
    Ok((pieces, rest))
}

fn batched(bytes: &[u8]) -> Result<Part<'_>, String> {
    let mut sizes = [u32_at(bytes, 12)?, u32_at(bytes, 16)?, u32_at(bytes, 20)?, u32_at(bytes, 24)?];
    // Two older headers are shorter: where a length would stand, text or `glTF` begins.
    const TEXT: usize = 0x2200_0000;
    let (mut start, mut older_count) = (28, None);
    if sizes[2] >= TEXT {
        (start, older_count) = (20, Some(sizes[0]));
        sizes = [0, 0, sizes[1], 0];
    } else if sizes[3] >= TEXT {
        (start, older_count) = (24, Some(sizes[2]));
        sizes = [0, 0, sizes[0], sizes[1]];
    }
    let ([features, features_body, batches, batches_body], model) = cut(bytes, start, sizes)?;
    let features = Body::of(features, features_body).map_err(|e| format!("feature table: {e}"))?;
    let stated = features.json.get("BATCH_LENGTH").and_then(|n| n.as_u64()).map(|n| n as usize);
    let count = stated.or(older_count).unwrap_or(0).min(bytes.len());
    let table = batch_table(batches, batches_body, count)?;
    Ok(Part::Model { model, batches: (count > 0).then_some(table), centre: centre(&features)? })
}

fn batch_table(json: &[u8], body: &[u8], count: usize) -> Result<BatchTable, String> {
    let body = Body::of(json, body).map_err(|e| format!("batch table: {e}"))?;
    Ok(BatchTable::of(&body, count))
}

fn instanced(bytes: &[u8]) -> Result<Part<'_>, String> {
    let sizes = [u32_at(bytes, 12)?, u32_at(bytes, 16)?, u32_at(bytes, 20)?, u32_at(bytes, 24)?];
    let is_inside = u32_at(bytes, 28)? == 1;
    let ([features, features_body, batches, batches_body], model) = cut(bytes, 32, sizes)?;
    let features = Body::of(features, features_body).map_err(|e| format!("feature table: {e}"))?;
    let places = Instances::of(&features)?;
    let table = batch_table(batches, batches_body, places.batches())?;
    let model = if is_inside {
        InstanceModel::Inside(model)
    } else {
        let uri = String::from_utf8_lossy(model);
        InstanceModel::At(uri.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned())
    };
    Ok(Part::Instances { model, places, table })
}

fn cloud(bytes: &[u8]) -> Result<Part<'_>, String> {
    let sizes = [u32_at(bytes, 12)?, u32_at(bytes, 16)?, u32_at(bytes, 20)?, u32_at(bytes, 24)?];
    let ([features, features_body, ..], _) = cut(bytes, 28, sizes)?;
    let body = Body::of(features, features_body).map_err(|e| format!("feature table: {e}"))?;
    if body.json.pointer("/extensions/3DTILES_draco_point_compression").is_some() {
        return Err("it is compressed with 3DTILES_draco_point_compression, which is not read".into());
    }
    let count = body.json.get("POINTS_LENGTH").and_then(|n| n.as_u64()).ok_or("it has no POINTS_LENGTH")?;
    // A point takes six bytes at least.
    let count = usize::try_from(count).ok().filter(|n| *n <= bytes.len() / 6).ok_or("more points than bytes")?;
    Ok(Part::Points(Points {
        positions: positions(&body, count)?,
        colours: colours(&body, count)?,
        centre: centre(&body)?,
        has_table: sizes[2] > 0,
    }))
}

/// The bytes that the header of a content claims.
fn whole(bytes: &[u8]) -> Result<&[u8], String> {
    let length = u32_at(bytes, 8)?;
    if u32_at(bytes, 4)? != 1 {
        return Err(format!("version {} is not known", u32_at(bytes, 4)?));
    }
    bytes.get(..length).ok_or_else(|| format!("{length} bytes are promised, {} are there", bytes.len()))
}

fn centre(body: &Body<'_>) -> Result<DVec3, String> {
    let Some(json) = body.json.get("RTC_CENTER") else { return Ok(DVec3::ZERO) };
    if let Some(centre) = vector(json) {
        return Ok(centre);
    }
    let numbers = body.find("RTC_CENTER", ("FLOAT", 3), 1)?.unwrap_or_default();
    numbers.first_chunk::<3>().map(|c| DVec3::from_array(*c)).ok_or_else(|| "RTC_CENTER is no place".into())
}

fn vectors(numbers: &[f64]) -> Vec<DVec3> {
    numbers.chunks_exact(3).filter_map(|c| c.first_chunk::<3>()).map(|c| DVec3::from_array(*c)).collect()
}

fn positions(body: &Body<'_>, count: usize) -> Result<Vec<DVec3>, String> {
    if let Some(numbers) = body.find("POSITION", ("FLOAT", 3), count)? {
        return Ok(vectors(&numbers));
    }
    let numbers = body.find("POSITION_QUANTIZED", ("UNSIGNED_SHORT", 3), count)?.ok_or("it has no positions")?;
    let volume = |name: &str| body.json.get(name).and_then(vector).ok_or_else(|| format!("it has no {name}"));
    let (scale, offset) = (volume("QUANTIZED_VOLUME_SCALE")?, volume("QUANTIZED_VOLUME_OFFSET")?);
    Ok(vectors(&numbers).into_iter().map(|p| p / 65535.0 * scale + offset).collect())
}

fn colours(body: &Body<'_>, count: usize) -> Result<Option<Vec<[f32; 3]>>, String> {
    for (name, width) in [("RGB", 3), ("RGBA", 4)] {
        if let Some(numbers) = body.find(name, ("UNSIGNED_BYTE", width), count)? {
            let rgb = |c: &[f64]| std::array::from_fn(|k| c.get(k).copied().unwrap_or(0.0) as f32);
            return Ok(Some(numbers.chunks_exact(width).map(rgb).collect()));
        }
    }
    if let Some(numbers) = body.find("RGB565", ("UNSIGNED_SHORT", 1), count)? {
        let rgb = |v: &f64| {
            let v = *v as u16;
            [f32::from(v >> 11) * 255.0 / 31.0, f32::from(v >> 5 & 63) * 255.0 / 63.0, f32::from(v & 31) * 255.0 / 31.0]
                .map(f32::round)
        };
        return Ok(Some(numbers.iter().map(rgb).collect()));
    }
    let constant = body.find("CONSTANT_RGBA", ("UNSIGNED_BYTE", 4), 1)?;
    Ok(constant.and_then(|c| c.first_chunk::<3>().map(|c| vec![c.map(|v| v as f32); count])))
}

/// Places of the instances of an i3dm.
pub(super) struct Instances {
    pub count: usize,
    positions: Vec<DVec3>,
    ups: Option<Vec<DVec3>>,
    rights: Option<Vec<DVec3>>,
    scales: Option<Vec<DVec3>>,
    batches: Option<Vec<f64>>,
    is_east_north_up: bool,
}

impl Instances {
    fn of(body: &Body<'_>) -> Result<Self, String> {
        let count = body.json.get("INSTANCES_LENGTH").and_then(|n| n.as_u64()).ok_or("it has no INSTANCES_LENGTH")?;
        let most = body.binary.len() / 6 + body.json.get("POSITION").and_then(|p| p.as_array()).map_or(0, Vec::len);
        let count = usize::try_from(count).ok().filter(|n| *n <= most).ok_or("more instances than bytes")?;
        let centre = centre(body)?;
        let three = |name: &str| body.find(name, ("FLOAT", 3), count).map(|n| n.map(|n| vectors(&n)));
        let oct = |name: &str| {
            let numbers = body.find(name, ("UNSIGNED_SHORT", 2), count)?;
            Ok::<_, String>(numbers.map(|n| n.chunks_exact(2).map(octahedron).collect::<Vec<_>>()))
        };
        let uniform = body.find("SCALE", ("FLOAT", 1), count)?.map(|s| s.into_iter().map(DVec3::splat).collect());
        Ok(Self {
            count,
            positions: positions(body, count)?.into_iter().map(|p| p + centre).collect(),
            ups: three("NORMAL_UP")?.or(oct("NORMAL_UP_OCT32P")?),
            rights: three("NORMAL_RIGHT")?.or(oct("NORMAL_RIGHT_OCT32P")?),
            scales: three("SCALE_NON_UNIFORM")?.or(uniform),
            batches: body.find("BATCH_ID", ("UNSIGNED_SHORT", 1), count)?,
            is_east_north_up: body.json.get("EAST_NORTH_UP").and_then(|v| v.as_bool()).unwrap_or(false),
        })
    }

    /// Row of the batch table of an instance.
    pub fn batch(&self, k: usize) -> u32 {
        self.batches.as_ref().and_then(|b| b.get(k)).map_or(k as u32, |b| *b as u32)
    }

    /// Rows of the batch table.
    fn batches(&self) -> usize {
        match &self.batches {
            Some(ids) => ids.iter().fold(0.0f64, |m, id| m.max(*id + 1.0)) as usize,
            None => self.count,
        }
    }

    /// Where an instance stands; `None` where that is no number.
    pub fn transform(&self, k: usize) -> Option<DMat4> {
        let at = *self.positions.get(k)?;
        let pair = |list: &Option<Vec<DVec3>>| list.as_ref().and_then(|l| l.get(k)).and_then(|v| v.try_normalize());
        let turn = match (pair(&self.rights), pair(&self.ups)) {
            (Some(right), Some(up)) => DMat3::from_cols(right, up, right.cross(up)),
            _ if self.is_east_north_up => {
                let degrees = geographic_from_ecef(at);
                let (sin_lon, cos_lon) = degrees.x.to_radians().sin_cos();
                let (sin_lat, cos_lat) = degrees.y.to_radians().sin_cos();
                let up = DVec3::new(cos_lat * cos_lon, cos_lat * sin_lon, sin_lat);
                let east = DVec3::new(-sin_lon, cos_lon, 0.0);
                DMat3::from_cols(east, up.cross(east), up)
            }
            _ => DMat3::IDENTITY,
        };
        let scale = self.scales.as_ref().and_then(|s| s.get(k)).copied().unwrap_or(DVec3::ONE);
        let whole = DMat4::from_translation(at) * DMat4::from_mat3(turn) * DMat4::from_scale(scale);
        whole.is_finite().then_some(whole)
    }
}

/// A unit vector of two numbers of 16 bits (oct32p).
fn octahedron(pair: &[f64]) -> DVec3 {
    let at = |k: usize| pair.get(k).copied().unwrap_or(0.0) / 65535.0 * 2.0 - 1.0;
    let (x, y) = (at(0), at(1));
    let z = 1.0 - x.abs() - y.abs();
    let sign = |v: f64| if v < 0.0 { -1.0 } else { 1.0 };
    match z < 0.0 {
        true => DVec3::new((1.0 - y.abs()) * sign(x), (1.0 - x.abs()) * sign(y), z),
        false => DVec3::new(x, y, z),
    }
    .normalize_or_zero()
}
