//! The register of sensors as SensorThings has it: what is watched, by which sensors, for which properties.
//!
//! A sensor is one Datastream and one Sensor; the object that it watches (itself where it watches none) is its Thing; places are where sensors stand.

use std::{cmp::Ordering, collections::HashMap};

use super::entity::{Entity, Link, Set};
use crate::{
    live::LiveState,
    model::{ObjectId, Sensor},
};

/// Sensors grouped by what they watch and by what they measure: 12 bytes each.
pub(in crate::serve) struct Register {
    live: LiveState,
    /// Sensors by what they watch, one Thing after the other, in the order of the Things' ids.
    by_thing: Vec<u32>,
    /// Where the sensors of each Thing begin in `by_thing`; one more at the end.
    starts: Vec<u32>,
    thing_of: Vec<u32>,
    /// Observed properties in order of first use, with their sensors.
    properties: Vec<(String, Vec<u32>)>,
}

/// Of what a Thing's id is made.
fn thing_id(sensor: &Sensor) -> &str {
    sensor.watches.as_ref().unwrap_or(&sensor.id).as_str()
}

fn streams(sensors: &[u32]) -> impl Iterator<Item = Entity> + '_ {
    sensors.iter().copied().map(Entity::Datastream)
}

impl Register {
    pub fn new(live: &LiveState) -> Self {
        let sensors = live.sensors();
        let mut by_thing: Vec<u32> = (0..sensors.len() as u32).collect();
        by_thing.sort_by(|a, b| thing_id(&sensors[*a as usize]).cmp(thing_id(&sensors[*b as usize])));
        let (mut starts, mut thing_of) = (Vec::new(), vec![0; sensors.len()]);
        for (at, sensor) in by_thing.iter().enumerate() {
            let id = |at: usize| thing_id(&sensors[by_thing[at] as usize]);
            if at == 0 || id(at) != id(at - 1) {
                starts.push(at as u32);
            }
            thing_of[*sensor as usize] = starts.len() as u32 - 1;
        }
        starts.push(by_thing.len() as u32);
        let mut properties: Vec<(String, Vec<u32>)> = Vec::new();
        let mut number_of: HashMap<&str, usize> = HashMap::new();
        for (index, sensor) in sensors.iter().enumerate() {
            let number = *number_of.entry(&sensor.property).or_insert_with(|| {
                properties.push((sensor.property.clone(), Vec::new()));
                properties.len() - 1
            });
            properties[number].1.push(index as u32);
        }
        Self { live: live.clone(), by_thing, starts, thing_of, properties }
    }

    pub(super) fn sensor(&self, index: u32) -> &Sensor {
        &self.live.sensors()[index as usize]
    }

    /// Sensors of a Thing, by dense index.
    pub(super) fn sensors_of(&self, thing: u32) -> &[u32] {
        let (from, to) = (self.starts[thing as usize], self.starts[thing as usize + 1]);
        &self.by_thing[from as usize..to as usize]
    }

    pub(super) fn thing_of(&self, sensor: u32) -> u32 {
        self.thing_of[sensor as usize]
    }

    pub(super) fn thing_id(&self, thing: u32) -> &str {
        thing_id(self.sensor(self.by_thing[self.starts[thing as usize] as usize]))
    }

    pub(super) fn property(&self, number: u32) -> &str {
        &self.properties[number as usize].0
    }

    /// The sensor that says where a Thing is: its first one that has a place.
    pub(super) fn placed(&self, thing: u32) -> Option<&Sensor> {
        self.sensors_of(thing).iter().map(|index| self.sensor(*index)).find(|sensor| sensor.place.is_some())
    }

    /// The id of an entity, unique in its set.
    pub(super) fn id(&self, entity: Entity) -> String {
        match entity {
            Entity::Thing(thing) | Entity::Location(thing) | Entity::Feature(thing) => self.thing_id(thing).to_owned(),
            Entity::Datastream(sensor) | Entity::Sensor(sensor) => self.sensor(sensor).id.0.clone(),
            Entity::Property(number) => self.property(number).to_owned(),
            Entity::Observation { sensor, time_ms, .. } => format!("{}@{time_ms}", self.sensor(sensor).id),
        }
    }

    /// The entity with this id in a set other than Observations.
    pub(super) fn find(&self, set: Set, id: &str) -> Option<Entity> {
        let sensor = || self.live.index_of(&ObjectId(id.into()));
        let thing = || {
            let (mut low, mut high) = (0, self.things());
            while low < high {
                let middle = low + (high - low) / 2;
                match self.thing_id(middle).cmp(id) {
                    Ordering::Equal => return Some(middle),
                    Ordering::Less => low = middle + 1,
                    Ordering::Greater => high = middle,
                }
            }
            None
        };
        match set {
            Set::Things => thing().map(Entity::Thing),
            Set::FeaturesOfInterest => thing().map(Entity::Feature),
            Set::Locations => thing().filter(|thing| self.placed(*thing).is_some()).map(Entity::Location),
            Set::Datastreams => sensor().map(Entity::Datastream),
            Set::Sensors => sensor().map(Entity::Sensor),
            Set::ObservedProperties => {
                let at = self.properties.iter().position(|(name, _)| name == id)?;
                Some(Entity::Property(at as u32))
            }
            Set::Observations | Set::HistoricalLocations => None,
        }
    }

    /// How many Things there are.
    pub(super) fn things(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// All entities of a set other than Observations. The register knows one place of each Thing and keeps no earlier ones, so there are
    /// no HistoricalLocations.
    pub(super) fn all(&self, set: Set) -> Box<dyn Iterator<Item = Entity> + '_> {
        let sensors = 0..self.live.sensors().len() as u32;
        match set {
            Set::Things => Box::new((0..self.things()).map(Entity::Thing)),
            Set::FeaturesOfInterest => Box::new((0..self.things()).map(Entity::Feature)),
            Set::Locations => {
                let placed = (0..self.things()).filter(|thing| self.placed(*thing).is_some());
                Box::new(placed.map(Entity::Location))
            }
            Set::Datastreams => Box::new(sensors.map(Entity::Datastream)),
            Set::Sensors => Box::new(sensors.map(Entity::Sensor)),
            Set::ObservedProperties => Box::new((0..self.properties.len() as u32).map(Entity::Property)),
            Set::Observations | Set::HistoricalLocations => Box::new(std::iter::empty()),
        }
    }

    /// What an entity leads to, but for Observations.
    pub(super) fn related(&self, entity: Entity, link: Link) -> Box<dyn Iterator<Item = Entity> + '_> {
        let single = match (entity, link.set) {
            (Entity::Thing(thing), Set::Datastreams) => return Box::new(streams(self.sensors_of(thing))),
            (Entity::Property(number), Set::Datastreams) => {
                return Box::new(streams(&self.properties[number as usize].1));
            }
            (Entity::Thing(thing), Set::Locations) => self.placed(thing).map(|_| Entity::Location(thing)),
            (Entity::Location(thing), Set::Things) => Some(Entity::Thing(thing)),
            (Entity::Datastream(sensor), Set::Things) => Some(Entity::Thing(self.thing_of(sensor))),
            (Entity::Datastream(sensor), Set::Sensors) => Some(Entity::Sensor(sensor)),
            (Entity::Datastream(sensor), Set::ObservedProperties) => {
                let property = &self.sensor(sensor).property;
                self.find(Set::ObservedProperties, property)
            }
            (Entity::Sensor(sensor), Set::Datastreams) => Some(Entity::Datastream(sensor)),
            (Entity::Observation { sensor, .. }, Set::Datastreams) => Some(Entity::Datastream(sensor)),
            (Entity::Observation { sensor, .. }, Set::FeaturesOfInterest) => {
                Some(Entity::Feature(self.thing_of(sensor)))
            }
            _ => None,
        };
        Box::new(single.into_iter())
    }

    /// The sensors whose readings are the Observations that an entity leads to.
    pub(super) fn observed(&self, entity: Entity) -> Vec<u32> {
        match entity {
            Entity::Datastream(sensor) => vec![sensor],
            Entity::Feature(thing) => self.sensors_of(thing).to_vec(),
            _ => Vec::new(),
        }
    }
}
