//! What has to be known of a file before its objects can be made: holes, codes, tests, depths of strata.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use glam::{DVec2, DVec3};
use groundline_engine::{
    crs::Crs,
    model::{Attribute, Origin, SourceReport, Value},
};

use super::{
    is_depth, known,
    table::{AgsFile, Item, Record},
};
use crate::{
    ImportError, Job,
    borehole::{self, Coverage, Hole, Leg},
};

/// Holes, codes, tests and strata of one file, each.
const MAX_RECORDS: usize = 4_000_000;
/// Depths that differ by less are one, metres: logs are written to the centimetre.
const SAME_DEPTH_M: f64 = 0.011;

/// Whether a group lists holes.
pub(super) fn is_holes(group: &str) -> bool {
    matches!(group, "LOCA" | "HOLE")
}

/// Id of the hole that a row is about.
pub(super) fn id_of<'r>(record: &'r Record<'_>) -> &'r str {
    record.first(&["LOCA_ID", "HOLE_ID"]).map_or("", |(_, id)| id)
}

/// The plane coordinates of a hole and whether they are those of a local grid; `None` when it has none.
pub(super) fn place_of(record: &Record<'_>) -> Result<Option<(DVec2, bool)>, String> {
    for (east, north, is_local) in [
        ("LOCA_NATE", "LOCA_NATN", false),
        ("HOLE_NATE", "HOLE_NATN", false),
        ("LOCA_LOCX", "LOCA_LOCY", true),
        ("HOLE_LOCX", "HOLE_LOCY", true),
    ] {
        match (record.metres(east)?, record.metres(north)?) {
            (Some(x), Some(y)) if x != 0.0 || y != 0.0 => return Ok(Some((DVec2::new(x, y), is_local))),
            (Some(_), None) | (None, Some(_)) => return Err(format!("one of {east} and {north} is missing")),
            _ => {}
        }
    }
    Ok(None)
}

/// What names the grid of a hole: `LOCA_GREF`, or the letters of a British grid reference; empty when nothing does.
pub(super) fn grid_of(record: &Record<'_>) -> String {
    let said = record.first(&["LOCA_GREF", "HOLE_GREF"]).map_or("", |(_, word)| word).trim().to_uppercase();
    if !said.is_empty() {
        return said;
    }
    let letters = record.first(&["LOCA_LETT", "HOLE_LETT"]).map_or("", |(_, word)| word).trim().to_uppercase();
    let mut chars = letters.chars();
    // 500 km squares of Great Britain are H, N, O, S and T; the second letter is any but I.
    match (chars.next(), chars.next()) {
        (Some('H' | 'N' | 'O' | 'S' | 'T'), Some(second)) if second.is_ascii_uppercase() && second != 'I' => {
            "OSGB".into()
        }
        _ => String::new(),
    }
}

/// The coordinate system that a word of `LOCA_GREF` means.
pub(super) fn crs_of_grid(word: &str) -> Option<Crs> {
    match word {
        "OSGB" | "OSGB36" | "BNG" => known(27700),
        // Ordnance Survey Ireland: the Irish Grid.
        "OSI" | "IG" => known(29903),
        "ITM" => known(2157),
        other => other.starts_with("EPSG").then(|| Crs::parse(other).ok()).flatten(),
    }
}

/// Top and base of a stratum.
pub(super) fn interval_of(record: &Record<'_>) -> Result<(f64, f64), String> {
    let depth = |heading: &str| -> Result<f64, String> {
        let metres = record.metres(heading)?.ok_or_else(|| format!("no {heading}"))?;
        if is_depth(metres) { Ok(metres) } else { Err(format!("{heading} of {metres} m")) }
    };
    let (top, base) = (depth("GEOL_TOP")?, depth("GEOL_BASE")?);
    if base - top < 0.001 {
        return Err(format!("its base at {base} m is not below its top at {top} m"));
    }
    Ok((top, base))
}

/// Holes, codes and tests of a file.
pub(super) struct Survey {
    holes: HashMap<String, Hole>,
    skipped: HashSet<String>,
    /// Meanings of codes by heading and code.
    codes: HashMap<(String, String), String>,
    /// Depth and blows of the tests of each hole, from the top down.
    tests: HashMap<String, Vec<(f64, u32)>>,
}

impl Survey {
    /// Reads the file once.
    pub fn of(file: &AgsFile, job: &Job<'_>, report: &mut SourceReport) -> Result<Self, ImportError> {
        let mut survey =
            Self { holes: HashMap::new(), skipped: HashSet::new(), codes: HashMap::new(), tests: HashMap::new() };
        let mut strata: HashMap<String, Vec<(f64, f64)>> = HashMap::new();
        let mut legs: BTreeMap<String, Vec<Leg>> = BTreeMap::new();
        let mut groups: HashSet<String> = HashSet::new();
        let mut count = 0;
        // A hole in a grid of its own is taken only where no hole has national coordinates.
        let mut has_national = false;
        file.each(&mut |item| {
            if let Item::Record(record) = item
                && is_holes(record.group)
            {
                has_national |= matches!(place_of(&record), Ok(Some((_, false))));
            }
            Ok(())
        })?;
        file.each(&mut |item| {
            let record = match item {
                Item::Record(record) => record,
                Item::Bad(line, reason) => {
                    report.skip(line, format!("line {line}: {reason}"));
                    return Ok(());
                }
                Item::Group(group, line) => {
                    if groups.len() < 10_000 && !groups.insert(group.to_owned()) {
                        report.warn("group_twice", format!("group {group} stands twice"), format!("line {line}"));
                    }
                    return Ok(());
                }
            };
            count += 1;
            if count > 4 * MAX_RECORDS {
                let reason = format!("more than {} records", 4 * MAX_RECORDS);
                return Err(ImportError::Bad { path: job.path.into(), place: record.place(), reason });
            }
            match record.group {
                "ABBR" if survey.codes.len() < MAX_RECORDS => {
                    let key = (record.get("ABBR_HDNG").to_owned(), record.get("ABBR_CODE").to_owned());
                    survey.codes.insert(key, record.get("ABBR_DESC").to_owned());
                }
                "LOCA" | "HOLE" => survey.add_hole(&record, job, has_national, &mut legs, report),
                "GEOL" => {
                    if let Ok(interval) = interval_of(&record) {
                        strata.entry(id_of(&record).to_owned()).or_default().push(interval);
                    }
                }
                "ISPT" => survey.add_test(&record, report),
                "HORN" => add_leg(&record, ["HORN_INCL", "HORN_ORNT", "HORN_TOP"], &mut legs, report),
                _ => {}
            }
            Ok(())
        })?;
        if survey.holes.is_empty() && survey.skipped.is_empty() {
            let reason = "no group LOCA or HOLE with a hole in it".into();
            return Err(ImportError::Bad { path: job.path.into(), place: "groups".into(), reason });
        }
        for tests in survey.tests.values_mut() {
            tests.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        survey.incline(legs, report);
        survey.compare(strata, report);
        Ok(survey)
    }

    fn add_hole(
        &mut self,
        record: &Record<'_>,
        job: &Job<'_>,
        has_national: bool,
        legs: &mut BTreeMap<String, Vec<Leg>>,
        report: &mut SourceReport,
    ) {
        let id = id_of(record).to_owned();
        match hole(record, &id, job, has_national, report) {
            Ok(_) if self.holes.contains_key(&id) => {
                report.skip(record.line, format!("{}: hole {id} stands twice; the first is used", record.place()));
            }
            Ok(_) if self.holes.len() >= MAX_RECORDS => {
                report.skip(record.line, format!("{}: more than {MAX_RECORDS} holes", record.place()));
            }
            Ok(hole) => {
                // Edition 3 has the orientation beside the place.
                add_leg(record, ["HOLE_INCL", "HOLE_ORNT", ""], legs, report);
                self.holes.insert(id, hole);
            }
            Err(reason) => {
                report.skip(record.line, format!("{}: hole {id}: {reason}", record.place()));
                self.skipped.insert(id);
            }
        }
    }

    fn add_test(&mut self, record: &Record<'_>, report: &mut SourceReport) {
        // A test that met refusal has no value; its report stays in the file.
        let value = match (record.metres("ISPT_TOP"), record.number("ISPT_NVAL")) {
            (Ok(Some(depth)), Ok(Some(n))) if is_depth(depth) && (0.0..=10_000.0).contains(&n) => (depth, n as u32),
            (Ok(_), Ok(None)) => return,
            _ => {
                report.warn("bad_test", "penetration tests without a depth or a number were left out", record.place());
                return;
            }
        };
        self.tests.entry(id_of(record).to_owned()).or_default().push(value);
    }

    /// Gives inclined holes their direction.
    fn incline(&mut self, legs: BTreeMap<String, Vec<Leg>>, report: &mut SourceReport) {
        for (id, mut legs) in legs {
            let Some(hole) = self.holes.get_mut(&id) else { continue };
            if legs.iter().all(|leg| leg.direction.z < -0.9999) {
                continue;
            }
            legs.sort_by(|a, b| a.from_m.total_cmp(&b.from_m));
            let message = format!("hole {id} is inclined: drawn along its direction, depths measured along it");
            report.warn("inclined_hole", message, format!("line {}", hole.line));
            hole.legs = legs;
        }
    }

    /// Depths of the strata against those of their holes.
    fn compare(&mut self, mut strata: HashMap<String, Vec<(f64, f64)>>, report: &mut SourceReport) {
        let has_strata = !strata.is_empty();
        let mut holes: Vec<&mut Hole> = self.holes.values_mut().collect();
        holes.sort_by_key(|hole| hole.line);
        for hole in holes {
            let place = format!("line {}", hole.line);
            let Some(own) = strata.get_mut(&hole.id) else {
                if has_strata {
                    report.warn("hole_without_strata", format!("hole {} has no strata", hole.id), place);
                }
                continue;
            };
            let coverage = Coverage::of(own, hole.depth_m);
            let id = &hole.id;
            if coverage.overlap_m > SAME_DEPTH_M {
                let message = format!("strata of hole {id} overlap by {:.2} m in all", coverage.overlap_m);
                report.warn("strata_overlap", message, place.clone());
            }
            if coverage.gap_m > SAME_DEPTH_M {
                let message = format!("{:.2} m of hole {id} are described by no stratum", coverage.gap_m);
                report.warn("strata_gap", message, place.clone());
            }
            if let Some(depth) = hole.depth_m.filter(|depth| coverage.deepest_m > depth + SAME_DEPTH_M) {
                let message =
                    format!("strata of hole {id} reach to {} m, its final depth is {depth} m", coverage.deepest_m);
                report.warn("strata_below_hole", message, place);
            }
            hole.depth_m = hole.depth_m.or(Some(coverage.deepest_m));
        }
        borehole::examine(self.holes.values(), report);
    }

    /// The hole of this id.
    pub fn hole(&self, id: &str) -> Option<&Hole> {
        self.holes.get(id)
    }

    /// Whether a hole of this id was skipped.
    pub fn is_skipped(&self, id: &str) -> bool {
        self.skipped.contains(id)
    }

    /// What a code under a heading means by the file's own list.
    pub fn meaning(&self, heading: &str, code: &str) -> Option<&str> {
        self.codes.get(&(heading.to_owned(), code.to_owned())).map(String::as_str).filter(|meaning| !meaning.is_empty())
    }

    /// Depth and blows of the tests of a hole that begin between two depths.
    pub fn tests_of(&self, id: &str, from_m: f64, to_m: f64) -> Vec<(f64, u32)> {
        let tests = self.tests.get(id).map_or(&[][..], Vec::as_slice);
        tests.iter().filter(|(depth, _)| *depth >= from_m && *depth < to_m).copied().collect()
    }

    /// A cell under its own heading.
    pub fn read(&self, heading: &str, text: &str) -> Attribute {
        let field: Arc<str> = heading.into();
        match self.meaning(heading, text) {
            Some(meaning) => {
                let rule = format!("code {text} by the file's own list (ABBR)");
                let origin = Origin::Converted(rule.into());
                Attribute { key: field.clone(), value: Value::Text(meaning.to_owned()), field, origin }
            }
            None => Attribute::read(&field, Value::Text(text.to_owned())),
        }
    }
}

fn hole(
    record: &Record<'_>,
    id: &str,
    job: &Job<'_>,
    has_national: bool,
    report: &mut SourceReport,
) -> Result<Hole, String> {
    if id.is_empty() {
        return Err("no id".into());
    }
    let (place, is_local) = place_of(record)?.ok_or("no coordinates")?;
    if is_local {
        if has_national {
            return Err("it has coordinates of a local grid only, the others have national ones".into());
        }
        let message = "no hole has national coordinates: those of the local grid are used";
        report.warn("local_grid", message, record.place());
    }
    let at = job.city_from_source.point(DVec3::new(place.x, place.y, 0.0));
    let at = at.ok_or_else(|| format!("{}, {} has no place in {}", place.x, place.y, job.crs.label()))?.truncate();
    let either = |first: &str, second: &str| Ok::<_, String>(record.metres(first)?.or(record.metres(second)?));
    let ground_m = either("LOCA_GL", "HOLE_GL")?;
    if let Some(ground) = ground_m.filter(|m| !(-1000.0..=9000.0).contains(m)) {
        return Err(format!("ground level of {ground} m"));
    }
    if ground_m.is_none() {
        let message = "holes without a ground level hang below the terrain";
        report.warn("no_ground_level", message, record.place());
    }
    let depth_m = either("LOCA_FDEP", "HOLE_FDEP")?;
    if let Some(depth) = depth_m.filter(|m| !is_depth(*m)) {
        return Err(format!("final depth of {depth} m"));
    }
    Ok(Hole { id: id.to_owned(), line: record.line, at, ground_m, depth_m, legs: Vec::new() })
}

/// Takes degrees below the horizontal, degrees from north and the depth at which they begin.
fn add_leg(
    record: &Record<'_>,
    [dips, azimuths, tops]: [&str; 3],
    legs: &mut BTreeMap<String, Vec<Leg>>,
    report: &mut SourceReport,
) {
    let read = || -> Result<Option<Leg>, String> {
        let Some(dip) = record.number(dips)? else { return Ok(None) };
        if !(0.0..=90.0).contains(&dip) {
            return Err(format!("{dips} of {dip}°"));
        }
        if dip == 0.0 {
            return Err(format!("{dips} of 0° (level) is taken as not known"));
        }
        let azimuth = record.number(azimuths)?;
        if azimuth.is_none() && dip < 89.9 {
            return Err(format!("inclined, but {azimuths} does not say where to"));
        }
        let from = record.metres(tops)?.unwrap_or(0.0);
        Ok(Some(Leg::of_angles(from, azimuth.unwrap_or(0.0), dip)))
    };
    match read() {
        Ok(Some(leg)) => legs.entry(id_of(record).to_owned()).or_default().push(leg),
        Ok(None) => {}
        Err(reason) => {
            let message = format!("hole {} is drawn upright: {reason}", id_of(record));
            report.warn("bad_orientation", message, record.place());
        }
    }
}
