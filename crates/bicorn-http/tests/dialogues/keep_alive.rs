//! When a connection is used again (RFC 9112 §9.3, §9.6).

use crate::dialogue::{Dialogue, head};

/// Whether the next request is heard, and what the head says about it.
fn decide(request: &[u8], fields: &[(&str, &str)]) -> (bool, Vec<String>) {
    let mut dialogue = Dialogue::after(request);
    let fields = [&[("content-length", "0")], fields].concat();
    dialogue.answer(&head(200, &fields), b"");
    let wire = dialogue.own_wire();
    let said = wire.lines().filter(|line| line.starts_with("connection:")).map(str::to_owned).collect();
    (dialogue.connection.start_next(), said)
}

#[test]
fn the_peer_decides() {
    let table: [(&[u8], bool, &[&str]); 10] = [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true, &[]),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", true, &[]),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false, &["connection: close"]),
        (b"GET / HTTP/1.1\r\nHost: h\r\nCONNECTION: te ,\tClose\r\n\r\n", false, &["connection: close"]),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", true, &[]),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            false,
            &["connection: close"],
        ),
        (b"GET / HTTP/1.0\r\n\r\n", false, &["connection: close"]),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, &["connection: keep-alive"]),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, &["connection: close"]),
        (b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, &["connection: keep-alive"]),
    ];
    for (request, keeps_alive, said) in table {
        let expected = (keeps_alive, said.iter().map(ToString::to_string).collect());
        assert_eq!(decide(request, &[]), expected, "{}", request.escape_ascii());
    }
}

#[test]
fn the_application_may_close() {
    for value in ["close", "Close", "x, close"] {
        let (keeps_alive, said) = decide(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", &[("Connection", value)]);
        assert_eq!((keeps_alive, said), (false, vec![format!("connection: {value}")]));
    }
}

#[test]
fn the_application_cannot_keep_alive_what_the_peer_closes() {
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let (keeps_alive, said) = decide(request, &[("connection", "keep-alive")]);
    assert!(!keeps_alive);
    assert_eq!(said.last().map(String::as_str), Some("connection: close"));
}

#[test]
fn many_requests_may_follow_each_other() {
    let mut dialogue = Dialogue::new();
    for number in 0..1000 {
        let request = format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n");
        dialogue.receive(request.as_bytes()).unwrap();
        assert_eq!(dialogue.said().len(), number + 1);
        dialogue.answer(&head(204, &[]), b"");
        assert!(dialogue.connection.start_next());
    }
}

#[test]
fn stopping_is_said_in_a_head_that_is_not_written_yet() {
    let mut dialogue = Dialogue::after(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    dialogue.connection.stop_keep_alive();
    dialogue.answer(&head(200, &[("content-length", "0")]), b"");
    assert_eq!(dialogue.own_wire(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert!(dialogue.connection.is_over() && !dialogue.connection.start_next());
}

#[test]
fn stopping_behind_a_head_closes_after_the_response() {
    let mut dialogue = Dialogue::after(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    dialogue.respond(Some(&head(200, &[("content-length", "2")])), b"", false);
    dialogue.connection.stop_keep_alive();
    dialogue.respond(None, b"hi", true);
    assert!(dialogue.own_wire().ends_with("\r\n\r\nhi"));
    assert!(dialogue.connection.is_over() && !dialogue.connection.start_next());
}

#[test]
fn stopping_while_idle_is_said_in_the_next_head() {
    let mut dialogue = Dialogue::new();
    dialogue.connection.stop_keep_alive();
    dialogue.receive(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    dialogue.answer(&head(204, &[]), b"");
    assert_eq!(dialogue.own_wire(), "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
}

#[test]
fn a_close_that_cannot_be_announced_any_more_is_announced_with_the_next_response() {
    let mut dialogue = Dialogue::after(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    dialogue.respond(Some(&head(200, &[("content-length", "2")])), b"", false);
    dialogue.connection.announce_close();
    dialogue.respond(None, b"hi", true);
    assert!(!dialogue.own_wire().contains("connection: close"));
    assert!(dialogue.connection.start_next());
    dialogue.receive(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    dialogue.answer(&head(204, &[]), b"");
    assert_eq!(dialogue.own_wire(), "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    assert!(dialogue.connection.is_over() && !dialogue.connection.start_next());
}

#[test]
fn the_next_request_waits_for_both_ends_of_the_one_before() {
    let mut dialogue = Dialogue::after(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
    assert!(!dialogue.connection.start_next());
    dialogue.answer(&head(204, &[]), b"");
    assert!(!dialogue.connection.start_next());
    dialogue.receive(b"hi").unwrap();
    assert!(dialogue.connection.start_next());
}

#[test]
fn a_head_request_does_not_silence_the_next_one() {
    let mut dialogue = Dialogue::after(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    dialogue.answer(&head(200, &[("content-length", "2")]), b"hi");
    assert!(dialogue.connection.start_next());
    dialogue.receive(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    dialogue.wire();
    dialogue.answer(&head(200, &[("content-length", "2")]), b"hi");
    assert!(dialogue.own_wire().ends_with("\r\n\r\nhi"));
}
