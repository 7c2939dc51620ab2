//! What a well-formed request becomes (RFC 9112 §3, §5, §6).

use bicorn_http::Version::{self, Http10, Http11};

use crate::dialogue::{Conversation, Dialogue, Request, Said, converse, head};
use crate::messages::{ACCEPTED, accepted};

fn request(name: &str) -> Request {
    match converse([accepted(name)]).said.into_iter().next() {
        Some(Said::Head(request)) => request,
        other => panic!("{name} begins with {other:?}"),
    }
}

#[test]
fn every_form_is_accepted() {
    for (name, message) in ACCEPTED {
        let Conversation { said, error, .. } = converse([*message]);
        assert_eq!(error, None, "{name}");
        assert!(matches!(said.first(), Some(Said::Head(_))), "{name}: {said:?}");
    }
}

#[test]
fn target_forms_give_path_and_query() {
    let table: [(&str, &str, &str, &str, Version); 7] = [
        ("origin-form", "GET", "/a/b", "c=d?e", Http11),
        ("origin-form of a path that looks absolute", "GET", "//h/p", "", Http11),
        ("absolute-form", "GET", "/p", "q", Http11),
        ("absolute-form without a path", "GET", "/", "q", Http11),
        ("asterisk-form", "OPTIONS", "*", "", Http11),
        ("1.0 without fields", "GET", "/", "", Http10),
        ("a method of one's own", "m-SEARCH!x", "/", "", Http11),
    ];
    for (name, method, path, query, version) in table {
        assert_eq!(request(name).line, (method.into(), path.into(), query.into(), version), "{name}");
    }
}

#[test]
fn fields_keep_order_case_and_bytes_and_lose_white_space_around_values() {
    let expected = [("host", "h"), ("A", ""), ("a", "\u{e9}\u{85}\u{a0} b"), ("!#$%&'*+-.^_`|~09", "x")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(request("fields").fields, expected);
}

#[test]
fn field_block_is_the_lines_as_sent() {
    let message = b"\r\nGET / HTTP/1.1\r\nHost:  h\r\nA: b \r\n\r\n";
    let parsed = bicorn_http::http1::head::parse(message, bicorn_http::http1::Limits::default());
    let parsed = parsed.unwrap().unwrap();
    assert_eq!(parsed.head.field_block(), b"Host:  h\r\nA: b \r\n");
    assert_eq!(parsed.length, message.len());
}

#[test]
fn length_and_chunks_delimit_content() {
    let bodies = [
        ("length", "hello"),
        ("length with zeros in front", "hello"),
        ("length in 1.0", "hello"),
        ("chunks", "hello"),
        ("chunks with extensions and trailers", "hello0123456789"),
    ];
    for (name, content) in bodies {
        let Conversation { said, unread, .. } = converse([accepted(name)]);
        assert!(matches!(&said[0], Said::Head(request) if request.has_content), "{name}");
        assert_eq!(said[1..], [Said::Content(content.into()), Said::End], "{name}");
        assert!(unread.is_empty(), "{name}");
    }
}

#[test]
fn request_without_content_has_neither_chunks_nor_end() {
    for name in ["origin-form", "HEAD", "1.0 without fields", "no content"] {
        let said = converse([accepted(name)]).said;
        assert!(matches!(&said[..], [Said::Head(Request { has_content: false, .. })]), "{name}: {said:?}");
    }
}

#[test]
fn content_of_a_get_is_not_a_request() {
    let Conversation { said, error, .. } = converse([accepted("content of a GET")]);
    assert_eq!(said[1..], [Said::Content("GET /".into()), Said::End]);
    assert_eq!(error, None);
}

#[test]
fn pipelined_request_waits_for_the_answer_to_the_one_before() {
    let second = b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut dialogue = Dialogue::after(&[b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", &second[..]].concat());
    assert_eq!(dialogue.said().len(), 1);
    assert_eq!(dialogue.unread(), second);
    dialogue.answer(&head(200, &[]), b"");
    dialogue.receive(b"").unwrap();
    assert_eq!(dialogue.said().len(), 1);
    assert!(dialogue.connection.start_next());
    dialogue.receive(b"").unwrap();
    assert!(matches!(&dialogue.said()[1], Said::Head(request) if request.line.1 == "/2"));
    assert!(dialogue.unread().is_empty());
}

#[test]
fn pipelined_requests_come_in_order() {
    let said = converse([accepted("pipelined")]).said;
    let paths = said.iter().filter_map(|said| match said {
        Said::Head(request) => Some(request.line.1.as_str()),
        _ => None,
    });
    assert_eq!(paths.collect::<Vec<_>>(), ["/1", "/2", "/3"]);
}

#[test]
fn nothing_is_heard_after_close() {
    let Conversation { said, unread, error } = converse([accepted("close")]);
    assert_eq!((said.len(), error), (1, None));
    assert_eq!(unread, b"GET /unheard HTTP/1.1\r\n\r\n");
}

#[test]
fn expectation_is_a_matter_of_1_1() {
    assert!(request("an expectation").expects_continue);
    assert!(!request("an expectation in 1.0").expects_continue);
    assert!(!request("length").expects_continue);
}

#[test]
fn upgrade_needs_both_fields_and_1_1() {
    assert!(request("an upgrade").asks_for_upgrade);
    let incomplete: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ];
    for message in incomplete {
        let said = converse([message]).said;
        assert!(matches!(&said[0], Said::Head(request) if !request.asks_for_upgrade), "{said:?}");
    }
}

#[test]
fn idle_reading_and_answered_are_told_apart() {
    let mut dialogue = Dialogue::new();
    assert!(dialogue.connection.is_idle() && dialogue.connection.is_reading_head());
    dialogue.receive(b"POST / HTTP/1.1\r\n").unwrap();
    assert!(!dialogue.connection.is_idle() && dialogue.connection.is_reading_head());
    dialogue.receive(b"Host: h\r\nContent-Length: 2\r\n\r\nx").unwrap();
    assert!(dialogue.connection.is_reading_content() && !dialogue.connection.is_over());
    dialogue.receive(b"y").unwrap();
    assert!(!dialogue.connection.is_reading_content() && !dialogue.connection.has_begun_answer());
    dialogue.respond(Some(&head(200, &[])), b"", false);
    assert!(dialogue.connection.has_begun_answer() && !dialogue.connection.is_answered());
    dialogue.respond(None, b"", true);
    assert!(dialogue.connection.is_answered() && dialogue.connection.is_over());
    assert!(dialogue.connection.start_next() && dialogue.connection.is_idle());
}
