//! One thing in the city.

use serde::{Deserialize, Serialize};

use super::{Attribute, Class, Domain, Geometry, Stage, Value};

/// A stable identifier (要素标识码): the same source record gives the same id in every import.
///
/// Importers write `<layer>/<id field of the source>` where the source has an id,
/// and `<layer>/<record number>` where it has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectId(pub String);

impl ObjectId {
    /// The id of `key` (an id of the source or a record number) within `layer`.
    pub fn new(layer: &str, key: impl std::fmt::Display) -> Self {
        Self(format!("{layer}/{key}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing with a stable id (要素/实体): a building, a storey, a pipe, a tree, a stratum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CityObject {
    /// Stable identifier, unique in the city.
    pub id: ObjectId,
    /// What it is (类别).
    pub class: Class,
    /// Planned, under construction, in operation or retired (规/建/管).
    pub stage: Stage,
    /// Above, on or below the ground (地上/地下).
    pub domain: Domain,
    /// The name people call it by, as the source has it.
    pub name: Option<String>,
    /// The object this one is part of: a storey's building, a space's storey.
    pub parent: Option<ObjectId>,
    /// Its shape in the city's frame.
    pub geometry: Geometry,
    /// Everything else, each with where it came from.
    pub attributes: Vec<Attribute>,
    /// Record number in the source, counted from 1 (0 = the object is not one record of its source).
    pub record: u64,
}

impl CityObject {
    /// An object in operation, without name, parent or attributes; its domain is its class's usual one.
    pub fn new(id: ObjectId, class: Class, geometry: Geometry) -> Self {
        Self {
            id,
            class,
            stage: Stage::Operation,
            domain: class.usual_domain(),
            name: None,
            parent: None,
            geometry,
            attributes: Vec::new(),
            record: 0,
        }
    }

    /// The value of the attribute `key`, if the object has it.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|a| &*a.key == key).map(|a| &a.value)
    }
}
