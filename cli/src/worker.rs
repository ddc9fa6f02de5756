//! `groundline worker` (hidden): parses files for an import in a process of its own, which can be killed.

use anyhow::Result;

use crate::outcome::{Outcome, UsageError};

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: Args) -> Result<Outcome> {
    match groundline_importers::apart::serve(&[]) {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => Err(UsageError(error.to_string()).into()),
    }
}
