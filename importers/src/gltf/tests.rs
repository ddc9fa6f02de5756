//! Models made here, real ones held against what their JSON promises, damaged copies.

use glam::DVec3;
use groundline_engine::model::{Geometry, Value};

use super::*;
use crate::{
    cloud::tests::{METRIC, codes, positions, trial, with},
    las::tests::shared_data,
    trial::{Trial, miscounts},
};

/// A `.glb` of this JSON and these bytes.
pub(crate) fn glb(json: &str, binary: &[u8]) -> Vec<u8> {
    let mut json = json.as_bytes().to_vec();
    json.resize(json.len().next_multiple_of(4), b' ');
    let mut binary = binary.to_vec();
    binary.resize(binary.len().next_multiple_of(4), 0);
    let length = 12 + 8 + json.len() + 8 + binary.len();
    let mut bytes = b"glTF".to_vec();
    for word in [2u32, length as u32, json.len() as u32] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(b"JSON");
    bytes.extend(json);
    bytes.extend_from_slice(&(binary.len() as u32).to_le_bytes());
    bytes.extend_from_slice(b"BIN\0");
    bytes.extend(binary);
    bytes
}

/// Two triangles of two features around the model's origin: x to the right, y up.
pub(crate) fn two_features(attribute: &str) -> Vec<u8> {
    let mut binary = Vec::new();
    for p in [[0f32, 0., 0.], [1., 0., 0.], [0., 1., 0.], [5., 0., 0.], [6., 0., 0.], [5., 2., -3.]] {
        p.iter().for_each(|v| binary.extend_from_slice(&v.to_le_bytes()));
    }
    for id in [0f32, 0., 0., 1., 1., 1.] {
        binary.extend_from_slice(&id.to_le_bytes());
    }
    binary.extend([0u8, 1, 2, 3, 4, 5, 0, 0]);
    // A property table with a text and a number for each feature.
    binary.extend_from_slice(b"wallroof");
    for v in [0u32, 4, 8, 7, 9] {
        binary.extend_from_slice(&v.to_le_bytes());
    }
    let json = format!(
        r#"{{"asset":{{"version":"2.0"}},"scene":0,"scenes":[{{"nodes":[0]}}],"nodes":[{{"name":"house","mesh":0,"translation":[10,20,30]}}],
        "meshes":[{{"primitives":[{{"attributes":{{"POSITION":0,"{attribute}":1}},"indices":2,"material":0,
          "extensions":{{"EXT_mesh_features":{{"featureIds":[{{"featureCount":2,"attribute":0,"propertyTable":0}}]}}}}}}]}}],
        "materials":[{{"pbrMetallicRoughness":{{"baseColorFactor":[1,0,0.2158605,1]}}}}],
        "buffers":[{{"byteLength":132}}],
        "bufferViews":[{{"buffer":0,"byteLength":72}},{{"buffer":0,"byteOffset":72,"byteLength":24}},{{"buffer":0,"byteOffset":96,"byteLength":6}},
          {{"buffer":0,"byteOffset":104,"byteLength":8}},{{"buffer":0,"byteOffset":112,"byteLength":12}},{{"buffer":0,"byteOffset":124,"byteLength":8}}],
        "accessors":[{{"bufferView":0,"componentType":5126,"count":6,"type":"VEC3","min":[0,0,-3],"max":[6,2,0]}},
          {{"bufferView":1,"componentType":5126,"count":6,"type":"SCALAR"}},{{"bufferView":2,"componentType":5121,"count":6,"type":"SCALAR"}}],
        "extensions":{{"EXT_structural_metadata":{{"schema":{{"classes":{{"part":{{"properties":{{"kind":{{"type":"STRING"}},"storeys":{{"type":"SCALAR","componentType":"UINT32"}}}}}}}}}},
          "propertyTables":[{{"class":"part","count":2,"properties":{{"kind":{{"values":3,"stringOffsets":4}},"storeys":{{"values":5}}}}}}]}}}}}}"#
    );
    glb(&json, &binary)
}

#[test]
fn features_are_objects_with_their_row_of_the_table_and_y_up_becomes_z_up() {
    let trial = trial(&FORMAT, "a.glb", &two_features("_FEATURE_ID_0"));
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    let ids: Vec<&str> = trial.objects.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(ids, ["t/house.0.0", "t/house.0.1"]);
    assert_eq!(trial.objects[1].value("kind"), Some(&Value::Text("roof".into())));
    assert_eq!(trial.objects[1].value("storeys"), Some(&Value::Int(9)));
    let all = positions(&trial.objects);
    assert!(all[2].distance(DVec3::new(10.0, -30.0, 21.0)) < 1e-9, "{}", all[2]);
    assert!(all[5].distance(DVec3::new(15.0, -27.0, 22.0)) < 1e-9, "{}", all[5]);
    let Geometry::Mesh(mesh) = &trial.objects[0].geometry else { panic!("no mesh") };
    assert_eq!(mesh.parts[0].rgba, [255, 0, 128, 255], "linear light becomes sRGB");
    assert_eq!(trial.probe.unwrap().source_extent, Some([10.0, -30.0, 16.0, -27.0]));
}

#[test]
fn without_features_a_node_is_an_object_where_the_user_puts_it() {
    let bytes = two_features("_OTHER");
    let text = String::from_utf8_lossy(&bytes).contains("EXT_mesh_features");
    assert!(text);
    let options = Options { map: vec![("place".into(), "1000,2000,5".into())], ..Options::default() };
    let json = r#"{"asset":{"version":"2.0"},"nodes":[{"mesh":0}],"meshes":[{"primitives":[{"attributes":{"POSITION":0}}]}],
        "buffers":[{"byteLength":36,"uri":"data:;base64,AAAAAAAAAAAAAAAAAACAPwAAAAAAAAAAAAAAAAAAgD8AAAAA"}],
        "bufferViews":[{"buffer":0,"byteLength":36}],"accessors":[{"bufferView":0,"componentType":5126,"count":3,"type":"VEC3"}]}"#;
    let trial = with(&FORMAT, "b.gltf", json.as_bytes(), &options);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    assert_eq!(trial.objects[0].id.as_str(), "t/node0");
    let all = positions(&trial.objects);
    assert!(all[2].distance(DVec3::new(1000.0, 2000.0, 6.0)) < 1e-9, "{}", all[2]);
    assert_eq!(codes(&trial), ["georeference"]);
}

#[test]
fn what_a_model_cannot_be_read_without_is_named() {
    let json = |more: &str| format!(r#"{{"asset":{{"version":"2.0"}}{more}}}"#);
    let fails = |text: &str| trial(&FORMAT, "c.gltf", text.as_bytes()).outcome.unwrap_err().to_string();
    assert!(fails(&json(r#","extensionsRequired":["ACME_secret"]"#)).contains("ACME_secret"));
    assert!(fails(&json(r#","buffers":[{"byteLength":4,"uri":"../secret.bin"}]"#)).contains("../secret.bin"));
    assert!(fails(&json(r#","buffers":[{"byteLength":4,"uri":"http://a.b/c.bin"}]"#)).contains("network"));
    assert!(
        fails(&json(r#","nodes":[{"children":[1]},{"children":[0]}],"scenes":[{"nodes":[0]}]"#)).contains("node 0")
    );
    assert!(fails(r#"{"asset":{"version":"3.0"}}"#).contains("version 3.0"));
    let boast = r#","accessors":[{"componentType":5126,"count":99999999999,"type":"VEC3","bufferView":0}],"meshes":[{"primitives":[{"attributes":{"POSITION":0}}]}],
        "nodes":[{"mesh":0}],"bufferViews":[{"buffer":0,"byteLength":4}],"buffers":[{"byteLength":4,"uri":"data:;base64,AAAAAA=="}]"#;
    assert!(fails(&json(boast)).contains("too many elements"));
}

#[test]
fn strips_and_fans_are_triangles() {
    assert_eq!(scene::tests::unrolled(&[0, 1, 2, 3], 5), [0, 1, 2, 2, 1, 3]);
    assert_eq!(scene::tests::unrolled(&[0, 1, 2, 3], 6), [0, 1, 2, 0, 2, 3]);
    assert_eq!(scene::tests::unrolled(&[0, 1, 255, 2, 3], 3), [0, 1, 2, 3]);
    assert_eq!(scene::tests::unrolled(&[0, 1, 2], 2), [0, 1, 1, 2, 2, 0]);
}

#[test]
fn real_models_are_read_or_refused_with_a_reason() {
    let Some(data) = shared_data() else { return };
    for (name, objects, triangles) in REAL {
        let trial = Trial::of(&FORMAT, &data.join(name), &Options::default(), METRIC);
        assert!(trial.outcome.is_ok(), "{name}: {:?}", trial.outcome);
        let count = |o: &groundline_engine::model::CityObject| match &o.geometry {
            Geometry::Mesh(mesh) => mesh.parts.iter().map(|p| p.indices.len() / 3).sum(),
            _ => 0usize,
        };
        let found: usize = trial.objects.iter().map(count).sum();
        let meshes = trial.objects.iter().filter_map(|o| match &o.geometry {
            Geometry::Mesh(mesh) => Some(mesh),
            _ => None,
        });
        let pictured = meshes.flat_map(|m| &m.parts).any(|p| p.texture.is_some() && p.uvs.len() == p.positions.len());
        let has_picture = ["MilkTruck", "MorphStressTest", "Webp", "KTX2"].iter().any(|word| name.contains(word));
        assert_eq!(pictured, has_picture, "{name}");
        assert!(!codes(&trial).iter().any(|code| code.starts_with("texture")), "{name}: {:?}", codes(&trial));
        for (part, sums) in SUMS {
            if name.contains(part) {
                assert!(pixel_sums(&trial.objects).contains(sums), "{name}: {:?}", pixel_sums(&trial.objects));
            }
        }
        assert_eq!((trial.objects.len(), found), (*objects, *triangles), "{name}");
    }
    for (name, reason) in REFUSED {
        let trial = Trial::of(&FORMAT, &data.join(name), &Options::default(), METRIC);
        let text = trial.outcome.unwrap_err().to_string();
        assert!(text.contains(reason), "{name}: {text}");
    }
}

/// Sums of red, green and blue over a picture: by Pillow 13 (libwebp), and by Binomial's basisu 1.16.4 by way of ETC1, which
/// loses nothing of ETC1S.
const SUMS: &[(&str, [u64; 3])] = &[("Webp", [9_306_843, 11_404_025, 11_047_197]), ("KTX2", [399_738; 3])];

fn pixel_sums(objects: &[groundline_engine::model::CityObject]) -> Vec<[u64; 3]> {
    let meshes = objects.iter().filter_map(|o| match &o.geometry {
        Geometry::Mesh(mesh) => Some(mesh),
        _ => None,
    });
    let textures = meshes.flat_map(|m| &m.parts).filter_map(|p| p.texture.as_ref());
    let sums = textures.map(|t| {
        let image = image::load_from_memory(t.file()).unwrap().to_rgb8();
        let sum = |k: usize| image.pixels().map(|p| u64::from(p.0[k])).sum::<u64>();
        [sum(0), sum(1), sum(2)]
    });
    sums.collect()
}

/// Objects (nodes that draw) and triangles, counted by pygltflib 1.16.5 from the accessors.
const REAL: &[(&str, usize, usize)] = &[
    ("bim/gltf/BoxTexturedWebp/BoxTexturedWebp.gltf", 1, 12),
    ("bim/gltf/CesiumBalloonKTX2.glb", 1, 13224),
    ("bim/gltf/CesiumMilkTruck.glb", 3, 3624),
    ("bim/gltf/DirectionalLight.glb", 3, 31800),
    ("bim/gltf/MilkTruck_draco/CesiumMilkTruck.gltf", 3, 3624),
    ("bim/gltf/MorphStressTest.glb", 1, 2412),
    ("bim/gltf/TriangleWithPaddingInGlbBin.glb", 1, 1),
    ("bim/gltf/draco/Box.glb", 1, 12),
    ("bim/gltf/draco/Box_Draco.glb", 1, 12),
];
const REFUSED: &[(&str, &str)] = &[("bad/gltf/validator_buffer/not_found.gltf", "buffer 0")];

#[test]
fn broken_models_of_the_validator_neither_panic_nor_hang() {
    let Some(data) = shared_data() else { return };
    let mut files = 0;
    for folder in ["validator_buffer", "validator_root", "validator_node"] {
        for entry in std::fs::read_dir(data.join("bad/gltf").join(folder)).unwrap().flatten() {
            let trial = Trial::of(&FORMAT, &entry.path(), &Options::default(), METRIC);
            if let Err(error) = trial.outcome {
                assert!(error.to_string().len() > 20);
            }
            files += 1;
        }
    }
    assert!(files > 40, "{files}");
}

#[test]
fn damaged_copies_neither_panic_nor_hang_nor_miscount() {
    let found = miscounts(&FORMAT, "a.glb", &two_features("_FEATURE_ID_0"), &Options::default(), METRIC);
    // JSON with an optional key misspelt, or other feature ids, is another sound file: the key `byteOffset` of the ids
    // at bytes 605 and 606, the ids themselves at byte 1449.
    let explained = ["a bit of byte 605 ", "a bit of byte 606 ", "zeros at byte 1449:"];
    let unexplained: Vec<&String> = found.iter().filter(|f| !explained.iter().any(|e| f.starts_with(e))).collect();
    assert_eq!(unexplained, Vec::<&String>::new());
}

/// A square of glTF 1.0 with a picture that stands in the binary, drawn by a node that draws two meshes.
fn first_version() -> Vec<u8> {
    let picture = crate::texture::tests::halves();
    let mut binary = Vec::new();
    for p in [[0f32, 0., 0.], [4., 0., 0.], [4., 2., 0.], [0., 2., 0.]] {
        p.iter().for_each(|v| binary.extend_from_slice(&v.to_le_bytes()));
        // The place in the picture stands beside the place in space.
        [p[0] / 4.0, 1.0 - p[1] / 2.0].iter().for_each(|v| binary.extend_from_slice(&v.to_le_bytes()));
    }
    [0u16, 1, 2, 0, 2, 3].iter().for_each(|i| binary.extend_from_slice(&i.to_le_bytes()));
    let at = binary.len();
    binary.extend(&picture);
    let json = format!(
        r#"{{"asset":{{"version":"1.0"}},"scene":"s","scenes":{{"s":{{"nodes":["n"]}}}},
        "nodes":{{"n":{{"meshes":["m","m2"],"children":[],"translation":[10,0,0]}}}},
        "meshes":{{"m":{{"primitives":[{{"attributes":{{"POSITION":"p","TEXCOORD_0":"t"}},"indices":"i","material":"painted","mode":4}}]}},
          "m2":{{"primitives":[{{"attributes":{{"POSITION":"p"}},"indices":"i","material":"red"}}]}}}},
        "materials":{{"painted":{{"technique":"x","values":{{"diffuse":"tex"}}}},"red":{{"values":{{"diffuse":[1,0,0.5,1]}}}}}},
        "textures":{{"tex":{{"source":"img","sampler":"none"}}}},
        "images":{{"img":{{"uri":"data:,","extensions":{{"KHR_binary_glTF":{{"bufferView":"picture","mimeType":"image/png"}}}}}}}},
        "buffers":{{"binary_glTF":{{"byteLength":{},"type":"arraybuffer","uri":"data:,"}}}},
        "bufferViews":{{"both":{{"buffer":"binary_glTF","byteLength":80,"byteOffset":0}},"index":{{"buffer":"binary_glTF","byteOffset":80,"byteLength":12}},
          "picture":{{"buffer":"binary_glTF","byteOffset":{at},"byteLength":{}}}}},
        "accessors":{{"p":{{"bufferView":"both","byteOffset":0,"byteStride":20,"componentType":5126,"count":4,"type":"VEC3"}},
          "t":{{"bufferView":"both","byteOffset":12,"byteStride":20,"componentType":5126,"count":4,"type":"VEC2"}},
          "i":{{"bufferView":"index","byteOffset":0,"byteStride":0,"componentType":5123,"count":6,"type":"SCALAR"}}}}}}"#,
        binary.len(),
        picture.len()
    );
    let mut bytes = b"glTF".to_vec();
    for word in [1u32, (20 + json.len() + binary.len()) as u32, json.len() as u32, 0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    [bytes, json.into_bytes(), binary].concat()
}

#[test]
fn the_first_version_is_read_with_its_pictures() {
    let trial = trial(&FORMAT, "old.glb", &first_version());
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    let meshes = trial.objects.iter().map(|o| match &o.geometry {
        Geometry::Mesh(mesh) => mesh,
        other => panic!("{other:?}"),
    });
    let meshes = meshes.collect::<Vec<_>>();
    let parts: Vec<_> = meshes.iter().flat_map(|m| m.parts.iter().map(|p| (m.origin, p))).collect();
    assert_eq!(parts.len(), 2);
    let (origin, painted) = parts.iter().find(|(_, p)| p.texture.is_some()).unwrap();
    assert_eq!(painted.texture.as_ref().unwrap().file(), crate::texture::tests::halves());
    for (at, uv) in painted.positions.iter().zip(&painted.uvs) {
        let at = *at + *origin;
        assert!((f64::from(uv[0]) - (at.x - 10.0) / 4.0).abs() < 1e-6, "{at} {uv:?}");
        assert!((f64::from(uv[1]) - (1.0 - at.z / 2.0)).abs() < 1e-6, "{at} {uv:?}");
    }
    let (_, red) = parts.iter().find(|(_, p)| p.texture.is_none()).unwrap();
    assert!(red.rgba[0] == 255 && red.rgba[1] == 0 && red.rgba[2].abs_diff(128) < 4, "{:?}", red.rgba);
    assert_eq!(miscounts(&FORMAT, "old.glb", &first_version(), &Options::default(), METRIC), Vec::<String>::new());
}

#[test]
fn a_tile_of_points_compressed_with_meshopt_lies_in_its_box() {
    let Some(data) = shared_data() else { return };
    let trial = Trial::of(&FORMAT, &data.join("bim/gltf/helsinki_meshopt/0/0.glb"), &Options::default(), METRIC);
    assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
    let all = positions(&trial.objects);
    // By the reference decoder: 82 674 points between 0 and 29 101, 14 216, 32 767 of 0.0103889 m.
    assert_eq!(all.len(), 82_674);
    let (low, high) = all.iter().fold((DVec3::INFINITY, DVec3::NEG_INFINITY), |(l, h), p| (l.min(*p), h.max(*p)));
    let size = DVec3::new(29_101.0, 32_767.0, 14_216.0) * 0.010_388_9;
    assert!((high - low - size).abs().max_element() < 0.02, "{} {size}", high - low);
}

/// A picture on a square whose material and vertices tint it.
fn tinted(factor: &str, colours: [[f32; 3]; 4]) -> Vec<u8> {
    let picture = crate::texture::tests::halves();
    let mut binary = Vec::new();
    let mut put = |numbers: &[f32]| numbers.iter().for_each(|v| binary.extend_from_slice(&v.to_le_bytes()));
    put(&[0., 0., 0., 4., 0., 0., 4., 2., 0., 0., 2., 0.]);
    put(&[0., 1., 1., 1., 1., 0., 0., 0.]);
    put(colours.as_flattened());
    [0u16, 1, 2, 0, 2, 3].iter().for_each(|i| binary.extend_from_slice(&i.to_le_bytes()));
    binary.extend(&picture);
    let json = format!(
        r#"{{"asset":{{"version":"2.0"}},"scenes":[{{"nodes":[0]}}],"nodes":[{{"mesh":0}}],
        "meshes":[{{"primitives":[{{"attributes":{{"POSITION":0,"TEXCOORD_0":1,"COLOR_0":2}},"indices":3,"material":0}}]}}],
        "materials":[{{"pbrMetallicRoughness":{{"baseColorTexture":{{"index":0}},"baseColorFactor":{factor}}}}}],
        "textures":[{{"source":0}}],"images":[{{"bufferView":4,"mimeType":"image/png"}}],"buffers":[{{"byteLength":{}}}],
        "bufferViews":[{{"buffer":0,"byteLength":48}},{{"buffer":0,"byteOffset":48,"byteLength":32}},
          {{"buffer":0,"byteOffset":80,"byteLength":48}},{{"buffer":0,"byteOffset":128,"byteLength":12}},
          {{"buffer":0,"byteOffset":140,"byteLength":{}}}],
        "accessors":[{{"bufferView":0,"componentType":5126,"count":4,"type":"VEC3"}},{{"bufferView":1,"componentType":5126,"count":4,"type":"VEC2"}},
          {{"bufferView":2,"componentType":5126,"count":4,"type":"VEC3"}},{{"bufferView":3,"componentType":5123,"count":6,"type":"SCALAR"}}]}}"#,
        binary.len(),
        picture.len()
    );
    let mut json = json.into_bytes();
    json.resize(json.len().next_multiple_of(4), b' ');
    binary.resize(binary.len().next_multiple_of(4), 0);
    let mut bytes = b"glTF".to_vec();
    let total = 28 + json.len() + binary.len();
    for word in [2u32, total as u32, json.len() as u32, 0x4E4F_534A] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend(json);
    for word in [binary.len() as u32, 0x004E_4942] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend(binary);
    bytes
}

#[test]
fn pictures_take_the_colour_that_tints_them_where_it_is_one() {
    let left = |factor: &str, colours: [[f32; 3]; 4]| {
        let trial = trial(&FORMAT, "tint.glb", &tinted(factor, colours));
        assert!(trial.outcome.is_ok(), "{:?}", trial.outcome);
        let Geometry::Mesh(mesh) = &trial.objects[0].geometry else { panic!() };
        let picture = image::load_from_memory(mesh.parts[0].texture.as_ref().unwrap().file()).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (64, 64));
        (picture.get_pixel(0, 0).0, codes(&trial).into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(left("[1,1,1,1]", [[1.0; 3]; 4]), ([220, 0, 0], vec![]));
    // Half of the light of 220 (0.7157) twice: 0.1789, which is stored as 117.
    let (dark, told) = left("[0.5,1,1,1]", [[0.5, 1.0, 1.0]; 4]);
    assert!(dark[0].abs_diff(117) <= 1 && dark[1..] == [0, 0] && told.is_empty(), "{dark:?} {told:?}");
    let (plain, told) = left("[1,1,1,1]", [[1.0; 3], [0.5; 3], [1.0; 3], [1.0; 3]]);
    assert_eq!((plain, told), ([220, 0, 0], vec!["texture_vertex_colours".to_owned()]));
}
