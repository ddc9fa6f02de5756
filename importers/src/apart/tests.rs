//! Children that do what children must not do, among others that do well.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use glam::{DVec2, DVec3};
use groundline_engine::{
    crs::Crs,
    model::{
        Attribute, CityObject, Class, Geometry, HeightGrid, Mesh, MeshPart, ObjectId, Point, SourceReport, Value,
        Vertical,
    },
};

use super::*;
use crate::{
    Kind,
    intake::{self, Request},
    trial::Trial,
};

/// Children of this very test program: [`as_child`] is all that they run.
pub(crate) fn workers() -> Workers {
    let arguments = ["--ignored", "--exact", "apart::tests::as_child", "--nocapture", "--test-threads=1"];
    Workers::new(std::env::current_exe().unwrap(), arguments)
}

#[test]
#[ignore = "started by other tests as a child process"]
fn as_child() {
    // run by hand there is no socket, and nothing happens
    let _ = serve(TRIALS);
}

/// A format whose files say what its reader does wrong.
static TRIAL: Format = Format {
    name: "trial",
    title: "",
    title_zh: "",
    extensions: &["trial"],
    probe: probe_trial,
    read: read_trial,
    memory_per_byte: 1.0,
};
static TRIALS: &[&Format] = &[&TRIAL];

fn probe_trial(path: &Path, _: &Options) -> Result<Option<Probe>, ImportError> {
    if std::fs::read_to_string(path).unwrap() == "panic when probed" {
        panic!("a probe of no worth");
    }
    Ok(Some(Probe {
        kind: Kind::Objects,
        crs: Crs::from_epsg(4549).ok(),
        crs_from: "trial".into(),
        crs_text: None,
        needs_crs: true,
        encoding: None,
        source_extent: None,
        records: None,
        companions: vec![path.with_extension("other")],
        class: None,
    }))
}

fn object(layer: &str, record: u64) -> CityObject {
    let at = DVec3::new(521_000.0 + record as f64, 3_993_000.0, 0.0);
    let geometry = Geometry::Point(Point { at, vertical: Vertical::Absolute });
    CityObject { record, ..CityObject::new(ObjectId::new(layer, record), Class::Tree, geometry) }
}

#[allow(clippy::infinite_loop, reason = "that is what is tried")]
fn read_trial(job: &Job<'_>, out: &mut dyn Out, report: &mut SourceReport) -> Result<(), ImportError> {
    let text = std::fs::read_to_string(job.path).unwrap();
    for record in 1..=3 {
        out.emit(object(job.layer, record))?;
    }
    out.progress(0.5);
    report.warn("read", "three objects", "");
    let raw = |bytes: &[u8]| {
        rustix::io::write(rustix::stdio::stdin(), bytes).unwrap();
    };
    match text.as_str() {
        "good" => {}
        "panic" => panic!("no such luck"),
        "panic of a thread" => {
            std::thread::spawn(|| panic!("in a thread")).join().unwrap();
        }
        "loop" => {
            let mut turns = 0_u64;
            loop {
                turns = std::hint::black_box(turns + 1);
            }
        }
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "drip" => loop {
            raw(&[4]);
            std::thread::sleep(Duration::from_millis(50));
        },
        "stand still" => loop {
            out.progress(0.5);
            std::thread::sleep(Duration::from_millis(50));
        },
        "allocate" => {
            let mut held = Vec::new();
            loop {
                // Never written to, so that no processor time is spent on pages.
                held.push(Vec::<u8>::with_capacity(std::hint::black_box(32 << 20)));
            }
        }
        "overflow" => {
            fn deep(depth: u64) -> u64 {
                let room = std::hint::black_box([depth; 64]);
                if depth == u64::MAX { 0 } else { deep(depth + 1) + room[3] }
            }
            std::hint::black_box(deep(0));
        }
        "abort" => std::process::abort(),
        "exit" => std::process::exit(7),
        "garbage" => raw(b"this is no frame at all"),
        "half" => {
            raw(&[4, 200, 0, 0, 0, 1, 2, 3]);
            std::process::exit(0);
        }
        "huge" => raw(&[4, 255, 255, 255, 63, 1, 2, 3]),
        "write" => {
            let path = job.path.with_extension("made");
            std::fs::write(path, "x").map_err(|source| ImportError::Io { path: job.path.into(), source })?;
        }
        "cannot be" => {
            let part = MeshPart { positions: vec![DVec3::ZERO; 3], indices: vec![0, 1, 3], ..MeshPart::default() };
            let mesh = Mesh { origin: DVec3::ZERO, parts: vec![part] };
            out.emit(CityObject::new(ObjectId::new(job.layer, 9), Class::Building, Geometry::Mesh(mesh)))?;
        }
        "error" => {
            let reason = "as damaged as can be".into();
            return Err(ImportError::Bad { path: job.path.into(), place: "byte 3".into(), reason });
        }
        other => unreachable!("{other}"),
    }
    Ok(())
}

/// Small limits, so that what never ends is ended soon.
fn tight() -> Limits {
    Limits { memory_bytes: 2 << 30, cpu_s: 1, silence: Duration::from_secs(4) }
}

#[test]
fn a_bad_file_among_good_ones_costs_itself_and_says_why() {
    let cases = [
        ("panic", "gave up: no such luck (importers/src/apart/tests.rs"),
        ("panic when probed", "gave up: a probe of no worth"),
        ("panic of a thread", "in a thread"),
        ("loop", "of processor time"),
        ("sleep", "made no progress for 4 s"),
        ("drip", "was stopped"),
        ("stand still", "made no progress for 4 s"),
        ("allocate", "needed more than 2048 MiB of memory"),
        ("overflow", "overflowed its stack"),
        ("abort", "crashed (signal: 6"),
        ("exit", "ended early (exit status: 7)"),
        ("garbage", "sent what cannot be (a frame of kind 116"),
        ("half", "ended early (exit status: 0)"),
        ("huge", "no progress"),
        ("write", "ermission denied"),
        ("cannot be", "an object that cannot be"),
        ("error", "byte 3: as damaged as can be"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut sources = Vec::new();
    let mut file = |name: String, text: &str| {
        let path = folder.path().join(name + ".trial");
        std::fs::write(&path, text).unwrap();
        sources.push(path);
    };
    for (number, (text, _)) in cases.iter().enumerate() {
        file(format!("good {number}"), "good");
        file((*text).to_owned(), text);
    }
    let options = Options { worker: Some(workers().limited(tight())), more: TRIALS, ..Options::default() };
    let request = Request { sources, city: folder.path().join("a.city"), options, ..Request::default() };
    let started = Instant::now();
    let report = intake::import(&request, &mut |_| {}).unwrap();
    assert!(started.elapsed() < Duration::from_secs(90), "{:?}", started.elapsed());
    assert!(intake::has_skipped(&report));
    for source in &report.sources {
        let name = Path::new(&source.path).file_stem().unwrap().to_string_lossy().into_owned();
        match cases.iter().find(|(text, _)| *text == name) {
            None => assert_eq!((source.objects, &source.error, source.warnings.len()), (3, &None, 1), "{name}"),
            Some((_, expected)) => {
                let error = source.error.as_deref().unwrap_or_else(|| panic!("{name} was read"));
                assert!(error.contains(expected), "{name}: {error}");
                assert!(error.contains(&source.path), "{name}: {error}");
                let is_named = error.contains("after record 3") || error.contains("before the first object");
                assert!(is_named || matches!(name.as_str(), "write" | "error"), "{name}: {error}");
            }
        }
    }
    assert_eq!((report.sources.len(), report.objects), (2 * cases.len(), 3 * cases.len() as u64));
    assert!(!folder.path().join("write.made").exists());
    assert!(report.peak_rss_bytes > intake::peak_rss_bytes(), "the children's memory counts too");
}

/// The file that [`as_importer`] reads.
const TRIAL_FILE: &str = "GROUNDLINE_TRIAL_FILE";

#[test]
#[ignore = "started by another test, which kills it"]
fn as_importer() {
    let Some(path) = std::env::var_os(TRIAL_FILE) else { return };
    let options = Options { worker: Some(workers()), more: TRIALS, ..Options::default() };
    let request = Request { sources: vec![path.into()], options, ..Request::default() };
    let _ = intake::examine(&request, &|_, _| {}, &mut |_| {});
}

/// The process that `parent` started, while it is at work.
#[cfg(target_os = "linux")]
fn child_of(parent: u32) -> Option<u32> {
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let mut words = stat.rsplit_once(')')?.1.split_whitespace();
        let (state, its_parent) = (words.next()?, words.next()?);
        (state != "Z" && its_parent == parent.to_string()).then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_parses_without_a_word_ends_when_its_importer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    for (text, name) in [("sleep", "a.trial"), ("loop", "b.trial")] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut importer = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "apart::tests::as_importer", "--test-threads=1"])
            .env(TRIAL_FILE, &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let child = loop {
            if let Some(child) = child_of(importer.id()) {
                break child;
            }
            assert!(importer.try_wait().unwrap().is_none(), "{text}: it came to its end");
            std::thread::sleep(Duration::from_millis(5));
        };
        // By then it is in the middle of it.
        std::thread::sleep(Duration::from_millis(500));
        importer.kill().unwrap();
        importer.wait().unwrap();
        let killed = Instant::now();
        let is_there = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while is_there() {
            assert!(killed.elapsed() < Duration::from_secs(5), "{text}: the child runs on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn what_a_child_reads_is_what_is_read_here() {
    let folder = tempfile::tempdir().unwrap();
    groundline_sample::make(&groundline_sample::Recipe::tiny(), folder.path(), &mut |_| {}).unwrap();
    let apart = Options { worker: Some(workers()), ..Options::default() };
    let mut formats = std::collections::BTreeSet::new();
    let mut folders = vec![folder.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Some((format, _)) = intake::detect(&path, &Options::default()).unwrap() else { continue };
            let there = Trial::of(format, &path, &apart, 4549);
            let here = Trial::of(format, &path, &Options::default(), 4549);
            assert_eq!(format!("{:?}", here.outcome), format!("{:?}", there.outcome), "{}", path.display());
            assert_eq!(format!("{:?}", here.probe), format!("{:?}", there.probe), "{}", path.display());
            assert!(here.objects == there.objects, "{}", path.display());
            assert_eq!(here.report, there.report, "{}", path.display());
            formats.insert(format.name);
        }
    }
    assert!(formats.len() >= 7, "{formats:?}");
}

#[test]
fn a_child_serves_many_sources_and_ends_with_its_importer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.trial");
    std::fs::write(&path, "good").unwrap();
    let workers = workers();
    let options = Options { worker: Some(workers.clone()), ..Options::default() };
    for _ in 0..20 {
        assert_eq!(Trial::of(&TRIAL, &path, &options, 4549).objects.len(), 3);
    }
    let idle = workers.0.idle.lock().unwrap();
    assert_eq!((idle.len(), idle[0].asks), (1, 40), "one child answered all");
}

#[test]
fn a_program_that_is_no_worker_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.trial");
    std::fs::write(&path, "good").unwrap();
    let words = |program: &str, arguments: &[&str]| {
        let options = Options { worker: Some(Workers::new(program, arguments).limited(tight())), ..Options::default() };
        Trial::of(&TRIAL, &path, &options, 4549).outcome.unwrap_err().to_string()
    };
    assert!(words("/bin/false", &[]).contains("exit status: 1"));
    assert!(words("/no/such/program", &[]).contains("/no/such/program"));
    assert!(words("/bin/sh", &["-c", "echo hello >&0; sleep 60"]).contains("sent what cannot be"));
    let speaks = words("/bin/sh", &["-c", "echo 'cannot find libfoo.so' >&2; exit 127"]);
    assert!(speaks.contains("its last words: cannot find libfoo.so"), "{speaks}");
}

#[test]
fn no_damage_of_the_stream_is_taken_for_data() {
    let mut first = object("t", 1);
    first.attributes = vec![Attribute::converted("height_m", Value::Real(3.0), "HOEHE", "feet to metres")];
    let grid = HeightGrid { north_west: DVec2::ZERO, step_m: DVec2::ONE, columns: 2, rows: 2, heights: vec![1.0; 4] };
    let second = CityObject::new(ObjectId::new("t", 2), Class::Terrain, Geometry::Heights(grid));
    let mut whole = Vec::new();
    for object in [&first, &second] {
        wire::write_frame(&mut whole, &mut Vec::new(), wire::kind::OBJECT, object).unwrap();
    }
    let receive = |mut bytes: &[u8]| -> Result<Vec<CityObject>, wire::Broken> {
        let (mut objects, mut buffer) = (Vec::new(), Vec::new());
        while objects.len() < 2 {
            wire::read_frame(&mut bytes, &mut buffer)?;
            let object: CityObject = wire::decode(&buffer)?;
            wire::sound(&object)?;
            objects.push(object);
        }
        Ok(objects)
    };
    assert_eq!(receive(&whole).unwrap(), [first, second]);
    for length in 0..whole.len() {
        assert!(receive(&whole[..length]).is_err(), "cut to {length}");
    }
    for at in 0..whole.len() {
        for value in 0..=255 {
            let mut damaged = whole.clone();
            damaged[at] = value;
            // a changed letter or number is beyond this check; what is taken is sound all the same
            for object in receive(&damaged).unwrap_or_default() {
                if let Geometry::Heights(grid) = &object.geometry {
                    assert_eq!(grid.heights.len(), (grid.columns * grid.rows) as usize);
                }
            }
        }
    }
}
