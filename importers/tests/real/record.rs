//! What an importer reads, written down record by record for the programs that judge it: one JSON object a line.
//!
//! The first line is the account of the file, each further line one object in the coordinates of the file itself:
//! nothing is transformed, so that whoever reads the file with another program must find the same numbers.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use glam::DVec3;
use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, Geometry, Mesh, Origin, Polygon, SourceReport, Value, Vertical},
};
use groundline_importers::{FORMATS, Format, ImportError, Job, Options, Out, Probe};
use serde_json::{Value as Json, json};

/// The format that takes a file, asked in the order in which an import asks.
pub fn detect(path: &Path, options: &Options) -> Result<Option<(&'static Format, Probe)>, ImportError> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    for format in FORMATS.iter().filter(|format| format.extensions.contains(&ending.as_str())) {
        if let Some(probe) = (format.probe)(path, options)? {
            return Ok(Some((format, probe)));
        }
    }
    Ok(None)
}

/// Hands every object on as it comes.
pub struct Each<F>(pub F);

impl<F: FnMut(CityObject)> Out for Each<F> {
    fn emit(&mut self, object: CityObject) -> Result<(), ImportError> {
        (self.0)(object);
        Ok(())
    }

    fn progress(&mut self, _: f32) {}
}

/// Reads a file in its own coordinates; every object goes to `each`.
pub fn read_as_it_stands(
    path: &Path,
    (format, probe): (&Format, &Probe),
    options: &Options,
    each: impl FnMut(CityObject),
) -> (SourceReport, Result<(), ImportError>) {
    // A system for files that name none; nothing is transformed into itself.
    let is_degrees = probe.source_extent.is_some_and(|e| e.iter().all(|n| n.abs() <= 180.0));
    let assumed = || Crs::from_epsg(if is_degrees { 4326 } else { 32650 }).unwrap();
    let crs = probe.crs.clone().unwrap_or_else(assumed);
    let transform = Transform::new(&crs, &crs).unwrap();
    let mut report = SourceReport::default();
    let job = Job { path, probe, layer: "x", city_from_source: &transform, crs: &crs, options };
    let outcome = (format.read)(&job, &mut Each(each), &mut report);
    (report, outcome)
}

/// Writes what is read of `path` to `to`.
pub fn write(path: &Path, found: (&Format, &Probe), options: &Options, to: &Path) {
    let mut lines = Vec::new();
    let (report, outcome) = read_as_it_stands(path, found, options, |object| lines.push(line(&object).to_string()));
    let (format, probe) = found;
    let head = json!({
        "format": format.name,
        "crs": probe.crs.as_ref().map(Crs::label),
        "encoding": probe.encoding,
        "error": outcome.err().map(|e| e.to_string()),
        "skipped": report.skipped,
        "skips": report.skips,
        "warnings": report.warnings,
    });
    let mut file = BufWriter::new(File::create(to).unwrap());
    writeln!(file, "{head}").unwrap();
    lines.iter().for_each(|line| writeln!(file, "{line}").unwrap());
    file.flush().unwrap();
}

fn line(object: &CityObject) -> Json {
    let extent = object.geometry.extent();
    let has_extent = !extent.is_empty();
    let mut line = json!({
        "record": object.record,
        // Without the layer's name.
        "id": object.id.as_str().split_once('/').map(|(_, own)| own),
        "class": object.class.word(),
        "name": object.name,
        "parent": object.parent.as_ref().and_then(|p| Some(p.as_str().split_once('/')?.1)),
        "attributes": object.attributes.iter().map(|a| json!([a.key, a.field, origin(&a.origin), value(&a.value)]))
            .collect::<Vec<_>>(),
        "shape": kind(&object.geometry),
        "box": has_extent.then_some([extent.min.to_array(), extent.max.to_array()]),
        "is_absolute": is_absolute(&object.geometry),
    });
    match &object.geometry {
        Geometry::Mesh(mesh) => {
            line["area"] = json!(area(mesh));
            line["triangles"] = json!(mesh.parts.iter().map(|p| p.indices.len() / 3).sum::<usize>());
            line["colours"] = json!(mesh.parts.iter().map(|p| p.rgba).collect::<Vec<_>>());
        }
        other => line["vertices"] = json!(vertices(other).iter().map(DVec3::to_array).collect::<Vec<_>>()),
    }
    line
}

fn origin(origin: &Origin) -> &'static str {
    match origin {
        Origin::Read => "read",
        Origin::Converted(_) => "converted",
        Origin::Measured(_) => "measured",
        Origin::Defaulted(_) => "defaulted",
    }
}

fn value(value: &Value) -> Json {
    match value {
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!(i),
        Value::Real(r) => json!(r),
        Value::Text(t) => json!(t),
    }
}

fn kind(geometry: &Geometry) -> &'static str {
    match geometry {
        Geometry::None => "none",
        Geometry::Point(_) => "point",
        Geometry::Line(_) => "line",
        Geometry::Area(_) => "area",
        Geometry::Block(_) => "block",
        Geometry::Tube(_) => "tube",
        Geometry::Shaft(_) => "shaft",
        Geometry::Instance(_) => "instance",
        Geometry::Mesh(_) => "mesh",
        Geometry::Points(_) => "points",
        Geometry::Heights(_) => "heights",
        Geometry::Picture(_) => "picture",
    }
}

fn is_absolute(geometry: &Geometry) -> bool {
    let vertical = match geometry {
        Geometry::Point(point) => point.vertical,
        Geometry::Line(line) => line.vertical,
        Geometry::Area(area) => area.vertical,
        Geometry::Tube(tube) => tube.vertical,
        Geometry::Shaft(shaft) => shaft.vertical,
        Geometry::Instance(instance) => instance.vertical,
        Geometry::Block(_) => Vertical::AboveTerrain,
        _ => Vertical::Absolute,
    };
    vertical == Vertical::Absolute
}

/// Every vertex that the source gave, in the order of the object.
pub fn vertices(geometry: &Geometry) -> Vec<DVec3> {
    let rings = |polygons: &[Polygon]| {
        polygons.iter().flat_map(|p| p.outer.iter().chain(p.holes.iter().flatten()).copied()).collect()
    };
    match geometry {
        Geometry::Point(point) => vec![point.at],
        Geometry::Line(line) => line.paths.iter().flatten().copied().collect(),
        Geometry::Area(area) => rings(&area.polygons),
        Geometry::Block(block) => rings(&block.footprint),
        Geometry::Tube(tube) => tube.axis.clone(),
        Geometry::Shaft(shaft) => vec![shaft.top],
        Geometry::Instance(instance) => vec![instance.at],
        Geometry::Mesh(mesh) => mesh.parts.iter().flat_map(|p| p.positions.iter().map(|v| mesh.origin + *v)).collect(),
        _ => Vec::new(),
    }
}

/// Area of all triangles, both sides of a wall counted as they are modelled.
fn area(mesh: &Mesh) -> f64 {
    let triangles = mesh
        .parts
        .iter()
        .flat_map(|part| part.indices.chunks_exact(3).map(|t| [0, 1, 2].map(|i| part.positions[t[i] as usize])));
    triangles.map(|[a, b, c]| (b - a).cross(c - a).length() * 0.5).sum()
}
