//! Messages that RFC 6455 allows, and how they come out.

use bicorn_http::websocket::{Event, Message};

use crate::websocket::{
    BINARY, CONTINUATION, FIN, PING, PONG, Peer, TEXT, binary, close_frame, frame, text, text_frame,
};

/// What a peer may send, with a name, and what is heard.
pub(crate) fn accepted() -> Vec<(&'static str, Vec<u8>, Vec<Event>)> {
    let long: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let close = |code, reason: &str| Event::Close { code, reason: reason.to_owned() };
    vec![
        ("text", text_frame("Hello"), vec![text("Hello")]),
        ("empty text", text_frame(""), vec![text("")]),
        ("binary", frame(FIN | BINARY, b"\0\xff"), vec![binary(b"\0\xff")]),
        (
            "two messages",
            [text_frame("a"), frame(FIN | BINARY, b"b")].concat(),
            vec![text("a"), binary(b"b")],
        ),
        ("125 bytes", frame(FIN | BINARY, &long[..125]), vec![binary(&long[..125])]),
        ("126 bytes", frame(FIN | BINARY, &long[..126]), vec![binary(&long[..126])]),
        ("65,535 bytes", frame(FIN | BINARY, &long[..65_535]), vec![binary(&long[..65_535])]),
        ("65,536 bytes", frame(FIN | BINARY, &long[..65_536]), vec![binary(&long[..65_536])]),
        (
            "fragments",
            [frame(TEXT, b"He"), frame(CONTINUATION, b"ll"), frame(FIN | CONTINUATION, b"o")].concat(),
            vec![text("Hello")],
        ),
        (
            "empty fragments",
            [frame(BINARY, b""), frame(CONTINUATION, b""), frame(FIN | CONTINUATION, b"")].concat(),
            vec![binary(b"")],
        ),
        (
            "a character in fragments",
            [frame(TEXT, b"\xf0"), frame(CONTINUATION, b"\x9f\xa6"), frame(FIN | CONTINUATION, b"\x84")]
                .concat(),
            vec![text("🦄")],
        ),
        (
            "control frames between fragments",
            [
                frame(TEXT, b"He\xc3"),
                frame(FIN | PONG, b"p"),
                frame(FIN | PING, b"q"),
                frame(FIN | CONTINUATION, b"\xa9"),
            ]
            .concat(),
            vec![Event::Pong(b"p".to_vec()), text("Heé")],
        ),
        ("a pong nobody asked for", frame(FIN | PONG, &long[..125]), vec![Event::Pong(long[..125].to_vec())]),
        ("a ping", frame(FIN | PING, &long[..125]), vec![]),
        ("close without a code", frame(FIN | 8, b""), vec![close(None, "")]),
        ("close with a code", close_frame(1000, b""), vec![close(Some(1000), "")]),
        ("close with a reason", close_frame(4005, "wétt".as_bytes()), vec![close(Some(4005), "wétt")]),
        (
            "close inside a message",
            [frame(TEXT, b"a"), close_frame(1001, b"")].concat(),
            vec![close(Some(1001), "")],
        ),
        (
            "bytes behind a close frame",
            [close_frame(1001, b""), text_frame("late"), b"\xff\xff".to_vec()].concat(),
            vec![close(Some(1001), "")],
        ),
    ]
}

#[test]
fn messages_come_out_whole() {
    for (name, bytes, expected) in accepted() {
        let heard = Peer::new().converse([&bytes[..]]);
        assert_eq!((heard.events, heard.violation), (expected, None), "{name}");
    }
}

#[test]
fn a_message_in_one_read_has_no_unused_capacity() {
    for size in [1, 64, 126, 16 * 1024, 64 * 1024] {
        let mut peer = Peer::new();
        let events = peer.hear(&frame(FIN | BINARY, &vec![7; size])).unwrap();
        let [Event::Message(Message::Binary(content))] = &events[..] else { panic!("{events:?}") };
        assert_eq!((content.len(), content.capacity()), (size, size));
    }
}
