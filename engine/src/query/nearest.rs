//! Rows of a layer by their distance from a place.

use std::{cmp::Reverse, collections::BinaryHeap};

use glam::DVec2;

use super::{
    index::{LayerIndex, Place, Tree},
    node::{Key, NODE},
    tree::{BoxTree, Spots},
};
use crate::store::StoreError;

/// Rows of all parts by a lower bound of their distance, nearest first.
///
/// Of each node only the nearest child that was not come to yet is known, so that a question for one row costs little more
/// than the nodes above it.
#[derive(Debug)]
pub struct Nearest<'a> {
    index: &'a LayerIndex,
    at: DVec2,
    z: Option<f64>,
    open: BinaryHeap<Reverse<Step>>,
    top: Spots,
    /// Trees of the parts that were come to.
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    number: u32,
    tree: Tree<'a>,
    spots: Spots,
}

/// Stands for the tree over the parts among the parts that were come to.
const TOP: u32 = u32::MAX;

/// The nearest child of a node that was not come to yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    key: Key,
    node: Node,
}

/// A node of the tree of a part, of those that were come to, or of the tree over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    part: u32,
    level: u32,
    number: u32,
}

impl<'a> Nearest<'a> {
    pub(super) fn new(index: &'a LayerIndex, at: DVec2, z: Option<f64>) -> Self {
        let top = index.top();
        let spots = top.spots(at, z);
        let mut nearest = Self { index, at, z, open: BinaryHeap::with_capacity(16), top: spots, parts: Vec::new() };
        if at.is_finite() && z.is_none_or(f64::is_finite) {
            let node = Node { part: TOP, level: top.levels() as u32 - 1, number: 0 };
            let key = nearest.next_key(node, None);
            nearest.push(key, node, Key::within(f64::INFINITY));
        }
        nearest
    }

    /// The next row and its bound, when that is not above `most`, which must not become larger from call to call.
    pub fn next_within(&mut self, most: f64) -> Result<Option<(f64, Place)>, StoreError> {
        let limit = Key::within(most);
        while let Some(Reverse(Step { key, node })) = self.open.peek().copied() {
            if key > limit {
                return Ok(None);
            }
            self.open.pop();
            let next = self.next_key(node, Some(key));
            self.push(next, node, limit);
            if let Some(found) = self.descend(key, node, limit)? {
                let bound = found.0.bound();
                return Ok((bound <= most).then_some((bound, found.1)));
            }
        }
        Ok(None)
    }

    /// From the child of a node down to a row, as long as nothing nearer is open.
    fn descend(&mut self, mut key: Key, mut node: Node, limit: Key) -> Result<Option<(Key, Place)>, StoreError> {
        loop {
            if !self.tree(node.part).has(node.level as usize, node.number as usize, key) {
                return Ok(None);
            }
            let child = node.number * NODE as u32 + key.child();
            node = match (node.level, node.part) {
                (0, TOP) => self.block(child)?,
                (0, part) => {
                    let part = self.parts[part as usize].number;
                    return Ok(Some((key, (part as usize, child))));
                }
                (level, part) => Node { part, level: level - 1, number: child },
            };
            let keys = self.keys(node);
            key = keys.least();
            if self.open.peek().is_some_and(|Reverse(first)| first.key < key) {
                self.push(key, node, limit);
                return Ok(None);
            }
            if key > limit {
                return Ok(None);
            }
            self.push(keys.above(key).least(), node, limit);
        }
    }

    fn push(&mut self, key: Key, node: Node, limit: Key) {
        if key <= limit {
            self.open.push(Reverse(Step { key, node }));
        }
    }

    fn tree(&self, part: u32) -> &BoxTree {
        if part == TOP { self.index.top() } else { &self.parts[part as usize].tree }
    }

    #[inline]
    fn keys(&self, node: Node) -> super::node::Keys {
        let (level, number) = (node.level as usize, node.number as usize);
        if node.part == TOP {
            return self.index.top().keys(level, number, &self.top);
        }
        let part = &self.parts[node.part as usize];
        part.tree.keys(level, number, &part.spots)
    }

    fn next_key(&self, node: Node, above: Option<Key>) -> Key {
        let keys = self.keys(node);
        above.map_or(keys, |key| keys.above(key)).least()
    }

    fn block(&mut self, number: u32) -> Result<Node, StoreError> {
        let (number, block) = self.index.block(number);
        let known = self.parts.iter().rposition(|part| part.number == number);
        let part = match known {
            Some(part) => part,
            None => {
                let tree = self.index.lasting_tree(number as usize)?;
                let spots = tree.spots(self.at, self.z);
                self.parts.push(Part { number, tree, spots });
                self.parts.len() - 1
            }
        };
        Ok(Node { part: part as u32, level: 1, number: block })
    }
}
