//! The durable log of readings: appended in groups, acknowledged after the disk has them.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    AlarmRecord, Cause, LiveState, LogError, Logged, Subject, Transition, now_ms,
    segment::{self, MAGIC},
    state::lock,
};
use crate::model::{ObjectId, Reading};

/// A segment is closed when it is longer than this.
const SEGMENT_BYTES: u64 = 64 << 20;

/// The longest that a reading nobody waits for stays unwritten.
const GROUP: Duration = Duration::from_millis(20);

/// Bytes written at once at most.
const BATCH_BYTES: usize = 4 << 20;

/// Requests that wait for the disk; who brings more waits too.
const QUEUE: usize = 4096;

/// After the disk has failed, how long until a new segment is tried.
const RETRY: Duration = Duration::from_secs(2);

/// The log of one city's readings: a cheap handle; the last one dropped closes the log after writing what is queued.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    requests: Option<mpsc::Sender<Request>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    folder: PathBuf,
}

struct Request {
    readings: Vec<(Reading, i64)>,
    alarms: Vec<AlarmRecord>,
    done: Option<oneshot::Sender<Result<(), LogError>>>,
}

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments.
    pub segments: usize,
    /// Whole records in the last segment.
    pub records: u64,
    /// The file that had a torn tail, such as after a power cut, and how many bytes were cut off.
    pub torn: Option<(PathBuf, u64)>,
    /// Damaged records in the middle of the last segment.
    pub damaged: u64,
}

/// A promise that something appended will be on the disk.
#[must_use = "what is not waited for may be lost"]
pub struct Receipt(oneshot::Receiver<Result<(), LogError>>);

impl Receipt {
    /// Waits until the disk has it.
    pub async fn durable(self) -> Result<(), LogError> {
        self.0.await.unwrap_or_else(|_| Err(LogError::Stopped("closed".into())))
    }

    /// Waits on this thread, which must not be one of an async runtime.
    pub fn wait(self) -> Result<(), LogError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(LogError::Stopped("closed".into())))
    }
}

impl Log {
    /// Opens the log in `folder` (such as `<city>/readings`), made if need be, for the sensors of `state`.
    ///
    /// Cuts a torn tail off the last segment and says so. A failing disk becomes an alarm of the source
    /// `readings log` in `state`; nothing that the disk did not take is ever acknowledged.
    pub fn open(folder: &Path, state: &LiveState) -> Result<(Self, Recovery), LogError> {
        std::fs::create_dir_all(folder).map_err(io_error(folder))?;
        let lock_path = folder.join("lock");
        let lock_file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        if lock_file.try_lock().is_err() {
            return Err(LogError::Locked { path: folder.into() });
        }
        let segments = segments(folder)?;
        let mut recovery = Recovery { segments: segments.len(), ..Recovery::default() };
        let mut next_number = 1;
        if let Some((number, last)) = segments.last() {
            next_number = number + 1;
            let scan = segment::scan(last, &mut |_| ControlFlow::Continue(()))?;
            (recovery.records, recovery.damaged) = (scan.records, scan.damaged);
            if scan.torn_bytes > 0 {
                let file = OpenOptions::new().write(true).open(last).map_err(io_error(last))?;
                file.set_len(scan.good_bytes).and_then(|()| file.sync_all()).map_err(io_error(last))?;
                recovery.torn = Some((last.clone(), scan.torn_bytes));
            }
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            folder: folder.into(),
            state: state.clone(),
            segment: None,
            next_number,
            buffer: Vec::new(),
            broken_since: None,
            _lock: lock_file,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(io_error(folder))?;
        let thread = std::thread::Builder::new()
            .name("readings log".into())
            .spawn(move || runtime.block_on(writer.run(receiver)))
            .map_err(io_error(folder))?;
        let shared = Shared { requests: Some(sender), thread: Mutex::new(Some(thread)), folder: folder.into() };
        Ok((Self(Arc::new(shared)), recovery))
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Appends readings with the time of their arrival; waits while the queue is full.
    pub async fn append(&self, readings: Vec<Reading>, received_ms: i64) -> Result<Receipt, LogError> {
        let (request, receipt) = request(readings, received_ms);
        self.sender()?.send(request).await.map_err(|_| LogError::Stopped("closed".into()))?;
        Ok(receipt)
    }

    /// Appends readings nobody waits for; they are on the disk within about 20 ms. Waits while the queue is full.
    pub async fn append_unwatched(&self, readings: Vec<Reading>, received_ms: i64) -> Result<(), LogError> {
        let (request, _) = request(readings, received_ms);
        let request = Request { done: None, ..request };
        self.sender()?.send(request).await.map_err(|_| LogError::Stopped("closed".into()))
    }

    /// Appends from a thread that is not of an async runtime.
    pub fn append_blocking(&self, readings: Vec<Reading>, received_ms: i64) -> Result<Receipt, LogError> {
        let (request, receipt) = request(readings, received_ms);
        self.sender()?.blocking_send(request).map_err(|_| LogError::Stopped("closed".into()))?;
        Ok(receipt)
    }

    /// Appends changes of alarms.
    pub async fn append_alarms(&self, state: &LiveState, changes: &[Transition]) -> Result<Receipt, LogError> {
        let alarms = changes.iter().map(|change| alarm_record(state, change)).collect();
        let (done, receipt) = oneshot::channel();
        let request = Request { readings: Vec::new(), alarms, done: Some(done) };
        self.sender()?.send(request).await.map_err(|_| LogError::Stopped("closed".into()))?;
        Ok(Receipt(receipt))
    }

    fn sender(&self) -> Result<&mpsc::Sender<Request>, LogError> {
        self.0.requests.as_ref().ok_or_else(|| LogError::Stopped("closed".into()))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = lock(&self.thread).take() {
            // The thread ends by itself once it has written what is queued.
            let _ = thread.join();
        }
    }
}

fn request(readings: Vec<Reading>, received_ms: i64) -> (Request, Receipt) {
    let (done, receipt) = oneshot::channel();
    let readings = readings.into_iter().map(|reading| (reading, received_ms)).collect();
    (Request { readings, alarms: Vec::new(), done: Some(done) }, Receipt(receipt))
}

fn alarm_record(state: &LiveState, change: &Transition) -> AlarmRecord {
    let (sensor, source) = match &change.subject {
        Subject::Sensor(index) => (state.sensors().id(*index), None),
        Subject::Source(name) => (None, Some(name.to_string())),
    };
    AlarmRecord {
        sensor,
        source,
        to: change.to,
        limit: change.limit,
        cause: change.cause.clone(),
        value: change.value,
        at_ms: change.at_ms,
    }
}

/// The thread that owns the file.
struct Writer {
    folder: PathBuf,
    state: LiveState,
    segment: Option<Segment>,
    next_number: u64,
    buffer: Vec<u8>,
    broken_since: Option<(Instant, String)>,
    _lock: File,
}

struct Segment {
    path: PathBuf,
    file: File,
    bytes: u64,
    is_named: Vec<u64>,
}

impl Writer {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.recv().await {
            let deadline = tokio::time::Instant::now() + GROUP;
            let mut batch = vec![first];
            let mut readings = batch[0].readings.len();
            while readings * 40 < BATCH_BYTES && batch.len() < QUEUE {
                // Who waits for an answer is not kept waiting for company: others gather while the disk works.
                let is_awaited = batch.iter().any(|request| request.done.is_some());
                let next = match requests.try_recv() {
                    Ok(next) => Some(next),
                    Err(_) if is_awaited => None,
                    Err(_) => tokio::time::timeout_at(deadline, requests.recv()).await.ok().flatten(),
                };
                let Some(next) = next else { break };
                readings += next.readings.len();
                batch.push(next);
            }
            let result = self.commit(&batch);
            for done in batch.into_iter().filter_map(|request| request.done) {
                let _ = done.send(result.clone());
            }
        }
    }

    /// Writes a batch and waits for the disk. After a failure the segment is left as it is, since what a failed
    /// fsync left behind cannot be known, and a new one is begun later.
    fn commit(&mut self, batch: &[Request]) -> Result<(), LogError> {
        if let Some((since, reason)) = &self.broken_since
            && since.elapsed() < RETRY
        {
            return Err(LogError::Stopped(reason.clone()));
        }
        let result = self.write(batch);
        match &result {
            Ok(()) => {
                if self.broken_since.take().is_some() {
                    let source = self.state.source("readings log");
                    self.state.source_regained(source, now_ms());
                }
            }
            Err(error) => {
                tracing::error!(%error, "readings are not acknowledged");
                self.segment = None;
                let source = self.state.source("readings log");
                self.state.source_lost(source, &error.to_string(), now_ms());
                self.broken_since = Some((Instant::now(), error.to_string()));
            }
        }
        result
    }

    fn write(&mut self, batch: &[Request]) -> Result<(), LogError> {
        let mut segment = match self.segment.take() {
            Some(segment) if segment.bytes < SEGMENT_BYTES => segment,
            _ => self.begin_segment()?,
        };
        self.buffer.clear();
        for request in batch {
            for (reading, received_ms) in &request.readings {
                let (word, bit) = (reading.sensor as usize / 64, 1_u64 << (reading.sensor % 64));
                let Some(is_named) = segment.is_named.get_mut(word) else { continue };
                if *is_named & bit == 0 {
                    let Some(id) = self.state.sensors().id(reading.sensor) else { continue };
                    *is_named |= bit;
                    segment::put_name(&mut self.buffer, reading.sensor, id.as_str());
                }
                segment::put_reading(&mut self.buffer, reading.sensor, reading.time_ms, *received_ms, reading.value);
            }
            for alarm in &request.alarms {
                segment::put_alarm(&mut self.buffer, alarm);
            }
        }
        let io = |e: std::io::Error| LogError::io(&segment.path, &e);
        segment.file.write_all(&self.buffer).map_err(io)?;
        segment.file.sync_data().map_err(io)?;
        segment.bytes += self.buffer.len() as u64;
        self.buffer.shrink_to(BATCH_BYTES);
        self.segment = Some(segment);
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<Segment, LogError> {
        let path = self.folder.join(format!("{:012}.log", self.next_number));
        let io = |e: std::io::Error| LogError::io(&path, &e);
        // The number is used up whatever happens: a half-made file is never written again.
        self.next_number += 1;
        let mut file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(io)?;
        file.write_all(MAGIC).map_err(io)?;
        file.sync_all().map_err(io)?;
        // The name of the file must survive a power cut as well.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        let is_named = vec![0; self.state.sensors().len().div_ceil(64)];
        Ok(Segment { path, file, bytes: MAGIC.len() as u64, is_named })
    }
}

fn io_error(path: &Path) -> impl Fn(std::io::Error) -> LogError + '_ {
    move |error| LogError::io(path, &error)
}

/// The segments in a folder by number.
fn segments(folder: &Path) -> Result<Vec<(u64, PathBuf)>, LogError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LogError::io(folder, &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| LogError::io(folder, &e))?.path();
        let is_log = path.extension().is_some_and(|ending| ending == "log");
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (true, Some(number)) = (is_log, number) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads the log in `folder` in the order of writing: readings measured, and alarms changed, within `times_ms`
/// (milliseconds since 1970, end excluded). Torn tails and damaged records are left out and counted in the answer.
pub fn replay(
    folder: &Path,
    times_ms: Range<i64>,
    take: &mut dyn FnMut(Logged) -> ControlFlow<()>,
) -> Result<segment::Scan, LogError> {
    let mut sum = segment::Scan::default();
    for (_, path) in segments(folder)? {
        let mut is_over = false;
        let scan = segment::scan(&path, &mut |entry| {
            let at_ms = match &entry {
                Logged::Reading { time_ms, .. } => *time_ms,
                Logged::Alarm(record) => record.at_ms,
            };
            if !times_ms.contains(&at_ms) {
                return ControlFlow::Continue(());
            }
            let flow = take(entry);
            is_over = flow.is_break();
            flow
        })?;
        sum.records += scan.records;
        sum.damaged += scan.damaged;
        sum.good_bytes += scan.good_bytes;
        sum.torn_bytes += scan.torn_bytes;
        if is_over {
            break;
        }
    }
    Ok(sum)
}

/// Brings a fresh state to where the log in `folder` left off: newest values, recent readings, alarms with what
/// people did about them. Call it before anything else feeds the state. Answers how many readings were taken;
/// those of sensors that are no longer registered are left out.
pub fn restore(folder: &Path, state: &LiveState) -> Result<u64, LogError> {
    let mut taken = 0;
    replay(folder, i64::MIN..i64::MAX, &mut |entry| {
        match entry {
            Logged::Reading { sensor, time_ms, received_ms, value } => {
                if let Some(sensor) = state.index_of(&sensor) {
                    // On-delays and shelves that ended between readings end at the right time.
                    state.tick(received_ms);
                    state.apply(Reading { sensor, time_ms, value }, received_ms);
                    taken += 1;
                }
            }
            Logged::Alarm(record) => {
                state.tick(record.at_ms);
                act_again(state, &record);
            }
        }
        ControlFlow::Continue(())
    })?;
    state.tick(now_ms());
    Ok(taken)
}

/// Readings raise and end alarms by themselves; only what people did is done again.
fn act_again(state: &LiveState, record: &AlarmRecord) {
    let Some(sensor) = record.sensor.as_ref().and_then(|id: &ObjectId| state.index_of(id)) else { return };
    let subject = Subject::Sensor(sensor);
    let at_ms = record.at_ms;
    let result = match &record.cause {
        Cause::Acknowledged { user, text } => state.acknowledge(&subject, user, text, at_ms),
        Cause::Shelved { user, reason, until_ms } => state.shelve(&subject, user, reason, *until_ms, at_ms),
        Cause::Unshelved { user } => state.unshelve(&subject, user, at_ms),
        Cause::Raised | Cause::Returned | Cause::ShelfEnded => Ok(()),
    };
    if let Err(error) = result {
        tracing::warn!(%error, at_ms, "an act on an alarm could not be done again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::{AlarmState, test_sensor},
        model::{Sensor, Threshold},
    };

    const T0: i64 = 1_790_000_000_000;

    fn sensors(ids: &[&str]) -> Vec<Sensor> {
        let threshold = Some(Threshold {
            low: None,
            high: Some(50.0),
            dead_band: 0.0,
            priority: 1,
            on_delay_s: 0.0,
            ..Threshold::default()
        });
        ids.iter().map(|id| Sensor { threshold, ..test_sensor(id, id) }).collect()
    }

    fn reading(sensor: u32, time_ms: i64, value: f64) -> Reading {
        Reading { sensor, time_ms, value }
    }

    fn all(folder: &Path) -> Vec<(String, i64, f64)> {
        let mut found = Vec::new();
        replay(folder, i64::MIN..i64::MAX, &mut |entry| {
            if let Logged::Reading { sensor, time_ms, value, .. } = entry {
                found.push((sensor.0, time_ms, value));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        found
    }

    #[test]
    fn what_is_acknowledged_is_in_the_file_and_comes_back_under_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let state = LiveState::new(sensors(&["a", "b"]));
        let (log, recovery) = Log::open(folder.path(), &state).unwrap();
        assert_eq!(recovery, Recovery::default());
        log.append_blocking(vec![reading(0, T0, 1.0), reading(1, T0, 2.0)], T0).unwrap().wait().unwrap();
        assert_eq!(all(folder.path()).len(), 2, "while the log is open");
        assert!(matches!(Log::open(folder.path(), &state), Err(LogError::Locked { .. })));
        drop(log);
        let other_order = LiveState::new(sensors(&["b", "c", "a"]));
        let (log, recovery) = Log::open(folder.path(), &other_order).unwrap();
        assert_eq!((recovery.segments, recovery.records, recovery.torn), (1, 4, None));
        log.append_blocking(vec![reading(0, T0 + 1, 3.0)], T0).unwrap().wait().unwrap();
        drop(log);
        let expected = [("a", T0, 1.0), ("b", T0, 2.0), ("b", T0 + 1, 3.0)].map(|(id, t, v)| (id.to_owned(), t, v));
        assert_eq!(all(folder.path()), expected);
        assert_eq!(restore(folder.path(), &other_order).unwrap(), 3);
        assert_eq!(other_order.latest(0, T0).unwrap().value, Some(3.0));
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let state = LiveState::new(sensors(&["a"]));
        let (log, _) = Log::open(folder.path(), &state).unwrap();
        for n in 0..10 {
            log.append_blocking(vec![reading(0, T0 + n, n as f64)], T0).unwrap().wait().unwrap();
        }
        drop(log);
        let path = folder.path().join("000000000001.log");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let (log, recovery) = Log::open(folder.path(), &state).unwrap();
        assert_eq!(recovery.torn, Some((path, 34)));
        log.append_blocking(vec![reading(0, T0 + 99, 99.0)], T0).unwrap().wait().unwrap();
        drop(log);
        let values: Vec<f64> = all(folder.path()).into_iter().map(|(_, _, v)| v).collect();
        assert_eq!(values, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 99.0]);
        assert_eq!(Log::open(folder.path(), &state).unwrap().1.torn, None);
    }

    #[test]
    fn many_writers_share_a_few_syncs_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let state = LiveState::new(sensors(&["a", "b", "c", "d"]));
        let (log, _) = Log::open(folder.path(), &state).unwrap();
        std::thread::scope(|scope| {
            for sensor in 0..4 {
                let log = &log;
                scope.spawn(move || {
                    for n in 0..50 {
                        log.append_blocking(vec![reading(sensor, T0 + n, 1.0)], T0).unwrap().wait().unwrap();
                    }
                });
            }
        });
        drop(log);
        assert_eq!(all(folder.path()).len(), 200);
    }

    #[test]
    fn what_people_did_about_alarms_survives() {
        let folder = tempfile::tempdir().unwrap();
        let state = LiveState::new(sensors(&["a", "b"]));
        let (log, _) = Log::open(folder.path(), &state).unwrap();
        for sensor in 0..2 {
            state.apply(reading(sensor, T0, 60.0), T0);
            log.append_blocking(vec![reading(sensor, T0, 60.0)], T0).unwrap().wait().unwrap();
        }
        state.acknowledge(&Subject::Sensor(1), "李工", "已派人", T0 + 1).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let changes = state.transitions_since(0);
        let appended = log.append_alarms(&state, &changes);
        runtime.block_on(appended).unwrap().wait().unwrap();
        drop(log);
        let again = LiveState::new(sensors(&["b", "a"]));
        restore(folder.path(), &again).unwrap();
        assert_eq!(again.latest(0, T0).unwrap().alarm, AlarmState::Acknowledged);
        assert_eq!(again.latest(1, T0).unwrap().alarm, AlarmState::Unacknowledged);
        assert_eq!(again.sensor_alarm(0).unwrap().text, "已派人");
    }

    #[test]
    fn a_disk_that_fails_acknowledges_nothing_and_raises_an_alarm() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("readings");
        let state = LiveState::new(sensors(&["a"]));
        let (log, _) = Log::open(&home, &state).unwrap();
        std::fs::remove_dir_all(&home).unwrap();
        assert!(log.append_blocking(vec![reading(0, T0, 1.0)], T0).unwrap().wait().is_err());
        assert_eq!(state.alarms()[0].subject, Subject::Source("readings log".into()));
        std::fs::create_dir(&home).unwrap();
        std::thread::sleep(RETRY);
        log.append_blocking(vec![reading(0, T0, 2.0)], T0).unwrap().wait().unwrap();
        assert_eq!(state.alarms()[0].state, AlarmState::ReturnedUnacknowledged);
        drop(log);
        assert_eq!(all(&home).len(), 1);
    }
}
