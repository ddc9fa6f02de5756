//! Casters compared with looking at every shape, and with the rays of the query.

use glam::{DVec2, DVec3};

use super::{super::ray, CastError, Caster, CasterBuilder, CityCaster, Fit, Ray};
use crate::{
    model::{
        Area, Block, Class, Extent, Geometry, HeightGrid, Line, Mesh, MeshPart, Polygon, Section, Shaft, Tube, Vertical,
    },
    query::{
        Query, Shape, run,
        tests::{city, place},
    },
};

/// Where the cities of tests lie.
const FAR: DVec3 = DVec3::new(40_512_345.678, 4_001_234.567, 12.5);
/// What a distance may be off.
const ERROR_M: f64 = 1e-3;
/// Sine of half a degree.
const GRAZING: f64 = 0.0088;

struct Dice(u64);

impl Dice {
    fn throw(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (self.0 >> 11) as f64 / (1_u64 << 53) as f64 * (high - low)
    }

    fn place(&mut self, size: f64) -> DVec3 {
        DVec3::from_array(std::array::from_fn(|_| self.throw(-size, size)))
    }

    fn direction(&mut self) -> DVec3 {
        loop {
            let some = self.place(1.0);
            if (0.01..1.0).contains(&some.length_squared()) {
                return some.normalize();
            }
        }
    }
}

fn polygon(outer: &[(f64, f64)], holes: &[&[(f64, f64)]], at: DVec3) -> Polygon {
    let ring = |ring: &[(f64, f64)]| ring.iter().map(|(x, y)| at + DVec3::new(*x, *y, 0.0)).collect();
    Polygon { outer: ring(outer), holes: holes.iter().map(|hole| ring(hole)).collect() }
}

/// An L with a court in it.
fn ell(at: DVec3) -> Polygon {
    let outer = [(-6.0, -6.0), (6.0, -6.0), (6.0, -1.0), (1.0, -1.0), (1.0, 7.0), (-6.0, 7.0)];
    polygon(&outer, &[&[(-4.0, -4.0), (-4.0, -2.5), (-1.0, -2.5), (-1.0, -4.0)]], at)
}

fn block(footprint: Polygon, base: f64, height_m: f64) -> Geometry {
    Geometry::Block(Block {
        footprint: vec![footprint],
        base_m: Some(base),
        height_m,
        lift_m: 0.0,
        storeys: None,
        roof: None,
    })
}

/// The surface of a block as triangles, made another way than in the caster.
fn skin(block: &Geometry) -> Vec<[DVec3; 3]> {
    let Geometry::Block(block) = block else { panic!("a block") };
    let (low, high) = (block.base_m.unwrap(), block.base_m.unwrap() + block.height_m);
    let mut triangles = Vec::new();
    for polygon in &block.footprint {
        for ring in std::iter::once(&polygon.outer).chain(&polygon.holes) {
            for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                let [a, b, c, d] = [(a, low), (b, low), (b, high), (a, high)].map(|(v, z)| v.with_z(z));
                triangles.extend([[a, b, c], [a, c, d]]);
            }
        }
        let vertices: Vec<DVec3> = polygon.outer.iter().chain(polygon.holes.iter().flatten()).copied().collect();
        let holes: Vec<u32> = if polygon.holes.is_empty() { vec![] } else { vec![polygon.outer.len() as u32] };
        let mut indices: Vec<u32> = Vec::new();
        let places = vertices.iter().map(|v| (*v - vertices[0]).truncate().to_array());
        earcut::Earcut::new().earcut(places, &holes, &mut indices);
        for z in [low, high] {
            triangles
                .extend(indices.chunks_exact(3).map(|t| [t[0], t[1], t[2]].map(|i| vertices[i as usize].with_z(z))));
        }
    }
    triangles
}

/// Where a ray of length 1 meets a triangle, in f64, and the sine of the angle between them.
fn meet(ray: &Ray, [a, b, c]: &[DVec3; 3]) -> Option<(f64, f64)> {
    let (u, v) = (*b - *a, *c - *a);
    let across = ray.direction.cross(v);
    let volume = u.dot(across);
    let from = ray.origin - *a;
    let (first, turned) = (from.dot(across) / volume, from.cross(u));
    let (second, t) = (ray.direction.dot(turned) / volume, v.dot(turned) / volume);
    let is_in = volume != 0.0 && first.min(second).min(1.0 - first - second) >= 0.0;
    (is_in && (0.0..=ray.max_m).contains(&t)).then(|| (t, (volume / u.cross(v).length()).abs()))
}

/// The first of some triangles that a ray meets.
fn first(ray: &Ray, triangles: &[[DVec3; 3]]) -> Option<(f64, f64)> {
    triangles.iter().filter_map(|t| meet(ray, t)).min_by(|a, b| a.0.total_cmp(&b.0))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= ERROR_M
}

#[test]
fn random_rays_meet_what_they_meet_when_every_triangle_is_looked_at() {
    let mut dice = Dice(1);
    let (mut prisms, mut mesh) = (CasterBuilder::new(), CasterBuilder::new());
    let mut all: Vec<([DVec3; 3], u32)> = Vec::new();
    for which in 0..60 {
        let at = FAR + dice.place(2_000.0).with_z(0.0);
        let footprint = match which % 3 {
            0 => ell(at),
            1 => polygon(&[(0.0, 0.0), (9.0, 1.0), (8.0, 12.0), (-2.0, 10.0)], &[], at),
            // Many corners, clockwise.
            _ => {
                let turn = |i: i32| -f64::from(i) / 101.0 * std::f64::consts::TAU;
                let star = |i: i32| if i % 2 == 0 { 150.0 } else { 110.0 };
                let ring: Vec<(f64, f64)> =
                    (0..101).map(|i| (star(i) * turn(i).cos(), star(i) * turn(i).sin())).collect();
                polygon(&ring, &[], at)
            }
        };
        let shape = block(footprint, at.z + dice.throw(-20.0, 20.0), dice.throw(2.0, 200.0));
        assert_eq!(prisms.add(&shape, &shape.extent(), which).unwrap(), Fit::Exact);
        mesh.add_triangles(&skin(&shape), which).unwrap();
        all.extend(skin(&shape).into_iter().map(|triangle| (triangle, which)));
    }
    let triangles: Vec<[DVec3; 3]> = all.iter().map(|(triangle, _)| *triangle).collect();
    let (prisms, mesh) = (prisms.build(), mesh.build());
    let rays: Vec<Ray> = (0..6_000)
        .map(|number| {
            let (triangle, origin) =
                (&triangles[dice.throw(0.0, triangles.len() as f64) as usize], dice.place(2_500.0));
            let target = triangle[0].lerp(triangle[1], dice.throw(0.0, 1.0)).lerp(triangle[2], dice.throw(0.0, 1.0));
            let origin = FAR + origin.with_z(dice.throw(-100.0, 400.0));
            let direction = if number % 4 == 0 { dice.direction() } else { (target - origin) * dice.throw(0.1, 9.0) };
            let max_m = if number % 5 == 0 { dice.throw(0.0, 2_000.0) } else { f64::INFINITY };
            Ray { origin, direction, max_m }
        })
        .collect();
    let (mut hits, mut at_edges) = (0, 0);
    for caster in [&prisms, &mesh] {
        let (closest, occluded) = (caster.closest_of(&rays), caster.occluded_of(&rays));
        for ((ray, hit), is_occluded) in rays.iter().zip(closest).zip(occluded) {
            assert_eq!(hit, caster.closest(ray));
            assert_eq!(is_occluded, caster.is_occluded(ray));
            assert_eq!(is_occluded, hit.is_some());
            let unit = Ray { direction: ray.direction.normalize(), ..*ray };
            let truth = first(&unit, &triangles);
            let same = match (hit, truth) {
                // What is grazed is met at its surface, but farther along.
                (Some(hit), Some((t, sine))) => {
                    close(hit.distance_m, t) || sine < GRAZING && (hit.distance_m - t).abs() * sine < ERROR_M * 0.1
                }
                (None, None) => true,
                _ => false,
            };
            hits += usize::from(hit.is_some());
            // Beside an edge rounding decides; a hit is somewhere on the shapes even then.
            at_edges += usize::from(!same);
            if let Some(hit) = hit.filter(|_| !same) {
                let place = unit.origin + unit.direction * hit.distance_m;
                let own = all.iter().filter(|(_, which)| *which == hit.which);
                let plane = |t: &[DVec3; 3]| (t[1] - t[0]).cross(t[2] - t[0]).normalize().dot(place - t[0]).abs();
                assert!(own.map(|(t, _)| plane(t)).fold(f64::INFINITY, f64::min) < ERROR_M);
            }
        }
    }
    assert!(hits > 6_000, "{hits} hits");
    assert!(at_edges <= 4, "{at_edges} of 12 000 rays decided otherwise");
}

/// Shapes that the query's rays know exactly.
fn exact_shapes() -> Vec<Geometry> {
    let axis = vec![DVec3::new(-8.0, -3.0, -1.0), DVec3::new(0.0, 4.0, 0.5), DVec3::new(9.0, 4.5, 3.0)];
    let axis: Vec<DVec3> = axis.into_iter().map(|v| FAR + v).collect();
    let tube = |section| {
        Geometry::Tube(Tube { axis: axis.clone(), vertical: Vertical::Absolute, section, from: None, to: None })
    };
    let mut tilted = ell(FAR);
    let slope = |v: DVec3| FAR.z + 0.3 * (v.x - FAR.x) - 0.2 * (v.y - FAR.y);
    tilted.outer.iter_mut().chain(tilted.holes.iter_mut().flatten()).for_each(|v| v.z = slope(*v));
    let circle = (0..90).map(|i| f64::from(i) / 90.0 * std::f64::consts::TAU).map(|a| (8.0 * a.cos(), 7.0 * a.sin()));
    let lake = polygon(&circle.collect::<Vec<_>>(), &[], FAR);
    let area = |polygon| Geometry::Area(Area { polygons: vec![polygon], vertical: Vertical::Absolute });
    vec![
        block(ell(FAR), FAR.z - 3.0, 7.0),
        tube(Section::Circle { diameter_m: 3.0 }),
        tube(Section::Rect { width_m: 3.0, height_m: 2.0 }),
        Geometry::Shaft(Shaft {
            top: FAR + DVec3::Z * 3.0,
            vertical: Vertical::Absolute,
            depth_m: 6.0,
            diameter_m: 4.0,
        }),
        area(ell(FAR)),
        area(tilted),
        area(lake),
        Geometry::Line(Line { paths: vec![axis], vertical: Vertical::Absolute, width_m: 2.0 }),
    ]
}

#[test]
fn hits_are_those_of_the_rays_of_the_query() {
    let mut dice = Dice(7);
    for (number, shape) in exact_shapes().into_iter().enumerate() {
        // On ground that lies 5 m up.
        let mut extent = shape.extent();
        extent.min.z += 5.0;
        extent.max.z += 5.0;
        let mut builder = CasterBuilder::new();
        assert_eq!(builder.add(&shape, &extent, 3).unwrap(), Fit::Exact, "{number}");
        let caster = builder.build();
        let (mut hits, mut inside, mut at_edges) = (0, 0, 0);
        for round in 0..4_000 {
            let origin = FAR + DVec3::Z * 5.0 + dice.place(if round % 4 == 0 { 6.0 } else { 60.0 });
            let target = FAR + DVec3::Z * 5.0 + dice.place(7.0);
            let direction = match round % 8 {
                1 => DVec3::NEG_Z,
                2 => DVec3::X,
                _ => (target - origin).normalize(),
            };
            let max_m = if round % 3 == 0 { 40.0 } else { 1e4 };
            let truth = ray::Ray { origin, direction, max_m }.enter(&shape, &extent);
            let hit = caster.closest(&Ray { origin, direction, max_m });
            let same = match (hit, truth) {
                (Some(hit), Some(truth)) if hit.is_from_inside => truth.distance_m == 0.0,
                // Inside one piece of a pipe the next one begins.
                (Some(_), Some(truth)) if truth.distance_m == 0.0 => (1..3).contains(&number),
                (Some(hit), Some(truth)) => hit.which == 3 && close(hit.distance_m, truth.distance_m),
                // The end of the ray lies inside, before any surface.
                (None, Some(truth)) => truth.distance_m == 0.0,
                (hit, None) => hit.is_none(),
            };
            hits += usize::from(hit.is_some());
            inside += usize::from(hit.is_some_and(|hit| hit.is_from_inside));
            at_edges += usize::from(!same);
        }
        assert!(hits > 200, "{number}: {hits} hits");
        assert!(at_edges <= 2, "{number}: {at_edges} of 4 000 rays differ");
        assert_eq!(inside > 30, number < 4, "{number}: {inside} from inside");
    }
}

#[test]
fn what_stands_on_a_slope_or_under_a_roof_is_met_around_it() {
    let shape = block(ell(FAR), 0.0, 7.0);
    let mut extent = shape.extent();
    extent.min.z += 20.0;
    extent.max.z += 23.0;
    let mut builder = CasterBuilder::new();
    assert_eq!(builder.add(&shape, &extent, 0).unwrap(), Fit::Around);
    let [tube, lines] = [1, 7].map(|at| exact_shapes().swap_remove(at));
    for shape in [&tube, &lines] {
        let mut extent = shape.extent();
        extent.max.z += 2.0;
        assert_eq!(builder.add(shape, &extent, 1).unwrap(), Fit::Around);
    }
    let point = Geometry::Point(crate::model::Point { at: FAR, vertical: Vertical::Absolute });
    assert_eq!(builder.add(&point, &point.extent(), 2).unwrap(), Fit::Nothing);
    let caster = builder.build();
    let down = Ray { origin: FAR.with_z(100.0) - DVec3::new(4.5, 4.5, 0.0), direction: DVec3::NEG_Z, max_m: 1e3 };
    let hit = caster.closest(&down).unwrap();
    assert!(hit.which == 0 && close(hit.distance_m, 70.0), "{hit:?}");
}

/// A ball of triangles.
fn ball(radius: f64, steps: u32, at: DVec3) -> Vec<[DVec3; 3]> {
    let corner = |i: u32, j: u32| {
        let (turn, tilt) = (f64::from(i % (2 * steps)) / f64::from(steps), f64::from(j) / f64::from(steps));
        let (turn, tilt) = (turn * std::f64::consts::PI, tilt * std::f64::consts::PI);
        at + DVec3::new(tilt.sin() * turn.cos(), tilt.sin() * turn.sin(), tilt.cos()) * radius
    };
    let cells = (0..2 * steps).flat_map(|i| (0..steps).map(move |j| (i, j)));
    cells
        .flat_map(|(i, j)| {
            let [a, b, c, d] = [corner(i, j), corner(i + 1, j), corner(i + 1, j + 1), corner(i, j + 1)];
            [[a, b, c], [a, c, d]]
        })
        .collect()
}

#[test]
fn no_ray_slips_through_between_triangles() {
    let mut dice = Dice(3);
    for (radius, steps) in [(0.5, 7), (40.0, 60), (3_000.0, 40)] {
        let triangles = ball(radius, steps, FAR);
        let mut builder = CasterBuilder::new();
        builder.add_triangles(&triangles, 1).unwrap();
        let caster = builder.build();
        let mut rays = Vec::new();
        for number in 0..60_000 {
            let origin = FAR + dice.direction() * radius * dice.throw(0.0, 0.9);
            let triangle = &triangles[dice.throw(0.0, triangles.len() as f64) as usize];
            // Anywhere, at corners, at edges.
            let direction = match number % 3 {
                0 => dice.direction(),
                1 => triangle[number % 2] - origin,
                _ => triangle[0].lerp(triangle[2], dice.throw(0.0, 1.0)) - origin,
            };
            rays.push(Ray { origin, direction, max_m: f64::INFINITY });
        }
        let escaped = caster.closest_of(&rays).into_iter().filter(Option::is_none).count();
        assert_eq!(escaped, 0, "out of a ball of {radius} m");
    }
}

#[test]
fn rays_along_edges_and_in_faces_do_no_harm() {
    let square = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)];
    let shape = block(polygon(&square, &[], FAR), FAR.z, 8.0);
    let mut builder = CasterBuilder::new();
    builder.add(&shape, &shape.extent(), 0).unwrap();
    // Triangles without area: a point and a line.
    let line = [FAR + DVec3::Z * 20.0, FAR + DVec3::new(5.0, 5.0, 20.0), FAR + DVec3::new(10.0, 10.0, 20.0)];
    builder.add_triangles(&[[FAR + DVec3::Z * 30.0; 3], line], 1).unwrap();
    let caster = builder.build();
    let cast = |from: (f64, f64, f64), direction: (f64, f64, f64)| {
        let (origin, direction) = (FAR + DVec3::from(from), DVec3::from(direction));
        caster.closest(&Ray { origin, direction, max_m: 100.0 })
    };
    for along in [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 1.0, 0.0), (1.0, 0.0, -1.0)] {
        for start in [(-5.0, 0.0, 8.0), (0.0, -5.0, 8.0), (0.0, 0.0, 12.0), (-5.0, -5.0, 8.0), (-4.0, 0.0, 12.0)] {
            if let Some(hit) = cast(start, along) {
                let place = DVec3::from(start) + DVec3::from(along).normalize() * hit.distance_m;
                let outside = (place - DVec3::new(5.0, 5.0, 4.0)).abs() - DVec3::new(5.0, 5.0, 4.0);
                assert!(outside.max_element() < ERROR_M, "{start:?} {along:?} {hit:?}");
            }
        }
    }
    // From the top and from a wall outwards there is nothing beyond the start; inwards there is.
    assert!(cast((5.0, 5.0, 8.001), (0.0, 0.0, 1.0)).is_none());
    assert!(cast((5.0, 5.0, 8.001), (0.3, 0.2, 1.0)).is_none());
    assert!(cast((-0.001, 5.0, 4.0), (-1.0, 0.2, 0.1)).is_none());
    let hit = cast((5.0, 5.0, 3.0), (0.0, 0.0, 1.0)).unwrap();
    assert!(hit.is_from_inside && close(hit.distance_m, 5.0));
    let hit = cast((5.0, 5.0, 3.0), (0.0, 1.0, 0.0)).unwrap();
    assert!(hit.is_from_inside && close(hit.distance_m, 5.0));
    let hit = cast((5.0, -5.0, 3.0), (0.0, 1.0, 0.0)).unwrap();
    assert!(!hit.is_from_inside && close(hit.distance_m, 5.0));
    assert!(cast((5.0, 5.0, 50.0), (0.0, 0.0, -1.0)).is_some_and(|hit| hit.which == 0), "no line is met");
}

#[test]
fn numbers_that_are_none_meet_nothing() {
    let mut builder = CasterBuilder::new();
    builder.add_triangles(&ball(50.0, 8, FAR), 0).unwrap();
    let caster = builder.build();
    let good = Ray { origin: FAR, direction: DVec3::X, max_m: f64::INFINITY };
    assert!(caster.closest(&good).is_some_and(|hit| (40.0..=50.0).contains(&hit.distance_m)));
    for direction in [DVec3::ZERO, DVec3::NAN, DVec3::INFINITY, DVec3::new(1.0, f64::NAN, 0.0)] {
        assert_eq!(caster.closest(&Ray { direction, ..good }), None);
    }
    for origin in [DVec3::NAN, DVec3::INFINITY, DVec3::new(f64::NAN, FAR.y, FAR.z), FAR.with_z(f64::NEG_INFINITY)] {
        assert_eq!(caster.closest(&Ray { origin, ..good }), None);
    }
    for max_m in [f64::NAN, -1.0, 0.0, 39.0] {
        assert_eq!(caster.closest(&Ray { max_m, ..good }), None);
    }
    let away = Ray { origin: FAR - DVec3::X * 1e7, ..good };
    let hit = caster.closest(&away).unwrap();
    assert!((hit.distance_m - (1e7 - 50.0)).abs() < 10.0);
    assert_eq!(caster.closest(&Ray { direction: DVec3::NEG_X, ..away }), None);
    let nothing: Caster = CasterBuilder::new().build();
    assert_eq!(nothing.closest(&good), None);
    assert!(!nothing.is_occluded(&good) && nothing.closest_of(&[]).is_empty());
    let mut builder = CasterBuilder::new();
    for bad in [DVec3::NAN, DVec3::INFINITY, FAR.with_z(-1e300)] {
        assert!(matches!(builder.add_triangles(&[[FAR, bad, FAR]], 4), Err(CastError::NoPlace { which: 4 })));
        let shape = block(polygon(&[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], &[], FAR), bad.z, 3.0);
        assert!(matches!(builder.add(&shape, &shape.extent(), 4), Err(CastError::NoPlace { which: 4 })));
    }
    let broken = MeshPart { positions: vec![FAR], indices: vec![0, 0, 1], ..MeshPart::default() };
    let broken = Geometry::Mesh(Mesh { origin: DVec3::ZERO, parts: vec![broken] });
    assert!(matches!(builder.add(&broken, &broken.extent(), 5), Err(CastError::NoCorner { which: 5 })));
}

#[test]
fn a_ray_ends_where_it_ends() {
    let mut builder = CasterBuilder::new();
    for (which, z) in [(0, 10.0), (1, 20.0)] {
        let at = FAR + DVec3::Z * z;
        builder
            .add_triangles(&[[at - DVec3::splat(9.0).with_z(0.0), at + DVec3::X * 30.0, at + DVec3::Y * 30.0]], which)
            .unwrap();
    }
    let caster = builder.build();
    let up = |max_m| Ray { origin: FAR, direction: DVec3::Z * 7.0, max_m };
    assert_eq!(caster.closest(&up(9.99)), None);
    assert!(!caster.is_occluded(&up(9.99)) && caster.is_occluded(&up(10.01)));
    assert_eq!(caster.closest(&up(10.01)).map(|hit| hit.which), Some(0));
    assert_eq!(caster.closest(&Ray { origin: FAR + DVec3::Z * 11.0, ..up(8.9) }), None);
    assert_eq!(caster.closest(&Ray { origin: FAR + DVec3::Z * 11.0, ..up(9.1) }).map(|hit| hit.which), Some(1));
}

#[test]
fn what_is_too_much_is_refused_before_it_is_held() {
    let mut builder = CasterBuilder::with_limit(1 << 20);
    let error = (0..).find_map(|which| builder.add_triangles(&ball(1.0, 8, FAR), which).err()).unwrap();
    assert!(error.to_string().contains("more than 1 MiB"), "{error}");
    assert!(builder.needed_bytes() <= 1 << 20);
    assert!(builder.build().held_bytes() < 1 << 20);
}

#[test]
fn heaps_and_towers_of_boxes_have_a_tree_that_ends() {
    let mut dice = Dice(5);
    let mut builder = CasterBuilder::new();
    // A thousand times the same, and triangles that double in size five hundred times.
    for which in 0..1_000 {
        builder.add_triangles(&[[FAR, FAR + DVec3::X, FAR + DVec3::Y]], which).unwrap();
    }
    for which in 1_000..1_500 {
        let at = FAR + DVec3::X * 1.04_f64.powi(which - 1_000);
        builder.add_triangles(&[[at, at + DVec3::Y, at + DVec3::Z]], which as u32).unwrap();
    }
    let caster = builder.build();
    for which in 1_000..1_500_u32 {
        let x = 1.04_f64.powi(which as i32 - 1_000);
        let origin = FAR + DVec3::new(x + 1e-3 * dice.throw(1.0, 5.0) * x, 0.3, 0.3);
        let ray = Ray { origin, direction: DVec3::NEG_X, max_m: f64::INFINITY };
        let hit = caster.closest(&ray).unwrap();
        // Far out the steps between the triangles are smaller than f32 would see from the origin of all.
        assert_eq!(hit.which, which, "{hit:?}");
    }
    assert!(caster.is_occluded(&Ray { origin: FAR + DVec3::new(0.2, 0.2, 5.0), direction: DVec3::NEG_Z, max_m: 6.0 }));
}

#[test]
fn grids_and_meshes_are_triangles() {
    let grid = HeightGrid {
        north_west: FAR.truncate() + DVec2::new(0.0, 400.0),
        step_m: DVec2::new(4.0, 5.0),
        columns: 101,
        rows: 81,
        heights: (0..101 * 81).map(|n| if n == 4_040 { f32::NAN } else { (n % 101) as f32 * 0.5 + 10.0 }).collect(),
    };
    let shape = Geometry::Heights(grid.clone());
    let mut builder = CasterBuilder::new();
    assert_eq!(builder.add(&shape, &shape.extent(), 9).unwrap(), Fit::Exact);
    let clip = Extent { min: FAR, max: FAR + DVec3::splat(40.0) };
    let mut clipped = CasterBuilder::new();
    clipped.add_heights(&grid, Some(&clip), 9).unwrap();
    let (whole, clipped) = (builder.build(), clipped.build());
    let mut dice = Dice(11);
    for _ in 0..2_000 {
        let at = FAR.truncate() + DVec2::new(dice.throw(-20.0, 420.0), dice.throw(-20.0, 420.0));
        let ray = Ray { origin: at.extend(500.0), direction: DVec3::NEG_Z, max_m: 1e3 };
        let truth = grid.height_at(at).map(|height| 500.0 - height);
        let hit = whole.closest(&ray).map(|hit| hit.distance_m);
        match (hit, truth) {
            (Some(hit), Some(truth)) => assert!(close(hit, truth), "{hit} {truth}"),
            (hit, truth) => {
                // One of the triangles beside a missing sample may be whole.
                let missing = grid.north_west + DVec2::new(0.0, -40.0 * 5.0);
                assert!(hit == truth || (at - missing).abs().cmplt(grid.step_m).all(), "{at} {hit:?} {truth:?}");
            }
        }
        let is_near = at.cmpge(FAR.truncate() - 6.0).all() && at.cmple(FAR.truncate() + 46.0).all();
        assert!(is_near || !clipped.is_occluded(&ray));
    }
    assert!(clipped.held_bytes() * 20 < whole.held_bytes());
    let triangles = ball(3.0, 9, DVec3::ZERO);
    let positions: Vec<DVec3> = triangles.iter().flatten().copied().collect();
    let part = MeshPart { indices: (0..positions.len() as u32).collect(), positions, ..MeshPart::default() };
    let mesh = Geometry::Mesh(Mesh { origin: FAR, parts: vec![part] });
    let mut builder = CasterBuilder::new();
    assert_eq!(builder.add(&mesh, &mesh.extent(), 2).unwrap(), Fit::Exact);
    let ray = Ray { origin: FAR + DVec3::Z * 10.0, direction: DVec3::NEG_Z, max_m: 100.0 };
    assert!(builder.build().closest(&ray).is_some_and(|hit| close(hit.distance_m, 7.0)));
}

#[test]
fn a_city_in_memory_is_met_where_its_rows_are() {
    let (_dir, city) = city();
    let held = CityCaster::open(&city, &Query::default(), 1 << 30).unwrap();
    assert_eq!((held.targets().len(), held.left_out()), (951, 0));
    let mut dice = Dice(17);
    let mut seen = [0; 3];
    for round in 0..150 {
        let number = dice.throw(0.0, 29.0).floor();
        let (origin, target) = match round % 3 {
            0 => {
                let origin = place(dice.throw(-50.0, 650.0), dice.throw(-50.0, 650.0), dice.throw(60.0, 90.0));
                (origin, place(dice.throw(0.0, 600.0), dice.throw(0.0, 600.0), 8.0))
            }
            // A tree beside the houses, and the pipe between them.
            1 => (place(number * 12.0, 296.0, 70.0), place(number * 12.0, 299.0, 9.0)),
            _ => (
                place(number * 20.0 + 16.0, number * 20.0 + 13.0, 80.0),
                place(number * 20.0 + 15.0, number * 20.0 + 15.0, -4.0),
            ),
        };
        let (direction, max_m) = ((target - origin).normalize(), 2_000.0);
        let shape = Shape::Ray { origin, direction, max_m };
        let query = Query { shape, limit: Some(1), ..Query::default() };
        let truth = run(&city, &query).unwrap().next().transpose().unwrap();
        let hit = held.caster().closest(&Ray { origin, direction, max_m });
        assert_eq!(hit.is_some(), truth.is_some(), "{origin} {direction}");
        let (Some(hit), Some(truth)) = (hit, truth) else { continue };
        assert!(close(hit.distance_m, truth.distance_m.unwrap()), "{hit:?} {truth:?}");
        let target = held.target(&hit).unwrap();
        assert_eq!(
            (target.id.as_str(), &*target.layer, target.class),
            (truth.id.as_str(), truth.layer.as_str(), truth.class)
        );
        assert_eq!(target.fit == Fit::Exact, truth.exact.unwrap(), "{target:?}");
        seen[["b", "p", "t"].iter().position(|layer| **layer == *target.layer).unwrap()] += 1;
    }
    assert!(seen.iter().all(|count| *count > 30), "{seen:?}");

    let shape = Shape::Box { min: place(95.0, 95.0, -50.0), max: place(205.0, 145.0, 100.0) };
    let query = Query { shape, classes: vec![Class::Building], ..Query::default() };
    let part = CityCaster::open(&city, &query, 1 << 30).unwrap();
    let ids: Vec<String> = run(&city, &query).unwrap().map(|found| found.unwrap().id).collect();
    assert_eq!(part.targets().iter().map(|target| target.id.clone()).collect::<Vec<_>>(), ids);
    assert!(matches!(CityCaster::open(&city, &Query::default(), 100_000), Err(CastError::TooLarge { .. })));
    let near = Shape::Near { at: DVec2::ZERO, z: None, radius_m: 1.0, limit: 1 };
    let query = Query { shape: near, ..Query::default() };
    assert!(matches!(CityCaster::open(&city, &query, 1 << 30), Err(CastError::NoRegion)));
}
