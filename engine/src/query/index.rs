//! The spatial index of a layer: a tree for each of its parts, read when a question comes near it.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use glam::{DVec2, DVec3};
use rayon::prelude::*;

use super::{
    box_search::Waiting,
    nearest::Nearest,
    tree::{BoxTree, entry, hilbert_order},
    tree_file::HEAD_BYTES,
};
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
    /// Over the boxes of the blocks of all parts.
    top: BoxTree,
    /// Part and number of each block.
    blocks: Vec<(u32, u32)>,
    held: RwLock<Arc<Held>>,
    /// Bytes of trees that are held at the same time, but for what the last of them takes.
    most_held: usize,
}

/// Trees that were read, by the number of their part. When they are too many, new ones take their place as a whole: a question
/// that is being answered keeps those that it has.
#[derive(Debug, Default)]
pub(super) struct Held {
    trees: Vec<OnceLock<Arc<BoxTree>>>,
    bytes: AtomicUsize,
}

/// The index of a part.
#[derive(Debug)]
pub(crate) struct PartIndex {
    /// The file of its rows.
    path: PathBuf,
    extent: Extent,
    /// Boxes of its blocks, until the layer's tree has them.
    blocks: Vec<Extent>,
    block_count: usize,
    blake3: Option<String>,
    /// The tree, where there is no file to read it from.
    made: Option<BoxTree>,
}

impl PartIndex {
    /// Of the rows in the file `path`, with its tree beside it; `None` where the tree is of another format, as another release
    /// writes it.
    ///
    /// The tree has the hash `blake3`, where that is known.
    pub fn beside(path: &Path, blake3: Option<String>) -> Result<Option<Self>, StoreError> {
        let file = tree_of(path);
        let (mut opened, mut bytes) = (open_file(&file).map_err(StoreError::at(&file))?, Vec::new());
        let mut read = |bytes: &mut Vec<u8>, count: usize| {
            opened.by_ref().take(count as u64).read_to_end(bytes).map_err(StoreError::at(&file))
        };
        read(&mut bytes, HEAD_BYTES)?;
        if BoxTree::is_of_other_format(&bytes) {
            return Ok(None);
        }
        if let Some(all) = BoxTree::outline_bytes(&bytes) {
            read(&mut bytes, all - HEAD_BYTES)?;
        }
        let outline = BoxTree::outline(&bytes).ok_or_else(|| StoreError::damaged(&file, "not an index of boxes"))?;
        Ok(Some(Self {
            path: path.to_path_buf(),
            extent: outline.extent,
            block_count: outline.blocks.len(),
            blocks: outline.blocks,
            blake3,
            made: None,
        }))
    }

    /// Of the boxes of the rows in the file `path`.
    pub fn made(path: &Path, boxes: &[Extent]) -> Self {
        let tree = BoxTree::new(boxes);
        let (extent, blocks) = (*tree.extent(), tree.blocks());
        let (path, block_count) = (path.to_path_buf(), blocks.len());
        Self { path, extent, blocks, block_count, blake3: None, made: Some(tree) }
    }
}

impl Held {
    fn new(parts: usize) -> Arc<Self> {
        Arc::new(Self { trees: vec![OnceLock::new(); parts], bytes: AtomicUsize::new(0) })
    }
}

/// The tree of a part.
#[derive(Debug)]
pub(super) enum Tree<'a> {
    Made(&'a BoxTree),
    Held(Arc<BoxTree>),
}

impl std::ops::Deref for Tree<'_> {
    type Target = BoxTree;

    #[inline]
    fn deref(&self) -> &BoxTree {
        match self {
            Self::Made(tree) => tree,
            Self::Held(tree) => tree,
        }
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
            PartIndex::made(Path::new(&number.to_string()), &boxes)
        });
        (Self::new(parts.collect()), order)
    }

    /// Rows of a part that [`LayerIndex::packed`] makes.
    pub const PART_ROWS: usize = 32_768;

    /// The index over parts.
    pub(crate) fn new(mut parts: Vec<PartIndex>) -> Self {
        let (mut blocks, mut boxes) = (Vec::new(), Vec::new());
        for (part, number) in parts.iter_mut().zip(0..) {
            blocks.extend((0..part.blocks.len() as u32).map(|block| (number, block)));
            boxes.append(&mut part.blocks);
        }
        Self {
            top: BoxTree::new(&boxes),
            blocks,
            held: RwLock::new(Held::new(parts.len())),
            most_held: HELD_BYTES,
            parts,
        }
    }

    /// The file of a part's rows.
    pub(crate) fn path(&self, part: usize) -> &Path {
        &self.parts[part].path
    }

    /// The tree of a part; `held` is what the question came to already.
    #[inline]
    pub(super) fn tree<'a>(&'a self, part: usize, held: &'a mut Option<Arc<Held>>) -> Result<&'a BoxTree, StoreError> {
        match &self.parts[part].made {
            Some(tree) => Ok(tree),
            None => Ok(self.held_tree(part, held)?),
        }
    }

    fn held_tree<'a>(&self, part: usize, held: &'a mut Option<Arc<Held>>) -> Result<&'a Arc<BoxTree>, StoreError> {
        let known = held.take().filter(|held| held.trees[part].get().is_some());
        let known = known.map_or_else(|| self.read(part), Ok)?;
        held.insert(known).trees[part]
            .get()
            .ok_or_else(|| StoreError::damaged(&self.parts[part].path, "no index of boxes"))
    }

    /// What is held, with the tree of a part.
    fn read(&self, number: usize) -> Result<Arc<Held>, StoreError> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner).clone();
        if held.trees[number].get().is_some() {
            return Ok(held);
        }
        let part = &self.parts[number];
        let file = tree_of(&part.path);
        let bytes = read_bounded(&file, MOST_BYTES)?;
        if part.blake3.as_ref().is_some_and(|hash| blake3::hash(&bytes).to_hex().as_str() != hash) {
            return Err(StoreError::damaged(&file, "its content is not what was written"));
        }
        let tree = BoxTree::from_bytes(&bytes).filter(|tree| tree.block_count() == part.block_count);
        let tree = tree.ok_or_else(|| StoreError::damaged(&file, "not an index of boxes"))?;
        let held = match held.bytes.load(Ordering::Relaxed) > self.most_held {
            true => {
                let new = Held::new(self.parts.len());
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = new.clone();
                new
            }
            false => held,
        };
        held.bytes.fetch_add(tree.bytes(), Ordering::Relaxed);
        // Another question may have read it too.
        _ = held.trees[number].set(Arc::new(tree));
        Ok(held)
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
        let mut asked =
            Asked { index: self, wanted, found, held: None, part: 0, blocks: Waiting::new(), outcome: Ok(()) };
        self.top.each_in_box(wanted, &mut |block, _| asked.add(block));
        asked.open_blocks();
        asked.outcome
    }

    /// Bytes of the trees that are held.
    pub fn held_bytes(&self) -> usize {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let made: usize = self.parts.iter().filter_map(|part| Some(part.made.as_ref()?.bytes())).sum();
        made + held.bytes.load(Ordering::Relaxed)
    }

    /// Rows whose boxes the ray enters within `max_m`, with a lower bound of where it does, first entered first.
    pub fn on_ray(&self, origin: DVec3, direction: DVec3, max_m: f64) -> Result<Vec<(f64, Place)>, StoreError> {
        let (mut found, mut held) = (Vec::new(), None);
        for (part, index) in self.parts.iter().enumerate() {
            let Extent { min, max } = index.extent;
            if entry(min, max, origin, direction.recip()).is_some_and(|t| t <= max_m) {
                let tree = self.tree(part, &mut held)?;
                found.extend(tree.on_ray(origin, direction, max_m).map(|(enters, row)| (enters, (part, row))));
            }
        }
        found.sort_by(|(a, a_place), (b, b_place)| a.total_cmp(b).then(a_place.cmp(b_place)));
        Ok(found)
    }

    /// Rows by a lower bound of their distance from `at`, nearest first; parts are read as they are come to.
    pub fn nearest(&self, at: DVec2, z: Option<f64>) -> Nearest<'_> {
        Nearest::new(self, at, z)
    }

    /// The tree of a part, for as long as it is wanted.
    pub(super) fn lasting_tree(&self, part: usize) -> Result<Tree<'_>, StoreError> {
        match &self.parts[part].made {
            Some(tree) => Ok(Tree::Made(tree)),
            None => Ok(Tree::Held(self.held_tree(part, &mut None)?.clone())),
        }
    }

    /// The tree over the boxes of all blocks.
    pub(super) fn top(&self) -> &BoxTree {
        &self.top
    }

    /// Part and number of a block.
    pub(super) fn block(&self, number: u32) -> (u32, u32) {
        self.blocks[number as usize]
    }
}

/// A question for a box on its way through the parts.
struct Asked<'a, F> {
    index: &'a LayerIndex,
    wanted: &'a Extent,
    found: &'a mut F,
    held: Option<Arc<Held>>,
    /// The part that the blocks are of.
    part: u32,
    blocks: Waiting,
    outcome: Result<(), StoreError>,
}

impl<F: FnMut(Place, bool)> Asked<'_, F> {
    #[inline(always)]
    fn add(&mut self, block: u32) {
        let (part, block) = self.index.blocks[block as usize];
        if part != self.part {
            self.open_blocks();
            self.part = part;
        }
        if self.blocks.add(block) {
            self.open_blocks();
        }
    }

    fn open_blocks(&mut self) {
        let (part, blocks) = (self.part as usize, self.blocks.take());
        if blocks.is_empty() {
            return;
        }
        match self.index.tree(part, &mut self.held) {
            Ok(tree) => {
                tree.each_in_blocks(self.wanted, blocks, &mut |row, is_sure| (self.found)((part, row), is_sure))
            }
            Err(error) => self.outcome = Err(error),
        }
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
            2 => PartIndex::beside(&path, None).unwrap().unwrap(),
            _ => PartIndex::made(Path::new(&format!("p{part}")), &boxes(part)),
        });
        let index = LayerIndex::new(parts.collect());
        assert_eq!(index.path(2), path);
        let wanted = Extent { min: DVec3::new(195.0, 0.0, 0.0), max: DVec3::new(211.0, 3.0, 9.0) };
        assert_eq!(index.in_box(&wanted).unwrap(), [(2, vec![0, 1])]);
        let ray = index.on_ray(DVec3::new(-5.0, 2.0, 2.0), DVec3::X, 150.0).unwrap();
        let places: Vec<Place> = ray.iter().map(|(_, place)| *place).collect();
        assert_eq!(places, (0..10).map(|row| (0, row)).chain((0..5).map(|row| (1, row))).collect::<Vec<_>>());
        let enters = |(part, row): Place| boxes(part as u32)[row as usize].min.x + 5.0;
        assert!(ray.iter().all(|(bound, place)| (enters(*place) - 0.01..=enters(*place)).contains(bound)), "{ray:?}");
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
        std::fs::write(tree_of(&path), b"GLTREE02").unwrap();
        assert!(PartIndex::beside(&path, None).is_err());
        assert!(index.in_box(&wanted).is_ok(), "what was read is held");
    }

    /// Nine parts of 900 boxes side by side in files, and the boxes.
    fn in_files(folder: &Path) -> (LayerIndex, Vec<Vec<Extent>>) {
        let boxes: Vec<Vec<Extent>> = (0..9)
            .map(|part| {
                let place =
                    |i: u32| DVec3::new(f64::from(part * 100 + i % 30), f64::from(i / 30), f64::from(i % 7)) * 10.0;
                (0..900)
                    .map(|i| Extent { min: place(i), max: place(i) + DVec3::splat(f64::from(i % 4) * 5.0) })
                    .collect()
            })
            .collect();
        let parts = boxes.iter().enumerate().map(|(number, boxes)| {
            let path = folder.join(format!("p{number}.parquet"));
            std::fs::write(tree_of(&path), BoxTree::new(boxes).to_bytes()).unwrap();
            PartIndex::beside(&path, None).unwrap().unwrap()
        });
        (LayerIndex::new(parts.collect()), boxes)
    }

    fn truth(boxes: &[Vec<Extent>], wanted: &Extent) -> Vec<Place> {
        let all =
            boxes.iter().enumerate().flat_map(|(part, boxes)| (0..).zip(boxes).map(move |(row, b)| ((part, row), b)));
        all.filter(|(_, extent)| extent.overlaps(wanted)).map(|(place, _)| place).collect()
    }

    #[test]
    fn a_layer_is_asked_as_each_of_its_boxes_would_be() {
        let folder = tempfile::tempdir().unwrap();
        let (mut index, boxes) = in_files(folder.path());
        // With room for two parts, those that were read first are read again.
        for most_held in [HELD_BYTES, 2 * 900 * 12] {
            (index.most_held, index.held) = (most_held, RwLock::new(Held::new(9)));
            for step in 0..60 {
                let low =
                    DVec3::new(f64::from(step) * 150.0 - 90.0, f64::from(step % 9) * 30.0, f64::from(step % 5) * 15.0);
                let side = [1.0, 200.0, 20_000.0][step as usize % 3];
                let high = low + DVec3::new(side, side, if step % 2 == 0 { 12.5 } else { f64::INFINITY });
                let wanted = Extent { min: low, max: high };
                let mut found = Vec::new();
                index
                    .each_in_box(&wanted, &mut |(part, row), is_sure| {
                        let is_hit = boxes[part][row as usize].overlaps(&wanted);
                        assert!(is_hit || !is_sure, "what is sure is true");
                        found.extend(is_hit.then_some((part, row)));
                    })
                    .unwrap();
                assert_eq!(found, truth(&boxes, &wanted), "in the order of rows");
                assert!(index.held_bytes() <= most_held + 20_000);
            }
        }
        std::fs::remove_file(folder.path().join("p4.tree")).unwrap();
        index.held = RwLock::new(Held::new(9));
        let within = |part: usize| index.in_box(&Extent { min: boxes[part][0].min, max: boxes[part][0].min });
        assert!(within(3).is_ok() && within(4).is_err());
    }

    #[test]
    fn the_file_of_another_release_is_not_read_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.parquet");
        let boxes: Vec<Extent> = in_files(folder.path()).1.into_iter().flatten().collect();
        let bytes = BoxTree::new(&boxes).to_bytes();
        let beside = |bytes: &[u8]| {
            std::fs::write(tree_of(&path), bytes).unwrap();
            PartIndex::beside(&path, None)
        };
        assert!(beside(&bytes).unwrap().is_some());
        for format in [b"GLTREE01", b"GLTREE03"] {
            assert!(beside(&[format, &bytes[8..]].concat()).unwrap().is_none());
        }
        // Magic, count, extent, the last upper node; and what is not whole.
        for at in [0, 9, 20, HEAD_BYTES + 2 * 192 - 1] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(beside(&bytes).is_err(), "byte {at}");
        }
        for cut in [0, 8, HEAD_BYTES, HEAD_BYTES + 191] {
            assert!(beside(&bytes[..cut]).is_err(), "{cut} bytes");
        }
    }
}
