//! Sixteen boxes side by side in cells of a tree's grid, so that a few vector instructions look at all of them.

use wide::{f32x8, i32x8, u16x8};

/// Children of a node.
pub(super) const NODE: usize = 16;
/// What is no box lies above every cell of a question, and below every one.
const ABSENT: Span = Span { low: u16::MAX, high: 0 };
/// Highest cell of a question: below what is no box.
pub(super) const MOST: u16 = u16::MAX - 1;
/// Beyond this it does not matter how much farther something is.
const FARTHEST_M: f64 = 1e18;
/// Bits of a key that number the child.
const CHILD: u32 = NODE as u32 - 1;

/// Cells from the lowest to the highest on one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub low: u16,
    pub high: u16,
}

/// One axis of sixteen boxes: a line of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct Axis {
    low: [u16x8; 2],
    high: [u16x8; 2],
}

impl Axis {
    pub const BYTES: usize = 4 * NODE;
    /// No boxes.
    pub const ABSENT: Self = Self { low: [u16x8::MAX; 2], high: [u16x8::ZERO; 2] };

    pub fn set(&mut self, child: usize, span: Span) {
        self.low[child / 8].as_mut_array()[child % 8] = span.low;
        self.high[child / 8].as_mut_array()[child % 8] = span.high;
    }

    pub fn get(&self, child: usize) -> Option<Span> {
        let low = self.low[child / 8].as_array()[child % 8];
        let high = self.high[child / 8].as_array()[child % 8];
        (low <= high).then_some(Span { low, high })
    }

    /// From the lowest to the highest cell of all.
    pub fn around(&self) -> Span {
        (0..NODE)
            .filter_map(|child| self.get(child))
            .fold(ABSENT, |all, span| Span { low: all.low.min(span.low), high: all.high.max(span.high) })
    }

    pub fn to_bytes(self, out: &mut Vec<u8>) {
        for eight in self.low.iter().chain(&self.high) {
            eight.as_array().iter().for_each(|cell| out.extend(cell.to_le_bytes()));
        }
    }

    /// Of as many bytes as it has.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut cells = bytes.chunks_exact(2).map(|cell| u16::from_le_bytes([cell[0], cell[1]]));
        let mut eight = || u16x8::new(std::array::from_fn(|_| cells.next().unwrap_or(0)));
        Self { low: [eight(), eight()], high: [eight(), eight()] }
    }
}

/// Sixteen boxes in plan; memory gives both lines at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(128))]
pub(super) struct Plan(pub [Axis; 2]);

impl Plan {
    pub const ABSENT: Self = Self([Axis::ABSENT; 2]);
}

/// A span that is asked for, in all lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    low: u16x8,
    high: u16x8,
}

impl Asked {
    pub fn new(span: Span) -> Self {
        Self { low: u16x8::splat(span.low), high: u16x8::splat(span.high.min(MOST)) }
    }

    /// 0 where it overlaps the box.
    #[inline(always)]
    fn miss(&self, axis: &Axis, half: usize) -> u16x8 {
        axis.low[half].saturating_sub(self.high) | self.low.saturating_sub(axis.high[half])
    }

    /// All bits where only a cell is shared at an end, so that the numbers themselves decide.
    #[inline(always)]
    fn touch(&self, axis: &Axis, half: usize) -> u16x8 {
        axis.low[half].simd_eq(self.high) | axis.high[half].simd_eq(self.low)
    }
}

/// One bit for each lane that has all bits.
#[inline(always)]
fn mask(lanes: [u16x8; 2]) -> u32 {
    lanes[0].to_bitmask() | lanes[1].to_bitmask() << 8
}

/// One bit for each box that overlaps on these axes.
#[inline(always)]
pub(super) fn overlaps(Plan(plan): &Plan, asked: &[Asked; 2]) -> u32 {
    mask([0, 1].map(|half| (asked[0].miss(&plan[0], half) | asked[1].miss(&plan[1], half)).simd_eq(u16x8::ZERO)))
}

/// One bit for each box of which it is not sure whether it overlaps, if it does.
#[inline(always)]
pub(super) fn touches(Plan(plan): &Plan, asked: &[Asked; 2]) -> u32 {
    mask([0, 1].map(|half| asked[0].touch(&plan[0], half) | asked[1].touch(&plan[1], half)))
}

/// As [`overlaps`], on one axis.
#[inline(always)]
pub(super) fn overlaps_on(axis: &Axis, asked: &Asked) -> u32 {
    mask([0, 1].map(|half| asked.miss(axis, half).simd_eq(u16x8::ZERO)))
}

/// As [`touches`], on one axis.
#[inline(always)]
pub(super) fn touches_on(axis: &Axis, asked: &Asked) -> u32 {
    mask([0, 1].map(|half| asked.touch(axis, half)))
}

/// A place that distances are wanted from, on one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    above: u16x8,
    below: u16x8,
    /// Cells that it lies outside of the grid.
    outside: f32x8,
    cell_m: f32x8,
}

impl Spot {
    /// `cell` as it comes, fractions and all, in a grid whose last cell is `last`.
    pub fn new(cell: f64, last: u16, cell_m: f64) -> Self {
        let whole = (cell as u16).min(last + 1);
        let outside = if cell < 1.0 { 1.0 - cell } else { (cell - f64::from(last + 1)).max(0.0) };
        let outside = outside.min(FARTHEST_M / cell_m);
        Self {
            above: u16x8::splat(whole + 1),
            below: u16x8::splat(whole.saturating_sub(1)),
            outside: f32x8::splat(outside as f32),
            cell_m: f32x8::splat(cell_m as f32),
        }
    }

    /// Adds the squares of distances to the boxes, metres: never more than the true ones, but for rounding.
    #[inline(always)]
    fn add(&self, axis: &Axis, sums: &mut [f32x8; 2]) {
        for half in 0..2 {
            // Of a box, one of the two is 0.
            let gap = axis.low[half].saturating_sub(self.above) + self.below.saturating_sub(axis.high[half]);
            let metres = (f32x8::from_i32x8(i32x8::from_u16x8(gap)) + self.outside) * self.cell_m;
            sums[half] += metres * metres;
        }
    }
}

/// Squared distances of sixteen boxes, each with the number of the box in its lowest bits: all different, and they sort.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys([f32x8; 2]);

impl Keys {
    /// Much less than what the grid can tell; keeps keys normal numbers.
    const LEAST: f32 = 1e-20;
    /// What a squared distance can be above the true one, as a part of it: the lowest bits and rounding.
    pub const SLACK: f64 = 4e-6;

    /// Of the boxes on these axes.
    #[inline(always)]
    pub fn new(Plan(plan): &Plan, spots: &[Spot; 2], height: Option<(&Axis, &Spot)>) -> Self {
        let mut sums = [f32x8::splat(Self::LEAST); 2];
        spots[0].add(&plan[0], &mut sums);
        spots[1].add(&plan[1], &mut sums);
        if let Some((axis, spot)) = height {
            spot.add(axis, &mut sums);
        }
        let keep = f32x8::splat(f32::from_bits(!CHILD));
        let children = |half: u32| f32x8::new(std::array::from_fn(|lane| f32::from_bits(half * 8 + lane as u32)));
        Self([sums[0] & keep | children(0), sums[1] & keep | children(1)])
    }

    /// The least key.
    #[inline(always)]
    pub fn least(&self) -> Key {
        let eight = self.0[0].fast_min(self.0[1]).to_array();
        let less = |a: f32, b: f32| if a < b { a } else { b };
        let four: [f32; 4] = std::array::from_fn(|lane| less(eight[lane], eight[lane + 4]));
        Key(less(less(four[0], four[2]), less(four[1], four[3])).to_bits())
    }

    /// The keys above one, and the others without end.
    #[inline(always)]
    pub fn above(self, key: Key) -> Self {
        let than = f32x8::splat(f32::from_bits(key.0));
        Self(self.0.map(|eight| eight.simd_gt(than).select(eight, f32x8::splat(f32::INFINITY))))
    }
}

/// A squared distance, with a child's number in its lowest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub u32);

impl Key {
    /// None is left.
    pub fn is_none(self) -> bool {
        self.0 >= f32::INFINITY.to_bits()
    }

    pub fn child(self) -> u32 {
        self.0 & CHILD
    }

    /// Never more than the true distance.
    pub fn bound(self) -> f64 {
        let squared = f64::from(f32::from_bits(self.0 & !CHILD));
        if squared <= f64::from(Keys::LEAST) { 0.0 } else { (squared * (1.0 - Keys::SLACK)).sqrt() }
    }

    /// The highest key of what may be as near as this.
    pub fn within(distance: f64) -> Self {
        let squared = distance * distance * (1.0 + 2.0 * Keys::SLACK) + f64::from(Keys::LEAST) * 2.0;
        Self((squared.min(f64::from(f32::MAX)) as f32).to_bits() | CHILD)
    }
}
