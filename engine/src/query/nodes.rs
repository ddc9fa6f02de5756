//! Nodes of a tree in a row, and what they are asked.

use super::node::{Asked, Axis, Keys, Plan, Span, Spot, overlaps, overlaps_on, touches, touches_on};

/// What a tree is asked for, in its own cells.
pub(super) struct Wanted {
    pub plan: [Asked; 2],
    /// Absent where it reaches over the whole height of the tree.
    pub height: Option<Asked>,
}

/// Where a tree is asked for what lies near, in its own cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spots {
    pub plan: [Spot; 2],
    pub height: Option<Spot>,
}

/// Nodes of a tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Nodes {
    plans: Vec<Plan>,
    /// Apart, since most questions are asked in plan.
    heights: Vec<Axis>,
}

impl Nodes {
    /// Bytes of a node.
    pub const BYTES: usize = 3 * Axis::BYTES;

    pub fn absent(count: usize) -> Self {
        Self { plans: vec![Plan::ABSENT; count], heights: vec![Axis::ABSENT; count] }
    }

    pub fn set(&mut self, node: usize, child: usize, [x, y, z]: [Span; 3]) {
        self.plans[node].0[0].set(child, x);
        self.plans[node].0[1].set(child, y);
        self.heights[node].set(child, z);
    }

    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// Whether a node has this child.
    #[inline(always)]
    pub fn has(&self, node: usize, child: usize) -> bool {
        self.plans[node].0[0].get(child).is_some()
    }

    /// The spans of a child, where there is one.
    pub fn get(&self, node: usize, child: usize) -> Option<[Span; 3]> {
        let [x, y] = &self.plans[node].0;
        Some([x.get(child)?, y.get(child)?, self.heights[node].get(child)?])
    }

    /// The spans around all children.
    pub fn around(&self, node: usize) -> [Span; 3] {
        let [x, y] = &self.plans[node].0;
        [x.around(), y.around(), self.heights[node].around()]
    }

    /// One bit for each child that overlaps.
    #[inline(always)]
    pub fn hits(&self, node: usize, wanted: &Wanted) -> u32 {
        let plan = overlaps(&self.plans[node], &wanted.plan);
        wanted.height.as_ref().map_or(plan, |height| plan & overlaps_on(&self.heights[node], height))
    }

    /// One bit for each child of which it is not sure whether it overlaps, if it does.
    #[inline(always)]
    pub fn unsure(&self, node: usize, wanted: &Wanted) -> u32 {
        let plan = touches(&self.plans[node], &wanted.plan);
        wanted.height.as_ref().map_or(plan, |height| plan | touches_on(&self.heights[node], height))
    }

    /// How far the children are.
    #[inline(always)]
    pub fn keys(&self, node: usize, spots: &Spots) -> Keys {
        let height = spots.height.as_ref().map(|spot| (&self.heights[node], spot));
        Keys::new(&self.plans[node], &spots.plan, height)
    }

    pub fn to_bytes(&self, out: &mut Vec<u8>) {
        for (plan, height) in self.plans.iter().zip(&self.heights) {
            [plan.0[0], plan.0[1], *height].iter().for_each(|axis| axis.to_bytes(out));
        }
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        let axis = |node: &[u8], at: usize| Axis::from_bytes(&node[at * Axis::BYTES..(at + 1) * Axis::BYTES]);
        let nodes = || bytes.chunks_exact(Self::BYTES);
        Self {
            plans: nodes().map(|node| Plan([axis(node, 0), axis(node, 1)])).collect(),
            heights: nodes().map(|node| axis(node, 2)).collect(),
        }
    }
}
