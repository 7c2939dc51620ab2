//! A conversation in WebSocket frames, on the socket that a 101 was written to.
//!
//! The session (`bicorn_http::websocket::session`) knows what is said; here its bytes are moved, and it is told the
//! time.
//!
//! ```text
//!   Open ──session over, all written: FIN──▶ Lingering ──the peer's FIN, or deadline──▶ dropped
//! ```

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bicorn_http::websocket::session::{Moved, Session};
use bicorn_http::{Action, ExchangeId, Output};

use super::socket::Socket;
use super::stall::Stall;
use super::{LINGER, LINGER_BYTES, Step};
use crate::application::Application;
use crate::deadline::{Clock, NEVER};
use crate::io_thread::Thread;
use crate::meter::Meter;

/// A WebSocket and its socket.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    session: Session,
    output: Output,
    unread: Unread,
    phase: Phase,
    /// The peer sent FIN.
    is_peer_finished: bool,
    /// While output waits for the socket.
    stall: Option<Stall>,
    /// When [`Connection::expire`] is due, on the thread's clock.
    deadline: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Closing a socket with unread bytes sends a reset, and the peer could lose the close frame.
    Lingering {
        discarded: usize,
        until: u64,
    },
}

impl Connection {
    /// Go on behind the 101 in `output`, with bytes that came before it was written.
    pub(super) fn new(socket: Socket, session: Session, output: Output, unread: Vec<u8>) -> Self {
        Self {
            socket,
            session,
            output,
            unread: Unread::new(unread),
            phase: Phase::Open,
            is_peer_finished: false,
            stall: None,
            deadline: NEVER,
        }
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

    /// Do what the application asked.
    pub(super) fn command<A: Application>(
        &mut self,
        exchange: ExchangeId,
        action: Action,
        thread: &Thread<A>,
    ) {
        if exchange == self.session.id() {
            self.session.command(action, || thread.clock().now(), &mut self.output);
            count_messages(&mut self.session, thread.meter());
        }
    }

    /// Do all that can be done now.
    pub(super) fn drive<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        thread: &Thread<A>,
    ) -> Poll<Step> {
        if thread.is_draining() && !self.session.is_over() {
            self.session.drain(&mut self.output);
        }
        loop {
            self.unread.feed(&mut self.session, || thread.clock().now(), &mut self.output);
            count_messages(&mut self.session, thread.meter());
            if self.write(context).is_err() || self.finish(context, thread).is_ready() {
                self.session.lose();
                return Poll::Ready(Step::Over);
            }
            if self.socket.is_read_armed() || !self.may_read() {
                break;
            }
            match self.read(context, thread) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.session.lose();
                    return Poll::Ready(Step::Over);
                }
            }
        }
        self.set_deadline(thread);
        Poll::Pending
    }

    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            self.socket.write(context, &mut self.output)?;
            let remaining = self.output.len();
            // What waited for room may be queued now.
            self.session.written(&mut self.output);
            if self.output.len() == remaining {
                return Ok(());
            }
        }
    }

    /// Whether the kernel has all that was said.
    fn is_written(&self) -> bool {
        self.output.is_empty() && self.socket.is_flushed()
    }

    fn may_read(&self) -> bool {
        match self.phase {
            _ if self.is_peer_finished => false,
            Phase::Open => self.session.has_room() && self.unread.is_empty(),
            Phase::Lingering { discarded, .. } => discarded < LINGER_BYTES,
        }
    }

    /// Read once and take what came.
    fn read<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        thread: &Thread<A>,
    ) -> Poll<io::Result<()>> {
        thread.with_scratch(|scratch| {
            let read = ready!(self.socket.read(context, scratch))?;
            if read == 0 {
                self.is_peer_finished = true;
            } else if let Phase::Lingering { discarded, .. } = &mut self.phase {
                *discarded += read;
            } else {
                let mut input = &scratch[..read];
                self.session.read(&mut input, || thread.clock().now(), &mut self.output);
                self.unread.keep(input);
                count_messages(&mut self.session, thread.meter());
                // It may have brought a message, as a head may bring an exchange.
                thread.count_handed_over();
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Behind the last byte: FIN, and then either the end or a wait for the peer's.
    fn finish<A: Application>(&mut self, context: &mut Context<'_>, thread: &Thread<A>) -> Poll<()> {
        match self.phase {
            // A peer that has left does not answer, whatever it may still read.
            _ if self.is_peer_finished => Poll::Ready(()),
            Phase::Open if self.session.is_over() && self.is_written() => {
                if ready!(self.socket.poll_shutdown(context)).is_err() {
                    return Poll::Ready(());
                }
                let wait = if thread.is_draining() { LINGER / 4 } else { LINGER };
                let until = Clock::deadline(thread.clock().now(), Some(wait));
                self.unread = Unread::default();
                self.phase = Phase::Lingering { discarded: 0, until };
                Poll::Pending
            }
            Phase::Lingering { discarded, .. } if discarded >= LINGER_BYTES => Poll::Ready(()),
            Phase::Open | Phase::Lingering { .. } => Poll::Pending,
        }
    }

    /// Note when to look again, if nothing happens before.
    fn set_deadline<A: Application>(&mut self, thread: &Thread<A>) {
        let has_moved = self.socket.take_moved();
        if self.is_written() {
            self.stall = None;
        } else if self.stall.is_none() || has_moved {
            self.stall = Some(Stall::new(&self.socket, thread));
        }
        let by_phase = match self.phase {
            Phase::Open => self.session.deadline().unwrap_or(NEVER),
            Phase::Lingering { until, .. } => until,
        };
        self.deadline = by_phase.min(self.stall.as_ref().map_or(NEVER, Stall::deadline));
        thread.clock().arm(self.deadline);
    }

    /// The deadline has passed: end what took too long. False when nothing is left to do but drop.
    pub(super) fn expire<A: Application>(&mut self, thread: &Thread<A>) -> bool {
        let now = thread.clock().now();
        if matches!(self.phase, Phase::Lingering { until, .. } if until <= now) {
            return false;
        }
        if let Some(stall) = self.stall.take_if(|stall| stall.deadline() <= now) {
            self.stall = stall.look_again(&self.socket, thread);
            if self.stall.is_none() {
                self.socket.reset_on_close();
                return false;
            }
        }
        self.session.tick(now, &mut self.output)
    }

    /// The connection is dropped, for whatever reason.
    pub(super) fn abandon(&mut self) {
        self.socket.announce_close();
        self.session.lose();
    }
}

/// Have the metrics know of the messages that a session has moved since this was called last.
pub(super) fn count_messages(session: &mut Session, meter: Option<&Rc<Meter>>) {
    let Moved { received, sent } = session.take_moved();
    if let Some(meter) = meter {
        meter.count_messages(received, sent);
    }
}

/// What arrived and is not yet taken by the session.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    /// How many of them are taken.
    taken: usize,
}

impl Unread {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, taken: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Keep bytes that follow everything that arrived before.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        // What is taken makes room once it is half of it all, so that no byte is moved more than once.
        if self.taken * 2 > self.bytes.len() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Let the session take what it can; says how many bytes it took.
    pub(super) fn feed(
        &mut self,
        session: &mut Session,
        now: impl FnOnce() -> u64,
        output: &mut Output,
    ) -> usize {
        if self.is_empty() {
            return 0;
        }
        let before = self.taken;
        let mut rest = &self.bytes[before..];
        session.read(&mut rest, now, output);
        self.taken = self.bytes.len() - rest.len();
        let taken = self.taken - before;
        if rest.is_empty() {
            *self = Self::default();
        }
        taken
    }
}
