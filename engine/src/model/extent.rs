//! An axis-aligned box.

use glam::DVec3;
use serde::{Deserialize, Serialize};

/// Axis-aligned box in the city's frame, metres. Empty until something is put into it.
///
/// Written as `{"min":[x,y,z],"max":[x,y,z]}`, and as `null` while it is empty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Option<Corners>", into = "Option<Corners>")]
pub struct Extent {
    /// Lowest corner.
    pub min: DVec3,
    /// Highest corner.
    pub max: DVec3,
}

/// The written form of a box that is not empty.
#[derive(Serialize, Deserialize)]
struct Corners {
    min: DVec3,
    max: DVec3,
}

impl From<Option<Corners>> for Extent {
    fn from(corners: Option<Corners>) -> Self {
        corners.map_or(Self::EMPTY, |c| Self { min: c.min, max: c.max })
    }
}

impl From<Extent> for Option<Corners> {
    fn from(extent: Extent) -> Self {
        (!extent.is_empty()).then_some(Corners { min: extent.min, max: extent.max })
    }
}

impl Extent {
    /// The box that holds nothing.
    pub const EMPTY: Extent = Extent { min: DVec3::INFINITY, max: DVec3::NEG_INFINITY };

    /// The smallest box around `points`.
    pub fn around(points: impl IntoIterator<Item = DVec3>) -> Self {
        points.into_iter().fold(Self::EMPTY, |mut extent, point| {
            extent.add(point);
            extent
        })
    }

    /// Grows to hold `point`.
    pub fn add(&mut self, point: DVec3) {
        self.min = self.min.min(point);
        self.max = self.max.max(point);
    }

    /// Grows to hold `other`.
    pub fn merge(&mut self, other: &Extent) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Whether nothing has been put into it.
    pub fn is_empty(&self) -> bool {
        self.min.x > self.max.x
    }

    /// Middle of the box; meaningless when empty.
    pub fn centre(&self) -> DVec3 {
        (self.min + self.max) * 0.5
    }

    /// Edge lengths; meaningless when empty.
    pub fn size(&self) -> DVec3 {
        self.max - self.min
    }

    /// Whether the boxes share a point in plan (x, y).
    pub fn overlaps_in_plan(&self, other: &Extent) -> bool {
        self.min.x <= other.max.x && other.min.x <= self.max.x && self.min.y <= other.max.y && other.min.y <= self.max.y
    }

    /// Whether the boxes share a point in space.
    pub fn overlaps(&self, other: &Extent) -> bool {
        self.overlaps_in_plan(other) && self.min.z <= other.max.z && other.min.z <= self.max.z
    }
}

impl Default for Extent {
    fn default() -> Self {
        Self::EMPTY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_box_survives_json() {
        assert_eq!(serde_json::to_string(&Extent::EMPTY).unwrap(), "null");
        assert!(serde_json::from_str::<Extent>("null").unwrap().is_empty());
        let some = Extent::around([DVec3::ZERO, DVec3::new(1.0, 2.0, 3.0)]);
        let text = serde_json::to_string(&some).unwrap();
        assert_eq!(serde_json::from_str::<Extent>(&text).unwrap(), some);
    }
}
