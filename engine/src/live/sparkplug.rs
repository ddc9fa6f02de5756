//! Eclipse Sparkplug B 3.0: metrics of edge nodes and their devices, as protocol buffers.
//!
//! A birth names the metrics, with their types and numbers (aliases); data may name them by number alone. A sensor's topic is that of
//! the data of its node or device, `spBv1.0/GROUP/DDATA/NODE/DEVICE`, and births on the topic beside it count as data too.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use prost::Message;

use super::{
    payload::{self, Decoded, MAX_PAYLOAD_BYTES, PayloadError},
    state::lock,
};
use crate::model::{Payload, Sensors};

const ROOT: &str = "spBv1.0/";
/// Metrics that the births of one node name.
const MOST_METRICS: usize = 100_000;

#[derive(Clone, PartialEq, Message)]
struct Pack {
    #[prost(uint64, optional, tag = "1")]
    timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    datatype: Option<u32>,
    #[prost(bool, optional, tag = "7")]
    is_null: Option<bool>,
    #[prost(uint32, optional, tag = "10")]
    int_value: Option<u32>,
    #[prost(uint64, optional, tag = "11")]
    long_value: Option<u64>,
    #[prost(float, optional, tag = "12")]
    float_value: Option<f32>,
    #[prost(double, optional, tag = "13")]
    double_value: Option<f64>,
    #[prost(bool, optional, tag = "14")]
    boolean_value: Option<bool>,
    #[prost(string, optional, tag = "15")]
    string_value: Option<String>,
}

/// What the births of one node said.
#[derive(Default)]
struct Births {
    name_of: HashMap<u64, String>,
    /// By topic of the data, a blank, and name.
    type_of: HashMap<String, u32>,
}

/// What births said, of nodes that the register knows.
pub(super) struct Nodes(HashMap<String, Mutex<Births>>);

/// The topic of the data that a topic of a birth or of data belongs to; nothing for other topics.
pub(super) fn data_topic(topic: &str) -> Option<String> {
    let mut levels: Vec<&str> = topic.strip_prefix(ROOT)?.split('/').collect();
    let kind = levels.get_mut(1)?;
    *kind = match *kind {
        "NBIRTH" | "NDATA" => "NDATA",
        "DBIRTH" | "DDATA" => "DDATA",
        _ => return None,
    };
    matches!(levels.len(), 3 | 4).then(|| format!("{ROOT}{}", levels.join("/")))
}

fn is_birth(topic: &str) -> bool {
    topic.split('/').nth(2).is_some_and(|kind| kind.ends_with("BIRTH"))
}

/// Group and node of a topic.
fn node(topic: &str) -> Option<String> {
    let mut levels = topic.strip_prefix(ROOT)?.split('/');
    let group = levels.next()?;
    Some(format!("{group}/{}", levels.nth(1)?))
}

/// The metrics of a message by name: value and time, or why there is none.
pub(super) type Metrics = HashMap<String, Result<Decoded, PayloadError>>;

impl Nodes {
    /// The nodes of these sensors.
    pub fn of(sensors: &Sensors) -> Self {
        let mut topics = Vec::new();
        for index in 0..sensors.len() as u32 {
            if sensors.kind(index).is_some_and(|kind| matches!(kind.payload, Payload::Sparkplug { .. })) {
                topics.extend(sensors.get(index).map(|sensor| sensor.topic));
            }
        }
        Self::new(topics.iter().map(String::as_str))
    }

    /// The nodes of these topics.
    fn new<'t>(topics: impl Iterator<Item = &'t str>) -> Self {
        let nodes: HashSet<String> = topics.filter_map(node).collect();
        Self(nodes.into_iter().map(|node| (node, Mutex::default())).collect())
    }

    /// Reads a message that arrived at `received_ms`; of a metric that comes more than once the last stays.
    pub fn decode(&self, topic: &str, bytes: &[u8], received_ms: i64) -> Result<Metrics, PayloadError> {
        if bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(PayloadError::TooLong(bytes.len()));
        }
        let pack = Pack::decode(bytes).map_err(|e| PayloadError::NotSparkplug(e.to_string()))?;
        let births = node(topic).and_then(|node| self.0.get(&node));
        let unknown = || PayloadError::NothingAt("a node of the register".into());
        let mut births = lock(births.ok_or_else(unknown)?);
        let data = data_topic(topic).unwrap_or_default();
        let mut metrics = Metrics::new();
        for metric in pack.metrics {
            let name = match (&metric.name, metric.alias) {
                (Some(name), _) if !name.is_empty() => name.clone(),
                (_, Some(alias)) => match births.name_of.get(&alias) {
                    Some(name) => name.clone(),
                    // Its birth was not heard.
                    None => continue,
                },
                _ => continue,
            };
            let key = format!("{data} {name}");
            if is_birth(topic) && births.type_of.len() < MOST_METRICS && births.name_of.len() < MOST_METRICS {
                births.name_of.extend(metric.alias.map(|alias| (alias, name.clone())));
                births.type_of.extend(metric.datatype.map(|kind| (key.clone(), kind)));
            }
            let kind = metric.datatype.or_else(|| births.type_of.get(&key).copied());
            let time = metric.timestamp.or(pack.timestamp).map(serde_json::Value::from);
            let decoded = match value(&metric, kind) {
                Some(value) => payload::reading(&value, time.as_ref(), received_ms),
                None => Err(PayloadError::NothingAt(format!("the value of {name:.60}"))),
            };
            metrics.insert(name, decoded);
        }
        Ok(metrics)
    }
}

/// The message of data in which a metric has this value.
pub(super) fn encode(metric: &str, value: f64, time_ms: i64) -> Vec<u8> {
    let metric =
        Metric { name: Some(metric.to_owned()), double_value: Some(value), datatype: Some(10), ..Metric::default() };
    Pack { timestamp: u64::try_from(time_ms).ok(), metrics: vec![metric] }.encode_to_vec()
}

/// The value as a number, a boolean or a text. Small integers with a sign stand in 32 bits without one.
fn value(metric: &Metric, kind: Option<u32>) -> Option<serde_json::Value> {
    if metric.is_null == Some(true) {
        return None;
    }
    if let Some(bits) = metric.int_value {
        return Some(match kind {
            Some(1) => (bits as u8).cast_signed().into(),
            Some(2) => (bits as u16).cast_signed().into(),
            Some(3) => bits.cast_signed().into(),
            _ => bits.into(),
        });
    }
    if let Some(bits) = metric.long_value {
        return Some(if kind == Some(4) { bits.cast_signed().into() } else { bits.into() });
    }
    let float = metric.float_value.map(f64::from).or(metric.double_value);
    let others = || metric.boolean_value.map(Into::into).or_else(|| metric.string_value.clone().map(Into::into));
    float.map_or_else(others, |number| Some(number.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000;
    const BIRTH: &str = "spBv1.0/plant/DBIRTH/edge 1/pump";
    const DATA: &str = "spBv1.0/plant/DDATA/edge 1/pump";

    fn metric(name: Option<&str>, alias: Option<u64>) -> Metric {
        Metric { name: name.map(str::to_owned), alias, ..Metric::default() }
    }

    fn pack(metrics: Vec<Metric>) -> Vec<u8> {
        Pack { timestamp: Some(NOW as u64 - 5_000), metrics }.encode_to_vec()
    }

    fn values(nodes: &Nodes, topic: &str, bytes: &[u8]) -> Vec<(String, Option<f64>)> {
        let metrics = nodes.decode(topic, bytes, NOW).unwrap();
        let mut values: Vec<_> = metrics.into_iter().map(|(name, one)| (name, one.ok().map(|one| one.value))).collect();
        values.sort_by(|a, b| a.0.cmp(&b.0));
        values
    }

    #[test]
    fn data_are_named_by_their_birth() {
        let nodes = Nodes::new([DATA].into_iter());
        let named = |name: &str, alias, kind, bits| Metric {
            datatype: Some(kind),
            int_value: Some(bits),
            ..metric(Some(name), Some(alias))
        };
        let by_number = pack(vec![Metric { int_value: Some(0xFFFF_FFF6), ..metric(None, Some(1)) }]);
        assert_eq!(values(&nodes, DATA, &by_number), [], "no birth was heard");
        let birth = pack(vec![named("level", 1, 3, 5), named("small", 2, 1, 0xFE), named("count", 3, 7, 0xFFFF_FFFF)]);
        let wanted =
            [("count".into(), Some(4_294_967_295.0)), ("level".into(), Some(5.0)), ("small".into(), Some(-2.0))];
        assert_eq!(values(&nodes, BIRTH, &birth), wanted);
        assert_eq!(values(&nodes, DATA, &by_number), [("level".into(), Some(-10.0))]);
        let others = pack(vec![
            Metric { float_value: Some(1.5), ..metric(Some("f"), None) },
            Metric { double_value: Some(f64::NAN), ..metric(Some("nan"), None) },
            Metric { boolean_value: Some(true), ..metric(Some("on"), None) },
            Metric { long_value: Some(u64::MAX), datatype: Some(4), ..metric(Some("long"), None) },
            Metric { is_null: Some(true), ..metric(Some("null"), None) },
            Metric {
                timestamp: Some(NOW as u64 - 1_000),
                string_value: Some("2.5".into()),
                ..metric(Some("text"), None)
            },
        ]);
        let wanted = [
            ("f", Some(1.5)),
            ("long", Some(-1.0)),
            ("nan", None),
            ("null", None),
            ("on", Some(1.0)),
            ("text", Some(2.5)),
        ];
        assert_eq!(values(&nodes, DATA, &others), wanted.map(|(name, value)| (name.to_owned(), value)));
        let times = nodes.decode(DATA, &others, NOW).unwrap();
        assert_eq!(["f", "text"].map(|name| times[name].as_ref().unwrap().time_ms), [NOW - 5_000, NOW - 1_000]);
    }

    #[test]
    fn topics_and_messages_that_are_none_are_refused() {
        assert_eq!(data_topic(BIRTH).as_deref(), Some(DATA));
        assert_eq!(data_topic("spBv1.0/g/NBIRTH/n").as_deref(), Some("spBv1.0/g/NDATA/n"));
        for none in
            ["spBv1.0/g/DDEATH/n/d", "spBv1.0/g/NDATA", "spBv1.0/STATE/host", "other/DDATA/n", "spBv1.0/g/DDATA/n/d/e"]
        {
            assert_eq!(data_topic(none), None, "{none}");
        }
        let nodes = Nodes::new([DATA].into_iter());
        assert!(matches!(nodes.decode(DATA, b"\x12\xff\xff\xff\xff\x0f", NOW), Err(PayloadError::NotSparkplug(_))));
        assert!(nodes.decode("spBv1.0/other/DDATA/n/d", &pack(Vec::new()), NOW).is_err());
        assert!(matches!(nodes.decode(DATA, &[0; MAX_PAYLOAD_BYTES + 1], NOW), Err(PayloadError::TooLong(_))));
    }
}
