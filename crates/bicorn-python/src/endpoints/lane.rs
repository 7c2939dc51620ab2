//! The lane: which exchanges go to an endpoint thread, and how one is driven there.
//!
//! What is proven of an application's routes comes from `bicorn.sync_endpoints`; here it is a table that I/O threads ask,
//! and a list of guards: things that must stay as long as they were when the proof was made.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bicorn_http::RequestHead;
use bicorn_http::routes::{Part, Pattern, Route, RouteTable, below_root};
use pyo3::exceptions::{PyStopIteration, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::driver;
use super::roster::Place;
use super::stats::CallStats;
use super::thread::EndpointThread;
use crate::asgi::http::HttpExchange;
use crate::asgi::percent::percent_decode;
use crate::handoff::{Arrival, Incoming, lock};

/// The routes of an application, and which of them are in the lane.
pub(crate) struct Lanes {
    table: RouteTable,
    /// For each route of the table: what is known of its endpoint, if it is in the lane.
    endpoints: Vec<Option<Arc<CallStats>>>,
    /// The server's root path, which stands in front of every path.
    server_root: String,
    /// The root path in the scope when routes are matched.
    root_path: String,
}

/// A route as Python gives it: methods, parts, the endpoint's name, and whether it is in the lane.
#[derive(FromPyObject)]
pub(crate) struct GivenRoute(Option<Vec<String>>, Option<Vec<(String, String)>>, String, bool);

impl Lanes {
    /// Lanes for these routes; `root_path` is the application's own, which replaces the server's in the scope.
    ///
    /// # Errors
    /// A route has a part of an unknown kind.
    pub(crate) fn new(
        routes: Vec<GivenRoute>,
        server_root: &str,
        root_path: Option<String>,
    ) -> PyResult<Self> {
        let mut table = Vec::with_capacity(routes.len());
        let mut endpoints = Vec::with_capacity(routes.len());
        for GivenRoute(methods, parts, name, is_proven) in routes {
            let pattern =
                parts.map(|parts| parts.into_iter().map(part).collect::<PyResult<_>>()).transpose()?;
            table.push(Route { methods, pattern: pattern.map(Pattern::new) });
            endpoints.push(is_proven.then(|| CallStats::new(&name)));
        }
        Ok(Self {
            table: RouteTable::new(table),
            endpoints,
            root_path: root_path.unwrap_or_else(|| server_root.to_owned()),
            server_root: server_root.to_owned(),
        })
    }

    /// The endpoint that a request will reach, if its route is in the lane.
    fn endpoint(&self, head: &RequestHead) -> Option<&Arc<CallStats>> {
        let decoded = percent_decode(head.path());
        let path = std::str::from_utf8(&decoded).ok()?;
        let index = if self.server_root.is_empty() {
            self.table.find(head.method(), below_root(path, &self.root_path))
        } else {
            let path = format!("{}{path}", self.server_root);
            self.table.find(head.method(), below_root(&path, &self.root_path))
        };
        self.endpoints.get(index?)?.as_ref()
    }
}

/// A part of a pattern, as `bicorn.sync_endpoints` names it.
fn part((kind, text): (String, String)) -> PyResult<Part> {
    Ok(match kind.as_str() {
        "literal" => Part::Literal(text),
        "str" => Part::Segment,
        "int" => Part::Integer,
        "float" => Part::Float,
        "uuid" => Part::Uuid,
        "path" => Part::Rest,
        _ => return Err(PyValueError::new_err(format!("unknown kind of part: {kind}"))),
    })
}

/// Something that must stay as it is.
pub(crate) struct Guard {
    object: Py<PyAny>,
    kind: GuardKind,
}

enum GuardKind {
    /// Its length.
    Length(usize),
    /// Attributes of other objects, each of which must stay the same object: (object, attribute, expected).
    Attributes(Vec<(Py<PyAny>, Py<PyString>, Py<PyAny>)>),
}

impl Guard {
    pub(crate) fn new(py: Python<'_>, object: Py<PyAny>) -> PyResult<Self> {
        let attributes = object.bind(py).getattr_opt(intern!(py, "attributes"))?;
        let kind = match attributes {
            Some(attributes) => GuardKind::Attributes(attributes.extract()?),
            None => GuardKind::Length(object.bind(py).len()?),
        };
        Ok(Self { object, kind })
    }

    fn holds(&self, py: Python<'_>) -> bool {
        match &self.kind {
            GuardKind::Length(length) => self.object.bind(py).len().is_ok_and(|now| now == *length),
            GuardKind::Attributes(attributes) => attributes.iter().all(|(object, name, expected)| {
                object.bind(py).getattr(name.bind(py)).is_ok_and(|value| value.is(expected))
            }),
        }
    }
}

/// The lanes that are open now.
#[derive(Default)]
pub(crate) struct Switch {
    lanes: RwLock<Option<Arc<Lanes>>>,
    /// What must keep its length. Only looked at and dropped while attached, and never looked at under the lock: `len`
    /// may be Python code, and whoever waits for the lock has the interpreter.
    guards: Mutex<Arc<[Guard]>>,
}

impl Switch {
    /// Open lanes as long as the guards keep their length.
    pub(crate) fn open(&self, lanes: Lanes, guards: Vec<Guard>) {
        let before = std::mem::replace(&mut *lock(&self.guards), guards.into());
        *self.lanes.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(lanes));
        drop(before);
    }

    /// Close them: everything goes to the loop.
    pub(crate) fn close(&self) {
        *self.lanes.write().unwrap_or_else(PoisonError::into_inner) = None;
        let before = std::mem::take(&mut *lock(&self.guards));
        drop(before);
    }

    /// The endpoint that a request will reach, if its route is in the lane. On I/O threads.
    pub(crate) fn endpoint(&self, head: &RequestHead) -> Option<Arc<CallStats>> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.as_ref()?.endpoint(head).cloned()
    }

    /// Whether the application is still the one that the proof is about.
    fn holds(&self, py: Python<'_>) -> bool {
        let guards = Arc::clone(&lock(&self.guards));
        guards.iter().all(|guard| guard.holds(py))
    }
}

/// A started exchange on its way to the loop thread.
pub(crate) struct Moved {
    pub(crate) exchange: Py<HttpExchange>,
    pub(crate) coroutine: Py<PyAny>,
    /// The context it was started in.
    pub(crate) context: Py<PyAny>,
    /// What it yielded: `None` from what is bicorn's.
    pub(crate) yielded: Py<PyAny>,
}

/// What a thread works on, as the rest of the server may see it.
pub(super) enum Current {
    /// An exchange that it drives, and the name of its endpoint.
    Exchange(Py<HttpExchange>, Arc<CallStats>),
    /// A function that it calls.
    Function(Py<PyAny>),
}

impl EndpointThread {
    /// Drive an exchange as far as it goes without an event loop.
    pub(super) fn drive(
        &mut self,
        py: Python<'_>,
        place: &Place,
        arrival: Arrival,
        endpoint: &Arc<CallStats>,
    ) -> PyResult<()> {
        let loop_thread = Arc::clone(&self.setup.loop_thread);
        if !loop_thread.switch().holds(py) {
            loop_thread.switch().close();
            loop_thread.handoff().turn_back(arrival);
            loop_thread.handoff().notify();
            return Ok(());
        }
        let Arrival { incoming, connection, .. } = arrival;
        // Only requests are asked of the switch.
        let Incoming::Http(exchange) = incoming else { return Ok(()) };
        let scope = self.scopes.build(py, &exchange.head, &connection)?;
        let Some((exchange, coroutine)) = loop_thread.prepare(scope, exchange, connection)? else {
            return Ok(());
        };
        place.set(Some(Current::Exchange(exchange.clone().unbind(), Arc::clone(endpoint))));
        let token = self.token.bind(py);
        self.setup.tokens.add(token)?;
        let driven = self.step(&coroutine);
        self.has_news_for_loop |= self.setup.tokens.discard(token, loop_thread.handoff())?;
        place.set(None);
        match driven {
            Ok(None) => Ok(()),
            Ok(Some((context, yielded))) => {
                let (exchange, coroutine) = (exchange.unbind(), coroutine.unbind());
                loop_thread.handoff().move_to_loop(Moved { exchange, coroutine, context, yielded });
                self.has_news_for_loop = true;
                Ok(())
            }
            // `run_asgi` lets nothing out: this is a defect, and the exchange must not hang for it.
            Err(error) => exchange.get().fail(py, &error),
        }
    }

    /// The first step of a coroutine, and the only one here: its context and what it yielded, unless it has ended.
    fn step(&self, coroutine: &Bound<'_, PyAny>) -> PyResult<Option<(Py<PyAny>, Py<PyAny>)>> {
        let py = coroutine.py();
        let context = self.setup.context.bind(py).call_method0(intern!(py, "copy"))?;
        let send = coroutine.getattr(intern!(py, "send"))?;
        let was_driving = driver::set_driving(true);
        let result = context.call_method1(intern!(py, "run"), (send, py.None()));
        driver::set_driving(was_driving);
        match result {
            Ok(yielded) => Ok(Some((context.unbind(), yielded.unbind()))),
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
