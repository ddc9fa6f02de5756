//! Questions to a small city, compared with looking at each object.

use std::collections::BTreeSet;

use glam::{DVec2, DVec3};

use super::{Coordinates, Filter, Query, Region, Search, Shape, run, write_geojson};
use crate::{
    crs::Crs,
    model::{
        Attribute, Block, CityObject, Class, Domain, Geometry, ImportReport, Instance, InstanceModel, ObjectId,
        Polygon, Section, Tube, Value, Vertical,
    },
    store::{City, SourceRef},
};

const CORNER: DVec2 = DVec2::new(500_000.0, 4_000_000.0);

pub(super) fn place(x: f64, y: f64, z: f64) -> DVec3 {
    (CORNER + DVec2::new(x, y)).extend(z)
}

fn building(number: u32) -> CityObject {
    let (x, y) = (f64::from(number % 30) * 20.0, f64::from(number / 30) * 20.0);
    let outer = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)].map(|(u, v)| place(x + u, y + v, 0.0)).to_vec();
    let block = Block {
        footprint: vec![Polygon { outer, holes: vec![] }],
        base_m: Some(5.0),
        height_m: f64::from(number % 40) + 3.0,
        lift_m: 0.0,
        storeys: None,
        roof: None,
    };
    let mut object = CityObject::new(ObjectId::new("b", number), Class::Building, Geometry::Block(block));
    object.name =
        Some(if number.is_multiple_of(2) { format!("中山路{number}号") } else { format!("海滨{number}号") });
    object.attributes.push(Attribute::converted("height_m", Value::Real(f64::from(number % 40) + 3.0), "H", "as is"));
    if number.is_multiple_of(10) {
        object.attributes.push(Attribute::read(&"valid_from".into(), Value::Text("2020-01-01".into())));
    }
    object
}

pub(super) fn city() -> (tempfile::TempDir, City) {
    let dir = tempfile::tempdir().unwrap();
    let city = City::create(&dir.path().join("q.city"), "q", &Crs::from_epsg(4549).unwrap(), None).unwrap();
    let mut draft = city.begin().unwrap();
    let source = |name: &str| vec![SourceRef { path: name.into(), hash: name.into(), ..SourceRef::default() }];
    draft.replace_layer("b", source("b")).unwrap();
    (0..900).for_each(|n| draft.push("b", building(n)).unwrap());
    draft.replace_layer("p", source("p")).unwrap();
    let tube = Tube {
        axis: vec![place(0.0, 0.0, -3.0), place(600.0, 600.0, -5.0)],
        vertical: Vertical::Absolute,
        section: Section::Circle { diameter_m: 0.5 },
        from: None,
        to: None,
    };
    draft.push("p", CityObject::new(ObjectId::new("p", 1), Class::Pipe, Geometry::Tube(tube))).unwrap();
    draft.replace_layer("t", source("t")).unwrap();
    for n in 0..50 {
        let instance = Instance {
            at: place(f64::from(n) * 12.0, 300.0, 5.0),
            vertical: Vertical::Absolute,
            model: InstanceModel::BroadleafTree,
            height_m: 8.0,
            width_m: 4.0,
            yaw: 0.0,
        };
        draft.push("t", CityObject::new(ObjectId::new("t", n), Class::Tree, Geometry::Instance(instance))).unwrap();
    }
    draft.commit(&mut ImportReport::default()).unwrap();
    let city = City::open(city.folder()).unwrap();
    (dir, city)
}

fn ids(city: &City, query: &Query) -> Vec<String> {
    run(city, query).unwrap().map(|f| f.unwrap().id).collect()
}

#[test]
fn a_box_holds_what_lies_in_it_and_not_what_only_its_box_meets() {
    let (_dir, city) = city();
    let shape =
        |x0, y0, x1, y1| Shape::Box { min: place(x0, y0, f64::NEG_INFINITY), max: place(x1, y1, f64::INFINITY) };
    let query = Query { shape: shape(95.0, 95.0, 205.0, 145.0), layers: vec!["b".into()], ..Query::default() };
    let found: BTreeSet<String> = ids(&city, &query).into_iter().collect();
    let truth: BTreeSet<String> = (0..900u32)
        .filter(|n| {
            let (x, y) = (f64::from(n % 30) * 20.0, f64::from(n / 30) * 20.0);
            x <= 205.0 && x + 10.0 >= 95.0 && y <= 145.0 && y + 10.0 >= 95.0
        })
        .map(|n| format!("b/{n}"))
        .collect();
    assert_eq!(found, truth);
    let pipe = |shape| ids(&city, &Query { shape, classes: vec![Class::Pipe], ..Query::default() });
    assert_eq!(pipe(shape(100.0, 90.0, 120.0, 130.0)), ["p/1"]);
    assert!(pipe(shape(400.0, 10.0, 500.0, 60.0)).is_empty(), "in the box of the pipe, not on the pipe");
    let deep = Shape::Box { min: place(0.0, 0.0, -100.0), max: place(700.0, 700.0, 0.0) };
    let below = ids(&city, &Query { shape: deep, ..Query::default() });
    assert_eq!(below, ["p/1"], "heights count");
    let corners = vec![CORNER, CORNER + DVec2::new(100.0, 0.0), CORNER + DVec2::new(0.0, 100.0)];
    let triangle = Region::polygon(corners).unwrap();
    let found = ids(&city, &Query { shape: Shape::touching(triangle), layers: vec!["b".into()], ..Query::default() });
    assert!(found.contains(&"b/0".into()) && !found.contains(&"b/124".into()), "{found:?}");
}

#[test]
fn a_city_whose_trees_are_of_another_release_answers_the_same() {
    let (_dir, city) = city();
    let shape = Shape::Box { min: place(95.0, 95.0, 0.0), max: place(205.0, 245.0, 20.0) };
    let near = Shape::Near { at: DVec2::new(500_111.0, 4_000_222.0), z: None, radius_m: 60.0, limit: 99 };
    let asked = [shape, near].map(|shape| Query { shape, ..Query::default() });
    let answers = |city: &City| asked.each_ref().map(|query| ids(city, query));
    let before = answers(&city);
    assert!(before.iter().all(|found| found.len() > 10));
    let objects = city.folder().join("objects");
    let layers = std::fs::read_dir(objects).unwrap().map(|layer| layer.unwrap().path());
    let files = layers.flat_map(|layer| std::fs::read_dir(layer).unwrap().map(|file| file.unwrap().path()));
    let trees: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "tree")).collect();
    assert!(trees.len() >= 3);
    for tree in &trees {
        let mut bytes = std::fs::read(tree).unwrap();
        bytes[..8].copy_from_slice(b"GLTREE01");
        std::fs::write(tree, bytes).unwrap();
    }
    assert_eq!(answers(&City::open(city.folder()).unwrap()), before);
    trees.iter().for_each(|tree| std::fs::write(tree, b"GLTREE02 and no more").unwrap());
    let city = City::open(city.folder()).unwrap();
    let answer: Result<Vec<_>, _> = run(&city, &asked[0]).and_then(Iterator::collect);
    assert!(answer.is_err_and(|error| error.to_string().contains("not an index of boxes")));
}

#[test]
fn a_corridor_holds_what_is_near_its_line() {
    let (_dir, city) = city();
    let path = [(5.0, -20.0), (5.0, 255.0), (433.0, 255.0), (590.0, 580.0)];
    let line: Vec<DVec2> = path.iter().map(|v| CORNER + DVec2::from(*v)).collect();
    let shape = Shape::within(Region::line(line).unwrap(), 7.5).unwrap();
    let query = Query { shape, layers: vec!["b".into(), "t".into()], ..Query::default() };
    let found: Vec<_> = run(&city, &query).unwrap().map(|f| f.unwrap()).collect();
    // Sampled along the line every centimetre: no exact distance is missed by more than that.
    let walked: Vec<DVec2> = path
        .windows(2)
        .flat_map(|pair| {
            let (a, b) = (DVec2::from(pair[0]), DVec2::from(pair[1]));
            let count = (a.distance(b) * 100.0) as u32;
            (0..=count).map(move |k| a.lerp(b, f64::from(k) / f64::from(count)))
        })
        .collect();
    let sampled = |low: DVec2, size: f64| {
        let gap = |at: &DVec2| (low - *at).max(*at - (low + size)).max(DVec2::ZERO).length();
        walked.iter().map(gap).fold(f64::INFINITY, f64::min)
    };
    let buildings = (0..900u32).map(|n| {
        let low = DVec2::new(f64::from(n % 30) * 20.0, f64::from(n / 30) * 20.0);
        (format!("b/{n}"), sampled(low, 10.0))
    });
    let trees = (0..50).map(|n| (format!("t/{n}"), sampled(DVec2::new(f64::from(n) * 12.0, 300.0), 0.0)));
    let truth: Vec<(String, f64)> = buildings.chain(trees).filter(|(_, d)| *d <= 7.5).collect();
    assert!(truth.len() > 60 && found.len() == truth.len(), "{} and {}", found.len(), truth.len());
    for (id, sampled) in truth {
        let hit = found.iter().find(|f| f.id == id).unwrap_or_else(|| panic!("{id}"));
        let distance = hit.distance_m.unwrap();
        assert!(distance <= sampled + 1e-9 && sampled - distance < 0.01, "{id}: {distance} {sampled}");
    }
    let touching = Shape::touching(Region::parse("LINESTRING(500000 4000010, 500040 4000010)").unwrap());
    let query = Query { shape: touching, layers: vec!["b".into()], ..Query::default() };
    assert_eq!(ids(&city, &query).len(), 3, "along the northern edges");
    assert!(Shape::within(Region::parse("POINT(0 0)").unwrap(), f64::NAN).is_err());
}

#[test]
fn the_nearest_are_the_nearest_to_the_shape_itself() {
    let (_dir, city) = city();
    let near = |x, y, limit| {
        let shape = Shape::Near { at: CORNER + DVec2::new(x, y), z: None, radius_m: 200.0, limit };
        run(&city, &Query { shape, ..Query::default() }).unwrap().map(|f| f.unwrap()).collect::<Vec<_>>()
    };
    let found = near(15.0, 305.0, 40);
    assert!(found.windows(2).all(|w| w[0].distance_m <= w[1].distance_m));
    let mut truth: Vec<f64> = (0..900u32)
        .map(|n| {
            let low = DVec2::new(f64::from(n % 30) * 20.0, f64::from(n / 30) * 20.0);
            let at = DVec2::new(15.0, 305.0);
            (low - at).max(at - (low + 10.0)).max(DVec2::ZERO).length()
        })
        .chain((0..50).map(|n| DVec2::new(f64::from(n) * 12.0, 300.0).distance(DVec2::new(15.0, 305.0))))
        .chain([290.0 / f64::sqrt(2.0)])
        .filter(|d| *d <= 200.0)
        .collect();
    truth.sort_by(f64::total_cmp);
    assert_eq!(found.len(), 40);
    for (found, truth) in found.iter().zip(truth) {
        assert!((found.distance_m.unwrap() - truth).abs() < 1e-6);
    }
    // The box of the pipe is all around; the pipe itself is 70.7 m away.
    let pipe = near(300.0, 200.0, 10_000).into_iter().find(|f| f.id == "p/1").unwrap();
    assert!((pipe.distance_m.unwrap() - 100.0 / f64::sqrt(2.0)).abs() < 1e-6);
}

#[test]
fn a_ray_meets_buildings_in_their_order() {
    let (_dir, city) = city();
    let shape = Shape::Ray { origin: place(-50.0, 5.0, 6.0), direction: DVec3::X * 3.0, max_m: 100.0 };
    let found: Vec<_> = run(&city, &Query { shape, ..Query::default() }).unwrap().map(|f| f.unwrap()).collect();
    assert_eq!(found.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["b/0", "b/1", "b/2"]);
    assert_eq!((found[1].distance_m, found[1].exact), (Some(70.0), Some(true)));
    // Of a few, the same ones as of all.
    let some = |offset: usize, limit: usize| {
        let shape = Shape::Ray { origin: place(-50.0, 5.0, 6.0), direction: DVec3::X, max_m: 1e4 };
        let query = Query { shape, offset, limit: Some(limit), ..Query::default() };
        run(&city, &query).unwrap().map(|f| f.unwrap()).collect::<Vec<_>>()
    };
    let all = some(0, usize::MAX);
    assert!(all.len() > 20 && all.windows(2).all(|pair| pair[0].distance_m <= pair[1].distance_m));
    for (offset, limit) in [(0, 0), (0, 1), (3, 2), (9, 11), (all.len(), 5)] {
        let wanted: Vec<_> = all.iter().skip(offset).take(limit).cloned().collect();
        assert_eq!(some(offset, limit), wanted, "{offset} {limit}");
    }
    // The box of the pipe is all around; the pipe itself is met 3.5 m below the ground, 250 mm from its axis.
    let down = |x: f64, y: f64| {
        let shape = Shape::Ray { origin: place(x, y, 0.0), direction: DVec3::NEG_Z, max_m: 100.0 };
        let query = Query { shape, layers: vec!["p".into()], ..Query::default() };
        run(&city, &query).unwrap().map(|f| f.unwrap()).collect::<Vec<_>>()
    };
    assert!(down(100.0, 500.0).is_empty());
    let met = down(150.0, 150.0);
    assert!((met[0].distance_m.unwrap() - 3.25).abs() < 1e-4 && met[0].exact == Some(true), "{:?}", met[0]);
    let tree = Shape::Ray { origin: place(-50.0, 300.0, 6.0), direction: DVec3::X, max_m: 55.0 };
    let query = Query { shape: tree, layers: vec!["t".into()], ..Query::default() };
    let met: Vec<_> = run(&city, &query).unwrap().map(|f| f.unwrap()).collect();
    assert_eq!((met.len(), met[0].exact), (1, Some(false)), "a model is met by its box");
}

#[test]
fn filters_words_times_and_limits() {
    let (_dir, city) = city();
    let all = |query: &Query| ids(&city, query);
    let filter = |text: &str| Query { filter: Some(Filter::parse(text).unwrap()), ..Query::default() };
    assert_eq!(all(&filter("height_m >= 40 and name like '中山%'")).len(), 22);
    assert_eq!(all(&filter("height_m >= 40 and name like '海滨%'")).len(), 44);
    assert_eq!(all(&filter("class = 'tree' and z_max > 12")).len(), 50);
    assert_eq!(all(&Query { domains: vec![Domain::Below], ..Query::default() }), ["p/1"]);
    let early = Query { at: super::parse_time("2019-12-31T23:59:59Z"), ..Query::default() };
    assert_eq!(all(&early).len(), 951 - 90);
    assert_eq!(all(&Query { at: super::parse_time("2020-01-01"), ..Query::default() }).len(), 951);
    let whole = all(&Query::default());
    let page = Query { offset: 100, limit: Some(7), ..Query::default() };
    assert_eq!(all(&page), whole[100..107]);
    assert_eq!(all(&Query::default()), whole, "the order is always the same");
    assert!(run(&city, &Query { layers: vec!["nothing".into()], ..Query::default() }).is_err());
}

#[test]
fn names_are_searched_the_best_first() {
    let (_dir, city) = city();
    let search = |text: &str| Query { search: Some(Search::new(text).unwrap()), ..Query::default() };
    assert_eq!(ids(&city, &search("中山路10号")), ["b/10"]);
    assert_eq!(ids(&city, &search("zhongshanlu 10 hao"))[0], "b/10");
    assert_eq!(ids(&city, &search("zsl10h")), ["b/10"]);
    assert_eq!(ids(&city, &search("p/1")), ["p/1"]);
    // Every object, compared one by one.
    let whole: Vec<(String, Option<String>)> =
        run(&city, &Query::default()).unwrap().map(|f| f.unwrap()).map(|f| (f.id, f.name)).collect();
    for text in ["haibin", "hb1", "路 8", "1", "t/1", "sl"] {
        let one = Search::new(text).unwrap();
        let truth: BTreeSet<String> = whole
            .iter()
            .filter(|(id, name)| one.finds_object(id.split('/').next().unwrap(), id, name.as_deref()))
            .map(|(id, _)| id.clone())
            .collect();
        let found = ids(&city, &search(text));
        assert_eq!(found.len(), truth.len(), "{text}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), truth, "{text}");
    }
    assert_eq!(ids(&city, &search("haibin")).len(), 450);
    let place = Shape::Box { min: place(0.0, 0.0, f64::NEG_INFINITY), max: place(95.0, 5.0, f64::INFINITY) };
    let query = Query { shape: place, ..search("haibin") };
    assert_eq!(ids(&city, &query), ["b/1", "b/3"], "all else that is asked for counts too");
    let near = Shape::Near { at: CORNER, z: None, radius_m: 100.0, limit: 3 };
    let query = Query { shape: near, ..search("haibin") };
    assert_eq!(ids(&city, &query)[0], "b/1", "the nearest of them");
    let page = Query { offset: 2, limit: Some(3), ..search("haibin") };
    assert_eq!(ids(&city, &page), ids(&city, &search("haibin"))[2..5]);
    let held = city.names().held_bytes();
    assert!((10_000..200_000).contains(&held), "{held}");
}

#[test]
fn geojson_is_what_others_read() {
    let (_dir, city) = city();
    let query = Query { layers: vec!["b".into(), "p".into()], limit: Some(901), ..Query::default() };
    let frame = city.frame().unwrap();
    let mut text = Vec::new();
    let count = write_geojson(&mut text, run(&city, &query).unwrap(), Coordinates::Geographic(&frame), city.crs());
    assert_eq!(count.unwrap(), 901);
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let features = value["features"].as_array().unwrap();
    assert_eq!(features.len(), 901);
    let corner = &features[0]["geometry"]["coordinates"][0][0][0];
    assert!((corner[0].as_f64().unwrap() - 120.0).abs() < 0.1, "{corner}");
    assert_eq!(features[0]["geometry"]["type"], "MultiPolygon");
    assert_eq!(features[900]["geometry"]["type"], "LineString");
    let mut text = Vec::new();
    write_geojson(&mut text, run(&city, &query).unwrap(), Coordinates::City, city.crs()).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(value["crs"]["properties"]["name"], "urn:ogc:def:crs:EPSG::4549");
}
