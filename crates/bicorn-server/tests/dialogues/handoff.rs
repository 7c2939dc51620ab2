//! An application that has no place for another exchange.

use crate::running::Running;

#[test]
fn a_request_waits_for_a_place() {
    let running = Running::start();
    running.application.set_places(0);
    let mut client = running.connect();
    client.get("/");
    running.application.wait_until_refused(1);
    running.expect_no_call();
    running.application.set_places(1);
    running.next_call().reply("hello");
    client.expect_reply("hello");
}

#[test]
fn content_that_came_with_its_head_waits_for_a_place_too() {
    let running = Running::start();
    running.application.set_places(0);
    let mut client = running.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    running.application.wait_until_refused(1);
    client.send("world");
    running.application.set_places(1);
    let mut call = running.next_call();
    assert_eq!(call.content(), b"helloworld");
    call.reply("hello");
    client.expect_reply("hello");
}

#[test]
fn pipelined_requests_wait_for_a_place_each() {
    let running = Running::start();
    running.application.set_places(0);
    let mut client = running.connect();
    client.send(
        "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1\
         GET /2 HTTP/1.1\r\nHost: h\r\n\r\n\
         POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n3\r\n0\r\n\r\n",
    );
    for (times, (path, content)) in [("/1", "1"), ("/2", ""), ("/3", "3")].into_iter().enumerate() {
        running.application.wait_until_refused(times + 1);
        running.expect_no_call();
        running.application.set_places(1);
        let mut call = running.next_call();
        assert_eq!((call.path().as_str(), call.content()), (path, content.as_bytes().to_vec()));
        call.reply(path);
        client.expect_reply(path);
    }
}

#[test]
fn every_connection_gets_its_place() {
    let running = Running::with(|settings| settings.io_threads = 2);
    running.application.set_places(0);
    let mut clients: Vec<_> = (0..20).map(|_| running.connect()).collect();
    for client in &mut clients {
        client.get("/");
    }
    running.application.wait_until_refused(20);
    running.expect_no_call();
    for _ in 0..10 {
        // One for each I/O thread, as both may have been told that there is a place.
        running.application.set_places(2);
        let (one, two) = (running.next_call(), running.next_call());
        one.reply("hello");
        two.reply("hello");
    }
    for client in &mut clients {
        client.expect_reply("hello");
    }
}

#[test]
fn a_peer_that_leaves_while_it_waits_is_no_harm() {
    let running = Running::start();
    running.application.set_places(0);
    let mut client = running.connect();
    client.get("/left");
    running.application.wait_until_refused(1);
    client.finish();
    running.application.set_places(2);
    let mut call = running.next_call();
    call.wait_until_peer_finished();
    call.reply("hello");
    client.expect_reply("hello");
    client.expect_end();
    running.serve_one(&mut running.connect());
}

#[test]
fn draining_waits_for_exchanges_without_a_place() {
    let running = Running::start();
    running.application.set_places(0);
    let mut client = running.connect();
    client.get("/");
    running.application.wait_until_refused(1);
    let mut idle = running.connect();
    running.server.drain();
    idle.expect_end();
    running.application.set_places(1);
    running.next_call().reply("hello");
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
    client.expect_end();
}

#[test]
fn closing_gives_up_exchanges_without_a_place() {
    let mut running = Running::start();
    running.application.set_places(0);
    let mut client = running.connect();
    client.get("/");
    running.application.wait_until_refused(1);
    running.server.close();
    client.expect_end();
    running.expect_no_call();
}
