//! The declaration of every option.
//!
//! Names, defaults and meanings are uvicorn 0.54's (`uvicorn.main`, `uvicorn.config.Config`), but for the
//! limits and deadlines that uvicorn does not have. To add an option, add a field here and its line in
//! `options.rs`; help, environment, documentation and `Config(**options)` follow. `command.rs` gives a `bool`
//! that is on by default, or has no default, its `--no-…` form.

#![expect(clippy::doc_markdown, reason = "doc comments are shown by --help, where backticks are noise")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ValueHint};

use crate::values::{
    ByteLimit, CountLimit, Deadline, EventLoop, Interface, Lifespan, LogLevel, TRUTH, WebSockets, deadline,
    limit, non_empty_path, parse_header, parse_switch, positive, seconds, whole_number,
};

const APPLICATION: &str = "Application";
const LISTENING: &str = "Listening";
const PROCESSING: &str = "Concurrency and limits";
const TIMEOUTS: &str = "Timeouts";
const HTTP: &str = "HTTP";
const WEBSOCKET: &str = "WebSocket";
const PROXIES: &str = "Proxies";
const LOGGING: &str = "Logging";

/// The validated options of one server.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent switch with uvicorn's name")]
pub struct Settings {
    /// The application to serve, as module:attribute
    ///
    /// The module is imported from --app-dir; the attribute may have dots, as in main:api.app.
    #[arg(help_heading = APPLICATION)]
    pub app: Option<String>,

    /// Directory to import APP from; empty means the current one
    ///
    /// It is put at the front of Python's sys.path.
    #[arg(
        help_heading = APPLICATION, long,
        value_name = "PATH", default_value = "", value_hint = ValueHint::DirPath
    )]
    pub app_dir: String,

    /// Call APP without arguments and serve what it returns
    #[arg(help_heading = APPLICATION, long, default_value_t = false)]
    pub factory: bool,

    /// Interface that the application speaks
    #[arg(
        help_heading = APPLICATION, long,
        value_enum, value_name = "KIND", default_value_t = Interface::Auto
    )]
    pub interface: Interface,

    /// Whether to run the application's start-up and shutdown hooks (ASGI lifespan)
    #[arg(
        help_heading = APPLICATION, long,
        value_enum, value_name = "MODE", default_value_t = Lifespan::Auto
    )]
    pub lifespan: Lifespan,

    /// File of environment variables to load before the application is imported
    ///
    /// Variables that are already set are kept. bicorn's own options are read before the file is, so a
    /// BICORN_ or UVICORN_ variable in it has no effect; FORWARDED_ALLOW_IPS has. Needs python-dotenv.
    #[arg(
        help_heading = APPLICATION, long,
        value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = non_empty_path
    )]
    pub env_file: Option<PathBuf>,

    /// Run each request in an empty contextvars.Context
    ///
    /// Without it, a request sees the context variables that were set around the server when it started.
    #[arg(help_heading = APPLICATION, long, default_value_t = false)]
    pub reset_contextvars: bool,

    /// Address or name to listen on
    ///
    /// A name is resolved and each of its addresses is bound; empty means every address of every family.
    #[arg(help_heading = LISTENING, long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: String,

    /// TCP port to listen on; 0 takes any free one and logs it
    #[arg(
        help_heading = LISTENING, long,
        value_name = "PORT", default_value_t = 8000, value_parser = whole_number::<u16>(0..=65_535)
    )]
    pub port: u16,

    /// Unix domain socket to listen on, instead of an address and a port
    ///
    /// A socket left there is replaced and its mode kept; a new one is readable and writable by everybody.
    #[arg(help_heading = LISTENING, long, value_name = "PATH", conflicts_with = "fd")]
    pub uds: Option<String>,

    /// Inherited file descriptor of a socket to listen on
    ///
    /// For process managers that bind the socket, such as systemd (which passes 3) or circus.
    #[arg(
        help_heading = LISTENING, long,
        value_name = "FD", value_parser = whole_number::<i32>(0..=i64::from(i32::MAX))
    )]
    pub fd: Option<i32>,

    /// Connections that the kernel may hold until they are accepted
    ///
    /// The kernel caps it, on Linux at net.core.somaxconn.
    #[arg(
        help_heading = LISTENING, long, value_name = "COUNT",
        default_value_t = 2048, value_parser = whole_number::<u32>(0..=i64::from(i32::MAX))
    )]
    pub backlog: u32,

    /// Event loop that runs the application: auto, asyncio, uvloop, none or module:factory
    ///
    /// auto is uvloop where it is installed, else asyncio. none is whatever asyncio.run makes. A factory is
    /// called without arguments and returns a new loop.
    #[arg(
        help_heading = PROCESSING, id = "loop", long = "loop",
        value_name = "LOOP", default_value_t = EventLoop::Auto
    )]
    pub event_loop: EventLoop,

    /// Threads that read and write the sockets, 1 to 64
    ///
    /// They never run Python. One is enough for most applications, whose Python is the slower half.
    #[arg(
        help_heading = PROCESSING, long,
        value_name = "COUNT", default_value_t = 1, value_parser = whole_number::<usize>(1..=64)
    )]
    pub io_threads: usize,

    /// Open connections, or running requests, at which the next request is answered with 503
    ///
    /// Idle connections count, and so does the one that asks. Left out: no limit.
    #[arg(help_heading = PROCESSING, long, value_name = "COUNT", value_parser = positive::<usize>)]
    pub limit_concurrency: Option<usize>,

    /// Requests to answer before the process drains and exits with 0
    ///
    /// For a process manager that starts the next one. Left out: no limit.
    #[arg(help_heading = PROCESSING, long, value_name = "COUNT", value_parser = positive::<u64>)]
    pub limit_max_requests: Option<u64>,

    /// Largest random addition to --limit-max-requests
    ///
    /// Keeps several processes from leaving at the same time.
    #[arg(
        help_heading = PROCESSING, long,
        value_name = "COUNT", default_value_t = 0, value_parser = whole_number::<u64>(0..=i64::MAX)
    )]
    pub limit_max_requests_jitter: u64,

    /// Size beyond which a request head (request line and headers) is answered with 431; 0 is no limit
    #[arg(
        help_heading = PROCESSING, long,
        value_name = "BYTES", default_value = "65536", value_parser = limit
    )]
    pub limit_request_head: ByteLimit,

    /// Number of header fields beyond which a request is answered with 431; 0 is no limit
    #[arg(help_heading = PROCESSING, long, value_name = "COUNT", default_value = "100", value_parser = limit)]
    pub limit_request_fields: CountLimit,

    /// Length beyond which a request target (path and query) is answered with 414; 0 is no limit
    #[arg(
        help_heading = PROCESSING, long,
        value_name = "BYTES", default_value = "16384", value_parser = limit
    )]
    pub limit_request_target: ByteLimit,

    /// Seconds that an idle connection is kept for its next request; 0 keeps it without a deadline
    ///
    /// Counts from the end of a response to the first byte of the next request. uvicorn takes whole seconds
    /// on its command line, and closes at once with 0.
    #[arg(
        help_heading = TIMEOUTS, long,
        value_name = "SECONDS", default_value = "5", value_parser = deadline
    )]
    pub timeout_keep_alive: Deadline,

    /// Seconds that running requests may take at shutdown before they are cancelled; 0 cancels at once
    ///
    /// Left out: they are waited for without a deadline. As in uvicorn, 0 does not mean that.
    #[arg(help_heading = TIMEOUTS, long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout_graceful_shutdown: Option<Duration>,

    /// Seconds in which a request head must arrive, or the first byte of a new connection; 0 is no deadline
    #[arg(
        help_heading = TIMEOUTS, long,
        value_name = "SECONDS", default_value = "10", value_parser = deadline
    )]
    pub timeout_request_head: Deadline,

    /// Seconds without a byte of an awaited request body until it is answered with 408; 0 is no deadline
    #[arg(
        help_heading = TIMEOUTS, long,
        value_name = "SECONDS", default_value = "30", value_parser = deadline
    )]
    pub timeout_request_body: Deadline,

    /// Seconds that a peer may take no byte of a response before its connection is closed; 0 is no deadline
    #[arg(
        help_heading = TIMEOUTS, long,
        value_name = "SECONDS", default_value = "30", value_parser = deadline
    )]
    pub timeout_write: Deadline,

    /// Path that a proxy strips from the front of each URL
    ///
    /// The application sees it as ASGI's root_path and at the front of path.
    #[arg(help_heading = HTTP, long, value_name = "PATH", default_value = "")]
    pub root_path: String,

    /// Header to add to every response; may be given several times
    ///
    /// Split at the first colon; spaces are kept. In the environment (HEADERS), headers are split at white
    /// space, so no value can hold any. A header called server takes the place of bicorn's.
    #[arg(help_heading = HTTP, long = "header", value_name = "NAME:VALUE", value_parser = parse_header)]
    pub headers: Vec<(String, String)>,

    /// Send a server header with every response
    #[arg(help_heading = HTTP, long, default_value_t = true)]
    pub server_header: bool,

    /// Send a date header with every response
    #[arg(help_heading = HTTP, long, default_value_t = true)]
    pub date_header: bool,

    /// Whether to speak WebSocket: auto or none
    ///
    /// none serves a handshake as a plain request. uvicorn's names of implementations (websockets,
    /// websockets-sansio, wsproto) are the same as auto: there is one, bicorn's own.
    #[arg(help_heading = WEBSOCKET, long, value_name = "KIND", default_value_t = WebSockets::Auto)]
    pub ws: WebSockets,

    /// Size beyond which a message of a peer is refused with close code 1009
    ///
    /// Counted behind decompression, while the message arrives.
    #[arg(
        help_heading = WEBSOCKET, long, value_name = "BYTES",
        default_value_t = 16_777_216, value_parser = whole_number::<usize>(1..=i64::MAX)
    )]
    pub ws_max_size: usize,

    /// Messages that may wait for the application before the socket is no longer read; 0 is no limit
    ///
    /// 64 KiB of messages are enough to stop reading, too, whatever their number.
    #[arg(help_heading = WEBSOCKET, long, value_name = "COUNT", default_value = "32", value_parser = limit)]
    pub ws_max_queue: CountLimit,

    /// Seconds from one ping to the next; 0 sends none
    #[arg(
        help_heading = WEBSOCKET, long,
        value_name = "SECONDS", default_value = "20", value_parser = deadline
    )]
    pub ws_ping_interval: Deadline,

    /// Seconds in which a ping must be answered before the peer is given up with 1011; 0 is no deadline
    #[arg(
        help_heading = WEBSOCKET, long,
        value_name = "SECONDS", default_value = "20", value_parser = deadline
    )]
    pub ws_ping_timeout: Deadline,

    /// Compress messages if the peer offers it (permessage-deflate); takes true or false
    #[arg(
        help_heading = WEBSOCKET, long, action = ArgAction::Set,
        value_name = TRUTH, default_value = "true", value_parser = parse_switch
    )]
    pub ws_per_message_deflate: bool,

    /// Take client address and scheme from X-Forwarded-For and X-Forwarded-Proto
    ///
    /// Only when the peer is one of --forwarded-allow-ips.
    #[arg(help_heading = PROXIES, long, default_value_t = true)]
    pub proxy_headers: bool,

    /// Proxies to believe, separated by commas: addresses, networks, names, or * for everybody
    ///
    /// Left out: the environment variable FORWARDED_ALLOW_IPS, else 127.0.0.1,::1.
    #[arg(help_heading = PROXIES, long, value_name = "LIST")]
    pub forwarded_allow_ips: Option<String>,

    /// Logging configuration file in place of the built-in one
    ///
    /// A .json or .yaml file goes to logging.config.dictConfig (YAML needs PyYAML), any other to
    /// logging.config.fileConfig.
    #[arg(
        help_heading = LOGGING, long,
        value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = non_empty_path
    )]
    pub log_config: Option<PathBuf>,

    /// Level of bicorn's own loggers; upper or lower case
    ///
    /// Left out: what the logging configuration says, which is info for the built-in one.
    #[arg(help_heading = LOGGING, long, value_enum, value_name = "LEVEL", ignore_case = true)]
    pub log_level: Option<LogLevel>,

    /// Log a line for each response
    #[arg(help_heading = LOGGING, long, default_value_t = true)]
    pub access_log: bool,

    /// Colour the log lines
    ///
    /// Left out: when standard output is a terminal.
    #[arg(help_heading = LOGGING, long)]
    pub use_colors: Option<bool>,
}
