//! Sockets of either kind, several threads, many connections.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use bicorn_server::{Server, ServerAddress, Slot};

use crate::application::Passing;
use crate::client::Client;
use crate::running::{Running, bare_settings};
use crate::waiting::PATIENCE;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bicorn-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("nobody else uses the name");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_unix_socket_is_served_and_has_a_path_for_an_address() {
    let folder = Folder::new("unix");
    let path = folder.0.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let running = Running::on(listener.into(), nowhere, bare_settings(), Box::new(|_| ()));
    let mut client = Client::connect_unix(&path);
    for _ in 0..2 {
        client.get("/");
        let call = running.next_call();
        assert_eq!(call.info.server, ServerAddress::Unix(path.display().to_string()));
        assert_eq!((&call.info.client, call.info.peer), (&None, None));
        call.reply("hello");
        client.expect_reply("hello");
    }
    client.send("BAD\r\n\r\n");
    client.expect(crate::client::BAD_REQUEST);
    client.expect_end();
}

#[test]
fn several_listeners_are_served_at_once() {
    let folder = Folder::new("several");
    let path = folder.0.join("socket");
    let listeners: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let unix = UnixListener::bind(&path).unwrap();
    let sockets = listeners.into_iter().map(Into::into).chain([unix.into()]).collect();
    let (sender, calls) = mpsc::channel();
    let application = Passing::new(sender, mpsc::channel().0, mpsc::channel().0, Box::new(|_| ()));
    let _server = Server::start(&application, bare_settings(), Slot::alone(), sockets).unwrap();
    for address in addresses {
        let mut client = Client::connect(address);
        client.get("/");
        calls.recv_timeout(PATIENCE).unwrap().reply("tcp");
        client.expect_reply("tcp");
    }
    let mut client = Client::connect_unix(&path);
    client.get("/");
    calls.recv_timeout(PATIENCE).unwrap().reply("unix");
    client.expect_reply("unix");
}

#[test]
fn several_threads_serve_one_listener() {
    let running = Running::with(|settings| settings.io_threads = 4);
    let mut ids = HashSet::new();
    let mut clients: Vec<_> = (0..100).map(|_| running.connect()).collect();
    for round in 0..5 {
        for client in &mut clients {
            client.get("/");
        }
        for _ in 0..clients.len() {
            let call = running.next_call();
            ids.insert(call.info.id);
            // One wake-up for all threads is as good as one for each answer.
            call.reply(&round.to_string());
        }
        for client in &mut clients {
            client.expect_reply(&round.to_string());
        }
    }
    assert_eq!((ids.len(), running.server.connections()), (100, 100));
    drop(clients);
    running.wait_until_empty();
}

#[test]
fn a_burst_of_connections_is_accepted() {
    const BURST: usize = 500;
    let running = Running::with(|settings| settings.io_threads = 2);
    let address = running.address;
    let peers: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                let mut clients: Vec<_> = (0..BURST / 4).map(|_| Client::connect(address)).collect();
                for client in &mut clients {
                    client.get("/");
                }
                for client in &mut clients {
                    client.expect_reply("hello");
                }
            })
        })
        .collect();
    for _ in 0..BURST {
        running.next_call().reply("hello");
    }
    for peer in peers {
        peer.join().unwrap();
    }
    running.wait_until_empty();
}

#[test]
fn one_thread_takes_turns_between_connections() {
    let running = Running::start();
    let (mut greedy, stream) = running.ask("GET / HTTP/1.0\r\n\r\n");
    stream.start(200, &[]);
    for _ in 0..100 {
        stream.push(&vec![b'x'; 100_000]);
    }
    running.serve_one(&mut running.connect());
    stream.end();
    greedy.read_until("\r\n\r\n");
    assert_eq!(greedy.read_to_end().len(), 10_000_000);
}
