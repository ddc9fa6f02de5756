//! Boxes of a layer in a packed tree.

use std::{cmp::Ordering, collections::BinaryHeap, path::PathBuf};

use glam::{DVec2, DVec3};

use rayon::prelude::*;

use crate::{model::Extent, store::hilbert};

/// Children of a node.
const NODE: usize = 16;

/// The index of a layer: one tree for each of its files.
#[derive(Debug)]
pub(crate) struct LayerIndex {
    pub files: Vec<(PathBuf, BoxTree)>,
}

impl LayerIndex {
    /// From the boxes of the files' rows.
    pub(crate) fn new(files: Vec<(PathBuf, Vec<Extent>)>) -> Self {
        Self { files: files.into_iter().map(|(path, boxes)| (path, BoxTree::new(&boxes))).collect() }
    }
}

/// A box in f32 around the tree's origin, never smaller than the f64 box it stands for.
#[derive(Clone, Copy, Debug)]
struct SmallBox {
    min: [f32; 3],
    max: [f32; 3],
}

impl SmallBox {
    const EMPTY: SmallBox = SmallBox { min: [f32::INFINITY; 3], max: [f32::NEG_INFINITY; 3] };

    fn new(extent: &Extent, origin: DVec3) -> Self {
        if extent.is_empty() {
            return Self::EMPTY;
        }
        let (low, high) = (extent.min - origin, extent.max - origin);
        Self { min: low.to_array().map(floor), max: high.to_array().map(ceil) }
    }

    fn merge(&mut self, other: &SmallBox) {
        for i in 0..3 {
            self.min[i] = self.min[i].min(other.min[i]);
            self.max[i] = self.max[i].max(other.max[i]);
        }
    }

    fn overlaps(&self, other: &SmallBox) -> bool {
        (0..3).all(|i| self.min[i] <= other.max[i] && other.min[i] <= self.max[i])
    }

    /// Distance from a place given relative to the origin; in plan when z is absent. Infinite for an empty box.
    fn distance(&self, place: DVec2, z: Option<f64>) -> f64 {
        let gap = |i: usize, v: f64| (f64::from(self.min[i]) - v).max(v - f64::from(self.max[i])).max(0.0);
        DVec3::new(gap(0, place.x), gap(1, place.y), z.map_or(0.0, |z| gap(2, z))).length()
    }

    fn entry(&self, origin: DVec3, inverse: DVec3) -> Option<f64> {
        entry(DVec3::from(self.min.map(f64::from)), DVec3::from(self.max.map(f64::from)), origin, inverse)
    }
}

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

/// The largest f32 that is not above `v`.
fn floor(v: f64) -> f32 {
    let near = v as f32;
    if f64::from(near) > v { near.next_down() } else { near }
}

/// The smallest f32 that is not below `v`.
fn ceil(v: f64) -> f32 {
    let near = v as f32;
    if f64::from(near) < v { near.next_up() } else { near }
}

/// A static tree of boxes, packed in the order in which they are given: rows of a layer's file, which lie along
/// a Hilbert curve. 24 bytes a box and a fifteenth of that for the nodes above.
///
/// Boxes are kept in f32 around their common middle, rounded outwards, so the answers hold every true hit and
/// may hold boxes that miss by millimetres: compare with the true box where that matters.
#[derive(Debug)]
pub struct BoxTree {
    origin: DVec3,
    /// Items first, then their nodes, up to one root.
    levels: Vec<Vec<SmallBox>>,
}

impl BoxTree {
    /// The tree over `boxes`; empty ones are never found.
    pub fn new(boxes: &[Extent]) -> Self {
        let whole = boxes.iter().filter(|b| !b.is_empty()).fold(Extent::EMPTY, |mut whole, b| {
            whole.merge(b);
            whole
        });
        let origin = if whole.is_empty() { DVec3::ZERO } else { whole.centre() };
        let mut levels = vec![boxes.iter().map(|b| SmallBox::new(b, origin)).collect::<Vec<_>>()];
        while let Some(below) = levels.last().filter(|l| l.len() > 1) {
            let above = below.chunks(NODE).map(|chunk| {
                chunk.iter().fold(SmallBox::EMPTY, |mut node, b| {
                    node.merge(b);
                    node
                })
            });
            let above = above.collect();
            levels.push(above);
        }
        Self { origin, levels }
    }

    /// The tree over boxes in any order, with the order along a Hilbert curve in which it holds them: number `i` of its
    /// answers is box `order[i]`.
    pub fn packed(boxes: &[Extent]) -> (Self, Vec<u32>) {
        let whole = boxes.iter().filter(|b| !b.is_empty()).fold(Extent::EMPTY, |mut whole, b| {
            whole.merge(b);
            whole
        });
        // The curve counts in metres over ±2²⁶; whatever the unit, the boxes are spread over half of that.
        let scale = (1u64 << 26) as f64 / whole.size().truncate().max_element().max(f64::MIN_POSITIVE);
        let curve = |b: &Extent| hilbert((b.centre() - whole.centre()).truncate() * scale);
        let mut order: Vec<(u64, u32)> = boxes
            .par_iter()
            .enumerate()
            .map(|(number, b)| (if b.is_empty() { 0 } else { curve(b) }, number as u32))
            .collect();
        order.par_sort_unstable();
        let sorted: Vec<Extent> = order.iter().map(|(_, number)| boxes[*number as usize]).collect();
        (Self::new(&sorted), order.into_iter().map(|(_, number)| number).collect())
    }

    /// How many boxes it holds.
    pub fn len(&self) -> usize {
        self.levels[0].len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers of the boxes that share a point with `wanted`, ascending. Infinite sides are allowed.
    pub fn in_box(&self, wanted: &Extent) -> Vec<u32> {
        let mut found = Vec::new();
        if wanted.is_empty() {
            return found;
        }
        let wanted = SmallBox::new(wanted, self.origin);
        self.visit(|small| small.overlaps(&wanted), |number, _| found.push(number));
        found
    }

    /// (distance, number) of the boxes that the ray enters, by distance, then by number. `direction` is of length 1.
    pub fn on_ray(&self, origin: DVec3, direction: DVec3, max_m: f64) -> Vec<(f64, u32)> {
        let (origin, inverse) = (origin - self.origin, direction.recip());
        let entry = |small: &SmallBox| small.entry(origin, inverse).filter(|t| *t <= max_m);
        let mut found = Vec::new();
        self.visit(|small| entry(small).is_some(), |number, small| found.extend(entry(small).map(|t| (t, number))));
        found.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        found
    }

    /// Boxes by distance from `at`, nearest first: a lower bound of the true distance and the number.
    pub fn nearest(&self, at: DVec2, z: Option<f64>) -> impl Iterator<Item = (f64, u32)> + '_ {
        let (at, z) = (at - self.origin.truncate(), z.map(|z| z - self.origin.z));
        let mut open = BinaryHeap::new();
        let top = self.levels.len() - 1;
        for (index, small) in self.levels[top].iter().enumerate() {
            open.push(Step { distance: small.distance(at, z), level: top, index });
        }
        std::iter::from_fn(move || {
            loop {
                let step = open.pop().filter(|s| s.distance < f64::INFINITY)?;
                if step.level == 0 {
                    return Some((step.distance, step.index as u32));
                }
                let (level, first) = (step.level - 1, step.index * NODE);
                for index in first..(first + NODE).min(self.levels[level].len()) {
                    open.push(Step { distance: self.levels[level][index].distance(at, z), level, index });
                }
            }
        })
    }

    /// Goes down to every item whose nodes all pass, in the order of the items.
    fn visit(&self, passes: impl Fn(&SmallBox) -> bool, mut found: impl FnMut(u32, &SmallBox)) {
        let top = self.levels.len() - 1;
        let mut open: Vec<(usize, usize)> = (0..self.levels[top].len()).rev().map(|i| (top, i)).collect();
        while let Some((level, index)) = open.pop() {
            let small = &self.levels[level][index];
            if !passes(small) {
                continue;
            }
            if level == 0 {
                found(index as u32, small);
                continue;
            }
            let first = index * NODE;
            let end = (first + NODE).min(self.levels[level - 1].len());
            open.extend((first..end).rev().map(|i| (level - 1, i)));
        }
    }
}

/// A node or item still to be looked at; the nearest is the greatest.
#[derive(Debug)]
struct Step {
    distance: f64,
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
mod tests {
    use super::*;

    /// A small generator of repeatable numbers (xorshift64*).
    struct Dice(u64);

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

        fn boxes(&mut self, n: usize) -> Vec<Extent> {
            let mut boxes: Vec<Extent> = (0..n)
                .map(|i| {
                    let min = self.place();
                    let size = DVec3::new(self.roll(60.0), self.roll(60.0), self.roll(30.0));
                    if i % 97 == 5 { Extent::EMPTY } else { Extent { min, max: min + size } }
                })
                .collect();
            boxes.sort_by_key(|b| crate::store::hilbert(b.centre().truncate()));
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
                assert!(*bound <= exact + 1e-9 && exact - bound < 0.01, "a lower bound, and close");
                assert!((exact - truth[i]).abs() < 0.01);
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
            let found = tree.on_ray(origin, direction, 5000.0);
            assert!(found.windows(2).all(|w| w[0].0 <= w[1].0));
            let mut numbers: Vec<u32> = found.iter().map(|f| f.1).collect();
            numbers.sort_unstable();
            assert!(truth.iter().all(|t| numbers.binary_search(t).is_ok()));
            assert!(numbers.len() <= truth.len() + 2);
        }
    }
}
