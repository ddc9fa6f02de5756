//! How far an import is.

use super::placed::Placed;

/// Part of the work on a source that is done when it is read; the rest is writing objects and tiles.
const READING: f32 = 0.6;

/// How far an import is.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Sources are being read, and layers that are read to their end are written.
    Reading {
        /// The source last heard of, as named by the user.
        path: String,
        /// Part of that source read, 0 to 1.
        of_path: f32,
        /// Sources that are in a finished layer.
        done: usize,
        /// Of how many.
        of: usize,
        /// Part of all work done, 0 to 1.
        fraction: f32,
        /// Part that was done before this import began: layers taken over from one that was stopped.
        resumed: f32,
        /// Objects and points so far.
        taken: u64,
        /// Bytes of sources so far.
        bytes: u64,
    },
    /// The new version is being put into place.
    Writing,
}

/// How far all sources are, by their bytes.
pub(super) struct Watch<'a> {
    pub sources: &'a [Placed],
    pub sizes: Vec<u64>,
    /// Part of each source that is read.
    read: Vec<f32>,
    /// Part of each source that was read by this import.
    own: Vec<bool>,
    finished: Vec<bool>,
    taken: Vec<u64>,
}

impl<'a> Watch<'a> {
    pub fn new(sources: &'a [Placed]) -> Self {
        let count = sources.len();
        let sizes = sources.iter().map(|p| p.source.bytes().max(1)).collect();
        Self {
            sources,
            sizes,
            read: vec![0.0; count],
            own: vec![true; count],
            finished: vec![false; count],
            taken: vec![0; count],
        }
    }

    /// A source need not be read.
    pub fn pass_over(&mut self, source: usize) {
        (self.own[source], self.finished[source]) = (false, true);
    }

    pub fn read(&mut self, source: usize, fraction: f32, taken: u64) {
        (self.read[source], self.taken[source]) = (fraction.clamp(0.0, 1.0), taken);
    }

    /// A source is read to its end, by this import itself with so many objects and points, or by one before it.
    pub fn done(&mut self, source: usize, own: bool, taken: u64) {
        (self.read[source], self.own[source]) = (1.0, own);
        self.taken[source] = if own { taken } else { 0 };
    }

    pub fn finished(&mut self, source: usize) {
        self.finished[source] = true;
    }

    pub fn now(&self, source: usize) -> Progress {
        let all = self.sizes.iter().sum::<u64>().max(1) as f64;
        let sum = |part: &dyn Fn(usize) -> f32| -> f64 {
            self.sizes.iter().enumerate().map(|(i, size)| *size as f64 * f64::from(part(i))).sum()
        };
        let work = |i: usize| if self.finished[i] { 1.0 } else { self.read[i] * READING };
        Progress::Reading {
            path: self.sources[source].source.shown.clone(),
            of_path: self.read[source],
            done: self.finished.iter().filter(|f| **f).count(),
            of: self.sources.len(),
            fraction: (sum(&work) / all) as f32,
            resumed: (sum(&|i| if self.own[i] { 0.0 } else { 1.0 }) / all) as f32,
            taken: self.taken.iter().sum(),
            bytes: sum(&|i| if self.own[i] { self.read[i] } else { 0.0 }) as u64,
        }
    }
}
