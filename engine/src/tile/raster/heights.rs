//! A grid of heights on disk, in square blocks of which each thread keeps some.

use std::{
    cell::RefCell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use glam::DVec2;
use serde::{Deserialize, Serialize};

use super::file::{Appender, RasterFile, Reader};
use crate::{
    model::{Extent, HeightGrid, interpolate},
    tile::TileError,
};

/// Samples along a block's side.
const BLOCK: usize = 128;
/// Blocks that a thread keeps; 8 MiB of them.
const KEPT: usize = 128;

/// A grid of heights: a block of a DEM, whose samples are in memory or on disk.
#[derive(Debug)]
pub struct HeightRaster {
    shape: HeightShape,
    /// All samples row by row, where they are in memory.
    held: OnceLock<Vec<f32>>,
    stored: Option<Stored>,
}

/// What is known of a grid without its samples.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HeightShape {
    north_west: DVec2,
    step_m: DVec2,
    columns: u32,
    rows: u32,
    extent: Extent,
    has_heights: bool,
}

#[derive(Debug)]
struct Stored {
    /// Tells it from all others in the blocks that threads keep.
    number: u64,
    file: Arc<RasterFile>,
    offset: u64,
}

impl HeightShape {
    pub fn of(grid: &HeightGrid) -> Self {
        let HeightGrid { north_west, step_m, columns, rows, .. } = *grid;
        let extent = grid.extent();
        // Without a finite height the box has no z.
        Self { north_west, step_m, columns, rows, extent, has_heights: extent.min.z <= extent.max.z }
    }

    fn samples(&self) -> u64 {
        u64::from(self.columns) * u64::from(self.rows)
    }

    /// Offset of a block in bytes from the first, its columns and its rows. Blocks at the edges are as large as what is left.
    fn block(&self, across: usize, down: usize) -> (u64, usize, usize) {
        let (columns, rows) = (self.columns as usize, self.rows as usize);
        let width = BLOCK.min(columns - across * BLOCK);
        let height = BLOCK.min(rows - down * BLOCK);
        let before = (down * BLOCK) as u64 * columns as u64 + (across * BLOCK) as u64 * height as u64;
        (before * size_of::<f32>() as u64, width, height)
    }
}

impl HeightRaster {
    /// A grid that stays in memory. One that contradicts itself (not as many heights as columns × rows) has none.
    pub fn in_memory(grid: HeightGrid) -> Self {
        let shape = HeightShape::of(&grid);
        let held = OnceLock::new();
        if grid.heights.len() as u64 >= shape.samples() {
            let _ = held.set(grid.heights);
        }
        Self { shape, held, stored: None }
    }

    /// Writes `grid`, which is whole, to the end of a file; says where.
    pub(super) fn write(grid: &HeightGrid, out: &mut Appender) -> Result<u64, TileError> {
        let columns = grid.columns as usize;
        let offset = out.written;
        let mut bytes = Vec::with_capacity(BLOCK * BLOCK * size_of::<f32>());
        for rows in grid.heights.chunks(BLOCK * columns.max(1)) {
            for first in (0..columns).step_by(BLOCK) {
                bytes.clear();
                for row in rows.chunks_exact(columns) {
                    let part = &row[first..(first + BLOCK).min(columns)];
                    bytes.extend(part.iter().flat_map(|h| h.to_le_bytes()));
                }
                out.append(&bytes)?;
            }
        }
        Ok(offset)
    }

    /// The grid that lies in `file` at `offset`.
    pub(super) fn stored(shape: HeightShape, file: Arc<RasterFile>, offset: u64) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self { shape, held: OnceLock::new(), stored: Some(Stored { number, file, offset }) }
    }

    pub(super) fn state(&self) -> (HeightShape, u64) {
        (self.shape.clone(), self.stored.as_ref().map_or(0, |s| s.offset))
    }

    /// Place of the first sample.
    pub fn north_west(&self) -> DVec2 {
        self.shape.north_west
    }

    /// Distance between samples, metres.
    pub fn step_m(&self) -> DVec2 {
        self.shape.step_m
    }

    /// Samples in a row.
    pub fn columns(&self) -> u32 {
        self.shape.columns
    }

    /// Rows.
    pub fn rows(&self) -> u32 {
        self.shape.rows
    }

    /// As [`HeightGrid::extent`].
    pub fn extent(&self) -> Extent {
        self.shape.extent
    }

    /// Whether any sample holds a height.
    pub fn has_heights(&self) -> bool {
        self.shape.has_heights
    }

    /// Whether all its samples are there.
    pub fn is_whole(&self) -> bool {
        self.stored.is_some() || self.held.get().is_some()
    }

    /// Bytes that it would take in memory, and does not.
    pub fn bytes_on_disk(&self) -> u64 {
        if self.held.get().is_some() { 0 } else { self.shape.samples() * size_of::<f32>() as u64 }
    }

    /// Takes all samples into memory.
    pub fn hold(&self) -> Result<(), TileError> {
        if self.bytes_on_disk() > 0 && self.stored.is_some() {
            let mut heights = Vec::with_capacity(self.shape.samples() as usize);
            self.each_rows(&mut |rows| heights.extend_from_slice(rows))?;
            // Whoever was first holds the same.
            let _ = self.held.set(heights);
        }
        Ok(())
    }

    /// Hands over all samples, some whole rows at a time from the north.
    pub fn each_rows(&self, take: &mut dyn FnMut(&[f32])) -> Result<(), TileError> {
        if let Some(heights) = self.held.get() {
            take(heights.get(..self.shape.samples() as usize).unwrap_or(heights));
            return Ok(());
        }
        let Some(stored) = &self.stored else { return Ok(()) };
        let columns = self.shape.columns as usize;
        let mut reader = stored.file.open()?;
        let (mut rows, mut block) = (Vec::new(), Vec::new());
        for down in 0..(self.shape.rows as usize).div_ceil(BLOCK) {
            rows.clear();
            rows.resize(columns * BLOCK.min(self.shape.rows as usize - down * BLOCK), f32::NAN);
            for across in 0..columns.div_ceil(BLOCK) {
                let width = stored.load(&mut reader, &self.shape, across, down, &mut block)?;
                for (row, part) in rows.chunks_exact_mut(columns).zip(block.chunks_exact(width)) {
                    row[across * BLOCK..across * BLOCK + width].copy_from_slice(part);
                }
            }
            take(&rows);
        }
        Ok(())
    }

    /// A sample; NaN = no data. Both numbers must lie within the grid.
    pub fn at(&self, column: usize, row: usize) -> f32 {
        match self.held.get() {
            Some(heights) => heights[row * self.shape.columns as usize + column],
            None => self.stored.as_ref().map_or(f32::NAN, |stored| stored.at(&self.shape, column, row)),
        }
    }

    /// As [`HeightGrid::height_at`].
    pub fn height_at(&self, place: DVec2) -> Option<f64> {
        let HeightShape { north_west, step_m, columns, rows, .. } = self.shape;
        interpolate(place, north_west, step_m, (columns, rows), |c, r| self.at(c, r))
    }

    /// What could not be read back since it was made: until it is asked, such samples count as missing.
    pub fn check(&self) -> Result<(), TileError> {
        self.stored.as_ref().map_or(Ok(()), |stored| stored.file.check())
    }
}

/// A block that a thread keeps.
#[derive(Default)]
struct Kept {
    number: u64,
    place: (usize, usize),
    width: usize,
    heights: Vec<f32>,
}

thread_local! {
    static BLOCKS: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

impl Stored {
    fn at(&self, shape: &HeightShape, column: usize, row: usize) -> f32 {
        let place = (column / BLOCK, row / BLOCK);
        BLOCKS.with_borrow_mut(|blocks| {
            if blocks.is_empty() {
                blocks.resize_with(KEPT, Kept::default);
            }
            // Neighbours in either direction have places of their own.
            let slot = place.0.wrapping_add(place.1 * 13).wrapping_add(self.number as usize * 31) % KEPT;
            let kept = &mut blocks[slot];
            if kept.number != self.number || kept.place != place {
                kept.number = 0;
                let loaded = self
                    .file
                    .open()
                    .and_then(|mut reader| self.load(&mut reader, shape, place.0, place.1, &mut kept.heights));
                match loaded {
                    Ok(width) => (kept.number, kept.place, kept.width) = (self.number, place, width),
                    Err(error) => {
                        self.file.fail(error);
                        return f32::NAN;
                    }
                }
            }
            kept.heights[(row % BLOCK) * kept.width + column % BLOCK]
        })
    }

    /// Reads a block; returns its columns.
    fn load(
        &self,
        reader: &mut Reader,
        shape: &HeightShape,
        across: usize,
        down: usize,
        heights: &mut Vec<f32>,
    ) -> Result<usize, TileError> {
        let (offset, width, height) = shape.block(across, down);
        let mut bytes = vec![0; width * height * size_of::<f32>()];
        reader.read(&mut bytes, self.offset + offset).map_err(|e| self.file.error(e))?;
        heights.clear();
        heights.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        Ok(width)
    }
}
