//! HTTP/1.0 and 1.1 (RFC 9112), sans-IO.
//!
//! ```text
//!   bytes ──▶ head ──▶ chunked / length ──▶ Event        (connection::Connection::read)
//!   ResponseHead, ResponseBody ──▶ encode ──▶ Output      (connection::Connection::respond)
//! ```
//! The engine is strict on purpose: what RFC 9112 forbids is answered with an error and a close, because a
//! proxy in front may have read it differently (request smuggling). httparse tokenises; every rule that it
//! leaves out is in [`head`].

pub mod chunked;
pub mod connection;
mod encode;
pub mod head;
pub(crate) mod target;

pub use connection::{Connection, Event};
pub use head::Limits;
