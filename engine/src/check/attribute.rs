//! Tests of attributes.

use super::{
    Verdict,
    rule::{Test, Type},
};
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

/// The first of the attributes `a|b` that says something.
fn held_any<'a>(object: &'a CityObject, fields: &str) -> Option<&'a Attribute> {
    fields.split('|').find_map(|field| held(object, field))
}

/// The number that an attribute delivers, else why it proves nothing.
pub(super) fn number(object: &CityObject, field: &str) -> Result<f64, Outcome> {
    match held(object, field) {
        None => Err((Verdict::Unknown, field.to_owned(), String::new())),
        Some(attribute) if attribute.is_defaulted() => Err((Verdict::Unknown, assumed(attribute), String::new())),
        Some(attribute) => {
            attribute.value.as_f64().ok_or_else(|| (Verdict::Fail, attribute.value.to_string(), "number".to_owned()))
        }
    }
}

/// An assumed attribute with the reason.
fn assumed(attribute: &Attribute) -> String {
    match &attribute.origin {
        Origin::Defaulted(why) => format!("{} ({why})", attribute.key),
        _ => attribute.key.to_string(),
    }
}

fn within(value: f64, min: Option<f64>, max: Option<f64>) -> bool {
    min.is_none_or(|m| value >= m) && max.is_none_or(|m| value <= m)
}

/// The verdict of an attribute test; `None` for the other tests.
pub(super) fn look(test: &Test, object: &CityObject) -> Option<Outcome> {
    Some(match test {
        Test::Required { fields } => {
            let fields = || fields.iter().map(String::as_str);
            let missing: Vec<&str> = fields().filter(|f| !is_own(object, f) && held_any(object, f).is_none()).collect();
            let guessed = fields().filter_map(|f| held_any(object, f)).filter(|a| a.is_defaulted());
            let guessed: Vec<String> = guessed.map(assumed).collect();
            match (missing.is_empty(), guessed.is_empty()) {
                (false, _) => (Verdict::Fail, missing.join(", "), String::new()),
                (true, false) => (Verdict::Unknown, guessed.join(", "), String::new()),
                (true, true) => PASS,
            }
        }
        Test::ExactlyOne { fields } => {
            let there: Vec<&str> = fields.iter().map(String::as_str).filter(|f| held(object, f).is_some()).collect();
            if there.len() == 1 { PASS } else { (Verdict::Fail, there.join(", "), fields.join(", ")) }
        }
        Test::Range { field, min, max } => match number(object, field) {
            Err(outcome) => outcome,
            Ok(value) if within(value, *min, *max) => PASS,
            Ok(_) => (Verdict::Fail, held(object, field)?.value.to_string(), limits(*min, *max)),
        },
        Test::Type { field, is, most_chars } => {
            let text = match field.as_str() {
                "id" => object.id.as_str().split_once('/').map_or(object.id.as_str(), |(_, key)| key).to_owned(),
                _ => held(object, field)?.value.to_string(),
            };
            let is_of_type = match is {
                Type::Text => true,
                Type::Number => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
                Type::Whole => text.trim().parse::<f64>().is_ok_and(|n| n.fract() == 0.0),
            };
            let chars = text.chars().count();
            match most_chars {
                _ if !is_of_type => (Verdict::Fail, text, format!("{is:?}").to_lowercase()),
                Some(most) if chars > *most => (Verdict::Fail, format!("{text} ({chars})"), most.to_string()),
                _ => PASS,
            }
        }
        Test::Ratio { field, by, min, max } => {
            // What is not said is another rule's business.
            let (Some(_), Some(_)) = (held(object, field), held(object, by)) else { return None };
            match (number(object, field), number(object, by)) {
                (Err(outcome), _) | (_, Err(outcome)) => outcome,
                (Ok(_), Ok(0.0)) => (Verdict::Unknown, by.clone(), String::new()),
                (Ok(above), Ok(below)) if within(above / below, *min, *max) => PASS,
                (Ok(above), Ok(below)) => (Verdict::Fail, format!("{:.2}", above / below), limits(*min, *max)),
            }
        }
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
