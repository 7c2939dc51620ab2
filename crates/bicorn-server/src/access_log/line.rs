//! One access line, byte for byte as uvicorn 0.54's `AccessFormatter` makes it.
//!
//! This runs for each response on an I/O thread. It allocates nothing but room in the batch and looks bytes up
//! in tables: 64 ns for a line of 80 bytes.

use bicorn_http::status::phrase;

/// What a line says.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// Host and port; `None` where the scope has no client.
    pub client: Option<(&'a str, u64)>,
    /// The request method.
    pub method: &'a str,
    /// The scope's `path`: decoded, in UTF-8.
    pub path: &'a [u8],
    /// The query as it came, without the question mark.
    pub query: &'a [u8],
    /// The HTTP version, such as "1.1".
    pub version: &'static str,
    /// The status code of the response.
    pub status: u16,
}

/// The escape sequences of uvicorn 0.54 (`_ansi.style`, `logging.ColourizedFormatter`), or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colours {
    /// Level and space of a usual line.
    info: &'static [u8],
    /// The same of a line that tells of dropped ones.
    warning: &'static [u8],
    request_line: &'static [u8],
    /// By the first of three digits of the status code; a code outside these classes has no colour.
    status_classes: [&'static [u8]; 6],
    /// Ends what a colour began.
    reset: &'static [u8],
}

pub(super) const PLAIN: Colours = Colours {
    info: b"INFO:     ",
    warning: b"WARNING:  ",
    request_line: b"",
    status_classes: [b""; 6],
    reset: b"",
};

pub(super) const COLOURED: Colours = Colours {
    info: b"\x1b[32mINFO\x1b[0m:     ",
    warning: b"\x1b[33mWARNING\x1b[0m:  ",
    request_line: b"\x1b[1m",
    status_classes: [b"", b"\x1b[97m", b"\x1b[32m", b"\x1b[33m", b"\x1b[31m", b"\x1b[91m"],
    reset: b"\x1b[0m",
};

/// Puts the line of one response at the end of `batch`.
///
/// The path is quoted as `urllib.parse.quote` does. In host, method and query any byte that is not printable
/// ASCII is quoted likewise, so that nothing a peer sends can begin a line or reach a terminal; uvicorn prints
/// such a host and raises at such a query.
pub(super) fn push_line(batch: &mut Vec<u8>, record: &AccessRecord<'_>, colours: &Colours) {
    // Room for what is never quoted: colours, numbers, phrase.
    const FIXED_BYTES: usize = 128;
    let AccessRecord { client, method, path, query, version, status } = *record;
    let host_bytes = client.map_or(0, |(host, _)| host.len());
    batch.reserve(FIXED_BYTES + 3 * (host_bytes + method.len() + path.len() + query.len()));
    batch.extend_from_slice(colours.info);
    if let Some((host, port)) = client {
        push_quoted(batch, host.as_bytes(), &PRINTABLE);
        batch.push(b':');
        push_decimal(batch, port);
    }
    batch.extend_from_slice(b" - \"");
    batch.extend_from_slice(colours.request_line);
    push_quoted(batch, method.as_bytes(), &PRINTABLE);
    batch.push(b' ');
    push_quoted(batch, path, &UNRESERVED);
    if !query.is_empty() {
        batch.push(b'?');
        push_quoted(batch, query, &PRINTABLE);
    }
    batch.extend_from_slice(b" HTTP/");
    batch.extend_from_slice(version.as_bytes());
    batch.extend_from_slice(colours.reset);
    batch.extend_from_slice(b"\" ");
    push_status(batch, status, colours);
    batch.push(b'\n');
}

/// Puts a line that tells of dropped ones at the end of `batch`.
pub(super) fn push_notice(batch: &mut Vec<u8>, dropped: u64, colours: &Colours) {
    batch.extend_from_slice(colours.warning);
    push_decimal(batch, dropped);
    batch.extend_from_slice(b" access log lines dropped, the log could not keep up\n");
}

/// Code and phrase; an unknown code ends in a space.
fn push_status(batch: &mut Vec<u8>, status: u16, colours: &Colours) {
    let colour = colours.status_classes.get(usize::from(status / 100)).copied().unwrap_or_default();
    batch.extend_from_slice(colour);
    push_decimal(batch, u64::from(status));
    batch.push(b' ');
    batch.extend_from_slice(phrase(status).as_bytes());
    if !colour.is_empty() {
        batch.extend_from_slice(colours.reset);
    }
}

/// Bytes that stay as they are, by their value.
type ByteSet = [bool; 256];

/// What `urllib.parse.quote` leaves alone: RFC 3986 §2.3 "unreserved", and "/".
const UNRESERVED: ByteSet = byte_set(b"_.-~/", false);
/// Printable ASCII with the space.
const PRINTABLE: ByteSet = byte_set(b"", true);

/// `extra`, and the letters and digits or all that can be printed.
const fn byte_set(extra: &[u8], has_all_printable: bool) -> ByteSet {
    let mut set = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        set[byte as usize] = has_all_printable || byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < extra.len() {
        set[extra[index] as usize] = true;
        index += 1;
    }
    set
}

/// Puts `text` at the end of `batch`, with %XX for bytes that are not `plain`.
fn push_quoted(batch: &mut Vec<u8>, mut text: &[u8], plain: &ByteSet) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    while let Some(index) = text.iter().position(|byte| !plain[usize::from(*byte)]) {
        let byte = text[index];
        batch.extend_from_slice(&text[..index]);
        batch.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        text = &text[index + 1..];
    }
    batch.extend_from_slice(text);
}

fn push_decimal(batch: &mut Vec<u8>, mut number: u64) {
    // The longest u64 has 20 digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789"[(number % 10) as usize];
        number /= 10;
        if number == 0 {
            break;
        }
    }
    batch.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: AccessRecord<'_> = AccessRecord {
        client: Some(("127.0.0.1", 50_000)),
        method: "GET",
        path: b"/a",
        query: b"b=1",
        version: "1.1",
        status: 200,
    };

    fn line(record: &AccessRecord<'_>, colours: &Colours) -> String {
        let mut batch = Vec::new();
        push_line(&mut batch, record, colours);
        String::from_utf8(batch).expect("a line is ASCII")
    }

    fn quoted(path: &[u8], query: &[u8]) -> String {
        let line = line(&AccessRecord { path, query, ..RECORD }, &PLAIN);
        line.split(' ').nth(8).unwrap_or_default().to_owned()
    }

    #[test]
    fn a_line_is_uvicorns() {
        for (record, expected) in [
            (RECORD, "INFO:     127.0.0.1:50000 - \"GET /a?b=1 HTTP/1.1\" 200 OK\n"),
            (
                AccessRecord { client: None, query: b"", status: 404, ..RECORD },
                "INFO:      - \"GET /a HTTP/1.1\" 404 Not Found\n",
            ),
            (
                AccessRecord {
                    client: Some(("::1", 0)),
                    method: "POST",
                    version: "1.0",
                    status: 599,
                    ..RECORD
                },
                "INFO:     ::1:0 - \"POST /a?b=1 HTTP/1.0\" 599 \n",
            ),
            (
                AccessRecord { client: Some(("proxy", u64::MAX)), status: 1000, ..RECORD },
                "INFO:     proxy:18446744073709551615 - \"GET /a?b=1 HTTP/1.1\" 1000 \n",
            ),
        ] {
            assert_eq!(line(&record, &PLAIN), expected);
        }
    }

    #[test]
    fn colours_are_uvicorns() {
        let start = "\x1b[32mINFO\x1b[0m:     127.0.0.1:50000 - \"\x1b[1mGET /a?b=1 HTTP/1.1\x1b[0m\" ";
        for (status, expected) in [
            (101, "\x1b[97m101 Switching Protocols\x1b[0m\n"),
            (200, "\x1b[32m200 OK\x1b[0m\n"),
            (304, "\x1b[33m304 Not Modified\x1b[0m\n"),
            (404, "\x1b[31m404 Not Found\x1b[0m\n"),
            (500, "\x1b[91m500 Internal Server Error\x1b[0m\n"),
            (599, "\x1b[91m599 \x1b[0m\n"),
            (999, "999 \n"),
            (42, "42 \n"),
        ] {
            let expected = format!("{start}{expected}");
            assert_eq!(line(&AccessRecord { status, ..RECORD }, &COLOURED), expected);
        }
        let mut notice = Vec::new();
        push_notice(&mut notice, 7, &COLOURED);
        let expected = "\x1b[33mWARNING\x1b[0m:  7 access log lines dropped, the log could not keep up\n";
        assert_eq!(notice, expected.as_bytes());
    }

    #[test]
    fn paths_are_quoted_as_by_urllib() {
        assert_eq!(quoted(b"/A-z_0.9~/", b""), "/A-z_0.9~/");
        assert_eq!(quoted("/é ☃".as_bytes(), b""), "/%C3%A9%20%E2%98%83");
        assert_eq!(quoted(b"/%2f?#&=+\"\r\n\x7f", b""), "/%252f%3F%23%26%3D%2B%22%0D%0A%7F");
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(quoted(&all, b"").len(), 256 + 2 * (256 - 26 - 26 - 10 - 5));
    }

    #[test]
    fn nothing_can_forge_a_line() {
        assert_eq!(quoted(b"/", b"a=\"b\"&c=%0a"), "/?a=\"b\"&c=%0a");
        assert_eq!(quoted(b"/", b"a\r\nINFO:\t\x1b[0m\xe9\x7f"), "/?a%0D%0AINFO:%09%1B[0m%E9%7F");
        let record = AccessRecord { client: Some(("caf\u{e9}\u{9b}\n", 1)), method: "G\nT", ..RECORD };
        let expected = "INFO:     caf%C3%A9%C2%9B%0A:1 - \"G%0AT /a?b=1 HTTP/1.1\" 200 OK\n";
        assert_eq!(line(&record, &PLAIN), expected);
    }
}
