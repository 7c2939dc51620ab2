//! A peer that says and hears frames of HTTP/2 (RFC 9113 §4, §6).
//!
//! What it sends is not compressed. Of what it hears, heads stay as they are: a status of the static table is their
//! first byte, and texts that matter are compared through a library elsewhere.

use std::io::{ErrorKind, Read};

use crate::client::Client;
use crate::running::Running;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// The index of `:status: 200` in the static table (RFC 7541, appendix A), as a whole field.
pub(crate) const STATUS_200: u8 = 0x88;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The error code of `RST_STREAM`, or of GOAWAY.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("the frame has a code"))
    }
}

/// One connection, seen from the peer's side.
pub(crate) struct Http2Client {
    pub(crate) client: Client,
    next_stream: u32,
}

impl Http2Client {
    /// Connect, and say the preface with these settings.
    pub(crate) fn with(running: &Running, settings: &[(u16, u32)]) -> Self {
        let mut this = Self { client: running.connect(), next_stream: 1 };
        this.client.send(PREFACE);
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        this.send(SETTINGS, 0, 0, &payload);
        this
    }

    pub(crate) fn connect(running: &Running) -> Self {
        Self::with(running, &[])
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.client.send(frame(kind, flags, stream, payload));
    }

    /// Begin a request and say which stream it has.
    pub(crate) fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)], is_all: bool) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let flags = END_HEADERS | if is_all { END_STREAM } else { 0 };
        self.send(HEADERS, flags, stream, &request_block(method, path, fields));
        stream
    }

    pub(crate) fn get(&mut self, path: &str) -> u32 {
        self.ask("GET", path, &[], true)
    }

    pub(crate) fn post(&mut self, path: &str) -> u32 {
        self.ask("POST", path, &[], false)
    }

    /// Give the server credit on the connection and on a stream.
    pub(crate) fn grant(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes());
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
    }

    pub(crate) fn reset(&mut self, stream: u32) {
        self.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }

    /// Wait until the server has looked at all that was sent.
    pub(crate) fn settle(&mut self) {
        self.send(PING, 0, 0, b"settled?");
        let pong = self.until(|frame| frame.kind == PING && frame.flags & ACK != 0);
        assert_eq!(pong.payload, b"settled?");
    }

    /// The next frame; `None` when the server has ended the connection.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        match self.client.stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return None;
            }
            Err(error) => panic!("{error}"),
        }
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let mut payload = vec![0; length];
        self.client.stream.read_exact(&mut payload).expect("a frame is whole");
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        Some(Frame { kind: header[3], flags: header[4], stream, payload })
    }

    /// Hear up to a frame.
    pub(crate) fn until(&mut self, is_wanted: impl Fn(&Frame) -> bool) -> Frame {
        let mut heard = Vec::new();
        while let Some(frame) = self.next() {
            if is_wanted(&frame) {
                return frame;
            }
            heard.push(frame);
        }
        panic!("the server ended after {heard:?}")
    }

    /// Hear the next frame of a stream.
    pub(crate) fn next_of(&mut self, stream: u32) -> Frame {
        self.until(|frame| frame.stream == stream && frame.kind != WINDOW_UPDATE)
    }

    /// Hear a response with 200 and this content.
    pub(crate) fn expect_reply(&mut self, stream: u32, content: &str) {
        let start = self.next_of(stream);
        assert_eq!((start.kind, start.payload[0]), (HEADERS, STATUS_200), "{start:?}");
        let mut heard = Vec::new();
        let mut is_over = start.ends_stream();
        while !is_over {
            let piece = self.next_of(stream);
            assert_eq!(piece.kind, DATA, "{piece:?}");
            is_over = piece.ends_stream();
            heard.extend_from_slice(&piece.payload);
        }
        assert_eq!(String::from_utf8_lossy(&heard), content);
    }

    /// Hear that a stream ends here, and why.
    pub(crate) fn expect_reset(&mut self, stream: u32) -> u32 {
        self.until(|frame| frame.kind == RST_STREAM && frame.stream == stream).error()
    }

    /// Hear GOAWAY, and why.
    pub(crate) fn expect_goaway(&mut self) -> u32 {
        self.until(|frame| frame.kind == GOAWAY).error()
    }

    /// Hear nothing but the end of the connection, or what says that it is near.
    pub(crate) fn expect_end(&mut self) {
        while let Some(frame) = self.next() {
            assert!(matches!(frame.kind, GOAWAY | PING | SETTINGS | WINDOW_UPDATE), "{frame:?}");
        }
    }

    /// The connection serves.
    pub(crate) fn expect_alive(&mut self, running: &Running) {
        let stream = self.get("/alive");
        running.next_call().reply("alive");
        self.expect_reply(stream, "alive");
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are short").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field block of literals (RFC 7541 §6.2.2).
pub(crate) fn request_block(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "h"), (":path", path)];
    let mut block = Vec::new();
    for (name, value) in pseudo.iter().chain(fields) {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("texts of tests are short"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}
