//! The spatial index of a layer: a tree for each of its parts, read when a question comes near it.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use glam::{DVec2, DVec3};
use rayon::prelude::*;

use super::tree::{BoxTree, HEAD_BYTES, entry, hilbert_order};
use crate::{
    model::Extent,
    store::{StoreError, open_file, read_bounded},
};

/// Bytes of trees that a layer holds at the same time: those of some twenty million objects.
const HELD_BYTES: usize = 256 << 20;
/// Largest file of a tree.
const MOST_BYTES: u64 = 1 << 30;

/// The index of a layer: boxes of rows, part by part.
#[derive(Debug)]
pub struct LayerIndex {
    parts: Vec<PartIndex>,
    /// Over the boxes of the parts.
    top: BoxTree,
    held: AtomicUsize,
}

/// The index of a part.
#[derive(Debug)]
pub(crate) struct PartIndex {
    /// The file of its rows.
    path: PathBuf,
    extent: Extent,
    /// Whether the tree can be read again.
    has_file: bool,
    blake3: Option<String>,
    tree: RwLock<Option<Arc<BoxTree>>>,
}

impl PartIndex {
    /// Of the rows in the file `path`, with its tree beside it.
    ///
    /// The tree has the hash `blake3`, where that is known.
    pub fn beside(path: PathBuf, blake3: Option<String>) -> Result<Self, StoreError> {
        let file = tree_of(&path);
        let mut head = Vec::with_capacity(HEAD_BYTES);
        open_file(&file)
            .and_then(|opened| opened.take(HEAD_BYTES as u64).read_to_end(&mut head))
            .map_err(StoreError::at(&file))?;
        let extent = BoxTree::extent_of(&head).ok_or_else(|| StoreError::damaged(&file, "not an index of boxes"))?;
        Ok(Self { path, extent, has_file: true, blake3, tree: RwLock::new(None) })
    }

    /// Of the boxes of the rows in the file `path`.
    pub fn made(path: PathBuf, boxes: &[Extent]) -> Self {
        let tree = BoxTree::new(boxes);
        Self { path, extent: *tree.extent(), has_file: false, blake3: None, tree: RwLock::new(Some(Arc::new(tree))) }
    }
}

/// The file of a part's tree.
pub(crate) fn tree_of(part: &Path) -> PathBuf {
    part.with_extension("tree")
}

/// Where a row stands: the number of its part, and its own.
pub type Place = (usize, u32);

impl LayerIndex {
    /// The index over boxes in any order, in parts along a Hilbert curve, with the order in which it holds them: a row of part
    /// `p` is box `order[p * PART_ROWS + row]`.
    pub fn packed(boxes: &[Extent]) -> (Self, Vec<u32>) {
        let order = hilbert_order(boxes);
        let parts = order.par_chunks(Self::PART_ROWS).enumerate().map(|(number, rows)| {
            let boxes: Vec<Extent> = rows.iter().map(|row| boxes[*row as usize]).collect();
            PartIndex::made(PathBuf::from(number.to_string()), &boxes)
        });
        (Self::new(parts.collect()), order)
    }

    /// Rows of a part that [`LayerIndex::packed`] makes.
    pub const PART_ROWS: usize = 32_768;

    /// The index over parts.
    pub(crate) fn new(parts: Vec<PartIndex>) -> Self {
        let boxes: Vec<Extent> = parts.iter().map(|part| part.extent).collect();
        Self { parts, top: BoxTree::new(&boxes), held: AtomicUsize::new(0) }
    }

    /// The file of a part's rows.
    pub(crate) fn path(&self, part: usize) -> &Path {
        &self.parts[part].path
    }

    fn tree(&self, part: usize) -> Result<Arc<BoxTree>, StoreError> {
        let part = &self.parts[part];
        if let Some(tree) = part.tree.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return Ok(tree.clone());
        }
        let file = tree_of(&part.path);
        let bytes = read_bounded(&file, MOST_BYTES)?;
        if part.blake3.as_ref().is_some_and(|hash| blake3::hash(&bytes).to_hex().as_str() != hash) {
            return Err(StoreError::damaged(&file, "its content is not what was written"));
        }
        let tree = BoxTree::from_bytes(&bytes).ok_or_else(|| StoreError::damaged(&file, "not an index of boxes"))?;
        if self.held.fetch_add(tree.bytes(), Ordering::Relaxed) > HELD_BYTES {
            self.held.store(tree.bytes(), Ordering::Relaxed);
            for other in self.parts.iter().filter(|other| other.has_file) {
                *other.tree.write().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
        let tree = Arc::new(tree);
        *part.tree.write().unwrap_or_else(PoisonError::into_inner) = Some(tree.clone());
        Ok(tree)
    }

    /// Rows whose boxes share a point with `wanted`, part by part.
    pub fn in_box(&self, wanted: &Extent) -> Result<Vec<(usize, Vec<u32>)>, StoreError> {
        let mut found: Vec<(usize, Vec<u32>)> = Vec::new();
        self.each_in_box(wanted, &mut |(part, row), _| match found.last_mut().filter(|(last, _)| *last == part) {
            Some((_, rows)) => rows.push(row),
            None => found.push((part, vec![row])),
        })?;
        Ok(found)
    }

    /// As [`LayerIndex::in_box`], one row after the other, each with whether it is sure that its true box is a hit.
    pub fn each_in_box(&self, wanted: &Extent, found: &mut impl FnMut(Place, bool)) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        self.top.each_in_box(wanted, &mut |part, _| {
            let part = part as usize;
            match self.tree(part) {
                Ok(tree) => tree.each_in_box(wanted, &mut |row, is_sure| found((part, row), is_sure)),
                Err(error) => outcome = Err(error),
            }
        });
        outcome
    }

    /// Bytes of the trees that are held.
    pub fn held_bytes(&self) -> usize {
        let held =
            |part: &PartIndex| part.tree.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|t| t.bytes());
        self.parts.iter().filter_map(held).sum()
    }

    /// Rows whose boxes the ray enters within `max_m`, part by part.
    pub fn on_ray(&self, origin: DVec3, direction: DVec3, max_m: f64) -> Result<Vec<(usize, Vec<u32>)>, StoreError> {
        let mut found = Vec::new();
        for (part, index) in self.parts.iter().enumerate() {
            let Extent { min, max } = index.extent;
            if entry(min, max, origin, direction.recip()).is_some_and(|t| t <= max_m) {
                let tree = self.tree(part)?;
                let mut rows: Vec<u32> = tree.on_ray(origin, direction, max_m).map(|(_, row)| row).collect();
                rows.sort_unstable();
                if !rows.is_empty() {
                    found.push((part, rows));
                }
            }
        }
        Ok(found)
    }

    /// Rows by a lower bound of their distance from `at`, nearest first; parts are read as they are come to.
    pub fn nearest(&self, at: DVec2, z: Option<f64>) -> Nearest<'_> {
        let mut open = BinaryHeap::with_capacity(64);
        if !self.top.extent().is_empty() {
            open.push(Reverse(Step::new(0.0, TOP, WHOLE, 0)));
        }
        Nearest { index: self, at, z, open, later: Vec::new(), bound: f32::INFINITY, trees: Vec::new() }
    }
}

/// Rows of all parts by a lower bound of their distance, nearest first.
///
/// What lies farther than one row certainly is waits in a list, and is sorted in only when more rows are wanted than that one.
#[derive(Debug)]
pub struct Nearest<'a> {
    index: &'a LayerIndex,
    at: DVec2,
    z: Option<f64>,
    open: BinaryHeap<Reverse<Step>>,
    later: Vec<Step>,
    /// No row that is not given yet is nearer than those in `later` if this is not above.
    bound: f32,
    /// Trees of the parts that were come to.
    trees: Vec<(u32, Arc<BoxTree>)>,
}

/// What is still to be looked at, in two numbers that sort: distance and whether it is a row; and its part (or `TOP`, the tree over
/// the parts, whose rows are the parts), how many levels above the rows it is (`WHOLE`: a whole tree; 0: a row), and its number.
/// Rows come last among equals, so that none of a part behind them comes too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    order: u64,
    what: u64,
}

/// Parts of a layer, at most.
const TOP: u32 = (1 << 26) - 1;
/// Levels of a tree, at most.
const WHOLE: u8 = (1 << 6) - 1;

impl Step {
    /// `distance` is not negative and no NaN, so its bits sort as it does.
    fn new(distance: f32, part: u32, above: u8, index: u32) -> Self {
        let is_row = above == 0 && part != TOP;
        Self {
            order: u64::from(distance.to_bits()) << 1 | u64::from(is_row),
            what: u64::from(part) << 38 | u64::from(above) << 32 | u64::from(index),
        }
    }

    fn distance(self) -> f32 {
        f32::from_bits((self.order >> 1) as u32)
    }

    fn is_row(self) -> bool {
        self.order & 1 == 1
    }

    fn part(self) -> u32 {
        (self.what >> 38) as u32
    }

    fn above(self) -> u8 {
        (self.what >> 32) as u8 & WHOLE
    }

    fn index(self) -> u32 {
        self.what as u32
    }
}

impl Nearest<'_> {
    /// The next row and its bound, when that is not above `most`, which must not become larger from call to call.
    pub fn next_within(&mut self, most: f64) -> Result<Option<(f64, Place)>, StoreError> {
        loop {
            let first = self.open.peek().map(|Reverse(step)| *step);
            let Some(step) = first.filter(|step| step.distance() <= self.bound) else {
                // Nothing is left that is sure to come before what waits.
                if self.later.is_empty() && self.bound.is_infinite() {
                    return Ok(None);
                }
                self.bound = f32::INFINITY;
                self.open.extend(self.later.drain(..).map(Reverse));
                continue;
            };
            if f64::from(step.distance()) > most {
                return Ok(None);
            }
            self.open.pop();
            if step.is_row() {
                return Ok(Some((f64::from(step.distance()), (step.part() as usize, step.index()))));
            }
            self.open(step, most)?;
        }
    }

    /// Puts what is just below a node into its place.
    fn open(&mut self, step: Step, most: f64) -> Result<(), StoreError> {
        let node = (step.above() != WHOLE).then_some((step.above(), step.index()));
        let part = step.part();
        let opened = if part == TOP {
            self.index.top.open(node, self.at, self.z)
        } else {
            let known = self.trees.iter().position(|(known, _)| *known == part);
            let place = match known {
                Some(place) => place,
                None => {
                    self.trees.push((part, self.index.tree(part as usize)?));
                    self.trees.len() - 1
                }
            };
            self.trees[place].1.open(node, self.at, self.z)
        };
        let Some((above, first, reach)) = opened else { return Ok(()) };
        self.bound = self.bound.min(reach.far);
        for (child, near) in (0..).zip(reach.near) {
            // `most` never grows from call to call, so what lies beyond it is never asked for again.
            if f64::from(near) > most || near.is_infinite() {
                continue;
            }
            let step = match (part, above) {
                (TOP, 0) => Step::new(near, first + child, WHOLE, 0),
                _ => Step::new(near, part, above, first + child),
            };
            if near <= self.bound { self.open.push(Reverse(step)) } else { self.later.push(step) }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_asked_as_one() {
        // Four parts of a hundred boxes each, side by side, one of them from its file.
        let boxes = |part: u32| -> Vec<Extent> {
            (0..100)
                .map(|i| {
                    let min = DVec3::new(f64::from(part * 100 + i % 10 * 10), f64::from(i / 10 * 10), 0.0);
                    Extent { min, max: min + DVec3::splat(4.0) }
                })
                .collect()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p2.parquet");
        std::fs::write(tree_of(&path), BoxTree::new(&boxes(2)).to_bytes()).unwrap();
        let parts = (0..4).map(|part| match part {
            2 => PartIndex::beside(path.clone(), None).unwrap(),
            _ => PartIndex::made(PathBuf::from(format!("p{part}")), &boxes(part)),
        });
        let index = LayerIndex::new(parts.collect());
        assert_eq!(index.path(2), path);
        let wanted = Extent { min: DVec3::new(195.0, 0.0, 0.0), max: DVec3::new(211.0, 3.0, 9.0) };
        assert_eq!(index.in_box(&wanted).unwrap(), [(2, vec![0, 1])]);
        let ray = index.on_ray(DVec3::new(-5.0, 2.0, 2.0), DVec3::X, 150.0).unwrap();
        assert_eq!(ray, [(0, (0..10).collect::<Vec<_>>()), (1, (0..5).collect())]);
        let mut nearest = index.nearest(DVec2::new(202.0, 2.0), None);
        let mut found = Vec::new();
        while let Some((distance, (part, row))) = nearest.next_within(120.0).unwrap() {
            let extent = boxes(part as u32)[row as usize];
            let at = DVec3::new(202.0, 2.0, 0.0);
            let exact = (extent.min - at).max(at - extent.max).max(DVec3::ZERO).truncate().length();
            assert!(distance <= exact + 1e-9 && exact - distance < 0.01);
            found.push(distance);
        }
        assert!(found.windows(2).all(|pair| pair[0] <= pair[1] + 0.01), "but for a step of the trees");
        let all = (0..4).flat_map(boxes).filter(|b| {
            let at = DVec3::new(202.0, 2.0, 0.0);
            (b.min - at).max(at - b.max).max(DVec3::ZERO).truncate().length() <= 120.0
        });
        assert_eq!(found.len(), all.count());
        std::fs::write(tree_of(&path), b"GLTREE01").unwrap();
        assert!(PartIndex::beside(path.clone(), None).is_err());
        assert!(index.in_box(&wanted).is_ok(), "what was read is held");
    }
}
