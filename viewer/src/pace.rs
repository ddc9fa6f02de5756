//! How evenly frames come (帧节奏).

use serde::Serialize;

/// Frame times, milliseconds, by nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pace {
    /// Frames.
    pub count: usize,
    /// The middle.
    pub p50: f64,
    /// Of twenty frames one takes longer.
    pub p95: f64,
    /// Of a hundred frames one takes longer.
    pub p99: f64,
    /// The slowest.
    pub most: f64,
}

impl Pace {
    /// Of these times; all 0 of none.
    pub fn of(times_ms: &[f64]) -> Self {
        let mut sorted = times_ms.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            let index = (share * sorted.len() as f64).ceil() as usize;
            let time = sorted.get(index.saturating_sub(1)).copied().unwrap_or(0.0);
            (time * 10.0).round() / 10.0
        };
        Self { count: sorted.len(), p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), most: rank(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let times: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(Pace::of(&times), Pace { count: 200, p50: 100.0, p95: 190.0, p99: 198.0, most: 200.0 });
        assert_eq!(Pace::of(&[7.0]), Pace { count: 1, p50: 7.0, p95: 7.0, p99: 7.0, most: 7.0 });
        assert_eq!(Pace::of(&[]), Pace::default());
    }
}
