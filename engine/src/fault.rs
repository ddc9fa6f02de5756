//! Places of the write path at which a test lets this process die, and disks that are full or fail when a test says so.
//!
//! A crash is tried on a real process: a test starts one with the environment variable [`VARIABLE`], and it kills itself at the named
//! place. In a build without debug assertions, as a release is, all of this is compiled out.
//!
//! The variable holds words separated by commas:
//!
//! | word | what happens |
//! | --- | --- |
//! | `kill=part-ids*3` | SIGKILL to itself the third time that it passes the place |
//! | `room=40000` | after so many bytes the disk is full |
//! | `full=manifest-done` | after this place and a few bytes more it is full |
//! | `sync=2` | the second wish to have something on the disk for sure ends with EIO |
//! | `eager` | a layer in the making is put on the disk after each object, not after half a second |
//! | `points=1000` | more scan points than these go to the disk |
//! | `clock=1700000000` | it is always this second, and nothing takes any time |
//! | `device=20` | after so many seconds the window's graphics device is lost (read by the viewer) |
//! | `trace=/file` | every place that is passed is written there, with the bytes so far |

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

#[cfg(debug_assertions)]
use std::{
    path::PathBuf,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The environment variable that says what fails.
pub const VARIABLE: &str = "GROUNDLINE_FAULT";

macro_rules! places {
    ($($place:ident $name:literal $what:literal,)*) => {
        /// A place of the write path.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Place {
            $(#[doc = $what] $place,)*
        }

        impl Place {
            /// Every place, in the order in which an import passes them.
            pub const ALL: &[Place] = &[$(Place::$place,)*];

            /// What tests call it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Place::$place => $name,)*
                }
            }
        }
    };
}

places! {
    CreateFolder "create-folder" "The folder of a city that is made is there, and nothing in it.",
    LockOpened "lock-opened" "The file of the lock is there; nobody holds it.",
    CreateLocked "create-locked" "The lock of a city that is made is taken.",
    CreateInner "create-inner" "A folder within a city that is made is there.",
    CreateManifest "create-manifest" "The manifest of version 0 is there; `city.json` is not.",
    CreateDone "create-done" "A city of version 0 is there.",
    BeginLocked "begin-locked" "A new version begins: the lock is taken.",
    BeginSwept "begin-swept" "What dead processes left is removed.",
    BeginStaged "begin-staged" "The staging folder is there.",
    LayerStarted "layer-started" "The folder of a layer's draft is there.",
    LayerRestored "layer-restored" "A layer goes on from the checkpoint of an import before.",
    ObjectTaken "object-taken" "A layer took an object.",
    RasterAppended "raster-appended" "Heights, pictures or what is laid aside were appended to their file.",
    PointsAppended "points-appended" "Scan points were appended to their file.",
    SpillFlushed "spill-flushed" "Records of tiles were appended to their file.",
    RunBegun "run-begun" "A sorted run of rows is an empty file.",
    RunWritten "run-written" "A sorted run of rows is written.",
    CheckpointBegun "checkpoint-begun" "The tiler of a layer is on the disk for another import.",
    CheckpointRows "checkpoint-rows" "So are its rows and what is laid aside.",
    CheckpointWritten "checkpoint-written" "The checkpoint is written beside the one before.",
    CheckpointDone "checkpoint-done" "The checkpoint is in place.",
    SurfaceRead "surface-read" "The ground of the next version is known.",
    LayerAdopted "layer-adopted" "A layer that an import before finished is taken over.",
    OthersDropped "others-dropped" "What imports before kept and this one does not want is removed.",
    FinishBegun "finish-begun" "The folder of a layer's files is there.",
    JournalOpened "journal-opened" "So is the journal of what is written.",
    RowsBegun "rows-begun" "A GeoParquet file is begun.",
    RowsWritten "rows-written" "The rows of a GeoParquet file are written; its footer is not.",
    PartParquet "part-parquet" "The GeoParquet file of a part is written.",
    PartIds "part-ids" "So is its list of ids.",
    PartTree "part-tree" "So is its index of boxes.",
    PartRows "part-rows" "So are its rows in blocks.",
    PartSums "part-sums" "So are its checksums.",
    PartSources "part-sources" "So is its list of sources.",
    PartNamed "part-named" "A file of a part has its lasting name.",
    PartDone "part-done" "The journal knows the part.",
    EndedWritten "ended-written" "The states that end are written.",
    RowsDone "rows-done" "The journal knows that all parts are written.",
    TileWritten "tile-written" "The content of a tile is written.",
    PicksWritten "picks-written" "The list of what a far tile draws is written.",
    TilesetWritten "tileset-written" "A page or the tileset of a layer is written.",
    LayerWritten "layer-written" "All files of a layer are written.",
    KeepWritten "keep-written" "The record of a finished layer is written beside its place.",
    KeepRecorded "keep-recorded" "The record of a finished layer is in place.",
    KeepDone "keep-done" "The folder of a finished layer has its name.",
    CommitBegun "commit-begun" "All layers are finished.",
    CommitSwept "commit-swept" "The ground's files are removed.",
    CommitSynced "commit-synced" "All files are on the disk, none is in place.",
    CommitMoving "commit-moving" "A file is about to be put into place.",
    CommitMoved "commit-moved" "A file is in place.",
    CommitPlaced "commit-placed" "All files are in place.",
    FileCreated "file-created" "A report, a manifest or `city.json` is an empty file beside its place.",
    FileWritten "file-written" "It is written beside its place.",
    FileSynced "file-synced" "It is on the disk beside its place.",
    FileNamed "file-named" "It is in place.",
    ReportDone "report-done" "The report is in place; the manifest is not.",
    ManifestDone "manifest-done" "The manifest is in place; `city.json` names the version before.",
    CommitDurable "commit-durable" "All that `city.json` is to name is on the disk.",
    Switched "switched" "`city.json` names the new version.",
    KeptForgotten "kept-forgotten" "What was kept for another import is removed.",
    StagingDropped "staging-dropped" "The staging folder is removed.",
    EditBegun "edit-begun" "A change of single objects is known, nothing of it is written.",
    EditParts "edit-parts" "The parts of a change are written.",
    EditTiles "edit-tiles" "The tiles of a change are written.",
    GcLocked "gc-locked" "The removal of garbage has the lock.",
    GcStaging "gc-staging" "It removed staging folders.",
    GcKept "gc-kept" "It removed what was kept for another import.",
    GcListed "gc-listed" "It knows which files are named.",
    GcRemoving "gc-removing" "It is about to remove a file.",
    GcRemoved "gc-removed" "It removed a file.",
    GcDone "gc-done" "It removed all that it should.",
}

/// This process passes a place.
#[inline]
pub fn at(place: Place) {
    #[cfg(debug_assertions)]
    if let Some(plan) = &*PLAN {
        plan.pass(place);
    }
    let _ = place;
}

/// Before something is put on the disk for sure.
#[inline]
pub(crate) fn sync() -> io::Result<()> {
    #[cfg(debug_assertions)]
    if let Some(plan) = &*PLAN {
        return plan.sync();
    }
    Ok(())
}

/// Whether checkpoints come after each object.
#[inline]
pub(crate) fn is_eager() -> bool {
    #[cfg(debug_assertions)]
    if let Some(plan) = &*PLAN {
        return plan.is_eager;
    }
    false
}

/// Scan points that are held in memory, where a test says how many.
#[inline]
pub(crate) fn scan_points() -> Option<usize> {
    #[cfg(debug_assertions)]
    if let Some(plan) = &*PLAN {
        return plan.points;
    }
    None
}

/// The time, as all that is written to a city has it.
#[inline]
pub(crate) fn now() -> SystemTime {
    #[cfg(debug_assertions)]
    if let Some(second) = PLAN.as_ref().and_then(|plan| plan.clock) {
        return SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    }
    SystemTime::now()
}

/// How long it is since `started`, as a report has it.
#[inline]
pub fn elapsed(started: Instant) -> Duration {
    #[cfg(debug_assertions)]
    if PLAN.as_ref().is_some_and(|plan| plan.clock.is_some()) {
        return Duration::ZERO;
    }
    started.elapsed()
}

/// Of `wanted` bytes, how many the disk takes.
#[inline]
fn room(wanted: usize) -> io::Result<usize> {
    #[cfg(debug_assertions)]
    if let Some(plan) = &*PLAN {
        return plan.room(wanted);
    }
    Ok(wanted)
}

/// Writes a whole file, as [`std::fs::write`] does.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Output::create(path)?.write_all(bytes)
}

/// A file that is written on a disk that may be full.
#[derive(Debug)]
pub(crate) struct Output(pub File);

impl Output {
    /// A new file, or one that was there emptied.
    pub fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(Self)
    }

    /// A file that is there, to be written at its end.
    pub fn append(path: &Path) -> io::Result<Self> {
        OpenOptions::new().append(true).open(path).map(Self)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = room(bytes.len())?;
        self.0.write(&bytes[..taken])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(debug_assertions)]
static PLAN: LazyLock<Option<Plan>> =
    LazyLock::new(|| std::env::var(VARIABLE).ok().filter(|words| !words.is_empty()).map(|words| Plan::new(&words)));

/// Bytes that fit after the place at which the disk is said to be full: less than any file has.
#[cfg(debug_assertions)]
const LEFT: u64 = 40;

/// What fails.
#[cfg(debug_assertions)]
#[derive(Debug)]
struct Plan {
    /// Where it dies, and after how many passes.
    kill: Option<(String, u64)>,
    passed: AtomicU64,
    room: Option<u64>,
    full: Option<String>,
    /// After so many bytes the disk is full, since `full` was passed.
    full_at: AtomicU64,
    written: AtomicU64,
    sync: Option<u64>,
    synced: AtomicU64,
    is_eager: bool,
    points: Option<usize>,
    clock: Option<u64>,
    trace: Option<PathBuf>,
    tracing: Mutex<()>,
}

#[cfg(debug_assertions)]
impl Plan {
    fn new(words: &str) -> Self {
        let mut plan = Self {
            kill: None,
            passed: AtomicU64::new(0),
            room: None,
            full: None,
            full_at: AtomicU64::new(u64::MAX),
            written: AtomicU64::new(0),
            sync: None,
            synced: AtomicU64::new(0),
            is_eager: false,
            points: None,
            clock: None,
            trace: None,
            tracing: Mutex::new(()),
        };
        for word in words.split(',').filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || value.parse().ok();
            match key {
                "kill" => {
                    let (name, count) = value.split_once('*').unwrap_or((value, "1"));
                    plan.kill = Some((name.into(), count.parse().unwrap_or(1)));
                }
                "room" => plan.room = number(),
                "full" => plan.full = Some(value.into()),
                "sync" => plan.sync = number(),
                "eager" => plan.is_eager = true,
                "points" => plan.points = value.parse().ok(),
                "clock" => plan.clock = number(),
                "trace" => plan.trace = Some(value.into()),
                // Of the viewer.
                "device" => {}
                _ => eprintln!("{VARIABLE}: {word} is not understood"),
            }
        }
        plan
    }

    fn pass(&self, place: Place) {
        self.tell(place.name());
        if self.full.as_deref() == Some(place.name()) {
            self.full_at.store(self.written.load(Ordering::SeqCst) + LEFT, Ordering::SeqCst);
        }
        if self.kill.as_ref().is_some_and(|(name, count)| {
            name == place.name() && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == *count
        }) {
            #[cfg(unix)]
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            // Where there are no signals this is as sudden.
            std::process::abort();
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.tell("sync");
        match self.sync == Some(self.synced.fetch_add(1, Ordering::SeqCst) + 1) {
            true => Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())),
            false => Ok(()),
        }
    }

    fn room(&self, wanted: usize) -> io::Result<usize> {
        let before = self.written.fetch_add(wanted as u64, Ordering::SeqCst);
        let room = self.full_at.load(Ordering::SeqCst).min(self.room.unwrap_or(u64::MAX));
        match usize::try_from(room.saturating_sub(before)).unwrap_or(usize::MAX).min(wanted) {
            0 if wanted > 0 => Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())),
            taken => Ok(taken),
        }
    }

    /// One line of the trace: what, and the bytes so far.
    fn tell(&self, what: &str) {
        let Some(path) = &self.trace else { return };
        let _turn = self.tracing.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let line = format!("{what} {}\n", self.written.load(Ordering::SeqCst));
        if let Err(error) = opened.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_place_has_a_name_of_its_own_and_is_in_the_table() {
        let names: BTreeSet<&str> = Place::ALL.iter().map(|place| place.name()).collect();
        assert!(names.len() == Place::ALL.len() && names.len() >= 40, "{} of {}", names.len(), Place::ALL.len());
        let plan = Plan::new("kill=part-ids*3,room=10,sync=2,eager,clock=5");
        assert_eq!((plan.kill.clone(), plan.is_eager, plan.clock), (Some(("part-ids".into(), 3)), true, Some(5)));
        assert_eq!((plan.room(7).unwrap(), plan.room(7).unwrap()), (7, 3), "what fits is written");
        assert_eq!(plan.room(1).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(plan.sync().is_ok() && plan.sync().is_err() && plan.sync().is_ok());
    }
}
