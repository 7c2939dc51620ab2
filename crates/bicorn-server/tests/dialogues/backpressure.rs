//! Memory is bounded whatever one side does not take.

use std::io::{self, Read};
use std::time::Duration;

use bicorn_http::Received;
use bicorn_http::exchange::{BODY_HIGH_WATER_BYTES, HIGH_WATER_BYTES};

use crate::running::Running;

/// More than the kernel keeps for both ends of a loopback connection.
const PLENTY: usize = 64 * 1024 * 1024;

#[test]
fn an_upload_that_nobody_reads_is_not_read_from_the_socket() {
    let running = Running::start();
    let (mut client, mut call) =
        running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000000\r\n\r\n");
    let sent = client.send_until_stuck(PLENTY);
    let Some(Received::Body { content, more: true }) = call.body.try_receive() else { panic!("no content") };
    assert!(content.len() <= BODY_HIGH_WATER_BYTES, "{}", content.len());
    call.response.notify();
    client.finish();
    let mut received = content.len();
    while let Received::Body { content, more } = call.receive() {
        assert!(more && content.len() <= BODY_HIGH_WATER_BYTES);
        received += content.len();
    }
    assert_eq!(received, sent);
}

#[test]
fn chunks_that_nobody_reads_are_not_read_from_the_socket() {
    let running = Running::start();
    let (mut client, mut call) =
        running.ask("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n");
    let sent = client.send_until_stuck(PLENTY);
    client.finish();
    let mut received = 0;
    while let Received::Body { content, more } = call.receive() {
        assert!(more && content.len() <= BODY_HIGH_WATER_BYTES);
        received += content.len();
    }
    assert_eq!(received, sent);
}

#[test]
fn an_answer_that_nobody_reads_holds_the_application_back() {
    let running = Running::start();
    let (mut client, call) = running.ask("GET / HTTP/1.0\r\n\r\n");
    call.start(200, &[]);
    let piece = [b'x'; 16 * 1024];
    let mut sent: u64 = 0;
    while call.has_room_within(Duration::from_millis(500)) {
        call.push(&piece);
        sent += piece.len() as u64;
        assert!(sent < PLENTY as u64);
    }
    client.read_until("\r\n\r\n");
    io::copy(&mut client.stream.by_ref().take(sent), &mut io::sink()).unwrap();
    call.wait_for_room();
    call.end();
    client.expect_end();
}

#[test]
fn one_piece_beyond_the_mark_is_sent_and_then_the_application_waits() {
    let running = Running::start();
    let (mut client, call) = running.ask("GET / HTTP/1.0\r\n\r\n");
    call.start(200, &[]);
    call.push(&vec![b'x'; PLENTY / 2]);
    assert!(!call.has_room_within(Duration::from_millis(300)));
    client.read_until("\r\n\r\n");
    let read = io::copy(&mut client.stream.by_ref().take(PLENTY as u64 / 2), &mut io::sink()).unwrap();
    assert_eq!(read, PLENTY as u64 / 2);
    call.wait_for_room();
    call.end();
    client.expect_end();
}

#[test]
fn a_peer_that_reads_lets_the_application_go_on() {
    let running = Running::start();
    let (mut client, call) = running.ask("GET / HTTP/1.0\r\n\r\n");
    let total = 20 * HIGH_WATER_BYTES;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            client.read_until("\r\n\r\n");
            assert_eq!(client.read_to_end().len(), total);
        });
        call.start(200, &[]);
        for _ in 0..total / 1024 {
            call.wait_for_room();
            call.push(&[b'x'; 1024]);
        }
        call.end();
    });
}

#[test]
fn empty_pieces_hold_nobody_back() {
    let running = Running::start();
    let (mut client, call) = running.ask_simply();
    call.start(200, &[]);
    client.expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..HIGH_WATER_BYTES {
        call.push(b"");
    }
    call.push(b"x");
    client.expect("1\r\nx\r\n");
    call.wait_for_room();
    call.end();
    client.expect("0\r\n\r\n");
}
