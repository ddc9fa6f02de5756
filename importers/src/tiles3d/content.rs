//! The contents of tiles: glTF, and b3dm, i3dm, pnts and cmpt of 3D Tiles 1.0.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use glam::{DMat3, DMat4, DVec3};
use groundline_engine::{
    crs::geographic_from_ecef,
    model::{Attribute, SourceReport},
};

use super::{
    batch::{BatchTable, Body},
    tree::Up,
};
use crate::{
    ImportError, Job, Out,
    cloud::{Placing, RawPoint, Scan},
    gltf::{
        self,
        document::Document,
        folder::Folder,
        object::{Drawn, Feature, emit, own_key, sorted},
        scene::{Scene, scene_of, vector},
        table::{Table, tables_of},
    },
};

/// Tiles within tiles of a composite.
const MAX_NESTED: u32 = 8;
/// Vertices of all instances of one content.
const MAX_INSTANCED: usize = 200_000_000;
/// Keys that are remembered to tell the same one apart.
const MAX_KEYS: usize = 16_000_000;
/// Bytes of a glTF that an i3dm names.
const MAX_MODEL: u64 = 512 << 20;

/// Why a content stopped: of itself, or since the whole import did.
pub(super) enum Fault {
    Bad(String),
    Stopped(ImportError),
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Bad(reason)
    }
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self::Bad(reason.into())
    }
}

impl From<ImportError> for Fault {
    fn from(error: ImportError) -> Self {
        Self::Stopped(error)
    }
}

/// Where a content stands.
pub(super) struct Place<'p> {
    pub key: &'p str,
    pub folder: &'p Folder,
    pub transform: DMat4,
    pub up: Up,
}

/// Reads contents one after the other.
pub(super) struct Reader<'r> {
    pub job: &'r Job<'r>,
    pub placing: &'r Placing<'r>,
    pub out: &'r mut dyn Out,
    pub report: &'r mut SourceReport,
    /// The points of all contents are one scan.
    pub scan: Scan<'r>,
    pub points: u64,
    /// Number of the current content.
    pub record: u64,
    pub keys: HashMap<u64, u32>,
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

impl Reader<'_> {
    /// Reads a content by its first bytes.
    pub fn read(&mut self, bytes: &[u8], place: &Place<'_>, nested: u32) -> Result<(), Fault> {
        match bytes.get(..4) {
            Some(b"glTF") => self.model(bytes, place, None, DVec3::ZERO),
            Some(b"b3dm") => self.batched(whole(bytes)?, place),
            Some(b"i3dm") => self.instanced(whole(bytes)?, place),
            Some(b"pnts") => self.cloud(whole(bytes)?, place),
            Some(b"cmpt") => {
                if nested >= MAX_NESTED {
                    return Err("composites within composites".into());
                }
                let bytes = whole(bytes)?;
                let count = u32_at(bytes, 12)?;
                let mut at = 16;
                for number in 0..count {
                    let length = u32_at(bytes, at + 8)?;
                    let inner = bytes.get(at..at + length).filter(|b| b.len() >= 12);
                    let inner = inner.ok_or_else(|| format!("inner tile {number} of {length} bytes does not fit"))?;
                    let key = format!("{}.{number}", place.key);
                    let inner_place = Place { key: &key, ..*place };
                    match self.read(inner, &inner_place, nested + 1) {
                        Err(Fault::Bad(reason)) => self.report.skip(self.record, format!("{key}: {reason}")),
                        other => other?,
                    }
                    at += length;
                }
                Ok(())
            }
            _ if bytes.trim_ascii_start().starts_with(b"{") => self.model(bytes, place, None, DVec3::ZERO),
            _ => Err("its first bytes are those of no known content".into()),
        }
    }

    fn batched(&mut self, bytes: &[u8], place: &Place<'_>) -> Result<(), Fault> {
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
        let table = self.batch_table(batches, batches_body, count)?;
        let centre = centre(&features)?;
        self.model(model, place, (count > 0).then_some(&table), centre)
    }

    fn batch_table(&mut self, json: &[u8], body: &[u8], count: usize) -> Result<BatchTable, String> {
        let body = Body::of(json, body).map_err(|e| format!("batch table: {e}"))?;
        let table = BatchTable::of(&body, count);
        for note in &table.notes {
            self.report.warn("property_left_out", note.clone(), format!("content {}", self.record));
        }
        Ok(table)
    }

    fn scene(&mut self, bytes: &[u8], folder: &Folder) -> Result<(Scene, Document), String> {
        let document = Document::read(bytes, folder.clone())?;
        let scene = scene_of(&document)?;
        for (code, message) in &scene.notes {
            self.report.warn(code, message.clone(), format!("content {}", self.record));
        }
        Ok((scene, document))
    }

    fn model(
        &mut self,
        bytes: &[u8],
        place: &Place<'_>,
        batches: Option<&BatchTable>,
        centre: DVec3,
    ) -> Result<(), Fault> {
        let (scene, document) = self.scene(bytes, place.folder)?;
        let (tables, notes) = tables_of(&document);
        drop(document);
        for note in notes {
            self.report.warn("property_left_out", note, format!("content {}", self.record));
        }
        let transform = place.transform * DMat4::from_translation(centre);
        let found = self.sort(&scene, transform, place.up)?;
        for (feature, drawn) in found {
            let attributes = match (feature, batches) {
                (Some((_, id)), Some(table)) => table.attributes(id),
                _ => gltf::attributes(&tables, feature),
            };
            let key = match feature {
                None => place.key.to_owned(),
                Some((_, id)) => self.feature_key(&attributes, place, u64::from(id)),
            };
            self.emit(&key, drawn, attributes)?;
        }
        Ok(())
    }

    fn feature_key(&self, attributes: &[Attribute], place: &Place<'_>, id: u64) -> String {
        own_key(attributes).unwrap_or_else(|| format!("{}#{id}", place.key))
    }

    /// Pieces by feature, in the city; points go into the scan.
    fn sort(
        &mut self,
        scene: &Scene,
        transform: DMat4,
        up: Up,
    ) -> Result<std::collections::BTreeMap<Feature, Drawn>, Fault> {
        let placing = self.placing;
        let place = |points: &[DVec3]| {
            let mut placed: Vec<DVec3> = points.iter().map(|p| transform.transform_point3(upright(*p, up))).collect();
            placing.apply(&mut placed);
            placed
        };
        let (scan, out, report, count) = (&mut self.scan, &mut *self.out, &mut *self.report, &mut self.points);
        let mut point = |p| {
            *count += 1;
            scan.push(*count, p, out, report)
        };
        Ok(sorted(&scene.pieces, place, &mut point)?)
    }

    fn emit(&mut self, key: &str, drawn: Drawn, attributes: Vec<Attribute>) -> Result<(), Fault> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        let unique;
        let key = if self.keys.len() >= MAX_KEYS && !self.keys.contains_key(&hash) {
            unique = format!("{key}~{}", self.record);
            &unique
        } else {
            let times = self.keys.entry(hash).or_insert(0);
            *times += 1;
            if *times > 1 {
                unique = format!("{key}~{times}");
                let message = format!("{key} stands in several tiles; the pieces are told apart by a number");
                self.report.warn("duplicate_id", message, format!("content {}", self.record));
                &unique
            } else {
                key
            }
        };
        Ok(emit(self.job, (key, self.record), drawn, attributes, self.out, self.report)?)
    }

    fn instanced(&mut self, bytes: &[u8], place: &Place<'_>) -> Result<(), Fault> {
        let sizes = [u32_at(bytes, 12)?, u32_at(bytes, 16)?, u32_at(bytes, 20)?, u32_at(bytes, 24)?];
        let is_inside = u32_at(bytes, 28)? == 1;
        let ([features, features_body, batches, batches_body], model) = cut(bytes, 32, sizes)?;
        let features = Body::of(features, features_body).map_err(|e| format!("feature table: {e}"))?;
        let instances = Instances::of(&features)?;
        let table = self.batch_table(batches, batches_body, instances.batches())?;
        let scene = if is_inside {
            self.scene(model, place.folder)?.0
        } else {
            let uri = String::from_utf8_lossy(model);
            let uri = uri.trim_matches(|c: char| c == '\0' || c.is_whitespace());
            let path = place.folder.path(uri)?;
            let model = gltf::folder::read_file(&path, MAX_MODEL)?;
            self.scene(&model, &place.folder.beside(&path))?.0
        };
        let vertices: usize = scene.pieces.iter().map(|p| p.positions.len()).sum();
        if vertices.saturating_mul(instances.count) > MAX_INSTANCED {
            return Err(format!("{} instances of {vertices} vertices are too many", instances.count).into());
        }
        for k in 0..instances.count {
            let Some(own) = instances.transform(k) else {
                self.report.skip(self.record, format!("{}: instance {k} has no place", place.key));
                continue;
            };
            let found = self.sort(&scene, place.transform * own, place.up)?;
            let mut whole = Drawn::default();
            for (_, drawn) in found {
                whole.parts.extend(drawn.parts);
                whole.lines.extend(drawn.lines);
            }
            let batch = instances.batch(k);
            let attributes = table.attributes(batch);
            let key = own_key(&attributes).unwrap_or_else(|| format!("{}#{k}", place.key));
            self.emit(&key, whole, attributes)?;
        }
        Ok(())
    }

    fn cloud(&mut self, bytes: &[u8], place: &Place<'_>) -> Result<(), Fault> {
        let sizes = [u32_at(bytes, 12)?, u32_at(bytes, 16)?, u32_at(bytes, 20)?, u32_at(bytes, 24)?];
        let ([features, features_body, ..], _) = cut(bytes, 28, sizes)?;
        let body = Body::of(features, features_body).map_err(|e| format!("feature table: {e}"))?;
        if body.json.pointer("/extensions/3DTILES_draco_point_compression").is_some() {
            return Err("it is compressed with 3DTILES_draco_point_compression, which is not read".into());
        }
        let count = body.json.get("POINTS_LENGTH").and_then(|n| n.as_u64()).ok_or("it has no POINTS_LENGTH")?;
        // A point takes six bytes at least.
        let count = usize::try_from(count).ok().filter(|n| *n <= bytes.len() / 6).ok_or("more points than bytes")?;
        let positions = positions(&body, count)?;
        let colours = colours(&body, count)?;
        if sizes[2] > 0 {
            let message = "properties of the points of a batch table were left out";
            self.report.warn("property_left_out", message, format!("content {}", self.record));
        }
        let transform = place.transform * DMat4::from_translation(centre(&body)?);
        let mut placed: Vec<DVec3> = positions.iter().map(|p| transform.transform_point3(*p)).collect();
        self.placing.apply(&mut placed);
        for (k, at) in placed.into_iter().enumerate() {
            self.points += 1;
            let rgb = colours.as_ref().and_then(|c| c.get(k)).copied();
            self.scan.push(self.points, RawPoint { at, rgb, ..RawPoint::default() }, self.out, self.report)?;
        }
        Ok(())
    }
}

/// The bytes that the header of a content claims.
fn whole(bytes: &[u8]) -> Result<&[u8], String> {
    let length = u32_at(bytes, 8)?;
    if u32_at(bytes, 4)? != 1 {
        return Err(format!("version {} is not known", u32_at(bytes, 4)?));
    }
    bytes.get(..length).ok_or_else(|| format!("{length} bytes are promised, {} are there", bytes.len()))
}

fn upright(p: DVec3, up: Up) -> DVec3 {
    match up {
        Up::Y => gltf::z_up(p),
        Up::Z => p,
        Up::X => DVec3::new(-p.z, p.y, p.x),
    }
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
struct Instances {
    count: usize,
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

    fn batch(&self, k: usize) -> u32 {
        self.batches.as_ref().and_then(|b| b.get(k)).map_or(k as u32, |b| *b as u32)
    }

    /// Rows of the batch table.
    fn batches(&self) -> usize {
        match &self.batches {
            Some(ids) => ids.iter().fold(0.0f64, |m, id| m.max(*id + 1.0)) as usize,
            None => self.count,
        }
    }

    fn transform(&self, k: usize) -> Option<DMat4> {
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
