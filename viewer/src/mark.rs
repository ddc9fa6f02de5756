//! Measurements and annotations as they are drawn over the city: lines with a dark casing, labels that keep clear of the
//! panels and of each other, the same in the window and in a snapshot.

use bevy_egui::egui::{
    self, Align2, Color32, CornerRadius, Mesh, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, Vec2, pos2, vec2,
};
use glam::{DVec2, DVec3};

use crate::{
    annotation::Annotation,
    desk::{Desk, Tool},
    measure::{self, Figure, MeasureKind, Measurement},
    overlay::haloed,
    panel::Seen,
    snap::Catch,
    text::Texts,
    theme::{
        self,
        dark::{ACCENT, MUTED, TEXT},
    },
};

/// Lines of a measurement.
const LINE: Color32 = Color32::from_rgb(255, 220, 110);
/// Polygons of a measurement: deep enough to be seen on bright walls.
const FILL: Color32 = Color32::from_rgba_unmultiplied_const(255, 160, 20, 110);
/// Lines that only help to see: legs, drops.
const HELP_LINE: Color32 = Color32::from_rgb(214, 224, 230);
/// Plate of an annotation.
const PLATE: Color32 = Color32::from_rgb(246, 248, 249);
/// Text on it.
const INK: Color32 = Color32::from_rgb(24, 32, 40);
/// Nearest distance that lines are drawn at, metres.
const NEAR_M: f64 = 0.5;
/// Paths of more legs get no length at each leg.
const MAX_LEG_LABELS: usize = 24;
/// Legs shorter than this on the screen get no length, points.
const MIN_LEG_POINTS: f32 = 54.0;
/// Widest text of an annotation before it is broken, points.
const MAX_TEXT_WIDTH: f32 = 220.0;

/// Where things of the city are on the screen.
pub(crate) struct Screen<'a> {
    pub(crate) seen: &'a Seen<'a>,
    pub(crate) painter: Painter,
}

impl Screen<'_> {
    pub(crate) fn point(&self, place: DVec3) -> Option<Pos2> {
        let (pixel, _) = self.seen.viewed.pixel(place)?;
        Some(self.seen.point(pixel)).filter(|point| point.x.abs() < 1e5 && point.y.abs() < 1e5)
    }

    /// The part of a line that is before the eye.
    pub(crate) fn segment(&self, a: DVec3, b: DVec3) -> Option<[Pos2; 2]> {
        let pose = &self.seen.viewed.pose;
        let depth = |place: DVec3| (place - pose.place).dot(pose.direction()) - NEAR_M;
        let (depth_a, depth_b) = (depth(a), depth(b));
        if depth_a < 0.0 && depth_b < 0.0 {
            return None;
        }
        let at = |share: f64| a + (b - a) * share;
        let (from, to) = match (depth_a < 0.0, depth_b < 0.0) {
            (true, _) => (at(depth_a / (depth_a - depth_b)), b),
            (_, true) => (a, at(depth_a / (depth_a - depth_b))),
            _ => (a, b),
        };
        Some([self.point(from)?, self.point(to)?])
    }

    fn line(&self, a: DVec3, b: DVec3, colour: Color32, width: f32) {
        if let Some(ends) = self.segment(a, b) {
            self.painter.line_segment(ends, Stroke::new(width + 2.4, Color32::from_black_alpha(120)));
            self.painter.line_segment(ends, Stroke::new(width, colour));
        }
    }

    fn dashes(&self, a: DVec3, b: DVec3, colour: Color32) {
        if let Some(ends) = self.segment(a, b) {
            self.painter.extend(Shape::dashed_line(&ends, Stroke::new(3.2, Color32::from_black_alpha(90)), 6.0, 4.0));
            self.painter.extend(Shape::dashed_line(&ends, Stroke::new(1.3, colour), 6.0, 4.0));
        }
    }

    fn dot(&self, place: DVec3, colour: Color32) {
        if let Some(point) = self.point(place) {
            self.painter.circle_filled(point, 4.6, Color32::from_black_alpha(170));
            self.painter.circle_filled(point, 3.2, colour);
        }
    }

    /// A polygon, if all of it is before the eye.
    fn fill(&self, corners: &[DVec3], normal: DVec3, colour: Color32) {
        let mut mesh = Mesh::default();
        for triangle in measure::triangles(corners, normal) {
            for corner in triangle {
                let Some(point) = self.point(corner) else { return };
                mesh.indices.push(mesh.vertices.len() as u32);
                mesh.colored_vertex(point, colour);
            }
        }
        self.painter.add(Shape::mesh(mesh));
    }
}

/// Draws everything on the desk; says which boxes on the screen it took.
pub fn draw(ctx: &egui::Context, desk: &Desk, seen: &Seen<'_>, texts: &Texts, taken: &[Rect]) -> Vec<Rect> {
    let screen = Screen { seen, painter: seen.painter(ctx) };
    let mut used = taken.to_vec();
    for measurement in &desk.notes.measurements {
        draw_lines(&screen, measurement);
    }
    let draft = draft(desk);
    if let Some(draft) = &draft {
        draw_lines(&screen, draft);
    }
    draw_snap(&screen, desk);
    for annotation in desk.notes.annotations.iter().chain(&desk.writing) {
        draw_annotation(&screen, annotation, &mut used);
    }
    // The lengths of legs stand where the legs are; labels keep clear of them.
    for measurement in desk.notes.measurements.iter().chain(&draft).filter(|m| m.kind == MeasureKind::Length) {
        draw_legs(&screen, &measurement.points, &mut used);
    }
    for measurement in desk.notes.measurements.iter().chain(&draft) {
        draw_label(&screen, desk, measurement, texts, &mut used);
    }
    used.split_off(taken.len())
}

/// What would be measured if the next click came now.
fn draft(desk: &Desk) -> Option<Measurement> {
    let Some(Tool::Measure(kind)) = desk.tool else { return None };
    let mut points = desk.draft.clone();
    if let Some(snap) = desk.hover
        && points.len() < *kind.points().end()
        && points.last().is_none_or(|last| last.distance(snap.place) > 1e-4)
    {
        points.push(snap.place);
    }
    (!points.is_empty() && kind != MeasureKind::Body).then_some(Measurement {
        kind,
        points,
        level_m: None,
        object: None,
    })
}

fn draw_snap(screen: &Screen<'_>, desk: &Desk) {
    let Some(snap) = desk.hover else { return };
    let Some(point) = screen.point(snap.place) else { return };
    let painter = &screen.painter;
    let dark = Stroke::new(3.6, Color32::from_black_alpha(150));
    let bright = Stroke::new(1.6, ACCENT);
    for stroke in [dark, bright] {
        match snap.catch {
            Catch::Corner => {
                let rect = Rect::from_center_size(point, Vec2::splat(13.0));
                painter.rect_stroke(rect, CornerRadius::ZERO, stroke, StrokeKind::Middle);
            }
            Catch::Edge => {
                let [a, b, c] = [vec2(0.0, -7.0), vec2(6.5, 5.0), vec2(-6.5, 5.0)].map(|offset| point + offset);
                painter.add(Shape::closed_line(vec![a, b, c], stroke));
            }
            Catch::Surface => {
                painter.line_segment([point - vec2(7.0, 0.0), point + vec2(7.0, 0.0)], stroke);
                painter.line_segment([point - vec2(0.0, 7.0), point + vec2(0.0, 7.0)], stroke);
            }
        }
    }
}

fn closed(points: &[DVec3]) -> impl Iterator<Item = (DVec3, DVec3)> + '_ {
    points.iter().zip(points.iter().cycle().skip(1)).map(|(a, b)| (*a, *b))
}

fn draw_lines(screen: &Screen<'_>, measurement: &Measurement) {
    let points = &measurement.points;
    match measurement.kind {
        kind if kind.is_polygon() && points.len() >= 3 => {
            let normal = if kind == MeasureKind::Volume { DVec3::Z } else { measure::normal(points) };
            screen.fill(points, normal, FILL);
            if kind == MeasureKind::Volume {
                let level = measurement.level();
                let foot: Vec<DVec3> = points.iter().map(|point| point.with_z(level)).collect();
                closed(&foot).for_each(|(a, b)| screen.dashes(a, b, HELP_LINE));
                points.iter().zip(&foot).for_each(|(top, foot)| screen.dashes(*top, *foot, HELP_LINE));
            }
            closed(points).for_each(|(a, b)| screen.line(a, b, LINE, 2.0));
        }
        MeasureKind::Height | MeasureKind::Slope if points.len() == 2 => {
            let (low, high) = if points[0].z <= points[1].z { (points[0], points[1]) } else { (points[1], points[0]) };
            let corner = high.with_z(low.z);
            let (upright, sloping) = (high - corner, high - low);
            let is_height = measurement.kind == MeasureKind::Height;
            screen.dashes(low, corner, HELP_LINE);
            if upright.length() > 1e-3 {
                if is_height { screen.line(corner, high, LINE, 2.0) } else { screen.dashes(corner, high, HELP_LINE) }
            }
            if sloping.length() > 1e-3 {
                if is_height { screen.dashes(low, high, HELP_LINE) } else { screen.line(low, high, LINE, 2.0) }
            }
        }
        MeasureKind::Depth => {
            if let Some(ground) = points
                .first()
                .and_then(|point| Some(point.with_z(screen.seen.city.ground.height_at(point.truncate())?)))
            {
                screen.line(points[0], ground, LINE, 2.0);
                let reach = ((ground - points[0]).length() * 0.25).clamp(0.4, 6.0);
                for direction in [DVec3::X, DVec3::Y] {
                    screen.line(ground - direction * reach, ground + direction * reach, HELP_LINE, 1.4);
                }
            }
        }
        MeasureKind::Angle if points.len() == 3 => {
            screen.line(points[1], points[0], LINE, 2.0);
            screen.line(points[1], points[2], LINE, 2.0);
            draw_arc(screen, points[0] - points[1], points[1], points[2] - points[1]);
        }
        _ => points.windows(2).for_each(|pair| screen.line(pair[0], pair[1], LINE, 2.0)),
    }
    points.iter().for_each(|point| screen.dot(*point, LINE));
}

/// The arc of an angle, at a third of its shorter leg.
fn draw_arc(screen: &Screen<'_>, from: DVec3, corner: DVec3, to: DVec3) {
    let radius = from.length().min(to.length()) / 3.0;
    let (a, b) = (from.normalize_or_zero(), to.normalize_or_zero());
    let side = (b - a * a.dot(b)).normalize_or_zero();
    let angle = a.dot(b).clamp(-1.0, 1.0).acos();
    let at = |k: u32| {
        let (sin, cos) = (angle * f64::from(k) / 24.0).sin_cos();
        corner + (a * cos + side * sin) * radius
    };
    (0..24).for_each(|k| screen.line(at(k), at(k + 1), HELP_LINE, 1.4));
}

/// What a label is about: the place it stands by.
fn anchor_of(measurement: &Measurement) -> Option<DVec3> {
    let points = &measurement.points;
    Some(match measurement.kind {
        MeasureKind::Length => {
            // Half way along.
            let whole = measure::Length::of(points).true_m;
            let mut left = whole * 0.5;
            let mut place = *points.first()?;
            for pair in points.windows(2) {
                let leg = (pair[1] - pair[0]).length();
                place = pair[0] + (pair[1] - pair[0]) * (left / leg.max(1e-9)).clamp(0.0, 1.0);
                if left <= leg {
                    break;
                }
                left -= leg;
            }
            place
        }
        MeasureKind::Height if points.len() == 2 => {
            let high = if points[0].z > points[1].z { points[0] } else { points[1] };
            high.with_z((points[0].z + points[1].z) * 0.5)
        }
        MeasureKind::Angle if points.len() == 3 => points[1],
        _ => points.iter().sum::<DVec3>() / points.len().max(1) as f64,
    })
}

/// A free place for a box of `size` near `anchor`; the nearest first.
fn free_place(anchor: Pos2, size: Vec2, screen: Rect, used: &[Rect]) -> Option<Rect> {
    let is_free =
        |rect: &Rect| screen.contains_rect(*rect) && !used.iter().any(|other| other.expand(3.0).intersects(*rect));
    let directions = [
        vec2(0.0, -1.0),
        vec2(1.0, -0.7),
        vec2(-1.0, -0.7),
        vec2(1.0, 0.0),
        vec2(-1.0, 0.0),
        vec2(1.0, 0.8),
        vec2(-1.0, 0.8),
        vec2(0.0, 1.0),
    ];
    [14.0_f32, 34.0, 60.0, 96.0, 150.0, 220.0, 300.0].into_iter().find_map(|reach| {
        directions.into_iter().find_map(|direction| {
            let centre = anchor + direction * reach + vec2(direction.x * size.x * 0.5, direction.y * size.y * 0.5);
            Some(Rect::from_center_size(centre, size)).filter(is_free)
        })
    })
}

/// The lines of a label: the figure that was asked for, and the others.
fn lines_of(desk: &Desk, measurement: &Measurement, seen: &Seen<'_>, texts: &Texts) -> Vec<(String, String)> {
    let body = measurement.object.as_ref().and_then(|id| desk.bodies.get(id));
    let ground = |place: DVec2| seen.city.ground.height_at(place);
    match measurement.figures(ground, body) {
        Ok(figures) => {
            let mut lines: Vec<(String, String)> =
                figures.iter().map(|figure: &Figure| (texts.get(figure.key), figure.text())).collect();
            if let Some(Ok(solid)) = body
                && solid.has_floor_added
            {
                lines.push((texts.get("figure-floor"), String::new()));
            }
            lines
        }
        // Until there are enough points the lines say enough.
        Err("measure-more") => Vec::new(),
        Err(reason) => vec![(texts.get(reason), String::new())],
    }
}

fn draw_label(screen: &Screen<'_>, desk: &Desk, measurement: &Measurement, texts: &Texts, used: &mut Vec<Rect>) {
    let lines = lines_of(desk, measurement, screen.seen, texts);
    let Some(anchor) = anchor_of(measurement).and_then(|place| screen.point(place)) else { return };
    if lines.is_empty() || !screen.seen.stage.contains(anchor) {
        return;
    }
    let painter = &screen.painter;
    let sizes = |row: usize| if row == 0 { (11.5, 15.0) } else { (10.5, 11.5) };
    let rows: Vec<_> = lines
        .into_iter()
        .enumerate()
        .map(|(row, (name, value))| {
            let (small, large) = sizes(row);
            let name = painter.layout(name, theme::font(small), MUTED, MAX_TEXT_WIDTH);
            let value = painter.layout_no_wrap(value, theme::font(large), if row == 0 { LINE } else { TEXT });
            (name, value)
        })
        .collect();
    let names = rows.iter().map(|(name, _)| name.size().x).fold(0.0, f32::max);
    let values = rows.iter().map(|(_, value)| value.size().x).fold(0.0, f32::max);
    let gap = if values > 0.0 { 12.0 } else { 0.0 };
    let height: f32 = rows.iter().map(|(name, value)| name.size().y.max(value.size().y) + 1.0).sum();
    let size = vec2(names + gap + values + 18.0, height + 9.0);
    let bounds = screen.seen.stage.shrink(6.0);
    let Some(rect) = free_place(anchor, size, bounds, used) else { return };
    let foot = anchor.clamp(rect.min, rect.max);
    painter.line_segment([anchor, foot], Stroke::new(2.6, Color32::from_black_alpha(90)));
    painter.line_segment([anchor, foot], Stroke::new(1.1, LINE));
    painter.rect_filled(rect, CornerRadius::same(5), Color32::from_rgba_unmultiplied(13, 19, 25, 236));
    painter.rect_stroke(rect, CornerRadius::same(5), Stroke::new(1.0, LINE.gamma_multiply(0.6)), StrokeKind::Inside);
    let mut top = rect.top() + 4.0;
    for (name, value) in rows {
        let row = name.size().y.max(value.size().y);
        let name_at = pos2(rect.left() + 9.0, top + row - name.size().y);
        let value_at = pos2(rect.right() - 9.0 - value.size().x, top + row - value.size().y);
        painter.galley(name_at, name, MUTED);
        painter.galley(value_at, value, TEXT);
        top += row + 1.0;
    }
    used.push(rect);
}

/// The length of each leg of a path, where there is room for it.
fn draw_legs(screen: &Screen<'_>, points: &[DVec3], used: &mut Vec<Rect>) {
    if points.len() < 3 || points.len() > MAX_LEG_LABELS + 1 {
        return;
    }
    for pair in points.windows(2) {
        let Some([a, b]) = screen.segment(pair[0], pair[1]) else { continue };
        let middle = a + (b - a) * 0.5;
        let figure = Figure { key: "", value: (pair[1] - pair[0]).length(), unit: measure::Unit::Metre };
        let text = figure.text();
        let size = screen.painter.layout_no_wrap(text.clone(), theme::font(11.0), TEXT).size();
        let rect = Rect::from_center_size(middle - vec2(0.0, 11.0), size);
        if a.distance(b) >= MIN_LEG_POINTS && !used.iter().any(|other| other.intersects(rect)) {
            haloed(&screen.painter, rect.center(), Align2::CENTER_CENTER, &text, 11.0, LINE);
            used.push(rect);
        }
    }
}

/// A light plate on an upright leader, so that nobody takes it for a reading or a figure.
fn draw_annotation(screen: &Screen<'_>, annotation: &Annotation, used: &mut Vec<Rect>) {
    let Some(anchor) = screen.point(annotation.place).filter(|anchor| screen.seen.stage.contains(*anchor)) else {
        return;
    };
    let painter = &screen.painter;
    let text = if annotation.text.is_empty() { "…".to_owned() } else { annotation.text.clone() };
    let galley = painter.layout(text, theme::font(13.0), INK, MAX_TEXT_WIDTH);
    let size = galley.size() + vec2(16.0, 9.0);
    let bounds = screen.seen.stage.shrink(6.0);
    let is_free =
        |rect: &Rect| bounds.contains_rect(*rect) && !used.iter().any(|other| other.expand(3.0).intersects(*rect));
    let place = [44.0_f32, 72.0, 104.0, 140.0, 190.0, 250.0].into_iter().find_map(|lift| {
        [0.0_f32, 0.9, -0.9].into_iter().find_map(|side| {
            // The leader stands at the plate's left end, as a flag on its pole.
            let left = anchor.x - 10.0 + side * (size.x * 0.5 - 10.0) - size.x * 0.5 * side.abs();
            Some(Rect::from_min_size(pos2(left, anchor.y - lift - size.y), size)).filter(is_free)
        })
    });
    let rect = place.or_else(|| free_place(anchor, size, bounds, used));
    let Some(rect) = rect else {
        screen.dot(annotation.place, PLATE);
        return;
    };
    let foot = pos2(
        anchor.x.clamp(rect.left() + 6.0, rect.right() - 6.0),
        if rect.top() > anchor.y { rect.top() } else { rect.bottom() },
    );
    painter.line_segment([anchor, foot], Stroke::new(3.4, Color32::from_black_alpha(110)));
    painter.line_segment([anchor, foot], Stroke::new(1.6, PLATE));
    painter.circle_filled(anchor, 4.8, Color32::from_black_alpha(150));
    painter.circle_filled(anchor, 3.2, PLATE);
    painter.rect_filled(rect.expand(1.5), CornerRadius::same(5), Color32::from_black_alpha(90));
    painter.rect_filled(rect, CornerRadius::same(4), PLATE);
    painter.galley(rect.min + vec2(8.0, 4.5), galley, INK);
    used.push(rect);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_clear_of_panels_and_of_each_other() {
        let screen = Rect::from_min_max(pos2(0.0, 0.0), pos2(800.0, 600.0));
        let mut used = vec![Rect::from_min_max(pos2(300.0, 200.0), pos2(500.0, 320.0))];
        for _ in 0..8 {
            let rect = free_place(pos2(400.0, 330.0), vec2(120.0, 40.0), screen, &used).expect("there is room");
            assert!(screen.contains_rect(rect) && used.iter().all(|other| !other.intersects(rect)));
            used.push(rect);
        }
        let crowd = [screen];
        assert_eq!(free_place(pos2(400.0, 330.0), vec2(120.0, 40.0), screen, &crowd), None);
    }

    #[test]
    fn the_label_of_a_path_stands_half_way() {
        let points = vec![DVec3::ZERO, DVec3::X * 10.0, DVec3::new(10.0, 20.0, 0.0)];
        let measurement = Measurement { kind: MeasureKind::Length, points, level_m: None, object: None };
        assert_eq!(anchor_of(&measurement), Some(DVec3::new(10.0, 5.0, 0.0)));
    }
}
