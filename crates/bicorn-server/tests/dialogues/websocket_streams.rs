//! WebSockets over HTTP/2 (RFC 8441): frames in DATA, and what the ends of streams mean.

use std::time::Duration;

use bicorn_http::PeerError;
use bicorn_http::websocket::Message;
use bicorn_http::websocket::seam::Received;
use bicorn_http::websocket::session::KeepAlive;
use bicorn_server::Notice;

use crate::http2_client::{DATA, END_STREAM, Frame, HEADERS, Http2Client, RST_STREAM, STATUS_200};
use crate::running::Running;
use crate::websocket_sides::{BINARY, CLOSE, PING, PONG, Socket, TEXT, close_payload, masked};

const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const CANCEL: u32 = 8;

/// The same as [`STATUS_200`], for 500.
const STATUS_500: u8 = 0x8e;

const FIELDS: &[(&str, &str)] = &[(":protocol", "websocket"), ("sec-websocket-version", "13")];

impl Http2Client {
    fn ask_for_socket(&mut self, running: &Running) -> (u32, Socket) {
        let stream = self.ask("CONNECT", "/chat", FIELDS, false);
        (stream, running.next_socket())
    }

    fn open_socket(&mut self, running: &Running) -> (u32, Socket) {
        let (stream, socket) = self.ask_for_socket(running);
        socket.accept(&[]);
        self.expect_accepted(stream);
        (stream, socket)
    }

    fn expect_accepted(&mut self, stream: u32) -> Frame {
        let head = self.next_of(stream);
        assert_eq!(
            (head.kind, head.payload[0], head.ends_stream()),
            (HEADERS, STATUS_200, false),
            "{head:?}"
        );
        head
    }

    fn say(&mut self, stream: u32, first: u8, payload: &[u8]) {
        self.send(DATA, 0, stream, &masked(first, payload));
    }

    fn expect_data(&mut self, stream: u32, bytes: &[u8]) {
        let data = self.next_of(stream);
        assert_eq!((data.kind, data.ends_stream()), (DATA, false), "{data:?}");
        assert_eq!(data.payload, bytes);
    }

    fn expect_close(&mut self, stream: u32, code: u16, reason: &str) {
        self.expect_data(stream, &frame(CLOSE, &close_payload(code, reason)));
    }

    fn expect_end_of(&mut self, stream: u32) {
        let end = self.next_of(stream);
        assert!(end.kind == DATA && end.ends_stream() && end.payload.is_empty(), "{end:?}");
    }
}

/// A short frame of the server's.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, u8::try_from(payload.len()).expect("the frame is short")];
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn frames_travel_in_data() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    assert_eq!((socket.head.method(), socket.head.path()), (&b"GET"[..], &b"/chat"[..]));
    assert_eq!(socket.head.fields().next(), Some((&b"host"[..], &b"h"[..])));
    client.say(stream, TEXT, b"hello");
    socket.expect_text("hello");
    let bytes = masked(BINARY, &[7; 1000]);
    for byte in bytes.chunks(13) {
        client.send(DATA, 0, stream, byte);
    }
    assert_eq!(socket.receive(), Received::Message(Message::Binary(vec![7; 1000])));
    socket.send("hi");
    client.expect_data(stream, &frame(TEXT, b"hi"));
    client.say(stream, PING, b"?");
    client.expect_data(stream, &frame(PONG, b"?"));
}

#[test]
fn the_acceptance_has_no_fields_of_a_connection() {
    let running = Running::with(|settings| settings.default_fields = b"server: test\r\n".to_vec());
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.ask_for_socket(&running);
    socket.accept(&[("content-length", "3"), ("connection", "x"), ("upgrade", "y"), ("x-a", "1")]);
    let head = client.expect_accepted(stream).payload;
    // What is left: two fields. Their texts are compared through a library elsewhere.
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.ask_for_socket(&running);
    socket.accept(&[("server", "test"), ("x-a", "1")]);
    assert_eq!(client.expect_accepted(stream).payload, head);
}

#[test]
fn what_comes_before_the_acceptance_are_messages_behind_it() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.ask_for_socket(&running);
    client.say(stream, TEXT, b"early");
    client.say(stream, TEXT, b"bird");
    client.settle();
    assert!(!socket.has_message_within(Duration::from_millis(20)));
    socket.queue("x");
    socket.accept(&[]);
    client.expect_accepted(stream);
    socket.expect_text("early");
    socket.expect_text("bird");
}

#[test]
fn a_denied_handshake_leaves_the_connection() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.ask_for_socket(&running);
    socket.deny(403, "no");
    assert_eq!(client.next_of(stream).kind, HEADERS);
    let content = client.next_of(stream);
    assert_eq!((&content.payload[..], content.ends_stream()), (&b"no"[..], true));
    assert_eq!(client.expect_reset(stream), NO_ERROR);
    socket.expect_end(1006, None);
    client.expect_alive(&running);
}

#[test]
fn a_wrong_handshake_is_refused_and_leaves_the_connection() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let table: &[(&[(&str, &str)], PeerError)] = &[
        (&[], PeerError::WebSocketVersionMissing),
        (&[("sec-websocket-version", "8")], PeerError::WebSocketVersion),
        (
            &[("sec-websocket-version", "13"), ("sec-websocket-protocol", "a b")],
            PeerError::WebSocketSubprotocol,
        ),
        (
            &[("sec-websocket-version", "13"), ("sec-websocket-extensions", ";")],
            PeerError::WebSocketExtensions,
        ),
    ];
    for (fields, error) in table {
        let fields = [&[(":protocol", "websocket")], *fields].concat();
        let stream = client.ask("CONNECT", "/", &fields, false);
        assert_eq!(client.next_of(stream).kind, HEADERS, "{error:?}");
        assert_eq!(client.next_of(stream).payload, error.content().as_bytes());
        assert_eq!(client.expect_reset(stream), NO_ERROR, "{error:?}");
        assert_eq!(running.next_notice(), Notice::InvalidRequest(*error));
    }
    client.expect_alive(&running);
    running.expect_no_socket();
}

#[test]
fn other_protocols_are_refused() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let stream = client.ask("CONNECT", "/", &[(":protocol", "connect-udp")], false);
    assert_eq!(client.next_of(stream).kind, HEADERS);
    assert_eq!(client.expect_reset(stream), NO_ERROR);
    assert_eq!(running.next_notice(), Notice::InvalidRequest(PeerError::Method));
    client.expect_alive(&running);
}

#[test]
fn without_websockets_a_protocol_is_an_error_of_the_stream() {
    let running = Running::with(|settings| settings.websocket = None);
    let mut client = Http2Client::connect(&running);
    let stream = client.ask("CONNECT", "/", FIELDS, false);
    assert_eq!(client.expect_reset(stream), PROTOCOL_ERROR);
    client.expect_alive(&running);
}

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
fn a_peer_without_credit_holds_the_application_back() {
    let running = Running::start();
    let mut client = Http2Client::with(&running, &[(4, 0)]);
    let (stream, socket) = client.open_socket(&running);
    let text = "x".repeat(10_000);
    let mut count = 0;
    while socket.has_room_within(Duration::from_millis(50)) {
        socket.send(&text);
        count += 1;
    }
    assert_eq!(count, 14, "messages of 10,000 bytes beyond 128 KiB");
    client.grant(stream, 1_000_000);
    let mut heard = 0;
    while heard < count * (text.len() + 4) {
        heard += client.next_of(stream).payload.len();
    }
    assert!(socket.has_room_within(Duration::from_secs(5)));
}

#[test]
fn an_application_that_takes_nothing_shuts_its_own_window() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (stream, socket) = client.open_socket(&running);
    client.settle();
    // One message of 64 KiB fills the queue; what follows is not taken, and no credit comes for it.
    let message = masked(BINARY, &[1; 64 * 1024]);
    for piece in message.chunks(16 * 1024) {
        client.send(DATA, 0, stream, piece);
        client.settle();
    }
    let mut sent = 0;
    let more = masked(BINARY, &[2; 1000]);
    while sent + more.len() < 48 * 1024 {
        client.send(DATA, 0, stream, &more);
        sent += more.len();
    }
    client.settle();
    // The rest of the connection has nothing to do with it.
    client.expect_alive(&running);
    assert_eq!(socket.receive(), Received::Message(Message::Binary(vec![1; 64 * 1024])));
    for _ in 0..sent / more.len() {
        assert_eq!(socket.receive(), Received::Message(Message::Binary(vec![2; 1000])));
    }
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
