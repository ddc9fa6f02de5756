//! Renders a small generated city without window and looks at the pixels.
//!
//! Needs a Vulkan driver (lavapipe will do).
//! `GROUNDLINE_PICTURES=folder` keeps the pictures.

use std::{f64::consts::TAU, path::Path, time::Instant};

use glam::{DVec3, Quat, Vec2, Vec3};
use groundline_engine::{
    crs::{Crs, Frame},
    live::{LiveState, now_ms},
    model::{
        Attribute, Block, CityObject, Class, Extent, Geometry, HeightGrid, ImportReport, ObjectId, Origin, Payload,
        Polygon, Reading, Sensor, Threshold, Value, Vertical,
    },
    store::{City, SourceRef},
    tile::{
        Ground, TileNode, TilesetBuilder,
        glb::{FeatureTable, Material, TileContent, TileInstances, TileMesh},
    },
};
use groundline_viewer::{
    CameraChoice, Cuts, Language, SceneOptions, SnapshotOptions, SnapshotReport, Style, ViewError,
    annotation::Annotation,
    city::{CityModel, LayerModel},
    film,
    measure::{MeasureKind, Measurement},
    picture, ramp, snapshot, view_string,
};

#[path = "picture/comparison.rs"]
mod comparison;

const ORIGIN: DVec3 = DVec3::new(40_534_000.0, 3_993_000.0, 10.0);
const HALF_M: f64 = 400.0;

/// Height of the test city's ground: a hill in the north-west, the sea in the south-east.
fn height(x: f64, y: f64) -> f64 {
    let hill = 70.0 * (-((x + 250.0).powi(2) + (y - 260.0).powi(2)) / 30_000.0).exp();
    let shore = ((x - y) * 0.707 - 230.0) / 60.0;
    let land = 10.0 + 6.0 * (x / 180.0).sin() * (y / 150.0).cos();
    hill + land - 16.0 / (1.0 + (-shore * 2.0).exp())
}

fn material(name: &str, rgb: [f32; 3]) -> Material {
    Material {
        name: name.into(),
        base_colour: [rgb[0], rgb[1], rgb[2], 1.0],
        metallic: 0.0,
        roughness: 0.9,
        texture: None,
        double_sided: false,
    }
}

fn quad(mesh: &mut TileMesh, corners: [Vec3; 4], feature: u32) {
    let first = mesh.positions.len() as u32;
    let normal = (corners[1] - corners[0]).cross(corners[3] - corners[0]).normalize();
    mesh.positions.extend(corners);
    mesh.normals.extend([normal; 4]);
    mesh.uvs.extend([Vec2::ZERO, Vec2::X, Vec2::ONE, Vec2::Y]);
    mesh.features.extend([feature; 4]);
    mesh.indices.extend([0, 1, 2, 0, 2, 3].map(|k| first + k));
}

fn terrain() -> TileContent {
    let mut mesh = TileMesh::default();
    let steps: usize = 80;
    let at = |i: usize, j: usize| {
        let (x, y) = (i as f64 / steps as f64 * 2.0 - 1.0, j as f64 / steps as f64 * 2.0 - 1.0);
        Vec3::new((x * HALF_M) as f32, (y * HALF_M) as f32, (height(x * HALF_M, y * HALF_M) - ORIGIN.z) as f32)
    };
    for j in 0..=steps {
        for i in 0..=steps {
            let (x0, x1) = (at(i.saturating_sub(1), j), at((i + 1).min(steps), j));
            let (y0, y1) = (at(i, j.saturating_sub(1)), at(i, (j + 1).min(steps)));
            mesh.positions.push(at(i, j));
            mesh.normals.push((x1 - x0).cross(y1 - y0).normalize());
            mesh.uvs.push(Vec2::ZERO);
        }
    }
    for j in 0..steps as u32 {
        for i in 0..steps as u32 {
            let a = j * (steps as u32 + 1) + i;
            let b = a + steps as u32 + 1;
            mesh.indices.extend([a, a + 1, b + 1, a, b + 1, b]);
        }
    }
    TileContent {
        materials: vec![material("terrain", [0.20, 0.24, 0.11])],
        meshes: vec![mesh],
        ..TileContent::default()
    }
}

fn sea() -> TileContent {
    let mut mesh = TileMesh::default();
    let (h, z) = (HALF_M as f32, -ORIGIN.z as f32);
    quad(&mut mesh, [Vec3::new(-h, -h, z), Vec3::new(h, -h, z), Vec3::new(h, h, z), Vec3::new(-h, h, z)], 0);
    mesh.features.clear();
    TileContent { materials: vec![material("water", [0.02, 0.10, 0.13])], meshes: vec![mesh], ..TileContent::default() }
}

fn is_land(x: f64, y: f64) -> bool {
    height(x, y) > 4.0
}

fn buildings() -> TileContent {
    let mut walls = TileMesh::default();
    let mut roofs = TileMesh { material: 1, ..TileMesh::default() };
    let mut features = FeatureTable::default();
    for j in 0..11 {
        for i in 0..11 {
            let (x, y) = (i as f64 * 70.0 - 350.0, j as f64 * 70.0 - 350.0);
            let ground = height(x, y);
            if !is_land(x, y) || ground > 40.0 {
                continue;
            }
            let row = features.ids.len() as u32;
            features.ids.push(format!("buildings/{row}"));
            features.classes.push("building");
            features.names.push(String::new());
            let half = 14.0 + ((i * 7 + j * 13) % 9) as f32;
            let tall = 12.0 + ((i * 31 + j * 17) % 23) as f32 * 2.4;
            let base = (ground - ORIGIN.z) as f32 - 2.0;
            let corner = |sx: f32, sy: f32, z: f32| Vec3::new(x as f32 + sx * half, y as f32 + sy * half * 0.7, z);
            let ring = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)];
            for k in 0..4 {
                let ((ax, ay), (bx, by)) = (ring[k], ring[(k + 1) % 4]);
                let top = base + tall;
                let corners = [corner(ax, ay, base), corner(bx, by, base), corner(bx, by, top), corner(ax, ay, top)];
                quad(&mut walls, corners, row);
            }
            quad(&mut roofs, ring.map(|(sx, sy)| corner(sx, sy, base + tall)), row);
        }
    }
    TileContent {
        materials: vec![material("facade_plain", [0.62, 0.55, 0.46]), material("roof", [0.42, 0.20, 0.14])],
        meshes: vec![walls, roofs],
        features,
        ..TileContent::default()
    }
}

fn roads() -> TileContent {
    let mut mesh = TileMesh::default();
    for line in 0..10 {
        let c = line as f64 * 70.0 - 315.0;
        for step in 0..80 {
            let (t0, t1) = (step as f64 * 10.0 - 400.0, step as f64 * 10.0 - 390.0);
            for is_east in [false, true] {
                let place = |t: f64, side: f64| {
                    let (x, y) = if is_east { (t, c + side) } else { (c - side, t) };
                    Vec3::new(x as f32, y as f32, (height(x, y) - ORIGIN.z + 0.15) as f32)
                };
                if is_land(place(t0, 0.0).x.into(), place(t0, 0.0).y.into()) {
                    quad(&mut mesh, [place(t0, -5.0), place(t1, -5.0), place(t1, 5.0), place(t0, 5.0)], 0);
                }
            }
        }
    }
    mesh.features.clear();
    TileContent { materials: vec![material("road", [0.09, 0.09, 0.095])], meshes: vec![mesh], ..TileContent::default() }
}

fn trees() -> TileContent {
    let mut crown = TileMesh::default();
    let ring: Vec<Vec3> =
        (0..6).map(|k| Vec3::from_array([(k as f32 * 1.047).cos(), (k as f32 * 1.047).sin(), 0.0])).collect();
    for k in 0..6 {
        let (a, b) = (ring[k] * 2.2 + Vec3::Z * 3.0, ring[(k + 1) % 6] * 2.2 + Vec3::Z * 3.0);
        for apex in [Vec3::Z * 6.5, Vec3::Z * 1.6] {
            let first = crown.positions.len() as u32;
            let (a, b) = if apex.z > 3.0 { (a, b) } else { (b, a) };
            crown.positions.extend([a, b, apex]);
            crown.normals.extend([a, b, apex].map(|p| (p - Vec3::Z * 3.4).normalize()));
            crown.indices.extend([first, first + 1, first + 2]);
        }
    }
    let mut instances = TileInstances { mesh: crown, ..TileInstances::default() };
    for k in 0..500 {
        let (x, y) = ((k as f64 * 0.618).fract() * 800.0 - 400.0, (k as f64 * 0.7548).fract() * 800.0 - 400.0);
        if is_land(x, y) {
            instances.translations.push(Vec3::new(x as f32, y as f32, (height(x, y) - ORIGIN.z) as f32));
            instances.rotations.push(Quat::from_rotation_z(k as f32));
            instances.scales.push(Vec3::splat(0.8 + (k % 5) as f32 * 0.12));
            instances.colours.push([70, 110 + (k % 30) as u8, 50, 255]);
            instances.features.push(0);
        }
    }
    TileContent {
        materials: vec![material("tree", [1.0, 1.0, 1.0])],
        instances: vec![instances],
        ..TileContent::default()
    }
}

fn pipes() -> TileContent {
    let kinds =
        [("water", [0, 255, 255], 1.5, 0.5), ("gas", [255, 0, 255], 1.1, 0.35), ("sewage", [112, 80, 48], 3.4, 1.0)];
    let mut content = TileContent::default();
    for (material_index, (name, rgb, depth, diameter)) in kinds.into_iter().enumerate() {
        let mut mesh = TileMesh { material: material_index, ..TileMesh::default() };
        for line in 0..10 {
            let c = line as f64 * 70.0 - 315.0 + material_index as f64 * 2.4 - 2.4;
            for is_east in [false, true] {
                let row = content.features.ids.len() as u32;
                content.features.ids.push(format!("pipes/{row}"));
                content.features.classes.push("pipe");
                content.features.names.push(String::new());
                for step in 0..40 {
                    let ends = [step as f64 * 20.0 - 400.0, step as f64 * 20.0 - 380.0].map(|t| {
                        let (x, y) = if is_east { (t, c) } else { (c, t) };
                        DVec3::new(x, y, height(x, y) - ORIGIN.z - depth)
                    });
                    if !is_land(ends[0].x, ends[0].y) {
                        continue;
                    }
                    let side = if is_east { Vec3::Y } else { Vec3::X };
                    for k in 0..8 {
                        let around = |k: i32| {
                            let angle = f64::from(k) / 8.0 * TAU;
                            (side * angle.cos() as f32 + Vec3::Z * angle.sin() as f32) * (diameter as f32 * 0.5)
                        };
                        let [a, b] = ends.map(|end| end.as_vec3());
                        quad(&mut mesh, [a + around(k), b + around(k), b + around(k + 1), a + around(k + 1)], row);
                    }
                }
            }
        }
        let linear = |c: u8| (f32::from(c) / 255.0).powf(2.2);
        content.materials.push(material(&format!("pipe_{name}"), rgb.map(linear)));
        content.meshes.push(mesh);
    }
    content
}

fn layer(folder: &Path, name: &str, class: &str, content: &TileContent) -> LayerModel {
    let frame = Frame::new(Crs::from_epsg(4528).expect("in the register")).expect("projected");
    let folder = folder.join(name);
    let mut builder = TilesetBuilder::new(&folder, &frame).expect("temporary folder");
    let file = builder.write_content(content).expect("temporary folder");
    let places = content.meshes.iter().flat_map(|mesh| &mesh.positions);
    let mut extent = Extent::around(places.map(|place| ORIGIN + place.as_dvec3()));
    for instances in &content.instances {
        extent.merge(&Extent::around(instances.translations.iter().map(|place| ORIGIN + place.as_dvec3())));
    }
    builder.add_root(TileNode::leaf(extent, file, ORIGIN));
    let tiles = builder.finish().expect("temporary folder");
    let tileset = folder.join(tiles.tileset.expect("has content"));
    let count = content.features.ids.len().max(1) as u64;
    LayerModel::read(name, &tileset, vec![(class.into(), count)], 0).expect("just written")
}

fn sensors() -> Vec<Sensor> {
    let sensor = |name: &str, x: f64, y: f64, unit: &str| Sensor {
        id: ObjectId(format!("sensors/{name}")),
        name: name.into(),
        watches: None,
        property: "level".into(),
        unit: unit.into(),
        place: Some(DVec3::new(ORIGIN.x + x, ORIGIN.y + y, 2.0)),
        vertical: Vertical::AboveTerrain,
        range: Some((0.0, 100.0)),
        interval_s: 60.0,
        threshold: Some(Threshold {
            low: None,
            high: Some(20.0),
            dead_band: 1.0,
            priority: 1,
            on_delay_s: 0.0,
            ..Threshold::default()
        }),
        topic: format!("t/{name}"),
        payload: Payload::Plain,
    };
    vec![
        sensor("雨水井液位 3", -60.0, -120.0, "m"),
        sensor("燃气浓度 7", 40.0, 60.0, "%LEL"),
        sensor("管廊温度 1", -200.0, 20.0, "Cel"),
        sensor("泵站流量 2", 80.0, -200.0, "m3/h"),
    ]
}

fn city(folder: &Path) -> CityModel {
    let steps = 161u32;
    let step = 2.0 * HALF_M / f64::from(steps - 1);
    let heights = (0..steps * steps)
        .map(|k| {
            let (column, row) = (f64::from(k % steps), f64::from(k / steps));
            height(column * step - HALF_M, HALF_M - row * step) as f32
        })
        .collect();
    let grid = HeightGrid {
        north_west: glam::DVec2::new(ORIGIN.x - HALF_M, ORIGIN.y + HALF_M),
        step_m: glam::DVec2::splat(step),
        columns: steps,
        rows: steps,
        heights,
    };
    let layers = vec![
        layer(folder, "terrain", "terrain", &terrain()),
        layer(folder, "sea", "water", &sea()),
        layer(folder, "roads", "road", &roads()),
        layer(folder, "buildings", "building", &buildings()),
        layer(folder, "trees", "tree", &trees()),
        layer(folder, "pipes_water", "pipe", &pipes()),
    ];
    CityModel::of_layers("测试城 Testville", layers, Ground::new(vec![grid]), sensors())
}

fn live() -> LiveState {
    let live = LiveState::new(sensors());
    let now = now_ms();
    for (sensor, value, age_s) in [(0, 3.42, 5), (1, 27.5, 4), (2, 18.0, 150)] {
        live.apply(Reading { sensor, time_ms: now - age_s * 1000, value }, now);
    }
    live
}

fn take(folder: &Path, name: &str, change: impl FnOnce(&mut SnapshotOptions)) -> (image::RgbImage, SnapshotReport) {
    let keep = std::env::var_os("GROUNDLINE_PICTURES").map(std::path::PathBuf::from);
    let out = keep.unwrap_or_else(|| folder.to_owned()).join(format!("{name}.png"));
    let mut options = SnapshotOptions {
        scene: SceneOptions { live: Some(live()), language: Language::Zh, ..SceneOptions::default() },
        out: out.clone(),
        size: (960, 540),
        ..SnapshotOptions::default()
    };
    change(&mut options);
    match picture(city(folder), options, Instant::now()) {
        Ok(report) => (image::open(&out).expect("a PNG was written").into_rgb8(), report),
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Share of the pixels of a region (shares of width and height) for which `is` holds.
fn share(image: &image::RgbImage, region: [f32; 4], is: impl Fn([f32; 3]) -> bool) -> f32 {
    let (w, h) = (image.width() as f32, image.height() as f32);
    let (mut hits, mut all) = (0, 0);
    for y in (region[1] * h) as u32..(region[3] * h) as u32 {
        for x in (region[0] * w) as u32..(region[2] * w) as u32 {
            let pixel = image.get_pixel(x, y).0.map(f32::from);
            all += 1;
            hits += u32::from(is(pixel));
        }
    }
    hits as f32 / all.max(1) as f32
}

/// Share of water and gas pipes in their colours, the lesser of both.
fn pipe_share(image: &image::RgbImage) -> f32 {
    let region = [0.3, 0.3, 0.9, 0.95];
    let cyan = share(image, region, |[r, g, b]| g > 90.0 && b > 90.0 && r < g * 0.55);
    let magenta = share(image, region, |[r, g, b]| r > 90.0 && b > 90.0 && g < r * 0.55);
    cyan.min(magenta)
}

/// Mean of all channels, 0 to 255.
fn mean(image: &image::RgbImage) -> f64 {
    image.as_raw().iter().map(|c| f64::from(*c)).sum::<f64>() / image.as_raw().len() as f64
}

#[test]
fn a_picture_may_be_one_pixel_or_a_wall_of_screens_wide() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for size in [(1, 1), (15_360, 16)] {
        let (image, report) = take(folder.path(), "size", |options| options.size = size);
        assert_eq!((image.width(), image.height(), report.width, report.height), (size.0, size.1, size.0, size.1));
        assert!(report.damaged_tiles.is_empty() && mean(&image) > 30.0, "{size:?} is not black");
    }
}

#[test]
fn a_city_is_rendered_above_and_below_ground() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let camera: CameraChoice = "look=40534000,3993000,20;distance=900;heading=340;pitch=-12".parse().expect("a camera");
    let (above, report) = take(folder.path(), "above", |options| {
        options.scene.camera = camera;
    });
    eprintln!("{}", serde_json::to_string(&report).expect("report is JSON"));
    assert_eq!(report.tiles_drawn, 5, "pipes are not drawn above ground");
    assert!(report.triangles > 12_800 && report.damaged_tiles.is_empty());
    assert_eq!(report.draw_calls, report.draws.solid + report.draws.clear + report.draws.shadow);
    // What shares a material and a buffer is one call, a cascade of shadows is one.
    assert!(report.draws.solid > 0 && (1..=3).contains(&report.draws.shadow), "{:?}", report.draws);
    assert!(report.draw_calls <= 30 && report.bytes > report.triangles * 12, "{} {}", report.draw_calls, report.bytes);
    // Sky at the top: bluish, bright.
    assert!(share(&above, [0.4, 0.0, 0.68, 0.08], |[r, _, b]| b > r + 6.0 && b > 90.0) > 0.8, "sky");
    // Roofs: reddish.
    assert!(share(&above, [0.0, 0.3, 1.0, 1.0], |[r, g, b]| r > g + 25.0 && r > b + 25.0) > 0.005, "roofs");
    // The title's panel is dark with light letters on it.
    assert!(share(&above, [0.01, 0.02, 0.2, 0.12], |[r, g, b]| r + g + b > 560.0) > 0.005, "letters");
    // The alarm is red.
    assert!(share(&above, [0.0, 0.0, 1.0, 1.0], |[r, g, b]| r > 190.0 && g < 90.0 && b < 90.0) > 0.0005, "alarm");

    let (below, report) = take(folder.path(), "below", |options| {
        options.scene.camera = camera;
        options.scene.is_below = true;
        options.scene.language = Language::En;
    });
    assert_eq!(report.tiles_drawn, 6);
    assert!(mean(&below) * 2.0 < mean(&above), "below ground is dark: {} {}", mean(&below), mean(&above));
    assert!(pipe_share(&below) > 0.0005, "water and gas are seen below: {}", pipe_share(&below));
    assert!(pipe_share(&above) < pipe_share(&below) * 0.2, "and not above: {}", pipe_share(&above));

    let (bare, _) = take(folder.path(), "bare", |options| {
        options.scene.camera = camera;
        options.scene.is_overlay_hidden = true;
        options.scene.at = Some("18:05".parse().expect("a time"));
        options.size = (320, 180);
        options.supersample = 2;
    });
    assert_eq!(bare.dimensions(), (320, 180));
    assert!(share(&bare, [0.0, 0.0, 1.0, 1.0], |[r, g, b]| r > 190.0 && g < 90.0 && b < 90.0) < 0.0002, "no overlay");

    let at = |x: f64, y: f64| ORIGIN + DVec3::new(x, y, 40.0);
    let note = |scene: &mut SceneOptions| {
        scene.camera = camera;
        let points = vec![at(-220.0, -200.0), at(-20.0, -200.0), at(-20.0, -60.0), at(-220.0, -60.0)];
        scene.measurements = vec![Measurement { kind: MeasureKind::Area, points, level_m: None, object: None }];
        scene.annotations = vec![Annotation { text: "规划地铁站出入口".into(), place: at(60.0, -150.0) }];
    };
    let (noted, _) = take(folder.path(), "noted", |options| note(&mut options.scene));
    let whole = [0.2, 0.15, 0.75, 0.95];
    let plate = |image: &image::RgbImage| share(image, whole, |[r, g, b]| r > 242.0 && g > 244.0 && b > 245.0);
    let line = |image: &image::RgbImage| share(image, whole, |[r, g, b]| r > 235.0 && g > 190.0 && b < 150.0);
    assert!(plate(&noted) > plate(&above) + 0.004, "the annotation's plate: {} {}", plate(&noted), plate(&above));
    assert!(line(&noted) > line(&above) + 0.0008, "the polygon's lines: {} {}", line(&noted), line(&above));
    // The view as text makes the same picture.
    let (again, _) = take(folder.path(), "again", |options| {
        let mut scene = options.scene.clone();
        note(&mut scene);
        let text = view_string::write(&scene);
        view_string::read(&text, &mut options.scene).expect(&text);
    });
    // Readings age between two pictures: badges may differ by a letter, the city and what is drawn over it does not.
    let differing = noted.pixels().zip(again.pixels()).filter(|(a, b)| a != b).count();
    assert!(differing * 200 < (noted.width() * noted.height()) as usize, "{differing} pixels differ");

    let frames = folder.path().join("film");
    let options = SnapshotOptions { size: (96, 54), ..SnapshotOptions::default() };
    let stop = |look: &str| (SceneOptions { camera: look.parse().expect("a camera"), ..SceneOptions::default() }, 0.2);
    let stops =
        vec![stop("look=40534000,3993000,20;distance=900"), stop("look=40534000,3993000,20;distance=300;heading=90")];
    let report = film(city(folder.path()), options.clone(), stops.clone(), &frames, 10.0).expect("a film");
    assert_eq!((report.pictures, report.film_seconds), (4, 0.4));
    let frame = |n: u32| image::open(frames.join(format!("frame-{n:05}.png"))).expect("a frame").into_rgb8();
    assert!(frame(1) == frame(2) && frame(1) != frame(4) && frame(4).dimensions() == (96, 54));
    let refused = film(city(folder.path()), options, stops, &frames, 10.0);
    assert!(matches!(refused, Err(ViewError::Tour(_))), "a film is not written over another");
}

#[test]
fn cuts_open_the_ground_and_fill_what_they_go_through() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let cuts = |text: &str| Cuts::new(vec![text.parse().expect("a cut")]).expect("one cut");
    let picture = |name: &str, camera: &str, cut: Cuts| {
        let (image, report) = take(folder.path(), name, |options| {
            options.scene.camera = camera.parse().expect("a camera");
            options.scene.is_overlay_hidden = true;
            options.scene.cuts = cut;
        });
        (image, report.tiles_drawn)
    };
    let whole = [0.0, 0.0, 1.0, 1.0];
    let is_cyan = |[r, g, b]: [f32; 3]| g > 70.0 && b > 70.0 && r < g * 0.6;
    let is_magenta = |[r, g, b]: [f32; 3]| r > 70.0 && b > 70.0 && g < r * 0.6;
    let is_earth = |[r, g, b]: [f32; 3]| r > g * 1.08 && g > b * 1.08 && r < 150.0;

    // Along a street, over its three pipes.
    let street = "look=40533995,3992965,12;distance=70;heading=20;pitch=-38";
    let (shut, tiles) = picture("street", street, Cuts::default());
    assert_eq!(tiles, 5);
    let trench = "trench:40533940,3992965,40534040,3992965;width=9;depth=5";
    let (open, tiles) = picture("trench", street, cuts(trench));
    assert_eq!(tiles, 6, "pipes are drawn where the ground is open");
    for (name, is) in [("water", &is_cyan as &dyn Fn([f32; 3]) -> bool), ("gas", &is_magenta)] {
        assert!(share(&shut, whole, is) < 0.0005, "{name} lies under the street");
        assert!(share(&open, whole, is) > 0.003, "{name} is laid bare: {}", share(&open, whole, is));
    }
    assert!(share(&open, whole, is_earth) > share(&shut, whole, is_earth) + 0.02, "walls and floor of earth");

    // Across the city: south of it everything is taken away, the ground has a profile, houses are hatched.
    let south = "look=40534000,3993000,10;distance=160;heading=0;pitch=-6";
    let (section, _) = picture("section", south, cuts("section:40534000,3993000,0"));
    // Deep earth is cooler.
    let is_deep = |[r, g, b]: [f32; 3]| r > g * 1.05 && g > b * 0.96 && r < 150.0;
    let low = [0.0, 0.58, 1.0, 1.0];
    assert!(share(&section, low, is_deep) > 0.7, "the profile: {}", share(&section, low, is_deep));
    let is_ink = |[r, g, b]: [f32; 3]| r < 120.0 && (r - g).abs() < 22.0 && (g - b).abs() < 22.0;
    assert!(share(&section, [0.0, 0.2, 1.0, 0.55], is_ink) > 0.05, "cut houses");

    // A level below the hill's top: earth where the hill was, and nothing higher.
    let above = "look=40533750,3993260,30;distance=500;heading=0;pitch=-60";
    let (level, _) = picture("level", above, cuts("level:40"));
    let (hill, _) = picture("hill", above, Cuts::default());
    let middle = [0.4, 0.35, 0.6, 0.6];
    let (cut, whole) = (share(&level, middle, is_deep), share(&hill, middle, is_deep));
    assert!(cut > 0.9 && whole < 0.4, "the hill is cut: {cut} {whole}");
}

#[test]
fn every_style_looks_like_its_name() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let camera: CameraChoice = "look=40534000,3993000,20;distance=700;heading=340;pitch=-24".parse().expect("a camera");
    let draw = |style: Style, at: &str| {
        let name = format!("{}-{}", style.word(), at.replace(':', ""));
        let (image, report) = take(folder.path(), &name, |options| {
            options.scene.camera = camera;
            options.scene.style = style;
            options.scene.at = Some(at.parse().expect("a time"));
            options.scene.is_overlay_hidden = true;
            options.size = (480, 270);
        });
        (image, report.tiles_drawn)
    };
    let all = [0.0, 0.0, 1.0, 1.0];
    let is_ink = |[r, g, b]: [f32; 3]| r.max(g).max(b) < 165.0;

    let (paper, tiles) = draw(Style::Paper, "15:00");
    assert_eq!(tiles, 5);
    assert!(mean(&paper) > 185.0, "paper is light: {}", mean(&paper));
    let ink = share(&paper, all, is_ink);
    assert!((0.002..0.12).contains(&ink), "thin dark edges: {ink}");
    let (night, _) = draw(Style::Paper, "23:00");
    assert!((mean(&night) - mean(&paper)).abs() < 20.0, "a model is lit at any hour: {}", mean(&night));

    let (dark, _) = draw(Style::Dark, "15:00");
    assert!(mean(&dark) < 62.0, "dark is dark: {}", mean(&dark));
    let glare = share(&dark, all, |[r, g, b]| r.max(g).max(b) > 215.0);
    assert!(glare < 0.002, "nothing outshines an alarm: {glare}");
    let edges = share(&dark, all, |[r, g, b]| g > 70.0 && b > 80.0 && b > r + 25.0);
    assert!(edges > 0.002, "cyan edges: {edges}");

    let (xray, tiles) = draw(Style::Xray, "15:00");
    assert_eq!(tiles, 6, "pipes are drawn too");
    assert!(pipe_share(&xray) > 0.0005, "pipes are seen through the ground: {}", pipe_share(&xray));
    assert!(pipe_share(&paper) < pipe_share(&xray) * 0.2, "and in no other style");
}

/// A city in a store: a row of buildings from west to east, each 10 m higher than the one before; the sixth has no height, the
/// third an assumed one.
fn stored_city(folder: &Path) -> std::path::PathBuf {
    let city = City::create(&folder.join("row.city"), "row", &Crs::from_epsg(4549).expect("in the register"), None);
    let city = city.expect("temporary folder");
    let mut draft = city.begin().expect("a draft");
    draft.replace_layer("buildings", vec![SourceRef::default()]).expect("a layer");
    for k in 0..6_u32 {
        let x = 534_000.0 + f64::from(k) * 60.0 - 150.0;
        let corner = |sx: f64, sy: f64| DVec3::new(x + sx * 20.0, 3_992_000.0 + sy * 20.0, 0.0);
        let outer = vec![corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
        let height_m = 10.0 + f64::from(k) * 10.0;
        let block = Block {
            footprint: vec![Polygon { outer, holes: vec![] }],
            base_m: Some(0.0),
            height_m,
            lift_m: 0.0,
            storeys: None,
            roof: None,
        };
        let mut object = CityObject::new(ObjectId::new("buildings", k), Class::Building, Geometry::Block(block));
        if k < 5 {
            let mut attribute = Attribute::read(&"height_m".into(), Value::Real(height_m));
            if k == 2 {
                attribute.origin = Origin::Defaulted("storeys × 3 m".into());
            }
            object.attributes.push(attribute);
        }
        draft.push("buildings", object).expect("an object");
    }
    draft.commit(&mut ImportReport::default()).expect("a version");
    city.folder().to_owned()
}

#[test]
fn buildings_have_the_colours_that_the_legend_has() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let city = stored_city(folder.path());
    let keep = std::env::var_os("GROUNDLINE_PICTURES").map(std::path::PathBuf::from);
    let out = keep.unwrap_or_else(|| folder.path().to_owned());
    let draw = |name: &str, colour_by: &str, is_overlay_hidden: bool| {
        let out = out.join(format!("{name}.png"));
        let camera = "look=534000,3992000,0;distance=420;heading=0;pitch=-88".parse().expect("a camera");
        let scene = SceneOptions {
            city: city.clone(),
            camera,
            colour_by: Some(colour_by.into()),
            is_overlay_hidden,
            ..SceneOptions::default()
        };
        let options = SnapshotOptions { scene, out: out.clone(), size: (640, 360), ..SnapshotOptions::default() };
        snapshot(options).map(|_| image::open(&out).expect("a PNG was written").into_rgb8())
    };
    let is_of = |pixel: &image::Rgb<u8>, rgb: [u8; 3]| pixel.0.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 14);
    let mut expected: Vec<[u8; 3]> = (0..5).map(|k| ramp::number_rgb(k, 5)).collect();
    expected.push(ramp::NO_VALUE);

    let bare = draw("classes", "height", true).expect("a picture");
    let mut row: Vec<usize> = Vec::new();
    for x in 0..bare.width() {
        let met = expected.iter().position(|rgb| is_of(bare.get_pixel(x, bare.height() / 2), *rgb));
        if let Some(class) = met.filter(|class| row.last() != Some(class)) {
            row.push(class);
        }
    }
    row.retain(|class| *class < 5);
    row.dedup();
    assert_eq!(row, [0, 1, 2, 3, 4], "from west to east");
    let sixth = bare.get_pixel(bare.width() * 83 / 100, bare.height() / 2);
    assert!(is_of(sixth, ramp::NO_VALUE), "without a height it is grey: {sixth:?}");

    // The legend has the same colours, exactly, and one of them more than once only where the city is.
    let whole = draw("legend", "building:height_m", false).expect("a picture");
    for rgb in &expected {
        let swatches = (0..whole.height())
            .flat_map(|y| (0..60).map(move |x| (x, y)))
            .filter(|(x, y)| whole.get_pixel(*x, *y).0 == *rgb)
            .count();
        assert!(swatches > 20, "{rgb:?} is not in the legend");
    }
    let Err(error) = draw("none", "no_such_key", true) else { panic!("nothing has this key") };
    assert!(error.to_string().contains("height_m"), "what there is instead: {error}");
}
