//! `HttpServer`: the handle that `bicorn.server` holds.

use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};

use bicorn_http::ResponseHead;
use bicorn_server::{Server, Slot};
use pyo3::exceptions::{PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::application::PythonApplication;
use crate::asgi::scope::ScopeFacts;
use crate::board::Board;
use crate::endpoints::lane::{GivenRoute, Guard, Lanes};
use crate::endpoints::thread::Gone;
use crate::endpoints::tokens::Tokens;
use crate::endpoints::{Call, EndpointThreads, Figures, Job, Setup};
use crate::event_loop::EventLoop;
use crate::ffi;
use crate::handoff::{HandOff, lock};
use crate::logging::{AccessLogTarget, Logs};
use crate::loop_thread::{Links, LoopLimits, LoopThread, Parts};
use crate::settings::Settings;

/// I/O threads, their connections, and the hand-off to one event loop.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct HttpServer {
    loop_thread: Arc<LoopThread>,
    settings: Py<Settings>,
    /// Field lines that every response carries, and whether every connection closes behind its response.
    default_fields: (Vec<u8>, bool),
    /// The loop whose reader must be removed; `None` for one without readers.
    watching: Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl HttpServer {
    #[new]
    #[pyo3(signature = (
        settings, app, *, asgi_version, state, default_headers, run_asgi, error_logger, access_logger,
        access_log_target, request_limit, on_change, resume, on_other_app, board=None, slot=0
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python class")]
    fn new(
        py: Python<'_>,
        settings: Bound<'_, Settings>,
        app: Py<PyAny>,
        asgi_version: &str,
        state: &Bound<'_, PyDict>,
        default_headers: Vec<(Vec<u8>, Vec<u8>)>,
        run_asgi: Py<PyAny>,
        error_logger: Py<PyAny>,
        access_logger: Py<PyAny>,
        access_log_target: Option<Bound<'_, AccessLogTarget>>,
        request_limit: Option<u64>,
        on_change: Py<PyAny>,
        resume: Py<PyAny>,
        on_other_app: Py<PyAny>,
        board: Option<&Bound<'_, Board>>,
        slot: usize,
    ) -> PyResult<Self> {
        let options = settings.get().options();
        if py.version_info() < (3, 13) {
            bicorn_http::status::use_names_before_rfc_9110();
        }
        let slot = board.map_or_else(|| Ok(Slot::alone()), |board| board.get().slot(slot))?;
        let handoff = Arc::new(HandOff::new(options.io_threads, slot.clone())?);
        let limits = LoopLimits {
            concurrency: options.limit_concurrency,
            requests: request_limit,
            reset_contextvars: options.reset_contextvars,
            raises_on_disconnect: options.asgi_spec.raises_on_disconnect(),
        };
        let scopes = ScopeFacts {
            asgi_version: asgi_version.to_owned(),
            spec_version: options.asgi_spec.http_version(),
            state: state.clone().unbind(),
            root_path: options.root_path.clone(),
        };
        let logs = Logs::new(error_logger, access_logger, access_log_target)?;
        let links = Links { app, run_asgi, resume, on_other_app, on_change };
        let parts = Parts { handoff, slot, links, limits, logs, scopes };
        Ok(Self {
            loop_thread: Arc::new(LoopThread::new(py, parts)?),
            settings: settings.unbind(),
            default_fields: field_lines(default_headers)?,
            watching: Mutex::new(None),
        })
    }

    /// Serve listening sockets; the loop must be running in this thread.
    fn start(
        slf: &Bound<'_, Self>,
        r#loop: &Bound<'_, PyAny>,
        context: &Bound<'_, PyAny>,
        listeners: Vec<RawFd>,
    ) -> PyResult<()> {
        let (py, event_loop) = (slf.py(), r#loop);
        let server = slf.get();
        let drain = slf.getattr("_drain")?;
        server.loop_thread.set_loop(EventLoop::new(event_loop, &drain, &slf.getattr("_flush")?)?)?;
        let sockets = ffi::duplicates(listeners)?;
        server.watch(event_loop, context, &slf.getattr("_wake")?, &drain)?;
        let application = PythonApplication {
            handoff: Arc::clone(server.loop_thread.handoff()),
            switch: Arc::clone(server.loop_thread.switch()),
            threads: server.loop_thread.endpoint_threads(),
        };
        let settings = server.settings.get().server_settings(&server.default_fields);
        let slot = server.loop_thread.slot().clone();
        let started = py.detach(|| Server::start(&application, settings, slot, sockets))?;
        server.loop_thread.set_server(started);
        Ok(())
    }

    /// Accept what the kernel has completed, then close the listeners.
    fn stop_listening(&self) {
        self.loop_thread.with_server(|server| server.stop_listening());
    }

    /// Close idle connections; busy ones close after the response in flight.
    fn drain(&self) {
        self.loop_thread.start_draining();
        self.loop_thread.with_server(|server| server.drain());
    }

    /// Close connections after their next exchange, idle ones by their deadline: another server has taken over.
    fn retire(&self) {
        self.loop_thread.start_draining();
        self.loop_thread.with_server(|server| server.retire());
    }

    /// Cancel every running request task and return how many there were.
    fn cancel_tasks(&self, py: Python<'_>, message: &str) -> PyResult<usize> {
        self.loop_thread.cancel_tasks(py, message)
    }

    /// Have endpoint threads: before `start`. See `bicorn.threads`.
    #[pyo3(signature = (*, context, enter, limiter, locals))]
    fn use_endpoint_threads(
        &self,
        context: &Bound<'_, PyAny>,
        enter: Py<PyAny>,
        limiter: &Bound<'_, PyAny>,
        locals: Py<PyAny>,
    ) -> PyResult<()> {
        let tokens = Tokens::new(limiter)?;
        let limit = tokens.total(limiter.py())?;
        let setup = Setup {
            loop_thread: Arc::clone(&self.loop_thread),
            context: context.clone().unbind(),
            enter,
            tokens,
            locals,
            gone: Gone::default(),
        };
        self.loop_thread.set_endpoint_threads(EndpointThreads::new(setup, limit));
        Ok(())
    }

    /// Send requests of proven routes to endpoint threads. Each route is `(methods, parts, name, is_proven)`; parts are
    /// `(kind, text)`, or None for a route that nobody can tell from its path.
    fn open_lanes(
        &self,
        py: Python<'_>,
        routes: Vec<GivenRoute>,
        root_path: Option<String>,
        guards: Vec<Py<PyAny>>,
    ) -> PyResult<()> {
        let lanes = Lanes::new(routes, &self.settings.get().options().root_path, root_path)?;
        let guards = guards.into_iter().map(|guard| Guard::new(py, guard)).collect::<PyResult<_>>()?;
        self.loop_thread.switch().open(lanes, guards);
        Ok(())
    }

    /// Whether anyio's limiter has a token for another call: then none needs to be borrowed for it.
    fn has_token(&self, py: Python<'_>) -> PyResult<bool> {
        self.loop_thread.endpoint_threads().map_or(Ok(false), |threads| threads.has_token(py))
    }

    /// Call a function in an endpoint thread; the `asyncio.Future` of its result, or None when there is no room. `key` is
    /// a number that stands for the function, `scope` the cancel scope that it may ask for.
    #[expect(
        clippy::too_many_arguments,
        reason = "positional arguments of a method that is called for each call"
    )]
    fn call_in_thread<'py>(
        &self,
        function: &Bound<'py, PyAny>,
        arguments: &Bound<'py, PyTuple>,
        context: &Bound<'py, PyAny>,
        scope: Option<Py<PyAny>>,
        key: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = function.py();
        let Some(threads) = self.loop_thread.endpoint_threads() else { return Ok(None) };
        let future = self.loop_thread.event_loop()?.create_future(py)?;
        let call = Call {
            context: context.clone().unbind(),
            function: function.clone().unbind(),
            arguments: arguments.clone().unbind(),
            future: future.clone().unbind(),
            scope,
        };
        let is_queued = threads.push(Job::call(call, threads.call_stats(key)));
        threads.notify();
        Ok(is_queued.then_some(future))
    }

    /// `(threads, busy, limit, queued, jobs, seconds that these had waited)` of the endpoint threads.
    #[getter]
    fn endpoint_figures(&self) -> (usize, usize, usize, usize, u64, f64) {
        self.loop_thread.endpoint_threads().map_or((0, 0, 0, 0, 0, 0.0), |threads| {
            let Figures { threads, busy, limit, queued, jobs, waited } = threads.figures();
            (threads, busy, limit, queued, jobs, waited.as_secs_f64())
        })
    }

    /// End every connection and the I/O threads. May be called twice.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(event_loop) = lock(&self.watching).take() {
            event_loop.bind(py).call_method1("remove_reader", (self.loop_thread.handoff().fd(),))?;
        }
        let server = self.loop_thread.take_apart();
        py.detach(|| drop(server));
        if let Some(threads) = self.loop_thread.take_endpoint_threads() {
            py.detach(|| threads.stop());
        }
        // What the I/O threads were still writing from.
        drop(self.loop_thread.handoff().take_released());
        let loop_thread = Arc::clone(&self.loop_thread);
        py.detach(move || loop_thread.logs().close());
        Ok(())
    }

    #[getter]
    fn is_listening(&self) -> bool {
        self.loop_thread.with_server(|server| server.is_listening()).unwrap_or(false)
    }

    /// Open connections.
    #[getter]
    fn connections(&self) -> usize {
        self.loop_thread.with_server(|server| server.connections()).unwrap_or(0)
    }

    /// Running request tasks.
    #[getter]
    fn tasks(&self) -> usize {
        self.loop_thread.tasks()
    }

    /// Responses completed since `start`.
    #[getter]
    fn total_requests(&self) -> u64 {
        self.loop_thread.responses()
    }

    /// Called by the loop when the hand-off's descriptor is readable.
    fn _wake(&self, py: Python<'_>) -> PyResult<()> {
        self.loop_thread.handoff().acknowledge();
        self.loop_thread.drain(py)
    }

    /// Called by the loop when there is work and it was not woken for it.
    fn _drain(&self, py: Python<'_>) -> PyResult<()> {
        self.loop_thread.drain(py)
    }

    /// Called by the loop at the end of a tick in which something was sent.
    fn _flush(&self, py: Python<'_>) -> PyResult<()> {
        self.loop_thread.flush(py)
    }

    /// Wait up to a second for work, detached: for `bicorn.server`'s helper thread. False once the server is
    /// closed.
    fn _wait(&self, py: Python<'_>) -> bool {
        py.detach(|| self.loop_thread.handoff().wait());
        self.loop_thread.with_server(|_| ()).is_some()
    }
}

impl HttpServer {
    /// Have the loop call `wake` in copies of `context` when there is work.
    fn watch(
        &self,
        event_loop: &Bound<'_, PyAny>,
        context: &Bound<'_, PyAny>,
        wake: &Bound<'_, PyAny>,
        drain: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = event_loop.py();
        let fd = self.loop_thread.handoff().fd();
        // A handle copies the context it is made in; tasks made in the callback copy that.
        let added = context.call_method1("run", (event_loop.getattr("add_reader")?, fd, wake));
        match added {
            Ok(_) => {
                *lock(&self.watching) = Some(event_loop.clone().unbind());
                Ok(())
            }
            Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {
                let helper = py.import("bicorn._wakeup")?.getattr("start")?;
                helper.call1((event_loop, context, wake.getattr("__self__")?.getattr("_wait")?, drain))?;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Default headers as `name: value CRLF` lines, and whether one of them closes every connection.
fn field_lines(headers: Vec<(Vec<u8>, Vec<u8>)>) -> PyResult<(Vec<u8>, bool)> {
    let mut lines = Vec::new();
    let mut closes = false;
    for (name, value) in headers {
        // One head each: a name may come twice.
        let mut head = ResponseHead::new(200);
        let refuse = |reason: &dyn std::fmt::Display| {
            let name = String::from_utf8_lossy(&name);
            PyValueError::new_err(format!("invalid default header {name:?}: {reason}"))
        };
        head.push(&name, &value).map_err(|error| refuse(&error))?;
        if head.content_length().is_some() || head.has_transfer_encoding() {
            return Err(refuse(&"how content is delimited differs from response to response; leave it out"));
        }
        // The engine says so itself, in the right place.
        closes |= head.has_connection_close();
        if !head.has_connection_close() {
            lines.extend_from_slice(head.lines());
        }
    }
    Ok((lines, closes))
}
