//! What a sensor said, and how far it is to be trusted.

use serde::{Deserialize, Serialize};

/// How far a latest value is to be trusted. A late, missing or absurd reading is a value, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// In range and on time.
    Good,
    /// Older than twice the sensor's interval.
    Late,
    /// Older than five times the sensor's interval.
    Stale,
    /// Outside the sensor's range.
    OutOfRange,
    /// Nothing was ever received.
    Missing,
}

/// One observation of one sensor (读数).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Dense index of the sensor in the live state.
    pub sensor: u32,
    /// When it was measured, milliseconds since 1970-01-01 UTC.
    pub time_ms: i64,
    /// The value in the sensor's unit.
    pub value: f64,
}
