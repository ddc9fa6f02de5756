//! Where the land ends: a signed distance to the shore, with the island and the stone works in the sea.

use glam::DVec2;

use crate::{
    plane::{Field, Line, Window, ease, segment_distance},
    recipe::Recipe,
};

/// The shore (海岸).
#[derive(Clone, Debug)]
pub(crate) struct Coast {
    /// Shore line of the mainland from west to east, land on the left.
    pub line: Line,
    /// Shore of the island, closed.
    pub island: Vec<DVec2>,
    /// Metres from the natural shore, positive on land.
    shore: Field,
    moles: Vec<(Line, f64)>,
    island_at: (DVec2, f64),
}

impl Coast {
    /// Shore of a recipe over its window and a margin.
    pub fn new(recipe: &Recipe) -> Coast {
        let line = Line::smooth(&recipe.coast, 6.0);
        let island = island_ring(recipe);
        let mut shore = distance(recipe.extent(), &line);
        let island_line = Line::new(island.iter().chain(island.first()).copied());
        let radius = recipe.island.radius_m;
        for j in 0..shore.height {
            for i in 0..shore.width {
                let p = shore.place(i, j);
                let k = j * shore.width + i;
                let far = p.distance(recipe.island.at);
                // no place of the island is farther out than 1.6 radii
                if f64::from(shore.values[k]) > -(far - 1.6 * radius).max(-1.0) {
                    continue;
                }
                let sign = if far < 1.6 * radius && crate::plane::in_ring(p, &island) { 1.0 } else { -1.0 };
                let d = (sign * island_line.distance(p)) as f32;
                shore.values[k] = shore.values[k].max(d);
            }
        }
        let moles = recipe.moles.iter().map(|m| (Line::smooth(&m.line, 8.0), m.width_m)).collect();
        Coast { line, island, shore, moles, island_at: (recipe.island.at, radius) }
    }

    /// Metres to the natural shore, positive on land, negative in the sea.
    pub fn inland(&self, p: DVec2) -> f64 {
        self.shore.at(p)
    }

    /// Metres inside the outline of a pier or breakwater, negative outside.
    pub fn on_mole(&self, p: DVec2) -> f64 {
        self.moles
            .iter()
            .map(|(line, width)| {
                let near = segment_distance(p, line.points[0], line.points[line.points.len() - 1]).0;
                if near > 400.0 { -400.0 } else { width / 2.0 - line.distance(p) }
            })
            .fold(-400.0, f64::max)
    }

    /// Whether one can stand there with dry feet.
    pub fn is_land(&self, p: DVec2) -> bool {
        self.inland(p) > 0.0 || self.on_mole(p) > 0.0
    }

    /// Pier and breakwater lines with their widths.
    pub fn moles(&self) -> &[(Line, f64)] {
        &self.moles
    }

    /// How much a place of the shore is sand (1) rather than rock or quay (0).
    pub fn sand(&self, p: DVec2) -> f64 {
        let bay = ease(640.0, 800.0, p.x) * (1.0 - ease(1660.0, 1780.0, p.x));
        let east = ease(2440.0, 2540.0, p.x);
        let main = bay.max(east);
        main + (0.25 - main) * self.near_island(p)
    }

    /// How much a place of the shore is a quay wall (1).
    pub fn quay(&self, p: DVec2) -> f64 {
        1.0 - ease(510.0, 590.0, p.x)
    }

    /// 1 on the island, 0 well away from it.
    fn near_island(&self, p: DVec2) -> f64 {
        let (at, radius) = self.island_at;
        1.0 - ease(1.5 * radius, 5.0 * radius, p.distance(at))
    }
}

fn island_ring(recipe: &Recipe) -> Vec<DVec2> {
    let island = &recipe.island;
    (0..48)
        .map(|k| {
            let turn = std::f64::consts::TAU * f64::from(k) / 48.0;
            let u = crate::angle::direction(turn);
            let wave = 1.0 + 0.16 * crate::angle::sin(3.0 * turn + 0.6) + 0.07 * crate::angle::sin(7.0 * turn);
            island.at + u * island.radius_m * wave * DVec2::new(1.25, 0.85)
        })
        .collect()
}

/// Signed distance by two sweeps that hand the nearest segment on from cell to cell.
fn distance(window: Window, line: &Line) -> Field {
    let mut field = Field::over(window, 5.0, 20.0, |_| f32::INFINITY);
    let segments: Vec<(DVec2, DVec2)> = line.points.windows(2).map(|s| (s[0], s[1])).collect();
    let (w, h) = (field.width, field.height);
    let mut nearest = vec![usize::MAX; w * h];
    // the top row and the bottom row know the truth; segments near cells seed the rest
    for (s, (a, b)) in segments.iter().enumerate() {
        let (is, js) = field.cells(a.min(*b), a.max(*b), 10.0);
        for j in js {
            for i in is.clone() {
                let d = segment_distance(field.place(i, j), *a, *b).0 as f32;
                let k = j * w + i;
                if d < field.values[k] {
                    field.values[k] = d;
                    nearest[k] = s;
                }
            }
        }
    }
    if nearest.iter().all(|n| *n == usize::MAX) {
        // the shore is nowhere near the window: measure one corner, then hand it on
        let p = field.place(0, 0);
        let d = |s: usize| segment_distance(p, segments[s].0, segments[s].1).0;
        let best = (0..segments.len()).fold(0, |b, s| if d(s) < d(b) { s } else { b });
        nearest[0] = best;
        field.values[0] = d(best) as f32;
    }
    for _ in 0..2 {
        for forward in [true, false] {
            for step in 0..w * h {
                let k = if forward { step } else { w * h - 1 - step };
                let (i, j) = ((k % w) as i64, (k / w) as i64);
                for (di, dj) in [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)] {
                    let (ni, nj) = (i + di, j + dj);
                    if ni < 0 || nj < 0 || ni >= w as i64 || nj >= h as i64 {
                        continue;
                    }
                    let s = nearest[nj as usize * w + ni as usize];
                    if s == usize::MAX || s == nearest[k] {
                        continue;
                    }
                    let p = field.place(i as usize, j as usize);
                    let d = segment_distance(p, segments[s].0, segments[s].1).0 as f32;
                    if d < field.values[k] {
                        field.values[k] = d;
                        nearest[k] = s;
                    }
                }
            }
        }
    }
    for i in 0..w {
        let x = field.place(i, 0).x;
        let mut crossings: Vec<f64> = segments
            .iter()
            .filter(|(a, b)| (a.x > x) != (b.x > x))
            .map(|(a, b)| a.y + (b.y - a.y) * (x - a.x) / (b.x - a.x))
            .collect();
        crossings.sort_by(f64::total_cmp);
        for j in 0..h {
            let y = field.place(i, j).y;
            let above = crossings.len() - crossings.partition_point(|c| *c <= y);
            if above % 2 == 1 {
                field.values[j * w + i] = -field.values[j * w + i];
            }
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_and_distance_are_right() {
        let recipe = Recipe::default_city();
        let coast = Coast::new(&recipe);
        assert!(
            (coast.inland(DVec2::new(1500.0, 2500.0)) - coast.line.distance(DVec2::new(1500.0, 2500.0))).abs() < 3.0
        );
        assert!(coast.inland(DVec2::new(1200.0, 1000.0)) < -30.0);
        assert!(coast.inland(recipe.island.at) > 20.0);
        assert!(coast.on_mole(DVec2::new(1200.0, 900.0)) > 0.0);
        assert!(coast.is_land(DVec2::new(2170.0, 480.0)));
    }
}
