//! The light of the scene for a position of the sun: one set of numbers for all shaders (`shaders/look.wgsl`).

use bevy::{
    math::{Vec3, Vec4},
    render::render_resource::ShaderType,
};
use glam::DVec3;
use groundline_engine::model::Extent;

use crate::{
    cut::CutLook,
    origin::{RenderOrigin, axes_from_city},
    style::{Drawing, Style},
    sun::SunPosition,
};

/// The lowest sun over a white model, degrees: its relief must be seen at dusk too.
const LOWEST_PAPER_SUN_DEG: f64 = 20.0;
/// Where its light comes from at night: 45° high in the north-west, as on maps.
const PAPER_NIGHT_SUN: SunPosition = SunPosition { altitude_deg: 45.0, azimuth_deg: 315.0 };

/// Patterns repeat after this many metres; the shaders see the render origin modulo this.
const PATTERN_PERIOD_M: f64 = 8192.0;

/// Twin of `Look` in `shaders/look.wgsl`; see there for what each number means.
#[derive(Clone, Copy, Debug, Default, PartialEq, ShaderType)]
pub struct Look {
    /// Towards the sun; 1 by day.
    pub sun: Vec4,
    /// Sunlight; exposure.
    pub sun_colour: Vec4,
    /// Sky overhead; cloud cover.
    pub zenith: Vec4,
    /// Sky at the horizon.
    pub horizon: Vec4,
    /// Light from the sky; lit windows.
    pub ambient: Vec4,
    /// Light from the ground; haze per metre.
    pub bounce: Vec4,
    /// Render origin in the city.
    pub origin: Vec4,
    /// Lowest corner; width of the border; depth of the haze layer.
    pub low: Vec4,
    /// Highest corner; below ground or not; height of the ground.
    pub high: Vec4,
    /// What is cut away.
    pub cut: CutLook,
    /// Number of the style; whether objects are coloured by an attribute; whether the eye is within a structure.
    pub style: Vec4,
}

/// What the light depends on besides the sun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Box around the city.
    pub extent: Extent,
    /// Height of the ground in the middle of the city.
    pub ground_m: f64,
    /// Style, and whether below ground is shown.
    pub drawing: Drawing,
    /// Whether objects are coloured by an attribute, so that the rest steps back.
    pub is_coloured: bool,
}

/// A colour between keys given by the sun's altitude in degrees.
fn between(altitude_deg: f64, keys: &[(f64, [f32; 3])]) -> Vec3 {
    let last = keys.len() - 1;
    if altitude_deg <= keys[0].0 {
        return keys[0].1.into();
    }
    for pair in keys.windows(2) {
        let ((low, from), (high, to)) = (pair[0], pair[1]);
        if altitude_deg <= high {
            let t = ((altitude_deg - low) / (high - low)) as f32;
            return Vec3::from(from).lerp(to.into(), t * t * (3.0 - 2.0 * t));
        }
    }
    keys[last].1.into()
}

impl Look {
    /// The light for `sun` in `setting`, in render coordinates of `origin`.
    pub fn new(sun: &SunPosition, setting: &Setting, origin: &RenderOrigin) -> Self {
        let altitude = sun.altitude_deg;
        // Colours by altitude: night, civil dusk, sunrise, golden hour, day.
        let sun_colour = between(
            altitude,
            &[
                (-6.0, [0.0, 0.0, 0.0]),
                (-1.0, [0.35, 0.13, 0.05]),
                (4.0, [1.55, 0.78, 0.36]),
                (14.0, [2.35, 1.72, 1.12]),
                (32.0, [2.75, 2.34, 1.80]),
                (60.0, [2.90, 2.66, 2.30]),
            ],
        );
        let zenith = between(
            altitude,
            &[
                (-12.0, [0.006, 0.009, 0.020]),
                (-4.0, [0.045, 0.075, 0.185]),
                (3.0, [0.105, 0.180, 0.400]),
                (15.0, [0.085, 0.205, 0.520]),
                (45.0, [0.070, 0.200, 0.580]),
            ],
        );
        let horizon = between(
            altitude,
            &[
                (-12.0, [0.010, 0.014, 0.026]),
                (-4.0, [0.270, 0.185, 0.165]),
                (3.0, [0.680, 0.480, 0.340]),
                (15.0, [0.560, 0.640, 0.740]),
                (45.0, [0.500, 0.670, 0.880]),
            ],
        );
        let ambient = (zenith * 0.62 + horizon * 0.46) * 0.95 + Vec3::new(0.012, 0.015, 0.024);
        let bounce = sun_colour * (altitude.to_radians().sin().max(0.0) as f32) * Vec3::new(0.115, 0.108, 0.092)
            + ambient * Vec3::new(0.36, 0.35, 0.33);
        let day = smooth(-4.0, 3.0, altitude);
        let lit_windows = 1.0 - smooth(-2.0, 7.0, altitude);
        let exposure = 0.60 + 0.50 * (1.0 - smooth(-6.0, 10.0, altitude));

        // The moon, so to speak: at night the light comes from above instead of from below the horizon.
        let towards = match setting.drawing.style {
            Style::Paper if altitude > -2.0 => {
                SunPosition { altitude_deg: altitude.max(LOWEST_PAPER_SUN_DEG), ..*sun }.direction_in_city()
            }
            Style::Paper => PAPER_NIGHT_SUN.direction_in_city(),
            _ if altitude > -2.0 => sun.direction_in_city(),
            _ => DVec3::new(-0.4, -0.3, 0.87),
        };
        let size = setting.extent.size();
        let span = if setting.extent.is_empty() { 1000.0 } else { size.x.max(size.y).max(50.0) };
        let (low, high) = if setting.extent.is_empty() {
            (Vec3::splat(-1e9), Vec3::splat(1e9))
        } else {
            let south_west = origin.render_from_city(setting.extent.min);
            let north_east = origin.render_from_city(setting.extent.max);
            (south_west.min(north_east), south_west.max(north_east))
        };
        let ground = origin.render_from_city(DVec3::new(origin.city.x, origin.city.y, setting.ground_m)).y;
        // A seventh of what lies one city away is haze, whatever the size of the city; never thicker than mist.
        let haze = (0.15 / span).clamp(0.000_004, 0.000_4) as f32;
        let origin_in_pattern = |value: f64| value.rem_euclid(PATTERN_PERIOD_M) as f32;
        Self {
            sun: axes_from_city(towards).normalize_or(Vec3::Y).extend(day),
            sun_colour: sun_colour.extend(exposure),
            zenith: zenith.extend(0.55),
            horizon: horizon.extend(0.0),
            ambient: ambient.extend(lit_windows),
            bounce: bounce.extend(haze),
            origin: Vec4::new(
                origin_in_pattern(origin.city.x),
                origin.city.z as f32,
                origin_in_pattern(origin.city.y),
                0.0,
            ),
            low: Vec4::new(low.x, low.z, (span * 0.05) as f32, (span * 0.10).clamp(60.0, 900.0) as f32),
            high: Vec4::new(high.x, high.z, if setting.drawing.is_below { 1.0 } else { 0.0 }, ground),
            cut: CutLook::default(),
            style: Vec4::new(
                f32::from(setting.drawing.style as u8),
                if setting.is_coloured { 1.0 } else { 0.0 },
                0.0,
                0.0,
            ),
        }
    }

    /// Whether anything is cut away.
    pub fn is_cut(&self) -> bool {
        self.cut.counts.x > 0.5 || self.cut.counts.y > 0.5
    }

    /// Whether shadows are seen: what a plane has taken away throws none on what is left.
    pub fn has_shadows(&self) -> bool {
        self.style.w > 0.5 && self.cut.counts.x < 0.5
    }

    /// Style, and whether below ground is shown.
    pub fn drawing(&self) -> Drawing {
        let style = Style::ALL.get(self.style.x as usize).copied().unwrap_or_default();
        Drawing { style, is_below: self.high.z > 0.5 }
    }
}

fn smooth(low: f64, high: f64, value: f64) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0) as f32;
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(altitude_deg: f64) -> Look {
        look_in(altitude_deg, Drawing::default())
    }

    fn look_in(altitude_deg: f64, drawing: Drawing) -> Look {
        let setting = Setting {
            extent: Extent::around([DVec3::ZERO, DVec3::new(3000.0, 3000.0, 100.0)]),
            ground_m: 10.0,
            drawing,
            is_coloured: false,
        };
        Look::new(
            &SunPosition { altitude_deg, azimuth_deg: 240.0 },
            &setting,
            &RenderOrigin { city: DVec3::new(1000.0, 500.0, 0.0) },
        )
    }

    #[test]
    fn low_sun_is_redder_and_night_is_dark() {
        let (noon, dusk, night) = (look(60.0), look(5.0), look(-30.0));
        assert!(dusk.sun_colour.x / dusk.sun_colour.z > 1.5 * noon.sun_colour.x / noon.sun_colour.z);
        assert!(night.sun_colour.truncate().length() < 1e-3);
        assert!(night.ambient.w > 0.99 && noon.ambient.w < 0.01, "windows are lit at night only");
        assert!(night.sun.y > 0.5, "light from above at night");
    }

    #[test]
    fn the_border_is_given_in_render_coordinates() {
        let look = look(40.0);
        assert_eq!((look.low.x, look.high.x), (-1000.0, 2000.0));
        // Render z runs south: north edge y=3000 is z = -(3000-500).
        assert_eq!((look.low.y, look.high.y), (-2500.0, 500.0));
        assert_eq!(look.high.w, 10.0);
    }
    #[test]
    fn a_white_model_is_lit_from_above_at_any_hour_and_the_style_comes_back() {
        for altitude_deg in [-30.0, 1.0, 50.0] {
            for style in Style::ALL {
                let drawing = Drawing { style, is_below: style == Style::Dark };
                let look = look_in(altitude_deg, drawing);
                assert_eq!(look.drawing(), drawing);
                assert!(style != Style::Paper || look.sun.y > 0.2, "{altitude_deg}");
            }
        }
    }
}
