//! The byte stream under a connection.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::stream::Stream;

/// A connected byte stream; from here on nobody asks which kind.
#[derive(Debug)]
pub(crate) enum Transport {
    Clear(Stream),
    /// Behind a handshake. In a box: it is twenty times as large.
    Tls(Box<TlsStream<Stream>>),
}

impl Transport {
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream().as_fd()
    }

    fn stream(&self) -> &Stream {
        match self {
            Self::Clear(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Read; nothing is the peer's FIN, or its `close_notify` under TLS. A FIN without that is an error there
    /// (RFC 8446 §6.1): it may be an attacker's.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Clear(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }

    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Clear(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Clear(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    /// Whether the kernel has all that was written. TLS may hold back up to 64 KiB of records for a full socket.
    pub(crate) fn is_flushed(&self) -> bool {
        match self {
            Self::Clear(_) => true,
            Self::Tls(stream) => !stream.get_ref().1.wants_write(),
        }
    }

    /// Give the kernel what was held back.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Clear(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    /// Write by a system call on [`Transport::as_fd`] instead of through the stream: `call` is tried once the
    /// descriptor takes bytes. `None` for a stream whose bytes are not the descriptor's.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the system calls are Linux'"))]
    pub(crate) fn poll_write_with(
        &self,
        context: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Option<Poll<io::Result<usize>>> {
        match self {
            Self::Clear(stream) => Some(stream.poll_write_with(context, call)),
            Self::Tls(_) => None,
        }
    }

    /// Send FIN, behind `close_notify` under TLS. Waits only for what was held back.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    /// Whether closing must be announced, so that a peer can tell the end from a cut.
    pub(crate) fn announces_close(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Make the coming close a reset, so that the kernel does not go on for a peer that takes nothing.
    pub(crate) fn reset_on_close(&self) {
        self.stream().reset_on_close();
    }
}
