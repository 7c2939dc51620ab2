//! Whether a peer still takes what is written for it.

use std::os::fd::AsFd;

use crate::application::Application;
use crate::deadline::{Clock, NEVER};
use crate::io_thread::Thread;

/// A wait for a peer to take bytes.
#[derive(Debug)]
pub(super) struct Stall {
    /// When to look again.
    deadline: u64,
    /// Bytes that the kernel held for the peer at the last look.
    unsent: usize,
}

impl Stall {
    /// The wait begins, or begins anew.
    pub(super) fn new<A: Application>(socket: &impl AsFd, thread: &Thread<A>) -> Self {
        let deadline = Clock::deadline(thread.clock().now(), thread.settings().deadlines.write);
        let unsent = if deadline == NEVER { 0 } else { unsent_bytes(socket, thread) };
        Self { deadline, unsent }
    }

    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// At the deadline: the wait that goes on, or `None` when the peer has taken nothing.
    ///
    /// A socket becomes writable only when a third of its buffer is free, which a slow peer may take minutes
    /// for: what counts is whether the kernel still makes progress.
    pub(super) fn look_again<A: Application>(self, socket: &impl AsFd, thread: &Thread<A>) -> Option<Self> {
        let next = Self::new(socket, thread);
        (next.unsent < self.unsent).then_some(next)
    }
}

/// How many bytes the kernel holds for the peer, as far as it can be told.
pub(super) fn unsent_bytes<A: Application>(socket: &impl AsFd, thread: &Thread<A>) -> usize {
    (thread.settings().unsent_bytes)(socket.as_fd()).unwrap_or(0)
}
