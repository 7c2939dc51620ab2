//! How an exchange ends when its application does: with what it has sent, or with an answer in its place.
//!
//! `http.rs` calls this once for each application, and for requests that never reach one. What is logged here is in
//! uvicorn's words.

use bicorn_http::{ResponseBody, ResponseHead};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::disconnect;
use super::http::{HttpExchange, lock_inner};
use super::waiters::wake_all;

impl HttpExchange {
    /// Give up, behind what was sent before.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(pending) = lock_inner(self).pending.take() {
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
            let mut inner = lock_inner(self);
            let part = inner.response.replace(head, body);
            self.transmit(&mut inner, part)
        };
        self.follow(py, after)
    }

    /// The application has ended without a complete response: give what can still be given.
    fn end_badly(&self, py: Python<'_>) -> PyResult<()> {
        let has_begun = lock_inner(self).response.has_begun();
        if has_begun { self.close(py) } else { self.answer(py, 500, b"Internal Server Error") }
    }

    /// The application's coroutine has ended, whichever way.
    pub(super) fn end(&self, py: Python<'_>) -> PyResult<()> {
        let (key, waiters) = {
            let mut inner = lock_inner(self);
            if std::mem::replace(&mut inner.is_app_done, true) {
                return Ok(());
            }
            (inner.waiters.key.take(), inner.waiters.take())
        };
        self.loop_thread.remove(py, key)?;
        wake_all(py, self.loop_thread.handoff(), waiters)
    }

    /// The application failed in a way that its coroutine could not report.
    pub(crate) fn fail(&self, py: Python<'_>, error: &PyErr) -> PyResult<()> {
        let finished = self.finish_failed(py, error.value(py).as_any());
        self.end(py)?;
        finished
    }

    /// Answer in the place of an application that nothing can end, and count it no longer.
    pub(crate) fn abandon(&self, py: Python<'_>) -> PyResult<()> {
        let is_complete = {
            let mut inner = lock_inner(self);
            inner.is_abandoned = true;
            inner.response.is_complete()
        };
        if !is_complete {
            self.end_badly(py)?;
        }
        self.end(py)
    }

    /// The application returned: it should have completed its response.
    pub(super) fn finish_returned(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<()> {
        if lock_inner(self).is_abandoned {
            return Ok(());
        }
        let logs = self.loop_thread.logs();
        if !result.is_none() {
            let text = intern!(py, "ASGI callable should return None, but returned '%s'.");
            logs.error(py, (text, result))?;
            return self.end_badly(py);
        }
        let (is_started, is_complete) = {
            let inner = lock_inner(self);
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

    /// The application raised.
    pub(super) fn finish_failed(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        if lock_inner(self).is_abandoned {
            return Ok(());
        }
        if self.loop_thread.raises_on_disconnect() && disconnect::is_disconnect(exception)? {
            // The error is ours, and the application owes nothing.
            let is_complete = lock_inner(self).response.is_complete();
            return if is_complete { Ok(()) } else { self.close(py) };
        }
        self.loop_thread.logs().exception(py, exception)?;
        self.end_badly(py)
    }
}
