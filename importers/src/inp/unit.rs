//! Which units a file counts in: the flow unit decides between US customary units and the metric system.

use groundline_engine::model::{Attribute, Value};

/// One foot, metres.
pub(crate) const FOOT_M: f64 = 0.3048;

/// Units of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Units {
    /// Word of the flow unit: `GPM`.
    pub flow: &'static str,
    /// Litres a second in one flow unit.
    pub flow_l_s: f64,
    /// Whether lengths are feet.
    pub is_us: bool,
}

const GALLON_L: f64 = 3.785_411_784;
const IMPERIAL_GALLON_L: f64 = 4.546_09;
const CUBIC_FOOT_L: f64 = 28.316_846_592;
/// 43 560 cubic feet.
const ACRE_FOOT_L: f64 = 43_560.0 * CUBIC_FOOT_L;
const DAY_S: f64 = 86_400.0;

#[rustfmt::skip]
const FLOWS: &[(&str, f64, bool)] = &[
    ("CFS", CUBIC_FOOT_L, true),
    ("GPM", GALLON_L / 60.0, true),
    ("MGD", GALLON_L * 1e6 / DAY_S, true),
    ("IMGD", IMPERIAL_GALLON_L * 1e6 / DAY_S, true),
    ("AFD", ACRE_FOOT_L / DAY_S, true),
    ("LPS", 1.0, false),
    ("LPM", 1.0 / 60.0, false),
    ("MLD", 1e6 / DAY_S, false),
    ("CMS", 1e3, false),
    ("CMH", 1e3 / 3600.0, false),
    ("CMD", 1e3 / DAY_S, false),
];

impl Units {
    /// The units that go with a flow unit.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_ascii_uppercase();
        let (flow, flow_l_s, is_us) = FLOWS.iter().find(|(flow, ..)| *flow == word)?;
        Some(Self { flow, flow_l_s: *flow_l_s, is_us: *is_us })
    }

    /// Metres in the unit of lengths, elevations and depths.
    pub fn length_m(&self) -> f64 {
        if self.is_us { FOOT_M } else { 1.0 }
    }

    /// Millimetres in EPANET's unit of diameters.
    pub fn diameter_mm(&self) -> f64 {
        if self.is_us { 25.4 } else { 1.0 }
    }

    fn length_rule(&self) -> &'static str {
        if self.is_us { "feet to metres" } else { "metres" }
    }

    /// A length, already in metres, as an attribute of the field that it stood in.
    pub fn length(&self, key: &str, metres: f64, field: &str) -> Attribute {
        Attribute::converted(key, real(metres), field, self.length_rule())
    }

    /// As [`length`](Self::length), with what it means.
    pub fn height(&self, key: &str, metres: f64, field: &str, meaning: &str) -> Attribute {
        Attribute::converted(key, real(metres), field, &format!("{}; {meaning}", self.length_rule()))
    }

    /// A flow in litres a second, of a number in the file's unit.
    pub fn flow(&self, key: &str, number: f64, field: &str) -> Attribute {
        let rule = format!("{} to litres a second", self.flow);
        Attribute::converted(key, real(number * self.flow_l_s), field, &rule)
    }
}

/// Whole micrometres (or microlitres): 6 inches are 152.4 mm and not 152.39999999999998.
fn real(number: f64) -> Value {
    let rounded = (number * 1e6).round() / 1e6;
    Value::Real(if rounded.is_finite() { rounded } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_units_decide_the_system() {
        for (word, is_us, l_s) in
            [("gpm", true, 0.0630902), ("CFS", true, 28.3168466), ("LPS", false, 1.0), ("CMH", false, 0.2777778)]
        {
            let units = Units::parse(word).unwrap();
            assert_eq!(units.is_us, is_us);
            assert!((units.flow_l_s - l_s).abs() < 1e-6, "{word}: {}", units.flow_l_s);
        }
        assert!((Units::parse("MGD").unwrap().flow_l_s - 43.8126364).abs() < 1e-6);
        assert!((Units::parse("AFD").unwrap().flow_l_s - 14.2764101).abs() < 1e-6);
        assert_eq!(Units::parse("BARRELS"), None);
    }
}
