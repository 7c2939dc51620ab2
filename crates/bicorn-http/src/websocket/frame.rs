//! Frame headers (RFC 6455 §5.2), and the mask (§5.3).
//!
//! A header is judged by the bytes that are there: what is wrong is an error as soon as its byte is in, and a
//! length is only a number here.

use super::Violation;

/// The longest payload of a control frame (RFC 6455 §5.5).
pub(super) const CONTROL_BYTES: usize = 125;

/// The longest header: two bytes, a length of eight, a mask of four.
pub(super) const MAX_HEADER_BYTES: usize = 14;

/// What a frame is (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte & 0x0f {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    /// The last frame of its message.
    pub(super) is_last: bool,
    /// The message is compressed (RFC 7692 §6).
    pub(super) is_compressed: bool,
    /// What the peer says that the payload is long.
    pub(super) length: u64,
    pub(super) mask: [u8; 4],
}

/// What may come next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// A message has begun and is not complete.
    pub(super) continuation: bool,
    /// permessage-deflate is agreed to.
    pub(super) compression: bool,
}

/// Read the header at the start of `bytes`, and how long it is; `None` when more bytes are needed.
pub(super) fn parse(bytes: &[u8], expected: Expected) -> Result<Option<(Header, usize)>, Violation> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let (opcode, is_compressed) = parse_first(*first, expected)?;
    let is_last = first & FIN != 0;
    let Some(second) = bytes.get(1) else { return Ok(None) };
    if second & MASKED == 0 {
        return Err(Violation::protocol("frame is not masked"));
    }
    let short = second & !MASKED;
    if opcode.is_control() && usize::from(short) > CONTROL_BYTES {
        return Err(Violation::protocol("control frame too long"));
    }
    let (length, start) = match short {
        126 => match bytes[2..].first_chunk() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 4),
            None => return Ok(None),
        },
        127 if bytes.get(2).is_some_and(|byte| byte & 0x80 != 0) => {
            return Err(Violation::protocol("frame length out of range"));
        }
        127 => match bytes[2..].first_chunk() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    // RFC 6455 §5.2: the minimal number of bytes must be used.
    if (short == 126 && length < 126) || (short == 127 && length <= 0xffff) {
        return Err(Violation::protocol("frame length is not minimal"));
    }
    let Some(mask) = bytes[start..].first_chunk() else { return Ok(None) };
    let header = Header { opcode, is_last, is_compressed, length, mask: *mask };
    Ok(Some((header, start + mask.len())))
}

fn parse_first(first: u8, expected: Expected) -> Result<(Opcode, bool), Violation> {
    let opcode = Opcode::of(first).ok_or(Violation::protocol("reserved opcode"))?;
    let is_compressed = first & RSV1 != 0;
    // RFC 7692 §6.1: only the first frame of a message says that it is compressed.
    let may_be_compressed = expected.compression && matches!(opcode, Opcode::Text | Opcode::Binary);
    if first & (RSV2 | RSV3) != 0 || (is_compressed && !may_be_compressed) {
        return Err(Violation::protocol("reserved bit is set"));
    }
    match opcode {
        Opcode::Continuation if !expected.continuation => {
            Err(Violation::protocol("continuation without a message"))
        }
        Opcode::Text | Opcode::Binary if expected.continuation => {
            Err(Violation::protocol("message within a message"))
        }
        control if control.is_control() && first & FIN == 0 => {
            Err(Violation::protocol("fragmented control frame"))
        }
        _ => Ok((opcode, is_compressed)),
    }
}

/// Write the header of an unfragmented, unmasked frame (RFC 6455 §5.1: a server masks nothing), and say how
/// long it is.
pub(super) fn write(
    opcode: Opcode,
    is_compressed: bool,
    length: usize,
    header: &mut [u8; MAX_HEADER_BYTES],
) -> usize {
    header[0] = FIN | if is_compressed { RSV1 } else { 0 } | opcode as u8;
    if let Ok(short) = u8::try_from(length)
        && usize::from(short) <= CONTROL_BYTES
    {
        header[1] = short;
        2
    } else if let Ok(medium) = u16::try_from(length) {
        header[1] = 126;
        header[2..4].copy_from_slice(&medium.to_be_bytes());
        4
    } else {
        header[1] = 127;
        header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        10
    }
}

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const MASKED: u8 = 0x80;

/// Take the mask off a piece of payload; gives the mask for the next piece.
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4]) -> [u8; 4] {
    let [first, second, third, fourth] = mask;
    let wide = u64::from_ne_bytes([first, second, third, fourth, first, second, third, fourth]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    let mut next = mask;
    next.rotate_left(rest.len() % mask.len());
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmasking_goes_on_where_the_last_piece_ended() {
        let mask = [1, 2, 4, 8];
        let payload: Vec<u8> = (0..100).collect();
        let expected: Vec<u8> =
            payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        for first in 0..payload.len() {
            let mut unmasked = payload.clone();
            let (front, back) = unmasked.split_at_mut(first);
            let next = unmask(front, mask);
            unmask(back, next);
            assert_eq!(unmasked, expected, "cut at {first}");
        }
    }
}
