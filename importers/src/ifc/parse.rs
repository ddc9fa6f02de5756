//! The one module that knows the IFC library.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use groundline_engine::model::Value;
use ifc_lite_core::{EntityDecoder, EntityIndex};
use ifc_lite_processing::{
    Batching, Features, FrameEvent, MeshData, MeshFrame, ProcessingRequest, ProcessingSink,
    build_entity_index_parallel,
    data_model::{DataModel, EntityMetadata, extract_data_model},
    process,
};
use serde::{Deserialize, Serialize};

use super::{
    bare::Survey,
    colour::Colours,
    facts::Facts,
    product::{Found, Part, Product, Sink, Summary},
};

/// Longest text that is kept of a value, characters.
pub const MAX_TEXT: usize = 2000;
/// How far up the tree of parts is followed.
const MAX_LEVELS: usize = 64;

/// Products that are no things in a city: holes that are already cut, drawings, connection points.
static LEFT_OUT: &[&str] = &[
    "IFCOPENINGELEMENT",
    "IFCOPENINGSTANDARDCASE",
    "IFCVOIDINGFEATURE",
    "IFCANNOTATION",
    "IFCGRID",
    "IFCDISTRIBUTIONPORT",
    "IFCPORT",
    "IFCVIRTUALELEMENT",
    "IFCPROJECT",
    "IFCREFERENT",
    "IFCALIGNMENT",
    "IFCALIGNMENTSEGMENT",
    "IFCALIGNMENTHORIZONTAL",
    "IFCALIGNMENTVERTICAL",
    "IFCALIGNMENTCANT",
];

/// Elements that are meshed together, and after which an import that is killed can go on.
const TOGETHER: usize = 2_000;

/// Reads the products of a file in the file's order, from `start` on: 0, or what was marked; then with what was `told` at the first mark.
///
/// The library holds the whole file and many meshes at once, and it may panic or run long on damaged files:
/// this is why it is called in a process of its own.
pub fn read_ifc(content: &[u8], start: u64, told: &[u8], sink: &mut Sink<'_>) -> Result<Summary, String> {
    read_together(content, TOGETHER, start, told, sink)
}

/// As [`read_ifc`] with so many elements at a time.
pub fn read_together(
    content: &[u8],
    together: usize,
    start: u64,
    told: &[u8],
    sink: &mut Sink<'_>,
) -> Result<Summary, String> {
    let (index, survey) = rayon::join(|| Arc::new(build_entity_index_parallel(content)), || Survey::of(content));
    let decoder = || EntityDecoder::with_arc_index(content, index.clone());
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let cancel = Arc::new(AtomicBool::new(false));
    let mut request = ProcessingRequest::full_pass()
        .index(index.clone())
        .batching(Batching::new(together, together))
        .features(Features::default().properties(false))
        .retain_meshes(false)
        .cancel(cancel.clone());
    if start > 0 {
        let left = survey.others().filter(|(_, at)| *at >= start).map(|(id, _)| id);
        request = request.ids(Some(Arc::new(left.collect())));
    }
    thread::scope(|scope| {
        // What is said of the products is read while the library looks for their shapes.
        let known = postcard::from_bytes::<Told>(told).ok().filter(|_| start > 0);
        let coming = scope.spawn(|| match known {
            Some(told) => (told, Vec::new()),
            None => {
                let bare = survey.without_shapes(content, &index, &mut decoder());
                let mut model = extract_data_model(&bare);
                let facts = Facts::of(&mut model, &bare);
                let told = Told { facts, tree: Tree::of(model) };
                // Without it, one who goes on reads it again.
                let bytes = postcard::to_allocvec(&told).unwrap_or_default();
                (told, bytes)
            }
        });
        let mut batches = Batches {
            index: &index,
            colours: Colours::of(&survey, decoder()),
            coming: Some(coming),
            told: None,
            to_tell: Vec::new(),
            order: VecDeque::new(),
            start,
            reached: start,
            to_world: None,
            shapes: HashMap::new(),
            processed: 0,
            products: 0,
            outcome: Ok(()),
            cancel,
            sink,
        };
        let result = process(content, &request, &mut batches);
        batches.flush(true);
        batches.outcome.map(|()| Summary {
            products: batches.products,
            failed_shapes: result.stats.products_with_failures,
            length_unit_m: result.metadata.length_unit_scale,
        })
    })
}

/// What is said of the products.
#[derive(Serialize, Deserialize)]
struct Told {
    tree: Tree,
    facts: Facts,
}

/// Takes the shapes as the library makes them and hands on products in the order in which they stand in the file.
struct Batches<'s, 'k> {
    index: &'s EntityIndex,
    colours: Option<Colours<'s>>,
    /// What is said of the products, and the same as bytes where nobody has them yet.
    coming: Option<thread::ScopedJoinHandle<'s, (Told, Vec<u8>)>>,
    told: Option<Told>,
    /// Those bytes, until the first mark.
    to_tell: Vec<u8>,
    /// Where the products that are not handed on yet start, and their numbers.
    order: VecDeque<(usize, u32)>,
    start: usize,
    /// Everything that starts before this is handed on.
    reached: usize,
    to_world: Option<MeshFrame>,
    /// Shapes of the batch that comes.
    shapes: HashMap<u32, Vec<Part>>,
    /// Jobs of the library that were done with that batch.
    processed: usize,
    products: u64,
    outcome: Result<(), String>,
    cancel: Arc<AtomicBool>,
    sink: &'s mut Sink<'k>,
}

impl ProcessingSink for Batches<'_, '_> {
    fn on_frame(&mut self, event: &FrameEvent) {
        self.to_world = Some(event.frame);
    }

    fn on_batch(&mut self, meshes: &[MeshData], processed: usize, _: usize) {
        // One batch may come in several calls.
        if processed != self.processed {
            self.flush(false);
            self.processed = processed;
        }
        let Some(to_world) = self.to_world.map(MeshFrame::world_mapper) else { return };
        for mesh in meshes {
            // 1 and 2 are shapes of the type library: nothing in the city has them
            if mesh.geometry_class == 0
                && let Some(part) = part(mesh, to_world)
            {
                self.shapes.entry(mesh.express_id).or_default().push(part);
            }
        }
    }
}

impl Batches<'_, '_> {
    /// Hands on the products up to the last that has a shape, or all.
    fn flush(&mut self, is_end: bool) {
        if self.outcome.is_ok() && (is_end || !self.shapes.is_empty()) {
            self.outcome = self.hand_on(is_end);
            self.cancel.store(self.outcome.is_err(), Ordering::Relaxed);
        }
    }

    fn hand_on(&mut self, is_end: bool) -> Result<(), String> {
        if let Some(coming) = self.coming.take() {
            let (told, bytes) = coming.join().unwrap_or_else(|panic| resume_unwind(panic));
            let place = |id: &u32| Some((self.index.get(id)?.0, *id)).filter(|(at, _)| *at >= self.start);
            let mut order: Vec<(usize, u32)> = told.tree.products.iter().filter_map(place).collect();
            order.sort_unstable();
            self.order = order.into();
            self.to_tell = bytes;
            self.told = Some(told);
        }
        let Some(Told { tree, facts }) = &self.told else { return Ok(()) };
        let mut shapes = std::mem::take(&mut self.shapes);
        let place = |id: &u32| self.index.get(id).map(|(at, _)| *at);
        let end = if is_end { usize::MAX } else { shapes.keys().filter_map(place).max().map_or(0, |at| at + 1) };
        let mut batch: Vec<(usize, u32)> = Vec::new();
        while let Some(next) = self.order.pop_front_if(|(at, _)| *at < end) {
            batch.push(next);
        }
        // What is known by its shape alone.
        let own: HashSet<u32> = batch.iter().map(|(_, id)| *id).collect();
        let others = shapes.keys().filter(|id| !own.contains(id) && !is_left_out(tree.entities.get(*id)));
        batch.extend(others.filter_map(|id| Some((place(id)?, *id))));
        batch.sort_unstable();
        for (at, id) in batch {
            let Some(entity) = tree.entities.get(&id) else { continue };
            if at < self.reached {
                return Err(format!("#{id}: its shape came after that of later entities"));
            }
            let product = tree.product(id, entity, facts.get(id));
            let mut parts = shapes.remove(&id).unwrap_or_default();
            if let Some(first) = parts.first().map(|part| part.rgba)
                && parts.iter().all(|part| part.rgba == first)
                && let Some(rgba) = self.colours.as_mut().and_then(|colours| colours.of_cut(id))
            {
                parts.iter_mut().for_each(|part| part.rgba = rgba);
            }
            (self.sink)(Found::Product(Box::new(product), parts))?;
            self.products += 1;
        }
        if is_end {
            return Ok(());
        }
        self.reached = self.reached.max(end);
        (self.sink)(Found::Mark(self.reached as u64, std::mem::take(&mut self.to_tell)))
    }
}

fn part(mesh: &MeshData, to_world: impl Fn([f64; 3]) -> [f64; 3]) -> Option<Part> {
    let positions: Vec<[f64; 3]> = mesh
        .positions
        .chunks_exact(3)
        .map(|p| to_world([0, 1, 2].map(|axis| mesh.origin[axis] + f64::from(p[axis]))))
        .collect();
    let count = positions.len() as u32;
    let is_sound = positions.iter().flatten().all(|c| c.is_finite()) && mesh.indices.iter().all(|i| *i < count);
    let indices = mesh.indices[..mesh.indices.len() / 3 * 3].to_vec();
    let rgba = mesh.color.map(|c| (c.clamp(0.0, 1.0) * 255.0).round() as u8);
    (is_sound && !indices.is_empty()).then_some(Part { positions, indices, rgba })
}

/// What a product says of itself.
#[derive(Serialize, Deserialize)]
struct Named {
    type_name: String,
    global_id: Option<String>,
    name: Option<String>,
    /// Description, object type, tag and predefined type.
    others: [Option<String>; 4],
}

impl Named {
    fn of(entity: EntityMetadata) -> Self {
        Self {
            type_name: entity.type_name,
            global_id: entity.global_id,
            name: entity.name,
            others: [entity.description, entity.object_type, entity.tag, entity.predefined_type],
        }
    }
}

/// Names of [`Named::others`].
const OTHERS: [&str; 4] = ["description", "object_type", "tag", "predefined_type"];

/// Who is part of whom.
#[derive(Serialize, Deserialize)]
struct Tree {
    entities: HashMap<u32, Named>,
    parents: HashMap<u32, u32>,
    elevations: HashMap<u32, f64>,
    storeys: HashMap<u32, u32>,
    products: Vec<u32>,
}

impl Tree {
    fn of(model: DataModel) -> Self {
        let is_product = |e: &&EntityMetadata| e.has_geometry || is_element(&e.type_name);
        let mut parents = HashMap::new();
        let mut elevations = HashMap::new();
        // what nobody placed in the tree and what has no shape is in the file all the same
        let mut products: HashSet<u32> = model.entities.iter().filter(is_product).map(|e| e.entity_id).collect();
        let things = model.entities.into_iter().filter(|e| may_be_product(&e.type_name));
        let entities: HashMap<u32, Named> = things.map(|e| (e.entity_id, Named::of(e))).collect();
        for node in &model.spatial_hierarchy.nodes {
            products.insert(node.entity_id);
            if node.parent_id != 0 {
                parents.insert(node.entity_id, node.parent_id);
            }
            if let Some(elevation) = node.elevation.filter(|e| e.is_finite()) {
                elevations.insert(node.entity_id, elevation);
            }
            for element in &node.element_ids {
                products.insert(*element);
                parents.insert(*element, node.entity_id);
            }
        }
        // parts of assemblies: after containment, which says more about where a thing is
        for relation in &model.relationships {
            if relation.rel_type.eq_ignore_ascii_case("IFCRELAGGREGATES") && products.contains(&relation.relating_id) {
                parents.entry(relation.related_id).or_insert(relation.relating_id);
                products.insert(relation.related_id);
            }
        }
        let mut products: Vec<u32> = products.into_iter().filter(|id| !is_left_out(entities.get(id))).collect();
        products.sort_unstable();
        let mut tree = Self { entities, parents, elevations, storeys: HashMap::new(), products };
        tree.count_storeys();
        tree
    }

    fn count_storeys(&mut self) {
        let mut storeys: HashMap<u32, u32> = HashMap::new();
        for id in &self.products {
            if self.type_of(*id) == "IfcBuildingStorey"
                && let Some(building) = self.above(*id).find(|up| self.type_of(*up) == "IfcBuilding")
            {
                *storeys.entry(building).or_default() += 1;
            }
        }
        self.storeys = storeys;
    }

    /// What `id` is part of, from the nearest to the farthest.
    fn above(&self, id: u32) -> impl Iterator<Item = u32> + '_ {
        let mut seen = HashSet::from([id]);
        std::iter::successors(self.parents.get(&id).copied(), |up| self.parents.get(up).copied())
            .take(MAX_LEVELS)
            .take_while(move |up| seen.insert(*up))
    }

    fn type_of(&self, id: u32) -> String {
        self.entities.get(&id).map(|e| schema_name(&e.type_name)).unwrap_or_default()
    }

    fn global_id(&self, id: u32) -> String {
        let own = self.entities.get(&id).and_then(|e| e.global_id.clone());
        own.filter(|g| !g.is_empty()).unwrap_or_else(|| format!("#{id}"))
    }

    fn product(&self, id: u32, entity: &Named, facts: Vec<(String, Value)>) -> Product {
        let above: Vec<u32> = self.above(id).collect();
        let is_kept = |up: &&u32| self.products.binary_search(up).is_ok();
        let mut attributes = Vec::new();
        for (key, text) in OTHERS.into_iter().zip(&entity.others) {
            if let Some(text) = text.as_deref().filter(|t| !t.is_empty()) {
                attributes.push((key.to_owned(), Value::Text(shortened(text))));
            }
        }
        attributes.extend(facts);
        Product {
            express_id: id,
            ifc_type: schema_name(&entity.type_name),
            global_id: self.global_id(id),
            name: entity.name.as_deref().filter(|n| !n.is_empty()).map(shortened),
            parent: above.iter().find(is_kept).map(|up| self.global_id(*up)),
            within: above.iter().map(|up| self.type_of(*up)).collect(),
            storey_elevation_m: std::iter::once(&id).chain(&above).find_map(|i| self.elevations.get(i).copied()),
            storeys: self.storeys.get(&id).copied(),
            attributes,
        }
    }
}

/// Whether an entity is no thing in a city, or not known at all.
fn is_left_out(entity: Option<&Named>) -> bool {
    let name = entity.map(|e| e.type_name.to_uppercase()).unwrap_or_default();
    name.is_empty() || LEFT_OUT.contains(&name.as_str()) || name.starts_with("IFCSTRUCTURAL")
}

/// Whether something of this type may be a thing in a city; types that are not known may.
fn may_be_product(type_name: &str) -> bool {
    use ifc_lite_core::IfcType::{IfcPropertyDefinition, IfcRelationship, IfcTypeObject};
    let own = ifc_lite_core::IfcType::from_str(&type_name.to_uppercase());
    ![IfcPropertyDefinition, IfcRelationship, IfcTypeObject].into_iter().any(|other| own.is_subtype_of(other))
}

/// Whether entities of this type are things that are built, in any version of the schema.
fn is_element(type_name: &str) -> bool {
    let own = ifc_lite_core::IfcType::from_str(&type_name.to_uppercase());
    own.is_subtype_of(ifc_lite_core::IfcType::IfcElement)
}

/// `IFCWALLSTANDARDCASE` as `IfcWallStandardCase`; names that are already mixed stay.
fn schema_name(name: &str) -> String {
    if name.bytes().any(|b| b.is_ascii_lowercase()) {
        return name.to_owned();
    }
    // names of drafts of IFC 4.3 that the final version dropped; files have them
    let draft = ["IfcSolidStratum", "IfcVoidStratum", "IfcWaterStratum"].iter().find(|d| d.eq_ignore_ascii_case(name));
    match draft {
        Some(name) => (*name).to_owned(),
        None => ifc_lite_core::IfcType::from_str(name).name().to_owned(),
    }
}

/// As much of a text as is kept.
pub fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
