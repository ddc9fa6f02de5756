//! The memory that layers share which are read at the same time.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::Format;

/// What all layers that are read at the same time may need together, bytes: the promise of 2 GiB without what the program needs itself.
const MOST_BYTES: u64 = 1600 << 20;
/// What a layer needs at least: queues, and the objects and tiles that are being written.
pub(super) const LEAST_BYTES: u64 = 150 << 20;
/// No source needs more, as the limits of the reading child and of the layer's drafts have it.
const MOST_BYTES_OF_A_SOURCE: u64 = 1200 << 20;
/// How often the wish to stop is looked for while there is no room.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What reading a source of so many bytes needs, bytes.
pub(super) fn need(format: &Format, bytes: u64) -> u64 {
    let needed = bytes as f64 * format.memory_per_byte;
    LEAST_BYTES.saturating_add(needed as u64).min(MOST_BYTES_OF_A_SOURCE)
}

/// Tasks that wait until there is memory for them.
pub(super) struct Room<T> {
    inner: Mutex<Inner<T>>,
    freed: Condvar,
}

struct Inner<T> {
    /// What each needs, and the task.
    waiting: Vec<(u64, T)>,
    held: u64,
}

impl<T> Room<T> {
    /// Tasks with the bytes that each needs, in the order in which they are to be done.
    pub fn new(tasks: impl Iterator<Item = (u64, T)>) -> Self {
        Self { inner: Mutex::new(Inner { waiting: tasks.collect(), held: 0 }), freed: Condvar::new() }
    }

    /// The first task for which there is room, with the room that it holds; one alone always has room. `None` when there is nothing
    /// more to do, or `stop` is set.
    pub fn next(&self, stop: &AtomicBool) -> Option<(T, Held<'_, T>)> {
        let mut inner = self.lock();
        while !stop.load(Ordering::Relaxed) && !inner.waiting.is_empty() {
            let held = inner.held;
            let found =
                inner.waiting.iter().position(|(need, _)| held == 0 || held.saturating_add(*need) <= MOST_BYTES);
            if let Some(place) = found {
                let (bytes, task) = inner.waiting.remove(place);
                inner.held += bytes;
                return Some((task, Held { room: self, bytes }));
            }
            inner = self.freed.wait_timeout(inner, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that a task holds until it is dropped.
pub(super) struct Held<'a, T> {
    room: &'a Room<T>,
    bytes: u64,
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.room.lock().held -= self.bytes;
        self.room.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU64, thread};

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn together_they_never_hold_more_than_there_is() {
        let sizes = [1200, 1000, 900, 600, 400, 400, 150, 150, 150].map(|mebibytes| mebibytes * MIB);
        let room = Room::new(sizes.iter().map(|size| (*size, *size)));
        let (stop, now, most, done) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some((size, _held)) = room.next(&stop) {
                        let sum = now.fetch_add(size, Ordering::SeqCst) + size;
                        most.fetch_max(sum, Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(5));
                        now.fetch_sub(size, Ordering::SeqCst);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 9);
        let most = most.into_inner();
        assert!(most <= MOST_BYTES && most > 1200 * MIB, "{} MiB at the same time", most / MIB);
    }

    #[test]
    fn the_first_that_fits_goes_next_and_one_alone_always_does() {
        let room = Room::new([(9000 * MIB, 'a'), (900 * MIB, 'b'), (800 * MIB, 'c'), (300 * MIB, 'd')].into_iter());
        let stop = AtomicBool::new(false);
        let next = || room.next(&stop);
        let (name, held) = next().unwrap();
        assert_eq!(name, 'a', "larger than all there is, but alone");
        drop(held);
        let (b, held_b) = next().unwrap();
        let (d, _held_d) = next().unwrap();
        assert_eq!((b, d), ('b', 'd'), "c does not fit beside b");
        drop(held_b);
        assert_eq!(next().unwrap().0, 'c');
        assert!(next().is_none());
        let waiting = Room::new([(MIB, 'a')].into_iter());
        stop.store(true, Ordering::Relaxed);
        assert!(waiting.next(&stop).is_none(), "asked to stop");
    }

    #[test]
    fn a_model_weighs_more_than_a_table_of_its_size() {
        let need_of =
            |name: &str, bytes| need(crate::FORMATS.iter().find(|format| format.name == name).unwrap(), bytes);
        assert_eq!(need_of("shapefile", 0), LEAST_BYTES);
        assert!(need_of("ifc", 48_000_000) > 2 * need_of("shapefile", 48_000_000));
        assert!(2 * need_of("ifc", 160_000_000) > MOST_BYTES, "two large models are read one after the other");
        assert_eq!(need_of("ifc", u64::MAX), MOST_BYTES_OF_A_SOURCE);
    }
}
