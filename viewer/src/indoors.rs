//! Whether the eye is within a gallery, tunnel or station: then its walls are walls, and not glass.

use bevy::prelude::*;
use glam::DVec3;

use crate::{
    material::Kind,
    pick::Ray,
    scene::{CityScene, Viewed},
    stream::Streaming,
};

/// Farthest floor and ceiling, metres.
const REACH_M: f64 = 40.0;

/// The eye is within a structure below ground.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indoors(pub bool);

/// Looks up and down for one and the same structure.
pub fn feel_walls(mut indoors: ResMut<Indoors>, streaming: Res<Streaming>, viewed: Res<Viewed>, city: Res<CityScene>) {
    let eye = viewed.pose.place;
    let is_below = eye.z < city.0.ground_m(eye.truncate());
    let is_in = is_below && streaming.shown_picks().any(|(_, tile)| is_within(tile, eye));
    indoors.set_if_neq(Indoors(is_in));
}

fn is_within(tile: &crate::pick::PickTile, eye: DVec3) -> bool {
    if !tile.meshes.iter().any(|mesh| mesh.kind == Kind::Structure) {
        return false;
    }
    let met = |direction: DVec3| {
        let ray = Ray { from: eye, direction };
        tile.cast(&ray, REACH_M, |kind| kind == Kind::Structure, |_, _| true).map(|hit| hit.feature)
    };
    met(DVec3::Z).is_some_and(|ceiling| met(DVec3::NEG_Z) == Some(ceiling))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        content::{DrawMesh, TileMeshes},
        pick::PickTile,
    };

    /// Two level squares of 20 m, of these features, 3 m above and below the tile's origin.
    fn tile(features: [u32; 2], kind: Kind) -> PickTile {
        let square = |y: f32, feature: u32| DrawMesh {
            positions: vec![[-10.0, y, 10.0], [10.0, y, 10.0], [10.0, y, -10.0], [-10.0, y, -10.0]],
            features: vec![feature; 4],
            indices: vec![0, 1, 2, 0, 2, 3],
            min: Vec3::new(-10.0, y, -10.0),
            max: Vec3::new(10.0, y, 10.0),
            ..DrawMesh::default()
        };
        let meshes = vec![square(-3.0, features[0]), square(3.0, features[1])];
        let mut tile = TileMeshes { meshes, ..TileMeshes::default() };
        PickTile::new(DVec3::new(40_534_000.0, 3_993_000.0, -12.0), &mut tile, &[kind; 2])
    }

    #[test]
    fn floor_and_ceiling_of_one_structure_are_indoors() {
        let gallery = tile([4, 4], Kind::Structure);
        assert!(is_within(&gallery, gallery.origin));
        assert!(!is_within(&gallery, gallery.origin + DVec3::Z * 5.0), "above it");
        assert!(!is_within(&gallery, gallery.origin + DVec3::X * 11.0), "beside it");
        let two = tile([4, 5], Kind::Structure);
        assert!(!is_within(&two, two.origin), "between two of them");
        let house = tile([4, 4], Kind::Facade);
        assert!(!is_within(&house, house.origin));
    }
}
