//! The byte stream as the h2 crate sees it.
//!
//! h2 owns one half of this pair, the conversation the other. Between the two stand the bytes that were read before
//! it was clear what is spoken, the account of inbound frames, and an output in which small frames of many streams
//! become one write. h2 is polled without a real waker (whatever asks for something drives the connection anyway);
//! the transport is polled with the waker of the connection's task.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bicorn_http::Output;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flood::Flood;
use crate::connection::socket::Socket;

/// Output that may wait for the socket. One write of this costs little more than one of a frame, and at a gigabit a
/// second it takes half a millisecond to send.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Reads in a row, so that one busy peer does not hold the thread (arbitrary: with 8 KiB and more a read, enough for
/// a thousand small requests).
const READS: u32 = 16;

/// Both halves share this; all on one thread, and never for longer than a call.
#[derive(Debug, Clone)]
pub(super) struct Carrier(Rc<RefCell<Inner>>);

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact about the stream of bytes")]
struct Inner {
    socket: Socket,
    /// Read before h2 was there.
    unread: Vec<u8>,
    output: Output,
    flood: Flood,
    is_flooded: bool,
    /// Reads left before others get a turn.
    reads: u32,
    /// The peer sent FIN.
    is_peer_finished: bool,
    /// FIN was sent.
    is_finished: bool,
    has_read: bool,
    /// The time on the thread's clock, in milliseconds, when this turn began.
    now: u64,
}

impl Carrier {
    pub(super) fn new(socket: Socket, unread: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            socket,
            unread,
            output: Output::default(),
            flood: Flood::new(),
            is_flooded: false,
            reads: READS,
            is_peer_finished: false,
            is_finished: false,
            has_read: false,
            now: 0,
        })))
    }

    pub(super) fn wake_up(&self, waker: &Waker) {
        self.0.borrow_mut().socket.wake_up(waker);
    }

    pub(super) fn waker(&self) -> Option<Waker> {
        self.0.borrow().socket.waker()
    }

    /// Begin a turn, at this time on the thread's clock: the peer's bytes may be read again.
    pub(super) fn begin_turn(&self, now: u64) {
        let mut inner = self.0.borrow_mut();
        (inner.reads, inner.now) = (READS, now);
    }

    /// When this turn began.
    pub(super) fn now(&self) -> u64 {
        self.0.borrow().now
    }

    /// Whether the turn ended before the peer's bytes did.
    pub(super) fn is_turn_used_up(&self) -> bool {
        self.0.borrow().reads == 0
    }

    /// Whether the peer has gone too far.
    pub(super) fn is_flooded(&self) -> bool {
        self.0.borrow().is_flooded
    }

    /// Whether the preface or a field block has begun and is not complete.
    pub(super) fn is_in_head(&self) -> bool {
        self.0.borrow().flood.is_in_head()
    }

    /// Whether the socket takes nothing more for the moment.
    pub(super) fn is_blocked(&self) -> bool {
        !self.0.borrow().is_written()
    }

    pub(super) fn is_peer_finished(&self) -> bool {
        self.0.borrow().is_peer_finished
    }

    /// Whether bytes arrived since the last call.
    pub(super) fn take_has_read(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().has_read)
    }

    /// Whether bytes moved either way since the last call.
    pub(super) fn take_moved(&self) -> bool {
        self.0.borrow_mut().socket.take_moved()
    }

    /// Write what waits, as far as the socket takes it.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }

    /// Give back the memory of an output that is not needed.
    pub(super) fn release(&self) {
        self.0.borrow_mut().output.release();
    }

    /// Read what nobody wants, up to `limit` bytes; says how many there were.
    pub(super) fn discard(&self, limit: usize) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        if inner.socket.is_read_armed() {
            return Poll::Pending;
        }
        let waker = inner.socket.waker().unwrap_or_else(|| Waker::noop().clone());
        let mut bytes = [0; 4096];
        let length = bytes.len().min(limit);
        let read = ready!(inner.socket.read(&mut Context::from_waker(&waker), &mut bytes[..length]));
        inner.is_peer_finished |= matches!(read, Ok(0));
        Poll::Ready(read)
    }

    /// Make the coming close a reset.
    pub(super) fn reset_on_close(&self) {
        self.0.borrow().socket.reset_on_close();
    }

    /// What the kernel still holds for the peer, as `ask` says.
    pub(super) fn unsent_bytes(&self, ask: fn(std::os::fd::BorrowedFd<'_>) -> Option<usize>) -> usize {
        ask(self.0.borrow().socket.as_fd()).unwrap_or(0)
    }
}

impl Inner {
    /// Whether the kernel has all that was said. TLS may hold the end of it back when there is no output any more.
    fn is_written(&self) -> bool {
        self.output.is_empty() && self.socket.is_flushed()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_written() {
            return Ok(());
        }
        let waker = self.socket.waker().unwrap_or_else(|| Waker::noop().clone());
        let before = self.output.len();
        let outcome = self.socket.write(&mut Context::from_waker(&waker), &mut self.output);
        self.flood.sent(before - self.output.len());
        outcome
    }

    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_flooded || self.is_peer_finished {
            // Behind FIN there is nothing, and of a flood nothing more is wanted.
            return if self.is_flooded { Poll::Pending } else { Poll::Ready(Ok(())) };
        }
        let before = buffer.filled().len();
        if !self.unread.is_empty() {
            let length = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread[..length]);
            self.unread.drain(..length);
            if self.unread.is_empty() {
                self.unread = Vec::new();
            }
        } else if self.socket.is_read_armed() || self.reads == 0 {
            return Poll::Pending;
        } else {
            self.reads -= 1;
            let waker = self.socket.waker().unwrap_or_else(|| Waker::noop().clone());
            let room = buffer.initialize_unfilled();
            let length = ready!(self.socket.read(&mut Context::from_waker(&waker), room))?;
            buffer.advance(length);
            self.is_peer_finished = length == 0;
        }
        let arrived = &buffer.filled()[before..];
        self.has_read |= !arrived.is_empty();
        if !self.flood.take(arrived, self.now) {
            self.is_flooded = true;
            buffer.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Carrier {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.borrow_mut().read(buffer)
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        if inner.output.len() >= OUTPUT_BYTES {
            inner.flush()?;
            if inner.output.len() >= OUTPUT_BYTES {
                return Poll::Pending;
            }
        }
        inner.output.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// The conversation flushes at the end of its turn, once for all streams.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        inner.flush()?;
        if !inner.is_written() {
            return Poll::Pending;
        }
        if !inner.is_finished {
            let waker = inner.socket.waker().unwrap_or_else(|| Waker::noop().clone());
            ready!(inner.socket.poll_shutdown(&mut Context::from_waker(&waker)))?;
            inner.is_finished = true;
        }
        Poll::Ready(Ok(()))
    }
}
