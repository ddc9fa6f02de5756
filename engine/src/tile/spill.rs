//! Records that wait for their tile: in memory while they are few, in a file when they are many.
//!
//! The file only grows, so its length at a moment is all that is needed to go on from there in another process.

use std::{
    fs::OpenOptions,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::TileError;
use crate::fault::{self, Output, Place as Point};

/// Bytes kept in memory before they go to the file.
const MEMORY_BYTES: usize = 32 << 20;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Place {
    offset: u64,
    length: u32,
}

impl Place {
    /// A record within what was written.
    pub(super) fn new(offset: u64, length: u32) -> Self {
        Self { offset, length }
    }

    /// Offset and length.
    pub(super) fn parts(self) -> (u64, u32) {
        (self.offset, self.length)
    }

    /// The place as bytes.
    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }
}

/// Records written one after the other and then read in any order, from any thread.
pub struct Spill {
    path: PathBuf,
    written: u64,
    memory: Vec<u8>,
    file: Option<Mutex<Output>>,
}

impl Spill {
    /// An empty one; its file, once there is one, is `name` in `folder`.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name), written: 0, memory: Vec::new(), file: None }
    }

    /// One that holds what [`Spill::checkpoint`] said that it did.
    pub fn restore(folder: &Path, name: &str, written: u64) -> std::io::Result<Self> {
        let mut spill = Self::new(folder, name);
        if written > 0 {
            let mut file = OpenOptions::new().read(true).write(true).open(&spill.path)?;
            if file.metadata()?.len() < written {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            file.set_len(written)?;
            file.seek(SeekFrom::End(0))?;
            spill.file = Some(Mutex::new(Output(file)));
            spill.written = written;
        }
        Ok(spill)
    }

    /// Puts all on the disk; returns the file's length.
    pub fn checkpoint(&mut self) -> Result<u64, TileError> {
        if !self.memory.is_empty() {
            self.flush()?;
        }
        if let Some(file) = &mut self.file {
            let file = file.get_mut().unwrap_or_else(PoisonError::into_inner);
            fault::sync()
                .and_then(|()| file.0.sync_data())
                .map_err(|source| TileError::Io { path: self.path.clone(), source })?;
        }
        Ok(self.written)
    }

    /// Writes one record.
    pub fn write(&mut self, record: &[u8]) -> Result<Place, TileError> {
        let length = u32::try_from(record.len()).map_err(|_| TileError::Spill("a record of over 4 GB".into()))?;
        if !self.memory.is_empty() && self.memory.len() + record.len() > MEMORY_BYTES {
            self.flush()?;
        }
        let place = Place { offset: self.written + self.memory.len() as u64, length };
        self.memory.extend_from_slice(record);
        Ok(place)
    }

    fn flush(&mut self) -> Result<(), TileError> {
        let error = |source| TileError::Io { path: self.path.clone(), source };
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                if let Some(folder) = self.path.parent() {
                    std::fs::create_dir_all(folder).map_err(error)?;
                }
                let mut options = OpenOptions::new();
                options.create(true).truncate(true).read(true).write(true);
                Mutex::new(Output(options.open(&self.path).map_err(error)?))
            }
        };
        let file = self.file.insert(file).get_mut().unwrap_or_else(PoisonError::into_inner);
        // Reading moves the file's place.
        file.0
            .seek(SeekFrom::Start(self.written))
            .and_then(|_| file.write_all(&self.memory))
            .map_err(|source| TileError::Io { path: self.path.clone(), source })?;
        fault::at(Point::SpillFlushed);
        self.written += self.memory.len() as u64;
        self.memory.clear();
        Ok(())
    }

    /// Reads one record back.
    pub fn read(&self, place: Place) -> Result<Vec<u8>, TileError> {
        let length = place.length as usize;
        if place.offset >= self.written {
            let start = (place.offset - self.written) as usize;
            let record = self.memory.get(start..start + length);
            return record.map(<[u8]>::to_vec).ok_or_else(|| TileError::Spill("a record is not there".into()));
        }
        let Some(file) = &self.file else { return Err(TileError::Spill("the file is not there".into())) };
        let mut record = vec![0; length];
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.0
            .seek(SeekFrom::Start(place.offset))
            .and_then(|_| file.0.read_exact(&mut record))
            .map_err(|source| TileError::Io { path: self.path.clone(), source })?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_from_memory_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(folder.path(), "s");
        let record = |i: u8| vec![i; 10 << 20];
        let mut places: Vec<Place> = (0..4).map(|i| spill.write(&record(i)).unwrap()).collect();
        let written = spill.checkpoint().unwrap();
        // What comes after the checkpoint is not there for who goes on from it.
        spill.write(&record(9)).unwrap();
        spill.checkpoint().unwrap();
        assert!(Spill::restore(folder.path(), "s", written * 9).is_err());
        let mut spill = Spill::restore(folder.path(), "s", written).unwrap();
        assert_eq!(spill.read(places[2]).unwrap(), record(2));
        places.extend((4..7).map(|i| spill.write(&record(i)).unwrap()));
        assert!(spill.file.is_some() && spill.memory.len() <= MEMORY_BYTES);
        for i in [6, 0, 3, 5, 1] {
            assert_eq!(spill.read(places[i as usize]).unwrap(), record(i));
        }
        assert!(spill.read(Place { offset: 1 << 40, length: 1 }).is_err());
    }
}
