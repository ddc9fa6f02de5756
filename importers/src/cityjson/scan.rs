//! The outer structure of a JSON text, value by value: what stands within a value is left as text for others to read.
//!
//! Memory holds one value at a time, of bounded size, so a city of any size can be read member by member.

use std::io::{self, Read};

const BUFFER: usize = 256 * 1024;

/// Why scanning stopped.
#[derive(Debug)]
pub(super) enum ScanError {
    /// The disk said no.
    Io(io::Error),
    /// The text is no JSON from this byte on.
    Text {
        /// Byte from the beginning.
        at: u64,
        /// What is wrong.
        reason: String,
    },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        ScanError::Io(error)
    }
}

/// A JSON text being read.
pub(super) struct Scanner<R> {
    source: R,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    passed: u64,
}

impl<R: Read> Scanner<R> {
    /// At the beginning of `source`, after a byte order mark.
    pub fn new(source: R) -> Result<Self, ScanError> {
        let mut scanner = Self { source, buffer: vec![0; BUFFER], from: 0, to: 0, passed: 0 };
        if scanner.peek()? == Some(0xEF) {
            for wanted in [0xEF, 0xBB, 0xBF] {
                if scanner.peek()? != Some(wanted) {
                    return Err(scanner.bad("the text is not UTF-8"));
                }
                scanner.from += 1;
            }
        }
        Ok(scanner)
    }

    /// Bytes read so far.
    pub fn at(&self) -> u64 {
        self.passed + self.from as u64
    }

    /// An error at this place.
    pub fn bad(&self, reason: impl Into<String>) -> ScanError {
        ScanError::Text { at: self.at(), reason: reason.into() }
    }

    fn fill(&mut self) -> Result<bool, ScanError> {
        self.passed += self.to as u64;
        (self.from, self.to) = (0, 0);
        loop {
            match self.source.read(&mut self.buffer) {
                Ok(count) => {
                    self.to = count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, ScanError> {
        if self.from >= self.to && !self.fill()? {
            return Ok(None);
        }
        Ok(self.buffer.get(self.from).copied())
    }

    /// The next byte that is no white space; `None` at the end.
    pub fn next_byte(&mut self) -> Result<Option<u8>, ScanError> {
        while let Some(byte) = self.peek()? {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Ok(Some(byte));
            }
            self.from += 1;
        }
        Ok(None)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), ScanError> {
        match self.next_byte()? {
            Some(byte) if byte == wanted => {
                self.from += 1;
                Ok(())
            }
            Some(byte) => Err(self.bad(format!("{:?} where {:?} was expected", char::from(byte), char::from(wanted)))),
            None => Err(self.cut()),
        }
    }

    fn cut(&self) -> ScanError {
        self.bad("the file ends in the middle: it is cut off")
    }

    /// Enters an object.
    pub fn enter_object(&mut self) -> Result<(), ScanError> {
        self.expect(b'{')
    }

    /// Enters a list.
    pub fn enter_list(&mut self) -> Result<(), ScanError> {
        self.expect(b'[')
    }

    /// The name of the next member of an object; `None` at its end, which is left. `is_first` tells the first call.
    pub fn next_member(&mut self, is_first: &mut bool, key: &mut Vec<u8>) -> Result<Option<String>, ScanError> {
        if !self.has_next(is_first, b'}')? {
            return Ok(None);
        }
        key.clear();
        self.value(key, 1 << 20)?;
        let name = serde_json::from_slice::<String>(key).map_err(|e| self.bad(format!("name of a member: {e}")))?;
        self.expect(b':')?;
        Ok(Some(name))
    }

    /// Whether a list goes on; at its end it is left.
    pub fn next_item(&mut self, is_first: &mut bool) -> Result<bool, ScanError> {
        self.has_next(is_first, b']')
    }

    fn has_next(&mut self, is_first: &mut bool, end: u8) -> Result<bool, ScanError> {
        match self.next_byte()? {
            None => Err(self.cut()),
            Some(byte) if byte == end => {
                self.from += 1;
                Ok(false)
            }
            Some(_) if std::mem::take(is_first) => Ok(true),
            Some(b',') => {
                self.from += 1;
                match self.next_byte()? {
                    Some(byte) if byte == end => Err(self.bad("a comma before the end")),
                    _ => Ok(true),
                }
            }
            Some(byte) => Err(self.bad(format!("{:?} where a comma was expected", char::from(byte)))),
        }
    }

    /// The text of the next value, appended to `into`, of at most `limit` bytes.
    pub fn value(&mut self, into: &mut Vec<u8>, limit: usize) -> Result<(), ScanError> {
        self.walk(Some((into, limit)))
    }

    /// Passes over the next value.
    pub fn skip(&mut self) -> Result<(), ScanError> {
        self.walk(None)
    }

    fn walk(&mut self, mut keep: Option<(&mut Vec<u8>, usize)>) -> Result<(), ScanError> {
        let Some(first) = self.next_byte()? else { return Err(self.cut()) };
        if matches!(first, b'}' | b']' | b',' | b':') {
            return Err(self.bad(format!("{:?} where a value was expected", char::from(first))));
        }
        let is_plain = !matches!(first, b'{' | b'[' | b'"');
        let (mut depth, mut in_text, mut is_escaped) = (0_u64, false, false);
        loop {
            let start = self.from;
            let mut at = start;
            let mut is_done = false;
            for byte in self.buffer.get(start..self.to).unwrap_or(&[]) {
                if is_plain {
                    if matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n') {
                        is_done = true;
                        break;
                    }
                    at += 1;
                    continue;
                }
                at += 1;
                if in_text {
                    match byte {
                        _ if is_escaped => is_escaped = false,
                        b'\\' => is_escaped = true,
                        b'"' => {
                            in_text = false;
                            is_done = depth == 0;
                        }
                        _ => {}
                    }
                } else {
                    match byte {
                        b'"' => in_text = true,
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => {
                            depth = depth.saturating_sub(1);
                            is_done = depth == 0;
                        }
                        _ => {}
                    }
                }
                if is_done {
                    break;
                }
            }
            if let Some((into, limit)) = &mut keep {
                into.extend_from_slice(self.buffer.get(start..at).unwrap_or(&[]));
                if into.len() > *limit {
                    return Err(self.bad(format!("a single value of more than {} MiB", *limit >> 20)));
                }
            }
            self.from = at;
            if is_done {
                return Ok(());
            }
            if !self.fill()? {
                // A plain value may be the last thing of a text.
                return if is_plain && self.at() > 0 { Ok(()) } else { Err(self.cut()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out few bytes at a time, so that values lie across the ends of the buffer.
    struct Slow<'t>(&'t [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(3).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn members(text: &str) -> Result<Vec<(String, String)>, ScanError> {
        let mut scanner = Scanner::new(Slow(text.as_bytes()))?;
        scanner.enter_object()?;
        let (mut first, mut key, mut found) = (true, Vec::new(), Vec::new());
        while let Some(name) = scanner.next_member(&mut first, &mut key)? {
            let mut value = Vec::new();
            scanner.value(&mut value, 100)?;
            found.push((name, String::from_utf8(value).unwrap()));
        }
        Ok(found)
    }

    #[test]
    fn members_are_found_whatever_stands_in_texts() {
        let found = members("\u{feff} {\"a\": {\"x\":[1,\"]}\\\"\"]} , \"\\u0062\":-1.5e3,\"c\" :\"{\\\\\" }").unwrap();
        let expected = [("a", r#"{"x":[1,"]}\""]}"#), ("b", "-1.5e3"), ("c", r#""{\\""#)];
        assert_eq!(found, expected.map(|(k, v)| (k.to_string(), v.to_string())));
        assert!(members("{}").unwrap().is_empty());
    }

    #[test]
    fn damage_is_an_error() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(200));
        for text in
            ["", "{", "{\"a\"", "{\"a\":", "{\"a\":[1,2", "{\"a\":1 \"b\":2}", "{\"a\":1,}", "{,}", "[1]", &long]
        {
            assert!(members(text).is_err(), "{text}");
        }
        match members("{\"a\":[1,2") {
            Err(ScanError::Text { at, reason }) => assert!(at == 9 && reason.contains("cut off"), "{at} {reason}"),
            other => panic!("{other:?}"),
        }
    }
}
