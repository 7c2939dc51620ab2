//! How WebSockets over HTTP/2 end, and what the ends of streams mean (RFC 8441 §5).

use std::time::Duration;

use bicorn_http::websocket::session::KeepAlive;

use crate::http2_client::{DATA, END_STREAM, HEADERS, Http2Client, RST_STREAM};
use crate::running::Running;
use crate::websocket_sides::{CLOSE, PING, TEXT, close_payload, masked};
use crate::websocket_streams::{NO_ERROR, frame};

const CANCEL: u32 = 8;

/// The index of `:status: 500` in the static table (RFC 7541, appendix A), as a whole field.
const STATUS_500: u8 = 0x8e;

#[test]
fn the_peers_close_frame_is_answered_and_the_stream_ends() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    client.say(stream, CLOSE, &close_payload(4000, "done"));
    client.expect_close(stream, 4000, "done");
    client.expect_end_of(stream);
    socket.expect_end(4000, Some("done"));
    client.send(DATA, END_STREAM, stream, &[]);
    client.expect_alive(&running);
    socket.queue("nobody hears this");
}

#[test]
fn a_close_frame_and_the_end_of_the_stream_may_come_together() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    client.send(DATA, END_STREAM, stream, &masked(CLOSE, &close_payload(1000, "")));
    client.expect_close(stream, 1000, "");
    client.expect_end_of(stream);
    socket.expect_end(1000, Some(""));
    client.expect_alive(&running);
}

#[test]
fn the_applications_close_frame_awaits_its_answer() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    socket.close(3001, "enough");
    client.expect_close(stream, 3001, "enough");
    client.settle();
    client.say(stream, TEXT, b"crossed");
    client.say(stream, CLOSE, &close_payload(3001, ""));
    client.expect_end_of(stream);
    client.expect_alive(&running);
}

#[test]
fn the_end_of_the_stream_is_fin() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    client.send(DATA, END_STREAM, stream, &masked(TEXT, b"bye"));
    client.expect_end_of(stream);
    socket.expect_text("bye");
    socket.expect_end(1005, None);
    client.expect_alive(&running);
}

#[test]
fn a_reset_ends_a_websocket_and_no_other() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    let (other, other_socket) = client.open_socket(&running);
    client.reset(stream);
    socket.expect_end(1005, None);
    assert!(socket.half.is_lost());
    client.say(other, TEXT, b"still here");
    other_socket.expect_text("still here");
    client.expect_alive(&running);
}

#[test]
fn a_reset_before_the_acceptance_is_1006() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.ask_for_socket(&running);
    client.reset(stream);
    socket.expect_end(1006, None);
    let (stream, socket) = client.ask_for_socket(&running);
    client.send(DATA, END_STREAM, stream, &[]);
    socket.expect_end(1006, None);
    socket.accept(&[]);
    client.expect_alive(&running);
}

#[test]
fn an_application_that_gives_up_resets_behind_what_it_said() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    socket.queue("last words");
    socket.abort();
    client.expect_data(stream, &frame(TEXT, b"last words"));
    assert_eq!(client.expect_reset(stream), CANCEL);
    client.expect_alive(&running);
}

#[test]
fn a_violation_is_told_and_ends_the_stream() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    client.send(DATA, 0, stream, b"\x83\x80\0\0\0\0");
    assert!(socket.has_message_within(Duration::from_secs(5)));
    let close = client.next_of(stream);
    assert_eq!((close.payload[0], &close.payload[2..4]), (CLOSE, &1002_u16.to_be_bytes()[..]));
    client.expect_end_of(stream);
    client.expect_alive(&running);
}

#[test]
fn a_stop_is_1012_and_the_end_of_the_stream() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    running.server.drain();
    client.expect_close(stream, 1012, "");
    client.expect_end_of(stream);
    socket.expect_end(1012, None);
    client.send(DATA, END_STREAM, stream, &masked(CLOSE, &close_payload(1012, "")));
    client.expect_end();
    running.wait_until_empty();
}

#[test]
fn a_stop_answers_a_handshake_in_the_applications_place() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.ask_for_socket(&running);
    running.server.drain();
    let head = client.next_of(stream);
    assert_eq!((head.kind, head.payload[0]), (HEADERS, STATUS_500));
    assert_eq!(client.next_of(stream).payload, b"Internal Server Error");
    socket.expect_end(1006, None);
    socket.accept(&[]);
    assert_eq!(client.expect_reset(stream), NO_ERROR);
    client.expect_end();
    running.wait_until_empty();
}

#[test]
fn a_silent_peer_is_1011() {
    let running = Running::with(|settings| {
        let soon = Some(Duration::from_millis(100));
        settings.websocket.as_mut().expect("they are on").keep_alive =
            KeepAlive { interval: soon, timeout: soon };
    });
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    let ping = client.next_of(stream);
    assert_eq!(ping.payload[0], PING);
    client.expect_close(stream, 1011, "keepalive ping timeout");
    client.expect_end_of(stream);
    socket.expect_end(1005, None);
    client.expect_alive(&running);
}

#[test]
fn a_peer_that_gives_no_credit_is_reset() {
    let running = Running::with(|settings| settings.deadlines.write = Some(Duration::from_millis(200)));
    let mut client = Http2Client::with(&running, &[(4, 0)]);
    let (stream, socket) = client.open_socket(&running);
    socket.send("held back");
    assert_eq!(client.expect_reset(stream), CANCEL);
    socket.expect_end(1005, None);
}

#[test]
fn a_lost_connection_ends_every_websocket() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (_, first) = client.open_socket(&running);
    let (_, second) = client.open_socket(&running);
    let (_, undecided) = client.ask_for_socket(&running);
    drop(client);
    first.expect_end(1005, None);
    second.expect_end(1005, None);
    undecided.expect_end(1006, None);
}

#[test]
fn a_close_frame_without_an_answer_ends_in_a_reset() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    socket.close(1000, "");
    client.expect_close(stream, 1000, "");
    assert_eq!(client.until(|frame| frame.kind == RST_STREAM && frame.stream == stream).error(), CANCEL);
}
