//! Compression, against another implementation of DEFLATE: what we write it can read and means the same, and
//! what we accept it reads the same.
//!
//! The first byte chooses the window and where the rest is cut into messages.
#![no_main]

use bicorn_http::http1;
use bicorn_http::websocket::handshake::{accept, check};
use bicorn_http::websocket::{Connection, Event, Message, Outgoing, Settings};
use bicorn_http::{Output, ResponseBody};
use libfuzzer_sys::fuzz_target;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// What a message may inflate to.
const LIMIT: usize = 64 * 1024;
/// More of them say nothing new, and take their time.
const MESSAGES: usize = 20;

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let bits = choice % 8 + 8;
    let size = [1, 7, 60, 300, 5000, 100_000][usize::from(choice / 8) % 6];
    write(rest, bits, size, choice & 0x80 != 0);
    read(rest);
});

/// Send the input in messages of this size, and each of them twice.
fn write(content: &[u8], bits: u8, size: usize, forgets: bool) {
    let forget = if forgets { "; server_no_context_takeover" } else { "" };
    let mut connection = open(&format!("permessage-deflate; server_max_window_bits={bits}{forget}"));
    let mut peer = Reader::new(1 << bits.min(12));
    let mut other = open("permessage-deflate");
    let mut output = Output::default();
    for message in content.chunks(size).take(MESSAGES).flat_map(|message| [message, message]) {
        connection.send(Outgoing::Binary(ResponseBody::copied(message)), &mut output);
        let payload = payload(&mut output);
        if forgets {
            peer = Reader::new(1 << bits.min(12));
        }
        assert_eq!(peer.read(&[&payload[..], &[0, 0, 0xff, 0xff]].concat()), Some(message.to_vec()));
        let frame = frame(&payload);
        let event = other.read(&mut &frame[..], &mut output);
        assert_eq!(event, Ok(Some(Event::Message(Message::Binary(message.to_vec())))));
    }
}

/// Take the input for compressed content.
fn read(payload: &[u8]) {
    let mut output = Output::default();
    let frame = frame(payload);
    let event = open("permessage-deflate").read(&mut &frame[..], &mut output);
    let expected = Reader::new(32 * 1024).read(&[payload, &[0, 0, 0xff, 0xff]].concat());
    match (event, expected) {
        (Ok(Some(Event::Message(Message::Binary(content)))), Some(expected)) => assert!(content == expected),
        (Ok(Some(_)), None) => panic!("accepted"),
        (Ok(None), _) => panic!("the frame is complete"),
        // The other one does not mind content that is cut off, and knows no limit.
        _ => {}
    }
}

/// The other implementation.
struct Reader {
    state: Box<DecompressorOxide>,
    window: Vec<u8>,
    position: usize,
}

impl Reader {
    fn new(window: usize) -> Self {
        Self { state: Box::default(), window: vec![0; window], position: 0 }
    }

    /// What the input stands for, if it is a DEFLATE stream, or several.
    fn read(&mut self, mut input: &[u8]) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let flags = TINFL_FLAG_HAS_MORE_INPUT;
            let (status, taken, given) =
                decompress(&mut self.state, input, &mut self.window, self.position, flags);
            content.extend_from_slice(&self.window[self.position..self.position + given]);
            self.position = (self.position + given) % self.window.len();
            input = &input[taken..];
            match status {
                TINFLStatus::NeedsMoreInput => return Some(content),
                TINFLStatus::HasMoreOutput if content.len() <= LIMIT => {}
                // A final block: another stream follows, unless this was all that the peer had sent.
                TINFLStatus::Done if input.len() <= 4 => return Some(content),
                TINFLStatus::Done => self.state.init(),
                _ => return None,
            }
        }
    }
}

/// The payload of the only frame in the output.
fn payload(output: &mut Output) -> Vec<u8> {
    let mut wire = Vec::new();
    while !output.is_empty() {
        wire.extend_from_slice(output.front());
        output.advance(output.front().len());
    }
    assert_eq!(wire[0], 0xc2);
    let start = match wire[1] {
        127 => 10,
        126 => 4,
        _ => 2,
    };
    wire.split_off(start)
}

/// A whole compressed message of a peer.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if length <= 125 => vec![0xc2, 0x80 | length],
        (_, Ok(length)) => [&[0xc2, 0xfe][..], &length.to_be_bytes()].concat(),
        _ => [&[0xc2, 0xff][..], &(length as u64).to_be_bytes()].concat(),
    };
    // A mask of zeros changes nothing.
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn open(offer: &str) -> Connection {
    let head = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"
    );
    let event = http1::Connection::new(http1::Limits::default()).read(&mut head.as_bytes());
    let Ok(Some(http1::Event::Head { head, .. })) = event else { panic!("{event:?}") };
    let Ok(Some(offer)) = check(&head) else { panic!("the handshake is good") };
    let settings = Settings { max_message_bytes: LIMIT, per_message_deflate: true };
    let (_, agreement) = accept(&offer, &settings);
    Connection::new(settings, agreement)
}
