//! Four triangles side by side.

use glam::{DVec3, Vec3, Vec4};

use super::walk::Local;

/// How far beside a triangle a ray still meets it, as a share of the size of its leaf: a few roundings, so that none slips through between two.
const SLACK: f32 = 5e-7;
/// The same along a triangle that the ray grazes, metres.
const GRAZE_M: f32 = 1e-3;

/// Up to four triangles, metres from their anchor.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
pub(super) struct Triangles {
    corner: [Vec4; 3],
    first: [Vec4; 3],
    second: [Vec4; 3],
    pub anchor: [f32; 3],
    slack: f32,
    pub which: [u32; 4],
}

impl Triangles {
    /// The first four of `triangles`, each with its number.
    pub fn new((anchor, origin): ([f32; 3], DVec3), triangles: impl Iterator<Item = ([DVec3; 3], u32)>) -> Self {
        let base = origin + DVec3::from_array(anchor.map(f64::from));
        let mut all = Self {
            corner: [Vec4::ZERO; 3],
            first: [Vec4::ZERO; 3],
            second: [Vec4::ZERO; 3],
            anchor,
            slack: 0.0,
            which: [0; 4],
        };
        let mut size = 0.0_f32;
        for (at, (corners, which)) in triangles.take(4).enumerate() {
            // Corners are rounded first, so that triangles with the same corner agree on it.
            let [a, b, c] = from_blunt(corners.map(|v| (v - base).as_vec3()));
            for axis in 0..3 {
                all.corner[axis][at] = a[axis];
                all.first[axis][at] = b[axis] - a[axis];
                all.second[axis][at] = c[axis] - a[axis];
            }
            all.which[at] = which;
            size = size.max(a.abs().max_element()).max(b.abs().max_element()).max(c.abs().max_element());
        }
        all.slack = size * SLACK;
        all
    }

    /// The first that the ray meets before `most`, and where.
    #[inline]
    pub fn meet(&self, ray: &Local, most: f32) -> Option<(f32, u32)> {
        let [ox, oy, oz] = ray.start.to_array().map(Vec4::splat);
        let [dx, dy, dz] = ray.direction.to_array().map(Vec4::splat);
        let ([e1x, e1y, e1z], [e2x, e2y, e2z]) = (self.first, self.second);
        let (cx, cy, cz) = (self.corner[0] - ox, self.corner[1] - oy, self.corner[2] - oz);
        let (nx, ny, nz) = (e1y * e2z - e1z * e2y, e1z * e2x - e1x * e2z, e1x * e2y - e1y * e2x);
        let (rx, ry, rz) = (cy * dz - cz * dy, cz * dx - cx * dz, cx * dy - cy * dx);
        let volume = nx * dx + ny * dy + nz * dz;
        let size = volume.abs();
        // Signs are turned so that the volume is positive.
        let sign = Vec4::ONE.copysign(volume);
        let u = (rx * e2x + ry * e2y + rz * e2z) * sign;
        let v = (rx * e1x + ry * e1y + rz * e1z) * -sign;
        let w = size - u - v;
        let normal = nx.abs() + ny.abs() + nz.abs();
        let slack = Vec4::splat(self.slack).min(size * Vec4::splat(GRAZE_M) / normal.max(Vec4::splat(1e-30)));
        let first = e1x.abs() + e1y.abs() + e1z.abs();
        let second = e2x.abs() + e2y.abs() + e2z.abs();
        let third = (e2x - e1x).abs() + (e2y - e1y).abs() + (e2z - e1z).abs();
        let t = (nx * cx + ny * cy + nz * cz) / volume;
        let is_hit = u.cmpge(-slack * second)
            & v.cmpge(-slack * first)
            & w.cmpge(-slack * third)
            & size.cmpgt(Vec4::ZERO)
            & t.cmpge(Vec4::splat(ray.least))
            & t.cmple(Vec4::splat(most));
        let mut bits = is_hit.bitmask();
        if bits == 0 {
            return None;
        }
        let places = t.to_array();
        let mut best = (f32::INFINITY, 0);
        while bits != 0 {
            let at = bits.trailing_zeros() as usize & 3;
            bits &= bits - 1;
            if places[at] < best.0 {
                best = (places[at], self.which[at]);
            }
        }
        (best.0 < f32::INFINITY).then_some(best)
    }
}

/// The same triangle from the corner across its longest edge: of a thin one the plane is exact then.
fn from_blunt([a, b, c]: [Vec3; 3]) -> [Vec3; 3] {
    let (ab, bc, ca) = (a.distance_squared(b), b.distance_squared(c), c.distance_squared(a));
    if bc >= ab && bc >= ca {
        [a, b, c]
    } else if ca >= ab {
        [b, c, a]
    } else {
        [c, a, b]
    }
}
