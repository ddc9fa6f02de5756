//! The child: serves asks until nobody asks any more.

use std::{
    collections::VecDeque,
    io::{BufReader, BufWriter, Write},
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use groundline_engine::{
    crs::{Crs, Transform},
    model::{CityObject, SourceReport},
};
use serde::Serialize;

use super::{
    Begun,
    limit::{Limits, confine},
    wire::{self, Ask, Broken, Fault, ReadAsk, WireProbe, kind},
};
use crate::{FORMATS, Format, ImportError, Job, Options, Out, Probe, intake::peak_rss_bytes};

/// The importer hears of what there is at least this often.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// How often a child looks whether its importer is there.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What the panics of the source at hand said, and where: a thread's own comes before that of who waited for it.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// So many are kept.
const MAX_PANICS: usize = 3;

/// What `groundline worker` does: answers what the importer asks over the socket on standard input, until it is closed.
///
/// `more` are formats of the embedding program besides [`FORMATS`], as in [`Options::more`](crate::Options).
///
/// # Errors
/// When standard input is no such socket, or the importer is gone.
pub fn serve(more: &[&'static Format]) -> std::io::Result<()> {
    let socket = UnixStream::from(rustix::stdio::stdin().try_clone_to_owned()?);
    if socket.peer_addr().is_err() {
        return Err(std::io::Error::other("this is started by an import, not by hand"));
    }
    confine();
    end_with_importer();
    std::panic::set_hook(Box::new(|panic| {
        let words = panic.payload_as_str().unwrap_or("it did not say why");
        let place = panic.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
        let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        if panics.len() < MAX_PANICS {
            panics.push(format!("{words:.300}{place}"));
        }
    }));
    let mut asks = BufReader::new(socket.try_clone()?);
    let mut answers = Answers {
        out: BufWriter::with_capacity(1 << 18, socket),
        buffer: Vec::new(),
        flushed: Instant::now(),
        told: f32::NEG_INFINITY,
        limits: None,
        sent: VecDeque::new(),
    };
    answers.say(kind::HELLO, wire::VERSION)?;
    let mut buffer = Vec::new();
    loop {
        match wire::read_frame(&mut asks, &mut buffer) {
            Ok(kind::ASK) => {}
            Ok(_) => return Err(std::io::Error::other("no ask")),
            Err(Broken::Ended) => return Ok(()),
            Err(Broken::Io(error)) => return Err(error),
            Err(Broken::Garbage(reason)) => return Err(std::io::Error::other(reason)),
        }
        let asked: Result<wire::Limited<Ask>, Broken> = wire::decode(&buffer);
        let Ok((limits, ask)) = asked else { return Err(std::io::Error::other("an ask that is not understood")) };
        limits.set();
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).clear();
        (answers.limits, answers.told) = (Some(limits), f32::NEG_INFINITY);
        answers.sent.clear();
        match catch_unwind(AssertUnwindSafe(|| answer(ask, more, &mut answers))) {
            Ok(outcome) => outcome?,
            Err(_) => {
                let words = PANICS.lock().unwrap_or_else(PoisonError::into_inner).join(" | ");
                // whatever the panic left behind ends with this process
                return answers.say(kind::FAULT, &Fault::Panic(words));
            }
        }
    }
}

/// Ends this process when the importer is gone: a parser that sends nothing for minutes would not notice.
fn end_with_importer() {
    let importer = rustix::process::getppid();
    let watch = move || {
        while rustix::process::getppid() == importer {
            std::thread::sleep(LOOK_EVERY);
        }
        std::process::exit(0);
    };
    // Without the thread it ends with the next object, which nobody takes.
    let _ = std::thread::Builder::new().name("importer".into()).stack_size(64 << 10).spawn(watch);
}

/// Does what is asked. The error is of the connection; those of the source are answers.
fn answer(ask: Ask, more: &[&'static Format], answers: &mut Answers) -> std::io::Result<()> {
    let named = |name: &str| more.iter().chain(FORMATS).find(|format| format.name == name).copied();
    match ask {
        Ask::Probe { format, path, options } => {
            let Some(format) = named(&format) else { return answers.unknown(&format) };
            let (path, options) = (wire::path_of(&path), Options::from(*options));
            match (format.probe)(&path, &options) {
                Ok(probe) => answers.say(kind::PROBED, &(probe.as_ref().map(WireProbe::from), peak_rss_bytes())),
                Err(error) => answers.say(kind::FAULT, &Fault::from(&error)),
            }
        }
        Ask::Read(ask) => {
            let Some(format) = named(&ask.format) else { return answers.unknown(&ask.format) };
            match read(format, *ask, answers) {
                Ok(account) => answers.say(kind::DONE, &(account, peak_rss_bytes())),
                Err(error) => answers.say(kind::FAULT, &Fault::from(&error)),
            }
        }
    }
}

fn read(format: &Format, ask: ReadAsk, answers: &mut Answers) -> Result<SourceReport, ImportError> {
    let (path, probe, options) = (wire::path_of(&ask.path), Probe::from(ask.probe), Options::from(ask.options));
    let (crs, city) = (Crs::from(ask.crs), Crs::from(ask.city));
    let transform = Transform::new(&crs, &city)?;
    let job = Job {
        path: &path,
        probe: &probe,
        layer: &ask.layer,
        city_from_source: &transform,
        crs: &crs,
        options: &options,
    };
    let mut account = ask.account;
    (format.read)(&job, &mut Begun::new(answers, ask.start), &mut account)?;
    Ok(account)
}

/// The child's side of the socket.
struct Answers {
    out: BufWriter<UnixStream>,
    buffer: Vec<u8>,
    flushed: Instant,
    /// Progress last told.
    told: f32,
    limits: Option<Limits>,
    /// Names of pictures that the importer still has.
    sent: VecDeque<Arc<str>>,
}

impl Answers {
    /// Says it now.
    fn say<T: Serialize + ?Sized>(&mut self, kind: u8, content: &T) -> std::io::Result<()> {
        wire::write_frame(&mut self.out, &mut self.buffer, kind, &content)?;
        self.flushed = Instant::now();
        self.out.flush()
    }

    fn unknown(&mut self, format: &str) -> std::io::Result<()> {
        self.say(kind::FAULT, &Fault::Other(format!("no format is called {format}")))
    }
}

impl Out for Answers {
    fn emit(&mut self, mut object: CityObject) -> Result<(), ImportError> {
        let gone = |error: std::io::Error| ImportError::Stopped(error.to_string());
        for texture in wire::textures(&mut object) {
            if !self.sent.contains(texture.name()) {
                wire::write_frame(&mut self.out, &mut self.buffer, kind::TEXTURE, &texture.file()).map_err(gone)?;
                self.sent.push_back(texture.name().clone());
            }
        }
        wire::write_frame(&mut self.out, &mut self.buffer, kind::OBJECT, &object).map_err(gone)?;
        let forgotten = self.sent.len().saturating_sub(wire::KEPT_TEXTURES);
        self.sent.drain(..forgotten);
        if self.flushed.elapsed() > FLUSH_EVERY {
            self.flushed = Instant::now();
            self.out.flush().map_err(gone)?;
        }
        Ok(())
    }

    fn progress(&mut self, fraction: f32) {
        if fraction >= self.told + 0.01 {
            if let Some(limits) = &self.limits {
                limits.set_cpu();
            }
            self.told = fraction;
            // an importer that is gone is met by the next object
            let _ = self.say(kind::PROGRESS, &fraction);
        }
    }

    fn mark(&mut self, position: u64, state: &[u8], account: &SourceReport) {
        // as above
        let _ = wire::write_frame(&mut self.out, &mut self.buffer, kind::MARK, &(position, state, account));
    }
}
