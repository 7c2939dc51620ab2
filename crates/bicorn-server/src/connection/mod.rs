//! One peer's conversation: reads, parses, hands over, writes.
//!
//! ```text
//!            ┌────────── exchange over, keep-alive ─────────┐
//!            ▼                                              │
//!   Open: head ──▶ hand-off ──▶ content up, response down ──┤
//!                                                           │ close, refusal, shutdown
//!                                     Closing: flush, FIN ◀─┘
//!                                          │ the peer may still be sending
//!                                          ▼
//!                                     Lingering: discard until FIN or deadline
//! ```
//! [`Connection::drive`] does whatever can be done without waiting. It is called by the connection's task
//! when the socket is ready, by the mailbox task when the application sent something, and by the sweeper
//! when a deadline passed; all on one I/O thread.

mod turn;
mod wait;

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bicorn_http::http1;
use bicorn_http::output::WRITE_SEGMENTS;
use bicorn_http::{Exchange, ExchangeControl, Output};
use tokio::io::ReadBuf;

use crate::application::{Application, ConnectionInfo};
use crate::deadline::NEVER;
use crate::io_thread::Thread;
use crate::transport::Transport;
use wait::Wait;

/// Bytes of later requests that are read ahead while one is answered: enough to notice the peer's FIN behind
/// a few pipelined requests, little enough to cost nothing.
const READ_AHEAD_BYTES: usize = 16 * 1024;

/// Bytes that are discarded while lingering (arbitrary: a large upload in flight on a fast link).
const LINGER_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closing,
    Lingering { discarded: usize },
}

/// A connection and all that is known of it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact about the socket")]
pub(crate) struct Connection {
    /// The connection's slot on its I/O thread.
    key: usize,
    transport: Transport,
    info: Arc<ConnectionInfo>,
    engine: http1::Connection,
    phase: Phase,
    /// The exchange in flight, until its response is complete or given up.
    control: Option<ExchangeControl>,
    /// An exchange for which the hand-off had no place yet.
    waiting: Option<Exchange>,
    /// Commands for exchanges before this one belong to an earlier user of the slot.
    first_serial: u64,
    output: Output,
    /// What content in `output` cost and its sender has not been told about, in bytes.
    uncredited: usize,
    /// Read from the socket, not yet taken by the engine.
    unread: Vec<u8>,
    /// The peer sent FIN.
    is_peer_finished: bool,
    /// The socket had nothing to read, and `waker` is woken when it has.
    is_read_armed: bool,
    /// The socket took nothing more, and `waker` is woken when it does.
    is_write_armed: bool,
    /// The peer may be in the middle of sending something that nobody will read.
    must_linger: bool,
    /// The peer must not take the end of the connection for the end of the response.
    must_reset: bool,
    /// At least one exchange is over.
    has_served: bool,
    wait: Wait,
    /// Bytes moved since the deadline was set.
    has_moved: bool,
    /// Bytes that the kernel held for the peer when the wait for it began.
    unsent: usize,
    /// When [`Connection::expire`] is due, on the thread's clock.
    deadline: u64,
    /// The connection's task.
    waker: Option<Waker>,
}

impl Connection {
    pub(crate) fn new(
        key: usize,
        transport: Transport,
        info: ConnectionInfo,
        limits: http1::Limits,
        first_serial: u64,
    ) -> Self {
        Self {
            key,
            transport,
            info: Arc::new(info),
            engine: http1::Connection::new(limits),
            phase: Phase::Open,
            control: None,
            waiting: None,
            first_serial,
            output: Output::default(),
            uncredited: 0,
            unread: Vec::new(),
            is_peer_finished: false,
            is_read_armed: false,
            is_write_armed: false,
            must_linger: false,
            must_reset: false,
            has_served: false,
            wait: Wait::Nothing,
            has_moved: false,
            unsent: 0,
            deadline: NEVER,
            waker: None,
        }
    }

    /// Note that the socket may be ready: for the connection's own task.
    pub(crate) fn wake_up(&mut self, waker: &Waker) {
        self.is_read_armed = false;
        self.is_write_armed = false;
        if self.waker.is_none() {
            self.waker = Some(waker.clone());
        }
    }

    /// The waker of the connection's task, once it has run.
    pub(crate) fn waker(&self) -> Option<Waker> {
        self.waker.clone()
    }

    /// When [`Connection::expire`] is due.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Do all that can be done now. Ready when the connection is over and can be dropped.
    ///
    /// `context` must belong to the connection's task.
    pub(crate) fn drive<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        thread: &Thread<A>,
    ) -> Poll<()> {
        if thread.is_draining() || !thread.settings().keep_alive {
            self.engine.stop_keep_alive();
        }
        loop {
            self.take_turn(thread);
            if self.write(context).is_err() || self.finish(context).is_ready() {
                self.lose();
                return Poll::Ready(());
            }
            if self.is_read_armed || self.room_to_read() == 0 {
                break;
            }
            match self.read(context, thread) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.lose();
                    return Poll::Ready(());
                }
            }
        }
        if thread.is_draining() && self.is_between_exchanges() {
            // Nothing is owed, and a last look at the socket found nothing.
            return Poll::Ready(());
        }
        self.set_deadline(thread);
        Poll::Pending
    }

    /// Whether no exchange is in flight, and no whole head of one has arrived.
    fn is_between_exchanges(&self) -> bool {
        self.phase == Phase::Open
            && self.engine.is_reading_head()
            && self.unread.is_empty()
            && self.output.is_empty()
            && self.is_read_armed
    }

    /// Write until everything is written or the socket is full.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.output.is_empty() && !self.is_write_armed {
            let written = if self.output.is_contiguous() {
                self.transport.poll_write(context, self.output.front())
            } else {
                let mut slices = [IoSlice::new(&[]); WRITE_SEGMENTS];
                let count = self.output.slices(&mut slices);
                self.transport.poll_write_vectored(context, &slices[..count])
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.output.advance(written);
                    self.has_moved = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => self.is_write_armed = true,
            }
        }
        let still_queued = self.uncredited.min(self.output.len());
        if let Some(control) = &self.control {
            control.written(self.uncredited - still_queued);
        }
        self.uncredited = still_queued;
        Ok(())
    }

    /// How many bytes may be read now; 0 when the socket is better left alone.
    fn room_to_read(&self) -> usize {
        if self.is_peer_finished {
            return 0;
        }
        match self.phase {
            Phase::Closing => 0,
            Phase::Lingering { discarded } => LINGER_BYTES.saturating_sub(discarded),
            Phase::Open if self.waiting.is_some() => 0,
            Phase::Open if self.engine.is_reading_head() => usize::MAX,
            Phase::Open if self.engine.is_reading_content() => {
                self.control.as_ref().map_or(usize::MAX, ExchangeControl::body_room)
            }
            Phase::Open => READ_AHEAD_BYTES.saturating_sub(self.unread.len()),
        }
    }

    /// Read once and take what came.
    fn read<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        thread: &Thread<A>,
    ) -> Poll<io::Result<()>> {
        let room = self.room_to_read();
        thread.with_scratch(|scratch| {
            let length = scratch.len().min(room);
            let mut buffer = ReadBuf::new(&mut scratch[..length]);
            match self.transport.poll_read(context, &mut buffer) {
                Poll::Pending => {
                    self.is_read_armed = true;
                    Poll::Pending
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    let bytes = buffer.filled();
                    if bytes.is_empty() {
                        self.finish_peer();
                    } else {
                        self.has_moved = true;
                        self.take(bytes, thread);
                    }
                    Poll::Ready(Ok(()))
                }
            }
        })
    }

    fn take<A: Application>(&mut self, bytes: &[u8], thread: &Thread<A>) {
        if let Phase::Lingering { discarded } = &mut self.phase {
            *discarded += bytes.len();
        } else if self.unread.is_empty() {
            self.parse(bytes, thread);
        } else {
            self.unread.extend_from_slice(bytes);
        }
    }

    fn finish_peer(&mut self) {
        self.is_peer_finished = true;
        if let Some(control) = &self.control {
            control.peer_finished();
        }
    }

    /// Behind the last byte: FIN, and then either the end or a wait for the peer's.
    fn finish(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_done = self.is_peer_finished && self.control.is_none() && self.waiting.is_none();
        if self.phase == Phase::Open && is_done {
            // Whatever arrived before the FIN is answered; nothing else can come.
            self.phase = Phase::Closing;
        }
        match self.phase {
            Phase::Closing if self.output.is_empty() && self.must_reset => {
                self.transport.reset_on_close();
                Poll::Ready(())
            }
            Phase::Closing if self.output.is_empty() => {
                let is_shut = matches!(self.transport.poll_shutdown(context), Poll::Ready(Ok(())));
                if !is_shut || !self.must_linger || self.is_peer_finished {
                    return Poll::Ready(());
                }
                // Closing a socket with unread bytes sends a reset, and the peer could lose the answer
                // (RFC 9112 §9.6).
                self.phase = Phase::Lingering { discarded: 0 };
                Poll::Pending
            }
            Phase::Lingering { discarded } if self.is_peer_finished || discarded >= LINGER_BYTES => {
                Poll::Ready(())
            }
            Phase::Open | Phase::Closing | Phase::Lingering { .. } => Poll::Pending,
        }
    }

    /// The peer is gone: nothing can be read or written any more.
    pub(crate) fn lose(&mut self) {
        self.give_up_exchange();
        self.output.clear();
    }

    fn give_up_exchange(&mut self) {
        self.waiting = None;
        self.uncredited = 0;
        if let Some(control) = self.control.take() {
            control.disconnect();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.engine.is_delimited_by_close() {
            // Cut off, by a closing server or a panic: it must not look complete.
            self.transport.reset_on_close();
        }
        self.give_up_exchange();
    }
}
