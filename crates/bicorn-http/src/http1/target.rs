//! Request targets (RFC 9112 §3.2) and `Host` (RFC 9110 §7.2).

use crate::error::PeerError;

/// Path and query of a request target, as parts of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Empty for an absolute-form without a path.
    pub(crate) path: &'a [u8],
    pub(crate) query: &'a [u8],
}

/// Split a request target.
///
/// `target` holds no control characters and no space: the tokeniser saw to that.
pub(crate) fn parse<'a>(method: &[u8], target: &'a [u8]) -> Result<Target<'a>, PeerError> {
    if method == b"CONNECT" {
        return Err(PeerError::Method);
    }
    // A URI is ASCII (RFC 3986 §2), and a fragment is never sent (RFC 9112 §3.2: no form has one).
    if target.iter().any(|byte| !byte.is_ascii() || *byte == b'#') {
        return Err(PeerError::Target);
    }
    if target.first() == Some(&b'/') {
        return Ok(split_query(target));
    }
    if target == b"*" {
        // asterisk-form belongs to OPTIONS alone (RFC 9112 §3.2.4).
        return if method == b"OPTIONS" {
            Ok(Target { path: target, query: b"" })
        } else {
            Err(PeerError::Target)
        };
    }
    absolute(target)
}

/// `scheme "://" authority path-abempty [ "?" query ]` (RFC 9112 §3.2.2).
fn absolute(target: &[u8]) -> Result<Target<'_>, PeerError> {
    let (scheme, rest) = target
        .windows(3)
        .position(|window| window == b"://")
        .map(|position| (&target[..position], &target[position + 3..]))
        .ok_or(PeerError::Target)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(PeerError::Target);
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !is_host(authority) {
        return Err(PeerError::Target);
    }
    Ok(split_query(path))
}

fn split_query(target: &[u8]) -> Target<'_> {
    match memchr::memchr(b'?', target) {
        Some(position) => Target { path: &target[..position], query: &target[position + 1..] },
        None => Target { path: target, query: b"" },
    }
}

/// Whether a `Host` value is `uri-host [ ":" port ]` (RFC 9110 §7.2) and not empty.
pub(crate) fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value.first() {
        None => return false,
        Some(b'[') => match memchr::memchr(b']', value) {
            Some(end) if value[1..end].iter().all(|byte| is_ip_literal_byte(*byte)) && end > 1 => {
                value.split_at(end + 1)
            }
            _ => return false,
        },
        Some(_) => value.split_at(memchr::memchr(b':', value).unwrap_or(value.len())),
    };
    let is_port = match port.split_first() {
        None => true,
        Some((b':', digits)) => digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    is_port && !host.is_empty() && (host[0] == b'[' || host.iter().all(|byte| is_reg_name_byte(*byte)))
}

/// `unreserved / pct-encoded / sub-delims` (RFC 3986 §3.2.2), but no comma: a list of hosts is an attack.
fn is_reg_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}

fn is_ip_literal_byte(byte: u8) -> bool {
    byte == b':' || is_reg_name_byte(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_path_and_query() {
        let table = [
            ("GET", "/a/b?c=d?e", "/a/b", "c=d?e"),
            ("GET", "/", "/", ""),
            ("GET", "http://h:1/p?q", "/p", "q"),
            ("GET", "https://h", "", ""),
            ("GET", "HTTP://h?q", "", "q"),
            ("OPTIONS", "*", "*", ""),
        ];
        for (method, target, path, query) in table {
            let expected = Target { path: path.as_bytes(), query: query.as_bytes() };
            assert_eq!(parse(method.as_bytes(), target.as_bytes()), Ok(expected), "{target:?}");
        }
    }

    #[test]
    fn other_targets_are_refused() {
        let table: [(&[u8], &[u8], PeerError); 8] = [
            (b"GET", b"*", PeerError::Target),
            (b"GET", b"/a#b", PeerError::Target),
            (b"GET", "/café".as_bytes(), PeerError::Target),
            (b"GET", b"a/b", PeerError::Target),
            (b"GET", b"ftp://h/", PeerError::Target),
            (b"GET", b"http:///p", PeerError::Target),
            (b"GET", b"http://u@h/p", PeerError::Target),
            (b"CONNECT", b"h:443", PeerError::Method),
        ];
        for (method, target, error) in table {
            assert_eq!(parse(method, target), Err(error), "{target:?}");
        }
    }

    #[test]
    fn hosts() {
        for good in ["localhost", "a.b:80", "127.0.0.1:8000", "[::1]", "[::1]:80", "a_b", "h:"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in ["", ":80", "u@h", "h/p", "a,b", "a b", "[::1", "[]", "h:8a", "[::1]x", "h:1:2", "a\tb"] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
