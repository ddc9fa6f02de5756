//! A CityGML file as a stream of members, each read into a tree of bounded size.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    rc::Rc,
};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{
    name::{Names, Space, space_of},
    tree::{AttributeName, NodeId, Tree},
};
use crate::format::ImportError;

/// Elements within elements.
const MAX_DEPTH: usize = 100;
/// One tag or one text may be this large.
const MAX_EVENT_BYTES: u64 = 128 << 20;
const BUFFER: usize = 256 * 1024;

/// A file being read.
pub(super) struct Source {
    path: std::path::PathBuf,
    reader: Reader<Input>,
    /// Bytes handed to the XML reader, and how many it may take before the next event.
    at: Rc<Cell<u64>>,
    limit: Rc<Cell<u64>>,
    buffer: Vec<u8>,
    /// Names of its elements.
    pub names: Names,
    depth: usize,
    members: u64,
    is_empty_element: bool,
    has_doctype: bool,
    has_root: bool,
}

/// What comes next within the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A member with its number, from 1.
    Member(u64),
    /// Appearances of the whole.
    Appearance,
    /// The box around the whole, with the name of the coordinate system.
    Envelope,
    /// Something else.
    Other,
    /// The end of the file.
    End,
}

/// What the root element is.
pub(super) struct Root {
    /// Version in its namespace.
    pub version: String,
}

impl Source {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let io_error = |source| ImportError::Io { path: path.into(), source };
        let mut file = File::open(path).map_err(io_error)?;
        let mut head = [0; 1024];
        let mut length = 0;
        while let Some(room) = head.get_mut(length..).filter(|room| !room.is_empty()) {
            match file.read(room) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error(error)),
            }
        }
        let head = head.get(..length).unwrap_or(&[]).to_vec();
        let encoding = encoding_of(&head);
        let bytes: Box<dyn Read> = Box::new(io::Cursor::new(head).chain(file));
        let source = if encoding == UTF_8 { bytes } else { Box::new(Decoded::new(bytes, encoding)) };
        let (at, limit) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(MAX_EVENT_BYTES)));
        let input = Input { source: BufReader::with_capacity(BUFFER, source), at: at.clone(), limit: limit.clone() };
        Ok(Self {
            path: path.into(),
            reader: Reader::from_reader(input),
            at,
            limit,
            buffer: Vec::new(),
            names: Names::new(),
            depth: 0,
            members: 0,
            is_empty_element: false,
            has_doctype: false,
            has_root: false,
        })
    }

    /// Bytes read so far.
    pub fn at(&self) -> u64 {
        self.at.get()
    }

    /// An error at this place.
    pub fn bad(&self, reason: impl Into<String>) -> ImportError {
        ImportError::Bad {
            path: self.path.clone(),
            place: format!("byte {}, after {} members", self.reader.buffer_position(), self.members),
            reason: reason.into(),
        }
    }

    fn xml_error(&self, error: quick_xml::Error) -> ImportError {
        match error {
            quick_xml::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
                ImportError::Io { path: self.path.clone(), source: io::Error::new(error.kind(), error.to_string()) }
            }
            other => self.bad(other.to_string()),
        }
    }

    /// Goes to the root element; `None` when it is no city model.
    pub fn root(&mut self) -> Result<Option<Root>, ImportError> {
        loop {
            match self.next(None)? {
                Step::Open { local, uri, .. } => {
                    if local != "CityModel" || space_of(&uri) != Space::CityGml {
                        return Ok(None);
                    }
                    if self.has_doctype {
                        return Err(self.bad("a DOCTYPE: document types can be used for attacks and are refused"));
                    }
                    return Ok(Some(Root { version: uri.rsplit('/').next().unwrap_or("").to_owned() }));
                }
                Step::Eof => return Ok(None),
                _ => {}
            }
        }
    }

    /// The next part of the root; members, appearances and the envelope are read into `tree` where `wants` says so.
    pub fn part(&mut self, tree: &mut Tree, wants: fn(Part) -> bool) -> Result<Part, ImportError> {
        loop {
            match self.next(None)? {
                Step::Open { local, .. } => {
                    let part = match local.as_str() {
                        "cityObjectMember" | "featureMember" | "featureMembers" => {
                            self.members += 1;
                            Part::Member(self.members)
                        }
                        "appearanceMember" => Part::Appearance,
                        "boundedBy" => Part::Envelope,
                        _ => Part::Other,
                    };
                    let tree = if wants(part) { Some(tree) } else { None };
                    self.fill(tree)?;
                    if wants(part) {
                        return Ok(part);
                    }
                    return Ok(if matches!(part, Part::Member(_)) { part } else { Part::Other });
                }
                Step::Close | Step::Text => {}
                Step::Eof => return Ok(Part::End),
            }
        }
    }

    /// Reads the element that was just opened to its end.
    fn fill(&mut self, mut tree: Option<&mut Tree>) -> Result<(), ImportError> {
        let end = self.depth;
        if let Some(tree) = &mut tree {
            // The root of the tree is the member itself, whose attributes the last event holds.
            let name = self.names.of("").map_err(|e| self.bad(e))?;
            tree.clear();
            tree.open(name, None).map_err(|e| self.bad(e))?;
            let href = self.last_href();
            if let Some(href) = href {
                tree.attribute(AttributeName::Href, &href);
            }
        }
        if std::mem::take(&mut self.is_empty_element) {
            self.depth -= 1;
            self.names.leave(self.depth);
            return Ok(());
        }
        let mut open: Vec<NodeId> = vec![0];
        loop {
            let place = tree.as_deref_mut().map(|tree| (tree, open.last().copied()));
            match self.next(place)? {
                Step::Open { node, .. } => {
                    if std::mem::take(&mut self.is_empty_element) {
                        self.depth -= 1;
                        self.names.leave(self.depth);
                    } else if let Some(node) = node {
                        open.push(node);
                    }
                }
                Step::Close => {
                    if self.depth < end {
                        return Ok(());
                    }
                    open.pop();
                }
                Step::Text => {}
                Step::Eof => return Err(self.bad("the file ends in the middle: it is cut off")),
            }
        }
    }

    fn last_href(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.buffer).ok()?;
        let at = text.find("href=")?;
        let rest = text.get(at + 5..)?;
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.get(1..)?.split(quote).next().map(str::to_owned)
    }

    fn next(&mut self, place: Option<(&mut Tree, Option<NodeId>)>) -> Result<Step, ImportError> {
        self.buffer.clear();
        self.limit.set(self.at.get() + MAX_EVENT_BYTES);
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = self.step(&mut buffer, place);
        self.buffer = buffer;
        outcome
    }

    fn step(&mut self, buffer: &mut Vec<u8>, place: Option<(&mut Tree, Option<NodeId>)>) -> Result<Step, ImportError> {
        let event = match self.reader.read_event_into(buffer) {
            Ok(event) => event,
            Err(error) => return Err(self.xml_error(error)),
        };
        match event {
            Event::Start(start) => self.open_element(&start, place),
            Event::Empty(start) => {
                self.is_empty_element = true;
                self.open_element(&start, place)
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.names.leave(self.depth);
                Ok(Step::Close)
            }
            Event::Text(text) => {
                if let Some((tree, Some(node))) = place
                    && !text.bytes().all(|b| b.is_ascii_whitespace())
                {
                    tree.add_text(node, &text);
                }
                Ok(Step::Text)
            }
            Event::CData(text) => {
                if let Some((tree, Some(node))) = place {
                    tree.add_text(node, &text);
                }
                Ok(Step::Text)
            }
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref() {
                    Ok(Some(c)) => c.to_string(),
                    Ok(None) => match &*reference {
                        "lt" => "<".into(),
                        "gt" => ">".into(),
                        "amp" => "&".into(),
                        "quot" => "\"".into(),
                        "apos" => "'".into(),
                        // Without a DOCTYPE there can be no other.
                        name => return Err(self.bad(format!("&{name:.40}; is not declared"))),
                    },
                    Err(error) => return Err(self.xml_error(error)),
                };
                if let Some((tree, Some(node))) = place {
                    tree.add_text(node, &resolved);
                }
                Ok(Step::Text)
            }
            Event::DocType(_) => {
                self.has_doctype = true;
                Ok(Step::Text)
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Ok(Step::Text),
            Event::Eof if self.depth > 0 => Err(self.bad("the file ends in the middle: it is cut off")),
            Event::Eof => Ok(Step::Eof),
        }
    }

    fn open_element(
        &mut self,
        start: &BytesStart<'_>,
        place: Option<(&mut Tree, Option<NodeId>)>,
    ) -> Result<Step, ImportError> {
        self.depth += 1;
        if self.depth == 1 && std::mem::replace(&mut self.has_root, true) {
            return Err(self.bad("a second root element"));
        }
        if self.depth > MAX_DEPTH {
            return Err(self.bad(format!("elements nested deeper than {MAX_DEPTH}")));
        }
        let raw = start.attributes_raw();
        if raw.contains("xmlns") {
            for attribute in start.attributes() {
                let attribute = attribute.map_err(|e| self.bad(e.to_string()))?;
                let name: &str = attribute.key.as_ref();
                if name == "xmlns" || name.starts_with("xmlns:") {
                    self.names.declare(self.depth, name, &attribute.value).map_err(|e| self.bad(e))?;
                }
            }
        }
        let qualified = start.name();
        let written: &str = qualified.as_ref();
        let Some((tree, parent)) = place else {
            let local = written.rsplit(':').next().unwrap_or(written).to_owned();
            return Ok(Step::Open { local, uri: self.names.uri(written).to_owned(), node: None });
        };
        let name = self.names.of(written).map_err(|e| self.bad(e))?;
        let node = tree.open(name, parent).map_err(|e| self.bad(e))?;
        if !raw.trim_ascii().is_empty() {
            for attribute in start.attributes() {
                let attribute = attribute.map_err(|e| self.bad(e.to_string()))?;
                let name = AttributeName::of(attribute.key.as_ref());
                if name != AttributeName::Other {
                    let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| self.xml_error(e))?;
                    tree.attribute(name, &value);
                }
            }
        }
        Ok(Step::Open { local: String::new(), uri: String::new(), node: Some(node) })
    }
}

enum Step {
    Open { local: String, uri: String, node: Option<NodeId> },
    Close,
    Text,
    Eof,
}

/// Counts bytes and refuses an event without end.
struct Input {
    source: BufReader<Box<dyn Read>>,
    at: Rc<Cell<u64>>,
    limit: Rc<Cell<u64>>,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.at.set(self.at.get() + count as u64);
        Ok(count)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at.get() > self.limit.get() {
            let reason = format!("a single tag or text of more than {} MiB", MAX_EVENT_BYTES >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.source.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.at.set(self.at.get() + count as u64);
        self.source.consume(count);
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
