use std::path::PathBuf;

use groundline_engine::model::{CityObject, Class, Domain, Geometry, Mesh, Value};

use super::FORMAT;
use crate::{Options, trial};

/// A cube with a roof, walls and a ground, a part of a building; a road without heights; a tree by template.
fn whole() -> String {
    r#"{"type":"CityJSON","version":"2.0",
    "transform":{"scale":[0.001,0.001,0.001],"translate":[534000.0,3993000.0,0.0]},
    "metadata":{"referenceSystem":"https://www.opengis.net/def/crs/EPSG/0/4549"},
    "appearance":{"materials":[{"name":"brick","diffuseColor":[1.0,0.0,0.0],"transparency":0.5}]},
    "geometry-templates":{"templates":[{"type":"MultiSurface","lod":"2","boundaries":[[[0,1,2]]],"material":{"":{"value":0}}}],
      "vertices-templates":[[0,0,0],[1,0,0],[0,0,1]]},
    "CityObjects":{
     "whole":{"type":"Building","children":["part"],"attributes":{"name":"市南区1号","measuredHeight":10.5,"storeysAboveGround":3,"ok":true,"nested":{"a":1}},
       "address":[{"City":"青岛","location":{"type":"MultiPoint"}}],
       "geometry":[{"type":"MultiSurface","lod":"0.1","boundaries":[[[0,1,2,3]]]}]},
     "part":{"type":"BuildingPart","parents":["whole"],"geometry":[
       {"type":"MultiSurface","lod":"1","boundaries":[[[0,1,2,3]]]},
       {"type":"Solid","lod":"2.2","boundaries":[[[[0,3,2,1]],[[4,5,6,7]],[[0,1,5,4]],[[1,2,6,5]],[[2,3,7,6]],[[3,0,4,7]]]],
        "semantics":{"surfaces":[{"type":"GroundSurface"},{"type":"RoofSurface"},{"type":"WallSurface"}],"values":[[0,1,2,2,2,null]]},
        "material":{"theme":{"values":[[null,null,0,null,null,null]]}}}]},
     "road":{"type":"Road","geometry":[{"type":"MultiSurface","lod":1,"boundaries":[[[0,1,2,3]]]}]},
     "tree":{"type":"SolitaryVegetationObject","geometry":[{"type":"GeometryInstance","template":0,"boundaries":[6],
       "transformationMatrix":[2,0,0,0,0,1,0,0,0,0,3,0,0,0,0,1]}]},
     "extra":{"type":"+Lamp","geometry":[]}
    },
    "vertices":[[0,0,0],[10000,0,0],[10000,10000,0],[0,10000,0],[0,0,5000],[10000,0,5000],[10000,10000,5000],[0,10000,5000]]}"#
        .to_owned()
}

fn read(name: &str, text: &str) -> trial::Trial {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    trial::Trial::of(&FORMAT, &path, &Options::default(), 4549)
}

fn object<'t>(trial: &'t trial::Trial, id: &str) -> &'t CityObject {
    trial.objects.iter().find(|o| o.id.as_str() == format!("t/{id}")).unwrap_or_else(|| panic!("{id}"))
}

fn mesh(object: &CityObject) -> &Mesh {
    match &object.geometry {
        Geometry::Mesh(mesh) => mesh,
        other => panic!("{other:?}"),
    }
}

fn value(object: &CityObject, key: &str) -> Option<Value> {
    object.value(key).cloned()
}

#[test]
fn a_model_becomes_objects_with_parents_shapes_and_types() {
    let trial = read("a.city.json", &whole());
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!(trial.probe.as_ref().unwrap().crs.as_ref().unwrap().epsg, Some(4549));
    assert_eq!((trial.objects.len(), trial.report.skipped), (5, 0), "{:?}", trial.report);

    let whole = object(&trial, "whole");
    assert_eq!((whole.class, whole.geometry.clone()), (Class::Building, Geometry::None), "its part is modelled");
    assert_eq!(whole.name.as_deref(), Some("市南区1号"));
    assert_eq!(value(whole, "height_m"), Some(Value::Real(10.5)));
    assert_eq!(value(whole, "storeys"), Some(Value::Int(3)));
    assert_eq!(value(whole, "ok"), Some(Value::Bool(true)));
    assert_eq!(value(whole, "nested.a"), Some(Value::Int(1)));
    assert_eq!(value(whole, "address.City"), Some(Value::Text("青岛".into())));
    assert_eq!(value(whole, "lods_not_taken"), Some(Value::Text("0.1".into())));

    let part = object(&trial, "part");
    assert_eq!(part.parent.as_ref().unwrap().as_str(), "t/whole");
    assert_eq!(value(part, "lod"), Some(Value::Text("2.2".into())));
    assert_eq!(value(part, "lods_not_taken"), Some(Value::Text("1".into())));
    let cube = mesh(part);
    let triangles: usize = cube.parts.iter().map(|p| p.indices.len() / 3).sum();
    assert_eq!((triangles, cube.parts.len()), (12, 5), "ground, roof, walls, brick, and one surface that is nothing");
    assert!(cube.parts.iter().any(|p| p.rgba == [255, 0, 0, 127]));
    let extent = part.geometry.extent();
    assert_eq!(extent.min.to_array(), [534_000.0, 3_993_000.0, 0.0]);
    assert_eq!(extent.max.to_array(), [534_010.0, 3_993_010.0, 5.0]);
    // All faces look outward: the volume is positive.
    let volume: f64 = cube
        .parts
        .iter()
        .flat_map(|p| p.indices.chunks_exact(3).map(|t| [t[0], t[1], t[2]].map(|i| p.positions[i as usize])))
        .map(|[a, b, c]| a.dot(b.cross(c)) / 6.0)
        .sum();
    assert!((volume - 500.0).abs() < 1e-6, "{volume}");

    let road = object(&trial, "road");
    assert!(matches!(&road.geometry, Geometry::Area(area) if area.polygons.len() == 1), "{:?}", road.geometry);
    assert_eq!(road.domain, Domain::Surface);
    let tree = object(&trial, "tree").geometry.extent();
    assert_eq!(tree.min.to_array(), [534_010.0, 3_993_010.0, 5.0]);
    assert_eq!(tree.max.to_array(), [534_012.0, 3_993_010.0, 8.0]);
    assert_eq!(object(&trial, "extra").class, Class::Generic);
    assert!(trial.report.warnings.iter().any(|w| w.code == "unknown_type"));
}

fn sequence() -> String {
    let mut text = concat!(
        r#"{"type":"CityJSON","version":"2.0","transform":{"scale":[0.001,0.001,0.001],"translate":[534000,3993000,0]},"#,
        r#""metadata":{"referenceSystem":"urn:ogc:def:crs:EPSG::4549"},"CityObjects":{},"vertices":[]}"#,
        "\n"
    )
    .to_owned();
    for i in 0..12 {
        text += &format!(
            r#"{{"type":"CityJSONFeature","id":"b{i}","CityObjects":{{"b{i}":{{"type":"Building","attributes":{{"name":"楼{i}"}},"children":["p{i}"]}},"p{i}":{{"type":"BuildingPart","parents":["b{i}"],"geometry":[{{"type":"Solid","lod":"2.2","boundaries":[[[[0,2,1]],[[0,1,3]],[[1,2,3]],[[2,0,3]]]]}}]}}}},"vertices":[[{x},0,0],[{y},0,0],[{x},9000,0],[{x},0,7000]]}}"#,
            x = i * 20_000,
            y = i * 20_000 + 9000
        );
        text.push('\n');
    }
    text
}

#[test]
fn a_sequence_is_read_line_by_line_and_bad_lines_are_named() {
    let text = sequence();
    for name in ["a.city.jsonl", "a.json"] {
        let trial = read(name, &text);
        assert_eq!(
            (trial.objects.len(), trial.report.skipped),
            (24, 0),
            "{name}: {:?} {:?}",
            trial.report,
            trial.outcome
        );
        assert_eq!(object(&trial, "p11").geometry.extent().min.x, 534_220.0);
        assert_eq!(object(&trial, "p11").record, 13);
    }
    let broken =
        text.replacen("\"vertices\":[[20000", "\"vertices\":[[\"x\"", 1).replacen("[[0,2,1]]", "[[0,2,99]]", 1);
    let trial = read("a.jsonl", &broken);
    let reasons: Vec<String> = trial.report.skips.iter().map(|s| format!("{} {}", s.record, s.reason)).collect();
    assert_eq!(trial.objects.len(), 22);
    assert!(reasons[0].contains("p0: surface 1: vertex 99 of 4"), "{reasons:?}");
    assert!(reasons[1].starts_with("3 line 3: "), "{reasons:?}");
}

#[test]
fn a_feature_without_header_is_refused_since_its_scale_is_unknown() {
    let line = sequence().lines().nth(1).unwrap().to_owned();
    let trial = read("a.jsonl", &line);
    let error = trial.outcome.unwrap_err().to_string();
    assert!(error.contains("transform"), "{error}");
}

#[test]
fn other_json_is_not_taken() {
    for text in [
        r#"{"type":"FeatureCollection","features":[]}"#,
        r#"{"features":[],"type":"FeatureCollection"}"#,
        r#"{"type":"Feature","geometry":null}"#,
        "",
        "[1,2]",
        "{\"a\":1}",
    ] {
        let trial = read("a.json", text);
        assert!(trial.probe.is_none() && trial.outcome.is_ok(), "{text}");
    }
    let cut = &whole()[..1500];
    assert!(read("a.json", cut).outcome.unwrap_err().to_string().contains("cut off"));
}

#[test]
fn no_damage_makes_it_panic_hang_or_miscount_silently() {
    let text = whole().replace("\"extra\":{\"type\":\"+Lamp\",\"geometry\":[]}", "\"extra\":{\"type\":\"LandUse\"}");
    let text = text.replace("\"tree\":", "\"more\":{\"type\":\"BuildingPart\",\"parents\":[\"whole\"]},\"tree\":");
    for (name, text) in [("a.city.json", text.as_str()), ("a.city.jsonl", &sequence())] {
        assert_eq!(read(name, text).report.warnings, [], "else no damage would count as unnoticed");
    }
    let found = trial::miscounts(&FORMAT, "a.city.json", text.as_bytes(), &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
    let found = trial::miscounts(&FORMAT, "a.city.jsonl", sequence().as_bytes(), &Options::default(), 4549);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn pictures_are_on_the_surfaces_whose_rings_name_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wall.png"), crate::texture::tests::halves()).unwrap();
    let text = r#"{"type":"CityJSON","version":"2.0",
    "transform":{"scale":[0.001,0.001,0.001],"translate":[534000.0,3993000.0,0.0]},
    "metadata":{"referenceSystem":"https://www.opengis.net/def/crs/EPSG/0/4549"},
    "appearance":{"textures":[{"type":"PNG","image":"wall.png"},{"type":"PNG","image":"../none.png"}],
      "vertices-texture":[[0.0,0.0],[1.0,0.0],[1.0,1.0],[0.0,1.0]]},
    "CityObjects":{"b":{"type":"Building","geometry":[{"type":"Solid","lod":"2",
      "boundaries":[[[[0,1,5,4]],[[1,2,6,5]],[[2,3,7,6]],[[3,0,4,7]]]],
      "texture":{"winter":{"values":[[[[0,0,1,2,3]],[[null]],[[1,0,1,2,3]],[[0,0,1,2]]]]}}}]}},
    "vertices":[[0,0,0],[10000,0,0],[10000,10000,0],[0,10000,0],[0,0,5000],[10000,0,5000],[10000,10000,5000],[0,10000,5000]]}"#;
    let path = folder.path().join("model.city.json");
    std::fs::write(&path, text).unwrap();
    let trial = trial::Trial::of(&FORMAT, &path, &Options::default(), 4549);
    let mesh = mesh(&trial.objects[0]);
    let pictured: Vec<_> = mesh.parts.iter().filter(|p| p.texture.is_some()).collect();
    assert_eq!((mesh.parts.len(), pictured.len()), (2, 1), "three walls are plain: without, missing, a place too few");
    assert_eq!(pictured[0].positions.len(), 4);
    for (at, uv) in pictured[0].positions.iter().zip(&pictured[0].uvs) {
        let at = *at + mesh.origin;
        assert!((at.y - 3_993_000.0).abs() < 1e-6, "the south wall");
        assert_eq!(*uv, [((at.x - 534_000.0) / 10.0) as f32, (1.0 - at.z / 5.0) as f32]);
    }
    let told: Vec<_> = trial.report.warnings.iter().map(|w| (w.code.as_str(), w.count)).collect();
    assert_eq!(told, [("texture_missing", 1)]);
}

#[test]
fn a_sequence_that_is_begun_at_a_mark_ends_as_the_whole_does() {
    let head = r#"{"type":"CityJSON","version":"2.0","transform":{"scale":[0.001,0.001,0.001],"translate":[534000.0,3993000.0,0.0]},
        "metadata":{"referenceSystem":"https://www.opengis.net/def/crs/EPSG/0/4549"},"CityObjects":{},"vertices":[]}"#;
    let mut text = format!("\u{feff}{}\n", head.replace('\n', ""));
    for n in 0..9000 {
        // Some ids come again far behind, some lines are damaged, some parents are nowhere.
        let id = if n % 1000 == 999 { n - 999 } else { n };
        let parents = if n % 3000 == 17 { r#""parents":["nowhere"],"# } else { "" };
        let end = if n % 2500 == 1 { "" } else { "}" };
        // A picture that is there, and one that is not.
        let look = if n % 1000 == 500 {
            r#""appearance":{"textures":[{"type":"PNG","image":"wall.png"},{"type":"PNG","image":"none.png"}],"vertices-texture":[[0,0],[1,0],[1,1]]},"#
        } else {
            ""
        };
        let worn = match n % 2000 {
            500 => r#","texture":{"a":{"values":[[[0,0,1,2]]]}}"#,
            1500 => r#","texture":{"a":{"values":[[[1,0,1,2]]]}}"#,
            _ => "",
        };
        text += &format!(
            r#"{{"type":"CityJSONFeature","id":"b{id}","CityObjects":{{"b{id}":{{"type":"Building",{parents}"geometry":[{{"type":"MultiSurface","lod":"1","boundaries":[[[0,1,2]]]{worn}}}]}}}},{look}"vertices":[[{n},0,0],[{n},1000,0],[0,{n},5]]{end}"#
        );
        text.push('\n');
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.city.jsonl");
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.path().join("wall.png"), crate::texture::tests::halves()).unwrap();
    assert_eq!(trial::begin_at_every_mark(&FORMAT, &path), 4);
    let report = trial::Trial::of(&FORMAT, &path, &Options::default(), 4549).report;
    assert_eq!(report.skipped, 4);
    for code in ["duplicate_id", "parent_missing", "texture_missing"] {
        assert!(report.warnings.iter().any(|w| w.code == code), "{report:?}");
    }
}
