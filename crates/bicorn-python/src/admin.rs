//! `AdminListener`: the handle on a management listener.

use std::os::fd::RawFd;
use std::sync::Mutex;

use bicorn_server::Admin;
use pyo3::prelude::*;

use crate::board::Board;
use crate::ffi;
use crate::handoff::lock;

/// Answers whoever operates the service, from the board, on a thread that never attaches.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct AdminListener(Mutex<Option<Admin>>);

#[pymethods]
impl AdminListener {
    /// Answer on duplicates of bound, listening sockets. Servers that start with this board from now on measure what
    /// they do.
    #[new]
    fn new(py: Python<'_>, board: &Bound<'_, Board>, listeners: Vec<RawFd>) -> PyResult<Self> {
        let (board, sockets) = (board.get().board().clone(), ffi::duplicates(listeners)?);
        let admin = py.detach(|| Admin::start(board, sockets))?;
        Ok(Self(Mutex::new(Some(admin))))
    }

    /// End its connections and its thread. May be called twice.
    fn close(&self, py: Python<'_>) {
        let admin = lock(&self.0).take();
        py.detach(|| drop(admin));
    }
}
