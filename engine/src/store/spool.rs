//! The objects of one source as they came, kept until their layer is finished.
//!
//! A layer of many sources is finished when the last of them is read. So that an import that is killed before need not read
//! the others again, the objects of each source are written to `.resume/<key>.objects` as they come: rows with
//! their length before them, the points of scans behind their rows, at the end the account of the source and the BLAKE3 of it
//! all. While it is being written the file ends in `.part`.
//!
//! Meshes are not written: a source with one is read again. Nor is anything written on a disk that is nearly full.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use glam::DVec3;

use super::{
    Draft, SourceRef, StoreError,
    bytes::{Broken, Sink, Source},
    json::Origins,
    resume,
    row::Row,
    shape::Kind,
};
use crate::model::{CityObject, Geometry, PointBatch, SourceReport};

const MAGIC: &[u8; 8] = b"GLSPOOL1";
/// Length that stands before the account.
const END: u32 = u32::MAX;
/// Longest record that is read back.
const MOST_BYTES: u32 = 1 << 31;
/// Bytes after which the room on the disk is looked at, and room that is left to others.
const LOOK_EVERY: u64 = 64 << 20;
const LEAVE_BYTES: u64 = 2 << 30;

/// Where the objects of sources are kept.
#[derive(Clone, Debug)]
pub struct Spools {
    folder: PathBuf,
    salt: String,
}

impl Draft {
    /// Where the objects of sources are kept, when this draft keeps what is finished.
    pub fn spools(&self) -> Option<Spools> {
        self.resume.as_ref()?;
        let crs = serde_json::to_string(&self.head.crs).unwrap_or_default();
        Some(Spools { folder: resume::folder_of(&self.folder), salt: format!("{} {crs}", resume::program()) })
    }
}

impl Spools {
    /// Name of the file for `source`.
    pub fn name(&self, source: &SourceRef) -> String {
        let all = format!("{}|{}|{}", self.salt, source.hash, source.prefix.as_deref().unwrap_or_default());
        format!("{}.objects", &blake3::hash(all.as_bytes()).to_hex()[..32])
    }

    /// Removes what is kept of `source`.
    pub fn remove(&self, source: &SourceRef) {
        let _ = fs::remove_file(self.folder.join(self.name(source)));
    }

    pub(super) fn create(&self, source: &SourceRef) -> Option<Spool> {
        fs::create_dir_all(&self.folder).ok()?;
        let target = self.folder.join(self.name(source));
        let part = target.with_extension("part");
        let mut spool = Spool {
            file: BufWriter::with_capacity(1 << 18, File::create(&part).ok()?),
            hasher: blake3::Hasher::new(),
            written: 0,
            looked_at: 0,
            part,
            target,
        };
        (has_room(&self.folder) && spool.put(MAGIC).is_ok()).then_some(spool)
    }

    /// The objects of `source` one by one and its account, when they were kept and are whole.
    pub(super) fn open(&self, source: &SourceRef) -> Option<(Kept, SourceReport)> {
        let path = self.folder.join(self.name(source));
        let account = check(&path).ok().flatten()?;
        let file = BufReader::with_capacity(1 << 18, File::open(&path).ok()?);
        let mut kept = Kept { path, file, origins: Origins::default() };
        let mut magic = [0; 8];
        kept.file.read_exact(&mut magic).ok()?;
        Some((kept, account))
    }
}

fn has_room(folder: &Path) -> bool {
    #[cfg(unix)]
    {
        rustix::fs::statvfs(folder).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) > LEAVE_BYTES)
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        true
    }
}

/// The objects of a source while they come.
pub(super) struct Spool {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    written: u64,
    looked_at: u64,
    part: PathBuf,
    target: PathBuf,
}

impl Spool {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Writes an object; `false` when it cannot be kept, and the source with it.
    pub fn write(&mut self, row: &Row, geometry: &Geometry) -> bool {
        if row.kind == Kind::Mesh {
            return false;
        }
        if self.written - self.looked_at > LOOK_EVERY {
            self.looked_at = self.written;
            if !has_room(&self.part) {
                return false;
            }
        }
        let mut record = Sink::default();
        record.bytes(&row.encode());
        if let Geometry::Points(batch) = geometry {
            put_points(&mut record, batch);
        }
        let Some(length) = u32::try_from(record.0.len()).ok().filter(|n| *n <= MOST_BYTES) else { return false };
        self.put(&length.to_le_bytes()).and_then(|()| self.put(&record.0)).is_ok()
    }

    /// Ends the file: from now on it counts.
    pub fn finish(mut self, account: &SourceReport) {
        let Ok(json) = serde_json::to_vec(account) else { return };
        let written = self
            .put(&END.to_le_bytes())
            .and_then(|()| self.put(&json))
            .and_then(|()| self.file.write_all(&(json.len() as u32).to_le_bytes()))
            .and_then(|()| self.file.write_all(self.hasher.finalize().as_bytes()))
            .and_then(|()| self.file.flush());
        if written.is_ok() {
            let _ = fs::rename(&self.part, &self.target);
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Gone already when it was ended.
        let _ = fs::remove_file(&self.part);
    }
}

/// The account at the end of a file that is whole.
fn check(path: &Path) -> std::io::Result<Option<SourceReport>> {
    const TAIL: u64 = 36;
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let Some(body) = size.checked_sub(TAIL).filter(|body| *body >= 12) else { return Ok(None) };
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut (&mut file).take(body), &mut hasher)?;
    let mut tail = [0; TAIL as usize];
    file.read_exact(&mut tail)?;
    let (length, hash) = tail.split_at(4);
    let length = u64::from(u32::from_le_bytes(length.try_into().unwrap_or_default()));
    if hasher.finalize().as_bytes() != hash || length + 12 > body {
        return Ok(None);
    }
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(body - length))?;
    let mut json = vec![0; length as usize];
    file.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json).ok())
}

/// Objects that were kept, one by one.
pub(super) struct Kept {
    path: PathBuf,
    file: BufReader<File>,
    origins: Origins,
}

impl Kept {
    fn record(&mut self) -> Result<Option<CityObject>, StoreError> {
        let mut length = [0; 4];
        self.file.read_exact(&mut length).map_err(StoreError::at(&self.path))?;
        let length = u32::from_le_bytes(length);
        if length == END {
            return Ok(None);
        }
        if length > MOST_BYTES {
            return Err(StoreError::damaged(&self.path, "a record is too long"));
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact(&mut bytes).map_err(StoreError::at(&self.path))?;
        let object = self.object(&bytes).map_err(|e| StoreError::damaged(&self.path, e))?;
        Ok(Some(object))
    }

    fn object(&mut self, bytes: &[u8]) -> Result<CityObject, Broken> {
        let mut from = Source(bytes);
        let row = Row::decode(from.bytes()?)?;
        let mut object = row.object(&mut self.origins)?;
        if row.kind == Kind::Points {
            object.geometry = Geometry::Points(take_points(&mut from)?);
        }
        Ok(object)
    }
}

impl Iterator for Kept {
    type Item = Result<CityObject, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.record().transpose()
    }
}

fn put_points(out: &mut Sink, batch: &PointBatch) {
    let PointBatch { positions, colours, intensities, classes } = batch;
    out.vertices(positions);
    out.count(colours.len());
    out.0.extend_from_slice(colours.as_flattened());
    out.count(intensities.len());
    intensities.iter().for_each(|v| out.0.extend_from_slice(&v.to_le_bytes()));
    out.bytes(classes);
}

fn take_points(from: &mut Source<'_>) -> Result<PointBatch, Broken> {
    let positions: Vec<DVec3> = from.vertices()?;
    let count = from.count(3)?;
    let colours = from.take(count * 3)?.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
    let count = from.count(2)?;
    let intensities = from.take(count * 2)?.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect();
    let classes = from.bytes()?.to_vec();
    Ok(PointBatch { positions, colours, intensities, classes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crs::Crs,
        model::{Attribute, Class, ObjectId, Point, Value, Vertical},
        store::City,
    };

    fn objects() -> Vec<CityObject> {
        let positions: Vec<DVec3> = (0..50).map(|i| DVec3::new(f64::from(i) / 3.0, 1e7, -0.1)).collect();
        let batch = PointBatch {
            colours: positions.iter().map(|_| [1, 2, 3]).collect(),
            intensities: (0..50).collect(),
            classes: vec![2; 50],
            positions,
        };
        let point = Geometry::Point(Point { at: DVec3::new(0.1, 0.2, 0.3), vertical: Vertical::Absolute });
        let mut tree = CityObject::new(ObjectId::new("t", 1), Class::Tree, point);
        tree.attributes.push(Attribute::converted("height_m", Value::Real(0.1 + 0.2), "H", "as is"));
        vec![tree, CityObject::new(ObjectId::new("scan", 0), Class::PointCloud, Geometry::Points(batch))]
    }

    #[test]
    fn what_is_kept_comes_back_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let city = City::create(&dir.path().join("a.city"), "a", &Crs::from_epsg(4549).unwrap(), None).unwrap();
        let mut draft = city.begin().unwrap();
        assert!(draft.spools().is_none());
        draft.keep_finished();
        let spools = draft.spools().unwrap();
        let source = |hash: &str| SourceRef { path: "a".into(), hash: hash.into(), prefix: Some("a".into()) };
        let write = |ends: bool| {
            let mut spool = spools.create(&source("1")).unwrap();
            for object in objects() {
                assert!(spool.write(&Row::new(&object, 0).unwrap(), &object.geometry));
            }
            if ends {
                spool.finish(&SourceReport { objects: 2, ..SourceReport::default() });
            }
        };
        write(false);
        assert!(spools.open(&source("1")).is_none(), "not ended");
        write(true);
        let (kept, account) = spools.open(&source("1")).unwrap();
        assert_eq!(account.objects, 2);
        assert_eq!(kept.map(|o| o.unwrap()).collect::<Vec<_>>(), objects());
        assert!(spools.open(&source("2")).is_none(), "another content");
        let path = spools.folder.join(spools.name(&source("1")));
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 16;
            fs::write(&path, &bad).unwrap();
            assert!(spools.open(&source("1")).is_none(), "byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(spools.open(&source("1")).is_none(), "cut at {at}");
        }
        fs::write(&path, &good).unwrap();
        spools.remove(&source("1"));
        assert!(!path.exists());
    }
}
