use std::{fs, path::Path};

use glam::{DMat4, DVec2, DVec3};
use groundline_engine::{
    model::{Extent, HeightGrid},
    tile::{
        Ground, Refine, Tile, TileTree,
        glb::{FeatureTable, Material, TileContent, TileMesh, write_glb},
    },
};

use bevy::ecs::system::RunSystemOnce;

use super::*;
use crate::{
    city::{CityModel, LayerModel},
    failure::LONGEST_WAIT,
    options::SceneOptions,
    renewal::take_over,
    scene::{CityScene, insert_state},
};

const ROOT: TileId = TileId(0);
const WEST: TileId = TileId(1);
const EAST: TileId = TileId(2);

/// A street of a coarse tile and two finer ones, west and east, 100 m each.
fn street(folder: &Path) -> LayerModel {
    street_of(folder, ["root", "west", "east"])
}

/// The same of contents with these names.
fn street_of(folder: &Path, names: [&str; 3]) -> LayerModel {
    let tile = |parent, name: &str, west: f64, east: f64, geometric_error_m| Tile {
        parent,
        children: Vec::new(),
        extent: Extent { min: DVec3::new(west, 0.0, 0.0), max: DVec3::new(east, 100.0, 10.0) },
        geometric_error_m,
        refine: Refine::Replace,
        content: Some(format!("{name}.glb")),
        // Not told: memory alone decides what fits.
        bytes: 0,
        origin: Some(DVec3::ZERO),
        stands_for: None,
        world_from_tile: DMat4::IDENTITY,
    };
    let tiles = vec![
        tile(None, names[0], 0.0, 200.0, 32.0),
        tile(Some(ROOT), names[1], 0.0, 100.0, 0.0),
        tile(Some(ROOT), names[2], 100.0, 200.0, 0.0),
    ];
    LayerModel {
        name: "street".into(),
        classes: vec![("building".into(), 1)],
        objects: 1,
        points: 0,
        rgb: [0; 3],
        tree: TileTree::from_tiles(tiles).expect("a tree").into(),
        folder: folder.to_owned(),
        source: None,
    }
}

fn write(folder: &Path, name: &str) {
    let mesh = TileMesh {
        positions: vec![Vec3::ZERO, Vec3::new(20.0, 0.0, 0.0), Vec3::new(0.0, 30.0, 4.0)],
        normals: vec![Vec3::Z; 3],
        indices: vec![0, 1, 2],
        ..TileMesh::default()
    };
    let material = Material {
        name: "facade_office".into(),
        base_colour: [0.5, 0.4, 0.3, 1.0],
        metallic: 0.0,
        roughness: 0.8,
        texture: None,
        double_sided: false,
    };
    let content = TileContent {
        materials: vec![material],
        meshes: vec![mesh],
        instances: vec![],
        points: None,
        features: FeatureTable::default(),
    };
    fs::write(folder.join(name), write_glb(&content)).expect("written");
}

/// North across the middle of the street.
fn across() -> CameraPose {
    CameraPose { place: DVec3::new(100.0, -150.0, 20.0), heading_deg: 0.0, pitch_deg: -5.0 }
}

/// The window's streaming without a window.
fn app(folder: &Path, pose: CameraPose, size: Vec2) -> App {
    let mut app = App::new();
    let city = CityModel::of_layers("street", vec![street(folder)], Ground::default(), vec![]);
    insert_state(&mut app, city, pose, &SceneOptions::default());
    app.world_mut().resource_mut::<Viewed>().size = size;
    let mut streaming = Streaming::start(1 << 20, 8.0, false, 1);
    streaming.first_wait = Duration::from_millis(20);
    app.insert_resource(streaming)
        .init_resource::<Assets<Mesh>>()
        .init_resource::<Assets<Image>>()
        .init_resource::<Assets<CityMaterial>>()
        .init_resource::<Materials>()
        .add_systems(Update, (take_tiles, choose_tiles).chain());
    app
}

/// Updates until it is so, for ten seconds at most.
fn wait(app: &mut App, what: &str, is_so: impl Fn(&Streaming) -> bool) {
    let started = Instant::now();
    while !is_so(app.world().resource::<Streaming>()) {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}: {:?}", app.world().resource::<Streaming>().shown);
        app.update();
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn shown(streaming: &Streaming) -> Vec<TileId> {
    let mut tiles: Vec<TileId> = streaming.shown.iter().map(|key| key.tile).collect();
    tiles.sort();
    tiles
}

#[test]
fn a_damaged_tile_leaves_no_hole_and_comes_when_it_is_whole() {
    let folder = tempfile::tempdir().expect("folder");
    write(folder.path(), "root.glb");
    write(folder.path(), "west.glb");
    fs::write(folder.path().join("east.glb"), b"glTF\x02\0\0\0 broken").expect("written");
    let mut app = app(folder.path(), across(), Vec2::new(1600.0, 900.0));
    wait(&mut app, "it settles", |s| s.damaged().len() == 1 && s.is_complete);
    assert_eq!(shown(app.world().resource()), [ROOT], "the coarse tile stays where a finer one is damaged");
    assert!(app.world().resource::<Streaming>().damaged()[0].contains("east.glb"));
    write(folder.path(), "east.glb");
    wait(&mut app, "it recovers", |s| s.damaged().is_empty() && s.is_complete);
    app.update();
    assert_eq!(shown(app.world().resource()), [WEST, EAST]);
}

#[test]
fn tries_come_ever_more_rarely() {
    let folder = tempfile::tempdir().expect("folder");
    let mut app = app(folder.path(), across(), Vec2::new(1600.0, 900.0));
    let key = TileKey { layer: 0, tile: EAST };
    let mut streaming = app.world_mut().resource_mut::<Streaming>();
    let mut waits = Vec::new();
    for _ in 0..20 {
        let before = Instant::now();
        streaming.fail(key, "gone".into());
        let Some(TileState::Failed(failure)) = streaming.tiles.get(&key) else { panic!("it failed") };
        waits.push(failure.again.duration_since(before));
        assert!(!streaming.is_wanting(key, before) && streaming.is_wanting(key, failure.again));
    }
    assert!(waits[0] >= Duration::from_millis(20) && waits[3] >= Duration::from_millis(160), "{waits:?}");
    assert!(waits[19] < LONGEST_WAIT + Duration::from_secs(1), "{waits:?}");
    assert_eq!(streaming.damaged().len(), 1, "one tile is counted once");
}

#[test]
fn tiles_of_the_destination_are_read_before_the_camera_is_there() {
    let folder = tempfile::tempdir().expect("folder");
    ["root.glb", "west.glb", "east.glb"].iter().for_each(|name| write(folder.path(), name));
    let away = CameraPose { heading_deg: 180.0, ..across() };
    let mut app = app(folder.path(), away, Vec2::new(1600.0, 900.0));
    for _ in 0..20 {
        app.update();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(app.world().resource::<Streaming>().tiles.len(), 0, "nothing is seen, nothing is read");
    app.world_mut().resource_mut::<Ahead>().follow(&away, &across(), 3.0);
    wait(&mut app, "they come", |s| s.is_ready(TileKey { layer: 0, tile: EAST }) && s.loading.is_empty());
    assert!(shown(app.world().resource()).is_empty(), "none is drawn yet");
    app.world_mut().resource_mut::<Viewed>().pose = across();
    app.update();
    assert_eq!(shown(app.world().resource()), [WEST, EAST], "sharp in the first frame");
}

/// The city becomes one of these layers.
fn renewed(app: &mut App, layers: Vec<LayerModel>) {
    let mut newer = CityModel::of_layers("street", layers, Ground::default(), vec![]);
    let take = move |mut streaming: ResMut<Streaming>, mut city: ResMut<CityScene>, mut commands: Commands| {
        newer.take_places_of(&city.0).expect("places");
        take_over(&mut streaming, &city.0, &newer, &mut commands);
        let none = CityModel::of_layers("none", vec![], Ground::default(), vec![]);
        city.0 = Arc::new(std::mem::replace(&mut newer, none));
    };
    app.world_mut().run_system_once(take).expect("it runs");
}

fn entities(app: &App, tile: TileId) -> Vec<Entity> {
    match app.world().resource::<Streaming>().tiles.get(&TileKey { layer: 0, tile }) {
        Some(TileState::Ready(tile)) => tile.entities.clone(),
        _ => Vec::new(),
    }
}

#[test]
fn a_new_version_keeps_what_is_the_same_and_is_never_blank() {
    let folder = tempfile::tempdir().expect("folder");
    ["root.glb", "west.glb", "east.glb", "root2.glb", "east2.glb"].iter().for_each(|name| write(folder.path(), name));
    let mut app = app(folder.path(), across(), Vec2::new(1600.0, 900.0));
    wait(&mut app, "it settles", |s| s.is_complete && s.shown.len() == 2);
    let (west, east) = (entities(&app, WEST), entities(&app, EAST));
    assert!(!west.is_empty() && !east.is_empty());

    // West as it was, east anew, and another layer in front of the street.
    let other = LayerModel { name: "other".into(), ..street_of(folder.path(), ["root2", "west", "east"]) };
    renewed(&mut app, vec![other, street_of(folder.path(), ["root2", "west", "east2"])]);
    assert_eq!(
        app.world().resource::<CityScene>().0.layers.iter().map(|l| &*l.name).collect::<Vec<_>>(),
        ["street", "other"]
    );
    let is_new = |s: &Streaming| matches!(s.tiles.get(&TileKey { layer: 0, tile: EAST }), Some(TileState::Ready(t)) if !t.is_outdated);
    assert!(!is_new(app.world().resource()));
    let started = Instant::now();
    while !(is_new(app.world().resource()) && app.world().resource::<Streaming>().is_complete) {
        assert!(started.elapsed() < Duration::from_secs(10), "the new east is read");
        app.update();
        let of_street: Vec<TileId> =
            app.world().resource::<Streaming>().shown.iter().filter(|key| key.layer == 0).map(|key| key.tile).collect();
        assert_eq!(of_street, [WEST, EAST], "never blank");
    }
    assert_eq!(entities(&app, WEST), west, "what is the same stays");
    assert_ne!(entities(&app, EAST), east);
    assert!(app.world().get_entity(east[0]).is_err(), "the old east is gone");

    // The street ends, the other layer stays where it is.
    renewed(&mut app, vec![LayerModel { name: "other".into(), ..street(folder.path()) }]);
    wait(&mut app, "it settles again", |s| s.is_complete);
    let streaming = app.world().resource::<Streaming>();
    assert!(streaming.tiles.keys().all(|key| key.layer == 1) && !streaming.shown.is_empty());
    assert!(app.world().get_entity(west[0]).is_err());
}

#[test]
fn another_level_of_detail_is_never_blank() {
    let folder = tempfile::tempdir().expect("folder");
    ["root.glb", "west.glb", "east.glb"].iter().for_each(|name| write(folder.path(), name));
    let mut app = app(folder.path(), across(), Vec2::new(1600.0, 900.0));
    app.insert_resource(Detail(CimLevel::PART)).add_systems(Update, change_detail.before(take_tiles));
    wait(&mut app, "it settles", |s| s.is_complete && s.shown.len() == 2);
    let east = entities(&app, EAST);
    app.world_mut().resource_mut::<Detail>().0 = CimLevel::FUNCTION;
    let started = Instant::now();
    while app.world().resource::<Streaming>().swaps < 2 {
        assert!(started.elapsed() < Duration::from_secs(10), "both are read again");
        app.update();
        assert_eq!(shown(app.world().resource()), [WEST, EAST], "never blank");
    }
    wait(&mut app, "it settles again", |s| s.is_complete);
    assert_ne!(entities(&app, EAST), east);
}

#[test]
fn the_ground_as_a_whole_stays_and_a_picture_that_does_not_fit_gets_coarser() {
    let folder = tempfile::tempdir().expect("folder");
    ["root.glb", "west.glb", "east.glb"].iter().for_each(|name| write(folder.path(), name));
    let mut app = app(folder.path(), across(), Vec2::new(1600.0, 900.0));
    let ground = LayerModel { classes: vec![("terrain".into(), 1)], ..street(folder.path()) };
    let city = CityModel::of_layers("street", vec![ground], Ground::default(), vec![]);
    app.insert_resource(CityScene(Arc::new(city)));
    wait(&mut app, "it settles", |s| s.is_complete && s.shown.len() == 2);
    let root = TileKey { layer: 0, tile: ROOT };
    let one = app.world().resource::<Streaming>().bytes / 3;
    // Room for one and a half: the two fine ones go, and what was whole before is whole at once.
    app.world_mut().resource_mut::<Streaming>().budget = one * 3 / 2;
    wait(&mut app, "it gets coarser", |s| s.is_complete && s.shown == [root]);
    app.update();
    app.update();
    let streaming = app.world().resource::<Streaming>();
    let (bytes, budget) = (streaming.bytes, streaming.budget);
    assert!(bytes <= budget && streaming.pressure.factor() > 1.0, "{bytes} of {budget}, {:?}", streaming.pressure);
    app.world_mut().resource_mut::<Viewed>().pose.heading_deg = 180.0;
    app.world_mut().resource_mut::<Streaming>().budget = 1;
    (0..5).for_each(|_| app.update());
    assert!(app.world().resource::<Streaming>().tiles.contains_key(&root), "it is there wherever the camera turns");
}

#[test]
fn what_a_hill_hides_is_not_read_until_it_is_seen() {
    let folder = tempfile::tempdir().expect("folder");
    ["root.glb", "west.glb", "east.glb"].iter().for_each(|name| write(folder.path(), name));
    // Flat but for a hill 60 m high across the way to the street.
    let (side, step_m) = (251, 10.0);
    let height = |k: u32| if (70..75).contains(&(k / side)) { 60.0 } else { 0.0 };
    let south_west = DVec2::new(-1200.0, -2000.0);
    let grid = HeightGrid {
        north_west: south_west + DVec2::Y * f64::from(side - 1) * step_m,
        step_m: DVec2::splat(step_m),
        columns: side,
        rows: side,
        heights: (0..side * side).map(height).collect(),
    };
    let high = (south_west + DVec2::splat(f64::from(side - 1) * step_m)).extend(60.0);
    let all = Extent { min: south_west.extend(0.0), max: high };
    let tile = Tile { extent: all, geometric_error_m: 0.0, ..street(folder.path()).tree.now().tile(WEST).clone() };
    let tree = TileTree::from_tiles(vec![Tile { parent: None, ..tile }]).expect("a tree");
    let ground = LayerModel { classes: vec![("terrain".into(), 1)], tree: tree.into(), ..street(folder.path()) };
    let layers = vec![ground, street(folder.path())];
    let city = CityModel::of_layers("valley", layers, Ground::new(vec![grid]), vec![]);
    let pose = CameraPose { place: DVec3::new(100.0, -900.0, 5.0), heading_deg: 0.0, pitch_deg: 0.0 };
    let mut app = app(folder.path(), pose, Vec2::new(1600.0, 900.0));
    app.insert_resource(CityScene(Arc::new(city)));
    let street_of = |s: &Streaming| s.shown.iter().filter(|key| key.layer == 1).count();
    let behind = Extent { min: DVec3::new(0.0, 0.0, 0.0), max: DVec3::new(200.0, 100.0, 10.0) };
    wait(&mut app, "the hill is known", |s| s.is_complete && s.hidden.hides(&behind) && street_of(s) == 0);
    assert!(!app.world().resource::<Streaming>().hidden.hides(&all), "not what the eye stands in");
    // Over the hill it is there, and cut open nothing is hidden.
    app.world_mut().resource_mut::<Viewed>().pose.place.z = 300.0;
    wait(&mut app, "it is seen from above", |s| s.is_complete && street_of(s) > 0);
    app.world_mut().resource_mut::<Viewed>().pose.place.z = 5.0;
    wait(&mut app, "and hidden again", |s| s.is_complete && street_of(s) == 0);
    let cut = "section:100,-950,0".parse().expect("a cut");
    app.insert_resource(Cuts::new(vec![cut]).expect("cuts"));
    wait(&mut app, "cut open it is seen", |s| street_of(s) > 0);
}

#[test]
fn windows_of_any_size_settle() {
    let folder = tempfile::tempdir().expect("folder");
    ["root.glb", "west.glb", "east.glb"].iter().for_each(|name| write(folder.path(), name));
    for (size, tiles) in [((1.0, 1.0), vec![ROOT]), ((15_360.0, 4_320.0), vec![WEST, EAST])] {
        let mut app = app(folder.path(), across(), Vec2::from(size));
        app.update();
        wait(&mut app, "whole", |s| s.is_complete && !s.shown.is_empty());
        assert_eq!(shown(app.world().resource()), tiles, "{size:?}");
    }
}
