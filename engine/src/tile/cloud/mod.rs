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

mod colour;
mod octree;
mod spill;

use std::path::{Path, PathBuf};

use glam::{DVec3, IVec3};

use self::{
    colour::{Look, LookStatistics},
    octree::{Cube, TileWriter},
    spill::{CellCounts, Partition, RecordFile},
};
use super::{Surroundings, TileError, TilesetBuilder};
use crate::model::{CityObject, Geometry, PointBatch};

/// Units of the stored coordinates in a metre: a quarter of a millimetre each.
const UNITS_PER_M: f64 = 4096.0;
/// Points held in memory; a scan with more goes to disk.
const BUFFER_POINTS: usize = 8_000_000;

/// A point as it is kept until its tile is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    /// Units from the layer's origin.
    at: IVec3,
    /// What decides its colour.
    look: Look,
}

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
            buffer_points: BUFFER_POINTS,
            spilled: None,
            counts: CellCounts::default(),
            looks: LookStatistics::default(),
            low: IVec3::MAX,
            high: IVec3::MIN,
        })
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
            self.low = self.low.min(at);
            self.high = self.high.max(at);
            self.looks.add(look, at.z);
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
            None => RecordFile::create(&self.spill, "all")?,
        };
        let file = self.spilled.insert(file);
        for record in &self.buffer {
            self.counts.add(record.at);
        }
        file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
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
                let chunks = partition.distribute(all, &self.spill)?;
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
