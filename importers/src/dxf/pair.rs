//! The pairs that a DXF is made of: a group code on one line, its value on the next; or, in binary DXF, a code of one or
//! two bytes and a value whose type the code tells.

use std::io::{BufRead, Read};

use encoding_rs::Encoding;

/// Longest line, bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// Pairs of one entity, and bytes of them.
const MAX_PAIRS: usize = 1_000_000;
const MAX_RECORD_BYTES: usize = 64 << 20;
/// First bytes of binary DXF.
pub(super) const SENTINEL: &[u8; 22] = b"AutoCAD Binary DXF\r\n\x1a\0";

/// Why reading ended before the end.
#[derive(Debug)]
pub(super) enum Stop {
    Io(std::io::Error),
    /// Place and reason.
    Bad(String, String),
}

/// How pairs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Lines.
    Text,
    /// Group codes of one byte, as up to release 12.
    ShortCodes,
    /// Group codes of two bytes.
    LongCodes,
}

/// Reads pairs.
pub(super) struct Pairs<R> {
    reader: R,
    form: Form,
    line: u64,
    pub position: u64,
    bytes: Vec<u8>,
    /// A pair that was read too far.
    next: Option<(i32, Vec<u8>)>,
}

/// Group code that begins an object within an entity.
const EMBEDDED: i32 = 101;
/// From this group code on, extended data of the entity itself.
const EXTENDED: i32 = 1000;

/// What begins with group code 0: an entity, or the mark of a section.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// `LINE`, `SECTION`, `VERTEX`.
    pub kind: String,
    /// Line or byte.
    at: u64,
    is_binary: bool,
    pairs: Vec<(i32, Vec<u8>)>,
}

impl<R: BufRead> Pairs<R> {
    /// Pairs of a file at its beginning.
    pub fn new(mut reader: R) -> std::io::Result<Self> {
        let (mut form, mut position) = (Form::Text, 0);
        let first = reader.fill_buf()?;
        if first.starts_with(SENTINEL) {
            // the first pair is 0 SECTION
            form = if first.get(SENTINEL.len() + 1) == Some(&0) { Form::LongCodes } else { Form::ShortCodes };
            position = SENTINEL.len();
            reader.consume(position);
        }
        Ok(Self { reader, form, line: 0, position: position as u64, bytes: Vec::new(), next: None })
    }

    fn bad<T>(&self, reason: impl Into<String>) -> Result<T, Stop> {
        let (word, number) = if self.form == Form::Text { ("line", self.line) } else { ("byte", self.position) };
        Err(Stop::Bad(format!("{word} {number}"), reason.into()))
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
            return self.bad(format!("group code {} where a record should begin", first.0));
        };
        let kind = String::from_utf8_lossy(&kind).trim().to_ascii_uppercase();
        let is_binary = self.form != Form::Text;
        let at = if is_binary { self.position } else { self.line };
        let mut record = Record { kind, at, is_binary, pairs: Vec::new() };
        let mut bytes = 0;
        // What lies in an embedded object (columns of a text) repeats the codes of the entity around it.
        let mut is_embedded = false;
        while let Some(pair) = self.pair()? {
            if pair.0 == 0 {
                self.next = Some(pair);
                break;
            }
            is_embedded |= pair.0 == EMBEDDED;
            if is_embedded && pair.0 < EXTENDED {
                continue;
            }
            bytes += pair.1.len();
            record.pairs.push(pair);
            if record.pairs.len() > MAX_PAIRS || bytes > MAX_RECORD_BYTES {
                return self.bad("a record of more than a million pairs or 64 MiB");
            }
        }
        Ok(Some(record))
    }

    fn pair(&mut self) -> Result<Option<(i32, Vec<u8>)>, Stop> {
        if let Some(pair) = self.next.take() {
            return Ok(Some(pair));
        }
        if self.form != Form::Text {
            return self.binary_pair();
        }
        if !self.read_line()? {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.trim().trim_start_matches('\u{feff}');
        if text.is_empty() && self.bytes.is_empty() {
            // An empty last line.
            return if self.read_line()? { self.no_code("") } else { Ok(None) };
        }
        // DOS programs end a file so
        if text == "\u{1a}" {
            return Ok(None);
        }
        let Ok(code) = text.parse::<i32>() else { return self.no_code(text) };
        if !self.read_line()? {
            return self.bad("the file ends after a group code");
        }
        Ok(Some((code, self.bytes.clone())))
    }

    fn no_code<T>(&self, text: &str) -> Result<T, Stop> {
        self.bad(format!("{:?} is no group code", text.chars().take(30).collect::<String>()))
    }

    /// A pair of binary DXF, its value as the text that ASCII DXF would have.
    fn binary_pair(&mut self) -> Result<Option<(i32, Vec<u8>)>, Stop> {
        let Some(low) = self.byte()? else { return Ok(None) };
        let code = match (self.form, low) {
            (Form::ShortCodes, 255) => i32::from(i16::from_le_bytes(self.exactly()?)),
            (Form::ShortCodes, low) => i32::from(low),
            (_, low) => {
                let [high] = self.exactly()?;
                i32::from(i16::from_le_bytes([low, high]))
            }
        };
        let value = match code {
            10..=59 | 110..=149 | 210..=239 | 460..=469 | 1010..=1059 => {
                f64::from_le_bytes(self.exactly()?).to_string()
            }
            60..=79 | 170..=179 | 270..=289 | 370..=389 | 400..=409 | 1060..=1070 => {
                i16::from_le_bytes(self.exactly()?).to_string()
            }
            90..=99 | 420..=429 | 440..=459 | 1071 => i32::from_le_bytes(self.exactly()?).to_string(),
            160..=169 => i64::from_le_bytes(self.exactly()?).to_string(),
            290..=299 => u8::from_le_bytes(self.exactly()?).to_string(),
            310..=319 | 1004 => {
                let [length] = self.exactly()?;
                let mut chunk = vec![0; usize::from(length)];
                self.fill(&mut chunk)?;
                return Ok(Some((code, chunk)));
            }
            0..=9 | 100..=109 | 300..=369 | 390..=399 | 410..=419 | 430..=439 | 470..=481 | 999..=1009 => {
                return Ok(Some((code, self.text()?)));
            }
            other => return self.bad(format!("{other} is no group code")),
        };
        Ok(Some((code, value.into_bytes())))
    }

    fn byte(&mut self) -> Result<Option<u8>, Stop> {
        let first = self.reader.fill_buf().map_err(Stop::Io)?.first().copied();
        if first.is_some() {
            self.reader.consume(1);
            self.position += 1;
        }
        Ok(first)
    }

    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        match self.reader.read_exact(bytes) {
            Ok(()) => {
                self.position += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => self.bad("the file ends within a value"),
            Err(error) => Err(Stop::Io(error)),
        }
    }

    /// Text up to a zero byte.
    fn text(&mut self) -> Result<Vec<u8>, Stop> {
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(MAX_LINE_BYTES).read_until(0, &mut bytes).map_err(Stop::Io)?;
        self.position += read as u64;
        match bytes.pop() {
            Some(0) => Ok(bytes),
            _ => self.bad("a text without end"),
        }
    }

    /// Reads a line without its end; `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, Stop> {
        self.bytes.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE_BYTES + 1);
        let read = limited.read_until(b'\n', &mut self.bytes).map_err(Stop::Io)?;
        self.line += 1;
        self.position += read as u64;
        if read as u64 > MAX_LINE_BYTES {
            return self.bad("a line of more than 1 MiB");
        }
        while matches!(self.bytes.last(), Some(b'\n' | b'\r')) {
            self.bytes.pop();
        }
        Ok(read > 0)
    }
}

impl Record {
    /// Where it begins, for people.
    pub fn place(&self) -> String {
        format!("{} {}", if self.is_binary { "byte" } else { "line" }, self.at)
    }

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
