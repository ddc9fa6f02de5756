//! Attributes of an object: those of the modules, generic ones, addresses, those of extensions (PLATEAU's i-UR).

use std::sync::Arc;

use groundline_engine::model::Value;
use rustc_hash::FxHashMap;

use super::{
    name::Space,
    tree::{AttributeName, NodeId, View},
};

/// Attributes of one object; more are left out with a word in the report.
const MAX_FIELDS: usize = 20_000;
/// Names that are kept to be shared.
const MAX_NAMES: usize = 20_000;

/// Attributes whose values are words and codes even where they look like numbers.
const TEXTS: &[&str] = &["class", "function", "usage", "species", "roofType", "condition", "value", "name"];

/// Reads attributes; keeps names.
#[derive(Default)]
pub(super) struct Attributes {
    shared: FxHashMap<String, Arc<str>>,
}

/// What the attributes of one object are.
#[derive(Default)]
pub(super) struct Found {
    pub name: Option<String>,
    pub fields: Vec<(Arc<str>, Value)>,
    /// More than could be taken.
    pub is_cut: bool,
    seen: FxHashMap<Arc<str>, u32>,
}

impl Attributes {
    /// Takes a property of an object.
    pub fn take(&mut self, view: View<'_>, property: NodeId, found: &mut Found) {
        let local = view.local(property);
        if view.space(property) == Space::Gml {
            match local {
                "name" => {
                    let text = view.tree.text(property).to_owned();
                    if found.name.is_none() && !text.is_empty() {
                        found.name = Some(text.clone());
                    }
                    self.put("name", Value::Text(text), found);
                }
                "boundedBy" | "metaDataProperty" | "location" => {}
                _ => self.walk(view, property, None, found),
            }
            return;
        }
        self.walk(view, property, None, found);
    }

    /// Takes an element and what stands in it. `outer` is the name of the type around it.
    fn walk(&mut self, view: View<'_>, node: NodeId, outer: Option<&str>, found: &mut Found) {
        let local = view.local(node);
        if is_geometry(view, node) {
            return;
        }
        if view.tree.first_child(node).is_none() {
            self.leaf(view, node, outer, found);
            return;
        }
        if self.generic(view, node, found) {
            return;
        }
        // A property around a type: the type names what stands in it.
        for child in view.children(node) {
            self.walk(view, child, Some(local), found);
        }
    }

    fn leaf(&mut self, view: View<'_>, node: NodeId, outer: Option<&str>, found: &mut Found) {
        let text = view.tree.text(node);
        let text = match view.tree.get(node, AttributeName::Href) {
            Some(href) if text.is_empty() => href,
            _ => text,
        };
        if text.is_empty() {
            return;
        }
        let local = view.local(node);
        let name = match outer {
            Some(outer) => format!("{outer}.{local}"),
            None => local.to_owned(),
        };
        let uom = view.tree.get(node, AttributeName::Uom);
        let is_code = view.tree.get(node, AttributeName::CodeSpace).is_some()
            || (TEXTS.contains(&local) && uom.is_none() && outer.is_none());
        let value = if is_code { Value::Text(text.to_owned()) } else { typed(text, uom.is_some()) };
        self.put(&with_unit(&name, uom, &value), value, found);
    }

    /// Takes a generic attribute of either version; `false` for what is none.
    fn generic(&mut self, view: View<'_>, node: NodeId, found: &mut Found) -> bool {
        let local = view.local(node);
        if view.space(node) != Space::Generics || !local.ends_with("Attribute") && !local.ends_with("AttributeSet") {
            return false;
        }
        // Version 2 has the name as an attribute, version 3 as a child.
        let name = match view.tree.get(node, AttributeName::Name) {
            Some(name) => name,
            None => match view.child(node, "name") {
                Some(child) => view.tree.text(child),
                None => return false,
            },
        };
        if local.ends_with("AttributeSet") {
            for child in view.children(node) {
                // Version 3 wraps each in a property.
                let inner = match view.space(child) == Space::Generics && view.local(child).ends_with("Attribute") {
                    true if view.child(child, "value").is_some() => Some(child),
                    _ => view.tree.first_child(child),
                };
                let Some(inner) = inner else { continue };
                let Some((own, value, uom)) = generic_value(view, inner) else { continue };
                let full = format!("{name}.{own}");
                self.put(&with_unit(&full, uom, &value), value, found);
            }
            return true;
        }
        if let Some((_, value, uom)) = generic_value(view, node) {
            self.put(&with_unit(name, uom, &value), value, found);
        }
        true
    }

    fn put(&mut self, name: &str, value: Value, found: &mut Found) {
        if found.fields.len() >= MAX_FIELDS {
            found.is_cut = true;
            return;
        }
        let shared = self.shared(name);
        let times = found.seen.entry(shared.clone()).or_insert(0);
        *times += 1;
        let shared = if *times > 1 {
            let times = *times;
            self.shared(&format!("{name}[{times}]"))
        } else {
            shared
        };
        found.fields.push((shared, value));
    }

    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.shared.get(name) {
            return known.clone();
        }
        let shared: Arc<str> = Arc::from(name);
        if self.shared.len() < MAX_NAMES {
            self.shared.insert(name.to_owned(), shared.clone());
        }
        shared
    }
}

/// Geometries within attributes: points of addresses, lines of PLATEAU's map attributes.
fn is_geometry(view: View<'_>, node: NodeId) -> bool {
    let local = view.local(node);
    let is_lod = local.strip_prefix("lod").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let has_shape = || view.tree.first_child(node).is_some_and(|child| view.space(child) == Space::Gml);
    (is_lod && has_shape())
        || (view.space(node) == Space::Gml
            && matches!(
                local,
                "Point" | "MultiPoint" | "MultiCurve" | "MultiSurface" | "LineString" | "Polygon" | "Solid"
            ))
}

fn generic_value<'t>(view: View<'t>, node: NodeId) -> Option<(&'t str, Value, Option<&'t str>)> {
    let own = match view.tree.get(node, AttributeName::Name) {
        Some(name) => name,
        None => view.tree.text(view.child(node, "name")?),
    };
    let value_node = view.child(node, "value")?;
    let text = view.tree.text(value_node);
    let uom = view.tree.get(value_node, AttributeName::Uom);
    let text_value = || Value::Text(text.to_owned());
    let value = match view.local(node).to_ascii_lowercase().as_str() {
        "intattribute" => text.parse().map_or_else(|_| text_value(), Value::Int),
        "doubleattribute" | "measureattribute" => real(text).unwrap_or_else(text_value),
        _ => text_value(),
    };
    (!text.is_empty()).then_some((own, value, uom))
}

/// Metres need no word; other units stand in brackets.
fn with_unit(name: &str, uom: Option<&str>, value: &Value) -> String {
    let unit = uom.map(|uom| uom.trim().trim_start_matches('#').rsplit(':').next().unwrap_or(uom));
    match unit {
        Some(unit) if !matches!(value, Value::Text(_)) && !matches!(unit, "" | "m" | "metre" | "meter" | "9001") => {
            format!("{name} ({unit:.30})")
        }
        _ => name.to_owned(),
    }
}

fn real(text: &str) -> Option<Value> {
    text.parse().ok().filter(|n: &f64| n.is_finite()).map(Value::Real)
}

/// The schema is not at hand: a text that is a number in its usual form is one, save codes with leading zeros.
fn typed(text: &str, is_measure: bool) -> Value {
    if is_measure && let Some(value) = real(text) {
        return value;
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.len() <= 15 && (digits == "0" || !digits.starts_with('0') || digits.starts_with("0."));
    if is_plain && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Int);
    }
    let is_decimal = is_plain
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().filter(|b| *b == b'.').count() == 1
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if is_decimal => real(text).unwrap_or_else(|| Value::Text(text.to_owned())),
        _ => Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_and_codes_are_not() {
        assert_eq!(typed("12", false), Value::Int(12));
        assert_eq!(typed("-0.5", false), Value::Real(-0.5));
        assert_eq!(typed("7", true), Value::Real(7.0));
        assert_eq!(typed("true", false), Value::Bool(true));
        for text in ["007", "2024-03-22", "13101-bldg-3", "1.2.3", "NaN", "1e5", "-", "12345678901234567", "．5"] {
            assert_eq!(typed(text, false), Value::Text(text.into()), "{text}");
        }
        assert_eq!(with_unit("area", Some("#m2"), &Value::Real(1.0)), "area (m2)");
        assert_eq!(with_unit("height", Some("urn:adv:uom:m"), &Value::Real(1.0)), "height");
    }
}
