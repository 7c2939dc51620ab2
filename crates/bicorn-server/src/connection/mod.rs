//! One peer's conversation, whatever is spoken in it.
//!
//! ```text
//!   accepted ──▶ Handshake ──▶ Http1
//!      └───────── in the clear ──▲
//! ```
//! A conversation may become another one: [`Step`] says into what. Its slot on the I/O thread, its task and its
//! transport stay the same.
//! [`Conversation::drive`] does whatever can be done without waiting. It is called by the connection's task when
//! the socket is ready, by the mailbox task when the application sent something, and by the sweeper when a
//! deadline passed; all on one I/O thread.

mod files;
mod handshake;
mod http1;
mod socket;

use std::task::{Context, Poll, Waker, ready};

use bicorn_http::{Action, ExchangeId};

use crate::application::{Application, ConnectionInfo};
use crate::io_thread::Thread;
use crate::stream::Stream;
use crate::transport::Transport;
use handshake::Handshake;
use socket::Socket;

/// What a connection is made of before anything was read from it.
#[derive(Debug)]
pub(crate) struct Seed {
    /// The connection's slot on its I/O thread.
    pub(crate) key: usize,
    pub(crate) stream: Stream,
    pub(crate) info: ConnectionInfo,
    /// Commands for exchanges before this one belong to an earlier user of the slot.
    pub(crate) first_serial: u64,
}

/// A connection and all that is known of it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every connection is the large one for nearly all its life"
)]
pub(crate) enum Conversation {
    /// In a box: it is gone after the first milliseconds of a connection, and much larger than what follows.
    Handshake(Box<Handshake>),
    Http1(http1::Connection),
}

/// What follows a conversation that can do nothing more.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing: the connection can be dropped.
    Over,
    /// Another conversation, which has not been driven yet.
    Become(Box<Conversation>),
}

impl Conversation {
    /// The conversation of a fresh connection.
    pub(crate) fn new<A: Application>(seed: Seed, thread: &Thread<A>) -> Self {
        if let Some(tls) = &thread.settings().tls {
            return Self::Handshake(Box::new(Handshake::new(seed, tls, thread)));
        }
        let Seed { key, stream, info, first_serial } = seed;
        let socket = Socket::new(Transport::Clear(stream));
        Self::Http1(http1::Connection::new(key, socket, info, thread.settings().limits, first_serial))
    }

    /// Note that the socket may be ready: for the connection's own task.
    pub(crate) fn wake_up(&mut self, waker: &Waker) {
        match self {
            Self::Handshake(handshake) => handshake.wake_up(waker),
            Self::Http1(connection) => connection.wake_up(waker),
        }
    }

    /// The waker of the connection's task, once it has run.
    pub(crate) fn waker(&self) -> Option<Waker> {
        match self {
            Self::Handshake(handshake) => handshake.waker(),
            Self::Http1(connection) => connection.waker(),
        }
    }

    /// When [`Conversation::expire`] is due, on the thread's clock.
    pub(crate) fn deadline(&self) -> u64 {
        match self {
            Self::Handshake(handshake) => handshake.deadline(),
            Self::Http1(connection) => connection.deadline(),
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
            };
            match ready!(step) {
                Step::Over => return Poll::Ready(()),
                Step::Become(conversation) => {
                    *self = *conversation;
                    self.wake_up(context.waker());
                }
            }
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
            // Nothing has been handed over yet: it is for an earlier user of the slot.
            Self::Handshake(_) => {}
            Self::Http1(connection) => connection.command(exchange, action, thread),
        }
    }

    /// The deadline has passed: end what took too long. False when nothing is left to do but drop.
    pub(crate) fn expire<A: Application>(&mut self, thread: &Thread<A>) -> bool {
        match self {
            Self::Handshake(_) => false,
            Self::Http1(connection) => connection.expire(thread),
        }
    }

    /// The connection is dropped, for whatever reason: applications hear that their peer is gone.
    pub(crate) fn abandon(&mut self) {
        match self {
            Self::Handshake(_) => {}
            Self::Http1(connection) => connection.abandon(),
        }
    }
}
