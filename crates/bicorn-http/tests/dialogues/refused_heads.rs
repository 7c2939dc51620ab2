//! Heads that RFC 9112 and RFC 9110 forbid, and the error that each is answered with.
//!
//! What one server reads differently from the proxy in front of it is a way to smuggle a request: each row
//! has been one somewhere.

use bicorn_http::PeerError;

use crate::dialogue::{Said, converse};

type Refused = (&'static [u8], PeerError);

/// Whole heads.
const HEADS: &[Refused] = &[
    // RFC 9112 §3: method SP request-target SP HTTP-version CRLF.
    (b"GET /\r\n\r\n", PeerError::RequestLine),
    (b"GET\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"G\xc9T / HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET / http/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET / HTTP/1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET / HTTP /1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"GET / \r\nHost: h\r\n\r\n", PeerError::RequestLine),
    (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", PeerError::RequestLine),
    (b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::RequestLine),
    // RFC 9112 §2.3.
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PeerError::Version),
    (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", PeerError::Version),
    (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", PeerError::Version),
    (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", PeerError::Version),
    (b"GET / HTTP/1.9\r\nHost: h\r\n\r\n", PeerError::Version),
    // RFC 9112 §2.2: CRLF, nothing else, ends a line.
    (b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::LineEnd),
    (b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::LineEnd),
    (b"GET / HTTP/1.1\nHost: h\r\n\r\n", PeerError::LineEnd),
    (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", PeerError::LineEnd),
    (b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", PeerError::LineEnd),
    (b"GET / HTTP/1.1\rHost: h\r\n\r\n", PeerError::LineEnd),
    (b"GET / HTTP/1.1\r\nHost: h\n\r\n", PeerError::LineEnd),
    (b"GET / HTTP/1.1\r\nHost: h\r\n\n", PeerError::LineEnd),
    (b"GET / HTTP/1.1\nHost: h\n\n", PeerError::LineEnd),
    (b"GET / HTTP/1.1\r\nHost: h\r\n\rX\r\n\r\n", PeerError::LineEnd),
    (b"GET / HTTP/1.1\r\n\rHost: h\r\n\r\n", PeerError::LineEnd),
    // RFC 9112 §3.2.
    (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"GET a/b HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"GET ?q HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"GET http://h/#b HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"GET http:///p HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"GET http://u:p@h/ HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"OPTIONS ** HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Target),
    (b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", PeerError::Method),
    // RFC 9112 §3.2: one Host in 1.1; RFC 9112 §6.1: no transfer coding in 1.0.
    (b"GET / HTTP/1.1\r\n\r\n", PeerError::Host),
    (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", PeerError::Host),
    (b"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", PeerError::Host),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", PeerError::TransferEncoding),
    (
        b"POST / HTTP/1.0\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        PeerError::TransferEncoding,
    ),
];

/// Field lines in a head that would be good without them: `GET`, with `Host: h` in front.
const FIELDS: &[Refused] = &[
    // RFC 9112 §5, RFC 9110 §5.
    (b"A : b\r\n", PeerError::Field),
    (b"A\t: b\r\n", PeerError::Field),
    (b" A: b\r\n", PeerError::Field),
    (b"\tA: b\r\n", PeerError::Field),
    (b"A: b\r\n c\r\n", PeerError::Field),
    (b"A: b\r\n\tc\r\n", PeerError::Field),
    (b"A:\r\n b\r\n", PeerError::Field),
    (b"A b\r\n", PeerError::Field),
    (b"A\r\n", PeerError::Field),
    (b": b\r\n", PeerError::Field),
    (b"A(: b\r\n", PeerError::Field),
    (b"\xc1: b\r\n", PeerError::Field),
    (b"A\0: b\r\n", PeerError::Field),
    (b"A: b\0c\r\n", PeerError::Field),
    (b"A: b\x0bc\r\n", PeerError::Field),
    (b"A: b\x0cc\r\n", PeerError::Field),
    (b"A: b\x1cc\r\n", PeerError::Field),
    (b"A: b\x1f\r\n", PeerError::Field),
    (b"A: \x1bc\r\n", PeerError::Field),
    (b"A: b\x7fc\r\n", PeerError::Field),
    (b"A: b\rc: d\r\n", PeerError::Field),
    (b"A: b\r\r\n", PeerError::Field),
    // RFC 9112 §3.2.
    (b"Host: h\r\n", PeerError::Host),
    (b"hOST: other\r\n", PeerError::Host),
    // RFC 9112 §6.3.
    (b"Content-Length: \r\n", PeerError::ContentLength),
    (b"Content-Length: +5\r\n", PeerError::ContentLength),
    (b"Content-Length: -0\r\n", PeerError::ContentLength),
    (b"Content-Length: 0x5\r\n", PeerError::ContentLength),
    (b"Content-Length: 5a\r\n", PeerError::ContentLength),
    (b"Content-Length: 5 5\r\n", PeerError::ContentLength),
    (b"Content-Length: 1_0\r\n", PeerError::ContentLength),
    (b"Content-Length: 5.0\r\n", PeerError::ContentLength),
    (b"Content-Length: \"5\"\r\n", PeerError::ContentLength),
    (b"Content-Length: \xb2\r\n", PeerError::ContentLength),
    (b"Content-Length: 5, 5\r\n", PeerError::ContentLength),
    (b"Content-Length: 5,\r\n", PeerError::ContentLength),
    (b"Content-Length: 5\r\nContent-Length: 5\r\n", PeerError::ContentLength),
    (b"Content-Length: 5\r\nA: b\r\ncontent-length: 6\r\n", PeerError::ContentLength),
    (b"Content-Length: 18446744073709551616\r\n", PeerError::ContentLength),
    // RFC 9112 §6.1: both framings, or a coding that may be understood in two ways.
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding:\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: chunked, chunked\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: chunked, gzip\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: ,chunked\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: chunked,\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: \"chunked\"\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: chunked;q=1\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: chun ked\r\n", PeerError::TransferEncoding),
    (b"Transfer-Encoding: chunked\xa0\r\n", PeerError::TransferEncoding),
    // RFC 9112 §6.1: a coding that is merely unknown.
    (b"Transfer-Encoding: gzip\r\n", PeerError::UnknownTransferCoding),
    (b"Transfer-Encoding: identity\r\n", PeerError::UnknownTransferCoding),
    (b"Transfer-Encoding: xchunked\r\n", PeerError::UnknownTransferCoding),
    (b"Transfer-Encoding: gzip, chunked\r\n", PeerError::UnknownTransferCoding),
    (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", PeerError::UnknownTransferCoding),
    (b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", PeerError::UnknownTransferCoding),
    // RFC 9110 §8.3, §10.1.1.
    (b"Content-Type: a/b\r\ncontent-type: a/b\r\n", PeerError::ContentType),
    (b"Expect: 200-ok\r\n", PeerError::Expectation),
    (b"Expect: 100-continue, x\r\n", PeerError::Expectation),
    (b"Expect:\r\n", PeerError::Expectation),
];

/// Values of the only `Host`.
const HOSTS: &[&[u8]] = &[
    b"", b":80", b"a,b", b"a b", b"a/b", b"u@h", b"h:x", b"h:1:2", b"[::1", b"[]", b"[::1]x", b"a\tb", b"h#",
    b"h?", b"\xe9", b"h\\",
];

/// Every head of this file with a name.
pub(crate) fn refused_heads() -> impl Iterator<Item = (String, Vec<u8>, PeerError)> {
    let heads = HEADS.iter().map(|(head, error)| (head.to_vec(), *error));
    let fields = FIELDS
        .iter()
        .map(|(lines, error)| ([b"GET / HTTP/1.1\r\nHost: h\r\n", *lines, b"\r\n"].concat(), *error));
    let hosts = HOSTS
        .iter()
        .map(|host| ([b"GET / HTTP/1.1\r\nHost: ", *host, b"\r\n\r\n"].concat(), PeerError::Host));
    heads.chain(fields).chain(hosts).map(|(head, error)| (head.escape_ascii().to_string(), head, error))
}

#[test]
fn each_violation_has_its_error() {
    for (name, head, error) in refused_heads() {
        let conversation = converse([&head[..]]);
        assert_eq!(conversation.error, Some(error), "{name}");
        assert_eq!(conversation.said, [], "{name}");
    }
}

#[test]
fn nothing_behind_a_violation_is_heard() {
    let next = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    for (name, head, _) in refused_heads() {
        let conversation = converse([&head[..], &next[..]]);
        assert_eq!(conversation.said, [], "{name}");
    }
}

#[test]
fn a_violation_behind_a_good_request_is_its_own() {
    let good = b"GET /good HTTP/1.1\r\nHost: h\r\n\r\n";
    for (name, head, error) in refused_heads() {
        // Empty lines between requests are skipped, as they are before the first.
        let conversation = converse([&[&good[..], &head].concat()[..]]);
        assert!(matches!(&conversation.said[..], [Said::Head(_)]), "{name}");
        assert_eq!(conversation.error, Some(error), "{name}");
    }
}

#[test]
fn each_error_has_its_status() {
    let table: [(u16, &[PeerError]); 9] = [
        (
            400,
            &[
                PeerError::RequestLine,
                PeerError::Target,
                PeerError::Field,
                PeerError::LineEnd,
                PeerError::Host,
                PeerError::ContentLength,
                PeerError::TransferEncoding,
                PeerError::ContentType,
                PeerError::Chunk,
                PeerError::WebSocketVersionMissing,
                PeerError::WebSocketRequestLine,
                PeerError::WebSocketContent,
                PeerError::WebSocketKey,
                PeerError::WebSocketSubprotocol,
                PeerError::WebSocketExtensions,
            ],
        ),
        (408, &[PeerError::Timeout]),
        (414, &[PeerError::TargetTooLong]),
        (417, &[PeerError::Expectation]),
        (426, &[PeerError::WebSocketVersion]),
        (431, &[PeerError::HeadTooLarge, PeerError::TooManyFields]),
        (501, &[PeerError::UnknownTransferCoding]),
        (501, &[PeerError::Method]),
        (505, &[PeerError::Version]),
    ];
    for (status, errors) in table {
        assert!(errors.iter().all(|error| error.status() == status), "{status}");
    }
}
