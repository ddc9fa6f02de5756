//! For tests of importers: reading a file the way an import does, and reading 200 damaged copies of it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, SourceReport},
};

use crate::{Format, ImportError, Job, Options, Out, Probe, Start, apart};

/// A reader that takes longer than this hangs, on a machine that is busy with other tests too.
const LONGEST: Duration = Duration::from_secs(60);

/// Keeps what an importer emits.
#[derive(Default)]
pub(crate) struct Kept(pub Vec<CityObject>);

impl Out for Kept {
    fn emit(&mut self, object: CityObject) -> Result<(), ImportError> {
        self.0.push(object);
        Ok(())
    }

    fn progress(&mut self, fraction: f32) {
        assert!((0.0..=1.0).contains(&fraction), "progress of {fraction}");
    }
}

/// What came of reading a file.
pub(crate) struct Trial {
    /// `None`: the format says that the file is of another one.
    pub probe: Option<Probe>,
    pub objects: Vec<CityObject>,
    pub report: SourceReport,
    pub outcome: Result<(), ImportError>,
}

impl Trial {
    /// Reads `path` into a city of system `city` (EPSG code), by the CRS of `options`, else the file's, else the city's.
    pub fn of(format: &Format, path: &Path, options: &Options, city: u32) -> Self {
        let mut trial = Self { probe: None, objects: Vec::new(), report: SourceReport::default(), outcome: Ok(()) };
        let probe = match apart::probe(format, path, options) {
            Ok(Some(probe)) => probe,
            Ok(None) => return trial,
            Err(error) => {
                trial.outcome = Err(error);
                return trial;
            }
        };
        let city = Crs::from_epsg(city).expect("the city's system");
        let crs = options.crs.clone().or_else(|| probe.crs.clone()).unwrap_or_else(|| city.clone());
        let mut kept = Kept::default();
        trial.outcome = Transform::new(&crs, &city).map_err(ImportError::from).and_then(|transform| {
            let job = Job { path, probe: &probe, layer: "t", city_from_source: &transform, crs: &crs, options };
            apart::read(format, &job, &city, &crate::Start::default(), &mut kept, &mut trial.report)
        });
        trial.probe = Some(probe);
        trial.objects = kept.0;
        trial
    }

    /// Whether the reader saw nothing wrong.
    fn is_clean(&self) -> bool {
        self.probe.is_some() && self.outcome.is_ok() && self.report.skipped == 0 && self.report.warnings.is_empty()
    }
}

/// Keeps what is emitted from a start on, and where one could begin another time.
#[derive(Default)]
struct Marked {
    start: Start,
    kept: Kept,
    /// Where, the account up to there, objects before it.
    marks: Vec<(Start, SourceReport, usize)>,
}

impl Out for Marked {
    fn emit(&mut self, object: CityObject) -> Result<(), ImportError> {
        self.kept.emit(object)
    }

    fn progress(&mut self, fraction: f32) {
        self.kept.progress(fraction);
    }

    fn start(&self) -> u64 {
        self.start.position
    }

    fn state(&self) -> &[u8] {
        &self.start.state
    }

    fn mark(&mut self, position: u64, state: &[u8], account: &SourceReport) {
        let before = self.marks.last().map_or(&self.start, |(start, ..)| start);
        let start = Start { position, state: [&before.state, state].concat(), skip: 0 };
        self.marks.push((start, account.clone(), self.kept.0.len()));
    }
}

/// Reads a file in the system of its own, and again from each of the marks that its reader sets: the rest must be what it was
/// in the whole, and so must the account. Returns the number of marks.
pub(crate) fn begin_at_every_mark(format: &Format, path: &Path) -> usize {
    let options = Options::default();
    let probe = (format.probe)(path, &options).expect("a file that can be read").expect("a file of the format");
    let crs = probe.crs.clone().unwrap_or_else(|| Crs::from_epsg(4549).expect("a system"));
    let same = Transform::new(&crs, &crs).expect("no change");
    let job = Job { path, probe: &probe, layer: "t", city_from_source: &same, crs: &crs, options: &options };
    let read = |start: Start, mut account: SourceReport| {
        let mut out = Marked { start, ..Marked::default() };
        (format.read)(&job, &mut out, &mut account).expect("a file that can be read");
        (out, account)
    };
    let (whole, account) = read(Start::default(), SourceReport::default());
    for (start, before, objects) in &whole.marks {
        let (rest, same) = read(start.clone(), before.clone());
        assert_eq!(rest.kept.0, whole.kept.0[*objects..], "{} from {}", path.display(), start.position);
        assert_eq!(same, account, "{} from {}", path.display(), start.position);
    }
    whole.marks.len()
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % most.max(1)
    }
}

/// 200 damaged copies of a file, each with a name for what was done to it.
pub(crate) fn damaged(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let length = bytes.len();
    let mut dice = Dice(0x5EED_0000_0000_0001 ^ length as u64);
    let mut all: Vec<(String, Vec<u8>)> = vec![
        ("empty".into(), Vec::new()),
        ("first byte only".into(), bytes[..1.min(length)].to_vec()),
        ("last byte missing".into(), bytes[..length.saturating_sub(1)].to_vec()),
        ("halves swapped".into(), [&bytes[length / 2..], &bytes[..length / 2]].concat()),
        ("twice".into(), [bytes, bytes].concat()),
        ("as UTF-16".into(), bytes.iter().flat_map(|b| [*b, 0]).collect()),
    ];
    for (name, piece) in [("[", "["), ("objects", "{\"a\":"), ("elements", "<a>"), ("brackets", "(")] {
        let at = length / 3;
        let deep = piece.repeat(100_000).into_bytes();
        all.push((format!("100 000 {name} at byte {at}"), [&bytes[..at], &deep, &bytes[at..]].concat()));
    }
    for i in 1..40 {
        let at = length * i / 40;
        all.push((format!("cut at byte {at}"), bytes[..at].to_vec()));
    }
    let mut patch = |count: usize, name: &str, with: &[u8], out: &mut Vec<(String, Vec<u8>)>| {
        for i in 0..count {
            // A third of them among the first bytes, where headers are.
            let at = if i % 3 == 0 { dice.below(length.min(512)) } else { dice.below(length) };
            let mut copy = bytes.to_vec();
            for (place, byte) in copy.iter_mut().skip(at).zip(with) {
                *place = *byte;
            }
            out.push((format!("{name} at byte {at}"), copy));
        }
    };
    patch(25, "ones", &[0xff; 4], &mut all);
    patch(10, "largest positive", &[0xff, 0xff, 0xff, 0x7f], &mut all);
    patch(20, "NaN", &f64::NAN.to_le_bytes(), &mut all);
    patch(15, "zeros", &[0; 16], &mut all);
    patch(10, "large number as text", b"1e999", &mut all);
    patch(5, "quotes", b"\"\"\"", &mut all);
    for i in 0..45 {
        let at = if i % 3 == 0 { dice.below(length.min(512)) } else { dice.below(length) };
        let mut copy = bytes.to_vec();
        if let Some(byte) = copy.get_mut(at) {
            *byte ^= 1 << dice.below(8);
        }
        all.push((format!("a bit of byte {at} flipped"), copy));
    }
    while all.len() < 200 {
        let (a, b) = (dice.below(length), dice.below(length));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 4096));
        let copy = match all.len() % 2 {
            0 => [&bytes[..from], &bytes[to..]].concat(),
            _ => [&bytes[..to], &bytes[from..]].concat(),
        };
        let what = if all.len().is_multiple_of(2) { "missing" } else { "doubled" };
        all.push((format!("bytes {from} to {to} {what}"), copy));
    }
    all
}

/// Reads 200 damaged copies of `bytes` under the name `name`; panics when a reader panics or hangs. Gives those that
/// were read without any complaint to a number of objects other than the whole file's.
pub(crate) fn miscounts(
    format: &'static Format,
    name: &str,
    bytes: &[u8],
    options: &Options,
    city: u32,
) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    miscounts_in(folder.path(), format, name, bytes, options, city)
}

/// As [`miscounts`], in a folder that holds the companions of the file.
pub(crate) fn miscounts_in(
    folder: &Path,
    format: &'static Format,
    name: &str,
    bytes: &[u8],
    options: &Options,
    city: u32,
) -> Vec<String> {
    miscounts_of(folder, format, name, name, bytes, options, city)
}

/// As [`miscounts_in`], where the file that is read is not the one that is damaged but one that it belongs to.
pub(crate) fn miscounts_of(
    folder: &Path,
    format: &'static Format,
    read: &str,
    name: &str,
    bytes: &[u8],
    options: &Options,
    city: u32,
) -> Vec<String> {
    let (path, damaged_path) = (folder.join(read), folder.join(name));
    std::fs::write(&damaged_path, bytes).expect("the whole file");
    let whole = Trial::of(format, &path, options, city);
    assert!(whole.probe.is_some() && whole.outcome.is_ok(), "the whole file is read: {:?}", whole.outcome);
    assert!(!whole.objects.is_empty(), "the whole file holds objects");
    let mut found = Vec::new();
    for (what, copy) in damaged(bytes) {
        std::fs::write(&damaged_path, copy).expect("the damaged file");
        let (sender, receiver) = mpsc::channel();
        let (path, options) = (path.clone(), options.clone());
        std::thread::spawn(move || {
            let trial = catch_unwind(AssertUnwindSafe(|| Trial::of(format, &path, &options, city)));
            let _ = sender.send(trial);
        });
        let trial = receiver.recv_timeout(LONGEST).unwrap_or_else(|_| panic!("{name}, {what}: the reader hangs"));
        let trial = trial.unwrap_or_else(|_| panic!("{name}, {what}: the reader panicked"));
        if trial.is_clean() && trial.objects.len() != whole.objects.len() {
            found.push(format!("{what}: {} objects instead of {}", trial.objects.len(), whole.objects.len()));
        }
        if let Err(error) = &trial.outcome {
            assert!(!error.to_string().is_empty(), "{name}, {what}: an error without a reason");
        }
    }
    found
}

#[test]
fn damages_are_two_hundred_and_the_same_each_time() {
    let bytes: Vec<u8> = (0..5000_u32).map(|i| (i * 7) as u8).collect();
    let (first, second) = (damaged(&bytes), damaged(&bytes));
    assert_eq!(first.len(), 200);
    assert_eq!(first, second);
    assert!(first.iter().filter(|(_, copy)| *copy != bytes).count() > 190);
    assert_eq!(damaged(b"x").len(), 200, "tiny files too");
}
