//! The mesh of one tile: a right-triangulated irregular network with skirts.

use glam::{DVec2, DVec3, Vec2, Vec3};
use martini::Martini;

use super::{Cell, Plan};
use crate::{model::Extent, tile::glb::TileMesh};

/// Cells along a tile's side.
pub(super) const CELLS: u32 = 128;
/// Samples along a tile's side.
const SAMPLES: usize = CELLS as usize + 1;
/// Stands for a missing height while thinning: a step this large is never thinned away.
const MISSING: f64 = 1e9;
/// A tile's mesh may be wrong by this share of its sample step: on slopes the eye forgives less than on plains.
const TOLERANCE: f64 = 0.04;
/// The error is measured at no more places than this along a side.
const MEASURED: usize = 512;

/// A thinned tile, coordinates in the city's frame.
pub(super) struct Thinned {
    positions: Vec<DVec3>,
    normals: Vec<Vec3>,
    uvs: Vec<Vec2>,
    indices: Vec<u32>,
    /// Grid place of each vertex.
    places: Vec<(u8, u8)>,
    /// Largest vertical distance to the full heights that was measured, metres.
    pub error_m: f64,
    /// Box around the vertices, skirts not counted.
    pub extent: Extent,
}

/// Makes meshes; holds what can be used again for the next tile.
pub(super) struct TileMesher {
    martini: Martini,
    heights: Vec<f32>,
}

impl TileMesher {
    /// A mesher.
    pub fn new() -> Self {
        Self { martini: Martini::new(CELLS + 1), heights: vec![f32::NAN; SAMPLES * SAMPLES] }
    }

    /// The mesh of a cell; `None` when no triangle has heights at its corners.
    pub fn mesh(&mut self, plan: &Plan<'_>, cell: Cell) -> Option<Thinned> {
        let (corner, size) = (plan.corner(cell), plan.cell_size(cell));
        let step = size / f64::from(CELLS);
        let surface = plan.surface.within(&plan.cell_extent(cell));
        // Vertices beyond the outermost samples are drawn in to them, so that coarse tiles end where fine ones do.
        let bounds = surface.extent();
        let (low, high) = (bounds.min.truncate(), bounds.max.truncate());
        let place_of = |column: f64, row: f64| (corner + DVec2::new(column, -row) * step).clamp(low, high);
        let heights = &mut self.heights;
        for row in 0..SAMPLES {
            for column in 0..SAMPLES {
                heights[row * SAMPLES + column] = surface.height(place_of(column as f64, row as f64));
            }
        }
        let tile = self.martini.create_terrain(|x, y| {
            let height = f64::from(heights[y * SAMPLES + x]);
            if height.is_nan() { MISSING } else { height }
        });
        let tolerance = TOLERANCE * step.min_element();
        let (_, indices, uvs) = tile.construct_mesh(&mut self.martini, tolerance, &mut |(u, v)| (u, v, 0.0));
        let places: Vec<(u8, u8)> = uvs
            .chunks_exact(2)
            .map(|uv| ((uv[0] * CELLS as f32).round() as u8, ((1.0 - uv[1]) * CELLS as f32).round() as u8))
            .collect();
        let mut thinned = Thinned {
            positions: Vec::new(),
            normals: Vec::new(),
            uvs: Vec::new(),
            indices: Vec::new(),
            places: Vec::new(),
            error_m: 0.0,
            extent: Extent::EMPTY,
        };
        let mut vertex_of = vec![u32::MAX; places.len()];
        let reach = surface.finest_step().map_or(step, |finest| step.max(finest));
        let mut measured = Measure::new(&surface, corner, size, step);
        for triangle in indices.chunks_exact(3) {
            let corners = [triangle[0], triangle[1], triangle[2]].map(|i| {
                let (column, row) = places[i as usize];
                let place = place_of(f64::from(column), f64::from(row));
                place.extend(f64::from(heights[usize::from(row) * SAMPLES + usize::from(column)]))
            });
            let area = (corners[1] - corners[0]).truncate().perp_dot((corners[2] - corners[0]).truncate());
            if corners.iter().any(|c| c.z.is_nan()) || area <= 1e-9 * step.element_product() {
                continue;
            }
            measured.triangle(&corners);
            for (i, corner_at) in triangle.iter().zip(corners) {
                let vertex = &mut vertex_of[*i as usize];
                if *vertex == u32::MAX {
                    *vertex = thinned.positions.len() as u32;
                    thinned.positions.push(corner_at);
                    let normal = surface.normal(corner_at.truncate(), reach);
                    thinned.normals.push(normal.as_vec3());
                    // Texture coordinates follow the drawn-in place; v runs south as in glTF.
                    let uv = (corner_at.truncate() - corner) / DVec2::new(size.x, -size.y);
                    thinned.uvs.push(uv.as_vec2());
                    thinned.places.push(places[*i as usize]);
                    thinned.extent.add(corner_at);
                }
                thinned.indices.push(*vertex);
            }
        }
        thinned.error_m = measured.largest;
        (!thinned.indices.is_empty()).then_some(thinned)
    }
}

impl Thinned {
    /// Hangs a wall of `depth_m` on each edge of the tile. Edges beside missing heights get none: nothing joins there.
    pub fn hang_skirts(&mut self, depth_m: f64) {
        let last = CELLS as u8;
        let sides: [fn((u8, u8), u8) -> Option<u8>; 4] = [
            |(c, r), _| (r == 0).then_some(c),
            |(c, r), last| (c == last).then_some(r),
            |(c, r), last| (r == last).then_some(c),
            |(c, r), _| (c == 0).then_some(r),
        ];
        for (number, side) in sides.into_iter().enumerate() {
            let mut edge: Vec<(u8, u32)> =
                (0..self.places.len()).filter_map(|i| Some((side(self.places[i], last)?, i as u32))).collect();
            edge.sort_unstable();
            // A wall stands only under an edge of a triangle, not across a hole.
            let edges: std::collections::HashSet<(u32, u32)> =
                self.indices.chunks_exact(3).flat_map(|t| [(t[0], t[1]), (t[1], t[2]), (t[2], t[0])]).collect();
            for pair in edge.windows(2) {
                // North and east edges run against the order of the grid in a triangle seen from above.
                let (a, b) = if number < 2 { (pair[1].1, pair[0].1) } else { (pair[0].1, pair[1].1) };
                if !edges.contains(&(a, b)) {
                    continue;
                }
                let below = [a, b].map(|i| {
                    let i = i as usize;
                    let new = self.positions.len() as u32;
                    self.positions.push(self.positions[i] - DVec3::Z * depth_m);
                    self.normals.push(self.normals[i]);
                    self.uvs.push(self.uvs[i]);
                    new
                });
                self.indices.extend_from_slice(&[b, a, below[0], b, below[0], below[1]]);
            }
        }
    }

    /// The mesh relative to `origin`, with a picture whose outermost pixels' centres lie on the tile's edges.
    pub fn into_tile_mesh(self, origin: DVec3, pixels: u32) -> TileMesh {
        let pixels = pixels as f32;
        let inset = |uv: Vec2| uv * ((pixels - 1.0) / pixels) + 0.5 / pixels;
        TileMesh {
            material: 0,
            positions: self.positions.into_iter().map(|p| (p - origin).as_vec3()).collect(),
            normals: self.normals,
            uvs: self.uvs.into_iter().map(inset).collect(),
            colours: Vec::new(),
            features: Vec::new(),
            indices: self.indices,
        }
    }
}

/// Measures how far a mesh lies from the surface it stands for.
struct Measure {
    corner: DVec2,
    step: DVec2,
    across: usize,
    truth: Vec<f32>,
    largest: f64,
}

impl Measure {
    /// Takes the truth at the finest samples in the cell, or at 512 × 512 places when there are more.
    fn new(surface: &super::surface::Surface<'_>, corner: DVec2, size: DVec2, tile_step: DVec2) -> Self {
        let finest = surface.finest_step().unwrap_or(tile_step).max_element();
        let per_cell = (tile_step.max_element() / finest).ceil().clamp(1.0, (MEASURED / CELLS as usize) as f64);
        let across = CELLS as usize * per_cell as usize;
        let step = size / across as f64;
        let truth = (0..=across)
            .flat_map(|r| (0..=across).map(move |c| DVec2::new(c as f64, -(r as f64))))
            .map(|offset| surface.height(corner + offset * step))
            .collect();
        Self { corner, step, across, truth, largest: 0.0 }
    }

    /// Compares a triangle with the truth below it.
    fn triangle(&mut self, corners: &[DVec3; 3]) {
        let local = corners.map(|c| {
            let offset = (c.truncate() - self.corner) / self.step;
            DVec3::new(offset.x, -offset.y, c.z)
        });
        let low = local.iter().fold(DVec3::INFINITY, |m, c| m.min(*c));
        let high = local.iter().fold(DVec3::NEG_INFINITY, |m, c| m.max(*c));
        let (a, b, c) = (local[0], local[1], local[2]);
        let area = (b - a).truncate().perp_dot((c - a).truncate());
        if area == 0.0 {
            return;
        }
        for row in low.y.ceil() as usize..=(high.y.floor() as usize).min(self.across) {
            for column in low.x.ceil() as usize..=(high.x.floor() as usize).min(self.across) {
                let p = DVec2::new(column as f64, row as f64);
                let wb = (p - a.truncate()).perp_dot((c - a).truncate()) / area;
                let wc = (b - a).truncate().perp_dot(p - a.truncate()) / area;
                let wa = 1.0 - wb - wc;
                if wa < -1e-9 || wb < -1e-9 || wc < -1e-9 {
                    continue;
                }
                let truth = f64::from(self.truth[row * (self.across + 1) + column]);
                let error = (a.z * wa + b.z * wb + c.z * wc - truth).abs();
                if error > self.largest {
                    self.largest = error;
                }
            }
        }
    }
}
