//! Where the camera is on its way to.

use bevy::prelude::*;

use crate::{camera::CameraPose, navigation::ease};

/// Where the camera is on its way to: tiles of these views are read when nothing nearer is wanted.
#[derive(Resource, Clone, Debug, Default)]
pub struct Ahead(pub Vec<CameraPose>);

/// Tiles are read for where the camera will be so long from now, seconds.
pub const SOON_S: f64 = 0.5;

impl Ahead {
    /// Notes that the camera follows a goal, nearing it by `pace` a second.
    pub fn follow(&mut self, pose: &CameraPose, goal: &CameraPose, pace: f64) {
        self.0.extend([ease(pose, goal, 1.0 - (-pace * SOON_S).exp()), *goal]);
    }
}
