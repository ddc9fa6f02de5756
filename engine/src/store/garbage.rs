//! Files that no version of a city names.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    City, StoreError,
    city::INNER,
    lock::Lock,
    manifest::{self, LayerRecord},
    place,
};
use crate::fault::{self, Place};

/// How old a file must be before it is removed from a bucket: no import takes longer between sending it and naming it.
const USUAL_GARBAGE_AGE: Duration = Duration::from_secs(24 * 3600);

impl City {
    /// Removes files that no version names: what a crash left, and what an import that was stopped had finished.
    /// Returns the bytes of the files.
    pub fn collect_garbage(&self) -> Result<u64, StoreError> {
        self.collect_garbage_older(USUAL_GARBAGE_AGE)
    }

    /// As [`City::collect_garbage`]; from a bucket only what was not changed for `age`, since another machine may be sending the files of its
    /// next version.
    pub fn collect_garbage_older(&self, age: Duration) -> Result<u64, StoreError> {
        self.collect(None, age)
    }

    /// Gives up all versions but the last `keep`, then as [`City::collect_garbage_older`]. States that have ended stay in the versions that
    /// are kept: what was there at an earlier time can still be asked.
    pub fn give_up_versions(&self, keep: NonZeroU64, age: Duration) -> Result<u64, StoreError> {
        self.collect(Some(keep), age)
    }

    fn collect(&self, keep: Option<NonZeroU64>, age: Duration) -> Result<u64, StoreError> {
        let bucket = place::bucket(&self.folder);
        if let Some(bucket) = &bucket {
            bucket.check_writable()?;
            bucket.refresh()?;
        }
        let _lock = Lock::take(&self.folder)?;
        fault::at(Place::GcLocked);
        super::draft::remove_stale_staging(&self.folder)?;
        fault::at(Place::GcStaging);
        super::resume::forget(&self.folder);
        fault::at(Place::GcKept);
        let (mut head, tag) = manifest::read_tagged(&self.folder)?;
        let oldest = keep.map_or(0, |keep| (head.version + 1).saturating_sub(keep.get()));
        if oldest > head.oldest {
            // From here on nobody asks for what is removed below.
            head.oldest = oldest;
            match (&bucket, tag) {
                (Some(bucket), Some(tag)) => bucket.put_head(&manifest::head_bytes(&self.folder, &head)?, tag)?,
                _ => manifest::write_head(&self.folder, &head)?,
            }
        }
        let mut kept: HashSet<PathBuf> = HashSet::new();
        let mut pages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for version in head.oldest..=head.version {
            let (manifest, _) = manifest::read_manifest(&self.folder, version)?;
            kept.insert(self.folder.join(manifest::manifest_path(version)));
            kept.insert(self.folder.join(manifest::report_path(version)));
            kept.extend(manifest.layers.iter().flat_map(LayerRecord::files).map(|f| self.folder.join(&f.path)));
            for layer in &manifest.layers {
                let mut failed = None;
                let seen = pages.entry(layer.name.clone()).or_default();
                layer.each_named_tile(&self.folder, seen, &mut |file| match file {
                    Ok(file) => {
                        kept.insert(self.folder.join(&file.path));
                    }
                    Err(error) => failed = Some(error),
                });
                // What a damaged page names is not known any more, so nothing is known to be garbage.
                if let Some(error) = failed {
                    return Err(StoreError::damaged(&error.path, &error.reason));
                }
            }
        }
        fault::at(Place::GcListed);
        let mut freed = 0;
        for inner in INNER {
            freed += sweep(&self.folder.join(inner), &kept)?;
        }
        // What was to be the next `city.json`.
        let left = self.folder.join("city.new");
        if let Ok(data) = left.metadata() {
            fs::remove_file(&left).map_err(StoreError::at(&left))?;
            freed += data.len();
        }
        if let Some(bucket) = bucket {
            // What the copy held is not told: it is no part of the city.
            let relative = |path: &PathBuf| path.strip_prefix(&self.folder).ok()?.to_str().map(str::to_owned);
            freed = bucket.sweep(&kept.iter().filter_map(relative).collect(), age)?;
        }
        fault::at(Place::GcDone);
        Ok(freed)
    }
}

/// Removes the files below `folder` that are not in `kept`, and folders left empty.
fn sweep(folder: &Path, kept: &HashSet<PathBuf>) -> Result<u64, StoreError> {
    let mut freed = 0;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // A copy of a city may lack the empty folders.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(StoreError::at(folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::at(folder))?;
        let (path, data) = (entry.path(), entry.metadata().map_err(StoreError::at(folder))?);
        if data.is_dir() {
            freed += sweep(&path, kept)?;
            // Fails when something is in it, which is what should happen then.
            let _ = fs::remove_dir(&path);
        } else if !kept.contains(&path) {
            fault::at(Place::GcRemoving);
            fs::remove_file(&path).map_err(StoreError::at(&path))?;
            fault::at(Place::GcRemoved);
            freed += data.len();
        }
    }
    Ok(freed)
}
