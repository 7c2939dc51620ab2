//! A transport, and whether it is worth another try.
//!
//! A conversation is driven from three places (its own task, the mailbox task, the sweeper), but only its task hears
//! of readiness. What the last try found is therefore remembered here: a socket that had nothing is not asked
//! again until its task was woken.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, Waker};

use bicorn_http::Output;
use bicorn_http::output::WRITE_SEGMENTS;
use tokio::io::ReadBuf;

use crate::transport::Transport;

/// The byte stream of one connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact about the transport")]
pub(crate) struct Socket {
    pub(super) transport: Transport,
    /// The transport had nothing to read, and the task is woken when it has.
    is_read_armed: bool,
    /// The transport took nothing more, and the task is woken when it does.
    pub(super) is_write_armed: bool,
    /// Bytes moved since [`Socket::take_moved`].
    pub(super) has_moved: bool,
    /// FIN is sent, or on its way.
    is_shut: bool,
    /// The connection's task, once it has run.
    waker: Option<Waker>,
}

impl Socket {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            transport,
            is_read_armed: false,
            is_write_armed: false,
            has_moved: false,
            is_shut: false,
            waker: None,
        }
    }

    /// Note that the transport may be ready: for the connection's own task.
    pub(crate) fn wake_up(&mut self, waker: &Waker) {
        self.is_read_armed = false;
        self.is_write_armed = false;
        if self.waker.is_none() {
            self.waker = Some(waker.clone());
        }
    }

    /// The waker of the connection's task, once it has run.
    pub(crate) fn waker(&self) -> Option<Waker> {
        self.waker.clone()
    }

    /// Whether the last read found nothing.
    pub(crate) fn is_read_armed(&self) -> bool {
        self.is_read_armed
    }

    /// Whether bytes moved since the last call.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    /// Write until everything is written, the transport is full or a file comes: see [`Socket::write_with_files`].
    pub(crate) fn write(&mut self, context: &mut Context<'_>, output: &mut Output) -> io::Result<()> {
        while !output.is_empty() && output.file().is_none() && !self.is_write_armed {
            let written = if output.leads_to_file() {
                self.poll_write_more(context, output.front())
            } else if output.is_contiguous() {
                self.transport.poll_write(context, output.front())
            } else {
                let mut slices = [IoSlice::new(&[]); WRITE_SEGMENTS];
                let count = output.slices(&mut slices);
                self.transport.poll_write_vectored(context, &slices[..count])
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    output.advance(written);
                    self.has_moved = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => self.is_write_armed = true,
            }
        }
        while !self.is_write_armed && !self.transport.is_flushed() {
            match self.transport.poll_flush(context) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.has_moved = true;
                }
                Poll::Pending => self.is_write_armed = true,
            }
        }
        Ok(())
    }

    /// Whether the kernel has all that was written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.transport.is_flushed()
    }

    /// Read once; 0 is the peer's FIN.
    pub(crate) fn read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        match self.transport.poll_read(context, &mut buffer) {
            Poll::Pending => {
                self.is_read_armed = true;
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                let length = buffer.filled().len();
                self.has_moved |= length > 0;
                Poll::Ready(Ok(length))
            }
        }
    }

    /// Send FIN, and under TLS say before that it is the end.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_shut = true;
        let shut = self.transport.poll_shutdown(context);
        self.is_write_armed |= shut.is_pending();
        shut
    }

    /// The connection is dropped: tell the peer as far as it costs no wait.
    pub(crate) fn announce_close(&mut self) {
        if !self.is_shut && self.transport.announces_close() {
            // There is nobody left to hear of an error.
            let _ = self.poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Make the coming close a reset.
    pub(crate) fn reset_on_close(&self) {
        self.transport.reset_on_close();
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.transport.as_fd()
    }
}
