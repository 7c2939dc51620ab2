//! Any bytes behind the HTTP/2 preface, end to end: a whole server on a loopback socket, with an application that
//! answers at once. It must not panic (a panic is told as a defect), must end the connection when the peer has
//! finished, and must serve the next one.
#![no_main]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::task::{Poll, Waker};
use std::time::Duration;

use bicorn_http::http1::Limits;
use bicorn_http::websocket::seam::Handshake;
use bicorn_http::websocket::session::KeepAlive;
use bicorn_http::websocket::{self, Outgoing};
use bicorn_http::{Exchange, ResponseBody, ResponseHead, ResponsePart};
use bicorn_server::{
    Application, ConnectionInfo, Deadlines, Http2, Notice, Server, Settings, Slot, WebSockets,
};
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// More than any flood needs, little enough for thousands of runs a second.
const INPUT_BYTES: usize = 64 * 1024;

/// Nothing that the server waits for takes so long.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Answering;

impl Application for Answering {
    fn poll_ready(&self, _: &Waker) -> Poll<()> {
        Poll::Ready(())
    }

    fn handle(&self, mut exchange: Exchange, _: &Arc<ConnectionInfo>) {
        let _ = exchange.body.try_receive();
        let head = exchange.head.path().len() % 7;
        if head == 3 {
            // Given up: the stream is reset.
            return;
        }
        let body = ResponseBody::copied(&vec![b'x'; head * 5000]);
        let head = Some(ResponseHead::new(200));
        exchange.response.send(ResponsePart { head, body, trailers: None, last: true, is_whole: true });
        exchange.response.notify();
    }

    fn handle_websocket(&self, handshake: Handshake, _: &Arc<ConnectionInfo>) {
        let socket = handshake.socket;
        socket.accept(ResponseHead::new(200));
        socket.send(Outgoing::Text("hello".into()));
        socket.close(1000, String::new());
        socket.notify();
    }

    fn notice(&self, notice: Notice) {
        if let Notice::Defect(text) = notice {
            // On this thread a panic would be one more defect, and no crash to the fuzzer.
            eprintln!("defect: {text}");
            std::process::abort();
        }
    }
}

static SERVER: LazyLock<(Server, SocketAddr)> = LazyLock::new(|| {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.set_nonblocking(true).expect("sockets can be");
    let address = listener.local_addr().expect("the socket has an address");
    let settings = Settings {
        io_threads: 1,
        limits: Limits::default(),
        deadlines: Deadlines::default(),
        date_header: true,
        default_fields: Vec::new(),
        keep_alive: true,
        unsent_bytes: |_| None,
        http2: Some(Http2::default()),
        websocket: Some(WebSockets {
            engine: websocket::Settings::default(),
            max_queue: 32,
            keep_alive: KeepAlive::default(),
        }),
        proxies: None,
        tls: None,
    };
    (
        Server::start(&Answering, settings, Slot::alone(), vec![listener.into()])
            .expect("the socket is good"),
        address,
    )
});

fuzz_target!(|input: &[u8]| {
    let mut stream = TcpStream::connect(SERVER.1).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("sockets have timeouts");
    stream.set_write_timeout(Some(PATIENCE)).expect("sockets have timeouts");
    // The server may have had enough before the end, and may close with a reset.
    let _ = stream.write_all(PREFACE);
    let _ = stream.write_all(&input[..input.len().min(INPUT_BYTES)]);
    let _ = stream.shutdown(Shutdown::Write);
    let mut heard = Vec::new();
    if let Err(error) = stream.read_to_end(&mut heard) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server does not end");
    }
    // SETTINGS come first; but a peer whose own never began has not spoken HTTP/2 yet.
    let is_http2 = heard.get(3) == Some(&4);
    assert!(heard.is_empty() || is_http2 || heard.starts_with(b"HTTP/1.1 "), "{heard:?}");
});
