//! What a connection waits for, and how long it may.
//!
//! Streams have no timers. Each notes since when it waits, the connection notes the earliest time at which one of
//! them can be due, and only then looks at all of them.

use std::time::Duration;

use bicorn_http::PeerError;
use h2::{Ping, Reason};

use super::stream::Carried;
use super::{Connection, Engine};
use crate::application::Application;
use crate::deadline::{Clock, NEVER};
use crate::io_thread::Thread;

/// How long a closed connection waits for the peer's FIN, or a leaving one for the peer's word that it has heard; see
/// the same figure of HTTP/1.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// What must happen next, and whose fault it is if it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Nothing,
    /// The preface, or the rest of a field block.
    Head,
    /// The first stream, or another one.
    NextStream,
    /// The peer's answer to GOAWAY.
    Leave,
    /// Something on one of the streams.
    Streams,
    /// The peer taking bytes.
    Write,
    /// The peer's FIN.
    Linger,
}

impl Connection {
    fn waits_for(&self) -> Wait {
        if self.carrier.is_blocked() {
            return Wait::Write;
        }
        match self.engine {
            Engine::Over => Wait::Linger,
            Engine::Handshake(_) => Wait::Head,
            Engine::Open(_) if self.carrier.is_in_head() => Wait::Head,
            Engine::Open(_) if !self.streams.is_empty() => Wait::Streams,
            Engine::Open(_) if self.is_leaving => Wait::Leave,
            Engine::Open(_) => Wait::NextStream,
        }
    }

    /// Note when to look again, if nothing happens before.
    pub(super) fn set_deadline<A: Application>(&mut self, thread: &Thread<A>) {
        let wait = self.waits_for();
        let now = self.carrier.now();
        if self.carrier.take_has_read() {
            self.heard_at = now;
        }
        let has_moved = self.carrier.take_moved();
        if wait != self.wait || (has_moved && wait == Wait::Write) {
            self.wait = wait;
            self.begin_wait(thread);
        }
        if wait == Wait::Streams && self.streams_due < self.deadline {
            self.deadline = self.streams_due;
            thread.clock().arm(self.deadline);
        }
    }

    fn begin_wait<A: Application>(&mut self, thread: &Thread<A>) {
        let deadlines = &thread.settings().deadlines;
        let after = match self.wait {
            Wait::Nothing => None,
            Wait::Head => deadlines.head,
            Wait::NextStream => {
                self.carrier.release();
                self.settings.idle
            }
            Wait::Streams => self.settings.ping_interval,
            Wait::Write => {
                self.unsent = self.carrier.unsent_bytes(thread.settings().unsent_bytes);
                deadlines.write
            }
            Wait::Leave | Wait::Linger if thread.is_closing_idle() => Some(LINGER / 4),
            Wait::Leave | Wait::Linger => Some(LINGER),
        };
        self.deadline = Clock::deadline(self.carrier.now(), after);
        thread.clock().arm(self.deadline);
    }

    /// A stream waits for content since `now`.
    pub(super) fn note_content<A: Application>(&mut self, now: u64, thread: &Thread<A>) {
        let due = Clock::deadline(now, thread.settings().deadlines.content);
        self.streams_due = self.streams_due.min(due);
    }

    /// A stream waits for credit since `now`.
    pub(super) fn note_stall<A: Application>(&mut self, now: u64, thread: &Thread<A>) {
        let due = Clock::deadline(now, thread.settings().deadlines.write);
        self.streams_due = self.streams_due.min(due);
    }

    /// The deadline has passed: end what took too long. False when nothing is left to do but drop.
    pub(in crate::connection) fn expire<A: Application>(&mut self, thread: &Thread<A>) -> bool {
        self.deadline = NEVER;
        let now = thread.clock().now();
        self.carrier.begin_turn(now);
        match std::mem::replace(&mut self.wait, Wait::Nothing) {
            Wait::Nothing => true,
            // A field block that does not end leaves no way to speak of anything else (RFC 9113 §4.3).
            Wait::Head | Wait::Leave => {
                self.is_leaving = true;
                self.lose_all();
                match &mut self.engine {
                    Engine::Open(connection) => connection.abrupt_shutdown(Reason::NO_ERROR),
                    Engine::Handshake(_) | Engine::Over => return false,
                }
                true
            }
            Wait::NextStream => self.leave(),
            Wait::Streams => {
                self.expire_streams(now, thread);
                self.ask_for_life(now, thread)
            }
            // See the same case of HTTP/1: what counts is whether the kernel still makes progress.
            Wait::Write if self.carrier.unsent_bytes(thread.settings().unsent_bytes) < self.unsent => {
                self.wait = Wait::Write;
                self.begin_wait(thread);
                true
            }
            Wait::Write => {
                self.carrier.reset_on_close();
                false
            }
            Wait::Linger => false,
        }
    }

    /// End the streams that are due.
    fn expire_streams<A: Application>(&mut self, now: u64, thread: &Thread<A>) {
        let deadlines = &thread.settings().deadlines;
        let (mut starved, mut stalled, mut due) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = NEVER;
        for (serial, carried) in &mut self.streams {
            let credit_due =
                carried.turn().stalled_at.map_or(NEVER, |since| Clock::deadline(since, deadlines.write));
            if credit_due <= now {
                stalled.push(*serial);
                continue;
            }
            next = next.min(credit_due);
            match carried.deadline() {
                deadline if deadline <= now => due.push(*serial),
                deadline => next = next.min(deadline),
            }
            let Some(stream) = carried.exchange() else { continue };
            let content_due = if stream.awaits_content() {
                Clock::deadline(stream.received_at, deadlines.content)
            } else {
                NEVER
            };
            if content_due <= now {
                starved.push(*serial);
            } else {
                next = next.min(content_due);
                if !stream.is_request_complete() {
                    // The application may take what waits, and the peer owe more, without a word to anybody.
                    next = next.min(Clock::deadline(now, deadlines.content));
                }
            }
        }
        self.streams_due = next;
        for serial in due {
            self.tick(serial, now);
        }
        for serial in starved {
            self.time_out(serial, thread);
        }
        for serial in stalled {
            self.reset(serial, Reason::CANCEL);
        }
    }

    /// The peer sends no content: say so, if an answer can still be given.
    fn time_out<A: Application>(&mut self, serial: u64, thread: &Thread<A>) {
        let Some(stream) = self.streams.get_mut(&serial).and_then(Carried::exchange) else { return };
        if stream.is_settled() {
            return self.lose(serial);
        }
        if stream.has_begun_answer() {
            return self.reset(serial, Reason::CANCEL);
        }
        let refusal = self.refusal(PeerError::Timeout, false, thread);
        let stream = self.streams.get_mut(&serial).and_then(Carried::exchange);
        if let (Some(stream), Some((response, content))) = (stream, refusal) {
            stream.answer(response, content);
        }
        self.lose(serial);
    }

    /// Ask a peer that has said nothing for long whether it is there. False when it did not answer the last time.
    fn ask_for_life<A: Application>(&mut self, now: u64, thread: &Thread<A>) -> bool {
        let Some(interval) = self.settings.ping_interval else { return true };
        let timeout = self.settings.ping_timeout;
        let mut due = Clock::deadline(self.heard_at, Some(interval));
        if due <= now {
            let asked_at = self.asked_at.filter(|asked_at| self.heard_at < *asked_at);
            let asked_at = asked_at.unwrap_or_else(|| {
                self.ping();
                now
            });
            self.asked_at = Some(asked_at);
            due = Clock::deadline(asked_at, timeout);
            if due <= now {
                self.carrier.reset_on_close();
                return false;
            }
        }
        self.wait = Wait::Streams;
        self.deadline = due.min(self.streams_due);
        thread.clock().arm(self.deadline);
        true
    }

    fn ping(&mut self) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        if let Some(pings) = &mut self.pings {
            // The answer to the last one is taken, if it came; an error says that the connection is over.
            let _ = pings.poll_pong(&mut context);
            let _ = pings.send_ping(Ping::opaque());
        }
    }
}
