//! From a request to a WebSocket, or not.

use std::time::Duration;

use bicorn_http::PeerError;
use bicorn_server::Notice;

use crate::running::Running;
use crate::websocket_sides::{ACCEPTANCE, HANDSHAKE, TEXT, masked};

#[test]
fn an_accepted_handshake_is_a_websocket() {
    let running = Running::with(|settings| settings.default_fields = b"server: test\r\n".to_vec());
    let mut client = running.connect();
    client.send(HANDSHAKE.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a, b\r\n\r\n"));
    let socket = running.next_socket();
    assert_eq!(
        (socket.head.path(), &socket.subprotocols[..]),
        (&b"/chat"[..], &["a".into(), "b".into()][..])
    );
    assert_eq!(socket.info.scheme, "http");
    socket.accept(&[("X-A", "1"), ("content-length", "3"), ("sec-websocket-protocol", "b")]);
    let fields = "server: test\r\nx-a: 1\r\nSec-WebSocket-Protocol: b\r\n\r\n";
    client.expect(&ACCEPTANCE.replace("=\r\n\r\n", &format!("=\r\n{fields}")));
    client.send_frame(TEXT, b"hello");
    socket.expect_text("hello");
    socket.send("hi");
    client.expect_frame(TEXT, b"hi");
}

#[test]
fn nothing_behind_the_head_is_read_before_it_is_accepted() {
    let running = Running::start();
    let mut client = running.connect();
    client.send([HANDSHAKE.as_bytes(), &masked(TEXT, b"early"), &masked(TEXT, b"bird")].concat());
    let socket = running.next_socket();
    assert!(!socket.has_message_within(Duration::from_millis(50)));
    client.expect_silence(Duration::from_millis(50));
    socket.accept(&[]);
    client.expect(ACCEPTANCE);
    socket.expect_text("early");
    socket.expect_text("bird");
}

#[test]
fn a_request_behind_a_handshake_is_never_served() {
    let running = Running::start();
    let mut client = running.connect();
    client.send([HANDSHAKE, "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
    running.next_socket().deny(403, "no");
    let answer = String::from_utf8(client.read_to_end()).unwrap();
    assert_eq!(answer, "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
    running.expect_no_call();
}

#[test]
fn a_handshake_behind_a_request_waits_for_its_answer() {
    let running = Running::start();
    let mut client = running.connect();
    client.send(["GET / HTTP/1.1\r\nHost: h\r\n\r\n", HANDSHAKE].concat());
    let call = running.next_call();
    running.expect_no_socket();
    call.reply("hello");
    client.expect_reply("hello");
    running.next_socket().accept(&[]);
    client.expect(ACCEPTANCE);
}

#[test]
fn a_denied_handshake_hears_1006() {
    let running = Running::start();
    let (mut client, socket) = running.ask_for_socket();
    socket.deny(401, "");
    client.expect("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.expect_end();
    socket.expect_end(1006, None);
}

#[test]
fn messages_may_stand_right_behind_the_acceptance() {
    let running = Running::start();
    let (mut client, socket) = running.ask_for_socket();
    socket.half.accept(crate::application::head(101, &[]));
    socket.queue("one");
    socket.queue("two");
    socket.close(4000, "over");
    client.expect(ACCEPTANCE);
    client.expect_frame(TEXT, b"one");
    client.expect_frame(TEXT, b"two");
    client.expect_close(4000, "over");
}

#[test]
fn a_bad_handshake_is_answered_with_its_reason() {
    let running = Running::start();
    for (from, to, status, error) in [
        ("Version: 13", "Version: 12", "426 Upgrade Required", PeerError::WebSocketVersion),
        ("Version: 13", "A: b", "400 Bad Request", PeerError::WebSocketVersionMissing),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", "400 Bad Request", PeerError::WebSocketKey),
        ("GET", "POST", "400 Bad Request", PeerError::WebSocketRequestLine),
    ] {
        let mut client = running.connect();
        client.send(HANDSHAKE.replace(from, to));
        let answer = String::from_utf8(client.read_to_end()).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(answer.ends_with(&format!("connection: close\r\n\r\n{error}")), "{answer}");
        assert_eq!(running.next_notice(), Notice::InvalidRequest(error));
    }
    running.expect_no_socket();
    running.expect_no_call();
}

#[test]
fn without_websockets_a_handshake_is_a_plain_request() {
    let running = Running::with(|settings| settings.websocket = None);
    let mut client = running.connect();
    client.send(HANDSHAKE);
    let call = running.next_call();
    assert_eq!(running.next_notice(), Notice::UnsupportedUpgrade);
    assert_eq!(running.next_notice(), Notice::WebSocketsOff);
    call.reply("hello");
    client.expect_reply("hello");
}

#[test]
fn a_peer_that_leaves_before_it_is_accepted_is_1006() {
    let running = Running::start();
    let (client, socket) = running.ask_for_socket();
    drop(client);
    socket.expect_end(1006, None);
    assert!(socket.half.is_lost());
    running.wait_until_empty();
}

#[test]
fn an_application_that_drops_a_handshake_closes_the_connection() {
    let running = Running::start();
    let (mut client, socket) = running.ask_for_socket();
    drop(socket);
    client.expect_end();
    running.wait_until_empty();
}

#[test]
fn an_undecided_handshake_is_answered_at_shutdown() {
    let running = Running::start();
    let (mut client, socket) = running.ask_for_socket();
    running.server.drain();
    let answer = String::from_utf8(client.read_to_end()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nInternal Server Error"), "{answer}");
    socket.expect_end(1006, None);
    running.wait_until_empty();
    socket.accept(&[]);
}
