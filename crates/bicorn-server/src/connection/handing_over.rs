//! The last step of a request here: what trusted proxies say of it, and on to the application.

use std::sync::Arc;

use bicorn_http::Exchange;

use crate::application::{Application, ConnectionInfo, PeerAddress};
use crate::io_thread::{Thread, next_connection_id};

/// Hand an exchange over, once [`Thread::has_place`] said that there is one.
pub(super) fn hand_over<A: Application>(exchange: Exchange, info: &Arc<ConnectionInfo>, thread: &Thread<A>) {
    let corrected = thread.settings().proxies.as_ref().and_then(|proxies| {
        let correction = proxies.correct(info.peer, exchange.head.fields());
        (correction.client.is_some() || correction.scheme.is_some()).then_some(correction)
    });
    match corrected {
        None => thread.hand_over(exchange, info),
        Some(correction) => {
            let info = ConnectionInfo {
                id: next_connection_id(),
                peer: info.peer,
                client: correction
                    .client
                    .map_or_else(|| info.client.clone(), |(host, port)| Some(PeerAddress { host, port })),
                server: info.server.clone(),
                scheme: correction.scheme.unwrap_or(info.scheme),
                tls: info.tls.clone(),
            };
            thread.hand_over(exchange, &Arc::new(info));
        }
    }
}
