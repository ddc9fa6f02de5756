//! Shapes that stand in many places (ImplicitGeometry): a prototype in its own coordinates, a matrix, a place.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use glam::{DMat4, DVec3};

use super::{
    appearance::Looks,
    geometry::{Geometries, IdHash, Purpose, id_hash, numbers},
    tree::{AttributeName, NodeId, View},
};

/// Vertices of all prototypes that are remembered; older ones give way.
const MAX_VERTICES: usize = 4_000_000;

/// Polygons of a prototype with what they are painted with.
pub(super) struct Prototype {
    pub polygons: Vec<(Vec<Vec<DVec3>>, Option<[u8; 4]>)>,
    has_pictures: bool,
}

/// Prototypes of the members so far, by id: others refer to them.
#[derive(Default)]
pub(super) struct Prototypes {
    by_id: HashMap<IdHash, Rc<Prototype>>,
    order: VecDeque<(IdHash, usize)>,
    vertices: usize,
}

/// An implicit geometry in the source's coordinates.
pub(super) struct Implicit {
    /// Where the prototype's origin goes.
    pub at: DVec3,
    pub matrix: DMat4,
    /// Whether some surface of it has a picture, which is not shown.
    pub has_pictures: bool,
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
        let has_pictures = prototype.as_ref().is_some_and(|p| p.has_pictures);
        Ok(Implicit { at, matrix, has_pictures, prototype, library })
    }

    fn remember(&mut self, view: View<'_>, relative: NodeId, materials: Looks<'_>) -> Rc<Prototype> {
        let mut geometries = Geometries::default();
        let purpose = Purpose {
            owner: 0,
            lods: 1,
            semantics: None,
            is_roof_edge: false,
            material: None,
            is_reversed: false,
            dimension: 3,
        };
        geometries.gather(view, relative, purpose, materials);
        let mut vertices = 0;
        let polygons = geometries.polygons.iter().map(|polygon| {
            let rings: Vec<Vec<DVec3>> = geometries.rings(polygon).map(<[DVec3]>::to_vec).collect();
            vertices += rings.iter().map(Vec::len).sum::<usize>();
            (rings, polygon.material)
        });
        let polygons = polygons.collect();
        let mut rings = geometries.polygons.iter().flat_map(|polygon| geometries.ring_ids(polygon));
        let has_pictures = rings.any(|id| *id != 0 && materials.picture(*id).is_some());
        let prototype = Rc::new(Prototype { polygons, has_pictures });
        let id = view.tree.first_child(relative).and_then(|shape| view.tree.get(shape, AttributeName::Id));
        if let Some(id) = id.map(id_hash) {
            self.by_id.insert(id, prototype.clone());
            self.order.push_back((id, vertices));
            self.vertices += vertices;
            while self.vertices > MAX_VERTICES {
                let Some((oldest, count)) = self.order.pop_front() else { break };
                self.by_id.remove(&oldest);
                self.vertices -= count;
            }
        }
        prototype
    }
}
