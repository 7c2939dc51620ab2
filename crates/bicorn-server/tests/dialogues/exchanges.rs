//! Requests and their answers.

use std::sync::Arc;

use bicorn_http::{Received, ResponseBody, ResponsePart, Version};
use bytes::Bytes;

use crate::application::head;
use crate::running::Running;

#[test]
fn a_request_is_answered() {
    let running = Running::start();
    let (mut client, mut call) = running.ask("GET /a?b HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n");
    assert_eq!(
        (call.head.method(), call.head.path(), call.head.query()),
        (&b"GET"[..], &b"/a"[..], &b"b"[..])
    );
    assert_eq!(call.head.version(), Version::Http11);
    assert_eq!(call.receive(), Received::Body { content: vec![], more: false });
    call.reply("hello");
    client.expect_reply("hello");
}

#[test]
fn a_connection_is_used_again() {
    let running = Running::start();
    let mut client = running.connect();
    let mut infos = Vec::new();
    for number in 0..5 {
        client.get(&format!("/{number}"));
        let call = running.next_call();
        assert_eq!(call.path(), format!("/{number}"));
        call.reply(&call.path());
        client.expect_reply(&format!("/{number}"));
        infos.push(Arc::clone(&call.info));
    }
    assert!(infos.iter().all(|info| Arc::ptr_eq(info, &infos[0])));
}

#[test]
fn connections_have_ids_of_their_own() {
    let running = Running::start();
    let (_first, one) = running.ask_simply();
    let (_second, two) = running.ask_simply();
    assert_ne!(one.info.id, two.info.id);
}

#[test]
fn a_1_0_request_is_answered_and_the_connection_closed() {
    let running = Running::start();
    let (mut client, call) = running.ask("GET / HTTP/1.0\r\n\r\n");
    call.reply("hello");
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
    client.expect_end();
}

#[test]
fn either_side_may_close() {
    let running = Running::start();
    let (mut client, call) = running.ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    call.send(Some(head(204, &[])), b"", true);
    client.expect("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    client.expect_end();
    let (mut client, call) = running.ask_simply();
    call.send(Some(head(204, &[("connection", "close")])), b"", true);
    client.expect("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    client.expect_end();
}

#[test]
fn content_arrives_whole() {
    let running = Running::start();
    let (mut client, mut call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    client.send("world");
    assert_eq!(call.content(), b"helloworld");
    call.reply("");
    client.expect_reply("");
}

#[test]
fn a_small_body_that_came_with_its_head_is_one_event() {
    let running = Running::start();
    let (_client, mut call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(call.body.try_receive(), Some(Received::Body { content: b"hello".to_vec(), more: false }));
}

#[test]
fn chunks_arrive_as_content() {
    let running = Running::start();
    let (mut client, mut call) =
        running.ask("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    assert_eq!(call.receive(), Received::Body { content: b"hello".to_vec(), more: true });
    client.send("1\r\n!\r\n0\r\n\r\n");
    assert_eq!(call.content(), b"!");
    call.reply("");
    client.expect_reply("");
}

#[test]
fn a_large_upload_arrives_whole() {
    let running = Running::start();
    let content: Vec<u8> = (0..4_000_000_u32).map(|number| number.to_le_bytes()[0] ^ 0x55).collect();
    let (client, mut call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n");
    std::thread::scope(|scope| {
        let mut client = client;
        let content = &content;
        scope.spawn(move || {
            client.send(content);
            client.expect_reply("done");
        });
        assert!(call.content() == content[..]);
        call.reply("done");
    });
}

#[test]
fn each_piece_leaves_at_once() {
    let running = Running::start();
    let (mut client, call) = running.ask_simply();
    call.start(200, &[]);
    client.expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in ["one", "two", "three"] {
        call.push(piece.as_bytes());
        client.expect(&format!("{}\r\n{piece}\r\n", piece.len()));
    }
    call.end();
    client.expect("0\r\n\r\n");
    running.serve_one(&mut client);
}

#[test]
fn a_large_response_arrives_whole() {
    let running = Running::start();
    let (mut client, call) = running.ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let content: Bytes = (0..8_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
    call.start(200, &[("content-length", "8000000")]);
    for piece in 0..8 {
        let body = ResponseBody::Shared(content.slice(piece * 1_000_000..(piece + 1) * 1_000_000));
        call.response.send(ResponsePart { body, last: piece == 7, ..ResponsePart::default() });
    }
    call.response.notify();
    client.read_until("\r\n\r\n");
    assert!(client.read_to_end() == content);
}

#[test]
fn pieces_large_and_small_keep_their_order() {
    let running = Running::start();
    let (mut client, call) = running.ask("GET / HTTP/1.0\r\n\r\n");
    call.start(200, &[]);
    let mut expected = Vec::new();
    for number in 0..200_u8 {
        let piece = vec![number; if number % 3 == 0 { 20_000 } else { 7 }];
        expected.extend_from_slice(&piece);
        let body =
            if number % 3 == 0 { ResponseBody::Shared(piece.into()) } else { ResponseBody::copied(&piece) };
        call.response.send(ResponsePart { body, last: number == 199, ..ResponsePart::default() });
    }
    call.response.notify();
    client.read_until("\r\n\r\n");
    assert!(client.read_to_end() == expected);
}

#[test]
fn an_exchange_that_is_given_up_ends_the_connection_without_a_word() {
    let running = Running::start();
    let (mut client, call) = running.ask_simply();
    drop(call);
    client.expect_end();
}

#[test]
fn a_response_that_is_given_up_ends_without_its_last_chunk() {
    let running = Running::start();
    let (mut client, call) = running.ask_simply();
    call.start(200, &[]);
    call.push(b"hello");
    drop(call);
    client.expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    client.expect_end();
}

#[test]
fn a_response_that_only_its_end_delimits_is_given_up_with_a_reset() {
    // RFC 9112 §8: FIN would make the message complete.
    let running = Running::start();
    let (mut client, call) = running.ask("GET / HTTP/1.0\r\n\r\n");
    call.start(200, &[]);
    call.push(b"hello");
    client.expect("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello");
    drop(call);
    client.expect_reset();
}

#[test]
fn content_beyond_its_length_is_cut_and_the_connection_closed() {
    let running = Running::start();
    let (mut client, mut call) = running.ask_simply();
    call.start(200, &[("content-length", "5")]);
    call.push(b"hello there");
    client.expect_reply("hello");
    client.expect_end();
    call.wait_until_gone();
}

#[test]
fn content_short_of_its_length_ends_the_connection() {
    let running = Running::start();
    let (mut client, call) = running.ask_simply();
    call.start(200, &[("content-length", "5")]);
    call.push(b"hell");
    call.end();
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell");
    client.expect_end();
}

#[test]
fn head_has_no_content_and_the_next_request_is_heard() {
    let running = Running::start();
    let (mut client, call) = running.ask("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    call.reply("hello");
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    running.serve_one(&mut client);
}
