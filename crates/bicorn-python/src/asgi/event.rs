//! Events from the application, parsed once (ASGI HTTP 2.3, "Response Start", "Response Body"; "Extensions": "Early
//! Hints", "HTTP Trailers"; WebSocket 2.4, "Send", "Close").

use std::sync::Arc;

use bicorn_http::body::BORROW_BYTES;
use bicorn_http::websocket::{Outgoing, is_close_code};
use bicorn_http::{FieldError, ResponseBody, ResponseHead};
use bytes::Bytes;
use pyo3::exceptions::{PyAttributeError, PyKeyError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use crate::handoff::{Borrowed, BorrowedContent, HandOff};

/// `message[key]`, with a `KeyError` when it is absent.
pub(crate) fn required<'py>(
    message: &Bound<'py, PyAny>,
    key: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(dict) = message.cast_exact::<PyDict>() {
        return dict.get_item(key)?.ok_or_else(|| PyKeyError::new_err(key.clone().unbind()));
    }
    message.get_item(key)
}

/// `message.get(key)`, where a dict is spared the method call.
pub(super) fn optional<'py>(
    message: &Bound<'py, PyAny>,
    key: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(dict) = message.cast_exact::<PyDict>() {
        return dict.get_item(key);
    }
    let value = message.call_method1("get", (key,))?;
    Ok((!value.is_none()).then_some(value))
}

/// The head in an `http.response.start` message, and whether trailers will follow the content.
pub(crate) fn response_start(message: &Bound<'_, PyAny>) -> PyResult<(ResponseHead, bool)> {
    let py = message.py();
    let status = required(message, intern!(py, "status"))?;
    let mut head = ResponseHead::new(status_code(&status)?);
    push_headers(&mut head, message)?;
    Ok((head, flag(message, intern!(py, "trailers"))?))
}

/// The 103 that an `http.response.early_hint` message asks for.
pub(super) fn early_hint(message: &Bound<'_, PyAny>) -> PyResult<ResponseHead> {
    let py = message.py();
    let mut head = ResponseHead::new(103);
    let name = PyBytes::new(py, b"link").into_any();
    for link in required(message, intern!(py, "links"))?.try_iter()? {
        push(&mut head, &name, &link?)?;
    }
    Ok(head)
}

/// The fields in an `http.response.trailers` message, and whether more follow.
pub(super) fn trailers(message: &Bound<'_, PyAny>) -> PyResult<(ResponseHead, bool)> {
    let mut fields = ResponseHead::new(200);
    push_headers(&mut fields, message)?;
    if let Some((name, _)) = fields.fields().find(|(name, _)| !is_trailer(name)) {
        let name = String::from_utf8_lossy(name);
        return Err(PyRuntimeError::new_err(format!("HTTP header '{name}' is not allowed in trailers.")));
    }
    Ok((fields, flag(message, intern!(message.py(), "more_trailers"))?))
}

/// Whether a field may stand behind the content: none that says how to frame, route, authenticate, cache or decode
/// the message, which is too late there (RFC 9110 §6.5.1; the list is RFC 7230's, §4.1.2).
fn is_trailer(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 37] = [
        b"age",
        b"authorization",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"date",
        b"expect",
        b"expires",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"keep-alive",
        b"location",
        b"max-forwards",
        b"pragma",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"range",
        b"retry-after",
        b"server",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"vary",
        b"via",
        b"warning",
        b"www-authenticate",
    ];
    FORBIDDEN.binary_search(&name).is_err()
}

/// Add the `headers` of a message, if it has any.
pub(super) fn push_headers(head: &mut ResponseHead, message: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(headers) = optional(message, intern!(message.py(), "headers"))? {
        for field in headers.try_iter()? {
            let field = field?;
            let (name, value) = pair(&field)?;
            push(head, &name, &value)?;
        }
    }
    Ok(())
}

/// Whether a key is there and true.
fn flag(message: &Bound<'_, PyAny>, key: &Bound<'_, PyString>) -> PyResult<bool> {
    optional(message, key)?.map_or(Ok(false), |value| value.is_truthy())
}

/// Whether a message with content is not the last.
pub(super) fn more_follows(message: &Bound<'_, PyAny>) -> PyResult<bool> {
    flag(message, intern!(message.py(), "more_body"))
}

/// A final status. uvicorn looks the status line up in a table, hence its `KeyError`.
fn status_code(status: &Bound<'_, PyAny>) -> PyResult<u16> {
    // http.HTTPStatus is an int, too.
    match status.extract::<u16>() {
        Ok(code @ 200..=599) => Ok(code),
        // An interim response cannot end an exchange (RFC 9110 §15.2).
        Ok(code @ 100..=199) => Err(PyRuntimeError::new_err(format!("Status {code} is not a final status."))),
        _ => Err(PyKeyError::new_err(status.clone().unbind())),
    }
}

fn pair<'py>(field: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if let Ok(tuple) = field.cast_exact::<PyTuple>()
        && tuple.len() == 2
    {
        return Ok((tuple.get_item(0)?, tuple.get_item(1)?));
    }
    let mut items = field.try_iter()?;
    match (items.next().transpose()?, items.next().transpose()?, items.next()) {
        (Some(name), Some(value), None) => Ok((name, value)),
        _ => Err(PyValueError::new_err("a header must be a pair of name and value")),
    }
}

fn push(head: &mut ResponseHead, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let pushed = match (name.cast::<PyBytes>(), value.cast::<PyBytes>()) {
        (Ok(name), Ok(value)) => head.push(name.as_bytes(), value.as_bytes()),
        _ => head.push(&bytes_like(name)?, &bytes_like(value)?),
    };
    pushed.map_err(|error: FieldError| PyRuntimeError::new_err(error.to_string()))
}

/// The bytes of a `bytes`, `bytearray` or `memoryview`; uvicorn takes them all.
fn bytes_like(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    let py = object.py();
    if object.is_instance_of::<PyString>() || !object.hasattr(intern!(py, "__len__"))? {
        let name = object.get_type().name()?;
        return Err(PyTypeError::new_err(format!("a bytes-like object is required, not '{name}'")));
    }
    let view = py.get_type::<pyo3::types::PyMemoryView>().call1((object,))?;
    let bytes = view.call_method0(intern!(py, "tobytes"))?;
    Ok(bytes.cast::<PyBytes>()?.as_bytes().to_vec())
}

/// Content and whether more follows, of an `http.response.body` message.
pub(crate) fn response_body(
    message: &Bound<'_, PyAny>,
    handoff: &Arc<HandOff>,
) -> PyResult<(ResponseBody, bool)> {
    let py = message.py();
    let body = match optional(message, intern!(py, "body"))? {
        None => ResponseBody::Empty,
        Some(body) => match body.cast_exact::<PyBytes>() {
            Ok(bytes) if bytes.as_bytes().len() >= BORROW_BYTES => {
                let bytes = PyBackedBytes::from(bytes.clone());
                ResponseBody::Shared(borrowed(Borrowed::Bytes(bytes), handoff))
            }
            Ok(bytes) => ResponseBody::copied(bytes.as_bytes()),
            Err(_) => ResponseBody::copied(&bytes_like(&body)?),
        },
    };
    Ok((body, more_follows(message)?))
}

/// The content of a bytes-like object: a large one is borrowed.
fn binary(object: &Bound<'_, PyAny>, handoff: &Arc<HandOff>) -> PyResult<Bytes> {
    match object.cast_exact::<PyBytes>() {
        Ok(bytes) if bytes.as_bytes().len() >= BORROW_BYTES => {
            Ok(borrowed(Borrowed::Bytes(PyBackedBytes::from(bytes.clone())), handoff))
        }
        Ok(bytes) => Ok(Bytes::copy_from_slice(bytes.as_bytes())),
        Err(_) => Ok(bytes_like(object)?.into()),
    }
}

/// The UTF-8 of a string: a large one is borrowed.
fn text(object: &Bound<'_, PyString>, handoff: &Arc<HandOff>) -> PyResult<Bytes> {
    let bytes = object.to_str()?.as_bytes();
    if bytes.len() < BORROW_BYTES {
        return Ok(Bytes::copy_from_slice(bytes));
    }
    Ok(borrowed(Borrowed::Text(PyBackedStr::try_from(object.clone())?), handoff))
}

fn borrowed(object: Borrowed, handoff: &Arc<HandOff>) -> Bytes {
    Bytes::from_owner(BorrowedContent::new(object, Arc::clone(handoff)))
}

/// The message in a `websocket.send` event; one without content is none, as under uvicorn.
pub(super) fn websocket_message(
    message: &Bound<'_, PyAny>,
    handoff: &Arc<HandOff>,
) -> PyResult<Option<Outgoing>> {
    let py = message.py();
    let present = |key| optional(message, key).map(|value| value.filter(|value| !value.is_none()));
    if let Some(bytes) = present(intern!(py, "bytes"))? {
        return Ok(Some(Outgoing::Binary(binary(&bytes, handoff)?)));
    }
    let Some(content) = present(intern!(py, "text"))? else { return Ok(None) };
    let Ok(content) = content.cast::<PyString>() else {
        let name = content.get_type().name()?;
        return Err(PyAttributeError::new_err(format!("'{name}' object has no attribute 'encode'")));
    };
    Ok(Some(Outgoing::Text(text(content, handoff)?)))
}

/// The longest reason that a close frame holds (RFC 6455 §5.5).
const REASON_BYTES: usize = 123;

/// Code and reason in a `websocket.close` event.
pub(super) fn websocket_close(message: &Bound<'_, PyAny>) -> PyResult<(u16, String)> {
    let py = message.py();
    let code = match optional(message, intern!(py, "code"))?.filter(|code| !code.is_none()) {
        Some(code) => code.extract().ok().filter(|code| is_close_code(*code)),
        None => Some(1000),
    };
    let code = code.ok_or_else(|| PyRuntimeError::new_err("invalid status code"))?;
    let reason = match optional(message, intern!(py, "reason"))? {
        Some(reason) if reason.is_truthy()? => reason.extract()?,
        _ => String::new(),
    };
    if reason.len() > REASON_BYTES {
        return Err(PyRuntimeError::new_err("control frame too long"));
    }
    Ok((code, reason))
}
