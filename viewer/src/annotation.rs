//! A text at a place (标注): where a plan says what the model does not.

use glam::DVec3;

/// A text that stands at a place on a leader (扯旗).
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// What it says: one line.
    pub text: String,
    /// What it points at, in the city's frame, metres.
    pub place: DVec3,
}
