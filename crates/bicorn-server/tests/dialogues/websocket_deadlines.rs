//! Peers of a WebSocket that say nothing, take nothing or never leave.

use std::time::Duration;

use bicorn_http::websocket::seam::Received;
use bicorn_http::websocket::session::KeepAlive;
use bicorn_http::websocket::{Message, Outgoing};
use bicorn_http::{ResponseBody, ResponsePart};

use crate::running::Running;
use crate::websocket_sides::{BINARY, PING, PONG, TEXT, masked};

const SHORT: Option<Duration> = Some(Duration::from_millis(200));

fn pinging(interval: Option<Duration>, timeout: Option<Duration>) -> Running {
    Running::with(|settings| {
        let websocket = settings.websocket.as_mut().expect("the server of the tests speaks it");
        websocket.keep_alive = KeepAlive { interval, timeout };
    })
}

#[test]
fn a_peer_that_answers_pings_stays() {
    let running = pinging(SHORT, SHORT);
    let (mut client, socket) = running.open_socket();
    for _ in 0..4 {
        let (first, payload) = client.read_frame();
        assert_eq!(first, PING);
        client.send_frame(PONG, &payload);
    }
    socket.send("hello");
    assert_eq!(client.read_frame().0, TEXT);
}

#[test]
fn a_silent_peer_is_given_up_with_1011() {
    let running = pinging(SHORT, SHORT);
    let (mut client, socket) = running.open_socket();
    assert_eq!(client.read_frame().0, PING);
    client.expect_close(1011, "keepalive ping timeout");
    // As under uvicorn, the application hears of a connection that is gone.
    socket.expect_end(1005, None);
    assert!(socket.half.is_closed());
}

#[test]
fn a_pong_that_answers_no_ping_counts_for_nothing() {
    let running = pinging(SHORT, SHORT);
    let (mut client, _socket) = running.open_socket();
    client.send_frame(PONG, b"unasked");
    assert_eq!(client.read_frame().0, PING);
    client.send_frame(PONG, b"wrong");
    client.expect_close(1011, "keepalive ping timeout");
}

#[test]
fn without_a_timeout_pings_go_on_unanswered() {
    let running = pinging(SHORT, None);
    let (mut client, _socket) = running.open_socket();
    for _ in 0..3 {
        assert_eq!(client.read_frame().0, PING);
    }
}

#[test]
fn a_pong_behind_messages_that_nobody_takes_is_not_late() {
    let running = pinging(SHORT, SHORT);
    let (mut client, socket) = running.open_socket();
    let message = masked(BINARY, &vec![0; 60_000]);
    client.send(message.repeat(2));
    let (first, payload) = client.read_frame();
    assert_eq!(first, PING);
    client.send(message.repeat(4));
    client.send_frame(PONG, &payload);
    // Longer than interval and timeout together.
    client.expect_silence(Duration::from_millis(600));
    for _ in 0..6 {
        assert!(matches!(socket.receive(), Received::Message(Message::Binary(_))));
    }
    assert_eq!(client.read_frame().0, PING);
}

#[test]
fn a_peer_that_takes_nothing_is_left() {
    let running = Running::with(|settings| settings.deadlines.write = SHORT);
    let (client, socket) = running.open_socket();
    while !socket.half.is_closed() {
        socket.half.send(Outgoing::Binary(vec![0; 50_000].into()));
        socket.half.notify();
        assert!(socket.has_room_within(Duration::from_secs(10)), "the application waits for ever");
    }
    socket.expect_end(1005, None);
    running.wait_until_empty();
    drop(client);
}

#[test]
fn a_denial_that_nobody_reads_is_left() {
    let running = Running::with(|settings| settings.deadlines.write = SHORT);
    let (client, socket) = running.ask_for_socket();
    let head = Some(crate::application::head(403, &[]));
    let body = ResponseBody::copied(&vec![0; 32 * 1024 * 1024]);
    socket.half.deny(ResponsePart { head, body, trailers: None, last: true, is_whole: true });
    socket.half.notify();
    running.wait_until_empty();
    drop(client);
}

#[test]
fn a_peer_that_does_not_answer_a_close_frame_is_dropped_in_the_end() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    socket.close(1000, "");
    client.expect_close(1000, "");
    // uvicorn waits 10 s, and so does the session.
    running.wait_until_empty();
    client.expect_end();
}
