//! Elements to objects: geometry, fields, and what is assumed.

use std::{collections::HashMap, sync::Arc};

use glam::DVec3;
use groundline_engine::model::{Attribute, Class, Domain, ObjectId, Polygon, SourceReport, Value};

use super::{
    block::Tags,
    class::{Found, Role, assumed_tube},
    part::{Key, Parts},
    place::Places,
    survey::{AreaRelation, Relations},
};
use crate::{
    feature::{Feature, Maker, Said, Shape, grouped_rings, signed_area},
    format::{ImportError, Job, Out},
};

/// Distinct keys that are shared; a file with more of them costs a little more memory per object.
const MAX_WORDS: usize = 50_000;
/// How far below the ground an area is drawn for each layer that it lies under it, metres.
const LAYER_M: f64 = 4.0;
/// How far below the ground a stream in a culvert is drawn, metres.
const CULVERT_M: f64 = 1.5;

/// Makes objects.
pub(super) struct Things<'a> {
    pub job: &'a Job<'a>,
    pub out: &'a mut dyn Out,
    pub report: &'a mut SourceReport,
    /// Places of nodes, once they are known.
    pub places: Option<Places>,
    pub parts: Parts,
    maker: Maker<'a>,
    words: HashMap<String, Arc<str>>,
}

/// The nodes of a way that have a place, and how many have none.
struct Located {
    vertices: Vec<Option<DVec3>>,
    missing: usize,
}

impl<'a> Things<'a> {
    pub fn new(job: &'a Job<'a>, out: &'a mut dyn Out, report: &'a mut SourceReport) -> Self {
        let mut maker = Maker::new(job);
        // Ids are OpenStreetMap's, never a tag that looks like one.
        maker.settle_id(&[]);
        let parts = Parts::default();
        Self { job, out, report, places: None, parts, maker, words: HashMap::new() }
    }

    /// A key as shared text.
    pub fn word(&mut self, text: &str) -> Arc<str> {
        if let Some(word) = self.words.get(text) {
            return word.clone();
        }
        let word: Arc<str> = text.into();
        if self.words.len() < MAX_WORDS {
            self.words.insert(text.into(), word.clone());
        }
        word
    }

    fn fields(&mut self, tags: &Tags<'_>) -> Vec<(Arc<str>, Value)> {
        tags.iter().map(|(key, value)| (self.word(key), Value::Text((*value).to_owned()))).collect()
    }

    /// A tree, a lamp and the like.
    pub fn node(&mut self, id: i64, lon: i32, lat: i32, tags: &Tags<'_>, found: &Found) -> Result<(), ImportError> {
        let at = DVec3::new(f64::from(lon) / 1e7, f64::from(lat) / 1e7, 0.0);
        let shape = Shape { points: vec![at], ..Shape::default() };
        let feature =
            Feature { record: id.unsigned_abs(), id: Some(format!("node/{id}")), shape, fields: self.fields(tags) };
        let said = Said { class: Some(found.class), ..Said::default() };
        self.maker.take_as(feature, said, self.out, self.report)
    }

    /// A line or an area of one way.
    pub fn way(&mut self, id: i64, refs: &[i64], tags: &Tags<'_>, found: &Found) -> Result<(), ImportError> {
        let located = self.locate(refs);
        let shape = if found.is_area {
            if located.missing > 0 {
                let reason = format!("way/{id}: {} of its {} nodes are not in the file", located.missing, refs.len());
                self.report.skip(id.unsigned_abs(), reason);
                return Ok(());
            }
            let outer = located.vertices.into_iter().flatten().collect();
            Shape { polygons: vec![Polygon { outer, holes: Vec::new() }], ..Shape::default() }
        } else {
            if located.missing > 0 {
                let message = "ways were cut where their nodes are not in the file";
                self.report.warn("missing_nodes", message, format!("way/{id}"));
            }
            let runs = located.vertices.split(Option::is_none);
            let lines: Vec<Vec<DVec3>> = runs
                .map(|run| run.iter().flatten().copied().collect::<Vec<_>>())
                .filter(|run| run.len() >= 2)
                .collect();
            if lines.is_empty() {
                self.report.skip(id.unsigned_abs(), format!("way/{id}: fewer than two of its nodes are in the file"));
                return Ok(());
            }
            Shape { lines, ..Shape::default() }
        };
        let fields = self.fields(tags);
        self.emit(Key { is_relation: false, id }, shape, fields, tags, found)
    }

    /// An area of many ways.
    pub fn relation(&mut self, relations: &Relations, relation: &AreaRelation) -> Result<(), ImportError> {
        let id = relation.id;
        let (polygons, missing, open) = self.polygons(relations, relation);
        if polygons.is_empty() {
            let reason = match missing {
                0 => format!("relation/{id}: its ways close no ring"),
                _ => format!("relation/{id}: {missing} of its ways or nodes are not in the file, and no ring is whole"),
            };
            self.report.skip(id.unsigned_abs(), reason);
            return Ok(());
        }
        if missing + open > 0 {
            let message = "multipolygons lack rings whose ways are not all in the file";
            self.report.warn("open_rings", message, format!("relation/{id}"));
        }
        let shape = Shape { polygons, ..Shape::default() };
        let is_structure = |key: &str, value: &str| key == "type" && value == "multipolygon";
        let fields = relation.tags.iter().filter(|(k, v)| !is_structure(k, v));
        let fields = fields.map(|(k, v)| (k.clone(), Value::Text(v.clone()))).collect();
        let tags: Vec<(&str, &str)> = relation.tags.iter().map(|(k, v)| (&**k, v.as_str())).collect();
        self.emit(Key { is_relation: true, id }, shape, fields, &tags, &relation.found)
    }

    /// Remembers where a part is.
    pub fn note_part(&mut self, id: i64, refs: &[i64]) {
        let located = self.locate(refs);
        if located.missing == 0 {
            let outer = located.vertices.into_iter().flatten().collect();
            self.add_part(Key { is_relation: false, id }, &[Polygon { outer, holes: Vec::new() }]);
        }
    }

    /// As [`Things::note_part`], for a part of several ways.
    pub fn note_part_relation(&mut self, relations: &Relations, relation: &AreaRelation) {
        let (polygons, ..) = self.polygons(relations, relation);
        self.add_part(Key { is_relation: true, id: relation.id }, &polygons);
    }

    fn add_part(&mut self, key: Key, polygons: &[Polygon]) {
        if !self.parts.add(key, polygons) {
            let message = "too many building parts: the outlines of some are drawn as well";
            self.report.warn("too_many_parts", message, key.to_string());
        }
    }

    fn locate(&self, refs: &[i64]) -> Located {
        let place = |id: &i64| self.places.as_ref().and_then(|places| places.get(*id));
        let vertices: Vec<Option<DVec3>> = refs.iter().map(place).collect();
        let missing = vertices.iter().filter(|v| v.is_none()).count();
        Located { vertices, missing }
    }

    /// Polygons of a relation, how many of its ways or rings lack something, how many ways close no ring.
    fn polygons(&self, relations: &Relations, relation: &AreaRelation) -> (Vec<Polygon>, usize, usize) {
        let (rings, mut missing, open) = relations.rings(relation);
        let mut oriented = Vec::with_capacity(rings.len());
        for (refs, is_inner) in rings {
            let located = self.locate(&refs);
            if located.missing > 0 {
                missing += 1;
                continue;
            }
            let mut ring: Vec<DVec3> = located.vertices.into_iter().flatten().collect();
            // Clockwise is outer there.
            if (signed_area(&ring) > 0.0) != is_inner {
                ring.reverse();
            }
            oriented.push(ring);
        }
        (grouped_rings(oriented), missing, open)
    }

    /// Makes the object of a way or a relation.
    fn emit(
        &mut self,
        key: Key,
        mut shape: Shape,
        fields: Vec<(Arc<str>, Value)>,
        tags: &Tags<'_>,
        found: &Found,
    ) -> Result<(), ImportError> {
        let mut said = Said { class: Some(found.class), stage: found.stage, ..Said::default() };
        match found.part {
            Role::No => {}
            Role::Outline => {
                if found.below.is_none() && self.parts.claim(key, &shape.polygons) {
                    shape = Shape::default();
                    said.is_shapeless = true;
                    let value = Value::Text("building:part".into());
                    said.attributes.push(Attribute::measured("drawn_by", value, "parts lie inside its outline"));
                }
            }
            Role::Part => {
                said.parent = self.parts.outline_of(key).map(|outline| ObjectId::new(self.job.layer, outline));
            }
        }
        if let Some(below) = found.below {
            said.domain = Some(Domain::Below);
            sink(&mut shape, &mut said, tags, found, below);
        }
        let feature = Feature { record: key.id.unsigned_abs(), id: Some(key.to_string()), shape, fields };
        self.maker.take_as(feature, said, self.out, self.report)
    }

    /// Says what could only be known at the end.
    pub fn finish(self) -> Result<(), ImportError> {
        self.maker.finish(self.out, self.report)
    }
}

/// Puts what lies below the ground there: lines as tunnels, water and areas at an assumed depth.
fn sink(shape: &mut Shape, said: &mut Said, tags: &Tags<'_>, found: &Found, below: f64) {
    if !found.is_area && matches!(found.class, Class::Road | Class::Railway) {
        said.class = Some(Class::Tunnel);
        said.assumed = Some(assumed_tube(tags, found, below));
        return;
    }
    if found.class == Class::Pipe {
        return;
    }
    let (depth_m, why) = match found.class {
        Class::Water => (CULVERT_M, "depth unknown: 1.5 m assumed"),
        _ => (LAYER_M * below, "depth unknown: 4 m for each layer below the ground assumed"),
    };
    said.is_flat = true;
    said.attributes.push(Attribute::defaulted("depth_m", Value::Real(depth_m), why));
    shape.for_each_mut(|v| v.z = -depth_m);
}
