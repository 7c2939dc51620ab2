//! The last step of a request here: what trusted proxies say of it, and on to the application.

use std::sync::Arc;

use bicorn_http::Exchange;
use bicorn_http::websocket::seam::Handshake;

use crate::application::{Application, ConnectionInfo, PeerAddress};
use crate::io_thread::{Thread, next_connection_id};

/// The application's half of a request, while the hand-off has no place for it.
#[derive(Debug)]
pub(super) enum Waiting {
    Exchange(Exchange),
    Handshake(Handshake),
}

impl Waiting {
    /// Hand it over, once [`Thread::has_place`] said that there is one.
    pub(super) fn hand_over<A: Application>(self, info: &Arc<ConnectionInfo>, thread: &Thread<A>) {
        match self.corrected(info, thread) {
            None => self.reach(info, thread),
            Some(corrected) => self.reach(&Arc::new(corrected), thread),
        }
    }

    /// The connection as a trusted proxy describes it, if one does.
    fn corrected<A: Application>(&self, info: &ConnectionInfo, thread: &Thread<A>) -> Option<ConnectionInfo> {
        let head = match self {
            Self::Exchange(exchange) => &exchange.head,
            Self::Handshake(handshake) => &handshake.head,
        };
        let correction = thread.settings().proxies.as_ref()?.correct(info.peer, head.fields());
        if correction.client.is_none() && correction.scheme.is_none() {
            return None;
        }
        Some(ConnectionInfo {
            id: next_connection_id(),
            peer: info.peer,
            client: correction
                .client
                .map_or_else(|| info.client.clone(), |(host, port)| Some(PeerAddress { host, port })),
            server: info.server.clone(),
            scheme: correction.scheme.unwrap_or(info.scheme),
            tls: info.tls.clone(),
        })
    }

    fn reach<A: Application>(self, info: &Arc<ConnectionInfo>, thread: &Thread<A>) {
        match self {
            Self::Exchange(exchange) => thread.application().handle(exchange, info),
            Self::Handshake(handshake) => thread.application().handle_websocket(handshake, info),
        }
        thread.count_handed_over();
    }
}
