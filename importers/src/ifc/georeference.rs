//! Where on the Earth a building model stands: everything that an IFC file may say about it.

use std::{borrow::Cow, collections::HashMap, fs::File, path::Path};

use serde::{Deserialize, Serialize};

use super::step::{self, ScanError};
use crate::ImportError;

/// Statements that are remembered while looking for the georeference; a file with more of them is no building.
const MAX_REMEMBERED: usize = 2_000_000;

/// `IfcMapConversion` (or the property set `ePSet_MapConversion` of IFC 2x3): from the model's axes to the map's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapConversion {
    /// Place of the model's origin, metres.
    pub eastings_m: f64,
    /// Place of the model's origin, metres.
    pub northings_m: f64,
    /// Height of the model's origin, metres.
    pub height_m: f64,
    /// Direction of the model's x axis on the map (XAxisAbscissa, XAxisOrdinate), unit length.
    pub x_axis: (f64, f64),
    /// From model metres to map metres, in plan; near 1.
    pub scale: f64,
    /// The same upwards.
    pub scale_up: f64,
}

/// What a file says about its place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Georeference {
    /// Schema, such as `IFC4`.
    pub schema: String,
    /// `IfcProjectedCRS.Name`.
    pub crs_name: Option<String>,
    /// `IfcProjectedCRS.VerticalDatum`.
    pub vertical_datum: Option<String>,
    /// From the model to the map.
    pub conversion: Option<MapConversion>,
    /// What said so: `IfcMapConversion`, `ePSet_MapConversion`.
    pub conversion_from: String,
    /// `IfcSite.RefLongitude`, `RefLatitude` (degrees) and `RefElevation` (metres).
    pub site: Option<[f64; 3]>,
    /// Direction of true north in the model's axes.
    pub true_north: Option<(f64, f64)>,
    /// Things that are odd about it.
    pub doubts: Vec<String>,
    /// Entities in the file.
    pub entities: u64,
}

/// The raw material.
#[derive(Default)]
struct Found {
    schema: String,
    entities: u64,
    conversions: Vec<Vec<Vec<u8>>>,
    crs: Option<Vec<Vec<u8>>>,
    sites: Vec<Vec<Vec<u8>>>,
    contexts: Vec<Vec<Vec<u8>>>,
    directions: HashMap<u64, Vec<f64>>,
    assignment: Vec<u64>,
    units: HashMap<u64, Unit>,
    measures: HashMap<u64, (f64, u64)>,
    conversion_set: Vec<u64>,
    crs_set: Vec<u64>,
    properties: HashMap<u64, (String, Vec<u8>)>,
}

/// A length unit.
enum Unit {
    /// Metres in it.
    Metres(f64),
    /// `IfcConversionBasedUnit`: its factor stands in this `IfcMeasureWithUnit`.
    Based(u64),
}

impl Georeference {
    /// Reads a file once, from its first statement to its last. Any syntax error on the way is an error here.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let io = |source| ImportError::Io { path: path.into(), source };
        let file = File::open(path).map_err(io)?;
        let mut found = Found::default();
        let mut remembered = 0;
        step::scan(file, &mut |statement| {
            if remembered < MAX_REMEMBERED && found.take(statement) {
                remembered += 1;
            }
        })
        .map_err(|error| match error {
            ScanError::Io(source) => ImportError::Io { path: path.into(), source },
            ScanError::Step(e) => ImportError::Bad { path: path.into(), place: e.place, reason: e.reason },
        })?;
        if !found.schema.to_uppercase().starts_with("IFC") {
            return Err(ImportError::Bad {
                path: path.into(),
                place: "FILE_SCHEMA".into(),
                reason: format!("a STEP file of schema {:?}, not IFC", found.schema),
            });
        }
        Ok(found.georeference())
    }
}

impl Found {
    /// Keeps what matters of a statement; says whether it did.
    fn take(&mut self, statement: &step::Statement<'_>) -> bool {
        self.entities += u64::from(statement.id.is_some());
        // Nearly every statement of a file is about shapes, and nearly every file writes capitals.
        let keyword = match statement.keyword.bytes().any(|b| b.is_ascii_lowercase()) {
            true => Cow::Owned(statement.keyword.to_ascii_uppercase()),
            false => Cow::Borrowed(statement.keyword),
        };
        let parts =
            || -> Vec<Vec<u8>> { step::arguments(statement.arguments).into_iter().map(<[u8]>::to_vec).collect() };
        let id = statement.id.unwrap_or(0);
        match &*keyword {
            "FILE_SCHEMA" => {
                let list = statement.arguments.strip_prefix(b"(").and_then(|a| a.strip_suffix(b")"));
                self.schema =
                    step::arguments(list.unwrap_or(b"")).first().and_then(|a| step::text(a)).unwrap_or_default();
            }
            "IFCMAPCONVERSION" | "IFCMAPCONVERSIONSCALED" => self.conversions.push(parts()),
            "IFCPROJECTEDCRS" => self.crs = self.crs.take().or_else(|| Some(parts())),
            "IFCSITE" => self.sites.push(parts()),
            "IFCGEOMETRICREPRESENTATIONCONTEXT" => self.contexts.push(parts()),
            "IFCDIRECTION" => {
                let list = step::numbers(statement.arguments);
                if let Some(numbers) = list.filter(|n| n.len() >= 2) {
                    self.directions.insert(id, numbers);
                }
            }
            "IFCUNITASSIGNMENT" if self.assignment.is_empty() => {
                self.assignment = step::references(statement.arguments)
            }
            "IFCSIUNIT" => {
                let parts = step::arguments(statement.arguments);
                let is_length = parts.get(1).and_then(|p| step::word(p)) == Some("LENGTHUNIT");
                if is_length && let Some(prefix) = parts.get(2) {
                    self.units.insert(id, Unit::Metres(step::word(prefix).map_or(1.0, prefix_factor)));
                }
            }
            "IFCCONVERSIONBASEDUNIT" => {
                let parts = step::arguments(statement.arguments);
                let is_length = parts.get(1).and_then(|p| step::word(p)) == Some("LENGTHUNIT");
                if is_length && let Some(measure) = parts.get(3).and_then(|p| step::reference(p)) {
                    self.units.insert(id, Unit::Based(measure));
                }
            }
            "IFCMEASUREWITHUNIT" => {
                let parts = step::arguments(statement.arguments);
                if let (Some(factor), Some(unit)) =
                    (parts.first().and_then(|p| step::number(p)), parts.get(1).and_then(|p| step::reference(p)))
                {
                    self.measures.insert(id, (factor, unit));
                }
            }
            "IFCPROPERTYSET" => {
                let parts = step::arguments(statement.arguments);
                let name = parts.get(2).and_then(|p| step::text(p)).unwrap_or_default().to_lowercase();
                let members = || parts.get(4).map(|p| step::references(p)).unwrap_or_default();
                match name.as_str() {
                    "epset_mapconversion" => self.conversion_set = members(),
                    "epset_projectedcrs" => self.crs_set = members(),
                    _ => return false,
                }
            }
            "IFCPROPERTYSINGLEVALUE" => {
                let parts = step::arguments(statement.arguments);
                let name = parts.first().and_then(|p| step::text(p)).unwrap_or_default().to_lowercase();
                let is_ours = matches!(
                    name.as_str(),
                    "name"
                        | "eastings"
                        | "northings"
                        | "orthogonalheight"
                        | "xaxisabscissa"
                        | "xaxisordinate"
                        | "scale"
                        | "verticaldatum"
                );
                if !is_ours {
                    return false;
                }
                self.properties.insert(id, (name, parts.get(2).map(|p| p.to_vec()).unwrap_or_default()));
            }
            _ => return false,
        }
        true
    }

    fn georeference(self) -> Georeference {
        let mut doubts = Vec::new();
        let unit_m = self.assignment.iter().find_map(|id| self.unit_m(*id)).unwrap_or_else(|| {
            doubts.push("the file names no length unit: metres".to_owned());
            1.0
        });
        let crs = self.crs.as_deref().unwrap_or(&[]);
        let text = |index: usize| crs.get(index).and_then(|p| step::text(p)).filter(|t| !t.trim().is_empty());
        let map_unit_m = crs.get(6).and_then(|p| step::reference(p)).and_then(|id| self.unit_m(id));
        let mut crs_name = text(0);
        let mut vertical_datum = text(3);

        let mut conversion_from = "IfcMapConversion";
        if self.conversions.len() > 1 {
            doubts.push(format!("{} map conversions: the first is used", self.conversions.len()));
        }
        let mut raw = self.conversions.first().map(|parts| {
            let at = |index: usize| parts.get(index).and_then(|p| step::number(p));
            [at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(10)]
        });
        if raw.is_none() && !self.conversion_set.is_empty() {
            conversion_from = "ePSet_MapConversion";
            let at = |set: &[u64], name: &str| -> Option<&Vec<u8>> {
                set.iter().filter_map(|id| self.properties.get(id)).find(|(n, _)| n == name).map(|(_, value)| value)
            };
            let number = |name: &str| at(&self.conversion_set, name).and_then(|v| step::number(v));
            raw = Some([
                number("eastings"),
                number("northings"),
                number("orthogonalheight"),
                number("xaxisabscissa"),
                number("xaxisordinate"),
                number("scale"),
                None,
                None,
            ]);
            crs_name = crs_name.or_else(|| at(&self.crs_set, "name").and_then(|v| step::text(v)));
            vertical_datum = vertical_datum.or_else(|| at(&self.crs_set, "verticaldatum").and_then(|v| step::text(v)));
        }
        let conversion = raw.and_then(|[e, n, h, a, o, scale, factor_x, factor_z]| {
            let (Some(e), Some(n)) = (e, n) else {
                doubts.push("a map conversion without eastings and northings is not used".into());
                return None;
            };
            let map_unit_m = map_unit_m.unwrap_or(unit_m);
            let (a, o) = (a.unwrap_or(1.0), o.unwrap_or(0.0));
            let length = a.hypot(o);
            let x_axis = if length > 1e-9 { (a / length, o / length) } else { (1.0, 0.0) };
            let by_units = |scale: f64, what: &str, doubts: &mut Vec<String>| {
                // Scale takes project units to map units (IFC 4.3); files of mixed units often leave it at 1
                let scale = scale * map_unit_m / unit_m;
                if (0.9..1.1).contains(&scale) {
                    return scale;
                }
                doubts.push(format!("{what} of the map conversion would enlarge the model {scale} times: read as 1"));
                1.0
            };
            let scale = scale.unwrap_or(unit_m / map_unit_m);
            Some(MapConversion {
                eastings_m: e * map_unit_m,
                northings_m: n * map_unit_m,
                height_m: h.unwrap_or(0.0) * map_unit_m,
                x_axis,
                scale: by_units(scale * factor_x.unwrap_or(1.0), "the scale", &mut doubts),
                scale_up: by_units(scale * factor_z.unwrap_or(1.0), "the scale upwards", &mut doubts),
            })
        });
        let site = self.sites.iter().find_map(|parts| {
            let latitude = angle(parts.get(9)?)?;
            let longitude = angle(parts.get(10)?)?;
            let elevation = parts.get(11).and_then(|p| step::number(p)).unwrap_or(0.0) * unit_m;
            let is_somewhere =
                latitude.abs() <= 90.0 && longitude.abs() <= 180.0 && (latitude != 0.0 || longitude != 0.0);
            is_somewhere.then_some([longitude, latitude, elevation])
        });
        let true_north = self.contexts.iter().find_map(|parts| {
            let direction = self.directions.get(&step::reference(parts.get(5)?)?)?;
            let (x, y) = (*direction.first()?, *direction.get(1)?);
            let length = x.hypot(y);
            (length > 1e-9).then_some((x / length, y / length))
        });
        Georeference {
            schema: self.schema,
            crs_name,
            vertical_datum,
            conversion,
            conversion_from: conversion_from.into(),
            site,
            true_north,
            doubts,
            entities: self.entities,
        }
    }

    /// Metres in the length unit `id`.
    fn unit_m(&self, id: u64) -> Option<f64> {
        match self.units.get(&id)? {
            Unit::Metres(metres) => Some(*metres),
            Unit::Based(measure) => {
                let (factor, unit) = self.measures.get(measure)?;
                match self.units.get(unit)? {
                    Unit::Metres(metres) => Some(factor * metres).filter(|m| *m > 0.0),
                    Unit::Based(_) => None,
                }
            }
        }
    }
}

fn prefix_factor(prefix: &str) -> f64 {
    match prefix {
        "KILO" => 1e3,
        "HECTO" => 1e2,
        "DECA" => 1e1,
        "DECI" => 1e-1,
        "CENTI" => 1e-2,
        "MILLI" => 1e-3,
        "MICRO" => 1e-6,
        _ => 1.0,
    }
}

/// `IfcCompoundPlaneAngleMeasure`: degrees, minutes, seconds, millionths; every part carries the sign.
fn angle(argument: &[u8]) -> Option<f64> {
    let parts = step::numbers(argument)?;
    let weights = [1.0, 60.0, 3600.0, 3.6e9];
    (3..=4).contains(&parts.len()).then(|| parts.iter().zip(weights).map(|(part, weight)| part / weight).sum())
}
