//! `100 Continue` (RFC 9110 §10.1.1).

use std::time::Duration;

use crate::application::head;
use crate::running::Running;

const EXPECTING: &str = "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[test]
fn the_application_asks_for_content_by_receiving() {
    let running = Running::start();
    let (mut client, mut call) = running.ask(EXPECTING);
    client.expect_silence(Duration::from_millis(100));
    assert_eq!(call.body.try_receive(), None);
    call.response.notify();
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert_eq!(call.content(), b"hello");
    call.reply("thanks");
    client.expect_reply("thanks");
    running.serve_one(&mut client);
}

#[test]
fn an_answer_without_content_closes() {
    let running = Running::start();
    let (mut client, call) = running.ask(EXPECTING);
    call.send(Some(head(401, &[("content-length", "0")])), b"", true);
    client.expect("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.expect_end();
}

#[test]
fn a_peer_that_sends_content_anyway_still_reads_the_answer() {
    let running = Running::start();
    let (mut client, call) = running.ask(EXPECTING);
    call.send(Some(head(401, &[("content-length", "0")])), b"", true);
    client.send("helloGET /unheard HTTP/1.1\r\nHost: h\r\n\r\n");
    client.expect("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.expect_end();
    running.expect_no_call();
}

#[test]
fn a_1_0_peer_is_never_told_to_continue() {
    let running = Running::start();
    let (mut client, mut call) =
        running.ask("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(call.content(), b"hello");
    call.reply("thanks");
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nthanks");
    client.expect_end();
}
