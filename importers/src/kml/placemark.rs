//! A placemark being read: its fields, and its shapes grouped by how their heights are to be read.

use std::sync::Arc;

use glam::DVec3;
use groundline_engine::model::{Polygon, Value};

use crate::feature::Shape;

/// `altitudeMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// On the ground; heights are not used.
    #[default]
    Clamped,
    /// Above the ground.
    Relative,
    /// Above the sea.
    Absolute,
}

impl Mode {
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "clampToGround" | "clampToSeaFloor" => Some(Mode::Clamped),
            "relativeToGround" | "relativeToSeaFloor" => Some(Mode::Relative),
            "absolute" => Some(Mode::Absolute),
            _ => None,
        }
    }
}

/// Shapes of a placemark that share mode and extrusion.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Piece {
    pub mode: Mode,
    pub is_extruded: bool,
    pub shape: Shape,
}

/// One placemark.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Placemark {
    pub id: Option<String>,
    pub fields: Vec<(Arc<str>, Value)>,
    pub pieces: Vec<Piece>,
}

/// Which element a geometry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GeometryKind {
    Point,
    Line,
    Polygon,
    Track,
}

/// A geometry being read.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub kind: GeometryKind,
    pub mode: Mode,
    pub is_extruded: bool,
    /// Coordinates read last, not yet put into a ring.
    pub coordinates: Vec<DVec3>,
    pub has_z: bool,
    outer: Option<Vec<DVec3>>,
    holes: Vec<Vec<DVec3>>,
}

impl Geometry {
    pub fn new(kind: GeometryKind) -> Self {
        Self {
            kind,
            mode: Mode::default(),
            is_extruded: false,
            coordinates: Vec::new(),
            has_z: false,
            outer: None,
            holes: Vec::new(),
        }
    }

    /// The ring of a boundary is complete.
    pub fn end_ring(&mut self, is_inner: bool) -> Result<(), &'static str> {
        let ring = std::mem::take(&mut self.coordinates);
        if is_inner {
            self.holes.push(ring);
        } else if self.outer.replace(ring).is_some() {
            return Err("a polygon has two outer boundaries");
        }
        Ok(())
    }

    /// Puts it into the placemark.
    pub fn end(self, placemark: &mut Placemark) -> Result<(), &'static str> {
        let at = placemark.pieces.iter().position(|p| (p.mode, p.is_extruded) == (self.mode, self.is_extruded));
        let at = at.unwrap_or_else(|| {
            placemark.pieces.push(Piece { mode: self.mode, is_extruded: self.is_extruded, shape: Shape::default() });
            placemark.pieces.len() - 1
        });
        let shape = &mut placemark.pieces[at].shape;
        shape.has_z |= self.has_z;
        match self.kind {
            GeometryKind::Point => match self.coordinates[..] {
                [place] => shape.points.push(place),
                _ => return Err("a point has one place"),
            },
            GeometryKind::Line | GeometryKind::Track => match self.coordinates.len() {
                0 | 1 => return Err("a line has two places or more"),
                _ => shape.lines.push(self.coordinates),
            },
            GeometryKind::Polygon => {
                let outer = self.outer.ok_or("a polygon has no outer boundary")?;
                shape.polygons.push(Polygon { outer, holes: self.holes });
            }
        }
        Ok(())
    }
}

/// Places of a `coordinates` element: `lon,lat[,height]`, set apart by white space. Says whether heights are among them.
pub(super) fn coordinates(text: &str) -> Result<(Vec<DVec3>, bool), String> {
    let mut places = Vec::new();
    let mut has_z = false;
    // Some write a space after the comma, which the schema does not allow.
    let joined;
    let text = if text.contains(", ") || text.contains(" ,") {
        joined = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
        &joined
    } else {
        text
    };
    for tuple in text.split_ascii_whitespace() {
        let mut numbers = tuple.split(',').map(|n| n.parse::<f64>().ok().filter(|n| n.is_finite()));
        let place = match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(x)), Some(Some(y)), None, _) => DVec3::new(x, y, 0.0),
            (Some(Some(x)), Some(Some(y)), Some(Some(z)), None) => {
                has_z = true;
                DVec3::new(x, y, z)
            }
            _ => return Err(format!("{:?} is no place", tuple.chars().take(40).collect::<String>())),
        };
        places.push(place);
    }
    Ok((places, has_z))
}

/// A place of a track: `lon lat height`, set apart by spaces.
pub(super) fn track_place(text: &str) -> Option<DVec3> {
    let numbers: Option<Vec<f64>> =
        text.split_whitespace().map(|n| n.parse().ok().filter(|n: &f64| n.is_finite())).collect();
    match numbers?[..] {
        [x, y] => Some(DVec3::new(x, y, 0.0)),
        [x, y, z] => Some(DVec3::new(x, y, z)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_read_with_and_without_height_and_strictly() {
        let (places, has_z) = coordinates(" 120.1,36.2,5\n\t120.2,36.3,6 ").unwrap();
        assert_eq!((places.len(), places[1], has_z), (2, DVec3::new(120.2, 36.3, 6.0), true));
        assert_eq!(coordinates("1, 2, 3").unwrap().0, [DVec3::new(1.0, 2.0, 3.0)]);
        assert!(!coordinates("1,2 3,4").unwrap().1);
        for text in ["1", "1,2,3,4", "1,x", "1,NaN", "1,,2", "inf,0"] {
            assert!(coordinates(text).is_err(), "{text}");
        }
    }
}
