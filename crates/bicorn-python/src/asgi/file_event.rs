//! Files in the application's events (ASGI "Extensions": "Path Send", "Zero Copy Send").
//!
//! Files are opened here, on the loop thread: `send()` can then raise what `open()` says before anything has left,
//! and 2 to 5 µs for a file whose directory entry is cached are a tenth of what a helper thread's round trip takes.
//! Python is released meanwhile. Nothing is read here.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;

use bicorn_http::{FileRange, ResponseBody};
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::event::{more_follows, optional, required};

/// The file of an `http.response.pathsend` message, whole.
///
/// The path should be absolute; a relative one is Python's own: from the current directory. Starlette sends what its
/// `FileResponse` was given.
pub(super) fn path_send(message: &Bound<'_, PyAny>) -> PyResult<ResponseBody> {
    let py = message.py();
    let path = required(message, intern!(py, "path"))?;
    let name: PathBuf = path.extract()?;
    // Not to block on a FIFO: a regular file does not know the flag.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = py.detach(|| {
        let file = File::from(open(&name, flags, Mode::empty())?);
        let length = regular_length(&file)?;
        Ok((file, length))
    });
    let (file, length) = opened.map_err(|error: io::Error| os_error(py, &error, Some(&path)))?;
    Ok(ResponseBody::File(FileRange { file: Arc::new(file), offset: 0, length }))
}

/// The part of a file that an `http.response.zerocopysend` message names, and whether more follows.
///
/// The descriptor is duplicated: the application may close its own when `send()` has returned. Without an offset
/// the part begins at the file's position, which then moves behind it, as with `os.sendfile`.
pub(super) fn zero_copy_send(message: &Bound<'_, PyAny>) -> PyResult<(ResponseBody, bool)> {
    let py = message.py();
    let object = required(message, intern!(py, "file"))?;
    let more = more_follows(message)?;
    let offset = whole_number(message, intern!(py, "offset"))?;
    let count = whole_number(message, intern!(py, "count"))?;
    let fd: RawFd = match object.cast::<PyInt>() {
        Ok(fd) => fd.extract()?,
        Err(_) => object.call_method0(intern!(py, "fileno"))?.extract()?,
    };
    let opened = crate::ffi::duplicate(fd).and_then(|file| {
        let length = regular_length(&file)?;
        Ok((file, length))
    });
    let (file, length) = opened.map_err(|error| os_error(py, &error, None))?;
    let position = match offset {
        Some(offset) => Position::Given(offset),
        None => Position::of(&object, &file)?,
    };
    let offset = position.offset();
    let length = length.saturating_sub(offset).min(count.unwrap_or(u64::MAX));
    position.move_by(&object, &file, length)?;
    Ok((ResponseBody::File(FileRange { file: Arc::new(file), offset, length }), more))
}

/// Where a part begins, and whose position that is.
enum Position {
    Given(u64),
    /// What the object's `tell()` said, which is not the descriptor's position once a buffer was filled.
    Object(u64),
    Descriptor(u64),
}

impl Position {
    fn of(object: &Bound<'_, PyAny>, mut file: &File) -> PyResult<Self> {
        let py = object.py();
        if let Some(tell) = object.getattr_opt(intern!(py, "tell"))? {
            let told = tell.call0()?;
            if let Ok(position) = told.extract() {
                return Ok(Self::Object(position));
            }
            // A coroutine of an asynchronous file, which nobody will await.
            if let Some(close) = told.getattr_opt(intern!(py, "close"))? {
                close.call0()?;
            }
        }
        let position = file.stream_position().map_err(|error| os_error(py, &error, None))?;
        Ok(Self::Descriptor(position))
    }

    fn offset(&self) -> u64 {
        match self {
            Self::Given(offset) | Self::Object(offset) | Self::Descriptor(offset) => *offset,
        }
    }

    fn move_by(&self, object: &Bound<'_, PyAny>, mut file: &File, length: u64) -> PyResult<()> {
        let py = object.py();
        match self {
            Self::Given(_) => {}
            Self::Object(offset) => {
                object.call_method1(intern!(py, "seek"), (offset + length,))?;
            }
            Self::Descriptor(offset) => {
                // The duplicate shares its position with the application's descriptor.
                file.seek(SeekFrom::Start(offset + length)).map_err(|error| os_error(py, &error, None))?;
            }
        }
        Ok(())
    }
}

/// An optional number of bytes.
fn whole_number(message: &Bound<'_, PyAny>, key: &Bound<'_, PyString>) -> PyResult<Option<u64>> {
    let Some(value) = optional(message, key)?.filter(|value| !value.is_none()) else { return Ok(None) };
    let Ok(number) = value.cast::<PyInt>() else {
        let kind = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{key} must be an int, not '{kind}'")));
    };
    match number.extract::<i64>() {
        // Beyond i64 no file has bytes.
        Ok(number) => u64::try_from(number)
            .map(Some)
            .map_err(|_| PyValueError::new_err(format!("{key} must not be negative"))),
        Err(_) => Err(PyValueError::new_err(format!("{key} is too large"))),
    }
}

/// The length of a regular file. Nothing else can be read at an offset, or tells how much there is to send.
fn regular_length(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else if metadata.is_dir() {
        Err(Errno::ISDIR.into())
    } else {
        Err(Errno::INVAL.into())
    }
}

/// The `OSError` that Python's own `open` would raise.
fn os_error(py: Python<'_>, error: &io::Error, path: Option<&Bound<'_, PyAny>>) -> PyErr {
    let Some(number) = error.raw_os_error() else { return PyOSError::new_err(error.to_string()) };
    let instance = py.import("os").and_then(|os| {
        let text = os.call_method1("strerror", (number,))?;
        py.get_type::<PyOSError>().call1((number, text, path))
    });
    instance.map_or_else(|failure| failure, PyErr::from_value)
}
