//! Blocks of rows that were unpacked lately: who asks for the same places again, as a map that is moved does, need not unpack them again.
//!
//! Held in two halves. What is used moves to the young half; when that is full it becomes the old one, and what was in the old one and was not
//! used meanwhile is forgotten.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fs::Metadata,
    hash::Hash,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes of blocks, and of the lists of where they stand, that are held at most.
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
#[derive(Debug, Default)]
pub(super) struct Block {
    pub plain: Vec<u8>,
    /// Begin and end of each row.
    pub places: Vec<(u32, u32)>,
}

/// What was used lately, within a number of bytes.
#[derive(Debug)]
struct Lately<K, V> {
    young: HashMap<K, (Arc<V>, usize)>,
    old: HashMap<K, (Arc<V>, usize)>,
    young_bytes: usize,
    most_bytes: usize,
}

impl<K: Hash + Eq, V> Lately<K, V> {
    fn new(most_bytes: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, most_bytes }
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

pub(super) fn keep_block(list: &List, number: u32, block: &Arc<Block>) {
    let bytes = block.plain.capacity() + block.places.capacity() * size_of::<(u32, u32)>() + size_of::<Block>();
    BLOCKS.lock().unwrap_or_else(PoisonError::into_inner).put((list.number, number), block.clone(), bytes);
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
