//! Footers of Parquet files that were read lately: who asks for one object after the other would parse the same footer each time, which
//! takes longer than to read the object.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
    time::SystemTime,
};

use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    errors::ParquetError,
    file::metadata::PageIndexPolicy,
};

/// Footers that are held at most; one of a full part takes some hundred kilobytes.
const MOST_HELD: usize = 128;

/// A file as it was when its footer was read. Files of a city never change; a damaged one that was put right does.
type Key = (PathBuf, u64, Option<SystemTime>);

#[derive(Default)]
struct Footers {
    held: HashMap<Key, (ArrowReaderMetadata, u64)>,
    /// Counts uses, to tell the latest.
    clock: u64,
}

static FOOTERS: LazyLock<Mutex<Footers>> = LazyLock::new(Mutex::default);

/// The footer of `file` at `path` with the places of its pages.
pub(super) fn of(path: &Path, file: &File) -> Result<ArrowReaderMetadata, ParquetError> {
    let data = file.metadata()?;
    let key: Key = (path.to_path_buf(), data.len(), data.modified().ok());
    {
        let mut footers = FOOTERS.lock().unwrap_or_else(PoisonError::into_inner);
        footers.clock += 1;
        let now = footers.clock;
        if let Some((footer, used)) = footers.held.get_mut(&key) {
            *used = now;
            return Ok(footer.clone());
        }
    }
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let footer = ArrowReaderMetadata::load(file, options)?;
    let mut footers = FOOTERS.lock().unwrap_or_else(PoisonError::into_inner);
    let now = footers.clock;
    if footers.held.len() >= MOST_HELD
        && let Some(oldest) = footers.held.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone())
    {
        footers.held.remove(&oldest);
    }
    footers.held.insert(key, (footer.clone(), now));
    Ok(footer)
}
