//! Segments of the readings log: what stands in the files.
//!
//! ```text
//! segment = magic "GLREADS1"  record*
//! record  = length u32  crc32c(body) u32  body            little-endian
//! body    = 1  sensor u32  id (UTF-8)                     names a sensor for the rest of the segment
//!         | 2  sensor u32  time i64  received i64  value f64
//!         | 3  alarm record (JSON)
//! ```
//!
//! Sensor numbers mean nothing outside their segment, so a register that changes its order harms nothing.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Cause, Limit};
use crate::model::ObjectId;

pub(super) const MAGIC: &[u8; 8] = b"GLREADS1";

/// The longest body that is believed.
const MAX_BODY: usize = 64 * 1024;

/// Bytes in front of a body.
const HEAD: usize = 8;

/// Why the log could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The disk said no.
    #[error("{path}: {reason}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// A file in the folder is no segment of this format version.
    #[error("{path} is not a readings log of this version")]
    NotALog {
        /// File.
        path: PathBuf,
    },
    /// The log was closed, or could not write and has not recovered yet.
    #[error("the readings log is not writing: {0}")]
    Stopped(String),
    /// Another process writes this log.
    #[error("{path} is being written by another process")]
    Locked {
        /// Folder.
        path: PathBuf,
    },
}

impl LogError {
    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        LogError::Io { path: path.into(), reason: error.to_string() }
    }
}

/// An entry of the log as it is replayed.
#[derive(Clone, Debug, PartialEq)]
pub enum Logged {
    /// A reading.
    Reading {
        /// The sensor.
        sensor: ObjectId,
        /// When it was measured, milliseconds since 1970.
        time_ms: i64,
        /// When it arrived, milliseconds since 1970.
        received_ms: i64,
        /// The value.
        value: f64,
    },
    /// A change of an alarm.
    Alarm(AlarmRecord),
}

/// A change of an alarm as it stands in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmRecord {
    /// The sensor it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<ObjectId>,
    /// The source it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// State after it.
    pub to: super::AlarmState,
    /// Limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// What made it change.
    pub cause: Cause,
    /// The reading at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
}

/// What reading one segment found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Records that were whole.
    pub records: u64,
    /// Records in the middle that were damaged and left out.
    pub damaged: u64,
    /// Bytes up to the end of the last whole record.
    pub good_bytes: u64,
    /// Bytes after it that are no whole record: a torn tail.
    pub torn_bytes: u64,
}

pub(super) fn put_name(out: &mut Vec<u8>, sensor: u32, id: &str) {
    put(out, |body| {
        body.push(1);
        body.extend(sensor.to_le_bytes());
        // An id of absurd length must not make a record that is refused on reading.
        let mut end = id.len().min(MAX_BODY - 5);
        while !id.is_char_boundary(end) {
            end -= 1;
        }
        body.extend(&id.as_bytes()[..end]);
    });
}

pub(super) fn put_reading(out: &mut Vec<u8>, sensor: u32, time_ms: i64, received_ms: i64, value: f64) {
    put(out, |body| {
        body.push(2);
        body.extend(sensor.to_le_bytes());
        body.extend(time_ms.to_le_bytes());
        body.extend(received_ms.to_le_bytes());
        body.extend(value.to_le_bytes());
    });
}

pub(super) fn put_alarm(out: &mut Vec<u8>, record: &AlarmRecord) {
    if let Ok(json) = serde_json::to_vec(record)
        && json.len() < MAX_BODY
    {
        put(out, |body| {
            body.push(3);
            body.extend(json);
        });
    }
}

fn put(out: &mut Vec<u8>, write_body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; HEAD]);
    write_body(out);
    let body = &out[start + HEAD..];
    let (length, crc) = (body.len() as u32, crc32c::crc32c(body));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEAD].copy_from_slice(&crc.to_le_bytes());
}

/// Reads a segment in order. Memory is one record, whatever the file says.
///
/// A record whose checksum is wrong but whose successor is whole was damaged and is left out; everything after the
/// last whole record is a torn tail.
pub(super) fn scan(path: &Path, take: &mut dyn FnMut(Logged) -> ControlFlow<()>) -> Result<Scan, LogError> {
    let file = File::open(path).map_err(|e| LogError::io(path, &e))?;
    let size = file.metadata().map_err(|e| LogError::io(path, &e))?.len();
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut found = Scan::default();
    let mut magic = [0; MAGIC.len()];
    if fill(&mut reader, &mut magic).map_err(|e| LogError::io(path, &e))? < magic.len() {
        // Killed before the first write was whole.
        found.torn_bytes = size;
        return Ok(found);
    }
    if &magic != MAGIC {
        return Err(LogError::NotALog { path: path.into() });
    }
    found.good_bytes = magic.len() as u64;
    let mut at = found.good_bytes;
    let mut suspects = 0;
    let mut names: HashMap<u32, ObjectId> = HashMap::new();
    let mut body = Vec::new();
    loop {
        let mut head = [0; HEAD];
        if fill(&mut reader, &mut head).map_err(|e| LogError::io(path, &e))? < HEAD {
            break;
        }
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let crc = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if length == 0 || length > MAX_BODY {
            break;
        }
        body.resize(length, 0);
        if fill(&mut reader, &mut body).map_err(|e| LogError::io(path, &e))? < length {
            break;
        }
        at += (HEAD + length) as u64;
        if crc32c::crc32c(&body) != crc {
            suspects += 1;
            continue;
        }
        found.damaged += std::mem::take(&mut suspects);
        found.good_bytes = at;
        found.records += 1;
        if let Some(entry) = parse(&body, &mut names)
            && take(entry).is_break()
        {
            return Ok(found);
        }
    }
    found.torn_bytes = size.saturating_sub(found.good_bytes);
    Ok(found)
}

fn parse(body: &[u8], names: &mut HashMap<u32, ObjectId>) -> Option<Logged> {
    let (kind, rest) = body.split_first()?;
    let number = |at: usize| Some(i64::from_le_bytes(rest.get(at..at + 8)?.try_into().ok()?));
    let sensor = || Some(u32::from_le_bytes(rest.get(..4)?.try_into().ok()?));
    match kind {
        1 => {
            let id = std::str::from_utf8(rest.get(4..)?).ok()?;
            names.insert(sensor()?, ObjectId(id.to_owned()));
            None
        }
        2 => Some(Logged::Reading {
            sensor: names.get(&sensor()?)?.clone(),
            time_ms: number(4)?,
            received_ms: number(12)?,
            value: f64::from_le_bytes(rest.get(20..28)?.try_into().ok()?),
        }),
        3 => serde_json::from_slice(rest).ok().map(Logged::Alarm),
        // A later version may write more kinds.
        _ => None,
    }
}

/// Fills the buffer as far as the file goes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(readings: usize) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put_name(&mut bytes, 0, "传感器/1");
        for n in 0..readings {
            put_reading(&mut bytes, 0, n as i64, n as i64 + 5, n as f64);
        }
        bytes
    }

    fn scanned(bytes: &[u8]) -> (Scan, Vec<f64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        std::fs::write(&path, bytes).unwrap();
        let mut values = Vec::new();
        let scan = scan(&path, &mut |entry| {
            if let Logged::Reading { value, sensor, .. } = entry {
                assert_eq!(sensor.as_str(), "传感器/1");
                values.push(value);
            }
            ControlFlow::Continue(())
        });
        (scan.unwrap(), values)
    }

    #[test]
    fn every_cut_gives_a_prefix_and_says_how_much_was_torn() {
        let bytes = segment(5);
        let whole = scanned(&bytes);
        assert_eq!((whole.0.records, whole.0.torn_bytes, whole.1.len()), (6, 0, 5));
        for cut in 0..bytes.len() {
            let (scan, values) = scanned(&bytes[..cut]);
            assert_eq!(scan.good_bytes + scan.torn_bytes, cut as u64);
            assert!(values.iter().enumerate().all(|(n, v)| *v == n as f64));
            assert_eq!(scan.damaged, 0);
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = segment(4);
        for bit in (MAGIC.len() * 8)..(bytes.len() * 8) {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let (scan, values) = scanned(&bad);
            assert!(scan.damaged > 0 || scan.torn_bytes > 0, "bit {bit}");
            assert!(values.len() < 4);
            assert!(values.iter().all(|v| [0.0, 1.0, 2.0, 3.0].contains(v)));
        }
    }

    #[test]
    fn a_damaged_record_costs_itself_only() {
        let mut bytes = segment(4);
        let third = bytes.len() - 2 * (HEAD + 29) + HEAD + 25;
        bytes[third] ^= 0xff;
        let (scan, values) = scanned(&bytes);
        assert_eq!((scan.damaged, scan.torn_bytes), (1, 0));
        assert_eq!(values, vec![0.0, 1.0, 3.0]);
    }

    #[test]
    fn absurd_lengths_take_no_memory() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::MAX.to_le_bytes());
        bytes.extend([7; 100]);
        assert_eq!(scanned(&bytes).0.torn_bytes, 104);
    }
}
