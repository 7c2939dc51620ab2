//! Which streams have something to do.
//!
//! Each stream has a waker of its own, which only notes its name: a connection with a hundred streams looks at the
//! two that got something, not at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The names of woken streams; one may stand here more than once.
#[derive(Debug, Default, Clone)]
pub(super) struct Ready(Arc<Mutex<Vec<u64>>>);

struct StreamWaker {
    serial: u64,
    ready: Ready,
}

impl Ready {
    /// A waker that puts this stream on the list.
    pub(super) fn waker(&self, serial: u64) -> Waker {
        Arc::new(StreamWaker { serial, ready: self.clone() }).into()
    }

    /// Put a stream on the list.
    pub(super) fn push(&self, serial: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(serial);
    }

    /// Exchange the list for the empty vector `into`.
    pub(super) fn take(&self, into: &mut Vec<u64>) {
        std::mem::swap(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), into);
    }
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.serial);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.push(self.serial);
    }
}
