//! Python, as `bicorn-server` sees it: a queue.

use std::sync::Arc;
use std::task::{Poll, Waker};

use bicorn_http::Exchange;
use bicorn_http::websocket::seam::Handshake;
use bicorn_server::{Application, ConnectionInfo, Notice};

use crate::handoff::{Arrival, HandOff, Incoming};

/// Hands everything to the loop thread.
#[derive(Clone)]
pub(crate) struct PythonApplication {
    pub(crate) handoff: Arc<HandOff>,
}

impl PythonApplication {
    fn push(&self, incoming: Incoming, connection: &Arc<ConnectionInfo>) {
        self.handoff.push(Arrival { incoming, connection: Arc::clone(connection) });
    }
}

impl Application for PythonApplication {
    fn poll_ready(&self, waker: &Waker) -> Poll<()> {
        self.handoff.poll_ready(waker)
    }

    fn handle(&self, exchange: Exchange, connection: &Arc<ConnectionInfo>) {
        self.push(Incoming::Http(exchange), connection);
    }

    fn handle_websocket(&self, handshake: Handshake, connection: &Arc<ConnectionInfo>) {
        self.push(Incoming::WebSocket(handshake), connection);
    }

    fn notify(&self) {
        self.handoff.notify();
    }

    fn notice(&self, notice: Notice) {
        self.handoff.notice(notice);
    }
}
