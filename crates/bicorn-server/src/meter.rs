//! Requests as the metrics see them: from a complete head to the last byte that the socket takes.
//!
//! There is a [`Meter`] on an I/O thread only if somebody wants to read what it writes. A request that is under way has a
//! [`Measure`]; when that is dropped, for whatever reason, the request is over and counted.

use std::rc::Rc;
use std::time::Instant;

use crate::board::{Counter, Method, Slot};

/// Writes what an I/O thread does to the board.
#[derive(Debug)]
pub(crate) struct Meter {
    slot: Slot,
}

impl Meter {
    /// A meter, if anybody wants one.
    pub(crate) fn new(slot: &Slot) -> Option<Rc<Self>> {
        slot.board().is_measured().then(|| Rc::new(Self { slot: slot.clone() }))
    }

    /// A request with this method has arrived.
    pub(crate) fn begin(self: &Rc<Self>, method: &[u8]) -> Measure {
        self.slot.request_begun();
        let method = Method::of(method);
        Measure { meter: Rc::clone(self), method, status: None, began: Instant::now() }
    }

    /// Something was answered that was no request, or is not known to be one.
    pub(crate) fn count_refused(&self, status: u16) {
        self.slot.count_request(Method::Other, Some(status));
    }

    /// So many messages have moved on a WebSocket.
    pub(crate) fn count_messages(&self, received: u64, sent: u64) {
        self.slot.count(Counter::MessagesReceived, received);
        self.slot.count(Counter::MessagesSent, sent);
    }
}

/// One request that is not over.
#[derive(Debug)]
pub(crate) struct Measure {
    meter: Rc<Meter>,
    method: Method,
    /// What it was answered with.
    status: Option<u16>,
    began: Instant,
}

impl Measure {
    /// Content has arrived for the application.
    pub(crate) fn received(&self, bytes: usize) {
        self.meter.slot.count(Counter::RequestBytes, bytes as u64);
    }

    /// The answer has begun.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status.get_or_insert(status);
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.status.is_some()
    }

    /// Content is on its way to the peer, if there is any in such a response.
    pub(crate) fn sent(&self, bytes: u64) {
        let is_bodiless = self.method == Method::Head || matches!(self.status, Some(204 | 304));
        if !is_bodiless {
            self.meter.slot.count(Counter::ResponseBytes, bytes);
        }
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        self.meter.slot.request_ended(self.method, self.status, self.began.elapsed());
    }
}
