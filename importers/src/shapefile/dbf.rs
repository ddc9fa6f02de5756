//! The attribute file of a shapefile: dBASE III and IV tables, with what other programs made of them.

use std::{
    collections::HashSet,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    sync::Arc,
};

use chrono::{DateTime, NaiveDate};
use groundline_engine::model::{SourceReport, Value};

use crate::{encoding::EncodingFound, feature::Names};

/// A table with more columns than this is none (dBASE allows 255, FoxPro 2046).
const MAX_FIELDS: usize = 4096;
/// How much text is looked at to find the encoding.
const SAMPLE_BYTES: usize = 1 << 20;
/// How much of the table is searched for text beyond ASCII.
const SEARCH_BYTES: u64 = 64 << 20;

/// One column.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Name as it stands, to be decoded.
    raw_name: Vec<u8>,
    /// Decoded name, made unique.
    pub name: Arc<str>,
    kind: u8,
    start: usize,
    length: usize,
    decimals: u8,
}

/// The header and its columns.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Records that the header speaks of.
    pub header_records: u64,
    /// Records that the file has room for.
    pub file_records: u64,
    /// Byte that names the encoding.
    pub ldid: u8,
    /// The columns.
    pub fields: Vec<Field>,
    header_length: u64,
    record_length: usize,
    /// What is odd about the header.
    pub oddities: Vec<String>,
}

/// Reads the records of a table in order.
pub(super) struct Reader<R> {
    source: R,
    table: Table,
    encoding: EncodingFound,
    record: u64,
}

/// Where a record lies.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Its number, from 1.
    record: u64,
    /// Its bytes in the block that it was read into.
    range: Range<usize>,
    /// Whether it carries the mark of a deleted record.
    pub is_deleted: bool,
}

impl Table {
    /// Reads the header of a file of `length` bytes; the error says what is wrong.
    pub fn read(mut source: impl Read, length: u64) -> io::Result<Result<Self, String>> {
        let mut head = [0; 32];
        if length < 33 {
            return Ok(Err("shorter than a header".into()));
        }
        source.read_exact(&mut head)?;
        let header_records = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let header_length = u64::from(u16::from_le_bytes([head[8], head[9]]));
        let record_length = usize::from(u16::from_le_bytes([head[10], head[11]]));
        if !(33..=length).contains(&header_length) || record_length == 0 {
            return Ok(Err(format!("header of {header_length} and records of {record_length} bytes make no sense")));
        }
        let mut descriptors = vec![0; header_length as usize - 32];
        source.read_exact(&mut descriptors)?;
        let mut oddities = Vec::new();
        let mut fields = Vec::new();
        let mut start = 1;
        for raw in descriptors.chunks_exact(32).take_while(|raw| raw[0] != 0x0D && raw[0] != 0).take(MAX_FIELDS) {
            let name_end = raw[..11].iter().position(|b| *b == 0).unwrap_or(11);
            let (kind, decimals) = (raw[11].to_ascii_uppercase(), raw[17]);
            let length = usize::from(raw[16]);
            // FoxPro and Clipper keep the high byte of long text columns where others keep the decimals.
            let long = length + 256 * usize::from(decimals);
            let length = if kind == b'C' && decimals > 0 && start + long <= record_length { long } else { length };
            let kept = length.min(record_length.saturating_sub(start));
            if kept < length {
                oddities.push(format!("column {} reaches beyond the record", fields.len() + 1));
            }
            fields.push(Field {
                raw_name: raw[..name_end].to_vec(),
                name: "".into(),
                kind,
                // A column that begins beyond the record holds nothing, at its end.
                start: start.min(record_length),
                length: kept,
                decimals: if kind == b'C' { 0 } else { decimals },
            });
            start += length;
        }
        if start != record_length {
            oddities.push(format!("columns take {start} bytes, records have {record_length}"));
        }
        let file_records = (length - header_length) / record_length as u64;
        Ok(Ok(Self { header_records, file_records, ldid: head[29], fields, header_length, record_length, oddities }))
    }

    /// Records that can be read: those that are there, also where the header forgot some.
    pub fn records(&self) -> u64 {
        // A header of 0 over a full file is a writer that died before closing it.
        if self.header_records == 0 { self.file_records } else { self.header_records.min(self.file_records) }
    }

    /// Whether header and file disagree about the number of records. In a table without columns a record takes one
    /// byte, and so does the mark at the end.
    pub fn has_odd_count(&self) -> bool {
        self.header_records > self.file_records || (self.header_records < self.file_records && self.record_length > 1)
    }

    /// Text beyond ASCII out of names and records, to find the encoding.
    pub fn sample(&self, mut source: impl Read + Seek) -> io::Result<Vec<u8>> {
        let mut sample: Vec<u8> = self.fields.iter().flat_map(|f| f.raw_name.iter().copied().chain([b' '])).collect();
        source.seek(SeekFrom::Start(self.header_length))?;
        let mut record = vec![0; self.record_length];
        let mut searched = 0;
        for _ in 0..self.file_records {
            source.read_exact(&mut record)?;
            let texts = self.fields.iter().filter(|f| f.kind == b'C');
            for text in texts.map(|f| &record[f.start..f.start + f.length]).filter(|text| !text.is_ascii()) {
                sample.extend_from_slice(trimmed(text));
                sample.push(b' ');
            }
            searched += self.record_length as u64;
            if sample.len() > SAMPLE_BYTES || searched > SEARCH_BYTES {
                break;
            }
        }
        Ok(sample)
    }

    /// Decodes the names and makes them unique; returns the names that came twice.
    pub fn name_fields(&mut self, encoding: &EncodingFound) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut twice = Vec::new();
        for field in &mut self.fields {
            let plain = encoding.decode(&field.raw_name).trim().to_string();
            let mut name = plain.clone();
            let mut number = 2;
            while !seen.insert(name.clone()) {
                name = format!("{plain}_{number}");
                number += 1;
            }
            if name != plain {
                twice.push(plain);
            }
            field.name = name.into();
        }
        twice
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the table's records from the first on.
    pub fn new(mut source: R, table: Table, encoding: EncodingFound) -> io::Result<Self> {
        source.seek(SeekFrom::Start(table.header_length))?;
        Ok(Self { source, table, encoding, record: 0 })
    }

    /// Appends the next record to `block` and says where it lies there; `None` after the last whole one.
    pub fn next(&mut self, block: &mut Vec<u8>) -> Option<io::Result<Row>> {
        if self.record >= self.table.records() {
            return None;
        }
        self.record += 1;
        let from = block.len();
        block.resize(from + self.table.record_length, 0);
        if let Err(error) = self.source.read_exact(&mut block[from..]) {
            return Some(Err(error));
        }
        Some(Ok(Row { record: self.record, range: from..block.len(), is_deleted: block[from] == b'*' }))
    }

    /// The values of a record, without empty ones.
    pub fn values(
        &self,
        row: &Row,
        block: &[u8],
        names: &mut Names,
        report: &mut SourceReport,
    ) -> Vec<(Arc<str>, Value)> {
        let buffer = &block[row.range.clone()];
        let mut values = Vec::with_capacity(self.table.fields.len());
        for field in &self.table.fields {
            match field.value(&buffer[field.start..field.start + field.length], &self.encoding) {
                Ok(Some(value)) => values.push((names.get(&field.name), value)),
                Ok(None) => {}
                Err((code, reason)) => {
                    let place = format!("record {}, field {}", row.record, field.name);
                    report.warn(code, format!("{reason}; taken as empty"), place);
                }
            }
        }
        values
    }
}

impl Field {
    /// The value in its bytes; `None` when empty, an error with its code when there is something that is no such value.
    fn value(&self, bytes: &[u8], encoding: &EncodingFound) -> Result<Option<Value>, (&'static str, String)> {
        let ascii = || String::from_utf8_lossy(trimmed(bytes));
        match self.kind {
            b'N' | b'F' => number(ascii().trim(), self.decimals),
            b'L' => Ok(match bytes.first() {
                Some(b'T' | b't' | b'Y' | b'y') => Some(Value::Bool(true)),
                Some(b'F' | b'f' | b'N' | b'n') => Some(Value::Bool(false)),
                _ => None,
            }),
            b'D' => date(ascii().trim()),
            b'I' | b'+' if bytes.len() == 4 => {
                Ok(Some(Value::Int(i64::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))))
            }
            b'B' | b'O' if bytes.len() == 8 => Ok(real(eight(bytes))),
            b'Y' if bytes.len() == 8 => Ok(Some(Value::Real(i64::from_le_bytes(eight_bytes(bytes)) as f64 / 10_000.0))),
            b'T' if bytes.len() == 8 => Ok(date_time(bytes)),
            // A number of a block in another file, which shapefiles do not have.
            b'M' | b'G' | b'P' => Ok(None),
            _ => {
                let text = encoding.decode(trimmed(bytes));
                let text = text.trim();
                Ok((!text.is_empty()).then(|| Value::Text(text.to_string())))
            }
        }
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| !matches!(b, b' ' | 0)).map_or(0, |last| last + 1);
    &bytes[..end]
}

fn number(text: &str, decimals: u8) -> Result<Option<Value>, (&'static str, String)> {
    if text.is_empty() {
        return Ok(None);
    }
    // Writers fill the column with stars when a number does not fit.
    if text.bytes().all(|b| b == b'*') {
        return Err(("dbf_overflow", format!("{text} stands for a number that did not fit")));
    }
    let bad = || ("dbf_bad_number", format!("{text:?} is no number"));
    if let (0, Ok(whole)) = (decimals, text.parse::<i64>()) {
        return Ok(Some(Value::Int(whole)));
    }
    let parsed: f64 = text.parse().or_else(|_| text.replace(',', ".").parse()).map_err(|_| bad())?;
    if parsed.is_finite() { Ok(Some(Value::Real(parsed))) } else { Err(bad()) }
}

fn date(text: &str) -> Result<Option<Value>, (&'static str, String)> {
    if text.is_empty() || text.bytes().all(|b| b == b'0' || b == b' ') {
        return Ok(None);
    }
    let date = NaiveDate::parse_from_str(text, "%Y%m%d");
    let date = date.map_err(|_| ("dbf_bad_date", format!("{text:?} is no date")))?;
    Ok(Some(Value::Text(date.format("%Y-%m-%d").to_string())))
}

/// Julian day and milliseconds of FoxPro.
fn date_time(bytes: &[u8]) -> Option<Value> {
    let word = |at: usize| i64::from(i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    let (day, millis) = (word(0), word(4));
    let time = DateTime::from_timestamp_millis((day - 2_440_588) * 86_400_000 + millis)?;
    (day > 0).then(|| Value::Text(time.format("%Y-%m-%dT%H:%M:%S").to_string()))
}

fn eight_bytes(bytes: &[u8]) -> [u8; 8] {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    word
}

fn eight(bytes: &[u8]) -> f64 {
    f64::from_le_bytes(eight_bytes(bytes))
}

fn real(number: f64) -> Option<Value> {
    number.is_finite().then_some(Value::Real(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_are_said_and_left_out() {
        assert_eq!(number("12", 0).unwrap(), Some(Value::Int(12)));
        assert_eq!(number("12", 2).unwrap(), Some(Value::Real(12.0)));
        assert_eq!(number("3,5", 1).unwrap(), Some(Value::Real(3.5)));
        assert_eq!(number("99999999999999999999", 0).unwrap(), Some(Value::Real(1e20)));
        assert_eq!(number("", 0).unwrap(), None);
        assert_eq!(number("****", 0).unwrap_err().0, "dbf_overflow");
        assert_eq!(number("deep", 0).unwrap_err().0, "dbf_bad_number");
        assert_eq!(number("nan", 0).unwrap_err().0, "dbf_bad_number");
    }

    #[test]
    fn dates_are_checked() {
        assert_eq!(date("20131122").unwrap(), Some(Value::Text("2013-11-22".into())));
        assert_eq!(date("00000000").unwrap(), None);
        assert_eq!(date("20131399").unwrap_err().0, "dbf_bad_date");
    }

    #[test]
    fn a_header_that_lies_is_refused_or_cut() {
        let mut bytes = [0_u8; 33];
        bytes[4..8].copy_from_slice(&1_000_000_u32.to_le_bytes());
        bytes[8..10].copy_from_slice(&33_u16.to_le_bytes());
        bytes[10..12].copy_from_slice(&10_u16.to_le_bytes());
        bytes[32] = 0x0D;
        let table = Table::read(&bytes[..], 53).unwrap().unwrap();
        assert_eq!((table.header_records, table.records()), (1_000_000, 2));
        bytes[8..10].copy_from_slice(&60_000_u16.to_le_bytes());
        assert!(Table::read(&bytes[..], 33).unwrap().is_err());
    }
}
