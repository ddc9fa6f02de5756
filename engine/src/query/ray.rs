//! Where a ray meets the shape of an object itself.

use glam::{DVec2, DVec3};

use super::{region::is_inside, tree::entry};
use crate::model::{Area, Block, Extent, Geometry, Polygon, Roof, Section, Tube};

/// Ground that differs by less under an object counts as level, metres.
const LEVEL_M: f64 = 1e-6;

/// A ray with an end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ray {
    pub origin: DVec3,
    /// Of length 1.
    pub direction: DVec3,
    pub max_m: f64,
}

/// Where a ray enters a shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    pub distance_m: f64,
    /// Whether it is the shape itself that was hit, not only a box or an upright body around it.
    pub is_exact: bool,
}

impl Ray {
    /// Where it enters a box.
    pub fn enter_box(&self, extent: &Extent) -> Option<f64> {
        entry(extent.min, extent.max, self.origin, self.direction.recip()).filter(|t| *t <= self.max_m)
    }

    /// Where it enters an object with this shape and, ground included, this box. `None` where it misses.
    pub fn enter(&self, shape: &Geometry, extent: &Extent) -> Option<Hit> {
        // What counts from the terrain was lifted by the lowest and the highest ground under it. Where they are the same, the
        // shape is known; where they are not, it is somewhere between.
        let own = shape.extent();
        let (low, high) = (extent.min.z - own.min.z, extent.max.z - own.max.z);
        let is_level = (high - low).abs() < LEVEL_M;
        let (bottom, top) = (extent.min.z, extent.max.z);
        let (distance, is_exact) = match shape {
            Geometry::Block(block) => self.block(block, is_level, (bottom, top)),
            Geometry::Area(area) if is_level => (self.area(area, low), true),
            Geometry::Area(area) => (self.prisms(&area.polygons, bottom, top), false),
            Geometry::Tube(tube) if is_level => (self.tube(tube, low), true),
            Geometry::Tube(tube) => (self.walls(&tube.axis, width_of(&tube.section), (bottom, top)), false),
            Geometry::Shaft(shaft) => {
                (self.cylinder(shaft.top.truncate(), shaft.diameter_m * 0.5, (bottom, top)), is_level)
            }
            Geometry::Line(line) if is_level => {
                let ribbons = line.paths.iter().filter_map(|path| self.ribbon(path, line.width_m, low));
                (ribbons.min_by(f64::total_cmp), true)
            }
            Geometry::Line(line) => {
                let walls = line.paths.iter().filter_map(|path| self.walls(path, line.width_m, (bottom, top)));
                (walls.min_by(f64::total_cmp), false)
            }
            _ => (self.enter_box(extent), matches!(shape, Geometry::Point(_)) && is_level),
        };
        distance.map(|distance_m| Hit { distance_m, is_exact })
    }

    fn at(&self, t: f64) -> DVec3 {
        self.origin + self.direction * t
    }

    /// The first place of an interval along the ray's line that lies on the ray.
    fn first(&self, from: f64, to: f64) -> Option<f64> {
        let from = from.max(0.0);
        (from <= to.min(self.max_m)).then_some(from)
    }

    /// Where the line is between two heights.
    fn between(&self, bottom: f64, top: f64) -> Option<(f64, f64)> {
        if self.direction.z == 0.0 {
            return (bottom <= self.origin.z && self.origin.z <= top).then_some((f64::NEG_INFINITY, f64::INFINITY));
        }
        let (a, b) = ((bottom - self.origin.z) / self.direction.z, (top - self.origin.z) / self.direction.z);
        Some((a.min(b), a.max(b)))
    }

    fn block(&self, block: &Block, is_level: bool, (bottom, top): (f64, f64)) -> (Option<f64>, bool) {
        // The row knows that a roof slopes, not how.
        let is_plain = matches!(block.roof, None | Some(Roof::Flat));
        (self.prisms(&block.footprint, bottom, top), is_level && is_plain)
    }

    fn prisms(&self, polygons: &[Polygon], bottom: f64, top: f64) -> Option<f64> {
        polygons.iter().filter_map(|polygon| self.prism(polygon, bottom, top)).min_by(f64::total_cmp)
    }

    /// Where it enters a polygon drawn out from `bottom` to `top`.
    fn prism(&self, polygon: &Polygon, bottom: f64, top: f64) -> Option<f64> {
        let (low, high) = self.between(bottom, top)?;
        let (origin, direction) = (self.origin.truncate(), self.direction.truncate());
        let length2 = direction.length_squared();
        if length2 < 1e-24 {
            return if is_inside(&closed(polygon), origin) { self.first(low, high) } else { None };
        }
        let mut crossings: Vec<f64> = Vec::new();
        for ring in std::iter::once(&polygon.outer).chain(&polygon.holes) {
            for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                let (a, b) = (a.truncate() - origin, b.truncate() - origin);
                let (left, right) = (direction.perp_dot(a), direction.perp_dot(b));
                // One end of an edge belongs to it, so that a line through a corner crosses once or twice, as it should.
                if (left > 0.0) != (right > 0.0) {
                    crossings.push((a + (b - a) * (left / (left - right))).dot(direction) / length2);
                }
            }
        }
        crossings.sort_by(f64::total_cmp);
        crossings.chunks_exact(2).find_map(|inside| self.first(inside[0].max(low), inside[1].min(high)))
    }

    fn area(&self, area: &Area, lift: f64) -> Option<f64> {
        let surfaces = area.polygons.iter().filter_map(|polygon| self.surface(polygon, lift));
        surfaces.min_by(f64::total_cmp)
    }

    /// Where it meets a polygon, level or triangle by triangle.
    fn surface(&self, polygon: &Polygon, lift: f64) -> Option<f64> {
        let vertices: Vec<DVec3> = polygon.outer.iter().chain(polygon.holes.iter().flatten()).copied().collect();
        let height = vertices.first()?.z;
        if vertices.iter().all(|v| v.z == height) {
            let t = (height + lift - self.origin.z) / self.direction.z;
            let t = if t.is_finite() { self.first(t, t)? } else { return None };
            return is_inside(&closed(polygon), self.at(t).truncate()).then_some(t);
        }
        let origin = vertices[0].truncate();
        let mut holes: Vec<u32> = Vec::new();
        let mut count = polygon.outer.len();
        for hole in &polygon.holes {
            holes.push(count as u32);
            count += hole.len();
        }
        let mut triangles: Vec<u32> = Vec::new();
        let places = vertices.iter().map(|v| (v.truncate() - origin).to_array());
        earcut::Earcut::new().earcut(places, &holes, &mut triangles);
        let corner = |number: u32| vertices.get(number as usize).map(|v| *v + DVec3::Z * lift);
        let met =
            triangles.chunks_exact(3).filter_map(|t| self.triangle([corner(t[0])?, corner(t[1])?, corner(t[2])?]));
        met.min_by(f64::total_cmp)
    }

    fn triangle(&self, [a, b, c]: [DVec3; 3]) -> Option<f64> {
        let (u, v) = (b - a, c - a);
        let across = self.direction.cross(v);
        let volume = u.dot(across);
        if volume == 0.0 {
            return None;
        }
        let from = self.origin - a;
        let first = from.dot(across) / volume;
        let turned = from.cross(u);
        let second = self.direction.dot(turned) / volume;
        let t = v.dot(turned) / volume;
        if first >= 0.0 && second >= 0.0 && first + second <= 1.0 { self.first(t, t) } else { None }
    }

    /// Where it meets a strip along a path.
    fn ribbon(&self, path: &[DVec3], width_m: f64, lift: f64) -> Option<f64> {
        let strips = path.windows(2).filter_map(|pair| {
            let (a, b) = (pair[0] + DVec3::Z * lift, pair[1] + DVec3::Z * lift);
            let side = (b - a).truncate().perp().normalize_or_zero().extend(0.0) * (width_m * 0.5);
            let corners = [a - side, b - side, b + side, a + side];
            let halves = [[corners[0], corners[1], corners[2]], [corners[0], corners[2], corners[3]]];
            halves.into_iter().filter_map(|half| self.triangle(half)).min_by(f64::total_cmp)
        });
        strips.min_by(f64::total_cmp)
    }

    /// Where it enters an upright body along a path.
    fn walls(&self, path: &[DVec3], width_m: f64, (bottom, top): (f64, f64)) -> Option<f64> {
        let walls = path.windows(2).filter_map(|pair| {
            let (a, b) = (pair[0].truncate(), pair[1].truncate());
            let side = (b - a).perp().normalize_or_zero() * (width_m * 0.5);
            let outer = [a - side, b - side, b + side, a + side].map(|v| v.extend(0.0)).to_vec();
            self.prism(&Polygon { outer, holes: Vec::new() }, bottom, top)
        });
        walls.min_by(f64::total_cmp)
    }

    fn tube(&self, tube: &Tube, lift: f64) -> Option<f64> {
        let segments = tube.axis.windows(2).filter_map(|pair| {
            let (a, b) = (pair[0] + DVec3::Z * lift, pair[1] + DVec3::Z * lift);
            match tube.section {
                Section::Circle { diameter_m } => self.capsule(a, b, diameter_m * 0.5),
                Section::Rect { width_m, height_m } => self.duct(a, b, width_m, height_m),
            }
        });
        segments.min_by(f64::total_cmp)
    }

    /// Where it enters all that lies within `radius` of a segment: a pipe with a ball at each bend and end.
    fn capsule(&self, a: DVec3, b: DVec3, radius: f64) -> Option<f64> {
        let ball = |centre: DVec3| {
            let from = self.origin - centre;
            let (from, to) = roots(1.0, from.dot(self.direction), from.length_squared() - radius * radius)?;
            self.first(from, to)
        };
        let axis = b - a;
        let length2 = axis.length_squared();
        let mut best = [ball(a), ball(b)].into_iter().flatten().min_by(f64::total_cmp);
        if length2 > 0.0 {
            // Square of the distance from the axis, as a function of t.
            let from = self.origin - a;
            let (along, start) = (self.direction.dot(axis) / length2, from.dot(axis) / length2);
            let (across, offset) = (self.direction - axis * along, from - axis * start);
            let inside = if across.length_squared() > 1e-24 {
                roots(across.length_squared(), offset.dot(across), offset.length_squared() - radius * radius)
            } else {
                (offset.length() <= radius).then_some((f64::NEG_INFINITY, f64::INFINITY))
            };
            // Between the planes through both ends.
            let ends = if along == 0.0 {
                (0.0..=1.0).contains(&start).then_some((f64::NEG_INFINITY, f64::INFINITY))
            } else {
                let (p, q) = (-start / along, (1.0 - start) / along);
                Some((p.min(q), p.max(q)))
            };
            if let (Some(inside), Some(ends)) = (inside, ends) {
                let wall = self.first(inside.0.max(ends.0), inside.1.min(ends.1));
                best = best.into_iter().chain(wall).min_by(f64::total_cmp);
            }
        }
        best
    }

    /// Where it enters a box along a segment.
    fn duct(&self, a: DVec3, b: DVec3, width_m: f64, height_m: f64) -> Option<f64> {
        let axis = b - a;
        let length = axis.length();
        if length == 0.0 {
            return None;
        }
        let along = axis / length;
        let side = along.truncate().perp().normalize_or(DVec2::Y).extend(0.0);
        let up = along.cross(side);
        let turn = |v: DVec3| DVec3::new(v.dot(along), v.dot(side), v.dot(up));
        let half = DVec3::new(0.0, width_m * 0.5, height_m * 0.5);
        let (min, max) = (-half, half + DVec3::X * length);
        entry(min, max, turn(self.origin - a), turn(self.direction).recip()).filter(|t| *t <= self.max_m)
    }

    /// Where it enters an upright cylinder.
    fn cylinder(&self, centre: DVec2, radius: f64, (bottom, top): (f64, f64)) -> Option<f64> {
        let (low, high) = self.between(bottom, top)?;
        let (from, direction) = (self.origin.truncate() - centre, self.direction.truncate());
        let (start, end) = if direction.length_squared() > 1e-24 {
            roots(direction.length_squared(), from.dot(direction), from.length_squared() - radius * radius)?
        } else if from.length() <= radius {
            (f64::NEG_INFINITY, f64::INFINITY)
        } else {
            return None;
        };
        self.first(start.max(low), end.min(high))
    }
}

fn width_of(section: &Section) -> f64 {
    match section {
        Section::Circle { diameter_m } => *diameter_m,
        Section::Rect { width_m, .. } => *width_m,
    }
}

/// Rings with their first vertex repeated.
fn closed(polygon: &Polygon) -> Vec<Vec<DVec3>> {
    let rings = std::iter::once(&polygon.outer).chain(&polygon.holes);
    rings.map(|ring| ring.iter().chain(ring.first()).copied().collect()).collect()
}

/// Where a·t² + 2·b·t + c is not above 0.
fn roots(a: f64, b: f64, c: f64) -> Option<(f64, f64)> {
    let discriminant = b * b - a * c;
    if discriminant.is_nan() || discriminant < 0.0 {
        return None;
    }
    let root = discriminant.sqrt();
    Some(((-b - root) / a, (-b + root) / a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Line, Shaft, Vertical};

    /// A step of the walk along a ray that the entry is compared with, metres.
    const STEP_M: f64 = 0.004;

    struct Dice(u64);

    impl Dice {
        fn throw(&mut self, low: f64, high: f64) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            low + (self.0 >> 40) as f64 / f64::from(1 << 24) * (high - low)
        }

        fn place(&mut self, size: f64) -> DVec3 {
            DVec3::new(self.throw(-size, size), self.throw(-size, size), self.throw(-size, size))
        }
    }

    /// Compares the entry with the first place of a walk along the ray that `holds` says is in the body. Bodies that are thinner
    /// than a step where the ray passes are left out.
    fn compare(shape: &Geometry, holds: &dyn Fn(DVec3) -> bool) {
        let extent = shape.extent();
        let mut dice = Dice(11);
        let mut hits = 0;
        for _ in 0..300 {
            let origin = dice.place(14.0);
            let direction = (extent.centre() + dice.place(5.0) - origin).normalize();
            let ray = Ray { origin, direction, max_m: 40.0 };
            let walked = (0..10_000).map(|k| f64::from(k) * STEP_M).find(|t| holds(origin + direction * *t));
            let hit = ray.enter(shape, &extent);
            assert!(hit.is_none_or(|hit| hit.is_exact));
            match (walked, hit.map(|hit| hit.distance_m)) {
                (Some(walked), Some(exact)) => {
                    hits += 1;
                    assert!(exact <= walked + 1e-9, "{ray:?}: {exact} is behind {walked}");
                    if walked - exact > STEP_M {
                        // The walk stepped over a thin place, where the ray was inside for less than a step.
                        let middle = (0..100).map(|k| exact + STEP_M * f64::from(k) / 100.0);
                        assert!(middle.into_iter().any(|t| holds(ray.at(t + 1e-9))), "{ray:?}: {exact} {walked}");
                    }
                }
                (Some(walked), None) => panic!("{ray:?} misses what it is in at {walked}"),
                (None, Some(exact)) => {
                    let mut near = (0..100).map(|k| exact + STEP_M * f64::from(k) / 100.0 + 1e-9);
                    assert!(near.any(|t| holds(ray.at(t))), "{ray:?} hits nothing at {exact}");
                }
                (None, None) => {}
            }
        }
        assert!(hits > 60, "{hits}");
    }

    fn ell() -> Polygon {
        let ring = |corners: &[(f64, f64)]| corners.iter().map(|(x, y)| DVec3::new(*x, *y, 0.0)).collect::<Vec<_>>();
        Polygon {
            outer: ring(&[(-5.0, -5.0), (6.0, -5.0), (6.0, 0.0), (1.0, 0.0), (1.0, 6.0), (-5.0, 6.0)]),
            holes: vec![ring(&[(-4.0, -4.0), (-4.0, -1.0), (-1.0, -1.0), (-1.0, -4.0)])],
        }
    }

    fn in_ell(p: DVec3) -> bool {
        let within = |x0: f64, x1: f64, y0: f64, y1: f64| (x0..=x1).contains(&p.x) && (y0..=y1).contains(&p.y);
        (within(-5.0, 6.0, -5.0, 0.0) || within(-5.0, 1.0, -5.0, 6.0)) && !within(-4.0, -1.0, -4.0, -1.0)
    }

    #[test]
    fn blocks_with_courts_are_entered_where_they_begin() {
        let block = Block {
            footprint: vec![ell()],
            base_m: Some(-3.0),
            height_m: 7.0,
            lift_m: 1.0,
            storeys: None,
            roof: Some(Roof::Flat),
        };
        compare(&Geometry::Block(block), &|p| in_ell(p) && (-2.0..=4.0).contains(&p.z));
    }

    #[test]
    fn pipes_ducts_and_shafts_are_entered_where_they_begin() {
        let axis = [DVec3::new(-6.0, -4.0, -1.0), DVec3::new(2.0, 1.0, 0.5), DVec3::new(2.0, 7.0, 3.0)];
        let tube = |section| Tube { axis: axis.to_vec(), vertical: Vertical::Absolute, section, from: None, to: None };
        let to_axis = |p: DVec3| {
            let to = |a: DVec3, b: DVec3| {
                let t = ((p - a).dot(b - a) / (b - a).length_squared()).clamp(0.0, 1.0);
                p.distance(a + (b - a) * t)
            };
            to(axis[0], axis[1]).min(to(axis[1], axis[2]))
        };
        compare(&Geometry::Tube(tube(Section::Circle { diameter_m: 2.4 })), &|p| to_axis(p) <= 1.2);
        let duct = Geometry::Tube(tube(Section::Rect { width_m: 3.0, height_m: 2.0 }));
        let in_duct = |p: DVec3| {
            axis.windows(2).any(|pair| {
                let along = (pair[1] - pair[0]).normalize();
                let side = DVec3::Z.cross(along).normalize();
                let from = p - pair[0];
                let t = from.dot(along);
                (0.0..=pair[0].distance(pair[1])).contains(&t)
                    && from.dot(side).abs() <= 1.5
                    && from.dot(side.cross(along)).abs() <= 1.0
            })
        };
        compare(&duct, &in_duct);
        let shaft =
            Shaft { top: DVec3::new(1.0, 2.0, 3.0), vertical: Vertical::Absolute, depth_m: 6.0, diameter_m: 4.0 };
        let in_shaft = |p: DVec3| p.truncate().distance(DVec2::new(1.0, 2.0)) <= 2.0 && (-3.0..=3.0).contains(&p.z);
        compare(&Geometry::Shaft(shaft), &in_shaft);
    }

    #[test]
    fn surfaces_are_met_in_their_plane_and_nowhere_else() {
        let slope = |p: DVec3| 0.3 * p.x - 0.2 * p.y + 1.0;
        let mut tilted = ell();
        tilted.outer.iter_mut().chain(tilted.holes.iter_mut().flatten()).for_each(|v| v.z = slope(*v));
        let mut dice = Dice(5);
        for (polygon, height) in [(ell(), (|_| 0.0) as fn(DVec3) -> f64), (tilted, |p| 0.3 * p.x - 0.2 * p.y + 1.0)] {
            let area = Geometry::Area(Area { polygons: vec![polygon], vertical: Vertical::Absolute });
            let mut hits = 0;
            for _ in 0..500 {
                let (target, origin) = (dice.place(7.0), dice.place(20.0) + DVec3::Z * 25.0);
                let target = DVec3::new(target.x, target.y, height(target));
                let ray = Ray { origin, direction: (target - origin).normalize(), max_m: 1e3 };
                let hit = ray.enter(&area, &area.extent());
                assert_eq!(hit.is_some(), in_ell(target), "{target}");
                if let Some(hit) = hit {
                    hits += 1;
                    assert!(hit.is_exact && (hit.distance_m - origin.distance(target)).abs() < 1e-9);
                }
            }
            assert!(hits > 150);
        }
        let line = Line {
            paths: vec![vec![DVec3::ZERO, DVec3::new(9.0, 9.0, 0.0)]],
            vertical: Vertical::Absolute,
            width_m: 2.0,
        };
        let line = Geometry::Line(line);
        let down = |x: f64, y: f64| {
            let ray = Ray { origin: DVec3::new(x, y, 50.0), direction: DVec3::NEG_Z, max_m: 100.0 };
            ray.enter(&line, &line.extent())
        };
        let hit = down(4.0, 5.0).unwrap();
        assert!(hit.is_exact && (hit.distance_m - 50.0).abs() < 1e-9, "{hit:?}");
        assert_eq!(down(2.0, 7.0), None, "in the box of the road, beside the road");
    }

    #[test]
    fn on_a_slope_the_answer_is_between_the_lowest_and_the_highest_ground_and_says_so() {
        let block =
            Block { footprint: vec![ell()], base_m: None, height_m: 7.0, lift_m: 0.0, storeys: None, roof: None };
        let shape = Geometry::Block(block);
        let mut extent = shape.extent();
        extent.min.z += 20.0;
        extent.max.z += 23.0;
        let down = |x: f64| Ray { origin: DVec3::new(x, -4.5, 100.0), direction: DVec3::NEG_Z, max_m: 100.0 };
        assert_eq!(down(0.0).enter(&shape, &extent), Some(Hit { distance_m: 70.0, is_exact: false }));
        assert_eq!(down(7.0).enter(&shape, &extent), None);
        extent.min.z += 3.0;
        assert_eq!(down(0.0).enter(&shape, &extent), Some(Hit { distance_m: 70.0, is_exact: true }));
        let short = Ray { max_m: 60.0, ..down(0.0) };
        assert_eq!(short.enter(&shape, &extent), None);
    }
}
