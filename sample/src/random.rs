//! The generator's own random numbers: the same on every machine and in every version of every library.

/// Splitmix64 stream. Every part of the city has a stream of its own, so that one part can change without moving the rest.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Stream of a seed for one purpose.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut state = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
        for byte in purpose.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        Random(state)
    }

    /// Next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform whole number from low to high, both included.
    pub fn whole(&mut self, low: i64, high: i64) -> i64 {
        low + (self.bits() % (high - low + 1).max(1) as u64) as i64
    }

    /// True with a probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of a list that is not empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[(self.bits() % list.len() as u64) as usize]
    }

    /// About normal with mean 0 and deviation 1 (sum of uniforms: no logarithm needed).
    pub fn normal(&mut self) -> f64 {
        (0..6).map(|_| self.unit()).sum::<f64>() * std::f64::consts::SQRT_2 - 3.0 * std::f64::consts::SQRT_2
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number in [0, 1) that belongs to a cell of a lattice.
pub fn cell(seed: u64, x: i64, y: i64) -> f64 {
    let h = mix(seed ^ (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f));
    (h >> 11) as f64 / (1u64 << 53) as f64
}

/// Smooth value noise in [0, 1); one lattice cell is 1 × 1.
pub fn noise(seed: u64, x: f64, y: f64) -> f64 {
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    let (sx, sy) = (fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy));
    let (ix, iy) = (x0 as i64, y0 as i64);
    let low = cell(seed, ix, iy) * (1.0 - sx) + cell(seed, ix + 1, iy) * sx;
    let high = cell(seed, ix, iy + 1) * (1.0 - sx) + cell(seed, ix + 1, iy + 1) * sx;
    low * (1.0 - sy) + high * sy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_fixed_and_apart() {
        assert_eq!(Random::new(7, "trees").bits(), Random::new(7, "trees").bits());
        assert_ne!(Random::new(7, "trees").bits(), Random::new(7, "lamps").bits());
        assert_ne!(Random::new(7, "trees").bits(), Random::new(8, "trees").bits());
        let mut random = Random::new(1, "normal");
        let mean: f64 = (0..10_000).map(|_| random.normal()).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.05, "{mean}");
        assert!((0..1000).all(|_| (3..=5).contains(&random.whole(3, 5))));
    }
}
