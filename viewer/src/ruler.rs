//! The depth ruler (深度尺) at the edge of the picture, and the numbers at the metre lines of what a cut opens.
//!
//! The ruler measures the upright through what the middle of the picture shows, so that it can be laid against the picture. From
//! straight above there is no such upright: then it stands for itself, from the eye to the lowest thing, with a mark for the eye.

use bevy_egui::egui::{self, Align2, Color32, CornerRadius, Rect, Shape, Stroke, pos2, vec2};
use glam::{DVec2, DVec3};

use crate::{
    camera::direction_of,
    cut::{Cut, Cuts, Plane},
    navigation::meet_ground,
    overlay::haloed,
    panel::Seen,
    text::Texts,
    theme::{
        self,
        dark::{ACCENT, MUTED, TEXT},
    },
};

/// Width of the ruler with its numbers, points.
const WIDTH: f32 = 56.0;
/// Shorter ones are not drawn, points.
const LEAST_HEIGHT: f32 = 110.0;
/// Numbers stand so far apart, points.
const NUMBER_POINTS: f32 = 24.0;
/// Steeper than this the look has no upright to measure, degrees.
const STEEPEST_DEG: f64 = 62.0;
/// What lies before an eye in the ground is taken to be so far away, metres.
const AHEAD_M: f64 = 30.0;
/// Round steps, metres.
const STEPS: [f64; 13] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
const EARTH: Color32 = Color32::from_rgb(122, 94, 68);
const AIR: Color32 = Color32::from_rgb(150, 178, 196);

/// Heights by the point of the picture where they stand, along the edge.
struct Scale {
    /// Height of the ground where it is measured, metres.
    ground_m: f64,
    /// A height and the height that is one point lower; linear between, or as the eye sees it.
    kind: Kind,
}

enum Kind {
    /// As seen on an upright through this place.
    Seen(DVec3),
    /// From the top of the ruler to its foot.
    Linear { top_m: f64, foot_m: f64 },
}

impl Scale {
    fn of(seen: &Seen<'_>, cuts: &Cuts) -> Self {
        let pose = &seen.viewed.pose;
        let ray = seen.viewed.ray(seen.viewed.size * 0.5);
        let own_ground = seen.city.ground_m(pose.place.truncate());
        if pose.pitch_deg.abs() > STEEPEST_DEG {
            let lowest = seen.city.extent.min.z.min(pose.place.z).min(own_ground - 5.0);
            let highest = pose.place.z.max(own_ground + 2.0);
            let room = (highest - lowest) * 0.04;
            return Self { ground_m: own_ground, kind: Kind::Linear { top_m: highest + room, foot_m: lowest - room } };
        }
        let face = cuts.planes().into_iter().filter_map(|plane| meet_plane(seen, &plane, ray.direction));
        let ground = meet_ground(seen.city, &ray).filter(|_| pose.place.z > own_ground);
        let place = face.min_by(|a, b| a.distance(pose.place).total_cmp(&b.distance(pose.place))).or(ground);
        let place = place.unwrap_or(pose.place + direction_of(pose.heading_deg, 0.0) * AHEAD_M);
        Self { ground_m: seen.city.ground_m(place.truncate()), kind: Kind::Seen(place) }
    }

    /// The height that stands at `y` of the picture.
    fn height_at(&self, y: f32, strip: Rect, seen: &Seen<'_>) -> Option<f64> {
        match self.kind {
            Kind::Linear { top_m, foot_m } => {
                let share = f64::from((y - strip.top()) / strip.height());
                Some(top_m + (foot_m - top_m) * share)
            }
            Kind::Seen(place) => {
                let pixel = bevy::math::Vec2::new(seen.stage.center().x, y) * seen.point_px;
                let ray = seen.viewed.ray(pixel);
                let ahead = direction_of(seen.viewed.pose.heading_deg, 0.0);
                let towards = ray.direction.dot(ahead);
                (towards > 0.03).then(|| ray.from.z + ray.direction.z * ((place - ray.from).dot(ahead) / towards))
            }
        }
    }

    /// Where a height stands within the strip.
    fn y_of(&self, z: f64, strip: Rect, seen: &Seen<'_>) -> Option<f32> {
        let y = match self.kind {
            Kind::Linear { top_m, foot_m } => strip.top() + ((z - top_m) / (foot_m - top_m)) as f32 * strip.height(),
            Kind::Seen(place) => seen.viewed.pixel(place.with_z(z))?.0.y / seen.point_px,
        };
        (strip.top()..=strip.bottom()).contains(&y).then_some(y)
    }
}

/// Where the middle of the picture meets a face that looks at the eye.
fn meet_plane(seen: &Seen<'_>, plane: &Plane, direction: DVec3) -> Option<DVec3> {
    let eye = seen.viewed.pose.place;
    let (before, towards) = ((eye - plane.at).dot(plane.normal), direction.dot(plane.normal));
    let is_upright = plane.normal.z.abs() < 0.5;
    (is_upright && before < 0.0 && towards > 0.05).then(|| eye + direction * (-before / towards))
}

/// The step of numbers for so many points a metre.
fn step_for(points_a_metre: f64) -> f64 {
    STEPS.into_iter().find(|step| step * points_a_metre >= f64::from(NUMBER_POINTS)).unwrap_or(STEPS[STEPS.len() - 1])
}

/// The longest free stretch at the right edge of the picture.
fn free_strip(screen: Rect, taken: &[Rect]) -> Option<Rect> {
    let edge = Rect::from_min_max(
        pos2(screen.right() - 10.0 - WIDTH, screen.top() + 14.0),
        pos2(screen.right() - 10.0, screen.bottom() - 14.0),
    );
    let mut blocks: Vec<(f32, f32)> = taken
        .iter()
        .filter(|rect| rect.intersects(edge))
        .map(|rect| (rect.top() - 12.0, rect.bottom() + 12.0))
        .collect();
    blocks.push((edge.bottom(), f32::INFINITY));
    blocks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut from, mut best) = (edge.top(), (0.0, 0.0));
    for (top, bottom) in blocks {
        if top - from > best.1 - best.0 {
            best = (from, top);
        }
        from = from.max(bottom);
    }
    (best.1 - best.0 >= LEAST_HEIGHT).then(|| Rect::from_min_max(pos2(edge.left(), best.0), pos2(edge.right(), best.1)))
}

/// Whether a cut opens the ground; one level above it does not.
pub fn is_wanted(cuts: &Cuts, seen: &Seen<'_>) -> bool {
    let middle = meet_ground(seen.city, &seen.viewed.ray(seen.viewed.size * 0.5));
    let ground = seen.city.ground_m(middle.unwrap_or(seen.viewed.pose.place).truncate());
    cuts.list().iter().any(|cut| !matches!(cut, Cut::Level { z } if *z > ground))
}

/// Draws the ruler at the right edge where nothing else stands; the box that it took.
pub fn draw(ctx: &egui::Context, cuts: &Cuts, seen: &Seen<'_>, texts: &Texts, taken: &[Rect]) -> Option<Rect> {
    let whole = free_strip(seen.stage, taken)?;
    let painter = seen.painter(ctx);
    let strip = Rect::from_min_max(whole.min + vec2(0.0, 24.0), whole.max - vec2(0.0, 8.0));
    let scale = Scale::of(seen, cuts);
    painter.rect_filled(whole, CornerRadius::same(5), Color32::from_rgba_unmultiplied(13, 19, 25, 205));
    let title = pos2(whole.center().x, whole.top() + 4.0);
    painter.text(title, Align2::CENTER_TOP, texts.get("ruler"), theme::font(11.0), MUTED);
    // The bar: air above the ground, earth below it.
    let bar = Rect::from_min_max(pos2(strip.right() - 14.0, strip.top()), pos2(strip.right() - 7.0, strip.bottom()));
    let ground_y = scale.y_of(scale.ground_m, strip, seen);
    let is_all_air = scale.height_at(strip.bottom(), strip, seen).is_some_and(|z| z > scale.ground_m);
    let border = ground_y.unwrap_or(if is_all_air { strip.bottom() } else { strip.top() });
    painter.rect_filled(Rect::from_min_max(bar.min, pos2(bar.right(), border)), CornerRadius::ZERO, AIR);
    painter.rect_filled(Rect::from_min_max(pos2(bar.left(), border), bar.max), CornerRadius::ZERO, EARTH);
    // The step goes by the middle of the strip; where perspective crowds, numbers are left out.
    let middle = strip.center().y;
    let metres = scale.height_at(middle - 20.0, strip, seen).zip(scale.height_at(middle + 20.0, strip, seen));
    let (high, low) = metres?;
    let step = step_for(40.0 / (high - low).abs().max(1e-6));
    let ends = (scale.height_at(strip.top(), strip, seen), scale.height_at(strip.bottom(), strip, seen));
    let (top_m, foot_m) = (ends.0.unwrap_or(high + step * 40.0), ends.1.unwrap_or(low - step * 40.0));
    let number = |z: f64| ((scale.ground_m - z) / step).round() as i64;
    let mut last_y = f32::NEG_INFINITY;
    for n in number(top_m).max(-2000)..=number(foot_m).min(2000) {
        let depth = n as f64 * step;
        let Some(y) = scale.y_of(scale.ground_m - depth, strip, seen) else { continue };
        let is_ground = n == 0;
        let stroke = Stroke::new(if is_ground { 2.0 } else { 1.0 }, if is_ground { ACCENT } else { TEXT });
        painter.line_segment([pos2(bar.left() - if is_ground { 7.0 } else { 4.0 }, y), pos2(bar.right(), y)], stroke);
        if y - last_y >= NUMBER_POINTS * 0.62 || is_ground {
            last_y = y;
            let digits = usize::from(step < 1.0);
            let text = if is_ground { "0".to_owned() } else { format!("{:+.digits$}", -depth) };
            let colour = if is_ground { ACCENT } else { TEXT };
            painter.text(
                pos2(bar.left() - 9.0, y),
                Align2::RIGHT_CENTER,
                text.replace('-', "−"),
                theme::font(11.5),
                colour,
            );
        }
    }
    if let (Kind::Linear { .. }, Some(y)) = (&scale.kind, scale.y_of(seen.viewed.pose.place.z, strip, seen)) {
        let at = pos2(bar.right() + 1.0, y);
        let mark = vec![at, at + vec2(7.0, -5.0), at + vec2(7.0, 5.0)];
        painter.add(Shape::convex_polygon(mark, ACCENT, Stroke::NONE));
    }
    Some(whole)
}

/// A column of numbers on a face: a place in plan where it stands, down to which depth, and to which side the numbers lean.
struct Column {
    at: DVec2,
    depth_m: f64,
}

/// Writes the metres below the ground at the lines of the faces that cuts open, and the level of the ground above each column.
pub fn draw_faces(ctx: &egui::Context, cuts: &Cuts, seen: &Seen<'_>, taken: &[Rect]) {
    let painter = seen.painter(ctx);
    for column in columns(cuts, seen) {
        let ground = seen.city.ground_m(column.at);
        let point = |below: f64| {
            let (pixel, _) = seen.viewed.pixel(column.at.extend(ground - below))?;
            Some(pos2(pixel.x, pixel.y) / seen.point_px)
        };
        let (Some(top), Some(next)) = (point(0.0), point(1.0)) else { continue };
        let step = step_for(f64::from(top.distance(next)) * 1.3).max(1.0);
        let is_free = |at: egui::Pos2| {
            seen.stage.shrink(8.0).contains(at) && !taken.iter().any(|rect| rect.expand(4.0).contains(at))
        };
        if is_free(top) {
            // The mark of a level as on drawings (标高符号).
            let [a, b] = [top + vec2(-5.0, -8.0), top + vec2(5.0, -8.0)];
            painter.add(Shape::closed_line(vec![top, a, b], Stroke::new(1.2, TEXT)));
            haloed(&painter, top + vec2(0.0, -9.0), Align2::CENTER_BOTTOM, &format!("{ground:.2}"), 11.0, TEXT);
        }
        for n in 1..=60 {
            let below = f64::from(n) * step;
            let Some(at) = point(below).filter(|at| is_free(*at)) else { continue };
            if below > column.depth_m + 1e-6 {
                break;
            }
            haloed(&painter, at, Align2::CENTER_CENTER, &format!("−{below}"), 11.5, Color32::from_rgb(250, 236, 206));
        }
    }
}

/// Where numbers stand: on each upright face that looks at the eye near both sides of the picture, and on the far wall of the trench.
fn columns(cuts: &Cuts, seen: &Seen<'_>) -> Vec<Column> {
    let mut columns = Vec::new();
    for plane in cuts.planes() {
        for share in [0.16_f32, 0.5, 0.84] {
            let pixel = seen.viewed.size * bevy::math::Vec2::new(share, 0.5);
            let Some(met) = meet_plane(seen, &plane, seen.viewed.ray(pixel).direction) else { continue };
            // A little within what is left.
            let at = met.truncate() + plane.normal.truncate() * 0.01;
            let is_there = seen.city.ground.is_empty() || seen.city.ground.height_at(at).is_some();
            if is_there && !cuts.takes(at.extend(seen.city.ground_m(at) - 0.5)) && !cuts.digs(at) {
                columns.push(Column { at, depth_m: f64::INFINITY });
            }
        }
    }
    if let Some((path, width_m, depth_m)) = cuts.trench() {
        let eye = seen.viewed.pose.place.truncate();
        for leg in path.windows(2) {
            let along = (leg[1] - leg[0]).normalize_or_zero();
            let side = along.perp() * if (eye - leg[0]).dot(along.perp()) > 0.0 { -1.0 } else { 1.0 };
            for share in [0.12, 0.88] {
                let at = leg[0].lerp(leg[1], share) + side * (width_m * 0.5 - 0.03);
                if !cuts.takes(at.extend(seen.city.ground_m(at))) {
                    columns.push(Column { at, depth_m });
                }
            }
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_numbers_keep_apart() {
        assert_eq!([step_for(30.0), step_for(12.0), step_for(3.0), step_for(400.0)], [1.0, 2.0, 10.0, 0.1]);
        for points in [0.3, 1.7, 22.0, 90.0] {
            assert!(step_for(points) * points >= f64::from(NUMBER_POINTS));
        }
    }

    #[test]
    fn the_ruler_stands_where_nothing_else_does() {
        let screen = Rect::from_min_max(pos2(0.0, 0.0), pos2(1280.0, 720.0));
        let alarms = Rect::from_min_max(pos2(1020.0, 16.0), pos2(1264.0, 200.0));
        let compass = Rect::from_min_max(pos2(1216.0, 656.0), pos2(1264.0, 704.0));
        let strip = free_strip(screen, &[alarms, compass]).expect("there is room between");
        assert!(strip.top() > 200.0 && strip.bottom() < 656.0 && strip.height() > 400.0, "{strip:?}");
        assert_eq!(free_strip(screen, &[screen]), None);
    }
}
