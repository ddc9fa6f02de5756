//! Features to city objects, one by one or many at a time on every core.
//!
//! What is made of a feature depends on the feature and on what is settled for its source ([`Settled`]), so blocks of
//! features are made side by side. What depends on the features before (is the id taken?) is done in their order
//! afterwards: the result is the same on any number of cores.

use std::{hash::BuildHasher, sync::Arc};

use groundline_engine::model::{Attribute, CityObject, Class, ObjectId, SourceReport, Stage, Value};
use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::{
    Dimension, Feature, Said, Shape, attribute::Fields, class, corner::Corners, geometry, has_swapped_axes, joined,
};
use crate::{
    field::Recogniser,
    format::{ImportError, Job, Out},
};

/// Ids that are remembered to find duplicates. Beyond this many, every id gets its record number appended, so that
/// memory stays bounded and ids stay unique.
const MAX_IDS: usize = 16_000_000;
/// Records that one core makes at a time.
const PIECE: usize = 256;
/// Records that wait until they are made together.
pub(crate) const BLOCK: usize = 4096;
/// Vertices that wait until they are made together.
const BLOCK_VERTICES: usize = 1 << 20;

/// Makes city objects of features.
pub(crate) struct Maker<'a> {
    settled: Settled<'a>,
    recogniser: Recogniser,
    corners: Corners,
    seen: FxHashSet<u64>,
    hasher: std::hash::BuildHasherDefault<std::hash::DefaultHasher>,
    waiting: Vec<Feature>,
    waiting_vertices: usize,
}

/// What holds for all features of a source.
struct Settled<'a> {
    job: &'a Job<'a>,
    class: Class,
    is_class_given: bool,
    has_swapped_axes: bool,
    id_field: IdField,
}

/// Which field identifies the features of this source.
enum IdField {
    /// No feature was seen yet.
    Open,
    /// This one.
    Field(Arc<str>),
    /// None: the record number does.
    None,
}

/// What was made of one feature, but for ids that others may have taken.
struct Prepared {
    key: Key,
    record: u64,
    /// Each with the id that it has if nobody has taken it.
    objects: Vec<CityObject>,
}

/// The part of the id that names the feature within its layer.
enum Key {
    /// Of its own making: nobody else has it.
    Number(String),
    /// From the source, out of the named field.
    Own { id: String, field: Arc<str> },
}

impl Key {
    fn text(&self) -> &str {
        match self {
            Key::Number(text) | Key::Own { id: text, .. } => text,
        }
    }
}

/// Names of fields, each kept once: for the records of one piece, so that cores do not count references of the same.
#[derive(Default)]
pub(crate) struct Names {
    all: Vec<Arc<str>>,
    next: usize,
}

/// Names beyond this many are not looked for among the others.
const MAX_NAMES: usize = 64;

impl Names {
    /// The name, the same for every record. Records have their fields in the same order mostly.
    pub fn get(&mut self, name: &str) -> Arc<str> {
        let guess = self.next;
        if let Some(known) = self.all.get(guess).filter(|n| ***n == *name) {
            self.next = guess + 1;
            return known.clone();
        }
        if let Some(at) = self.all.iter().position(|n| **n == *name) {
            self.next = at + 1;
            return self.all[at].clone();
        }
        let new: Arc<str> = name.into();
        if self.all.len() < MAX_NAMES {
            self.all.push(new.clone());
            self.next = self.all.len();
        }
        new
    }

    /// A record begins.
    pub fn begin(&mut self) {
        self.next = 0;
    }
}

impl<'a> Maker<'a> {
    /// For one source.
    pub fn new(job: &'a Job<'a>) -> Self {
        let suggested = job.probe.class.as_ref().map(|(class, _)| *class);
        Self {
            settled: Settled {
                job,
                class: job.options.class.or(suggested).unwrap_or(Class::Generic),
                is_class_given: job.options.class.is_some(),
                has_swapped_axes: has_swapped_axes(&job.options.map),
                id_field: IdField::Open,
            },
            recogniser: Recogniser::new(&job.options.map),
            corners: Corners::default(),
            seen: FxHashSet::default(),
            hasher: std::hash::BuildHasherDefault::default(),
            waiting: Vec::new(),
            waiting_vertices: 0,
        }
    }

    /// Settles the field that identifies the features, where the format knows all fields beforehand.
    pub fn settle_id(&mut self, fields: &[Arc<str>]) {
        let ranked = fields.iter().filter_map(|f| Some((self.id_rank(f)?, f)));
        self.settled.id_field =
            ranked.min_by_key(|(rank, _)| *rank).map_or(IdField::None, |(_, f)| IdField::Field(f.clone()));
    }

    /// Networks refer to their nodes and pipes by name.
    fn id_rank(&mut self, field: &Arc<str>) -> Option<usize> {
        let recognised = self.recogniser.recognise(field)?;
        match (recognised.key, self.settled.class) {
            ("id", _) => Some(recognised.rank),
            ("name", Class::Pipe | Class::PipeNode | Class::Manhole) => Some(1000 + recognised.rank),
            _ => None,
        }
    }

    fn settle_by(&mut self, feature: &Feature) {
        if matches!(self.settled.id_field, IdField::Open) {
            let names: Vec<Arc<str>> = feature.fields.iter().map(|(name, _)| name.clone()).collect();
            self.settle_id(&names);
        }
    }

    /// Takes one feature, which is made together with others; [`Maker::finish`] makes the last ones.
    pub fn take(&mut self, feature: Feature, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        self.waiting_vertices += feature.shape.count();
        self.waiting.push(feature);
        if self.waiting.len() >= BLOCK || self.waiting_vertices >= BLOCK_VERTICES {
            self.flush(out, report)?;
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        self.waiting_vertices = 0;
        let features = std::mem::take(&mut self.waiting);
        self.take_block(features, |feature, _, _| Some(feature), out, report)
    }

    /// Makes the objects of one feature at once and hands them on, for a feature of which the format knows more than
    /// its fields say. A feature that cannot be made is skipped and counted.
    pub fn take_as(
        &mut self,
        mut feature: Feature,
        said: Said,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        self.flush(out, report)?;
        self.settle_by(&feature);
        self.settled.look(&mut feature, &mut self.corners, report);
        let mut vertices = feature.shape.vertices();
        self.settled.job.city_from_source.apply(&mut vertices);
        let prepared = match feature.shape.replace(&mut vertices.into_iter()) {
            true => self.settled.make(feature, said, &mut self.recogniser, report),
            false => {
                report.skip(feature.record, self.settled.out_of_range());
                None
            }
        };
        prepared.map_or(Ok(()), |prepared| self.emit(prepared, out, report))
    }

    /// Makes the objects of many records on every core: `read` makes a feature of a record, or says in the report why
    /// not. Objects, warnings and skips come in the order of the records.
    pub fn take_block<R: Send>(
        &mut self,
        mut records: Vec<R>,
        read: impl Fn(R, &mut Names, &mut SourceReport) -> Option<Feature> + Sync,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        // The first feature of all settles what identifies them.
        while matches!(self.settled.id_field, IdField::Open) && !records.is_empty() {
            if let Some(feature) = read(records.remove(0), &mut Names::default(), report) {
                self.settle_by(&feature);
                self.take_pieces(vec![vec![feature]], |feature, _, _| Some(feature), out, report)?;
            }
        }
        let mut pieces = Vec::with_capacity(records.len() / PIECE + 1);
        let mut records = records.into_iter();
        loop {
            let piece: Vec<R> = records.by_ref().take(PIECE).collect();
            if piece.is_empty() {
                break;
            }
            pieces.push(piece);
        }
        self.take_pieces(pieces, read, out, report)
    }

    fn take_pieces<R: Send>(
        &mut self,
        pieces: Vec<Vec<R>>,
        read: impl Fn(R, &mut Names, &mut SourceReport) -> Option<Feature> + Sync,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        let (settled, recogniser) = (&self.settled, &self.recogniser);
        let has_enough = self.corners.has_enough();
        let made: Vec<Piece> = pieces
            .into_par_iter()
            .map(|records| {
                let mut piece = Piece { recogniser: recogniser.clone(), ..Piece::default() };
                let mut names = Names::default();
                let mut features: Vec<Feature> = records
                    .into_iter()
                    .filter_map(|record| {
                        names.begin();
                        read(record, &mut names, &mut piece.report)
                    })
                    .collect();
                let mut vertices = Vec::new();
                for feature in &mut features {
                    let mut unused = Corners::default();
                    let corners = if has_enough { &mut unused } else { &mut piece.corners };
                    settled.look(feature, corners, &mut piece.report);
                    vertices.extend(feature.shape.all());
                }
                settled.job.city_from_source.apply(&mut vertices);
                let mut vertices = vertices.into_iter();
                for mut feature in features {
                    if feature.shape.replace(&mut vertices) {
                        let made = settled.make(feature, Said::default(), &mut piece.recogniser, &mut piece.report);
                        piece.prepared.extend(made);
                    } else {
                        piece.report.skip(feature.record, settled.out_of_range());
                    }
                }
                piece
            })
            .collect();
        for piece in made {
            report.absorb(piece.report);
            self.corners.merge(&piece.corners);
            self.recogniser.learn(piece.recogniser);
            for prepared in piece.prepared {
                self.emit(prepared, out, report)?;
            }
        }
        Ok(())
    }

    /// Makes what still waits, and says what could only be known at the end.
    pub fn finish(mut self, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        self.flush(out, report)?;
        // What the format itself skipped was counted while others still waited.
        report.skips.sort_by_key(|skip| skip.record);
        if let Some(message) = self.corners.verdict() {
            report.warn("axes_maybe_swapped", message, "all records");
        }
        Ok(())
    }

    fn emit(&mut self, prepared: Prepared, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        let Prepared { key, record, mut objects } = prepared;
        if let Key::Own { id, field } = &key
            && !self.is_new(id)
        {
            if self.seen.len() < MAX_IDS {
                let message = format!("field {field} is not unique ({id} comes again); the record number was appended");
                report.warn("duplicate_id", message, format!("record {record}"));
            }
            name(&mut objects, self.settled.job.layer, &format!("{id}~{record}"));
        }
        objects.into_iter().try_for_each(|object| out.emit(object))
    }

    fn is_new(&mut self, id: &str) -> bool {
        self.seen.len() < MAX_IDS && self.seen.insert(self.hasher.hash_one(id))
    }
}

/// What one core made of a piece of the records.
#[derive(Default)]
struct Piece {
    prepared: Vec<Prepared>,
    report: SourceReport,
    corners: Corners,
    recogniser: Recogniser,
}

/// Gives the objects of one feature their ids: a number after it tells several apart.
fn name(objects: &mut [CityObject], layer: &str, key: &str) {
    let several = objects.len() > 1;
    for (part, object) in objects.iter_mut().enumerate() {
        object.id = match several {
            true => ObjectId::new(layer, format_args!("{key}.{}", part + 1)),
            false => ObjectId::new(layer, key),
        };
    }
}

impl Settled<'_> {
    /// What is to be seen in the source's own coordinates.
    fn look(&self, feature: &mut Feature, corners: &mut Corners, report: &mut SourceReport) {
        if self.has_swapped_axes {
            feature.shape.for_each_mut(|v| (v.x, v.y) = (v.y, v.x));
        } else if self.job.crs.is_geographic && self.class == Class::Building {
            corners.count(&feature.shape);
        }
        if feature.shape.has_z {
            let unit_m = crate::height::unit_of(self.job.crs, report, &format!("record {}", feature.record));
            if unit_m != 1.0 {
                feature.shape.for_each_mut(|v| v.z *= unit_m);
            }
        }
    }

    /// Makes the objects of a feature that stands in the city's frame already.
    fn make(
        &self,
        mut feature: Feature,
        said: Said,
        recogniser: &mut Recogniser,
        report: &mut SourceReport,
    ) -> Option<Prepared> {
        let record = feature.record;
        let key = self.key(&feature);
        self.keep_id(&mut feature);
        let fields = Fields::new(&feature.fields, recogniser);
        let class = said.class.unwrap_or_else(|| self.class_of(&feature.shape, &feature.fields, &fields));
        let maker = geometry::Context { class, layer: self.job.layer, record, said: &said };
        let made = match maker.make(std::mem::take(&mut feature.shape), &fields, report) {
            Ok(made) => made,
            Err(reason) => {
                report.skip(record, reason);
                return None;
            }
        };
        let name_of_all = fields.text("name").map(str::to_string);
        let stage = self.job.options.stage.or(said.stage).unwrap_or(Stage::Operation);
        let several = made.shapes.len();
        if several > 1 {
            let message = "features of several parts became several objects, told apart by a number after the id";
            report.warn("split_feature", message, format!("record {record}"));
        }
        let mut standard = made.attributes;
        standard.extend(said.attributes);
        let mut attributes: Vec<Attribute> = joined(standard, feature.fields);
        let mut objects: Vec<CityObject> = Vec::with_capacity(several);
        for (part, geometry) in made.shapes.into_iter().enumerate() {
            let mut object = CityObject::new(ObjectId(String::new()), class, geometry);
            object.stage = stage;
            object.domain = said.domain.unwrap_or(object.domain);
            object.parent = said.parent.clone();
            object.name = name_of_all.clone();
            object.record = record;
            object.attributes = if part + 1 == several { std::mem::take(&mut attributes) } else { attributes.clone() };
            objects.push(object);
        }
        name(&mut objects, self.job.layer, key.text());
        Some(Prepared { key, record, objects })
    }

    fn out_of_range(&self) -> String {
        let hint = if self.has_swapped_axes || !self.job.crs.is_geographic {
            ""
        } else {
            "; if latitude stands before longitude give --map axes=yx"
        };
        format!("coordinates have no place in {}{hint}", self.job.crs.label())
    }

    fn key(&self, feature: &Feature) -> Key {
        let IdField::Field(field) = &self.id_field else {
            return match &feature.id {
                Some(id) => Key::Own { id: id.clone(), field: "id".into() },
                None => Key::Number(feature.record.to_string()),
            };
        };
        let own = feature.fields.iter().find(|(name, _)| *name == *field).map(|(_, value)| value.to_string());
        match own.or_else(|| feature.id.clone()).map(|id| id.trim().to_string()).filter(|id| !id.is_empty()) {
            Some(id) => Key::Own { id, field: field.clone() },
            // `~` keeps it apart from ids that look like record numbers.
            None => Key::Number(format!("~{}", feature.record)),
        }
    }

    /// Where a field names the feature, the id that its format gives it beside the fields would be lost: it becomes a
    /// field.
    fn keep_id(&self, feature: &mut Feature) {
        let IdField::Field(field) = &self.id_field else { return };
        let (Some(id), true) = (feature.id.take(), feature.fields.iter().any(|(name, _)| name == field)) else {
            return;
        };
        let number = id.parse::<i64>().ok();
        let is_there = feature.fields.iter().any(|(name, value)| match value {
            _ if &**name == "id" => true,
            Value::Text(text) => *text == id,
            Value::Int(whole) => Some(*whole) == number,
            _ => false,
        });
        if !is_there {
            feature.fields.push(("id".into(), Value::Text(id)));
        }
    }

    /// The class of one feature: the layer's, or a closer one that its own kind names.
    fn class_of(&self, shape: &Shape, all: &[(Arc<str>, Value)], fields: &Fields<'_>) -> Class {
        let is_way = matches!(self.class, Class::Road | Class::Railway);
        if !self.is_class_given && is_way && shape.dimension() == Dimension::Line && class::is_in_tunnel(all) {
            return Class::Tunnel;
        }
        let is_open = matches!(self.class, Class::Generic | Class::LandUse | Class::Greenery | Class::Furniture);
        if self.is_class_given || !is_open {
            return self.class;
        }
        let kinds = fields.texts("kind");
        kinds.filter_map(|kind| class::of_kind(kind, shape.dimension())).next().unwrap_or(self.class)
    }
}
