//! The act of importing (入库): detect each source, agree on the city's coordinate system, read, hand the objects
//! to a draft of the city, commit one version, account for everything.
//!
//! This is the one module of the crate that sees the store; importers see only [`Out`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Instant,
};

use groundline_engine::{
    crs::{Crs, CrsError, Transform},
    model::{CityObject, Extent, Geometry, ImportReport, SourceReport},
    store::{City, Draft, SourceRef, StoreError},
};

use crate::{FORMATS, Format, ImportError, Job, Kind, Options, Out, Probe, source::Source};

/// Objects that may wait between the importer's thread and the store's.
const QUEUE: usize = 256;

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
    /// A source is being read: its path, number of it and of all, fraction, objects so far.
    Reading {
        /// Path as named by the user.
        path: String,
        /// Which, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// Part read, 0 to 1.
        fraction: f32,
        /// Objects and points so far in this source.
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
    let sources = crate::source::find(&request.sources, request.layer.as_deref(), &request.options, &mut report)?;
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
        let mut sink = |_: &str, _: CityObject| Ok(());
        read_all(&sources, &crs, request, &mut report, progress, &mut sink);
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

    let failed = read_all(&changed, crs, request, report, progress, &mut |layer, object| draft.push(layer, object));
    if let Some(error) = failed.store {
        return Err(error.into());
    }
    for layer in &failed.layers {
        draft.abandon_layer(layer);
    }
    if changed.iter().all(|p| failed.layers.contains(&p.source.layer)) {
        return Ok(false);
    }
    progress(Progress::Writing);
    commit(draft, report)
}

fn commit(draft: Draft, report: &mut ImportReport) -> Result<bool, IntakeError> {
    report.version = draft.commit(report)?;
    Ok(true)
}

/// What of a reading failed.
#[derive(Default)]
struct Failed {
    /// Layers with a source that could not be read.
    layers: Vec<String>,
    /// The store's error that ended it all.
    store: Option<StoreError>,
}

/// Takes an object into a layer.
type Take<'a> = dyn FnMut(&str, CityObject) -> Result<(), StoreError> + 'a;

/// Reads every source, one after the other (terrain first), each on a thread of its own beside the taker.
fn read_all(
    sources: &[Placed],
    crs: &Crs,
    request: &Request,
    report: &mut ImportReport,
    progress: &mut dyn FnMut(Progress),
    take: &mut Take<'_>,
) -> Failed {
    let mut failed = Failed::default();
    for (index, placed) in sources.iter().enumerate() {
        let mut account = placed.account();
        let started = Instant::now();
        let shown = placed.source.shown.clone();
        let mut tell = |fraction: f32, taken: u64| {
            progress(Progress::Reading { path: shown.clone(), number: index + 1, of: sources.len(), fraction, taken });
        };
        tell(0.0, 0);
        match read_one(placed, crs, request, &mut account, &mut tell, take) {
            Ok(()) => {}
            Err(ReadError::Source(error)) => {
                account.error = Some(error.to_string());
                account.objects = 0;
                account.points = 0;
                failed.layers.push(placed.source.layer.clone());
            }
            Err(ReadError::Store(error)) => failed.store = Some(error),
        }
        account.seconds = started.elapsed().as_secs_f64();
        report.sources.push(account);
        if failed.store.is_some() {
            break;
        }
    }
    failed
}

enum ReadError {
    Source(ImportError),
    Store(StoreError),
}

enum Message {
    Object(Box<CityObject>),
    Fraction(f32),
}

fn read_one(
    placed: &Placed,
    crs: &Crs,
    request: &Request,
    account: &mut SourceReport,
    tell: &mut dyn FnMut(f32, u64),
    take: &mut Take<'_>,
) -> Result<(), ReadError> {
    let transform = Transform::new(&placed.crs, crs).map_err(|e| ReadError::Source(e.into()))?;
    if let Some(note) = transform.note() {
        account.warn("crs_note", note, "");
    }
    let job = Job {
        path: &placed.source.path,
        probe: &placed.source.probe,
        layer: &placed.source.id_prefix,
        city_from_source: &transform,
        crs: &placed.crs,
        options: &request.options,
    };
    let format = placed.source.format;
    let (mut extent, mut points, mut objects) = (Extent::EMPTY, 0_u64, Objects::default());
    let (outcome, store_error) = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let reader = scope.spawn(|| {
            let mut out = Channel { sender };
            (format.read)(&job, &mut out, account)
        });
        let mut store_error = None;
        let mut fraction = 0.0;
        for message in receiver {
            match message {
                Message::Fraction(f) => fraction = f,
                Message::Object(object) => {
                    extent.merge(&object.geometry.extent());
                    if let Geometry::Points(batch) = &object.geometry {
                        points += batch.positions.len() as u64;
                    }
                    objects.count(&object);
                    if let Err(error) = take(&placed.source.layer, *object) {
                        store_error = Some(error);
                        break; // dropping the receiver stops the reader
                    }
                }
            }
            tell(fraction, objects.total + points);
        }
        (reader.join(), store_error)
    });
    account.extent = extent;
    account.points = points;
    account.objects = objects.total;
    if let Some(error) = store_error {
        return Err(ReadError::Store(error));
    }
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ReadError::Source(error)),
        Err(_) => Err(ReadError::Source(ImportError::Bad {
            path: placed.source.path.clone(),
            place: "somewhere".into(),
            reason: format!("the {} reader failed unexpectedly; please report this file", format.name),
        })),
    }
}

/// Counts objects; the batches of one scan, the grids of one DEM are one object.
#[derive(Default)]
struct Objects {
    total: u64,
    last_part: Option<String>,
}

impl Objects {
    fn count(&mut self, object: &CityObject) {
        let is_part = matches!(object.geometry, Geometry::Points(_) | Geometry::Heights(_) | Geometry::Picture(_));
        if is_part && self.last_part.as_deref() == Some(object.id.as_str()) {
            return;
        }
        self.last_part = is_part.then(|| object.id.0.clone());
        self.total += 1;
    }
}

struct Channel {
    sender: mpsc::SyncSender<Message>,
}

impl Out for Channel {
    fn emit(&mut self, object: CityObject) -> Result<(), ImportError> {
        let sent = self.sender.send(Message::Object(Box::new(object)));
        sent.map_err(|_| ImportError::Stopped("the city took no more objects".into()))
    }

    fn progress(&mut self, fraction: f32) {
        // A failed send means that the other side stopped; the next object finds out.
        let _ = self.sender.send(Message::Fraction(fraction));
    }
}

/// A source with what is said of its coordinate system: by the flag, by the file, or nothing where the user
/// places it himself (a BIM in local coordinates).
struct Named {
    source: Source,
    crs: Option<(Crs, String)>,
    overridden: Option<String>,
}

impl Named {
    fn placed(self, city: &Crs) -> Placed {
        let (crs, crs_from) = self.crs.unwrap_or_else(|| (city.clone(), "city".into()));
        Placed { source: self.source, crs, crs_from, overridden: self.overridden }
    }
}

/// A source whose coordinate system is settled.
struct Placed {
    source: Source,
    crs: Crs,
    crs_from: String,
    /// Set when the flag says something else than the file.
    overridden: Option<String>,
}

impl Placed {
    /// The account of it before reading.
    fn account(&self) -> SourceReport {
        let mut account = SourceReport {
            path: self.source.shown.clone(),
            format: self.source.format.name.into(),
            crs: Some(self.crs.label()),
            crs_from: self.crs_from.clone(),
            layer: self.source.layer.clone(),
            ..SourceReport::default()
        };
        if let Some((label, from)) = &self.source.probe.encoding {
            account.encoding = Some(label.clone());
            account.encoding_from = from.clone();
        }
        if let Some(named) = &self.overridden {
            let message = format!("the source says {named}; --crs {} is used as you asked", self.crs.label());
            account.warn("crs_overridden", message, "");
        }
        account
    }

    /// Hash of everything that decides what the import makes of this source.
    fn hash(&self, request: &Request) -> String {
        let options = &request.options;
        let said = format!(
            "{}|{}|{}|{:?}|{:?}|{:?}|{:?}|{}",
            env!("CARGO_PKG_VERSION"),
            self.source.format.name,
            self.source.id_prefix,
            options.class,
            options.stage,
            options.encoding,
            options.map,
            self.crs.proj4
        );
        self.source.content_hash(&said)
    }
}

/// Settles each source's coordinate system: the flag, else the file. A source that needs one and has none
/// is accounted for as failed.
fn name_crs(sources: Vec<Source>, request: &Request, report: &mut ImportReport) -> Vec<Named> {
    let mut named = Vec::new();
    for source in sources {
        let (crs, overridden) = match (&request.options.crs, &source.probe.crs) {
            (Some(flag), Some(file)) if flag.proj4 != file.proj4 => {
                (Some((flag.clone(), "flag".to_owned())), Some(file.label()))
            }
            (Some(flag), _) => (Some((flag.clone(), "flag".to_owned())), None),
            (None, Some(file)) => (Some((file.clone(), source.probe.crs_from.clone())), None),
            (None, None) if !source.probe.needs_crs => (None, None),
            (None, None) => {
                report.sources.push(SourceReport {
                    path: source.shown.clone(),
                    format: source.format.name.into(),
                    layer: source.layer.clone(),
                    error: Some(missing_crs(&source)),
                    ..SourceReport::default()
                });
                continue;
            }
        };
        named.push(Named { source, crs, overridden });
    }
    // Terrain first: the others stand on it. Within a kind the user's order stays.
    named.sort_by_key(|n| n.source.probe.kind);
    named
}

/// The message for a source without a coordinate system: the flag to give, and where likely ones would place it.
fn missing_crs(source: &Source) -> String {
    let mut text = format!("{}: no coordinate system", source.shown);
    if let Some(named) = &source.probe.crs_text {
        let short: String = named.chars().take(120).collect();
        text += &format!(" that is understood (it says: {short})");
    }
    text += "; say which one with --crs EPSG:CODE";
    if crate::cloud::PLACEABLE.contains(&source.format.name) {
        text += ", or where its own coordinates go with --map place=x,y[,z[,rotation in degrees]] in the city's";
    }
    if let Some(extent) = source.probe.source_extent {
        let likely = Crs::likely(extent);
        if !likely.is_empty() {
            text += "; likely:";
            for (crs, why) in likely.iter().take(5) {
                text += &format!("\n    --crs {:<11} {} ({why})", crs.label(), crs.name);
            }
        }
    }
    text
}

/// The coordinate system for a city that starts with `sources`: the first metric projected one,
/// else the usual one for the place.
fn city_crs(sources: &[Named]) -> Result<Crs, IntakeError> {
    let is_metric = |crs: &Crs| !crs.is_geographic && (crs.unit_m - 1.0).abs() < 1e-9;
    let with_crs = || sources.iter().filter_map(|n| n.crs.as_ref().map(|(crs, _)| (n, crs)));
    if let Some((_, found)) = with_crs().find(|(_, crs)| is_metric(crs)) {
        return Ok(found.clone());
    }
    let degrees = Crs::from_epsg(4326)?;
    for (named, crs) in with_crs() {
        let Some([min_x, min_y, max_x, max_y]) = named.source.probe.source_extent else { continue };
        let middle = glam::DVec3::new((min_x + max_x) * 0.5, (min_y + max_y) * 0.5, 0.0);
        if let Some(place) = Transform::new(crs, &degrees)?.point(middle) {
            return Ok(Crs::city_default(place.x, place.y)?);
        }
    }
    Err(IntakeError::Usage(
        "the city's coordinate system cannot be told from these sources: say it with --crs, \
         or import one with projected coordinates first"
            .into(),
    ))
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
    report.peak_rss_bytes = peak_rss_bytes();
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
    for format in FORMATS.iter().filter(|f| f.extensions.contains(&ending.as_str())) {
        if let Some(probe) = (format.probe)(path, options)? {
            return Ok(Some((format, probe)));
        }
    }
    Ok(None)
}

/// What recorded readings are told: they are replayed, not imported.
pub(crate) fn is_replayed(kind: Kind) -> bool {
    kind == Kind::Readings
}
