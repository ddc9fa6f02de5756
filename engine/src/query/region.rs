//! A region in plan: places, paths, polygons with holes; and how far from it an object lies.

use geo::kernels::{Kernel, Orientation, RobustKernel};
use glam::{DVec2, DVec3};

use super::tree::BoxTree;
use crate::{model::Extent, store::Footprint};

/// No plane system of the Earth has coordinates beyond this, metres: 40 zones of a thousand kilometres are far within.
pub(crate) const FARTHEST_M: f64 = 1e9;
/// Most vertices of a region.
const MOST_VERTICES: usize = 100_000;
/// Most boxes that the paths of a region are covered with.
const MOST_BOXES: f64 = 256.0;
/// Shortest box along a path, metres.
const LEAST_BOX_M: f64 = 100.0;

/// Why something is no region.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RegionError {
    /// Nothing is in it.
    #[error("the geometry is empty")]
    Empty,
    /// A ring encloses nothing.
    #[error("a ring of a polygon needs at least three vertices, not {0}")]
    ShortRing(usize),
    /// Too large to be asked for.
    #[error("more than {MOST_VERTICES} vertices")]
    TooLarge,
    /// No place on the Earth.
    #[error("{0:.6e}, {1:.6e} is no place on the Earth")]
    OffEarth(f64, f64),
    /// A distance that is none.
    #[error("{0} m is no distance")]
    BadDistance(f64),
    /// A text that is no geometry.
    #[error("at character {position}: {reason}")]
    BadText {
        /// Character of the text, counted from 1.
        position: usize,
        /// What is wrong there.
        reason: String,
    },
    /// JSON that is no geometry.
    #[error("{0}")]
    BadJson(String),
}

/// The parts of a region before they are checked: rings may repeat their first vertex at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parts {
    pub points: Vec<DVec2>,
    pub paths: Vec<Vec<DVec2>>,
    /// Each as its rings, the outer one first.
    pub polygons: Vec<Vec<Vec<DVec2>>>,
}

/// Places, paths and polygons with holes in plan. Edges belong to it; where a ring crosses itself or another of its polygon,
/// what an odd number of rings go around is inside.
///
/// ```
/// use groundline_engine::query::Region;
/// let region = Region::parse("POLYGON((0 0, 9 0, 9 9, 0 9), (2 2, 3 2, 3 3, 2 3))")?;
/// assert!(region.holds((1.0, 1.0).into()) && !region.holds((2.5, 2.5).into()));
/// # Ok::<(), groundline_engine::query::RegionError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    parts: Parts,
    /// Ends of each edge: places first (both ends the same), then paths, then rings.
    edges: Vec<[DVec2; 2]>,
    /// The polygon of each of the last edges.
    polygon_of: Vec<u32>,
    tree: BoxTree,
    extent: Extent,
}

impl Region {
    /// A path; one vertex makes it a place.
    pub fn line(path: Vec<DVec2>) -> Result<Self, RegionError> {
        Self::new(Parts { paths: vec![path], ..Parts::default() })
    }

    /// A polygon without holes.
    pub fn polygon(ring: Vec<DVec2>) -> Result<Self, RegionError> {
        Self::new(Parts { polygons: vec![vec![ring]], ..Parts::default() })
    }

    /// The region of checked parts.
    pub(crate) fn new(mut parts: Parts) -> Result<Self, RegionError> {
        let rings = || parts.polygons.iter().flatten();
        let all = || parts.points.iter().chain(parts.paths.iter().flatten()).chain(rings().flatten());
        if all().nth(MOST_VERTICES).is_some() {
            return Err(RegionError::TooLarge);
        }
        let is_place = |v: &DVec2| v.is_finite() && v.abs().max_element() <= FARTHEST_M;
        if let Some(off) = all().find(|v| !is_place(v)) {
            return Err(RegionError::OffEarth(off.x, off.y));
        }
        for ring in parts.polygons.iter_mut().flatten() {
            if ring.len() > 1 && ring.first() == ring.last() {
                ring.pop();
            }
            if ring.len() < 3 {
                return Err(RegionError::ShortRing(ring.len()));
            }
        }
        parts.paths.retain(|path| !path.is_empty());
        parts.polygons.retain(|rings| !rings.is_empty());
        let mut edges: Vec<[DVec2; 2]> = parts.points.iter().map(|at| [*at, *at]).collect();
        for path in &parts.paths {
            if let [one] = path[..] {
                edges.push([one, one]);
            }
            edges.extend(path.windows(2).map(|pair| [pair[0], pair[1]]));
        }
        let mut polygon_of = Vec::new();
        for (number, rings) in parts.polygons.iter().enumerate() {
            for ring in rings {
                edges.extend(ring.iter().zip(ring.iter().cycle().skip(1)).map(|(a, b)| [*a, *b]));
                polygon_of.resize(polygon_of.len() + ring.len(), number as u32);
            }
        }
        if edges.is_empty() {
            return Err(RegionError::Empty);
        }
        let boxes: Vec<Extent> = edges.iter().map(|edge| Extent::around(edge.map(|v| v.extend(0.0)))).collect();
        let tree = BoxTree::new(&boxes);
        let extent = endless(*tree.extent(), 0.0);
        Ok(Self { parts, edges, polygon_of, tree, extent })
    }

    /// The box around it, of any height.
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// The region with every vertex moved by `place`, long edges in several pieces, since they may bend.
    pub fn mapped(&self, place: &dyn Fn(DVec2) -> DVec2) -> Result<Self, RegionError> {
        // Over 60 km a parallel is bent by some 50 m; in 64 pieces each is by a centimetre.
        let steps = (4_096 / self.edges.len()).clamp(1, 64);
        let along = |path: &[DVec2], is_closed: bool| -> Vec<DVec2> {
            let mut moved = Vec::with_capacity(path.len() * steps);
            let edges = if is_closed { path.len() } else { path.len() - 1 };
            for at in 0..edges {
                let (a, b) = (path[at], path[(at + 1) % path.len()]);
                moved.extend((0..steps).map(|k| place(a.lerp(b, k as f64 / steps as f64))));
            }
            moved.extend(path.last().filter(|_| !is_closed).map(|last| place(*last)));
            moved
        };
        let rings = |rings: &Vec<Vec<DVec2>>| rings.iter().map(|ring| along(ring, true)).collect();
        Self::new(Parts {
            points: self.parts.points.iter().map(|at| place(*at)).collect(),
            paths: self.parts.paths.iter().map(|path| along(path, false)).collect(),
            polygons: self.parts.polygons.iter().map(rings).collect(),
        })
    }

    /// Whether the place lies in one of the polygons; the edge may count as either side.
    pub fn holds(&self, place: DVec2) -> bool {
        if self.polygon_of.is_empty() {
            return false;
        }
        // Polygons that an odd number of edges to the right go around.
        let mut odd: Vec<u32> = Vec::new();
        let to_the_right = Extent { min: place.extend(0.0), max: DVec3::new(f64::INFINITY, place.y, 0.0) };
        let first_ring = self.edges.len() - self.polygon_of.len();
        self.tree.each_in_box(&to_the_right, &mut |number, _| {
            let Some(polygon) = (number as usize).checked_sub(first_ring).map(|at| self.polygon_of[at]) else { return };
            let [a, b] = self.edges[number as usize];
            if !is_passed(place, a, b) {
                return;
            }
            match odd.iter().position(|held| *held == polygon) {
                Some(at) => drop(odd.swap_remove(at)),
                None => odd.push(polygon),
            }
        });
        !odd.is_empty()
    }

    /// Distance in plan to a place: 0 inside and on edges.
    pub(crate) fn distance_to(&self, place: DVec2) -> f64 {
        let footprint = Footprint { points: vec![place.extend(0.0)], ..Footprint::default() };
        self.distance(&footprint, f64::INFINITY).unwrap_or(f64::INFINITY)
    }

    /// Distance in plan to a footprint where it is not above `most`: 0 where they share a point.
    pub(crate) fn distance(&self, footprint: &Footprint, most: f64) -> Option<f64> {
        // Where no edges meet, a part is inside as a whole or not at all: one vertex of it decides.
        let lines = footprint.lines.iter().filter_map(|line| line.first());
        let areas = footprint.polygons.iter().filter_map(|rings| rings.first()?.first());
        if footprint.points.iter().chain(lines).chain(areas).any(|v| self.holds(v.truncate())) {
            return Some(0.0);
        }
        let is_around = |place: &DVec2| footprint.polygons.iter().any(|rings| is_inside(rings, *place));
        let areas = self.parts.polygons.iter().filter_map(|rings| rings[0].first());
        let paths = self.parts.paths.iter().filter_map(|path| path.first());
        if !footprint.polygons.is_empty() && self.parts.points.iter().chain(paths).chain(areas).any(is_around) {
            return Some(0.0);
        }
        let mut nearest = None;
        let mut bound = most;
        let mut compare = |a: DVec2, b: DVec2| {
            let reach = Extent { min: (a.min(b) - bound).extend(0.0), max: (a.max(b) + bound).extend(0.0) };
            self.tree.each_in_box(&reach, &mut |number, _| {
                let [c, d] = self.edges[number as usize];
                let distance = distance_of_segments(a, b, c, d);
                if distance <= bound {
                    (bound, nearest) = (distance, Some(distance));
                }
            });
            bound > 0.0 || nearest.is_none()
        };
        for point in &footprint.points {
            compare(point.truncate(), point.truncate());
        }
        for line in footprint.lines.iter().chain(footprint.polygons.iter().flatten()) {
            if let [one] = line[..] {
                compare(one.truncate(), one.truncate());
            }
            if !line.windows(2).all(|pair| compare(pair[0].truncate(), pair[1].truncate())) {
                break;
            }
        }
        nearest
    }

    /// Boxes that hold everything within `within_m`: several along a path, since the box around a long one is mostly empty.
    pub(crate) fn boxes(&self, within_m: f64) -> Vec<Extent> {
        let areas =
            self.parts.polygons.iter().map(|rings| Extent::around(rings.iter().flatten().map(|v| v.extend(0.0))));
        let places = self.parts.points.iter().map(|at| Extent::around([at.extend(0.0)]));
        let mut boxes: Vec<Extent> = areas.chain(places).collect();
        let length = |path: &Vec<DVec2>| path.windows(2).map(|pair| pair[0].distance(pair[1])).sum::<f64>();
        let total: f64 = self.parts.paths.iter().map(length).sum();
        let step = (total / MOST_BOXES).max(2.0 * within_m).max(LEAST_BOX_M);
        for path in &self.parts.paths {
            let mut piece = Extent::around(path.first().map(|v| v.extend(0.0)));
            let mut walked = 0.0;
            for pair in path.windows(2) {
                let edge = pair[0].distance(pair[1]);
                let count = (edge / step).ceil().clamp(1.0, 2.0 * MOST_BOXES) as u32;
                for k in 1..=count {
                    let end = pair[0].lerp(pair[1], f64::from(k) / f64::from(count)).extend(0.0);
                    piece.add(end);
                    walked += edge / f64::from(count);
                    if walked >= step {
                        boxes.push(std::mem::replace(&mut piece, Extent::around([end])));
                        walked = 0.0;
                    }
                }
            }
            boxes.push(piece);
        }
        if boxes.len() as f64 > 4.0 * MOST_BOXES {
            boxes = vec![*self.tree.extent()];
        }
        // A piece that ends within an edge may be off by the last digit.
        boxes.into_iter().map(|piece| endless(piece, within_m + 1e-6)).collect()
    }
}

/// The box grown in plan, of any height.
fn endless(extent: Extent, by_m: f64) -> Extent {
    let by = DVec2::splat(by_m);
    Extent {
        min: (extent.min.truncate() - by).extend(f64::NEG_INFINITY),
        max: (extent.max.truncate() + by).extend(f64::INFINITY),
    }
}

fn side(a: DVec2, b: DVec2, c: DVec2) -> Orientation {
    let coord = |v: DVec2| geo::Coord { x: v.x, y: v.y };
    // Exact: rounding would let a place beside an edge be on it, or on both of its sides.
    RobustKernel::orient2d(coord(a), coord(b), coord(c))
}

/// Whether a ray from `place` to the right passes the edge, one end of which belongs to it.
fn is_passed(place: DVec2, a: DVec2, b: DVec2) -> bool {
    let left = if a.y < b.y { Orientation::CounterClockwise } else { Orientation::Clockwise };
    (a.y > place.y) != (b.y > place.y) && side(a, b, place) == left
}

/// Even-odd rule over closed rings.
pub(super) fn is_inside(rings: &[Vec<DVec3>], place: DVec2) -> bool {
    let edges = rings.iter().flat_map(|ring| ring.windows(2));
    edges.filter(|edge| is_passed(place, edge[0].truncate(), edge[1].truncate())).count() % 2 == 1
}

fn distance_to_segment(place: DVec2, a: DVec2, b: DVec2) -> f64 {
    let along = b - a;
    let length2 = along.length_squared();
    let t = if length2 > 0.0 { ((place - a).dot(along) / length2).clamp(0.0, 1.0) } else { 0.0 };
    place.distance(a + along * t)
}

/// Whether two segments share a point, ends included.
fn do_segments_meet(a: DVec2, b: DVec2, c: DVec2, d: DVec2) -> bool {
    if (a.max(b).cmplt(c.min(d)) | c.max(d).cmplt(a.min(b))).any() {
        return false;
    }
    let (s1, s2, s3, s4) = (side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b));
    if [s1, s2, s3, s4].iter().all(|s| *s == Orientation::Collinear) {
        // On one line (or a place on a place), and their boxes overlap.
        return true;
    }
    let is_apart = |one: Orientation, other: Orientation| one == other && one != Orientation::Collinear;
    !is_apart(s1, s2) && !is_apart(s3, s4)
}

fn distance_of_segments(a: DVec2, b: DVec2, c: DVec2, d: DVec2) -> f64 {
    if do_segments_meet(a, b, c, d) {
        return 0.0;
    }
    let ends = [distance_to_segment(a, c, d), distance_to_segment(b, c, d)];
    let others = [distance_to_segment(c, a, b), distance_to_segment(d, a, b)];
    ends.into_iter().chain(others).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(text: &str) -> Region {
        Region::parse(text).unwrap()
    }

    fn square(x: f64, y: f64, size: f64) -> Footprint {
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)];
        let ring = corners.map(|(u, v)| DVec3::new(x + u * size, y + v * size, 0.0)).to_vec();
        Footprint { polygons: vec![vec![ring]], ..Footprint::default() }
    }

    fn line(vertices: &[(f64, f64)]) -> Footprint {
        let line = vertices.iter().map(|(x, y)| DVec3::new(*x, *y, 0.0)).collect();
        Footprint { lines: vec![line], ..Footprint::default() }
    }

    #[test]
    fn distances_are_those_to_the_nearest_point() {
        let street = region("LINESTRING(0 0, 10 0, 10 10)");
        assert_eq!(street.distance(&square(13.0, 14.0, 2.0), 9.0), Some(5.0), "from the end of the line");
        assert_eq!(street.distance(&square(13.0, 14.0, 2.0), 4.9), None);
        assert_eq!(street.distance(&square(4.0, 3.0, 2.0), 9.0), Some(3.0), "inside the bend");
        assert_eq!(street.distance(&square(-5.0, -5.0, 30.0), 0.0), Some(0.0), "the whole line lies in the square");
        assert_eq!(street.distance(&line(&[(10.0, 10.0), (20.0, 20.0)]), 0.0), Some(0.0), "end to end");
        let place = region("POINT(3 4)");
        assert_eq!(place.distance(&line(&[(0.0, 0.0)]), 9.0), Some(5.0));
        assert_eq!(region("LINESTRING(3 4)").distance(&line(&[(0.0, 0.0)]), 9.0), Some(5.0), "a line of one vertex");
        assert_eq!(region("LINESTRING(3 4, 3 4)").distance(&line(&[(0.0, 0.0)]), 9.0), Some(5.0));
        let eight = region("LINESTRING(0 0, 10 10, 10 0, 0 10, 0 0)");
        let crossed = eight.distance(&square(4.5, 7.0, 0.5), 9.0).unwrap();
        assert!((crossed - 1.5 * f64::sqrt(0.5)).abs() < 1e-12, "a line that crosses itself: {crossed}");
    }

    #[test]
    fn holes_and_touching_edges_count_as_they_should() {
        let ring = region("POLYGON((0 0, 30 0, 30 30, 0 30, 0 0), (10 10, 20 10, 20 20, 10 20, 10 10))");
        assert_eq!(ring.distance(&square(12.0, 12.0, 5.0), 9.0), Some(2.0), "in the hole");
        assert_eq!(ring.distance(&square(12.0, 12.0, 5.0), 0.0), None);
        assert_eq!(ring.distance(&square(12.0, 12.0, 8.0), 0.0), Some(0.0), "touches the edge of the hole");
        assert_eq!(ring.distance(&square(2.0, 2.0, 5.0), 0.0), Some(0.0));
        assert_eq!(ring.distance(&square(-5.0, -5.0, 50.0), 0.0), Some(0.0), "around all of it");
        assert_eq!(ring.distance(&square(30.0, 30.0, 5.0), 0.0), Some(0.0), "corner on corner");
        // Thirds cannot be written down: only an exact test says whether the middle of this edge is on it.
        let wedge = region("POLYGON((0 0, 3 1, 0 1))");
        assert_eq!(wedge.distance(&line(&[(1.5, 0.5)]), 0.0), Some(0.0));
        assert_eq!(wedge.distance(&line(&[(1.5, 0.5 - 1e-16)]), 0.0), None);
        let two = region("MULTIPOLYGON(((0 0, 9 0, 9 9, 0 9)), ((5 5, 14 5, 14 14, 5 14)))");
        assert!(two.holds(DVec2::splat(7.0)), "where both lie");
    }

    #[test]
    fn boxes_cover_what_is_within_and_little_else() {
        let path: Vec<DVec2> =
            (0..400).map(|i| DVec2::new(f64::from(i) * 70.0, (f64::from(i) * 0.3).sin() * 900.0)).collect();
        let region = Region::line(path).unwrap();
        let boxes = region.boxes(20.0);
        assert!(boxes.len() < 600);
        for i in 0..20_000 {
            let at = DVec2::new(f64::from(i % 200) * 140.0, f64::from(i / 200) * 20.0 - 1_000.0);
            let is_near = region.distance(&line(&[(at.x, at.y)]), 20.0).is_some();
            let is_covered = boxes.iter().any(|b| b.overlaps(&Extent::around([at.extend(5.0)])));
            assert!(is_covered || !is_near, "{at}");
        }
        let area = |b: &Extent| b.size().x * b.size().y;
        assert!(boxes.iter().map(area).sum::<f64>() < 0.5 * area(region.extent()));
    }

    #[test]
    fn what_is_no_region_is_refused() {
        let bad =
            |vertices: &[(f64, f64)]| Region::line(vertices.iter().map(|v| DVec2::from(*v)).collect()).unwrap_err();
        assert_eq!(bad(&[]), RegionError::Empty);
        assert!(matches!(bad(&[(0.0, f64::NAN)]), RegionError::OffEarth(..)));
        assert!(matches!(bad(&[(f64::NAN, 0.0)]), RegionError::OffEarth(..)));
        assert!(matches!(bad(&[(0.0, 1e300)]), RegionError::OffEarth(..)));
        assert_eq!(bad(&vec![(0.0, 0.0); MOST_VERTICES + 1]), RegionError::TooLarge);
        assert_eq!(Region::polygon(vec![DVec2::ZERO, DVec2::X]).unwrap_err(), RegionError::ShortRing(2));
    }

    #[test]
    fn random_shapes_agree_with_sampling() {
        let mut seed = 7u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f64 / f64::from(1 << 24) * 100.0
        };
        for _ in 0..200 {
            let path: Vec<DVec2> = (0..5).map(|_| DVec2::new(random(), random())).collect();
            let other: Vec<(f64, f64)> = (0..4).map(|_| (random(), random())).collect();
            let walk = |path: &[DVec2]| -> Vec<DVec2> {
                path.windows(2)
                    .flat_map(|p| (0..=200).map(|k| p[0].lerp(p[1], f64::from(k) / 200.0)).collect::<Vec<_>>())
                    .collect()
            };
            let ends: Vec<DVec2> = other.iter().map(|v| DVec2::from(*v)).collect();
            let (a, b) = (walk(&path), walk(&ends));
            let sampled = a.iter().flat_map(|p| b.iter().map(|q| p.distance(*q))).fold(f64::INFINITY, f64::min);
            let exact = Region::line(path).unwrap().distance(&line(&other), f64::INFINITY).unwrap();
            assert!(exact <= sampled + 1e-12 && sampled - exact < 1.0, "{exact} {sampled}");
        }
    }
}
