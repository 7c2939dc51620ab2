//! One connection: opened with a handshake, then a message on its way and its echo awaited, over and over.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use flate2::{Decompress, FlushDecompress};

use crate::frame::{self, Head};
use crate::options::Options;

/// What is read and not parsed: two of the longest messages of a scenario, with room.
const BUFFER_BYTES: usize = 64 * 1024;
const HANDSHAKE_SECONDS: Duration = Duration::from_secs(10);
/// Any 16 bytes will do as a key: the answer to it is what a server's tests check.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a message is made of: text that looks like text, so that deflate has something to find.
const WORDS: &[u8] = br#"{"type": "position", "horse": 42, "x": 1034.25, "y": -88.5, "t": 1763900000} "#;

/// An open WebSocket.
pub struct Connection {
    stream: mio::net::TcpStream,
    message: Vec<u8>,
    /// The message as a frame, as often as it is sent.
    frame: Vec<u8>,
    /// Bytes of the frame that have been written.
    written: usize,
    sent_at: Instant,
    buffer: Box<[u8]>,
    /// Bytes at the front of the buffer that were read and are not parsed.
    filled: usize,
    /// Payload of the message whose last frame has not come.
    partial: Vec<u8>,
    is_partial_deflated: bool,
    inflater: Decompress,
    /// Room for an inflated message.
    inflated: Vec<u8>,
}

impl Connection {
    /// Connects and does the opening handshake, blocking.
    ///
    /// # Errors
    /// `Unsupported` if the server does not do deflate and the options insist on it.
    pub fn open(options: &Options) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let mut stream = TcpStream::connect_timeout(&address, HANDSHAKE_SECONDS)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(HANDSHAKE_SECONDS))?;
        shake_hands(&mut stream, options.is_deflated)?;
        stream.set_nonblocking(true)?;
        let message: Vec<u8> = WORDS.iter().copied().cycle().take(options.size).collect();
        let opcode = if options.is_binary { frame::BINARY } else { frame::TEXT };
        let frame = if options.is_deflated {
            frame::build(opcode, true, &frame::deflate(&message)?)
        } else {
            frame::build(opcode, false, &message)
        };
        Ok(Self {
            stream: mio::net::TcpStream::from_std(stream),
            inflated: Vec::with_capacity(message.len() + 1),
            message,
            frame,
            written: 0,
            sent_at: Instant::now(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            filled: 0,
            partial: Vec::new(),
            is_partial_deflated: false,
            inflater: Decompress::new(false),
        })
    }

    /// What is registered with the poll.
    pub fn source(&mut self) -> &mut mio::net::TcpStream {
        &mut self.stream
    }

    /// Begins to send the next message.
    pub fn send(&mut self) -> io::Result<()> {
        self.written = 0;
        self.sent_at = Instant::now();
        self.flush()
    }

    /// Writes what is left of the frame, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.written < self.frame.len() {
            match self.stream.write(&self.frame[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all there is, notes how long each echo took, and sends the next message after it.
    pub fn read(&mut self, latencies: &mut Vec<Duration>) -> io::Result<()> {
        loop {
            let room = self.buffer.len() - self.filled;
            if room == 0 {
                return Err(wrong("the server sent a frame that is longer than any message"));
            }
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err(wrong("the server closed a connection")),
                Ok(count) => {
                    self.filled += count;
                    self.take_frames(latencies)?;
                    // A short read has emptied the socket: the kernel tells when there is more.
                    if count < room {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn take_frames(&mut self, latencies: &mut Vec<Duration>) -> io::Result<()> {
        let mut at = 0;
        while let Some(head) = Head::parse(&self.buffer[at..self.filled]) {
            let start = at + head.bytes;
            let Some(payload) = start.checked_add(head.payload).and_then(|end| self.buffer.get(start..end))
            else {
                break;
            };
            at = start + head.payload;
            match head.opcode {
                frame::CLOSE => return Err(wrong("the server sent a close frame")),
                frame::PING => {
                    let pong = frame::build(frame::PONG, false, payload);
                    // Between messages only: a pong inside a frame would break it.
                    if self.written == self.frame.len() {
                        self.stream.write_all(&pong)?;
                    }
                }
                frame::PONG => {}
                opcode => {
                    if opcode != 0 {
                        self.is_partial_deflated = head.is_deflated;
                    }
                    self.partial.extend_from_slice(payload);
                    if head.is_final {
                        self.check_echo()?;
                        latencies.push(self.sent_at.elapsed());
                        self.send()?;
                    }
                }
            }
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    fn check_echo(&mut self) -> io::Result<()> {
        let is_right = if self.is_partial_deflated {
            self.partial.extend(frame::DEFLATE_TAIL);
            self.inflated.clear();
            self.inflater
                .decompress_vec(&self.partial, &mut self.inflated, FlushDecompress::Sync)
                .map_err(io::Error::other)?;
            self.inflated == self.message
        } else {
            self.partial == self.message
        };
        self.partial.clear();
        if is_right { Ok(()) } else { Err(wrong("an echo differs from what was sent")) }
    }
}

fn shake_hands(stream: &mut TcpStream, is_deflated: bool) -> io::Result<()> {
    // What a browser offers.
    let extensions = if is_deflated {
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    } else {
        ""
    };
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{extensions}\r\n"
    )?;
    // A byte at a time, so that nothing behind the head is taken.
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if !head.starts_with("http/1.1 101 ") {
        return Err(wrong(&format!(
            "the handshake was refused: {}",
            head.lines().next().unwrap_or_default()
        )));
    }
    if is_deflated && !head.contains("permessage-deflate") {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "the server does not do permessage-deflate"));
    }
    Ok(())
}

fn wrong(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
