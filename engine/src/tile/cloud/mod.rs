//! Tiles of scan points: an additive octree, built out of core.
//!
//! ```text
//! PointBatch ─► buffer ─► spill file ─► one file per chunk ─► octree of the chunk ─► tiles
//!                   └── small scans stay in memory ──────────────────┘
//! ```
//!
//! Every point stands in exactly one tile. A tile that has children holds an even sample: at most one point in each
//! cell of a grid of 128 cells along its side, the one nearest to the cell's middle. Children add the points between.
//! The geometric error is four times that spacing, so that a viewer with the usual 16 pixels of screen-space error
//! sees points at most four pixels apart.
//!
//! Memory is bounded by the chunk, not by the scan: about 600 MB whatever the number of points.
//!
//! A checkpoint puts the points so far on the disk; chunks whose tiles are written are put down in the [`Journal`].
//!
//! [`Journal`]: super::Journal

mod colour;
mod octree;
mod spill;

use std::path::{Path, PathBuf};

use glam::{DVec3, IVec3};
use serde::{Deserialize, Serialize};

use self::{
    colour::{Look, LookStatistics},
    octree::{Cube, TileWriter},
    spill::{CellCounts, Partition, RecordFile, chunk_name},
};
use super::{Journal, Surroundings, TileError, TilesetBuilder};
use crate::{
    fault,
    model::{CityObject, Geometry, PointBatch},
};

/// Units of the stored coordinates in a metre: a quarter of a millimetre each.
const UNITS_PER_M: f64 = 4096.0;
/// Points held in memory; a scan with more goes to disk.
const BUFFER_POINTS: usize = 8_000_000;

/// A point as it is kept until its tile is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Units from the layer's origin.
    at: IVec3,
    /// What decides its colour.
    look: Look,
}

/// What another process needs to know to go on with a [`CloudTiler`].
#[derive(Serialize, Deserialize)]
pub struct State {
    origin: Option<DVec3>,
    points: u64,
}

/// Under which the points of each chunk are written down.
const CHUNKS: &str = "cloud/chunks";
/// Name of the file of all points.
const ALL: &str = "all";

/// Collects the scan points of one layer.
pub struct CloudTiler {
    spill: PathBuf,
    origin: Option<DVec3>,
    buffer: Vec<Record>,
    buffer_points: usize,
    spilled: Option<RecordFile>,
    counts: CellCounts,
    looks: LookStatistics,
    low: IVec3,
    high: IVec3,
}

impl CloudTiler {
    /// A tiler for `layer`; what does not fit in memory goes to files in `spill`.
    pub fn new(layer: &str, spill: &Path) -> Result<Self, TileError> {
        // Layer names may hold any character; the spill folder may be shared between layers.
        let key = blake3::hash(layer.as_bytes()).to_hex();
        Ok(Self {
            spill: spill.join(format!("cloud-{}", &key[..16])),
            origin: None,
            buffer: Vec::new(),
            buffer_points: fault::scan_points().unwrap_or(BUFFER_POINTS),
            spilled: None,
            counts: CellCounts::default(),
            looks: LookStatistics::default(),
            low: IVec3::MAX,
            high: IVec3::MIN,
        })
    }

    /// Whether all points are in memory still.
    pub fn is_in_memory(&self) -> bool {
        self.spilled.is_none()
    }

    /// Puts the points on the disk.
    pub fn checkpoint(&mut self) -> Result<State, TileError> {
        self.flush()?;
        let points = self.spilled.as_mut().map_or(Ok(0), RecordFile::checkpoint)?;
        Ok(State { origin: self.origin, points })
    }

    /// The tiler that had this `state` in a process before this one.
    pub fn restore(layer: &str, spill: &Path, state: State) -> Result<Self, TileError> {
        let mut tiler = Self::new(layer, spill)?;
        tiler.origin = state.origin;
        let mut all = RecordFile::restore(&tiler.spill, ALL, state.points)?;
        all.read(|block| {
            block.iter().for_each(|record| tiler.note(*record));
            block.iter().for_each(|record| tiler.counts.add(record.at));
            Ok(())
        })?;
        tiler.spilled = Some(all);
        Ok(tiler)
    }

    /// Counts a point.
    fn note(&mut self, record: Record) {
        self.low = self.low.min(record.at);
        self.high = self.high.max(record.at);
        self.looks.add(record.look, record.at.z);
    }

    /// Takes one object; anything but points is passed over.
    pub fn push(&mut self, object: &CityObject) -> Result<(), TileError> {
        match &object.geometry {
            Geometry::Points(batch) => self.push_batch(batch),
            _ => Ok(()),
        }
    }

    fn push_batch(&mut self, batch: &PointBatch) -> Result<(), TileError> {
        let Some(first) = batch.positions.first() else { return Ok(()) };
        let origin = *self.origin.get_or_insert_with(|| first.round());
        for (i, position) in batch.positions.iter().enumerate() {
            let units = (*position - origin) * UNITS_PER_M;
            // Half of what i32 holds, so that no difference of two points overflows.
            let reach = units.abs().max_element();
            if reach.is_nan() || reach >= f64::from(i32::MAX / 2) {
                return Err(TileError::Spill(format!(
                    "scan point {position} lies more than {:.0} km from the layer's first point {origin}",
                    f64::from(i32::MAX / 2) / UNITS_PER_M / 1000.0
                )));
            }
            // Rounded by hand: where the processor's own rounding is not to be counted on, the library's costs a call each.
            let at = (units + DVec3::splat(0.5).copysign(units)).as_ivec3();
            let look = Look::new(
                batch.colours.get(i).copied(),
                batch.classes.get(i).copied().unwrap_or(0),
                batch.intensities.get(i).copied().unwrap_or(0),
            );
            self.note(Record { at, look });
            self.buffer.push(Record { at, look });
            if self.buffer.len() >= self.buffer_points {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Moves the buffer to the spill file and counts where its points lie.
    fn flush(&mut self) -> Result<(), TileError> {
        let file = match self.spilled.take() {
            Some(file) => file,
            None => RecordFile::create(&self.spill, ALL)?,
        };
        let file = self.spilled.insert(file);
        for record in &self.buffer {
            self.counts.add(record.at);
        }
        file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// The points of each chunk as a process before this one left them; those whose tiles are written are gone.
    fn kept_chunks(&self, journal: &Journal) -> Option<Vec<Option<RecordFile>>> {
        let counts: Vec<u64> = journal.get(CHUNKS)?;
        let open = |(chunk, count): (usize, &u64)| {
            let file = RecordFile::restore(&self.spill, &chunk_name(chunk), *count).ok();
            (file.is_some() || octree::is_written_down(journal, chunk)).then_some(file)
        };
        counts.iter().enumerate().map(open).collect()
    }

    /// Writes the tiles.
    pub fn finish(
        mut self,
        _folder: &Path,
        _around: &Surroundings<'_>,
        tileset: &mut TilesetBuilder<'_>,
    ) -> Result<(), TileError> {
        let Some(origin) = self.origin else { return Ok(()) };
        let palette = self.looks.palette();
        let builder = &*tileset;
        let writer = TileWriter { origin, palette: &palette, tileset: builder };
        let root = match self.spilled {
            None => {
                let cube = Cube::around(self.low, self.high, 0);
                octree::in_memory(cube, std::mem::take(&mut self.buffer), &writer)?
            }
            Some(_) => {
                self.flush()?;
                let Some(all) = self.spilled.take() else { return Ok(()) };
                drop(std::mem::take(&mut self.buffer));
                let cube = Cube::around(self.low, self.high, self.counts.shift());
                let partition = Partition::new(cube, &self.counts, self.buffer_points as u64);
                let chunks = match self.kept_chunks(tileset.journal()) {
                    Some(chunks) => chunks,
                    None => {
                        let mut chunks = partition.distribute(all, &self.spill)?;
                        if tileset.journal().keeps() {
                            let counts = chunks.iter_mut().flatten().map(RecordFile::checkpoint);
                            let counts = counts.collect::<Result<Vec<u64>, _>>()?;
                            tileset.journal().put(CHUNKS, &counts);
                        }
                        chunks
                    }
                };
                let root = octree::out_of_core(cube, &partition, chunks, &writer)?;
                // Nothing but emptied files is left in it; what stays behind belongs to the caller's spill folder.
                let _ = std::fs::remove_dir(&self.spill);
                root
            }
        };
        tileset.add_root(root);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
