//! The latest value of every sensor, in flat arrays by dense index.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;

use super::{
    AlarmState,
    alarm::passed_limit,
    change::{Changes, Subscribers},
    counter::{Counter, Counters, Problem, Tally},
    journal::{AlarmCell, Journal, Sources},
    observation,
    payload::{Clock, MAX_AHEAD_MS, decode},
    sparkplug,
};
use crate::model::{ObjectId, Payload, Quality, Reading, SensorKind, Sensors};

/// Sensors that share one lock and lie together in memory.
const SHARD: usize = 1024;

/// Bytes spent in all on the recent readings that plots are drawn from.
const RECENT_BYTES: usize = 64 << 20;

/// Values beyond this are no readings.
const HUGE: f64 = 1e15;

/// Which way a value goes, judged against its own smoothed course.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Fewer than two readings.
    #[default]
    Unknown,
    /// Up.
    Rising,
    /// Neither.
    Steady,
    /// Down.
    Falling,
}

impl Trend {
    /// The arrow shown beside a value.
    pub fn arrow(self) -> &'static str {
        match self {
            Trend::Unknown => "",
            Trend::Rising => "↑",
            Trend::Steady => "→",
            Trend::Falling => "↓",
        }
    }
}

/// What is known of one sensor at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latest {
    /// The newest value; `None` when nothing was ever received (quality `Missing`).
    pub value: Option<f64>,
    /// When it was measured, milliseconds since 1970; 0 when missing.
    pub time_ms: i64,
    /// Seconds since then; infinite when missing, never negative.
    pub age_s: f64,
    /// How far it is to be trusted at this moment.
    pub quality: Quality,
    /// Whether the source that it came from is lost.
    pub is_source_lost: bool,
    /// Where its alarm stands.
    pub alarm: AlarmState,
    /// Which way it goes.
    pub trend: Trend,
}

/// The state of every sensor at one moment, by dense index.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// The moment, milliseconds since 1970.
    pub now_ms: i64,
    /// One per sensor.
    pub latest: Vec<Latest>,
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is the newest of its sensor.
    Latest,
    /// Older than the newest: kept in the history only.
    Older,
    /// Same time and value as the newest, such as a QoS 1 message sent again.
    Duplicate,
    /// There is no sensor of this index.
    UnknownSensor,
    /// NaN, infinite or beyond 10^15.
    Absurd,
}

/// Number of a source of readings within a state; see [`LiveState::source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceId(pub(super) u16);

impl SourceId {
    /// The source of readings that came from no named source.
    pub const LOCAL: SourceId = SourceId(0);
}

/// The live state of a city: a cheap handle; clones share one state. All of it can be called from any thread.
#[derive(Clone)]
pub struct LiveState(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) sensors: Sensors,
    shards: Vec<Mutex<Shard>>,
    pub(super) journal: Mutex<Journal>,
    pub(super) sources: RwLock<Sources>,
    pub(super) subscribers: Subscribers,
    pub(super) tally: Tally,
    pub(super) alarm_version: AtomicU64,
    sparkplug: sparkplug::Nodes,
    recent_count: usize,
}

/// Flat arrays over up to [`SHARD`] sensors: 38 bytes a sensor, plus alarms and recent readings where wanted.
struct Shard {
    time_ms: Box<[i64]>,
    received_ms: Box<[i64]>,
    value: Box<[f64]>,
    smooth: Box<[f32]>,
    source: Box<[u16]>,
    trend: Box<[Trend]>,
    /// Of those that ever passed a limit or were acted upon.
    alarm: Box<[Option<Box<AlarmCell>>]>,
    recent: Box<[VecDeque<(i64, f64)>]>,
}

const NEVER: i64 = i64::MIN;

impl LiveState {
    /// The state of these sensors, nothing received yet. The index of a sensor is its place in `sensors`.
    ///
    /// Of two sensors with one id the first is found by it; two sensors may share a topic.
    pub fn new(sensors: impl Into<Sensors>) -> Self {
        let sensors: Sensors = sensors.into();
        let room = RECENT_BYTES / 16 / sensors.len().max(1);
        let recent_count = if room < 16 { 0 } else { room.min(512) };
        let shard = |from: usize| Mutex::new(Shard::new((sensors.len() - from).min(SHARD), recent_count > 0));
        let shards = (0..sensors.len()).step_by(SHARD).map(shard).collect();
        Self(Arc::new(Inner {
            shards,
            journal: Mutex::default(),
            sources: RwLock::default(),
            subscribers: Subscribers::new(sensors.len()),
            tally: Tally::default(),
            alarm_version: AtomicU64::new(0),
            sparkplug: sparkplug::Nodes::of(&sensors),
            recent_count,
            sensors,
        }))
    }

    /// The sensors, by dense index.
    pub fn sensors(&self) -> &Sensors {
        &self.0.sensors
    }

    /// The dense index of a sensor.
    pub fn index_of(&self, id: &ObjectId) -> Option<u32> {
        self.0.sensors.find(id.as_str())
    }

    /// The sensors that publish on a topic.
    pub fn on_topic(&self, topic: &str) -> impl Iterator<Item = u32> + '_ {
        self.0.sensors.on_topic(topic)
    }

    /// Takes a reading that arrived at `received_ms` from no named source.
    pub fn apply(&self, reading: Reading, received_ms: i64) -> Applied {
        self.apply_from(SourceId::LOCAL, reading, received_ms)
    }

    /// Takes a reading that arrived at `received_ms` from a source.
    ///
    /// One that is older than the newest goes into the history only. A time more than five minutes ahead of its
    /// arrival is replaced by the arrival, since it would shut out every reading after it. An alarm is judged on
    /// newest readings only and dated by the arrival, so that no clock of a device can reorder it.
    pub fn apply_from(&self, source: SourceId, reading: Reading, received_ms: i64) -> Applied {
        let inner = &*self.0;
        inner.tally.add(Counter::Received);
        let index = reading.sensor as usize;
        let Some(sensor) = inner.sensors.kind(reading.sensor) else {
            inner.tally.add(Counter::UnknownSensor);
            return Applied::UnknownSensor;
        };
        if !reading.value.is_finite() || reading.value.abs() > HUGE {
            let topic = inner.sensors.get(reading.sensor).map(|sensor| sensor.topic).unwrap_or_default();
            inner.tally.note(Counter::Malformed, &topic, &format!("{} is no reading", reading.value));
            return Applied::Absurd;
        }
        let mut time_ms = reading.time_ms;
        if time_ms > received_ms.saturating_add(MAX_AHEAD_MS) {
            inner.tally.add(Counter::Mistrusted);
            time_ms = received_ms;
        }
        let slot = index % SHARD;
        let mut shard = lock(&inner.shards[index / SHARD]);
        let newest_ms = shard.time_ms[slot];
        if newest_ms == time_ms && shard.value[slot] == reading.value {
            inner.tally.add(Counter::Duplicate);
            return Applied::Duplicate;
        }
        if inner.recent_count > 0 {
            remember(&mut shard.recent[slot], (time_ms, reading.value), inner.recent_count);
        }
        if time_ms < newest_ms {
            inner.tally.add(Counter::Older);
            return Applied::Older;
        }
        let per_min = shard
            .newest(slot)
            .filter(|_| time_ms > newest_ms)
            .map(|before| (reading.value - before) / time_ms.saturating_sub(newest_ms) as f64 * 60_000.0);
        shard.put(slot, sensor, time_ms, received_ms, reading.value, source);
        if let Some(threshold) = &sensor.threshold
            && let cell = &mut shard.alarm[slot]
            // What never passed a limit has no cell.
            && (cell.is_some() || passed_limit(threshold, None, reading.value, per_min).is_some())
        {
            let cell = cell.get_or_insert_default();
            let is_in_range = in_range(sensor, reading.value);
            inner.read_alarm(reading.sensor, cell, threshold, (reading.value, per_min), is_in_range, received_ms);
        }
        drop(shard);
        inner.subscribers.mark(reading.sensor);
        Applied::Latest
    }

    /// Reads a message on `topic` into readings, one for each sensor on that topic that finds its value in it.
    /// What gives none is counted under its topic; returns how many were put into `out`.
    pub fn decode(&self, topic: &str, payload: &[u8], received_ms: i64, out: &mut Vec<Reading>) -> usize {
        let before = out.len();
        let mut is_known = false;
        if let Some(data) = sparkplug::data_topic(topic)
            && self.on_topic(&data).any(|sensor| self.metric(sensor).is_some())
        {
            return self.decode_metrics(topic, &data, payload, received_ms, out);
        }
        for sensor in self.on_topic(topic) {
            is_known = true;
            let Some(kind) = self.0.sensors.kind(sensor) else { continue };
            match decode(&kind.payload, payload, received_ms) {
                Ok(decoded) => {
                    if decoded.clock == Clock::Mistrusted {
                        self.0.tally.note(Counter::Mistrusted, topic, "its time is not believed: arrival used");
                    }
                    out.push(Reading { sensor, time_ms: decoded.time_ms, value: decoded.value });
                }
                Err(error) => {
                    self.0.tally.add(Counter::Received);
                    self.0.tally.note(Counter::Malformed, topic, &error.to_string());
                }
            }
        }
        if !is_known && let Some(count) = observation::decode(self, topic, payload, received_ms, out) {
            return count;
        }
        if !is_known {
            self.0.tally.add(Counter::Received);
            self.0.tally.note(Counter::UnknownTopic, topic, "no sensor publishes on it");
        }
        out.len() - before
    }

    /// The metric of Sparkplug that a sensor reads.
    fn metric(&self, sensor: u32) -> Option<&str> {
        match &self.0.sensors.kind(sensor)?.payload {
            Payload::Sparkplug { metric } => Some(metric),
            _ => None,
        }
    }

    /// Reads a message of Sparkplug for all sensors on the topic of its data. Metrics that did not change are not in it.
    fn decode_metrics(
        &self,
        topic: &str,
        data: &str,
        payload: &[u8],
        received_ms: i64,
        out: &mut Vec<Reading>,
    ) -> usize {
        let metrics = match self.0.sparkplug.decode(topic, payload, received_ms) {
            Ok(metrics) => metrics,
            Err(error) => {
                self.refused(Counter::Malformed, topic, &error.to_string());
                return 0;
            }
        };
        let before = out.len();
        for sensor in self.on_topic(data) {
            match self.metric(sensor).and_then(|metric| metrics.get(metric)) {
                Some(Ok(decoded)) => out.push(Reading { sensor, time_ms: decoded.time_ms, value: decoded.value }),
                Some(Err(error)) => self.refused(Counter::Malformed, topic, &error.to_string()),
                None => {}
            }
        }
        out.len() - before
    }

    /// What is known of a sensor at `now_ms`; `None` when there is no such sensor.
    ///
    /// Quality, worst first: `Missing`; `Stale` when older than five intervals or when its source is lost;
    /// `OutOfRange`; `Late` when older than two intervals; `Good`.
    pub fn latest(&self, sensor: u32, now_ms: i64) -> Option<Latest> {
        let index = sensor as usize;
        let described = self.0.sensors.kind(sensor)?;
        let sources = read(&self.0.sources);
        Some(lock(&self.0.shards[index / SHARD]).latest(index % SHARD, described, &sources, now_ms))
    }

    /// What is known of every sensor at `now_ms`.
    pub fn snapshot(&self, now_ms: i64) -> Snapshot {
        let sources = read(&self.0.sources);
        let mut latest = Vec::with_capacity(self.0.sensors.len());
        self.each_latest(&sources, now_ms, &mut |one| latest.push(one));
        Snapshot { now_ms, latest }
    }

    /// How many sensors have a latest value of each quality at `now_ms`.
    pub fn qualities(&self, now_ms: i64) -> Vec<(&'static str, usize)> {
        let mut counts = Quality::ALL.map(|quality| (quality.word(), 0));
        let sources = read(&self.0.sources);
        self.each_latest(&sources, now_ms, &mut |latest| {
            if let Some(at) = Quality::ALL.iter().position(|one| *one == latest.quality) {
                counts[at].1 += 1;
            }
        });
        counts.to_vec()
    }

    fn each_latest(&self, sources: &Sources, now_ms: i64, take: &mut dyn FnMut(Latest)) {
        for (number, shard) in self.0.shards.iter().enumerate() {
            let shard = lock(shard);
            for slot in 0..shard.time_ms.len() {
                let kind = self.0.sensors.kind((number * SHARD + slot) as u32);
                kind.into_iter().for_each(|kind| take(shard.latest(slot, kind, sources, now_ms)));
            }
        }
    }

    /// The last readings of a sensor in order of time (milliseconds since 1970, value), late arrivals in their
    /// place: up to 512, fewer where there are many sensors, none above four million bytes' worth of them.
    pub fn recent(&self, sensor: u32) -> Vec<(i64, f64)> {
        let index = sensor as usize;
        match self.0.shards.get(index / SHARD) {
            Some(shard) => lock(shard).recent.get(index % SHARD).map_or_else(Vec::new, |r| r.iter().copied().collect()),
            None => Vec::new(),
        }
    }

    /// A stream of changes from now on. Quality that changes by mere time is no change: ask [`LiveState::latest`].
    pub fn subscribe(&self) -> Changes {
        self.0.subscribers.subscribe(self)
    }

    /// Takes note of something that came under a name and gave no reading.
    pub fn refused(&self, counter: Counter, name: &str, reason: &str) {
        self.0.tally.add(Counter::Received);
        self.0.tally.note(counter, name, reason);
    }

    /// How many messages and readings came, and what became of them.
    pub fn counters(&self) -> Counters {
        self.0.tally.counters()
    }

    /// Which topics are malformed, unknown or not believed, with an example of each; a bounded list.
    pub fn problems(&self) -> Vec<Problem> {
        self.0.tally.problems()
    }

    /// A number that grows with every change of any alarm, for displays that redraw on change.
    pub fn alarm_version(&self) -> u64 {
        self.0.alarm_version.load(Ordering::Acquire)
    }

    pub(super) fn with_cell<T>(
        &self,
        sensor: u32,
        use_cell: impl FnOnce(&mut AlarmCell, Option<f64>) -> T,
    ) -> Option<T> {
        let index = sensor as usize;
        let mut shard = lock(self.0.shards.get(index / SHARD)?);
        let slot = index % SHARD;
        let value = shard.newest(slot);
        self.0.sensors.kind(sensor)?.threshold?;
        Some(use_cell(shard.alarm.get_mut(slot)?.get_or_insert_default(), value))
    }
}

impl Shard {
    fn new(count: usize, keeps_recent: bool) -> Self {
        Self {
            time_ms: vec![NEVER; count].into(),
            received_ms: vec![NEVER; count].into(),
            value: vec![0.0; count].into(),
            smooth: vec![0.0; count].into(),
            source: vec![0; count].into(),
            trend: vec![Trend::Unknown; count].into(),
            alarm: std::iter::repeat_with(|| None).take(count).collect(),
            recent: vec![VecDeque::new(); if keeps_recent { count } else { 0 }].into(),
        }
    }

    fn newest(&self, slot: usize) -> Option<f64> {
        self.time_ms.get(slot).filter(|time| **time != NEVER).map(|_| self.value[slot])
    }

    fn put(&mut self, slot: usize, sensor: &SensorKind, time_ms: i64, received_ms: i64, value: f64, source: SourceId) {
        let is_first = self.time_ms[slot] == NEVER;
        let smooth = if is_first { value } else { f64::from(self.smooth[slot]) };
        let rise = value - smooth;
        let noise = match sensor.range {
            Some((low, high)) if high > low => (high - low) * 0.005,
            _ => smooth.abs() * 0.005,
        };
        self.trend[slot] = match rise {
            _ if is_first => Trend::Unknown,
            rise if rise > noise => Trend::Rising,
            rise if rise < -noise => Trend::Falling,
            _ => Trend::Steady,
        };
        self.smooth[slot] = (smooth + rise * 0.3) as f32;
        self.time_ms[slot] = time_ms;
        self.received_ms[slot] = received_ms;
        self.value[slot] = value;
        self.source[slot] = source.0;
    }

    fn latest(&self, slot: usize, sensor: &SensorKind, sources: &Sources, now_ms: i64) -> Latest {
        let alarm = self.alarm[slot].as_ref().map_or(AlarmState::Normal, |cell| cell.machine.state());
        let time_ms = self.time_ms[slot];
        if time_ms == NEVER {
            let quality = Quality::Missing;
            let (age_s, trend) = (f64::INFINITY, Trend::Unknown);
            return Latest { value: None, time_ms: 0, age_s, quality, is_source_lost: false, alarm, trend };
        }
        let value = self.value[slot];
        let age_s = now_ms.saturating_sub(time_ms).max(0) as f64 / 1000.0;
        let interval_s = if sensor.interval_s > 0.0 { sensor.interval_s } else { 60.0 };
        let is_source_lost = sources.is_lost(SourceId(self.source[slot]));
        let quality = if is_source_lost || age_s > interval_s * 5.0 {
            Quality::Stale
        } else if !in_range(sensor, value) {
            Quality::OutOfRange
        } else if age_s > interval_s * 2.0 {
            Quality::Late
        } else {
            Quality::Good
        };
        Latest { value: Some(value), time_ms, age_s, quality, is_source_lost, alarm, trend: self.trend[slot] }
    }
}

impl Inner {
    /// What a subscriber is told about a sensor.
    pub(super) fn change(&self, sensor: u32) -> Option<super::Change> {
        let index = sensor as usize;
        let shard = lock(self.shards.get(index / SHARD)?);
        let slot = index % SHARD;
        let value = shard.newest(slot);
        let time_ms = if value.is_some() { shard.time_ms[slot] } else { 0 };
        let received_ms = if value.is_some() { shard.received_ms[slot] } else { 0 };
        let alarm = shard.alarm[slot].as_ref().map_or(AlarmState::Normal, |cell| cell.machine.state());
        Some(super::Change { sensor, value, time_ms, received_ms, alarm, trend: shard.trend[slot] })
    }
}

fn in_range(sensor: &SensorKind, value: f64) -> bool {
    sensor.range.is_none_or(|(low, high)| (low..=high).contains(&value))
}

/// Puts a reading in its place by time; of two with one time the later arrival stays.
fn remember(recent: &mut VecDeque<(i64, f64)>, reading: (i64, f64), limit: usize) {
    let at = recent.partition_point(|(time, _)| *time < reading.0);
    match recent.get_mut(at) {
        Some(same) if same.0 == reading.0 => *same = reading,
        _ => recent.insert(at, reading),
    }
    if recent.len() > limit {
        recent.pop_front();
    }
}

/// A panic elsewhere must not stop the city: numbers under a lock are whole after every statement that sets them.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{live::test_sensor, model::Sensor};

    const T0: i64 = 1_790_000_000_000;

    fn reading(sensor: u32, time_ms: i64, value: f64) -> Reading {
        Reading { sensor, time_ms, value }
    }

    #[test]
    fn quality_follows_the_clock() {
        let state = LiveState::new(vec![test_sensor("a", "t/a")]);
        let quality = |now| state.latest(0, now).unwrap().quality;
        assert_eq!(quality(T0), Quality::Missing);
        assert_eq!(state.apply(reading(0, T0, 5.0), T0), Applied::Latest);
        assert_eq!(quality(T0 + 20_000), Quality::Good);
        assert_eq!(quality(T0 + 20_001), Quality::Late);
        assert_eq!(quality(T0 + 50_001), Quality::Stale);
        assert_eq!(quality(T0 - 1_000), Quality::Good, "a device a little ahead is not late");
        state.apply(reading(0, T0 + 1, 500.0), T0 + 1);
        assert_eq!(quality(T0 + 2), Quality::OutOfRange);
        assert_eq!(state.latest(0, T0 + 2).unwrap().value, Some(500.0));
        assert_eq!(state.latest(1, T0), None);
    }

    #[test]
    fn late_arrivals_go_into_the_history_and_repeats_nowhere() {
        let state = LiveState::new(vec![test_sensor("a", "t/a")]);
        state.apply(reading(0, T0, 5.0), T0);
        assert_eq!(state.apply(reading(0, T0 - 10, 4.0), T0 + 1), Applied::Older);
        assert_eq!(state.apply(reading(0, T0, 5.0), T0 + 2), Applied::Duplicate);
        assert_eq!(state.apply(reading(0, T0, 6.0), T0 + 3), Applied::Latest);
        assert_eq!(state.recent(0), vec![(T0 - 10, 4.0), (T0, 6.0)]);
        assert_eq!(state.latest(0, T0).unwrap().value, Some(6.0));
        assert_eq!(state.apply(reading(0, T0, f64::NAN), T0), Applied::Absurd);
        assert_eq!(state.apply(reading(7, T0, 1.0), T0), Applied::UnknownSensor);
        let counters = state.counters();
        assert_eq!((counters.received, counters.older, counters.duplicate), (6, 1, 1));
        assert_eq!((counters.malformed, counters.unknown_sensor), (1, 1));
    }

    #[test]
    fn a_clock_from_the_future_cannot_shut_out_what_comes_after() {
        let state = LiveState::new(vec![test_sensor("a", "t/a")]);
        state.apply(reading(0, T0 + 86_400_000, 5.0), T0);
        assert_eq!(state.latest(0, T0).unwrap().time_ms, T0);
        assert_eq!(state.apply(reading(0, T0 + 10_000, 6.0), T0 + 10_000), Applied::Latest);
    }

    #[test]
    fn messages_become_readings_of_every_sensor_on_their_topic() {
        let json = |id: &str, at: &str| Sensor {
            payload: Payload::Json { value: at.into(), time: None },
            ..test_sensor(id, "box/1")
        };
        let state = LiveState::new(vec![json("a", "/t"), json("b", "/h"), test_sensor("c", "t/c")]);
        let mut out = Vec::new();
        assert_eq!(state.decode("box/1", br#"{"t":20,"h":55}"#, T0, &mut out), 2);
        assert_eq!(out, vec![reading(0, T0, 20.0), reading(1, T0, 55.0)]);
        assert_eq!(state.decode("t/c", b"off", T0, &mut out), 0);
        assert_eq!(state.decode("t/x", b"1", T0, &mut out), 0);
        let problems = state.problems();
        let of = |counter| problems.iter().find(|p| p.counter == counter).unwrap();
        assert_eq!((of(Counter::Malformed).topic.as_str(), of(Counter::Malformed).count), ("t/c", 1));
        assert_eq!(of(Counter::UnknownTopic).topic, "t/x");
    }

    #[test]
    fn the_trend_ignores_noise() {
        let state = LiveState::new(vec![test_sensor("a", "t/a")]);
        let trend = |n: i64, value| {
            state.apply(reading(0, T0 + n, value), T0);
            state.latest(0, T0).unwrap().trend
        };
        assert_eq!(trend(0, 50.0), Trend::Unknown);
        assert_eq!(trend(1, 50.1), Trend::Steady);
        assert_eq!(trend(2, 55.0), Trend::Rising);
        assert_eq!(trend(3, 40.0), Trend::Falling);
    }

    #[test]
    fn many_threads_lose_nothing() {
        let sensors: Vec<_> = (0..3000).map(|n| test_sensor(&format!("s{n}"), &format!("t/{n}"))).collect();
        let state = LiveState::new(sensors);
        std::thread::scope(|scope| {
            for thread in 0..4_i64 {
                let state = &state;
                scope.spawn(move || {
                    for round in 0..20_i64 {
                        for sensor in 0..3000 {
                            let time_ms = T0 + round * 4 + thread;
                            state.apply(reading(sensor, time_ms, (round * 4 + thread) as f64), time_ms);
                        }
                    }
                });
            }
        });
        let snapshot = state.snapshot(T0);
        assert!(snapshot.latest.iter().all(|l| l.value == Some(79.0)));
        assert_eq!(state.counters().received, 3000 * 80);
    }
}
