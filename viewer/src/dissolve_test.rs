//! A coarse tile and the four finer ones that take its place, seen from above, frame by frame. Needs a driver (lavapipe will do).

use std::{fs, path::Path, time::Duration};

use bevy::{
    anti_alias::fxaa::Fxaa,
    camera::{ImageRenderTarget, RenderTarget},
    time::TimeUpdateStrategy,
};
use glam::{DMat4, DVec3};
use groundline_engine::{
    model::Extent,
    tile::{
        Ground, Refine, Tile, TileId, TileTree,
        glb::{Material, TileContent, TileMesh, write_glb},
    },
};

use super::*;
use crate::{
    camera::CameraPose,
    city::{CityModel, LayerModel},
    options::SceneOptions,
    overlay::{OverlayPlugin, OverlayState},
    scene::{camera_bundle, insert_state},
    snapshot::{add_target, headless_app, pending_pipelines, read_back},
    stream::ShownLayers,
};

const SIZE: (u32, u32) = (320, 180);
const SIDE_M: f64 = 400.0;
/// Seconds of a frame: ten of them are a fade.
const FRAME: Duration = Duration::from_millis(30);

/// A level square with its south-west corner at `x`, `y`.
fn write_square(folder: &Path, name: &str, [x, y]: [f64; 2], (side_m, height_m): (f64, f32), rgb: [f32; 3]) {
    let corner = |east: f64, north: f64| Vec3::new((x + east) as f32, (y + north) as f32, height_m);
    let mesh = TileMesh {
        positions: vec![corner(0.0, 0.0), corner(side_m, 0.0), corner(side_m, side_m), corner(0.0, side_m)],
        normals: vec![Vec3::Z; 4],
        indices: vec![0, 1, 2, 0, 2, 3],
        ..TileMesh::default()
    };
    let material = Material {
        name: "block".into(),
        base_colour: [rgb[0], rgb[1], rgb[2], 1.0],
        metallic: 0.0,
        roughness: 0.9,
        texture: None,
        double_sided: false,
    };
    let content = TileContent { materials: vec![material], meshes: vec![mesh], ..TileContent::default() };
    fs::write(folder.join(format!("{name}.glb")), write_glb(&content)).expect("written");
}

/// A red square, and four green ones a metre above it in its place.
fn layer(folder: &Path) -> LayerModel {
    let tile = |parent, name: &str, [x, y]: [f64; 2], side_m: f64, geometric_error_m| Tile {
        parent,
        children: Vec::new(),
        extent: Extent { min: DVec3::new(x, y, 0.0), max: DVec3::new(x + side_m, y + side_m, 1.0) },
        geometric_error_m,
        refine: Refine::Replace,
        content: Some(format!("{name}.glb")),
        bytes: 1000,
        origin: Some(DVec3::ZERO),
        stands_for: None,
        world_from_tile: DMat4::IDENTITY,
    };
    write_square(folder, "root", [0.0, 0.0], (SIDE_M, 0.0), [0.7, 0.1, 0.02]);
    let mut tiles = vec![tile(None, "root", [0.0, 0.0], SIDE_M, 20.0)];
    let half_m = SIDE_M / 2.0;
    for (k, corner) in [[0.0, 0.0], [half_m, 0.0], [0.0, half_m], [half_m, half_m]].into_iter().enumerate() {
        write_square(folder, &k.to_string(), corner, (half_m, 1.0), [0.1, 0.7, 0.02]);
        tiles.push(tile(Some(TileId::ROOT), &k.to_string(), corner, half_m, 0.0));
    }
    LayerModel {
        name: "square".into(),
        classes: vec![("building".into(), 1)],
        objects: 1,
        points: 0,
        rgb: [0; 3],
        tree: TileTree::from_tiles(tiles).expect("a tree").into(),
        folder: folder.to_owned(),
        source: None,
    }
}

fn app(folder: &Path) -> (App, Handle<Image>) {
    let city = CityModel::of_layers("square", vec![layer(folder)], Ground::default(), vec![]);
    let mut app = headless_app(crate::driver::settings().into());
    let target = add_target(&mut app, SIZE.0, SIZE.1);
    let middle = DVec3::new(SIDE_M / 2.0, SIDE_M / 2.0, 120.0);
    let pose = CameraPose { place: middle, heading_deg: 0.0, pitch_deg: -90.0 };
    let scene = SceneOptions { at: Some("2026-06-21T11:00".parse().expect("a time")), ..SceneOptions::default() };
    let overlay = OverlayState::new(&city, &scene);
    insert_state(&mut app, city, pose, &scene);
    app.insert_resource(ShownLayers(vec![true]));
    // Only the coarse tile is wanted yet.
    app.insert_resource(Streaming::start(1 << 30, 1e6, false, 1));
    app.insert_resource(overlay);
    app.insert_resource(TimeUpdateStrategy::ManualDuration(FRAME));
    app.add_plugins(OverlayPlugin { is_hidden: true });
    let image = ImageRenderTarget { handle: target.clone(), scale_factor: 1.0 };
    // Smoothed edges would mix the two colours.
    app.world_mut().spawn(camera_bundle(Some(RenderTarget::Image(image)))).remove::<Fxaa>();
    app.finish();
    app.cleanup();
    (app, target)
}

/// Updates until it is so.
fn wait(app: &mut App, what: &str, is_so: impl Fn(&Streaming) -> bool) {
    for _ in 0..2000 {
        app.update();
        let is_compiled = pending_pipelines(app).expect("shaders compile") == 0;
        if is_compiled && is_so(app.world().resource::<Streaming>()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}");
}

/// What is seen: shares of the coarse and of the fine tile, and the mean brightness of each.
fn seen(app: &mut App, target: &Handle<Image>) -> [(f32, f32); 2] {
    let pixels = read_back(app, target, SIZE.0, SIZE.1).expect("a picture");
    let mut sums = [(0.0, 0.0); 2];
    for pixel in pixels.chunks_exact(4) {
        let [r, g, b] = [0, 1, 2].map(|k| f32::from(pixel[k]));
        let side = usize::from(g > r);
        // Ground has no blue, the sky has.
        if b < r.max(g) * 0.75 {
            sums[side].0 += 1.0;
            sums[side].1 += r.max(g);
        }
    }
    let all = (SIZE.0 * SIZE.1) as f32;
    sums.map(|(count, sum): (f32, f32)| (count / all, sum / count.max(1.0)))
}

#[test]
fn half_way_through_a_fade_the_ground_has_no_hole_and_no_shade_of_its_own() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (mut app, target) = app(folder.path());
    wait(&mut app, "the coarse tile is there and fades are compiled", |s| s.can_fade && s.shown.len() == 1);
    let before = seen(&mut app, &target);
    assert!(before[0].0 > 0.999, "all red: {before:?}");

    app.world_mut().resource_mut::<Streaming>().max_error_px = 1.0;
    wait(&mut app, "the finer ones take its place", |s| s.fades.is_any());
    let mut stages = Vec::new();
    while app.world().resource::<Streaming>().fades.is_any() {
        stages.push(seen(&mut app, &target));
        app.update();
    }
    app.update();
    let after = seen(&mut app, &target);
    assert!(after[1].0 > 0.999, "all green: {after:?}");
    assert!(stages.len() >= 9, "{stages:?}");
    for (number, stage) in stages.iter().enumerate() {
        assert!(stage[0].0 + stage[1].0 > 0.9999, "a hole at stage {number}: {stages:?}");
        for (now, then) in stage.iter().zip([before[0], after[1]]) {
            let is_seen = now.0 > 0.2;
            assert!(!is_seen || now.1 > then.1 * 0.9, "a shade at stage {number}: {now:?}, {then:?}");
        }
    }
    let half = stages[stages.len() / 2];
    assert!(half[0].0 > 0.25 && half[1].0 > 0.25, "both are seen: {stages:?}");
    assert!(stages.windows(2).all(|pair| pair[1][1].0 >= pair[0][1].0 - 0.01), "more and more of the new: {stages:?}");
    let world = app.world_mut();
    assert_eq!(world.query::<&Dissolving>().iter(world).count(), 0, "all have their own material again");
    assert_eq!(world.query::<&MeshTag>().iter(world).count(), 1, "but what the shader is compiled by");
}
