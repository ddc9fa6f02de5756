//! One writer at a time.

use std::{
    fs::{File, OpenOptions},
    path::Path,
};

use super::StoreError;
use crate::fault::{self, Place};

/// The city's write lock. It is the kernel's, so a process that dies gives it back.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of the city in `folder`, or says that another holds it.
    pub(crate) fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(".lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(StoreError::at(&path))?;
        fault::at(Place::LockOpened);
        #[cfg(unix)]
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::Locked(folder.to_path_buf())),
            Err(e) => return Err(StoreError::Io { path, source: e.into() }),
        }
        Ok(Self { file })
    }

    /// Makes every file and name of the city in `folder` durable. On Linux by one call for the whole file system, since a layer may
    /// have thousands of tiles and each `fsync` alone costs milliseconds; the file is the one that is open since the lock was taken,
    /// so that whatever the disk could not write since then is told here, and not to another process that asked before.
    pub(crate) fn sync(&self, folder: &Path) -> Result<(), StoreError> {
        fault::sync().map_err(StoreError::at(folder))?;
        #[cfg(target_os = "linux")]
        return rustix::fs::syncfs(&self.file).map_err(|e| StoreError::at(folder)(e.into()));
        #[cfg(not(target_os = "linux"))]
        super::disk::sync_tree(folder)
    }
}
