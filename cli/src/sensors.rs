//! `groundline sensors`.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use groundline_engine::{live::LiveState, store::City};
use serde_json::json;

use crate::{
    live,
    outcome::{Ask, Outcome, print_json},
};

#[derive(clap::Args)]
pub struct Args {
    /// Folder of the city, s3://bucket/prefix/name.city, or the URL of a Groundline server.
    city: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Every sensor, also those without a place.
    List,
    /// Publish recorded readings over MQTT, each sensor on its own topic.
    Replay {
        /// Recorded readings: sensor, time, value.
        readings: PathBuf,
        /// Broker or built-in listener to publish at.
        #[arg(long, default_value = "127.0.0.1:1883")]
        broker: String,
        /// Recorded seconds per second.
        #[arg(long, default_value_t = 1.0)]
        speed: f64,
        /// Stop after this many seconds; without it the recording is played once.
        #[arg(long)]
        seconds: Option<f64>,
    },
}

pub fn run(args: Args, ask: &Ask) -> Result<Outcome> {
    let city = City::open(&args.city)?;
    match args.what {
        What::List => list(&city, ask),
        What::Replay { readings, broker, speed, seconds } => {
            let recording = live::recording(&readings)?;
            let state = LiveState::new(city.sensors()?);
            let span_s = recording.span_ms().map_or(0.0, |(first, last)| (last - first) as f64 / 1e3);
            let runs_s = seconds.unwrap_or(span_s / speed.max(1e-6) + 2.0);
            let player = live::play(&recording, &state, live::broker(&broker)?, speed, seconds.is_some())?;
            std::thread::sleep(Duration::from_secs_f64(runs_s.clamp(0.0, 1e8)));
            let (sent, unknown) = (player.sent(), player.unknown().to_vec());
            player.stop();
            if ask.json {
                print_json(&json!({ "published": sent, "unknown": unknown }))?;
            } else {
                println!("{} {sent}", ask.say("readings published:", "已发布读数："));
                for name in &unknown {
                    println!("  {} {name}", ask.say("no such sensor:", "无此感知终端："));
                }
            }
            Ok(if unknown.is_empty() { Outcome::Done } else { Outcome::Skipped })
        }
    }
}

fn list(city: &City, ask: &Ask) -> Result<Outcome> {
    let sensors = city.sensors()?;
    if ask.json {
        print_json(&sensors)?;
        return Ok(Outcome::Done);
    }
    for sensor in &sensors {
        let place = match sensor.place {
            Some(place) => format!("{:.1} {:.1} {:.1}", place.x, place.y, place.z),
            None => ask.say("unplaced", "未定位").to_owned(),
        };
        println!("{}  {}  {} [{}]  {place}  {}", sensor.id, sensor.name, sensor.property, sensor.unit, sensor.topic);
    }
    Ok(Outcome::Done)
}
