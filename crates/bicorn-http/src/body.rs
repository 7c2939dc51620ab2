//! Response content on its way from the application's thread to the wire.
//!
//! Small pieces are copied, and pieces that one exchange sends in a row gather in one buffer, so that a
//! streamed response costs no message per piece. Large pieces stay where they are and are only borrowed:
//! copying 1 MiB costs more than the whole rest of a request. Files are not even read.

use bytes::Bytes;

use crate::file::FileRange;

/// A piece at least this long is borrowed instead of copied (arbitrary, near the cost of one reference
/// count and one `iovec` compared with a copy; not measured).
pub const BORROW_BYTES: usize = 16 * 1024;

/// What a file counts in flow control. It occupies a descriptor instead of memory, and an application that sends
/// many must wait too: at this price at most 8 of one exchange are open.
pub const FILE_BYTES: usize = 16 * 1024;

/// Content, in the pieces in which the application sent it.
#[derive(Debug, Default)]
pub enum ResponseBody {
    /// No content.
    #[default]
    Empty,
    /// Pieces that were copied, one behind the other.
    Copied {
        /// The bytes of all pieces.
        bytes: Vec<u8>,
        /// Where each piece but the last ends.
        breaks: Vec<u32>,
    },
    /// One large piece, not copied.
    Shared(Bytes),
    /// One piece that is read when the socket takes it.
    File(FileRange),
}

impl ResponseBody {
    /// Content of one piece that is copied; empty content for an empty piece.
    pub fn copied(piece: &[u8]) -> Self {
        if piece.is_empty() {
            Self::Empty
        } else {
            Self::Copied { bytes: piece.to_vec(), breaks: Vec::new() }
        }
    }

    /// Length in bytes; 64 bits of them everywhere, as files have.
    pub fn len(&self) -> u64 {
        match self {
            Self::File(range) => range.length,
            body => body.bytes().len() as u64,
        }
    }

    /// The bytes that are in memory: none of a file's.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Empty | Self::File(_) => &[],
            Self::Copied { bytes, .. } => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the content occupies until the socket has taken it: its length in memory, and what tells pieces
    /// apart here and on the wire. This is what flow control counts, or a response in one-byte pieces could take
    /// twenty times its length.
    pub fn cost(&self) -> usize {
        let pieces = match self {
            Self::Copied { breaks, .. } => breaks.len() + 1,
            Self::Empty | Self::Shared(_) | Self::File(_) => usize::from(!self.is_empty()),
        };
        let held = if matches!(self, Self::File(_)) { FILE_BYTES } else { self.bytes().len() };
        held + pieces * PIECE_BYTES
    }

    /// The pieces that are in memory, as slices.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.bytes();
        let breaks: &[u32] = if let Self::Copied { breaks, .. } = self { breaks } else { &[] };
        let breaks = breaks.iter().map(|position| *position as usize);
        let starts = std::iter::once(0).chain(breaks.clone());
        let ends = breaks.chain(std::iter::once(bytes.len()));
        starts.zip(ends).map(move |(start, end)| &bytes[start..end]).filter(|piece| !piece.is_empty())
    }

    /// Take `next` in, if both are copies and stay small together; else give it back.
    pub(crate) fn append(&mut self, next: Self) -> Result<(), Self> {
        match (&mut *self, next) {
            (_, Self::Empty) => Ok(()),
            (Self::Empty, next) => {
                *self = next;
                Ok(())
            }
            (Self::Copied { bytes, breaks }, Self::Copied { bytes: more, breaks: more_breaks })
                if bytes.len() + more.len() <= GATHER_BYTES =>
            {
                // Both are at most GATHER_BYTES long.
                let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                breaks.push(offset);
                breaks.extend(more_breaks.iter().map(|position| position + offset));
                bytes.extend_from_slice(&more);
                Ok(())
            }
            (_, next) => Err(next),
        }
    }
}

/// What a piece costs besides its bytes: a chunk's size line and line end, and a break.
const PIECE_BYTES: usize = 16;

/// Pieces are not gathered beyond this (arbitrary: half of what makes an application wait, so that the I/O
/// thread can write one half while the other is made).
pub const GATHER_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_survive_gathering() {
        let mut body = ResponseBody::copied(b"one");
        body.append(ResponseBody::copied(b"three")).unwrap();
        body.append(ResponseBody::Empty).unwrap();
        body.append(ResponseBody::copied(b"x")).unwrap();
        assert_eq!(body.pieces().collect::<Vec<_>>(), [&b"one"[..], b"three", b"x"]);
        assert_eq!(body.len(), 9);
    }

    #[test]
    fn large_pieces_are_not_gathered() {
        let mut body = ResponseBody::copied(b"one");
        assert!(body.append(ResponseBody::Shared(Bytes::from_static(b"two"))).is_err());
        assert!(body.append(ResponseBody::copied(&vec![0; GATHER_BYTES])).is_err());
        assert_eq!(body.pieces().count(), 1);
    }
}
