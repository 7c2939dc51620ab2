//! The request head (RFC 9112 §2-§6): from bytes to a [`RequestHead`] and the framing of its content.
//!
//! httparse splits lines, names and values and refuses control characters, folding and a space before the
//! colon. What it lets through and RFC 9112 does not is refused here: line ends other than CRLF, `Host`
//! that is missing, repeated or malformed, every doubtful `Content-Length` and `Transfer-Encoding`.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Request, Status};

use super::target;
use crate::error::PeerError;
use crate::headers::{RequestHead, Span, Version, is_token_byte, list_contains, parse_decimal};

/// What a request head may use. 0 in any field means no limit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the whole head; more is answered with 431.
    pub head_bytes: usize,
    /// Field lines; more are answered with 431.
    pub fields: usize,
    /// Bytes of the request target; more are answered with 414.
    pub target_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 64 * 1024, fields: 100, target_bytes: 16 * 1024 }
    }
}

impl Limits {
    /// The head limit with "off" as the largest head that spans can address comfortably.
    pub(super) fn head_limit(self) -> usize {
        if self.head_bytes == 0 { UNLIMITED_HEAD_BYTES } else { self.head_bytes }
    }

    fn target_limit(self) -> usize {
        if self.target_bytes == 0 { usize::MAX } else { self.target_bytes }
    }

    fn field_limit(self) -> usize {
        if self.fields == 0 { UNLIMITED_FIELDS } else { self.fields }
    }
}

/// "No limit" for a head: spans are 32 bits wide, and nobody sends a head of 1 GiB in good faith.
const UNLIMITED_HEAD_BYTES: usize = 1 << 30;
/// "No limit" for fields: what 1 MiB of the shortest field lines holds.
const UNLIMITED_FIELDS: usize = 200_000;
/// Fields that are parsed on the stack.
const STACK_FIELDS: usize = 100;
/// No registered method is longer than 17 bytes; more than this without a space is not HTTP.
const METHOD_BYTES: usize = 64;
/// Empty lines that are skipped before a request line (RFC 9112 §2.2 asks for one CRLF at least).
const EMPTY_LINES_BYTES: usize = 8;

/// How the content of a request is delimited (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Exactly so many bytes; 0 for a request without content.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// A complete head.
#[derive(Debug)]
pub struct Parsed {
    /// The head.
    pub head: RequestHead,
    /// How its content is delimited.
    pub framing: Framing,
    /// Whether the peer wants to use the connection again.
    pub keep_alive: bool,
    /// Bytes of the input that were the head, with the empty line.
    pub length: usize,
}

/// Parse a request head at the start of `input`; `None` when more bytes are needed.
///
/// # Errors
/// The head is malformed or crosses a limit; also as soon as no continuation could repair it.
pub fn parse(input: &[u8], limits: Limits) -> Result<Option<Parsed>, PeerError> {
    let parsed = if limits.field_limit() <= STACK_FIELDS {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; STACK_FIELDS];
        tokenise(input, &mut fields[..limits.field_limit()], limits)?
    } else {
        let mut fields = vec![MaybeUninit::<Header<'_>>::uninit(); limits.field_limit()];
        tokenise(input, &mut fields, limits)?
    };
    if parsed.is_none() {
        refuse_partial(input, limits)?;
    }
    Ok(parsed)
}

fn tokenise<'input>(
    input: &'input [u8],
    fields: &mut [MaybeUninit<Header<'input>>],
    limits: Limits,
) -> Result<Option<Parsed>, PeerError> {
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(input, fields) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(Error::Version) if is_version_unfinished(input) => return Ok(None),
        Err(error) => return Err(explain(error, input)),
    };
    let (Some(method), Some(path), Some(version)) = (request.method, request.path, request.version) else {
        return Err(PeerError::RequestLine);
    };
    // Empty lines before the request line are skipped (RFC 9112 §2.2); the block starts at the method.
    let start = (method.as_ptr() as usize).wrapping_sub(input.as_ptr() as usize);
    let block = input.get(start..length).ok_or(PeerError::RequestLine)?;
    refuse_bare_line_feed(&input[..length])?;
    if start > EMPTY_LINES_BYTES || method.len() > METHOD_BYTES {
        return Err(PeerError::RequestLine);
    }
    if path.len() > limits.target_limit() {
        return Err(PeerError::TargetTooLong);
    }
    if length > limits.head_limit() {
        return Err(PeerError::HeadTooLarge);
    }
    let version = if version == 0 { Version::Http10 } else { Version::Http11 };
    let semantics = Semantics::of(request.headers, version)?;
    let target = target::parse(method.as_bytes(), path.as_bytes())?;
    let fields: Vec<_> = request
        .headers
        .iter()
        .map(|field| (Span::locate(block, field.name.as_bytes()), Span::locate(block, field.value)))
        .collect();
    let head = RequestHead {
        version,
        method: Span::locate(block, method.as_bytes()),
        path: Span::locate(block, target.path),
        query: Span::locate(block, target.query),
        field_block: Span::new(
            request.headers.first().map_or(0, |field| Span::locate(block, field.name.as_bytes()).start()),
            block.len().saturating_sub(2),
        ),
        fields,
        expects_continue: semantics.expects_continue,
        upgrade: semantics.asks_for_upgrade,
        block: block.into(),
    };
    Ok(Some(Parsed { head, framing: semantics.framing, keep_alive: semantics.keep_alive, length }))
}

/// What the fields mean for the connection.
struct Semantics {
    framing: Framing,
    keep_alive: bool,
    expects_continue: bool,
    asks_for_upgrade: bool,
}

impl Semantics {
    fn of(fields: &[Header<'_>], version: Version) -> Result<Self, PeerError> {
        let mut seen = Seen::default();
        for field in fields {
            seen.note(field)?;
        }
        // RFC 9112 §3.2: exactly one Host in HTTP/1.1.
        if version == Version::Http11 && !seen.host {
            return Err(PeerError::Host);
        }
        let keep_alive = match version {
            Version::Http11 | Version::Http2 => !seen.connection_close,
            Version::Http10 => seen.connection_keep_alive && !seen.connection_close,
        };
        let asks_for_upgrade = seen.connection_upgrade && seen.upgrade && version == Version::Http11;
        Ok(Self {
            framing: seen.framing(version)?,
            keep_alive,
            // A 1.0 peer cannot be sent an interim response (RFC 9110 §10.1.1).
            expects_continue: seen.expects_continue && version == Version::Http11,
            asks_for_upgrade,
        })
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact of the field list")]
struct Seen {
    host: bool,
    content_type: bool,
    content_length: Option<u64>,
    chunked: bool,
    connection_close: bool,
    connection_keep_alive: bool,
    connection_upgrade: bool,
    upgrade: bool,
    expects_continue: bool,
}

impl Seen {
    fn note(&mut self, field: &Header<'_>) -> Result<(), PeerError> {
        let name = field.name.as_bytes();
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"host") => {
                if self.host || !target::is_host(field.value) {
                    return Err(PeerError::Host);
                }
                self.host = true;
            }
            6 if is(b"expect") => {
                if !field.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(PeerError::Expectation);
                }
                self.expects_continue = true;
            }
            7 if is(b"upgrade") => self.upgrade = true,
            10 if is(b"connection") => {
                self.connection_close |= list_contains(field.value, b"close");
                self.connection_keep_alive |= list_contains(field.value, b"keep-alive");
                self.connection_upgrade |= list_contains(field.value, b"upgrade");
            }
            12 if is(b"content-type") => {
                if self.content_type {
                    return Err(PeerError::ContentType);
                }
                self.content_type = true;
            }
            14 if is(b"content-length") => {
                // A second one, a list, a sign: RFC 9112 §6.3 allows to refuse all of them.
                let length = parse_decimal(field.value).ok_or(PeerError::ContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(PeerError::ContentLength);
                }
            }
            17 if is(b"transfer-encoding") => self.note_transfer_encoding(field.value)?,
            _ => {}
        }
        Ok(())
    }

    fn note_transfer_encoding(&mut self, value: &[u8]) -> Result<(), PeerError> {
        if value.eq_ignore_ascii_case(b"chunked") && !self.chunked {
            self.chunked = true;
            return Ok(());
        }
        let codings: Vec<_> = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
        let is_list =
            codings.iter().all(|coding| !coding.is_empty() && coding.iter().all(|byte| is_token_byte(*byte)));
        // `chunked` anywhere but once at the end is a way to be misread; other codings are merely unknown.
        let is_misplaced = codings.iter().rev().skip(1).any(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        Err(if is_list && !is_misplaced && !self.chunked {
            PeerError::UnknownTransferCoding
        } else {
            PeerError::TransferEncoding
        })
    }

    fn framing(&self, version: Version) -> Result<Framing, PeerError> {
        match (self.chunked, self.content_length) {
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
            // RFC 9112 §6.1: a server may refuse both together, and must not trust a 1.0 peer's coding.
            (true, Some(_)) => Err(PeerError::TransferEncoding),
            (true, None) if version == Version::Http10 => Err(PeerError::TransferEncoding),
            (true, None) => Ok(Framing::Chunked),
        }
    }
}

fn explain(error: Error, input: &[u8]) -> PeerError {
    match error {
        Error::HeaderName | Error::HeaderValue => PeerError::Field,
        Error::NewLine => PeerError::LineEnd,
        Error::TooManyHeaders => PeerError::TooManyFields,
        Error::Version if names_other_version(input) => PeerError::Version,
        Error::Version | Error::Token | Error::Status => PeerError::RequestLine,
    }
}

/// Whether the request line is `method SP target SP HTTP/DIGIT.DIGIT` (RFC 9112 §2.3) of another version.
fn names_other_version(input: &[u8]) -> bool {
    let line = input.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or(input);
    let mut parts = line.trim_ascii_end().split(|byte| *byte == b' ');
    let version = parts.nth(2).unwrap_or_default();
    let is_well_formed = matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit());
    is_well_formed && parts.next().is_none()
}

/// Whether the input ends inside a version that may become a well-formed one: which answer it gets must not
/// depend on how the bytes are cut.
fn is_version_unfinished(input: &[u8]) -> bool {
    let start = input.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(input.len());
    let mut parts = input[start..].splitn(3, |byte| *byte == b' ').skip(2);
    let is_prefix = |version: &[u8]| {
        let shape = *b"HTTP/0.0";
        version.len() < shape.len()
            && version
                .iter()
                .zip(shape)
                .all(|(byte, wanted)| if wanted == b'0' { byte.is_ascii_digit() } else { *byte == wanted })
    };
    parts.next().is_some_and(is_prefix)
}

/// RFC 9112 §2.2 lets a recipient take a lone LF as a line end; a proxy may not, so it is refused.
fn refuse_bare_line_feed(head: &[u8]) -> Result<(), PeerError> {
    let is_bare = |position: usize| position == 0 || head[position - 1] != b'\r';
    if memchr::memchr_iter(b'\n', head).any(is_bare) { Err(PeerError::LineEnd) } else { Ok(()) }
}

/// Refuse an incomplete head that no continuation can make valid, or that is too large already.
fn refuse_partial(input: &[u8], limits: Limits) -> Result<(), PeerError> {
    refuse_bare_line_feed(input)?;
    let start = input.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(input.len());
    if start > EMPTY_LINES_BYTES {
        return Err(PeerError::RequestLine);
    }
    let line = &input[start..];
    let line_end = memchr::memchr(b'\n', line);
    let method_end = memchr::memchr(b' ', &line[..line_end.unwrap_or(line.len())]);
    if method_end.unwrap_or(line.len()) > METHOD_BYTES {
        return Err(PeerError::RequestLine);
    }
    if line_end.is_none() {
        let target = method_end.map_or(&b""[..], |end| &line[end + 1..]);
        let target = &target[..memchr::memchr(b' ', target).unwrap_or(target.len())];
        if target.len() > limits.target_limit() {
            return Err(PeerError::TargetTooLong);
        }
    }
    if input.len() >= limits.head_limit() {
        return Err(PeerError::HeadTooLarge);
    }
    Ok(())
}
