//! One member of a city model as a tree of flat arrays, used again for the next member.

use super::name::{Name, Space};

/// Elements that one member may have.
const MAX_NODES: usize = 8_000_000;
/// Text that one member may have.
const MAX_TEXT_BYTES: usize = 256 << 20;

/// An element within its tree.
pub(super) type NodeId = u32;

const NONE: u32 = u32::MAX;

struct Node {
    name: Name,
    first_child: u32,
    last_child: u32,
    next: u32,
    text: (u32, u32),
    attributes: (u32, u32),
}

struct Attribute {
    name: AttributeName,
    value: (u32, u32),
}

/// The attributes that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttributeName {
    Id,
    Href,
    SrsName,
    SrsDimension,
    /// `name` of generic attributes.
    Name,
    Uom,
    CodeSpace,
    Orientation,
    /// Target of a texture.
    Uri,
    /// Ring that texture coordinates belong to.
    Ring,
    /// Anything else.
    Other,
}

impl AttributeName {
    /// By its name with prefix.
    pub fn of(name: &str) -> Self {
        match name.rsplit(':').next().unwrap_or(name) {
            "id" => Self::Id,
            "href" => Self::Href,
            "srsName" => Self::SrsName,
            "srsDimension" => Self::SrsDimension,
            "name" => Self::Name,
            "uom" => Self::Uom,
            "codeSpace" => Self::CodeSpace,
            "orientation" => Self::Orientation,
            "uri" => Self::Uri,
            "ring" => Self::Ring,
            _ => Self::Other,
        }
    }
}

/// Elements with their texts and attributes; the first is the root.
#[derive(Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    text: String,
    attributes: Vec<Attribute>,
}

impl Tree {
    /// Without anything.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.text.clear();
        self.attributes.clear();
    }

    /// Adds an element; `Err` when the member is too large.
    pub fn open(&mut self, name: Name, parent: Option<NodeId>) -> Result<NodeId, String> {
        if self.nodes.len() >= MAX_NODES || self.text.len() > MAX_TEXT_BYTES {
            return Err(format!("one member of more than {MAX_NODES} elements or {} MiB", MAX_TEXT_BYTES >> 20));
        }
        let id = self.nodes.len() as u32;
        let attributes = self.attributes.len() as u32;
        self.nodes.push(Node {
            name,
            first_child: NONE,
            last_child: NONE,
            next: NONE,
            text: (0, 0),
            attributes: (attributes, attributes),
        });
        if let Some(parent) = parent {
            let before = match self.nodes.get_mut(parent as usize) {
                Some(node) => {
                    let before = node.last_child;
                    node.last_child = id;
                    if before == NONE {
                        node.first_child = id;
                    }
                    before
                }
                None => NONE,
            };
            if let Some(before) = self.nodes.get_mut(before as usize) {
                before.next = id;
            }
        }
        Ok(id)
    }

    /// Gives the element that was opened last an attribute.
    pub fn attribute(&mut self, name: AttributeName, value: &str) {
        let start = self.text.len() as u32;
        self.text.push_str(value);
        self.attributes.push(Attribute { name, value: (start, self.text.len() as u32) });
        if let Some(node) = self.nodes.last_mut() {
            node.attributes.1 = self.attributes.len() as u32;
        }
    }

    /// Adds to the text of an element. Text after child elements is no content in GML and is left.
    pub fn add_text(&mut self, id: NodeId, text: &str) {
        let length = self.text.len() as u32;
        let Some(node) = self.nodes.get_mut(id as usize).filter(|node| node.first_child == NONE) else { return };
        if node.text == (0, 0) {
            node.text = (length, length);
        }
        if node.text.1 == length {
            self.text.push_str(text);
            node.text.1 = self.text.len() as u32;
        }
    }

    /// Name.
    pub fn name(&self, id: NodeId) -> Name {
        self.nodes.get(id as usize).map_or(Name::default(), |n| n.name)
    }

    /// Child elements.
    pub fn children(&self, id: NodeId) -> Children<'_> {
        Children { tree: self, next: self.nodes.get(id as usize).map_or(NONE, |n| n.first_child) }
    }

    /// The only or first child.
    pub fn first_child(&self, id: NodeId) -> Option<NodeId> {
        self.children(id).next()
    }

    /// Text without white space around it.
    pub fn text(&self, id: NodeId) -> &str {
        let range = self.nodes.get(id as usize).map_or((0, 0), |n| n.text);
        self.text.get(range.0 as usize..range.1 as usize).unwrap_or("").trim()
    }

    /// An attribute.
    pub fn get(&self, id: NodeId, name: AttributeName) -> Option<&str> {
        let node = self.nodes.get(id as usize)?;
        let list = self.attributes.get(node.attributes.0 as usize..node.attributes.1 as usize)?;
        let value = list.iter().find(|a| a.name == name)?.value;
        self.text.get(value.0 as usize..value.1 as usize)
    }

    /// The elements from the root down in the order of the text.
    pub fn all(&self) -> impl Iterator<Item = NodeId> + use<> {
        0..self.nodes.len() as u32
    }
}

/// Child elements of one element.
pub(super) struct Children<'t> {
    tree: &'t Tree,
    next: u32,
}

impl Iterator for Children<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        let id = self.next;
        self.next = self.tree.nodes.get(id as usize)?.next;
        Some(id)
    }
}

/// A tree with the names of its elements.
#[derive(Clone, Copy)]
pub(super) struct View<'t> {
    pub tree: &'t Tree,
    pub names: &'t super::name::Names,
}

impl<'t> View<'t> {
    /// Name without prefix.
    pub fn local(self, id: NodeId) -> &'t str {
        self.names.local(self.tree.name(id))
    }

    /// Where the name comes from.
    pub fn space(self, id: NodeId) -> Space {
        self.names.space(self.tree.name(id))
    }

    /// Child elements.
    pub fn children(self, id: NodeId) -> Children<'t> {
        self.tree.children(id)
    }

    /// The first child with this name.
    pub fn child(self, id: NodeId, local: &str) -> Option<NodeId> {
        self.children(id).find(|child| self.local(*child) == local)
    }
}
