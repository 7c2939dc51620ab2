//! One request and its response (RFC 9110 §3.3), in two halves.
//!
//! The application's half is an [`Exchange`]: the head, a [`RequestBody`] to take chunks from, and a
//! [`ResponseSender`]. The connection keeps an [`ExchangeControl`]. They share one allocation and meet in
//! two places: chunks and the peer's end go up through a short lock, commands come down through the I/O
//! thread's [`Mailbox`].
//!
//! ```text
//!   connection ── arrival, peer_finished, disconnect, written ──▶ shared ──▶ application
//!       ▲                                                                                        │
//!       └──────────────────── Mailbox: Continue, Resume, Respond, Close ◀────────────────────────┘
//! ```

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::headers::{RequestHead, ResponseHead};
use crate::mailbox::{Action, Command, Mailbox, ResponsePart};

/// Content the application may be ahead of the socket before [`ResponseSender::poll_ready`] waits.
///
/// Twice uvicorn's 64 KiB, so that 100 chunks of 1 KiB never wait; with the largest copied chunk and the
/// framing it stays below 256 KiB a connection.
pub const HIGH_WATER_BYTES: usize = 128 * 1024;

/// An application that waits goes on below this.
pub const LOW_WATER_BYTES: usize = 32 * 1024;

/// Request content that may wait for the application before the socket is no longer read.
pub const BODY_HIGH_WATER_BYTES: usize = 64 * 1024;

/// How far the two sides of one exchange may be ahead of each other, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Response content beyond which [`ResponseSender::poll_ready`] waits.
    pub high_water: usize,
    /// An application that waits goes on below this.
    pub low_water: usize,
    /// Request content that may wait for the application.
    pub body: usize,
    /// Taking at least so much request content is told the connection, with [`Action::Resume`].
    pub tell: usize,
}

impl Default for Bounds {
    /// Those of HTTP/1, where an exchange has the connection to itself.
    fn default() -> Self {
        Self {
            high_water: HIGH_WATER_BYTES,
            low_water: LOW_WATER_BYTES,
            body: BODY_HIGH_WATER_BYTES,
            tell: BODY_HIGH_WATER_BYTES,
        }
    }
}

/// Names an exchange to its I/O thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeId {
    /// The connection's slot.
    pub connection: usize,
    /// Counts all exchanges of the I/O thread, so that a slot used again is not mistaken.
    pub serial: u64,
}

/// A request with its answer outstanding: the application's half.
#[derive(Debug)]
pub struct Exchange {
    /// The checked request head.
    pub head: RequestHead,
    /// The content, as it arrives.
    pub body: RequestBody,
    /// Where the answer goes.
    pub response: ResponseSender,
}

impl Exchange {
    /// Make both halves.
    pub fn new(head: RequestHead, id: ExchangeId, mailbox: Arc<Mailbox>) -> (Self, ExchangeControl) {
        Self::with_bounds(head, id, mailbox, Bounds::default())
    }

    /// Make both halves, for a connection with other bounds than HTTP/1's.
    pub fn with_bounds(
        head: RequestHead,
        id: ExchangeId,
        mailbox: Arc<Mailbox>,
        bounds: Bounds,
    ) -> (Self, ExchangeControl) {
        let shared = Arc::new(Shared {
            id,
            bounds,
            mailbox,
            inbound: Mutex::new(Inbound::default()),
            unsent: AtomicUsize::new(0),
            is_gone: AtomicBool::new(false),
        });
        let body =
            RequestBody { shared: Arc::clone(&shared), owes_continue: head.expects_continue(), ended: false };
        let response = ResponseSender { shared: Arc::clone(&shared), is_settled: AtomicBool::new(false) };
        (Self { head, body, response }, ExchangeControl { shared })
    }
}

#[derive(Debug)]
struct Shared {
    id: ExchangeId,
    bounds: Bounds,
    mailbox: Arc<Mailbox>,
    inbound: Mutex<Inbound>,
    /// Content sent by the application and not yet taken by the socket: see [`cost`](crate::ResponseBody::cost).
    unsent: AtomicUsize,
    /// The peer takes nothing any more.
    is_gone: AtomicBool,
}

#[derive(Debug, Default)]
struct Inbound {
    /// Content that the application has not taken.
    content: Vec<u8>,
    is_complete: bool,
    /// The peer will send nothing more, or is gone.
    is_finished: bool,
    /// The connection wants to hear when `content` is taken.
    is_paused: bool,
    /// Woken once when any of the above, or `unsent`, changes in the application's favour.
    waker: Option<Waker>,
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

/// What an application gets when it asks for request content.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// All content that arrived since the last call.
    Body {
        /// Empty for a request without content.
        content: Vec<u8>,
        /// Whether more may follow.
        more: bool,
    },
    /// Nothing will follow: the peer has left.
    Disconnected,
}

/// The request content.
#[derive(Debug)]
pub struct RequestBody {
    shared: Arc<Shared>,
    /// The peer waits for `100 Continue`, which the first call asks for.
    owes_continue: bool,
    /// `more: false` was given out.
    ended: bool,
}

impl RequestBody {
    /// Take what has arrived, if anything has.
    ///
    /// Content that arrived before the peer left is given out first, but a body that was cut off is never
    /// reported complete.
    pub fn try_receive(&mut self) -> Option<Received> {
        if std::mem::take(&mut self.owes_continue) {
            self.shared.command(Action::Continue);
        }
        let mut inbound = self.shared.lock();
        if self.ended || (inbound.content.is_empty() && !inbound.is_complete) {
            return inbound.is_finished.then_some(Received::Disconnected);
        }
        self.ended = inbound.is_complete;
        let content = std::mem::take(&mut inbound.content);
        let was_paused = std::mem::take(&mut inbound.is_paused);
        drop(inbound);
        if was_paused {
            self.shared.command(Action::Resume);
        }
        Some(Received::Body { content, more: !self.ended })
    }

    /// Whether [`RequestBody::try_receive`] has something to give; when not, `waker` is woken once it may.
    pub fn poll_ready(&self, waker: &Waker) -> Poll<()> {
        let mut inbound = self.shared.lock();
        let has_content = !self.ended && (!inbound.content.is_empty() || inbound.is_complete);
        if has_content || inbound.is_finished {
            return Poll::Ready(());
        }
        inbound.waker = Some(waker.clone());
        Poll::Pending
    }
}

/// Where an application's response goes. Every call only queues: see [`ResponseSender::notify`].
///
/// Dropping it before the response is complete closes the connection: no peer waits for an answer that
/// nobody can give any more.
#[derive(Debug)]
pub struct ResponseSender {
    shared: Arc<Shared>,
    /// The response is complete, or was given up.
    is_settled: AtomicBool,
}

impl ResponseSender {
    /// Send a part of the response.
    pub fn send(&self, part: ResponsePart) {
        self.shared.unsent.fetch_add(part.body.cost(), Ordering::Relaxed);
        if part.last {
            self.is_settled.store(true, Ordering::Relaxed);
        }
        self.shared.command(Action::Respond(part));
    }

    /// Send an interim response (RFC 9110 §15.2); ignored once the response has begun, and by a 1.0 peer's
    /// connection.
    pub fn send_interim(&self, head: ResponseHead) {
        self.shared.command(Action::Interim(head));
    }

    /// Give up on the response, or on the connection once the response is complete.
    pub fn close(&self) {
        self.is_settled.store(true, Ordering::Relaxed);
        self.shared.command(Action::Close);
    }

    /// Wake the I/O thread if it sleeps: once for everything that was queued, of this and other exchanges.
    pub fn notify(&self) {
        self.shared.mailbox.notify();
    }

    /// The mailbox that the commands go to.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.shared.mailbox
    }

    /// Whether the peer takes nothing any more; what is sent from now on is dropped.
    pub fn is_gone(&self) -> bool {
        self.shared.is_gone.load(Ordering::Acquire)
    }

    /// Whether the peer has finished sending, or is gone.
    pub fn is_peer_finished(&self) -> bool {
        self.is_gone() || self.shared.lock().is_finished
    }

    /// Whether there is room for more content ([`Bounds::high_water`]), or nobody to hold it back for.
    pub fn is_ready(&self) -> bool {
        self.shared.unsent.load(Ordering::Acquire) < self.shared.bounds.high_water || self.is_gone()
    }

    /// Like [`ResponseSender::is_ready`]; when there is no room, `waker` is woken once there may be.
    pub fn poll_ready(&self, waker: &Waker) -> Poll<()> {
        if self.is_ready() {
            return Poll::Ready(());
        }
        self.shared.lock().waker = Some(waker.clone());
        // The socket may have drained between the two looks.
        if self.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for ResponseSender {
    fn drop(&mut self) {
        if !self.is_settled.load(Ordering::Relaxed) && !self.is_gone() {
            self.close();
            self.notify();
        }
    }
}

/// Content on its way up; dropping it lets the application see it, and wakes it.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// `None` only while it is dropped.
    inbound: Option<MutexGuard<'a, Inbound>>,
    bounds: Bounds,
}

impl Arrival<'_> {
    /// Add content. Once [`Bounds::tell`] wait, the connection hears with [`Action::Resume`] when they are
    /// taken.
    pub fn push(&mut self, content: &[u8]) {
        let Some(inbound) = &mut self.inbound else { return };
        let (length, spare) = (inbound.content.len(), inbound.content.capacity() - inbound.content.len());
        if spare < content.len() {
            // Double, but never beyond the mark: unused capacity is memory, too.
            let room = self.bounds.body.saturating_sub(length);
            inbound.content.reserve_exact(content.len().max(length.min(room)));
        }
        inbound.content.extend_from_slice(content);
        inbound.is_paused = inbound.content.len() >= self.bounds.tell;
    }

    /// The content is complete.
    pub fn finish(&mut self) {
        if let Some(inbound) = &mut self.inbound {
            inbound.is_complete = true;
        }
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        // Wake outside the lock: the application takes it first thing.
        let waker = self.inbound.take().and_then(|mut inbound| inbound.waker.take());
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The connection's half of an exchange.
#[derive(Debug)]
pub struct ExchangeControl {
    shared: Arc<Shared>,
}

impl ExchangeControl {
    /// The exchange's name.
    pub fn id(&self) -> ExchangeId {
        self.shared.id
    }

    /// Hand content up. The application sees all of it, and the end if it came along, at once.
    pub fn arrival(&self) -> Arrival<'_> {
        Arrival { inbound: Some(self.shared.lock()), bounds: self.shared.bounds }
    }

    /// How many more bytes of content may come.
    pub fn body_room(&self) -> usize {
        self.shared.bounds.body.saturating_sub(self.waiting_bytes())
    }

    /// How much content the application has not taken, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.shared.lock().content.len()
    }

    /// The peer will send nothing more, but may still read.
    pub fn peer_finished(&self) {
        self.shared.update(|inbound| inbound.is_finished = true);
    }

    /// The peer is gone, or the connection is being closed.
    pub fn disconnect(&self) {
        self.shared.is_gone.store(true, Ordering::Release);
        self.shared.update(|inbound| inbound.is_finished = true);
    }

    /// The socket took content that had cost so many bytes ([`cost`](crate::ResponseBody::cost)).
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
