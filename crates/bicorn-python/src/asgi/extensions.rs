//! The extensions that an HTTP scope announces (ASGI "Extensions").
//!
//! A scope names what its own version and transport honour and nothing else: applications ask for a key and then
//! rely on it. Files are sent over any transport; an interim response and trailers need HTTP/1.1 or later.

use bicorn_http::Version;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Honoured in every version.
const ALWAYS: [&str; 2] = ["http.response.pathsend", "http.response.zerocopysend"];

/// Honoured from HTTP/1.1 on (RFC 9110 §15.2, RFC 9112 §7.1).
const SINCE_1_1: [&str; 2] = ["http.response.early_hint", "http.response.trailers"];

/// Builds the `extensions` of scopes on the loop thread.
pub(super) struct Extensions {
    /// What HTTP/1.0 has first.
    names: Vec<Py<PyString>>,
}

impl Extensions {
    pub(super) fn new(py: Python<'_>) -> Self {
        let names = ALWAYS.iter().chain(&SINCE_1_1);
        Self { names: names.map(|name| PyString::intern(py, name).unbind()).collect() }
    }

    /// What a scope of this version announces: dicts of its own, because applications write into them.
    pub(super) fn build<'py>(&self, py: Python<'py>, version: Version) -> PyResult<Bound<'py, PyDict>> {
        let count = if version == Version::Http10 { ALWAYS.len() } else { self.names.len() };
        let extensions = PyDict::new(py);
        for name in &self.names[..count] {
            extensions.set_item(name, PyDict::new(py))?;
        }
        Ok(extensions)
    }
}
