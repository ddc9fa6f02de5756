//! `groundline-bench read FILE EPSG`: a source read with its attributes, moved into a system, and its boxes indexed,
//! in one process without tiles and files: what GDAL does when it converts and reprojects.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, Extent, SourceReport},
    query::BoxTree,
};
use groundline_importers::{FORMATS, ImportError, Job, Options, Out};

/// What comes out of the importer: the boxes stay, the objects are counted and dropped.
#[derive(Default)]
struct Boxes {
    boxes: Vec<Extent>,
    attributes: usize,
}

impl Out for Boxes {
    fn emit(&mut self, object: CityObject) -> Result<(), ImportError> {
        self.attributes += object.attributes.len();
        self.boxes.push(object.geometry.extent());
        Ok(())
    }

    fn progress(&mut self, _fraction: f32) {}
}

/// Reads `path` into the system `epsg` (0: the source's own) and prints one JSON line.
pub fn read(path: &Path, epsg: u32) -> Result<()> {
    let started = Instant::now();
    let options = Options::default();
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut found = None;
    for format in FORMATS.iter().filter(|f| f.extensions.contains(&ending.as_str())) {
        if let Some(probe) = (format.probe)(path, &options)? {
            found = Some((format, probe));
            break;
        }
    }
    let (format, probe) = found.context("no format knows the file")?;
    let crs = probe.crs.clone().context("the file names no coordinate system")?;
    let target = if epsg == 0 { crs.clone() } else { Crs::from_epsg(epsg)? };
    let city_from_source = Transform::new(&crs, &target)?;
    let job =
        Job { path, probe: &probe, layer: "bench", city_from_source: &city_from_source, crs: &crs, options: &options };
    let (mut out, mut report) = (Boxes::default(), SourceReport::default());
    (format.read)(&job, &mut out, &mut report)?;
    let read_s = started.elapsed().as_secs_f64();
    let (tree, _) = BoxTree::packed(&out.boxes);
    let line = serde_json::json!({
        "objects": tree.len(), "attributes": out.attributes, "skipped": report.skipped,
        "read_s": read_s, "index_s": started.elapsed().as_secs_f64() - read_s,
    });
    println!("{line}");
    Ok(())
}
