//! A server under test.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use bicorn_http::http1::Limits;
use bicorn_http::websocket::{self, session::KeepAlive};
use bicorn_server::{Deadlines, Http2, Notice, Server, Settings, Slot, WebSockets};
use tokio::net::TcpSocket;

use crate::application::{Call, Hook, Passing};
use crate::client::Client;
use crate::waiting::{PATIENCE, wait_until};
use crate::websocket_sides::Socket;

/// More connections than any test leaves in the kernel's queue.
const BACKLOG: u32 = 1024;

/// Settings without deadlines and without fields of the server's own, so that tests see only what they ask
/// for.
pub(crate) fn bare_settings() -> Settings {
    Settings {
        io_threads: 1,
        limits: Limits::default(),
        deadlines: Deadlines { head: None, content: None, write: None, keep_alive: None },
        date_header: false,
        default_fields: Vec::new(),
        keep_alive: true,
        unsent_bytes: |_| None,
        http2: Some(Http2 { idle: None, ping_interval: None, ..Http2::default() }),
        websocket: Some(WebSockets {
            engine: websocket::Settings { max_message_bytes: 1024 * 1024, per_message_deflate: false },
            max_queue: 32,
            keep_alive: KeepAlive::default(),
        }),
        proxies: None,
        tls: None,
    }
}

/// A server, and the application's side of it.
pub(crate) struct Running {
    pub(crate) server: Server,
    /// What others see of the server.
    pub(crate) slot: Slot,
    pub(crate) address: SocketAddr,
    pub(crate) application: Passing,
    calls: Receiver<Call>,
    sockets: Receiver<Socket>,
    notices: Receiver<Notice>,
}

impl Running {
    /// A server with [`bare_settings`].
    pub(crate) fn start() -> Self {
        Self::with(|_| ())
    }

    /// A server with settings that differ from [`bare_settings`].
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = bare_settings();
        change(&mut settings);
        let (listener, address) = listen();
        Self::on(listener.into(), address, settings, Box::new(|_| ()))
    }

    /// A server that does something on the I/O thread before it passes an exchange on.
    pub(crate) fn with_hook(hook: Hook) -> Self {
        let (listener, address) = listen();
        Self::on(listener.into(), address, bare_settings(), hook)
    }

    /// A server that others see in this slot.
    pub(crate) fn in_slot(slot: Slot) -> Self {
        Self::in_slot_with_hook(slot, Box::new(|_| ()))
    }

    /// The same with a hook.
    pub(crate) fn in_slot_with_hook(slot: Slot, hook: Hook) -> Self {
        let (listener, address) = listen();
        Self::seen_in(slot, listener.into(), address, bare_settings(), hook)
    }

    /// A server on a socket of the test's.
    pub(crate) fn on(socket: OwnedFd, address: SocketAddr, settings: Settings, hook: Hook) -> Self {
        Self::seen_in(Slot::alone(), socket, address, settings, hook)
    }

    fn seen_in(slot: Slot, socket: OwnedFd, address: SocketAddr, settings: Settings, hook: Hook) -> Self {
        let (sender, calls) = mpsc::channel();
        let (socket_sender, sockets) = mpsc::channel();
        let (notice_sender, notices) = mpsc::channel();
        let application = Passing::new(sender, socket_sender, notice_sender, hook);
        let server =
            Server::start(&application, settings, slot.clone(), vec![socket]).expect("the socket is good");
        Self { server, slot, address, application, calls, sockets, notices }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Take the next exchange.
    pub(crate) fn next_call(&self) -> Call {
        self.calls.recv_timeout(PATIENCE).expect("a request arrives")
    }

    /// Take the next WebSocket handshake.
    pub(crate) fn next_socket(&self) -> Socket {
        self.sockets.recv_timeout(PATIENCE).expect("a handshake arrives")
    }

    /// No WebSocket waits to be taken.
    pub(crate) fn expect_no_socket(&self) {
        let socket = self.sockets.try_recv();
        assert!(socket.is_err(), "{socket:?}");
    }

    /// No exchange waits to be taken.
    pub(crate) fn expect_no_call(&self) {
        let call = self.calls.try_recv();
        assert!(call.is_err(), "{call:?}");
    }

    pub(crate) fn next_notice(&self) -> Notice {
        self.notices.recv_timeout(PATIENCE).expect("the server has something to say")
    }

    /// What the server says now or soon, if anything.
    pub(crate) fn notice_within(&self, time: Duration) -> Option<Notice> {
        self.notices.recv_timeout(time).ok()
    }

    /// Wait until no connection is open.
    pub(crate) fn wait_until_empty(&self) {
        wait_until(|| self.server.connections() == 0);
    }

    /// Leave, and wait until the server has seen it.
    pub(crate) fn wait_until_empty_after(&self, client: Client) {
        drop(client);
        self.wait_until_empty();
    }

    /// Connect, ask for something and take the exchange.
    pub(crate) fn ask(&self, request: &str) -> (Client, Call) {
        let mut client = self.connect();
        client.send(request);
        let call = self.next_call();
        (client, call)
    }

    /// Connect, ask for `/` and take the exchange.
    pub(crate) fn ask_simply(&self) -> (Client, Call) {
        self.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    }

    /// Ask on an open connection, answer and hear the answer.
    pub(crate) fn serve_one(&self, client: &mut Client) {
        client.get("/");
        self.next_call().reply("hello");
        client.expect_reply("hello");
    }
}

/// A listening socket of a free port.
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    // The standard library has no say in the length of the queue.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.expect("a runtime can be made");
    let _entered = runtime.enter();
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port is free");
    let listener = socket.listen(BACKLOG).and_then(tokio::net::TcpListener::into_std);
    let listener = listener.expect("the port can be listened on");
    let address = listener.local_addr().expect("the socket has an address");
    (listener, address)
}
