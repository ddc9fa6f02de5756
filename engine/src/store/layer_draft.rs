//! A layer in the making: objects and tiles that wait for the commit, and their files at the end of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    SourceRef, StoreError,
    disk::{self, Step, pass},
    ids,
    manifest::{FileRecord, LayerRecord},
    objects::ObjectsWriter,
    path::folder_of,
    row::Row,
    shape::{self, Kind},
    spill::Sorter,
    wkb,
};
use crate::{
    model::{CityObject, Class, Geometry, HeightGrid, Picture, Warning},
    tile::{LayerTiler, LayerTiles, Surroundings},
};

/// A layer that is being made anew.
pub(super) struct LayerDraft {
    sources: Vec<SourceRef>,
    pub spill: PathBuf,
    sorter: Sorter,
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
    pub grids: Vec<HeightGrid>,
    pub pictures: Vec<Picture>,
    warnings: Vec<Warning>,
}

/// A layer whose files are in the staging folder.
pub(super) struct FinishedLayer {
    pub record: LayerRecord,
    pub warnings: Vec<Warning>,
}

impl LayerDraft {
    /// A layer without objects, made of `sources`; what does not fit in memory goes to the folder `spill`.
    pub fn new(name: &str, sources: Vec<SourceRef>, spill: PathBuf) -> Result<Self, StoreError> {
        let inner = spill.join("tiles");
        fs::create_dir_all(&inner).map_err(StoreError::at(&inner))?;
        Ok(Self {
            sources,
            sorter: Sorter::new(&spill),
            tiler: LayerTiler::new(name, &inner)?,
            spill,
            classes: BTreeMap::new(),
            parts: BTreeMap::new(),
            shapes: BTreeMap::new(),
            objects: 0,
            points: 0,
            stands_on_terrain: false,
            scans: BTreeMap::new(),
            in_parts: BTreeSet::new(),
            grids: Vec::new(),
            pictures: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Takes an object; one that cannot be kept is left out and counted in a warning.
    pub fn push(&mut self, object: CityObject) -> Result<(), StoreError> {
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
            if object.parent.is_some() && matches!(row.class, Class::Building | Class::Bridge | Class::Tunnel) {
                *self.parts.entry(row.class.word().into()).or_default() += 1;
            }
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
    pub fn finish(
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
        if tiles.plain_surfaces > 0 {
            warnings.push(Warning {
                code: "texture_unreadable".into(),
                message: "surfaces in a plain colour, because their picture is damaged, too large or of a format that is not read"
                    .into(),
                place: name.into(),
                count: tiles.plain_surfaces,
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
            parts: self.parts,
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
