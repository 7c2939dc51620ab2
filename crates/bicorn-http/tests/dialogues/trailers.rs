//! Trailers of responses (RFC 9112 §7.1.2): behind chunks, and nowhere else.

use bicorn_http::http1::connection::Progress;
use bicorn_http::{RequestHead, ResponseBody, ResponsePart};

use crate::dialogue::{Dialogue, head};

/// The answer to a request, with trailers.
fn answer(request: &[u8], status: u16, fields: &[(&str, &str)]) -> String {
    let mut dialogue = Dialogue::after(request);
    assert_eq!(dialogue.send(Some(head(status, fields)), ResponseBody::copied(b"hi"), false), Progress::Open);
    let trailers = Some(Box::new(head(200, &[("x-sum", "1"), ("x-sum", "2")])));
    let part = ResponsePart { trailers, last: true, ..ResponsePart::default() };
    assert_eq!(dialogue.respond_with(part), Progress::Complete);
    dialogue.own_wire()
}

#[test]
fn they_stand_behind_the_last_chunk() {
    assert_eq!(
        answer(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, &[]),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n"
    );
}

#[test]
fn without_chunks_they_have_no_place() {
    let get = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for (request, status, fields) in [
        (&get[..], 200, &[("content-length", "2")][..]),
        (b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, &[]),
        (get, 204, &[]),
        (get, 304, &[]),
        (b"GET / HTTP/1.0\r\n\r\n", 200, &[]),
    ] {
        let wire = answer(request, status, fields);
        assert!(!wire.contains("x-sum"), "{wire}");
    }
}

#[test]
fn a_peer_says_whether_it_takes_them() {
    for (fields, expected) in [
        ("TE: trailers", true),
        ("te: gzip;q=0.5, Trailers", true),
        ("TE: gzip\r\nTE: trailers", true),
        ("TE: gzip", false),
        ("TE: trailersome", false),
        ("X-TE: trailers", false),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        assert_eq!(parse(request.as_bytes()).accepts_trailers(), expected, "{fields}");
    }
}

fn parse(request: &[u8]) -> RequestHead {
    use bicorn_http::http1::{Connection, Event, Limits};
    let mut input = request;
    match Connection::new(Limits::default()).read(&mut input) {
        Ok(Some(Event::Head { head, .. })) => head,
        other => panic!("{other:?}"),
    }
}
