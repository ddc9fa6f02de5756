//! The city kept alive: from the bytes of a message to the latest value, its quality and its alarm.
//!
//! ```text
//! message ─► payload::decode ─► Reading ─► LiveState ─► alarm ─► Changes
//! ```
//!
//! [`LiveState`] is the one place that holds the latest values; protocols feed it, displays read it.

mod alarm;
mod binary;
mod change;
mod counter;
mod door;
mod handout;
mod journal;
mod listener;
mod log;
#[cfg(test)]
mod mqtt_test;
pub(crate) mod observation;
pub mod payload;
mod replay;
mod segment;
pub mod senml;
mod sparkplug;
mod state;
mod subscriber;
mod topic;
mod watcher;
mod worker;

pub use alarm::{
    Alarm, AlarmError, AlarmState, Cause, Delays, Limit, MAX_SHELF_MS, Machine, Step, Subject, Transition, passed_limit,
};
pub use change::{Change, Changes};
pub use counter::{Counter, Counters, Problem};
pub use door::Door;
pub use listener::{Listener, listen};
pub use log::{Log, Receipt, Recovery, replay, restore};
pub use replay::{Pace, Player, Recording, play};
pub use segment::{AlarmRecord, LogError, Logged, Scan};
pub use state::{Applied, Latest, LiveState, Snapshot, SourceId, Trend};
pub use subscriber::{Broker, Subscriber, subscribe};
pub use watcher::{Watcher, watch};
pub use worker::{Keeper, LiveError};

/// This machine's clock, milliseconds since 1970 UTC.
pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

#[cfg(test)]
pub(crate) fn test_sensor(id: &str, topic: &str) -> crate::model::Sensor {
    crate::model::Sensor {
        id: crate::model::ObjectId(id.into()),
        name: id.into(),
        watches: None,
        property: "level".into(),
        unit: "m".into(),
        place: None,
        vertical: crate::model::Vertical::Absolute,
        range: Some((0.0, 100.0)),
        interval_s: 10.0,
        threshold: None,
        topic: topic.into(),
        payload: crate::model::Payload::Plain,
    }
}
