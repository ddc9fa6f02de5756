//! `groundline sensors`.

use std::{io::Read, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use groundline_engine::{
    live::{LiveState, now_ms, payload::MAX_PAYLOAD_BYTES},
    query::time_text,
    store::City,
};
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
    /// Read a message as it would be read when it comes: which sensors find which value in it, or why not.
    Try {
        /// The topic it comes on; of Sparkplug that of the data or of the birth.
        #[arg(long)]
        topic: String,
        /// The message; @FILE reads it from a file, - from the input.
        message: String,
        /// The message is bytes in hexadecimal digits.
        #[arg(long)]
        hex: bool,
    },
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
        What::Try { topic, message, hex } => try_message(&city, &topic, &message_bytes(&message, hex)?, ask),
        What::Replay { readings, broker, speed, seconds } => {
            let recording = live::recording(&readings)?;
            let state = LiveState::new(city.register()?);
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

/// The bytes of a message that is given as text, from a file or from the input.
fn message_bytes(message: &str, is_hex: bool) -> Result<Vec<u8>> {
    let bytes = match message.strip_prefix('@') {
        Some(path) => bounded(std::fs::File::open(path).with_context(|| format!("cannot open {path}"))?)?,
        None if message == "-" => bounded(std::io::stdin())?,
        None => message.as_bytes().to_vec(),
    };
    if !is_hex {
        return Ok(bytes);
    }
    let digits: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace() && *byte != b':').collect();
    let digit = |byte: u8| {
        char::from(byte).to_digit(16).with_context(|| format!("{:?} is no hexadecimal digit", char::from(byte)))
    };
    ensure!(digits.len().is_multiple_of(2), "a byte has two hexadecimal digits: {} are odd", digits.len());
    digits.chunks(2).map(|pair| Ok((digit(pair[0])? * 16 + digit(pair[1])?) as u8)).collect()
}

/// A message of a size that the listener takes.
fn bounded(from: impl std::io::Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_PAYLOAD_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn try_message(city: &City, topic: &str, message: &[u8], ask: &Ask) -> Result<Outcome> {
    let state = LiveState::new(city.register()?);
    let mut readings = Vec::new();
    state.decode(topic, message, now_ms(), &mut readings);
    let found: Vec<_> = readings
        .iter()
        .filter_map(|reading| {
            let sensor = state.sensors().get(reading.sensor)?;
            let time = time_text(reading.time_ms);
            Some(json!({"id": sensor.id, "payload": sensor.payload.to_string(), "value": reading.value, "unit": sensor.unit, "time": time}))
        })
        .collect();
    let problems: Vec<String> = state.problems().into_iter().map(|problem| problem.example).collect();
    if ask.json {
        print_json(&json!({ "topic": topic, "readings": found, "problems": problems }))?;
    } else {
        for one in &found {
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            println!("{}  {} {}  {}  ({})", text("id"), one["value"], text("unit"), text("time"), text("payload"));
        }
        for problem in &problems {
            println!("  {} {problem}", ask.say("no reading:", "无读数："));
        }
    }
    Ok(if found.is_empty() { Outcome::Skipped } else { Outcome::Done })
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
