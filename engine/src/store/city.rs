//! An open city at one version.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Draft, LayerEntry, StoreError, disk, ids,
    json::Origins,
    lock::Lock,
    manifest::{self, FORMAT, FORMAT_VERSION, FileRecord, Head, LayerRecord, Manifest},
    parts::Parts,
    path::join_inside,
    place,
    read::{self, RowReader, Rows},
    row::Row,
    shape::Kind,
};
use crate::{
    crs::{Crs, Frame},
    fault::{self, Place},
    model::{CityObject, Extent, Geometry, HeightGrid, ImportReport, ObjectId, Picture},
    query::{LayerIndex, Names, PartIndex, tree_of},
    tile::{Ground, raster::HeightRaster},
};

/// The folders of a city.
pub(super) const INNER: [&str; 4] = ["versions", "objects", "tiles", "reports"];
/// Largest report that is read.
const MOST_REPORT_BYTES: u64 = 64 << 20;

/// An open city at one version. It stays at that version whatever others commit.
#[derive(Debug)]
pub struct City {
    pub(super) folder: PathBuf,
    pub(super) head: Head,
    pub(super) manifest: Manifest,
    layers: Vec<LayerEntry>,
    /// By layer, and whether ended states are in it.
    indexes: Mutex<BTreeMap<(String, bool), Arc<LayerIndex>>>,
    /// What its objects are called, as far as anyone searched.
    names: Names,
    /// Parts whose lists of ids are as they were written.
    sound: Mutex<HashSet<PathBuf>>,
    /// Its frame, as far as anyone asked.
    frame: Mutex<Option<Arc<Frame>>>,
}

/// A version of the city, as its manifest tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// Its number.
    pub version: u64,
    /// When it was committed: RFC 3339, UTC.
    pub time: String,
    /// By whom.
    pub who: String,
    /// What changed.
    pub what: String,
}

impl City {
    /// Makes an empty city (version 0) in `folder`, which must not hold one yet, unless that is still empty. The folder may be a bucket
    /// URL (`s3://bucket/prefix/name.city`), as in all that takes the folder of a city.
    pub fn create(folder: &Path, name: &str, crs: &Crs, vertical_epsg: Option<u32>) -> Result<Self, StoreError> {
        let named = folder;
        let folder = &place::settle(named)?;
        let bucket = place::bucket(folder);
        bucket.as_ref().map_or(Ok(()), |bucket| bucket.check_writable())?;
        fs::create_dir_all(folder).map_err(StoreError::at(folder))?;
        fault::at(Place::CreateFolder);
        if bucket.is_none() && !folder.join("city.json").exists() && is_occupied(folder) {
            return Err(StoreError::Occupied(folder.to_path_buf()));
        }
        let _lock = Lock::take(folder)?;
        fault::at(Place::CreateLocked);
        let is_there = match &bucket {
            Some(bucket) => bucket.head().is_some_and(|(_, tag)| tag.is_some()),
            None => folder.join("city.json").exists(),
        };
        if is_there {
            if !manifest::read_head(folder).is_ok_and(|head| head.version == 0) {
                return Err(StoreError::Exists(named.to_path_buf()));
            }
            super::resume::forget(folder);
        }
        Self::make(folder, name, crs, vertical_epsg).inspect_err(|_| {
            if !is_there {
                remove_made(folder);
            }
        })
    }

    fn make(folder: &Path, name: &str, crs: &Crs, vertical_epsg: Option<u32>) -> Result<Self, StoreError> {
        for inner in INNER {
            let path = folder.join(inner);
            fs::create_dir_all(&path).map_err(StoreError::at(&path))?;
            fault::at(Place::CreateInner);
        }
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            version: 0,
            parent: None,
            parent_manifest: None,
            time: super::now(),
            who: super::who(),
            what: "made the city".into(),
            layers: Vec::new(),
            report: None,
        };
        let path = folder.join(manifest::manifest_path(0));
        let bytes = manifest::to_json(&manifest, &path)?;
        disk::replace_file(&path, &bytes)?;
        fault::at(Place::CreateManifest);
        let head = Head {
            format: FORMAT.into(),
            format_version: FORMAT_VERSION,
            name: name.into(),
            crs: crs.clone(),
            vertical_epsg,
            extent: Extent::EMPTY,
            version: 0,
            manifest: blake3::hash(&bytes).to_hex().to_string(),
            oldest: 0,
            check: None,
        };
        match place::bucket(folder) {
            // It comes into the bucket with its first version.
            Some(bucket) => bucket.begin(&manifest::head_bytes(folder, &head)?),
            None => manifest::write_head(folder, &head)?,
        }
        fault::at(Place::CreateDone);
        Ok(Self::new(folder, head, manifest))
    }

    /// Removes a city of version 0 that could not be filled, with its folder where nothing else is in it.
    pub fn remove_unfilled(folder: &Path) {
        let folder = &place::local(folder);
        if place::bucket(folder).is_some() {
            return place::discard(folder);
        }
        let Ok(_lock) = Lock::take(folder) else { return };
        if !manifest::read_head(folder).is_ok_and(|head| head.version == 0) {
            return;
        }
        // What cannot be removed is an empty city, which the next import fills.
        let _ = super::draft::remove_stale_staging(folder);
        super::resume::forget(folder);
        remove_made(folder);
    }

    /// Opens the current version.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let folder = &place::settle(folder)?;
        let head = manifest::read_head(folder)?;
        let (manifest, hash) = manifest::read_manifest(folder, head.version)?;
        if hash != head.manifest {
            let path = folder.join(manifest::manifest_path(head.version));
            return Err(StoreError::damaged(&path, "it is not the manifest that city.json names"));
        }
        Ok(Self::new(folder, head, manifest))
    }

    /// As [`City::open`]; where the bucket does not answer, the version whose copy is on this machine, with the reason why it is that one.
    pub fn open_or_recall(folder: &Path) -> Result<(Self, Option<StoreError>), StoreError> {
        match Self::open(folder) {
            Ok(city) => Ok((city, None)),
            Err(error @ StoreError::Bucket { .. }) => match place::recall(folder) {
                Some(copy) => Ok((Self::open(&copy)?, Some(error))),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Opens an earlier version, to be read.
    pub fn open_version(folder: &Path, version: u64) -> Result<Self, StoreError> {
        let folder = &place::settle(folder)?;
        let mut head = manifest::read_head(folder)?;
        head.has_version(folder, version)?;
        let (manifest, hash) = manifest::read_manifest(folder, version)?;
        (head.version, head.manifest, head.extent) = (version, hash, manifest.extent());
        Ok(Self::new(folder, head, manifest))
    }

    fn new(folder: &Path, head: Head, manifest: Manifest) -> Self {
        let layers = manifest.layers.iter().map(LayerRecord::entry).collect();
        Self {
            folder: folder.to_path_buf(),
            head,
            manifest,
            layers,
            indexes: Mutex::default(),
            names: Names::default(),
            sound: Mutex::default(),
            frame: Mutex::default(),
        }
    }

    /// Folder of the city; of one in a bucket that of its copy on this machine.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Name of the city.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// Number of the open version.
    pub fn version(&self) -> u64 {
        self.head.version
    }

    /// BLAKE3 of the open version's manifest.
    pub(crate) fn manifest_hash(&self) -> &str {
        &self.head.manifest
    }

    /// The city's coordinate system.
    pub fn crs(&self) -> &Crs {
        &self.head.crs
    }

    /// EPSG code of the city's vertical datum, where it is known.
    pub fn vertical_epsg(&self) -> Option<u32> {
        self.head.vertical_epsg
    }

    /// The city's frame on the Earth.
    pub fn frame(&self) -> Result<Frame, StoreError> {
        Ok(Frame::new(self.head.crs.clone())?)
    }

    /// The same, made at the first question.
    pub(crate) fn held_frame(&self) -> Result<Arc<Frame>, StoreError> {
        let mut held = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = &*held {
            return Ok(frame.clone());
        }
        Ok(held.insert(Arc::new(self.frame()?)).clone())
    }

    /// Whether the layer can be asked without reading its index first.
    pub(crate) fn is_indexed(&self, layer: &str) -> bool {
        let indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        indexes.contains_key(&(layer.to_owned(), false))
    }

    /// Layers of the open version, by name.
    pub fn layers(&self) -> &[LayerEntry] {
        &self.layers
    }

    /// The layer of this name.
    pub fn layer(&self, name: &str) -> Option<&LayerEntry> {
        self.layers.iter().find(|l| l.name == name)
    }

    /// Box around everything.
    pub fn extent(&self) -> Extent {
        self.manifest.extent()
    }

    /// The versions up to the open one that are still there, oldest first. A version whose manifest cannot be read is an error.
    pub fn versions(&self) -> Result<Vec<VersionInfo>, StoreError> {
        (self.head.oldest..=self.head.version)
            .map(|version| {
                let (manifest, _) = manifest::read_manifest(&self.folder, version)?;
                Ok(VersionInfo { version, time: manifest.time, who: manifest.who, what: manifest.what })
            })
            .collect()
    }

    /// The account of the import that made the open version; `None` for version 0.
    pub fn report(&self) -> Result<Option<ImportReport>, StoreError> {
        let path = self.folder.join(manifest::report_path(self.head.version));
        if !place::is_file(&path).map_err(StoreError::at(&path))? {
            return Ok(None);
        }
        let bytes = disk::read_bounded(&path, MOST_REPORT_BYTES)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| StoreError::damaged(&path, e))
    }

    /// The terrain: all grids of all layers, the finest on top.
    pub fn ground(&self) -> Result<Ground, StoreError> {
        let mut grids = Vec::new();
        for record in &self.manifest.layers {
            let held = grids_of(&self.folder, record)?;
            grids.extend(held.into_iter().map(HeightRaster::in_memory).map(Arc::new));
        }
        Ok(ground_of(grids))
    }

    /// The pictures of the ground, in the order in which they lie on it.
    pub fn pictures(&self) -> Result<Vec<Picture>, StoreError> {
        let mut pictures = Vec::new();
        for record in &self.manifest.layers {
            pictures.extend(pictures_of(&self.folder, record)?);
        }
        Ok(pictures)
    }

    /// One object with all its attributes. Of a mesh or a scan the shape is in the tiles alone and comes as
    /// `Geometry::None`; of a DEM or a picture the first part comes.
    pub fn object(&self, id: &ObjectId) -> Result<Option<CityObject>, StoreError> {
        Ok(match self.row(id.as_str())? {
            Some((path, row)) => {
                let object = row.object(&mut Origins::default());
                Some(object.map_err(|e| StoreError::damaged(&path, format!("{id}: {e}")))?)
            }
            None => None,
        })
    }

    /// The box around an object, scans and meshes too.
    pub fn object_extent(&self, id: &ObjectId) -> Result<Option<Extent>, StoreError> {
        Ok(self.row(id.as_str())?.map(|(_, row)| row.extent))
    }

    fn row(&self, id: &str) -> Result<Option<(PathBuf, Row)>, StoreError> {
        let hash = ids::hash_of(id);
        // Ids begin with their layer's name, so that layer is the likely one.
        let (likely, others): (Vec<_>, Vec<_>) =
            self.manifest.layers.iter().partition(|l| id.strip_prefix(&l.name).is_some_and(|r| r.starts_with('/')));
        let layers = likely.into_iter().chain(others);
        for (record, file) in layers.flat_map(|record| record.parquet().map(move |file| (record, file))) {
            let path = join_inside(&self.folder, &file.path)?;
            self.sound_list(&path, record, file, "ids")?;
            let rows = ids::find(&path.with_extension("ids"), hash)?;
            if rows.is_empty() {
                continue;
            }
            for row in RowReader::open(&path, Rows::These(&rows))? {
                let row = row?;
                if row.id == id {
                    return Ok(Some((path, row)));
                }
            }
        }
        Ok(None)
    }

    /// The objects of a layer one by one, in the order of its file. Meshes and scans come without their shape.
    pub fn objects(&self, layer: &str) -> Result<Objects, StoreError> {
        Objects::open(&self.folder, self.record(layer)?)
    }

    /// The files of a layer's tiles, relative to the city.
    pub fn tile_files(&self, layer: &str) -> Result<Vec<String>, StoreError> {
        let record = self.record(layer)?;
        let mut files: Vec<String> = record.tile_files.iter().map(|file| file.path.clone()).collect();
        let mut failed = None;
        record.each_named_tile(&self.folder, &mut BTreeSet::new(), &mut |file| match file {
            Ok(file) => files.push(file.path),
            Err(error) => failed = Some(StoreError::damaged(&error.path, &error.reason)),
        });
        failed.map_or(Ok(files), Err)
    }

    /// Begins a new version; takes the city's write lock. The version before is the newest on the disk,
    /// also when this city was opened at an earlier one.
    pub fn begin(&self) -> Result<Draft, StoreError> {
        Draft::begin(&self.folder)
    }

    /// The layer's spatial index, of ended states too when they are wanted; made when it is first asked for.
    pub(crate) fn index(&self, layer: &str, with_ended: bool) -> Result<Arc<LayerIndex>, StoreError> {
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (layer.to_owned(), with_ended);
        if let Some(index) = indexes.get(&key) {
            return Ok(index.clone());
        }
        let record = self.record(layer)?;
        let mut parts = Vec::new();
        let ended = record.ended_files.iter().filter(|_| with_ended);
        for file in record.parquet().chain(ended) {
            let path = join_inside(&self.folder, &file.path)?;
            let tree = tree_of(&path);
            let beside = match place::is_file(&tree).map_err(StoreError::at(&tree))? {
                true => PartIndex::beside(&path, record.beside(file, "tree").map(|tree| tree.blake3.clone()))?,
                false => None,
            };
            parts.push(match beside {
                Some(part) => part,
                // Ended states have no tree of their own, and one of another release may be of another format.
                None => PartIndex::made(&path, &read::read_boxes(&path)?),
            });
        }
        let index = Arc::new(LayerIndex::new(parts));
        indexes.insert(key, index.clone());
        Ok(index)
    }

    /// Whether the list with this ending beside a part is as it was written; looked at once.
    fn sound_list(&self, part: &Path, record: &LayerRecord, file: &FileRecord, ending: &str) -> Result<(), StoreError> {
        let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        if !sound.contains(part)
            && let Some(list) = record.beside(file, ending)
        {
            list.sound(&self.folder)?;
            sound.insert(part.to_path_buf());
        }
        Ok(())
    }

    /// The Groundline server that shows it, `http://host:port`, where it is read from one.
    pub fn server(&self) -> Option<String> {
        let bucket = place::bucket(&self.folder)?;
        bucket.url().starts_with("http").then(|| bucket.url().trim_end_matches('/').to_owned())
    }

    /// Its coordinate system as PROJJSON; null where that cannot be written.
    pub fn projjson(&self) -> serde_json::Value {
        super::projjson::projjson(self.crs())
    }

    /// What its objects are called.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    fn record(&self, layer: &str) -> Result<&LayerRecord, StoreError> {
        let found = self.manifest.layers.iter().find(|l| l.name == layer);
        found.ok_or_else(|| StoreError::NoLayer(layer.into()))
    }
}

/// Removes what making a city puts into its folder, and the folder where nothing else is in it.
fn remove_made(folder: &Path) {
    for inner in INNER {
        let _ = fs::remove_dir_all(folder.join(inner));
    }
    for file in ["city.json", ".lock"] {
        let _ = fs::remove_file(folder.join(file));
    }
    let _ = fs::remove_dir(folder);
}

/// Whether the folder of a city that is to be made holds what no city of version 0 does: files of other people, or a city that
/// lost its `city.json`.
fn is_occupied(folder: &Path) -> bool {
    INNER.iter().any(|inner| {
        let Ok(mut entries) = fs::read_dir(folder.join(inner)) else { return folder.join(inner).exists() };
        entries.any(|entry| {
            // A process that died while it made a city leaves these.
            let is_begun = |name: &str| name == "000000.json" || name == "000000.new";
            !entry.is_ok_and(|entry| *inner == "versions" && entry.file_name().to_str().is_some_and(is_begun))
        })
    })
}

/// The objects of a layer, one by one.
#[derive(Debug)]
pub struct Objects {
    paths: std::vec::IntoIter<PathBuf>,
    reader: Option<RowReader>,
    path: PathBuf,
    origins: Origins,
}

impl Objects {
    pub(crate) fn open(folder: &Path, record: &LayerRecord) -> Result<Self, StoreError> {
        let paths = record.parquet().map(|f| join_inside(folder, &f.path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { paths: paths.into_iter(), reader: None, path: PathBuf::new(), origins: Origins::default() })
    }
}

impl Iterator for Objects {
    type Item = Result<CityObject, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.reader.as_mut().and_then(Iterator::next) {
                let object = row.and_then(|row| {
                    row.object(&mut self.origins)
                        .map_err(|e| StoreError::damaged(&self.path, format!("{}: {e}", row.id)))
                });
                return Some(object);
            }
            self.path = self.paths.next()?;
            match RowReader::open(&self.path, Rows::All) {
                Ok(reader) => self.reader = Some(reader),
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

/// Geometries of the rows of one kind, by part.
fn geometries(folder: &Path, record: &LayerRecord, kind: Kind) -> Result<Vec<Geometry>, StoreError> {
    let mut parts = Vec::new();
    if !record.shapes.contains_key(kind.word()) {
        return Ok(Vec::new());
    }
    for file in record.parquet() {
        let path = join_inside(folder, &file.path)?;
        let rows = read::rows_of_kind(&path, kind)?;
        for row in RowReader::open(&path, Rows::These(&rows))? {
            let row = row?;
            let geometry = super::shape::decode(row.kind, &row.shape).map_err(|e| StoreError::damaged(&path, e))?;
            parts.push((row.part, geometry));
        }
    }
    parts.sort_by_key(|(part, _)| *part);
    Ok(parts.into_iter().map(|(_, geometry)| geometry).collect())
}

/// Hands over the geometries of the grids and pictures of a layer with the ids of their objects, each kind by part and
/// one at a time; what waits for its turn lies in the folder `spill`.
pub(crate) fn each_part(
    folder: &Path,
    record: &LayerRecord,
    spill: &Path,
    take: &mut dyn FnMut(&str, Geometry) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for kind in [Kind::Heights, Kind::Picture] {
        if !record.shapes.contains_key(kind.word()) {
            continue;
        }
        let mut parts = Parts::new(spill)?;
        for path in record.sound_parts(folder) {
            let path = path?;
            let rows = read::rows_of_kind(&path, kind)?;
            for row in RowReader::open(&path, Rows::These(&rows))? {
                parts.push(&row?)?;
            }
        }
        parts.each(&mut |row| {
            let geometry = super::shape::decode(row.kind, &row.shape).map_err(|e| StoreError::damaged(folder, e))?;
            take(&row.id, geometry)
        })?;
    }
    Ok(())
}

/// The height grids of a layer.
fn grids_of(folder: &Path, record: &LayerRecord) -> Result<Vec<HeightGrid>, StoreError> {
    let only = |geometry| match geometry {
        Geometry::Heights(grid) => Some(grid),
        _ => None,
    };
    Ok(geometries(folder, record, Kind::Heights)?.into_iter().filter_map(only).collect())
}

/// The pictures of a layer.
fn pictures_of(folder: &Path, record: &LayerRecord) -> Result<Vec<Picture>, StoreError> {
    let only = |geometry| match geometry {
        Geometry::Picture(picture) => Some(picture),
        _ => None,
    };
    Ok(geometries(folder, record, Kind::Picture)?.into_iter().filter_map(only).collect())
}

/// The terrain made of `grids`, which come layer by layer in the order of their names: the finest lies on top,
/// whichever was imported first.
pub(crate) fn ground_of(mut grids: Vec<Arc<HeightRaster>>) -> Ground {
    let area = |grid: &HeightRaster| grid.step_m().x * grid.step_m().y;
    grids.sort_by(|a, b| area(b).total_cmp(&area(a)));
    Ground::of(grids)
}

/// The names of the layers of a manifest.
pub(crate) fn names_of(layers: &[LayerRecord]) -> BTreeSet<&str> {
    layers.iter().map(|l| l.name.as_str()).collect()
}
