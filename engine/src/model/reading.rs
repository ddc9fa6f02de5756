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

impl Quality {
    /// All of them.
    pub const ALL: [Quality; 5] = [Self::Good, Self::Late, Self::Stale, Self::OutOfRange, Self::Missing];

    /// The word used over HTTP.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Late => "late",
            Self::Stale => "stale",
            Self::OutOfRange => "out_of_range",
            Self::Missing => "missing",
        }
    }
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
