//! A message of the peer while it arrives, frame by frame and piece by piece.
//!
//! It grows with what has arrived, never with what is declared, and text is judged at once: the first byte
//! that cannot be UTF-8 ends the connection, wherever frames and packets are cut (RFC 6455 §8.1).

use super::frame::{Opcode, unmask};
use super::{Message, Violation};

/// A message that is not complete.
#[derive(Debug)]
pub(super) struct Assembly {
    is_text: bool,
    content: Vec<u8>,
    /// Of a text, how much is known to be UTF-8. What follows is the start of a character.
    checked: usize,
    /// The longest message that is taken, in bytes.
    limit: usize,
}

/// A piece of a frame's payload.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) masked: &'a [u8],
    pub(super) mask: [u8; 4],
    /// How many more bytes of the message are declared; `None` when more frames may follow.
    pub(super) outstanding: Option<u64>,
}

impl Assembly {
    pub(super) fn new(opcode: Opcode, limit: usize) -> Self {
        Self { is_text: opcode == Opcode::Text, content: Vec::new(), checked: 0, limit }
    }

    /// Whether a message that goes on for so many bytes is too long.
    pub(super) fn has_room_for(&self, length: u64) -> bool {
        (self.limit.saturating_sub(self.content.len()) as u64) >= length
    }

    /// Take plain content; gives the mask for what follows.
    pub(super) fn append(&mut self, piece: &Piece<'_>) -> Result<[u8; 4], Violation> {
        let (start, added) = (self.content.len(), piece.masked.len());
        self.reserve(added, piece.outstanding);
        self.content.extend_from_slice(piece.masked);
        let next = unmask(&mut self.content[start..], piece.mask);
        // What arrives whole is checked once, when it becomes a string.
        let is_whole = start == 0 && piece.outstanding == Some(0);
        if !is_whole {
            self.check()?;
        }
        Ok(next)
    }

    /// Make room for `added` bytes: exactly, where the message ends with them; else by doubling, but not
    /// beyond what is declared or allowed.
    fn reserve(&mut self, added: usize, outstanding: Option<u64>) {
        let length = self.content.len();
        if self.content.capacity() - length >= added {
            return;
        }
        let declared = outstanding.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let spare = length.min(declared).min(self.limit.saturating_sub(length + added));
        self.content.reserve_exact(added + spare);
    }

    /// Whether the content so far can be what it claims to be.
    pub(super) fn check(&mut self) -> Result<(), Violation> {
        if !self.is_text {
            return Ok(());
        }
        match str::from_utf8(&self.content[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            // No length of an error means that more bytes can make a character of the last ones.
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::NOT_UTF8),
        }
        Ok(())
    }

    /// The content is complete.
    pub(super) fn finish(self) -> Result<Message, Violation> {
        if self.is_text {
            String::from_utf8(self.content).map(Message::Text).map_err(|_| Violation::NOT_UTF8)
        } else {
            Ok(Message::Binary(self.content))
        }
    }
}
