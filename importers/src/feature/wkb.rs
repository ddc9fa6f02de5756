//! Well-known binary (OGC 06-103r4, ISO 13249-3), as databases and columnar files hold geometries.
//!
//! Both byte orders, z and m in ISO's numbering (1000, 2000, 3000) and in that of PostGIS (flag bits), also its
//! SRID. m is read past. Curves are refused: a chord in place of an arc would be a guess.

use glam::DVec3;
use groundline_engine::model::Polygon;

use super::{Shape, surface::triangulate};

/// Collections within collections; more are no city.
const MAX_DEPTH: usize = 8;
/// PostGIS's flags.
const FLAG_Z: u32 = 0x8000_0000;
const FLAG_M: u32 = 0x4000_0000;
const FLAG_SRID: u32 = 0x2000_0000;

/// The shape in a WKB value; the error says what is wrong. Bytes after the geometry are an error too.
pub(crate) fn shape(bytes: &[u8]) -> Result<Shape, String> {
    let mut reader = Reader { bytes, at: 0, is_little: true };
    let mut shape = Shape::default();
    reader.geometry(&mut shape, None, 0)?;
    match bytes.len() - reader.at {
        0 => Ok(shape),
        rest => Err(format!("{rest} bytes follow after the geometry")),
    }
}

/// What a type is called, for messages.
pub(crate) fn type_name(code: u32) -> &'static str {
    match code {
        1 => "Point",
        2 => "LineString",
        3 => "Polygon",
        4 => "MultiPoint",
        5 => "MultiLineString",
        6 => "MultiPolygon",
        7 => "GeometryCollection",
        8 => "CircularString",
        9 => "CompoundCurve",
        10 => "CurvePolygon",
        11 => "MultiCurve",
        12 => "MultiSurface",
        13 => "Curve",
        14 => "Surface",
        15 => "PolyhedralSurface",
        16 => "TIN",
        17 => "Triangle",
        _ => "unknown",
    }
}

/// Why a geometry of this type is not read; `None` where it is.
pub(crate) fn refusal(code: u32) -> Option<String> {
    match code {
        1..=7 | 15..=17 => None,
        8..=14 => Some(format!(
            "geometry type {} holds curves, which are not read; turn them into straight segments first",
            type_name(code)
        )),
        _ => Some(format!("geometry type {code} does not exist")),
    }
}

/// Values per vertex.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ordinates {
    has_z: bool,
    has_m: bool,
}

impl Ordinates {
    fn bytes(self) -> usize {
        16 + 8 * (usize::from(self.has_z) + usize::from(self.has_m))
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    is_little: bool,
}

impl Reader<'_> {
    /// `within` is the type of the geometry around, which decides what may stand inside.
    fn geometry(&mut self, shape: &mut Shape, within: Option<u32>, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("geometries nested deeper than {MAX_DEPTH}"));
        }
        self.is_little = match self.take::<1>()? {
            [0] => false,
            [1] => true,
            [other] => return Err(format!("byte order {other} does not exist")),
        };
        let word = self.u32()?;
        let (code, iso) = ((word & 0x0FFF_FFFF) % 1000, (word & 0x0FFF_FFFF) / 1000);
        if iso > 3 {
            return Err(format!("geometry type {word} does not exist"));
        }
        let has = |flag: u32, thousands: [u32; 2]| word & flag != 0 || thousands.contains(&iso);
        let ordinates = Ordinates { has_z: has(FLAG_Z, [1, 3]), has_m: has(FLAG_M, [2, 3]) };
        if word & FLAG_SRID != 0 {
            self.u32()?;
        }
        if let Some(reason) = refusal(code) {
            return Err(reason);
        }
        if within.is_some_and(|outer| !may_hold(outer, code)) {
            return Err(format!("a {} stands where it must not", type_name(code)));
        }
        shape.has_z |= ordinates.has_z;
        match code {
            1 => {
                let point = self.vertex(ordinates)?;
                // An empty point is written as NaN.
                if !point.x.is_nan() || !point.y.is_nan() {
                    shape.points.push(finite(point)?);
                }
            }
            2 => {
                let line = self.path(ordinates)?;
                if !line.is_empty() {
                    shape.lines.push(line);
                }
            }
            3 | 17 => {
                let Some(polygon) = self.polygon(ordinates)? else { return Ok(()) };
                // Faces stand in space only where they have heights.
                match code == 17 || matches!(within, Some(15 | 16)) {
                    true if ordinates.has_z => triangulate(&polygon, &mut shape.triangles),
                    _ => shape.polygons.push(polygon),
                }
            }
            // A geometry takes at least a byte order, a type and a count.
            _ => {
                for _ in 0..self.count(9)? {
                    self.geometry(shape, Some(code), depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn polygon(&mut self, ordinates: Ordinates) -> Result<Option<Polygon>, String> {
        let rings = self.count(4)?;
        let mut rings = (0..rings).map(|_| self.path(ordinates)).collect::<Result<Vec<_>, _>>()?.into_iter();
        let outer = rings.next().filter(|ring| !ring.is_empty());
        Ok(outer.map(|outer| Polygon { outer, holes: rings.collect() }))
    }

    fn path(&mut self, ordinates: Ordinates) -> Result<Vec<DVec3>, String> {
        let count = self.count(ordinates.bytes())?;
        (0..count).map(|_| self.vertex(ordinates).and_then(finite)).collect()
    }

    fn vertex(&mut self, ordinates: Ordinates) -> Result<DVec3, String> {
        let (x, y) = (self.f64()?, self.f64()?);
        let z = if ordinates.has_z { self.f64()? } else { 0.0 };
        if ordinates.has_m {
            self.f64()?;
        }
        // A height that is not known is written as NaN.
        Ok(DVec3::new(x, y, if z.is_finite() { z } else { 0.0 }))
    }

    /// A count of things of at least `least` bytes each, which must fit into the rest.
    fn count(&mut self, least: usize) -> Result<usize, String> {
        let count = self.u32()? as usize;
        match count.checked_mul(least).is_some_and(|need| need <= self.bytes.len() - self.at) {
            true => Ok(count),
            false => Err(format!("{count} parts do not fit into {} bytes", self.bytes.len() - self.at)),
        }
    }

    fn u32(&mut self) -> Result<u32, String> {
        let word = self.take()?;
        Ok(if self.is_little { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) })
    }

    fn f64(&mut self) -> Result<f64, String> {
        let word = self.take()?;
        Ok(if self.is_little { f64::from_le_bytes(word) } else { f64::from_be_bytes(word) })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let word = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let word = word.ok_or_else(|| format!("the geometry ends early, after {} bytes", self.bytes.len()))?;
        self.at += N;
        Ok(*word)
    }
}

fn may_hold(outer: u32, inner: u32) -> bool {
    match outer {
        4..=6 => inner == outer - 3,
        15 => inner == 3,
        16 => matches!(inner, 3 | 17),
        _ => true,
    }
}

fn finite(vertex: DVec3) -> Result<DVec3, String> {
    match vertex.is_finite() {
        true => Ok(vertex),
        false => Err("a coordinate is no number".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A geometry of `word` with the values that follow; numbers with a point are coordinates, others counts.
    enum Piece {
        Head(u32),
        Count(u32),
        At(&'static [f64]),
    }

    use Piece::{At, Count, Head};

    fn wkb(is_little: bool, pieces: &[Piece]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let word = |n: u32| if is_little { n.to_le_bytes() } else { n.to_be_bytes() };
        for piece in pieces {
            match piece {
                Head(n) => {
                    bytes.push(u8::from(is_little));
                    bytes.extend(word(*n));
                }
                Count(n) => bytes.extend(word(*n)),
                At(numbers) => {
                    numbers.iter().for_each(|n| bytes.extend(if is_little { n.to_le_bytes() } else { n.to_be_bytes() }))
                }
            }
        }
        bytes
    }

    const SQUARE: Piece = At(&[0., 0., 4., 0., 4., 4., 0., 4., 0., 0.]);
    const HOLE: Piece = At(&[1., 1., 1., 2., 2., 2., 1., 1.]);

    #[test]
    fn every_type_is_read_in_both_byte_orders() {
        for is_little in [true, false] {
            let read = |pieces: &[Piece]| shape(&wkb(is_little, pieces)).unwrap();
            let point = read(&[Head(1), At(&[1., 2.])]);
            assert_eq!((point.points[0], point.has_z), (DVec3::new(1., 2., 0.), false));
            let polygon = read(&[Head(3), Count(2), Count(5), SQUARE, Count(4), HOLE]);
            assert_eq!((polygon.polygons[0].outer.len(), polygon.polygons[0].holes.len()), (5, 1));
            let all = read(&[
                Head(7),
                Count(4),
                Head(4),
                Count(2),
                Head(1),
                At(&[1., 2.]),
                Head(1),
                At(&[3., 4.]),
                Head(5),
                Count(1),
                Head(2),
                Count(2),
                At(&[1., 2., 3., 4.]),
                Head(6),
                Count(1),
                Head(3),
                Count(1),
                Count(5),
                SQUARE,
                Head(2),
                Count(0),
            ]);
            assert_eq!((all.points.len(), all.lines.len(), all.polygons.len()), (2, 1, 1));
        }
    }

    #[test]
    fn z_and_m_are_told_apart_in_both_numberings() {
        for (word, ordinates, wanted) in [
            (1001, &[1.0_f64, 2., 7.][..], Some(7.)),
            (2001, &[1., 2., 9.], None),
            (3001, &[1., 2., 7., 9.], Some(7.)),
            (1 | FLAG_Z, &[1., 2., 7.], Some(7.)),
            (1 | FLAG_M, &[1., 2., 9.], None),
            (1 | FLAG_Z | FLAG_M, &[1., 2., 7., 9.], Some(7.)),
        ] {
            let mut bytes = wkb(true, &[Head(word)]);
            ordinates.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            let shape = shape(&bytes).unwrap();
            assert_eq!(shape.has_z.then_some(shape.points[0].z), wanted, "{word:x}");
        }
        let with_srid = wkb(true, &[Head(1 | FLAG_SRID), Count(4326), At(&[1., 2.])]);
        assert_eq!(shape(&with_srid).unwrap().points.len(), 1);
    }

    #[test]
    fn surfaces_in_space_become_faces() {
        let wall = At(&[0., 0., 0., 4., 0., 0., 4., 0., 3., 0., 0., 3., 0., 0., 0.]);
        let surface = shape(&wkb(true, &[Head(1015), Count(1), Head(1003), Count(1), Count(5), wall])).unwrap();
        assert_eq!((surface.triangles.len(), surface.polygons.len()), (2, 0));
        let face = At(&[0., 0., 0., 4., 0., 0., 4., 0., 3., 0., 0., 0.]);
        let tin = shape(&wkb(true, &[Head(1016), Count(1), Head(1017), Count(1), Count(4), face])).unwrap();
        assert_eq!(tin.triangles.len(), 1);
    }

    #[test]
    fn empty_points_are_no_points_and_curves_are_refused() {
        let empty = shape(&wkb(true, &[Head(1), At(&[f64::NAN, f64::NAN])])).unwrap();
        assert_eq!(empty, Shape::default());
        let reason = shape(&wkb(true, &[Head(10), Count(0)])).unwrap_err();
        assert!(reason.contains("CurvePolygon") && reason.contains("straight"), "{reason}");
    }

    #[test]
    fn damage_is_told() {
        let whole = wkb(true, &[Head(6), Count(1), Head(3), Count(1), Count(5), SQUARE]);
        assert!(shape(&whole).is_ok());
        for cut in 0..whole.len() {
            assert!(shape(&whole[..cut]).is_err(), "{cut}");
        }
        let nested = wkb(true, &[Head(7), Count(1)]).repeat(100_000);
        for bytes in [
            wkb(true, &[Head(2), Count(u32::MAX)]),
            wkb(true, &[Head(4), Count(1), Head(3), Count(0)]),
            wkb(true, &[Head(2), Count(1), At(&[f64::INFINITY, 0.])]),
            wkb(true, &[Head(4001), At(&[1., 2.])]),
            wkb(true, &[Head(99), Count(0)]),
            [whole, vec![0]].concat(),
            nested,
            vec![7, 1, 0, 0, 0],
        ] {
            assert!(shape(&bytes).is_err(), "{bytes:.20?}");
        }
    }
}
