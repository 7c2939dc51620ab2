//! What words on the board stand for, and what they are called outside.

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has the slot.
    Free,
    /// A worker is on its way: its process, its imports, its lifespan start-up.
    Starting,
    /// It serves.
    Ready,
    /// It finishes what it has begun, and takes nothing new.
    Leaving,
}

impl State {
    /// Each one, in the order of a worker's life.
    pub const ALL: [Self; 4] = [Self::Free, Self::Starting, Self::Ready, Self::Leaving];

    /// What it is called in metrics and in Python.
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
        }
    }

    pub(super) fn of(word: u64) -> Self {
        Self::ALL.into_iter().find(|state| *state as u64 == word).unwrap_or(Self::Free)
    }
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1, or nothing yet.
    Http1,
    /// HTTP/2, with the WebSockets in its streams.
    Http2,
    /// WebSocket on a connection of its own.
    WebSocket,
}

impl Protocol {
    /// Each one.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::WebSocket];

    /// What it is called in metrics and in Python.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1",
            Self::Http2 => "http/2",
            Self::WebSocket => "websocket",
        }
    }
}

/// Why a worker was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its process has ended by itself.
    Exit,
    /// A signal has ended it that the supervisor did not send.
    Signal,
    /// The kernel has ended it for want of memory.
    Memory,
    /// It gave no sign of life for too long.
    Hung,
    /// It has served as many requests as it was to serve.
    Limit,
    /// All workers were to be replaced: SIGHUP.
    Hangup,
    /// Its source files have changed.
    Reload,
}

impl Cause {
    /// Each one.
    pub const ALL: [Self; 7] =
        [Self::Exit, Self::Signal, Self::Memory, Self::Hung, Self::Limit, Self::Hangup, Self::Reload];

    /// What it is called in metrics and in Python.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::Memory => "memory",
            Self::Hung => "hung",
            Self::Limit => "limit",
            Self::Hangup => "hangup",
            Self::Reload => "reload",
        }
    }
}
