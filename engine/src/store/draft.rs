//! A version in the making.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    SourceRef, StoreError,
    bucket::{BucketCity, News},
    city,
    disk::{self, Step, pass},
    layer_draft::{Base, LayerDraft},
    lock::Lock,
    manifest::{self, FORMAT_VERSION, FileRecord, Head, LayerRecord, Manifest},
    path::folder_of,
    place,
    resume::{self, Resume},
    shape::Kind,
    site::Site,
};
use crate::{
    fault::{self, Place},
    model::{CityObject, Geometry, ImportReport},
    tile::raster::{HeightRaster, Photo, Rasters},
};

/// Bytes of the ground's heights that are in memory while layers are made; the rest is read from disk when it is asked for.
const HELD_GROUND_BYTES: u64 = 256 << 20;

/// Folder of the heights and pictures in the staging folder.
const SURFACE_FOLDER: &str = "surface";

/// A version in the making. Dropped without `commit`, it leaves nothing behind but, where it was asked to keep them,
/// finished layers for the next one.
pub struct Draft {
    pub(super) folder: PathBuf,
    pub(super) head: Head,
    /// Of `city.json` in a bucket.
    tag: Option<String>,
    pub(super) base: Manifest,
    pub(super) started: BTreeMap<String, LayerWriter>,
    pub(super) removed: BTreeSet<String>,
    pub(super) staging: Staging,
    pub(super) resume: Option<Resume>,
    pub(super) time_ms: i64,
    // Dropped last: the staging folder must be gone before another may write.
    lock: Lock,
}

/// Takes the objects of one started layer.
pub struct LayerWriter {
    pub(super) name: String,
    pub(super) sources: Vec<SourceRef>,
    pub(super) kept: Vec<Option<u32>>,
    pub(super) draft: LayerDraft,
    read: Option<Vec<u8>>,
}

impl LayerWriter {
    /// Name of the layer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The objects that follow are of this one of the sources that the layer was started with.
    pub fn next_source(&mut self, source: usize) {
        self.draft.next_source(source);
    }

    /// As [`Draft::push`].
    pub fn push(&mut self, object: CityObject) -> Result<(), StoreError> {
        self.draft.push(object)
    }

    /// How far an import before this one had read, in its own words, where this layer goes on from its checkpoint.
    pub fn take_read(&mut self) -> Option<Vec<u8>> {
        self.read.take()
    }

    /// Keeps what the import has to know besides, until the layer is finished: what is said at every checkpoint should be short. Returns
    /// where it lies.
    pub fn keep(&mut self, bytes: &[u8]) -> Result<(u64, u64), StoreError> {
        self.draft.aside().keep(bytes)
    }

    /// What was kept there by this import or by one before it.
    pub fn kept(&mut self, (offset, length): (u64, u64)) -> Result<Vec<u8>, StoreError> {
        self.draft.aside().kept(offset, length)
    }

    /// Whether there has been enough work since the last checkpoint for another one.
    pub fn is_checkpoint_due(&self) -> bool {
        self.draft.is_checkpoint_due()
    }

    /// Whether the layer took so long already that what follows is worth a checkpoint before it.
    pub fn is_long(&self) -> bool {
        self.draft.is_long()
    }

    /// Puts all objects so far on the disk, for another import to go on from; `read` is what it has to know of the sources.
    /// Where nobody could go on with it, nothing happens: this draft does not keep what is finished, or the layer holds grids or
    /// pictures of the ground.
    pub fn checkpoint(&mut self, read: Vec<u8>) -> Result<(), StoreError> {
        self.draft.checkpoint(read)
    }

    /// The layer is given up: no import is to go on with it.
    pub fn forget(&mut self) {
        self.draft.forget();
    }

    /// Whether it holds terrain or pictures of the ground.
    pub(super) fn has_ground(&self) -> bool {
        [Kind::Heights, Kind::Picture].iter().any(|k| self.draft.shapes.contains_key(k.word()))
    }
}

/// The folder that holds everything new until it is complete.
pub(super) struct Staging(pub PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the next draft begins.
        let _ = fs::remove_dir_all(&self.0);
        fault::at(Place::StagingDropped);
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

/// Removes what this process was writing in the city `folder`, for a program that ends without waiting for its import.
pub fn drop_staging(folder: &Path) {
    drop(Staging(place::local(folder).join(format!(".staging-{}", std::process::id()))));
}

impl Draft {
    pub(crate) fn begin(folder: &Path) -> Result<Self, StoreError> {
        if let Some(bucket) = place::bucket(folder) {
            bucket.check_writable()?;
            bucket.refresh()?;
        }
        // Read twice: no lock file is left in a folder that is no city, and the newest version is the base.
        manifest::read_head(folder)?;
        let lock = Lock::take(folder)?;
        let (head, tag) = manifest::read_tagged(folder)?;
        fault::at(Place::BeginLocked);
        let (base, hash) = manifest::read_manifest(folder, head.version)?;
        if hash != head.manifest {
            let path = folder.join(manifest::manifest_path(head.version));
            return Err(StoreError::damaged(&path, "it is not the manifest that city.json names"));
        }
        remove_stale_staging(folder)?;
        fault::at(Place::BeginSwept);
        let staging = folder.join(format!(".staging-{}", std::process::id()));
        fs::create_dir(&staging).map_err(StoreError::at(&staging))?;
        fault::at(Place::BeginStaged);
        Ok(Self {
            folder: folder.to_path_buf(),
            head,
            tag,
            base,
            started: BTreeMap::new(),
            removed: BTreeSet::new(),
            staging: Staging(staging),
            resume: None,
            time_ms: chrono::DateTime::<chrono::Utc>::from(fault::now()).timestamp_millis(),
            lock,
        })
    }

    /// Keeps each layer that is finished for the next import, should this one not come to its end, and takes over what an
    /// earlier one kept.
    pub fn keep_finished(&mut self) {
        let resume = Resume::new(&self.folder);
        resume.clear_way();
        self.resume = Some(resume);
    }

    /// Removes what an earlier import kept: there is nothing to be done with it.
    pub fn forget_kept(&self) {
        Resume::new(&self.folder).retain(&BTreeSet::new());
        fault::at(Place::KeptForgotten);
    }

    /// Number of the version that this draft changes.
    pub fn base_version(&self) -> u64 {
        self.head.version
    }

    /// Whether `layer` of the current version was made from exactly `sources`, so that nothing need be done.
    /// Sources are the same when their hashes are; where the files lie and in which order they were named does not matter. A layer
    /// that an earlier Groundline wrote is made anew, once, where its objects can be changed one by one then.
    pub fn is_unchanged(&self, layer: &str, sources: &[SourceRef]) -> bool {
        let hashes = |sources: &[SourceRef]| {
            let mut hashes: Vec<String> = sources.iter().map(|s| s.hash.clone()).collect();
            hashes.sort_unstable();
            hashes
        };
        let found = self.base.layers.iter().find(|l| l.name == layer);
        found.is_some_and(|l| (l.is_current() || !is_editable(l)) && hashes(&l.sources) == hashes(sources))
    }

    /// Whether `layer` may stand on a terrain that was replaced since: it stands on terrain and cannot be made again from what the
    /// city holds of it.
    pub fn may_stand_on_old_terrain(&self, layer: &str) -> bool {
        let found = self.base.layers.iter().find(|l| l.name == layer);
        found.is_some_and(|l| l.stands_on_terrain && has_tile_shapes(l))
    }

    /// Whether the objects of single sources of `layer` can stay when others of its sources are read again: their shapes must be
    /// with the objects (those of a BIM or a scan are in the tiles alone), and it must be known which came from which.
    pub fn can_keep(&self, layer: &str) -> bool {
        let Some(record) = self.base.layers.iter().find(|l| l.name == layer) else { return false };
        let has_all_shapes = !Kind::ALL.iter().any(|k| k.is_in_tiles_only() && record.shapes.contains_key(k.word()));
        let knows_sources =
            record.sources.len() < 2 || record.object_files.iter().any(|f| f.path.ends_with(".sources"));
        has_all_shapes && knows_sources
    }

    /// Starts `layer` anew; what it held in the version before is replaced at commit, and what of it does not come again
    /// is ended.
    pub fn replace_layer(&mut self, layer: &str, sources: Vec<SourceRef>) -> Result<(), StoreError> {
        let held = self.base.layers.iter().find(|l| l.name == layer).map_or(0, |l| l.sources.len());
        self.update_layer(layer, sources, vec![None; held])
    }

    /// Starts `layer` anew with the objects of those of its sources that are kept: for each source that it had, `kept`
    /// says which of `sources` that is.
    pub fn update_layer(
        &mut self,
        layer: &str,
        sources: Vec<SourceRef>,
        kept: Vec<Option<u32>>,
    ) -> Result<(), StoreError> {
        self.abandon_layer(layer);
        let writer = self.writer(layer, sources, kept)?;
        self.started.insert(layer.into(), writer);
        Ok(())
    }

    pub(super) fn writer(
        &self,
        layer: &str,
        sources: Vec<SourceRef>,
        kept: Vec<Option<u32>>,
    ) -> Result<LayerWriter, StoreError> {
        let record = self.base.layers.iter().find(|l| l.name == layer).cloned();
        let base = record.map(|record| Base {
            folder: self.folder.clone(),
            record,
            kept: kept.clone(),
            time_ms: self.time_ms,
        });
        let (name, surface) = (layer.to_owned(), self.surface_folder(layer));
        if let Some(resume) = &self.resume {
            let folder = resume.draft(&self.key(layer, &sources, &kept));
            if let Some((mut draft, read)) = LayerDraft::restore(layer, sources.clone(), &folder, &surface) {
                draft.put_base(base);
                return Ok(LayerWriter { name, sources, kept, draft, read: Some(read) });
            }
            let draft = LayerDraft::new(layer, sources.clone(), base, folder, &surface, true)?;
            return Ok(LayerWriter { name, sources, kept, draft, read: None });
        }
        let folder = self.staging.0.join("spill").join(folder_of(layer));
        let draft = LayerDraft::new(layer, sources.clone(), base, folder, &surface, false)?;
        Ok(LayerWriter { name, sources, kept, draft, read: None })
    }

    /// Everything that decides what is read into a layer, as one hash.
    pub(super) fn key(&self, layer: &str, sources: &[SourceRef], kept: &[Option<u32>]) -> String {
        let held = self.base.layers.iter().find(|l| l.name == layer);
        resume::key(&(layer, sources, kept, held, &self.head.crs))
    }

    /// Where the heights and pictures of a layer lie. They are asked for as long as the draft lives, other than what the layer
    /// spills.
    fn surface_folder(&self, layer: &str) -> PathBuf {
        self.staging.0.join(SURFACE_FOLDER).join(folder_of(layer))
    }

    /// Takes one object into a layer that was started. An object whose coordinates are not numbers is left out
    /// and counted as the warning `not_finite` in the report.
    pub fn push(&mut self, layer: &str, object: CityObject) -> Result<(), StoreError> {
        let writer = self.started.get_mut(layer).ok_or_else(|| StoreError::NoLayer(layer.into()))?;
        writer.push(object)
    }

    /// The started layers, to be filled side by side.
    pub fn writers(&mut self) -> impl Iterator<Item = &mut LayerWriter> {
        self.started.values_mut()
    }

    /// Takes back `replace_layer`: the layer stays as it is in the version before (its source could not be read).
    pub fn abandon_layer(&mut self, layer: &str) {
        self.removed.remove(layer);
        self.started.remove(layer);
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
    pub fn commit(self, report: &mut ImportReport) -> Result<u64, StoreError> {
        let mut site = self.settle()?;
        site.finish_started()?;
        site.commit(report)
    }

    /// Settles the terrain and the pictures of the next version: those of the layers started so far and of the version
    /// before. What stands on them can be finished from then on.
    pub fn settle(mut self) -> Result<Site, StoreError> {
        let (grids, pictures) = self.take_surfaces()?;
        let ground = city::ground_of(grids);
        ground.hold(HELD_GROUND_BYTES)?;
        fault::at(Place::SurfaceRead);
        Site::new(self, ground, pictures)
    }

    /// Puts the files into place, writes report and manifest, and switches `city.json` to them.
    pub(super) fn switch(
        &mut self,
        layers: Vec<LayerRecord>,
        what: String,
        moves: &[(std::path::PathBuf, String)],
        report: &mut ImportReport,
    ) -> Result<u64, StoreError> {
        let version = self.head.version + 1;
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            version,
            parent: Some(self.head.version),
            parent_manifest: Some(self.head.manifest.clone()),
            time: super::now(),
            who: super::who(),
            what,
            layers,
            report: None,
        };
        (report.version, report.extent) = (version, manifest.extent());

        // Nobody asks for the ground any more: what it lies in need not be made durable.
        let _ = fs::remove_dir_all(self.staging.0.join(SURFACE_FOLDER));
        fault::at(Place::CommitSwept);
        self.sync()?;
        fault::at(Place::CommitSynced);
        pass(Step::Staged, &self.staging.0)?;
        for (number, (from, relative)) in moves.iter().enumerate() {
            if number == moves.len() / 2 {
                pass(Step::Moving, &self.folder)?;
            }
            // What a stopped import moved is in place.
            if !from.exists() {
                continue;
            }
            let target = self.folder.join(relative);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(StoreError::at(parent))?;
            }
            // Files are named by their content: what is there already is the same, or damaged.
            fault::at(Place::CommitMoving);
            fs::rename(from, &target).map_err(StoreError::at(&target))?;
            fault::at(Place::CommitMoved);
        }
        fault::at(Place::CommitPlaced);
        pass(Step::Moved, &self.folder)?;
        if let Some(bucket) = place::bucket(&self.folder) {
            return self.publish(&bucket, manifest, moves, report);
        }
        let path = self.folder.join(manifest::report_path(version));
        let bytes = manifest::to_json(report, &path)?;
        disk::replace_file(&path, &bytes)?;
        manifest.report = Some(FileRecord::new(manifest::report_path(version), &bytes));
        fault::at(Place::ReportDone);
        pass(Step::Reported, &path)?;
        let path = self.folder.join(manifest::manifest_path(version));
        let bytes = manifest::to_json(&manifest, &path)?;
        disk::replace_file(&path, &bytes)?;
        fault::at(Place::ManifestDone);
        self.sync()?;
        fault::at(Place::CommitDurable);
        pass(Step::Manifested, &path)?;

        (self.head.version, self.head.format_version) = (version, FORMAT_VERSION);
        self.head.extent = report.extent;
        self.head.manifest = blake3::hash(&bytes).to_hex().to_string();
        manifest::write_head(&self.folder, &self.head).map_err(|error| match error {
            StoreError::Io { path, source }
                if manifest::read_head(&self.folder).is_ok_and(|h| h.version == version) =>
            {
                StoreError::Unconfirmed { version, path, source }
            }
            other => other,
        })?;
        fault::at(Place::Switched);
        // The layers are in the city now, or belong to no import that could go on.
        self.forget_kept();
        Ok(version)
    }

    /// Makes all that is written durable. What a disk could not write may still be read from memory as if it were there, so
    /// it is asked once, and nothing of it is kept for another import.
    fn sync(&self) -> Result<(), StoreError> {
        self.lock.sync(&self.folder).inspect_err(|_| self.forget_kept())
    }

    /// Makes the version, whose files are in the copy, that of the bucket.
    fn publish(
        &mut self,
        bucket: &BucketCity,
        manifest: Manifest,
        moves: &[(PathBuf, String)],
        report: &ImportReport,
    ) -> Result<u64, StoreError> {
        let held: BTreeSet<&str> =
            self.base.layers.iter().flat_map(LayerRecord::files).map(|file| file.path.as_str()).collect();
        let files = moves.iter().map(|(_, relative)| relative).filter(|relative| !held.contains(relative.as_str()));
        let files: Vec<String> = files.cloned().collect();
        let path = self.folder.join("city.json");
        let report_bytes = manifest::to_json(report, &path)?;
        let report_path = manifest::report_path(manifest.version);
        let manifest = Manifest { report: Some(FileRecord::new(report_path, &report_bytes)), ..manifest };
        let bytes = manifest::to_json(&manifest, &path)?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let head = Head {
            version: manifest.version,
            format_version: FORMAT_VERSION,
            extent: report.extent,
            manifest: hash.clone(),
            ..self.head.clone()
        };
        bucket.publish(&News {
            base: (self.head.version, &self.head.manifest, self.tag.clone()),
            version: (manifest.version, &hash),
            files: &files,
            report: &report_bytes,
            manifest: &bytes,
            head: &manifest::head_bytes(&self.folder, &head)?,
        })?;
        self.head = head;
        self.forget_kept();
        Ok(self.head.version)
    }

    /// Grids and pictures of the next version, layer by layer in the order of their names.
    fn take_surfaces(&mut self) -> Result<(Vec<Arc<HeightRaster>>, Vec<Arc<Photo>>), StoreError> {
        let mut names: BTreeSet<String> = self.base.layers.iter().map(|l| l.name.clone()).collect();
        names.extend(self.started.keys().cloned());
        let (mut grids, mut pictures) = (Vec::new(), Vec::new());
        for name in names.iter().filter(|n| !self.removed.contains(*n)) {
            let mut held;
            let (own_grids, own_pictures) = if let Some(writer) = self.started.get_mut(name) {
                writer.draft.surfaces()?
            } else if let Some(record) = self.base.layers.iter().find(|l| &l.name == name) {
                let folder = self.surface_folder(name);
                held = Rasters::new(&folder);
                city::each_part(&self.folder, record, &folder, &mut |id, geometry| {
                    match geometry {
                        Geometry::Heights(grid) => held.push_heights(&grid)?,
                        Geometry::Picture(picture) => held.push_picture(id, &picture)?,
                        _ => {}
                    }
                    Ok(())
                })?;
                held.all()?
            } else {
                continue;
            };
            grids.extend_from_slice(own_grids);
            pictures.extend_from_slice(own_pictures);
        }
        Ok((grids, pictures))
    }
}

/// Whether single objects of the layer can be changed: their shapes are with them, and they are not the ground.
pub(super) fn is_editable(record: &LayerRecord) -> bool {
    let is_ground = [Kind::Heights, Kind::Picture].iter().any(|k| record.shapes.contains_key(k.word()));
    !has_tile_shapes(record) && !is_ground
}

/// Whether shapes of the layer are in its tiles alone.
pub(super) fn has_tile_shapes(record: &LayerRecord) -> bool {
    Kind::ALL.iter().any(|k| k.is_in_tiles_only() && record.shapes.contains_key(k.word()))
}
