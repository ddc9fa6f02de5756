//! Rows of grids and pictures that wait for their turn: in a layer's file they lie along a curve, but the order in which
//! they came decides which lies on top.

use std::{
    fs,
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{StoreError, row::Row};
use crate::fault::Output;

/// Such rows in a file without a name, of which one at a time is in memory.
pub(super) struct Parts {
    folder: PathBuf,
    file: BufWriter<Output>,
    written: u64,
    /// Part, place in the file and length of each.
    places: Vec<(u32, u64, usize)>,
}

impl Parts {
    /// None yet; the file lies in `folder`.
    pub fn new(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(StoreError::at(folder))?;
        let file = tempfile::tempfile_in(folder).map_err(StoreError::at(folder))?;
        let file = BufWriter::with_capacity(1 << 18, Output(file));
        Ok(Self { folder: folder.into(), file, written: 0, places: Vec::new() })
    }

    /// Takes a row.
    pub fn push(&mut self, row: &Row) -> Result<(), StoreError> {
        let bytes = row.encode();
        self.file.write_all(&bytes).map_err(StoreError::at(&self.folder))?;
        self.places.push((row.part, self.written, bytes.len()));
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Hands over the rows in the order of their parts.
    pub fn each(mut self, take: &mut dyn FnMut(Row) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.places.sort_by_key(|(part, ..)| *part);
        let file = self.file.into_inner().map_err(|e| StoreError::at(&self.folder)(e.into_error()))?;
        let mut file = BufReader::with_capacity(1 << 18, file.0);
        for (_, offset, length) in self.places {
            let mut bytes = vec![0; length];
            file.seek(SeekFrom::Start(offset))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(StoreError::at(&self.folder))?;
            let row = Row::decode(&bytes).map_err(|e| StoreError::damaged(&self.folder, e))?;
            take(row)?;
        }
        Ok(())
    }
}
