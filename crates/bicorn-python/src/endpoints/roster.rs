//! Who of the endpoint threads is there, and who sleeps.
//!
//! ```text
//!   born ──▶ awake ──lie down──▶ asleep ──woken──▶ awake
//!              │                   └──IDLE, and not the last──▶ gone
//!              └──over the limit, or the end──▶ gone
//! ```
//! The lock is never held while Python code may run, and only for moments: threads take it attached, too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::lane::Current;
use crate::handoff::lock;

/// How long a thread sleeps before it leaves (anyio's `WorkerThread.MAX_IDLE_TIME`).
const IDLE: Duration = Duration::from_secs(10);

/// The threads of one server.
pub(super) struct Roster {
    inner: Mutex<Inner>,
    /// Threads that are not asleep.
    awake: AtomicUsize,
    /// Threads that there are.
    threads: AtomicUsize,
    /// Threads that there may be.
    limit: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    /// Who sleeps; the last to fall asleep is woken first, because its memory is warm.
    asleep: Vec<Sleeper>,
    /// What each thread works on, in no order.
    places: Vec<Arc<Place>>,
    next_id: u64,
    is_stopping: bool,
}

struct Sleeper {
    id: u64,
    thread: Thread,
}

/// What the rest of the server can see of one thread.
pub(super) struct Place {
    id: u64,
    current: Mutex<Option<Current>>,
}

impl Place {
    /// Say what this thread works on. Attached.
    pub(super) fn set(&self, current: Option<Current>) {
        let before = std::mem::replace(&mut *lock(&self.current), current);
        drop(before);
    }

    /// Take what it works on; it is not told.
    pub(super) fn take(&self) -> Option<Current> {
        lock(&self.current).take()
    }
}

impl Roster {
    /// Nobody yet.
    pub(super) fn new(limit: usize) -> Self {
        let (inner, awake, threads) = Default::default();
        Self { inner, awake, threads, limit: AtomicUsize::new(limit) }
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed).max(1)
    }

    /// Threads that there are.
    pub(super) fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed)
    }

    /// Threads that are not asleep.
    pub(super) fn awake(&self) -> usize {
        self.awake.load(Ordering::SeqCst)
    }

    /// Wake threads, and make places for new ones where nobody sleeps, as far as the limit allows; how many, and those
    /// places.
    pub(super) fn wake(&self, count: usize) -> (usize, Vec<Arc<Place>>) {
        let mut woken = 0;
        let mut born = Vec::new();
        let mut inner = lock(&self.inner);
        while woken < count {
            if let Some(sleeper) = inner.asleep.pop() {
                sleeper.thread.unpark();
            } else if inner.places.len() < self.limit() && !inner.is_stopping {
                inner.next_id += 1;
                let place = Arc::new(Place { id: inner.next_id, current: Mutex::default() });
                inner.places.push(Arc::clone(&place));
                self.threads.fetch_add(1, Ordering::Relaxed);
                born.push(place);
            } else {
                break;
            }
            self.awake.fetch_add(1, Ordering::SeqCst);
            woken += 1;
        }
        (woken, born)
    }

    /// Be counted among the sleepers. `None`: leave instead.
    pub(super) fn lie_down(&self, place: &Place) -> Option<()> {
        let mut inner = lock(&self.inner);
        let stays = !inner.is_stopping && inner.places.len() <= self.limit();
        if stays {
            inner.asleep.push(Sleeper { id: place.id, thread: std::thread::current() });
        } else {
            self.give_up(place, &mut inner);
        }
        self.awake.fetch_sub(1, Ordering::SeqCst);
        stays.then_some(())
    }

    /// Stop sleeping by oneself; false if somebody woke this thread already.
    pub(super) fn get_up(&self, place: &Place) -> bool {
        let mut inner = lock(&self.inner);
        let was_asleep = inner.is_asleep(place);
        if was_asleep {
            inner.asleep.retain(|sleeper| sleeper.id != place.id);
            self.awake.fetch_add(1, Ordering::SeqCst);
        }
        was_asleep
    }

    /// Sleep until woken. `None`: leave.
    pub(super) fn sleep(&self, place: &Place) -> Option<()> {
        let fell_asleep = Instant::now();
        loop {
            std::thread::park_timeout(IDLE);
            let mut inner = lock(&self.inner);
            if !inner.is_asleep(place) {
                return Some(());
            }
            let is_superfluous = fell_asleep.elapsed() >= IDLE && inner.asleep.len() > 1;
            if is_superfluous || inner.is_stopping {
                inner.asleep.retain(|sleeper| sleeper.id != place.id);
                self.give_up(place, &mut inner);
                return None;
            }
        }
    }

    /// A thread that was awake is no more; true if it was the last of all.
    pub(super) fn lose(&self, place: &Place) -> bool {
        let mut inner = lock(&self.inner);
        self.give_up(place, &mut inner);
        self.awake.fetch_sub(1, Ordering::SeqCst);
        inner.places.is_empty()
    }

    /// A thread leaves.
    fn give_up(&self, place: &Place, inner: &mut Inner) {
        inner.places.retain(|known| known.id != place.id);
        self.threads.store(inner.places.len(), Ordering::Relaxed);
    }

    /// What each thread works on.
    pub(super) fn places(&self) -> Vec<Arc<Place>> {
        lock(&self.inner).places.clone()
    }

    /// Nobody is born any more, and whoever sleeps leaves; how many those are.
    pub(super) fn stop(&self) -> usize {
        let mut inner = lock(&self.inner);
        inner.is_stopping = true;
        for sleeper in &inner.asleep {
            sleeper.thread.unpark();
        }
        inner.asleep.len()
    }
}

impl Inner {
    fn is_asleep(&self, place: &Place) -> bool {
        self.asleep.iter().any(|sleeper| sleeper.id == place.id)
    }
}
