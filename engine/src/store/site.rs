//! A version in the making whose ground is settled: its layers are finished one by one, side by side.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    Draft, LayerWriter, SourceRef, StoreError, disk, draft::has_tile_shapes, layer_draft::FinishedLayer,
    manifest::LayerRecord, projjson::projjson, resume, shape::Kind,
};
use crate::{
    crs::Frame,
    fault::{self, Place},
    model::{ImportReport, SourceReport, Warning},
    tile::{Ground, Journal, Surroundings, raster::Photo},
};

/// Layers whose files are written at the same time at most.
const MOST_LAYERS: usize = 4;

/// A version in the making whose terrain and pictures are settled.
pub struct Site {
    draft: Draft,
    frame: Frame,
    ground: Ground,
    ground_hash: String,
    pictures: Vec<Arc<Photo>>,
    pictures_hash: String,
    crs: serde_json::Value,
    finished: Mutex<Vec<FinishedLayer>>,
    /// Keys of the layers of this import.
    keys: Mutex<BTreeSet<String>>,
    folders: AtomicUsize,
}

impl Site {
    pub(super) fn new(draft: Draft, ground: Ground, pictures: Vec<Arc<Photo>>) -> Result<Self, StoreError> {
        Ok(Self {
            frame: Frame::new(draft.head.crs.clone())?,
            ground_hash: hash_of_ground(&ground)?,
            pictures_hash: hash_of_pictures(&pictures)?,
            crs: projjson(&draft.head.crs),
            ground,
            pictures,
            draft,
            finished: Mutex::default(),
            keys: Mutex::default(),
            folders: AtomicUsize::new(0),
        })
    }

    /// As [`Draft::can_keep`].
    pub fn can_keep(&self, layer: &str) -> bool {
        self.draft.can_keep(layer)
    }

    /// As [`Draft::is_unchanged`]; a layer whose tiles were made with another terrain and cannot be fitted to this one from
    /// what the city holds does not count as unchanged.
    pub fn is_unchanged(&self, layer: &str, sources: &[SourceRef]) -> bool {
        let held = self.draft.base.layers.iter().find(|l| l.name == layer);
        self.draft.is_unchanged(layer, sources) && !held.is_some_and(|l| self.is_outdated(l) && has_tile_shapes(l))
    }

    /// Everything that decides what a layer becomes, as one hash.
    fn key(&self, layer: &str, sources: &[SourceRef], kept: &[Option<u32>]) -> String {
        let held = self.draft.base.layers.iter().find(|l| l.name == layer);
        resume::key(&(layer, sources, kept, held, &self.ground_hash, &self.pictures_hash, &self.draft.head.crs))
    }

    /// Takes over a layer that an earlier import finished and that would become the same now; returns the accounts of its sources.
    pub fn adopt(&self, layer: &str, sources: &[SourceRef], kept: &[Option<u32>]) -> Option<Vec<SourceReport>> {
        let resume = self.draft.resume.as_ref()?;
        let key = self.key(layer, sources, kept);
        lock(&self.keys).extend([key.clone(), resume::making_name(&key)]);
        let Some((finished, accounts)) = resume.adopt(&key, layer, &self.draft.folder) else {
            // What there is of it so far stays as well.
            lock(&self.keys).insert(resume::draft_name(&self.draft.key(layer, sources, kept)));
            return None;
        };
        lock(&self.finished).push(finished);
        Some(accounts)
    }

    /// Removes what earlier imports kept and this one did not ask for by [`Site::adopt`].
    pub fn drop_others(&self) {
        if let Some(resume) = &self.draft.resume {
            resume.retain(&lock(&self.keys));
        }
        fault::at(Place::OthersDropped);
    }

    /// Removes everything that earlier imports and this one kept: there is nothing to go on from.
    pub fn forget_kept(&self) {
        self.draft.forget_kept();
    }

    /// The layers that were started before the ground was settled, in order of their names.
    pub fn take_started(&mut self) -> Vec<LayerWriter> {
        std::mem::take(&mut self.draft.started).into_values().collect()
    }

    /// The sources of a started layer and which were kept, for [`Site::adopt`].
    pub fn adopt_started(&self, writer: &LayerWriter) -> Option<Vec<SourceReport>> {
        self.adopt(&writer.name, &writer.sources, &writer.kept)
    }

    /// As [`Draft::update_layer`], for a layer without grids and pictures.
    pub fn start(
        &self,
        layer: &str,
        sources: Vec<SourceRef>,
        kept: Vec<Option<u32>>,
    ) -> Result<LayerWriter, StoreError> {
        self.draft.writer(layer, sources, kept)
    }

    /// Writes the files of a layer that holds all its objects, and keeps them with the accounts of its sources.
    pub fn finish(&self, writer: LayerWriter, accounts: &[SourceReport]) -> Result<(), StoreError> {
        let key = self.key(&writer.name, &writer.sources, &writer.kept);
        let finished = self.made(writer, &key)?;
        let root = match &self.draft.resume {
            Some(resume) => resume.keep(&key, &finished.root, &finished, accounts),
            None => finished.root.clone(),
        };
        lock(&self.finished).push(FinishedLayer { root, ..finished });
        Ok(())
    }

    fn made(&self, writer: LayerWriter, key: &str) -> Result<FinishedLayer, StoreError> {
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        let root = match &self.draft.resume {
            Some(resume) => resume.making(key),
            None => self.draft.staging.0.join("layers").join(number.to_string()),
        };
        fs::create_dir_all(&root).map_err(StoreError::at(&root))?;
        fault::at(Place::FinishBegun);
        // That of a layer that could not be taken over.
        let _ = fs::remove_file(root.join(resume::RECORD));
        let path = root.join("journal");
        let opened = match &self.draft.resume {
            Some(_) => Some(Journal::open(&path).map_err(StoreError::at(&path))?),
            None => None,
        };
        fault::at(Place::JournalOpened);
        let journal = opened.as_ref().unwrap_or(Journal::none());
        let around = Surroundings { frame: &self.frame, ground: &self.ground, pictures: &self.pictures, journal };
        let mut finished = writer.draft.finish(&writer.name, &root, &around, &self.crs)?;
        self.ground.check()?;
        finished.record.ground = self.ground_hash.clone();
        finished.record.pictures = self.pictures_hash.clone();
        // All that it says is in the finished layer now.
        let _ = fs::remove_file(&path);
        fault::at(Place::LayerWritten);
        Ok(finished)
    }

    /// Finishes what was started and is not finished yet, several layers at the same time. What they become does not depend on
    /// how many threads there are.
    pub(super) fn finish_started(&mut self) -> Result<(), StoreError> {
        let mut layers = self.take_started();
        // Imagery and terrain first, which are the most work, then all else by name.
        layers.sort_by_key(|writer| !writer.has_ground());
        self.finish_all(layers)
    }

    fn finish_all(&self, layers: Vec<LayerWriter>) -> Result<(), StoreError> {
        let workers = thread::available_parallelism().map_or(1, |n| n.get()).min(MOST_LAYERS).min(layers.len()).max(1);
        let queue = Mutex::new(std::collections::VecDeque::from(layers));
        let failed = Mutex::new(None);
        let fail_here = disk::fail_here();
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    fail_here();
                    loop {
                        let next = lock(&queue).pop_front();
                        let Some(writer) = next else { return };
                        if let Err(error) = self.finish(writer, &[]) {
                            // The disk is full or the like: the others need not try.
                            lock(&queue).clear();
                            lock(&failed).get_or_insert(error);
                        }
                    }
                });
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// Makes the version of all finished layers and switches to it by one rename, as [`Draft::commit`] says.
    pub fn commit(mut self, report: &mut ImportReport) -> Result<u64, StoreError> {
        if report.city.is_empty() {
            report.city = self.draft.head.name.clone();
        }
        if lock(&self.finished).is_empty() && self.draft.removed.is_empty() {
            (report.version, report.extent) = (self.draft.head.version, self.draft.base.extent());
            return Ok(self.draft.head.version);
        }
        let what = self.what();
        let outdated = self.restart_outdated(report)?;
        self.finish_all(outdated)?;
        fault::at(Place::CommitBegun);

        let mut all = std::mem::take(&mut *lock(&self.finished));
        all.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        let mut records: Vec<LayerRecord> = Vec::new();
        let mut moves = Vec::new();
        for finished in all {
            report.tiles += finished.record.tiles;
            report.resumed += u64::from(finished.is_resumed);
            report.changes.add(&finished.changes);
            warn(report, &finished.record.name, finished.warnings);
            for file in finished.record.files().chain(&finished.tile_files) {
                report.bytes += file.size;
                // An import that was killed in the middle of the commit may have put it into place.
                moves.push((finished.root.join(&file.path), file.path.clone()));
            }
            records.push(finished.record);
        }
        let made: BTreeSet<String> = records.iter().map(|r| r.name.clone()).collect();
        let removed = &self.draft.removed;
        let kept = self.draft.base.layers.iter().filter(|l| !made.contains(&l.name) && !removed.contains(&l.name));
        records.extend(kept.cloned());
        records.sort_by(|a, b| a.name.cmp(&b.name));
        self.draft.switch(records, what, &moves, report)
    }

    /// What changed, in a sentence.
    fn what(&self) -> String {
        let list = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>().join(", ");
        let made: BTreeSet<String> = lock(&self.finished).iter().map(|f| f.record.name.clone()).collect();
        let mut parts = Vec::new();
        if !made.is_empty() {
            parts.push(format!("imported {}", list(&mut made.iter())));
        }
        if !self.draft.removed.is_empty() {
            parts.push(format!("removed {}", list(&mut self.draft.removed.iter())));
        }
        parts.join("; ")
    }

    /// Whether the tiles of a layer of the version before were made with another terrain or with other pictures.
    fn is_outdated(&self, record: &LayerRecord) -> bool {
        let is_terrain = record.shapes.contains_key(Kind::Heights.word());
        let other_ground = record.ground != self.ground_hash;
        (record.stands_on_terrain && other_ground)
            || (is_terrain && (record.pictures != self.pictures_hash || other_ground))
    }

    /// Starts layers again whose tiles were made with another terrain or with other pictures.
    fn restart_outdated(&self, report: &mut ImportReport) -> Result<Vec<LayerWriter>, StoreError> {
        let made: BTreeSet<String> = lock(&self.finished).iter().map(|f| f.record.name.clone()).collect();
        let mut started = Vec::new();
        for record in &self.draft.base.layers {
            let name = record.name.as_str();
            if made.contains(name) || self.draft.removed.contains(name) || !self.is_outdated(record) {
                continue;
            }
            let (code, message) = if has_tile_shapes(record) {
                ("stands_on_old_terrain", "the terrain or its picture changed; import this layer again to fit it")
            } else {
                let all = (0..record.sources.len() as u32).map(Some).collect();
                started.push(self.draft.writer(name, record.sources.clone(), all)?);
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
        Ok(started)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

fn hash_of_ground(ground: &Ground) -> Result<String, StoreError> {
    if ground.is_empty() {
        return Ok(String::new());
    }
    let mut hasher = blake3::Hasher::new();
    for grid in ground.grids() {
        let (corner, step) = (grid.north_west(), grid.step_m());
        for v in [corner.x, corner.y, step.x, step.y] {
            hasher.update(&v.to_le_bytes());
        }
        hasher.update(&grid.columns().to_le_bytes());
        hasher.update(&grid.rows().to_le_bytes());
        grid.each_rows(&mut |heights| {
            for chunk in heights.chunks(4096) {
                let bytes: Vec<u8> = chunk.iter().flat_map(|h| h.to_le_bytes()).collect();
                hasher.update(&bytes);
            }
        })?;
    }
    Ok(hasher.finalize().to_hex()[..32].to_string())
}

fn hash_of_pictures(pictures: &[Arc<Photo>]) -> Result<String, StoreError> {
    if pictures.is_empty() {
        return Ok(String::new());
    }
    let mut hasher = blake3::Hasher::new();
    for picture in pictures {
        let (corner, step) = (picture.north_west(), picture.step_m());
        for v in [corner.x, corner.y, step.x, step.y] {
            hasher.update(&v.to_le_bytes());
        }
        hasher.update(&(picture.columns() as u32).to_le_bytes());
        picture.each_rows(&mut |pixels| {
            hasher.update(pixels);
        })?;
    }
    Ok(hasher.finalize().to_hex()[..32].to_string())
}
