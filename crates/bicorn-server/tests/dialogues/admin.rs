//! The management listener: probes and scrapes, and peers that mean no good.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use bicorn_server::board::State;
use bicorn_server::{Admin, Slot};

use crate::client::Client;
use crate::running::listen;
use crate::waiting::PATIENCE;

/// A management listener, and the board that it reads.
pub(crate) struct Managed {
    pub(crate) slot: Slot,
    admin: Admin,
    address: SocketAddr,
}

impl Managed {
    pub(crate) fn start() -> Self {
        Self::of(Slot::alone())
    }

    /// A listener over the board of this slot.
    pub(crate) fn of(slot: Slot) -> Self {
        let (listener, address) = listen();
        let admin = Admin::start(slot.board().clone(), vec![listener.into()]).expect("the socket is good");
        Self { slot, admin, address }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Ask for a path on a connection of its own; the status line, the fields and the content.
    pub(crate) fn ask(&self, method: &str, path: &str) -> (String, String, String) {
        let mut client = self.connect();
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
        let answer = String::from_utf8(client.read_to_end()).expect("the answer is text");
        let (head, content) = answer.split_once("\r\n\r\n").expect("the answer has a head");
        let (status, fields) = head.split_once("\r\n").expect("the head has fields");
        (status.to_owned(), fields.to_lowercase(), content.to_owned())
    }

    fn expect(&self, path: &str, status: &str, content: &str) {
        let answer = self.ask("GET", path);
        assert_eq!((answer.0.as_str(), answer.2.as_str()), (status, content), "{path}");
    }
}

const OK: &str = "HTTP/1.1 200 OK";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable";

#[test]
fn a_service_lives_from_the_start_and_is_ready_when_a_worker_is() {
    let managed = Managed::start();
    let expect_readiness = |status, reason| {
        managed.expect("/livez", OK, "ok");
        managed.expect("/readyz", status, reason);
    };
    expect_readiness(UNAVAILABLE, "starting");
    managed.slot.set_state(State::Starting);
    expect_readiness(UNAVAILABLE, "starting");
    managed.slot.set_state(State::Ready);
    expect_readiness(OK, "ok");
    managed.slot.board().set_draining(true);
    expect_readiness(UNAVAILABLE, "draining");
    managed.slot.board().set_draining(false);
    managed.slot.set_state(State::Leaving);
    expect_readiness(UNAVAILABLE, "draining");
    managed.slot.set_state(State::Free);
    expect_readiness(UNAVAILABLE, "starting");
}

#[test]
fn answers_are_plain_text_that_nobody_keeps() {
    let managed = Managed::start();
    for path in ["/livez", "/readyz", "/elsewhere"] {
        let (_, fields, _) = managed.ask("GET", path);
        assert!(fields.contains("content-type: text/plain; charset=utf-8"), "{path}: {fields}");
        assert!(fields.contains("cache-control: no-store"), "{path}: {fields}");
    }
    let (status, fields, content) = managed.ask("GET", "/metrics");
    assert_eq!(status, OK);
    assert!(fields.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{fields}");
    assert!(content.starts_with("# HELP bicorn_build_info "), "{content}");
}

#[test]
fn other_paths_and_methods_are_refused() {
    let managed = Managed::start();
    for path in ["/", "/live", "/livez/", "/metrics/x", "//livez"] {
        assert_eq!(managed.ask("GET", path).0, "HTTP/1.1 404 Not Found", "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "QUERY"] {
        let (status, fields, _) = managed.ask(method, "/livez");
        assert_eq!(status, "HTTP/1.1 405 Method Not Allowed", "{method}");
        assert!(fields.contains("allow: get, head"), "{method}: {fields}");
    }
    managed.expect("/livez?verbose=1", OK, "ok");
}

#[test]
fn head_says_how_much_there_would_be() {
    let managed = Managed::start();
    let (status, fields, content) = managed.ask("HEAD", "/livez");
    assert_eq!((status.as_str(), content.as_str()), (OK, ""));
    assert!(fields.contains("content-length: 2"), "{fields}");
}

#[test]
fn a_connection_answers_again_and_content_is_ignored() {
    let managed = Managed::start();
    let mut client = managed.connect();
    for _ in 0..3 {
        client.get("/livez");
        assert!(client.read_until("\r\n\r\nok").starts_with(OK));
    }
    let mut client = managed.connect();
    client.send("GET /livez HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert!(client.read_until("\r\n\r\nok").starts_with(OK));
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let managed = Managed::start();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let hostile: [&[u8]; 8] = [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"GET /livez HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\0: x\r\n\r\n",
        &bytes,
    ];
    for said in hostile {
        let mut client = managed.connect();
        // It may be cut off in the middle.
        let _ = std::io::Write::write_all(&mut client.stream, said);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        let _ = std::io::copy(&mut client.stream, &mut std::io::sink());
        managed.expect("/livez", OK, "ok");
    }
}

#[test]
fn a_head_has_a_largest_size() {
    let managed = Managed::start();
    let mut client = managed.connect();
    client.send(format!("GET /livez HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(7000)));
    assert!(client.read_until("\r\n\r\nok").starts_with(OK));
    let mut client = managed.connect();
    let _ = std::io::Write::write_all(&mut client.stream, "GET /livez HTTP/1.1\r\nX: ".as_bytes());
    let _ = std::io::Write::write_all(&mut client.stream, "x".repeat(100_000).as_bytes());
    let mut heard = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.stream, &mut heard);
    assert!(!heard.starts_with(OK.as_bytes()));
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for() {
    let managed = Managed::start();
    let mut client = managed.connect();
    client.send("GET /livez HTTP/1.1\r\n");
    client.expect_silence(Duration::from_millis(300));
    client.expect_end();
}

#[test]
fn whoever_opens_many_connections_does_not_keep_a_probe_out() {
    let managed = Managed::start();
    let idle: Vec<Client> = (0..300).map(|_| managed.connect()).collect();
    managed.expect("/livez", OK, "ok");
    let mut ended = 0;
    for mut client in idle {
        client.stream.set_read_timeout(Some(Duration::from_millis(10))).expect("sockets have timeouts");
        ended +=
            usize::from(std::io::Read::read(&mut client.stream, &mut [0]).is_ok_and(|length| length == 0));
    }
    assert!(ended >= 300 - 64, "{ended}");
}

#[test]
fn it_listens_on_unix_sockets_too() {
    let folder = std::env::temp_dir().join(format!("bicorn-admin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("there is room for temporary files");
    let path = folder.join("admin.sock");
    let _ = std::fs::remove_file(&path);
    let listener = OwnedFd::from(UnixListener::bind(&path).expect("the path is free"));
    let _admin = Admin::start(Slot::alone().board().clone(), vec![listener]).expect("the socket is good");
    let mut client = Client::connect_unix(&path);
    client.get("/livez");
    assert!(client.read_until("\r\n\r\nok").starts_with(OK));
    std::fs::remove_dir_all(&folder).expect("the folder is the test's own");
}

#[test]
fn closing_ends_connections_and_the_listener() {
    let mut managed = Managed::start();
    let mut client = managed.connect();
    client.get("/livez");
    client.read_until("\r\n\r\nok");
    managed.admin.close();
    client.expect_end();
    let refused = TcpStream::connect_timeout(&managed.address, PATIENCE);
    assert!(refused.is_err(), "{refused:?}");
    managed.admin.close();
}

#[test]
fn what_is_no_socket_is_refused() {
    let file = std::fs::File::open("/dev/null").expect("every Unix has it");
    Admin::start(Slot::alone().board().clone(), vec![file.into()]).expect_err("nobody can accept from it");
}
