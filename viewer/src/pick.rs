//! What the mouse points at: a ray against the triangles that are drawn.

use std::sync::Arc;

use glam::{DVec3, Vec3};

use crate::{
    content::{DrawMaterial, DrawMesh, Features, NO_FEATURE, TileMeshes},
    material::Kind,
    origin::{axes_from_city, city_from_axes},
};

/// A ray in the city's frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ray {
    /// Start.
    pub from: DVec3,
    /// Direction, unit length.
    pub direction: DVec3,
}

/// Triangles of one material of a tile, kept for the mouse.
#[derive(Clone, Debug)]
pub struct PickMesh {
    /// How it is shaded.
    pub kind: Kind,
    positions: Vec<[f32; 3]>,
    indices: Vec<u32>,
    features: Vec<u32>,
    /// Colour of the face where it is cut, linear.
    pub tint: [f32; 4],
    min: Vec3,
    max: Vec3,
}

impl PickMesh {
    /// Places of its vertices, metres from the tile's origin, render axes.
    pub fn positions(&self) -> &[[f32; 3]] {
        &self.positions
    }

    /// Three vertices a triangle.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// What the vertex belongs to.
    pub fn feature(&self, vertex: u32) -> u32 {
        self.features.get(vertex as usize).copied().unwrap_or(NO_FEATURE)
    }

    /// Row of the tile's feature table, one a vertex; [`NO_FEATURE`] = none.
    pub fn features(&self) -> &[u32] {
        &self.features
    }

    /// Corners of the box around it.
    pub fn bounds(&self) -> (Vec3, Vec3) {
        (self.min, self.max)
    }
}

/// A drawn tile, as the mouse sees it.
#[derive(Clone, Debug, Default)]
pub struct PickTile {
    /// Origin of the tile in the city's frame.
    pub origin: DVec3,
    /// Its meshes.
    pub meshes: Vec<PickMesh>,
    /// What its features are.
    pub features: Arc<Features>,
}

/// What a ray met.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Place in the city's frame.
    pub place: DVec3,
    /// Distance from the start of the ray, metres.
    pub distance_m: f64,
    /// Index of the mesh within the tile.
    pub mesh: usize,
    /// Row of the tile's feature table; [`NO_FEATURE`] = none.
    pub feature: u32,
}

/// Base colour of a mesh, as its first vertex has it.
fn tint(mesh: &DrawMesh, materials: &[DrawMaterial]) -> [f32; 4] {
    let base = materials.get(mesh.material).map_or([1.0; 4], |material| material.base_colour);
    let own = mesh.colours.first().copied().unwrap_or([1.0; 4]);
    std::array::from_fn(|channel| base[channel] * own[channel])
}

impl PickTile {
    /// Takes from a tile what picking needs.
    pub fn new(origin: DVec3, tile: &mut TileMeshes, kinds: &[Kind]) -> Self {
        let meshes = tile
            .meshes
            .iter_mut()
            .zip(kinds)
            .map(|(mesh, &kind)| PickMesh {
                kind,
                positions: std::mem::take(&mut mesh.positions),
                indices: std::mem::take(&mut mesh.indices),
                features: std::mem::take(&mut mesh.features),
                tint: tint(mesh, &tile.materials),
                min: mesh.min,
                max: mesh.max,
            })
            .collect();
        Self { origin, meshes, features: Arc::new(std::mem::take(&mut tile.features)) }
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        self.meshes.iter().map(|m| m.positions.len() * 16 + m.indices.len() * 4).sum()
    }

    /// The nearest triangle that `ray` meets within `max_m`, among meshes that `is_seen`, at a place that `is_left` by the cuts.
    pub fn cast(
        &self,
        ray: &Ray,
        max_m: f64,
        is_seen: impl Fn(Kind) -> bool,
        is_left: impl Fn(Kind, DVec3) -> bool,
    ) -> Option<Hit> {
        let from = axes_from_city(ray.from - self.origin);
        let direction = axes_from_city(ray.direction);
        let mut nearest: Option<Hit> = None;
        let mut limit = max_m as f32;
        for (index, mesh) in self.meshes.iter().enumerate() {
            if !is_seen(mesh.kind) || !meets_box(from, direction, mesh.min, mesh.max, limit) {
                continue;
            }
            for triangle in mesh.indices.chunks_exact(3) {
                let [a, b, c] = [0, 1, 2].map(|k| Vec3::from(mesh.positions[triangle[k] as usize]));
                if let Some(distance) = meets_triangle(from, direction, a, b, c)
                    && distance < limit
                    && is_left(mesh.kind, ray.from + ray.direction * f64::from(distance))
                {
                    limit = distance;
                    nearest = Some(Hit {
                        place: ray.from + ray.direction * f64::from(distance),
                        distance_m: f64::from(distance),
                        mesh: index,
                        feature: mesh.features.get(triangle[0] as usize).copied().unwrap_or(NO_FEATURE),
                    });
                }
            }
        }
        nearest
    }

    /// The triangles of one feature in the city's frame.
    pub fn feature_triangles(&self, feature: u32) -> impl Iterator<Item = [DVec3; 3]> + '_ {
        self.meshes.iter().flat_map(move |mesh| {
            let ours = move |triangle: &&[u32]| mesh.features.get(triangle[0] as usize) == Some(&feature);
            mesh.indices.chunks_exact(3).filter(ours).map(move |triangle| {
                [0, 1, 2].map(|k| {
                    let corner = Vec3::from(mesh.positions[triangle[k] as usize]);
                    self.origin + city_from_axes(corner.as_dvec3())
                })
            })
        })
    }

    /// The triangles of one feature as a mesh of its own, with flat white colour.
    pub fn feature_mesh(&self, feature: u32) -> DrawMesh {
        let mut out = DrawMesh { min: Vec3::INFINITY, max: Vec3::NEG_INFINITY, ..DrawMesh::default() };
        for mesh in &self.meshes {
            for triangle in mesh.indices.chunks_exact(3) {
                if mesh.features.get(triangle[0] as usize) != Some(&feature) {
                    continue;
                }
                let corners = [0, 1, 2].map(|k| Vec3::from(mesh.positions[triangle[k] as usize]));
                let normal = (corners[1] - corners[0]).cross(corners[2] - corners[0]).normalize_or(Vec3::Y);
                for corner in corners {
                    out.indices.push(out.positions.len() as u32);
                    out.positions.push(corner.into());
                    out.normals.push(normal.into());
                    out.uvs.push([0.0; 2]);
                    out.colours.push([1.0; 4]);
                    out.min = out.min.min(corner);
                    out.max = out.max.max(corner);
                }
            }
        }
        out
    }
}

/// Whether the ray meets the box within `limit` (slabs; a direction of 0 gives infinities that compare well).
fn meets_box(from: Vec3, direction: Vec3, min: Vec3, max: Vec3, limit: f32) -> bool {
    let inverse = direction.recip();
    let (a, b) = ((min - from) * inverse, (max - from) * inverse);
    // NaN (a ray within a slab's plane) must not exclude: f32::min and max prefer the other number.
    let near = a.x.min(b.x).max(a.y.min(b.y)).max(a.z.min(b.z)).max(0.0);
    let far = a.x.max(b.x).min(a.y.max(b.y)).min(a.z.max(b.z)).min(limit);
    near <= far
}

/// Distance along the ray to the triangle, from either side (Möller and Trumbore 1997).
fn meets_triangle(from: Vec3, direction: Vec3, a: Vec3, b: Vec3, c: Vec3) -> Option<f32> {
    let (ab, ac) = (b - a, c - a);
    let p = direction.cross(ac);
    let determinant = ab.dot(p);
    if determinant.abs() < 1e-12 {
        return None;
    }
    let inverse = determinant.recip();
    let s = from - a;
    let u = s.dot(p) * inverse;
    if !(0.0..=1.0).contains(&u) {
        return None;
    }
    let q = s.cross(ab);
    let v = direction.dot(q) * inverse;
    if v < 0.0 || u + v > 1.0 {
        return None;
    }
    let distance = ac.dot(q) * inverse;
    (distance > 1e-4).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A level square of 20 m around the tile's origin at height `z`, as feature `feature`.
    fn square(z: f32, feature: u32, kind: Kind) -> (DrawMesh, Kind) {
        // Render axes: y up, z south.
        let positions = vec![[-10.0, z, 10.0], [10.0, z, 10.0], [10.0, z, -10.0], [-10.0, z, -10.0]];
        let mesh = DrawMesh {
            features: vec![feature; 4],
            normals: vec![[0.0, 1.0, 0.0]; 4],
            indices: vec![0, 1, 2, 0, 2, 3],
            min: Vec3::new(-10.0, z, -10.0),
            max: Vec3::new(10.0, z, 10.0),
            positions,
            ..DrawMesh::default()
        };
        (mesh, kind)
    }

    fn tile() -> PickTile {
        let (meshes, kinds): (Vec<_>, Vec<_>) =
            [square(30.0, 7, Kind::Roof), square(0.0, 1, Kind::Terrain), square(-3.0, 9, Kind::Pipe)]
                .into_iter()
                .unzip();
        let mut tile = TileMeshes { meshes, ..TileMeshes::default() };
        PickTile::new(DVec3::new(40_534_000.0, 3_993_000.0, 12.0), &mut tile, &kinds)
    }

    #[test]
    fn the_nearest_triangle_wins_and_the_place_is_exact() {
        let tile = tile();
        let ray = Ray { from: tile.origin + DVec3::new(3.0, -4.0, 130.0), direction: DVec3::NEG_Z };
        let hit = tile.cast(&ray, 1e4, |_| true, |_, _| true).expect("straight above");
        assert_eq!(hit.feature, 7);
        assert!(hit.place.distance(tile.origin + DVec3::new(3.0, -4.0, 30.0)) < 1e-3);
        let below = tile.cast(&ray, 1e4, |kind| kind == Kind::Pipe, |_, _| true).expect("the ghosts do not count");
        assert_eq!(below.feature, 9);
        assert_eq!(tile.cast(&ray, 90.0, |_| true, |_, _| true), None, "beyond the limit");
    }

    #[test]
    fn a_ray_beside_it_meets_nothing() {
        let tile = tile();
        let ray = Ray { from: tile.origin + DVec3::new(11.0, 0.0, 130.0), direction: DVec3::NEG_Z };
        assert_eq!(tile.cast(&ray, 1e4, |_| true, |_, _| true), None);
        let north = Ray { from: tile.origin + DVec3::new(0.0, -50.0, 15.0), direction: DVec3::Y };
        assert_eq!(tile.cast(&north, 1e4, |_| true, |_, _| true), None, "between roof and ground");
    }

    #[test]
    fn what_a_cut_has_taken_away_is_not_met() {
        let tile = tile();
        let ray = Ray { from: tile.origin + DVec3::new(3.0, -4.0, 130.0), direction: DVec3::NEG_Z };
        let hit =
            tile.cast(&ray, 1e4, |_| true, |_, place| place.z < tile.origin.z + 20.0).expect("what is under the roof");
        assert_eq!(hit.feature, 1);
    }

    #[test]
    fn a_feature_can_be_taken_out() {
        let mesh = tile().feature_mesh(9);
        assert_eq!(mesh.indices.len(), 6);
        assert_eq!(mesh.max.y, -3.0);
        let triangles: Vec<_> = tile().feature_triangles(9).collect();
        assert_eq!((triangles.len(), triangles[0][0]), (2, tile().origin + DVec3::new(-10.0, -10.0, -3.0)));
    }
}
