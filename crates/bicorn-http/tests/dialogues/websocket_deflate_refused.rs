//! Compressed messages that break RFC 7692 or RFC 1951, or are too long.

use crate::websocket::{BINARY, CONTINUATION, FIN, PING, Peer, RSV1, TEXT, binary, frame, header, masked};
use crate::websocket_codec::{Compressor, USUAL, compressed, contents, noise};

/// Frames that no connection with compression accepts, with a name and the code; the last byte is the
/// offending one.
pub(crate) fn refused() -> Vec<(&'static str, u16, Vec<u8>)> {
    let whole = |payload: &[u8]| frame(FIN | RSV1 | TEXT, payload);
    let mut not_text = Compressor::new(12).flush(b"aaaaaaa\xff");
    // The end of the block tells that the byte before it is complete.
    not_text.truncate(not_text.len() - 4);
    vec![
        ("compressed continuation", 1002, [frame(RSV1 | TEXT, b""), vec![RSV1]].concat()),
        ("compressed last continuation", 1002, [frame(RSV1 | TEXT, b""), vec![FIN | RSV1]].concat()),
        ("continuation of plain text says compressed", 1002, [frame(TEXT, b"a"), vec![FIN | RSV1]].concat()),
        ("compressed ping", 1002, vec![FIN | RSV1 | PING]),
        ("compressed close", 1002, vec![FIN | RSV1 | 8]),
        ("second reserved bit", 1002, vec![FIN | RSV1 | 0x20 | TEXT]),
        ("unknown kind of block", 1002, whole(&[0x06])),
        ("stored lengths that differ", 1002, whole(&[0x00, 0x05, 0x00, 0xfa, 0xfe])),
        ("reference to nothing", 1002, whole(&[0xf2, 0x00, 0x11, 0x00, 0x00])),
        ("cut off in a block", 1002, whole(&[0xf2, 0x48, 0xcd])),
        (
            "cut off in a final block, which the end that was left out goes on with",
            1002,
            frame(FIN | RSV1 | BINARY, b";;;;;;?`;;;;;;;;;;;;;;;;ab"),
        ),
        ("cut off in stored content", 1002, whole(&[0x00, 0x06, 0x00, 0xf9, 0xff, 0x48])),
        (
            "with the end that is to be left out",
            1002,
            whole(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0, 0, 0xff, 0xff]),
        ),
        ("an endless row of final blocks", 1002, whole(&[0x03, 0x00].repeat(20))),
        ("no UTF-8", 1007, [&header(FIN | RSV1 | TEXT, 100_000)[..], &masked(&not_text)].concat()),
        ("unfinished character", 1007, whole(&Compressor::new(12).compress(b"a\xc3"))),
    ]
}

#[test]
fn broken_compression_has_its_code() {
    for (name, code, bytes) in refused() {
        let heard = Peer::with_deflate(USUAL).converse([&bytes[..]]);
        assert_eq!(heard.violation.map(|violation| violation.code), Some(code), "{name}");
    }
}

#[test]
fn compressed_text_is_judged_before_its_frame_ends() {
    let mut peer = Peer::with_deflate(USUAL);
    let payload = Compressor::new(12).flush(b"good \xed\xa0\x80 bad");
    let bytes = [header(FIN | RSV1 | TEXT, 100_000), masked(&payload)].concat();
    assert_eq!(peer.hear(&bytes).map_err(|violation| violation.code), Err(1007));
}

#[test]
fn history_ends_with_the_window() {
    let mut compressor = Compressor::new(15);
    let noise = noise();
    let mut peer = Peer::with_deflate(USUAL);
    let far: Vec<u8> = noise[..10_000].to_vec();
    assert_eq!(peer.hear(&compressed(&compressor.compress(&far))), Ok(vec![binary(&far)]));
    // Its start is 10,000 bytes away, and 4,096 were agreed to.
    let again = peer.hear(&compressed(&compressor.compress(&far[..100])));
    assert_eq!(again.map_err(|violation| violation.code), Err(1002));
}

#[test]
fn a_bomb_is_noticed_while_it_is_inflated() {
    let bomb = Compressor::new(15).compress(&vec![0; 64 << 20]);
    let limit = 1 << 20;
    let mut peer = Peer::with_deflate_and_limit("permessage-deflate", limit);
    let bytes = compressed(&bomb);
    let (mut taken, mut code) = (0, None);
    for piece in bytes.chunks(16) {
        if let Err(violation) = peer.hear(piece) {
            code = Some(violation.code);
            break;
        }
        taken += piece.len();
    }
    assert_eq!(code, Some(1009));
    // DEFLATE makes no more than 1,032 bytes of one.
    assert!(
        taken * 1032 >= limit && taken < limit / 1000 + 64,
        "{taken} of {} bytes were taken",
        bytes.len()
    );
}

#[test]
fn a_message_may_inflate_to_the_limit_and_not_beyond() {
    for (length, is_accepted) in [(999, true), (1000, true), (1001, false), (5000, false)] {
        for content in
            [vec![0; length], contents().into_iter().find(|content| content.len() == 5000).unwrap()]
        {
            let content = &content[..length];
            let mut peer = Peer::with_deflate_and_limit(USUAL, 1000);
            let events = peer.hear(&compressed(&Compressor::new(12).compress(content)));
            let expected = if is_accepted { Ok(vec![binary(content)]) } else { Err(1009) };
            assert_eq!(events.map_err(|violation| violation.code), expected, "{length} bytes");
        }
    }
}

#[test]
fn the_limit_may_be_off() {
    let mut peer = Peer::with_deflate_and_limit(USUAL, usize::MAX);
    let fragments = [frame(BINARY, b"a"), frame(FIN | CONTINUATION, b"b")].concat();
    assert_eq!(peer.hear(&fragments), Ok(vec![binary(b"ab")]));
    let mut compressor = Compressor::new(12);
    for content in contents() {
        assert!(peer.hear(&compressed(&compressor.compress(&content))) == Ok(vec![binary(&content)]));
    }
    // Nothing is allocated for what is merely declared.
    assert_eq!(peer.hear(&header(FIN | BINARY, i64::MAX as u64)), Ok(vec![]));
    assert_eq!(peer.hear(&masked(b"a")), Ok(vec![]));
}

#[test]
fn content_that_cannot_be_compressed_has_the_whole_limit() {
    // Stored blocks, as short as a sender might make them.
    let noise = noise();
    let mut compressor = Compressor::new(12);
    let payload = compressor.compress(&noise);
    let mut peer = Peer::with_deflate_and_limit(USUAL, noise.len());
    assert!(peer.hear(&compressed(&payload)) == Ok(vec![binary(&noise)]), "{} bytes", payload.len());
}

#[test]
fn compressed_fragments_are_not_endless() {
    let mut peer = Peer::with_deflate_and_limit(USUAL, 1000);
    let mut code = None;
    // Each is an empty stored block, and says nothing.
    for number in 0..1000 {
        let first = if number == 0 { RSV1 | BINARY } else { CONTINUATION };
        if let Err(violation) = peer.hear(&frame(first, &[0, 0, 0, 0xff, 0xff])) {
            code = Some((number < 300, violation.code));
            break;
        }
    }
    assert_eq!(code, Some((true, 1009)));
}

#[test]
fn pieces_make_no_difference_to_compressed_messages() {
    let mut compressor = Compressor::new(12);
    let mut bytes = Vec::new();
    for content in contents().iter().filter(|content| content.len() <= 300) {
        bytes.extend(compressed(&compressor.compress(content)));
    }
    let whole = Peer::with_deflate(USUAL).converse([&bytes[..]]);
    assert!(whole.violation.is_none());
    for size in [1, 2, 3, 5, 7, 64, 1000] {
        assert_eq!(Peer::with_deflate(USUAL).converse(bytes.chunks(size)), whole, "in pieces of {size}");
    }
    for (name, _, bytes) in refused() {
        let whole = Peer::with_deflate(USUAL).converse([&bytes[..]]);
        for position in 0..=bytes.len() {
            let (front, back) = bytes.split_at(position);
            assert_eq!(Peer::with_deflate(USUAL).converse([front, back]), whole, "{name} cut at {position}");
        }
    }
}
