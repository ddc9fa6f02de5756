//! The list of alarms, and what people do about them.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Hall, Refusal, bad, no};
use crate::{
    live::{AlarmError, LiveState, Subject, now_ms},
    model::ObjectId,
    serve::may_act,
};

/// What the definition says of it.
pub(in crate::serve) const ABOUT: &str = "what a person does about an alarm: {\"sensor\": id} or {\"source\": name}, \
    \"action\": acknowledge, shelve or unshelve, \"user\": who, \"text\": what is said (for shelve the reason), and for shelve \"minutes\"";

/// The alarms that are not normal, of the sensors that are wanted and of all sources.
pub(super) fn listed(state: &LiveState, is_wanted: &dyn Fn(u32) -> bool) -> Vec<Value> {
    let sensors = state.sensors();
    let mut list = Vec::new();
    for alarm in state.alarms() {
        let of_sensor = match &alarm.subject {
            Subject::Sensor(index) if !is_wanted(*index) => continue,
            Subject::Sensor(index) => sensors.get(*index),
            Subject::Source(_) => None,
        };
        let source = match &alarm.subject {
            Subject::Source(name) => Some(name.clone()),
            Subject::Sensor(_) => None,
        };
        list.push(json!({
            "sensor": of_sensor.as_ref().map(|sensor| &sensor.id),
            "source": source,
            "name": of_sensor.as_ref().map(|sensor| &sensor.name),
            "watches": of_sensor.as_ref().and_then(|sensor| sensor.watches.as_ref()),
            "property": of_sensor.as_ref().map(|sensor| &sensor.property),
            "unit": of_sensor.as_ref().map(|sensor| &sensor.unit),
            "place": of_sensor.as_ref().and_then(|sensor| sensor.place),
            "state": alarm.state,
            "priority": alarm.priority,
            "limit": alarm.limit,
            "since_ms": alarm.since_ms,
            "raised_ms": alarm.raised_ms,
            "value": alarm.value,
            "shelved_until_ms": alarm.shelved_until_ms,
            "text": alarm.text,
        }));
    }
    list
}

/// `GET /alarms`.
pub(in crate::serve) async fn alarms(State(hall): State<Arc<Hall>>) -> Result<Json<Value>, Refusal> {
    let feed = hall.feed()?;
    Ok(Json(json!({"now_ms": now_ms(), "alarms": listed(&feed.state, &|_| true)})))
}

/// What a person does.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Act {
    sensor: Option<ObjectId>,
    source: Option<String>,
    action: String,
    user: String,
    #[serde(default)]
    text: String,
    minutes: Option<f64>,
}

/// `POST /alarms`.
pub(in crate::serve) async fn act(
    State(hall): State<Arc<Hall>>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Json<Value>, Refusal> {
    may_act(&headers, &hall.options)?;
    let feed = hall.taking()?;
    let act: Act = serde_json::from_slice(&body).map_err(|e| bad(format!("{ABOUT}: {e}")))?;
    let (state, now) = (&feed.state, now_ms());
    let subject = match (&act.sensor, &act.source) {
        (Some(id), None) => Subject::Sensor(state.index_of(id).ok_or_else(|| no("no such sensor"))?),
        (None, Some(name)) => Subject::Source(name.as_str().into()),
        _ => return Err(bad("either a sensor or a source")),
    };
    if act.user.trim().is_empty() {
        return Err(bad("user says who does it"));
    }
    let done = match (act.action.as_str(), act.minutes) {
        ("acknowledge", None) => state.acknowledge(&subject, &act.user, &act.text, now),
        ("unshelve", None) => state.unshelve(&subject, &act.user, now),
        ("shelve", Some(minutes)) if minutes > 0.0 && minutes <= 1e6 => {
            state.shelve(&subject, &act.user, &act.text, now + (minutes * 60_000.0) as i64, now)
        }
        ("shelve", _) => return Err(bad("shelve wants minutes")),
        ("acknowledge" | "unshelve", Some(_)) => return Err(bad("minutes go with shelve")),
        (other, _) => return Err(bad(format!("{other:.40?} is neither acknowledge, shelve nor unshelve"))),
    };
    done.map_err(|e| match e {
        AlarmError::Unknown => no("no such sensor or source"),
        other => Refusal(StatusCode::CONFLICT, other.to_string()),
    })?;
    let is_it = |alarm: &Value| match (&act.sensor, &act.source) {
        (Some(id), _) => alarm["sensor"] == id.as_str(),
        (_, Some(name)) => alarm["source"] == name.as_str(),
        _ => false,
    };
    Ok(Json(listed(state, &|_| true).into_iter().find(is_it).unwrap_or_else(|| json!({"state": "normal"}))))
}
