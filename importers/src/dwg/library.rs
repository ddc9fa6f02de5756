//! The library that decodes DWG, and its entities as those of the DXF reader.

use std::io::Cursor;

use acadrust::{
    CadDocument, DwgReadOptions, DwgReader, ReadStage,
    entities::{
        BoundaryEdge, BoundaryPath, EntityType, Hatch, Insert as LibraryInsert, TextHorizontalAlignment,
        TextVerticalAlignment,
    },
    io::read::ReadStats,
    tables::BlockRecord,
    types::{Vector2, Vector3},
    xdata::{ExtendedData, XDataValue},
};
use glam::{DVec3, DVec4};

use crate::{
    dxf::{
        MAX_ATTRIBUTES,
        curve::{Spline, arc, bulged, ellipse, fitted, sweep},
        entity::{
            Body, Copies, Entity, Insert, MAX_APPLICATIONS, axes_of, closing_shape, ellipse_shape, grid_faces, keep,
            line_shape, path_shape, plain, polyface, ring_shape,
        },
        hatch::{MAX_PATHS, arc_edge, area, join},
    },
    feature::Shape,
};

/// Bytes that the sections of a drawing may be unpacked to.
const MAX_UNPACKED_BYTES: usize = 2 << 30;
/// Faults that are named one by one.
const MAX_FAULTS: usize = 1000;

/// A drawing as the library read it.
pub(super) struct Document {
    document: CadDocument,
    stats: ReadStats,
}

/// A block as it stands in the drawing.
pub(super) struct FoundBlock<'d> {
    pub name: String,
    pub base: DVec3,
    pub entities: Box<dyn Iterator<Item = Found> + 'd>,
}

/// What an entity of the drawing is for us.
pub(super) enum Found {
    Entity(Box<Entity>),
    /// Ends and definitions that are no thing of the city.
    Structure,
    /// Of a kind that is not read.
    Unknown(String),
    /// Handle and reason.
    Faulty(String, String),
}

impl Document {
    /// Reads a drawing. What is whole in a damaged one is kept where its records can be told apart.
    pub fn read(content: &[u8]) -> Result<Self, String> {
        let options = DwgReadOptions::failsafe().with_max_decompressed_bytes(MAX_UNPACKED_BYTES);
        let mut reader = DwgReader::from_stream_with_options(Cursor::new(content), options);
        let outcome = reader.read_with_stats().map_err(|error| error.to_string())?;
        let (document, stats) = (outcome.document, outcome.stats);
        let fatal = stats.diagnostics.iter().find(|d| {
            matches!(d.stage, ReadStage::FileHeader | ReadStage::Handles | ReadStage::Objects | ReadStage::Section)
        });
        match fatal {
            Some(fault) => Err(format!("{}: {}", fault.stage, fault.message)),
            None if !stats.record_stream_read => Err("its objects cannot be found".into()),
            None => Ok(Self { document, stats }),
        }
    }

    /// `$EXTMIN`, `$EXTMAX` in plan.
    pub fn extent(&self) -> Option<[f64; 4]> {
        let header = &self.document.header;
        let (min, max) = (header.model_space_extents_min, header.model_space_extents_max);
        let corners = [min.x, min.y, max.x, max.y];
        let is_box = min.x <= max.x && min.y <= max.y && corners.iter().all(|c| c.abs() < 1e12);
        is_box.then_some(corners)
    }

    /// `$INSUNITS`.
    pub fn unit(&self) -> i64 {
        self.document.header.insertion_units.into()
    }

    /// Records that could not be decoded.
    pub fn faults(&self) -> impl Iterator<Item = (u64, String)> {
        let named = self.stats.diagnostics.iter().filter(|d| d.code != "auxiliary-object-preserved").take(MAX_FAULTS);
        let named = named.map(|d| {
            let handle = d.record_handle.map(|handle| format!("{handle:X} ")).unwrap_or_default();
            (0, format!("object {handle}{}: {}", d.record_type.as_deref().unwrap_or(""), d.message))
        });
        let missing = self.stats.skipped_source_records.saturating_sub(self.stats.diagnostics.len());
        named.chain((missing > 0).then(|| (0, format!("{missing} more objects could not be decoded"))))
    }

    /// Blocks that can be inserted.
    pub fn blocks(&self) -> impl Iterator<Item = FoundBlock<'_>> {
        self.document.block_records.iter().filter(|block| !is_layout(block)).map(|block| {
            // releases keep it in either place
            let base = match self.document.get_entity(block.block_entity_handle) {
                Some(EntityType::Block(marker)) if block.base_point == Vector3::ZERO => marker.base_point,
                _ => block.base_point,
            };
            FoundBlock { name: block.name.clone(), base: place(base), entities: Box::new(self.of(block)) }
        })
    }

    /// What is drawn.
    pub fn model_space(&self) -> impl Iterator<Item = Found> {
        self.document.model_space_entities().map(found)
    }

    /// Entities of layouts.
    pub fn papers(&self) -> usize {
        let layouts = self.document.block_records.iter().filter(|block| is_layout(block) && !is_model(block));
        let entities =
            layouts.flat_map(|block| block.entity_handles.iter()).filter_map(|h| self.document.get_entity(*h));
        entities.filter(|entity| !matches!(entity, EntityType::Viewport(_))).count()
    }

    fn of<'d>(&'d self, block: &'d BlockRecord) -> impl Iterator<Item = Found> + 'd {
        block.entity_handles.iter().filter_map(|handle| self.document.get_entity(*handle)).map(found)
    }
}

fn is_model(block: &BlockRecord) -> bool {
    block.name.eq_ignore_ascii_case("*Model_Space")
}

fn is_layout(block: &BlockRecord) -> bool {
    is_model(block) || block.name.to_ascii_lowercase().starts_with("*paper_space")
}

fn place(v: Vector3) -> DVec3 {
    DVec3::new(v.x, v.y, v.z)
}

fn flat(v: Vector2, z: f64) -> DVec3 {
    DVec3::new(v.x, v.y, z)
}

fn found(entity: &EntityType) -> Found {
    let common = entity.common();
    let handle = format!("{:X}", common.handle.value());
    match body(entity) {
        Ok(Some((kind, body))) if is_finite(&body) => Found::Entity(Box::new(Entity {
            kind: kind.into(),
            layer: if common.layer.is_empty() { "0".into() } else { common.layer.clone() },
            handle: (common.handle.value() != 0).then_some(handle),
            data: extended(&common.extended_data),
            body,
        })),
        Ok(Some(_)) => Found::Faulty(handle, "coordinates that are no numbers".into()),
        Ok(None) => match entity {
            EntityType::Block(_)
            | EntityType::BlockEnd(_)
            | EntityType::Seqend(_)
            | EntityType::Viewport(_)
            | EntityType::AttributeDefinition(_)
            | EntityType::AttributeEntity(_) => Found::Structure,
            other => Found::Unknown(other.as_entity().entity_type().to_ascii_uppercase()),
        },
        Err(reason) => Found::Faulty(handle, reason),
    }
}

fn is_finite(body: &Body) -> bool {
    match body {
        Body::Shape(shape) => shape.vertices().iter().all(|v| v.is_finite()),
        Body::Text { at, .. } => at.is_finite(),
        Body::Faces(faces) => faces.iter().flatten().all(|v| v.is_finite()),
        Body::Insert(insert) => insert.places.iter().all(|p| p.is_finite()),
    }
}

/// The entity's name in DXF and its shape; `None` where it is not read.
fn body(entity: &EntityType) -> Result<Option<(&'static str, Body)>, String> {
    let shape = |kind, shape| Ok(Some((kind, Body::Shape(shape))));
    match entity {
        EntityType::Point(point) => {
            let at = place(point.location);
            shape("POINT", Shape { points: vec![at], has_z: at.z != 0.0, ..Shape::default() })
        }
        EntityType::Line(line) => shape("LINE", line_shape(vec![place(line.start), place(line.end)])),
        EntityType::Circle(circle) => {
            let ring = arc(place(circle.center), radius(circle.radius)?, 0.0, std::f64::consts::TAU);
            shape("CIRCLE", ring_shape(ring, axes_of(place(circle.normal))?))
        }
        EntityType::Arc(a) => {
            let (axes, whole) = (axes_of(place(a.normal))?, sweep(a.start_angle, a.end_angle));
            let path = arc(place(a.center), radius(a.radius)?, a.start_angle, whole);
            shape("ARC", line_shape(path.into_iter().map(|v| axes * v).collect()))
        }
        EntityType::Ellipse(e) => {
            let range = (e.start_parameter, e.end_parameter);
            let made = ellipse_shape(place(e.center), place(e.major_axis), e.minor_axis_ratio, place(e.normal), range);
            shape("ELLIPSE", made?)
        }
        EntityType::Spline(s) => {
            if s.control_points.is_empty() && s.fit_points.len() > 1 {
                let fits: Vec<_> = s.fit_points.iter().map(|v| place(*v)).collect();
                let tangent = |v: Vector3| Some(place(v)).filter(|v| *v != DVec3::ZERO);
                let path = fitted(&fits, tangent(s.begin_tangent), tangent(s.end_tangent))?;
                return shape("SPLINE by its fit points", closing_shape(path, false));
            }
            let spline = Spline {
                degree: usize::try_from(s.degree).unwrap_or(0),
                knots: s.knots.clone(),
                controls: s.control_points.iter().map(|v| place(*v)).collect(),
                weights: if s.weights.len() == s.control_points.len() { s.weights.clone() } else { Vec::new() },
            };
            shape("SPLINE", closing_shape(spline.path()?, s.flags.closed))
        }
        EntityType::LwPolyline(line) => {
            let vertices: Vec<_> = line.vertices.iter().map(|v| (flat(v.location, line.elevation), v.bulge)).collect();
            shape("LWPOLYLINE", path_shape(&vertices, line.is_closed, axes_of(place(line.normal))?)?)
        }
        EntityType::Polyline2D(line) => {
            let drawn = line.vertices.iter().filter(|v| v.flags.bits() & 16 == 0);
            let vertices: Vec<_> =
                drawn.map(|v| (place(v.location).truncate().extend(line.elevation), v.bulge)).collect();
            shape("POLYLINE", path_shape(&vertices, line.flags.is_closed(), axes_of(place(line.normal))?)?)
        }
        EntityType::Polyline(line) => {
            let drawn = line.vertices.iter().filter(|v| v.flags.bits() & 16 == 0);
            let vertices: Vec<_> = drawn.map(|v| (place(v.location), 0.0)).collect();
            shape("POLYLINE", path_shape(&vertices, line.flags.is_closed(), glam::DMat3::IDENTITY)?)
        }
        EntityType::Polyline3D(line) => {
            let drawn = line.vertices.iter().filter(|v| v.flags & 16 == 0);
            let vertices: Vec<_> = drawn.map(|v| (place(v.position), 0.0)).collect();
            shape("POLYLINE", path_shape(&vertices, line.flags.closed, glam::DMat3::IDENTITY)?)
        }
        EntityType::PolygonMesh(mesh) => {
            let drawn = mesh.vertices.iter().filter(|v| v.flags & 16 == 0);
            let places: Vec<_> = drawn.map(|v| place(v.location)).collect();
            let (m, n) = match mesh.m_smooth_density {
                density if density > 0 && mesh.vertices.iter().any(|v| v.flags & 8 != 0) => {
                    (density, mesh.n_smooth_density)
                }
                _ => (mesh.m_vertex_count, mesh.n_vertex_count),
            };
            let count = |count: i16| usize::try_from(count).unwrap_or(0);
            let flags = mesh.flags.bits();
            let grid = [(count(m), flags & 1 != 0), (count(n), flags & 32 != 0)];
            Ok(Some(("POLYLINE", Body::Faces(grid_faces(grid, &places)?))))
        }
        EntityType::PolyfaceMesh(mesh) => {
            let places: Vec<_> = mesh.vertices.iter().map(|v| place(v.location)).collect();
            let faces: Vec<[i64; 4]> =
                mesh.faces.iter().map(|f| [f.index1, f.index2, f.index3, f.index4].map(i64::from)).collect();
            Ok(Some(("POLYLINE", Body::Faces(polyface(&faces, &places)?))))
        }
        EntityType::Face3D(face) => {
            let mut corners = vec![
                place(face.first_corner),
                place(face.second_corner),
                place(face.third_corner),
                place(face.fourth_corner),
            ];
            corners.dedup();
            match corners.len() {
                0..=2 => Err("a face with fewer than three corners".into()),
                _ => Ok(Some(("3DFACE", Body::Faces(vec![corners])))),
            }
        }
        EntityType::Solid(solid) => {
            let mut ring =
                [solid.first_corner, solid.second_corner, solid.fourth_corner, solid.third_corner].map(place).to_vec();
            ring.dedup();
            if ring.len() < 3 {
                return Err("fewer than three corners".into());
            }
            shape(if solid.is_trace { "TRACE" } else { "SOLID" }, ring_shape(ring, axes_of(place(solid.normal))?))
        }
        EntityType::Hatch(hatch) => shape("HATCH", hatch_shape(hatch)?),
        EntityType::Text(text) => {
            let is_plain = text.horizontal_alignment == TextHorizontalAlignment::Left
                && text.vertical_alignment == TextVerticalAlignment::Baseline;
            let at = if is_plain { None } else { text.alignment_point }.unwrap_or(text.insertion_point);
            let at = axes_of(place(text.normal))? * place(at);
            Ok(Some(("TEXT", Body::Text { at, text: text.value.trim().to_owned() })))
        }
        EntityType::MText(text) => {
            Ok(Some(("MTEXT", Body::Text { at: place(text.insertion_point), text: plain(&text.value) })))
        }
        EntityType::Insert(found) => Ok(Some(("INSERT", Body::Insert(Box::new(insert(found)?))))),
        _ => Ok(None),
    }
}

fn radius(radius: f64) -> Result<f64, String> {
    if radius > 0.0 { Ok(radius) } else { Err("no radius above 0".into()) }
}

fn insert(found: &LibraryInsert) -> Result<Insert, String> {
    if found.block_name.is_empty() {
        return Err("an insert of no block".into());
    }
    let copies = Copies {
        at: place(found.insert_point),
        scale: DVec3::new(found.x_scale(), found.y_scale(), found.z_scale()),
        turn: found.rotation,
        axes: axes_of(place(found.normal))?,
        columns: found.column_count.into(),
        rows: found.row_count.into(),
        spacing: (found.column_spacing, found.row_spacing),
    };
    let attributes = found.attributes.iter().take(MAX_ATTRIBUTES).map(|a| (a.tag.clone(), a.value.clone())).collect();
    Ok(Insert { block: found.block_name.clone(), places: copies.places()?, attributes })
}

fn hatch_shape(hatch: &Hatch) -> Result<Shape, String> {
    if hatch.paths.len() > MAX_PATHS {
        return Err(format!("{} outlines (at most {MAX_PATHS})", hatch.paths.len()));
    }
    let mut rings = Vec::with_capacity(hatch.paths.len());
    for path in &hatch.paths {
        let ring = ring(path, hatch.elevation)?;
        if ring.len() >= 3 {
            rings.push(ring);
        }
    }
    area(&rings, axes_of(place(hatch.normal))?)
}

fn ring(path: &BoundaryPath, z: f64) -> Result<Vec<DVec3>, String> {
    let mut ring = Vec::new();
    for edge in &path.edges {
        let edge = match edge {
            BoundaryEdge::Line(line) => vec![flat(line.start, z), flat(line.end, z)],
            BoundaryEdge::CircularArc(a) => {
                arc_edge(flat(a.center, z), radius(a.radius)?, (a.start_angle, a.end_angle), a.counter_clockwise)
            }
            BoundaryEdge::EllipticArc(e) => {
                let axis = flat(e.major_axis_endpoint, 0.0);
                let minor = axis.truncate().perp().extend(0.0) * e.minor_axis_ratio;
                let whole = sweep(e.start_angle, e.end_angle);
                let turn = if e.counter_clockwise { 1.0 } else { -1.0 };
                ellipse(flat(e.center, z), axis, minor, turn * e.start_angle, turn * whole)
            }
            BoundaryEdge::Spline(s) => {
                let points: Vec<DVec4> = s.control_points.iter().map(|v| DVec4::new(v.x, v.y, z, v.z)).collect();
                let spline = Spline {
                    degree: usize::try_from(s.degree).unwrap_or(0),
                    knots: s.knots.clone(),
                    controls: points.iter().map(|p| p.truncate()).collect(),
                    weights: if s.rational { points.iter().map(|p| p.w).collect() } else { Vec::new() },
                };
                spline.path()?
            }
            BoundaryEdge::Polyline(line) => {
                let vertices: Vec<_> = line.vertices.iter().map(|v| (DVec3::new(v.x, v.y, z), v.z)).collect();
                bulged(&vertices, true)
            }
        };
        join(&mut ring, edge);
    }
    Ok(ring)
}

/// Extended data: for each application what it keeps, as text.
fn extended(found: &ExtendedData) -> Vec<(String, String)> {
    let mut data = Vec::new();
    for record in found.records().iter().take(MAX_APPLICATIONS) {
        let mut kept = String::new();
        for value in &record.values {
            match value {
                XDataValue::String(text) | XDataValue::LayerName(text) => keep(&mut kept, text.trim()),
                XDataValue::Handle(handle) => keep(&mut kept, &format!("{:X}", handle.value())),
                XDataValue::Real(n) | XDataValue::Distance(n) | XDataValue::ScaleFactor(n) => {
                    keep(&mut kept, &n.to_string());
                }
                XDataValue::Integer16(n) => keep(&mut kept, &n.to_string()),
                XDataValue::Integer32(n) => keep(&mut kept, &n.to_string()),
                _ => {}
            }
        }
        if !record.application_name.is_empty() && !kept.is_empty() {
            data.push((record.application_name.clone(), kept));
        }
    }
    data
}
