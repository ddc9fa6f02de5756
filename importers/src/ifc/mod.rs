//! Building models: IFC 2x3, 4 and 4.3 as STEP files.
//!
//! A file becomes its spatial tree (site, building, storey, space) and its products with their shapes, property sets and
//! quantities. The georeference is read here; shapes and properties are read by a library, which is large and young: where
//! it gives up, the file is an error.

mod bare;
mod class;
mod colour;
mod facts;
mod georeference;
mod parse;
pub(crate) mod place;
mod product;
mod set;
mod step;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use glam::DVec3;
use groundline_engine::{
    crs::Crs,
    model::{Attribute, CityObject, Class, Geometry, Mesh, MeshPart, ObjectId, SourceReport, Stage, Value},
};

use crate::{Format, ImportError, Job, Kind, Options, Out, Probe};
use georeference::Georeference;
use parse::read_ifc;
use place::Placing;
use product::{Found, Part, Product, Sink, Summary};

/// Opacity of spaces: they fill rooms and must not hide the walls.
const SPACE_ALPHA: u8 = 40;

/// Largest file, bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Building models.
pub static FORMAT: Format = Format {
    name: "ifc",
    title: "Building model (IFC 2x3, 4, 4.3)",
    title_zh: "建筑信息模型 (IFC)",
    extensions: &["ifc"],
    probe,
    read,
    memory_per_byte: 8.0,
};

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let geo = Georeference::read(path)?;
    let mut probe = Probe {
        kind: Kind::Objects,
        crs: None,
        crs_from: String::new(),
        crs_text: None,
        needs_crs: false,
        encoding: None,
        source_extent: None,
        records: Some(geo.entities),
        companions: Vec::new(),
        class: Some((Class::Building, format!("schema {}", geo.schema))),
    };
    let is_placed = options.map.iter().any(|(key, _)| key == "place");
    if is_placed {
        // where the user says, in the city's coordinates or those of --crs
    } else if let Some(conversion) = &geo.conversion {
        probe.crs = geo.crs_name.as_deref().and_then(|name| Crs::parse(name).ok());
        probe.crs_from = if probe.crs.is_some() { "IfcProjectedCRS".into() } else { String::new() };
        probe.crs_text = geo.crs_name.clone().filter(|_| probe.crs.is_none());
        probe.needs_crs = true;
        let (e, n) = (conversion.eastings_m, conversion.northings_m);
        let unit_m = probe.crs.as_ref().map_or(1.0, |c| c.unit_m);
        probe.source_extent = Some([e, n, e, n].map(|v| v / unit_m));
    } else if let Some([longitude, latitude, _]) = geo.site {
        probe.crs = Crs::from_epsg(4326).ok();
        probe.crs_from = "IfcSite".into();
        probe.source_extent = Some([longitude, latitude, longitude, latitude]);
    }
    Ok(Some(probe))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let start = out.start();
    // What was found out the first time need not be found out again.
    let known = postcard::take_from_bytes::<Georeference>(out.state()).ok().filter(|_| start > 0);
    let (geo, told) = match known {
        Some((geo, told)) => (geo, told.to_vec()),
        None => (Georeference::read(job.path)?, Vec::new()),
    };
    // Where it is gone on with, the account has said this already.
    let mut said = SourceReport::default();
    let placing = Placing::of(job, &geo, if start == 0 { &mut *report } else { &mut said })?;
    out.progress(0.1);
    // the sink can only hand on text; the error itself waits here
    let mut stopped = None;
    let mut taken = 0_u64;
    let mut sink = |found: Found| -> Result<(), String> {
        let (product, parts) = match found {
            Found::Product(product, parts) => (*product, parts),
            Found::Mark(position, told) => {
                let mut state = Vec::new();
                if !told.is_empty() {
                    state = postcard::to_allocvec(&geo).map_err(|error| error.to_string())?;
                    state.extend(told);
                }
                out.mark(position, &state, report);
                return Ok(());
            }
        };
        let object = match object(job, &geo, &placing, product, parts) {
            Ok(object) => object,
            Err((record, reason)) => {
                report.skip(record, reason);
                return Ok(());
            }
        };
        taken += 1;
        out.emit(object).map_err(|error| {
            let words = error.to_string();
            stopped = Some(error);
            words
        })
    };
    let outcome = read_file(job.path, start, &told, &mut sink);
    if let Some(error) = stopped {
        return Err(error);
    }
    let summary = outcome?;
    if taken == 0 && start == 0 {
        report.warn("no_products", "the file holds no building, storey, element or other product", "");
    }
    if summary.failed_shapes > 0 {
        let least = if start > 0 { "at least " } else { "" };
        let message =
            format!("{least}{} products whose openings or joins could not be cut as modelled", summary.failed_shapes);
        report.warn("shape_approximate", message, "");
    }
    Ok(())
}

/// Reads the products.
fn read_file(path: &Path, start: u64, told: &[u8], sink: &mut Sink<'_>) -> Result<Summary, ImportError> {
    let io = |source| ImportError::Io { path: path.into(), source };
    let bad = |reason| ImportError::Bad { path: path.into(), place: "products".into(), reason };
    let mut content = Vec::new();
    File::open(path).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(io)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(bad(format!("larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    match catch_unwind(AssertUnwindSafe(|| read_ifc(&content, start, told, sink))) {
        Ok(read) => read.map_err(bad),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(bad(format!("the IFC reader gave up: {}", words.unwrap_or("it did not say why"))))
        }
    }
}

/// A product as an object; `Err` is its record and why it cannot be one.
fn object(
    job: &Job<'_>,
    geo: &Georeference,
    placing: &Placing<'_>,
    product: Product,
    parts: Vec<Part>,
) -> Result<CityObject, (u64, String)> {
    let mut class = class::class_of(&product);
    if class == Class::BuildingElement
        && let Some(asked) = job.options.class
    {
        class = asked;
    }
    let record = u64::from(product.express_id);
    let geometry = mesh(placing, parts, class)
        .map_err(|reason| (record, format!("#{record} {} {}: {reason}", product.ifc_type, product.global_id)))?;
    let mut object = CityObject::new(ObjectId::new(job.layer, &product.global_id), class, geometry);
    object.domain = class::domain_of(&product, class);
    object.stage = job.options.stage.unwrap_or(Stage::Operation);
    object.parent = product.parent.as_deref().map(|parent| ObjectId::new(job.layer, parent));
    object.record = record;
    object.attributes = attributes(&product, geo);
    object.name = product.name;
    Ok(object)
}

fn attributes(product: &Product, geo: &Georeference) -> Vec<Attribute> {
    let mut attributes = Vec::with_capacity(product.attributes.len() + 4);
    let read = |key: &str, value: Value| Attribute::read(&key.into(), value);
    attributes.push(read("ifc_type", Value::Text(product.ifc_type.clone())));
    attributes.push(read("global_id", Value::Text(product.global_id.clone())));
    if let Some(elevation) = product.storey_elevation_m {
        let (key, field) = match product.ifc_type.as_str() {
            "IfcBuildingStorey" => ("elevation_m", "Elevation"),
            _ => ("storey_elevation_m", "IfcBuildingStorey.Elevation"),
        };
        attributes.push(Attribute::converted(key, Value::Real(elevation), field, "length unit of the file to metres"));
    }
    if let Some(storeys) = product.storeys {
        attributes.push(Attribute::measured("storeys", Value::Int(storeys.into()), "storeys in the file"));
    }
    if product.ifc_type == "IfcSite" || product.ifc_type == "IfcBuilding" {
        let by = if geo.conversion.is_some() {
            &geo.conversion_from
        } else if geo.site.is_some() {
            "IfcSite"
        } else {
            "user"
        };
        attributes.push(read("georeference", Value::Text(by.into())));
        if let Some(datum) = &geo.vertical_datum {
            attributes.push(read("vertical_datum", Value::Text(datum.clone())));
        }
    }
    for (key, value) in &product.attributes {
        attributes.push(read(key, value.clone()));
    }
    attributes
}

/// The shape in the city, around the middle of its box so that its numbers are small.
fn mesh(placing: &Placing<'_>, parts: Vec<Part>, class: Class) -> Result<Geometry, String> {
    if parts.is_empty() {
        return Ok(Geometry::None);
    }
    let mut made = Vec::with_capacity(parts.len());
    let mut extent = groundline_engine::model::Extent::EMPTY;
    for part in parts {
        let mut positions: Vec<DVec3> = part.positions.iter().map(|p| DVec3::from_array(*p)).collect();
        if !placing.apply(&mut positions) {
            return Err("its shape lies outside of the city's coordinate system".into());
        }
        positions.iter().for_each(|p| extent.add(*p));
        let mut rgba = part.rgba;
        if class == Class::Space {
            rgba[3] = rgba[3].min(SPACE_ALPHA);
        }
        made.push(MeshPart { positions, indices: part.indices, rgba, ..MeshPart::default() });
    }
    let origin = extent.centre();
    for part in &mut made {
        part.positions.iter_mut().for_each(|p| *p -= origin);
    }
    Ok(Geometry::Mesh(Mesh { origin, parts: made }))
}
