//! The shape of a feature, as the simple-features model has it.

use glam::DVec3;
use groundline_engine::model::{Point, Polygon, Vertical};

/// Points, lines, polygons and faces of one feature; more than one kind only out of a geometry collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shape {
    pub points: Vec<DVec3>,
    pub lines: Vec<Vec<DVec3>>,
    pub polygons: Vec<Polygon>,
    /// Faces in space, such as those of a multi-patch; drawn as they are.
    pub triangles: Vec<[DVec3; 3]>,
    /// Whether the source gave heights.
    pub has_z: bool,
}

/// What a shape mainly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    Point,
    Line,
    Polygon,
    Nothing,
}

impl Shape {
    pub fn dimension(&self) -> Dimension {
        match (self.polygons.is_empty() && self.triangles.is_empty(), self.lines.is_empty(), self.points.is_empty()) {
            (false, ..) => Dimension::Polygon,
            (_, false, _) => Dimension::Line,
            (.., false) => Dimension::Point,
            _ => Dimension::Nothing,
        }
    }

    /// All vertices, in the order of [`Shape::for_each_mut`].
    pub fn all(&self) -> impl Iterator<Item = DVec3> {
        let rings = self.polygons.iter().flat_map(|p| std::iter::once(&p.outer).chain(&p.holes));
        self.points
            .iter()
            .chain(self.lines.iter().flatten())
            .chain(rings.flatten())
            .chain(self.triangles.iter().flatten())
            .copied()
    }

    /// [`Shape::all`] as a list.
    pub fn vertices(&self) -> Vec<DVec3> {
        let mut all = Vec::with_capacity(self.count());
        all.extend(self.all());
        all
    }

    /// How many vertices it has.
    pub fn count(&self) -> usize {
        let rings = self.polygons.iter().map(|p| p.outer.len() + p.holes.iter().map(Vec::len).sum::<usize>());
        self.points.len()
            + self.lines.iter().map(Vec::len).sum::<usize>()
            + rings.sum::<usize>()
            + 3 * self.triangles.len()
    }

    /// Puts as many of `moved` in the vertices' places; `false` when one of them is no place.
    pub fn replace(&mut self, moved: &mut impl Iterator<Item = DVec3>) -> bool {
        let mut is_sound = true;
        self.for_each_mut(|v| match moved.next() {
            Some(to) => {
                is_sound &= to.is_finite();
                *v = to;
            }
            None => is_sound = false,
        });
        is_sound
    }

    /// Changes every vertex.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(&mut DVec3)) {
        self.points.iter_mut().for_each(&mut change);
        self.lines.iter_mut().flatten().for_each(&mut change);
        for polygon in &mut self.polygons {
            polygon.outer.iter_mut().for_each(&mut change);
            polygon.holes.iter_mut().flatten().for_each(&mut change);
        }
        self.triangles.iter_mut().flatten().for_each(&mut change);
    }

    /// How z is to be read: sources that have a z column and nothing in it write 0 everywhere.
    pub fn vertical(&self) -> Vertical {
        let has_height = self.has_z && self.all().any(|v| v.z != 0.0);
        if has_height { Vertical::Absolute } else { Vertical::AboveTerrain }
    }
}

/// Outer rings counter-clockwise, holes clockwise, no repeated vertices; rings without area are left out.
/// Returns the polygons and how many rings were left out.
pub(crate) fn cleaned(polygons: Vec<Polygon>) -> (Vec<Polygon>, usize) {
    let mut lost = 0;
    let mut ring = |vertices: Vec<DVec3>, is_outer: bool| {
        let mut vertices = without_repeats(vertices);
        let area = signed_area(&vertices);
        if vertices.len() < 3 || area == 0.0 || !area.is_finite() {
            lost += 1;
            return None;
        }
        if (area > 0.0) != is_outer {
            vertices.reverse();
        }
        Some(vertices)
    };
    let kept = polygons.into_iter().filter_map(|polygon| {
        let outer = ring(polygon.outer, true)?;
        Some(Polygon { outer, holes: polygon.holes.into_iter().filter_map(|hole| ring(hole, false)).collect() })
    });
    let kept = kept.collect();
    (kept, lost)
}

/// A line without vertices that repeat the one before.
pub(crate) fn without_repeats(mut vertices: Vec<DVec3>) -> Vec<DVec3> {
    vertices.dedup();
    while vertices.len() > 1 && vertices.first() == vertices.last() {
        vertices.pop();
    }
    vertices
}

/// Area in plan, positive counter-clockwise; relative to the first vertex, so that large coordinates cost no digits.
pub(crate) fn signed_area(ring: &[DVec3]) -> f64 {
    let Some(&origin) = ring.first() else { return 0.0 };
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(a, b)| (*a - origin).truncate().perp_dot((*b - origin).truncate())).sum::<f64>() / 2.0
}

/// Whether a place lies in a ring, in plan.
pub(crate) fn is_inside(place: DVec3, ring: &[DVec3]) -> bool {
    let mut is_inside = false;
    let next = ring.iter().cycle().skip(1);
    for (a, b) in ring.iter().zip(next) {
        if (a.y > place.y) != (b.y > place.y) && place.x < (b.x - a.x) * (place.y - a.y) / (b.y - a.y) + a.x {
            is_inside = !is_inside;
        }
    }
    is_inside
}

/// Polygons out of the loose rings of a shapefile: clockwise rings are outer ones, the others are holes of the smallest
/// outer ring around them. A hole that lies in none is taken as an outer ring drawn the wrong way.
pub(crate) fn grouped(rings: Vec<Vec<DVec3>>) -> Vec<Polygon> {
    if rings.len() <= 1 {
        return rings.into_iter().map(|outer| Polygon { outer, holes: Vec::new() }).collect();
    }
    let mut outers: Vec<(f64, [f64; 4], Polygon)> = Vec::new();
    let mut holes = Vec::new();
    for ring in rings {
        let area = signed_area(&ring);
        if area <= 0.0 {
            outers.push((-area, plan_box(&ring), Polygon { outer: ring, holes: Vec::new() }));
        } else {
            holes.push(ring);
        }
    }
    let clockwise = outers.len();
    for hole in holes {
        let inner = plan_box(&hole);
        let around = outers[..clockwise].iter_mut().filter(|(_, outer, polygon)| {
            let covers = outer[0] <= inner[0] && outer[1] <= inner[1] && outer[2] >= inner[2] && outer[3] >= inner[3];
            // A vertex may lie on the outer ring; most of them decide.
            covers && {
                let sample = hole.iter().take(7);
                let inside = sample.clone().filter(|v| is_inside(**v, &polygon.outer)).count();
                2 * inside > sample.len() || (clockwise == 1 && inside > 0)
            }
        });
        match around.min_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((.., polygon)) => polygon.holes.push(hole),
            None => outers.push((0.0, inner, Polygon { outer: hole, holes: Vec::new() })),
        }
    }
    outers.into_iter().map(|(.., polygon)| polygon).collect()
}

fn plan_box(ring: &[DVec3]) -> [f64; 4] {
    ring.iter().fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |b, v| {
        [b[0].min(v.x), b[1].min(v.y), b[2].max(v.x), b[3].max(v.y)]
    })
}

/// The points as the model has them.
pub(crate) fn points(shape: &Shape, vertical: Vertical) -> Vec<Point> {
    shape.points.iter().map(|at| Point { at: *at, vertical }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f64, y: f64, size: f64, clockwise: bool) -> Vec<DVec3> {
        let mut ring: Vec<_> = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
            .map(|(u, v)| DVec3::new(x + u * size, y + v * size, 0.0))
            .to_vec();
        if !clockwise {
            ring.reverse();
        }
        ring
    }

    #[test]
    fn loose_rings_find_their_outer_ring() {
        let island = square(4.0, 4.0, 2.0, true);
        let polygons = grouped(vec![
            square(0.0, 0.0, 10.0, true),
            square(2.0, 2.0, 6.0, false),
            island,
            square(20.0, 0.0, 1.0, true),
            square(4.5, 4.5, 1.0, false),
            square(50.0, 50.0, 1.0, false),
        ]);
        let holes: Vec<usize> = polygons.iter().map(|p| p.holes.len()).collect();
        assert_eq!(holes, [1, 1, 0, 0], "the lone counter-clockwise ring became an outer one");
        assert_eq!(polygons[1].outer[0], DVec3::new(4.0, 4.0, 0.0));
    }

    #[test]
    fn rings_leave_open_and_turned_the_right_way() {
        let (polygons, lost) = cleaned(vec![
            Polygon { outer: square(0.0, 0.0, 10.0, true), holes: vec![square(2.0, 2.0, 1.0, false)] },
            Polygon { outer: vec![DVec3::ZERO, DVec3::X, DVec3::ZERO], holes: vec![] },
        ]);
        assert_eq!((polygons.len(), lost), (1, 1));
        assert_eq!(polygons[0].outer.len(), 4);
        assert_eq!(signed_area(&polygons[0].outer), 100.0);
        assert_eq!(signed_area(&polygons[0].holes[0]), -1.0);
    }
}
