//! One peer's conversation, whatever is spoken in it.
//!
//! ```text
//!   accepted ──▶ Http1 ──▶ Http2
//!        └───────────────────▲
//! ```
//! A conversation may become another one: [`Step`] says into what. Its slot on the I/O thread, its task and its
//! transport stay the same.
//! [`Conversation::drive`] does whatever can be done without waiting. It is called by the connection's task when
//! the socket is ready, by the mailbox task when the application sent something, and by the sweeper when a
//! deadline passed; all on one I/O thread.

mod handing_over;
mod http1;
mod http2;
mod socket;

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bicorn_http::{Action, ExchangeId};

use crate::application::{Application, ConnectionInfo};
use crate::deadline::NEVER;
use crate::io_thread::Thread;
use crate::transport::Transport;
use socket::Socket;

/// What every conversation is made of.
#[derive(Debug)]
pub(crate) struct Seed<Carrying = Transport> {
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
    Http1(http1::Connection),
    Http2(Box<http2::Connection>),
    /// Only while one becomes another.
    Changing,
}

/// What follows a conversation that can do nothing more.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing: the connection can be dropped.
    Over,
    /// HTTP/2, of which this has arrived: the peer said its preface where a request was expected.
    Http2(Vec<u8>),
}

/// What the peers agreed to speak before the first byte (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(dead_code, reason = "there is no TLS to agree in")]
pub(crate) enum Alpn {
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

impl Conversation {
    /// The conversation of a fresh connection. Without an agreement the peer's first bytes decide.
    pub(crate) fn new<A: Application>(seed: Seed, alpn: Option<Alpn>, thread: &Thread<A>) -> Self {
        let Seed { key, transport, info, first_serial } = seed;
        let seed = Seed { key, transport: Socket::new(transport), info, first_serial };
        match (alpn, thread.settings().http2) {
            (Some(Alpn::Http2), Some(settings)) => {
                Self::Http2(Box::new(http2::Connection::new(seed, Vec::new(), settings)))
            }
            (alpn, settings) => {
                let may_become_http2 = alpn.is_none() && settings.is_some();
                Self::Http1(http1::Connection::new(seed, thread.settings().limits, may_become_http2))
            }
        }
    }

    /// Note that the socket may be ready: for the connection's own task.
    pub(crate) fn wake_up(&mut self, waker: &Waker) {
        match self {
            Self::Http1(connection) => connection.wake_up(waker),
            Self::Http2(connection) => connection.wake_up(waker),
            Self::Changing => {}
        }
    }

    /// The waker of the connection's task, once it has run.
    pub(crate) fn waker(&self) -> Option<Waker> {
        match self {
            Self::Http1(connection) => connection.waker(),
            Self::Http2(connection) => connection.waker(),
            Self::Changing => None,
        }
    }

    /// When [`Conversation::expire`] is due, on the thread's clock.
    pub(crate) fn deadline(&self) -> u64 {
        match self {
            Self::Http1(connection) => connection.deadline(),
            Self::Http2(connection) => connection.deadline(),
            Self::Changing => NEVER,
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
                Self::Http1(connection) => connection.drive(context, thread),
                Self::Http2(connection) => connection.drive(thread),
                Self::Changing => Poll::Ready(Step::Over),
            };
            match step {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Step::Over) => return Poll::Ready(()),
                Poll::Ready(Step::Http2(unread)) => self.become_http2(unread, thread),
            }
        }
    }

    fn become_http2<A: Application>(&mut self, unread: Vec<u8>, thread: &Thread<A>) {
        if let (Self::Http1(connection), Some(settings)) =
            (std::mem::replace(self, Self::Changing), thread.settings().http2)
        {
            let seed = connection.into_seed();
            *self = Self::Http2(Box::new(http2::Connection::new(seed, unread, settings)));
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
            Self::Changing => {}
        }
    }

    /// The deadline has passed: end what took too long. False when nothing is left to do but drop.
    pub(crate) fn expire<A: Application>(&mut self, thread: &Thread<A>) -> bool {
        match self {
            Self::Http1(connection) => connection.expire(thread),
            Self::Http2(connection) => connection.expire(thread),
            Self::Changing => false,
        }
    }

    /// The connection is dropped, for whatever reason: applications hear that their peer is gone.
    pub(crate) fn abandon(&mut self) {
        match self {
            Self::Http1(connection) => connection.abandon(),
            Self::Http2(connection) => connection.abandon(),
            Self::Changing => {}
        }
    }
}
