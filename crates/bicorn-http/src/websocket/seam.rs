//! One WebSocket between the application's thread and its connection, in two halves, like
//! [`exchange`](crate::exchange) for a request.
//!
//! The application's half is a [`Handshake`]: the head, what the peer offers, and a [`WebSocket`]. The
//! connection keeps a [`Control`]. Messages and the end go up through a short lock, commands come down through
//! the I/O thread's [`Mailbox`].
//!
//! ```text
//!   connection ── message, end, written ──▶ shared ──▶ application
//!       ▲                                                   │
//!       └── Mailbox: Accept, Respond, Message, CloseFrame, Resume, Close ──┘
//! ```
//! Both directions are bounded in bytes: nobody here holds more than one message above its mark.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::{Message, Outgoing};
use crate::exchange::{BODY_HIGH_WATER_BYTES, ExchangeId, HIGH_WATER_BYTES, LOW_WATER_BYTES};
use crate::headers::{RequestHead, ResponseHead};
use crate::mailbox::{Action, Command, Mailbox, ResponsePart};

/// A WebSocket that the application has not accepted yet: its half.
#[derive(Debug)]
pub struct Handshake {
    /// The checked request head.
    pub head: RequestHead,
    /// The subprotocols that the peer offers, the best first.
    pub subprotocols: Vec<String>,
    /// What the application does with it.
    pub socket: WebSocket,
}

impl Handshake {
    /// Make both halves.
    pub fn new(
        head: RequestHead,
        subprotocols: Vec<String>,
        bounds: Bounds,
        id: ExchangeId,
        mailbox: Arc<Mailbox>,
    ) -> (Self, Control) {
        let shared = Arc::new(Shared {
            id,
            mailbox,
            bounds,
            inbound: Mutex::new(Inbound::default()),
            unsent: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
        });
        let socket = WebSocket { shared: Arc::clone(&shared), is_settled: AtomicBool::new(false) };
        (Self { head, subprotocols, socket }, Control { shared })
    }
}

/// How far the two sides of one WebSocket may be ahead of each other.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Messages that may wait for the application.
    pub messages: usize,
    /// What they may occupy, in bytes.
    pub inbound: usize,
    /// Bytes of messages sent beyond which [`WebSocket::poll_ready`] waits.
    pub high_water: usize,
    /// An application that waits goes on below this.
    pub low_water: usize,
}

impl Bounds {
    /// Those of a WebSocket that has a connection to itself.
    pub fn new(messages: usize) -> Self {
        Self {
            messages,
            inbound: BODY_HIGH_WATER_BYTES,
            high_water: HIGH_WATER_BYTES,
            low_water: LOW_WATER_BYTES,
        }
    }
}

#[derive(Debug)]
struct Shared {
    id: ExchangeId,
    mailbox: Arc<Mailbox>,
    bounds: Bounds,
    inbound: Mutex<Inbound>,
    /// Messages sent by the application and not yet taken by the socket: see
    /// [`cost`](crate::ResponseBody::cost).
    unsent: AtomicUsize,
    /// The peer takes nothing any more.
    is_closed: AtomicBool,
    /// The connection is gone, without a closing handshake.
    is_lost: AtomicBool,
}

#[derive(Debug, Default)]
struct Inbound {
    /// What the application has not taken.
    messages: VecDeque<Message>,
    /// Sum of what they occupy: see [`Message::cost`].
    bytes: usize,
    /// What comes behind the messages.
    end: Option<Disconnect>,
    /// The connection does not read because there is much to take.
    is_paused: bool,
    /// The application has asked for a message and found none: it has done what it wanted with those before.
    is_awaited: bool,
    /// The connection waits for `is_awaited`.
    must_tell: bool,
    /// Woken once when any of the above, or `unsent`, changes in the application's favour.
    waker: Option<Waker>,
}

impl Inbound {
    fn is_full(&self, bounds: Bounds) -> bool {
        self.bytes >= bounds.inbound || self.messages.len() >= bounds.messages
    }

    /// Whether so little is left that reading should go on: half of the marks, so that a stream of messages
    /// does not cost a command each.
    fn is_low(&self, bounds: Bounds) -> bool {
        self.bytes <= bounds.inbound / 2 && self.messages.len() <= bounds.messages / 2
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbound> {
        self.inbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Change the inbound side, then wake the application outside the lock.
    fn update(&self, change: impl FnOnce(&mut Inbound)) {
        let waker = {
            let mut inbound = self.lock();
            change(&mut inbound);
            inbound.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn command(&self, action: Action) {
        self.mailbox.push(Command { exchange: self.id, action });
    }
}

impl Message {
    /// What the message occupies while it waits. Even an empty one does, or a flood of them had no bound.
    fn cost(&self) -> usize {
        let length = match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        };
        length + size_of::<Self>()
    }
}

impl Outgoing {
    /// What the message occupies until the socket has taken it: this is what flow control counts.
    pub(super) fn cost(&self) -> usize {
        let (Self::Text(content) | Self::Binary(content)) = self;
        content.len() + size_of::<Self>()
    }
}

/// How a WebSocket ended, as the application hears of it (ASGI WebSocket 2.4, "Disconnect").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// The close code: the peer's or the application's own, or one of those that stand in no frame.
    pub code: u16,
    /// What the close frame said; `None` where there was no frame.
    pub reason: Option<String>,
}

impl Disconnect {
    /// An end without a close frame.
    pub fn without_frame(code: u16) -> Self {
        Self { code, reason: None }
    }
}

/// What an application gets when it asks for a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The next message.
    Message(Message),
    /// Nothing will follow.
    Disconnected(Disconnect),
}

/// The application's half. Every call only queues: see [`WebSocket::notify`].
///
/// Dropping it before the end closes the connection.
#[derive(Debug)]
pub struct WebSocket {
    shared: Arc<Shared>,
    /// The application has closed, denied or given up.
    is_settled: AtomicBool,
}

impl WebSocket {
    /// Accept the handshake, with the fields of `head` besides those of the protocol; messages may follow.
    pub fn accept(&self, head: ResponseHead) {
        self.shared.command(Action::Accept(head));
    }

    /// Answer the handshake with a response instead: a part of it. The application hears 1006 behind the last.
    pub fn deny(&self, part: ResponsePart) {
        self.shared.unsent.fetch_add(part.body.cost(), Ordering::Relaxed);
        if part.last {
            self.settle(Disconnect::without_frame(1006));
        }
        self.shared.command(Action::Respond(part));
    }

    /// Send a message.
    pub fn send(&self, message: Outgoing) {
        self.shared.unsent.fetch_add(message.cost(), Ordering::Relaxed);
        self.shared.command(Action::Message(message));
    }

    /// Begin the closing handshake. The application hears of its own code and reason, behind what has arrived.
    pub fn close(&self, code: u16, reason: String) {
        self.settle(Disconnect { code, reason: Some(reason.clone()) });
        self.shared.command(Action::CloseFrame { code, reason });
    }

    /// Close the connection behind what was sent, without a close frame.
    pub fn abort(&self) {
        self.is_settled.store(true, Ordering::Relaxed);
        self.shared.command(Action::Close);
    }

    fn settle(&self, end: Disconnect) {
        self.is_settled.store(true, Ordering::Relaxed);
        self.shared.update(|inbound| {
            inbound.end.get_or_insert(end);
        });
    }

    /// Wake the I/O thread if it sleeps: once for everything that was queued, of this and others.
    pub fn notify(&self) {
        self.shared.mailbox.notify();
    }

    /// The mailbox that the commands go to.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.shared.mailbox
    }

    /// Take what comes next, if it is there. The end is given out again and again. True in the second place
    /// when the I/O thread must be notified: it goes on.
    pub fn try_receive(&self) -> (Option<Received>, bool) {
        let mut inbound = self.shared.lock();
        let Some(message) = inbound.messages.pop_front() else {
            let end = inbound.end.clone();
            inbound.is_awaited = true;
            let tells = std::mem::take(&mut inbound.must_tell);
            drop(inbound);
            if tells {
                self.shared.command(Action::Resume);
            }
            return (end.map(Received::Disconnected), tells);
        };
        inbound.bytes -= message.cost();
        let resumes = inbound.is_paused && inbound.is_low(self.shared.bounds);
        if resumes {
            inbound.is_paused = false;
        }
        drop(inbound);
        if resumes {
            self.shared.command(Action::Resume);
        }
        (Some(Received::Message(message)), resumes)
    }

    /// Whether [`WebSocket::try_receive`] has something to give; when not, `waker` is woken once it may.
    pub fn poll_receive(&self, waker: &Waker) -> Poll<()> {
        let mut inbound = self.shared.lock();
        if !inbound.messages.is_empty() || inbound.end.is_some() {
            return Poll::Ready(());
        }
        inbound.waker = Some(waker.clone());
        Poll::Pending
    }

    /// Whether the peer takes nothing any more; what is sent from now on is dropped.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::Acquire)
    }

    /// Whether the connection went away without a closing handshake.
    pub fn is_lost(&self) -> bool {
        self.shared.is_lost.load(Ordering::Acquire)
    }

    /// Whether there is room for more ([`Bounds::high_water`]).
    pub fn has_room(&self) -> bool {
        self.shared.unsent.load(Ordering::Acquire) < self.shared.bounds.high_water
    }

    /// Whether there is room for more, or nobody to hold it back for.
    pub fn is_ready(&self) -> bool {
        self.has_room() || self.is_closed()
    }

    /// Like [`WebSocket::is_ready`]; when there is no room, `waker` is woken once there may be.
    pub fn poll_ready(&self, waker: &Waker) -> Poll<()> {
        if self.is_ready() {
            return Poll::Ready(());
        }
        self.shared.lock().waker = Some(waker.clone());
        // The socket may have drained between the two looks.
        if self.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        if !self.is_settled.load(Ordering::Relaxed) && !self.is_closed() {
            self.abort();
            self.notify();
        }
    }
}

/// The connection's half.
#[derive(Debug)]
pub struct Control {
    shared: Arc<Shared>,
}

impl Control {
    /// The name of the WebSocket.
    pub fn id(&self) -> ExchangeId {
        self.shared.id
    }

    /// Hand a message up; dropped behind the end. False when no other should follow until the application
    /// asks for it with [`Action::Resume`].
    pub fn push(&self, message: Message) -> bool {
        let mut has_room = true;
        self.shared.update(|inbound| {
            if inbound.end.is_none() {
                inbound.bytes += message.cost();
                inbound.is_awaited = false;
                inbound.messages.push_back(message);
                inbound.is_paused = inbound.is_full(self.shared.bounds);
                has_room = !inbound.is_paused;
            }
        });
        has_room
    }

    /// Have [`Action::Resume`] come once the application has taken every message and asked for another. If it
    /// has, that is at once, but behind its answers: they may still be in the mailbox.
    pub fn tell_when_answered(&self) {
        let mut inbound = self.shared.lock();
        let is_answered = inbound.is_awaited && inbound.messages.is_empty();
        inbound.must_tell = !is_answered;
        drop(inbound);
        if is_answered {
            self.shared.command(Action::Resume);
        }
    }

    /// The closing handshake has taken place, or the peer is told to leave: nothing can be sent any more.
    pub fn close(&self, end: Disconnect) {
        self.shared.is_closed.store(true, Ordering::Release);
        self.shared.update(|inbound| {
            inbound.end.get_or_insert(end);
        });
    }

    /// The connection is gone. The application hears of `code`, unless it knows of an end already.
    pub fn lose(&self, code: u16) {
        if !self.shared.is_closed.load(Ordering::Acquire) {
            self.shared.is_lost.store(true, Ordering::Release);
        }
        self.close(Disconnect::without_frame(code));
    }

    /// The socket took what had cost so many bytes ([`cost`](crate::ResponseBody::cost)).
    pub fn written(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let before = self.shared.unsent.fetch_sub(bytes, Ordering::AcqRel);
        let after = before.saturating_sub(bytes);
        let low_water = self.shared.bounds.low_water;
        if before > low_water && after <= low_water {
            self.shared.update(|_| {});
        }
    }
}
