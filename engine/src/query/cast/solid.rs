//! Convex bodies that a formula describes: pieces of pipes and ducts, shafts.

use glam::{DVec2, DVec3};

/// Squares of lengths below this are none.
const NOTHING: f64 = 1e-24;

/// A convex body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Solid {
    /// Its place, metres from the caster's origin.
    at: DVec3,
    body: Body,
    pub which: u32,
}

/// Its form around its place.
#[derive(Clone, Copy, Debug)]
enum Body {
    /// All that lies within `radius` of the segment from the place along `axis`.
    Capsule { axis: DVec3, radius: f64 },
    /// An upright cylinder from the place up.
    Shaft { radius: f64, height: f64 },
    /// A box from the place along the first of its directions; half of its width and height.
    Duct { axes: [DVec3; 3], length: f64, half: DVec2 },
}

/// Where a line is inside.
type Interval = (f64, f64);

impl Solid {
    pub fn capsule((a, b): (DVec3, DVec3), radius: f64, which: u32) -> Self {
        Self { at: a, body: Body::Capsule { axis: b - a, radius }, which }
    }

    pub fn shaft(foot: DVec3, radius: f64, height: f64, which: u32) -> Self {
        Self { at: foot, body: Body::Shaft { radius, height }, which }
    }

    /// Along a segment, level across; `None` without length.
    pub fn duct((a, b): (DVec3, DVec3), width_m: f64, height_m: f64, which: u32) -> Option<Self> {
        let along = (b - a).try_normalize()?;
        let side = along.truncate().perp().normalize_or(DVec2::Y).extend(0.0);
        let axes = [along, side, along.cross(side)];
        let half = DVec2::new(width_m, height_m) * 0.5;
        Some(Self { at: a, body: Body::Duct { axes, length: a.distance(b), half }, which })
    }

    /// Its place.
    pub fn at(&self) -> DVec3 {
        self.at
    }

    /// The same body elsewhere.
    pub fn moved(self, by: DVec3) -> Self {
        Self { at: self.at + by, ..self }
    }

    /// The box around it.
    pub fn bounds(&self) -> (DVec3, DVec3) {
        let (low, high) = match &self.body {
            Body::Capsule { axis, radius } => (axis.min(DVec3::ZERO) - *radius, axis.max(DVec3::ZERO) + *radius),
            Body::Shaft { radius, height } => {
                (DVec3::new(-radius, -radius, 0.0), DVec3::new(*radius, *radius, *height))
            }
            Body::Duct { axes, length, half } => {
                let along = axes[0] * *length;
                let reach = axes[1].abs() * half.x + axes[2].abs() * half.y;
                (along.min(DVec3::ZERO) - reach, along.max(DVec3::ZERO) + reach)
            }
        };
        (self.at + low, self.at + high)
    }

    /// Where a ray from `start`, counted from its place, meets the surface first, not before `least`, and whether it begins inside.
    pub fn meet(&self, start: DVec3, direction: DVec3, least: f64) -> Option<(f64, bool)> {
        let (from, to) = match &self.body {
            Body::Capsule { axis, radius } => capsule(start, direction, *axis, *radius),
            Body::Shaft { radius, height } => shaft(start, direction, *radius, *height),
            Body::Duct { axes, length, half } => duct(start, direction, axes, (*length, *half)),
        }?;
        if from >= least { Some((from, false)) } else { (to >= least).then_some((to, true)) }
    }
}

/// Both balls and the pipe between them make one convex body, so that the line is inside from the first to the last of their crossings.
fn capsule(start: DVec3, direction: DVec3, axis: DVec3, radius: f64) -> Option<Interval> {
    let ball = |centre: DVec3| {
        let from = start - centre;
        roots(1.0, from.dot(direction), from.length_squared() - radius * radius)
    };
    let length2 = axis.length_squared();
    let pipe = || {
        if length2 <= 0.0 {
            return None;
        }
        // Square of the distance from the axis, as a function of t.
        let (along, begin) = (direction.dot(axis) / length2, start.dot(axis) / length2);
        let (across, offset) = (direction - axis * along, start - axis * begin);
        let sides = if across.length_squared() > NOTHING {
            roots(across.length_squared(), offset.dot(across), offset.length_squared() - radius * radius)?
        } else if offset.length() <= radius {
            EVERYWHERE
        } else {
            return None;
        };
        common(sides, between(begin, along, (0.0, 1.0))?)
    };
    [ball(DVec3::ZERO), ball(axis), pipe()].into_iter().flatten().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

fn shaft(start: DVec3, direction: DVec3, radius: f64, height: f64) -> Option<Interval> {
    let (from, across) = (start.truncate(), direction.truncate());
    let sides = if across.length_squared() > NOTHING {
        roots(across.length_squared(), from.dot(across), from.length_squared() - radius * radius)?
    } else if from.length() <= radius {
        EVERYWHERE
    } else {
        return None;
    };
    common(sides, between(start.z, direction.z, (0.0, height))?)
}

fn duct(start: DVec3, direction: DVec3, axes: &[DVec3; 3], (length, half): (f64, DVec2)) -> Option<Interval> {
    let ranges = [(0.0, length), (-half.x, half.x), (-half.y, half.y)];
    axes.iter().zip(ranges).try_fold(EVERYWHERE, |inside, (axis, range)| {
        common(inside, between(start.dot(*axis), direction.dot(*axis), range)?)
    })
}

const EVERYWHERE: Interval = (f64::NEG_INFINITY, f64::INFINITY);

fn common(a: Interval, b: Interval) -> Option<Interval> {
    let (from, to) = (a.0.max(b.0), a.1.min(b.1));
    (from <= to).then_some((from, to))
}

/// Where `begin + t · slope` lies in a range.
fn between(begin: f64, slope: f64, (low, high): (f64, f64)) -> Option<Interval> {
    if slope == 0.0 {
        return (low <= begin && begin <= high).then_some(EVERYWHERE);
    }
    let (a, b) = ((low - begin) / slope, (high - begin) / slope);
    Some((a.min(b), a.max(b)))
}

/// Where a·t² + 2·b·t + c is not above 0.
fn roots(a: f64, b: f64, c: f64) -> Option<Interval> {
    let discriminant = b * b - a * c;
    // NaN is not there.
    (discriminant >= 0.0).then(|| {
        let root = discriminant.sqrt();
        ((-b - root) / a, (-b + root) / a)
    })
}
