//! HTTP/2 request → [`RequestHead`] (RFC 9113 §8.3).
//!
//! Frames, header compression and flow control belong to whoever has the socket. This takes the pseudo-fields
//! and the field list of one request, obeys the rules and limits of HTTP/1 heads, and writes the head as one
//! block of the same shape, so that nothing above sees a difference but the version.

use httparse::Header;

use crate::error::PeerError;
use crate::headers::{RequestHead, Span, Version};
use crate::http1::Limits;
use crate::http1::head::Seen;
use crate::http1::target;

/// The pseudo-fields of a request (RFC 9113 §8.3.1), but for `:scheme`: what the connection is, or a trusted proxy
/// says, counts.
#[derive(Debug)]
pub struct Request<'a> {
    /// `:method`
    pub method: &'a [u8],
    /// `:authority`, if there is one.
    pub authority: Option<&'a [u8]>,
    /// `:path`; empty for `CONNECT`.
    pub target: &'a [u8],
}

/// Make a head; `fields` gives name, in lower case, and value of each field behind the pseudo-fields. `host` comes
/// first, whichever way the peer named it; the crumbs of `cookie` become one line, where the first of them stood
/// (RFC 9113 §8.2.3).
///
/// # Errors
/// The request is malformed, or crosses a limit.
pub fn head<'a, Fields>(
    request: &Request<'a>,
    fields: impl Fn() -> Fields,
    limits: Limits,
) -> Result<RequestHead, PeerError>
where
    Fields: Iterator<Item = (&'a str, &'a [u8])>,
{
    let target = check_target(request.method, request.target, limits)?;
    let host = host(request.authority, fields())?;
    let mut seen = Seen::default();
    seen.note(&Header { name: "host", value: host })?;
    let length: usize = fields().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut block =
        Block::new(request.method.len() + request.target.len() + host.len() + length + 32, limits);
    block.put(request.method);
    block.put(b" ");
    let path_start = block.bytes.len();
    block.put(request.target);
    block.put(b" HTTP/2\r\n");
    let field_start = block.bytes.len();
    block.field("host", [host].into_iter())?;
    for (name, value) in fields() {
        match name {
            "host" => {}
            "cookie" if block.has_cookie => {}
            "cookie" => {
                block.has_cookie = true;
                let crumbs = fields().filter(|(name, _)| *name == "cookie");
                block.field(name, crumbs.map(|(_, value)| value))?;
            }
            _ => {
                seen.note(&Header { name, value })?;
                block.field(name, [value].into_iter())?;
            }
        }
    }
    let query_start = path_start + target.path.len() + 1;
    Ok(RequestHead {
        version: Version::Http2,
        method: Span::new(0, request.method.len()),
        path: Span::new(path_start, path_start + target.path.len()),
        query: Span::new(query_start, query_start + target.query.len()),
        field_block: Span::new(field_start, block.bytes.len()),
        fields: block.fields,
        expects_continue: seen.expects_continue,
        upgrade: false,
        block: block.bytes.into_boxed_slice(),
    })
}

/// RFC 9113 §8.3.1: `:path` has origin-form or asterisk-form, never a whole URI.
fn check_target<'a>(method: &[u8], text: &'a [u8], limits: Limits) -> Result<target::Target<'a>, PeerError> {
    let target = target::parse(method, text)?;
    if text.len() > limits.target_limit() {
        return Err(PeerError::TargetTooLong);
    }
    if matches!(text.first(), Some(b'/' | b'*')) { Ok(target) } else { Err(PeerError::Target) }
}

/// What the request is for: `:authority`, or the only `host`. RFC 9113 §8.3.1 lets a server refuse a request
/// in which they differ, and the two must not be told apart by what is behind this server.
fn host<'a>(
    authority: Option<&'a [u8]>,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<&'a [u8], PeerError> {
    let mut named = authority;
    let mut has_field = false;
    for (_, value) in fields.filter(|(name, _)| *name == "host") {
        if has_field || named.is_some_and(|named| named != value) {
            return Err(PeerError::Host);
        }
        has_field = true;
        named = Some(value);
    }
    named.ok_or(PeerError::Host)
}

/// A head in the making.
struct Block {
    bytes: Vec<u8>,
    fields: Vec<(Span, Span)>,
    has_cookie: bool,
    limits: Limits,
}

impl Block {
    fn new(capacity: usize, limits: Limits) -> Self {
        // A crumb more or less: the block becomes a boxed slice of its exact length.
        Self {
            bytes: Vec::with_capacity(capacity),
            fields: Vec::with_capacity(16),
            has_cookie: false,
            limits,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Add one line, whose value is `parts` with `"; "` between them.
    fn field<'v>(&mut self, name: &str, parts: impl Iterator<Item = &'v [u8]>) -> Result<(), PeerError> {
        let start = self.bytes.len();
        self.put(name.as_bytes());
        let name_end = self.bytes.len();
        self.put(b": ");
        let value_start = self.bytes.len();
        for (index, part) in parts.enumerate() {
            // RFC 9113 §8.2.1; the rest of its list was refused with the frame.
            if part.first().is_some_and(u8::is_ascii_whitespace)
                || part.last().is_some_and(u8::is_ascii_whitespace)
            {
                return Err(PeerError::Field);
            }
            if index > 0 {
                self.put(b"; ");
            }
            self.put(part);
        }
        self.fields.push((Span::new(start, name_end), Span::new(value_start, self.bytes.len())));
        self.put(b"\r\n");
        if self.fields.len() > self.limits.field_limit() {
            return Err(PeerError::TooManyFields);
        }
        if self.bytes.len() > self.limits.head_limit() {
            return Err(PeerError::HeadTooLarge);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn make<'a>(
        method: &'a str,
        authority: Option<&'a str>,
        target: &'a str,
        fields: Pairs<'a>,
    ) -> Result<RequestHead, PeerError> {
        let authority = authority.map(str::as_bytes);
        let request = Request { method: method.as_bytes(), authority, target: target.as_bytes() };
        head(&request, || fields.iter().map(|(name, value)| (*name, value.as_bytes())), Limits::default())
    }

    #[test]
    fn a_head_has_the_shape_of_http_1s() {
        let head = make("GET", Some("h:80"), "/a/b?c=d", &[("x-a", "1"), ("x-b", "")]).unwrap();
        assert_eq!((head.method(), head.path(), head.query()), (&b"GET"[..], &b"/a/b"[..], &b"c=d"[..]));
        assert_eq!(head.version(), Version::Http2);
        assert_eq!(head.field_block(), b"host: h:80\r\nx-a: 1\r\nx-b: \r\n");
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields, [(&b"host"[..], &b"h:80"[..]), (b"x-a", b"1"), (b"x-b", b"")]);
    }

    #[test]
    fn crumbs_become_one_line_where_the_first_stood() {
        let fields = [("a", "1"), ("cookie", "b=c"), ("d", "2"), ("cookie", "e=f"), ("cookie", "g")];
        let head = make("GET", Some("h"), "/", &fields).unwrap();
        assert_eq!(head.field_block(), b"host: h\r\na: 1\r\ncookie: b=c; e=f; g\r\nd: 2\r\n");
        assert_eq!(head.fields().len(), 4);
    }

    #[test]
    fn host_is_named_once_or_twice_the_same() {
        let block =
            |authority, fields| make("GET", authority, "/", fields).map(|head| head.field_block().to_vec());
        assert_eq!(block(None, &[("a", "b"), ("host", "h")]).unwrap(), b"host: h\r\na: b\r\n");
        assert_eq!(block(Some("h"), &[("host", "h")]).unwrap(), b"host: h\r\n");
        for (authority, fields) in [
            (None, &[][..]),
            (Some("h"), &[("host", "i")]),
            (Some("h"), &[("host", "h"), ("host", "h")]),
            (None, &[("host", "h"), ("host", "h")]),
            (Some("u@h"), &[]),
            (Some(""), &[]),
        ] {
            assert_eq!(block(authority, fields), Err(PeerError::Host), "{authority:?} {fields:?}");
        }
    }

    #[test]
    fn what_http_1_refuses_is_refused() {
        let table: &[(&str, &str, Pairs<'_>, PeerError)] = &[
            ("GET", "", &[], PeerError::Target),
            ("GET", "http://h/", &[], PeerError::Target),
            ("GET", "*", &[], PeerError::Target),
            ("GET", "/caf\u{e9}", &[], PeerError::Target),
            ("CONNECT", "", &[], PeerError::Method),
            ("POST", "/", &[("content-length", "1"), ("content-length", "1")], PeerError::ContentLength),
            ("POST", "/", &[("content-length", "+1")], PeerError::ContentLength),
            ("POST", "/", &[("content-type", "a/b"), ("content-type", "a/b")], PeerError::ContentType),
            ("POST", "/", &[("expect", "x")], PeerError::Expectation),
            ("GET", "/", &[("a", " b")], PeerError::Field),
            ("GET", "/", &[("a", "b\t")], PeerError::Field),
            ("GET", "/", &[("cookie", "b"), ("cookie", " c")], PeerError::Field),
        ];
        for (method, target, fields, error) in table {
            let made = make(method, Some("h"), target, fields);
            assert_eq!(made, Err(*error), "{method} {target} {fields:?}");
        }
    }

    #[test]
    fn limits_are_http_1s() {
        let many = [("a", "b"); 100];
        assert_eq!(make("GET", Some("h"), "/", &many), Err(PeerError::TooManyFields));
        assert!(make("GET", Some("h"), "/", &many[1..]).is_ok());
        let crumbs = vec![("cookie", "b"); 1000];
        assert!(make("GET", Some("h"), "/", &crumbs).is_ok());
        let long = "x".repeat(64 * 1024);
        assert_eq!(make("GET", Some("h"), "/", &[("a", &long)]), Err(PeerError::HeadTooLarge));
        assert_eq!(make("GET", Some("h"), &format!("/{long}"), &[]), Err(PeerError::TargetTooLong));
    }

    #[test]
    fn an_expectation_is_noted() {
        assert!(make("POST", Some("h"), "/", &[("expect", "100-continue")]).unwrap().expects_continue());
    }
}
