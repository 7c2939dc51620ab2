//! Content of one stream that waits for the peer's credit.
//!
//! What is in memory is split without a copy. A file is read when its turn comes, and no more of it than the peer
//! has given credit for.

use std::collections::VecDeque;
use std::io;

use bicorn_http::{FileRange, ResponseBody};
use bytes::Bytes;

/// Content in the order in which it leaves.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
}

#[derive(Debug)]
struct Piece {
    content: Content,
    /// What the application has not been credited for, in bytes.
    cost: usize,
}

#[derive(Debug)]
enum Content {
    Bytes(Bytes),
    File(FileRange),
}

impl Outbox {
    /// Add content. Gives back what the application is credited for at once: all of it, if there is none.
    pub(super) fn push(&mut self, body: ResponseBody) -> usize {
        let cost = body.cost();
        let content = match body {
            ResponseBody::Empty => return cost,
            ResponseBody::Copied { bytes, .. } => Content::Bytes(Bytes::from(bytes)),
            ResponseBody::Shared(bytes) => Content::Bytes(bytes),
            ResponseBody::File(range) => Content::File(range),
        };
        if content.len() == 0 {
            return cost;
        }
        self.pieces.push_back(Piece { content, cost });
        0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Length of the first piece, up to `limit`, in bytes; `None` without one.
    pub(super) fn front_length(&self, limit: usize) -> Option<usize> {
        self.pieces.front().map(|piece| piece.content.len().min(limit))
    }

    /// Take up to `count` bytes of the first piece, and what the application is to be credited for.
    ///
    /// # Errors
    /// They are in a file that cannot be read, or has become shorter.
    pub(super) fn take(&mut self, count: usize) -> io::Result<(Bytes, usize)> {
        let Some(piece) = self.pieces.front_mut() else { return Ok((Bytes::new(), 0)) };
        let bytes = piece.content.take(count)?;
        let mut credit = bytes.len().min(piece.cost);
        piece.cost -= credit;
        if piece.content.len() == 0 {
            credit += piece.cost;
            self.pieces.pop_front();
        }
        Ok((bytes, credit))
    }
}

impl Content {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(range) => usize::try_from(range.length).unwrap_or(usize::MAX),
        }
    }

    fn take(&mut self, count: usize) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.split_to(count.min(bytes.len()))),
            Self::File(range) => {
                let mut buffer = vec![0; count];
                let read = range.read_at(&mut buffer)?;
                range.advance(read as u64);
                buffer.truncate(read);
                Ok(buffer.into())
            }
        }
    }
}
