//! A CityGML file as a stream of members, each read into a tree of bounded size.

use std::{
    io::{self, BufRead},
    path::{Path, PathBuf},
};

use memchr::{memchr, memchr2, memchr3, memmem};
use quick_xml::{
    Reader,
    events::{BytesStart, BytesText, Event},
};

use super::{
    grammar::{CUT_OFF, DOCTYPE, Grammar, Step},
    input::Input,
    name::{Names, Scope, Space, space_of},
    seek::{Seeker, Sought},
    tree::{NodeId, Tree},
};
use crate::format::ImportError;

/// Text of one member that is kept until it is read.
const MAX_MEMBER_BYTES: usize = 512 << 20;

/// A file being read.
pub(super) struct Source {
    path: PathBuf,
    reader: Reader<Input>,
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
        let input = Input::open(path).map_err(|source| ImportError::Io { path: path.into(), source })?;
        Ok(Self {
            path: path.into(),
            reader: Reader::from_reader(input),
            buffer: Vec::new(),
            grammar: Grammar::default(),
            members: 0,
            has_root: false,
            raw: None,
        })
    }

    /// Bytes read so far.
    pub fn at(&self) -> u64 {
        self.reader.get_ref().at()
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

    /// Passes over the members up to this number, which an import before has taken.
    pub fn leap_to(&mut self, members: u64) -> Result<(), ImportError> {
        let mut tree = Tree::default();
        while self.members < members && self.part(&mut tree, |_| Use::Leap)? != Part::End {}
        Ok(())
    }

    /// Members met so far.
    pub fn members(&self) -> u64 {
        self.members
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
            let mut stream = self.reader.stream();
            stream.get_mut().begin_event();
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
        self.reader.get_mut().begin_event();
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
        if self.fill_plain(grammar, tree).is_some() {
            return Ok(());
        }
        let mut reader = Reader::from_reader(self.content.as_slice());
        self.fill(&mut reader, grammar, tree).map_err(|reason| ImportError::Bad {
            path: path.into(),
            place: format!("byte {}, after {} members", self.start + reader.buffer_position(), self.record),
            reason,
        })
    }

    /// Reads what most members are made of, tags and texts without references, at half the price. `None` for anything
    /// else, faults included: then all is read anew by the library.
    fn fill_plain(&self, grammar: &mut Grammar, tree: &mut Tree) -> Option<()> {
        let text =
            std::str::from_utf8(&self.content).ok().filter(|text| !self.is_cut && !text.starts_with('\u{feff}'))?;
        grammar.enter(&self.scope, self.depth);
        grammar.begin(tree, self.href.as_deref()).ok()?;
        let mut open: Vec<NodeId> = vec![0];
        let mut names: Vec<&str> = Vec::new();
        let mut at = 0;
        loop {
            let rest = text.get(at..)?;
            let Some(length) = memchr2(b'<', b'&', rest.as_bytes()) else {
                let is_whole = names.is_empty() && rest.bytes().all(|b| b.is_ascii_whitespace());
                return is_whole.then_some(());
            };
            if length > 0 {
                let place = Some((&mut *tree, open.last().copied()));
                grammar.take(Event::Text(BytesText::from_escaped(rest.get(..length)?)), place).ok()?;
            }
            let tag = rest.get(length..)?;
            let end = tag_end(tag.as_bytes())?;
            at += length + end + 1;
            match tag.as_bytes().get(1)? {
                b'/' => {
                    let name = tag.get(2..end)?.trim_end_matches(BLANKS);
                    names.pop().filter(|open| *open == name)?;
                    open.pop();
                    grammar.close();
                }
                b'!' | b'?' => return None,
                _ => {
                    let content = tag.get(1..end)?;
                    let plain = content.strip_suffix('/').unwrap_or(content);
                    let name_length = plain.find(BLANKS).unwrap_or(plain.len());
                    let start = BytesStart::from_content(plain, name_length);
                    let is_empty = plain.len() < content.len();
                    let event = if is_empty { Event::Empty(start) } else { Event::Start(start) };
                    let step = grammar.take(event, Some((&mut *tree, open.last().copied()))).ok()?;
                    grammar.keep_open(&step, &mut open);
                    if !is_empty {
                        names.push(plain.get(..name_length)?);
                    }
                }
            }
        }
    }

    fn fill(&self, reader: &mut Reader<&[u8]>, grammar: &mut Grammar, tree: &mut Tree) -> Result<(), String> {
        grammar.enter(&self.scope, self.depth);
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

/// White space within tags.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Where the `>` of a tag stands, behind the values in quotes; `None` for what is no tag.
fn tag_end(tag: &[u8]) -> Option<usize> {
    if tag.first() != Some(&b'<') {
        return None;
    }
    if tag.get(1) == Some(&b'/') {
        return memchr(b'>', tag);
    }
    let mut at = 1;
    loop {
        let found = at + memchr3(b'>', b'"', b'\'', tag.get(at..)?)?;
        match tag.get(found)? {
            b'>' => return Some(found),
            quote => at = found + 2 + memchr(*quote, tag.get(found + 1..)?)?,
        }
    }
}
