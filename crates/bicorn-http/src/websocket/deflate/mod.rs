//! permessage-deflate (RFC 7692): what is offered, what is agreed to, and both directions of it.
//!
//! ```text
//!   handshake ──▶ Offer ──▶ Agreement ──▶ Compression { inflater, deflater }   (connection.rs)
//! ```
//! The answers are uvicorn's, so that a peer sees no difference: windows of 4 KiB, history kept between
//! messages unless the peer asks otherwise. What must not happen here: more memory than the limit of a
//! message and a window, whatever a peer sends.

mod bits;
mod block;
mod deflater;
mod huffman;
mod inflater;

use std::fmt;

use self::deflater::Deflater;
pub(super) use self::inflater::Inflater;
use super::extensions::Extension;

/// An offer of permessage-deflate that can be agreed to (RFC 7692 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Offer {
    /// The peer asks us to forget each message.
    server_no_context_takeover: bool,
    /// The peer says that it may forget each message.
    client_no_context_takeover: bool,
    /// The largest window that the peer can read with.
    server_max_window_bits: Option<u8>,
    /// The peer can be told how large its window may be. It promises no more than this by itself.
    client_max_window_bits: Option<u8>,
}

/// What both sides agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_window_bits: u8,
    /// `None` if the peer cannot be told, and uses what it likes.
    client_window_bits: Option<u8>,
}

/// Windows of 4 KiB, as uvicorn has them: 16 idle connections in the memory of one with 64 KiB.
const WINDOW_BITS: u8 = 12;

impl Offer {
    /// Read an offer; `None` if it is for another extension, or cannot be met (RFC 7692 §7.1: a parameter that
    /// is unknown, repeated, or has a value it must not have).
    pub(super) fn of(extension: &Extension<'_>) -> Option<Self> {
        if extension.name != b"permessage-deflate" {
            return None;
        }
        let mut offer = Self::default();
        for (name, value) in &extension.parameters {
            let value = value.as_deref();
            let is_repeated = match *name {
                b"server_no_context_takeover" if value.is_none() => {
                    std::mem::replace(&mut offer.server_no_context_takeover, true)
                }
                b"client_no_context_takeover" if value.is_none() => {
                    std::mem::replace(&mut offer.client_no_context_takeover, true)
                }
                b"server_max_window_bits" => {
                    offer.server_max_window_bits.replace(parse_window_bits(value?)?).is_some()
                }
                b"client_max_window_bits" => {
                    let bits = value.map_or(Some(MAX_WINDOW_BITS), parse_window_bits)?;
                    offer.client_max_window_bits.replace(bits).is_some()
                }
                _ => return None,
            };
            if is_repeated {
                return None;
            }
        }
        Some(offer)
    }

    pub(super) fn agree(self) -> Agreement {
        let limited = |bits: u8| bits.min(WINDOW_BITS);
        Agreement {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_window_bits: self.server_max_window_bits.map_or(WINDOW_BITS, limited),
            client_window_bits: self.client_max_window_bits.map(limited),
        }
    }
}

/// RFC 7692 §7.1.2: a decimal from 8 to 15 without leading zeros.
fn parse_window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// The largest window of DEFLATE, 32 KiB.
const MAX_WINDOW_BITS: u8 = 15;

impl fmt::Display for Agreement {
    /// As an element of `Sec-WebSocket-Extensions`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("permessage-deflate")?;
        if self.server_no_context_takeover {
            formatter.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            formatter.write_str("; client_no_context_takeover")?;
        }
        write!(formatter, "; server_max_window_bits={}", self.server_window_bits)?;
        match self.client_window_bits {
            Some(bits) => write!(formatter, "; client_max_window_bits={bits}"),
            None => Ok(()),
        }
    }
}

/// Both directions of a connection that agreed to compression.
#[derive(Debug)]
pub(super) struct Compression {
    agreement: Agreement,
    pub(super) inflater: Inflater,
    /// Made for the first message, and again for the first one behind [`Compression::release`]: a sender may
    /// start without history whenever it likes.
    deflater: Option<Deflater>,
}

impl Compression {
    pub(super) fn new(agreement: Agreement) -> Self {
        let window_bits = agreement.client_window_bits.unwrap_or(MAX_WINDOW_BITS);
        let inflater = Inflater::new(window_bits, !agreement.client_no_context_takeover);
        Self { agreement, inflater, deflater: None }
    }

    /// Compress a whole message.
    pub(super) fn deflate(&mut self, content: &[u8]) -> Vec<u8> {
        let bits = self.agreement.server_window_bits;
        let deflater = self.deflater.get_or_insert_with(|| Deflater::new(bits));
        let compressed = deflater.deflate(content);
        if self.agreement.server_no_context_takeover {
            self.deflater = None;
        }
        compressed
    }

    /// Give back the compressor, and of the history what the peer cannot refer to any more.
    pub(super) fn release(&mut self) {
        self.deflater = None;
        self.inflater.release();
    }
}
