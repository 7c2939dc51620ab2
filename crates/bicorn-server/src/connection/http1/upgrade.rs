//! From a head that asks for a WebSocket to the 101 behind which one is spoken.
//!
//! ```text
//!   head ──check──▶ handed over ──accept──▶ 101 ──▶ Conversation::WebSocket
//!                        └──────deny, drain──▶ an ordinary response, close
//! ```
//! Bytes behind the head stay unread until the 101 is written: neither a request nor frames, for nobody knows
//! yet which. Every other upgrade is none of our business: the request is served as if it had not asked.

use std::sync::Arc;

use bicorn_http::websocket;
use bicorn_http::websocket::handshake::{self, Offer};
use bicorn_http::websocket::seam::{Bounds, Handshake};
use bicorn_http::websocket::session::Session;
use bicorn_http::{Action, ExchangeId, RequestHead, ResponseHead};

use super::{Connection, Phase};
use crate::application::{Application, Notice};
use crate::connection::handing_over::Waiting;
use crate::connection::in_flight::{InFlight, Pending, undecided};
use crate::connection::websocket::Connection as WebSocketConnection;
use crate::io_thread::Thread;

impl Connection {
    /// Take a head that asks for an upgrade: gives it back if it is to be served as a plain request.
    pub(super) fn take_upgrade<A: Application>(
        &mut self,
        head: RequestHead,
        thread: &Thread<A>,
    ) -> Option<RequestHead> {
        let Some(settings) = &thread.settings().websocket else {
            if head.asks_for_upgrade() {
                thread.application().notice(Notice::UnsupportedUpgrade);
                thread.application().notice(Notice::WebSocketsOff);
            }
            return Some(head);
        };
        match handshake::check(&head) {
            Ok(Some(offer)) => self.begin_handshake(head, offer, settings.max_queue, thread),
            Ok(None) => {
                if head.asks_for_upgrade() {
                    thread.application().notice(Notice::UnsupportedUpgrade);
                }
                return Some(head);
            }
            Err(error) => self.refuse(error, thread),
        }
        None
    }

    fn begin_handshake<A: Application>(
        &mut self,
        head: RequestHead,
        offer: Offer,
        max_queue: usize,
        thread: &Thread<A>,
    ) {
        if self.is_peer_finished {
            self.phase = Phase::Closing;
            return;
        }
        let id = ExchangeId { connection: self.key, serial: thread.next_serial() };
        let subprotocols = offer.subprotocols().to_vec();
        let bounds = Bounds::new(max_queue);
        let (handshake, control) =
            Handshake::new(head, subprotocols, bounds, id, Arc::clone(thread.mailbox()));
        // Whatever the answer is, HTTP ends with it on this connection, as under uvicorn.
        self.engine.stop_keep_alive();
        self.control = Some(InFlight::Handshake(Box::new(Pending { offer, control })));
        self.uncredited = 0;
        self.waiting = Some(Waiting::Handshake(handshake));
    }

    /// The application accepts: from here on the connection is a WebSocket's.
    pub(super) fn accept<A: Application>(&mut self, head: &ResponseHead, thread: &Thread<A>) {
        let Some(settings) = &thread.settings().websocket else { return };
        let Some(InFlight::Handshake(pending)) = self.control.take_if(|control| control.is_handshake())
        else {
            return;
        };
        let Pending { offer, control } = *pending;
        if let Some(measure) = &mut self.measure {
            measure.answered(101);
        }
        let (lines, agreement) = handshake::accept(&offer, &settings.engine);
        thread.with_default_fields(|defaults| {
            self.engine.switch_protocol(&lines, defaults, head, &mut self.output);
        });
        let engine = websocket::Connection::new(settings.engine, agreement);
        let session = Session::new(engine, control, settings.keep_alive, thread.clock().now());
        self.session = Some(Box::new(session));
    }

    /// The WebSocket that this connection has become, or the connection if it has not.
    pub(in crate::connection) fn into_websocket(self) -> Result<WebSocketConnection, Box<Self>> {
        match self.session {
            Some(session) => Ok(WebSocketConnection::new(self.socket, *session, self.output, self.unread)),
            None => Err(Box::new(self)),
        }
    }

    /// Whether a 101 was written.
    pub(in crate::connection) fn is_websocket(&self) -> bool {
        self.session.is_some()
    }

    /// The server stops: a handshake that nobody has decided upon is answered in the application's place.
    pub(super) fn drain_handshake<A: Application>(&mut self, thread: &Thread<A>) {
        let Some(id) = self.control.as_ref().filter(|control| control.is_handshake()).map(InFlight::id)
        else {
            return;
        };
        if self.engine.has_begun_answer() {
            return;
        }
        if let Some(control) = &self.control {
            control.disconnect();
        }
        self.waiting = None;
        self.command(id, Action::Respond(undecided()), thread);
    }
}
