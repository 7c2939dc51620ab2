//! Listening sockets: made and bound elsewhere, accepted from here.

use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::task::{Context, Poll};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::{TcpListener, UnixListener};

use crate::stream::Stream;

/// A listening socket whose kind is known, to be registered on an I/O thread.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Take a bound, listening socket. Must be called on the I/O thread that will accept from it.
    pub(crate) fn register(socket: OwnedFd) -> io::Result<Self> {
        // `local_addr` fails for a socket of another family: that is how the kind is told.
        let tcp = StdTcpListener::from(socket);
        if tcp.local_addr().is_ok() {
            tcp.set_nonblocking(true)?;
            return Ok(Self::Tcp(TcpListener::from_std(tcp)?));
        }
        let unix = StdUnixListener::from(OwnedFd::from(tcp));
        unix.set_nonblocking(true)?;
        Ok(Self::Unix(UnixListener::from_std(unix)?))
    }

    /// Whether a completed connection waits; costs a system call.
    pub(crate) fn has_waiting(&self) -> bool {
        let mut this = [PollFd::new(self, PollFlags::IN)];
        poll(&mut this, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Accept the next completed connection.
    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, _)| {
                // As asyncio does for every TCP connection: an answer must not wait for an acknowledgement.
                let _ = stream.set_nodelay(true);
                Stream::Tcp(stream)
            }),
            Self::Unix(listener) => listener.poll_accept(context).map_ok(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Duplicate a descriptor for another I/O thread.
pub(crate) fn duplicate(socket: &impl AsFd) -> io::Result<OwnedFd> {
    socket.as_fd().try_clone_to_owned()
}

/// Whether accepting failed for want of descriptors or memory: trying again at once would only spin.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    // ECONNABORTED and the like belong to one connection that is gone; EMFILE, ENFILE, ENOBUFS, ENOMEM to us.
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::PermissionDenied
    )
}
