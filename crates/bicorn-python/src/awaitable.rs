//! What `receive()` and `send()` return: coroutines without a frame.
//!
//! Each has the whole coroutine protocol (`send`, `throw`, `close`, `__await__`), so that
//! `asyncio.create_task(receive())` works as it does with an `async def`.

use std::sync::Mutex;

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::asgi::exchange::AsgiExchange;
use crate::endpoints::driver;
use crate::handoff::lock;

/// Ready at once, with `None`. One serves all: it has no state.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct Ready;

#[pymethods]
impl Ready {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[expect(clippy::unused_self, reason = "the protocol asks for a method")]
    fn __next__(&self) -> Option<()> {
        None
    }

    #[expect(clippy::unused_self, reason = "the protocol asks for a method")]
    fn send(&self, _value: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyStopIteration::new_err(()))
    }

    #[expect(clippy::unused_self, reason = "the protocol asks for a method")]
    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        Err(thrown(kind, value))
    }

    #[expect(clippy::unused_self, reason = "the protocol asks for a method")]
    fn close(&self) {}
}

/// What an exchange is waited on for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The next event of `receive()`.
    Receive,
    /// Room for more content.
    Send,
}

/// Waits until an exchange has what is wanted, through a future of the running loop.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct Waiting {
    exchange: AsgiExchange,
    purpose: Purpose,
    /// The iterator of the future that is awaited now.
    future: Mutex<Option<Py<PyAny>>>,
}

impl Waiting {
    pub(crate) fn new(exchange: AsgiExchange, purpose: Purpose) -> Self {
        Self { exchange, purpose, future: Mutex::new(None) }
    }

    /// Go on: raise `StopIteration` with the result, or return the future to wait for.
    fn step(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        loop {
            let future = lock(&self.future).as_ref().map(|future| future.clone_ref(py));
            if let Some(future) = future {
                match future.bind(py).call_method0("__next__") {
                    Ok(pending) => return Ok(pending.unbind()),
                    Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                        *lock(&self.future) = None;
                    }
                    Err(error) => {
                        *lock(&self.future) = None;
                        return Err(error);
                    }
                }
            }
            if let Some(result) = self.exchange.try_finish(py, self.purpose)? {
                return Err(PyStopIteration::new_err((result,)));
            }
            if driver::is_driving() {
                // Bare `None` tells the driver that this needs the event loop; there, this step is made again.
                return Ok(py.None());
            }
            let future = self.exchange.wait(py, self.purpose)?;
            *lock(&self.future) = Some(future.call_method0("__await__")?.unbind());
        }
    }
}

#[pymethods]
impl Waiting {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    fn send(&self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        *lock(&self.future) = None;
        Err(thrown(kind, value))
    }

    fn close(&self) {
        *lock(&self.future) = None;
    }
}

/// The exception that `throw(kind, value)` means.
fn thrown(kind: &Bound<'_, PyAny>, value: Option<&Bound<'_, PyAny>>) -> PyErr {
    let instance = match value {
        Some(value) if value.is_instance_of::<pyo3::exceptions::PyBaseException>() => Ok(value.clone()),
        Some(value) => kind.call1((value,)),
        None if kind.is_instance_of::<pyo3::exceptions::PyBaseException>() => Ok(kind.clone()),
        None => kind.call1(PyTuple::empty(kind.py())),
    };
    match instance {
        Ok(instance) => PyErr::from_value(instance),
        Err(error) => error,
    }
}
