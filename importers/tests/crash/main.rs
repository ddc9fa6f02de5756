//! A city whose writer is killed, whose disk is full or fails, and whose files lose a bit.
//!
//! Every step of a small city's life (see [`step`]) is done by a process of its own, which dies where it is told to. What it
//! leaves must be the version before or the new one, to the byte.

mod bit;
mod disk;
mod kill;
mod source;
mod state;
mod step;

/// Numbers that look like chance and are always the same.
pub struct Chance(pub u64);

impl Chance {
    /// From 0 up to 1.
    pub fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.roll() * count as f64) as usize
    }
}
