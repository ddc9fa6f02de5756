//! A sensing device of the city and what it measures.

use serde::{Deserialize, Serialize};

use super::ObjectId;

/// A limit that raises an alarm while the reading is beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Alarm below this value.
    pub low: Option<f64>,
    /// Alarm above this value.
    pub high: Option<f64>,
    /// The reading must come back by this much before the alarm ends.
    pub dead_band: f64,
    /// 1 = highest of four (ISA-18.2 high), 2 medium, 3 low.
    pub priority: u8,
}

/// How a payload becomes a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// The payload is the number as text.
    Plain,
    /// The payload is JSON; the number stands at this pointer (RFC 6901), the time at the other if given.
    Json {
        /// Pointer to the value, such as `/v`.
        value: String,
        /// Pointer to the time (RFC 3339 text or milliseconds since 1970).
        time: Option<String>,
    },
}

/// A sensor (感知终端): a Datastream of SensorThings. Sensors are objects of the city.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Stable identifier; the same as its `CityObject`'s.
    pub id: ObjectId,
    /// Name as people call it.
    pub name: String,
    /// Object it watches, where known.
    pub watches: Option<ObjectId>,
    /// Observed property, such as `water_level`.
    pub property: String,
    /// Unit of the readings (UCUM or as delivered), such as `m` or `%LEL`.
    pub unit: String,
    /// Place in the city's frame; `None` = unplaced: listed, not drawn.
    pub place: Option<glam::DVec3>,
    /// Readings outside are of quality `OutOfRange`.
    pub range: Option<(f64, f64)>,
    /// Expected seconds between readings; older than twice this is late, than five times is stale.
    pub interval_s: f64,
    /// When to raise an alarm.
    pub threshold: Option<Threshold>,
    /// MQTT topic it publishes on.
    pub topic: String,
    /// How its payload is read.
    pub payload: Payload,
}
