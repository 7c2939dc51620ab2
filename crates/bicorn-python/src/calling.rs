//! Exchanges begin: from what an I/O thread handed over to a coroutine of the application, in a task of the loop or in an
//! endpoint thread. And those that began in an endpoint thread go on here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bicorn_http::Exchange;
use bicorn_http::websocket::seam::Handshake;
use bicorn_server::ConnectionInfo;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::asgi::exchange::AsgiExchange;
use crate::asgi::http::HttpExchange;
use crate::asgi::scope::Scope;
use crate::asgi::websocket::WebSocketExchange;
use crate::endpoints::Moved;
use crate::handoff::{Arrival, Incoming, lock};
use crate::logging::AccessFacts;
use crate::loop_thread::LoopThread;

impl LoopThread {
    /// Begin an exchange as a task of the loop.
    pub(crate) fn start(self: &Arc<Self>, py: Python<'_>, arrival: Arrival) -> PyResult<()> {
        let Arrival { incoming, connection, .. } = arrival;
        match incoming {
            Incoming::Http(exchange) => self.start_http(py, exchange, connection),
            Incoming::WebSocket(handshake) => self.start_websocket(py, handshake, &connection),
        }
    }

    fn start_http(
        self: &Arc<Self>,
        py: Python<'_>,
        exchange: Exchange,
        connection: Arc<ConnectionInfo>,
    ) -> PyResult<()> {
        let scope = lock(&self.scopes).build(py, &exchange.head, &connection)?;
        let Some((exchange, coroutine)) = self.prepare(scope, exchange, connection)? else { return Ok(()) };
        self.spawn(py, &AsgiExchange::Http(exchange.unbind()), &coroutine)
    }

    /// A WebSocket is served however many connections there are, as under uvicorn.
    fn start_websocket(
        self: &Arc<Self>,
        py: Python<'_>,
        handshake: Handshake,
        connection: &ConnectionInfo,
    ) -> PyResult<()> {
        let Handshake { head, subprotocols, socket } = handshake;
        let scope = lock(&self.scopes).build_websocket(py, &head, &subprotocols, connection)?;
        let exchange = WebSocketExchange::new(Arc::clone(self), socket, scope.clone().unbind());
        let exchange = AsgiExchange::WebSocket(Py::new(py, exchange)?);
        match self.coroutine(exchange.object(py), &scope)? {
            Some(coroutine) => self.spawn(py, &exchange, &coroutine),
            None => Ok(()),
        }
    }

    /// The two sides of a request: the exchange, and the coroutine that will answer it. `None` if it has been answered
    /// because there are too many, or nobody is there to answer.
    pub(crate) fn prepare<'py>(
        self: &Arc<Self>,
        scope: Scope<'py>,
        exchange: Exchange,
        connection: Arc<ConnectionInfo>,
    ) -> PyResult<Option<(Bound<'py, HttpExchange>, Bound<'py, PyAny>)>> {
        let py = scope.dict.py();
        let facts = self.logs().wants_access(py).then(|| AccessFacts {
            scope: scope.dict.clone().unbind(),
            path: scope.path.unbind(),
            client: scope.client.unbind(),
        });
        let exchange = Bound::new(py, HttpExchange::new(Arc::clone(self), exchange, connection, facts))?;
        if self.is_overloaded() {
            self.logs().warn(py, "Exceeded concurrency limit.")?;
            exchange.get().answer(py, 503, b"Service Unavailable")?;
            return Ok(None);
        }
        Ok(self.coroutine(exchange.as_any(), &scope.dict)?.map(|coroutine| (exchange, coroutine)))
    }

    /// The coroutine that runs the application for an exchange, which counts as running from now on.
    fn coroutine<'py>(
        &self,
        exchange: &Bound<'py, PyAny>,
        scope: &Bound<'py, PyDict>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = exchange.py();
        let Some((app, run_asgi)) =
            lock(&self.links).as_ref().map(|links| (links.app.clone_ref(py), links.run_asgi.clone_ref(py)))
        else {
            return Ok(None);
        };
        let receive = exchange.getattr(intern!(py, "receive"))?;
        let send = exchange.getattr(intern!(py, "send"))?;
        let coroutine = run_asgi.bind(py).call1((app, scope, receive, send, exchange))?;
        self.tasks.fetch_add(1, Ordering::Relaxed);
        Ok(Some(coroutine))
    }

    /// Run a coroutine in a task of its own.
    fn spawn(&self, py: Python<'_>, exchange: &AsgiExchange, coroutine: &Bound<'_, PyAny>) -> PyResult<()> {
        let task = self.event_loop()?.spawn(py, coroutine, self.limits.reset_contextvars)?;
        self.remember(py, exchange, task);
        Ok(())
    }

    /// Keep the task of an application that has not ended in its first step.
    fn remember(&self, py: Python<'_>, exchange: &AsgiExchange, task: Bound<'_, PyAny>) {
        if !exchange.is_app_done() {
            let key = exchange.register(py);
            if let Some(running) = lock(&self.running).get_mut(key) {
                running.task = Some(task.unbind());
            }
        }
    }

    /// Take what endpoint threads have for the loop.
    pub(crate) fn take_from_endpoints(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let news = self.handoff().take_from_endpoints();
        for finished in news.finished {
            finished.settle(py)?;
        }
        for moved in news.moved {
            self.resume(py, moved)?;
        }
        if !news.turned_back.is_empty() {
            let on_other_app = lock(&self.links).as_ref().map(|links| links.on_other_app.clone_ref(py));
            for arrival in news.turned_back {
                self.start(py, arrival)?;
            }
            if let Some(on_other_app) = on_other_app {
                on_other_app.bind(py).call0()?;
            }
        }
        Ok(())
    }

    /// Go on with an exchange that began in an endpoint thread: in a task of the loop, in the same context.
    fn resume(&self, py: Python<'_>, moved: Moved) -> PyResult<()> {
        let Moved { exchange, coroutine, context, yielded } = moved;
        let (coroutine, context) = (coroutine.bind(py), context.bind(py));
        let event_loop = self.event_loop()?;
        let task = if event_loop.enters_contexts() && yielded.is_none(py) {
            event_loop.spawn_in(py, coroutine, context)?
        } else {
            let Some(resume) = lock(&self.links).as_ref().map(|links| links.resume.clone_ref(py)) else {
                return Ok(());
            };
            let resumed = resume.bind(py).call1((coroutine, context, yielded))?;
            event_loop.spawn(py, &resumed, false)?
        };
        self.remember(py, &AsgiExchange::Http(exchange), task);
        Ok(())
    }

    /// Answer an exchange that will not be begun.
    pub(crate) fn refuse(self: &Arc<Self>, py: Python<'_>, arrival: Arrival) -> PyResult<()> {
        let Arrival { incoming, connection, .. } = arrival;
        if let Incoming::Http(exchange) = incoming {
            let exchange = HttpExchange::new(Arc::clone(self), exchange, connection, None);
            exchange.answer(py, 500, b"Internal Server Error")?;
        }
        Ok(())
    }

    fn is_overloaded(&self) -> bool {
        self.limits.concurrency.is_some_and(|limit| {
            self.tasks() >= limit || self.with_server(|server| server.connections()).unwrap_or(0) >= limit
        })
    }

    /// Cancel every running application; returns how many there were. What an endpoint thread is busy with cannot be
    /// cancelled: it is answered in the application's place, and the thread is left to itself.
    pub(crate) fn cancel_tasks(self: &Arc<Self>, py: Python<'_>, message: &str) -> PyResult<usize> {
        let abandoned = self.endpoint_threads().map_or(Ok(0), |threads| threads.abandon(py, self))?;
        // Those that were on their way to the loop have a task then.
        self.take_from_endpoints(py)?;
        let tasks: Vec<_> = lock(&self.running)
            .iter()
            .filter_map(|(_, running)| running.task.as_ref().map(|task| task.clone_ref(py)))
            .collect();
        for task in &tasks {
            let keywords = PyDict::new(py);
            keywords.set_item("msg", message)?;
            task.bind(py).call_method("cancel", (), Some(&keywords))?;
        }
        Ok(tasks.len() + abandoned)
    }
}
