//! Tilesets on web servers, looked at where they lie.

mod common;

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
};

use common::{Server, run_json, text, tiny_sample};
use glam::{DMat3, DVec3};
use groundline_engine::{
    crs::{Frame, ecef_from_geographic, geographic_from_ecef},
    store::City,
};
use image::RgbImage;
use serde_json::{Value, json};

/// A square of red, 200 m a side and 20 m up, as b3dm.
fn red_square() -> Vec<u8> {
    let mut binary = Vec::new();
    for (x, y) in [(-100.0, -100.0), (100.0, -100.0), (100.0, 100.0), (-100.0, 100.0)] {
        // y is up in a glTF.
        [x, 20.0f32, -y].iter().for_each(|v| binary.extend_from_slice(&v.to_le_bytes()));
    }
    [0u16, 1, 2, 0, 2, 3].iter().for_each(|v| binary.extend_from_slice(&v.to_le_bytes()));
    let json = json!({"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.8, 0.0, 0.0, 1.0]}}],
        "buffers": [{"byteLength": 60}],
        "bufferViews": [{"buffer": 0, "byteLength": 48}, {"buffer": 0, "byteOffset": 48, "byteLength": 12}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 6, "type": "SCALAR"}]});
    let mut json = json.to_string().into_bytes();
    json.resize(json.len().next_multiple_of(4), b' ');
    let chunk = |kind: &[u8; 4], bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], kind, bytes].concat();
    let chunks = [chunk(b"JSON", &json), chunk(b"BIN\0", &binary)].concat();
    let word = |n: usize| (n as u32).to_le_bytes();
    let glb = [b"glTF".as_slice(), &word(2), &word(12 + chunks.len()), &chunks].concat();
    let features = br#"{"BATCH_LENGTH":0}  "#;
    let head =
        [word(1), word(28 + features.len() + glb.len()), word(features.len()), word(0), word(0), word(0)].concat();
    [b"b3dm".as_slice(), &head, features, &glb].concat()
}

/// A plain web server for a few files.
fn serve(files: Vec<(&'static str, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let path = head.split_whitespace().nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
            let found = files.iter().find(|(name, _)| *name == path);
            let (status, body) = found.map_or(("404 Not Found", &[][..]), |(_, body)| ("200 OK", body));
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&[head.as_bytes(), body].concat());
        }
    });
    url
}

fn shown(what: &str, out: &Path, camera: &str) -> (i32, Value, Option<RgbImage>) {
    let args = ["snapshot", what, "--size", "320x180", "--plain", "--camera", camera, "--out", text(out)];
    let (code, report) = run_json(&args);
    (code, report, image::open(out).ok().map(|picture| picture.to_rgb8()))
}

/// The transform of east, north, up at a place on the Earth.
fn east_north_up(degrees: DVec3) -> (DMat3, DVec3) {
    let (sin_lon, cos_lon) = degrees.x.to_radians().sin_cos();
    let (sin_lat, cos_lat) = degrees.y.to_radians().sin_cos();
    let up = DVec3::new(cos_lat * cos_lon, cos_lat * sin_lon, sin_lat);
    let east = DVec3::new(-sin_lon, cos_lon, 0.0);
    (DMat3::from_cols(east, up.cross(east), up), ecef_from_geographic(degrees))
}

#[test]
fn a_tileset_of_another_server_is_shown_and_keeps_the_coarser_tile_where_a_finer_one_is_missing() {
    let (turn, origin) = east_north_up(DVec3::new(120.3, 36.0, 0.0));
    let mut transform: Vec<f64> = Vec::new();
    for axis in [turn.x_axis, turn.y_axis, turn.z_axis] {
        transform.extend(axis.to_array().iter().chain(&[0.0]));
    }
    transform.extend(origin.to_array().iter().chain(&[1.0]));
    let volume = json!({"box": [0, 0, 10, 100, 0, 0, 0, 100, 0, 0, 0, 10]});
    let of = |finer: &str| {
        let child = json!({"boundingVolume": volume, "geometricError": 0, "content": {"url": finer}});
        let root = json!({"boundingVolume": volume, "geometricError": 500, "refine": "REPLACE", "transform": transform,
            "content": {"uri": "tiles/red.b3dm"}, "children": [child]});
        json!({"asset": {"version": "1.0"}, "geometricError": 1000, "root": root}).to_string().into_bytes()
    };
    let url = serve(vec![
        ("a/tileset.json", of("tiles/finer.b3dm")),
        ("a/other.json", of("http://192.0.2.1/finer.b3dm")),
        ("a/whole.json", of("tiles/red.b3dm")),
        ("a/tiles/red.b3dm", red_square()),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.png");
    let camera = "look=0,0,20;distance=250;heading=0;pitch=-60";
    for (name, code, word) in [
        ("whole", 0, ""),
        ("tileset", 3, "finer.b3dm: the server answers 404"),
        ("other", 3, "on another host, which is not"),
    ] {
        let _ = std::fs::remove_file(&out);
        let (found, report, picture) = shown(&format!("{url}/a/{name}.json"), &out, camera);
        assert_eq!(found, code, "{report:#}");
        assert_eq!((&report["tiles_drawn"], &report["triangles"]), (&1.into(), &2.into()), "{report:#}");
        assert!(report["bytes"].as_u64() > Some(0));
        let said = report["damaged_tiles"].to_string();
        assert!(said.contains(word) && (code == 3) == (said != "[]"), "{said}");
        let picture = picture.unwrap();
        for (x, y) in [(160, 90), (130, 80), (190, 100)] {
            let [r, g, b] = picture.get_pixel(x, y).0;
            assert!(r > 120 && g < 90 && b < 90, "{name}: red at {x}, {y}: {r} {g} {b}");
        }
        let [r, _, b] = picture.get_pixel(4, 4).0;
        assert!(b >= r, "no red beside it: {r} {b}");
    }
    let (code, report, _) = shown(&format!("{url}/a/none.json"), &out, camera);
    assert!(code == 1 && report.to_string().contains("404"), "{report:#}");
}

/// The place in a city's frame of a place on the Earth, found from one near it.
fn city_place(frame: &Frame, near: DVec3, wanted: DVec3) -> DVec3 {
    let mut place = near;
    for _ in 0..6 {
        let here = frame.geographic_from_city(place);
        let east = (frame.geographic_from_city(place + DVec3::X) - here).truncate();
        let north = (frame.geographic_from_city(place + DVec3::Y) - here).truncate();
        let step = glam::DMat2::from_cols(east, north).inverse() * (wanted - here).truncate();
        place += step.extend(wanted.z - here.z);
    }
    place
}

#[test]
fn our_own_tiles_look_the_same_to_somebody_who_knows_nothing_of_cities() {
    let folder = tempfile::tempdir().unwrap();
    let city = folder.path().join("a.city");
    let files = tiny_sample(folder.path()).join("基础测绘");
    let (code, report) = run_json(&["import", text(&files), "--city", text(&city), "--crs", "EPSG:4549"]);
    assert_eq!(code, 0, "{report:#}");
    let open = City::open(&city).unwrap();
    let frame = Frame::new(open.crs().clone()).unwrap();
    let server = Server::start(&city);
    let root: Value = serde_json::from_str(&server.get("/tileset.json").1).unwrap();
    let region: Vec<f64> =
        root["root"]["boundingVolume"]["region"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let middle = DVec3::new((region[0] + region[2]) / 2.0, (region[1] + region[3]) / 2.0, 0.0);
    let (turn, origin) = east_north_up(DVec3::new(middle.x.to_degrees(), middle.y.to_degrees(), 0.0));
    let there = |p: DVec3| city_place(&frame, open.extent().centre(), geographic_from_ecef(origin + turn * p));

    let (target, heading, pitch, distance) = (DVec3::new(0.0, 0.0, 20.0), 30f64, -35f64, 700.0);
    let (sin, cos) = heading.to_radians().sin_cos();
    let along = DVec3::new(sin, cos, 0.0) * pitch.to_radians().cos() + DVec3::Z * pitch.to_radians().sin();
    let (at, eye) = (there(target), there(target - along * distance));
    let look = at - eye;
    let turned = look.x.atan2(look.y).to_degrees();
    let tilted = (look.z / look.length()).asin().to_degrees();
    let camera = |p: DVec3, heading: f64, pitch: f64| {
        format!("look={:.3},{:.3},{:.3};distance={distance};heading={heading:.4};pitch={pitch:.4}", p.x, p.y, p.z)
    };
    let tileset = format!("{}/tileset.json", server.http());
    let (code, report, far) = shown(&tileset, &folder.path().join("far.png"), &camera(target, heading, pitch));
    assert_eq!(code, 0, "{report:#}");
    assert!(report["tiles_drawn"].as_u64() > Some(1) && report["bytes"].as_u64() > Some(100_000), "{report:#}");
    let (_, _, near) = shown(text(&city), &folder.path().join("near.png"), &camera(at, turned, tilted));
    let (_, _, aside) =
        shown(text(&city), &folder.path().join("aside.png"), &camera(at + DVec3::X * 60.0, turned, tilted));
    let (far, near, aside) = (far.unwrap(), near.unwrap(), aside.unwrap());
    let luma = |p: &image::Rgb<u8>| p.0.iter().map(|c| i32::from(*c)).sum::<i32>() / 3;
    let alike = |a: &RgbImage, b: &RgbImage| {
        let same = a.pixels().zip(b.pixels()).filter(|(a, b)| (luma(a) - luma(b)).abs() < 40).count();
        same as f64 / f64::from(a.width() * a.height())
    };
    let (same, moved) = (alike(&far, &near), alike(&far, &aside));
    assert!(same > 0.98 && moved < same - 0.02, "{same:.3} alike, {moved:.3} from 60 m aside");
}
