//! Checksums of a Parquet file, block by block: a flipped bit in a page is found by whoever reads the page, and not told as a number.
//!
//! Parquet's own checksums of pages are not written by the library. So a part has a list beside it: `GLSUMS01`, the length of the
//! file, the CRC-32C of each [`BLOCK_BYTES`] of it (the last one is shorter), and 16 bytes of BLAKE3 over all this. States that ended have no such
//! list, but their name is the hash of their file, so the list is made of it when the file is first read.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use bytes::Bytes;
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};

use super::{StoreError, disk, place, row_blocks::Stamp};
use crate::fault;

const MAGIC: &[u8; 8] = b"GLSUMS01";
/// Bytes of a file that have a checksum of their own.
const BLOCK_BYTES: usize = 16 << 10;
/// Bytes of the hash at the end of a list.
const SEAL_BYTES: usize = 16;
/// Of a file of 64 GiB.
const MOST_LIST_BYTES: u64 = 16 << 20;
/// Bytes of lists that are held at most.
const MOST_HELD_BYTES: usize = 32 << 20;
/// Digits of a hash in a name.
const NAME_DIGITS: usize = 32;

/// The list beside a part.
pub(crate) fn beside(part: &Path) -> PathBuf {
    part.with_extension("sums")
}

/// Writes the list for the file at `part`, which nobody has read yet, to `path`.
pub(super) fn write(path: &Path, part: &Path) -> Result<(), StoreError> {
    let file = File::open(part).map_err(StoreError::at(part))?;
    let sums = Sums::of(&file, &mut |_| {}).map_err(StoreError::at(part))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(sums.length.to_le_bytes());
    sums.blocks.iter().for_each(|sum| bytes.extend(sum.to_le_bytes()));
    bytes.extend(&blake3::hash(&bytes).as_bytes()[..SEAL_BYTES]);
    fault::write(path, &bytes).map_err(StoreError::at(path))
}

/// Checksums of the blocks of a file.
#[derive(Debug)]
struct Sums {
    length: u64,
    blocks: Vec<u32>,
}

impl Sums {
    /// Of the file as it is now; every block is handed over too.
    fn of(file: &File, each: &mut dyn FnMut(&[u8])) -> io::Result<Self> {
        let mut sums = Self { length: 0, blocks: Vec::new() };
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        loop {
            block.clear();
            // Not `file` itself, whose place others share.
            Slice { file, at: sums.length }.take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
            if block.is_empty() {
                return Ok(sums);
            }
            sums.length += block.len() as u64;
            sums.blocks.push(crc32c::crc32c(&block));
            each(&block);
        }
    }

    /// As they were written.
    fn read(path: &Path) -> Result<Self, StoreError> {
        let bytes = disk::read_bounded(path, MOST_LIST_BYTES)?;
        let damaged = || StoreError::damaged(path, "not a list of checksums, or damaged");
        let (body, seal) = bytes.split_last_chunk::<SEAL_BYTES>().ok_or_else(damaged)?;
        if blake3::hash(body).as_bytes()[..SEAL_BYTES] != *seal {
            return Err(damaged());
        }
        let rest = body.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<8>());
        let (length, sums) = rest.ok_or_else(damaged)?;
        let blocks = sums.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(Self { length: u64::from_le_bytes(*length), blocks })
    }
}

/// A file from a place on.
struct Slice<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Lists that were read, each with the file that it is of.
#[derive(Default)]
struct Held {
    lists: HashMap<PathBuf, (Stamp, Arc<Sums>)>,
    bytes: usize,
}

static HELD: LazyLock<Mutex<Held>> = LazyLock::new(Mutex::default);

/// The list for the file at `path`; `None` for a part that an earlier Groundline wrote.
fn sums_of(path: &Path, file: &File) -> Result<Option<Arc<Sums>>, StoreError> {
    let stamp = Stamp::of(&file.metadata().map_err(StoreError::at(path))?);
    let held = || HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, sums)) = held().lists.get(path)
        && *of == stamp
    {
        return Ok(Some(sums.clone()));
    }
    let sums = match hash_in_name(path) {
        Some(name) => {
            let mut hasher = blake3::Hasher::new();
            let mut take = |block: &[u8]| {
                hasher.update(block);
            };
            let sums = Sums::of(file, &mut take).map_err(StoreError::at(path))?;
            if !hasher.finalize().to_hex().starts_with(name) {
                return Err(StoreError::damaged(path, "its content is not what was written"));
            }
            sums
        }
        None => {
            let list = beside(path);
            if !place::is_file(&list).map_err(StoreError::at(&list))? {
                return Ok(None);
            }
            Sums::read(&list)?
        }
    };
    let sums = Arc::new(sums);
    let bytes = sums.blocks.len() * 4;
    let mut held = held();
    if held.bytes + bytes > MOST_HELD_BYTES {
        *held = Held::default();
    }
    held.bytes += bytes;
    if let Some((_, other)) = held.lists.insert(path.to_path_buf(), (stamp, sums.clone())) {
        held.bytes = held.bytes.saturating_sub(other.blocks.len() * 4);
    }
    Ok(Some(sums))
}

/// The digits of its hash in the name of a file of ended states.
fn hash_in_name(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?.strip_suffix(".ended.parquet")?;
    (name.len() == NAME_DIGITS && name.bytes().all(|b| b.is_ascii_hexdigit())).then_some(name)
}

/// A Parquet file of which nothing is read that is not as it was written.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    file: Arc<File>,
    length: u64,
    sums: Option<Arc<Sums>>,
}

impl Checked {
    /// Opens the file at `path`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = place::open_file(path).map_err(StoreError::at(path))?;
        let length = file.metadata().map_err(StoreError::at(path))?.len();
        let sums = sums_of(path, &file)?;
        if let Some(sums) = sums.as_ref().filter(|sums| sums.length != length) {
            return Err(StoreError::damaged(path, format!("{length} bytes instead of {}", sums.length)));
        }
        Ok(Self { file: Arc::new(file), length, sums })
    }

    /// What is known of the file from outside.
    pub fn metadata(&self) -> io::Result<std::fs::Metadata> {
        self.file.metadata()
    }

    /// Fills `buffer` from `at` on, with whole blocks where they are checked.
    fn fill(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)?;
        let Some(sums) = &self.sums else { return Ok(()) };
        let first = (at / BLOCK_BYTES as u64) as usize;
        for (number, block) in buffer.chunks(BLOCK_BYTES).enumerate() {
            if sums.blocks.get(first + number) != Some(&crc32c::crc32c(block)) {
                let from = at + (number * BLOCK_BYTES) as u64;
                let text = format!("bytes {from} to {} are not what was written", from + block.len() as u64);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        Ok(())
    }

    /// The place of the blocks around these bytes; themselves where nothing is checked.
    fn around(&self, start: u64, end: u64) -> (u64, u64) {
        let block = BLOCK_BYTES as u64;
        match self.sums {
            Some(_) => (start / block * block, end.div_ceil(block).saturating_mul(block).min(self.length)),
            None => (start, end),
        }
    }
}

impl Length for Checked {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Checked {
    type T = CheckedRead;

    fn get_read(&self, start: u64) -> Result<CheckedRead, ParquetError> {
        Ok(CheckedRead { file: self.clone(), at: start, buffer: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.length);
        let end = end.ok_or_else(|| ParquetError::EOF(format!("{length} bytes at {start} lie beyond its end")))?;
        let (from, to) = self.around(start, end);
        let mut buffer = vec![0; (to - from) as usize];
        self.fill(from, &mut buffer)?;
        let skipped = (start - from) as usize;
        Ok(Bytes::from(buffer).slice(skipped..skipped + length))
    }
}

/// A checked file from a place on.
pub(super) struct CheckedRead {
    file: Checked,
    at: u64,
    buffer: Bytes,
}

impl Read for CheckedRead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            let end = self.at.saturating_add(BLOCK_BYTES as u64).min(self.file.length);
            if self.at >= end || into.is_empty() {
                return Ok(0);
            }
            let length = (end - self.at) as usize;
            self.buffer = self.file.get_bytes(self.at, length).map_err(|error| match error {
                ParquetError::External(inner) => inner.downcast::<io::Error>().map_or_else(io::Error::other, |e| *e),
                other => io::Error::other(other),
            })?;
        }
        let count = self.buffer.len().min(into.len());
        into[..count].copy_from_slice(&self.buffer.split_to(count));
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, bytes: &[u8]) -> PathBuf {
        let path = folder.join("a.parquet");
        std::fs::write(&path, bytes).unwrap();
        write(&beside(&path), &path).unwrap();
        path
    }

    #[test]
    fn any_part_of_a_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 7] {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
            let checked = Checked::open(&written(folder.path(), &bytes)).unwrap();
            for (start, end) in [(0, length), (length / 3, length / 2), (length.saturating_sub(1), length)] {
                let part = checked.get_bytes(start as u64, end - start).unwrap();
                assert_eq!(part, bytes[start..end], "{start} to {end} of {length}");
                let mut rest = Vec::new();
                checked.get_read(start as u64).unwrap().read_to_end(&mut rest).unwrap();
                assert_eq!(rest, bytes[start..]);
            }
            assert!(checked.get_bytes(0, length + 1).is_err());
            assert!(checked.get_bytes(u64::MAX, 2).is_err());
        }
    }

    #[test]
    fn a_flipped_bit_is_told_by_whoever_reads_it_and_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..5 * BLOCK_BYTES + 100).map(|n| (n % 253) as u8).collect();
        let path = written(folder.path(), &bytes);
        for at in [0, BLOCK_BYTES, 2 * BLOCK_BYTES - 1, bytes.len() - 1] {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            std::fs::write(&path, &bad).unwrap();
            let checked = Checked::open(&path).unwrap();
            let error = checked.get_bytes(at as u64, 1).unwrap_err().to_string();
            assert!(error.contains("not what was written"), "{error}");
            let other = (at + 2 * BLOCK_BYTES) % (4 * BLOCK_BYTES);
            assert_eq!(checked.get_bytes(other as u64, 10).unwrap(), bytes[other..other + 10]);
        }
        std::fs::write(&path, &bytes[1..]).unwrap();
        assert!(Checked::open(&path).is_err(), "a byte is missing");
        let mut list = std::fs::read(beside(&path)).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        HELD.lock().unwrap().lists.remove(&path);
        for at in 0..list.len() {
            list[at] ^= 1;
            std::fs::write(beside(&path), &list).unwrap();
            assert!(Checked::open(&path).is_err(), "byte {at} of the list");
            list[at] ^= 1;
        }
    }

    #[test]
    fn states_that_ended_are_checked_by_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = vec![7; 3 * BLOCK_BYTES];
        let hash = blake3::hash(&bytes).to_hex();
        let path = folder.path().join(format!("{}.ended.parquet", &hash[..NAME_DIGITS]));
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Checked::open(&path).unwrap().get_bytes(5, 3).unwrap(), [7; 3][..]);
        let mut bad = bytes;
        bad[BLOCK_BYTES] = 8;
        std::fs::write(&path, &bad).unwrap();
        assert!(Checked::open(&path).unwrap_err().is_damage());
    }
}
