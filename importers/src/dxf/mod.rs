//! Drawings as ASCII DXF: lines, polylines, circles, arcs, points, texts, faces, hatches, and blocks taken apart.
//!
//! The drawing is read record by record; only its blocks are kept, within limits. Closed polylines and circles are areas.
//! Each object knows its layer, which also tells its class where neither the user nor the file's name does. A drawing
//! names no coordinate system: `--crs` says in which it was drawn.

mod entity;
mod hatch;
mod pair;

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read},
    path::Path,
    sync::Arc,
};

use encoding_rs::{Encoding, GB18030, UTF_8, WINDOWS_1252};
use glam::{DAffine3, DVec3};
use groundline_engine::model::{
    Attribute, CityObject, Class, Geometry, Mesh, MeshPart, ObjectId, SourceReport, Stage, Value,
};

use crate::{
    feature::{Feature, Maker, Said, Sample, Shape, suggest},
    format::{Format, ImportError, Job, Kind, Options, Out, Probe},
};
use entity::{Body, Entity, Polyline, Taken};
use pair::{Pairs, Record, Stop};

/// The DXF importer.
pub static FORMAT: Format =
    Format { name: "dxf", title: "DXF drawing", title_zh: "DXF 图纸", extensions: &["dxf"], probe, read };

/// Blocks within blocks.
const MAX_DEPTH: usize = 8;
/// Vertices that blocks hold together, an entity counting as 8 more: some 400 MiB.
const MAX_BLOCK_WEIGHT: usize = 16_000_000;
/// Attributes of one insert.
const MAX_ATTRIBUTES: usize = 1_000;
/// Entities that one drawing becomes once its blocks are taken apart.
const MAX_EXPLODED: u64 = 20_000_000;
/// Header variables are looked for in so many records at most.
const HEADER_RECORDS: usize = 4;

/// Sections of a drawing.
const SECTIONS: [&str; 8] =
    ["HEADER", "CLASSES", "TABLES", "BLOCKS", "ENTITIES", "OBJECTS", "THUMBNAILIMAGE", "ACDSDATA"];

/// What the header says.
struct Head {
    encoding: &'static Encoding,
    encoding_from: &'static str,
    extent: Option<[f64; 4]>,
    unit: i64,
}

fn open(path: &Path) -> Result<(Pairs<BufReader<File>>, u64), ImportError> {
    let io = |source| ImportError::Io { path: path.into(), source };
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    Ok((Pairs::new(BufReader::with_capacity(1 << 16, file)), length))
}

fn failed(path: &Path, stop: Stop) -> ImportError {
    match stop {
        Stop::Io(source) => ImportError::Io { path: path.into(), source },
        Stop::Bad(line, reason) => ImportError::Bad { path: path.into(), place: format!("line {line}"), reason },
    }
}

fn bad(path: &Path, place: impl Into<String>, reason: impl Into<String>) -> ImportError {
    ImportError::Bad { path: path.into(), place: place.into(), reason: reason.into() }
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let mut first = Vec::new();
    let io = |source| ImportError::Io { path: path.into(), source };
    File::open(path).map_err(io)?.take(22).read_to_end(&mut first).map_err(io)?;
    if first.starts_with(b"AutoCAD Binary DXF") {
        return Err(bad(path, "byte 0", "binary DXF is not read: save it as ASCII DXF"));
    }
    let (mut pairs, _) = open(path)?;
    let Ok(Some(record)) = pairs.record() else { return Ok(None) };
    if record.kind != "SECTION" {
        return Ok(None);
    }
    let head = head(record, &mut pairs, options);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // Only the name is asked: what dimension the drawing mostly has is not known.
    let dimension = Some(crate::feature::Dimension::Polygon);
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: true,
        encoding: Some((head.encoding.name().into(), head.encoding_from.into())),
        source_extent: head.extent,
        records: None,
        companions: Vec::new(),
        class: suggest(&Sample { stem, dimension, ..Sample::default() }),
    }))
}

/// Reads the variables of the header section, where there is one.
fn head(first: Record, pairs: &mut Pairs<BufReader<File>>, options: &Options) -> Head {
    let mut head = Head { encoding: WINDOWS_1252, encoding_from: "DXF", extent: None, unit: 0 };
    let mut record = Some(first);
    let (mut version, mut page) = (String::new(), String::new());
    let mut corners = [f64::NAN; 4];
    for _ in 0..HEADER_RECORDS {
        let Some(this) = record.take().filter(|r| r.kind == "SECTION") else { break };
        let mut variable = String::new();
        for (code, value) in this.iter() {
            let text = || String::from_utf8_lossy(value).trim().to_owned();
            match (code, variable.as_str()) {
                (9, _) => variable = text(),
                (1, "$ACADVER") => version = text(),
                (3, "$DWGCODEPAGE") => page = text().to_ascii_uppercase(),
                (70, "$INSUNITS") => head.unit = pair::number(value).unwrap_or(0.0) as i64,
                (10 | 20, "$EXTMIN") => corners[usize::from(code == 20)] = pair::number(value).unwrap_or(f64::NAN),
                (10 | 20, "$EXTMAX") => corners[2 + usize::from(code == 20)] = pair::number(value).unwrap_or(f64::NAN),
                _ => {}
            }
        }
        if let Ok(Some(next)) = pairs.record() {
            record = Some(next);
        }
    }
    let [west, south, east, north] = corners;
    // An empty drawing has ±10²⁰ there.
    let is_box = west <= east && south <= north && corners.iter().all(|c| c.abs() < 1e12);
    head.extent = is_box.then_some(corners);
    if let Some(label) = &options.encoding
        && let Some(asked) = Encoding::for_label(label.trim().as_bytes())
    {
        (head.encoding, head.encoding_from) = (asked, "flag");
    } else if version.as_str() >= "AC1021" {
        (head.encoding, head.encoding_from) = (UTF_8, "$ACADVER");
    } else if page.contains("936") || page.contains("GB") {
        (head.encoding, head.encoding_from) = (GB18030, "$DWGCODEPAGE");
    } else if let Some(named) = page.strip_prefix("ANSI_")
        && let Some(named) = Encoding::for_label(format!("windows-{named}").as_bytes())
    {
        (head.encoding, head.encoding_from) = (named, "$DWGCODEPAGE");
    }
    head
}

/// A block.
#[derive(Default)]
struct Block {
    base: DVec3,
    entities: Vec<Entity>,
}

/// Reads and makes.
struct Drawing<'a> {
    job: &'a Job<'a>,
    out: &'a mut dyn Out,
    report: &'a mut SourceReport,
    maker: Maker<'a>,
    encoding: &'static Encoding,
    blocks: HashMap<String, Block>,
    /// Class by layer and dimension, where the layer's name tells one.
    classes: HashMap<(String, u8), Option<Class>>,
    record: u64,
    exploded: u64,
    block_weight: usize,
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let (mut pairs, length) = open(job.path)?;
    let head = {
        let (mut pairs, _) = open(job.path)?;
        match pairs.record().map_err(|stop| failed(job.path, stop))? {
            Some(first) => head(first, &mut pairs, job.options),
            None => return Err(bad(job.path, "line 1", "an empty file")),
        }
    };
    if !matches!(head.unit, 0 | 6) {
        let message = format!(
            "$INSUNITS says {}; the coordinates were read as those of {} all the same",
            unit_name(head.unit),
            job.crs.label()
        );
        report.warn("drawing_unit", message, "header");
    }
    let mut maker = Maker::new(job);
    maker.settle_id(&[]);
    let mut drawing = Drawing {
        job,
        out,
        report,
        maker,
        encoding: head.encoding,
        blocks: HashMap::new(),
        classes: HashMap::new(),
        record: 0,
        exploded: 0,
        block_weight: 0,
    };
    let mut section = String::new();
    let (mut has_entities, mut has_end) = (false, false);
    let mut block: Option<(String, Block)> = None;
    let mut pending = Pending::None;
    let mut seen = 0_u64;
    while let Some(record) = pairs.record().map_err(|stop| failed(job.path, stop))? {
        seen += 1;
        if seen.is_multiple_of(1024) {
            drawing.out.progress((pairs.position as f64 / length.max(1) as f64).min(1.0) as f32);
        }
        match record.kind.as_str() {
            "SECTION" => {
                section = record.text(2, UTF_8).unwrap_or_default();
                has_entities |= section == "ENTITIES";
                if !SECTIONS.contains(&section.as_str()) {
                    let message = format!("section {section:?} is unknown and was left out");
                    drawing.report.warn("unknown_section", message, format!("line {}", record.line));
                }
            }
            "ENDSEC" => section.clear(),
            "EOF" => {
                has_end = true;
                break;
            }
            "BLOCK" if section == "BLOCKS" => {
                let name = record.text(2, head.encoding).unwrap_or_default().to_lowercase();
                let number = |code| record.number(code).unwrap_or(0.0);
                let base = DVec3::new(number(10), number(20), number(30));
                block = Some((name, Block { base, entities: Vec::new() }));
            }
            "ENDBLK" => {
                pending.flush(&mut block, &mut drawing)?;
                if let Some((name, block)) = block.take() {
                    drawing.blocks.insert(name, block);
                }
            }
            _ if section == "ENTITIES" || (section == "BLOCKS" && block.is_some()) => {
                pending.take(&record, &mut block, &mut drawing)?;
                if drawing.block_weight > MAX_BLOCK_WEIGHT {
                    let reason = format!("its blocks hold more than {MAX_BLOCK_WEIGHT} vertices");
                    return Err(bad(job.path, format!("line {}", record.line), reason));
                }
            }
            _ => {}
        }
        if section.is_empty() || section == "OBJECTS" {
            pending.flush(&mut block, &mut drawing)?;
        }
    }
    pending.flush(&mut block, &mut drawing)?;
    if !has_end {
        return Err(bad(job.path, "end", "the file ends without EOF: it was cut off"));
    }
    if !has_entities {
        return Err(bad(job.path, "end", "it has no section ENTITIES"));
    }
    drawing.maker.finish(drawing.out, drawing.report)?;
    Ok(())
}

fn unit_name(code: i64) -> String {
    let names = ["none", "inches", "feet", "miles", "millimetres", "centimetres", "metres", "kilometres"];
    usize::try_from(code).ok().and_then(|i| names.get(i)).map_or_else(|| format!("unit {code}"), |n| (*n).to_owned())
}

/// An entity whose parts follow it.
enum Pending {
    None,
    Polyline(Entity, Polyline, Option<String>),
    Insert(Entity),
}

impl Pending {
    fn take(
        &mut self,
        record: &Record,
        block: &mut Option<(String, Block)>,
        drawing: &mut Drawing<'_>,
    ) -> Result<(), ImportError> {
        match (record.kind.as_str(), &mut *self) {
            ("VERTEX", Pending::Polyline(_, polyline, fault)) => {
                if let Err(reason) = polyline.vertex(record) {
                    fault.get_or_insert(reason);
                }
                return Ok(());
            }
            ("ATTRIB", Pending::Insert(Entity { body: Body::Insert(insert), .. })) => {
                let texts = (record.text(2, drawing.encoding), record.text(1, drawing.encoding));
                if let (Some(tag), Some(value)) = texts
                    && insert.attributes.len() < MAX_ATTRIBUTES
                {
                    insert.attributes.push((tag, value));
                } else {
                    drawing.report.warn(
                        "attribute_left_out",
                        "attributes without a tag, or beyond the thousandth, were left out",
                        format!("line {}", record.line),
                    );
                }
                return Ok(());
            }
            ("SEQEND", _) => return self.flush(block, drawing),
            ("VERTEX" | "ATTRIB" | "ATTDEF", _) => return Ok(()),
            _ => self.flush(block, drawing)?,
        }
        let is_in_block = block.is_some();
        if !is_in_block {
            drawing.record += 1;
        }
        match entity::take(record, drawing.encoding) {
            Ok(Taken::Polyline(entity, polyline)) => *self = Pending::Polyline(entity, polyline, None),
            Ok(Taken::Entity(entity)) if matches!(entity.body, Body::Insert(_)) => *self = Pending::Insert(entity),
            Ok(Taken::Entity(entity)) => drawing.put(entity, block)?,
            Ok(Taken::Paper) => {
                drawing.report.warn(
                    "paper_space",
                    "entities of layouts were left out",
                    format!("line {}", record.line),
                );
            }
            Ok(Taken::Unknown) => {
                let message = format!("entities of kind {} were left out", record.kind);
                drawing.report.warn(
                    &format!("left_out_{}", record.kind.to_lowercase()),
                    message,
                    format!("line {}", record.line),
                );
            }
            Err(reason) => {
                let number = if is_in_block { 0 } else { drawing.record };
                drawing.report.skip(number, format!("line {}: {}: {reason}", record.line, record.kind));
            }
        }
        Ok(())
    }

    /// The parts are complete.
    fn flush(&mut self, block: &mut Option<(String, Block)>, drawing: &mut Drawing<'_>) -> Result<(), ImportError> {
        match std::mem::replace(self, Pending::None) {
            Pending::None => Ok(()),
            Pending::Insert(entity) => drawing.put(entity, block),
            Pending::Polyline(entity, polyline, fault) => match fault.map_or_else(|| polyline.shape(), Err) {
                Ok(shape) => drawing.put(Entity { body: Body::Shape(shape), ..entity }, block),
                Err(reason) => {
                    drawing.report.skip(drawing.record, format!("POLYLINE: {reason}"));
                    Ok(())
                }
            },
        }
    }
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

impl Drawing<'_> {
    /// Into the block that is being read, or into the city.
    fn put(&mut self, entity: Entity, block: &mut Option<(String, Block)>) -> Result<(), ImportError> {
        match block {
            Some((_, block)) => {
                self.block_weight += entity.weight();
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
            Body::Face(corners) => return self.face(entity, corners, place, (id, layer), context),
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
    fn face(
        &mut self,
        entity: &Entity,
        corners: &[DVec3],
        place: DAffine3,
        (id, layer): (String, String),
        context: &Context,
    ) -> Result<(), ImportError> {
        let mut corners: Vec<DVec3> = corners.iter().map(|v| place.transform_point3(*v)).collect();
        self.job.city_from_source.apply(&mut corners);
        if corners.iter().any(|v| !v.is_finite()) {
            self.report.skip(self.record, format!("3DFACE: it lies outside {}", self.job.crs.label()));
            return Ok(());
        }
        let origin = corners[0];
        let positions = corners.iter().map(|v| *v - origin).collect();
        let indices = if corners.len() == 4 { vec![0, 1, 2, 0, 2, 3] } else { vec![0, 1, 2] };
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

fn fields(entity: &Entity, layer: &str, context: &Context) -> Vec<(Arc<str>, Value)> {
    let mut fields: Vec<(Arc<str>, Value)> =
        vec![("layer".into(), Value::Text(layer.to_owned())), ("entity".into(), Value::Text(entity.kind.clone()))];
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

#[cfg(test)]
mod tests;
