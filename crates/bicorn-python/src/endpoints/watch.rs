//! Looks after the queue while somebody is awake, and wakes another thread when jobs stay in it.
//!
//! A thread of its own, never attached, asleep unless there was something to look after in the last moments.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::pool::EndpointThreads;
use crate::handoff::lock;

/// How long a job may stay in the queue until another thread is woken. Shorter costs wake-ups under load (each about
/// 5 µs), longer delays the first calls of an endpoint that blocks.
const TICK: Duration = Duration::from_millis(1);
/// Ticks with an empty queue until the watch sleeps.
const QUIET_TICKS: u32 = 50;

#[derive(Default)]
pub(super) struct Watch {
    /// It looks, or is about to.
    is_armed: AtomicBool,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_needed: bool,
    is_started: bool,
    is_stopping: bool,
}

impl Watch {
    /// See to it that somebody looks after the queue.
    pub(super) fn arm(&self, pool: &Arc<EndpointThreads>) {
        if self.is_armed.load(Ordering::Relaxed) || self.is_armed.swap(true, Ordering::SeqCst) {
            return;
        }
        let must_start = {
            let mut state = lock(&self.shared.state);
            state.is_needed = true;
            !std::mem::replace(&mut state.is_started, true) && !state.is_stopping
        };
        if !must_start {
            self.shared.changed.notify_one();
            return;
        }
        let (shared, pool) = (Arc::clone(&self.shared), Arc::downgrade(pool));
        let named = std::thread::Builder::new().name("bicorn-endpoints".to_owned());
        if named.spawn(move || watch(&shared, &pool)).is_err() {
            // Without it the queue is worked off by whoever is awake; the next job tries again.
            lock(&self.shared.state).is_started = false;
            self.is_armed.store(false, Ordering::SeqCst);
        }
    }

    /// End it.
    pub(super) fn stop(&self) {
        lock(&self.shared.state).is_stopping = true;
        self.shared.changed.notify_one();
    }

    fn disarm(&self) {
        self.is_armed.store(false, Ordering::SeqCst);
    }
}

fn watch(shared: &Shared, pool: &Weak<EndpointThreads>) {
    while shared.sleep_until_needed() {
        let mut quiet = 0;
        let mut before = (0, 0);
        while quiet < QUIET_TICKS {
            if !shared.tick() {
                return;
            }
            let Some(pool) = pool.upgrade() else { return };
            let (taken, queued) = pool.progress();
            quiet = if queued == 0 { quiet + 1 } else { 0 };
            // First come, first served: something that stood in the queue at the last look still stands there.
            let (taken_before, queued_before) = before;
            if taken - taken_before < queued_before {
                pool.help();
            }
            before = (taken, queued);
        }
        let Some(pool) = pool.upgrade() else { return };
        pool.watch().disarm();
        // Between the last look and this moment nobody would have armed it.
        if pool.progress().1 > 0 {
            pool.watch().arm(&pool);
        }
    }
}

impl Shared {
    /// False when the watch is to end.
    fn sleep_until_needed(&self) -> bool {
        let mut state = lock(&self.state);
        while !state.is_needed && !state.is_stopping {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_needed = false;
        !state.is_stopping
    }

    /// False when the watch is to end.
    fn tick(&self) -> bool {
        let state = lock(&self.state);
        let (state, _) = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
        !state.is_stopping
    }
}
