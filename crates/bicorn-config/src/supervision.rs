//! The declaration of the options about processes: how many there are, who looks after them, who may ask how they are.
//!
//! A part of [`Settings`](crate::Settings), in a file of its own; what is said in `settings.rs` holds here, too.

#![expect(clippy::doc_markdown, reason = "doc comments are shown by --help, where backticks are noise")]

use std::time::Duration;

use clap::ValueHint;

use crate::values::{positive_seconds, seconds, whole_number};

const PROCESSES: &str = "Processes";
const DEVELOPMENT: &str = "Development";
const MANAGEMENT: &str = "Management";

/// More workers than this are a typing mistake (arbitrary; not measured).
const MOST_WORKERS: i64 = 1024;

/// The options about processes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct Supervision {
    /// Worker processes that share the listener, with a supervisor that looks after them
    ///
    /// APP must be an import string. Left out: the environment variable WEB_CONCURRENCY, else one process without a
    /// supervisor. SIGHUP replaces the workers one by one, SIGTTIN and SIGTTOU add and remove one.
    #[arg(
        help_heading = PROCESSES, long,
        value_name = "COUNT", value_parser = whole_number::<usize>(1..=MOST_WORKERS)
    )]
    pub workers: Option<usize>,

    /// Import the application once, in the supervisor, and fork the workers from it
    ///
    /// Workers start at once and share the memory of what was imported. The application must not start threads or open
    /// connections while it is imported. SIGHUP starts workers with the same code: to load new code, restart.
    #[arg(help_heading = PROCESSES, long, default_value_t = false)]
    pub preload: bool,

    /// Seconds in which a worker must answer the supervisor, and in which a replacement must be ready
    ///
    /// The answer does not come from Python: a worker that is merely busy is not taken for dead.
    #[arg(
        help_heading = PROCESSES, long,
        value_name = "SECONDS", default_value = "5", value_parser = positive_seconds
    )]
    pub timeout_worker_healthcheck: Duration,

    /// Restart the server when files change; for development
    #[arg(help_heading = DEVELOPMENT, long, default_value_t = false)]
    pub reload: bool,

    /// Directory to watch, instead of the current one; may be given several times
    #[arg(
        help_heading = DEVELOPMENT, long = "reload-dir",
        value_name = "PATH", value_hint = ValueHint::DirPath
    )]
    pub reload_dirs: Vec<String>,

    /// Pattern of files to watch besides *.py, or a directory; may be given several times
    ///
    /// Needs watchfiles, as --reload-exclude does.
    #[arg(help_heading = DEVELOPMENT, long = "reload-include", value_name = "GLOB")]
    pub reload_includes: Vec<String>,

    /// Pattern of files, or a directory, not to watch; may be given several times
    ///
    /// Besides .*, .pyc and the like, .sw.* and ~*, which --reload-include may take back.
    #[arg(help_heading = DEVELOPMENT, long = "reload-exclude", value_name = "GLOB")]
    pub reload_excludes: Vec<String>,

    /// Seconds between two looks for changed files
    #[arg(
        help_heading = DEVELOPMENT, long,
        value_name = "SECONDS", default_value = "0.25", value_parser = seconds
    )]
    pub reload_delay: Duration,

    /// Address of the management listener: HOST:PORT, or the path of a Unix socket
    ///
    /// Serves /livez, /readyz and /metrics (Prometheus) there and nowhere else, for all workers together. Off when left
    /// out. Nobody is asked for a password: bind it where only operators come.
    #[arg(help_heading = MANAGEMENT, long, value_name = "ADDRESS", value_parser = admin_address)]
    pub admin_bind: Option<String>,

    /// Seconds to go on serving after SIGTERM with /readyz already failing, before the drain begins
    ///
    /// For load balancers that need a while to hear of it.
    #[arg(
        help_heading = MANAGEMENT, long,
        value_name = "SECONDS", default_value = "0", value_parser = seconds
    )]
    pub drain_delay: Duration,
}

/// Accepts `host:port`, `[v6]:port`, `:port` (every address) or a path, which has a slash.
fn admin_address(text: &str) -> Result<String, &'static str> {
    let is_path = text.contains('/');
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let is_address = text.rsplit_once(':').is_some_and(|(host, port)| {
        is_port(port) && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
    });
    if is_path || is_address {
        Ok(text.to_owned())
    } else {
        Err("must be HOST:PORT, [IPV6]:PORT or a path with a /")
    }
}
