//! The `receive` and `send` calls of one exchange that wait, and how they are found when there is news.

use std::sync::Arc;
use std::task::Waker;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::endpoints::{Finished, driver};
use crate::handoff::{ExchangeWaker, HandOff};

/// Who waits on one exchange.
#[derive(Default)]
pub(super) struct Waiters {
    futures: Vec<Py<PyAny>>,
    waker: Option<Arc<ExchangeWaker>>,
    /// The slot among the running exchanges, once there is one.
    pub(super) key: Option<usize>,
}

impl Waiters {
    /// Remember a future. The waker to leave with whoever may have news; `key` is the exchange's slot.
    pub(super) fn add(&mut self, future: Py<PyAny>, key: usize, handoff: &Arc<HandOff>) -> Waker {
        self.futures.push(future);
        let waker = self.waker.get_or_insert_with(|| ExchangeWaker::new(Arc::clone(handoff), key));
        Waker::from(Arc::clone(waker))
    }

    /// The futures to finish. The next wake counts again.
    pub(super) fn take(&mut self) -> Vec<Py<PyAny>> {
        if let Some(waker) = &self.waker {
            waker.rearm();
        }
        self.take_all()
    }

    /// All futures, to look at without the lock that guards them; see [`still_waiting`].
    pub(super) fn take_all(&mut self) -> Vec<Py<PyAny>> {
        std::mem::take(&mut self.futures)
    }

    /// Put futures back.
    pub(super) fn restore(&mut self, futures: Vec<Py<PyAny>>) {
        self.futures = futures;
    }
}

/// Those of the futures that are not done. A `receive()` that is given up after a while, again and again, would
/// leave one each time.
pub(super) fn still_waiting(py: Python<'_>, futures: Vec<Py<PyAny>>) -> PyResult<Vec<Py<PyAny>>> {
    let mut kept = Vec::new();
    for future in futures {
        if !future.bind(py).call_method0(intern!(py, "done"))?.is_truthy()? {
            kept.push(future);
        }
    }
    Ok(kept)
}

/// Finish futures that are still waited for. They are the loop's, and only the loop thread may touch them.
pub(super) fn wake_all(py: Python<'_>, handoff: &HandOff, futures: Vec<Py<PyAny>>) -> PyResult<()> {
    if driver::is_endpoint_thread() && !futures.is_empty() {
        for future in futures {
            handoff.finish(Finished::Future { future, result: Ok(py.None()) });
        }
        handoff.notify();
        return Ok(());
    }
    for future in futures {
        settle(future.bind(py), intern!(py, "set_result"), py.None().into_bound(py))?;
    }
    Ok(())
}

/// Give a future of the loop its result, or its exception, unless it was given up.
pub(crate) fn settle<'py>(
    future: &Bound<'py, PyAny>,
    setter: &Bound<'py, PyString>,
    value: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = future.py();
    // To look first costs a call for each message, and hardly ever finds that one was given up.
    if let Err(error) = future.call_method1(setter, (value,))
        && !future.call_method0(intern!(py, "done"))?.is_truthy()?
    {
        return Err(error);
    }
    Ok(())
}
