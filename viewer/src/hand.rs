//! Mouse and keys of the window.

use bevy::{
    input::{
        gestures::{PinchGesture, RotationGesture},
        mouse::{MouseScrollUnit, MouseWheel},
    },
    prelude::*,
    window::{PrimaryWindow, RequestRedraw},
};
use bevy_egui::input::EguiWantsInput;
use glam::DVec3;
use groundline_engine::model::CimLevel;

use crate::{
    ahead::Ahead,
    attribute::Picked,
    camera::CameraPose,
    colouring::Colouring,
    comparison_panel::compare_by_hand,
    cut::{Cut, Cuts},
    daylight::SunStudy,
    desk::Desk,
    key::{self, Action},
    label::Labels,
    lookup::Lookup,
    navigation::{constrained, ease, meet_ground, orbit, pan, shift, zoom},
    overlay::{OverlayState, Wish},
    palette::Palette,
    peel_panel::peel_by_hand,
    preference::{Preferences, apply_relief, keep_preferences},
    print::serve_pictures,
    profile::{Motion, Profile, STEP_M, WALK_M_S, drag_factor, look, standing, walk},
    scene::{Below, CityScene, SceneSet, Viewed},
    shelf::{fly_tour, serve_views},
    sift::Sift,
    stream::{Detail, ShownLayers, TileKey},
    style::Style,
    sun_panel::sun_by_hand,
    time_bar::time_by_hand,
    touch::{Fingers, is_twice, move_by_gestures, move_by_touch},
    trail::Trail,
    under::{Seen, aimed, grabbed},
    validity::Timeline,
};

/// A press that moves less than this before release is a click, pixels.
const CLICK_RADIUS_PX: f32 = 4.0;
/// So far before what was clicked on the place lies whose sun is studied, metres: the surface itself is not in its way.
const OFF_THE_SURFACE_M: f64 = 0.03;
/// Degrees of turn for dragging across one pixel.
pub const TURN_A_PIXEL: f64 = 0.22;
/// Who sinks to this height over the ground goes through it, metres: a little less than an eye's.
const SINKS_AT_M: f64 = 1.7;
/// Who rises to this one has come out of it, metres.
const RISES_AT_M: f64 = 2.2;
/// How fast the camera follows its goal, 1/s.
pub const FOLLOW: f64 = 14.0;
/// How fast it flies, 1/s.
const FLY: f64 = 3.2;

/// Mouse and keys.
pub struct HandPlugin {
    /// Where `Home` flies to.
    pub home: CameraPose,
}

struct Drag {
    motion: Motion,
    button: MouseButton,
    anchor: DVec3,
    pressed_at: Vec2,
    last: Vec2,
    has_moved: bool,
}

/// Where the hands lead the camera.
#[derive(Resource)]
pub struct Hands {
    home: CameraPose,
    /// Where it goes.
    pub goal: CameraPose,
    /// How fast it follows, 1/s.
    pub pace: f64,
    drag: Option<Drag>,
    /// When and where the last click was.
    pub last_click: Option<(f32, Vec2)>,
    /// What is taken off a pixel for the picture of the side on which a drag began.
    pub shift: Vec2,
    trail: Trail,
    /// The camera went through the ground by itself, and comes out by itself.
    has_sunk: bool,
}

/// A pixel of the window to look at closer.
#[derive(Message, Clone, Copy)]
pub struct Click(pub Vec2);

impl Plugin for HandPlugin {
    fn build(&self, app: &mut App) {
        let hands = Hands {
            home: self.home,
            goal: self.home,
            pace: FOLLOW,
            drag: None,
            last_click: None,
            shift: Vec2::ZERO,
            trail: Trail::default(),
            has_sunk: false,
        };
        app.insert_resource(hands).add_message::<Click>().add_message::<Action>().init_resource::<Palette>();
        app.init_resource::<Sift>()
            .init_resource::<Timeline>()
            .init_resource::<Preferences>()
            .init_resource::<Fingers>();
        app.add_message::<PinchGesture>().add_message::<RotationGesture>();
        let by_hand = (move_by_mouse, move_by_touch, move_by_gestures, ask_by_keys).chain();
        let views = (time_by_hand, sun_by_hand, serve_views, serve_pictures, fly_tour).chain();
        let wishes =
            (act, peel_by_hand, compare_by_hand, views, fulfil, move_by_keys, apply_relief, keep_preferences).chain();
        app.add_systems(Update, (by_hand, wishes, pick, aim, follow).chain().in_set(SceneSet::Hands));
    }
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
    (desk, mut actions, preferences): (Res<Desk>, MessageWriter<Action>, Res<Preferences>),
    time: Res<Time<Real>>,
) {
    let (viewed, city) = (&seen.viewed, &seen.city.0);
    let profile = preferences.navigation;
    let Ok(window) = windows.single() else { return };
    // A wheel turns by lines, fingers on a trackpad move by pixels.
    let (mut lines, mut pixels) = (0.0, Vec2::ZERO);
    for event in wheel.read() {
        match event.unit {
            MouseScrollUnit::Line => lines += event.y,
            MouseScrollUnit::Pixel => pixels += Vec2::new(event.x, event.y),
        }
    }
    let Some(cursor) = window.physical_cursor_position() else {
        hands.drag = None;
        state.pointed = None;
        return;
    };
    if hands.drag.is_none() {
        hands.shift = seen.shift(cursor);
    }
    let own = cursor - hands.shift;
    state.pointed = meet_ground(city, &viewed.ray(own));
    let is_over_panel = egui.is_some_and(|egui| egui.is_pointer_over_area() || egui.is_using_pointer());
    let has_control = keys.any_pressed([KeyCode::ControlLeft, KeyCode::ControlRight]);
    let has_shift = keys.any_pressed([KeyCode::ShiftLeft, KeyCode::ShiftRight]);
    if has_control {
        lines += std::mem::take(&mut pixels).y / 60.0;
    }
    if !is_over_panel && (lines != 0.0 || pixels != Vec2::ZERO) {
        let goal = hands.goal;
        hands.goal = if profile == Profile::Walk {
            let turned = look(&goal, -f64::from(pixels.x) * TURN_A_PIXEL, 0.0);
            walk(&turned, 0.0, f64::from(lines + pixels.y / 60.0) * STEP_M, 0.0, city, seen.below.0)
        } else if lines != 0.0 {
            zoom(&goal, grabbed(cursor, &seen), 0.84_f64.powf(f64::from(lines.clamp(-6.0, 6.0))))
        } else {
            pan(&goal, grabbed(cursor, &seen), &Viewed { pose: goal, ..**viewed }.ray(own + pixels))
        };
        hands.pace = FOLLOW;
    }
    let all = [MouseButton::Left, MouseButton::Right, MouseButton::Middle];
    if let Some(button) = all.into_iter().find(|button| buttons.just_pressed(*button)).filter(|_| !is_over_panel) {
        let motion = profile.motion(button, has_control, has_shift);
        let anchor = grabbed(cursor, &seen);
        hands.drag = Some(Drag { motion, button, anchor, pressed_at: cursor, last: cursor, has_moved: false });
    }
    let goal = hands.goal;
    let mut moved = None;
    if let Some(drag) = &mut hands.drag {
        drag.has_moved |= drag.pressed_at.distance(cursor) > CLICK_RADIUS_PX;
        let step = (cursor - drag.last).as_dvec2();
        drag.last = cursor;
        if drag.has_moved && step != glam::DVec2::ZERO {
            moved = match drag.motion {
                // The ray of where the camera is going to be, so that the point stays under the cursor.
                Motion::Pan => Some(pan(&goal, drag.anchor, &Viewed { pose: goal, ..**viewed }.ray(own))),
                Motion::Orbit => Some(orbit(&goal, drag.anchor, step.x * TURN_A_PIXEL, -step.y * TURN_A_PIXEL)),
                Motion::Zoom => Some(zoom(&goal, drag.anchor, drag_factor(step.y))),
                Motion::Look => Some(look(&goal, -step.x * TURN_A_PIXEL, step.y * TURN_A_PIXEL)),
                Motion::Nothing => None,
            };
        }
    }
    if let Some(moved) = moved {
        hands.goal = moved;
        hands.pace = FOLLOW * 1.8;
    }
    if !buttons.any_pressed(all)
        && let Some(drag) = hands.drag.take()
        && !drag.has_moved
    {
        if drag.button != MouseButton::Left || has_control {
            if desk.tool.is_some() {
                actions.write(Action::Finish);
            }
            return;
        }
        if !is_twice(&mut hands.last_click, time.elapsed_secs(), cursor, CLICK_RADIUS_PX * 2.0) {
            clicks.write(Click(cursor));
        } else if desk.tool.is_some() {
            actions.write(Action::Finish);
        } else if profile == Profile::Walk {
            let place = drag.anchor.truncate();
            state.wish = Some(Wish::Go(standing(place, viewed.pose.heading_deg, city)));
        } else {
            let distance = viewed.pose.place.distance(drag.anchor) * 0.4;
            state.wish = Some(Wish::FlyTo(drag.anchor, distance.max(30.0)));
        }
    }
}

/// Keys that were pressed become what they ask for.
fn ask_by_keys(
    keys: Res<ButtonInput<KeyCode>>,
    egui: Option<Res<EguiWantsInput>>,
    palette: Res<Palette>,
    mut actions: MessageWriter<Action>,
) {
    let is_typing = palette.is_open || egui.is_some_and(|egui| egui.wants_keyboard_input());
    for action in key::pressed(&keys).filter(|action| !is_typing || *action == Action::Palette) {
        actions.write(action);
    }
}

/// Does what was asked for by keys, buttons and the palette, where it is the camera's, the scene's or the desk's.
#[allow(clippy::too_many_arguments)]
fn act(
    mut actions: MessageReader<Action>,
    mut hands: ResMut<Hands>,
    mut state: ResMut<OverlayState>,
    mut desk: ResMut<Desk>,
    mut palette: ResMut<Palette>,
    (mut below, mut detail, mut layers): (ResMut<Below>, ResMut<Detail>, ResMut<ShownLayers>),
    (mut style, mut colouring): (ResMut<Style>, ResMut<Colouring>),
    (mut cuts, mut labels, mut preferences): (ResMut<Cuts>, ResMut<Labels>, ResMut<Preferences>),
    (viewed, city): (Res<Viewed>, Res<CityScene>),
) {
    for action in actions.read() {
        let hands = &mut *hands;
        if preferences.bypass_change_detection().act(*action) {
            preferences.set_changed();
            if matches!(action, Action::Navigate(_) | Action::NextNavigation) {
                let name = state.texts.get(preferences.navigation.text_key());
                desk.tell(state.texts.with("navigation-is", "name", name));
            }
            if matches!(action, Action::Navigate(Profile::Walk)) {
                // Down to what stands in the middle of the picture.
                let ray = viewed.ray(viewed.size * 0.5);
                let place = meet_ground(&city.0, &ray).unwrap_or(viewed.pose.place).truncate();
                (hands.goal, hands.pace) = (standing(place, viewed.pose.heading_deg, &city.0), FLY);
            }
            continue;
        }
        match *action {
            Action::Home => (hands.goal, hands.pace) = (hands.home, FLY),
            Action::North => (hands.goal.heading_deg, hands.pace) = (0.0, FLY * 2.0),
            Action::ToPicked => {
                if let Some(picked) = &state.picked {
                    let distance = (picked.size_m * 2.6).clamp(25.0, 5000.0);
                    hands.goal = CameraPose::looking_at(picked.place, distance, viewed.pose.heading_deg, -32.0);
                    hands.pace = FLY;
                }
            }
            Action::CameraBack | Action::CameraForward => {
                if let Some(pose) = hands.trail.step(&hands.goal, *action == Action::CameraBack) {
                    (hands.goal, hands.pace) = (pose, FLY);
                }
            }
            Action::Below => below.0 = !below.0,
            Action::Detail(number) => {
                if let Some(level) = CimLevel::new(number) {
                    detail.set_if_neq(Detail(level));
                }
            }
            Action::Style => *style = style.next(),
            Action::Colours => colouring.is_open = !colouring.is_open,
            Action::Cuts => state.is_cuts_open = !state.is_cuts_open,
            Action::TrenchAlong => match dig(&state, &city, &cuts) {
                Ok(dug) => *cuts = dug,
                Err(reason) => desk.tell(reason),
            },
            Action::PipeLabels => {
                let is_on = !labels.pipes;
                (labels.pipes, labels.flow) = (is_on, is_on);
            }
            Action::Sleeves => labels.sleeves = !labels.sleeves,
            Action::Layers => state.is_layers_open = !state.is_layers_open,
            Action::Table => state.is_table_open = !state.is_table_open,
            Action::Settings => state.is_settings_open = !state.is_settings_open,
            Action::Language => {
                let other = state.texts.language.other();
                state.speak(other);
            }
            Action::AllLayers => layers.0.fill(true),
            Action::Help => state.is_help_open = !state.is_help_open,
            Action::Palette => palette.toggle(),
            Action::Escape => {
                // One thing at a time: what was begun, then the help, then the picked object.
                let was_begun = desk.leave();
                if !was_begun && state.is_help_open {
                    state.is_help_open = false;
                } else if !was_begun && state.is_settings_open {
                    state.is_settings_open = false;
                } else if !was_begun && !preferences.has_read_tips {
                    preferences.has_read_tips = true;
                } else if !was_begun {
                    state.picked = None;
                }
            }
            action => desk.act(action),
        }
    }
}

/// The cuts with a trench along the picked pipe in place of the one before.
fn dig(state: &OverlayState, city: &CityScene, cuts: &Cuts) -> Result<Cuts, String> {
    let object = match state.picked.as_ref().map(|picked| &picked.object) {
        Some(Lookup::Here(Ok(Some(object)))) => object,
        _ => return Err(state.texts.get("trench-pick")),
    };
    let trench = crate::trench::along(object, &city.0.ground).map_err(|_| state.texts.get("trench-pick"))?;
    let others = cuts.list().iter().filter(|cut| !matches!(cut, Cut::Trench { .. })).cloned();
    Cuts::new(others.chain([trench]).collect()).map_err(|error| error.to_string())
}

/// Moves the camera as panels, bookmarks and tours wish.
fn fulfil(mut hands: ResMut<Hands>, mut state: ResMut<OverlayState>, mut viewed: ResMut<Viewed>) {
    let Some(wish) = state.bypass_change_detection().wish.take() else { return };
    match wish {
        Wish::FlyTo(place, distance_m) => {
            let pose = &viewed.pose;
            let pitch = pose.pitch_deg.clamp(-60.0, -22.0);
            hands.goal = CameraPose::looking_at(place, distance_m, pose.heading_deg, pitch);
            hands.pace = FLY;
        }
        Wish::Go(pose) => (hands.goal, hands.pace) = (pose, FLY),
        Wish::Jump(pose) => {
            hands.goal = pose;
            viewed.pose = pose;
        }
    }
}

fn move_by_keys(
    mut hands: ResMut<Hands>,
    keys: Res<ButtonInput<KeyCode>>,
    egui: Option<Res<EguiWantsInput>>,
    (viewed, city): (Res<Viewed>, Res<CityScene>),
    mut below: ResMut<Below>,
    preferences: Res<Preferences>,
    time: Res<Time<Real>>,
) {
    if egui.is_some_and(|egui| egui.wants_keyboard_input()) {
        return;
    }
    let held = |action| key::holding(&keys, action);
    let forward = held(Action::Forward) - held(Action::Back);
    let right = held(Action::Right) - held(Action::Left);
    let up = held(Action::Rise) - held(Action::Sink);
    if forward != 0.0 || right != 0.0 || up != 0.0 {
        let height = (viewed.pose.place.z - city.0.ground_m(viewed.pose.place.truncate())).abs().max(8.0);
        let seconds = f64::from(time.delta_secs().min(0.1));
        let metres = height * 1.1 * seconds;
        hands.goal = if preferences.navigation == Profile::Walk {
            let metres = if height < 40.0 { WALK_M_S * seconds } else { metres };
            walk(&hands.goal, right * metres, forward * metres, up * metres, &city.0, below.0)
        } else {
            shift(&hands.goal, right * metres, forward * metres, up * metres)
        };
        hands.pace = FOLLOW;
    }
    // Who keeps sinking goes through the ground, and sees through it; who rises comes out of it.
    let above = |pose: &CameraPose| pose.place.z - city.0.ground_m(pose.place.truncate());
    let passed = through_ground(above(&hands.goal), up, below.0, hands.has_sunk);
    if passed != (below.0, hands.has_sunk) {
        (below.0, hands.has_sunk) = passed;
    }
}

/// Whether below ground is shown, and whether the camera sank there by itself, after it moved `up` to `above_m` over the ground.
fn through_ground(above_m: f64, up: f64, is_below: bool, has_sunk: bool) -> (bool, bool) {
    match (is_below, has_sunk) {
        (false, _) => {
            let sinks = up < 0.0 && above_m < SINKS_AT_M;
            (sinks, sinks)
        }
        (true, true) if up > 0.0 && above_m > RISES_AT_M => (false, false),
        as_it_is => as_it_is,
    }
}

/// Follows the mouse with the mark of where a click would go, while a tool is in hand.
fn aim(
    mut last: Local<Option<(Vec2, CameraPose)>>,
    mut desk: ResMut<Desk>,
    windows: Query<&Window, With<PrimaryWindow>>,
    egui: Option<Res<EguiWantsInput>>,
    hands: Res<Hands>,
    seen: Seen,
) {
    if desk.tool.is_none() {
        *last = None;
        return;
    }
    let is_over_panel = egui.is_some_and(|egui| egui.is_pointer_over_area());
    let cursor = windows.single().ok().and_then(Window::physical_cursor_position);
    let Some(cursor) = cursor.filter(|_| !is_over_panel && hands.drag.is_none()) else {
        desk.hover = None;
        *last = None;
        return;
    };
    if *last != Some((cursor, seen.viewed.pose)) {
        *last = Some((cursor, seen.viewed.pose));
        desk.hover = aimed(cursor, &seen).0;
    }
}

/// A click picks what is there, or gives a point to the tool in hand.
fn pick(
    mut clicks: MessageReader<Click>,
    mut state: ResMut<OverlayState>,
    mut desk: ResMut<Desk>,
    mut study: ResMut<SunStudy>,
    seen: Seen,
) {
    let Some(Click(pixel)) = clicks.read().last().copied() else { return };
    let under = seen.under(pixel);
    let id_of = |key: TileKey, hit: &crate::pick::Hit| {
        let (_, tile) = under.tiles.iter().find(|(shown, _)| *shown == key)?;
        tile.features.ids.get(hit.feature as usize).cloned()
    };
    if desk.tool.is_some() {
        let (snap, hit) = aimed(pixel, &seen);
        if let Some(snap) = snap {
            let object = hit.and_then(|(key, hit)| id_of(key, &hit));
            desk.click(snap.place, object);
        }
        return;
    }
    state.picked = None;
    let ray = seen.ray(pixel);
    let Some((key, hit)) = under.met(&ray) else { return };
    if study.is_open {
        study.place = Some(hit.place - ray.direction * OFF_THE_SURFACE_M);
    }
    let Some(id) = id_of(key, &hit) else { return };
    // The rest is filled in from the tile and the store.
    state.picked = Some(Picked {
        object: Lookup::start(&seen.city.0, &id),
        id,
        class: String::new(),
        name: String::new(),
        layer: String::new(),
        place: hit.place,
        size_m: 10.0,
    });
}

/// Lets the camera follow its goal, softly.
fn follow(
    mut hands: ResMut<Hands>,
    mut viewed: ResMut<Viewed>,
    city: Res<CityScene>,
    below: Res<Below>,
    time: Res<Time<Real>>,
    (mut ahead, mut redraw): (ResMut<Ahead>, MessageWriter<RequestRedraw>),
) {
    hands.goal = constrained(&hands.goal, &city.0, below.0);
    let hands = &mut *hands;
    hands.trail.watch(&hands.goal, time.elapsed_secs());
    if viewed.pose == hands.goal {
        return;
    }
    let share = 1.0 - (-hands.pace * f64::from(time.delta_secs().min(0.1))).exp();
    ahead.follow(&viewed.pose, &hands.goal, hands.pace);
    let eased = ease(&viewed.pose, &hands.goal, share);
    let is_there = eased.place.distance(hands.goal.place) < 0.02
        && (eased.pitch_deg - hands.goal.pitch_deg).abs() < 0.01
        && ((eased.heading_deg - hands.goal.heading_deg + 180.0).rem_euclid(360.0) - 180.0).abs() < 0.01;
    viewed.pose = if is_there { hands.goal } else { constrained(&eased, &city.0, below.0) };
    redraw.write(RequestRedraw);
}

#[cfg(test)]
#[path = "hand_test.rs"]
mod tests;
