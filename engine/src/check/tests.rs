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
    ];
    let checked = run(&objects, &Rules::standard());
    assert_eq!(counts(&checked, "geometry/simple-rings"), [1, 1, 0, 0]);
    assert_eq!(counts(&checked, "geometry/closed-solid"), [1, 0, 0, 1]);
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
