//! Pipes as instanced tubes and joints; tunnels and galleries as swept sections.

use glam::{DMat3, DQuat, DVec2, DVec3, Vec2};

use super::{
    Detail, Sketch, grounded,
    model::Model,
    pipe_colour,
    polygon::simplify_path,
    scene::{Look, Scene, Tint},
};
use crate::{
    model::{Class, Section, Tube, Vertical},
    tile::{Ground, glb::PipeShape},
};

/// Longest piece of a tube that follows the terrain, metres.
const STEP_M: f64 = 10.0;
/// Most pieces that one path is cut into: a path a thousand kilometres long is an error of the source.
const MOST_PIECES: usize = 20_000;

/// A pipe: one instance a segment, true to size, and a ball at every bend and end of round ones.
pub(super) fn draw_pipe(
    scene: &mut Scene,
    sketch: &Sketch,
    tube: &Tube,
    ground: &Ground,
    detail: Detail,
) -> Result<f64, &'static str> {
    let axis = axis_of(tube, ground, detail)?;
    if detail.is_full() {
        scene.pipe(shape_of(tube, &axis, scene.origin()));
    }
    let tint = Tint::of(sketch.stage, pipe_colour(sketch, [150, 152, 156]));
    match tube.section {
        Section::Circle { diameter_m } => {
            let model = if detail.is_full() { Model::Cylinder } else { Model::CylinderFar };
            for pair in axis.windows(2) {
                let length = pair[0].distance(pair[1]);
                let turn = DQuat::from_rotation_arc(DVec3::Z, (pair[1] - pair[0]) / length);
                scene.instance(model, pair[0], turn, DVec3::new(diameter_m, diameter_m, length), tint);
            }
            if detail.is_full() {
                let last = axis.len() - 1;
                for (i, place) in axis.iter().enumerate() {
                    let is_end = i == 0 || i == last;
                    if is_end || bends(axis[i - 1], *place, axis[i + 1]) {
                        let size = DVec3::splat(if is_end { diameter_m } else { diameter_m * 1.02 });
                        scene.instance(Model::Ball, *place, DQuat::IDENTITY, size, tint);
                    }
                }
            }
        }
        Section::Rect { width_m, height_m } => {
            for (i, pair) in axis.windows(2).enumerate() {
                let direction = (pair[1] - pair[0]).normalize();
                // Boxes reach past a bend by what closes its outer corner.
                let reach = |other: Option<&DVec3>, at: DVec3| {
                    let Some(next) = other.map(|o| (*o - at).normalize_or_zero()) else { return 0.0 };
                    let cos = next.dot(direction).abs().clamp(0.0, 1.0);
                    width_m * 0.5 * ((1.0 - cos) / (1.0 + cos)).sqrt()
                };
                let before = i.checked_sub(1).and_then(|b| axis.get(b));
                let (start, end) = (reach(before, pair[0]), reach(axis.get(i + 2), pair[1]));
                let (a, b) = (pair[0] - direction * start, pair[1] + direction * end);
                let size = DVec3::new(a.distance(b), width_m, height_m);
                scene.instance(Model::Duct, (a + b) * 0.5, upright(direction), size, tint);
            }
        }
    }
    Ok(if detail.is_full() { 0.0 } else { detail.tolerance_m().max(tube.section.size_m() * 2.0) })
}

/// The parameters of what is drawn along `axis`.
fn shape_of(tube: &Tube, axis: &[DVec3], origin: DVec3) -> PipeShape {
    let (section, is_round) = match tube.section {
        Section::Circle { diameter_m } => (DVec2::splat(diameter_m), true),
        Section::Rect { width_m, height_m } => (DVec2::new(width_m, height_m), false),
    };
    let node = |name: &Option<String>| name.clone().unwrap_or_default();
    PipeShape {
        axis: axis.iter().map(|place| (*place - origin).as_vec3()).collect(),
        section: section.as_vec2(),
        is_round,
        nodes: [node(&tube.from), node(&tube.to)],
    }
}

/// A tunnel, gallery or station: its outer surface, seen from both sides and through.
pub(super) fn draw_swept(
    scene: &mut Scene,
    sketch: &Sketch,
    tube: &Tube,
    ground: &Ground,
    detail: Detail,
) -> Result<f64, &'static str> {
    let axis = axis_of(tube, ground, detail)?;
    if detail.is_full() {
        scene.pipe(shape_of(tube, &axis, scene.origin()));
    }
    let colour = match sketch.class {
        Class::Tunnel => [176, 184, 200],
        Class::Station => [222, 206, 172],
        _ => [170, 196, 176],
    };
    let tint = Tint::of(sketch.stage, colour);
    let profile: Vec<(DVec2, DVec2)> = match tube.section {
        Section::Circle { diameter_m } => {
            let sides = if detail.is_full() { 24 } else { 10 };
            let turn = |i: u32| DVec2::from_angle(f64::from(i) / f64::from(sides) * std::f64::consts::TAU);
            (0..=sides).map(|i| (turn(i) * diameter_m * 0.5, turn(i))).collect()
        }
        Section::Rect { width_m, height_m } => {
            let half = DVec2::new(width_m, height_m) * 0.5;
            let corners = [(1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)].map(|(x, y)| half * DVec2::new(x, y));
            let normals = [DVec2::X, DVec2::Y, DVec2::NEG_X, DVec2::NEG_Y];
            (0..4).flat_map(|i| [(corners[i], normals[i]), (corners[(i + 1) % 4], normals[i])]).collect()
        }
    };
    // Rectangles have a pair of vertices a side, circles share them.
    let step = if matches!(tube.section, Section::Rect { .. }) { 2 } else { 1 };
    let mut rings: Vec<Vec<u32>> = Vec::with_capacity(axis.len());
    for (i, place) in axis.iter().enumerate() {
        let before = if i > 0 { (*place - axis[i - 1]).normalize() } else { DVec3::ZERO };
        let after = axis.get(i + 1).map_or(DVec3::ZERO, |next| (*next - *place).normalize());
        let along = (before + after).try_normalize().unwrap_or(before.max(after));
        let (right, up) = frame(along);
        // In a bend the section is cut along the mitre, so it is wider there; sharp turns are capped.
        let mitre = if i > 0 && after != DVec3::ZERO { 1.0 / along.dot(after).max(0.35) } else { 1.0 };
        let ring = profile.iter().map(|(at, normal)| {
            let position = *place + right * (at.x * mitre) + up * at.y;
            scene.vertex(Look::Tunnel, position, right * normal.x + up * normal.y, Vec2::ZERO, tint)
        });
        rings.push(ring.collect());
    }
    for pair in rings.windows(2) {
        for side in (0..profile.len() - 1).step_by(step) {
            let (a, b, c, d) = (pair[0][side], pair[0][side + 1], pair[1][side + 1], pair[1][side]);
            scene.triangle(Look::Tunnel, [a, b, c]);
            scene.triangle(Look::Tunnel, [a, c, d]);
        }
    }
    Ok(if detail.is_full() { 0.0 } else { detail.tolerance_m().max(tube.section.size_m() * 0.5) })
}

/// The centre line in the datum: cleaned, cut short enough to follow the terrain, simplified from afar.
fn axis_of(tube: &Tube, ground: &Ground, detail: Detail) -> Result<Vec<DVec3>, &'static str> {
    if tube.section.size_m() <= 0.0 || tube.section.height_m() <= 0.0 {
        return Err("a tube without section");
    }
    let follows = tube.vertical == Vertical::AboveTerrain && !ground.is_empty();
    let mut axis = if follows { densified(&tube.axis, STEP_M) } else { tube.axis.clone() };
    axis.iter_mut().for_each(|v| *v = grounded(ground, *v, tube.vertical));
    axis.dedup_by(|b, a| a.distance(*b) < 1e-3);
    if axis.len() < 2 {
        return Err("a tube without length");
    }
    // What follows the terrain was cut finely; a hand's breadth of straightness saves most of it again.
    let tolerance = if follows { detail.tolerance_m().max(0.03) } else { detail.tolerance_m() };
    Ok(simplify_path(&axis, tolerance))
}

/// The path with no piece longer than `step_m`.
pub(super) fn densified(path: &[DVec3], step_m: f64) -> Vec<DVec3> {
    let length: f64 = path.windows(2).map(|w| w[0].distance(w[1])).sum();
    let step = step_m.max(length / MOST_PIECES as f64);
    let mut dense: Vec<DVec3> = path.first().copied().into_iter().collect();
    for pair in path.windows(2) {
        let pieces = (pair[0].distance(pair[1]) / step).ceil().max(1.0) as usize;
        dense.extend((1..=pieces).map(|i| pair[0].lerp(pair[1], i as f64 / pieces as f64)));
    }
    dense
}

fn bends(before: DVec3, at: DVec3, after: DVec3) -> bool {
    (at - before).normalize_or_zero().dot((after - at).normalize_or_zero()) < 0.9995
}

/// Right and up of a section that looks along `along`, upright where it can be.
fn frame(along: DVec3) -> (DVec3, DVec3) {
    let right = along.cross(DVec3::Z).try_normalize().unwrap_or(DVec3::X);
    (right, right.cross(along).normalize_or(DVec3::Y))
}

/// Turn that brings x along `direction` and keeps z as upright as possible.
fn upright(direction: DVec3) -> DQuat {
    let (right, up) = frame(direction);
    DQuat::from_mat3(&DMat3::from_cols(direction, -right, up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_turned_along_its_segment_and_stays_upright() {
        for direction in [DVec3::X, DVec3::NEG_Y, DVec3::new(1.0, 2.0, 0.5), DVec3::Z] {
            let direction = direction.normalize();
            let turn = upright(direction);
            assert!((turn * DVec3::X).distance(direction) < 1e-9);
            assert!((turn * DVec3::Y).z.abs() < 1e-9, "level sideways");
            assert!((turn * DVec3::Z).z >= -1e-9);
        }
    }

    #[test]
    fn densifying_keeps_vertices_and_is_bounded() {
        let path = [DVec3::ZERO, DVec3::X * 25.0, DVec3::X * 25.0 + DVec3::Y * 5.0];
        let dense = densified(&path, 10.0);
        assert_eq!(dense.len(), 5);
        assert!(dense.contains(&path[1]));
        assert!(densified(&[DVec3::ZERO, DVec3::X * 1e12], 1.0).len() <= MOST_PIECES + 2);
    }
}
