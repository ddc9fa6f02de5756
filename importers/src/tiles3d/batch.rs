//! Feature tables and batch tables of 3D Tiles 1.0: JSON with references into a binary body.

use std::sync::Arc;

use groundline_engine::model::{Attribute, Value};
use serde_json::Value as Json;

use crate::gltf::table::{Table, plain};

/// Parents of an instance that are followed.
const MAX_PARENTS: usize = 32;

/// A table: its JSON, and the bytes that it refers to.
pub(super) struct Body<'b> {
    pub json: Json,
    pub binary: &'b [u8],
}

impl<'b> Body<'b> {
    pub fn of(json: &[u8], binary: &'b [u8]) -> Result<Self, String> {
        let text = json.trim_ascii();
        let text = text.split(|b| *b == 0).next().unwrap_or(text);
        let json =
            if text.is_empty() { Json::Null } else { serde_json::from_slice(text).map_err(|e| e.to_string())? };
        Ok(Self { json, binary })
    }

    /// Numbers of a property: in the JSON itself, or in the body by its reference.
    pub fn numbers(&self, json: &Json, usual: (&str, usize), count: usize) -> Result<Vec<f64>, String> {
        if let Some(list) = json.as_array() {
            return Ok(list.iter().flat_map(flat).collect());
        }
        let from = json.get("byteOffset").and_then(Json::as_u64).ok_or("it has no byteOffset")? as usize;
        let component = json.get("componentType").and_then(Json::as_str).unwrap_or(usual.0);
        let size = size_of(component).ok_or_else(|| format!("componentType {component:.20} is not known"))?;
        let width = match json.get("type").and_then(Json::as_str) {
            Some("SCALAR") => 1,
            Some("VEC2") => 2,
            Some("VEC3") => 3,
            Some("VEC4") => 4,
            _ => usual.1,
        };
        let bytes = count.checked_mul(width).and_then(|n| n.checked_mul(size)).and_then(|n| n.checked_add(from));
        let bytes = bytes.and_then(|to| self.binary.get(from..to)).ok_or("it exceeds the binary body")?;
        Ok(bytes.chunks_exact(size).map(|b| number(b, component)).collect())
    }

    /// Numbers of a property of this name, if there is one.
    pub fn find(&self, name: &str, usual: (&str, usize), count: usize) -> Result<Option<Vec<f64>>, String> {
        let Some(json) = self.json.get(name) else { return Ok(None) };
        let numbers = self.numbers(json, usual, count).map_err(|e| format!("{name}: {e}"))?;
        if numbers.len() != count * usual.1 {
            return Err(format!("{name}: {} numbers instead of {}", numbers.len(), count * usual.1));
        }
        Ok(Some(numbers))
    }
}

fn flat(json: &Json) -> Vec<f64> {
    match json {
        Json::Array(list) => list.iter().filter_map(Json::as_f64).collect(),
        other => vec![other.as_f64().unwrap_or(f64::NAN)],
    }
}

fn size_of(component: &str) -> Option<usize> {
    Some(match component {
        "BYTE" | "UNSIGNED_BYTE" => 1,
        "SHORT" | "UNSIGNED_SHORT" => 2,
        "INT" | "UNSIGNED_INT" | "FLOAT" => 4,
        "DOUBLE" => 8,
        _ => return None,
    })
}

fn number(bytes: &[u8], component: &str) -> f64 {
    let mut b = [0u8; 8];
    b.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let whole = u64::from_le_bytes(b);
    match component {
        "BYTE" => f64::from(whole as u8 as i8),
        "SHORT" => f64::from(whole as u16 as i16),
        "INT" => f64::from(whole as u32 as i32),
        "FLOAT" => f64::from(f32::from_bits(whole as u32)),
        "DOUBLE" => f64::from_bits(whole),
        _ => whole as f64,
    }
}

/// The batch table of a content.
#[derive(Default)]
pub(super) struct BatchTable {
    columns: Vec<(Arc<str>, Vec<Option<Value>>)>,
    hierarchy: Option<Hierarchy>,
    /// What could not be read of it.
    pub notes: Vec<String>,
}

impl BatchTable {
    pub fn of(body: &Body<'_>, count: usize) -> Self {
        let mut table = Self::default();
        for (name, json) in body.json.as_object().into_iter().flatten() {
            if matches!(name.as_str(), "extensions" | "extras") {
                continue;
            }
            if name == "HIERARCHY" {
                continue;
            }
            match column(body, json, count) {
                Ok(values) => table.columns.push((name.as_str().into(), values)),
                Err(reason) => table.notes.push(format!("property {name:.60}: {reason}")),
            }
        }
        let older = body.json.get("HIERARCHY");
        let hierarchy = body.json.pointer("/extensions/3DTILES_batch_table_hierarchy").or(older);
        match hierarchy.map(|h| Hierarchy::of(body, h, count)) {
            Some(Ok(hierarchy)) => table.hierarchy = Some(hierarchy),
            Some(Err(reason)) => table.notes.push(format!("hierarchy: {reason}")),
            None => {}
        }
        table
    }
}

impl Table for BatchTable {
    fn attributes(&self, feature: u32) -> Vec<Attribute> {
        let own = |(name, values): &(Arc<str>, Vec<Option<Value>>)| {
            Some(Attribute::read(name, values.get(feature as usize)?.clone()?))
        };
        let mut attributes: Vec<Attribute> = self.columns.iter().filter_map(own).collect();
        if let Some(hierarchy) = &self.hierarchy {
            hierarchy.add(feature as usize, &mut attributes);
        }
        attributes
    }
}

/// The values of a property, one for each of `count` features.
fn column(body: &Body<'_>, json: &Json, count: usize) -> Result<Vec<Option<Value>>, String> {
    if let Some(list) = json.as_array() {
        if list.len() < count {
            return Err(format!("{} values for {count} features", list.len()));
        }
        return Ok(list.iter().take(count).map(plain).collect());
    }
    let numbers = body.numbers(json, ("FLOAT", 1), count)?;
    let is_real = matches!(json.get("componentType").and_then(Json::as_str), Some("FLOAT" | "DOUBLE"));
    let one = |n: &f64| {
        let value = if is_real { Value::Real(*n) } else { Value::Int(*n as i64) };
        n.is_finite().then_some(value)
    };
    let width = numbers.len().checked_div(count).unwrap_or(1).max(1);
    Ok(match width {
        1 => numbers.iter().map(one).collect(),
        _ => {
            let text = |row: &[f64]| Value::Text(row.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
            numbers.chunks_exact(width).map(|row| Some(text(row))).collect()
        }
    })
}

/// Classes of features, and features within features (3DTILES_batch_table_hierarchy).
struct Hierarchy {
    classes: Vec<(String, Vec<(Arc<str>, Vec<Option<Value>>)>)>,
    /// Class of each instance, and its number among those of the class.
    instances: Vec<(usize, usize)>,
    parents: Vec<Vec<usize>>,
}

impl Hierarchy {
    fn of(body: &Body<'_>, json: &Json, _batches: usize) -> Result<Self, String> {
        let count = json.get("instancesLength").and_then(Json::as_u64).ok_or("it has no instancesLength")? as usize;
        let whole = |json: Option<&Json>, n: usize| -> Result<Option<Vec<usize>>, String> {
            let Some(json) = json else { return Ok(None) };
            let numbers = body.numbers(json, ("UNSIGNED_SHORT", 1), n)?;
            if numbers.len() < n {
                return Err(format!("{} numbers instead of {n}", numbers.len()));
            }
            Ok(Some(numbers.into_iter().map(|v| v as usize).collect()))
        };
        let class_ids = whole(json.get("classIds"), count)?.ok_or("it has no classIds")?;
        let mut classes = Vec::new();
        for class in json.get("classes").and_then(Json::as_array).into_iter().flatten() {
            let length = class.get("length").and_then(Json::as_u64).unwrap_or(0) as usize;
            let mut columns = Vec::new();
            for (name, property) in class.get("instances").and_then(Json::as_object).into_iter().flatten() {
                columns.push((name.as_str().into(), column(body, property, length)?));
            }
            classes.push((class.get("name").and_then(Json::as_str).unwrap_or("").to_owned(), columns));
        }
        let mut counts = vec![0usize; classes.len()];
        let mut instances = Vec::new();
        for class in class_ids.into_iter().take(count) {
            let next = counts.get_mut(class).ok_or_else(|| format!("there is no class {class}"))?;
            instances.push((class, *next));
            *next += 1;
        }
        let parent_counts =
            whole(json.get("parentCounts"), count)?.unwrap_or_else(|| vec![1; count.min(instances.len())]);
        let total = parent_counts.iter().try_fold(0usize, |sum, n| sum.checked_add(*n)).ok_or("too many parents")?;
        let mut ids = whole(json.get("parentIds"), total)?.unwrap_or_default().into_iter();
        let parents = parent_counts.iter().map(|n| ids.by_ref().take(*n).collect()).collect();
        Ok(Self { classes, instances, parents })
    }

    /// Adds the properties of an instance, then those of what it is part of, under names that are still free.
    fn add(&self, instance: usize, attributes: &mut Vec<Attribute>) {
        let mut open = std::collections::VecDeque::from([instance]);
        let mut seen: Vec<usize> = Vec::new();
        while let Some(instance) = open.pop_front().filter(|_| seen.len() < MAX_PARENTS) {
            if seen.contains(&instance) {
                continue;
            }
            let Some((class, row)) = self.instances.get(instance) else { continue };
            let Some((name, columns)) = self.classes.get(*class) else { continue };
            if seen.is_empty() {
                let is_free = !attributes.iter().any(|a| &*a.key == "class");
                attributes.extend(is_free.then(|| Attribute::read(&"class".into(), Value::Text(name.clone()))));
            }
            for (key, values) in columns {
                let is_free = !attributes.iter().any(|a| a.key == *key);
                if let Some(value) = values.get(*row).cloned().flatten().filter(|_| is_free) {
                    let rule = format!("of the {name} in the hierarchy");
                    attributes.push(match seen.is_empty() {
                        true => Attribute::read(key, value),
                        false => Attribute::converted(key, value, key, &rule),
                    });
                }
            }
            seen.push(instance);
            open.extend(self.parents.get(instance).into_iter().flatten());
        }
    }
}
