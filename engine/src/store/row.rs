//! One row of a layer's GeoParquet file.

use glam::DVec2;

use super::{
    bytes::{Broken, Sink, Source},
    json::{self, Origins},
    shape::{self, Kind},
    wkb,
};
use crate::{
    model::{CityObject, Class, Domain, Extent, Geometry, ObjectId, Stage, Value},
    tile::{Ground, hilbert},
};

/// One object, or one part of a scan, DEM or picture, as it stands in the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub id: String,
    pub class: Class,
    pub stage: Stage,
    pub domain: Domain,
    pub name: Option<String>,
    pub parent: Option<String>,
    pub record: u64,
    /// Running number of a grid or picture within its layer; 0 for whole objects.
    pub part: u32,
    pub kind: Kind,
    pub wkb: Vec<u8>,
    pub extent: Extent,
    /// Whether z of `extent` still counts from the terrain.
    pub stands_on_terrain: bool,
    /// Milliseconds since 1970 from when on it exists.
    pub valid_from: Option<i64>,
    /// Milliseconds since 1970 up to when it exists.
    pub valid_to: Option<i64>,
    pub attributes: String,
    pub provenance: String,
    pub shape: Vec<u8>,
    /// Scan points.
    pub points: u64,
    /// Which of the layer's sources it came from; not in the file but beside it.
    pub source: u32,
}

impl Row {
    /// The row of `object`.
    pub(crate) fn new(object: &CityObject, part: u32) -> Result<Self, Broken> {
        let (attributes, provenance) = json::write_attributes(&object.attributes);
        let points = match &object.geometry {
            Geometry::Points(batch) => batch.positions.len() as u64,
            _ => 0,
        };
        let extent = object.geometry.extent();
        Ok(Self {
            id: object.id.0.clone(),
            class: object.class,
            stage: object.stage,
            domain: object.domain,
            name: object.name.clone(),
            parent: object.parent.as_ref().map(|p| p.0.clone()),
            record: object.record,
            part,
            kind: Kind::of(&object.geometry),
            wkb: wkb::encode(&object.geometry),
            extent: if is_sound(&extent) { extent } else { plan_only(extent) },
            stands_on_terrain: shape::stands_on_terrain(&object.geometry),
            valid_from: time_of(object, "valid_from"),
            valid_to: time_of(object, "valid_to"),
            attributes,
            provenance,
            shape: shape::encode(&object.geometry)?,
            points,
            source: 0,
        })
    }

    /// The object. Meshes and scans come without their shape, which is in the tiles.
    pub(crate) fn object(&self, origins: &mut Origins) -> Result<CityObject, Broken> {
        Ok(CityObject {
            id: ObjectId(self.id.clone()),
            class: self.class,
            stage: self.stage,
            domain: self.domain,
            name: self.name.clone(),
            parent: self.parent.clone().map(ObjectId),
            geometry: shape::decode(self.kind, &self.shape)?,
            attributes: origins.attributes(&self.attributes, &self.provenance)?,
            record: self.record,
        })
    }

    /// Lifts the box of what stands on the terrain onto it: by the lowest and highest ground at its corners
    /// and its middle.
    pub(crate) fn settle(&mut self, ground: &Ground) {
        if !self.stands_on_terrain || self.extent.is_empty() || ground.is_empty() {
            return;
        }
        let (low, high) = (self.extent.min, self.extent.max);
        let middle = self.extent.centre().truncate();
        let places = [middle, low.truncate(), high.truncate(), DVec2::new(low.x, high.y), DVec2::new(high.x, low.y)];
        let heights = places.iter().filter_map(|p| ground.height_at(*p));
        let (lowest, highest) = heights.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), z| (l.min(z), h.max(z)));
        if lowest <= highest {
            self.extent.min.z += lowest;
            self.extent.max.z += highest;
        }
    }

    /// Where the row stands in the file's order: along a Hilbert curve through the middle of its box.
    pub(crate) fn order(&self) -> u64 {
        if self.extent.is_empty() { 0 } else { hilbert(self.extent.centre().truncate()) }
    }

    /// The row as bytes for the spill.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.written(self.stands_on_terrain, &self.shape, self.source)
    }

    /// As much of it as an answer wants.
    pub(crate) fn encode_without_shape(&self) -> Vec<u8> {
        self.written(false, &[], 0)
    }

    fn written(&self, stands_on_terrain: bool, shape: &[u8], source: u32) -> Vec<u8> {
        let mut out = Sink::default();
        out.text(&self.id);
        out.u32(self.part);
        out.u8(index_of(Class::ALL, self.class));
        out.u8(index_of(Stage::ALL, self.stage));
        out.u8(index_of(Domain::ALL, self.domain));
        out.u8(self.kind as u8);
        out.u8(u8::from(stands_on_terrain));
        out.maybe_text(self.name.as_deref());
        out.maybe_text(self.parent.as_deref());
        out.u64(self.record);
        out.u64(self.points);
        out.vec3(self.extent.min);
        out.vec3(self.extent.max);
        out.maybe_i64(self.valid_from);
        out.maybe_i64(self.valid_to);
        out.text(&self.attributes);
        out.text(&self.provenance);
        out.bytes(&self.wkb);
        out.bytes(shape);
        out.u32(source);
        out.0
    }

    /// Hash of the state that the object is in: equal when nothing that people ask for changed. Where in its source it
    /// stands, where its attributes came from and which ground is below it are no part of that.
    pub(crate) fn state(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(self.class.word().as_bytes());
        add(self.stage.word().as_bytes());
        add(self.domain.word().as_bytes());
        add(self.kind.word().as_bytes());
        for text in [&self.name, &self.parent] {
            add(&[u8::from(text.is_some())]);
            add(text.as_deref().unwrap_or_default().as_bytes());
        }
        add(self.attributes.as_bytes());
        add(&self.wkb);
        add(&self.shape);
        add(&self.points.to_le_bytes());
        if self.kind.is_in_tiles_only() {
            // The shape itself is not here: its box stands in for it.
            let Extent { min, max } = self.extent;
            for v in [min.x, min.y, min.z, max.x, max.y, max.z] {
                add(&v.to_le_bytes());
            }
        }
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The row from its bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Broken> {
        const BAD: Broken = Broken("an unknown word");
        let mut from = Source(bytes);
        let (id, part) = (from.text()?.to_owned(), from.u32()?);
        let class = *Class::ALL.get(usize::from(from.u8()?)).ok_or(BAD)?;
        let stage = *Stage::ALL.get(usize::from(from.u8()?)).ok_or(BAD)?;
        let domain = *Domain::ALL.get(usize::from(from.u8()?)).ok_or(BAD)?;
        let kind = *Kind::ALL.get(usize::from(from.u8()?)).ok_or(BAD)?;
        Ok(Self {
            id,
            class,
            stage,
            domain,
            stands_on_terrain: from.flag()?,
            name: from.maybe_text()?,
            parent: from.maybe_text()?,
            record: from.u64()?,
            part,
            kind,
            points: from.u64()?,
            extent: Extent { min: from.vec3()?, max: from.vec3()? },
            valid_from: from.maybe_i64()?,
            valid_to: from.maybe_i64()?,
            attributes: from.text()?.to_owned(),
            provenance: from.text()?.to_owned(),
            wkb: from.bytes()?.to_vec(),
            shape: from.bytes()?.to_vec(),
            source: from.u32()?,
        })
    }
}

fn is_sound(extent: &Extent) -> bool {
    extent.min.is_finite() && extent.max.is_finite()
}

/// A grid without a single sample has a place but no height.
fn plan_only(mut extent: Extent) -> Extent {
    if extent.min.z > extent.max.z {
        (extent.min.z, extent.max.z) = (0.0, 0.0);
    }
    if is_sound(&extent) { extent } else { Extent::EMPTY }
}

fn index_of<T: PartialEq>(all: &[T], one: T) -> u8 {
    all.iter().position(|x| *x == one).unwrap_or(0) as u8
}

/// The attribute `key` as a time: RFC 3339, a plain date, or milliseconds since 1970.
fn time_of(object: &CityObject, key: &str) -> Option<i64> {
    match object.value(key)? {
        Value::Int(ms) => Some(*ms),
        Value::Text(text) => read_time(text),
        _ => None,
    }
}

/// Milliseconds since 1970 of `2024-05-01`, `2024-05-01T08:00:00+08:00` or a number of milliseconds.
pub(crate) fn read_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    if let Ok(day) = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Attribute, Block, HeightGrid, Point, Polygon, Section, Tube, Vertical};
    use glam::DVec3;

    fn building() -> CityObject {
        let outer = [(0.0, 0.0), (10.0, 0.0), (10.0, 8.0), (0.0, 8.0)];
        let outer = outer.map(|(x, y)| DVec3::new(40_500_000.0 + x, 4_000_000.0 + y, 0.0)).to_vec();
        let block = Block {
            footprint: vec![Polygon { outer, holes: vec![] }],
            base_m: None,
            height_m: 24.3,
            lift_m: 0.0,
            storeys: Some(8),
            roof: Some(crate::model::Roof::Hip),
        };
        let mut object = CityObject::new(ObjectId::new("b", 1), Class::Building, Geometry::Block(block));
        object.name = Some("市政府".into());
        object.parent = Some(ObjectId::new("campus", 7));
        object.record = 1;
        object.attributes.push(Attribute::converted("valid_from", Value::Text("2001-02-03".into()), "D", "date"));
        object
    }

    #[test]
    fn every_field_survives_the_spill_and_the_shape_is_lossless() {
        let tube = Tube {
            axis: vec![DVec3::new(1.0, 2.0, -3.0), DVec3::new(4.0, 5.0, -6.5)],
            vertical: Vertical::Absolute,
            section: Section::Rect { width_m: 2.0, height_m: 1.5 },
            from: Some("W1".into()),
            to: None,
        };
        let grid = HeightGrid {
            north_west: DVec2::new(1.0, 2.0),
            step_m: DVec2::splat(5.0),
            columns: 2,
            rows: 2,
            heights: vec![1.5, -0.0, 3.25, f32::MIN],
        };
        let pipe = CityObject::new(ObjectId::new("p", 9), Class::Pipe, Geometry::Tube(tube));
        let mut bridge = building();
        let Geometry::Block(block) = &mut bridge.geometry else { panic!() };
        block.lift_m = 9.5;
        let dem = CityObject::new(ObjectId::new("dem", 0), Class::Terrain, Geometry::Heights(grid));
        for object in [building(), bridge, pipe, dem] {
            let row = Row::new(&object, 3).unwrap();
            let back = Row::decode(&row.encode()).unwrap();
            assert_eq!(back, row);
            assert_eq!(back.object(&mut Origins::default()).unwrap(), object);
        }
        assert_eq!(Row::new(&building(), 0).unwrap().valid_from, Some(981_158_400_000));
    }

    #[test]
    fn what_stands_on_the_terrain_is_lifted_onto_it() {
        let heights = HeightGrid {
            north_west: DVec2::new(40_499_900.0, 4_000_100.0),
            step_m: DVec2::splat(200.0),
            columns: 2,
            rows: 2,
            heights: vec![50.0; 4],
        };
        let mut row = Row::new(&building(), 0).unwrap();
        row.settle(&Ground::new(vec![heights]));
        assert_eq!((row.extent.min.z, row.extent.max.z), (50.0, 74.3));
    }

    #[test]
    fn an_absurd_place_has_an_order() {
        let point = Geometry::Point(Point { at: DVec3::splat(1e300), vertical: Vertical::Absolute });
        let _ = Row::new(&CityObject::new(ObjectId::new("x", 1), Class::Tree, point), 0).unwrap().order();
    }
}
