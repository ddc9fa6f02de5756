//! Junctions, tanks and reservoirs as objects.

use glam::DVec2;
use groundline_engine::model::{
    Attribute, CityObject, Class, Domain, Geometry, Instance, InstanceModel, ObjectId, Value, Vertical,
};

use super::{Reading, UNKNOWN_COVER_M, pipe_kind, survey::is_reservoir};
use crate::{
    ImportError,
    inp::{network, network::Node, section::Row},
};

/// Height of a tank whose greatest level is not known, and of the sign for a reservoir, metres.
const UNKNOWN_TANK_M: f64 = 6.0;
/// Width of a tank of unknown diameter, metres.
const UNKNOWN_TANK_WIDTH_M: f64 = 4.0;

impl Reading<'_> {
    /// Makes one node and hands it on, or skips it with the reason.
    pub(super) fn emit_node(&mut self, row: &Row<'_>) -> Result<(), ImportError> {
        let id = row.get(0);
        // A second node of one id, or one without a readable elevation, was skipped when the nodes were gathered.
        let Some(node) = self.network.find(id).and_then(|n| self.network.nodes.get(n)) else { return Ok(()) };
        if node.line != row.line {
            return Ok(());
        }
        let Some(at) = node.at else {
            self.report.skip(row.line, format!("{}: node {id} has no coordinates", row.place()));
            return Ok(());
        };
        let node = node.clone();
        let mut attributes = vec![pipe_kind()];
        let made = match (row.section, is_reservoir(row)) {
            ("JUNCTIONS", _) => self.junction(row, &node, at, &mut attributes),
            (_, true) => self.reservoir(row, at, &mut attributes),
            _ => self.tank(row, &node, at, &mut attributes),
        };
        let (geometry, domain) = match made {
            Ok(made) => made,
            Err(reason) => {
                self.report.skip(row.line, format!("{}: {reason}", row.place()));
                return Ok(());
            }
        };
        let links = Value::Int(node.links.into());
        attributes.push(Attribute::measured("links", links, "links that meet in this node"));
        if let Some(tag) = self.survey.tags.get(&(false, id.into())) {
            attributes.push(Attribute::converted("tag", Value::Text(tag.clone()), "[TAGS]", "text as read"));
        }
        let mut object = CityObject::new(ObjectId::new(self.job.layer, id), Class::PipeNode, geometry);
        object.domain = domain;
        object.attributes = attributes;
        network::dress(&mut object, self.job, row.line, id);
        self.out.emit(object)
    }

    fn junction(
        &mut self,
        row: &Row<'_>,
        node: &Node,
        at: DVec2,
        out: &mut Vec<Attribute>,
    ) -> Result<(Geometry, Domain), String> {
        let units = self.survey.units;
        feature(out, "junction");
        let geometry = match node.level_m.filter(|_| self.survey.has_heights) {
            Some(level) => {
                let meaning = "EPANET's elevation, taken as the height of the pipes' axis";
                out.push(units.height("elevation_m", level, "Elev", meaning));
                network::joint(node, at, level, Vertical::Absolute)
            }
            None => {
                let why = "the file has no elevations: 1.2 m of cover assumed";
                out.push(Attribute::defaulted("depth_m", Value::Real(UNKNOWN_COVER_M), why));
                network::joint(node, at, -UNKNOWN_COVER_M - node.size_m / 2.0, Vertical::AboveTerrain)
            }
        };
        match self.survey.demands.get(row.get(0)) {
            Some((sum, 1)) => out.push(units.flow("base_demand_l_s", *sum, "[DEMANDS]")),
            Some((sum, count)) => {
                let mut attribute = units.flow("base_demand_l_s", *sum, "[DEMANDS]");
                if let groundline_engine::model::Origin::Converted(rule) = &attribute.origin {
                    let rule = format!("sum of {count} demands, {rule}");
                    attribute.origin = groundline_engine::model::Origin::Converted(rule.into());
                }
                out.push(attribute);
            }
            None => {
                if let Some(demand) = row.number(2).map_err(|reason| format!("demand: {reason}"))? {
                    out.push(units.flow("base_demand_l_s", demand, "Demand"));
                }
            }
        }
        text(out, row, 3, "demand_pattern", "Pattern");
        Ok(geometry)
    }

    fn reservoir(&mut self, row: &Row<'_>, at: DVec2, out: &mut Vec<Attribute>) -> Result<(Geometry, Domain), String> {
        feature(out, "reservoir");
        let head_m = row.needed(1, "head")? * self.survey.units.length_m();
        let meaning = "hydraulic head: the level of the water";
        out.push(self.survey.units.height("head_m", head_m, "Head", meaning));
        text(out, row, 2, "head_pattern", "Pattern");
        let z = self.survey.has_heights.then_some(head_m);
        Ok((marker(at, z, UNKNOWN_TANK_M, UNKNOWN_TANK_WIDTH_M), Domain::Surface))
    }

    fn tank(
        &mut self,
        row: &Row<'_>,
        node: &Node,
        at: DVec2,
        out: &mut Vec<Attribute>,
    ) -> Result<(Geometry, Domain), String> {
        feature(out, "tank");
        let units = self.survey.units;
        if let Some(level) = node.level_m {
            out.push(units.height("elevation_m", level, "Elevation", "bottom of the tank"));
        }
        let columns = [
            (2, "init_level_m", "InitLevel"),
            (3, "min_level_m", "MinLevel"),
            (4, "max_level_m", "MaxLevel"),
            (5, "tank_diameter_m", "Diameter"),
        ];
        let mut read = [None; 4];
        for (slot, (token, key, field)) in read.iter_mut().zip(columns) {
            if let Some(number) = row.number(token).map_err(|reason| format!("{field}: {reason}"))? {
                let metres = number * units.length_m();
                out.push(units.length(key, metres, field));
                *slot = Some(metres);
            }
        }
        text(out, row, 7, "volume_curve", "VolCurve");
        let height_m = read[2].filter(|m| (0.1..=500.0).contains(m)).unwrap_or(UNKNOWN_TANK_M);
        let width_m = read[3].filter(|m| (0.1..=1000.0).contains(m)).unwrap_or(UNKNOWN_TANK_WIDTH_M);
        let z = node.level_m.filter(|_| self.survey.has_heights);
        Ok((marker(at, z, height_m, width_m), Domain::Above))
    }
}

/// Something that stands at a height, or on the ground where none is known.
fn marker(at: DVec2, z: Option<f64>, height_m: f64, width_m: f64) -> Geometry {
    let vertical = if z.is_some() { Vertical::Absolute } else { Vertical::AboveTerrain };
    let at = at.extend(z.unwrap_or(0.0));
    Geometry::Instance(Instance { at, vertical, model: InstanceModel::Marker, height_m, width_m, yaw: 0.0 })
}

pub(super) fn feature(out: &mut Vec<Attribute>, word: &str) {
    out.push(Attribute::converted("feature", Value::Text(word.into()), "", "section of the file"));
}

/// A token that is kept as text; `*` and blanks stand for nothing.
pub(super) fn text(out: &mut Vec<Attribute>, row: &Row<'_>, token: usize, key: &str, field: &str) {
    let value = row.get(token);
    if !matches!(value, "" | "*") {
        out.push(Attribute::converted(key, Value::Text(value.into()), field, "text as read"));
    }
}
