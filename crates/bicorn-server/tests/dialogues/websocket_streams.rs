//! WebSockets over HTTP/2 (RFC 8441): from an extended CONNECT to frames in DATA, and who waits for whom. What ends
//! them is in `websocket_stream_ends.rs`.

use std::time::Duration;

use bicorn_http::PeerError;
use bicorn_http::websocket::Message;
use bicorn_http::websocket::seam::Received;
use bicorn_server::Notice;

use crate::http2_client::{DATA, Frame, HEADERS, Http2Client, STATUS_200};
use crate::running::Running;
use crate::websocket_sides::{BINARY, CLOSE, PING, PONG, Socket, TEXT, close_payload, masked};

pub(crate) const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;

const FIELDS: &[(&str, &str)] = &[(":protocol", "websocket"), ("sec-websocket-version", "13")];

impl Http2Client {
    pub(crate) fn ask_for_socket(&mut self, running: &Running) -> (u32, Socket) {
        let stream = self.ask("CONNECT", "/chat", FIELDS, false);
        (stream, running.next_socket())
    }

    pub(crate) fn open_socket(&mut self, running: &Running) -> (u32, Socket) {
        let (stream, socket) = self.ask_for_socket(running);
        socket.accept(&[]);
        self.expect_accepted(stream);
        (stream, socket)
    }

    pub(crate) fn expect_accepted(&mut self, stream: u32) -> Frame {
        let head = self.next_of(stream);
        assert_eq!(
            (head.kind, head.payload[0], head.ends_stream()),
            (HEADERS, STATUS_200, false),
            "{head:?}"
        );
        head
    }

    pub(crate) fn say(&mut self, stream: u32, first: u8, payload: &[u8]) {
        self.send(DATA, 0, stream, &masked(first, payload));
    }

    pub(crate) fn expect_data(&mut self, stream: u32, bytes: &[u8]) {
        let data = self.next_of(stream);
        assert_eq!((data.kind, data.ends_stream()), (DATA, false), "{data:?}");
        assert_eq!(data.payload, bytes);
    }

    pub(crate) fn expect_close(&mut self, stream: u32, code: u16, reason: &str) {
        self.expect_data(stream, &frame(CLOSE, &close_payload(code, reason)));
    }

    pub(crate) fn expect_end_of(&mut self, stream: u32) {
        let end = self.next_of(stream);
        assert!(end.kind == DATA && end.ends_stream() && end.payload.is_empty(), "{end:?}");
    }
}

/// A short frame of the server's.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
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
    let message = masked(BINARY, &vec![1; 64 * 1024]);
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
