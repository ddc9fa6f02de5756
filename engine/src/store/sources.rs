//! Which source each row of a layer's file came from: a list beside the file, for layers of several sources.
//!
//! `GLSRC001`, the count, then the number of the source of 4 bytes each, in the order of the rows; it counts in the
//! layer's sources as the manifest names them. Without the list an import must read all sources of the layer together.

use std::{
    io::{BufWriter, Write},
    path::Path,
};

use super::{StoreError, disk};
use crate::fault::Output;

const MAGIC: &[u8; 8] = b"GLSRC001";
const HEAD: usize = 16;
/// 2³² rows.
const MOST_BYTES: u64 = 4 << 32;

/// Writes the list.
pub(crate) fn write(path: &Path, sources: &[u32]) -> Result<(), StoreError> {
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(Output::create(path)?);
        file.write_all(MAGIC)?;
        file.write_all(&(sources.len() as u64).to_le_bytes())?;
        for source in sources {
            file.write_all(&source.to_le_bytes())?;
        }
        file.flush()
    };
    write().map_err(StoreError::at(path))
}

/// Reads the list.
pub(crate) fn read(path: &Path) -> Result<Vec<u32>, StoreError> {
    let bytes = disk::read_bounded(path, MOST_BYTES)?;
    let damaged = || StoreError::damaged(path, "not a list of sources, or cut short");
    let (head, rest) = bytes.split_at_checked(HEAD).ok_or_else(damaged)?;
    let (magic, count) = head.split_at(8);
    let count = u64::from_le_bytes(count.try_into().map_err(|_| damaged())?);
    if magic != MAGIC || count.checked_mul(4) != Some(rest.len() as u64) {
        return Err(damaged());
    }
    Ok(rest.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_comes_back_and_a_cut_one_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sources");
        write(&path, &[0, 2, 1, 0]).unwrap();
        assert_eq!(read(&path).unwrap(), [0, 2, 1, 0]);
        let bytes = std::fs::read(&path).unwrap();
        for keep in 0..bytes.len() {
            std::fs::write(&path, &bytes[..keep]).unwrap();
            assert!(read(&path).is_err(), "{keep}");
        }
    }
}
