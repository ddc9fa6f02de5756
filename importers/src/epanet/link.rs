//! Pipes, pumps and valves as objects.

use groundline_engine::model::{Attribute, CityObject, Class, ObjectId, Section, Tube, Value, Vertical};

use super::{
    Reading, UNKNOWN_COVER_M,
    node::{feature, text},
    pipe_kind,
    survey::Headloss,
};
use crate::{
    ImportError,
    inp::{network, section::Row},
};

/// Diameter where none is known or believed, metres.
const UNKNOWN_DIAMETER_M: f64 = 0.2;
/// Kilowatts in a horsepower, as EPANET has it.
const HORSEPOWER_KW: f64 = 0.7457;
/// What the height of an axis is.
const MEANING: &str =
    "EPANET's node elevation, taken as the height of the pipe's axis: the file knows no depth of cover";

impl Reading<'_> {
    /// Makes one link and hands it on, or skips it with the reason.
    pub(super) fn emit_link(&mut self, row: &Row<'_>) -> Result<(), ImportError> {
        match self.link(row) {
            Ok(object) => self.out.emit(object),
            Err(reason) => {
                self.report.skip(row.line, format!("{}: {reason}", row.place()));
                Ok(())
            }
        }
    }

    fn link(&mut self, row: &Row<'_>) -> Result<CityObject, String> {
        let (id, ids) = (row.get(0), [row.get(1), row.get(2)]);
        if !self.network.is_new_link(id) {
            return Err(format!("link {id} stands twice; the first is used"));
        }
        let ends = self.network.ends(ids[0], ids[1])?;
        let mut attributes = vec![pipe_kind()];
        let is_pipe = row.section == "PIPES";
        let diameter_m = self.diameter(row, ends, &mut attributes)?;
        let (z, vertical) = self.heights(ends, diameter_m, &mut attributes);
        let axis = self.network.axis(id, ends, ids, z)?;
        for (key, id) in [("from", ids[0]), ("to", ids[1])] {
            attributes.push(Attribute::converted(key, Value::Text(id.into()), key_field(key), "text as read"));
        }
        match row.section {
            "PIPES" => {
                let stated_m = self.pipe(row, &mut attributes)?;
                self.network.compare(&axis, stated_m);
            }
            "PUMPS" => self.pump(row, &mut attributes),
            _ => self.valve(row, &mut attributes)?,
        }
        if let Some(tag) = self.survey.tags.get(&(true, id.into())) {
            attributes.push(Attribute::converted("tag", Value::Text(tag.clone()), "[TAGS]", "text as read"));
        }
        let tube = Tube {
            axis,
            vertical,
            section: Section::Circle { diameter_m },
            from: Some(ids[0].to_owned()),
            to: Some(ids[1].to_owned()),
        };
        let geometry = network::tube(tube, row.place(), self.report);
        let class = if is_pipe { Class::Pipe } else { Class::PipeNode };
        // Nodes and links have ids of their own: `10` may be both.
        let mut object = CityObject::new(ObjectId::new(self.job.layer, format!("link/{id}")), class, geometry);
        object.attributes = attributes;
        network::dress(&mut object, self.job, row.line, id);
        Ok(object)
    }

    /// Diameter of the drawing: the file's inner one, or that of the pipes beside a pump.
    fn diameter(&mut self, row: &Row<'_>, ends: [usize; 2], out: &mut Vec<Attribute>) -> Result<f64, String> {
        let token = match row.section {
            "PIPES" => 4,
            "VALVES" => 3,
            _ => 0,
        };
        if token > 0 {
            let number = row.needed(token, "diameter")?;
            if let Some(metres) = self.survey.diameter_m(number) {
                let inches = if self.survey.units.is_us { "inches to millimetres" } else { "millimetres" };
                let rule = format!("{inches}; inner diameter, drawn as the outer one");
                let millimetres = Value::Real((metres * 1e6).round() / 1e3);
                out.push(Attribute::converted("diameter_mm", millimetres, "Diameter", &rule));
                return Ok(metres);
            }
            let message = format!("diameter {number} of link {} is not believed; taken as unknown", row.get(0));
            self.report.warn("implausible_diameter", message, row.place());
        }
        let beside = ends.iter().filter_map(|n| self.network.nodes.get(*n)).map(|n| n.size_m).fold(0.0, f64::max);
        let (metres, why) = match beside {
            size if size > 0.0 => (size, "that of the largest pipe beside it"),
            _ => (UNKNOWN_DIAMETER_M, "diameter unknown: 200 mm assumed"),
        };
        out.push(Attribute::defaulted("diameter_mm", Value::Real((metres * 1e6).round() / 1e3), why));
        Ok(metres)
    }

    /// Heights of the axis at both ends.
    fn heights(&self, ends: [usize; 2], diameter_m: f64, out: &mut Vec<Attribute>) -> ([f64; 2], Vertical) {
        let levels = ends.map(|n| self.network.nodes.get(n).and_then(|node| node.level_m));
        let levels = if self.survey.has_heights { levels } else { [None; 2] };
        if levels == [None; 2] {
            let why = "no elevation at either end: 1.2 m of cover assumed";
            out.push(Attribute::defaulted("depth_m", Value::Real(UNKNOWN_COVER_M), why));
            let z = -UNKNOWN_COVER_M - diameter_m / 2.0;
            return ([z, z], Vertical::AboveTerrain);
        }
        let mut z = [0.0; 2];
        for (side, key) in ["z_start_m", "z_end_m"].into_iter().enumerate() {
            if let Some(level) = levels[side] {
                out.push(self.survey.units.height(key, level, "Elev", MEANING));
                z[side] = level;
            } else if let Some(other) = levels[1 - side] {
                let why = "the node here has no elevation (a reservoir has a head): as high as the other end";
                out.push(Attribute::defaulted(key, Value::Real(other), why));
                z[side] = other;
            }
        }
        (z, Vertical::Absolute)
    }

    /// Length, roughness, losses and status; gives the length that the file states, metres.
    fn pipe(&mut self, row: &Row<'_>, out: &mut Vec<Attribute>) -> Result<f64, String> {
        let units = self.survey.units;
        let length_m = row.needed(3, "length")? * units.length_m();
        if length_m < 0.0 {
            return Err(format!("length {length_m} m"));
        }
        out.push(units.length("length_m", length_m, "Length"));
        if let Some(roughness) = row.number(5).map_err(|reason| format!("roughness: {reason}"))? {
            let (key, factor, rule) = match (self.survey.headloss, units.is_us) {
                (Headloss::HazenWilliams, _) => ("roughness", 1.0, "Hazen-Williams coefficient, without unit"),
                (Headloss::ChezyManning, _) => ("roughness", 1.0, "Manning's n, without unit"),
                (Headloss::DarcyWeisbach, true) => ("roughness_mm", 0.3048, "thousandths of a foot to millimetres"),
                (Headloss::DarcyWeisbach, false) => ("roughness_mm", 1.0, "millimetres"),
            };
            out.push(Attribute::converted(key, Value::Real(roughness * factor), "Roughness", rule));
        }
        // The status may stand where the minor loss is left out.
        let (loss, mut status) = match row.number(6) {
            Ok(loss) => (loss, row.get(7)),
            Err(_) => (None, row.get(6)),
        };
        if let Some(loss) = loss {
            out.push(Attribute::converted("minor_loss", Value::Real(loss), "MinorLoss", "number as read"));
        }
        let later = self.survey.statuses.get(row.get(0));
        let field = if later.is_some() { "[STATUS]" } else { "Status" };
        status = later.map_or(status, String::as_str);
        if !status.is_empty() {
            out.push(Attribute::converted("status", Value::Text(status.into()), field, "text as read"));
        }
        Ok(length_m)
    }

    fn pump(&mut self, row: &Row<'_>, out: &mut Vec<Attribute>) {
        feature(out, "pump");
        let words = row.tokens.get(3..).unwrap_or_default();
        for pair in words.chunks(2) {
            let (key, value) = (pair[0].to_ascii_uppercase(), pair.get(1).copied().unwrap_or_default());
            let number = crate::inp::number(value);
            let read = |key, value| Attribute::converted(key, value, "Parameters", "text as read");
            out.push(match (key.as_str(), number) {
                ("HEAD", _) => read("pump_curve", Value::Text(value.into())),
                ("PATTERN", _) => read("speed_pattern", Value::Text(value.into())),
                ("SPEED", Some(speed)) => read("speed", Value::Real(speed)),
                ("POWER", Some(power)) => {
                    let (factor, rule) = match self.survey.units.is_us {
                        true => (HORSEPOWER_KW, "horsepower to kilowatts"),
                        false => (1.0, "kilowatts"),
                    };
                    Attribute::converted("power_kw", Value::Real(power * factor), "Parameters", rule)
                }
                _ => {
                    let message = format!("parameters of pump {} are kept as they stand", row.get(0));
                    self.report.warn("pump_parameters", message, row.place());
                    out.push(read("parameters", Value::Text(words.join(" "))));
                    break;
                }
            });
        }
        if let Some(status) = self.survey.statuses.get(row.get(0)) {
            out.push(Attribute::converted("status", Value::Text(status.clone()), "[STATUS]", "text as read"));
        }
    }

    fn valve(&mut self, row: &Row<'_>, out: &mut Vec<Attribute>) -> Result<(), String> {
        feature(out, "valve");
        text(out, row, 4, "valve_type", "Type");
        let unit = match row.get(4).to_ascii_uppercase().as_str() {
            "PRV" | "PSV" | "PBV" => self.survey.pressure,
            "FCV" => self.survey.units.flow,
            _ => "",
        };
        match row.number(5) {
            Ok(Some(setting)) => {
                out.push(Attribute::converted("setting", Value::Real(setting), "Setting", "number as read"));
                if !unit.is_empty() {
                    let rule = "by the type of the valve and the options of the file";
                    out.push(Attribute::converted("setting_unit", Value::Text(unit.into()), "Type", rule));
                }
            }
            // The setting of a GPV is the name of a curve.
            _ => text(out, row, 5, "setting", "Setting"),
        }
        if let Some(loss) = row.number(6).map_err(|reason| format!("minor loss: {reason}"))? {
            out.push(Attribute::converted("minor_loss", Value::Real(loss), "MinorLoss", "number as read"));
        }
        if let Some(status) = self.survey.statuses.get(row.get(0)) {
            out.push(Attribute::converted("status", Value::Text(status.clone()), "[STATUS]", "text as read"));
        }
        Ok(())
    }
}

fn key_field(key: &str) -> &'static str {
    if key == "from" { "Node1" } else { "Node2" }
}
