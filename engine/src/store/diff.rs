//! What differs between two versions of a city (版本比较). Parts that both share are not looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{
    StoreError, ids,
    manifest::{self, FileRecord, LayerRecord},
    path::join_inside,
    place,
    read::{HeldRows, RowReader, Rows},
};
use crate::model::Changes;

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is in the later version only.
    Added,
    /// It is in both, in different states.
    Changed,
    /// It is in the earlier version only.
    Removed,
}

/// An object that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// Its id.
    pub id: String,
    /// What became of it.
    pub change: Change,
    /// What it is.
    pub class: &'static str,
    /// Its name, of the later version where it is there.
    pub name: Option<String>,
}

/// How a layer differs.
#[derive(Clone, Debug, Serialize)]
pub struct LayerDiff {
    /// Its name.
    pub layer: String,
    /// How many objects differ; `ended` are those in the earlier version only, `same` those of both that were looked at.
    pub counts: Changes,
    /// The first of them, in the order of their ids.
    pub objects: Vec<Changed>,
}

/// A row of one of the versions.
struct Place {
    state: u64,
    file: usize,
    row: u32,
}

/// The differences from version `from` of the city in `folder` to version `to`: layers that differ, each with at most `limit` objects.
/// Where an object stands twice in a layer, its first row counts.
pub fn diff(folder: &Path, from: u64, to: u64, limit: usize) -> Result<Vec<LayerDiff>, StoreError> {
    let folder = &place::settle(folder)?;
    let head = manifest::read_head(folder)?;
    let open = |version: u64| -> Result<BTreeMap<String, LayerRecord>, StoreError> {
        head.has_version(folder, version)?;
        let (manifest, _) = manifest::read_manifest(folder, version)?;
        Ok(manifest.layers.into_iter().map(|layer| (layer.name.clone(), layer)).collect())
    };
    let (old, new) = (open(from)?, open(to)?);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut layers = Vec::new();
    for name in names {
        let layer = diff_layer(folder, name, old.get(name), new.get(name), limit)?;
        let Changes { added, changed, ended, .. } = layer.counts;
        if added + changed + ended > 0 {
            layers.push(layer);
        }
    }
    Ok(layers)
}

fn diff_layer(
    folder: &Path,
    name: &str,
    old: Option<&LayerRecord>,
    new: Option<&LayerRecord>,
    limit: usize,
) -> Result<LayerDiff, StoreError> {
    let files = |record: Option<&LayerRecord>| -> Vec<FileRecord> {
        record.map_or(Vec::new(), |record| record.parquet().cloned().collect())
    };
    let (mut old, mut new) = (files(old), files(new));
    let shared: BTreeSet<String> = old.iter().filter(|file| new.contains(file)).map(|file| file.path.clone()).collect();
    old.retain(|file| !shared.contains(&file.path));
    new.retain(|file| !shared.contains(&file.path));
    let mut paths = Vec::new();
    let before = places(folder, &old, &mut paths)?;
    let after = places(folder, &new, &mut paths)?;
    let mut diff = LayerDiff { layer: name.into(), counts: Changes::default(), objects: Vec::new() };
    let mut wanted: Vec<(Change, usize, u32)> = Vec::new();
    for (id, place) in &after {
        let change = match before.get(id) {
            Some(earlier) if earlier.state == place.state => {
                diff.counts.same += 1;
                continue;
            }
            Some(_) => Change::Changed,
            None => Change::Added,
        };
        wanted.push((change, place.file, place.row));
    }
    let gone = before.iter().filter(|(id, _)| !after.contains_key(id));
    wanted.extend(gone.map(|(_, place)| (Change::Removed, place.file, place.row)));
    for (change, ..) in &wanted {
        match change {
            Change::Added => diff.counts.added += 1,
            Change::Changed => diff.counts.changed += 1,
            Change::Removed => diff.counts.ended += 1,
        }
    }
    diff.objects = first(&paths, wanted, limit)?;
    Ok(diff)
}

/// The rows of files by the hash of their id; `paths` grows by the files.
fn places(folder: &Path, files: &[FileRecord], paths: &mut Vec<PathBuf>) -> Result<FxHashMap<u64, Place>, StoreError> {
    let mut places = FxHashMap::default();
    for file in files {
        let path = join_inside(folder, &file.path)?;
        for (row, number) in RowReader::open(&path, Rows::All)?.zip(0..) {
            let row = row?;
            let place = Place { state: row.state(), file: paths.len(), row: number };
            places.entry(ids::hash_of(&row.id)).or_insert(place);
        }
        paths.push(path);
    }
    Ok(places)
}

/// The first of the rows by their ids. Of many, only as many as are wanted are held.
fn first(paths: &[PathBuf], mut wanted: Vec<(Change, usize, u32)>, limit: usize) -> Result<Vec<Changed>, StoreError> {
    wanted.sort_unstable_by_key(|(_, file, row)| (*file, *row));
    let mut found: BTreeMap<String, Changed> = BTreeMap::new();
    for of_file in wanted.chunk_by(|a, b| a.1 == b.1) {
        let rows: Vec<u32> = of_file.iter().map(|(_, _, row)| *row).collect();
        let reader = HeldRows::open(&paths[of_file[0].1], Rows::These(&rows))?;
        for (row, (change, ..)) in reader.zip(of_file) {
            let row = row?;
            let changed =
                Changed { id: row.id.clone(), change: *change, class: row.class.word(), name: row.name.clone() };
            found.insert(changed.id.clone(), changed);
            if found.len() > limit {
                found.pop_last();
            }
        }
    }
    Ok(found.into_values().collect())
}
