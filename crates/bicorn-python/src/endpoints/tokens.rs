//! anyio's default limiter, as far as endpoint threads use it without the loop.
//!
//! Whatever runs in an endpoint thread holds a token while it runs, and shows in the limiter's statistics. What waits for a
//! thread holds none, so that the limiter's own queue, which costs turns of the loop, is left to those who use it. The
//! limiter's set of borrowers is a plain set, which any attached thread may change; whom a free token wakes is the loop's
//! business.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::intern;
use pyo3::prelude::*;

use super::call::Finished;
use crate::handoff::HandOff;

/// The limiter of one server's loop.
pub(crate) struct Tokens {
    limiter: Py<PyAny>,
    /// Who holds a token: a set, and methods of it.
    borrowers: Py<PyAny>,
    /// How many of those are endpoint threads.
    ours: AtomicUsize,
    add: Py<PyAny>,
    discard: Py<PyAny>,
    /// Who waits for one: a dict that is empty most of the time.
    waiting: Py<PyAny>,
}

impl Tokens {
    /// # Errors
    /// The limiter is not made as anyio's is.
    pub(crate) fn new(limiter: &Bound<'_, PyAny>) -> PyResult<Self> {
        let borrowers = limiter.getattr("_borrowers")?;
        Ok(Self {
            limiter: limiter.clone().unbind(),
            ours: AtomicUsize::new(0),
            add: borrowers.getattr("add")?.unbind(),
            discard: borrowers.getattr("discard")?.unbind(),
            borrowers: borrowers.unbind(),
            waiting: limiter.getattr("_wait_queue")?.unbind(),
        })
    }

    /// How many there are now.
    pub(crate) fn total(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(to_threads(self.limiter.bind(py).getattr(intern!(py, "total_tokens"))?.extract()?))
    }

    /// Whether others leave a token for an endpoint thread, and nobody waits for one.
    pub(crate) fn has_free(&self, py: Python<'_>) -> PyResult<bool> {
        let others = self.borrowers.bind(py).len()?.saturating_sub(self.ours.load(Ordering::Relaxed));
        Ok(self.waiting.bind(py).len()? == 0 && others < self.total(py)?)
    }

    /// Hold one.
    pub(super) fn add(&self, borrower: &Bound<'_, PyAny>) -> PyResult<()> {
        self.ours.fetch_add(1, Ordering::Relaxed);
        self.add.bind(borrower.py()).call1((borrower,))?;
        Ok(())
    }

    /// Give it back; true if the loop has to hear of it.
    pub(super) fn discard(&self, borrower: &Bound<'_, PyAny>, handoff: &HandOff) -> PyResult<bool> {
        let py = borrower.py();
        self.ours.fetch_sub(1, Ordering::Relaxed);
        self.discard.bind(py).call1((borrower,))?;
        let is_awaited = self.waiting.bind(py).len()? > 0;
        if is_awaited {
            let wake = self.limiter.bind(py).getattr(intern!(py, "_notify_next_waiter"))?;
            handoff.finish(Finished::Function(wake.unbind()));
        }
        Ok(is_awaited)
    }
}

/// anyio's tokens may be `math.inf`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn to_threads(tokens: f64) -> usize {
    tokens.clamp(1.0, 65_536.0) as usize
}
