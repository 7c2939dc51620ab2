//! Bytes ⇄ exchanges.
//!
//! This crate turns what a peer sends into [`Exchange`]s and what an application answers into bytes.
//! It knows no socket, no clock, no TLS and no Python: a connection task in `bicorn-server` feeds it and
//! writes what it produces.
//!
//! * [`http1`] is the HTTP/1.0 and 1.1 engine (RFC 9112), sans-IO.
//! * [`http2`] makes the same heads out of HTTP/2 requests (RFC 9113 §8); frames are the server's business.
//! * [`exchange`] is the seam above every HTTP version: one request and its response (RFC 9110), with the
//!   hand-off to the application's thread and back ([`mailbox`]).
//! * [`websocket`] is the WebSocket engine (RFC 6455, RFC 7692), sans-IO, above HTTP/1.1 and HTTP/2.
//! * [`headers`] holds heads as contiguous blocks that cost one allocation each.
//!
//! Nothing here may panic because of a peer's bytes.
#![forbid(unsafe_code)]

pub mod body;
pub mod error;
pub mod exchange;
pub mod file;
pub mod headers;
pub mod http1;
pub mod http2;
pub mod mailbox;
pub mod output;
pub mod routes;
pub mod status;
pub mod websocket;

pub use body::ResponseBody;
pub use error::PeerError;
pub use exchange::{
    Arrival, Bounds, Exchange, ExchangeControl, ExchangeId, Received, RequestBody, ResponseSender,
};
pub use file::FileRange;
pub use headers::{FieldError, RequestHead, ResponseHead, Version};
pub use mailbox::{Action, Command, Mailbox, ResponsePart};
pub use output::Output;
