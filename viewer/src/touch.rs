//! Fingers: on a touch screen one pans and two pinch, turn or tilt; on a trackpad two scroll to pan and pinch to zoom.

use bevy::{
    input::{
        gestures::{PinchGesture, RotationGesture},
        touch::{Touch, Touches},
    },
    prelude::*,
    window::PrimaryWindow,
};
use bevy_egui::input::EguiWantsInput;
use glam::DVec3;

use crate::{
    camera::CameraPose,
    hand::{Click, FOLLOW, Hands, TURN_A_PIXEL},
    navigation::{orbit, pan, zoom},
    overlay::{OverlayState, Wish},
    preference::Preferences,
    profile::{Motion, look},
    scene::Viewed,
    under::{Seen, grabbed},
};

/// A finger that moves less than this before it is lifted has tapped, pixels.
const TAP_RADIUS_PX: f32 = 14.0;
/// Two fingers that moved less than this have not shown yet what they mean, pixels.
const DECIDED_PX: f32 = 12.0;
/// Two clicks within this are a double click, seconds.
const DOUBLE_CLICK_S: f32 = 0.35;

/// Whether this click and the last one are a double click; remembers it where it is the first.
pub fn is_twice(last: &mut Option<(f32, Vec2)>, now: f32, cursor: Vec2, radius_px: f32) -> bool {
    let is_twice = last.is_some_and(|(at, place)| now - at < DOUBLE_CLICK_S && place.distance(cursor) < radius_px);
    *last = (!is_twice).then_some((now, cursor));
    is_twice
}

/// What two fingers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// Both go up or down: tilts.
    Tilt,
    /// They spread, close or turn: zooms, turns and pans.
    Turn,
}

/// What two fingers mean that went from `start` to `now`; `None` before they have gone far enough.
pub fn pair_of(start: [Vec2; 2], now: [Vec2; 2]) -> Option<Pair> {
    let moved = [now[0] - start[0], now[1] - start[1]];
    if moved[0].length().max(moved[1].length()) < DECIDED_PX {
        return None;
    }
    let is_upright = |way: Vec2| way.y.abs() > 2.0 * way.x.abs() && way.y.abs() > DECIDED_PX * 0.3;
    let is_level = (start[0] - start[1]).x.abs() > (start[0] - start[1]).y.abs();
    let is_together = moved[0].y * moved[1].y > 0.0;
    Some(if moved.into_iter().all(is_upright) && is_together && is_level { Pair::Tilt } else { Pair::Turn })
}

/// The camera after two fingers on `anchor` went from `from` to `to`: nearer as they spread, round as they turn, and the anchor
/// stays between them.
pub fn turned(pose: &CameraPose, anchor: DVec3, from: [Vec2; 2], to: [Vec2; 2], size: Vec2) -> CameraPose {
    let (before, after) = (from[1] - from[0], to[1] - to[0]);
    let factor = f64::from(before.length().max(1.0) / after.length().max(1.0)).clamp(0.2, 5.0);
    // Down is positive on the screen: a positive angle is clockwise, and the map turns with the fingers.
    let angle = f64::from(before.angle_to(after).to_degrees());
    let moved = orbit(&zoom(pose, anchor, factor), anchor, -angle, 0.0);
    pan(&moved, anchor, &Viewed { pose: moved, size }.ray(middle(to)))
}

fn middle(pair: [Vec2; 2]) -> Vec2 {
    (pair[0] + pair[1]) * 0.5
}

/// Fingers on the screen.
struct Grip {
    ids: Vec<u64>,
    start: [Vec2; 2],
    last: [Vec2; 2],
    anchor: DVec3,
    pair: Option<Pair>,
    has_moved: bool,
}

/// What the fingers hold.
#[derive(Resource, Default)]
pub struct Fingers(Option<Grip>);

/// Moves the camera by fingers on a touch screen; a tap is a click.
#[allow(clippy::too_many_arguments)]
pub fn move_by_touch(
    mut fingers: ResMut<Fingers>,
    mut hands: ResMut<Hands>,
    mut state: ResMut<OverlayState>,
    mut clicks: MessageWriter<Click>,
    touches: Option<Res<Touches>>,
    windows: Query<&Window, With<PrimaryWindow>>,
    egui: Option<Res<EguiWantsInput>>,
    preferences: Res<Preferences>,
    seen: Seen,
    time: Res<Time<Real>>,
) {
    let (Some(touches), Ok(window)) = (touches, windows.single()) else { return };
    let mut down: Vec<&Touch> = touches.iter().collect();
    down.sort_by_key(|touch| touch.id());
    down.truncate(2);
    let ids: Vec<u64> = down.iter().map(|touch| touch.id()).collect();
    let at = |touch: &Touch| touch.position() * window.scale_factor();
    if ids.is_empty() {
        let Some(grip) = fingers.0.take() else { return };
        if !grip.has_moved && grip.ids.len() == 1 {
            let (cursor, now) = (grip.start[0] + hands.shift, time.elapsed_secs());
            if is_twice(&mut hands.last_click, now, cursor, TAP_RADIUS_PX * 2.0) {
                let distance = seen.viewed.pose.place.distance(grip.anchor) * 0.4;
                state.wish = Some(Wish::FlyTo(grip.anchor, distance.max(30.0)));
            } else {
                clicks.write(Click(cursor));
            }
        }
        return;
    }
    let pixels = [at(down[0]), at(down[down.len() - 1])];
    let is_same = fingers.0.as_ref().is_some_and(|grip| grip.ids == ids);
    if !is_same {
        if egui.is_some_and(|egui| egui.is_pointer_over_area() || egui.is_using_pointer()) {
            return;
        }
        let was_moved = fingers.0.as_ref().is_some_and(|grip| grip.has_moved || grip.ids.len() > 1);
        let anchor = grabbed(middle(pixels), &seen);
        hands.shift = seen.shift(middle(pixels));
        let places = pixels.map(|pixel| pixel - hands.shift);
        fingers.0 =
            Some(Grip { ids, start: places, last: places, anchor, pair: None, has_moved: was_moved || down.len() > 1 });
        return;
    }
    let Some(grip) = &mut fingers.0 else { return };
    let places = pixels.map(|pixel| pixel - hands.shift);
    let from = std::mem::replace(&mut grip.last, places);
    grip.has_moved |= grip.start[0].distance(places[0]) > TAP_RADIUS_PX;
    if from == places || !grip.has_moved {
        return;
    }
    let goal = hands.goal;
    let step = (middle(places) - middle(from)).as_dvec2();
    hands.goal = if grip.ids.len() == 1 {
        match preferences.navigation.finger() {
            Motion::Look => look(&goal, -step.x * TURN_A_PIXEL, step.y * TURN_A_PIXEL),
            _ => pan(&goal, grip.anchor, &Viewed { pose: goal, ..*seen.viewed }.ray(places[0])),
        }
    } else {
        grip.pair = grip.pair.or_else(|| pair_of(grip.start, places));
        match grip.pair {
            None => return,
            Some(Pair::Tilt) => orbit(&goal, grip.anchor, 0.0, -step.y * TURN_A_PIXEL),
            Some(Pair::Turn) => turned(&goal, grip.anchor, from, places, seen.viewed.size),
        }
    };
    hands.pace = FOLLOW * 1.8;
}

/// Pinching and turning on a trackpad, around what the cursor points at.
pub fn move_by_gestures(
    mut hands: ResMut<Hands>,
    (mut pinches, mut turns): (MessageReader<PinchGesture>, MessageReader<RotationGesture>),
    windows: Query<&Window, With<PrimaryWindow>>,
    egui: Option<Res<EguiWantsInput>>,
    seen: Seen,
) {
    let nearer: f32 = pinches.read().map(|pinch| pinch.0).sum();
    let turn: f32 = turns.read().map(|turn| turn.0).sum();
    if (nearer == 0.0 && turn == 0.0) || egui.is_some_and(|egui| egui.is_pointer_over_area()) {
        return;
    }
    let Some(cursor) = windows.single().ok().and_then(Window::physical_cursor_position) else { return };
    let target = grabbed(cursor, &seen);
    let factor = f64::from(-nearer.clamp(-1.0, 1.0)).exp();
    // Counter-clockwise is positive; the map turns with the fingers.
    hands.goal = orbit(&zoom(&hands.goal, target, factor), target, f64::from(turn), 0.0);
    hands.pace = FOLLOW;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::navigation::meet_level;

    const SIZE: Vec2 = Vec2::new(1600.0, 900.0);

    fn pose() -> CameraPose {
        CameraPose { place: DVec3::new(534_000.0, 3_993_000.0, 400.0), heading_deg: 30.0, pitch_deg: -35.0 }
    }

    fn seen(pose: CameraPose, place: DVec3) -> Vec2 {
        Viewed { pose, size: SIZE }.pixel(place).expect("in front").0
    }

    #[test]
    fn two_fingers_show_what_they_mean() {
        let start = [Vec2::new(500.0, 500.0), Vec2::new(900.0, 480.0)];
        let by = |a: (f32, f32), b: (f32, f32)| [start[0] + Vec2::from(a), start[1] + Vec2::from(b)];
        assert_eq!(pair_of(start, by((2.0, 5.0), (1.0, 4.0))), None, "too little");
        assert_eq!(pair_of(start, by((2.0, -30.0), (1.0, -26.0))), Some(Pair::Tilt));
        assert_eq!(pair_of(start, by((0.0, -30.0), (0.0, 30.0))), Some(Pair::Turn), "against each other");
        assert_eq!(pair_of(start, by((-30.0, 2.0), (30.0, 0.0))), Some(Pair::Turn), "spread");
        assert_eq!(pair_of(start, by((30.0, 2.0), (30.0, 0.0))), Some(Pair::Turn), "pan");
    }

    #[test]
    fn what_lies_between_two_fingers_stays_there() {
        let from = [Vec2::new(600.0, 500.0), Vec2::new(1000.0, 500.0)];
        let anchor = meet_level(&Viewed { pose: pose(), size: SIZE }.ray(Vec2::new(800.0, 500.0)), 10.0, 1e5).unwrap();
        let wide = [Vec2::new(500.0, 560.0), Vec2::new(1300.0, 560.0)];
        let nearer = turned(&pose(), anchor, from, wide, SIZE);
        assert!(seen(nearer, anchor).distance(Vec2::new(900.0, 560.0)) < 0.5, "{:?}", seen(nearer, anchor));
        let ratio = nearer.place.z / pose().place.z;
        assert!((0.4..0.6).contains(&ratio), "twice as wide, half as far: {ratio}");
        assert_eq!(nearer.heading_deg, 30.0);
        // A quarter turn clockwise: what was to the right is below.
        let round = [Vec2::new(800.0, 300.0), Vec2::new(800.0, 700.0)];
        let right = meet_level(&Viewed { pose: pose(), size: SIZE }.ray(Vec2::new(1000.0, 500.0)), 10.0, 1e5).unwrap();
        let turned = turned(&pose(), anchor, from, round, SIZE);
        assert!(seen(turned, anchor).distance(Vec2::new(800.0, 500.0)) < 0.5);
        assert!((turned.heading_deg - 300.0).abs() < 1e-3, "{}", turned.heading_deg);
        let place = seen(turned, right);
        assert!(place.y > 560.0 && (place.x - 800.0).abs() < 60.0, "{place}");
    }
}
