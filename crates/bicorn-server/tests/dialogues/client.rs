//! A peer that says and hears bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::waiting::PATIENCE;

/// One connection, seen from the peer's side.
pub(crate) struct Client<Stream = TcpStream> {
    pub(crate) stream: Stream,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("TCP has the option");
        stream.set_read_timeout(Some(PATIENCE)).expect("sockets have timeouts");
        stream.set_write_timeout(Some(PATIENCE)).expect("sockets have timeouts");
        Self { stream }
    }

    /// Send FIN and go on reading.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Leave with a reset: bytes have arrived that nobody will read.
    pub(crate) fn reset(self) {
        let mut byte = [0];
        assert_eq!(
            self.stream.peek(&mut byte).expect("the connection is open"),
            1,
            "nothing to leave unread"
        );
    }

    /// Send until the server takes nothing for a while; says how much it took.
    pub(crate) fn send_until_stuck(&mut self, limit: usize) -> usize {
        self.stream.set_write_timeout(Some(Duration::from_millis(500))).expect("sockets have timeouts");
        let piece = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < limit {
            match self.stream.write(&piece) {
                Ok(length) => sent += length,
                Err(error) if is_timeout(&error) => return sent,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the server took {sent} bytes and more")
    }

    /// Hear nothing at all for so long.
    pub(crate) fn expect_silence(&mut self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).expect("sockets have timeouts");
        let heard = self.stream.read(&mut [0; 1024]);
        assert!(heard.as_ref().is_err_and(is_timeout), "{heard:?}");
        self.stream.set_read_timeout(Some(PATIENCE)).expect("sockets have timeouts");
    }

    /// Whether something can be read, now or soon.
    pub(crate) fn hears_something_within(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).expect("sockets have timeouts");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).expect("sockets have timeouts");
        peeked.is_ok()
    }

    /// Read what there is, up to a reset.
    pub(crate) fn expect_reset(&mut self) {
        let error = io::copy(&mut self.stream, &mut io::sink()).expect_err("the server resets");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

impl Client<UnixStream> {
    pub(crate) fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("sockets have timeouts");
        Self { stream }
    }
}

impl<Stream: Read + Write> Client<Stream> {
    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).expect("the server takes it");
    }

    /// Ask for a path and nothing else.
    pub(crate) fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }

    /// Hear exactly this next.
    pub(crate) fn expect(&mut self, text: &str) {
        let mut heard = Vec::new();
        let outcome = Read::by_ref(&mut self.stream).take(text.len() as u64).read_to_end(&mut heard);
        assert_eq!(String::from_utf8_lossy(&heard), text, "{outcome:?}");
    }

    /// Hear what [`crate::application::Call::reply`] sends next.
    pub(crate) fn expect_reply(&mut self, content: &str) {
        self.expect(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{content}", content.len()));
    }

    /// Hear up to and with this.
    pub(crate) fn read_until(&mut self, ending: &str) -> String {
        let mut heard = Vec::new();
        let mut byte = [0];
        while !heard.ends_with(ending.as_bytes()) {
            let length = self.stream.read(&mut byte).expect("the server goes on");
            assert_eq!(length, 1, "the server ended after {}", String::from_utf8_lossy(&heard));
            heard.push(byte[0]);
        }
        String::from_utf8(heard).expect("the server sends text")
    }

    /// Hear all that comes before FIN.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        let outcome = self.stream.read_to_end(&mut heard);
        outcome.unwrap_or_else(|error| panic!("{error} after {}", String::from_utf8_lossy(&heard)));
        heard
    }

    /// Hear FIN next.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.read_to_end()), "");
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What a refusal with 400 says, without default fields.
pub(crate) const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 30\r\nconnection: close\r\n\r\nInvalid HTTP request received.";

/// What a peer that took too long is told, without default fields.
pub(crate) const TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 15\r\nconnection: close\r\n\r\nRequest Timeout";
