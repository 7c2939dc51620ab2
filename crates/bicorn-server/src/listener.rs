//! Listening sockets: made and bound elsewhere, accepted from here.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};

use crate::stream::Stream;

/// A listening socket whose kind is known, registered on an I/O thread.
///
/// Not tokio's own: those accept whenever there is a connection, and one may be better left to another worker.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(AsyncFd<TcpListener>),
    Unix(AsyncFd<UnixListener>),
}

impl Listener {
    /// Take a bound, listening socket. Must be called on the I/O thread that will accept from it.
    pub(crate) fn register(socket: OwnedFd) -> io::Result<Self> {
        // `local_addr` fails for a socket of another family: that is how the kind is told.
        let tcp = TcpListener::from(socket);
        if tcp.local_addr().is_ok() {
            tcp.set_nonblocking(true)?;
            return Ok(Self::Tcp(registered(tcp)?));
        }
        let unix = UnixListener::from(OwnedFd::from(tcp));
        unix.set_nonblocking(true)?;
        Ok(Self::Unix(registered(unix)?))
    }

    /// Accept the next completed connection; `None` when one waits, and `is_left` to others.
    pub(crate) fn poll_accept(
        &self,
        context: &mut Context<'_>,
        is_left: impl Fn() -> bool,
    ) -> Poll<io::Result<Option<Stream>>> {
        match self {
            Self::Tcp(listener) => {
                let accepted = ready!(poll_accept(listener, TcpListener::accept, context, is_left))?;
                Poll::Ready(accepted.map(|(stream, _)| tcp(stream)).transpose())
            }
            Self::Unix(listener) => {
                let accepted = ready!(poll_accept(listener, UnixListener::accept, context, is_left))?;
                Poll::Ready(accepted.map(|(stream, _)| unix(stream)).transpose())
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "it is unsound for types that may lose their descriptor, and a listener owns it; the other one has its caller vouch for that"
)]
fn registered<L: AsRawFd>(listener: L) -> io::Result<AsyncFd<L>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

fn poll_accept<L: AsFd + AsRawFd, S>(
    listener: &AsyncFd<L>,
    accept: impl Fn(&L) -> io::Result<S>,
    context: &mut Context<'_>,
    is_left: impl Fn() -> bool,
) -> Poll<io::Result<Option<S>>> {
    loop {
        let mut guard = ready!(listener.poll_read_ready(context))?;
        if is_left() {
            if has_waiting(listener.get_ref()) {
                return Poll::Ready(Ok(None));
            }
            // Somebody else has taken it.
            guard.clear_ready();
        } else if let Ok(accepted) = guard.try_io(|listener| accept(listener.get_ref())) {
            return Poll::Ready(accepted.map(Some));
        }
    }
}

/// Whether a completed connection waits; costs a system call.
fn has_waiting(listener: &impl AsFd) -> bool {
    let mut this = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut this, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

fn tcp(stream: std::net::TcpStream) -> io::Result<Stream> {
    stream.set_nonblocking(true)?;
    // As asyncio does for every TCP connection: an answer must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    TcpStream::from_std(stream).map(Stream::Tcp)
}

fn unix(stream: std::os::unix::net::UnixStream) -> io::Result<Stream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream).map(Stream::Unix)
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
