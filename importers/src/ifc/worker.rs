//! The process that runs the IFC library, and the one that watches it.
//!
//! The library is large and young; on a damaged file it may panic, loop or eat memory. So it runs in a process of its own
//! that can be killed, under limits that the system holds.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{
    parse::read_ifc,
    product::{Sink, Summary},
    wire,
};
use crate::ImportError;

/// Address space of the worker, bytes: the largest file that is taken (1 GiB) needs some four times its size.
const MAX_ADDRESS_SPACE_BYTES: u64 = 6 << 30;
/// Processor time of the worker, seconds over all its threads.
const MAX_CPU_S: u64 = 600;
/// How long the importer waits for the next product, seconds of wall-clock time.
const MAX_SILENCE: Duration = Duration::from_secs(900);
/// Largest file, bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 30;
/// Lines of the worker's last words that go into the error.
const LAST_WORDS: usize = 6;

/// What `PROGRAM worker ifc FILE` does: reads the file and writes its products to `out`, under limits that it sets on
/// its own process (address space 6 GiB, processor time 600 s, no core dump).
pub fn worker_main(file: &Path, out: &mut dyn Write) -> Result<(), ImportError> {
    for (resource, limit) in [(Resource::As, MAX_ADDRESS_SPACE_BYTES), (Resource::Cpu, MAX_CPU_S), (Resource::Core, 0)]
    {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        // a stricter limit that is already there may not be raised, and is as good
        let _ = setrlimit(resource, limit);
    }
    serve(file, out)
}

/// Reads the file and writes its products to `out`.
pub(super) fn serve(file: &Path, out: &mut dyn Write) -> Result<(), ImportError> {
    let io = |source| ImportError::Io { path: file.into(), source };
    let mut out = BufWriter::with_capacity(1 << 18, out);
    let writer = std::cell::RefCell::new(wire::Writer::new(&mut out).map_err(io)?);
    let outcome =
        read_here(file, &mut |product, parts| writer.borrow_mut().product(&product, &parts).map_err(|e| e.to_string()));
    match outcome {
        Ok(summary) => writer.borrow_mut().summary(&summary).map_err(io),
        Err(error) => {
            // who hears nothing gets the end of the stream and the exit code
            let _ = writer.borrow_mut().failure(&reason_of(&error));
            Err(error)
        }
    }
}

fn reason_of(error: &ImportError) -> String {
    match error {
        ImportError::Bad { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

/// Reads the file in this process.
pub(super) fn read_here(file: &Path, sink: &mut Sink<'_>) -> Result<Summary, ImportError> {
    let io = |source| ImportError::Io { path: file.into(), source };
    let mut content = Vec::new();
    File::open(file).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(io)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(bad(file, format!("larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| read_ifc(&content, sink)));
    match outcome {
        Ok(read) => read.map_err(|reason| bad(file, reason)),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(bad(file, format!("the IFC reader gave up: {}", words.unwrap_or("it did not say why"))))
        }
    }
}

fn bad(file: &Path, reason: String) -> ImportError {
    ImportError::Bad { path: file.into(), place: "products".into(), reason }
}

/// Reads the file in a process of its own.
pub(super) fn read_apart(program: &Path, file: &Path, sink: &mut Sink<'_>) -> Result<Summary, ImportError> {
    read_apart_within(program, file, MAX_SILENCE, sink)
}

fn read_apart_within(
    program: &Path,
    file: &Path,
    max_silence: Duration,
    sink: &mut Sink<'_>,
) -> Result<Summary, ImportError> {
    let io = |source| ImportError::Io { path: program.into(), source };
    let mut child = Command::new(program)
        .args(["worker", "ifc"])
        .arg(file)
        // threads cost address space each
        .env("RAYON_NUM_THREADS", std::thread::available_parallelism().map_or(1, |n| n.get().min(8)).to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io)?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        let _ = child.kill();
        return Err(io(std::io::Error::other("the worker has no output")));
    };
    let child = Arc::new(Mutex::new(child));
    let waiting_since: Mutex<Option<Instant>> = Mutex::new(None);
    let (is_done, is_overdue) = (AtomicBool::new(false), AtomicBool::new(false));
    let (outcome, words) = std::thread::scope(|scope| {
        let words = scope.spawn(|| last_words(stderr));
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let since = *waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
                if since.is_some_and(|s| s.elapsed() > max_silence) {
                    is_overdue.store(true, Ordering::Relaxed);
                    kill(&child);
                    return;
                }
                std::thread::sleep(Duration::from_millis(50).min(max_silence / 4));
            }
        });
        let waiting = |is_waiting: bool| {
            let mut since = waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
            *since = is_waiting.then(Instant::now);
        };
        let mut stdout = BufReader::with_capacity(1 << 18, stdout);
        let outcome = wire::read(&mut stdout, &waiting, sink);
        is_done.store(true, Ordering::Relaxed);
        if outcome.is_err() {
            kill(&child);
        }
        drop(stdout);
        (outcome, words.join().unwrap_or_default())
    });
    let status = child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    outcome.map_err(|reason| {
        let mut reason = match is_overdue.load(Ordering::Relaxed) {
            true => format!("the IFC reader was stopped after {} s of silence", max_silence.as_secs()),
            false => reason,
        };
        if let Ok(status) = status
            && !status.success()
        {
            reason += &format!(" ({status})");
        }
        if !words.is_empty() {
            reason += &format!("; its last words: {words}");
        }
        bad(file, reason)
    })
}

fn kill(child: &Mutex<Child>) {
    // a process that is already gone needs no killing
    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
}

/// The last lines that the worker wrote to its standard error.
fn last_words(stderr: impl Read) -> String {
    let mut lines: VecDeque<String> = VecDeque::new();
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(2000).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Vec::from(lines).join(" | "),
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                if !text.is_empty() {
                    lines.push_back(text);
                }
                if lines.len() > LAST_WORDS {
                    lines.pop_front();
                }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::ifc::product::Product;

    fn program(folder: &Path, script: &str) -> std::path::PathBuf {
        let path = folder.join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn run(script: &str) -> Result<Summary, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut open = Vec::new();
        wire::Writer::new(&mut open).unwrap().product(&Product::default(), &[]).unwrap();
        std::fs::write(folder.path().join("open"), &open).unwrap();
        let mut whole = Vec::new();
        let mut writer = wire::Writer::new(&mut whole).unwrap();
        writer.product(&Product::default(), &[]).unwrap();
        writer.summary(&Summary { products: 1, ..Summary::default() }).unwrap();
        std::fs::write(folder.path().join("whole"), &whole).unwrap();
        let script = script.replace("DIR", &folder.path().display().to_string());
        let program = program(folder.path(), &script);
        let file = folder.path().join("a.ifc");
        read_apart_within(&program, &file, Duration::from_millis(700), &mut |_, _| Ok(())).map_err(|e| e.to_string())
    }

    #[test]
    fn a_worker_that_ends_well_is_heard_and_given_its_arguments() {
        let summary = run("[ \"$1 $2\" = 'worker ifc' ] && [ -n \"$3\" ] && cat DIR/whole").unwrap();
        assert_eq!(summary.products, 1);
    }

    #[test]
    fn a_worker_that_dies_hangs_or_babbles_is_an_error_with_its_last_words() {
        let killed = run("cat DIR/open; echo 'memory allocation of 9 bytes failed' >&2; kill -9 $$").unwrap_err();
        assert!(killed.contains("ended early") && killed.contains("memory allocation of 9 bytes failed"), "{killed}");
        assert!(killed.contains("signal: 9"), "{killed}");
        let failed = run("cat DIR/open; exit 3").unwrap_err();
        assert!(failed.contains("exit status: 3"), "{failed}");
        let silent = run("exec sleep 60").unwrap_err();
        assert!(silent.contains("of silence"), "{silent}");
        let babbling = run("while echo babble; do :; done").unwrap_err();
        assert!(babbling.contains("no reader"), "{babbling}");
    }
}
