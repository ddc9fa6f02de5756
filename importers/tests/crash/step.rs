//! The steps of the city's life, each done by a child process: this very test program with [`as_child`] as all that it runs.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::LazyLock,
};

use groundline_engine::{crs::Crs, fault::VARIABLE, model::ObjectId, store::City};
use groundline_importers::{
    Options,
    apart::{Workers, serve},
    intake::{self, IntakeError, Request},
};

use crate::{source, state};

/// What a child does in its working folder.
const STEP: &str = "GROUNDLINE_CRASH_STEP";
/// How many files it may have open.
const FILES: &str = "GROUNDLINE_CRASH_FILES";
/// The city, in the folder of a case.
pub const CITY: &str = "a.city";

/// A step of the city's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Four sources into a city that is made.
    Import,
    /// A second source into the layer of houses.
    Join,
    /// The same import with other houses and another terrain.
    Again,
    /// A few houses by themselves.
    Update,
    /// Garbage is removed.
    Gc,
}

impl Step {
    pub const ALL: [Step; 5] = [Step::Import, Step::Join, Step::Again, Step::Update, Step::Gc];

    fn number(self) -> usize {
        Self::ALL.iter().position(|step| *step == self).unwrap()
    }

    fn name(self) -> String {
        format!("{self:?}")
    }

    /// Version of the city before it.
    pub fn base_version(self) -> u64 {
        self.number() as u64
    }
}

/// The city before and after every step, done undisturbed; with its sources.
pub struct Life {
    folder: PathBuf,
}

impl Life {
    /// Where a step begins.
    pub fn before(&self, step: Step) -> PathBuf {
        match step {
            Step::Gc => self.folder.join("littered"),
            _ => self.folder.join(step.number().to_string()),
        }
    }

    /// Where a step ends.
    pub fn after(&self, step: Step) -> PathBuf {
        self.folder.join((step.number() + 1).to_string())
    }
}

/// Done once for all tests.
pub static LIFE: LazyLock<Life> = LazyLock::new(|| {
    // Nobody drops what is static: it lies where the next run finds and removes it.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash");
    let _ = fs::remove_dir_all(&folder);
    let place = |number: usize| folder.join(number.to_string());
    fs::create_dir_all(place(0)).unwrap();
    source::first(&place(0));
    for step in Step::ALL {
        let number = step.number();
        match step {
            Step::Again => source::again(&place(number)),
            Step::Update => source::update(&place(number)),
            Step::Gc => {
                copy(&place(number), &folder.join("littered"));
                litter(&folder.join("littered").join(CITY));
            }
            _ => {}
        }
        let from = if step == Step::Gc { folder.join("littered") } else { place(number) };
        copy(&from, &place(number + 1));
        let output = Job::new(step, &place(number + 1)).run();
        assert!(output.status.success(), "{step:?}: {}", said(&output));
    }
    Life { folder }
});

/// What crashes of long ago left.
fn litter(city: &Path) {
    let place = |inner: &str, name: &str| {
        let folder = city.join(inner);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), "left over").unwrap();
    };
    for (inner, name) in [
        ("objects/buildings", "part-0.parquet.new"),
        ("objects/gone", "0123.parquet"),
        ("tiles/buildings", "ffffffffffffffffffffffffffffffff.glb"),
        ("versions", "000009.new"),
        ("reports", "000009.json"),
        (".staging-1/layers/0", "x"),
        (".resume/0123.draft", "checkpoint"),
        ("", "city.new"),
    ] {
        place(inner, name);
    }
}

/// A step to be done in a folder.
pub struct Job {
    step: Step,
    folder: PathBuf,
    fault: String,
    files: Option<u64>,
    /// Words before the program, such as `setpriv`.
    before: Vec<&'static str>,
}

impl Job {
    pub fn new(step: Step, folder: &Path) -> Self {
        Self { step, folder: folder.into(), fault: String::new(), files: None, before: Vec::new() }
    }

    /// With words of [`VARIABLE`].
    pub fn fault(mut self, words: impl Into<String>) -> Self {
        self.fault = words.into();
        self
    }

    pub fn files(mut self, most: u64) -> Self {
        self.files = Some(most);
        self
    }

    pub fn before(mut self, words: &[&'static str]) -> Self {
        self.before = words.into();
        self
    }

    pub fn spawn(&self) -> Child {
        let program = std::env::current_exe().unwrap();
        let mut command = match self.before.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(["--ignored", "--exact", "step::as_child", "--nocapture", "--test-threads=1"]);
        // Each step has a time of its own, the same whenever it is done.
        let clock = format!("points=1500,clock={}", 1_700_000_000 + self.step.number() * 100);
        let words = [clock.as_str(), self.fault.as_str()].map(str::to_owned);
        command.env(VARIABLE, words.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(","));
        command.env(STEP, self.step.name()).current_dir(&self.folder);
        if let Some(files) = self.files {
            command.env(FILES, files.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn run(&self) -> Output {
        self.spawn().wait_with_output().unwrap()
    }
}

/// A folder for one case. In memory where there is enough: to ask a disk hundreds of times to keep all that is written takes minutes
/// beside others that write, and a process that is killed leaves the same on both.
pub fn place() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory).is_ok_and(|room| room.f_bavail * room.f_frsize > 256 << 20);
    match tempfile::tempdir_in(memory) {
        Ok(folder) if has_room => folder,
        _ => tempfile::tempdir().unwrap(),
    }
}

/// What a child wrote to standard error.
pub fn said(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))
}

pub fn was_killed(output: &Output) -> bool {
    output.status.signal() == Some(rustix::process::Signal::KILL.as_raw())
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in state::files(from) {
        let target = to.join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
}

#[test]
#[ignore = "started by other tests as a child process"]
fn as_child() {
    // Run by hand it does nothing.
    let Ok(name) = std::env::var(STEP) else { return };
    if let Some(files) = std::env::var(FILES).ok().and_then(|text| text.parse().ok()) {
        let limit = rustix::process::Rlimit { current: Some(files), maximum: Some(files) };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    }
    let step = Step::ALL.into_iter().find(|step| step.name() == name).unwrap();
    // As the command does: the reason on standard error, exit code 1, or 3 where something was left out.
    std::process::exit(match done(step) {
        Ok(false) => 0,
        Ok(true) => 3,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    });
}

#[test]
#[ignore = "started by imports as a child process"]
fn as_worker() {
    let _ = serve(&[]);
}

/// Does it; says whether something was left out.
fn done(step: Step) -> Result<bool, IntakeError> {
    let arguments = ["--ignored", "--exact", "step::as_worker", "--nocapture", "--test-threads=1"];
    let worker = Some(Workers::new(std::env::current_exe().unwrap(), arguments));
    let crs = Some(Crs::from_epsg(4549).unwrap());
    let request = |sources: &str, layer: Option<&str>| Request {
        sources: vec![sources.into()],
        city: CITY.into(),
        layer: layer.map(str::to_owned),
        options: Options { crs: crs.clone(), worker: worker.clone(), ..Options::default() },
        ..Request::default()
    };
    let report = match step {
        Step::Import | Step::Again => intake::import(&request("sources", None), &mut |_| {}),
        Step::Join => intake::import(&request("more-buildings.geojson", Some("buildings")), &mut |_| {}),
        Step::Update => {
            let remove = vec![ObjectId::new("buildings", 20)];
            intake::edit(&request("changed-buildings.geojson", Some("buildings")), remove, &mut |_| {})
        }
        Step::Gc => return Ok(City::open(Path::new(CITY))?.collect_garbage().map(|_| false)?),
    };
    report.map(|report| intake::has_skipped(&report))
}
