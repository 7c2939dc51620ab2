//! Credit, deadlines and the end of HTTP/2 connections.

use std::time::Duration;

use bicorn_http::exchange::HIGH_WATER_BYTES;
use bicorn_server::{Http2, Notice};

use crate::http2_client::{
    ACK, DATA, GOAWAY, HEADERS, Http2Client, PING, PREFACE, WINDOW_UPDATE, frame, request_block,
};
use crate::running::Running;

/// Short, but longer than the pauses between two steps of a test.
const SHORT: Option<Duration> = Some(Duration::from_millis(400));

const INITIAL_WINDOW_SIZE: u16 = 4;
const NO_ERROR: u32 = 0;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// HTTP/2 without deadlines.
const PATIENT: Http2 = Http2 {
    max_concurrent_streams: 100,
    stream_window: 64 * 1024,
    connection_window: 1024 * 1024,
    max_header_list: 64 * 1024,
    idle: None,
    ping_interval: None,
    ping_timeout: SHORT,
};

#[test]
fn content_leaves_as_far_as_there_is_credit() {
    let running = Running::start();
    let mut client = Http2Client::with(&running, &[(INITIAL_WINDOW_SIZE, 10)]);
    let stream = client.get("/");
    let call = running.next_call();
    call.reply("more than ten bytes");
    assert_eq!(client.next_of(stream).kind, HEADERS);
    assert_eq!(client.next_of(stream).payload, b"more than ");
    client.grant(stream, 2);
    assert_eq!(client.next_of(stream).payload, b"te");
    client.grant(stream, 100);
    let rest = client.next_of(stream);
    assert_eq!((&rest.payload[..], rest.ends_stream()), (&b"n bytes"[..], true));
}

#[test]
fn an_application_waits_for_a_peer_without_credit_and_others_do_not() {
    let running = Running::start();
    let mut client = Http2Client::with(&running, &[(INITIAL_WINDOW_SIZE, 0)]);
    let stream = client.get("/");
    let call = running.next_call();
    call.start(200, &[]);
    for _ in 0..HIGH_WATER_BYTES / 1024 {
        call.push(&[b'x'; 1024]);
    }
    assert!(!call.has_room_within(Duration::from_millis(100)));
    // Heads need no credit.
    let other = client.get("/");
    running.next_call().send(Some(crate::application::head(204, &[])), b"", true);
    assert!(client.next_of(other).ends_stream());
    client.grant(stream, 1 << 20);
    call.wait_for_room();
}

#[test]
fn a_response_larger_than_every_buffer_arrives() {
    let running = Running::start();
    let mut client = Http2Client::with(&running, &[(INITIAL_WINDOW_SIZE, 1 << 30)]);
    client.send(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    let stream = client.get("/");
    let call = running.next_call();
    let piece = vec![b'x'; 1 << 20];
    call.start(200, &[]);
    for _ in 0..32 {
        call.push(&piece);
    }
    call.end();
    assert_eq!(client.next_of(stream).kind, HEADERS);
    let mut heard = 0;
    loop {
        let frame = client.next_of(stream);
        heard += frame.payload.len();
        if frame.ends_stream() {
            break;
        }
    }
    assert_eq!(heard, 32 << 20);
}

#[test]
fn credit_is_renewed_when_the_application_takes_content() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let stream = client.post("/");
    let mut call = running.next_call();
    let piece = vec![b'x'; 16 * 1024];
    for _ in 0..3 {
        client.send(DATA, 0, stream, &piece);
    }
    // A PING is answered behind every WINDOW_UPDATE that is due; the only one is the connection's first.
    client.send(PING, 0, 0, b"settled?");
    let early =
        client.until(|frame| frame.kind == PING || (frame.kind == WINDOW_UPDATE && frame.stream == stream));
    assert_eq!(early.kind, PING, "credit before the application took anything");
    assert!(matches!(call.receive(), bicorn_http::Received::Body { more: true, .. }));
    let update = client.until(|frame| frame.kind == WINDOW_UPDATE && frame.stream == stream);
    assert_eq!(update.payload, (3_u32 * 16 * 1024).to_be_bytes());
    client.send(DATA, 1, stream, b"end");
    assert_eq!(call.content(), b"end");
}

#[test]
fn a_stream_without_credit_is_reset_in_time() {
    let running = Running::with(|settings| settings.deadlines.write = SHORT);
    let mut client = Http2Client::with(&running, &[(INITIAL_WINDOW_SIZE, 0)]);
    let stream = client.get("/");
    running.next_call().reply("nobody takes it");
    let other = client.get("/");
    let waiting = running.next_call();
    assert_eq!(client.expect_reset(stream), CANCEL);
    client.grant(other, 100);
    waiting.reply("hello");
    client.expect_reply(other, "hello");
}

#[test]
fn content_that_does_not_come_is_408() {
    let running = Running::with(|settings| settings.deadlines.content = SHORT);
    let mut client = Http2Client::connect(&running);
    let stream = client.post("/");
    let mut call = running.next_call();
    client.send(DATA, 0, stream, b"some");
    assert_eq!(call.receive(), bicorn_http::Received::Body { content: b"some".to_vec(), more: true });
    let answer = client.next_of(stream);
    assert_eq!(answer.kind, HEADERS);
    assert_eq!(client.next_of(stream).payload, b"Request Timeout");
    call.wait_until_gone();
    client.expect_alive(&running);
}

#[test]
fn a_preface_that_stops_ends_without_a_word() {
    let running = Running::with(|settings| settings.deadlines.head = SHORT);
    let mut client = running.connect();
    client.send(&PREFACE[..20]);
    client.expect_end();
    running.wait_until_empty();
}

#[test]
fn an_idle_connection_says_goodbye() {
    let running = Running::with(|settings| settings.http2 = Some(Http2 { idle: SHORT, ..PATIENT }));
    let mut client = Http2Client::connect(&running);
    client.expect_alive(&running);
    assert_eq!(client.expect_goaway(), NO_ERROR);
    // A request that crosses it on its way is served.
    client.expect_alive(&running);
    let ping = client.until(|frame| frame.kind == PING && frame.flags & ACK == 0 || frame.kind == GOAWAY);
    if ping.kind == PING {
        client.send(PING, ACK, 0, &ping.payload);
    }
    client.expect_end();
}

#[test]
fn a_silent_peer_is_asked_for_a_sign_of_life() {
    let running = Running::with(|settings| settings.http2 = Some(Http2 { ping_interval: SHORT, ..PATIENT }));
    let mut client = Http2Client::connect(&running);
    let stream = client.get("/");
    let mut call = running.next_call();
    for _ in 0..2 {
        let ping = client.until(|frame| frame.kind == PING);
        client.send(PING, ACK, 0, &ping.payload);
    }
    call.start(200, &[]);
    assert_eq!(client.next_of(stream).kind, HEADERS);
    client.until(|frame| frame.kind == PING);
    client.expect_end();
    call.wait_until_gone();
}

#[test]
fn a_flood_ends_calmly() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    client.get("/");
    let mut call = running.next_call();
    for _ in 0..1000 {
        client.send(PING, 0, 0, b"12345678");
    }
    assert_eq!(client.expect_goaway(), ENHANCE_YOUR_CALM);
    call.wait_until_gone();
    client.client.finish();
    running.wait_until_empty();
}

#[test]
fn a_draining_server_finishes_what_has_begun() {
    let running = Running::start();
    let mut busy = Http2Client::connect(&running);
    let mut idle = Http2Client::connect(&running);
    idle.expect_alive(&running);
    let stream = busy.get("/");
    let call = running.next_call();
    running.server.drain();
    assert_eq!((busy.expect_goaway(), idle.expect_goaway()), (NO_ERROR, NO_ERROR));
    // Nobody answers the PING behind it: an idle connection does not wait for ever.
    idle.expect_end();
    idle.client.finish();
    call.reply("hello");
    busy.expect_reply(stream, "hello");
    busy.expect_end();
    busy.client.finish();
    running.wait_until_empty();
    assert_eq!(running.next_notice(), Notice::Changed);
}

#[test]
fn a_draining_server_takes_what_has_arrived() {
    let running = Running::start();
    running.application.set_places(0);
    let mut client = Http2Client::connect(&running);
    let stream = client.get("/");
    running.application.wait_until_refused(1);
    running.server.drain();
    running.application.set_places(1);
    running.next_call().reply("hello");
    client.expect_reply(stream, "hello");
    client.expect_end();
}

#[test]
fn content_that_stops_behind_a_piece_that_was_taken_late_is_408() {
    let running = Running::with(|settings| settings.deadlines.content = SHORT);
    let mut client = Http2Client::connect(&running);
    let mut wire = frame(HEADERS, 4, 1, &request_block("POST", "/", &[]));
    wire.extend(frame(DATA, 0, 1, b"some"));
    client.client.send(wire);
    let mut call = running.next_call();
    assert_eq!(call.receive(), bicorn_http::Received::Body { content: b"some".to_vec(), more: true });
    assert_eq!(client.next_of(1).kind, HEADERS);
    assert_eq!(client.next_of(1).payload, b"Request Timeout");
}

#[test]
fn a_closing_server_leaves_nobody_waiting() {
    let mut running = Running::start();
    let mut client = Http2Client::connect(&running);
    client.get("/");
    let mut call = running.next_call();
    running.server.close();
    call.wait_until_gone();
    client.expect_end();
}
