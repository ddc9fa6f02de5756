//! Live readings for the subcommands that show them: the state, its durable log, and where readings come from.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use groundline_engine::{
    live::{
        Broker, Door, Keeper, Listener, LiveState, Log, Player, Recording, Subscriber, Watcher, listen, now_ms,
        restore, subscribe, watch,
    },
    store::City,
};
use groundline_importers::sensor_table::read_recording;

use crate::outcome::UsageError;

/// Recorded times without an offset are Beijing time (GB/T 45668—2025, 4.3.2).
const BEIJING_S: i32 = 8 * 3600;

/// Where readings come from.
#[derive(clap::Args, Default)]
pub struct Feeds {
    /// Listen for devices here (MQTT 3.1.1 and 5), such as 127.0.0.1:1883.
    #[arg(long, value_name = "ADDR")]
    pub mqtt: Option<SocketAddr>,
    /// Let only users in this file publish and read over MQTT, as mosquitto_passwd writes it.
    #[arg(long, value_name = "FILE", requires = "mqtt")]
    pub mqtt_passwords: Option<PathBuf>,
    /// Encrypt MQTT (TLS 1.2 and 1.3) with this chain of certificates (PEM).
    #[arg(long, value_name = "FILE", requires_all = ["mqtt", "mqtt_key"])]
    pub mqtt_cert: Option<PathBuf>,
    /// The private key of --mqtt-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "mqtt_cert")]
    pub mqtt_key: Option<PathBuf>,
    /// Let only devices in whose certificate one of these has signed (PEM).
    #[arg(long, value_name = "FILE", requires = "mqtt_cert")]
    pub mqtt_client_ca: Option<PathBuf>,
    /// Subscribe at this outside broker, such as 127.0.0.1:1883 (repeatable).
    #[arg(long, value_name = "HOST:PORT")]
    pub broker: Vec<String>,
    /// Show the end of these recorded readings as if they came now.
    #[arg(long, value_name = "CSV")]
    pub recorded: Option<PathBuf>,
}

impl Feeds {
    /// Who may come in to the listener.
    fn door(&self) -> Result<Door> {
        let mut door = Door::default();
        if let Some(path) = &self.mqtt_passwords {
            door = door.with_passwords(path)?;
        }
        if let (Some(chain), Some(key)) = (&self.mqtt_cert, &self.mqtt_key) {
            door = door.with_tls(chain, key, self.mqtt_client_ca.as_deref())?;
        }
        Ok(door)
    }
}

/// The live side of a city while a subcommand runs; stopped on drop.
pub struct Live {
    /// Latest values and alarms.
    pub state: LiveState,
    /// The built-in listener, where one was asked for.
    pub listener: Option<Listener>,
    _subscribers: Vec<Subscriber>,
    watcher: Option<Watcher>,
    _keeper: Keeper,
    /// The durable log, where readings come in from outside.
    pub log: Option<Log>,
}

impl Live {
    /// Starts what was asked for. The log is opened only when readings come in from outside, as they do where they are `pushed`.
    /// The readings of a city that is shown by a server come from there, unless others are named.
    pub fn start(city: &City, feeds: &Feeds, pushed: bool) -> Result<Self> {
        let state = LiveState::new(city.register()?);
        let takes_readings = pushed || feeds.mqtt.is_some() || !feeds.broker.is_empty();
        let log = if takes_readings {
            let folder = city.folder().join("readings");
            if folder.is_dir() {
                restore(&folder, &state).context("the log of readings")?;
            }
            let (log, recovery) = Log::open(&folder, &state).context("the log of readings")?;
            tracing::info!(?recovery, "log of readings opened");
            Some(log)
        } else {
            None
        };
        if let Some(path) = &feeds.recorded {
            let recording = recording(path)?;
            recording.fill(&state, now_ms(), 3_600_000);
        }
        let keeper = Keeper::start(&state, log.as_ref())?;
        let listener = match feeds.mqtt {
            None => None,
            Some(addr) => {
                let listener = listen(addr, &state, log.as_ref(), feeds.door()?);
                Some(listener.with_context(|| format!("listening on {addr}"))?)
            }
        };
        let subscribers = feeds.broker.iter().map(|text| Ok(subscribe(broker(text)?, &state, log.as_ref())?));
        let subscribers = subscribers.collect::<Result<Vec<_>>>()?;
        let is_alone = !takes_readings && feeds.recorded.is_none();
        let watcher = city.server().filter(|_| is_alone).map(|server| watch(&server, &state)).transpose()?;
        Ok(Self { state, listener, _subscribers: subscribers, watcher, _keeper: keeper, log })
    }
}

impl Live {
    /// Waits until the server whose readings are shown has told its first, no longer than this; a city may have none.
    pub fn heard(&self, at_most: Duration) {
        let begun = Instant::now();
        while self.watcher.is_some() && self.state.counters().received == 0 && begun.elapsed() < at_most {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The broker at `host:port` (port 1883 when absent).
pub fn broker(text: &str) -> Result<Broker> {
    let (host, port) = match text.rsplit_once(':') {
        None => (text, 1883),
        Some((host, port)) => (host, port.parse().map_err(|_| UsageError(format!("{text}: HOST:PORT is wanted")))?),
    };
    Ok(Broker::new(host.trim_start_matches("mqtt://"), port))
}

/// Recorded readings of a file; what of it was not understood is said on standard error.
pub fn recording(path: &Path) -> Result<Recording> {
    let read = read_recording(path, None, BEIJING_S)?;
    for skip in read.report.skips.iter().take(5) {
        eprintln!("{}: record {}: {}", path.display(), skip.record, skip.reason);
    }
    if read.report.skipped > 0 {
        eprintln!("{}: {} records were not understood", path.display(), read.report.skipped);
    }
    Ok(read.recording)
}

/// Publishes a recording at `addr` in real time.
pub fn play(recording: &Recording, state: &LiveState, to: Broker, speed: f64, is_looping: bool) -> Result<Player> {
    let to = Broker { client_id: format!("groundline-replay-{}", std::process::id()), ..to };
    Ok(groundline_engine::live::play(
        recording,
        state.sensors(),
        to,
        groundline_engine::live::Pace { speed, is_looping },
    )?)
}
