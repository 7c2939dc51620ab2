//! Waiting for what polls.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Nothing that is awaited takes this long, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Wait until `poll` is ready.
pub(crate) fn wait<T>(poll: impl FnMut(&Waker) -> Poll<T>) -> T {
    wait_at_most(PATIENCE, poll).expect("what the test waits for happens")
}

/// Wait until `poll` is ready, but not for ever.
pub(crate) fn wait_at_most<T>(limit: Duration, mut poll: impl FnMut(&Waker) -> Poll<T>) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let start = Instant::now();
    loop {
        if let Poll::Ready(value) = poll(&waker) {
            return Some(value);
        }
        thread::park_timeout(limit.checked_sub(start.elapsed())?);
    }
}
