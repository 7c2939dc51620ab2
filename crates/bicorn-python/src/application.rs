//! Python, as `bicorn-server` sees it: two queues. What is proven to end in a plain function goes to the endpoint threads,
//! everything else to the loop thread.

use std::sync::Arc;
use std::task::{Poll, Waker};

use bicorn_http::Exchange;
use bicorn_http::websocket::seam::Handshake;
use bicorn_server::{Application, ConnectionInfo, Notice};

use crate::endpoints::lane::Switch;
use crate::endpoints::{EndpointThreads, Job};
use crate::handoff::{Arrival, HandOff, Incoming};

/// Hands everything over.
#[derive(Clone)]
pub(crate) struct PythonApplication {
    pub(crate) handoff: Arc<HandOff>,
    /// Which way an exchange goes.
    pub(crate) switch: Arc<Switch>,
    /// `None` where sync endpoints are anyio's.
    pub(crate) threads: Option<Arc<EndpointThreads>>,
}

impl PythonApplication {
    fn push(&self, incoming: Incoming, connection: &Arc<ConnectionInfo>) {
        self.handoff.push(Arrival::new(incoming, Arc::clone(connection)));
    }
}

impl Application for PythonApplication {
    fn poll_ready(&self, waker: &Waker) -> Poll<()> {
        // An endpoint thread that makes room wakes nobody: an I/O thread that waits for room is woken by the loop.
        self.handoff.poll_ready(waker)
    }

    fn handle(&self, exchange: Exchange, connection: &Arc<ConnectionInfo>) {
        let Some(threads) = self.threads.as_ref().filter(|threads| threads.has_room()) else {
            return self.push(Incoming::Http(exchange), connection);
        };
        let Some(endpoint) = self.switch.endpoint(&exchange.head) else {
            return self.push(Incoming::Http(exchange), connection);
        };
        let arrival = Arrival::new(Incoming::Http(exchange), Arc::clone(connection));
        // There is room; if that were ever wrong, dropping the exchange closes its connection.
        threads.push(Job::exchange(arrival, endpoint));
    }

    fn handle_websocket(&self, handshake: Handshake, connection: &Arc<ConnectionInfo>) {
        self.push(Incoming::WebSocket(handshake), connection);
    }

    fn notify(&self) {
        self.handoff.notify();
        if let Some(threads) = &self.threads {
            threads.notify();
        }
    }

    fn notice(&self, notice: Notice) {
        self.handoff.notice(notice);
    }
}
