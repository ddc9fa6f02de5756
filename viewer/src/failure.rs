//! Tiles that could not be read, and when they are tried again.

use std::time::{Duration, Instant};

/// Wait before a tile that could not be read is tried again, at first and at most.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A tile that could not be read.
pub struct Failure {
    /// Why.
    pub reason: String,
    /// How often it was tried in vain.
    pub tries: u32,
    /// When it is tried again. Of a clock that no one can set back.
    pub again: Instant,
}

impl Failure {
    /// Once more after `before`; the wait doubles from `first_wait` on.
    pub fn after(before: Option<&Self>, reason: String, first_wait: Duration) -> Self {
        let tries = before.map_or(1, |before| before.tries + 1);
        let wait = first_wait.saturating_mul(1 << (tries - 1).min(16)).min(LONGEST_WAIT);
        Self { reason, tries, again: Instant::now() + wait }
    }
}
