//! The recipe (配方): every decision that a designer made about the sample city, as text.

use std::path::Path;

use glam::DVec2;
use serde::Deserialize;

use crate::{
    SampleError,
    angle::sin_cos,
    plane::{Line, Window, in_ring},
};

/// A sample city before it is made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the district.
    pub name: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Place of the plan's (0, 0) in EPSG:4549: east, north, metres.
    pub origin: [f64; 2],
    /// Part of the plan that is made: west, south, east, north, metres.
    pub window: [f64; 4],
    /// Whether a few diameters are missing, as in real surveys.
    pub flaws: bool,
    /// Control points of the shore from west to east.
    pub(crate) coast: Vec<DVec2>,
    pub(crate) island: Island,
    pub(crate) moles: Vec<Mole>,
    pub(crate) hills: Vec<Hill>,
    pub(crate) streets: Vec<StreetPlan>,
    pub(crate) grid: Grid,
    pub(crate) zones: Vec<Zone>,
    pub(crate) sites: Vec<Site>,
    pub(crate) names: Names,
    pub(crate) planting: Planting,
    pub(crate) picture: PicturePlan,
    pub(crate) terrain: TerrainPlan,
    pub(crate) scan: ScanPlan,
    pub(crate) readings: ReadingPlan,
    /// What the city promises to hold.
    pub promises: Promises,
}

/// Island in the bay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Island {
    pub at: DVec2,
    pub radius_m: f64,
    pub height_m: f64,
}

/// Pier or breakwater (栈桥、防波堤).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mole {
    pub name: String,
    pub line: Vec<DVec2>,
    pub width_m: f64,
}

/// Hill with its foot on an ellipse.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hill {
    pub name: String,
    pub at: DVec2,
    pub radii_m: [f64; 2],
    pub turn_deg: f64,
    pub height_m: f64,
}

impl Hill {
    /// 0 at the top, 1 at the foot.
    pub fn reach(&self, p: DVec2) -> f64 {
        Ellipse { at: self.at, radii_m: self.radii_m, turn_deg: self.turn_deg }.reach(p)
    }
}

/// Ellipse in the plan.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ellipse {
    pub at: DVec2,
    pub radii_m: [f64; 2],
    pub turn_deg: f64,
}

impl Ellipse {
    /// 0 in the middle, 1 on the ellipse.
    pub fn reach(&self, p: DVec2) -> f64 {
        let (s, c) = sin_cos(self.turn_deg.to_radians());
        let q = p - self.at;
        DVec2::new((q.x * c + q.y * s) / self.radii_m[0], (q.y * c - q.x * s) / self.radii_m[1]).length()
    }

    /// Closed line around it.
    pub fn ring(&self, step: f64) -> Vec<DVec2> {
        let (s, c) = sin_cos(self.turn_deg.to_radians());
        let n = ((self.radii_m[0] + self.radii_m[1]) * 3.2 / step).ceil().max(8.0) as usize;
        (0..=n)
            .map(|k| {
                let (y, x) = sin_cos(std::f64::consts::TAU * (k % n) as f64 / n as f64);
                let q = DVec2::new(x * self.radii_m[0], y * self.radii_m[1]);
                self.at + DVec2::new(q.x * c - q.y * s, q.x * s + q.y * c)
            })
            .collect()
    }
}

/// Importance of a street (道路等级).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum Grade {
    #[serde(rename = "主干路")]
    Main,
    #[serde(rename = "次干路")]
    Secondary,
    #[serde(rename = "支路")]
    Branch,
    #[serde(rename = "街巷")]
    Lane,
}

impl Grade {
    /// Chinese word as it stands in the road layer.
    pub fn zh(self) -> &'static str {
        match self {
            Grade::Main => "主干路",
            Grade::Secondary => "次干路",
            Grade::Branch => "支路",
            Grade::Lane => "街巷",
        }
    }

    /// Width of the pavement on each side, metres.
    pub fn pavement_m(self) -> f64 {
        match self {
            Grade::Main => 6.0,
            Grade::Secondary => 4.5,
            Grade::Branch => 3.2,
            Grade::Lane => 2.4,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreetPlan {
    pub name: String,
    pub grade: Grade,
    pub width_m: f64,
    pub lanes: u32,
    #[serde(default)]
    pub line: Vec<DVec2>,
    pub ring: Option<Ellipse>,
}

impl StreetPlan {
    /// Centre line as drawn.
    pub fn centre(&self) -> Line {
        match &self.ring {
            Some(ellipse) => Line::new(ellipse.ring(10.0)),
            None => Line::smooth(&self.line, 10.0),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grid {
    pub bands: Vec<String>,
    pub across: Vec<usize>,
    pub north: f64,
    pub up: Vec<f64>,
    pub width_m: [f64; 2],
    pub holes: Vec<Hole>,
}

/// Part of the plan without grid streets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hole {
    #[serde(default)]
    pub ring: Vec<DVec2>,
    pub ellipse: Option<Ellipse>,
}

impl Hole {
    /// Whether a point lies in it.
    pub fn holds(&self, p: DVec2) -> bool {
        in_ring(p, &self.ring) || self.ellipse.as_ref().is_some_and(|e| e.reach(p) < 1.0)
    }
}

/// Character of an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ZoneKind {
    Port,
    Villas,
    OldTown,
    Cbd,
    Works,
    Shore,
    Housing,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Zone {
    pub kind: ZoneKind,
    pub ring: Vec<DVec2>,
}

/// Use of a special place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SiteKind {
    Plaza,
    Bim,
    Stadium,
    School,
    Hospital,
    Park,
    Church,
    SewageWorks,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    pub kind: SiteKind,
    pub name: String,
    pub at: DVec2,
    pub radius_m: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Names {
    pub streets: Vec<String>,
    pub estates: Vec<String>,
    pub offices: Vec<String>,
    pub owners: Owners,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owners {
    pub water: String,
    pub drain: String,
    pub gas: String,
    pub power: String,
    pub telecom: String,
    pub oil: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Planting {
    pub street_tree_m: f64,
    pub wood_tree_m: f64,
    pub lamp_m: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PicturePlan {
    pub metres_per_pixel: f64,
    pub quality: u8,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TerrainPlan {
    pub step_m: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScanPlan {
    pub at: DVec2,
    pub half_m: f64,
    pub spacing_m: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadingPlan {
    pub start: String,
    pub minutes: u32,
    pub interval_s: u32,
}

/// Least and most of what the city holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promises {
    /// Buildings in 建筑.shp.
    pub buildings: [usize; 2],
    /// Pipe segments over all classes.
    pub pipes: [usize; 2],
    /// Sensors in the registry.
    pub sensors: [usize; 2],
}

const DEFAULT: &str = include_str!("../../assets/sample/recipe.toml");

impl Recipe {
    /// The city that `groundline demo` makes.
    pub fn default_city() -> Recipe {
        Recipe::parse(DEFAULT, "assets/sample/recipe.toml").expect("the recipe in the program is tested")
    }

    /// A corner of it with fewer than a hundred buildings and every kind of file, made in a moment: for tests.
    pub fn tiny() -> Recipe {
        let mut recipe = Recipe::default_city();
        recipe.window = [1380.0, 1010.0, 1645.0, 1300.0];
        recipe.picture.metres_per_pixel = 2.0;
        recipe.scan.at = DVec2::new(1590.0, 1250.0);
        recipe.scan.half_m = 12.0;
        recipe.scan.spacing_m = 0.6;
        recipe.readings.minutes = 5;
        for site in &mut recipe.sites {
            if site.kind == SiteKind::Bim {
                site.at = DVec2::new(1440.0, 1185.0);
                site.radius_m = 30.0;
            }
        }
        recipe.promises = Promises { buildings: [10, 99], pipes: [40, 2000], sensors: [1, 80] };
        recipe
    }

    /// Reads a recipe from a TOML file and checks it.
    pub fn read(path: &Path) -> Result<Recipe, SampleError> {
        let text = std::fs::read_to_string(path).map_err(|source| SampleError::Io { path: path.to_owned(), source })?;
        Recipe::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, place: &str) -> Result<Recipe, SampleError> {
        let recipe: Recipe =
            toml::from_str(text).map_err(|e| SampleError::Recipe { place: place.to_owned(), reason: e.to_string() })?;
        recipe.check().map_err(|reason| SampleError::Recipe { place: place.to_owned(), reason })?;
        Ok(recipe)
    }

    /// The part that is made.
    pub(crate) fn extent(&self) -> Window {
        let [x0, y0, x1, y1] = self.window;
        Window { min: DVec2::new(x0, y0), max: DVec2::new(x1, y1) }
    }

    /// Place in EPSG:4549 of a point of the plan.
    pub(crate) fn shift(&self) -> DVec2 {
        DVec2::from(self.origin)
    }

    /// The site of a kind, if there is one in the window.
    pub(crate) fn site(&self, kind: SiteKind) -> Option<&Site> {
        self.sites.iter().find(|s| s.kind == kind && self.extent().contains(s.at, 0.0))
    }

    /// Character of a place.
    pub(crate) fn zone(&self, p: DVec2) -> ZoneKind {
        self.zones.iter().find(|z| in_ring(p, &z.ring)).map_or(ZoneKind::Housing, |z| z.kind)
    }

    fn check(&self) -> Result<(), String> {
        let [x0, y0, x1, y1] = self.window;
        let finite = self.window.iter().chain(&self.origin).all(|v| v.is_finite());
        if !finite || x1 - x0 < 100.0 || y1 - y0 < 100.0 || x1 - x0 > 20_000.0 || y1 - y0 > 20_000.0 {
            return Err("window: must be 100 m to 20 km wide and high".into());
        }
        if !(200_000.0..=800_000.0).contains(&self.origin[0]) || !(0.0..=10_000_000.0).contains(&self.origin[1]) {
            return Err("origin: not east and north of EPSG:4549".into());
        }
        if self.coast.len() < 2 || self.coast.len() > 10_000 {
            return Err("coast: needs 2 to 10000 points".into());
        }
        if self.coast[0].x > x0 - 100.0 || self.coast[self.coast.len() - 1].x < x1 + 100.0 {
            return Err("coast: must begin and end at least 100 m outside the window".into());
        }
        between("terrain.step_m", self.terrain.step_m, 1.0, 50.0)?;
        between("picture.metres_per_pixel", self.picture.metres_per_pixel, 0.5, 20.0)?;
        between("picture.quality", f64::from(self.picture.quality), 10.0, 100.0)?;
        between("planting.street_tree_m", self.planting.street_tree_m, 3.0, 500.0)?;
        between("planting.wood_tree_m", self.planting.wood_tree_m, 4.0, 500.0)?;
        between("planting.lamp_m", self.planting.lamp_m, 10.0, 500.0)?;
        between("scan.half_m", self.scan.half_m, 5.0, 300.0)?;
        between("scan.spacing_m", self.scan.spacing_m, 0.1, 10.0)?;
        between("readings.interval_s", f64::from(self.readings.interval_s), 1.0, 60.0)?;
        between("readings.minutes", f64::from(self.readings.minutes), 1.0, 1440.0)?;
        between("island.radius_m", self.island.radius_m, 1.0, 5000.0)?;
        for hill in &self.hills {
            between(&format!("hill {}: radii_m", hill.name), hill.radii_m[0].min(hill.radii_m[1]), 20.0, 5000.0)?;
            between(&format!("hill {}: height_m", hill.name), hill.height_m, 1.0, 600.0)?;
        }
        for street in &self.streets {
            if street.ring.is_none() && street.line.len() < 2 {
                return Err(format!("street {}: needs a line of two points or a ring", street.name));
            }
            between(&format!("street {}: width_m", street.name), street.width_m, 2.0, 80.0)?;
        }
        for band in &self.grid.bands {
            if !self.streets.iter().any(|s| &s.name == band) {
                return Err(format!("grid.bands: there is no street {band}"));
            }
        }
        if self.grid.across.len() != self.grid.bands.len() || self.grid.across.iter().any(|n| *n > 100) {
            return Err("grid.across: one number up to 100 for each band".into());
        }
        for mole in &self.moles {
            if mole.line.len() < 2 {
                return Err(format!("mole {}: needs a line of two points", mole.name));
            }
        }
        let lists = [&self.names.streets, &self.names.estates, &self.names.offices];
        if lists.iter().any(|list| list.is_empty()) {
            return Err("names: no list may be empty".into());
        }
        chrono::DateTime::parse_from_rfc3339(&self.readings.start)
            .map_err(|e| format!("readings.start {:?}: {e}", self.readings.start))?;
        Ok(())
    }
}

fn between(what: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(format!("{what}: {value} is not between {low} and {high}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_reads_and_errors_name_the_key() {
        assert!(Recipe::default_city().check().is_ok());
        assert!(Recipe::tiny().check().is_ok());
        let bad = DEFAULT.replace("step_m = 5.0", "step_m = 0.0");
        let error = Recipe::parse(&bad, "x.toml").unwrap_err().to_string();
        assert!(error.contains("x.toml") && error.contains("terrain.step_m"), "{error}");
        let bad = DEFAULT.replace("seed = 20260401", "sead = 1");
        assert!(Recipe::parse(&bad, "x.toml").unwrap_err().to_string().contains("sead"));
    }
}
