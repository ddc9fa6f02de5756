//! A layer in the making: objects and tiles that wait for the commit, and their files at the end of it.

mod checkpoint;
mod rows;

pub(super) use rows::{Chunk, PART_ROWS, PartWriter};

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use self::checkpoint::Pace;
use super::{
    SourceRef, StoreError,
    aside::Aside,
    disk::{Step, pass},
    json::Origins,
    manifest::{FileRecord, LayerRecord},
    parts::Parts,
    path::folder_of,
    read::{self, RowReader},
    row::Row,
    shape::{self, Kind},
    sources,
    spill::Sorter,
};
use crate::{
    fault::{self, Place},
    model::{Changes, CityObject, Class, Geometry, Warning},
    tile::{
        LayerTiler, LayerTiles, Surroundings, TileFile,
        raster::{HeightRaster, Photo},
    },
};

/// What the city holds of a layer that is being made anew.
pub(super) struct Base {
    /// Folder of the city.
    pub folder: PathBuf,
    /// The layer in the version before.
    pub record: LayerRecord,
    /// For each of its sources, which source of the new layer it is when its objects stay as they are.
    pub kept: Vec<Option<u32>>,
    /// When the import happens, milliseconds since 1970.
    pub time_ms: i64,
}

impl Base {
    fn keeps(&self) -> bool {
        self.kept.iter().any(Option::is_some)
    }

    fn keeps_all(&self) -> bool {
        self.kept.iter().all(Option::is_some)
    }

    /// Whether the objects of the layer are not as they were written.
    fn is_damaged(&self) -> bool {
        let parts = self.record.sound_parts(&self.folder);
        parts.into_iter().any(|part| part.is_err_and(|error| error.is_damage()))
    }

    /// The sources of the rows of a part, where they are listed.
    fn list_of_sources(&self, part: &Path) -> Result<Option<Vec<u32>>, StoreError> {
        let list = part.with_extension("sources");
        if !self.knows_sources() {
            return Ok(None);
        }
        sources::read(&list).map(Some)
    }

    fn knows_sources(&self) -> bool {
        self.record.object_files.iter().any(|f| f.path.ends_with(".sources"))
    }
}

/// A folder for what does not fit in memory; gone when dropped, unless another process may go on with it.
struct Spill {
    folder: PathBuf,
    is_kept: bool,
}

impl Drop for Spill {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed goes with the folder around it.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A layer that is being made anew.
pub(super) struct LayerDraft {
    sources: Vec<SourceRef>,
    /// The source whose objects come now.
    source: u32,
    /// Whether it is known of every object which source it came from.
    sources_known: bool,
    base: Option<Base>,
    sorter: Sorter,
    /// Large shapes of the rows that are sorted.
    aside: Aside,
    tiler: LayerTiler,
    classes: BTreeMap<String, u64>,
    parts: BTreeMap<String, u64>,
    pub shapes: BTreeMap<String, u64>,
    objects: u64,
    points: u64,
    stands_on_terrain: bool,
    /// Scans so far, by id: one row each, however many batches they come in.
    scans: BTreeMap<String, Row>,
    /// Ids of objects that come in parts.
    in_parts: BTreeSet<String>,
    /// Grids and pictures so far, part by part.
    grids: u32,
    pictures: u32,
    warnings: Vec<Warning>,
    /// Whether another process can go on with it.
    is_resumable: bool,
    pace: Pace,
    // Dropped last, after those who write into it.
    spill: Spill,
}

/// A layer whose files are in the staging folder.
pub(super) struct FinishedLayer {
    pub record: LayerRecord,
    /// The files of its tiles that the record does not name.
    pub tile_files: Vec<FileRecord>,
    pub warnings: Vec<Warning>,
    pub changes: Changes,
    /// Folder in which its files lie under the names that they will have in the city.
    pub root: PathBuf,
    /// Whether an import before this one finished it.
    pub is_resumed: bool,
}

impl LayerDraft {
    /// A layer made of `sources`, which holds the objects of `base` that are kept and no others yet; what does not fit in
    /// memory goes to the folder `spill`, and what the ground is made of to `surface`.
    pub fn new(
        name: &str,
        sources: Vec<SourceRef>,
        base: Option<Base>,
        spill: PathBuf,
        surface: &Path,
        is_resumable: bool,
    ) -> Result<Self, StoreError> {
        let _ = fs::remove_dir_all(&spill);
        let inner = spill.join("tiles");
        fs::create_dir_all(&inner).map_err(StoreError::at(&inner))?;
        fault::at(Place::LayerStarted);
        let mut draft = Self {
            sources,
            source: 0,
            sources_known: true,
            base: None,
            sorter: Sorter::new(&spill),
            aside: Aside::new(&spill),
            tiler: LayerTiler::new(name, &inner, surface)?,
            classes: BTreeMap::new(),
            parts: BTreeMap::new(),
            shapes: BTreeMap::new(),
            objects: 0,
            points: 0,
            stands_on_terrain: false,
            scans: BTreeMap::new(),
            in_parts: BTreeSet::new(),
            grids: 0,
            pictures: 0,
            warnings: Vec::new(),
            is_resumable,
            pace: Pace::new(Duration::ZERO),
            spill: Spill { folder: spill, is_kept: false },
        };
        if let Some(base) = &base {
            draft.keep(base)?;
        }
        draft.base = base;
        Ok(draft)
    }

    /// Takes over the objects of the version before whose source is kept.
    fn keep(&mut self, base: &Base) -> Result<(), StoreError> {
        if !base.keeps() {
            return Ok(());
        }
        self.sources_known = base.knows_sources() || base.record.sources.len() < 2;
        // Grids and pictures have an order of their own, which is not that of the file.
        let mut parts = Parts::new(&self.spill.folder)?;
        let mut origins = Origins::default();
        for path in base.record.sound_parts(&base.folder) {
            let path = path?;
            let list = base.list_of_sources(&path)?;
            for (number, row) in RowReader::open(&path, read::Rows::All)?.enumerate() {
                let mut row = row?;
                let source = list.as_ref().map_or(0, |list| list.get(number).copied().unwrap_or(0));
                let Some(source) = base.kept.get(source as usize).copied().flatten() else { continue };
                if row.kind.has_parts() {
                    row.source = source;
                    parts.push(&row)?;
                } else {
                    let object = row.object(&mut origins).map_err(|e| StoreError::damaged(&path, e))?;
                    self.source = source;
                    self.push(object)?;
                }
            }
        }
        parts.each(&mut |row| {
            let object = row.object(&mut origins).map_err(|e| StoreError::damaged(&base.folder, e))?;
            self.source = row.source;
            self.push(object)
        })
    }

    /// The heights and pictures of the ground that it holds.
    pub fn surfaces(&mut self) -> Result<(&[Arc<HeightRaster>], &[Arc<Photo>]), StoreError> {
        Ok(self.tiler.surfaces()?)
    }

    /// Where bytes are laid aside.
    pub fn aside(&mut self) -> &mut Aside {
        &mut self.aside
    }

    /// The objects that follow are of this one of the layer's sources.
    pub fn next_source(&mut self, source: usize) {
        self.source = source as u32;
    }

    /// Takes an object; one that cannot be kept is left out and counted in a warning.
    pub fn push(&mut self, object: CityObject) -> Result<(), StoreError> {
        if !shape::is_finite(&object.geometry) {
            self.warn("not_finite", "coordinates that are not numbers; left out", object.id.as_str());
            return Ok(());
        }
        let kind = Kind::of(&object.geometry);
        let part = match kind {
            Kind::Heights => self.grids,
            Kind::Picture => self.pictures,
            _ => 0,
        };
        let mut row = match Row::new(&object, part) {
            Ok(row) => row,
            Err(reason) => {
                self.warn("bad_shape", &format!("{reason}; left out"), object.id.as_str());
                return Ok(());
            }
        };
        row.source = self.source;
        self.tiler.push(&object)?;
        self.points += row.points;
        self.stands_on_terrain |= row.stands_on_terrain;
        *self.shapes.entry(kind.word().into()).or_default() += 1;
        if !kind.has_parts() || self.in_parts.insert(row.id.clone()) {
            self.objects += 1;
            *self.classes.entry(row.class.word().into()).or_default() += 1;
            if object.parent.is_some() && matches!(row.class, Class::Building | Class::Bridge | Class::Tunnel) {
                *self.parts.entry(row.class.word().into()).or_default() += 1;
            }
        }
        match object.geometry {
            Geometry::Heights(_) => self.grids += 1,
            Geometry::Picture(_) => self.pictures += 1,
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
        self.aside.put(&mut row)?;
        self.sorter.push(&row)?;
        fault::at(Place::ObjectTaken);
        Ok(())
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

    /// What the layer held before, for the periods of its objects; of a draft that goes on from a checkpoint.
    pub fn put_base(&mut self, base: Option<Base>) {
        self.base = base;
    }

    /// Nobody is to go on with it.
    pub fn forget(&mut self) {
        self.is_resumable = false;
        self.spill.is_kept = false;
    }

    /// Writes the layer's files into the folder `root`, under the names that they will have in the city.
    pub fn finish(
        mut self,
        name: &str,
        root: &Path,
        around: &Surroundings<'_>,
        crs: &serde_json::Value,
    ) -> Result<FinishedLayer, StoreError> {
        let rows = self.write_rows(name, root, around, crs)?;
        let (mut ended, mut ended_files) = (rows.ended, Vec::new());
        if let Some(base) = &self.base {
            ended += base.record.ended;
            ended_files.clone_from(&base.record.ended_files);
        }
        ended_files.extend(rows.ended_file);
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(rows.warnings);
        let inner = folder_of(name);
        let tile_folder = root.join("tiles").join(&inner);
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
        if tiles.plain_surfaces > 0 {
            warnings.push(Warning {
                code: "texture_unreadable".into(),
                message: "surfaces in a plain colour, because their picture is damaged, too large or of a format that is not read"
                    .into(),
                place: name.into(),
                count: tiles.plain_surfaces,
            });
        }
        // Spilled rows and triangles are not needed any more: give the disk back before the next layer.
        self.spill.is_kept = false;
        drop(self.spill);
        // What is drawn reaches a little beyond the objects, such as walls let into the ground; that is no part of them.
        let extent = if rows.extent.is_empty() { tiles.extent } else { rows.extent };
        let record = LayerRecord {
            name: name.into(),
            sources: self.sources,
            classes: self.classes,
            parts: self.parts,
            shapes: self.shapes,
            objects: self.objects,
            points: self.points,
            extent,
            stands_on_terrain: self.stands_on_terrain,
            object_files: rows.object_files,
            ended,
            ended_files,
            object_parts: rows.object_parts,
            ..LayerRecord::default()
        };
        let (record, tile_files) = with_tiles(record, &inner, tiles);
        let root = root.to_path_buf();
        Ok(FinishedLayer { record, tile_files, warnings, changes: rows.changes, root, is_resumed: false })
    }
}

/// Gives a file its lasting name within the staging folder.
pub(super) fn record_of(
    folder: &Path,
    from: &Path,
    path: String,
    size: u64,
    hash: &str,
) -> Result<FileRecord, StoreError> {
    let file_name = path.rsplit('/').next().unwrap_or_default();
    let target = folder.join(file_name);
    fs::rename(from, &target).map_err(StoreError::at(&target))?;
    Ok(FileRecord { path, size, blake3: hash.into() })
}

/// The record of a layer with its tiles, and the files of these that it does not name.
pub(super) fn with_tiles(record: LayerRecord, inner: &str, tiles: LayerTiles) -> (LayerRecord, Vec<FileRecord>) {
    let tileset = tiles.tileset.as_ref().map(|file| format!("tiles/{inner}/{file}"));
    let (count, bytes) = (tiles.tiles, tiles.bytes);
    let files = records_of_tiles(inner, tiles);
    let (own, files): (Vec<FileRecord>, _) = files.into_iter().partition(|file| Some(&file.path) == tileset.as_ref());
    let tile_bytes = bytes - own.iter().map(|file| file.size).sum::<u64>();
    (LayerRecord { tiles: count, tileset, tile_files: own, tile_bytes, ..record }, files)
}

fn records_of_tiles(inner: &str, tiles: LayerTiles) -> Vec<FileRecord> {
    let record = |file: TileFile| FileRecord {
        path: format!("tiles/{inner}/{}", file.name),
        size: file.size,
        blake3: file.blake3,
    };
    tiles.files.into_iter().map(record).collect()
}
