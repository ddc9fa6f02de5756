//! Footers of Parquet files that were read lately: who asks for one object after the other would parse the same footer each time, which
//! takes longer than to read the object.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
    time::SystemTime,
};

use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    errors::ParquetError,
    file::metadata::PageIndexPolicy,
};

use super::sums::Checked;

/// Bytes of footers that are held at most.
const MOST_BYTES: usize = 128 << 20;

/// A file as it was when its footer was read. Files of a city never change; a damaged one that was put right does.
type Key = (PathBuf, u64, Option<SystemTime>);

#[derive(Default)]
struct Footers {
    held: HashMap<Key, (ArrowReaderMetadata, u64)>,
    bytes: usize,
    /// Counts uses, to tell the latest.
    clock: u64,
}

impl Footers {
    fn keep(&mut self, key: Key, footer: ArrowReaderMetadata, most_bytes: usize) {
        let bytes = footer.metadata().memory_size();
        while self.bytes + bytes > most_bytes
            && let Some(oldest) = self.held.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone())
        {
            let gone = self.held.remove(&oldest).map_or(0, |(footer, _)| footer.metadata().memory_size());
            self.bytes = self.bytes.saturating_sub(gone);
        }
        self.bytes += bytes;
        if let Some((other, _)) = self.held.insert(key, (footer, self.clock)) {
            self.bytes = self.bytes.saturating_sub(other.metadata().memory_size());
        }
    }
}

static FOOTERS: LazyLock<Mutex<Footers>> = LazyLock::new(Mutex::default);

/// The footer of `file` at `path` with the places of its pages.
pub(super) fn of(path: &Path, file: &Checked) -> Result<ArrowReaderMetadata, ParquetError> {
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
    FOOTERS.lock().unwrap_or_else(PoisonError::into_inner).keep(key, footer.clone(), MOST_BYTES);
    Ok(footer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{objects::ObjectsWriter, tests::crs};

    #[test]
    fn the_footers_used_last_are_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        ObjectsWriter::new(&path, crate::store::projjson::projjson(&crs())).unwrap().finish().unwrap();
        let footer = of(&path, &Checked::open(&path).unwrap()).unwrap();
        let each = footer.metadata().memory_size();
        let key = |number: u64| (path.clone(), number, None);
        let mut footers = Footers::default();
        for number in 0..5 {
            footers.clock = number;
            footers.keep(key(number), footer.clone(), each * 3);
            footers.keep(key(number), footer.clone(), each * 3);
        }
        let mut left: Vec<u64> = footers.held.keys().map(|(_, number, _)| *number).collect();
        left.sort_unstable();
        assert!(left.ends_with(&[3, 4]) && left.len() <= 3, "{left:?}");
        assert_eq!(footers.bytes, each * left.len());
    }
}
