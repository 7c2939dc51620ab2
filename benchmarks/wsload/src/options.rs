//! The command line.

use std::time::Duration;

pub const USAGE: &str =
    "usage: wsload --port PORT --connections COUNT --seconds SECONDS --size BYTES [--binary] [--deflate]";

/// What a run is asked for. The server is on 127.0.0.1.
#[derive(Debug)]
pub struct Options {
    pub port: u16,
    pub connections: usize,
    pub duration: Duration,
    /// Bytes of each message.
    pub size: usize,
    /// Binary messages instead of text.
    pub is_binary: bool,
    /// Offer permessage-deflate, insist on it, and send deflated messages.
    pub is_deflated: bool,
}

impl Options {
    /// Reads the arguments that follow the program's name.
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            port: 0,
            connections: 1,
            duration: Duration::ZERO,
            size: 0,
            is_binary: false,
            is_deflated: false,
        };
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--binary" => options.is_binary = true,
                "--deflate" => options.is_deflated = true,
                "--port" => options.port = number(&name, arguments.next())?,
                "--connections" => options.connections = number(&name, arguments.next())?,
                "--seconds" => options.duration = Duration::from_secs(number(&name, arguments.next())?),
                "--size" => options.size = number(&name, arguments.next())?,
                _ => return Err(format!("unknown argument: {name}")),
            }
        }
        if options.port == 0 || options.connections == 0 || options.duration.is_zero() || options.size == 0 {
            return Err("port, connections, seconds and size are needed".to_owned());
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<T, String> {
    value.and_then(|text| text.parse().ok()).ok_or_else(|| format!("{name} takes a number"))
}
