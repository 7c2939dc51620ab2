//! Ends of connections: the answer must reach a peer that is still sending (RFC 9112 §9.6).

use bicorn_http::http1::connection::DRAIN_BYTES;
use bicorn_http::{PeerError, Received};
use bicorn_server::Notice;

use crate::application::head;
use crate::client::BAD_REQUEST;
use crate::running::Running;

#[test]
fn a_peer_that_is_still_sending_reads_its_refusal() {
    let running = Running::start();
    let mut client = running.connect();
    client.send("BAD\r\n\r\n");
    client.send(vec![b'x'; 4_000_000]);
    client.expect(BAD_REQUEST);
    client.expect_end();
    client.send(vec![b'x'; 100_000]);
    drop(client);
    running.wait_until_empty();
}

#[test]
fn a_refusal_ends_with_the_peers_fin() {
    let running = Running::start();
    let mut client = running.connect();
    client.send("BAD\r\n\r\n");
    client.expect(BAD_REQUEST);
    client.finish();
    assert_eq!(running.next_notice(), Notice::InvalidRequest(PeerError::RequestLine));
    running.wait_until_empty();
}

#[test]
fn a_peer_that_never_finishes_is_left_after_a_while() {
    let running = Running::start();
    let mut client = running.connect();
    client.send("BAD\r\n\r\n");
    client.expect(BAD_REQUEST);
    client.expect_end();
    running.wait_until_empty();
}

#[test]
fn a_peer_with_a_large_upload_reads_an_early_answer() {
    let running = Running::start();
    let (mut client, call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n");
    call.send(Some(head(413, &[("content-length", "0")])), b"", true);
    client.send(vec![b'x'; 4_000_000]);
    client.expect("HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.expect_end();
}

#[test]
fn the_rest_of_a_short_upload_is_read_for_nobody() {
    let running = Running::start();
    let (mut client, call) = running.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nhello");
    call.reply("early");
    client.expect_reply("early");
    client.send(vec![b'x'; 99_995]);
    running.serve_one(&mut client);
}

#[test]
fn an_endless_upload_is_not_read_for_nobody() {
    let running = Running::start();
    let (mut client, call) =
        running.ask("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    call.reply("early");
    client.expect_reply("early");
    let chunk = [&b"10000\r\n"[..], &vec![b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..2 * DRAIN_BYTES / 0x10000 {
        client.send(&chunk);
    }
    client.expect_end();
}

#[test]
fn malformed_content_is_refused_and_the_application_hears_of_it() {
    let running = Running::start();
    let (mut client, mut call) =
        running.ask("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    assert_eq!(call.receive(), Received::Body { content: b"hello".to_vec(), more: true });
    client.send("nonsense\r\n");
    call.wait_until_gone();
    call.reply("too late");
    client.expect(BAD_REQUEST);
    client.expect_end();
    assert_eq!(running.next_notice(), Notice::InvalidRequest(PeerError::Chunk));
}

#[test]
fn malformed_content_behind_the_start_of_an_answer_only_ends_it() {
    let running = Running::start();
    let (mut client, mut call) =
        running.ask("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    call.start(200, &[]);
    call.push(b"hello");
    client.expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    client.send("nonsense\r\n");
    client.expect_end();
    call.wait_until_gone();
}

#[test]
fn a_refused_first_head_reaches_no_application() {
    let running = Running::start();
    for head in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"] {
        let mut client = running.connect();
        client.send(head);
        client.expect(BAD_REQUEST);
        client.expect_end();
        assert_eq!(running.next_notice(), Notice::InvalidRequest(PeerError::Host));
        client.finish();
        running.wait_until_empty();
    }
    running.expect_no_call();
}

#[test]
fn an_application_may_close_an_idle_connection_behind_its_answer() {
    let running = Running::start();
    let (mut client, call) = running.ask_simply();
    call.reply("hello");
    client.expect_reply("hello");
    call.response.close();
    call.response.notify();
    client.expect_end();
}
