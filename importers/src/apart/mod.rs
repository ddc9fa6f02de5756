//! Reading in a process of its own.
//!
//! A file comes from anywhere, and what parses it is partly by others, partly in C. So every source is looked at and read
//! by a child process: the same program, started as `groundline worker`, which serves one ask after the other over a
//! socket on its standard input. The system holds the child's limits (address space, processor time, no file written, no
//! core), the importer watches the clock, and where the kernel can (Landlock) the child may neither write files nor start
//! programs nor use TCP. A child that dies costs its source and nothing else.
//!
//! Measured on two cores: a building with twelve corners and eight attributes costs 2 µs, a scan point 40 ns (30 bytes),
//! both spread over the two processes; starting a child takes some 10 ms, so it stays for the next source. That is little
//! beside what becomes of an object afterwards, and so no format is excepted.

mod child;
mod limit;
mod listen;
#[cfg(test)]
pub(crate) mod tests;
mod wire;
mod worker;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use groundline_engine::{
    crs::Crs,
    model::{CityObject, SourceReport},
};

use crate::{Format, ImportError, Job, Options, Out, Probe, Start};
pub use child::serve;
pub use limit::Limits;
use wire::Ask;
use worker::Worker;
pub(crate) use worker::peak_bytes;

/// Sources that one child serves, so that what a parser leaks does not add up.
const MAX_ASKS: u32 = 500;
/// A child that has needed this much memory is not kept for the next source, bytes.
const KEEP_BELOW_BYTES: u64 = 256 << 20;

/// The child processes of an import: started when needed, kept for the next source as long as they serve well.
#[derive(Clone)]
pub struct Workers(Arc<Inner>);

struct Inner {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Option<Limits>,
    idle: Mutex<Vec<Worker>>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workers({})", self.0.program.display())
    }
}

impl Workers {
    /// Children are started as `program arguments…`, which has to call [`serve`].
    pub fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self(Arc::new(Inner { program: program.into(), arguments, limits: None, idle: Mutex::default() }))
    }

    /// The same program with these limits for every source, whatever its size.
    #[must_use]
    pub fn limited(&self, limits: Limits) -> Self {
        let (program, arguments) = (self.0.program.clone(), self.0.arguments.clone());
        Self(Arc::new(Inner { program, arguments, limits: Some(limits), idle: Mutex::default() }))
    }

    fn limits(&self, path: &Path, companions: &[PathBuf]) -> Limits {
        self.0.limits.unwrap_or_else(|| {
            let files = std::iter::once(path).chain(companions.iter().map(PathBuf::as_path));
            Limits::of(files.filter_map(|file| std::fs::metadata(file).ok()).map(|kind| kind.len()).sum())
        })
    }

    /// Lets a child do `work`, and keeps it where that went well.
    fn with<T>(
        &self,
        path: &Path,
        work: impl FnOnce(&mut Worker) -> Result<T, worker::Failure>,
    ) -> Result<T, ImportError> {
        let idle = || self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut worker = match kept {
            Some(worker) => worker,
            None => Worker::start(&self.0.program, &self.0.arguments)
                .map_err(|source| ImportError::Io { path: self.0.program.clone(), source })?,
        };
        match work(&mut worker) {
            Ok(done) => {
                if worker.asks < MAX_ASKS && worker.peak_bytes < KEEP_BELOW_BYTES {
                    idle().push(worker);
                }
                Ok(done)
            }
            Err(failure) => Err(worker.explain(failure, path)),
        }
    }
}

/// [`Format::probe`], in a child where `options` name one.
pub(crate) fn probe(format: &Format, path: &Path, options: &Options) -> Result<Option<Probe>, ImportError> {
    let Some(workers) = &options.worker else { return (format.probe)(path, options) };
    let ask = Ask::Probe { format: format.name.into(), path: wire::bytes_of(path), options: Box::new(options.into()) };
    let limits = workers.limits(path, &[]);
    workers.with(path, |worker| worker.probe(&ask, limits, format, path))?
}

/// [`Format::read`] from `start` on, in a child where the job's options name one; `city` is the system that the job's
/// transform leads to.
pub(crate) fn read(
    format: &Format,
    job: &Job<'_>,
    city: &Crs,
    start: &Start,
    out: &mut dyn Out,
    report: &mut SourceReport,
) -> Result<(), ImportError> {
    let Some(workers) = &job.options.worker else {
        return (format.read)(job, &mut Begun::new(out, start.clone()), report);
    };
    let ask = Ask::Read(Box::new(wire::ReadAsk::new(format, job, city, report, start)));
    let limits = workers.limits(job.path, &job.probe.companions);
    workers.with(job.path, |worker| worker.read(&ask, limits, format, job.path, out, report))?
}

/// Drops what an import before this one has.
struct Begun<'a> {
    out: &'a mut dyn Out,
    start: Start,
    /// What was said at marks that were not handed on.
    state: Vec<u8>,
}

impl<'a> Begun<'a> {
    fn new(out: &'a mut dyn Out, start: Start) -> Self {
        Self { out, start, state: Vec::new() }
    }
}

impl Out for Begun<'_> {
    fn emit(&mut self, object: CityObject) -> Result<(), ImportError> {
        if self.start.skip > 0 {
            self.start.skip -= 1;
            return Ok(());
        }
        self.out.emit(object)
    }

    fn progress(&mut self, fraction: f32) {
        self.out.progress(fraction);
    }

    fn start(&self) -> u64 {
        self.start.position
    }

    fn state(&self) -> &[u8] {
        &self.start.state
    }

    fn mark(&mut self, position: u64, state: &[u8], account: &SourceReport) {
        self.state.extend_from_slice(state);
        // within what is there already nobody needs to begin
        if self.start.skip == 0 {
            self.out.mark(position, &std::mem::take(&mut self.state), account);
        }
    }
}
