//! Dialogues with a server over loopback sockets. The application is the test itself: it takes each
//! exchange when it likes ([`running::Running::next_call`]), so that every order of events can be played.
//!
//! One binary, so that the tests link once. Nothing sleeps: each step waits for a byte, an exchange or a
//! notice, and gives up after [`waiting::PATIENCE`].

mod admin;
mod application;
mod backpressure;
mod board;
mod client;
mod closing;
mod deadlines;
mod exchanges;
mod files;
mod handoff;
mod http2;
mod http2_client;
mod http2_flow;
mod interim;
mod leaving;
mod listeners;
mod metrics;
mod panics;
mod pipelining;
mod running;
mod settings;
mod shutdown;
mod stale;
mod tls;
mod waiting;
mod websocket_deadlines;
mod websocket_handshakes;
mod websocket_messages;
mod websocket_sides;
mod websocket_stream_ends;
mod websocket_streams;
