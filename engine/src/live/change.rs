//! Changes for those who watch: bounded, coalesced, newest values.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::sync::Notify;

use super::{
    AlarmState, LiveState, Trend,
    state::{lock, read, write},
};

/// A sensor that changed, with its newest value at the time of asking.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Dense index.
    pub sensor: u32,
    /// The newest value; `None` when only its alarm changed before any reading came.
    pub value: Option<f64>,
    /// When it was measured, milliseconds since 1970; 0 without a value.
    pub time_ms: i64,
    /// When it arrived, milliseconds since 1970; 0 without a value.
    pub received_ms: i64,
    /// Where its alarm stands.
    pub alarm: AlarmState,
    /// Which way it goes.
    pub trend: Trend,
}

/// One subscriber's stream of changes.
///
/// Each sensor stands in the queue at most once, so the queue is never longer than the register: a slow reader gets
/// fewer updates, but each with the newest value, and the last change of every sensor always arrives.
pub struct Changes {
    state: LiveState,
    mailbox: Arc<Mailbox>,
}

struct Mailbox {
    is_queued: Box<[AtomicU64]>,
    queue: Mutex<VecDeque<u32>>,
    merged: AtomicU64,
    arrived: Condvar,
    notify: Notify,
}

/// Everyone who watches.
pub(super) struct Subscribers {
    count: usize,
    list: RwLock<Vec<Weak<Mailbox>>>,
}

impl Subscribers {
    pub(super) fn new(count: usize) -> Self {
        Self { count, list: RwLock::default() }
    }

    pub(super) fn subscribe(&self, state: &LiveState) -> Changes {
        let mailbox = Arc::new(Mailbox {
            is_queued: (0..self.count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            queue: Mutex::default(),
            merged: AtomicU64::new(0),
            arrived: Condvar::new(),
            notify: Notify::new(),
        });
        let mut list = write(&self.list);
        list.retain(|one| one.strong_count() > 0);
        list.push(Arc::downgrade(&mailbox));
        Changes { state: state.clone(), mailbox }
    }

    /// Tells everyone that a sensor changed. Called after the change can be seen, and holding no lock of the state.
    pub(super) fn mark(&self, sensor: u32) {
        for mailbox in read(&self.list).iter().filter_map(Weak::upgrade) {
            mailbox.mark(sensor);
        }
    }

    /// Wakes everyone without naming a sensor: an alarm of a source changed.
    pub(super) fn wake(&self) {
        for mailbox in read(&self.list).iter().filter_map(Weak::upgrade) {
            mailbox.wake();
        }
    }
}

impl Mailbox {
    fn mark(&self, sensor: u32) {
        let (word, bit) = (sensor as usize / 64, 1_u64 << (sensor % 64));
        let Some(word) = self.is_queued.get(word) else { return };
        if word.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
            self.merged.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut queue = lock(&self.queue);
        queue.push_back(sensor);
        let is_first = queue.len() == 1;
        drop(queue);
        if is_first {
            self.wake();
        }
    }

    fn wake(&self) {
        self.arrived.notify_all();
        self.notify.notify_one();
    }
}

impl Changes {
    /// Up to `max` changes, those that wait longest first. Never waits.
    pub fn drain(&self, max: usize) -> Vec<Change> {
        let taken: Vec<u32> = {
            let mut queue = lock(&self.mailbox.queue);
            let count = queue.len().min(max);
            queue.drain(..count).collect()
        };
        let one = |sensor: u32| {
            // The mark goes before the value is read: a change in between is queued again rather than lost.
            self.mailbox.is_queued[sensor as usize / 64].fetch_and(!(1 << (sensor % 64)), Ordering::AcqRel);
            self.state.0.change(sensor)
        };
        taken.into_iter().filter_map(one).collect()
    }

    /// How many sensors wait to be drained.
    pub fn waiting(&self) -> usize {
        lock(&self.mailbox.queue).len()
    }

    /// How many updates were merged into one that was waiting already.
    pub fn merged(&self) -> u64 {
        self.mailbox.merged.load(Ordering::Relaxed)
    }

    /// Waits for a change on this thread; says whether there is one.
    pub fn wait(&self, at_most: Duration) -> bool {
        let queue = lock(&self.mailbox.queue);
        let waited = self.mailbox.arrived.wait_timeout_while(queue, at_most, |queue| queue.is_empty());
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }

    /// Waits for a change in an async task; may return once without one.
    pub async fn changed(&self) {
        if self.waiting() == 0 {
            self.mailbox.notify.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{live::test_sensor, model::Reading};

    fn state(count: usize) -> LiveState {
        LiveState::new((0..count).map(|n| test_sensor(&n.to_string(), &format!("t/{n}"))).collect::<Vec<_>>())
    }

    #[test]
    fn a_slow_reader_gets_fewer_updates_and_the_newest_values() {
        let state = state(100);
        let changes = state.subscribe();
        for round in 0..1000_i64 {
            for sensor in 0..100 {
                state.apply(Reading { sensor, time_ms: round, value: round as f64 }, round);
            }
        }
        assert_eq!(changes.waiting(), 100);
        assert_eq!(changes.merged(), 99_900);
        let first = changes.drain(30);
        assert_eq!(first.iter().map(|c| c.sensor).collect::<Vec<_>>(), (0..30).collect::<Vec<_>>());
        assert!(first.iter().all(|c| c.value == Some(999.0)));
        state.apply(Reading { sensor: 0, time_ms: 2000, value: 1.0 }, 2000);
        let rest = changes.drain(usize::MAX);
        assert_eq!((rest.len(), rest[70].sensor, rest[70].value), (71, 0, Some(1.0)));
        assert!(changes.drain(10).is_empty());
        assert!(!changes.wait(Duration::from_millis(1)));
    }

    #[test]
    fn the_last_change_always_arrives() {
        let state = state(8);
        let changes = state.subscribe();
        let writer = std::thread::spawn({
            let state = state.clone();
            move || {
                for round in 0..50_000_i64 {
                    let sensor = (round % 8) as u32;
                    state.apply(Reading { sensor, time_ms: round, value: round as f64 }, round);
                }
            }
        });
        let mut newest = [-1.0; 8];
        while !writer.is_finished() || changes.waiting() > 0 {
            changes.wait(Duration::from_millis(5));
            for change in changes.drain(3) {
                let value = change.value.unwrap();
                assert!(value >= newest[change.sensor as usize], "never backwards");
                newest[change.sensor as usize] = value;
            }
        }
        writer.join().unwrap();
        for change in changes.drain(100) {
            newest[change.sensor as usize] = change.value.unwrap();
        }
        assert_eq!(newest, std::array::from_fn(|n| 49_992.0 + n as f64));
    }

    #[test]
    fn a_subscriber_that_left_costs_nothing() {
        let state = state(1);
        drop(state.subscribe());
        let kept = state.subscribe();
        assert_eq!(read(&state.0.subscribers.list).len(), 1);
        state.apply(Reading { sensor: 0, time_ms: 1, value: 1.0 }, 1);
        assert_eq!(kept.drain(9).len(), 1);
    }
}
