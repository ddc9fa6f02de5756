//! Notifications of context brokers: NGSI-LD (ETSI GS CIM 009, clause 5.8.6) and NGSIv2, normalised or as mere key values.
//!
//! An attribute of an entity is a reading of the sensor whose topic is the entity's id (`urn:ngsi-ld:…`) and whose property is the attribute,
//! or whose topic is `ID/ATTRIBUTE`.

use serde_json::{Map, Value};

use crate::{
    live::{LiveState, payload},
    model::ObjectId,
};

/// Most entities of a notification.
const MOST_ENTITIES: usize = 20_000;
/// What of an entity is no attribute.
const OWN: [&str; 5] = ["id", "type", "@context", "scope", "location"];

/// A value of an attribute, and the sensors that it is a reading of.
pub(super) struct Found {
    /// `ENTITY/ATTRIBUTE`.
    pub name: String,
    pub sensors: Vec<u32>,
    pub decoded: Result<payload::Decoded, payload::PayloadError>,
}

/// The entities of a body, when it is a notification or a list of entities.
pub(super) fn entities(body: &Value) -> Option<Vec<&Map<String, Value>>> {
    let is_notification = body["type"] == "Notification" || body.get("subscriptionId").is_some();
    let list = match body {
        Value::Object(_) if is_notification => body["data"].as_array()?.as_slice(),
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let is_entity = |one: &Value| one["id"].is_string() && one["type"].is_string();
    let is_all = list.len() <= MOST_ENTITIES && list.iter().all(is_entity);
    (is_all && (is_notification || !list.is_empty())).then(|| list.iter().filter_map(Value::as_object).collect())
}

/// What an entity says of sensors; nothing of it when no sensor is meant.
pub(super) fn read(state: &LiveState, entity: &Map<String, Value>, received_ms: i64) -> Vec<Found> {
    let id = entity.get("id").and_then(Value::as_str).unwrap_or_default();
    let mut all = Vec::new();
    for (attribute, value) in entity.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let sensors = sensors(state, id, attribute);
        if sensors.is_empty() {
            continue;
        }
        // Several at once have a datasetId each; the last is the newest that came.
        let value = value.as_array().and_then(|all| all.last()).unwrap_or(value);
        let number = value.get("value").unwrap_or(value);
        let decoded = payload::reading(number, time(entity, value), received_ms);
        all.push(Found { name: format!("{id}/{attribute}"), sensors, decoded });
    }
    all
}

fn sensors(state: &LiveState, id: &str, attribute: &str) -> Vec<u32> {
    let measures = |sensor: &u32| state.sensors().kind(*sensor).is_some_and(|kind| kind.property == attribute);
    let of_entity = state.on_topic(id).filter(measures);
    let of_attribute = format!("{id}/{attribute}");
    let by_id = state.index_of(&ObjectId(id.into())).filter(measures);
    let mut all: Vec<u32> = of_entity.chain(state.on_topic(&of_attribute)).chain(by_id).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// When an attribute was measured, as it is written beside it or for the whole entity.
fn time<'v>(entity: &'v Map<String, Value>, attribute: &'v Value) -> Option<&'v Value> {
    let of_metadata = ["TimeInstant", "timestamp", "dateObserved"];
    let beside = || of_metadata.iter().find_map(|name| attribute.get("metadata")?.get(name));
    let whole = || ["observedAt", "dateObserved", "TimeInstant"].iter().find_map(|name| entity.get(*name));
    attribute.get("observedAt").or_else(beside).or_else(whole)
}
