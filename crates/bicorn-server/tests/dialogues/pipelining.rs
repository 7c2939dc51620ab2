//! Requests that do not wait for answers (RFC 9112 §9.3.2).

use bicorn_http::PeerError;
use bicorn_server::Notice;

use crate::client::BAD_REQUEST;
use crate::running::Running;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn answers_leave_in_the_order_of_requests() {
    let running = Running::start();
    let mut client = running.connect();
    client.send((0..50).map(|number| get(&format!("/{number}"))).collect::<String>());
    for number in 0..50 {
        let call = running.next_call();
        assert_eq!(call.path(), format!("/{number}"));
        running.expect_no_call();
        call.reply(&call.path());
    }
    for number in 0..50 {
        client.expect_reply(&format!("/{number}"));
    }
}

#[test]
fn requests_with_content_may_be_pipelined() {
    let running = Running::start();
    let mut client = running.connect();
    client.send(
        "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
         POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n\
         POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ng",
    );
    for content in ["abc", "def"] {
        let mut call = running.next_call();
        assert_eq!(call.content(), content.as_bytes());
        call.reply(content);
        client.expect_reply(content);
    }
    let mut call = running.next_call();
    client.send("hi");
    assert_eq!(call.content(), b"ghi");
}

#[test]
fn many_requests_wait_for_a_slow_answer() {
    // More bytes than are read ahead: the rest waits in the kernel, and none is lost.
    let running = Running::start();
    let mut client = running.connect();
    client.get("/first");
    let first = running.next_call();
    let padding = "x".repeat(1000);
    client.send((0..300).map(|number| get(&format!("/{number}?{padding}"))).collect::<String>());
    running.expect_no_call();
    first.reply("first");
    client.expect_reply("first");
    for number in 0..300 {
        let call = running.next_call();
        assert_eq!(call.path(), format!("/{number}"));
        call.reply("");
        client.expect_reply("");
    }
}

#[test]
fn an_error_is_answered_behind_what_is_owed() {
    let running = Running::start();
    let mut client = running.connect();
    client.send(get("/good") + "BAD\r\n\r\n" + &get("/unheard"));
    let call = running.next_call();
    call.reply("good");
    client.expect_reply("good");
    client.expect(BAD_REQUEST);
    client.expect_end();
    running.expect_no_call();
    assert_eq!(running.next_notice(), Notice::InvalidRequest(PeerError::RequestLine));
}

#[test]
fn an_error_waits_for_a_slow_answer() {
    let running = Running::start();
    let (mut client, call) = running.ask(&(get("/good") + "BAD\r\n\r\n"));
    call.start(200, &[("content-length", "4")]);
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
    call.push(b"go");
    client.expect("go");
    assert!(!call.response.is_gone());
    call.push(b"od");
    call.end();
    client.expect("od");
    client.expect(BAD_REQUEST);
    client.expect_end();
}

#[test]
fn all_requests_before_fin_are_answered() {
    let running = Running::start();
    let mut client = running.connect();
    client.send(get("/1") + &get("/2") + &get("/3"));
    client.finish();
    for path in ["/1", "/2", "/3"] {
        let call = running.next_call();
        assert_eq!(call.path(), path);
        call.reply(path);
        client.expect_reply(path);
    }
    client.expect_end();
}

#[test]
fn nothing_behind_a_closing_answer_is_heard() {
    let running = Running::start();
    let mut client = running.connect();
    client.send("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned() + &get("/unheard"));
    running.next_call().reply("last");
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nlast");
    client.expect_end();
    running.expect_no_call();
}
