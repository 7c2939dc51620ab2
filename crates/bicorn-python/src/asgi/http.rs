//! One HTTP exchange, as the application sees it: `receive` and `send` (ASGI HTTP 2.3).
//!
//! `response.rs` decides which events may come; here they are taken from Python, answered, and carried out.
//! The texts of all errors are uvicorn's. The lock is never held while Python code may run.

use std::sync::{Arc, Mutex};

use bicorn_http::body::BORROW_BYTES;
use bicorn_http::{
    Exchange, Received, RequestBody, RequestHead, ResponseBody, ResponseHead, ResponsePart, ResponseSender,
};
use bicorn_server::ConnectionInfo;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::event;
use super::exchange::AsgiExchange;
use super::response::Response;
use super::waiters::{Waiters, still_waiting, wake_all};
use crate::awaitable::{Purpose, Waiting};
use crate::handoff::lock;
use crate::logging::{AccessFacts, Served};
use crate::loop_thread::LoopThread;

/// One request and its response.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct HttpExchange {
    loop_thread: Arc<LoopThread>,
    head: RequestHead,
    connection: Arc<ConnectionInfo>,
    sender: ResponseSender,
    inner: Mutex<Inner>,
}

struct Inner {
    response: Response,
    body: RequestBody,
    /// What was sent in this tick and has not left: small pieces leave together.
    pending: Option<ResponsePart>,
    /// The exchange will be flushed at the end of the tick.
    is_held: bool,
    /// What the access log shows; taken when it is logged.
    facts: Option<AccessFacts>,
    /// `receive` and `send` calls that wait.
    waiters: Waiters,
    is_app_done: bool,
}

/// What has to follow a change of the response, outside the lock.
#[derive(Default)]
struct After {
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
        wake_all(slf.py(), &futures)
    }

    /// The result of a `receive` or `send` that waits, if there is one now.
    pub(crate) fn try_finish(slf: &Bound<'_, Self>, purpose: Purpose) -> PyResult<Option<Py<PyAny>>> {
        let py = slf.py();
        match purpose {
            Purpose::Receive => Ok(slf.get().next_event(py)?.map(|event| event.into_any().unbind())),
            Purpose::Send => Ok(slf.get().may_send().then(|| py.None())),
        }
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
            if inner.response.is_complete() || self.sender.is_gone() {
                Some(Received::Disconnected)
            } else {
                inner.body.try_receive()
            }
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
    fn hold(slf: &Bound<'_, Self>) -> PyResult<()> {
        let exchange = slf.get();
        let was_held = std::mem::replace(&mut lock(&exchange.inner).is_held, true);
        if was_held { Ok(()) } else { exchange.loop_thread.hold(slf) }
    }

    /// Send content; true when it waits for the end of the tick.
    fn add_content(&self, py: Python<'_>, body: ResponseBody, last: bool) -> PyResult<bool> {
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

    fn transmit(&self, inner: &mut Inner, part: ResponsePart) -> After {
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
        let is_full = part.body.len() >= BORROW_BYTES;
        if part.last || is_full {
            self.sender.send(part);
            return true;
        }
        inner.pending = Some(part);
        false
    }

    fn follow(&self, py: Python<'_>, after: After) -> PyResult<()> {
        if let Some((status, facts)) = after.logged {
            let served = Served { head: &self.head, connection: &self.connection, status };
            self.loop_thread.logs().access(py, &served, facts)?;
        }
        wake_all(py, &after.waiters)?;
        if after.is_complete {
            self.loop_thread.count_response(py)?;
        }
        if after.has_left { self.loop_thread.touch(py, self.sender.mailbox()) } else { Ok(()) }
    }

    /// Give up, behind what was sent before.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(pending) = lock(&self.inner).pending.take() {
            self.sender.send(pending);
        }
        self.sender.close();
        self.loop_thread.touch(py, self.sender.mailbox())
    }

    /// Answer in the application's place, unless its answer has begun.
    pub(crate) fn answer(&self, py: Python<'_>, status: u16, text: &[u8]) -> PyResult<()> {
        let mut head = ResponseHead::new(status);
        let length = text.len().to_string();
        for (name, value) in [
            (&b"content-type"[..], &b"text/plain; charset=utf-8"[..]),
            (b"content-length", length.as_bytes()),
            (b"connection", b"close"),
        ] {
            head.push(name, value).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        }
        let is_head = self.head.method() == b"HEAD";
        let body = if is_head { ResponseBody::Empty } else { ResponseBody::copied(text) };
        let after = {
            let mut inner = lock(&self.inner);
            let part = inner.response.replace(head, body);
            self.transmit(&mut inner, part)
        };
        self.follow(py, after)
    }

    /// The application has ended without a complete response: give what can still be given.
    fn end_badly(&self, py: Python<'_>) -> PyResult<()> {
        let has_begun = lock(&self.inner).response.has_begun();
        if has_begun { self.close(py) } else { self.answer(py, 500, b"Internal Server Error") }
    }

    /// The application's coroutine has ended, whichever way.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let (key, waiters) = {
            let mut inner = lock(&self.inner);
            inner.is_app_done = true;
            (inner.waiters.key.take(), inner.waiters.take())
        };
        self.loop_thread.remove(py, key)?;
        wake_all(py, &waiters)
    }

    fn finish_returned(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<()> {
        let logs = self.loop_thread.logs();
        if !result.is_none() {
            let text = intern!(py, "ASGI callable should return None, but returned '%s'.");
            logs.error(py, (text, result))?;
            return self.end_badly(py);
        }
        let (is_started, is_complete) = {
            let inner = lock(&self.inner);
            (inner.response.is_started(), inner.response.is_complete())
        };
        if is_complete {
            return Ok(());
        }
        if self.sender.is_peer_finished() {
            // It was told so, and owes nothing.
            return self.close(py);
        }
        let text = if is_started {
            intern!(py, "ASGI callable returned without completing response.")
        } else {
            intern!(py, "ASGI callable returned without starting response.")
        };
        logs.error(py, (text,))?;
        self.end_badly(py)
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
        let py = slf.py();
        let exchange = slf.get();
        if exchange.sender.is_gone() {
            return Ok(exchange.loop_thread.ready(py));
        }
        let kind = event::required(message, intern!(py, "type"))?;
        let is = |name: &str| kind.cast::<PyString>().is_ok_and(|kind| kind == name);
        let Some(expected) = lock(&exchange.inner).response.expects() else {
            let text = format!("Unexpected ASGI message '{kind}' sent, after response already completed.");
            return Err(PyRuntimeError::new_err(text));
        };
        if !is(expected) {
            let text = format!("Expected ASGI message '{expected}', but got '{kind}'.");
            return Err(PyRuntimeError::new_err(text));
        }
        if expected == "http.response.start" {
            let head = event::response_start(message)?;
            lock(&exchange.inner).response.start(head, exchange.head.method());
            Self::hold(slf)?;
            return Ok(exchange.loop_thread.ready(py));
        }
        let (body, more) = event::response_body(message, exchange.loop_thread.handoff())?;
        let is_pending = exchange.add_content(py, body, !more)?;
        if !more || exchange.sender.is_ready() {
            if is_pending {
                Self::hold(slf)?;
            }
            return Ok(exchange.loop_thread.ready(py));
        }
        exchange.flush(py)?;
        let waiting = AsgiExchange::Http(slf.clone().unbind());
        Ok(Bound::new(py, Waiting::new(waiting, Purpose::Send))?.into_any())
    }

    /// The application's coroutine returned.
    fn returned(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<()> {
        let finished = self.finish_returned(py, result);
        self.end(py)?;
        finished
    }

    /// The application's coroutine raised.
    fn failed(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.loop_thread.logs().exception(py, exception)?;
        let finished = self.end_badly(py);
        self.end(py)?;
        finished
    }
}
