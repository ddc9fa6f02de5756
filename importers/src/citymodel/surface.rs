//! Polygons in space, in flat arrays, and their triangles.
//!
//! A polygon is cut into triangles in its own plane (Newell's normal), so that walls are as safe as roofs. Its vertices
//! keep their places: a polygon that is not quite plane stays as it was delivered.

use earcut::Earcut;
use glam::{DVec2, DVec3};
use groundline_engine::model::{Extent, Mesh, MeshPart, Texture};
use rustc_hash::FxHashMap;

/// A polygon whose triangles differ from its area by more than this part of it crosses itself.
const AREA_TOLERANCE: f64 = 0.01;
/// Vertices may lie this far off the plane of their polygon, and this part of its size more.
const BENT_M: f64 = 0.05;
const BENT_PART: f64 = 0.02;
/// Surfaces smaller than this are lines, square metres.
const LEAST_AREA_M2: f64 = 1e-8;

/// Polygons of one object: vertices of all rings in one list, ends of rings, ends of polygons.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Surfaces {
    /// Vertices of all rings; first in the source's coordinates, then in the city's.
    pub positions: Vec<DVec3>,
    /// Places in pictures beside the vertices; none while no surface has a picture.
    uvs: Vec<[f32; 2]>,
    ring_ends: Vec<u32>,
    polygons: Vec<Polygon>,
    textures: Vec<Texture>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Polygon {
    ring_end: u32,
    rgba: [u8; 4],
    /// Number of its picture.
    texture: Option<u32>,
}

/// A polygon as it is read.
struct View<'s> {
    rings: Vec<&'s [DVec3]>,
    /// Beside the vertices of the rings; empty slices where there is no picture.
    uvs: Vec<&'s [[f32; 2]]>,
    rgba: [u8; 4],
    texture: Option<&'s Texture>,
}

impl Surfaces {
    /// Takes one vertex of the ring that is open.
    pub fn push_vertex(&mut self, vertex: DVec3) {
        self.positions.push(vertex);
        if !self.uvs.is_empty() {
            self.uvs.push([0.0; 2]);
        }
    }

    /// Takes one vertex with its place in the polygon's picture: from the left and from the top.
    pub fn push_textured(&mut self, vertex: DVec3, uv: [f32; 2]) {
        self.uvs.resize(self.positions.len(), [0.0; 2]);
        self.positions.push(vertex);
        self.uvs.push(uv);
    }

    /// Ends the ring that is open.
    pub fn end_ring(&mut self) {
        self.ring_ends.push(self.positions.len() as u32);
    }

    /// Ends the polygon that is open: the first of its rings is the outer one.
    pub fn end_polygon(&mut self, rgba: [u8; 4]) {
        self.end(rgba, None);
    }

    /// Ends a polygon all of whose vertices have places in a picture.
    pub fn end_textured(&mut self, rgba: [u8; 4], texture: &Texture) {
        // Most objects show one picture or few.
        let number = self.textures.iter().rposition(|known| known == texture).unwrap_or_else(|| {
            self.textures.push(texture.clone());
            self.textures.len() - 1
        });
        self.end(rgba, Some(number as u32));
    }

    fn end(&mut self, rgba: [u8; 4], texture: Option<u32>) {
        let ring_end = self.ring_ends.len() as u32;
        if self.polygons.last().map_or(0, |p| p.ring_end) < ring_end {
            self.polygons.push(Polygon { ring_end, rgba, texture });
        }
    }

    /// Drops what was begun after the last whole polygon.
    pub fn undo(&mut self) {
        let rings = self.polygons.last().map_or(0, |p| p.ring_end) as usize;
        self.ring_ends.truncate(rings);
        self.positions.truncate(self.ring_ends.last().map_or(0, |end| *end as usize));
        self.uvs.truncate(self.positions.len());
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.polygons.is_empty()
    }

    /// Each polygon as its rings and colour.
    pub fn polygons(&self) -> impl Iterator<Item = (Vec<&[DVec3]>, [u8; 4])> {
        self.views().map(|view| (view.rings, view.rgba))
    }

    fn views(&self) -> impl Iterator<Item = View<'_>> {
        let mut ring = 0_usize;
        let mut vertex = 0_usize;
        self.polygons.iter().map(move |polygon| {
            let mut rings = Vec::with_capacity(polygon.ring_end as usize - ring);
            let mut uvs = Vec::with_capacity(rings.capacity());
            while ring < polygon.ring_end as usize {
                let end = self.ring_ends.get(ring).map_or(vertex, |end| *end as usize);
                rings.push(self.positions.get(vertex..end).unwrap_or(&[]));
                uvs.push(self.uvs.get(vertex..end).unwrap_or(&[]));
                vertex = end;
                ring += 1;
            }
            let texture = polygon.texture.and_then(|number| self.textures.get(number as usize));
            View { rings, uvs, rgba: polygon.rgba, texture }
        })
    }

    /// Appends the polygons of another set.
    pub fn append(&mut self, other: &Surfaces) {
        let (vertices, rings) = (self.positions.len() as u32, self.ring_ends.len() as u32);
        let textures = self.textures.len() as u32;
        if !self.uvs.is_empty() || !other.uvs.is_empty() {
            self.uvs.resize(self.positions.len(), [0.0; 2]);
            self.uvs.extend_from_slice(&other.uvs);
            self.uvs.resize(self.positions.len() + other.positions.len(), [0.0; 2]);
        }
        self.textures.extend_from_slice(&other.textures);
        self.positions.extend_from_slice(&other.positions);
        self.ring_ends.extend(other.ring_ends.iter().map(|end| end + vertices));
        self.polygons.extend(other.polygons.iter().map(|p| Polygon {
            ring_end: p.ring_end + rings,
            texture: p.texture.map(|number| number + textures),
            ..*p
        }));
    }
}

/// What was wrong with polygons of a set, by number from 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Faults {
    /// With coordinates that are no numbers.
    pub no_place: Vec<usize>,
    /// Points or lines: nothing of them could be seen.
    pub no_area: Vec<usize>,
    /// Crossing themselves: drawn as well as could be.
    pub crossing: Vec<usize>,
    /// Far from plane: which triangles they were meant to be is open.
    pub bent: Vec<usize>,
}

/// Cuts polygons into triangles. Keeps its buffers.
pub(crate) struct Mesher {
    earcut: Earcut<f64>,
    indices: Vec<u32>,
    corners: Vec<DVec3>,
    /// Beside the corners.
    uvs: Vec<[f32; 2]>,
    plane: Vec<DVec2>,
    holes: Vec<u32>,
    /// Where the corners stand in their part.
    places: Vec<u32>,
}

const NOT_YET: u32 = u32::MAX;

struct Part {
    mesh: MeshPart,
    seen: FxHashMap<([u64; 3], [u32; 2]), u32>,
}

impl Mesher {
    /// Without memory of anything.
    pub fn new() -> Self {
        Self {
            earcut: Earcut::new(),
            indices: Vec::new(),
            corners: Vec::new(),
            uvs: Vec::new(),
            plane: Vec::new(),
            holes: Vec::new(),
            places: Vec::new(),
        }
    }

    /// The mesh of the polygons, one part a colour or picture, around the middle of its box. `None` when no triangle came of them.
    pub fn mesh(&mut self, surfaces: &Surfaces) -> (Option<Mesh>, Faults) {
        let mut faults = Faults::default();
        let mut parts: Vec<Part> = Vec::new();
        for (number, view) in surfaces.views().enumerate() {
            let (rgba, texture) = (view.rgba, view.texture);
            match self.cut(&view) {
                Ok(Cut::Whole) => {}
                Ok(Cut::Crossing) => faults.crossing.push(number + 1),
                Ok(Cut::Bent) => faults.bent.push(number + 1),
                Err(Fault::NoPlace) => {
                    faults.no_place.push(number + 1);
                    continue;
                }
                Err(Fault::NoArea) => {
                    faults.no_area.push(number + 1);
                    continue;
                }
            }
            let is_same = |p: &Part| p.mesh.rgba == rgba && p.mesh.texture.as_ref() == texture;
            let place = parts.iter().position(is_same).unwrap_or_else(|| {
                let mesh = MeshPart { rgba, texture: texture.cloned(), ..MeshPart::default() };
                parts.push(Part { mesh, seen: FxHashMap::default() });
                parts.len() - 1
            });
            let Some(part) = parts.get_mut(place) else { continue };
            self.places.clear();
            self.places.resize(self.corners.len(), NOT_YET);
            for index in &self.indices {
                let index = *index as usize;
                let (Some(corner), Some(place)) = (self.corners.get(index), self.places.get_mut(index)) else {
                    continue;
                };
                if *place == NOT_YET {
                    let uv = self.uvs.get(index).filter(|_| texture.is_some());
                    *place = part.place(*corner, uv.copied().unwrap_or_default());
                }
                part.mesh.indices.push(*place);
            }
        }
        let extent = Extent::around(parts.iter().flat_map(|p| p.mesh.positions.iter().copied()));
        if extent.is_empty() {
            return (None, faults);
        }
        let origin = extent.centre();
        let parts = parts.into_iter().map(|mut part| {
            part.mesh.positions.iter_mut().for_each(|p| *p -= origin);
            part.mesh
        });
        (Some(Mesh { origin, parts: parts.collect() }), faults)
    }

    /// Cuts one polygon; afterwards `indices` are triangles over `corners`.
    fn cut(&mut self, polygon: &View<'_>) -> Result<Cut, Fault> {
        self.corners.clear();
        self.uvs.clear();
        self.indices.clear();
        self.holes.clear();
        for (ring, uvs) in polygon.rings.iter().zip(&polygon.uvs) {
            let start = self.corners.len();
            for (number, vertex) in ring.iter().enumerate() {
                if !vertex.is_finite() {
                    return Err(Fault::NoPlace);
                }
                if self.corners.len() == start || self.corners.last() != Some(vertex) {
                    self.corners.push(*vertex);
                    self.uvs.push(uvs.get(number).copied().unwrap_or_default());
                }
            }
            while self.corners.len() > start + 1 && self.corners.last() == self.corners.get(start) {
                self.corners.pop();
                self.uvs.pop();
            }
            if self.corners.len() < start + 3 {
                if start == 0 {
                    return Err(Fault::NoArea);
                }
                // A hole that is a point or a line takes nothing away.
                self.corners.truncate(start);
                self.uvs.truncate(start);
            } else if start > 0 {
                self.holes.push(start as u32);
            }
        }
        let outer_end = self.holes.first().map_or(self.corners.len(), |h| *h as usize);
        let outer = self.corners.get(..outer_end).ok_or(Fault::NoArea)?;
        let normal = newell(outer);
        let double_area = normal.length();
        if double_area * 0.5 < LEAST_AREA_M2 || !double_area.is_finite() {
            return Err(Fault::NoArea);
        }
        if self.holes.is_empty() && outer.len() == 3 {
            self.indices.extend([0, 1, 2]);
            return Ok(Cut::Whole);
        }
        let normal = normal / double_area;
        let (u, v) = normal.any_orthonormal_pair();
        // (u, v, normal) must be right-handed, so that counter-clockwise in the plane is so from outside.
        let v = if u.cross(v).dot(normal) < 0.0 { -v } else { v };
        let first = outer.first().copied().unwrap_or_default();
        self.plane.clear();
        self.plane.extend(self.corners.iter().map(|p| DVec2::new((*p - first).dot(u), (*p - first).dot(v))));
        self.earcut.earcut(self.plane.iter().map(|p| p.to_array()), &self.holes, &mut self.indices);
        let mut covered = 0.0;
        for triangle in self.indices.chunks_exact_mut(3) {
            let [a, b, c] = triangle else { continue };
            let corner = |i: &u32| self.plane.get(*i as usize).copied().unwrap_or_default();
            let double = (corner(b) - corner(a)).perp_dot(corner(c) - corner(a));
            covered += double.abs();
            if double < 0.0 {
                std::mem::swap(b, c);
            }
        }
        if self.indices.is_empty() {
            return Err(Fault::NoArea);
        }
        let ends = self.holes.iter().copied().chain([self.corners.len() as u32]);
        let mut start = 0;
        let mut wanted = 0.0;
        for end in ends {
            let ring = self.plane.get(start as usize..end as usize).unwrap_or(&[]);
            let double = ring.iter().zip(ring.iter().cycle().skip(1)).map(|(a, b)| a.perp_dot(*b)).sum::<f64>().abs();
            wanted += if start == 0 { double } else { -double };
            start = end;
        }
        if (covered - wanted).abs() > wanted.abs() * AREA_TOLERANCE + 1e-4 {
            return Ok(Cut::Crossing);
        }
        let off_plane = self.corners.iter().map(|p| (*p - first).dot(normal).abs()).fold(0.0, f64::max);
        let is_bent = off_plane > BENT_M + double_area.sqrt() * BENT_PART;
        Ok(if is_bent { Cut::Bent } else { Cut::Whole })
    }
}

enum Cut {
    Whole,
    Crossing,
    Bent,
}

enum Fault {
    NoPlace,
    NoArea,
}

impl Part {
    /// The number of the vertex in the part, the same for the same place.
    fn place(&mut self, corner: DVec3, uv: [f32; 2]) -> u32 {
        let key = (corner.to_array().map(f64::to_bits), uv.map(f32::to_bits));
        let next = self.mesh.positions.len() as u32;
        let index = *self.seen.entry(key).or_insert(next);
        if index == next {
            self.mesh.positions.push(corner);
            if self.mesh.texture.is_some() {
                self.mesh.uvs.push(uv);
            }
        }
        index
    }
}

/// Twice the area of a ring along its normal.
fn newell(ring: &[DVec3]) -> DVec3 {
    let Some(&first) = ring.first() else { return DVec3::ZERO };
    // Relative to the first vertex: coordinates are large, rings are small.
    ring.windows(2).map(|w| (w[0] - first).cross(w[1] - first)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surfaces(polygons: &[&[&[[f64; 3]]]]) -> Surfaces {
        let mut made = Surfaces::default();
        for polygon in polygons {
            for ring in *polygon {
                ring.iter().for_each(|v| made.push_vertex(DVec3::from_array(*v)));
                made.end_ring();
            }
            made.end_polygon([1, 2, 3, 255]);
        }
        made
    }

    fn area_and_normal(mesh: &Mesh) -> (f64, DVec3) {
        let mut total = DVec3::ZERO;
        let mut area = 0.0;
        for part in &mesh.parts {
            for t in part.indices.chunks_exact(3) {
                let [a, b, c] = [t[0], t[1], t[2]].map(|i| part.positions[i as usize]);
                let normal = (b - a).cross(c - a) * 0.5;
                area += normal.length();
                total += normal;
            }
        }
        (area, total.normalize())
    }

    #[test]
    fn a_wall_with_a_window_is_cut_in_its_own_plane_and_faces_outward() {
        let (x, y) = (40_500_000.0, 4_000_000.0);
        let wall: Vec<[f64; 3]> =
            [[0.0, 0.0], [10.0, 0.0], [10.0, 4.0], [0.0, 4.0], [0.0, 0.0]].map(|[u, z]| [x + u, y, z]).to_vec();
        // the hole runs the same way round as its wall, which happens
        let window: Vec<[f64; 3]> =
            [[2.0, 1.0], [4.0, 1.0], [4.0, 3.0], [2.0, 3.0]].map(|[u, z]| [x + u, y, z]).to_vec();
        let (mesh, faults) = Mesher::new().mesh(&surfaces(&[&[&wall, &window]]));
        assert_eq!(faults, Faults::default());
        let (area, normal) = area_and_normal(&mesh.unwrap());
        assert!((area - 36.0).abs() < 1e-6, "{area}");
        assert!((normal - DVec3::NEG_Y).length() < 1e-9, "{normal}");
    }

    #[test]
    fn bad_polygons_are_named_and_the_others_kept() {
        let good: &[[f64; 3]] = &[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]];
        let line: &[[f64; 3]] = &[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]];
        let lost: &[[f64; 3]] = &[[0.0, 0.0, 0.0], [1.0, f64::NAN, 0.0], [2.0, 0.0, 0.0]];
        let bow: &[[f64; 3]] = &[[0.0, 0.0, 0.0], [10.0, 10.0, 0.0], [10.0, 0.0, 0.0], [0.0, 12.0, 0.0]];
        let roof: &[[f64; 3]] = &[[0.0, 0.0, 0.0], [10.0, 0.0, 3.0], [10.0, 10.0, 0.0], [0.0, 10.0, 3.0]];
        let all = surfaces(&[&[good], &[line], &[lost], &[bow], &[&good[..2]], &[roof]]);
        let (mesh, faults) = Mesher::new().mesh(&all);
        assert_eq!(faults, Faults { no_place: vec![3], no_area: vec![2, 5], crossing: vec![4], bent: vec![6] });
        assert!(mesh.is_some());
        assert_eq!(Mesher::new().mesh(&surfaces(&[&[line]])).0, None);
    }

    #[test]
    fn pictures_keep_to_their_corners_and_colours_to_theirs() {
        let texture = Texture::new(vec![1, 2, 3]);
        let corners = [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0], [0.0, 0.0]];
        let mut made = surfaces(&[&[&[[9.0, 0.0, 0.0], [9.0, 1.0, 0.0], [8.0, 1.0, 0.0]]]]);
        for [x, z] in corners {
            made.push_textured(DVec3::new(x, 0.0, z), [x as f32 / 4.0, 1.0 - z as f32 / 2.0]);
        }
        made.end_ring();
        made.end_textured([7, 7, 7, 255], &texture);
        let mut twice = made.clone();
        twice.append(&made);
        for all in [made, twice] {
            let (mesh, faults) = Mesher::new().mesh(&all);
            let mesh = mesh.unwrap();
            assert_eq!((mesh.parts.len(), faults), (2, Faults::default()));
            assert!(mesh.parts[0].uvs.is_empty() && mesh.parts[0].texture.is_none());
            let wall = &mesh.parts[1];
            assert_eq!((wall.texture.as_ref(), wall.positions.len(), wall.uvs.len()), (Some(&texture), 4, 4));
            for (at, uv) in wall.positions.iter().zip(&wall.uvs) {
                let at = *at + mesh.origin;
                assert_eq!(*uv, [at.x as f32 / 4.0, 1.0 - at.z as f32 / 2.0]);
            }
        }
    }

    #[test]
    fn a_polygon_that_was_not_finished_is_undone() {
        let mut made = surfaces(&[&[&[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]]]);
        let whole = made.clone();
        made.push_vertex(DVec3::X);
        made.end_ring();
        made.push_vertex(DVec3::Y);
        made.undo();
        assert_eq!(made, whole);
        let mut twice = made.clone();
        twice.append(&made);
        assert_eq!(twice.polygons().count(), 2);
        assert_eq!(twice.polygons().nth(1).unwrap().0[0].len(), 3);
    }
}
