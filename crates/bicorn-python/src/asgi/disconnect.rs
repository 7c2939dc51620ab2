//! The error that `send()` raises once the client is gone (ASGI HTTP 2.4, "Disconnected Client"; WebSocket 2.4,
//! "Send"), and what an application makes of it.
//!
//! For HTTP only if the application asked for it with `--asgi-spec 2.5`: otherwise such a `send` does nothing, as
//! under uvicorn.

use pyo3::create_exception;
use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

create_exception!(
    bicorn._bicorn,
    ClientDisconnected,
    PyOSError,
    "Raised by `send()` once the client is gone. An app may let it escape: it is not an error of the app."
);

/// How deep in groups and causes the error is looked for (arbitrary: deeper than frameworks wrap it).
const DEPTH: usize = 16;

/// The error of a `send()` to nobody.
pub(crate) fn disconnected() -> PyErr {
    ClientDisconnected::new_err(())
}

/// Whether an error that ended an application says no more than that the client is gone: it is
/// [`ClientDisconnected`], was raised from it, or is a group of nothing else.
///
/// Starlette's `ClientDisconnect` is raised while that is handled, and not from it. In any other error such a
/// context is an accident, and what is wrong is the error itself.
pub(crate) fn is_disconnect(error: &Bound<'_, PyAny>) -> PyResult<bool> {
    is_disconnect_within(error, DEPTH)
}

fn is_disconnect_within(error: &Bound<'_, PyAny>, depth: usize) -> PyResult<bool> {
    let py = error.py();
    if error.is_instance_of::<ClientDisconnected>() {
        return Ok(true);
    }
    if depth == 0 {
        return Ok(false);
    }
    // BaseExceptionGroup, of Python 3.11 or of the exceptiongroup package.
    if let Some(members) = error.getattr_opt(intern!(py, "exceptions"))?
        && let Ok(members) = members.cast::<PyTuple>()
    {
        for member in members {
            if !is_disconnect_within(&member, depth - 1)? {
                return Ok(false);
            }
        }
        return Ok(!members.is_empty());
    }
    let mut origin = error.getattr(intern!(py, "__cause__"))?;
    if origin.is_none() && error.get_type().name()? == "ClientDisconnect" {
        origin = error.getattr(intern!(py, "__context__"))?;
    }
    if origin.is_none() { Ok(false) } else { is_disconnect_within(&origin, depth - 1) }
}
