//! Log records, through Python's logging or, for access lines that it would format in the default way, past
//! it.
//!
//! The default access log costs a record, a formatter and a write for each request: more than the whole rest
//! of a request. While `uvicorn.access` is exactly as bicorn configured it, the same line is formatted here
//! and written in batches. Anything that somebody changed is noticed once a tick, and from then on every
//! record goes through Python.

use std::fs::File;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use bicorn_http::RequestHead;
use bicorn_server::ConnectionInfo;
use bicorn_server::access_log::{AccessLog, AccessRecord};
use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::asgi::percent::percent_decode;
use crate::handoff::lock;

/// How access records are written in this tick.
const UNKNOWN: u8 = 0;
const SILENT: u8 = 1;
const DIRECT: u8 = 2;
const PYTHON: u8 = 3;

/// Lines are handed to the writer once they reach this size, or at the end of the tick.
const BATCH_BYTES: usize = 16 * 1024;

/// What an access record shows of a request. The scope belongs to the application, which may change it:
/// uvicorn logs what it finds there.
pub(crate) struct AccessFacts {
    pub(crate) scope: Py<PyDict>,
    /// The path and the client that the scope began with.
    pub(crate) path: Py<PyAny>,
    pub(crate) client: Py<PyAny>,
}

/// A response that starts, for the access log.
pub(crate) struct Served<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) connection: &'a ConnectionInfo,
    pub(crate) status: u16,
}

/// Where access lines may be written directly, and what must hold for that to be the same as logging.
#[pyclass(frozen, module = "bicorn._bicorn")]
pub(crate) struct AccessLogTarget {
    file: Mutex<Option<File>>,
    use_colors: bool,
    watches: Vec<(Py<PyAny>, Py<PyAny>, Py<PyAny>)>,
    lengths: Vec<(Py<PyList>, usize)>,
}

#[pymethods]
impl AccessLogTarget {
    /// `watches` are (object, attribute, expected): each attribute must stay that very object; `lengths` are
    /// lists that must keep their length. Raises `OSError` when `fd` cannot be duplicated.
    #[new]
    #[pyo3(signature = (*, fd, use_colors, watches, lengths))]
    fn new(
        fd: i32,
        use_colors: bool,
        watches: Vec<(Py<PyAny>, Py<PyAny>, Py<PyAny>)>,
        lengths: Vec<(Py<PyList>, usize)>,
    ) -> PyResult<Self> {
        if fd < 0 {
            return Err(PyValueError::new_err(format!("fd must not be negative: {fd}")));
        }
        let file = crate::ffi::duplicate(fd)?;
        Ok(Self { file: Mutex::new(Some(file)), use_colors, watches, lengths })
    }
}

impl AccessLogTarget {
    fn is_untouched(&self, py: Python<'_>) -> bool {
        let is_same = |(object, name, expected): &(Py<PyAny>, Py<PyAny>, Py<PyAny>)| {
            object
                .bind(py)
                .getattr(name.bind(py).cast::<pyo3::types::PyString>()?)
                .map(|value| value.is(expected))
        };
        self.lengths.iter().all(|(list, length)| list.bind(py).len() == *length)
            && self.watches.iter().all(|watch| is_same(watch).unwrap_or(false))
    }
}

/// The loggers of one server.
pub(crate) struct Logs {
    error: Py<PyAny>,
    access: Py<PyAny>,
    direct: Option<Direct>,
    /// One of the constants above; unknown at the start of each tick.
    mode: AtomicU8,
}

struct Direct {
    target: Py<AccessLogTarget>,
    log: AccessLog,
    batch: Mutex<Vec<u8>>,
}

impl Logs {
    pub(crate) fn new(
        error: Py<PyAny>,
        access: Py<PyAny>,
        target: Option<Bound<'_, AccessLogTarget>>,
    ) -> PyResult<Self> {
        let direct = target.map(|target| {
            let file = lock(&target.get().file).take();
            let file = file.ok_or_else(|| PyValueError::new_err("an AccessLogTarget serves one server"))?;
            let log = AccessLog::new(file, target.get().use_colors)?;
            PyResult::Ok(Direct { target: target.unbind(), log, batch: Mutex::default() })
        });
        Ok(Self { error, access, direct: direct.transpose()?, mode: AtomicU8::new(UNKNOWN) })
    }

    pub(crate) fn error<'py>(&self, py: Python<'py>, arguments: impl PyCallArgs<'py>) -> PyResult<()> {
        self.error.bind(py).call_method1(intern!(py, "error"), arguments)?;
        Ok(())
    }

    pub(crate) fn info<'py>(&self, py: Python<'py>, arguments: impl PyCallArgs<'py>) -> PyResult<()> {
        self.error.bind(py).call_method1(intern!(py, "info"), arguments)?;
        Ok(())
    }

    /// What became of a WebSocket handshake: accepted, or answered with a status.
    pub(crate) fn handshake(
        &self,
        py: Python<'_>,
        scope: &Bound<'_, PyDict>,
        status: Option<u16>,
    ) -> PyResult<()> {
        let client = client_address(scope)?;
        let path = quoted_path(scope)?;
        match status {
            None => self.info(py, (intern!(py, "%s - \"WebSocket %s\" [accepted]"), client, path)),
            // uvicorn spells this one out.
            Some(403) => self.info(py, (intern!(py, "%s - \"WebSocket %s\" 403"), client, path)),
            Some(status) => self.info(py, (intern!(py, "%s - \"WebSocket %s\" %d"), client, path, status)),
        }
    }

    /// A WebSocket handshake was answered with a response, in the words of the library that uvicorn uses.
    pub(crate) fn rejected(&self, py: Python<'_>, status: u16, phrase: &str) -> PyResult<()> {
        self.info(py, (intern!(py, "connection rejected (%d %s)"), status, phrase))
    }

    pub(crate) fn warn(&self, py: Python<'_>, text: &str) -> PyResult<()> {
        self.error.bind(py).call_method1(intern!(py, "warning"), (text,))?;
        Ok(())
    }

    /// An exception that escaped from the application, with its traceback.
    pub(crate) fn exception(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        let keywords = PyDict::new(py);
        keywords.set_item("exc_info", exception)?;
        self.error.bind(py).call_method("error", ("Exception in ASGI application\n",), Some(&keywords))?;
        Ok(())
    }

    /// Whether access records of requests that begin now may have to be made.
    pub(crate) fn wants_access(&self, py: Python<'_>) -> bool {
        self.mode(py) != SILENT
    }

    fn mode(&self, py: Python<'_>) -> u8 {
        match self.mode.load(Ordering::Relaxed) {
            UNKNOWN => {
                let mode = self.find_mode(py);
                self.mode.store(mode, Ordering::Relaxed);
                mode
            }
            mode => mode,
        }
    }

    fn find_mode(&self, py: Python<'_>) -> u8 {
        if self.direct.as_ref().is_some_and(|direct| direct.target.get().is_untouched(py)) {
            return DIRECT;
        }
        // uvicorn makes no records when nobody handles them, and logging drops those below the level.
        let asks = |name, arguments| self.access.bind(py).call_method1(name, arguments)?.is_truthy();
        let is_heard = || {
            let has_handlers = self.access.bind(py).call_method0(intern!(py, "hasHandlers"))?.is_truthy()?;
            PyResult::Ok(has_handlers && asks(intern!(py, "isEnabledFor"), (INFO,))?)
        };
        if is_heard().unwrap_or(true) { PYTHON } else { SILENT }
    }

    /// Log that a response starts.
    pub(crate) fn access(
        &self,
        py: Python<'_>,
        served: &Served<'_>,
        facts: Option<AccessFacts>,
    ) -> PyResult<()> {
        let mode = self.mode(py);
        let Some(facts) = facts.filter(|_| mode != SILENT) else { return Ok(()) };
        match &self.direct {
            Some(direct) if mode == DIRECT && facts.is_unchanged(py) && served.is_plain() => {
                direct.record(served, facts.path.bind(py));
                Ok(())
            }
            _ => self.access_through_python(py, &facts, served.status),
        }
    }

    fn access_through_python(&self, py: Python<'_>, facts: &AccessFacts, status: u16) -> PyResult<()> {
        let scope = facts.scope.bind(py);
        let arguments = (
            intern!(py, "%s - \"%s %s HTTP/%s\" %d"),
            client_address(scope)?,
            item(scope, "method")?,
            quoted_path(scope)?,
            item(scope, "http_version")?,
            status,
        );
        self.access.bind(py).call_method1(intern!(py, "info"), arguments)?;
        Ok(())
    }

    /// End of a tick: give the lines to the writer, and look again next time.
    pub(crate) fn flush(&self) {
        self.mode.store(UNKNOWN, Ordering::Relaxed);
        if let Some(direct) = &self.direct {
            let mut batch = lock(&direct.batch);
            if !batch.is_empty() {
                direct.log.submit(&mut batch);
            }
        }
    }

    /// Write what is left.
    pub(crate) fn close(&self) {
        self.flush();
        if let Some(direct) = &self.direct {
            direct.log.close();
        }
    }
}

fn item<'py>(scope: &Bound<'py, PyDict>, key: &'static str) -> PyResult<Bound<'py, PyAny>> {
    scope.get_item(key)?.ok_or_else(|| pyo3::exceptions::PyKeyError::new_err(key))
}

/// `host:port` of the client, empty without one.
fn client_address(scope: &Bound<'_, PyDict>) -> PyResult<String> {
    let client = item(scope, "client")?;
    if !client.is_truthy()? {
        return Ok(String::new());
    }
    let (host, port): (Bound<'_, PyAny>, Bound<'_, PyAny>) = client.extract()?;
    Ok(format!("{host}:{port}"))
}

/// Path and query, as uvicorn's `get_path_with_query_string` quotes them.
fn quoted_path(scope: &Bound<'_, PyDict>) -> PyResult<String> {
    let py = scope.py();
    let quote = py.import(intern!(py, "urllib.parse"))?.getattr(intern!(py, "quote"))?;
    let mut path: String = quote.call1((item(scope, "path")?,))?.extract()?;
    let query = item(scope, "query_string")?;
    if query.is_truthy()? {
        path.push('?');
        path.push_str(&query.call_method1(intern!(py, "decode"), ("ascii",))?.extract::<String>()?);
    }
    Ok(path)
}

impl Served<'_> {
    /// Whether the client's name has nothing that the stream's encoding decides about. Control characters
    /// never reach a log: they are escaped.
    fn is_plain(&self) -> bool {
        self.connection
            .client
            .as_ref()
            .is_none_or(|client| client.host.is_ascii() || client.host.chars().any(char::is_control))
    }
}

/// `logging.INFO`.
const INFO: u8 = 20;

impl AccessFacts {
    /// Whether the application left alone what the record shows.
    fn is_unchanged(&self, py: Python<'_>) -> bool {
        let scope = self.scope.bind(py);
        let is = |key, expected: &Py<PyAny>| {
            scope.get_item(key).ok().flatten().is_some_and(|value| value.is(expected))
        };
        is(intern!(py, "path"), &self.path) && is(intern!(py, "client"), &self.client)
    }
}

impl Direct {
    fn record(&self, served: &Served<'_>, path: &Bound<'_, PyAny>) {
        let Served { head, connection, status } = *served;
        // The scope's path has the root path in front and U+FFFD for invalid UTF-8: quote that, not the raw one.
        let text = path.cast::<pyo3::types::PyString>().ok().and_then(|path| path.to_str().ok());
        let decoded = text.map_or_else(|| percent_decode(head.path()), |text| text.as_bytes().into());
        let record = AccessRecord {
            client: connection.client.as_ref().map(|client| (client.host.as_str(), client.port)),
            method: std::str::from_utf8(head.method()).unwrap_or_default(),
            path: &decoded,
            query: head.query(),
            version: head.version().as_str(),
            status,
        };
        let mut batch = lock(&self.batch);
        self.log.record(&mut batch, &record);
        if batch.len() >= BATCH_BYTES {
            self.log.submit(&mut batch);
        }
    }
}
