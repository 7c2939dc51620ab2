//! A function that a task of the loop waits for: `anyio.to_thread.run_sync` on bicorn's threads.

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::asgi::waiters::settle;

/// A function, and who waits for its result.
pub(crate) struct Call {
    /// The copy of the caller's context that it runs in.
    pub(crate) context: Py<PyAny>,
    pub(crate) function: Py<PyAny>,
    pub(crate) arguments: Py<PyTuple>,
    /// The `asyncio.Future` of the loop thread.
    pub(crate) future: Py<PyAny>,
    /// The cancel scope that `anyio.from_thread.check_cancelled` asks, if there is one.
    pub(crate) scope: Option<Py<PyAny>>,
}

/// A future of the loop that has its result.
pub(crate) struct Finished {
    pub(crate) future: Py<PyAny>,
    pub(crate) result: PyResult<Py<PyAny>>,
}

impl Call {
    /// Call the function. What it raises becomes the result, whatever it is: as under anyio, it is raised where the
    /// function is waited for.
    pub(super) fn run(self, py: Python<'_>, locals: Option<&Py<PyAny>>) -> Finished {
        let Self { context, function, arguments, future, scope } = self;
        let scope = scope.as_ref().zip(locals);
        if let Some((scope, locals)) = scope {
            let _ = locals.bind(py).setattr(intern!(py, "current_cancel_scope"), scope);
        }
        let result = run_in(context.bind(py), function.bind(py), arguments.bind(py));
        if let Some((_, locals)) = scope {
            let _ = locals.bind(py).setattr(intern!(py, "current_cancel_scope"), py.None());
        }
        Finished { future, result: result.map(Bound::unbind) }
    }
}

/// `context.run(function, *arguments)`
pub(super) fn run_in<'py>(
    context: &Bound<'py, PyAny>,
    function: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = context.py();
    if arguments.is_empty() {
        return context.call_method1(intern!(py, "run"), (function,));
    }
    let mut all = Vec::with_capacity(arguments.len() + 1);
    all.push(function.clone());
    all.extend(arguments.iter());
    context.call_method1(intern!(py, "run"), PyTuple::new(py, all)?)
}

impl Finished {
    /// On the loop thread: give the future its result.
    pub(crate) fn settle(self, py: Python<'_>) -> PyResult<()> {
        let Self { future, result } = self;
        let future = future.bind(py);
        match result {
            Ok(result) => settle(future, intern!(py, "set_result"), result.into_bound(py)),
            Err(error) => {
                let mut error = error.into_value(py).into_bound(py).into_any();
                if error.is_instance_of::<PyStopIteration>() {
                    // A future cannot hold it; in anyio's words.
                    let replaced = PyRuntimeError::new_err("coroutine raised StopIteration");
                    let replaced = replaced.into_value(py).into_bound(py).into_any();
                    replaced.setattr(intern!(py, "__cause__"), &error)?;
                    error = replaced;
                }
                settle(future, intern!(py, "set_exception"), error)
            }
        }
    }
}
