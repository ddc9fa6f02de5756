//! The members of CityJSON as they stand in the text.

use std::fmt;

use glam::DVec3;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::{Map, Value as Json};

use super::nested::Nested;

/// A city object.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Object {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub parents: Option<Vec<String>>,
    #[serde(default)]
    pub attributes: Option<Map<String, Json>>,
    #[serde(default)]
    pub geometry: Option<Vec<Geometry>>,
    #[serde(default)]
    pub address: Option<Json>,
}

/// What a first pass wants to know of a city object.
#[derive(Debug, Deserialize)]
pub(super) struct Outline {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub parents: Option<Vec<String>>,
    #[serde(default)]
    pub geometry: Option<Vec<OutlineGeometry>>,
}

/// Level of detail of a geometry.
#[derive(Debug, Deserialize)]
pub(super) struct OutlineGeometry {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub lod: Option<Json>,
}

/// A geometry: boundaries are indices of vertices.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Geometry {
    #[serde(rename = "type")]
    pub kind: String,
    /// A number in version 1.0, text since 1.1.
    #[serde(default)]
    pub lod: Option<Json>,
    #[serde(default)]
    pub boundaries: Nested,
    #[serde(default)]
    pub semantics: Option<Semantics>,
    #[serde(default)]
    pub material: Option<Entries<Values>>,
    #[serde(default)]
    pub texture: Option<Entries<Values>>,
    #[serde(default)]
    pub template: Option<usize>,
    #[serde(default, rename = "transformationMatrix")]
    pub matrix: Option<Vec<f64>>,
}

/// What surfaces are.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Semantics {
    #[serde(default)]
    pub surfaces: Vec<Surface>,
    #[serde(default)]
    pub values: Option<Nested>,
}

/// One of them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Surface {
    #[serde(rename = "type")]
    pub kind: String,
}

/// Materials of surfaces: one for all, or one each.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Values {
    #[serde(default)]
    pub value: Option<usize>,
    #[serde(default)]
    pub values: Option<Nested>,
}

/// Members of an object in their order; names may come twice.
#[derive(Clone, Debug)]
pub(super) struct Entries<T>(pub Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Vec<(String, T)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    found.push(entry);
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData)).map(Self)
    }
}

/// A line of a sequence.
#[derive(Debug, Deserialize)]
pub(super) struct Feature {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default, rename = "CityObjects")]
    pub objects: Entries<Object>,
    #[serde(default)]
    pub vertices: Vec<[f64; 3]>,
    #[serde(default)]
    pub transform: Option<Transform>,
    #[serde(default)]
    pub appearance: Option<Appearance>,
}

/// From whole numbers to coordinates.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(super) struct Transform {
    pub scale: [f64; 3],
    pub translate: [f64; 3],
}

impl Default for Transform {
    fn default() -> Self {
        Self { scale: [1.0; 3], translate: [0.0; 3] }
    }
}

impl Transform {
    /// The coordinates of a vertex.
    pub fn apply(&self, vertex: [f64; 3]) -> DVec3 {
        DVec3::from_array(vertex) * DVec3::from_array(self.scale) + DVec3::from_array(self.translate)
    }
}

/// Materials and pictures.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Appearance {
    #[serde(default)]
    pub materials: Vec<Material>,
    #[serde(default)]
    pub textures: Vec<Picture>,
    /// Places in pictures, from the left and from the bottom.
    #[serde(default, rename = "vertices-texture")]
    pub places: Vec<[f32; 2]>,
}

/// A picture.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Picture {
    #[serde(default)]
    pub image: String,
}

/// A material.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Material {
    #[serde(default, rename = "diffuseColor")]
    pub diffuse: Option<[f64; 3]>,
    #[serde(default)]
    pub transparency: Option<f64>,
}

impl Material {
    /// Its colour, where it has one.
    pub fn rgba(&self) -> Option<[u8; 4]> {
        let byte = |share: f64| (share.clamp(0.0, 1.0) * 255.0).round() as u8;
        let [r, g, b] = self.diffuse?.map(byte);
        Some([r, g, b, 255 - byte(self.transparency.unwrap_or(0.0))])
    }
}

/// Shapes that many objects share.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Templates {
    #[serde(default)]
    pub templates: Vec<Geometry>,
    #[serde(default, rename = "vertices-templates")]
    pub vertices: Vec<[f64; 3]>,
}

/// Everything of a CityJSON text but its objects and vertices.
#[derive(Clone, Debug, Default)]
pub(super) struct Header {
    /// The `type` member.
    pub kind: Option<String>,
    /// The `version` member.
    pub version: Option<String>,
    pub transform: Option<Transform>,
    pub metadata: Option<Json>,
    pub appearance: Appearance,
    pub templates: Templates,
    /// Whether there is a member that only CityJSON has.
    pub has_objects: bool,
}

impl Header {
    /// Takes a member; says what is wrong with it.
    pub fn take(&mut self, name: &str, text: &[u8]) -> Result<(), String> {
        let said = |e: serde_json::Error| format!("member {name}: {e}");
        match name {
            "type" => self.kind = Some(serde_json::from_slice(text).map_err(said)?),
            "version" => self.version = serde_json::from_slice::<Json>(text).map_err(said)?.as_str().map(str::to_owned),
            "transform" => self.transform = Some(serde_json::from_slice(text).map_err(said)?),
            "metadata" => self.metadata = Some(serde_json::from_slice(text).map_err(said)?),
            "appearance" => self.appearance = serde_json::from_slice(text).map_err(said)?,
            "geometry-templates" => self.templates = serde_json::from_slice(text).map_err(said)?,
            _ => {}
        }
        Ok(())
    }

    /// Whether a member of this name is wanted whole.
    pub fn wants(name: &str) -> bool {
        matches!(name, "type" | "version" | "transform" | "metadata" | "appearance" | "geometry-templates")
    }

    /// The name of the coordinate system.
    pub fn crs_text(&self) -> Option<&str> {
        let metadata = self.metadata.as_ref()?;
        metadata.get("referenceSystem").or_else(|| metadata.get("crs")?.get("epsg"))?.as_str()
    }

    /// The box that the file says it fills, else the place that its numbers count from.
    pub fn extent(&self) -> Option<[f64; 4]> {
        let stated = self.metadata.as_ref().and_then(|m| m.get("geographicalExtent")).and_then(Json::as_array);
        let stated = stated.and_then(|list| {
            let n = |i: usize| list.get(i).and_then(Json::as_f64).filter(|n| n.is_finite());
            Some([n(0)?, n(1)?, n(3)?, n(4)?])
        });
        stated.or_else(|| self.transform.map(|t| [t.translate[0], t.translate[1], t.translate[0], t.translate[1]]))
    }
}
