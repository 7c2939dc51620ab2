//! The numbers of one worker.
//!
//! ```text
//!   the loop:  at rest ──woken──▶ owes a turn ──begins──▶ at work ──nothing left──▶ at rest
//!                                      └──── since when: `loop_stalled_for` ────┘
//! ```
//! All stores are relaxed: nobody concludes from one number that another is there.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::{Board, HEADER_WORDS, Protocol, State, figures, unix_milliseconds};

/// The words of a slot, by their place.
const STATE: usize = 0;
/// Since when the loop owes a turn; see [`Owed`].
const LOOP_OWES: usize = 1;
/// How often the loop has begun to work.
const TURN: usize = 2;
const ACCEPTED: usize = 3;
const REQUESTS: usize = 4;
/// When the worker began to start: Unix time, in milliseconds.
const STARTED_AT: usize = 5;
/// One word for each [`Protocol`].
const CONNECTIONS: usize = 8;
/// The first word of what `figures.rs` has to say.
pub(super) const FIGURES: usize = 16;

/// Words of a slot: whole cache lines, so that workers do not write to the same one.
pub(super) const WORDS: usize = figures::END.next_multiple_of(8);

/// A handle on the numbers of one worker.
#[derive(Clone)]
pub struct Slot {
    board: Board,
    index: usize,
    /// Place of its first word.
    start: usize,
}

impl Slot {
    pub(super) fn new(board: Board, index: usize) -> Self {
        Self { board, index, start: HEADER_WORDS + index * WORDS }
    }

    /// The slot of a server that has a board to itself.
    pub fn alone() -> Self {
        Self::new(Board::alone(), 0)
    }

    /// The board that it is a part of.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Which slot of the board it is.
    pub fn index(&self) -> usize {
        self.index
    }

    /// So many words from a place on.
    pub(super) fn part(&self, place: usize, count: usize) -> &[AtomicU64] {
        &self.board.slot_words(self.start)[place..place + count]
    }

    fn word(&self, place: usize) -> &AtomicU64 {
        &self.board.slot_words(self.start)[place]
    }

    pub(super) fn read(&self, place: usize) -> u64 {
        self.word(place).load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, place: usize, value: u64) {
        self.word(place).store(value, Ordering::Relaxed);
    }

    pub(super) fn add(&self, place: usize, amount: u64) {
        self.word(place).fetch_add(amount, Ordering::Relaxed);
    }

    /// Take one from a gauge, which may have been cleared in between.
    pub(super) fn lower(&self, place: usize) {
        let lowered = |value: u64| value.checked_sub(1);
        let _ = self.word(place).fetch_update(Ordering::Relaxed, Ordering::Relaxed, lowered);
    }

    /// When the worker began to start: Unix time, in milliseconds; 0 if nobody said so.
    pub fn started_at(&self) -> u64 {
        self.read(STARTED_AT)
    }

    /// Where its worker is in its life.
    pub fn state(&self) -> State {
        State::of(self.read(STATE))
    }

    /// Say where the worker is in its life. Before it starts, and once the slot is free, nothing is left of the
    /// gauges of whoever had it before, however that one has ended.
    pub fn set_state(&self, state: State) {
        if matches!(state, State::Free | State::Starting) {
            let connections = Protocol::ALL.map(|protocol| CONNECTIONS + protocol as usize);
            for gauge in [LOOP_OWES].into_iter().chain(connections).chain(figures::GAUGES) {
                self.set(gauge, 0);
            }
        }
        if state != State::Free {
            self.board.note_used(self.index);
        }
        if state == State::Starting {
            self.set(STARTED_AT, unix_milliseconds());
        }
        self.set(STATE, state as u64);
    }

    /// A connection was accepted.
    pub fn connection_opened(&self, protocol: Protocol) {
        self.add(ACCEPTED, 1);
        self.add(CONNECTIONS + protocol as usize, 1);
    }

    /// From now on something else is spoken on a connection.
    pub fn connection_became(&self, before: Protocol, now: Protocol) {
        self.connection_closed(before);
        self.add(CONNECTIONS + now as usize, 1);
    }

    /// A connection is gone.
    pub fn connection_closed(&self, protocol: Protocol) {
        self.lower(CONNECTIONS + protocol as usize);
    }

    /// Open connections on which this is spoken.
    pub fn connections(&self, protocol: Protocol) -> u64 {
        self.read(CONNECTIONS + protocol as usize)
    }

    /// Open connections.
    pub fn all_connections(&self) -> u64 {
        Protocol::ALL.into_iter().map(|protocol| self.connections(protocol)).sum()
    }

    /// Connections that were ever accepted.
    pub fn accepted(&self) -> u64 {
        self.read(ACCEPTED)
    }

    /// The application has completed a response.
    pub fn count_response(&self) {
        self.add(REQUESTS, 1);
    }

    /// Responses that applications have ever completed.
    pub fn responses(&self) -> u64 {
        self.read(REQUESTS)
    }

    /// How often the loop has begun to work.
    pub fn turn(&self) -> u64 {
        self.read(TURN)
    }

    /// The loop was woken. `turn` is what [`Slot::turn`] said before it was decided to wake it: if the loop has begun
    /// since, this is too late and means nothing.
    pub fn loop_woken(&self, turn: u64) {
        self.set(LOOP_OWES, Owed { turn, since: now() }.word());
    }

    /// The loop begins to work, and owes the next turn from now on. How long it took since it was woken, if it was.
    ///
    /// Called by the loop thread alone.
    pub fn loop_begins(&self) -> Option<Duration> {
        let (before, now) = (self.turn(), now());
        let owed = Owed::of(self.read(LOOP_OWES));
        let turn = before.wrapping_add(1);
        self.set(TURN, turn);
        self.set(LOOP_OWES, Owed { turn, since: now }.word());
        owed.filter(|owed| owed.is_of(before)).map(|owed| since(owed, now))
    }

    /// The loop has nothing more to do. Called by the loop thread alone, before anybody may wake it again.
    pub fn loop_rests(&self) {
        self.set(LOOP_OWES, 0);
    }

    /// For how long the loop has owed a turn: it was woken and has not begun, or it has begun and not come to an end.
    pub fn loop_stalled_for(&self) -> Duration {
        let owed = Owed::of(self.read(LOOP_OWES));
        owed.filter(|owed| owed.is_of(self.turn())).map_or(Duration::ZERO, |owed| since(owed, now()))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Slot")
            .field("index", &self.index)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Since when the loop owes a turn, and which one, in one word: a thread that was interrupted between waking the loop
/// and saying so must not make a loop look stalled that has long been at rest again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owed {
    /// The turn before it. Only the lower 16 bits are kept.
    turn: u64,
    /// Of the monotonic clock, in nanoseconds. Kept in steps of 1,024, in 48 bits: enough for nine years.
    since: u64,
}

impl Owed {
    const TURN_BITS: u32 = 16;
    const STEP_BITS: u32 = 10;

    fn word(self) -> u64 {
        let steps = (self.since >> Self::STEP_BITS).max(1);
        (steps << Self::TURN_BITS) | (self.turn & ((1 << Self::TURN_BITS) - 1))
    }

    /// What a word says; `None` when the loop is at rest.
    fn of(word: u64) -> Option<Self> {
        let turn = word & ((1 << Self::TURN_BITS) - 1);
        (word != 0).then_some(Self { turn, since: (word >> Self::TURN_BITS) << Self::STEP_BITS })
    }

    fn is_of(self, turn: u64) -> bool {
        self.turn == turn & ((1 << Self::TURN_BITS) - 1)
    }
}

fn since(owed: Owed, now: u64) -> Duration {
    Duration::from_nanos(now.saturating_sub(owed.since))
}

/// Nanoseconds of the monotonic clock, which is the same for all processes.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_worker_begins_with_counters_and_without_gauges() {
        let slot = Slot::alone();
        slot.set_state(State::Starting);
        slot.connection_opened(Protocol::Http1);
        slot.connection_opened(Protocol::Http1);
        slot.connection_became(Protocol::Http1, Protocol::WebSocket);
        slot.count_response();
        slot.loop_woken(slot.turn());
        assert_eq!((slot.all_connections(), slot.connections(Protocol::WebSocket)), (2, 1));
        slot.set_state(State::Free);
        assert_eq!((slot.all_connections(), slot.accepted(), slot.responses()), (0, 2, 1));
        assert_eq!(slot.loop_stalled_for(), Duration::ZERO);
        // A worker that did not know is no reason to count below nothing.
        slot.connection_closed(Protocol::WebSocket);
        assert_eq!(slot.all_connections(), 0);
    }

    #[test]
    fn a_loop_owes_a_turn_from_its_waking_to_its_rest() {
        let slot = Slot::alone();
        assert_eq!(slot.loop_begins(), None);
        slot.loop_rests();
        assert_eq!(slot.loop_stalled_for(), Duration::ZERO);
        slot.loop_woken(slot.turn());
        let stalled = until_it_moves(&slot, Duration::ZERO);
        let lag = slot.loop_begins().expect("it was woken");
        assert!(lag >= stalled, "{lag:?} {stalled:?}");
        assert_eq!(slot.turn(), 2);
        until_it_moves(&slot, Duration::ZERO);
        slot.loop_rests();
        assert_eq!(slot.loop_stalled_for(), Duration::ZERO);
    }

    #[test]
    fn a_wakening_that_is_told_too_late_means_nothing() {
        let slot = Slot::alone();
        let turn = slot.turn();
        slot.loop_begins();
        slot.loop_rests();
        slot.loop_woken(turn);
        assert_eq!(slot.loop_stalled_for(), Duration::ZERO);
        assert_eq!(slot.loop_begins(), None);
    }

    #[test]
    fn turns_and_times_survive_their_word() {
        for (turn, since) in [(0, 0), (1, 1 << 20), (0xffff, 1 << 40), (0x1_0000, (1 << 57) + 12_345)] {
            let owed = Owed::of(Owed { turn, since }.word()).expect("the loop owes a turn");
            assert!(owed.is_of(turn) && !owed.is_of(turn + 1), "{turn}");
            assert!(owed.since.abs_diff(since) <= 1024, "{since}");
        }
        assert_eq!(Owed::of(0), None);
    }

    /// Wait until the loop is stalled for longer than this.
    fn until_it_moves(slot: &Slot, before: Duration) -> Duration {
        loop {
            let stalled = slot.loop_stalled_for();
            if stalled > before {
                return stalled;
            }
            std::thread::yield_now();
        }
    }
}
