//! Entities of a drawing as shapes, in the coordinates of the drawing or of the block that they stand in.

use encoding_rs::Encoding;
use glam::{DAffine3, DMat3, DVec2, DVec3};
use groundline_engine::model::Polygon;

use super::{hatch, pair::Record};
use crate::feature::Shape;

/// Step of curves, radians.
pub(super) const STEP: f64 = std::f64::consts::PI / 36.0;
/// Vertices of one polyline.
const MAX_VERTICES: usize = 300_000;
/// Copies of a block in rows and columns.
const MAX_COPIES: i64 = 100_000;

/// An entity.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    pub kind: String,
    pub layer: String,
    /// `5`: identifies it within the drawing.
    pub handle: Option<String>,
    pub body: Body,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Shape(Shape),
    Text {
        at: DVec3,
        text: String,
    },
    /// A face with heights.
    Face(Vec<DVec3>),
    Insert(Box<Insert>),
}

/// A block that is put somewhere.
#[derive(Clone, Debug)]
pub(super) struct Insert {
    pub block: String,
    /// From the block's coordinates less its base point; one for each copy.
    pub places: Vec<DAffine3>,
    pub attributes: Vec<(String, String)>,
}

impl Entity {
    /// Roughly how many vertices' worth of memory it takes.
    pub fn weight(&self) -> usize {
        let of_body = match &self.body {
            Body::Shape(shape) => shape.vertices().len(),
            Body::Text { text, .. } => text.len() / 24,
            Body::Face(corners) => corners.len(),
            Body::Insert(insert) => insert.places.len() * 4 + insert.attributes.len() * 4,
        };
        of_body + 8
    }
}

/// What became of a record.
pub(super) enum Taken {
    Entity(Entity),
    /// `POLYLINE`: its vertices follow.
    Polyline(Entity, Polyline),
    /// Not of the model: paper space, or nothing to draw.
    Paper,
    /// Of a kind that is not read.
    Unknown,
}

/// A polyline whose vertices are still to come.
#[derive(Clone, Debug)]
pub(super) struct Polyline {
    is_closed: bool,
    is_3d: bool,
    elevation: f64,
    axes: DMat3,
    vertices: Vec<(DVec3, f64)>,
}

impl Polyline {
    /// Takes a `VERTEX`.
    pub fn vertex(&mut self, record: &Record) -> Result<(), String> {
        // Control points of a spline frame are no vertices of the line.
        if record.flags(70) & 16 == 0 {
            let z = if self.is_3d { record.number_or(30, 0.0)? } else { self.elevation };
            let place = DVec3::new(record.number_or(10, 0.0)?, record.number_or(20, 0.0)?, z);
            if self.vertices.len() >= MAX_VERTICES {
                return Err(format!("more than {MAX_VERTICES} vertices"));
            }
            self.vertices.push((place, record.number_or(42, 0.0)?));
        }
        Ok(())
    }

    /// The line or area.
    pub fn shape(self) -> Result<Shape, String> {
        path_shape(&self.vertices, self.is_closed, self.axes)
    }
}

/// Reads one record.
pub(super) fn take(record: &Record, encoding: &'static Encoding) -> Result<Taken, String> {
    if record.flags(67) == 1 {
        return Ok(Taken::Paper);
    }
    // Where the beginning of an entity is damaged, two run together.
    if record.iter().filter(|(code, _)| *code == 8).count() > 1 {
        return Err("it is on two layers: two entities run together".into());
    }
    let body = match record.kind.as_str() {
        "LINE" => {
            let ends = vec![place(record, 10)?, place(record, 11)?];
            Body::Shape(Shape { has_z: has_z(&ends), lines: vec![ends], ..Shape::default() })
        }
        "POINT" => {
            let at = place(record, 10)?;
            Body::Shape(Shape { points: vec![at], has_z: at.z != 0.0, ..Shape::default() })
        }
        "LWPOLYLINE" => {
            let vertices = lightweight(record)?;
            Body::Shape(path_shape(&vertices, record.flags(70) & 1 == 1, axes(record)?)?)
        }
        "POLYLINE" => {
            let flags = record.flags(70);
            if flags & (16 | 64) != 0 {
                return Ok(Taken::Unknown);
            }
            let polyline = Polyline {
                is_closed: flags & 1 == 1,
                is_3d: flags & 8 == 8,
                elevation: record.number_or(30, 0.0)?,
                axes: if flags & 8 == 8 { DMat3::IDENTITY } else { axes(record)? },
                vertices: Vec::new(),
            };
            return Ok(Taken::Polyline(entity(record, encoding, Body::Shape(Shape::default())), polyline));
        }
        "CIRCLE" => {
            let ring = arc(place(record, 10)?, radius(record)?, 0.0, std::f64::consts::TAU);
            Body::Shape(ring_shape(ring, axes(record)?))
        }
        "ARC" => {
            let (from, to) = (record.number_or(50, 0.0)?.to_radians(), record.number_or(51, 360.0)?.to_radians());
            let mut sweep = (to - from).rem_euclid(std::f64::consts::TAU);
            if sweep == 0.0 {
                sweep = std::f64::consts::TAU;
            }
            let axes = axes(record)?;
            let path: Vec<DVec3> =
                arc(place(record, 10)?, radius(record)?, from, sweep).into_iter().map(|v| axes * v).collect();
            Body::Shape(Shape { has_z: has_z(&path), lines: vec![path], ..Shape::default() })
        }
        "TEXT" => {
            // An aligned text has its place in the second point.
            let is_aligned = (record.flags(72) != 0 || record.flags(73) != 0) && record.number(11).is_some();
            let at = axes(record)? * place(record, if is_aligned { 11 } else { 10 })?;
            Body::Text { at, text: record.text(1, encoding).unwrap_or_default() }
        }
        "MTEXT" => {
            let chunks = record.iter().filter(|(code, _)| matches!(code, 1 | 3));
            let bytes: Vec<u8> = chunks.flat_map(|(_, value)| value.iter().copied()).collect();
            Body::Text { at: place(record, 10)?, text: plain(&super::pair::decode(&bytes, encoding)) }
        }
        "3DFACE" => {
            let mut corners = Vec::with_capacity(4);
            for code in 10..14 {
                if record.number(code).is_some() {
                    corners.push(place(record, code)?);
                }
            }
            corners.dedup();
            match corners.len() {
                0..=2 => return Err("a face with fewer than three corners".into()),
                _ => Body::Face(corners),
            }
        }
        "HATCH" => Body::Shape(hatch::shape(record, axes(record)?)?),
        "INSERT" => Body::Insert(Box::new(insert(record, encoding)?)),
        _ => return Ok(Taken::Unknown),
    };
    Ok(Taken::Entity(entity(record, encoding, body)))
}

fn entity(record: &Record, encoding: &'static Encoding, body: Body) -> Entity {
    let layer = record.text(8, encoding).unwrap_or_else(|| "0".into());
    let handle = record.text(5, encoding).filter(|handle| !handle.is_empty());
    Entity { kind: record.kind.clone(), layer, handle, body }
}

/// The place whose x stands under `code`.
fn place(record: &Record, code: i32) -> Result<DVec3, String> {
    let x = record.number(code).ok_or_else(|| format!("group {code} is missing or no number"))?;
    Ok(DVec3::new(x, record.number_or(code + 10, 0.0)?, record.number_or(code + 20, 0.0)?))
}

fn radius(record: &Record) -> Result<f64, String> {
    record.number(40).filter(|r| *r > 0.0).ok_or_else(|| "no radius above 0".into())
}

fn has_z(places: &[DVec3]) -> bool {
    places.iter().any(|v| v.z != 0.0)
}

/// From the entity's own axes to the drawing's, by its extrusion direction (the arbitrary axis algorithm of the DXF
/// reference).
fn axes(record: &Record) -> Result<DMat3, String> {
    let normal = DVec3::new(record.number_or(210, 0.0)?, record.number_or(220, 0.0)?, record.number_or(230, 1.0)?);
    let Some(z) = normal.try_normalize() else { return Err("an extrusion direction without length".into()) };
    if z == DVec3::Z {
        return Ok(DMat3::IDENTITY);
    }
    let near_z = z.x.abs() < 1.0 / 64.0 && z.y.abs() < 1.0 / 64.0;
    let x = if near_z { DVec3::Y.cross(z) } else { DVec3::Z.cross(z) }.normalize();
    Ok(DMat3::from_cols(x, z.cross(x).normalize(), z))
}

fn lightweight(record: &Record) -> Result<Vec<(DVec3, f64)>, String> {
    let elevation = record.number_or(38, 0.0)?;
    let mut vertices: Vec<(DVec3, f64)> = Vec::new();
    for (code, value) in record.iter().filter(|(code, _)| matches!(code, 10 | 20 | 42)) {
        let number = super::pair::number(value).ok_or_else(|| format!("group {code} is no number"))?;
        match (code, vertices.last_mut()) {
            (10, _) => vertices.push((DVec3::new(number, 0.0, elevation), 0.0)),
            (20, Some((place, _))) => place.y = number,
            (42, Some((_, bulge))) => *bulge = number,
            _ => return Err("a vertex without x".into()),
        }
    }
    match record.number(90) {
        Some(count) if count != vertices.len() as f64 => {
            Err(format!("it says {count} vertices and has {}", vertices.len()))
        }
        _ => Ok(vertices),
    }
}

/// A line, or an area where it is closed.
fn path_shape(vertices: &[(DVec3, f64)], is_closed: bool, axes: DMat3) -> Result<Shape, String> {
    let path = bulged(vertices, is_closed);
    let ends_meet = path.len() > 3 && path.first() == path.last();
    match path.len() {
        0 | 1 => Err("fewer than two vertices".into()),
        3.. if is_closed || ends_meet => Ok(ring_shape(path, axes)),
        _ => {
            let path: Vec<DVec3> = path.into_iter().map(|v| axes * v).collect();
            Ok(Shape { has_z: has_z(&path), lines: vec![path], ..Shape::default() })
        }
    }
}

fn ring_shape(ring: Vec<DVec3>, axes: DMat3) -> Shape {
    let outer: Vec<DVec3> = ring.into_iter().map(|v| axes * v).collect();
    Shape { has_z: has_z(&outer), polygons: vec![Polygon { outer, holes: Vec::new() }], ..Shape::default() }
}

/// Places along a circle.
pub(super) fn arc(centre: DVec3, radius: f64, from: f64, sweep: f64) -> Vec<DVec3> {
    let steps = (sweep.abs() / STEP).ceil().clamp(2.0, 720.0) as usize;
    let at = |i: usize| centre + (DVec2::from_angle(from + sweep * i as f64 / steps as f64) * radius).extend(0.0);
    (0..=steps).map(at).collect()
}

/// A path whose segments may be arcs: the bulge is the tangent of a quarter of the angle.
pub(super) fn bulged(vertices: &[(DVec3, f64)], is_closed: bool) -> Vec<DVec3> {
    let mut path = Vec::with_capacity(vertices.len());
    for (index, (from, bulge)) in vertices.iter().enumerate() {
        path.push(*from);
        let next = vertices.get(index + 1).or_else(|| vertices.first().filter(|_| is_closed));
        let Some((to, _)) = next.filter(|(to, _)| *bulge != 0.0 && to != from) else { continue };
        let sweep = 4.0 * bulge.atan();
        let chord = (*to - *from).truncate();
        let radius = chord.length() / (2.0 * (sweep / 2.0).sin().abs());
        let to_centre = chord.perp() / chord.length() * (radius * (sweep / 2.0).cos()) * sweep.signum();
        let centre = from.truncate() + chord / 2.0 + to_centre;
        let start = (from.truncate() - centre).to_angle();
        let along = arc(centre.extend(from.z), radius, start, sweep);
        if along.iter().all(|v| v.is_finite()) {
            path.extend_from_slice(&along[1..along.len() - 1]);
        }
    }
    path
}

fn insert(record: &Record, encoding: &'static Encoding) -> Result<Insert, String> {
    let block = record.text(2, encoding).filter(|name| !name.is_empty()).ok_or("an insert of no block")?;
    let scale = DVec3::new(record.number_or(41, 1.0)?, record.number_or(42, 1.0)?, record.number_or(43, 1.0)?);
    let turn = DMat3::from_rotation_z(record.number_or(50, 0.0)?.to_radians());
    let axes = axes(record)?;
    let at = place(record, 10)?;
    let (columns, rows) = (record.flags(70).max(1), record.flags(71).max(1));
    if columns.saturating_mul(rows) > MAX_COPIES {
        return Err(format!("{columns} × {rows} copies of a block"));
    }
    let (wide, high) = (record.number_or(44, 0.0)?, record.number_or(45, 0.0)?);
    let mut places = Vec::new();
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let shift = turn * DVec3::new(column as f64 * wide, row as f64 * high, 0.0);
        let matrix = axes * turn * DMat3::from_diagonal(scale);
        places.push(DAffine3::from_mat3_translation(matrix, axes * (at + shift)));
    }
    Ok(Insert { block, places, attributes: Vec::new() })
}

/// The text of an MTEXT without its formatting.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' => {}
            '\\' => match rest.next() {
                Some('P') => out.push('\n'),
                Some('~') => out.push(' '),
                Some(c @ ('\\' | '{' | '}')) => out.push(c),
                // On and off of underlining and the like.
                Some('L' | 'l' | 'O' | 'o' | 'K' | 'k') => {}
                // The others end at a semicolon: font, height, colour.
                Some(_) => {
                    rest.by_ref().find(|c| *c == ';');
                }
                None => {}
            },
            c => out.push(c),
        }
    }
    out.trim().to_owned()
}
