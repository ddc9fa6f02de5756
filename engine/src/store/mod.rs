//! The city on disk: plain files, named by content, and one manifest that is switched by one rename.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    crs::Crs,
    model::{CityObject, Extent, ImportReport, ObjectId, Sensor},
    tile::Ground,
};

/// Why the city could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Reason.
        source: std::io::Error,
    },
    /// The folder holds no city.
    #[error("{0} is not a city: it has no city.json")]
    NotACity(PathBuf),
    /// A file of the city is damaged.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process is writing.
    #[error("{0} is being written by another process")]
    Locked(PathBuf),
    /// Tiles could not be made.
    #[error(transparent)]
    Tile(#[from] crate::tile::TileError),
    /// Coordinate system of the city cannot be used.
    #[error(transparent)]
    Crs(#[from] crate::crs::CrsError),
}

/// A source that went into a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRef {
    /// File as named by the user.
    pub path: String,
    /// BLAKE3 over the file, its companions and the options that matter.
    pub hash: String,
}

/// One layer in one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerEntry {
    /// Name.
    pub name: String,
    /// What it was made from.
    pub sources: Vec<SourceRef>,
    /// Objects per class word.
    pub classes: std::collections::BTreeMap<String, u64>,
    /// Objects.
    pub objects: u64,
    /// Scan points.
    pub points: u64,
    /// Tiles with content.
    pub tiles: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Box around it.
    pub extent: Extent,
    /// GeoParquet files, relative to the city.
    pub object_files: Vec<String>,
    /// Its tileset.json, relative to the city; `None` when nothing can be drawn.
    pub tileset: Option<String>,
    /// Files of its tiles, relative to the city.
    pub tile_files: Vec<String>,
}

/// An open city at one version.
pub struct City {}

/// A version in the making. Dropped without `commit`, it leaves nothing behind.
pub struct Draft {}

impl City {
    /// Makes an empty city (version 0) in `folder`, which must not hold one yet.
    pub fn create(folder: &Path, name: &str, crs: &Crs, vertical_epsg: Option<u32>) -> Result<Self, StoreError> {
        let _ = (folder, name, crs, vertical_epsg);
        todo!()
    }
    /// Opens the current version.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let _ = folder;
        todo!()
    }
    /// Folder of the city.
    pub fn folder(&self) -> &Path {
        todo!()
    }
    /// Name of the city.
    pub fn name(&self) -> &str {
        todo!()
    }
    /// Number of the open version.
    pub fn version(&self) -> u64 {
        todo!()
    }
    /// The city's coordinate system.
    pub fn crs(&self) -> &Crs {
        todo!()
    }
    /// Layers of the open version, by name.
    pub fn layers(&self) -> &[LayerEntry] {
        todo!()
    }
    /// Box around everything.
    pub fn extent(&self) -> Extent {
        todo!()
    }
    /// The terrain.
    pub fn ground(&self) -> Result<Ground, StoreError> {
        todo!()
    }
    /// One object with all its attributes.
    pub fn object(&self, id: &ObjectId) -> Result<Option<CityObject>, StoreError> {
        let _ = id;
        todo!()
    }
    /// The sensors of the city: its objects of class `Sensor`.
    pub fn sensors(&self) -> Result<Vec<Sensor>, StoreError> {
        todo!()
    }
    /// Begins a new version; takes the city's write lock.
    pub fn begin(&self) -> Result<Draft, StoreError> {
        todo!()
    }
}

impl Draft {
    /// Whether `layer` of the current version was made from exactly `sources`, so that nothing need be done.
    pub fn is_unchanged(&self, layer: &str, sources: &[SourceRef]) -> bool {
        let _ = (layer, sources);
        todo!()
    }
    /// Starts `layer` anew; what it held in the version before is replaced at commit.
    pub fn replace_layer(&mut self, layer: &str, sources: Vec<SourceRef>) -> Result<(), StoreError> {
        let _ = (layer, sources);
        todo!()
    }
    /// Takes one object into a layer that was started.
    pub fn push(&mut self, layer: &str, object: CityObject) -> Result<(), StoreError> {
        let _ = (layer, object);
        todo!()
    }
    /// Takes back `replace_layer`: the layer stays as it is in the version before (its source could not be read).
    pub fn abandon_layer(&mut self, layer: &str) {
        let _ = layer;
        todo!()
    }
    /// Writes objects and tiles of every started layer, then the manifest, then switches to it by one rename.
    /// The counts of tiles and bytes, the version and the extent are filled into `report`, which is kept beside the manifest.
    pub fn commit(self, report: &mut ImportReport) -> Result<u64, StoreError> {
        let _ = report;
        todo!()
    }
}
