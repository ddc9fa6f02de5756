//! OGC SensorThings API 1.1, part 1 (18-088): sensors and their readings as eight sets of entities below `/sta/v1.1`.
//!
//! ```text
//! path::Address ─┐                       ┌─ register::Register   what is watched, by what
//! options        ├─► listing ─► service ─┤
//! expression ────┘                       └─ history              the log, and what is in memory
//! POST ─► create ─► LiveState + Log
//! ```
//!
//! Entities other than Observations come from the register of sensors, by import.

mod create;
mod entity;
mod expression;
mod history;
mod listing;
mod options;
mod path;
mod register;
mod service;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use axum::{
    Json as Answer,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value as Json, json};

use self::{
    create::Target,
    entity::{Entity, Set},
    listing::Source,
    options::Options,
    path::{Address, Step},
    service::Service,
};
pub(in crate::serve) use self::{
    options::{MOST, USUAL},
    register::Register,
};
use super::{Hall, Refusal, features::origin, in_turn, may_act};

/// What the definition says of a POST.
pub(in crate::serve) const ABOUT: &str = "Observations, acknowledged when they are on the disk: one, or a list of them, \
    at Observations (each naming its Datastream) or at Datastreams('id')/Observations; tables of them at CreateObservations";

/// Where the service lies.
const ROOT: &str = "/sta/v1.1";
const CONFORMANCE: [&str; 4] = [
    "http://www.opengis.net/spec/iot_sensing/1.1/req/datamodel",
    "http://www.opengis.net/spec/iot_sensing/1.1/req/resource-path/resource-path-to-entities",
    "http://www.opengis.net/spec/iot_sensing/1.1/req/request-data",
    "http://www.opengis.net/spec/iot_sensing/1.1/req/data-array/data-array",
];

fn bad(reason: impl std::fmt::Display) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, reason.to_string())
}

fn none(path: &str) -> Refusal {
    Refusal(
        StatusCode::NOT_FOUND,
        format!("{path:.120} is no address of SensorThings, such as Things('id')/Datastreams"),
    )
}

fn base(headers: &HeaderMap) -> String {
    format!("{}{ROOT}", origin(headers))
}

/// `GET /sta/v1.1`: the sets, and what is conformed to.
pub(super) async fn root(headers: HeaderMap) -> Answer<Json> {
    let base = base(&headers);
    let sets = Set::ALL.map(|set| json!({"name": set.word(), "url": format!("{base}/{}", set.word())}));
    Answer(json!({"value": sets, "serverSettings": {"conformance": CONFORMANCE}}))
}

/// `GET /sta/v1.1/…`.
pub(super) async fn get(
    State(hall): State<Arc<Hall>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let base = base(&headers);
    let address = Address::read(&path).ok_or_else(|| none(&path))?;
    let options = Options::read(address.leads_to(), query.as_deref().unwrap_or_default()).map_err(bad)?;
    in_turn(hall, move |hall| answer(&Service::new(hall, base)?, &address, &options)).await
}

/// `POST /sta/v1.1/…`.
pub(super) async fn post(
    State(hall): State<Arc<Hall>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    may_act(&headers, &hall.options)?;
    hall.taking()?;
    let target = Arc::new(Target::read(&path)?);
    let (of_reader, of_base) = (target.clone(), base(&headers));
    let read =
        in_turn(hall.clone(), move |hall| create::read(&Service::new(hall, of_base)?, &of_reader, &body)).await?;
    create::put(&hall, base(&headers), &target, read).await
}

/// Where an address leads to, so far.
enum Place {
    All(Source, String),
    One(Entity),
}

fn answer(service: &Service<'_>, address: &Address, options: &Options) -> Result<Response, Refusal> {
    let missing = || Refusal(StatusCode::NOT_FOUND, "there is no such entity".into());
    let mut place = match &address.id {
        None => Place::All(Source::All(address.set), service.address_of(address.set)),
        Some(id) => Place::One(service.find(address.set, id)?.ok_or_else(missing)?),
    };
    for (at, step) in address.steps.iter().enumerate() {
        place = match (step, place) {
            (Step::Link(link, id), Place::One(entity)) => match id {
                None if link.is_many => {
                    Place::All(Source::Of(entity, *link), format!("{}/{}", service.address(entity), link.name))
                }
                None => Place::One(service.register.related(entity, *link).next().ok_or_else(missing)?),
                Some(id) => {
                    let found = service.find(link.set, id)?.filter(|found| service.leads(entity, *link, *found));
                    Place::One(found.ok_or_else(missing)?)
                }
            },
            (Step::Property(name), Place::One(entity)) => {
                let value = if options::is_id(name) {
                    service.register.id(entity).into()
                } else {
                    service.property(entity, name)
                };
                if value.is_null() {
                    return Ok(StatusCode::NO_CONTENT.into_response());
                }
                let is_plain = address.steps.get(at + 1) == Some(&Step::Plain);
                return Ok(if is_plain {
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned).into_response()
                } else {
                    Answer(json!({name.as_str(): value})).into_response()
                });
            }
            (Step::Addresses, Place::All(source, _)) => {
                return Ok(Answer(service.addresses(source, options)?).into_response());
            }
            (Step::Addresses, Place::One(entity)) => {
                return Ok(Answer(json!({"@iot.selfLink": service.address(entity)})).into_response());
            }
            (Step::Count, Place::All(source, _)) => {
                return Ok(service.how_many(source, options)?.to_string().into_response());
            }
            _ => return Err(missing()),
        };
    }
    Ok(match place {
        Place::All(source, address) => Answer(service.list(source, options, &address)?).into_response(),
        Place::One(entity) => Answer(service.one(entity, options)?).into_response(),
    })
}

impl Service<'_> {
    /// The entity with this id, Observations too.
    fn find(&self, set: Set, id: &str) -> Result<Option<Entity>, Refusal> {
        if set != Set::Observations {
            return Ok(self.register.find(set, id));
        }
        let Some((sensor, time)) = id.rsplit_once('@') else { return Ok(None) };
        let (Some(Entity::Datastream(sensor)), Ok(at)) =
            (self.register.find(Set::Datastreams, sensor), time.parse::<i64>())
        else {
            return Ok(None);
        };
        Ok(self.observations(Some(&[sensor]), at..at.saturating_add(1))?.into_iter().next())
    }

    /// Whether a link of one entity leads to another.
    fn leads(&self, from: Entity, link: entity::Link, to: Entity) -> bool {
        match to {
            Entity::Observation { sensor, .. } => self.register.observed(from).contains(&sensor),
            _ => self.register.related(from, link).any(|one| one == to),
        }
    }
}
