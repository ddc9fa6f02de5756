//! The outlines of a hatch.

use glam::{DMat3, DVec3};

use super::{
    curve::{Spline, arc, bulged, ellipse, parameter, sweep},
    pair::{Record, number},
};
use crate::feature::{Shape, grouped_rings, is_inside, signed_area};

/// Outlines of one hatch; each is held against all others.
pub(crate) const MAX_PATHS: usize = 2_000;

/// The area that a hatch fills: rings inside others are holes, rings inside those fill again.
pub(super) fn shape(record: &Record, axes: DMat3) -> Result<Shape, String> {
    let elevation = record.number_or(30, 0.0)?;
    // The first place is the elevation; what comes after the outlines (`75`, `98`) is the pattern and its seeds.
    let pairs = record.iter().skip_while(|(code, _)| *code != 91).take_while(|(code, _)| !matches!(code, 75 | 98));
    let mut codes: Vec<(i32, f64)> = Vec::new();
    for (code, value) in pairs.filter(|(code, _)| *code < 330) {
        codes.push((code, number(value).ok_or_else(|| format!("group {code} is no number"))?));
    }
    let mut reader = Reader { codes: &codes };
    let count = reader.expect(91)? as usize;
    if count > MAX_PATHS {
        return Err(format!("{count} outlines (at most {MAX_PATHS})"));
    }
    let mut rings = Vec::new();
    for _ in 0..count {
        let ring = reader.path(elevation)?;
        if ring.len() >= 3 {
            rings.push(ring);
        }
    }
    area(&rings, axes)
}

/// The area within rings: those inside others are holes, those inside holes fill again.
pub(crate) fn area(rings: &[Vec<DVec3>], axes: DMat3) -> Result<Shape, String> {
    if rings.is_empty() {
        return Err("a hatch without outline".into());
    }
    let depth = |ring: &Vec<DVec3>| rings.iter().filter(|r| *r != ring && is_inside(ring[0], r)).count();
    let mut turned = Vec::with_capacity(rings.len());
    for ring in rings {
        let is_hole = depth(ring) % 2 == 1;
        let mut ring = ring.clone();
        // Clockwise is outer there.
        if (signed_area(&ring) > 0.0) != is_hole {
            ring.reverse();
        }
        turned.push(ring);
    }
    let mut shape = Shape { polygons: grouped_rings(turned), ..Shape::default() };
    shape.for_each_mut(|v| *v = axes * *v);
    shape.has_z = shape.vertices().iter().any(|v| v.z != 0.0);
    Ok(shape)
}

struct Reader<'c> {
    codes: &'c [(i32, f64)],
}

impl Reader<'_> {
    fn expect(&mut self, wanted: i32) -> Result<f64, String> {
        match self.codes.split_first() {
            Some(((code, value), rest)) if *code == wanted => {
                self.codes = rest;
                Ok(*value)
            }
            Some(((code, _), _)) => Err(format!("group {code} in an outline where {wanted} should be")),
            None => Err(format!("the outline ends where group {wanted} should be")),
        }
    }

    fn maybe(&mut self, wanted: i32) -> Option<f64> {
        let ((code, value), rest) = self.codes.split_first()?;
        (*code == wanted).then(|| {
            self.codes = rest;
            *value
        })
    }

    fn place(&mut self, code: i32, z: f64) -> Result<DVec3, String> {
        Ok(DVec3::new(self.expect(code)?, self.expect(code + 10)?, z))
    }

    fn path(&mut self, z: f64) -> Result<Vec<DVec3>, String> {
        let flags = self.expect(92)? as i64;
        let ring = if flags & 2 == 2 { self.polyline(z)? } else { self.edges(z)? };
        // Objects that the outline was made of.
        self.maybe(97);
        Ok(ring)
    }

    fn polyline(&mut self, z: f64) -> Result<Vec<DVec3>, String> {
        let has_bulge = self.expect(72)? != 0.0;
        self.expect(73)?;
        let count = self.expect(93)? as usize;
        let mut vertices = Vec::new();
        for _ in 0..count {
            let place = self.place(10, z)?;
            let bulge = if has_bulge { self.maybe(42).unwrap_or(0.0) } else { 0.0 };
            vertices.push((place, bulge));
        }
        Ok(bulged(&vertices, true))
    }

    fn edges(&mut self, z: f64) -> Result<Vec<DVec3>, String> {
        let count = self.expect(93)? as usize;
        let mut ring: Vec<DVec3> = Vec::new();
        for _ in 0..count {
            let edge = match self.expect(72)? as i64 {
                1 => vec![self.place(10, z)?, self.place(11, z)?],
                2 => {
                    let (centre, radius) = (self.place(10, z)?, self.expect(40)?);
                    let (from, to) = (self.expect(50)?.to_radians(), self.expect(51)?.to_radians());
                    arc_edge(centre, radius, (from, to), self.expect(73)? != 0.0)
                }
                3 => {
                    let (centre, axis, ratio) = (self.place(10, z)?, self.place(11, 0.0)?, self.expect(40)?);
                    let (from, to) = (self.expect(50)?.to_radians(), self.expect(51)?.to_radians());
                    ellipse_edge(centre, axis, ratio, (from, to), self.expect(73)? != 0.0)?
                }
                4 => self.spline(z)?,
                other => return Err(format!("an edge of type {other}")),
            };
            join(&mut ring, edge);
        }
        Ok(ring)
    }

    fn spline(&mut self, z: f64) -> Result<Vec<DVec3>, String> {
        let mut spline = Spline { degree: self.expect(94)? as usize, ..Spline::default() };
        let (is_rational, _) = (self.expect(73)? != 0.0, self.expect(74)?);
        let (knots, controls) = (self.expect(95)? as usize, self.expect(96)? as usize);
        for _ in 0..knots {
            spline.knots.push(self.expect(40)?);
        }
        for _ in 0..controls {
            spline.controls.push(self.place(10, z)?);
            let weight = self.maybe(42);
            spline.weights.extend(weight.filter(|_| is_rational));
        }
        // From R2010 on fit points follow; before that, 97 counts what the whole outline was made of.
        if let [(97, _), (11 | 12 | 72 | 97, _), ..] = self.codes {
            self.maybe(97);
        }
        while let [(11..=13 | 21..=23, _), rest @ ..] = self.codes {
            self.codes = rest;
        }
        spline.path()
    }
}

/// A piece of a circle; those that go clockwise have their angles mirrored.
pub(crate) fn arc_edge(centre: DVec3, radius: f64, (from, to): (f64, f64), is_counter: bool) -> Vec<DVec3> {
    let sweep = sweep(from, to);
    if is_counter { arc(centre, radius, from, sweep) } else { arc(centre, radius, -from, -sweep) }
}

/// A piece of an ellipse, likewise; the angles are those seen from the centre.
pub(crate) fn ellipse_edge(
    centre: DVec3,
    axis: DVec3,
    ratio: f64,
    (from, to): (f64, f64),
    is_counter: bool,
) -> Result<Vec<DVec3>, String> {
    if ratio <= 0.0 || axis.length() <= 0.0 {
        return Err("an outline with an ellipse without size".into());
    }
    let minor = axis.truncate().perp().extend(0.0) * ratio;
    let (from, to) = (parameter(from, ratio), parameter(to, ratio));
    let sweep = sweep(from, to);
    Ok(if is_counter { ellipse(centre, axis, minor, from, sweep) } else { ellipse(centre, axis, minor, -from, -sweep) })
}

/// Puts an edge to a ring; edges may be written against the way round.
pub(crate) fn join(ring: &mut Vec<DVec3>, edge: Vec<DVec3>) {
    match (ring.last(), edge.first(), edge.last()) {
        (Some(end), Some(first), Some(last)) if end.distance(*last) < end.distance(*first) => {
            ring.extend(edge.into_iter().rev());
        }
        _ => ring.extend(edge),
    }
}
