//! Which attributes the objects of a layer have.

use std::collections::BTreeMap;

use crate::{
    model::Value,
    store::{Broken, City, StoreError, join_inside, read_texts, read_values},
};

/// Rows that are looked at: all of a smaller layer, some of each of its parts of a larger one.
const MOST_ROWS: usize = 65_536;
/// Parts of a larger layer that are looked at.
const MOST_PARTS: usize = 64;
/// Most different attributes.
const MOST_FIELDS: usize = 4_096;

/// What values an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// True or false.
    Bool,
    /// Whole numbers.
    Int,
    /// Numbers.
    Real,
    /// Texts.
    Text,
    /// Some of this and some of that.
    Mixed,
}

/// The attributes of a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerFields {
    /// Kinds by key.
    pub kinds: BTreeMap<String, FieldKind>,
    /// Whether every object was looked at, so that there are no others.
    pub is_complete: bool,
}

impl LayerFields {
    /// Those of a layer, from its `attributes` column alone.
    pub fn read(city: &City, layer: &str) -> Result<Self, StoreError> {
        let entry = city.layer(layer).ok_or_else(|| StoreError::NoLayer(layer.into()))?;
        let files: Vec<&String> = entry.object_files.iter().chain(&entry.ended_files).collect();
        let step = files.len().div_ceil(MOST_PARTS).max(1);
        let is_small = entry.objects.saturating_add(entry.ended) <= MOST_ROWS as u64 && step == 1;
        let rows_of_part = if is_small { MOST_ROWS } else { MOST_ROWS / files.len().div_ceil(step).max(1) };
        let mut fields = Self { kinds: BTreeMap::new(), is_complete: is_small };
        for file in files.iter().step_by(step) {
            let path = join_inside(city.folder(), file)?;
            let (mut count, mut outcome) = (0, Ok(()));
            read_texts(&path, &["attributes"], &mut |texts| {
                outcome = fields.add(texts[0].unwrap_or("{}")).map_err(|e| StoreError::damaged(&path, e));
                count += 1;
                // An object may be several rows.
                fields.is_complete &= count < rows_of_part;
                outcome.is_ok() && count < rows_of_part
            })?;
            outcome?;
        }
        Ok(fields)
    }

    fn add(&mut self, attributes: &str) -> Result<(), Broken> {
        for (key, value) in read_values(attributes)? {
            let kind = match value {
                Value::Bool(_) => FieldKind::Bool,
                Value::Int(_) => FieldKind::Int,
                Value::Real(_) => FieldKind::Real,
                Value::Text(_) => FieldKind::Text,
            };
            let has_room = self.kinds.len() < MOST_FIELDS;
            match self.kinds.get_mut(&*key) {
                Some(known) if *known == kind => {}
                Some(known) => {
                    let is_number = |kind: FieldKind| matches!(kind, FieldKind::Int | FieldKind::Real);
                    *known = if is_number(*known) && is_number(kind) { FieldKind::Real } else { FieldKind::Mixed };
                }
                None if has_room => drop(self.kinds.insert(key.to_string(), kind)),
                None => self.is_complete = false,
            }
        }
        Ok(())
    }
}
