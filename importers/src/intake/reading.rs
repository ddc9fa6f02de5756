//! Reading sources, several at a time.
//!
//! A layer is read by one thread, source after source, so that what it becomes does not depend on how many threads
//! there are; layers are read side by side. Each source has a thread of its own besides, with a short queue between.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use groundline_engine::{
    crs::{Crs, Transform},
    fault,
    model::{CityObject, Geometry, MeshPart, SourceReport},
    store::StoreError,
};

use super::{
    Request,
    placed::Placed,
    room::{self, Room},
    so_far::SoFar,
    watch::{Progress, Watch},
};
use crate::{ImportError, Job, Out, apart};

/// Messages that may wait between the importer's thread and the store's.
const QUEUE: usize = 8;
/// Objects that are handed over together: waking a thread costs more than taking an object.
const BATCH: usize = 32;
/// Vertices of meshes that are handed over together.
const BATCH_VERTICES: usize = 1 << 16;
/// Bytes of pictures on meshes that weigh as much as a vertex: a batch holds some 4 MiB of them.
const PICTURE_BYTES: usize = 64;
/// How often the wish to stop is looked for when nothing happens.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Layers that are read at the same time at most: each may need the memory of a large file's parser.
pub(super) const MOST_LAYERS: usize = 4;

/// Takes the objects of a layer.
pub(super) trait Keeper: Send {
    /// What follows comes from this one of the layer's sources.
    fn next_source(&mut self, _number: u32) {}
    /// The layer begins; says what an import before this one had read of it.
    fn begin(&mut self) -> Result<SoFar, StoreError> {
        Ok(SoFar::default())
    }
    /// Puts what was taken on the disk, where that is worth its while at this moment, for another import to go on from.
    fn checkpoint(&mut self, _so_far: &mut SoFar, _moment: Moment) -> Result<(), StoreError> {
        Ok(())
    }
    /// What an import kept at that place for this one.
    fn kept(&mut self, _place: (u64, u64)) -> Result<Vec<u8>, StoreError> {
        Ok(Vec::new())
    }
    /// A source cannot be read: the layer is given up.
    fn abandon(&mut self) {}
    /// Takes an object.
    fn take(&mut self, object: CityObject) -> Result<(), StoreError>;
    /// All sources of the layer were read, with these accounts.
    fn finish(self: Box<Self>, _accounts: &[SourceReport]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// When a checkpoint might be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Between two objects.
    Reading,
    /// All is read, and the files are to be written.
    Read,
    /// The import is asked to stop.
    Stopping,
}

/// Takes objects and does nothing at the end.
pub(super) struct Taker<F>(pub F);

impl<F: FnMut(CityObject) -> Result<(), StoreError> + Send> Keeper for Taker<F> {
    fn take(&mut self, object: CityObject) -> Result<(), StoreError> {
        (self.0)(object)
    }
}

/// A layer to be read: its sources, as their number in the import and in the layer, and where their objects go.
pub(super) struct LayerTask<'a> {
    pub sources: Vec<(usize, u32)>,
    /// The sources with which nothing is left to do when the task is done.
    pub ends: Vec<usize>,
    /// Accounts of sources that were read before.
    pub accounts: Vec<SourceReport>,
    pub keeper: Box<dyn Keeper + 'a>,
}

/// What came of reading.
#[derive(Default)]
pub(super) struct Read {
    /// The account of each source that was read, by its number in the import.
    pub accounts: BTreeMap<usize, SourceReport>,
    /// Layers with a source that could not be read.
    pub failed_layers: Vec<String>,
    /// Objects that were read now, and not by an import before this one.
    pub objects: u64,
    /// The store's error that ended it all.
    pub store: Option<StoreError>,
}

/// What a reading thread tells.
enum Event {
    /// Fraction of a source read, with its objects and points so far.
    Now { source: usize, fraction: f32, taken: u64 },
    /// A source is done, of which so many objects were read now.
    Done { source: usize, account: Box<SourceReport>, objects: u64, failed: Option<StoreError> },
    /// The files of a layer are written.
    Finished { sources: Vec<usize>, failed: Option<StoreError> },
}

/// The tasks for `sources`, one for each layer; `keeper_of` says where the objects of a layer go.
pub(super) fn tasks<'a>(
    sources: &[Placed],
    mut keeper_of: impl FnMut(&str) -> Box<dyn Keeper + 'a>,
) -> Vec<LayerTask<'a>> {
    let mut tasks: Vec<(&str, LayerTask<'a>)> = Vec::new();
    for (number, placed) in sources.iter().enumerate() {
        let layer = placed.source.layer.as_str();
        match tasks.iter_mut().find(|(name, _)| *name == layer) {
            Some((_, task)) => {
                task.sources.push((number, task.sources.len() as u32));
                task.ends.push(number);
            }
            None => {
                let (sources, ends, accounts) = (vec![(number, 0)], vec![number], Vec::new());
                let task = LayerTask { sources, ends, accounts, keeper: keeper_of(layer) };
                tasks.push((layer, task));
            }
        }
    }
    tasks.into_iter().map(|(_, task)| task).collect()
}

/// Does every task, at most `most_layers` of them at a time.
pub(super) fn read_all(
    tasks: Vec<LayerTask<'_>>,
    watch: &mut Watch<'_>,
    crs: &Crs,
    request: &Request,
    most_layers: usize,
    progress: &mut dyn FnMut(Progress),
) -> Read {
    let mut tasks = tasks;
    let sources = watch.sources;
    if most_layers > 1 {
        // The largest first, so that none is left over for the end; what only waits to be written is large too.
        let size = |task: &LayerTask<'_>| task.sources.iter().map(|(number, _)| watch.sizes[*number]).sum::<u64>();
        tasks.sort_by_key(|task| (!task.sources.is_empty(), std::cmp::Reverse(size(task))));
    }
    let workers = thread::available_parallelism().map_or(1, |n| n.get()).min(most_layers).min(tasks.len()).max(1);
    let need = |task: &LayerTask<'_>| {
        let of_source = |number: usize| room::need(sources[number].source.format, watch.sizes[number]);
        task.sources.iter().map(|(number, _)| of_source(*number)).max().unwrap_or(room::LEAST_BYTES)
    };
    let room = Room::new(tasks.into_iter().map(|task| (need(&task), task)));
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::sync_channel(TELL_EVERY);
    let work = |events: mpsc::SyncSender<Event>| {
        while let Some((task, _held)) = room.next(&stop) {
            let reading = Reading { sources, crs, request, events: &events, stop: &stop };
            if !do_task(task, &reading) {
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    let mut read = Read::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|_| {
                let (work, events) = (&work, sender.clone());
                scope.spawn(move || work(events))
            })
            .collect();
        drop(sender);
        loop {
            if request.stop.is_set() {
                stop.store(true, Ordering::Relaxed);
            }
            let event = match receiver.recv_timeout(LOOK_EVERY) {
                Ok(event) => event,
                Err(mpsc::RecvTimeoutError::Timeout) => continue,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            match event {
                Event::Now { source, fraction, taken } => {
                    watch.read(source, fraction, taken);
                    progress(watch.now(source));
                }
                Event::Done { source, account, objects, failed } => {
                    read.objects += objects;
                    watch.done(source, !account.resumed, account.objects + account.points);
                    progress(watch.now(source));
                    if account.error.is_some() {
                        read.failed_layers.push(sources[source].source.layer.clone());
                    }
                    read.accounts.insert(source, *account);
                    read.store = read.store.take().or(failed);
                }
                Event::Finished { sources, failed } => {
                    read.store = read.store.take().or(failed);
                    for source in &sources {
                        watch.finished(*source);
                    }
                    if let Some(last) = sources.last() {
                        progress(watch.now(*last));
                    }
                }
            }
        }
        for thread in threads {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
    });
    read
}

/// What holds for all layers that are read.
struct Reading<'a> {
    sources: &'a [Placed],
    /// The city's.
    crs: &'a Crs,
    request: &'a Request,
    events: &'a mpsc::SyncSender<Event>,
    stop: &'a AtomicBool,
}

impl Reading<'_> {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Reads the sources of a layer and finishes it; `false` when nothing more is to be done.
fn do_task(mut task: LayerTask<'_>, reading: &Reading<'_>) -> bool {
    let Reading { sources, events, .. } = *reading;
    let mut is_whole = true;
    let mut failed = None;
    let mut so_far = match task.keeper.begin() {
        Ok(so_far) => so_far,
        Err(error) => {
            failed = Some(error);
            SoFar::default()
        }
    };
    let known = so_far.finished.clone();
    for (turn, (number, place)) in task.sources.iter().enumerate() {
        let (number, keeper) = (*number, &mut *task.keeper);
        keeper.next_source(*place);
        let (account, objects) = match known.get(turn) {
            Some(account) => (SourceReport { resumed: true, ..account.clone() }, 0),
            None => {
                let before = so_far.current.objects;
                let mut account = sources[number].account();
                if failed.is_none() {
                    (account, failed) = read_source(number, reading, keeper, &mut so_far);
                }
                let objects = so_far.current.objects - before;
                if failed.is_none() && !reading.is_stopping() {
                    if account.error.is_some() {
                        keeper.abandon();
                    }
                    so_far.finish(account.clone());
                }
                (account, objects)
            }
        };
        let is_stopping = reading.is_stopping();
        // A reader that is stopped ends with an error of its own: it does not count.
        is_whole &= account.error.is_none() || is_stopping;
        task.accounts.push(account.clone());
        let is_over = failed.is_some();
        let done = Event::Done { source: number, account: Box::new(account), objects, failed: failed.take() };
        if events.send(done).is_err() || is_over {
            return false;
        }
        if is_stopping {
            break;
        }
    }
    if reading.is_stopping() {
        if is_whole && let Err(error) = task.keeper.checkpoint(&mut so_far, Moment::Stopping) {
            tracing::warn!("what was read cannot be kept for resuming: {error}");
        }
        return false;
    }
    // A layer with a source that could not be read stays as it is in the city.
    let mut finish = |mut keeper: Box<dyn Keeper + '_>| -> Result<(), StoreError> {
        if !is_whole {
            return Ok(());
        }
        if so_far.is_begun() {
            keeper.checkpoint(&mut so_far, Moment::Read)?;
        }
        keeper.finish(&task.accounts)
    };
    let failed = finish(task.keeper).err();
    let is_over = failed.is_some();
    events.send(Event::Finished { sources: task.ends, failed }).is_ok() && !is_over
}

enum ReadError {
    Source(ImportError),
    Store(StoreError),
}

enum Message {
    Objects(Vec<CityObject>),
    Fraction(f32),
    /// Where the reader could begin another time, what it must know besides, and its account there.
    Mark(u64, Vec<u8>, Box<SourceReport>),
}

/// Reads one source from where `so_far` says to its end: its account, and the store's error that ended it.
fn read_source(
    number: usize,
    reading: &Reading<'_>,
    keeper: &mut dyn Keeper,
    so_far: &mut SoFar,
) -> (SourceReport, Option<StoreError>) {
    let placed = &reading.sources[number];
    let mut account = placed.account();
    let started = Instant::now();
    let mut tell = |fraction: f32, taken: u64| {
        // Only a watcher that is gone does not listen.
        let _ = reading.events.send(Event::Now { source: number, fraction, taken });
    };
    tell(0.0, 0);
    let failed = match read_one(placed, reading, &mut account, &mut tell, keeper, so_far) {
        Ok(()) => None,
        Err(ReadError::Source(error)) => {
            account.error = Some(error.to_string());
            account.objects = 0;
            account.points = 0;
            None
        }
        Err(ReadError::Store(error)) => Some(error),
    };
    account.seconds = fault::elapsed(started).as_secs_f64();
    (account, failed)
}

fn read_one(
    placed: &Placed,
    reading: &Reading<'_>,
    account: &mut SourceReport,
    tell: &mut dyn FnMut(f32, u64),
    keeper: &mut dyn Keeper,
    so_far: &mut SoFar,
) -> Result<(), ReadError> {
    let crs = reading.crs;
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
        options: &reading.request.options,
    };
    let format = placed.source.format;
    let (start, begun) =
        so_far.current.start(account.clone(), &mut |place| keeper.kept(place)).map_err(ReadError::Store)?;
    *account = begun;
    let (outcome, store_error) = thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let reader = scope.spawn(|| {
            let mut out = Channel { sender, waiting: Vec::new(), vertices: 0 };
            apart::read(format, &job, crs, &start, &mut out, account).and_then(|()| out.flush())
        });
        let mut store_error = None;
        let (mut fraction, mut untold) = (0.0, 0);
        for message in receiver {
            if reading.is_stopping() {
                break; // dropping the receiver stops the reader
            }
            match message {
                Message::Fraction(f) => (fraction, untold) = (f, TELL_EVERY),
                Message::Mark(position, state, account) => so_far.current.mark(position, &state, *account),
                Message::Objects(batch) => {
                    untold += batch.len();
                    for object in batch {
                        so_far.current.count(&object);
                        if let Err(error) = keeper.take(object) {
                            store_error = Some(error);
                            break;
                        }
                    }
                    if store_error.is_none() {
                        store_error = keeper.checkpoint(so_far, Moment::Reading).err();
                    }
                }
            }
            if store_error.is_some() {
                break;
            }
            if untold >= TELL_EVERY {
                untold = 0;
                tell(fraction, so_far.current.objects + so_far.current.points);
            }
        }
        (reader.join(), store_error)
    });
    (account.extent, account.points) = (so_far.current.extent, so_far.current.points);
    account.objects = so_far.current.objects;
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

/// Objects after which the watcher hears of them.
const TELL_EVERY: usize = 256;

struct Channel {
    sender: mpsc::SyncSender<Message>,
    waiting: Vec<CityObject>,
    vertices: usize,
}

impl Channel {
    fn flush(&mut self) -> Result<(), ImportError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.vertices = 0;
        let batch = std::mem::replace(&mut self.waiting, Vec::with_capacity(BATCH));
        let sent = self.sender.send(Message::Objects(batch));
        sent.map_err(|_| ImportError::Stopped("the city took no more objects".into()))
    }
}

impl Out for Channel {
    fn emit(&mut self, object: CityObject) -> Result<(), ImportError> {
        // Points and rasters are large: they wait for nobody.
        self.vertices += match &object.geometry {
            Geometry::Points(_) | Geometry::Heights(_) | Geometry::Picture(_) => BATCH_VERTICES,
            Geometry::Mesh(mesh) => {
                let picture = |part: &MeshPart| part.texture.as_ref().map_or(0, |t| t.file().len() / PICTURE_BYTES);
                mesh.parts.iter().map(|part| part.positions.len() + picture(part)).sum()
            }
            _ => 0,
        };
        self.waiting.push(object);
        if self.vertices >= BATCH_VERTICES || self.waiting.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn progress(&mut self, fraction: f32) {
        // A failed send means that the other side stopped; the next object finds out.
        let _ = self.sender.send(Message::Fraction(fraction));
    }

    fn mark(&mut self, position: u64, state: &[u8], account: &SourceReport) {
        if self.flush().is_ok() {
            let _ = self.sender.send(Message::Mark(position, state.to_vec(), Box::new(account.clone())));
        }
    }
}
