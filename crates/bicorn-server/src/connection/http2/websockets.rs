//! WebSockets on streams (RFC 8441): from an extended CONNECT to a [`Tunnel`], and the server's own part in its end.
//!
//! ```text
//!   CONNECT, :protocol websocket ──check──▶ handed over ──accept──▶ 200, the stream carries frames
//!                                               └──deny, drain──▶ an ordinary response, RST_STREAM(NO_ERROR)
//! ```
//! Without WebSockets in the settings nothing of this is announced, and h2 refuses such a request.

use std::sync::Arc;

use bicorn_http::websocket;
use bicorn_http::websocket::handshake::{self, Offer};
use bicorn_http::websocket::seam::{Bounds, Handshake};
use bicorn_http::websocket::session::Session;
use bicorn_http::{Action, ExchangeId, RequestHead, ResponseHead};

use super::Connection;
use super::fields::acceptance;
use super::stream::{Accepting, Carried, Tunnel};
use crate::application::Application;
use crate::connection::handing_over::Waiting;
use crate::connection::in_flight::{InFlight, Pending, undecided};
use crate::io_thread::Thread;

impl Connection {
    /// Make both halves of a WebSocket that the application is to decide upon.
    pub(super) fn handshake<A: Application>(
        &self,
        head: RequestHead,
        offer: Offer,
        id: ExchangeId,
        thread: &Thread<A>,
    ) -> (Waiting, InFlight) {
        let messages = thread.settings().websocket.map_or(1, |settings| settings.max_queue);
        let share = self.share();
        let usual = Bounds::new(messages);
        let bounds = Bounds {
            messages,
            inbound: usual.inbound / share,
            high_water: usual.high_water / share,
            low_water: usual.low_water / share,
        };
        let subprotocols = offer.subprotocols().to_vec();
        let (handshake, control) =
            Handshake::new(head, subprotocols, bounds, id, Arc::clone(thread.mailbox()));
        (Waiting::Handshake(handshake), InFlight::Handshake(Box::new(Pending { offer, control })))
    }

    /// The application accepts: from here on the stream is a WebSocket's.
    pub(super) fn accept<A: Application>(&mut self, serial: u64, head: &ResponseHead, thread: &Thread<A>) {
        let Some(settings) = &thread.settings().websocket else { return };
        let is_handshake =
            |carried: &mut Carried| carried.exchange().is_some_and(|stream| stream.is_handshake());
        if !self.streams.get_mut(&serial).is_some_and(is_handshake) {
            return;
        }
        let Some(Carried::Exchange(mut stream)) = self.streams.remove(&serial) else { return };
        stream.measure_answer(200);
        let Some((Pending { offer, control }, accepting)) = stream.into_handshake() else { return };
        let Accepting { mut respond, behind } = accepting;
        let (lines, agreement) = handshake::accept(&offer, &settings.engine);
        let engine = websocket::Connection::new(settings.engine, agreement);
        let mut session = Session::new(engine, control, settings.keep_alive, thread.clock().now());
        thread.with_default_fields(|lines| self.defaults.update(lines));
        let response = self.defaults.response(acceptance(&lines, head));
        // An error says that the stream is over.
        let begun = response.and_then(|response| respond.send_response(response, false).ok());
        let Some(send) = begun else { return session.lose() };
        let tunnel = Tunnel::new(session, send, behind, thread.meter().cloned());
        self.streams.insert(serial, Carried::WebSocket(Box::new(tunnel)));
        // Its first frames may be there.
        self.ready.push(serial);
    }

    /// Do what the application asked of a WebSocket that it has accepted.
    pub(super) fn command_websocket<A: Application>(
        &mut self,
        serial: u64,
        action: Action,
        thread: &Thread<A>,
    ) {
        let Some(Carried::WebSocket(tunnel)) = self.streams.get_mut(&serial) else { return };
        if matches!(action, Action::Resume) {
            // There is room for what arrived.
            self.ready.push(serial);
        }
        if tunnel.command(action, || thread.clock().now()) {
            self.broken.push(serial);
        }
        self.settle(serial);
    }

    /// The server leaves: what would go on for ever ends, and so does in the end what is undecided. True if there was
    /// anything.
    pub(super) fn drain_websockets<A: Application>(&mut self, thread: &Thread<A>) -> bool {
        let must_decide = thread.is_closing_idle();
        let endless = self.streams.iter().filter(|(_, carried)| {
            carried.is_endless() && (must_decide || matches!(carried, Carried::WebSocket(_)))
        });
        let serials: Vec<u64> = endless.map(|(serial, _)| *serial).collect();
        for serial in &serials {
            match self.streams.get_mut(serial) {
                Some(Carried::WebSocket(tunnel)) => {
                    tunnel.drain();
                    self.list(*serial);
                }
                Some(Carried::Exchange(stream)) => {
                    stream.hear_of_end();
                    self.waiting.retain(|(waiting, _)| waiting != serial);
                    self.respond(*serial, undecided(), thread);
                }
                None => {}
            }
        }
        !serials.is_empty()
    }

    /// Pings, and answers that are overdue.
    pub(super) fn tick(&mut self, serial: u64, now: u64) {
        let Some(Carried::WebSocket(tunnel)) = self.streams.get_mut(&serial) else { return };
        match tunnel.tick(now) {
            Some(reason) => self.reset(serial, reason),
            None => self.settle(serial),
        }
    }
}
