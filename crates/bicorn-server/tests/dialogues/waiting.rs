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

/// Wait until a count that nobody announces is right.
pub(crate) fn wait_until(is_done: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < PATIENCE, "what the test waits for happens");
        thread::park_timeout(Duration::from_millis(1));
    }
}
