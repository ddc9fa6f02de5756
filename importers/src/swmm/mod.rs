//! Drainage networks of SWMM 5 (`.inp`): junctions, outfalls, storage, dividers, conduits, pumps, orifices, weirs,
//! outlets, subcatchments and rain gages.
//!
//! The flow unit decides between feet and metres; everything is converted to metres and millimetres. Links lie at the
//! inverts of their nodes plus the offsets of their ends (heights or elevations, as `LINK_OFFSETS` says); the axis runs
//! half a section higher. A junction is a shaft from its invert up by its maximum depth; where that is 0 it reaches to
//! the highest crown of the conduits that meet there, as SWMM takes it.

mod area;
mod link;
mod node;
mod survey;
#[cfg(test)]
mod tests;
mod xsection;

use std::path::Path;

use groundline_engine::model::{Attribute, PipeKind, SourceReport, Value, Vertical};

use crate::{
    Format, ImportError, Job, Options, Out, Probe,
    inp::{self, Dialect, network::Network, section::InpFile},
};
use survey::Survey;

/// Drainage networks of SWMM 5.
pub static FORMAT: Format = Format {
    name: "swmm",
    title: "SWMM 5 drainage network",
    title_zh: "SWMM 排水管网模型",
    extensions: &["inp"],
    probe,
    read,
    memory_per_byte: 1.0,
};

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    inp::probe(path, options, Dialect::Swmm)
}

/// One file being read.
struct Reading<'a> {
    job: &'a Job<'a>,
    survey: Survey,
    network: Network,
    out: &'a mut dyn Out,
    report: &'a mut SourceReport,
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let file = InpFile::open(job.path, job.options.encoding.as_deref())?;
    file.examine(false, report)?;
    let mut network = Network::new(true);
    let mut survey = Survey::of(&file, job, &mut network, report)?;
    out.progress(0.3);
    survey::gather(&file, job, &mut survey, &mut network, report)?;
    out.progress(0.6);
    let mut reading = Reading { job, survey, network, out, report };
    file.each_row(&mut |row| {
        match row.section {
            "JUNCTIONS" | "OUTFALLS" | "STORAGE" | "DIVIDERS" => reading.emit_node(&row)?,
            "CONDUITS" | "PUMPS" | "ORIFICES" | "WEIRS" | "OUTLETS" => reading.emit_link(&row)?,
            "SUBCATCHMENTS" | "RAINGAGES" => reading.emit_area(&row)?,
            _ => return Ok(()),
        }
        if row.line % 1024 == 0 {
            reading.out.progress(0.6 + 0.4 * row.fraction);
        }
        Ok(())
    })?;
    reading.finish();
    Ok(())
}

impl Reading<'_> {
    /// How heights are to be read.
    fn vertical(&self) -> Vertical {
        if self.survey.has_heights { Vertical::Absolute } else { Vertical::AboveTerrain }
    }

    /// What flows in it: SWMM does not say, but dry-weather flow is sewage and subcatchments give rain.
    fn pipe_kind(&self) -> Attribute {
        let (kind, field, rule) = match (self.survey.has_dry_weather_flow, self.survey.has_subcatchments) {
            (true, true) => (PipeKind::Combined, "[DWF]", "runoff and dry-weather flow in one network"),
            (true, false) => (PipeKind::Sewage, "[DWF]", "dry-weather flow and no runoff"),
            (false, true) => (PipeKind::Storm, "[SUBCATCHMENTS]", "runoff and no dry-weather flow"),
            (false, false) => {
                let why = "SWMM models drainage; neither runoff nor dry-weather flow says which: storm assumed";
                return Attribute::defaulted("pipe_kind", Value::Text(PipeKind::Storm.word().into()), why);
            }
        };
        Attribute::converted("pipe_kind", Value::Text(kind.word().into()), field, rule)
    }

    /// Says what could only be known at the end.
    fn finish(mut self) {
        let map_unit = self.survey.map_unit.take();
        self.network.finish(map_unit.as_deref(), self.job.crs, self.report);
        let lost = |what: &str, names: Vec<&Box<str>>, code: &str, report: &mut SourceReport| {
            if let Some(first) = names.iter().min() {
                let message = format!("{} {what}, such as {first}, belong to nothing in the file", names.len());
                report.warn(code, message, "");
            }
        };
        lost("cross sections", self.survey.xsections.keys().collect(), "section_without_link", self.report);
        lost("polygons", self.survey.polygons.keys().collect(), "polygon_without_area", self.report);
    }
}
