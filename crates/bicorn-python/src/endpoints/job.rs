//! What an endpoint thread is asked to do.

use std::sync::Arc;
use std::time::Instant;

use super::call::Call;
use super::stats::CallStats;
use crate::handoff::Arrival;

/// One thing to do in an endpoint thread.
pub(crate) struct Job {
    pub(super) work: Work,
    /// What is known of the function at its heart.
    pub(super) stats: Arc<CallStats>,
    /// It is known to block: it needs a thread of its own.
    pub(super) is_blocking: bool,
    pub(super) queued_at: Instant,
}

pub(super) enum Work {
    /// Drive an exchange whose route is proven.
    Exchange(Arrival),
    /// Call a function for a task of the loop.
    Call(Call),
}

impl Job {
    /// An exchange of a proven route.
    pub(crate) fn exchange(arrival: Arrival, stats: Arc<CallStats>) -> Self {
        Self::new(Work::Exchange(arrival), stats)
    }

    /// A function to call.
    pub(crate) fn call(call: Call, stats: Arc<CallStats>) -> Self {
        Self::new(Work::Call(call), stats)
    }

    fn new(work: Work, stats: Arc<CallStats>) -> Self {
        Self { work, is_blocking: stats.blocks(), stats, queued_at: Instant::now() }
    }
}
