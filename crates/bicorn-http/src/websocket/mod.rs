//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692), sans-IO.
//!
//! ```text
//!   RequestHead ──▶ handshake::check ──▶ Offer ──▶ handshake::accept ──▶ field lines, Agreement
//!   bytes ──▶ frame ──▶ deflate::Inflater ──▶ assembly ──▶ Event          (Connection::read)
//!   Outgoing ──▶ deflate::Deflater ──▶ frame ──▶ Output                   (Connection::send)
//! ```
//! It stands behind the handshake, on the bytes of an upgraded HTTP/1.1 connection or on the content of an
//! HTTP/2 stream (RFC 8441), and knows neither. It answers pings and close frames itself. What it must not
//! do: allocate by a length that a peer merely declares, hold more of a message than
//! [`Settings::max_message_bytes`], or say anything after a close frame.
//!
//! [`seam`] is what an application has of a WebSocket, [`session`] the engine and the seam together, which is what
//! servers drive. How a session drives a [`Connection`]:
//!
//! * **Handshake.** [`handshake::check`] for every HTTP/1 head (a plain one costs a look at one flag), or
//!   [`handshake::check_stream`] for an extended `CONNECT` with `:protocol` `websocket`. Once the application
//!   accepts, [`handshake::accept`] gives the field lines and what [`Connection::new`] needs.
//! * **Reading.** Call [`Connection::read`] until it gives `None`; it then has taken all of the input. After a
//!   [`Violation`] or a close frame it takes and ignores everything.
//! * **Writing.** [`Connection::send`] and [`Connection::ping`] do nothing once a close frame is out.
//!   Whenever the output has been written, call [`Connection::settle`]: a pong may have waited for room.
//! * **Closing.** [`Connection::close`], then read until [`State::Closed`], but not for ever. A peer's close
//!   frame is answered by the engine: the state is `Closed` with the event. A violation queues a close frame
//!   and closes, too: write the output, stop writing, drop the connection.
//! * **Idling.** [`Connection::release`] when nothing was said for a while.

mod assembly;
mod close;
mod connection;
pub mod deflate;
mod digest;
mod extensions;
mod frame;
mod growth;
pub mod handshake;
pub mod seam;
pub mod session;

pub use close::is_close_code;
pub use connection::Connection;

use bytes::Bytes;

/// What a connection may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the longest message that is taken; a longer one is answered with 1009.
    pub max_message_bytes: usize,
    /// Whether permessage-deflate is agreed to when a peer offers it.
    pub per_message_deflate: bool,
}

impl Default for Settings {
    /// uvicorn's defaults.
    fn default() -> Self {
        Self { max_message_bytes: 16 * 1024 * 1024, per_message_deflate: true }
    }
}

/// A whole message of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Valid UTF-8, as RFC 6455 §8.1 asks.
    Text(String),
    /// Any bytes.
    Binary(Vec<u8>),
}

/// Something that the peer's bytes said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message is complete.
    Message(Message),
    /// A pong, with the payload of the ping that it answers, or unasked.
    Pong(Vec<u8>),
    /// The peer closes, or answers our close frame. Nothing follows.
    Close {
        /// `None` for a close frame without a code, which is 1005 to an application.
        code: Option<u16>,
        /// At most 123 bytes.
        reason: String,
    },
}

/// A whole message of the application.
#[derive(Debug)]
pub enum Outgoing {
    /// Must be UTF-8.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

/// How far the closing handshake has come (RFC 6455 §7.1).
///
/// ```text
///   Open ──close──▶ CloseSent ──peer's close frame──▶ Closed
///     └───────peer's close frame (answered), violation───▲
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Both sides may talk.
    Open,
    /// Our close frame is queued; the peer may still talk, and owes its own.
    CloseSent,
    /// Both close frames are there, or the peer broke the protocol: nothing is read or written any more.
    Closed,
}

/// What a peer did wrong, as the close frame says it (RFC 6455 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The close code.
    pub code: u16,
    /// The reason in the close frame, for the log and the application.
    pub reason: &'static str,
}

impl Violation {
    pub(crate) const fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }

    /// Bytes in a text message, or a close reason, that are no UTF-8.
    pub(crate) const NOT_UTF8: Self = Self { code: 1007, reason: "invalid UTF-8" };
    /// More than [`Settings::max_message_bytes`].
    pub(crate) const TOO_BIG: Self = Self { code: 1009, reason: "message too big" };
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.code, self.reason)
    }
}

impl std::error::Error for Violation {}
