//! The table of features of a tile (`EXT_structural_metadata`).

use serde_json::Value;

use crate::{
    content::Features,
    glb::{Glb, GlbError},
};

/// The rows of the property table (`EXT_structural_metadata`); columns `id`, `class`, `name` and `cim_level`.
pub fn features(glb: &Glb<'_>) -> Result<Features, GlbError> {
    let extension = glb.root.extensions.as_ref().and_then(|e| e.others.get("EXT_structural_metadata"));
    let Some(table) = extension.and_then(|e| e.get("propertyTables")).and_then(|tables| tables.get(0)) else {
        return Ok(Features::default());
    };
    let count = table.get("count").and_then(Value::as_u64).unwrap_or(0);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let column = |name: &str| match table.get("properties").and_then(|p| p.get(name)) {
        Some(property) => strings(glb, property, count),
        None => Ok(Vec::new()),
    };
    let levels = table.get("properties").and_then(|p| p.get("cim_level")).and_then(|p| p.get("values"));
    let levels = match levels.and_then(Value::as_u64).and_then(|view| usize::try_from(view).ok()) {
        Some(view) => glb.view(view)?.to_vec(),
        None => Vec::new(),
    };
    if !levels.is_empty() && levels.len() != count {
        return Err(GlbError::Data { what: "property table", index: 0, reason: "has not one level a row" });
    }
    Ok(Features { ids: column("id")?, classes: column("class")?, names: column("name")?, levels })
}

fn strings(glb: &Glb<'_>, property: &Value, count: usize) -> Result<Vec<String>, GlbError> {
    let fail = |reason| GlbError::Data { what: "property table", index: 0, reason };
    let view = |key: &str| {
        let index = property.get(key).and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        glb.view(index.ok_or_else(|| fail("has a column without data"))?)
    };
    // Empty strings only: glTF has no empty buffer views, so a writer may leave the values out.
    let values = if property.get("values").is_some() { view("values")? } else { &[] };
    let offsets = view("stringOffsets")?;
    let width = match property.get("stringOffsetType").and_then(Value::as_str).unwrap_or("UINT32") {
        "UINT8" => 1,
        "UINT16" => 2,
        "UINT32" => 4,
        "UINT64" => 8,
        _ => return Err(fail("has offsets of an unknown type")),
    };
    let needed = count.checked_add(1).and_then(|n| n.checked_mul(width));
    if needed.is_none_or(|needed| needed > offsets.len()) {
        return Err(fail("has fewer offsets than rows"));
    }
    let offset = |row: usize| {
        let mut word = [0u8; 8];
        word[..width].copy_from_slice(&offsets[row * width..(row + 1) * width]);
        usize::try_from(u64::from_le_bytes(word)).unwrap_or(usize::MAX)
    };
    (0..count)
        .map(|row| {
            let bytes = values.get(offset(row)..offset(row + 1)).ok_or_else(|| fail("has offsets beyond its text"))?;
            Ok(String::from_utf8_lossy(bytes).into_owned())
        })
        .collect()
}
