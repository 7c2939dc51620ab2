//! One accepted WebSocket: engine, seam and keep-alive together.
//!
//! Bytes of a peer come in and bytes for it go out, on an HTTP/1.1 connection or on an HTTP/2 stream: what
//! carries them is not known here, and neither is the clock. Whoever drives a session calls
//! [`Session::read`] with what arrived, [`Session::command`] with what the application asks,
//! [`Session::written`] when output has left, and [`Session::tick`] when [`Session::deadline`] has passed.
//!
//! ```text
//!   Open ──close, by either side──▶ Closing: the peer's answer is awaited ──▶ Over: flush, then close
//!     ├──violation──▶ Failing: what came before it is answered ───────────────▶ ▲
//!     └──silence, drain, abort──────────────────────────────────────────────────┘
//! ```

use std::time::Duration;

use super::seam::{Control, Disconnect};
use super::{Connection, Event, Outgoing, Violation};
use crate::exchange::ExchangeId;
use crate::mailbox::Action;
use crate::output::Output;

/// How long the peer may take to answer a close frame (uvicorn's 10 s).
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a violation waits for the application's answers to what came before it (arbitrary: a peer that breaks
/// the protocol is owed no more).
const FAIL_TIMEOUT: Duration = Duration::from_secs(1);

/// When to ask whether the peer is still there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// From one ping to the next; `None` for no pings.
    pub interval: Option<Duration>,
    /// In which a pong must follow; `None` waits for none.
    pub timeout: Option<Duration>,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our close frame is sent, and the peer's is awaited until this time.
    Closing {
        until: u64,
    },
    /// The peer broke the protocol. It is told once the application asks for more, or at this time.
    Failing {
        violation: Violation,
        until: u64,
    },
    /// Nothing more is to be said.
    Over,
}

/// The state of one WebSocket behind its handshake. Times are milliseconds of the driver's clock.
#[derive(Debug)]
pub struct Session {
    engine: Connection,
    control: Control,
    phase: Phase,
    keep_alive: KeepAlive,
    /// When the next ping is due.
    next_ping: Option<u64>,
    /// When the pong for the last ping is due.
    pong_due: Option<u64>,
    /// Number of the last ping, which is its payload.
    ping: u32,
    /// Whether messages moved since the last ping.
    is_active: bool,
    /// The application is behind, and will ask for more.
    is_paused: bool,
    /// Messages since somebody asked last.
    moved: Moved,
    /// What messages in the output cost and their sender has not been told about, in bytes.
    uncredited: usize,
}

/// Messages that have moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// From the peer to the application.
    pub received: u64,
    /// From the application to the peer.
    pub sent: u64,
}

impl Session {
    /// A session that begins at `now`.
    pub fn new(engine: Connection, control: Control, keep_alive: KeepAlive, now: u64) -> Self {
        Self {
            engine,
            control,
            phase: Phase::Open,
            keep_alive,
            next_ping: keep_alive.interval.map(|interval| after(now, interval)),
            pong_due: None,
            ping: 0,
            is_active: false,
            is_paused: false,
            moved: Moved::default(),
            uncredited: 0,
        }
    }

    /// The name of the WebSocket.
    pub fn id(&self) -> ExchangeId {
        self.control.id()
    }

    /// How many messages were handed up, and how many queued, since this was asked last.
    pub fn take_moved(&mut self) -> Moved {
        std::mem::take(&mut self.moved)
    }

    /// Whether all is said: what is queued is to be written, and the carrier closed.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether bytes of the peer can be taken. Behind a close frame they always can: nobody keeps them.
    pub fn has_room(&self) -> bool {
        match self.phase {
            Phase::Open => !self.is_paused,
            Phase::Closing { .. } => true,
            Phase::Failing { .. } | Phase::Over => false,
        }
    }

    /// Take bytes off the front of `input`: all of them, unless the application is behind. `now` tells the time,
    /// if it matters.
    pub fn read(&mut self, input: &mut &[u8], now: impl FnOnce() -> u64, output: &mut Output) {
        while !input.is_empty() && self.has_room() {
            match self.engine.parse(input, output) {
                Ok(Some(event)) => self.take(event, output),
                Ok(None) => {}
                Err(violation) if self.phase == Phase::Open => {
                    self.control.tell_when_answered();
                    self.phase = Phase::Failing { violation, until: after(now(), FAIL_TIMEOUT) };
                    break;
                }
                Err(violation) => self.fail(violation, output),
            }
        }
        if matches!(self.phase, Phase::Failing { .. } | Phase::Over) {
            *input = &[];
        }
    }

    fn fail(&mut self, violation: Violation, output: &mut Output) {
        self.engine.fail(violation, output);
        self.end(Disconnect { code: violation.code, reason: Some(violation.reason.to_owned()) });
    }

    fn take(&mut self, event: Event, output: &mut Output) {
        match event {
            Event::Message(message) => {
                self.is_active = true;
                if self.phase == Phase::Open {
                    self.moved.received += 1;
                    self.is_paused = !self.control.push(message);
                }
            }
            Event::Pong(payload) => self.take_pong(&payload, output),
            // RFC 6455 §7.1.5: a frame without a code is 1005.
            Event::Close { code, reason } => {
                self.end(Disconnect { code: code.unwrap_or(1005), reason: Some(reason) });
            }
        }
    }

    fn take_pong(&mut self, payload: &[u8], output: &mut Output) {
        if payload == self.ping.to_be_bytes() {
            self.pong_due = None;
            if !self.is_active {
                output.release();
            }
        }
    }

    fn end(&mut self, end: Disconnect) {
        self.phase = Phase::Over;
        self.control.close(end);
    }

    /// Do what the application asks; `now` tells the time, if it matters.
    pub fn command(&mut self, action: Action, now: impl FnOnce() -> u64, output: &mut Output) {
        match action {
            Action::Message(message) => self.send(message, output),
            Action::CloseFrame { code, reason } if self.is_talking() => {
                self.engine.close(code, &reason, output);
                match self.phase {
                    // What the peer says from here on cannot be told apart.
                    Phase::Failing { .. } => self.end(Disconnect { code, reason: Some(reason) }),
                    _ => self.phase = Phase::Closing { until: after(now(), CLOSE_TIMEOUT) },
                }
            }
            Action::Close if self.is_talking() => self.end(Disconnect::without_frame(1006)),
            Action::Resume => match self.phase {
                // Nothing is read while the application is behind: this is about its answers.
                Phase::Failing { violation, .. } => self.fail(violation, output),
                // Whoever drives the session reads again by itself.
                _ => self.is_paused = false,
            },
            // A second end, or something that belongs to a handshake.
            Action::CloseFrame { .. }
            | Action::Close
            | Action::Accept(_)
            | Action::Continue
            | Action::Interim(_)
            | Action::Respond(_) => {}
        }
    }

    /// Whether the application may still say something.
    fn is_talking(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Failing { .. })
    }

    fn send(&mut self, message: Outgoing, output: &mut Output) {
        self.is_active = true;
        self.moved.sent += 1;
        self.uncredited += message.cost();
        self.engine.send(message, output);
    }

    /// Output has left; `output` has what remains.
    pub fn written(&mut self, output: &mut Output) {
        let still_queued = self.uncredited.min(output.len());
        self.control.written(self.uncredited - still_queued);
        self.uncredited = still_queued;
        self.engine.settle(output);
    }

    /// The server stops: tell the peer (1012, "service restart") and the application.
    pub fn drain(&mut self, output: &mut Output) {
        if self.is_talking() {
            self.engine.close(1012, "", output);
        }
        self.end(Disconnect::without_frame(1012));
    }

    /// The carrier is gone.
    pub fn lose(&mut self) {
        self.phase = Phase::Over;
        self.control.lose(1005);
    }

    /// When [`Session::tick`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Over => None,
            Phase::Closing { until } | Phase::Failing { until, .. } => Some(until),
            Phase::Open => self.pong_due.into_iter().chain(self.next_ping).min(),
        }
    }

    /// Do what is due at `now`. False when nothing is left to do but drop the carrier.
    pub fn tick(&mut self, now: u64, output: &mut Output) -> bool {
        match self.phase {
            Phase::Closing { until } if until <= now => {
                self.lose();
                return false;
            }
            Phase::Failing { violation, until } if until <= now => self.fail(violation, output),
            Phase::Open => self.tick_open(now, output),
            Phase::Closing { .. } | Phase::Failing { .. } | Phase::Over => {}
        }
        true
    }

    fn tick_open(&mut self, now: u64, output: &mut Output) {
        let is_silent = self.pong_due.is_some_and(|due| due <= now);
        if is_silent && !self.is_paused {
            self.engine.close(1011, "keepalive ping timeout", output);
            // As under uvicorn, for which the connection is simply gone.
            self.end(Disconnect::without_frame(1005));
        } else if is_silent {
            // The pong may wait behind messages that the application does not take: not the peer's fault.
            self.pong_due = self.keep_alive.timeout.map(|timeout| after(now, timeout));
        } else if self.next_ping.is_some_and(|due| due <= now) {
            self.send_ping(now, output);
        }
    }

    fn send_ping(&mut self, now: u64, output: &mut Output) {
        self.next_ping = self.keep_alive.interval.map(|interval| after(now, interval));
        if !std::mem::take(&mut self.is_active) {
            self.engine.release();
        }
        // The ping before is not answered yet: its pong is what counts.
        if self.pong_due.is_none() {
            self.ping = self.ping.wrapping_add(1);
            self.engine.ping(&self.ping.to_be_bytes(), output);
            self.pong_due = self.keep_alive.timeout.map(|timeout| after(now, timeout));
        }
    }
}

fn after(now: u64, duration: Duration) -> u64 {
    now.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
