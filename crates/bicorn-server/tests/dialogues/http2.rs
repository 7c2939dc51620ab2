//! Exchanges over HTTP/2: many on one connection, none in the way of another.

use bicorn_http::{PeerError, Received, ResponsePart, Version};
use bicorn_server::Notice;

use crate::application::head;
use crate::http2_client::{
    DATA, HEADERS, Http2Client, PING, PREFACE, RST_STREAM, STATUS_200, frame, request_block,
};
use crate::running::Running;

const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const INTERNAL_ERROR: u32 = 2;

#[test]
fn a_preface_that_comes_byte_by_byte_is_http_2() {
    let running = Running::start();
    let mut client = running.connect();
    let mut wire = PREFACE.to_vec();
    wire.extend(frame(4, 0, 0, &[]));
    wire.extend(frame(HEADERS, 5, 1, &request_block("GET", "/a?b", &[("x", "y")])));
    for byte in wire {
        client.send([byte]);
    }
    let call = running.next_call();
    assert_eq!(call.head.version(), Version::Http2);
    assert_eq!((call.head.path(), call.head.query()), (&b"/a"[..], &b"b"[..]));
    assert_eq!(call.head.field_block(), b"host: h\r\nx: y\r\n");
    assert_eq!(call.info.scheme, "http");
}

#[test]
fn what_only_begins_like_the_preface_is_http_1() {
    let running = Running::start();
    for request in ["P / HTTP/1.1\r\nHost: h\r\n\r\n", "PRI * HTTP/1.1\r\nHost: h\r\n\r\n", "PRX"] {
        let mut client = running.connect();
        for byte in request.bytes() {
            client.send([byte]);
        }
        client.finish();
        if request.starts_with("P ") {
            running.next_call().reply("hello");
            client.expect_reply("hello");
        } else {
            client.read_to_end();
        }
    }
}

#[test]
fn without_http_2_the_preface_is_a_bad_request() {
    let running = Running::with(|settings| settings.http2 = None);
    let mut client = running.connect();
    client.send(PREFACE);
    client.expect("HTTP/1.1 505 HTTP Version Not Supported\r\n");
    assert_eq!(running.next_notice(), Notice::InvalidRequest(PeerError::Version));
}

#[test]
fn answers_leave_in_the_order_in_which_they_are_given() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let streams: Vec<_> = (0..50).map(|number| client.get(&format!("/{number}"))).collect();
    let calls: Vec<_> = streams.iter().map(|_| running.next_call()).collect();
    for (stream, call) in streams.iter().zip(&calls).rev() {
        call.reply(&call.path());
        client.expect_reply(*stream, &call.path());
    }
}

#[test]
fn a_small_body_comes_with_its_head() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let mut wire = frame(HEADERS, 4, 1, &request_block("POST", "/", &[]));
    wire.extend(frame(DATA, 0, 1, b"some"));
    wire.extend(frame(DATA, 1, 1, b" more"));
    client.client.send(wire);
    let mut call = running.next_call();
    assert_eq!(call.receive(), Received::Body { content: b"some more".to_vec(), more: false });
}

#[test]
fn trailer_fields_of_a_request_end_it() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let stream = client.post("/");
    client.send(DATA, 0, stream, b"some");
    // A literal field: `x: y`.
    client.send(HEADERS, 5, stream, b"\x00\x01x\x01y");
    assert_eq!(running.next_call().content(), b"some");
}

#[test]
fn a_whole_response_is_a_head_and_one_piece_of_content() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let stream = client.get("/");
    running.next_call().reply("hello");
    let (head, content) = (client.next_of(stream), client.next_of(stream));
    assert_eq!((head.kind, head.payload[0], head.ends_stream()), (HEADERS, STATUS_200, false));
    assert_eq!((content.kind, content.payload, content.flags), (DATA, b"hello".to_vec(), 1));
}

#[test]
fn a_response_without_content_is_one_frame() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    for (method, status, content) in
        [("GET", 200, ""), ("HEAD", 200, "hello"), ("GET", 204, "no"), ("GET", 304, "no")]
    {
        let stream = client.ask(method, "/", &[], true);
        let call = running.next_call();
        call.send(Some(head(status, &[])), content.as_bytes(), true);
        let answer = client.next_of(stream);
        assert!(answer.kind == HEADERS && answer.ends_stream(), "{method} {status} {answer:?}");
    }
    client.expect_alive(&running);
}

#[test]
fn head_answered_in_pieces_has_no_content() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let stream = client.ask("HEAD", "/", &[], true);
    let call = running.next_call();
    call.start(200, &[("content-length", "7")]);
    call.push(b"no");
    assert!(client.next_of(stream).ends_stream());
    call.push(b"more");
    call.send(None, b"!", true);
    client.expect_alive(&running);
}

#[test]
fn trailer_fields_end_a_response() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let stream = client.get("/");
    let call = running.next_call();
    call.start(200, &[]);
    call.push(b"content");
    let trailers = Some(Box::new(head(200, &[("x-sum", "1")])));
    call.response.send(ResponsePart { trailers, last: true, ..ResponsePart::default() });
    call.response.notify();
    let kinds: Vec<_> =
        (0..3).map(|_| client.next_of(stream)).map(|frame| (frame.kind, frame.ends_stream())).collect();
    assert_eq!(kinds, [(HEADERS, false), (DATA, false), (HEADERS, true)]);
}

#[test]
fn interim_responses_come_before_the_answer() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let stream = client.ask("POST", "/", &[("expect", "100-continue")], false);
    let mut call = running.next_call();
    assert!(call.body.try_receive().is_none());
    call.response.notify();
    let hundred = client.next_of(stream);
    assert!(hundred.kind == HEADERS && !hundred.ends_stream() && hundred.payload[0] != STATUS_200);
    client.send(DATA, 1, stream, b"content");
    assert_eq!(call.content(), b"content");
    call.reply("hello");
    client.expect_reply(stream, "hello");
}

#[test]
fn an_application_that_gives_up_resets_its_stream_alone() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (first, second) = (client.get("/"), client.get("/"));
    drop(running.next_call());
    assert_eq!(client.expect_reset(first), INTERNAL_ERROR);
    let call = running.next_call();
    call.start(200, &[]);
    call.push(b"half");
    drop(call);
    assert_eq!(client.next_of(second).kind, HEADERS);
    assert_eq!(client.next_of(second).payload, b"half");
    assert_eq!(client.expect_reset(second), INTERNAL_ERROR);
    client.expect_alive(&running);
}

#[test]
fn a_wrong_length_resets_the_stream() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    for (content, last) in [(&b"toolong"[..], true), (b"shrt", true), (b"", true)] {
        let stream = client.get("/");
        let call = running.next_call();
        call.start(200, &[("content-length", "5")]);
        call.send(None, content, last);
        assert_eq!(client.expect_reset(stream), INTERNAL_ERROR, "{content:?}");
    }
    client.expect_alive(&running);
}

#[test]
fn giving_up_behind_a_whole_response_harms_nobody() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let stream = client.get("/");
    let call = running.next_call();
    call.reply("hello");
    call.response.close();
    call.response.notify();
    client.expect_reply(stream, "hello");
    client.expect_alive(&running);
}

#[test]
fn a_reset_reaches_the_application() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let (waiting, answering) = (client.get("/"), client.get("/"));
    let (mut first, mut second) = (running.next_call(), running.next_call());
    second.start(200, &[]);
    client.next_of(answering);
    client.reset(waiting);
    client.reset(answering);
    first.wait_until_gone();
    second.wait_until_gone();
    first.reply("too late");
    second.push(b"too late");
    client.expect_alive(&running);
}

#[test]
fn a_lost_connection_reaches_every_application() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    for _ in 0..3 {
        client.get("/");
    }
    let calls: Vec<_> = (0..3).map(|_| running.next_call()).collect();
    drop(client);
    for mut call in calls {
        call.wait_until_gone();
    }
    running.wait_until_empty();
}

#[test]
fn a_malformed_request_is_answered_and_the_connection_goes_on() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    for (method, path, fields) in [("GET", "x", &[][..]), ("GET", "/", &[("host", "i")]), ("GET", "*", &[])] {
        let stream = client.ask(method, path, fields, true);
        let answer = client.next_of(stream);
        // The static table has 400 at 12.
        let is_400 = answer.kind == HEADERS && answer.payload[0] == 0x8c;
        let is_reset = answer.kind == RST_STREAM && answer.error() == PROTOCOL_ERROR;
        assert!(is_400 || is_reset, "{path} {answer:?}");
    }
    running.expect_no_call();
    client.expect_alive(&running);
}

#[test]
fn a_request_waits_for_a_place() {
    let running = Running::start();
    running.application.set_places(0);
    let mut client = Http2Client::connect(&running);
    let (first, withdrawn, third) = (client.get("/1"), client.get("/2"), client.get("/3"));
    running.application.wait_until_refused(1);
    client.reset(withdrawn);
    client.settle();
    running.expect_no_call();
    running.application.set_places(5);
    for (stream, path) in [(first, "/1"), (third, "/3")] {
        let call = running.next_call();
        assert_eq!(call.path(), path);
        call.reply(path);
        client.expect_reply(stream, path);
    }
}

#[test]
fn a_panic_ends_its_connection_and_no_other() {
    let running =
        Running::with_hook(Box::new(|exchange| assert!(exchange.head.path() != b"/panic", "a defect")));
    let mut other = Http2Client::connect(&running);
    other.expect_alive(&running);
    let mut client = Http2Client::connect(&running);
    client.get("/fine");
    let mut fine = running.next_call();
    client.get("/panic");
    client.expect_end();
    assert_eq!(running.next_notice(), Notice::Defect("a defect".into()));
    fine.wait_until_gone();
    other.expect_alive(&running);
}

#[test]
fn an_early_answer_drains_a_little_and_resets_behind_much() {
    let running = Running::start();
    let mut client = Http2Client::connect(&running);
    let stream = client.post("/");
    running.next_call().reply("enough");
    client.expect_reply(stream, "enough");
    client.send(DATA, 1, stream, b"the rest");
    client.expect_alive(&running);

    let stream = client.post("/");
    running.next_call().reply("enough");
    client.expect_reply(stream, "enough");
    let piece = vec![0; 16 * 1024];
    let reset = (0..20).find_map(|_| {
        // The server gives all of it back at once.
        client.send(DATA, 0, stream, &piece);
        client.send(PING, 0, 0, b"settled?");
        Some(client.until(|frame| matches!(frame.kind, PING | RST_STREAM)))
            .filter(|frame| frame.kind == RST_STREAM)
    });
    assert_eq!(reset.expect("the rest is too much").error(), NO_ERROR);
    client.until(|frame| frame.kind == PING);
    client.expect_alive(&running);
}
