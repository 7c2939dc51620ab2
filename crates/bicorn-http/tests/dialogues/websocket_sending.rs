//! What a connection writes: messages, pings, and its part of the closing handshake.

use bicorn_http::ResponseBody;
use bicorn_http::body::BORROW_BYTES;
use bicorn_http::websocket::{Event, Outgoing, State, is_close_code};
use bytes::Bytes;

use crate::websocket::{FIN, PING, PONG, Peer, close_frame, frame, text, text_frame};

fn binary(content: &[u8]) -> Outgoing {
    Outgoing::Binary(ResponseBody::copied(content))
}

#[test]
fn messages_are_one_unmasked_frame() {
    let mut peer = Peer::new();
    assert_eq!(peer.send(Outgoing::Text(ResponseBody::copied(b"Hello"))), b"\x81\x05Hello");
    assert_eq!(peer.send(binary(b"")), b"\x82\x00");
    for (length, header) in [
        (125, &b"\x82\x7d"[..]),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\0\0\0\0\0\x01\0\0"),
    ] {
        let content = vec![7; length];
        assert_eq!(peer.send(binary(&content)), [header, &content].concat(), "{length}");
        let shared = Outgoing::Binary(ResponseBody::Shared(Bytes::from(content.clone())));
        assert_eq!(peer.send(shared), [header, &content].concat(), "{length}, shared");
    }
}

#[test]
fn large_content_is_not_copied() {
    let content = Bytes::from(vec![7; BORROW_BYTES]);
    let mut peer = Peer::new();
    let message = Outgoing::Binary(ResponseBody::Shared(content.clone()));
    peer.connection.send(message, &mut peer.output);
    peer.output.advance(4);
    assert_eq!(peer.output.front().as_ptr(), content.as_ptr());
}

#[test]
fn small_messages_leave_in_one_write() {
    let mut peer = Peer::new();
    for _ in 0..10 {
        peer.connection.send(Outgoing::Text(ResponseBody::copied(b"Hello")), &mut peer.output);
    }
    assert!(peer.output.is_contiguous());
}

#[test]
fn pings_are_answered_with_their_payload() {
    let mut peer = Peer::new();
    peer.hear(&[frame(FIN | PING, b"a"), frame(FIN | PING, b""), text_frame("b")].concat()).unwrap();
    assert_eq!(peer.wire(), b"\x8a\x01a\x8a\x00");
}

#[test]
fn our_ping_is_answered_with_a_pong_event() {
    let mut peer = Peer::new();
    peer.connection.ping(b"1234", &mut peer.output);
    assert_eq!(peer.wire(), b"\x89\x041234");
    assert_eq!(peer.hear(&frame(FIN | PONG, b"1234")), Ok(vec![Event::Pong(b"1234".to_vec())]));
    peer.connection.ping(&[0; 200], &mut peer.output);
    assert_eq!(peer.wire()[..2], [0x89, 125]);
}

#[test]
fn a_close_frame_is_answered_with_its_own_code_and_reason() {
    for (sent, answer) in [
        (frame(FIN | 8, b""), &b"\x88\x00"[..]),
        (close_frame(1000, b""), b"\x88\x02\x03\xe8"),
        (close_frame(4005, b"why"), b"\x88\x05\x0f\xa5why"),
    ] {
        let mut peer = Peer::new();
        assert_eq!(peer.hear(&sent).unwrap().len(), 1);
        assert_eq!((peer.wire(), peer.connection.state()), (answer.to_vec(), State::Closed));
    }
}

#[test]
fn a_close_of_ours_waits_for_the_peers() {
    let mut peer = Peer::new();
    peer.connection.close(4002, "bye", &mut peer.output);
    assert_eq!((peer.wire(), peer.connection.state()), (b"\x88\x05\x0f\xa2bye".to_vec(), State::CloseSent));
    // What the peer had said before it heard of it arrives still.
    assert_eq!(peer.hear(&text_frame("a")), Ok(vec![text("a")]));
    let close = Event::Close { code: Some(4002), reason: "bye".to_owned() };
    assert_eq!(peer.hear(&close_frame(4002, b"bye")), Ok(vec![close]));
    assert_eq!((peer.wire(), peer.connection.state()), (b"".to_vec(), State::Closed));
}

#[test]
fn nothing_is_written_behind_a_close_frame() {
    let mut peer = Peer::new();
    peer.connection.close(1000, "", &mut peer.output);
    peer.wire();
    peer.hear(&frame(FIN | PING, b"a")).unwrap();
    peer.connection.ping(b"b", &mut peer.output);
    peer.connection.close(1001, "", &mut peer.output);
    assert_eq!(peer.send(binary(b"c")), b"");
    assert!(peer.hear(&[0xff]).is_err());
    assert_eq!((peer.wire(), peer.connection.state()), (b"".to_vec(), State::Closed));
}

#[test]
fn close_codes_for_applications_become_what_the_wire_allows() {
    for (code, wire) in [(1005, &b"\x88\x00"[..]), (1006, b"\x88\x02\x03\xf3"), (1012, b"\x88\x02\x03\xf4")] {
        let mut peer = Peer::new();
        peer.connection.close(code, "", &mut peer.output);
        assert_eq!(peer.wire(), wire, "{code}");
    }
    assert!(is_close_code(1000) && is_close_code(4999) && !is_close_code(1005) && !is_close_code(0));
}

#[test]
fn releasing_an_idle_connection_changes_nothing() {
    let mut peer = Peer::new();
    for _ in 0..3 {
        peer.connection.release();
        assert_eq!(peer.hear(&text_frame("a")), Ok(vec![text("a")]));
        assert_eq!(peer.send(binary(b"b")), b"\x82\x01b");
    }
}
