//! Shapes of objects as what rays meet: the bodies of the query's `Ray`, and meshes and grids as triangles.

use glam::{DVec2, DVec3};

use super::{CastError, CasterBuilder, builder::is_place, solid::Solid};
use crate::model::{Area, Extent, Geometry, HeightGrid, Line, Mesh, Polygon, Roof, Section, Tube};

/// Ground that differs by less under an object counts as level, metres.
const LEVEL_M: f64 = 1e-6;
/// A level surface with more edges is cut into triangles.
const MOST_EDGES: usize = 64;
/// Triangles that are added at a time.
const BATCH: usize = 4096;

/// How well rays know a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As it is.
    Exact,
    /// By a box or an upright body around it: roofs that slope, what stands on sloping ground, trees and other models.
    Around,
    /// Not at all: places, lines without width, scans, pictures.
    Nothing,
}

impl CasterBuilder {
    /// Adds the shape of an object; `extent` is the box around it, ground included, as the city's rows have it (for what has
    /// absolute heights: [`Geometry::extent`]). Hits are reported with the number `which`.
    pub fn add(&mut self, shape: &Geometry, extent: &Extent, which: u32) -> Result<Fit, CastError> {
        let own = shape.extent();
        if own.is_empty() || extent.is_empty() {
            return Ok(Fit::Nothing);
        }
        if ![own.min, own.max, extent.min, extent.max].into_iter().all(is_place) {
            return Err(CastError::NoPlace { which });
        }
        // What counts from the terrain was lifted by the lowest and the highest ground under it. Where they are the same, the
        // shape is known; where they are not, it is somewhere between.
        let (lift, high) = (extent.min.z - own.min.z, extent.max.z - own.max.z);
        let is_level = (high - lift).abs() < LEVEL_M;
        let range = (extent.min.z, extent.max.z);
        let fit = |is_exact: bool| if is_exact { Fit::Exact } else { Fit::Around };
        match shape {
            Geometry::Block(block) => {
                self.add_prisms(&block.footprint, range, which)?;
                Ok(fit(is_level && matches!(block.roof, None | Some(Roof::Flat))))
            }
            Geometry::Area(area) if is_level => self.add_area(area, lift, which).map(|()| Fit::Exact),
            Geometry::Area(area) => self.add_prisms(&area.polygons, range, which).map(|()| Fit::Around),
            Geometry::Tube(tube) if is_level => self.add_tube(tube, lift, which).map(|()| Fit::Exact),
            Geometry::Tube(tube) => {
                let width = match tube.section {
                    Section::Circle { diameter_m } => diameter_m,
                    Section::Rect { width_m, .. } => width_m,
                };
                self.add_walls(&tube.axis, width, range, which).map(|()| Fit::Around)
            }
            Geometry::Shaft(shaft) => {
                let foot = shaft.top.truncate().extend(range.0);
                self.add_solid(Solid::shaft(foot, shaft.diameter_m * 0.5, range.1 - range.0, which))?;
                Ok(fit(is_level))
            }
            Geometry::Line(line) if line.width_m <= 0.0 => Ok(Fit::Nothing),
            Geometry::Line(line) if is_level => self.add_ribbons(line, lift, which).map(|()| Fit::Exact),
            Geometry::Line(line) => {
                line.paths.iter().try_for_each(|path| self.add_walls(path, line.width_m, range, which))?;
                Ok(Fit::Around)
            }
            Geometry::Instance(_) => self.add_box(extent, which).map(|()| Fit::Around),
            Geometry::Mesh(mesh) => self.add_mesh(mesh, which).map(|()| Fit::Exact),
            Geometry::Heights(grid) => self.add_heights(grid, None, which).map(|()| Fit::Exact),
            Geometry::None | Geometry::Point(_) | Geometry::Points(_) | Geometry::Picture(_) => Ok(Fit::Nothing),
        }
    }

    /// Adds a box.
    pub fn add_box(&mut self, extent: &Extent, which: u32) -> Result<(), CastError> {
        if extent.is_empty() {
            return Ok(());
        }
        let (low, high) = (extent.min, extent.max);
        let ring = [low, low.with_x(high.x), high, low.with_y(high.y)];
        self.add_prism(&[&ring], (low.z, high.z), which)
    }

    /// Adds two triangles for each cell of a grid, of those in plan within `clip`; beside missing samples there are none.
    pub fn add_heights(&mut self, grid: &HeightGrid, clip: Option<&Extent>, which: u32) -> Result<(), CastError> {
        let columns = grid.columns as usize;
        let corner = |column: usize, row: usize| {
            let step = DVec2::new(column as f64, -(row as f64)) * grid.step_m;
            let height = grid.heights.get(row * columns + column).map_or(f64::NAN, |h| f64::from(*h));
            (grid.north_west + step).extend(height)
        };
        let mut batch = Vec::with_capacity(BATCH + 2);
        for row in 1..grid.rows as usize {
            for column in 1..columns {
                let (a, b) = (corner(column - 1, row), corner(column, row));
                let (c, d) = (corner(column, row - 1), corner(column - 1, row - 1));
                let is_wanted = clip.is_none_or(|clip| clip.overlaps_in_plan(&Extent::around([a, c])));
                if is_wanted {
                    batch.extend([[a, b, c], [a, c, d]].into_iter().filter(|t| t.iter().all(|v| v.is_finite())));
                }
                if batch.len() >= BATCH {
                    self.add_triangles(&batch, which)?;
                    batch.clear();
                }
            }
        }
        self.add_triangles(&batch, which)
    }

    fn add_mesh(&mut self, mesh: &Mesh, which: u32) -> Result<(), CastError> {
        for part in &mesh.parts {
            let corner = |index: &u32| part.positions.get(*index as usize).map(|v| mesh.origin + *v);
            for some in part.indices.chunks(3 * BATCH) {
                let corners = some.chunks_exact(3).map(|t| Some([corner(&t[0])?, corner(&t[1])?, corner(&t[2])?]));
                let triangles: Option<Vec<[DVec3; 3]>> = corners.collect();
                self.add_triangles(&triangles.ok_or(CastError::NoCorner { which })?, which)?;
            }
        }
        Ok(())
    }

    fn add_prisms(&mut self, polygons: &[Polygon], range: (f64, f64), which: u32) -> Result<(), CastError> {
        polygons.iter().try_for_each(|polygon| self.add_prism(&rings_of(polygon), range, which))
    }

    fn add_area(&mut self, area: &Area, lift: f64, which: u32) -> Result<(), CastError> {
        for polygon in &area.polygons {
            let rings = rings_of(polygon);
            let vertices: Vec<DVec3> = rings.iter().flat_map(|ring| ring.iter().copied()).collect();
            let Some(first) = vertices.first() else { continue };
            if vertices.len() <= MOST_EDGES && vertices.iter().all(|v| v.z == first.z) {
                self.add_prism(&rings, (first.z + lift, first.z + lift), which)?;
                continue;
            }
            let mut holes: Vec<u32> = Vec::new();
            let mut count = polygon.outer.len();
            for hole in &polygon.holes {
                holes.push(count as u32);
                count += hole.len();
            }
            let mut indices: Vec<u32> = Vec::new();
            let places = vertices.iter().map(|v| (v.truncate() - first.truncate()).to_array());
            earcut::Earcut::new().earcut(places, &holes, &mut indices);
            let corner = |index: u32| vertices.get(index as usize).map(|v| *v + DVec3::Z * lift);
            let corners = indices.chunks_exact(3).map(|t| Some([corner(t[0])?, corner(t[1])?, corner(t[2])?]));
            self.add_triangles(&corners.flatten().collect::<Vec<_>>(), which)?;
        }
        Ok(())
    }

    fn add_tube(&mut self, tube: &Tube, lift: f64, which: u32) -> Result<(), CastError> {
        tube.axis.windows(2).try_for_each(|pair| {
            let ends = (pair[0] + DVec3::Z * lift, pair[1] + DVec3::Z * lift);
            match tube.section {
                Section::Circle { diameter_m } => self.add_solid(Solid::capsule(ends, diameter_m * 0.5, which)),
                Section::Rect { width_m, height_m } => {
                    Solid::duct(ends, width_m, height_m, which).map_or(Ok(()), |duct| self.add_solid(duct))
                }
            }
        })
    }

    /// Upright bodies along a path.
    fn add_walls(&mut self, path: &[DVec3], width_m: f64, range: (f64, f64), which: u32) -> Result<(), CastError> {
        path.windows(2).try_for_each(|pair| self.add_prism(&[&strip(pair[0], pair[1], width_m)], range, which))
    }

    fn add_ribbons(&mut self, line: &Line, lift: f64, which: u32) -> Result<(), CastError> {
        line.paths.iter().flat_map(|path| path.windows(2)).try_for_each(|pair| {
            let [a, b, c, d] = strip(pair[0], pair[1], line.width_m).map(|v| v + DVec3::Z * lift);
            self.add_triangles(&[[a, b, c], [a, c, d]], which)
        })
    }
}

fn rings_of(polygon: &Polygon) -> Vec<&[DVec3]> {
    std::iter::once(&polygon.outer).chain(&polygon.holes).map(Vec::as_slice).collect()
}

/// The strip over a segment, level across.
fn strip(a: DVec3, b: DVec3, width_m: f64) -> [DVec3; 4] {
    let side = (b - a).truncate().perp().normalize_or_zero().extend(0.0) * (width_m * 0.5);
    [a - side, b - side, b + side, a + side]
}
