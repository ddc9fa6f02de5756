//! Conduits, pumps, orifices, weirs and outlets as objects.

use groundline_engine::model::{Attribute, CityObject, Class, Domain, ObjectId, Section, Tube, Value};

use super::{
    Reading,
    survey::offset_columns,
    xsection::{Outline, Xsection},
};
use crate::{
    ImportError,
    inp::{
        network::{dress, tube},
        section::Row,
    },
};

/// Size where none is known or believed, metres.
const UNKNOWN_SIZE_M: f64 = 0.3;

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
        let xsection = self.survey.xsections.remove(&self.network.key(id));
        let ends = self.network.ends(ids[0], ids[1])?;
        let is_conduit = row.section == "CONDUITS";
        let mut attributes = vec![self.pipe_kind()];
        if !is_conduit {
            let word = row.section.to_ascii_lowercase();
            let word = Value::Text(word.trim_end_matches('s').into());
            attributes.push(Attribute::converted("feature", word, "", "section of the file"));
        }
        let outline = self.outline(row, xsection.as_ref(), ends, &mut attributes);
        let z = self.heights(row, ends, outline.section.height_m(), &mut attributes)?;
        let axis = self.network.axis(id, ends, ids, z)?;
        for (key, field, id) in [("from", "From Node", ids[0]), ("to", "To Node", ids[1])] {
            attributes.push(Attribute::converted(key, Value::Text(id.into()), field, "text as read"));
        }
        match row.section {
            "CONDUITS" => {
                let length_m = row.needed(3, "length")? * self.survey.units.length_m();
                if length_m < 0.0 {
                    return Err(format!("length {length_m} m"));
                }
                attributes.push(self.survey.units.length("length_m", length_m, "Length"));
                if let Some(roughness) = row.number(4).map_err(|reason| format!("roughness: {reason}"))? {
                    let rule = "Manning's n, without unit";
                    attributes.push(Attribute::converted("roughness", Value::Real(roughness), "Roughness", rule));
                }
                self.network.compare(&axis, length_m);
            }
            "PUMPS" => self.text(row, 3, "pump_curve", "Pump Curve", &mut attributes),
            "ORIFICES" | "WEIRS" => self.text(row, 3, "type", "Type", &mut attributes),
            _ => self.text(row, 4, "type", "Type", &mut attributes),
        }
        let shape = Tube {
            axis,
            vertical: self.vertical(),
            section: outline.section,
            from: Some(ids[0].to_owned()),
            to: Some(ids[1].to_owned()),
        };
        let geometry = tube(shape, row.place(), self.report);
        let class = if is_conduit { Class::Pipe } else { Class::PipeNode };
        // Nodes and links have ids of their own: `10` may be both.
        let mut object = CityObject::new(ObjectId::new(self.job.layer, format!("link/{id}")), class, geometry);
        if outline.is_open && is_conduit {
            object.domain = Domain::Surface;
        }
        object.attributes = attributes;
        dress(&mut object, self.job, row.line, id);
        Ok(object)
    }

    fn text(&self, row: &Row<'_>, token: usize, key: &str, field: &str, out: &mut Vec<Attribute>) {
        if !matches!(row.get(token), "" | "*") {
            out.push(Attribute::converted(key, Value::Text(row.get(token).into()), field, "text as read"));
        }
    }

    /// The cross section, with its measures as attributes.
    fn outline(
        &mut self,
        row: &Row<'_>,
        xsection: Option<&Xsection>,
        ends: [usize; 2],
        out: &mut Vec<Attribute>,
    ) -> Outline {
        let known = xsection.and_then(|x| self.survey.outline(x, &self.network));
        let Some(outline) = known else {
            let beside = ends.iter().filter_map(|n| self.network.nodes.get(*n)).map(|n| n.size_m).fold(0.0, f64::max);
            let has_section = matches!(row.section, "CONDUITS" | "ORIFICES" | "WEIRS");
            if has_section {
                let what = xsection.map_or("no cross section".into(), |x| {
                    format!("the {} of line {} has no size that is known", x.shape.to_lowercase(), x.line)
                });
                let message = format!("link {}: {what}; drawn {UNKNOWN_SIZE_M} m wide", row.get(0));
                self.report.warn("section_unknown", message, row.place());
            }
            let (diameter_m, why) = match beside {
                size if size > 0.0 && !has_section => (size.min(3.0), "that of the largest conduit beside it"),
                _ => (UNKNOWN_SIZE_M, "no size in the file: 300 mm assumed"),
            };
            out.push(Attribute::defaulted("diameter_mm", Value::Real((diameter_m * 1e6).round() / 1e3), why));
            return Outline { section: Section::Circle { diameter_m }, is_open: false, is_exact: true };
        };
        let shape = xsection.map_or(String::new(), |x| x.shape.to_ascii_lowercase());
        let rule = if self.survey.units.is_us { "feet to millimetres" } else { "metres to millimetres" };
        let mut measure = |key: &str, metres: f64, field: &str| {
            let rule = match outline.is_exact {
                true => rule.to_owned(),
                false => format!("{rule}; greatest measure of the shape {shape}, drawn as a rectangle"),
            };
            let millimetres = Value::Real((metres * 1e6).round() / 1e3);
            out.push(Attribute::converted(key, millimetres, field, &rule));
        };
        match outline.section {
            Section::Circle { diameter_m } => measure("diameter_mm", diameter_m, "Geom1"),
            Section::Rect { width_m, height_m } => {
                measure("width_mm", width_m, "Geom2");
                measure("height_mm", height_m, "Geom1");
            }
        }
        if !outline.is_exact {
            let message = "sections that are neither round nor rectangular are drawn as the rectangle around them";
            self.report.warn("section_simplified", message, row.place());
        }
        out.push(Attribute::converted("shape", Value::Text(shape), "Shape", "text as read"));
        if let Some(barrels) = xsection.map(|x| x.barrels).filter(|n| *n > 1.0) {
            out.push(Attribute::converted("barrels", Value::Real(barrels), "Barrels", "number as read"));
        }
        outline
    }

    /// Heights of the axis at both ends: invert of the node, offset of the end, half of the section.
    fn heights(
        &mut self,
        row: &Row<'_>,
        ends: [usize; 2],
        height_m: f64,
        out: &mut Vec<Attribute>,
    ) -> Result<[f64; 2], String> {
        let columns = offset_columns(row.section);
        let mut z = [0.0; 2];
        for side in 0..2 {
            let name = ["start", "end"][side];
            let invert = self.network.nodes.get(ends[side]).and_then(|node| node.level_m).unwrap_or(0.0);
            let (offset, is_below) = match columns[side] {
                Some(column) => self.survey.offset_m(row, column, invert)?,
                None => (0.0, false),
            };
            if is_below {
                let message = format!("the {name} of link {} lies below its node: put on the invert", row.get(0));
                self.report.warn("offset_below_invert", message, row.place());
            }
            let (level, field) = (invert + offset, columns[side].map_or("Elevation", |_| "Offset"));
            z[side] = level + height_m / 2.0;
            if self.survey.has_heights {
                let units = &self.survey.units;
                let meaning = "invert of the node plus offset of the link";
                out.push(units.height(&format!("invert_{name}_m"), level, field, meaning));
                let meaning = "height of the centre line: invert plus half the height of the section";
                out.push(units.height(&format!("z_{name}_m"), z[side], field, meaning));
            } else {
                let why = "no inverts in the file: as deep as the node's maximum depth";
                out.push(Attribute::defaulted(&format!("depth_{name}_m"), Value::Real(-level), why));
            }
        }
        Ok(z)
    }
}
