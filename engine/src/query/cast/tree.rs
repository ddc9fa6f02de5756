//! The tree over the boxes: eight children to a node.
//!
//! A binary tree is cut where the surface area heuristic says (16 bins along each axis) and then gathered into nodes of
//! eight so that their areas, and with them the nodes that a ray comes to, are least.

use glam::{Vec3A, Vec4};

/// Children of a node.
pub(super) const WIDTH: usize = 8;
/// Registers of four that hold a number for each child.
pub(super) const FOURS: usize = WIDTH / 4;
/// Triangles of a leaf.
pub(super) const LEAF_TRIANGLES: usize = 4;
/// From this depth on branches are cut into equal parts, so that the tree ends.
const GREEDY_DEPTH: usize = 48;
/// Bins of a cut.
const BINS: usize = 16;
/// Fewer items are not worth a thread.
const ALONE: usize = 4096;

/// What lies in a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Node,
    Prism,
    Triangles,
    Solid,
}

/// A node or a leaf: kind and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link(pub u32);

impl Link {
    /// Most of one kind.
    pub const MOST: usize = 1 << 30;

    pub fn new(kind: Kind, number: usize) -> Self {
        debug_assert!(number < Self::MOST);
        Self((kind as u32) << 30 | number as u32)
    }

    pub fn kind(self) -> Kind {
        match self.0 >> 30 {
            0 => Kind::Node,
            1 => Kind::Prism,
            2 => Kind::Triangles,
            _ => Kind::Solid,
        }
    }

    pub fn number(self) -> usize {
        (self.0 & (Self::MOST as u32 - 1)) as usize
    }
}

/// A box in f32, never smaller than what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub low: Vec3A,
    pub high: Vec3A,
}

impl Bounds {
    pub const EMPTY: Self = Self { low: Vec3A::INFINITY, high: Vec3A::NEG_INFINITY };

    pub fn merge(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    fn half_area(self) -> f32 {
        let size = (self.high - self.low).max(Vec3A::ZERO);
        size.x * size.y + size.y * size.z + size.z * size.x
    }
}

/// One thing to be put into the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub low: [f32; 3],
    pub high: [f32; 3],
    pub link: Link,
}

impl Item {
    fn bounds(&self) -> Bounds {
        Bounds { low: Vec3A::from_array(self.low), high: Vec3A::from_array(self.high) }
    }

    /// Twice its middle.
    fn middle(&self) -> Vec3A {
        Vec3A::from_array(self.low) + Vec3A::from_array(self.high)
    }
}

/// Boxes of eight children side by side: lowest x, y, z, highest x, y, z.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Node {
    pub planes: [[Vec4; FOURS]; 6],
    pub children: [Link; WIDTH],
}

impl Node {
    fn empty() -> Self {
        let (low, high) = ([Vec4::INFINITY; FOURS], [Vec4::NEG_INFINITY; FOURS]);
        Self { planes: [low, low, low, high, high, high], children: [Link(0); WIDTH] }
    }

    fn set(&mut self, at: usize, bounds: Bounds, link: Link) {
        for axis in 0..3 {
            self.planes[axis][at / 4][at % 4] = bounds.low[axis];
            self.planes[axis + 3][at / 4][at % 4] = bounds.high[axis];
        }
        self.children[at] = link;
    }
}

/// A part of the binary tree that grows first.
pub(super) struct Branch {
    bounds: Bounds,
    kids: Kids,
    /// How it is best spread over 1 to 8 places in the node above. A branch in one place is a node of its own.
    plans: [Plan; WIDTH],
}

/// The least area of nodes below, and how many of the places go left: 0 where one place less does as well.
type Plan = (f32, u8);

enum Kids {
    Two(Box<[Branch; 2]>),
    /// Items from, up to.
    Items(usize, usize),
}

/// Puts the items, at least one, in order and says how they hang together; if not `is_greedy`, in halves of equal number, so that no
/// path is long.
pub(super) fn grow(items: &mut [Item], is_greedy: bool) -> Branch {
    grow_at(items, 0, if is_greedy { 0 } else { GREEDY_DEPTH })
}

fn is_leaf(items: &[Item]) -> bool {
    items.len() == 1 || (items.len() <= LEAF_TRIANGLES && items.iter().all(|i| i.link.kind() == Kind::Triangles))
}

fn around(items: &[Item]) -> Bounds {
    items.iter().fold(Bounds::EMPTY, |all, item| all.merge(item.bounds()))
}

fn grow_at(items: &mut [Item], from: usize, depth: usize) -> Branch {
    let bounds = around(items);
    if is_leaf(items) {
        let plans = [(0.0, 0); WIDTH];
        return Branch { bounds, kids: Kids::Items(from, from + items.len()), plans };
    }
    let count = items.len();
    let middle = cut(items, depth < GREEDY_DEPTH);
    let (left, right) = items.split_at_mut(middle);
    let of_left = |items| grow_at(items, from, depth + 1);
    let of_right = |items| grow_at(items, from + middle, depth + 1);
    let (left, right) = match count > ALONE {
        true => rayon::join(|| of_left(left), || of_right(right)),
        false => (of_left(left), of_right(right)),
    };
    let plans = plan(&bounds, &left, &right);
    Branch { bounds, kids: Kids::Two(Box::new([left, right])), plans }
}

/// How a branch is best spread over places, after Ylitie and others, 2017.
fn plan(bounds: &Bounds, left: &Branch, right: &Branch) -> [Plan; WIDTH] {
    let mut plans = [(f32::INFINITY, 0); WIDTH];
    let mut spread: [Plan; WIDTH + 1] = [(f32::INFINITY, 0); WIDTH + 1];
    for (places, best) in spread.iter_mut().enumerate().skip(2) {
        for to_left in 1..places {
            let cost = left.plans[to_left - 1].0 + right.plans[places - to_left - 1].0;
            if cost < best.0 {
                *best = (cost, to_left as u8);
            }
        }
    }
    plans[0] = (spread[WIDTH].0 + bounds.half_area(), 0);
    for places in 2..=WIDTH {
        plans[places - 1] =
            if spread[places].0 < plans[places - 2].0 { spread[places] } else { (plans[places - 2].0, 0) };
    }
    plans
}

#[derive(Clone, Copy)]
struct Bin {
    bounds: Bounds,
    count: u32,
    triangles: u32,
}

impl Bin {
    const EMPTY: Self = Self { bounds: Bounds::EMPTY, count: 0, triangles: 0 };

    fn merge(self, other: Self) -> Self {
        Self {
            bounds: self.bounds.merge(other.bounds),
            count: self.count + other.count,
            triangles: self.triangles + other.triangles,
        }
    }

    /// What a ray pays that comes near: triangles go by fours.
    fn cost(&self) -> f32 {
        let leaves = self.count - self.triangles + self.triangles.div_ceil(LEAF_TRIANGLES as u32);
        self.bounds.half_area() * leaves as f32
    }
}

/// Cuts the items in two and returns where the second part begins.
fn cut(items: &mut [Item], is_greedy: bool) -> usize {
    let middles = items.iter().fold(Bounds::EMPTY, |all, item| {
        let middle = item.middle();
        all.merge(Bounds { low: middle, high: middle })
    });
    let size = middles.high - middles.low;
    let half = items.len() / 2;
    if !is_greedy {
        let axis = size.max_position();
        items.select_nth_unstable_by(half, |a, b| a.middle()[axis].total_cmp(&b.middle()[axis]));
        return half;
    }
    let scale = Vec3A::splat(BINS as f32 * 0.999_99) / size.max(Vec3A::splat(1e-30));
    let bin_of = |item: &Item| ((item.middle() - middles.low) * scale).min(Vec3A::splat(BINS as f32 - 1.0));
    let mut bins = [[Bin::EMPTY; BINS]; 3];
    for item in items.iter() {
        let (place, bounds) = (bin_of(item), item.bounds());
        for axis in 0..3 {
            let bin = &mut bins[axis][place[axis] as usize & (BINS - 1)];
            bin.bounds = bin.bounds.merge(bounds);
            bin.count += 1;
            bin.triangles += u32::from(item.link.kind() == Kind::Triangles);
        }
    }
    let mut best = (f32::INFINITY, 0, 0);
    for (axis, bins) in bins.iter().enumerate() {
        if size[axis] <= 0.0 {
            continue;
        }
        let mut right = [0.0_f32; BINS];
        let mut side = Bin::EMPTY;
        for at in (1..BINS).rev() {
            side = side.merge(bins[at]);
            right[at] = side.cost();
        }
        side = Bin::EMPTY;
        for at in 1..BINS {
            side = side.merge(bins[at - 1]);
            let cost = side.cost() + right[at];
            if side.count > 0 && (side.count as usize) < items.len() && cost < best.0 {
                best = (cost, axis, at);
            }
        }
    }
    let (cost, axis, at) = best;
    if cost == f32::INFINITY {
        return half;
    }
    let is_left = |item: &Item| (bin_of(item)[axis] as usize & (BINS - 1)) < at;
    let mut end = 0;
    for next in 0..items.len() {
        if is_left(&items[next]) {
            items.swap(end, next);
            end += 1;
        }
    }
    if end == 0 || end == items.len() { half } else { end }
}

/// The tree in one list, the root first; `leaf` stores the items of a leaf and says where they are.
pub(super) fn flatten(root: &Branch, items: &[Item], leaf: &mut dyn FnMut(&[Item]) -> Link) -> Vec<Node> {
    let mut nodes = Vec::new();
    place(root, items, leaf, &mut nodes);
    nodes
}

/// Nodes one below the other.
pub(super) fn depth_of(branch: &Branch) -> usize {
    let mut kids = Vec::with_capacity(WIDTH);
    match &branch.kids {
        Kids::Items(..) => return 1,
        Kids::Two(_) => open(branch, WIDTH, true, &mut kids),
    }
    let inner = kids.into_iter().filter(|kid| matches!(kid.kids, Kids::Two(_)));
    1 + inner.map(depth_of).max().unwrap_or(0)
}

fn place(branch: &Branch, items: &[Item], leaf: &mut dyn FnMut(&[Item]) -> Link, nodes: &mut Vec<Node>) -> Link {
    let number = nodes.len();
    nodes.push(Node::empty());
    let mut kids = Vec::with_capacity(WIDTH);
    match &branch.kids {
        Kids::Items(..) => kids.push(branch),
        Kids::Two(_) => open(branch, WIDTH, true, &mut kids),
    }
    for (at, kid) in kids.into_iter().enumerate() {
        let link = match kid.kids {
            Kids::Items(from, to) => leaf(&items[from..to]),
            Kids::Two(_) => place(kid, items, leaf, nodes),
        };
        nodes[number].set(at, kid.bounds, link);
    }
    Link::new(Kind::Node, number)
}

/// The branches that take the places.
fn open<'a>(branch: &'a Branch, places: usize, is_node: bool, kids: &mut Vec<&'a Branch>) {
    let Kids::Two(two) = &branch.kids else {
        kids.push(branch);
        return;
    };
    // The fewest places with the same cost say how they are spread.
    let mut places = places;
    while !is_node && places > 1 && branch.plans[places - 1].1 == 0 {
        places -= 1;
    }
    if places == 1 {
        kids.push(branch);
        return;
    }
    let [left, right] = &**two;
    let to_left = if is_node { best_left(left, right, places) } else { usize::from(branch.plans[places - 1].1) };
    open(left, to_left, false, kids);
    open(right, places - to_left, false, kids);
}

fn best_left(left: &Branch, right: &Branch, places: usize) -> usize {
    let cost = |to_left: usize| left.plans[to_left - 1].0 + right.plans[places - to_left - 1].0;
    (1..places).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Boxes whose sizes and distances double again and again, and many equal ones.
    fn items() -> Vec<Item> {
        let item = |number: usize| {
            let at = if number < 2_000 { 1.01_f32.powi(number as i32) } else { 5.0 };
            let link = Link::new(if number.is_multiple_of(3) { Kind::Prism } else { Kind::Triangles }, number);
            Item { low: [at, -at, 0.0], high: [at * 1.2, at, 1.0], link }
        };
        (0..6_000).map(item).collect()
    }

    #[test]
    fn every_item_lies_in_one_leaf_inside_its_boxes_and_no_path_is_too_long() {
        for is_greedy in [true, false] {
            let mut items = items();
            let root = grow(&mut items, is_greedy);
            let mut seen: Vec<Vec<Item>> = Vec::new();
            let nodes = flatten(&root, &items, &mut |items| {
                seen.push(items.to_vec());
                Link::new(Kind::Solid, seen.len() - 1)
            });
            let mut numbers: Vec<usize> = seen.iter().flatten().map(|item| item.link.number()).collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..6_000));
            assert!(seen.iter().all(|leaf| leaf.len() == 1 || (leaf.len() <= 4 && is_leaf(leaf))));
            let deepest = if is_greedy { GREEDY_DEPTH + 13 } else { 13 };
            assert!(depth_of(&root) <= deepest, "{} nodes one below the other", depth_of(&root));
            let mut open = vec![(0, Bounds { low: Vec3A::NEG_INFINITY, high: Vec3A::INFINITY })];
            let mut leaves = 0;
            while let Some((number, around)) = open.pop() {
                let node: &Node = &nodes[number];
                for (at, link) in node.children.iter().enumerate() {
                    let plane = |side: usize| {
                        Vec3A::from_array(std::array::from_fn(|axis| node.planes[side + axis][at / 4][at % 4]))
                    };
                    let bounds = Bounds { low: plane(0), high: plane(3) };
                    if bounds.low.x > bounds.high.x {
                        continue;
                    }
                    assert!(bounds.low.cmpge(around.low).all() && bounds.high.cmple(around.high).all());
                    match link.kind() {
                        Kind::Node => open.push((link.number(), bounds)),
                        _ => {
                            leaves += 1;
                            let held = super::around(&seen[link.number()]);
                            assert!(held.low == bounds.low && held.high == bounds.high);
                        }
                    }
                }
            }
            assert_eq!(leaves, seen.len());
        }
    }
}
