//! Both sides of a WebSocket in the hands of a test.

use std::io::{Read, Write};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bicorn_http::websocket::seam::{Disconnect, Handshake, Received, WebSocket};
use bicorn_http::websocket::{Message, Outgoing};
use bicorn_http::{RequestHead, ResponseBody, ResponseHead, ResponsePart};
use bicorn_server::ConnectionInfo;

use crate::application::{Passing, head};
use crate::client::Client;
use crate::running::Running;
use crate::waiting::{PATIENCE, wait_at_most};

/// A handshake with the key of RFC 6455 §1.3.
pub(crate) const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// What accepts it.
pub(crate) const ACCEPTANCE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// A frame of the peer's, masked with zeros.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(0xfe);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0xff);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// What a close frame carries.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

impl<Stream: Read + Write> Client<Stream> {
    /// Send a frame.
    pub(crate) fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(masked(first, payload));
    }

    /// Hear a frame: its first byte and its payload.
    pub(crate) fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let [first, length] = self.read_array();
        assert!(length < 0x80, "a server masks nothing");
        let length = match length {
            126 => u64::from(u16::from_be_bytes(self.read_array())),
            127 => u64::from_be_bytes(self.read_array()),
            length => u64::from(length),
        };
        let mut payload = Vec::new();
        Read::by_ref(&mut self.stream).take(length).read_to_end(&mut payload).expect("the server goes on");
        assert_eq!(payload.len() as u64, length);
        (first, payload)
    }

    fn read_array<const BYTES: usize>(&mut self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        self.stream.read_exact(&mut bytes).expect("the server goes on");
        bytes
    }

    /// Hear this frame next.
    pub(crate) fn expect_frame(&mut self, first: u8, payload: &[u8]) {
        assert_eq!(self.read_frame(), (first, payload.to_vec()));
    }

    /// Hear this close frame next.
    pub(crate) fn expect_close(&mut self, code: u16, reason: &str) {
        self.expect_frame(CLOSE, &close_payload(code, reason));
    }
}

/// A WebSocket in the hands of the test, as the application.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) head: RequestHead,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) half: WebSocket,
    pub(crate) info: Arc<ConnectionInfo>,
    application: Passing,
}

impl Socket {
    pub(crate) fn new(handshake: Handshake, info: Arc<ConnectionInfo>, application: Passing) -> Self {
        let Handshake { head, subprotocols, socket } = handshake;
        Self { head, subprotocols, half: socket, info, application }
    }

    /// Accept with these fields, and make sure that it leaves.
    pub(crate) fn accept(&self, fields: &[(&str, &str)]) {
        self.half.accept(head(101, fields));
        self.half.notify();
    }

    /// Answer with a response.
    pub(crate) fn deny(&self, status: u16, content: &str) {
        let length = content.len().to_string();
        let head: ResponseHead = head(status, &[("content-length", &length)]);
        let body = ResponseBody::copied(content.as_bytes());
        self.half.deny(ResponsePart { head: Some(head), body, trailers: None, last: true, is_whole: true });
        self.half.notify();
    }

    /// Queue a message; it leaves with the next notification.
    pub(crate) fn queue(&self, text: &str) {
        self.half.send(Outgoing::Text(text.to_owned().into()));
    }

    /// Send a message.
    pub(crate) fn send(&self, text: &str) {
        self.queue(text);
        self.half.notify();
    }

    /// Begin the closing handshake.
    pub(crate) fn close(&self, code: u16, reason: &str) {
        self.half.close(code, reason.to_owned());
        self.half.notify();
    }

    /// Close without a close frame.
    pub(crate) fn abort(&self) {
        self.half.abort();
        self.half.notify();
    }

    /// Take what comes next.
    pub(crate) fn receive(&self) -> Received {
        loop {
            let (received, _) = self.half.try_receive();
            self.half.notify();
            if let Some(received) = received {
                return received;
            }
            let arrived = self.wait_at_most(PATIENCE, |waker| self.half.poll_receive(waker));
            arrived.expect("something arrives, or the peer leaves");
        }
    }

    /// Whether something can be taken, now or soon.
    pub(crate) fn has_message_within(&self, limit: Duration) -> bool {
        self.wait_at_most(limit, |waker| self.half.poll_receive(waker)).is_some()
    }

    /// Take this text next.
    pub(crate) fn expect_text(&self, text: &str) {
        assert_eq!(self.receive(), Received::Message(Message::Text(text.to_owned())));
    }

    /// Take this end next.
    pub(crate) fn expect_end(&self, code: u16, reason: Option<&str>) {
        let reason = reason.map(str::to_owned);
        assert_eq!(self.receive(), Received::Disconnected(Disconnect { code, reason }));
    }

    /// Whether there is room for more, now or soon.
    pub(crate) fn has_room_within(&self, limit: Duration) -> bool {
        self.wait_at_most(limit, |waker| self.half.poll_ready(waker)).is_some()
    }

    fn wait_at_most<T>(&self, limit: Duration, poll: impl Fn(&Waker) -> Poll<T>) -> Option<T> {
        wait_at_most(limit, |waker| poll(&self.application.defer(waker)))
    }
}

impl Running {
    /// Connect and ask for a WebSocket, which the application has not accepted yet.
    pub(crate) fn ask_for_socket(&self) -> (Client, Socket) {
        let mut client = self.connect();
        client.send(HANDSHAKE);
        (client, self.next_socket())
    }

    /// Connect and open a WebSocket.
    pub(crate) fn open_socket(&self) -> (Client, Socket) {
        let (mut client, socket) = self.ask_for_socket();
        socket.accept(&[]);
        client.expect(ACCEPTANCE);
        (client, socket)
    }
}
