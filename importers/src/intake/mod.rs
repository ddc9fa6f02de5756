//! The act of importing (入库): detect each source, agree on the city's coordinate system, read, hand the objects
//! to a draft of the city, commit one version, account for everything.
//!
//! This is the one module of the crate that sees the store; importers see only [`Out`].

mod edit;
mod placed;
mod plan;
mod reading;
mod so_far;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use groundline_engine::{
    crs::{Crs, CrsError},
    model::{CityObject, ImportReport, SourceReport},
    store::{City, LayerWriter, Site, StoreError, begun_layers, discard, is_anything_kept, kept_layers},
};

pub use self::{edit::edit, watch::Progress};
use self::{
    placed::{Placed, city_crs, name_crs},
    plan::{Plan, plan},
    reading::{Keeper, LayerTask, Moment, Read, Taker},
    so_far::SoFar,
    watch::Watch,
};
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
    /// Says when the import is to end early.
    pub stop: Stop,
}

/// The wish that an import ends early. Clones stand for the same wish.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the import to end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
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
    /// It was asked to stop. What it had finished is kept for the next import of the same sources.
    #[error("stopped as asked; the same import goes on from {kept} finished layers and {begun} begun ones")]
    Stopped {
        /// Layers that the next import need not make again.
        kept: usize,
        /// Layers of which it need not make a part again.
        begun: usize,
    },
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
    // A city without a single version has its system from an import that did not come to its end.
    let existing = match existing {
        Some(city) if city.version() == 0 && city_crs(&named).is_ok_and(|crs| crs.proj4 != city.crs().proj4) => None,
        other => other,
    };
    let crs = match &existing {
        Some(city) => city.crs().clone(),
        None => city_crs(&named)?,
    };
    let sources: Vec<Placed> = named.into_iter().map(|n| n.placed(&crs)).collect();
    if request.dry_run {
        let tasks = reading::tasks(&sources, |_| Box::new(Taker(|_| Ok(()))));
        let mut watch = Watch::new(&sources);
        let read = reading::read_all(tasks, &mut watch, &crs, request, reading::MOST_LAYERS, progress);
        if request.stop.is_set() {
            return Err(IntakeError::Stopped { kept: 0, begun: 0 });
        }
        report.sources.extend(read.accounts.into_values());
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
    if was_made && !matches!(outcome, Ok(true)) && !is_anything_kept(&request.city) {
        // An empty city that this import made and could not fill is not left behind.
        discard(&request.city);
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
    let tasks = reading::tasks(&sources, |layer| {
        let layer = layer.to_owned();
        Box::new(Taker(move |object| {
            take(&layer, &object);
            Ok(())
        }))
    });
    // One layer at a time: what is said of doubles depends on which comes first.
    let read = reading::read_all(tasks, &mut Watch::new(&sources), &crs, request, 1, progress);
    report.sources.extend(read.accounts.into_values());
    Ok((finished(report, started), crs))
}

/// What an import before this one says of the layer that `writer` goes on with.
fn begun(writer: &mut LayerWriter) -> SoFar {
    writer.take_read().and_then(|bytes| SoFar::from_bytes(&bytes)).unwrap_or_default()
}

/// Puts the layer on the disk when it is time to.
fn checkpoint(writer: &mut LayerWriter, so_far: &mut SoFar, moment: Moment) -> Result<(), StoreError> {
    let is_time = match moment {
        Moment::Reading => writer.is_checkpoint_due(),
        Moment::Read => writer.is_long(),
        Moment::Stopping => so_far.is_begun(),
    };
    if !is_time {
        return Ok(());
    }
    so_far.current.keep(&mut |bytes| writer.keep(bytes))?;
    writer.checkpoint(so_far.to_bytes())
}

/// The layer that is read first and written later, when the whole ground is known.
struct Ground<'a>(&'a mut LayerWriter);

impl Keeper for Ground<'_> {
    fn next_source(&mut self, number: u32) {
        self.0.next_source(number as usize);
    }

    fn begin(&mut self) -> Result<SoFar, StoreError> {
        Ok(begun(self.0))
    }

    fn kept(&mut self, place: (u64, u64)) -> Result<Vec<u8>, StoreError> {
        self.0.kept(place)
    }

    fn checkpoint(&mut self, so_far: &mut SoFar, moment: Moment) -> Result<(), StoreError> {
        checkpoint(self.0, so_far, moment)
    }

    fn abandon(&mut self) {
        self.0.forget();
    }

    fn take(&mut self, object: CityObject) -> Result<(), StoreError> {
        self.0.push(object)
    }
}

/// The layer that is written as soon as it is read.
struct Layer<'a> {
    site: &'a Site,
    plan: &'a Plan,
    /// Made when its turn comes: until then it costs nothing.
    writer: Option<LayerWriter>,
}

impl Layer<'_> {
    fn writer(&mut self) -> Result<&mut LayerWriter, StoreError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.site.start(&self.plan.layer, self.plan.refs.clone(), self.plan.kept.clone())?,
        };
        Ok(self.writer.insert(writer))
    }
}

impl Keeper for Layer<'_> {
    fn next_source(&mut self, number: u32) {
        if let Some(writer) = &mut self.writer {
            writer.next_source(number as usize);
        }
    }

    fn begin(&mut self) -> Result<SoFar, StoreError> {
        self.writer().map(begun)
    }

    fn kept(&mut self, place: (u64, u64)) -> Result<Vec<u8>, StoreError> {
        self.writer()?.kept(place)
    }

    fn checkpoint(&mut self, so_far: &mut SoFar, moment: Moment) -> Result<(), StoreError> {
        checkpoint(self.writer()?, so_far, moment)
    }

    fn abandon(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.forget();
        }
    }

    fn take(&mut self, object: CityObject) -> Result<(), StoreError> {
        self.writer()?.push(object)
    }

    fn finish(mut self: Box<Self>, accounts: &[SourceReport]) -> Result<(), StoreError> {
        self.writer()?;
        match self.writer.take() {
            Some(writer) => self.site.finish(writer, accounts),
            None => Ok(()),
        }
    }
}

/// Reads `sources` into a draft and commits it; `Ok(false)` when nothing changed or nothing could be read.
///
/// What the ground is made of is read first. Then every layer is read and written by itself, and kept as soon as it is
/// finished: an import that is killed goes on from there.
fn import_into(
    city: &City,
    mut sources: Vec<Placed>,
    crs: &Crs,
    request: &Request,
    report: &mut ImportReport,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool, IntakeError> {
    let mut draft = city.begin()?;
    draft.keep_finished();
    let mut plans = plan(&draft, city, &mut sources, request)?;
    let is_as_it_should = |p: &Plan| {
        let is_written_anew = p.is_whole && !draft.is_unchanged(&p.layer, &p.refs);
        p.is_unchanged && !is_written_anew && !draft.may_stand_on_old_terrain(&p.layer)
    };
    if plans.iter().all(is_as_it_should) {
        // Nothing but hashes was looked at, and nothing else need be.
        draft.forget_kept();
        let members = plans.iter().flat_map(|p| &p.members);
        report.sources.extend(members.map(|number| unchanged(&sources[*number])));
        return Ok(false);
    }
    let mut watch = Watch::new(&sources);
    let mut all = Read::default();

    let (mut ground, mut others): (Vec<Plan>, Vec<Plan>) =
        plans.drain(..).partition(|p| p.is_ground && !p.is_unchanged);
    for plan in &ground {
        draft.update_layer(&plan.layer, plan.refs.clone(), plan.kept.clone())?;
    }
    let mut to_read: Vec<String> = ground.iter().map(|p| p.layer.clone()).collect();
    while !to_read.is_empty() {
        let mut tasks: Vec<LayerTask<'_>> = Vec::new();
        for writer in draft.writers().filter(|w| to_read.iter().any(|name| name == w.name())) {
            let plan = ground.iter().find(|p| p.layer == writer.name());
            let sources = plan.map_or(Vec::new(), |p| p.read.clone());
            let keeper = Box::new(Ground(writer));
            tasks.push(LayerTask { sources, ends: Vec::new(), accounts: Vec::new(), keeper });
        }
        all.add(reading::read_all(tasks, &mut watch, crs, request, reading::MOST_LAYERS, progress));
        end_of_reading(&mut all, city, request)?;
        to_read = all.take_readable(&mut ground, city, |layer| draft.can_keep(layer));
        for plan in ground.iter().filter(|p| to_read.contains(&p.layer)) {
            draft.update_layer(&plan.layer, plan.refs.clone(), plan.kept.clone())?;
        }
    }
    for layer in &all.failed_layers {
        draft.abandon_layer(layer);
    }

    let mut site = draft.settle()?;
    let mut to_write: Vec<(Vec<usize>, Vec<SourceReport>, LayerWriter)> = Vec::new();
    let mut resumed: Vec<(usize, SourceReport)> = Vec::new();
    for writer in site.take_started() {
        let plan = ground.iter().find(|p| p.layer == writer.name());
        let ends: Vec<usize> = plan.map_or(Vec::new(), |p| p.read.iter().map(|(number, _)| *number).collect());
        if site.adopt_started(&writer).is_some() {
            ends.iter().for_each(|number| watch.finished(*number));
            continue;
        }
        let accounts = ends.iter().filter_map(|number| all.accounts.get(number).cloned()).collect();
        to_write.push((ends, accounts, writer));
    }
    for plan in &mut others {
        if plan.is_unchanged && plan.is_whole && !site.is_unchanged(&plan.layer, &plan.refs) {
            plan.read_all();
        }
    }
    let mut layers = Vec::new();
    for plan in &others {
        if plan.is_unchanged {
            report.sources.extend(plan.members.iter().map(|n| unchanged(&sources[*n])));
            plan.members.iter().for_each(|number| watch.pass_over(*number));
        } else if let Some(accounts) = site.adopt(&plan.layer, &plan.refs, &plan.kept) {
            plan.members.iter().for_each(|number| watch.pass_over(*number));
            let accounts = accounts.into_iter().map(|account| SourceReport { resumed: true, ..account });
            resumed.extend(plan.read.iter().map(|(number, _)| *number).zip(accounts));
        } else {
            layers.push(plan);
        }
    }
    site.drop_others();
    let mut tasks: Vec<LayerTask<'_>> = Vec::new();
    for (ends, accounts, writer) in to_write {
        tasks.push(LayerTask {
            sources: Vec::new(),
            ends,
            accounts,
            keeper: Box::new(Written { site: &site, writer }),
        });
    }
    tasks.extend(layers.into_iter().map(|plan| layer_task(&site, plan)));
    all.add(reading::read_all(tasks, &mut watch, crs, request, reading::MOST_LAYERS, progress));
    end_of_reading(&mut all, city, request)?;
    loop {
        let again = all.take_readable(&mut others, city, |layer| site.can_keep(layer));
        if again.is_empty() {
            break;
        }
        let plans = others.iter().filter(|p| again.contains(&p.layer));
        let tasks = plans.map(|plan| layer_task(&site, plan)).collect();
        all.add(reading::read_all(tasks, &mut watch, crs, request, reading::MOST_LAYERS, progress));
        end_of_reading(&mut all, city, request)?;
    }

    let changed = ground.iter().chain(others.iter().filter(|p| !p.is_unchanged));
    for plan in changed.clone() {
        // Of a layer that is read in part, the rest is as it was.
        let unread = plan.members.iter().filter(|n| !plan.read.iter().any(|(read, _)| read == *n));
        report.sources.extend(unread.map(|n| unchanged(&sources[*n])));
        if let Some((first, _)) = plan.read.first()
            && let Some(account) = all.accounts.get_mut(first)
            && !plan.others.is_empty()
        {
            let others = plan.others.join(", ");
            account.warn("other_sources_kept", format!("the layer keeps the objects of {others}"), plan.layer.clone());
        }
    }
    let was_anything_made = changed.clone().any(|p| !all.failed_layers.contains(&p.layer));
    report.objects_read = all.objects;
    all.accounts.extend(resumed);
    report.sources.extend(all.accounts.into_values());
    if !was_anything_made {
        site.forget_kept();
        return Ok(false);
    }
    progress(Progress::Writing);
    report.version = site.commit(report)?;
    Ok(true)
}

fn layer_task<'a>(site: &'a Site, plan: &'a Plan) -> LayerTask<'a> {
    let keeper = Box::new(Layer { site, plan, writer: None });
    LayerTask { sources: plan.read.clone(), ends: plan.members.clone(), accounts: Vec::new(), keeper }
}

/// The error that ended the reading, if one did.
fn end_of_reading(all: &mut Read, city: &City, request: &Request) -> Result<(), IntakeError> {
    // What fails while all is being stopped fails because of that.
    stopped(city, request)?;
    all.store.take().map_or(Ok(()), |error| Err(error.into()))
}

/// A layer whose objects are all there.
struct Written<'a> {
    site: &'a Site,
    writer: LayerWriter,
}

impl Keeper for Written<'_> {
    fn take(&mut self, object: CityObject) -> Result<(), StoreError> {
        self.writer.push(object)
    }

    fn finish(self: Box<Self>, accounts: &[SourceReport]) -> Result<(), StoreError> {
        self.site.finish(self.writer, accounts)
    }
}

impl Read {
    fn add(&mut self, other: Read) {
        self.accounts.extend(other.accounts);
        self.failed_layers.extend(other.failed_layers);
        self.objects += other.objects;
        self.store = self.store.take().or(other.store);
    }

    /// Of the layers with sources that could not be read, those that can be read without them; their plans are changed so.
    fn take_readable(&mut self, plans: &mut [Plan], city: &City, can_keep: impl Fn(&str) -> bool) -> Vec<String> {
        let mut readable = Vec::new();
        let failed: Vec<usize> =
            self.accounts.iter().filter(|(_, account)| account.error.is_some()).map(|(number, _)| *number).collect();
        for plan in plans.iter_mut().filter(|plan| self.failed_layers.contains(&plan.layer)) {
            let held = city.layer(&plan.layer).map_or(&[][..], |layer| &layer.sources);
            if let Some(rest) = plan.without(&failed, held, can_keep(&plan.layer)) {
                readable.push(plan.layer.clone());
                *plan = rest;
            }
        }
        self.failed_layers.retain(|layer| !readable.contains(layer));
        readable
    }
}

fn unchanged(placed: &Placed) -> SourceReport {
    SourceReport { unchanged: true, ..placed.account() }
}

fn stopped(city: &City, request: &Request) -> Result<(), IntakeError> {
    match request.stop.is_set() {
        true => Err(IntakeError::Stopped { kept: kept_layers(city.folder()), begun: begun_layers(city.folder()) }),
        false => Ok(()),
    }
}

fn city_name(folder: &Path) -> String {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_else(|| "city".into());
    name.strip_suffix(".city").map_or(name.clone(), str::to_owned)
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
