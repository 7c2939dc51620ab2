//! The types of option values, and how text becomes one.
//!
//! A parser's error is the requirement the text did not meet, written to follow "invalid value 'x' for
//! --port: ". clap puts that in front on the command line, `error.rs` everywhere else.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

/// How long something may take; `None`, given as 0, is for ever.
pub type Deadline = Option<Duration>;
/// The most bytes that something may have; `None`, given as 0, is any.
pub type ByteLimit = Option<usize>;
/// The most of something; `None`, given as 0, is any.
pub type CountLimit = Option<usize>;

/// Longest time an option may name, in seconds: 136 years, far from where adding to a clock overflows.
const LONGEST_SECONDS: f64 = u32::MAX as f64;
/// Shortest time but 0, in seconds: the resolution of the timers.
const SHORTEST_SECONDS: f64 = 0.001;

/// The event loop that runs the application (uvicorn 0.54 `Config.get_loop_factory`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventLoop {
    /// uvloop if it is installed, else asyncio.
    Auto,
    /// The standard library's loop.
    Asyncio,
    /// uvloop's.
    Uvloop,
    /// zuvloop's where it is installed, else as `Auto`.
    Zuvloop,
    /// Whatever `asyncio.run` makes without a factory.
    None,
    /// What the callable at this `module:attribute` returns.
    Factory(String),
}

impl FromStr for EventLoop {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "asyncio" => Ok(Self::Asyncio),
            "uvloop" => Ok(Self::Uvloop),
            "zuvloop" => Ok(Self::Zuvloop),
            "none" => Ok(Self::None),
            factory if factory.contains(':') => Ok(Self::Factory(factory.to_owned())),
            _ => Err("must be auto, asyncio, uvloop, zuvloop, none or module:factory"),
        }
    }
}

impl fmt::Display for EventLoop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Asyncio => "asyncio",
            Self::Uvloop => "uvloop",
            Self::Zuvloop => "zuvloop",
            Self::None => "none",
            Self::Factory(factory) => factory,
        })
    }
}

/// uvicorn's names of HTTP implementations (uvicorn 0.54 `Config.http`), of which bicorn has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpParser {
    /// bicorn's.
    Auto,
    /// The same.
    H11,
    /// The same.
    Httptools,
    /// The same.
    Zttp,
}

impl FromStr for HttpParser {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "h11" => Ok(Self::H11),
            "httptools" => Ok(Self::Httptools),
            "zttp" => Ok(Self::Zttp),
            _ => Err(
                "must be auto (or h11, httptools, zttp, which are auto): bicorn speaks HTTP itself and takes no \
                      other implementation",
            ),
        }
    }
}

impl fmt::Display for HttpParser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::H11 => "h11",
            Self::Httptools => "httptools",
            Self::Zttp => "zttp",
        })
    }
}

/// Whether WebSockets are spoken (uvicorn 0.54 `Config.ws`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSockets {
    /// They are.
    Auto,
    /// A handshake is a plain request.
    None,
}

impl FromStr for WebSockets {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" | "websockets" | "websockets-sansio" | "wsproto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            _ => Err(
                "must be auto or none (or websockets, websockets-sansio, wsproto, which are auto): bicorn \
                      speaks WebSocket itself and takes no other implementation",
            ),
        }
    }
}

impl fmt::Display for WebSockets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::None => "none",
        })
    }
}

/// What the application is called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(clippy::doc_markdown, reason = "doc comments are shown by --help, where backticks are noise")]
pub enum Interface {
    /// asgi3 or asgi2, found out by looking at the application
    Auto,
    /// app(scope, receive, send)
    Asgi3,
    /// app(scope)(receive, send)
    Asgi2,
    /// app(environ, start_response), without WebSockets
    Wsgi,
}

/// Version of the ASGI HTTP specification that scopes announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(clippy::doc_markdown, reason = "doc comments are shown by --help, where backticks are noise")]
pub enum AsgiSpec {
    /// uvicorn's: send() does nothing once the client is gone
    #[value(name = "2.3")]
    V2_3,
    /// send() raises an OSError once the client is gone
    #[value(name = "2.5")]
    V2_5,
}

impl AsgiSpec {
    /// As `scope["asgi"]["spec_version"]` of an HTTP request spells it.
    pub fn http_version(self) -> &'static str {
        match self {
            Self::V2_3 => "2.3",
            Self::V2_5 => "2.5",
        }
    }

    /// Whether `send()` raises once the client is gone (since 2.4).
    pub fn raises_on_disconnect(self) -> bool {
        self == Self::V2_5
    }
}

/// Where functions that are no coroutines run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncEndpoints {
    /// Whole requests in endpoint threads where that is proven to make no difference; else as pool
    Auto,
    /// Single functions in endpoint threads, in place of anyio's
    Pool,
    /// In anyio's threads, as under uvicorn
    Off,
}

/// What to do about the ASGI lifespan protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lifespan {
    /// Run it; an application that raises is served without it
    Auto,
    /// Run it; an application that raises ends the server with exit code 3
    On,
    /// Leave it out
    Off,
}

/// Level of the loggers `uvicorn.error`, `uvicorn.access` and `uvicorn.asgi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Only what ends the server
    Critical,
    /// Failures of the application and of the server
    Error,
    /// What will need attention
    Warning,
    /// Start, stop, and a line for each response
    Info,
    /// For debugging: what Info shows and more
    Debug,
    /// Every ASGI event as well
    Trace,
}

/// The versions of TLS that a server speaks, by the numbers of Python's `ssl` module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    /// `PROTOCOL_TLS_SERVER`, 17: TLS 1.2 and 1.3.
    Server,
    /// `PROTOCOL_TLS`, 2: the same.
    Any,
    /// `PROTOCOL_TLSv1_2`, 5.
    Tls12,
}

impl TlsVersions {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Server => 17,
            Self::Any => 2,
            Self::Tls12 => 5,
        }
    }
}

impl FromStr for TlsVersions {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "17" => Ok(Self::Server),
            "2" => Ok(Self::Any),
            "5" => Ok(Self::Tls12),
            _ => {
                Err("must be 17 or 2 (TLS 1.2 and 1.3), or 5 (TLS 1.2 alone): older versions are not spoken")
            }
        }
    }
}

/// Whether clients show certificates, by the numbers of Python's `ssl.VerifyMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertReqs {
    /// 0: they are not asked.
    None,
    /// 1: one that is shown must be good.
    Optional,
    /// 2: they must.
    Required,
}

impl CertReqs {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Optional => 1,
            Self::Required => 2,
        }
    }
}

impl FromStr for CertReqs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0" => Ok(Self::None),
            "1" => Ok(Self::Optional),
            "2" => Ok(Self::Required),
            _ => Err("must be 0 (no client certificates), 1 (optional) or 2 (required)"),
        }
    }
}
/// The value name of an option that is true or false but takes a value: it is no switch.
pub(crate) const TRUTH: &str = "BOOL";

/// Accepts what click takes for a truth value (uvicorn 0.54 reads its environment with `click.BOOL`).
pub(crate) fn parse_switch(text: &str) -> Result<bool, &'static str> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err("must be true or false (or 1, t, yes, y, on; 0, f, no, n, off)"),
    }
}

/// Makes a parser of whole numbers in `range`, all of which `Number` can hold.
pub(crate) fn whole_number<Number: TryFrom<i64>>(
    range: RangeInclusive<i64>,
) -> impl Fn(&str) -> Result<Number, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse::<i64>().ok().filter(|number| range.contains(number));
        number.and_then(|number| Number::try_from(number).ok()).ok_or_else(|| match *range.end() {
            i64::MAX => format!("must be a whole number, {} or more", range.start()),
            end => format!("must be a whole number from {} to {end}", range.start()),
        })
    }
}

/// Accepts a whole number above 0. uvicorn's limits refuse every request with 0, which nobody means.
pub(crate) fn positive<Number: TryFrom<i64>>(text: &str) -> Result<Number, String> {
    whole_number(1..=i64::MAX)(text)
        .map_err(|requirement| format!("{requirement}; leave the option out for no limit"))
}

/// Accepts a whole number, of which 0 means none: the type of bicorn's own limits.
pub(crate) fn limit(text: &str) -> Result<Option<usize>, String> {
    let number: usize =
        whole_number(0..=i64::MAX)(text).map_err(|requirement| format!("{requirement}; 0 is no limit"))?;
    Ok(Some(number).filter(|number| *number > 0))
}

/// Accepts seconds with or without a fraction. uvicorn's command line refuses the fraction where its
/// `Config` takes it, and programs that embed it use that.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: Option<f64> = text.parse().ok();
    // Less than the shortest but more than 0 would round to 0, which means something else.
    number
        .filter(|number| *number == 0.0 || (SHORTEST_SECONDS..=LONGEST_SECONDS).contains(number))
        .and_then(|number| Duration::try_from_secs_f64(number).ok())
        .ok_or_else(|| format!("must be a number of seconds: 0, or {SHORTEST_SECONDS} to {LONGEST_SECONDS}"))
}

/// Accepts seconds above 0.
pub(crate) fn positive_seconds(text: &str) -> Result<Duration, String> {
    let number = seconds(text).ok().filter(|number| !number.is_zero());
    number.ok_or_else(|| format!("must be a number of seconds, {SHORTEST_SECONDS} to {LONGEST_SECONDS}"))
}

/// Accepts seconds, of which 0 means no deadline.
pub(crate) fn deadline(text: &str) -> Result<Deadline, String> {
    let duration = seconds(text).map_err(|requirement| format!("{requirement}; 0 is no deadline"))?;
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

/// Accepts any path but the empty one.
pub(crate) fn non_empty_path(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() { Err("must not be empty") } else { Ok(PathBuf::from(text)) }
}

/// Accepts a path at which there is something (uvicorn 0.54: `click.Path(exists=True)`).
pub(crate) fn existing_path(text: &str) -> Result<PathBuf, &'static str> {
    let path = non_empty_path(text)?;
    if path.exists() { Ok(path) } else { Err("no such file") }
}

/// Accepts what [`existing_path`] does, as text.
pub(crate) fn existing_directory(text: &str) -> Result<String, &'static str> {
    existing_path(text).map(|_| text.to_owned()).map_err(|_| "no such directory")
}

/// Splits a header at its first colon, as uvicorn 0.54 `main` does, and refuses what would not be one on the
/// wire: RFC 9110 §5.1 (a name is a token) and §5.5 (no control character in a value; one byte a character).
pub(crate) fn parse_header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("must be name:value")?;
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err("must be name:value, and a name only has letters, digits and !#$%&'*+-.^_`|~");
    }
    if value.chars().any(|character| character.is_control() && character != '\t') {
        return Err("must be name:value, and a value has no line break or other control character");
    }
    if value.chars().any(|character| character > '\u{ff}') {
        return Err("must be name:value, and a value only has characters of latin-1");
    }
    // RFC 9112 §6: one value cannot be right for every response.
    if ["content-length", "transfer-encoding"].iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
        return Err(
            "must not be content-length or transfer-encoding, which differ from response to response",
        );
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// RFC 9110 §5.6.2, `tchar`.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
