//! The register of sensors as SensorThings has it: what is watched, by which sensors, for which properties.
//!
//! A sensor is one Datastream and one Sensor; the object that it watches (itself where it watches none) is its Thing; places are where sensors stand.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use super::entity::{Entity, Link, Set};
use crate::{
    live::LiveState,
    model::{ObjectId, Sensor, SensorKind},
};

/// Sensors grouped by what they watch and by what they measure: some 28 bytes each.
pub(in crate::serve) struct Register {
    live: LiveState,
    hasher: RandomState,
    /// Hash of what a sensor watches, and its Thing, sorted.
    by_hash: Vec<(u64, u32)>,
    /// Sensors by what they watch, one Thing after the other, in the order of the first sensor of each.
    by_thing: Vec<u32>,
    /// Where the sensors of each Thing begin in `by_thing`; one more at the end.
    starts: Vec<u32>,
    thing_of: Vec<u32>,
    /// Observed properties in order of first use, with their sensors.
    properties: Vec<(String, Vec<u32>)>,
}

/// Of what a Thing's id is made.
fn thing_id(sensor: Sensor) -> String {
    sensor.watches.unwrap_or(sensor.id).0
}

fn streams(sensors: &[u32]) -> impl Iterator<Item = Entity> + '_ {
    sensors.iter().copied().map(Entity::Datastream)
}

impl Register {
    pub fn new(live: &LiveState) -> Self {
        let sensors = live.sensors();
        let hasher = RandomState::new();
        let mut hashed: Vec<(u64, u32)> =
            sensors.iter().enumerate().map(|(at, sensor)| (hasher.hash_one(thing_id(sensor)), at as u32)).collect();
        hashed.sort_unstable();
        // The first sensor of each Thing says which comes first.
        let mut first_of = vec![0; sensors.len()];
        for same in hashed.chunk_by(|a, b| a.0 == b.0) {
            same.iter().for_each(|(_, sensor)| first_of[*sensor as usize] = same[0].1);
        }
        let mut by_thing: Vec<u32> = (0..sensors.len() as u32).collect();
        by_thing.sort_by_key(|sensor| first_of[*sensor as usize]);
        let (mut starts, mut thing_of) = (Vec::new(), first_of);
        for (at, same) in by_thing.chunk_by(|a, b| thing_of[*a as usize] == thing_of[*b as usize]).enumerate() {
            starts.push((at, same.len() as u32));
        }
        let mut from = 0;
        let mut begin: Vec<u32> = Vec::with_capacity(starts.len() + 1);
        for (thing, count) in starts {
            begin.push(from);
            let own = &by_thing[from as usize..(from + count) as usize];
            own.iter().for_each(|sensor| thing_of[*sensor as usize] = thing as u32);
            from += count;
        }
        begin.push(from);
        let mut by_hash: Vec<(u64, u32)> =
            hashed.into_iter().map(|(hash, sensor)| (hash, thing_of[sensor as usize])).collect();
        by_hash.dedup();
        let mut properties: Vec<(String, Vec<u32>)> = Vec::new();
        let mut number_of: HashMap<&str, usize> = HashMap::new();
        for index in 0..sensors.len() as u32 {
            let Some(kind) = sensors.kind(index) else { continue };
            let number = *number_of.entry(&kind.property).or_insert_with(|| {
                properties.push((kind.property.clone(), Vec::new()));
                properties.len() - 1
            });
            properties[number].1.push(index);
        }
        Self { live: live.clone(), hasher, by_hash, by_thing, starts: begin, thing_of, properties }
    }

    /// A sensor of the register; nothing but an empty one where there is none, which no entity stands for.
    pub(super) fn sensor(&self, index: u32) -> Sensor {
        self.live.sensors().get(index).unwrap_or_else(|| unreachable!("an entity stands for a sensor"))
    }

    /// What a sensor measures and how.
    pub(super) fn kind(&self, index: u32) -> &SensorKind {
        self.live.sensors().kind(index).unwrap_or_else(|| unreachable!("an entity stands for a sensor"))
    }

    /// The id of a sensor.
    pub(super) fn sensor_id(&self, index: u32) -> ObjectId {
        self.live.sensors().id(index).unwrap_or_else(|| unreachable!("an entity stands for a sensor"))
    }

    /// Sensors of a Thing, by dense index.
    pub(super) fn sensors_of(&self, thing: u32) -> &[u32] {
        let (from, to) = (self.starts[thing as usize], self.starts[thing as usize + 1]);
        &self.by_thing[from as usize..to as usize]
    }

    pub(super) fn thing_of(&self, sensor: u32) -> u32 {
        self.thing_of[sensor as usize]
    }

    pub(super) fn thing_id(&self, thing: u32) -> String {
        thing_id(self.sensor(self.by_thing[self.starts[thing as usize] as usize]))
    }

    pub(super) fn property(&self, number: u32) -> &str {
        &self.properties[number as usize].0
    }

    /// The sensor that says where a Thing is: its first one that has a place.
    pub(super) fn placed(&self, thing: u32) -> Option<u32> {
        self.sensors_of(thing).iter().copied().find(|index| self.live.sensors().place(*index).is_some())
    }

    /// The id of an entity, unique in its set.
    pub(super) fn id(&self, entity: Entity) -> String {
        match entity {
            Entity::Thing(thing) | Entity::Location(thing) | Entity::Feature(thing) => self.thing_id(thing),
            Entity::Datastream(sensor) | Entity::Sensor(sensor) => self.sensor_id(sensor).0,
            Entity::Property(number) => self.property(number).to_owned(),
            Entity::Observation { sensor, time_ms, .. } => format!("{}@{time_ms}", self.sensor_id(sensor)),
        }
    }

    /// The entity with this id in a set other than Observations.
    pub(super) fn find(&self, set: Set, id: &str) -> Option<Entity> {
        let sensor = || self.live.index_of(&ObjectId(id.into()));
        let thing = || {
            let hash = self.hasher.hash_one(id);
            let from = self.by_hash.partition_point(|(known, _)| *known < hash);
            let same = self.by_hash[from..].iter().take_while(|(known, _)| *known == hash);
            same.map(|(_, thing)| *thing).find(|thing| self.thing_id(*thing) == id)
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
                let property = &self.kind(sensor).property;
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
