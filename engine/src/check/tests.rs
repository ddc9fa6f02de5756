use glam::DVec3;

use super::*;
use crate::model::{
    Area, Attribute, CityObject, Class, Geometry, Mesh, MeshPart, ObjectId, Polygon, Section, Shaft, SourceReport,
    Tube, Value, Vertical,
};

fn pipe(key: &str, from: &str, to: &str, ends: [DVec3; 2]) -> CityObject {
    let tube = Tube {
        axis: ends.to_vec(),
        vertical: Vertical::Absolute,
        section: Section::Circle { diameter_m: 0.3 },
        from: Some(from.into()),
        to: Some(to.into()),
    };
    let mut object = CityObject::new(ObjectId::new("JS", key), Class::Pipe, Geometry::Tube(tube));
    object.attributes = vec![
        Attribute::read(&"pipe_kind".into(), Value::Text("storm".into())),
        Attribute::read(&"material".into(), Value::Text("PE".into())),
        Attribute::read(&"laying".into(), Value::Text("直埋".into())),
        Attribute::defaulted("diameter_mm", Value::Real(300.0), "nothing said"),
    ];
    object
}

fn node(key: &str, at: DVec3, feature: &str) -> CityObject {
    let shaft = Shaft { top: at, vertical: Vertical::Absolute, depth_m: 2.0, diameter_m: 0.7 };
    let mut object = CityObject::new(ObjectId::new("JS", key), Class::Manhole, Geometry::Shaft(shaft));
    object.attributes.push(Attribute::read(&"feature".into(), Value::Text(feature.into())));
    object
}

fn run(objects: &[CityObject], rules: &Rules) -> Checked {
    let mut checker = Checker::new(rules);
    objects.iter().for_each(|object| checker.push("JS", object));
    checker.finish()
}

fn counts(checked: &Checked, id: &str) -> [u64; 4] {
    let count = checked.rules.iter().find(|c| c.rule.id == id).unwrap_or_else(|| panic!("no rule {id}"));
    [count.pass, count.fail, count.unknown, count.review]
}

fn at(x: f64, y: f64, z: f64) -> DVec3 {
    DVec3::new(500_000.0 + x, 4_000_000.0 + y, z)
}

#[test]
fn a_network_with_one_of_each_fault() {
    let objects = [
        node("A", at(0.0, 0.0, 5.0), "起点"),
        node("B", at(30.0, 0.0, 5.0), "三通"),
        node("C", at(60.0, 0.0, 5.0), "直线点"),
        node("D", at(300.0, 300.0, 5.0), "直线点"),
        pipe("1", "A", "B", [at(0.0, 0.0, 3.0), at(30.0, 0.0, 3.0)]),
        pipe("2", "B", "C", [at(30.0, 0.0, 2.0), at(60.0, 0.0, 2.0)]),
        pipe("3", "C", "B", [at(60.0, 0.0, 2.0), at(30.0, 0.0, 2.0)]),
        pipe("4", "C", "Z", [at(60.0, 0.0, 2.0), at(61.0, 0.0, -8.0)]),
        pipe("5", "A", "A", [at(0.0, 0.0, 3.0), at(0.01, 0.0, 3.0)]),
        pipe("6", "C", "A", [at(60.0, 0.0, 2.0), at(160.0, 0.0, 2.0)]),
        pipe("6", "C", "A", [at(60.0, 0.0, 2.0), at(160.0, 0.0, 2.0)]),
    ];
    let checked = run(&objects, &Rules::standard());
    assert_eq!(checked.objects, 11);
    assert_eq!(counts(&checked, "identity/unique"), [10, 1, 0, 0]);
    assert_eq!(counts(&checked, "network/ends-exist"), [13, 1, 0, 0], "Z does not exist");
    assert_eq!(counts(&checked, "network/ends-differ"), [6, 1, 0, 0]);
    assert_eq!(counts(&checked, "network/node-linked"), [3, 1, 0, 0], "D");
    assert_eq!(counts(&checked, "network/double-segment"), [5, 2, 0, 0], "3 runs back along 2; 6 stands twice");
    assert_eq!(counts(&checked, "network/tee"), [1, 0, 0, 0], "B joins three");
    assert_eq!(counts(&checked, "network/node-heights"), [1, 0, 0, 2], "A and B, where lines meet 1 m apart");
    assert_eq!(counts(&checked, "pipe/length"), [4, 3, 0, 0], "5 is too short, 6 too long, twice");
    assert_eq!(counts(&checked, "pipe/slope"), [6, 1, 0, 0]);
    assert_eq!(counts(&checked, "pipe/diameter"), [0, 0, 7, 0], "an assumed diameter proves nothing");
    assert_eq!(counts(&checked, "pipe/owner"), [0, 7, 0, 0]);
    assert_eq!(counts(&checked, "geometry/same-shape"), [10, 1, 0, 0]);
    assert!(!checked.rules.iter().any(|r| r.rule.id == "drain/gravity"), "unconfirmed rules are off");
    let dangling = checked.rules.iter().find(|c| c.rule.id == "network/ends-exist").unwrap();
    assert_eq!(dangling.findings[0].en, "a dangling end: node Z does not exist");
    assert_eq!(dangling.findings[0].place, Some(at(61.0, 0.0, -8.0).to_array()));
    assert_eq!(checked.errors(), 3, "id, dangling end, loop");
}

#[test]
fn unconfirmed_rules_work_when_asked_for() {
    let mut up = pipe("1", "A", "B", [at(0.0, 0.0, 3.0), at(30.0, 0.0, 3.4)]);
    up.attributes.push(Attribute::read(&"flow".into(), Value::Text("1".into())));
    let mut down = pipe("2", "A", "B", [at(0.0, 0.0, 3.0), at(30.0, 0.0, 3.4)]);
    down.attributes.push(Attribute::read(&"flow".into(), Value::Text("-1".into())));
    let unsaid = pipe("3", "A", "B", [at(0.0, 0.0, 3.0), at(30.0, 0.0, 3.4)]);
    let checked = run(&[up, down, unsaid], &Rules::standard().all_enabled());
    assert_eq!(counts(&checked, "drain/gravity"), [1, 1, 1, 0]);
}

#[test]
fn outlines_and_solids() {
    let area = |key: &str, ring: &[(f64, f64)]| {
        let outer = ring.iter().map(|(x, y)| at(*x, *y, 0.0)).collect();
        let polygons = vec![Polygon { outer, holes: Vec::new() }];
        let area = Area { polygons, vertical: Vertical::Absolute };
        CityObject::new(ObjectId::new("JS", key), Class::LandUse, Geometry::Area(area))
    };
    let tetrahedron = |key: &str, faces: &[[u32; 3]]| {
        let positions = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)];
        let part = MeshPart {
            positions: positions.map(|(x, y, z)| DVec3::new(x, y, z)).to_vec(),
            indices: faces.concat(),
            rgba: [255; 4],
            ..MeshPart::default()
        };
        let mesh = Mesh { origin: at(0.0, 0.0, 0.0), parts: vec![part] };
        CityObject::new(ObjectId::new("JS", key), Class::Building, Geometry::Mesh(mesh))
    };
    let whole = [[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]];
    let objects = [
        area("good", &[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0)]),
        area("bow tie", &[(0.0, 0.0), (10.0, 10.0), (10.0, 0.0), (0.0, 10.0), (0.0, 0.0)]),
        tetrahedron("closed", &whole),
        tetrahedron("open", &whole[..3]),
        tetrahedron("turned", &[[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 3, 0]]),
        tetrahedron("doubled", &[[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3], [2, 0, 3]]),
    ];
    let checked = run(&objects, &Rules::standard());
    assert_eq!(counts(&checked, "geometry/simple-rings"), [1, 1, 0, 0]);
    assert_eq!(counts(&checked, "geometry/closed-solid"), [3, 0, 0, 1]);
    let open = checked.rules.iter().find(|c| c.rule.id == "geometry/closed-solid").unwrap();
    assert_eq!((open.findings[0].id.as_str(), open.findings[0].edges.len()), ("JS/open", 3), "a triangle is missing");
    let corners: Vec<[f64; 3]> = open.findings[0].edges.iter().flatten().copied().collect();
    for corner in [at(0.0, 0.0, 0.0), at(0.0, 1.0, 0.0), at(0.0, 0.0, 1.0)] {
        assert_eq!(corners.iter().filter(|c| **c == corner.to_array()).count(), 2, "{corners:?}");
    }
    assert_eq!(counts(&checked, "geometry/manifold-solid"), [2, 0, 0, 2], "one face turned, one face twice");
    let ids: Vec<&str> = checked
        .rules
        .iter()
        .find(|c| c.rule.id == "geometry/manifold-solid")
        .unwrap()
        .findings
        .iter()
        .map(|f| f.id.as_str())
        .collect();
    assert_eq!(ids, ["JS/turned", "JS/doubled"]);
}

/// Pipes of a clean storm drain: 30 m apart, falling, in wells that hold them.
fn drain() -> Vec<CityObject> {
    let place = |n: f64, z: f64| at(n * 30.0, 0.0, z);
    let mut objects = vec![
        node("A", place(0.0, 5.0), "起点"),
        node("B", place(1.0, 5.0), "直线点"),
        node("C", place(2.0, 5.0), "直线点"),
        node("D", place(3.0, 5.0), "终点"),
    ];
    for (n, [from, to]) in [["A", "B"], ["B", "C"], ["C", "D"]].into_iter().enumerate() {
        let z = |end: f64| 4.0 - (n as f64 + end) * 0.4;
        let mut pipe = pipe(&n.to_string(), from, to, [place(n as f64, z(0.0)), place(n as f64 + 1.0, z(1.0))]);
        pipe.attributes.retain(|a| &*a.key != "diameter_mm");
        let more = [
            ("diameter_mm", Value::Real(300.0)),
            ("depth_start_m", Value::Real(1.5)),
            ("depth_end_m", Value::Real(1.6)),
            ("year", Value::Int(1998)),
            ("flow", Value::Text("1".into())),
            ("owner", Value::Text("排水公司".into())),
            ("holes", Value::Int(6)),
            ("holes_used", Value::Int(4)),
        ];
        pipe.attributes.extend(more.map(|(key, value)| Attribute::read(&key.into(), value)));
        objects.push(pipe);
    }
    objects
}

/// The rules that find something wrong, with how many objects.
fn findings(objects: &[CityObject]) -> Vec<(String, u64)> {
    let checked = run(objects, &Rules::standard());
    let wrong = checked.rules.iter().map(|c| (c.rule.id.clone(), c.fail + c.review));
    wrong.filter(|(_, n)| *n > 0).collect()
}

#[test]
fn each_made_error_is_found_once_and_clean_data_have_none() {
    assert_eq!(findings(&drain()), vec![]);
    let set = |object: &mut CityObject, key: &str, value: Option<Value>| {
        object.attributes.retain(|a| &*a.key != key);
        object.attributes.extend(value.map(|value| Attribute::read(&key.into(), value)));
    };
    let tube = |object: &mut CityObject, change: &dyn Fn(&mut Tube)| {
        let Geometry::Tube(tube) = &mut object.geometry else { panic!() };
        change(tube);
    };
    type Fault<'a> = (&'a str, &'a dyn Fn(&mut Vec<CityObject>));
    let faults: [Fault<'_>; 19] = [
        ("pipe/size-given", &|o| set(&mut o[4], "diameter_mm", None)),
        ("pipe/depth-given", &|o| {
            set(&mut o[4], "depth_start_m", None);
            set(&mut o[4], "depth_end_m", None);
        }),
        ("pipe/year-given", &|o| set(&mut o[4], "year", None)),
        ("pipe/year-range", &|o| set(&mut o[4], "year", Some(Value::Text("1998-99".into())))),
        ("pipe/year-range", &|o| set(&mut o[4], "year", Some(Value::Int(998)))),
        ("pipe/depth-start", &|o| set(&mut o[4], "depth_start_m", Some(Value::Real(150.0)))),
        ("pipe/depth-end", &|o| set(&mut o[4], "depth_end_m", Some(Value::Real(1600.0)))),
        ("drain/flow-given", &|o| set(&mut o[4], "flow", None)),
        ("drain/least-diameter", &|o| set(&mut o[4], "diameter_mm", Some(Value::Real(150.0)))),
        ("drain/least-slope", &|o| tube(&mut o[4], &|t| t.axis[0].z = t.axis[1].z)),
        ("duct/holes-used", &|o| set(&mut o[4], "holes_used", Some(Value::Int(8)))),
        ("network/at-node", &|o| tube(&mut o[4], &|t| t.axis[0].x += 0.4)),
        ("network/in-well", &|o| {
            tube(&mut o[4], &|t| t.axis[0].z = 5.9);
        }),
        ("network/in-well", &|o| tube(&mut o[6], &|t| t.axis[1].z = 2.5)),
        ("identity/parent", &|o| o[5].parent = Some(ObjectId::new("JS", "gallery"))),
        ("identity/length", &|o| {
            o[5].id = ObjectId::new("JS", "0123456789012345678901234567890123");
        }),
        ("gas/pressure-given", &|o| {
            set(&mut o[4], "pipe_kind", Some(Value::Text("gas".into())));
        }),
        ("network/node-linked", &|o| o.push(node("E", at(300.0, 0.0, 5.0), "起点"))),
        ("geometry/same-shape", &|o| {
            let mut twin = o[0].clone();
            twin.id = ObjectId::new("JS", "A2");
            twin.geometry = Geometry::Area(Area { polygons: vec![], vertical: Vertical::Absolute });
            twin.class = Class::LandUse;
            let mut other = twin.clone();
            other.id = ObjectId::new("JS", "A3");
            o.extend([twin, other]);
        }),
    ];
    for (rule, make) in faults {
        let mut objects = drain();
        make(&mut objects);
        assert_eq!(findings(&objects), vec![(rule.to_owned(), 1)]);
    }
    // 80 m between wells of a 500 mm drain are more than two rules allow.
    let mut objects = drain();
    set(&mut objects[4], "diameter_mm", Some(Value::Real(500.0)));
    tube(&mut objects[4], &|t| t.axis[0].x -= 50.0);
    let Geometry::Shaft(shaft) = &mut objects[0].geometry else { panic!() };
    shaft.top.x -= 50.0;
    assert_eq!(findings(&objects), vec![("pipe/length".to_owned(), 1), ("drain/spacing".to_owned(), 1)]);
}

#[test]
fn lines_that_turn_back_and_loose_ends_that_nearly_meet() {
    let mut objects = drain();
    // C–D turns back towards B.
    let Geometry::Tube(tube) = &mut objects[6].geometry else { panic!() };
    tube.axis[1] = at(40.0, 10.0, 3.4);
    let Geometry::Shaft(shaft) = &mut objects[3].geometry else { panic!() };
    shaft.top = at(40.0, 10.0, 5.0);
    assert_eq!(findings(&objects), vec![("drain/turn".to_owned(), 1)]);

    let loose = |key: &str, ends: [DVec3; 2], kind: &str| {
        let mut line = drain().remove(4);
        line.id = ObjectId::new("JS", key);
        line.attributes.retain(|a| &*a.key != "pipe_kind");
        line.attributes.push(Attribute::read(&"pipe_kind".into(), Value::Text(kind.into())));
        let Geometry::Tube(tube) = &mut line.geometry else { panic!() };
        (tube.axis, tube.from, tube.to) = (ends.to_vec(), None, None);
        line
    };
    let gaps = |objects: &[CityObject]| counts(&run(objects, &Rules::standard()), "network/gap");
    let first = [at(0.0, 0.0, 3.0), at(30.0, 0.0, 3.0)];
    let apart = |gap: f64| [at(30.0 + gap, 0.0, 3.0), at(60.0, 0.0, 3.0)];
    let pair = |gap: f64, kind: &str| [loose("1", first, "water"), loose("2", apart(gap), kind)];
    assert_eq!(gaps(&pair(0.0, "water")), [4, 0, 0, 0], "they meet");
    assert_eq!(gaps(&pair(0.2, "water"))[3], 1, "told once");
    assert_eq!(gaps(&pair(2.0, "water")), [4, 0, 0, 0], "far apart");
    assert_eq!(gaps(&pair(0.2, "gas")), [4, 0, 0, 0], "of two networks");
    let mut three = pair(0.2, "water").to_vec();
    three.push(loose("3", [at(30.2, 0.0, 3.0), at(30.0, 0.0, 3.0)], "water"));
    assert_eq!(gaps(&three)[3], 0, "a short piece joins them");
}

#[test]
fn a_storey_of_thirty_metres_and_what_is_assumed() {
    let building = |key: &str, height: Attribute, storeys: i64| {
        let mut object = CityObject::new(ObjectId::new("JS", key), Class::Building, Geometry::None);
        object.attributes = vec![height, Attribute::read(&"storeys".into(), Value::Int(storeys))];
        object
    };
    let height = |metres: f64| Attribute::read(&"height_m".into(), Value::Real(metres));
    let guess = Attribute::defaulted("height_m", Value::Real(6.0), "6 m assumed");
    let all = [building("1", height(18.0), 6), building("2", height(180.0), 6), building("3", guess, 2)];
    let checked = run(&all, &Rules::standard());
    assert_eq!(counts(&checked, "building/storey-height"), [1, 1, 1, 0]);
    let rule = checked.rules.iter().find(|c| c.rule.id == "building/storey-height").unwrap();
    assert_eq!(rule.findings[1].en, "unknown: height_m (6 m assumed) is missing or assumed");
    assert!(rule.findings[0].zh.contains("30.00") && rule.findings[0].zh.contains("2–20"), "{:?}", rule.findings[0]);
}

#[test]
fn layers_and_datums() {
    let mut checker = Checker::new(&Rules::standard());
    let facts = |crs, vertical| LayerFacts { crs, vertical };
    checker.layer("DXGX_LN_XZ", &facts(Some(4549), Some(5737)));
    checker.layer("DZSJ_PT_XZ", &facts(Some(4549), None));
    checker.layer("dxgx_ln_gz", &facts(Some(2334), Some(5737)));
    checker.layer("管线", &facts(None, None));
    let checked = checker.finish();
    assert_eq!(counts(&checked, "layer/name"), [2, 2, 0, 0]);
    assert_eq!(counts(&checked, "datum/national"), [1, 0, 2, 1]);
}

#[test]
fn what_an_import_says_is_part_of_it() {
    let mut checker = Checker::new(&Rules::standard());
    let mut source = SourceReport { layer: "b".into(), ..SourceReport::default() };
    source.skip(7, "no ring");
    source.warn("height_missing", "no height", "record 9");
    source.warn("height_missing", "no height", "record 10");
    checker.import(&source);
    let checked = checker.finish();
    assert_eq!(counts(&checked, "import/skipped"), [0, 1, 0, 0]);
    assert_eq!(counts(&checked, "import/height_missing"), [0, 0, 0, 2]);
    let skipped = checked.rules.iter().find(|c| c.rule.id == "import/skipped").unwrap();
    assert_eq!((skipped.findings[0].record, skipped.findings[0].en.as_str()), (7, "record cannot be read: no ring"));
}

#[test]
fn tables_that_cannot_be_meant_are_refused_and_local_ones_override() {
    let rule = |id: &str, more: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\ntest = {{ check = \"slope\", max = 10 }}\nstandard = \"x\"\nzh = \"a\"\nen = \"b\"\n{more}\n"
        )
    };
    let refused = [
        (rule("a", "severity = \"error\"\ntag = \"P\""), "tag F, M or G"),
        (rule("a", "severity = \"error\"\ntag = \"F\"\nstrength = \"宜\""), "never fails"),
        (rule("a", "severity = \"advice\"\ntag = \"K\""), "without being asked"),
        (rule("a", "severity = \"advice\"\ntag = \"P\"\nclasses = [\"pipes\"]"), "no class"),
        (rule("a", "severity = \"advice\"\ntag = \"P\"\nlimit = 3"), "limit"),
        (rule("a", "severity = \"advice\"\ntag = \"P\"").repeat(2), "twice"),
    ];
    for (text, reason) in refused {
        let error = Rules::parse(&text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let local = Rules::parse(&rule("pipe/slope", "severity = \"advice\"\ntag = \"P\"\nclasses = [\"pipe\"]")).unwrap();
    let all = Rules::standard().overridden_by(local);
    assert_eq!(all.iter().count(), Rules::standard().iter().count());
    let steep = pipe("1", "A", "B", [at(0.0, 0.0, 0.0), at(30.0, 0.0, 8.0)]);
    assert_eq!(counts(&run(&[steep], &all), "pipe/slope"), [0, 1, 0, 0], "15° is too steep for the local rule");
}
