//! What became of everything that came in, with bounded examples of what went wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;

use super::state::lock;

/// Topics remembered per kind of problem; the rest are only counted.
const MAX_TOPICS: usize = 64;

/// Letters kept of a topic and of an example.
const MAX_TEXT: usize = 200;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// Everything that came: readings, and messages that gave none.
    Received,
    /// Readings older than the newest of their sensor.
    Older,
    /// Readings equal to the newest of their sensor.
    Duplicate,
    /// Messages or readings without a usable number.
    Malformed,
    /// Messages on a topic that no sensor has.
    UnknownTopic,
    /// Readings of a sensor that does not exist.
    UnknownSensor,
    /// Readings whose own time was not believed; they count as received at their arrival.
    Mistrusted,
}

const COUNTERS: usize = 7;

/// Totals since the state was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// See [`Counter::Received`].
    pub received: u64,
    /// See [`Counter::Older`].
    pub older: u64,
    /// See [`Counter::Duplicate`].
    pub duplicate: u64,
    /// See [`Counter::Malformed`].
    pub malformed: u64,
    /// See [`Counter::UnknownTopic`].
    pub unknown_topic: u64,
    /// See [`Counter::UnknownSensor`].
    pub unknown_sensor: u64,
    /// See [`Counter::Mistrusted`].
    pub mistrusted: u64,
}

/// A topic that gives trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind.
    pub counter: Counter,
    /// The topic, cut short where it is long; `…` stands for all topics beyond the first 64 of a kind.
    pub topic: String,
    /// What was wrong the last time.
    pub example: String,
    /// How often.
    pub count: u64,
}

#[derive(Default)]
pub(super) struct Tally {
    totals: [AtomicU64; COUNTERS],
    problems: Mutex<BTreeMap<(Counter, String), (u64, String)>>,
}

impl Tally {
    pub(super) fn add(&self, counter: Counter) {
        self.totals[counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a problem under its topic and keeps the example.
    pub(super) fn note(&self, counter: Counter, topic: &str, example: &str) {
        self.add(counter);
        let mut problems = lock(&self.problems);
        let mut key = (counter, cut(topic));
        if !problems.contains_key(&key) && problems.keys().filter(|(c, _)| *c == counter).count() >= MAX_TOPICS {
            key.1 = "…".into();
        }
        let problem = problems.entry(key).or_default();
        problem.0 += 1;
        problem.1 = cut(example);
    }

    pub(super) fn counters(&self) -> Counters {
        let of = |counter: Counter| self.totals[counter as usize].load(Ordering::Relaxed);
        Counters {
            received: of(Counter::Received),
            older: of(Counter::Older),
            duplicate: of(Counter::Duplicate),
            malformed: of(Counter::Malformed),
            unknown_topic: of(Counter::UnknownTopic),
            unknown_sensor: of(Counter::UnknownSensor),
            mistrusted: of(Counter::Mistrusted),
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let problem = |((counter, topic), (count, example)): (&(Counter, String), &(u64, String))| Problem {
            counter: *counter,
            topic: topic.clone(),
            example: example.clone(),
            count: *count,
        };
        lock(&self.problems).iter().map(problem).collect()
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_topics_is_counted_and_not_remembered() {
        let tally = Tally::default();
        for n in 0..10_000 {
            tally.note(Counter::UnknownTopic, &format!("{}{n}", "x".repeat(n % 300)), "no sensor");
        }
        tally.note(Counter::Malformed, "a", "text");
        assert_eq!(tally.counters().unknown_topic, 10_000);
        let problems = tally.problems();
        assert_eq!(problems.len(), MAX_TOPICS + 2);
        assert!(problems.iter().all(|p| p.topic.chars().count() <= MAX_TEXT));
        let unknown: u64 = problems.iter().filter(|p| p.counter == Counter::UnknownTopic).map(|p| p.count).sum();
        assert_eq!(unknown, 10_000);
    }
}
