//! A camera that draws a part of its target alone, with the lens that it has for all of it: what the other side covers need not be
//! drawn. Bevy's own viewport would do, but panels are laid out within it and shadows and culling take it for the whole lens.

use bevy::{
    camera::Viewport,
    core_pipeline::{Core3d, schedule::Core3dSystems},
    prelude::*,
    render::{
        Render, RenderApp, RenderSystems,
        camera::ExtractedCamera,
        extract_component::{ExtractComponent, ExtractComponentPlugin},
        view::ExtractedView,
    },
};

/// The part of its target that a camera draws, pixels; everything while it is empty.
#[derive(Component, ExtractComponent, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrawnPart(pub URect);

/// Puts it into the renderer.
pub struct DrawnPartPlugin;

impl Plugin for DrawnPartPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins(ExtractComponentPlugin::<DrawnPart>::default());
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        render_app
            .add_systems(Render, narrow.in_set(RenderSystems::PrepareViews))
            .add_systems(Core3d, widen.after(Core3dSystems::MainPass).before(Core3dSystems::EarlyPostProcess));
    }
}

/// The lens of `part` of a picture of `size` pixels that `lens` draws whole.
fn lens_of(lens: Mat4, part: URect, size: Vec2) -> Mat4 {
    let (min, max) = (part.min.as_vec2() / size * 2.0 - 1.0, part.max.as_vec2() / size * 2.0 - 1.0);
    let (middle, half) = ((min + max) * 0.5, (max - min) * 0.5);
    // Pixels count down, clip space up.
    let middle = Vec2::new(middle.x, -middle.y);
    let narrowed = Mat4::from_cols(
        Vec4::new(1.0 / half.x, 0.0, 0.0, 0.0),
        Vec4::new(0.0, 1.0 / half.y, 0.0, 0.0),
        Vec4::Z,
        Vec4::new(-middle.x / half.x, -middle.y / half.y, 0.0, 1.0),
    );
    narrowed * lens
}

fn narrow(mut cameras: Query<(&mut ExtractedCamera, &mut ExtractedView, &DrawnPart)>) {
    for (mut camera, mut view, part) in &mut cameras {
        let Some(size) = camera.physical_target_size else { continue };
        let part = part.0.intersect(URect::from_corners(UVec2::ZERO, size));
        if part.is_empty() || part.size() == size {
            continue;
        }
        view.clip_from_view = lens_of(view.clip_from_view, part, size.as_vec2());
        view.viewport = UVec4::new(part.min.x, part.min.y, part.width(), part.height());
        camera.viewport =
            Some(Viewport { physical_position: part.min, physical_size: part.size(), ..Viewport::default() });
    }
}

/// What comes after the city covers the whole picture.
fn widen(mut cameras: Query<&mut ExtractedCamera, With<DrawnPart>>) {
    cameras.iter_mut().for_each(|mut camera| camera.viewport = None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_drawn_where_the_whole_has_it() {
        let size = Vec2::new(800.0, 400.0);
        let whole = Mat4::perspective_infinite_reverse_rh(0.8, 2.0, 0.5);
        let part = URect::new(500, 100, 700, 300);
        let lens = lens_of(whole, part, size);
        for place in [Vec3::new(1.5, 0.2, -6.0), Vec3::new(3.0, -1.0, -10.0)] {
            let pixel = |lens: Mat4, corner: Vec2, size: Vec2| {
                let ndc = lens.project_point3(place);
                (corner + (Vec2::new(ndc.x, -ndc.y) + 1.0) * 0.5 * size, ndc.z)
            };
            let (a, depth_a) = pixel(whole, Vec2::ZERO, size);
            let (b, depth_b) = pixel(lens, part.min.as_vec2(), part.size().as_vec2());
            assert!(a.distance(b) < 1e-2 && (depth_a - depth_b).abs() < 1e-6, "{a} {b}");
        }
    }
}
