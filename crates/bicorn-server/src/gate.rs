//! When a worker leaves a connection to the others.
//!
//! Workers share one listening socket, so that whoever accepts first has the connection, and none is lost with a worker
//! that has died. Left to itself, that is unfair: a worker whose loop is blocked would go on accepting what it cannot
//! serve, and one that happens to be awake takes most of a crowd. A worker that is better left alone waits a moment:
//! the others, which the kernel woke as well, accept in the meantime.

use std::time::Duration;

use crate::board::{Slot, State};

/// A loop that has owed a turn for so long is blocked: nothing is accepted for it until it moves. Within a tenth of a
/// second nobody notices; busy loops take turns of less than this.
const STALLED: Duration = Duration::from_millis(50);

/// A loop that has owed a turn for so long may be blocked: others that have not may be sooner there. Arbitrary, but more
/// than most requests take, because balance counts more than a few milliseconds.
const BEHIND: Duration = Duration::from_millis(5);

/// How long a connection is left to the others, at a time.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// How often a connection is left to the others because they have fewer: then they do not come.
const PAUSES_FOR_BALANCE: u32 = 2;

/// The same for those whose loop will sooner be there: longer than until a blocked one counts as [`STALLED`].
const PAUSES_FOR_REST: u32 = 60;

/// Whether to leave the next connection to the other workers, after so many pauses for it.
pub(crate) fn is_shut(own: &Slot, pauses: u32) -> bool {
    let board = own.board();
    if board.slots() == 1 {
        return false;
    }
    let stalled = own.loop_stalled_for();
    if stalled >= STALLED {
        return has_other(own, |_| true);
    }
    let is_ahead = |other: &Slot| other.loop_stalled_for() < stalled / 2;
    if pauses < PAUSES_FOR_REST && stalled >= BEHIND && has_other(own, is_ahead) {
        return true;
    }
    let connections = own.all_connections();
    pauses < PAUSES_FOR_BALANCE && has_other(own, |other| is_much_more(connections, other.all_connections()))
}

/// Whether a worker serves, is not blocked, and is what is asked for.
fn has_other(own: &Slot, is_it: impl Fn(&Slot) -> bool) -> bool {
    own.board().all_slots().any(|other| {
        other.index() != own.index()
            && other.state() == State::Ready
            && other.loop_stalled_for() < STALLED
            && is_it(&other)
    })
}

/// Workers may differ by a few connections: waiting costs more than that.
fn is_much_more(mine: u64, theirs: u64) -> bool {
    mine > theirs + 1 + theirs / 8
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::board::{Board, Protocol};

    /// Workers that serve, with so many connections each.
    fn workers(connections: &[u64]) -> Vec<Slot> {
        let words = Board::words(connections.len());
        let memory: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default).take(words).collect();
        let board = Board::create(Arc::new(memory)).expect("there is memory for them");
        let slots: Vec<Slot> = (0..connections.len()).filter_map(|index| board.slot(index)).collect();
        for (slot, connections) in slots.iter().zip(connections) {
            slot.set_state(State::Ready);
            (0..*connections).for_each(|_| slot.connection_opened(Protocol::Http1));
        }
        slots
    }

    /// Wake a loop that does not come.
    fn stall(slot: &Slot, time: Duration) {
        slot.loop_woken(slot.turn());
        while slot.loop_stalled_for() < time {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_server_alone_accepts_whatever_its_loop_does() {
        let slot = Slot::alone();
        slot.set_state(State::Ready);
        stall(&slot, STALLED);
        assert!(!is_shut(&slot, 0));
    }

    #[test]
    fn a_blocked_worker_accepts_nothing_while_another_one_serves() {
        let slots = workers(&[0, 9]);
        stall(&slots[0], STALLED);
        assert!(is_shut(&slots[0], 0) && is_shut(&slots[0], 1_000_000));
        assert!(!is_shut(&slots[1], 0), "it has more connections, and is the only one");
        slots[0].loop_begins();
        slots[0].loop_rests();
        assert!(!is_shut(&slots[0], 0));
    }

    #[test]
    fn blocked_workers_accept_when_there_is_nobody_else() {
        let slots = workers(&[0, 0, 0]);
        slots[2].set_state(State::Leaving);
        stall(&slots[0], STALLED);
        stall(&slots[1], STALLED);
        assert!(!is_shut(&slots[0], 0) && !is_shut(&slots[1], 0));
    }

    #[test]
    fn a_worker_that_may_be_blocked_leaves_a_connection_to_others() {
        let slots = workers(&[0, 0]);
        stall(&slots[0], Duration::from_nanos(1));
        let is_shut_early = is_shut(&slots[0], 0);
        assert!(!is_shut_early || slots[0].loop_stalled_for() >= BEHIND, "it may just be busy");
        stall(&slots[0], BEHIND);
        assert!(is_shut(&slots[0], 0));
        assert!(!is_shut(&slots[1], 0));
        let is_shut_later = is_shut(&slots[0], PAUSES_FOR_REST);
        assert!(!is_shut_later || slots[0].loop_stalled_for() >= STALLED, "it has waited long enough");
        stall(&slots[1], BEHIND);
        slots[0].loop_begins();
        assert!(!is_shut(&slots[0], 0), "the other one is further behind");
    }

    #[test]
    fn connections_spread_within_an_eighth() {
        let slots = workers(&[0, 0, 0, 0]);
        // Each connection goes to the first worker that does not leave it to the others.
        for _ in 0..64 {
            let taker = slots.iter().find(|slot| !is_shut(slot, 0)).expect("somebody takes it");
            taker.connection_opened(Protocol::Http1);
        }
        let spread: Vec<u64> = slots.iter().map(Slot::all_connections).collect();
        assert!(spread.iter().all(|count| (13..=19).contains(count)), "{spread:?}");
        let most = slots.iter().max_by_key(|slot| slot.all_connections()).expect("there are four");
        (0..4).for_each(|_| most.connection_opened(Protocol::Http1));
        assert!(is_shut(most, 0));
        assert!(!is_shut(most, PAUSES_FOR_BALANCE), "if the others do not come, somebody must take it");
    }
}
