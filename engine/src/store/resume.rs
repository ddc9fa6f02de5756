//! What an import that was stopped has finished, kept for the next one (续传).
//!
//! A finished layer waits for the commit in `.resume/<key>/`: its files under the names that they will have in the
//! city, and `layer.json`, its record, which is written last. The key is a hash of all that decides what the layer becomes: its
//! sources with their hashes, what the city holds of it, the terrain and pictures, the coordinate system, the program. An import
//! that comes to the same key takes the layer over; any other key is another layer's, and is removed.
//!
//! A layer that is not finished lies beside it: `<key>.draft/` holds what was read of it so far, as its last checkpoint
//! says, and `<key>.making/` the files that were written of it, as its journal says.
//!
//! Nothing here is trusted: a record is taken only when its hash is right, a file only when it is as the record says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    StoreError, disk,
    layer_draft::FinishedLayer,
    manifest::{FileRecord, LayerRecord},
    path, place,
};
use crate::{
    fault::{self, Place},
    model::{Changes, SourceReport, Warning},
};

/// Changes with the meaning of what is kept.
const FORMAT: u64 = 2;
/// Name of a finished layer's record.
pub(super) const RECORD: &str = "layer.json";
/// Largest record that is read.
const MOST_RECORD_BYTES: u64 = 256 << 20;

/// The folder of finished layers.
#[derive(Debug)]
pub(super) struct Resume(PathBuf);

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u64,
    record: LayerRecord,
    tile_files: Vec<FileRecord>,
    warnings: Vec<Warning>,
    changes: Changes,
    accounts: Vec<SourceReport>,
}

/// Where the finished layers of the city in `folder` lie.
pub(super) fn folder_of(folder: &Path) -> PathBuf {
    folder.join(".resume")
}

impl Resume {
    /// The folder in the city `folder`. Whoever calls holds the city's lock.
    pub fn new(folder: &Path) -> Self {
        Self(folder_of(folder))
    }

    /// Removes a file where the folder should be.
    pub fn clear_way(&self) {
        if self.0.is_file() {
            let _ = fs::remove_file(&self.0);
        }
    }

    /// Where a layer of this key lies while it is read.
    pub fn draft(&self, key: &str) -> PathBuf {
        self.0.join(draft_name(key))
    }

    /// Where the files of a layer of this key are written.
    pub fn making(&self, key: &str) -> PathBuf {
        self.0.join(making_name(key))
    }

    /// Keeps a finished layer, whose files lie in `staged`; says where they lie then. What cannot be kept stays where it is:
    /// it only cannot be taken over.
    pub fn keep(&self, key: &str, staged: &Path, finished: &FinishedLayer, accounts: &[SourceReport]) -> PathBuf {
        let kept = Kept {
            format: FORMAT,
            record: finished.record.clone(),
            tile_files: finished.tile_files.clone(),
            warnings: finished.warnings.clone(),
            changes: finished.changes,
            accounts: accounts.to_vec(),
        };
        let target = self.0.join(key);
        let write = || -> Result<(), StoreError> {
            let path = staged.join(RECORD);
            let json = serde_json::to_vec(&kept).map_err(|e| StoreError::damaged(&path, e))?;
            let mut bytes = blake3::hash(&json).to_hex().to_string().into_bytes();
            bytes.push(b'\n');
            bytes.extend(json);
            // Whoever sees the record sees the whole of it, so a process that dies here leaves a layer that is kept or none.
            let beside = path.with_extension("new");
            fault::write(&beside, &bytes).map_err(StoreError::at(&beside))?;
            fault::at(Place::KeepWritten);
            fs::rename(&beside, &path).map_err(StoreError::at(&path))?;
            fault::at(Place::KeepRecorded);
            fs::create_dir_all(&self.0).map_err(StoreError::at(&self.0))?;
            let _ = fs::remove_dir_all(&target);
            fs::rename(staged, &target).map_err(StoreError::at(&target))?;
            fault::at(Place::KeepDone);
            Ok(())
        };
        match write() {
            Ok(()) => target,
            Err(error) => {
                tracing::warn!("{} cannot be kept for resuming: {error}", finished.record.name);
                staged.to_path_buf()
            }
        }
    }

    /// The finished layer of this key with the accounts of its sources, when it is there and whole.
    pub fn adopt(&self, key: &str, layer: &str, city: &Path) -> Option<(FinishedLayer, Vec<SourceReport>)> {
        // A process that was killed while it kept the layer may not have given the folder its last name.
        let root = [self.0.join(key), self.making(key)].into_iter().find(|root| root.join(RECORD).is_file())?;
        let bytes = disk::read_bounded(&root.join(RECORD), MOST_RECORD_BYTES).ok()?;
        let (hash, json) = bytes.split_at_checked(64)?;
        let json = json.strip_prefix(b"\n")?;
        if blake3::hash(json).to_hex().as_bytes() != hash {
            return None;
        }
        let kept: Kept = serde_json::from_slice(json).ok()?;
        if kept.format != FORMAT || kept.record.name != layer {
            return None;
        }
        for file in kept.record.files().chain(&kept.tile_files) {
            if !path::is_plain(&file.path) {
                return None;
            }
            // A process that was killed while it switched versions may have moved it already.
            let path =
                Some(root.join(&file.path)).filter(|path| path.exists()).unwrap_or_else(|| city.join(&file.path));
            if !file.is_whole(&path) {
                return None;
            }
        }
        fault::at(Place::LayerAdopted);
        let finished = FinishedLayer {
            record: kept.record,
            tile_files: kept.tile_files,
            warnings: kept.warnings,
            changes: kept.changes,
            root,
            is_resumed: true,
        };
        Some((finished, kept.accounts))
    }

    /// Removes what has none of these keys.
    pub fn retain(&self, keys: &BTreeSet<String>) {
        let Ok(entries) = fs::read_dir(&self.0) else {
            // No folder, or a file where it should be.
            let _ = fs::remove_file(&self.0);
            return;
        };
        let mut left = 0;
        for entry in entries.flatten() {
            let is_wanted = entry.file_name().to_str().is_some_and(|name| keys.contains(name));
            if is_wanted {
                left += 1;
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let _ = fs::remove_dir_all(entry.path());
            } else {
                let _ = fs::remove_file(entry.path());
            }
        }
        if left == 0 {
            let _ = fs::remove_dir(&self.0);
        }
    }
}

/// A hash of `all` and of this program.
pub(super) fn key(all: &impl Serialize) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(program().as_bytes());
    // A value that cannot be written as JSON does not exist here; it would only mean that nothing is taken over.
    hasher.update(&serde_json::to_vec(all).unwrap_or_default());
    hasher.finalize().to_hex()[..32].to_string()
}

/// Name of the folder of a layer that is read.
pub(super) fn draft_name(key: &str) -> String {
    format!("{key}.draft")
}

/// Name of the folder of a layer whose files are written.
pub(super) fn making_name(key: &str) -> String {
    format!("{key}.making")
}

/// Layers of which a stopped import left a part for the next one.
pub fn begun_layers(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder_of(&place::local(folder))) else { return 0 };
    entries.flatten().filter(|entry| entry.path().join("checkpoint").is_file()).count()
}

/// Layers that a stopped import left in the city `folder` for the next one.
pub fn kept_layers(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder_of(&place::local(folder))) else { return 0 };
    entries.flatten().filter(|entry| entry.path().join(RECORD).is_file()).count()
}

/// Whether a stopped import left anything for the next one, finished or not.
pub fn is_anything_kept(folder: &Path) -> bool {
    kept_layers(folder) + begun_layers(folder) > 0
}

/// Removes everything that is kept in the city `folder`.
pub(super) fn forget(folder: &Path) {
    Resume::new(folder).retain(&BTreeSet::new());
}

/// What tells this program from another: what one has kept, the other makes anew.
fn program() -> String {
    let exe = std::env::current_exe().and_then(|path| path.metadata());
    let changed = exe.as_ref().ok().and_then(|data| data.modified().ok());
    let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
    format!("{FORMAT} {} {} {changed}", env!("CARGO_PKG_VERSION"), exe.map_or(0, |data| data.len()))
}
