//! Polygons in plan: cleaning, simplifying, insetting, triangulating. Takes whatever a source holds.

use earcut::Earcut;
use glam::{DVec2, DVec3};

use crate::model::Polygon;

/// Vertices nearer than this are one, metres.
const SAME_M: f64 = 1e-3;
/// Rings smaller than this are none, square metres.
const LEAST_AREA_M2: f64 = 1e-2;

/// A polygon fit for drawing: first ring counter-clockwise, holes clockwise, no repeated vertices.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rings(pub Vec<Vec<DVec2>>);

/// Twice-signed area halved: positive when counter-clockwise.
pub(super) fn signed_area(ring: &[DVec2]) -> f64 {
    let Some(first) = ring.first() else { return 0.0 };
    // Relative to the first vertex: coordinates are large, rings are small.
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    pairs.map(|(a, b)| (*a - *first).perp_dot(*b - *first)).sum::<f64>() * 0.5
}

impl Rings {
    /// Cleans `polygon` and moves its outline by at most `tolerance_m`; `None` when no area is left.
    pub fn of(polygon: &Polygon, tolerance_m: f64) -> Option<Self> {
        let outer = clean(&polygon.outer, tolerance_m)?;
        let mut rings = vec![oriented(outer, true)];
        for hole in &polygon.holes {
            if let Some(hole) = clean(hole, tolerance_m) {
                rings.push(oriented(hole, false));
            }
        }
        Some(Self(rings))
    }

    /// The outer ring.
    pub fn outer(&self) -> &[DVec2] {
        &self.0[0]
    }

    /// Area without holes.
    pub fn area(&self) -> f64 {
        self.0.iter().map(|ring| signed_area(ring)).sum::<f64>().max(0.0)
    }

    /// Edges as (start, end); outside is to the right.
    pub fn edges(&self) -> impl Iterator<Item = (DVec2, DVec2)> + '_ {
        self.0.iter().flat_map(|ring| ring.iter().copied().zip(ring.iter().copied().cycle().skip(1)))
    }

    /// Vertices of all rings, in the order that [`Rings::triangles`] counts them.
    pub fn vertices(&self) -> impl Iterator<Item = DVec2> + '_ {
        self.0.iter().flatten().copied()
    }

    /// Counter-clockwise triangles over [`Rings::vertices`].
    pub fn triangles(&self) -> Vec<[u32; 3]> {
        let vertices: Vec<DVec2> = self.vertices().collect();
        let Some(first) = vertices.first().copied() else { return Vec::new() };
        let mut holes: Vec<u32> = Vec::new();
        let mut count = 0;
        for ring in &self.0[..self.0.len() - 1] {
            count += ring.len() as u32;
            holes.push(count);
        }
        let mut indices: Vec<u32> = Vec::new();
        Earcut::new().earcut(vertices.iter().map(|v| (*v - first).to_array()), &holes, &mut indices);
        let triangles = indices.chunks_exact(3).map(|t| {
            let [a, b, c] = [t[0], t[1], t[2]].map(|i| vertices[i as usize]);
            if (b - a).perp_dot(c - a) < 0.0 { [t[0], t[2], t[1]] } else { [t[0], t[1], t[2]] }
        });
        triangles.collect()
    }

    /// All rings moved inward by `distance`; `None` where the polygon is too narrow for that.
    pub fn inset(&self, distance: f64) -> Option<Self> {
        let rings: Option<Vec<Vec<DVec2>>> = self.0.iter().map(|ring| inset_ring(ring, distance)).collect();
        let inner = Self(rings?);
        (inner.area() > self.area() * 0.3 && signed_area(inner.outer()) > 0.0).then_some(inner)
    }

    /// Whether the place is inside.
    pub fn contains(&self, place: DVec2) -> bool {
        let crossings = self.edges().filter(|(a, b)| {
            (a.y > place.y) != (b.y > place.y) && place.x < (b.x - a.x) * (place.y - a.y) / (b.y - a.y) + a.x
        });
        crossings.count() % 2 == 1
    }
}

fn clean(ring: &[DVec3], tolerance_m: f64) -> Option<Vec<DVec2>> {
    let mut clean: Vec<DVec2> = Vec::with_capacity(ring.len());
    for vertex in ring.iter().map(|v| v.truncate()).filter(|v| v.is_finite()) {
        if clean.last().is_none_or(|last: &DVec2| last.distance(vertex) > SAME_M) {
            clean.push(vertex);
        }
    }
    while clean.len() > 1 && clean[0].distance(clean[clean.len() - 1]) <= SAME_M {
        clean.pop();
    }
    if tolerance_m > 0.0 && clean.len() > 4 {
        let simple = simplify_ring(&clean, tolerance_m);
        if simple.len() >= 3 && signed_area(&simple).abs() > LEAST_AREA_M2 {
            clean = simple;
        }
    }
    (clean.len() >= 3 && signed_area(&clean).abs() > LEAST_AREA_M2).then_some(clean)
}

fn oriented(mut ring: Vec<DVec2>, counter_clockwise: bool) -> Vec<DVec2> {
    if (signed_area(&ring) > 0.0) != counter_clockwise {
        ring.reverse();
    }
    ring
}

fn inset_ring(ring: &[DVec2], distance: f64) -> Option<Vec<DVec2>> {
    let count = ring.len();
    let mut moved = Vec::with_capacity(count);
    for i in 0..count {
        let (before, here, after) = (ring[(i + count - 1) % count], ring[i], ring[(i + 1) % count]);
        let (a, b) = ((here - before).try_normalize()?, (after - here).try_normalize()?);
        let bisector = a.perp() + b.perp();
        let length = bisector.length_squared();
        // A spike: its mitre would be longer than anything around it.
        if length < 0.4 {
            return None;
        }
        moved.push(here + bisector * (2.0 * distance / length));
    }
    let keeps_direction = (0..count).all(|i| {
        let next = (i + 1) % count;
        (moved[next] - moved[i]).dot(ring[next] - ring[i]) > 0.0
    });
    keeps_direction.then_some(moved)
}

/// Distance of `point` from the segment.
fn distance_to_segment(point: DVec3, a: DVec3, b: DVec3) -> f64 {
    let along = b - a;
    let share = if along.length_squared() > 0.0 { (point - a).dot(along) / along.length_squared() } else { 0.0 };
    point.distance(a + along * share.clamp(0.0, 1.0))
}

/// Douglas-Peucker: a path that stays within `tolerance_m` of `path`, with the same ends.
pub(super) fn simplify_path(path: &[DVec3], tolerance_m: f64) -> Vec<DVec3> {
    if path.len() < 3 || tolerance_m <= 0.0 {
        return path.to_vec();
    }
    let mut kept = vec![false; path.len()];
    kept[0] = true;
    kept[path.len() - 1] = true;
    let mut stack = vec![(0, path.len() - 1)];
    while let Some((from, to)) = stack.pop() {
        let farthest = (from + 1..to)
            .map(|i| (i, distance_to_segment(path[i], path[from], path[to])))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((middle, distance)) = farthest
            && distance > tolerance_m
        {
            kept[middle] = true;
            stack.push((from, middle));
            stack.push((middle, to));
        }
    }
    path.iter().zip(kept).filter(|(_, keep)| *keep).map(|(v, _)| *v).collect()
}

/// The same of a ring, which is not closed: a ring that stays within `tolerance_m` of it.
pub(in crate::tile) fn simplify_ring(ring: &[DVec2], tolerance_m: f64) -> Vec<DVec2> {
    // The two ends of the split must be corners that stay: the first and the one farthest from it.
    let far = (0..ring.len())
        .max_by(|a, b| ring[*a].distance_squared(ring[0]).total_cmp(&ring[*b].distance_squared(ring[0])));
    let far = far.unwrap_or(0);
    let path = |range: &mut dyn Iterator<Item = &DVec2>| range.map(|v| v.extend(0.0)).collect::<Vec<_>>();
    let there = simplify_path(&path(&mut ring[..=far].iter()), tolerance_m);
    let back = simplify_path(&path(&mut ring[far..].iter().chain(&ring[..1])), tolerance_m);
    there.iter().chain(&back[1..back.len() - 1]).map(|v| v.truncate()).collect()
}

/// A rectangle in plan, turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TurnedRect {
    pub centre: DVec2,
    /// Unit vector of the longer side.
    pub along: DVec2,
    pub half_length: f64,
    pub half_width: f64,
}

impl TurnedRect {
    /// The smallest one, with a side along one of the ring's edges, around `ring`.
    pub fn around(ring: &[DVec2]) -> Option<Self> {
        // Beyond this many corners a footprint is no rectangle, and trying every edge costs too much.
        let edges = ring.iter().zip(ring.iter().cycle().skip(1)).take(32);
        let candidates = edges.filter_map(|(a, b)| {
            let along = (*b - *a).try_normalize()?;
            let across = along.perp();
            let (mut low, mut high) = (DVec2::INFINITY, DVec2::NEG_INFINITY);
            for vertex in ring {
                let local = DVec2::new((*vertex - *a).dot(along), (*vertex - *a).dot(across));
                low = low.min(local);
                high = high.max(local);
            }
            let (half, middle) = ((high - low) * 0.5, (high + low) * 0.5);
            let centre = *a + along * middle.x + across * middle.y;
            Some(if half.x >= half.y {
                Self { centre, along, half_length: half.x, half_width: half.y }
            } else {
                Self { centre, along: across, half_length: half.y, half_width: half.x }
            })
        });
        candidates.min_by(|a, b| a.area().total_cmp(&b.area()))
    }

    pub fn area(&self) -> f64 {
        4.0 * self.half_length * self.half_width
    }

    /// The place at (share of half length, share of half width).
    pub fn at(&self, length: f64, width: f64) -> DVec2 {
        self.centre + self.along * (length * self.half_length) + self.along.perp() * (width * self.half_width)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn polygon(outer: &[(f64, f64)], holes: &[&[(f64, f64)]]) -> Polygon {
        let ring = |ring: &[(f64, f64)]| ring.iter().map(|(x, y)| DVec3::new(*x, *y, 0.0)).collect();
        Polygon { outer: ring(outer), holes: holes.iter().map(|h| ring(h)).collect() }
    }

    fn area_of(rings: &Rings) -> f64 {
        let vertices: Vec<DVec2> = rings.vertices().collect();
        rings
            .triangles()
            .iter()
            .map(|t| {
                let [a, b, c] = t.map(|i| vertices[i as usize]);
                let area = (b - a).perp_dot(c - a) * 0.5;
                assert!(area >= 0.0, "clockwise triangle");
                area
            })
            .sum()
    }

    #[test]
    fn triangles_cover_the_area_far_from_zero_and_whatever_the_winding() {
        let far =
            |list: &[(f64, f64)]| list.iter().map(|(x, y)| (x + 40_500_000.0, y + 4_000_000.0)).collect::<Vec<_>>();
        let outer = far(&[(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0), (0.0, 0.0)]);
        let hole = far(&[(2.0, 2.0), (4.0, 2.0), (4.0, 4.0), (2.0, 4.0)]);
        let rings = Rings::of(&polygon(&outer, &[&hole]), 0.0).unwrap();
        assert!((area_of(&rings) - 96.0).abs() < 1e-6);
        assert!((rings.area() - 96.0).abs() < 1e-6);
        assert_eq!(rings.outer().len(), 4);
    }

    #[test]
    fn degenerate_rings_are_nothing_and_self_crossings_do_no_harm() {
        for bad in [
            &[][..],
            &[(0.0, 0.0)],
            &[(0.0, 0.0), (1.0, 1.0)],
            &[(0.0, 0.0), (5.0, 0.0), (10.0, 0.0)],
            &[(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0)],
            &[(0.0, 0.0), (f64::NAN, 0.0), (f64::INFINITY, 0.0)],
        ] {
            assert_eq!(Rings::of(&polygon(bad, &[]), 0.0), None);
        }
        let bow_tie = Rings::of(&polygon(&[(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 12.0)], &[]), 0.0).unwrap();
        assert!(!bow_tie.triangles().is_empty());
        let spike = Rings::of(&polygon(&[(0.0, 0.0), (10.0, 0.0), (20.0, 0.0), (10.0, 0.0), (10.0, 10.0)], &[]), 0.0);
        assert_eq!(spike.unwrap().inset(0.3), None);
    }

    #[test]
    fn insets_shrink_outside_and_grow_holes() {
        let square = polygon(
            &[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)],
            &[&[(4.0, 4.0), (4.0, 6.0), (6.0, 6.0), (6.0, 4.0)]],
        );
        let inner = Rings::of(&square, 0.0).unwrap().inset(0.5).unwrap();
        assert!((inner.area() - (81.0 - 9.0)).abs() < 1e-9);
        assert!(inner.contains(DVec2::new(1.0, 1.0)) && !inner.contains(DVec2::new(5.0, 5.0)));
        let sliver = polygon(&[(0.0, 0.0), (10.0, 0.0), (10.0, 0.4), (0.0, 0.4)], &[]);
        assert_eq!(Rings::of(&sliver, 0.0).unwrap().inset(0.5), None);
    }

    #[test]
    fn simplifying_keeps_within_the_tolerance() {
        let circle: Vec<(f64, f64)> = (0..64)
            .map(|i| f64::from(i) * std::f64::consts::TAU / 64.0)
            .map(|a| (10.0 * a.cos(), 10.0 * a.sin()))
            .collect();
        let rings = Rings::of(&polygon(&circle, &[]), 0.5).unwrap();
        assert!(rings.outer().len() < 20 && rings.outer().len() > 6);
        assert!((rings.area() - 314.0).abs() < 35.0);
    }

    #[test]
    fn a_turned_rectangle_is_found() {
        let turn = DVec2::from_angle(0.4);
        let corners = [(0.0, 0.0), (20.0, 0.0), (20.0, 8.0), (0.0, 8.0)].map(|(x, y)| turn.rotate(DVec2::new(x, y)));
        let rect = TurnedRect::around(&corners).unwrap();
        assert!((rect.area() - 160.0).abs() < 1e-9);
        assert!((rect.half_length - 10.0).abs() < 1e-9);
        assert!(rect.along.dot(turn).abs() > 0.999_999);
    }
}
