//! The ground (地形): hills, a plain that falls to the sea, the sea's floor, and the beds that streets and houses are cut into.

use glam::DVec2;

use crate::{
    building::Building,
    coast::Coast,
    plane::{Field, ease, segment_distance},
    random::noise,
    recipe::Recipe,
    street::Street,
};

/// Ground heights in the 1985 datum, metres, on the lattice of the DEM's pixel centres.
#[derive(Clone, Debug)]
pub(crate) struct Terrain {
    /// Heights.
    pub field: Field,
}

impl Terrain {
    /// Ground before anyone built on it.
    pub fn natural(recipe: &Recipe, coast: &Coast) -> Terrain {
        let step = recipe.terrain.step_m;
        let field = Field::over(recipe.extent(), step, 3.5 * step, |p| height(recipe, coast, p) as f32);
        Terrain { field }
    }

    /// Height at a place.
    pub fn at(&self, p: DVec2) -> f64 {
        self.field.at(p)
    }

    /// Steepness at a place, metres per metre.
    pub fn slope(&self, p: DVec2) -> f64 {
        let s = self.field.step;
        let dx = self.at(p + DVec2::new(s, 0.0)) - self.at(p - DVec2::new(s, 0.0));
        let dy = self.at(p + DVec2::new(0.0, s)) - self.at(p - DVec2::new(0.0, s));
        DVec2::new(dx, dy).length() / (2.0 * s)
    }

    /// Cuts the streets into the slopes: level across, smooth along.
    pub fn lay_streets(&mut self, streets: &[Street]) {
        let n = self.field.values.len();
        let (mut sum, mut weight, mut most) = (vec![0f32; n], vec![0f32; n], vec![0f32; n]);
        for street in streets {
            let bed = street.half_m() + street.grade.pavement_m() + 1.5;
            let pieces = (street.line.length() / 10.0).ceil().max(1.0) as usize;
            let places: Vec<DVec2> =
                (0..=pieces).map(|k| street.line.at(street.line.length() * k as f64 / pieces as f64).0).collect();
            let mut profile: Vec<f64> = places.iter().map(|p| self.at(*p)).collect();
            for _ in 0..12 {
                let before = profile.clone();
                for k in 1..pieces {
                    profile[k] = 0.25 * before[k - 1] + 0.5 * before[k] + 0.25 * before[k + 1];
                }
            }
            for k in 0..pieces {
                let (a, b) = (places[k], places[k + 1]);
                let (is, js) = self.field.cells(a.min(b), a.max(b), bed + 14.0);
                for j in js {
                    for i in is.clone() {
                        let (d, t) = segment_distance(self.field.place(i, j), a, b);
                        let w = (1.0 - ease(bed, bed + 14.0, d)) as f32;
                        if w <= 0.0 {
                            continue;
                        }
                        let cell = j * self.field.width + i;
                        let z = (profile[k] + (profile[k + 1] - profile[k]) * t) as f32;
                        let w2 = w * w * w;
                        sum[cell] += w2 * z;
                        weight[cell] += w2;
                        most[cell] = most[cell].max(w);
                    }
                }
            }
        }
        for k in 0..n {
            if weight[k] > 0.0 {
                let old = self.field.values[k];
                self.field.values[k] = old + (sum[k] / weight[k] - old) * most[k];
            }
        }
    }

    /// Levels the plots of buildings on slopes, so that no wall floats and none drowns.
    pub fn level_plots(&mut self, buildings: &[Building]) {
        for building in buildings {
            let (min, max) = building.bounds();
            let middle = (min + max) / 2.0;
            if self.slope(middle) < 0.02 {
                continue;
            }
            let z = self.at(middle) as f32;
            let (is, js) = self.field.cells(min, max, 1.0);
            for j in js {
                for i in is.clone() {
                    if building.holds(self.field.place(i, j), 1.5) {
                        let k = j * self.field.width + i;
                        self.field.values[k] += (z - self.field.values[k]) * 0.8;
                    }
                }
            }
        }
    }

    /// Rounds to millimetres, so that every reader sees the same ground as the generator.
    pub fn settle(&mut self) {
        for v in &mut self.field.values {
            *v = (*v * 1000.0).round() / 1000.0;
        }
    }
}

fn height(recipe: &Recipe, coast: &Coast, p: DVec2) -> f64 {
    let d = coast.inland(p);
    let (sand, quay) = (coast.sand(p), coast.quay(p));
    let seed = recipe.seed;
    let mut z = if d >= 0.0 {
        let beach = 3.6 * ease(0.0, 62.0, d) + 0.25 * ease(0.0, 4.0, d);
        let rock = 4.2 * ease(-2.0, 16.0, d);
        let wall = 3.4 * ease(0.0, 5.0, d);
        let shore = (beach * sand + rock * (1.0 - sand)) * (1.0 - quay) + wall * quay;
        let rise = (d - 60.0).max(0.0);
        let swell = (noise(seed ^ 11, p.x / 420.0, p.y / 420.0) - 0.35) * 2.4 * ease(80.0, 700.0, d);
        shore + 0.0125 * rise + swell
    } else {
        let s = -d;
        let beach = -0.035 * s.min(90.0) - 0.012 * (s - 90.0).max(0.0);
        let rock = -0.22 * s.min(18.0) - 0.016 * (s - 18.0).max(0.0);
        let wall = -9.5 * ease(0.0, 9.0, s) - 0.004 * s;
        let ripple = (noise(seed ^ 12, p.x / 60.0, p.y / 60.0) - 0.5) * 0.8 * ease(5.0, 80.0, s);
        (beach * sand + rock * (1.0 - sand)) * (1.0 - quay) + wall * quay + ripple
    };
    let bend = DVec2::new(noise(seed ^ 13, p.x / 140.0, p.y / 140.0), noise(seed ^ 14, p.x / 140.0, p.y / 140.0));
    let bent = p + (bend - DVec2::splat(0.5)) * 70.0;
    for hill in &recipe.hills {
        let r = hill.reach(p) * 0.45 + hill.reach(bent) * 0.55;
        if r < 1.0 {
            let bell = (1.0 - r * r) * (1.0 - r * r);
            let crags = 1.0 + 0.10 * (noise(seed ^ 15, p.x / 45.0, p.y / 45.0) - 0.5) * ease(1.0, 0.6, r);
            z += hill.height_m * bell * crags * ease(2.0, 40.0, d);
        }
    }
    if coast.inland(p) > -5.0 {
        let r = p.distance(recipe.island.at) / (recipe.island.radius_m * 0.95);
        if r < 1.0 {
            z += recipe.island.height_m * (1.0 - r * r) * (1.0 - r * r);
        }
    }
    let mole = coast.on_mole(p);
    if mole > -12.0 && d < 20.0 { z.max(3.4 + mole.min(0.0) * 1.3) } else { z }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn land_is_dry_and_sea_is_wet() {
        let recipe = Recipe::default_city();
        let coast = Coast::new(&recipe);
        let ground = Terrain::natural(&recipe, &coast);
        assert!(ground.at(DVec2::new(1200.0, 700.0)) < -2.0);
        assert!(ground.at(DVec2::new(1000.0, 1300.0)) > 2.0);
        let top = ground.at(DVec2::new(2445.0, 2230.0));
        assert!((150.0..210.0).contains(&top), "{top}");
        for j in 0..60 {
            for i in 0..60 {
                let p = DVec2::new(f64::from(i), f64::from(j)) * 50.0;
                if coast.inland(p) > 20.0 {
                    assert!(ground.at(p) > 0.5, "{p} {}", ground.at(p));
                }
            }
        }
    }
}
