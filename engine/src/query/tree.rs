//! A packed tree of boxes.

use std::{cmp::Ordering, collections::BinaryHeap};

use glam::{DVec2, DVec3};
use rayon::prelude::*;

use super::{
    box_search::Search,
    grid::Grid,
    node::{Asked, Key, Keys, NODE},
    nodes::{Nodes, Spots, Wanted},
};
use crate::{model::Extent, tile::hilbert};

/// Levels of nodes above so many boxes as a number of 32 bits can count.
const MOST_LEVELS: usize = 8;

/// How far along a ray it enters a box (0 when it starts inside), by the slab test; `inverse` is 1 / direction.
/// A ray that runs exactly in a face counts as entering.
pub(crate) fn entry(min: DVec3, max: DVec3, origin: DVec3, inverse: DVec3) -> Option<f64> {
    let (mut enter, mut leave) = (0.0f64, f64::INFINITY);
    for i in 0..3 {
        let (a, b) = ((min[i] - origin[i]) * inverse[i], (max[i] - origin[i]) * inverse[i]);
        // 0 · ∞ is NaN: the ray runs in the plane of a face, which limits nothing.
        let (near, far) = if a.is_nan() || b.is_nan() { (0.0, f64::INFINITY) } else { (a.min(b), a.max(b)) };
        enter = enter.max(near);
        leave = leave.min(far);
    }
    (enter <= leave && min.x <= max.x).then_some(enter)
}

/// Distance from a place to a box; in plan when z is absent.
fn distance(at: DVec2, z: Option<f64>, (min, max): (DVec3, DVec3)) -> f64 {
    let gap = |v: f64, low: f64, high: f64| (low - v).max(v - high).max(0.0);
    let up = z.map_or(0.0, |z| gap(z, min.z, max.z));
    DVec3::new(gap(at.x, min.x, max.x), gap(at.y, min.y, max.y), up).length()
}

/// A static tree of boxes, packed in the order in which they are given: rows of a layer's part, which lie along a Hilbert
/// curve. 12 bytes a box and a fifteenth of that for the nodes above.
///
/// Boxes are kept in cells of a 65 530th of the box around them all, so the answers hold every true hit and may hold boxes that
/// miss by less than a cell: compare with the true box where that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxTree {
    pub(super) count: usize,
    pub(super) extent: Extent,
    pub(super) grid: Grid,
    /// The number of the first node of each level; level 0 has the boxes for children. The root comes first.
    pub(super) firsts: [usize; MOST_LEVELS],
    pub(super) levels: usize,
    /// From level 1 on upwards.
    pub(super) upper: Nodes,
    pub(super) leaves: Nodes,
}

/// How many nodes each level has, from the boxes up: at least two levels, the upper one a single node.
pub(super) fn level_sizes(count: usize) -> Vec<usize> {
    let mut sizes = vec![count.div_ceil(NODE).max(1)];
    while sizes.len() < 2 || sizes.last().is_some_and(|nodes| *nodes > 1) {
        sizes.push(sizes[sizes.len() - 1].div_ceil(NODE));
    }
    sizes
}

impl BoxTree {
    /// The tree over `boxes`; empty ones are never found.
    pub fn new(boxes: &[Extent]) -> Self {
        let extent = around(boxes);
        let mut tree = Self::without_nodes(boxes.len(), extent, Grid::of(&extent));
        let sizes = level_sizes(boxes.len());
        (tree.leaves, tree.upper) = (Nodes::absent(sizes[0]), Nodes::absent(sizes[1..].iter().sum()));
        for (number, extent) in boxes.iter().enumerate().filter(|(_, extent)| !extent.is_empty()) {
            let spans = [0, 1, 2].map(|axis| tree.grid.span(axis, extent));
            tree.leaves.set(number / NODE, number % NODE, spans);
        }
        for level in 1..tree.levels {
            for number in 0..sizes[level - 1] {
                let spans = match level {
                    1 => tree.leaves.around(number),
                    _ => tree.upper.around(tree.at(level - 1, number)),
                };
                tree.upper.set(tree.at(level, number / NODE), number % NODE, spans);
            }
        }
        tree
    }

    pub(super) fn without_nodes(count: usize, extent: Extent, grid: Grid) -> Self {
        let sizes = level_sizes(count);
        let mut firsts = [0; MOST_LEVELS];
        for level in (1..sizes.len() - 1).rev() {
            firsts[level] = firsts[level + 1] + sizes[level + 1];
        }
        Self { count, extent, grid, firsts, levels: sizes.len(), upper: Nodes::default(), leaves: Nodes::default() }
    }

    /// Which of the upper nodes it is; the root comes first.
    #[inline(always)]
    pub(super) fn at(&self, level: usize, number: usize) -> usize {
        self.firsts[level] + number
    }

    #[inline(always)]
    pub(super) fn node(&self, level: usize, number: usize) -> (&Nodes, usize) {
        if level == 0 { (&self.leaves, number) } else { (&self.upper, self.at(level, number)) }
    }

    /// The tree over boxes in any order, with the order along a Hilbert curve in which it holds them: number `i` of its
    /// answers is box `order[i]`.
    pub fn packed(boxes: &[Extent]) -> (Self, Vec<u32>) {
        let order = hilbert_order(boxes);
        let sorted: Vec<Extent> = order.iter().map(|number| boxes[*number as usize]).collect();
        (Self::new(&sorted), order)
    }

    /// How many boxes it holds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The box around all.
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        (self.upper.len() + self.leaves.len()) * Nodes::BYTES
    }

    /// Numbers of the boxes that share a point with `wanted`, ascending. Infinite sides are allowed.
    pub fn in_box(&self, wanted: &Extent) -> Vec<u32> {
        let mut found = Vec::new();
        self.each_in_box(wanted, &mut |number, _| found.push(number));
        found
    }

    /// As [`BoxTree::in_box`], one number after the other, each with whether it is sure that the true box is a hit; else what
    /// lies in one cell decides.
    #[inline]
    pub fn each_in_box(&self, wanted: &Extent, found: &mut impl FnMut(u32, bool)) {
        if let Some(wanted) = self.wanted(wanted) {
            Search::new(self, wanted, found).whole();
        }
    }

    /// As [`BoxTree::each_in_box`], below these nodes of level 1.
    #[inline]
    pub(super) fn each_in_blocks(&self, wanted: &Extent, blocks: &[u32], found: &mut impl FnMut(u32, bool)) {
        if let Some(wanted) = self.wanted(wanted) {
            Search::new(self, wanted, found).within(blocks);
        }
    }

    #[inline(always)]
    fn wanted(&self, wanted: &Extent) -> Option<Wanted> {
        if wanted.is_empty() || !self.extent.overlaps(wanted) {
            return None;
        }
        let asked = |axis| Asked::new(self.grid.span(axis, wanted));
        let is_flat = wanted.min.z <= self.extent.min.z && wanted.max.z >= self.extent.max.z;
        Some(Wanted { plan: [asked(0), asked(1)], height: (!is_flat).then(|| asked(2)) })
    }

    /// (distance, number) of the boxes that the ray enters, by distance, then by number. `direction` is of length 1.
    pub fn on_ray(&self, origin: DVec3, direction: DVec3, max_m: f64) -> impl Iterator<Item = (f64, u32)> + '_ {
        let inverse = direction.recip();
        self.by_distance(move |corners| entry(corners.0, corners.1, origin, inverse).filter(|t| *t <= max_m))
    }

    /// Boxes by distance from `at`, nearest first: a lower bound of the true distance and the number.
    pub fn nearest(&self, at: DVec2, z: Option<f64>) -> impl Iterator<Item = (f64, u32)> + '_ {
        self.by_distance(move |corners| Some(distance(at, z, corners)))
    }

    /// A place as [`BoxTree::keys`] wants it.
    #[inline]
    pub(super) fn spots(&self, at: DVec2, z: Option<f64>) -> Spots {
        Spots { plan: [self.grid.spot(0, at.x), self.grid.spot(1, at.y)], height: z.map(|z| self.grid.spot(2, z)) }
    }

    /// How many levels of nodes it has.
    pub(super) fn levels(&self) -> usize {
        self.levels
    }

    /// How far the children of a node are.
    #[inline(always)]
    pub(super) fn keys(&self, level: usize, number: usize, spots: &Spots) -> Keys {
        let (nodes, node) = self.node(level, number);
        nodes.keys(node, spots)
    }

    /// Whether there is a child of this key; what is no box has one too.
    #[inline(always)]
    pub(super) fn has(&self, level: usize, number: usize, key: Key) -> bool {
        let (nodes, node) = self.node(level, number);
        nodes.has(node, key.child() as usize)
    }

    /// Corners of a box that is not smaller than a child of a node; `None` where there is none.
    fn corners(&self, level: usize, number: usize, child: usize) -> Option<(DVec3, DVec3)> {
        let (nodes, node) = self.node(level, number);
        Some(self.grid.corners(nodes.get(node, child)?))
    }

    /// How many nodes of level 1 it has.
    pub(super) fn block_count(&self) -> usize {
        level_sizes(self.count)[1]
    }

    /// The boxes of the nodes of level 1.
    pub(super) fn blocks(&self) -> Vec<Extent> {
        if self.levels == 2 {
            return vec![self.extent];
        }
        let corners = (0..self.block_count()).map(|block| self.corners(2, block / NODE, block % NODE));
        corners.map(|corners| corners.map_or(Extent::EMPTY, |(min, max)| Extent { min, max })).collect()
    }

    /// Boxes by what `distance` says of their corners, which must not be less for a box than for one around it.
    fn by_distance<'a>(
        &'a self,
        distance: impl Fn((DVec3, DVec3)) -> Option<f64> + 'a,
    ) -> impl Iterator<Item = (f64, u32)> + 'a {
        let mut open = BinaryHeap::new();
        if !self.extent.is_empty() {
            open.push(Step { distance: 0.0, level: self.levels, index: 0 });
        }
        std::iter::from_fn(move || {
            loop {
                let step = open.pop()?;
                let Some(level) = step.level.checked_sub(1) else {
                    return Some((step.distance, step.index as u32));
                };
                for child in 0..NODE {
                    if let Some(distance) = self.corners(level, step.index, child).and_then(&distance) {
                        open.push(Step { distance, level, index: step.index * NODE + child });
                    }
                }
            }
        })
    }
}

/// The numbers of boxes along a Hilbert curve.
pub(crate) fn hilbert_order(boxes: &[Extent]) -> Vec<u32> {
    let whole = around(boxes);
    // The curve counts in metres over ±2²⁶; whatever the unit, the boxes are spread over half of that.
    let scale = (1u64 << 26) as f64 / whole.size().truncate().max_element().max(f64::MIN_POSITIVE);
    let curve = |b: &Extent| hilbert((b.centre() - whole.centre()).truncate() * scale);
    let mut order: Vec<(u64, u32)> = boxes
        .par_iter()
        .enumerate()
        .map(|(number, b)| (if b.is_empty() { 0 } else { curve(b) }, number as u32))
        .collect();
    order.par_sort_unstable();
    order.into_iter().map(|(_, number)| number).collect()
}

fn around(boxes: &[Extent]) -> Extent {
    boxes.iter().filter(|b| !b.is_empty()).fold(Extent::EMPTY, |mut whole, b| {
        whole.merge(b);
        whole
    })
}

/// A node or item still to be looked at; the nearest is the greatest.
#[derive(Debug)]
struct Step {
    distance: f64,
    /// 0 for an item.
    level: usize,
    index: usize,
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        // Nodes are opened before items of the same distance, so that items come in the order of their numbers.
        let by_distance = other.distance.total_cmp(&self.distance);
        by_distance.then(self.level.cmp(&other.level)).then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Step {}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A small generator of repeatable numbers (xorshift64*).
    pub struct Dice(pub u64);

    impl Dice {
        fn roll(&mut self, most: f64) -> f64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64 * most
        }

        fn place(&mut self) -> DVec3 {
            DVec3::new(40_500_000.0 + self.roll(10_000.0), 4_000_000.0 + self.roll(10_000.0), self.roll(200.0) - 50.0)
        }

        pub fn boxes(&mut self, n: usize) -> Vec<Extent> {
            let mut boxes: Vec<Extent> = (0..n)
                .map(|i| {
                    let min = self.place();
                    let size = DVec3::new(self.roll(60.0), self.roll(60.0), self.roll(30.0));
                    if i % 97 == 5 { Extent::EMPTY } else { Extent { min, max: min + size } }
                })
                .collect();
            boxes.sort_by_key(|b| crate::tile::hilbert(b.centre().truncate()));
            boxes
        }
    }

    fn distance(extent: &Extent, at: DVec3) -> f64 {
        (extent.min - at).max(at - extent.max).max(DVec3::ZERO).length()
    }

    #[test]
    fn boxes_in_any_order_are_found_by_their_numbers() {
        let mut dice = Dice(7);
        let mut boxes = dice.boxes(3000);
        boxes.reverse();
        let (tree, order) = BoxTree::packed(&boxes);
        let wanted = boxes[1234];
        let found: Vec<u32> = tree.in_box(&wanted).into_iter().map(|i| order[i as usize]).collect();
        assert!(found.contains(&1234));
        assert!(found.iter().all(|i| distance(&boxes[*i as usize], wanted.centre()) <= wanted.size().length()));
        assert_eq!(BoxTree::packed(&[]).0.len(), 0);
    }

    #[test]
    fn boxes_are_found_as_by_looking_at_each() {
        let mut dice = Dice(42);
        for n in [0, 1, 15, 16, 17, 5000] {
            let boxes = dice.boxes(n);
            let tree = BoxTree::new(&boxes);
            for _ in 0..50 {
                let min = dice.place();
                let wanted = Extent { min, max: min + DVec3::new(dice.roll(900.0), dice.roll(900.0), 40.0) };
                let truth: Vec<u32> = (0..n as u32)
                    .filter(|i| !boxes[*i as usize].is_empty() && boxes[*i as usize].overlaps(&wanted))
                    .collect();
                let mut found = tree.in_box(&wanted);
                tree.each_in_box(&wanted, &mut |number, is_sure| {
                    assert!(!is_sure || boxes[number as usize].overlaps(&wanted), "what is sure is true");
                });
                assert!(found.len() <= truth.len() + 2, "few more than the true ones");
                found.retain(|i| boxes[*i as usize].overlaps(&wanted));
                assert_eq!(found, truth);
            }
        }
    }

    #[test]
    fn the_nearest_come_first_and_none_is_missed() {
        let mut dice = Dice(7);
        let boxes = dice.boxes(3000);
        let tree = BoxTree::new(&boxes);
        for _ in 0..40 {
            let at = dice.place();
            let mut truth: Vec<f64> = boxes.iter().filter(|b| !b.is_empty()).map(|b| distance(b, at)).collect();
            truth.sort_by(f64::total_cmp);
            let found: Vec<(f64, u32)> = tree.nearest(at.truncate(), Some(at.z)).take(50).collect();
            for (i, (bound, number)) in found.iter().enumerate() {
                let exact = distance(&boxes[*number as usize], at);
                // A step of the tree is a sixth of a metre here.
                assert!(*bound <= exact + 1e-9 && exact - bound < 0.5, "a lower bound, and close");
                assert!((exact - truth[i]).abs() < 0.5);
            }
            assert_eq!(tree.nearest(at.truncate(), None).count(), truth.len());
        }
    }

    #[test]
    fn rays_hit_what_each_box_says() {
        let mut dice = Dice(99);
        let boxes = dice.boxes(3000);
        let tree = BoxTree::new(&boxes);
        for i in 0..60 {
            let (origin, target) = (dice.place(), dice.place());
            let direction = if i % 3 == 0 { DVec3::X } else { (target - origin).normalize() };
            let inverse = direction.recip();
            let truth: Vec<u32> = (0..boxes.len() as u32)
                .filter(|b| {
                    let b = &boxes[*b as usize];
                    entry(b.min, b.max, origin, inverse).is_some_and(|t| t <= 5000.0)
                })
                .collect();
            let found: Vec<(f64, u32)> = tree.on_ray(origin, direction, 5000.0).collect();
            assert!(found.windows(2).all(|w| w[0].0 <= w[1].0));
            let mut numbers: Vec<u32> = found.iter().map(|f| f.1).collect();
            numbers.sort_unstable();
            assert!(truth.iter().all(|t| numbers.binary_search(t).is_ok()));
            assert!(numbers.len() <= truth.len() + 2);
        }
    }
}
