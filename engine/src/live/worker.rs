//! Threads of the live part: each owns its async runtime, so that a caller needs none.

use std::{future::Future, io, thread::JoinHandle, time::Duration};

use tokio::sync::watch;

use super::{LiveState, Log, LogError, now_ms};

/// Why a part of the live path could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, such as `listen on 0.0.0.0:1883`.
        what: String,
        /// Reason.
        source: io::Error,
    },
    /// The readings log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// An option makes no sense.
    #[error("{0}")]
    Option(String),
}

/// Says that a worker is to stop.
pub(super) type Stop = watch::Receiver<bool>;

/// Waits until the worker is to stop.
pub(super) async fn stopped(stop: &mut Stop) {
    // An error means that the handle is gone, which is a stop as well.
    let _ = stop.wait_for(|is_over| *is_over).await;
}

/// A thread with an async runtime of its own; stopped and joined on drop.
pub(super) struct Worker {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start<F, Fut>(name: &str, threads: usize, main: F) -> Result<Self, LiveError>
    where
        F: FnOnce(Stop) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let failed = |source| LiveError::Io { what: format!("start {name}"), source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let run = move || {
            runtime.block_on(main(stopped));
            runtime.shutdown_timeout(Duration::from_secs(2));
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run).map_err(failed)?;
        Ok(Self { stop, thread: Some(thread) })
    }

    pub(super) fn stop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A worker that panicked is over as well.
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Lets time pass for a state's alarms and writes their changes into the log; stopped on drop.
pub struct Keeper(Worker);

impl Keeper {
    /// How often it looks.
    const PERIOD: Duration = Duration::from_millis(200);

    /// Starts it. What changed before is taken as known: restore the state from the log first.
    pub fn start(state: &LiveState, log: Option<&Log>) -> Result<Self, LiveError> {
        let (state, log) = (state.clone(), log.cloned());
        let mut known = state.transitions_since(0).last().map_or(0, |t| t.number);
        let worker = Worker::start("alarm keeper", 1, move |mut stop| async move {
            let mut clock = tokio::time::interval(Self::PERIOD);
            clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            let mut is_over = false;
            while !is_over {
                tokio::select! {
                    _ = clock.tick() => {}
                    () = stopped(&mut stop) => is_over = true,
                }
                state.tick(now_ms());
                let changes = state.transitions_since(known);
                let Some(last) = changes.last() else { continue };
                let last = last.number;
                let Some(log) = &log else {
                    known = last;
                    continue;
                };
                // Kept for the next round when the disk does not take them.
                let written = match log.append_alarms(&state, &changes).await {
                    Ok(receipt) => receipt.durable().await,
                    Err(error) => Err(error),
                };
                if written.is_ok() {
                    known = last;
                }
            }
        })?;
        Ok(Self(worker))
    }

    /// Stops it after a last look.
    pub fn stop(mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        live::{AlarmState, Subject, restore, test_sensor},
        model::{Reading, Sensor, Threshold},
    };

    #[test]
    fn a_keeper_ends_delays_and_writes_down_what_people_did() {
        let threshold = Some(Threshold {
            low: None,
            high: Some(5.0),
            dead_band: 0.0,
            priority: 1,
            on_delay_s: 0.3,
            ..Threshold::default()
        });
        let make = || LiveState::new(vec![Sensor { threshold, ..test_sensor("a", "a") }]);
        let folder = tempfile::tempdir().unwrap();
        let state = make();
        let (log, _) = Log::open(folder.path(), &state).unwrap();
        let keeper = Keeper::start(&state, Some(&log)).unwrap();
        let reading = Reading { sensor: 0, time_ms: now_ms(), value: 9.0 };
        state.apply(reading, reading.time_ms);
        log.append_blocking(vec![reading], reading.time_ms).unwrap().wait().unwrap();
        for _ in 0..100 {
            if state.latest(0, now_ms()).unwrap().alarm == AlarmState::Unacknowledged {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        state.acknowledge(&Subject::Sensor(0), "u", "seen", now_ms()).unwrap();
        keeper.stop();
        drop(log);
        let again = make();
        restore(folder.path(), &again).unwrap();
        assert_eq!(again.latest(0, now_ms()).unwrap().alarm, AlarmState::Acknowledged);
    }
}
