//! Heads and trailers ⇄ what h2 takes and gives.
//!
//! h2's map keeps the lines of one name together, at the place of the first: the order of different names is as
//! given, both ways, and so is that of equal ones.

use bicorn_http::headers::split_lines;
use bicorn_http::http1::Limits;
use bicorn_http::{PeerError, RequestHead, ResponseHead, http2};
use bytes::Bytes;
use h2::ext::Protocol;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

/// Whether a request is an extended CONNECT for a WebSocket (RFC 8441 §4, §5).
pub(super) fn asks_for_websocket(parts: &Parts) -> bool {
    // h2 sees to it that nothing but CONNECT has a protocol, and that scheme and path are there with it.
    parts
        .extensions
        .get::<Protocol>()
        .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

/// Make the head of a request. A WebSocket's is that of the GET which asks for one over HTTP/1.1.
pub(super) fn request_head(parts: &Parts, limits: Limits) -> Result<RequestHead, PeerError> {
    let method = if asks_for_websocket(parts) { &Method::GET } else { &parts.method };
    let fields = || parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let request = http2::Request {
        method: method.as_str().as_bytes(),
        authority: parts.uri.authority().map(|authority| authority.as_str().as_bytes()),
        target: parts.uri.path_and_query().map_or(&b""[..], |target| target.as_str().as_bytes()),
    };
    http2::head(&request, fields, limits)
}

/// The server's own fields, parsed once for each text they have: the date changes once a second.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    lines: Vec<u8>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Defaults {
    /// Take these lines, if they differ from the last ones.
    pub(super) fn update(&mut self, lines: &[u8]) {
        if self.lines == lines {
            return;
        }
        self.lines.clear();
        self.lines.extend_from_slice(lines);
        self.fields.clear();
        self.fields.extend(split_lines(lines).filter(|(name, _)| !is_connections(name)).filter_map(
            |(name, value)| {
                let name = HeaderName::from_bytes(name).ok()?;
                Some((name, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
            },
        ));
    }

    /// The head of a response, the server's own fields first. `None` for a status that is none.
    pub(super) fn response(&self, head: ResponseHead) -> Option<Response<()>> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(head.status()).ok()?;
        let map = response.headers_mut();
        map.reserve(self.fields.len() + USUAL_FIELDS);
        for (name, value) in &self.fields {
            map.append(name, value.clone());
        }
        append(map, head);
        Some(response)
    }
}

/// Fields of a response that a map has room for from the start (arbitrary: a usual response).
const USUAL_FIELDS: usize = 6;

/// An interim response: the application's fields and no others.
pub(super) fn interim(head: ResponseHead) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status()).ok()?;
    append(response.headers_mut(), head);
    Some(response)
}

/// The head that accepts a WebSocket: the protocol's own field lines, then the application's. What follows is no
/// content (RFC 9110 §9.3.6), and has no length.
pub(super) fn acceptance(lines: &[u8], head: &ResponseHead) -> ResponseHead {
    let mut acceptance = ResponseHead::new(StatusCode::OK.as_u16());
    for (name, value) in split_lines(lines).chain(head.fields()) {
        if name != b"content-length" {
            // Every line was checked when it was given.
            let _ = acceptance.push(name, value);
        }
    }
    acceptance
}

/// Trailer fields; `None` without any.
pub(super) fn trailers(head: ResponseHead) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    append(&mut map, head);
    map.remove(http::header::CONTENT_LENGTH);
    (!map.is_empty()).then_some(map)
}

/// Add the application's fields, whose values stay parts of its one block.
fn append(map: &mut HeaderMap, head: ResponseHead) {
    // RFC 9110 §8.6: a 204 and an interim response have no content-length.
    let has_length = !matches!(head.status(), 100..=199 | 204);
    let lines = Bytes::from(head.into_lines());
    for (name, value) in split_lines(&lines) {
        if is_connections(name) || (!has_length && name == b"content-length") {
            continue;
        }
        // RFC 9113 §8.2.1: no white space around a value.
        let value = lines.slice_ref(value.trim_ascii());
        // Every line was checked when the application gave it.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_maybe_shared(value)) {
            // An error says that there are more than 32,768 fields; h2 could not send them either.
            let _ = map.try_append(name, value);
        }
    }
}

/// Whether a field speaks of a connection of HTTP/1, and has no place in HTTP/2 (RFC 9113 §8.2.2).
fn is_connections(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" | b"te"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        let mut head = ResponseHead::new(status);
        for (name, value) in fields {
            head.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        head
    }

    fn lines(map: &HeaderMap) -> Vec<String> {
        map.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn fields_of_a_connection_are_left_out() {
        let mut defaults = Defaults::default();
        defaults.update(b"date: d\r\nconnection: close\r\n");
        let fields = [
            ("Connection", "close"),
            ("transfer-encoding", "chunked"),
            ("x", " y "),
            ("content-length", "3"),
        ];
        let response = defaults.response(head(200, &fields)).unwrap();
        assert_eq!(lines(response.headers()), ["date=d", "x=y", "content-length=3"]);
    }

    #[test]
    fn equal_names_keep_their_order() {
        let fields = [("set-cookie", "a"), ("x", "y"), ("set-cookie", "b")];
        let response = Defaults::default().response(head(200, &fields)).unwrap();
        assert_eq!(lines(response.headers()), ["set-cookie=a", "set-cookie=b", "x=y"]);
    }

    #[test]
    fn no_content_has_no_length() {
        let response = Defaults::default().response(head(204, &[("content-length", "0")])).unwrap();
        assert_eq!(lines(response.headers()), [""; 0]);
    }

    #[test]
    fn an_impossible_status_is_no_response() {
        assert!(Defaults::default().response(head(99, &[])).is_none());
        assert!(Defaults::default().response(head(1000, &[])).is_none());
    }

    #[test]
    fn trailers_without_fields_are_none() {
        assert!(trailers(head(0, &[("content-length", "1")])).is_none());
        assert_eq!(lines(&trailers(head(0, &[("x-sum", "1")])).unwrap()), ["x-sum=1"]);
    }
}
