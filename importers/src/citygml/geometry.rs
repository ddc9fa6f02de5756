//! The geometries of one member: polygons, lines and points of its objects, with references among them resolved.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

use glam::DVec3;

use super::{
    appearance::{Looks, PlacingId},
    tree::{AttributeName, NodeId, View},
};

/// A hash of a `gml:id`.
pub(super) type IdHash = u64;

/// Hashes a `gml:id` or the target of a reference, without its `#`.
pub(super) fn id_hash(id: &str) -> IdHash {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(id.trim().trim_start_matches('#'))
}

/// Levels of detail as bits; the sixth stands for none.
pub(super) type Lods = u8;
/// The bit of geometries without a level.
pub(super) const NO_LOD: Lods = 1 << 5;

/// One polygon.
#[derive(Clone, Debug)]
pub(super) struct Polygon {
    /// Number of its object within the member.
    pub owner: usize,
    /// Levels of detail of the object that it belongs to.
    pub lods: Lods,
    /// What it is: `RoofSurface`.
    pub semantics: Option<NodeId>,
    /// Edge of a roof in LOD0, beside which there may be a footprint.
    pub is_roof_edge: bool,
    /// Colour of its material.
    pub material: Option<[u8; 4]>,
    /// Its picture where that is placed in space.
    pub placing: Option<PlacingId>,
    first_vertex: u32,
    rings: (u32, u32),
    is_reversed: bool,
}

/// A line or point.
#[derive(Clone, Debug)]
pub(super) struct Simple {
    pub owner: usize,
    pub lods: Lods,
    pub is_point: bool,
    vertices: (u32, u32),
}

struct Reference {
    owner: usize,
    lods: Lods,
    semantics: Option<NodeId>,
    target: IdHash,
    is_reversed: bool,
}

/// What a geometry is gathered for.
#[derive(Clone, Copy)]
pub(super) struct Purpose {
    pub owner: usize,
    pub lods: Lods,
    pub semantics: Option<NodeId>,
    pub is_roof_edge: bool,
    pub material: Option<[u8; 4]>,
    pub placing: Option<PlacingId>,
    pub is_reversed: bool,
    pub dimension: u8,
}

/// All geometries of one member.
#[derive(Default)]
pub(super) struct Geometries {
    pub polygons: Vec<Polygon>,
    pub simple: Vec<Simple>,
    positions: Vec<DVec3>,
    ring_ends: Vec<u32>,
    /// Hashes of the ids of the rings, 0 for those without.
    ring_ids: Vec<IdHash>,
    targets: HashMap<IdHash, (u32, u32)>,
    references: Vec<Reference>,
    /// What was wrong, in words.
    pub faults: Vec<String>,
    /// References whose target is in no part of the member.
    pub unresolved: usize,
    /// Geometries with a coordinate system of their own.
    pub foreign_srs: Vec<String>,
}

/// Surfaces that the references of one member may lead to.
const MAX_REFERRED: usize = 16_000_000;
/// Faults of one member that are told in words.
const MAX_FAULTS: usize = 20;

impl Geometries {
    /// Without anything, for the next member.
    pub fn clear(&mut self) {
        self.polygons.clear();
        self.simple.clear();
        self.positions.clear();
        self.ring_ends.clear();
        self.ring_ids.clear();
        // Clearing a map takes as long as it is large: one huge member must not slow down all that follow.
        if self.targets.capacity() > 1 << 16 {
            self.targets = HashMap::new();
        }
        self.targets.clear();
        self.references.clear();
        self.faults.clear();
        self.unresolved = 0;
        self.foreign_srs.clear();
    }

    /// Gathers a geometry or what stands in a geometry property.
    pub fn gather(&mut self, view: View<'_>, node: NodeId, mut purpose: Purpose, materials: Looks<'_>) {
        let tree = view.tree;
        if let Some(dimension) = tree.get(node, AttributeName::SrsDimension) {
            purpose.dimension = if dimension.trim() == "2" { 2 } else { 3 };
        }
        if let Some(name) = tree.get(node, AttributeName::SrsName)
            && self.foreign_srs.last().is_none_or(|last| last != name)
            && self.foreign_srs.len() < 100
        {
            self.foreign_srs.push(name.to_owned());
        }
        if tree.get(node, AttributeName::Orientation).is_some_and(|o| o.trim() == "-") {
            purpose.is_reversed = !purpose.is_reversed;
        }
        let id = tree.get(node, AttributeName::Id).map(id_hash);
        if let Some(rgba) = id.and_then(|id| materials.get(id)) {
            purpose.material = Some(rgba);
        }
        purpose.placing = id.and_then(|id| materials.placing_of(id)).or(purpose.placing);
        if let Some(href) = tree.get(node, AttributeName::Href) {
            self.references.push(Reference {
                owner: purpose.owner,
                lods: purpose.lods,
                semantics: purpose.semantics,
                target: id_hash(href.rsplit('#').next().unwrap_or(href)),
                is_reversed: purpose.is_reversed,
            });
            return;
        }
        let first = self.polygons.len() as u32;
        match view.local(node) {
            "Polygon" | "PolygonPatch" | "Triangle" | "Rectangle" => self.polygon(view, node, purpose, materials),
            "LineString" | "LineStringSegment" | "LinearRing" | "Arc" | "Circle" | "ArcString" | "CubicSpline"
            | "BSpline" => {
                let start = self.positions.len();
                let is_ring = view.local(node) == "LinearRing";
                if self.vertices(view, node, purpose.dimension) {
                    if is_ring && let Some(vertex) = self.positions.get(start).copied() {
                        self.positions.push(vertex);
                    }
                    self.simple(start, purpose, false);
                }
            }
            "Point" => {
                let start = self.positions.len();
                if self.vertices(view, node, purpose.dimension) {
                    self.simple(start, purpose, true);
                }
            }
            // `posList` of something that is not known
            "posList" | "pos" | "coordinates" | "ImplicitGeometry" => {}
            _ => view.children(node).for_each(|child| self.gather(view, child, purpose, materials)),
        }
        if let Some(id) = id {
            self.targets.insert(id, (first, self.polygons.len() as u32));
        }
    }

    fn simple(&mut self, start: usize, purpose: Purpose, is_point: bool) {
        self.simple.push(Simple {
            owner: purpose.owner,
            lods: purpose.lods,
            is_point,
            vertices: (start as u32, self.positions.len() as u32),
        });
    }

    fn polygon(&mut self, view: View<'_>, node: NodeId, purpose: Purpose, materials: Looks<'_>) {
        let (first_ring, first_position) = (self.ring_ends.len(), self.positions.len());
        let mut material = purpose.material;
        let mut is_whole = true;
        for boundary in view.children(node).filter(|b| matches!(view.local(*b), "exterior" | "interior")) {
            // Old files have outer boundaries of several parts; each part is a ring.
            for ring in view.children(boundary) {
                let id = view.tree.get(ring, AttributeName::Id).map(id_hash);
                material = material.or_else(|| materials.get(id?));
                is_whole &= self.vertices(view, ring, purpose.dimension);
                self.ring_ends.push(self.positions.len() as u32);
                self.ring_ids.push(id.unwrap_or(0));
            }
        }
        if !is_whole || self.ring_ends.len() == first_ring {
            self.ring_ends.truncate(first_ring);
            self.ring_ids.truncate(first_ring);
            self.positions.truncate(first_position);
            if is_whole {
                self.fault("a polygon without rings".into());
            }
            return;
        }
        self.polygons.push(Polygon {
            owner: purpose.owner,
            lods: purpose.lods,
            semantics: purpose.semantics,
            is_roof_edge: purpose.is_roof_edge,
            material,
            placing: purpose.placing,
            first_vertex: first_position as u32,
            rings: (first_ring as u32, self.ring_ends.len() as u32),
            is_reversed: purpose.is_reversed,
        });
    }

    fn fault(&mut self, text: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(text);
        }
    }

    /// Reads `posList`, `pos` or `coordinates` within an element; `false` when something of it is no number.
    fn vertices(&mut self, view: View<'_>, node: NodeId, dimension: u8) -> bool {
        let before = self.positions.len();
        for child in view.children(node) {
            let own = view.tree.get(child, AttributeName::SrsDimension).map(|d| if d.trim() == "2" { 2 } else { 3 });
            let dimension = own.unwrap_or(dimension);
            let text = view.tree.text(child);
            let outcome = match view.local(child) {
                "posList" | "pos" => numbers(text, dimension, &mut self.positions),
                "coordinates" => numbers(&text.replace(',', " "), dimension, &mut self.positions),
                "pointProperty" | "pointRep" => match view.tree.first_child(child) {
                    Some(point) if self.positions.len() - before < 10_000_000 => {
                        if self.vertices(view, point, dimension) { Ok(()) } else { return false }
                    }
                    _ => Ok(()),
                },
                _ => Ok(()),
            };
            if let Err(reason) = outcome {
                self.positions.truncate(before);
                self.fault(reason);
                return false;
            }
        }
        if self.positions.len() == before {
            self.fault("a ring or line without coordinates".into());
            return false;
        }
        true
    }

    /// Resolves references, as many as are sensible: a few bytes can refer to a million surfaces a million times. `is_within` tells whether the first object is the second or a part of it.
    pub fn resolve(&mut self, is_within: impl Fn(usize, usize) -> bool) {
        let mut referred = 0_usize;
        for reference in std::mem::take(&mut self.references) {
            let Some((first, end)) = self.targets.get(&reference.target).copied() else {
                self.unresolved += 1;
                continue;
            };
            referred += (end - first) as usize + 1;
            if referred > MAX_REFERRED {
                self.fault(format!("references to more than {MAX_REFERRED} surfaces; the rest is left out"));
                return;
            }
            for index in first as usize..end as usize {
                let Some(polygon) = self.polygons.get_mut(index) else { break };
                if polygon.owner == reference.owner {
                    polygon.lods |= reference.lods;
                    polygon.semantics = polygon.semantics.or(reference.semantics);
                } else if !is_within(polygon.owner, reference.owner) {
                    // A wall that two neighbours share.
                    let mut copy = polygon.clone();
                    (copy.owner, copy.lods) = (reference.owner, reference.lods);
                    copy.semantics = reference.semantics.or(copy.semantics);
                    copy.is_reversed ^= reference.is_reversed;
                    self.polygons.push(copy);
                }
            }
        }
    }

    /// Sorts polygons and lines by their objects, so that those of one object are found at once.
    pub fn sort(&mut self) {
        self.polygons.sort_by_key(|polygon| polygon.owner);
        self.simple.sort_by_key(|simple| simple.owner);
    }

    /// The polygons of an object, after [`Geometries::sort`].
    pub fn polygons_of(&self, owner: usize) -> &[Polygon] {
        let from = self.polygons.partition_point(|p| p.owner < owner);
        let count = self.polygons.get(from..).unwrap_or(&[]).partition_point(|p| p.owner == owner);
        self.polygons.get(from..from + count).unwrap_or(&[])
    }

    /// The lines and points of an object, after [`Geometries::sort`].
    pub fn simple_of(&self, owner: usize) -> &[Simple] {
        let from = self.simple.partition_point(|s| s.owner < owner);
        let count = self.simple.get(from..).unwrap_or(&[]).partition_point(|s| s.owner == owner);
        self.simple.get(from..from + count).unwrap_or(&[])
    }

    /// Rings of a polygon, outer one first.
    pub fn rings(&self, polygon: &Polygon) -> impl Iterator<Item = &[DVec3]> {
        let mut from = polygon.first_vertex as usize;
        (polygon.rings.0..polygon.rings.1).map(move |ring| {
            let to = self.ring_ends.get(ring as usize).map_or(from, |end| *end as usize);
            let vertices = self.positions.get(from..to).unwrap_or(&[]);
            from = to;
            vertices
        })
    }

    /// Hashes of the ids of the rings of a polygon, in the order of [`Geometries::rings`]; 0 for those without.
    pub fn ring_ids(&self, polygon: &Polygon) -> &[IdHash] {
        self.ring_ids.get(polygon.rings.0 as usize..polygon.rings.1 as usize).unwrap_or(&[])
    }

    /// Whether the polygon faces the other way.
    pub fn is_reversed(&self, polygon: &Polygon) -> bool {
        polygon.is_reversed
    }

    /// Vertices of a line or point.
    pub fn vertices_of(&self, simple: &Simple) -> &[DVec3] {
        self.positions.get(simple.vertices.0 as usize..simple.vertices.1 as usize).unwrap_or(&[])
    }
}

/// Coordinates as they stand, with white space between: the first is x.
pub(super) fn numbers(text: &str, dimension: u8, into: &mut Vec<DVec3>) -> Result<(), String> {
    let mut one = [0.0; 3];
    let mut filled = 0;
    for part in text.split_ascii_whitespace() {
        let number = match decimal(part.as_bytes()) {
            Some(number) => number,
            None => part.parse().map_err(|_| format!("{part:.40} is no number"))?,
        };
        if !number.is_finite() {
            return Err(format!("{part:.40} is no place"));
        }
        if let Some(place) = one.get_mut(filled) {
            *place = number;
        }
        filled += 1;
        if filled == usize::from(dimension) {
            into.push(DVec3::from_array(one));
            filled = 0;
        }
    }
    if filled > 0 {
        return Err(format!("coordinates do not come in groups of {dimension}"));
    }
    Ok(())
}

/// Powers of ten that are exact.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A number in the usual form, of up to 15 digits: both parts of the quotient are exact, so it is rounded as it should
/// be (Clinger 1990). `None` for others.
fn decimal(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.len() > 16 {
        return None;
    }
    let (mut whole, mut point, mut count) = (0_u64, None, 0);
    for byte in digits {
        match byte {
            b'0'..=b'9' => (whole, count) = (whole * 10 + u64::from(byte - b'0'), count + 1),
            b'.' if point.is_none() => point = Some(count),
            _ => return None,
        }
    }
    if count == 0 || count > 15 {
        return None;
    }
    let places: usize = count - point.unwrap_or(count);
    let number = whole as f64 / POWERS.get(places)?;
    Some(if digits.len() < text.len() { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_numbers_are_read_as_all_others() {
        for text in [
            "0",
            "-0",
            "1.5",
            "85012.345",
            "-446000.001",
            "999999999999999",
            "0.000000000000001",
            "123456789.123456",
            "5.",
            ".5",
            "00012.50",
            "9007199254740993.1",
            "1234567890.12345",
        ] {
            let wanted: f64 = text.parse().unwrap();
            if let Some(number) = decimal(text.as_bytes()) {
                assert_eq!(number.to_bits(), wanted.to_bits(), "{text}");
            }
        }
        assert!(decimal(b"85012.345").is_some());
        for text in ["", "-", ".", "1e5", "NaN", "1.2.3", "+1", "12345678901234567"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }
}
