//! The objects of one member: the object itself, its parts, installations, rooms and the like.

use groundline_engine::model::Class;

use super::{
    appearance::Looks,
    attribute::{Attributes, Found},
    geometry::{Geometries, Lods, NO_LOD, Purpose},
    name::Space,
    tree::{AttributeName, NodeId, View},
};
use crate::citymodel::class_of;

/// Objects of one member.
const MAX_OBJECTS: usize = 1_000_000;

/// An object of a member.
pub(super) struct Object {
    /// Its number within the member; parents come before parts.
    pub parent: Option<usize>,
    pub kind: String,
    pub id: Option<String>,
    pub class: Class,
    pub found: Found,
    /// Shapes in coordinates of their own, with their level of detail.
    pub implicit: Vec<(Lods, NodeId)>,
    /// Level of detail of geometries whose property names none.
    pub own_lod: Option<String>,
}

/// What was met and is not read, by word.
#[derive(Default)]
pub(super) struct NotRead {
    pub words: Vec<(&'static str, &'static str)>,
}

impl NotRead {
    fn note(&mut self, code: &'static str, message: &'static str) {
        if !self.words.iter().any(|(c, _)| *c == code) {
            self.words.push((code, message));
        }
    }
}

/// Walks through a member.
pub(super) struct Walk<'w, 't> {
    pub view: View<'t>,
    pub geometries: &'w mut Geometries,
    pub attributes: &'w mut Attributes,
    pub materials: Looks<'w>,
    pub objects: Vec<Object>,
    pub not_read: NotRead,
    /// Class of an object by its type.
    pub class: &'w dyn Fn(&str) -> Class,
}

/// The bit of a property such as `lod2Solid`, `lod1TerrainIntersection`; `None` for others.
fn lod_of(local: &str) -> Option<Lods> {
    let digit = local.strip_prefix("lod")?.chars().next()?.to_digit(10)?;
    (digit <= 4).then(|| 1 << digit)
}

impl Walk<'_, '_> {
    /// Takes an object and everything that is part of it.
    pub fn object(&mut self, node: NodeId, parent: Option<usize>) -> Result<(), String> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err(format!("one member of more than {MAX_OBJECTS} objects"));
        }
        let view = self.view;
        let kind = view.local(node);
        let owner = self.objects.len();
        let class = match view.space(node) == Space::Other && class_of(kind).is_none() {
            // Planning areas of i-UR's urban planning module
            true if view.child(node, "lod1MultiSurface").is_some() && view.child(node, "validFrom").is_some() => {
                Class::District
            }
            _ => (self.class)(kind),
        };
        self.objects.push(Object {
            parent,
            kind: kind.to_owned(),
            id: view.tree.get(node, AttributeName::Id).map(str::to_owned).filter(|id| !id.is_empty()),
            class,
            found: Found::default(),
            implicit: Vec::new(),
            own_lod: view.child(node, "lod").map(|lod| view.tree.text(lod).to_owned()),
        });
        let mut found = Found::default();
        for property in view.children(node) {
            self.property(property, owner, &mut found)?;
        }
        if let Some(object) = self.objects.get_mut(owner) {
            object.found = found;
        }
        Ok(())
    }

    fn property(&mut self, property: NodeId, owner: usize, found: &mut Found) -> Result<(), String> {
        let view = self.view;
        let local = view.local(property);
        match local {
            _ if view.space(property) == Space::Gml => {}
            _ if self.geometry(property, owner, None) => return Ok(()),
            "boundedBy" | "boundary" => {
                for surface in view.children(property) {
                    self.surface(surface, owner);
                }
                return Ok(());
            }
            "appearance" | "appearanceMember" => return Ok(()),
            _ => {}
        }
        let mut is_object = false;
        for child in view.children(property) {
            if self.is_object(child) {
                self.object(child, Some(owner))?;
                is_object = true;
            }
        }
        if !is_object {
            self.attributes.take(view, property, found);
        }
        Ok(())
    }

    /// Whether an element within a property is an object and no structured attribute.
    fn is_object(&self, node: NodeId) -> bool {
        let view = self.view;
        let has_id = view.tree.get(node, AttributeName::Id).is_some();
        match view.space(node) {
            Space::CityGml => class_of(view.local(node)).is_some(),
            Space::Other => {
                has_id
                    && (class_of(view.local(node)).is_some()
                        || view.children(node).any(|child| lod_of(view.local(child)).is_some()))
            }
            _ => false,
        }
    }

    /// Takes a geometry property; `false` for what is none.
    fn geometry(&mut self, property: NodeId, owner: usize, semantics: Option<NodeId>) -> bool {
        let view = self.view;
        let local = view.local(property);
        let lods = match local {
            "tin" | "reliefPoints" | "ridgeOrValleyLines" | "breaklines" => NO_LOD,
            "grid" | "pointCloud" => {
                self.not_read.note("grid_not_read", "grids and point clouds within a city model are not read");
                return true;
            }
            "extent" => return view.tree.first_child(property).is_some_and(|child| view.space(child) == Space::Gml),
            _ => match lod_of(local) {
                // Where a building meets the ground: no shape of its own.
                Some(_) if local.ends_with("TerrainIntersection") => return true,
                Some(bit) => bit,
                None => return false,
            },
        };
        let is_implicit = |child: &NodeId| view.local(*child) == "ImplicitGeometry";
        if let Some(implicit) = view.children(property).find(is_implicit) {
            if let Some(object) = self.objects.get_mut(owner) {
                object.implicit.push((lods, implicit));
            }
            return true;
        }
        let purpose = Purpose {
            owner,
            lods,
            semantics,
            is_roof_edge: local == "lod0RoofEdge",
            material: None,
            placing: None,
            is_reversed: false,
            dimension: 3,
        };
        self.geometries.gather(view, property, purpose, self.materials);
        true
    }

    /// Takes a surface that bounds an object, with its windows and doors.
    fn surface(&mut self, surface: NodeId, owner: usize) {
        let view = self.view;
        let mut has_attributes = false;
        for property in view.children(surface) {
            if view.space(property) == Space::Gml || self.geometry(property, owner, Some(surface)) {
                continue;
            }
            match view.local(property) {
                "opening" | "fillingSurface" | "boundedBy" | "boundary" => {
                    for opening in view.children(property) {
                        self.surface(opening, owner);
                    }
                }
                "creationDate" | "appearance" => {}
                _ => has_attributes = true,
            }
        }
        if has_attributes {
            let message = "attributes of roofs, walls and other surfaces are not taken over; their shapes are";
            self.not_read.note("surface_attributes", message);
        }
    }
}
