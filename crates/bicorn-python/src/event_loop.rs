//! The asyncio loop, and what is called on it for every batch.

use std::sync::Mutex;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::handoff::lock;

/// A running event loop of any kind (asyncio, uvloop, somebody's own).
pub(crate) struct EventLoop {
    call_soon: Py<PyAny>,
    create_future: Py<PyAny>,
    spawn: Spawn,
    callbacks: Mutex<Option<Callbacks>>,
}

/// What the loop calls. They are methods of the server, which owns this: `forget` breaks the cycle.
struct Callbacks {
    drain: Py<PyAny>,
    flush: Py<PyAny>,
}

/// How a coroutine becomes a task.
enum Spawn {
    /// `asyncio.Task(coroutine, loop=…, eager_start=True)`, Python 3.12 and later: its first step runs at
    /// once, and most requests need no other. No task factory is asked, and none is installed.
    Eager { task: Py<PyAny>, keywords: Py<PyDict> },
    /// `loop.create_task(coroutine)`.
    Scheduled { create_task: Py<PyAny> },
}

impl EventLoop {
    /// `drain` and `flush` are called by the loop: see `LoopThread::drain` and `LoopThread::flush`.
    pub(crate) fn new(
        event_loop: &Bound<'_, PyAny>,
        drain: &Bound<'_, PyAny>,
        flush: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let py = event_loop.py();
        let spawn = if py.version_info() >= (3, 12) {
            let keywords = PyDict::new(py);
            keywords.set_item("loop", event_loop)?;
            keywords.set_item("eager_start", true)?;
            Spawn::Eager {
                task: py.import("asyncio")?.getattr("Task")?.unbind(),
                keywords: keywords.unbind(),
            }
        } else {
            Spawn::Scheduled { create_task: event_loop.getattr("create_task")?.unbind() }
        };
        Ok(Self {
            call_soon: event_loop.getattr("call_soon")?.unbind(),
            create_future: event_loop.getattr("create_future")?.unbind(),
            spawn,
            callbacks: Mutex::new(Some(Callbacks {
                drain: drain.clone().unbind(),
                flush: flush.clone().unbind(),
            })),
        })
    }

    pub(crate) fn create_future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.create_future.bind(py).call0()
    }

    /// Have the loop take another batch in its next iteration.
    pub(crate) fn drain_soon(&self, py: Python<'_>) -> PyResult<()> {
        self.call_soon(py, |callbacks| &callbacks.drain)
    }

    /// Have the loop send what was queued in this iteration.
    pub(crate) fn flush_soon(&self, py: Python<'_>) -> PyResult<()> {
        self.call_soon(py, |callbacks| &callbacks.flush)
    }

    fn call_soon(&self, py: Python<'_>, which: impl FnOnce(&Callbacks) -> &Py<PyAny>) -> PyResult<()> {
        let callback = lock(&self.callbacks).as_ref().map(|callbacks| which(callbacks).clone_ref(py));
        if let Some(callback) = callback {
            self.call_soon.bind(py).call1((callback,))?;
        }
        Ok(())
    }

    /// Whether a task takes its first step as soon as it is made; else in the loop's next iteration.
    pub(crate) fn begins_at_once(&self) -> bool {
        matches!(self.spawn, Spawn::Eager { .. })
    }

    /// The server is closed: the loop is to call nothing any more.
    pub(crate) fn forget(&self) {
        let callbacks = lock(&self.callbacks).take();
        drop(callbacks);
    }

    /// Run a coroutine as a task, in a copy of the current context or, on request, in an empty one.
    pub(crate) fn spawn<'py>(
        &self,
        py: Python<'py>,
        coroutine: &Bound<'py, PyAny>,
        in_empty_context: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let context = if in_empty_context {
            Some(py.import(intern!(py, "contextvars"))?.call_method0(intern!(py, "Context"))?)
        } else {
            None
        };
        match (&self.spawn, context) {
            (Spawn::Eager { task, keywords }, None) => {
                task.bind(py).call((coroutine,), Some(keywords.bind(py)))
            }
            (Spawn::Eager { task, keywords }, Some(context)) => {
                let keywords = keywords.bind(py).copy()?;
                keywords.set_item(intern!(py, "context"), context)?;
                task.bind(py).call((coroutine,), Some(&keywords))
            }
            (Spawn::Scheduled { create_task }, None) => create_task.bind(py).call1((coroutine,)),
            (Spawn::Scheduled { create_task }, Some(context)) => {
                context.call_method1(intern!(py, "run"), (create_task, coroutine))
            }
        }
    }

    /// Whether a task can run in a context that is not its own copy.
    pub(crate) fn enters_contexts(&self) -> bool {
        matches!(self.spawn, Spawn::Eager { .. })
    }

    /// Run a coroutine, which may have begun, as a task in this very context.
    pub(crate) fn spawn_in<'py>(
        &self,
        py: Python<'py>,
        coroutine: &Bound<'py, PyAny>,
        context: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match &self.spawn {
            Spawn::Eager { task, keywords } => {
                let keywords = keywords.bind(py).copy()?;
                keywords.set_item(intern!(py, "context"), context)?;
                task.bind(py).call((coroutine,), Some(&keywords))
            }
            Spawn::Scheduled { create_task } => {
                context.call_method1(intern!(py, "run"), (create_task, coroutine))
            }
        }
    }
}
