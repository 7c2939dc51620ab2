//! One peer's conversation, whatever is spoken in it.
//!
//! ```text
//!   accepted ──▶ Handshake ──▶ Http1 ──101──▶ WebSocket
//!      └──── in the clear ──────▲  └──preface──▶ Http2
//!                  └──── by agreement ────────────▲
//! ```
//! A conversation may become another one: [`Step`] says into what. Its slot on the I/O thread, its task and its
//! transport stay the same.
//! [`Conversation::drive`] does whatever can be done without waiting. It is called by the connection's task when
//! the socket is ready, by the mailbox task when the application sent something, and by the sweeper when a
//! deadline passed; all on one I/O thread.

mod files;
mod handing_over;
mod handshake;
mod http1;
mod http2;
mod in_flight;
mod socket;
mod stall;
mod websocket;

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bicorn_http::{Action, ExchangeId};

use crate::application::{Application, ConnectionInfo};
use crate::board::Protocol;
use crate::deadline::NEVER;
use crate::io_thread::Thread;
use crate::stream::Stream;
use crate::transport::Transport;
use handshake::Handshake;
use socket::Socket;

/// How long a closed connection waits for the peer's FIN (nginx's `lingering_timeout` is 5 s; the peer has
/// the whole answer by then, so less is enough).
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are discarded while lingering (arbitrary: a large upload in flight on a fast link).
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// What every conversation is made of.
#[derive(Debug)]
pub(crate) struct Seed<Carrying = Stream> {
    /// The connection's slot on its I/O thread.
    pub(crate) key: usize,
    pub(crate) transport: Carrying,
    pub(crate) info: Arc<ConnectionInfo>,
    /// Commands for exchanges before this one belong to an earlier user of the slot.
    pub(crate) first_serial: u64,
}

/// A connection and all that is known of it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most connections are HTTP/1, and each has a slot of its own")]
pub(crate) enum Conversation {
    /// In a box: it is gone after the first milliseconds of a connection, and much larger than what follows.
    Handshake(Box<Handshake>),
    Http1(http1::Connection),
    Http2(Box<http2::Connection>),
    WebSocket(Box<websocket::Connection>),
    /// Nothing is spoken any more; also what stands here while one conversation becomes another.
    Over,
}

/// What follows a conversation that can do nothing more.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing: the connection can be dropped.
    Over,
    /// Another conversation, which has not been driven yet.
    Become(Box<Conversation>),
    /// HTTP/2, of which this has arrived: the peer said its preface where a request was expected.
    Http2(Vec<u8>),
}

/// What is spoken from the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreed {
    /// Whatever the first bytes say: nothing was agreed to.
    Open,
    /// `http/1.1` by ALPN (RFC 7301), or no ALPN.
    Http1,
    /// `h2` by ALPN.
    Http2,
}

impl Conversation {
    /// The conversation of a fresh connection.
    pub(crate) fn new<A: Application>(seed: Seed, thread: &Thread<A>) -> Self {
        if let Some(tls) = &thread.settings().tls {
            return Self::Handshake(Box::new(Handshake::new(seed, tls, thread)));
        }
        let Seed { key, transport, info, first_serial } = seed;
        let transport = Socket::new(Transport::Clear(transport));
        Self::speaking(Agreed::Open, Seed { key, transport, info, first_serial }, thread)
    }

    /// A conversation in HTTP, over a transport that is ready for it.
    fn speaking<A: Application>(agreed: Agreed, seed: Seed<Socket>, thread: &Thread<A>) -> Self {
        match (agreed, thread.settings().http2) {
            (Agreed::Http2, Some(settings)) => {
                let has_websockets = thread.settings().websocket.is_some();
                Self::Http2(Box::new(http2::Connection::new(seed, Vec::new(), settings, has_websockets)))
            }
            (agreed, settings) => {
                let may_become_http2 = agreed == Agreed::Open && settings.is_some();
                Self::Http1(http1::Connection::new(seed, thread.settings().limits, may_become_http2))
            }
        }
    }

    /// What is spoken; `None` once nothing is.
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        match self {
            // What it will be is not decided.
            Self::Handshake(_) | Self::Http1(_) => Some(Protocol::Http1),
            Self::Http2(_) => Some(Protocol::Http2),
            Self::WebSocket(_) => Some(Protocol::WebSocket),
            Self::Over => None,
        }
    }

    /// Note that the socket may be ready: for the connection's own task.
    pub(crate) fn wake_up(&mut self, waker: &Waker) {
        match self {
            Self::Handshake(handshake) => handshake.wake_up(waker),
            Self::Http1(connection) => connection.wake_up(waker),
            Self::Http2(connection) => connection.wake_up(waker),
            Self::WebSocket(connection) => connection.wake_up(waker),
            Self::Over => {}
        }
    }

    /// The waker of the connection's task, once it has run.
    pub(crate) fn waker(&self) -> Option<Waker> {
        match self {
            Self::Handshake(handshake) => handshake.waker(),
            Self::Http1(connection) => connection.waker(),
            Self::Http2(connection) => connection.waker(),
            Self::WebSocket(connection) => connection.waker(),
            Self::Over => None,
        }
    }

    /// When [`Conversation::expire`] is due, on the thread's clock.
    pub(crate) fn deadline(&self) -> u64 {
        match self {
            Self::Handshake(handshake) => handshake.deadline(),
            Self::Http1(connection) => connection.deadline(),
            Self::Http2(connection) => connection.deadline(),
            Self::WebSocket(connection) => connection.deadline(),
            Self::Over => NEVER,
        }
    }

    /// Do all that can be done now. Ready when the connection is over and can be dropped.
    ///
    /// `context` must belong to the connection's task.
    pub(crate) fn drive<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        thread: &Thread<A>,
    ) -> Poll<()> {
        loop {
            let step = match self {
                Self::Handshake(handshake) => handshake.drive(context, thread),
                Self::Http1(connection) => connection.drive(context, thread),
                Self::Http2(connection) => connection.drive(thread),
                Self::WebSocket(connection) => connection.drive(context, thread),
                Self::Over => Poll::Ready(Step::Over),
            };
            match ready!(step) {
                Step::Over => return Poll::Ready(()),
                Step::Become(conversation) => *self = *conversation,
                Step::Http2(unread) => self.become_http2(unread, thread),
            }
            self.wake_up(context.waker());
        }
    }

    fn become_http2<A: Application>(&mut self, unread: Vec<u8>, thread: &Thread<A>) {
        if let (Self::Http1(connection), Some(settings)) =
            (std::mem::replace(self, Self::Over), thread.settings().http2)
        {
            let has_websockets = thread.settings().websocket.is_some();
            let seed = connection.into_seed();
            *self = Self::Http2(Box::new(http2::Connection::new(seed, unread, settings, has_websockets)));
        }
    }

    /// Do what the application asked of one of this connection's exchanges.
    pub(crate) fn command<A: Application>(
        &mut self,
        exchange: ExchangeId,
        action: Action,
        thread: &Thread<A>,
    ) {
        match self {
            Self::Http1(connection) => connection.command(exchange, action, thread),
            Self::Http2(connection) => connection.command(exchange, action, thread),
            Self::WebSocket(connection) => connection.command(exchange, action, thread),
            // Nothing has been handed over yet: it is for an earlier user of the slot.
            Self::Handshake(_) | Self::Over => {}
        }
        // Its first messages may stand right behind the acceptance.
        self.switch_protocol();
    }

    /// Become a WebSocket's conversation once HTTP has ended with a 101.
    fn switch_protocol(&mut self) {
        if !matches!(self, Self::Http1(connection) if connection.is_websocket()) {
            return;
        }
        *self = match std::mem::replace(self, Self::Over) {
            Self::Http1(connection) => match connection.into_websocket() {
                Ok(connection) => Self::WebSocket(Box::new(connection)),
                Err(connection) => Self::Http1(*connection),
            },
            other => other,
        };
    }

    /// The deadline has passed: end what took too long. False when nothing is left to do but drop.
    pub(crate) fn expire<A: Application>(&mut self, thread: &Thread<A>) -> bool {
        match self {
            Self::Http1(connection) => connection.expire(thread),
            Self::Http2(connection) => connection.expire(thread),
            Self::WebSocket(connection) => connection.expire(thread),
            Self::Handshake(_) | Self::Over => false,
        }
    }

    /// The connection is dropped, for whatever reason: applications hear that their peer is gone.
    pub(crate) fn abandon(&mut self) {
        match self {
            Self::Http1(connection) => connection.abandon(),
            Self::Http2(connection) => connection.abandon(),
            Self::WebSocket(connection) => connection.abandon(),
            Self::Handshake(_) | Self::Over => {}
        }
    }
}
