//! One writer at a time.

use std::{
    fs::{File, OpenOptions},
    path::Path,
};

use super::StoreError;

/// The city's write lock. It is the kernel's, so a process that dies gives it back.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the city in `folder`, or says that another holds it.
    pub(crate) fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(".lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(StoreError::at(&path))?;
        #[cfg(unix)]
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::Locked(folder.to_path_buf())),
            Err(e) => return Err(StoreError::Io { path, source: e.into() }),
        }
        Ok(Self { _file: file })
    }
}
