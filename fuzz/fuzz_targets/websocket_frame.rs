//! What a WebSocket peer sends: cut anywhere, the same events come out, within the limit, and what is written
//! is what RFC 6455 lets a server write.
//!
//! The first byte chooses the settings, the next four say how long the pieces are, in turn.
#![no_main]

use bicorn_http::Output;
use bicorn_http::http1;
use bicorn_http::websocket::handshake::{accept, check};
use bicorn_http::websocket::{Connection, Event, Message, Settings, State, Violation, is_close_code};
use libfuzzer_sys::fuzz_target;

/// What a peer may offer, and what it is agreed to.
const OFFERS: [&str; 5] = [
    "",
    "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=8\r\n",
];

const LIMITS: [usize; 4] = [0, 100, 4000, 1 << 20];

/// The longest piece but for the input itself.
const PIECE_BYTES: u8 = 32;

#[derive(Debug)]
struct Heard {
    events: Vec<Event>,
    violation: Option<Violation>,
    wire: Vec<u8>,
}

fuzz_target!(|input: &[u8]| {
    let Some(([choice, sizes @ ..], sent)) = input.split_first_chunk::<5>() else { return };
    let offer = OFFERS[usize::from(*choice) % OFFERS.len()];
    let limit = LIMITS[usize::from(*choice) / OFFERS.len() % LIMITS.len()];
    let whole = converse(offer, limit, [sent].into_iter());
    check_heard(&whole, limit);
    for pieces in [converse(offer, limit, cut(sent, *sizes)), converse(offer, limit, sent.chunks(1))] {
        assert_eq!(pieces.events, whole.events);
        assert_eq!(pieces.violation.is_some(), whole.violation.is_some());
        // Of several things that are wrong with compressed content, the first to be seen depends on the pieces.
        if offer.is_empty() || whole.violation.is_none() {
            assert_eq!(pieces.violation, whole.violation);
            assert_eq!(pieces.wire, whole.wire);
        }
    }
});

fn check_heard(heard: &Heard, limit: usize) {
    for event in &heard.events {
        match event {
            Event::Message(Message::Text(text)) => assert!(text.len() <= limit),
            Event::Message(Message::Binary(content)) => assert!(content.len() <= limit),
            Event::Pong(payload) => assert!(payload.len() <= 125),
            Event::Close { code, reason } => {
                assert!(code.is_none_or(is_close_code) && reason.len() <= 123);
            }
        }
    }
    // Pongs and one close frame, all of them short.
    let mut rest = &heard.wire[..];
    while let [first, length, behind @ ..] = rest {
        let (payload, behind) = behind.split_at(usize::from(*length));
        assert!(payload.len() <= 125 && matches!(first, 0x88 | 0x8a));
        assert!(*first == 0x8a || behind.is_empty());
        rest = behind;
    }
    assert!(rest.is_empty());
}

fn cut(sent: &[u8], sizes: [u8; 4]) -> impl Iterator<Item = &[u8]> {
    let mut sizes = sizes.into_iter().cycle().map(|size| usize::from(size % PIECE_BYTES) + 1);
    let mut rest = sent;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, behind) = rest.split_at(sizes.next()?.min(rest.len()));
        rest = behind;
        Some(piece)
    })
}

fn converse<'a>(offer: &str, max_message_bytes: usize, pieces: impl Iterator<Item = &'a [u8]>) -> Heard {
    let mut connection = open(offer, max_message_bytes);
    let mut output = Output::default();
    let (mut events, mut violation) = (Vec::new(), None);
    'pieces: for piece in pieces {
        let mut input = piece;
        loop {
            match connection.read(&mut input, &mut output) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => {
                    violation = Some(error);
                    assert_eq!(connection.state(), State::Closed);
                    break 'pieces;
                }
            }
        }
        assert!(input.is_empty());
        connection.release();
    }
    let mut wire = Vec::new();
    while !output.is_empty() {
        wire.extend_from_slice(output.front());
        output.advance(output.front().len());
    }
    Heard { events, violation, wire }
}

fn open(offer: &str, max_message_bytes: usize) -> Connection {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
    );
    let event = http1::Connection::new(http1::Limits::default()).read(&mut head.as_bytes());
    let Ok(Some(http1::Event::Head { head, .. })) = event else { panic!("{event:?}") };
    let Ok(Some(offer)) = check(&head) else { panic!("the handshake is good") };
    let settings = Settings { max_message_bytes, per_message_deflate: true };
    let (_, agreement) = accept(&offer, &settings);
    Connection::new(settings, agreement)
}
