//! A WebSocket peer, played by the test.

use bicorn_http::websocket::handshake::{accept, check};
use bicorn_http::websocket::{Connection, Event, Message, Outgoing, Settings, State, Violation};
use bicorn_http::{Output, http1};

/// First bytes of frames (RFC 6455 §5.2).
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame whose length is as short as it can be.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let header = match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length <= 125 => vec![first, 0x80 | length],
        (_, Ok(length)) => [&[first, 0xfe][..], &length.to_be_bytes()].concat(),
        _ => [&[first, 0xff][..], &(payload.len() as u64).to_be_bytes()].concat(),
    };
    [&header[..], &MASK, &masked(payload)].concat()
}

/// A whole text message.
pub(crate) fn text_frame(text: &str) -> Vec<u8> {
    frame(FIN | TEXT, text.as_bytes())
}

/// A close frame.
pub(crate) fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

pub(crate) fn masked(payload: &[u8]) -> Vec<u8> {
    payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

/// The header of a masked frame that declares this length.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &MASK].concat()
}

pub(crate) fn text(text: &str) -> Event {
    Event::Message(Message::Text(text.to_owned()))
}

pub(crate) fn binary(bytes: &[u8]) -> Event {
    Event::Message(Message::Binary(bytes.to_vec()))
}

/// What a connection made of a peer's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) events: Vec<Event>,
    pub(crate) violation: Option<Violation>,
    /// What it wrote.
    pub(crate) wire: Vec<u8>,
    pub(crate) state: State,
}

/// A connection, and what it has written.
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    pub(crate) output: Output,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self::of(Connection::new(Settings::default(), None))
    }

    /// A connection that takes messages up to this length.
    pub(crate) fn with_limit(max_message_bytes: usize) -> Self {
        Self::of(Connection::new(Settings { max_message_bytes, ..Settings::default() }, None))
    }

    /// A connection that has agreed to this offer of permessage-deflate.
    pub(crate) fn with_deflate(offer: &str) -> Self {
        Self::with_deflate_and_limit(offer, Settings::default().max_message_bytes)
    }

    pub(crate) fn with_deflate_and_limit(offer: &str, max_message_bytes: usize) -> Self {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"
        );
        let event = http1::Connection::new(http1::Limits::default()).read(&mut head.as_bytes());
        let Ok(Some(http1::Event::Head { head, .. })) = event else { panic!("{offer}: {event:?}") };
        let offer = check(&head).expect("the handshake is good").expect("it asks for a WebSocket");
        let settings = Settings { max_message_bytes, ..Settings::default() };
        let (_, agreement) = accept(&offer, &settings);
        assert!(agreement.is_some());
        Self::of(Connection::new(settings, agreement))
    }

    pub(crate) fn of(connection: Connection) -> Self {
        Self { connection, output: Output::default() }
    }

    /// Everything that the bytes say.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Violation> {
        let (mut input, mut events) = (bytes, Vec::new());
        while let Some(event) = self.connection.read(&mut input, &mut self.output)? {
            events.push(event);
        }
        assert_eq!(input, b"", "all of the input is taken");
        Ok(events)
    }

    /// What was written since the last call.
    pub(crate) fn wire(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while !self.output.is_empty() {
            wire.extend_from_slice(self.output.front());
            self.output.advance(self.output.front().len());
        }
        wire
    }

    pub(crate) fn send(&mut self, message: Outgoing) -> Vec<u8> {
        self.connection.send(message, &mut self.output);
        self.wire()
    }

    /// Hear pieces until the connection has had enough.
    pub(crate) fn converse<'a>(mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
        let (mut events, mut violation, mut wire) = (Vec::new(), None, Vec::new());
        for piece in pieces {
            let mut input = piece;
            let end = loop {
                match self.connection.read(&mut input, &mut self.output) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break None,
                    Err(violation) => break Some(violation),
                }
            };
            wire.extend(self.wire());
            if end.is_some() {
                violation = end;
                break;
            }
        }
        Heard { events, violation, wire, state: self.connection.state() }
    }
}
