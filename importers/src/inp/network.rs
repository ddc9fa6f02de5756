//! Nodes with places, and links drawn between them.

use std::collections::{HashMap, HashSet};

use glam::{DVec2, DVec3};
use groundline_engine::{
    crs::Crs,
    model::{CityObject, Domain, Geometry, SourceReport, Tube, Vertical},
};

use super::section::Row;
use crate::{ImportError, Job};

/// Nodes of one file.
const MAX_NODES: usize = 8_000_000;
/// Bends of all links of one file.
const MAX_VERTICES: usize = 32_000_000;
/// Links whose ids are remembered to find those that stand twice.
const MAX_LINKS: usize = 16_000_000;
/// Lengths that are compared with the drawing.
const MAX_RATIOS: usize = 1_000_000;

/// A node that links may end at.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Line that defines it.
    pub line: u64,
    /// Place in the city; `None` while the file has given none.
    pub at: Option<DVec2>,
    /// Height that links refer to, metres: the elevation (EPANET) or the invert (SWMM); `None` where there is none.
    pub level_m: Option<f64>,
    /// Depth from the ground to `level_m`, metres; `None` where the file gives none.
    pub depth_m: Option<f64>,
    /// How many links meet.
    pub links: u32,
    /// Largest measure of the links that meet, metres.
    pub size_m: f64,
    /// Highest crown of the links that meet, as a height, metres.
    pub crown_m: Option<f64>,
}

impl Node {
    pub fn new(line: u64, level_m: Option<f64>) -> Self {
        Self { line, at: None, level_m, depth_m: None, links: 0, size_m: 0.0, crown_m: None }
    }
}

/// Nodes, their places and the bends of links.
pub(crate) struct Network {
    pub nodes: Vec<Node>,
    index: HashMap<Box<str>, usize>,
    folds_case: bool,
    /// Bends by link; taken out when the link is drawn.
    vertices: HashMap<Box<str>, Vec<DVec2>>,
    vertex_count: usize,
    seen_links: HashSet<Box<str>>,
    /// Drawn length over the length that the file states.
    ratios: Vec<f64>,
}

impl Network {
    /// `folds_case`: ids are equal whatever their case (SWMM).
    pub fn new(folds_case: bool) -> Self {
        Self {
            nodes: Vec::new(),
            index: HashMap::new(),
            folds_case,
            vertices: HashMap::new(),
            vertex_count: 0,
            seen_links: HashSet::new(),
            ratios: Vec::new(),
        }
    }

    /// The id as it is compared.
    pub fn key(&self, id: &str) -> Box<str> {
        if self.folds_case { id.to_ascii_uppercase().into() } else { id.into() }
    }

    /// Adds a node; the error says why it is none.
    pub fn add_node(&mut self, id: &str, node: Node) -> Result<(), String> {
        if id.is_empty() {
            return Err("the node has no id".into());
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(format!("more than {MAX_NODES} nodes"));
        }
        let number = self.nodes.len();
        match self.index.entry(if self.folds_case { id.to_ascii_uppercase().into() } else { id.into() }) {
            std::collections::hash_map::Entry::Occupied(_) => Err(format!("node {id} stands twice; the first is used")),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(number);
                self.nodes.push(node);
                Ok(())
            }
        }
    }

    /// The node of this id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.index.get(&self.key(id)).copied()
    }

    /// Takes a row of `[COORDINATES]`.
    pub fn place_node(&mut self, row: &Row<'_>, job: &Job<'_>, report: &mut SourceReport) {
        let Some(number) = self.find(row.get(0)) else {
            let message = format!("coordinates of {}, which is no node of the file, were left out", row.get(0));
            report.warn("coordinates_without_node", message, row.place());
            return;
        };
        let place = match place(row, job) {
            Ok(place) => place,
            Err(reason) => {
                report.warn("bad_coordinates", reason, row.place());
                return;
            }
        };
        let Some(node) = self.nodes.get_mut(number) else { return };
        if node.at.is_some_and(|at| at != place) {
            let message = format!("node {} has two places; the last is used, as the program does", row.get(0));
            report.warn("duplicate_coordinates", message, row.place());
        }
        node.at = Some(place);
    }

    /// Takes a row of `[VERTICES]`.
    pub fn add_vertex(&mut self, row: &Row<'_>, job: &Job<'_>, report: &mut SourceReport) -> Result<(), ImportError> {
        if self.vertex_count >= MAX_VERTICES {
            return Err(super::bad(job.path, row.line, format!("more than {MAX_VERTICES} vertices")));
        }
        match place(row, job) {
            Ok(place) => {
                self.vertex_count += 1;
                let key = self.key(row.get(0));
                self.vertices.entry(key).or_default().push(place);
            }
            Err(reason) => report.warn("bad_vertex", format!("a bend was left out: {reason}"), row.place()),
        }
        Ok(())
    }

    /// Whether a link of this id is the first; remembers it, as long as that costs bounded memory.
    pub fn is_new_link(&mut self, id: &str) -> bool {
        if self.seen_links.len() >= MAX_LINKS {
            return true;
        }
        let key = self.key(id);
        self.seen_links.insert(key)
    }

    /// The two nodes of a link.
    pub fn ends(&self, from: &str, to: &str) -> Result<[usize; 2], String> {
        let find = |id: &str, end: &str| match id {
            "" => Err(format!("the link has no {end} node")),
            _ => self.find(id).ok_or_else(|| format!("{end} node {id} is not in the file")),
        };
        let ends = [find(from, "start")?, find(to, "end")?];
        if ends[0] == ends[1] {
            return Err(format!("the link starts and ends at node {from}"));
        }
        Ok(ends)
    }

    /// The centre line of a link between nodes that have places, with heights `z` at its ends and in proportion to the
    /// length in plan between them. The error says which node has no place.
    pub fn axis(&mut self, link: &str, ends: [usize; 2], ids: [&str; 2], z: [f64; 2]) -> Result<Vec<DVec3>, String> {
        let bends = self.vertices.remove(&self.key(link)).unwrap_or_default();
        let at = |side: usize| {
            let place = self.nodes.get(ends[side]).and_then(|node| node.at);
            place.ok_or_else(|| format!("node {} at its {} has no coordinates", ids[side], ["start", "end"][side]))
        };
        let mut plan = vec![at(0)?];
        plan.extend(bends);
        plan.push(at(1)?);
        let total: f64 = plan.windows(2).map(|w| w[0].distance(w[1])).sum();
        let last = plan.len() - 1;
        let mut run = 0.0;
        let mut before = plan[0];
        let mut axis: Vec<DVec3> = Vec::with_capacity(plan.len());
        for (i, place) in plan.into_iter().enumerate() {
            run += before.distance(place);
            before = place;
            let along = match (i, total > 0.0) {
                (i, _) if i == last => 1.0,
                (_, true) => run / total,
                (i, false) => i as f64 / last as f64,
            };
            axis.push(place.extend(z[0] + (z[1] - z[0]) * along));
        }
        axis.dedup_by(|b, a| a.distance(*b) < 1e-6);
        Ok(axis)
    }

    /// Compares a drawn link with the length that the file states.
    pub fn compare(&mut self, axis: &[DVec3], stated_m: f64) {
        let drawn: f64 = axis.windows(2).map(|w| w[0].distance(w[1])).sum();
        let ratio = drawn / stated_m;
        if stated_m > 0.0 && ratio.is_finite() && ratio > 0.0 && self.ratios.len() < MAX_RATIOS {
            self.ratios.push(ratio);
        }
    }

    /// Says what could only be known at the end: bends without a link, a map that is not to scale.
    pub fn finish(&mut self, map_unit: Option<&str>, crs: &Crs, report: &mut SourceReport) {
        if !self.vertices.is_empty() {
            let mut ids: Vec<_> = self.vertices.keys().collect();
            ids.sort();
            let message = format!("bends of {} links that were not read, such as {}", ids.len(), ids[0]);
            report.warn("vertices_without_link", message, "VERTICES");
        }
        let lonely = self.nodes.iter().filter(|node| node.links == 0).count();
        if lonely > 0 {
            let first = self.nodes.iter().find(|node| node.links == 0).map_or(0, |node| node.line);
            let message = format!("{lonely} nodes are at the end of no link");
            report.warn("unlinked_node", message, format!("line {first}"));
        }
        if let Some((says, unit_m)) = map_unit.and_then(unit_of_map)
            && !crs.is_geographic
            && (crs.unit_m / unit_m - 1.0).abs() > 0.001
        {
            let message = format!(
                "the file says that its map is in {says}, but {} has units of {} m: is it the right --crs?",
                crs.label(),
                crs.unit_m
            );
            report.warn("map_units_disagree", message, "map units");
        }
        self.ratios.sort_by(f64::total_cmp);
        let Some(median) = self.ratios.get(self.ratios.len() / 2).copied() else { return };
        if !(0.8..1.25).contains(&median) {
            let near = |wanted: f64| (median / wanted - 1.0).abs() < 0.1;
            let hint = if near(1.0 / super::unit::FOOT_M) {
                "the coordinates are feet, it seems: give a --crs in feet"
            } else if near(super::unit::FOOT_M) {
                "the coordinates are metres, it seems: give a --crs in metres"
            } else {
                "the map is a sketch that is not to scale, or --crs is not that of its coordinates"
            };
            let message =
                format!("half of the links are drawn more than {median:.3} times as long as the file says: {hint}");
            report.warn("lengths_disagree", message, "");
        }
    }
}

/// A unit of length named for a map.
fn unit_of_map(word: &str) -> Option<(&'static str, f64)> {
    match word.to_ascii_uppercase().as_str() {
        "FEET" | "FT" => Some(("feet", super::unit::FOOT_M)),
        "METERS" | "METRES" | "M" => Some(("metres", 1.0)),
        _ => None,
    }
}

/// Columns 2 and 3 of a row as a place in the city.
pub(crate) fn place(row: &Row<'_>, job: &Job<'_>) -> Result<DVec2, String> {
    let (x, y) = (row.needed(1, "x")?, row.needed(2, "y")?);
    let at = job.city_from_source.point(DVec3::new(x, y, 0.0));
    at.map(DVec3::truncate).ok_or_else(|| format!("{x}, {y} has no place in {}", job.crs.label()))
}

/// A tube, or no shape where both ends lie at one place.
pub(crate) fn tube(tube: Tube, place: String, report: &mut SourceReport) -> Geometry {
    let length: f64 = tube.axis.windows(2).map(|w| w[0].distance(w[1])).sum();
    if length < 0.001 {
        let message = "links whose two ends lie at one place were kept without a shape";
        report.warn("no_length", message, place);
        return Geometry::None;
    }
    Geometry::Tube(tube)
}

/// Sets what all objects of a source have in common.
pub(crate) fn dress(object: &mut CityObject, job: &Job<'_>, line: u64, name: &str) {
    object.record = line;
    object.name = Some(name.to_owned());
    object.stage = job.options.stage.unwrap_or(object.stage);
}

/// A joint a little thicker than the pipes that meet in it: foot and size.
pub(crate) fn joint(node: &Node, at: DVec2, axis_z: f64, vertical: Vertical) -> (Geometry, Domain) {
    let size = (node.size_m * 1.15).max(0.1);
    let instance = groundline_engine::model::Instance {
        at: at.extend(axis_z - size / 2.0),
        vertical,
        model: groundline_engine::model::InstanceModel::Joint,
        height_m: size,
        width_m: size,
        yaw: 0.0,
    };
    (Geometry::Instance(instance), Domain::Below)
}
