//! What a caster is made from.

use glam::{DVec2, DVec3, Vec3A};

use super::{
    CastError, Caster,
    prism::{Edges, Prism},
    solid::Solid,
    tree::{Item, Kind, Link, depth_of, flatten, grow},
    triangle::Triangles,
    walk::MOST_DEPTH,
};
use crate::query::region::FARTHEST_M;

/// Bytes that a builder may need where nothing else is said: some four million triangles, or as many houses.
const LIMIT: u64 = 2 << 30;
/// Bytes that a shape needs while the tree is made, without its coordinates: its box, its share of the binary tree and of the nodes.
const ITEM_BYTES: u64 = 360;
/// Rounding of places in the tree, as a share of its size: a few times the half of a step of f32.
const PAD: f64 = 1.0 / (1 << 21) as f64;

/// Collects shapes for a [`Caster`]. Places are metres in the city's frame, of any size.
///
/// ```
/// use glam::DVec3;
/// use groundline_engine::query::cast::{CasterBuilder, Ray};
///
/// let mut builder = CasterBuilder::new();
/// let corner = DVec3::new(40_500_000.0, 4_000_000.0, 20.0);
/// builder.add_triangles(&[[corner, corner + DVec3::X * 9.0, corner + DVec3::Y * 9.0]], 7)?;
/// let caster = builder.build();
/// let ray = Ray { origin: corner + DVec3::new(2.0, 2.0, 30.0), direction: DVec3::NEG_Z, max_m: 100.0 };
/// let hit = caster.closest(&ray).expect("the triangle lies below");
/// assert_eq!(hit.which, 7);
/// assert!((hit.distance_m - 30.0).abs() < 1e-3);
/// # Ok::<(), groundline_engine::query::cast::CastError>(())
/// ```
#[derive(Debug)]
pub struct CasterBuilder {
    /// Edges from, up to; bottom, top; which.
    prisms: Vec<(usize, usize, f64, f64, u32)>,
    edges: Vec<(DVec2, DVec2)>,
    triangles: Vec<([DVec3; 3], u32)>,
    /// In the city's frame until the caster is made.
    solids: Vec<Solid>,
    limit: u64,
    needed: u64,
}

impl Default for CasterBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl CasterBuilder {
    /// Nothing yet, with room for 2 GiB.
    pub fn new() -> Self {
        Self::with_limit(LIMIT)
    }

    /// Nothing yet. What would need more than `limit` bytes, about and with the making of the tree, is refused.
    pub fn with_limit(limit: u64) -> Self {
        let lists = (Vec::new(), Vec::new());
        Self { prisms: lists.0, edges: lists.1, triangles: Vec::new(), solids: Vec::new(), limit, needed: 0 }
    }

    /// Bytes that what was added needs, about and with the making of the tree.
    pub fn needed_bytes(&self) -> u64 {
        self.needed
    }

    /// Adds triangles; hits on them are reported with the number `which`. Those without area are never met.
    pub fn add_triangles(&mut self, triangles: &[[DVec3; 3]], which: u32) -> Result<(), CastError> {
        if !triangles.iter().flatten().copied().all(is_place) {
            return Err(CastError::NoPlace { which });
        }
        let bytes = ITEM_BYTES + size_of::<([DVec3; 3], u32)>() as u64;
        self.reserve(triangles.len() as u64 * bytes)?;
        self.triangles.extend(triangles.iter().map(|corners| (*corners, which)));
        Ok(())
    }

    /// Adds the upright body over rings, of which a place is inside where it lies in an odd number; with `bottom` = `top` a surface.
    pub(super) fn add_prism(
        &mut self,
        rings: &[&[DVec3]],
        (bottom, top): (f64, f64),
        which: u32,
    ) -> Result<(), CastError> {
        let is_one = |v: &DVec3| is_place(v.with_z(bottom)) && is_place(v.with_z(top));
        if !rings.iter().flat_map(|ring| ring.iter()).all(is_one) {
            return Err(CastError::NoPlace { which });
        }
        let count: usize = rings.iter().map(|ring| ring.len()).sum();
        if count == 0 || bottom > top {
            return Ok(());
        }
        self.reserve(ITEM_BYTES + 80 + count as u64 * 48)?;
        let from = self.edges.len();
        for ring in rings {
            let next = ring.iter().cycle().skip(1);
            self.edges.extend(ring.iter().zip(next).map(|(a, b)| (a.truncate(), b.truncate())));
        }
        self.prisms.push((from, self.edges.len(), bottom, top, which));
        Ok(())
    }

    pub(super) fn add_solid(&mut self, solid: Solid) -> Result<(), CastError> {
        let (low, high) = solid.bounds();
        if !(is_place(low) && is_place(high)) {
            return Err(CastError::NoPlace { which: solid.which });
        }
        self.reserve(ITEM_BYTES + 2 * size_of::<Solid>() as u64)?;
        self.solids.push(solid);
        Ok(())
    }

    /// Counts bytes that will be needed.
    pub(super) fn reserve(&mut self, bytes: u64) -> Result<(), CastError> {
        let count = self.prisms.len().max(self.triangles.len()).max(self.solids.len()).max(self.edges.len());
        if self.needed.saturating_add(bytes) > self.limit || count >= Link::MOST - (1 << 24) {
            return Err(CastError::TooLarge { limit_mib: self.limit >> 20 });
        }
        self.needed += bytes;
        Ok(())
    }

    /// Makes the tree, on every core. The same shapes in the same order give the same tree.
    pub fn build(self) -> Caster {
        let prism_box = |prism: &(usize, usize, f64, f64, u32)| {
            let plan = &self.edges[prism.0..prism.1];
            let low = plan.iter().fold(DVec2::INFINITY, |low, edge| low.min(edge.0));
            let high = plan.iter().fold(DVec2::NEG_INFINITY, |high, edge| high.max(edge.0));
            (low.extend(prism.2), high.extend(prism.3))
        };
        let triangle_box = |([a, b, c], _): &([DVec3; 3], u32)| (a.min(*b).min(*c), a.max(*b).max(*c));
        let boxes = || {
            let prisms = self.prisms.iter().enumerate().map(|(at, prism)| (prism_box(prism), Kind::Prism, at));
            let triangles = self.triangles.iter().enumerate().map(|(at, t)| (triangle_box(t), Kind::Triangles, at));
            let solids = self.solids.iter().enumerate().map(|(at, solid)| (solid.bounds(), Kind::Solid, at));
            prisms.chain(triangles).chain(solids)
        };
        let nothing = (DVec3::INFINITY, DVec3::NEG_INFINITY);
        let (low, high) = boxes().fold(nothing, |all, ((low, high), ..)| (all.0.min(low), all.1.max(high)));
        if low.x > high.x {
            return Caster::empty();
        }
        let origin = ((low + high) * 0.5).round();
        let pad = (high - low).max_element() * PAD + 1e-5;
        let mut items: Vec<Item> = Vec::with_capacity(self.prisms.len() + self.triangles.len() + self.solids.len());
        items.extend(boxes().map(|((low, high), kind, at)| Item {
            low: (low - origin - pad).to_array().map(|x| (x as f32).next_down()),
            high: (high - origin + pad).to_array().map(|x| (x as f32).next_up()),
            link: Link::new(kind, at),
        }));
        let mut root = grow(&mut items, true);
        if depth_of(&root) > MOST_DEPTH {
            root = grow(&mut items, false);
        }
        let mut caster = Caster {
            origin,
            low: low - origin - pad,
            high: high - origin + pad,
            span: ((high - low).length() * 1.001 + 1.0) as f32,
            ..Caster::empty()
        };
        let (mut prisms, mut edges, mut triangles, mut solids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut leaf = |items: &[Item]| {
            let frame = (anchor_of(items), origin);
            match items[0].link.kind() {
                Kind::Prism => {
                    prisms.push(self.prism(items[0].link.number(), frame, &mut edges));
                    Link::new(Kind::Prism, prisms.len() - 1)
                }
                Kind::Solid => {
                    solids.push(self.solids[items[0].link.number()].moved(-origin));
                    Link::new(Kind::Solid, solids.len() - 1)
                }
                Kind::Triangles | Kind::Node => {
                    let corners = items.iter().map(|item| self.triangles[item.link.number()]);
                    triangles.push(Triangles::new(frame, corners));
                    Link::new(Kind::Triangles, triangles.len() - 1)
                }
            }
        };
        caster.nodes = flatten(&root, &items, &mut leaf);
        (caster.prisms, caster.edges, caster.triangles, caster.solids) = (prisms, edges, triangles, solids);
        caster
    }

    fn prism(&self, number: usize, frame: ([f32; 3], DVec3), edges: &mut Vec<Edges>) -> Prism {
        let (from, to, bottom, top, which) = self.prisms[number];
        Prism::new(frame, &self.edges[from..to], (bottom, top), which, edges)
    }
}

/// Whether a place can be counted from; NaN cannot.
pub(super) fn is_place(place: DVec3) -> bool {
    place.abs().cmple(DVec3::splat(FARTHEST_M)).all()
}

/// The middle of the box around some items: small coordinates are counted from it.
fn anchor_of(items: &[Item]) -> [f32; 3] {
    let low = items.iter().fold(Vec3A::INFINITY, |low, item| low.min(Vec3A::from_array(item.low)));
    let high = items.iter().fold(Vec3A::NEG_INFINITY, |high, item| high.max(Vec3A::from_array(item.high)));
    ((low + high) * 0.5).to_array()
}
