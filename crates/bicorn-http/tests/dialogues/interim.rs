//! Interim responses: `100 Continue` (RFC 9110 §10.1.1, §15.2.1) and those of the application (RFC 8297).

use crate::dialogue::{Dialogue, head};

const EXPECTING: &[u8] = b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

#[test]
fn it_is_sent_once_and_only_when_asked_for() {
    let mut dialogue = Dialogue::after(EXPECTING);
    assert_eq!(dialogue.wire(), "");
    dialogue.write_continue();
    assert_eq!(dialogue.wire(), CONTINUE);
    dialogue.write_continue();
    assert_eq!(dialogue.wire(), "");
}

#[test]
fn the_connection_is_used_again_after_it() {
    let mut dialogue = Dialogue::after(EXPECTING);
    dialogue.write_continue();
    dialogue.receive(b"hi").unwrap();
    dialogue.answer(&head(204, &[]), b"");
    assert_eq!(dialogue.own_wire(), format!("{CONTINUE}HTTP/1.1 204 No Content\r\n\r\n"));
    assert!(dialogue.connection.start_next());
}

#[test]
fn it_is_not_sent_to_a_peer_that_does_not_wait() {
    let requests: [&[u8]; 2] = [
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n",
        b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    ];
    for request in requests {
        let mut dialogue = Dialogue::after(request);
        dialogue.write_continue();
        assert_eq!(dialogue.wire(), "");
    }
}

#[test]
fn it_is_not_sent_behind_a_head() {
    let mut dialogue = Dialogue::after(EXPECTING);
    dialogue.respond(Some(&head(200, &[])), b"", false);
    dialogue.wire();
    dialogue.write_continue();
    assert_eq!(dialogue.wire(), "");
}

#[test]
fn an_answer_without_it_closes_because_nobody_knows_whether_content_follows() {
    let mut dialogue = Dialogue::after(EXPECTING);
    dialogue.answer(&head(413, &[("content-length", "0")]), b"");
    let expected = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(dialogue.own_wire(), expected);
    assert!(!dialogue.connection.may_drain());
}

#[test]
fn an_answer_without_it_keeps_the_connection_if_the_content_came_anyway() {
    let mut dialogue = Dialogue::after(EXPECTING);
    dialogue.receive(b"hi").unwrap();
    dialogue.answer(&head(204, &[]), b"");
    assert_eq!(dialogue.own_wire(), "HTTP/1.1 204 No Content\r\n\r\n");
    assert!(dialogue.connection.start_next());
}

#[test]
fn an_expectation_is_forgotten_with_its_request() {
    let mut dialogue = Dialogue::after(EXPECTING);
    dialogue.receive(b"hi").unwrap();
    dialogue.answer(&head(204, &[]), b"");
    assert!(dialogue.connection.start_next());
    dialogue.receive(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n").unwrap();
    dialogue.wire();
    dialogue.write_continue();
    assert_eq!(dialogue.wire(), "");
}

#[test]
fn an_interim_response_has_its_own_fields_only_and_may_come_again() {
    let mut dialogue = Dialogue::after(EXPECTING);
    let hint = head(103, &[("link", "</a>"), ("link", "</b>")]);
    dialogue.write_interim(&hint);
    dialogue.write_continue();
    dialogue.write_interim(&head(103, &[("link", "</c>")]));
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nlink: </b>\r\n\r\n";
    assert_eq!(dialogue.wire(), format!("{hints}{CONTINUE}HTTP/1.1 103 Early Hints\r\nlink: </c>\r\n\r\n"));
    dialogue.receive(b"hi").unwrap();
    dialogue.answer(&head(204, &[]), b"");
    dialogue.wire();
    dialogue.write_interim(&hint);
    assert_eq!(dialogue.wire(), "");
    assert!(dialogue.connection.start_next());
}

#[test]
fn an_interim_response_is_for_1_1_and_before_the_answer() {
    let hint = head(103, &[("link", "</a>")]);
    let mut old = Dialogue::after(b"GET / HTTP/1.0\r\n\r\n");
    old.write_interim(&hint);
    assert_eq!(old.wire(), "");
    let mut begun = Dialogue::after(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    begun.respond(Some(&head(200, &[])), b"", false);
    begun.wire();
    begun.write_interim(&hint);
    assert_eq!(begun.wire(), "");
}
