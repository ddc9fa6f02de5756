//! Entities of a drawing as shapes, in the coordinates of the drawing or of the block that they stand in.

use encoding_rs::Encoding;
use glam::{DAffine3, DMat3, DVec3};
use groundline_engine::model::Polygon;

use super::{
    curve::{Spline, arc, bulged, ellipse, fitted, sweep},
    hatch,
    pair::Record,
};
use crate::feature::Shape;

/// Vertices of one polyline.
const MAX_VERTICES: usize = 300_000;
/// Applications with extended data on one entity, and bytes of one's data.
pub(crate) const MAX_APPLICATIONS: usize = 50;
const MAX_DATA_BYTES: usize = 4096;
/// Copies of a block in rows and columns.
const MAX_COPIES: i64 = 100_000;

/// An entity.
#[derive(Clone, Debug)]
pub(crate) struct Entity {
    pub kind: String,
    pub layer: String,
    /// `5`: identifies it within the drawing.
    pub handle: Option<String>,
    /// Extended data (XDATA): the application that keeps them, and what it keeps.
    pub data: Vec<(String, String)>,
    pub body: Body,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Shape(Shape),
    Text {
        at: DVec3,
        text: String,
    },
    /// Faces with heights, each by its corners.
    Faces(Vec<Vec<DVec3>>),
    Insert(Box<Insert>),
}

/// A block that is put somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Insert {
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
            Body::Faces(faces) => faces.iter().map(|face| face.len() + 1).sum(),
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
    /// Rows and columns of a mesh, each with whether it goes around.
    grid: Option<[(usize, bool); 2]>,
    is_polyface: bool,
    vertices: Vec<(DVec3, f64)>,
    /// Faces of a polyface mesh: numbers of vertices from 1, negative where the edge after it is not drawn.
    faces: Vec<[i64; 4]>,
}

impl Polyline {
    fn of(record: &Record) -> Result<Self, String> {
        let flags = record.flags(70);
        let is_3d = flags & (8 | 16 | 64) != 0;
        // a smoothed mesh has other counts
        let (rows, columns) = if record.flags(75) != 0 { (73, 74) } else { (71, 72) };
        let count = |code| usize::try_from(record.flags(code)).unwrap_or(0);
        Ok(Self {
            is_closed: flags & 1 == 1,
            is_3d,
            elevation: record.number_or(30, 0.0)?,
            axes: if is_3d { DMat3::IDENTITY } else { axes(record)? },
            grid: (flags & 16 != 0).then(|| [(count(rows), flags & 1 != 0), (count(columns), flags & 32 != 0)]),
            is_polyface: flags & 64 != 0,
            vertices: Vec::new(),
            faces: Vec::new(),
        })
    }

    /// Takes a `VERTEX`.
    pub(super) fn vertex(&mut self, record: &Record) -> Result<(), String> {
        let flags = record.flags(70);
        if self.vertices.len() + self.faces.len() >= MAX_VERTICES {
            return Err(format!("more than {MAX_VERTICES} vertices"));
        }
        if self.is_polyface && flags & (64 | 128) == 128 {
            self.faces.push([71, 72, 73, 74].map(|code| record.flags(code)));
        // Control points of a spline frame are no vertices of the line.
        } else if flags & 16 == 0 {
            let z = if self.is_3d { record.number_or(30, 0.0)? } else { self.elevation };
            let place = DVec3::new(record.number_or(10, 0.0)?, record.number_or(20, 0.0)?, z);
            self.vertices.push((place, record.number_or(42, 0.0)?));
        }
        Ok(())
    }

    /// The line, area or mesh.
    pub(super) fn body(self) -> Result<Body, String> {
        let places = || self.vertices.iter().map(|(place, _)| *place).collect::<Vec<_>>();
        if let Some(grid) = self.grid {
            return grid_faces(grid, &places()).map(Body::Faces);
        }
        if self.is_polyface {
            return polyface(&self.faces, &places()).map(Body::Faces);
        }
        path_shape(&self.vertices, self.is_closed, self.axes).map(Body::Shape)
    }
}

/// Four-cornered faces between the rows and columns of a mesh.
pub(crate) fn grid_faces([rows, columns]: [(usize, bool); 2], places: &[DVec3]) -> Result<Vec<Vec<DVec3>>, String> {
    let ((rows, is_row_closed), (columns, is_column_closed)) = (rows, columns);
    if rows < 2 || columns < 2 || rows.checked_mul(columns) != Some(places.len()) {
        return Err(format!("a mesh of {rows} × {columns} with {} vertices", places.len()));
    }
    let mut faces = Vec::new();
    for row in 0..(if is_row_closed { rows } else { rows - 1 }) {
        for column in 0..(if is_column_closed { columns } else { columns - 1 }) {
            let at = |row: usize, column: usize| places[(row % rows) * columns + column % columns];
            faces.push(vec![at(row, column), at(row + 1, column), at(row + 1, column + 1), at(row, column + 1)]);
        }
    }
    Ok(faces)
}

/// Faces by the numbers of their vertices.
pub(crate) fn polyface(faces: &[[i64; 4]], places: &[DVec3]) -> Result<Vec<Vec<DVec3>>, String> {
    let mut made = Vec::with_capacity(faces.len());
    for face in faces {
        let numbers = face.iter().filter(|number| **number != 0);
        let corners = numbers.map(|number| {
            let index = usize::try_from(number.unsigned_abs()).ok()?.checked_sub(1)?;
            places.get(index).copied()
        });
        match corners.collect::<Option<Vec<_>>>() {
            Some(corners) if corners.len() >= 3 => made.push(corners),
            Some(_) => {}
            None => return Err(format!("a face of vertices {face:?} where there are {}", places.len())),
        }
    }
    if made.is_empty() { Err("a mesh without faces".into()) } else { Ok(made) }
}

/// Reads one record.
pub(super) fn take(record: &Record, encoding: &'static Encoding) -> Result<Taken, String> {
    if record.flags(67) == 1 {
        return Ok(Taken::Paper);
    }
    // Where the beginning of an entity is damaged, two run together.
    let has_two = |wanted: i32| record.iter().filter(|(code, _)| *code == wanted).count() > 1;
    let has_one_place = matches!(
        record.kind.as_str(),
        "POINT" | "LINE" | "CIRCLE" | "ARC" | "ELLIPSE" | "TEXT" | "MTEXT" | "INSERT" | "SOLID" | "TRACE" | "3DFACE"
    );
    if has_two(8) || has_two(5) || (has_one_place && has_two(10)) {
        return Err("it has two layers, handles or places: two entities run together".into());
    }
    let body = match record.kind.as_str() {
        "LINE" => {
            let ends = vec![place(record, 10)?, place(record, 11)?];
            Body::Shape(line_shape(ends))
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
            let polyline = Polyline::of(record)?;
            return Ok(Taken::Polyline(entity(record, encoding, Body::Shape(Shape::default())), polyline));
        }
        "CIRCLE" => {
            let ring = arc(place(record, 10)?, radius(record)?, 0.0, std::f64::consts::TAU);
            Body::Shape(ring_shape(ring, axes(record)?))
        }
        "ARC" => {
            let (from, to) = (record.number_or(50, 0.0)?.to_radians(), record.number_or(51, 360.0)?.to_radians());
            let (axes, ring) = (axes(record)?, arc(place(record, 10)?, radius(record)?, from, sweep(from, to)));
            Body::Shape(line_shape(ring.into_iter().map(|v| axes * v).collect()))
        }
        "ELLIPSE" => {
            let (from, to) = (record.number_or(41, 0.0)?, record.number_or(42, std::f64::consts::TAU)?);
            let normal =
                DVec3::new(record.number_or(210, 0.0)?, record.number_or(220, 0.0)?, record.number_or(230, 1.0)?);
            let axis = place(record, 11)?;
            Body::Shape(ellipse_shape(place(record, 10)?, axis, record.number_or(40, 1.0)?, normal, (from, to))?)
        }
        "SPLINE" => {
            let (spline, fits) = spline(record)?;
            if spline.controls.is_empty() && fits.len() > 1 {
                let tangents = [12, 13].map(|code| record.number(code).map(|_| place(record, code)));
                let [from, to] = tangents.map(|tangent| tangent.transpose());
                let path = fitted(&fits, from?, to?)?;
                // what the curve between them is, is each program's own affair
                let kind = Entity {
                    kind: "SPLINE by its fit points".into(),
                    ..entity(record, encoding, Body::Shape(closing_shape(path, false)))
                };
                return Ok(Taken::Entity(kind));
            }
            Body::Shape(closing_shape(spline.path()?, record.flags(70) & 1 == 1))
        }
        "SOLID" | "TRACE" => {
            let axes = axes(record)?;
            let mut ring = Vec::with_capacity(4);
            for code in [10, 11, 13, 12].into_iter().filter(|code| record.number(*code).is_some()) {
                ring.push(place(record, code)?);
            }
            ring.dedup();
            if ring.len() < 3 {
                return Err("fewer than three corners".into());
            }
            Body::Shape(ring_shape(ring, axes))
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
                _ => Body::Faces(vec![corners]),
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
    Entity { kind: record.kind.clone(), layer, handle, data: extended(record, encoding), body }
}

/// Extended data: for each application what it keeps, as text.
fn extended(record: &Record, encoding: &'static Encoding) -> Vec<(String, String)> {
    let mut data: Vec<(String, String)> = Vec::new();
    for (code, value) in record.iter().filter(|(code, _)| *code >= 1000) {
        let text = || super::pair::decode(value, encoding);
        if code == 1001 {
            if data.len() == MAX_APPLICATIONS {
                break;
            }
            data.push((text(), String::new()));
        } else if matches!(code, 1000 | 1003 | 1005 | 1040 | 1041 | 1042 | 1070 | 1071)
            && let Some((_, kept)) = data.last_mut()
        {
            keep(kept, text().trim());
        }
    }
    data.retain(|(name, kept)| !name.is_empty() && !kept.is_empty());
    data
}

/// Puts a value to those that an application keeps.
pub(crate) fn keep(kept: &mut String, value: &str) {
    if !value.is_empty() && kept.len() + value.len() < MAX_DATA_BYTES {
        if !kept.is_empty() {
            kept.push_str("; ");
        }
        kept.push_str(value);
    }
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
    axes_of(DVec3::new(record.number_or(210, 0.0)?, record.number_or(220, 0.0)?, record.number_or(230, 1.0)?))
}

/// As [`axes`], of this direction.
pub(crate) fn axes_of(normal: DVec3) -> Result<DMat3, String> {
    let Some(z) = normal.try_normalize() else { return Err("an extrusion direction without length".into()) };
    if z == DVec3::Z {
        return Ok(DMat3::IDENTITY);
    }
    let near_z = z.x.abs() < 1.0 / 64.0 && z.y.abs() < 1.0 / 64.0;
    let x = if near_z { DVec3::Y.cross(z) } else { DVec3::Z.cross(z) }.normalize();
    Ok(DMat3::from_cols(x, z.cross(x).normalize(), z))
}

/// The spline of a record, and its fit points.
fn spline(record: &Record) -> Result<(Spline, Vec<DVec3>), String> {
    let degree = usize::try_from(record.flags(71)).unwrap_or(0);
    let (mut spline, mut fits) = (Spline { degree, ..Spline::default() }, Vec::<DVec3>::new());
    for (code, value) in record.iter().filter(|(code, _)| matches!(code, 10 | 20 | 30 | 11 | 21 | 31 | 40 | 41)) {
        let number = super::pair::number(value).ok_or_else(|| format!("group {code} is no number"))?;
        match code {
            10 => spline.controls.push(DVec3::X * number),
            11 => fits.push(DVec3::X * number),
            40 => spline.knots.push(number),
            41 => spline.weights.push(number),
            _ => {
                let points = if code % 10 == 0 { &mut spline.controls } else { &mut fits };
                let Some(last) = points.last_mut() else { return Err("a point without x".into()) };
                if code < 30 { last.y = number } else { last.z = number }
            }
        }
    }
    for (code, count) in [(72, spline.knots.len()), (73, spline.controls.len()), (74, fits.len())] {
        if record.number(code).is_some_and(|said| said != count as f64) {
            return Err(format!("it says {} in group {code} and has {count}", record.flags(code)));
        }
    }
    Ok((spline, fits))
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

/// A line.
pub(crate) fn line_shape(path: Vec<DVec3>) -> Shape {
    Shape { has_z: has_z(&path), lines: vec![path], ..Shape::default() }
}

/// A curve in the drawing's axes: an area where it comes back to its beginning.
pub(crate) fn closing_shape(mut path: Vec<DVec3>, is_closed: bool) -> Shape {
    let (first, last) = (path.first().copied().unwrap_or_default(), path.last().copied().unwrap_or_default());
    let ends_meet = path.len() > 3 && first.distance(last) <= 1e-9 * first.length().max(1.0);
    if ends_meet {
        path.pop();
    }
    if ends_meet || (is_closed && path.len() > 2) { ring_shape(path, DMat3::IDENTITY) } else { line_shape(path) }
}

/// An ellipse or a piece of one; its half axis is relative to the centre.
pub(crate) fn ellipse_shape(
    centre: DVec3,
    axis: DVec3,
    ratio: f64,
    normal: DVec3,
    (from, to): (f64, f64),
) -> Result<Shape, String> {
    let Some(normal) = normal.try_normalize() else { return Err("an extrusion direction without length".into()) };
    if axis.length() <= 0.0 || ratio <= 0.0 || !ratio.is_finite() {
        return Err("an ellipse without size".into());
    }
    let whole = sweep(from, to);
    let path = ellipse(centre, axis, normal.cross(axis) * ratio, from, whole);
    Ok(closing_shape(path, whole >= std::f64::consts::TAU - 1e-9))
}

/// A line, or an area where it is closed.
pub(crate) fn path_shape(vertices: &[(DVec3, f64)], is_closed: bool, axes: DMat3) -> Result<Shape, String> {
    let path = bulged(vertices, is_closed);
    let ends_meet = path.len() > 3 && path.first() == path.last();
    match path.len() {
        0 | 1 => Err("fewer than two vertices".into()),
        3.. if is_closed || ends_meet => Ok(ring_shape(path, axes)),
        _ => Ok(line_shape(path.into_iter().map(|v| axes * v).collect())),
    }
}

pub(crate) fn ring_shape(ring: Vec<DVec3>, axes: DMat3) -> Shape {
    let outer: Vec<DVec3> = ring.into_iter().map(|v| axes * v).collect();
    Shape { has_z: has_z(&outer), polygons: vec![Polygon { outer, holes: Vec::new() }], ..Shape::default() }
}

fn insert(record: &Record, encoding: &'static Encoding) -> Result<Insert, String> {
    let block = record.text(2, encoding).filter(|name| !name.is_empty()).ok_or("an insert of no block")?;
    let grid = Copies {
        at: place(record, 10)?,
        scale: DVec3::new(record.number_or(41, 1.0)?, record.number_or(42, 1.0)?, record.number_or(43, 1.0)?),
        turn: record.number_or(50, 0.0)?.to_radians(),
        axes: axes(record)?,
        columns: record.flags(70),
        rows: record.flags(71),
        spacing: (record.number_or(44, 0.0)?, record.number_or(45, 0.0)?),
    };
    Ok(Insert { block, places: grid.places()?, attributes: Vec::new() })
}

/// How a block is put into a drawing: once, or in rows and columns.
pub(crate) struct Copies {
    pub at: DVec3,
    pub scale: DVec3,
    /// Radians.
    pub turn: f64,
    pub axes: DMat3,
    pub columns: i64,
    pub rows: i64,
    /// Of columns and rows.
    pub spacing: (f64, f64),
}

impl Copies {
    /// From the block's coordinates to the drawing's, for each copy.
    pub fn places(&self) -> Result<Vec<DAffine3>, String> {
        let (columns, rows) = (self.columns.max(1), self.rows.max(1));
        if columns.saturating_mul(rows) > MAX_COPIES {
            return Err(format!("{columns} × {rows} copies of a block"));
        }
        let turn = DMat3::from_rotation_z(self.turn);
        let mut places = Vec::new();
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let shift = turn * DVec3::new(column as f64 * self.spacing.0, row as f64 * self.spacing.1, 0.0);
            let matrix = self.axes * turn * DMat3::from_diagonal(self.scale);
            places.push(DAffine3::from_mat3_translation(matrix, self.axes * (self.at + shift)));
        }
        Ok(places)
    }
}

/// The text of an MTEXT without its formatting.
pub(crate) fn plain(text: &str) -> String {
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
