//! Footprints as ISO well-known binary (OGC 06-103r4): what other people's tools see of an object.

use glam::{DVec2, DVec3};

use super::bytes::{Broken, Source};
use crate::model::{Extent, Geometry, Polygon, Vertical};

const POINT: u32 = 1;
const LINE_STRING: u32 = 2;
const POLYGON: u32 = 3;
const MULTI_LINE_STRING: u32 = 5;
const MULTI_POLYGON: u32 = 6;
/// ISO: types with z are 1000 higher.
const WITH_Z: u32 = 1000;

/// The object's footprint or axis. With z only where z is a height in the city's datum.
/// Empty when the object has no place.
pub(crate) fn encode(geometry: &Geometry) -> Vec<u8> {
    let mut out = Vec::new();
    match geometry {
        Geometry::None => {}
        Geometry::Point(point) => put_point(&mut out, point.at, point.vertical),
        Geometry::Shaft(shaft) => put_point(&mut out, shaft.top, shaft.vertical),
        Geometry::Instance(instance) => put_point(&mut out, instance.at, instance.vertical),
        Geometry::Tube(tube) => put_line(&mut out, &tube.axis, has_z(tube.vertical)),
        Geometry::Line(line) => match line.paths.as_slice() {
            [] => {}
            [one] => put_line(&mut out, one, has_z(line.vertical)),
            many => {
                put_head(&mut out, MULTI_LINE_STRING, has_z(line.vertical));
                put_count(&mut out, many.len());
                many.iter().for_each(|path| put_line(&mut out, path, has_z(line.vertical)));
            }
        },
        Geometry::Area(area) => put_polygons(&mut out, &area.polygons, has_z(area.vertical)),
        Geometry::Block(block) => put_polygons(&mut out, &block.footprint, false),
        Geometry::Mesh(_) | Geometry::Points(_) | Geometry::Heights(_) | Geometry::Picture(_) => {
            out = encode_box(&geometry.extent());
        }
    }
    out
}

/// The box in plan as a polygon; empty for an empty box.
pub(crate) fn encode_box(extent: &Extent) -> Vec<u8> {
    let mut out = Vec::new();
    if extent.is_empty() {
        return out;
    }
    let (low, high) = (extent.min, extent.max);
    let corners = [low, DVec3::new(high.x, low.y, 0.0), high, DVec3::new(low.x, high.y, 0.0)];
    put_polygon(&mut out, &Polygon { outer: corners.to_vec(), holes: Vec::new() }, false);
    out
}

/// The name of the geometry's type in GeoParquet's `geometry_types`.
pub(crate) fn type_name(wkb: &[u8]) -> Option<&'static str> {
    let code = u32::from_le_bytes(wkb.get(1..5)?.try_into().ok()?);
    Some(match code {
        1 => "Point",
        2 => "LineString",
        3 => "Polygon",
        5 => "MultiLineString",
        6 => "MultiPolygon",
        1001 => "Point Z",
        1002 => "LineString Z",
        1003 => "Polygon Z",
        1005 => "MultiLineString Z",
        1006 => "MultiPolygon Z",
        _ => return None,
    })
}

fn has_z(vertical: Vertical) -> bool {
    vertical == Vertical::Absolute
}

fn put_head(out: &mut Vec<u8>, code: u32, z: bool) {
    out.push(1);
    out.extend((code + if z { WITH_Z } else { 0 }).to_le_bytes());
}

fn put_count(out: &mut Vec<u8>, n: usize) {
    out.extend(u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_vertex(out: &mut Vec<u8>, v: DVec3, z: bool) {
    out.extend(v.x.to_le_bytes());
    out.extend(v.y.to_le_bytes());
    if z {
        out.extend(v.z.to_le_bytes());
    }
}

fn put_point(out: &mut Vec<u8>, at: DVec3, vertical: Vertical) {
    put_head(out, POINT, has_z(vertical));
    put_vertex(out, at, has_z(vertical));
}

fn put_line(out: &mut Vec<u8>, path: &[DVec3], z: bool) {
    put_head(out, LINE_STRING, z);
    put_count(out, path.len());
    path.iter().for_each(|v| put_vertex(out, *v, z));
}

fn put_polygon(out: &mut Vec<u8>, polygon: &Polygon, z: bool) {
    put_head(out, POLYGON, z);
    put_count(out, 1 + polygon.holes.len());
    for ring in std::iter::once(&polygon.outer).chain(&polygon.holes) {
        // The model's rings do not repeat their first vertex; WKB's do.
        put_count(out, ring.len() + usize::from(!ring.is_empty()));
        ring.iter().chain(ring.first()).for_each(|v| put_vertex(out, *v, z));
    }
}

fn put_polygons(out: &mut Vec<u8>, polygons: &[Polygon], z: bool) {
    if polygons.is_empty() {
        return;
    }
    put_head(out, MULTI_POLYGON, z);
    put_count(out, polygons.len());
    polygons.iter().for_each(|polygon| put_polygon(out, polygon, z));
}

/// What stands in a WKB value, with z where it has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Footprint {
    /// Places.
    pub points: Vec<DVec3>,
    /// Paths.
    pub lines: Vec<Vec<DVec3>>,
    /// Polygons, each as its rings with the first vertex repeated at the end, the outer ring first.
    pub polygons: Vec<Vec<Vec<DVec3>>>,
    /// Whether z was given.
    pub has_z: bool,
    /// Whether the type is a multi-type, for writing it back as such.
    pub is_multi: bool,
}

impl Footprint {
    /// All its vertices.
    pub(crate) fn vertices(&self) -> impl Iterator<Item = &DVec3> {
        self.points.iter().chain(self.lines.iter().flatten()).chain(self.polygons.iter().flatten().flatten())
    }

    /// The largest z-free distance from `place` to it, 0 inside polygons; infinite when it is empty.
    pub(crate) fn distance_in_plan(&self, place: DVec2) -> f64 {
        let mut best = f64::INFINITY;
        for point in &self.points {
            best = best.min(point.truncate().distance(place));
        }
        for line in self.lines.iter().chain(self.polygons.iter().flatten()) {
            if let [one] = line.as_slice() {
                best = best.min(one.truncate().distance(place));
            }
            for pair in line.windows(2) {
                best = best.min(distance_to_segment(place, pair[0].truncate(), pair[1].truncate()));
            }
        }
        if self.polygons.iter().any(|rings| is_inside(rings, place)) { 0.0 } else { best }
    }
}

fn distance_to_segment(place: DVec2, a: DVec2, b: DVec2) -> f64 {
    let (along, length2) = (b - a, (b - a).length_squared());
    let t = if length2 > 0.0 { ((place - a).dot(along) / length2).clamp(0.0, 1.0) } else { 0.0 };
    place.distance(a + along * t)
}

/// Even-odd rule over all rings; the edge may count as either side.
fn is_inside(rings: &[Vec<DVec3>], place: DVec2) -> bool {
    let mut inside = false;
    for pair in rings.iter().flat_map(|ring| ring.windows(2)) {
        let (a, b) = (pair[0].truncate(), pair[1].truncate());
        if (a.y > place.y) != (b.y > place.y) && place.x < a.x + (place.y - a.y) / (b.y - a.y) * (b.x - a.x) {
            inside = !inside;
        }
    }
    inside
}

/// Reads a WKB value as this module writes it: little-endian, one level of multi-types.
pub(crate) fn decode(wkb: &[u8]) -> Result<Footprint, Broken> {
    let mut footprint = Footprint::default();
    if wkb.is_empty() {
        return Ok(footprint);
    }
    let mut from = Source(wkb);
    let (code, z) = take_head(&mut from)?;
    footprint.has_z = z;
    footprint.is_multi = matches!(code, MULTI_LINE_STRING | MULTI_POLYGON);
    if !footprint.is_multi {
        take_one(&mut from, code, z, &mut footprint)?;
        return Ok(footprint);
    }
    for _ in 0..from.count(9)? {
        let (inner, z) = take_head(&mut from)?;
        if inner != code - 3 {
            return Err(Broken("a multi-geometry holds parts of another type"));
        }
        take_one(&mut from, inner, z, &mut footprint)?;
    }
    Ok(footprint)
}

fn take_head(from: &mut Source<'_>) -> Result<(u32, bool), Broken> {
    if from.u8()? != 1 {
        return Err(Broken("WKB is not little-endian"));
    }
    let code = from.u32()?;
    Ok((code % WITH_Z, code / WITH_Z == 1))
}

fn take_vertex(from: &mut Source<'_>, z: bool) -> Result<DVec3, Broken> {
    Ok(from.vec2()?.extend(if z { from.f64()? } else { 0.0 }))
}

fn take_path(from: &mut Source<'_>, z: bool) -> Result<Vec<DVec3>, Broken> {
    let n = from.count(if z { 24 } else { 16 })?;
    (0..n).map(|_| take_vertex(from, z)).collect()
}

fn take_one(from: &mut Source<'_>, code: u32, z: bool, into: &mut Footprint) -> Result<(), Broken> {
    match code {
        POINT => into.points.push(take_vertex(from, z)?),
        LINE_STRING => into.lines.push(take_path(from, z)?),
        POLYGON => {
            let rings = from.count(4)?;
            into.polygons.push((0..rings).map(|_| take_path(from, z)).collect::<Result<_, _>>()?);
        }
        _ => return Err(Broken("an unknown WKB type")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Area;

    fn square(at: f64, size: f64) -> Vec<DVec3> {
        [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
            .map(|(x, y)| DVec3::new(at + x * size, at + y * size, 7.0))
            .to_vec()
    }

    #[test]
    fn footprints_come_back_and_rings_are_closed() {
        let polygon = Polygon { outer: square(0.0, 10.0), holes: vec![square(4.0, 2.0)] };
        let area = Geometry::Area(Area { polygons: vec![polygon], vertical: Vertical::Absolute });
        let wkb = encode(&area);
        assert_eq!(type_name(&wkb), Some("MultiPolygon Z"));
        let back = decode(&wkb).unwrap();
        assert_eq!(back.polygons[0][0].len(), 5);
        assert_eq!(back.polygons[0][0][0], back.polygons[0][0][4]);
        assert_eq!(back.distance_in_plan(DVec2::new(1.0, 1.0)), 0.0);
        assert_eq!(back.distance_in_plan(DVec2::new(5.0, 5.0)), 1.0, "in the hole");
        assert_eq!(back.distance_in_plan(DVec2::new(13.0, 14.0)), 5.0);
        for cut in 0..wkb.len() {
            assert!(cut == 0 || decode(&wkb[..cut]).is_err());
        }
    }
}
