//! A message of the peer while it arrives, frame by frame and piece by piece.
//!
//! It grows with what has arrived, never with what is declared, and text is judged at once: the first byte
//! that cannot be UTF-8 ends the connection, wherever frames and packets are cut (RFC 6455 §8.1).

use super::deflate::Inflater;
use super::frame::{Opcode, unmask};
use super::{Message, Violation, growth};

/// A message that is not complete.
#[derive(Debug)]
pub(super) struct Assembly {
    is_text: bool,
    /// What arrives is compressed. `content` is not.
    pub(super) is_compressed: bool,
    content: Vec<u8>,
    /// Payload that has been declared, in bytes.
    declared: u64,
    /// Of a text, how much is known to be UTF-8. What follows is the start of a character.
    checked: usize,
    /// The longest message that is taken, in bytes.
    limit: usize,
}

/// Compressed bytes that are unmasked at once (arbitrary: they stay in the first cache).
const INFLATE_BYTES: usize = 2 * 1024;

/// A piece of a frame's payload.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) masked: &'a [u8],
    pub(super) mask: [u8; 4],
    /// How many more bytes of the message are declared; `None` when more frames may follow.
    pub(super) outstanding: Option<u64>,
}

impl Assembly {
    pub(super) fn new(opcode: Opcode, is_compressed: bool, limit: usize) -> Self {
        let is_text = opcode == Opcode::Text;
        Self { is_text, is_compressed, content: Vec::new(), declared: 0, checked: 0, limit }
    }

    /// A frame goes on with so many bytes.
    pub(super) fn declare(&mut self, length: u64) -> Result<(), Violation> {
        self.declared = self.declared.saturating_add(length);
        // What cannot be compressed becomes longer, by five bytes for each 16 KiB or so.
        let overhead = if self.is_compressed { self.limit / 256 + 64 } else { 0 };
        if self.declared > self.limit.saturating_add(overhead) as u64 {
            Err(Violation::TOO_BIG)
        } else {
            Ok(())
        }
    }

    /// Take plain content; gives the mask for what follows.
    pub(super) fn append(&mut self, piece: &Piece<'_>) -> Result<[u8; 4], Violation> {
        let (start, added) = (self.content.len(), piece.masked.len());
        let declared = piece.outstanding.and_then(|bytes| usize::try_from(bytes).ok());
        let most = declared.map_or(self.limit, |bytes| self.limit.min((start + added).saturating_add(bytes)));
        growth::reserve(&mut self.content, added, most);
        self.content.extend_from_slice(piece.masked);
        let next = unmask(&mut self.content[start..], piece.mask);
        // What arrives whole is checked once, when it becomes a string.
        let is_whole = start == 0 && piece.outstanding == Some(0);
        if !is_whole {
            self.check()?;
        }
        Ok(next)
    }

    /// Take compressed content; gives the mask for what follows.
    pub(super) fn inflate(
        &mut self,
        piece: &Piece<'_>,
        inflater: &mut Inflater,
    ) -> Result<[u8; 4], Violation> {
        let mut mask = piece.mask;
        let mut buffer = [0; INFLATE_BYTES];
        for part in piece.masked.chunks(INFLATE_BYTES) {
            let plain = &mut buffer[..part.len()];
            plain.copy_from_slice(part);
            mask = unmask(plain, mask);
            inflater.inflate(plain, &mut self.content, self.limit)?;
            self.check()?;
        }
        if piece.outstanding == Some(0) {
            inflater.finish(&mut self.content, self.limit)?;
        }
        Ok(mask)
    }

    /// Whether the content so far can be what it claims to be.
    fn check(&mut self) -> Result<(), Violation> {
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
