//! Curves as vertices.

use glam::{DVec2, DVec3, DVec4};

/// Step of arcs, radians.
pub(crate) const STEP: f64 = std::f64::consts::PI / 36.0;
/// Largest distance between a spline and its vertices' line, units of the drawing; less for small splines.
const TOLERANCE: f64 = 0.01;
/// A spline's largest degree; AutoCAD takes 25.
const MAX_DEGREE: usize = 25;
/// Control points of one spline.
const MAX_CONTROLS: usize = 100_000;
/// Vertices that one spline becomes.
const MAX_VERTICES: usize = 300_000;
/// A span of a spline is halved so often at least and at most.
const HALVED: std::ops::Range<u32> = 2..10;

/// Places along a circle.
pub(crate) fn arc(centre: DVec3, radius: f64, from: f64, sweep: f64) -> Vec<DVec3> {
    ellipse(centre, DVec3::X * radius, DVec3::Y * radius, from, sweep)
}

/// Places along an ellipse, given by its half axes and angles of its parameter.
pub(crate) fn ellipse(centre: DVec3, major: DVec3, minor: DVec3, from: f64, sweep: f64) -> Vec<DVec3> {
    let steps = (sweep.abs() / STEP).ceil().clamp(2.0, 720.0) as usize;
    let at = |i: usize| {
        let (sin, cos) = (from + sweep * i as f64 / steps as f64).sin_cos();
        centre + major * cos + minor * sin
    };
    (0..=steps).map(at).collect()
}

/// From one angle on to the other, counter-clockwise; all around where they are the same.
pub(crate) fn sweep(from: f64, to: f64) -> f64 {
    match (to - from).rem_euclid(std::f64::consts::TAU) {
        0.0 => std::f64::consts::TAU,
        sweep => sweep,
    }
}

/// A path whose segments may be arcs: the bulge is the tangent of a quarter of the angle.
pub(crate) fn bulged(vertices: &[(DVec3, f64)], is_closed: bool) -> Vec<DVec3> {
    let mut path = Vec::with_capacity(vertices.len());
    for (index, (from, bulge)) in vertices.iter().enumerate() {
        path.push(*from);
        let next = vertices.get(index + 1).or_else(|| vertices.first().filter(|_| is_closed));
        let Some((to, _)) = next.filter(|(to, _)| *bulge != 0.0 && to != from) else { continue };
        let sweep = 4.0 * bulge.atan();
        let chord = (*to - *from).truncate();
        let radius = chord.length() / (2.0 * (sweep / 2.0).sin().abs());
        let to_centre = chord.perp() / chord.length() * (radius * (sweep / 2.0).cos()) * sweep.signum();
        let centre = from.truncate() + chord / 2.0 + to_centre;
        let start = (from.truncate() - centre).to_angle();
        let along = arc(centre.extend(from.z), radius, start, sweep);
        if along.iter().all(|v| v.is_finite()) {
            path.extend_from_slice(&along[1..along.len() - 1]);
        }
    }
    path
}

/// A rational B-spline (NURBS).
#[derive(Clone, Debug, Default)]
pub(crate) struct Spline {
    pub degree: usize,
    pub knots: Vec<f64>,
    pub controls: Vec<DVec3>,
    /// One for each control point, or none.
    pub weights: Vec<f64>,
}

impl Spline {
    /// Vertices along it, nowhere farther from it than a hundredth of a unit.
    pub fn path(&self) -> Result<Vec<DVec3>, String> {
        let (count, degree) = (self.controls.len(), self.degree);
        if !(1..=MAX_DEGREE).contains(&degree) || count <= degree || count > MAX_CONTROLS {
            return Err(format!("a spline of degree {degree} with {count} control points"));
        }
        if self.knots.len() != count + degree + 1 {
            return Err(format!("a spline of {} knots where {} belong", self.knots.len(), count + degree + 1));
        }
        if !self.knots.is_sorted() || self.knots.iter().any(|knot| !knot.is_finite()) {
            return Err("a spline whose knots do not rise".into());
        }
        if !(self.weights.is_empty() || self.weights.len() == count) || self.weights.iter().any(|w| *w <= 0.0) {
            return Err("a spline whose weights do not fit its control points".into());
        }
        let (low, high) =
            self.controls.iter().fold((DVec3::INFINITY, DVec3::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let tolerance = (low.distance(high) * 1e-4).min(TOLERANCE);
        let mut path = Vec::new();
        for span in degree..count {
            let (from, to) = (self.knots[span], self.knots[span + 1]);
            if from >= to {
                continue;
            }
            let (start, end) = (self.at(span, from), self.at(span, to));
            if path.is_empty() {
                path.push(start);
            }
            self.refine(span, (from, start), (to, end), tolerance, 0, &mut path);
            if path.len() > MAX_VERTICES {
                return Err(format!("a spline of more than {MAX_VERTICES} vertices"));
            }
        }
        if path.len() < 2 || path.iter().any(|v| !v.is_finite()) {
            return Err("a spline without length".into());
        }
        Ok(path)
    }

    /// Puts the vertices after `a` up to `b` onto the path.
    fn refine(
        &self,
        span: usize,
        a: (f64, DVec3),
        b: (f64, DVec3),
        tolerance: f64,
        halved: u32,
        path: &mut Vec<DVec3>,
    ) {
        let middle = (a.0 + b.0) / 2.0;
        let at = self.at(span, middle);
        let is_fine = halved >= HALVED.start && distance(at, a.1, b.1) <= tolerance;
        if is_fine || halved >= HALVED.end {
            path.push(b.1);
            return;
        }
        self.refine(span, a, (middle, at), tolerance, halved + 1, path);
        self.refine(span, (middle, at), b, tolerance, halved + 1, path);
    }

    /// The place at `u` within the span from knot `span` on (de Boor's algorithm).
    fn at(&self, span: usize, u: f64) -> DVec3 {
        let degree = self.degree;
        let mut points = [DVec4::ZERO; MAX_DEGREE + 1];
        for (j, point) in points.iter_mut().enumerate().take(degree + 1) {
            let index = span - degree + j;
            let weight = self.weights.get(index).copied().unwrap_or(1.0);
            *point = (self.controls[index] * weight).extend(weight);
        }
        for round in 1..=degree {
            for j in (round..=degree).rev() {
                let (low, high) = (self.knots[span + j - degree], self.knots[span + 1 + j - round]);
                let share = if high > low { (u - low) / (high - low) } else { 0.0 };
                points[j] = points[j - 1].lerp(points[j], share);
            }
        }
        points[degree].truncate() / points[degree].w
    }
}

/// Vertices along the smooth curve through `fits`: cubic, twice differentiable, by chord lengths, with the given
/// directions at its ends or none bent there.
pub(crate) fn fitted(fits: &[DVec3], from: Option<DVec3>, to: Option<DVec3>) -> Result<Vec<DVec3>, String> {
    let mut places = fits.to_vec();
    places.dedup();
    let count = places.len();
    if !(2..=MAX_CONTROLS).contains(&count) || places.iter().any(|v| !v.is_finite()) {
        return Err(format!("a spline through {count} points"));
    }
    let chords: Vec<f64> = places.windows(2).map(|leg| leg[0].distance(leg[1])).collect();
    // Slopes at the places, by a tridiagonal system: below, diagonal, above, right-hand side.
    let mut rows: Vec<(f64, f64, f64, DVec3)> = Vec::with_capacity(count);
    let end = |direction: Option<DVec3>, chord: f64, leg: DVec3| match direction.and_then(DVec3::try_normalize) {
        Some(direction) => (0.0, 1.0, 0.0, direction),
        None => (1.0, 2.0, 1.0, leg * 3.0 / chord),
    };
    rows.push(end(from, chords[0], places[1] - places[0]));
    rows[0].0 = 0.0;
    for i in 1..count - 1 {
        let (h, k) = (chords[i - 1], chords[i]);
        let right = (places[i] - places[i - 1]) * (3.0 * k / h) + (places[i + 1] - places[i]) * (3.0 * h / k);
        rows.push((k, 2.0 * (h + k), h, right));
    }
    rows.push(end(to, chords[count - 2], places[count - 1] - places[count - 2]));
    rows[count - 1].2 = 0.0;
    for i in 1..count {
        let (_, diagonal, above, right) = rows[i - 1];
        let share = rows[i].0 / diagonal;
        rows[i].1 -= share * above;
        rows[i].3 -= right * share;
    }
    let mut slopes = vec![DVec3::ZERO; count];
    for i in (0..count).rev() {
        let after = slopes.get(i + 1).copied().unwrap_or_default();
        slopes[i] = (rows[i].3 - after * rows[i].2) / rows[i].1;
    }
    // As Bézier pieces, which are splines of one span.
    let mut path = vec![places[0]];
    for i in 0..count - 1 {
        let third = chords[i] / 3.0;
        let controls =
            vec![places[i], places[i] + slopes[i] * third, places[i + 1] - slopes[i + 1] * third, places[i + 1]];
        let knots = vec![0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        let piece = Spline { degree: 3, knots, controls, weights: Vec::new() };
        path.extend_from_slice(&piece.path()?[1..]);
        if path.len() > MAX_VERTICES {
            return Err(format!("a spline of more than {MAX_VERTICES} vertices"));
        }
    }
    Ok(path)
}

/// From a place to the line between two others.
pub(super) fn distance(place: DVec3, from: DVec3, to: DVec3) -> f64 {
    let along = to - from;
    let length = along.length_squared();
    let share = if length > 0.0 { ((place - from).dot(along) / length).clamp(0.0, 1.0) } else { 0.0 };
    place.distance(from + along * share)
}

/// The parameter of an ellipse at an angle as seen from its centre.
pub(crate) fn parameter(angle: f64, ratio: f64) -> f64 {
    let turns = (angle / std::f64::consts::TAU).round() * std::f64::consts::TAU;
    let within = DVec2::from_angle(angle - turns);
    turns + (within.y / ratio).atan2(within.x)
}
