//! Boreholes in the transfer format of the Association of Geotechnical and Geoenvironmental Specialists (AGS),
//! editions 3 and 4: locations (`LOCA`, `HOLE`), strata (`GEOL`), orientation (`HORN`) and standard penetration tests
//! (`ISPT`).
//!
//! Depths are metres along the hole; `LOCA_GL` is the height of the ground above the site's datum. The grid is the one
//! that `LOCA_GREF` or a lettered grid reference names; numbers alone name none.

mod survey;
mod table;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, path::Path};

use groundline_engine::{
    crs::Crs,
    model::{Attribute, Class, SourceReport, Value},
};

use crate::{Format, ImportError, Job, Kind, Options, Out, Probe, borehole};
use survey::{Survey, grid_of, id_of, is_holes, place_of};
use table::{AgsFile, Item, Record};

/// Boreholes of AGS files.
pub static FORMAT: Format = Format {
    name: "ags",
    title: "AGS boreholes and strata",
    title_zh: "AGS 钻孔与地层",
    extensions: &["ags"],
    probe,
    read,
    memory_per_byte: 1.0,
};

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let Some(file) = AgsFile::open(path, options.encoding.as_deref())? else { return Ok(None) };
    let mut extent: Option<[f64; 4]> = None;
    let mut grids: HashSet<String> = HashSet::new();
    let mut records = 0;
    file.each(&mut |item| {
        if let Item::Record(record) = item
            && is_holes(record.group)
        {
            records += 1;
            if let Ok(Some((at, _))) = place_of(&record) {
                let e = extent.get_or_insert([at.x, at.y, at.x, at.y]);
                *e = [e[0].min(at.x), e[1].min(at.y), e[2].max(at.x), e[3].max(at.y)];
                // A hole without a word goes with the others.
                let grid = grid_of(&record);
                if grids.len() < 16 && !grid.is_empty() {
                    grids.insert(grid);
                }
            }
        }
        Ok(())
    })?;
    let mut words: Vec<String> = grids.into_iter().collect();
    words.sort();
    let (crs, crs_from, crs_text) = match words.as_slice() {
        [] => (None, String::new(), None),
        [word] => match survey::crs_of_grid(word) {
            Some(crs) => (Some(crs), format!("LOCA_GREF {word}"), None),
            None => (None, String::new(), Some(format!("LOCA_GREF {word}"))),
        },
        several => (None, String::new(), Some(format!("LOCA_GREF {}", several.join(" and ")))),
    };
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs,
        crs_from,
        crs_text,
        needs_crs: true,
        encoding: file.text.encoding(),
        source_extent: extent,
        records: Some(records),
        companions: Vec::new(),
        class: Some((Class::Borehole, "AGS groups".into())),
    }))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let gone = || ImportError::Bad { path: job.path.into(), place: "line 1".into(), reason: "no AGS any more".into() };
    let file = AgsFile::open(job.path, job.options.encoding.as_deref())?.ok_or_else(gone)?;
    if let Some(warning) = &file.text.found.warning {
        report.warn("encoding_unsure", warning.as_str(), "");
    }
    let survey = Survey::of(&file, job, report)?;
    out.progress(0.5);
    let mut reading = Reading { job, survey, ids: HashSet::new(), out, report };
    file.each(&mut |item| {
        let Item::Record(record) = item else { return Ok(()) };
        if is_holes(record.group) {
            reading.emit_hole(&record)?;
        } else if record.group == "GEOL" {
            reading.emit_stratum(&record)?;
        }
        if record.line % 1024 == 0 {
            reading.out.progress(0.5 + 0.5 * record.fraction);
        }
        Ok(())
    })
}

/// One file being read.
struct Reading<'a> {
    job: &'a Job<'a>,
    survey: Survey,
    /// Strata that were handed on.
    ids: HashSet<String>,
    out: &'a mut dyn Out,
    report: &'a mut SourceReport,
}

impl Reading<'_> {
    fn emit_hole(&mut self, record: &Record<'_>) -> Result<(), ImportError> {
        let Some(hole) = self.survey.hole(id_of(record)) else { return Ok(()) };
        if hole.line != record.line {
            return Ok(());
        }
        let mut object = hole.object(self.job.layer);
        let out = &mut object.attributes;
        if let Some(ground) = hole.ground_m {
            let field = if record.group == "HOLE" { "HOLE_GL" } else { "LOCA_GL" };
            out.push(Attribute::converted("ground_m", Value::Real(ground), field, "height above the site's datum"));
        }
        if let Some(depth) = hole.depth_m {
            let said = record.first(&["LOCA_FDEP", "HOLE_FDEP"]);
            out.push(match said {
                Some((field, _)) => Attribute::converted("depth_m", Value::Real(depth), field, "final depth"),
                None => {
                    Attribute::measured("depth_m", Value::Real(depth), "no final depth: base of the deepest stratum")
                }
            });
        }
        let tests = self.survey.tests_of(&hole.id, 0.0, f64::INFINITY);
        if !tests.is_empty() {
            let list: Vec<String> = tests.iter().take(200).map(|(depth, n)| format!("{depth} m: {n}")).collect();
            let field = "ISPT_NVAL";
            out.push(Attribute::converted("spt", Value::Text(list.join("; ")), field, "depth and blows of each test"));
        }
        // The place is the object's own; its parts would only say it again.
        let told = ["LOCA_ID", "HOLE_ID", "LOCA_GL", "HOLE_GL", "LOCA_FDEP", "HOLE_FDEP"];
        for (heading, text) in record.all().filter(|(heading, _)| !told.contains(heading)) {
            out.push(self.survey.read(heading, text));
        }
        object.stage = self.job.options.stage.unwrap_or(object.stage);
        self.out.emit(object)
    }

    fn emit_stratum(&mut self, record: &Record<'_>) -> Result<(), ImportError> {
        let interval = survey::interval_of(record);
        let (top, base) = match interval {
            Ok(interval) => interval,
            Err(reason) => return self.skip(record, &reason),
        };
        let id = id_of(record);
        let Some(hole) = self.survey.hole(id) else {
            let reason = match self.survey.is_skipped(id) {
                true => format!("hole {id} was skipped"),
                false => format!("hole {id} is not in the file"),
            };
            return self.skip(record, &reason);
        };
        let (geology, legend) = (record.get("GEOL_GEOL"), record.get("GEOL_LEG"));
        let words = [record.get("GEOL_DESC"), self.survey.meaning("GEOL_LEG", legend).unwrap_or_default()];
        let mut object = hole.stratum(self.job.layer, [top, base], &words);
        let formation = self.survey.meaning("GEOL_GEOL", geology).filter(|m| !m.is_empty());
        let soil = object.value("soil").map(ToString::to_string);
        object.name = formation.map(str::to_owned).or(soil);
        object.record = record.line;
        object.stage = self.job.options.stage.unwrap_or(object.stage);
        let out = &mut object.attributes;
        out.push(Attribute::converted("depth_top_m", Value::Real(top), "GEOL_TOP", "metres along the hole"));
        out.push(Attribute::converted("depth_base_m", Value::Real(base), "GEOL_BASE", "metres along the hole"));
        for (key, field) in
            [("description", "GEOL_DESC"), ("legend", "GEOL_LEG"), ("geology", "GEOL_GEOL"), ("stratum", "GEOL_STAT")]
        {
            let text = record.get(field);
            if !text.is_empty() {
                let (value, rule) = match self.survey.meaning(field, text) {
                    Some(meaning) => (meaning, format!("code {text} by the file's own list (ABBR)")),
                    None => (text, "text as read".into()),
                };
                out.push(Attribute::converted(key, Value::Text(value.into()), field, &rule));
            }
        }
        let tests = self.survey.tests_of(id, top, base);
        if !tests.is_empty() {
            let mean = tests.iter().map(|(_, n)| f64::from(*n)).sum::<f64>() / tests.len() as f64;
            let rule = "mean of the tests that begin in the stratum";
            out.push(Attribute::measured("spt_n_mean", Value::Real((mean * 10.0).round() / 10.0), rule));
            let count = Value::Int(tests.len() as i64);
            out.push(Attribute::measured("spt_count", count, "tests that begin in the stratum"));
        }
        let told = ["GEOL_TOP", "GEOL_BASE", "GEOL_DESC", "GEOL_LEG", "GEOL_GEOL", "GEOL_STAT"];
        for (heading, text) in record.all().filter(|(heading, _)| !told.contains(heading)) {
            out.push(self.survey.read(heading, text));
        }
        if !self.ids.insert(object.id.0.clone()) {
            let message = format!("{} stands twice; the line was appended to its id", object.id);
            self.report.warn("duplicate_stratum", message, record.place());
            object.id.0 += &format!("~{}", record.line);
        }
        self.out.emit(object)
    }

    fn skip(&mut self, record: &Record<'_>, reason: &str) -> Result<(), ImportError> {
        self.report.skip(record.line, format!("{}: {reason}", record.place()));
        Ok(())
    }
}

/// The grid's coordinate system, if the city's register knows it.
fn known(code: u32) -> Option<Crs> {
    Crs::from_epsg(code).ok()
}

/// Depths that are believed.
fn is_depth(metres: f64) -> bool {
    (0.0..=borehole::DEEPEST_M).contains(&metres)
}
