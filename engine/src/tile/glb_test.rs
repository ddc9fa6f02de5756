use super::*;

/// The JSON and the binary chunk of a GLB, with the header checked.
pub(crate) fn read_glb(glb: &[u8]) -> (Value, Vec<u8>) {
    let u32_at = |at: usize| u32::from_le_bytes(glb[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(&glb[..4], b"glTF");
    assert_eq!(u32_at(4), 2);
    assert_eq!(u32_at(8), glb.len());
    let json_length = u32_at(12);
    assert_eq!(&glb[16..20], b"JSON");
    let json = serde_json::from_slice(&glb[20..20 + json_length]).unwrap();
    let bin = glb.get(28 + json_length..).map(<[u8]>::to_vec).unwrap_or_default();
    (json, bin)
}

/// The bytes of a view, unpacked where it is compressed.
pub(crate) fn view(json: &Value, bin: &[u8], number: &Value) -> Vec<u8> {
    let view = &json["bufferViews"][number.as_u64().unwrap() as usize];
    let packed = &view["extensions"][PACKED];
    let of = if packed.is_null() { view } else { packed };
    assert_eq!(of["buffer"], 0);
    let start = of["byteOffset"].as_u64().unwrap() as usize;
    let bytes = &bin[start..start + of["byteLength"].as_u64().unwrap() as usize];
    if packed.is_null() {
        return bytes.to_vec();
    }
    let unpacked = serde_json::from_value::<meshopt::Packed>(packed.clone()).unwrap().unpack(bytes).unwrap();
    assert_eq!(unpacked.len() as u64, view["byteLength"].as_u64().unwrap());
    let end = view["byteOffset"].as_u64().unwrap() + view["byteLength"].as_u64().unwrap();
    assert!(view["buffer"] == 1 && end <= json["buffers"][1]["byteLength"].as_u64().unwrap());
    unpacked
}

/// The f32 values of an accessor.
pub(crate) fn floats(json: &Value, bin: &[u8], accessor: &Value) -> Vec<f32> {
    let accessor = &json["accessors"][accessor.as_u64().unwrap() as usize];
    assert_eq!(accessor["componentType"], FLOAT);
    let bytes = view(json, bin, &accessor["bufferView"]);
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn triangle(features: Vec<u32>) -> TileMesh {
    TileMesh {
        material: 0,
        positions: vec![Vec3::ZERO, Vec3::X, Vec3::new(0.0, 2.0, 3.0)],
        normals: vec![Vec3::Z; 3],
        uvs: vec![Vec2::ZERO; 3],
        colours: vec![[188, 0, 255, 255]; 3],
        features,
        indices: vec![0, 1, 2],
    }
}

pub(crate) fn every_kind() -> TileContent {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(4, 4, image::Rgb([200, 100, 50])).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let material = |texture| Material {
        name: "roof".into(),
        base_colour: [1.0, 1.0, 1.0, if texture { 1.0 } else { 0.5 }],
        metallic: 0.0,
        roughness: 0.9,
        texture: texture.then(|| png.get_ref().clone()),
        double_sided: !texture,
    };
    TileContent {
        materials: vec![material(true), material(false)],
        meshes: vec![triangle(vec![0, 0, 1])],
        instances: vec![TileInstances {
            mesh: TileMesh { material: 1, ..triangle(vec![]) },
            translations: vec![Vec3::new(1.0, 2.0, 3.0), Vec3::ZERO],
            rotations: vec![Quat::from_rotation_z(1.0), Quat::IDENTITY],
            scales: vec![Vec3::new(1.0, 2.0, 3.0), Vec3::ONE],
            colours: vec![[255, 0, 0, 255], [0, 255, 0, 255]],
            features: vec![2, 1],
        }],
        points: Some(TilePoints { positions: vec![Vec3::ONE, Vec3::X], colours: vec![[1, 2, 3], [4, 5, 6]] }),
        features: FeatureTable {
            ids: vec!["pipes/1".into(), "pipes/二".into(), "t/3".into()],
            classes: vec!["pipe", "pipe", "tree"],
            names: vec!["".into(), "人民路".into(), "".into()],
            levels: vec![3, 2, 4],
            pipes: vec![
                (0, pipe(&[Vec3::ZERO, Vec3::new(3.0, 4.0, -1.0)], true, ["J1", "J2"])),
                (1, pipe(&[Vec3::X, Vec3::Y, Vec3::Z], false, ["J2", ""])),
            ],
        },
    }
}

#[test]
fn up_becomes_y_and_north_becomes_minus_z() {
    let (json, bin) = read_glb(&write_glb(&every_kind()));
    let primitive = &json["meshes"][0]["primitives"][0];
    let positions = floats(&json, &bin, &primitive["attributes"]["POSITION"]);
    assert_eq!(positions[6..9], [0.0, 3.0, -2.0]);
    let position = &json["accessors"][primitive["attributes"]["POSITION"].as_u64().unwrap() as usize];
    assert_eq!(position["min"], json!([0.0, 0.0, -2.0]));
    assert_eq!(position["max"], json!([1.0, 3.0, 0.0]));
    let instancing = &json["nodes"][1]["extensions"]["EXT_mesh_gpu_instancing"]["attributes"];
    assert_eq!(floats(&json, &bin, &instancing["TRANSLATION"])[..3], [1.0, 3.0, -2.0]);
    assert_eq!(floats(&json, &bin, &instancing["SCALE"])[..3], [1.0, 3.0, 2.0]);
    // A turn about z-up is the same turn about y-up.
    let turn = floats(&json, &bin, &instancing["ROTATION"]);
    let expected = Quat::from_rotation_y(1.0);
    assert!((turn[1] - expected.y).abs() < 1e-6 && (turn[3] - expected.w).abs() < 1e-6);
}

#[test]
fn places_follow_the_earth() {
    for (x, y, fall_m) in [(0.0, 0.0, 0.0), (357.0, 0.0, 0.010), (0.0, -3570.0, 1.0), (500.0, 500.0, 0.039_24)] {
        let place = Vec3::new(x, y, 12.0);
        let fallen = on_earth(place);
        assert!((12.0 - fallen.z - fall_m).abs() < 5e-4 && fallen.truncate() == place.truncate(), "{fallen}");
    }
}

#[test]
fn a_scaled_and_turned_instance_lands_where_it_should() {
    let (place, turn, scale) = (Vec3::new(5.0, 6.0, 7.0), Quat::from_rotation_x(0.7), Vec3::new(1.0, 2.0, 3.0));
    let corner = Vec3::new(0.5, -0.5, 1.0);
    let in_tile = place + turn * (scale * corner);
    let in_gltf =
        gltf_from_tile(place) + gltf_quat_from_tile(turn) * (gltf_scale_from_tile(scale) * gltf_from_tile(corner));
    assert!(gltf_from_tile(in_tile).distance(in_gltf) < 1e-5);
}

#[test]
fn colours_are_written_linear_and_views_are_aligned() {
    let (json, bin) = read_glb(&write_glb(&every_kind()));
    let colour =
        &json["accessors"][json["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"].as_u64().unwrap() as usize];
    assert_eq!(colour["normalized"], true);
    let view = &json["bufferViews"][colour["bufferView"].as_u64().unwrap() as usize];
    let start = view["byteOffset"].as_u64().unwrap() as usize;
    assert_eq!(bin[start..start + 4], [128, 0, 255, 255]);
    for view in json["bufferViews"].as_array().unwrap() {
        assert_eq!(view["byteOffset"].as_u64().unwrap() % 8, 0);
        assert!(view["byteLength"].as_u64().unwrap() > 0);
    }
}

#[test]
fn the_property_table_gives_back_ids_and_names() {
    let (json, bin) = read_glb(&write_glb(&every_kind()));
    let table = &json["extensions"]["EXT_structural_metadata"]["propertyTables"][0];
    assert_eq!(table["count"], 3);
    let bytes = |view: &Value| {
        let view = &json["bufferViews"][view.as_u64().unwrap() as usize];
        let start = view["byteOffset"].as_u64().unwrap() as usize;
        bin[start..start + view["byteLength"].as_u64().unwrap() as usize].to_vec()
    };
    let id = &table["properties"]["id"];
    let text = String::from_utf8(bytes(&id["values"])).unwrap();
    let offsets: Vec<usize> = bytes(&id["stringOffsets"])
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes(b.try_into().unwrap()) as usize)
        .collect();
    assert_eq!(&text[offsets[1]..offsets[2]], "pipes/二");
    assert_eq!(
        json["meshes"][0]["primitives"][0]["extensions"]["EXT_mesh_features"]["featureIds"][0]["featureCount"],
        2
    );
}

/// A pipe of 0.6 m, or 0.6 by 0.4 m.
fn pipe(axis: &[Vec3], is_round: bool, nodes: [&str; 2]) -> PipeShape {
    PipeShape { axis: axis.to_vec(), section: Vec2::new(0.6, 0.4), is_round, nodes: nodes.map(str::to_owned) }
}

#[test]
fn levels_and_the_parameters_of_pipes_stand_in_the_property_table() {
    let (json, bin) = read_glb(&write_glb(&every_kind()));
    let metadata = &json["extensions"]["EXT_structural_metadata"];
    let (columns, schema) =
        (&metadata["propertyTables"][0]["properties"], &metadata["schema"]["classes"]["object"]["properties"]);
    let bytes = |view: &Value| {
        let view = &json["bufferViews"][view.as_u64().unwrap() as usize];
        let start = view["byteOffset"].as_u64().unwrap() as usize;
        bin[start..start + view["byteLength"].as_u64().unwrap() as usize].to_vec()
    };
    let floats_of = |view: &Value| -> Vec<f32> {
        bytes(view).chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let offsets = |view: &Value| -> Vec<u32> {
        bytes(view).chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    assert_eq!(bytes(&columns["cim_level"]["values"]), [3, 2, 4]);
    assert_eq!((&schema["cim_level"]["componentType"], &schema["axis"]["array"]), (&json!("UINT8"), &json!(true)));
    let axis = &columns["axis"];
    // Two vertices, three, and none for the tree.
    assert_eq!(offsets(&axis["arrayOffsets"]), [0, 2, 5, 5]);
    let places = floats_of(&axis["values"]);
    assert_eq!((places.len(), &places[3..6]), (15, &[3.0, 4.0, -1.0][..]));
    assert_eq!(floats_of(&columns["section"]["values"]), [0.6, 0.0, 0.6, 0.4, 0.0, 0.0]);
    assert_eq!(bytes(&columns["from_node"]["values"]), b"J1J2");
    assert_eq!(offsets(&columns["to_node"]["stringOffsets"]), [0, 2, 2, 2]);
    // Tiles without pipes do not have these columns.
    let mut plain = every_kind();
    plain.features.pipes.clear();
    let (json, _) = read_glb(&write_glb(&plain));
    let schema = &json["extensions"]["EXT_structural_metadata"]["schema"]["classes"]["object"]["properties"];
    assert!(schema.get("axis").is_none() && schema.get("cim_level").is_some());
}

#[test]
fn many_features_and_vertices_take_the_wider_types() {
    let mut content = TileContent::default();
    let count = 70_000u32;
    content.meshes.push(TileMesh {
        positions: (0..count).map(|i| Vec3::splat(i as f32)).collect(),
        features: (0..count).collect(),
        indices: vec![0, 1, count - 1],
        ..TileMesh::default()
    });
    let (json, _) = read_glb(&write_glb(&content));
    let primitive = &json["meshes"][0]["primitives"][0];
    let accessor = |v: &Value| json["accessors"][v.as_u64().unwrap() as usize]["componentType"].clone();
    assert_eq!(accessor(&primitive["attributes"]["_FEATURE_ID_0"]), FLOAT);
    assert_eq!(accessor(&primitive["indices"]), UNSIGNED_INT);
}

#[test]
fn what_is_compressed_comes_back_within_half_a_millimetre() {
    // Walls of a thousand houses, four corners each, far from the origin, with features and colours.
    let mut mesh = TileMesh::default();
    for wall in 0..4000_u32 {
        let at = Vec3::new((wall % 64) as f32 * 17.3, (wall / 64) as f32 * 21.7 - 900.0, (wall % 7) as f32 * 0.31);
        let normal = [Vec3::X, Vec3::Y, -Vec3::X, Vec3::new(0.6, -0.64, -0.48)][wall as usize % 4];
        for (u, v) in [(0.0, 0.0), (12.3, 0.0), (12.3, 9.1), (0.0, 9.1)] {
            mesh.positions.push(at + Vec3::new(u, u * 0.5, v));
            mesh.normals.push(normal);
            mesh.uvs.push(Vec2::new(u / 3.0, v / 3.0));
            mesh.colours.push([180, (wall % 50) as u8, 90, 255]);
            mesh.features.push(wall / 4);
        }
        mesh.indices.extend([0, 1, 2, 0, 2, 3].map(|k| wall * 4 + k));
    }
    let content = TileContent {
        materials: vec![Material {
            name: "facade".into(),
            base_colour: [1.0; 4],
            metallic: 0.0,
            roughness: 1.0,
            texture: None,
            double_sided: false,
        }],
        meshes: vec![mesh.clone()],
        features: FeatureTable {
            ids: (0..1000).map(|n| format!("b/{n}")).collect(),
            classes: vec!["building"; 1000],
            names: vec![String::new(); 1000],
            ..FeatureTable::default()
        },
        ..TileContent::default()
    };
    let glb = write_glb(&content);
    let raw = mesh.positions.len() * (12 + 12 + 8 + 4 + 4) + mesh.indices.len() * 2;
    assert!(glb.len() * 3 < raw, "{} of {raw} bytes", glb.len());
    let (json, bin) = read_glb(&glb);
    for name in ["EXT_meshopt_compression", "KHR_mesh_quantization"] {
        assert!(json["extensionsRequired"].as_array().unwrap().contains(&json!(name)));
    }
    let attributes = &json["meshes"][0]["primitives"][0]["attributes"];
    let places = floats(&json, &bin, &attributes["POSITION"]);
    let bounds = &json["accessors"][attributes["POSITION"].as_u64().unwrap() as usize];
    for axis in 0..3 {
        let along = || places.iter().skip(axis).step_by(3);
        assert_eq!(bounds["min"][axis], json!(along().copied().fold(f32::INFINITY, f32::min)));
        assert_eq!(bounds["max"][axis], json!(along().copied().fold(f32::NEG_INFINITY, f32::max)));
    }
    for (place, wanted) in places.chunks_exact(3).zip(&mesh.positions) {
        let found = Vec3::from_slice(place);
        assert!((found - gltf_from_tile(on_earth(*wanted))).abs().max_element() <= 0.000_25, "{found} {wanted}");
    }
    let accessor = |name: &str| &json["accessors"][attributes[name].as_u64().unwrap() as usize];
    let normals = view(&json, &bin, &accessor("NORMAL")["bufferView"]);
    for (bytes, wanted) in normals.chunks_exact(4).zip(&mesh.normals) {
        let found = Vec3::new(f32::from(bytes[0] as i8), f32::from(bytes[1] as i8), f32::from(bytes[2] as i8));
        let angle = found.angle_between(gltf_from_tile(*wanted));
        assert!(angle < 0.02, "{angle}");
    }
    let ids = view(&json, &bin, &accessor("_FEATURE_ID_0")["bufferView"]);
    assert!(ids.chunks_exact(4).zip(&mesh.features).all(|(b, id)| u32::from(b[0]) | u32::from(b[1]) << 8 == *id));
    let indices = &json["accessors"][json["meshes"][0]["primitives"][0]["indices"].as_u64().unwrap() as usize];
    let indices = view(&json, &bin, &indices["bufferView"]);
    for (found, wanted) in indices.chunks_exact(6).zip(mesh.indices.chunks_exact(3)) {
        let found: Vec<u32> = found.chunks_exact(2).map(|b| u32::from(b[0]) | u32::from(b[1]) << 8).collect();
        let turns = [0, 1, 2].map(|turn| (0..3).all(|k| found[k] == wanted[(k + turn) % 3]));
        assert!(turns.contains(&true), "{found:?} {wanted:?}");
    }
}

#[test]
fn nothing_and_nonsense_still_make_a_valid_file() {
    let (json, bin) = read_glb(&write_glb(&TileContent::default()));
    assert!(json.get("nodes").is_none() && bin.is_empty());
    let mut content = every_kind();
    content.meshes[0].indices = vec![0, 1, 99];
    content.instances[0].rotations.pop();
    content.instances[0].translations[0].x = f32::NAN;
    let (json, _) = read_glb(&write_glb(&content));
    // Points, and instances of two colours.
    assert_eq!(json["meshes"].as_array().unwrap().len(), 3);
    assert_eq!(write_glb(&content), write_glb(&content));
}

/// Files for a validator that someone else wrote: `GLB_OUT=folder cargo test … write_samples`.
#[test]
fn write_samples_when_asked() {
    if let Ok(folder) = std::env::var("GLB_OUT") {
        std::fs::write(format!("{folder}/every_kind.glb"), write_glb(&every_kind())).unwrap();
        std::fs::write(format!("{folder}/empty.glb"), write_glb(&TileContent::default())).unwrap();
    }
}
