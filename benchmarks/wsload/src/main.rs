//! Loads a WebSocket echo server in a closed loop and prints what it measured as one line of JSON.
//!
//! Each connection sends a message, waits for the echo, compares it and sends again. One thread drives all of them, like
//! wrk's, so that of two cores one is the server's. The frame that is sent is made once: the client must not be the limit.

mod connection;
mod frame;
mod options;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use connection::Connection;
use options::Options;

/// Events taken from the kernel at a time: more than any scenario has connections.
const EVENTS: usize = 1024;
/// A server that is silent for so long is stuck.
const SILENCE: Duration = Duration::from_secs(10);
/// The server does not do what the scenario asks for, such as deflate.
const EXIT_CANNOT: u8 = 3;

fn main() -> ExitCode {
    let options = match Options::from_arguments(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("wsload: {message}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(measured) => {
            println!("{}", measured.json());
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            eprintln!("wsload: {error}");
            ExitCode::from(EXIT_CANNOT)
        }
        Err(error) => {
            eprintln!("wsload: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a run came to.
struct Measured {
    messages: usize,
    duration: Duration,
    p50: Duration,
    p99: Duration,
}

impl Measured {
    fn new(mut latencies: Vec<Duration>, duration: Duration) -> Self {
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
        Self { messages: latencies.len(), duration, p50: at(50), p99: at(99) }
    }

    fn json(&self) -> String {
        format!(
            r#"{{"requests": {}, "duration_us": {}, "p50_us": {}, "p99_us": {}}}"#,
            self.messages,
            self.duration.as_micros(),
            self.p50.as_micros(),
            self.p99.as_micros()
        )
    }
}

/// Opens the connections one after another, then loads them all until the time is up. Any error ends the run: figures
/// of a run in which an echo was wrong or late would say nothing.
fn run(options: &Options) -> io::Result<Measured> {
    let mut poll = Poll::new()?;
    let mut connections = Vec::with_capacity(options.connections);
    for number in 0..options.connections {
        let mut connection = Connection::open(options)?;
        poll.registry().register(
            connection.source(),
            Token(number),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        connections.push(connection);
    }
    let mut latencies = Vec::with_capacity(1 << 20);
    let started = Instant::now();
    let end = started + options.duration;
    for connection in &mut connections {
        connection.send()?;
    }
    let mut events = Events::with_capacity(EVENTS);
    let mut now = started;
    while now < end {
        poll.poll(&mut events, Some(SILENCE))?;
        if events.is_empty() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no echo for 10 s"));
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            if event.is_writable() {
                connection.flush()?;
            }
            if event.is_readable() {
                connection.read(&mut latencies)?;
            }
        }
        now = Instant::now();
    }
    Ok(Measured::new(latencies, now - started))
}
