//! One attribute of every object of some layers, small enough to keep: for maps by attribute and their legends.
//!
//! Sixteen bytes an object and each different value once. Read from the columns that are needed, part by part on every core.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
};

use rayon::prelude::*;

use crate::{
    model::Value,
    store::{City, StoreError, join_inside, read_assumed, read_texts, read_values},
};

/// The code of an object without the attribute.
const NONE: u32 = u32::MAX;
/// Set in the code of a value that nobody delivered.
const ASSUMED: u32 = 1 << 31;
/// How many parents up a value is looked for: a wall has its building's, a room that of its storey's building.
pub(super) const MOST_PARENTS: usize = 4;

/// What one object has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Index into [`Column::values`].
    pub value: u32,
    /// Whether nobody delivered it.
    pub is_assumed: bool,
}

/// One attribute of the objects of some layers.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// The different values with the number of objects that have each, in the order in which they are first met.
    pub values: Vec<(Value, u64)>,
    /// Objects whose value was assumed.
    pub assumed: u64,
    /// Objects without a value, of classes of which some object has one.
    pub missing: u64,
    /// Words of the classes of which some object has a value, sorted; others were not asked for one.
    pub classes: Vec<String>,
    /// Hash of the id and code, by the hash.
    rows: Vec<(u64, u32)>,
    /// Hash of the id of what has none, and of its parent.
    parents: Vec<(u64, u64)>,
}

/// What a part of a layer gives.
#[derive(Default)]
struct Part {
    values: Vec<Value>,
    codes: HashMap<Word, u32>,
    rows: Vec<(u64, u32)>,
    parents: Vec<(u64, u64)>,
    /// Objects with and without a value, by class.
    classes: BTreeMap<String, (u64, u64)>,
}

/// A value that can be looked up; numbers by their bits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Word {
    Bool(bool),
    Number(u64),
    Text(String),
}

fn word(value: &Value) -> Word {
    match value {
        Value::Bool(flag) => Word::Bool(*flag),
        // 3 and 3.0 are one value; adding 0 makes −0 the same as 0.
        Value::Int(whole) => Word::Number((*whole as f64 + 0.0).to_bits()),
        Value::Real(real) => Word::Number((*real + 0.0).to_bits()),
        Value::Text(text) => Word::Text(text.clone()),
    }
}

pub(super) fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

impl Column {
    /// The attribute of the objects of `layers` that exist now, under the first of `keys` that an object has. `class` and `stage`
    /// are those of the object itself.
    pub fn read(city: &City, layers: &[&str], keys: &[&str]) -> Result<Self, StoreError> {
        let mut files: Vec<PathBuf> = Vec::new();
        for name in layers {
            let entry = city.layer(name).ok_or_else(|| StoreError::NoLayer((*name).into()))?;
            for file in &entry.object_files {
                files.push(join_inside(city.folder(), file)?);
            }
        }
        let parts: Vec<Part> =
            files.into_par_iter().map(|file| Part::read(&file, keys)).collect::<Result<_, StoreError>>()?;
        Ok(Self::of(parts))
    }

    fn of(parts: Vec<Part>) -> Self {
        let mut all: Vec<Value> = Vec::new();
        let mut codes: HashMap<Word, u32> = HashMap::new();
        let (mut column, mut classes) = (Self::default(), BTreeMap::<String, (u64, u64)>::new());
        for part in parts {
            let new: Vec<u32> = part
                .values
                .into_iter()
                .map(|value| {
                    *codes.entry(word(&value)).or_insert_with(|| {
                        all.push(value);
                        (all.len() - 1) as u32
                    })
                })
                .collect();
            let renamed =
                |code: u32| if code == NONE { NONE } else { new[(code & !ASSUMED) as usize] | (code & ASSUMED) };
            column.rows.extend(part.rows.into_iter().map(|(id, code)| (id, renamed(code))));
            column.parents.extend(part.parents);
            for (class, (with, without)) in part.classes {
                let counts = classes.entry(class).or_default();
                *counts = (counts.0 + with, counts.1 + without);
            }
        }
        column.rows.sort_unstable();
        column.rows.dedup_by_key(|(id, _)| *id);
        column.parents.sort_unstable();
        classes.retain(|_, (with, _)| *with > 0);
        column.missing = classes.values().map(|(_, without)| without).sum();
        column.classes = classes.into_keys().collect();
        column.values = all.into_iter().map(|value| (value, 0)).collect();
        for (_, code) in column.rows.iter().filter(|(_, code)| *code != NONE) {
            column.values[(code & !ASSUMED) as usize].1 += 1;
            column.assumed += u64::from(code & ASSUMED != 0);
        }
        column
    }

    /// The value of an object, or, where it has none, of what it is part of.
    pub fn cell(&self, id: &str) -> Option<Cell> {
        let mut id = hash(id);
        for _ in 0..=MOST_PARENTS {
            if let Ok(at) = self.rows.binary_search_by_key(&id, |(row, _)| *row)
                && self.rows[at].1 != NONE
            {
                let code = self.rows[at].1;
                return Some(Cell { value: code & !ASSUMED, is_assumed: code & ASSUMED != 0 });
            }
            let at = self.parents.binary_search_by_key(&id, |(child, _)| *child).ok()?;
            id = self.parents[at].1;
        }
        None
    }

    /// Bytes it takes, without texts.
    pub fn bytes(&self) -> usize {
        self.rows.len() * 16 + self.parents.len() * 16 + self.values.len() * size_of::<(Value, u64)>()
    }
}

impl Part {
    fn read(file: &std::path::Path, keys: &[&str]) -> Result<Self, StoreError> {
        let mut part = Self::default();
        let own = keys.iter().find(|key| matches!(**key, "class" | "stage")).copied();
        let columns: &[&str] = match own {
            Some("stage") => &["id", "parent", "class", "stage"],
            Some(_) => &["id", "parent", "class"],
            None => &["id", "parent", "class", "attributes", "provenance"],
        };
        let mut outcome = Ok(());
        read_texts(file, columns, &mut |texts| {
            outcome = part.add(texts, own, keys).map_err(|reason| StoreError::damaged(file, reason));
            outcome.is_ok()
        })?;
        outcome?;
        Ok(part)
    }

    fn add(&mut self, texts: &[Option<&str>], own: Option<&str>, keys: &[&str]) -> Result<(), crate::store::Broken> {
        let id = hash(texts[0].unwrap_or_default());
        // A large object may be several rows, all with the same attributes.
        if self.rows.last().is_some_and(|(last, _)| *last == id) {
            return Ok(());
        }
        let class = texts[2].unwrap_or_default();
        let (value, is_assumed) = match own {
            Some("stage") => (texts[3].map(|stage| Value::Text(stage.into())), false),
            Some(_) => (Some(Value::Text(class.into())), false),
            None => attribute(texts[3].unwrap_or("{}"), texts[4].unwrap_or("{}"), keys)?,
        };
        if !self.classes.contains_key(class) {
            self.classes.insert(class.to_owned(), (0, 0));
        }
        let counts = self.classes.get_mut(class).ok_or(crate::store::Broken("a class is not counted"))?;
        let code = match value {
            Some(value) => {
                counts.0 += 1;
                let known = self.codes.get(&word(&value)).copied();
                let code = known.unwrap_or_else(|| {
                    let code = self.values.len() as u32;
                    self.codes.insert(word(&value), code);
                    self.values.push(value);
                    code
                });
                code | if is_assumed { ASSUMED } else { 0 }
            }
            None => {
                counts.1 += 1;
                if let Some(parent) = texts[1].filter(|parent| !parent.is_empty()) {
                    self.parents.push((id, hash(parent)));
                }
                NONE
            }
        };
        self.rows.push((id, code));
        Ok(())
    }
}

/// The value under the first of `keys` that is there, and whether it was assumed.
fn attribute(values: &str, provenance: &str, keys: &[&str]) -> Result<(Option<Value>, bool), crate::store::Broken> {
    let pairs = read_values(values)?;
    let found = keys.iter().find_map(|key| pairs.iter().position(|(found, _)| &**found == *key));
    let Some(at) = found else { return Ok((None, false)) };
    let (key, value) = pairs.into_iter().nth(at).ok_or(crate::store::Broken("an attribute is lost"))?;
    let is_empty = matches!(&value, Value::Text(text) if text.trim().is_empty());
    let is_number = !matches!(value, Value::Real(real) if !real.is_finite());
    if is_empty || !is_number {
        return Ok((None, false));
    }
    let is_assumed = read_assumed(provenance)?.iter().any(|(assumed, _)| *assumed == key);
    Ok((Some(value), is_assumed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crs::Crs,
        model::{Attribute, CityObject, Class, Geometry, ImportReport, ObjectId, Origin},
        store::SourceRef,
    };

    fn city(folder: &std::path::Path) -> City {
        let city = City::create(&folder.join("c.city"), "c", &Crs::from_epsg(4549).unwrap(), None).unwrap();
        let mut draft = city.begin().unwrap();
        draft.replace_layer("a", vec![SourceRef::default()]).unwrap();
        for n in 0..40 {
            let class = if n == 39 { Class::Tree } else { Class::Building };
            let mut object = CityObject::new(ObjectId::new("a", n), class, Geometry::None);
            let height = match n {
                0..10 => Some(Value::Int(12)),
                10..20 => Some(Value::Real(12.0)),
                20..30 => Some(Value::Real(30.5)),
                _ => None,
            };
            if let Some(value) = height {
                let mut attribute = Attribute::read(&"height_m".into(), value);
                if n % 10 == 3 {
                    attribute.origin = Origin::Defaulted("storeys × 3 m".into());
                }
                object.attributes.push(attribute);
            }
            if n == 30 {
                object.parent = Some(ObjectId::new("a", 25));
            }
            draft.push("a", object).unwrap();
        }
        draft.commit(&mut ImportReport::default()).unwrap();
        City::open(city.folder()).unwrap()
    }

    #[test]
    fn values_are_counted_once_with_what_is_assumed_and_missing() {
        let dir = tempfile::tempdir().unwrap();
        let city = city(dir.path());
        let column = Column::read(&city, &["a"], &["measured", "height_m"]).unwrap();
        let mut counts: Vec<u64> = column.values.iter().map(|(_, count)| *count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [10, 20], "12 and 12.0 are one value");
        assert_eq!((column.assumed, column.missing), (3, 9), "the tree is not asked for a height");
        assert_eq!(column.classes, ["building"]);
        let of = |n: u64| column.cell(ObjectId::new("a", n).as_str());
        let value = |n: u64| of(n).map(|cell| column.values[cell.value as usize].0.as_f64());
        assert_eq!((value(4), value(14), value(24)), (Some(Some(12.0)), Some(Some(12.0)), Some(Some(30.5))));
        assert!(of(13).unwrap().is_assumed && !of(14).unwrap().is_assumed);
        assert_eq!(value(30), Some(Some(30.5)), "what it is part of");
        assert_eq!((of(31), column.cell("nobody")), (None, None));
    }

    #[test]
    fn class_and_stage_are_those_of_the_object() {
        let dir = tempfile::tempdir().unwrap();
        let city = city(dir.path());
        let column = Column::read(&city, &["a"], &["class"]).unwrap();
        let mut values: Vec<(String, u64)> = column.values.iter().map(|(v, n)| (v.to_string(), *n)).collect();
        values.sort();
        assert_eq!(values, [("building".into(), 39), ("tree".into(), 1)]);
        let stages = Column::read(&city, &["a"], &["stage"]).unwrap();
        assert_eq!((stages.values.len(), stages.missing), (1, 0));
        assert!(Column::read(&city, &["b"], &["class"]).is_err());
    }
}
