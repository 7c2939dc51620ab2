//! What a server is told, as validated values.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use bicorn_http::http1::Limits;
use bicorn_http::websocket;
use bicorn_http::websocket::session::KeepAlive;

use crate::forwarded::TrustedProxies;
use crate::tls::Tls;

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
    /// How HTTP/2 is spoken; `None` when it is not.
    pub http2: Option<Http2>,
    /// How WebSockets are spoken; `None` when they are not, and a handshake is a plain request.
    pub websocket: Option<WebSockets>,
    /// Whose `X-Forwarded-*` fields are believed; `None` when nobody's are.
    pub proxies: Option<TrustedProxies>,
    /// TLS on every listener; `None` serves in the clear.
    pub tls: Option<Arc<Tls>>,
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

/// Bounds and deadlines of an HTTP/2 connection, beside those of every connection.
#[derive(Debug, Clone, Copy)]
pub struct Http2 {
    /// Streams that a peer may have open at a time.
    pub max_concurrent_streams: u32,
    /// Request content of one stream that may wait for the application, in bytes; at most 2^31 - 1.
    pub stream_window: u32,
    /// The same of all streams of a connection together.
    pub connection_window: u32,
    /// The largest field list, counted as RFC 9113 §10.5.1 does.
    pub max_header_list: u32,
    /// How long a connection without streams is kept.
    pub idle: Option<Duration>,
    /// How long a peer with open streams may say nothing before it is asked for a sign of life.
    pub ping_interval: Option<Duration>,
    /// How long it may take for that sign.
    pub ping_timeout: Option<Duration>,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 100,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
            max_header_list: 64 * 1024,
            idle: Some(Duration::from_secs(75)),
            ping_interval: Some(Duration::from_secs(20)),
            ping_timeout: Some(Duration::from_secs(20)),
        }
    }
}
