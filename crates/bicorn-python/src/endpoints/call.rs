//! A function that a task of the loop waits for: `anyio.to_thread.run_sync` on bicorn's threads.

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

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

/// What the loop has to hear of an endpoint thread.
pub(crate) enum Finished {
    /// A future of the loop has its result.
    Future { future: Py<PyAny>, result: PyResult<Py<PyAny>> },
    /// A function without arguments that only the loop may call.
    Function(Py<PyAny>),
}

impl Call {
    /// Call the function. What it raises becomes the result, whatever it is: as under anyio, it is raised where the
    /// function is waited for.
    pub(super) fn run(self, py: Python<'_>, locals: &Py<PyAny>) -> Finished {
        let Self { context, function, arguments, future, scope } = self;
        if let Some(scope) = &scope {
            let _ = locals.bind(py).setattr(intern!(py, "current_cancel_scope"), scope);
        }
        let result = run_in(context.bind(py), function.bind(py), arguments.bind(py), None);
        if scope.is_some() {
            let _ = locals.bind(py).setattr(intern!(py, "current_cancel_scope"), py.None());
        }
        Finished::Future { future, result: result.map(Bound::unbind) }
    }
}

/// What people call the function at the heart of partials and methods: `module.qualname`.
pub(super) fn name_of(function: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = function.py();
    let mut function = function.clone();
    // FastAPI has the endpoint in a keyword of a partial, and Starlette puts another one around it.
    while let Some(inner) = function.getattr_opt(intern!(py, "func"))? {
        let keywords = function.getattr_opt(intern!(py, "keywords"))?;
        let endpoint = keywords.and_then(|keywords| keywords.get_item(intern!(py, "function")).ok());
        function = endpoint.unwrap_or(inner);
    }
    let text = |name| PyResult::Ok(function.getattr_opt(name)?.map(|value| value.to_string()));
    match (text(intern!(py, "__module__"))?, text(intern!(py, "__qualname__"))?) {
        (Some(module), Some(name)) => Ok(format!("{module}.{name}")),
        _ => Ok(function.get_type().name()?.to_string()),
    }
}

/// `context.run(function, *arguments, **keywords)`
pub(super) fn run_in<'py>(
    context: &Bound<'py, PyAny>,
    function: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = context.py();
    if arguments.is_empty() && keywords.is_none() {
        return context.call_method1(intern!(py, "run"), (function,));
    }
    let mut all = Vec::with_capacity(arguments.len() + 1);
    all.push(function.clone());
    all.extend(arguments.iter());
    context.call_method(intern!(py, "run"), PyTuple::new(py, all)?, keywords)
}

impl Finished {
    /// On the loop thread: give the future its result, or call the function.
    pub(crate) fn settle(self, py: Python<'_>) -> PyResult<()> {
        let (future, result) = match self {
            Self::Future { future, result } => (future, result),
            Self::Function(function) => return function.bind(py).call0().map(|_| ()),
        };
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
