//! `groundline gc`.

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use anyhow::Result;
use groundline_engine::store::City;
use serde_json::json;

use crate::outcome::{Ask, Outcome, UsageError, bytes, print_json};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, or s3://bucket/prefix/name.city.
    city: PathBuf,
    /// Give up all versions but the last so many; they cannot be opened or compared any more. Without it every version stays.
    #[arg(long, value_name = "VERSIONS")]
    keep: Option<NonZeroU64>,
    /// Of a city in a bucket: leave what was changed in the last so many hours; another machine may be importing.
    #[arg(long, default_value_t = 24.0, value_name = "HOURS")]
    older_than: f64,
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let age = Duration::try_from_secs_f64(args.older_than * 3600.0)
        .map_err(|_| UsageError(format!("--older-than {}: hours are wanted", args.older_than)))?;
    let city = City::open(&args.city)?;
    let freed = match args.keep {
        Some(keep) => city.give_up_versions(keep, age)?,
        None => city.collect_garbage_older(age)?,
    };
    let versions: Vec<u64> = City::open(&args.city)?.versions()?.iter().map(|version| version.version).collect();
    if ask.json {
        let name = args.city.display().to_string();
        print_json(&json!({ "city": name, "freed_bytes": freed, "versions": versions }))?;
    } else {
        println!("{}: {}", ask.say("freed", "已释放"), bytes(freed));
        if let (Some(_), [oldest, .., newest]) = (args.keep, &versions[..]) {
            println!("{}: {oldest}–{newest}", ask.say("versions", "保留版本"));
        }
    }
    Ok(Outcome::Done)
}
