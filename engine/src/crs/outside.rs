//! PROJ itself, where a build has it: systems and ways that the built-in register does not have, and the reference that
//! everything can be held against.
//!
//! It never reaches the network: the library is built without that part, and without GeoTIFF. Its tables (`proj.db`) are
//! linked into the program. A `proj.db` in a folder that `PROJ_DATA` names, in the user's own folder, in `../share/proj`
//! beside the program or in the working folder goes before them; where that one is of another release nothing is computed
//! ([`state`]). Grids of surveys in the older formats (`.gsb`, `.gtx`) are used where they lie in those folders.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    rc::Rc,
    sync::{Once, OnceLock},
};

use glam::DVec3;
use proj::{Area, Proj, ProjBuilder};
use serde_json::Value;

use super::{Crs, CrsError, datum::datum_key};

/// Ways that a thread keeps; PROJ's objects belong to the thread that made them.
const KEPT: usize = 16;
/// Places along each side of the area of use where PROJ is asked which way it takes.
const ASKED: usize = 12;
/// Ways that a note names.
const NAMED: usize = 3;

thread_local! {
    static MADE: RefCell<Vec<(Way, Rc<Proj>)>> = const { RefCell::new(Vec::new()) };
}

/// PROJ's release, or why it cannot be asked.
pub(super) fn state() -> Result<&'static str, &'static str> {
    static STATE: OnceLock<Result<String, String>> = OnceLock::new();
    let state = STATE.get_or_init(|| {
        let about = ProjBuilder::new().lib_info().map_err(|error| error.to_string())?;
        let known = quietly(|| Proj::new("EPSG:4326"));
        known.and_then(Result::ok).map(|_| about.version.clone()).ok_or_else(|| {
            format!(
                "PROJ {} cannot read its tables: a proj.db of another release stands before the one built in, in one of \
                 {}, in ../share/proj beside the program or in the working folder; set PROJ_DATA to a folder that has none",
                about.version, about.searchpath
            )
        })
    });
    state.as_deref().map_err(String::as_str)
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
    /// The geographic system below a projected one.
    base: Option<String>,
}

impl Way {
    /// The way between two systems without any ballpark guess.
    pub fn new(source: &Crs, target: &Crs) -> Result<Self, CrsError> {
        let no_path = |reason: String| CrsError::NoPath { from: source.label(), to: target.label(), reason };
        state().map_err(|reason| no_path(reason.into()))?;
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
            // A latitude beyond the pole is no place; PROJ would say so of each on standard error.
            let is_place = !self.source.is_geographic() || (point.y.abs() <= 90.0 && point.x.abs() <= 540.0);
            let got = match is_place && point.x.is_finite() && point.y.is_finite() {
                true => made.convert(from).ok().filter(|(x, y)| x.is_finite() && y.is_finite()),
                false => None,
            };
            let (x, y) = self.target.swapped(got.unwrap_or((f64::NAN, f64::NAN)));
            (point.x, point.y) = (x * self.target.angle_deg, y * self.target.angle_deg);
        }
    }

    /// Which transformations PROJ chooses from, and how good it says they are: asked all over the area where both systems
    /// are used, since the choice depends on the place.
    pub fn note(&self) -> String {
        let release = state().unwrap_or_default();
        let mut choices: Vec<(String, f64)> = Vec::new();
        for at in self.asked_places() {
            let Some((name, accuracy_m)) = self.choice_at(at) else { continue };
            if !choices.iter().any(|(known, _)| *known == name) {
                choices.push((name, accuracy_m));
            }
        }
        let is_known = !choices.is_empty() && choices.iter().all(|(_, accuracy_m)| *accuracy_m >= 0.0);
        let best_m = choices.iter().fold(f64::INFINITY, |best, (_, accuracy_m)| best.min(*accuracy_m));
        let worst_m = choices.iter().fold(0.0_f64, |worst, (_, accuracy_m)| worst.max(*accuracy_m));
        let accuracy = match is_known {
            true if worst_m == 0.0 => "exact".to_string(),
            true if best_m == worst_m => format!("good to about {worst_m} m"),
            true => format!("good to about {best_m} to {worst_m} m"),
            false => "of an accuracy that is not known everywhere".to_string(),
        };
        let mut names: Vec<String> = choices.iter().take(NAMED).map(|(name, _)| format!("'{name}'")).collect();
        if choices.len() > NAMED {
            names.push(format!("{} more", choices.len() - NAMED));
        }
        let how = match choices.len() {
            0 => String::new(),
            1 => format!(" by {}", names.join("")),
            _ => format!(" by {}, chosen by the place", names.join(", ")),
        };
        let grids = match worst_m >= 1.0 || !is_known {
            true => "; a survey's grid (.gsb) in a folder that PROJ_DATA names is used where PROJ knows it",
            false => "",
        };
        format!("converted by PROJ {release}{how}: {accuracy}{grids}")
    }

    /// Name and accuracy in metres (negative: unknown) of what PROJ uses at a place of the source.
    fn choice_at(&self, at: DVec3) -> Option<(String, f64)> {
        let made = self.made().ok()?;
        let from = self.source.swapped((at.x / self.source.angle_deg, at.y / self.source.angle_deg));
        let (x, y) = made.convert(from).ok()?;
        if !(x.is_finite() && y.is_finite()) {
            return None;
        }
        let info = made.proj_info();
        let whole = info.description?;
        // Projections and turned axes cost nothing; what is left is named after both datums.
        let shifts: Vec<&str> = whole.split(" + ").filter(|step| step.contains(" to ")).collect();
        let name = if shifts.is_empty() { whole.clone() } else { shifts.join(" + ") };
        Some((name, info.accuracy))
    }

    /// Places in the source's coordinates, spread over where both systems are used; none where PROJ does not say.
    fn asked_places(&self) -> Vec<DVec3> {
        let Some([west, south, east, north]) = self.shared_area() else { return Vec::new() };
        let part = |i: usize| (i as f64 + 0.5) / ASKED as f64;
        let mut places: Vec<DVec3> = (0..ASKED * ASKED)
            .map(|i| {
                let lon = west + (east - west) * part(i % ASKED);
                DVec3::new((lon + 540.0).rem_euclid(360.0) - 180.0, south + (north - south) * part(i / ASKED), 0.0)
            })
            .collect();
        if let Some(base) = &self.source.base {
            let Ok(base) = Side::read(base.clone(), true) else { return Vec::new() };
            Self { source: base, target: self.source.clone() }.apply(&mut places);
        }
        places.retain(|place| place.x.is_finite() && place.y.is_finite());
        places
    }

    /// West, south, east, north in degrees, east above 180 across the date line.
    fn shared_area(&self) -> Option<[f64; 4]> {
        let area = |side: &Side| {
            let proj = quietly(|| Proj::new(&side.text))?.ok()?;
            let (area, _) = proj.area_of_use().ok()?;
            let Area { west, south, east, north } = area?;
            Some([west, south, if east < west { east + 360.0 } else { east }, north])
        };
        let (source, target) = (area(&self.source), area(&self.target));
        let (Some(a), Some(b)) = (source, target) else { return source.or(target) };
        // The second may lie a turn away from the first, as round the date line, or all around the Earth.
        let wide = |c: &[f64; 4]| if c[2] - c[0] >= 360.0 { [-540.0, c[1], 540.0, c[3]] } else { *c };
        let (a, b) = (wide(&a), wide(&b));
        let turned = [0.0, 360.0, -360.0].map(|turn| [b[0] + turn, b[1], b[2] + turn, b[3]]);
        let shared = turned.map(|b| [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
        let size = |c: &[f64; 4]| (c[2] - c[0]).clamp(0.0, 360.0) * (c[3] - c[1]).max(0.0);
        let whole = shared.into_iter().max_by(|a, b| size(a).total_cmp(&size(b)))?;
        let whole = if size(&whole) > 0.0 {
            whole
        } else if size(&a) < size(&b) {
            a
        } else {
            b
        };
        Some([whole[0], whole[1], whole[2].min(whole[0] + 360.0), whole[3]])
    }

    fn made(&self) -> Result<Rc<Proj>, String> {
        MADE.with_borrow_mut(|made| {
            if let Some((_, proj)) = made.iter().find(|(way, _)| way == self) {
                return Ok(proj.clone());
            }
            let (source, target) = (read(&self.source.text)?, read(&self.target.text)?);
            let options = Some(vec!["ALLOW_BALLPARK=NO"]);
            let made_now = quietly(|| source.create_crs_to_crs_from_pj(&target, None, options));
            let proj = made_now.ok_or("PROJ has no way without guessing")?.map_err(|e| e.to_string())?;
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
        Self::read(text, crs.is_geographic)
    }

    fn read(text: String, is_geographic: bool) -> Result<Self, String> {
        let system = horizontal(json(&text)?);
        Ok(Self {
            angle_deg: if is_geographic { angle_deg(&system) } else { 1.0 },
            is_yx: is_yx(&system),
            base: (!is_geographic).then(|| system["base_crs"].to_string()),
            text,
        })
    }

    fn is_geographic(&self) -> bool {
        self.base.is_none()
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

/// What the binding makes, `None` where it panics: it does so where PROJ gives nothing and names no error. Such a panic is
/// no accident, and nothing of it goes to standard error.
fn quietly<T>(make: impl FnOnce() -> T) -> Option<T> {
    thread_local! {
        static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_QUIET.try_with(Cell::get).unwrap_or(false) {
                before(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let made = catch_unwind(AssertUnwindSafe(make));
    IS_QUIET.set(false);
    made.ok()
}

fn read(text: &str) -> Result<Proj, String> {
    quietly(|| Proj::new(text)).ok_or("PROJ does not read it")?.map_err(|error| error.to_string())
}

fn json(text: &str) -> Result<Value, String> {
    let proj = read(text)?;
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
