//! The contents of tiles: glTF, and b3dm, i3dm, pnts and cmpt of 3D Tiles 1.0.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use glam::{DMat4, DVec3};
use groundline_engine::model::{Attribute, SourceReport};

use super::{
    batch::BatchTable,
    part::{InstanceModel, Instances, Part, Points},
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
        scene::{Scene, scene_of},
        table::{Table, tables_of},
    },
};

/// Tiles within tiles of a composite.
pub(super) const MAX_NESTED: u32 = 8;
/// Vertices of all instances of one content.
const MAX_INSTANCED: usize = 200_000_000;
/// Keys that are remembered to tell the same one apart.
const MAX_KEYS: usize = 16_000_000;
/// Bytes of a glTF that an i3dm names.
pub(super) const MAX_MODEL: u64 = 512 << 20;

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

impl Reader<'_> {
    /// Reads a content by its first bytes.
    pub fn read(&mut self, bytes: &[u8], place: &Place<'_>, nested: u32) -> Result<(), Fault> {
        match Part::of(bytes)? {
            Part::Model { model, batches, centre } => {
                if let Some(table) = &batches {
                    self.note(table);
                }
                self.model(model, place, batches.as_ref(), centre)
            }
            Part::Instances { model, places, table } => self.instanced(&model, &places, &table, place),
            Part::Points(points) => self.cloud(points, place),
            Part::Composite(_) if nested >= MAX_NESTED => Err("composites within composites".into()),
            Part::Composite(inner) => {
                for (number, inner) in inner.enumerate() {
                    let key = format!("{}.{number}", place.key);
                    let inner_place = Place { key: &key, ..*place };
                    match self.read(inner?, &inner_place, nested + 1) {
                        Err(Fault::Bad(reason)) => self.report.skip(self.record, format!("{key}: {reason}")),
                        other => other?,
                    }
                }
                Ok(())
            }
        }
    }

    /// Tells what of a batch table could not be read.
    fn note(&mut self, table: &BatchTable) {
        for note in &table.notes {
            self.report.warn("property_left_out", note.clone(), format!("content {}", self.record));
        }
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

    fn instanced(
        &mut self,
        model: &InstanceModel<'_>,
        instances: &Instances,
        table: &BatchTable,
        place: &Place<'_>,
    ) -> Result<(), Fault> {
        self.note(table);
        let scene = match model {
            InstanceModel::Inside(model) => self.scene(model, place.folder)?.0,
            InstanceModel::At(uri) => {
                let model = place.folder.read(uri, MAX_MODEL)?;
                self.scene(&model, &place.folder.of_address(uri)?)?.0
            }
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

    fn cloud(&mut self, points: Points, place: &Place<'_>) -> Result<(), Fault> {
        if points.has_table {
            let message = "properties of the points of a batch table were left out";
            self.report.warn("property_left_out", message, format!("content {}", self.record));
        }
        let transform = place.transform * DMat4::from_translation(points.centre);
        let mut placed: Vec<DVec3> = points.positions.iter().map(|p| transform.transform_point3(*p)).collect();
        self.placing.apply(&mut placed);
        for (k, at) in placed.into_iter().enumerate() {
            self.points += 1;
            let rgb = points.colours.as_ref().and_then(|c| c.get(k)).copied();
            self.scan.push(self.points, RawPoint { at, rgb, ..RawPoint::default() }, self.out, self.report)?;
        }
        Ok(())
    }
}

/// A place of a glTF with z up.
pub(super) fn upright(p: DVec3, up: Up) -> DVec3 {
    match up {
        Up::Y => gltf::z_up(p),
        Up::Z => p,
        Up::X => DVec3::new(-p.z, p.y, p.x),
    }
}
