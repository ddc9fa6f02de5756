//! Sloped roofs over a rectangle.

use glam::{DVec3, Vec2};

use super::{
    polygon::TurnedRect,
    scene::{Look, Scene, Tint},
};
use crate::model::Roof;

/// How far the roof hangs over the walls, metres.
const OVERHANG_M: f64 = 0.35;
/// Metres that one repeat of the roof's texture covers.
const TILE_M: f64 = 2.4;

/// A gable or hip roof with tiles: its lower edge at `eaves`, its ridge `rise` above. `wall` is what gables are made of.
pub(super) fn draw(
    scene: &mut Scene,
    rect: &TurnedRect,
    kind: Roof,
    eaves: f64,
    rise: f64,
    tint: Tint,
    wall: (Look, Tint),
) {
    slopes(scene, (rect, kind), (eaves, rise), OVERHANG_M, (Look::RoofTile, tint), wall);
}

/// The same from afar: no overhang, no tiles.
pub(super) fn draw_plain(
    scene: &mut Scene,
    rect: &TurnedRect,
    kind: Roof,
    eaves: f64,
    rise: f64,
    tint: Tint,
    wall: (Look, Tint),
) {
    slopes(scene, (rect, kind), (eaves, rise), 0.0, (Look::Roof, tint), wall);
}

fn slopes(
    scene: &mut Scene,
    (rect, kind): (&TurnedRect, Roof),
    (eaves, rise): (f64, f64),
    overhang: f64,
    (look, tint): (Look, Tint),
    (wall_look, wall_tint): (Look, Tint),
) {
    // The slope goes on through the overhang, so its edge lies lower than the wall's top.
    let pitch = rise / rect.half_width;
    let edge = eaves - overhang * pitch;
    let wide = TurnedRect { half_length: rect.half_length + overhang, half_width: rect.half_width + overhang, ..*rect };
    let ridge = eaves + rise;
    let corner = |l: f64, w: f64| wide.at(l, w).extend(edge);
    let ridge_share = if kind == Roof::Hip { (1.0 - wide.half_width / wide.half_length).max(0.0) } else { 1.0 };
    let ends = [wide.at(-ridge_share, 0.0).extend(ridge), wide.at(ridge_share, 0.0).extend(ridge)];
    let uv = |at: DVec3, along: DVec3, foot: DVec3| {
        let up = (at - foot).reject_from_normalized(along).length();
        Vec2::new(((at - foot).dot(along) / TILE_M) as f32, (up / TILE_M) as f32)
    };
    let along = rect.along.extend(0.0);
    for side in [-1.0, 1.0] {
        // Seen from outside, the far side runs the other way.
        let (a, b) = (corner(side, side), corner(-side, side));
        let (c, d) = if side < 0.0 { (ends[1], ends[0]) } else { (ends[0], ends[1]) };
        let direction = along * -side;
        let uvs = [a, b, c, d].map(|at| uv(at, direction, a));
        scene.quad(look, [a, b, c, d], uvs, [tint.darker(0.92), tint.darker(0.92), tint, tint]);
    }
    for side in [-1.0, 1.0] {
        let top = if side < 0.0 { ends[0] } else { ends[1] };
        if kind == Roof::Hip {
            let (a, b) = (corner(side, -side), corner(side, side));
            let direction = (b - a).normalize_or_zero();
            scene.facet(look, [a, b, top], [a, b, top].map(|at| uv(at, direction, a)), tint.darker(0.96));
        } else {
            let (a, b) = (rect.at(side, -side).extend(eaves), rect.at(side, side).extend(eaves));
            let top = rect.at(side, 0.0).extend(ridge);
            // The gable's plaster: the texture's plain lower edge.
            scene.facet(wall_look, [a, b, top], [Vec2::new(0.0, 0.01); 3], wall_tint);
        }
    }
    if overhang > 0.0 {
        let under = [corner(-1.0, -1.0), corner(-1.0, 1.0), corner(1.0, 1.0), corner(1.0, -1.0)];
        scene.quad(Look::Roof, under, [Vec2::ZERO; 4], [tint.darker(0.6); 4]);
    }
}
