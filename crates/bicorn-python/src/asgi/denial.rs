//! A response in place of a WebSocket (ASGI extension `websocket.http.response`).
//!
//! It is gathered and sent as a whole with its length, and the connection closes behind it, as under uvicorn: a
//! client that wanted a WebSocket reads little of it, and nobody streams here.

use bicorn_http::{ResponseBody, ResponseHead};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::event;

/// A denial whose content may not be complete.
pub(super) struct Denial {
    head: ResponseHead,
    content: Vec<u8>,
}

impl Denial {
    pub(super) fn new(head: ResponseHead) -> Self {
        Self { head, content: Vec::new() }
    }

    pub(super) fn add(&mut self, content: &ResponseBody) {
        for piece in content.pieces() {
            self.content.extend_from_slice(piece);
        }
    }

    /// The whole response; the content is gone from here.
    ///
    /// # Errors
    /// The content does not have the length that the application announced, in uvicorn's words for a response.
    pub(super) fn take(&mut self) -> Result<(ResponseHead, ResponseBody), &'static str> {
        let content = std::mem::take(&mut self.content);
        let head = std::mem::replace(&mut self.head, ResponseHead::new(500));
        match head.content_length() {
            Some(length) if length < content.len() as u64 => {
                return Err("Response content longer than Content-Length");
            }
            Some(length) if length > content.len() as u64 => {
                return Err("Response content shorter than Content-Length");
            }
            _ => {}
        }
        complete(head, &content)
    }
}

/// The head in a `websocket.http.response.start` message.
pub(super) fn head(message: &Bound<'_, PyAny>) -> PyResult<ResponseHead> {
    let status = event::required(message, intern!(message.py(), "status"))?;
    let code = status.extract::<u16>().ok().filter(|code| (200..600).contains(code));
    let Some(code) = code else {
        let text = format!("Invalid HTTP status code '{status}' in response.");
        return Err(PyRuntimeError::new_err(text));
    };
    let mut head = ResponseHead::new(code);
    event::push_headers(&mut head, message)?;
    Ok(head)
}

/// A response of text.
pub(super) fn plain(status: u16, text: &[u8]) -> Result<(ResponseHead, ResponseBody), &'static str> {
    complete(ResponseHead::new(status), text)
}

/// Add the fields that the application left out.
fn complete(mut head: ResponseHead, content: &[u8]) -> Result<(ResponseHead, ResponseBody), &'static str> {
    let has_type = head.fields().any(|(name, _)| name == b"content-type");
    let length = content.len().to_string();
    let mut push =
        |name: &[u8], value: &[u8]| head.push(name, value).map_err(|_| "Invalid HTTP header value.");
    push(b"connection", b"close")?;
    push(b"content-length", length.as_bytes())?;
    if !has_type {
        push(b"content-type", b"text/plain; charset=utf-8")?;
    }
    Ok((head, ResponseBody::copied(content)))
}
