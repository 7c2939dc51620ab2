//! Peers that take too long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bicorn_http::{Received, ResponseBody, ResponsePart};

use crate::client::TIMEOUT;
use crate::running::Running;

/// Short, but longer than the pauses between two steps of a test.
const SHORT: Option<Duration> = Some(Duration::from_millis(400));

/// More than the kernel keeps for both ends of a loopback connection.
const PLENTY: usize = 32 * 1024 * 1024;

#[test]
fn a_peer_that_says_nothing_is_left_without_a_word() {
    let running = Running::with(|settings| settings.deadlines.head = SHORT);
    running.connect().expect_end();
    running.wait_until_empty();
}

#[test]
fn a_head_that_stops_is_408() {
    let running = Running::with(|settings| settings.deadlines.head = SHORT);
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n");
    client.expect(TIMEOUT);
    client.expect_end();
    running.expect_no_call();
}

#[test]
fn a_head_that_trickles_is_408() {
    let running = Running::with(|settings| settings.deadlines.head = SHORT);
    let mut client = running.connect();
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nA: ");
    while !client.hears_something_within(Duration::from_millis(20)) {
        client.send("a");
        assert!(start.elapsed() < Duration::from_secs(10), "bytes renew the deadline");
    }
    client.expect(TIMEOUT);
}

#[test]
fn a_later_head_that_stops_is_408() {
    let running = Running::with(|settings| settings.deadlines.head = SHORT);
    let mut client = running.connect();
    running.serve_one(&mut client);
    client.send("GET");
    client.expect(TIMEOUT);
    client.expect_end();
}

#[test]
fn the_deadline_of_heads_is_not_that_of_answers() {
    let running = Running::with(|settings| settings.deadlines.head = SHORT);
    let (mut client, call) = running.ask_simply();
    client.expect_silence(Duration::from_millis(800));
    call.reply("hello");
    client.expect_reply("hello");
}

#[test]
fn content_that_stops_is_408_and_the_application_hears_of_it() {
    let running = Running::with(|settings| settings.deadlines.content = SHORT);
    let (mut client, mut call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhello");
    assert_eq!(call.receive(), Received::Body { content: b"hello".to_vec(), more: true });
    client.expect(TIMEOUT);
    client.expect_end();
    call.wait_until_gone();
}

#[test]
fn content_that_stops_behind_the_start_of_an_answer_ends_it() {
    let running = Running::with(|settings| settings.deadlines.content = SHORT);
    let (mut client, mut call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhello");
    call.start(200, &[]);
    client.expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    client.expect_end();
    call.wait_until_gone();
}

#[test]
fn content_that_stops_behind_the_start_of_an_answer_that_close_delimits_resets() {
    // RFC 9112 §8: FIN would make the answer complete.
    let running = Running::with(|settings| settings.deadlines.content = SHORT);
    let (mut client, call) = running.ask("POST / HTTP/1.0\r\nContent-Length: 9\r\n\r\nhello");
    call.start(200, &[]);
    call.push(b"hello");
    client.expect("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello");
    client.expect_reset();
}

#[test]
fn content_that_goes_on_may_take_its_time() {
    let running = Running::with(|settings| settings.deadlines.content = Some(Duration::from_secs(1)));
    let (mut client, mut call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 15\r\n\r\n");
    for _ in 0..15 {
        client.expect_silence(Duration::from_millis(100));
        client.send("x");
    }
    assert_eq!(call.content(), b"xxxxxxxxxxxxxxx");
    call.reply("hello");
    client.expect_reply("hello");
}

#[test]
fn content_that_the_application_does_not_take_is_not_late() {
    let running = Running::with(|settings| settings.deadlines.content = SHORT);
    let (mut client, mut call) =
        running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000000\r\n\r\n");
    client.send_until_stuck(PLENTY);
    client.expect_silence(Duration::from_millis(800));
    assert!(!call.response.is_gone());
    assert!(matches!(call.receive(), Received::Body { more: true, .. }));
}

#[test]
fn a_peer_that_takes_nothing_is_reset() {
    let running = Running::with(|settings| settings.deadlines.write = SHORT);
    let (mut client, mut call) = running.ask_simply();
    let body = ResponseBody::Shared(vec![b'x'; PLENTY].into());
    call.start(200, &[]);
    call.response.send(ResponsePart { body, last: false, ..ResponsePart::default() });
    call.response.notify();
    call.wait_until_gone();
    client.expect_reset();
}

#[test]
fn a_peer_that_takes_nothing_is_reset_though_the_response_is_complete() {
    let running = Running::with(|settings| settings.deadlines.write = SHORT);
    let (mut client, call) = running.ask_simply();
    let body = ResponseBody::Shared(vec![b'x'; PLENTY].into());
    call.start(200, &[]);
    call.response.send(ResponsePart { body, last: true, ..ResponsePart::default() });
    call.response.notify();
    running.wait_until_empty();
    client.expect_reset();
}

#[test]
fn a_peer_that_takes_something_is_not_reset() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    // The kernel makes progress up to the 20th look.
    let running = Running::with(|settings| {
        settings.deadlines.write = Some(Duration::from_millis(10));
        settings.unsent_bytes = |_| Some(20_usize.saturating_sub(LOOKS.fetch_add(1, Ordering::SeqCst)));
    });
    let (mut client, mut call) = running.ask_simply();
    let body = ResponseBody::Shared(vec![b'x'; PLENTY].into());
    call.start(200, &[]);
    call.response.send(ResponsePart { body, last: false, ..ResponsePart::default() });
    call.response.notify();
    call.wait_until_gone();
    assert!(LOOKS.load(Ordering::SeqCst) > 20);
    client.expect_reset();
}

#[test]
fn a_peer_that_asks_nothing_more_is_left_with_fin() {
    let running = Running::with(|settings| settings.deadlines.keep_alive = SHORT);
    let mut client = running.connect();
    running.serve_one(&mut client);
    running.serve_one(&mut client);
    client.expect_end();
    running.wait_until_empty();
}

#[test]
fn the_deadline_of_keep_alive_is_not_that_of_answers_or_first_requests() {
    let running = Running::with(|settings| settings.deadlines.keep_alive = SHORT);
    let mut client = running.connect();
    client.expect_silence(Duration::from_millis(800));
    running.serve_one(&mut client);
    client.get("/");
    let call = running.next_call();
    client.expect_silence(Duration::from_millis(800));
    call.reply("hello");
    client.expect_reply("hello");
    client.expect_end();
}

#[test]
fn without_deadlines_nothing_is_late() {
    let running = Running::start();
    let mut client = running.connect();
    client.expect_silence(Duration::from_millis(300));
    client.send("GET / HTTP/1.1\r\n");
    client.expect_silence(Duration::from_millis(300));
    client.send("Host: h\r\n\r\n");
    running.next_call().reply("hello");
    client.expect_reply("hello");
    client.expect_silence(Duration::from_millis(300));
    running.serve_one(&mut client);
}
