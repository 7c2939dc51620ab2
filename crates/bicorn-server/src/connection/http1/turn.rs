//! Requests in, responses out, one exchange at a time.

use std::sync::Arc;

use bicorn_http::http1::{Event, connection::Progress};
use bicorn_http::{Action, Exchange, ExchangeId, PeerError, RequestHead, ResponsePart};

use super::{Connection, Phase};
use crate::application::{Application, Notice};
use crate::connection::handing_over::Waiting;
use crate::connection::in_flight::InFlight;
use crate::io_thread::Thread;

impl Connection {
    /// Feed the engine with bytes that follow everything it has seen; keep what it cannot take yet.
    ///
    /// An exchange is handed over behind all content that came with its head, so that the application gets a
    /// small body as one event, as under uvicorn.
    pub(super) fn parse<A: Application>(&mut self, mut input: &[u8], thread: &Thread<A>) {
        while self.phase == Phase::Open {
            if self.engine.is_reading_content() {
                match self.parse_content(&mut input) {
                    Ok(false) => {
                        self.end_exchange();
                        break;
                    }
                    Ok(true) => self.end_exchange(),
                    Err(error) => self.refuse(error, thread),
                }
                continue;
            }
            match self.engine.read(&mut input) {
                Ok(Some(Event::Head { head, has_content })) => self.begin(head, has_content, thread),
                Ok(Some(Event::Content(_) | Event::End) | None) => break,
                Err(error) => self.refuse(error, thread),
            }
        }
        if self.phase == Phase::Open {
            self.unread.extend_from_slice(input);
        }
        self.offer_waiting(thread);
    }

    /// Hand content up, all that came as one arrival; true when the content is complete.
    fn parse_content(&mut self, input: &mut &[u8]) -> Result<bool, PeerError> {
        let mut arrival = self.control.as_ref().and_then(InFlight::arrival);
        loop {
            match self.engine.read(input)? {
                Some(Event::Content(content)) => {
                    if let Some(arrival) = &mut arrival {
                        arrival.push(content);
                    }
                    if let Some(measure) = &self.measure {
                        measure.received(content.len());
                    }
                }
                Some(Event::End) => {
                    if let Some(arrival) = &mut arrival {
                        arrival.finish();
                    }
                    return Ok(true);
                }
                Some(Event::Head { .. }) | None => return Ok(false),
            }
        }
    }

    /// Go on with bytes that had to wait, and with an exchange that found no place.
    pub(super) fn take_turn<A: Application>(&mut self, thread: &Thread<A>) {
        self.offer_waiting(thread);
        if self.may_take_turn() {
            let unread = std::mem::take(&mut self.unread);
            self.parse(&unread, thread);
        }
    }

    /// Whether bytes that had to wait may be looked at.
    pub(super) fn may_take_turn(&self) -> bool {
        !self.unread.is_empty()
            && self.waiting.is_none()
            && self.engine.is_reading_head()
            && !self.is_backed_up()
    }

    fn begin<A: Application>(&mut self, head: RequestHead, has_content: bool, thread: &Thread<A>) {
        self.measure = thread.meter().map(|meter| meter.begin(head.method()));
        let Some(head) = self.take_upgrade(head, thread) else { return };
        let id = ExchangeId { connection: self.key, serial: thread.next_serial() };
        let (exchange, control) = Exchange::new(head, id, Arc::clone(thread.mailbox()));
        if !has_content {
            control.arrival().finish();
        }
        if self.is_peer_finished {
            control.peer_finished();
        }
        self.control = Some(InFlight::Exchange(control));
        self.uncredited = 0;
        self.waiting = Some(Waiting::Exchange(exchange));
    }

    /// Hand the exchange that waits over, once the hand-off has a place.
    fn offer_waiting<A: Application>(&mut self, thread: &Thread<A>) {
        if self.waiting.is_none() || !thread.has_place(self.key) {
            return;
        }
        let Some(waiting) = self.waiting.take() else { return };
        waiting.hand_over(&self.info, thread);
    }

    /// Do what the application asked of one of this connection's exchanges.
    pub(in crate::connection) fn command<A: Application>(
        &mut self,
        exchange: ExchangeId,
        action: Action,
        thread: &Thread<A>,
    ) {
        if exchange.serial < self.first_serial || self.phase != Phase::Open {
            return;
        }
        if self.control.as_ref().is_none_or(|control| control.id() != exchange) {
            // Its response is complete. All that can still be asked is not to use the connection again,
            // without harm to an exchange that came after it.
            if matches!(action, Action::Close) {
                self.engine.stop_keep_alive();
                if self.control.is_none() && self.engine.is_idle() && self.unread.is_empty() {
                    self.phase = Phase::Closing;
                }
            }
            return;
        }
        self.leave_if_due(thread);
        match action {
            Action::Continue => self.engine.write_continue(&mut self.output),
            Action::Interim(head) => self.engine.write_interim(&head, &mut self.output),
            Action::Respond(part) => self.respond(part, thread),
            Action::Close => self.give_up_response(),
            Action::Accept(head) => self.accept(&head, thread),
            // `drive` reads again by itself: there is room now. The others have no WebSocket to be done on.
            Action::Resume | Action::Message(_) | Action::CloseFrame { .. } => {}
        }
    }

    fn respond<A: Application>(&mut self, part: ResponsePart, thread: &Thread<A>) {
        self.uncredited += part.body.cost();
        if let Some(measure) = &mut self.measure {
            if let Some(head) = &part.head {
                measure.answered(head.status());
            }
            measure.sent(part.body.len());
        }
        let progress =
            thread.with_default_fields(|defaults| self.engine.respond(part, defaults, &mut self.output));
        match progress {
            Progress::Open => {}
            Progress::Complete => {
                self.control = None;
                self.uncredited = 0;
                self.end_exchange();
            }
            Progress::Broken => self.give_up_response(),
        }
    }

    /// Close behind what is written of a response that will not be complete.
    fn give_up_response(&mut self) {
        self.must_linger = self.engine.is_reading_content();
        // FIN would say that the content is complete if nothing else does (RFC 9112 §8).
        self.must_reset = self.engine.is_delimited_by_close();
        self.phase = Phase::Closing;
        self.give_up_exchange();
    }

    /// Once the response is complete: the next exchange if the request is, too, or the end if it goes on for
    /// too long.
    fn end_exchange(&mut self) {
        if self.engine.start_next() {
            self.has_served = true;
            return;
        }
        let is_over = self.engine.is_over();
        if is_over || (self.engine.is_answered() && !self.engine.may_drain()) {
            self.must_linger = !is_over || !self.unread.is_empty();
            self.phase = Phase::Closing;
        }
    }

    /// Answer what the peer did wrong, if an answer can still be given, and close.
    pub(in crate::connection) fn refuse<A: Application>(&mut self, error: PeerError, thread: &Thread<A>) {
        if !matches!(error, PeerError::Timeout | PeerError::ClearText) {
            thread.application().notice(Notice::InvalidRequest(error));
        }
        self.must_reset = self.engine.is_delimited_by_close();
        // A peer of which the first word fits neither version is answered in neither (RFC 9113 §3.4).
        let is_foreign =
            error == PeerError::Protocol && !self.has_served && thread.settings().http2.is_some();
        if !is_foreign {
            self.measure_refusal(error.status(), thread);
            thread.with_default_fields(|defaults| self.engine.refuse(error, defaults, &mut self.output));
        }
        self.give_up_exchange();
        self.unread = Vec::new();
        self.must_linger = true;
        self.phase = Phase::Closing;
    }

    /// Have the metrics know of an answer of the server's own: to the request in flight, or to what was none.
    fn measure_refusal<A: Application>(&mut self, status: u16, thread: &Thread<A>) {
        if let Some(measure) = self.measure.as_mut().filter(|measure| !measure.is_answered()) {
            measure.answered(status);
        } else if self.control.is_none()
            && let Some(meter) = thread.meter()
        {
            meter.count_refused(status);
        }
    }
}
