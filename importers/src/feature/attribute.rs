//! The standard attributes among a feature's fields.

use std::sync::Arc;

use groundline_engine::model::{Attribute, Origin, Value};

use crate::field::{self, Recogniser, Unit};

/// The fields of one feature that hold standard attributes, best name first.
pub(super) struct Fields<'f> {
    all: &'f [(Arc<str>, Value)],
    found: Vec<Found<'f>>,
}

struct Found<'f> {
    key: &'static str,
    rank: usize,
    unit: Option<Unit>,
    name: &'f Arc<str>,
    value: &'f Value,
}

/// A number found in a field.
pub(super) struct Number<'f> {
    pub value: f64,
    pub unit: Option<Unit>,
    pub field: &'f Arc<str>,
}

impl<'f> Fields<'f> {
    pub fn new(fields: &'f [(Arc<str>, Value)], recogniser: &mut Recogniser) -> Self {
        let recognised = fields.iter().filter_map(|(name, value)| {
            let found = recogniser.recognise(name)?;
            Some(Found { key: found.key, rank: found.rank, unit: found.unit, name, value })
        });
        let mut found: Vec<_> = recognised.collect();
        found.sort_by_key(|f| f.rank);
        Self { all: fields, found }
    }

    /// Every number that stands for `key`, best field first.
    pub fn numbers(&self, key: &'static str) -> impl Iterator<Item = Number<'f>> {
        self.with(key).filter_map(|found| {
            let (value, unit) = field::number(found.value)?;
            Some(Number { value, unit: unit.or(found.unit), field: found.name })
        })
    }

    /// Every text that stands for `key`, best field first.
    pub fn texts(&self, key: &'static str) -> impl Iterator<Item = &'f str> {
        self.with(key).filter_map(|found| found.value.as_str()).filter(|text| !text.trim().is_empty())
    }

    /// The best text that stands for `key`.
    pub fn text(&self, key: &'static str) -> Option<&'f str> {
        self.texts(key).next()
    }

    /// The best value that stands for `key` as an attribute, as it is.
    pub fn read(&self, key: &'static str) -> Option<Attribute> {
        self.with(key).next().map(|found| Attribute {
            key: key.into(),
            value: found.value.clone(),
            field: found.name.clone(),
            origin: Origin::Read,
        })
    }

    /// Whether a field has one of these names.
    pub fn has_any(&self, names: &[&str]) -> bool {
        self.all.iter().any(|(name, _)| names.contains(&&**name))
    }

    fn with(&self, key: &'static str) -> impl Iterator<Item = &Found<'f>> {
        self.found.iter().filter(move |found| found.key == key)
    }
}

impl Number<'_> {
    /// Metres; without a unit the number is taken as metres.
    pub fn metres(&self) -> f64 {
        self.value * self.unit.unwrap_or(Unit::Metre).metres()
    }

    /// The number in metres as attribute `key`, converted where it stood in another unit.
    pub fn attribute_m(&self, key: &str) -> Attribute {
        let origin = match self.unit {
            None | Some(Unit::Metre) => Origin::Read,
            Some(unit) => Origin::Converted(format!("{unit:?} to metres").to_lowercase().into()),
        };
        Attribute { key: key.into(), value: Value::Real(self.metres()), field: self.field.clone(), origin }
    }
}
