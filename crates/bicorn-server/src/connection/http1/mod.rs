//! A conversation in HTTP/1: reads, parses, hands over, writes.
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

mod turn;
mod upgrade;
mod wait;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bicorn_http::Output;
use bicorn_http::exchange::HIGH_WATER_BYTES;
use bicorn_http::http1;
use bicorn_http::websocket::session::Session;

use super::files::WriteError;
use super::handing_over::Waiting;
use super::in_flight::InFlight;
use super::socket::Socket;
use super::{LINGER_BYTES, Seed, Step, http2};
use crate::application::{Application, ConnectionInfo, Notice};
use crate::deadline::NEVER;
use crate::io_thread::Thread;
use crate::meter::Measure;
use wait::Wait;

/// Bytes of later requests that are read ahead while one is answered: enough to notice the peer's FIN behind
/// a few pipelined requests, little enough to cost nothing.
const READ_AHEAD_BYTES: usize = 16 * 1024;

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
    socket: Socket,
    info: Arc<ConnectionInfo>,
    engine: http1::Connection,
    phase: Phase,
    /// The exchange in flight, until its response is complete or given up.
    control: Option<InFlight>,
    /// The same for the metrics, until the socket has all of the response.
    measure: Option<Measure>,
    /// What the hand-off had no place for yet.
    waiting: Option<Waiting>,
    /// The WebSocket that the application has accepted: the connection is to become its conversation.
    session: Option<Box<Session>>,
    /// Commands for exchanges before this one belong to an earlier user of the slot.
    first_serial: u64,
    output: Output,
    /// What content in `output` cost and its sender has not been told about, in bytes.
    uncredited: usize,
    /// Read from the socket, not yet taken by the engine.
    unread: Vec<u8>,
    /// The peer sent FIN.
    is_peer_finished: bool,
    /// The peer may be in the middle of sending something that nobody will read.
    must_linger: bool,
    /// The peer must not take the end of the connection for the end of the response.
    must_reset: bool,
    /// At least one exchange is over.
    has_served: bool,
    /// What a fresh connection has said while that may become HTTP/2's preface.
    undecided: Option<Vec<u8>>,
    wait: Wait,
    /// Bytes that the kernel held for the peer when the wait for it began.
    unsent: usize,
    /// When [`Connection::expire`] is due, on the thread's clock.
    deadline: u64,
}

impl Connection {
    pub(super) fn new(seed: Seed<Socket>, limits: http1::Limits, may_become_http2: bool) -> Self {
        let Seed { key, transport: socket, info, first_serial } = seed;
        Self {
            key,
            socket,
            info,
            engine: http1::Connection::new(limits),
            phase: Phase::Open,
            control: None,
            measure: None,
            waiting: None,
            session: None,
            first_serial,
            output: Output::default(),
            uncredited: 0,
            unread: Vec::new(),
            is_peer_finished: false,
            must_linger: false,
            must_reset: false,
            has_served: false,
            undecided: may_become_http2.then(Vec::new),
            wait: Wait::Nothing,
            unsent: 0,
            deadline: NEVER,
        }
    }

    /// What another conversation is made of that takes this one's place.
    pub(super) fn into_seed(self) -> Seed<Socket> {
        let Self { key, socket, info, first_serial, .. } = self;
        Seed { key, transport: socket, info, first_serial }
    }

    /// Note that the socket may be ready: for the connection's own task.
    pub(super) fn wake_up(&mut self, waker: &Waker) {
        self.socket.wake_up(waker);
    }

    /// The waker of the connection's task, once it has run.
    pub(super) fn waker(&self) -> Option<Waker> {
        self.socket.waker()
    }

    /// When [`Connection::expire`] is due.
    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Do all that can be done now.
    pub(super) fn drive<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        thread: &Thread<A>,
    ) -> Poll<Step> {
        self.leave_if_due(thread);
        if thread.is_closing_idle() {
            self.drain_handshake(thread);
        }
        loop {
            if let Some(said) = self.take_preface() {
                return Poll::Ready(Step::Http2(said));
            }
            self.take_turn(thread);
            if self.write(context, thread).is_err() || self.finish(context).is_ready() {
                self.lose();
                return Poll::Ready(Step::Over);
            }
            if self.may_take_turn() {
                // The socket has taken what held a pipelined request back.
                continue;
            }
            if self.socket.is_read_armed() || self.room_to_read() == 0 {
                break;
            }
            match self.read(context, thread) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.lose();
                    return Poll::Ready(Step::Over);
                }
            }
        }
        if thread.is_closing_idle() && self.is_between_exchanges() {
            // Nothing is owed, and a last look at the socket found nothing.
            return Poll::Ready(Step::Over);
        }
        self.set_deadline(thread);
        Poll::Pending
    }

    /// The server leaves, or keeps no connection alive.
    fn leave_if_due<A: Application>(&mut self, thread: &Thread<A>) {
        if thread.is_closing_idle() || !thread.settings().keep_alive {
            self.engine.stop_keep_alive();
        } else if thread.is_draining() {
            self.engine.announce_close();
        }
    }

    /// Whether no exchange is in flight, and no whole head of one has arrived.
    fn is_between_exchanges(&self) -> bool {
        self.phase == Phase::Open
            && self.engine.is_reading_head()
            && self.unread.is_empty()
            && self.is_written()
            && self.socket.is_read_armed()
    }

    /// Write until everything is written or the socket is full.
    fn write<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        thread: &Thread<A>,
    ) -> Result<(), WriteError> {
        let written =
            thread.with_scratch(|scratch| self.socket.write_with_files(context, &mut self.output, scratch));
        if let Err(WriteError::File(error)) = &written {
            // The peer must not take what it has for the whole (RFC 9112 §8).
            self.socket.reset_on_close();
            thread.application().notice(Notice::FileFailed(error.to_string()));
        }
        written?;
        let still_queued = self.uncredited.min(self.output.held());
        if let Some(control) = &self.control {
            control.written(self.uncredited - still_queued);
        }
        self.uncredited = still_queued;
        if self.control.is_none() && self.is_written() {
            self.measure = None;
        }
        Ok(())
    }

    /// Whether the peer has taken too little of the answers so far to be given another: one that pipelines
    /// and does not read must not make responses, or open files, pile up here.
    fn is_backed_up(&self) -> bool {
        self.output.held() >= HIGH_WATER_BYTES
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
            Phase::Open if self.engine.is_reading_head() && self.is_backed_up() => 0,
            Phase::Open if self.engine.is_reading_head() => usize::MAX,
            Phase::Open if self.engine.is_reading_content() => {
                self.control.as_ref().map_or(usize::MAX, InFlight::body_room)
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
            let read = ready!(self.socket.read(context, &mut scratch[..length]))?;
            if read == 0 {
                self.stop_deciding(thread);
                self.finish_peer();
            } else {
                self.take(&scratch[..read], thread);
            }
            Poll::Ready(Ok(()))
        })
    }

    fn take<A: Application>(&mut self, bytes: &[u8], thread: &Thread<A>) {
        if let Some(said) = &mut self.undecided {
            said.extend_from_slice(bytes);
            if http2::is_preface(said) == Some(false) {
                self.stop_deciding(thread);
            }
        } else if let Phase::Lingering { discarded } = &mut self.phase {
            *discarded += bytes.len();
        } else if self.unread.is_empty() {
            self.parse(bytes, thread);
        } else {
            self.unread.extend_from_slice(bytes);
        }
    }

    /// What was said, if it is HTTP/2.
    fn take_preface(&mut self) -> Option<Vec<u8>> {
        if self.undecided.as_deref().and_then(http2::is_preface) == Some(true) {
            self.undecided.take()
        } else {
            None
        }
    }

    /// Whether what was said can become nothing but HTTP/2's preface, whose method is reserved (RFC 9113 §11.6).
    pub(super) fn is_saying_preface(&self) -> bool {
        self.undecided.as_ref().is_some_and(|said| said.len() >= b"PRI ".len())
    }

    /// It is HTTP/1 that is spoken, or nothing more will be said.
    pub(super) fn stop_deciding<A: Application>(&mut self, thread: &Thread<A>) {
        if let Some(said) = self.undecided.take() {
            self.parse(&said, thread);
        }
    }

    fn finish_peer(&mut self) {
        self.is_peer_finished = true;
        if self.control.as_ref().is_some_and(|control| !control.peer_finished()) {
            self.give_up_exchange();
            self.phase = Phase::Closing;
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
            Phase::Closing if self.is_written() && self.must_reset => {
                self.socket.reset_on_close();
                Poll::Ready(())
            }
            Phase::Closing if self.is_written() => {
                let is_shut = ready!(self.socket.poll_shutdown(context)).is_ok();
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

    /// Whether the kernel has all of the answers so far.
    fn is_written(&self) -> bool {
        self.output.is_empty() && self.socket.is_flushed()
    }

    /// Close without a word, after whatever the peer is sending.
    pub(super) fn dismiss(&mut self) {
        self.must_linger = true;
        self.phase = Phase::Closing;
    }

    /// The peer is gone: nothing can be read or written any more.
    pub(super) fn lose(&mut self) {
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

    /// The connection is dropped, for whatever reason.
    pub(super) fn abandon(&mut self) {
        if self.engine.is_delimited_by_close() {
            // Cut off, by a closing server or a panic: it must not look complete.
            self.socket.reset_on_close();
        } else {
            self.socket.announce_close();
        }
        self.give_up_exchange();
    }
}
