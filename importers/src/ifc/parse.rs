//! The one module that knows the IFC library.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    sync::Arc,
};

use groundline_engine::model::Value;
use ifc_lite_core::EntityDecoder;
use ifc_lite_processing::{
    MeshData, ProcessingRequest,
    data_model::{DataModel, EntityMetadata, extract_data_model},
    process,
};

use super::{
    bare::without_shapes,
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

/// Elements that are meshed together: of a file of more, memory does not hold all meshes at once, and an import that is
/// killed goes on behind the last that are done.
const TOGETHER: usize = 10_000;

/// Reads the products of a file, in the order of their entity numbers, from `start` on: 0, or what was marked.
///
/// The library holds the whole file and many meshes at once, and it may panic or run long on damaged files:
/// this is why it is called in a process of its own.
pub fn read_ifc(content: &[u8], start: u64, sink: &mut Sink<'_>) -> Result<Summary, String> {
    read_together(content, TOGETHER, start, sink)
}

/// As [`read_ifc`] with so many elements at a time.
pub fn read_together(content: &[u8], together: usize, start: u64, sink: &mut Sink<'_>) -> Result<Summary, String> {
    let index = Arc::new(ifc_lite_core::build_entity_index(content));
    let decoder = || EntityDecoder::with_arc_index(content, index.clone());
    let bare = without_shapes(content, &mut decoder());
    let mut model = extract_data_model(&bare);
    let facts = Facts::of(&mut model, &bare);
    drop(bare);
    let ranges = ranges(&model, together);
    let is_whole = ranges.len() == 1;
    let request = ProcessingRequest::full_pass().index(index.clone());
    let mut colours = Colours::of(content, decoder());
    let mut tree = (!is_whole).then(|| Tree::of(&model, &HashMap::new()));
    // A mark is the number of the range that comes next, and above it the shapes that had failed before.
    let (first, failed) = ((start & u64::from(u32::MAX)) as usize, start >> 32);
    let mut summary = Summary { products: 0, failed_shapes: failed, length_unit_m: None };
    for (number, range) in ranges.iter().enumerate().skip(first) {
        let request = match is_whole {
            true => request.clone(),
            false => {
                let ids = model.entities.iter().map(|entity| entity.entity_id).filter(|id| range.contains(id));
                request.clone().ids(Some(Arc::new(ids.collect())))
            }
        };
        let result = process(content, &request, &mut ());
        let to_world = result.frame.world_mapper();
        let mut shapes: HashMap<u32, Vec<Part>> = HashMap::new();
        for mesh in result.meshes {
            // 1 and 2 are shapes of the type library: nothing in the city has them
            if mesh.geometry_class == 0
                && let Some(part) = part(&mesh, to_world)
            {
                shapes.entry(mesh.express_id).or_default().push(part);
            }
        }
        summary.failed_shapes += result.stats.products_with_failures;
        summary.length_unit_m = result.metadata.length_unit_scale;
        let tree = tree.get_or_insert_with(|| Tree::of(&model, &shapes));
        for id in tree.products_in(range, &shapes) {
            let Some(entity) = tree.entities.get(&id) else { continue };
            let product = tree.product(entity, facts.get(id));
            let mut parts = shapes.remove(&id).unwrap_or_default();
            if let Some(first) = parts.first().map(|part| part.rgba)
                && parts.iter().all(|part| part.rgba == first)
                && let Some(rgba) = colours.as_mut().and_then(|colours| colours.of_cut(id))
            {
                parts.iter_mut().for_each(|part| part.rgba = rgba);
            }
            sink(Found::Product(Box::new(product), parts))?;
            summary.products += 1;
        }
        if number + 1 < ranges.len() {
            sink(Found::Mark((number + 1) as u64 | summary.failed_shapes << 32))?;
        }
    }
    Ok(summary)
}

/// The entity numbers in ranges of so many elements each; one range for all of a file that has no more.
fn ranges(model: &DataModel, together: usize) -> Vec<RangeInclusive<u32>> {
    let mut elements: Vec<u32> =
        model.entities.iter().filter(|entity| is_element(&entity.type_name)).map(|entity| entity.entity_id).collect();
    elements.sort_unstable();
    let mut ranges = Vec::new();
    let mut from = 0;
    for last in elements.chunks(together).filter_map(<[u32]>::last).take(elements.len().div_ceil(together).max(1) - 1) {
        ranges.push(from..=*last);
        from = last.saturating_add(1);
    }
    ranges.push(from..=u32::MAX);
    ranges
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

/// Who is part of whom.
struct Tree<'a> {
    entities: HashMap<u32, &'a EntityMetadata>,
    parents: HashMap<u32, u32>,
    elevations: HashMap<u32, f64>,
    storeys: HashMap<u32, u32>,
    products: Vec<u32>,
}

impl<'a> Tree<'a> {
    fn of(model: &'a DataModel, shapes: &HashMap<u32, Vec<Part>>) -> Self {
        let entities: HashMap<u32, &EntityMetadata> = model.entities.iter().map(|e| (e.entity_id, e)).collect();
        let mut parents = HashMap::new();
        let mut elevations = HashMap::new();
        let mut products: HashSet<u32> = shapes.keys().copied().collect();
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
        // what nobody placed in the tree and what has no shape is in the file all the same
        products.extend(model.entities.iter().filter(|e| is_element(&e.type_name)).map(|e| e.entity_id));
        let mut products: Vec<u32> = products.into_iter().filter(|id| !is_left_out(entities.get(id))).collect();
        products.sort_unstable();
        let mut tree = Self { entities, parents, elevations, storeys: HashMap::new(), products };
        tree.count_storeys();
        tree
    }

    /// The products of a range of entity numbers, in order; also those that are known by their shape alone.
    fn products_in(&self, range: &RangeInclusive<u32>, shapes: &HashMap<u32, Vec<Part>>) -> Vec<u32> {
        let is_other = |id: &&u32| self.products.binary_search(id).is_err() && !is_left_out(self.entities.get(*id));
        let others = shapes.keys().filter(is_other);
        let mut products: Vec<u32> =
            self.products.iter().chain(others).filter(|id| range.contains(id)).copied().collect();
        products.sort_unstable();
        products
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

    fn product(&self, entity: &EntityMetadata, facts: Vec<(String, Value)>) -> Product {
        let id = entity.entity_id;
        let above: Vec<u32> = self.above(id).collect();
        let is_kept = |up: &&u32| self.products.binary_search(up).is_ok();
        let mut attributes = Vec::new();
        for (key, text) in [
            ("description", &entity.description),
            ("object_type", &entity.object_type),
            ("tag", &entity.tag),
            ("predefined_type", &entity.predefined_type),
        ] {
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
fn is_left_out(entity: Option<&&EntityMetadata>) -> bool {
    let name = entity.map(|e| e.type_name.to_uppercase()).unwrap_or_default();
    name.is_empty() || LEFT_OUT.contains(&name.as_str()) || name.starts_with("IFCSTRUCTURAL")
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
