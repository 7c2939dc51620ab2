//! A chunked body: the decoder agrees with a slow one that is written from the grammar of RFC 9112 §7.1,
//! wherever the bytes are cut.
#![no_main]

use bicorn_http::PeerError;
use bicorn_http::http1::chunked::{Decoder, Piece};
use libfuzzer_sys::fuzz_target;

/// Within this, none of the decoder's limits can be reached, which the slow one does not have.
const UNLIMITED_BYTES: usize = 8 * 1024;

/// What became of an input: its content, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    content: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Complete after so many bytes.
    Complete(usize),
    Incomplete,
    Refused,
}

fuzz_target!(|input: &[u8]| {
    let whole = decode([input]);
    if input.len() <= UNLIMITED_BYTES {
        assert_eq!(whole, decode_slowly(input));
    }
    assert!(whole.content.len() <= input.len());
    assert_eq!(decode(input.chunks(1)), whole);
    assert_eq!(decode(Pieces::of(input)), whole);
});

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::default();
    let (mut content, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = piece;
        loop {
            match decoder.decode(&mut rest) {
                Ok(Piece::Data(data)) => {
                    assert!(!data.is_empty());
                    content.extend_from_slice(data);
                }
                Ok(Piece::End) => {
                    // What follows is another message's.
                    let mut next = &b"5\r\n"[..];
                    assert!(matches!(decoder.decode(&mut next), Ok(Piece::End)) && next.len() == 3);
                    return Outcome { content, end: End::Complete(taken + piece.len() - rest.len()) };
                }
                Ok(Piece::NeedMore) => {
                    assert!(rest.is_empty());
                    break;
                }
                Err(error) => {
                    assert!(matches!(error, PeerError::Chunk | PeerError::Field | PeerError::HeadTooLarge));
                    return Outcome { content, end: End::Refused };
                }
            }
        }
        taken += piece.len();
    }
    Outcome { content, end: End::Incomplete }
}

/// Pieces of sizes that the input itself decides.
struct Pieces<'a> {
    rest: &'a [u8],
    state: u32,
}

impl<'a> Pieces<'a> {
    fn of(input: &'a [u8]) -> Self {
        let state =
            input.iter().fold(1, |state: u32, byte| state.wrapping_mul(31).wrapping_add(u32::from(*byte)));
        Self { rest: input, state }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = ((self.state >> 24) as usize % 9 + 1).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(size);
        self.rest = rest;
        Some(piece)
    }
}

/// Why the slow decoder went no further.
enum Stop {
    Incomplete,
    Refused,
}

/// Reads by the grammar: a function for each rule, which takes what it describes off the front.
struct Slow<'a> {
    rest: &'a [u8],
    content: Vec<u8>,
}

fn decode_slowly(input: &[u8]) -> Outcome {
    let mut slow = Slow { rest: input, content: Vec::new() };
    let end = match slow.chunked_body() {
        Ok(()) => End::Complete(input.len() - slow.rest.len()),
        Err(Stop::Incomplete) => End::Incomplete,
        Err(Stop::Refused) => End::Refused,
    };
    Outcome { content: slow.content, end }
}

impl Slow<'_> {
    /// `chunked-body = *chunk last-chunk trailer-section CRLF`
    fn chunked_body(&mut self) -> Result<(), Stop> {
        loop {
            let size = self.chunk_size()?;
            self.chunk_extensions()?;
            self.line_end()?;
            if size == 0 {
                return self.trailers();
            }
            for _ in 0..size {
                let byte = self.take(|_| true)?;
                self.content.push(byte);
            }
            self.line_end()?;
        }
    }

    /// `chunk-size = 1*HEXDIG`, within 64 bits.
    fn chunk_size(&mut self) -> Result<u128, Stop> {
        let mut size: u128 = 0;
        let mut count = 0;
        while count == 0 || self.peek()?.is_ascii_hexdigit() {
            let digit = self.take(|byte| byte.is_ascii_hexdigit())?;
            size = size * 16 + u128::from(char::from(digit).to_digit(16).unwrap_or(0));
            if size > u128::from(u64::MAX) {
                return Err(Stop::Refused);
            }
            count += 1;
        }
        Ok(size)
    }

    /// `chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] )`, without bad white space.
    fn chunk_extensions(&mut self) -> Result<(), Stop> {
        while self.peek()? == b';' {
            self.take(|_| true)?;
            self.token()?;
            if self.peek()? == b'=' {
                self.take(|_| true)?;
                if self.peek()? == b'"' { self.quoted_string()? } else { self.token()? }
            }
        }
        Ok(())
    }

    fn token(&mut self) -> Result<(), Stop> {
        self.take(is_token)?;
        while is_token(self.peek()?) {
            self.take(is_token)?;
        }
        Ok(())
    }

    fn quoted_string(&mut self) -> Result<(), Stop> {
        self.take(|byte| byte == b'"')?;
        loop {
            match self.take(is_text)? {
                b'"' => return Ok(()),
                b'\\' => _ = self.take(is_text)?,
                _ => {}
            }
        }
    }

    /// `trailer-section CRLF`
    fn trailers(&mut self) -> Result<(), Stop> {
        while self.peek()? != b'\r' {
            self.token()?;
            self.take(|byte| byte == b':')?;
            while self.peek()? != b'\r' {
                self.take(is_text)?;
            }
            self.line_end()?;
        }
        self.line_end()
    }

    fn line_end(&mut self) -> Result<(), Stop> {
        self.take(|byte| byte == b'\r')?;
        self.take(|byte| byte == b'\n')?;
        Ok(())
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.rest.first().copied().ok_or(Stop::Incomplete)
    }

    fn take(&mut self, is_allowed: impl Fn(u8) -> bool) -> Result<u8, Stop> {
        let byte = self.peek()?;
        if !is_allowed(byte) {
            return Err(Stop::Refused);
        }
        self.rest = &self.rest[1..];
        Ok(byte)
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `HTAB / SP / VCHAR / obs-text` (RFC 9110 §5.5)
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
