//! A drawing as it is taken apart: blocks kept, inserts followed, entities made into objects.
//!
//! DXF and DWG hold the same things; both end here.

use std::{collections::HashMap, sync::Arc};

use glam::{DAffine3, DVec3};
use groundline_engine::model::{
    Attribute, CityObject, Class, Geometry, Mesh, MeshPart, ObjectId, SourceReport, Stage, Value,
};

use super::{
    bad,
    entity::{self, Body, Entity},
};
use crate::{
    feature::{Feature, Maker, Said, Sample, Shape, suggest},
    format::{ImportError, Job, Out},
};

/// Blocks within blocks.
const MAX_DEPTH: usize = 8;
/// Vertices that blocks hold together, an entity counting as 8 more: some 400 MiB.
const MAX_BLOCK_WEIGHT: usize = 16_000_000;
/// Entities that one drawing becomes once its blocks are taken apart.
const MAX_EXPLODED: u64 = 20_000_000;

/// A block.
#[derive(Default)]
pub(crate) struct Block {
    /// What lies at the place of an insert.
    pub base: DVec3,
    pub entities: Vec<Entity>,
}

/// Reads and makes.
pub(crate) struct Drawing<'a> {
    job: &'a Job<'a>,
    pub out: &'a mut dyn Out,
    pub report: &'a mut SourceReport,
    maker: Maker<'a>,
    pub blocks: HashMap<String, Block>,
    /// Class by layer and dimension, where the layer's name tells one.
    classes: HashMap<(String, u8), Option<Class>>,
    /// Entity of model space that is at hand.
    pub record: u64,
    exploded: u64,
    block_weight: usize,
}

/// Where an entity within blocks stands.
#[derive(Clone, Default)]
struct Context {
    /// Layer of the insert, for entities on layer 0.
    layer: Option<String>,
    /// Handles of the inserts around.
    id: Option<String>,
    block: Option<String>,
    attributes: Vec<(String, String)>,
}

impl<'a> Drawing<'a> {
    pub fn new(job: &'a Job<'a>, out: &'a mut dyn Out, report: &'a mut SourceReport) -> Self {
        let mut maker = Maker::new(job);
        maker.settle_id(&[]);
        Self {
            job,
            out,
            report,
            maker,
            blocks: HashMap::new(),
            classes: HashMap::new(),
            record: 0,
            exploded: 0,
            block_weight: 0,
        }
    }

    /// Everything has been put.
    pub fn finish(self) -> Result<(), ImportError> {
        self.maker.finish(self.out, self.report)
    }

    /// Into the block that is being read, or into the city.
    pub fn put(&mut self, entity: Entity, block: &mut Option<(String, Block)>) -> Result<(), ImportError> {
        match block {
            Some((name, block)) => {
                self.block_weight += entity.weight();
                if self.block_weight > MAX_BLOCK_WEIGHT {
                    let reason = format!("the blocks hold more than {MAX_BLOCK_WEIGHT} vertices");
                    return Err(bad(self.job.path, format!("block {name}"), reason));
                }
                block.entities.push(entity);
                Ok(())
            }
            None => self.emit(&entity, DAffine3::IDENTITY, &Context::default(), 0),
        }
    }

    fn emit(&mut self, entity: &Entity, place: DAffine3, context: &Context, depth: usize) -> Result<(), ImportError> {
        self.exploded += 1;
        if self.exploded > MAX_EXPLODED {
            let reason = format!("its blocks taken apart are more than {MAX_EXPLODED} entities");
            return Err(bad(self.job.path, "blocks", reason));
        }
        let own = entity.handle.clone().unwrap_or_else(|| format!("r{}", self.record));
        let id = context.id.as_ref().map_or_else(|| own.clone(), |outer| format!("{outer}.{own}"));
        let layer = match &context.layer {
            Some(outer) if entity.layer == "0" => outer.clone(),
            _ => entity.layer.clone(),
        };
        let (mut shape, text) = match &entity.body {
            Body::Insert(insert) => return self.explode(insert, place, (id, layer), context, depth),
            Body::Shape(shape) => (shape.clone(), None),
            Body::Text { at, text } => {
                (Shape { points: vec![*at], has_z: at.z != 0.0, ..Shape::default() }, Some(text))
            }
            Body::Faces(faces) => return self.faces(entity, faces, place, (id, layer), context),
        };
        shape.for_each_mut(|v| *v = place.transform_point3(*v));
        shape.has_z = shape.vertices().iter().any(|v| v.z != 0.0);
        let mut fields = fields(entity, &layer, context);
        if let Some(text) = text {
            fields.push(("text".into(), Value::Text(text.clone())));
        }
        let said = Said { class: self.class_of(&layer, &shape), ..Said::default() };
        let feature = Feature { record: self.record, id: Some(id), shape, fields };
        self.maker.take_as(feature, said, self.out, self.report)
    }

    fn explode(
        &mut self,
        insert: &entity::Insert,
        place: DAffine3,
        (id, layer): (String, String),
        context: &Context,
        depth: usize,
    ) -> Result<(), ImportError> {
        let name = insert.block.to_lowercase();
        if depth >= MAX_DEPTH {
            let message = format!("blocks nested deeper than {MAX_DEPTH} were left out");
            self.report.warn("deep_block", message, format!("block {}", insert.block));
            return Ok(());
        }
        // Taken out while it is gone through; a block that holds itself finds nothing.
        let Some(block) = self.blocks.remove(&name) else {
            self.report.skip(self.record, format!("INSERT: block {} is not in the drawing", insert.block));
            return Ok(());
        };
        let mut outcome = Ok(());
        'copies: for (copy, at) in insert.places.iter().enumerate() {
            let mut attributes = context.attributes.clone();
            attributes.extend(insert.attributes.iter().cloned());
            let id = if copy == 0 { id.clone() } else { format!("{id}~{}", copy + 1) };
            let inner =
                Context { layer: Some(layer.clone()), id: Some(id), block: Some(insert.block.clone()), attributes };
            let into = place * *at * DAffine3::from_translation(-block.base);
            for entity in &block.entities {
                outcome = self.emit(entity, into, &inner, depth + 1);
                if outcome.is_err() {
                    break 'copies;
                }
            }
        }
        self.blocks.insert(name, block);
        outcome
    }

    /// A face that stands upright has no area in plan, so faces with heights become meshes.
    fn faces(
        &mut self,
        entity: &Entity,
        faces: &[Vec<DVec3>],
        place: DAffine3,
        (id, layer): (String, String),
        context: &Context,
    ) -> Result<(), ImportError> {
        let mut positions: Vec<DVec3> = faces.iter().flatten().map(|v| place.transform_point3(*v)).collect();
        self.job.city_from_source.apply(&mut positions);
        if positions.is_empty() || positions.iter().any(|v| !v.is_finite()) {
            self.report.skip(self.record, format!("{}: it lies outside {}", entity.kind, self.job.crs.label()));
            return Ok(());
        }
        let origin = positions[0];
        positions.iter_mut().for_each(|v| *v -= origin);
        let (mut indices, mut first) = (Vec::new(), 0_u32);
        for face in faces {
            let corners = face.len() as u32;
            (2..corners).for_each(|i| indices.extend([first, first + i - 1, first + i]));
            first += corners;
        }
        let mesh = Mesh {
            origin,
            parts: vec![MeshPart { positions, indices, rgba: [200, 196, 188, 255], ..MeshPart::default() }],
        };
        let class = self.class_of(&layer, &Shape::default()).or(self.job.options.class).unwrap_or(Class::Generic);
        let mut object = CityObject::new(ObjectId::new(self.job.layer, id), class, Geometry::Mesh(mesh));
        object.stage = self.job.options.stage.unwrap_or(Stage::Operation);
        object.record = self.record;
        object.attributes =
            fields(entity, &layer, context).into_iter().map(|(key, value)| Attribute::read(&key, value)).collect();
        self.out.emit(object)
    }

    /// The class that the layer's name tells, where neither the user nor the file's name tells one.
    fn class_of(&mut self, layer: &str, shape: &Shape) -> Option<Class> {
        if self.job.options.class.is_some() || self.job.probe.class.is_some() {
            return None;
        }
        let dimension = shape.dimension();
        let key = (layer.to_owned(), dimension as u8);
        if let Some(known) = self.classes.get(&key) {
            return *known;
        }
        let sample = Sample { stem: layer.to_owned(), dimension: Some(dimension), ..Sample::default() };
        let class = suggest(&sample).map(|(class, _)| class);
        if self.classes.len() < 10_000 {
            self.classes.insert(key, class);
        }
        class
    }
}

/// Says what the drawing's unit is where it is not metres.
pub(crate) fn tell_unit(unit: i64, job: &Job<'_>, report: &mut SourceReport) {
    if !matches!(unit, 0 | 6) {
        let message = format!(
            "$INSUNITS says {}; the coordinates were read as those of {} all the same",
            unit_name(unit),
            job.crs.label()
        );
        report.warn("drawing_unit", message, "header");
    }
}

fn unit_name(code: i64) -> String {
    let names = ["none", "inches", "feet", "miles", "millimetres", "centimetres", "metres", "kilometres"];
    usize::try_from(code).ok().and_then(|i| names.get(i)).map_or_else(|| format!("unit {code}"), |n| (*n).to_owned())
}

fn fields(entity: &Entity, layer: &str, context: &Context) -> Vec<(Arc<str>, Value)> {
    let mut fields: Vec<(Arc<str>, Value)> =
        vec![("layer".into(), Value::Text(layer.to_owned())), ("entity".into(), Value::Text(entity.kind.clone()))];
    for (key, value) in &entity.data {
        fields.push((key.as_str().into(), Value::Text(value.clone())));
    }
    if let Some(block) = &context.block {
        fields.push(("block".into(), Value::Text(block.clone())));
    }
    for (tag, value) in &context.attributes {
        if !value.is_empty() && !fields.iter().any(|(key, _)| **key == **tag) {
            fields.push((tag.as_str().into(), Value::Text(value.clone())));
        }
    }
    fields
}
