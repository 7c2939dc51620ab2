//! Byte dialogues with the HTTP/1 and WebSocket engines, and the seam above HTTP: no socket, no clock, no runtime.
//!
//! One binary, so that the tests link once and share what plays the peer ([`dialogue`], [`messages`],
//! [`websocket`]) and
//! the application ([`seam`]).

mod accepted;
mod backpressure;
mod dialogue;
mod drain;
mod files;
mod interim;
mod keep_alive;
mod limits;
mod mailbox;
mod messages;
mod receive;
mod refusals;
mod refused_content;
mod refused_heads;
mod respond;
mod seam;
mod splits;
mod trailers;
mod websocket;
mod websocket_codec;
mod websocket_deflate;
mod websocket_deflate_refused;
mod websocket_handshakes;
mod websocket_limits;
mod websocket_messages;
mod websocket_negotiation;
mod websocket_sending;
mod websocket_sessions;
mod websocket_splits;
mod websocket_violations;
