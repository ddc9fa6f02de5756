//! Questions to the city: one type for the command, the server and the viewer.
//!
//! A question goes through three sieves: the layers (their extents and classes), the packed index of boxes,
//! and the rows of the GeoParquet file themselves, which are compared exactly.

mod arrow;
mod box_search;
mod bulk;
pub mod cast;
mod column;
mod fields;
mod filter;
mod geojson;
mod grid;
mod hit;
mod index;
mod lifetime;
mod names;
mod nearest;
mod node;
mod nodes;
mod ranked;
mod ray;
mod region;
mod run;
mod search;
#[cfg(test)]
mod tests;
mod tree;
mod tree_file;
mod wkt;

use glam::{DVec2, DVec3};

use crate::{
    model::{Class, Domain, Extent, Stage, Value},
    store::{City, StoreError},
};

pub use arrow::{ArrowForm, ArrowWriter};
pub use bulk::{Bulk, BulkQuestion, STOREY_M, bulk};
pub use column::{Cell, Column};
pub use fields::{FieldKind, LayerFields, unknown_fields};
pub use filter::{Filter, FilterError, Subject};
pub(crate) use filter::{GEOMETRY, OWN_FIELDS};
pub use geojson::{Coordinates, feature, write_geojson};
pub use hit::Hit;
pub use index::{LayerIndex, Place};
pub(crate) use index::{PartIndex, tree_of};
pub use lifetime::{BUILT_KEYS, Lifetimes};
pub(crate) use names::Names;
pub use nearest::Nearest;
pub use region::{Region, RegionError};
pub use run::{Hits, run};
pub use search::{Search, SearchError};
pub use tree::BoxTree;

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Shape {
    /// Everywhere, objects without a place too.
    #[default]
    All,
    /// Objects that share a point with the box: in plan with their footprint or axis, in height with their z range.
    Box {
        /// Lowest corner; z may be −∞.
        min: DVec3,
        /// Highest corner; z may be ∞.
        max: DVec3,
    },
    /// Objects whose footprint or axis lies within a distance of the region, in plan: a corridor (缓冲区) along a path; with
    /// 0, those that share a point with it. The shape of a pipe is its axis here, whatever its diameter.
    Within {
        /// Places, paths, polygons.
        region: Box<Region>,
        /// No farther than this, metres; each hit says how far.
        distance_m: f64,
    },
    /// The nearest objects, nearest first, by the distance to their footprint or axis.
    Near {
        /// From where, in plan.
        at: DVec2,
        /// Height to measure from too; `None` measures in plan.
        z: Option<f64>,
        /// No farther than this, metres.
        radius_m: f64,
        /// No more than this.
        limit: usize,
    },
    /// Objects that the ray enters, first entered first: their bodies where the store holds them (extruded footprints, pipes,
    /// shafts, surfaces), else their boxes; [`Found::exact`] says which.
    Ray {
        /// Start.
        origin: DVec3,
        /// Direction, of any length above 0.
        direction: DVec3,
        /// No farther than this, metres.
        max_m: f64,
    },
}

impl Shape {
    /// Objects that share a point with the region.
    pub fn touching(region: Region) -> Self {
        Self::Within { region: Box::new(region), distance_m: 0.0 }
    }

    /// Objects within a distance of the region.
    pub fn within(region: Region, distance_m: f64) -> Result<Self, RegionError> {
        let is_one = (0.0..=region::FARTHEST_M).contains(&distance_m);
        if is_one {
            Ok(Self::Within { region: Box::new(region), distance_m })
        } else {
            Err(RegionError::BadDistance(distance_m))
        }
    }
}

/// A question to the city. Empty lists mean: any.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Where.
    pub shape: Shape,
    /// In which layers, by name.
    pub layers: Vec<String>,
    /// Of which classes.
    pub classes: Vec<Class>,
    /// At which stages.
    pub stages: Vec<Stage>,
    /// On which sides of the ground.
    pub domains: Vec<Domain>,
    /// At this version of the city; `None`: at the one that is open.
    pub version: Option<u64>,
    /// Only what exists at this time, milliseconds since 1970 UTC; objects without a time always exist. States that later
    /// imports ended are found by it, and by it only.
    pub at: Option<i64>,
    /// Only objects whose name or id fits: the best first, unless the shape has an order of its own.
    pub search: Option<Search>,
    /// Only objects for which this is true.
    pub filter: Option<Filter>,
    /// Hits to pass over.
    pub offset: usize,
    /// Most hits.
    pub limit: Option<usize>,
    /// When the answer ends with [`StoreError::OutOfTime`], whatever is found until then.
    pub until: Option<std::time::Instant>,
}

/// One hit.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its layer.
    pub layer: String,
    /// What it is.
    pub class: Class,
    /// Stage of its life.
    pub stage: Stage,
    /// Side of the ground.
    pub domain: Domain,
    /// Its name.
    pub name: Option<String>,
    /// The object it is part of.
    pub parent: Option<String>,
    /// Box around it in the city's frame; empty when it has no place.
    pub extent: Extent,
    /// Metres to it, for `Near`, `Ray`, and `Within` a distance above 0.
    pub distance_m: Option<f64>,
    /// For `Ray`: whether the shape itself was hit. It is only the box of what is in the tiles alone (BIM, scans) or drawn as a
    /// model, and an upright body around roofs that slope and around what stands on sloping ground.
    pub exact: Option<bool>,
    /// Since when it is as it is here, milliseconds since 1970 UTC; `None` where nobody knows.
    pub valid_from: Option<i64>,
    /// Up to when it was.
    pub valid_to: Option<i64>,
    /// Its attributes.
    pub attributes: Vec<(std::sync::Arc<str>, Value)>,
    /// Of them, those that nobody delivered, each with what was assumed and why.
    pub assumed: Vec<(std::sync::Arc<str>, std::sync::Arc<str>)>,
    /// Its footprint or axis as ISO WKB in the city's frame; empty when it has none.
    pub footprint_wkb: Vec<u8>,
}

impl Found {
    /// The centre line of a pipe, gallery, tunnel or road, of several paths the first; without heights of its own at the middle of its box.
    /// Empty when it has none.
    pub fn axis(&self) -> Vec<DVec3> {
        let Ok(footprint) = crate::store::read_footprint(&self.footprint_wkb) else { return Vec::new() };
        let level = self.extent.centre().z;
        let raised = |place: DVec3| if footprint.has_z { place } else { place.with_z(level) };
        footprint.lines.into_iter().next().unwrap_or_default().into_iter().map(raised).collect()
    }
}

impl Query {
    /// The city in `folder` at the version that is asked for.
    pub fn open(&self, folder: &std::path::Path) -> Result<City, StoreError> {
        self.version.map_or_else(|| City::open(folder), |version| City::open_version(folder, version))
    }
}

/// Milliseconds since 1970 of `2024-05-01`, an RFC 3339 time, or a number of milliseconds.
pub fn parse_time(text: &str) -> Option<i64> {
    crate::store::read_time(text)
}

/// A time in milliseconds since 1970 as RFC 3339 in UTC; `None` beyond the years that it can write.
pub fn time_text(ms: i64) -> Option<String> {
    geojson::time_text(ms)
}
