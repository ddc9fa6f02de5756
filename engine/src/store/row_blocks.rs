//! Blocks of rows that were unpacked lately, and the rows of them that were asked for: who asks for the same places again, as a map that is
//! moved does, need not unpack and take them apart again.
//!
//! Held in two halves. What is used moves to the young half; when that is full it becomes the old one, and what was in the old one and was not
//! used meanwhile is forgotten.

use std::{
    borrow::Borrow,
    fs::Metadata,
    hash::Hash,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use rustc_hash::FxHashMap;

use super::{Broken, HeldRow, Row};

/// Bytes of blocks with their rows, and of the lists of where they stand, that are held at most.
const MOST_BYTES: usize = 512 << 20;
const MOST_LIST_BYTES: usize = 16 << 20;

/// A file as it was when it was read. Files of a city never change; a damaged one that was put right does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    length: u64,
    changed: [i64; 4],
}

impl Stamp {
    pub fn of(data: &Metadata) -> Self {
        Self {
            file: (data.dev(), data.ino()),
            length: data.len(),
            changed: [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()],
        }
    }
}

/// Where the blocks of a file stand.
#[derive(Debug)]
pub(super) struct List {
    pub stamp: Stamp,
    /// Rows of the file.
    pub count: u32,
    /// End of each block, bytes after the list.
    pub ends: Vec<u64>,
    /// Which of the lists of this process it is.
    pub number: u64,
}

impl List {
    pub fn new(stamp: Stamp, count: u32, ends: Vec<u64>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self { stamp, count, ends, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }
}

/// An unpacked block.
#[derive(Debug)]
pub(super) struct Block {
    plain: Vec<u8>,
    rows: Vec<BlockRow>,
    /// Bytes of the rows that were asked for.
    row_bytes: AtomicUsize,
}

#[derive(Debug)]
struct BlockRow {
    /// Begin and end in the block.
    place: (u32, u32),
    /// Taken apart when it is first asked for.
    held: OnceLock<Arc<HeldRow>>,
}

impl Block {
    /// The block with these bytes: length and bytes of each row. It is no longer than a `u32` counts.
    pub fn new(plain: Vec<u8>) -> Self {
        let mut rows = Vec::with_capacity(plain.len().min(ROWS_AT_FIRST));
        let mut at = 0;
        while let Some(length) = plain.get(at..at + 4) {
            let from = at + 4;
            at = from + u32::from_le_bytes(length.try_into().unwrap_or_default()) as usize;
            // What ends behind the block is no row.
            rows.push(BlockRow { place: (from as u32, u32::try_from(at).unwrap_or(u32::MAX)), held: OnceLock::new() });
        }
        Self { plain, rows, row_bytes: AtomicUsize::new(0) }
    }

    /// A row of it, and whether it was not asked for before.
    pub fn row(&self, number: usize) -> Result<(Arc<HeldRow>, bool), Broken> {
        const MISSING: Broken = Broken("a row is missing");
        let row = self.rows.get(number).ok_or(MISSING)?;
        if let Some(held) = row.held.get() {
            return Ok((held.clone(), false));
        }
        let bytes = self.plain.get(row.place.0 as usize..row.place.1 as usize).ok_or(MISSING)?;
        let read = Arc::new(HeldRow::from(Row::decode(bytes)?));
        self.row_bytes.fetch_add(read.bytes(), Ordering::Relaxed);
        Ok((row.held.get_or_init(|| read).clone(), true))
    }

    fn bytes(&self) -> usize {
        let own = self.plain.capacity() + self.rows.capacity() * size_of::<BlockRow>() + size_of::<Self>();
        own + self.row_bytes.load(Ordering::Relaxed)
    }
}

/// Rows that room is made for before any was seen.
const ROWS_AT_FIRST: usize = 32;

/// What was used lately, within a number of bytes.
#[derive(Debug)]
struct Lately<K, V> {
    young: FxHashMap<K, (Arc<V>, usize)>,
    old: FxHashMap<K, (Arc<V>, usize)>,
    young_bytes: usize,
    most_bytes: usize,
}

impl<K: Hash + Eq, V> Lately<K, V> {
    fn new(most_bytes: usize) -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default(), young_bytes: 0, most_bytes }
    }

    fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, bytes)) = self.old.remove_entry(key)?;
        self.put(key, value.clone(), bytes);
        Some(value)
    }

    fn put(&mut self, key: K, value: Arc<V>, bytes: usize) {
        if bytes > self.most_bytes / 2 {
            return;
        }
        if self.young_bytes + bytes > self.most_bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        if let Some((_, before)) = self.young.insert(key, (value, bytes)) {
            self.young_bytes -= before;
        }
    }
}

static LISTS: LazyLock<Mutex<Lately<PathBuf, List>>> = LazyLock::new(|| Mutex::new(Lately::new(MOST_LIST_BYTES)));
static BLOCKS: LazyLock<Mutex<Lately<(u64, u32), Block>>> = LazyLock::new(|| Mutex::new(Lately::new(MOST_BYTES)));

/// The list of the file at `path` as it is now.
pub(super) fn list(path: &Path, stamp: &Stamp) -> Option<Arc<List>> {
    LISTS.lock().unwrap_or_else(PoisonError::into_inner).get(path).filter(|list| list.stamp == *stamp)
}

pub(super) fn keep_list(path: &Path, list: &Arc<List>) {
    let bytes = list.ends.len() * size_of::<u64>() + path.as_os_str().len() + size_of::<List>();
    LISTS.lock().unwrap_or_else(PoisonError::into_inner).put(path.to_path_buf(), list.clone(), bytes);
}

/// A block of the file with this list.
pub(super) fn block(list: &List, number: u32) -> Option<Arc<Block>> {
    BLOCKS.lock().unwrap_or_else(PoisonError::into_inner).get(&(list.number, number))
}

/// Keeps a block, or takes note that it has grown.
pub(super) fn keep_block(list: &List, number: u32, block: &Arc<Block>) {
    BLOCKS.lock().unwrap_or_else(PoisonError::into_inner).put((list.number, number), block.clone(), block.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_within_the_bytes() {
        let mut lately: Lately<u32, u32> = Lately::new(100);
        for number in 0..30 {
            lately.put(number, Arc::new(number * 2), 10);
            assert!(lately.get(&7).is_none_or(|value| *value == 14));
            assert!(lately.young_bytes <= 50 && lately.young.len() + lately.old.len() <= 10);
        }
        assert_eq!(lately.get(&7).as_deref(), Some(&14), "used all the time");
        assert_eq!(lately.get(&29).as_deref(), Some(&58));
        assert_eq!(lately.get(&3), None);
        lately.put(99, Arc::new(0), 60);
        assert_eq!(lately.get(&99), None, "too large for all of it");
        lately.put(29, Arc::new(1), 10);
        assert_eq!(lately.get(&29).as_deref(), Some(&1));
        assert_eq!(lately.young_bytes, lately.young.values().map(|(_, bytes)| bytes).sum::<usize>());
    }
}
