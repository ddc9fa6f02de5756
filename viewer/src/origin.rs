//! The floating origin: where f64 city coordinates become f32 render coordinates.
//!
//! The renderer sees positions relative to a point of the city near the camera, so that a city ten thousand
//! kilometres from the origin of its grid is drawn as exactly as one at zero.
//! City: x east, y north, z up. Render: x east, y up, z south (`(x, z, -y)`), metres.

use glam::{DVec3, Vec3};

/// How far the camera may go from the render origin before it is moved, metres. One ulp of f32 at this distance
/// is 0.12 mm.
pub const REBASE_DISTANCE_M: f64 = 1_500.0;

/// The place in the city that render coordinates are counted from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenderOrigin {
    /// Place in the city's frame, whole metres.
    pub city: DVec3,
}

impl RenderOrigin {
    /// An origin at `place`, rounded to whole metres, so that its difference to a tile's origin is exact.
    pub fn near(place: DVec3) -> Self {
        Self { city: place.round() }
    }

    /// Render coordinates of a place in the city.
    pub fn render_from_city(&self, place: DVec3) -> Vec3 {
        axes_from_city(place - self.city)
    }

    /// The place in the city of render coordinates.
    pub fn city_from_render(&self, place: Vec3) -> DVec3 {
        self.city + city_from_axes(place.as_dvec3())
    }

    /// The new origin, when `camera` is so far away that positions near it would lose precision.
    pub fn rebased(&self, camera: DVec3) -> Option<Self> {
        (camera.distance(self.city) > REBASE_DISTANCE_M).then(|| Self::near(camera))
    }
}

/// A direction or offset of the city in the renderer's axes.
pub fn axes_from_city(offset: DVec3) -> Vec3 {
    DVec3::new(offset.x, offset.z, -offset.y).as_vec3()
}

/// A direction or offset in the renderer's axes as one of the city.
pub fn city_from_axes(offset: DVec3) -> DVec3 {
    DVec3::new(offset.x, -offset.z, offset.y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vertex_at_ten_million_metres_is_right_within_a_millimetre() {
        // A tile far out in a prefixed Gauss-Krüger zone, its vertices f32 relative to its origin.
        let tile_origin = DVec3::new(40_534_467.459, 3_993_055.813, 12.345);
        let camera = tile_origin + DVec3::new(850.3, -420.7, 160.2);
        let origin = RenderOrigin::near(camera);
        let mut worst: f64 = 0.0;
        for i in 0..1000 {
            let local = DVec3::new((i % 10) as f64 * 51.237, (i / 10) as f64 * 5.1113, (i % 7) as f64 * 13.77);
            let vertex = axes_from_city(local);
            let drawn = origin.render_from_city(tile_origin) + vertex;
            let truth = city_from_axes(drawn.as_dvec3()) + origin.city;
            worst = worst.max(truth.distance(tile_origin + local));
        }
        assert!(worst <= 1e-3, "vertex error {worst} m");
    }

    #[test]
    fn axes_there_and_back() {
        let offset = DVec3::new(1.0, 2.0, 3.0);
        assert_eq!(axes_from_city(offset), Vec3::new(1.0, 3.0, -2.0));
        assert_eq!(city_from_axes(axes_from_city(offset).as_dvec3()), offset);
    }

    #[test]
    fn the_origin_follows_a_camera_that_flies_away() {
        let origin = RenderOrigin::near(DVec3::new(500_000.4, 4_000_000.0, 0.0));
        assert_eq!(origin.rebased(origin.city + DVec3::X * 1_000.0), None);
        let moved = origin.rebased(origin.city + DVec3::X * 2_000.0).expect("far enough");
        assert_eq!(moved.city.x, 502_000.0);
    }
}
