//! A conversation in HTTP/2 (RFC 9113): many exchanges at a time, on the h2 crate.
//!
//! ```text
//!   Handshake ──▶ Open ──── GOAWAY and no streams, an error, a flood ───▶ Lingering: discard until FIN
//!                  │  ▲                                                     or deadline
//!                  ▼  │ for each stream: head ──▶ hand-off ──▶ content up, response down (`stream/mod.rs`),
//!                                                            or frames both ways (`stream/tunnel.rs`)
//! ```
//! h2 has frames, header compression and windows; this has the exchanges, the deadlines and the bounds that h2
//! lacks. There is no task and no timer per stream: everything happens in [`Connection::drive`], and a turn looks
//! only at streams that were woken ([`ready`]) or have something to hand over.

mod carrier;
mod ending;
mod exchanges;
mod fields;
mod flood;
mod ready;
mod stream;
mod wait;
mod websockets;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::{Builder, Handshake};
use h2::{PingPong, server};

use super::handing_over::Waiting;
use super::socket::Socket;
use super::{Seed, Step};
use crate::application::{Application, ConnectionInfo, Notice};
use crate::deadline::{Clock, NEVER};
use crate::io_thread::Thread;
use crate::settings::Http2;
use carrier::Carrier;
use fields::Defaults;
use ready::Ready;
use stream::{Carried, Fed};
use wait::Wait;

/// What a peer that speaks HTTP/2 says first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Content handed to h2 between two writes: what one write takes.
const FEED_BYTES: usize = 64 * 1024;

/// What h2 may hold of one stream's response; a frame more than a turn hands over.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// What h2 may keep of short DATA frames, counted as 256 bytes each, before it ends the connection. A turn takes them all
/// from it, and reads about so much at most: a burst of short messages is no attack, and half of it would be one by h2's
/// own figure, of 2,048 frames.
const SMALL_DATA_BYTES: usize = 4 * 1024 * 1024;

/// Errors of the peer that end a stream, and streams beyond the largest number, until the connection ends
/// (CVE-2025-8671, "made you reset"). A peer that has not heard of the number yet may open twice as many at once.
const LOCAL_RESETS: usize = 200;

/// Streams that the peer may open and reset before they were looked at.
const PENDING_RESETS: usize = 100;

enum Engine {
    Handshake(Handshake<Carrier, Bytes>),
    Open(server::Connection<Carrier, Bytes>),
    /// GOAWAY and FIN are sent, or nothing can be sent any more.
    Over,
}

/// A connection and all that is known of it.
pub(crate) struct Connection {
    /// The connection's slot on its I/O thread.
    key: usize,
    info: Arc<ConnectionInfo>,
    settings: Http2,
    carrier: Carrier,
    engine: Engine,
    /// By the serial of their exchange.
    streams: BTreeMap<u64, Carried>,
    /// Exchanges for which the hand-off had no place yet, oldest first.
    waiting: VecDeque<(u64, Waiting)>,
    ready: Ready,
    /// Streams that may have something to hand over, in the order of their turns.
    listed: VecDeque<u64>,
    /// Streams whose response or WebSocket was given up: they end behind what there is of it.
    broken: Vec<u64>,
    defaults: Defaults,
    pings: Option<PingPong>,
    /// GOAWAY was sent or is about to be: no stream comes any more, but for those on their way.
    is_leaving: bool,
    /// Streams that ended because the peer gave more credit than there can be.
    overflows: usize,
    /// The peer has gone too far and was told to calm down.
    is_calming: bool,
    /// Bytes read for nobody behind the end.
    lingered: Option<usize>,
    wait: Wait,
    /// Bytes that the kernel held for the peer when the wait for it began.
    unsent: usize,
    /// When [`Connection::expire`] is due, on the thread's clock.
    deadline: u64,
    /// No stream is due before this.
    streams_due: u64,
    /// When the peer was heard of last.
    heard_at: u64,
    /// When the peer was asked for a sign of life that has not come.
    asked_at: Option<u64>,
}

impl Connection {
    /// A conversation of which `unread` has arrived; it begins with [`PREFACE`], or the start of it.
    pub(super) fn new(seed: Seed<Socket>, unread: Vec<u8>, settings: Http2, has_websockets: bool) -> Self {
        let Seed { key, transport, info, first_serial: _ } = seed;
        let carrier = Carrier::new(transport, unread);
        let Http2 { max_concurrent_streams, stream_window, connection_window, max_header_list, .. } =
            settings;
        let mut builder = Builder::new();
        if has_websockets {
            // RFC 8441 §3: without it, h2 refuses requests with a protocol.
            builder.enable_connect_protocol().data_frame_budget(SMALL_DATA_BYTES);
        }
        let handshake = builder
            .initial_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .max_concurrent_streams(max_concurrent_streams)
            .max_header_list_size(max_header_list)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .max_local_error_reset_streams(Some(LOCAL_RESETS - 1))
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .handshake(carrier.clone());
        Self {
            key,
            info,
            settings,
            carrier,
            engine: Engine::Handshake(handshake),
            streams: BTreeMap::new(),
            waiting: VecDeque::new(),
            ready: Ready::default(),
            listed: VecDeque::new(),
            broken: Vec::new(),
            defaults: Defaults::default(),
            pings: None,
            is_leaving: false,
            overflows: 0,
            is_calming: false,
            lingered: None,
            wait: Wait::Nothing,
            unsent: 0,
            deadline: NEVER,
            streams_due: NEVER,
            heard_at: 0,
            asked_at: None,
        }
    }

    /// Note that the socket may be ready: for the connection's own task.
    pub(super) fn wake_up(&mut self, waker: &Waker) {
        self.carrier.wake_up(waker);
    }

    /// The waker of the connection's task, once it has run.
    pub(super) fn waker(&self) -> Option<Waker> {
        self.carrier.waker()
    }

    /// When [`Connection::expire`] is due.
    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Do all that can be done now.
    pub(super) fn drive<A: Application>(&mut self, thread: &Thread<A>) -> Poll<Step> {
        self.carrier.begin_turn(thread.clock().now());
        let mut is_over = self.turn(thread).is_err();
        if !is_over && self.must_leave(thread) {
            // Behind what has already arrived: a request that the peer has sent is served.
            let is_news = !self.is_leaving;
            is_over = is_news && !self.leave();
            if self.drain_websockets(thread) || is_news {
                is_over = is_over || self.turn(thread).is_err();
            }
        }
        if is_over || (matches!(self.engine, Engine::Over) && self.linger().is_ready()) {
            self.lose_all();
            return Poll::Ready(Step::Over);
        }
        if self.carrier.is_turn_used_up()
            && let Some(waker) = self.carrier.waker()
        {
            waker.wake();
        }
        self.set_deadline(thread);
        Poll::Pending
    }

    /// Move content both ways until nothing moves. An error says that the transport is lost.
    fn turn<A: Application>(&mut self, thread: &Thread<A>) -> std::io::Result<()> {
        let mut woken = Vec::new();
        while !matches!(self.engine, Engine::Over) {
            self.carrier.flush()?;
            self.offer_waiting(thread);
            self.feed_all(thread);
            if self.advance(thread).is_ready() {
                self.engine = Engine::Over;
                self.lose_all();
                break;
            }
            if (self.carrier.is_flooded() || self.overflows >= LOCAL_RESETS) && !self.is_calming {
                self.calm_down();
                continue;
            }
            let has_reset = self.reset_broken();
            self.ready.take(&mut woken);
            let is_still = woken.is_empty() && !has_reset;
            for serial in woken.drain(..) {
                self.attend(serial);
            }
            self.carrier.flush()?;
            if is_still && (self.listed.is_empty() || self.carrier.is_blocked()) {
                break;
            }
        }
        Ok(())
    }

    /// Let h2 read and write, and take the requests that arrived. Ready when the connection is over.
    fn advance<A: Application>(&mut self, thread: &Thread<A>) -> Poll<()> {
        // Whoever gives h2 something to do drives the connection: its wakers have nothing to add.
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let accepted = match &mut self.engine {
                Engine::Over => return Poll::Ready(()),
                Engine::Handshake(handshake) => match Pin::new(handshake).poll(&mut context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(mut connection)) => {
                        self.pings = connection.ping_pong();
                        self.engine = Engine::Open(connection);
                        continue;
                    }
                },
                // A request that nobody can take stays where it is; h2 refuses more than it may keep.
                Engine::Open(connection) if !self.waiting.is_empty() => {
                    return connection.poll_closed(&mut context).map(|_| ());
                }
                Engine::Open(connection) => connection.poll_accept(&mut context),
            };
            match accepted {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond, thread),
            }
        }
    }

    /// Hand content to h2, in turns of one share for each stream, as long as the socket takes it.
    fn feed_all<A: Application>(&mut self, thread: &Thread<A>) {
        let linger = if thread.is_draining() { wait::LINGER / 4 } else { wait::LINGER };
        let linger_until = Clock::deadline(self.carrier.now(), Some(linger));
        let mut fed = 0;
        while fed < FEED_BYTES && !self.carrier.is_blocked() {
            let Some(serial) = self.listed.pop_front() else { return };
            let Some(carried) = self.streams.get_mut(&serial) else { continue };
            carried.turn().is_listed = false;
            fed += stream::SHARE_BYTES;
            match carried.feed(linger_until) {
                Ok(Fed::More) => self.list(serial),
                Ok(Fed::Empty) => self.settle(serial),
                Ok(Fed::Blocked) => {
                    let now = self.carrier.now();
                    carried.turn().stalled_at.get_or_insert(now);
                    self.note_stall(now, thread);
                }
                Ok(Fed::Broken(error)) => {
                    thread.application().notice(Notice::FileFailed(error.to_string()));
                    self.reset(serial, h2::Reason::INTERNAL_ERROR);
                }
                Err(lost) => self.forget(serial, &lost),
            }
        }
    }

    /// Note that a stream may have something to hand over.
    fn list(&mut self, serial: u64) {
        if let Some(carried) = self.streams.get_mut(&serial)
            && !std::mem::replace(&mut carried.turn().is_listed, true)
        {
            self.listed.push_back(serial);
        }
    }

    /// Look at a stream that h2 has news of.
    fn attend(&mut self, serial: u64) {
        let now = self.carrier.now();
        let Some(carried) = self.streams.get_mut(&serial) else { return };
        match carried.receive(now) {
            Ok(()) => self.settle(serial),
            Err(lost) => self.forget(serial, &lost),
        }
    }

    /// A stream has changed: list it, drop it, or note when it is due.
    fn settle(&mut self, serial: u64) {
        let Some(carried) = self.streams.get(&serial) else { return };
        self.streams_due = self.streams_due.min(carried.deadline());
        if carried.has_output() {
            self.list(serial);
        } else if carried.is_over() {
            self.streams.remove(&serial);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("key", &self.key)
            .field("streams", &self.streams.len())
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// Whether a peer that has said this speaks HTTP/2; `None` while it may.
///
/// The header of its SETTINGS frame is part of the preface: until it is there, nothing is said to a peer that may
/// have sent the fixed part for another reason, such as to find out what it is answered.
pub(super) fn is_preface(bytes: &[u8]) -> Option<bool> {
    const FRAME_HEADER_BYTES: usize = 9;
    let length = bytes.len().min(PREFACE.len());
    if bytes[..length] != PREFACE[..length] {
        return Some(false);
    }
    (bytes.len() >= PREFACE.len() + FRAME_HEADER_BYTES).then_some(true)
}
