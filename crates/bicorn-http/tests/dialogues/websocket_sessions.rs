//! One accepted WebSocket and both halves of its seam: what the order of the mailbox decides.

use std::sync::Arc;

use bicorn_http::websocket::seam::{Bounds, Handshake, Received, WebSocket};
use bicorn_http::websocket::session::{KeepAlive, Session};
use bicorn_http::websocket::{Connection, Message, Outgoing, Settings};
use bicorn_http::{Mailbox, Output};
use bytes::Bytes;

use crate::seam::{ID, request_head};
use crate::websocket::{CLOSE, FIN, PING, TEXT, frame, text_frame};

/// A session, its application, and what lies between them.
struct Accepted {
    session: Session,
    socket: WebSocket,
    mailbox: Arc<Mailbox>,
    output: Output,
}

impl Accepted {
    fn new() -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let bounds = Bounds::new(4);
        let (handshake, control) =
            Handshake::new(request_head(""), Vec::new(), bounds, ID, Arc::clone(&mailbox));
        let engine = Connection::new(Settings::default(), None);
        let session = Session::new(engine, control, KeepAlive::default(), 0);
        Self { session, socket: handshake.socket, mailbox, output: Output::default() }
    }

    /// What the peer sends arrives.
    fn hear(&mut self, bytes: &[u8]) {
        let mut input = bytes;
        self.session.read(&mut input, || 0, &mut self.output);
    }

    /// The I/O thread carries out what the application has asked, and writes.
    fn empty_mailbox(&mut self) -> Vec<u8> {
        let mut commands = Vec::new();
        self.mailbox.take(&mut commands);
        for command in commands {
            self.session.command(command.action, || 0, &mut self.output);
        }
        self.wire()
    }

    fn wire(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while !self.output.is_empty() {
            let front = self.output.front().to_vec();
            self.output.advance(front.len());
            wire.extend(front);
        }
        wire
    }

    /// The application takes a message and answers it.
    fn echo(&self, expected: &str) {
        let (received, _) = self.socket.try_receive();
        assert_eq!(received, Some(Received::Message(Message::Text(expected.to_owned()))));
        self.socket.send(Outgoing::Text(Bytes::copy_from_slice(expected.as_bytes())));
    }

    /// The application asks for a message and finds none.
    fn wait(&self) {
        assert_eq!(self.socket.try_receive().0, None);
    }
}

/// A frame that no peer may send.
fn violation() -> Vec<u8> {
    frame(FIN | 0x40 | TEXT, b"Hello")
}

/// The close frame with 1002 that ends a conversation, without its reason.
fn assert_ends_with_1002(wire: &[u8], before: &[u8]) {
    let behind = wire.strip_prefix(before).unwrap_or_else(|| panic!("{}", wire.escape_ascii()));
    assert_eq!((behind[0], &behind[2..4]), (FIN | CLOSE, &1002_u16.to_be_bytes()[..]));
}

#[test]
fn an_answer_in_the_mailbox_goes_out_before_a_violation_is_told() {
    let mut accepted = Accepted::new();
    accepted.hear(&text_frame("one"));
    accepted.echo("one");
    accepted.wait();
    accepted.hear(&violation());
    assert_eq!(accepted.wire(), b"", "the answer is still in the mailbox");
    assert_ends_with_1002(&accepted.empty_mailbox(), b"\x81\x03one");
    assert!(accepted.session.is_over());
}

#[test]
fn a_violation_that_nothing_came_before_is_told_at_once() {
    let mut accepted = Accepted::new();
    accepted.wait();
    accepted.hear(&[violation(), frame(FIN | PING, b"")].concat());
    assert_ends_with_1002(&accepted.empty_mailbox(), b"");
}

#[test]
fn a_violation_does_not_wait_for_ever() {
    let mut accepted = Accepted::new();
    accepted.hear(&[text_frame("one"), violation()].concat());
    let due = accepted.session.deadline().expect("it waits");
    assert!(accepted.session.tick(due - 1, &mut accepted.output));
    assert_eq!(accepted.wire(), b"");
    assert!(accepted.session.tick(due, &mut accepted.output));
    assert_ends_with_1002(&accepted.wire(), b"");
}
