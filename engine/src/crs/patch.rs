//! Many points at once: polynomials on a fixed grid of patches instead of the projection's own series.
//!
//! A projection bends little over tens of kilometres. On each square of a grid that is fixed in the source's coordinates
//! (64 km, half a degree) it is sampled at Chebyshev nodes and replaced by a polynomial of degree 5 in each output; what
//! is cut off and the difference at places between the nodes must stay below [`TOLERANCE_M`], else the square is taken
//! in four, and where that does not help points go the exact way. So a point's result depends on its place alone: not on
//! its neighbours, the batch it came in, or the thread.

use std::sync::{Arc, PoisonError, RwLock};

use glam::DVec3;
use rustc_hash::FxHashMap;

/// Farthest that a patch may lie from the exact way, metres on the ground.
const TOLERANCE_M: f64 = 2e-5;
const DEGREE_M: f64 = 111_320.0;

const DEGREE: usize = 5;
/// Coefficients of a polynomial in two variables of that total degree.
const TERMS: usize = (DEGREE + 1) * (DEGREE + 2) / 2;
/// Chebyshev nodes along a side.
const NODES: usize = 8;
/// Places along a side where the polynomial is held against the exact way; the first and last are the corners.
const CHECKS: usize = 6;
/// How often a square is taken in four.
const LEVELS: u8 = 3;
/// Points that are computed together.
const LANES: usize = 128;
/// Squares that are remembered; a city needs a handful.
const CAPACITY: usize = 1 << 16;
/// Squares farther from the origin than this are not numbered.
const FARTHEST: f64 = 1e9;

/// The patches of one transformation, made as they are needed.
pub(super) struct Patches {
    /// Side of the largest squares in units of the source, a power of two so that their borders are exact.
    side: f64,
    is_target_geographic: bool,
    /// [`TOLERANCE_M`] in units of the target.
    tolerance: f64,
    known: RwLock<FxHashMap<(u8, i32, i32), Square>>,
}

#[derive(Clone)]
enum Square {
    Smooth(Arc<Patch>),
    /// Not smooth enough: look at its quarters.
    Split,
    /// No polynomial here.
    Exact,
}

struct Patch {
    min: [f64; 2],
    max: [f64; 2],
    middle: [f64; 2],
    /// From source units to -1…1.
    scale: f64,
    x: [f64; TERMS],
    y: [f64; TERMS],
}

impl Patches {
    /// `source_unit_m` is that of the source's plane coordinates, `None` for degrees; likewise the target's.
    pub fn new(source_unit_m: Option<f64>, target_unit_m: Option<f64>) -> Self {
        let side = source_unit_m.map_or(0.5, |unit_m| 2_f64.powi((65_536.0 / unit_m).log2().round() as i32));
        let tolerance = TOLERANCE_M / target_unit_m.unwrap_or(DEGREE_M);
        Self { side, is_target_geographic: target_unit_m.is_none(), tolerance, known: RwLock::default() }
    }

    /// Converts in place; `exact` is the way that the patches stand for.
    // The list of places left is rewritten while it is read.
    #[allow(clippy::needless_range_loop)]
    pub fn apply(&self, points: &mut [DVec3], exact: &dyn Fn(&mut [DVec3])) {
        let mut last: Option<Arc<Patch>> = None;
        for chunk in points.chunks_mut(LANES) {
            // Most often all lie in one patch, and that is the one of the chunk before.
            if let Some(patch) = last.as_deref().filter(|patch| chunk.iter().all(|p| patch.holds(p))) {
                patch.convert_all(chunk);
                continue;
            }
            let count = chunk.len().min(LANES);
            let (mut rest, mut inside) = ([0_u16; LANES], [0_u16; LANES]);
            rest.iter_mut().enumerate().for_each(|(i, n)| *n = i as u16);
            let mut left = count;
            while left > 0 {
                let first = usize::from(rest[0]);
                let patch = self.patch_at(chunk[first], exact).filter(|patch| patch.holds(&chunk[first]));
                let Some(patch) = patch else {
                    exact(&mut chunk[first..=first]);
                    rest.copy_within(1..left, 0);
                    left -= 1;
                    continue;
                };
                // Without a branch: neighbours in a file may lie in any order.
                let (mut taken, mut kept) = (0, 0);
                for j in 0..left {
                    let i = rest[j];
                    let is_inside = patch.holds(&chunk[usize::from(i)]);
                    inside[taken] = i;
                    rest[kept] = i;
                    taken += usize::from(is_inside);
                    kept += usize::from(!is_inside);
                }
                left = kept;
                patch.convert_some(chunk, &inside[..taken]);
                last = Some(patch);
            }
        }
    }

    fn patch_at(&self, place: DVec3, exact: &dyn Fn(&mut [DVec3])) -> Option<Arc<Patch>> {
        for level in 0..=LEVELS {
            let side = self.side / f64::from(1_u32 << level);
            let (column, row) = ((place.x / side).floor(), (place.y / side).floor());
            // Also false for NaN.
            if !(column.abs() < FARTHEST && row.abs() < FARTHEST) {
                return None;
            }
            let key = (level, column as i32, row as i32);
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            let square = known.unwrap_or_else(|| {
                let made = self.make(level, [column * side, row * side], side, exact);
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= CAPACITY {
                    known.clear();
                }
                known.insert(key, made.clone());
                made
            });
            match square {
                Square::Smooth(patch) => return Some(patch),
                Square::Split => {}
                Square::Exact => return None,
            }
        }
        None
    }

    fn make(&self, level: u8, min: [f64; 2], side: f64, exact: &dyn Fn(&mut [DVec3])) -> Square {
        let half = side / 2.0;
        let middle = [min[0] + half, min[1] + half];
        let place = |u: f64, v: f64| DVec3::new(middle[0] + u * half, middle[1] + v * half, 0.0);
        let node = |i: usize| (std::f64::consts::PI * (i as f64 + 0.5) / NODES as f64).cos();
        let mut samples: Vec<DVec3> = (0..NODES * NODES).map(|i| place(node(i % NODES), node(i / NODES))).collect();
        exact(&mut samples);
        let check = |i: usize| 2.0 * i as f64 / (CHECKS - 1) as f64 - 1.0;
        let checks: Vec<[f64; 2]> = (0..CHECKS * CHECKS).map(|i| [check(i % CHECKS), check(i / CHECKS)]).collect();
        let mut wanted: Vec<DVec3> = checks.iter().map(|[u, v]| place(*u, *v)).collect();
        exact(&mut wanted);

        let all = || samples.iter().chain(&wanted);
        let failed = if level < LEVELS { Square::Split } else { Square::Exact };
        if !all().all(|p| p.x.is_finite() && p.y.is_finite()) {
            // The border of what can be converted: below some kilometres it is not followed.
            return failed;
        }
        if self.is_target_geographic && all().any(|p| p.x.abs() > 179.0 || p.y.abs() > 89.9) {
            // Longitudes jump at the date line and turn fast around a pole.
            return failed;
        }
        let (x, lost_x) = fit(|i| samples[i].x);
        let (y, lost_y) = fit(|i| samples[i].y);
        let max = [min[0] + side, min[1] + side];
        let patch = Patch { min, max, middle, scale: 1.0 / half, x, y };
        let worst = checks.iter().zip(&wanted).fold(lost_x.max(lost_y), |worst, ([u, v], wanted)| {
            let off = |terms, wanted: f64| (value(terms, *u, *v) - wanted).abs();
            worst.max(off(&patch.x, wanted.x)).max(off(&patch.y, wanted.y))
        });
        if worst <= self.tolerance { Square::Smooth(Arc::new(patch)) } else { failed }
    }
}

impl Patch {
    fn holds(&self, p: &DVec3) -> bool {
        (p.x >= self.min[0]) & (p.x < self.max[0]) & (p.y >= self.min[1]) & (p.y < self.max[1])
    }

    fn unit(&self, p: &DVec3) -> (f64, f64) {
        ((p.x - self.middle[0]) * self.scale, (p.y - self.middle[1]) * self.scale)
    }

    fn convert_all(&self, chunk: &mut [DVec3]) {
        let (mut u, mut v) = ([0.0; LANES], [0.0; LANES]);
        for ((u, v), p) in u.iter_mut().zip(&mut v).zip(chunk.iter()) {
            (*u, *v) = self.unit(p);
        }
        let (x, y) = self.values(&u, &v, chunk.len());
        for ((p, x), y) in chunk.iter_mut().zip(x).zip(y) {
            (p.x, p.y) = (x, y);
        }
    }

    fn convert_some(&self, chunk: &mut [DVec3], which: &[u16]) {
        let (mut u, mut v) = ([0.0; LANES], [0.0; LANES]);
        for ((u, v), i) in u.iter_mut().zip(&mut v).zip(which) {
            (*u, *v) = self.unit(&chunk[usize::from(*i)]);
        }
        let (x, y) = self.values(&u, &v, which.len());
        for ((i, x), y) in which.iter().zip(x).zip(y) {
            let p = &mut chunk[usize::from(*i)];
            (p.x, p.y) = (x, y);
        }
    }

    /// The first `count` of both outputs; plain loops over arrays, so that the compiler takes several points at once.
    fn values(&self, u: &[f64; LANES], v: &[f64; LANES], count: usize) -> ([f64; LANES], [f64; LANES]) {
        let (mut x, mut y) = ([0.0; LANES], [0.0; LANES]);
        let count = count.min(LANES);
        let places = u[..count].iter().zip(&v[..count]);
        for ((x, y), (u, v)) in x[..count].iter_mut().zip(&mut y[..count]).zip(places) {
            *x = value(&self.x, *u, *v);
            *y = value(&self.y, *u, *v);
        }
        (x, y)
    }
}

/// The polynomial at a place: by Horner in v, whose coefficients are polynomials in u. Terms stand from the highest
/// power of v, each from the highest power of u.
#[inline(always)]
fn value(terms: &[f64; TERMS], u: f64, v: f64) -> f64 {
    let t = terms;
    let mut sum = t[0];
    sum = sum * v + (t[1] * u + t[2]);
    sum = sum * v + ((t[3] * u + t[4]) * u + t[5]);
    sum = sum * v + (((t[6] * u + t[7]) * u + t[8]) * u + t[9]);
    sum = sum * v + ((((t[10] * u + t[11]) * u + t[12]) * u + t[13]) * u + t[14]);
    sum * v + (((((t[15] * u + t[16]) * u + t[17]) * u + t[18]) * u + t[19]) * u + t[20])
}

/// Where the term u^k v^l stands.
fn index(k: usize, l: usize) -> usize {
    let row = DEGREE - l;
    row * (row + 1) / 2 + (row - k)
}

/// The polynomial through samples at the nodes (node of u fastest), and the sum of what was cut off.
fn fit(sample: impl Fn(usize) -> f64) -> ([f64; TERMS], f64) {
    let mut turn = [[0.0; NODES]; NODES];
    for (i, row) in turn.iter_mut().enumerate() {
        for (n, at) in row.iter_mut().enumerate() {
            *at = (std::f64::consts::PI * i as f64 * (n as f64 + 0.5) / NODES as f64).cos();
        }
    }
    // Differences to one sample keep the digits.
    let base = sample(0);
    let mut terms = [0.0; TERMS];
    let mut lost = 0.0;
    for i in 0..NODES {
        for j in 0..NODES {
            let products = (0..NODES * NODES).map(|n| (sample(n) - base) * turn[i][n % NODES] * turn[j][n / NODES]);
            let half = |n: usize| if n == 0 { 1.0 } else { 2.0 };
            let weight = products.sum::<f64>() * half(i) * half(j) / (NODES * NODES) as f64;
            if i + j > DEGREE {
                lost += weight.abs();
                continue;
            }
            for (k, of_u) in CHEBYSHEV[i].iter().enumerate() {
                for (l, of_v) in CHEBYSHEV[j].iter().enumerate().filter(|(l, _)| k + l <= DEGREE) {
                    terms[index(k, l)] += weight * of_u * of_v;
                }
            }
        }
    }
    terms[index(0, 0)] += base;
    (terms, lost)
}

/// Chebyshev's polynomials by powers.
const CHEBYSHEV: [[f64; DEGREE + 1]; DEGREE + 1] = [
    [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
    [-1.0, 0.0, 2.0, 0.0, 0.0, 0.0],
    [0.0, -3.0, 0.0, 4.0, 0.0, 0.0],
    [1.0, 0.0, -8.0, 0.0, 8.0, 0.0],
    [0.0, 5.0, 0.0, -20.0, 0.0, 16.0],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_is_found_again() {
        let node = |i: usize| (std::f64::consts::PI * (i as f64 + 0.5) / NODES as f64).cos();
        let wanted = |u: f64, v: f64| 3.0 - u + 2.0 * v * v * u - 0.5 * u.powi(3) * v * v + v.powi(5);
        let (terms, lost) = fit(|i| wanted(node(i % NODES), node(i / NODES)));
        assert!(lost < 1e-13, "{lost}");
        for (u, v) in [(0.0, 0.0), (1.0, -1.0), (0.3, 0.7), (-0.9, 0.1)] {
            assert!((value(&terms, u, v) - wanted(u, v)).abs() < 1e-13, "{u}, {v}");
        }
    }
}
