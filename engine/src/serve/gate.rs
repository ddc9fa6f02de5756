//! Only so many questions are worked on at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refusal;

/// Lets a number of questions in; some more wait, all others are refused.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    most: usize,
    waiting: AtomicUsize,
    most_waiting: usize,
    queue_time: Duration,
    refused: AtomicUsize,
}

/// The right to work, until it is dropped.
pub(super) type Place = OwnedSemaphorePermit;

impl Gate {
    pub fn new(most: usize, most_waiting: usize, queue_time: Duration) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(most)),
            most,
            waiting: AtomicUsize::new(0),
            most_waiting,
            queue_time,
            refused: AtomicUsize::new(0),
        }
    }

    /// Waits for a place.
    pub async fn enter(&self) -> Result<Place, Refusal> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        // Whoever asks may go away while it waits.
        let waiting = Waiting::new(&self.waiting);
        if waiting.before < self.most_waiting
            && let Ok(Ok(place)) = tokio::time::timeout(self.queue_time, self.places.clone().acquire_owned()).await
        {
            return Ok(place);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, "too much is asked at once; ask again in a moment".into()))
    }

    /// A place, where one is free.
    pub fn enter_now(&self) -> Option<Place> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// Waits for a place, however long it takes, on a thread that may wait.
    pub fn enter_again(&self) -> Option<Place> {
        tokio::runtime::Handle::current().block_on(self.places.clone().acquire_owned()).ok()
    }

    /// Questions that are worked on, that wait, and that were refused since the start.
    pub fn counts(&self) -> [usize; 3] {
        let running = self.most.saturating_sub(self.places.available_permits());
        [running, self.waiting.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed)]
    }
}

struct Waiting<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn some_wait_and_the_rest_is_refused() {
        let gate = Arc::new(Gate::new(1, 1, Duration::from_secs(60)));
        let first = gate.enter().await.ok().unwrap();
        let second = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await.is_ok() }
        });
        tokio::task::yield_now().await;
        assert_eq!(gate.counts(), [1, 1, 0]);
        assert_eq!(gate.enter().await.err().unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert!(second.await.unwrap());
        assert_eq!(gate.counts(), [0, 0, 1]);
        let gate = Gate::new(1, 1, Duration::from_millis(20));
        let _held = gate.enter().await.ok().unwrap();
        assert!(gate.enter().await.is_err(), "nobody waits for ever");
        assert_eq!(gate.counts(), [1, 0, 1]);
    }
}
