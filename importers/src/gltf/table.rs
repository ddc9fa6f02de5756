//! Property tables: EXT_structural_metadata (Cesium 1.0), as attributes of features.

use std::sync::Arc;

use groundline_engine::model::{Attribute, Value};
use serde_json::Value as Json;

use super::document::Document;

/// Characters of a text, and elements of an array, that an attribute takes over.
const MAX_TEXT: usize = 4096;
const MAX_ARRAY: u64 = 256;
/// Bytes of a schema in a file of its own.
const MAX_SCHEMA: u64 = 16 << 20;

/// Attributes of numbered features.
pub(crate) trait Table {
    /// What is known of a feature.
    fn attributes(&self, feature: u32) -> Vec<Attribute>;
}

/// The property tables of a document, with what could not be read of them.
pub(crate) fn tables_of(document: &Document) -> (Vec<PropertyTable>, Vec<String>) {
    let mut notes = Vec::new();
    let Some(metadata) = document.root.extensions.get("EXT_structural_metadata") else { return (Vec::new(), notes) };
    let schema = match metadata.get("schemaUri").and_then(Json::as_str) {
        Some(uri) => match document
            .folder
            .read(uri, MAX_SCHEMA)
            .and_then(|b| serde_json::from_slice(&b).map_err(|e| e.to_string()))
        {
            Ok(schema) => schema,
            Err(reason) => {
                notes.push(format!("schema: {reason}"));
                Json::Null
            }
        },
        None => metadata.get("schema").cloned().unwrap_or_default(),
    };
    let listed = metadata.get("propertyTables").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let tables = listed.iter().map(|table| PropertyTable::of(document, &schema, table, &mut notes)).collect();
    (tables, notes)
}

/// One table.
pub(crate) struct PropertyTable {
    count: u64,
    columns: Vec<Column>,
}

impl PropertyTable {
    fn of(document: &Document, schema: &Json, table: &Json, notes: &mut Vec<String>) -> Self {
        let count = table.get("count").and_then(Json::as_u64).unwrap_or(0);
        let class = table.get("class").and_then(Json::as_str).and_then(|c| schema.get("classes")?.get(c));
        let described = class.and_then(|c| c.get("properties")).and_then(Json::as_object);
        let mut columns = Vec::new();
        for (name, stored) in table.get("properties").and_then(Json::as_object).into_iter().flatten() {
            let column = described
                .and_then(|d| d.get(name))
                .ok_or_else(|| "it is not in the schema".to_owned())
                .and_then(|property| Column::of(document, schema, name, property, stored, count));
            match column {
                Ok(column) => columns.push(column),
                Err(reason) => notes.push(format!("property {name:.60}: {reason}")),
            }
        }
        Self { count, columns }
    }
}

impl Table for PropertyTable {
    fn attributes(&self, feature: u32) -> Vec<Attribute> {
        let feature = u64::from(feature);
        let columns = self.columns.iter().filter(|_| feature < self.count);
        columns.filter_map(|c| Some(Attribute::read(&c.name, c.value(feature)?))).collect()
    }
}

/// A type of component.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Component {
    Int { bytes: usize, is_signed: bool },
    Float { bytes: usize },
    Bool,
    Text,
}

/// One property of all rows.
struct Column {
    name: Arc<str>,
    component: Component,
    /// Numbers of one element: 3 of a VEC3.
    width: u64,
    /// Elements of a row: `None` = not an array; `Some(0)` = as the offsets say.
    array: Option<u64>,
    values: Vec<u8>,
    array_offsets: Vec<u64>,
    string_offsets: Vec<u64>,
    names: Vec<(i64, String)>,
    normal: Option<f64>,
    scale: f64,
    offset: f64,
    missing: Option<Json>,
    otherwise: Option<Json>,
}

impl Column {
    fn of(
        document: &Document,
        schema: &Json,
        name: &str,
        property: &Json,
        stored: &Json,
        count: u64,
    ) -> Result<Self, String> {
        let text = |key: &str| property.get(key).and_then(Json::as_str);
        let kind = text("type").unwrap_or("SCALAR");
        let mut names = Vec::new();
        let mut component = text("componentType").and_then(component_of);
        let mut width = 1;
        match kind {
            "STRING" => component = Some(Component::Text),
            "BOOLEAN" => component = Some(Component::Bool),
            "ENUM" => {
                let listed = text("enumType")
                    .and_then(|e| schema.get("enums")?.get(e))
                    .ok_or("its enum is not in the schema")?;
                component = component_of(listed.get("valueType").and_then(Json::as_str).unwrap_or("UINT16"));
                for value in listed.get("values").and_then(Json::as_array).into_iter().flatten() {
                    let pair = value.get("value").and_then(Json::as_i64).zip(value.get("name").and_then(Json::as_str));
                    names.extend(pair.map(|(v, n)| (v, n.to_owned())));
                }
            }
            "SCALAR" => {}
            "VEC2" | "VEC3" | "VEC4" => width = kind.bytes().last().map_or(1, |b| u64::from(b - b'0')),
            "MAT2" => width = 4,
            "MAT3" => width = 9,
            "MAT4" => width = 16,
            _ => return Err(format!("type {kind:.20} is not known")),
        }
        let component = component.ok_or("its componentType is not known")?;
        let is_array = property.get("array").and_then(Json::as_bool).unwrap_or(false);
        let array = is_array.then(|| property.get("count").and_then(Json::as_u64).unwrap_or(0));
        let view = |key: &str| stored.get(key).and_then(Json::as_u64).map(|v| document.view(v as usize));
        let values = view("values").ok_or("it has no values")??.to_vec();
        let offsets = |key: &str, kind: &str| -> Result<Vec<u64>, String> {
            let Some(bytes) = view(key) else { return Ok(Vec::new()) };
            let size = match stored.get(kind).and_then(Json::as_str).unwrap_or("UINT32") {
                "UINT8" => 1,
                "UINT16" => 2,
                "UINT32" => 4,
                "UINT64" => 8,
                _ => return Err("its offsets have no known type".into()),
            };
            Ok(bytes?.chunks_exact(size).map(|b| b.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b))).collect())
        };
        let array_offsets = offsets("arrayOffsets", "arrayOffsetType")?;
        let string_offsets = offsets("stringOffsets", "stringOffsetType")?;
        let number = |key: &str| stored.get(key).or_else(|| property.get(key)).and_then(Json::as_f64);
        let is_normalized = property.get("normalized").and_then(Json::as_bool).unwrap_or(false);
        let normal = match component {
            Component::Int { bytes, is_signed } if is_normalized => {
                Some(2f64.powi(8 * bytes as i32 - i32::from(is_signed)) - 1.0)
            }
            _ => None,
        };
        let column = Self {
            name: name.into(),
            component,
            width,
            array,
            values,
            array_offsets,
            string_offsets,
            names,
            normal,
            scale: number("scale").unwrap_or(1.0),
            offset: number("offset").unwrap_or(0.0),
            missing: property.get("noData").cloned(),
            otherwise: property.get("default").cloned(),
        };
        column.check(count)?;
        Ok(column)
    }

    /// Whether there are values for all rows.
    fn check(&self, count: u64) -> Result<(), String> {
        let last = self.elements(count.saturating_sub(1)).map_or(0, |(from, n)| from.saturating_add(n));
        let numbers = last.saturating_mul(self.width);
        let have = match self.component {
            Component::Int { bytes, .. } | Component::Float { bytes } => self.values.len() as u64 / bytes as u64,
            Component::Bool => self.values.len() as u64 * 8,
            Component::Text => self.string_offsets.len().saturating_sub(1) as u64,
        };
        if count > 0 && numbers > have {
            return Err(format!("{numbers} values are promised, {have} are there"));
        }
        Ok(())
    }

    /// First element of a row, and how many.
    fn elements(&self, row: u64) -> Option<(u64, u64)> {
        match self.array {
            None => Some((row, 1)),
            Some(0) => {
                let from = *self.array_offsets.get(row as usize)?;
                let to = *self.array_offsets.get(row as usize + 1)?;
                Some((from, to.checked_sub(from)?))
            }
            Some(n) => Some((row.checked_mul(n)?, n)),
        }
    }

    fn value(&self, row: u64) -> Option<Value> {
        let (from, count) = self.elements(row)?;
        let single = self.array.is_none() && self.width == 1;
        if single {
            let value = self.one(from)?;
            if self.missing.as_ref().is_some_and(|m| is_same(m, &value)) {
                return self.otherwise.as_ref().and_then(plain);
            }
            return Some(value);
        }
        let (from, numbers) = (from.checked_mul(self.width)?, count.checked_mul(self.width)?);
        let mut words: Vec<String> = Vec::new();
        for k in 0..numbers.min(MAX_ARRAY) {
            words.push(self.one(from + k)?.to_string());
        }
        if numbers > MAX_ARRAY {
            words.push("…".into());
        }
        (numbers > 0).then(|| Value::Text(words.join(if self.component == Component::Text { "; " } else { " " })))
    }

    /// One number, word or yes.
    fn one(&self, k: u64) -> Option<Value> {
        let k = k as usize;
        match self.component {
            Component::Bool => Some(Value::Bool(self.values.get(k / 8)? >> (k % 8) & 1 == 1)),
            Component::Text => {
                let (from, to) = (*self.string_offsets.get(k)? as usize, *self.string_offsets.get(k + 1)? as usize);
                let text = String::from_utf8_lossy(self.values.get(from..to)?);
                Some(Value::Text(text.chars().take(MAX_TEXT).collect()))
            }
            Component::Float { bytes } => {
                let b = self.values.get(k * bytes..(k + 1) * bytes)?;
                let value = match bytes {
                    4 => f64::from(f32::from_le_bytes(b.try_into().ok()?)),
                    _ => f64::from_le_bytes(b.try_into().ok()?),
                };
                Some(value * self.scale + self.offset).filter(|v| v.is_finite()).map(Value::Real)
            }
            Component::Int { bytes, is_signed } => {
                let b = self.values.get(k * bytes..(k + 1) * bytes)?;
                let bits = b.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
                let unused = 64 - 8 * bytes as u32;
                let whole = if is_signed { ((bits << unused) as i64 >> unused) as i128 } else { i128::from(bits) };
                if let Some((_, name)) = self.names.iter().find(|(v, _)| i128::from(*v) == whole) {
                    return Some(Value::Text(name.clone()));
                }
                if self.normal.is_some() || self.scale != 1.0 || self.offset != 0.0 {
                    let share = self.normal.map_or(whole as f64, |most| (whole as f64 / most).max(-1.0));
                    return Some(Value::Real(share * self.scale + self.offset));
                }
                Some(i64::try_from(whole).map_or(Value::Real(whole as f64), Value::Int))
            }
        }
    }
}

fn component_of(word: &str) -> Option<Component> {
    let int = |bytes, is_signed| Some(Component::Int { bytes, is_signed });
    match word {
        "INT8" => int(1, true),
        "UINT8" => int(1, false),
        "INT16" => int(2, true),
        "UINT16" => int(2, false),
        "INT32" => int(4, true),
        "UINT32" => int(4, false),
        "INT64" => int(8, true),
        "UINT64" => int(8, false),
        "FLOAT32" => Some(Component::Float { bytes: 4 }),
        "FLOAT64" => Some(Component::Float { bytes: 8 }),
        _ => None,
    }
}

fn is_same(json: &Json, value: &Value) -> bool {
    match value {
        Value::Text(text) => json.as_str() == Some(text),
        Value::Int(i) => json.as_i64() == Some(*i),
        Value::Real(r) => json.as_f64().is_some_and(|j| j == *r || j as f32 == *r as f32),
        Value::Bool(b) => json.as_bool() == Some(*b),
    }
}

/// A JSON value as an attribute's; lists and objects as their JSON.
pub(crate) fn plain(json: &Json) -> Option<Value> {
    match json {
        Json::Null => None,
        Json::Bool(b) => Some(Value::Bool(*b)),
        Json::Number(n) => n.as_i64().map(Value::Int).or_else(|| n.as_f64().filter(|v| v.is_finite()).map(Value::Real)),
        Json::String(s) => Some(Value::Text(s.chars().take(MAX_TEXT).collect())),
        other => Some(Value::Text(other.to_string().chars().take(MAX_TEXT).collect())),
    }
}
