//! Junctions, dividers, storage and outfalls as objects.

use glam::DVec2;
use groundline_engine::model::{Attribute, CityObject, Class, Domain, Geometry, ObjectId, Shaft, Value};

use super::{Reading, survey::UNKNOWN_DEPTH_M};
use crate::{
    ImportError,
    inp::{
        network::{dress, joint},
        number,
        section::Row,
    },
};

/// Diameter of a manhole: the file knows none.
const UNKNOWN_SHAFT_M: f64 = 0.8;
/// Storage that is wider than this is a basin and no manhole, metres.
const WIDEST_MANHOLE_M: f64 = 5.0;
/// Deeper than a manhole usually is, metres: modellers write such depths so that no node overflows.
const DEEP_M: f64 = 20.0;

impl Reading<'_> {
    /// Makes one node and hands it on, or skips it with the reason.
    pub(super) fn emit_node(&mut self, row: &Row<'_>) -> Result<(), ImportError> {
        let id = row.get(0);
        // A second node of one id, or one without a readable invert, was skipped when the nodes were gathered.
        let Some(node) = self.network.find(id).and_then(|n| self.network.nodes.get(n)).cloned() else { return Ok(()) };
        if node.line != row.line {
            return Ok(());
        }
        let Some(at) = node.at else {
            self.report.skip(row.line, format!("{}: node {id} has no coordinates", row.place()));
            return Ok(());
        };
        let word = match row.section {
            "JUNCTIONS" => "junction",
            "OUTFALLS" => "outfall",
            "STORAGE" => "storage",
            _ => "divider",
        };
        let mut attributes = vec![self.pipe_kind()];
        attributes.push(Attribute::converted("feature", Value::Text(word.into()), "", "section of the file"));
        let invert = node.level_m.unwrap_or(0.0);
        if self.survey.has_heights {
            let meaning = "invert of the node";
            attributes.push(self.survey.units.height("invert_m", invert, "Elevation", meaning));
        }
        let (class, geometry) = match row.section {
            "OUTFALLS" => {
                if !row.get(2).is_empty() {
                    let kind = Value::Text(row.get(2).into());
                    attributes.push(Attribute::converted("outfall_type", kind, "Type", "text as read"));
                }
                let axis = invert + node.size_m / 2.0;
                (Class::PipeNode, joint(&node, at, axis, self.vertical()).0)
            }
            section => self.shaft(row, section, &node, at, &mut attributes),
        };
        attributes.push(Attribute::measured("links", Value::Int(node.links.into()), "links that meet in this node"));
        let mut object = CityObject::new(ObjectId::new(self.job.layer, id), class, geometry);
        object.domain = Domain::Below;
        object.attributes = attributes;
        dress(&mut object, self.job, row.line, id);
        self.out.emit(object)
    }

    fn shaft(
        &mut self,
        row: &Row<'_>,
        section: &str,
        node: &crate::inp::network::Node,
        at: DVec2,
        out: &mut Vec<Attribute>,
    ) -> (Class, Geometry) {
        let units = self.survey.units;
        let invert = node.level_m.unwrap_or(0.0);
        let depth_m = match (node.depth_m, node.crown_m) {
            (Some(depth), _) => {
                out.push(units.length("well_depth_m", depth, "MaxDepth"));
                if self.survey.has_heights {
                    let meaning = "invert plus maximum depth: the rim";
                    out.push(units.height("ground_m", invert + depth, "MaxDepth", meaning));
                }
                if depth > DEEP_M {
                    let message = format!("node {} is {depth:.1} m deep; drawn as the file says", row.get(0));
                    self.report.warn("deep_node", message, row.place());
                }
                depth
            }
            (None, Some(crown)) if crown > invert => {
                let rule = "no maximum depth: up to the highest crown of the conduits that meet here, as SWMM takes it";
                out.push(Attribute::measured("well_depth_m", Value::Real(crown - invert), rule));
                crown - invert
            }
            _ => {
                let why = "no maximum depth and no conduit that ends here";
                out.push(Attribute::defaulted("well_depth_m", Value::Real(UNKNOWN_DEPTH_M), why));
                UNKNOWN_DEPTH_M
            }
        };
        let area_m2 = if section == "STORAGE" { self.storage_area_m2(row, depth_m) } else { None };
        let diameter_m = match area_m2 {
            Some(area) => {
                out.push(Attribute::converted("area_m2", Value::Real(area), row.get(4), "surface when full"));
                let diameter = 2.0 * (area / std::f64::consts::PI).sqrt();
                let rule = "diameter of a round shaft of that surface";
                out.push(Attribute::measured("well_diameter_m", Value::Real(diameter), rule));
                diameter
            }
            None => {
                let why = "no diameter in the file";
                out.push(Attribute::defaulted("well_diameter_m", Value::Real(UNKNOWN_SHAFT_M), why));
                UNKNOWN_SHAFT_M
            }
        };
        let class = if diameter_m > WIDEST_MANHOLE_M { Class::PipeNode } else { Class::Manhole };
        let top = at.extend(invert + depth_m);
        (class, Geometry::Shaft(Shaft { top, vertical: self.vertical(), depth_m, diameter_m }))
    }

    /// Surface of a full storage: by a function of the depth, the measures of a body, or the top of a curve.
    fn storage_area_m2(&self, row: &Row<'_>, depth_m: f64) -> Option<f64> {
        let unit = self.survey.units.length_m();
        let n = |token: usize| number(row.get(token));
        let area = match row.get(4).to_ascii_uppercase().as_str() {
            // Coefficient, exponent, constant.
            "FUNCTIONAL" => n(5)? * (depth_m / unit).powf(n(6)?) + n(7)?,
            "CYLINDRICAL" => std::f64::consts::PI / 4.0 * n(5)? * n(6)?,
            "TABULAR" => self.survey.storage_curves.get(&self.network.key(row.get(5)))?.1,
            _ => return None,
        };
        let area_m2 = area * unit * unit;
        (0.01..=1e8).contains(&area_m2).then_some(area_m2)
    }
}
