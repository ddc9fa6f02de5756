//! PROJ itself, where a build has it: systems and ways that the built-in register does not have, and the reference that
//! everything can be held against. It never reaches the network: the library is built without that part.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use glam::DVec3;
use proj::Proj;
use serde_json::Value;

use super::{Crs, CrsError, datum::datum_key};

/// Ways that a thread keeps; PROJ's objects belong to the thread that made them.
const KEPT: usize = 16;

thread_local! {
    static MADE: RefCell<Vec<(Way, Rc<Proj>)>> = const { RefCell::new(Vec::new()) };
}

/// A way between two systems that PROJ computes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Way {
    source: Side,
    target: Side,
}

/// One end of it.
#[derive(Clone, Debug, PartialEq)]
struct Side {
    /// What PROJ reads.
    text: String,
    /// Degrees per unit of a geographic system's angles; 1 for planes.
    angle_deg: f64,
    /// Whether north stands before east.
    is_yx: bool,
}

impl Way {
    /// The way between two systems without any ballpark guess.
    pub fn new(source: &Crs, target: &Crs) -> Result<Self, CrsError> {
        let no_path = |reason: String| CrsError::NoPath { from: source.label(), to: target.label(), reason };
        let way = Self { source: Side::of(source).map_err(no_path)?, target: Side::of(target).map_err(no_path)? };
        way.made().map_err(no_path)?;
        Ok(way)
    }

    /// Converts in place; z stays, a point that PROJ does not convert becomes NaN.
    pub fn apply(&self, points: &mut [DVec3]) {
        let Ok(made) = self.made() else {
            points.iter_mut().for_each(|p| (p.x, p.y) = (f64::NAN, f64::NAN));
            return;
        };
        for point in points {
            let from = self.source.swapped((point.x / self.source.angle_deg, point.y / self.source.angle_deg));
            let got = match point.x.is_finite() && point.y.is_finite() {
                true => made.convert(from).ok().filter(|(x, y)| x.is_finite() && y.is_finite()),
                false => None,
            };
            let (x, y) = self.target.swapped(got.unwrap_or((f64::NAN, f64::NAN)));
            (point.x, point.y) = (x * self.target.angle_deg, y * self.target.angle_deg);
        }
    }

    fn made(&self) -> Result<Rc<Proj>, String> {
        MADE.with_borrow_mut(|made| {
            if let Some((_, proj)) = made.iter().find(|(way, _)| way == self) {
                return Ok(proj.clone());
            }
            let [source, target] = [&self.source, &self.target].map(|side| Proj::new(&side.text));
            let (source, target) = (source.map_err(|e| e.to_string())?, target.map_err(|e| e.to_string())?);
            let options = Some(vec!["ALLOW_BALLPARK=NO"]);
            // The binding panics where PROJ finds no way and names no error.
            let made_now = catch_unwind(AssertUnwindSafe(|| source.create_crs_to_crs_from_pj(&target, None, options)));
            let proj = made_now.map_err(|_| "PROJ has no way without guessing")?.map_err(|e| e.to_string())?;
            if made.len() >= KEPT {
                made.remove(0);
            }
            made.push((self.clone(), Rc::new(proj)));
            Ok(made.last().map(|(_, proj)| proj.clone()).ok_or("no way was kept")?)
        })
    }
}

impl Side {
    fn of(crs: &Crs) -> Result<Self, String> {
        let text = match crs.epsg {
            Some(code) => format!("EPSG:{code}"),
            None if crs.proj4.starts_with('+') => format!("{} +type=crs", crs.proj4),
            None => crs.proj4.clone(),
        };
        let system = horizontal(json(&text)?);
        Ok(Self { angle_deg: if crs.is_geographic { angle_deg(&system) } else { 1.0 }, is_yx: is_yx(&system), text })
    }

    fn swapped(&self, (x, y): (f64, f64)) -> (f64, f64) {
        if self.is_yx { (y, x) } else { (x, y) }
    }
}

/// The system that PROJ reads in `text` (a code as `EPSG:102100`, any WKT, PROJJSON).
pub(super) fn system(text: &str, epsg: Option<u32>) -> Option<Crs> {
    let system = horizontal(json(text).ok()?);
    let kind = system["type"].as_str()?;
    let is_geographic = matches!(kind, "GeographicCRS" | "DerivedGeographicCRS");
    if !is_geographic && !matches!(kind, "ProjectedCRS" | "DerivedProjectedCRS") {
        return None;
    }
    let base =
        |value: &Value| value["datum"]["name"].as_str().or(value["datum_ensemble"]["name"].as_str()).map(datum_key);
    let datum =
        base(&system).or_else(|| base(&system["base_crs"])).or_else(|| base(&system["base_crs"]["base_crs"]))?;
    Some(Crs {
        epsg,
        name: system["name"].as_str().unwrap_or("unnamed").into(),
        proj4: text.into(),
        is_geographic,
        unit_m: if is_geographic { 1.0 } else { unit(&system["coordinate_system"]["axis"][0], 1.0) },
        datum,
        vertical: None,
    })
}

/// The geographic base of such a system.
pub(super) fn base(crs: &Crs) -> Option<Crs> {
    let whole = horizontal(json(&crs.proj4).ok()?);
    system(&whole["base_crs"].to_string(), None)
}

fn json(text: &str) -> Result<Value, String> {
    let made = catch_unwind(|| Proj::new(text)).map_err(|_| "PROJ does not read it")?;
    let proj = made.map_err(|e| e.to_string())?;
    let written = proj.to_projjson(Some(false), None, None).map_err(|e| e.to_string())?;
    serde_json::from_str(&written).map_err(|e| e.to_string())
}

fn horizontal(mut whole: Value) -> Value {
    for _ in 0..4 {
        whole = match whole["type"].as_str() {
            Some("CompoundCRS") => whole["components"][0].take(),
            Some("BoundCRS") => whole["source_crs"].take(),
            _ => return whole,
        };
    }
    whole
}

fn unit(axis: &Value, usual: f64) -> f64 {
    axis["unit"]["conversion_factor"].as_f64().unwrap_or(usual)
}

fn angle_deg(system: &Value) -> f64 {
    let degrees = unit(&system["coordinate_system"]["axis"][0], 1_f64.to_radians()).to_degrees();
    if (degrees - 1.0).abs() < 1e-9 { 1.0 } else { degrees }
}

/// As PROJ itself decides what to turn for display.
fn is_yx(system: &Value) -> bool {
    let axis = |i: usize| {
        let axis = &system["coordinate_system"]["axis"][i];
        let lower = |key: &str| axis[key].as_str().unwrap_or_default().to_lowercase();
        (lower("direction"), lower("name"))
    };
    let (first, second) = (axis(0), axis(1));
    match (first.0.as_str(), second.0.as_str()) {
        ("north", "east") => true,
        ("north", "north") | ("south", "south") => first.1.starts_with("northing") && second.1.starts_with("easting"),
        _ => false,
    }
}
