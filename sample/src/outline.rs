//! Outlines of buildings and grounds: rings in the plan, counter-clockwise.

use glam::DVec2;

use crate::plane::middle;

/// Rectangle with its middle, unit vector along, length along and depth across; counter-clockwise.
pub(crate) fn rectangle(at: DVec2, along: DVec2, length: f64, depth: f64) -> Vec<DVec2> {
    let (u, v) = (along * (length / 2.0), along.perp() * (depth / 2.0));
    vec![at - u - v, at + u - v, at + u + v, at - u + v]
}

/// Round outline with an even number of corners.
pub(crate) fn round(at: DVec2, along: DVec2, length: f64, depth: f64, corners: u32) -> Vec<DVec2> {
    (0..corners)
        .map(|k| {
            let u = crate::angle::direction(std::f64::consts::TAU * (f64::from(k) + 0.5) / f64::from(corners));
            at + along * (u.x * length / 2.0) + along.perp() * (u.y * depth / 2.0)
        })
        .collect()
}

/// Outline given in metres along and across from a middle.
pub(crate) fn shape(at: DVec2, along: DVec2, corners: &[(f64, f64)]) -> Vec<DVec2> {
    let ring: Vec<DVec2> = corners.iter().map(|(u, v)| at + along * *u + along.perp() * *v).collect();
    if crate::plane::area(&ring) < 0.0 { ring.into_iter().rev().collect() } else { ring }
}

/// A ring drawn in towards its middle.
pub(crate) fn shrunk(ring: &[DVec2], factor: f64) -> Vec<DVec2> {
    let m = middle(ring);
    ring.iter().map(|p| m + (*p - m) * factor).collect()
}

/// A ring moved outwards by a margin (counter-clockwise rings; corners stay sharp).
pub(crate) fn grown(ring: &[DVec2], margin: f64) -> Vec<DVec2> {
    let n = ring.len();
    (0..n)
        .map(|i| {
            let a = (ring[i] - ring[(i + n - 1) % n]).normalize_or_zero();
            let b = (ring[(i + 1) % n] - ring[i]).normalize_or_zero();
            let (na, nb) = (-a.perp(), -b.perp());
            let bisector = (na + nb) / (1.0 + na.dot(nb)).max(0.4);
            ring[i] + bisector * margin
        })
        .collect()
}

/// Point block with its corners cut out.
pub(crate) fn cross(at: DVec2, u: DVec2, w: f64, d: f64) -> Vec<DVec2> {
    let (w, d, n) = (w / 2.0, d / 2.0, 4.0);
    shape(
        at,
        u,
        &[
            (-w + n, -d),
            (w - n, -d),
            (w - n, -d + n),
            (w, -d + n),
            (w, d - n),
            (w - n, d - n),
            (w - n, d),
            (-w + n, d),
            (-w + n, d - n),
            (-w, d - n),
            (-w, -d + n),
            (-w + n, -d + n),
        ],
    )
}

/// Slab whose stairwells step out to the north.
pub(crate) fn bays(at: DVec2, u: DVec2, w: f64, d: f64) -> Vec<DVec2> {
    let (w, d) = (w / 2.0, d / 2.0);
    let units = if w > 26.0 { 3 } else { 2 };
    let mut corners = vec![(-w, -d), (w, -d), (w, d - 1.6)];
    for k in (0..units).rev() {
        let x = -w + 2.0 * w * (f64::from(k) + 0.5) / f64::from(units);
        corners.extend([(x + 3.2, d - 1.6), (x + 3.2, d), (x - 3.2, d), (x - 3.2, d - 1.6)]);
    }
    corners.push((-w, d - 1.6));
    shape(at, u, &corners)
}

/// Corners of a rectangle whose corners are cut off.
pub(crate) fn chamfered(w: f64, d: f64, c: f64) -> [(f64, f64); 8] {
    let (w, d) = (w / 2.0, d / 2.0);
    [(-w + c, -d), (w - c, -d), (w, -d + c), (w, d - c), (w - c, d), (-w + c, d), (-w, d - c), (-w, -d + c)]
}

/// Tower on a podium of a length and depth, one of five kinds.
pub(crate) fn tower(at: DVec2, u: DVec2, w: f64, d: f64, kind: i64) -> Vec<DVec2> {
    let side = (w.min(d) * 0.74).min(36.0);
    match kind {
        0 => round(at, u, side * 1.08, side * 1.08, 28),
        1 => shape(at, u, &chamfered(side * 1.1, side * 0.94, side * 0.2)),
        2 => shrunk(&round(at, u, w * 0.86, side * 0.86, 28), 1.0),
        3 => cross(at, u, side * 1.1, side),
        _ => rectangle(at, u, side * 1.12, side * 0.9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_run_counter_clockwise() {
        let (at, u) = (DVec2::new(5.0, 6.0), crate::angle::direction(0.3));
        for kind in 0..5 {
            assert!(crate::plane::area(&tower(at, u, 50.0, 40.0, kind)) > 0.0);
        }
        assert!(crate::plane::area(&bays(at, u, 60.0, 14.0)) > 0.0);
        assert!(crate::plane::area(&cross(at, u, 27.0, 22.0)) > 0.0);
    }
}
