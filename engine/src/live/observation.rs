//! Observations of OGC SensorThings 1.1 over MQTT (18-088, clause 14): sent by devices, and told to those who subscribe.
//!
//! Topics are addresses of sets: `v1.1/Observations` (each names its Datastream), `v1.1/Datastreams('id')/Observations`.

use serde_json::{Value, json};

use super::{Change, Counter, LiveState, payload};
use crate::model::{ObjectId, Reading, Sensor};

/// With what the topics begin.
pub(super) const ROOT: &str = "v1.1/";
const ALL: &str = "v1.1/Observations";

/// Takes a message on such a topic; says how many readings were put into `out`. Nothing when the topic is none of these.
pub(super) fn decode(
    state: &LiveState,
    topic: &str,
    message: &[u8],
    received_ms: i64,
    out: &mut Vec<Reading>,
) -> Option<usize> {
    let of_one = of_stream(topic);
    if of_one.is_none() && topic != ALL {
        return None;
    }
    match reading(state, of_one.as_deref(), message, received_ms) {
        Ok(reading) => {
            out.push(reading);
            Some(1)
        }
        Err((counter, reason)) => {
            state.refused(counter, topic, &reason);
            Some(0)
        }
    }
}

fn reading(
    state: &LiveState,
    stream: Option<&str>,
    message: &[u8],
    received_ms: i64,
) -> Result<Reading, (Counter, String)> {
    let malformed = |reason: String| (Counter::Malformed, reason);
    let value: Value = serde_json::from_slice(message).map_err(|e| malformed(format!("no Observation: {e}")))?;
    let id = match stream {
        Some(id) => id.to_owned(),
        None => match &value["Datastream"]["@iot.id"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => return Err(malformed("it names no Datastream by @iot.id".into())),
        },
    };
    let unknown = || (Counter::UnknownSensor, format!("there is no Datastream {id:.80}"));
    let sensor = state.index_of(&ObjectId(id.as_str().into())).ok_or_else(unknown)?;
    let (result, time_ms) = taken(&value["result"], time(&value), received_ms).map_err(malformed)?;
    Ok(Reading { sensor, time_ms, value: result })
}

/// When an Observation was made, as it is written.
pub(crate) fn time(observation: &Value) -> Option<&Value> {
    let of = |name: &str| observation.get(name).filter(|time| !time.is_null());
    of("phenomenonTime").or_else(|| of("resultTime"))
}

/// Value and time of a result; of a period its end counts.
pub(crate) fn taken(result: &Value, time: Option<&Value>, received_ms: i64) -> Result<(f64, i64), String> {
    let end = time.and_then(Value::as_str).and_then(|text| text.split_once('/')).map(|(_, end)| Value::from(end));
    let decoded = payload::reading(result, end.as_ref().or(time), received_ms).map_err(|e| e.to_string())?;
    Ok((decoded.value, decoded.time_ms))
}

/// The id in `v1.1/Datastreams('id')/Observations`.
fn of_stream(topic: &str) -> Option<String> {
    let id = topic.strip_prefix(ROOT)?.strip_prefix("Datastreams(")?.strip_suffix(")/Observations")?;
    match id.strip_prefix('\'') {
        Some(quoted) => Some(quoted.strip_suffix('\'')?.replace("''", "'")),
        None => Some(id.to_owned()),
    }
}

/// A change of a sensor as an Observation, with the topics that it is told on.
pub(super) fn told(sensor: &Sensor, change: &Change) -> Option<([String; 2], Value)> {
    let time = crate::query::time_text(change.time_ms)?;
    let value = change.value?;
    let topic = format!("{ROOT}Datastreams('{}')/Observations", sensor.id.as_str().replace('\'', "''"));
    let observation = json!({
        "@iot.id": format!("{}@{}", sensor.id, change.time_ms),
        "phenomenonTime": time,
        "resultTime": time,
        "result": value,
        "Datastream": {"@iot.id": sensor.id},
    });
    Some(([topic, ALL.to_owned()], observation))
}
