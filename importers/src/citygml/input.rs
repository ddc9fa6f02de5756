//! The bytes of a file as UTF-8, whatever its encoding.

use std::{
    fs::File,
    io::{self, BufRead, Read},
    path::Path,
};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};

/// One tag or one text may be this large.
const MAX_EVENT_BYTES: u64 = 128 << 20;
const BUFFER: usize = 256 * 1024;

/// Counts bytes and refuses an event without end.
pub(super) struct Input {
    source: Box<dyn Read>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// Bytes handed on, and how many may be.
    at: u64,
    limit: u64,
}

impl Input {
    /// Opens a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut head = [0; 1024];
        let mut length = 0;
        while let Some(room) = head.get_mut(length..).filter(|room| !room.is_empty()) {
            match file.read(room) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let head = head.get(..length).unwrap_or(&[]).to_vec();
        let encoding = encoding_of(&head);
        let bytes: Box<dyn Read> = Box::new(io::Cursor::new(head).chain(file));
        let source = if encoding == UTF_8 { bytes } else { Box::new(Decoded::new(bytes, encoding)) };
        Ok(Self { source, buffer: vec![0; BUFFER], from: 0, to: 0, at: 0, limit: MAX_EVENT_BYTES })
    }

    /// Bytes handed on so far.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// What follows is another event.
    pub fn begin_event(&mut self) {
        self.limit = self.at + MAX_EVENT_BYTES;
    }

    /// Reads on behind what is there and not yet taken; `false` at the end, or when there is no room.
    pub fn more(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        let room = self.buffer.get_mut(self.to..).unwrap_or(&mut []);
        let count = loop {
            match self.source.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        self.to += count;
        Ok(count > 0)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let count = piece.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), piece.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at > self.limit {
            let reason = format!("a single tag or text of more than {} MiB", MAX_EVENT_BYTES >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        if self.from >= self.to {
            (self.from, self.to) = (0, 0);
            self.more()?;
        }
        Ok(self.buffer.get(self.from..self.to).unwrap_or(&[]))
    }

    fn consume(&mut self, count: usize) {
        self.at += count as u64;
        self.from = (self.from + count).min(self.to);
    }
}

/// The encoding of a text by its byte order mark, else its XML declaration, else UTF-8.
fn encoding_of(head: &[u8]) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return encoding;
    }
    let text = String::from_utf8_lossy(head);
    let declaration = text.strip_prefix("<?xml").and_then(|rest| rest.split("?>").next());
    let label = declaration.and_then(|d| d.split("encoding").nth(1)).and_then(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.get(1..)?.split(quote).next()
    });
    label.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8)
}

/// Text of another encoding as UTF-8.
struct Decoded {
    source: Box<dyn Read>,
    decoder: Decoder,
    bytes: Vec<u8>,
    from: usize,
    to: usize,
    is_end: bool,
}

impl Decoded {
    fn new(source: Box<dyn Read>, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder_with_bom_removal();
        Self { source, decoder, bytes: vec![0; BUFFER], from: 0, to: 0, is_end: false }
    }
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.from >= self.to && !self.is_end {
                self.from = 0;
                self.to = self.source.read(&mut self.bytes)?;
                self.is_end = self.to == 0;
            }
            let bytes = self.bytes.get(self.from..self.to).unwrap_or(&[]);
            let (outcome, read, written, _) = self.decoder.decode_to_utf8(bytes, buffer, self.is_end);
            self.from += read;
            if written > 0 || (self.is_end && outcome == CoderResult::InputEmpty) {
                return Ok(written);
            }
            if outcome == CoderResult::OutputFull {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no room for a character"));
            }
        }
    }
}
