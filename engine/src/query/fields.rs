//! Which attributes the objects of a layer have.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use rayon::prelude::*;

use super::{Filter, OWN_FIELDS};
use crate::{
    model::Value,
    store::{Broken, City, StoreError, join_inside, read_texts, read_values},
};

/// Rows that are looked at: all of a smaller layer, some of each of its parts of a larger one.
const MOST_ROWS: usize = 262_144;
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

    /// Whether any object has the attribute; where some were not looked at, they are now.
    pub fn has(&self, city: &City, layer: &str, key: &str) -> Result<bool, StoreError> {
        if self.kinds.contains_key(key) || self.is_complete {
            return Ok(self.kinds.contains_key(key));
        }
        // As it is written; within a text a quote is never plain.
        let written = format!("{}:", serde_json::Value::from(key));
        let finder = memchr::memmem::Finder::new(&written);
        let entry = city.layer(layer).ok_or_else(|| StoreError::NoLayer(layer.into()))?;
        let files: Vec<&String> = entry.object_files.iter().chain(&entry.ended_files).collect();
        let found = AtomicBool::new(false);
        files.par_iter().try_for_each(|file| {
            read_texts(&join_inside(city.folder(), file)?, &["attributes"], &mut |texts| {
                if texts[0].is_some_and(|text| finder.find(text.as_bytes()).is_some()) {
                    found.store(true, Ordering::Relaxed);
                }
                !found.load(Ordering::Relaxed)
            })
        })?;
        Ok(found.into_inner())
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

/// What a filter asks for that no object of these layers (of all, where none is named) has: most often a name that is misspelt.
pub fn unknown_fields(city: &City, layers: &[String], filter: &Filter) -> Result<Vec<String>, StoreError> {
    let mut unknown: Vec<&str> = filter.fields().into_iter().filter(|name| !OWN_FIELDS.contains(name)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    for layer in city.layers().iter().filter(|layer| layers.is_empty() || layers.contains(&layer.name)) {
        if unknown.is_empty() {
            break;
        }
        let fields = LayerFields::read(city, &layer.name)?;
        let mut left = Vec::new();
        for name in unknown {
            if !fields.has(city, &layer.name, name)? {
                left.push(name);
            }
        }
        unknown = left;
    }
    Ok(unknown.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crs::Crs,
        model::{Attribute, CityObject, Class, Geometry, ImportReport, ObjectId},
        store::SourceRef,
    };

    #[test]
    fn attributes_are_known_by_their_values() {
        let dir = tempfile::tempdir().unwrap();
        let city = City::create(&dir.path().join("f.city"), "f", &Crs::from_epsg(4549).unwrap(), None).unwrap();
        let mut draft = city.begin().unwrap();
        draft.replace_layer("a", vec![SourceRef::default()]).unwrap();
        for n in 0..50 {
            let mut object = CityObject::new(ObjectId::new("a", n), Class::Building, Geometry::None);
            let mut put = |key: &str, value| object.attributes.push(Attribute::read(&key.into(), value));
            put("whole", Value::Int(n.into()));
            put("number", if n == 7 { Value::Real(0.5) } else { Value::Int(1) });
            put("mixed", if n == 7 { Value::Bool(true) } else { Value::Text("\"rare\":1".into()) });
            if n == 49 {
                put("管径 \"", Value::Int(1));
            }
            draft.push("a", object).unwrap();
        }
        draft.commit(&mut ImportReport::default()).unwrap();
        let city = City::open(city.folder()).unwrap();
        let fields = LayerFields::read(&city, "a").unwrap();
        let kinds: Vec<(&str, FieldKind)> = fields.kinds.iter().map(|(key, kind)| (key.as_str(), *kind)).collect();
        use FieldKind::{Int, Mixed, Real};
        assert_eq!(kinds, [("mixed", Mixed), ("number", Real), ("whole", Int), ("管径 \"", Int)]);
        assert!(fields.is_complete);
        let unknown = |text: &str, layers: &[&str]| {
            let layers: Vec<String> = layers.iter().map(|name| (*name).to_owned()).collect();
            unknown_fields(&city, &layers, &Filter::parse(text).unwrap()).unwrap()
        };
        assert_eq!(unknown("whole > 1 AND name = 'x' AND class = 'building'", &[]), [""; 0]);
        assert_eq!(unknown("hole > 1 OR whole > 1 OR hight_m < 2 OR hole < 0", &["a"]), ["hight_m", "hole"]);
        assert_eq!(unknown("whole > 1", &["b"]), ["whole"], "of another layer");
        // As if it were a large layer of which little was looked at.
        let sampled = LayerFields::default();
        for (key, is_there) in [("whole", true), ("管径 \"", true), ("rare", false), ("hole", false)] {
            assert_eq!(sampled.has(&city, "a", key).unwrap(), is_there, "{key}");
            assert_eq!(fields.has(&city, "a", key).unwrap(), is_there, "{key}");
        }
    }
}
