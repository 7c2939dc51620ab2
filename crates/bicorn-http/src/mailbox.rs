//! Application's thread → I/O thread.
//!
//! Every I/O thread has one mailbox. A push costs a short lock and no system call; [`Mailbox::notify`] wakes
//! the I/O thread only if it sleeps, so that a batch of answers costs at most one wake-up. The I/O thread
//! looks into the mailbox each time it has nothing else to do, before it sleeps.
//!
//! The queue is bounded by what feeds it: an exchange has at most [`crate::exchange::HIGH_WATER_BYTES`] and
//! one chunk on its way, then its application waits.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use crate::body::ResponseBody;
use crate::exchange::ExchangeId;
use crate::headers::ResponseHead;
use crate::websocket::Outgoing;

/// Something an application asks of one exchange.
#[derive(Debug)]
pub struct Command {
    /// Which exchange; a command for one that has ended is ignored.
    pub exchange: ExchangeId,
    /// What is asked.
    pub action: Action,
}

/// What an application asks.
#[derive(Debug)]
pub enum Action {
    /// The application wants the body: tell a peer that waits for `100 Continue`.
    Continue,
    /// The application took chunks: read on.
    Resume,
    /// Send an interim response (RFC 9110 §15.2), such as 103 Early Hints; ignored once the response has begun.
    Interim(ResponseHead),
    /// Send a part of the response.
    Respond(ResponsePart),
    /// Accept a WebSocket handshake, with these fields besides those of the protocol.
    Accept(ResponseHead),
    /// Send a message of a WebSocket.
    Message(Outgoing),
    /// Begin the closing handshake of a WebSocket.
    CloseFrame {
        /// What the close frame says (RFC 6455 §7.4).
        code: u16,
        /// Its text; at most 123 bytes go into the frame.
        reason: String,
    },
    /// The response cannot be completed, or the connection must not be used again: close it.
    Close,
}

/// A part of a response: head, content, trailers, end, each optional.
#[derive(Debug, Default)]
pub struct ResponsePart {
    /// The head, with the first part only.
    pub head: Option<ResponseHead>,
    /// Content behind the head.
    pub body: ResponseBody,
    /// Trailer fields behind the content (RFC 9110 §6.5), with the last part only. Dropped where the version
    /// or the framing has no place for them.
    pub trailers: Option<Box<ResponseHead>>,
    /// Whether the response is complete with this part.
    pub last: bool,
    /// Whether the application sent all content of the response in one event: its length is known then.
    pub is_whole: bool,
}

impl ResponsePart {
    /// Take the part that follows in, if it is small; else give it back.
    ///
    /// # Errors
    /// The parts cannot be one.
    pub fn append(&mut self, next: Self) -> Result<(), Self> {
        if self.last || next.head.is_some() {
            return Err(next);
        }
        let Self { body, trailers, last, .. } = next;
        match self.body.append(body) {
            Ok(()) => {
                self.trailers = trailers;
                self.last = last;
                self.is_whole = false;
                Ok(())
            }
            Err(body) => Err(Self { head: None, body, trailers, last, is_whole: false }),
        }
    }
}

/// The inbox of one I/O thread.
#[derive(Default)]
pub struct Mailbox {
    commands: Mutex<Vec<Command>>,
    /// Set by the I/O thread when it is about to sleep with nothing to do.
    parked: AtomicBool,
    /// Wakes the task that empties the mailbox.
    waker: OnceLock<Waker>,
}

impl Mailbox {
    /// Add a command. The I/O thread is not woken: see [`Mailbox::notify`].
    pub fn push(&self, command: Command) {
        let mut commands = self.lock();
        let Some(command) = merge(&mut commands, command) else { return };
        commands.push(command);
    }

    /// Wake the I/O thread if it sleeps.
    pub fn notify(&self) {
        if self.parked.load(Ordering::SeqCst)
            && self.parked.swap(false, Ordering::SeqCst)
            && let Some(waker) = self.waker.get()
        {
            waker.wake_by_ref();
        }
    }

    /// Exchange the queued commands for the empty vector `into`.
    pub fn take(&self, into: &mut Vec<Command>) {
        std::mem::swap(&mut *self.lock(), into);
    }

    /// Say which task empties the mailbox. The first call counts.
    pub fn set_waker(&self, waker: &Waker) {
        let _ = self.waker.set(waker.clone());
    }

    /// Announce that the I/O thread goes to sleep; wakes it again at once if there is something to do.
    pub fn park(&self) {
        self.parked.store(true, Ordering::SeqCst);
        let has_work = !self.lock().is_empty();
        if has_work {
            self.notify();
        }
    }

    /// Announce that the I/O thread is awake, so that nobody needs to wake it.
    pub fn unpark(&self) {
        self.parked.store(false, Ordering::SeqCst);
    }

    /// Wake the I/O thread whether it sleeps or not.
    pub fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Join a part to the one queued just before it, if both belong to the same exchange.
fn merge(commands: &mut [Command], command: Command) -> Option<Command> {
    let Command { exchange, action: Action::Respond(part) } = command else { return Some(command) };
    let part = match commands.last_mut() {
        Some(Command { exchange: queued, action: Action::Respond(before) }) if *queued == exchange => {
            before.append(part).err()?
        }
        _ => part,
    };
    Some(Command { exchange, action: Action::Respond(part) })
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mailbox").field("queued", &self.lock().len()).finish_non_exhaustive()
    }
}
