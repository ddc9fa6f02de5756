//! A sensing device of the city and what it measures.

use serde::{Deserialize, Serialize};

use super::{Attribute, CityObject, Class, Geometry, ObjectId, Payload, Point, Value, Vertical};

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
    /// Seconds that the reading must stay beyond the limit before the alarm is raised; 0 = at once.
    #[serde(default)]
    pub on_delay_s: f64,
    /// Alarm when the reading rises or falls by more than this in a minute.
    #[serde(default)]
    pub rate_per_min: Option<f64>,
    /// Seconds that the reading must be back within the limit before the alarm has returned; 0 = at once.
    #[serde(default)]
    pub off_delay_s: f64,
}

impl Default for Threshold {
    /// No limit, of the third of four priorities.
    fn default() -> Self {
        Self {
            low: None,
            high: None,
            dead_band: 0.0,
            priority: 3,
            on_delay_s: 0.0,
            rate_per_min: None,
            off_delay_s: 0.0,
        }
    }
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
    /// How z of the place is to be read; `AboveTerrain` where the register had no height.
    #[serde(default = "absolute")]
    pub vertical: Vertical,
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

fn absolute() -> Vertical {
    Vertical::Absolute
}

impl Sensor {
    /// The sensor as an object of the city: class `Sensor`, a point (or no geometry when unplaced), and its
    /// register as attributes under the standard keys `watches`, `property`, `unit`, `range_low`, `range_high`,
    /// `interval_s`, `alarm_low`, `alarm_high`, `alarm_rate_per_min`, `alarm_dead_band`, `alarm_priority`, `alarm_on_delay_s`, `alarm_off_delay_s`, `topic`,
    /// `payload` (`json`, or as [`Payload::parse`] reads it), `payload_value` and `payload_time` (JSON pointers).
    ///
    /// The attributes name no field of a source; an importer that knows it puts it in.
    pub fn to_object(&self) -> CityObject {
        let geometry = match self.place {
            Some(at) => Geometry::Point(Point { at, vertical: self.vertical }),
            None => Geometry::None,
        };
        let mut object = CityObject::new(self.id.clone(), Class::Sensor, geometry);
        object.name = (!self.name.is_empty()).then(|| self.name.clone());
        let mut put = |key: &str, value: Value| {
            object.attributes.push(Attribute { key: key.into(), value, field: "".into(), origin: super::Origin::Read });
        };
        if let Some(watched) = &self.watches {
            put("watches", Value::Text(watched.0.clone()));
        }
        put("property", Value::Text(self.property.clone()));
        put("unit", Value::Text(self.unit.clone()));
        if let Some((low, high)) = self.range {
            put("range_low", Value::Real(low));
            put("range_high", Value::Real(high));
        }
        put("interval_s", Value::Real(self.interval_s));
        if let Some(threshold) = &self.threshold {
            if let Some(low) = threshold.low {
                put("alarm_low", Value::Real(low));
            }
            if let Some(high) = threshold.high {
                put("alarm_high", Value::Real(high));
            }
            put("alarm_dead_band", Value::Real(threshold.dead_band));
            put("alarm_priority", Value::Int(i64::from(threshold.priority)));
            if threshold.on_delay_s > 0.0 {
                put("alarm_on_delay_s", Value::Real(threshold.on_delay_s));
            }
            if let Some(rate) = threshold.rate_per_min {
                put("alarm_rate_per_min", Value::Real(rate));
            }
            if threshold.off_delay_s > 0.0 {
                put("alarm_off_delay_s", Value::Real(threshold.off_delay_s));
            }
        }
        put("topic", Value::Text(self.topic.clone()));
        match &self.payload {
            Payload::Json { value, time } => {
                put("payload", Value::Text("json".into()));
                put("payload_value", Value::Text(value.clone()));
                if let Some(time) = time {
                    put("payload_time", Value::Text(time.clone()));
                }
            }
            other => put("payload", Value::Text(other.to_string())),
        }
        object
    }

    /// The sensor that an object describes; `None` when it is no sensor.
    ///
    /// Attributes that are missing or of the wrong type count as not given: no unit, no range, no alarm,
    /// an interval of a minute, and a topic equal to the id.
    pub fn from_object(object: &CityObject) -> Option<Self> {
        if object.class != Class::Sensor {
            return None;
        }
        let text = |key: &str| object.value(key).map(|v| v.to_string());
        let number = |key: &str| object.value(key).and_then(Value::as_f64).filter(|v| v.is_finite());
        let (low, high) = (number("alarm_low"), number("alarm_high"));
        let rate_per_min = number("alarm_rate_per_min");
        let threshold = (low.is_some() || high.is_some() || rate_per_min.is_some()).then(|| Threshold {
            low,
            high,
            dead_band: number("alarm_dead_band").unwrap_or(0.0),
            priority: number("alarm_priority").map_or(3, |p| p.clamp(1.0, 4.0) as u8),
            on_delay_s: number("alarm_on_delay_s").unwrap_or(0.0),
            rate_per_min,
            off_delay_s: number("alarm_off_delay_s").unwrap_or(0.0),
        });
        let (place, vertical) = match &object.geometry {
            Geometry::Point(point) => (Some(point.at), point.vertical),
            Geometry::Instance(instance) => (Some(instance.at), instance.vertical),
            _ => (None, Vertical::Absolute),
        };
        let payload = match text("payload").as_deref() {
            Some("json") => {
                Payload::Json { value: text("payload_value").unwrap_or_default(), time: text("payload_time") }
            }
            Some(other) => Payload::parse(other).unwrap_or(Payload::Plain),
            None => Payload::Plain,
        };
        Some(Self {
            id: object.id.clone(),
            name: object.name.clone().unwrap_or_default(),
            watches: text("watches").map(ObjectId),
            property: text("property").unwrap_or_default(),
            unit: text("unit").unwrap_or_default(),
            place,
            vertical,
            range: number("range_low").zip(number("range_high")),
            interval_s: number("interval_s").filter(|s| *s > 0.0).unwrap_or(60.0),
            threshold,
            topic: text("topic").unwrap_or_else(|| object.id.0.clone()),
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gas() -> Sensor {
        Sensor {
            id: ObjectId::new("sensors", "G-01"),
            name: "燃气井 1".into(),
            watches: Some(ObjectId::new("gas", "17")),
            property: "methane".into(),
            unit: "%LEL".into(),
            place: Some(glam::DVec3::new(534_467.0, 3_993_055.0, 12.0)),
            vertical: Vertical::Absolute,
            range: Some((0.0, 100.0)),
            interval_s: 30.0,
            threshold: Some(Threshold {
                high: Some(20.0),
                dead_band: 1.0,
                priority: 1,
                on_delay_s: 5.0,
                rate_per_min: Some(2.5),
                off_delay_s: 30.0,
                ..Threshold::default()
            }),
            topic: "gas/G-01".into(),
            payload: Payload::Json { value: "/v".into(), time: Some("/t".into()) },
        }
    }

    #[test]
    fn payloads_of_every_kind_survive_being_attributes() {
        for text in ["plain", "json:/v", "senml:x", "sparkplug:Inputs/P", "binary:i16le@2*0.1-40;u32be@4"] {
            let sensor = Sensor { payload: Payload::parse(text).expect(text), ..gas() };
            assert_eq!(Sensor::from_object(&sensor.to_object()), Some(sensor), "{text}");
        }
    }

    #[test]
    fn a_sensor_survives_being_an_object() {
        let sensor = gas();
        assert_eq!(Sensor::from_object(&sensor.to_object()), Some(sensor.clone()));
        let unplaced =
            Sensor { place: None, threshold: None, range: None, watches: None, payload: Payload::Plain, ..sensor };
        let object = unplaced.to_object();
        assert_eq!(object.geometry, Geometry::None);
        assert_eq!(Sensor::from_object(&object), Some(unplaced));
    }

    #[test]
    fn an_object_of_another_class_is_no_sensor_and_a_bare_one_has_defaults() {
        let tree = CityObject::new(ObjectId::new("t", 1), Class::Tree, Geometry::None);
        assert_eq!(Sensor::from_object(&tree), None);
        let bare = CityObject::new(ObjectId::new("s", 1), Class::Sensor, Geometry::None);
        let sensor = Sensor::from_object(&bare).unwrap();
        assert_eq!((sensor.interval_s, sensor.topic.as_str(), sensor.threshold), (60.0, "s/1", None));
    }
}
