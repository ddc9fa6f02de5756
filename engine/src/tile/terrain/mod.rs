//! Tiles of the terrain: a quadtree of meshes with a picture each.
//!
//! Each tile samples the heights on its own grid of 129 × 129, thins it to a right-triangulated irregular network
//! and hangs skirts on its four edges, which hide the cracks between tiles of different detail. Where heights are
//! missing there are no triangles. The geometric error is the largest vertical distance that was measured between
//! the mesh and the full heights, or what the coarser picture is worth, whichever is more.

mod mesh;
mod surface;
mod texture;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use glam::{DVec2, DVec3};

use self::{
    mesh::{CELLS, TileMesher},
    surface::Surface,
    texture::Painter,
};
use super::{
    Surroundings, TileError, TileNode, TilesetBuilder,
    glb::{Material, TileContent},
    raster::{HeightRaster, Photo, Rasters},
};
use crate::model::{CityObject, Extent, Geometry, HeightGrid};

/// Bytes of heights that a layer takes into memory when the city's ground does not hold them anyway.
const HELD_HEIGHT_BYTES: u64 = 64 << 20;
/// The tree is not deeper; 2²⁰ leaves of 129 samples are more than any city.
const MAX_DEPTH: u32 = 20;
/// A picture coarser than this many screen pixels a texel is refined at the usual 16 pixels of screen-space error.
const TEXEL_PIXELS: f64 = 2.0;
/// The usual screen-space error, pixels.
const USUAL_SSE: f64 = 16.0;

/// Collects the heights and pictures of one layer.
pub struct TerrainTiler {
    rasters: Rasters,
}

/// A rectangle of the quadtree, counted in leaves' sizes from the north-west.
#[derive(Clone, Copy, Debug)]
struct Cell {
    level: u32,
    column: u32,
    row: u32,
}

/// What all tiles of one tree share.
struct Plan<'a> {
    surface: Surface<'a>,
    photos: &'a [Arc<Photo>],
    north_west: DVec2,
    /// Size of the root.
    size: DVec2,
    painter: Painter,
}

impl TerrainTiler {
    /// A tiler whose heights and pictures go to a file in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { rasters: Rasters::new(folder) }
    }

    /// Takes one object; anything but heights and pictures is passed over.
    pub fn push(&mut self, object: &CityObject) -> Result<(), TileError> {
        match &object.geometry {
            Geometry::Heights(grid) => self.rasters.push_heights(grid),
            Geometry::Picture(picture) => self.rasters.push_picture(object.id.as_str(), picture),
            _ => Ok(()),
        }
    }

    /// The heights and pictures so far.
    pub fn surfaces(&mut self) -> Result<(&[Arc<HeightRaster>], &[Arc<Photo>]), TileError> {
        self.rasters.all()
    }

    /// Writes the tiles. Pictures are drawn on the terrain's tiles; only where the city has no terrain at all,
    /// a layer of pictures becomes a flat ground of its own at height 0.
    pub fn finish(mut self, around: &Surroundings<'_>, tileset: &mut TilesetBuilder<'_>) -> Result<(), TileError> {
        let (grids, pictures) = self.rasters.all()?;
        let mut flat = Vec::new();
        if grids.is_empty() && around.ground.is_empty() {
            let boxes = pictures.iter().map(|picture| picture.extent()).filter(|extent| !extent.is_empty());
            flat.extend(boxes.map(|extent| Arc::new(HeightRaster::in_memory(flat_grid(&extent)))));
        }
        let grids = if flat.is_empty() { grids } else { &flat };
        let mut left = HELD_HEIGHT_BYTES;
        for grid in grids.iter().filter(|grid| grid.has_heights()) {
            let needed = grid.bytes_on_disk();
            if needed <= left {
                left -= needed;
                grid.hold()?;
            }
        }
        let surface = Surface::new(grids);
        let Some(step_m) = surface.finest_step() else { return Ok(()) };
        let extent = surface.extent();
        let mut leaf = step_m * f64::from(CELLS);
        // A terrain of few samples still gets a picture that fills its tile.
        for _ in 0..CELLS.ilog2() {
            if (leaf * 0.5 - extent.size().truncate()).min_element() >= -1e-6 * leaf.min_element() {
                leaf *= 0.5;
            }
        }
        // The root's corner lies on the finest grid's samples, so that leaves show them unchanged.
        let anchor = surface.anchor();
        let west = anchor.x - ((anchor.x - extent.min.x) / leaf.x - 1e-9).ceil() * leaf.x;
        let north = anchor.y + ((extent.max.y - anchor.y) / leaf.y - 1e-9).ceil() * leaf.y;
        let north_west = DVec2::new(west, north);
        let leaves = (DVec2::new(extent.max.x - west, north - extent.min.y) / leaf - 1e-9).ceil().max_element();
        let depth = (leaves.max(1.0).log2() - 1e-9).ceil().clamp(0.0, f64::from(MAX_DEPTH)) as u32;
        let size = leaf * f64::from(depth).exp2();
        let painter = Painter::new(&surface);
        let plan = Plan { surface, photos: around.pictures, north_west, size, painter };
        if let Some(root) = grow(&plan, tileset)? {
            tileset.add_root(root);
        }
        grids.iter().try_for_each(|grid| grid.check())
    }
}

fn flat_grid(extent: &Extent) -> HeightGrid {
    HeightGrid {
        north_west: DVec2::new(extent.min.x, extent.max.y),
        step_m: extent.size().truncate().max(DVec2::splat(1e-3)),
        columns: 2,
        rows: 2,
        heights: vec![0.0; 4],
    }
}

/// Builds the tree: the four branches below the root are shared out to threads; the result does not depend on them.
fn grow(plan: &Plan<'_>, tileset: &TilesetBuilder<'_>) -> Result<Option<TileNode>, TileError> {
    let root = Cell { level: 0, column: 0, row: 0 };
    if !plan.splits(root) {
        return plan.tile(root, 0.0, &mut TileMesher::new(), tileset);
    }
    let mut mesher = TileMesher::new();
    let Some(mesh) = mesher.mesh(plan, root) else { return Ok(None) };
    let own_error = mesh.error_m;
    // Two levels down there are sixteen parts of unequal work; threads take them one after another.
    let parts: Vec<Cell> = root.children().into_iter().filter(|c| plan.has_data(*c)).collect();
    let queue = Mutex::new(parts.iter().copied().enumerate().collect::<std::collections::VecDeque<_>>());
    let workers = thread::available_parallelism().map_or(1, |n| n.get()).clamp(1, 4).min(parts.len().max(1));
    let mut grown: Vec<(usize, Option<TileNode>)> = Vec::new();
    thread::scope(|scope| -> Result<(), TileError> {
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| -> Result<Vec<(usize, Option<TileNode>)>, TileError> {
                    let mut mesher = TileMesher::new();
                    let mut done = Vec::new();
                    loop {
                        let next = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
                        let Some((number, cell)) = next else { return Ok(done) };
                        done.push((number, plan.tile(cell, own_error, &mut mesher, tileset)?));
                    }
                })
            })
            .collect();
        for handle in handles {
            match handle.join() {
                Ok(done) => grown.extend(done?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })?;
    grown.sort_by_key(|(number, _)| *number);
    let children = grown.into_iter().filter_map(|(_, node)| node).collect();
    plan.finished(root, mesh, 0.0, children, tileset).map(Some)
}

impl Cell {
    fn children(self) -> [Cell; 4] {
        [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(c, r)| Cell {
            level: self.level + 1,
            column: self.column * 2 + c,
            row: self.row * 2 + r,
        })
    }

    /// Under which its tile is written down.
    fn name(self) -> String {
        format!("terrain/{}/{}/{}", self.level, self.column, self.row)
    }

    /// The tile that a process before this one made of it, with everything below it.
    fn made(self, tileset: &TilesetBuilder<'_>) -> Option<TileNode> {
        let (mut node, children): (TileNode, usize) = tileset.journal().get(&self.name())?;
        if children > 0 {
            node.children = self.children().into_iter().filter_map(|child| child.made(tileset)).collect();
        }
        (node.children.len() == children).then_some(node)
    }
}

impl Plan<'_> {
    /// Size of a cell.
    fn cell_size(&self, cell: Cell) -> DVec2 {
        self.size / f64::from(cell.level).exp2()
    }

    /// North-western corner of a cell.
    fn corner(&self, cell: Cell) -> DVec2 {
        let size = self.cell_size(cell);
        self.north_west + DVec2::new(f64::from(cell.column), -f64::from(cell.row)) * size
    }

    /// Box of a cell in plan.
    fn cell_extent(&self, cell: Cell) -> Extent {
        let (corner, size) = (self.corner(cell), self.cell_size(cell));
        Extent {
            min: DVec3::new(corner.x, corner.y - size.y, f64::MIN),
            max: DVec3::new(corner.x + size.x, corner.y, f64::MAX),
        }
    }

    fn has_data(&self, cell: Cell) -> bool {
        self.surface.overlaps(&self.cell_extent(cell))
    }

    /// Whether there is more detail than the cell's own tile can show.
    fn splits(&self, cell: Cell) -> bool {
        if cell.level >= MAX_DEPTH {
            return false;
        }
        let (extent, size) = (self.cell_extent(cell), self.cell_size(cell));
        let step = size / f64::from(CELLS);
        let texel = size / f64::from(texture::MAX_PIXELS);
        self.surface.finest_step_within(&extent).is_some_and(|finest| step.max_element() > finest.max_element() * 1.01)
            || self.photos_within(&extent).any(|p| texel.max_element() > p.step_m().max_element() * 1.5)
    }

    /// Photos that lie on a cell, the later over the earlier.
    fn photos_within<'b>(&'b self, extent: &'b Extent) -> impl Iterator<Item = &'b Photo> + 'b {
        self.photos.iter().map(Arc::as_ref).filter(move |photo| photo.overlaps(extent))
    }

    /// The tile of a cell with everything below it; `None` where there are no heights.
    /// `above_m` is the largest error of the tiles above.
    fn tile(
        &self,
        cell: Cell,
        above_m: f64,
        mesher: &mut TileMesher,
        tileset: &TilesetBuilder<'_>,
    ) -> Result<Option<TileNode>, TileError> {
        if !self.has_data(cell) {
            return Ok(None);
        }
        if let Some(made) = cell.made(tileset).filter(|made| tileset.adopt(made)) {
            return Ok(Some(made));
        }
        let Some(mesh) = mesher.mesh(self, cell) else { return Ok(None) };
        let mut children = Vec::new();
        if self.splits(cell) {
            let reach = above_m.max(mesh.error_m);
            for child in cell.children() {
                children.extend(self.tile(child, reach, mesher, tileset)?);
            }
        }
        self.finished(cell, mesh, above_m, children, tileset).map(Some)
    }

    /// Paints a tile, hangs its skirts and writes it.
    fn finished(
        &self,
        cell: Cell,
        mut mesh: mesh::Thinned,
        above_m: f64,
        children: Vec<TileNode>,
        tileset: &TilesetBuilder<'_>,
    ) -> Result<TileNode, TileError> {
        let (corner, size) = (self.corner(cell), self.cell_size(cell));
        let cell_extent = self.cell_extent(cell);
        let photos: Vec<&Photo> = self.photos_within(&cell_extent).collect();
        let painted = self.painter.paint(&self.surface, &photos, corner, size)?;
        let mut error_m = mesh.error_m;
        if !children.is_empty() {
            let below = children.iter().map(|c| c.geometric_error_m).fold(0.0, f64::max);
            error_m = error_m.max(below).max(painted.texel_m * USUAL_SSE / TEXEL_PIXELS);
        }
        // Deep enough to reach below a neighbour that is two levels coarser.
        let depth = (mesh.error_m + above_m) * 1.1 + 0.02 * size.max_element() / f64::from(CELLS) + 0.05;
        let extent = mesh.extent;
        let origin = extent.centre();
        mesh.hang_skirts(depth);
        let content = TileContent {
            materials: vec![Material {
                name: "terrain".into(),
                base_colour: [1.0; 4],
                metallic: 0.0,
                roughness: 1.0,
                texture: Some(painted.jpeg),
                double_sided: false,
            }],
            meshes: vec![mesh.into_tile_mesh(origin, painted.pixels)],
            ..TileContent::default()
        };
        let node = TileNode {
            extent: Extent { min: extent.min - DVec3::Z * depth, max: extent.max },
            geometric_error_m: error_m,
            content: Some(tileset.write_content(&content)?),
            origin,
            ..TileNode::default()
        };
        tileset.journal().put(&cell.name(), &(&node, children.len()));
        Ok(TileNode { children, ..node })
    }
}

#[cfg(test)]
mod tests;
