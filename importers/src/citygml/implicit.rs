//! Shapes that stand in many places (ImplicitGeometry): a prototype in its own coordinates, a matrix, a place.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use glam::{DMat4, DVec3};
use serde::{Deserialize, Serialize};

use super::{
    appearance::Looks,
    geometry::{Geometries, IdHash, Purpose, id_hash, numbers},
    picture::picture_of,
    tree::{AttributeName, NodeId, View},
};

/// Vertices of all prototypes that are remembered; older ones give way.
const MAX_VERTICES: usize = 4_000_000;

/// A shape in its own coordinates.
#[derive(Serialize, Deserialize)]
pub(super) struct Prototype {
    pub polygons: Vec<Painted>,
}

/// A polygon with what it is painted with.
#[derive(Serialize, Deserialize)]
pub(super) struct Painted {
    pub rings: Vec<Vec<DVec3>>,
    pub material: Option<[u8; 4]>,
    /// The address of its picture, and places in it for the vertices of each ring.
    pub picture: Option<(String, Vec<Vec<[f32; 2]>>)>,
}

/// Prototypes of the members so far, by id: others refer to them.
#[derive(Default)]
pub(super) struct Prototypes {
    by_id: HashMap<IdHash, Rc<Prototype>>,
    order: VecDeque<(IdHash, usize)>,
    vertices: usize,
    /// Those that came since they were last asked for.
    fresh: Vec<Named>,
}

/// A prototype with the hash of its id.
pub(super) type Named = (IdHash, Rc<Prototype>);

/// An implicit geometry in the source's coordinates.
pub(super) struct Implicit {
    /// Where the prototype's origin goes.
    pub at: DVec3,
    pub matrix: DMat4,
    /// `None` when the shape lies in a file of its own or was not met before.
    pub prototype: Option<Rc<Prototype>>,
    /// The file, where it lies in one.
    pub library: Option<String>,
}

impl Prototypes {
    /// Reads an implicit geometry; `Err` says why it cannot be placed.
    pub fn read(&mut self, view: View<'_>, node: NodeId, materials: Looks<'_>) -> Result<Implicit, String> {
        let tree = view.tree;
        let matrix = match view.child(node, "transformationMatrix") {
            None => DMat4::IDENTITY,
            Some(child) => {
                let numbers: Vec<f64> =
                    tree.text(child).split_ascii_whitespace().filter_map(|part| part.parse().ok()).collect();
                let rows = <[f64; 16]>::try_from(numbers.as_slice()).map_err(|_| "its matrix is not 4 by 4")?;
                DMat4::from_cols_array(&rows).transpose()
            }
        };
        let place = view.child(node, "referencePoint").and_then(|child| tree.first_child(child));
        let mut at = Vec::new();
        if let Some(pos) = place.and_then(|point| tree.first_child(point)) {
            numbers(&tree.text(pos).replace(',', " "), 3, &mut at)?;
        }
        let at = at.first().copied().ok_or("it has no reference point")?;
        let library = view.child(node, "libraryObject").map(|child| tree.text(child).to_owned());
        let relative = ["relativeGMLGeometry", "relativeGeometry"].iter().find_map(|name| view.child(node, name));
        let prototype = relative.and_then(|relative| match tree.get(relative, AttributeName::Href) {
            Some(href) => self.by_id.get(&id_hash(href)).cloned(),
            None => Some(self.remember(view, relative, materials)),
        });
        Ok(Implicit { at, matrix, prototype, library })
    }

    fn remember(&mut self, view: View<'_>, relative: NodeId, materials: Looks<'_>) -> Rc<Prototype> {
        let mut geometries = Geometries::default();
        let purpose = Purpose {
            owner: 0,
            lods: 1,
            semantics: None,
            is_roof_edge: false,
            material: None,
            placing: None,
            is_reversed: false,
            dimension: 3,
        };
        geometries.gather(view, relative, purpose, materials);
        let polygons = geometries.polygons.iter().map(|polygon| {
            let rings: Vec<Vec<DVec3>> = geometries.rings(polygon).map(<[DVec3]>::to_vec).collect();
            let picture = picture_of(&geometries, polygon, materials).ok().flatten();
            let picture =
                picture.map(|(address, uvs)| (address.to_owned(), uvs.into_iter().map(<[_]>::to_vec).collect()));
            Painted { rings, material: polygon.material, picture }
        });
        let polygons = polygons.collect();
        let prototype = Rc::new(Prototype { polygons });
        let id = view.tree.first_child(relative).and_then(|shape| view.tree.get(shape, AttributeName::Id));
        if let Some(id) = id.map(id_hash) {
            self.fresh.push((id, prototype.clone()));
            self.insert(id, prototype.clone());
        }
        prototype
    }

    fn insert(&mut self, id: IdHash, prototype: Rc<Prototype>) {
        let rings = prototype.polygons.iter().flat_map(|polygon| &polygon.rings);
        let vertices = rings.map(Vec::len).sum();
        self.by_id.insert(id, prototype);
        self.order.push_back((id, vertices));
        self.vertices += vertices;
        while self.vertices > MAX_VERTICES {
            let Some((oldest, count)) = self.order.pop_front() else { break };
            self.by_id.remove(&oldest);
            self.vertices -= count;
        }
    }

    /// Those that came since this was last asked, for an import that goes on from here.
    pub fn take_fresh(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.fresh)
    }

    /// Takes what [`Prototypes::take_fresh`] gave.
    pub fn restore(&mut self, kept: Vec<Named>) {
        kept.into_iter().for_each(|(id, prototype)| self.insert(id, prototype));
    }
}
