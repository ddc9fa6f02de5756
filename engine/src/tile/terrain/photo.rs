//! Orthophotos, at every coarseness that tiles of terrain show them.

use std::borrow::Cow;

use glam::DVec2;

use crate::model::{Extent, Picture};

/// Weights of pixels between two rows or columns add up to this.
const ONE: u32 = 256;

/// A picture with its halved copies: a coarse tile reads as many pixels as it has itself, not the whole picture.
/// The copies take a third of the picture's memory.
pub(super) struct Pyramid<'a> {
    levels: Vec<Level<'a>>,
    north_west: DVec2,
    /// Size in plan, metres.
    size: DVec2,
}

struct Level<'a> {
    columns: usize,
    rows: usize,
    step_m: DVec2,
    rgb: Cow<'a, [u8]>,
}

/// A place between two rows or two columns: the first of them, the second, and the weight of the second.
type Between = (usize, usize, u32);

/// A picture at the coarseness of one tile, with where the tile's pixels lie in it.
pub(super) struct Sampler<'a> {
    level: &'a Level<'a>,
    columns: Vec<Option<Between>>,
    rows: Vec<Option<Between>>,
}

impl<'a> Pyramid<'a> {
    /// Of `picture`; `None` when its size and its pixels do not fit together.
    pub fn new(picture: &'a Picture) -> Option<Self> {
        let (columns, rows) = (picture.columns as usize, picture.rows as usize);
        let is_whole = columns > 0 && rows > 0 && columns.checked_mul(rows)?.checked_mul(3)? == picture.rgb.len();
        if !is_whole || picture.step_m.min_element() <= 0.0 || !picture.step_m.is_finite() {
            return None;
        }
        let mut levels = vec![Level { columns, rows, step_m: picture.step_m, rgb: Cow::Borrowed(&picture.rgb) }];
        while let Some(last) = levels.last().filter(|l| l.columns.min(l.rows) > 1) {
            levels.push(last.halved());
        }
        let size = DVec2::new(columns as f64, rows as f64) * picture.step_m;
        Some(Self { levels, north_west: picture.north_west, size })
    }

    /// Size of its own pixels, metres.
    pub fn step_m(&self) -> DVec2 {
        self.levels[0].step_m
    }

    /// Whether it lies on a box, in plan.
    pub fn overlaps(&self, extent: &Extent) -> bool {
        let (west, north) = (self.north_west.x, self.north_west.y);
        west < extent.max.x
            && west + self.size.x > extent.min.x
            && north > extent.min.y
            && north - self.size.y < extent.max.y
    }

    /// For a square of `pixels` each way whose first lies at `corner` (north-west) and whose others follow every `texel`.
    pub fn sampler(&self, corner: DVec2, texel: DVec2, pixels: usize) -> Sampler<'_> {
        let coarseness = (texel / self.step_m()).max_element().max(1.0);
        let level = &self.levels[(coarseness.log2() as usize).min(self.levels.len() - 1)];
        let start = DVec2::new(corner.x - self.north_west.x, self.north_west.y - corner.y);
        let line = |start: f64, step: f64, size: f64, own: f64, count: usize| {
            let places = (0..pixels).map(|i| start + i as f64 * step);
            places.map(|at| (at >= 0.0 && at < size).then(|| between(at / own - 0.5, count))).collect()
        };
        Sampler {
            level,
            columns: line(start.x, texel.x, self.size.x, level.step_m.x, level.columns),
            rows: line(start.y, texel.y, self.size.y, level.step_m.y, level.rows),
        }
    }
}

/// `at` counts from the middle of the first of `count` pixels.
fn between(at: f64, count: usize) -> Between {
    let at = at.clamp(0.0, (count - 1) as f64);
    let first = (at as usize).min(count - 1);
    (first, (first + 1).min(count - 1), ((at - first as f64) * f64::from(ONE)) as u32)
}

impl Level<'_> {
    /// Means of four pixels each, of those that have data.
    fn halved(&self) -> Level<'static> {
        let (columns, rows) = (self.columns.div_ceil(2), self.rows.div_ceil(2));
        let mut rgb = Vec::with_capacity(columns * rows * 3);
        for row in 0..rows {
            let (upper, lower) = (row * 2, (row * 2 + 1).min(self.rows - 1));
            for column in 0..columns {
                let (left, right) = (column * 2, (column * 2 + 1).min(self.columns - 1));
                let four = [(left, upper), (right, upper), (left, lower), (right, lower)];
                rgb.extend(mean(four.map(|(c, r)| (self.pixel(c, r), 1))).unwrap_or([0; 3]));
            }
        }
        // The last column and row may reach half a pixel beyond the picture; what lies there repeats the edge.
        Level { columns, rows, step_m: self.step_m * 2.0, rgb: Cow::Owned(rgb) }
    }

    fn pixel(&self, column: usize, row: usize) -> [u8; 3] {
        let at = (row * self.columns + column) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }
}

impl Sampler<'_> {
    /// Colour of the pixel; `None` outside of the picture and where it has no data, which is (0, 0, 0).
    pub fn at(&self, column: usize, row: usize) -> Option<[u8; 3]> {
        let (left, right, u) = self.columns[column]?;
        let (upper, lower, v) = self.rows[row]?;
        mean([
            (self.level.pixel(left, upper), (ONE - u) * (ONE - v)),
            (self.level.pixel(right, upper), u * (ONE - v)),
            (self.level.pixel(left, lower), (ONE - u) * v),
            (self.level.pixel(right, lower), u * v),
        ])
    }
}

/// Weighted mean of the pixels that have data; `None` when those weigh less than the others.
fn mean(pixels: [([u8; 3], u32); 4]) -> Option<[u8; 3]> {
    let (mut sum, mut known, mut all) = ([0_u32; 3], 0, 0);
    for (pixel, weight) in pixels {
        all += weight;
        if pixel != [0; 3] {
            known += weight;
            for (sum, value) in sum.iter_mut().zip(pixel) {
                *sum += u32::from(value) * weight;
            }
        }
    }
    (known > 0 && known * 2 >= all).then(|| sum.map(|s| ((s + known / 2) / known) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(columns: u32, rows: u32, rgb: Vec<u8>) -> Picture {
        Picture { north_west: DVec2::new(100.0, 200.0), step_m: DVec2::splat(2.0), columns, rows, rgb }
    }

    #[test]
    fn its_own_pixels_come_back_and_coarser_ones_are_means() {
        let rgb: Vec<u8> = (0..8 * 8).flat_map(|i| [10 + i, 100, 200 - i]).collect();
        let picture = picture(8, 8, rgb.clone());
        let pyramid = Pyramid::new(&picture).unwrap();
        let own = pyramid.sampler(DVec2::new(101.0, 199.0), DVec2::splat(2.0), 8);
        for row in 0..8 {
            for column in 0..8 {
                let at = (row * 8 + column) * 3;
                assert_eq!(own.at(column, row), Some([rgb[at], rgb[at + 1], rgb[at + 2]]));
            }
        }
        let coarse = pyramid.sampler(DVec2::new(102.0, 198.0), DVec2::splat(4.0), 4);
        assert_eq!(coarse.at(0, 0), Some([15, 100, 196]), "mean of pixels 0, 1, 8 and 9, rounded half up");
        assert_eq!(pyramid.sampler(DVec2::new(99.0, 199.0), DVec2::splat(2.0), 2).at(0, 0), None, "west of it");
        assert_eq!(pyramid.sampler(DVec2::new(101.0, 183.0), DVec2::splat(2.0), 1).at(0, 0), None, "south of it");
    }

    #[test]
    fn what_has_no_data_is_not_mixed_in() {
        let mut rgb = vec![80; 4 * 4 * 3];
        rgb[..3].fill(0);
        rgb[8 * 3..].fill(0);
        let picture = picture(4, 4, rgb);
        let pyramid = Pyramid::new(&picture).unwrap();
        let coarse = pyramid.sampler(DVec2::new(102.0, 198.0), DVec2::splat(4.0), 2);
        assert_eq!(coarse.at(0, 0), Some([80; 3]), "three of four pixels have data");
        assert_eq!(coarse.at(0, 1), None);
        assert!(Pyramid::new(&Picture { columns: 5, ..picture.clone() }).is_none(), "pixels that are not there");
    }
}
