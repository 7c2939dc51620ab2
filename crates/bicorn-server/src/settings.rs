//! What a server is told, as validated values.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use bicorn_http::http1::Limits;
use bicorn_http::websocket;
use bicorn_http::websocket::session::KeepAlive;

use crate::forwarded::TrustedProxies;

/// The settings of one server.
#[derive(Debug)]
pub struct Settings {
    /// Threads that own sockets; at least 1.
    pub io_threads: usize,
    /// Bounds of a request head.
    pub limits: Limits,
    /// How long a connection may take.
    pub deadlines: Deadlines,
    /// Whether responses carry `date`.
    pub date_header: bool,
    /// `name: value CRLF` lines that every response carries behind `date`.
    pub default_fields: Vec<u8>,
    /// Whether a connection may be used for more than one exchange.
    pub keep_alive: bool,
    /// How many bytes the kernel still holds for the peer of a socket; `None` where it cannot be told. It takes
    /// a system call that no safe library wraps, so whoever starts the server brings it.
    pub unsent_bytes: fn(BorrowedFd<'_>) -> Option<usize>,
    /// How WebSockets are spoken; `None` when they are not, and a handshake is a plain request.
    pub websocket: Option<WebSockets>,
    /// Whose `X-Forwarded-*` fields are believed; `None` when nobody's are.
    pub proxies: Option<TrustedProxies>,
}

/// How WebSockets are spoken.
#[derive(Debug, Clone, Copy)]
pub struct WebSockets {
    /// What the engine may take.
    pub engine: websocket::Settings,
    /// Messages that may wait for an application before the socket is no longer read; at least 1.
    pub max_queue: usize,
    /// When to look whether the peer is still there.
    pub keep_alive: KeepAlive,
}

/// How long a connection may take. `None` turns a deadline off.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From accept to the first request's head, and from the first byte of any head to its end.
    pub head: Option<Duration>,
    /// Between two pieces of content that the application is ready to take.
    pub content: Option<Duration>,
    /// Between two writes that the peer takes.
    pub write: Option<Duration>,
    /// From a response to the first byte of the next request.
    pub keep_alive: Option<Duration>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            head: Some(Duration::from_secs(10)),
            content: Some(Duration::from_secs(30)),
            write: Some(Duration::from_secs(30)),
            keep_alive: Some(Duration::from_secs(5)),
        }
    }
}
