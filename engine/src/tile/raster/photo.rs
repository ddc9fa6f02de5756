//! A picture of the ground on disk, at every coarseness that tiles of terrain show it.

use std::{ops::Range, sync::Arc};

use glam::{DVec2, DVec3};
use serde::{Deserialize, Serialize};

use super::file::{Appender, RasterFile};
use crate::{
    model::{Extent, Picture},
    tile::TileError,
};

/// Weights of pixels between two rows or columns add up to this.
const ONE: u32 = 256;
/// Pixels along a block's side.
const BLOCK: usize = 256;
/// Bytes of a row of blocks: that of a wider picture has fewer rows.
const MOST_ROW_BYTES: usize = 24 << 20;
const PIXEL: usize = 3;

/// A picture with its halved copies: a coarse tile reads as many pixels as it has itself, not the whole picture.
/// The copies take a third of the picture's room on disk; in memory there is nothing of it.
#[derive(Debug)]
pub struct Photo {
    file: Arc<RasterFile>,
    shape: PhotoShape,
}

/// What is known of a picture without its pixels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PhotoShape {
    north_west: DVec2,
    step_m: DVec2,
    levels: Vec<Level>,
}

/// The picture or a halved copy.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Level {
    columns: usize,
    rows: usize,
    /// Rows of a block.
    block_rows: usize,
    /// Where each row of blocks lies.
    offsets: Vec<u64>,
}

impl Level {
    fn new(columns: usize) -> Self {
        let block_rows = (MOST_ROW_BYTES / (columns * PIXEL).max(1)).clamp(1, BLOCK);
        Self { columns, rows: 0, block_rows, offsets: Vec::new() }
    }

    /// Reads a part of it, row by row, into `pixels`.
    fn read(
        &self,
        file: &RasterFile,
        columns: Range<usize>,
        rows: Range<usize>,
        pixels: &mut Vec<u8>,
    ) -> Result<(), TileError> {
        let width = columns.len() * PIXEL;
        pixels.clear();
        pixels.resize(width * rows.len(), 0);
        let mut reader = file.open()?;
        let mut part = Vec::new();
        for down in rows.start / self.block_rows..rows.end.div_ceil(self.block_rows) {
            let top = down * self.block_rows;
            let height = self.block_rows.min(self.rows - top);
            let wanted = rows.start.max(top)..rows.end.min(top + height);
            let offset = self.offsets.get(down).copied().unwrap_or(u64::MAX);
            for across in columns.start / BLOCK..columns.end.div_ceil(BLOCK) {
                let left = across * BLOCK;
                let own = BLOCK.min(self.columns - left);
                part.resize(wanted.len() * own * PIXEL, 0);
                let skipped = left * height + (wanted.start - top) * own;
                reader.read(&mut part, offset.saturating_add((skipped * PIXEL) as u64)).map_err(|e| file.error(e))?;
                let (from, to) = (columns.start.max(left), columns.end.min(left + own));
                for (row, line) in wanted.clone().zip(part.chunks_exact(own * PIXEL)) {
                    let start = (row - rows.start) * width + (from - columns.start) * PIXEL;
                    let line = &line[(from - left) * PIXEL..(to - left) * PIXEL];
                    pixels[start..start + line.len()].copy_from_slice(line);
                }
            }
        }
        Ok(())
    }
}

impl Photo {
    pub(super) fn new(file: Arc<RasterFile>, shape: PhotoShape) -> Self {
        Self { file, shape }
    }

    pub(super) fn shape(&self) -> &PhotoShape {
        &self.shape
    }

    /// Outer corner of the first pixel.
    pub fn north_west(&self) -> DVec2 {
        self.shape.north_west
    }

    /// Size of its own pixels, metres.
    pub fn step_m(&self) -> DVec2 {
        self.shape.step_m
    }

    /// Pixels in a row.
    pub fn columns(&self) -> usize {
        self.shape.levels.first().map_or(0, |l| l.columns)
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.shape.levels.first().map_or(0, |l| l.rows)
    }

    /// Box around it, at height 0.
    pub fn extent(&self) -> Extent {
        let (corner, size) = (self.shape.north_west, self.size());
        Extent { min: DVec3::new(corner.x, corner.y - size.y, 0.0), max: DVec3::new(corner.x + size.x, corner.y, 0.0) }
    }

    /// Size in plan, metres.
    fn size(&self) -> DVec2 {
        DVec2::new(self.columns() as f64, self.rows() as f64) * self.shape.step_m
    }

    /// Whether it lies on a box, in plan.
    pub fn overlaps(&self, extent: &Extent) -> bool {
        let (west, north, size) = (self.shape.north_west.x, self.shape.north_west.y, self.size());
        west < extent.max.x && west + size.x > extent.min.x && north > extent.min.y && north - size.y < extent.max.y
    }

    /// Hands over its own pixels, some whole rows at a time from the north.
    pub fn each_rows(&self, take: &mut dyn FnMut(&[u8])) -> Result<(), TileError> {
        let Some(level) = self.shape.levels.first() else { return Ok(()) };
        let mut pixels = Vec::new();
        for top in (0..level.rows).step_by(level.block_rows) {
            let rows = top..(top + level.block_rows).min(level.rows);
            level.read(&self.file, 0..level.columns, rows, &mut pixels)?;
            take(&pixels);
        }
        Ok(())
    }

    /// For a square of `pixels` each way whose first lies at `corner` (north-west) and whose others follow every `texel`;
    /// `None` where it shows nothing of the picture. The pixels needed are read into `buffer`.
    pub fn sampler<'b>(
        &self,
        corner: DVec2,
        texel: DVec2,
        pixels: usize,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<Sampler<'b>>, TileError> {
        let (levels, own, size) = (&self.shape.levels, self.shape.step_m, self.size());
        let coarseness = (texel / own).max_element().max(1.0);
        let number = (coarseness.log2() as usize).min(levels.len().saturating_sub(1));
        let Some(level) = levels.get(number) else { return Ok(None) };
        let step = own * (number as f64).exp2();
        let start = DVec2::new(corner.x - self.shape.north_west.x, self.shape.north_west.y - corner.y);
        let line = |start: f64, step: f64, size: f64, own: f64, count: usize| -> Vec<Option<Between>> {
            let places = (0..pixels).map(|i| start + i as f64 * step);
            places.map(|at| (at >= 0.0 && at < size).then(|| between(at / own - 0.5, count))).collect()
        };
        let mut columns = line(start.x, texel.x, size.x, step.x, level.columns);
        let mut rows = line(start.y, texel.y, size.y, step.y, level.rows);
        let (Some(across), Some(down)) = (shift_to_first(&mut columns), shift_to_first(&mut rows)) else {
            return Ok(None);
        };
        let width = across.len();
        level.read(&self.file, across, down, buffer)?;
        Ok(Some(Sampler { rgb: buffer, width, columns, rows }))
    }
}

/// A place between two rows or two columns: the first of them, the second, and the weight of the second.
type Between = (usize, usize, u32);

/// A picture at the coarseness of one tile, with where the tile's pixels lie in it.
pub struct Sampler<'b> {
    /// The part of the picture below the tile.
    rgb: &'b [u8],
    /// Its pixels in a row.
    width: usize,
    columns: Vec<Option<Between>>,
    rows: Vec<Option<Between>>,
}

impl Sampler<'_> {
    /// Colour of the pixel; `None` outside of the picture and where it has no data, which is (0, 0, 0).
    pub fn at(&self, column: usize, row: usize) -> Option<[u8; 3]> {
        let mut colour = [0; PIXEL];
        let mut bare = [true];
        self.paint(self.rows[row]?, &self.columns[column..=column], &mut colour, &mut bare);
        (!bare[0]).then_some(colour)
    }

    /// Paints the pixels of a row that are `bare`, and marks as not bare those of which it knows the colour.
    pub fn paint_row(&self, row: usize, rgb: &mut [u8], bare: &mut [bool]) {
        if let Some(place) = self.rows[row] {
            self.paint(place, &self.columns, rgb, bare);
        }
    }

    #[inline]
    fn paint(&self, (upper, lower, v): Between, columns: &[Option<Between>], rgb: &mut [u8], bare: &mut [bool]) {
        let line = |row: usize| &self.rgb[row * self.width * PIXEL..(row + 1) * self.width * PIXEL];
        let (upper, lower) = (line(upper), line(lower));
        for ((place, out), bare) in columns.iter().zip(rgb.chunks_exact_mut(PIXEL)).zip(bare).filter(|(_, b)| **b) {
            let Some((left, right, u)) = *place else { continue };
            let colour = mean::<{ ONE * ONE }>([
                (pixel(upper, left), (ONE - u) * (ONE - v)),
                (pixel(upper, right), u * (ONE - v)),
                (pixel(lower, left), (ONE - u) * v),
                (pixel(lower, right), u * v),
            ]);
            if let Some(colour) = colour {
                out.copy_from_slice(&colour);
                *bare = false;
            }
        }
    }
}

/// `at` counts from the middle of the first of `count` pixels.
fn between(at: f64, count: usize) -> Between {
    let at = at.clamp(0.0, (count - 1) as f64);
    let first = (at as usize).min(count - 1);
    (first, (first + 1).min(count - 1), ((at - first as f64) * f64::from(ONE)) as u32)
}

/// Lets the places count from the first that is needed; returns which are.
fn shift_to_first(places: &mut [Option<Between>]) -> Option<Range<usize>> {
    let first = places.iter().flatten().map(|(first, ..)| *first).min()?;
    let last = places.iter().flatten().map(|(_, second, _)| *second).max()?;
    for (before, after, _) in places.iter_mut().flatten() {
        *before -= first;
        *after -= first;
    }
    Some(first..last + 1)
}

#[inline]
fn pixel(line: &[u8], column: usize) -> [u8; 3] {
    let pixel = &line[column * PIXEL..column * PIXEL + PIXEL];
    [pixel[0], pixel[1], pixel[2]]
}

/// Weighted mean of the pixels that have data, whose weights add up to `ALL`; `None` when those weigh less than the others.
#[inline]
fn mean<const ALL: u32>(pixels: [([u8; 3], u32); 4]) -> Option<[u8; 3]> {
    if pixels.iter().any(|(pixel, _)| *pixel == [0; 3]) {
        return mean_beside_gaps::<ALL>(pixels);
    }
    let sum = |channel: usize| pixels.iter().map(|(pixel, weight)| u32::from(pixel[channel]) * weight).sum::<u32>();
    Some([sum(0), sum(1), sum(2)].map(|s| ((s + ALL / 2) / ALL) as u8))
}

#[cold]
fn mean_beside_gaps<const ALL: u32>(pixels: [([u8; 3], u32); 4]) -> Option<[u8; 3]> {
    let (mut sum, mut known) = ([0_u32; 3], 0);
    for (pixel, weight) in pixels.into_iter().filter(|(pixel, _)| *pixel != [0; 3]) {
        known += weight;
        for (sum, value) in sum.iter_mut().zip(pixel) {
            *sum += u32::from(value) * weight;
        }
    }
    (known > 0 && known * 2 >= ALL).then(|| sum.map(|s| ((s + known / 2) / known) as u8))
}

/// Writes a picture and its halved copies while its rows come.
#[derive(Debug)]
pub(super) struct PhotoWriter {
    id: String,
    north_west: DVec2,
    step_m: DVec2,
    levels: Vec<Growing>,
}

/// A level that grows.
#[derive(Debug)]
struct Growing {
    level: Level,
    /// The rows that do not fill a row of blocks yet.
    waiting: Vec<u8>,
    /// The last row, where it is the first of two.
    odd: Option<Vec<u8>>,
}

/// A growing picture without its pixels; those that wait lie in the file for this.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PhotoWriterState {
    id: String,
    north_west: DVec2,
    step_m: DVec2,
    /// Of each level: itself, and where what waits lies and how long it is, then the same of the odd row.
    levels: Vec<(Level, [(u64, u64); 2])>,
}

impl PhotoWriter {
    /// For the object `id`, whose first part `picture` is; its pixels must be taken after this.
    pub fn new(id: &str, picture: &Picture) -> Self {
        let levels = vec![Growing::new(picture.columns as usize)];
        Self { id: id.into(), north_west: picture.north_west, step_m: picture.step_m, levels }
    }

    /// Whether `picture` is the next part of the same picture: it begins where this ends.
    pub fn is_continued_by(&self, id: &str, picture: &Picture) -> bool {
        let level = &self.levels[0].level;
        let end = self.north_west - DVec2::new(0.0, level.rows as f64 * self.step_m.y);
        self.id == id
            && level.columns == picture.columns as usize
            && self.step_m == picture.step_m
            && ((picture.north_west - end) / self.step_m).abs().max_element() < 1e-3
    }

    /// Takes further whole rows.
    pub fn push(&mut self, rgb: &[u8], out: &mut Appender) -> Result<(), TileError> {
        let width = self.levels[0].level.columns * PIXEL;
        for row in rgb.chunks_exact(width) {
            self.push_row(0, row, out)?;
        }
        Ok(())
    }

    fn push_row(&mut self, number: usize, row: &[u8], out: &mut Appender) -> Result<(), TileError> {
        if number == self.levels.len() {
            self.levels.push(Growing::new(self.levels[number - 1].level.columns.div_ceil(2)));
        }
        let growing = &mut self.levels[number];
        growing.take(row, out)?;
        match growing.odd.take() {
            None => growing.odd = Some(row.to_vec()),
            Some(upper) => {
                let halved = halved(&upper, row);
                self.push_row(number + 1, &halved, out)?;
            }
        }
        Ok(())
    }

    /// Ends the picture; `None` of one without pixels.
    pub fn finish(mut self, out: &mut Appender) -> Result<Option<PhotoShape>, TileError> {
        let mut number = 0;
        while let Some(growing) = self.levels.get_mut(number) {
            let odd = growing.odd.take();
            growing.flush(out)?;
            // The last row may reach half a pixel beyond the picture; what lies there repeats the edge.
            if let Some(row) = odd.filter(|_| growing.level.columns.max(growing.level.rows) > 1) {
                self.push_row(number + 1, &halved(&row, &row), out)?;
            }
            number += 1;
        }
        let levels: Vec<Level> = self.levels.into_iter().map(|growing| growing.level).collect();
        let is_something = levels[0].columns > 0 && levels[0].rows > 0;
        Ok(is_something.then_some(PhotoShape { north_west: self.north_west, step_m: self.step_m, levels }))
    }

    /// What it needs to go on; what waits for a row of blocks is written to the file.
    pub fn state(&self, out: &mut Appender) -> Result<PhotoWriterState, TileError> {
        let mut levels = Vec::new();
        for growing in &self.levels {
            let odd = growing.odd.as_deref().unwrap_or_default();
            let mut put = |bytes: &[u8]| Ok::<_, TileError>((out.append(bytes)?, bytes.len() as u64));
            levels.push((growing.level.clone(), [put(&growing.waiting)?, put(odd)?]));
        }
        Ok(PhotoWriterState { id: self.id.clone(), north_west: self.north_west, step_m: self.step_m, levels })
    }

    pub fn restore(state: PhotoWriterState, file: &RasterFile) -> Result<Self, TileError> {
        let mut reader = file.open()?;
        let mut levels = Vec::new();
        for (level, [waiting, odd]) in state.levels {
            let mut take = |(offset, length): (u64, u64)| {
                let row_bytes = (level.columns * PIXEL) as u64;
                if length > row_bytes.saturating_mul(BLOCK as u64) {
                    return Err(TileError::Spill("a picture's rows do not fit its width".into()));
                }
                let mut bytes = vec![0; length as usize];
                reader.read(&mut bytes, offset).map_err(|e| file.error(e))?;
                Ok(bytes)
            };
            let (waiting, odd) = (take(waiting)?, take(odd)?);
            levels.push(Growing { level, waiting, odd: (!odd.is_empty()).then_some(odd) });
        }
        if levels.is_empty() {
            return Err(TileError::Spill("a picture without pixels".into()));
        }
        Ok(Self { id: state.id, north_west: state.north_west, step_m: state.step_m, levels })
    }
}

impl Growing {
    fn new(columns: usize) -> Self {
        Self { level: Level::new(columns), waiting: Vec::new(), odd: None }
    }

    fn take(&mut self, row: &[u8], out: &mut Appender) -> Result<(), TileError> {
        self.waiting.extend_from_slice(row);
        self.level.rows += 1;
        if self.waiting.len() >= self.level.block_rows * row.len() { self.flush(out) } else { Ok(()) }
    }

    /// Writes the rows that wait as a row of blocks.
    fn flush(&mut self, out: &mut Appender) -> Result<(), TileError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let width = self.level.columns * PIXEL;
        self.level.offsets.push(out.written);
        for left in (0..width).step_by(BLOCK * PIXEL) {
            let right = (left + BLOCK * PIXEL).min(width);
            for row in self.waiting.chunks_exact(width) {
                out.append(&row[left..right])?;
            }
        }
        self.waiting.clear();
        Ok(())
    }
}

/// Means of four pixels each, of those that have data.
fn halved(upper: &[u8], lower: &[u8]) -> Vec<u8> {
    let columns = upper.len() / PIXEL;
    let mut rgb = Vec::with_capacity(columns.div_ceil(2) * PIXEL);
    for left in (0..columns).step_by(2) {
        // The last column repeats where it has no neighbour.
        let right = (left + 1).min(columns - 1);
        let four = [(left, upper), (right, upper), (left, lower), (right, lower)];
        rgb.extend_from_slice(&mean::<4>(four.map(|(c, row)| (pixel(row, c), 1))).unwrap_or([0; 3]));
    }
    rgb
}
