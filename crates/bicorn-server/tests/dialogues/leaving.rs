//! Peers that leave.

use bicorn_http::Received;

use crate::running::Running;

#[test]
fn a_peer_that_only_finished_sending_is_answered() {
    let running = Running::start();
    let (mut client, mut call) = running.ask_simply();
    assert_eq!(call.receive(), Received::Body { content: vec![], more: false });
    client.finish();
    call.wait_until_peer_finished();
    assert!(!call.response.is_gone());
    call.reply("hello");
    client.expect_reply("hello");
    client.expect_end();
    running.wait_until_empty();
}

#[test]
fn a_peer_that_finished_with_its_request_is_answered_slowly() {
    let running = Running::start();
    let mut client = running.connect();
    client.get("/");
    client.finish();
    let call = running.next_call();
    call.start(200, &[]);
    client.expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..10 {
        call.push(b"x");
        client.expect("1\r\nx\r\n");
    }
    call.end();
    client.expect("0\r\n\r\n");
    client.expect_end();
}

#[test]
fn content_that_ends_early_is_never_complete() {
    let running = Running::start();
    let (client, mut call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    client.finish();
    assert_eq!(call.receive(), Received::Body { content: b"hello".to_vec(), more: true });
    assert_eq!(call.receive(), Received::Disconnected);
    assert!(!call.response.is_gone());
}

#[test]
fn chunks_that_end_early_are_never_complete() {
    let running = Running::start();
    let (client, mut call) =
        running.ask("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r");
    client.finish();
    assert_eq!(call.receive(), Received::Body { content: b"hello".to_vec(), more: true });
    assert_eq!(call.receive(), Received::Disconnected);
}

#[test]
fn a_reset_is_news_to_a_waiting_application() {
    let running = Running::start();
    let (client, mut call) = running.ask_simply();
    call.start(200, &[]);
    client.reset();
    call.wait_until_gone();
    running.wait_until_empty();
}

#[test]
fn a_reset_during_an_upload_is_news_to_a_waiting_application() {
    let running = Running::start();
    let (client, mut call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(call.receive(), Received::Body { content: b"hello".to_vec(), more: true });
    call.start(200, &[]);
    client.reset();
    call.wait_until_gone();
}

#[test]
fn what_is_sent_to_nobody_takes_no_room() {
    let running = Running::start();
    let (client, mut call) = running.ask_simply();
    call.start(200, &[]);
    client.reset();
    call.wait_until_gone();
    for _ in 0..100 {
        call.push(&[b'x'; 10_000]);
        assert!(call.response.is_ready());
    }
    call.end();
}

#[test]
fn a_peer_that_says_nothing_and_leaves_is_forgotten() {
    let running = Running::start();
    drop(running.connect());
    running.wait_until_empty();
    running.expect_no_call();
}

#[test]
fn a_peer_that_leaves_within_a_head_is_not_answered() {
    let running = Running::start();
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost:");
    client.finish();
    client.expect_end();
    running.wait_until_empty();
    running.expect_no_call();
}

#[test]
fn an_idle_peer_that_leaves_is_forgotten() {
    let running = Running::start();
    let mut client = running.connect();
    running.serve_one(&mut client);
    drop(client);
    running.wait_until_empty();
}

#[test]
fn connections_are_counted() {
    let running = Running::start();
    let clients: Vec<_> = (0..10).map(|_| running.ask_simply()).collect();
    assert_eq!(running.server.connections(), 10);
    drop(clients);
    running.wait_until_empty();
}
