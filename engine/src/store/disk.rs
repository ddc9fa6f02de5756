//! Files that are surely on the disk, and the places where a test can make the disk fail.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

use super::{StoreError, place};
use crate::fault::{self, Output, Place};

/// Points of a commit after which the process may die or the disk be full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Step {
    /// Objects of a layer are being written.
    Objects,
    /// Tiles of a layer are being written.
    Tiles,
    /// Everything new is in the staging folder.
    Staged,
    /// Some files are in place, some are not.
    Moving,
    /// All files are in place; neither report nor manifest are.
    Moved,
    /// The report is written, the manifest is not.
    Reported,
    /// The manifest is written; `city.json` names the old one.
    Manifested,
}

#[cfg(test)]
thread_local! {
    /// Where this thread's disk fails.
    pub(crate) static FAIL_AT: std::cell::Cell<Option<Step>> = const { std::cell::Cell::new(None) };
}

/// Fails with "no space left" when a test asked for it here; does nothing otherwise.
pub(crate) fn pass(step: Step, path: &Path) -> Result<(), StoreError> {
    #[cfg(test)]
    if FAIL_AT.get() == Some(step) {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        return Err(StoreError::Io { path: path.to_path_buf(), source });
    }
    let _ = (step, path);
    Ok(())
}

/// For a thread that does part of this thread's work: makes its disk fail where this one's does. Only tests notice.
pub(crate) fn fail_here() -> impl Fn() + Sync {
    #[cfg(test)]
    let step = FAIL_AT.get();
    move || {
        #[cfg(test)]
        FAIL_AT.set(step);
    }
}

/// Writes `bytes` beside `path`, makes sure they are on the disk, and renames them to `path`:
/// whoever opens `path` sees the old content or the new one.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let beside = path.with_extension("new");
    let written = (|| {
        let mut file = Output::create(&beside)?;
        fault::at(Place::FileCreated);
        file.write_all(bytes)?;
        fault::at(Place::FileWritten);
        fault::sync()?;
        file.0.sync_all()?;
        fault::at(Place::FileSynced);
        fs::rename(&beside, path)?;
        fault::at(Place::FileNamed);
        Ok(())
    })();
    if let Err(source) = written {
        let _ = fs::remove_file(&beside);
        return Err(StoreError::Io { path: path.to_path_buf(), source });
    }
    match path.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    fault::sync().and_then(|()| File::open(folder)?.sync_all()).map_err(StoreError::at(folder))?;
    let _ = folder;
    Ok(())
}

/// Makes every file and name below `folder` durable, one by one.
#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_tree(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(StoreError::at(folder))? {
        let entry = entry.map_err(StoreError::at(folder))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(StoreError::at(folder))?);
        if kind.is_dir() {
            sync_tree(&path)?;
        } else if kind.is_file() {
            File::open(&path).and_then(|f| f.sync_all()).map_err(StoreError::at(&path))?;
        }
    }
    sync_folder(folder)
}

/// Size and BLAKE3 (hex) of a file.
pub(crate) fn hash_file(path: &Path) -> Result<(u64, String), StoreError> {
    let mut hasher = blake3::Hasher::new();
    let size = place::open_file(path)
        .and_then(|mut file| std::io::copy(&mut file, &mut hasher))
        .map_err(StoreError::at(path))?;
    Ok((size, hasher.finalize().to_hex().to_string()))
}

/// A whole file, refused above `most` bytes.
pub(crate) fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let file = place::open_file(path).map_err(StoreError::at(path))?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(StoreError::at(path))?;
    if bytes.len() as u64 > most {
        return Err(StoreError::damaged(path, format!("larger than {most} bytes")));
    }
    Ok(bytes)
}
