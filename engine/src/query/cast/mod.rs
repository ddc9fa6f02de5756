//! Rays in memory: millions of them against the shapes of a part of a city, for sunlight, sight and shadow.
//!
//! [`Shape::Ray`](super::Shape::Ray) answers one question by reading rows; a [`Caster`] holds the shapes and answers without
//! the disk. Both meet the same bodies: footprints drawn out upwards, pipes, ducts, shafts, surfaces; a caster meets meshes and
//! grids of heights too, as triangles.
//!
//! - **What is met is a surface.** A ray that starts inside a body meets it where it leaves it, as it would meet the body's
//!   triangles, and the hit says so ([`Hit::is_from_inside`]); the query's ray says 0 there.
//! - **Places are f64 of any size.** Inside, f32 counts from the middle of each leaf's box, to where the ray is carried in f64
//!   first: a surface is met at most 1 mm from where it is, for objects of up to 1 km and rays that do not graze it at less
//!   than half a degree (there the distance grows with the cotangent of the angle). Pipes, ducts and shafts are met in f64.
//! - **No ray slips through between two triangles** or between a wall and a roof: a triangle is met some micrometres beyond
//!   its edges too, and the walls and caps of a prism are told apart by the same crossings.
//!
//! `tree` puts boxes around everything, `walk` takes a ray through it, `batch` many; `prism`, `triangle` and `solid` are what
//! it meets there, `shape` makes them of objects, and `city` of those of a city.

mod batch;
mod builder;
mod city;
mod prism;
mod shape;
mod solid;
#[cfg(test)]
mod tests;
mod tree;
mod triangle;
mod walk;

use glam::DVec3;

use self::{
    prism::{Edges, Prism},
    solid::Solid,
    tree::Node,
    triangle::Triangles,
    walk::Stack,
};
use crate::store::StoreError;

pub use builder::CasterBuilder;
pub use city::{CityCaster, Target};
pub use shape::Fit;

/// A ray with an end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ray {
    /// Start, metres in the city's frame.
    pub origin: DVec3,
    /// Direction, of any length above 0 whose square is a number; with another one the ray meets nothing.
    pub direction: DVec3,
    /// No farther than this, metres; may be ∞.
    pub max_m: f64,
}

/// What a ray meets first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// How far along the ray, metres.
    pub distance_m: f64,
    /// The number with which the shape was added.
    pub which: u32,
    /// Whether the ray starts inside the body, so that this is where it leaves it (a piece of a pipe between two vertices is a
    /// body of its own). Triangles have no inside.
    pub is_from_inside: bool,
}

/// Why a caster is not made.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// More than was allowed.
    #[error("rays against these shapes need more than {limit_mib} MiB: ask for fewer classes or a smaller region")]
    TooLarge {
        /// What was allowed.
        limit_mib: u64,
    },
    /// A coordinate that is no number, or beyond all cities.
    #[error("shape {which} has a coordinate that is not a place")]
    NoPlace {
        /// The number of the shape.
        which: u32,
    },
    /// A triangle of a mesh names a vertex that is not there.
    #[error("shape {which} has a triangle without its corners")]
    NoCorner {
        /// The number of the shape.
        which: u32,
    },
    /// A question that is no region.
    #[error("rays are cast against what lies in a box or a region, not against what is nearest or on a ray")]
    NoRegion,
    /// The city cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Shapes that rays are cast against; made by a [`CasterBuilder`] or of a city by [`CityCaster::open`].
#[derive(Debug)]
pub struct Caster {
    /// Places inside are counted from here.
    origin: DVec3,
    /// The box around everything, from the origin.
    low: DVec3,
    high: DVec3,
    /// No two places in the box are farther apart.
    span: f32,
    nodes: Vec<Node>,
    prisms: Vec<Prism>,
    edges: Vec<Edges>,
    triangles: Vec<Triangles>,
    solids: Vec<Solid>,
}

impl Caster {
    fn empty() -> Self {
        Self {
            origin: DVec3::ZERO,
            low: DVec3::INFINITY,
            high: DVec3::NEG_INFINITY,
            span: 0.0,
            nodes: Vec::new(),
            prisms: Vec::new(),
            edges: Vec::new(),
            triangles: Vec::new(),
            solids: Vec::new(),
        }
    }

    /// The first surface that the ray meets. Of many rays [`Caster::closest_of`] is faster.
    pub fn closest(&self, ray: &Ray) -> Option<Hit> {
        self.walk::<false>(ray, &mut Stack::new())
    }

    /// Whether there is anything on the ray.
    pub fn is_occluded(&self, ray: &Ray) -> bool {
        self.walk::<true>(ray, &mut Stack::new()).is_some()
    }

    /// Bytes in memory.
    pub fn held_bytes(&self) -> usize {
        size_of_val(&self.nodes[..])
            + size_of_val(&self.prisms[..])
            + size_of_val(&self.edges[..])
            + size_of_val(&self.triangles[..])
            + size_of_val(&self.solids[..])
    }
}
