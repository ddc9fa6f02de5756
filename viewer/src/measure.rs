//! What is measured in the city (量测): lengths, heights, areas, volumes, angles, slopes, depths.
//!
//! Places are f64 metres in the city's frame, so every figure is one of the grid: horizontal lengths are not reduced to
//! the ellipsoid. Figures are taken relative to the first point, which keeps all digits ten thousand kilometres out.

use std::ops::RangeInclusive;

use earcut::Earcut;
use glam::{DVec2, DVec3};

use crate::solid::{Open, Solid};

/// Most points of one measurement.
pub const MAX_POINTS: usize = 500;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MeasureKind {
    /// Length of a path (长度).
    Length,
    /// Difference of two heights (高差).
    Height,
    /// Area of a polygon (面积).
    Area,
    /// Volume between a polygon and a level (体积).
    Volume,
    /// Volume of an object's closed surface (实体体积).
    Body,
    /// Angle at the second of three points (角度).
    Angle,
    /// Slope from one point to another (坡度).
    Slope,
    /// Depth of a point below the terrain (埋深).
    Depth,
}

impl MeasureKind {
    /// All of them, as menus list them.
    pub const ALL: [Self; 8] =
        [Self::Length, Self::Height, Self::Area, Self::Volume, Self::Body, Self::Angle, Self::Slope, Self::Depth];

    /// Its word in a view.
    pub fn word(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Height => "height",
            Self::Area => "area",
            Self::Volume => "volume",
            Self::Body => "body",
            Self::Angle => "angle",
            Self::Slope => "slope",
            Self::Depth => "depth",
        }
    }

    /// The kind of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Under which its name stands among the texts.
    pub fn text_key(self) -> &'static str {
        match self {
            Self::Length => "measure-length",
            Self::Height => "measure-height",
            Self::Area => "measure-area",
            Self::Volume => "measure-volume",
            Self::Body => "measure-body",
            Self::Angle => "measure-angle",
            Self::Slope => "measure-slope",
            Self::Depth => "measure-depth",
        }
    }

    /// How many points it takes.
    pub fn points(self) -> RangeInclusive<usize> {
        match self {
            Self::Length => 2..=MAX_POINTS,
            Self::Height | Self::Slope => 2..=2,
            Self::Area | Self::Volume => 3..=MAX_POINTS,
            Self::Angle => 3..=3,
            Self::Body | Self::Depth => 1..=1,
        }
    }

    /// Its points are the corners of a polygon.
    pub fn is_polygon(self) -> bool {
        matches!(self, Self::Area | Self::Volume)
    }
}

/// One thing measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// What is measured.
    pub kind: MeasureKind,
    /// Places in the city's frame.
    pub points: Vec<DVec3>,
    /// For a volume: the level it reaches down to, metres; the lowest point when absent.
    pub level_m: Option<f64>,
    /// For a body: the id of the object.
    pub object: Option<String>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// m, or km from 10 km on.
    Metre,
    /// m², or km² from 1 km² on.
    SquareMetre,
    /// m³.
    CubicMetre,
    /// °.
    Degree,
    /// %.
    Percent,
}

/// One result: which, and how much. The first of a measurement is the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Under which its name stands among the texts.
    pub key: &'static str,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

/// What came of a measurement: figures, or the key of the text that says why there are none.
pub type Result = std::result::Result<Vec<Figure>, &'static str>;

impl Measurement {
    /// Its figures. `ground` gives the height of the terrain; `body` is the surface of the object of a `Body`, once it is there.
    pub fn figures(
        &self,
        ground: impl Fn(DVec2) -> Option<f64>,
        body: Option<&std::result::Result<Solid, Open>>,
    ) -> Result {
        use Unit::{CubicMetre, Degree, Metre, Percent, SquareMetre};
        let figure = |key, value, unit| Figure { key, value, unit };
        if !self.kind.points().contains(&self.points.len()) {
            return Err("measure-more");
        }
        let points = &self.points;
        Ok(match self.kind {
            MeasureKind::Length => {
                let length = Length::of(points);
                vec![figure("figure-length", length.true_m, Metre), figure("figure-plan", length.plan_m, Metre)]
            }
            MeasureKind::Height => {
                let length = Length::of(points);
                let rise = points[1].z - points[0].z;
                vec![
                    figure("figure-rise", rise, Metre),
                    figure("figure-plan", length.plan_m, Metre),
                    figure("figure-length", length.true_m, Metre),
                ]
            }
            MeasureKind::Area => {
                let area = Area::of(points).ok_or("measure-crossing")?;
                vec![
                    figure("figure-area", area.true_m2, SquareMetre),
                    figure("figure-plan-area", area.plan_m2, SquareMetre),
                    figure("figure-perimeter", area.perimeter_m, Metre),
                ]
            }
            MeasureKind::Volume => {
                let level_m = self.level();
                let volume = Volume::of(points, level_m).ok_or("measure-crossing")?;
                let mut figures = vec![figure("figure-volume", volume.above_m3, CubicMetre)];
                if volume.below_m3 > 0.0 {
                    figures.push(figure("figure-below-level", volume.below_m3, CubicMetre));
                }
                figures.push(figure("figure-level", level_m, Metre));
                figures.push(figure("figure-plan-area", volume.plan_m2, SquareMetre));
                figures
            }
            MeasureKind::Body => match body {
                None => return Err("measure-waiting"),
                Some(Err(Open::Empty)) => return Err("measure-no-body"),
                Some(Err(Open::Edges(_))) => return Err("measure-open"),
                Some(Ok(solid)) => vec![
                    figure("figure-volume", solid.volume_m3, CubicMetre),
                    figure("figure-surface", solid.surface_m2, SquareMetre),
                    figure("figure-tall", solid.height_m, Metre),
                ],
            },
            MeasureKind::Angle => {
                let angle = Angle::of(points[0], points[1], points[2]).ok_or("measure-same-place")?;
                let mut figures = vec![figure("figure-angle", angle.true_deg, Degree)];
                figures.extend(angle.plan_deg.map(|deg| figure("figure-plan-angle", deg, Degree)));
                figures
            }
            MeasureKind::Slope => {
                let slope = Slope::of(points[0], points[1]).ok_or("measure-same-place")?;
                let mut figures = vec![figure("figure-slope", slope.deg, Degree)];
                figures.extend(slope.percent.map(|percent| figure("figure-percent", percent, Percent)));
                figures.push(figure("figure-rise", points[1].z - points[0].z, Metre));
                figures.push(figure("figure-plan", Length::of(points).plan_m, Metre));
                figures
            }
            MeasureKind::Depth => {
                let ground_m = ground(points[0].truncate()).ok_or("measure-no-ground")?;
                let depth_m = ground_m - points[0].z;
                let key = if depth_m >= 0.0 { "figure-depth" } else { "figure-above" };
                vec![
                    figure(key, depth_m.abs(), Metre),
                    figure("figure-ground", ground_m, Metre),
                    figure("figure-height", points[0].z, Metre),
                ]
            }
        })
    }

    /// The level that a volume reaches down to, metres.
    pub fn level(&self) -> f64 {
        self.level_m.unwrap_or_else(|| self.points.iter().map(|point| point.z).fold(f64::INFINITY, f64::min))
    }
}

impl Figure {
    /// The value with its unit, with as many digits as a survey can mean: millimetres up to 10 m, centimetres up to 1 km.
    pub fn text(&self) -> String {
        let size = self.value.abs();
        match self.unit {
            Unit::Metre if size >= 10_000.0 => format!("{} km", fixed(self.value / 1000.0, 3)),
            Unit::Metre if size >= 1000.0 => format!("{} m", fixed(self.value, 1)),
            Unit::Metre if size >= 10.0 => format!("{} m", fixed(self.value, 2)),
            Unit::Metre => format!("{} m", fixed(self.value, 3)),
            Unit::SquareMetre if size >= 1e6 => format!("{} km²", fixed(self.value / 1e6, 3)),
            Unit::SquareMetre => format!("{} m²", fixed(self.value, digits_of_large(size))),
            Unit::CubicMetre => format!("{} m³", fixed(self.value, digits_of_large(size))),
            Unit::Degree => format!("{}°", fixed(self.value, 2)),
            Unit::Percent => format!("{} %", fixed(self.value, 1)),
        }
    }
}

fn digits_of_large(size: f64) -> usize {
    match size {
        s if s >= 10_000.0 => 0,
        s if s >= 100.0 => 1,
        _ => 2,
    }
}

/// A number with a fixed number of decimals and thin gaps between groups of three.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("−", digits));
    let (whole, rest) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let is_zero = digits.bytes().all(|b| b == b'0' || b == b'.');
    let mut out = String::from(if is_zero { "" } else { sign });
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && whole.len() > 4 {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    if let Some(rest) = rest {
        out.push('.');
        out.push_str(rest);
    }
    out
}

/// Length of a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    /// In space, metres.
    pub true_m: f64,
    /// In plan, metres.
    pub plan_m: f64,
}

impl Length {
    /// Of the path through `points`.
    pub fn of(points: &[DVec3]) -> Self {
        let legs = points.windows(2).map(|pair| pair[1] - pair[0]);
        legs.fold(Self { true_m: 0.0, plan_m: 0.0 }, |sum, leg| Self {
            true_m: sum.true_m + leg.length(),
            plan_m: sum.plan_m + leg.truncate().length(),
        })
    }
}

/// Area of a polygon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// On the plane that fits it, m²: the length of its vector area (Newell).
    pub true_m2: f64,
    /// In plan, m².
    pub plan_m2: f64,
    /// Length of its boundary in space, metres.
    pub perimeter_m: f64,
    /// How far its corners are from one plane, metres.
    pub off_plane_m: f64,
}

impl Area {
    /// Of a polygon given by its corners, either way round; `None` when it crosses itself, on its own plane.
    pub fn of(points: &[DVec3]) -> Option<Self> {
        let corners = relative(points);
        let vector = vector_area(&corners);
        let normal = vector.normalize_or(DVec3::Z);
        if crosses(&corners, normal) {
            return None;
        }
        let middle = corners.iter().sum::<DVec3>() / corners.len() as f64;
        let off_plane_m = corners.iter().map(|c| (*c - middle).dot(normal).abs()).fold(0.0, f64::max);
        let closed: Vec<DVec3> = corners.iter().chain(corners.first()).copied().collect();
        Some(Self {
            true_m2: vector.length(),
            plan_m2: vector.z.abs(),
            perimeter_m: Length::of(&closed).true_m,
            off_plane_m,
        })
    }
}

/// Volume between a polygon and a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Volume {
    /// Under the polygon, above the level, m³.
    pub above_m3: f64,
    /// Over the polygon, below the level, m³.
    pub below_m3: f64,
    /// Area in plan, m².
    pub plan_m2: f64,
}

impl Volume {
    /// Between the polygon of `points`, made of triangles between its corners, and the level; `None` when it crosses itself in plan.
    pub fn of(points: &[DVec3], level_m: f64) -> Option<Self> {
        let base = points.first()?.z;
        let corners = relative(points);
        if crosses(&corners, DVec3::Z) {
            return None;
        }
        let mut volume = Self { above_m3: 0.0, below_m3: 0.0, plan_m2: 0.0 };
        for [a, b, c] in triangles(&corners, DVec3::Z) {
            let plan_m2 = (b - a).truncate().perp_dot((c - a).truncate()).abs() * 0.5;
            let heights = [a, b, c].map(|corner| corner.z + base - level_m);
            volume.plan_m2 += plan_m2;
            volume.above_m3 += plan_m2 * mean_above(heights);
            volume.below_m3 += plan_m2 * mean_above(heights.map(|height| -height));
        }
        Some(volume)
    }
}

/// Angle between two legs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Angle {
    /// In space, degrees, 0 to 180.
    pub true_deg: f64,
    /// In plan, degrees; `None` when a leg is upright.
    pub plan_deg: Option<f64>,
}

impl Angle {
    /// At `corner` between the legs to `from` and `to`; `None` when a leg has no length.
    pub fn of(from: DVec3, corner: DVec3, to: DVec3) -> Option<Self> {
        let (a, b) = (from - corner, to - corner);
        let between = |a: DVec3, b: DVec3| {
            (a.length() > 1e-6 && b.length() > 1e-6).then(|| a.cross(b).length().atan2(a.dot(b)).to_degrees())
        };
        Some(Self { true_deg: between(a, b)?, plan_deg: between(a.with_z(0.0), b.with_z(0.0)) })
    }
}

/// Slope from one place to another, up positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Degrees above the horizon.
    pub deg: f64,
    /// Rise over run, %; `None` when it is upright.
    pub percent: Option<f64>,
}

impl Slope {
    /// From `a` to `b`; `None` when they are one place.
    pub fn of(a: DVec3, b: DVec3) -> Option<Self> {
        let leg = b - a;
        let run = leg.truncate().length();
        (leg.length() > 1e-6)
            .then(|| Self { deg: leg.z.atan2(run).to_degrees(), percent: (run > 1e-6).then(|| leg.z / run * 100.0) })
    }
}

fn relative(points: &[DVec3]) -> Vec<DVec3> {
    let first = points.first().copied().unwrap_or_default();
    points.iter().map(|point| *point - first).collect()
}

/// Half the sum of cross products along the boundary: upright to the polygon, as long as its area (Newell).
fn vector_area(corners: &[DVec3]) -> DVec3 {
    let next = corners.iter().cycle().skip(1);
    corners.iter().zip(next).map(|(a, b)| a.cross(*b)).sum::<DVec3>() * 0.5
}

fn axes_of(normal: DVec3) -> (DVec3, DVec3) {
    let right = normal.any_orthonormal_vector();
    (right, normal.cross(right))
}

/// Whether two sides that are no neighbours meet, seen along `normal`.
fn crosses(corners: &[DVec3], normal: DVec3) -> bool {
    let (right, up) = axes_of(normal);
    let flat: Vec<DVec2> = corners.iter().map(|c| DVec2::new(c.dot(right), c.dot(up))).collect();
    let count = flat.len();
    let side = |i: usize| (flat[i], flat[(i + 1) % count]);
    let turn = |a: DVec2, b: DVec2, c: DVec2| (b - a).perp_dot(c - a);
    (0..count).any(|i| {
        let (a, b) = side(i);
        (i + 2..count).filter(|j| (j + 1) % count != i).any(|j| {
            let (c, d) = side(j);
            turn(a, b, c) * turn(a, b, d) < 0.0 && turn(c, d, a) * turn(c, d, b) < 0.0
        })
    })
}

/// The direction upright to a polygon; up where it has none.
pub fn normal(points: &[DVec3]) -> DVec3 {
    vector_area(&relative(points)).normalize_or(DVec3::Z)
}

/// The polygon as triangles between its corners, as they lie seen along `normal`.
pub fn triangles(corners: &[DVec3], normal: DVec3) -> Vec<[DVec3; 3]> {
    let first = corners.first().copied().unwrap_or_default();
    let (right, up) = axes_of(normal);
    let flat = corners.iter().map(|corner| [(*corner - first).dot(right), (*corner - first).dot(up)]);
    let mut indices: Vec<u32> = Vec::new();
    Earcut::new().earcut(flat, &[], &mut indices);
    let corner = |index: u32| corners[index as usize];
    indices.chunks_exact(3).map(|three| [corner(three[0]), corner(three[1]), corner(three[2])]).collect()
}

/// Mean over a triangle of what of its height is above 0; the height is linear between the corners.
fn mean_above(heights: [f64; 3]) -> f64 {
    let mut sorted = heights;
    sorted.sort_by(f64::total_cmp);
    let [low, middle, high] = sorted;
    if low >= 0.0 {
        (low + middle + high) / 3.0
    } else if high <= 0.0 {
        0.0
    } else if middle <= 0.0 {
        high.powi(3) / (3.0 * (high - middle) * (high - low))
    } else {
        (low + middle + high) / 3.0 - low.powi(3) / (3.0 * (middle - low) * (high - low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: DVec3 = DVec3::new(40_534_467.459, 3_993_055.813, 12.5);

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{value} is not {expected}");
    }

    fn at(points: &[[f64; 3]]) -> Vec<DVec3> {
        points.iter().map(|point| FAR + DVec3::from_array(*point)).collect()
    }

    fn figures(kind: MeasureKind, points: &[[f64; 3]]) -> Vec<(&'static str, String)> {
        let measurement = Measurement { kind, points: at(points), level_m: None, object: None };
        let ground = |place: DVec2| (place.x < FAR.x + 500.0).then_some(FAR.z + 2.0);
        measurement.figures(ground, None).expect("enough points").iter().map(|f| (f.key, f.text())).collect()
    }

    #[test]
    fn a_path_is_as_long_as_its_legs() {
        let length = Length::of(&at(&[[0.0; 3], [3.0, 4.0, 0.0], [3.0, 4.0, 12.0]]));
        close(length.true_m, 17.0);
        close(length.plan_m, 5.0);
        assert_eq!(
            figures(MeasureKind::Height, &[[0.0; 3], [3.0, 4.0, -12.0]]),
            [
                ("figure-rise", "−12.00 m".into()),
                ("figure-plan", "5.000 m".into()),
                ("figure-length", "13.00 m".into())
            ]
        );
    }

    #[test]
    fn a_tilted_square_keeps_its_area_and_has_less_in_plan() {
        // 10 × 10 on a roof of 45°.
        let side = 10.0 / 2f64.sqrt();
        let roof = at(&[[0.0; 3], [10.0, 0.0, 0.0], [10.0, side, side], [0.0, side, side]]);
        let area = Area::of(&roof).expect("simple");
        close(area.true_m2, 100.0);
        close(area.plan_m2, 10.0 * side);
        close(area.perimeter_m, 40.0);
        assert!(area.off_plane_m < 1e-8);
        let turned: Vec<DVec3> = roof.iter().rev().copied().collect();
        close(Area::of(&turned).expect("simple").true_m2, 100.0);
        // A wall has no area in plan and all of it on its plane.
        let wall = Area::of(&at(&[[0.0; 3], [6.0, 8.0, 0.0], [6.0, 8.0, 3.0], [0.0, 0.0, 3.0]])).expect("simple");
        close(wall.true_m2, 30.0);
        assert!(wall.plan_m2 < 1e-6);
        // An L, which is not convex.
        let bent = at(&[[0.0; 3], [4.0, 0.0, 0.0], [4.0, 2.0, 0.0], [2.0, 2.0, 0.0], [2.0, 5.0, 0.0], [0.0, 5.0, 0.0]]);
        close(Area::of(&bent).expect("simple").plan_m2, 14.0);
        let bow = at(&[[0.0; 3], [4.0, 4.0, 0.0], [4.0, 0.0, 0.0], [0.0, 4.0, 0.0]]);
        assert_eq!(Area::of(&bow), None, "a bow tie has no area");
    }

    #[test]
    fn volumes_are_those_of_prisms_and_wedges() {
        let bent =
            at(&[[0.0, 0.0, 3.0], [4.0, 0.0, 3.0], [4.0, 2.0, 3.0], [2.0, 2.0, 3.0], [2.0, 5.0, 3.0], [0.0, 5.0, 3.0]]);
        let prism = Volume::of(&bent, FAR.z).expect("simple");
        close(prism.above_m3, 42.0);
        assert_eq!(prism.below_m3, 0.0);
        close(prism.plan_m2, 14.0);
        // A plane from −2 to 4 over 12 m, 5 m wide: 8 m of it above.
        let ramp = at(&[[0.0, 0.0, -2.0], [12.0, 0.0, 4.0], [12.0, 5.0, 4.0], [0.0, 5.0, -2.0]]);
        let cut = Volume::of(&ramp, FAR.z).expect("simple");
        close(cut.above_m3, 8.0 * 4.0 * 0.5 * 5.0);
        close(cut.below_m3, 4.0 * 2.0 * 0.5 * 5.0);
        let lowest = Measurement { kind: MeasureKind::Volume, points: ramp, level_m: None, object: None };
        close(lowest.figures(|_| None, None).unwrap()[0].value, 12.0 * 5.0 * 3.0);
        let bow = at(&[[0.0; 3], [4.0, 4.0, 0.0], [4.0, 0.0, 0.0], [0.0, 4.0, 0.0]]);
        assert_eq!(Volume::of(&bow, 0.0), None);
    }

    #[test]
    fn the_part_of_a_triangle_above_a_level_is_exact() {
        for heights in [[3.0, -1.0, 2.0], [-3.0, -1.0, 2.0], [1.0, 2.0, 3.0], [-1.0, -2.0, -3.0], [0.0, 0.0, 2.0]] {
            let steps = 600;
            let (mut sum, mut count) = (0.0, 0.0);
            for i in 0..steps {
                for j in 0..steps - i {
                    let (u, v) =
                        ((f64::from(i) + 1.0 / 3.0) / f64::from(steps), (f64::from(j) + 1.0 / 3.0) / f64::from(steps));
                    sum += (heights[0] * (1.0 - u - v) + heights[1] * u + heights[2] * v).max(0.0);
                    count += 1.0;
                }
            }
            assert!((mean_above(heights) - sum / count).abs() < 5e-3, "{heights:?}");
        }
    }

    #[test]
    fn angles_and_slopes() {
        let [a, corner, b] = [[10.0, 0.0, 0.0], [0.0; 3], [0.0, 5.0, 5.0]].map(|p| FAR + DVec3::from_array(p));
        let angle = Angle::of(a, corner, b).expect("two legs");
        close(angle.true_deg, 90.0);
        close(angle.plan_deg.expect("not upright"), 90.0);
        let flat = Angle::of(a, corner, FAR + DVec3::new(10.0, 10.0, 0.0)).expect("two legs");
        close(flat.true_deg, 45.0);
        assert_eq!(Angle::of(a, a, b), None);
        assert_eq!(Angle::of(a, corner, FAR + DVec3::Z).expect("upright").plan_deg, None);
        let slope = Slope::of(corner, corner + DVec3::new(30.0, 40.0, -2.0)).expect("apart");
        close(slope.percent.expect("not upright"), -4.0);
        close(slope.deg, (-0.04_f64).atan().to_degrees());
        close(Slope::of(corner, corner + DVec3::Z).expect("upright").deg, 90.0);
        assert_eq!(Slope::of(corner, corner), None);
    }

    #[test]
    fn depth_is_below_the_terrain_and_height_above_it() {
        assert_eq!(figures(MeasureKind::Depth, &[[0.0, 0.0, -1.25]])[0], ("figure-depth", "3.250 m".into()));
        assert_eq!(figures(MeasureKind::Depth, &[[0.0, 0.0, 32.0]])[0], ("figure-above", "30.00 m".into()));
        let beyond =
            Measurement { kind: MeasureKind::Depth, points: at(&[[900.0, 0.0, 0.0]]), level_m: None, object: None };
        assert_eq!(beyond.figures(|_| None, None), Err("measure-no-ground"));
    }

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        let text = |value, unit| Figure { key: "", value, unit }.text();
        assert_eq!(text(1.23456, Unit::Metre), "1.235 m");
        assert_eq!(text(123.456, Unit::Metre), "123.46 m");
        assert_eq!(text(1234.56, Unit::Metre), "1234.6 m");
        assert_eq!(text(12_345.678, Unit::Metre), "12.346 km");
        assert_eq!(text(12.345, Unit::SquareMetre), "12.35 m²");
        assert_eq!(text(123_456.7, Unit::SquareMetre), "123\u{2009}457 m²");
        assert_eq!(text(2.5e6, Unit::SquareMetre), "2.500 km²");
        assert_eq!(text(1234.56, Unit::CubicMetre), "1234.6 m³");
        assert_eq!(text(-0.000_1, Unit::Metre), "0.000 m");
        assert_eq!(text(-4.0, Unit::Percent), "−4.0 %");
    }
}
