//! How busy the endpoint threads keep the interpreter: what tells a call that blocks from one that waits for its turn.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is averaged over.
const WINDOW: Duration = Duration::from_millis(20);
/// From here on the interpreter counts as busy, in thousandths of one core.
const BUSY: u32 = 700;

/// CPU time of jobs over the last window.
#[derive(Default)]
pub(super) struct Load {
    /// Nanoseconds in the present window.
    cpu: AtomicU64,
    begun: Mutex<Option<Instant>>,
    /// Thousandths of a core in the window before.
    rate: AtomicU32,
}

impl Load {
    /// Add what a job has used.
    pub(super) fn add(&self, used: Duration, now: Instant) {
        let nanoseconds = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        self.cpu.fetch_add(nanoseconds, Ordering::Relaxed);
        // Whoever comes while another thread looks has been counted, and need not look.
        let Ok(mut begun) = self.begun.try_lock() else { return };
        let window = now.saturating_duration_since(*begun.get_or_insert(now));
        if window >= WINDOW {
            let cpu = self.cpu.swap(0, Ordering::Relaxed);
            let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
            let rate = u32::try_from(cpu.saturating_mul(1000) / window).unwrap_or(u32::MAX);
            self.rate.store(rate, Ordering::Relaxed);
            *begun = Some(now);
        }
    }

    /// Whether the interpreter has little time left: a call that takes long may only be waiting for it.
    pub(super) fn is_high(&self) -> bool {
        self.rate.load(Ordering::Relaxed) >= BUSY
    }
}
