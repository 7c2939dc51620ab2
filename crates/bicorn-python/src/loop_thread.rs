//! The event loop's side of the hand-off: batches of exchanges become tasks, answers leave in batches.
//!
//! What takes batches runs on the loop thread, attached; what an exchange asks for comes from endpoint threads, too. Locks
//! are never held while Python code runs, and hardly ever contended. `calling.rs` begins exchanges.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bicorn_http::Mailbox;
use bicorn_server::{Notice, Server, Slot};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use slab::Slab;

use crate::asgi::exchange::AsgiExchange;
use crate::asgi::http::HttpExchange;
use crate::asgi::scope::{ScopeBuilder, ScopeFacts};
use crate::awaitable::Ready;
use crate::endpoints::lane::Switch;
use crate::endpoints::{EndpointThreads, driver};
use crate::event_loop::EventLoop;
use crate::handoff::{HandOff, lock};
use crate::logging::Logs;

/// A batch ends after this many exchanges or this time, whichever comes first; then timers and the
/// application's own sockets get their turn.
const BATCH_EXCHANGES: usize = 64;
const BATCH_TIME: Duration = Duration::from_micros(500);

/// The I/O threads hear of answers after this many exchanges, so that they can write the first answers of a
/// batch while the application works on the others.
const NOTIFY_EXCHANGES: usize = 8;

/// The Python objects that a server works for. Dropped when it closes, which breaks reference cycles.
pub(crate) struct Links {
    /// The ASGI application.
    pub(crate) app: Py<PyAny>,
    /// `bicorn.asgi.run_asgi`: awaits the application and reports how it ended.
    pub(crate) run_asgi: Py<PyAny>,
    /// `bicorn.asgi.resume`: goes on with a coroutine that was begun elsewhere.
    pub(crate) resume: Py<PyAny>,
    /// Called when the application is another one than when its routes were proven.
    pub(crate) on_other_app: Py<PyAny>,
    /// Called when something changed that the program around the server waits for.
    pub(crate) on_change: Py<PyAny>,
}

/// What a loop thread is made of.
pub(crate) struct Parts {
    pub(crate) handoff: Arc<HandOff>,
    pub(crate) slot: Slot,
    pub(crate) links: Links,
    pub(crate) limits: LoopLimits,
    pub(crate) logs: Logs,
    pub(crate) scopes: ScopeFacts,
}

/// An exchange whose application is suspended, or waits for news.
pub(super) struct Running {
    exchange: AsgiExchange,
    pub(super) task: Option<Py<PyAny>>,
}

/// Limits that are enforced where exchanges meet the application.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoopLimits {
    /// More connections or tasks than this are answered with 503.
    pub(crate) concurrency: Option<usize>,
    /// After this many responses the server wants to stop.
    pub(crate) requests: Option<u64>,
    /// Each request runs in an empty context instead of a copy of the loop callback's.
    pub(crate) reset_contextvars: bool,
    /// `send` raises once the client is gone (ASGI HTTP 2.4 and later).
    pub(crate) raises_on_disconnect: bool,
}

/// The state of one server on its loop thread.
pub(crate) struct LoopThread {
    handoff: Arc<HandOff>,
    slot: Slot,
    pub(super) links: Mutex<Option<Links>>,
    pub(super) limits: LoopLimits,
    logs: Logs,
    scope_facts: ScopeFacts,
    /// The loop thread's own.
    pub(super) scopes: Mutex<ScopeBuilder>,
    switch: Arc<Switch>,
    endpoint_threads: Mutex<Option<Arc<EndpointThreads>>>,
    ready: Py<Ready>,
    event_loop: OnceLock<EventLoop>,
    pub(super) running: Mutex<Slab<Running>>,
    /// Exchanges whose head waits for the end of the tick.
    held: Mutex<Vec<Py<HttpExchange>>>,
    /// I/O threads that have commands to hear of.
    touched: Mutex<Vec<Arc<Mailbox>>>,
    /// A batch is being worked on, or a flush is planned: what is sent now will leave with it.
    will_flush: AtomicBool,
    is_draining: AtomicBool,
    pub(super) tasks: AtomicUsize,
    responses: AtomicU64,
    /// Messages of WebSockets that were sent.
    messages: AtomicUsize,
    server: Mutex<Option<Server>>,
}

impl LoopThread {
    pub(crate) fn new(py: Python<'_>, parts: Parts) -> PyResult<Self> {
        let Parts { handoff, slot, links, limits, logs, scopes } = parts;
        Ok(Self {
            handoff,
            slot,
            links: Mutex::new(Some(links)),
            limits,
            logs,
            scopes: Mutex::new(ScopeBuilder::new(py, &scopes)?),
            scope_facts: scopes,
            switch: Arc::default(),
            endpoint_threads: Mutex::default(),
            ready: Py::new(py, Ready)?,
            event_loop: OnceLock::new(),
            running: Mutex::default(),
            held: Mutex::default(),
            touched: Mutex::default(),
            will_flush: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            tasks: AtomicUsize::new(0),
            responses: AtomicU64::new(0),
            messages: AtomicUsize::new(0),
            server: Mutex::new(None),
        })
    }

    /// Remember the loop.
    pub(crate) fn set_loop(&self, event_loop: EventLoop) -> PyResult<()> {
        self.event_loop.set(event_loop).map_err(|_| PyRuntimeError::new_err("the server was started before"))
    }

    pub(crate) fn set_server(&self, server: Server) {
        *lock(&self.server) = Some(server);
    }

    /// Work with the server, if it runs.
    pub(crate) fn with_server<R>(&self, work: impl FnOnce(&mut Server) -> R) -> Option<R> {
        lock(&self.server).as_mut().map(work)
    }

    /// Take everything apart: the server for the caller to close, the rest to be dropped here, attached.
    pub(crate) fn take_apart(&self) -> Option<Server> {
        let server = lock(&self.server).take();
        *lock(&self.links) = None;
        let running = std::mem::take(&mut *lock(&self.running));
        let held = std::mem::take(&mut *lock(&self.held));
        self.switch.close();
        if let Some(event_loop) = self.event_loop.get() {
            event_loop.forget();
        }
        drop((running, held, self.handoff.take_from_endpoints()));
        server
    }

    /// A scope builder for another thread.
    pub(crate) fn new_scopes(&self, py: Python<'_>) -> PyResult<ScopeBuilder> {
        ScopeBuilder::new(py, &self.scope_facts)
    }

    /// Which way exchanges go.
    pub(crate) fn switch(&self) -> &Arc<Switch> {
        &self.switch
    }

    /// From now on there are endpoint threads.
    pub(crate) fn set_endpoint_threads(&self, threads: Arc<EndpointThreads>) {
        *lock(&self.endpoint_threads) = Some(threads);
    }

    pub(crate) fn endpoint_threads(&self) -> Option<Arc<EndpointThreads>> {
        lock(&self.endpoint_threads).clone()
    }

    /// Give them up: for their end. Breaks the cycle between them and this.
    pub(crate) fn take_endpoint_threads(&self) -> Option<Arc<EndpointThreads>> {
        lock(&self.endpoint_threads).take()
    }

    pub(crate) fn handoff(&self) -> &Arc<HandOff> {
        &self.handoff
    }

    /// What others see of this server.
    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The awaitable that is ready.
    pub(crate) fn ready<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.ready.bind(py).clone().into_any()
    }

    /// Whether `send` raises once the client is gone.
    pub(crate) fn raises_on_disconnect(&self) -> bool {
        self.limits.raises_on_disconnect
    }

    pub(crate) fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Relaxed)
    }

    pub(crate) fn responses(&self) -> u64 {
        self.responses.load(Ordering::Relaxed)
    }

    /// From now on the end of the last task is reported.
    pub(crate) fn start_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn event_loop(&self) -> PyResult<&EventLoop> {
        self.event_loop.get().ok_or_else(|| PyRuntimeError::new_err("the server was not started"))
    }

    /// Take a batch from the hand-off. The loop calls this when it was woken, and again while there is work.
    pub(crate) fn drain(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        self.handoff.begin();
        self.will_flush.store(true, Ordering::Relaxed);
        let worked = self.work(py);
        self.handoff.unblock();
        let flushed = self.flush(py);
        // Whatever was raised (a KeyboardInterrupt, at most), the next batch must come.
        if worked.as_ref().is_ok_and(|is_spent| !is_spent) && self.handoff.park() {
            return flushed;
        }
        self.event_loop()?.drain_soon(py)?;
        worked.map(|_| ()).and(flushed)
    }

    /// Do a bounded amount of what waits; true when the bound ended it, or when what was begun takes its first step only
    /// after this: until then the loop is not at rest, and one that such a step blocks counts as blocked.
    fn work(self: &Arc<Self>, py: Python<'_>) -> PyResult<bool> {
        drop(self.handoff.take_released());
        for notice in self.handoff.take_notices() {
            self.hear(py, &notice)?;
        }
        self.take_from_endpoints(py)?;
        for key in self.handoff.take_woken() {
            let exchange = lock(&self.running).get(key).map(|running| running.exchange.clone_ref(py));
            if let Some(exchange) = exchange {
                exchange.resume(py)?;
            }
        }
        let start = Instant::now();
        let mut count = 0;
        while let Some(arrival) = self.handoff.next() {
            self.start(py, arrival)?;
            count += 1;
            if count % NOTIFY_EXCHANGES == 0 {
                self.notify();
                if count >= BATCH_EXCHANGES || start.elapsed() >= BATCH_TIME {
                    return Ok(true);
                }
            }
        }
        Ok(count > 0 && !self.event_loop()?.begins_at_once())
    }

    /// End of a tick: send heads that still wait for content, and wake whoever has something to write.
    pub(crate) fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let held = std::mem::take(&mut *lock(&self.held));
        for exchange in held {
            exchange.get().flush(py)?;
        }
        self.will_flush.store(false, Ordering::Relaxed);
        self.logs.flush();
        self.notify();
        Ok(())
    }

    fn notify(&self) {
        for mailbox in lock(&self.touched).drain(..) {
            mailbox.notify();
        }
    }

    /// Note that an exchange has sent something; it leaves at the end of the tick.
    pub(crate) fn touch(&self, py: Python<'_>, mailbox: &Arc<Mailbox>) -> PyResult<()> {
        if driver::touch(mailbox) {
            return Ok(());
        }
        {
            let mut touched = lock(&self.touched);
            if !touched.iter().any(|known| Arc::ptr_eq(known, mailbox)) {
                touched.push(Arc::clone(mailbox));
            }
        }
        self.plan_flush(py)
    }

    /// Note that a message was sent. It leaves at the end of the tick, or before: a tick may send to many peers,
    /// and the I/O threads can write the first messages while the application makes the others.
    pub(crate) fn touch_message(&self, py: Python<'_>, mailbox: &Arc<Mailbox>) -> PyResult<()> {
        self.touch(py, mailbox)?;
        let before = self.messages.fetch_add(1, Ordering::Relaxed);
        if before % NOTIFY_EXCHANGES == NOTIFY_EXCHANGES - 1 {
            self.notify();
        }
        Ok(())
    }

    /// Keep a head until the end of the tick.
    pub(crate) fn hold(&self, exchange: &Bound<'_, HttpExchange>) -> PyResult<()> {
        if driver::hold(exchange) {
            return Ok(());
        }
        lock(&self.held).push(exchange.clone().unbind());
        self.plan_flush(exchange.py())
    }

    fn plan_flush(&self, py: Python<'_>) -> PyResult<()> {
        if !self.will_flush.swap(true, Ordering::Relaxed) {
            self.event_loop()?.flush_soon(py)?;
        }
        Ok(())
    }

    /// A slot for an exchange that must be found again.
    pub(crate) fn insert(&self, exchange: AsgiExchange) -> usize {
        lock(&self.running).insert(Running { exchange, task: None })
    }

    /// An application has ended.
    pub(crate) fn remove(&self, py: Python<'_>, key: Option<usize>) -> PyResult<()> {
        let removed = key.and_then(|key| lock(&self.running).try_remove(key));
        drop(removed);
        if self.tasks.fetch_sub(1, Ordering::Relaxed) == 1 && self.is_draining.load(Ordering::Relaxed) {
            self.report_change(py)?;
        }
        Ok(())
    }

    /// A response is complete.
    pub(crate) fn count_response(&self, py: Python<'_>) -> PyResult<()> {
        let responses = self.responses.fetch_add(1, Ordering::Relaxed) + 1;
        self.slot.count_response();
        if self.limits.requests == Some(responses) {
            self.report_change(py)?;
        }
        Ok(())
    }

    pub(crate) fn report_change(&self, py: Python<'_>) -> PyResult<()> {
        if driver::is_endpoint_thread() {
            // Whoever waits for it waits in the loop.
            self.handoff.notice(Notice::Changed);
            self.handoff.notify();
            return Ok(());
        }
        let on_change = lock(&self.links).as_ref().map(|links| links.on_change.clone_ref(py));
        if let Some(on_change) = on_change {
            on_change.bind(py).call0()?;
        }
        Ok(())
    }
}
