//! What an endpoint thread notes while it works: whom to tell when the job is done, and whether framework code or the
//! user's function runs just now.
//!
//! A thread-local, because ASGI's `send` and `receive` are called from Python with nothing but the exchange, on
//! whichever thread the application runs. Never borrowed while Python code may run.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use bicorn_http::Mailbox;
use pyo3::prelude::*;

use crate::asgi::http::HttpExchange;

thread_local! {
    static DRIVER: Driver = const {
        Driver {
            is_endpoint_thread: Cell::new(false),
            is_driving: Cell::new(false),
            touched: RefCell::new(Vec::new()),
            held: RefCell::new(Vec::new()),
        }
    };
}

struct Driver {
    is_endpoint_thread: Cell<bool>,
    is_driving: Cell<bool>,
    /// I/O threads that have commands to hear of.
    touched: RefCell<Vec<Arc<Mailbox>>>,
    /// The exchange whose head or content waits for the end of its job.
    held: RefCell<Vec<Py<HttpExchange>>>,
}

/// From now on this thread is an endpoint thread.
pub(super) fn enter() {
    DRIVER.with(|driver| driver.is_endpoint_thread.set(true));
}

/// Whether this thread is an endpoint thread.
pub(crate) fn is_endpoint_thread() -> bool {
    DRIVER.with(|driver| driver.is_endpoint_thread.get())
}

/// Whether this thread drives an exchange and framework code runs: what must wait has to go to the loop.
pub(crate) fn is_driving() -> bool {
    DRIVER.with(|driver| driver.is_driving.get())
}

/// Say who runs now; returns who did.
pub(super) fn set_driving(is_driving: bool) -> bool {
    DRIVER.with(|driver| driver.is_driving.replace(is_driving))
}

/// Note an I/O thread that has something to do. False on other threads than endpoint threads.
pub(crate) fn touch(mailbox: &Arc<Mailbox>) -> bool {
    DRIVER.with(|driver| {
        if !driver.is_endpoint_thread.get() {
            return false;
        }
        let mut touched = driver.touched.borrow_mut();
        if !touched.iter().any(|known| Arc::ptr_eq(known, mailbox)) {
            touched.push(Arc::clone(mailbox));
        }
        true
    })
}

/// Keep an exchange that has to be flushed at the end of the job. False on other threads than endpoint threads.
pub(crate) fn hold(exchange: &Bound<'_, HttpExchange>) -> bool {
    DRIVER.with(|driver| {
        if !driver.is_endpoint_thread.get() {
            return false;
        }
        driver.held.borrow_mut().push(exchange.clone().unbind());
        true
    })
}

/// End of a job: send what was held back.
pub(super) fn flush(py: Python<'_>) -> PyResult<()> {
    let held = DRIVER.with(|driver| driver.held.take());
    for exchange in held {
        exchange.get().flush(py)?;
    }
    Ok(())
}

/// Wake the I/O threads that have something to do.
pub(super) fn notify() {
    let touched = DRIVER.with(|driver| driver.touched.take());
    for mailbox in &touched {
        mailbox.notify();
    }
    // The vector keeps its room.
    DRIVER.with(|driver| {
        let mut room = touched;
        room.clear();
        *driver.touched.borrow_mut() = room;
    });
}
