//! Requests that must be accepted, one for each form that RFC 9112 knows.

/// Name and bytes; some are followed by the beginning of something else.
pub(crate) const ACCEPTED: &[(&str, &[u8])] = &[
    ("origin-form", b"GET /a/b?c=d?e HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("origin-form of a path that looks absolute", b"GET //h/p HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("absolute-form", b"GET http://h:80/p?q HTTP/1.1\r\nHost: h:80\r\n\r\n"),
    ("absolute-form without a path", b"GET HTTPS://h?q HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("asterisk-form", b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("1.0 without fields", b"GET / HTTP/1.0\r\n\r\n"),
    ("1.0 with keep-alive", b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /next HTTP/1.0\r\n\r\nrest"),
    ("HEAD", b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a method of one's own", b"m-SEARCH!x / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("fields", b"GET / HTTP/1.1\r\nhost:\th \t\r\nA:\r\na: \xe9\x85\xa0 b\r\n!#$%&'*+-.^_`|~09: x\r\n\r\n"),
    ("an IPv6 Host", b"GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n"),
    ("empty lines in front", b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("no content", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
    ("length", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
    ("length with zeros in front", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0005\r\n\r\nhello"),
    ("length in 1.0", b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"),
    ("content of a GET", b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /GET /next HTTP/1.1\r\n"),
    ("chunks", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    (
        "chunks with extensions and trailers",
        b"POST / HTTP/1.1\r\nHost: h\r\nTrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
          5;a=b;c=\"d;\\\"\xe9\";e\r\nhello\r\n00A;x\r\n0123456789\r\n000;last\r\nX-Sum: 1\r\nContent-Length: 7\r\n\r\n",
    ),
    (
        "no chunks but the last",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    ("an expectation", b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi"),
    ("an expectation in 1.0", b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"),
    (
        "an upgrade",
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\n\r\n",
    ),
    (
        "pipelined",
        b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
          \r\nPOST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\
          GET /4 HTTP/1.1\r\nHost: h\r\n",
    ),
    ("close", b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /unheard HTTP/1.1\r\n\r\n"),
];

/// A request of this name, from [`ACCEPTED`].
pub(crate) fn accepted(name: &str) -> &'static [u8] {
    ACCEPTED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, message)| *message)
        .expect("the name is listed")
}
