//! Readings over HTTP: pushed in, asked for, watched.
//!
//! ```text
//! POST /readings ─► push ─► LiveState + Log ─► answer, when the disk has them
//! GET /live      ◄─ stream ◄─ Changes of the sensors in scope: server-sent events, or a WebSocket
//! GET, POST /alarms ─► alarms
//! ```

mod alarms;
mod ngsi;
mod push;
mod scope;
mod stream;
#[cfg(test)]
pub(super) mod tests;

use std::sync::{Arc, OnceLock};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{Hall, Refusal, in_turn, things::Register};
use crate::{
    live::{Latest, LiveState, Log, now_ms},
    model::ObjectId,
};

pub(super) use alarms::{ABOUT as ALARMS, act, alarms};
pub(super) use push::{ABOUT as READINGS, message, push, put};
pub(super) use stream::{SSE, live};

/// Most who watch at once.
const MOST_WATCHERS: usize = 2_048;

/// The live side of a served city: a cheap handle.
#[derive(Clone)]
pub struct Feed {
    pub(super) state: LiveState,
    pub(super) log: Option<Log>,
    takes: bool,
    watchers: Arc<Semaphore>,
    /// Made when it is first asked for.
    register: Arc<OnceLock<Register>>,
}

impl Feed {
    /// Shows this state; readings cannot be pushed.
    pub fn new(state: LiveState) -> Self {
        Self {
            state,
            log: None,
            takes: false,
            watchers: Arc::new(Semaphore::new(MOST_WATCHERS)),
            register: Arc::default(),
        }
    }

    /// Takes readings over HTTP too; with a log they are acknowledged when the disk has them.
    pub fn taking(self, log: Option<Log>) -> Self {
        Self { log, takes: true, ..self }
    }

    /// The sensors as SensorThings has them.
    pub(super) fn register(&self) -> &Register {
        self.register.get_or_init(|| Register::new(&self.state))
    }
}

/// A figure for Prometheus: label and value of each line.
type Lines<'a> = &'a [(Vec<(&'a str, &'a str)>, f64)];

impl Feed {
    /// What came in and how the sensors are, name by name: name, kind, what it is, its lines.
    pub(super) fn measure(&self, page: &mut dyn FnMut(&str, &str, &str, Lines<'_>)) {
        let counters = self.state.counters();
        let of = |what: &'static str, count: u64| (vec![("what", what)], count as f64);
        page(
            "groundline_readings_total",
            "counter",
            "Messages and readings that came, and what became of those that changed nothing.",
            &[
                of("received", counters.received),
                of("older", counters.older),
                of("duplicate", counters.duplicate),
                of("malformed", counters.malformed),
                of("unknown_topic", counters.unknown_topic),
                of("unknown_sensor", counters.unknown_sensor),
                of("mistrusted_time", counters.mistrusted),
            ],
        );
        let qualities = self.state.qualities(now_ms());
        let lines: Vec<_> = qualities.iter().map(|(word, count)| (vec![("quality", *word)], *count as f64)).collect();
        page("groundline_sensors", "gauge", "Sensors by how far their latest value is to be trusted.", &lines);
        let mut alarms = std::collections::BTreeMap::<(&str, String), f64>::new();
        for alarm in self.state.alarms() {
            *alarms.entry((alarm.state.word(), alarm.priority.to_string())).or_default() += 1.0;
        }
        let lines: Vec<_> = alarms
            .iter()
            .map(|((state, priority), count)| (vec![("state", *state), ("priority", priority.as_str())], *count))
            .collect();
        page("groundline_alarms", "gauge", "Alarms that are not normal.", &lines);
        let watchers = MOST_WATCHERS - self.watchers.available_permits();
        page("groundline_watchers", "gauge", "Those who watch readings.", &[(Vec::new(), watchers as f64)]);
    }
}

/// What is known of a sensor, as answers have it.
fn written(id: Option<ObjectId>, latest: &Latest) -> Value {
    json!({
        "id": id,
        "value": latest.value,
        "time_ms": latest.time_ms,
        "quality": latest.quality,
        "is_source_lost": latest.is_source_lost,
        "alarm": latest.alarm,
        "trend": latest.trend,
    })
}

fn no(what: &str) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, what.to_owned())
}

fn bad(reason: impl std::fmt::Display) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, reason.to_string())
}

impl Hall {
    pub(super) fn feed(&self) -> Result<&Feed, Refusal> {
        self.live.as_ref().ok_or_else(|| no("this server shows no readings"))
    }
}

/// `GET /sensors`.
pub(super) async fn sensors(State(hall): State<Arc<Hall>>) -> Result<Json<Value>, Refusal> {
    in_turn(hall, |hall| {
        let value = serde_json::to_value(hall.city()?.sensors()?);
        value.map(Json).map_err(|e| Refusal(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
    })
    .await
}

/// `GET /sensors/{id}/latest` and `GET /sensors/{id}/recent`. Ids hold `/`, so the last word is taken off the end here.
pub(super) async fn sensor(State(hall): State<Arc<Hall>>, Path(path): Path<String>) -> Result<Json<Value>, Refusal> {
    let (id, word) = path.rsplit_once('/').unwrap_or_default();
    let live = &hall.live.as_ref().ok_or_else(|| no("this server takes no readings"))?.state;
    let index = live.index_of(&ObjectId(id.into()));
    match word {
        "latest" => {
            let latest = index.and_then(|index| live.latest(index, now_ms())).ok_or_else(|| no("no such sensor"))?;
            let value = serde_json::to_value(latest);
            value.map(Json).map_err(|e| Refusal(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
        }
        "recent" => {
            let index = index.ok_or_else(|| no("no such sensor"))?;
            Ok(Json(json!({"id": id, "readings": live.recent(index)})))
        }
        _ => Err(no("ask for /sensors/{id}/latest or /sensors/{id}/recent")),
    }
}

/// `GET /readings`: what came in since the server was started, and what gave trouble.
pub(super) async fn counts(State(hall): State<Arc<Hall>>) -> Result<Json<Value>, Refusal> {
    let feed = hall.feed()?;
    Ok(Json(json!({
        "taken_here": feed.takes,
        "counters": feed.state.counters(),
        "problems": feed.state.problems(),
    })))
}
