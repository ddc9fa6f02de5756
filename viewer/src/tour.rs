//! A flight along views, each with its time (漫游): where the camera is at any moment of it.

use crate::{camera::CameraPose, navigation::ease};

/// Share of a stop's time that is flown; the rest of it is looked at.
const FLOWN: f64 = 0.7;

/// Poses with the seconds from the end of the one before to the end of this.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flight {
    stops: Vec<(CameraPose, f64)>,
}

impl Flight {
    /// The flight along `stops`; seconds above 0.
    pub fn new(stops: Vec<(CameraPose, f64)>) -> Self {
        Self { stops }
    }

    /// Seconds of all of it.
    pub fn duration_s(&self) -> f64 {
        self.stops.iter().map(|(_, seconds)| seconds).sum()
    }

    /// Where the stop is.
    pub fn destination(&self, stop: usize) -> Option<CameraPose> {
        self.stops.get(stop).map(|(pose, _)| *pose)
    }

    /// The stop that the flight is at or on its way to `seconds` after its start, and the camera then.
    pub fn at(&self, seconds: f64) -> Option<(usize, CameraPose)> {
        let mut begun = 0.0;
        let last = self.stops.len().checked_sub(1)?;
        for (index, (pose, takes)) in self.stops.iter().enumerate() {
            if seconds < begun + takes || index == last {
                let share = ((seconds - begun) / (takes * FLOWN)).clamp(0.0, 1.0);
                let before = index.checked_sub(1).map_or(*pose, |before| self.stops[before].0);
                return Some((index, if share >= 1.0 { *pose } else { ease(&before, pose, smooth(share)) }));
            }
            begun += takes;
        }
        None
    }
}

/// From 0 to 1 without a jerk at either end (Perlin's smootherstep).
fn smooth(share: f64) -> f64 {
    share * share * share * (share * (share * 6.0 - 15.0) + 10.0)
}

#[cfg(test)]
mod tests {
    use glam::DVec3;

    use super::*;

    fn pose(x: f64, heading_deg: f64) -> CameraPose {
        CameraPose { place: DVec3::new(40_534_000.0 + x, 0.0, 100.0), heading_deg, pitch_deg: -20.0 }
    }

    #[test]
    fn a_flight_is_at_its_stops_in_time_and_between_them_in_between() {
        let flight = Flight::new(vec![(pose(0.0, 350.0), 2.0), (pose(100.0, 10.0), 4.0), (pose(50.0, 10.0), 1.0)]);
        assert_eq!(flight.duration_s(), 7.0);
        assert_eq!(flight.at(0.0), Some((0, pose(0.0, 350.0))));
        assert_eq!(flight.at(1.9), Some((0, pose(0.0, 350.0))));
        let (stop, half) = flight.at(2.0 + 4.0 * FLOWN * 0.5).expect("on its way");
        assert_eq!(stop, 1);
        assert!(
            (half.place.x - 40_534_050.0).abs() < 1e-6 && half.heading_deg.rem_euclid(360.0).abs() < 1e-6,
            "{half:?}"
        );
        assert_eq!(flight.at(5.9), Some((1, pose(100.0, 10.0))));
        assert_eq!(flight.at(1e9), Some((2, pose(50.0, 10.0))));
        assert_eq!(Flight::default().at(0.0), None);
        let mut last = f64::NEG_INFINITY;
        for k in 0..=100 {
            let x = flight.at(2.0 + f64::from(k) * 0.028).expect("flying").1.place.x;
            assert!(x >= last, "it does not go back");
            last = x;
        }
    }
}
