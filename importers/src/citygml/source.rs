//! A CityGML file as a stream of members, each read into a tree of bounded size.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, Read},
    path::Path,
    rc::Rc,
};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};
use memchr::memmem;
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{
    name::{Names, Scope, Space, space_of},
    seek::{Seeker, Sought},
    tree::{AttributeName, NodeId, Tree},
};
use crate::format::ImportError;

/// Elements within elements.
const MAX_DEPTH: usize = 100;
/// One tag or one text may be this large.
const MAX_EVENT_BYTES: u64 = 128 << 20;
const BUFFER: usize = 256 * 1024;

/// Text of one member that is kept until it is read.
const MAX_MEMBER_BYTES: usize = 512 << 20;

/// A file being read.
pub(super) struct Source {
    path: std::path::PathBuf,
    reader: Reader<Input>,
    /// Bytes handed to the XML reader, and how many it may take before the next event.
    at: Rc<Cell<u64>>,
    limit: Rc<Cell<u64>>,
    buffer: Vec<u8>,
    grammar: Grammar,
    members: u64,
    has_root: bool,
    raw: Option<Raw>,
}

/// The text of a member, to be read later.
pub(super) struct Raw {
    /// Number of the member, from 1.
    pub record: u64,
    content: Vec<u8>,
    /// Byte of the file at which the content begins.
    start: u64,
    /// What the member's own tag refers to.
    href: Option<String>,
    /// Namespaces, and elements that are open around the content.
    scope: Scope,
    depth: usize,
    /// Whether the file ends within it, or holds what stands in no member.
    is_cut: bool,
}

/// What is to become of a part.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Use {
    /// It is read into a tree.
    Tree,
    /// Its text is kept, for members.
    Text,
    /// It is read for what is wrong with it.
    Check,
    /// It is passed over.
    Leap,
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
        let input = Input { source, buffer: vec![0; BUFFER], from: 0, to: 0, at: at.clone(), limit: limit.clone() };
        Ok(Self {
            path: path.into(),
            reader: Reader::from_reader(input),
            at,
            limit,
            buffer: Vec::new(),
            grammar: Grammar::default(),
            members: 0,
            has_root: false,
            raw: None,
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

    /// Names of the elements in the trees.
    pub fn names(&self) -> &Names {
        &self.grammar.names
    }

    /// The text of the member that came last, where it was to be kept.
    pub fn take_raw(&mut self) -> Option<Raw> {
        self.raw.take()
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
                    if self.grammar.has_doctype {
                        return Err(self.bad(DOCTYPE));
                    }
                    return Ok(Some(Root { version: uri.rsplit('/').next().unwrap_or("").to_owned() }));
                }
                Step::Eof => return Ok(None),
                _ => {}
            }
        }
    }

    /// The next part of the root, used as `use_of` says.
    pub fn part(&mut self, tree: &mut Tree, use_of: fn(Part) -> Use) -> Result<Part, ImportError> {
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
                    match use_of(part) {
                        Use::Tree => self.fill(Some(tree))?,
                        Use::Check => self.fill(None)?,
                        Use::Text => self.raw = Some(self.text(true)?),
                        Use::Leap => {
                            self.text(false)?;
                        }
                    }
                    return Ok(part);
                }
                Step::Close | Step::Text => {}
                Step::Eof => return Ok(Part::End),
            }
        }
    }

    /// The text of the element that was just opened; its closing tag comes next. Nothing of it where it is not kept.
    fn text(&mut self, is_kept: bool) -> Result<Raw, ImportError> {
        let mut raw = Raw {
            record: self.members,
            content: Vec::new(),
            start: self.reader.buffer_position(),
            href: self.last_href(),
            scope: self.grammar.names.scope(),
            depth: self.grammar.depth,
            is_cut: false,
        };
        if self.grammar.end_empty() {
            return Ok(raw);
        }
        let mut seeker = Seeker::default();
        let io_error = |source| ImportError::Io { path: self.path.clone(), source };
        loop {
            self.limit.set(u64::MAX);
            let mut stream = self.reader.stream();
            let piece = stream.fill_buf().map_err(io_error)?;
            let sought = if piece.is_empty() { Sought::Strange(0) } else { seeker.feed(piece) };
            let (count, is_end) = match sought {
                Sought::More(0) if stream.get_mut().more().map_err(io_error)? => continue,
                Sought::More(0) | Sought::Strange(_) => {
                    raw.is_cut = true;
                    (stream.fill_buf().map_err(io_error)?.len(), true)
                }
                Sought::More(count) => (count, false),
                Sought::End(count) => (count, true),
            };
            if is_kept {
                let piece = stream.fill_buf().map_err(io_error)?;
                raw.content.extend_from_slice(piece.get(..count).unwrap_or(piece));
            }
            stream.consume(count);
            if is_end {
                return Ok(raw);
            }
            if raw.content.len() > MAX_MEMBER_BYTES {
                return Err(self.bad(format!("one member of more than {} MiB", MAX_MEMBER_BYTES >> 20)));
            }
        }
    }

    /// Reads the element that was just opened to its end.
    fn fill(&mut self, mut tree: Option<&mut Tree>) -> Result<(), ImportError> {
        let end = self.grammar.depth;
        if let Some(tree) = &mut tree {
            // The root of the tree is the member itself, whose attributes the last event holds.
            let href = self.last_href();
            self.grammar.begin(tree, href.as_deref()).map_err(|e| self.bad(e))?;
        }
        if self.grammar.end_empty() {
            return Ok(());
        }
        let mut open: Vec<NodeId> = vec![0];
        loop {
            let place = tree.as_deref_mut().map(|tree| (tree, open.last().copied()));
            let step = self.next(place)?;
            match step {
                Step::Close if self.grammar.depth < end => return Ok(()),
                Step::Eof => return Err(self.bad(CUT_OFF)),
                step => self.grammar.keep_open(&step, &mut open),
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
        let event = match self.reader.read_event_into(&mut self.buffer) {
            Ok(event) => event,
            Err(error) => return Err(self.xml_error(error)),
        };
        if matches!(event, Event::Start(_) | Event::Empty(_))
            && self.grammar.depth == 0
            && std::mem::replace(&mut self.has_root, true)
        {
            return Err(self.bad("a second root element"));
        }
        let step = self.grammar.take(event, place);
        step.map_err(|reason| self.bad(reason))
    }
}

impl Raw {
    /// Bytes of its text.
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether a word stands in it.
    pub fn has(&self, word: &[u8]) -> bool {
        memmem::find(&self.content, word).is_some()
    }

    /// Reads it into a tree; `path` is for the error.
    pub fn read(&self, path: &Path, grammar: &mut Grammar, tree: &mut Tree) -> Result<(), ImportError> {
        let mut reader = Reader::from_reader(self.content.as_slice());
        self.fill(&mut reader, grammar, tree).map_err(|reason| ImportError::Bad {
            path: path.into(),
            place: format!("byte {}, after {} members", self.start + reader.buffer_position(), self.record),
            reason,
        })
    }

    fn fill(&self, reader: &mut Reader<&[u8]>, grammar: &mut Grammar, tree: &mut Tree) -> Result<(), String> {
        grammar.names.enter(&self.scope);
        (grammar.depth, grammar.is_empty_element) = (self.depth, false);
        grammar.begin(tree, self.href.as_deref())?;
        let mut open: Vec<NodeId> = vec![0];
        loop {
            let event = reader.read_event().map_err(|e| e.to_string())?;
            if event == Event::Eof {
                let is_whole = !self.is_cut && grammar.depth == self.depth;
                return if is_whole { Ok(()) } else { Err(CUT_OFF.into()) };
            }
            let step = grammar.take(event, Some((&mut *tree, open.last().copied())))?;
            grammar.keep_open(&step, &mut open);
        }
    }
}

const CUT_OFF: &str = "the file ends in the middle: it is cut off";
const DOCTYPE: &str = "a DOCTYPE: document types can be used for attacks and are refused";

/// What events mean, and how deep they stand.
#[derive(Default)]
pub(super) struct Grammar {
    /// Names of elements.
    pub names: Names,
    depth: usize,
    is_empty_element: bool,
    has_doctype: bool,
}

impl Grammar {
    /// Begins the tree of an element whose tag was read.
    fn begin(&mut self, tree: &mut Tree, href: Option<&str>) -> Result<(), String> {
        let name = self.names.of("")?;
        tree.clear();
        tree.open(name, None)?;
        if let Some(href) = href {
            tree.attribute(AttributeName::Href, href);
        }
        Ok(())
    }

    /// Ends the element that was just opened where it is an empty one.
    fn end_empty(&mut self) -> bool {
        let is_empty = std::mem::take(&mut self.is_empty_element);
        if is_empty {
            self.depth -= 1;
            self.names.leave(self.depth);
        }
        is_empty
    }

    /// Keeps the list of the elements that are open.
    fn keep_open(&mut self, step: &Step, open: &mut Vec<NodeId>) {
        match step {
            Step::Open { node, .. } => {
                if !self.end_empty() {
                    open.extend(*node);
                }
            }
            Step::Close => {
                open.pop();
            }
            Step::Text | Step::Eof => {}
        }
    }

    fn take(&mut self, event: Event<'_>, place: Option<(&mut Tree, Option<NodeId>)>) -> Result<Step, String> {
        match event {
            Event::Start(start) => self.open(&start, place),
            Event::Empty(start) => {
                self.is_empty_element = true;
                self.open(&start, place)
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
                        name => return Err(format!("&{name:.40}; is not declared")),
                    },
                    Err(error) => return Err(error.to_string()),
                };
                if let Some((tree, Some(node))) = place {
                    tree.add_text(node, &resolved);
                }
                Ok(Step::Text)
            }
            Event::DocType(_) if self.depth > 0 => Err(DOCTYPE.into()),
            Event::DocType(_) => {
                self.has_doctype = true;
                Ok(Step::Text)
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => Ok(Step::Text),
            Event::Eof if self.depth > 0 => Err(CUT_OFF.into()),
            Event::Eof => Ok(Step::Eof),
        }
    }

    fn open(&mut self, start: &BytesStart<'_>, place: Option<(&mut Tree, Option<NodeId>)>) -> Result<Step, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("elements nested deeper than {MAX_DEPTH}"));
        }
        let raw = start.attributes_raw();
        if memmem::find(raw.as_bytes(), b"xmlns").is_some() {
            for attribute in start.attributes() {
                let attribute = attribute.map_err(|e| e.to_string())?;
                let name: &str = attribute.key.as_ref();
                if name == "xmlns" || name.starts_with("xmlns:") {
                    self.names.declare(self.depth, name, &attribute.value)?;
                }
            }
        }
        let qualified = start.name();
        let written: &str = qualified.as_ref();
        let Some((tree, parent)) = place else {
            let local = written.rsplit(':').next().unwrap_or(written).to_owned();
            return Ok(Step::Open { local, uri: self.names.uri(written).to_owned(), node: None });
        };
        let name = self.names.of(written)?;
        let node = tree.open(name, parent)?;
        if !raw.trim_ascii().is_empty() {
            for attribute in start.attributes() {
                let attribute = attribute.map_err(|e| e.to_string())?;
                let name = AttributeName::of(attribute.key.as_ref());
                if name != AttributeName::Other {
                    let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| e.to_string())?;
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
    source: Box<dyn Read>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    at: Rc<Cell<u64>>,
    limit: Rc<Cell<u64>>,
}

impl Input {
    /// Reads on behind what is there and not yet taken; `false` at the end, or when there is no room.
    fn more(&mut self) -> io::Result<bool> {
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
        if self.at.get() > self.limit.get() {
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
        self.at.set(self.at.get() + count as u64);
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
