//! Reading sources, several at a time.
//!
//! A layer is read by one thread, source after source, so that what it becomes does not depend on how many threads
//! there are; layers are read side by side. Each source has a thread of its own besides, with a short queue between.

use std::{
    collections::VecDeque,
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, Extent, Geometry, MeshPart, SourceReport},
    store::StoreError,
};

use super::{Progress, Request, placed::Placed};
use crate::{ImportError, Job, Out, apart};

/// Messages that may wait between the importer's thread and the store's.
const QUEUE: usize = 8;
/// Objects that are handed over together: waking a thread costs more than taking an object.
const BATCH: usize = 32;
/// Vertices of meshes that are handed over together.
const BATCH_VERTICES: usize = 1 << 16;
/// Bytes of pictures on meshes that weigh as much as a vertex: a batch holds some 4 MiB of them.
const PICTURE_BYTES: usize = 64;
/// Layers that are read at the same time at most: each may need the memory of a large file's parser.
pub(super) const MOST_LAYERS: usize = 4;

/// Takes the objects of a layer.
pub(super) type Take<'a> = Box<dyn FnMut(CityObject) -> Result<(), StoreError> + Send + 'a>;

/// A layer to be read: its sources, in the order of the import, and where their objects go.
pub(super) struct LayerTask<'a> {
    sources: Vec<(usize, &'a Placed)>,
    take: Take<'a>,
}

/// What came of reading.
#[derive(Default)]
pub(super) struct Read {
    /// The account of each source, in the order of the import.
    pub accounts: Vec<SourceReport>,
    /// Layers with a source that could not be read.
    pub failed_layers: Vec<String>,
    /// The store's error that ended it all.
    pub store: Option<StoreError>,
}

/// What a reading thread tells.
enum Event {
    /// Fraction of a source read, with its objects and points so far.
    Now { source: usize, fraction: f32, taken: u64 },
    /// A source is done.
    Done { source: usize, account: Box<SourceReport>, failed: Option<StoreError> },
}

/// Reads every source, at most `most_layers` layers at a time; `take_of` says where the objects of a layer go.
pub(super) fn read_all<'a>(
    sources: &'a [Placed],
    mut take_of: impl FnMut(&str) -> Take<'a>,
    crs: &Crs,
    request: &Request,
    most_layers: usize,
    progress: &mut dyn FnMut(Progress),
) -> Read {
    let mut tasks: Vec<LayerTask<'a>> = Vec::new();
    for (number, placed) in sources.iter().enumerate() {
        let is_of = |task: &&mut LayerTask<'_>| task.sources[0].1.source.layer == placed.source.layer;
        match tasks.iter_mut().find(is_of) {
            Some(task) => task.sources.push((number, placed)),
            None => {
                tasks.push(LayerTask { sources: vec![(number, placed)], take: take_of(&placed.source.layer) });
            }
        }
    }
    let sizes: Vec<u64> = sources.iter().map(|p| p.source.bytes().max(1)).collect();
    if most_layers > 1 {
        // The largest first, so that none is left over for the end.
        let size = |task: &LayerTask<'_>| task.sources.iter().map(|(number, _)| sizes[*number]).sum::<u64>();
        tasks.sort_by_key(|task| std::cmp::Reverse(size(task)));
    }
    let workers = thread::available_parallelism().map_or(1, |n| n.get()).min(most_layers).min(tasks.len()).max(1);
    let queue = Mutex::new(VecDeque::from(tasks));
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::sync_channel(TELL_EVERY);
    let work = |events: mpsc::SyncSender<Event>| {
        while !stop.load(Ordering::Relaxed) {
            let Some(mut task) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { break };
            for (number, placed) in task.sources {
                let (account, failed) = read_source(placed, number, crs, request, &events, &mut task.take, &stop);
                let is_over = failed.is_some();
                let told = events.send(Event::Done { source: number, account: Box::new(account), failed });
                if is_over || told.is_err() {
                    stop.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    let mut watch =
        Watch { sources, sizes, fractions: vec![0.0; sources.len()], taken: vec![0; sources.len()], done: 0 };
    let mut accounts: Vec<Option<SourceReport>> = sources.iter().map(|_| None).collect();
    let mut read = Read::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|_| {
                let (work, events) = (&work, sender.clone());
                scope.spawn(move || work(events))
            })
            .collect();
        drop(sender);
        for event in receiver {
            match event {
                Event::Now { source, fraction, taken } => {
                    (watch.fractions[source], watch.taken[source]) = (fraction.clamp(0.0, 1.0), taken);
                    progress(watch.now(source));
                }
                Event::Done { source, account, failed } => {
                    watch.fractions[source] = 1.0;
                    watch.done += 1;
                    progress(watch.now(source));
                    if account.error.is_some() {
                        read.failed_layers.push(sources[source].source.layer.clone());
                    }
                    accounts[source] = Some(*account);
                    read.store = read.store.take().or(failed);
                }
            }
        }
        for thread in threads {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
    });
    read.accounts = accounts.into_iter().flatten().collect();
    read
}

/// How far all sources are, by their bytes.
struct Watch<'a> {
    sources: &'a [Placed],
    sizes: Vec<u64>,
    fractions: Vec<f32>,
    taken: Vec<u64>,
    done: usize,
}

impl Watch<'_> {
    fn now(&self, source: usize) -> Progress {
        let all: u64 = self.sizes.iter().sum();
        let read: f64 = self.sizes.iter().zip(&self.fractions).map(|(size, f)| *size as f64 * f64::from(*f)).sum();
        Progress::Reading {
            path: self.sources[source].source.shown.clone(),
            done: self.done,
            of: self.sources.len(),
            fraction: (read / all.max(1) as f64) as f32,
            taken: self.taken.iter().sum(),
        }
    }
}

enum ReadError {
    Source(ImportError),
    Store(StoreError),
}

enum Message {
    Objects(Vec<CityObject>),
    Fraction(f32),
}

/// Reads one source to its account, and the store's error that ended it.
fn read_source(
    placed: &Placed,
    number: usize,
    crs: &Crs,
    request: &Request,
    events: &mpsc::SyncSender<Event>,
    take: &mut Take<'_>,
    stop: &AtomicBool,
) -> (SourceReport, Option<StoreError>) {
    let mut account = placed.account();
    let started = Instant::now();
    let mut tell = |fraction: f32, taken: u64| {
        // Only a watcher that is gone does not listen.
        let _ = events.send(Event::Now { source: number, fraction, taken });
    };
    tell(0.0, 0);
    let failed = match read_one(placed, crs, request, &mut account, &mut tell, take, stop) {
        Ok(()) => None,
        Err(ReadError::Source(error)) => {
            account.error = Some(error.to_string());
            account.objects = 0;
            account.points = 0;
            None
        }
        Err(ReadError::Store(error)) => Some(error),
    };
    account.seconds = started.elapsed().as_secs_f64();
    (account, failed)
}

fn read_one(
    placed: &Placed,
    crs: &Crs,
    request: &Request,
    account: &mut SourceReport,
    tell: &mut dyn FnMut(f32, u64),
    take: &mut Take<'_>,
    stop: &AtomicBool,
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
    let (outcome, store_error) = thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let reader = scope.spawn(|| {
            let mut out = Channel { sender, waiting: Vec::new(), vertices: 0 };
            apart::read(format, &job, crs, &mut out, account).and_then(|()| out.flush())
        });
        let mut store_error = None;
        let (mut fraction, mut untold) = (0.0, 0);
        for message in receiver {
            if stop.load(Ordering::Relaxed) {
                break; // dropping the receiver stops the reader
            }
            match message {
                Message::Fraction(f) => (fraction, untold) = (f, TELL_EVERY),
                Message::Objects(batch) => {
                    untold += batch.len();
                    for object in batch {
                        extent.merge(&object.geometry.extent());
                        if let Geometry::Points(batch) = &object.geometry {
                            points += batch.positions.len() as u64;
                        }
                        objects.count(&object);
                        if let Err(error) = take(object) {
                            store_error = Some(error);
                            break;
                        }
                    }
                }
            }
            if store_error.is_some() {
                break;
            }
            if untold >= TELL_EVERY {
                untold = 0;
                tell(fraction, objects.total + points);
            }
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

/// Objects after which the watcher hears of them.
const TELL_EVERY: usize = 256;

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
}
