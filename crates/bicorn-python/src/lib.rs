//! `bicorn._bicorn`: the border between Rust and Python, and the only crate that knows Python.
//!
//! ```text
//!   I/O threads (bicorn-server) ──▶ application ──┬─▶ handoff ──▶ loop_thread ──▶ asgi ──▶ the application
//!                                                 └─▶ endpoints ──────────────────▲
//!                                                    server, settings, logging ◀── python/bicorn
//! ```
//! Only the loop thread and endpoint threads attach. Scope, receive and send live here because they are hot; lifespan, signals,
//! imports and logging set-up live in Python because they are not.
#![deny(unsafe_code)]

mod admin;
mod application;
mod asgi;
mod awaitable;
mod board;
mod calling;
mod endpoints;
mod event_loop;
#[expect(unsafe_code, reason = "the one place for it")]
mod ffi;
mod handoff;
mod heartbeat;
mod logging;
mod loop_thread;
mod notices;
mod server;
mod settings;
mod wake_event;

use pyo3::prelude::*;

/// All that Python sees.
#[pymodule(gil_used = false)]
mod _bicorn {
    #[pymodule_export]
    use crate::admin::AdminListener;
    #[pymodule_export]
    use crate::asgi::disconnect::ClientDisconnected;
    #[pymodule_export]
    use crate::board::Board;
    #[pymodule_export]
    use crate::endpoints::python::{call_here, is_driving, to_loop};
    #[pymodule_export]
    use crate::heartbeat::Heartbeat;
    #[pymodule_export]
    use crate::logging::AccessLogTarget;
    #[pymodule_export]
    use crate::server::HttpServer;
    #[pymodule_export]
    use crate::settings::{CommandLineExit, Settings, parse_command_line};

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
