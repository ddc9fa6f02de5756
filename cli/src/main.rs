//! The `groundline` command: one file per subcommand.

mod check;
mod demo;
mod diff;
mod doctor;
mod gc;
mod import;
mod info;
mod live;
mod loose;
mod outcome;
mod query;
mod sensors;
mod serve;
mod snapshot;
mod tour;
mod view;
mod worker;

use clap::{Parser, Subcommand};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use outcome::Outcome;

/// Millions of small objects are made on one thread and dropped on another, which the system's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The release, and whether PROJ is in.
const VERSION: &str =
    if cfg!(feature = "proj") { concat!(env!("CARGO_PKG_VERSION"), " with PROJ") } else { env!("CARGO_PKG_VERSION") };

/// One live 3D model of the city, above and below the ground line.
///
/// Every subcommand ends with 0 = done, 1 = failed, 2 = wrong usage, 3 = done, but data was skipped; 130 = stopped by Ctrl-C.
#[derive(Parser)]
#[command(name = "groundline", version = VERSION, arg_required_else_help = true)]
struct Command {
    /// Print one JSON document on standard output, and nothing else there.
    #[arg(long, global = true)]
    json: bool,
    /// Language of reports and of text on screen: zh or en (from the system's locale when absent).
    #[arg(long, global = true, value_parser = ["zh", "en"])]
    lang: Option<String>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make the sample city's files, import them, start its sensors, open the viewer.
    Demo(demo::Args),
    /// Read sources into a city: detect, convert, tile, commit one version.
    Import(import::Args),
    /// What is in sources or a city and what is wrong with it, by rule and clause; writes nothing.
    Check(check::Args),
    /// Layers, counts, coordinate system, extent, versions, sensors.
    Info(info::Args),
    /// Which objects differ between two versions of a city.
    Diff(diff::Args),
    /// Remove files that no version of a city names, and what stopped imports left for the next one.
    Gc(gc::Args),
    /// Open the viewer.
    View(view::Args),
    /// The viewer's picture without a window, as PNG.
    Snapshot(snapshot::Args),
    /// Tiles, objects, queries and readings over HTTP; devices over MQTT.
    Serve(serve::Args),
    /// Ask the city for objects.
    Query(query::Args),
    /// List sensors, replay recorded readings.
    Sensors(sensors::Args),
    /// Check GPU, display, disk, ports, clock and PROJ; say how to mend what is missing.
    Doctor(doctor::Args),
    /// Laps through a city under watch: memory, frame times, errors of the graphics library, bare ground.
    #[command(hide = true)]
    Tour(tour::Args),
    /// Parse files for an import, which asks for it over a socket on standard input.
    #[command(hide = true)]
    Worker(worker::Args),
}

fn main() -> std::process::ExitCode {
    outcome::end_quietly_when_nobody_reads();
    let filter = tracing_subscriber::EnvFilter::try_from_env("GROUNDLINE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    let command = Command::parse();
    // The viewer brings Bevy's own subscriber into its app only when none is set; ours writes to standard error.
    let written = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(written).with(tour::ErrorCount).init();
    let lang = command.lang.unwrap_or_else(outcome::system_language);
    let ask = outcome::Ask { json: command.json, lang };
    let result = match command.what {
        What::Demo(args) => demo::run(args, &ask),
        What::Import(args) => import::run(args, &ask),
        What::Check(args) => check::run(args, &ask),
        What::Info(args) => info::run(args, &ask),
        What::Diff(args) => diff::run(args, &ask),
        What::Gc(args) => gc::run(args, &ask),
        What::View(args) => view::run(args, &ask),
        What::Snapshot(args) => snapshot::run(args, &ask),
        What::Serve(args) => serve::run(args, &ask),
        What::Query(args) => query::run(args, &ask),
        What::Sensors(args) => sensors::run(args, &ask),
        What::Doctor(args) => doctor::run(args, &ask),
        What::Tour(args) => tour::run(args),
        What::Worker(args) => worker::run(args),
    };
    match result {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            let usage = error.downcast_ref::<outcome::UsageError>().is_some();
            let stopped = error.downcast_ref::<outcome::StoppedError>().is_some();
            outcome::print_error(&error, &ask);
            match (usage, stopped) {
                (true, _) => Outcome::WrongUsage.code(),
                (_, true) => Outcome::Stopped.code(),
                _ => Outcome::Failed.code(),
            }
        }
    }
}
