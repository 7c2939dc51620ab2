//! Where a server takes its exchanges: Python is one implementation, tests bring others.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bicorn_http::websocket::seam::Handshake;
use bicorn_http::{Exchange, PeerError};

use crate::tls::{Reloaded, TlsInfo};

/// The application behind a server, as the I/O threads see it. No call may block.
pub trait Application: Clone + Send + Sync + 'static {
    /// Whether [`Application::handle`] has room for one more exchange from each I/O thread. When it has not,
    /// `waker` is woken once it may have.
    fn poll_ready(&self, waker: &Waker) -> Poll<()>;

    /// Take an exchange and return at once. The answer comes through `exchange.response`. Called only after
    /// [`Application::poll_ready`] said yes on the same thread.
    fn handle(&self, exchange: Exchange, connection: &Arc<ConnectionInfo>);

    /// Take a WebSocket handshake and return at once, as with [`Application::handle`]. The answer comes through
    /// `handshake.socket`.
    fn handle_websocket(&self, handshake: Handshake, connection: &Arc<ConnectionInfo>);

    /// Wake the application if it sleeps and something waits for it. An I/O thread calls this after every few
    /// exchanges, and before it sleeps itself: neither [`Application::handle`] nor the waker of an exchange
    /// needs to wake anybody, so that a batch of requests costs few system calls.
    fn notify(&self) {}

    /// Hear of something that is not an exchange. Called on any I/O thread; rare.
    fn notice(&self, notice: Notice);
}

/// Something an operator or the program around the server may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A peer was answered with an error.
    InvalidRequest(PeerError),
    /// A request asked for a protocol that is not spoken here, and was served as if it had not.
    UnsupportedUpgrade,
    /// Behind [`Notice::UnsupportedUpgrade`]: no WebSocket is spoken here at all.
    WebSocketsOff,
    /// No connection could be accepted; at most one such notice a second and listener.
    AcceptFailed(String),
    /// The last connection of a draining server ended, or the listeners were closed.
    Changed,
    /// The files of the TLS certificates have changed.
    Certificates(Reloaded),
    /// A response was cut off, and its connection closed, because its file could not be read to the end.
    FileFailed(String),
    /// A connection was lost to a defect of the server itself.
    Defect(String),
}

/// The address of a TCP peer, or of the client that a trusted proxy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    /// An IP address in its usual text form; whatever the header said for a forwarded one.
    pub host: String,
    /// The port; 0 when a proxy did not name one.
    pub port: u64,
}

/// The address a connection was accepted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// A TCP socket.
    Tcp {
        /// The IP address in its usual text form.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket and its path; empty for an unnamed one.
    Unix(String),
}

/// What is the same for all exchanges of a connection. Made once and shared.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Unique in the process, so that an application can remember what it made of this.
    pub id: u64,
    /// The peer's own IP address, whatever a proxy says; `None` for a Unix socket.
    pub peer: Option<IpAddr>,
    /// The client as the application sees it; `None` for a Unix socket.
    pub client: Option<PeerAddress>,
    /// Where the connection arrived.
    pub server: ServerAddress,
    /// `http` or `https`, or what a trusted proxy said.
    pub scheme: &'static str,
    /// What the handshake found out; `None` in the clear.
    pub tls: Option<Arc<TlsInfo>>,
}
