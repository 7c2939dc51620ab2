//! Offers of permessage-deflate, and what is agreed to (RFC 7692 §5, §7.1).

use bicorn_http::http1::{Connection, Event, Limits};
use bicorn_http::websocket::Settings;
use bicorn_http::websocket::handshake::{accept, check};

use crate::dialogue::text;

/// The answer to these lines of `Sec-WebSocket-Extensions`.
fn answer(offers: &[&str], settings: &Settings) -> Option<String> {
    let mut head = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        .to_owned();
    for offer in offers {
        head.extend(["Sec-WebSocket-Extensions: ", offer, "\r\n"]);
    }
    head.push_str("\r\n");
    let event = Connection::new(Limits::default()).read(&mut head.as_bytes());
    let Ok(Some(Event::Head { head, .. })) = event else { panic!("{offers:?}: {event:?}") };
    let offer = check(&head).expect("the lists are well-formed").expect("it asks for a WebSocket");
    let (lines, agreement) = accept(&offer, settings);
    let answer = text(&lines)
        .lines()
        .find_map(|line| Some(line.strip_prefix("Sec-WebSocket-Extensions: ")?.to_owned()));
    assert_eq!(answer, agreement.map(|agreement| agreement.to_string()), "{offers:?}");
    answer
}

/// Parameters of one offer, and those of the answer. uvicorn 0.54 with websockets 17 answers the same but for
/// one row.
const OFFERS: &[(&str, Option<&str>)] = &[
    ("", Some("; server_max_window_bits=12")),
    ("; client_max_window_bits", Some("; server_max_window_bits=12; client_max_window_bits=12")),
    ("; client_max_window_bits=15", Some("; server_max_window_bits=12; client_max_window_bits=12")),
    ("; client_max_window_bits=10", Some("; server_max_window_bits=12; client_max_window_bits=10")),
    ("; client_max_window_bits=8", Some("; server_max_window_bits=12; client_max_window_bits=8")),
    ("; client_max_window_bits=\"9\"", Some("; server_max_window_bits=12; client_max_window_bits=9")),
    ("; client_max_window_bits=\"1\\0\"", Some("; server_max_window_bits=12; client_max_window_bits=10")),
    // uvicorn passes this offer over, because zlib cannot compress with 8 bits.
    ("; server_max_window_bits=8", Some("; server_max_window_bits=8")),
    ("; server_max_window_bits=9", Some("; server_max_window_bits=9")),
    ("; server_max_window_bits=11", Some("; server_max_window_bits=11")),
    ("; server_max_window_bits=13", Some("; server_max_window_bits=12")),
    ("; server_max_window_bits=15", Some("; server_max_window_bits=12")),
    ("; server_no_context_takeover", Some("; server_no_context_takeover; server_max_window_bits=12")),
    ("; client_no_context_takeover", Some("; client_no_context_takeover; server_max_window_bits=12")),
    (
        " ;\tclient_max_window_bits = 11;server_max_window_bits=9;client_no_context_takeover;server_no_context_takeover",
        Some(
            "; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=9; client_max_window_bits=11",
        ),
    ),
    ("; client_max_window_bits=7", None),
    ("; client_max_window_bits=16", None),
    ("; client_max_window_bits=08", None),
    ("; client_max_window_bits=+9", None),
    ("; client_max_window_bits=x", None),
    ("; server_max_window_bits", None),
    ("; server_max_window_bits=7", None),
    ("; server_max_window_bits=16", None),
    ("; server_max_window_bits=010", None),
    ("; server_no_context_takeover=1", None),
    ("; client_no_context_takeover=true", None),
    ("; unknown", None),
    ("; unknown=1", None),
    ("; Client_Max_Window_Bits", None),
    ("; client_max_window_bits; client_max_window_bits", None),
    ("; client_max_window_bits; client_max_window_bits=10", None),
    ("; server_max_window_bits=9; server_max_window_bits=9", None),
    ("; server_no_context_takeover; server_no_context_takeover", None),
    ("; client_no_context_takeover; client_no_context_takeover", None),
];

#[test]
fn each_offer_has_its_answer() {
    for (offer, expected) in OFFERS {
        let expected = expected.map(|parameters| format!("permessage-deflate{parameters}"));
        let offer = format!("permessage-deflate{offer}");
        assert_eq!(answer(&[&offer], &Settings::default()), expected, "{offer}");
    }
}

#[test]
fn the_first_offer_that_can_be_met_is_taken() {
    let first = "permessage-deflate; server_max_window_bits=10";
    for offers in [
        &["permessage-deflate; server_max_window_bits=10, permessage-deflate"][..],
        &["permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10"],
        &["x-webkit-deflate-frame, Permessage-Deflate, permessage-deflate; server_max_window_bits=10"],
        &["permessage-deflate; server_max_window_bits=16", first, "permessage-deflate"],
        &["foo; bar=1", first],
    ] {
        assert_eq!(answer(offers, &Settings::default()).as_deref(), Some(first), "{offers:?}");
    }
    assert_eq!(answer(&["foo", "bar"], &Settings::default()), None);
}

#[test]
fn nothing_is_agreed_to_when_compression_is_off() {
    let settings = Settings { per_message_deflate: false, ..Settings::default() };
    assert_eq!(answer(&["permessage-deflate"], &settings), None);
}
