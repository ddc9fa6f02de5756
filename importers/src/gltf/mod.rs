//! glTF 2.0 and GLB models, and what 3D Tiles share with them.
//!
//! A model stands in coordinates of its own, y up; `--map place=…` says where they go, or `--crs` whose they are.
//! Every node that draws something becomes an object, every feature where the mesh tells features apart
//! (EXT_mesh_features with EXT_structural_metadata).

pub(crate) mod document;
mod first;
pub(crate) mod folder;
pub(crate) mod object;
mod paint;
pub(crate) mod scene;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;
mod vertex;

use std::path::{Path, PathBuf};

use glam::{DMat4, DVec3};
use groundline_engine::model::{Class, SourceReport};

use self::{
    document::{Document, Root, root_of, split},
    folder::{Folder, read_file},
    object::{Feature, emit, own_key, sorted},
    scene::{Piece, scene_of},
    table::{Table, tables_of},
};
use crate::{
    Format, ImportError, Job, Kind, Options, Out, Probe,
    cloud::{Depth, Placing, Scan, grow, is_earth_centred, probe_of},
    geotiff::{raster::bad, stem},
};

/// glTF models.
pub static FORMAT: Format = Format {
    name: "gltf",
    title: "glTF or GLB model",
    title_zh: "glTF/GLB 三维模型",
    extensions: &["gltf", "glb"],
    probe,
    read,
    memory_per_byte: 8.0,
};

/// Bytes of a model, which is held in memory.
const MAX_BYTES: u64 = 1 << 30;

/// From y up to z up.
pub(crate) fn z_up(p: DVec3) -> DVec3 {
    DVec3::new(p.x, -p.z, p.y)
}

fn probe(path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let bytes = read_file(path, MAX_BYTES).map_err(|reason| bad(path, "file", reason))?;
    let root = split(&bytes).and_then(|(json, _)| root_of(json)).map_err(|reason| bad(path, "header", reason))?;
    let mut extent = None;
    let middle = box_of(&root).map(|(low, high)| {
        grow(&mut extent, low);
        grow(&mut extent, high);
        (low + high) / 2.0
    });
    let mut probe = probe_of(path, &FORMAT, options, Some(root.nodes.len() as u64), extent);
    probe.kind = Kind::Objects;
    probe.class = Some((Class::Generic, "a model".into()));
    if middle.is_some_and(is_earth_centred) {
        crate::cloud::tell_earth_centred(&mut probe, options, middle);
    }
    let folder = Folder::of(path);
    let uris =
        root.buffers.iter().filter_map(|b| b.uri.as_deref()).chain(root.images.iter().filter_map(|i| i.uri.as_deref()));
    probe.companions.extend(companions(&folder, uris));
    Ok(Some(probe))
}

/// Files at these addresses that are there.
pub(crate) fn companions<'u>(folder: &Folder, uris: impl Iterator<Item = &'u str>) -> Vec<PathBuf> {
    uris.filter(|u| !u.starts_with("data:")).filter_map(|u| folder.path(u).ok()).collect()
}

/// The box of the positions by what their accessors say, z up; nodes deeper than some levels are not looked for.
fn box_of(root: &Root) -> Option<(DVec3, DVec3)> {
    let (mut low, mut high) = (DVec3::INFINITY, DVec3::NEG_INFINITY);
    let starts =
        root.scenes.get(root.scene.unwrap_or(0)).map_or_else(|| (0..root.nodes.len()).collect(), |s| s.nodes.clone());
    let mut open: Vec<(usize, DMat4, u32)> = starts.into_iter().map(|n| (n, DMat4::IDENTITY, 0)).collect();
    let mut left = 100_000;
    while let Some((index, parent, depth)) = open.pop() {
        let Some(node) = root.nodes.get(index) else { continue };
        left -= 1;
        if depth > 64 || left == 0 {
            break;
        }
        let local = node.matrix.map_or_else(
            || {
                DMat4::from_scale_rotation_translation(
                    node.scale.map_or(DVec3::ONE, DVec3::from_array),
                    node.rotation.map_or(glam::DQuat::IDENTITY, glam::DQuat::from_array),
                    node.translation.map_or(DVec3::ZERO, DVec3::from_array),
                )
            },
            |m| DMat4::from_cols_array(&m),
        );
        let transform = parent * local;
        open.extend(node.children.iter().map(|c| (*c, transform, depth + 1)));
        let primitives = node.mesh.and_then(|m| root.meshes.get(m)).map_or(&[][..], |m| &m.primitives);
        for primitive in primitives {
            let accessor = primitive.attributes.get("POSITION").and_then(|a| root.accessors.get(*a));
            let Some(([x0, y0, z0], [x1, y1, z1])) =
                accessor.and_then(|a| Some((a.min.first_chunk::<3>()?, a.max.first_chunk::<3>()?)))
            else {
                continue;
            };
            for (x, y, z) in [(x0, y0, z0), (x1, y1, z1), (x0, y1, z0), (x1, y0, z1)] {
                let p = z_up(transform.transform_point3(DVec3::new(*x, *y, *z)));
                (low, high) = (low.min(p), high.max(p));
            }
        }
    }
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

fn read(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let fail = |reason: String| bad(job.path, "model", reason);
    let bytes = read_file(job.path, MAX_BYTES).map_err(fail)?;
    let document = Document::read(&bytes, Folder::of(job.path)).map_err(fail)?;
    drop(bytes);
    out.progress(0.2);
    let scene = scene_of(&document).map_err(fail)?;
    let (tables, notes) = tables_of(&document);
    drop(document);
    for (code, message) in &scene.notes {
        report.warn(code, message.clone(), "");
    }
    for note in notes {
        report.warn("property_left_out", note, "");
    }
    let placing = Placing::for_source(job, report)?;
    let place = |points: &[DVec3]| {
        let mut placed: Vec<DVec3> = points.iter().map(|p| z_up(*p)).collect();
        placing.apply(&mut placed);
        placed
    };
    let done = Placing::done();
    let stem = stem(job.path);
    let mut scan = Scan::new(job, &done, &stem, Depth::Range(0.0, 255.0), Depth::Open { whole: true });
    let keys = node_keys(&scene.names);
    let mut at = 0;
    let mut points = 0;
    while let Some(node) = scene.pieces.get(at).map(|p| p.node) {
        let count = scene.pieces.iter().skip(at).take_while(|p| p.node == node).count();
        let pieces: &[Piece] = scene.pieces.get(at..at + count).unwrap_or(&[]);
        let found = {
            let mut point = |p| {
                points += 1;
                scan.push(points, p, out, report)
            };
            sorted(pieces, place, &mut point)?
        };
        let node_key = keys.get(node).cloned().unwrap_or_else(|| format!("node{node}"));
        for (feature, drawn) in found {
            let attributes = attributes(&tables, feature);
            let key = match feature {
                None => node_key.clone(),
                Some((table, id)) => own_key(&attributes).unwrap_or_else(|| format!("{node_key}.{table}.{id}")),
            };
            let mut attributes = attributes;
            if let Some(Some(name)) = scene.names.get(node).filter(|_| feature.is_none()) {
                use groundline_engine::model::{Attribute, Value};
                attributes.push(Attribute::read(&"name".into(), Value::Text(name.clone())));
            }
            emit(job, (&key, node as u64 + 1), drawn, attributes, out, report)?;
        }
        at += count;
        out.progress(0.2 + 0.8 * at as f32 / scene.pieces.len().max(1) as f32);
    }
    let taken = scan.finish(out, report)?;
    if taken == 0 && report.objects == 0 {
        report.warn("empty", "the model draws nothing", "");
    }
    Ok(())
}

/// What is known of a feature.
pub(crate) fn attributes(tables: &[impl Table], feature: Feature) -> Vec<groundline_engine::model::Attribute> {
    feature.and_then(|(table, id)| Some(tables.get(table)?.attributes(id))).unwrap_or_default()
}

/// A key for each node: its name where no other has it, else its number.
fn node_keys(names: &[Option<String>]) -> Vec<String> {
    let mut counts = std::collections::HashMap::new();
    names.iter().flatten().for_each(|n| *counts.entry(n.as_str()).or_insert(0u32) += 1);
    let key = |(k, name): (usize, &Option<String>)| match name {
        Some(name) if !name.trim().is_empty() && counts.get(name.as_str()) == Some(&1) => name.clone(),
        _ => format!("node{k}"),
    };
    names.iter().enumerate().map(key).collect()
}
