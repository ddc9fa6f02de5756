//! `groundline gc`.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use groundline_engine::store::City;
use serde_json::json;

use crate::outcome::{Ask, Outcome, UsageError, bytes, print_json};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, or s3://bucket/prefix/name.city.
    city: PathBuf,
    /// Of a city in a bucket: leave what was changed in the last so many hours; another machine may be importing.
    #[arg(long, default_value_t = 24.0, value_name = "HOURS")]
    older_than: f64,
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let age = Duration::try_from_secs_f64(args.older_than * 3600.0)
        .map_err(|_| UsageError(format!("--older-than {}: hours are wanted", args.older_than)))?;
    let freed = City::open(&args.city)?.collect_garbage_older(age)?;
    if ask.json {
        print_json(&json!({ "city": args.city.display().to_string(), "freed_bytes": freed }))?;
    } else {
        println!("{}: {}", ask.say("freed", "已释放"), bytes(freed));
    }
    Ok(Outcome::Done)
}
