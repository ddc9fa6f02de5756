//! What a filter compares.

use std::{cmp::Ordering, sync::Arc};

use serde_json::Value as Json;

use crate::query::Region;

/// A value in a filter or of an entity.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// Milliseconds since 1970.
    Time(i64),
    /// From and to, milliseconds since 1970.
    Interval(i64, i64),
    /// Milliseconds.
    Span(f64),
    /// A geometry in longitude and latitude, with its place where it is a point.
    Shape(Arc<Region>, Option<glam::DVec2>),
    /// What has parts, an object or a list, which is compared with nothing.
    Parts,
}

impl Value {
    /// The value of JSON; a GeoJSON geometry is a shape.
    pub fn of_json(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(is) => Self::Bool(is),
            Json::Number(number) => number.as_f64().map_or(Self::Null, Self::Number),
            Json::String(text) => Self::Text(text),
            Json::Object(_) if json["coordinates"].is_array() => match Region::from_geojson(&json) {
                Ok(region) => {
                    let point = json["type"] == "Point";
                    let place = region.extent().min.truncate();
                    Self::Shape(Arc::new(region), point.then_some(place))
                }
                Err(_) => Self::Parts,
            },
            Json::Array(_) | Json::Object(_) => Self::Parts,
        }
    }

    pub fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// The order of two values that can be compared. An interval comes before a time that it ends at, and after one that it begins at.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) | (Self::Span(a), Self::Span(b)) => a.partial_cmp(b),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Interval(from, to), Self::Time(at)) => match (to.cmp(at), from.cmp(at)) {
                (Ordering::Less, _) => Some(Ordering::Less),
                (_, Ordering::Greater) => Some(Ordering::Greater),
                (Ordering::Equal, Ordering::Equal) => Some(Ordering::Equal),
                _ => None,
            },
            (Self::Time(_), Self::Interval(..)) => other.compare(self).map(Ordering::reverse),
            (Self::Interval(a, b), Self::Interval(c, d)) => Some((a, b).cmp(&(c, d))),
            // Times are written with and without quotes.
            (Self::Time(_) | Self::Interval(..), Self::Text(text)) => self.compare(&time(text)?),
            (Self::Text(text), Self::Time(_) | Self::Interval(..)) => time(text)?.compare(other),
            (Self::Null, Self::Null) => Some(Ordering::Equal),
            _ => None,
        }
    }

    /// As text, for functions of texts.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Bool(is) => Some(is.to_string()),
            Self::Time(ms) => crate::query::time_text(*ms),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

/// A time, or an interval as `from/to`.
pub(super) fn time(text: &str) -> Option<Value> {
    let of = |text: &str| crate::live::payload::parse_time(text, 0);
    match text.split_once('/') {
        Some((from, to)) => Some(Value::Interval(of(from)?, of(to)?)),
        None => of(text).map(Value::Time),
    }
}
