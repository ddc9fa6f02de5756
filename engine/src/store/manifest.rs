//! What `city.json` and `versions/<n>.json` hold: the written forms, apart from the types the program works with.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{LayerEntry, SourceRef, StoreError, disk, path, place, row::Row};
use crate::{
    crs::Crs,
    model::Extent,
    tile::{self, PageError},
};

/// The newest format of the folder that is understood.
pub(crate) const FORMAT_VERSION: u64 = 2;
/// `format` of `city.json`.
pub(crate) const FORMAT: &str = "groundline-city";
/// Largest `city.json` that is read.
pub(crate) const MOST_HEAD_BYTES: u64 = 1 << 20;
/// Largest manifest that is read: about a million files.
pub(crate) const MOST_MANIFEST_BYTES: u64 = 256 << 20;

/// `city.json`: the only file of a city that is ever replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub format: String,
    pub format_version: u64,
    pub name: String,
    pub crs: Crs,
    pub vertical_epsg: Option<u32>,
    pub extent: Extent,
    /// Current version.
    pub version: u64,
    /// BLAKE3 of the current version's manifest file.
    pub manifest: String,
    /// The oldest version that is still there; those before it were given up.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub oldest: u64,
    /// BLAKE3 of this file with zeros in the place of these digits; absent in cities that an earlier Groundline wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

impl Head {
    /// Fails where the city in `folder` never had this version, or has it no more.
    pub fn has_version(&self, folder: &Path, version: u64) -> Result<(), StoreError> {
        let city = folder.to_path_buf();
        match version {
            _ if version > self.version => Err(StoreError::NoVersion { city, version }),
            _ if version < self.oldest => Err(StoreError::GivenUp { city, version, oldest: self.oldest }),
            _ => Ok(()),
        }
    }
}

/// A file of the city, by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// Relative to the city, `/` between folders.
    pub path: String,
    pub size: u64,
    pub blake3: String,
}

impl FileRecord {
    /// Of a file whose size nobody says.
    pub const ANY_SIZE: u64 = u64::MAX;

    /// Of a file that holds `bytes`.
    pub fn new(path: String, bytes: &[u8]) -> Self {
        Self { path, size: bytes.len() as u64, blake3: blake3::hash(bytes).to_hex().to_string() }
    }

    /// Whether the file at `path` is the recorded one.
    pub fn is_whole(&self, path: &Path) -> bool {
        disk::hash_file(path).is_ok_and(|(size, hash)| self.has_size(size) && self.has_hash(&hash))
    }

    /// Where the file lies in the city `folder`, once it is sure that it is as it was written. What goes into a new version is read so: a
    /// flipped bit would get a hash of its own there.
    pub fn sound(&self, folder: &Path) -> Result<PathBuf, StoreError> {
        let path = path::join_inside(folder, &self.path)?;
        let (size, hash) = disk::hash_file(&path)?;
        match self.has_size(size) && self.has_hash(&hash) {
            true => Ok(path),
            false => Err(StoreError::damaged(&path, "its content is not what was written")),
        }
    }

    /// Its path without the ending: the files of a part have it in common.
    fn stem(&self) -> &str {
        self.path.rsplit_once('.').map_or(&self.path, |(stem, _)| stem)
    }

    /// Whether the file has this size.
    pub fn has_size(&self, size: u64) -> bool {
        self.size == size || self.size == Self::ANY_SIZE
    }

    /// Whether it has this hash; of files that a tileset names the first half is known.
    pub fn has_hash(&self, hash: &str) -> bool {
        self.blake3.len() >= 32 && hash.starts_with(&self.blake3)
    }
}

/// A GeoParquet file of a layer, as far as it must not be opened for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartRecord {
    pub rows: u64,
    /// Its stretch of the curve, as sixteen hexadecimal digits each: more than a JavaScript number holds.
    pub first: String,
    pub last: String,
    pub extent: Extent,
}

impl PartRecord {
    pub fn new(rows: &[Row]) -> Self {
        let text = |row: Option<&Row>| format!("{:016x}", row.map_or(0, Row::order));
        let mut extent = Extent::EMPTY;
        rows.iter().for_each(|row| extent.merge(&row.extent));
        Self { rows: rows.len() as u64, first: text(rows.first()), last: text(rows.last()), extent }
    }

    /// Places on the curve of the first and the last row.
    pub fn keys(&self) -> (u64, u64) {
        let key = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
        (key(&self.first), key(&self.last))
    }
}

/// A layer in a manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub name: String,
    pub sources: Vec<SourceRef>,
    pub classes: BTreeMap<String, u64>,
    /// Of them, those that are parts of another object, such as the parts of a building.
    #[serde(default)]
    pub parts: BTreeMap<String, u64>,
    /// Rows per kind of shape.
    pub shapes: BTreeMap<String, u64>,
    pub objects: u64,
    pub points: u64,
    pub tiles: u64,
    pub extent: Extent,
    /// Whether something of it stands on the terrain, so that its tiles depend on it.
    pub stands_on_terrain: bool,
    /// Hash of the terrain that its tiles were made with; empty when there was none.
    pub ground: String,
    /// Hash of the pictures that its tiles were made with; empty when there were none.
    pub pictures: String,
    pub object_files: Vec<FileRecord>,
    /// Of each GeoParquet file among them, in their order; empty in cities of format 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub object_parts: Vec<PartRecord>,
    pub tileset: Option<String>,
    /// The tileset, which names all others; in cities of format 1 every file.
    pub tile_files: Vec<FileRecord>,
    /// Bytes of the files that the tileset names.
    #[serde(default)]
    pub tile_bytes: u64,
    /// States of objects that are not valid any more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ended: u64,
    /// GeoParquet files of these states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended_files: Vec<FileRecord>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// `versions/<n>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub format_version: u64,
    pub version: u64,
    /// The version before.
    pub parent: Option<u64>,
    /// BLAKE3 of the manifest file of the version before.
    pub parent_manifest: Option<String>,
    /// RFC 3339, UTC.
    pub time: String,
    /// Who committed it, as the system knows them.
    pub who: String,
    /// What changed, in a sentence.
    pub what: String,
    pub layers: Vec<LayerRecord>,
    /// The account of the import that made it; absent in version 0 and where an earlier Groundline wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<FileRecord>,
}

impl LayerRecord {
    /// Every file of the layer that the manifest names.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileRecord> {
        self.object_files.iter().chain(&self.tile_files).chain(&self.ended_files)
    }

    /// Whether it is as this Groundline writes layers, so that single objects of it can be changed.
    pub(crate) fn is_current(&self) -> bool {
        self.object_parts.len() == self.parquet().count() && self.tile_files.len() <= 1
    }

    /// The list with this ending beside a GeoParquet file.
    pub(crate) fn beside(&self, part: &FileRecord, ending: &str) -> Option<&FileRecord> {
        let at = self.object_files.iter().position(|file| std::ptr::eq(file, part))?;
        let files = self.object_files[at..].iter().take_while(|file| file.stem() == part.stem());
        files.into_iter().find(|file| file.path.rsplit_once('.').is_some_and(|(_, found)| found == ending))
    }

    /// Its GeoParquet files in the city `folder`, each once it is sure that it and the lists beside it are as they were written.
    pub(crate) fn sound_parts(&self, folder: &Path) -> impl Iterator<Item = Result<PathBuf, StoreError>> {
        self.object_files.chunk_by(|a, b| a.stem() == b.stem()).filter_map(|part| {
            let found = part.iter().map(|file| file.sound(folder)).collect::<Result<Vec<_>, _>>();
            found
                .map(|paths| paths.into_iter().find(|path| path.extension().is_some_and(|e| e == "parquet")))
                .transpose()
        })
    }

    /// Its GeoParquet files.
    pub(crate) fn parquet(&self) -> impl Iterator<Item = &FileRecord> {
        self.object_files.iter().filter(|f| f.path.ends_with(".parquet"))
    }

    /// Hands over the files that the layer's tileset names, in the city `folder`, except those below pages in `seen`; nothing where the
    /// manifest names them itself.
    pub(crate) fn each_named_tile(
        &self,
        folder: &Path,
        seen: &mut BTreeSet<String>,
        take: &mut dyn FnMut(Result<FileRecord, PageError>),
    ) {
        let [tileset] = &self.tile_files[..] else { return };
        let Some((inner, name)) = tileset.path.rsplit_once('/') else { return };
        let mut pages: BTreeSet<String> = std::mem::take(seen);
        tile::each_file(&folder.join(inner), name, &mut pages, &mut |file| {
            take(file.map(|file| FileRecord {
                path: format!("{inner}/{}", file.name),
                size: file.bytes.unwrap_or(FileRecord::ANY_SIZE),
                blake3: file.hash,
            }));
        });
        *seen = pages;
    }

    /// The layer as the program shows it.
    pub(crate) fn entry(&self) -> LayerEntry {
        LayerEntry {
            name: self.name.clone(),
            sources: self.sources.clone(),
            classes: self.classes.clone(),
            parts: self.parts.clone(),
            objects: self.objects,
            points: self.points,
            tiles: self.tiles,
            bytes: self.files().map(|f| f.size).sum::<u64>() + self.tile_bytes,
            extent: self.extent,
            object_files: self.parquet().map(|f| f.path.clone()).collect(),
            tileset: self.tileset.clone(),
            ended: self.ended,
            ended_files: self.ended_files.iter().map(|f| f.path.clone()).collect(),
        }
    }
}

impl Manifest {
    /// The box around all layers.
    pub(crate) fn extent(&self) -> Extent {
        self.layers.iter().fold(Extent::EMPTY, |mut all, layer| {
            all.merge(&layer.extent);
            all
        })
    }
}

/// Where the manifest of `version` lies, relative to the city.
pub(crate) fn manifest_path(version: u64) -> String {
    format!("versions/{version:06}.json")
}

/// Where the report of `version` lies, relative to the city.
pub(crate) fn report_path(version: u64) -> String {
    format!("reports/{version:06}.json")
}

/// A value as the text of a file.
pub(crate) fn to_json(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| StoreError::damaged(path, e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads `city.json`.
pub(crate) fn read_head(folder: &Path) -> Result<Head, StoreError> {
    read_tagged(folder).map(|(head, _)| head)
}

/// Reads `city.json`, with its tag where it lies in a bucket.
pub(crate) fn read_tagged(folder: &Path) -> Result<(Head, Option<String>), StoreError> {
    let path = folder.join("city.json");
    if let Some(bucket) = place::bucket(folder) {
        let (bytes, tag) = bucket.head().ok_or_else(|| StoreError::NotACity(bucket.url().into()))?;
        return Ok((head_of(&bytes, &path)?, tag));
    }
    let bytes = match disk::read_bounded(&path, MOST_HEAD_BYTES) {
        Err(StoreError::Io { source, .. })
            if matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Err(StoreError::NotACity(folder.to_path_buf()));
        }
        other => other?,
    };
    Ok((head_of(&bytes, &path)?, None))
}

fn head_of(bytes: &[u8], path: &Path) -> Result<Head, StoreError> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| StoreError::damaged(path, e))?;
    if value.get("format").and_then(|f| f.as_str()) != Some(FORMAT) {
        return Err(StoreError::damaged(path, format!("its format is not {FORMAT:?}")));
    }
    // The version is looked at first: a later format may have other fields.
    check_format(path, value.get("format_version").and_then(|v| v.as_u64()))?;
    let is_known = |key: &String| HEAD_KEYS.contains(&key.as_str());
    // A file without its hash is of an earlier Groundline, which wrote these keys and no others.
    let is_older = value.as_object().is_some_and(|object| object.keys().all(is_known));
    let head: Head = serde_json::from_value(value).map_err(|e| StoreError::damaged(path, e))?;
    let is_whole = head.check.as_ref().map_or(is_older, |check| check_of(bytes, check).as_ref() == Some(check));
    is_whole.then_some(head).ok_or_else(|| StoreError::damaged(path, "its content is not what was written"))
}

/// The keys of `city.json` before it had its own hash.
const HEAD_KEYS: [&str; 8] =
    ["format", "format_version", "name", "crs", "vertical_epsg", "extent", "version", "manifest"];

/// What stands in for the hash of `city.json` while it is reckoned.
const NO_CHECK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The hash of `city.json` as it is written, in which `check` is said to be it.
fn check_of(bytes: &[u8], check: &str) -> Option<String> {
    let at = bytes.windows(NO_CHECK.len()).rposition(|part| part == check.as_bytes())?;
    let mut bare = bytes.to_vec();
    bare[at..at + NO_CHECK.len()].copy_from_slice(NO_CHECK.as_bytes());
    Some(blake3::hash(&bare).to_hex().to_string())
}

/// `city.json` with its own hash.
pub(crate) fn head_bytes(folder: &Path, head: &Head) -> Result<Vec<u8>, StoreError> {
    let path = folder.join("city.json");
    let bare = Head { check: Some(NO_CHECK.into()), ..head.clone() };
    let check = check_of(&to_json(&bare, &path)?, NO_CHECK);
    to_json(&Head { check, ..bare }, &path)
}

/// Puts `city.json` into place: from here on the city is at the version that it names.
pub(crate) fn write_head(folder: &Path, head: &Head) -> Result<(), StoreError> {
    disk::replace_file(&folder.join("city.json"), &head_bytes(folder, head)?)
}

fn check_format(path: &Path, found: Option<u64>) -> Result<(), StoreError> {
    match found {
        Some(found) if found > FORMAT_VERSION => {
            Err(StoreError::TooNew { path: path.to_path_buf(), found, known: FORMAT_VERSION })
        }
        Some(_) => Ok(()),
        None => Err(StoreError::damaged(path, "it has no format version")),
    }
}

/// Reads the manifest of `version` and checks every path in it; with its hash.
pub(crate) fn read_manifest(folder: &Path, version: u64) -> Result<(Manifest, String), StoreError> {
    let path = folder.join(manifest_path(version));
    let mut bytes = disk::read_bounded(&path, MOST_MANIFEST_BYTES)?;
    let bucket = place::bucket(folder);
    if let Some(bucket) = bucket.as_ref().filter(|bucket| !bucket.is_expected(&manifest_path(version), &bytes)) {
        // That of another city which was there before.
        bucket.drop_copy(&manifest_path(version));
        bytes = disk::read_bounded(&path, MOST_MANIFEST_BYTES)?;
    }
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| StoreError::damaged(&path, e))?;
    check_format(&path, Some(manifest.format_version))?;
    if manifest.version != version {
        return Err(StoreError::damaged(&path, format!("it says that it is version {}", manifest.version)));
    }
    if manifest.report.as_ref().is_some_and(|report| report.path != report_path(version)) {
        return Err(StoreError::damaged(&path, "its report is that of another version"));
    }
    let tilesets = manifest.layers.iter().filter_map(|l| l.tileset.as_deref());
    let files = manifest.layers.iter().flat_map(LayerRecord::files).map(|f| f.path.as_str());
    for named in files.chain(tilesets) {
        let belongs = named.starts_with("objects/") || named.starts_with("tiles/");
        if !belongs || !path::is_plain(named) {
            return Err(StoreError::damaged(&path, format!("the path {named:?} leads out of the city")));
        }
    }
    if let Some(bucket) = bucket {
        bucket.expect(&manifest);
    }
    Ok((manifest, hash))
}
