//! A ray on its way through the tree.

use glam::{DVec3, Vec2, Vec3, Vec3A, Vec4};

use super::{
    Caster, Hit, Ray,
    tree::{FOURS, Kind, Link, Node, WIDTH},
};

/// Links that may wait.
const STACK: usize = 256;
/// Most nodes one below the other: each leaves all its children but one waiting.
pub(super) const MOST_DEPTH: usize = (STACK - WIDTH) / (WIDTH - 1);
/// Rays steeper than this are upright: their square in plan.
const UPRIGHT: f64 = 1e-12;
/// What rounding may do to the way to a plane of a box.
const FAR_ROUNDING: f32 = 1.0 + 4.0 * f32::EPSILON;

/// What waits, nearest on top: distance in the upper half, link in the lower.
pub(super) struct Stack([u64; STACK]);

impl Stack {
    pub fn new() -> Self {
        Self([0; STACK])
    }
}

/// A ray as the walk needs it; places are metres from the caster's origin.
struct Walker {
    start: DVec3,
    direction: DVec3,
    start32: [Vec4; 3],
    recip: [Vec4; 3],
    /// Which planes of a node come first, lower (0) or upper ones (3).
    near: [usize; 3],
    direction32: Vec3,
    plan: Vec2,
    plan_recip: f32,
    is_upright: bool,
}

/// A ray near a leaf, which is so small that f32 is exact enough.
pub(super) struct Local {
    pub start: Vec3,
    pub direction: Vec3,
    /// 1 / z of the direction.
    pub up_recip: f32,
    /// The direction in plan, of an upright ray x.
    pub plan: Vec2,
    /// 1 / square of the length of `plan`.
    pub plan_recip: f32,
    pub is_upright: bool,
    /// Where the ray itself begins, not above 0.
    pub least: f32,
}

/// The best hit so far.
struct Best {
    distance: f64,
    /// Not below it.
    most: f32,
    hit: Option<(u32, bool)>,
}

fn above(value: f64) -> f32 {
    (value as f32).next_up()
}

impl Caster {
    /// The first surface, or any one if `ANY`.
    pub(super) fn walk<const ANY: bool>(&self, ray: &Ray, stack: &mut Stack) -> Option<Hit> {
        let origin = ray.origin - self.origin;
        let direction = ray.direction * ray.direction.length_recip();
        // A direction without length has no direction; NaN is not below anything.
        let is_ray = direction.length_squared() < 2.0 && ray.max_m >= 0.0;
        if !is_ray || self.nodes.is_empty() {
            return None;
        }
        let skipped = if self.holds(origin) { 0.0 } else { self.enter_all(origin, direction)? };
        let max = ray.max_m - skipped;
        if max < 0.0 {
            return None;
        }
        let walker = Walker::new(origin + direction * skipped, direction);
        let mut best = Best { distance: max, most: above(max).min(self.span), hit: None };
        self.descend::<ANY>(&walker, skipped, stack, &mut best);
        let (which, is_from_inside) = best.hit?;
        Some(Hit { distance_m: skipped + best.distance, which, is_from_inside })
    }

    fn holds(&self, origin: DVec3) -> bool {
        self.low.cmple(origin).all() && self.high.cmpge(origin).all()
    }

    /// Where the ray enters the box around everything.
    fn enter_all(&self, origin: DVec3, direction: DVec3) -> Option<f64> {
        let (mut from, mut to) = (0.0_f64, f64::INFINITY);
        for axis in 0..3 {
            let (low, high) = (self.low[axis], self.high[axis]);
            if direction[axis] == 0.0 {
                // NaN too is nowhere.
                let is_between = low <= origin[axis] && origin[axis] <= high;
                if !is_between {
                    return None;
                }
                continue;
            }
            let (a, b) = ((low - origin[axis]) / direction[axis], (high - origin[axis]) / direction[axis]);
            (from, to) = (from.max(a.min(b)), to.min(a.max(b)));
        }
        (from <= to && origin.is_finite()).then_some(from)
    }

    fn descend<const ANY: bool>(&self, walker: &Walker, skipped: f64, stack: &mut Stack, best: &mut Best) {
        let stack = &mut stack.0;
        let (mut count, mut link, mut at) = (0_usize, Link::new(Kind::Node, 0), 0.0_f32);
        loop {
            if link.0 < Link::MOST as u32 {
                let node = &self.nodes[link.number()];
                let (near, mut hits) = walker.enter(node, best.most);
                if hits != 0 {
                    let key = |hits: u32| {
                        let child = hits.trailing_zeros() as usize & (WIDTH - 1);
                        u64::from(near[child].to_bits()) << 32 | u64::from(node.children[child].0)
                    };
                    let mut first = key(hits);
                    hits &= hits - 1;
                    if hits != 0 {
                        let next = key(hits);
                        hits &= hits - 1;
                        stack[count & (STACK - 1)] = first.max(next);
                        first = first.min(next);
                        let bottom = count;
                        count += 1;
                        while hits != 0 {
                            let next = key(hits);
                            hits &= hits - 1;
                            let far = first.max(next);
                            first = first.min(next);
                            let mut place = count;
                            while place > bottom && stack[(place - 1) & (STACK - 1)] < far {
                                stack[place & (STACK - 1)] = stack[(place - 1) & (STACK - 1)];
                                place -= 1;
                            }
                            stack[place & (STACK - 1)] = far;
                            count += 1;
                        }
                    }
                    (at, link) = (f32::from_bits((first >> 32) as u32), Link(first as u32));
                    continue;
                }
            } else if self.meet_leaf(link, at, walker, skipped, best) && ANY {
                return;
            }
            loop {
                if count == 0 {
                    return;
                }
                count -= 1;
                let key = stack[count & (STACK - 1)];
                at = f32::from_bits((key >> 32) as u32);
                if at <= best.most {
                    link = Link(key as u32);
                    break;
                }
            }
        }
    }

    fn meet_leaf(&self, link: Link, at: f32, walker: &Walker, skipped: f64, best: &mut Best) -> bool {
        let at = f64::from(at);
        let (place, which, is_inside) = match link.kind() {
            Kind::Prism => {
                let prism = &self.prisms[link.number()];
                let local = walker.at(at, prism.anchor, skipped);
                let Some((place, is_inside)) = prism.meet(&self.edges, &local) else { return false };
                (place, prism.which, is_inside)
            }
            Kind::Triangles => {
                let triangles = &self.triangles[link.number()];
                let local = walker.at(at, triangles.anchor, skipped);
                let most = above(best.distance - at);
                let Some((place, which)) = triangles.meet(&local, most) else { return false };
                (place, which, false)
            }
            Kind::Solid | Kind::Node => {
                let solid = &self.solids[link.number()];
                let start = walker.start - solid.at();
                let Some((place, is_inside)) = solid.meet(start, walker.direction, -skipped) else { return false };
                return best.take(place, solid.which, is_inside);
            }
        };
        best.take((at + f64::from(place)).max(-skipped), which, is_inside)
    }
}

impl Best {
    /// Takes a hit that is nearer.
    fn take(&mut self, distance: f64, which: u32, is_inside: bool) -> bool {
        let is_better = distance < self.distance || (self.hit.is_none() && distance <= self.distance);
        if is_better {
            *self = Self { distance, most: self.most.min(above(distance)), hit: Some((which, is_inside)) };
        }
        is_better
    }
}

impl Walker {
    fn new(start: DVec3, direction: DVec3) -> Self {
        let direction32 = direction.as_vec3();
        // No division by zero: what stands across an axis never reaches a plane of it.
        let small = Vec3A::splat(1e-30);
        let wide = Vec3A::from(direction32);
        let recip = Vec3A::select(wide.abs().cmplt(small), small, wide).recip();
        let plan = direction.truncate();
        let length2 = plan.length_squared();
        let is_upright = length2 < UPRIGHT;
        let start32 = start.as_vec3a();
        let negative = recip.is_negative_bitmask();
        let near = |axis: usize| (negative >> axis & 1) as usize * 3;
        Self {
            start,
            direction,
            start32: [Vec4::splat(start32.x), Vec4::splat(start32.y), Vec4::splat(start32.z)],
            recip: [Vec4::splat(recip.x), Vec4::splat(recip.y), Vec4::splat(recip.z)],
            near: [near(0), near(1), near(2)],
            direction32,
            plan: if is_upright { Vec2::X } else { plan.as_vec2() },
            plan_recip: if is_upright { 1.0 } else { 1.0 / length2 as f32 },
            is_upright,
        }
    }

    /// Where the ray enters the children, and which ones before `most`.
    #[inline(always)]
    fn enter(&self, node: &Node, most: f32) -> ([f32; WIDTH], u32) {
        let [ox, oy, oz] = self.start32;
        let [rx, ry, rz] = self.recip;
        let [nx, ny, nz] = [self.near[0], self.near[1] + 1, self.near[2] + 2];
        let [fx, fy, fz] = [3 - self.near[0], 4 - self.near[1], 5 - self.near[2]];
        let (zero, most) = (Vec4::ZERO, Vec4::splat(most));
        let four = |at: usize| {
            let from = ((node.planes[nx][at] - ox) * rx)
                .max((node.planes[ny][at] - oy) * ry)
                .max(((node.planes[nz][at] - oz) * rz).max(zero));
            let to = ((node.planes[fx][at] - ox) * rx)
                .min((node.planes[fy][at] - oy) * ry)
                .min((node.planes[fz][at] - oz) * rz);
            (from, from.cmple((to * Vec4::splat(FAR_ROUNDING)).min(most)).bitmask())
        };
        let mut near = [0.0; WIDTH];
        let mut bits = 0;
        for at in 0..FOURS {
            let (from, is_met) = four(at);
            near[at * 4..at * 4 + 4].copy_from_slice(&from.to_array());
            bits |= is_met << (at * 4);
        }
        (near, bits)
    }

    /// The ray from `at` on, relative to an anchor.
    #[inline(always)]
    fn at(&self, at: f64, anchor: [f32; 3], skipped: f64) -> Local {
        let start = self.start + self.direction * at - DVec3::from_array(anchor.map(f64::from));
        Local {
            start: start.as_vec3(),
            direction: self.direction32,
            up_recip: self.recip[2].x,
            plan: self.plan,
            plan_recip: self.plan_recip,
            is_upright: self.is_upright,
            least: (-skipped - at) as f32,
        }
    }
}
