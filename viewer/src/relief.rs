//! What makes shapes legible: corners that the sky does not reach are darker (环境光遮蔽), points of a scan have dark edges
//! (EDL). Both are made from the depths of the picture after the solid surfaces are drawn (`shaders/relief.wgsl`).

use std::{fmt, str::FromStr};

use bevy::{
    camera::RenderTarget,
    prelude::*,
    render::{extract_component::ExtractComponent, render_resource::ShaderType},
};
use serde::{Deserialize, Serialize};

use crate::{
    camera::FIELD_OF_VIEW_DEG,
    scene::{Below, NEAR_M},
    style::{Drawing, Style},
};

/// What is done to make shapes legible.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Relief {
    /// Corners, feet of walls and narrow courts are darker.
    pub corners: bool,
    /// Points of a scan have dark edges before what lies behind.
    pub points: bool,
}

impl Default for Relief {
    fn default() -> Self {
        Self { corners: true, points: true }
    }
}

impl FromStr for Relief {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut relief = Self { corners: false, points: false };
        for word in text.split(',').map(str::trim) {
            match word.to_ascii_lowercase().as_str() {
                "corners" => relief.corners = true,
                "points" => relief.points = true,
                "none" if text.trim() == word => {}
                other => return Err(format!("`{other}` is no relief: corners, points, both with a comma, or none")),
            }
        }
        Ok(relief)
    }
}

impl fmt::Display for Relief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.corners, self.points) {
            (true, true) => "corners,points",
            (true, false) => "corners",
            (false, true) => "points",
            (false, false) => "none",
        })
    }
}

/// Twin of `ReliefView` in `shaders/relief.wgsl`; see there for what each number means.
#[derive(Component, ExtractComponent, Clone, Copy, Debug, Default, PartialEq, ShaderType)]
pub struct ReliefView {
    lens: Vec4,
    part: Vec4,
    what: Vec4,
}

impl ReliefView {
    /// For a camera that draws `size` pixels from `corner` on, `scale` of them to a pixel of the picture a side.
    fn new(relief: Relief, drawing: Drawing, corner: Vec2, size: Vec2, scale: f32) -> Self {
        let half_height = (FIELD_OF_VIEW_DEG.to_radians() as f32 * 0.5).tan();
        let half_width = half_height * size.x / size.y.max(1.0);
        // What is seen through has no depth.
        let strength = |is_on: bool| if is_on && !drawing.is_glass() { 1.0 } else { 0.0 };
        Self {
            lens: Vec4::new(NEAR_M, half_width, half_height, size.y * 0.5 / half_height),
            part: Vec4::new(corner.x, corner.y, size.x, size.y),
            what: Vec4::new(strength(relief.corners), strength(relief.points), scale, 0.0),
        }
    }

    /// Whether there is anything to do.
    pub fn is_on(&self) -> bool {
        self.part.z >= 1.0 && self.part.w >= 1.0 && (self.what.x > 0.0 || self.has_points())
    }

    /// Whether corners are wanted.
    pub fn has_corners(&self) -> bool {
        self.what.x > 0.0
    }

    /// Whether edges of points are wanted.
    fn has_points(&self) -> bool {
        self.what.y > 0.0
    }
}

/// Tells each camera what it draws.
pub fn set_relief(
    relief: Res<Relief>,
    (style, below): (Res<Style>, Res<Below>),
    mut cameras: Query<(&Camera, &RenderTarget, &mut ReliefView)>,
) {
    let drawing = Drawing { style: *style, is_below: below.0 };
    for (camera, target, mut view) in &mut cameras {
        let Some(part) = camera.physical_viewport_rect() else { continue };
        let scale = match target {
            RenderTarget::Image(image) => image.scale_factor,
            _ => 1.0,
        };
        let (corner, size) = (part.min.as_vec2(), part.size().as_vec2());
        view.set_if_neq(ReliefView::new(*relief, drawing, corner, size, scale));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_and_others_are_refused() {
        for text in ["none", "corners", "points", "corners,points"] {
            assert_eq!(text.parse::<Relief>().unwrap().to_string(), text);
        }
        assert_eq!(" Points , corners".parse(), Ok(Relief::default()));
        for wrong in ["", "edl", "none,points", "corners,"] {
            assert!(wrong.parse::<Relief>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_seen_through_has_none() {
        let size = Vec2::new(1280.0, 720.0);
        for style in Style::ALL {
            for is_below in [false, true] {
                let drawing = Drawing { style, is_below };
                let view = ReliefView::new(Relief::default(), drawing, Vec2::ZERO, size, 1.0);
                assert_eq!(view.is_on(), !drawing.is_glass(), "{drawing:?}");
            }
        }
        let none = Relief { corners: false, points: false };
        assert!(!ReliefView::new(none, Drawing::default(), Vec2::ZERO, size, 1.0).is_on());
        assert!(!ReliefView::new(Relief::default(), Drawing::default(), Vec2::ZERO, Vec2::ZERO, 1.0).is_on());
    }

    #[test]
    fn a_metre_covers_as_many_pixels_as_the_lens_says() {
        let view = ReliefView::new(Relief::default(), Drawing::default(), Vec2::ZERO, Vec2::new(800.0, 400.0), 1.0);
        // Half of the height, 200 pixels, is lens.z metres at one metre.
        assert!((view.lens.z * view.lens.w - 200.0).abs() < 1e-3, "{view:?}");
        assert!((view.lens.y - 2.0 * view.lens.z).abs() < 1e-6, "twice as wide as high");
    }
}
