//! What an import that was stopped has finished, kept for the next one (续传).
//!
//! A finished layer waits for the commit in `.resume/<key>/`: its files under the names that they will have in the
//! city, and `layer.json`, its record, which is written last. The key is a hash of all that decides what the layer becomes: its
//! sources with their hashes, what the city holds of it, the terrain and pictures, the coordinate system, the program. An import
//! that comes to the same key takes the layer over; any other key is another layer's, and is removed.
//!
//! Nothing here is trusted: a record is taken only when its hash is right, a file only when it is as the record says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{StoreError, disk, layer_draft::FinishedLayer, manifest::LayerRecord, path};
use crate::model::{Changes, SourceReport, Warning};

/// Changes with the meaning of what is kept.
const FORMAT: u64 = 1;
/// Largest record that is read.
const MOST_RECORD_BYTES: u64 = 256 << 20;

/// The folder of finished layers.
#[derive(Debug)]
pub(super) struct Resume(PathBuf);

#[derive(Serialize, Deserialize)]
struct Kept {
    format: u64,
    record: LayerRecord,
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

    /// Keeps a finished layer, whose files lie in `staged`; says where they lie then. What cannot be kept stays where it is:
    /// it only cannot be taken over.
    pub fn keep(&self, key: &str, staged: &Path, finished: &FinishedLayer, accounts: &[SourceReport]) -> PathBuf {
        let kept = Kept {
            format: FORMAT,
            record: finished.record.clone(),
            warnings: finished.warnings.clone(),
            changes: finished.changes,
            accounts: accounts.to_vec(),
        };
        let target = self.0.join(key);
        let write = || -> Result<(), StoreError> {
            let path = staged.join("layer.json");
            let json = serde_json::to_vec(&kept).map_err(|e| StoreError::damaged(&path, e))?;
            let mut bytes = blake3::hash(&json).to_hex().to_string().into_bytes();
            bytes.push(b'\n');
            bytes.extend(json);
            fs::write(&path, bytes).map_err(StoreError::at(&path))?;
            fs::create_dir_all(&self.0).map_err(StoreError::at(&self.0))?;
            let _ = fs::remove_dir_all(&target);
            fs::rename(staged, &target).map_err(StoreError::at(&target))
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
        let root = self.0.join(key);
        let bytes = disk::read_bounded(&root.join("layer.json"), MOST_RECORD_BYTES).ok()?;
        let (hash, json) = bytes.split_at_checked(64)?;
        let json = json.strip_prefix(b"\n")?;
        if blake3::hash(json).to_hex().as_bytes() != hash {
            return None;
        }
        let kept: Kept = serde_json::from_slice(json).ok()?;
        if kept.format != FORMAT || kept.record.name != layer {
            return None;
        }
        for file in kept.record.files() {
            if !path::is_plain(&file.path) {
                return None;
            }
            // A process that was killed while it switched versions may have moved it already.
            let is_whole = [root.join(&file.path), city.join(&file.path)]
                .iter()
                .any(|path| disk::hash_file(path).is_ok_and(|found| found == (file.size, file.blake3.clone())));
            if !is_whole {
                return None;
            }
        }
        let finished = FinishedLayer {
            record: kept.record,
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

/// Layers that a stopped import left in the city `folder` for the next one.
pub fn kept_layers(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder_of(folder)) else { return 0 };
    entries.flatten().filter(|entry| entry.path().join("layer.json").is_file()).count()
}

/// Whether a stopped import left anything for the next one, layers or sources.
pub fn is_anything_kept(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder_of(folder)) else { return false };
    entries.flatten().any(|e| e.path().is_dir() || e.path().extension().is_some_and(|e| e == "objects"))
}

/// Removes everything that is kept in the city `folder`.
pub(super) fn forget(folder: &Path) {
    Resume::new(folder).retain(&BTreeSet::new());
}

/// What tells this program from another: what one has kept, the other makes anew.
pub(super) fn program() -> String {
    let exe = std::env::current_exe().and_then(|path| path.metadata());
    let changed = exe.as_ref().ok().and_then(|data| data.modified().ok());
    let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
    format!("{FORMAT} {} {} {changed}", env!("CARGO_PKG_VERSION"), exe.map_or(0, |data| data.len()))
}
