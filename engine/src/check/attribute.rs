//! Tests of attributes.

use super::{Verdict, rule::Test};
use crate::model::{Attribute, CityObject, Origin, Value};

/// A verdict with what was found and what was asked for.
pub(super) type Outcome = (Verdict, String, String);

pub(super) const PASS: Outcome = (Verdict::Pass, String::new(), String::new());

/// The attribute of this name, when it says something.
pub(super) fn held<'a>(object: &'a CityObject, field: &str) -> Option<&'a Attribute> {
    let found = object.attributes.iter().find(|a| &*a.key == field)?;
    let is_empty = matches!(&found.value, Value::Text(text) if text.trim().is_empty());
    (!is_empty).then_some(found)
}

pub(super) fn is_assumed(attribute: &Attribute) -> bool {
    matches!(attribute.origin, Origin::Defaulted(_))
}

/// The verdict of an attribute test; `None` for the other tests.
pub(super) fn look(test: &Test, object: &CityObject) -> Option<Outcome> {
    Some(match test {
        Test::Required { fields } => {
            let missing: Vec<&str> =
                fields.iter().map(String::as_str).filter(|f| !is_own(object, f) && held(object, f).is_none()).collect();
            let assumed: Vec<&str> =
                fields.iter().map(String::as_str).filter(|f| held(object, f).is_some_and(is_assumed)).collect();
            match (missing.is_empty(), assumed.is_empty()) {
                (false, _) => (Verdict::Fail, missing.join(", "), String::new()),
                (true, false) => (Verdict::Unknown, assumed.join(", "), String::new()),
                (true, true) => PASS,
            }
        }
        Test::ExactlyOne { fields } => {
            let there: Vec<&str> = fields.iter().map(String::as_str).filter(|f| held(object, f).is_some()).collect();
            if there.len() == 1 { PASS } else { (Verdict::Fail, there.join(", "), fields.join(", ")) }
        }
        Test::Range { field, min, max } => match held(object, field) {
            None => (Verdict::Unknown, field.clone(), String::new()),
            Some(attribute) if is_assumed(attribute) => (Verdict::Unknown, field.clone(), String::new()),
            Some(attribute) => match attribute.value.as_f64() {
                None => (Verdict::Fail, attribute.value.to_string(), "number".into()),
                Some(v) if min.is_some_and(|m| v < m) || max.is_some_and(|m| v > m) => {
                    (Verdict::Fail, attribute.value.to_string(), limits(*min, *max))
                }
                Some(_) => PASS,
            },
        },
        Test::Values { field, values } => match held(object, field) {
            None => (Verdict::Unknown, field.clone(), String::new()),
            Some(attribute) => {
                let text = attribute.value.to_string();
                let is_known = values.iter().any(|v| v.trim().eq_ignore_ascii_case(text.trim()));
                if is_known { PASS } else { (Verdict::Fail, text, values.join(", ")) }
            }
        },
        _ => return None,
    })
}

/// Whether the object has this in a place of its own.
fn is_own(object: &CityObject, field: &str) -> bool {
    match field {
        "name" => object.name.is_some(),
        "parent" => object.parent.is_some(),
        _ => false,
    }
}

/// Limits as people write them.
pub(super) fn limits(min: Option<f64>, max: Option<f64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min}–{max}"),
        (Some(min), None) => format!("≥ {min}"),
        (None, Some(max)) => format!("≤ {max}"),
        (None, None) => String::new(),
    }
}
