//! Requests in, responses out: each stream's exchange.

use std::sync::Arc;

use bicorn_http::exchange::{Bounds, HIGH_WATER_BYTES, LOW_WATER_BYTES};
use bicorn_http::headers::split_lines;
use bicorn_http::http1::Limits;
use bicorn_http::websocket::handshake::{self, Offer};
use bicorn_http::{Action, Exchange, ExchangeId, PeerError, RequestHead, ResponseHead, ResponsePart};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request;
use http::{Request, Response};

use super::Connection;
use super::fields::{asks_for_websocket, request_head};
use super::stream::{Broken, Carried, Parts, Stream};
use crate::application::{Application, Notice};
use crate::connection::handing_over::Waiting;
use crate::connection::in_flight::InFlight;
use crate::io_thread::Thread;

/// As many streams have the bounds of an HTTP/1 connection each: 2 MiB together.
const WIDE_STREAMS: usize = 16;

/// A quarter of HTTP/1's bounds for every further stream: 84 of them bring a connection to less than 5 MiB, and with
/// one chunk of 32 KiB in each application's hands to less than 8 MiB.
const NARROWING: usize = 4;

impl Connection {
    /// Make an exchange of a request.
    pub(super) fn begin<A: Application>(
        &mut self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        thread: &Thread<A>,
    ) {
        let (parts, receive) = request.into_parts();
        let mut measure = thread.meter().map(|meter| meter.begin(parts.method.as_str().as_bytes()));
        let (head, offer) = match taken(&parts, thread.settings().limits) {
            Ok(taken) => taken,
            Err(error) => {
                if let Some((response, content)) = self.refusal(error, parts.method == "HEAD", thread) {
                    Stream::refuse(&mut respond, response, content);
                }
                if let Some(measure) = &mut measure {
                    measure.answered(error.status());
                }
                return;
            }
        };
        let serial = thread.next_serial();
        let now = self.carrier.now();
        let (is_head, expects_continue) = (head.method() == b"HEAD", head.expects_continue());
        let id = ExchangeId { connection: self.key, serial };
        let (waiting, control) = if let Some(offer) = offer {
            self.handshake(head, offer, id, thread)
        } else {
            let mailbox = Arc::clone(thread.mailbox());
            let (exchange, control) = Exchange::with_bounds(head, id, mailbox, self.bounds());
            (Waiting::Exchange(exchange), InFlight::Exchange(control))
        };
        let waker = self.ready.waker(serial);
        let parts = Parts { control, measure, respond, receive, waker, is_head, expects_continue, now };
        let mut stream = Box::new(Stream::new(parts));
        // All content that came along is one event, and nobody hears of a request that was withdrawn.
        if let Err(lost) = stream.receive(now) {
            stream.disconnect();
            self.forget(serial, &lost);
            return;
        }
        if !stream.is_request_complete() {
            self.note_content(now, thread);
        }
        self.streams.insert(serial, Carried::Exchange(stream));
        self.waiting.push_back((serial, waiting));
        self.offer_waiting(thread);
    }

    /// The part of HTTP/1's bounds that the next stream has.
    pub(super) fn share(&self) -> usize {
        if self.streams.len() < WIDE_STREAMS { 1 } else { NARROWING }
    }

    fn bounds(&self) -> Bounds {
        let share = self.share();
        Bounds {
            high_water: HIGH_WATER_BYTES / share,
            low_water: LOW_WATER_BYTES / share,
            // The peer's credit bounds it: all that arrives is handed up.
            body: self.settings.stream_window as usize,
            tell: 1,
        }
    }

    /// Hand exchanges over, as long as the hand-off has a place.
    pub(super) fn offer_waiting<A: Application>(&mut self, thread: &Thread<A>) {
        while !self.waiting.is_empty() && thread.has_place(self.key) {
            if let Some((_, waiting)) = self.waiting.pop_front() {
                waiting.hand_over(&self.info, thread);
            }
        }
    }

    /// Do what the application asked of one of this connection's exchanges.
    pub(in crate::connection) fn command<A: Application>(
        &mut self,
        exchange: ExchangeId,
        action: Action,
        thread: &Thread<A>,
    ) {
        let serial = exchange.serial;
        // Serials are never used again, so that a command for an earlier user of the slot finds nobody.
        let Some(carried) = self.streams.get_mut(&serial) else { return };
        let Some(stream) = carried.exchange() else {
            return self.command_websocket(serial, action, thread);
        };
        match action {
            Action::Continue => stream.send_continue(),
            Action::Resume => stream.release(thread.clock().now()),
            Action::Interim(head) => stream.send_interim(head),
            Action::Respond(part) => self.respond(serial, part, thread),
            Action::Accept(head) => self.accept(serial, &head, thread),
            // There is no WebSocket to do it on.
            Action::Message(_) | Action::CloseFrame { .. } => {}
            // The other streams have nothing to do with it: behind a complete response there is nothing to close.
            Action::Close if stream.is_settled() => {}
            Action::Close => self.broken.push(serial),
        }
    }

    pub(super) fn respond<A: Application>(&mut self, serial: u64, part: ResponsePart, thread: &Thread<A>) {
        let Some(stream) = self.streams.get_mut(&serial).and_then(Carried::exchange) else { return };
        thread.with_default_fields(|lines| self.defaults.update(lines));
        match stream.respond(part, &self.defaults) {
            Ok(()) => self.settle(serial),
            Err(Broken) => self.broken.push(serial),
        }
    }

    /// The server's own answer to an error of the peer. The stream ends behind it, the connection does not.
    pub(super) fn refusal<A: Application>(
        &mut self,
        error: PeerError,
        is_head: bool,
        thread: &Thread<A>,
    ) -> Option<(Response<()>, Bytes)> {
        if error != PeerError::Timeout {
            thread.application().notice(Notice::InvalidRequest(error));
        }
        let content = error.content();
        let mut head = ResponseHead::new(error.status());
        for (name, value) in split_lines(error.fields()) {
            head.push(name, value).ok()?;
        }
        head.push(b"content-type", b"text/plain; charset=utf-8").ok()?;
        head.push(b"content-length", content.len().to_string().as_bytes()).ok()?;
        thread.with_default_fields(|lines| self.defaults.update(lines));
        let response = self.defaults.response(head)?;
        Some((response, if is_head { Bytes::new() } else { Bytes::from_static(content.as_bytes()) }))
    }
}

/// What is asked: an exchange, or a WebSocket with this offer.
fn taken(parts: &request::Parts, limits: Limits) -> Result<(RequestHead, Option<Offer>), PeerError> {
    let head = request_head(parts, limits)?;
    let offer = if asks_for_websocket(parts) { Some(handshake::check_stream(&head)?) } else { None };
    Ok((head, offer))
}
