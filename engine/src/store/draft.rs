//! A version in the making.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

use super::{
    SourceRef, StoreError, city,
    disk::{self, Step, pass},
    json::Origins,
    layer_draft::{FinishedLayer, LayerDraft},
    lock::Lock,
    manifest::{self, FORMAT_VERSION, Head, LayerRecord, Manifest},
    path::{folder_of, join_inside},
    projjson::projjson,
    read::{RowReader, Rows},
    shape::Kind,
};
use crate::{
    crs::Frame,
    model::{CityObject, HeightGrid, ImportReport, Picture, SourceReport, Warning},
    tile::{Ground, Surroundings},
};

/// Layers whose files are written at the same time at most.
const MOST_LAYERS: usize = 4;

/// A version in the making. Dropped without `commit`, it leaves nothing behind.
pub struct Draft {
    folder: PathBuf,
    head: Head,
    base: Manifest,
    started: BTreeMap<String, LayerDraft>,
    removed: BTreeSet<String>,
    staging: Staging,
    // Dropped last: the staging folder must be gone before another may write.
    _lock: Lock,
}

/// Takes the objects of one started layer.
pub struct LayerWriter<'a> {
    name: &'a str,
    draft: &'a mut LayerDraft,
}

impl LayerWriter<'_> {
    /// Name of the layer.
    pub fn name(&self) -> &str {
        self.name
    }

    /// As [`Draft::push`].
    pub fn push(&mut self, object: CityObject) -> Result<(), StoreError> {
        self.draft.push(object)
    }
}

/// The folder that holds everything new until it is complete.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the next draft begins.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what dead processes left. Whoever calls holds the lock, so every staging folder is a dead one's.
pub(crate) fn remove_stale_staging(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(StoreError::at(folder))? {
        let entry = entry.map_err(StoreError::at(folder))?;
        if entry.file_name().to_string_lossy().starts_with(".staging-") {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(StoreError::at(&path))?;
        }
    }
    Ok(())
}

impl Draft {
    pub(crate) fn begin(folder: &Path) -> Result<Self, StoreError> {
        // Read twice: no lock file is left in a folder that is no city, and the newest version is the base.
        manifest::read_head(folder)?;
        let lock = Lock::take(folder)?;
        let head = manifest::read_head(folder)?;
        let (base, hash) = manifest::read_manifest(folder, head.version)?;
        if hash != head.manifest {
            let path = folder.join(manifest::manifest_path(head.version));
            return Err(StoreError::damaged(&path, "it is not the manifest that city.json names"));
        }
        remove_stale_staging(folder)?;
        let staging = folder.join(format!(".staging-{}", std::process::id()));
        fs::create_dir(&staging).map_err(StoreError::at(&staging))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            head,
            base,
            started: BTreeMap::new(),
            removed: BTreeSet::new(),
            staging: Staging(staging),
            _lock: lock,
        })
    }

    /// Number of the version that this draft changes.
    pub fn base_version(&self) -> u64 {
        self.head.version
    }

    /// Whether `layer` of the current version was made from exactly `sources`, so that nothing need be done.
    /// Sources are the same when their hashes are; where the files lie and in which order they were named does not matter.
    pub fn is_unchanged(&self, layer: &str, sources: &[SourceRef]) -> bool {
        let hashes = |sources: &[SourceRef]| {
            let mut hashes: Vec<String> = sources.iter().map(|s| s.hash.clone()).collect();
            hashes.sort_unstable();
            hashes
        };
        let found = self.base.layers.iter().find(|l| l.name == layer);
        found.is_some_and(|l| hashes(&l.sources) == hashes(sources))
    }

    /// Starts `layer` anew; what it held in the version before is replaced at commit.
    pub fn replace_layer(&mut self, layer: &str, sources: Vec<SourceRef>) -> Result<(), StoreError> {
        self.abandon_layer(layer);
        let spill = self.staging.0.join("spill").join(folder_of(layer));
        let draft = LayerDraft::new(layer, sources, spill)?;
        self.started.insert(layer.into(), draft);
        Ok(())
    }

    /// Takes one object into a layer that was started. An object whose coordinates are not numbers is left out
    /// and counted as the warning `not_finite` in the report.
    pub fn push(&mut self, layer: &str, object: CityObject) -> Result<(), StoreError> {
        let draft = self.started.get_mut(layer).ok_or_else(|| StoreError::NoLayer(layer.into()))?;
        draft.push(object)
    }

    /// The started layers, to be filled side by side.
    pub fn writers(&mut self) -> impl Iterator<Item = LayerWriter<'_>> {
        self.started.iter_mut().map(|(name, draft)| LayerWriter { name, draft })
    }

    /// Takes back `replace_layer`: the layer stays as it is in the version before (its source could not be read).
    pub fn abandon_layer(&mut self, layer: &str) {
        self.removed.remove(layer);
        if let Some(draft) = self.started.remove(layer) {
            // What stays goes with the staging folder.
            let _ = fs::remove_dir_all(&draft.spill);
        }
    }

    /// Takes `layer` out of the next version. Its files stay for the versions before.
    pub fn remove_layer(&mut self, layer: &str) -> Result<(), StoreError> {
        if !city::names_of(&self.base.layers).contains(layer) {
            return Err(StoreError::NoLayer(layer.into()));
        }
        self.abandon_layer(layer);
        self.removed.insert(layer.into());
        Ok(())
    }

    /// Writes objects and tiles of every started layer, then the manifest, then switches to it by one rename.
    /// The counts of tiles and bytes, the version and the extent are filled into `report`, which is kept beside the manifest.
    ///
    /// Layers that were not started but stand on terrain that is now another are made again from their objects;
    /// those whose shapes are in their tiles alone cannot be, and are named in the warning `stands_on_old_terrain`.
    /// A draft in which nothing was started makes no version and returns the current one.
    pub fn commit(mut self, report: &mut ImportReport) -> Result<u64, StoreError> {
        if report.city.is_empty() {
            report.city = self.head.name.clone();
        }
        if self.started.is_empty() && self.removed.is_empty() {
            (report.version, report.extent) = (self.head.version, self.base.extent());
            return Ok(self.head.version);
        }
        let what = self.what();
        let (grids, pictures) = self.take_surfaces()?;
        let ground = city::ground_of(grids);
        let (ground_hash, pictures_hash) = (hash_of_ground(&ground), hash_of_pictures(&pictures));
        self.restart_outdated(&ground_hash, &pictures_hash, report)?;

        let frame = Frame::new(self.head.crs.clone())?;
        let around = Surroundings { frame: &frame, ground: &ground, pictures: &pictures };
        let crs = projjson(&self.head.crs);
        let mut records: Vec<LayerRecord> = Vec::new();
        let mut moves = Vec::new();
        let started = by_kind(std::mem::take(&mut self.started));
        let mut all = finish_all(started, |name, draft| draft.finish(name, &self.staging.0, &around, &crs))?;
        all.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        for mut finished in all {
            let name = finished.record.name.clone();
            finished.record.ground = ground_hash.clone();
            finished.record.pictures = pictures_hash.clone();
            report.tiles += finished.record.tiles;
            report.bytes += finished.record.files().map(|f| f.size).sum::<u64>();
            warn(report, &name, finished.warnings);
            moves.extend(finished.record.files().map(|f| f.path.clone()));
            records.push(finished.record);
        }
        let made: BTreeSet<String> = records.iter().map(|r| r.name.clone()).collect();
        let kept = self.base.layers.iter().filter(|l| !made.contains(&l.name) && !self.removed.contains(&l.name));
        records.extend(kept.cloned());
        records.sort_by(|a, b| a.name.cmp(&b.name));
        self.switch(records, what, &moves, report)
    }

    /// What changed, in a sentence.
    fn what(&self) -> String {
        let list = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>().join(", ");
        let mut parts = Vec::new();
        if !self.started.is_empty() {
            parts.push(format!("imported {}", list(&mut self.started.keys())));
        }
        if !self.removed.is_empty() {
            parts.push(format!("removed {}", list(&mut self.removed.iter())));
        }
        parts.join("; ")
    }

    /// Grids and pictures of the next version, layer by layer in the order of their names.
    fn take_surfaces(&mut self) -> Result<(Vec<HeightGrid>, Vec<Picture>), StoreError> {
        let mut names: BTreeSet<String> = self.base.layers.iter().map(|l| l.name.clone()).collect();
        names.extend(self.started.keys().cloned());
        let (mut grids, mut pictures) = (Vec::new(), Vec::new());
        for name in names.iter().filter(|n| !self.removed.contains(*n)) {
            if let Some(draft) = self.started.get_mut(name) {
                grids.append(&mut draft.grids);
                pictures.append(&mut draft.pictures);
            } else if let Some(record) = self.base.layers.iter().find(|l| &l.name == name) {
                grids.extend(city::grids_of(&self.folder, record)?);
                pictures.extend(city::pictures_of(&self.folder, record)?);
            }
        }
        Ok((grids, pictures))
    }

    /// Starts layers again whose tiles were made with another terrain or with other pictures.
    fn restart_outdated(&mut self, ground: &str, pictures: &str, report: &mut ImportReport) -> Result<(), StoreError> {
        let base = self.base.layers.clone();
        for record in base {
            if self.started.contains_key(&record.name) || self.removed.contains(&record.name) {
                continue;
            }
            let is_terrain = record.shapes.contains_key(Kind::Heights.word());
            let outdated = (record.stands_on_terrain && record.ground != ground)
                || (is_terrain && (record.pictures != pictures || record.ground != ground));
            if !outdated {
                continue;
            }
            let name = record.name.as_str();
            let lost = Kind::ALL.iter().any(|k| k.is_in_tiles_only() && record.shapes.contains_key(k.word()));
            let (code, message) = if lost {
                ("stands_on_old_terrain", "the terrain or its picture changed; import this layer again to fit it")
            } else {
                self.restart(&record)?;
                ("fitted_to_new_terrain", "the terrain or its picture changed; the layer was made again to fit it")
            };
            let warning = Warning {
                code: code.into(),
                message: format!("layer {name}: {message}"),
                place: name.into(),
                count: 1,
            };
            warn(report, name, vec![warning]);
        }
        Ok(())
    }

    fn restart(&mut self, record: &LayerRecord) -> Result<(), StoreError> {
        self.replace_layer(&record.name, record.sources.clone())?;
        let draft = self.started.get_mut(&record.name).ok_or_else(|| StoreError::NoLayer(record.name.clone()))?;
        // Grids and pictures have an order of their own, which is not that of the file.
        let mut parts: Vec<(u32, CityObject)> = Vec::new();
        let mut origins = Origins::default();
        for file in record.parquet() {
            let path = join_inside(&self.folder, &file.path)?;
            for row in RowReader::open(&path, Rows::All)? {
                let row = row?;
                let object = row.object(&mut origins).map_err(|e| StoreError::damaged(&path, e))?;
                if row.kind.has_parts() { parts.push((row.part, object)) } else { draft.push(object)? }
            }
        }
        parts.sort_by_key(|(part, _)| *part);
        for (_, object) in parts {
            draft.push(object)?;
        }
        draft.grids.clear();
        draft.pictures.clear();
        Ok(())
    }

    /// Puts the files into place, writes report and manifest, and switches `city.json` to them.
    fn switch(
        mut self,
        layers: Vec<LayerRecord>,
        what: String,
        moves: &[String],
        report: &mut ImportReport,
    ) -> Result<u64, StoreError> {
        let version = self.head.version + 1;
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            version,
            parent: Some(self.head.version),
            parent_manifest: Some(self.head.manifest.clone()),
            time: super::now(),
            who: super::who(),
            what,
            layers,
        };
        (report.version, report.extent) = (version, manifest.extent());

        disk::sync_tree(&self.staging.0)?;
        pass(Step::Staged, &self.staging.0)?;
        for (number, relative) in moves.iter().enumerate() {
            if number == moves.len() / 2 {
                pass(Step::Moving, &self.folder)?;
            }
            let target = self.folder.join(relative);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(StoreError::at(parent))?;
            }
            // Files are named by their content: what is there already is the same, or damaged.
            fs::rename(self.staging.0.join(relative), &target).map_err(StoreError::at(&target))?;
        }
        pass(Step::Moved, &self.folder)?;
        let path = self.folder.join(manifest::report_path(version));
        disk::replace_file(&path, &manifest::to_json(report, &path)?)?;
        pass(Step::Reported, &path)?;
        let path = self.folder.join(manifest::manifest_path(version));
        let bytes = manifest::to_json(&manifest, &path)?;
        disk::replace_file(&path, &bytes)?;
        disk::sync_tree(&self.folder)?;
        pass(Step::Manifested, &path)?;

        self.head.version = version;
        self.head.extent = report.extent;
        self.head.manifest = blake3::hash(&bytes).to_hex().to_string();
        let path = self.folder.join("city.json");
        disk::replace_file(&path, &manifest::to_json(&self.head, &path)?)?;
        Ok(version)
    }
}

/// Imagery and terrain first, which are the most work, then all else by name.
fn by_kind(started: BTreeMap<String, LayerDraft>) -> VecDeque<(String, LayerDraft)> {
    let mut layers: Vec<_> = started.into_iter().collect();
    let is_ground = |kind: Kind| matches!(kind, Kind::Heights | Kind::Picture);
    layers.sort_by_key(|(_, draft)| !Kind::ALL.iter().any(|k| is_ground(*k) && draft.shapes.contains_key(k.word())));
    layers.into()
}

/// Writes the files of several layers at the same time. What they are does not depend on how many threads there are.
fn finish_all(
    layers: VecDeque<(String, LayerDraft)>,
    finish: impl Fn(&str, LayerDraft) -> Result<FinishedLayer, StoreError> + Sync,
) -> Result<Vec<FinishedLayer>, StoreError> {
    let workers = thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_LAYERS).min(layers.len()).max(1);
    let queue = Mutex::new(layers);
    let done = Mutex::new(Ok(Vec::new()));
    let fail_here = disk::fail_here();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                fail_here();
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((name, draft)) = next else { return };
                    let finished = finish(&name, draft);
                    if finished.is_err() {
                        // The disk is full or the like: the others need not try.
                        queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    }
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    match (done.as_mut(), finished) {
                        (Ok(list), Ok(finished)) => list.push(finished),
                        (Ok(_), Err(error)) => *done = Err(error),
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Adds warnings about `layer` to the account of its source, or to one of their own.
fn warn(report: &mut ImportReport, layer: &str, warnings: Vec<Warning>) {
    if warnings.is_empty() {
        return;
    }
    match report.sources.iter_mut().find(|s| s.layer == layer) {
        Some(source) => source.warnings.extend(warnings),
        None => report.sources.push(SourceReport {
            path: "city".into(),
            format: "city".into(),
            layer: layer.into(),
            warnings,
            ..SourceReport::default()
        }),
    }
}

fn hash_of_ground(ground: &Ground) -> String {
    if ground.is_empty() {
        return String::new();
    }
    let mut hasher = blake3::Hasher::new();
    for grid in ground.grids() {
        for v in [grid.north_west.x, grid.north_west.y, grid.step_m.x, grid.step_m.y] {
            hasher.update(&v.to_le_bytes());
        }
        hasher.update(&grid.columns.to_le_bytes());
        hasher.update(&grid.rows.to_le_bytes());
        for chunk in grid.heights.chunks(4096) {
            let bytes: Vec<u8> = chunk.iter().flat_map(|h| h.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
    }
    hasher.finalize().to_hex()[..32].to_string()
}

fn hash_of_pictures(pictures: &[Picture]) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    let mut hasher = blake3::Hasher::new();
    for picture in pictures {
        for v in [picture.north_west.x, picture.north_west.y, picture.step_m.x, picture.step_m.y] {
            hasher.update(&v.to_le_bytes());
        }
        hasher.update(&picture.columns.to_le_bytes());
        hasher.update(&picture.rgb);
    }
    hasher.finalize().to_hex()[..32].to_string()
}
