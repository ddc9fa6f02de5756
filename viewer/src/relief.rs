//! What makes shapes legible: corners that the sky does not reach are darker (环境光遮蔽), points of a scan have dark edges
//! (EDL). Both are made from the depths of the picture after the solid surfaces are drawn (`shaders/relief.wgsl`).

use std::{fmt, str::FromStr};

use bevy::{
    prelude::*,
    render::{extract_component::ExtractComponent, render_resource::ShaderType},
};
use serde::{Deserialize, Serialize};

use crate::{
    camera::FIELD_OF_VIEW_DEG,
    comparison::{Compared, Pane},
    drawn_part::DrawnPart,
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

/// So far over its edge a side of a comparison is drawn, pixels: corners and edges look at their neighbours.
pub const MARGIN_PX: u32 = 64;

/// Twin of `ReliefView` in `shaders/relief.wgsl`; see there for what each number means.
#[derive(Component, ExtractComponent, Clone, Copy, Debug, Default, PartialEq, ShaderType)]
pub struct ReliefView {
    lens: Vec4,
    whole: Vec4,
    part: Vec4,
    what: Vec4,
}

/// Pixels of the target to a pixel of the picture, a side.
#[derive(Resource, Clone, Copy)]
pub struct PixelScale(pub f32);

impl Default for PixelScale {
    fn default() -> Self {
        Self(1.0)
    }
}

impl ReliefView {
    /// For a camera that draws `part` of its `pane`, `scale` pixels to a pixel of the picture a side.
    fn new(relief: Relief, drawing: Drawing, pane: Pane, part: URect, scale: f32) -> Self {
        let (corner, size) = (pane.whole.min.as_vec2(), pane.whole.size().as_vec2());
        let half_height = (FIELD_OF_VIEW_DEG.to_radians() as f32 * 0.5).tan();
        let half_width = half_height * size.x / size.y.max(1.0);
        // What is seen through has no depth.
        let strength = |is_on: bool| if is_on && !drawing.is_glass() { 1.0 } else { 0.0 };
        Self {
            lens: Vec4::new(NEAR_M, half_width, half_height, size.y * 0.5 / half_height),
            whole: Vec4::new(corner.x, corner.y, size.x, size.y),
            part: part.min.as_vec2().extend(part.width() as f32).extend(part.height() as f32),
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
    (compared, scale): (Res<Compared>, Res<PixelScale>),
    mut cameras: Query<(&Camera, &DrawnPart, &mut ReliefView)>,
) {
    let drawing = Drawing { style: *style, is_below: below.0 };
    for (camera, drawn, mut view) in &mut cameras {
        let Some(size) = camera.physical_target_size() else { continue };
        let pane = compared.pane(compared.side, size);
        let part = if drawn.0.is_empty() { URect::from_corners(UVec2::ZERO, size) } else { drawn.0 };
        view.set_if_neq(ReliefView::new(*relief, drawing, pane, part, scale.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Side;

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
        let all = |size: UVec2| Compared::default().pane(Side::This, size);
        let pane = all(UVec2::new(1280, 720));
        for style in Style::ALL {
            for is_below in [false, true] {
                let drawing = Drawing { style, is_below };
                let view = ReliefView::new(Relief::default(), drawing, pane, pane.shown, 1.0);
                assert_eq!(view.is_on(), !drawing.is_glass(), "{drawing:?}");
            }
        }
        let none = Relief { corners: false, points: false };
        assert!(!ReliefView::new(none, Drawing::default(), pane, pane.shown, 1.0).is_on());
        assert!(
            !ReliefView::new(Relief::default(), Drawing::default(), all(UVec2::ZERO), all(UVec2::ZERO).shown, 1.0)
                .is_on()
        );
    }

    #[test]
    fn a_metre_covers_as_many_pixels_as_the_lens_says() {
        let pane = Compared::default().pane(Side::This, UVec2::new(800, 400));
        let view = ReliefView::new(Relief::default(), Drawing::default(), pane, pane.shown, 1.0);
        // Half of the height, 200 pixels, is lens.z metres at one metre.
        assert!((view.lens.z * view.lens.w - 200.0).abs() < 1e-3, "{view:?}");
        assert!((view.lens.y - 2.0 * view.lens.z).abs() < 1e-6, "twice as wide as high");
    }
}
