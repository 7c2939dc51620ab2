//! One peer's conversation, whatever is spoken in it.
//!
//! ```text
//!   accepted ──▶ Http1 ──101──▶ WebSocket
//! ```
//! A conversation may become another one: [`Step`] says into what. Its slot on the I/O thread, its task and its
//! transport stay the same.
//! [`Conversation::drive`] does whatever can be done without waiting. It is called by the connection's task when
//! the socket is ready, by the mailbox task when the application sent something, and by the sweeper when a
//! deadline passed; all on one I/O thread.

mod http1;
mod socket;
mod stall;
mod websocket;

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bicorn_http::{Action, ExchangeId};

use crate::application::{Application, ConnectionInfo};
use crate::deadline::NEVER;
use crate::io_thread::Thread;
use crate::transport::Transport;
use socket::Socket;

/// How long a closed connection waits for the peer's FIN (nginx's `lingering_timeout` is 5 s; the peer has
/// the whole answer by then, so less is enough).
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are discarded while lingering (arbitrary: a large upload in flight on a fast link).
const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// What a connection is made of before anything was read from it.
#[derive(Debug)]
pub(crate) struct Seed {
    /// The connection's slot on its I/O thread.
    pub(crate) key: usize,
    pub(crate) transport: Transport,
    pub(crate) info: ConnectionInfo,
    /// Commands for exchanges before this one belong to an earlier user of the slot.
    pub(crate) first_serial: u64,
}

/// A connection and all that is known of it.
#[derive(Debug)]
pub(crate) enum Conversation {
    Http1(http1::Connection),
    WebSocket(websocket::Connection),
    /// Nothing is spoken any more; also what stands here while one conversation becomes another.
    Over,
}

/// What follows a conversation that can do nothing more.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing: the connection can be dropped.
    Over,
}

impl Conversation {
    /// The conversation of a fresh connection.
    pub(crate) fn new<A: Application>(seed: Seed, thread: &Thread<A>) -> Self {
        let Seed { key, transport, info, first_serial } = seed;
        let socket = Socket::new(transport);
        Self::Http1(http1::Connection::new(key, socket, info, thread.settings().limits, first_serial))
    }

    /// Note that the socket may be ready: for the connection's own task.
    pub(crate) fn wake_up(&mut self, waker: &Waker) {
        match self {
            Self::Http1(connection) => connection.wake_up(waker),
            Self::WebSocket(connection) => connection.wake_up(waker),
            Self::Over => {}
        }
    }

    /// The waker of the connection's task, once it has run.
    pub(crate) fn waker(&self) -> Option<Waker> {
        match self {
            Self::Http1(connection) => connection.waker(),
            Self::WebSocket(connection) => connection.waker(),
            Self::Over => None,
        }
    }

    /// When [`Conversation::expire`] is due, on the thread's clock.
    pub(crate) fn deadline(&self) -> u64 {
        match self {
            Self::Http1(connection) => connection.deadline(),
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
        let step = match self {
            Self::Http1(connection) => connection.drive(context, thread),
            Self::WebSocket(connection) => connection.drive(context, thread),
            Self::Over => Poll::Ready(Step::Over),
        };
        step.map(|step| match step {
            Step::Over => (),
        })
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
            Self::WebSocket(connection) => connection.command(exchange, action, thread),
            Self::Over => {}
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
                Ok(connection) => Self::WebSocket(connection),
                Err(connection) => Self::Http1(*connection),
            },
            other => other,
        };
    }

    /// The deadline has passed: end what took too long. False when nothing is left to do but drop.
    pub(crate) fn expire<A: Application>(&mut self, thread: &Thread<A>) -> bool {
        match self {
            Self::Http1(connection) => connection.expire(thread),
            Self::WebSocket(connection) => connection.expire(thread),
            Self::Over => false,
        }
    }

    /// The connection is dropped, for whatever reason: applications hear that their peer is gone.
    pub(crate) fn abandon(&mut self) {
        match self {
            Self::Http1(connection) => connection.abandon(),
            Self::WebSocket(connection) => connection.abandon(),
            Self::Over => {}
        }
    }
}
