//! The lossless form of a geometry: the `shape` column.
//!
//! One byte of format version, one byte of kind, then the fields of the model in their order, little-endian.
//! Meshes and scans are kept in their tiles alone; their kind is written, their vertices are not.

use glam::DVec2;

use super::bytes::{Broken, Sink, Source};
use crate::model::{
    Area, Block, Geometry, HeightGrid, Instance, InstanceModel, Line, Picture, Point, Polygon, Roof, Section, Shaft,
    Tube, Vertical,
};

/// First byte of a shape.
const FORMAT: u8 = 1;
/// First byte of a block that begins above its base: its fields and then the lift. A reader that knows format 1 alone
/// refuses it instead of drawing it down to the ground.
const FORMAT_LIFTED: u8 = 2;

/// Most pixels of a picture that is read back: 2³⁰ are 3 GiB.
const MOST_PIXELS: u64 = 1 << 30;

/// Which shape an object has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    None,
    Point,
    Line,
    Area,
    Block,
    Tube,
    Shaft,
    Instance,
    Mesh,
    Points,
    Heights,
    Picture,
}

impl Kind {
    pub(crate) const ALL: [Kind; 12] = [
        Kind::None,
        Kind::Point,
        Kind::Line,
        Kind::Area,
        Kind::Block,
        Kind::Tube,
        Kind::Shaft,
        Kind::Instance,
        Kind::Mesh,
        Kind::Points,
        Kind::Heights,
        Kind::Picture,
    ];

    pub(crate) fn of(geometry: &Geometry) -> Self {
        match geometry {
            Geometry::None => Kind::None,
            Geometry::Point(_) => Kind::Point,
            Geometry::Line(_) => Kind::Line,
            Geometry::Area(_) => Kind::Area,
            Geometry::Block(_) => Kind::Block,
            Geometry::Tube(_) => Kind::Tube,
            Geometry::Shaft(_) => Kind::Shaft,
            Geometry::Instance(_) => Kind::Instance,
            Geometry::Mesh(_) => Kind::Mesh,
            Geometry::Points(_) => Kind::Points,
            Geometry::Heights(_) => Kind::Heights,
            Geometry::Picture(_) => Kind::Picture,
        }
    }

    /// The word in the `shape_kind` column.
    pub(crate) fn word(self) -> &'static str {
        ["none", "point", "line", "area", "block", "tube", "shaft", "instance", "mesh", "points", "heights", "picture"]
            [self as usize]
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.word() == word)
    }

    /// Whether the shape is only in the layer's tiles.
    pub(crate) fn is_in_tiles_only(self) -> bool {
        matches!(self, Kind::Mesh | Kind::Points)
    }

    /// Whether an object may be delivered as several such parts under one id.
    pub(crate) fn has_parts(self) -> bool {
        matches!(self, Kind::Points | Kind::Heights | Kind::Picture)
    }
}

/// Whether z of the shape counts from the terrain.
pub(crate) fn stands_on_terrain(geometry: &Geometry) -> bool {
    let vertical = match geometry {
        Geometry::Point(p) => p.vertical,
        Geometry::Line(l) => l.vertical,
        Geometry::Area(a) => a.vertical,
        Geometry::Block(b) => return b.base_m.is_none(),
        Geometry::Tube(t) => t.vertical,
        Geometry::Shaft(s) => s.vertical,
        Geometry::Instance(i) => i.vertical,
        _ => Vertical::Absolute,
    };
    vertical == Vertical::AboveTerrain
}

/// The shape as bytes; empty for none, for meshes and for scans.
pub(crate) fn encode(geometry: &Geometry) -> Result<Vec<u8>, Broken> {
    let kind = Kind::of(geometry);
    if kind == Kind::None || kind.is_in_tiles_only() {
        return Ok(Vec::new());
    }
    let format = match geometry {
        Geometry::Block(block) if block.lift_m != 0.0 => FORMAT_LIFTED,
        _ => FORMAT,
    };
    let mut out = Sink(vec![format, kind as u8]);
    match geometry {
        Geometry::None | Geometry::Mesh(_) | Geometry::Points(_) => {}
        Geometry::Point(point) => {
            out.u8(vertical_code(point.vertical));
            out.vec3(point.at);
        }
        Geometry::Line(line) => {
            out.u8(vertical_code(line.vertical));
            out.f64(line.width_m);
            out.count(line.paths.len());
            line.paths.iter().for_each(|path| out.vertices(path));
        }
        Geometry::Area(area) => {
            out.u8(vertical_code(area.vertical));
            put_polygons(&mut out, &area.polygons);
        }
        Geometry::Block(block) => {
            out.maybe_f64(block.base_m);
            out.f64(block.height_m);
            out.u32(block.storeys.map_or(u32::MAX, u32::from));
            out.u8(block.roof.map_or(0, |roof| roof as u8 + 1));
            put_polygons(&mut out, &block.footprint);
            if format == FORMAT_LIFTED {
                out.f64(block.lift_m);
            }
        }
        Geometry::Tube(tube) => {
            out.u8(vertical_code(tube.vertical));
            match tube.section {
                Section::Circle { diameter_m } => {
                    out.u8(0);
                    out.f64(diameter_m);
                }
                Section::Rect { width_m, height_m } => {
                    out.u8(1);
                    out.f64(width_m);
                    out.f64(height_m);
                }
            }
            out.maybe_text(tube.from.as_deref());
            out.maybe_text(tube.to.as_deref());
            out.vertices(&tube.axis);
        }
        Geometry::Shaft(shaft) => {
            out.u8(vertical_code(shaft.vertical));
            out.vec3(shaft.top);
            out.f64(shaft.depth_m);
            out.f64(shaft.diameter_m);
        }
        Geometry::Instance(instance) => {
            out.u8(vertical_code(instance.vertical));
            out.u8(instance.model as u8);
            out.vec3(instance.at);
            out.f64(instance.height_m);
            out.f64(instance.width_m);
            out.f64(instance.yaw);
        }
        Geometry::Heights(grid) => {
            out.vec2(grid.north_west);
            out.vec2(grid.step_m);
            out.u32(grid.columns);
            out.u32(grid.rows);
            if grid.heights.len() as u64 != u64::from(grid.columns) * u64::from(grid.rows) {
                return Err(Broken("a grid of heights has not as many samples as columns × rows"));
            }
            out.0.reserve(grid.heights.len() * 4);
            grid.heights.iter().for_each(|h| out.0.extend_from_slice(&h.to_le_bytes()));
        }
        Geometry::Picture(picture) => {
            out.vec2(picture.north_west);
            out.vec2(picture.step_m);
            out.u32(picture.columns);
            out.u32(picture.rows);
            out.0.extend(png_from_rgb(picture)?);
        }
    }
    Ok(out.0)
}

/// The geometry of `kind` from its bytes.
pub(crate) fn decode(kind: Kind, bytes: &[u8]) -> Result<Geometry, Broken> {
    if kind == Kind::None || kind.is_in_tiles_only() {
        return Ok(Geometry::None);
    }
    let mut from = Source(bytes);
    let format = from.u8()?;
    let is_known = format == FORMAT || (format == FORMAT_LIFTED && kind == Kind::Block);
    if !is_known || from.u8()? != kind as u8 {
        return Err(Broken("a shape of an unknown format or of another kind"));
    }
    Ok(match kind {
        Kind::None | Kind::Mesh | Kind::Points => Geometry::None,
        Kind::Point => Geometry::Point(Point { vertical: take_vertical(&mut from)?, at: from.vec3()? }),
        Kind::Line => {
            let (vertical, width_m) = (take_vertical(&mut from)?, from.f64()?);
            let n = from.count(4)?;
            let paths = (0..n).map(|_| from.vertices()).collect::<Result<_, _>>()?;
            Geometry::Line(Line { paths, vertical, width_m })
        }
        Kind::Area => {
            let vertical = take_vertical(&mut from)?;
            Geometry::Area(Area { polygons: take_polygons(&mut from)?, vertical })
        }
        Kind::Block => {
            let (base_m, height_m, storeys) = (from.maybe_f64()?, from.f64()?, from.u32()?);
            let roof = match from.u8()? {
                0 => None,
                1 => Some(Roof::Flat),
                2 => Some(Roof::Gable),
                3 => Some(Roof::Hip),
                _ => return Err(Broken("an unknown roof")),
            };
            let storeys = u16::try_from(storeys).ok();
            let footprint = take_polygons(&mut from)?;
            let lift_m = if format == FORMAT_LIFTED { from.f64()? } else { 0.0 };
            Geometry::Block(Block { footprint, base_m, height_m, lift_m, storeys, roof })
        }
        Kind::Tube => {
            let vertical = take_vertical(&mut from)?;
            let section = match from.u8()? {
                0 => Section::Circle { diameter_m: from.f64()? },
                1 => Section::Rect { width_m: from.f64()?, height_m: from.f64()? },
                _ => return Err(Broken("an unknown section")),
            };
            let (start, end) = (from.maybe_text()?, from.maybe_text()?);
            Geometry::Tube(Tube { axis: from.vertices()?, vertical, section, from: start, to: end })
        }
        Kind::Shaft => Geometry::Shaft(Shaft {
            vertical: take_vertical(&mut from)?,
            top: from.vec3()?,
            depth_m: from.f64()?,
            diameter_m: from.f64()?,
        }),
        Kind::Instance => Geometry::Instance(Instance {
            vertical: take_vertical(&mut from)?,
            model: take_model(&mut from)?,
            at: from.vec3()?,
            height_m: from.f64()?,
            width_m: from.f64()?,
            yaw: from.f64()?,
        }),
        Kind::Heights => {
            let (north_west, step_m) = (from.vec2()?, from.vec2()?);
            let (columns, rows) = (from.u32()?, from.u32()?);
            if from.0.len() as u64 != (u64::from(columns) * u64::from(rows)).saturating_mul(4) {
                return Err(Broken("a grid of heights is cut short"));
            }
            let heights = from.0.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            Geometry::Heights(HeightGrid { north_west, step_m, columns, rows, heights })
        }
        Kind::Picture => {
            let (north_west, step_m) = (from.vec2()?, from.vec2()?);
            let (columns, rows) = (from.u32()?, from.u32()?);
            let rgb = rgb_from_png(from.0, columns, rows)?;
            Geometry::Picture(Picture { north_west, step_m, columns, rows, rgb })
        }
    })
}

fn vertical_code(vertical: Vertical) -> u8 {
    match vertical {
        Vertical::Absolute => 0,
        Vertical::AboveTerrain => 1,
    }
}

fn take_vertical(from: &mut Source<'_>) -> Result<Vertical, Broken> {
    Ok(if from.flag()? { Vertical::AboveTerrain } else { Vertical::Absolute })
}

fn take_model(from: &mut Source<'_>) -> Result<InstanceModel, Broken> {
    use InstanceModel::{BroadleafTree, ConiferTree, Hydrant, Joint, Lamp, Marker, Valve};
    let models = [BroadleafTree, ConiferTree, Lamp, Valve, Hydrant, Joint, Marker];
    models.get(usize::from(from.u8()?)).copied().ok_or(Broken("an unknown model"))
}

fn put_polygons(out: &mut Sink, polygons: &[Polygon]) {
    out.count(polygons.len());
    for polygon in polygons {
        out.vertices(&polygon.outer);
        out.count(polygon.holes.len());
        polygon.holes.iter().for_each(|hole| out.vertices(hole));
    }
}

fn take_polygons(from: &mut Source<'_>) -> Result<Vec<Polygon>, Broken> {
    let n = from.count(8)?;
    (0..n)
        .map(|_| {
            let outer = from.vertices()?;
            let holes = from.count(4)?;
            Ok(Polygon { outer, holes: (0..holes).map(|_| from.vertices()).collect::<Result<_, _>>()? })
        })
        .collect()
}

fn png_from_rgb(picture: &Picture) -> Result<Vec<u8>, Broken> {
    use image::{
        ExtendedColorType, ImageEncoder,
        codecs::png::{CompressionType, FilterType, PngEncoder},
    };
    if picture.rgb.len() as u64 != u64::from(picture.columns) * u64::from(picture.rows) * 3 {
        return Err(Broken("a picture has not three bytes for each of its pixels"));
    }
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
        .write_image(&picture.rgb, picture.columns, picture.rows, ExtendedColorType::Rgb8)
        .map_err(|_| Broken("a picture cannot be written as PNG"))?;
    Ok(png)
}

fn rgb_from_png(png: &[u8], columns: u32, rows: u32) -> Result<Vec<u8>, Broken> {
    let pixels = u64::from(columns) * u64::from(rows);
    if pixels > MOST_PIXELS {
        return Err(Broken("a picture is too large"));
    }
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(columns), Some(rows));
    limits.max_alloc = Some(pixels * 4 + (64 << 20));
    let mut reader = image::ImageReader::with_format(std::io::Cursor::new(png), image::ImageFormat::Png);
    reader.limits(limits);
    let rgb = reader.decode().map_err(|_| Broken("a picture is no PNG"))?.into_rgb8();
    if rgb.dimensions() != (columns, rows) {
        return Err(Broken("a picture is not of the size it should be"));
    }
    Ok(rgb.into_raw())
}

/// Whether every number of the shape can be computed with; a grid may have holes (NaN).
pub(crate) fn is_finite(geometry: &Geometry) -> bool {
    let fine = |v: &[f64]| v.iter().all(|x| x.is_finite());
    let grid_fine = |corner: DVec2, step: DVec2| corner.is_finite() && step.is_finite() && step.min_element() > 0.0;
    let rings_fine = |polygons: &[Polygon]| {
        polygons.iter().all(|p| p.outer.iter().chain(p.holes.iter().flatten()).all(|v| v.is_finite()))
    };
    match geometry {
        Geometry::None => true,
        Geometry::Point(p) => p.at.is_finite(),
        Geometry::Line(l) => l.width_m.is_finite() && l.paths.iter().flatten().all(|v| v.is_finite()),
        Geometry::Area(a) => rings_fine(&a.polygons),
        // The plan is what counts: z of a footprint is not used and may be anything.
        Geometry::Block(b) => {
            fine(&[b.base_m.unwrap_or(0.0), b.height_m, b.lift_m])
                && b.footprint
                    .iter()
                    .flat_map(|p| p.outer.iter().chain(p.holes.iter().flatten()))
                    .all(|v| v.truncate().is_finite())
        }
        Geometry::Tube(t) => t.section.size_m().is_finite() && t.axis.iter().all(|v| v.is_finite()),
        Geometry::Shaft(s) => s.top.is_finite() && fine(&[s.depth_m, s.diameter_m]),
        Geometry::Instance(i) => i.at.is_finite() && fine(&[i.height_m, i.width_m, i.yaw]),
        Geometry::Mesh(m) => m.origin.is_finite() && m.parts.iter().all(|p| p.positions.iter().all(|v| v.is_finite())),
        Geometry::Points(b) => b.positions.iter().all(|v| v.is_finite()),
        Geometry::Heights(g) => grid_fine(g.north_west, g.step_m),
        Geometry::Picture(p) => grid_fine(p.north_west, p.step_m),
    }
}
