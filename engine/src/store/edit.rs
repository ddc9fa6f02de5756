//! A change of a few objects (增量更新): the parts and tiles that hold them are made anew, everything else is shared with the version
//! before.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{
    City, Draft, StoreError,
    disk::{Step, pass},
    draft::is_editable,
    ids,
    json::Origins,
    layer_draft::{Chunk, PART_ROWS, PartWriter, record_of, with_tiles},
    manifest::{FileRecord, LayerRecord, PartRecord},
    objects::ObjectsWriter,
    path::{folder_of, join_inside},
    place,
    projjson::projjson,
    read::{self, RowReader, Rows},
    row::Row,
    shape::Kind,
    sources,
};
use crate::{
    crs::Frame,
    fault::{self, Place},
    model::{Changes, CityObject, Class, ImportReport, ObjectId},
    tile::{self, Delta, Ground, Journal, Objects, Square, TileError, TilesetBuilder, hilbert},
};

/// Most objects of one change: more of them are quicker read as a delivery of the whole layer.
const MOST_OBJECTS: usize = 100_000;

/// Files of ended states below this size are written together once there are so many of them, so that a layer that is changed daily does
/// not have a file for each day.
const SMALL_ENDED_BYTES: u64 = 1 << 20;
const MOST_SMALL_ENDED: usize = if cfg!(test) { 4 } else { 16 };

/// Objects of one layer that come, change or go.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Objects that take the place of those with the same id, or are new.
    pub put: Vec<CityObject>,
    /// Objects that are there no more.
    pub remove: Vec<ObjectId>,
    /// What changed, for the list of versions; where it is empty, the number of objects says it.
    pub what: String,
}

/// A row that goes.
struct Old {
    row: Row,
    part: usize,
    number: u32,
    source: u32,
}

impl City {
    /// Changes a few objects of `layer` and makes a new version of the newest one. Objects that are equal to what is there change
    /// nothing; where all are, no version is made. The earlier states are ended, and found by a query at an earlier time.
    ///
    /// Refused, with nothing changed: ids to be removed that the layer does not have, an id given twice, layers whose shapes are in their tiles
    /// alone (BIM, scans) or are the ground itself, and layers that an earlier Groundline wrote.
    pub fn edit(&self, layer: &str, edit: Edit, report: &mut ImportReport) -> Result<u64, StoreError> {
        let refused = |reason: &str| StoreError::NotChanged { layer: layer.into(), reason: reason.into() };
        if edit.put.len() + edit.remove.len() > MOST_OBJECTS {
            return Err(refused(&format!("more than {MOST_OBJECTS} objects at once; import the whole layer instead")));
        }
        let draft = Draft::begin(self.folder())?;
        let record = draft.base.layers.iter().find(|l| l.name == layer);
        let record = record.cloned().ok_or_else(|| StoreError::NoLayer(layer.into()))?;
        if !is_editable(&record) {
            return Err(refused("its shapes are in its tiles alone, or are the ground; import its source again"));
        }
        if !record.is_current() {
            return Err(refused("an earlier Groundline wrote it; import its sources again once"));
        }
        let mut change = Change::new(draft, record, layer)?;
        change.prepare(edit, &refused)?;
        change.commit(report)
    }
}

struct Change {
    draft: Draft,
    layer: String,
    record: LayerRecord,
    /// Its parts.
    paths: Vec<PathBuf>,
    sound: Sound,
    ground: Ground,
    time_ms: i64,
    what: String,
    gone: Vec<Old>,
    new: Vec<Row>,
    changes: Changes,
    delta: Delta,
}

impl Change {
    fn new(draft: Draft, record: LayerRecord, layer: &str) -> Result<Self, StoreError> {
        let paths = record.parquet().map(|file| join_inside(&draft.folder, &file.path)).collect::<Result<_, _>>()?;
        // An id that a damaged list does not tell would be there twice.
        let is_list = |file: &&FileRecord| file.path.ends_with(".ids");
        let lists: Vec<&FileRecord> = record.object_files.iter().filter(is_list).collect();
        lists.par_iter().try_for_each(|list| list.sound(&draft.folder).map(drop))?;
        let sound = Sound::new(&draft.folder, &record);
        let ground = match record.ground.is_empty() {
            true => Ground::default(),
            false => City::open(&draft.folder)?.ground()?,
        };
        let time_ms = draft.time_ms;
        Ok(Self {
            draft,
            layer: layer.into(),
            record,
            paths,
            sound,
            ground,
            time_ms,
            what: String::new(),
            gone: Vec::new(),
            new: Vec::new(),
            changes: Changes::default(),
            delta: Delta::default(),
        })
    }

    /// The row with this id, of the first part that has one.
    fn find(&self, id: &str) -> Result<Option<Old>, StoreError> {
        let hash = ids::hash_of(id);
        for (part, path) in self.paths.iter().enumerate() {
            let numbers = ids::find(&path.with_extension("ids"), hash)?;
            if numbers.is_empty() {
                continue;
            }
            self.sound.check(path)?;
            for (row, number) in RowReader::open(path, Rows::These(&numbers))?.zip(&numbers) {
                let row = row?;
                if row.id == id {
                    let list = path.with_extension("sources");
                    let is_listed = place::is_file(&list).map_err(StoreError::at(&list))?;
                    let source = if is_listed { sources::read(&list)?.get(*number as usize).copied() } else { None };
                    return Ok(Some(Old { row, part, number: *number, source: source.unwrap_or(0) }));
                }
            }
        }
        Ok(None)
    }

    /// Finds out what goes and what comes.
    fn prepare(&mut self, edit: Edit, refused: &dyn Fn(&str) -> StoreError) -> Result<(), StoreError> {
        let mut seen = BTreeSet::new();
        let ids = edit.put.iter().map(|object| &object.id).chain(&edit.remove);
        if let Some(id) = ids.clone().find(|id| !seen.insert(id.as_str())) {
            return Err(refused(&format!("{id} is named twice")));
        }
        let mut origins = Origins::default();
        for object in edit.put {
            let old = self.find(object.id.as_str())?;
            if !super::shape::is_finite(&object.geometry) {
                return Err(refused(&format!("{}: coordinates that are not numbers", object.id)));
            }
            let kind = Kind::of(&object.geometry);
            if kind.is_in_tiles_only() || matches!(kind, Kind::Heights | Kind::Picture) {
                return Err(refused(&format!("{}: a {} cannot be changed alone", object.id, kind.word())));
            }
            let mut row = Row::new(&object, 0).map_err(|e| refused(&format!("{}: {e}", object.id)))?;
            row.settle(&self.ground);
            match old {
                Some(old) if old.row.state() == row.state() => {
                    self.changes.same += 1;
                    continue;
                }
                Some(old) => {
                    self.changes.changed += 1;
                    row.valid_from = Some(row.valid_from.map_or(self.time_ms, |own| own.max(self.time_ms)));
                    row.source = old.source;
                    self.end(old, &mut origins)?;
                }
                None => {
                    self.changes.added += 1;
                    row.valid_from.get_or_insert(self.time_ms);
                }
            }
            self.delta.comes(&object);
            self.count(&row, true);
            self.new.push(row);
        }
        for id in edit.remove {
            let old = self.find(id.as_str())?.ok_or_else(|| refused(&format!("it has no object {id}")))?;
            self.changes.ended += 1;
            self.end(old, &mut origins)?;
        }
        let list = |count: u64, word: &str| (count > 0).then(|| format!("{count} {word}"));
        let Changes { added, changed, ended, .. } = self.changes;
        let counts: Vec<String> =
            [list(added, "added"), list(changed, "changed"), list(ended, "removed")].into_iter().flatten().collect();
        self.what = match edit.what.is_empty() {
            true => format!("edited {}: {}", self.layer, counts.join(", ")),
            false => edit.what,
        };
        Ok(())
    }

    fn end(&mut self, old: Old, origins: &mut Origins) -> Result<(), StoreError> {
        let object = old.row.object(origins).map_err(|e| StoreError::damaged(&self.paths[old.part], e))?;
        self.delta.goes(&object);
        self.count(&old.row, false);
        self.gone.push(old);
        Ok(())
    }

    /// Counts a row that comes or goes in the layer's record.
    fn count(&mut self, row: &Row, is_new: bool) {
        let step = |count: &mut u64| *count = if is_new { *count + 1 } else { count.saturating_sub(1) };
        let record = &mut self.record;
        step(&mut record.objects);
        let mut words = vec![(&mut record.classes, row.class.word()), (&mut record.shapes, row.kind.word())];
        if row.parent.is_some() && matches!(row.class, Class::Building | Class::Bridge | Class::Tunnel) {
            words.push((&mut record.parts, row.class.word()));
        }
        for (counts, word) in words {
            let count = counts.entry(word.into()).or_default();
            step(count);
            if *count == 0 {
                counts.remove(word);
            }
        }
        record.stands_on_terrain |= is_new && row.stands_on_terrain;
    }

    fn commit(mut self, report: &mut ImportReport) -> Result<u64, StoreError> {
        if report.city.is_empty() {
            report.city = self.draft.head.name.clone();
        }
        report.changes.add(&self.changes);
        if self.new.is_empty() && self.gone.is_empty() {
            (report.version, report.extent) = (self.draft.head.version, self.draft.base.extent());
            return Ok(self.draft.head.version);
        }
        let root = self.draft.staging.0.join("edit");
        let inner = folder_of(&self.layer);
        let folder = root.join("objects").join(&inner);
        fs::create_dir_all(&folder).map_err(StoreError::at(&folder))?;
        pass(Step::Objects, &folder)?;
        let crs = projjson(&self.draft.head.crs);
        fault::at(Place::EditBegun);
        let parts = self.write_parts(&root, &inner, &crs)?;
        fault::at(Place::EditParts);
        self.write_ended(&folder, &inner, &crs)?;
        let files = self.write_tiles(&root, &inner, parts)?;
        fault::at(Place::EditTiles);

        let mut moves = Vec::new();
        for file in self.record.files().chain(&files) {
            let from = root.join(&file.path);
            if from.exists() {
                report.bytes += file.size;
            }
            moves.push((from, file.path.clone()));
        }
        report.tiles += files.iter().filter(|file| file.path.ends_with(".glb")).count() as u64;
        let others = self.draft.base.layers.iter().filter(|l| l.name != self.layer).cloned();
        let mut layers: Vec<LayerRecord> = others.chain([self.record]).collect();
        layers.sort_by(|a, b| a.name.cmp(&b.name));
        self.draft.switch(layers, self.what, &moves, report)
    }

    /// Writes the parts in which something changes. Returns the parts of the layer in their order.
    fn write_parts(
        &mut self,
        root: &Path,
        inner: &str,
        crs: &serde_json::Value,
    ) -> Result<Vec<(PartRecord, PathBuf)>, StoreError> {
        let mut gone: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
        for old in &self.gone {
            gone.entry(old.part).or_default().insert(old.number);
        }
        let mut new: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
        for row in std::mem::take(&mut self.new) {
            let key = row.order();
            let at = self.record.object_parts.partition_point(|part| part.keys().0 <= key).saturating_sub(1);
            new.entry(at).or_default().push(row);
        }
        let has_sources = self.record.object_files.iter().any(|file| file.path.ends_with(".sources"));
        let writer = PartWriter { root, inner: inner.into(), crs, journal: Journal::none(), has_sources };
        let (mut files, mut records, mut paths) = (Vec::new(), Vec::new(), Vec::new());
        let mut number = 0;
        for part in 0..self.paths.len().max(1) {
            let (gone, new) = (gone.remove(&part).unwrap_or_default(), new.remove(&part).unwrap_or_default());
            let path = self.paths.get(part);
            if let Some(path) = path
                && gone.is_empty()
                && new.is_empty()
            {
                files.extend(self.files_of(path).cloned());
                records.push(self.record.object_parts[part].clone());
                paths.push(path.clone());
                continue;
            }
            if let Some(path) = path {
                self.sound.check(path)?;
            }
            let rows = merged(path, &gone, new)?;
            let pieces = rows.len().div_ceil(2 * PART_ROWS).max(1);
            for rows in rows.chunks(rows.len().div_ceil(pieces).max(1)) {
                records.push(PartRecord::new(rows));
                let chunk = Chunk { number, rows: rows.to_vec(), bytes: 0 };
                number += 1;
                let made = writer.write(&chunk)?;
                let parquet = made.iter().find(|file| file.path.ends_with(".parquet"));
                paths.extend(parquet.map(|file| root.join(&file.path)));
                files.extend(made);
            }
        }
        self.record.object_files = files;
        self.record.object_parts = records;
        let mut extent = crate::model::Extent::EMPTY;
        self.record.object_parts.iter().for_each(|part| extent.merge(&part.extent));
        self.record.extent = extent;
        Ok(self.record.object_parts.iter().cloned().zip(paths).collect())
    }

    /// The files of the part at `path`, which have one name but for their endings.
    fn files_of(&self, path: &Path) -> impl Iterator<Item = &FileRecord> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name =
            |file: &FileRecord| file.path.rsplit('/').next().and_then(|n| n.split('.').next()).map(str::to_owned);
        self.record.object_files.iter().filter(move |file| name(file).as_deref() == Some(&stem))
    }

    /// Writes the states that end.
    fn write_ended(&mut self, folder: &Path, inner: &str, crs: &serde_json::Value) -> Result<(), StoreError> {
        if self.gone.is_empty() {
            return Ok(());
        }
        let path = folder.join("ended.new");
        let mut writer = ObjectsWriter::new(&path, crs.clone())?;
        let is_small = |file: &FileRecord| file.size < SMALL_ENDED_BYTES;
        if self.record.ended_files.iter().filter(|file| is_small(file)).count() >= MOST_SMALL_ENDED {
            let all = std::mem::take(&mut self.record.ended_files);
            let (small, large): (Vec<_>, Vec<_>) = all.into_iter().partition(is_small);
            self.record.ended_files = large;
            for file in small {
                for row in RowReader::open(&file.sound(&self.draft.folder)?, Rows::All)? {
                    writer.push(&row?)?;
                }
            }
        }
        self.gone.sort_by_key(|old| (old.part, old.number));
        for old in &mut self.gone {
            old.row.valid_to = Some(old.row.valid_to.map_or(self.time_ms, |own| own.min(self.time_ms)));
            writer.push(&old.row)?;
        }
        writer.finish()?;
        let (size, hash) = super::disk::hash_file(&path)?;
        let name = format!("objects/{inner}/{}.ended.parquet", &hash[..32]);
        self.record.ended_files.push(record_of(folder, &path, name, size, &hash)?);
        self.record.ended += self.gone.len() as u64;
        fault::at(Place::EndedWritten);
        Ok(())
    }

    /// Writes the tiles that change; returns their files.
    fn write_tiles(
        &mut self,
        root: &Path,
        inner: &str,
        parts: Vec<(PartRecord, PathBuf)>,
    ) -> Result<Vec<FileRecord>, StoreError> {
        let made = root.join("tiles").join(inner);
        fs::create_dir_all(&made).map_err(StoreError::at(&made))?;
        pass(Step::Tiles, &made)?;
        let frame = Frame::new(self.draft.head.crs.clone())?;
        let held = self.draft.folder.join("tiles").join(inner);
        let old = match &self.record.tileset {
            Some(path) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                Some(tile::read_page(&held, name).map_err(|e| StoreError::damaged(&e.path, &e.reason))?)
            }
            None => None,
        };
        let mut tileset = TilesetBuilder::new(&made, &frame)?;
        let delta = std::mem::take(&mut self.delta);
        let objects = After { parts, keys: RefCell::default(), sound: std::mem::take(&mut self.sound) };
        let (tree, undrawn) = tile::change(old, &held, delta, &objects, &self.ground, &tileset)?;
        if let Some(tree) = tree {
            tileset.add_root(tree);
        }
        if undrawn.total > 0 {
            tracing::warn!("{} objects of {} cannot be drawn", undrawn.total, self.layer);
        }
        let (record, files) = with_tiles(self.record.clone(), inner, tileset.finish()?);
        self.record = record;
        Ok(files)
    }
}

/// The parts of a layer as its record has them: those that were looked at are as they were written.
#[derive(Default)]
struct Sound {
    folder: PathBuf,
    unseen: RefCell<BTreeMap<PathBuf, Vec<FileRecord>>>,
}

impl Sound {
    fn new(folder: &Path, record: &LayerRecord) -> Self {
        let mut unseen: BTreeMap<PathBuf, Vec<FileRecord>> = BTreeMap::new();
        for file in &record.object_files {
            unseen.entry(folder.join(&file.path).with_extension("")).or_default().push(file.clone());
        }
        Self { folder: folder.into(), unseen: RefCell::new(unseen) }
    }

    /// Fails where the part at `path` or a list beside it is damaged.
    fn check(&self, path: &Path) -> Result<(), StoreError> {
        let files = self.unseen.borrow_mut().remove(&path.with_extension(""));
        files.iter().flatten().try_for_each(|file| file.sound(&self.folder).map(drop))
    }
}

/// The rows of a part without those that go and with those that come, in order.
fn merged(path: Option<&PathBuf>, gone: &BTreeSet<u32>, new: Vec<Row>) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    if let Some(path) = path {
        let list = path.with_extension("sources");
        let is_listed = place::is_file(&list).map_err(StoreError::at(&list))?;
        let list = if is_listed { sources::read(&list)? } else { Vec::new() };
        for (number, row) in RowReader::open(path, Rows::All)?.enumerate() {
            let row = Row { source: list.get(number).copied().unwrap_or(0), ..row? };
            if !gone.contains(&(number as u32)) {
                rows.push(row);
            }
        }
    }
    rows.extend(new);
    rows.sort_by_cached_key(|row| (row.order(), row.id.clone()));
    Ok(rows)
}

/// The objects of a layer after a change.
struct After {
    parts: Vec<(PartRecord, PathBuf)>,
    /// By part: the places of its rows on the curve, once they were asked for.
    keys: RefCell<BTreeMap<usize, Vec<u64>>>,
    sound: Sound,
}

impl After {
    fn rows_in(&self, part: usize, square: Square) -> Result<Vec<u32>, StoreError> {
        let mut all = self.keys.borrow_mut();
        let keys = match all.entry(part) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let boxes = read::read_boxes(&self.parts[part].1)?;
                let key = |b: &crate::model::Extent| if b.is_empty() { 0 } else { hilbert(b.centre().truncate()) };
                entry.insert(boxes.iter().map(key).collect())
            }
        };
        let wanted = square.keys();
        let start = keys.partition_point(|key| key < wanted.start());
        let end = keys.partition_point(|key| key <= wanted.end());
        Ok((start as u32..end as u32).collect())
    }

    fn read(&self, square: Square, take: &mut dyn FnMut(&CityObject)) -> Result<(), StoreError> {
        let wanted = square.keys();
        let mut origins = Origins::default();
        for (number, (part, path)) in self.parts.iter().enumerate() {
            let (first, last) = part.keys();
            if last < *wanted.start() || first > *wanted.end() {
                continue;
            }
            self.sound.check(path)?;
            let rows = self.rows_in(number, square)?;
            if rows.is_empty() {
                continue;
            }
            for row in RowReader::open(path, Rows::These(&rows))? {
                take(&row?.object(&mut origins).map_err(|e| StoreError::damaged(path, e))?);
            }
        }
        Ok(())
    }
}

impl Objects for After {
    fn each(&self, square: Square, take: &mut dyn FnMut(&CityObject)) -> Result<(), TileError> {
        self.read(square, take).map_err(|error| TileError::Spill(error.to_string()))
    }
}
