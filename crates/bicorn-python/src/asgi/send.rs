//! ASGI's `send`: an event is taken from Python, checked against its turn, and carried out.
//!
//! Whether it waits afterwards is flow control's business alone; what is raised, leaves nothing on the wire.

use bicorn_http::{ResponseBody, Version};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::exchange::AsgiExchange;
use super::http::{HttpExchange, lock_inner};
use super::response::Kind;
use super::{disconnect, event, file_event};
use crate::awaitable::{Purpose, Waiting};

/// Do what an event asks for; the awaitable that `send()` returns.
pub(super) fn send<'py>(
    slf: &Bound<'py, HttpExchange>,
    message: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let exchange = slf.get();
    if exchange.must_raise() {
        return Err(disconnect::disconnected());
    }
    if exchange.sender.is_gone() {
        return Ok(exchange.loop_thread.ready(py));
    }
    let name = event::required(message, intern!(py, "type"))?;
    match admit(exchange, &name)? {
        Kind::Start => {
            let (head, announces_trailers) = event::response_start(message)?;
            let method = exchange.head.method();
            lock_inner(exchange).response.start(head, method, announces_trailers);
            HttpExchange::hold(slf)?;
        }
        Kind::EarlyHint => hint(exchange, message)?,
        Kind::Body => {
            let (body, more) = event::response_body(message, exchange.loop_thread.handoff())?;
            return add(slf, body, more);
        }
        Kind::PathSend => return add(slf, file_event::path_send(message)?, false),
        Kind::ZeroCopySend => {
            let (body, more) = file_event::zero_copy_send(message)?;
            return add(slf, body, more);
        }
        Kind::Trailers => finish(exchange, message)?,
    }
    Ok(exchange.loop_thread.ready(py))
}

/// The kind of an event whose turn it is. The texts are uvicorn's.
fn admit(exchange: &HttpExchange, name: &Bound<'_, PyAny>) -> PyResult<Kind> {
    let kind = match name.cast::<PyString>() {
        Ok(name) => Kind::parse(name.to_str().unwrap_or_default()),
        Err(_) => None,
    };
    let expected = {
        let inner = lock_inner(exchange);
        match kind {
            Some(kind) if inner.response.admits(kind) => return Ok(kind),
            _ => inner.response.expects(),
        }
    };
    Err(PyRuntimeError::new_err(match expected {
        None => format!("Unexpected ASGI message '{name}' sent, after response already completed."),
        Some(expected) => format!("Expected ASGI message '{expected}', but got '{name}'."),
    }))
}

/// Send 103 with the links. A 1.0 client would take it for the answer (RFC 9110 §15.2), and without a link there is
/// nothing to hint at (RFC 8297 §2).
fn hint(exchange: &HttpExchange, message: &Bound<'_, PyAny>) -> PyResult<()> {
    let head = event::early_hint(message)?;
    if head.lines().is_empty() || exchange.head.version() == Version::Http10 {
        return Ok(());
    }
    exchange.sender.send_interim(head);
    exchange.loop_thread.touch(message.py(), exchange.sender.mailbox())
}

/// Send content; whoever sends more of it may have to wait.
fn add<'py>(slf: &Bound<'py, HttpExchange>, body: ResponseBody, more: bool) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let exchange = slf.get();
    let is_pending = exchange.add_content(py, body, !more)?;
    if !more || exchange.sender.is_ready() {
        if is_pending {
            HttpExchange::hold(slf)?;
        }
        return Ok(exchange.loop_thread.ready(py));
    }
    exchange.flush(py)?;
    let waiting = AsgiExchange::Http(slf.clone().unbind());
    Ok(Bound::new(py, Waiting::new(waiting, Purpose::Send))?.into_any())
}

/// Send trailers, and with the last of them the end.
fn finish(exchange: &HttpExchange, message: &Bound<'_, PyAny>) -> PyResult<()> {
    let (fields, more) = event::trailers(message)?;
    // ASGI "HTTP Trailers": only to a client that asked for them.
    let is_wanted = exchange.head.accepts_trailers();
    exchange.add_trailers(message.py(), &fields, more, is_wanted)
}
