//! A trench along a pipe: dug with one press, as deep as the pipe lies.

use glam::DVec2;
use groundline_engine::{
    model::{CityObject, Geometry, Tube, Vertical},
    tile::Ground,
};

use crate::cut::{Cut, MOST_LEGS};

/// A look from above at 45° meets the floor of a trench that is so many times as wide as deep.
const OPEN: f64 = 1.15;
/// Beside the pipe there is at least so much room on each side, metres.
const ROOM_M: f64 = 1.8;
/// And so much below it, metres.
const BELOW_M: f64 = 0.5;
/// Shallowest trench, metres.
const LEAST_M: f64 = 1.0;
/// Widest and deepest trench, metres.
const MOST_M: f64 = 60.0;

/// The trench along a pipe, gallery or tunnel; why there can be none.
pub fn along(object: &CityObject, ground: &Ground) -> Result<Cut, String> {
    let Geometry::Tube(tube) = &object.geometry else {
        return Err(format!("`{}` has no axis to dig along", object.id));
    };
    let path = path_of(tube);
    if path.len() < 2 {
        return Err(format!("the axis of `{}` is a place", object.id));
    }
    let half = tube.section.height_m() * 0.5;
    let depth_at = |place: &glam::DVec3| match tube.vertical {
        Vertical::AboveTerrain => -place.z,
        Vertical::Absolute => ground.height_at(place.truncate()).map_or(LEAST_M, |top| top - place.z),
    };
    let deepest = tube.axis.iter().map(depth_at).fold(0.0, f64::max) + half + BELOW_M;
    let round = |v: f64| (v * 10.0).ceil() / 10.0;
    let depth_m = round(deepest.clamp(LEAST_M, MOST_M));
    let width_m = round((tube.section.size_m() + ROOM_M * 2.0).max(depth_m * OPEN).min(MOST_M));
    Ok(Cut::Trench { path, width_m, depth_m })
}

/// The axis in plan with as many legs as a trench may have; where it has more, those places stay that bend most evenly.
fn path_of(tube: &Tube) -> Vec<DVec2> {
    let round = |v: DVec2| (v * 100.0).round() / 100.0;
    let mut path: Vec<DVec2> = tube.axis.iter().map(|place| round(place.truncate())).collect();
    path.dedup_by(|a, b| a.distance(*b) < 0.05);
    while path.len() > MOST_LEGS + 1 {
        let bend = |k: &usize| {
            let (a, b, c) = (path[k - 1], path[*k], path[k + 1]);
            let area = (b - a).perp_dot(c - a).abs();
            area / a.distance(c).max(1e-3)
        };
        let straightest = (1..path.len() - 1).min_by(|a, b| bend(a).total_cmp(&bend(b)));
        let Some(straightest) = straightest else { break };
        path.remove(straightest);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DVec3;
    use groundline_engine::model::{Class, HeightGrid, ObjectId, Section};

    fn pipe(axis: Vec<DVec3>) -> CityObject {
        let section = Section::Circle { diameter_m: 0.6 };
        let tube = Tube { axis, vertical: Vertical::Absolute, section, from: None, to: None };
        CityObject::new(ObjectId::new("WS", 1), Class::Pipe, Geometry::Tube(tube))
    }

    fn level(height: f32) -> Ground {
        Ground::new(vec![HeightGrid {
            north_west: DVec2::new(0.0, 100.0),
            step_m: DVec2::splat(10.0),
            columns: 11,
            rows: 11,
            heights: vec![height; 121],
        }])
    }

    #[test]
    fn a_trench_along_a_pipe_lays_it_bare() {
        let sewer = pipe(vec![DVec3::new(10.0, 50.0, 7.0), DVec3::new(60.0, 50.0, 6.0)]);
        let cut = along(&sewer, &level(10.0)).unwrap();
        assert_eq!(cut.to_string(), "trench:10,50,60,50;width=5.6;depth=4.8");
        let house = CityObject::new(ObjectId::new("b", 1), Class::Building, Geometry::None);
        assert!(along(&house, &level(10.0)).is_err());
        assert!(along(&pipe(vec![DVec3::ZERO, DVec3::new(0.0, 0.01, 0.0)]), &level(10.0)).is_err());
    }

    #[test]
    fn a_long_axis_keeps_its_bends() {
        let axis = (0..60).map(|n| DVec3::new(f64::from(n), f64::from((n - 30).max(0)), 5.0)).collect();
        let Cut::Trench { path, .. } = along(&pipe(axis), &level(10.0)).unwrap() else { panic!() };
        assert!(path.len() <= MOST_LEGS + 1 && path.contains(&DVec2::new(30.0, 0.0)), "{path:?}");
    }
}
