//! A version in the making.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    SourceRef, StoreError, city,
    disk::{self, Step, pass},
    ids,
    json::Origins,
    lock::Lock,
    manifest::{self, FORMAT_VERSION, FileRecord, Head, LayerRecord, Manifest},
    objects::ObjectsWriter,
    path::{folder_of, join_inside},
    projjson::projjson,
    read::{RowReader, Rows},
    row::Row,
    shape::{self, Kind},
    spill::Sorter,
    wkb,
};
use crate::{
    crs::Frame,
    model::{CityObject, Geometry, HeightGrid, ImportReport, Picture, SourceReport, Warning},
    tile::{Ground, LayerTiler, LayerTiles, Surroundings},
};

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

/// The folder that holds everything new until it is complete.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the next draft begins.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A layer that is being made anew.
struct LayerDraft {
    sources: Vec<SourceRef>,
    spill: PathBuf,
    sorter: Sorter,
    tiler: LayerTiler,
    classes: BTreeMap<String, u64>,
    shapes: BTreeMap<String, u64>,
    objects: u64,
    points: u64,
    stands_on_terrain: bool,
    /// Scans so far, by id: one row each, however many batches they come in.
    scans: BTreeMap<String, Row>,
    /// Ids of objects that come in parts.
    in_parts: BTreeSet<String>,
    grids: Vec<HeightGrid>,
    pictures: Vec<Picture>,
    warnings: Vec<Warning>,
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
        let inner = spill.join("tiles");
        fs::create_dir_all(&inner).map_err(StoreError::at(&inner))?;
        let draft = LayerDraft {
            sources,
            sorter: Sorter::new(&spill),
            tiler: LayerTiler::new(layer, &inner)?,
            spill,
            classes: BTreeMap::new(),
            shapes: BTreeMap::new(),
            objects: 0,
            points: 0,
            stands_on_terrain: false,
            scans: BTreeMap::new(),
            in_parts: BTreeSet::new(),
            grids: Vec::new(),
            pictures: Vec::new(),
            warnings: Vec::new(),
        };
        self.started.insert(layer.into(), draft);
        Ok(())
    }

    /// Takes one object into a layer that was started. An object whose coordinates are not numbers is left out
    /// and counted as the warning `not_finite` in the report.
    pub fn push(&mut self, layer: &str, object: CityObject) -> Result<(), StoreError> {
        let draft = self.started.get_mut(layer).ok_or_else(|| StoreError::NoLayer(layer.into()))?;
        draft.push(object)
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
        for (name, draft) in by_kind(std::mem::take(&mut self.started)) {
            let mut finished = draft.finish(&name, &self.staging.0, &around, &crs)?;
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

/// Imagery first, then terrain, then all else, each by name: what others stand on comes first.
fn by_kind(started: BTreeMap<String, LayerDraft>) -> Vec<(String, LayerDraft)> {
    let mut layers: Vec<_> = started.into_iter().collect();
    layers.sort_by_key(|(_, draft)| {
        let has = |kind: Kind| draft.shapes.contains_key(kind.word());
        if has(Kind::Heights) {
            1
        } else if has(Kind::Picture) {
            0
        } else {
            2
        }
    });
    layers
}

struct FinishedLayer {
    record: LayerRecord,
    warnings: Vec<Warning>,
}

impl LayerDraft {
    fn push(&mut self, object: CityObject) -> Result<(), StoreError> {
        if !shape::is_finite(&object.geometry) {
            self.warn("not_finite", "coordinates that are not numbers; left out", object.id.as_str());
            return Ok(());
        }
        let kind = Kind::of(&object.geometry);
        let part = match kind {
            Kind::Heights => self.grids.len(),
            Kind::Picture => self.pictures.len(),
            _ => 0,
        };
        let mut row = match Row::new(&object, part as u32) {
            Ok(row) => row,
            Err(reason) => {
                self.warn("bad_shape", &format!("{reason}; left out"), object.id.as_str());
                return Ok(());
            }
        };
        self.tiler.push(&object)?;
        self.points += row.points;
        self.stands_on_terrain |= row.stands_on_terrain;
        *self.shapes.entry(kind.word().into()).or_default() += 1;
        if !kind.has_parts() || self.in_parts.insert(row.id.clone()) {
            self.objects += 1;
            *self.classes.entry(row.class.word().into()).or_default() += 1;
        }
        match object.geometry {
            Geometry::Heights(grid) => self.grids.push(grid),
            Geometry::Picture(picture) => self.pictures.push(picture),
            Geometry::Points(_) => {
                if let Some(scan) = self.scans.get_mut(&row.id) {
                    scan.extent.merge(&row.extent);
                    scan.points += row.points;
                } else {
                    row.wkb.clear();
                    self.scans.insert(row.id.clone(), row);
                }
                return Ok(());
            }
            _ => {}
        }
        self.sorter.push(&row)
    }

    fn warn(&mut self, code: &str, message: &str, place: &str) {
        match self.warnings.iter_mut().find(|w| w.code == code) {
            Some(warning) => warning.count += 1,
            None => {
                let (code, message, place) = (code.into(), message.into(), place.into());
                self.warnings.push(Warning { code, message, place, count: 1 });
            }
        }
    }

    /// Writes the layer's files into the staging folder, under the names that they will have in the city.
    fn finish(
        mut self,
        name: &str,
        staging: &Path,
        around: &Surroundings<'_>,
        crs: &serde_json::Value,
    ) -> Result<FinishedLayer, StoreError> {
        for (_, mut scan) in std::mem::take(&mut self.scans) {
            scan.wkb = wkb::encode_box(&scan.extent);
            self.sorter.push(&scan)?;
        }
        let inner = folder_of(name);
        let object_folder = staging.join("objects").join(&inner);
        fs::create_dir_all(&object_folder).map_err(StoreError::at(&object_folder))?;
        pass(Step::Objects, &object_folder)?;
        let path = object_folder.join("objects.new");
        let mut writer = ObjectsWriter::new(&path, crs.clone())?;
        for entry in self.sorter.finish()? {
            let (_, bytes) = entry?;
            let mut row = Row::decode(&bytes).map_err(|e| StoreError::damaged(&self.spill, e))?;
            row.settle(around.ground);
            writer.push(&row)?;
        }
        let written = writer.finish()?;
        let (size, hash) = disk::hash_file(&path)?;
        let stem = &hash[..32];
        let parquet = record_of(&object_folder, &path, format!("objects/{inner}/{stem}.parquet"), size, &hash)?;
        let doubles = count_doubles(&written.ids, &self.in_parts);
        let list = object_folder.join("ids.new");
        ids::write(&list, written.ids)?;
        let (size, hash) = disk::hash_file(&list)?;
        let list = record_of(&object_folder, &list, format!("objects/{inner}/{stem}.ids"), size, &hash)?;
        let mut warnings = self.warnings;
        if doubles > 0 {
            warnings.push(Warning {
                code: "duplicate_id".into(),
                message: "objects with the id of another; only the first is found by its id".into(),
                place: name.into(),
                count: doubles,
            });
        }

        let tile_folder = staging.join("tiles").join(&inner);
        fs::create_dir_all(&tile_folder).map_err(StoreError::at(&tile_folder))?;
        pass(Step::Tiles, &tile_folder)?;
        let tiles = self.tiler.finish(&tile_folder, around)?;
        if tiles.undrawn_total > 0 {
            let (id, reason) = tiles.undrawn.first().cloned().unwrap_or_default();
            warnings.push(Warning {
                code: "not_drawn".into(),
                message: format!("objects that cannot be drawn: {reason}"),
                place: id,
                count: tiles.undrawn_total,
            });
        }
        let tile_files = records_of_tiles(&tile_folder, &inner, &tiles)?;
        // Spilled rows and triangles are not needed any more: give the disk back before the next layer.
        let _ = fs::remove_dir_all(&self.spill);
        // What is drawn reaches a little beyond the objects, such as walls let into the ground; that is no part of them.
        let extent = if written.extent.is_empty() { tiles.extent } else { written.extent };
        let record = LayerRecord {
            name: name.into(),
            sources: self.sources,
            classes: self.classes,
            shapes: self.shapes,
            objects: self.objects,
            points: self.points,
            tiles: tiles.tiles,
            extent,
            stands_on_terrain: self.stands_on_terrain,
            object_files: vec![parquet, list],
            tileset: tiles.tileset.map(|file| format!("tiles/{inner}/{file}")),
            tile_files,
            ..LayerRecord::default()
        };
        Ok(FinishedLayer { record, warnings })
    }
}

/// Gives a file its lasting name within the staging folder.
fn record_of(folder: &Path, from: &Path, path: String, size: u64, hash: &str) -> Result<FileRecord, StoreError> {
    let file_name = path.rsplit('/').next().unwrap_or_default();
    let target = folder.join(file_name);
    fs::rename(from, &target).map_err(StoreError::at(&target))?;
    Ok(FileRecord { path, size, blake3: hash.into() })
}

fn records_of_tiles(folder: &Path, inner: &str, tiles: &LayerTiles) -> Result<Vec<FileRecord>, StoreError> {
    let mut names = tiles.files.clone();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|file| {
            let (size, blake3) = disk::hash_file(&folder.join(&file))?;
            Ok(FileRecord { path: format!("tiles/{inner}/{file}"), size, blake3 })
        })
        .collect()
}

/// Objects whose id another object of the layer has; parts of one DEM or picture do not count.
fn count_doubles(ids: &[(u64, u32)], in_parts: &BTreeSet<String>) -> u64 {
    let in_parts: BTreeSet<u64> = in_parts.iter().map(|id| ids::hash_of(id)).collect();
    let mut hashes: Vec<u64> = ids.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    hashes.windows(2).filter(|w| w[0] == w[1] && !in_parts.contains(&w[0])).count() as u64
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
