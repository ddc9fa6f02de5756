//! What hills hide: the horizon that the ground makes around an eye, direction by direction and out to every distance, after
//! L. Downs, T. Möller and C. Séquin, Occlusion horizons for driving through urban scenery (I3D 2001).
//!
//! A hill counts as no higher than the lowest ground on the whole arc that stands for it, so what is said to be hidden is.

use glam::{DVec2, DVec3};

use super::Ground;
use crate::model::Extent;

/// Directions around the eye.
const DIRECTIONS: usize = 360;
/// How much farther each distance is than the one before.
const FARTHER: f64 = 1.08;
/// Cells of the finest grid along the longer side, and the finest cell, metres.
const MOST_CELLS: f64 = 512.0;
const FINEST_M: f64 = 8.0;
/// Places on each side of a cell at which heights are read.
const SAMPLES: usize = 4;

/// The lowest height of every square of the ground, of squares of several sizes.
#[derive(Debug)]
pub struct LowGround {
    south_west: DVec2,
    /// From the finest to one cell: side of a cell, metres; columns; rows; heights, row by row from the south-west, −∞ where ground is missing.
    levels: Vec<(f64, usize, usize, Vec<f32>)>,
}

impl LowGround {
    /// Reads the heights of all of it; takes some tenths of a second.
    pub fn new(ground: &Ground) -> Self {
        let extent = ground.extent();
        let (south_west, size) = (extent.min.truncate(), extent.size().truncate());
        if ground.is_empty() || !size.is_finite() || size.min_element() <= 0.0 {
            return Self { south_west: DVec2::ZERO, levels: Vec::new() };
        }
        let cell_m = (size.max_element() / MOST_CELLS).max(FINEST_M);
        let cells = (size / cell_m).ceil();
        let (columns, rows) = (cells.x.max(1.0) as usize, cells.y.max(1.0) as usize);
        let mut low = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let corner = south_west + DVec2::new(column as f64, row as f64) * cell_m;
                let places = (0..SAMPLES * SAMPLES).map(|k| {
                    let share = DVec2::new((k % SAMPLES) as f64, (k / SAMPLES) as f64) / (SAMPLES - 1) as f64;
                    (corner + share * cell_m).min(extent.max.truncate())
                });
                let heights = places.map(|place| ground.height_at(place).unwrap_or(f64::NEG_INFINITY));
                low.push(heights.fold(f64::INFINITY, f64::min) as f32);
            }
        }
        let mut levels = vec![(cell_m, columns, rows, low)];
        while let Some((cell_m, columns, rows, below)) =
            levels.last().filter(|(_, columns, rows, _)| columns * rows > 1)
        {
            let (wide, high) = (columns.div_ceil(2), rows.div_ceil(2));
            let mut low = vec![f32::INFINITY; wide * high];
            for (k, height) in below.iter().enumerate() {
                let lowest = &mut low[k / columns / 2 * wide + k % columns / 2];
                *lowest = lowest.min(*height);
            }
            let level = (cell_m * 2.0, wide, high, low);
            levels.push(level);
        }
        Self { south_west, levels }
    }

    /// The lowest ground of the cells that a line touches: no longer than a cell, it touches four at most.
    fn lowest_along(&self, from: DVec2, to: DVec2) -> f64 {
        let length = (from - to).abs().max_element();
        let level = self.levels.iter().find(|(cell_m, ..)| *cell_m >= length);
        let Some((cell_m, columns, rows, low)) = level else { return f64::NEG_INFINITY };
        let cell = |place: DVec2| ((place - self.south_west) / cell_m).floor();
        let (least, most) = (cell(from.min(to)), cell(from.max(to)));
        if least.min_element() < 0.0 || most.x >= *columns as f64 || most.y >= *rows as f64 {
            return f64::NEG_INFINITY;
        }
        let mut lowest = f32::INFINITY;
        for row in least.y as usize..=most.y as usize {
            for column in least.x as usize..=most.x as usize {
                lowest = lowest.min(low[row * columns + column]);
            }
        }
        f64::from(lowest)
    }

    fn farthest_m(&self, eye: DVec2) -> f64 {
        let Some((cell_m, columns, rows, _)) = self.levels.first() else { return 0.0 };
        let high = self.south_west + DVec2::new(*columns as f64, *rows as f64) * *cell_m;
        (eye - self.south_west).abs().max((eye - high).abs()).length()
    }
}

/// The horizon around an eye.
#[derive(Debug)]
pub struct Horizon {
    eye: DVec3,
    /// Distances for each direction.
    rings: usize,
    /// For each direction and out to each distance, the steepest rise of the ground as seen from the eye, rise over run.
    rises: Vec<f32>,
}

impl Horizon {
    /// Nearest ground that hides anything, metres: nearer, what is drawn in its place may be too far off.
    pub const NEAREST_M: f64 = 100.0;

    /// The horizon of the ground around `eye`, which stands above it.
    pub fn new(ground: &LowGround, eye: DVec3) -> Self {
        let plan = eye.truncate();
        let rings = (ground.farthest_m(plan) / Self::NEAREST_M).max(1.0).log(FARTHER).ceil() as usize;
        let towards = |direction: usize| DVec2::from_angle(angle_of(direction));
        let mut rises = Vec::with_capacity(DIRECTIONS * rings);
        for direction in 0..DIRECTIONS {
            let (right, left) = (towards(direction), towards(direction + 1));
            let (mut steepest, mut far_m) = (f64::NEG_INFINITY, Self::NEAREST_M);
            for _ in 0..rings {
                let low = ground.lowest_along(plan + right * far_m, plan + left * far_m);
                steepest = steepest.max((low - eye.z) / far_m);
                rises.push(steepest as f32);
                far_m *= FARTHER;
            }
        }
        Self { eye, rings, rises }
    }

    /// Where the eye is.
    pub fn eye(&self) -> DVec3 {
        self.eye
    }

    /// Whether nothing of a box can be seen past the ground, which as it is drawn may rise less by so much (rise over run).
    pub fn hides(&self, extent: &Extent, less: f64) -> bool {
        let (low, high) = (extent.min.truncate() - self.eye.truncate(), extent.max.truncate() - self.eye.truncate());
        let near_m = DVec2::ZERO.clamp(low, high).length();
        // The last distance that lies before the whole box.
        if self.rings == 0 || near_m < Self::NEAREST_M {
            return false;
        }
        let ring = ((near_m / Self::NEAREST_M).log(FARTHER) as usize).min(self.rings - 1);
        let far_m = low.abs().max(high.abs()).length();
        let above_m = extent.max.z - self.eye.z;
        let rise = above_m / if above_m > 0.0 { near_m } else { far_m } + less;
        let corners = [low, DVec2::new(high.x, low.y), high, DVec2::new(low.x, high.y)];
        let middle = (low + high) * 0.5;
        let off = corners.map(|corner| middle.angle_to(corner));
        let first = middle.to_angle() + off.into_iter().fold(0.0, f64::min);
        let last = middle.to_angle() + off.into_iter().fold(0.0, f64::max);
        let step = angle_of(1);
        ((first / step).floor() as i64..=(last / step).floor() as i64).all(|direction| {
            let direction = direction.rem_euclid(DIRECTIONS as i64) as usize;
            f64::from(self.rises[direction * self.rings + ring]) > rise
        })
    }
}

/// Where a direction begins, radians from east to north.
fn angle_of(direction: usize) -> f64 {
    direction as f64 * std::f64::consts::TAU / DIRECTIONS as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HeightGrid;

    /// 6 km of ground, 10 m apart, of these heights.
    fn ground(height: impl Fn(DVec2) -> f64) -> Ground {
        let side = 601;
        let heights = (0..side * side)
            .map(|k| height(DVec2::new(f64::from(k % side), f64::from(side - 1 - k / side)) * 10.0) as f32)
            .collect();
        let grid = HeightGrid {
            north_west: DVec2::new(0.0, 6000.0),
            step_m: DVec2::splat(10.0),
            columns: side as u32,
            rows: side as u32,
            heights,
        };
        Ground::new(vec![grid])
    }

    fn boxed(x: f64, y: f64, side_m: f64, top_m: f64) -> Extent {
        Extent { min: DVec3::new(x, y, -50.0), max: DVec3::new(x + side_m, y + side_m, top_m) }
    }

    #[test]
    fn a_ridge_hides_what_is_lower_behind_it_and_nothing_else() {
        // A ridge 100 m high across the north at 3 km, open beyond x = 5 km.
        let low = LowGround::new(&ground(|at| if (at.y - 3000.0).abs() < 60.0 && at.x < 5000.0 { 100.0 } else { 0.0 }));
        let horizon = Horizon::new(&low, DVec3::new(3000.0, 1000.0, 2.0));
        // 2 km away it rises by about one in twenty.
        assert!(horizon.hides(&boxed(2800.0, 4000.0, 400.0, 120.0), 0.0));
        assert!(!horizon.hides(&boxed(2800.0, 4000.0, 400.0, 170.0), 0.0), "it stands above");
        assert!(!horizon.hides(&boxed(2800.0, 4000.0, 400.0, 120.0), 0.02), "the ridge may be drawn lower");
        assert!(!horizon.hides(&boxed(2800.0, 2400.0, 400.0, 5.0), 0.0), "before it");
        assert!(!horizon.hides(&boxed(2800.0, 2900.0, 400.0, 100.0), 0.0), "the ridge itself");
        assert!(!horizon.hides(&boxed(2800.0, 900.0, 400.0, 5.0), 0.0), "around the eye");
        assert!(!horizon.hides(&boxed(5700.0, 4000.0, 200.0, 5.0), 0.0), "seen past its end");
        assert!(!horizon.hides(&boxed(4300.0, 4000.0, 1600.0, 5.0), 0.0), "half of it is");
        assert!(!horizon.hides(&boxed(2800.0, 200.0, 400.0, 5.0), 0.0), "behind the eye it is flat");
        // From above the ridge one looks down behind it.
        let high = Horizon::new(&low, DVec3::new(3000.0, 1000.0, 400.0));
        assert!(
            high.hides(&boxed(2950.0, 3100.0, 100.0, 5.0), 0.0) && !high.hides(&boxed(2950.0, 4900.0, 100.0, 5.0), 0.0)
        );
    }

    #[test]
    fn no_ray_reaches_what_is_hidden() {
        let height =
            |at: DVec2| 80.0 + 60.0 * (at.x / 700.0).sin() * (at.y / 900.0).cos() + 15.0 * (at.x / 130.0).cos();
        let ground = ground(height);
        let low = LowGround::new(&ground);
        let eye = DVec3::new(3100.0, 2900.0, height(DVec2::new(3100.0, 2900.0)) + 12.0);
        let horizon = Horizon::new(&low, eye);
        let is_clear = |to: DVec3| {
            (1..2000)
                .map(|k| eye.lerp(to, f64::from(k) / 2000.0))
                .all(|at| ground.height_at(at.truncate()) < Some(at.z))
        };
        let mut hidden = 0;
        for k in 0..900 {
            let (x, y) = (f64::from(k % 30) * 200.0, f64::from(k / 30) * 200.0);
            let top = height(DVec2::new(x + 100.0, y + 100.0)) + 20.0;
            let extent = boxed(x, y, 200.0, top);
            if horizon.hides(&extent, 0.0) {
                hidden += 1;
                for corner in 0..25 {
                    let at = DVec2::new(x, y) + DVec2::new(f64::from(corner % 5), f64::from(corner / 5)) * 49.9;
                    assert!(!is_clear(at.extend(top)), "{at} is seen");
                }
            }
        }
        assert!(hidden > 250, "{hidden} of 900");
    }

    #[test]
    fn without_ground_nothing_is_hidden() {
        let horizon = Horizon::new(&LowGround::new(&Ground::default()), DVec3::new(0.0, 0.0, 10.0));
        assert!(!horizon.hides(&boxed(4000.0, 0.0, 100.0, -500.0), 0.0));
        // Where heights are missing there is a gap.
        let gap = LowGround::new(&ground(|at| if at.y > 2000.0 { f64::NAN } else { 0.0 }));
        let horizon = Horizon::new(&gap, DVec3::new(3000.0, 500.0, 10.0));
        assert!(!horizon.hides(&boxed(2900.0, 5000.0, 100.0, -10.0), 0.0));
        assert!(horizon.hides(&boxed(2900.0, 5000.0, 100.0, -40.0), 0.0), "behind what is there");
    }
}
