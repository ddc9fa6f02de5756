//! The alarms of a live state: who is in the list, what changed, which sources are lost.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use super::{
    Alarm, AlarmError, Cause, LiveState, SourceId, Subject, Transition,
    alarm::{Delays, Limit, Machine, Step},
    state::{Inner, lock, read, write},
};
use crate::model::Threshold;

/// Transitions kept in memory.
const MAX_TRANSITIONS: usize = 10_000;

/// Sources that are told apart; the rest count as local.
const MAX_SOURCES: usize = 1_000;

/// A lost source outranks any single reading.
const SOURCE_PRIORITY: u8 = 1;

/// Letters kept of what people write.
const MAX_TEXT: usize = 500;

/// The alarm of one sensor or source.
#[derive(Debug, Default)]
pub(super) struct AlarmCell {
    pub(super) machine: Machine,
    raised_ms: i64,
    text: String,
}

/// What changed, and which sensors are in the list or wait for time to pass.
#[derive(Default)]
pub(super) struct Journal {
    transitions: VecDeque<Transition>,
    last_number: u64,
    listed: BTreeSet<u32>,
    ticking: BTreeSet<u32>,
}

/// The sources of readings.
#[derive(Default)]
pub(super) struct Sources {
    list: Vec<Source>,
}

struct Source {
    name: Arc<str>,
    is_lost: bool,
    cell: AlarmCell,
}

impl Sources {
    pub(super) fn is_lost(&self, source: SourceId) -> bool {
        usize::from(source.0).checked_sub(1).and_then(|at| self.list.get(at)).is_some_and(|s| s.is_lost)
    }
}

impl Inner {
    /// Judges the newest reading of a sensor; called with the sensor's lock held, so that its transitions keep order.
    pub(super) fn read_alarm(
        &self,
        sensor: u32,
        cell: &mut AlarmCell,
        threshold: &Threshold,
        (value, per_min): (f64, Option<f64>),
        is_in_range: bool,
        now_ms: i64,
    ) {
        let did_tick = cell.machine.needs_tick();
        let step = cell.machine.read(threshold, (value, per_min), is_in_range, now_ms);
        if step.is_some() || did_tick != cell.machine.needs_tick() {
            let cause = if cell.machine.limit().is_some() { Cause::Raised } else { Cause::Returned };
            self.settle(Subject::Sensor(sensor), cell, step.map(|step| (step, cause)), Some(value), now_ms);
        }
    }

    /// Writes down what a machine did and keeps the lists in step with it.
    fn settle(
        &self,
        subject: Subject,
        cell: &mut AlarmCell,
        step: Option<(Step, Cause)>,
        value: Option<f64>,
        at_ms: i64,
    ) {
        let mut journal = lock(&self.journal);
        if let Subject::Sensor(sensor) = subject {
            keep(&mut journal.listed, sensor, cell.machine.state().is_listed());
            keep(&mut journal.ticking, sensor, cell.machine.needs_tick());
        }
        let Some(((from, to), cause)) = step else { return };
        match &cause {
            Cause::Raised => {
                cell.raised_ms = at_ms;
                if matches!(subject, Subject::Sensor(_)) {
                    cell.text.clear();
                }
            }
            Cause::Acknowledged { text, .. } => cell.text = text.clone(),
            Cause::Shelved { reason, .. } => cell.text = reason.clone(),
            _ => {}
        }
        let limit = cell.machine.limit();
        journal.last_number += 1;
        let number = journal.last_number;
        if journal.transitions.len() == MAX_TRANSITIONS {
            journal.transitions.pop_front();
        }
        journal.transitions.push_back(Transition { number, subject, from, to, limit, cause, value, at_ms });
        drop(journal);
        self.alarm_version.fetch_add(1, Ordering::AcqRel);
    }
}

impl LiveState {
    /// The number of the source of this name, made if need be; beyond the first thousand they count as local.
    pub fn source(&self, name: &str) -> SourceId {
        let mut sources = write(&self.0.sources);
        if let Some(at) = sources.list.iter().position(|s| &*s.name == name) {
            return SourceId(at as u16 + 1);
        }
        if sources.list.len() >= MAX_SOURCES {
            return SourceId::LOCAL;
        }
        sources.list.push(Source { name: name.into(), is_lost: false, cell: AlarmCell::default() });
        SourceId(sources.list.len() as u16)
    }

    /// Says that a source went silent: one alarm for it, and every value that came from it is `Stale`.
    pub fn source_lost(&self, source: SourceId, reason: &str, at_ms: i64) {
        self.set_lost(source, Some(reason), at_ms);
    }

    /// Says that a source is back.
    pub fn source_regained(&self, source: SourceId, at_ms: i64) {
        self.set_lost(source, None, at_ms);
    }

    fn set_lost(&self, id: SourceId, reason: Option<&str>, at_ms: i64) {
        let mut sources = write(&self.0.sources);
        let Some(source) = usize::from(id.0).checked_sub(1).and_then(|at| sources.list.get_mut(at)) else { return };
        source.is_lost = reason.is_some();
        let step = source.cell.machine.observe(reason.map(|_| Limit::Lost), Delays::default(), at_ms);
        let cause = if source.is_lost { Cause::Raised } else { Cause::Returned };
        if let Some(reason) = reason {
            source.cell.text = cut(reason);
        }
        let subject = Subject::Source(source.name.clone());
        self.0.settle(subject, &mut source.cell, step.map(|step| (step, cause)), None, at_ms);
        drop(sources);
        self.0.subscribers.wake();
    }

    /// Every alarm that is not normal: highest priority first, then the one raised last.
    pub fn alarms(&self) -> Vec<Alarm> {
        let listed: Vec<u32> = lock(&self.0.journal).listed.iter().copied().collect();
        let mut alarms: Vec<Alarm> = listed.into_iter().filter_map(|sensor| self.sensor_alarm(sensor)).collect();
        let sources = read(&self.0.sources);
        alarms.extend(
            sources
                .list
                .iter()
                .filter(|s| s.cell.machine.state().is_listed())
                .map(|source| listed_alarm(Subject::Source(source.name.clone()), SOURCE_PRIORITY, &source.cell, None)),
        );
        alarms.sort_by_key(|alarm| (alarm.priority, std::cmp::Reverse(alarm.raised_ms)));
        alarms
    }

    /// Where the alarm of a sensor stands; `None` when it is normal or the sensor has no limits.
    pub fn sensor_alarm(&self, sensor: u32) -> Option<Alarm> {
        let priority = self.0.sensors.kind(sensor)?.threshold?.priority;
        self.with_cell(sensor, |cell, value| {
            let is_listed = cell.machine.state().is_listed();
            is_listed.then(|| listed_alarm(Subject::Sensor(sensor), priority, cell, value))
        })?
    }

    /// Changes of alarms with a number above `number`, oldest first; the last ten thousand are kept in memory.
    pub fn transitions_since(&self, number: u64) -> Vec<Transition> {
        let journal = lock(&self.0.journal);
        let newest_first = journal.transitions.iter().rev().take_while(|t| t.number > number);
        let mut transitions: Vec<_> = newest_first.cloned().collect();
        transitions.reverse();
        transitions
    }

    /// A person has seen an alarm; who, what they wrote and when is kept.
    pub fn acknowledge(&self, subject: &Subject, user: &str, text: &str, at_ms: i64) -> Result<(), AlarmError> {
        self.act(subject, at_ms, |machine| {
            let step = machine.acknowledge(at_ms)?;
            Ok((step, Cause::Acknowledged { user: cut(user), text: cut(text) }))
        })
    }

    /// A person sets an alarm aside until `until_ms`, for a reason. It comes back by itself.
    pub fn shelve(
        &self,
        subject: &Subject,
        user: &str,
        reason: &str,
        until_ms: i64,
        at_ms: i64,
    ) -> Result<(), AlarmError> {
        self.act(subject, at_ms, |machine| {
            let step = machine.shelve(reason, until_ms, at_ms)?;
            Ok((step, Cause::Shelved { user: cut(user), reason: cut(reason), until_ms }))
        })
    }

    /// A person puts a shelved alarm back before its time.
    pub fn unshelve(&self, subject: &Subject, user: &str, at_ms: i64) -> Result<(), AlarmError> {
        self.act(subject, at_ms, |machine| {
            let step = machine.unshelve(at_ms)?;
            Ok((step, Cause::Unshelved { user: cut(user) }))
        })
    }

    fn act(
        &self,
        subject: &Subject,
        at_ms: i64,
        act: impl FnOnce(&mut Machine) -> Result<(Step, Cause), AlarmError>,
    ) -> Result<(), AlarmError> {
        match subject {
            Subject::Sensor(sensor) => {
                self.with_cell(*sensor, |cell, value| {
                    let done = act(&mut cell.machine)?;
                    self.0.settle(subject.clone(), cell, Some(done), value, at_ms);
                    Ok(())
                })
                .unwrap_or(Err(AlarmError::Unknown))?;
                self.0.subscribers.mark(*sensor);
            }
            Subject::Source(name) => {
                let mut sources = write(&self.0.sources);
                let source = sources.list.iter_mut().find(|s| s.name == *name).ok_or(AlarmError::Unknown)?;
                let done = act(&mut source.cell.machine)?;
                self.0.settle(subject.clone(), &mut source.cell, Some(done), None, at_ms);
                drop(sources);
                self.0.subscribers.wake();
            }
        }
        Ok(())
    }

    /// Lets time pass for alarms that wait for it: on-delays and shelves. Call it a few times a second.
    pub fn tick(&self, now_ms: i64) {
        let waiting: Vec<u32> = lock(&self.0.journal).ticking.iter().copied().collect();
        for sensor in waiting {
            let Some(threshold) = self.0.sensors.kind(sensor).and_then(|kind| kind.threshold.as_ref()) else {
                continue;
            };
            let did_step = self.with_cell(sensor, |cell, value| {
                let step = cell.machine.tick(Delays::of(threshold), now_ms);
                let did_step = step.is_some();
                self.0.settle(Subject::Sensor(sensor), cell, step, value, now_ms);
                did_step
            });
            if did_step == Some(true) {
                self.0.subscribers.mark(sensor);
            }
        }
        let mut sources = write(&self.0.sources);
        for source in sources.list.iter_mut().filter(|s| s.cell.machine.needs_tick()) {
            let step = source.cell.machine.tick(Delays::default(), now_ms);
            self.0.settle(Subject::Source(source.name.clone()), &mut source.cell, step, None, now_ms);
        }
    }
}

fn listed_alarm(subject: Subject, priority: u8, cell: &AlarmCell, value: Option<f64>) -> Alarm {
    Alarm {
        subject,
        state: cell.machine.state(),
        priority,
        limit: cell.machine.limit(),
        since_ms: cell.machine.since_ms(),
        raised_ms: cell.raised_ms,
        value,
        shelved_until_ms: cell.machine.shelved_until_ms(),
        text: cell.text.clone(),
    }
}

fn keep(set: &mut BTreeSet<u32>, sensor: u32, is_in: bool) {
    if is_in {
        set.insert(sensor);
    } else {
        set.remove(&sensor);
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::{AlarmState, test_sensor},
        model::{Quality, Reading, Sensor},
    };

    const T0: i64 = 1_790_000_000_000;

    fn limited(id: &str, priority: u8) -> Sensor {
        let threshold = Some(Threshold {
            low: None,
            high: Some(20.0),
            dead_band: 1.0,
            priority,
            on_delay_s: 0.0,
            ..Threshold::default()
        });
        Sensor { threshold, ..test_sensor(id, id) }
    }

    fn put(state: &LiveState, sensor: u32, at_ms: i64, value: f64) {
        state.apply(Reading { sensor, time_ms: at_ms, value }, at_ms);
    }

    #[test]
    fn an_alarm_is_raised_seen_and_ended_and_all_of_it_is_on_record() {
        let state = LiveState::new(vec![limited("a", 2), limited("b", 1), test_sensor("c", "c")]);
        put(&state, 0, T0, 25.0);
        put(&state, 1, T0 + 1, 30.0);
        put(&state, 2, T0 + 1, 99.0);
        let order: Vec<_> = state.alarms().into_iter().map(|a| a.subject).collect();
        assert_eq!(order, vec![Subject::Sensor(1), Subject::Sensor(0)], "priority first, none without limits");
        state.acknowledge(&Subject::Sensor(1), "王工", "去看", T0 + 2).unwrap();
        assert_eq!(state.latest(1, T0 + 2).unwrap().alarm, AlarmState::Acknowledged);
        assert_eq!(state.alarms()[0].text, "去看");
        put(&state, 1, T0 + 3, 19.5);
        assert_eq!(state.latest(1, T0 + 3).unwrap().alarm, AlarmState::Acknowledged, "within the dead band");
        put(&state, 1, T0 + 4, 18.0);
        put(&state, 0, T0 + 5, 18.0);
        assert_eq!(state.alarms().len(), 1, "a is returned, unacknowledged");
        assert_eq!(
            state.acknowledge(&Subject::Sensor(1), "u", "", T0 + 6),
            Err(AlarmError::NothingToAcknowledge(AlarmState::Normal))
        );
        assert_eq!(state.acknowledge(&Subject::Sensor(2), "u", "", T0 + 6), Err(AlarmError::Unknown));
        let record = state.transitions_since(0);
        assert_eq!(record.iter().map(|t| t.number).collect::<Vec<_>>(), (1..=5).collect::<Vec<_>>());
        assert_eq!(record[2].cause, Cause::Acknowledged { user: "王工".into(), text: "去看".into() });
        assert_eq!((record[3].to, record[4].to), (AlarmState::Normal, AlarmState::ReturnedUnacknowledged));
        assert_eq!(state.transitions_since(4).len(), 1);
    }

    #[test]
    fn a_reading_out_of_range_raises_an_alarm_but_ends_none() {
        let high = limited("a", 1);
        let state = LiveState::new(vec![Sensor { range: Some((0.0, 100.0)), ..high }]);
        put(&state, 0, T0, 120.0);
        assert_eq!(state.latest(0, T0).unwrap().alarm, AlarmState::Unacknowledged);
        put(&state, 0, T0 + 1, -999.0);
        assert_eq!(state.latest(0, T0).unwrap().alarm, AlarmState::Unacknowledged);
        put(&state, 0, T0 + 2, 10.0);
        assert_eq!(state.latest(0, T0).unwrap().alarm, AlarmState::ReturnedUnacknowledged);
    }

    #[test]
    fn a_lost_source_is_one_alarm_and_makes_its_values_stale() {
        let state = LiveState::new((0..1000).map(|n| test_sensor(&n.to_string(), &n.to_string())).collect::<Vec<_>>());
        let broker = state.source("mqtt://broker");
        assert_eq!(state.source("mqtt://broker"), broker);
        for sensor in 0..999 {
            state.apply_from(broker, Reading { sensor, time_ms: T0, value: 1.0 }, T0);
        }
        put(&state, 999, T0, 1.0);
        let version = state.alarm_version();
        state.source_lost(broker, "connection refused", T0 + 1);
        state.source_lost(broker, "connection refused", T0 + 2);
        assert_eq!(state.alarm_version(), version + 1);
        assert_eq!(state.alarms().len(), 1);
        assert_eq!(state.alarms()[0].text, "connection refused");
        let snapshot = state.snapshot(T0 + 1);
        assert_eq!(snapshot.latest.iter().filter(|l| l.quality == Quality::Stale).count(), 999);
        assert!(snapshot.latest[0].is_source_lost && !snapshot.latest[999].is_source_lost);
        state.source_regained(broker, T0 + 3);
        assert_eq!(state.latest(0, T0 + 3).unwrap().quality, Quality::Good);
        assert_eq!(state.alarms()[0].state, AlarmState::ReturnedUnacknowledged);
        state.acknowledge(&Subject::Source("mqtt://broker".into()), "u", "", T0 + 4).unwrap();
        assert!(state.alarms().is_empty());
    }

    #[test]
    fn on_delays_and_shelves_end_by_time() {
        let mut sensor = limited("a", 1);
        if let Some(threshold) = &mut sensor.threshold {
            threshold.on_delay_s = 5.0;
        }
        let state = LiveState::new(vec![sensor]);
        let alarm = |now| state.latest(0, now).unwrap().alarm;
        put(&state, 0, T0, 25.0);
        state.tick(T0 + 4_999);
        assert_eq!(alarm(T0), AlarmState::Normal);
        state.tick(T0 + 5_000);
        assert_eq!(alarm(T0), AlarmState::Unacknowledged);
        let subject = Subject::Sensor(0);
        state.shelve(&subject, "u", "检修", T0 + 60_000, T0 + 6_000).unwrap();
        assert_eq!(alarm(T0), AlarmState::Shelved);
        assert_eq!(state.alarms()[0].text, "检修", "what is shelved stays in the list");
        state.tick(T0 + 60_000);
        assert_eq!(alarm(T0), AlarmState::Unacknowledged);
        let changes = state.subscribe();
        state.shelve(&subject, "u", "检修", T0 + 90_000, T0 + 61_000).unwrap();
        state.unshelve(&subject, "u", T0 + 62_000).unwrap();
        assert_eq!(changes.drain(9).len(), 1);
        assert_eq!(state.unshelve(&subject, "u", T0), Err(AlarmError::NotShelved(AlarmState::Unacknowledged)));
    }

    #[test]
    fn a_jump_is_an_alarm_by_the_times_of_the_readings() {
        let threshold = Threshold { rate_per_min: Some(1.0), priority: 2, ..Threshold::default() };
        let state = LiveState::new(vec![Sensor { threshold: Some(threshold), ..test_sensor("a", "a") }]);
        let read = |at_ms: i64, value: f64| state.apply(Reading { sensor: 0, time_ms: T0 + at_ms, value }, T0 + at_ms);
        read(0, 10.0);
        read(120_000, 11.9);
        assert!(state.alarms().is_empty(), "less than one a minute");
        // What comes late has no rate of its own.
        read(60_000, 99.0);
        assert!(state.alarms().is_empty());
        read(150_000, 13.0);
        let alarm = &state.alarms()[0];
        assert_eq!((alarm.limit, alarm.priority), (Some(Limit::Rate), 2));
        read(180_000, 13.1);
        assert_eq!(state.alarms()[0].state, AlarmState::ReturnedUnacknowledged);
    }
}
