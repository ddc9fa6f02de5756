//! From the bytes of a message to a value and a time.

use serde_json::Value as Json;

use super::{binary, senml};
use crate::model::Payload;

/// The largest payload that is looked at.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// A time further than this after its arrival is not believed.
pub const MAX_AHEAD_MS: i64 = 5 * 60 * 1000;

/// 2000-01-01: no device of a city measured before.
const EARLIEST_MS: i64 = 946_684_800_000;

/// Numbers beyond this are no readings of anything in a city.
const HUGE: f64 = 1e15;

/// Keys under which values stand in common messages, tried in this order when the pointer finds nothing.
const VALUE_KEYS: [&str; 8] = ["value", "v", "val", "result", "reading", "data", "数值", "值"];

/// Keys under which times stand in common messages.
const TIME_KEYS: [&str; 11] = [
    "time",
    "t",
    "ts",
    "timestamp",
    "phenomenonTime",
    "resultTime",
    "datetime",
    "date",
    "dateObserved",
    "时间",
    "采集时间",
];

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoded {
    /// The value.
    pub value: f64,
    /// When it was measured, milliseconds since 1970.
    pub time_ms: i64,
    /// Where that time comes from.
    pub clock: Clock,
}

/// Whose clock a reading's time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The message's own.
    Device,
    /// The message has none: the time of arrival.
    Arrival,
    /// The message's own is unreadable, before 2000 or more than [`MAX_AHEAD_MS`] ahead: the time of arrival instead.
    Mistrusted,
}

/// Why a message gives no reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Too long to be looked at.
    #[error("{0} bytes are more than a reading has")]
    TooLong(usize),
    /// Neither UTF-8 nor a number.
    #[error("not a number: {0}")]
    NotANumber(String),
    /// Not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON without a value at the pointer.
    #[error("nothing at {0}")]
    NothingAt(String),
    /// Not the protocol buffers of Sparkplug B.
    #[error("not Sparkplug B: {0}")]
    NotSparkplug(String),
    /// NaN, infinite or beyond 10^15.
    #[error("{0} is no reading")]
    Absurd(String),
}

/// Reads a message that arrived at `received_ms`.
///
/// `Plain` is a number as text, blanks around it and a unit after it allowed, with an optional time before or after
/// a comma or blank left to JSON. `Json` looks at its pointers first; where the pointer finds nothing it looks for
/// the usual keys (`value`, `v`, `result`, …), also inside an NGSI or SensorThings wrapper. A plain sensor that sends
/// JSON, and a JSON sensor that sends a bare number, are understood as well. The others are what they say.
pub fn decode(payload: &Payload, bytes: &[u8], received_ms: i64) -> Result<Decoded, PayloadError> {
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(PayloadError::TooLong(bytes.len()));
    }
    match payload {
        Payload::Binary(layout) => {
            let (value, time) = binary::decode(layout, bytes)?;
            return decoded(value, time.map(Json::from).as_ref(), received_ms, &value.to_string());
        }
        Payload::SenMl { name } => {
            let mut records = senml::decode(bytes, received_ms)?.into_iter().rev();
            let named = records.find(|(known, _)| name.as_ref().is_none_or(|name| name == known));
            return named
                .map_or_else(|| Err(PayloadError::NothingAt(name.clone().unwrap_or_default())), |(_, one)| one);
        }
        // A message of many metrics is read once for all of its sensors, see `sparkplug`.
        Payload::Sparkplug { metric } => return Err(PayloadError::NothingAt(metric.clone())),
        Payload::Plain | Payload::Json { .. } => {}
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PayloadError::NotANumber(head(bytes)))?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
    if let Some(value) = number(text) {
        return decoded(value, None, received_ms, text);
    }
    let is_json = text.starts_with(['{', '[', '"']);
    match payload {
        Payload::Plain if !is_json => match leading_number(text) {
            Some(value) => decoded(value, None, received_ms, text),
            None => Err(PayloadError::NotANumber(head(bytes))),
        },
        Payload::Plain => from_json(text, "/value", None, received_ms),
        Payload::Json { value, time } => from_json(text, value, time.as_deref(), received_ms),
        Payload::Binary(_) | Payload::SenMl { .. } | Payload::Sparkplug { .. } => {
            Err(PayloadError::NotANumber(head(bytes)))
        }
    }
}

/// A reading of which value and time are known by name; without a time it is of its arrival at `received_ms`.
pub fn reading(value: &Json, time: Option<&Json>, received_ms: i64) -> Result<Decoded, PayloadError> {
    let text = value.to_string();
    let number = json_number(value).ok_or_else(|| PayloadError::NotANumber(head(text.as_bytes())))?;
    decoded(number, time, received_ms, &text)
}

fn from_json(text: &str, at: &str, time_at: Option<&str>, received_ms: i64) -> Result<Decoded, PayloadError> {
    let json: Json = serde_json::from_str(text).map_err(|e| PayloadError::NotJson(e.to_string()))?;
    // One message may carry a row of observations; the last is the newest.
    let json = match json {
        Json::Array(mut rows) if !at.starts_with("/0") => rows.pop().unwrap_or(Json::Null),
        other => other,
    };
    let value = json
        .pointer(at)
        .and_then(json_number)
        .or_else(|| VALUE_KEYS.iter().find_map(|key| json.get(key).and_then(json_number)))
        .ok_or_else(|| PayloadError::NothingAt(at.to_owned()))?;
    let time = match time_at {
        Some(at) => json.pointer(at),
        None => TIME_KEYS.iter().find_map(|key| json.get(key)),
    };
    decoded(value, time, received_ms, text)
}

/// A number, a number as text, or one wrapped as `{"value": …}`; booleans count as 0 and 1, as switches send them.
fn json_number(json: &Json) -> Option<f64> {
    match json {
        Json::Number(n) => n.as_f64(),
        Json::String(text) => number(text.trim()),
        Json::Bool(is_on) => Some(f64::from(u8::from(*is_on))),
        Json::Object(inner) => match inner.get("value")? {
            Json::Object(_) | Json::Array(_) => None,
            simple => json_number(simple),
        },
        _ => None,
    }
}

fn decoded(value: f64, time: Option<&Json>, received_ms: i64, text: &str) -> Result<Decoded, PayloadError> {
    if !value.is_finite() || value.abs() > HUGE {
        return Err(PayloadError::Absurd(head(text.as_bytes())));
    }
    let Some(time) = time else {
        return Ok(Decoded { value, time_ms: received_ms, clock: Clock::Arrival });
    };
    match json_time(time) {
        Some(time_ms) if time_ms >= EARLIEST_MS && time_ms <= received_ms.saturating_add(MAX_AHEAD_MS) => {
            Ok(Decoded { value, time_ms, clock: Clock::Device })
        }
        _ => Ok(Decoded { value, time_ms: received_ms, clock: Clock::Mistrusted }),
    }
}

fn json_time(json: &Json) -> Option<i64> {
    match json {
        Json::Number(n) => n.as_f64().and_then(epoch_ms),
        Json::String(text) => text.trim().parse::<f64>().ok().and_then(epoch_ms).or_else(|| parse_time(text, 0)),
        Json::Object(inner) => match inner.get("value").or_else(|| inner.get("@value"))? {
            Json::Object(_) => None,
            simple => json_time(simple),
        },
        _ => None,
    }
}

/// Seconds, milliseconds, micro- or nanoseconds since 1970, told apart by size: every unit covers 1973 to 5138.
fn epoch_ms(number: f64) -> Option<i64> {
    if !number.is_finite() || number <= 0.0 {
        return None;
    }
    let ms = match number {
        n if n < 1e11 => n * 1e3,
        n if n < 1e14 => n,
        n if n < 1e17 => n / 1e3,
        n => n / 1e6,
    };
    (ms < 1e15).then_some(ms as i64)
}

/// The time in a text: RFC 3339, or a date with or without a clock as tables have it
/// (`2024-05-01 08:00:00`, `2024/5/1 8:00`, `2024-05-01T08:00`, `20240501080000`, `2024年5月1日 8:00`).
/// Where the text names no zone, `offset_s` seconds east of UTC are assumed.
pub fn parse_time(text: &str, offset_s: i32) -> Option<i64> {
    let text = text.trim();
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let plain = text.replace(['/', '年', '月'], "-").replace(['日', 'T'], " ").replace("  ", " ");
    let plain = plain.trim();
    let naive = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y%m%d%H%M%S", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M"]
        .iter()
        .find_map(|shape| chrono::NaiveDateTime::parse_from_str(plain, shape).ok())
        .or_else(|| {
            ["%Y-%m-%d", "%d-%m-%Y"]
                .iter()
                .find_map(|shape| chrono::NaiveDate::parse_from_str(plain, shape).ok())
                .and_then(|date| date.and_hms_opt(0, 0, 0))
        })?;
    Some(naive.and_utc().timestamp_millis() - i64::from(offset_s) * 1000)
}

/// A number as people and devices write it; `nan` and `inf` are numbers here so that they are refused by name later.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok()
}

/// The number in front of a unit: `21.5 °C`, `0.35MPa`.
fn leading_number(text: &str) -> Option<f64> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (value, unit) = text.split_at(end);
    let unit = unit.trim();
    // A list, a date or a clock is not a number with a unit.
    if unit.chars().count() > 12 || unit.contains([',', ';', ':', '=', '{', '[']) || unit.contains(char::is_numeric) {
        return None;
    }
    value.parse().ok()
}

fn head(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(48)]);
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    fn json(value: &str, time: Option<&str>) -> Payload {
        Payload::Json { value: value.into(), time: time.map(Into::into) }
    }

    fn value_of(payload: &Payload, text: &str) -> Result<f64, PayloadError> {
        decode(payload, text.as_bytes(), NOW).map(|d| d.value)
    }

    #[test]
    fn plain_numbers_with_blanks_and_units() {
        for (text, value) in [("21.5", 21.5), (" -3e2\r\n", -300.0), ("0.35MPa", 0.35), ("21.5 °C", 21.5), ("+7", 7.0)]
        {
            assert_eq!(value_of(&Payload::Plain, text), Ok(value), "{text}");
        }
        for text in ["", "on", "1,2", "2024-05-01", "12:30", "--", "NULL", "1.2.3"] {
            assert!(matches!(value_of(&Payload::Plain, text), Err(PayloadError::NotANumber(_))), "{text}");
        }
    }

    #[test]
    fn json_at_its_pointer_and_in_common_shapes() {
        assert_eq!(value_of(&json("/a/b", None), r#"{"a":{"b":"4.5"}}"#), Ok(4.5));
        assert_eq!(value_of(&json("/v", None), r#"{"value":4.5}"#), Ok(4.5));
        assert_eq!(value_of(&json("/v", None), "4.5"), Ok(4.5));
        assert_eq!(value_of(&Payload::Plain, r#"{"v":4.5}"#), Ok(4.5));
        let ngsi = r#"{"id":"x","temperature":{"type":"Number","value":12.2}}"#;
        assert_eq!(value_of(&json("/temperature", None), ngsi), Ok(12.2));
        assert_eq!(value_of(&json("/v", None), r#"[{"v":1},{"v":2}]"#), Ok(2.0));
        assert!(matches!(value_of(&json("/v", None), r#"{"w":1}"#), Err(PayloadError::NothingAt(_))));
        assert!(matches!(value_of(&json("/v", None), r#"{"v":1"#), Err(PayloadError::NotJson(_))));
        assert!(matches!(value_of(&json("/v", None), r#"{"v":null}"#), Err(PayloadError::NothingAt(_))));
    }

    #[test]
    fn times_of_devices_and_of_arrival() {
        let at = |text: &str| decode(&json("/v", Some("/t")), text.as_bytes(), NOW).map(|d| (d.time_ms, d.clock));
        assert_eq!(at(r#"{"v":1,"t":1789999999000}"#), Ok((1_789_999_999_000, Clock::Device)));
        assert_eq!(at(r#"{"v":1,"t":1789999999}"#), Ok((1_789_999_999_000, Clock::Device)));
        assert_eq!(at(r#"{"v":1,"t":"2026-09-21T14:13:19Z"}"#), Ok((1_789_999_999_000, Clock::Device)));
        assert_eq!(at(r#"{"v":1}"#), Ok((NOW, Clock::Arrival)));
        for odd in [r#"{"v":1,"t":"yesterday"}"#, r#"{"v":1,"t":12}"#, r#"{"v":1,"t":1e300}"#, r#"{"v":1,"t":-1}"#] {
            assert_eq!(at(odd), Ok((NOW, Clock::Mistrusted)), "{odd}");
        }
        let ahead = format!(r#"{{"v":1,"t":{}}}"#, NOW + MAX_AHEAD_MS + 1);
        assert_eq!(at(&ahead), Ok((NOW, Clock::Mistrusted)));
    }

    #[test]
    fn what_is_no_reading_is_refused() {
        for text in ["NaN", "inf", "-Infinity", "1e300", "1e16"] {
            assert!(matches!(value_of(&Payload::Plain, text), Err(PayloadError::Absurd(_))), "{text}");
        }
        assert!(matches!(value_of(&json("/v", None), r#"{"v":1e400}"#), Err(PayloadError::NotJson(_))));
        assert!(matches!(decode(&Payload::Plain, &[0xff, 0xfe], NOW), Err(PayloadError::NotANumber(_))));
        assert!(matches!(decode(&Payload::Plain, &vec![b'1'; 70_000], NOW), Err(PayloadError::TooLong(70_000))));
        let deep = "[".repeat(60_000);
        assert!(decode(&json("/v", None), deep.as_bytes(), NOW).is_err());
    }

    #[test]
    fn dates_as_tables_have_them() {
        let noon = 1_714_564_800_000;
        for text in
            ["2024-05-01 12:00:00", "2024/5/1 12:00", "2024-05-01T12:00", "20240501120000", "2024年5月1日 12:00"]
        {
            assert_eq!(parse_time(text, 0), Some(noon), "{text}");
        }
        assert_eq!(parse_time("2024-05-01 20:00:00", 8 * 3600), Some(noon));
        assert_eq!(parse_time("2024-05-01T20:00:00+08:00", 0), Some(noon));
        assert_eq!(parse_time("2024-05-01", 0), Some(noon - 12 * 3600 * 1000));
        assert_eq!(parse_time("31-02-2024", 0), None);
    }
}
