//! The response half of a stream.

use bicorn_http::http1::connection::DRAIN_BYTES;
use bicorn_http::{ResponseHead, ResponsePart};
use bytes::Bytes;
use h2::server::SendResponse;
use http::{Response, StatusCode};

use super::{Broken, Fed, Lost, SHARE_BYTES, Stream, Writing, ask_for_credit};
use crate::connection::http2::fields::{self, Defaults};

impl Stream {
    /// Whether the response has begun.
    pub(in crate::connection::http2) fn has_begun_answer(&self) -> bool {
        !matches!(self.writing, Writing::Awaiting)
    }

    /// Send `100 Continue` to a peer that waits for it.
    pub(in crate::connection::http2) fn send_continue(&mut self) {
        if std::mem::take(&mut self.owes_continue) && !self.is_request_complete {
            self.send_interim(ResponseHead::new(StatusCode::CONTINUE.as_u16()));
        }
    }

    /// Send an interim response, unless the answer has begun. RFC 9113 §8.6: 101 has no meaning here.
    pub(in crate::connection::http2) fn send_interim(&mut self, head: ResponseHead) {
        if matches!(self.writing, Writing::Awaiting) && head.status() != 101 {
            // What h2 refuses is a status outside 1xx, or a stream that is over.
            let _ = fields::interim(head).map(|response| self.respond.send_informational(response));
        }
    }

    /// Take a part of the response. [`Stream::feed`] hands it over.
    pub(in crate::connection::http2) fn respond(
        &mut self,
        part: ResponsePart,
        defaults: &Defaults,
    ) -> Result<(), Broken> {
        let ResponsePart { head, body, trailers, last, is_whole: _ } = part;
        if let (Some(head), Writing::Awaiting) = (head, &self.writing) {
            self.measure_answer(head.status());
            self.send_head(head, last && body.is_empty() && trailers.is_none(), defaults)?;
        }
        if let Some(measure) = &self.measure {
            measure.sent(body.len());
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
    pub(in crate::connection::http2) fn refuse(
        respond: &mut SendResponse<Bytes>,
        response: Response<()>,
        content: Bytes,
    ) {
        // An error says that the stream is over.
        if let Ok(mut send) = respond.send_response(response, content.is_empty())
            && !content.is_empty()
        {
            let _ = send.send_data(content, true);
        }
    }

    /// Answer with a response of the server's own in the application's place.
    pub(in crate::connection::http2) fn answer(&mut self, response: Response<()>, content: Bytes) {
        self.measure_answer(response.status().as_u16());
        Self::refuse(&mut self.respond, response, content);
    }

    fn credit(&self, cost: usize) {
        if let Some(control) = &self.control {
            control.written(cost);
        }
    }

    /// Hand content over to h2, as far as the peer has given credit; at most a share.
    pub(in crate::connection::http2) fn feed(&mut self) -> Result<Fed, Lost> {
        let (Writing::Streaming(_), Some(send)) = (&self.writing, &mut self.send) else {
            return Ok(Fed::Empty);
        };
        let mut share = SHARE_BYTES;
        while let Some(wanted) = self.outbox.front_length(share) {
            if wanted == 0 {
                return Ok(Fed::More);
            }
            let Some(capacity) = ask_for_credit(send, wanted, &self.waker)? else { return Ok(Fed::Blocked) };
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
            self.turn.stalled_at = None;
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
        self.measure = None;
        // Frames for a WebSocket that was denied are awaited by nobody: h2 tells the peer to stop.
        self.is_request_complete |= self.control.take().is_some_and(|control| control.is_handshake());
        if !self.is_request_complete && self.unreleased > 0 {
            // What the application did not take is read for nobody.
            let _ = self.receive.flow_control().release_capacity(std::mem::take(&mut self.unreleased));
        }
    }

    /// Whether there is anything that [`Stream::feed`] could hand over.
    pub(in crate::connection::http2) fn has_output(&self) -> bool {
        !self.outbox.is_empty() || (self.is_last && matches!(self.writing, Writing::Streaming(_)))
    }

    /// Whether nothing is left to do but drop: the response is complete, and of the request nothing is missing, or
    /// too much.
    pub(in crate::connection::http2) fn is_over(&self) -> bool {
        matches!(self.writing, Writing::Complete) && (self.is_request_complete || self.drained > DRAIN_BYTES)
    }

    /// Whether the application has given a whole response.
    pub(in crate::connection::http2) fn is_settled(&self) -> bool {
        self.is_last
    }

    /// Whether all that may leave has left: a response that was given up ends behind it.
    pub(in crate::connection::http2) fn has_said_all(&self) -> bool {
        self.outbox.is_empty() || self.turn.stalled_at.is_some()
    }
}
