//! What has to be known of a file before its objects can be made: units, nodes, places, bends.

use std::collections::HashMap;

use groundline_engine::model::SourceReport;

use crate::{
    ImportError, Job,
    inp::{
        self, HIGHEST_M,
        network::{Network, Node},
        section::{InpFile, Row},
        unit::Units,
    },
};

/// Demands, statuses and tags of one file.
const MAX_NOTES: usize = 8_000_000;

/// How the roughness of pipes is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Headloss {
    HazenWilliams,
    DarcyWeisbach,
    ChezyManning,
}

/// Options and notes of a file.
pub(super) struct Survey {
    pub units: Units,
    pub headloss: Headloss,
    /// Unit of the settings of pressure valves.
    pub pressure: &'static str,
    /// `[BACKDROP]` `UNITS`.
    pub map_unit: Option<String>,
    /// `[DEMANDS]` by junction: sum and number; they replace the junction's own.
    pub demands: HashMap<Box<str>, (f64, u32)>,
    /// `[STATUS]` by link.
    pub statuses: HashMap<Box<str>, String>,
    /// `[TAGS]` by `NODE` or `LINK` and id.
    pub tags: HashMap<(bool, Box<str>), String>,
    /// Whether elevations say anything.
    pub has_heights: bool,
}

impl Survey {
    /// Reads options, notes and nodes.
    pub fn of(
        file: &InpFile,
        job: &Job<'_>,
        network: &mut Network,
        report: &mut SourceReport,
    ) -> Result<Self, ImportError> {
        let mut survey = Self {
            units: Units { flow: "GPM", flow_l_s: 1.0, is_us: true },
            headloss: Headloss::HazenWilliams,
            pressure: "",
            map_unit: None,
            demands: HashMap::new(),
            statuses: HashMap::new(),
            tags: HashMap::new(),
            has_heights: false,
        };
        survey.read_options(file, job, report)?;
        let (mut junctions, mut zeros, mut lowest) = (0_u64, 0_u64, f64::INFINITY);
        file.each_row(&mut |row| {
            match row.section {
                "JUNCTIONS" | "RESERVOIRS" | "TANKS" => {
                    let level_m = match survey.level(&row) {
                        Ok(level_m) => level_m,
                        Err(reason) => {
                            report.skip(row.line, format!("{}: {reason}", row.place()));
                            return Ok(());
                        }
                    };
                    let is_reservoir = is_reservoir(&row);
                    let node = Node::new(row.line, level_m.filter(|_| !is_reservoir));
                    if let Err(reason) = network.add_node(row.get(0), node) {
                        report.skip(row.line, format!("{}: {reason}", row.place()));
                    } else if row.section == "JUNCTIONS" {
                        junctions += 1;
                        match level_m {
                            Some(level) if level != 0.0 => lowest = lowest.min(level),
                            _ => zeros += 1,
                        }
                    }
                }
                "DEMANDS" | "STATUS" | "TAGS" => survey.note(&row, report),
                _ => {}
            }
            Ok(())
        })?;
        survey.has_heights = junctions == 0 || zeros < junctions;
        if !survey.has_heights {
            let message = "all junctions have elevation 0, so the file has no heights: pipes are drawn with 1.2 m of \
                           cover below the terrain, tanks and reservoirs on it";
            report.warn("no_elevations", message, "JUNCTIONS");
        } else if zeros > 0 && lowest > 20.0 {
            let message = format!(
                "{zeros} junctions have elevation 0 while the others lie {lowest:.1} m or higher: drawn as the file says"
            );
            report.warn("elevation_zero", message, "JUNCTIONS");
        }
        Ok(survey)
    }

    fn read_options(&mut self, file: &InpFile, job: &Job<'_>, report: &mut SourceReport) -> Result<(), ImportError> {
        let (mut units, mut pressure) = (None, String::new());
        file.each_row(&mut |row| {
            let (key, value) = (row.get(0).to_ascii_uppercase(), row.get(1).to_ascii_uppercase());
            match row.section {
                "OPTIONS" if key.starts_with("UNIT") => {
                    // A guess here would be wrong by a factor of three.
                    let found = Units::parse(if value == "SI" { "LPS" } else { &value });
                    let found = found
                        .ok_or_else(|| inp::bad(job.path, row.line, format!("UNITS {value:?} is no unit of flow")))?;
                    if units.is_some_and(|before: Units| before != found) {
                        report.warn("units_twice", "UNITS stands twice; the last is used", row.place());
                    }
                    units = Some(found);
                }
                "OPTIONS" if key.starts_with("HEADL") => match value.as_str() {
                    "H-W" => self.headloss = Headloss::HazenWilliams,
                    "D-W" => self.headloss = Headloss::DarcyWeisbach,
                    "C-M" => self.headloss = Headloss::ChezyManning,
                    _ => report.warn("unknown_headloss", format!("HEADLOSS {value:?} is not known"), row.place()),
                },
                "OPTIONS" if key.starts_with("PRES") => pressure = value,
                "BACKDROP" if key == "UNITS" => self.map_unit = Some(value),
                _ => {}
            }
            Ok(())
        })?;
        self.units = match units {
            Some(units) => units,
            None => {
                let message = "the file names no UNITS: read as GPM with feet and inches, as EPANET does";
                report.warn("units_defaulted", message, "OPTIONS");
                Units::parse("GPM").unwrap_or(self.units)
            }
        };
        self.pressure = match (pressure.as_str(), self.units.is_us) {
            ("KPA", _) => "kPa",
            ("BAR", _) => "bar",
            ("METERS", _) => "m",
            ("FEET", _) => "ft",
            ("PSI", _) | (_, true) => "psi",
            (_, false) => "m",
        };
        Ok(())
    }

    /// Elevation or head of a node, metres.
    fn level(&self, row: &Row<'_>) -> Result<Option<f64>, String> {
        let level = row.number(1).map_err(|reason| format!("elevation: {reason}"))?;
        let level_m = level.map(|number| number * self.units.length_m());
        match level_m {
            Some(metres) if metres.abs() > HIGHEST_M => Err(format!("{metres} m is no elevation")),
            level_m => Ok(level_m),
        }
    }

    fn note(&mut self, row: &Row<'_>, report: &mut SourceReport) {
        if self.demands.len() + self.statuses.len() + self.tags.len() >= MAX_NOTES {
            report.warn("too_many_notes", format!("more than {MAX_NOTES} demands, statuses and tags"), row.place());
            return;
        }
        match row.section {
            // `MULTIPLY 1.2` is an old way of the option of that name.
            "DEMANDS" if row.get(0).eq_ignore_ascii_case("MULTIPLY") => {}
            "DEMANDS" => match row.needed(1, "demand") {
                Ok(demand) => {
                    let sum = self.demands.entry(row.get(0).into()).or_default();
                    *sum = (sum.0 + demand, sum.1 + 1);
                }
                Err(reason) => report.warn("bad_demand", format!("a demand was left out: {reason}"), row.place()),
            },
            "STATUS" => {
                self.statuses.insert(row.get(0).into(), row.get(1).to_owned());
            }
            _ => {
                let is_link = row.get(0).eq_ignore_ascii_case("LINK");
                self.tags.insert((is_link, row.get(1).into()), row.get(2).to_owned());
            }
        }
    }

    /// Inner diameter of a pipe or valve, metres; `None` when it is not believed.
    pub fn diameter_m(&self, number: f64) -> Option<f64> {
        // Whole micrometres: 6 inches are 0.1524 m and not 0.15239999999999998.
        let metres = (number * self.units.diameter_mm() * 1000.0).round() / 1e6;
        (0.001..=20.0).contains(&metres).then_some(metres)
    }
}

/// Whether a node is a reservoir: `[RESERVOIRS]`, or a row of `[TANKS]` that has a head and a pattern only.
pub(super) fn is_reservoir(row: &Row<'_>) -> bool {
    row.section == "RESERVOIRS" || row.section == "TANKS" && row.tokens.len() <= 3
}

/// Reads places and bends, and what meets in each node.
pub(super) fn gather(
    file: &InpFile,
    job: &Job<'_>,
    survey: &Survey,
    network: &mut Network,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    file.each_row(&mut |row| {
        match row.section {
            "COORDINATES" => network.place_node(&row, job, report),
            "VERTICES" => network.add_vertex(&row, job, report)?,
            "PIPES" | "PUMPS" | "VALVES" => {
                let size = match row.section {
                    "PIPES" => row.number(4).ok().flatten().and_then(|d| survey.diameter_m(d)),
                    _ => None,
                };
                for end in [1, 2].map(|token| network.find(row.get(token))).into_iter().flatten() {
                    if let Some(node) = network.nodes.get_mut(end) {
                        node.links += 1;
                        node.size_m = node.size_m.max(size.unwrap_or(0.0));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    })
}
