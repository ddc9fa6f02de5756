//! Records that wait for their tile: in memory while they are few, in a temporary file when they are many.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::TileError;

/// Bytes kept in memory before they go to the file.
const MEMORY_BYTES: usize = 32 << 20;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    offset: u64,
    length: u32,
}

/// Records written one after the other and then read in any order, from any thread.
pub struct Spill {
    folder: PathBuf,
    written: u64,
    memory: Vec<u8>,
    file: Option<Mutex<File>>,
}

impl Spill {
    /// An empty one; its file, once there is one, lies in `folder` and has no name.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), written: 0, memory: Vec::new(), file: None }
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
        let error = |source| TileError::Io { path: self.folder.clone(), source };
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                std::fs::create_dir_all(&self.folder).map_err(error)?;
                Mutex::new(tempfile::tempfile_in(&self.folder).map_err(error)?)
            }
        };
        let file = self.file.insert(file).get_mut().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&self.memory).map_err(|source| TileError::Io { path: self.folder.clone(), source })?;
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
        file.seek(SeekFrom::Start(place.offset))
            .and_then(|_| file.read_exact(&mut record))
            .map_err(|source| TileError::Io { path: self.folder.clone(), source })?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_from_memory_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::new(folder.path());
        let record = |i: u8| vec![i; 10 << 20];
        let places: Vec<Place> = (0..7).map(|i| spill.write(&record(i)).unwrap()).collect();
        assert!(spill.file.is_some() && spill.memory.len() <= MEMORY_BYTES);
        for i in [6, 0, 3, 5, 1] {
            assert_eq!(spill.read(places[i as usize]).unwrap(), record(i));
        }
        assert!(spill.read(Place { offset: 1 << 40, length: 1 }).is_err());
    }
}
