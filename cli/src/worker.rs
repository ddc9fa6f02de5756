//! `groundline worker` (hidden): a parser in a process of its own, which can be killed.

use std::path::PathBuf;

use anyhow::Result;

use crate::outcome::{Outcome, UsageError};

#[derive(clap::Args)]
pub struct Args {
    /// Format to read as.
    format: String,
    /// File to read.
    file: PathBuf,
}

pub fn run(args: Args) -> Result<Outcome> {
    match args.format.as_str() {
        "ifc" => {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            groundline_importers::ifc::worker_main(&args.file, &mut out)?;
            std::io::Write::flush(&mut out)?;
            Ok(Outcome::Done)
        }
        other => Err(UsageError(format!("no worker reads {other}")).into()),
    }
}
