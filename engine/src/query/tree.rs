//! A packed tree of boxes.

use std::{cmp::Ordering, collections::BinaryHeap};

use glam::{DVec2, DVec3};
use rayon::prelude::*;

use crate::{model::Extent, tile::hilbert};

/// Children of a node.
const NODE: usize = 16;
/// Places on an axis of the tree; 0 and the largest number are for boxes that are none.
const LEAST: u16 = 1;
const MOST: u16 = u16::MAX - 1;
/// Steps that the tree's own box is divided into.
const STEPS: f64 = 65_530.0;
/// Shortest side that is divided, metres.
const LEAST_SIDE: f64 = 0.1;
/// What the file of a tree begins with.
const MAGIC: &[u8; 8] = b"GLTREE01";
/// Magic, count, and twelve numbers.
pub(crate) const HEAD_BYTES: usize = 16 + 12 * 8;

/// Boxes of sixteen children side by side, so that one comparison looks at all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    min: [[u16; NODE]; 3],
    max: [[u16; NODE]; 3],
}

impl Node {
    /// No children: boxes that nothing overlaps.
    const EMPTY: Self = Self { min: [[u16::MAX; NODE]; 3], max: [[0; NODE]; 3] };
    const BYTES: usize = 6 * NODE * 2;

    fn set(&mut self, child: usize, small: Small) {
        for axis in 0..3 {
            self.min[axis][child] = small.min[axis];
            self.max[axis][child] = small.max[axis];
        }
    }

    /// The box around all children.
    fn around(&self) -> Small {
        Small {
            min: self.min.map(|axis| axis.into_iter().min().unwrap_or(u16::MAX)),
            max: self.max.map(|axis| axis.into_iter().max().unwrap_or(0)),
        }
    }

    /// One bit for each child whose box overlaps on the first so many axes; at least one.
    fn overlaps(&self, wanted: &Small, axes: usize) -> u16 {
        // All bits of a lane or none, so that the lanes become vectors.
        let mut hits = [u16::MAX; NODE];
        for axis in 0..axes {
            let (low, high) = (wanted.min[axis], wanted.max[axis]);
            for (hit, (min, max)) in hits.iter_mut().zip(self.min[axis].iter().zip(&self.max[axis])) {
                *hit &= if (*min <= high) & (*max >= low) { u16::MAX } else { 0 };
            }
        }
        mask(&hits)
    }

    fn to_bytes(self, out: &mut Vec<u8>) {
        for axis in self.min.iter().chain(&self.max) {
            axis.iter().for_each(|v| out.extend(v.to_le_bytes()));
        }
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let at = |axis: usize, child: usize| {
            let at = (axis * NODE + child) * 2;
            bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
        };
        let axes = |first: usize| std::array::from_fn(|axis| std::array::from_fn(|child| at(first + axis, child)));
        Self { min: axes(0), max: axes(3) }
    }
}

/// The lowest bits of sixteen lanes: of each eight, one multiplication gathers them in the highest byte.
fn mask(lanes: &[u16; NODE]) -> u16 {
    let bytes: [u8; NODE] = std::array::from_fn(|lane| (lanes[lane] & 1) as u8);
    let gather = |first: usize| {
        let eight: [u8; 8] = std::array::from_fn(|i| bytes[first + i]);
        (u64::from_le_bytes(eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u16
    };
    gather(0) | gather(8) << 8
}

/// A box in steps of the tree, never smaller than the one that it stands for.
#[derive(Clone, Copy, Debug)]
struct Small {
    min: [u16; 3],
    max: [u16; 3],
}

/// The steps of a tree: `origin` is step 1 of each axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Grid {
    origin: DVec3,
    step: DVec3,
}

impl Grid {
    fn of(extent: &Extent) -> Self {
        if extent.is_empty() {
            return Self { origin: DVec3::ZERO, step: DVec3::ONE };
        }
        Self { origin: extent.min, step: extent.size().max(DVec3::splat(LEAST_SIDE)) / STEPS }
    }

    fn place(&self, axis: usize, step: u16) -> f64 {
        self.origin[axis] + (f64::from(step) - 1.0) * self.step[axis]
    }

    fn nearest_step(&self, axis: usize, v: f64) -> f64 {
        (v - self.origin[axis]) / self.step[axis] + 1.0
    }

    /// The last step that is not above `v`.
    fn below(&self, axis: usize, v: f64) -> u16 {
        let mut step = self.nearest_step(axis, v).floor().clamp(f64::from(LEAST), f64::from(MOST)) as u16;
        while step > LEAST && self.place(axis, step) > v {
            step -= 1;
        }
        step
    }

    /// The first step that is not below `v`.
    fn above(&self, axis: usize, v: f64) -> u16 {
        let mut step = self.nearest_step(axis, v).ceil().clamp(f64::from(LEAST), f64::from(MOST)) as u16;
        while step < MOST && self.place(axis, step) < v {
            step += 1;
        }
        step
    }

    fn small(&self, extent: &Extent) -> Small {
        Small {
            min: std::array::from_fn(|axis| self.below(axis, extent.min[axis])),
            max: std::array::from_fn(|axis| self.above(axis, extent.max[axis])),
        }
    }

    /// How near and how far the children of a node are. In f32, whose rounding is less than what is taken off or added: a 64th of a
    /// step, and a millionth of the distance.
    fn reach(&self, node: &Node, at: DVec2, z: Option<f64>) -> Reach {
        let (mut near, mut far) = ([0.0_f32; NODE], [0.0_f32; NODE]);
        let mut slack = 0.0_f32;
        let place = [Some(at.x), Some(at.y), z];
        for (axis, v) in place.into_iter().enumerate() {
            let Some(v) = v else { continue };
            let step = self.step[axis] as f32;
            let v = self.nearest_step(axis, v) as f32;
            slack = slack.max(step / 64.0);
            for child in 0..NODE {
                let (low, high) = (f32::from(node.min[axis][child]) - v, v - f32::from(node.max[axis][child]));
                let (gap, reach) = (low.max(high).max(0.0) * step, low.abs().max(high.abs()) * step);
                near[child] += gap * gap;
                far[child] += reach * reach;
            }
        }
        let mut nearest_far = f32::INFINITY;
        for child in 0..NODE {
            let is_there = node.min[0][child] <= node.max[0][child];
            let bound = (near[child].sqrt() * (1.0 - 1e-6) - slack).max(0.0);
            near[child] = if is_there { bound } else { f32::INFINITY };
            nearest_far = nearest_far.min(if is_there { far[child] } else { f32::INFINITY });
        }
        Reach { near, far: nearest_far.sqrt() * (1.0 + 1e-6) + slack }
    }

    /// Corners of a child's box; `None` where there is none.
    fn corners(&self, node: &Node, child: usize) -> Option<(DVec3, DVec3)> {
        let min = [0, 1, 2].map(|axis| node.min[axis][child]);
        let max = [0, 1, 2].map(|axis| node.max[axis][child]);
        let at = |steps: [u16; 3]| DVec3::from_array([0, 1, 2].map(|axis| self.place(axis, steps[axis])));
        (min[0] <= max[0]).then(|| (at(min), at(max)))
    }
}

/// How far the boxes of sixteen children are from a place, metres: each not nearer than, infinite for a child that is not there; and one
/// of them not farther than.
pub(crate) struct Reach {
    pub near: [f32; NODE],
    pub far: f32,
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

/// Distance from a place to a box; in plan when z is absent.
fn distance(at: DVec2, z: Option<f64>, (min, max): (DVec3, DVec3)) -> f64 {
    let gap = |v: f64, low: f64, high: f64| (low - v).max(v - high).max(0.0);
    let up = z.map_or(0.0, |z| gap(z, min.z, max.z));
    DVec3::new(gap(at.x, min.x, max.x), gap(at.y, min.y, max.y), up).length()
}

/// A static tree of boxes, packed in the order in which they are given: rows of a layer's part, which lie along a Hilbert
/// curve. 12 bytes a box and a fifteenth of that for the nodes above.
///
/// Boxes are kept in steps of a 65 530th of the box around them all, rounded outwards, so the answers hold every true hit and
/// may hold boxes that miss by a step: compare with the true box where that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxTree {
    count: usize,
    extent: Extent,
    grid: Grid,
    /// Nodes whose children are the boxes first, then the nodes above them, up to one root.
    levels: Vec<Vec<Node>>,
}

impl BoxTree {
    /// The tree over `boxes`; empty ones are never found.
    pub fn new(boxes: &[Extent]) -> Self {
        let extent = around(boxes);
        let grid = Grid::of(&extent);
        let nodes = |count: usize, small: &dyn Fn(usize) -> Option<Small>| -> Vec<Node> {
            let mut nodes = vec![Node::EMPTY; count.div_ceil(NODE)];
            for at in 0..count {
                if let Some(small) = small(at) {
                    nodes[at / NODE].set(at % NODE, small);
                }
            }
            nodes
        };
        let items = nodes(boxes.len(), &|at| (!boxes[at].is_empty()).then(|| grid.small(&boxes[at])));
        let mut levels = vec![items];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = nodes(below.len(), &|at| Some(below[at].around()));
            levels.push(above);
        }
        Self { count: boxes.len(), extent, grid, levels }
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
        self.levels.iter().map(|level| level.len() * Node::BYTES).sum()
    }

    /// Numbers of the boxes that share a point with `wanted`, ascending. Infinite sides are allowed.
    pub fn in_box(&self, wanted: &Extent) -> Vec<u32> {
        let mut found = Vec::new();
        self.each_in_box(wanted, &mut |number, _| found.push(number));
        found
    }

    /// As [`BoxTree::in_box`], one number after the other, each with whether it is sure that the true box is a hit; else a
    /// step of the tree decides.
    pub fn each_in_box(&self, wanted: &Extent, found: &mut impl FnMut(u32, bool)) {
        if wanted.is_empty() || !self.extent.overlaps(wanted) {
            return;
        }
        // A true side lies within a step of the side that is kept, and so does a side that is asked for.
        let small = self.grid.small(wanted);
        // What reaches over the whole height of the tree need not be compared there.
        let is_flat = wanted.min.z <= self.extent.min.z && wanted.max.z >= self.extent.max.z;
        let axes = if is_flat { 2 } else { 3 };
        let sure = Small { min: small.min.map(|v| v.saturating_add(2)), max: small.max.map(|v| v.saturating_sub(2)) };
        self.descend(self.levels.len() - 1, 0, &(small, sure, axes), found);
    }

    fn descend(&self, level: usize, node: usize, asked: &(Small, Small, usize), found: &mut impl FnMut(u32, bool)) {
        let (wanted, sure, axes) = asked;
        let node_of = &self.levels[level][node];
        let mut mask = node_of.overlaps(wanted, *axes);
        if level > 0 {
            while mask != 0 {
                self.descend(level - 1, node * NODE + mask.trailing_zeros() as usize, asked, found);
                mask &= mask - 1;
            }
            return;
        }
        let surely = if mask == 0 { 0 } else { node_of.overlaps(sure, *axes) };
        while mask != 0 {
            let child = mask.trailing_zeros();
            found((node * NODE) as u32 + child, surely >> child & 1 == 1);
            mask &= mask - 1;
        }
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

    /// Boxes and nodes just below a node (`above` levels above the boxes, from 1): how many levels above the boxes they are, the
    /// number of the first, and how near and how far at most each of the sixteen is from a place; of the whole tree where the node is
    /// not named.
    pub(crate) fn open(&self, node: Option<(u8, u32)>, at: DVec2, z: Option<f64>) -> Option<(u8, u32, Reach)> {
        let (above, index) = node.unwrap_or((self.levels.len() as u8, 0));
        let node = self.levels[usize::from(above) - 1].get(index as usize)?;
        Some((above - 1, index * NODE as u32, self.grid.reach(node, at, z)))
    }

    /// Boxes by what `distance` says of their corners, which must not be less for a box than for one around it.
    fn by_distance<'a>(
        &'a self,
        distance: impl Fn((DVec3, DVec3)) -> Option<f64> + 'a,
    ) -> impl Iterator<Item = (f64, u32)> + 'a {
        let mut open = BinaryHeap::new();
        if !self.extent.is_empty() {
            open.push(Step { distance: 0.0, level: self.levels.len(), index: 0 });
        }
        std::iter::from_fn(move || {
            loop {
                let step = open.pop()?;
                let Some(level) = step.level.checked_sub(1) else {
                    return Some((step.distance, step.index as u32));
                };
                let node = &self.levels[level][step.index];
                for child in 0..NODE {
                    if let Some(distance) = self.grid.corners(node, child).and_then(&distance) {
                        open.push(Step { distance, level, index: step.index * NODE + child });
                    }
                }
            }
        })
    }

    /// The tree as the content of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.bytes());
        out.extend(MAGIC);
        out.extend((self.count as u64).to_le_bytes());
        for v in [self.extent.min, self.extent.max, self.grid.origin, self.grid.step] {
            v.to_array().iter().for_each(|n| out.extend(n.to_le_bytes()));
        }
        for node in self.levels.iter().flatten() {
            node.to_bytes(&mut out);
        }
        out
    }

    /// The box around all boxes of a file that begins with `head`.
    pub(crate) fn extent_of(head: &[u8]) -> Option<Extent> {
        Some(Self::head(head)?.1)
    }

    fn head(bytes: &[u8]) -> Option<(usize, Extent, Grid)> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok().filter(|count| *count <= u32::MAX as usize)?;
        let mut numbers = [0.0; 12];
        for (number, bytes) in numbers.iter_mut().zip(rest.get(..96)?.chunks_exact(8)) {
            *number = f64::from_le_bytes(bytes.try_into().ok()?);
        }
        let three = |at: usize| DVec3::new(numbers[at], numbers[at + 1], numbers[at + 2]);
        let (extent, grid) = (Extent { min: three(0), max: three(3) }, Grid { origin: three(6), step: three(9) });
        let is_sound = grid.origin.is_finite() && grid.step.is_finite() && grid.step.cmpgt(DVec3::ZERO).all();
        is_sound.then_some((count, extent, grid))
    }

    /// The tree of a file; `None` when the file is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (count, extent, grid) = Self::head(bytes)?;
        let mut rest = bytes.get(HEAD_BYTES..)?;
        let mut levels = Vec::new();
        let mut nodes = count.div_ceil(NODE);
        loop {
            let (level, behind) = rest.split_at_checked(nodes.checked_mul(Node::BYTES)?)?;
            levels.push(level.chunks_exact(Node::BYTES).map(Node::from_bytes).collect());
            rest = behind;
            if nodes <= 1 {
                return rest.is_empty().then_some(Self { count, extent, grid, levels });
            }
            nodes = nodes.div_ceil(NODE);
        }
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
    fn a_tree_comes_back_from_its_file_and_a_damaged_one_does_not() {
        let mut dice = Dice(3);
        for n in [0, 1, 16, 17, 300, 5000] {
            let tree = BoxTree::new(&dice.boxes(n));
            let bytes = tree.to_bytes();
            assert_eq!(BoxTree::from_bytes(&bytes).as_ref(), Some(&tree));
            assert_eq!(BoxTree::extent_of(&bytes[..HEAD_BYTES]), Some(tree.extent));
            assert!(n < 5000 || bytes.len() < n * 14, "{} bytes for {n}", bytes.len());
            for cut in [0, 7, 15, HEAD_BYTES - 1, bytes.len() - 1] {
                assert!(cut >= bytes.len() || BoxTree::from_bytes(&bytes[..cut]).is_none());
            }
            assert!(BoxTree::from_bytes(&[&bytes[..], b"x"].concat()).is_none());
        }
        let mut bytes = BoxTree::new(&dice.boxes(20)).to_bytes();
        bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(BoxTree::from_bytes(&bytes).is_none());
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
