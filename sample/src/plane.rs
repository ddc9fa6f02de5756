//! Plane geometry that every part of the generator shares. Metres in the plan's own frame: x east, y north.

use glam::DVec2;

/// Box in the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// South-west corner.
    pub min: DVec2,
    /// North-east corner.
    pub max: DVec2,
}

impl Window {
    /// Whether a point lies inside, at least `margin` metres from the edge.
    pub fn contains(&self, p: DVec2, margin: f64) -> bool {
        p.x >= self.min.x + margin
            && p.y >= self.min.y + margin
            && p.x <= self.max.x - margin
            && p.y <= self.max.y - margin
    }

    /// Extent in metres.
    pub fn size(&self) -> DVec2 {
        self.max - self.min
    }
}

/// Points of a line with the way from its start to each.
#[derive(Clone, Debug)]
pub struct Line {
    /// Points, at least two.
    pub points: Vec<DVec2>,
    along: Vec<f64>,
}

impl Line {
    /// Line through points; consecutive equal points are dropped.
    pub fn new(points: impl IntoIterator<Item = DVec2>) -> Self {
        let mut kept: Vec<DVec2> = Vec::new();
        for p in points {
            if kept.last().is_none_or(|q| q.distance_squared(p) > 1e-6) {
                kept.push(p);
            }
        }
        if kept.len() == 1 {
            kept.push(kept[0] + DVec2::new(0.01, 0.0));
        }
        let mut along = Vec::with_capacity(kept.len());
        let mut way = 0.0;
        for (i, p) in kept.iter().enumerate() {
            if i > 0 {
                way += p.distance(kept[i - 1]);
            }
            along.push(way);
        }
        Line { points: kept, along }
    }

    /// Smooth line through control points (centripetal-like Catmull-Rom), a point about every `step` metres.
    pub fn smooth(control: &[DVec2], step: f64) -> Self {
        let n = control.len();
        let mut points = Vec::new();
        for i in 0..n.saturating_sub(1) {
            let (p1, p2) = (control[i], control[i + 1]);
            let p0 = if i == 0 { p1 * 2.0 - p2 } else { control[i - 1] };
            let p3 = if i + 2 < n { control[i + 2] } else { p2 * 2.0 - p1 };
            let pieces = (p1.distance(p2) / step).ceil().max(1.0) as usize;
            for k in 0..pieces {
                let t = k as f64 / pieces as f64;
                points.push(
                    0.5 * (2.0 * p1
                        + (p2 - p0) * t
                        + (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3) * (t * t)
                        + (3.0 * p1 - p0 - 3.0 * p2 + p3) * (t * t * t)),
                );
            }
        }
        points.extend(control.last());
        Line::new(points)
    }

    /// Length in metres.
    pub fn length(&self) -> f64 {
        self.along.last().copied().unwrap_or(0.0)
    }

    /// Place and unit direction at a way from the start (clamped to the ends).
    pub fn at(&self, way: f64) -> (DVec2, DVec2) {
        let i = self.along.partition_point(|&a| a <= way).clamp(1, self.points.len() - 1);
        let (a, b) = (self.points[i - 1], self.points[i]);
        let length = self.along[i] - self.along[i - 1];
        let t = ((way - self.along[i - 1]) / length).clamp(0.0, 1.0);
        (a + (b - a) * t, (b - a) / length)
    }

    /// The part between two ways.
    pub fn part(&self, from: f64, to: f64) -> Line {
        let mut points = vec![self.at(from).0];
        points.extend(
            self.points.iter().zip(&self.along).filter(|(_, a)| **a > from + 0.01 && **a < to - 0.01).map(|(p, _)| *p),
        );
        points.push(self.at(to).0);
        Line::new(points)
    }

    /// Distance from a point to the line.
    pub fn distance(&self, p: DVec2) -> f64 {
        self.points.windows(2).map(|s| segment_distance(p, s[0], s[1]).0).fold(f64::INFINITY, f64::min)
    }
}

/// Distance from a point to a segment and where on it (0 to 1).
pub fn segment_distance(p: DVec2, a: DVec2, b: DVec2) -> (f64, f64) {
    let ab = b - a;
    let t = ((p - a).dot(ab) / ab.length_squared().max(1e-12)).clamp(0.0, 1.0);
    (p.distance(a + ab * t), t)
}

/// Where two segments cross: fraction on each.
pub fn crossing(a: DVec2, b: DVec2, c: DVec2, d: DVec2) -> Option<(f64, f64)> {
    let (r, s) = (b - a, d - c);
    let denominator = r.perp_dot(s);
    if denominator.abs() < 1e-9 {
        return None;
    }
    let t = (c - a).perp_dot(s) / denominator;
    let u = (c - a).perp_dot(r) / denominator;
    ((0.0..=1.0).contains(&t) && (0.0..=1.0).contains(&u)).then_some((t, u))
}

/// Whether a point lies in a ring.
pub fn in_ring(p: DVec2, ring: &[DVec2]) -> bool {
    let mut inside = false;
    let mut j = ring.len().wrapping_sub(1);
    for i in 0..ring.len() {
        let (a, b) = (ring[i], ring[j]);
        if (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x {
            inside = !inside;
        }
        j = i;
    }
    inside
}

/// Signed area of a ring, positive when counter-clockwise.
pub fn area(ring: &[DVec2]) -> f64 {
    (0..ring.len()).map(|i| ring[i].perp_dot(ring[(i + 1) % ring.len()])).sum::<f64>() / 2.0
}

/// Mean of the corners.
pub fn middle(ring: &[DVec2]) -> DVec2 {
    ring.iter().fold(DVec2::ZERO, |sum, p| sum + *p) / ring.len().max(1) as f64
}

/// Smoothly from 0 at `a` to 1 at `b`.
pub fn ease(a: f64, b: f64, x: f64) -> f64 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Rounded to whole millimetres.
pub fn millimetre(v: f64) -> f64 {
    (v * 1000.0).round() / 1000.0
}

/// Field of numbers on a square lattice, read with bilinear weights.
#[derive(Clone, Debug)]
pub struct Field {
    /// Place of the first value.
    pub origin: DVec2,
    /// Metres between values.
    pub step: f64,
    /// Values a row.
    pub width: usize,
    /// Rows, from south to north.
    pub height: usize,
    /// Values, row by row.
    pub values: Vec<f32>,
}

impl Field {
    /// Field over a window with a value from each place.
    pub fn over(window: Window, step: f64, margin: f64, mut value: impl FnMut(DVec2) -> f32) -> Self {
        let origin = window.min - DVec2::splat(margin);
        let width = ((window.size().x + 2.0 * margin) / step).ceil() as usize + 1;
        let height = ((window.size().y + 2.0 * margin) / step).ceil() as usize + 1;
        let mut values = Vec::with_capacity(width * height);
        for j in 0..height {
            for i in 0..width {
                values.push(value(origin + DVec2::new(i as f64, j as f64) * step));
            }
        }
        Field { origin, step, width, height, values }
    }

    /// Place of a value.
    pub fn place(&self, i: usize, j: usize) -> DVec2 {
        self.origin + DVec2::new(i as f64, j as f64) * self.step
    }

    /// Value at a place, clamped to the edge.
    pub fn at(&self, p: DVec2) -> f64 {
        let q = (p - self.origin) / self.step;
        let x = q.x.clamp(0.0, (self.width - 1) as f64 - 1e-9);
        let y = q.y.clamp(0.0, (self.height - 1) as f64 - 1e-9);
        let (i, j) = (x as usize, y as usize);
        let (fx, fy) = (x - i as f64, y - j as f64);
        let k = j * self.width + i;
        let (a, b) = (f64::from(self.values[k]), f64::from(self.values[k + 1]));
        let (c, d) = (f64::from(self.values[k + self.width]), f64::from(self.values[k + self.width + 1]));
        (a * (1.0 - fx) + b * fx) * (1.0 - fy) + (c * (1.0 - fx) + d * fx) * fy
    }

    /// Indices of the values within a distance of a box, clamped.
    pub fn cells(&self, min: DVec2, max: DVec2, margin: f64) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let low = (min - DVec2::splat(margin) - self.origin) / self.step;
        let high = (max + DVec2::splat(margin) - self.origin) / self.step;
        let x0 = low.x.ceil().max(0.0) as usize;
        let y0 = low.y.ceil().max(0.0) as usize;
        let x1 = ((high.x.floor() + 1.0).max(0.0) as usize).min(self.width);
        let y1 = ((high.y.floor() + 1.0).max(0.0) as usize).min(self.height);
        (x0.min(x1)..x1, y0.min(y1)..y1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_knows_its_way() {
        let line = Line::new([DVec2::ZERO, DVec2::new(10.0, 0.0), DVec2::new(10.0, 5.0)]);
        assert_eq!(line.length(), 15.0);
        assert_eq!(line.at(12.0), (DVec2::new(10.0, 2.0), DVec2::Y));
        assert_eq!(line.part(5.0, 12.0).points.len(), 3);
        assert_eq!(crossing(DVec2::ZERO, DVec2::X, DVec2::new(0.5, -1.0), DVec2::new(0.5, 1.0)), Some((0.5, 0.5)));
    }

    #[test]
    fn field_is_bilinear() {
        let window = Window { min: DVec2::ZERO, max: DVec2::splat(20.0) };
        let field = Field::over(window, 5.0, 0.0, |p| (p.x + 2.0 * p.y) as f32);
        assert!((field.at(DVec2::new(3.3, 7.7)) - (3.3 + 15.4)).abs() < 1e-4);
    }
}
