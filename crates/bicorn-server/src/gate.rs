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

/// A loop that has owed a turn for so long is better left alone if another one is at rest (arbitrary: much longer than
/// the turns of a loop that is not blocked, and shorter than anybody notices).
const BUSY: Duration = Duration::from_millis(2);

/// How long a connection is left to the others, at a time.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// How often a connection is left to the others because they have fewer: then they do not come.
const PAUSES_FOR_BALANCE: u32 = 2;

/// The same for those that are at rest.
const PAUSES_FOR_REST: u32 = 20;

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
    if pauses < PAUSES_FOR_REST
        && stalled >= BUSY
        && has_other(own, |other| other.loop_stalled_for().is_zero())
    {
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
