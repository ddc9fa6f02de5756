//! A question for a box on its way through a tree.

use super::{node::NODE, nodes::Wanted, tree::BoxTree};

/// Nodes that wait at most: twice the children of one.
const MOST_WAITING: usize = 2 * NODE;

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
        let mut count = self.count;
        while mask != 0 {
            self.numbers[count % MOST_WAITING] = node * NODE as u32 + mask.trailing_zeros();
            count += 1;
            mask &= mask - 1;
        }
        self.count = count;
        count > MOST_WAITING - NODE
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
    leaves: Waiting,
}

impl<'a, F: FnMut(u32, bool)> Search<'a, F> {
    #[inline(always)]
    pub fn new(tree: &'a BoxTree, wanted: Wanted, found: &'a mut F) -> Self {
        Self { tree, wanted, found, leaves: Waiting::new() }
    }

    /// From the root on.
    pub fn whole(mut self) {
        let mut blocks = Waiting::new();
        match self.tree.levels {
            2 => drop(blocks.add(0)),
            levels => self.descend(levels - 1, 0, &mut blocks),
        }
        self.within(blocks.take());
    }

    /// From these nodes of level 1 on.
    pub fn within(mut self, blocks: &[u32]) {
        self.open_blocks(blocks);
        self.open_leaves();
    }

    /// From level 2 on upwards; the nodes of level 1 wait in `blocks`.
    fn descend(&mut self, level: usize, node: u32, blocks: &mut Waiting) {
        let mut mask = self.tree.upper.hits(self.tree.at(level, node as usize), &self.wanted);
        if level == 2 {
            if blocks.add_children(node, mask) {
                self.open_blocks(blocks.take());
            }
            return;
        }
        while mask != 0 {
            self.descend(level - 1, node * NODE as u32 + mask.trailing_zeros(), blocks);
            mask &= mask - 1;
        }
    }

    #[inline(always)]
    fn open_blocks(&mut self, blocks: &[u32]) {
        for block in blocks {
            self.open_block(*block);
        }
    }

    #[inline(always)]
    fn open_block(&mut self, block: u32) {
        let mask = self.tree.upper.hits(self.tree.at(1, block as usize), &self.wanted);
        if self.leaves.add_children(block, mask) {
            self.open_leaves();
        }
    }

    fn open_leaves(&mut self) {
        let leaves = &self.leaves.numbers[..std::mem::take(&mut self.leaves.count)];
        // One bit for each hit and for each that is not sure, of four leaves in a number: a loop for each leaf would end where no
        // processor expects it. All are looked at before any is told of.
        let mut hits = [(0u64, 0u64); MOST_WAITING / 4];
        for (four, (mask, unsure)) in leaves.chunks(4).zip(&mut hits) {
            for (leaf, place) in four.iter().zip(0..) {
                *mask |= u64::from(self.tree.leaves.hits(*leaf as usize, &self.wanted)) << (place * NODE);
                *unsure |= u64::from(self.tree.leaves.unsure(*leaf as usize, &self.wanted)) << (place * NODE);
            }
        }
        for (four, (mut mask, unsure)) in leaves.chunks(4).zip(hits) {
            while mask != 0 {
                let bit = mask.trailing_zeros();
                let leaf = four[bit as usize / NODE];
                (self.found)(leaf * NODE as u32 + bit % NODE as u32, unsure >> bit & 1 == 0);
                mask &= mask - 1;
            }
        }
    }
}
