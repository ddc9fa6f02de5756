//! What readers of the MQTT listener are handed: messages of devices as they come, and changes as Observations.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    listener::Shared,
    observation,
    state::{lock, read},
    topic::matches,
    worker::{Stop, stopped},
};

/// Changes are gathered for so long before they are told as Observations.
const OBSERVED_TIME: Duration = Duration::from_millis(50);

/// One who reads.
pub(super) struct Watcher {
    pub filters: Vec<String>,
    pub outbox: mpsc::Sender<Message>,
}

#[derive(Clone)]
pub(super) struct Message {
    pub topic: Arc<str>,
    pub payload: Arc<[u8]>,
}

/// Tells subscribers to Observations what changed; of a sensor that changes more often than it is told the newest value.
pub(super) async fn tell_observations(shared: Arc<Shared>, mut stop: Stop) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(OBSERVED_TIME) => {}
            () = stopped(&mut stop) => return,
        }
        let changes = {
            let mut observed = lock(&shared.observed);
            let is_wanted = |watcher: &Watcher| watcher.filters.iter().any(|f| f.starts_with(observation::ROOT));
            if !read(&shared.watchers).values().any(is_wanted) {
                *observed = None;
            }
            observed.as_ref().map(|changes| changes.drain(usize::MAX)).unwrap_or_default()
        };
        let sensors = shared.state.sensors();
        for change in changes {
            let told = sensors.get(change.sensor).and_then(|sensor| observation::told(&sensor, &change));
            let Some((topics, value)) = told else { continue };
            let payload: Arc<[u8]> = value.to_string().into_bytes().into();
            for topic in topics {
                shared.hand_out(&topic, || payload.clone());
            }
        }
    }
}

impl Shared {
    #[cfg(test)]
    pub(super) fn is_nothing_observed(&self) -> bool {
        lock(&self.observed).is_none()
    }

    /// Puts a message where those who want it find it.
    pub(super) fn hand_out(&self, topic: &str, payload: impl FnOnce() -> Arc<[u8]>) {
        let watchers = read(&self.watchers);
        let mut wanted = watchers.values().filter(|w| w.filters.iter().any(|f| matches(f, topic))).peekable();
        if wanted.peek().is_some() {
            let message = Message { topic: topic.into(), payload: payload() };
            for watcher in wanted {
                // A full outbox belongs to a slow reader, who misses this one.
                let _ = watcher.outbox.try_send(message.clone());
            }
        }
    }
}
