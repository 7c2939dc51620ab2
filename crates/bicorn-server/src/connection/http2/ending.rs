//! How streams and the connection end, other than by being complete.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use h2::Reason;

use super::stream::Lost;
use super::{Connection, Engine};
use crate::application::Application;
use crate::io_thread::Thread;

/// Bytes that are discarded while lingering (arbitrary: a large upload in flight on a fast link).
const LINGER_BYTES: usize = 8 * 1024 * 1024;

impl Connection {
    /// Say GOAWAY, and end once the streams on their way are served. False if nothing was begun.
    pub(super) fn leave(&mut self) -> bool {
        if !self.is_leaving {
            self.is_leaving = true;
            match &mut self.engine {
                Engine::Handshake(_) => return false,
                Engine::Open(connection) => connection.graceful_shutdown(),
                Engine::Over => {}
            }
        }
        true
    }

    /// Whether GOAWAY is due: at once, but one whose preface is still on its way may be kept for it.
    pub(super) fn must_leave<A: Application>(&self, thread: &Thread<A>) -> bool {
        thread.is_closing_idle() || (thread.is_draining() && !matches!(self.engine, Engine::Handshake(_)))
    }

    /// End the streams whose response or WebSocket was given up, once what there is of it has left; true if there were any.
    pub(super) fn reset_broken(&mut self) -> bool {
        let mut has_reset = false;
        for serial in std::mem::take(&mut self.broken) {
            let Some(carried) = self.streams.get(&serial) else { continue };
            if carried.has_said_all() {
                let reason = carried.failure();
                self.reset(serial, reason);
                has_reset = true;
            } else {
                self.broken.push(serial);
            }
        }
        has_reset
    }

    /// A stream is gone, through the peer's fault or wish.
    pub(super) fn forget(&mut self, serial: u64, lost: &Lost) {
        self.overflows += usize::from(lost.is_overflow);
        self.lose(serial);
    }

    /// A stream is gone: its application hears of it.
    pub(super) fn lose(&mut self, serial: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != serial);
        if let Some(mut stream) = self.streams.remove(&serial) {
            stream.disconnect();
        }
    }

    /// Tell the peer that a stream ends here, and the application that its peer is gone.
    pub(super) fn reset(&mut self, serial: u64, reason: Reason) {
        if let Some(stream) = self.streams.get_mut(&serial) {
            stream.reset(reason);
        }
        self.lose(serial);
    }

    pub(super) fn lose_all(&mut self) {
        for stream in self.streams.values_mut() {
            stream.disconnect();
        }
        self.waiting.clear();
        self.streams.clear();
        self.listed.clear();
        self.broken.clear();
    }

    /// RFC 9113 §10.5: the peer makes more work than a peer in good faith.
    pub(super) fn calm_down(&mut self) {
        self.is_calming = true;
        self.is_leaving = true;
        match &mut self.engine {
            Engine::Open(connection) => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
            Engine::Handshake(_) | Engine::Over => self.engine = Engine::Over,
        }
        self.lose_all();
    }

    /// Closing a socket with unread bytes sends a reset, and the peer could lose what was said last.
    pub(super) fn linger(&mut self) -> Poll<()> {
        let discarded = self.lingered.get_or_insert(0);
        if self.carrier.flush().is_err() {
            return Poll::Ready(());
        }
        while !self.carrier.is_peer_finished() && *discarded < LINGER_BYTES {
            match self.carrier.discard(LINGER_BYTES) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(length)) => *discarded += length,
                Poll::Ready(Err(_)) => break,
            }
        }
        Poll::Ready(())
    }

    /// The connection is dropped, for whatever reason.
    pub(in crate::connection) fn abandon(&mut self) {
        for stream in self.streams.values_mut() {
            stream.disconnect();
        }
        let (streams, waiting) = (std::mem::take(&mut self.streams), std::mem::take(&mut self.waiting));
        let engine = std::mem::replace(&mut self.engine, Engine::Over);
        // After a panic inside h2 its handles panic again when they are dropped; the thread must not end of it.
        let _ = catch_unwind(AssertUnwindSafe(move || {
            drop(waiting);
            drop(streams);
        }));
        let _ = catch_unwind(AssertUnwindSafe(move || drop(engine)));
    }
}
