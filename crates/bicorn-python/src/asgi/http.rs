//! One HTTP exchange, as the application sees it: `receive` and `send` (ASGI HTTP 2.3).
//!
//! `response.rs` decides which events may come; here they are taken from Python, answered, and carried out.
//! The texts of all errors are uvicorn's. The lock is never held while Python code may run.

use std::sync::{Arc, Mutex, MutexGuard};

use bicorn_http::body::BORROW_BYTES;
use bicorn_http::{
    Exchange, Received, RequestBody, RequestHead, ResponseBody, ResponseHead, ResponsePart, ResponseSender,
};
use bicorn_server::ConnectionInfo;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::exchange::AsgiExchange;
use super::response::Response;
use super::waiters::{Waiters, still_waiting, wake_all};
use super::{disconnect, send};
use crate::awaitable::{Purpose, Waiting};
use crate::handoff::lock;
use crate::logging::{AccessFacts, Served};
use crate::loop_thread::LoopThread;

/// One request and its response.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct HttpExchange {
    pub(super) loop_thread: Arc<LoopThread>,
    pub(super) head: RequestHead,
    connection: Arc<ConnectionInfo>,
    pub(super) sender: ResponseSender,
    inner: Mutex<Inner>,
}

/// What changes of an exchange.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Inner {
    pub(super) response: Response,
    body: RequestBody,
    /// What was sent in this tick and has not left: small pieces leave together.
    pub(super) pending: Option<ResponsePart>,
    /// The exchange will be flushed at the end of the tick.
    is_held: bool,
    /// What the access log shows; taken when it is logged.
    facts: Option<AccessFacts>,
    /// `receive` and `send` calls that wait.
    pub(super) waiters: Waiters,
    pub(super) is_app_done: bool,
    /// `receive` gave out `http.disconnect` before the response was complete.
    is_told: bool,
    /// Answered in the application's place, which still runs: what becomes of it is nobody's business.
    pub(super) is_abandoned: bool,
}

/// The part of an exchange that changes, for the other half of this folder.
pub(super) fn lock_inner(exchange: &HttpExchange) -> MutexGuard<'_, Inner> {
    lock(&exchange.inner)
}

/// What has to follow a change of the response, outside the lock.
#[derive(Default)]
pub(super) struct After {
    /// The status to log: the head has been sent.
    logged: Option<(u16, Option<AccessFacts>)>,
    is_complete: bool,
    waiters: Vec<Py<PyAny>>,
    /// The I/O thread has something to do.
    has_left: bool,
}

impl HttpExchange {
    pub(crate) fn new(
        loop_thread: Arc<LoopThread>,
        exchange: Exchange,
        connection: Arc<ConnectionInfo>,
        facts: Option<AccessFacts>,
    ) -> Self {
        let inner = Inner {
            response: Response::new(),
            body: exchange.body,
            pending: None,
            is_held: false,
            facts,
            waiters: Waiters::default(),
            is_app_done: false,
            is_told: false,
            is_abandoned: false,
        };
        Self {
            loop_thread,
            head: exchange.head,
            connection,
            sender: exchange.response,
            inner: Mutex::new(inner),
        }
    }

    /// Whether the application's coroutine has ended.
    pub(crate) fn is_app_done(&self) -> bool {
        lock(&self.inner).is_app_done
    }

    /// Give the exchange a slot among the running ones.
    pub(crate) fn register(slf: &Bound<'_, Self>) -> usize {
        let exchange = slf.get();
        let mut inner = lock(&exchange.inner);
        let insert = || exchange.loop_thread.insert(AsgiExchange::Http(slf.clone().unbind()));
        *inner.waiters.key.get_or_insert_with(insert)
    }

    /// Something changed that a waiting application may want to know.
    pub(crate) fn resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        let futures = lock(&slf.get().inner).waiters.take();
        wake_all(slf.py(), slf.get().loop_thread.handoff(), futures)
    }

    /// The result of a `receive` or `send` that waits, if there is one now.
    pub(crate) fn try_finish(slf: &Bound<'_, Self>, purpose: Purpose) -> PyResult<Option<Py<PyAny>>> {
        let py = slf.py();
        match purpose {
            Purpose::Receive => Ok(slf.get().next_event(py)?.map(|event| event.into_any().unbind())),
            Purpose::Send if slf.get().must_raise() => Err(disconnect::disconnected()),
            Purpose::Send => Ok(slf.get().may_send().then(|| py.None())),
        }
    }

    /// Whether `send` raises because nobody will hear of what is sent (ASGI HTTP 2.4): the client is gone, or the
    /// application was told that it has left and goes on.
    pub(super) fn must_raise(&self) -> bool {
        if !self.loop_thread.raises_on_disconnect() {
            return false;
        }
        let inner = lock(&self.inner);
        !inner.response.is_complete() && (inner.is_told || self.sender.is_gone())
    }

    /// Whether `send` need not wait; behind a complete response nobody counts what is unsent any more.
    fn may_send(&self) -> bool {
        self.sender.is_ready() || lock(&self.inner).response.is_complete()
    }

    /// A future that is done when [`HttpExchange::try_finish`] is worth another call.
    pub(crate) fn wait<'py>(slf: &Bound<'py, Self>, purpose: Purpose) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let exchange = slf.get();
        let future = exchange.loop_thread.event_loop()?.create_future(py)?;
        let key = Self::register(slf);
        let others = lock(&exchange.inner).waiters.take_all();
        let others = still_waiting(py, others)?;
        let is_ready = {
            let mut inner = lock(&exchange.inner);
            inner.waiters.restore(others);
            let handoff = exchange.loop_thread.handoff();
            let waker = inner.waiters.add(future.clone().unbind(), key, handoff);
            match purpose {
                Purpose::Receive => inner.body.poll_ready(&waker).is_ready(),
                Purpose::Send => exchange.sender.poll_ready(&waker).is_ready(),
            }
        };
        if is_ready {
            Self::resume(slf)?;
        }
        // `100 Continue`, or the news that there is room to read, must not wait for the end of the tick.
        exchange.loop_thread.touch(py, exchange.sender.mailbox())?;
        Ok(future)
    }

    fn next_event<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let received = {
            let mut inner = lock(&self.inner);
            let received = if inner.response.is_complete() || self.sender.is_gone() {
                Some(Received::Disconnected)
            } else {
                inner.body.try_receive()
            };
            inner.is_told |= received == Some(Received::Disconnected);
            received
        };
        let Some(received) = received else { return Ok(None) };
        let event = PyDict::new(py);
        match received {
            Received::Disconnected => {
                event.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?;
            }
            Received::Body { content, more } => {
                event.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
                event.set_item(intern!(py, "body"), PyBytes::new(py, &content))?;
                event.set_item(intern!(py, "more_body"), more)?;
                self.loop_thread.touch(py, self.sender.mailbox())?;
            }
        }
        Ok(Some(event))
    }

    /// End of a tick: whatever waits for more leaves as it is.
    pub(crate) fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let after = {
            let mut inner = lock(&self.inner);
            inner.is_held = false;
            let after = inner.response.release_head().map(|part| self.transmit(&mut inner, part));
            if let Some(pending) = inner.pending.take() {
                self.sender.send(pending);
            }
            after
        };
        if let Some(after) = after {
            self.follow(py, after)?;
        }
        self.loop_thread.touch(py, self.sender.mailbox())
    }

    /// Have the exchange flushed at the end of the tick.
    pub(super) fn hold(slf: &Bound<'_, Self>) -> PyResult<()> {
        let exchange = slf.get();
        let was_held = std::mem::replace(&mut lock(&exchange.inner).is_held, true);
        if was_held { Ok(()) } else { exchange.loop_thread.hold(slf) }
    }

    /// Send content; true when it waits for the end of the tick.
    pub(super) fn add_content(&self, py: Python<'_>, body: ResponseBody, last: bool) -> PyResult<bool> {
        let (after, error, is_pending) = {
            let mut inner = lock(&self.inner);
            let verdict = inner.response.add(body, last);
            let after = verdict.part.map(|part| self.transmit(&mut inner, part));
            (after, verdict.error, inner.pending.is_some())
        };
        if let Some(after) = after {
            self.follow(py, after)?;
        }
        error.map_or(Ok(is_pending), |text| Err(PyRuntimeError::new_err(text)))
    }

    /// Send trailers; with the last of them the response is complete.
    pub(super) fn add_trailers(
        &self,
        py: Python<'_>,
        fields: &ResponseHead,
        more: bool,
        are_wanted: bool,
    ) -> PyResult<()> {
        let after = {
            let mut inner = lock(&self.inner);
            let part = inner.response.add_trailers(fields, more, are_wanted);
            part.map(|part| self.transmit(&mut inner, part))
        };
        after.map_or(Ok(()), |after| self.follow(py, after))
    }

    pub(super) fn transmit(&self, inner: &mut Inner, part: ResponsePart) -> After {
        let logged = part.head.as_ref().map(|head| (head.status(), inner.facts.take()));
        let is_complete = part.last;
        let waiters = if is_complete { inner.waiters.take() } else { Vec::new() };
        After { logged, is_complete, waiters, has_left: self.gather(inner, part) }
    }

    /// Let a part leave, or keep it for those that follow in the same tick.
    fn gather(&self, inner: &mut Inner, part: ResponsePart) -> bool {
        let part = match inner.pending.take() {
            None => part,
            Some(mut pending) => match pending.append(part) {
                Ok(()) => pending,
                Err(part) => {
                    self.sender.send(pending);
                    part
                }
            },
        };
        let is_full = part.body.cost() >= BORROW_BYTES;
        if part.last || is_full {
            self.sender.send(part);
            return true;
        }
        inner.pending = Some(part);
        false
    }

    pub(super) fn follow(&self, py: Python<'_>, after: After) -> PyResult<()> {
        if let Some((status, facts)) = after.logged {
            let served = Served { head: &self.head, connection: &self.connection, status };
            self.loop_thread.logs().access(py, &served, facts)?;
        }
        wake_all(py, self.loop_thread.handoff(), after.waiters)?;
        if after.is_complete {
            self.loop_thread.count_response(py)?;
        }
        if after.has_left { self.loop_thread.touch(py, self.sender.mailbox()) } else { Ok(()) }
    }
}

#[pymethods]
impl HttpExchange {
    /// ASGI's `receive`.
    fn receive<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Waiting>> {
        Bound::new(slf.py(), Waiting::new(AsgiExchange::Http(slf.clone().unbind()), Purpose::Receive))
    }

    /// ASGI's `send`.
    #[pyo3(signature = (message, /))]
    fn send<'py>(slf: &Bound<'py, Self>, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        send::send(slf, message)
    }

    /// The application's coroutine returned.
    fn returned(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<()> {
        let finished = self.finish_returned(py, result);
        self.end(py)?;
        finished
    }

    /// The application's coroutine raised.
    fn failed(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        let finished = self.finish_failed(py, exception);
        self.end(py)?;
        finished
    }
}
