//! `groundline gc`.

use std::path::PathBuf;

use anyhow::Result;
use groundline_engine::store::City;
use serde_json::json;

use crate::outcome::{Ask, Outcome, bytes, print_json};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city.
    city: PathBuf,
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let freed = City::open(&args.city)?.collect_garbage()?;
    if ask.json {
        print_json(&json!({ "city": args.city.display().to_string(), "freed_bytes": freed }))?;
    } else {
        println!("{}: {}", ask.say("freed", "已释放"), bytes(freed));
    }
    Ok(Outcome::Done)
}
