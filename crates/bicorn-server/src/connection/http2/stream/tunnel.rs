//! A stream behind an accepted extended CONNECT (RFC 8441): the frames of a WebSocket are its content.
//!
//! ```text
//!   Open ──session over, all handed over: END_STREAM──▶ Lingering ──the peer's END_STREAM, or deadline──▶ dropped
//!     ├──the application gives up: RST_STREAM behind what was said────────────────────────────────────────▲
//!     └──the peer's RST_STREAM, no credit for too long, no answer to a close frame────────────────────────┘
//! ```
//! `END_STREAM` is what FIN is to TCP, and `RST_STREAM(CANCEL)` what its reset is (RFC 8441 §5). The session
//! (`bicorn_http::websocket::session`) knows what is said; here its bytes are moved. The peer gets new credit for what
//! the session has taken: a WebSocket whose application is behind keeps its own window shut and nobody else's.

use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bicorn_http::http1::connection::DRAIN_BYTES;
use bicorn_http::websocket::session::Session;
use bicorn_http::{Action, Output};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};

use super::{Behind, Fed, Lost, SHARE_BYTES, Turn, ask_for_credit};
use crate::connection::websocket::{Unread, count_messages};
use crate::deadline::NEVER;
use crate::meter::Meter;

/// A WebSocket and its stream.
#[derive(Debug)]
pub(in crate::connection::http2) struct Tunnel {
    session: Session,
    meter: Option<Rc<Meter>>,
    output: Output,
    unread: Unread,
    phase: Phase,
    send: SendStream<Bytes>,
    receive: RecvStream,
    waker: Waker,
    /// The peer sent `END_STREAM`.
    is_peer_finished: bool,
    pub(in crate::connection::http2) turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The application gave up: the stream is reset behind what it said before.
    Aborting,
    /// `END_STREAM` was sent. Resetting the stream at once could cost the peer the close frame.
    Lingering {
        discarded: u64,
        until: u64,
    },
}

impl Tunnel {
    /// Go on behind the 200, with bytes that came before it was sent.
    pub(in crate::connection::http2) fn new(
        session: Session,
        send: SendStream<Bytes>,
        behind: Behind,
        meter: Option<Rc<Meter>>,
    ) -> Self {
        let Behind { receive, waker, early } = behind;
        Self {
            session,
            meter,
            output: Output::default(),
            unread: Unread::new(early),
            phase: Phase::Open,
            send,
            receive,
            waker,
            is_peer_finished: false,
            turn: Turn::default(),
        }
    }

    /// Take what arrived, as far as there is room, and hear of the end.
    pub(super) fn receive(&mut self, now: u64) -> Result<(), Lost> {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        let taken = self.unread.feed(&mut self.session, || now, &mut self.output);
        self.release(taken);
        while self.may_read() {
            match self.receive.poll_data(&mut context) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(bytes))) => self.take(&bytes, now),
                Poll::Ready(Some(Err(error))) => {
                    count_messages(&mut self.session, self.meter.as_ref());
                    return Err(Lost::because(error.reason()));
                }
                Poll::Ready(None) => self.is_peer_finished = true,
            }
        }
        count_messages(&mut self.session, self.meter.as_ref());
        self.finish();
        match self.send.poll_reset(&mut context) {
            Poll::Pending => Ok(()),
            Poll::Ready(reason) => Err(Lost::because(reason.ok())),
        }
    }

    /// Whether h2 is asked for more. It is even while the application is behind: h2 ends a connection for which it has
    /// to keep many small frames, and what has no room costs less here. The window bounds it.
    fn may_read(&self) -> bool {
        match self.phase {
            _ if self.is_peer_finished => false,
            Phase::Open | Phase::Aborting => true,
            Phase::Lingering { discarded, .. } => discarded <= DRAIN_BYTES,
        }
    }

    fn take(&mut self, bytes: &[u8], now: u64) {
        let mut rest = bytes;
        if let Phase::Lingering { discarded, .. } = &mut self.phase {
            *discarded += bytes.len() as u64;
            rest = &[];
        } else {
            if self.unread.is_empty() {
                self.session.read(&mut rest, || now, &mut self.output);
            }
            self.unread.keep(rest);
        }
        self.release(bytes.len() - rest.len());
    }

    fn release(&mut self, taken: usize) {
        // An error says that the stream is over, which `receive` finds out.
        let _ = self.receive.flow_control().release_capacity(taken);
    }

    /// Behind the last byte of a peer: without its close frame that is the end, whatever it may still read.
    fn finish(&mut self) {
        // Without room, the session still has something to do: to hand a message up, or to tell of a violation.
        if self.is_peer_finished && self.unread.is_empty() && self.session.has_room() {
            self.session.lose();
            self.output.clear();
        }
    }

    /// Hand output over to h2, as far as the peer has given credit; `END_STREAM` behind the last of it.
    pub(super) fn feed(&mut self, linger_until: u64) -> Result<Fed, Lost> {
        let mut share = SHARE_BYTES;
        while !self.output.is_empty() {
            let wanted = self.output.len().min(share);
            if wanted == 0 {
                return Ok(Fed::More);
            }
            let credit = ask_for_credit(&mut self.send, wanted, &self.waker)?;
            let Some(capacity) = credit else { return Ok(Fed::Blocked) };
            let bytes = self.output.take(capacity);
            share -= bytes.len();
            self.send.send_data(bytes, false).map_err(|_| Lost::because(None))?;
            self.turn.stalled_at = None;
            // What waited for room may be queued now.
            self.session.written(&mut self.output);
        }
        if self.session.is_over() && self.phase == Phase::Open {
            self.send.send_data(Bytes::new(), true).map_err(|_| Lost::because(None))?;
            self.phase = Phase::Lingering { discarded: 0, until: linger_until };
        }
        Ok(Fed::Empty)
    }

    /// Do what the application asks. True when it gives up, and the stream is to be reset.
    pub(in crate::connection::http2) fn command(
        &mut self,
        action: Action,
        now: impl FnOnce() -> u64,
    ) -> bool {
        let gives_up = matches!(action, Action::Close) && !self.session.is_over();
        self.session.command(action, now, &mut self.output);
        count_messages(&mut self.session, self.meter.as_ref());
        if gives_up && self.session.is_over() {
            self.phase = Phase::Aborting;
        }
        self.phase == Phase::Aborting && gives_up
    }

    /// The server stops.
    pub(in crate::connection::http2) fn drain(&mut self) {
        self.session.drain(&mut self.output);
    }

    /// Do what is due at `now`. A reason says that the stream ends with it.
    pub(in crate::connection::http2) fn tick(&mut self, now: u64) -> Option<Reason> {
        match self.phase {
            Phase::Lingering { until, .. } => (until <= now).then_some(Reason::NO_ERROR),
            Phase::Open | Phase::Aborting => {
                (!self.session.tick(now, &mut self.output)).then_some(Reason::CANCEL)
            }
        }
    }

    /// When [`Tunnel::tick`] has something to do.
    pub(in crate::connection::http2) fn deadline(&self) -> u64 {
        match self.phase {
            Phase::Lingering { until, .. } => until,
            Phase::Open | Phase::Aborting => self.session.deadline().unwrap_or(NEVER),
        }
    }

    /// Whether all is said, if not yet sent.
    pub(super) fn is_settled(&self) -> bool {
        self.session.is_over()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty() || (self.session.is_over() && self.phase == Phase::Open)
    }

    pub(super) fn has_said_all(&self) -> bool {
        self.output.is_empty() || self.turn.stalled_at.is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open | Phase::Aborting => false,
            Phase::Lingering { discarded, .. } => self.is_peer_finished || discarded > DRAIN_BYTES,
        }
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        self.send.send_reset(reason);
    }

    pub(super) fn disconnect(&mut self) {
        self.session.lose();
    }
}
