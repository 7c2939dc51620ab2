//! Stop listening, drain, close.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

use bicorn_server::{Notice, Server, Slot};

use crate::client::Client;
use crate::running::{Running, bare_settings};
use crate::waiting::PATIENCE;

/// Wait until the listeners are closed.
fn wait_until_deaf(running: &Running) {
    while running.server.is_listening() {
        assert_eq!(running.next_notice(), Notice::Changed);
    }
}

/// A server whose only I/O thread can be held up.
struct Gated {
    running: Running,
    is_held: Receiver<()>,
    release: Sender<()>,
}

impl Gated {
    fn start() -> Self {
        let (held, is_held) = mpsc::channel();
        let (release, is_released) = mpsc::channel::<()>();
        let is_released = Mutex::new(is_released);
        let running = Running::with_hook(Box::new(move |exchange| {
            if exchange.head.path() == b"/hold" {
                let _ = held.send(());
                let _ = is_released.lock().expect("nobody panics with the lock").recv_timeout(PATIENCE);
            }
        }));
        Self { running, is_held, release }
    }

    /// Hold the I/O thread up.
    fn hold(&self) -> Client {
        let mut client = self.running.connect();
        client.get("/hold");
        self.is_held.recv_timeout(PATIENCE).expect("the request arrives");
        client
    }

    fn release(&self) {
        self.release.send(()).expect("the I/O thread waits");
        assert_eq!(self.running.next_call().path(), "/hold");
    }
}

#[test]
fn listening_ends_and_connections_go_on() {
    let running = Running::start();
    let mut client = running.connect();
    running.serve_one(&mut client);
    assert!(running.server.is_listening());
    running.server.stop_listening();
    wait_until_deaf(&running);
    assert!(TcpStream::connect(running.address).is_err());
    running.serve_one(&mut client);
    assert_eq!(running.server.connections(), 1);
}

/// Connections that the kernel completed before the server stopped listening are served.
fn stop_with_connections_in_the_queue(count: usize) {
    let gated = Gated::start();
    let running = &gated.running;
    let _held = gated.hold();
    let mut clients: Vec<_> = (0..count).map(|_| running.connect()).collect();
    running.server.stop_listening();
    gated.release();
    for client in &mut clients {
        running.serve_one(client);
    }
    assert!(!running.server.is_listening());
}

#[test]
fn completed_connections_are_served_after_listening_ends() {
    stop_with_connections_in_the_queue(100);
}

#[test]
fn many_completed_connections_are_served_after_listening_ends() {
    stop_with_connections_in_the_queue(400);
}

#[test]
fn draining_closes_idle_connections() {
    let running = Running::start();
    let mut served = running.connect();
    running.serve_one(&mut served);
    let mut silent = running.connect();
    running.serve_one(&mut running.connect());
    running.server.drain();
    served.expect_end();
    silent.expect_end();
    assert_eq!(running.next_notice(), Notice::Changed);
    assert_eq!(running.server.connections(), 0);
}

#[test]
fn draining_lets_exchanges_finish_and_says_close() {
    let running = Running::start();
    let (mut waiting, call) = running.ask_simply();
    let (mut streaming, stream) = running.ask_simply();
    stream.start(200, &[("content-length", "5")]);
    streaming.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    running.server.drain();
    running.server.stop_listening();
    wait_until_deaf(&running);
    assert_eq!(running.server.connections(), 2);
    call.reply("hello");
    waiting.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
    waiting.expect_end();
    stream.push(b"hello");
    stream.end();
    streaming.expect("hello");
    streaming.expect_end();
    assert_eq!(running.next_notice(), Notice::Changed);
    assert_eq!(running.server.connections(), 0);
}

#[test]
fn draining_does_not_wait_for_the_rest_of_a_head() {
    let running = Running::start();
    let mut client = running.connect();
    running.serve_one(&mut client);
    client.send("GET /begun HTTP/1.1\r\n");
    running.serve_one(&mut running.connect());
    running.server.drain();
    client.expect_end();
    running.expect_no_call();
}

#[test]
fn draining_answers_requests_that_have_arrived() {
    let gated = Gated::start();
    let running = &gated.running;
    let mut clients: Vec<_> = (0..50).map(|_| running.connect()).collect();
    for client in &mut clients {
        running.serve_one(client);
    }
    let _held = gated.hold();
    for client in &mut clients {
        client.get("/arrived");
    }
    running.server.drain();
    gated.release();
    for _ in &clients {
        running.next_call().reply("hello");
    }
    for client in &mut clients {
        client.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        client.expect_end();
    }
}

#[test]
fn an_answer_that_comes_as_draining_begins_says_close() {
    let gated = Gated::start();
    let (mut client, call) = gated.running.ask_simply();
    let _held = gated.hold();
    gated.running.server.drain();
    call.reply("hello");
    gated.release();
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
    client.expect_end();
}

#[test]
fn closing_ends_everything_at_once() {
    let mut running = Running::start();
    let (mut client, mut call) = running.ask_simply();
    call.start(200, &[]);
    client.expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    running.server.close();
    assert_eq!(running.server.connections(), 0);
    client.expect_end();
    call.wait_until_gone();
    assert!(TcpStream::connect(running.address).is_err());
}

#[test]
fn closing_does_not_complete_an_answer_that_close_delimits() {
    // RFC 9112 §8: FIN would.
    let mut running = Running::start();
    let (mut client, call) = running.ask("GET / HTTP/1.0\r\n\r\n");
    call.start(200, &[]);
    call.push(b"hello");
    client.expect("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello");
    running.server.close();
    client.expect_reset();
}

#[test]
fn a_closed_server_does_not_listen() {
    let mut running = Running::start();
    running.server.close();
    assert!(!running.server.is_listening());
}

#[test]
fn closing_twice_is_closing_once() {
    let mut running = Running::start();
    running.server.close();
    running.server.close();
    running.server.drain();
    running.server.stop_listening();
    running.server.notify();
}

#[test]
fn an_answer_to_a_closed_server_is_lost_without_harm() {
    let mut running = Running::start();
    let (_client, call) = running.ask_simply();
    running.server.close();
    call.reply("hello");
    assert!(call.response.is_gone() && call.response.is_ready());
}

#[test]
fn a_dropped_server_is_closed() {
    let running = Running::start();
    let (mut client, _call) = running.ask_simply();
    drop(running);
    let mut heard = Vec::new();
    // FIN or reset: either way it is over.
    let _ = client.stream.read_to_end(&mut heard);
    assert!(heard.is_empty());
}

#[test]
fn a_descriptor_that_cannot_listen_is_an_error() {
    let running = Running::start();
    let file = std::fs::File::open("/dev/null").unwrap();
    let started = Server::start(&running.application, bare_settings(), Slot::alone(), vec![file.into()]);
    assert!(started.is_err());
}
