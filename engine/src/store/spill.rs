//! Rows of a layer put in order with bounded memory: sorted runs on disk, merged.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{StoreError, row::Row};
use crate::fault::{self, Output, Place};

/// Bytes of rows that are held in memory before they go to disk as a run.
const RUN_BYTES: usize = 48 << 20;
/// Runs merged at once; more are merged in steps, so that open files stay few.
const MOST_RUNS: usize = 128;
/// Longest row that is read back: a picture of 3 GiB does not come as one row.
const MOST_ROW_BYTES: u32 = 1 << 31;

type Entry = (u64, Vec<u8>);

/// Takes rows in any order and gives them back in the order of the file: along the Hilbert curve, rows of one
/// place by their bytes. The order does not depend on the order in which they came.
pub(crate) struct Sorter {
    folder: PathBuf,
    held: Vec<Entry>,
    held_bytes: usize,
    run_bytes: usize,
    runs: Vec<PathBuf>,
    made: usize,
    /// Runs that are surely on the disk.
    synced: usize,
    /// Whether another process may go on with the runs: then they are not removed before their time.
    is_kept: bool,
}

/// What another process needs to know to go on with a [`Sorter`].
#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    /// Name and size of each run.
    runs: Vec<(String, u64)>,
    made: usize,
}

impl Sorter {
    /// Spills into `folder`, which exists and belongs to this sorter.
    pub(crate) fn new(folder: &Path) -> Self {
        let folder = folder.to_path_buf();
        Self {
            folder,
            held: Vec::new(),
            held_bytes: 0,
            run_bytes: RUN_BYTES,
            runs: Vec::new(),
            made: 0,
            synced: 0,
            is_kept: false,
        }
    }

    /// Puts all rows on the disk.
    pub(crate) fn checkpoint(&mut self) -> Result<State, StoreError> {
        self.is_kept = true;
        if !self.held.is_empty() {
            self.write_held()?;
        }
        for path in &self.runs[self.synced..] {
            fault::sync().and_then(|()| File::open(path)?.sync_data()).map_err(StoreError::at(path))?;
        }
        self.synced = self.runs.len();
        let run = |path: &PathBuf| -> Result<(String, u64), StoreError> {
            let size = path.metadata().map_err(StoreError::at(path))?.len();
            Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), size))
        };
        Ok(State { runs: self.runs.iter().map(run).collect::<Result<_, _>>()?, made: self.made })
    }

    /// The sorter that had this `state` in a process before this one; `None` when its runs are not there.
    pub(crate) fn restore(folder: &Path, state: State) -> Option<Self> {
        let mut sorter = Self { made: state.made, is_kept: true, synced: state.runs.len(), ..Self::new(folder) };
        for (name, size) in state.runs {
            let path = folder.join(name);
            (path.metadata().ok()?.len() == size).then_some(())?;
            sorter.runs.push(path);
        }
        Some(sorter)
    }

    /// Takes one row.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), StoreError> {
        let bytes = row.encode();
        self.held_bytes += bytes.len() + size_of::<Entry>();
        self.held.push((row.order(), bytes));
        if self.held_bytes > self.run_bytes {
            self.write_held()?;
        }
        Ok(())
    }

    fn write_held(&mut self) -> Result<(), StoreError> {
        self.held.sort_unstable();
        let entries = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        self.write_run(entries.into_iter().map(Ok))
    }

    /// All rows in order.
    pub(crate) fn finish(mut self) -> Result<Sorted, StoreError> {
        self.held.sort_unstable();
        while self.runs.len() > MOST_RUNS {
            let first: Vec<PathBuf> = self.runs.drain(..MOST_RUNS).collect();
            let merged = Sorted::new(&first, Vec::new())?;
            self.write_run(merged)?;
            for path in first.into_iter().filter(|_| !self.is_kept) {
                std::fs::remove_file(&path).map_err(StoreError::at(&path))?;
            }
        }
        Sorted::new(&self.runs, self.held)
    }

    fn write_run(&mut self, entries: impl Iterator<Item = Result<Entry, StoreError>>) -> Result<(), StoreError> {
        let path = self.folder.join(format!("rows-{}", self.made));
        self.made += 1;
        let mut file = BufWriter::with_capacity(1 << 18, Output::create(&path).map_err(StoreError::at(&path))?);
        fault::at(Place::RunBegun);
        for entry in entries {
            let (order, bytes) = entry?;
            let length = u32::try_from(bytes.len()).ok().filter(|n| *n <= MOST_ROW_BYTES);
            let length = length.ok_or_else(|| StoreError::damaged(&path, "one object takes more than 2 GiB"))?;
            file.write_all(&order.to_le_bytes())
                .and_then(|()| file.write_all(&length.to_le_bytes()))
                .and_then(|()| file.write_all(&bytes))
                .map_err(StoreError::at(&path))?;
        }
        file.flush().map_err(StoreError::at(&path))?;
        fault::at(Place::RunWritten);
        self.runs.push(path);
        Ok(())
    }
}

struct Run {
    path: PathBuf,
    file: BufReader<File>,
}

impl Run {
    fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        let mut head = [0u8; 12];
        let mut read = 0;
        while read < head.len() {
            match self.file.read(&mut head[read..]).map_err(StoreError::at(&self.path))? {
                0 if read == 0 => return Ok(None),
                0 => return Err(StoreError::damaged(&self.path, "ends within a row")),
                n => read += n,
            }
        }
        let order = u64::from_le_bytes([head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]]);
        let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if length > MOST_ROW_BYTES {
            return Err(StoreError::damaged(&self.path, "a row is too long"));
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact(&mut bytes).map_err(StoreError::at(&self.path))?;
        Ok(Some((order, bytes)))
    }
}

/// Rows in order.
pub(crate) struct Sorted {
    runs: Vec<Run>,
    held: std::vec::IntoIter<Entry>,
    /// The next entry of each run; the run behind the last one is the rows held in memory.
    heads: BinaryHeap<Reverse<(Entry, usize)>>,
}

impl Sorted {
    fn new(paths: &[PathBuf], held: Vec<Entry>) -> Result<Self, StoreError> {
        let mut runs = Vec::with_capacity(paths.len());
        for path in paths {
            let file = File::open(path).map_err(StoreError::at(path))?;
            runs.push(Run { path: path.clone(), file: BufReader::with_capacity(1 << 17, file) });
        }
        let mut sorted = Self { runs, held: held.into_iter(), heads: BinaryHeap::new() };
        for run in 0..=sorted.runs.len() {
            sorted.advance(run)?;
        }
        Ok(sorted)
    }

    fn advance(&mut self, run: usize) -> Result<(), StoreError> {
        let next = match self.runs.get_mut(run) {
            Some(run) => run.next()?,
            None => self.held.next(),
        };
        if let Some(entry) = next {
            self.heads.push(Reverse((entry, run)));
        }
        Ok(())
    }
}

impl Iterator for Sorted {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((entry, run)) = self.heads.pop()?;
        Some(self.advance(run).map(|()| entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CityObject, Class, Geometry, ObjectId, Point, Vertical};
    use glam::DVec3;

    #[test]
    fn many_runs_give_the_same_order_as_none() {
        let rows: Vec<Row> = (0..5000u64)
            .map(|i| {
                let at = DVec3::new((i * 7919 % 5003) as f64, (i * 104_729 % 4999) as f64, 0.0);
                let point = Geometry::Point(Point { at, vertical: Vertical::Absolute });
                Row::new(&CityObject::new(ObjectId::new("t", i), Class::Tree, point), 0).unwrap()
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let sorted = |run_bytes: usize, backwards: bool| -> Vec<Entry> {
            let inner = tempfile::tempdir_in(folder.path()).unwrap();
            let mut sorter = Sorter { run_bytes, ..Sorter::new(inner.path()) };
            let mut rows: Vec<&Row> = rows.iter().collect();
            if backwards {
                rows.reverse();
            }
            for (number, row) in rows.iter().enumerate() {
                if number % 2000 == 1999 {
                    let state = sorter.checkpoint().unwrap();
                    sorter.push(row).unwrap();
                    sorter = Sorter { run_bytes, ..Sorter::restore(inner.path(), state).unwrap() };
                }
                sorter.push(row).unwrap();
            }
            sorter.finish().unwrap().map(|e| e.unwrap()).collect()
        };
        let in_memory = sorted(usize::MAX, false);
        assert_eq!(in_memory.len(), rows.len());
        assert_eq!(sorted(3000, false), in_memory, "hundreds of runs, merged in steps");
        assert_eq!(sorted(100_000, true), in_memory);
    }
}
