//! What RFC 6455 forbids, and the close code that it is answered with.

use bicorn_http::websocket::State;

use crate::websocket::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Peer, RSV1, TEXT, close_frame, frame, header, text_frame,
};

/// A name, the code, and bytes of which the last one breaks a rule.
pub(crate) fn refused() -> Vec<(String, u16, Vec<u8>)> {
    let mut refused = Vec::new();
    let mut row = |name: &str, code, parts: &[&[u8]]| refused.push((name.to_owned(), code, parts.concat()));
    // RFC 6455 §5.2: bits and opcodes that mean nothing.
    for bit in [0x40, 0x20, 0x10] {
        for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
            row(&format!("reserved bit {bit:x} of {opcode}"), 1002, &[&[FIN | bit | opcode]]);
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        row(&format!("opcode {opcode}"), 1002, &[&[FIN | opcode]]);
    }
    row("reserved bit of a continuation", 1002, &[&frame(TEXT, b"a"), &[FIN | RSV1]]);
    row("no mask", 1002, &[&[FIN | TEXT, 5]]);
    row("no mask on a control frame", 1002, &[&[FIN | PING, 0]]);
    for opcode in [CLOSE, PING, PONG] {
        row(&format!("fragmented control frame {opcode}"), 1002, &[&[opcode]]);
        row(&format!("long control frame {opcode}"), 1002, &[&[FIN | opcode, 0xfe]]);
        row(&format!("longer control frame {opcode}"), 1002, &[&[FIN | opcode, 0xff]]);
    }
    row("16-bit length below 126", 1002, &[&[FIN | TEXT, 0xfe, 0, 125]]);
    row("64-bit length below 65,536", 1002, &[&[FIN | TEXT, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]]);
    row("64-bit length with its high bit", 1002, &[&[FIN | TEXT, 0xff, 0x80]]);
    // RFC 6455 §5.4.
    row("continuation of nothing", 1002, &[&[CONTINUATION]]);
    row("last continuation of nothing", 1002, &[&[FIN | CONTINUATION]]);
    row("continuation behind a message", 1002, &[&text_frame("a"), &[FIN | CONTINUATION]]);
    row("text within a text", 1002, &[&frame(TEXT, b"a"), &[FIN | TEXT]]);
    row("binary within a text", 1002, &[&frame(TEXT, b"a"), &[BINARY]]);
    // RFC 6455 §5.5.1, §7.4.
    row("close with half a code", 1002, &[&frame(FIN | CLOSE, b"\x03")]);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        row(&format!("close code {code}"), 1002, &[&close_frame(code, b"")]);
    }
    for reason in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"\xc0\xaf"] {
        let name = format!("close reason {}", reason.escape_ascii());
        row(&name, 1007, &[&close_frame(1000, reason)]);
    }
    refused.extend(no_text().into_iter().map(|(name, bytes)| (name, 1007, bytes)));
    refused
}

/// Text messages whose last byte cannot be UTF-8; nothing says that they end with it.
fn no_text() -> Vec<(String, Vec<u8>)> {
    let texts: &[&[u8]] = &[
        b"\x80",
        b"\xff",
        b"\xfe",
        b"\xc0",
        b"\xc1",
        b"\xf5",
        b"a\xc3(",
        b"\xe0\x80",
        b"\xe0\x9f",
        b"\xed\xa0",
        b"\xed\xbf",
        b"\xf0\x80",
        b"\xf0\x8f",
        b"\xf4\x90",
        b"\xe2\x82(",
        b"\xf0\x9f\xa6(",
        b"\xf0\x9f\xa6\x84\x80",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0",
    ];
    let mut found = Vec::new();
    for text in texts {
        let name = text.escape_ascii();
        // More is declared than comes: the frame is not waited for.
        let declared = [&header(FIN | TEXT, 100_000)[..], &crate::websocket::masked(text)].concat();
        found.push((format!("within a frame: {name}"), declared));
        let (front, back) = text.split_at(text.len() - 1);
        let last = frame(CONTINUATION, back);
        found.push((format!("in the second fragment: {name}"), [frame(TEXT, front), last].concat()));
    }
    for text in [&b"\xc3"[..], b"a\xe2\x82", b"\xf0\x9f\xa6"] {
        let name = text.escape_ascii();
        found.push((format!("an unfinished character: {name}"), frame(FIN | TEXT, text)));
        let fragments = [frame(TEXT, text), frame(FIN | CONTINUATION, b"")].concat();
        found.push((format!("an unfinished character in fragments: {name}"), fragments));
    }
    found
}

#[test]
fn each_violation_is_answered_with_its_code() {
    for (name, code, bytes) in refused() {
        let heard = Peer::new().converse([&bytes[..]]);
        assert_eq!(heard.violation.map(|violation| violation.code), Some(code), "{name}");
        let [0x88, length, payload @ ..] = &heard.wire[..] else { panic!("{name}: {:?}", heard.wire) };
        assert_eq!(usize::from(*length), payload.len(), "{name}");
        let reason = heard.violation.map_or("", |violation| violation.reason);
        assert_eq!(payload, [&code.to_be_bytes(), reason.as_bytes()].concat(), "{name}");
        assert_eq!(heard.state, State::Closed, "{name}");
    }
}

#[test]
fn a_violation_is_noticed_with_its_byte_and_not_before() {
    for (name, code, bytes) in refused() {
        let (last, front) = bytes.split_last().unwrap();
        let mut peer = Peer::new();
        for byte in front {
            assert!(peer.hear(&[*byte]).is_ok(), "{name}");
        }
        assert_eq!(peer.hear(&[*last]).map_err(|violation| violation.code), Err(code), "{name}");
    }
}

#[test]
fn nothing_behind_a_violation_is_heard() {
    for (name, _, bytes) in refused() {
        let mut peer = Peer::new();
        assert!(peer.hear(&bytes).is_err(), "{name}");
        peer.wire();
        assert_eq!(
            peer.hear(&[text_frame("a"), frame(FIN | PING, b"b"), vec![0xff]].concat()),
            Ok(vec![]),
            "{name}"
        );
        assert_eq!(peer.wire(), b"", "{name}");
    }
}
