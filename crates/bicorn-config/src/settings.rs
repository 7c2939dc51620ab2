//! The declaration of every option.
//!
//! One list, longer than other files: most of it is help text, and in parts an option would have to be looked for.
//!
//! Names, defaults and meanings are uvicorn 0.54's (`uvicorn.main`, `uvicorn.config.Config`), but for the
//! limits and deadlines that uvicorn does not have. To add an option, add a field here and its line in
//! `options.rs`; help, environment, documentation and `Config(**options)` follow. `command.rs` gives a `bool`
//! that is on by default, or has no default, its `--no-…` form.

#![expect(clippy::doc_markdown, reason = "doc comments are shown by --help, where backticks are noise")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ValueHint};

use crate::supervision::Supervision;
use crate::values::{
    AsgiSpec, ByteLimit, CertReqs, CountLimit, Deadline, EventLoop, HttpParser, Interface, Lifespan,
    LogLevel, SyncEndpoints, TRUTH, TlsVersions, WebSockets, deadline, limit, non_empty_path, parse_header,
    parse_switch, positive, seconds, whole_number,
};

const APPLICATION: &str = "Application";
const LISTENING: &str = "Listening";
const PROCESSING: &str = "Concurrency and limits";
const TIMEOUTS: &str = "Timeouts";
const TLS: &str = "TLS";
const HTTP: &str = "HTTP";
const HTTP2: &str = "HTTP/2";
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

    /// Version of the ASGI HTTP specification to follow when a client leaves
    ///
    /// With 2.5 an application may let the OSError escape: it is not logged. Frameworks that look at the version
    /// stream at less cost then, because they need not listen for the client's end beside each response.
    #[arg(
        help_heading = APPLICATION, long,
        value_enum, value_name = "VERSION", default_value_t = AsgiSpec::V2_3
    )]
    pub asgi_spec: AsgiSpec,

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

    /// Processes.
    #[command(flatten)]
    pub supervision: Supervision,

    /// Event loop that runs the application: auto, asyncio, uvloop, zuvloop, none or module:factory
    ///
    /// auto is uvloop where it is installed, else asyncio. none is whatever asyncio.run makes. A factory is
    /// called without arguments and returns a new loop. zuvloop is auto where it is not installed.
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

    /// Where functions that are no coroutines run: endpoints, dependencies and handlers written with def
    ///
    /// Looked at when the application is Starlette's, FastAPI's or another one that uses anyio. bicorn main:app
    /// --show-lanes tells which way each route goes, and why.
    #[arg(
        help_heading = PROCESSING, long,
        value_enum, value_name = "MODE", default_value_t = SyncEndpoints::Auto
    )]
    pub sync_endpoints: SyncEndpoints,

    /// Functions that may run at once in endpoint threads
    ///
    /// Sets the total_tokens of anyio's default limiter; the application may still change it while it starts. Left
    /// out: anyio's default, which is 40.
    #[arg(
        help_heading = PROCESSING, long,
        value_name = "COUNT", value_parser = whole_number::<usize>(1..=65_536)
    )]
    pub endpoint_threads: Option<usize>,

    /// Print which way each route's requests go, endpoint thread or event loop, and why; then leave
    #[arg(help_heading = PROCESSING, long, default_value_t = false)]
    pub show_lanes: bool,

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

    /// Seconds in which a TLS handshake must be over, counted from accept; 0 is no deadline
    #[arg(
        help_heading = TIMEOUTS, long,
        value_name = "SECONDS", default_value = "10", value_parser = deadline
    )]
    pub timeout_tls_handshake: Deadline,

    /// Certificate chain in PEM: turns TLS on; may be given several times
    ///
    /// The server's own certificate comes first in it. Of several files, a client gets the one with the name
    /// that it asks for (SNI), else the first. The environment gives one file. Files that change are read again
    /// without a restart.
    #[arg(
        help_heading = TLS, long = "ssl-certfile", id = "ssl_certfile",
        value_name = "FILE", value_hint = ValueHint::AnyPath
    )]
    pub ssl_certfiles: Vec<String>,

    /// Private key in PEM; may be given several times
    ///
    /// PKCS #1, PKCS #8 or SEC 1, encrypted or not. The first belongs to the first --ssl-certfile, and so on; an
    /// empty one, or none, stands for a key in the certificate's file.
    #[arg(
        help_heading = TLS, long = "ssl-keyfile", id = "ssl_keyfile",
        value_name = "FILE", value_hint = ValueHint::AnyPath
    )]
    pub ssl_keyfiles: Vec<String>,

    /// Password of encrypted private keys
    ///
    /// Other users of the machine can read command lines: better give it in the environment.
    #[arg(help_heading = TLS, long, value_name = "PASSWORD")]
    pub ssl_keyfile_password: Option<String>,

    /// Versions of TLS, as a number of Python's ssl module: 17 or 2 for 1.2 and 1.3, 5 for 1.2 alone
    ///
    /// They are ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS and ssl.PROTOCOL_TLSv1_2. For 1.3 alone, name its
    /// ciphers in --ssl-ciphers. Nothing older is spoken.
    #[arg(help_heading = TLS, long, value_name = "NUMBER", default_value = "17")]
    pub ssl_version: TlsVersions,

    /// Client certificates: 0 not asked for, 1 checked if there is one, 2 required
    ///
    /// The numbers of Python's ssl.CERT_NONE, CERT_OPTIONAL and CERT_REQUIRED. 1 and 2 need --ssl-ca-certs.
    #[arg(help_heading = TLS, long, value_name = "NUMBER", default_value = "0")]
    pub ssl_cert_reqs: CertReqs,

    /// Authorities in PEM that client certificates are checked with
    #[arg(help_heading = TLS, long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub ssl_ca_certs: Option<String>,

    /// Ciphers of TLS 1.2, as an OpenSSL cipher string
    ///
    /// Names of suites, and keywords such as HIGH, ECDHE+AESGCM or !CHACHA20. What is not possible is refused.
    /// Left out: all that are secure.
    #[arg(help_heading = TLS, long, value_name = "STRING")]
    pub ssl_ciphers: Option<String>,

    /// Accepted for uvicorn's sake: auto, h11, httptools and zttp all mean bicorn's own HTTP
    ///
    /// A class of another implementation is refused.
    #[arg(help_heading = HTTP, long, value_name = "PARSER", default_value_t = HttpParser::Auto)]
    pub http: HttpParser,

    /// Accepted for uvicorn's sake, without effect: --limit-request-head bounds a request head
    #[arg(help_heading = HTTP, long, value_name = "BYTES", value_parser = positive::<usize>)]
    pub h11_max_incomplete_event_size: Option<usize>,

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

    /// Speak HTTP/2 with clients that ask for it
    ///
    /// One port speaks both: over TLS the client's ALPN decides, on a clear port its first bytes (prior knowledge).
    #[arg(help_heading = HTTP2, long, default_value_t = true)]
    pub http2: bool,

    /// Requests that an HTTP/2 connection may have open at a time
    ///
    /// Each has a task of the application. RFC 9113 advises against less than 100.
    #[arg(
        help_heading = HTTP2, long, value_name = "COUNT",
        default_value_t = 100, value_parser = whole_number::<u32>(1..=i64::from(u32::MAX))
    )]
    pub http2_max_concurrent_streams: u32,

    /// Bytes of one request's body that may be on their way to the application
    #[arg(
        help_heading = HTTP2, long, value_name = "BYTES",
        default_value_t = 65_536, value_parser = whole_number::<u32>(1024..=i64::from(i32::MAX))
    )]
    pub http2_initial_stream_window: u32,

    /// Bytes of all request bodies of an HTTP/2 connection that may be on their way
    ///
    /// Bounds the memory of a connection that uploads; less than 65535 is not possible.
    #[arg(
        help_heading = HTTP2, long, value_name = "BYTES",
        default_value_t = 1_048_576, value_parser = whole_number::<u32>(65_535..=i64::from(i32::MAX))
    )]
    pub http2_initial_connection_window: u32,

    /// Size beyond which the headers of an HTTP/2 request are answered with 431
    ///
    /// As HTTP/2 counts: names, values and 32 bytes for each. The limits of a request head hold as well.
    #[arg(
        help_heading = HTTP2, long, value_name = "BYTES",
        default_value_t = 65_536, value_parser = whole_number::<u32>(1024..=16_777_216)
    )]
    pub http2_max_header_list: u32,

    /// Seconds that an HTTP/2 connection without open requests is kept; 0 keeps it without a deadline
    ///
    /// Takes the place of --timeout-keep-alive: a client opens one connection for everything, and opening it
    /// costs it more.
    #[arg(help_heading = HTTP2, long, value_name = "SECONDS", default_value = "75", value_parser = deadline)]
    pub http2_timeout_idle: Deadline,

    /// Seconds that a client with open requests may be silent before it is sent a PING; 0 sends none
    #[arg(help_heading = HTTP2, long, value_name = "SECONDS", default_value = "20", value_parser = deadline)]
    pub http2_ping_interval: Deadline,

    /// Seconds in which a PING must be answered, before the connection is closed; 0 is no deadline
    #[arg(help_heading = HTTP2, long, value_name = "SECONDS", default_value = "20", value_parser = deadline)]
    pub http2_ping_timeout: Deadline,

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
