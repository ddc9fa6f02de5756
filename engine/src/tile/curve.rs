//! The curve along which the objects of a city lie, in its files and in its tiles (Hilbert).
//!
//! The curve runs over ±2²⁶ m, which holds every projected system, zone numbers included, in steps of 3 cm. It does not depend
//! on the data, so one object's place never moves another's. Every square that comes of halving that area again and again is
//! one stretch of the curve, whose keys begin with the same bits.

use std::ops::RangeInclusive;

use glam::DVec2;

/// Half the side of the area, metres.
const HALF_M: f64 = (1u64 << 26) as f64;
/// Levels of squares below the area itself.
pub(crate) const LEVELS: u32 = 32;

/// Place along the curve.
pub(crate) fn hilbert(place: DVec2) -> u64 {
    let ([mut x, mut y], mut d) = (cell(place, LEVELS), 0u64);
    let mut side = 1u32 << 31;
    while side > 0 {
        let (right, upper) = (x & side != 0, y & side != 0);
        d += u64::from(side) * u64::from(side) * ((3 * u64::from(right)) ^ u64::from(upper));
        if !upper {
            if right {
                (x, y) = (!x, !y);
            }
            std::mem::swap(&mut x, &mut y);
        }
        side >>= 1;
    }
    d
}

/// Side of the squares of a level, metres.
pub(crate) fn side_m(level: u32) -> f64 {
    2.0 * HALF_M / (1u64 << level) as f64
}

/// Column and row of the square of a level that holds a place.
pub(crate) fn cell(place: DVec2, level: u32) -> [u32; 2] {
    // Saturating casts keep absurd coordinates at the rim.
    let cell = |v: f64| ((v + HALF_M) * 32.0) as u32;
    [place.x, place.y].map(|v| cell(v).checked_shr(LEVELS - level.min(LEVELS)).unwrap_or(0))
}

/// A square: what the curve passes through in one stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Square {
    /// How often the area was halved.
    pub level: u32,
    /// Any place within it.
    pub key: u64,
}

impl Square {
    /// The whole area.
    pub const ALL: Square = Square { level: 0, key: 0 };

    /// The smallest square that holds two places.
    pub fn around(a: u64, b: u64) -> Self {
        Self { level: (a ^ b).leading_zeros() / 2, key: a }
    }

    /// The smallest square that holds this one and a place.
    pub fn with(self, key: u64) -> Self {
        Self { level: self.level.min(Self::around(self.key, key).level), key: self.key }
    }

    /// Whether a place lies in it.
    pub fn holds(self, key: u64) -> bool {
        Self::around(self.key, key).level >= self.level
    }

    /// Its stretch of the curve.
    pub fn keys(self) -> RangeInclusive<u64> {
        let rest = u64::MAX.checked_shr(2 * self.level).unwrap_or(0);
        self.key & !rest..=self.key | rest
    }

    /// Its side, metres.
    pub fn side_m(self) -> f64 {
        side_m(self.level)
    }

    /// Its four quarters in the order of the curve; none below the last level.
    pub fn quarters(self) -> impl Iterator<Item = Square> {
        let (first, level) = (*self.keys().start(), self.level + 1);
        let count = if level <= LEVELS { 4 } else { 0 };
        (0..count).map(move |n: u64| Square { level, key: first | n << (64 - 2 * level) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_on_the_curve_are_neighbours_in_the_city() {
        let mut places: Vec<DVec2> =
            (0..4096).map(|i| DVec2::new(f64::from(i % 64) * 10.0, f64::from(i / 64) * 10.0)).collect();
        places.sort_by_key(|p| hilbert(*p));
        let longest = places.windows(2).map(|w| w[0].distance(w[1])).fold(0.0, f64::max);
        let total: f64 = places.windows(2).map(|w| w[0].distance(w[1])).sum();
        assert!(total / 4095.0 < 14.0, "mean step {}", total / 4095.0);
        assert!(longest < 640.0);
        assert_ne!(hilbert(DVec2::splat(1e300)), hilbert(DVec2::splat(-1e300)));
    }

    #[test]
    fn a_square_is_a_stretch_of_the_curve() {
        let at = DVec2::new(4_321.0, -98_765.0);
        let key = hilbert(at);
        // From the level on at which the places around lie in the area.
        for level in 5..=LEVELS {
            let square = Square { level, key };
            let (keys, side) = (square.keys(), square.side_m());
            assert!(keys.contains(&key) && square.holds(key));
            // Places around: within the square exactly when the same cell of the grid of that side holds them.
            for (x, y) in [(0.3, 0.0), (0.0, 0.7), (-0.4, 0.4), (1.1, -0.2), (-3.0, 8.0)] {
                let other = at + DVec2::new(x, y) * side.max(0.1);
                let cell = |v: f64| ((v + HALF_M) / side).floor();
                let is_inside = (cell(other.x), cell(other.y)) == (cell(at.x), cell(at.y));
                assert_eq!(keys.contains(&hilbert(other)), is_inside, "level {level}, {other}");
                assert_eq!(square.holds(hilbert(other)), is_inside);
            }
            let mut next = *keys.start();
            for (number, quarter) in square.quarters().enumerate() {
                assert_eq!(*quarter.keys().start(), next, "quarter {number} of level {level}");
                next = quarter.keys().end().wrapping_add(1);
            }
            assert!(level == LEVELS || next == keys.end().wrapping_add(1));
        }
        assert_eq!(Square::around(7, 7).level, LEVELS);
        assert_eq!(Square { level: 32, key: 7 }.with(5), Square { level: 31, key: 7 });
    }
}
