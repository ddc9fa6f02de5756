//! One feature of a vector source (shapefile, GeoJSON, GeoPackage, …) to city objects.
//!
//! A format reads [`Feature`]s in the source's own coordinates; [`Maker`] moves them into the city's frame, gives them
//! ids, finds the standard attributes among their fields and makes the shape that their class is drawn with.

mod attribute;
mod class;
mod corner;
mod geometry;
#[cfg(test)]
mod kept_test;
mod look;
mod network;
#[cfg(test)]
mod passage_test;
mod said;
mod shape;
mod surface;
pub(crate) mod wkb;

use std::{collections::HashSet, hash::BuildHasher, sync::Arc};

use groundline_engine::model::{
    Attribute, CityObject, Class, Geometry, Instance, InstanceModel, ObjectId, Origin, SourceReport, Stage, Value,
};

use attribute::Fields;
pub(crate) use class::{Sample, suggest};
use corner::Corners;
#[cfg(test)]
pub(crate) use kept_test::shown;
pub(crate) use look::{Look, joined as joined_boxes};
pub(crate) use said::{AssumedTube, Said};
pub(crate) use shape::{Dimension, Shape, cleaned as cleaned_rings, grouped as grouped_rings, is_inside, signed_area};
pub(crate) use surface::{faces_hold, triangulate};

use crate::{
    field::Recogniser,
    format::{ImportError, Job, Out},
};

/// One record of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feature {
    /// Record number, from 1.
    pub record: u64,
    /// Identifier outside the fields (GeoJSON's `id` member).
    pub id: Option<String>,
    /// Shape in the source's coordinates.
    pub shape: Shape,
    /// Fields that hold a value.
    pub fields: Vec<(Arc<str>, Value)>,
}

/// Ids that are remembered to find duplicates. Beyond this many, every id gets its record number appended, so that
/// memory stays bounded and ids stay unique.
const MAX_IDS: usize = 16_000_000;

/// Makes city objects of features.
pub(crate) struct Maker<'a> {
    job: &'a Job<'a>,
    class: Class,
    is_class_given: bool,
    has_swapped_axes: bool,
    recogniser: Recogniser,
    id_field: IdField,
    seen: HashSet<u64>,
    hasher: std::hash::BuildHasherDefault<std::hash::DefaultHasher>,
    corners: Corners,
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

impl<'a> Maker<'a> {
    /// For one source.
    pub fn new(job: &'a Job<'a>) -> Self {
        let suggested = job.probe.class.as_ref().map(|(class, _)| *class);
        Self {
            job,
            class: job.options.class.or(suggested).unwrap_or(Class::Generic),
            is_class_given: job.options.class.is_some(),
            has_swapped_axes: has_swapped_axes(&job.options.map),
            recogniser: Recogniser::new(&job.options.map),
            id_field: IdField::Open,
            seen: HashSet::new(),
            hasher: std::hash::BuildHasherDefault::default(),
            corners: Corners::default(),
        }
    }

    /// Settles the field that identifies the features, where the format knows all fields beforehand.
    pub fn settle_id(&mut self, fields: &[Arc<str>]) {
        let ranked = fields.iter().filter_map(|f| Some((self.id_rank(f)?, f)));
        self.id_field = ranked.min_by_key(|(rank, _)| *rank).map_or(IdField::None, |(_, f)| IdField::Field(f.clone()));
    }

    /// Networks refer to their nodes and pipes by name.
    fn id_rank(&mut self, field: &Arc<str>) -> Option<usize> {
        let recognised = self.recogniser.recognise(field)?;
        match (recognised.key, self.class) {
            ("id", _) => Some(recognised.rank),
            ("name", Class::Pipe | Class::PipeNode | Class::Manhole) => Some(1000 + recognised.rank),
            _ => None,
        }
    }

    /// Makes the objects of one feature and hands them on. A feature that cannot be made is skipped and counted.
    pub fn take(&mut self, feature: Feature, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        self.take_as(feature, Said::default(), out, report)
    }

    /// As [`Maker::take`], for a feature of which the format knows more than its fields say.
    pub fn take_as(
        &mut self,
        mut feature: Feature,
        said: Said,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        if matches!(self.id_field, IdField::Open) {
            let names: Vec<Arc<str>> = feature.fields.iter().map(|(name, _)| name.clone()).collect();
            self.settle_id(&names);
        }
        if self.has_swapped_axes {
            feature.shape.for_each_mut(|v| (v.x, v.y) = (v.y, v.x));
        } else if self.job.crs.is_geographic && self.class == Class::Building {
            self.corners.count(&feature.shape);
        }
        let record = feature.record;
        if feature.shape.has_z && self.job.crs.unit_m != 1.0 {
            let message = format!(
                "heights are taken as metres, while the plane coordinates are in units of {} m",
                self.job.crs.unit_m
            );
            report.warn("z_unit_unknown", message, format!("record {record}"));
        }
        if !self.place(&mut feature.shape) {
            report.skip(record, self.out_of_range());
            return Ok(());
        }
        let key = self.key(&feature, report);
        keep_id(&mut feature, &self.id_field);
        let fields = Fields::new(&feature.fields, &mut self.recogniser);
        let class = said.class.unwrap_or_else(|| self.class_of(&feature, &fields));
        let maker = geometry::Context { class, layer: self.job.layer, record, said: &said };
        let made = maker.make(std::mem::take(&mut feature.shape), &fields, report);
        let made = match made {
            Ok(made) => made,
            Err(reason) => {
                report.skip(record, reason);
                return Ok(());
            }
        };
        let name = fields.text("name").map(str::to_string);
        let stage = self.job.options.stage.or(said.stage).unwrap_or(Stage::Operation);
        let several = made.shapes.len() > 1;
        if several {
            let message = "features of several parts became several objects, told apart by a number after the id";
            report.warn("split_feature", message, format!("record {record}"));
        }
        let mut standard = made.attributes;
        standard.extend(said.attributes.iter().cloned());
        let attributes = joined(standard, &feature.fields);
        for (part, geometry) in made.shapes.into_iter().enumerate() {
            let key = if several { format!("{key}.{}", part + 1) } else { key.clone() };
            let mut object = CityObject::new(ObjectId::new(self.job.layer, key), class, geometry);
            object.stage = stage;
            object.domain = said.domain.unwrap_or(object.domain);
            object.parent = said.parent.clone();
            object.name = name.clone();
            object.record = record;
            object.attributes = attributes.clone();
            out.emit(object)?;
        }
        Ok(())
    }

    /// Says what could only be known at the end.
    pub fn finish(self, report: &mut SourceReport) {
        if let Some(message) = self.corners.verdict() {
            report.warn("axes_maybe_swapped", message, "all records");
        }
    }

    /// Moves the shape into the city's frame; `false` when some of it has no place there.
    fn place(&self, shape: &mut Shape) -> bool {
        let mut vertices = shape.vertices();
        self.job.city_from_source.apply(&mut vertices);
        if vertices.iter().any(|v| !v.is_finite()) {
            return false;
        }
        let mut moved = vertices.into_iter();
        shape.for_each_mut(|v| {
            if let Some(to) = moved.next() {
                *v = to;
            }
        });
        true
    }

    fn out_of_range(&self) -> String {
        let hint = if self.has_swapped_axes || !self.job.crs.is_geographic {
            ""
        } else {
            "; if latitude stands before longitude give --map axes=yx"
        };
        format!("coordinates have no place in {}{hint}", self.job.crs.label())
    }

    /// The part of the id that names the feature within its layer.
    fn key(&mut self, feature: &Feature, report: &mut SourceReport) -> String {
        let IdField::Field(field) = &self.id_field else {
            return match &feature.id {
                Some(id) => self.unique(id.clone(), "id", feature.record, report),
                None => feature.record.to_string(),
            };
        };
        let field = field.clone();
        let own = feature.fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value.to_string());
        match own.or_else(|| feature.id.clone()).map(|id| id.trim().to_string()).filter(|id| !id.is_empty()) {
            Some(id) => self.unique(id, &field, feature.record, report),
            // `~` keeps it apart from ids that look like record numbers.
            None => format!("~{}", feature.record),
        }
    }

    fn unique(&mut self, id: String, field: &str, record: u64, report: &mut SourceReport) -> String {
        if self.seen.len() >= MAX_IDS {
            return format!("{id}~{record}");
        }
        if self.seen.insert(self.hasher.hash_one(&id)) {
            return id;
        }
        let message = format!("field {field} is not unique ({id} comes again); the record number was appended");
        report.warn("duplicate_id", message, format!("record {record}"));
        format!("{id}~{record}")
    }

    /// The class of one feature: the layer's, or a closer one that its own kind names.
    fn class_of(&self, feature: &Feature, fields: &Fields<'_>) -> Class {
        let is_way = matches!(self.class, Class::Road | Class::Railway);
        if !self.is_class_given
            && is_way
            && feature.shape.dimension() == Dimension::Line
            && class::is_in_tunnel(&feature.fields)
        {
            return Class::Tunnel;
        }
        let is_open = matches!(self.class, Class::Generic | Class::LandUse | Class::Greenery | Class::Furniture);
        if self.is_class_given || !is_open {
            return self.class;
        }
        let kinds = fields.texts("kind");
        kinds.filter_map(|kind| class::of_kind(kind, feature.shape.dimension())).next().unwrap_or(self.class)
    }
}

/// Where a field names the feature, the id that its format gives it beside the fields would be lost: it becomes a field.
fn keep_id(feature: &mut Feature, id_field: &IdField) {
    let IdField::Field(field) = id_field else { return };
    let (Some(id), true) = (feature.id.take(), feature.fields.iter().any(|(name, _)| name == field)) else { return };
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

/// Whether the user said that y (or latitude) stands first.
pub(crate) fn has_swapped_axes(map: &[(String, String)]) -> bool {
    map.iter().any(|(key, value)| key == "axes" && value.eq_ignore_ascii_case("yx"))
}

/// Standard attributes, then the source's own under their own names. Where a standard one has that name already and
/// says something else (another unit, a default for a number that cannot be), the source's stands as `source.NAME`.
fn joined(standard: Vec<Attribute>, fields: &[(Arc<str>, Value)]) -> Vec<Attribute> {
    let mut all = standard;
    let known = all.len();
    for (name, value) in fields {
        let namesakes = all[..known].iter().filter(|a| a.key == *name);
        match namesakes.map(|a| says_the_same(&a.value, value)).reduce(|a, b| a || b) {
            None => all.push(Attribute::read(name, value.clone())),
            Some(true) => {}
            Some(false) => all.push(Attribute {
                key: format!("source.{name}").into(),
                value: value.clone(),
                field: name.clone(),
                origin: Origin::Read,
            }),
        }
    }
    all
}

fn says_the_same(standard: &Value, own: &Value) -> bool {
    let number = |value: &Value| crate::field::number(value).filter(|(_, unit)| unit.is_none()).map(|(n, _)| n);
    standard == own || number(standard).is_some_and(|n| number(own) == Some(n))
}

/// A thing of which many look alike.
fn instance(at: groundline_engine::model::Point, model: InstanceModel, height_m: f64, width_m: f64) -> Geometry {
    Geometry::Instance(Instance { at: at.at, vertical: at.vertical, model, height_m, width_m, yaw: 0.0 })
}
