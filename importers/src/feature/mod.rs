//! One feature of a vector source (shapefile, GeoJSON, GeoPackage, …) to city objects.
//!
//! A format reads [`Feature`]s in the source's own coordinates; [`Maker`] moves them into the city's frame, gives them
//! ids, finds the standard attributes among their fields and makes the shape that their class is drawn with.

mod attribute;
mod class;
mod corner;
mod geometry;
#[cfg(test)]
mod kept_test;
mod look;
mod maker;
#[cfg(test)]
mod maker_test;
mod network;
#[cfg(test)]
mod passage_test;
mod said;
mod shape;
mod surface;
pub(crate) mod wkb;

use std::sync::Arc;

use groundline_engine::model::{Attribute, Geometry, Instance, InstanceModel, Origin, Value};

pub(crate) use class::{Sample, suggest};
use corner::Corners;
#[cfg(test)]
pub(crate) use kept_test::shown;
pub(crate) use look::{Look, joined as joined_boxes};
pub(crate) use maker::{BLOCK, Maker, Names};
pub(crate) use said::{AssumedTube, Said};
pub(crate) use shape::{Dimension, Shape, cleaned as cleaned_rings, grouped as grouped_rings, is_inside, signed_area};
pub(crate) use surface::{faces_hold, triangulate};

/// One record of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feature {
    /// Record number, from 1.
    pub record: u64,
    /// Identifier outside the fields (GeoJSON's `id` member).
    pub id: Option<String>,
    /// Shape in the source's coordinates.
    pub shape: Shape,
    /// Fields that hold a value.
    pub fields: Vec<(Arc<str>, Value)>,
}

/// Whether the user said that y (or latitude) stands first.
pub(crate) fn has_swapped_axes(map: &[(String, String)]) -> bool {
    map.iter().any(|(key, value)| key == "axes" && value.eq_ignore_ascii_case("yx"))
}

/// Standard attributes, then the source's own under their own names. Where a standard one has that name already and
/// says something else (another unit, a default for a number that cannot be), the source's stands as `source.NAME`.
fn joined(standard: Vec<Attribute>, fields: Vec<(Arc<str>, Value)>) -> Vec<Attribute> {
    let mut all = standard;
    let known = all.len();
    all.reserve(fields.len());
    for (name, value) in fields {
        let namesakes = all[..known].iter().filter(|a| a.key == name);
        match namesakes.map(|a| says_the_same(&a.value, &value)).reduce(|a, b| a || b) {
            None => all.push(Attribute::read(&name, value)),
            Some(true) => {}
            Some(false) => {
                let key = format!("source.{name}").into();
                all.push(Attribute { key, value, field: name, origin: Origin::Read });
            }
        }
    }
    all
}

fn says_the_same(standard: &Value, own: &Value) -> bool {
    let number = |value: &Value| crate::field::number(value).filter(|(_, unit)| unit.is_none()).map(|(n, _)| n);
    standard == own || number(standard).is_some_and(|n| number(own) == Some(n))
}

/// A thing of which many look alike.
fn instance(at: groundline_engine::model::Point, model: InstanceModel, height_m: f64, width_m: f64) -> Geometry {
    Geometry::Instance(Instance { at: at.at, vertical: at.vertical, model, height_m, width_m, yaw: 0.0 })
}
