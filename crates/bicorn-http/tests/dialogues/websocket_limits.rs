//! How much a peer can make a connection hold, and make it say.

use bicorn_http::websocket::{Event, Violation};

use crate::websocket::{
    BINARY, CONTINUATION, FIN, PING, Peer, TEXT, binary, close_frame, frame, header, text_frame,
};

const LIMIT: usize = 1000;

fn code(result: Result<Vec<Event>, Violation>) -> Option<u16> {
    result.err().map(|violation| violation.code)
}

#[test]
fn a_message_may_be_as_long_as_the_limit() {
    let content = [7; LIMIT];
    let mut peer = Peer::with_limit(LIMIT);
    assert_eq!(peer.hear(&frame(FIN | BINARY, &content)), Ok(vec![binary(&content)]));
    let halves = [frame(BINARY, &content[..500]), frame(FIN | CONTINUATION, &content[500..])].concat();
    assert_eq!(peer.hear(&halves), Ok(vec![binary(&content)]), "in fragments");
}

#[test]
fn a_frame_that_declares_too_much_is_refused_with_its_header() {
    for length in [u64::from(u16::MAX) + 1, 1 << 40, i64::MAX as u64] {
        assert_eq!(code(Peer::with_limit(LIMIT).hear(&header(FIN | BINARY, length))), Some(1009), "{length}");
    }
    let one_too_many = &frame(FIN | TEXT, &[b'a'; LIMIT + 1])[..8];
    assert_eq!(code(Peer::with_limit(LIMIT).hear(one_too_many)), Some(1009));
}

#[test]
fn fragments_count_together() {
    let mut peer = Peer::with_limit(LIMIT);
    assert_eq!(peer.hear(&frame(BINARY, &[7; 600])), Ok(vec![]));
    assert_eq!(peer.hear(&frame(CONTINUATION, &[7; 400])), Ok(vec![]));
    assert_eq!(peer.hear(&frame(CONTINUATION, b"")), Ok(vec![]));
    assert_eq!(code(peer.hear(&frame(CONTINUATION, &[7; 1])[..6])), Some(1009));
}

#[test]
fn each_message_has_the_whole_limit() {
    let mut peer = Peer::with_limit(LIMIT);
    for _ in 0..5 {
        assert_eq!(peer.hear(&frame(FIN | BINARY, &[7; 900])), Ok(vec![binary(&[7; 900])]));
    }
}

#[test]
fn a_connection_without_room_takes_empty_messages() {
    let mut peer = Peer::with_limit(0);
    assert_eq!(peer.hear(&text_frame("")), Ok(vec![crate::websocket::text("")]));
    assert_eq!(code(peer.hear(&text_frame("a"))), Some(1009));
}

#[test]
fn pings_that_find_no_room_are_answered_once_and_by_the_last() {
    let mut peer = Peer::new();
    let mut flood = Vec::new();
    for number in 0..10_000_u32 {
        flood.extend(frame(FIN | PING, &number.to_be_bytes()));
    }
    assert_eq!(peer.hear(&flood), Ok(vec![]));
    assert!(peer.output.len() < 4 * 1024 + 8, "{}", peer.output.len());
    let written = peer.wire();
    let pongs: Vec<_> = written.as_chunks::<6>().0.iter().map(|pong| &pong[2..]).collect();
    assert!(pongs.iter().zip(0_u32..).all(|(payload, number)| *payload == number.to_be_bytes()));
    peer.connection.settle(&mut peer.output);
    assert_eq!(peer.wire(), [&[0x8a, 4][..], &9_999_u32.to_be_bytes()].concat());
    peer.connection.settle(&mut peer.output);
    assert_eq!(peer.wire(), b"");
}

#[test]
fn a_pong_that_waits_is_not_sent_behind_a_close_frame() {
    for closing in [close_frame(1000, b""), vec![0xff]] {
        let mut peer = Peer::new();
        peer.output.extend(&[0; 8 * 1024]);
        assert_eq!(peer.hear(&frame(FIN | PING, b"late")), Ok(vec![]));
        let _ = peer.hear(&closing);
        peer.wire();
        peer.connection.settle(&mut peer.output);
        assert_eq!(peer.wire(), b"");
    }
}
