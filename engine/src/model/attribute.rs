//! What is known about an object, and how it came to be known.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A typed value. Units are part of the attribute's key (`depth_m`) or of its name in the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Real number; never NaN or infinite.
    Real(f64),
    /// Text.
    Text(String),
}

impl Value {
    /// The value as a number, where it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(i) => Some(*i as f64),
            Value::Real(r) => Some(*r),
            _ => None,
        }
    }

    /// The value as text, where it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(t) => Some(t),
            _ => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            Value::Real(r) => write!(f, "{r}"),
            Value::Text(t) => f.write_str(t),
        }
    }
}

/// Where a value came from (来源). Together with the source of the layer and the record of the object
/// it answers "who says so?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Read from the field as it stands.
    Read,
    /// Computed from the field by the named rule, such as a unit or a code table.
    Converted(Arc<str>),
    /// Computed from geometry or from other layers by the named rule.
    Measured(Arc<str>),
    /// Not known: a default was put in, for the reason given. Drawn and counted as such.
    Defaulted(Arc<str>),
}

/// One attribute of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribute {
    /// Name within Groundline: the source's field name, or a standard key such as `height_m`,
    /// `storeys`, `depth_start_m`, `diameter_mm`, `material`, `owner`, `pipe_kind`.
    pub key: Arc<str>,
    /// The value.
    pub value: Value,
    /// Field of the source that it came from; empty when there is none.
    pub field: Arc<str>,
    /// How it came from there.
    pub origin: Origin,
}

impl Attribute {
    /// A value taken from the field of the same name.
    pub fn read(field: &Arc<str>, value: Value) -> Self {
        Self { key: field.clone(), value, field: field.clone(), origin: Origin::Read }
    }

    /// A standard attribute computed from `field` by `rule`.
    pub fn converted(key: &str, value: Value, field: &str, rule: &str) -> Self {
        Self { key: key.into(), value, field: field.into(), origin: Origin::Converted(rule.into()) }
    }

    /// A standard attribute computed from geometry or other layers by `rule`.
    pub fn measured(key: &str, value: Value, rule: &str) -> Self {
        Self { key: key.into(), value, field: "".into(), origin: Origin::Measured(rule.into()) }
    }

    /// A standard attribute that nobody delivered; `why` says what was assumed and for what reason.
    pub fn defaulted(key: &str, value: Value, why: &str) -> Self {
        Self { key: key.into(), value, field: "".into(), origin: Origin::Defaulted(why.into()) }
    }

    /// Whether nobody delivered the value.
    pub fn is_defaulted(&self) -> bool {
        matches!(self.origin, Origin::Defaulted(_))
    }
}
