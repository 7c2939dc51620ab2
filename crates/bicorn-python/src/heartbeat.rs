//! `Heartbeat`: a sign of life that needs no interpreter.
//!
//! A supervisor pings a worker over a pipe; a thread that never attaches answers. What it says is that the process runs,
//! not that its Python is idle: a worker that works on one long request is well.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::RawFd;
use std::thread;

use pyo3::prelude::*;

/// Pings that are answered at once (arbitrary: a supervisor sends one a second).
const PINGS: usize = 64;

/// Echoes bytes until the other side is gone.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct Heartbeat;

#[pymethods]
impl Heartbeat {
    /// Start to answer on a duplicate of the descriptor of a stream socket that blocks.
    ///
    /// # Errors
    /// `OSError` when the descriptor cannot be duplicated, or no thread be started.
    #[new]
    fn new(fd: RawFd) -> PyResult<Self> {
        let stream = crate::ffi::duplicate(fd)?;
        thread::Builder::new().name("bicorn-heartbeat".to_owned()).spawn(move || echo(stream))?;
        Ok(Self)
    }
}

fn echo(mut stream: File) {
    let mut pings = [0; PINGS];
    loop {
        match stream.read(&mut pings) {
            Ok(0) => return,
            Ok(count) => {
                if stream.write_all(&pings[..count]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
