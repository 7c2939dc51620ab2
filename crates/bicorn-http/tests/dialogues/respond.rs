//! Responses on the wire (RFC 9112 §4, §6, §7.1).

use bicorn_http::http1::connection::Progress;

use crate::dialogue::{Dialogue, head};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_1_0: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// The answer to a request, in one part and without the server's own fields.
fn answer(request: &[u8], status: u16, fields: &[(&str, &str)], content: &[u8]) -> String {
    let mut dialogue = Dialogue::after(request);
    dialogue.answer(&head(status, fields), content);
    dialogue.own_wire()
}

#[test]
fn default_fields_come_first_then_the_applications_in_order() {
    let mut dialogue = Dialogue::after(GET);
    let progress = dialogue.answer(&head(200, &[("X-B", "1"), ("content-length", "2"), ("x-a", "2")]), b"hi");
    assert_eq!(progress, Progress::Complete);
    assert_eq!(
        dialogue.wire(),
        "HTTP/1.1 200 OK\r\ndate: now\r\nserver: test\r\nx-b: 1\r\ncontent-length: 2\r\nx-a: 2\r\n\r\nhi"
    );
}

#[test]
fn status_lines_have_a_code_and_a_phrase_which_may_be_empty() {
    for (status, line) in [
        (200, "HTTP/1.1 200 OK"),
        (404, "HTTP/1.1 404 Not Found"),
        (418, "HTTP/1.1 418 I'm a Teapot"),
        (500, "HTTP/1.1 500 Internal Server Error"),
        (299, "HTTP/1.1 299 "),
        (599, "HTTP/1.1 599 "),
    ] {
        assert_eq!(answer(GET, status, &[], b"").lines().next(), Some(line));
    }
}

#[test]
fn a_1_0_request_is_answered_as_1_1() {
    // RFC 9110 §2.5: a server sends the version it speaks.
    assert!(answer(GET_1_0, 200, &[], b"").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn content_of_known_length_is_sent_as_it_is() {
    let mut dialogue = Dialogue::after(GET);
    let start = head(200, &[("content-length", "10")]);
    assert_eq!(dialogue.respond(Some(&start), b"", false), Progress::Open);
    assert_eq!(dialogue.own_wire(), "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
    assert_eq!(dialogue.respond(None, b"hello", false), Progress::Open);
    assert_eq!(dialogue.share(b"world", false), Progress::Open);
    assert_eq!(dialogue.respond(None, b"", true), Progress::Complete);
    assert_eq!(dialogue.wire(), "helloworld");
}

#[test]
fn content_of_unknown_length_is_chunked() {
    let mut dialogue = Dialogue::after(GET);
    dialogue.respond(Some(&head(200, &[])), b"", false);
    assert_eq!(dialogue.own_wire(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    dialogue.respond(None, b"hello", false);
    dialogue.respond(None, b"", false);
    dialogue.share(&[b'x'; 26], false);
    assert_eq!(dialogue.respond(None, b"!", true), Progress::Complete);
    assert_eq!(dialogue.wire(), format!("5\r\nhello\r\n1a\r\n{}\r\n1\r\n!\r\n0\r\n\r\n", "x".repeat(26)));
}

#[test]
fn an_empty_piece_is_not_the_last_chunk() {
    let mut dialogue = Dialogue::after(GET);
    dialogue.respond(Some(&head(200, &[])), b"", false);
    dialogue.wire();
    dialogue.respond(None, b"", false);
    assert_eq!(dialogue.wire(), "");
}

#[test]
fn an_empty_shared_piece_is_not_the_last_chunk() {
    let mut dialogue = Dialogue::after(GET);
    dialogue.respond(Some(&head(200, &[])), b"", false);
    dialogue.wire();
    dialogue.share(b"", false);
    assert_eq!(dialogue.wire(), "");
}

#[test]
fn a_whole_response_in_one_part_is_chunked_without_a_length() {
    assert_eq!(
        answer(GET, 200, &[], b"hello"),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    assert_eq!(answer(GET, 200, &[], b""), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
}

#[test]
fn the_engine_alone_frames() {
    // RFC 9112 §6.2: never both; the application's coding is replaced by the engine's.
    let both = [("Content-Length", "5"), ("Transfer-Encoding", "gzip, chunked"), ("x", "y")];
    assert_eq!(
        answer(GET, 200, &both, b"hello"),
        "HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    assert_eq!(
        answer(GET_1_0, 200, &both, b"hello"),
        "HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"
    );
}

#[test]
fn two_equal_lengths_are_sent_once() {
    let lengths = [("content-length", "2"), ("x", "y"), ("Content-Length", "2")];
    assert_eq!(answer(GET, 200, &lengths, b"hi"), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: y\r\n\r\nhi");
}

#[test]
fn a_1_0_peer_is_never_sent_chunks() {
    assert_eq!(
        answer(GET_1_0, 200, &[], b"hello"),
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"
    );
    let mut dialogue = Dialogue::after(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    dialogue.respond(Some(&head(200, &[])), b"hel", false);
    assert_eq!(dialogue.respond(None, b"lo", true), Progress::Complete);
    assert_eq!(dialogue.own_wire(), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello");
    assert!(!dialogue.connection.start_next());
}

#[test]
fn only_content_without_length_or_chunks_is_delimited_by_close() {
    let begin = |request, fields: &[(&str, &str)]| {
        let mut dialogue = Dialogue::after(request);
        dialogue.respond(Some(&head(200, fields)), b"hello", false);
        dialogue
    };
    assert!(!begin(GET, &[]).connection.is_delimited_by_close());
    assert!(!begin(GET_1_0, &[("content-length", "10")]).connection.is_delimited_by_close());
    let mut dialogue = begin(GET_1_0, &[]);
    assert!(dialogue.connection.is_delimited_by_close());
    dialogue.respond(None, b"", true);
    assert!(!dialogue.connection.is_delimited_by_close());
}

#[test]
fn head_is_answered_without_content() {
    // RFC 9110 §9.3.2: the fields are those of a GET, where that costs nothing.
    assert_eq!(
        answer(HEAD, 200, &[("content-length", "5")], b"hello"),
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    );
    assert_eq!(answer(HEAD, 200, &[], b"hello"), "HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(answer(HEAD, 200, &[("transfer-encoding", "chunked")], b""), "HTTP/1.1 200 OK\r\n\r\n");
}

#[test]
fn head_is_complete_whatever_content_was_announced_or_sent() {
    for content in [&b""[..], b"hi", b"hello", b"hello world"] {
        let mut dialogue = Dialogue::after(HEAD);
        assert_eq!(dialogue.answer(&head(200, &[("content-length", "5")]), content), Progress::Complete);
        assert!(dialogue.connection.start_next());
    }
}

#[test]
fn no_content_and_not_modified_have_no_content() {
    // RFC 9110 §8.6: a 204 has no content-length; a 304 may say what a 200 would have.
    assert_eq!(
        answer(GET, 204, &[("content-length", "0"), ("x", "y")], b"hi"),
        "HTTP/1.1 204 No Content\r\nx: y\r\n\r\n"
    );
    assert_eq!(answer(GET, 204, &[], b""), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(
        answer(GET, 304, &[("content-length", "5")], b"hello"),
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"
    );
    assert_eq!(answer(GET, 304, &[], b""), "HTTP/1.1 304 Not Modified\r\n\r\n");
}

#[test]
fn content_beyond_the_length_is_cut_and_breaks_the_response() {
    let mut dialogue = Dialogue::after(GET);
    assert_eq!(dialogue.answer(&head(200, &[("content-length", "5")]), b"hello!"), Progress::Broken);
    assert!(dialogue.own_wire().ends_with("\r\n\r\nhello"));
    assert!(!dialogue.connection.keeps_alive() && !dialogue.connection.start_next());
}

#[test]
fn later_content_beyond_the_length_is_cut_and_breaks_the_response() {
    let mut dialogue = Dialogue::after(GET);
    dialogue.respond(Some(&head(200, &[("content-length", "5")])), b"hel", false);
    dialogue.wire();
    assert_eq!(dialogue.share(b"lo there", false), Progress::Broken);
    assert_eq!(dialogue.wire(), "lo");
    assert!(!dialogue.connection.start_next());
}

#[test]
fn content_short_of_the_length_breaks_the_response() {
    let mut dialogue = Dialogue::after(GET);
    assert_eq!(dialogue.answer(&head(200, &[("content-length", "5")]), b"hell"), Progress::Broken);
    assert!(dialogue.own_wire().ends_with("\r\n\r\nhell"));
    assert!(!dialogue.connection.keeps_alive() && !dialogue.connection.start_next());
}

#[test]
fn content_without_a_head_breaks_the_response() {
    let mut dialogue = Dialogue::after(GET);
    assert_eq!(dialogue.respond(None, b"hello", true), Progress::Broken);
    assert_eq!(dialogue.wire(), "");
}

#[test]
fn nothing_is_written_without_a_request_or_after_the_end() {
    let mut dialogue = Dialogue::new();
    assert_eq!(dialogue.answer(&head(200, &[]), b"hello"), Progress::Broken);
    assert_eq!(dialogue.wire(), "");
    dialogue.receive(GET).unwrap();
    dialogue.answer(&head(200, &[]), b"");
    dialogue.wire();
    assert_eq!(dialogue.answer(&head(200, &[]), b"hello"), Progress::Broken);
    assert_eq!(dialogue.wire(), "");
}

#[test]
fn lengths_are_written_in_decimal() {
    for length in [1, 9, 10, 4096, 1_000_000] {
        let written = answer(GET_1_0, 200, &[], &vec![b'x'; length]);
        assert!(written.contains(&format!("\r\ncontent-length: {length}\r\n")), "{length}");
    }
}
