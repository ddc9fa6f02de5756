//! A polygon drawn out upwards: walls, floor and top.

use glam::{DVec2, DVec3, Vec4};

use super::walk::Local;

/// Edges of a polygon, four side by side, metres from the anchor of their prism.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    ax: Vec4,
    ay: Vec4,
    bx: Vec4,
    by: Vec4,
}

/// An upright body.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Prism {
    pub anchor: [f32; 3],
    bottom: f32,
    top: f32,
    first: u32,
    groups: u32,
    pub which: u32,
}

impl Prism {
    /// Stores the edges of all rings, relative to the anchor, behind `all`.
    pub fn new(
        (anchor, origin): ([f32; 3], DVec3),
        edges: &[(DVec2, DVec2)],
        (bottom, top): (f64, f64),
        which: u32,
        all: &mut Vec<Edges>,
    ) -> Self {
        let base = origin + DVec3::from_array(anchor.map(f64::from));
        let first = all.len() as u32;
        for four in edges.chunks(4) {
            // What is missing of a group is an edge without length, which no line crosses.
            let coordinate = |of: fn(&(DVec2, DVec2)) -> f64, base: f64| {
                Vec4::from_array(std::array::from_fn(|i| four.get(i).map_or(0.0, |edge| (of(edge) - base) as f32)))
            };
            all.push(Edges {
                ax: coordinate(|e| e.0.x, base.x),
                ay: coordinate(|e| e.0.y, base.y),
                bx: coordinate(|e| e.1.x, base.x),
                by: coordinate(|e| e.1.y, base.y),
            });
        }
        Self {
            anchor,
            bottom: (bottom - base.z) as f32,
            top: (top - base.z) as f32,
            first,
            groups: all.len() as u32 - first,
            which,
        }
    }

    /// Where the ray meets the surface first, from within too, and whether it starts inside.
    #[inline]
    pub fn meet(&self, all: &[Edges], ray: &Local) -> Option<(f32, bool)> {
        let edges = &all[self.first as usize..(self.first + self.groups) as usize];
        let (to_bottom, to_top) = ((self.bottom - ray.start.z) * ray.up_recip, (self.top - ray.start.z) * ray.up_recip);
        let (low, high) = (to_bottom.min(to_top), to_bottom.max(to_top));
        let [dx, dy] = [ray.plan.x, ray.plan.y].map(Vec4::splat);
        let [ox, oy] = [ray.start.x, ray.start.y].map(Vec4::splat);
        // An upright ray meets no wall, and a line across says whether it stands inside.
        let (wall_low, cap_low, cap_high) =
            if ray.is_upright { (f32::INFINITY, 0.0, 0.0) } else { (low.max(ray.least), low, high) };
        let inside_from = if ray.is_upright { 0.0 } else { ray.least };
        let (mut wall, mut at_low, mut at_high, mut at_start) = (Vec4::INFINITY, 0, 0, 0);
        for edge in edges {
            let (ax, ay, bx, by) = (edge.ax - ox, edge.ay - oy, edge.bx - ox, edge.by - oy);
            let (left, right) = (dx * ay - dy * ax, dx * by - dy * bx);
            // One end of an edge belongs to it, so that a line through a corner crosses once or twice, as it should.
            let crosses = left.cmpgt(Vec4::ZERO) ^ right.cmpgt(Vec4::ZERO);
            if !crosses.any() {
                continue;
            }
            let (along_a, along_b) = (dx * ax + dy * ay, dx * bx + dy * by);
            let at = (along_a + (along_b - along_a) * (left / (left - right))) * ray.plan_recip;
            let beyond = |t: f32| (crosses & at.cmpgt(Vec4::splat(t))).bitmask();
            at_low ^= beyond(cap_low);
            at_high ^= beyond(cap_high);
            at_start ^= beyond(inside_from);
            let is_wall = crosses & at.cmpge(Vec4::splat(wall_low)) & at.cmple(Vec4::splat(high));
            wall = wall.min(Vec4::select(is_wall, at, Vec4::INFINITY));
        }
        let mut first = wall.min_element();
        if is_odd(at_low) && low >= ray.least {
            first = first.min(low);
        } else if is_odd(at_high) && high >= ray.least {
            first = first.min(high);
        }
        (first < f32::INFINITY).then(|| (first, is_odd(at_start) && low <= ray.least && ray.least <= high))
    }
}

/// Whether the count of four bits is odd.
fn is_odd(bits: u32) -> bool {
    0x6996 >> (bits & 15) & 1 == 1
}
