//! What has to be known of a file before its objects can be made.

use std::collections::HashMap;

use glam::DVec2;
use groundline_engine::model::SourceReport;

use super::xsection::{Outline, Transect, Xsection};
use crate::{
    ImportError, Job,
    inp::{
        self, HIGHEST_M,
        network::{Network, Node, place},
        section::{InpFile, Row},
        unit::Units,
    },
};

/// Sections, curves, symbols and corners of polygons of one file.
const MAX_NOTES: usize = 32_000_000;
/// Depth of a node of which nothing is known, metres.
pub(super) const UNKNOWN_DEPTH_M: f64 = 2.0;

/// Options and notes of a file. Keys are ids as the network compares them.
pub(super) struct Survey {
    pub units: Units,
    /// Whether offsets of links are elevations.
    pub offsets_are_elevations: bool,
    /// `[MAP]` `UNITS`.
    pub map_unit: Option<String>,
    /// Cross sections by link; taken out when the link is made.
    pub xsections: HashMap<Box<str>, Xsection>,
    transects: HashMap<Box<str>, Transect>,
    /// Highest point of each storage curve: depth and area in the file's unit.
    pub storage_curves: HashMap<Box<str>, (f64, f64)>,
    /// Places of rain gages.
    pub symbols: HashMap<Box<str>, DVec2>,
    /// Outlines by subcatchment; taken out when it is made.
    pub polygons: HashMap<Box<str>, Vec<DVec2>>,
    notes: usize,
    pub has_dry_weather_flow: bool,
    pub has_subcatchments: bool,
    /// Whether inverts say anything.
    pub has_heights: bool,
}

impl Survey {
    /// Reads options, nodes, cross sections and curves.
    pub fn of(
        file: &InpFile,
        job: &Job<'_>,
        network: &mut Network,
        report: &mut SourceReport,
    ) -> Result<Self, ImportError> {
        let mut survey = Self {
            units: Units { flow: "CFS", flow_l_s: 1.0, is_us: true },
            offsets_are_elevations: false,
            map_unit: None,
            xsections: HashMap::new(),
            transects: HashMap::new(),
            storage_curves: HashMap::new(),
            symbols: HashMap::new(),
            polygons: HashMap::new(),
            notes: 0,
            has_dry_weather_flow: false,
            has_subcatchments: false,
            has_heights: true,
        };
        survey.read_options(file, job, report)?;
        let mut transect: Option<Box<str>> = None;
        let mut has_height = false;
        file.each_row(&mut |row| {
            match row.section {
                "JUNCTIONS" | "OUTFALLS" | "STORAGE" | "DIVIDERS" => {
                    match survey.node(&row).and_then(|node| {
                        let level = node.level_m;
                        network.add_node(row.get(0), node).map(|()| level)
                    }) {
                        Ok(level) => has_height |= level != Some(0.0),
                        Err(reason) => report.skip(row.line, format!("{}: {reason}", row.place())),
                    }
                }
                "XSECTIONS" => {
                    survey.count(&row, job)?;
                    let key = network.key(row.get(0));
                    match Xsection::parse(&row) {
                        Ok(_) if survey.xsections.contains_key(&key) => {
                            let message = "a link has two cross sections; the first is used";
                            report.warn("duplicate_section", message, row.place());
                        }
                        Ok(xsection) => {
                            survey.xsections.insert(key, xsection);
                        }
                        Err(reason) => report.warn("bad_section", reason, row.place()),
                    }
                }
                "TRANSECTS" => {
                    survey.count(&row, job)?;
                    survey.transect(&row, &mut transect, network, report);
                }
                "CURVES" => survey.curve(&row, network),
                "DWF" => survey.has_dry_weather_flow = true,
                "SUBCATCHMENTS" => survey.has_subcatchments = true,
                _ => {}
            }
            Ok(())
        })?;
        if !has_height && network.nodes.len() > 1 {
            survey.has_heights = false;
            let message = "all inverts are 0, so the file has no heights: nodes are taken to lie as deep below the \
                           terrain as their maximum depth says, 2 m where it says nothing";
            report.warn("no_elevations", message, "JUNCTIONS");
            for node in &mut network.nodes {
                node.level_m = Some(-node.depth_m.unwrap_or(UNKNOWN_DEPTH_M));
            }
        }
        Ok(survey)
    }

    fn count(&mut self, row: &Row<'_>, job: &Job<'_>) -> Result<(), ImportError> {
        self.notes += 1;
        match self.notes > MAX_NOTES {
            true => Err(inp::bad(job.path, row.line, format!("more than {MAX_NOTES} rows of this kind"))),
            false => Ok(()),
        }
    }

    fn read_options(&mut self, file: &InpFile, job: &Job<'_>, report: &mut SourceReport) -> Result<(), ImportError> {
        let mut units = None;
        file.each_row(&mut |row| {
            let (key, value) = (row.get(0).to_ascii_uppercase(), row.get(1).to_ascii_uppercase());
            match (row.section, key.as_str()) {
                ("OPTIONS", "FLOW_UNITS") => {
                    let found = Units::parse(&value).ok_or_else(|| {
                        // A guess here would be wrong by a factor of three.
                        inp::bad(job.path, row.line, format!("FLOW_UNITS {value:?} is no unit of flow"))
                    })?;
                    if units.is_some_and(|before: Units| before != found) {
                        report.warn("units_twice", "FLOW_UNITS stands twice; the last is used", row.place());
                    }
                    units = Some(found);
                }
                ("OPTIONS", "LINK_OFFSETS") => match value.as_str() {
                    "ELEVATION" => self.offsets_are_elevations = true,
                    "DEPTH" => self.offsets_are_elevations = false,
                    _ => {
                        let reason = format!("LINK_OFFSETS {value:?} is neither DEPTH nor ELEVATION");
                        return Err(inp::bad(job.path, row.line, reason));
                    }
                },
                ("MAP", "UNITS") => self.map_unit = Some(value),
                _ => {}
            }
            Ok(())
        })?;
        self.units = match units {
            Some(units) => units,
            None => {
                let message = "the file names no FLOW_UNITS: read as CFS with feet, as SWMM does";
                report.warn("units_defaulted", message, "OPTIONS");
                Units::parse("CFS").unwrap_or(self.units)
            }
        };
        Ok(())
    }

    /// Invert and maximum depth of a node.
    fn node(&self, row: &Row<'_>) -> Result<Node, String> {
        let unit = self.units.length_m();
        let invert_m = row.needed(1, "invert elevation")? * unit;
        if invert_m.abs() > HIGHEST_M {
            return Err(format!("{invert_m} m is no elevation"));
        }
        let token = match row.section {
            "JUNCTIONS" | "STORAGE" => Some(2),
            "DIVIDERS" => match row.get(3).to_ascii_uppercase().as_str() {
                "CUTOFF" | "TABULAR" => Some(5),
                "WEIR" => Some(7),
                _ => Some(4),
            },
            _ => None,
        };
        let depth = match token {
            Some(token) => row.number(token).map_err(|reason| format!("maximum depth: {reason}"))?,
            None => None,
        };
        let mut node = Node::new(row.line, Some(invert_m));
        node.depth_m = depth.map(|d| d * unit).filter(|d| *d > 0.0);
        match node.depth_m {
            Some(depth) if depth > 1000.0 => Err(format!("maximum depth of {depth} m")),
            _ => Ok(node),
        }
    }

    /// `X1` begins a transect, `GR` gives pairs of elevation and station.
    fn transect(
        &mut self,
        row: &Row<'_>,
        current: &mut Option<Box<str>>,
        network: &Network,
        report: &mut SourceReport,
    ) {
        match row.get(0).to_ascii_uppercase().as_str() {
            "X1" => {
                let key = network.key(row.get(1));
                let factor = row.number(8).ok().flatten().unwrap_or(0.0);
                self.transects.insert(key.clone(), Transect::new(factor));
                *current = Some(key);
            }
            "GR" => {
                let Some(transect) = current.as_ref().and_then(|key| self.transects.get_mut(key)) else { return };
                for pair in row.tokens.get(1..).unwrap_or_default().chunks(2) {
                    match (pair.first().and_then(|t| inp::number(t)), pair.get(1).and_then(|t| inp::number(t))) {
                        (Some(elevation), Some(station)) => transect.add(elevation, station),
                        _ => report.warn("bad_transect", "points of a transect are no numbers", row.place()),
                    }
                }
            }
            _ => {}
        }
    }

    /// Keeps the highest point of storage curves.
    fn curve(&mut self, row: &Row<'_>, network: &Network) {
        let key = network.key(row.get(0));
        let starts = row.get(1).eq_ignore_ascii_case("STORAGE");
        // Curves of other kinds share the section; their further rows name no kind.
        if !starts && !self.storage_curves.contains_key(&key) || self.storage_curves.len() >= MAX_NOTES {
            return;
        }
        let pairs = row.tokens.get(if starts { 2 } else { 1 }..).unwrap_or_default();
        let top = self.storage_curves.entry(key).or_insert((f64::NEG_INFINITY, 0.0));
        for pair in pairs.chunks(2) {
            if let (Some(depth), Some(area)) =
                (pair.first().and_then(|t| inp::number(t)), pair.get(1).and_then(|t| inp::number(t)))
                && depth > top.0
            {
                *top = (depth, area);
            }
        }
    }

    /// Sizes of a link's cross section.
    pub fn outline(&self, xsection: &Xsection, network: &Network) -> Option<Outline> {
        let transect = xsection.transect().and_then(|name| self.transects.get(&network.key(name)));
        xsection.outline(&self.units, transect)
    }

    /// Height of the invert of a link's end above its node's, metres; true when the file puts it below.
    pub fn offset_m(&self, row: &Row<'_>, token: usize, node_m: f64) -> Result<(f64, bool), String> {
        if matches!(row.get(token), "*" | "") {
            return Ok((0.0, false));
        }
        let number = row.needed(token, "offset")? * self.units.length_m();
        let offset = if self.offsets_are_elevations { number - node_m } else { number };
        if offset.abs() > 1000.0 && number != 0.0 {
            return Err(format!("an offset of {offset} m"));
        }
        // SWMM takes an end below the invert as lying on it.
        Ok((offset.max(0.0), offset < -0.001))
    }
}

/// Columns of the offsets at start and end.
pub(super) fn offset_columns(section: &str) -> [Option<usize>; 2] {
    match section {
        "CONDUITS" => [Some(5), Some(6)],
        "ORIFICES" | "WEIRS" => [Some(4), None],
        "OUTLETS" => [Some(3), None],
        _ => [None, None],
    }
}

/// Reads places, bends and outlines, and what meets in each node.
pub(super) fn gather(
    file: &InpFile,
    job: &Job<'_>,
    survey: &mut Survey,
    network: &mut Network,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    file.each_row(&mut |row| {
        match row.section {
            "COORDINATES" => network.place_node(&row, job, report),
            "VERTICES" => network.add_vertex(&row, job, report)?,
            "POLYGONS" | "SYMBOLS" => {
                survey.count(&row, job)?;
                let key = network.key(row.get(0));
                match place(&row, job) {
                    Ok(at) if row.section == "POLYGONS" => survey.polygons.entry(key).or_default().push(at),
                    Ok(at) => {
                        survey.symbols.insert(key, at);
                    }
                    Err(reason) => report.warn("bad_corner", format!("a place was left out: {reason}"), row.place()),
                }
            }
            "CONDUITS" | "PUMPS" | "ORIFICES" | "WEIRS" | "OUTLETS" => {
                let xsection = survey.xsections.get(&network.key(row.get(0)));
                let section = xsection.and_then(|x| survey.outline(x, network)).map(|outline| outline.section);
                for (side, column) in offset_columns(row.section).into_iter().enumerate() {
                    let Some(number) = network.find(row.get(1 + side)) else { continue };
                    let Some(node) = network.nodes.get_mut(number) else { continue };
                    node.links += 1;
                    let (Some(section), "CONDUITS") = (section, row.section) else { continue };
                    let invert = node.level_m.unwrap_or(0.0);
                    let offset = column.and_then(|c| survey.offset_m(&row, c, invert).ok()).map_or(0.0, |(o, _)| o);
                    let crown = invert + offset + section.height_m();
                    node.size_m = node.size_m.max(section.size_m());
                    node.crown_m = Some(node.crown_m.map_or(crown, |other| other.max(crown)));
                }
            }
            _ => {}
        }
        Ok(())
    })
}
