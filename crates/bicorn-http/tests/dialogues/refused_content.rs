//! Chunked content outside the grammar (RFC 9112 §7.1), as a connection meets it.

use bicorn_http::PeerError;

use crate::dialogue::{Dialogue, Said, converse, head};

/// Malformed content.
const CONTENT: &[(&[u8], PeerError)] = &[
    // chunk-size = 1*HEXDIG, and nothing around it.
    (b"\r\n", PeerError::Chunk),
    (b"x\r\n", PeerError::Chunk),
    (b" 5\r\nhello", PeerError::Chunk),
    (b"5 \r\nhello", PeerError::Chunk),
    (b"5\t\r\nhello", PeerError::Chunk),
    (b"+5\r\nhello", PeerError::Chunk),
    (b"-5\r\nhello", PeerError::Chunk),
    (b"0x5\r\nhello", PeerError::Chunk),
    (b"1_0\r\nhello", PeerError::Chunk),
    (b"5.\r\nhello", PeerError::Chunk),
    (b"\xb2\r\nhi", PeerError::Chunk),
    (b"10000000000000000\r\n", PeerError::Chunk),
    (b"FFFFFFFFFFFFFFFFF\r\n", PeerError::Chunk),
    // CRLF, and nothing else, ends a size line.
    (b"5\nhello", PeerError::Chunk),
    (b"5\rhello", PeerError::Chunk),
    (b"5\r\rhello", PeerError::Chunk),
    (b"0\n\r\n", PeerError::Chunk),
    // CRLF, and nothing else, follows the data.
    (b"5\r\nhello0\r\n\r\n", PeerError::Chunk),
    (b"5\r\nhello!0\r\n\r\n", PeerError::Chunk),
    (b"5\r\nhello\n0\r\n\r\n", PeerError::Chunk),
    (b"5\r\nhello\r0\r\n\r\n", PeerError::Chunk),
    (b"5\r\nhello\r\n\r\n0\r\n\r\n", PeerError::Chunk),
    // Extensions.
    (b"5;\r\nhello", PeerError::Chunk),
    (b"5;=b\r\nhello", PeerError::Chunk),
    (b"5;a=\r\nhello", PeerError::Chunk),
    (b"5;a;\r\nhello", PeerError::Chunk),
    (b"5;a b\r\nhello", PeerError::Chunk),
    (b"5;a\nb\r\nhello", PeerError::Chunk),
    (b"5;a\rb\r\nhello", PeerError::Chunk),
    (b"5;a\0\r\nhello", PeerError::Chunk),
    (b"5;a=\"b\r\nhello", PeerError::Chunk),
    (b"5;a=\"b\\\r\nhello", PeerError::Chunk),
    (b"5;a=\"b\"c\r\nhello", PeerError::Chunk),
    (b"5;a=b\"c\"\r\nhello", PeerError::Chunk),
    // The end, and trailers.
    (b"0\r\n\n", PeerError::Field),
    (b"0\r\n\rX", PeerError::Chunk),
    (b"0\r\n a: b\r\n\r\n", PeerError::Field),
    (b"0\r\na: b\r\n c\r\n\r\n", PeerError::Field),
    (b"0\r\na : b\r\n\r\n", PeerError::Field),
    (b"0\r\na\r\n\r\n", PeerError::Field),
    (b"0\r\n: b\r\n\r\n", PeerError::Field),
    (b"0\r\na: b\n\r\n", PeerError::Field),
    (b"0\r\na: b\rc\r\n\r\n", PeerError::Field),
    (b"0\r\na: b\0\r\n\r\n", PeerError::Field),
    (b"0\r\na: b\x7f\r\n\r\n", PeerError::Field),
];

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Every malformed content of this file, behind a head.
pub(crate) fn refused_messages() -> impl Iterator<Item = (Vec<u8>, PeerError)> {
    CONTENT.iter().map(|(content, error)| ([HEAD, content].concat(), *error))
}

#[test]
fn malformed_content_is_400_and_never_complete() {
    for (message, error) in refused_messages() {
        let conversation = converse([&message[..]]);
        let name = message.escape_ascii().to_string();
        assert_eq!(conversation.error, Some(error), "{name}");
        assert_eq!(error.status(), 400, "{name}");
        assert!(!conversation.said.contains(&Said::End), "{name}");
    }
}

#[test]
fn nothing_behind_malformed_content_is_heard() {
    let next = b"\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    for (message, _) in refused_messages() {
        let conversation = converse([&message[..], &next[..]]);
        let heads = conversation.said.iter().filter(|said| matches!(said, Said::Head(_))).count();
        assert_eq!(heads, 1, "{}", message.escape_ascii());
    }
}

#[test]
fn truncated_content_is_never_complete() {
    let messages: [&[u8]; 2] =
        [b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nhello", b"5;a\r\nhello\r\n0\r\na: b\r\n\r"];
    for message in [messages[0].to_vec(), [HEAD, messages[1]].concat()] {
        let dialogue = Dialogue::after(&message);
        assert_eq!(dialogue.content(), "hello");
        assert!(!dialogue.said().contains(&Said::End));
        assert!(dialogue.connection.is_reading_content());
    }
}

#[test]
fn trailers_are_not_given_to_anybody() {
    let mut dialogue = Dialogue::after(&[HEAD, b"0\r\nContent-Length: 9\r\nHost: x\r\n\r\nrest"].concat());
    assert_eq!(dialogue.said()[1..], [Said::End]);
    assert_eq!(dialogue.unread(), b"rest");
    dialogue.answer(&head(200, &[]), b"");
    assert!(dialogue.connection.start_next());
}

#[test]
fn a_chunk_may_be_as_long_as_its_size_can_say() {
    let mut dialogue = Dialogue::after(&[HEAD, b"FFFFFFFFFFFFFFFF\r\nabc"].concat());
    dialogue.receive(b"def").unwrap();
    assert_eq!(dialogue.content(), "abcdef");
}
