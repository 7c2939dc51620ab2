//! Heads, kept as the bytes they are on the wire.
//!
//! A [`RequestHead`] owns one block with the request line and the field lines as received, and spans into
//! it: no allocation per field, order and duplicates kept. A [`ResponseHead`] gathers the application's
//! fields as one block of `name: value CRLF` lines, which HTTP/1 copies to the wire at once and HTTP/2 can
//! split again, because every line was validated on its way in.

use std::fmt;

use memchr::memchr;

/// The protocol version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// As ASGI's `http_version` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// A part of a block, in bytes from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The span of `part` inside `block`.
    ///
    /// `part` must be a subslice of `block`; anything else gives a span that [`Span::of`] clamps.
    pub(crate) fn locate(block: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(block.as_ptr() as usize);
        Self::new(start, start.wrapping_add(part.len()))
    }

    pub(crate) fn new(start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: clamp(start), end: clamp(end) }
    }

    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    fn of(self, block: &[u8]) -> &[u8] {
        block.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// The head of a request, checked against RFC 9112.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// Request line and field lines as received, without the empty line at the end.
    pub(crate) block: Box<[u8]>,
    pub(crate) version: Version,
    pub(crate) method: Span,
    pub(crate) path: Span,
    pub(crate) query: Span,
    /// From the first field line to the end of the last one.
    pub(crate) field_block: Span,
    /// Name and value of each field line, in order.
    pub(crate) fields: Vec<(Span, Span)>,
    /// The peer waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// `Connection` names `upgrade` and there is an `Upgrade` field.
    pub(crate) upgrade: bool,
}

impl RequestHead {
    /// The protocol version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The method, as sent: methods are case-sensitive (RFC 9110 §9.1).
    pub fn method(&self) -> &[u8] {
        self.method.of(&self.block)
    }

    /// The path of the target, still percent-encoded; `*` for `OPTIONS *`.
    pub fn path(&self) -> &[u8] {
        let path = self.path.of(&self.block);
        // `http://host?query` has an empty path, which means `/` (RFC 9110 §4.2.3).
        if path.is_empty() { b"/" } else { path }
    }

    /// What follows the first `?` of the target; empty without one.
    pub fn query(&self) -> &[u8] {
        self.query.of(&self.block)
    }

    /// Name and value of each field line in order; names in the case they were sent in.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.of(&self.block), value.of(&self.block)))
    }

    /// All field lines as one block; equal blocks mean equal fields.
    pub fn field_block(&self) -> &[u8] {
        self.field_block.of(&self.block)
    }

    /// Whether the peer waits for `100 Continue` (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether the peer takes trailers (RFC 9110 §10.1.4). Looks through all fields: for those who need it.
    pub fn accepts_trailers(&self) -> bool {
        self.fields()
            .any(|(name, value)| name.eq_ignore_ascii_case(b"te") && list_contains(value, b"trailers"))
    }

    /// Whether the peer asks to switch protocols (RFC 9110 §7.8).
    pub fn asks_for_upgrade(&self) -> bool {
        self.upgrade
    }
}

/// Why a field of the application cannot go on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldError {
    /// The name is empty or holds a byte that no token may hold (RFC 9110 §5.1).
    Name,
    /// The value holds CR, LF, NUL or another control character (RFC 9110 §5.5).
    Value,
    /// `content-length` is not a decimal number, or contradicts an earlier one.
    ContentLength,
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Name => "Invalid HTTP header name.",
            Self::Value | Self::ContentLength => "Invalid HTTP header value.",
        })
    }
}

impl std::error::Error for FieldError {}

/// The head of a response, as the application gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    status: u16,
    /// `name: value CRLF` for each field, names in lower case.
    lines: Vec<u8>,
    content_length: Option<u64>,
    has_transfer_encoding: bool,
    has_connection_close: bool,
}

/// Room for a date-less head of usual size, so that it needs no second allocation (arbitrary; not measured).
const USUAL_FIELDS_BYTES: usize = 192;

impl ResponseHead {
    /// A head without fields.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            lines: Vec::with_capacity(USUAL_FIELDS_BYTES),
            content_length: None,
            has_transfer_encoding: false,
            has_connection_close: false,
        }
    }

    /// Append a field; the name is lower-cased.
    ///
    /// # Errors
    /// The name or the value is not allowed on the wire. The head is unchanged then.
    pub fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), FieldError> {
        if name.is_empty() || !name.iter().all(|byte| NAME_BYTES[usize::from(*byte)] != 0) {
            return Err(FieldError::Name);
        }
        if !value.iter().all(|byte| is_value_byte(*byte)) {
            return Err(FieldError::Value);
        }
        if !self.note(name, value)? {
            return Ok(());
        }
        self.lines.extend(name.iter().map(|byte| NAME_BYTES[usize::from(*byte)]));
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value);
        self.lines.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Append the fields of another head; its status counts for nothing.
    pub fn append(&mut self, other: &Self) {
        self.lines.extend_from_slice(&other.lines);
    }

    /// Remember what the framing of the message depends on. False for a field that need not be sent.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<bool, FieldError> {
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.has_connection_close |= list_contains(value, b"close");
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = parse_decimal(value.trim_ascii()).ok_or(FieldError::ContentLength)?;
                match self.content_length.replace(length) {
                    None => {}
                    Some(before) if before == length => return Ok(false),
                    // Two lengths are two ways to read the message (RFC 9112 §6.3).
                    Some(_) => return Err(FieldError::ContentLength),
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.has_transfer_encoding = true,
            _ => {}
        }
        Ok(true)
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// All fields as `name: value CRLF` lines.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// All fields as `name: value CRLF` lines, to keep.
    pub fn into_lines(self) -> Vec<u8> {
        self.lines
    }

    /// Name and value of each field, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        split_lines(&self.lines)
    }

    /// The first `content-length` of the application.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether the application gave a `transfer-encoding`.
    pub fn has_transfer_encoding(&self) -> bool {
        self.has_transfer_encoding
    }

    /// Whether the application asked for the connection to be closed.
    pub fn has_connection_close(&self) -> bool {
        self.has_connection_close
    }
}

/// Name and value of each line of a block of `name: value CRLF` lines, in order.
pub fn split_lines(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.split_inclusive(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r\n")?;
        let colon = memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].strip_prefix(b" ")?))
    })
}

/// Whether a comma-separated list (RFC 9110 §5.6.1) has this member, compared without case.
pub fn list_contains(list: &[u8], member: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(member))
}

/// `1*DIGIT` and nothing else, within u64.
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)] != 0
}

fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// For each byte that may stand in a token its lower case, for every other byte 0.
const NAME_BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte: u8 = 0;
    while byte < 0x7f {
        let is_punctuation = matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        if byte.is_ascii_alphanumeric() || is_punctuation {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_cased_and_order_is_kept() {
        let mut head = ResponseHead::new(200);
        head.push(b"Content-Type", b"text/plain").unwrap();
        head.push(b"X-A", b"1").unwrap();
        assert_eq!(head.lines(), b"content-type: text/plain\r\nx-a: 1\r\n");
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [(&b"content-type"[..], &b"text/plain"[..]), (b"x-a", b"1")]);
    }

    #[test]
    fn bytes_that_split_a_response_are_refused() {
        let mut head = ResponseHead::new(200);
        assert_eq!(head.push(b"x", b"a\r\nb: c"), Err(FieldError::Value));
        assert_eq!(head.push(b"x", b"a\0"), Err(FieldError::Value));
        assert_eq!(head.push(b"x y", b"a"), Err(FieldError::Name));
        assert_eq!(head.push(b"", b"a"), Err(FieldError::Name));
        assert_eq!(head.push(b"content-length", b"five"), Err(FieldError::ContentLength));
        assert!(head.lines().is_empty());
    }

    #[test]
    fn framing_fields_are_noted() {
        let mut head = ResponseHead::new(200);
        head.push(b"Content-Length", b"12").unwrap();
        head.push(b"connection", b"foo, Close").unwrap();
        assert_eq!(head.content_length(), Some(12));
        assert!(head.has_connection_close());
        assert!(!head.has_transfer_encoding());
    }

    #[test]
    fn decimals_are_digits_only_and_do_not_overflow() {
        assert_eq!(parse_decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"+1", b"-0", b"1_0", b"0x5", b" 1", b"18446744073709551616"] {
            assert_eq!(parse_decimal(bad), None, "{bad:?}");
        }
    }
}
