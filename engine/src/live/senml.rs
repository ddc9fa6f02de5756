//! SenML packs (RFC 8428): several readings of several sensors in one JSON array.

use serde::Deserialize;
use serde_json::Value as Json;

use super::payload::{Decoded, MAX_PAYLOAD_BYTES, PayloadError, reading};

/// Times below this are relative to the arrival (RFC 8428, 4.5.3), seconds.
const ABSOLUTE_FROM_S: f64 = 268_435_456.0;
/// Most records of a pack.
const MOST_RECORDS: usize = 100_000;

/// A record. Members that are not known here may be left out, but for those that end in `_`, which must be understood (4.4).
#[derive(Deserialize)]
struct Record {
    bn: Option<String>,
    bt: Option<f64>,
    bv: Option<f64>,
    bver: Option<f64>,
    n: Option<String>,
    t: Option<f64>,
    v: Option<f64>,
    vb: Option<bool>,
    #[serde(flatten)]
    others: std::collections::BTreeMap<String, Json>,
}

/// The readings of a pack that arrived at `received_ms`, each with the name that it is resolved to: base name and name. Texts (`vs`), data (`vd`)
/// and sums alone are no readings and are left out with their reason.
pub fn decode(bytes: &[u8], received_ms: i64) -> Result<Vec<(String, Result<Decoded, PayloadError>)>, PayloadError> {
    if bytes.len() > 64 * MAX_PAYLOAD_BYTES {
        return Err(PayloadError::TooLong(bytes.len()));
    }
    let records: Vec<Record> = serde_json::from_slice(bytes).map_err(|e| PayloadError::NotJson(e.to_string()))?;
    if records.len() > MOST_RECORDS {
        return Err(PayloadError::TooLong(bytes.len()));
    }
    let (mut base_name, mut base_time, mut base_value) = (String::new(), 0.0, 0.0);
    let mut readings = Vec::with_capacity(records.len());
    for record in records {
        if let Some(name) = record.bn {
            base_name = name;
        }
        base_time = record.bt.unwrap_or(base_time);
        base_value = record.bv.unwrap_or(base_value);
        let name = format!("{base_name}{}", record.n.as_deref().unwrap_or_default());
        let is_foreign = record.bver.is_some_and(|version| version > 10.0);
        if is_foreign || record.others.keys().any(|key| key.ends_with('_')) {
            readings.push((name, Err(PayloadError::NothingAt("a member that must be understood".into()))));
            continue;
        }
        let value = match (record.v, record.vb) {
            (Some(value), _) => Some(Json::from(base_value + value)),
            (None, Some(is_on)) => Some(Json::from(is_on)),
            // A record may hold base members alone.
            (None, None) if record.n.is_none() && record.others.is_empty() => continue,
            (None, None) => None,
        };
        let seconds = base_time + record.t.unwrap_or(0.0);
        let time = match seconds {
            0.0 => None,
            seconds if seconds < ABSOLUTE_FROM_S => Some(received_ms as f64 / 1e3 + seconds),
            seconds => Some(seconds),
        };
        let time = time.map(Json::from);
        let decoded = match value {
            Some(value) => reading(&value, time.as_ref(), received_ms),
            None => Err(PayloadError::NothingAt("v".into())),
        };
        readings.push((name, decoded));
    }
    Ok(readings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::payload::Clock;

    const NOW: i64 = 1_790_000_000_000;

    fn all(text: &str) -> Vec<(String, Option<(f64, i64)>)> {
        let readings = decode(text.as_bytes(), NOW).unwrap();
        readings.into_iter().map(|(name, one)| (name, one.ok().map(|one| (one.value, one.time_ms)))).collect()
    }

    /// The shapes of the examples of RFC 8428, 5.1.
    #[test]
    fn base_members_hold_until_others_come() {
        let text = r#"[{"bn":"urn:dev:ow:10e2073a01080063:","bt":1789999000.5,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
            {"n":"current","t":-5,"v":1.2},{"n":"current","v":1.7},{"bn":"b/","bv":20,"n":"t","v":1.5}]"#;
        let first = "urn:dev:ow:10e2073a01080063:";
        assert_eq!(
            all(text),
            vec![
                (format!("{first}voltage"), Some((120.1, 1_789_999_000_500))),
                (format!("{first}current"), Some((1.2, 1_789_998_995_500))),
                (format!("{first}current"), Some((1.7, 1_789_999_000_500))),
                ("b/t".into(), Some((21.5, 1_789_999_000_500))),
            ]
        );
    }

    #[test]
    fn times_may_be_relative_or_absent() {
        assert_eq!(all(r#"[{"n":"a","v":1,"t":-30}]"#), vec![("a".into(), Some((1.0, NOW - 30_000)))]);
        assert_eq!(all(r#"[{"n":"a","vb":true}]"#), vec![("a".into(), Some((1.0, NOW)))]);
        let ahead = decode(br#"[{"n":"a","v":1,"t":1900000000}]"#, NOW).unwrap();
        assert_eq!(ahead[0].1.as_ref().unwrap().clock, Clock::Mistrusted);
    }

    #[test]
    fn what_is_no_reading_is_named() {
        assert_eq!(
            all(r#"[{"bn":"x/"},{"n":"label","vs":"open"},{"n":"odd","v":1,"must_":2},{"n":"ok","v":3}]"#),
            vec![("x/label".into(), None), ("x/odd".into(), None), ("x/ok".into(), Some((3.0, NOW))),]
        );
        for bad in ["", "{}", "[1]", r#"[{"n":3}]"#, "[{\"n\":\"a\",\"v\":\"1\"}]"] {
            assert!(decode(bad.as_bytes(), NOW).is_err(), "{bad}");
        }
        assert!(decode(&vec![b'['; 100_000], NOW).is_err());
    }
}
