//! `groundline tour`, hidden: laps through a city under watch. `make tour` runs it; exit code 1 where a bound is broken.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use groundline_viewer::{PatrolOptions, patrol};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use crate::{outcome::Outcome, snapshot::parse_size};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city.
    city: PathBuf,
    /// Seconds of the tour.
    #[arg(long, default_value_t = 600.0)]
    seconds: f64,
    /// Seconds of a lap.
    #[arg(long, default_value_t = 120.0)]
    lap: f64,
    /// Size of the picture.
    #[arg(long, default_value = "480x270", value_parser = parse_size)]
    size: (u32, u32),
    /// Memory for tiles, MB.
    #[arg(long, default_value_t = 512)]
    memory_limit: usize,
    /// Parts of a lap, to find what breaks a bound: over, looks, compared, below, details; all when none is named.
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = groundline_viewer::PARTS)]
    part: Vec<String>,
    /// Folder for the pictures in which bare ground was found.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Errors that were logged, those of Vulkan's validation layer among them.
static LOGGED: AtomicU64 = AtomicU64::new(0);

/// Counts what is logged as an error.
pub struct ErrorCount;

impl<S: Subscriber> Layer<S> for ErrorCount {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            LOGGED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Prints one line of JSON with what was measured.
pub fn run(args: Args) -> Result<Outcome> {
    let mut report = patrol(&PatrolOptions {
        city: args.city,
        size: args.size,
        seconds: args.seconds,
        lap_s: args.lap,
        tile_memory: args.memory_limit << 20,
        parts: args.part,
        keep: args.keep,
    })?;
    let logged = LOGGED.load(Ordering::Relaxed);
    if logged > 0 {
        report.broken.push(format!("{logged} errors were logged"));
    }
    println!("{}", serde_json::to_string(&report)?);
    report.broken.iter().for_each(|broken| eprintln!("broken: {broken}"));
    Ok(if report.broken.is_empty() { Outcome::Done } else { Outcome::Failed })
}
