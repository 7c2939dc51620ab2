//! What a stream carries, as the connection sees it: one exchange, or the frames of a WebSocket.

use h2::Reason;

use super::{Fed, Lost, Stream, Tunnel, Turn};
use crate::deadline::NEVER;

/// One stream. In boxes, so that the map of a connection holds little but their names.
#[derive(Debug)]
pub(in crate::connection::http2) enum Carried {
    /// A request and its response; also a WebSocket that nobody has decided upon.
    Exchange(Box<Stream>),
    WebSocket(Box<Tunnel>),
}

impl Carried {
    /// The exchange, if it carries one.
    pub(in crate::connection::http2) fn exchange(&mut self) -> Option<&mut Stream> {
        match self {
            Self::Exchange(stream) => Some(stream),
            Self::WebSocket(_) => None,
        }
    }

    /// Where the stream stands among those that have something to hand over.
    pub(in crate::connection::http2) fn turn(&mut self) -> &mut Turn {
        match self {
            Self::Exchange(stream) => &mut stream.turn,
            Self::WebSocket(tunnel) => &mut tunnel.turn,
        }
    }

    /// Take what arrived, and hear of the end; asks h2 to wake the stream for what comes next.
    pub(in crate::connection::http2) fn receive(&mut self, now: u64) -> Result<(), Lost> {
        match self {
            Self::Exchange(stream) => stream.receive(now),
            Self::WebSocket(tunnel) => tunnel.receive(now),
        }
    }

    /// Hand content over to h2, as far as the peer has given credit; at most a share. A WebSocket that is over waits
    /// for the peer until `linger_until`.
    pub(in crate::connection::http2) fn feed(&mut self, linger_until: u64) -> Result<Fed, Lost> {
        match self {
            Self::Exchange(stream) => stream.feed(),
            Self::WebSocket(tunnel) => tunnel.feed(linger_until),
        }
    }

    /// Whether there is anything that [`Carried::feed`] could hand over.
    pub(in crate::connection::http2) fn has_output(&self) -> bool {
        match self {
            Self::Exchange(stream) => stream.has_output(),
            Self::WebSocket(tunnel) => tunnel.has_output(),
        }
    }

    /// Whether nothing is left to do but drop.
    pub(in crate::connection::http2) fn is_over(&self) -> bool {
        match self {
            Self::Exchange(stream) => stream.is_over(),
            Self::WebSocket(tunnel) => tunnel.is_over(),
        }
    }

    /// Whether all that may leave has left: what was given up ends behind it.
    pub(in crate::connection::http2) fn has_said_all(&self) -> bool {
        match self {
            Self::Exchange(stream) => stream.has_said_all(),
            Self::WebSocket(tunnel) => tunnel.has_said_all(),
        }
    }

    /// Whether the server's stop ends it, because it would go on for ever.
    pub(in crate::connection::http2) fn is_endless(&self) -> bool {
        match self {
            Self::Exchange(stream) => stream.is_handshake(),
            Self::WebSocket(tunnel) => !tunnel.is_settled(),
        }
    }

    /// What the peer is told when the application gives up. RFC 8441 §5: CANCEL is what a reset is to TCP.
    pub(in crate::connection::http2) fn failure(&self) -> Reason {
        match self {
            Self::Exchange(_) => Reason::INTERNAL_ERROR,
            Self::WebSocket(_) => Reason::CANCEL,
        }
    }

    /// When a WebSocket has something to do without a word from anybody.
    pub(in crate::connection::http2) fn deadline(&self) -> u64 {
        match self {
            Self::Exchange(_) => NEVER,
            Self::WebSocket(tunnel) => tunnel.deadline(),
        }
    }

    /// Tell the peer that the stream ends here.
    pub(in crate::connection::http2) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Exchange(stream) => stream.reset(reason),
            Self::WebSocket(tunnel) => tunnel.reset(reason),
        }
    }

    /// Tell the application that its peer is gone.
    pub(in crate::connection::http2) fn disconnect(&mut self) {
        match self {
            Self::Exchange(stream) => stream.disconnect(),
            Self::WebSocket(tunnel) => tunnel.disconnect(),
        }
    }
}
