//! Where in a layer's file an object stands: a sorted list beside the file.
//!
//! `GLIDS001`, the count, then (hash of the id, row) of 12 bytes each, by hash. An id is found by a few reads
//! of 12 bytes, whatever the size of the layer. The list is derived: losing it loses nothing.

use std::{
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::{StoreError, place};
use crate::fault::Output;

const MAGIC: &[u8; 8] = b"GLIDS001";
const HEAD: u64 = 16;
const ENTRY: u64 = 12;

/// The hash under which an id is filed.
pub(crate) fn hash_of(id: &str) -> u64 {
    let hash = blake3::hash(id.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Writes the list of `entries` (hash, row) and returns how many share a hash with another.
pub(crate) fn write(path: &Path, mut entries: Vec<(u64, u32)>) -> Result<(), StoreError> {
    entries.sort_unstable();
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(Output::create(path)?);
        file.write_all(MAGIC)?;
        file.write_all(&(entries.len() as u64).to_le_bytes())?;
        for (hash, row) in &entries {
            file.write_all(&hash.to_le_bytes())?;
            file.write_all(&row.to_le_bytes())?;
        }
        file.flush()
    };
    write().map_err(StoreError::at(path))
}

/// Rows whose id has this hash, lowest first; at most 64 of them.
pub(crate) fn find(path: &Path, hash: u64) -> Result<Vec<u32>, StoreError> {
    let mut file = place::open_file(path).map_err(StoreError::at(path))?;
    let length = file.metadata().map_err(StoreError::at(path))?.len();
    let mut head = [0; HEAD as usize];
    file.read_exact(&mut head).map_err(StoreError::at(path))?;
    let (magic, count) = head.split_at(8);
    let count = u64::from_le_bytes(count.try_into().unwrap_or_default());
    if magic != MAGIC || count.checked_mul(ENTRY).and_then(|n| n.checked_add(HEAD)) != Some(length) {
        return Err(StoreError::damaged(path, "not a list of ids, or cut short"));
    }
    let mut entry = |index: u64| -> Result<(u64, u32), StoreError> {
        let mut bytes = [0; ENTRY as usize];
        file.seek(SeekFrom::Start(HEAD + index * ENTRY))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(StoreError::at(path))?;
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Ok((u64::from_le_bytes([a, b, c, d, e, f, g, h]), u32::from_le_bytes([i, j, k, l])))
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if entry(middle)?.0 < hash {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let mut rows = Vec::new();
    while low < count && rows.len() < 64 {
        let (found, row) = entry(low)?;
        if found != hash {
            break;
        }
        rows.push(row);
        low += 1;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_found_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.ids");
        let entries: Vec<_> = (0..1000u32).map(|i| (hash_of(&format!("layer/{i}")), i)).collect();
        write(&path, entries.iter().copied().chain([(hash_of("layer/5"), 2000)]).collect()).unwrap();
        for (hash, row) in entries {
            let expected = if row == 5 { vec![5, 2000] } else { vec![row] };
            assert_eq!(find(&path, hash).unwrap(), expected);
        }
        assert!(find(&path, hash_of("layer/1000")).unwrap().is_empty());
        std::fs::write(&path, b"GLIDS001\xff\xff\xff\xff\xff\xff\xff\xff").unwrap();
        assert!(find(&path, 0).is_err());
    }
}
