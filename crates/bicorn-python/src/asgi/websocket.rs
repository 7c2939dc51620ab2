//! One WebSocket, as the application sees it: `receive` and `send` (ASGI WebSocket 2.4).
//!
//! ```text
//!   Connecting ──accept──▶ Open ──close──▶ Closed
//!       ├──close: 403─────────────────────────▲
//!       └──http.response.start──▶ Denying ──last body─▲
//! ```
//! The peer's end is not a state: messages that came before it are still received, and the socket knows of it.
//! The texts of all errors are uvicorn's. The lock is never held while Python code may run.

use std::sync::{Arc, Mutex};

use bicorn_http::websocket::Message;
use bicorn_http::websocket::seam::{Received, WebSocket};
use bicorn_http::{ResponseBody, ResponseHead, ResponsePart, status};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::disconnect::{ClientDisconnected, disconnected};
use super::exchange::AsgiExchange;
use super::waiters::{Waiters, still_waiting, wake_all};
use super::{denial, event};
use crate::awaitable::{Purpose, Waiting};
use crate::handoff::lock;
use crate::loop_thread::LoopThread;

/// One WebSocket.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct WebSocketExchange {
    loop_thread: Arc<LoopThread>,
    socket: WebSocket,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    waiters: Waiters,
    is_app_done: bool,
}

/// How far the application is. Orders that ASGI forbids are missing transitions.
enum State {
    Connecting {
        /// What the log line of the decision shows.
        scope: Py<PyDict>,
        /// `websocket.connect` was received.
        is_announced: bool,
    },
    Denying(denial::Denial),
    Open,
    Closed,
}

/// Which events the application may send.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Decide,
    Deny,
    Talk,
    Nothing,
}

impl State {
    fn turn(&self) -> Turn {
        match self {
            Self::Connecting { .. } => Turn::Decide,
            Self::Denying(_) => Turn::Deny,
            Self::Open => Turn::Talk,
            Self::Closed => Turn::Nothing,
        }
    }
}

impl WebSocketExchange {
    pub(crate) fn new(loop_thread: Arc<LoopThread>, socket: WebSocket, scope: Py<PyDict>) -> Self {
        let state = State::Connecting { scope, is_announced: false };
        let inner = Inner { state, waiters: Waiters::default(), is_app_done: false };
        Self { loop_thread, socket, inner: Mutex::new(inner) }
    }

    /// Whether the application's coroutine has ended.
    pub(crate) fn is_app_done(&self) -> bool {
        lock(&self.inner).is_app_done
    }

    /// Give the exchange a slot among the running ones.
    pub(crate) fn register(slf: &Bound<'_, Self>) -> usize {
        let exchange = slf.get();
        let mut inner = lock(&exchange.inner);
        let insert = || exchange.loop_thread.insert(AsgiExchange::WebSocket(slf.clone().unbind()));
        *inner.waiters.key.get_or_insert_with(insert)
    }

    /// Something changed that a waiting application may want to know.
    pub(crate) fn resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        let futures = lock(&slf.get().inner).waiters.take();
        wake_all(slf.py(), slf.get().loop_thread.handoff(), futures)
    }

    /// The result of a `receive` or `send` that waits, if there is one now.
    pub(crate) fn try_finish(&self, py: Python<'_>, purpose: Purpose) -> PyResult<Option<Py<PyAny>>> {
        match purpose {
            Purpose::Receive => Ok(self.next_event(py)?.map(|event| event.into_any().unbind())),
            // The message was taken: that the peer has closed since is for the next call to say.
            Purpose::Send if self.socket.has_room() => Ok(Some(py.None())),
            Purpose::Send if self.socket.is_closed() => Err(disconnected()),
            Purpose::Send => Ok(None),
        }
    }

    /// A future that is done when [`WebSocketExchange::try_finish`] is worth another call.
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
                Purpose::Receive => exchange.socket.poll_receive(&waker).is_ready(),
                Purpose::Send => exchange.socket.poll_ready(&waker).is_ready(),
            }
        };
        if is_ready {
            Self::resume(slf)?;
        }
        Ok(future)
    }

    fn next_event<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let kind = intern!(py, "type");
        let announces = match &mut lock(&self.inner).state {
            State::Connecting { is_announced, .. } => !std::mem::replace(is_announced, true),
            State::Denying(_) | State::Open | State::Closed => false,
        };
        if announces {
            let event = PyDict::new(py);
            event.set_item(kind, intern!(py, "websocket.connect"))?;
            return Ok(Some(event));
        }
        let (received, resumes) = self.socket.try_receive();
        if resumes {
            self.touch(py)?;
        }
        let Some(received) = received else { return Ok(None) };
        let event = PyDict::new(py);
        match received {
            Received::Message(message) => {
                event.set_item(kind, intern!(py, "websocket.receive"))?;
                match message {
                    Message::Text(text) => event.set_item(intern!(py, "text"), PyString::new(py, &text))?,
                    Message::Binary(bytes) => {
                        event.set_item(intern!(py, "bytes"), PyBytes::new(py, &bytes))?;
                    }
                }
            }
            Received::Disconnected(end) => {
                event.set_item(kind, intern!(py, "websocket.disconnect"))?;
                event.set_item(intern!(py, "code"), end.code)?;
                if let Some(reason) = end.reason {
                    event.set_item(intern!(py, "reason"), reason)?;
                }
            }
        }
        Ok(Some(event))
    }

    /// What was queued leaves at the end of the tick.
    fn touch(&self, py: Python<'_>) -> PyResult<()> {
        self.loop_thread.touch(py, self.socket.mailbox())
    }

    /// `websocket.accept`.
    fn accept(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut head = ResponseHead::new(101);
        event::push_headers(&mut head, message)?;
        if let Some(subprotocol) = event::optional(message, intern!(py, "subprotocol"))?
            && subprotocol.is_truthy()?
        {
            let subprotocol: String = subprotocol.extract()?;
            head.push(b"sec-websocket-protocol", subprotocol.as_bytes())
                .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        }
        self.log_decision(py, State::Open, None)?;
        self.socket.accept(head);
        self.loop_thread.logs().info(py, ("connection open",))?;
        self.touch(py)
    }

    /// Go on to `next`. The state before is given out, to be dropped without the lock: Python code may run then.
    fn set_state(&self, next: State) -> State {
        std::mem::replace(&mut lock(&self.inner).state, next)
    }

    /// Go on to `next`, and log what that means for the handshake.
    fn log_decision(&self, py: Python<'_>, next: State, status: Option<u16>) -> PyResult<()> {
        let before = self.set_state(next);
        let State::Connecting { scope, .. } = before else { return Ok(()) };
        self.loop_thread.logs().handshake(py, scope.bind(py), status)
    }

    /// Answer with a whole response, and nothing more.
    fn deny(&self, py: Python<'_>, head: ResponseHead, body: ResponseBody) -> PyResult<()> {
        let code = head.status();
        drop(self.set_state(State::Closed));
        self.socket.deny(ResponsePart { head: Some(head), body, trailers: None, last: true, is_whole: true });
        self.loop_thread.logs().rejected(py, code, status::phrase(code))?;
        self.touch(py)
    }

    /// `websocket.http.response.body`.
    fn add_content(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let (content, more) = event::response_body(message, self.loop_thread.handoff())?;
        let whole = {
            let mut inner = lock(&self.inner);
            let State::Denying(denial) = &mut inner.state else { return Ok(()) };
            denial.add(&content);
            (!more).then(|| denial.take())
        };
        let Some(response) = whole else { return Ok(()) };
        let (head, body) = response.map_err(PyRuntimeError::new_err)?;
        self.deny(py, head, body)
    }

    /// `websocket.send`
    fn send_message(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(outgoing) = event::websocket_message(message, self.loop_thread.handoff())? else {
            return Ok(());
        };
        self.socket.send(outgoing);
        self.loop_thread.touch_message(py, self.socket.mailbox())
    }

    /// `websocket.close` behind an acceptance.
    fn close(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let (code, reason) = event::websocket_close(message)?;
        drop(self.set_state(State::Closed));
        self.socket.close(code, reason);
        self.touch(py)
    }

    /// The application has ended: whatever it left open is closed.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let turn = lock(&self.inner).state.turn();
        match turn {
            Turn::Decide | Turn::Deny if !self.socket.is_lost() => {
                let (head, body) =
                    denial::plain(500, b"Internal Server Error").map_err(PyRuntimeError::new_err)?;
                self.deny(py, head, body)?;
            }
            // Without a close frame, as under uvicorn: the peer sees 1006.
            Turn::Talk => {
                self.socket.abort();
                self.touch(py)?;
            }
            Turn::Decide | Turn::Deny | Turn::Nothing => {}
        }
        drop(self.set_state(State::Closed));
        let (key, futures) = {
            let mut inner = lock(&self.inner);
            inner.is_app_done = true;
            (inner.waiters.key.take(), inner.waiters.take())
        };
        self.loop_thread.remove(py, key)?;
        wake_all(py, self.loop_thread.handoff(), futures)
    }

    fn log_return(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<()> {
        let logs = self.loop_thread.logs();
        let is_undecided = matches!(lock(&self.inner).state.turn(), Turn::Decide | Turn::Deny);
        if is_undecided && !self.socket.is_lost() {
            logs.error(py, (intern!(py, "ASGI callable returned without completing handshake."),))
        } else if !result.is_none() {
            logs.error(py, (intern!(py, "ASGI callable should return None, but returned '%s'."), result))
        } else {
            Ok(())
        }
    }
}

#[pymethods]
impl WebSocketExchange {
    /// ASGI's `receive`.
    fn receive<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Waiting>> {
        let exchange = AsgiExchange::WebSocket(slf.clone().unbind());
        Bound::new(slf.py(), Waiting::new(exchange, Purpose::Receive))
    }

    /// ASGI's `send`.
    #[pyo3(signature = (message, /))]
    fn send<'py>(slf: &Bound<'py, Self>, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let exchange = slf.get();
        let ready = || Ok(exchange.loop_thread.ready(py));
        if exchange.socket.is_lost() {
            return Err(disconnected());
        }
        let kind = event::required(message, intern!(py, "type"))?;
        let kind = kind.str()?;
        let turn = lock(&exchange.inner).state.turn();
        match (turn, kind.to_str()?) {
            (Turn::Talk, "websocket.send") if exchange.socket.is_closed() => {
                return Err(disconnected());
            }
            (Turn::Talk, "websocket.send") => {
                exchange.send_message(py, message)?;
                if !exchange.socket.is_ready() {
                    let waiting = AsgiExchange::WebSocket(slf.clone().unbind());
                    return Ok(Bound::new(py, Waiting::new(waiting, Purpose::Send))?.into_any());
                }
            }
            // What the peer has closed is closed.
            (Turn::Talk, "websocket.close") if exchange.socket.is_closed() => {}
            (Turn::Talk, "websocket.close") => exchange.close(py, message)?,
            (Turn::Decide, "websocket.accept") => exchange.accept(py, message)?,
            (Turn::Decide, "websocket.close") => {
                let (head, body) = denial::plain(403, b"").map_err(PyRuntimeError::new_err)?;
                exchange.log_decision(py, State::Closed, Some(403))?;
                exchange.deny(py, head, body)?;
            }
            (Turn::Decide, "websocket.http.response.start") => {
                let head = denial::head(message)?;
                let status = head.status();
                let next = State::Denying(denial::Denial::new(head));
                exchange.log_decision(py, next, Some(status))?;
            }
            (Turn::Deny, "websocket.http.response.body") => exchange.add_content(py, message)?,
            (turn, kind) => return Err(unexpected(turn, kind)),
        }
        ready()
    }

    /// The application's coroutine returned.
    fn returned(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<()> {
        let logged = self.log_return(py, result);
        self.end(py)?;
        logged
    }

    /// The application's coroutine raised.
    fn failed(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        // It was told that the peer has left, and has nothing to say to that.
        let is_news = !exception.is_instance_of::<ClientDisconnected>();
        let logged = if is_news { self.loop_thread.logs().exception(py, exception) } else { Ok(()) };
        self.end(py)?;
        logged
    }
}

fn unexpected(turn: Turn, kind: &str) -> PyErr {
    PyRuntimeError::new_err(match turn {
        Turn::Decide => format!(
            "Expected ASGI message 'websocket.accept', 'websocket.close' or 'websocket.http.response.start' but \
             got '{kind}'."
        ),
        Turn::Deny => {
            format!("Expected ASGI message 'websocket.http.response.body' but got '{kind}'.")
        }
        Turn::Talk => {
            format!("Expected ASGI message 'websocket.send' or 'websocket.close', but got '{kind}'.")
        }
        Turn::Nothing => format!("Unexpected ASGI message '{kind}', after sending 'websocket.close'."),
    })
}
