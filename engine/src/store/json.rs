//! The `attributes` and `provenance` columns: flat JSON objects.
//!
//! Numbers are read with the standard library's parser, because they must come back bit for bit
//! and a general JSON reader may round the last digit.

use std::{collections::HashMap, sync::Arc};

use super::bytes::Broken;
use crate::model::{Attribute, Origin, Value};

/// Key, value pairs as `{"key": value, …}` in their order. A key that is there already gets `#2`, `#3`, …
/// since JSON must not repeat keys and nothing may be dropped.
pub(crate) fn write_attributes(attributes: &[Attribute]) -> (String, String) {
    let (mut values, mut origins) = (String::from("{"), String::from("{"));
    let mut seen: Vec<String> = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let mut key = attribute.key.to_string();
        let mut number = 2;
        while seen.contains(&key) {
            key = format!("{}#{number}", attribute.key);
            number += 1;
        }
        for text in [&mut values, &mut origins] {
            if text.len() > 1 {
                text.push(',');
            }
            put_text(text, &key);
            text.push(':');
        }
        put_value(&mut values, &attribute.value);
        put_origin(&mut origins, attribute);
        seen.push(key);
    }
    values.push('}');
    origins.push('}');
    (values, origins)
}

fn put_text(out: &mut String, text: &str) {
    // Writing text as JSON cannot fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn put_value(out: &mut String, value: &Value) {
    match value {
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(i) => out.push_str(&i.to_string()),
        // `{:?}` keeps the point, by which a whole real is told from an integer.
        Value::Real(r) if r.is_finite() => out.push_str(&format!("{r:?}")),
        Value::Real(_) => out.push_str("null"),
        Value::Text(t) => put_text(out, t),
    }
}

fn put_origin(out: &mut String, attribute: &Attribute) {
    let (word, rule) = match &attribute.origin {
        Origin::Read => ("read", None),
        Origin::Converted(rule) => ("converted", Some(rule)),
        Origin::Measured(rule) => ("measured", Some(rule)),
        Origin::Defaulted(rule) => ("defaulted", Some(rule)),
    };
    out.push_str("{\"field\":");
    put_text(out, &attribute.field);
    out.push_str(",\"origin\":\"");
    out.push_str(word);
    out.push('"');
    if let Some(rule) = rule {
        out.push_str(",\"rule\":");
        put_text(out, rule);
    }
    out.push('}');
}

/// The pairs of a flat JSON object; `null`s are left out, nested values are an error.
pub(crate) fn read_values(text: &str) -> Result<Vec<(Arc<str>, Value)>, Broken> {
    const BAD: Broken = Broken("attributes are not a flat JSON object");
    let mut pairs = Vec::new();
    let mut rest = text.trim_start().strip_prefix('{').ok_or(BAD)?.trim_start();
    while !rest.starts_with('}') {
        let (key, after) = take_text(rest)?;
        rest = after.trim_start().strip_prefix(':').ok_or(BAD)?.trim_start();
        if rest.starts_with('"') {
            let (value, after) = take_text(rest)?;
            pairs.push((key.into(), Value::Text(value)));
            rest = after;
        } else {
            let end = rest.find(|c: char| c == ',' || c == '}' || c.is_ascii_whitespace()).ok_or(BAD)?;
            let (word, after) = rest.split_at(end);
            rest = after;
            match word {
                "true" | "false" => pairs.push((key.into(), Value::Bool(word == "true"))),
                "null" => {}
                number => pairs.push((key.into(), read_number(number).ok_or(BAD)?)),
            }
        }
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return Err(BAD),
        }
    }
    Ok(pairs)
}

fn read_number(word: &str) -> Option<Value> {
    // The standard parser also takes words such as `inf`, which JSON does not have.
    if !word.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
        return None;
    }
    if let Ok(whole) = word.parse::<i64>() {
        return Some(Value::Int(whole));
    }
    word.parse::<f64>().ok().filter(|r| r.is_finite()).map(Value::Real)
}

/// A JSON string at the start of `text`, and what follows it.
fn take_text(text: &str) -> Result<(String, &str), Broken> {
    const BAD: Broken = Broken("a JSON string in the attributes does not end");
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return Err(BAD);
    }
    let mut at = 1;
    let mut plain = true;
    loop {
        match bytes.get(at).ok_or(BAD)? {
            b'"' => break,
            b'\\' => {
                plain = false;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let (quoted, rest) = text.split_at(at + 1);
    let value = if plain { quoted[1..at].to_owned() } else { serde_json::from_str(quoted).map_err(|_| BAD)? };
    Ok((value, rest))
}

/// Turns provenance back into origins. Objects of a layer mostly share one text, so the last one is kept.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    text: String,
    of_key: HashMap<String, (Arc<str>, Origin)>,
}

impl Origins {
    /// The attributes of one object from its two columns.
    pub(crate) fn attributes(&mut self, values: &str, provenance: &str) -> Result<Vec<Attribute>, Broken> {
        if self.text != provenance {
            self.of_key = read_origins(provenance)?;
            self.text = provenance.to_owned();
        }
        let attributes = read_values(values)?.into_iter().map(|(key, value)| {
            let known = self.of_key.get(&*key).cloned();
            let (field, origin) = known.unwrap_or_else(|| ("".into(), Origin::Read));
            Attribute { key, value, field, origin }
        });
        Ok(attributes.collect())
    }
}

/// The attributes that nobody delivered, each with what was assumed and why, in the order of their keys.
pub(crate) fn read_assumed(provenance: &str) -> Result<Vec<(Arc<str>, Arc<str>)>, Broken> {
    // Most objects have none, and the text need not be taken apart.
    if !provenance.contains("\"defaulted\"") {
        return Ok(Vec::new());
    }
    let assumed = read_origins(provenance)?.into_iter().filter_map(|(key, (_, origin))| match origin {
        Origin::Defaulted(why) => Some((key.into(), why)),
        _ => None,
    });
    let mut assumed: Vec<(Arc<str>, Arc<str>)> = assumed.collect();
    assumed.sort();
    Ok(assumed)
}

fn read_origins(text: &str) -> Result<HashMap<String, (Arc<str>, Origin)>, Broken> {
    const BAD: Broken = Broken("provenance is not as it was written");
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|_| BAD)?;
    map.into_iter()
        .map(|(key, entry)| {
            let word = |name: &str| entry.get(name).and_then(|v| v.as_str()).unwrap_or("");
            let rule: Arc<str> = word("rule").into();
            let origin = match word("origin") {
                "read" => Origin::Read,
                "converted" => Origin::Converted(rule),
                "measured" => Origin::Measured(rule),
                "defaulted" => Origin::Defaulted(rule),
                _ => return Err(BAD),
            };
            Ok((key, (word("field").into(), origin)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_bit_for_bit() {
        let attributes = vec![
            Attribute::read(&"NAME".into(), Value::Text("中山路 \"8\" 号\\\n".into())),
            Attribute::converted("height_m", Value::Real(24.0), "H", "feet to metres"),
            Attribute::measured("area_m2", Value::Real(0.1 + 0.2), "shoelace"),
            Attribute::measured("tiny", Value::Real(5e-324), "x"),
            Attribute::measured("huge", Value::Real(1.7976931348623157e308), "x"),
            Attribute::defaulted("storeys", Value::Int(i64::MIN), "nobody said"),
            Attribute::read(&"ok".into(), Value::Bool(true)),
        ];
        let (values, provenance) = write_attributes(&attributes);
        serde_json::from_str::<serde_json::Value>(&values).unwrap();
        assert_eq!(Origins::default().attributes(&values, &provenance).unwrap(), attributes);
    }

    #[test]
    fn a_key_that_comes_twice_is_kept_twice() {
        let one = Attribute::read(&"A".into(), Value::Int(1));
        let (values, _) = write_attributes(&[one.clone(), one]);
        assert_eq!(values, r##"{"A":1,"A#2":1}"##);
    }

    #[test]
    fn damaged_text_is_refused() {
        for bad in ["", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":inf}", "{\"a\":[1]}", "{\"a\":\"x\\\"}", "{a:1}"]
        {
            assert!(read_values(bad).is_err(), "{bad}");
        }
        assert_eq!(read_values(" { } ").unwrap(), vec![]);
    }
}
