//! Functions of conditions.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, Timelike, Utc};

use crate::{live::now_ms, query::Region, serve::things::value::Value};

/// A function, by its name in the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve::things) enum Function {
    SubstringOf,
    Contains,
    StartsWith,
    EndsWith,
    Length,
    IndexOf,
    Substring,
    ToLower,
    ToUpper,
    Trim,
    Concat,
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    FractionalSeconds,
    Now,
    Round,
    Floor,
    Ceiling,
    Distance,
    Intersects,
    Disjoint,
    Within,
    Equals,
}

const NAMES: [(&str, Function, RangeInclusive<usize>); 31] = [
    ("substringof", Function::SubstringOf, 2..=2),
    ("contains", Function::Contains, 2..=2),
    ("startswith", Function::StartsWith, 2..=2),
    ("endswith", Function::EndsWith, 2..=2),
    ("length", Function::Length, 1..=1),
    ("indexof", Function::IndexOf, 2..=2),
    ("substring", Function::Substring, 2..=3),
    ("tolower", Function::ToLower, 1..=1),
    ("toupper", Function::ToUpper, 1..=1),
    ("trim", Function::Trim, 1..=1),
    ("concat", Function::Concat, 2..=2),
    ("year", Function::Year, 1..=1),
    ("month", Function::Month, 1..=1),
    ("day", Function::Day, 1..=1),
    ("hour", Function::Hour, 1..=1),
    ("minute", Function::Minute, 1..=1),
    ("second", Function::Second, 1..=1),
    ("fractionalseconds", Function::FractionalSeconds, 1..=1),
    ("now", Function::Now, 0..=0),
    ("round", Function::Round, 1..=1),
    ("floor", Function::Floor, 1..=1),
    ("ceiling", Function::Ceiling, 1..=1),
    ("geo.distance", Function::Distance, 2..=2),
    ("geo.intersects", Function::Intersects, 2..=2),
    ("st_intersects", Function::Intersects, 2..=2),
    ("st_disjoint", Function::Disjoint, 2..=2),
    ("st_within", Function::Within, 2..=2),
    ("st_contains", Function::Within, 2..=2),
    ("st_equals", Function::Equals, 2..=2),
    ("geo.within", Function::Within, 2..=2),
    ("st_distance", Function::Distance, 2..=2),
];

impl Function {
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(word, ..)| *word == name).map(|(_, function, _)| *function)
    }

    /// How many values it takes.
    pub fn takes(self) -> RangeInclusive<usize> {
        NAMES.iter().find(|(_, function, _)| *function == self).map_or(0..=0, |(.., takes)| takes.clone())
    }

    /// Its value; null where it has none.
    pub fn of(self, given: &[Value]) -> Value {
        self.found(given).unwrap_or(Value::Null)
    }

    fn found(self, given: &[Value]) -> Option<Value> {
        let text = |at: usize| given.get(at)?.text();
        let number = |at: usize| given.get(at)?.number();
        let texts = |is: fn(&str, &str) -> bool| Some(Value::Bool(is(&text(0)?, &text(1)?)));
        let clock = |of: fn(&DateTime<Utc>) -> f64| {
            let ms = match given.first()? {
                Value::Time(ms) | Value::Interval(ms, _) => *ms,
                _ => return None,
            };
            DateTime::from_timestamp_millis(ms).map(|time| Value::Number(of(&time)))
        };
        match self {
            Self::SubstringOf => texts(|part, whole| whole.contains(part)),
            Self::Contains => texts(|whole, part| whole.contains(part)),
            Self::StartsWith => texts(|whole, part| whole.starts_with(part)),
            Self::EndsWith => texts(|whole, part| whole.ends_with(part)),
            Self::Length => Some(Value::Number(text(0)?.chars().count() as f64)),
            Self::IndexOf => {
                let (whole, part) = (text(0)?, text(1)?);
                let at = whole.find(&part).map(|at| whole[..at].chars().count());
                Some(Value::Number(at.map_or(-1.0, |at| at as f64)))
            }
            Self::Substring => {
                let (from, most) =
                    (number(1)?.max(0.0) as usize, number(2).map_or(usize::MAX, |n| n.max(0.0) as usize));
                Some(Value::Text(text(0)?.chars().skip(from).take(most).collect()))
            }
            Self::ToLower => Some(Value::Text(text(0)?.to_lowercase())),
            Self::ToUpper => Some(Value::Text(text(0)?.to_uppercase())),
            Self::Trim => Some(Value::Text(text(0)?.trim().to_owned())),
            Self::Concat => Some(Value::Text(text(0)? + &text(1)?)),
            Self::Year => clock(|time| f64::from(time.year())),
            Self::Month => clock(|time| f64::from(time.month())),
            Self::Day => clock(|time| f64::from(time.day())),
            Self::Hour => clock(|time| f64::from(time.hour())),
            Self::Minute => clock(|time| f64::from(time.minute())),
            Self::Second => clock(|time| f64::from(time.second())),
            Self::FractionalSeconds => clock(|time| f64::from(time.timestamp_subsec_millis()) / 1e3),
            Self::Now => Some(Value::Time(now_ms())),
            Self::Round => Some(Value::Number(number(0)?.round())),
            Self::Floor => Some(Value::Number(number(0)?.floor())),
            Self::Ceiling => Some(Value::Number(number(0)?.ceil())),
            Self::Distance => {
                let (region, place) = pair(given)?;
                Some(Value::Number(region.distance_to(place)))
            }
            Self::Intersects | Self::Within => {
                let (region, place) = pair(given)?;
                Some(Value::Bool(region.distance_to(place) <= 0.0))
            }
            Self::Disjoint => {
                let (region, place) = pair(given)?;
                Some(Value::Bool(region.distance_to(place) > 0.0))
            }
            Self::Equals => {
                let (region, place) = pair(given)?;
                let extent = region.extent();
                Some(Value::Bool(extent.min.truncate() == place && extent.max.truncate() == place))
            }
        }
    }
}

/// One of two shapes, and the other, which is a place.
fn pair(given: &[Value]) -> Option<(&Region, glam::DVec2)> {
    match given {
        [Value::Shape(region, _), Value::Shape(_, Some(place))]
        | [Value::Shape(_, Some(place)), Value::Shape(region, None)] => Some((region, *place)),
        _ => None,
    }
}
