//! The engine's own answers to errors of the peer.

use bicorn_http::PeerError;

use crate::dialogue::{Dialogue, head};

#[test]
fn a_refusal_has_the_default_fields_a_text_and_close() {
    let mut dialogue = Dialogue::new();
    let error = dialogue.receive(b"nonsense\r\n\r\n").unwrap_err();
    dialogue.refuse(error);
    assert_eq!(
        dialogue.wire(),
        "HTTP/1.1 400 Bad Request\r\ndate: now\r\nserver: test\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: 30\r\nconnection: close\r\n\r\n\
         Invalid HTTP request received."
    );
}

#[test]
fn every_refusal_has_its_phrase_for_a_text() {
    for (error, line, content) in [
        (PeerError::Timeout, "408 Request Timeout", "Request Timeout"),
        (PeerError::TargetTooLong, "414 URI Too Long", "URI Too Long"),
        (PeerError::Expectation, "417 Expectation Failed", "Expectation Failed"),
        (PeerError::HeadTooLarge, "431 Request Header Fields Too Large", "Request Header Fields Too Large"),
        (PeerError::Method, "501 Not Implemented", "Not Implemented"),
        (PeerError::Version, "505 HTTP Version Not Supported", "HTTP Version Not Supported"),
        (PeerError::Chunk, "400 Bad Request", "Invalid HTTP request received."),
    ] {
        let mut dialogue = Dialogue::new();
        dialogue.refuse(error);
        let expected = format!(
            "HTTP/1.1 {line}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{content}",
            content.len()
        );
        assert_eq!(dialogue.own_wire(), expected);
    }
}

#[test]
fn another_websocket_version_is_told_which_one_is_spoken() {
    let mut dialogue = Dialogue::new();
    dialogue.refuse(PeerError::WebSocketVersion);
    assert_eq!(
        dialogue.own_wire(),
        "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: 25\r\nconnection: close\r\n\r\nunknown WebSocket version"
    );
}

#[test]
fn malformed_content_is_answered_if_the_application_has_not_begun_to() {
    let mut dialogue =
        Dialogue::after(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    let error = dialogue.receive(b"zz").unwrap_err();
    dialogue.refuse(error);
    assert!(dialogue.wire().starts_with("HTTP/1.1 400 Bad Request\r\n"));
}

#[test]
fn nothing_is_written_into_an_answer_that_has_begun() {
    let mut dialogue = Dialogue::after(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    dialogue.respond(Some(&head(200, &[])), b"hello", false);
    dialogue.wire();
    let error = dialogue.receive(b"zz").unwrap_err();
    dialogue.refuse(error);
    assert_eq!(dialogue.wire(), "");
}

#[test]
fn nothing_is_written_behind_a_complete_answer_to_the_same_request() {
    let mut dialogue = Dialogue::after(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    dialogue.answer(&head(204, &[]), b"");
    dialogue.wire();
    let error = dialogue.receive(b"zz").unwrap_err();
    dialogue.refuse(error);
    assert_eq!(dialogue.wire(), "");
}

#[test]
fn a_head_request_is_refused_without_content() {
    let mut dialogue = Dialogue::after(b"HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let error = dialogue.receive(b"zz").unwrap_err();
    dialogue.refuse(error);
    assert!(dialogue.wire().ends_with("\r\ncontent-length: 30\r\nconnection: close\r\n\r\n"));
}

#[test]
fn a_refused_connection_hears_and_says_nothing_more() {
    let mut dialogue = Dialogue::new();
    let error = dialogue.receive(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    dialogue.refuse(error);
    dialogue.wire();
    dialogue.receive(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(dialogue.said().is_empty());
    dialogue.refuse(PeerError::Timeout);
    dialogue.answer(&head(200, &[]), b"hello");
    assert_eq!(dialogue.wire(), "");
    assert!(!dialogue.connection.start_next() && !dialogue.connection.keeps_alive());
}
