//! Mouse and keys of the window.

use bevy::{
    ecs::system::SystemParam,
    input::mouse::{MouseScrollUnit, MouseWheel},
    prelude::*,
    window::{PrimaryWindow, RequestRedraw},
};
use bevy_egui::input::EguiWantsInput;
use glam::DVec3;
use groundline_engine::model::CimLevel;

use crate::{
    attribute::Picked,
    camera::CameraPose,
    colouring::Colouring,
    lookup::Lookup,
    material::{CityMaterial, Kind, Materials},
    navigation::{constrained, ease, meet_ground, orbit, pan, shift, zoom},
    overlay::{OverlayState, Wish},
    scene::{Below, CityScene, Origin, SceneSet, Viewed},
    stream::{Detail, Streaming, TileEntity, TileKey, gpu_mesh},
    style::{Drawing, Style},
};

/// A press that moves less than this before release is a click, pixels.
const CLICK_RADIUS_PX: f32 = 4.0;
/// Two clicks within this are a double click, seconds.
const DOUBLE_CLICK_S: f32 = 0.35;
/// Degrees of turn for dragging across one pixel.
const TURN_A_PIXEL: f64 = 0.22;
/// How fast the camera follows its goal, 1/s.
const FOLLOW: f64 = 14.0;
/// How fast it flies, 1/s.
const FLY: f64 = 3.2;
/// Colour of the picked object, linear.
const HIGHLIGHT: [f32; 4] = [0.05, 0.85, 1.0, 0.8];

/// Mouse and keys.
pub struct HandPlugin {
    /// Where `Home` flies to.
    pub home: CameraPose,
}

#[derive(Clone, Copy, PartialEq)]
enum DragKind {
    Pan,
    Orbit,
}

struct Drag {
    kind: DragKind,
    anchor: DVec3,
    pressed_at: Vec2,
    last: Vec2,
    has_moved: bool,
}

#[derive(Resource)]
struct Hands {
    home: CameraPose,
    goal: CameraPose,
    pace: f64,
    drag: Option<Drag>,
    last_click: Option<(f32, Vec2)>,
}

/// Marks the mesh over the picked object.
#[derive(Component)]
struct Highlighted;

/// A place on the screen to look at closer.
#[derive(Message, Clone, Copy)]
struct Click(Vec2);

impl Plugin for HandPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(Hands { home: self.home, goal: self.home, pace: FOLLOW, drag: None, last_click: None })
            .add_message::<Click>()
            .add_systems(Update, (move_by_mouse, move_by_keys, pick, learn, follow).chain().in_set(SceneSet::Hands));
    }
}

/// What is on the screen.
#[derive(SystemParam)]
struct Seen<'w> {
    viewed: Res<'w, Viewed>,
    city: Res<'w, CityScene>,
    streaming: Res<'w, Streaming>,
    below: Res<'w, Below>,
    style: Res<'w, Style>,
}

/// What the mouse can meet: below ground the ghosts do not count.
fn is_met(kind: Kind, is_below: bool) -> bool {
    match kind {
        Kind::Lines | Kind::Highlight => false,
        Kind::Pipe | Kind::Structure | Kind::Points => true,
        _ => !is_below,
    }
}

/// The nearest thing that the ray meets in what is drawn.
fn cast(
    streaming: &Streaming,
    ray: &crate::pick::Ray,
    is_seen: impl Fn(Kind) -> bool + Copy,
) -> Option<(TileKey, crate::pick::Hit)> {
    let mut nearest: Option<(TileKey, crate::pick::Hit)> = None;
    for (key, tile) in streaming.shown_picks() {
        let limit = nearest.as_ref().map_or(1e6, |(_, hit)| hit.distance_m);
        if let Some(hit) = tile.cast(ray, limit, is_seen, |kind, place| streaming.cuts.shows(kind, place)) {
            nearest = Some((key, hit));
        }
    }
    nearest
}

/// The place that a hand at `pixel` takes hold of.
fn grabbed(pixel: Vec2, viewed: &Viewed, city: &CityScene, streaming: &Streaming, is_below: bool) -> DVec3 {
    let ray = viewed.ray(pixel);
    cast(streaming, &ray, |kind| is_met(kind, is_below))
        .map(|(_, hit)| hit.place)
        .or_else(|| meet_ground(&city.0, &ray))
        .unwrap_or_else(|| ray.from + ray.direction * 1000.0)
}

#[allow(clippy::too_many_arguments)]
fn move_by_mouse(
    mut hands: ResMut<Hands>,
    mut state: ResMut<OverlayState>,
    mut clicks: MessageWriter<Click>,
    mut wheel: MessageReader<MouseWheel>,
    windows: Query<&Window, With<PrimaryWindow>>,
    buttons: Res<ButtonInput<MouseButton>>,
    keys: Res<ButtonInput<KeyCode>>,
    egui: Option<Res<EguiWantsInput>>,
    seen: Seen,
    time: Res<Time<Real>>,
) {
    let Seen { viewed, city, streaming, below, .. } = seen;
    let Ok(window) = windows.single() else { return };
    let scroll: f32 = wheel
        .read()
        .map(|event| match event.unit {
            MouseScrollUnit::Line => event.y,
            MouseScrollUnit::Pixel => event.y / 60.0,
        })
        .sum();
    let Some(cursor) = window.physical_cursor_position() else {
        hands.drag = None;
        state.pointed = None;
        return;
    };
    state.pointed = meet_ground(&city.0, &viewed.ray(cursor));
    let is_over_panel = egui.is_some_and(|egui| egui.is_pointer_over_area() || egui.is_using_pointer());
    if scroll != 0.0 && !is_over_panel {
        let target = grabbed(cursor, &viewed, &city, &streaming, below.0);
        hands.goal = zoom(&hands.goal, target, 0.84_f64.powf(f64::from(scroll.clamp(-6.0, 6.0))));
        hands.pace = FOLLOW;
    }
    let has_control = keys.any_pressed([KeyCode::ControlLeft, KeyCode::ControlRight]);
    let pressed = if buttons.just_pressed(MouseButton::Left) && !has_control {
        Some(DragKind::Pan)
    } else if buttons.any_just_pressed([MouseButton::Right, MouseButton::Left, MouseButton::Middle]) {
        Some(DragKind::Orbit)
    } else {
        None
    };
    if let Some(kind) = pressed.filter(|_| !is_over_panel) {
        let anchor = grabbed(cursor, &viewed, &city, &streaming, below.0);
        hands.drag = Some(Drag { kind, anchor, pressed_at: cursor, last: cursor, has_moved: false });
    }
    let goal = hands.goal;
    let mut moved = None;
    if let Some(drag) = &mut hands.drag {
        drag.has_moved |= drag.pressed_at.distance(cursor) > CLICK_RADIUS_PX;
        let step = (cursor - drag.last).as_dvec2();
        drag.last = cursor;
        if drag.has_moved && step != glam::DVec2::ZERO {
            moved = Some(match drag.kind {
                // The ray of where the camera is going to be, so that the point stays under the cursor.
                DragKind::Pan => pan(&goal, drag.anchor, &Viewed { pose: goal, ..*viewed }.ray(cursor)),
                DragKind::Orbit => orbit(&goal, drag.anchor, step.x * TURN_A_PIXEL, -step.y * TURN_A_PIXEL),
            });
        }
    }
    if let Some(moved) = moved {
        hands.goal = moved;
        hands.pace = FOLLOW * 1.8;
    }
    if !buttons.any_pressed([MouseButton::Left, MouseButton::Right, MouseButton::Middle])
        && let Some(drag) = hands.drag.take()
        && !drag.has_moved
        && drag.kind == DragKind::Pan
    {
        let now = time.elapsed_secs();
        let is_double = hands
            .last_click
            .is_some_and(|(at, place)| now - at < DOUBLE_CLICK_S && place.distance(cursor) < CLICK_RADIUS_PX * 2.0);
        if is_double {
            let distance = viewed.pose.place.distance(drag.anchor) * 0.4;
            state.wish = Some(Wish::FlyTo(drag.anchor, distance.max(30.0)));
            hands.last_click = None;
        } else {
            hands.last_click = Some((now, cursor));
            clicks.write(Click(cursor));
        }
    }
}

/// Keys of the levels of detail, CIM1 first.
const LEVEL_KEYS: [[KeyCode; 2]; 7] = [
    [KeyCode::Digit1, KeyCode::Numpad1],
    [KeyCode::Digit2, KeyCode::Numpad2],
    [KeyCode::Digit3, KeyCode::Numpad3],
    [KeyCode::Digit4, KeyCode::Numpad4],
    [KeyCode::Digit5, KeyCode::Numpad5],
    [KeyCode::Digit6, KeyCode::Numpad6],
    [KeyCode::Digit7, KeyCode::Numpad7],
];

#[allow(clippy::too_many_arguments)]
fn move_by_keys(
    mut hands: ResMut<Hands>,
    mut state: ResMut<OverlayState>,
    (mut below, mut detail, mut style, mut colouring): (
        ResMut<Below>,
        ResMut<Detail>,
        ResMut<Style>,
        ResMut<Colouring>,
    ),
    keys: Res<ButtonInput<KeyCode>>,
    egui: Option<Res<EguiWantsInput>>,
    viewed: Res<Viewed>,
    city: Res<CityScene>,
    time: Res<Time<Real>>,
) {
    if let Some(Wish::FlyTo(place, distance_m)) = state.wish.take() {
        let pose = &viewed.pose;
        let pitch = pose.pitch_deg.clamp(-60.0, -22.0);
        hands.goal = CameraPose::looking_at(place, distance_m, pose.heading_deg, pitch);
        hands.pace = FLY;
    }
    if egui.is_some_and(|egui| egui.wants_keyboard_input()) {
        return;
    }
    let held = |a: KeyCode, b: KeyCode| f64::from(u8::from(keys.pressed(a) || keys.pressed(b)));
    let forward = held(KeyCode::KeyW, KeyCode::ArrowUp) - held(KeyCode::KeyS, KeyCode::ArrowDown);
    let right = held(KeyCode::KeyD, KeyCode::ArrowRight) - held(KeyCode::KeyA, KeyCode::ArrowLeft);
    let up = held(KeyCode::KeyE, KeyCode::PageUp) - held(KeyCode::KeyQ, KeyCode::PageDown);
    if forward != 0.0 || right != 0.0 || up != 0.0 {
        let height = (viewed.pose.place.z - city.0.ground_m(viewed.pose.place.truncate())).abs().max(8.0);
        let metres = height * 1.1 * f64::from(time.delta_secs().min(0.1));
        hands.goal = shift(&hands.goal, right * metres, forward * metres, up * metres);
        hands.pace = FOLLOW;
    }
    if keys.just_pressed(KeyCode::Home) {
        hands.goal = hands.home;
        hands.pace = FLY;
    }
    if keys.just_pressed(KeyCode::KeyN) {
        hands.goal.heading_deg = 0.0;
        hands.pace = FLY * 2.0;
    }
    if keys.just_pressed(KeyCode::KeyF)
        && let Some(picked) = &state.picked
    {
        let distance = (picked.size_m * 2.6).clamp(25.0, 5000.0);
        hands.goal = CameraPose::looking_at(picked.place, distance, viewed.pose.heading_deg, -32.0);
        hands.pace = FLY;
    }
    if keys.any_just_pressed([KeyCode::KeyU, KeyCode::KeyB]) {
        below.0 = !below.0;
    }
    let digits = LEVEL_KEYS.iter().zip(1..).filter(|(pair, _)| keys.any_just_pressed(**pair));
    if let Some(level) = digits.filter_map(|(_, number)| CimLevel::new(number)).next() {
        detail.set_if_neq(Detail(level));
    }
    if keys.just_pressed(KeyCode::KeyX) {
        state.is_cuts_open = !state.is_cuts_open;
    }
    if keys.just_pressed(KeyCode::KeyV) {
        *style = style.next();
    }
    if keys.just_pressed(KeyCode::KeyK) {
        colouring.is_open = !colouring.is_open;
    }
    if keys.just_pressed(KeyCode::KeyL) {
        state.is_layers_open = !state.is_layers_open;
    }
    if keys.any_just_pressed([KeyCode::Slash, KeyCode::F1]) {
        state.is_help_open = !state.is_help_open;
    }
    if keys.just_pressed(KeyCode::Escape) {
        state.picked = None;
        state.is_help_open = false;
    }
}

#[allow(clippy::too_many_arguments)]
fn pick(
    mut clicks: MessageReader<Click>,
    mut state: ResMut<OverlayState>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<CityMaterial>>,
    shared: Res<Materials>,
    seen: Seen,
    origin: Res<Origin>,
    highlighted: Query<Entity, With<Highlighted>>,
) {
    let Seen { viewed, city, streaming, below, style } = seen;
    let click = clicks.read().last().copied();
    if click.is_some() || state.picked.is_none() {
        for entity in &highlighted {
            commands.entity(entity).despawn();
        }
    }
    let Some(Click(pixel)) = click else { return };
    state.picked = None;
    let ray = viewed.ray(pixel);
    // Through glass pipes come first, then, from above ground, the glass itself.
    let is_glass = Drawing { style: *style, is_below: below.0 }.is_glass();
    let met = cast(&streaming, &ray, |kind| is_met(kind, is_glass));
    let met = met.or_else(|| cast(&streaming, &ray, |kind| is_met(kind, below.0)));
    let Some((key, hit)) = met else { return };
    let Some((_, tile)) = streaming.shown_picks().find(|(shown, _)| *shown == key) else { return };
    let row = hit.feature as usize;
    let Some(id) = tile.features.ids.get(row).cloned() else { return };
    let mesh = tile.feature_mesh(hit.feature);
    let size_m = if mesh.positions.is_empty() { 10.0 } else { f64::from((mesh.max - mesh.min).length()) };
    if !mesh.positions.is_empty() {
        let material = materials.add(CityMaterial::new(Kind::Highlight, HIGHLIGHT, None, &shared.look));
        commands.spawn((
            Mesh3d(meshes.add(gpu_mesh(&mesh))),
            MeshMaterial3d(material),
            Transform::from_translation(origin.0.render_from_city(tile.origin)),
            bevy::camera::primitives::Aabb::from_min_max(mesh.min, mesh.max),
            bevy::light::NotShadowCaster,
            TileEntity { origin: tile.origin, kind: Kind::Highlight },
            Highlighted,
        ));
    }
    state.picked = Some(Picked {
        object: Lookup::start(&city.0, &id),
        id,
        class: tile.features.classes.get(row).cloned().unwrap_or_default(),
        name: tile.features.names.get(row).cloned().unwrap_or_default(),
        layer: city.0.layers.get(key.layer).map_or_else(String::new, |layer| layer.name.clone()),
        place: hit.place,
        size_m,
    });
}

/// Takes what the store says of the picked object, and keeps drawing until it has said it.
fn learn(mut state: ResMut<OverlayState>, mut redraw: MessageWriter<RequestRedraw>) {
    if let Some(picked) = &mut state.bypass_change_detection().picked
        && matches!(picked.object, Lookup::Waiting(_))
    {
        picked.object.poll();
        redraw.write(RequestRedraw);
    }
}

/// Lets the camera follow its goal, softly.
fn follow(
    mut hands: ResMut<Hands>,
    mut viewed: ResMut<Viewed>,
    city: Res<CityScene>,
    below: Res<Below>,
    time: Res<Time<Real>>,
    mut redraw: MessageWriter<RequestRedraw>,
) {
    hands.goal = constrained(&hands.goal, &city.0, below.0);
    if viewed.pose == hands.goal {
        return;
    }
    let share = 1.0 - (-hands.pace * f64::from(time.delta_secs().min(0.1))).exp();
    let eased = ease(&viewed.pose, &hands.goal, share);
    let is_there = eased.place.distance(hands.goal.place) < 0.02
        && (eased.pitch_deg - hands.goal.pitch_deg).abs() < 0.01
        && ((eased.heading_deg - hands.goal.heading_deg + 180.0).rem_euclid(360.0) - 180.0).abs() < 0.01;
    viewed.pose = if is_there { hands.goal } else { constrained(&eased, &city.0, below.0) };
    redraw.write(RequestRedraw);
}
