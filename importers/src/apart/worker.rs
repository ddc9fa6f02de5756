//! A child as the importer sees it: started, asked, listened to, and explained when it failed.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use groundline_engine::model::{CityObject, SourceReport, Texture};
use rustix::process::Signal;

use super::{
    Limits,
    listen::Ear,
    wire::{self, Ask, Broken, Fault, WireProbe, kind},
};
use crate::{Format, ImportError, Out, Probe};

/// How long a child that has said its last may take to end.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Lines of a child's last words that go into the error, and bytes of one.
const LAST_LINES: usize = 4;
const LINE_BYTES: u64 = 400;

/// A child process.
pub(super) struct Worker {
    child: Child,
    asking: UnixStream,
    ear: BufReader<Ear>,
    words: Option<JoinHandle<String>>,
    buffer: Vec<u8>,
    has_greeted: bool,
    limits: Limits,
    reader: &'static str,
    objects: u64,
    last_record: u64,
    /// Sources served.
    pub asks: u32,
    /// Most memory that it has needed, as it says.
    pub peak_bytes: u64,
}

/// Why a child could not serve to the end.
pub(super) enum Failure {
    /// The stream broke: the child died, fell silent or talks nonsense.
    Broken(Broken),
    /// It panicked and said so.
    Panic(String),
    /// The importer's own side took no more.
    Refused(ImportError),
}

impl Worker {
    pub fn start(program: &Path, arguments: &[OsString]) -> std::io::Result<Self> {
        let (asking, theirs) = UnixStream::pair()?;
        let mut child = Command::new(program)
            .args(arguments)
            // threads and their heaps cost address space each
            .env("RAYON_NUM_THREADS", std::thread::available_parallelism().map_or(1, |n| n.get().min(8)).to_string())
            .env("MALLOC_ARENA_MAX", "4")
            // The keys of a bucket are not for who reads files of anybody.
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SESSION_TOKEN")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let words = child.stderr.take().map(|stderr| std::thread::spawn(|| last_words(stderr)));
        let limits = Limits::of(0);
        let ear = BufReader::with_capacity(1 << 18, Ear::new(asking.try_clone()?, limits.silence)?);
        Ok(Self {
            child,
            asking,
            ear,
            words,
            buffer: Vec::new(),
            has_greeted: false,
            limits,
            reader: "",
            objects: 0,
            last_record: 0,
            asks: 0,
            peak_bytes: 0,
        })
    }

    fn ask(&mut self, ask: &Ask, limits: Limits, format: &Format) -> Result<(), Failure> {
        (self.limits, self.reader, self.objects, self.last_record) = (limits, format.name, 0, 0);
        self.asks += 1;
        self.ear.get_mut().silence = limits.silence;
        self.ear.get_mut().advanced();
        if !self.has_greeted {
            let said: String = self.hear(kind::HELLO)?;
            if said != wire::VERSION {
                return Err(Failure::Broken(Broken::Garbage(format!("it is another program: {said:.60}"))));
            }
            self.has_greeted = true;
        }
        let mut bytes = Vec::new();
        let asked = wire::write_frame(&mut bytes, &mut Vec::new(), kind::ASK, &(limits, ask));
        // a child that is gone is explained by what it left; the next read meets its end
        let _ = asked.and_then(|()| self.asking.write_all(&bytes));
        Ok(())
    }

    /// The content of the next frame, which is of one kind.
    fn hear<T: serde::de::DeserializeOwned>(&mut self, wanted: u8) -> Result<T, Failure> {
        match wire::read_frame(&mut self.ear, &mut self.buffer).map_err(Failure::Broken)? {
            kind if kind == wanted => wire::decode(&self.buffer).map_err(Failure::Broken),
            other => Err(Failure::Broken(Broken::Garbage(format!("a frame of kind {other}")))),
        }
    }

    /// Lets it look at a file. The outer error is the child's, the inner one the file's.
    pub fn probe(
        &mut self,
        ask: &Ask,
        limits: Limits,
        format: &Format,
        path: &Path,
    ) -> Result<Result<Option<Probe>, ImportError>, Failure> {
        self.ask(ask, limits, format)?;
        match wire::read_frame(&mut self.ear, &mut self.buffer).map_err(Failure::Broken)? {
            kind::PROBED => {
                let (probe, peak): (Option<WireProbe>, u64) = wire::decode(&self.buffer).map_err(Failure::Broken)?;
                self.note_peak(peak);
                Ok(Ok(probe.map(Probe::from)))
            }
            kind::FAULT => self.fault(path),
            other => Err(Failure::Broken(Broken::Garbage(format!("a frame of kind {other}")))),
        }
    }

    /// Lets it read a file to the end.
    pub fn read(
        &mut self,
        ask: &Ask,
        limits: Limits,
        format: &Format,
        path: &Path,
        out: &mut dyn Out,
        report: &mut SourceReport,
    ) -> Result<Result<(), ImportError>, Failure> {
        self.ask(ask, limits, format)?;
        let mut furthest = f32::NEG_INFINITY;
        let mut pictures: VecDeque<Texture> = VecDeque::new();
        loop {
            match wire::read_frame(&mut self.ear, &mut self.buffer).map_err(Failure::Broken)? {
                kind::OBJECT => {
                    let mut object: CityObject = wire::decode(&self.buffer).map_err(Failure::Broken)?;
                    for texture in wire::textures(&mut object) {
                        let Some(known) = pictures.iter().find(|known| *known == texture) else {
                            return Err(Failure::Broken(Broken::Garbage("an object without its picture".into())));
                        };
                        *texture = known.clone();
                    }
                    let forgotten = pictures.len().saturating_sub(wire::KEPT_TEXTURES);
                    pictures.drain(..forgotten);
                    wire::sound(&object).map_err(Failure::Broken)?;
                    self.objects += 1;
                    self.last_record = object.record;
                    out.emit(object).map_err(Failure::Refused)?;
                    self.ear.get_mut().advanced();
                }
                kind::TEXTURE => {
                    if pictures.len() >= wire::KEPT_TEXTURES + wire::MAX_TEXTURES {
                        return Err(Failure::Broken(Broken::Garbage("too many pictures of one object".into())));
                    }
                    pictures.push_back(Texture::new(wire::decode(&self.buffer).map_err(Failure::Broken)?));
                }
                kind::PROGRESS => {
                    let fraction: f32 = wire::decode(&self.buffer).map_err(Failure::Broken)?;
                    if fraction > furthest && fraction <= 1.0 {
                        furthest = fraction;
                        out.progress(fraction.max(0.0));
                        self.ear.get_mut().advanced();
                    }
                }
                kind::MARK => {
                    let (position, state, account): (u64, Vec<u8>, SourceReport) =
                        wire::decode(&self.buffer).map_err(Failure::Broken)?;
                    out.mark(position, &state, &account);
                }
                kind::DONE => {
                    let (account, peak) = wire::decode(&self.buffer).map_err(Failure::Broken)?;
                    *report = account;
                    self.note_peak(peak);
                    return Ok(Ok(()));
                }
                kind::FAULT => return self.fault(path),
                other => return Err(Failure::Broken(Broken::Garbage(format!("a frame of kind {other}")))),
            }
        }
    }

    fn fault<T>(&mut self, path: &Path) -> Result<Result<T, ImportError>, Failure> {
        match wire::decode(&self.buffer).map_err(Failure::Broken)? {
            Fault::Panic(words) => Err(Failure::Panic(words)),
            fault => Ok(Err(fault.into_error(path))),
        }
    }

    fn note_peak(&mut self, bytes: u64) {
        self.peak_bytes = self.peak_bytes.max(bytes);
        peaks().note(self.child.id(), self.peak_bytes);
    }

    /// Ends the child and says in one sentence what became of it.
    pub fn explain(mut self, failure: Failure, path: &Path) -> ImportError {
        let reader = format!("the {} reader", self.reader);
        let reason = match failure {
            Failure::Refused(error) => return error,
            Failure::Panic(words) => format!("{reader} gave up: {words}; please report this file"),
            Failure::Broken(broken) => {
                let is_silent = matches!(&broken, Broken::Io(e) if e.kind() == std::io::ErrorKind::TimedOut);
                let status = match &broken {
                    Broken::Ended => self.end_within(END_WITHIN),
                    _ => self.end_within(Duration::ZERO),
                };
                let words = self.words.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
                let limits = &self.limits;
                let what = match (broken, status) {
                    _ if is_silent => {
                        format!("made no progress for {} s and was stopped", limits.silence.as_secs_f32())
                    }
                    (Broken::Garbage(what), _) => format!("sent what cannot be ({what}) and was stopped"),
                    (Broken::Io(error), _) => format!("could not be heard: {error}"),
                    (Broken::Ended, Some(status)) => ended(status, &words, limits),
                    (Broken::Ended, None) => "fell silent and was stopped".into(),
                };
                let words = if words.is_empty() { words } else { format!("; its last words: {words}") };
                format!("{reader}, in a process of its own, {what}{words}")
            }
        };
        let place = match (self.objects, self.last_record) {
            (0, _) => "before the first object".into(),
            (objects, 0) => format!("after object {objects}"),
            (_, record) => format!("after record {record}"),
        };
        ImportError::Bad { path: path.into(), place, reason }
    }

    /// How it ended by itself; it is killed after `grace`.
    fn end_within(&mut self, grace: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if started.elapsed() >= grace {
                self.kill();
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(&mut self) {
        // one that is already gone needs no killing
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
        peaks().gone(self.child.id());
    }
}

/// What the system says of a child's end, in the words of its limits.
fn ended(status: ExitStatus, words: &str, limits: &Limits) -> String {
    let Some(signal) = status.signal() else { return format!("ended early ({status})") };
    match Signal::from_named_raw(signal) {
        Some(Signal::XCPU) => format!("took more than {} s of processor time and was stopped", limits.cpu_s),
        Some(Signal::XFSZ) => "tried to write a file and was stopped".into(),
        Some(Signal::ABORT) if words.contains("memory allocation of") => {
            format!("needed more than {} MiB of memory and was stopped", limits.memory_bytes >> 20)
        }
        Some(Signal::KILL) => "was killed by the system, which may have run out of memory".into(),
        _ => format!("crashed ({status})"),
    }
}

/// The last lines that a child wrote to its standard error.
fn last_words(stderr: impl Read) -> String {
    let mut lines: VecDeque<String> = VecDeque::new();
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Vec::from(lines).join(" | "),
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                if !text.is_empty() {
                    lines.push_back(text);
                }
                if lines.len() > LAST_LINES {
                    lines.pop_front();
                }
            }
        }
    }
}

/// Memory of the children, for the account of the import.
struct Peaks {
    alive: BTreeMap<u32, u64>,
    most: u64,
}

impl Peaks {
    fn note(&mut self, child: u32, bytes: u64) {
        self.alive.insert(child, bytes);
        self.most = self.most.max(self.alive.values().sum());
    }

    fn gone(&mut self, child: u32) {
        self.alive.remove(&child);
    }
}

fn peaks() -> std::sync::MutexGuard<'static, Peaks> {
    static PEAKS: Mutex<Peaks> = Mutex::new(Peaks { alive: BTreeMap::new(), most: 0 });
    PEAKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Most memory that the children of this process have needed at one time, bytes; not less, since the peaks of those that
/// lived side by side are added.
pub(crate) fn peak_bytes() -> u64 {
    peaks().most
}
