//! From one system to another.

use std::sync::Arc;

use glam::DVec3;
use proj4rs::{
    Proj,
    transform::{Transform as Coordinates, TransformClosure, transform},
};

use super::{
    Crs, CrsError,
    datum::{Way, way_to_wgs84},
    parameter::Parameters,
    patch::Patches,
};

/// Words that make the projection library shift datums or heights by itself.
const DATUM_WORDS: &[&str] = &["towgs84", "datum", "nadgrids", "vunits", "vto_meter", "geoidgrids", "wktext"];

/// The formula of web maps on its sphere.
const WEB_MERCATOR: &str = "+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m";

/// From one system to another.
#[derive(Clone)]
pub struct Transform {
    steps: Arc<[Step]>,
    /// PROJ's way in place of the steps.
    #[cfg(feature = "proj")]
    outside: Option<Arc<super::outside::Way>>,
    /// Two paths in place of the steps, which meet in WGS 84.
    #[cfg(feature = "proj")]
    parts: Option<Arc<[Transform; 2]>>,
    patches: Arc<Patches>,
    source_is_geographic: bool,
    target_is_geographic: bool,
    note: Option<String>,
}

/// One pair of systems that the projection library converts between.
struct Step {
    source: Proj,
    target: Proj,
}

impl Transform {
    /// The path from `source` to `target`.
    ///
    /// Projections are exact. Datums that are geocentric (WGS 84, CGCS2000, ETRS89, NAD83 …) are taken as equal, others
    /// are shifted by the Helmert parameters of the register; [`Transform::note`] says what that costs.
    ///
    /// # Errors
    /// [`CrsError::NoPath`] when there is no trusted path, as between Beijing 1954 or Xian 1980 and any other datum.
    /// A build with the feature `proj` asks PROJ before it says so of other datums; where PROJ has no way either, it asks
    /// for one to WGS 84 and goes on from there by what is built in.
    pub fn new(source: &Crs, target: &Crs) -> Result<Self, CrsError> {
        let own = Self::own(source, target);
        #[cfg(feature = "proj")]
        let own = own.or_else(|error| match needs_a_survey(source, target) {
            true => Err(error),
            false => Self::reference(source, target).or_else(|error| Self::through_world(source, target).ok_or(error)),
        });
        own
    }

    #[cfg(feature = "proj")]
    fn through_world(source: &Crs, target: &Crs) -> Option<Self> {
        let world = Crs::from_epsg(4326).ok()?;
        let parts = match (Self::own(source, &world), Self::own(&world, target)) {
            (Ok(own), Err(_)) => [own, Self::reference(&world, target).ok()?],
            (Err(_), Ok(own)) => [Self::reference(source, &world).ok()?, own],
            _ => return None,
        };
        Some(Self {
            steps: Arc::new([]),
            outside: None,
            patches: Arc::new(Patches::new(unit_of(source), unit_of(target))),
            source_is_geographic: source.is_geographic,
            target_is_geographic: target.is_geographic,
            note: None,
            parts: Some(Arc::new(parts)),
        })
    }

    /// The path that PROJ itself computes, whatever the built-in code can do: the reference for tests and for doubts.
    ///
    /// # Errors
    /// [`CrsError::NoPath`] when PROJ has none without grids that are not there and without guessing, and between
    /// Beijing 1954 or Xian 1980 and any other datum.
    #[cfg(feature = "proj")]
    pub fn reference(source: &Crs, target: &Crs) -> Result<Self, CrsError> {
        if needs_a_survey(source, target) {
            return Self::own(source, target);
        }
        let way = super::outside::Way::new(source, target)?;
        Ok(Self {
            steps: Arc::new([]),
            outside: Some(Arc::new(way)),
            parts: None,
            patches: Arc::new(Patches::new(unit_of(source), unit_of(target))),
            source_is_geographic: source.is_geographic,
            target_is_geographic: target.is_geographic,
            note: None,
        })
    }

    fn own(source: &Crs, target: &Crs) -> Result<Self, CrsError> {
        let no_path = |reason: String| CrsError::NoPath { from: source.label(), to: target.label(), reason };
        let proj = |text: &str| Proj::from_proj_string(text).map_err(|e| no_path(e.to_string()));
        let mut steps = Vec::new();
        let mut note = None;
        let (from, to) = (source.parameters(), target.parameters());
        let plane = |p: &Parameters| match p.is_web_mercator() {
            true => WEB_MERCATOR.to_string(),
            false => p.clone().with_ellipsoid().without(DATUM_WORDS).text(),
        };
        for (crs, parameters) in [(source, &from), (target, &to)] {
            if parameters.shape().is_none() {
                return Err(no_path(format!("{} is not among the systems built in; {}", crs.label(), super::more())));
            }
        }
        let same_system = source.datum == target.datum && from.shape() == to.shape();
        if !same_system {
            let (from_ellipsoid, to_ellipsoid) = (from.geographic().with_ellipsoid(), to.geographic().with_ellipsoid());
            let mut push = |a: String, b: String| -> Result<(), CrsError> {
                steps.push(Step { source: proj(&a)?, target: proj(&b)? });
                Ok(())
            };
            let shift = Shift::between(source, target).map_err(no_path)?;
            note = shift.note(source, target);
            match shift {
                // Same latitudes and longitudes on both sides: one step does it all.
                Shift::Same | Shift::Equal => push(plane(&from), plane(&to))?,
                Shift::Helmert { from: from_shift, to: to_shift, .. } => {
                    let hub = |base: &Parameters, towgs84: &str| {
                        let mut base = base.without(&["datum", "pm"]);
                        base.set("towgs84", towgs84);
                        base.text()
                    };
                    let greenwich = |p: &Parameters| p.without(&["datum", "pm"]).text();
                    push(plane(&from), greenwich(&from_ellipsoid))?;
                    push(hub(&from_ellipsoid, &from_shift), hub(&to_ellipsoid, &to_shift))?;
                    push(greenwich(&to_ellipsoid), plane(&to))?;
                }
            }
        }
        Ok(Self {
            steps: steps.into(),
            #[cfg(feature = "proj")]
            outside: None,
            #[cfg(feature = "proj")]
            parts: None,
            patches: Arc::new(Patches::new(unit_of(source), unit_of(target))),
            source_is_geographic: source.is_geographic,
            target_is_geographic: target.is_geographic,
            note,
        })
    }

    /// What the path costs in accuracy, for the import report; `None` when it is exact. PROJ is asked for it anew each time.
    pub fn note(&self) -> Option<String> {
        #[cfg(feature = "proj")]
        if let Some(way) = &self.outside {
            return Some(way.note());
        }
        #[cfg(feature = "proj")]
        if let Some(parts) = &self.parts {
            let notes: Vec<String> = parts.iter().filter_map(Self::note).collect();
            return (!notes.is_empty()).then(|| notes.join("; "));
        }
        self.note.clone()
    }

    /// Whether source and target are the same system, so that nothing is computed.
    pub fn is_identity(&self) -> bool {
        #[cfg(feature = "proj")]
        if self.outside.is_some() || self.parts.is_some() {
            return false;
        }
        self.steps.is_empty()
    }

    /// Converts in place. x/y are longitude/latitude in degrees for geographic systems, else plane units
    /// (east, north); z passes through unchanged. A point that cannot be converted becomes NaN.
    ///
    /// Uses polynomials on a fixed grid of patches, each held to less than 0.1 mm from [`Transform::apply_exact`], many
    /// times faster: a point's result depends on its place alone, not on the batch or the thread.
    pub fn apply(&self, points: &mut [DVec3]) {
        // PROJ's own ways may bend at the edges of grids and areas.
        #[cfg(feature = "proj")]
        if self.outside.is_some() {
            self.apply_exact(points);
            return;
        }
        #[cfg(feature = "proj")]
        if let Some(parts) = &self.parts {
            parts.iter().for_each(|part| part.apply(points));
            return;
        }
        if !self.steps.is_empty() {
            self.patches.apply(points, &|some| self.apply_exact(some));
        }
    }

    /// Converts in place as [`Transform::apply`] does, each point by the projection's own formulas.
    pub fn apply_exact(&self, points: &mut [DVec3]) {
        #[cfg(feature = "proj")]
        if let Some(way) = &self.outside {
            way.apply(points);
            return;
        }
        #[cfg(feature = "proj")]
        if let Some(parts) = &self.parts {
            parts.iter().for_each(|part| part.apply_exact(points));
            return;
        }
        if self.steps.is_empty() {
            return;
        }
        if self.source_is_geographic {
            for point in points.iter_mut() {
                // A latitude beyond the pole is no place; the library would fold it back.
                if point.y.abs() <= 90.0 && point.x.abs() <= 540.0 {
                    (point.x, point.y) = (point.x.to_radians(), point.y.to_radians());
                } else {
                    (point.x, point.y) = (f64::NAN, f64::NAN);
                }
            }
        }
        for step in self.steps.iter() {
            // Every single failure becomes NaN in `Batch`; an error here means that no path exists in this direction.
            if transform(&step.source, &step.target, &mut Batch(points)).is_err() {
                points.iter_mut().for_each(|p| (p.x, p.y) = (f64::NAN, f64::NAN));
                return;
            }
        }
        if self.target_is_geographic {
            for point in points.iter_mut() {
                (point.x, point.y) = (point.x.to_degrees(), point.y.to_degrees());
            }
        }
    }

    /// Converts one point by the projection's own formulas; `None` when it cannot be converted.
    pub fn point(&self, point: DVec3) -> Option<DVec3> {
        let mut one = [point];
        self.apply_exact(&mut one);
        one[0].is_finite().then_some(one[0])
    }
}

/// Whether one of two different datums is an old Chinese one, of which no transformation is published.
#[cfg(feature = "proj")]
fn needs_a_survey(source: &Crs, target: &Crs) -> bool {
    source.datum != target.datum && [source, target].iter().any(|crs| super::datum::is_chinese_local(&crs.datum))
}

/// Metres per unit of a plane, `None` for degrees.
fn unit_of(crs: &Crs) -> Option<f64> {
    (!crs.is_geographic).then_some(crs.unit_m)
}

/// What happens between the two datums.
enum Shift {
    Same,
    Equal,
    Helmert { from: String, to: String, notes: Vec<String> },
}

impl Shift {
    fn between(source: &Crs, target: &Crs) -> Result<Self, String> {
        if source.datum == target.datum && source.datum != "unnamed" {
            return Ok(Shift::Same);
        }
        let from = way_to_wgs84(&source.datum, &source.parameters());
        let to = way_to_wgs84(&target.datum, &target.parameters());
        let mut notes = Vec::new();
        let mut numbers = |way: Way| match way {
            Way::None(reason) => Err(reason),
            Way::Equal => Ok("0,0,0".to_string()),
            Way::Helmert { towgs84, note } => {
                notes.push(note);
                Ok(towgs84)
            }
        };
        let (from, to) = (numbers(from)?, numbers(to)?);
        if notes.is_empty() { Ok(Shift::Equal) } else { Ok(Shift::Helmert { from, to, notes }) }
    }

    fn note(&self, source: &Crs, target: &Crs) -> Option<String> {
        match self {
            Shift::Same => None,
            Shift::Equal => Some(format!(
                "{} and {} are taken as equal datums; they may differ by decimetres to about two metres",
                source.datum, target.datum
            )),
            Shift::Helmert { notes, .. } => Some(notes.join("; ")),
        }
    }
}

/// Points as the library wants them: x and y are converted, z stays, a failure touches only its own point.
struct Batch<'p>(&'p mut [DVec3]);

impl Coordinates for Batch<'_> {
    fn transform_coordinates<F: TransformClosure>(&mut self, f: &mut F) -> proj4rs::errors::Result<()> {
        for point in self.0.iter_mut() {
            let (x, y) = match f(point.x, point.y, 0.0) {
                Ok((x, y, _)) => (x, y),
                Err(_) => (f64::NAN, f64::NAN),
            };
            (point.x, point.y) = (x, y);
        }
        Ok(())
    }
}
