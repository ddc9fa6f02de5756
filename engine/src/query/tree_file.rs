//! The file of a tree: its outline first, which tells where its blocks lie, then the nodes that hold the boxes.

use glam::DVec3;

use super::{
    grid::Grid,
    node::NODE,
    nodes::Nodes,
    tree::{BoxTree, level_sizes},
};
use crate::model::Extent;

/// What the file of a tree begins with: what it is, and the number of the format.
const MAGIC: &[u8; 8] = b"GLTREE02";
/// Of the magic, what it is.
const KIND: &[u8] = b"GLTREE";
/// Magic, count, twelve numbers, and the first bytes of a hash over these and the upper nodes.
pub(super) const HEAD_BYTES: usize = 16 + 12 * 8 + 8;

/// What the beginning of a tree's file tells.
pub(super) struct Outline {
    /// The box around all.
    pub extent: Extent,
    /// Of each node of level 1.
    pub blocks: Vec<Extent>,
}

impl BoxTree {
    /// The tree as the content of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.bytes());
        out.extend(MAGIC);
        out.extend((self.count as u64).to_le_bytes());
        for v in [self.extent.min, self.extent.max, self.grid.origin, self.grid.cells_per_m] {
            v.to_array().iter().for_each(|n| out.extend(n.to_le_bytes()));
        }
        out.extend([0; 8]);
        self.upper.to_bytes(&mut out);
        self.leaves.to_bytes(&mut out);
        let check = check(&out[..HEAD_BYTES + self.firsts[1] * Nodes::BYTES]);
        out[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&check);
        out
    }

    /// Whether a file that begins with `head` is a tree of another format than this one.
    pub(super) fn is_of_other_format(head: &[u8]) -> bool {
        head.starts_with(KIND) && head.len() > MAGIC.len() && !head.starts_with(MAGIC)
    }

    /// How many bytes the outline takes of a file that begins with `head`.
    pub(super) fn outline_bytes(head: &[u8]) -> Option<usize> {
        Some(HEAD_BYTES + Self::head(head)?.firsts[1] * Nodes::BYTES)
    }

    /// The outline, of the first [`BoxTree::outline_bytes`] of a file; `None` when they are damaged.
    pub(super) fn outline(bytes: &[u8]) -> Option<Outline> {
        let mut tree = Self::head(bytes)?;
        tree.upper = Nodes::from_bytes(tree.checked(bytes)?);
        Some(Outline { extent: tree.extent, blocks: tree.blocks() })
    }

    /// The tree of a file; `None` when the file is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut tree = Self::head(bytes)?;
        tree.checked(bytes)?;
        let sizes = level_sizes(tree.count);
        let nodes = bytes.get(HEAD_BYTES..)?;
        let [upper, leaves] = [sizes[1..].iter().sum::<usize>(), sizes[0]].map(|count| count * Nodes::BYTES);
        if nodes.len() != upper + leaves {
            return None;
        }
        (tree.upper, tree.leaves) = (Nodes::from_bytes(&nodes[..upper]), Nodes::from_bytes(&nodes[upper..]));
        tree.has_no_more_than(&sizes).then_some(tree)
    }

    /// Whether the last node of each level has no more children than there are.
    fn has_no_more_than(&self, sizes: &[usize]) -> bool {
        let below = [self.count].into_iter().chain(sizes.iter().copied());
        sizes.iter().zip(below).enumerate().all(|(level, (size, children))| {
            let (nodes, node) = self.node(level, size - 1);
            (0..NODE).all(|child| (size - 1) * NODE + child < children || !nodes.has(node, child))
        })
    }

    /// The nodes of an outline, when they are as they were written.
    fn checked<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let outline = bytes.get(..HEAD_BYTES + self.firsts[1] * Nodes::BYTES)?;
        (outline[HEAD_BYTES - 8..HEAD_BYTES] == check(outline)).then_some(&outline[HEAD_BYTES..])
    }

    /// A tree without nodes.
    fn head(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.get(..HEAD_BYTES)?.strip_prefix(MAGIC)?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok().filter(|count| *count <= u32::MAX as usize)?;
        let mut numbers = [0.0; 12];
        for (number, bytes) in numbers.iter_mut().zip(rest.chunks_exact(8)) {
            *number = f64::from_le_bytes(bytes.try_into().ok()?);
        }
        let three = |at: usize| DVec3::new(numbers[at], numbers[at + 1], numbers[at + 2]);
        let (extent, grid) =
            (Extent { min: three(0), max: three(3) }, Grid { origin: three(6), cells_per_m: three(9) });
        let is_sound =
            grid.origin.is_finite() && grid.cells_per_m.is_finite() && grid.cells_per_m.cmpgt(DVec3::ZERO).all();
        is_sound.then(|| Self::without_nodes(count, extent, grid))
    }
}

/// The first bytes of a hash over a head, without those bytes themselves, and the upper nodes.
fn check(outline: &[u8]) -> [u8; 8] {
    let mut hash = blake3::Hasher::new();
    hash.update(&outline[..HEAD_BYTES - 8]).update(&outline[HEAD_BYTES..]);
    std::array::from_fn(|byte| hash.finalize().as_bytes()[byte])
}

#[cfg(test)]
mod tests {
    use super::{super::tree::tests::Dice, *};

    #[test]
    fn a_tree_comes_back_from_its_file_and_a_damaged_one_does_not() {
        let mut dice = Dice(3);
        for n in [0, 1, 16, 17, 300, 5000] {
            let tree = BoxTree::new(&dice.boxes(n));
            let bytes = tree.to_bytes();
            assert_eq!(BoxTree::from_bytes(&bytes).as_ref(), Some(&tree));
            let outline = BoxTree::outline(&bytes[..BoxTree::outline_bytes(&bytes).unwrap()]).unwrap();
            assert_eq!((outline.extent, outline.blocks), (tree.extent, tree.blocks()));
            assert!(n < 5000 || bytes.len() < n * 14, "{} bytes for {n}", bytes.len());
            for cut in [0, 7, 15, HEAD_BYTES - 1, bytes.len() - 1] {
                assert!(cut >= bytes.len() || BoxTree::from_bytes(&bytes[..cut]).is_none());
            }
            assert!(BoxTree::from_bytes(&[&bytes[..], b"x"].concat()).is_none());
        }
        let mut bytes = BoxTree::new(&dice.boxes(20)).to_bytes();
        bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(BoxTree::from_bytes(&bytes).is_none());
        // A twenty-first box among twenty.
        let mut bytes = BoxTree::new(&dice.boxes(21)).to_bytes();
        bytes[8] = 20;
        let check = check(&bytes[..HEAD_BYTES]);
        bytes[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&check);
        assert!(BoxTree::from_bytes(&bytes).is_none());
    }
}
