//! The act of importing (入库): detect each source, agree on the city's coordinate system, read, hand the objects
//! to a draft of the city, commit one version, account for everything.
//!
//! This is the one module of the crate that sees the store; importers see only [`Out`].

mod placed;
mod reading;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use groundline_engine::{
    crs::{Crs, CrsError},
    model::{CityObject, ImportReport, SourceReport},
    store::{City, Draft, LayerWriter, SourceRef, StoreError},
};

use self::placed::{Placed, city_crs, name_crs};
use crate::{FORMATS, Format, ImportError, Kind, Options, Probe, source::Found};

/// What to import, and how.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Files and folders.
    pub sources: Vec<PathBuf>,
    /// Folder of the city; made when it does not hold one yet.
    pub city: PathBuf,
    /// Name of a city that is made; the folder's name when absent.
    pub name: Option<String>,
    /// One layer for all sources; else one per source, named after its file.
    pub layer: Option<String>,
    /// EPSG code of the vertical datum of a city that is made.
    pub vertical: Option<u32>,
    /// What the user says of the sources.
    pub options: Options,
    /// Read and report, write nothing.
    pub dry_run: bool,
}

/// How far an import is.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Sources are being read.
    Reading {
        /// The source last heard of, as named by the user.
        path: String,
        /// Sources read to their end.
        done: usize,
        /// Of how many.
        of: usize,
        /// Part of all bytes read, 0 to 1.
        fraction: f32,
        /// Objects and points so far.
        taken: u64,
    },
    /// Objects and tiles are being written.
    Writing,
}

/// Why an import as a whole failed. Nothing of it is in the city then.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The request makes no sense: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// No source could be read; the account says why for each.
    #[error("nothing could be imported: {}", first_error(.0))]
    Nothing(Box<ImportReport>),
    /// The city could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Coordinate systems.
    #[error(transparent)]
    Crs(#[from] CrsError),
}

fn first_error(report: &ImportReport) -> String {
    let failed: Vec<&SourceReport> = report.sources.iter().filter(|s| s.error.is_some()).collect();
    let first = failed.first().and_then(|s| s.error.clone()).unwrap_or_else(|| "no source was found".into());
    match failed.len() {
        0 | 1 => first,
        more => format!("{first} (and {} more)", more - 1),
    }
}

/// Imports. The account lists every source, also those that failed; `error` in it says why.
pub fn import(request: &Request, progress: &mut dyn FnMut(Progress)) -> Result<ImportReport, IntakeError> {
    let started = Instant::now();
    let mut report = ImportReport { city: request.city.display().to_string(), ..ImportReport::default() };
    let Found { sources, unpacked: _unpacked } =
        crate::source::find(&request.sources, request.layer.as_deref(), &request.options, &mut report)?;
    let existing = match City::open(&request.city) {
        Ok(city) => Some(city),
        Err(StoreError::NotACity(_)) => None,
        Err(error) => return Err(error.into()),
    };
    report.version = existing.as_ref().map_or(0, City::version);
    let named = name_crs(sources, request, &mut report);
    if named.is_empty() {
        return Err(IntakeError::Nothing(Box::new(finished(report, started))));
    }
    let crs = match &existing {
        Some(city) => city.crs().clone(),
        None => city_crs(&named)?,
    };
    let sources: Vec<Placed> = named.into_iter().map(|n| n.placed(&crs)).collect();
    if request.dry_run {
        let read = reading::read_all(&sources, |_| Box::new(|_| Ok(())), &crs, request, reading::MOST_LAYERS, progress);
        report.sources.extend(read.accounts);
        return Ok(finished(report, started));
    }

    let was_made = existing.is_none();
    let city = match existing {
        Some(city) => city,
        None => {
            let name = request.name.clone().unwrap_or_else(|| city_name(&request.city));
            City::create(&request.city, &name, &crs, request.vertical)?
        }
    };
    let outcome = import_into(&city, sources, &crs, request, &mut report, progress);
    if was_made && !matches!(outcome, Ok(true)) {
        // An empty city that this import made and could not fill is not left behind.
        let _ = std::fs::remove_dir_all(&request.city);
    }
    outcome?;
    let report = finished(report, started);
    match report.sources.iter().all(|s| s.error.is_some()) {
        true => Err(IntakeError::Nothing(Box::new(report))),
        false => Ok(report),
    }
}

/// Reads sources without a city: their objects, in the system that a city made of them would get, go to `take` with the
/// name of their layer, source after source in the order of the import.
pub fn examine(
    request: &Request,
    take: &(dyn Fn(&str, &CityObject) + Sync),
    progress: &mut dyn FnMut(Progress),
) -> Result<(ImportReport, Crs), IntakeError> {
    let started = Instant::now();
    let mut report = ImportReport::default();
    let Found { sources, unpacked: _unpacked } =
        crate::source::find(&request.sources, request.layer.as_deref(), &request.options, &mut report)?;
    let named = name_crs(sources, request, &mut report);
    if named.is_empty() {
        return Err(IntakeError::Nothing(Box::new(finished(report, started))));
    }
    let crs = city_crs(&named)?;
    let sources: Vec<Placed> = named.into_iter().map(|n| n.placed(&crs)).collect();
    let take_of = |layer: &str| -> reading::Take<'_> {
        let layer = layer.to_owned();
        Box::new(move |object| {
            take(&layer, &object);
            Ok(())
        })
    };
    // One layer at a time: what is said of doubles depends on which comes first.
    let read = reading::read_all(&sources, take_of, &crs, request, 1, progress);
    report.sources.extend(read.accounts);
    Ok((finished(report, started), crs))
}

/// Reads `sources` into a draft and commits it; `Ok(false)` when nothing changed or nothing could be read.
fn import_into(
    city: &City,
    sources: Vec<Placed>,
    crs: &Crs,
    request: &Request,
    report: &mut ImportReport,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, IntakeError> {
    let mut draft = city.begin()?;
    let mut layers: BTreeMap<String, Vec<SourceRef>> = BTreeMap::new();
    for placed in &sources {
        let entry = layers.entry(placed.source.layer.clone()).or_default();
        entry.push(SourceRef { path: placed.source.shown.clone(), hash: placed.hash(request) });
    }
    let mut unchanged = Vec::new();
    for (layer, refs) in &layers {
        if draft.is_unchanged(layer, refs) {
            unchanged.push(layer.clone());
            continue;
        }
        if let Some(held) = city.layers().iter().find(|l| &l.name == layer) {
            let stays = |old: &SourceRef| refs.iter().any(|new| same_file(&new.path, &old.path));
            if let Some(lost) = held.sources.iter().find(|old| !stays(old)) {
                return Err(IntakeError::Usage(format!(
                    "layer {layer} holds the objects of {}, which this import would replace: \
                     give another --layer, or import both sources together",
                    lost.path
                )));
            }
        }
        draft.replace_layer(layer, refs.clone())?;
    }
    let (same, changed): (Vec<Placed>, Vec<Placed>) =
        sources.into_iter().partition(|p| unchanged.contains(&p.source.layer));
    for placed in same {
        report.sources.push(SourceReport { unchanged: true, ..placed.account() });
    }
    if changed.is_empty() {
        return Ok(false);
    }

    let mut writers: BTreeMap<String, LayerWriter<'_>> = draft.writers().map(|w| (w.name().to_owned(), w)).collect();
    let take_of = |layer: &str| -> reading::Take<'_> {
        let mut writer = writers.remove(layer);
        let layer = layer.to_owned();
        Box::new(move |object| match &mut writer {
            Some(writer) => writer.push(object),
            None => Err(StoreError::NoLayer(layer.clone())),
        })
    };
    let read = reading::read_all(&changed, take_of, crs, request, reading::MOST_LAYERS, progress);
    report.sources.extend(read.accounts);
    if let Some(error) = read.store {
        return Err(error.into());
    }
    for layer in &read.failed_layers {
        draft.abandon_layer(layer);
    }
    if changed.iter().all(|p| read.failed_layers.contains(&p.source.layer)) {
        return Ok(false);
    }
    progress(Progress::Writing);
    commit(draft, report)
}

fn commit(draft: Draft, report: &mut ImportReport) -> Result<bool, IntakeError> {
    report.version = draft.commit(report)?;
    Ok(true)
}

fn city_name(folder: &Path) -> String {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_else(|| "city".into());
    name.strip_suffix(".city").map_or(name.clone(), str::to_owned)
}

/// Whether two paths as named by users mean the same file; compares names only where one is gone.
fn same_file(a: &str, b: &str) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// Adds up the account.
fn finished(mut report: ImportReport, started: Instant) -> ImportReport {
    report.objects = report.sources.iter().map(|s| s.objects).sum();
    report.points = report.sources.iter().map(|s| s.points).sum();
    if report.extent.is_empty() {
        for source in &report.sources {
            report.extent.merge(&source.extent);
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    report.peak_rss_bytes = peak_rss_bytes() + crate::apart::peak_bytes();
    report
}

/// Highest resident memory of this process so far, bytes; 0 where the system does not say.
pub fn peak_rss_bytes() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Whether some data of the import did not make it: exit code 3.
pub fn has_skipped(report: &ImportReport) -> bool {
    report.sources.iter().any(|s| s.skipped > 0 || s.error.is_some())
}

/// The first format that knows the file, with what it saw.
pub(crate) fn detect(path: &Path, options: &Options) -> Result<Option<(&'static Format, Probe)>, ImportError> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    for format in options.more.iter().chain(FORMATS).filter(|f| f.extensions.contains(&ending.as_str())) {
        if let Some(probe) = crate::apart::probe(format, path, options)? {
            return Ok(Some((format, probe)));
        }
    }
    Ok(None)
}

/// What recorded readings are told: they are replayed, not imported.
pub(crate) fn is_replayed(kind: Kind) -> bool {
    kind == Kind::Readings
}
