//! `groundline diff`.

use std::path::PathBuf;

use anyhow::Result;
use groundline_engine::store::{Change, City, diff};
use serde_json::json;

use crate::outcome::{Ask, Outcome, grouped, print_json};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, s3://bucket/prefix/name.city, or the URL of a Groundline server.
    city: PathBuf,
    /// The earlier version.
    from: u64,
    /// The later version (the current one when absent).
    to: Option<u64>,
    /// Most objects named of a layer.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let to = match args.to {
        Some(to) => to,
        None => City::open(&args.city)?.version(),
    };
    let layers = diff(&args.city, args.from, to, args.limit)?;
    if ask.json {
        let city = args.city.display().to_string();
        print_json(&json!({ "city": city, "from": args.from, "to": to, "layers": layers }))?;
        return Ok(Outcome::Done);
    }
    if layers.is_empty() {
        println!("{}", ask.say("no object differs", "没有对象不同"));
    }
    for layer in &layers {
        let counts = &layer.counts;
        println!(
            "{}: {} {}, {} {}, {} {}",
            layer.layer,
            grouped(counts.added),
            ask.say("added", "个新增"),
            grouped(counts.changed),
            ask.say("changed", "个变更"),
            grouped(counts.ended),
            ask.say("removed", "个移除")
        );
        for object in &layer.objects {
            let sign = match object.change {
                Change::Added => '+',
                Change::Changed => '~',
                Change::Removed => '-',
            };
            println!("  {sign} {} ({}) {}", object.id, object.class, object.name.as_deref().unwrap_or_default());
        }
        let left = counts.added + counts.changed + counts.ended - layer.objects.len() as u64;
        if left > 0 {
            println!("  … {} {}", grouped(left), ask.say("more (--limit)", "个未列出 (--limit)"));
        }
    }
    Ok(Outcome::Done)
}
