//! Water networks of EPANET 2.0 to 2.3 (`.inp`): junctions, reservoirs, tanks, pipes, pumps and valves.
//!
//! The flow unit decides between feet with inches and metres with millimetres; everything is converted to metres and
//! millimetres. EPANET knows no depth of cover: a junction's elevation is taken as the height of the axis of the pipes
//! that end there, as its manual asks for, and every pipe says so. Where all junctions have elevation 0 the file has no
//! heights, and the pipes are drawn with 1.2 m of cover below the terrain.
//!
//! A reservoir has a head and no elevation: a pipe ends there as high as at its other end.

mod link;
mod node;
mod survey;
#[cfg(test)]
mod tests;

use std::path::Path;

use groundline_engine::model::{Attribute, PipeKind, SourceReport, Value};

use crate::{
    Format, ImportError, Job, Options, Out, Probe,
    inp::{self, Dialect, network::Network, section::InpFile},
};
use survey::Survey;

/// Water networks of EPANET.
pub static FORMAT: Format = Format {
    name: "epanet",
    title: "EPANET water network",
    title_zh: "EPANET 供水管网模型",
    extensions: &["inp"],
    probe,
    read,
    memory_per_byte: 1.0,
};

/// Cover where the file has no heights, metres from the ground to the top of the pipe.
const UNKNOWN_COVER_M: f64 = 1.2;

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    inp::probe(path, options, Dialect::Epanet)
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
    file.examine(true, report)?;
    let mut network = Network::new(false);
    let survey = Survey::of(&file, job, &mut network, report)?;
    out.progress(0.3);
    survey::gather(&file, job, &survey, &mut network, report)?;
    out.progress(0.6);
    let mut reading = Reading { job, survey, network, out, report };
    file.each_row(&mut |row| {
        match row.section {
            "JUNCTIONS" | "RESERVOIRS" | "TANKS" => reading.emit_node(&row)?,
            "PIPES" | "PUMPS" | "VALVES" => reading.emit_link(&row)?,
            _ => return Ok(()),
        }
        if row.line % 1024 == 0 {
            reading.out.progress(0.6 + 0.4 * row.fraction);
        }
        Ok(())
    })?;
    let map_unit = reading.survey.map_unit.take();
    reading.network.finish(map_unit.as_deref(), job.crs, reading.report);
    Ok(())
}

/// What flows in it.
fn pipe_kind() -> Attribute {
    Attribute::converted(
        "pipe_kind",
        Value::Text(PipeKind::Water.word().into()),
        "",
        "EPANET models water under pressure",
    )
}
