//! Pieces of a scene to city objects: one per feature, or one for all where nothing tells features apart.

use std::collections::BTreeMap;

use glam::DVec3;
use groundline_engine::model::{
    Attribute, CityObject, Class, Geometry, Line, MeshPart, ObjectId, SourceReport, Value, Vertical,
};

use super::scene::{Ids, Piece, Shape};
use crate::{ImportError, Job, Out, cloud::RawPoint, mesh};

/// What a feature is made of.
#[derive(Default)]
pub(crate) struct Drawn {
    pub parts: Vec<MeshPart>,
    pub lines: Vec<Vec<DVec3>>,
}

/// A feature: the property table it counts in, and its number; `None`: all that belongs to no feature.
pub(crate) type Feature = Option<(usize, u32)>;

/// Sorts pieces by feature. Points are handed on one by one.
pub(crate) fn sorted(
    pieces: &[Piece],
    place: impl Fn(&[DVec3]) -> Vec<DVec3>,
    point: &mut dyn FnMut(RawPoint) -> Result<(), ImportError>,
) -> Result<BTreeMap<Feature, Drawn>, ImportError> {
    let mut found: BTreeMap<Feature, Drawn> = BTreeMap::new();
    for piece in pieces {
        let positions = place(&piece.positions);
        if piece.shape == Shape::Points {
            // An index may name a point twice; each is one point.
            for (k, at) in positions.iter().enumerate() {
                let colour = piece.colours.as_ref().and_then(|c| c.get(k)).unwrap_or(&piece.plain);
                let [r, g, b, _] = *colour;
                point(RawPoint { at: *at, rgb: Some([r, g, b].map(f32::from)), ..RawPoint::default() })?;
            }
            continue;
        }
        let corners = if piece.shape == Shape::Lines { 2 } else { 3 };
        let mut by_feature: BTreeMap<Feature, Vec<u32>> = BTreeMap::new();
        for corner in piece.indices.chunks_exact(corners) {
            let first = corner.first().copied().unwrap_or(0);
            let table = piece.table.unwrap_or(0);
            let feature = match &piece.ids {
                Ids::None => None,
                Ids::One(id) => Some((table, *id)),
                Ids::Each(ids) => ids.get(first as usize).map(|id| (table, *id)),
            };
            by_feature.entry(feature).or_default().extend_from_slice(corner);
        }
        for (feature, indices) in by_feature {
            let drawn = found.entry(feature).or_default();
            if piece.shape == Shape::Lines {
                drawn.lines.extend(paths(&positions, &indices));
            } else {
                let triangles: Vec<[u32; 3]> =
                    indices.chunks_exact(3).filter_map(|c| Some([*c.first()?, *c.get(1)?, *c.get(2)?])).collect();
                if let Some((texture, uvs)) = &piece.picture {
                    drawn.parts.push(mesh::pictured(&positions, &triangles, uvs, piece.plain, texture));
                    continue;
                }
                let (parts, _) = mesh::parts(&positions, &triangles, piece.colours.as_deref(), piece.plain);
                drawn.parts.extend(parts);
            }
        }
    }
    Ok(found)
}

/// Single lines joined where one ends at the vertex at which the next begins.
fn paths(positions: &[DVec3], indices: &[u32]) -> Vec<Vec<DVec3>> {
    let mut paths: Vec<Vec<DVec3>> = Vec::new();
    let mut end = None;
    for pair in indices.chunks_exact(2) {
        let [a, b] = *pair else { continue };
        let (Some(from), Some(to)) = (positions.get(a as usize), positions.get(b as usize)) else { continue };
        match paths.last_mut().filter(|_| end == Some(a)) {
            Some(path) => path.push(*to),
            None => paths.push(vec![*from, *to]),
        }
        end = Some(b);
    }
    paths
}

impl Drawn {
    /// Whether every vertex has a place in the city.
    pub fn is_placed(&self) -> bool {
        self.parts.iter().all(|p| p.positions.iter().all(|v| v.is_finite()))
            && self.lines.iter().flatten().all(|v| v.is_finite())
    }

    /// The shape; lines of a feature that also has surfaces are its outlines and are left out.
    fn geometry(self) -> Geometry {
        match mesh::geometry(self.parts) {
            Geometry::None if !self.lines.is_empty() => {
                Geometry::Line(Line { paths: self.lines, vertical: Vertical::Absolute, width_m: 0.0 })
            }
            geometry => geometry,
        }
    }
}

/// Emits one object; one without a shape or without a place is skipped.
pub(crate) fn emit(
    job: &Job<'_>,
    (key, record): (&str, u64),
    drawn: Drawn,
    attributes: Vec<Attribute>,
    out: &mut dyn Out,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    if !drawn.is_placed() {
        report.skip(record, format!("{key}: it lies outside the coordinate system's area"));
        return Ok(());
    }
    let geometry = drawn.geometry();
    if geometry == Geometry::None {
        report.skip(record, format!("{key}: it has no triangle and no line"));
        return Ok(());
    }
    let class = job.options.class.or_else(|| class_of(&attributes)).unwrap_or(Class::Generic);
    let mut object = CityObject::new(ObjectId::new(job.layer, key), class, geometry);
    if let Some(stage) = job.options.stage {
        object.stage = stage;
    }
    object.name = name_of(&attributes);
    object.record = record;
    object.attributes = attributes;
    report.extent.merge(&object.geometry.extent());
    report.objects += 1;
    out.emit(object)
}

/// The name that an attribute gives.
pub(crate) fn name_of(attributes: &[Attribute]) -> Option<String> {
    let text = |name: &str| {
        let found = attributes.iter().find(|a| a.key.eq_ignore_ascii_case(name))?;
        found.value.as_str().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned)
    };
    text("name").or_else(|| text("gml:name"))
}

/// The class that an attribute such as `class: Building` names, where it is one of CityGML's or ours.
pub(crate) fn class_of(attributes: &[Attribute]) -> Option<Class> {
    const KEYS: [&str; 6] = ["class", "type", "citygml_class", "feature_type", "gml:type", "objectclass"];
    let named = attributes.iter().filter(|a| KEYS.contains(&a.key.to_ascii_lowercase().as_str()));
    named.filter_map(|a| a.value.as_str()).find_map(|word| {
        let word = word.rsplit(':').next().unwrap_or(word);
        match word {
            "Building" | "BuildingPart" | "bldg" => Some(Class::Building),
            "Road" => Some(Class::Road),
            "Bridge" => Some(Class::Bridge),
            "Tunnel" => Some(Class::Tunnel),
            "WaterBody" => Some(Class::Water),
            "LandUse" => Some(Class::LandUse),
            "CityFurniture" => Some(Class::Furniture),
            "SolitaryVegetationObject" => Some(Class::Tree),
            "PlantCover" => Some(Class::Greenery),
            "TINRelief" | "ReliefFeature" => Some(Class::Terrain),
            other => Class::parse(&other.to_lowercase()),
        }
    })
}

/// The key of a feature by an attribute that identifies it everywhere, such as a GML id.
pub(crate) fn own_key(attributes: &[Attribute]) -> Option<String> {
    const KEYS: [&str; 7] = ["gml_id", "gml:id", "gmlid", "globalid", "global_id", "guid", "uuid"];
    let named = attributes.iter().find(|a| KEYS.contains(&a.key.to_ascii_lowercase().as_str()));
    match &named?.value {
        Value::Text(text) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
        _ => None,
    }
}
