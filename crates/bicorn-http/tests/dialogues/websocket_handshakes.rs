//! Which request heads ask for a WebSocket, how they are accepted, and what is wrong with the others.

use bicorn_http::http1::{Connection, Event, Limits};
use bicorn_http::websocket::Settings;
use bicorn_http::websocket::handshake::{Offer, accept, check, check_stream};
use bicorn_http::{PeerError, RequestHead};

use crate::dialogue::text;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";

fn head_of(bytes: &str) -> RequestHead {
    let latin: Vec<u8> = bytes.chars().map(|character| u8::try_from(character).expect("latin-1")).collect();
    match Connection::new(Limits::default()).read(&mut &latin[..]) {
        Ok(Some(Event::Head { head, .. })) => head,
        other => panic!("{bytes:?}: {other:?}"),
    }
}

fn asks(line: &str, fields: &[&str]) -> Result<Option<Offer>, PeerError> {
    check(&head_of(&[line, "\r\nHost: h\r\n", &fields.concat(), "\r\n"].concat()))
}

/// A good handshake with more field lines.
fn offers(fields: &str) -> Result<Offer, PeerError> {
    asks("GET / HTTP/1.1", &[UPGRADE, KEY, VERSION, fields])
        .map(|offer| offer.expect("it asks for a WebSocket"))
}

#[test]
fn a_handshake_is_accepted_with_the_answer_to_its_key() {
    let offer = offers("").unwrap();
    let (lines, agreement) = accept(&offer, &Settings::default());
    let expected = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    assert_eq!((text(&lines).as_str(), agreement), (expected, None));
    assert_eq!(offer.subprotocols(), [""; 0]);
}

#[test]
fn a_stream_is_accepted_without_a_key() {
    let head =
        head_of(&["GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Protocol: a\r\n", VERSION, "\r\n"].concat());
    let offer = check_stream(&head).unwrap();
    assert_eq!(accept(&offer, &Settings::default()), (vec![], None));
    assert_eq!(offer.subprotocols(), ["a"]);
    assert_eq!(
        check_stream(&head_of("GET / HTTP/1.1\r\nHost: h\r\n\r\n")),
        Err(PeerError::WebSocketVersionMissing)
    );
}

#[test]
fn other_requests_are_no_handshakes() {
    for fields in [
        &[KEY, VERSION][..],
        &["Upgrade: websocket\r\n", KEY, VERSION],
        &["Connection: upgrade\r\n", KEY, VERSION],
        &["Connection: upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Version: 8\r\n"],
        &["Connection: upgrade\r\nUpgrade: websockets\r\n"],
        &["Sec-WebSocket-Protocol: \u{e9}\r\nSec-WebSocket-Version: 8\r\n"],
    ] {
        for line in ["GET / HTTP/1.1", "POST / HTTP/1.1", "GET / HTTP/1.0"] {
            assert_eq!(asks(line, fields), Ok(None), "{line} {fields:?}");
        }
    }
}

#[test]
fn subprotocols_are_given_in_their_order() {
    for (fields, expected) in [
        ("Sec-WebSocket-Protocol: chat\r\n", &["chat"][..]),
        ("Sec-WebSocket-Protocol: b , a,\tc\r\n", &["b", "a", "c"]),
        ("Sec-WebSocket-Protocol: ,a,,b,\r\nsec-websocket-protocol: v1.c!x\r\n", &["a", "b", "v1.c!x"]),
    ] {
        assert_eq!(offers(fields).unwrap().subprotocols(), expected, "{fields}");
    }
}

#[test]
fn a_handshake_must_be_a_get_of_http_1_1() {
    for line in ["POST / HTTP/1.1", "get / HTTP/1.1", "HEAD / HTTP/1.1", "GET / HTTP/1.0", "POST / HTTP/1.0"]
    {
        let refused = asks(line, &[UPGRADE, KEY, VERSION]);
        assert_eq!(refused, Err(PeerError::WebSocketRequestLine), "{line}");
    }
}

#[test]
fn each_fault_of_a_handshake_has_its_error() {
    let table: &[(&[&str], PeerError)] = &[
        (&[VERSION], PeerError::WebSocketKey),
        (&[VERSION, KEY, KEY], PeerError::WebSocketKey),
        (&[VERSION, "Sec-WebSocket-Key:\r\n"], PeerError::WebSocketKey),
        (&[VERSION, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n"], PeerError::WebSocketKey),
        (&[VERSION, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n"], PeerError::WebSocketKey),
        (&[VERSION, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n"], PeerError::WebSocketKey),
        (
            &[
                VERSION,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZS==\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZS==\r\n",
            ],
            PeerError::WebSocketKey,
        ),
        (&[VERSION, "Sec-WebSocket-Key: d\u{e9}hlIHNhbXBsZSBub25jZQ==\r\n"], PeerError::WebSocketKey),
        (&[KEY], PeerError::WebSocketVersionMissing),
        (&[KEY, "Sec-WebSocket-Version: 8\r\n"], PeerError::WebSocketVersion),
        (&[KEY, "Sec-WebSocket-Version: 13, 8\r\n"], PeerError::WebSocketVersion),
        (&[KEY, "Sec-WebSocket-Version: 8\r\n", VERSION], PeerError::WebSocketVersion),
        (&[KEY, "Sec-WebSocket-Version:\r\n"], PeerError::WebSocketVersion),
        (&[KEY, VERSION, "Content-Length: 1\r\n"], PeerError::WebSocketContent),
        (&[KEY, VERSION, "Transfer-Encoding: chunked\r\n"], PeerError::WebSocketContent),
    ];
    for (fields, error) in table {
        assert_eq!(asks("GET / HTTP/1.1", &[&[UPGRADE], *fields].concat()), Err(*error), "{fields:?}");
    }
    assert_eq!(offers("Content-Length: 0\r\n").err(), None);
}

#[test]
fn malformed_lists_are_refused() {
    for value in ["", ",", "\u{e9}", "a\u{e9}", "a b", "a/b", "\"a\"", "a;b", "(", "a,=b"] {
        let refused = offers(&format!("Sec-WebSocket-Protocol: {value}\r\n"));
        assert_eq!(refused.err(), Some(PeerError::WebSocketSubprotocol), "{value}");
    }
    for value in [
        "",
        ",",
        "\u{e9}",
        "a;",
        "a;b=",
        "a;=b",
        "a=b",
        "a b",
        "a;b=\"",
        "a;b=\"c d\"",
        "permessage-deflate; \u{ff}",
    ] {
        let refused = offers(&format!("Sec-WebSocket-Extensions: {value}\r\n"));
        assert_eq!(refused.err(), Some(PeerError::WebSocketExtensions), "{value}");
    }
}

#[test]
fn long_fields_cost_no_more_than_their_length() {
    // A quadratic scan of this would take minutes.
    let many = vec!["a"; 30_000].join(",");
    assert_eq!(offers(&format!("Sec-WebSocket-Protocol: {many}\r\n")).unwrap().subprotocols().len(), 30_000);
    let offer = "permessage-deflate;x,".repeat(2_900);
    assert!(offers(&format!("Sec-WebSocket-Extensions: {offer}\r\n")).is_ok());
    let spaces = " ".repeat(60_000);
    assert!(offers(&format!("Sec-WebSocket-Extensions: a{spaces};b=\"c\"\r\n")).is_ok());
}

#[test]
fn the_answer_says_what_is_wrong() {
    for error in [
        PeerError::WebSocketKey,
        PeerError::WebSocketVersion,
        PeerError::WebSocketVersionMissing,
        PeerError::WebSocketRequestLine,
        PeerError::WebSocketContent,
        PeerError::WebSocketSubprotocol,
        PeerError::WebSocketExtensions,
    ] {
        assert!(error.content().contains("WebSocket"), "{error:?}");
        assert_eq!(error.content(), error.to_string());
    }
}
