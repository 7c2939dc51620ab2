//! What a connection waits for, and how long it may.

use std::time::Duration;

use bicorn_http::PeerError;

use super::{Connection, Phase};
use crate::application::Application;
use crate::connection::LINGER;
use crate::connection::stall::unsent_bytes;
use crate::deadline::{Clock, NEVER};
use crate::io_thread::Thread;

/// What must happen next, and whose fault it is if it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The application, which may take its time.
    Nothing,
    /// The first byte of a new connection, or the rest of a head.
    Head,
    /// The first byte of another request.
    NextRequest,
    /// More content that the application would take.
    Content,
    /// The peer taking bytes.
    Write,
    /// The peer's FIN.
    Linger,
}

impl Connection {
    fn waits_for(&self) -> Wait {
        if !self.is_written() {
            return Wait::Write;
        }
        match self.phase {
            Phase::Lingering { .. } => Wait::Linger,
            Phase::Open if self.waiting.is_some() => Wait::Nothing,
            Phase::Open if self.engine.is_idle() && self.has_served => Wait::NextRequest,
            Phase::Open if self.engine.is_reading_head() => Wait::Head,
            Phase::Open if self.engine.is_reading_content() && self.room_to_read() > 0 => Wait::Content,
            Phase::Open | Phase::Closing => Wait::Nothing,
        }
    }

    /// Note when to look again, if nothing happens before.
    pub(super) fn set_deadline<A: Application>(&mut self, thread: &Thread<A>) {
        let wait = self.waits_for();
        let has_moved = self.socket.take_moved();
        let is_renewed = has_moved && matches!(wait, Wait::Content | Wait::Write);
        if wait == self.wait && !is_renewed {
            return;
        }
        self.wait = wait;
        if wait == Wait::NextRequest {
            self.output.release();
        }
        let deadlines = &thread.settings().deadlines;
        let after = match wait {
            Wait::Nothing => None,
            Wait::Head => deadlines.head,
            Wait::NextRequest => deadlines.keep_alive,
            Wait::Content => deadlines.content,
            Wait::Write => deadlines.write,
            Wait::Linger if thread.is_draining() => Some(LINGER / 4),
            Wait::Linger => Some(LINGER),
        };
        if wait == Wait::Write {
            self.unsent = self.unsent_bytes(thread);
        }
        self.arm(after, thread);
    }

    fn arm<A: Application>(&mut self, after: Option<Duration>, thread: &Thread<A>) {
        self.deadline = match after {
            None => NEVER,
            Some(_) => Clock::deadline(thread.clock().now(), after),
        };
        thread.clock().arm(self.deadline);
    }

    fn unsent_bytes<A: Application>(&self, thread: &Thread<A>) -> usize {
        unsent_bytes(&self.socket, thread)
    }

    /// The deadline has passed: end what took too long. False when nothing is left to do but drop.
    pub(in crate::connection) fn expire<A: Application>(&mut self, thread: &Thread<A>) -> bool {
        self.deadline = NEVER;
        let wait = std::mem::replace(&mut self.wait, Wait::Nothing);
        if self.is_saying_preface() {
            return false;
        }
        self.stop_deciding(thread);
        match wait {
            Wait::Nothing => true,
            // Somebody who has said nothing is not owed an answer (RFC 9110 §15.5.9 is for requests).
            Wait::Head if self.engine.is_idle() => false,
            Wait::Head | Wait::Content => {
                self.refuse(PeerError::Timeout, thread);
                true
            }
            Wait::NextRequest => {
                self.phase = Phase::Closing;
                true
            }
            // A socket becomes writable only when a third of its buffer is free, which a slow peer may take
            // minutes for: what counts is whether the kernel still makes progress.
            Wait::Write if self.unsent_bytes(thread) < self.unsent => {
                self.wait = Wait::Write;
                self.unsent = self.unsent_bytes(thread);
                self.arm(thread.settings().deadlines.write, thread);
                true
            }
            Wait::Write => {
                self.socket.reset_on_close();
                false
            }
            Wait::Linger => false,
        }
    }
}
