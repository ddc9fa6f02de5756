//! Readings that are pushed over HTTP.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Feed, Hall, Refusal, bad, ngsi};
use crate::{
    live::{Applied, Counter, LiveState, now_ms, payload, senml},
    model::{ObjectId, Reading},
    serve::may_act,
};

/// What the definition says of it.
pub(in crate::serve) const ABOUT: &str = "readings, acknowledged when they are on the disk: \
    lines or an array of {\"sensor\": id or topic, \"value\": 1.5, \"time\": RFC 3339 or a number since 1970 (without it: now)}; \
    SenML as application/senml+json; notifications of NGSI-LD and NGSIv2 brokers; or text/csv with lines sensor,time,value. The answer counts what was taken and says which were refused, and why";

/// Readings of one request.
const MOST_READINGS: usize = 100_000;
/// Refusals that are told with their reason; the others are counted.
const MOST_REASONS: usize = 20;

/// What a request holds, reading by reading.
#[derive(Default)]
struct Pushed {
    readings: Vec<Reading>,
    refused: usize,
    reasons: Vec<Value>,
    /// Readings so far, taken or not.
    number: usize,
}

/// One reading as it is written.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, alias = "id", alias = "topic", alias = "name")]
    sensor: Cow<'a, str>,
    #[serde(borrow, alias = "v", alias = "result")]
    value: &'a RawValue,
    #[serde(borrow, default, alias = "t", alias = "time_ms", alias = "phenomenonTime")]
    time: Option<&'a RawValue>,
}

/// `POST /readings`.
pub(in crate::serve) async fn push(
    State(hall): State<Arc<Hall>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    may_act(&headers, &hall.options)?;
    let feed = hall.taking()?;
    let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (state, received_ms) = (feed.state.clone(), now_ms());
    let read = move || -> Result<Pushed, Refusal> {
        let mut pushed = Pushed::default();
        match media.as_str() {
            "application/senml+json" | "application/sensml+json" => pushed.read_senml(&state, &body, received_ms)?,
            "application/ld+json" => {
                let body: Value = serde_json::from_slice(&body).map_err(|e| bad(format!("no JSON: {e}")))?;
                let entities =
                    ngsi::entities(&body).ok_or_else(|| bad("neither a notification of NGSI-LD nor entities"))?;
                pushed.read_entities(&state, &entities, received_ms)?;
            }
            "text/csv" => pushed.read_csv(&state, &body, received_ms)?,
            _ => pushed.read_json(&state, &body, received_ms)?,
        }
        Ok(pushed)
    };
    // Two megabytes of text take a while to be read.
    let pushed =
        tokio::task::spawn_blocking(read).await.map_err(|e| bad(format!("the readings cannot be read: {e}")))??;
    taken(feed, pushed, received_ms).await
}

/// `POST /readings/{topic}`: a message as the device sends it to this topic over MQTT.
pub(in crate::serve) async fn message(
    State(hall): State<Arc<Hall>>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    may_act(&headers, &hall.options)?;
    let feed = hall.taking()?;
    let received_ms = now_ms();
    let mut pushed = Pushed::default();
    // It counts what gives no reading.
    if feed.state.decode(&topic, &body, received_ms, &mut pushed.readings) == 0 {
        let is_known = feed.state.on_topic(&topic).next().is_some();
        let unknown = "no sensor publishes on this topic";
        pushed.tell(if is_known { "no value was found in the message; GET /readings says why" } else { unknown });
    }
    taken(feed, pushed, received_ms).await
}

impl Hall {
    /// The feed, where it may be changed over HTTP.
    pub(in crate::serve) fn taking(&self) -> Result<&Feed, Refusal> {
        let feed = self.feed()?;
        if feed.takes {
            return Ok(feed);
        }
        let text = "this server takes no readings over HTTP; --push of `groundline serve` lets it";
        Err(Refusal(StatusCode::FORBIDDEN, text.into()))
    }
}

/// What became of readings.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::serve) struct Put {
    pub latest: usize,
    pub older: usize,
    pub duplicates: usize,
    pub absurd: usize,
}

/// Puts readings into the state and the log; returns when the disk has them.
pub(in crate::serve) async fn put(feed: &Feed, readings: Vec<Reading>, received_ms: i64) -> Result<Put, Refusal> {
    let source = feed.state.source("http");
    let mut put = Put::default();
    for reading in &readings {
        match feed.state.apply_from(source, *reading, received_ms) {
            Applied::Latest => put.latest += 1,
            Applied::Older => put.older += 1,
            Applied::Duplicate => put.duplicates += 1,
            Applied::UnknownSensor | Applied::Absurd => put.absurd += 1,
        }
    }
    if let Some(log) = &feed.log
        && !readings.is_empty()
    {
        let lost = |e: crate::live::LogError| {
            Refusal(StatusCode::SERVICE_UNAVAILABLE, format!("not on the disk, send them again: {e}"))
        };
        log.append(readings, received_ms).await.map_err(lost)?.durable().await.map_err(lost)?;
    }
    Ok(put)
}

/// Takes what a request holds, and answers what became of it.
async fn taken(feed: &Feed, pushed: Pushed, received_ms: i64) -> Result<Response, Refusal> {
    let Pushed { readings, refused, reasons, .. } = pushed;
    let is_any = !readings.is_empty();
    let put = put(feed, readings, received_ms).await?;
    let status = if is_any || refused == 0 { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let answer = json!({
        "latest": put.latest,
        "older": put.older,
        "duplicates": put.duplicates,
        "refused": refused + put.absurd,
        "reasons": reasons,
        "is_durable": feed.log.is_some(),
    });
    Ok((status, Json(answer)).into_response())
}

impl Pushed {
    fn read_json(&mut self, state: &LiveState, body: &[u8], received_ms: i64) -> Result<(), Refusal> {
        let text = std::str::from_utf8(body).map_err(|e| bad(format!("the readings are not UTF-8: {e}")))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('[') {
            let lines: Vec<&RawValue> = serde_json::from_str(text).map_err(|e| bad(format!("no JSON array: {e}")))?;
            return lines.into_iter().try_for_each(|line| self.read_line(state, line.get(), received_ms));
        }
        // Brokers that are told no media type send notifications as mere JSON.
        if text.contains("\"subscriptionId\"")
            && let Ok(body) = serde_json::from_str::<Value>(text)
            && let Some(entities) = ngsi::entities(&body)
        {
            return self.read_entities(state, &entities, received_ms);
        }
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.into_iter().try_for_each(|line| self.read_line(state, line, received_ms))
    }

    fn read_line(&mut self, state: &LiveState, line: &str, received_ms: i64) -> Result<(), Refusal> {
        self.count()?;
        match serde_json::from_str::<Line<'_>>(line) {
            Ok(Line { sensor, value, time }) => {
                let json = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).unwrap_or(Value::Null);
                let decoded = payload::reading(&json(value), time.map(json).as_ref(), received_ms);
                self.take(state, &sensor, decoded);
            }
            Err(e) => self.refuse(state, Counter::Malformed, "", &format!("no reading: {e}")),
        }
        Ok(())
    }

    fn read_senml(&mut self, state: &LiveState, body: &[u8], received_ms: i64) -> Result<(), Refusal> {
        for (name, decoded) in senml::decode(body, received_ms).map_err(|e| bad(format!("no SenML: {e}")))? {
            self.count()?;
            self.take(state, &name, decoded);
        }
        Ok(())
    }

    fn read_entities(
        &mut self,
        state: &LiveState,
        entities: &[&serde_json::Map<String, Value>],
        received_ms: i64,
    ) -> Result<(), Refusal> {
        for entity in entities {
            let found = ngsi::read(state, entity, received_ms);
            if found.is_empty() {
                self.count()?;
                let id = entity.get("id").and_then(Value::as_str).unwrap_or_default();
                self.refuse(
                    state,
                    Counter::UnknownSensor,
                    id,
                    "no sensor has this entity as its topic and one of its attributes as its property",
                );
            }
            for ngsi::Found { name, sensors, decoded } in found {
                self.count()?;
                match decoded {
                    Ok(one) => self.readings.extend(sensors.iter().map(|sensor| Reading {
                        sensor: *sensor,
                        time_ms: one.time_ms,
                        value: one.value,
                    })),
                    Err(e) => self.refuse(state, Counter::Malformed, &name, &e.to_string()),
                }
            }
        }
        Ok(())
    }

    fn read_csv(&mut self, state: &LiveState, body: &[u8], received_ms: i64) -> Result<(), Refusal> {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(body);
        for (at, record) in reader.records().enumerate() {
            let record = record.map_err(|e| bad(format!("no CSV: {e}")))?;
            let (name, time, value) = (record.get(0), record.get(1), record.get(2));
            let is_head = at == 0 && value.is_some_and(|value| value.parse::<f64>().is_err());
            if is_head {
                continue;
            }
            self.count()?;
            match (name, value) {
                (Some(name), Some(value)) => {
                    let time = time.filter(|time| !time.is_empty()).map(Value::from);
                    self.take(state, name, payload::reading(&value.into(), time.as_ref(), received_ms));
                }
                _ => self.refuse(state, Counter::Malformed, "", "a line wants sensor,time,value"),
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Refusal> {
        self.number += 1;
        if self.number > MOST_READINGS {
            return Err(bad(format!("more than {MOST_READINGS} readings at once")));
        }
        Ok(())
    }

    /// A reading of the sensor with this id, or of those that publish on this topic.
    fn take(&mut self, state: &LiveState, name: &str, decoded: Result<payload::Decoded, payload::PayloadError>) {
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(e) => return self.refuse(state, Counter::Malformed, name, &e.to_string()),
        };
        let mut put = |sensor: u32| {
            self.readings.push(Reading { sensor, time_ms: decoded.time_ms, value: decoded.value });
        };
        if let Some(sensor) = state.index_of(&ObjectId(name.into())) {
            return put(sensor);
        }
        let before = self.readings.len();
        state.on_topic(name).for_each(|sensor| {
            self.readings.push(Reading { sensor, time_ms: decoded.time_ms, value: decoded.value });
        });
        if self.readings.len() == before {
            self.refuse(state, Counter::UnknownSensor, name, "no sensor has this id or topic");
        }
    }

    fn refuse(&mut self, state: &LiveState, counter: Counter, name: &str, reason: &str) {
        state.refused(counter, if name.is_empty() { "http" } else { name }, reason);
        self.tell(&if name.is_empty() { reason.to_owned() } else { format!("{name:.80}: {reason}") });
    }

    fn tell(&mut self, reason: &str) {
        self.refused += 1;
        if self.reasons.len() < MOST_REASONS {
            self.reasons.push(json!({"reading": self.number.max(1), "reason": reason}));
        }
    }
}
