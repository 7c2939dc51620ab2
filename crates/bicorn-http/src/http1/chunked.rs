//! The chunked transfer coding, received (RFC 9112 §7.1).
//!
//! ```text
//!   Size ──▶ [Extension] ──▶ SizeLineFeed ──▶ Data ──▶ DataReturn ──▶ DataLineFeed ──▶ Size
//!                                 │ size 0
//!                                 ▼
//!                            TrailerStart ──▶ TrailerName ──▶ TrailerValue ──▶ TrailerLineFeed ─┐
//!                                 ▲ │ CR                                                        │
//!                                 │ └──▶ EndLineFeed ──▶ Ended                                  │
//!                                 └─────────────────────────────────────────────────────────────┘
//! ```
//! Exactly the grammar and nothing else: no white space around sizes, no sign, no `0x`, no bare LF, because
//! each of them has been a way to smuggle a request. Extensions and trailers are checked and dropped.

use crate::error::PeerError;
use crate::headers::is_token_byte;

/// Bytes of size lines and extensions that may come in excess of 16 a chunk and twice the content, so that
/// a peer cannot make one byte of content cost hundreds (as Go's net/http bounds it).
const OVERHEAD_BYTES: u64 = 16 * 1024;
/// Bytes of all trailer lines (arbitrary: a fraction of the head's limit).
const TRAILER_BYTES: usize = 8 * 1024;

/// What the decoder found at the start of its input.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Content.
    Data(&'a [u8]),
    /// The body is complete.
    End,
    /// The input is used up.
    NeedMore,
}

/// Decodes one chunked body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// See [`OVERHEAD_BYTES`].
    overhead: u64,
    trailer_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64, part: Extension },
    SizeLineFeed { size: u64 },
    Data { remaining: u64 },
    DataReturn,
    DataLineFeed,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    EndLineFeed,
    Ended,
}

/// Where in `*( ";" token [ "=" ( token / quoted-string ) ] )` a chunk extension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    NameStart,
    Name,
    ValueStart,
    Value,
    Quoted,
    QuotedPair,
    AfterQuoted,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { state: State::Size { size: 0, digits: 0 }, overhead: 0, trailer_bytes: 0 }
    }
}

impl Decoder {
    /// Take the next piece from the front of `input`.
    ///
    /// # Errors
    /// The bytes are outside the grammar, or size lines and trailers take too much room.
    pub fn decode<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, PeerError> {
        loop {
            if let State::Data { remaining } = self.state {
                return Ok(self.take_data(input, remaining));
            }
            if self.state == State::Ended {
                return Ok(Piece::End);
            }
            let Some((&byte, rest)) = input.split_first() else { return Ok(Piece::NeedMore) };
            *input = rest;
            self.state = self.step(byte)?;
        }
    }

    fn take_data<'a>(&mut self, input: &mut &'a [u8], remaining: u64) -> Piece<'a> {
        if input.is_empty() {
            return Piece::NeedMore;
        }
        let take = usize::try_from(remaining).unwrap_or(usize::MAX).min(input.len());
        let (data, rest) = input.split_at(take);
        *input = rest;
        let taken = take as u64;
        self.overhead = self.overhead.saturating_sub(taken.saturating_mul(2));
        self.state = match remaining - taken {
            0 => State::DataReturn,
            remaining => State::Data { remaining },
        };
        Piece::Data(data)
    }

    fn step(&mut self, byte: u8) -> Result<State, PeerError> {
        let next = match (self.state, byte) {
            (State::Size { size, digits }, _) => return self.size(size, digits, byte),
            (State::Extension { size, part }, _) => {
                self.count_overhead()?;
                return extension(size, part, byte);
            }
            (State::SizeLineFeed { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLineFeed { size }, b'\n') => {
                self.overhead = self.overhead.saturating_sub(16);
                State::Data { remaining: size }
            }
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::Size { size: 0, digits: 0 },
            (State::EndLineFeed, b'\n') => State::Ended,
            (State::TrailerStart, b'\r') => State::EndLineFeed,
            (State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLineFeed, _) => {
                return self.trailer(byte);
            }
            _ => return Err(PeerError::Chunk),
        };
        Ok(next)
    }

    fn size(&mut self, size: u64, digits: u8, byte: u8) -> Result<State, PeerError> {
        self.count_overhead()?;
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if digits > 0 => return Ok(State::SizeLineFeed { size }),
            b';' if digits > 0 => return Ok(State::Extension { size, part: Extension::NameStart }),
            _ => return Err(PeerError::Chunk),
        };
        let size = size.checked_mul(16).ok_or(PeerError::Chunk)? + u64::from(digit);
        Ok(State::Size { size, digits: digits.saturating_add(1) })
    }

    fn count_overhead(&mut self) -> Result<(), PeerError> {
        self.overhead += 1;
        if self.overhead > OVERHEAD_BYTES { Err(PeerError::Chunk) } else { Ok(()) }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, PeerError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES {
            return Err(PeerError::HeadTooLarge);
        }
        match (self.state, byte) {
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLineFeed),
            (State::TrailerName, b':') | (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                Ok(State::TrailerValue)
            }
            (State::TrailerLineFeed, b'\n') => Ok(State::TrailerStart),
            _ => Err(PeerError::Field),
        }
    }
}

fn extension(size: u64, part: Extension, byte: u8) -> Result<State, PeerError> {
    let part = match (part, byte) {
        (Extension::Name | Extension::Value | Extension::AfterQuoted, b'\r') => {
            return Ok(State::SizeLineFeed { size });
        }
        (Extension::Name | Extension::Value | Extension::AfterQuoted, b';') => Extension::NameStart,
        (Extension::NameStart | Extension::Name, _) if is_token_byte(byte) => Extension::Name,
        (Extension::Name, b'=') => Extension::ValueStart,
        (Extension::ValueStart, b'"') => Extension::Quoted,
        (Extension::ValueStart | Extension::Value, _) if is_token_byte(byte) => Extension::Value,
        (Extension::Quoted, b'"') => Extension::AfterQuoted,
        (Extension::Quoted, b'\\') => Extension::QuotedPair,
        (Extension::Quoted | Extension::QuotedPair, b'\t' | b' '..=b'~' | 0x80..) => Extension::Quoted,
        _ => return Err(PeerError::Chunk),
    };
    Ok(State::Extension { size, part })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, bool, usize), PeerError> {
        let mut decoder = Decoder::default();
        let (mut body, mut consumed) = (Vec::new(), 0);
        for piece in input.chunks(step) {
            let mut rest = piece;
            loop {
                match decoder.decode(&mut rest)? {
                    Piece::Data(data) => body.extend_from_slice(data),
                    Piece::End => return Ok((body, true, consumed + piece.len() - rest.len())),
                    Piece::NeedMore => break,
                }
            }
            consumed += piece.len();
        }
        Ok((body, false, consumed))
    }

    #[test]
    fn every_split_decodes_the_same() {
        let input = b"5;a=b;c=\"d;\\\"e\"\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\ny:\r\n\r\nGET";
        for step in 1..=input.len() {
            let (body, complete, consumed) = decode(input, step).unwrap();
            assert_eq!(body, b"hello0123456789", "step {step}");
            assert!(complete);
            assert_eq!(consumed, input.len() - 3);
        }
    }

    #[test]
    fn what_smuggles_is_refused() {
        let bad: [&[u8]; 22] = [
            b"\r\n",
            b"g\r\n",
            b" 5\r\n",
            b"5 \r\n",
            b"+5\r\n",
            b"-1\r\n",
            b"0x5\r\n",
            b"1_0\r\n",
            b"5\n",
            b"5\rhello",
            b"5;\r\n",
            b"5;\n",
            b"5;a\rX\r\n",
            b"5;\0ext\r\n",
            b"5;bad[=x\r\n",
            b"5;a=\r\n",
            b"5\r\nhello0\r\n",
            b"5\r\nhello!!\r\n",
            b"5\r\nhello\n0",
            b"FFFFFFFFFFFFFFFF0\r\n",
            b"0\r\n\n",
            b"0\r\n bad: 1\r\n\r\n",
        ];
        for input in bad {
            for step in [1, input.len()] {
                assert!(decode(input, step).is_err(), "{:?}", input.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn overhead_and_trailers_are_bounded() {
        let mut long = b"5;ext=".to_vec();
        long.extend(std::iter::repeat_n(b'a', 64 * 1024));
        assert_eq!(decode(&long, 1024), Err(PeerError::Chunk));
        let tiny = b"1;abcdefghijklmnopqrstuvwxyz\r\nx\r\n".repeat(4_000);
        assert_eq!(decode(&tiny, 4096), Err(PeerError::Chunk));
        let fair =
            b"40;signature=0123456789abcdef0123456789abcdef\r\n".iter().chain(&[b'x'; 64]).chain(b"\r\n");
        let fair = fair.copied().collect::<Vec<_>>().repeat(2_000);
        assert_eq!(decode(&fair, 4096).unwrap().0.len(), 128_000);
        let trailers = [b"0\r\n".to_vec(), b"a: b\r\n".repeat(4_000)].concat();
        assert_eq!(decode(&trailers, 4096), Err(PeerError::HeadTooLarge));
    }
}
