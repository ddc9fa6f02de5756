//! The octree: which point stands in which tile, and the tiles' content.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use glam::{DVec3, IVec3, UVec3, Vec3};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Record, UNITS_PER_M,
    colour::Palette,
    spill::{Branch, Partition, RecordFile},
};
use crate::{
    model::Extent,
    tile::{
        Content, Journal, Refine, TileError, TileNode, TilesetBuilder,
        glb::{TileContent, TilePoints},
    },
};

/// Cells along the side of a tile, as a power of two: 128.
const GRID_BITS: u32 = 7;
/// A tile with at most this many points has no children.
const LEAF_POINTS: usize = 48_000;
/// An octant with fewer points than this joins its parent: tiny files cost more than uneven density.
const CHILD_POINTS: usize = 1_500;
/// Geometric error in units of the spacing between points.
const ERROR_PER_SPACING: f64 = 4.0;
/// Bits of each axis in a Morton code.
const CODE_BITS: u32 = 21;

/// A cube of 2^bits units, the root of the octree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cube {
    /// Lowest corner.
    pub low: IVec3,
    /// Exponent of the side, at most 31.
    pub bits: u32,
}

impl Cube {
    /// The smallest such cube from a corner that is a multiple of 2^shift units.
    pub fn around(low: IVec3, high: IVec3, shift: u32) -> Self {
        let low = (low >> shift as i32) << shift as i32;
        let reach = (high.as_i64vec3() - low.as_i64vec3()).max_element() as u64;
        let bits = (u64::BITS - reach.leading_zeros()).max(shift).max(GRID_BITS);
        Self { low, bits }
    }

    /// Side of a node, units.
    fn side(&self, level: u32) -> f64 {
        f64::from(self.bits.saturating_sub(level)).exp2()
    }

    /// Morton code of a place: interleaved bits, the highest for the root's octants.
    fn code(&self, at: IVec3) -> u64 {
        let place = (at - self.low).as_uvec3();
        let place =
            if self.bits > CODE_BITS { place >> (self.bits - CODE_BITS) } else { place << (CODE_BITS - self.bits) };
        spread(place.x) | spread(place.y) << 1 | spread(place.z) << 2
    }

    /// Squared distance of a place from the middle of its cell of 2^-level of the side.
    fn off_centre(&self, at: IVec3, level: u32) -> u64 {
        let Some(shift) = self.bits.checked_sub(level).filter(|shift| *shift > 0) else { return 0 };
        let place = (at - self.low).as_uvec3();
        let off = (place & UVec3::splat(((1u64 << shift) - 1) as u32)).as_i64vec3() - (1i64 << (shift - 1));
        off.length_squared() as u64
    }
}

/// Puts two zeros before each of the lower 21 bits.
fn spread(value: u32) -> u64 {
    let mut x = u64::from(value) & 0x1f_ffff;
    x = (x | x << 32) & 0x1f_0000_0000_ffff;
    x = (x | x << 16) & 0x1f_0000_ff00_00ff;
    x = (x | x << 8) & 0x100f_00f0_0f00_f00f;
    x = (x | x << 4) & 0x10c3_0c30_c30c_30c3;
    (x | x << 2) & 0x1249_2492_4924_9249
}

/// A point with its Morton code.
#[derive(Clone, Copy)]
struct Coded {
    code: u64,
    record: Record,
}

/// What a tile's points need to become a file.
pub(super) struct TileWriter<'a> {
    /// Where the records' coordinates start.
    pub origin: DVec3,
    /// Colours.
    pub palette: &'a Palette,
    /// Where files go.
    pub tileset: &'a TilesetBuilder<'a>,
}

impl TileWriter<'_> {
    fn place(&self, at: IVec3) -> DVec3 {
        self.origin + at.as_dvec3() / UNITS_PER_M
    }

    fn write(&self, job: &TileJob) -> Result<Content, TileError> {
        let mut points = TilePoints::default();
        points.positions.reserve_exact(job.records.len());
        points.colours.reserve_exact(job.records.len());
        for record in &job.records {
            let position: Vec3 = (self.place(record.at) - job.origin).as_vec3();
            points.positions.push(position);
            points.colours.push(self.palette.rgb(record.look, record.at.z));
        }
        self.tileset.write_content(&TileContent { points: Some(points), ..TileContent::default() })
    }
}

/// Content that waits to be written.
struct TileJob {
    number: usize,
    origin: DVec3,
    records: Vec<Record>,
}

/// Builds nodes on this thread while others write their files.
struct Growth<'a> {
    cube: Cube,
    writer: &'a TileWriter<'a>,
    jobs: mpsc::SyncSender<TileJob>,
    sent: usize,
    /// Names of the files by their number, once they are written.
    names: &'a Mutex<Vec<Option<Content>>>,
    /// Chunks that are made and whose files are not all written yet.
    waiting: Vec<(usize, Range<usize>, Made)>,
}

/// What was made of a chunk.
#[derive(Serialize, Deserialize)]
struct Made {
    node: TileNode,
    /// What each tile above took of its points.
    above: Vec<Vec<Record>>,
}

/// Whether the tiles of a chunk are written.
pub(super) fn is_written_down(journal: &Journal, chunk: usize) -> bool {
    journal.has(&name_of(chunk))
}

/// Under which a chunk is written down.
fn name_of(chunk: usize) -> String {
    format!("cloud/chunk/{chunk}")
}

/// A tree of a scan that fits in memory.
pub(super) fn in_memory(cube: Cube, records: Vec<Record>, writer: &TileWriter<'_>) -> Result<TileNode, TileError> {
    grow(cube, writer, |growth| {
        let points = growth.coded(records);
        growth.node(points, 0)
    })
}

/// A tree of a scan that lies in one file per chunk.
pub(super) fn out_of_core(
    cube: Cube,
    partition: &Partition,
    mut chunks: Vec<Option<RecordFile>>,
    writer: &TileWriter<'_>,
) -> Result<TileNode, TileError> {
    grow(cube, writer, |growth| growth.branch(&partition.root, 0, &mut chunks, &mut Vec::new()))
}

/// Runs `build` with threads that write; names the files in the finished tree.
fn grow(
    cube: Cube,
    writer: &TileWriter<'_>,
    build: impl FnOnce(&mut Growth<'_>) -> Result<TileNode, TileError>,
) -> Result<TileNode, TileError> {
    let writers = thread::available_parallelism().map_or(1, |n| n.get()).clamp(1, 4);
    let (jobs, queue) = mpsc::sync_channel::<TileJob>(writers * 2);
    let queue = Mutex::new(queue);
    let names: Mutex<Vec<Option<Content>>> = Mutex::default();
    let mut root = thread::scope(|scope| {
        let workers: Vec<_> = (0..writers)
            .map(|_| {
                scope.spawn(|| -> Result<(), TileError> {
                    let mut failed = None;
                    loop {
                        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(job) = job else { break };
                        // After a failure the queue is still emptied, so that the builder does not wait for ever.
                        if failed.is_none() {
                            match writer.write(&job) {
                                Ok(name) => {
                                    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
                                    let length = names.len().max(job.number + 1);
                                    names.resize(length, None);
                                    names[job.number] = Some(name);
                                }
                                Err(e) => failed = Some(e),
                            }
                        }
                    }
                    failed.map_or(Ok(()), Err)
                })
            })
            .collect();
        let mut growth = Growth { cube, writer, jobs, sent: 0, names: &names, waiting: Vec::new() };
        let root = build(&mut growth);
        drop(growth);
        let mut failed = None;
        for worker in workers {
            match worker.join() {
                Ok(Ok(())) => {}
                Ok(Err(e)) => failed = Some(e),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        match failed {
            Some(e) => Err(e),
            None => root,
        }
    })?;
    put_names(&mut root, &names.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(root)
}

/// Puts names in the place of numbers; what was made by a process before this one has its name already.
fn put_names(node: &mut TileNode, names: &[Option<Content>]) {
    node.content = node.content.take().and_then(|content| match content.file.parse::<usize>() {
        Ok(number) => names.get(number).cloned().flatten(),
        Err(_) => Some(content),
    });
    for child in &mut node.children {
        put_names(child, names);
    }
}

impl Growth<'_> {
    fn coded(&self, records: Vec<Record>) -> Vec<Coded> {
        let mut keys: Vec<(u64, u32)> =
            records.par_iter().enumerate().map(|(i, r)| (self.cube.code(r.at), i as u32)).collect();
        // No two keys are equal, so the order does not depend on the number of threads.
        keys.par_sort_unstable();
        keys.into_par_iter().map(|(code, i)| Coded { code, record: records[i as usize] }).collect()
    }

    /// A node of the part above the chunks. `above` has one list per ancestor for the points it takes
    /// from what lies below it.
    fn branch(
        &mut self,
        branch: &Branch,
        level: u32,
        chunks: &mut [Option<RecordFile>],
        above: &mut Vec<Vec<Record>>,
    ) -> Result<TileNode, TileError> {
        match branch {
            Branch::Inner(parts) => {
                above.push(Vec::new());
                let children = parts
                    .iter()
                    .map(|part| self.branch(part, level + 1, chunks, above))
                    .collect::<Result<Vec<_>, _>>()?;
                let own = above.pop().unwrap_or_default();
                self.finished(own, level, children)
            }
            Branch::Chunk { chunk } => {
                let (journal, name) = (self.writer.tileset.journal(), name_of(*chunk));
                if let Some(made) = journal.get::<Made>(&name).filter(|made| self.writer.tileset.adopt(&made.node)) {
                    for (own, taken) in above.iter_mut().zip(made.above) {
                        own.extend(taken);
                    }
                    return Ok(made.node);
                }
                let records = match &mut chunks[*chunk] {
                    Some(file) => file.all()?,
                    None => Vec::new(),
                };
                let mut points = self.coded(records);
                let (first, before) = (self.sent, above.iter().map(Vec::len).collect::<Vec<_>>());
                for (level, own) in above.iter_mut().enumerate() {
                    points = self.sample(points, level as u32, own);
                }
                let node = self.node(points, level)?;
                if journal.keeps() {
                    let above = above.iter().zip(before).map(|(own, before)| own[before..].to_vec()).collect();
                    self.waiting.push((*chunk, first..self.sent, Made { node: node.clone(), above }));
                    self.write_down(chunks);
                } else {
                    chunks[*chunk] = None;
                }
                Ok(node)
            }
        }
    }

    /// Writes down the chunks whose files are all written, and drops their points.
    fn write_down(&mut self, chunks: &mut [Option<RecordFile>]) {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.waiting.retain_mut(|(chunk, files, made)| {
            if !names.get(files.clone()).is_some_and(|names| names.iter().all(Option::is_some)) {
                return true;
            }
            put_names(&mut made.node, &names);
            self.writer.tileset.journal().put(&name_of(*chunk), made);
            if let Some(file) = chunks[*chunk].take() {
                file.remove();
            }
            false
        });
    }

    /// The tree of `points`, which are sorted by code and all lie in one cell of `level`.
    fn node(&mut self, points: Vec<Coded>, level: u32) -> Result<TileNode, TileError> {
        if points.len() <= LEAF_POINTS || level >= CODE_BITS {
            let own = points.into_iter().map(|p| p.record).collect();
            return self.finished(own, level, Vec::new());
        }
        let mut own = Vec::new();
        let rest = self.sample(points, level, &mut own);
        let mut children = Vec::new();
        let shift = 3 * (CODE_BITS - level - 1);
        for octant in rest.chunk_by(|a, b| a.code >> shift == b.code >> shift) {
            if octant.len() < CHILD_POINTS {
                own.extend(octant.iter().map(|p| p.record));
            } else {
                children.push(octant.to_vec());
            }
        }
        drop(rest);
        let children =
            children.into_iter().map(|octant| self.node(octant, level + 1)).collect::<Result<Vec<_>, _>>()?;
        self.finished(own, level, children)
    }

    /// Moves one point of each cell of the grid of a node at `level` to `own`, the one nearest to the cell's middle;
    /// returns the others, still sorted.
    fn sample(&self, points: Vec<Coded>, level: u32, own: &mut Vec<Record>) -> Vec<Coded> {
        let grid = (level + GRID_BITS).min(CODE_BITS);
        let shift = 3 * (CODE_BITS - grid);
        let mut rest = Vec::with_capacity(points.len());
        for cell in points.chunk_by(|a, b| a.code >> shift == b.code >> shift) {
            let nearest =
                (0..cell.len()).min_by_key(|i| (self.cube.off_centre(cell[*i].record.at, grid), *i)).unwrap_or(0);
            own.push(cell[nearest].record);
            rest.extend_from_slice(&cell[..nearest]);
            rest.extend_from_slice(&cell[nearest + 1..]);
        }
        rest
    }

    /// A node with its own points on the way to disk.
    fn finished(&mut self, own: Vec<Record>, level: u32, children: Vec<TileNode>) -> Result<TileNode, TileError> {
        let extent = Extent::around(own.iter().map(|r| self.writer.place(r.at)));
        let spacing_m = self.cube.side(level + GRID_BITS) / UNITS_PER_M;
        let mut node = TileNode {
            extent,
            geometric_error_m: if children.is_empty() { 0.0 } else { spacing_m * ERROR_PER_SPACING },
            content: None,
            origin: if extent.is_empty() { self.writer.origin } else { extent.centre() },
            refine: Refine::Add,
            children,
            ..TileNode::default()
        };
        if !own.is_empty() {
            // The file's number stands in for its name until the file is written.
            node.content = Some(Content { file: self.sent.to_string(), bytes: 0 });
            let job = TileJob { number: self.sent, origin: node.origin, records: own };
            self.sent += 1;
            if self.jobs.send(job).is_err() {
                return Err(TileError::Spill("the threads that write tiles have ended".into()));
            }
        }
        Ok(node)
    }
}
