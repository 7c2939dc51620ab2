//! Files from the disk to the peer.
//!
//! A plain socket on Linux takes them from the kernel's page cache (sendfile(2)). Every other transport, and a file
//! that cannot be sent so, is read into the thread's scratch buffer, and what the transport does not take is read
//! again later: a file in flight holds no memory.
//!
//! Reading a file that is not cached blocks the I/O thread for as long as the disk takes. Handing each piece to a
//! helper thread would cost more than the whole transfer of a cached file, so a turn is short instead:
//! [`TURN_BYTES`], then the thread's other connections get theirs.

use std::io;
use std::task::{Context, Poll};

use bicorn_http::{FileRange, Output};

use super::socket::Socket;

/// Bytes of files that one connection sends before others have their turn. The kernel reads ahead by this much
/// (Linux' default read-ahead), so a disk is waited for about once a turn; copying it takes some 20 µs.
const TURN_BYTES: u64 = 128 * 1024;

/// Why nothing more can be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The peer is gone.
    Peer,
    /// A file cannot be read, or is shorter than its range. What was sent of it has no end.
    File(io::Error),
}

impl Socket {
    /// Write until everything is written, the transport is full or this connection had its turn; its task is
    /// woken for the next one.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub(crate) fn write_with_files(
        &mut self,
        context: &mut Context<'_>,
        output: &mut Output,
        scratch: &mut [u8],
    ) -> Result<(), WriteError> {
        let mut room = TURN_BYTES;
        loop {
            self.write(context, output).map_err(|_| WriteError::Peer)?;
            let Some(range) = output.file().filter(|_| !self.is_write_armed) else { return Ok(()) };
            if room == 0 {
                context.waker().wake_by_ref();
                return Ok(());
            }
            let mut piece = range.clone();
            piece.truncate(room);
            match self.poll_write_file(context, &piece, scratch) {
                Poll::Pending => self.is_write_armed = true,
                Poll::Ready(written) => {
                    let written = written? as u64;
                    output.advance_file(written);
                    self.has_moved = true;
                    room -= written.min(room);
                }
            }
        }
    }

    /// Write the first bytes of a range by whatever means there are.
    fn poll_write_file(
        &mut self,
        context: &mut Context<'_>,
        range: &FileRange,
        scratch: &mut [u8],
    ) -> Poll<Result<usize, WriteError>> {
        match self.poll_send_file(context, range) {
            Some(sent) => sent,
            None => self.poll_write_piece(context, range, scratch),
        }
    }

    /// Read as much as `scratch` holds, and write it; what is not taken is read again.
    fn poll_write_piece(
        &mut self,
        context: &mut Context<'_>,
        range: &FileRange,
        scratch: &mut [u8],
    ) -> Poll<Result<usize, WriteError>> {
        let read = range.read_at(scratch).map_err(WriteError::File)?;
        match self.transport.poll_write(context, &scratch[..read]) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(WriteError::Peer)),
            Poll::Ready(Ok(written)) => Poll::Ready(Ok(written)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(target_os = "linux")]
impl Socket {
    /// Have the kernel copy; `None` when it cannot, for this transport or this file.
    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        range: &FileRange,
    ) -> Option<Poll<Result<usize, WriteError>>> {
        use rustix::io::Errno;
        let length = usize::try_from(range.length).unwrap_or(usize::MAX);
        let sent = self.transport.poll_write_with(context, |socket| {
            let mut offset = range.offset;
            Ok(rustix::fs::sendfile(socket, &*range.file, Some(&mut offset), length)?)
        })?;
        let error = match sent {
            Poll::Pending => return Some(Poll::Pending),
            Poll::Ready(Ok(0)) => WriteError::File(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(Ok(sent)) => return Some(Poll::Ready(Ok(sent))),
            Poll::Ready(Err(error)) => match Errno::from_io_error(&error) {
                // Whatever the kernel cannot copy can still be read, or shows then what is wrong.
                Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::IO | Errno::OVERFLOW) => {
                    return None;
                }
                _ => WriteError::Peer,
            },
        };
        Some(Poll::Ready(Err(error)))
    }

    /// Write bytes that a file follows, so that the kernel sends both in one packet.
    pub(super) fn poll_write_more(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        use rustix::net::{SendFlags, send};
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        let sent = self.transport.poll_write_with(context, |socket| Ok(send(socket, bytes, flags)?));
        sent.unwrap_or_else(|| self.transport.poll_write(context, bytes))
    }
}

#[cfg(not(target_os = "linux"))]
impl Socket {
    /// sendfile(2) is another call on every other system; reading serves them all.
    #[expect(clippy::unused_self, reason = "has the shape of its Linux twin")]
    fn poll_send_file(
        &mut self,
        _context: &mut Context<'_>,
        _range: &FileRange,
    ) -> Option<Poll<Result<usize, WriteError>>> {
        None
    }

    /// Write bytes that a file follows.
    pub(super) fn poll_write_more(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.transport.poll_write(context, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;
    use std::task::Waker;

    use tokio::net::UnixStream;

    use super::*;
    use crate::stream::Stream;
    use crate::transport::Transport;

    /// This source file: read instead of sent by the kernel, as over TLS.
    #[test]
    fn pieces_that_are_read_arrive_in_order() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/connection/files.rs");
        let expected = std::fs::read(path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let received = runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut socket = Socket::new(Transport::Clear(Stream::Unix(ours)));
            let file = Arc::new(File::open(path).unwrap());
            let mut range = FileRange { file, offset: 0, length: expected.len() as u64 };
            let mut scratch = [0; 1000];
            let mut context = Context::from_waker(Waker::noop());
            while !range.is_empty() {
                match socket.poll_write_piece(&mut context, &range, &mut scratch) {
                    Poll::Ready(written) => range.advance(written.unwrap() as u64),
                    Poll::Pending => panic!("the pair has room for a source file"),
                }
            }
            drop(socket);
            let mut received = vec![0; expected.len() + 1];
            theirs.readable().await.unwrap();
            let length = theirs.try_read(&mut received).unwrap();
            received.truncate(length);
            received
        });
        assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
    }
}
