//! `groundline check`.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};
use glam::DVec3;
use groundline_engine::{
    check::{Checked, Checker, LayerFacts, Rules, Severity},
    crs::{Crs, Transform},
    model::{Class, ImportReport},
    store::{City, Damage},
};
use groundline_importers::{
    Options,
    intake::{self, IntakeError, Request},
};
use serde_json::{Value, json};

use crate::{
    import,
    outcome::{Ask, Outcome, UsageError, grouped, print_json},
};

/// Findings of a rule that are printed one by one.
const SHOWN: usize = 3;
/// A table of rules larger than this is none.
const MOST_RULE_BYTES: u64 = 16 << 20;

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["sources", "city", "list"]))]
pub struct Args {
    /// Files, folders and .zip archives to check; nothing is written.
    sources: Vec<PathBuf>,
    /// A city to check instead: its folder, s3://bucket/prefix/name.city, or the URL of a Groundline server.
    #[arg(long)]
    city: Option<PathBuf>,
    /// Table of rules (TOML) that adds to or overrides the built-in one (repeatable).
    #[arg(long)]
    rules: Vec<PathBuf>,
    /// Use rules of unconfirmed figures too.
    #[arg(long)]
    all: bool,
    /// Write every finding that has a place to this file as GeoJSON.
    #[arg(long)]
    geojson: Option<PathBuf>,
    /// Print the rules and end.
    #[arg(long)]
    list: bool,
    /// Coordinate system of the sources, such as EPSG:4549.
    #[arg(long)]
    crs: Option<String>,
    /// Height datum of the sources, such as EPSG:5737.
    #[arg(long)]
    vertical: Option<String>,
    /// What the objects are, when the source does not say.
    #[arg(long, value_parser = import::parse_class)]
    class: Option<Class>,
    /// Text encoding of the sources, such as GBK.
    #[arg(long)]
    encoding: Option<String>,
    /// Which field holds a standard attribute: height_m=HOEHE (repeatable).
    #[arg(long = "map", value_name = "NAME=FIELD")]
    map: Vec<String>,
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let rules = rules(&args)?;
    if args.list {
        return list(&rules, ask);
    }
    let vertical = import::vertical(args.vertical.as_deref())?;
    let (checked, crs, sources, damages) = match &args.city {
        Some(folder) => {
            let (checked, crs, damages) = of_city(folder, &rules)?;
            (checked, crs, None, damages)
        }
        None => {
            let options = Options {
                encoding: args.encoding.clone(),
                class: args.class,
                ..import::options(args.crs.as_deref(), &args.map)?
            };
            let request = Request { sources: args.sources.clone(), options, ..Request::default() };
            let (checked, crs, report) = of_sources(&request, vertical, &rules, ask)?;
            (checked, crs, Some(report), Vec::new())
        }
    };
    if let Some(path) = &args.geojson {
        let text = serde_json::to_string(&geojson(&checked, &crs)?)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    let failed_sources = sources.as_ref().map_or(0, |r| r.sources.iter().filter(|s| s.error.is_some()).count());
    if ask.json {
        print_json(&json!({
            "objects": checked.objects,
            "crs": crs.label(),
            "errors": checked.errors(),
            "damaged": damages.iter().map(|d| json!({"path": d.path, "reason": d.reason})).collect::<Vec<_>>(),
            "sources": sources.as_ref().map(|r| &r.sources),
            "rules": checked.rules.iter().map(count_json).collect::<Vec<_>>(),
        }))?;
    } else {
        print(&checked, sources.as_ref(), ask);
        for damage in &damages {
            println!("{}: {} ({})", ask.say("damaged", "已损坏"), damage.path, damage.reason);
        }
    }
    Ok(if checked.errors() > 0 || !damages.is_empty() || failed_sources > 0 { Outcome::Skipped } else { Outcome::Done })
}

fn rules(args: &Args) -> Result<Rules> {
    let mut rules = Rules::standard();
    for path in &args.rules {
        let shown = || path.display().to_string();
        let size = std::fs::metadata(path).with_context(shown)?.len();
        anyhow::ensure!(size <= MOST_RULE_BYTES, "{}: {size} bytes are more than a table of rules has", shown());
        let text = std::fs::read_to_string(path).with_context(shown)?;
        rules = rules.overridden_by(Rules::parse(&text).map_err(|e| UsageError(format!("{}: {e}", shown())))?);
    }
    Ok(if args.all { rules.all_enabled() } else { rules })
}

/// What is wrong with the objects of a city, and which of its files are not as they were written.
fn of_city(folder: &Path, rules: &Rules) -> Result<(Checked, Crs, Vec<Damage>)> {
    let city = City::open(folder)?;
    let damages = city.verify()?;
    let is_damaged = |path: &String| damages.iter().any(|damage| damage.path == *path);
    let mut checker = Checker::new(rules);
    for layer in city.layers() {
        // Nothing true can be said of these objects.
        if layer.object_files.iter().any(is_damaged) {
            continue;
        }
        checker.layer(&layer.name, &LayerFacts { crs: city.crs().epsg, vertical: city.vertical_epsg() });
        for object in city.objects(&layer.name)? {
            checker.push(&layer.name, &object?);
        }
    }
    if !damages.iter().any(|damage| damage.path.starts_with("reports/"))
        && let Some(report) = city.report()?
    {
        report.sources.iter().for_each(|source| checker.import(source));
    }
    Ok((checker.finish(), city.crs().clone(), damages))
}

fn of_sources(
    request: &Request,
    vertical: Option<u32>,
    rules: &Rules,
    ask: &Ask,
) -> Result<(Checked, Crs, ImportReport)> {
    let checker = Mutex::new(Checker::new(rules));
    let bar = import::progress_bar();
    let read = intake::examine(
        request,
        &|layer, object| checker.lock().unwrap_or_else(PoisonError::into_inner).push(layer, object),
        &mut |progress| import::show(&bar, &progress, ask),
    );
    bar.finish_and_clear();
    let (report, crs) = match read {
        Ok(read) => read,
        Err(IntakeError::Usage(text)) => return Err(UsageError(text).into()),
        Err(error) => return Err(error.into()),
    };
    let mut checker = checker.into_inner().unwrap_or_else(PoisonError::into_inner);
    for source in report.sources.iter().filter(|s| s.error.is_none()) {
        if source.layer.is_empty() {
            checker.import(source);
            continue;
        }
        let crs =
            source.crs.as_deref().and_then(|label| label.strip_prefix("EPSG:")?.split(['+', ' ']).next()?.parse().ok());
        checker.layer(&source.layer, &LayerFacts { crs, vertical });
        checker.import(source);
    }
    Ok((checker.finish(), crs, report))
}

fn count_json(count: &groundline_engine::check::RuleCount) -> Value {
    let rule = &count.rule;
    json!({
        "id": rule.id, "standard": rule.standard, "clause": rule.clause, "strength": rule.strength,
        "tag": rule.tag, "severity": rule.severity,
        "pass": count.pass, "fail": count.fail, "unknown": count.unknown, "review": count.review,
        "findings": count.findings,
    })
}

/// Findings with a place, in degrees as GeoJSON wants them.
fn geojson(checked: &Checked, crs: &Crs) -> Result<Value> {
    let to_degrees = Transform::new(crs, &Crs::from_epsg(4326)?)?;
    let mut features = Vec::new();
    for count in &checked.rules {
        for finding in &count.findings {
            let point = |at: [f64; 3]| to_degrees.point(DVec3::from(at)).map(|at| [at.x, at.y, at.z]);
            let Some(place) = finding.place.and_then(point) else { continue };
            let edges: Vec<_> = finding.edges.iter().filter_map(|[a, b]| Some([point(*a)?, point(*b)?])).collect();
            let geometry = match edges.is_empty() {
                true => json!({"type": "Point", "coordinates": place}),
                false => json!({"type": "MultiLineString", "coordinates": edges}),
            };
            features.push(json!({
                "type": "Feature",
                "geometry": geometry,
                "properties": {
                    "rule": count.rule.id, "severity": count.rule.severity, "verdict": finding.verdict,
                    "standard": count.rule.standard, "clause": count.rule.clause, "tag": count.rule.tag,
                    "layer": finding.layer, "id": finding.id, "record": finding.record,
                    "zh": finding.zh, "en": finding.en,
                },
            }));
        }
    }
    Ok(json!({"type": "FeatureCollection", "features": features}))
}

fn severity(severity: Severity, ask: &Ask) -> &'static str {
    match severity {
        Severity::Error => ask.say("error", "错误"),
        Severity::Warning => ask.say("warning", "警告"),
        Severity::Advice => ask.say("advice", "建议"),
    }
}

fn print(checked: &Checked, sources: Option<&ImportReport>, ask: &Ask) {
    for source in sources.iter().flat_map(|r| &r.sources) {
        let state = match &source.error {
            Some(error) => error.clone(),
            None => format!("{} {}", grouped(source.objects), ask.say("objects", "个对象")),
        };
        println!("{}: {}: {state}", source.path, source.format);
    }
    println!(
        "\n{:>9} {:>9} {:>9} {:>9}",
        ask.say("fail", "不合格"),
        ask.say("review", "待核"),
        ask.say("unknown", "无法判定"),
        ask.say("pass", "合格")
    );
    for count in checked.rules.iter().filter(|c| c.pass + c.fail + c.unknown + c.review > 0) {
        let rule = &count.rule;
        println!(
            "{:>9} {:>9} {:>9} {:>9}  {} ({}; {} {} [{:?}])",
            grouped(count.fail),
            grouped(count.review),
            grouped(count.unknown),
            grouped(count.pass),
            rule.id,
            severity(rule.severity, ask),
            rule.standard,
            rule.clause,
            rule.tag
        );
        let told = count.findings.iter().filter(|f| f.verdict != groundline_engine::check::Verdict::Unknown);
        for finding in told.take(SHOWN) {
            let place = finding.place.map(|[x, y, z]| format!(" @ {x:.2} {y:.2} {z:.2}")).unwrap_or_default();
            let record = if finding.record > 0 { format!(" #{}", finding.record) } else { String::new() };
            println!("{:>40}  {}{record}: {}{place}", finding.layer, finding.id, ask.say(&finding.en, &finding.zh));
        }
    }
    println!(
        "\n{} {}; {} {}",
        grouped(checked.objects),
        ask.say("objects checked", "个对象已检查"),
        grouped(checked.errors()),
        ask.say("errors", "处错误")
    );
}

fn list(rules: &Rules, ask: &Ask) -> Result<Outcome> {
    if ask.json {
        let all: Vec<Value> = rules
            .iter()
            .map(|rule| {
                json!({
                    "id": rule.id, "standard": rule.standard, "clause": rule.clause, "strength": rule.strength,
                    "tag": rule.tag, "severity": rule.severity, "enabled": rule.enabled, "zh": rule.zh, "en": rule.en,
                })
            })
            .collect();
        print_json(&json!({ "rules": all }))?;
        return Ok(Outcome::Done);
    }
    for rule in rules.iter() {
        let off = if rule.enabled { "" } else { ask.say(" (off)", "（未启用）") };
        println!(
            "{:<24} {:<8} {} {} [{:?}]{off}\n    {}",
            rule.id,
            severity(rule.severity, ask),
            rule.standard,
            rule.clause,
            rule.tag,
            ask.say(&rule.en, &rule.zh)
        );
    }
    Ok(Outcome::Done)
}
