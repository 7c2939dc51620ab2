//! What an HTTP/1 connection or an HTTP/2 stream is busy with: a request and its response, or a WebSocket handshake.
//!
//! Both are answered with a response; a handshake can be accepted instead. Then the connection is another
//! conversation (`connection/websocket.rs`), or the stream carries one (`http2/stream/tunnel.rs`).

use bicorn_http::websocket::handshake::Offer;
use bicorn_http::websocket::seam::Control;
use bicorn_http::{Arrival, ExchangeControl, ExchangeId, ResponseBody, ResponseHead, ResponsePart};

/// The connection's half.
#[derive(Debug)]
pub(super) enum InFlight {
    Exchange(ExchangeControl),
    Handshake(Box<Pending>),
}

/// A handshake that the application has not decided upon.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) offer: Offer,
    pub(super) control: Control,
}

impl InFlight {
    pub(super) fn id(&self) -> ExchangeId {
        match self {
            Self::Exchange(control) => control.id(),
            Self::Handshake(pending) => pending.control.id(),
        }
    }

    pub(super) fn is_handshake(&self) -> bool {
        matches!(self, Self::Handshake(_))
    }

    /// Where content goes up; a handshake has none.
    pub(super) fn arrival(&self) -> Option<Arrival<'_>> {
        match self {
            Self::Exchange(control) => Some(control.arrival()),
            Self::Handshake(_) => None,
        }
    }

    pub(super) fn body_room(&self) -> usize {
        match self {
            Self::Exchange(control) => control.body_room(),
            Self::Handshake(_) => 0,
        }
    }

    /// Content that waits for the application, in bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        match self {
            Self::Exchange(control) => control.waiting_bytes(),
            Self::Handshake(_) => 0,
        }
    }

    pub(super) fn written(&self, bytes: usize) {
        match self {
            Self::Exchange(control) => control.written(bytes),
            Self::Handshake(pending) => pending.control.written(bytes),
        }
    }

    /// The peer will send nothing more. False when that is the end: nobody can hold a conversation with a peer
    /// that has left.
    pub(super) fn peer_finished(&self) -> bool {
        match self {
            Self::Exchange(control) => {
                control.peer_finished();
                true
            }
            Self::Handshake(_) => false,
        }
    }

    /// The peer is gone, or the connection is being closed.
    pub(super) fn disconnect(&self) {
        match self {
            Self::Exchange(control) => control.disconnect(),
            Self::Handshake(pending) => pending.control.lose(1006),
        }
    }
}

/// What a handshake is answered with that the application has not decided upon when the server stops.
pub(super) fn undecided() -> ResponsePart {
    let mut head = ResponseHead::new(500);
    let fields = [(&b"content-type"[..], &b"text/plain; charset=utf-8"[..]), (b"content-length", b"21")];
    for (name, value) in fields {
        // Constants without a forbidden byte.
        let _ = head.push(name, value);
    }
    let body = ResponseBody::copied(b"Internal Server Error");
    ResponsePart { head: Some(head), body, trailers: None, last: true, is_whole: true }
}
