//! A socket as hyper sees it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::patience::Patience;
use crate::stream::Stream;

/// Bytes of one read: more than a usual request.
const READ_BYTES: usize = 2 * 1024;

#[derive(Debug)]
pub(super) struct Carrier {
    stream: Stream,
    patience: Rc<Patience>,
}

impl Carrier {
    pub(super) fn new(stream: Stream, patience: Rc<Patience>) -> Self {
        Self { stream, patience }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut Stream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl Read for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // hyper's buffer may be uninitialised, which takes `unsafe` to read into.
        let mut scratch = [0; READ_BYTES];
        let room = buffer.remaining().min(READ_BYTES);
        let mut bytes = ReadBuf::new(&mut scratch[..room]);
        ready!(self.as_mut().stream().poll_read(context, &mut bytes))?;
        if !bytes.filled().is_empty() {
            self.patience.heard();
        }
        buffer.put_slice(bytes.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Carrier {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
