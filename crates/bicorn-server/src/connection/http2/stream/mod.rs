//! One stream: an exchange, or a WebSocket that nobody has accepted yet, on one side, h2's handles on the other.
//!
//! ```text
//!   request:   Open ──▶ Complete ─────────────────────────┐
//!                                                         │ both: the stream is dropped
//!   response:  Awaiting ──▶ Streaming ──▶ Complete ───────┘
//!                   ├─────▶ Bodiless ────────┘
//!                   └─accept─▶ the stream carries a WebSocket: `tunnel.rs`
//! ```
//! Content goes up as it arrives; the peer gets new credit when the application has taken it. Content comes down
//! only as far as the peer has given credit: the rest stays here, and the application waits. A stream whose
//! response is complete reads a little more for nobody; when it is dropped before its request is complete, h2 tells
//! the peer to stop with `RST_STREAM(NO_ERROR)` (RFC 9113 §8.1).

mod carried;
mod outbox;
mod response;
mod tunnel;

use std::io;
use std::task::{Context, Poll, Waker};

use bicorn_http::Arrival;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

pub(super) use carried::Carried;
use outbox::Outbox;
pub(super) use tunnel::Tunnel;

use crate::connection::in_flight::{InFlight, Pending};
use crate::meter::Measure;

/// Content that one stream may hand over before another gets a turn: one frame of usual size.
pub(super) const SHARE_BYTES: usize = 16 * 1024;

/// The stream cannot go on: reset by the peer, or by h2 for an error of the peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// The peer gave more credit than there can be (RFC 9113 §6.9.1): the one error of which h2 keeps no count.
    pub(super) is_overflow: bool,
}

impl Lost {
    fn because(reason: Option<Reason>) -> Self {
        Self { is_overflow: reason == Some(Reason::FLOW_CONTROL_ERROR) }
    }
}

/// The application's content does not fit the length it announced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What a stream may do after a turn.
#[derive(Debug)]
pub(super) enum Fed {
    /// Everything there is was handed over.
    Empty,
    /// There is more.
    More,
    /// There is more, and the peer has given no credit for it.
    Blocked,
    /// There is more in a file, and it cannot be read.
    Broken(io::Error),
}

#[derive(Debug)]
enum Writing {
    Awaiting,
    /// HEAD, 204, 304: what the application sends as content is dropped.
    Bodiless,
    /// So many bytes are still to come; `None` if the application did not say how many.
    Streaming(Option<u64>),
    Complete,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact about the stream")]
pub(super) struct Stream {
    /// The application's side; `None` once its response is complete.
    control: Option<InFlight>,
    /// The same for the metrics.
    measure: Option<Measure>,
    respond: SendResponse<Bytes>,
    /// There once the head is sent.
    send: Option<SendStream<Bytes>>,
    receive: RecvStream,
    waker: Waker,
    is_head: bool,
    owes_continue: bool,
    is_request_complete: bool,
    /// Content handed up for which the peer has not got new credit, in bytes.
    unreleased: usize,
    /// Content read for nobody, in bytes.
    drained: u64,
    writing: Writing,
    outbox: Outbox,
    trailers: Option<HeaderMap>,
    /// Nothing follows what is in the outbox.
    is_last: bool,
    pub(super) turn: Turn,
    /// When content arrived last, or was taken, on the thread's clock.
    pub(super) received_at: u64,
    /// Frames that came before their WebSocket was accepted; the peer's credit bounds them.
    early: Vec<u8>,
}

/// Where a stream stands among those that have something to hand over.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// It stands on the list of them.
    pub(super) is_listed: bool,
    /// Since when the peer gives no credit for what waits.
    pub(super) stalled_at: Option<u64>,
}

/// What a stream is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) control: InFlight,
    pub(super) measure: Option<Measure>,
    pub(super) respond: SendResponse<Bytes>,
    pub(super) receive: RecvStream,
    pub(super) waker: Waker,
    pub(super) is_head: bool,
    pub(super) expects_continue: bool,
    pub(super) now: u64,
}

/// What is left of a stream whose handshake is accepted.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) respond: SendResponse<Bytes>,
    pub(super) behind: Behind,
}

/// What follows the head of a handshake.
#[derive(Debug)]
pub(super) struct Behind {
    pub(super) receive: RecvStream,
    pub(super) waker: Waker,
    pub(super) early: Vec<u8>,
}

/// Ask for credit for `wanted` bytes; says how many of them may leave, `None` while the peer gives no credit.
fn ask_for_credit(send: &mut SendStream<Bytes>, wanted: usize, waker: &Waker) -> Result<Option<usize>, Lost> {
    loop {
        send.reserve_capacity(wanted);
        let capacity = send.capacity().min(wanted);
        if capacity > 0 {
            return Ok(Some(capacity));
        }
        match send.poll_capacity(&mut Context::from_waker(waker)) {
            Poll::Pending => return Ok(None),
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Err(Lost::because(error.reason())),
            Poll::Ready(None) => return Err(Lost::because(None)),
        }
    }
}

impl Stream {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { control, measure, respond, receive, waker, is_head, expects_continue, now } = parts;
        Self {
            control: Some(control),
            measure,
            respond,
            send: None,
            receive,
            waker,
            is_head,
            owes_continue: expects_continue,
            is_request_complete: false,
            unreleased: 0,
            drained: 0,
            writing: Writing::Awaiting,
            outbox: Outbox::default(),
            trailers: None,
            is_last: false,
            turn: Turn::default(),
            received_at: now,
            early: Vec::new(),
        }
    }

    /// Take what arrived, and hear of the end; asks h2 to wake the stream for what comes next.
    pub(super) fn receive(&mut self, now: u64) -> Result<(), Lost> {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        if self.is_handshake() {
            self.take_early(&mut context)?;
        } else if !self.is_request_complete {
            self.take_content(&mut context, now)?;
        }
        let reset = match &mut self.send {
            Some(send) => send.poll_reset(&mut context),
            None => self.respond.poll_reset(&mut context),
        };
        match reset {
            Poll::Pending => Ok(()),
            Poll::Ready(reason) => Err(Lost::because(reason.ok())),
        }
    }

    fn take_content(&mut self, context: &mut Context<'_>, now: u64) -> Result<(), Lost> {
        let mut arrival: Option<Arrival<'_>> = None;
        loop {
            match self.receive.poll_data(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(bytes))) => {
                    self.received_at = now;
                    if arrival.is_none() {
                        arrival = self.control.as_ref().and_then(InFlight::arrival);
                    }
                    if let Some(arrival) = &mut arrival {
                        self.unreleased += bytes.len();
                        arrival.push(&bytes);
                        self.measure.iter().for_each(|measure| measure.received(bytes.len()));
                    } else {
                        self.drained += bytes.len() as u64;
                        // It cannot be more than arrived.
                        let _ = self.receive.flow_control().release_capacity(bytes.len());
                    }
                }
                Poll::Ready(Some(Err(error))) => return Err(Lost::because(error.reason())),
                // Trailer fields may be left; ASGI has no place for them.
                Poll::Ready(None) => {
                    self.is_request_complete = true;
                    arrival = arrival.or_else(|| self.control.as_ref().and_then(InFlight::arrival));
                    if let Some(arrival) = &mut arrival {
                        arrival.finish();
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Keep what may be the first frames: nobody can hold a conversation with a peer that says it will say no more.
    fn take_early(&mut self, context: &mut Context<'_>) -> Result<(), Lost> {
        loop {
            match self.receive.poll_data(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(bytes))) => self.early.extend_from_slice(&bytes),
                Poll::Ready(Some(Err(error))) => return Err(Lost::because(error.reason())),
                Poll::Ready(None) => return Err(Lost::because(None)),
            }
        }
    }

    /// Have the metrics know what the request is answered with.
    pub(super) fn measure_answer(&mut self, status: u16) {
        if let Some(measure) = &mut self.measure {
            measure.answered(status);
        }
    }

    /// Whether the application has not decided about a WebSocket.
    pub(super) fn is_handshake(&self) -> bool {
        self.control.as_ref().is_some_and(InFlight::is_handshake) && !self.has_begun_answer()
    }

    /// What a WebSocket is made of, if the application may accept one here.
    pub(super) fn into_handshake(self) -> Option<(Pending, Accepting)> {
        let Self { control: Some(InFlight::Handshake(pending)), respond, receive, waker, early, .. } = self
        else {
            return None;
        };
        let behind = Behind { receive, waker, early };
        Some((*pending, Accepting { respond, behind }))
    }

    /// The application took content: the peer may send as much again.
    pub(super) fn release(&mut self, now: u64) {
        let waiting = self.control.as_ref().map_or(0, InFlight::waiting_bytes);
        let taken = self.unreleased.saturating_sub(waiting);
        if taken > 0 {
            self.unreleased -= taken;
            self.received_at = now;
            // An error says that the stream is over, which `receive` finds out.
            let _ = self.receive.flow_control().release_capacity(taken);
        }
    }

    /// Whether all of the request has arrived.
    pub(super) fn is_request_complete(&self) -> bool {
        self.is_request_complete
    }

    /// Whether the peer owes content that it may send.
    pub(super) fn awaits_content(&self) -> bool {
        !self.is_request_complete && self.unreleased == 0 && !self.is_handshake()
    }

    /// Tell the peer that the stream ends here.
    pub(super) fn reset(&mut self, reason: Reason) {
        match &mut self.send {
            Some(send) => send.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// Tell the application of a handshake that nothing will come of it; the answer is still to be given.
    pub(super) fn hear_of_end(&self) {
        if let Some(control) = &self.control {
            control.disconnect();
        }
    }

    /// Tell the application that its peer is gone.
    pub(super) fn disconnect(&mut self) {
        if let Some(control) = self.control.take() {
            control.disconnect();
        }
    }
}
