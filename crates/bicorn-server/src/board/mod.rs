//! What the workers of a service show each other, and whoever watches them: numbers in memory that they share.
//!
//! ```text
//!   header: layout, slots, draining, restarts │ slot 0: state, connections, loop, figures │ slot 1: …
//! ```
//! Each worker writes the [`Slot`] it was given and may read all others. A board is a report: every number is stored
//! and read for itself, nothing waits for it, and whatever stands in it can at worst be wrong. Counters of a slot live
//! on when another worker takes it over; gauges begin again.

mod figures;
pub mod histogram;
mod layout;
mod slot;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub use figures::{Counter, EndpointThreads, Method};
pub use layout::{Cause, Protocol, State};
pub use slot::Slot;

/// Memory that a board may be in. Dropping the last handle gives it back.
pub type Memory = Arc<dyn AsRef<[AtomicU64]> + Send + Sync>;

/// What the first word of a board says. Changes with every change of the layout.
const LAYOUT: u64 = u64::from_be_bytes(*b"bicorn\0\x03");

/// The words of the header, by their place.
const LAYOUT_WORD: usize = 0;
const SLOTS_WORD: usize = 1;
const DRAINING_WORD: usize = 2;
const MEASURED_WORD: usize = 3;
const CREATED_WORD: usize = 4;
/// How many slots, from the first, have ever been a worker's.
const USED_WORD: usize = 5;
/// One word for each [`Cause`].
const RESTART_WORDS: usize = 8;

/// Words before the first slot: whole cache lines, with room for more.
const HEADER_WORDS: usize = 32;

/// A handle on the numbers of all workers.
#[derive(Clone)]
pub struct Board {
    memory: Memory,
}

impl Board {
    /// The words that a board with so many slots takes.
    pub const fn words(slots: usize) -> usize {
        HEADER_WORDS + slots * slot::WORDS
    }

    /// A new board, in memory that is all zeros.
    ///
    /// # Errors
    /// There is too little memory, or none for a slot.
    pub fn create(memory: Memory) -> io::Result<Self> {
        let words = memory.as_ref().as_ref();
        let slots = words.len().saturating_sub(HEADER_WORDS) / slot::WORDS;
        if slots == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too little memory for a board"));
        }
        words[SLOTS_WORD].store(slots as u64, Ordering::Relaxed);
        words[CREATED_WORD].store(unix_milliseconds(), Ordering::Relaxed);
        // Behind everything else: whoever finds it finds the rest.
        words[LAYOUT_WORD].store(LAYOUT, Ordering::Release);
        Ok(Self { memory })
    }

    /// A board that another process has made.
    ///
    /// # Errors
    /// The memory holds something else.
    pub fn attach(memory: Memory) -> io::Result<Self> {
        let words = memory.as_ref().as_ref();
        let is_whole = words.len() >= Self::words(1)
            && words[LAYOUT_WORD].load(Ordering::Acquire) == LAYOUT
            && usize::try_from(words[SLOTS_WORD].load(Ordering::Relaxed))
                .is_ok_and(|slots| (1..=(words.len() - HEADER_WORDS) / slot::WORDS).contains(&slots));
        if !is_whole {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a board of this version"));
        }
        Ok(Self { memory })
    }

    /// A board for one process alone.
    #[expect(clippy::missing_panics_doc, reason = "there is memory for one slot")]
    pub fn alone() -> Self {
        let words: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default).take(Self::words(1)).collect();
        let board = Self::create(Arc::new(words)).expect("there is memory for one slot");
        board.note_used(0);
        board
    }

    fn header(&self) -> &[AtomicU64] {
        &self.memory.as_ref().as_ref()[..HEADER_WORDS]
    }

    /// How many workers have room. It never changes.
    pub fn slots(&self) -> usize {
        let room = (self.memory.as_ref().as_ref().len() - HEADER_WORDS) / slot::WORDS;
        // Whatever another process may have written there.
        usize::try_from(self.header()[SLOTS_WORD].load(Ordering::Relaxed))
            .map_or(room, |slots| slots.min(room))
    }

    /// The numbers of one worker; `None` beyond the last.
    pub fn slot(&self, index: usize) -> Option<Slot> {
        (index < self.slots()).then(|| Slot::new(self.clone(), index))
    }

    /// The numbers of all workers that there are or were.
    pub fn all_slots(&self) -> impl Iterator<Item = Slot> {
        let used = usize::try_from(self.header()[USED_WORD].load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        (0..self.slots().min(used)).filter_map(|index| self.slot(index))
    }

    /// A worker has this slot: it is one of [`Board::all_slots`] from now on.
    fn note_used(&self, index: usize) {
        self.header()[USED_WORD].fetch_max(index as u64 + 1, Ordering::Relaxed);
    }

    /// Whether the whole service is about to end.
    pub fn is_draining(&self) -> bool {
        self.header()[DRAINING_WORD].load(Ordering::Relaxed) != 0
    }

    /// Say whether the whole service is about to end.
    pub fn set_draining(&self, is_draining: bool) {
        self.header()[DRAINING_WORD].store(u64::from(is_draining), Ordering::Relaxed);
    }

    /// Whether somebody wants to read more than workers and supervisor need themselves.
    pub fn is_measured(&self) -> bool {
        self.header()[MEASURED_WORD].load(Ordering::Relaxed) != 0
    }

    /// Have the servers that start from now on measure what they do.
    pub fn measure(&self) {
        self.header()[MEASURED_WORD].store(1, Ordering::Relaxed);
    }

    /// When the board was made: Unix time, in milliseconds.
    pub fn created_at(&self) -> u64 {
        self.header()[CREATED_WORD].load(Ordering::Relaxed)
    }

    /// Note that a worker is replaced.
    pub fn count_restart(&self, cause: Cause) {
        self.header()[RESTART_WORDS + cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often a worker was replaced for this reason.
    pub fn restarts(&self, cause: Cause) -> u64 {
        self.header()[RESTART_WORDS + cause as usize].load(Ordering::Relaxed)
    }

    /// The words of one slot.
    fn slot_words(&self, start: usize) -> &[AtomicU64] {
        &self.memory.as_ref().as_ref()[start..start + slot::WORDS]
    }
}

fn unix_milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Board {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Board").field("slots", &self.slots()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(words: usize) -> Memory {
        Arc::new(std::iter::repeat_with(AtomicU64::default).take(words).collect::<Vec<_>>())
    }

    #[test]
    fn what_one_handle_writes_another_reads() {
        let memory = memory(Board::words(3));
        let board = Board::create(Arc::clone(&memory)).expect("there is memory for three slots");
        let other = Board::attach(memory).expect("there is a board in it");
        assert_eq!((board.slots(), other.slots()), (3, 3));
        board.set_draining(true);
        board.count_restart(Cause::Hung);
        board.slot(2).expect("there are three").set_state(State::Ready);
        assert!(other.is_draining());
        assert_eq!((other.restarts(Cause::Hung), other.restarts(Cause::Exit)), (1, 0));
        let states: Vec<State> = other.all_slots().map(|slot| slot.state()).collect();
        assert_eq!(states, [State::Free, State::Free, State::Ready]);
        assert!(other.slot(3).is_none());
    }

    #[test]
    fn memory_without_a_board_is_refused() {
        for words in [0, 1, HEADER_WORDS, Board::words(1)] {
            assert!(Board::attach(memory(words)).is_err(), "{words} words");
        }
        assert!(Board::create(memory(Board::words(1) - 1)).is_err());
        let lying = memory(Board::words(1));
        Board::create(Arc::clone(&lying)).expect("there is memory for one");
        lying.as_ref().as_ref()[SLOTS_WORD].store(u64::MAX, Ordering::Relaxed);
        assert!(Board::attach(lying).is_err());
    }

    #[test]
    fn slots_do_not_touch_each_other() {
        let board = Board::create(memory(Board::words(2))).expect("there is memory for two slots");
        let (first, second) = (board.slot(0).expect("there are two"), board.slot(1).expect("there are two"));
        first.connection_opened(Protocol::Http1);
        second.connection_opened(Protocol::Http2);
        assert_eq!((first.connections(Protocol::Http1), first.connections(Protocol::Http2)), (1, 0));
        assert_eq!((second.connections(Protocol::Http1), second.connections(Protocol::Http2)), (0, 1));
    }
}
