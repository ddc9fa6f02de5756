//! Sixteen boxes side by side in cells of a tree's grid, so that a few vector instructions look at all of them.

use wide::{f32x4, f32x8, i32x8, u16x8};

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
    #[inline(always)]
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
    /// The cell behind its own, and the one before.
    above: u16,
    below: u16,
    /// Cells that it lies outside of the grid.
    outside: f32,
    cell_m: f32,
}

impl Spot {
    /// `cell` as it comes, fractions and all, in a grid whose last cell is `last`.
    pub fn new(cell: f64, last: u16, cell_m: f64) -> Self {
        let whole = (cell as u16).min(last + 1);
        let outside = if cell < 1.0 { 1.0 - cell } else { (cell - f64::from(last + 1)).max(0.0) };
        Self {
            above: whole + 1,
            below: whole.saturating_sub(1),
            outside: outside.min(FARTHEST_M / cell_m) as f32,
            cell_m: cell_m as f32,
        }
    }

    /// Adds the squares of distances to the boxes, metres: never more than the true ones, but for rounding.
    #[inline(always)]
    fn add(&self, axis: &Axis, sums: &mut [f32x8; 2]) {
        let (above, below) = (u16x8::splat(self.above), u16x8::splat(self.below));
        let (outside, cell_m) = (f32x8::splat(self.outside), f32x8::splat(self.cell_m));
        for ((low, high), sum) in axis.low.into_iter().zip(axis.high).zip(sums) {
            // Of a box, one of the two is 0.
            let gap = low.saturating_sub(above) + below.saturating_sub(high);
            let metres = (f32x8::from_i32x8(i32x8::from_u16x8(gap)) + outside) * cell_m;
            *sum += metres * metres;
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

    /// The least key and the one after it.
    #[inline(always)]
    pub fn two_least(&self) -> (Key, Key) {
        let [a, b] = self.0;
        let (low, high) = (a.fast_min(b).to_array(), a.fast_max(b).to_array());
        let halves = |v: [f32; 8]| (f32x4::new([v[0], v[1], v[2], v[3]]), f32x4::new([v[4], v[5], v[6], v[7]]));
        let ((low_a, low_b), (high_a, high_b)) = (halves(low), halves(high));
        let (low, high) = (low_a.fast_min(low_b), low_a.fast_max(low_b).fast_min(high_a.fast_min(high_b)));
        let swap = |v: f32x4| f32x4::new([v.to_array()[2], v.to_array()[3], v.to_array()[0], v.to_array()[1]]);
        let (low_b, high_b) = (swap(low), swap(high));
        let (low, high) = (low.fast_min(low_b), low.fast_max(low_b).fast_min(high.fast_min(high_b)));
        let ([a, b, ..], [c, d, ..]) = (low.to_array(), high.to_array());
        let (less, more) = if a < b { (a, b) } else { (b, a) };
        let second = [c, d].into_iter().fold(more, |least, v| if v < least { v } else { least });
        (Key(less.to_bits()), Key(second.to_bits()))
    }

    /// With those up to one taken away.
    #[inline(always)]
    pub fn above(self, key: Key) -> Self {
        let (than, none) = (f32x8::splat(f32::from_bits(key.0)), f32x8::splat(f32::INFINITY));
        let [a, b] = self.0;
        Self([a.simd_gt(than).select(a, none), b.simd_gt(than).select(b, none)])
    }
}

/// A squared distance, with a child's number in its lowest bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u32);

impl Key {
    /// Behind all.
    pub const NONE: Self = Self(u32::MAX);

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

#[cfg(test)]
mod tests {
    use super::*;

    const CELLS: [u16; 6] = [1, 2, 300, 32_768, 65_530, 65_531];

    /// Sixteen spans, the last of which is absent.
    fn axis(shift: usize) -> (Axis, [Option<Span>; NODE]) {
        let mut axis = Axis::ABSENT;
        let spans = std::array::from_fn(|child| {
            let (a, b) = (CELLS[(child + shift) % 6], CELLS[(child * 5 + shift / 6) % 6]);
            (child < NODE - 1).then_some(Span { low: a.min(b), high: a.max(b) })
        });
        for (child, span) in spans.iter().enumerate() {
            span.iter().for_each(|span| axis.set(child, *span));
        }
        (axis, spans)
    }

    #[test]
    fn sixteen_are_compared_as_one_after_the_other() {
        for shift in 0..36 {
            let ((x, spans_x), (y, spans_y)) = (axis(shift), axis(shift / 3 + 1));
            assert_eq!(
                Axis::from_bytes(&{
                    let mut bytes = Vec::new();
                    x.to_bytes(&mut bytes);
                    bytes
                }),
                x
            );
            for (low, high) in [(0, 0), (0, 1), (2, 300), (300, 40_000), (65_531, u16::MAX), (0, u16::MAX)] {
                let wanted = Span { low, high };
                let asked = [Asked::new(wanted), Asked::new(Span { low: 2, high: 65_530 })];
                let hits = overlaps(&Plan([x, y]), &asked);
                let unsure = touches(&Plan([x, y]), &asked);
                for child in 0..NODE {
                    let (Some(x), Some(y)) = (spans_x[child], spans_y[child]) else {
                        assert_eq!(hits >> child & 1, 0, "what is absent is no hit");
                        continue;
                    };
                    let is_hit = x.low <= high && x.high >= low && y.low <= 65_530 && y.high >= 2;
                    assert_eq!(hits >> child & 1 == 1, is_hit);
                    let is_unsure = x.low == high || x.high == low || y.low == 65_530 || y.high == 2;
                    assert!(!is_hit || (unsure >> child & 1 == 1) == is_unsure);
                }
                assert_eq!(overlaps_on(&x, &asked[0]), overlaps(&Plan([x, x]), &[asked[0]; 2]));
                assert_eq!(touches_on(&x, &asked[0]), touches(&Plan([x, x]), &[asked[0]; 2]));
            }
        }
    }

    #[test]
    fn keys_sort_children_by_a_distance_that_is_not_above_the_true_one() {
        for shift in 0..36 {
            let ((x, spans), (y, _)) = (axis(shift), axis(shift));
            for cell in [-1e9, 0.5, 1.0, 2.5, 20_000.25, 65_531.0, 65_540.0, 1e7] {
                let spot = Spot::new(cell, 65_531, 0.125);
                let mut keys = Keys::new(&Plan([x, y]), &[spot, spot], None);
                let mut left: Vec<u32> = (0..NODE as u32).collect();
                let mut last = None;
                for _ in 0..NODE {
                    let (key, after) = keys.two_least();
                    assert!(last.is_none_or(|last| key == last), "the second is the next first");
                    keys = keys.above(key);
                    last = Some(after);
                    left.retain(|child| *child != key.child());
                    let Some(span) = spans[key.child() as usize] else { continue };
                    // Of a box it is only known that it lies within its cells.
                    let gap = (f64::from(span.low) - cell).max(cell - f64::from(span.high) - 1.0).max(0.0);
                    let distance = gap * 0.125 * 2f64.sqrt();
                    let bound = key.bound();
                    assert!(bound <= distance && distance - bound < 0.2 + distance * 1e-5, "{bound} of {distance}");
                    assert!(key <= Key::within(distance));
                }
                assert!(left.is_empty(), "each child has its turn");
            }
        }
    }
}
