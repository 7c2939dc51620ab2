//! Files as content: what frames them, and what they count.

use std::fs::File;
use std::sync::Arc;

use bicorn_http::body::FILE_BYTES;
use bicorn_http::http1::connection::Progress;
use bicorn_http::{Action, Command, FileRange, Mailbox, ResponseBody, ResponseHead, ResponsePart};

use crate::dialogue::{Dialogue, head};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const GET_1_0: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// Bytes of this source file, which begins with "//! Files as content".
fn file(offset: u64, length: u64) -> ResponseBody {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues/files.rs");
    let file = Arc::new(File::open(path).expect("the sources are there"));
    ResponseBody::File(FileRange { file, offset, length })
}

#[test]
fn a_file_of_announced_length_is_sent_as_it_is() {
    let mut dialogue = Dialogue::after(GET);
    let start = head(200, &[("content-length", "7")]);
    assert_eq!(dialogue.send(Some(start), file(4, 5), false), Progress::Open);
    assert_eq!(dialogue.respond(None, b"!\n", true), Progress::Complete);
    assert_eq!(dialogue.own_wire(), "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nFiles!\n");
    assert!(dialogue.connection.start_next());
}

#[test]
fn a_file_of_unknown_length_is_one_chunk() {
    let mut dialogue = Dialogue::after(GET);
    dialogue.send(Some(head(200, &[])), file(4, 16), false);
    dialogue.send(None, file(0, 0), false);
    assert_eq!(dialogue.send(None, file(10, 2), true), Progress::Complete);
    let content = "10\r\nFiles as content\r\n2\r\nas\r\n0\r\n\r\n";
    let expected = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{content}");
    assert_eq!(dialogue.own_wire(), expected);
}

#[test]
fn a_1_0_peer_learns_the_length_of_a_file_that_is_all() {
    let mut dialogue = Dialogue::after(GET_1_0);
    dialogue.send(Some(head(200, &[])), file(4, 5), true);
    let expected = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nFiles";
    assert_eq!(dialogue.own_wire(), expected);
}

#[test]
fn a_file_longer_than_announced_is_cut_and_the_connection_closes() {
    let mut dialogue = Dialogue::after(GET);
    let start = head(200, &[("content-length", "5")]);
    assert_eq!(dialogue.send(Some(start), file(4, 6), true), Progress::Broken);
    assert!(dialogue.own_wire().ends_with("\r\n\r\nFiles"));
    assert!(!dialogue.connection.keeps_alive());
}

#[test]
fn a_file_for_head_is_dropped() {
    let mut dialogue = Dialogue::after(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    dialogue.send(Some(head(200, &[("content-length", "5")])), file(4, 5), true);
    assert_eq!(dialogue.own_wire(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
}

#[test]
fn a_chunk_may_be_larger_than_4_gib() {
    let mut dialogue = Dialogue::after(GET);
    dialogue.send(Some(head(200, &[])), file(0, 5 << 30), false);
    assert!(dialogue.bytes_before_file().ends_with("\r\n\r\n140000000\r\n"));
}

#[test]
fn a_file_counts_the_same_however_long_it_is() {
    for length in [1, 5 << 30] {
        let body = file(0, length);
        assert_eq!((body.len(), body.pieces().count()), (length, 0));
        assert_eq!(body.cost() - FILE_BYTES, ResponseBody::copied(b"x").cost() - 1);
    }
    assert!(file(0, 0).is_empty());
}

#[test]
fn files_in_the_mailbox_keep_their_place() {
    let mailbox = Mailbox::default();
    let exchange = bicorn_http::ExchangeId { connection: 0, serial: 1 };
    let push = |head, body, last| {
        let part = ResponsePart { head, body, last, ..ResponsePart::default() };
        mailbox.push(Command { exchange, action: Action::Respond(part) });
    };
    push(Some(ResponseHead::new(200)), ResponseBody::Empty, false);
    push(None, file(0, 1), false);
    push(None, ResponseBody::copied(b"x"), false);
    push(None, file(0, 2), false);
    push(None, ResponseBody::Empty, true);
    let mut commands = Vec::new();
    mailbox.take(&mut commands);
    let lengths: Vec<_> = commands
        .iter()
        .map(|command| match &command.action {
            Action::Respond(part) => (part.body.len(), part.head.is_some(), part.last),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [(1, true, false), (1, false, false), (2, false, true)]);
}
