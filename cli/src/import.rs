//! `groundline import`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use groundline_engine::{
    crs::Crs,
    model::{Class, ImportReport, ObjectId, SourceReport, Stage},
};
use groundline_importers::{
    FORMATS, Options,
    apart::Workers,
    intake::{self, IntakeError, Progress, Request, Stop},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::outcome::{Ask, Outcome, StoppedError, Told, UsageError, bytes, grouped, print_json};

#[derive(clap::Args)]
#[command(after_help = formats())]
pub struct Args {
    /// Files, folders and .zip archives to read.
    #[arg(required_unless_present = "remove")]
    sources: Vec<PathBuf>,
    /// Folder of the city, or s3://bucket/prefix/name.city; made when it holds none yet.
    #[arg(long)]
    city: PathBuf,
    /// Layer for all sources (else one layer per source, named after its file).
    #[arg(long)]
    layer: Option<String>,
    /// What the objects are, when the source does not say: building, road, tree, pipe, …
    #[arg(long, value_parser = parse_class)]
    class: Option<Class>,
    /// Stage of life: planned, construction, operation.
    #[arg(long, value_parser = parse_stage)]
    stage: Option<Stage>,
    /// Coordinate system of the sources, such as EPSG:4549, or EPSG:2263+6360 with that of the heights.
    #[arg(long)]
    crs: Option<String>,
    /// Height datum of a city that is made, such as EPSG:5737.
    #[arg(long)]
    vertical: Option<String>,
    /// Text encoding of the sources, such as GBK.
    #[arg(long)]
    encoding: Option<String>,
    /// Which field holds a standard attribute: height_m=HOEHE (repeatable); place=x,y,z,turn for a BIM without georeference.
    #[arg(long = "map", value_name = "NAME=FIELD")]
    map: Vec<String>,
    /// Name of a city that is made.
    #[arg(long)]
    name: Option<String>,
    /// The sources hold some objects of --layer: they take the place of those with the same ids or are new, all others stay.
    #[arg(long, requires = "layer")]
    update: bool,
    /// With --update, or alone: ids of objects of --layer that are no more (repeatable, or separated by commas).
    #[arg(long, requires = "layer", value_delimiter = ',', value_name = "ID")]
    remove: Vec<String>,
    /// Read and report; write nothing.
    #[arg(long)]
    dry_run: bool,
}

fn formats() -> String {
    let mut text = String::from(
        "An import that was stopped (Ctrl-C, kill, power) goes on where it was when the same command is run again.\n\
         A source that cannot be read is left out and named in the report (exit code 3); the others are imported.\n\n\
         Formats:\n",
    );
    for format in FORMATS {
        let endings: Vec<String> = format.extensions.iter().map(|e| format!(".{e}")).collect();
        text += &format!("  {:<12} {} / {} ({})\n", format.name, format.title, format.title_zh, endings.join(" "));
    }
    text
}

pub fn parse_class(word: &str) -> Result<Class, String> {
    Class::parse(word).ok_or_else(|| {
        let words: Vec<&str> = Class::ALL.iter().map(|c| c.word()).collect();
        format!("not a class; classes are {}", words.join(", "))
    })
}

fn parse_stage(word: &str) -> Result<Stage, String> {
    Stage::parse(word).ok_or_else(|| "not a stage; stages are planned, construction, operation, retired".into())
}

/// The number in `EPSG:5737` or `5737`.
fn parse_epsg(text: &str) -> Result<u32> {
    let digits = text.trim().trim_start_matches("EPSG:").trim_start_matches("epsg:");
    digits.parse().with_context(|| format!("{text} is no EPSG code"))
}

/// The height datum of `--vertical`.
pub fn vertical(text: Option<&str>) -> Result<Option<u32>> {
    Ok(text.map(parse_epsg).transpose().map_err(|e| UsageError(format!("--vertical: {e:#}")))?)
}

/// What is shown of a coordinate system on the command line: a code, but not the parameters of a local system.
pub fn shown(crs: &str) -> String {
    let is_code = crs.len() < 60 && !crs.contains(['=', '[', '(']);
    if is_code { crs.to_owned() } else { format!("(a text of {} characters)", crs.chars().count()) }
}

/// Options that `demo` and `import` give alike.
pub fn options(crs: Option<&str>, map: &[String]) -> Result<Options> {
    let crs = match crs {
        None => None,
        Some(text) => Some(Crs::parse(text).map_err(|e| UsageError(format!("--crs {}: {e}", shown(text))))?),
    };
    let pairs = map.iter().map(|pair| {
        let (name, field) =
            pair.split_once('=').ok_or_else(|| UsageError(format!("--map {pair}: NAME=FIELD is wanted")))?;
        Ok((name.trim().to_owned(), field.trim().to_owned()))
    });
    let map = pairs.collect::<Result<Vec<_>, UsageError>>()?;
    let program = std::env::current_exe().context("the path of this program")?;
    let worker = Some(Workers::new(program, ["worker"]));
    Ok(Options { crs, map, worker, ..Options::default() })
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let options = Options {
        encoding: args.encoding,
        class: args.class,
        stage: args.stage,
        ..options(args.crs.as_deref(), &args.map)?
    };
    let request = Request {
        sources: args.sources,
        city: args.city,
        name: args.name,
        layer: args.layer,
        vertical: vertical(args.vertical.as_deref())?,
        options,
        dry_run: args.dry_run,
        stop: Stop::default(),
    };
    if !args.remove.is_empty() && !args.update && !request.sources.is_empty() {
        return Err(UsageError("--remove beside sources needs --update".into()).into());
    }
    stop_when_asked(&request, ask);
    if args.update || !args.remove.is_empty() {
        let remove: Vec<ObjectId> = args.remove.into_iter().map(ObjectId).collect();
        return told(&request, ask, |progress| intake::edit(&request, remove, progress));
    }
    import(&request, ask)
}

/// How long an import may take to end by itself once it was asked to.
const GRACE: std::time::Duration = std::time::Duration::from_millis(800);

/// Ctrl-C and SIGTERM end the import: what it has finished is kept, the city stays at its version. A parser or writer that does
/// not notice in time is left to the end of the process, at the second Ctrl-C at once; nothing of the city can break by that.
fn stop_when_asked(request: &Request, ask: &Ask) {
    let (stop, city) = (request.stop.clone(), request.city.clone());
    let text = ask.say("stopping …", "正在停止……").to_owned();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    // Without this thread the signals end the process as they always do.
    let watch = move || {
        runtime.block_on(async {
            let Some(code) = asked_to_stop().await else { return };
            stop.set();
            eprintln!("{text}");
            tokio::select! {
                _ = asked_to_stop() => {}
                () = tokio::time::sleep(GRACE) => {}
            }
            groundline_engine::store::drop_staging(&city);
            std::process::exit(code);
        });
    };
    let _ = std::thread::Builder::new().name("signals".into()).spawn(watch);
}

/// Waits for a signal to stop; the exit code that belongs to it.
async fn asked_to_stop() -> Option<i32> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate()).ok()?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed.ok().map(|()| StoppedError::CODE),
            _ = terminated.recv() => Some(StoppedError::CODE),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.ok().map(|()| StoppedError::CODE)
}

/// Imports, shows progress on a terminal, prints the account.
pub fn import(request: &Request, ask: &Ask) -> Result<Outcome> {
    told(request, ask, |progress| intake::import(request, progress))
}

/// Shows the progress of `act` and prints its account.
fn told(
    request: &Request,
    ask: &Ask,
    act: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<ImportReport, IntakeError>,
) -> Result<Outcome> {
    let bar = progress_bar();
    let result = act(&mut |progress| show(&bar, &progress, ask));
    bar.finish_and_clear();
    match result {
        Ok(report) => {
            if ask.json {
                print_json(&report)?;
            } else {
                print_report(&report, request.dry_run, ask);
            }
            Ok(if intake::has_skipped(&report) { Outcome::Skipped } else { Outcome::Done })
        }
        Err(error) => Err(told_error(error, request.dry_run, ask)),
    }
}

/// What ended an import, for who asked; where nothing could be read, the account is printed.
pub fn told_error(error: IntakeError, is_dry: bool, ask: &Ask) -> anyhow::Error {
    match error {
        IntakeError::Nothing(report) => {
            if ask.json {
                if let Err(error) = print_json(&report) {
                    return error;
                }
            } else {
                print_report(&report, is_dry, ask);
            }
            anyhow::Error::new(Told).context(ask.say("nothing could be imported", "没有任何数据入库").to_owned())
        }
        IntakeError::Stopped { kept, begun } => {
            let text = match (kept + begun, ask.lang.as_str()) {
                (0, "zh") => "已停止；城市未变".to_owned(),
                (0, _) => "stopped; the city is as it was".to_owned(),
                (_, "zh") => format!(
                    "已停止；城市未变，已完成的 {kept} 个图层和已开始的 {begun} 个图层已保留：再次运行同一命令即可继续"
                ),
                (_, _) => format!(
                    "stopped; the city is as it was; {kept} finished layers and {begun} begun ones are kept: the same command \
                     goes on from there"
                ),
            };
            StoppedError(text).into()
        }
        IntakeError::Usage(text) => UsageError(text).into(),
        error => error.into(),
    }
}

/// A bar for [`show`].
pub fn progress_bar() -> ProgressBar {
    // indicatif draws nothing when standard error is no terminal.
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {percent:>3} %") {
        bar.set_style(style);
    }
    bar
}

/// Shows how far an import is.
pub fn show(bar: &ProgressBar, progress: &Progress, ask: &Ask) {
    if bar.is_hidden() {
        return;
    }
    match progress {
        Progress::Reading { path, of_path, done, of, fraction, resumed, taken, bytes: read } => {
            let seconds = bar.elapsed().as_secs_f64().max(0.001);
            let left = match seconds_left(*fraction, *resumed, seconds) {
                Some(left) => format!(", {} {}", ask.say("left", "剩余"), duration(left)),
                None => String::new(),
            };
            bar.set_message(format!(
                "{done}/{of} {path} {:.0} %: {} ({}/s, {}/s{left})",
                of_path * 100.0,
                grouped(*taken),
                grouped((*taken as f64 / seconds) as u64),
                bytes((*read as f64 / seconds) as u64),
            ));
            bar.set_position((fraction.clamp(0.0, 1.0) * 990.0) as u64);
        }
        Progress::Writing => {
            bar.set_message(ask.say("putting the new version into place", "切换到新版本").to_owned());
            bar.set_position(990);
        }
    }
}

/// Seconds that the rest will take at the rate so far. What was done before, by an import that was stopped, says nothing
/// about the rate. `None` as long as too little is done to tell.
fn seconds_left(fraction: f32, resumed: f32, seconds: f64) -> Option<f64> {
    let own = f64::from(fraction - resumed);
    (own > 0.01 && seconds > 1.0).then(|| seconds * f64::from(1.0 - fraction).max(0.0) / own)
}

/// `1:05:09`, `5:09`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole / 3600 {
        0 => format!("{}:{:02}", whole / 60, whole % 60),
        hours => format!("{hours}:{:02}:{:02}", whole / 60 % 60, whole % 60),
    }
}

fn print_report(report: &ImportReport, dry_run: bool, ask: &Ask) {
    for source in &report.sources {
        print_source(source, ask);
    }
    let has_sources = !report.sources.is_empty();
    if !dry_run && has_sources && report.sources.iter().all(|s| s.error.is_some() || s.layer.is_empty()) {
        return; // nothing came in; the error that follows says so
    }
    let unchanged = has_sources && report.sources.iter().all(|s| s.unchanged || (s.objects == 0 && s.error.is_none()));
    if unchanged && !dry_run {
        let text = ask.say(
            "nothing changed: the city already holds these sources as they are",
            "无变化：城市中已有这些数据源的相同内容",
        );
        println!("{text} ({} {})", ask.say("version", "版本"), report.version);
        return;
    }
    let head = if dry_run {
        ask.say("dry run, nothing written", "试运行，未写入").to_owned()
    } else {
        format!("{} → {} {}", report.city, ask.say("version", "版本"), report.version)
    };
    println!(
        "{head}: {} {}, {} {}, {} {}, {}, {:.1} s, {} {}",
        grouped(report.objects),
        ask.say("objects", "个对象"),
        grouped(report.points),
        ask.say("points", "个点"),
        grouped(report.tiles),
        ask.say("tiles", "个瓦片"),
        bytes(report.bytes),
        report.seconds,
        ask.say("peak memory", "内存峰值"),
        bytes(report.peak_rss_bytes)
    );
    if report.resumed > 0 {
        let text = ask.say("layers taken over from an import that was stopped", "个图层沿用上次未完成的入库");
        println!("{} {text}", report.resumed);
    }
    let changes = &report.changes;
    if changes.same + changes.changed + changes.ended > 0 {
        println!(
            "{} {}, {} {}, {} {}, {} {}",
            grouped(changes.added),
            ask.say("new", "个新增"),
            grouped(changes.changed),
            ask.say("changed", "个变更"),
            grouped(changes.ended),
            ask.say("ended", "个终止"),
            grouped(changes.same),
            ask.say("as they were", "个未变")
        );
    }
}

fn print_source(source: &SourceReport, ask: &Ask) {
    if let Some(error) = &source.error {
        println!("✗ {error}");
        return;
    }
    if source.unchanged {
        println!("= {} ({})", source.path, ask.say("unchanged", "无变化"));
        return;
    }
    let is_left_alone = source.format.is_empty() || source.layer.is_empty();
    if is_left_alone {
        for warning in &source.warnings {
            println!("· {}: {}", source.path, warning.message);
        }
        return;
    }
    let mut line = format!("✓ {} [{}]", source.path, source.format);
    if let Some(crs) = &source.crs {
        line += &format!(" {crs} ({})", source.crs_from);
    }
    if let Some(encoding) = &source.encoding {
        line += &format!(" {encoding} ({})", source.encoding_from);
    }
    line += &format!(" → {}: {} {}", source.layer, grouped(source.objects), ask.say("objects", "个对象"));
    if source.points > 0 {
        line += &format!(", {} {}", grouped(source.points), ask.say("points", "个点"));
    }
    if source.resumed {
        line += &format!(" ({})", ask.say("resumed", "续传"));
    }
    println!("{line}");
    for warning in &source.warnings {
        let place = if warning.place.is_empty() { String::new() } else { format!(" ({})", warning.place) };
        println!("    {} ×{}: {}{place}", warning.code, warning.count, warning.message);
    }
    if source.skipped > 0 {
        println!("    {} {}", grouped(source.skipped), ask.say("records skipped:", "条记录被跳过："));
        for skip in source.skips.iter().take(10) {
            println!("      {} {}: {}", ask.say("record", "记录"), skip.record, skip.reason);
        }
        if source.skipped > 10 {
            println!("      …");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_from_the_own_work_alone() {
        assert_eq!(seconds_left(0.5, 0.0, 30.0), Some(30.0));
        assert_eq!(seconds_left(0.75, 0.5, 10.0).map(f64::round), Some(10.0), "half was there before");
        assert_eq!(seconds_left(0.5, 0.5, 10.0), None);
        assert_eq!(seconds_left(0.001, 0.0, 10.0), None);
        assert_eq!(seconds_left(1.0, 0.0, 10.0), Some(0.0));
        assert_eq!((duration(65.4), duration(3909.0)), ("1:05".into(), "1:05:09".into()));
    }
}
