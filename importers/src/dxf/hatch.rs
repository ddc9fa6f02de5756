//! The outlines of a hatch.

use glam::{DMat3, DVec3};

use super::{
    entity::{arc, bulged},
    pair::{Record, number},
};
use crate::feature::{Shape, grouped_rings, is_inside, signed_area};

/// Outlines of one hatch; each is held against all others.
const MAX_PATHS: usize = 2_000;

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
    if rings.is_empty() {
        return Err("a hatch without outline".into());
    }
    let depth = |ring: &Vec<DVec3>| rings.iter().filter(|r| *r != ring && is_inside(ring[0], r)).count();
    let mut turned = Vec::with_capacity(rings.len());
    for ring in &rings {
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
                    let is_counter = self.expect(73)? != 0.0;
                    let mut sweep = (to - from).rem_euclid(std::f64::consts::TAU);
                    if sweep == 0.0 {
                        sweep = std::f64::consts::TAU;
                    }
                    // Clockwise edges have their angles mirrored.
                    if is_counter { arc(centre, radius, from, sweep) } else { arc(centre, radius, -from, -sweep) }
                }
                3 => return Err("an outline with an elliptic edge".into()),
                4 => return Err("an outline with a spline edge".into()),
                other => return Err(format!("an edge of type {other}")),
            };
            // Edges may be written against the way round.
            match (ring.last(), edge.last()) {
                (Some(end), Some(last)) if end.distance(*last) < end.distance(edge[0]) => {
                    ring.extend(edge.into_iter().rev());
                }
                _ => ring.extend(edge),
            }
        }
        Ok(ring)
    }
}
