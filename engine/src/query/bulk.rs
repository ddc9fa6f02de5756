//! How much is built (体量): number, footprint, floor area, volume and height of buildings, for one state of the city beside another.

use std::collections::HashSet;

use glam::{DVec2, DVec3};
use serde::Serialize;

use super::{Found, Lifetimes, Query, Shape, run};
use crate::{
    model::{Class, Extent, Stage},
    store::{City, StoreError, read_footprint},
};

/// Height that a storey is taken to have where nobody says how many there are, metres.
pub const STOREY_M: f64 = 3.0;
/// Storeys that are taken for some: registers write 0 or 999 where they know none.
const STOREYS: std::ops::RangeInclusive<f64> = 1.0..=300.0;
/// The keys of the storeys above ground and of the height above it.
const STOREYS_KEY: &str = "storeys";
const HEIGHT_KEY: &str = "height_m";

/// Which buildings are meant. Empty lists mean: any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BulkQuestion {
    /// In which layers, by name; `None` = in all.
    pub layers: Option<Vec<String>>,
    /// At which stages.
    pub stages: Vec<Stage>,
    /// Those that were there at this time, milliseconds since 1970 UTC, by their periods and the year in which they were built.
    pub at: Option<i64>,
    /// Those whose middle lies in this box in plan.
    pub within: Option<Extent>,
    /// Not these, by id.
    pub without: Vec<String>,
}

/// How much is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bulk {
    /// Buildings; parts of one are not counted for themselves.
    pub buildings: i64,
    /// Area of the ground that they cover (基底面积), m²; what lies over each other is counted each.
    pub footprint_m2: f64,
    /// Footprint × storeys (建筑面积), m².
    pub floor_m2: f64,
    /// Of the floor area, what rests on storeys that nobody delivered, one to each 3 m of height, m².
    pub floor_assumed_m2: f64,
    /// Bodies whose storeys are assumed so.
    pub storeys_assumed: i64,
    /// Footprint × height (体积), m³.
    pub volume_m3: f64,
    /// Mean height of the bodies, each counted once, metres; 0 without any.
    pub mean_height_m: f64,
    /// Height of the highest body, metres.
    pub highest_m: f64,
    /// Bodies of which only the box around them is known, as of models: it stands for their footprint.
    pub boxed: i64,
    /// Buildings of which no shape tells a height and a footprint.
    pub unmeasured: i64,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Body {
    footprint_m2: f64,
    height_m: f64,
    storeys: Option<f64>,
    is_boxed: bool,
}

/// Adds up what is built of what `question` means.
pub fn bulk(city: &City, question: &BulkQuestion) -> Result<Bulk, StoreError> {
    let mut sum = Sum::default();
    let without: HashSet<&str> = question.without.iter().map(String::as_str).collect();
    for entry in city.layers() {
        let is_meant = question.layers.as_ref().is_none_or(|layers| layers.contains(&entry.name));
        if !is_meant || !entry.classes.contains_key(Class::Building.word()) {
            continue;
        }
        let lives = question.at.map(|_| Lifetimes::read(city, &entry.name)).transpose()?;
        let shape = question.within.map_or(Shape::All, |within| Shape::Box {
            min: within.min.with_z(f64::NEG_INFINITY),
            max: within.max.with_z(f64::INFINITY),
        });
        let query = Query {
            shape,
            layers: vec![entry.name.clone()],
            classes: vec![Class::Building],
            stages: question.stages.clone(),
            ..Query::default()
        };
        for found in run(city, &query)? {
            let found = found?;
            let is_there = match (&lives, question.at) {
                (Some(lives), Some(at)) => lives.is_there(&found.id, at),
                _ => true,
            };
            if is_there && !without.contains(found.id.as_str()) {
                sum.add(&found, question.within.as_ref());
            }
        }
    }
    Ok(sum.bulk())
}

impl Bulk {
    /// What is built here more than in `before`; negative where it is less. Means and highest are compared as they are.
    pub fn less(&self, before: &Self) -> Self {
        Self {
            buildings: self.buildings - before.buildings,
            footprint_m2: self.footprint_m2 - before.footprint_m2,
            floor_m2: self.floor_m2 - before.floor_m2,
            floor_assumed_m2: self.floor_assumed_m2 - before.floor_assumed_m2,
            storeys_assumed: self.storeys_assumed - before.storeys_assumed,
            volume_m3: self.volume_m3 - before.volume_m3,
            mean_height_m: self.mean_height_m - before.mean_height_m,
            highest_m: self.highest_m - before.highest_m,
            boxed: self.boxed - before.boxed,
            unmeasured: self.unmeasured - before.unmeasured,
        }
    }
}

/// What was added up so far.
#[derive(Default)]
struct Sum {
    bulk: Bulk,
    bodies: i64,
    heights_m: f64,
}

impl Sum {
    fn add(&mut self, found: &Found, within: Option<&Extent>) {
        if let Some(within) = within {
            let middle = found.extent.centre().truncate();
            let is_in = middle.cmpge(within.min.truncate()).all() && middle.cmple(within.max.truncate()).all();
            if found.extent.is_empty() || !is_in {
                return;
            }
        }
        let is_part = found.parent.is_some();
        self.bulk.buildings += i64::from(!is_part);
        let Some(body) = body_of(found) else {
            self.bulk.unmeasured += i64::from(!is_part);
            return;
        };
        let floor_m2 = body.footprint_m2 * body.storeys.unwrap_or((body.height_m / STOREY_M).round().max(1.0));
        self.bodies += 1;
        self.heights_m += body.height_m;
        self.bulk.footprint_m2 += body.footprint_m2;
        self.bulk.floor_m2 += floor_m2;
        if body.storeys.is_none() {
            self.bulk.floor_assumed_m2 += floor_m2;
            self.bulk.storeys_assumed += 1;
        }
        self.bulk.volume_m3 += body.footprint_m2 * body.height_m;
        self.bulk.highest_m = self.bulk.highest_m.max(body.height_m);
        self.bulk.boxed += i64::from(body.is_boxed);
    }

    fn bulk(self) -> Bulk {
        let mean_height_m = if self.bodies > 0 { self.heights_m / self.bodies as f64 } else { 0.0 };
        Bulk { mean_height_m, ..self.bulk }
    }
}

/// What is known of a building's body; `None` where it has no footprint or no height.
fn body_of(found: &Found) -> Option<Body> {
    let footprint = read_footprint(&found.footprint_wkb).ok()?;
    let number = |key: &str| {
        let is_assumed = found.assumed.iter().any(|(assumed, _)| &**assumed == key);
        let value = found.attributes.iter().find(|(name, _)| &**name == key).and_then(|(_, value)| value.as_f64());
        value.filter(|_| !is_assumed)
    };
    let body = Body {
        footprint_m2: footprint.polygons.iter().map(|rings| area_of(rings)).sum(),
        height_m: number(HEIGHT_KEY).filter(|height| *height > 0.0).unwrap_or(found.extent.size().z),
        storeys: number(STOREYS_KEY).filter(|storeys| STOREYS.contains(storeys)),
        // Only a box is one polygon of no multi-type.
        is_boxed: !footprint.is_multi,
    };
    let is_whole = body.footprint_m2 > 0.0 && body.height_m > 0.0;
    (is_whole && body.footprint_m2.is_finite() && body.height_m.is_finite()).then_some(body)
}

/// Area of a polygon in plan, without its holes; rings repeat their first corner, the outer one comes first.
fn area_of(rings: &[Vec<DVec3>]) -> f64 {
    let area = |ring: &Vec<DVec3>| {
        // From the first corner: coordinates of a city are large, and their products lose digits.
        let first = ring.first().map_or(DVec2::ZERO, |p| p.truncate());
        let sides = ring.windows(2).map(|pair| (pair[0].truncate() - first).perp_dot(pair[1].truncate() - first));
        sides.sum::<f64>().abs() * 0.5
    };
    let mut areas = rings.iter().map(area);
    let outer = areas.next().unwrap_or(0.0);
    (outer - areas.sum::<f64>()).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crs::Crs,
        model::{
            Attribute, Block, CityObject, Geometry, ImportReport, Mesh, MeshPart, ObjectId, Origin, Polygon, Value,
        },
        store::SourceRef,
    };

    fn square(west: f64, side: f64) -> Vec<DVec3> {
        let (low, high) = (DVec2::new(west, 4_000_000.0), DVec2::new(west + side, 4_000_000.0 + side));
        [(low.x, low.y), (high.x, low.y), (high.x, high.y), (low.x, high.y)]
            .map(|(x, y)| DVec3::new(x, y, 0.0))
            .to_vec()
    }

    fn block(id: &str, west: f64, side: f64, height_m: f64, storeys: Option<i64>) -> CityObject {
        let footprint = vec![Polygon { outer: square(west, side), holes: Vec::new() }];
        let block = Block { footprint, base_m: Some(5.0), height_m, lift_m: 0.0, storeys: None, roof: None };
        let mut object = CityObject::new(ObjectId(format!("b/{id}")), Class::Building, Geometry::Block(block));
        object.attributes.extend(storeys.map(|n| Attribute::read(&STOREYS_KEY.into(), Value::Int(n))));
        object
    }

    fn city(folder: &std::path::Path, objects: Vec<CityObject>) -> City {
        let city = City::create(&folder.join("c.city"), "c", &Crs::from_epsg(4549).unwrap(), None).unwrap();
        let mut draft = city.begin().unwrap();
        draft.replace_layer("b", vec![SourceRef::default()]).unwrap();
        for object in objects {
            draft.push("b", object).unwrap();
        }
        draft.commit(&mut ImportReport::default()).unwrap();
        City::open(&folder.join("c.city")).unwrap()
    }

    #[test]
    fn sums_are_those_of_a_hand() {
        let folder = tempfile::tempdir().unwrap();
        let mut court = block("court", 534_100.0, 30.0, 12.0, Some(4));
        let Geometry::Block(shape) = &mut court.geometry else { panic!() };
        // A court of 10 m by 10 m.
        let hole = [(110.0, 10.0), (110.0, 20.0), (120.0, 20.0), (120.0, 10.0)];
        shape.footprint[0].holes.push(hole.map(|(x, y)| DVec3::new(534_000.0 + x, 4_000_000.0 + y, 0.0)).to_vec());
        court.stage = Stage::Planned;
        let mut part = block("part", 534_020.0, 5.0, 40.0, None);
        part.parent = Some(ObjectId("b/tower".into()));
        let mut old = block("old", 534_300.0, 10.0, 6.0, Some(0));
        old.attributes.push(Attribute::read(&"year_built".into(), Value::Int(1990)));
        let nothing = CityObject::new(ObjectId("b/nothing".into()), Class::Building, Geometry::None);
        let tree = CityObject { class: Class::Tree, ..block("tree", 534_400.0, 9.0, 9.0, None) };
        let objects = vec![block("tower", 534_000.0, 20.0, 60.0, Some(20)), court, part, old, nothing, tree];
        let city = city(folder.path(), objects);
        let all = bulk(&city, &BulkQuestion::default()).unwrap();
        assert_eq!((all.buildings, all.unmeasured, all.storeys_assumed), (4, 1, 2));
        // 400 + (900 − 100) + 25 + 100.
        assert!((all.footprint_m2 - 1325.0).abs() < 1e-6, "{all:?}");
        // 400 × 20 + 800 × 4 + 25 × 13 (40 m) + 100 × 2 (6 m; 0 storeys are none).
        assert!((all.floor_m2 - (8000.0 + 3200.0 + 325.0 + 200.0)).abs() < 1e-6, "{all:?}");
        assert!((all.floor_assumed_m2 - 525.0).abs() < 1e-6, "{all:?}");
        // 400 × 60 + 800 × 12 + 25 × 40 + 100 × 6.
        assert!((all.volume_m3 - (24_000.0 + 9600.0 + 1000.0 + 600.0)).abs() < 1e-6, "{all:?}");
        assert!((all.mean_height_m - 29.5).abs() < 1e-9 && all.highest_m == 60.0, "{all:?}");

        let ask = |question: BulkQuestion| bulk(&city, &question).unwrap();
        let planned = ask(BulkQuestion { stages: vec![Stage::Planned], ..BulkQuestion::default() });
        assert_eq!((planned.buildings, planned.highest_m, planned.volume_m3.round()), (1, 12.0, 9600.0));
        let more = all.less(&planned);
        assert_eq!((more.buildings, more.volume_m3.round(), more.highest_m), (3, 25_600.0, 48.0));
        assert_eq!(ask(BulkQuestion { layers: Some(vec!["x".into()]), ..BulkQuestion::default() }), Bulk::default());
        let within =
            Extent { min: DVec3::new(534_000.0, 3_999_000.0, 0.0), max: DVec3::new(534_050.0, 4_001_000.0, 1.0) };
        let inside = ask(BulkQuestion { within: Some(within), ..BulkQuestion::default() });
        assert_eq!((inside.buildings, inside.footprint_m2.round(), inside.unmeasured), (1, 425.0, 0));
        let hidden = ask(BulkQuestion { without: vec!["b/tower".into()], ..BulkQuestion::default() });
        assert_eq!((hidden.buildings, hidden.highest_m), (3, 40.0));
        // In 1980 the house of 1990 was not there.
        let at = ask(BulkQuestion { at: Some(315_532_800_000), ..BulkQuestion::default() });
        assert_eq!((at.buildings, at.footprint_m2.round()), (3, 1225.0));
    }

    #[test]
    fn what_is_assumed_and_what_is_only_a_box_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let part = MeshPart {
            positions: vec![DVec3::ZERO, DVec3::new(10.0, 0.0, 0.0), DVec3::new(0.0, 8.0, 9.0)],
            indices: vec![0, 1, 2],
            ..MeshPart::default()
        };
        let mesh = Mesh { origin: DVec3::new(534_000.0, 4_000_000.0, 20.0), parts: vec![part] };
        let model = CityObject::new(ObjectId("b/model".into()), Class::Building, Geometry::Mesh(mesh));
        let mut guessed = block("guessed", 534_100.0, 10.0, 9.0, Some(7));
        guessed.attributes[0].origin = Origin::Defaulted("height / 3 m".into());
        let all = bulk(&city(folder.path(), vec![model, guessed]), &BulkQuestion::default()).unwrap();
        assert_eq!((all.buildings, all.boxed, all.storeys_assumed, all.unmeasured), (2, 1, 2, 0), "{all:?}");
        assert!((all.footprint_m2 - 180.0).abs() < 1e-3 && (all.volume_m3 - 180.0 * 9.0).abs() < 0.1, "{all:?}");
        // Three storeys each, whatever was put in at the import.
        assert!((all.floor_assumed_m2 - 540.0).abs() < 0.1 && all.floor_m2 == all.floor_assumed_m2, "{all:?}");
    }
}
