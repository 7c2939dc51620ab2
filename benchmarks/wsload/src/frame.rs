//! Frames: the one that is sent, and the heads of those that come (RFC 6455 §5.2).

use std::io;

use flate2::{Compress, Compression, FlushCompress};

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
/// The four bytes that end a deflated message and are left out on the wire (RFC 7692 §7.2.1).
pub const DEFLATE_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Lengths that say that the length follows, in two bytes or in eight.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;
const FIN: u8 = 0x80;
const DEFLATED: u8 = 0x40;
const MASKED: u8 = 0x80;
/// A mask must be there; that it is unpredictable matters to browsers only.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The head of a frame that a server sent.
pub struct Head {
    pub opcode: u8,
    pub is_final: bool,
    pub is_deflated: bool,
    /// Bytes before the payload.
    pub bytes: usize,
    pub payload: usize,
}

impl Head {
    /// Parses the head at the front of `data`; `None` if it is not whole.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let &[first, second, ref rest @ ..] = data else { return None };
        let (bytes, payload) = match second & !MASKED {
            LENGTH_16 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
            LENGTH_64 => {
                (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap_or(usize::MAX))
            }
            short => (2, usize::from(short)),
        };
        let (is_final, is_deflated) = (first & FIN != 0, first & DEFLATED != 0);
        Some(Self { opcode: first & 0x0f, is_final, is_deflated, bytes, payload })
    }
}

/// Builds a whole masked frame.
pub fn build(opcode: u8, is_deflated: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![FIN | if is_deflated { DEFLATED } else { 0 } | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(MASKED | u8::try_from(short).unwrap_or_default()),
        medium @ 126..=0xffff => {
            frame.push(MASKED | LENGTH_16);
            frame.extend(u16::try_from(medium).unwrap_or_default().to_be_bytes());
        }
        long => {
            frame.push(MASKED | LENGTH_64);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Deflates a message with a fresh window: a peer that keeps its window can still inflate it, any number of times.
pub fn deflate(message: &[u8]) -> io::Result<Vec<u8>> {
    let mut deflated = Vec::with_capacity(message.len() + 64);
    Compress::new(Compression::default(), false)
        .compress_vec(message, &mut deflated, FlushCompress::Sync)
        .map_err(io::Error::other)?;
    if !deflated.ends_with(&DEFLATE_TAIL) {
        return Err(io::Error::other("the message does not fit its buffer"));
    }
    deflated.truncate(deflated.len() - DEFLATE_TAIL.len());
    Ok(deflated)
}
