//! One stream: an exchange on one side, h2's handles on the other.
//!
//! ```text
//!   request:   Open ──▶ Complete ─────────────────────────┐
//!                                                         │ both: the stream is dropped
//!   response:  Awaiting ──▶ Streaming ──▶ Complete ───────┘
//!                   └─────▶ Bodiless ────────┘
//! ```
//! Content goes up as it arrives; the peer gets new credit when the application has taken it. Content comes down
//! only as far as the peer has given credit: the rest stays here, and the application waits. A stream whose
//! response is complete reads a little more for nobody; when it is dropped before its request is complete, h2 tells
//! the peer to stop with `RST_STREAM(NO_ERROR)` (RFC 9113 §8.1).

use std::io;
use std::task::{Context, Poll, Waker};

use bicorn_http::http1::connection::DRAIN_BYTES;
use bicorn_http::{Arrival, ExchangeControl, ResponseHead, ResponsePart};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response, StatusCode};

use super::fields::{self, Defaults};
use super::outbox::Outbox;

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
    control: Option<ExchangeControl>,
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
    /// It stands on the list of those that have something to hand over.
    pub(super) is_listed: bool,
    /// When content arrived last, or was taken, on the thread's clock.
    pub(super) received_at: u64,
    /// Since when the peer gives no credit for what waits.
    pub(super) stalled_at: Option<u64>,
}

/// What a stream is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) control: ExchangeControl,
    pub(super) respond: SendResponse<Bytes>,
    pub(super) receive: RecvStream,
    pub(super) waker: Waker,
    pub(super) is_head: bool,
    pub(super) expects_continue: bool,
    pub(super) now: u64,
}

impl Stream {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { control, respond, receive, waker, is_head, expects_continue, now } = parts;
        Self {
            control: Some(control),
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
            is_listed: false,
            received_at: now,
            stalled_at: None,
        }
    }

    /// Take what arrived, and hear of the end; asks h2 to wake the stream for what comes next.
    pub(super) fn receive(&mut self, now: u64) -> Result<(), Lost> {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        if !self.is_request_complete {
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
                    if let Some(control) = &self.control {
                        self.unreleased += bytes.len();
                        arrival.get_or_insert_with(|| control.arrival()).push(&bytes);
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
                    if let Some(control) = &self.control {
                        arrival.get_or_insert_with(|| control.arrival()).finish();
                    }
                    return Ok(());
                }
            }
        }
    }

    /// The application took content: the peer may send as much again.
    pub(super) fn release(&mut self, now: u64) {
        let waiting = self.control.as_ref().map_or(0, ExchangeControl::waiting_bytes);
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
        !self.is_request_complete && self.unreleased == 0
    }

    /// Whether the response has begun.
    pub(super) fn has_begun_answer(&self) -> bool {
        !matches!(self.writing, Writing::Awaiting)
    }

    /// Send `100 Continue` to a peer that waits for it.
    pub(super) fn send_continue(&mut self) {
        if std::mem::take(&mut self.owes_continue) && !self.is_request_complete {
            self.send_interim(ResponseHead::new(StatusCode::CONTINUE.as_u16()));
        }
    }

    /// Send an interim response, unless the answer has begun. RFC 9113 §8.6: 101 has no meaning here.
    pub(super) fn send_interim(&mut self, head: ResponseHead) {
        if matches!(self.writing, Writing::Awaiting) && head.status() != 101 {
            // What h2 refuses is a status outside 1xx, or a stream that is over.
            let _ = fields::interim(head).map(|response| self.respond.send_informational(response));
        }
    }

    /// Take a part of the response. [`Stream::feed`] hands it over.
    pub(super) fn respond(&mut self, part: ResponsePart, defaults: &Defaults) -> Result<(), Broken> {
        let ResponsePart { head, body, trailers, last, is_whole: _ } = part;
        if let (Some(head), Writing::Awaiting) = (head, &self.writing) {
            self.send_head(head, last && body.is_empty() && trailers.is_none(), defaults)?;
        }
        match &mut self.writing {
            Writing::Awaiting => return Err(Broken),
            Writing::Complete => return Ok(()),
            Writing::Bodiless => self.credit(body.cost()),
            Writing::Streaming(remaining) => {
                if let Some(remaining) = remaining {
                    *remaining = remaining.checked_sub(body.len()).ok_or(Broken)?;
                    if last && *remaining > 0 {
                        return Err(Broken);
                    }
                }
                let credit = self.outbox.push(body);
                self.credit(credit);
                self.trailers = trailers.and_then(|trailers| fields::trailers(*trailers));
            }
        }
        self.is_last = last;
        if last && matches!(self.writing, Writing::Bodiless) {
            self.complete();
        }
        Ok(())
    }

    fn send_head(&mut self, head: ResponseHead, is_all: bool, defaults: &Defaults) -> Result<(), Broken> {
        let is_bodiless = self.is_head || matches!(head.status(), 204 | 304);
        let length = head.content_length();
        if is_all && !is_bodiless && length.is_some_and(|length| length > 0) {
            return Err(Broken);
        }
        self.owes_continue = false;
        let response = defaults.response(head).ok_or(Broken)?;
        let is_end = is_all || is_bodiless;
        self.send = Some(self.respond.send_response(response, is_end).map_err(|_| Broken)?);
        self.writing = if is_end { Writing::Bodiless } else { Writing::Streaming(length) };
        Ok(())
    }

    /// Send a whole response of the server's own, and nothing behind it.
    pub(super) fn refuse(respond: &mut SendResponse<Bytes>, response: Response<()>, content: Bytes) {
        // An error says that the stream is over.
        if let Ok(mut send) = respond.send_response(response, content.is_empty())
            && !content.is_empty()
        {
            let _ = send.send_data(content, true);
        }
    }

    /// Answer with a response of the server's own in the application's place.
    pub(super) fn answer(&mut self, response: Response<()>, content: Bytes) {
        Self::refuse(&mut self.respond, response, content);
    }

    fn credit(&self, cost: usize) {
        if let Some(control) = &self.control {
            control.written(cost);
        }
    }

    /// Hand content over to h2, as far as the peer has given credit; at most a share.
    pub(super) fn feed(&mut self) -> Result<Fed, Lost> {
        let (Writing::Streaming(_), Some(send)) = (&self.writing, &mut self.send) else {
            return Ok(Fed::Empty);
        };
        let mut share = SHARE_BYTES;
        while let Some(wanted) = self.outbox.front_length(share) {
            if wanted == 0 {
                return Ok(Fed::More);
            }
            send.reserve_capacity(wanted);
            let capacity = send.capacity().min(wanted);
            if capacity == 0 {
                match send.poll_capacity(&mut Context::from_waker(&self.waker)) {
                    Poll::Pending => return Ok(Fed::Blocked),
                    Poll::Ready(Some(Ok(_))) => continue,
                    Poll::Ready(Some(Err(error))) => return Err(Lost::because(error.reason())),
                    Poll::Ready(None) => return Err(Lost::because(None)),
                }
            }
            share -= capacity;
            let (bytes, credit) = match self.outbox.take(capacity) {
                Ok(taken) => taken,
                Err(error) => return Ok(Fed::Broken(error)),
            };
            let is_end = self.is_last && self.outbox.is_empty() && self.trailers.is_none();
            send.send_data(bytes, is_end).map_err(|_| Lost::because(None))?;
            if let Some(control) = &self.control {
                control.written(credit);
            }
            self.stalled_at = None;
            if is_end {
                self.complete();
                return Ok(Fed::Empty);
            }
        }
        if self.is_last {
            let ended = match self.trailers.take() {
                Some(trailers) => send.send_trailers(trailers),
                None => send.send_data(Bytes::new(), true),
            };
            ended.map_err(|_| Lost::because(None))?;
            self.complete();
        }
        Ok(Fed::Empty)
    }

    fn complete(&mut self) {
        self.writing = Writing::Complete;
        self.control = None;
        if !self.is_request_complete && self.unreleased > 0 {
            // What the application did not take is read for nobody.
            let _ = self.receive.flow_control().release_capacity(std::mem::take(&mut self.unreleased));
        }
    }

    /// Whether there is anything that [`Stream::feed`] could hand over.
    pub(super) fn has_output(&self) -> bool {
        !self.outbox.is_empty() || (self.is_last && matches!(self.writing, Writing::Streaming(_)))
    }

    /// Whether nothing is left to do but drop: the response is complete, and of the request nothing is missing, or
    /// too much.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.writing, Writing::Complete) && (self.is_request_complete || self.drained > DRAIN_BYTES)
    }

    /// Whether the application has given a whole response.
    pub(super) fn is_settled(&self) -> bool {
        self.is_last
    }

    /// Whether all that may leave has left: a response that was given up ends behind it.
    pub(super) fn has_said_all(&self) -> bool {
        self.outbox.is_empty() || self.stalled_at.is_some()
    }

    /// Tell the peer that the stream ends here.
    pub(super) fn reset(&mut self, reason: Reason) {
        match &mut self.send {
            Some(send) => send.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// Tell the application that its peer is gone.
    pub(super) fn disconnect(&mut self) {
        if let Some(control) = self.control.take() {
            control.disconnect();
        }
    }
}
