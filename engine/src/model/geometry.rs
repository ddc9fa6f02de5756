//! Shapes in the city's frame. A shape is what was surveyed or designed; pictures are derived from it.

use glam::{DVec2, DVec3};
use serde::{Deserialize, Serialize};

use super::{Extent, Texture};

/// How z is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Vertical {
    /// z is a height in the city's vertical datum.
    Absolute,
    /// z is metres above (below when negative) the terrain; the source had no height.
    AboveTerrain,
}

/// Polygon in plan: outer ring counter-clockwise, holes clockwise, no ring repeats its first vertex.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Polygon {
    /// Outer ring.
    pub outer: Vec<DVec3>,
    /// Holes.
    pub holes: Vec<Vec<DVec3>>,
}

/// A place without size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Where.
    pub at: DVec3,
    /// How z is to be read.
    pub vertical: Vertical,
}

/// A line on or above the ground, such as a road's centre line; several paths when the source is a multi-line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Vertices of each path.
    pub paths: Vec<Vec<DVec3>>,
    /// How z is to be read.
    pub vertical: Vertical,
    /// Width to draw, metres; 0 when it has none.
    pub width_m: f64,
}

/// A surface in plan: water, park, road area, district.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// Its polygons.
    pub polygons: Vec<Polygon>,
    /// How z is to be read.
    pub vertical: Vertical,
}

/// Shape of a roof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Roof {
    /// Flat, with parapet.
    Flat,
    /// Two slopes.
    Gable,
    /// Slopes on all sides.
    Hip,
}

/// A footprint raised to a height: what a city knows of most of its buildings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Footprint; z of the vertices is not used.
    pub footprint: Vec<Polygon>,
    /// Height of the base in the vertical datum; `None` = stands on the terrain.
    pub base_m: Option<f64>,
    /// From base to the top of the roof, metres, above 0.
    pub height_m: f64,
    /// Where the body begins, metres above the base, below `height_m`; 0 for what stands on its base, more for a part
    /// over a passage or a bridge between two towers.
    #[serde(default)]
    pub lift_m: f64,
    /// Storeys above ground, where known.
    pub storeys: Option<u16>,
    /// Roof, where known.
    pub roof: Option<Roof>,
}

/// Cross section of a pipe, duct, gallery or tunnel, outer measures in metres.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Section {
    /// Round.
    Circle {
        /// Outer diameter.
        diameter_m: f64,
    },
    /// Rectangular: duct bank, culvert, gallery.
    Rect {
        /// Horizontal outer width.
        width_m: f64,
        /// Vertical outer height.
        height_m: f64,
    },
}

impl Section {
    /// Largest outer measure, metres.
    pub fn size_m(&self) -> f64 {
        match *self {
            Section::Circle { diameter_m } => diameter_m,
            Section::Rect { width_m, height_m } => width_m.max(height_m),
        }
    }

    /// Vertical outer measure, metres.
    pub fn height_m(&self) -> f64 {
        match *self {
            Section::Circle { diameter_m } => diameter_m,
            Section::Rect { height_m, .. } => height_m,
        }
    }
}

/// A centre line with a section: pipe, duct, gallery, tunnel. The picture of it is derived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tube {
    /// Centre line of the section, at least two vertices.
    pub axis: Vec<DVec3>,
    /// How z is to be read.
    pub vertical: Vertical,
    /// Cross section.
    pub section: Section,
    /// Node at the start, as the source names it.
    pub from: Option<String>,
    /// Node at the end.
    pub to: Option<String>,
}

/// An upright hole in the ground: manhole, well, borehole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shaft {
    /// Middle of the cover, on the ground.
    pub top: DVec3,
    /// How z of `top` is to be read.
    pub vertical: Vertical,
    /// Depth of the bottom below `top`, metres.
    pub depth_m: f64,
    /// Diameter, metres.
    pub diameter_m: f64,
}

/// Models that are drawn many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum InstanceModel {
    /// Tree with a round crown.
    BroadleafTree,
    /// Tree with a pointed crown.
    ConiferTree,
    /// Street lamp with one arm.
    Lamp,
    /// Valve box.
    Valve,
    /// Fire hydrant.
    Hydrant,
    /// Bend, tee or other joint of a pipe: a ball a little thicker than the pipe.
    Joint,
    /// Anything else with a place and a height.
    Marker,
}

/// One of many equal things.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Foot of it.
    pub at: DVec3,
    /// How z is to be read.
    pub vertical: Vertical,
    /// What is drawn.
    pub model: InstanceModel,
    /// Height, metres.
    pub height_m: f64,
    /// Width (crown, arm span), metres.
    pub width_m: f64,
    /// Turn about z, radians, counter-clockwise from east.
    pub yaw: f64,
}

/// Triangles of one colour or of one picture, relative to the origin of their mesh.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct MeshPart {
    /// Vertices, metres from the mesh's origin.
    pub positions: Vec<DVec3>,
    /// Three indices a triangle, counter-clockwise from outside.
    pub indices: Vec<u32>,
    /// Colour, sRGB with alpha; of a part with a picture, what is shown where the picture cannot be.
    pub rgba: [u8; 4],
    /// Places in the picture, one a vertex: 0 to 1 from its left and from its top, beyond them it repeats. Empty when
    /// there is none.
    #[serde(default)]
    pub uvs: Vec<[f32; 2]>,
    /// The picture.
    #[serde(default)]
    pub texture: Option<Texture>,
}

/// A modelled shape, such as a product of a BIM.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Mesh {
    /// Where the parts' coordinates start.
    pub origin: DVec3,
    /// Its parts.
    pub parts: Vec<MeshPart>,
}

/// Some points of a scan. A scan is emitted as many batches under one object id.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct PointBatch {
    /// Positions.
    pub positions: Vec<DVec3>,
    /// Colour of each point, sRGB; empty when the scan has none.
    pub colours: Vec<[u8; 3]>,
    /// Intensity of each point as recorded; empty when the scan has none.
    pub intensities: Vec<u16>,
    /// ASPRS classification of each point; empty when the scan has none.
    pub classes: Vec<u8>,
}

/// Heights on a regular grid: a block of a DEM. A DEM is emitted as one or more grids under one object id.
/// Row 0 is the northernmost row; sample (column, row) lies at `north_west + (column, -row) * step_m`.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct HeightGrid {
    /// Place of the first sample.
    pub north_west: DVec2,
    /// Distance between samples, metres, x and y, both above 0.
    pub step_m: DVec2,
    /// Samples in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// Heights in the vertical datum, row by row; NaN = no data.
    pub heights: Vec<f32>,
}

/// A picture of the ground from above, axes along the city's. Row 0 is the northernmost row.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Picture {
    /// Outer corner of the first pixel.
    pub north_west: DVec2,
    /// Size of a pixel, metres.
    pub step_m: DVec2,
    /// Pixels in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
    /// Three bytes a pixel, sRGB.
    pub rgb: Vec<u8>,
}

/// The shape of a city object.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub enum Geometry {
    /// No shape of its own.
    #[default]
    None,
    /// A place.
    Point(Point),
    /// A line on the surface.
    Line(Line),
    /// A surface in plan.
    Area(Area),
    /// A raised footprint.
    Block(Block),
    /// A centre line with a section.
    Tube(Tube),
    /// An upright hole.
    Shaft(Shaft),
    /// One of many equal things.
    Instance(Instance),
    /// A modelled shape.
    Mesh(Mesh),
    /// Part of a scan.
    Points(PointBatch),
    /// Part of a DEM.
    Heights(HeightGrid),
    /// A picture of the ground.
    Picture(Picture),
}

impl Geometry {
    /// The box around the shape. Where z is read above terrain, z of the box is relative to the terrain.
    pub fn extent(&self) -> Extent {
        match self {
            Geometry::None => Extent::EMPTY,
            Geometry::Point(point) => Extent::around([point.at]),
            Geometry::Line(line) => {
                let mut extent = Extent::around(line.paths.iter().flatten().copied());
                let half = DVec3::new(line.width_m, line.width_m, 0.0) * 0.5;
                if !extent.is_empty() {
                    extent.min -= half;
                    extent.max += half;
                }
                extent
            }
            Geometry::Area(area) => Extent::around(area.polygons.iter().flat_map(|p| p.outer.iter().copied())),
            Geometry::Block(block) => {
                let base = block.base_m.unwrap_or(0.0);
                let flat = block.footprint.iter().flat_map(|p| p.outer.iter());
                let mut extent = Extent::around(flat.map(|v| v.truncate().extend(base + block.lift_m)));
                if !extent.is_empty() {
                    extent.max.z = base + block.height_m;
                }
                extent
            }
            Geometry::Tube(tube) => {
                let mut extent = Extent::around(tube.axis.iter().copied());
                if !extent.is_empty() {
                    let half = DVec3::splat(tube.section.size_m() * 0.5);
                    extent.min -= half;
                    extent.max += half;
                }
                extent
            }
            Geometry::Shaft(shaft) => {
                let radius = DVec3::new(shaft.diameter_m, shaft.diameter_m, 0.0) * 0.5;
                let bottom = shaft.top - DVec3::Z * shaft.depth_m;
                Extent { min: bottom - radius, max: shaft.top + radius }
            }
            Geometry::Instance(instance) => {
                let half = DVec3::new(instance.width_m, instance.width_m, 0.0) * 0.5;
                Extent { min: instance.at - half, max: instance.at + half + DVec3::Z * instance.height_m }
            }
            Geometry::Mesh(mesh) => {
                Extent::around(mesh.parts.iter().flat_map(|p| p.positions.iter().map(|v| mesh.origin + *v)))
            }
            Geometry::Points(batch) => Extent::around(batch.positions.iter().copied()),
            Geometry::Heights(grid) => grid.extent(),
            Geometry::Picture(picture) => {
                let size = DVec2::new(f64::from(picture.columns), f64::from(picture.rows)) * picture.step_m;
                Extent {
                    min: DVec3::new(picture.north_west.x, picture.north_west.y - size.y, 0.0),
                    max: DVec3::new(picture.north_west.x + size.x, picture.north_west.y, 0.0),
                }
            }
        }
    }
}

impl HeightGrid {
    /// The box around the samples that hold data in z, around all samples in plan.
    pub fn extent(&self) -> Extent {
        let span = DVec2::new(f64::from(self.columns.max(1) - 1), f64::from(self.rows.max(1) - 1)) * self.step_m;
        let (low, high) = self
            .heights
            .iter()
            .filter(|h| h.is_finite())
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), h| (low.min(*h), high.max(*h)));
        Extent {
            min: DVec3::new(self.north_west.x, self.north_west.y - span.y, f64::from(low)),
            max: DVec3::new(self.north_west.x + span.x, self.north_west.y, f64::from(high)),
        }
    }

    /// Height at `place` by bilinear interpolation; `None` outside the grid or beside missing samples.
    pub fn height_at(&self, place: DVec2) -> Option<f64> {
        let at = |c: usize, r: usize| self.heights[r * self.columns as usize + c];
        interpolate(place, self.north_west, self.step_m, (self.columns, self.rows), at)
    }
}

/// [`HeightGrid::height_at`] of a grid whose samples are fetched by `sample(column, row)`.
pub(crate) fn interpolate(
    place: DVec2,
    north_west: DVec2,
    step_m: DVec2,
    (columns, rows): (u32, u32),
    sample: impl Fn(usize, usize) -> f32,
) -> Option<f64> {
    if columns < 2 || rows < 2 {
        return None;
    }
    let column = (place.x - north_west.x) / step_m.x;
    let row = (north_west.y - place.y) / step_m.y;
    let (last_column, last_row) = (f64::from(columns - 1), f64::from(rows - 1));
    if !(0.0..=last_column).contains(&column) || !(0.0..=last_row).contains(&row) {
        return None;
    }
    let (c, r) = (column.floor().min(last_column - 1.0), row.floor().min(last_row - 1.0));
    let (u, v) = (column - c, row - r);
    // A missing sample only matters where it has weight: on the grid's own lines its neighbours do not.
    let at = |c: f64, r: f64| f64::from(sample(c as usize, r as usize));
    let between = |a: f64, b: f64, share: f64| match share {
        s if s <= 0.0 => a,
        s if s >= 1.0 => b,
        s => a * (1.0 - s) + b * s,
    };
    let north = between(at(c, r), at(c + 1.0, r), u);
    let south = between(at(c, r + 1.0), at(c + 1.0, r + 1.0), u);
    let height = between(north, south, v);
    height.is_finite().then_some(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_interpolates_between_its_samples_and_says_nothing_outside() {
        let grid = HeightGrid {
            north_west: DVec2::new(100.0, 200.0),
            step_m: DVec2::new(10.0, 10.0),
            columns: 3,
            rows: 2,
            heights: vec![0.0, 10.0, f32::NAN, 20.0, 30.0, 40.0],
        };
        assert_eq!(grid.height_at(DVec2::new(100.0, 200.0)), Some(0.0));
        assert_eq!(grid.height_at(DVec2::new(105.0, 195.0)), Some(15.0));
        assert_eq!(grid.height_at(DVec2::new(110.0, 190.0)), Some(30.0));
        assert_eq!(grid.height_at(DVec2::new(119.0, 199.0)), None, "beside a hole");
        assert_eq!(grid.height_at(DVec2::new(99.0, 195.0)), None);
        assert_eq!(grid.extent().max, DVec3::new(120.0, 200.0, 40.0));
    }
}
