//! Coordinate transformation of many points: exact, in bulk, and how far the two are apart.
//!
//! `cargo run --release -p groundline-benches --example transforms`, and beside it PROJ on the same points:
//! `python3 benches/examples/transforms.py`. Both print millions of points a second of one thread's CPU time.

use std::time::Duration;

use glam::DVec3;
use groundline_engine::crs::{Crs, Transform, ecef_from_geographic, geographic_from_ecef};

const COUNT: usize = 2_000_000;
const ROUNDS: usize = 5;

/// CPU time of this process, which a busy machine stretches less than the clock.
fn cpu_time() -> Duration {
    let ticks = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = ticks.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default();
    Duration::from_nanos(nanoseconds)
}

/// Millions of points a second, the best of some rounds; the points of the last round.
fn timed(points: &[DVec3], mut convert: impl FnMut(&mut [DVec3])) -> (f64, Vec<DVec3>) {
    let mut best = Duration::MAX;
    let mut work = Vec::new();
    for _ in 0..ROUNDS {
        work = points.to_vec();
        let start = cpu_time();
        convert(&mut work);
        best = best.min(cpu_time() - start);
    }
    (points.len() as f64 / best.as_secs_f64() / 1e6, work)
}

/// Points of a city of 30 km, always the same (as `transforms.py` makes them).
fn city() -> Vec<DVec3> {
    let mut state = 20_131_122_u64;
    let mut chance = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let point = |_| DVec3::new(520_000.0 + 30_000.0 * chance(), 3_980_000.0 + 30_000.0 * chance(), 50.0 * chance());
    (0..COUNT).map(point).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let points = city();
    for (from, to) in [(4549, 4326), (4549, 3857), (4326, 4549)] {
        let (source, target) = (Crs::from_epsg(from)?, Crs::from_epsg(to)?);
        let start = match source.is_geographic {
            true => {
                timed(&points, |p| Transform::new(&Crs::from_epsg(4549).unwrap(), &source).unwrap().apply_exact(p)).1
            }
            false => points.clone(),
        };
        let way = Transform::new(&source, &target)?;
        let (exact, wanted) = timed(&start, |p| way.apply_exact(p));
        let (bulk, got) = timed(&start, |p| way.apply(p));
        let in_metres = if target.is_geographic { 111_320.0 } else { 1.0 };
        let apart = wanted.iter().zip(&got).map(|(a, b)| a.distance(*b)).fold(0.0, f64::max) * in_metres;
        println!("EPSG:{from} to {to}: exact {exact:.1}, bulk {bulk:.1} M points/s, at most {apart:.1e} m apart");
    }
    let degrees = timed(&points, |p| {
        Transform::new(&Crs::from_epsg(4549).unwrap(), &Crs::from_epsg(4326).unwrap()).unwrap().apply(p);
    });
    let (there, ecef) = timed(&degrees.1, |p| p.iter_mut().for_each(|p| *p = ecef_from_geographic(*p)));
    let (back, _) = timed(&ecef, |p| p.iter_mut().for_each(|p| *p = geographic_from_ecef(*p)));
    println!("EPSG:4979 to 4978: {there:.1}, back {back:.1} M points/s");
    Ok(())
}
