//! Lines with a width: roads, railways, paths, borders, draped on the terrain.

use glam::{DVec2, DVec3, Vec2};

use super::{
    Detail, Dice, Sketch, ground_at,
    polygon::simplify_path,
    scene::{Look, Scene, Tint},
    tube::densified,
};
use crate::{
    model::{Class, Line, Vertical},
    tile::Ground,
};

/// Roads from this width on have lane markings and pavements, metres.
const MAIN_ROAD_M: f64 = 10.0;
/// Metres along a road that one repeat of its texture covers.
const MARKING_M: f64 = 12.0;
/// Height above the terrain, metres: enough that the terrain's triangles do not show through.
const LIFT_M: f64 = 0.12;

pub(super) fn draw(
    scene: &mut Scene,
    sketch: &Sketch,
    line: &Line,
    ground: &Ground,
    detail: Detail,
) -> Result<f64, &'static str> {
    let width = if line.width_m > 0.0 {
        line.width_m
    } else {
        match sketch.class {
            Class::Road => 4.0,
            Class::Railway => 3.0,
            _ => 0.6,
        }
    };
    let (look, colour) = match sketch.class {
        Class::Road if width >= MAIN_ROAD_M => (Look::RoadMain, [255, 255, 255]),
        Class::Road if width >= 3.5 => (Look::Road, [255, 255, 255]),
        Class::Road => (Look::Path, [186, 178, 164]),
        Class::Railway => (Look::Railway, [128, 118, 110]),
        Class::Water => (Look::Water, [86, 128, 150]),
        Class::Pipe => (Look::Pipe, super::pipe_colour(sketch, [150, 152, 156])),
        _ => (Look::Path, [206, 158, 88]),
    };
    let tint = Tint::of(sketch.stage, colour);
    // Where ribbons cross, the wider lies above; equal ones are told apart by their ids, so that they do not flicker.
    let rank = (width.min(60.0) / 60.0) * 0.08 + Dice::of(&sketch.id).throw(1) * 0.03;
    let lift = LIFT_M + rank + detail.tolerance_m() * 0.15;
    let mut drawn = false;
    for path in &line.paths {
        let mut path = simplify_path(path, detail.tolerance_m());
        path.dedup_by(|b, a| a.truncate().distance(b.truncate()) < 0.01);
        if path.len() < 2 {
            continue;
        }
        let step = if ground.is_empty() {
            f64::INFINITY
        } else if detail.is_full() {
            8.0
        } else {
            20.0
        };
        let path = if step.is_finite() { densified(&path, step) } else { path };
        let height = |place: DVec2, z: f64| match line.vertical {
            Vertical::Absolute => z,
            Vertical::AboveTerrain => z + ground_at(ground, place),
        };
        ribbon(scene, look, &path, width * 0.5, tint, &|place, z| height(place, z) + lift);
        drawn = true;
    }
    if !drawn {
        return Err("a line without length");
    }
    Ok(if detail.is_full() { 0.0 } else { detail.tolerance_m().max(1.0) })
}

/// A strip of vertices left, middle and right of the path, with round ends that fill junctions.
fn ribbon(scene: &mut Scene, look: Look, path: &[DVec3], half: f64, tint: Tint, height: &dyn Fn(DVec2, f64) -> f64) {
    let count = path.len();
    // Pavements would show on top of a crossing road, so round ends take the plain asphalt beside the middle.
    let asphalt = Vec2::new(0.25, 0.9);
    let mut run = 0.0;
    let mut last: Option<[u32; 3]> = None;
    for i in 0..count {
        let at = path[i].truncate();
        let before = if i > 0 { (at - path[i - 1].truncate()).normalize_or_zero() } else { DVec2::ZERO };
        let after = if i + 1 < count { (path[i + 1].truncate() - at).normalize_or_zero() } else { DVec2::ZERO };
        let along = (before + after).try_normalize().unwrap_or(if after == DVec2::ZERO { before } else { after });
        let inner = if i > 0 && i + 1 < count { along.dot(after).max(0.4) } else { 1.0 };
        let left = along.perp() * (half / inner);
        if i > 0 {
            run += path[i - 1].truncate().distance(at);
        }
        let v = (run / MARKING_M) as f32;
        let row = [(1.0, 0.0f32), (0.0, 0.5), (-1.0, 1.0)].map(|(side, u)| {
            let place = at + left * side;
            let position = place.extend(height(place, path[i].z));
            scene.vertex(look, position, DVec3::Z, Vec2::new(u, v), tint)
        });
        if let Some(last) = last {
            for k in 0..2 {
                scene.triangle(look, [last[k], last[k + 1], row[k + 1]]);
                scene.triangle(look, [last[k], row[k + 1], row[k]]);
            }
        }
        last = Some(row);
    }
    if half < 1.5 {
        return;
    }
    for (end, inward) in [(path[0], path[1]), (path[count - 1], path[count - 2])] {
        let outward = (end - inward).truncate().normalize_or_zero();
        let middle = end.truncate().extend(height(end.truncate(), end.z));
        let middle = scene.vertex(look, middle, DVec3::Z, asphalt, tint);
        const STEPS: u32 = 8;
        let rim: Vec<u32> = (0..=STEPS)
            .map(|k| {
                let angle = (f64::from(k) / f64::from(STEPS) - 0.5) * std::f64::consts::PI;
                let place = end.truncate() + DVec2::from_angle(angle).rotate(outward) * half;
                scene.vertex(look, place.extend(height(place, end.z)), DVec3::Z, asphalt, tint)
            })
            .collect();
        for pair in rim.windows(2) {
            scene.triangle(look, [middle, pair[0], pair[1]]);
        }
    }
}
