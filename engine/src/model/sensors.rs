//! The register of sensors in memory (感知终端登记): what does not differ between them once, texts packed, ids and topics found by hash.
//!
//! About 50 bytes a sensor where a [`Sensor`] of its own takes 400.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use glam::DVec3;

use super::{
    ObjectId, Payload, Sensor, Threshold, Vertical,
    texts::{Texts, text},
};

/// Parts of a metre in which places are held: nothing differs by more than half a tenth of a millimetre, out to 200 km.
const PARTS_OF_M: f64 = 10_000.0;
/// The east of a sensor without a place.
const UNPLACED: i32 = i32::MIN;
/// A slot of a table in which no sensor is.
const FREE: u32 = u32::MAX;
/// Kinds that are looked through before all of them are.
const RECENT_KINDS: usize = 8;

/// What many sensors have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorKind {
    /// Observed property.
    pub property: String,
    /// Unit of the readings.
    pub unit: String,
    /// How z of places is to be read.
    pub vertical: Vertical,
    /// Readings outside are of quality `OutOfRange`.
    pub range: Option<(f64, f64)>,
    /// Expected seconds between readings.
    pub interval_s: f64,
    /// When to raise an alarm.
    pub threshold: Option<Threshold>,
    /// How payloads are read.
    pub payload: Payload,
}

impl SensorKind {
    fn of(sensor: &Sensor) -> Self {
        Self {
            property: sensor.property.clone(),
            unit: sensor.unit.clone(),
            vertical: sensor.vertical,
            range: sensor.range,
            interval_s: sensor.interval_s,
            threshold: sensor.threshold,
            payload: sensor.payload.clone(),
        }
    }

    fn is_of(&self, sensor: &Sensor) -> bool {
        self.property == sensor.property
            && self.unit == sensor.unit
            && self.vertical == sensor.vertical
            && self.range == sensor.range
            && self.interval_s.to_bits() == sensor.interval_s.to_bits()
            && self.threshold == sensor.threshold
            && self.payload == sensor.payload
    }
}

/// The sensors of a city by dense index. They do not change.
#[derive(Debug, Default)]
pub struct Sensors {
    kinds: Vec<SensorKind>,
    kind_of: Vec<u32>,
    /// Tenths of millimetres from `origin`.
    places: Vec<[i32; 3]>,
    origin: DVec3,
    /// Places that are farther away than those can say.
    far: HashMap<u32, DVec3>,
    /// Id, name, topic, and the object that is watched; a blank stands before the last where there is one.
    texts: Texts<4>,
    by_id: Table,
    by_topic: Table,
    /// The next sensor on the same topic, where there is one.
    next_on_topic: HashMap<u32, u32>,
    hasher: RandomState,
}

const ID: usize = 0;
const TOPIC: usize = 2;

type Row = [Vec<u8>; 4];

impl Sensors {
    /// The register of these sensors; the index of each is its place among them. Of two with one id the first is found by it; two may
    /// share a topic. More than four billion bytes of text are not held: what comes then is left out.
    pub fn new(sensors: impl IntoIterator<Item = Sensor>) -> Self {
        let mut register = Self::default();
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut recent: Vec<u32> = Vec::new();
        for sensor in sensors {
            let watches = sensor.watches.as_ref().map(|watched| format!(" {watched}")).unwrap_or_default();
            if !register.texts.push([sensor.id.as_str(), &sensor.name, &sensor.topic, &watches]) {
                tracing::error!("the register of sensors is full: {} and what comes after it is left out", sensor.id);
                break;
            }
            let kind = register.kind_for(&sensor, &mut known, &mut recent);
            register.put_place(sensor.place);
            register.kind_of.push(kind);
        }
        register.close();
        register
    }

    fn kind_for(&mut self, sensor: &Sensor, known: &mut HashMap<String, u32>, recent: &mut Vec<u32>) -> u32 {
        if let Some(at) = recent.iter().position(|kind| self.kinds[*kind as usize].is_of(sensor)) {
            let kind = recent.remove(at);
            recent.insert(0, kind);
            return kind;
        }
        let new = SensorKind::of(sensor);
        let number = *known.entry(format!("{new:?}")).or_insert_with(|| {
            self.kinds.push(new);
            self.kinds.len() as u32 - 1
        });
        recent.insert(0, number);
        recent.truncate(RECENT_KINDS);
        number
    }

    fn put_place(&mut self, place: Option<DVec3>) {
        let Some(place) = place.filter(|place| place.is_finite()) else {
            self.places.push([UNPLACED, 0, 0]);
            return;
        };
        if self.origin == DVec3::ZERO {
            self.origin = place.round();
        }
        let parts = (place - self.origin) * PARTS_OF_M;
        if parts.abs().max_element() >= f64::from(i32::MAX) {
            self.far.insert(self.places.len() as u32, place);
            self.places.push([0; 3]);
        } else {
            self.places.push(parts.to_array().map(|part| part.round() as i32));
        }
    }

    fn close(&mut self) {
        self.texts.close();
        self.kind_of.shrink_to_fit();
        self.places.shrink_to_fit();
        let (mut by_id, mut by_topic) = (Table::new(self.len()), Table::new(self.len()));
        let mut last_on_topic: HashMap<u32, u32> = HashMap::new();
        let mut found: Row = Row::default();
        self.texts.each(&mut |index, row| {
            let index = index as u32;
            by_id.put(index, self.hasher.hash_one(&row[ID]), &mut |other| {
                self.texts.read(other as usize, &mut found) && found[ID] == row[ID]
            });
            let first = by_topic.put(index, self.hasher.hash_one(&row[TOPIC]), &mut |other| {
                self.texts.read(other as usize, &mut found) && found[TOPIC] == row[TOPIC]
            });
            if let Some(first) = first {
                let before = last_on_topic.insert(first, index).unwrap_or(first);
                self.next_on_topic.insert(before, index);
            }
        });
        (self.by_id, self.by_topic) = (by_id, by_topic);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kind_of.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kind_of.is_empty()
    }

    /// A sensor with all that is known of it, made anew.
    pub fn get(&self, index: u32) -> Option<Sensor> {
        let mut row = Row::default();
        self.texts.read(index as usize, &mut row).then(|| self.made(index, &row))
    }

    /// All of them in order, made anew one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Sensor> + '_ {
        (0..self.len() as u32).filter_map(|index| self.get(index))
    }

    fn made(&self, index: u32, row: &Row) -> Sensor {
        let kind = &self.kinds[self.kind_of[index as usize] as usize];
        let [id, name, topic, watches] = row.each_ref().map(|bytes| text(bytes));
        Sensor {
            id: ObjectId(id.to_owned()),
            name: name.to_owned(),
            watches: watches.strip_prefix(' ').map(|watched| ObjectId(watched.to_owned())),
            property: kind.property.clone(),
            unit: kind.unit.clone(),
            place: self.place(index),
            vertical: kind.vertical,
            range: kind.range,
            interval_s: kind.interval_s,
            threshold: kind.threshold,
            topic: topic.to_owned(),
            payload: kind.payload.clone(),
        }
    }

    /// What a sensor has in common with others.
    pub fn kind(&self, index: u32) -> Option<&SensorKind> {
        self.kinds.get(*self.kind_of.get(index as usize)? as usize)
    }

    /// Where a sensor stands, city coordinates; half a tenth of a millimetre off at most.
    pub fn place(&self, index: u32) -> Option<DVec3> {
        let parts = *self.places.get(index as usize).filter(|parts| parts[0] != UNPLACED)?;
        let near = || self.origin + DVec3::from_array(parts.map(f64::from)) / PARTS_OF_M;
        Some(self.far.get(&index).copied().unwrap_or_else(near))
    }

    /// The id of a sensor.
    pub fn id(&self, index: u32) -> Option<ObjectId> {
        let mut row = Row::default();
        self.texts.read(index as usize, &mut row).then(|| ObjectId(text(&row[ID]).to_owned()))
    }

    /// The sensor with this id.
    pub fn find(&self, id: &str) -> Option<u32> {
        let mut row = Row::default();
        let is_it = &mut |index| self.texts.read(index as usize, &mut row) && row[ID] == id.as_bytes();
        self.by_id.find(self.hasher.hash_one(id.as_bytes()), is_it)
    }

    /// The sensors that publish on a topic, in order.
    pub fn on_topic(&self, topic: &str) -> impl Iterator<Item = u32> + '_ {
        let mut row = Row::default();
        let is_it = &mut |index| self.texts.read(index as usize, &mut row) && row[TOPIC] == topic.as_bytes();
        let first = self.by_topic.find(self.hasher.hash_one(topic.as_bytes()), is_it);
        std::iter::successors(first, |index| self.next_on_topic.get(index).copied())
    }

    /// Calls `take` with every topic that a sensor publishes on, one after the other, once each.
    pub fn each_topic(&self, take: &mut dyn FnMut(&str)) {
        let is_later: std::collections::HashSet<u32> = self.next_on_topic.values().copied().collect();
        self.texts.each(&mut |index, row| {
            if !is_later.contains(&(index as u32)) {
                take(text(&row[TOPIC]));
            }
        });
    }
}

impl From<Vec<Sensor>> for Sensors {
    fn from(sensors: Vec<Sensor>) -> Self {
        Self::new(sensors)
    }
}

/// Indexes by the hash of a text, in slots of five bytes.
#[derive(Debug, Default)]
struct Table {
    slots: Vec<u32>,
    /// Some bits of the hash of what is in each slot.
    marks: Vec<u8>,
}

impl Table {
    fn new(count: usize) -> Self {
        let size = (count + count / 3).max(4);
        Self { slots: vec![FREE; size], marks: vec![0; size] }
    }

    /// The slots in which something of this hash may be.
    fn way(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let size = self.slots.len();
        let start = ((u128::from(hash) * size as u128) >> 64) as usize;
        (0..size).map(move |step| (start + step) % size)
    }

    /// Puts an index in, or says which one of the same text is there already.
    fn put(&mut self, index: u32, hash: u64, is_same: &mut dyn FnMut(u32) -> bool) -> Option<u32> {
        let mark = hash as u8;
        for slot in self.way(hash) {
            match self.slots[slot] {
                FREE => {
                    (self.slots[slot], self.marks[slot]) = (index, mark);
                    return None;
                }
                known if self.marks[slot] == mark && is_same(known) => return Some(known),
                _ => {}
            }
        }
        None
    }

    fn find(&self, hash: u64, is_it: &mut dyn FnMut(u32) -> bool) -> Option<u32> {
        for slot in self.way(hash) {
            match self.slots[slot] {
                FREE => return None,
                known if self.marks[slot] == hash as u8 && is_it(known) => return Some(known),
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::test_sensor;

    #[test]
    fn what_was_registered_is_found_whole() {
        let mut sensors: Vec<Sensor> = (0..3000)
            .map(|n| Sensor {
                name: format!("液位 {n}"),
                watches: (n % 3 == 0).then(|| ObjectId(format!("井/{n}"))),
                place: (n % 7 != 0).then(|| DVec3::new(4.05e7 + f64::from(n) * 13.7, 4e6 - f64::from(n), 2.5)),
                unit: ["m", "bar", ""][n as usize % 3].into(),
                threshold: (n % 5 == 0).then_some(Threshold { high: Some(f64::from(n % 2)), ..Threshold::default() }),
                ..test_sensor(&format!("s/{n}"), &format!("t/{}", n / 2))
            })
            .collect();
        sensors[5].place = Some(DVec3::new(-4.05e7, 1e3, 0.0));
        sensors[8].place = Some(DVec3::new(f64::NAN, 0.0, 0.0));
        sensors[9].id = sensors[4].id.clone();
        let register = Sensors::new(sensors.clone());
        assert_eq!(register.len(), sensors.len());
        assert!(register.kinds.len() < 40, "{}", register.kinds.len());
        for (index, (found, wanted)) in register.iter().zip(&sensors).enumerate() {
            let near = |a: Option<DVec3>, b: Option<DVec3>| match (a, b) {
                (Some(a), Some(b)) => a.distance(b) < 1e-4,
                (a, b) => a.is_none() && b.is_none_or(|b| !b.is_finite()),
            };
            assert!(near(found.place, wanted.place), "{index}: {:?} {:?}", found.place, wanted.place);
            assert_eq!(Sensor { place: None, ..found }, Sensor { place: None, ..wanted.clone() });
            let first = if index == 9 { 4 } else { index };
            assert_eq!(register.find(wanted.id.as_str()), Some(first as u32));
            assert_eq!(register.id(index as u32).as_ref(), Some(&wanted.id));
        }
        assert_eq!(register.on_topic("t/7").collect::<Vec<_>>(), [14, 15]);
        assert_eq!((register.find("s/3000"), register.find(""), register.get(3000)), (None, None, None));
        assert_eq!(register.on_topic("t/9999").count(), 0);
        let mut topics = Vec::new();
        register.each_topic(&mut |topic| topics.push(topic.to_owned()));
        topics.sort();
        topics.dedup();
        assert_eq!(topics.len(), 1500);
        let none = Sensors::new(Vec::new());
        assert_eq!((none.len(), none.find("s/1"), none.get(0)), (0, None, None));
    }

    #[test]
    fn many_on_one_topic_keep_their_order() {
        let register = Sensors::new((0..500).map(|n| test_sensor(&format!("s/{n}"), "one")));
        assert_eq!(register.on_topic("one").collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    }
}
