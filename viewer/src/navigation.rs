//! How hands move the camera: pure functions from pose to pose.
//!
//! The ground point that was grabbed stays under the cursor; orbiting and zooming turn around what the cursor points
//! at. The camera never slips below ground unless below ground is shown.

use glam::{DQuat, DVec2, DVec3};

use crate::{
    camera::{CameraPose, direction_of},
    city::CityModel,
    pick::Ray,
};

/// Steepest and flattest views that hands can reach, degrees.
pub const PITCH_RANGE: (f64, f64) = (-89.0, 60.0);
/// Room between the eye and the ground, metres.
const EYE_HEIGHT_M: f64 = 1.8;
/// Farthest that the camera may go from the city's middle, in sizes of the city.
const LEASH: f64 = 8.0;

/// Where a ray meets the level plane at height `z`; `None` when it does not, or farther than `max_m`.
pub fn meet_level(ray: &Ray, z: f64, max_m: f64) -> Option<DVec3> {
    let distance = (z - ray.from.z) / ray.direction.z;
    (distance.is_finite() && distance > 0.0 && distance < max_m).then(|| ray.from + ray.direction * distance)
}

/// Where a ray first meets the terrain, by growing steps and bisection; the level of the city's ground where it has
/// no terrain.
pub fn meet_ground(city: &CityModel, ray: &Ray) -> Option<DVec3> {
    let level = city.ground_m(city.extent.centre().truncate());
    if city.ground.is_empty() {
        return meet_level(ray, level, 1e6);
    }
    let above = |distance: f64| {
        let place = ray.from + ray.direction * distance;
        city.ground.height_at(place.truncate()).map(|height| place.z - height)
    };
    let mut last = 0.0;
    let mut last_above = above(0.0);
    let mut step = 4.0;
    while last < 60_000.0 {
        let next = last + step;
        let next_above = above(next);
        if let (Some(a), Some(b)) = (last_above, next_above)
            && a.signum() != b.signum()
        {
            let (mut near, mut far) = (last, next);
            for _ in 0..24 {
                let middle = 0.5 * (near + far);
                match above(middle) {
                    Some(height) if height.signum() == a.signum() => near = middle,
                    _ => far = middle,
                }
            }
            return Some(ray.from + ray.direction * far);
        }
        (last, last_above) = (next, next_above);
        // Far away a coarser step does: terrain is smooth at that scale.
        step = (last * 0.02).clamp(4.0, 120.0);
    }
    meet_level(ray, level, 1e6)
}

/// Moves the camera level so that `anchor` comes under the cursor's `ray`.
pub fn pan(pose: &CameraPose, anchor: DVec3, ray: &Ray) -> CameraPose {
    let far = (pose.place - anchor).length() * 12.0 + 100.0;
    let Some(under) = meet_level(ray, anchor.z, far) else { return *pose };
    CameraPose { place: pose.place + (anchor - under).with_z(0.0), ..*pose }
}

/// Turns the camera around `pivot`, which stays where it is on the screen.
pub fn orbit(pose: &CameraPose, pivot: DVec3, turn_deg: f64, tilt_deg: f64) -> CameraPose {
    let pitch_deg = (pose.pitch_deg + tilt_deg).clamp(PITCH_RANGE.0, PITCH_RANGE.1);
    let tilt = pitch_deg - pose.pitch_deg;
    let right = direction_of(pose.heading_deg + 90.0, 0.0);
    // Headings run clockwise, rotations counter-clockwise.
    let rotation = DQuat::from_rotation_z(-turn_deg.to_radians()) * DQuat::from_axis_angle(right, tilt.to_radians());
    CameraPose {
        place: pivot + rotation * (pose.place - pivot),
        heading_deg: (pose.heading_deg + turn_deg).rem_euclid(360.0),
        pitch_deg,
    }
}

/// Goes towards (`factor` < 1) or away from `target`, which stays where it is on the screen.
pub fn zoom(pose: &CameraPose, target: DVec3, factor: f64) -> CameraPose {
    let away = pose.place - target;
    let distance = (away.length() * factor).max(3.0);
    CameraPose { place: target + away.normalize_or(DVec3::Z) * distance, ..*pose }
}

/// Moves by keys: right, forward (level) and up, metres.
pub fn shift(pose: &CameraPose, right_m: f64, forward_m: f64, up_m: f64) -> CameraPose {
    let forward = direction_of(pose.heading_deg, 0.0) * forward_m;
    let right = direction_of(pose.heading_deg + 90.0, 0.0) * right_m;
    CameraPose { place: pose.place + forward + right + DVec3::Z * up_m, ..*pose }
}

/// Part of the way from one pose to another; `share` 1 = all of it. Turns the shorter way round.
pub fn ease(from: &CameraPose, to: &CameraPose, share: f64) -> CameraPose {
    let turn = (to.heading_deg - from.heading_deg + 180.0).rem_euclid(360.0) - 180.0;
    CameraPose {
        place: from.place.lerp(to.place, share),
        heading_deg: (from.heading_deg + turn * share).rem_euclid(360.0),
        pitch_deg: from.pitch_deg + (to.pitch_deg - from.pitch_deg) * share,
    }
}

/// Keeps the camera out of the ground and within reach of the city.
pub fn constrained(pose: &CameraPose, city: &CityModel, is_below: bool) -> CameraPose {
    let mut pose = *pose;
    if !pose.place.is_finite() {
        return CameraPose::overview(&city.overview_extent(), 1.6, |place| city.ground.height_at(place));
    }
    if !city.extent.is_empty() {
        let reach = city.extent.size().truncate().length().max(200.0) * LEASH;
        let middle = city.extent.centre();
        let offset = (pose.place - middle).truncate();
        if offset.length() > reach {
            let held: DVec2 = middle.truncate() + offset.normalize() * reach;
            pose.place = held.extend(pose.place.z);
        }
        pose.place.z = pose.place.z.clamp(city.extent.min.z - reach * 0.05 - 200.0, city.extent.max.z + reach);
    }
    if !is_below {
        pose.place.z = pose.place.z.max(city.ground_m(pose.place.truncate()) + EYE_HEIGHT_M);
    }
    pose
}

#[cfg(test)]
mod tests {
    use bevy::math::Vec2;
    use groundline_engine::tile::Ground;

    use super::*;
    use crate::scene::Viewed;

    fn pose() -> CameraPose {
        CameraPose { place: DVec3::new(534_000.0, 3_993_000.0, 400.0), heading_deg: 30.0, pitch_deg: -35.0 }
    }

    fn seen(pose: CameraPose, place: DVec3) -> Vec2 {
        Viewed { pose, size: Vec2::new(1600.0, 900.0) }.pixel(place).expect("in front").0
    }

    #[test]
    fn the_grabbed_point_stays_under_the_cursor() {
        let start = pose();
        let view = Viewed { pose: start, size: Vec2::new(1600.0, 900.0) };
        let (from, to) = (Vec2::new(500.0, 600.0), Vec2::new(930.0, 520.0));
        let anchor = meet_level(&view.ray(from), 12.0, 1e5).expect("ground in view");
        let moved = pan(&start, anchor, &view.ray(to));
        assert!(seen(moved, anchor).distance(to) < 0.05, "{:?}", seen(moved, anchor));
        assert_eq!(moved.place.z, start.place.z);
    }

    #[test]
    fn orbit_and_zoom_keep_their_pivot_on_the_screen() {
        let start = pose();
        let view = Viewed { pose: start, size: Vec2::new(1600.0, 900.0) };
        let at = Vec2::new(1100.0, 400.0);
        let pivot = meet_level(&view.ray(at), 5.0, 1e5).expect("ground in view");
        let zoomed = zoom(&start, pivot, 0.5);
        assert!(seen(zoomed, pivot).distance(at) < 0.05);
        assert!((zoomed.place.distance(pivot) / start.place.distance(pivot) - 0.5).abs() < 1e-9);
        let turned = orbit(&start, pivot, 40.0, 0.0);
        assert!(seen(turned, pivot).distance(at) < 0.05, "{:?}", seen(turned, pivot));
        let tilted = orbit(&start, pivot, 0.0, -15.0);
        assert!(seen(tilted, pivot).distance(at) < 0.05, "{:?}", seen(tilted, pivot));
    }

    #[test]
    fn pixels_and_rays_agree() {
        let view = Viewed { pose: pose(), size: Vec2::new(1280.0, 720.0) };
        for pixel in [Vec2::new(3.0, 700.0), Vec2::new(640.0, 360.0), Vec2::new(1200.0, 100.0)] {
            let ray = view.ray(pixel);
            let back = view.pixel(ray.from + ray.direction * 700.0).expect("in front").0;
            assert!(back.distance(pixel) < 0.02, "{pixel} {back}");
        }
    }

    #[test]
    fn the_camera_never_slips_below_ground() {
        let city = CityModel::of_layers("flat", vec![], Ground::default(), vec![]);
        let sunk = CameraPose { place: DVec3::new(0.0, 0.0, -40.0), ..pose() };
        assert!(constrained(&sunk, &city, false).place.z >= EYE_HEIGHT_M);
        assert_eq!(constrained(&sunk, &city, true).place.z, -40.0);
        let broken = CameraPose { place: DVec3::NAN, ..pose() };
        assert!(constrained(&broken, &city, false).place.is_finite());
    }

    #[test]
    fn easing_turns_the_short_way() {
        let from = CameraPose { heading_deg: 350.0, ..pose() };
        let to = CameraPose { heading_deg: 20.0, ..pose() };
        assert!((ease(&from, &to, 0.5).heading_deg - 5.0).abs() < 1e-9);
    }
}
