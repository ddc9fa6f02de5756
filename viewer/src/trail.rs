//! Where the camera has rested, to go back there and forth again.

use crate::{camera::CameraPose, history::History};

/// The camera has come to a place when it rests there for this long, seconds: then it can come back to it.
const REST_S: f32 = 0.8;

/// The places of rest.
#[derive(Default)]
pub struct Trail {
    history: History<CameraPose>,
    /// The last place of rest, and since when the goal is what it is.
    rest: Option<CameraPose>,
    last: Option<(CameraPose, f32)>,
}

impl Trail {
    /// Watches where the camera is going; `now` in seconds.
    pub fn watch(&mut self, goal: &CameraPose, now: f32) {
        let is_same = self.last.is_some_and(|(last, _)| last == *goal);
        if !is_same {
            self.last = Some((*goal, now));
        }
        let Some((_, since)) = self.last else { return };
        if now - since >= REST_S
            && self.rest != Some(*goal)
            && let Some(before) = self.rest.replace(*goal)
        {
            self.history.remember(before);
        }
    }

    /// The place before (`is_back`) or after.
    pub fn step(&mut self, goal: &CameraPose, is_back: bool) -> Option<CameraPose> {
        let now = self.rest.unwrap_or(*goal);
        // From a place where the camera does not rest yet, back is where it rested last.
        let to = if is_back && now != *goal {
            self.history.remember(now);
            self.history.undo(*goal)
        } else if is_back {
            self.history.undo(now)
        } else {
            self.history.redo(now)
        }?;
        self.rest = Some(to);
        Some(to)
    }
}

#[cfg(test)]
mod tests {
    use glam::DVec3;

    use super::*;

    fn pose(x: f64) -> CameraPose {
        CameraPose { place: DVec3::new(x, 0.0, 100.0), heading_deg: 0.0, pitch_deg: -30.0 }
    }

    #[test]
    fn the_camera_goes_back_to_where_it_rested() {
        let mut trail = Trail::default();
        let mut now = 0.0;
        let mut rest = |trail: &mut Trail, x: f64, seconds: f32| {
            let end = now + seconds;
            while now < end {
                trail.watch(&pose(x), now);
                now += 0.1;
            }
        };
        rest(&mut trail, 0.0, 2.0);
        rest(&mut trail, 3.0, 0.3);
        rest(&mut trail, 5.0, 2.0);
        rest(&mut trail, 9.0, 2.0);
        assert_eq!(trail.step(&pose(9.0), true), Some(pose(5.0)));
        rest(&mut trail, 5.0, 2.0);
        assert_eq!(trail.step(&pose(5.0), true), Some(pose(0.0)), "it only passed by 3");
        assert_eq!(trail.step(&pose(0.0), true), None);
        assert_eq!(trail.step(&pose(0.0), false), Some(pose(5.0)));
        assert_eq!(trail.step(&pose(5.0), false), Some(pose(9.0)));
        assert_eq!(trail.step(&pose(11.0), true), Some(pose(9.0)), "from where it does not rest yet");
    }
}
