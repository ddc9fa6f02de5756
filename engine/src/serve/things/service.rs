//! What entities say of themselves.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
};

use serde_json::{Map, Value as Json, json};

use super::{
    entity::{Entity, Link, Set},
    options::is_id,
    register::Register,
    value::Value,
};
use crate::{
    crs::Frame,
    model::{ObjectId, Sensor, Vertical},
    query::time_text,
    serve::{Feed, Hall, Refusal, root::percent_encode},
    store::City,
};

/// Entities of one answer, those within others too.
const MOST_WRITTEN: usize = 50_000;

/// What one answer is made from.
pub(super) struct Service<'h> {
    pub register: &'h Register,
    pub feed: &'h Feed,
    city: Arc<City>,
    frame: Arc<Frame>,
    /// The address of the service.
    base: String,
    now_ms: i64,
    /// What the city knows of Things, by number.
    known: RefCell<HashMap<u32, Rc<Known>>>,
    written: Cell<usize>,
    /// What went wrong where a condition was looked at, which can tell nobody.
    pub failed: RefCell<Option<Refusal>>,
}

/// What the city knows of a Thing.
struct Known {
    name: String,
    class: Option<String>,
}

impl<'h> Service<'h> {
    pub fn new(hall: &'h Hall, base: String) -> Result<Self, Refusal> {
        let feed = hall.feed()?;
        let city = hall.city()?;
        let frame = city.held_frame()?;
        let (known, written, failed) = (RefCell::default(), Cell::new(0), RefCell::new(None));
        Ok(Self {
            register: feed.register(),
            feed,
            city,
            frame,
            base,
            now_ms: crate::live::now_ms(),
            known,
            written,
            failed,
        })
    }

    /// The address of an entity.
    pub fn address(&self, entity: Entity) -> String {
        let id = percent_encode(&self.register.id(entity).replace('\'', "''"));
        format!("{}/{}('{id}')", self.base, entity.set().word())
    }

    /// The address of a set.
    pub fn address_of(&self, set: Set) -> String {
        format!("{}/{}", self.base, set.word())
    }

    /// Counts an entity that is written.
    pub fn count(&self) -> Result<(), Refusal> {
        self.written.set(self.written.get() + 1);
        if self.written.get() > MOST_WRITTEN {
            return Err(super::bad(format!(
                "more than {MOST_WRITTEN} entities in one answer: ask for fewer with $top"
            )));
        }
        Ok(())
    }

    /// An entity with its address, the properties that are selected (all when none is) and where it leads to.
    pub fn written(&self, entity: Entity, select: &[String]) -> Result<Map<String, Json>, Refusal> {
        self.count()?;
        let is_selected = |name: &str| select.is_empty() || select.iter().any(|one| one == name);
        let mut map = Map::new();
        let address = self.address(entity);
        if is_selected("@iot.id") {
            map.insert("@iot.id".into(), self.register.id(entity).into());
        }
        if select.is_empty() {
            map.insert("@iot.selfLink".into(), address.clone().into());
        }
        for name in entity.set().properties().iter().filter(|name| is_selected(name)) {
            let value = self.property(entity, name);
            // What the standard does not ask for is left out where nothing is known.
            if !value.is_null() || matches!(*name, "result" | "resultTime") {
                map.insert((*name).to_owned(), value);
            }
        }
        for link in entity.set().links().iter().filter(|link| is_selected(link.name)) {
            map.insert(format!("{}@iot.navigationLink", link.name), format!("{address}/{}", link.name).into());
        }
        Ok(map)
    }

    /// The values that a path leads to.
    pub fn look(&self, entity: Entity, path: &[String]) -> Vec<Value> {
        let Some((name, rest)) = path.split_first() else { return Vec::new() };
        if let Some(link) = entity.set().link(name) {
            return self.linked(entity, link).into_iter().flat_map(|next| self.look(next, rest)).collect();
        }
        if is_id(name) {
            return vec![Value::Text(self.register.id(entity))];
        }
        if name == "@iot.selfLink" {
            return vec![Value::Text(self.address(entity))];
        }
        match (entity, name.as_str()) {
            (Entity::Observation { time_ms, .. }, "phenomenonTime" | "resultTime") => vec![Value::Time(time_ms)],
            (Entity::Observation { value, .. }, "result") => vec![Value::Number(value)],
            (Entity::Datastream(sensor), "phenomenonTime" | "resultTime") => {
                vec![self.span(sensor).map_or(Value::Null, |(from, to)| Value::Interval(from, to))]
            }
            _ => {
                let mut json = self.property(entity, name);
                for part in rest {
                    json = json.get_mut(part.as_str()).map(Json::take).unwrap_or_default();
                }
                vec![Value::of_json(json)]
            }
        }
    }

    fn linked(&self, entity: Entity, link: Link) -> Vec<Entity> {
        if link.set != Set::Observations {
            return self.register.related(entity, link).collect();
        }
        self.observations(Some(&self.register.observed(entity)), i64::MIN..i64::MAX).unwrap_or_else(|refusal| {
            self.failed.borrow_mut().get_or_insert(refusal);
            Vec::new()
        })
    }

    /// A property; null where there is none.
    pub fn property(&self, entity: Entity, name: &str) -> Json {
        match entity {
            Entity::Thing(thing) | Entity::Location(thing) | Entity::Feature(thing) => self.of_thing(thing, name),
            Entity::Datastream(sensor) => self.of_stream(sensor, name),
            Entity::Sensor(sensor) => of_sensor(&self.register.sensor(sensor), name),
            Entity::Property(number) => {
                let property = self.register.property(number);
                match name {
                    "name" => property.into(),
                    "definition" => format!("urn:groundline:property:{}", percent_encode(property)).into(),
                    "description" => property.replace('_', " ").into(),
                    _ => Json::Null,
                }
            }
            Entity::Observation { time_ms, value, .. } => match name {
                "phenomenonTime" | "resultTime" => text_of(time_ms),
                "result" => value.into(),
                _ => Json::Null,
            },
        }
    }

    fn of_thing(&self, thing: u32, name: &str) -> Json {
        match name {
            "name" => self.known(thing).name.clone().into(),
            "description" => {
                let known = self.known(thing);
                let streams = self.register.sensors_of(thing).iter().map(|index| &*self.register.kind(*index).property);
                let streams = streams.collect::<Vec<_>>().join(", ");
                match &known.class {
                    Some(class) => format!("{class} {}: {streams}", known.name).into(),
                    None => format!("{}: {streams}", known.name).into(),
                }
            }
            "encodingType" => "application/geo+json".into(),
            "location" | "feature" => {
                self.register.placed(thing).map_or(Json::Null, |sensor| self.place(&self.register.sensor(sensor)))
            }
            "properties" => {
                let mut map = Map::new();
                let id = self.register.thing_id(thing);
                if let Some(class) = &self.known(thing).class {
                    map.insert("object".into(), id.as_str().into());
                    map.insert("class".into(), class.as_str().into());
                }
                if let Some((layer, _)) = id.split_once('/') {
                    map.insert("layer".into(), layer.into());
                }
                Json::Object(map)
            }
            _ => Json::Null,
        }
    }

    fn known(&self, thing: u32) -> Rc<Known> {
        if let Some(known) = self.known.borrow().get(&thing) {
            return known.clone();
        }
        let id = self.register.thing_id(thing);
        let first = self.register.sensor(self.register.sensors_of(thing)[0]);
        // A device that watches no object stands for itself.
        let object =
            first.watches.as_ref().and_then(|watched| self.city.object(&ObjectId(watched.0.clone())).ok().flatten());
        let own = if first.watches.is_none() { Some(first.name.clone()) } else { None };
        let name = object.as_ref().and_then(|object| object.name.clone()).or(own).filter(|name| !name.is_empty());
        let class = object.map(|object| object.class.to_string());
        let known = Rc::new(Known { name: name.unwrap_or(id), class });
        self.known.borrow_mut().insert(thing, known.clone());
        known
    }

    fn of_stream(&self, index: u32, name: &str) -> Json {
        let sensor = self.register.sensor(index);
        match name {
            "name" => named(&sensor).into(),
            "description" => {
                format!("{} of {}", sensor.property, self.register.thing_id(self.register.thing_of(index))).into()
            }
            "observationType" => "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement".into(),
            "unitOfMeasurement" => {
                let definition = (!sensor.unit.is_empty()).then(|| format!("ucum:{}", sensor.unit));
                json!({"name": sensor.unit, "symbol": sensor.unit, "definition": definition})
            }
            "observedArea" if sensor.place.is_some() => self.place(&sensor),
            "phenomenonTime" | "resultTime" => match self.span(index) {
                Some((from, to)) => match (time_text(from), time_text(to)) {
                    (Some(from), Some(to)) => format!("{from}/{to}").into(),
                    _ => Json::Null,
                },
                None => Json::Null,
            },
            "properties" => {
                let latest = self.feed.state.latest(index, self.now_ms);
                let mut map = json!({
                    "interval_s": sensor.interval_s,
                    "quality": latest.as_ref().map(|latest| latest.quality),
                    "alarm": latest.as_ref().map(|latest| latest.alarm),
                    "trend": latest.as_ref().map(|latest| latest.trend),
                });
                if let Some((low, high)) = sensor.range {
                    map["range"] = json!([low, high]);
                }
                if let Some(threshold) = &sensor.threshold {
                    map["threshold"] =
                        json!({"low": threshold.low, "high": threshold.high, "priority": threshold.priority});
                }
                map
            }
            _ => Json::Null,
        }
    }

    /// First and last time of the readings in memory.
    fn span(&self, sensor: u32) -> Option<(i64, i64)> {
        let newest = self.feed.state.latest(sensor, self.now_ms).filter(|latest| latest.value.is_some())?.time_ms;
        let recent = self.feed.state.recent(sensor);
        Some((recent.first().map_or(newest, |(time, _)| (*time).min(newest)), newest))
    }

    /// Where a sensor stands as GeoJSON, in longitude, latitude and height.
    fn place(&self, sensor: &Sensor) -> Json {
        let Some(place) = sensor.place else { return Json::Null };
        let at = self.frame.geographic_from_city(place);
        let round = |degrees: f64| (degrees * 1e9).round() / 1e9;
        let mut coordinates = vec![round(at.x), round(at.y)];
        // A height above the ground is none above the sea.
        if sensor.vertical == Vertical::Absolute {
            coordinates.push((at.z * 1e4).round() / 1e4);
        }
        json!({"type": "Point", "coordinates": coordinates})
    }
}

fn text_of(ms: i64) -> Json {
    time_text(ms).map_or(Json::Null, Json::from)
}

fn named(sensor: &Sensor) -> &str {
    if sensor.name.is_empty() { sensor.id.as_str() } else { &sensor.name }
}

fn of_sensor(sensor: &Sensor, name: &str) -> Json {
    match name {
        "name" => named(sensor).into(),
        "description" => format!("publishes on {}", sensor.topic).into(),
        "encodingType" => "application/json".into(),
        "metadata" => json!({"topic": sensor.topic, "payload": sensor.payload.to_string()}),
        "properties" => json!({"is_placed": sensor.place.is_some()}),
        _ => Json::Null,
    }
}
