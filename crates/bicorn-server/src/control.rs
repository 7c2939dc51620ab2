//! What all I/O threads of a server share, and what the server tells them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::board::Slot;
use crate::settings::Settings;

/// What the server tells its I/O threads; read when a thread is woken.
#[derive(Debug, Default)]
pub(crate) struct Control {
    pub(crate) stop_listening: AtomicBool,
    /// As `drain`, but idle connections are kept for their next exchange.
    pub(crate) retire: AtomicBool,
    pub(crate) drain: AtomicBool,
    pub(crate) close: AtomicBool,
}

/// How far a thread is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Leaving {
    Not,
    /// Connections close behind their next exchange.
    Retires,
    /// And idle ones at once.
    Drains,
}

impl Control {
    pub(crate) fn leaving(&self) -> Leaving {
        if self.drain.load(Ordering::Acquire) {
            Leaving::Drains
        } else if self.retire.load(Ordering::Acquire) {
            Leaving::Retires
        } else {
            Leaving::Not
        }
    }
}

/// What all I/O threads of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// What other workers, and whoever watches, see of this server.
    pub(crate) slot: Slot,
    pub(crate) control: Control,
    pub(crate) connections: AtomicUsize,
    /// Listeners not closed yet, over all threads.
    pub(crate) listeners: AtomicUsize,
}
