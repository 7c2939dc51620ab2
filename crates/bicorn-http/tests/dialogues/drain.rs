//! Content that nobody wants any more: read to its end, or the connection closes (RFC 9112 §9.3).

use bicorn_http::http1::connection::DRAIN_BYTES;

use crate::dialogue::{Dialogue, head};

fn post(length: u64) -> Dialogue {
    Dialogue::after(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").as_bytes())
}

fn post_chunks() -> Dialogue {
    Dialogue::after(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn chunk(length: usize) -> Vec<u8> {
    [format!("{length:x}\r\n").as_bytes(), &vec![b'x'; length], b"\r\n"].concat()
}

#[test]
fn the_rest_of_a_short_request_is_read() {
    let mut dialogue = post(10);
    dialogue.receive(b"hello").unwrap();
    dialogue.answer(&head(204, &[]), b"");
    assert!(!dialogue.wire().contains("connection: close"));
    assert!(dialogue.connection.is_answered() && !dialogue.connection.is_over());
    assert!(dialogue.connection.may_drain());
    dialogue.receive(b"worldGET /next HTTP/1.1\r\n").unwrap();
    assert!(dialogue.connection.start_next());
    assert_eq!(dialogue.unread(), b"GET /next HTTP/1.1\r\n");
}

#[test]
fn the_rest_of_a_request_may_be_as_long_as_the_bound() {
    for (rest, keeps_alive) in [(DRAIN_BYTES, true), (DRAIN_BYTES + 1, false)] {
        let mut dialogue = post(rest + 5);
        dialogue.receive(b"hello").unwrap();
        dialogue.answer(&head(204, &[]), b"");
        assert_eq!(dialogue.wire().contains("\r\nconnection: close\r\n"), !keeps_alive);
        assert_eq!(dialogue.connection.may_drain(), keeps_alive);
    }
}

#[test]
fn chunks_are_read_up_to_the_bound() {
    let mut dialogue = post_chunks();
    dialogue.answer(&head(204, &[]), b"");
    assert!(!dialogue.wire().contains("connection: close"));
    let chunk = chunk(0x8000);
    for _ in 0..DRAIN_BYTES / 0x8000 {
        dialogue.receive(&chunk).unwrap();
        assert!(dialogue.connection.may_drain());
    }
    dialogue.receive(b"1\r\nx").unwrap();
    assert!(!dialogue.connection.may_drain());
}

#[test]
fn content_before_the_answer_is_not_drained() {
    let mut dialogue = post_chunks();
    let chunk = chunk(0x80000);
    dialogue.receive(&chunk).unwrap();
    dialogue.respond(Some(&head(200, &[])), b"", false);
    dialogue.receive(&chunk).unwrap();
    assert_eq!(dialogue.content().len(), 0x0010_0000);
    dialogue.respond(None, b"", true);
    assert!(dialogue.connection.may_drain());
    dialogue.receive(b"0\r\n\r\n").unwrap();
    assert!(dialogue.connection.start_next());
}

#[test]
fn draining_begins_anew_with_each_request() {
    let mut dialogue = Dialogue::new();
    for _ in 0..3 {
        let head_bytes = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n";
        dialogue.receive(head_bytes).unwrap();
        dialogue.answer(&head(204, &[]), b"");
        dialogue.receive(&vec![b'x'; 200_000]).unwrap();
        assert!(dialogue.connection.may_drain() && dialogue.connection.start_next());
    }
}
