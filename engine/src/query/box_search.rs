//! A question for a box on its way through a tree.

use super::{
    node::{Asked, NODE, overlaps, overlaps_on, touches, touches_on},
    tree::BoxTree,
};

/// Nodes that wait at most: twice the children of one.
const MOST_WAITING: usize = 2 * NODE;

/// What a tree is asked for, in its own cells.
pub(super) struct Wanted {
    pub plan: [Asked; 2],
    /// Absent where it reaches over the whole height of the tree.
    pub height: Option<Asked>,
}

/// Numbers of nodes that wait for being looked at together, so that what memory is slow to give is asked for at once.
pub(super) struct Waiting {
    numbers: [u32; MOST_WAITING],
    count: usize,
}

impl Waiting {
    #[inline(always)]
    pub fn new() -> Self {
        Self { numbers: [0; MOST_WAITING], count: 0 }
    }

    /// Whether there may be no room for the children of another node.
    #[inline(always)]
    pub fn add(&mut self, number: u32) -> bool {
        self.numbers[self.count % MOST_WAITING] = number;
        self.count += 1;
        self.count > MOST_WAITING - NODE
    }

    /// As [`Waiting::add`], the children of a node that a mask names.
    #[inline(always)]
    fn add_children(&mut self, node: u32, mut mask: u32) -> bool {
        while mask != 0 {
            self.add(node * NODE as u32 + mask.trailing_zeros());
            mask &= mask - 1;
        }
        self.count > MOST_WAITING - NODE
    }

    #[inline(always)]
    pub fn take(&mut self) -> &[u32] {
        let count = std::mem::take(&mut self.count);
        &self.numbers[..count]
    }
}

/// Hits are told in the order of their numbers.
pub(super) struct Search<'a, F> {
    tree: &'a BoxTree,
    wanted: Wanted,
    found: &'a mut F,
    /// Nodes of level 1.
    blocks: Waiting,
    leaves: Waiting,
}

impl<'a, F: FnMut(u32, bool)> Search<'a, F> {
    #[inline(always)]
    pub fn new(tree: &'a BoxTree, wanted: Wanted, found: &'a mut F) -> Self {
        Self { tree, wanted, found, blocks: Waiting::new(), leaves: Waiting::new() }
    }

    /// From the root on.
    pub fn whole(mut self) {
        match self.tree.levels {
            2 => drop(self.blocks.add(0)),
            levels => self.descend(levels - 1, 0),
        }
        self.open_blocks();
        self.open_leaves();
    }

    /// From these nodes of level 1 on.
    pub fn within(mut self, blocks: &[u32]) {
        for block in blocks {
            self.open_block(*block);
        }
        self.open_leaves();
    }

    /// From level 2 on upwards.
    fn descend(&mut self, level: usize, node: u32) {
        let mut mask = self.hits(self.tree.at(level, node as usize));
        if level == 2 {
            if self.blocks.add_children(node, mask) {
                self.open_blocks();
            }
            return;
        }
        while mask != 0 {
            self.descend(level - 1, node * NODE as u32 + mask.trailing_zeros());
            mask &= mask - 1;
        }
    }

    fn open_blocks(&mut self) {
        for at in 0..std::mem::take(&mut self.blocks.count) {
            self.open_block(self.blocks.numbers[at]);
        }
    }

    #[inline(always)]
    fn open_block(&mut self, block: u32) {
        let mask = self.hits(self.tree.at(1, block as usize));
        if self.leaves.add_children(block, mask) {
            self.open_leaves();
        }
    }

    fn open_leaves(&mut self) {
        // Number of the first box, and one bit for each hit and for each that is not sure.
        let mut hits = [(0, 0, 0); MOST_WAITING];
        let mut count = 0;
        for number in 0..std::mem::take(&mut self.leaves.count) {
            let leaf = self.leaves.numbers[number % MOST_WAITING];
            let at = self.tree.at(0, leaf as usize);
            let mask = self.hits(at);
            hits[count % MOST_WAITING] = (leaf * NODE as u32, mask as u16, self.unsure(at) as u16);
            count += usize::from(mask != 0);
        }
        // Four leaves in one number: a loop for each would end where no processor expects it.
        for four in hits[..count].chunks(4) {
            let bits = |of: fn(&(u32, u16, u16)) -> u16| {
                four.iter().rev().fold(0u64, |bits, leaf| bits << NODE | u64::from(of(leaf)))
            };
            let (mut mask, unsure) = (bits(|leaf| leaf.1), bits(|leaf| leaf.2));
            while mask != 0 {
                let bit = mask.trailing_zeros();
                let first = four[bit as usize / NODE].0;
                (self.found)(first + bit % NODE as u32, unsure >> bit & 1 == 0);
                mask &= mask - 1;
            }
        }
    }

    #[inline(always)]
    fn hits(&self, node: usize) -> u32 {
        let plan = overlaps(&self.tree.plans[node], &self.wanted.plan);
        self.wanted.height.as_ref().map_or(plan, |height| plan & overlaps_on(&self.tree.heights[node], height))
    }

    #[inline(always)]
    fn unsure(&self, node: usize) -> u32 {
        let plan = touches(&self.tree.plans[node], &self.wanted.plan);
        self.wanted.height.as_ref().map_or(plan, |height| plan | touches_on(&self.tree.heights[node], height))
    }
}
