//! Many rays at once, on every core.
//!
//! They are cast in the order of their places, and each answer is put where its ray was: neighbours meet the same nodes, which
//! then lie in the processor's memory already.

use glam::{DVec3, Vec3A};
use rayon::prelude::*;

use super::{Caster, Hit, Ray, walk::Stack};

/// Most rays that are put in order together.
const CHUNK: usize = 1 << 20;
/// Fewer are cast as they come.
const LEAST: usize = 1 << 10;
/// Bits of the place of a ray along each axis, of those of its order.
const PLACE_BITS: u32 = 6;
/// Orders that there are: a place in plan, and a quarter of the compass.
const ORDERS: usize = 1 << (2 * PLACE_BITS + 2);
/// Rays that are fetched together, so that they are waited for together.
const FETCHED: usize = 32;

impl Caster {
    /// [`Caster::closest`] of each ray, in the order of the rays.
    pub fn closest_of(&self, rays: &[Ray]) -> Vec<Option<Hit>> {
        cast_all(rays, None, |ray, stack| self.walk::<false>(ray, stack))
    }

    /// [`Caster::is_occluded`] of each ray, in the order of the rays.
    pub fn occluded_of(&self, rays: &[Ray]) -> Vec<bool> {
        cast_all(rays, false, |ray, stack| self.walk::<true>(ray, stack).is_some())
    }
}

fn cast_all<T: Copy + Send>(rays: &[Ray], nothing: T, cast: impl Fn(&Ray, &mut Stack) -> T + Sync) -> Vec<T> {
    let mut results = vec![nothing; rays.len()];
    let chunk = rays.len().div_ceil(rayon::current_num_threads()).clamp(LEAST, CHUNK);
    let parts = rays.par_chunks(chunk).zip(results.par_chunks_mut(chunk));
    parts.for_each_init(Stack::new, |stack, (rays, results)| {
        if rays.len() < LEAST {
            rays.iter().zip(results).for_each(|(ray, result)| *result = cast(ray, stack));
            return;
        }
        for numbers in order_of(rays).chunks(FETCHED) {
            let mut fetched = [Ray::default(); FETCHED];
            for (ray, number) in fetched.iter_mut().zip(numbers) {
                *ray = rays[*number as usize];
            }
            for (ray, number) in fetched.iter().zip(numbers) {
                results[*number as usize] = cast(ray, stack);
            }
        }
    });
    results
}

/// The numbers of the rays by place and direction.
fn order_of(rays: &[Ray]) -> Vec<u32> {
    let nothing = (DVec3::INFINITY, DVec3::NEG_INFINITY);
    let (low, high) = rays.iter().fold(nothing, |all, ray| (all.0.min(ray.origin), all.1.max(ray.origin)));
    let cells = (1 << PLACE_BITS) as f32;
    let scale = Vec3A::splat(cells) / (high - low).as_vec3a().max(Vec3A::splat(1e-3));
    let key = |ray: &Ray| {
        // What is no place gets any number.
        let place = ((ray.origin - low).as_vec3a() * scale).max(Vec3A::ZERO).min(Vec3A::splat(cells - 1.0));
        let along = spread(place.x as u32) | spread(place.y as u32) << 1;
        let quarter = u32::from(ray.direction.x < 0.0) | u32::from(ray.direction.y < 0.0) << 1;
        (along << 2 | quarter) as u16
    };
    let keys: Vec<u16> = rays.iter().map(key).collect();
    let mut ends = vec![0_u32; ORDERS];
    keys.iter().for_each(|key| ends[usize::from(*key) & (ORDERS - 1)] += 1);
    let mut sum = 0;
    for end in &mut ends {
        (*end, sum) = (sum, sum + *end);
    }
    let mut order = vec![0; rays.len()];
    for (number, key) in (0..).zip(keys) {
        let place = &mut ends[usize::from(key) & (ORDERS - 1)];
        order[*place as usize] = number;
        *place += 1;
    }
    order
}

/// The bits of a number with gaps between them.
fn spread(mut x: u32) -> u32 {
    x = (x | x << 4) & 0x0f0f;
    x = (x | x << 2) & 0x3333;
    (x | x << 1) & 0x5555
}
