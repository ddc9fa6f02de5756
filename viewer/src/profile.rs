//! Profiles of navigation (操作方式): what the hands do to the camera, as other programs have taught people.

use std::str::FromStr;

use bevy::prelude::MouseButton;
use glam::DVec2;
use serde::{Deserialize, Serialize};

use crate::{
    camera::CameraPose,
    city::CityModel,
    navigation::{PITCH_RANGE, shift},
};

/// Eye of a person who walks, above the ground, metres.
pub const EYE_M: f64 = 1.7;
/// Below this height above the ground a walker is held to it, metres; above, the camera flies.
const HELD_M: f64 = 30.0;
/// How fast a walker goes by keys, m/s: quicker than a person, for a city is large.
pub const WALK_M_S: f64 = 5.0;
/// How far one step of the wheel goes, metres.
pub const STEP_M: f64 = 2.0;
/// Share of the distance that a drag over one pixel zooms.
const ZOOM_A_PIXEL: f64 = 0.006;

/// How a person moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// As in maps and earth viewers: the left button pans, the right one orbits, the wheel zooms.
    #[default]
    Earth,
    /// As in CesiumJS: the left button pans, the right one zooms, the middle one (or Ctrl and the left one) tilts.
    Cesium,
    /// As in CAD: the left button picks, the middle one pans, with Shift it orbits.
    Cad,
    /// On foot: the mouse turns the head, the wheel and the keys walk.
    Walk,
}

/// What a drag does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Moves the ground with the hand.
    Pan,
    /// Turns and tilts around what was taken hold of.
    Orbit,
    /// Goes nearer and farther.
    Zoom,
    /// Turns the head.
    Look,
    /// Nothing; the press may still be a click.
    Nothing,
}

impl Profile {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Earth, Self::Cesium, Self::Cad, Self::Walk];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Earth => "earth",
            Self::Cesium => "cesium",
            Self::Cad => "cad",
            Self::Walk => "walk",
        }
    }

    /// Under which its name stands among the texts.
    pub fn text_key(self) -> &'static str {
        match self {
            Self::Earth => "navigation-earth",
            Self::Cesium => "navigation-cesium",
            Self::Cad => "navigation-cad",
            Self::Walk => "navigation-walk",
        }
    }

    /// The one after it.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|one| *one == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// What a drag with `button` does while Ctrl or Shift is held.
    pub fn motion(self, button: MouseButton, has_control: bool, has_shift: bool) -> Motion {
        use MouseButton::{Left, Middle, Right};
        match (self, button) {
            (Self::Walk, Left | Middle | Right) => Motion::Look,
            (Self::Cad, Left) if has_control => Motion::Orbit,
            // For hands without a middle button.
            (Self::Cad, Left) if has_shift => Motion::Pan,
            (Self::Cad, Left) => Motion::Nothing,
            (Self::Cad, Middle) if !has_shift => Motion::Pan,
            (Self::Earth | Self::Cesium, Left) if !has_control => Motion::Pan,
            (Self::Cesium, Right) => Motion::Zoom,
            (_, Left | Middle | Right) => Motion::Orbit,
            _ => Motion::Nothing,
        }
    }

    /// What one finger does on a touch screen.
    pub fn finger(self) -> Motion {
        if self == Self::Walk { Motion::Look } else { Motion::Pan }
    }

    /// The gestures of the help: texts of gesture and of what it does.
    pub fn gestures(self) -> &'static [(&'static str, &'static str)] {
        const CLICKS: [(&str, &str); 2] = [("mouse-click", "do-pick"), ("mouse-double", "do-fly")];
        const TOUCH: (&str, &str) = ("touch-two", "do-two-fingers");
        match self {
            Self::Earth => &[
                ("mouse-left-drag", "do-pan"),
                ("mouse-right-drag", "do-orbit"),
                ("mouse-wheel", "do-zoom"),
                TOUCH,
                CLICKS[0],
                CLICKS[1],
            ],
            Self::Cesium => &[
                ("mouse-left-drag", "do-pan"),
                ("mouse-right-only-drag", "do-zoom"),
                ("mouse-middle-drag", "do-orbit"),
                ("mouse-wheel", "do-zoom"),
                TOUCH,
                CLICKS[0],
                CLICKS[1],
            ],
            Self::Cad => &[
                ("mouse-middle-only-drag", "do-pan"),
                ("mouse-shift-middle-drag", "do-orbit"),
                ("mouse-wheel", "do-zoom"),
                TOUCH,
                CLICKS[0],
                CLICKS[1],
            ],
            Self::Walk => &[
                ("mouse-left-drag", "do-look"),
                ("mouse-wheel", "do-walk"),
                TOUCH,
                CLICKS[0],
                ("mouse-double", "do-stand"),
            ],
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|one| one.word() == text.trim().to_ascii_lowercase());
        known.ok_or_else(|| format!("`{text}` is no navigation: earth, cesium, cad or walk"))
    }
}

/// Turns the head by degrees; the eye stays.
pub fn look(pose: &CameraPose, turn_deg: f64, tilt_deg: f64) -> CameraPose {
    CameraPose {
        heading_deg: (pose.heading_deg + turn_deg).rem_euclid(360.0),
        pitch_deg: (pose.pitch_deg + tilt_deg).clamp(PITCH_RANGE.0, PITCH_RANGE.1),
        ..*pose
    }
}

/// The factor of [`crate::navigation::zoom`] for a drag of `down_px` pixels: down goes nearer.
pub fn drag_factor(down_px: f64) -> f64 {
    (1.0 - ZOOM_A_PIXEL).powf(down_px.clamp(-400.0, 400.0))
}

/// A person who stands at `place` and looks level.
pub fn standing(place: DVec2, heading_deg: f64, city: &CityModel) -> CameraPose {
    CameraPose { place: place.extend(city.ground_m(place) + EYE_M), heading_deg, pitch_deg: 0.0 }
}

/// A step of a walker: level, held to the ground while near it; below ground the level is kept.
pub fn walk(
    pose: &CameraPose,
    right_m: f64,
    forward_m: f64,
    up_m: f64,
    city: &CityModel,
    is_below: bool,
) -> CameraPose {
    let held = |pose: &CameraPose| {
        let height = pose.place.z - city.ground_m(pose.place.truncate());
        !is_below && height.abs() < HELD_M
    };
    let was_held = held(pose);
    let mut moved = shift(pose, right_m, forward_m, if was_held { 0.0 } else { up_m });
    if was_held {
        moved.place.z = city.ground_m(moved.place.truncate()) + EYE_M;
    }
    moved
}

#[cfg(test)]
mod tests {
    use glam::DVec3;
    use groundline_engine::tile::Ground;

    use super::*;

    #[test]
    fn each_profile_does_what_its_program_does() {
        use MouseButton::{Left, Middle, Right};
        let motion = |profile: Profile, button| profile.motion(button, false, false);
        assert_eq!(Profile::ALL.map(|p| motion(p, Left)), [Motion::Pan, Motion::Pan, Motion::Nothing, Motion::Look]);
        assert_eq!(Profile::ALL.map(|p| motion(p, Middle)), [Motion::Orbit, Motion::Orbit, Motion::Pan, Motion::Look]);
        assert_eq!(Profile::ALL.map(|p| motion(p, Right)), [Motion::Orbit, Motion::Zoom, Motion::Orbit, Motion::Look]);
        for profile in [Profile::Earth, Profile::Cesium, Profile::Cad] {
            assert_eq!(profile.motion(Left, true, false), Motion::Orbit, "Ctrl and left orbits: {profile:?}");
        }
        assert_eq!(Profile::Cad.motion(Middle, false, true), Motion::Orbit);
        assert_eq!(Profile::Cad.motion(Left, false, true), Motion::Pan);
        assert_eq!(Profile::Earth.motion(MouseButton::Back, false, false), Motion::Nothing);
    }

    #[test]
    fn profiles_are_named_and_follow_each_other() {
        let mut profile = Profile::default();
        for expected in [Profile::Cesium, Profile::Cad, Profile::Walk, Profile::Earth] {
            profile = profile.next();
            assert_eq!(profile, expected);
            assert_eq!(profile.word().parse::<Profile>(), Ok(profile));
        }
        assert!("fly".parse::<Profile>().is_err_and(|reason| reason.contains("earth, cesium, cad or walk")));
    }

    #[test]
    fn a_walker_stays_on_the_ground_and_flies_when_high() {
        let city = CityModel::of_layers("flat", vec![], Ground::default(), vec![]);
        let start = standing(DVec2::new(5.0, 6.0), 90.0, &city);
        assert_eq!((start.place, start.pitch_deg), (DVec3::new(5.0, 6.0, EYE_M), 0.0));
        let stepped = walk(&start, 0.0, 3.0, 9.0, &city, false);
        assert!(stepped.place.distance(DVec3::new(8.0, 6.0, EYE_M)) < 1e-9, "east, and no jump: {stepped:?}");
        let high = CameraPose { place: DVec3::new(0.0, 0.0, 400.0), ..start };
        assert_eq!(walk(&high, 0.0, 0.0, 9.0, &city, false).place.z, 409.0);
        let deep = CameraPose { place: DVec3::new(0.0, 0.0, -12.0), ..start };
        assert_eq!(walk(&deep, 1.0, 0.0, 0.0, &city, true).place.z, -12.0, "a gallery's level is kept");
    }

    #[test]
    fn the_head_turns_in_place_and_drags_zoom_both_ways() {
        let city = CityModel::of_layers("flat", vec![], Ground::default(), vec![]);
        let start = standing(DVec2::ZERO, 350.0, &city);
        let turned = look(&start, 20.0, 500.0);
        assert_eq!((turned.place, turned.heading_deg, turned.pitch_deg), (start.place, 10.0, PITCH_RANGE.1));
        assert!(drag_factor(10.0) < 1.0 && drag_factor(-10.0) > 1.0);
        assert!((drag_factor(10.0) * drag_factor(-10.0) - 1.0).abs() < 1e-12);
    }
}
