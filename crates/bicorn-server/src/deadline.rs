//! Deadlines without a timer per connection.
//!
//! A connection notes when it must be looked at; one task an I/O thread sleeps until the earliest of these
//! times. Setting a deadline costs one comparison, and a server without connections has no timer at all.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Two looks are at least this far apart, so that many connections with deadlines close together cost one
/// look (arbitrary: a tenth of the shortest sensible deadline).
pub(crate) const SWEEP_INTERVAL_MILLIS: u64 = 100;

/// No deadline.
pub(crate) const NEVER: u64 = u64::MAX;

/// The clock and the alarm of one I/O thread. Times are milliseconds since the thread began.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// When the sweeping task wakes.
    next_sweep: Cell<u64>,
    /// Wakes the sweeping task so that it takes an earlier time.
    sweeper: RefCell<Option<Waker>>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), next_sweep: Cell::new(NEVER), sweeper: RefCell::new(None) }
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NEVER)
    }

    /// The time `after` from `now`; [`NEVER`] without a duration.
    pub(crate) fn deadline(now: u64, after: Option<Duration>) -> u64 {
        after.map_or(NEVER, |after| now.saturating_add(u64::try_from(after.as_millis()).unwrap_or(NEVER)))
    }

    /// Make sure that a sweep takes place at `deadline` or shortly after.
    pub(crate) fn arm(&self, deadline: u64) {
        if deadline < self.next_sweep.get() {
            self.next_sweep.set(deadline);
            if let Some(sweeper) = &*self.sweeper.borrow() {
                sweeper.wake_by_ref();
            }
        }
    }

    /// The instant of the next sweep, if there is to be one; remembers whom to wake for an earlier one.
    pub(crate) fn next_sweep(&self, waker: &Waker) -> Option<Instant> {
        self.sweeper.borrow_mut().get_or_insert_with(|| waker.clone());
        match self.next_sweep.get() {
            NEVER => None,
            at => self.start.checked_add(Duration::from_millis(at)),
        }
    }

    /// Plan the sweep after the one at `now`, for the earliest deadline left.
    pub(crate) fn plan(&self, now: u64, earliest: u64) {
        self.next_sweep.set(if earliest == NEVER {
            NEVER
        } else {
            earliest.max(now.saturating_add(SWEEP_INTERVAL_MILLIS))
        });
    }
}
