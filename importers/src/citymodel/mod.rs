//! What CityGML and CityJSON have in common: a [`Piece`] of a city model in the source's coordinates becomes a city
//! object with the shape that suits it.

mod attribute;
mod class;
mod crs;
mod look;
mod surface;

use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use glam::DVec3;
use groundline_engine::model::{
    Area, Attribute, Block, CityObject, Class, Geometry, Instance, InstanceModel, Line, ObjectId, PipeKind, Point,
    Polygon, Section, SourceReport, Stage, Tube, Value, Vertical,
};

pub(crate) use attribute::Measures;
pub(crate) use class::{class_of, pipe_kind};
pub(crate) use crs::named as named_crs;
pub(crate) use look::colour;
pub(crate) use surface::Surfaces;
use surface::{Faults, Mesher};

use crate::{
    field::Recogniser,
    format::{ImportError, Job, Out},
};

/// Ids that are remembered to find duplicates; beyond, every id gets its record number appended.
const MAX_IDS: usize = 16_000_000;
/// Points of one object that become objects of their own; more are no objects but a survey.
const MAX_POINTS: usize = 1000;
/// Vertices of one object: prototypes and references can make very many of few bytes.
pub(crate) const MAX_VERTICES: usize = 20_000_000;
/// Tree without a height.
const TREE_M: f64 = 8.0;
/// Line of a utility network without a section.
const PIPE_M: f64 = 0.3;

/// One object of a city model, in the source's coordinates (x east or longitude, y north or latitude).
#[derive(Clone, Debug, Default)]
pub(crate) struct Piece {
    /// Record of the source that it stands in, from 1.
    pub record: u64,
    /// Its id in the source; a number within its parent where it has none.
    pub key: String,
    /// Type as the source writes it, without prefix: `BuildingPart`.
    pub kind: String,
    /// Class, settled by the reader, since colours depend on it.
    pub class: Option<Class>,
    /// Id of the object that it is part of.
    pub parent: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Attributes.
    pub fields: Vec<(Arc<str>, Value)>,
    /// Level of detail of the shape, as the source writes it.
    pub lod: Option<String>,
    /// Levels of detail that the source has as well.
    pub other_lods: Vec<String>,
    /// Polygons.
    pub surfaces: Surfaces,
    /// Lines.
    pub lines: Vec<Vec<DVec3>>,
    /// Points.
    pub points: Vec<DVec3>,
    /// Polygons in metres from places in the source's coordinates.
    pub anchored: Vec<(DVec3, Surfaces)>,
}

impl Piece {
    /// What a line of it carries.
    pub fn pipe_kind(&self) -> Option<PipeKind> {
        pipe_kind(&self.kind)
    }
}

/// Makes the objects of pieces; what one makes does not depend on what it made before, so several work side by side.
pub(crate) struct Shaper<'a> {
    job: &'a Job<'a>,
    mesher: Mesher,
    recogniser: Recogniser,
}

/// What was made of one piece, but for an id that another may have taken.
pub(crate) struct Prepared {
    key: String,
    record: u64,
    parent: Option<String>,
    /// Each with the id that it has if nobody has taken it.
    objects: Vec<CityObject>,
}

/// Hands on what was made of pieces, in their order, each under an id of its own.
pub(crate) struct Composer<'a> {
    shaper: Shaper<'a>,
    seen: HashSet<u64>,
    /// Parents that were named, to find those that are not there.
    parents: HashSet<u64>,
    hasher: BuildHasherDefault<DefaultHasher>,
    /// What came to both since the last mark.
    fresh: [Vec<u64>; 2],
}

impl<'a> Composer<'a> {
    /// For one source.
    pub fn new(job: &'a Job<'a>) -> Self {
        Self {
            shaper: Shaper::new(job),
            seen: HashSet::new(),
            parents: HashSet::new(),
            hasher: BuildHasherDefault::default(),
            fresh: [Vec::new(), Vec::new()],
        }
    }

    /// As [`Shaper::class`].
    pub fn class(&self, kind: &str) -> Class {
        self.shaper.class(kind)
    }

    /// Makes the objects of a piece and hands them on.
    pub fn take(&mut self, piece: Piece, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
        let prepared = self.shaper.make(piece, report);
        prepared.map_or(Ok(()), |prepared| self.hand_on(prepared, out, report))
    }

    /// Hands on what was made of a piece.
    pub fn hand_on(
        &mut self,
        prepared: Prepared,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<(), ImportError> {
        let Prepared { key, record, parent, mut objects } = prepared;
        if let Some(key) = self.other_key(&key, record, report) {
            self.shaper.name(&mut objects, &key);
        }
        if let Some(parent) = parent.filter(|_| self.parents.len() < MAX_IDS) {
            let hash = self.hasher.hash_one(parent);
            if self.parents.insert(hash) {
                self.fresh[1].push(hash);
            }
        }
        if objects.len() > 1 {
            let message = "objects of several lines or points became several, told apart by a number after the id";
            report.warn("split_feature", message, "");
        }
        objects.into_iter().try_for_each(|object| out.emit(object))
    }

    /// Says what could only be known at the end.
    pub fn finish(&self, report: &mut SourceReport) {
        if self.seen.is_empty() && report.skipped == 0 {
            report.warn("no_objects", "the file holds no city objects", "");
        }
        let missing = self.parents.difference(&self.seen).count();
        if missing > 0 && self.seen.len() < MAX_IDS {
            let message = format!("{missing} objects that others are parts of are not in the file");
            report.warn("parent_missing", message, "");
        }
    }

    /// Whether the key is met for the first time.
    fn see(&mut self, key: &str) -> bool {
        let hash = self.hasher.hash_one(key);
        let is_new = self.seen.insert(hash);
        if is_new {
            self.fresh[0].push(hash);
        }
        is_new
    }

    /// What came to be known since it was asked for last, for [`Composer::restore`] in another process.
    pub fn take_fresh(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for hashes in &mut self.fresh {
            bytes.extend((hashes.len() as u64).to_le_bytes());
            hashes.drain(..).for_each(|hash| bytes.extend(hash.to_le_bytes()));
        }
        bytes
    }

    /// Takes what [`Composer::take_fresh`] gave; returns what follows, `None` where it is damaged.
    pub fn restore<'b>(&mut self, mut bytes: &'b [u8]) -> Option<&'b [u8]> {
        for known in [&mut self.seen, &mut self.parents] {
            let (count, rest) = bytes.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(8)?;
            let (hashes, rest) = rest.split_at_checked(length)?;
            known.extend(hashes.chunks_exact(8).filter_map(|hash| Some(u64::from_le_bytes(hash.try_into().ok()?))));
            bytes = rest;
        }
        Some(bytes)
    }

    /// Another key where this one is taken.
    fn other_key(&mut self, key: &str, record: u64, report: &mut SourceReport) -> Option<String> {
        let is_new = self.seen.len() < MAX_IDS && self.see(key);
        if is_new {
            return None;
        }
        let mut longer = format!("{key}~{record}");
        if self.seen.len() >= MAX_IDS {
            return Some(longer);
        }
        let message = format!("ids are not unique ({key} comes again); the record number was appended");
        report.warn("duplicate_id", message, format!("record {record}"));
        while !self.see(&longer) {
            longer.push('~');
        }
        Some(longer)
    }
}

impl<'a> Shaper<'a> {
    /// For one source.
    pub fn new(job: &'a Job<'a>) -> Self {
        Self { job, mesher: Mesher::new(), recogniser: Recogniser::new(&job.options.map) }
    }

    /// The class that an object of this type gets: its own, save where it has none and the user gave one.
    pub fn class(&self, kind: &str) -> Class {
        match class_of(kind) {
            Some(Class::Generic) | None => self.job.options.class.unwrap_or(Class::Generic),
            Some(class) => class,
        }
    }

    /// Makes the objects of a piece. What of it cannot be placed is accounted for.
    pub fn make(&mut self, mut piece: Piece, report: &mut SourceReport) -> Option<Prepared> {
        let class = piece.class.unwrap_or(Class::Generic);
        let place = format!("{} {}", piece.kind, piece.key);
        let had_shape = !piece.surfaces.is_empty()
            || !piece.lines.is_empty()
            || !piece.points.is_empty()
            || !piece.anchored.is_empty();
        let measures = Measures::of(&piece.fields, &mut self.recogniser);
        let has_height = self.has_height(&piece);
        if has_height {
            let unit_m = crate::height::unit_of(self.job.crs, report, &place);
            if unit_m != 1.0 {
                let piece = &mut piece;
                piece.surfaces.positions.iter_mut().for_each(|v| v.z *= unit_m);
                piece.lines.iter_mut().flatten().chain(&mut piece.points).for_each(|v| v.z *= unit_m);
                piece.anchored.iter_mut().for_each(|(at, _)| at.z *= unit_m);
            }
        }
        if !self.move_to_city(&mut piece) {
            report.skip(piece.record, format!("{place}: coordinates have no place in {}", self.job.crs.label()));
            return None;
        }
        let mut attributes = measures.attributes();
        let mut shapes = self.shapes(&mut piece, class, has_height, &measures, &mut attributes, report, &place);
        if shapes.is_empty() {
            if had_shape {
                report.warn(
                    "no_shape_left",
                    "objects none of whose surfaces could be drawn; kept without shape",
                    &place,
                );
            }
            shapes.push(Geometry::None);
        }
        Some(self.objects(piece, class, shapes, attributes))
    }

    /// The objects of a piece, one for each of its shapes.
    fn objects(&self, piece: Piece, class: Class, shapes: Vec<Geometry>, mut attributes: Vec<Attribute>) -> Prepared {
        let pipe_kind = piece.pipe_kind();
        let domain = class::domain_of(&piece.kind, class);
        attributes.reserve(piece.fields.len() + 4);
        attributes.push(read("citygml_type", Value::Text(piece.kind), "type"));
        if let Some(kind) = pipe_kind {
            let word = Value::Text(kind.word().into());
            attributes.push(Attribute::converted("pipe_kind", word, "type", "type of the object"));
        }
        if let Some(lod) = piece.lod {
            attributes.push(read("lod", Value::Text(lod), "lod"));
        }
        if !piece.other_lods.is_empty() {
            attributes.push(read("lods_not_taken", Value::Text(piece.other_lods.join(" ")), "lod"));
        }
        let known = attributes.len();
        for (name, value) in piece.fields {
            if !attributes[..known].iter().any(|a| a.key == name) {
                attributes.push(Attribute::read(&name, value));
            }
        }
        let parent = piece.parent.as_ref().map(|parent| ObjectId::new(self.job.layer, parent));
        let last = shapes.len().saturating_sub(1);
        let objects = shapes.into_iter().enumerate().map(|(number, geometry)| {
            let mut object = CityObject::new(ObjectId(String::new()), class, geometry);
            object.domain = domain;
            object.stage = self.job.options.stage.unwrap_or(Stage::Operation);
            object.name = piece.name.clone();
            object.parent = parent.clone();
            object.record = piece.record;
            object.attributes = if number == last { std::mem::take(&mut attributes) } else { attributes.clone() };
            object
        });
        let mut objects: Vec<CityObject> = objects.collect();
        self.name(&mut objects, &piece.key);
        Prepared { key: piece.key, record: piece.record, parent: piece.parent, objects }
    }

    /// Gives the objects of one piece their ids: a number after it tells several apart.
    fn name(&self, objects: &mut [CityObject], key: &str) {
        let several = objects.len() > 1;
        for (number, object) in objects.iter_mut().enumerate() {
            object.id = match several {
                true => ObjectId::new(self.job.layer, format_args!("{key}.{}", number + 1)),
                false => ObjectId::new(self.job.layer, key),
            };
        }
    }

    /// Whether any vertex has a height other than 0, which is what models without heights write.
    fn has_height(&self, piece: &Piece) -> bool {
        let all = piece.surfaces.positions.iter().chain(piece.lines.iter().flatten()).chain(&piece.points);
        !piece.anchored.is_empty() || all.into_iter().any(|v| v.z != 0.0)
    }

    /// Moves all vertices into the city's frame; `false` when one of them has no place there.
    fn move_to_city(&self, piece: &mut Piece) -> bool {
        let transform = self.job.city_from_source;
        transform.apply(&mut piece.surfaces.positions);
        piece.lines.iter_mut().for_each(|line| transform.apply(line));
        transform.apply(&mut piece.points);
        for (place, mut local) in std::mem::take(&mut piece.anchored) {
            let Some(place) = transform.point(place) else { return false };
            local.positions.iter_mut().for_each(|v| *v += place);
            piece.surfaces.append(&local);
        }
        let all = piece.surfaces.positions.iter().chain(piece.lines.iter().flatten()).chain(&piece.points);
        all.into_iter().all(|v| v.is_finite())
    }

    /// The shapes of a piece: its surfaces, else its lines, else its points.
    #[allow(clippy::too_many_arguments)]
    fn shapes(
        &mut self,
        piece: &mut Piece,
        class: Class,
        has_height: bool,
        measures: &Measures,
        attributes: &mut Vec<Attribute>,
        report: &mut SourceReport,
        place: &str,
    ) -> Vec<Geometry> {
        let vertical = if has_height { Vertical::Absolute } else { Vertical::AboveTerrain };
        if !piece.surfaces.is_empty() {
            let is_plan = piece.lod.as_deref().is_some_and(|lod| lod.starts_with('0'));
            if class == Class::Building
                && is_plan
                && let Some(height_m) = measures.height_m.filter(|h| *h > 0.0)
            {
                return self.block(&piece.surfaces, height_m, measures).into_iter().collect();
            }
            if (class::is_flat(class) || is_plan) && !has_height {
                let polygons = plan_polygons(&piece.surfaces);
                if !polygons.is_empty() {
                    return vec![Geometry::Area(Area { polygons, vertical })];
                }
            }
            let (mesh, faults) = self.mesher.mesh(&piece.surfaces);
            account(&faults, piece.record, place, report);
            return mesh.map(Geometry::Mesh).into_iter().collect();
        }
        if !piece.lines.is_empty() {
            let lines = std::mem::take(&mut piece.lines);
            let mut paths: Vec<Vec<DVec3>> = lines.into_iter().map(without_repeats).collect();
            paths.retain(|path| path.len() > 1);
            if class == Class::Pipe {
                return tubes(paths, vertical, measures, attributes);
            }
            if paths.is_empty() {
                return Vec::new();
            }
            return vec![Geometry::Line(Line { paths, vertical, width_m: 0.0 })];
        }
        if piece.points.len() > MAX_POINTS {
            let reason =
                format!("{place}: {} points of one object are a survey; import them as points", piece.points.len());
            report.skip(piece.record, reason);
            return Vec::new();
        }
        let tree = (class == Class::Tree).then(|| tree(piece, measures, attributes));
        let point = |at: &DVec3| match tree {
            Some((height_m, width_m, model)) => {
                Geometry::Instance(Instance { at: *at, vertical, model, height_m, width_m, yaw: 0.0 })
            }
            None => Geometry::Point(Point { at: *at, vertical }),
        };
        piece.points.iter().map(point).collect()
    }

    /// A footprint with a height: what a model of LOD0 knows of a building.
    fn block(&self, surfaces: &Surfaces, height_m: f64, measures: &Measures) -> Option<Geometry> {
        let footprint = plan_polygons(surfaces);
        if footprint.is_empty() {
            return None;
        }
        let storeys = measures.storeys.and_then(|n| u16::try_from(n).ok());
        // The edge of a roof or of the ground at whatever height: the building stands on the terrain.
        Some(Geometry::Block(Block { footprint, base_m: None, height_m, lift_m: 0.0, storeys, roof: None }))
    }
}

fn read(key: &str, value: Value, field: &str) -> Attribute {
    Attribute { key: key.into(), value, field: field.into(), origin: groundline_engine::model::Origin::Read }
}

/// Tells the report of polygons that were left out or drawn doubtfully.
fn account(faults: &Faults, record: u64, place: &str, report: &mut SourceReport) {
    for number in &faults.no_place {
        report.skip(record, format!("{place}: surface {number} has coordinates that are no numbers"));
    }
    for number in &faults.no_area {
        let message = "surfaces that are a point or a line; there is nothing of them to draw";
        report.warn("surface_without_area", message, format!("{place}, surface {number}"));
    }
    for number in &faults.crossing {
        let message = "surfaces that cross themselves; drawn as well as they can be";
        report.warn("surface_crossing", message, format!("{place}, surface {number}"));
    }
    for number in &faults.bent {
        let message = "surfaces whose vertices do not lie in one plane; drawn with triangles of our choice";
        report.warn("surface_bent", message, format!("{place}, surface {number}"));
    }
}

/// The polygons in plan; those without area in plan (walls) are left out.
fn plan_polygons(surfaces: &Surfaces) -> Vec<Polygon> {
    let mut made = Vec::new();
    for (rings, _) in surfaces.polygons() {
        let mut rings = rings.into_iter().enumerate().filter_map(|(number, ring)| {
            let mut ring = without_repeats(ring.to_vec());
            while ring.len() > 1 && ring.first() == ring.last() {
                ring.pop();
            }
            let area = signed_area(&ring);
            if ring.len() < 3 || area.abs() < 1e-6 {
                return if number == 0 { Some(Vec::new()) } else { None };
            }
            if (area > 0.0) != (number == 0) {
                ring.reverse();
            }
            Some(ring)
        });
        let Some(outer) = rings.next().filter(|outer| !outer.is_empty()) else { continue };
        made.push(Polygon { outer, holes: rings.collect() });
    }
    made
}

fn without_repeats(mut vertices: Vec<DVec3>) -> Vec<DVec3> {
    vertices.dedup();
    vertices
}

/// Area in plan, positive counter-clockwise.
fn signed_area(ring: &[DVec3]) -> f64 {
    let Some(&first) = ring.first() else { return 0.0 };
    ring.windows(2).map(|w| (w[0] - first).truncate().perp_dot((w[1] - first).truncate())).sum::<f64>() * 0.5
}

/// The lines of a utility network with their section.
fn tubes(
    paths: Vec<Vec<DVec3>>,
    vertical: Vertical,
    measures: &Measures,
    attributes: &mut Vec<Attribute>,
) -> Vec<Geometry> {
    let diameter_m = measures.diameter_m.or(measures.width_m).filter(|d| *d > 0.0);
    if diameter_m.is_none() {
        let why = "the source gives no diameter; a line of 300 mm is drawn";
        attributes.push(Attribute::defaulted("diameter_mm", Value::Real(PIPE_M * 1000.0), why));
    }
    let section = Section::Circle { diameter_m: diameter_m.unwrap_or(PIPE_M) };
    let sink_m = match (vertical, measures.depth_m) {
        (Vertical::AboveTerrain, Some(depth_m)) => depth_m,
        _ => 0.0,
    };
    let tube = |mut axis: Vec<DVec3>| {
        axis.iter_mut().for_each(|v| v.z -= sink_m);
        Geometry::Tube(Tube { axis, vertical, section, from: None, to: None })
    };
    paths.into_iter().map(tube).collect()
}

/// Height, width and model of a tree of which only the place is known.
fn tree(piece: &Piece, measures: &Measures, attributes: &mut Vec<Attribute>) -> (f64, f64, InstanceModel) {
    let height_m = measures.height_m.filter(|h| *h > 0.0).unwrap_or_else(|| {
        let why = "the source gives no height of the tree";
        attributes.push(Attribute::defaulted("height_m", Value::Real(TREE_M), why));
        TREE_M
    });
    let width_m = measures.crown_m.filter(|c| *c > 0.0).unwrap_or(height_m * 0.5);
    let is_conifer = piece.fields.iter().any(|(name, value)| {
        matches!(&**name, "species" | "class")
            && value.as_str().is_some_and(|text| text.to_lowercase().contains("conif"))
    });
    let model = if is_conifer { InstanceModel::ConiferTree } else { InstanceModel::BroadleafTree };
    (height_m, width_m, model)
}
