//! Compressed messages (RFC 7692), against another implementation of DEFLATE.

use bicorn_http::ResponseBody;
use bicorn_http::websocket::{Event, Message, Outgoing};

use crate::websocket::{
    BINARY, CONTINUATION, FIN, PING, PONG, Peer, RSV1, TEXT, binary, close_frame, frame, text, text_frame,
};
use crate::websocket_codec::{Compressor, Decompressor, USUAL, compressed, contents};

#[test]
fn what_is_sent_can_be_read_by_a_peer_with_the_agreed_window() {
    for bits in 8..=15 {
        let mut peer = Peer::with_deflate(&format!("permessage-deflate; server_max_window_bits={bits}"));
        let mut decompressor = Decompressor::new(bits);
        for (number, content) in contents().iter().enumerate() {
            let wire = peer.send(Outgoing::Binary(ResponseBody::copied(content)));
            assert_eq!(wire[0], FIN | RSV1 | BINARY);
            assert!(
                decompressor.decompress(&wire, content.len()) == *content,
                "content {number} with {bits} bits"
            );
        }
    }
}

#[test]
fn a_peer_may_ask_us_to_forget_each_message() {
    let mut peer = Peer::with_deflate("permessage-deflate; server_no_context_takeover");
    for (number, content) in contents().iter().enumerate() {
        let wire = peer.send(Outgoing::Text(ResponseBody::copied(content)));
        assert_eq!(wire[0], FIN | RSV1 | TEXT);
        assert!(Decompressor::new(12).decompress(&wire, content.len()) == *content, "content {number}");
    }
}

#[test]
fn history_makes_messages_shorter() {
    let mut peer = Peer::with_deflate(USUAL);
    let message = || Outgoing::Text(ResponseBody::copied(b"a text that is said again and again"));
    let lengths = [(); 3].map(|()| peer.send(message()).len());
    assert!(lengths[0] > 30 && lengths[1] < 10 && lengths[2] < 10, "{lengths:?}");
}

#[test]
fn what_a_peer_compresses_is_read_with_every_window() {
    for bits in 9..=15 {
        let mut peer = Peer::with_deflate(&format!("permessage-deflate; client_max_window_bits={bits}"));
        let mut compressor = Compressor::new(bits.min(12));
        for (number, content) in contents().iter().enumerate() {
            let events = peer.hear(&compressed(&compressor.compress(content)));
            assert!(events == Ok(vec![binary(content)]), "content {number} with {bits} bits");
        }
    }
}

#[test]
fn a_peer_that_cannot_be_told_may_use_the_largest_window() {
    let mut peer = Peer::with_deflate("permessage-deflate");
    let mut compressor = Compressor::new(15);
    for (number, content) in contents().iter().chain(&contents()).enumerate() {
        let events = peer.hear(&compressed(&compressor.compress(content)));
        assert!(events == Ok(vec![binary(content)]), "content {number}");
    }
}

#[test]
fn a_peer_that_forgets_each_message_is_read() {
    let mut peer =
        Peer::with_deflate("permessage-deflate; client_no_context_takeover; client_max_window_bits");
    for (number, content) in contents().iter().enumerate() {
        let events = peer.hear(&compressed(&Compressor::new(12).compress(content)));
        assert!(events == Ok(vec![binary(content)]), "content {number}");
    }
}

#[test]
fn releasing_an_idle_connection_loses_nothing() {
    let mut peer = Peer::with_deflate(USUAL);
    let (mut compressor, mut decompressor) = (Compressor::new(12), Decompressor::new(12));
    for (number, content) in contents().iter().enumerate() {
        // Between frames of a message, too.
        let payload = compressor.compress(content);
        let (front, back) = payload.split_at(payload.len() / 2);
        assert_eq!(peer.hear(&frame(RSV1 | BINARY, front)), Ok(vec![]), "content {number}");
        peer.connection.release();
        let events = peer.hear(&frame(FIN | CONTINUATION, back));
        assert!(events == Ok(vec![binary(content)]), "content {number}");
        peer.connection.release();
        let wire = peer.send(Outgoing::Binary(ResponseBody::copied(content)));
        assert!(decompressor.decompress(&wire, content.len()) == *content, "content {number}");
    }
}

/// The examples of RFC 7692 §7.2.3, in the order of that section; they share one history.
const EXAMPLES: &[(&str, &[u8], &str)] = &[
    ("one block", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
    ("from the history", &[0xf2, 0x00, 0x11, 0x00, 0x00], "Hello"),
    ("not compressed", &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], "Hello"),
    ("final block", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "Hello"),
    ("two blocks", &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
    ("empty", &[0x00], ""),
    ("no bytes at all", &[], ""),
    ("final block and nothing else", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
    ("history behind a final block", &[0xf2, 0x00, 0x11, 0x00, 0x00], "Hello"),
    ("empty final block", &[0x03, 0x00], ""),
];

#[test]
fn the_examples_of_the_rfc_are_read() {
    let mut peer = Peer::with_deflate(USUAL);
    for (name, payload, expected) in EXAMPLES {
        assert_eq!(peer.hear(&frame(FIN | RSV1 | TEXT, payload)), Ok(vec![text(expected)]), "{name}");
        for position in 0..=payload.len() {
            let (front, back) = payload.split_at(position);
            let fragments =
                [frame(RSV1 | TEXT, front), frame(FIN | PONG, b""), frame(FIN | CONTINUATION, back)];
            let events = vec![Event::Pong(vec![]), text(expected)];
            assert_eq!(peer.hear(&fragments.concat()), Ok(events), "{name} cut at {position}");
        }
    }
}

#[test]
fn a_message_may_go_on_behind_a_final_block() {
    // "Hello", final; its "ello" again from the history of the same message; and what every message ends with.
    let mut peer = Peer::with_deflate(USUAL);
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let payload = [&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], &again].concat();
    assert_eq!(peer.hear(&frame(FIN | RSV1 | TEXT, &payload)), Ok(vec![text("HelloHello")]));
}

#[test]
fn messages_need_not_be_compressed() {
    let mut peer = Peer::with_deflate(USUAL);
    let mut compressor = Compressor::new(12);
    for _ in 0..3 {
        let first = compressed(&compressor.compress(b"compressed"));
        assert_eq!(peer.hear(&first), Ok(vec![binary(b"compressed")]));
        assert_eq!(peer.hear(&text_frame("plain")), Ok(vec![text("plain")]));
    }
}

#[test]
fn control_frames_are_not_compressed() {
    let mut peer = Peer::with_deflate(USUAL);
    peer.connection.ping(b"hello", &mut peer.output);
    assert_eq!(peer.wire(), b"\x89\x05hello");
    peer.hear(&frame(FIN | PING, b"hello")).unwrap();
    assert_eq!(peer.wire(), b"\x8a\x05hello");
    peer.hear(&close_frame(1000, b"")).unwrap();
    assert_eq!(peer.wire(), b"\x88\x02\x03\xe8");
}

#[test]
fn messages_come_out_as_they_were_sent_by_another_connection() {
    let (mut here, mut there) = (Peer::with_deflate(USUAL), Peer::with_deflate(USUAL));
    for content in contents() {
        let wire = here.send(Outgoing::Binary(ResponseBody::copied(&content)));
        let payload = match wire[1] {
            127 => &wire[10..],
            126 => &wire[4..],
            _ => &wire[2..],
        };
        let events = there.hear(&compressed(payload)).unwrap();
        let [Event::Message(Message::Binary(received))] = &events[..] else { panic!("{events:?}") };
        assert!(*received == content);
    }
}
