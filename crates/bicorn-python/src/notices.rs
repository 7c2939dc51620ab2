//! What the I/O threads report besides exchanges becomes a log line, or news for the program around the server.
//!
//! The lines are uvicorn's where it has one.

use bicorn_http::status;
use bicorn_server::Notice;
use bicorn_server::tls::Reloaded;
use pyo3::prelude::*;

use crate::loop_thread::LoopThread;

impl LoopThread {
    /// Pass a notice on.
    pub(crate) fn hear(&self, py: Python<'_>, notice: &Notice) -> PyResult<()> {
        match notice {
            Notice::InvalidRequest(error) if error.is_websocket() => {
                self.logs().rejected(py, error.status(), status::phrase(error.status()))
            }
            Notice::InvalidRequest(_) => self.logs().warn(py, "Invalid HTTP request received."),
            Notice::UnsupportedUpgrade => self.logs().warn(py, "Unsupported upgrade request."),
            Notice::WebSocketsOff => self.logs().warn(py, "WebSockets are turned off (ws is \"none\")."),
            Notice::AcceptFailed(error) => {
                self.logs().error(py, ("cannot accept a connection, trying again: %s", error))
            }
            Notice::Certificates(Reloaded::Done) => {
                self.logs().info(py, ("TLS certificates changed and were read again.",))
            }
            Notice::Certificates(Reloaded::Refused(reason)) => {
                let text = "TLS certificates changed, but the former ones stay in use: %s";
                self.logs().error(py, (text, reason))
            }
            Notice::FileFailed(error) => {
                self.logs().error(py, ("a response was cut off with its file: %s", error))
            }
            Notice::Defect(text) => self.logs().error(py, ("a connection was lost to a defect: %s", text)),
            Notice::Changed => self.report_change(py),
        }
    }
}
