//! Points on disk: one file for all, then one file per chunk of the octree.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use glam::{IVec3, UVec3};
use rustc_hash::FxHashMap;

use super::{Record, colour::Look, octree::Cube};
use crate::{
    fault::{self, Output, Place},
    tile::TileError,
};

/// Bytes of a stored record.
const RECORD_BYTES: usize = 16;
/// Records converted at once.
const BLOCK_RECORDS: usize = 1 << 14;
/// Cells that are counted at most; more points apart than that are counted in larger cells.
const MAX_CELLS: usize = 1 << 20;
/// Cells are a metre wide at first (2¹² units).
const FIRST_SHIFT: u32 = 12;
/// Bytes of all chunks' buffers together.
const BUFFER_BYTES: usize = 64 << 20;

/// A temporary file of records; removed when it has been read or is dropped.
pub(super) struct RecordFile {
    path: PathBuf,
    file: Option<Output>,
    records: u64,
    /// Whether another process may go on with it: then it is not removed before its time.
    is_kept: bool,
}

impl RecordFile {
    /// A new file in `folder`, which is made where it is missing.
    pub fn create(folder: &Path, name: &str) -> Result<Self, TileError> {
        std::fs::create_dir_all(folder).map_err(|source| TileError::Io { path: folder.into(), source })?;
        let path = folder.join(name);
        let file = Output::create(&path).map_err(|source| TileError::Io { path: path.clone(), source })?;
        Ok(Self { path, file: Some(file), records: 0, is_kept: false })
    }

    /// Puts it on the disk for another process to go on with; returns the number of records.
    pub fn checkpoint(&mut self) -> Result<u64, TileError> {
        self.is_kept = true;
        if let Some(file) = &self.file {
            fault::sync().and_then(|()| file.0.sync_data()).map_err(|source| self.io(source))?;
        }
        Ok(self.records)
    }

    /// The file that had so many records at its checkpoint.
    pub fn restore(folder: &Path, name: &str, records: u64) -> Result<Self, TileError> {
        let mut restored = Self { path: folder.join(name), file: None, records, is_kept: true };
        let length = records * RECORD_BYTES as u64;
        let open = || -> std::io::Result<Output> {
            let file = Output::append(&restored.path)?;
            if file.0.metadata()?.len() < length {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            file.0.set_len(length)?;
            Ok(file)
        };
        restored.file = match open() {
            Ok(file) => Some(file),
            Err(_) if records == 0 => return Self::create(folder, name),
            Err(source) => return Err(restored.io(source)),
        };
        Ok(restored)
    }

    fn io(&self, source: std::io::Error) -> TileError {
        TileError::Io { path: self.path.clone(), source }
    }

    /// Adds records at the end.
    pub fn append(&mut self, records: &[Record]) -> Result<(), TileError> {
        let mut bytes = Vec::with_capacity(BLOCK_RECORDS.min(records.len()) * RECORD_BYTES);
        for block in records.chunks(BLOCK_RECORDS) {
            bytes.clear();
            for record in block {
                for value in [record.at.x as u32, record.at.y as u32, record.at.z as u32, record.look.0] {
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
            }
            self.write(&bytes)?;
        }
        Ok(())
    }

    /// Adds stored records at the end. A file that was closed is opened for it and closed again,
    /// so that the number of chunks is not limited by the number of open files.
    fn write(&mut self, bytes: &[u8]) -> Result<(), TileError> {
        let result = match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Output::append(&self.path).and_then(|mut file| file.write_all(bytes)),
        };
        result.map_err(|source| self.io(source))?;
        fault::at(Place::PointsAppended);
        self.records += (bytes.len() / RECORD_BYTES) as u64;
        Ok(())
    }

    /// Reads all records in blocks.
    pub fn read(&mut self, mut take: impl FnMut(&[Record]) -> Result<(), TileError>) -> Result<(), TileError> {
        let mut file = File::open(&self.path).map_err(|source| self.io(source))?;
        let mut bytes = vec![0u8; BLOCK_RECORDS * RECORD_BYTES];
        let mut block = Vec::with_capacity(BLOCK_RECORDS);
        let mut left = self.records;
        while left > 0 {
            let count = left.min(BLOCK_RECORDS as u64) as usize;
            let bytes = &mut bytes[..count * RECORD_BYTES];
            file.read_exact(bytes).map_err(|source| {
                TileError::Spill(format!(
                    "{}: {left} of {} points cannot be read back: {source}",
                    self.path.display(),
                    self.records
                ))
            })?;
            block.clear();
            block.extend(bytes.chunks_exact(RECORD_BYTES).map(|b| {
                let word = |k: usize| u32::from_le_bytes([b[k], b[k + 1], b[k + 2], b[k + 3]]);
                Record { at: IVec3::new(word(0) as i32, word(4) as i32, word(8) as i32), look: Look(word(12)) }
            }));
            take(&block)?;
            left -= count as u64;
        }
        Ok(())
    }

    /// Removes it, whoever might go on with it.
    pub fn remove(mut self) {
        self.is_kept = false;
    }

    /// Reads all records.
    pub fn all(&mut self) -> Result<Vec<Record>, TileError> {
        let mut records = Vec::with_capacity(self.records as usize);
        self.read(|block| {
            records.extend_from_slice(block);
            Ok(())
        })?;
        Ok(records)
    }
}

impl Drop for RecordFile {
    fn drop(&mut self) {
        if !self.is_kept {
            self.file = None;
            // A file that cannot be removed goes with the spill folder.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Name of the file of a chunk.
pub(super) fn chunk_name(chunk: usize) -> String {
    format!("chunk-{chunk}")
}

/// Points per cell of a grid that grows coarser rather than larger.
#[derive(Debug)]
pub(super) struct CellCounts {
    shift: u32,
    cells: FxHashMap<IVec3, u64>,
    /// The cell counted last, since points come in order: added to `cells` when another follows.
    last: (IVec3, u64),
}

impl Default for CellCounts {
    fn default() -> Self {
        Self { shift: FIRST_SHIFT, cells: FxHashMap::default(), last: (IVec3::MAX, 0) }
    }
}

impl CellCounts {
    /// Exponent of the cells' width in units.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Counts a point.
    pub fn add(&mut self, at: IVec3) {
        let cell = at >> self.shift as i32;
        if cell == self.last.0 {
            self.last.1 += 1;
            return;
        }
        self.settle();
        if self.cells.len() > MAX_CELLS {
            self.shift += 1;
            let finer = std::mem::take(&mut self.cells);
            for (cell, count) in finer {
                *self.cells.entry(cell >> 1).or_default() += count;
            }
        }
        self.last = (at >> self.shift as i32, 1);
    }

    fn settle(&mut self) {
        if self.last.1 > 0 {
            *self.cells.entry(self.last.0).or_default() += self.last.1;
            self.last.1 = 0;
        }
    }

    fn all(&self) -> impl Iterator<Item = (IVec3, u64)> + '_ {
        // The cell counted last may also stand in the map; both parts count.
        self.cells.iter().map(|(cell, n)| (*cell, *n)).chain((self.last.1 > 0).then_some(self.last))
    }
}

/// The upper part of the octree, down to nodes that fit in memory.
pub(super) struct Partition {
    /// Chunk of each counted cell, by the cell's place in the cube.
    chunk_of_cell: FxHashMap<UVec3, usize>,
    cell_shift: u32,
    cube: Cube,
    /// The tree above the chunks.
    pub root: Branch,
    chunks: usize,
}

/// A node of the upper part.
pub(super) enum Branch {
    /// Too many points for memory: split into octants.
    Inner(Vec<Branch>),
    /// The chunk of this number.
    Chunk {
        /// Its number.
        chunk: usize,
    },
}

impl Partition {
    /// Splits until a chunk has at most `max_points`, or is one counted cell.
    pub fn new(cube: Cube, counts: &CellCounts, max_points: u64) -> Self {
        let mut cells: Vec<(UVec3, u64)> = counts
            .all()
            .map(|(cell, n)| (((cell << counts.shift as i32) - cube.low).as_uvec3() >> counts.shift, n))
            .collect();
        // A fixed order makes the numbering of chunks independent of the hash map's.
        cells.sort_unstable_by_key(|(cell, _)| cell.to_array());
        let mut partition = Self {
            chunk_of_cell: FxHashMap::default(),
            cell_shift: counts.shift,
            cube,
            root: Branch::Inner(Vec::new()),
            chunks: 0,
        };
        let bits = cube.bits - counts.shift;
        partition.root = partition.split(cells, bits, max_points);
        partition
    }

    fn split(&mut self, cells: Vec<(UVec3, u64)>, bits: u32, max_points: u64) -> Branch {
        let points: u64 = cells.iter().map(|(_, n)| n).sum();
        if points <= max_points || bits == 0 {
            let chunk = self.chunks;
            self.chunks += 1;
            self.chunk_of_cell.extend(cells.iter().map(|(cell, _)| (*cell, chunk)));
            return Branch::Chunk { chunk };
        }
        let mut octants: [Vec<(UVec3, u64)>; 8] = Default::default();
        for (cell, n) in cells {
            let bit = (cell >> (bits - 1)) & UVec3::ONE;
            octants[(bit.x | bit.y << 1 | bit.z << 2) as usize].push((cell, n));
        }
        let filled = octants.into_iter().filter(|cells| !cells.is_empty());
        Branch::Inner(filled.map(|cells| self.split(cells, bits - 1, max_points)).collect())
    }

    /// Sorts the points of `all` into one file per chunk.
    pub fn distribute(&self, mut all: RecordFile, folder: &Path) -> Result<Vec<Option<RecordFile>>, TileError> {
        let mut files = Vec::with_capacity(self.chunks);
        for chunk in 0..self.chunks {
            let mut file = RecordFile::create(folder, &chunk_name(chunk))?;
            file.file = None;
            files.push(Some(file));
        }
        let limit = (BUFFER_BYTES / RECORD_BYTES / self.chunks.max(1)).clamp(1024, 1 << 16);
        let mut buffers: Vec<Vec<Record>> = vec![Vec::new(); self.chunks];
        // Points come in order: the next lies in the same cell more often than not.
        let mut last = None;
        all.read(|block| {
            for record in block {
                let cell = (record.at - self.cube.low).as_uvec3() >> self.cell_shift;
                let known = last.filter(|(at, _)| *at == cell).map(|(_, chunk)| chunk);
                let Some(chunk) = known.or_else(|| self.chunk_of_cell.get(&cell).copied()) else {
                    return Err(TileError::Spill(format!("a point at {} was not counted", record.at)));
                };
                last = Some((cell, chunk));
                buffers[chunk].push(*record);
                if buffers[chunk].len() >= limit {
                    if let Some(file) = &mut files[chunk] {
                        file.append(&buffers[chunk])?;
                    }
                    buffers[chunk].clear();
                }
            }
            Ok(())
        })?;
        for (file, buffer) in files.iter_mut().zip(buffers) {
            if let Some(file) = file {
                file.append(&buffer)?;
            }
        }
        Ok(files)
    }
}
