//! The byte stream under a connection.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::application::ServerAddress;

/// A connected byte stream; from here on nobody asks which kind.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Transport {
    /// The peer's address; `None` for a Unix socket, or a peer that is gone already.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// The address the connection was accepted on.
    pub(crate) fn server(&self) -> ServerAddress {
        match self {
            Self::Tcp(stream) => stream.local_addr().map_or_else(
                |_| ServerAddress::Tcp { host: String::new(), port: 0 },
                |address| ServerAddress::Tcp { host: address.ip().to_string(), port: address.port() },
            ),
            Self::Unix(stream) => ServerAddress::Unix(
                stream
                    .local_addr()
                    .ok()
                    .and_then(|address| address.as_pathname().map(|path| path.display().to_string()))
                    .unwrap_or_default(),
            ),
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }

    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    pub(crate) fn poll_write_vectored(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    /// Write by a system call on [`Transport::as_fd`] instead of through the stream: `call` is tried once the
    /// descriptor takes bytes. `None` for a stream whose bytes are not the descriptor's.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the system calls are Linux'"))]
    pub(crate) fn poll_write_with(
        &self,
        context: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Option<Poll<io::Result<usize>>> {
        loop {
            let readiness = match self {
                Self::Tcp(stream) => stream.poll_write_ready(context),
                Self::Unix(stream) => stream.poll_write_ready(context),
            };
            match readiness {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
            let written = match self {
                Self::Tcp(stream) => stream.try_io(Interest::WRITABLE, || call(stream.as_fd())),
                Self::Unix(stream) => stream.try_io(Interest::WRITABLE, || call(stream.as_fd())),
            };
            match written {
                // The readiness was stale: ask for the next one.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Some(Poll::Ready(written)),
            }
        }
    }

    /// Send FIN. Never waits for these kinds of stream.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    /// Make the coming close a reset, so that the kernel does not go on for a peer that takes nothing.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            // Nothing to do about an error: the close that follows is merely less abrupt.
            let _ = stream.set_zero_linger();
        }
    }
}
