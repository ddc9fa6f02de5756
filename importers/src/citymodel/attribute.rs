//! Standard attributes among the attributes of a city model.

use std::sync::Arc;

use groundline_engine::model::{Attribute, Origin, Value};

use crate::field::{self, Recogniser, Unit};

/// Measures that shapes are made with, as standard attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measures {
    pub height_m: Option<f64>,
    pub storeys: Option<i64>,
    pub crown_m: Option<f64>,
    pub diameter_m: Option<f64>,
    pub width_m: Option<f64>,
    pub depth_m: Option<f64>,
    made: Vec<Attribute>,
}

/// Names of the standards' own that the table of fields does not hold, with the standard key they stand for.
/// `innerDiamiter` and `outerDiamiter` are how i-UR writes them.
const NAMES: &[(&str, &str)] = &[
    ("measuredHeight", "height_m"),
    ("Height.value", "height_m"),
    ("storeysAboveGround", "storeys"),
    ("storeysBelowGround", "storeys_below"),
    ("yearOfConstruction", "year_built"),
    ("crownDiameter", "crown_m"),
    ("outerDiamiter", "diameter_mm"),
    ("outerDiameter", "diameter_mm"),
    ("exteriorDiameter", "diameter_mm"),
    ("innerDiamiter", "diameter_mm"),
    ("innerDiameter", "diameter_mm"),
    ("interiorDiameter", "diameter_mm"),
    ("maxWidth", "width_m"),
    ("depth", "depth_m"),
];

impl Measures {
    /// Looks for them among the fields. Units stand in brackets at the end of a field's name, else metres are meant.
    pub fn of(fields: &[(Arc<str>, Value)], recogniser: &mut Recogniser) -> Self {
        let mut made = Self::default();
        let mut best: Vec<(&'static str, usize, &Arc<str>, f64, Option<Unit>)> = Vec::new();
        for (name, value) in fields {
            let bare = name.rsplit('.').next().unwrap_or(name);
            let bare = bare.split(" (").next().unwrap_or(bare);
            let own = NAMES.iter().position(|(own, _)| *own == bare || *own == &**name);
            let (key, rank) = match (own.and_then(|i| NAMES.get(i).map(|n| (i, n.1))), recogniser.recognise(name)) {
                // Rank 0 is the user's word.
                (_, Some(found)) if found.rank == 0 => (found.key, 0),
                (Some((rank, key)), _) => (key, rank + 1),
                (None, Some(found)) => (found.key, 100 + found.rank),
                (None, None) => continue,
            };
            let is_wanted = matches!(
                key,
                "height_m"
                    | "storeys"
                    | "storeys_below"
                    | "year_built"
                    | "crown_m"
                    | "diameter_mm"
                    | "width_m"
                    | "depth_m"
            );
            let Some((number, unit)) = is_wanted.then(|| field::number(value)).flatten() else { continue };
            let unit = unit.or_else(|| field::normalise(name).1);
            match best.iter_mut().find(|(k, ..)| *k == key) {
                Some(found) if found.1 <= rank => {}
                Some(found) => *found = (key, rank, name, number, unit),
                None => best.push((key, rank, name, number, unit)),
            }
        }
        for (key, _, name, number, unit) in best {
            made.set(key, name, number, unit);
        }
        made
    }

    fn set(&mut self, key: &'static str, field: &Arc<str>, number: f64, unit: Option<Unit>) {
        let metres = number * unit.unwrap_or(Unit::Metre).metres();
        let origin = match unit {
            None | Some(Unit::Metre) => Origin::Read,
            Some(unit) => Origin::Converted(format!("{unit:?} to metres").to_lowercase().into()),
        };
        let (value, origin) = match key {
            "storeys" | "storeys_below" | "year_built" => {
                let whole = number.round() as i64;
                if key == "storeys" {
                    // 9999 is how PLATEAU writes "unknown".
                    self.storeys = Some(whole).filter(|n| (1..1000).contains(n));
                }
                (Value::Int(whole), Origin::Read)
            }
            "diameter_mm" => {
                // Pipes of more than 20 m are none: such numbers are millimetres.
                let metres = if unit.is_none() && number > 20.0 { number * 0.001 } else { metres };
                self.diameter_m = Some(metres);
                (
                    Value::Real(metres * 1000.0),
                    Origin::Converted("to millimetres; numbers above 20 without a unit are millimetres".into()),
                )
            }
            _ => {
                match key {
                    "height_m" => self.height_m = Some(metres).filter(|m| *m > -9000.0 && *m < 9000.0),
                    "crown_m" => self.crown_m = Some(metres),
                    "width_m" => self.width_m = Some(metres),
                    "depth_m" => self.depth_m = Some(metres),
                    _ => {}
                }
                (Value::Real(metres), origin)
            }
        };
        self.made.push(Attribute { key: key.into(), value, field: field.clone(), origin });
    }

    /// The standard attributes that were found.
    pub fn attributes(&self) -> Vec<Attribute> {
        self.made.clone()
    }
}
