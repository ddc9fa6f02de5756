//! Observations that are created (OGC 18-088, clauses 10 and 13): one after the other, and as tables.

use axum::{
    Json as Answer,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value as Json, json};

use super::{bad, entity::Entity, entity::Set, path::Address, path::Step, service::Service};
use crate::{
    live::{Counter, now_ms, observation},
    model::Reading,
    serve::{Hall, Refusal, feed},
};

/// Most Observations of one request.
const MOST: usize = 100_000;

/// Which Datastreams an address creates Observations of.
pub(super) enum Target {
    /// Of the one in each Observation.
    Named,
    /// Of this one.
    Of(String),
    /// `CreateObservations`: tables.
    Tables,
}

impl Target {
    /// What a POST to this address means; the refusal where it means nothing that can be done.
    pub fn read(path: &str) -> Result<Self, Refusal> {
        if path.trim_matches('/') == "CreateObservations" {
            return Ok(Self::Tables);
        }
        let address = Address::read(path).ok_or_else(|| super::none(path))?;
        match (address.set, &address.id, address.steps.as_slice()) {
            (Set::Observations, None, []) => Ok(Self::Named),
            (Set::Datastreams, Some(id), [Step::Link(link, None)]) if link.set == Set::Observations => {
                Ok(Self::Of(id.clone()))
            }
            _ => {
                let text =
                    "Observations are created here; all else comes from the register of sensors: `groundline import`";
                Err(Refusal(StatusCode::NOT_IMPLEMENTED, text.into()))
            }
        }
    }
}

/// What became of each Observation of a request: its reading, or why there is none.
pub(super) type Read = Vec<Result<Reading, String>>;

/// Reads what is to be created.
pub(super) fn read(service: &Service<'_>, target: &Target, body: &[u8]) -> Result<Read, Refusal> {
    let received_ms = now_ms();
    let body: Json = serde_json::from_slice(body).map_err(|e| bad(format!("no JSON: {e}")))?;
    let mut found = Vec::new();
    if let Target::Tables = target {
        let tables = body.as_array().ok_or_else(|| bad("CreateObservations takes a list of tables"))?;
        for table in tables {
            let sensor = stream(service, &table["Datastream"]["@iot.id"]);
            let names: Vec<&str> =
                table["components"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
            let at = |name: &str| names.iter().position(|one| *one == name);
            let result = at("result").ok_or_else(|| bad("the components of a table lack result"))?;
            let time = at("phenomenonTime").or(at("resultTime"));
            for row in table["dataArray"].as_array().ok_or_else(|| bad("a table lacks dataArray"))? {
                let time = time.and_then(|at| row.get(at)).filter(|time| !time.is_null());
                found.push(taken(service, sensor.clone(), row.get(result).unwrap_or(&Json::Null), time, received_ms));
                within(&found)?;
            }
        }
        return Ok(found);
    }
    let single = [body];
    let all = match &single {
        [Json::Array(all)] => all.as_slice(),
        one => one.as_slice(),
    };
    for one in all {
        let sensor = match target {
            Target::Of(id) => stream(service, &Json::from(id.as_str())),
            _ => stream(service, &one["Datastream"]["@iot.id"]),
        };
        found.push(taken(service, sensor, &one["result"], observation::time(one), received_ms));
        within(&found)?;
    }
    Ok(found)
}

fn within(found: &Read) -> Result<(), Refusal> {
    if found.len() > MOST { Err(bad(format!("more than {MOST} Observations at once"))) } else { Ok(()) }
}

/// The dense index of the Datastream with this id.
fn stream(service: &Service<'_>, id: &Json) -> Result<u32, String> {
    let id = match id {
        Json::String(id) => id.clone(),
        Json::Null => return Err("it names no Datastream by @iot.id".into()),
        other => other.to_string(),
    };
    match service.register.find(Set::Datastreams, &id) {
        Some(Entity::Datastream(sensor)) => Ok(sensor),
        _ => Err(format!("there is no Datastream {id:.80}")),
    }
}

fn taken(
    service: &Service<'_>,
    sensor: Result<u32, String>,
    result: &Json,
    time: Option<&Json>,
    received_ms: i64,
) -> Result<Reading, String> {
    let state = &service.feed.state;
    let sensor = sensor.inspect_err(|reason| state.refused(Counter::UnknownSensor, "sensorthings", reason))?;
    let id = service.register.sensor_id(sensor).0;
    let (value, time_ms) = observation::taken(result, time, received_ms)
        .inspect_err(|reason| state.refused(Counter::Malformed, &id, reason))?;
    Ok(Reading { sensor, time_ms, value })
}

/// Puts the Observations into the state and the log, and answers when the disk has them.
pub(super) async fn put(hall: &Hall, base: String, target: &Target, read: Read) -> Result<Response, Refusal> {
    let feed = hall.taking()?;
    let readings: Vec<Reading> = read.iter().filter_map(|one| one.as_ref().ok().copied()).collect();
    feed::put(feed, readings, now_ms()).await?;
    let service = Service::new(hall, base)?;
    let entity = |one: &Reading| Entity::Observation { sensor: one.sensor, time_ms: one.time_ms, value: one.value };
    if let ([one], false) = (read.as_slice(), matches!(target, Target::Tables)) {
        let entity = entity(one.as_ref().map_err(bad)?);
        let location = [(header::LOCATION, service.address(entity))];
        return Ok((StatusCode::CREATED, location, Answer(Json::Object(service.written(entity, &[])?))).into_response());
    }
    let addresses = read.iter().map(|one| match one {
        Ok(one) => Json::from(service.address(entity(one))),
        // The word that the standard has for it, then the reason.
        Err(reason) => Json::from(format!("error: {reason}")),
    });
    let is_none = read.iter().all(Result::is_err) && !read.is_empty();
    let status = if is_none { StatusCode::BAD_REQUEST } else { StatusCode::CREATED };
    Ok((status, Answer(json!(addresses.collect::<Vec<_>>()))).into_response())
}
