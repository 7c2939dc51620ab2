//! What `bicorn.threads` and `bicorn.sync_endpoints` need of endpoint threads.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use super::call::run_in;
use super::driver;

/// Goes on in the event loop: free there, and in an endpoint thread that drives an exchange the point at which the
/// coroutine is moved. One serves all: it has no state.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct ToLoop;

#[pymethods]
impl ToLoop {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[expect(clippy::unused_self, reason = "the protocol asks for a method")]
    fn __next__(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        driver::is_driving().then(|| py.None())
    }
}

/// What to await in order to go on in the event loop.
#[pyfunction]
pub(crate) fn to_loop() -> ToLoop {
    ToLoop
}

/// Whether this is an endpoint thread that drives an exchange, and framework code runs: not the function of the user.
#[pyfunction]
pub(crate) fn is_driving() -> bool {
    driver::is_driving()
}

/// Call a function here and now, in a copy of the context.
#[pyfunction]
#[pyo3(signature = (function, arguments, keywords=None))]
pub(crate) fn call_here<'py>(
    function: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    static COPY_CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let context = COPY_CONTEXT.import(function.py(), "contextvars", "copy_context")?.call0()?;
    let was_driving = driver::set_driving(false);
    let result = run_in(&context, function, arguments, keywords);
    driver::set_driving(was_driving);
    result
}
