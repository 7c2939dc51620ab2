//! From a bound socket to a drained server, for any [`Application`].
//!
//! [`Server::start`] takes listening sockets and starts I/O threads. Each runs a tokio runtime of its own:
//! a task per listener, a task per connection, one that empties the thread's mailbox and one that enforces
//! deadlines. An I/O thread never waits for an application and never attaches to Python.
#![forbid(unsafe_code)]

mod acceptor;
pub mod access_log;
mod admin;
pub mod application;
pub mod board;
mod connection;
mod connections;
mod control;
mod deadline;
mod default_fields;
pub mod forwarded;
mod gate;
mod io_thread;
mod listener;
mod meter;
pub mod server;
pub mod settings;
mod stream;
pub mod tls;
mod transport;

pub use admin::Admin;
pub use application::{Application, ConnectionInfo, Notice, PeerAddress, ServerAddress};
pub use board::{Board, Slot};
pub use server::Server;
pub use settings::{Deadlines, Http2, Settings, WebSockets};
