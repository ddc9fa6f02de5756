//! Cross sections of links.

use groundline_engine::model::Section;

use crate::inp::{number, section::Row, unit::Units};

/// A row of `[XSECTIONS]`, not yet with sizes.
#[derive(Clone, Debug)]
pub(super) struct Xsection {
    pub line: u64,
    /// `CIRCULAR`.
    pub shape: String,
    /// First parameter as text: a name for irregular channels and streets.
    first: String,
    geometry: [f64; 4],
    pub barrels: f64,
}

/// The outline of an irregular channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Transect {
    station: [f64; 2],
    elevation: [f64; 2],
    width_factor: f64,
}

/// A cross section with its sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outline {
    pub section: Section,
    /// Whether it is open at the top: a channel and no pipe.
    pub is_open: bool,
    /// Whether the section is the shape itself and not a rectangle around it.
    pub is_exact: bool,
}

/// Heights and widths of standard elliptical concrete pipes by size code, inches (SWMM 5 manual, table A.12).
#[rustfmt::skip]
const ELLIPSES_IN: [(f64, f64); 23] = [
    (14.0, 23.0), (19.0, 30.0), (22.0, 34.0), (24.0, 38.0), (27.0, 42.0), (29.0, 45.0), (32.0, 49.0), (34.0, 53.0), (38.0, 60.0),
    (43.0, 68.0), (48.0, 76.0), (53.0, 83.0), (58.0, 91.0), (63.0, 98.0), (68.0, 106.0), (72.0, 113.0), (77.0, 121.0),
    (82.0, 128.0), (87.0, 136.0), (92.0, 143.0), (97.0, 151.0), (106.0, 166.0), (116.0, 180.0),
];
const INCH_M: f64 = 0.0254;
/// No sewer or channel is larger, metres.
const LARGEST_M: f64 = 1000.0;

impl Xsection {
    /// Reads `Link Shape Geom1 Geom2 Geom3 Geom4 Barrels`.
    pub fn parse(row: &Row<'_>) -> Result<Self, String> {
        let shape = row.get(1).to_ascii_uppercase();
        let has_name = matches!(shape.as_str(), "IRREGULAR" | "STREET");
        let mut geometry = [0.0; 4];
        for (i, slot) in geometry.iter_mut().enumerate() {
            // The second parameter of a custom shape is the name of a curve.
            if has_name || shape == "CUSTOM" && i > 0 {
                continue;
            }
            *slot = row.number(2 + i)?.unwrap_or(0.0);
        }
        let barrels = number(row.get(6)).filter(|n| *n >= 1.0 && !has_name).unwrap_or(1.0);
        Ok(Self { line: row.line, shape, first: row.get(2).to_owned(), geometry, barrels })
    }

    /// Name of the transect that gives the sizes.
    pub fn transect(&self) -> Option<&str> {
        (self.shape == "IRREGULAR").then_some(self.first.as_str())
    }

    /// Sizes in metres; `None` when they are not known or not believed.
    pub fn outline(&self, units: &Units, transect: Option<&Transect>) -> Option<Outline> {
        let unit = units.length_m();
        let [a, b, c, d] = self.geometry;
        let (h, w) = (a * unit, b * unit);
        // Whole micrometres: 58 inches are 1.4732 m and not 1.4731999999999998.
        let round = |metres: f64| (metres * 1e6).round() / 1e6;
        let rect = |width: f64, height: f64| Section::Rect { width_m: round(width), height_m: round(height) };
        let exact = |section| (section, false, true);
        // SWMM's ratios of greatest width to height.
        let by_height = |ratio: f64| (rect(ratio * h, h), false, false);
        let (section, is_open, is_exact) = match self.shape.as_str() {
            "CIRCULAR" | "FORCE_MAIN" | "FILLED_CIRCULAR" => exact(Section::Circle { diameter_m: round(h) }),
            "RECT_CLOSED" => exact(rect(w, h)),
            "RECT_OPEN" => (rect(w, h), true, true),
            "TRAPEZOIDAL" => (rect(w + (c + d) * h, h), true, false),
            "TRIANGULAR" | "PARABOLIC" | "POWER" => (rect(w, h), true, false),
            "RECT_TRIANGULAR" | "RECT_ROUND" | "MODBASKETHANDLE" => (rect(w, h), false, false),
            "HORIZ_ELLIPSE" | "VERT_ELLIPSE" | "ARCH" if b > 0.0 && c <= 0.0 => (rect(w, h), false, false),
            shape @ ("HORIZ_ELLIPSE" | "VERT_ELLIPSE") => {
                let code = if b == 0.0 { a } else { c };
                let (minor, major) = ELLIPSES_IN.get((code as usize).checked_sub(1)?)?;
                let (minor, major) = (minor * INCH_M, major * INCH_M);
                let section = if shape == "VERT_ELLIPSE" { rect(minor, major) } else { rect(major, minor) };
                (section, false, false)
            }
            "EGG" => by_height(2.0 / 3.0),
            "HORSESHOE" | "SEMIELLIPTICAL" => by_height(1.0),
            "GOTHIC" => by_height(0.84),
            "CATENARY" => by_height(0.9),
            "BASKETHANDLE" => by_height(0.944),
            "SEMICIRCULAR" => by_height(1.64),
            "IRREGULAR" => {
                let (width, height) = transect?.size();
                (rect(width * unit, height * unit), true, false)
            }
            // A custom closed shape is known by its height.
            "CUSTOM" => by_height(1.0),
            _ => return None,
        };
        let is_plausible = match section {
            Section::Circle { diameter_m } => (0.001..=30.0).contains(&diameter_m),
            Section::Rect { width_m, height_m } => [width_m, height_m].iter().all(|m| (0.001..=LARGEST_M).contains(m)),
        };
        is_plausible.then_some(Outline { section, is_open, is_exact })
    }
}

impl Transect {
    /// Without any point.
    pub fn new(width_factor: f64) -> Self {
        let nothing = [f64::INFINITY, f64::NEG_INFINITY];
        Self { station: nothing, elevation: nothing, width_factor }
    }

    /// Adds a point of the ground.
    pub fn add(&mut self, elevation: f64, station: f64) {
        let wider = |[low, high]: [f64; 2], n: f64| [low.min(n), high.max(n)];
        self.elevation = wider(self.elevation, elevation);
        self.station = wider(self.station, station);
    }

    /// Width and height in the file's unit.
    fn size(&self) -> (f64, f64) {
        let factor = if self.width_factor > 0.0 { self.width_factor } else { 1.0 };
        ((self.station[1] - self.station[0]) * factor, self.elevation[1] - self.elevation[0])
    }
}
