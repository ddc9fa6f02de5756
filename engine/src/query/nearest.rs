//! Rows of a layer by their distance from a place.

use std::{cmp::Reverse, collections::BinaryHeap};

use glam::DVec2;

use super::{
    index::{LayerIndex, Place, Tree},
    node::{Key, Keys, NODE},
    nodes::Spots,
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
    open: Open,
    top: Spots,
    /// Parts that were come to.
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    number: u32,
    tree: Tree<'a>,
    spots: Spots,
}

/// Stands for the tree over all blocks among the parts that were come to.
const TOP: u32 = u32::MAX;

/// The nearest child of a node that was not come to yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    key: Key,
    /// That of the child after it, where it is known.
    next: Option<Key>,
    node: Node,
}

/// A node of the tree of a part, of those that were come to, or of the tree over all blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    part: u32,
    level: u32,
    number: u32,
}

impl<'a> Nearest<'a> {
    pub(super) fn new(index: &'a LayerIndex, at: DVec2, z: Option<f64>) -> Self {
        let top = index.top();
        let mut nearest = Self { index, at, z, open: Open::new(), top: top.spots(at, z), parts: Vec::new() };
        if at.is_finite() && z.is_none_or(f64::is_finite) {
            let node = Node { part: TOP, level: top.levels() as u32 - 1, number: 0 };
            let (key, next) = nearest.keys(node).two_least();
            nearest.open.push(Step { key, next: Some(next), node }, Key::within(f64::INFINITY));
        }
        nearest
    }

    /// The next row and its bound, when that is not above `most`, which must not become larger from call to call.
    pub fn next_within(&mut self, most: f64) -> Result<Option<(f64, Place)>, StoreError> {
        let limit = Key::within(most);
        while let Some(Step { key, next, node }) = self.open.pop(limit) {
            let (next, after) = match next {
                Some(next) => (next, None),
                None => {
                    let (next, after) = self.keys(node).above(key).two_least();
                    (next, Some(after))
                }
            };
            self.open.push(Step { key: next, next: after, node }, limit);
            if let Some((key, place)) = self.descend(key, node, limit)? {
                let bound = key.bound();
                return Ok((bound <= most).then_some((bound, place)));
            }
        }
        Ok(None)
    }

    /// From the child of a node down to a row, as long as nothing nearer is open.
    fn descend(&mut self, mut key: Key, mut node: Node, limit: Key) -> Result<Option<(Key, Place)>, StoreError> {
        while self.has(node, key) {
            let child = node.number * NODE as u32 + key.child();
            node = match (node.level, node.part) {
                (0, TOP) => self.block(child)?,
                (0, part) => {
                    let part = self.parts[part as usize].number;
                    return Ok(Some((key, (part as usize, child))));
                }
                (level, part) => Node { part, level: level - 1, number: child },
            };
            let (first, second) = self.keys(node).two_least();
            if first > self.open.least {
                self.open.push(Step { key: first, next: Some(second), node }, limit);
                return Ok(None);
            }
            if first > limit {
                return Ok(None);
            }
            self.open.push(Step { key: second, next: None, node }, limit);
            key = first;
        }
        Ok(None)
    }

    #[inline(always)]
    fn keys(&self, node: Node) -> Keys {
        let (level, number) = (node.level as usize, node.number as usize);
        match self.parts.get(node.part as usize) {
            Some(part) => part.tree.keys(level, number, &part.spots),
            None => self.index.top().keys(level, number, &self.top),
        }
    }

    /// Whether a node has a child of this key; what is no box has one too.
    #[inline(always)]
    fn has(&self, node: Node, key: Key) -> bool {
        let tree = self.parts.get(node.part as usize).map_or(self.index.top(), |part| &part.tree);
        tree.has(node.level as usize, node.number as usize, key)
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

/// Steps that are few in most questions: a question for one row has about as many as the tree has levels.
const FEW: usize = 12;

/// Steps that were not made yet.
#[derive(Debug)]
struct Open {
    few: [Step; FEW],
    count: usize,
    /// Where the least of the few is.
    first: usize,
    /// The least of all.
    least: Key,
    many: BinaryHeap<Reverse<Step>>,
}

impl Open {
    fn new() -> Self {
        let none = Step { key: Key::NONE, next: None, node: Node { part: TOP, level: 0, number: 0 } };
        Self { few: [none; FEW], count: 0, first: 0, least: Key::NONE, many: BinaryHeap::new() }
    }

    /// What lies beyond the limit is never asked for.
    #[inline(always)]
    fn push(&mut self, step: Step, limit: Key) {
        if step.key > limit {
            return;
        }
        if self.count == FEW {
            self.many.push(Reverse(step));
            self.least = self.least.min(step.key);
            return;
        }
        self.few[self.count] = step;
        if self.count == 0 || step.key < self.few[self.first].key {
            self.first = self.count;
        }
        self.least = self.least.min(step.key);
        self.count += 1;
    }

    #[inline(always)]
    fn pop(&mut self, limit: Key) -> Option<Step> {
        if self.least > limit || self.least == Key::NONE {
            return None;
        }
        let is_of_many = self.count == 0 || self.few[self.first].key > self.least;
        let step = if is_of_many { self.many.pop()?.0 } else { self.few[self.first] };
        if !is_of_many {
            self.count -= 1;
            self.few[self.first] = self.few[self.count];
            self.first = 0;
            for at in 1..self.count {
                if self.few[at].key < self.few[self.first].key {
                    self.first = at;
                }
            }
        }
        let few = if self.count > 0 { self.few[self.first].key } else { Key::NONE };
        self.least = self.many.peek().map_or(few, |Reverse(step)| few.min(step.key));
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use glam::DVec3;

    use super::*;
    use crate::model::Extent;

    /// Repeatable numbers below one (xorshift).
    fn dice(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    fn exact(extent: &Extent, at: DVec2, z: Option<f64>) -> f64 {
        let at = at.extend(z.unwrap_or(0.0));
        let gap = (extent.min - at).max(at - extent.max).max(DVec3::ZERO);
        if z.is_some() { gap.length() } else { gap.truncate().length() }
    }

    /// An index over 70 000 boxes in three parts, each fiftieth of them no box, with the boxes in its order.
    fn made() -> (LayerIndex, Vec<Extent>) {
        let mut roll = dice(5);
        let boxes: Vec<Extent> = (0..70_000)
            .map(|number| {
                let min = DVec3::new(9_500_000.0 + roll() * 8_000.0, -3_000_000.0 + roll() * 5_000.0, roll() * 300.0);
                let max = min + DVec3::new(roll(), roll(), roll()) * 25.0;
                if number % 50 == 7 { Extent::EMPTY } else { Extent { min, max } }
            })
            .collect();
        let (index, order) = LayerIndex::packed(&boxes);
        (index, order.iter().map(|number| boxes[*number as usize]).collect())
    }

    fn row((part, row): Place) -> usize {
        part * LayerIndex::PART_ROWS + row as usize
    }

    #[test]
    fn all_rows_come_once_and_in_order() {
        let (index, boxes) = made();
        // Within, at the rim, and a continent away.
        for (x, y, z) in [(0.5, 0.5, Some(100.0)), (0.0, 1.0, None), (-400.0, 9.0, None), (0.3, 0.2, Some(-9e6))] {
            let at = DVec2::new(9_500_000.0 + x * 8_000.0, -3_000_000.0 + y * 5_000.0);
            let mut nearest = index.nearest(at, z);
            let mut seen = vec![false; boxes.len()];
            let mut last = 0.0;
            while let Some((bound, place)) = nearest.next_within(f64::INFINITY).unwrap() {
                let distance = exact(&boxes[row(place)], at, z);
                assert!(bound <= distance && distance - bound < 1.0 + distance * 1e-5, "{bound} of {distance}");
                assert!(bound >= last * (1.0 - 1e-5), "{bound} after {last}");
                assert!(!std::mem::replace(&mut seen[row(place)], true), "a row comes once");
                last = bound;
            }
            assert!(seen.iter().zip(&boxes).all(|(seen, extent)| *seen != extent.is_empty()));
        }
        for at in [DVec2::INFINITY, DVec2::NAN, DVec2::new(f64::NEG_INFINITY, 0.0)] {
            assert!(index.nearest(at, None).next_within(f64::INFINITY).unwrap().is_none());
        }
    }

    #[test]
    fn the_nearest_row_is_the_nearest_by_looking_at_each() {
        let (index, boxes) = made();
        let mut roll = dice(11);
        for round in 0..150 {
            let at = DVec2::new(9_499_000.0 + roll() * 10_000.0, -3_001_000.0 + roll() * 7_000.0);
            let z = (round % 3 == 0).then(|| roll() * 500.0 - 100.0);
            let mut found = f64::INFINITY;
            let mut nearest = index.nearest(at, z);
            while let Some((bound, place)) = nearest.next_within(found).unwrap() {
                assert!(bound <= found);
                found = found.min(exact(&boxes[row(place)], at, z));
            }
            let all = boxes.iter().filter(|extent| !extent.is_empty()).map(|extent| exact(extent, at, z));
            assert_eq!(found, all.fold(f64::INFINITY, f64::min));
        }
    }
}
