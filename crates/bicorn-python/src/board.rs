//! `Board`: the numbers that workers share, for the supervisor that makes them and for each worker that writes its own.
//!
//! What stands on it is `bicorn_server::board`'s; here is the memory, and what Python may say and ask.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use bicorn_server::board::{self, Cause, Protocol, Slot, State};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;

use crate::ffi::{self, SharedWords};

/// Memory with a slot for each worker. Other processes attach to it by its descriptor.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct Board {
    board: board::Board,
    file: OwnedFd,
}

#[pymethods]
impl Board {
    #[new]
    fn new(py: Python<'_>, slots: usize) -> PyResult<Self> {
        if !(1..=MAX_SLOTS).contains(&slots) {
            return Err(PyValueError::new_err(format!("a board has 1 to {MAX_SLOTS} slots: {slots}")));
        }
        let bytes = board::Board::words(slots) * size_of::<u64>();
        let file = shared_file(py, bytes as u64)?;
        let board = board::Board::create(Arc::new(SharedWords::map(&file)?))?;
        Ok(Self { board, file })
    }

    /// The board that another process has made; `fd` stays the caller's.
    #[staticmethod]
    fn attach(fd: RawFd) -> PyResult<Self> {
        let file = OwnedFd::from(ffi::duplicate(fd)?);
        let board = board::Board::attach(Arc::new(SharedWords::map(&file)?))?;
        Ok(Self { board, file })
    }

    /// What other processes attach to; they must inherit it.
    fn fileno(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    #[getter]
    fn slots(&self) -> usize {
        self.board.slots()
    }

    /// Nobody has the slot any more.
    fn free(&self, slot: usize) -> PyResult<()> {
        self.slot(slot)?.set_state(State::Free);
        Ok(())
    }

    fn set_state(&self, slot: usize, name: &str) -> PyResult<()> {
        let state = State::ALL.into_iter().find(|state| state.name() == name);
        let state = state.ok_or_else(|| PyValueError::new_err(format!("no such state: {name}")))?;
        self.slot(slot)?.set_state(state);
        Ok(())
    }

    fn state(&self, slot: usize) -> PyResult<&'static str> {
        Ok(self.slot(slot)?.state().name())
    }

    #[getter]
    fn is_draining(&self) -> bool {
        self.board.is_draining()
    }

    /// Say whether the whole service is about to end.
    fn set_draining(&self, is_draining: bool) {
        self.board.set_draining(is_draining);
    }

    /// Note that a worker is replaced.
    fn count_restart(&self, cause: &str) -> PyResult<()> {
        self.board.count_restart(cause_named(cause)?);
        Ok(())
    }

    /// How often a worker was replaced for this reason.
    fn restarts(&self, cause: &str) -> PyResult<u64> {
        Ok(self.board.restarts(cause_named(cause)?))
    }

    /// Open connections of a worker, by what is spoken on them.
    fn connections(&self, slot: usize) -> PyResult<BTreeMap<&'static str, u64>> {
        let slot = self.slot(slot)?;
        Ok(Protocol::ALL.into_iter().map(|protocol| (protocol.name(), slot.connections(protocol))).collect())
    }

    /// Connections that workers with this slot have accepted.
    fn accepted(&self, slot: usize) -> PyResult<u64> {
        Ok(self.slot(slot)?.accepted())
    }

    /// Seconds for which a worker's loop has owed an answer.
    fn stalled_for(&self, slot: usize) -> PyResult<f64> {
        Ok(self.slot(slot)?.loop_stalled_for().as_secs_f64())
    }

    /// How often a worker's loop has begun to work.
    fn turn(&self, slot: usize) -> PyResult<u64> {
        Ok(self.slot(slot)?.turn())
    }

    /// Responses that workers with this slot have completed.
    fn total_requests(&self, slot: usize) -> PyResult<u64> {
        Ok(self.slot(slot)?.responses())
    }
}

/// More workers than any machine has use for; it bounds the memory.
const MAX_SLOTS: usize = 4096;

impl Board {
    /// What stands on it.
    pub(crate) fn board(&self) -> &board::Board {
        &self.board
    }

    /// A slot that the caller says there is.
    pub(crate) fn slot(&self, index: usize) -> PyResult<Slot> {
        let slots = self.board.slots();
        self.board
            .slot(index)
            .ok_or_else(|| PyIndexError::new_err(format!("a board with {slots} slots has no slot {index}")))
    }
}

fn cause_named(name: &str) -> PyResult<Cause> {
    let cause = Cause::ALL.into_iter().find(|cause| cause.name() == name);
    cause.ok_or_else(|| PyValueError::new_err(format!("no such cause: {name}")))
}

/// A file of so many zeros that exists in memory only, and whose length nobody can change.
#[cfg(target_os = "linux")]
fn shared_file(_py: Python<'_>, bytes: u64) -> PyResult<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    let create = || {
        let file = memfd_create("bicorn-board", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, bytes)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok::<_, std::io::Error>(file)
    };
    Ok(create()?)
}

/// A file of so many zeros without a name.
#[cfg(not(target_os = "linux"))]
fn shared_file(py: Python<'_>, bytes: u64) -> PyResult<OwnedFd> {
    let file = py.import("tempfile")?.call_method0("TemporaryFile")?;
    let own = ffi::duplicate(file.call_method0("fileno")?.extract()?)?;
    file.call_method0("close")?;
    own.set_len(bytes)?;
    Ok(own.into())
}
