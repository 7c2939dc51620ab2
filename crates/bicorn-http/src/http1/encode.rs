//! The response on the wire (RFC 9112 §4, §6, §7.1).

use crate::body::ResponseBody;
use crate::headers::{ResponseHead, Version};
use crate::output::Output;
use crate::status;

/// What the encoder must know of the request and the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// The request's version.
    pub(super) version: Version,
    /// The request was `HEAD`.
    pub(super) is_head: bool,
    /// The connection will be used again after this response.
    pub(super) keep_alive: bool,
}

/// How the content of a response is delimited (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none, whatever the application sends: HEAD, 204, 304.
    Bodiless,
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks.
    Chunked,
    /// The connection closes behind the last byte.
    UntilClose,
}

/// Write a head and say how the content behind it is framed.
///
/// `only_part` is the length of the content if it is all there already.
pub(super) fn head(
    head: &ResponseHead,
    defaults: &[u8],
    situation: Situation,
    only_part: Option<u64>,
    output: &mut Output,
) -> Framing {
    let framing = framing(head, situation, only_part);
    write_status_line(head.status(), output);
    output.extend(defaults);
    if must_filter(head) {
        for (name, value) in head.fields() {
            if !is_dropped(name) {
                for part in [name, b": ", value, b"\r\n"] {
                    output.extend(part);
                }
            }
        }
    } else {
        output.extend(head.lines());
    }
    let closes = !situation.keep_alive || framing == Framing::UntilClose;
    if closes && !head.has_connection_close() {
        output.extend(b"connection: close\r\n");
    } else if !closes && situation.version == Version::Http10 {
        output.extend(b"connection: keep-alive\r\n");
    }
    match framing {
        Framing::Chunked => output.extend(b"transfer-encoding: chunked\r\n"),
        Framing::Length(length) if head.content_length().is_none() || head.has_transfer_encoding() => {
            output.extend(b"content-length: ");
            write_decimal(length, output);
            output.extend(b"\r\n");
        }
        _ => {}
    }
    output.extend(b"\r\n");
    framing
}

fn framing(head: &ResponseHead, situation: Situation, only_part: Option<u64>) -> Framing {
    if situation.is_head || matches!(head.status(), 100..=199 | 204 | 304) {
        return Framing::Bodiless;
    }
    match (head.has_transfer_encoding(), head.content_length(), situation.version) {
        (false, Some(length), _) => Framing::Length(length),
        (_, _, Version::Http11 | Version::Http2) => Framing::Chunked,
        // A 1.0 peer knows no chunks (RFC 9112 §6.1).
        (_, _, Version::Http10) => match only_part {
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        },
    }
}

/// The engine alone writes `transfer-encoding`, and never both framings (RFC 9112 §6.2); a 204 has no
/// `content-length` (RFC 9110 §8.6).
fn must_filter(head: &ResponseHead) -> bool {
    head.has_transfer_encoding() || (head.status() == 204 && head.content_length().is_some())
}

fn is_dropped(name: &[u8]) -> bool {
    matches!(name, b"transfer-encoding" | b"content-length")
}

/// Write content in its framing. Content of [`Framing::Bodiless`] is dropped.
///
/// Returns false when the content is longer than the framing allows; the excess is dropped then.
pub(super) fn body(framing: &mut Framing, body: ResponseBody, output: &mut Output) -> bool {
    match framing {
        Framing::Bodiless => true,
        Framing::UntilClose => {
            raw(body, u64::MAX, output);
            true
        }
        Framing::Length(remaining) => {
            let (room, length) = (*remaining, body.len());
            raw(body, room, output);
            *remaining = room.saturating_sub(length);
            length <= room
        }
        Framing::Chunked => {
            chunks(body, output);
            true
        }
    }
}

fn raw(body: ResponseBody, room: u64, output: &mut Output) {
    let in_memory = usize::try_from(room).unwrap_or(usize::MAX);
    match body {
        ResponseBody::Empty => {}
        ResponseBody::Copied { bytes, .. } => output.extend(&bytes[..bytes.len().min(in_memory)]),
        ResponseBody::Shared(mut bytes) => {
            bytes.truncate(in_memory);
            output.share(bytes);
        }
        ResponseBody::File(mut range) => {
            range.truncate(room);
            output.send_file(range);
        }
    }
}

/// One chunk for each piece the application sent (RFC 9112 §7.1).
fn chunks(body: ResponseBody, output: &mut Output) {
    if matches!(body, ResponseBody::Copied { .. }) {
        for piece in body.pieces() {
            write_hex(piece.len() as u64, output);
            output.extend(piece);
            output.extend(b"\r\n");
        }
    } else if !body.is_empty() {
        // A chunk of no bytes would end the content.
        write_hex(body.len(), output);
        raw(body, u64::MAX, output);
        output.extend(b"\r\n");
    }
}

/// Write an interim response: it has neither content nor the server's own fields.
pub(super) fn interim(head: &ResponseHead, output: &mut Output) {
    write_status_line(head.status(), output);
    output.extend(head.lines());
    output.extend(b"\r\n");
}

/// Write a 101: the field lines of the new protocol and of the server, then the application's.
pub(super) fn switch(lines: &[u8], defaults: &[u8], head: &ResponseHead, output: &mut Output) {
    write_status_line(101, output);
    output.extend(lines);
    output.extend(defaults);
    for (name, value) in head.fields().filter(|(name, _)| !is_dropped(name)) {
        // In RFC 6455's spelling, which not every client reads without regard to case.
        let name = if name == b"sec-websocket-protocol" { b"Sec-WebSocket-Protocol" } else { name };
        for part in [name, b": ", value, b"\r\n"] {
            output.extend(part);
        }
    }
    output.extend(b"\r\n");
}

/// Close the framing; trailers have a place behind chunks only (RFC 9112 §7.1.2). Returns false when content is
/// missing: the connection must then be closed.
pub(super) fn end(framing: Framing, trailers: Option<&ResponseHead>, output: &mut Output) -> bool {
    match framing {
        Framing::Bodiless | Framing::UntilClose | Framing::Length(0) => true,
        Framing::Length(_) => false,
        Framing::Chunked => {
            output.extend(b"0\r\n");
            output.extend(trailers.map_or(&[], ResponseHead::lines));
            output.extend(b"\r\n");
            true
        }
    }
}

fn write_status_line(status: u16, output: &mut Output) {
    if status == 200 {
        output.extend(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    output.extend(b"HTTP/1.1 ");
    write_decimal(u64::from(status), output);
    output.extend(b" ");
    output.extend(status::phrase(status).as_bytes());
    output.extend(b"\r\n");
}

pub(super) fn write_decimal(number: u64, output: &mut Output) {
    // u64::MAX has 20 digits.
    let mut digits = [0_u8; 20];
    let mut position = digits.len();
    let mut rest = number;
    loop {
        position -= 1;
        digits[position] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    output.extend(&digits[position..]);
}

/// `chunk-size CRLF`, in lower-case hexadecimal.
fn write_hex(number: u64, output: &mut Output) {
    // u64::MAX has 16 digits.
    let mut line = *b"0000000000000000\r\n";
    let mut position = 16;
    let mut rest = number;
    loop {
        position -= 1;
        line[position] = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    output.extend(&line[position..]);
}
