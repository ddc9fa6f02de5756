//! What the events of XML mean: names, trees, depth.

use memchr::memmem;
use quick_xml::{
    XmlVersion,
    events::{BytesStart, Event},
};

use super::{
    name::{Names, Scope},
    tree::{AttributeName, NodeId, Tree},
};

/// Elements within elements.
const MAX_DEPTH: usize = 100;

/// What is said of a file that ends too early.
pub(super) const CUT_OFF: &str = "the file ends in the middle: it is cut off";
/// What is said of document types.
pub(super) const DOCTYPE: &str = "a DOCTYPE: document types can be used for attacks and are refused";

/// What events mean, and how deep they stand.
#[derive(Default)]
pub(super) struct Grammar {
    /// Names of elements.
    pub names: Names,
    /// Elements that are open.
    pub depth: usize,
    is_empty_element: bool,
    /// Whether a document type was met.
    pub has_doctype: bool,
}

impl Grammar {
    /// Goes to a place within a file, `depth` elements deep.
    pub fn enter(&mut self, scope: &Scope, depth: usize) {
        self.names.enter(scope);
        (self.depth, self.is_empty_element) = (depth, false);
    }

    /// Begins the tree of an element whose tag was read.
    pub fn begin(&mut self, tree: &mut Tree, href: Option<&str>) -> Result<(), String> {
        let name = self.names.of("")?;
        tree.clear();
        tree.open(name, None)?;
        if let Some(href) = href {
            tree.attribute(AttributeName::Href, href);
        }
        Ok(())
    }

    /// Ends the element that was just opened where it is an empty one.
    pub fn end_empty(&mut self) -> bool {
        let is_empty = std::mem::take(&mut self.is_empty_element);
        if is_empty {
            self.depth -= 1;
            self.names.leave(self.depth);
        }
        is_empty
    }

    /// Keeps the list of the elements that are open.
    pub fn keep_open(&mut self, step: &Step, open: &mut Vec<NodeId>) {
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

    /// Ends the element that is open.
    pub fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.names.leave(self.depth);
    }

    /// Takes an event; what it opens goes below the node of `place`.
    pub fn take(&mut self, event: Event<'_>, place: Option<(&mut Tree, Option<NodeId>)>) -> Result<Step, String> {
        match event {
            Event::Start(start) => self.open(&start, place),
            Event::Empty(start) => {
                self.is_empty_element = true;
                self.open(&start, place)
            }
            Event::End(_) => {
                self.close();
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

/// What an event was.
pub(super) enum Step {
    /// An element: its name where it goes into no tree.
    Open {
        local: String,
        uri: String,
        node: Option<NodeId>,
    },
    Close,
    Text,
    Eof,
}
