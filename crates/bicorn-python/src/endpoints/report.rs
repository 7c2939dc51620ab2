//! What others may know of the endpoint threads: the log, and who reads the board.

use std::time::Duration;

use bicorn_server::Slot;
use bicorn_server::board::EndpointThreads as Report;

use super::pool::EndpointThreads;

/// What can be told of the threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) threads: usize,
    pub(crate) busy: usize,
    pub(crate) limit: usize,
    pub(crate) queued: usize,
    pub(crate) jobs: u64,
    /// Sum over all jobs.
    pub(crate) waited: Duration,
}

impl EndpointThreads {
    /// The board's slot, if somebody wants to know how threads do.
    fn measured(&self) -> Option<&Slot> {
        Some(self.slot()).filter(|slot| slot.board().is_measured())
    }

    /// Write how it is with the threads.
    pub(super) fn report(&self) {
        if let Some(slot) = self.measured() {
            let Figures { threads, busy, limit, queued, .. } = self.figures();
            let [threads, busy, limit, queued] = [threads, busy, limit, queued].map(|figure| figure as u64);
            slot.set_endpoint_threads(Report { threads, busy, limit, queued });
        }
    }

    /// Write that a job was taken that had waited for so long.
    pub(super) fn report_job(&self, waited: Duration) {
        if let Some(slot) = self.measured() {
            slot.endpoint_job_waited(waited);
            self.report();
        }
    }
}
