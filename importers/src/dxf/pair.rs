//! The pairs that a DXF is made of: a group code on one line, its value on the next.

use std::io::{BufRead, Read};

use encoding_rs::Encoding;

/// Longest line, bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// Pairs of one entity, and bytes of them.
const MAX_PAIRS: usize = 1_000_000;
const MAX_RECORD_BYTES: usize = 64 << 20;

/// Why reading ended before the end.
#[derive(Debug)]
pub(super) enum Stop {
    Io(std::io::Error),
    /// Line and reason.
    Bad(u64, String),
}

/// Reads pairs.
pub(super) struct Pairs<R> {
    reader: R,
    line: u64,
    pub position: u64,
    bytes: Vec<u8>,
    /// A pair that was read too far.
    next: Option<(i32, Vec<u8>)>,
}

/// What begins with group code 0: an entity, or the mark of a section.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// `LINE`, `SECTION`, `VERTEX`.
    pub kind: String,
    pub line: u64,
    pairs: Vec<(i32, Vec<u8>)>,
}

impl<R: BufRead> Pairs<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, line: 0, position: 0, bytes: Vec::new(), next: None }
    }

    /// The next record with all its pairs; `None` at the end of the file.
    pub fn record(&mut self) -> Result<Option<Record>, Stop> {
        let first = loop {
            match self.pair()? {
                None => return Ok(None),
                // Remarks before the first section.
                Some((999, _)) => {}
                Some(pair) => break pair,
            }
        };
        let (0, kind) = first else {
            return Err(Stop::Bad(self.line, format!("group code {} where a record should begin", first.0)));
        };
        let kind = String::from_utf8_lossy(&kind).trim().to_ascii_uppercase();
        let mut record = Record { kind, line: self.line, pairs: Vec::new() };
        let mut bytes = 0;
        while let Some(pair) = self.pair()? {
            if pair.0 == 0 {
                self.next = Some(pair);
                break;
            }
            bytes += pair.1.len();
            record.pairs.push(pair);
            if record.pairs.len() > MAX_PAIRS || bytes > MAX_RECORD_BYTES {
                return Err(Stop::Bad(record.line, "a record of more than a million pairs or 64 MiB".into()));
            }
        }
        Ok(Some(record))
    }

    fn pair(&mut self) -> Result<Option<(i32, Vec<u8>)>, Stop> {
        if let Some(pair) = self.next.take() {
            return Ok(Some(pair));
        }
        if !self.read_line()? {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.trim().trim_start_matches('\u{feff}');
        if text.is_empty() && self.bytes.is_empty() {
            // An empty last line.
            return if self.read_line()? { Err(self.no_code("")) } else { Ok(None) };
        }
        let code: i32 = text.parse().map_err(|_| self.no_code(text))?;
        if !self.read_line()? {
            return Err(Stop::Bad(self.line, "the file ends after a group code".into()));
        }
        Ok(Some((code, self.bytes.clone())))
    }

    fn no_code(&self, text: &str) -> Stop {
        Stop::Bad(self.line, format!("{:?} is no group code", text.chars().take(30).collect::<String>()))
    }

    /// Reads a line without its end; `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, Stop> {
        self.bytes.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE_BYTES + 1);
        let read = limited.read_until(b'\n', &mut self.bytes).map_err(Stop::Io)?;
        self.line += 1;
        self.position += read as u64;
        if read as u64 > MAX_LINE_BYTES {
            return Err(Stop::Bad(self.line, "a line of more than 1 MiB".into()));
        }
        while matches!(self.bytes.last(), Some(b'\n' | b'\r')) {
            self.bytes.pop();
        }
        Ok(read > 0)
    }
}

impl Record {
    /// Group codes and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &[u8])> {
        self.pairs.iter().map(|(code, value)| (*code, value.as_slice()))
    }

    /// Text of the first pair with this code.
    pub fn text(&self, code: i32, encoding: &'static Encoding) -> Option<String> {
        let (_, value) = self.iter().find(|(c, _)| *c == code)?;
        Some(decode(value, encoding))
    }

    /// Number of the first pair with this code.
    pub fn number(&self, code: i32) -> Option<f64> {
        let (_, value) = self.iter().find(|(c, _)| *c == code)?;
        number(value)
    }

    /// As [`Record::number`], with what stands for one that is not there. A number that is none is an error.
    pub fn number_or(&self, code: i32, default: f64) -> Result<f64, String> {
        match self.iter().find(|(c, _)| *c == code) {
            None => Ok(default),
            Some((_, value)) => number(value).ok_or_else(|| format!("group {code} is no number")),
        }
    }

    pub fn flags(&self, code: i32) -> i64 {
        self.number(code).unwrap_or(0.0) as i64
    }
}

/// A finite number.
pub(super) fn number(value: &[u8]) -> Option<f64> {
    std::str::from_utf8(value).ok()?.trim().parse::<f64>().ok().filter(|n| n.is_finite())
}

/// Text with `\U+4E2D` resolved.
pub(super) fn decode(value: &[u8], encoding: &'static Encoding) -> String {
    let text = encoding.decode_without_bom_handling(value).0;
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find("\\U+") {
        out.push_str(&rest[..at]);
        let digits = rest.get(at + 3..at + 7);
        match digits.and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                rest = &rest[at + 7..];
            }
            None => {
                out.push_str("\\U+");
                rest = &rest[at + 3..];
            }
        }
    }
    out.push_str(rest);
    out.trim().to_owned()
}
