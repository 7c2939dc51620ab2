//! An exchange of either kind, as whoever waits for it or counts it needs to know it.

use pyo3::prelude::*;

use super::http::HttpExchange;
use super::websocket::WebSocketExchange;
use crate::awaitable::Purpose;

/// What an application is called for.
pub(crate) enum AsgiExchange {
    Http(Py<HttpExchange>),
    WebSocket(Py<WebSocketExchange>),
}

impl AsgiExchange {
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Http(exchange) => Self::Http(exchange.clone_ref(py)),
            Self::WebSocket(exchange) => Self::WebSocket(exchange.clone_ref(py)),
        }
    }

    /// The object that Python sees.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        match self {
            Self::Http(exchange) => exchange.bind(py).as_any(),
            Self::WebSocket(exchange) => exchange.bind(py).as_any(),
        }
    }

    /// Give the exchange a slot among the running ones.
    pub(crate) fn register(&self, py: Python<'_>) -> usize {
        match self {
            Self::Http(exchange) => HttpExchange::register(exchange.bind(py)),
            Self::WebSocket(exchange) => WebSocketExchange::register(exchange.bind(py)),
        }
    }

    /// Whether the application's coroutine has ended.
    pub(crate) fn is_app_done(&self) -> bool {
        match self {
            Self::Http(exchange) => exchange.get().is_app_done(),
            Self::WebSocket(exchange) => exchange.get().is_app_done(),
        }
    }

    /// Something changed that a waiting application may want to know.
    pub(crate) fn resume(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Http(exchange) => HttpExchange::resume(exchange.bind(py)),
            Self::WebSocket(exchange) => WebSocketExchange::resume(exchange.bind(py)),
        }
    }

    /// The result of a `receive` or `send` that waits, if there is one now.
    pub(crate) fn try_finish(&self, py: Python<'_>, purpose: Purpose) -> PyResult<Option<Py<PyAny>>> {
        match self {
            Self::Http(exchange) => HttpExchange::try_finish(exchange.bind(py), purpose),
            Self::WebSocket(exchange) => exchange.get().try_finish(py, purpose),
        }
    }

    /// A future that is done when [`AsgiExchange::try_finish`] is worth another call.
    pub(crate) fn wait<'py>(&self, py: Python<'py>, purpose: Purpose) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Http(exchange) => HttpExchange::wait(exchange.bind(py), purpose),
            Self::WebSocket(exchange) => WebSocketExchange::wait(exchange.bind(py), purpose),
        }
    }
}
