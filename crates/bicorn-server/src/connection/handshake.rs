//! The TLS handshake: what a connection does before it can say anything.
//!
//! ```text
//!   Hello: the client's first message ──▶ identity chosen ──▶ Accepting ──▶ Http1 or Http2 over TLS
//!     │ a letter                            │ anything wrong    │
//!     ▼                                     ▼                   ▼
//!   Http1 in the clear: 400               alert, FIN, and what the client still sends is discarded
//! ```
//! A handshake that fails or takes too long is the client's affair: nobody hears of it, so that no flood of them
//! fills a log.

use std::fmt;
use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bicorn_http::PeerError;
use rustls::server::{AcceptedAlert, Acceptor};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::{FallibleAccept, StartHandshake, TlsStream};

use super::socket::Socket;
use super::{Agreed, Conversation, Seed, Step, http1};
use crate::application::{Application, ConnectionInfo, Notice};
use crate::deadline::Clock;
use crate::io_thread::Thread;
use crate::stream::Stream;
use crate::tls::{self, Host, Tls};
use crate::transport::Transport;

/// How long a handshake that has begun may still take once the server drains (arbitrary: a few round trips around
/// the world). Without it, one stalled client could hold up a restart.
const LAST_CHANCE: Duration = Duration::from_secs(1);

/// A connection whose handshake is not over.
pub(crate) struct Handshake {
    /// The connection's slot on its I/O thread.
    key: usize,
    info: Arc<ConnectionInfo>,
    first_serial: u64,
    tls: Arc<Tls>,
    state: State,
    /// When the handshake must be over, on the thread's clock.
    deadline: u64,
    /// The server drains, and the deadline is set for that.
    is_hurried: bool,
    /// The connection's task, once it has run.
    waker: Option<Waker>,
}

enum State {
    /// Nothing is chosen before the client has said whom it wants.
    Hello(Stream, Acceptor, First),
    Accepting(FallibleAccept<Stream>, Arc<Host>),
    Over,
}

/// What the first byte was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Missing,
    /// As at the start of an HTTP method: no TLS record begins with a letter (RFC 8446 §5.1).
    Letter,
    Other,
}

impl Handshake {
    pub(super) fn new<A: Application>(seed: Seed, tls: &Arc<Tls>, thread: &Thread<A>) -> Self {
        let Seed { key, transport: stream, info, first_serial } = seed;
        let deadline = Clock::deadline(thread.clock().now(), tls.handshake_deadline());
        thread.clock().arm(deadline);
        let state = State::Hello(stream, Acceptor::default(), First::Missing);
        Self {
            key,
            info,
            first_serial,
            tls: Arc::clone(tls),
            state,
            deadline,
            is_hurried: false,
            waker: None,
        }
    }

    pub(super) fn wake_up(&mut self, waker: &Waker) {
        self.waker.get_or_insert_with(|| waker.clone());
    }

    pub(super) fn waker(&self) -> Option<Waker> {
        self.waker.clone()
    }

    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Go on as far as the client's bytes go.
    pub(super) fn drive<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        thread: &Thread<A>,
    ) -> Poll<Step> {
        if thread.is_closing_idle() && !self.is_hurried {
            self.is_hurried = true;
            self.deadline = self.deadline.min(Clock::deadline(thread.clock().now(), Some(LAST_CHANCE)));
            thread.clock().arm(self.deadline);
        }
        if let State::Hello(..) = &self.state
            && let Some(step) = ready!(self.hear_hello(context, thread))
        {
            return Poll::Ready(step);
        }
        let State::Accepting(accept, host) = &mut self.state else { return Poll::Ready(Step::Over) };
        match ready!(Pin::new(accept).poll(context)) {
            Ok(stream) => {
                let host = Arc::clone(host);
                Poll::Ready(self.secured(stream, &host, thread))
            }
            Err((_, stream)) => Poll::Ready(self.failed(stream, thread)),
        }
    }

    /// Read the client's first message and choose the identity; a step if there will be no handshake.
    fn hear_hello<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        thread: &Thread<A>,
    ) -> Poll<Option<Step>> {
        let State::Hello(mut stream, mut acceptor, mut first) =
            std::mem::replace(&mut self.state, State::Over)
        else {
            return Poll::Ready(None);
        };
        let accepted = loop {
            let read = acceptor.read_tls(&mut Reading { stream: &mut stream, context, first: &mut first });
            match read {
                Ok(0) => return Poll::Ready(Some(Step::Over)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if first == First::Missing && thread.is_closing_idle() {
                        // Nothing is owed, and a last look at the socket found nothing.
                        return Poll::Ready(Some(Step::Over));
                    }
                    self.state = State::Hello(stream, acceptor, first);
                    return Poll::Pending;
                }
                Err(_) if first == First::Letter => {
                    return Poll::Ready(Some(self.clear_text(stream, thread)));
                }
                Err(_) => return Poll::Ready(Some(Step::Over)),
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => break accepted,
                Ok(None) => {}
                Err((_, alert)) => {
                    send_alert(alert, &mut stream, context);
                    return Poll::Ready(Some(self.failed(stream, thread)));
                }
            }
        };
        if let Some(reloaded) = self.tls.refresh() {
            thread.application().notice(Notice::Certificates(reloaded));
        }
        let Some(host) = self.tls.choose(&accepted.client_hello()) else {
            return Poll::Ready(Some(Step::Over));
        };
        let start = StartHandshake::from_parts(accepted, stream);
        let accept = start.into_stream(Arc::clone(&host.config)).into_fallible();
        self.state = State::Accepting(accept, host);
        Poll::Ready(None)
    }

    /// From here on it is HTTP.
    fn secured<A: Application>(
        &mut self,
        stream: TlsStream<Stream>,
        host: &Host,
        thread: &Thread<A>,
    ) -> Step {
        let session = stream.get_ref().1;
        Arc::make_mut(&mut self.info).tls = Some(tls::info(session, host));
        let agreed = if session.alpn_protocol() == Some(b"h2") { Agreed::Http2 } else { Agreed::Http1 };
        let seed = self.seed(Transport::Tls(Box::new(stream)));
        Step::Become(Box::new(Conversation::speaking(agreed, seed, thread)))
    }

    /// Tell a client that it should speak TLS, in the language that it speaks.
    fn clear_text<A: Application>(&mut self, stream: Stream, thread: &Thread<A>) -> Step {
        let mut connection = self.http1(Transport::Clear(stream), thread);
        connection.refuse(PeerError::ClearText, thread);
        Step::Become(Box::new(Conversation::Http1(connection)))
    }

    /// The alert is on its way; a reset must not overtake it.
    fn failed<A: Application>(&mut self, stream: Stream, thread: &Thread<A>) -> Step {
        let mut connection = self.http1(Transport::Clear(stream), thread);
        connection.dismiss();
        Step::Become(Box::new(Conversation::Http1(connection)))
    }

    fn http1<A: Application>(&self, transport: Transport, thread: &Thread<A>) -> http1::Connection {
        http1::Connection::new(self.seed(transport), thread.settings().limits, false)
    }

    fn seed(&self, transport: Transport) -> Seed<Socket> {
        Seed {
            key: self.key,
            transport: Socket::new(transport),
            info: Arc::clone(&self.info),
            first_serial: self.first_serial,
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handshake").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What is wrong, for the client; a full socket loses it.
fn send_alert(mut alert: AcceptedAlert, stream: &mut Stream, context: &mut Context<'_>) {
    let _ = alert.write(&mut Writing { stream, context });
}

/// A socket as the TLS library wants to read it.
struct Reading<'a, 'b> {
    stream: &'a mut Stream,
    context: &'a mut Context<'b>,
    first: &'a mut First,
}

impl Read for Reading<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(&mut *self.stream).poll_read(self.context, &mut buffer) {
            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(read) => read?,
        }
        if *self.first == First::Missing
            && let Some(byte) = buffer.filled().first()
        {
            *self.first = if byte.is_ascii_alphabetic() { First::Letter } else { First::Other };
            if *self.first == First::Letter {
                // Before the library sees it, which would answer with an alert.
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(buffer.filled().len())
    }
}

/// A socket as the TLS library wants to write it.
struct Writing<'a, 'b> {
    stream: &'a mut Stream,
    context: &'a mut Context<'b>,
}

impl Write for Writing<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.stream).poll_write(self.context, bytes) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(written) => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
