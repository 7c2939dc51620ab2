//! Bytes that wait for the socket.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Segments that one vectored write may take (Linux allows 1,024; 16 keep the array on the stack).
pub const WRITE_SEGMENTS: usize = 16;

/// A queue of bytes to write: small ones contiguous, large ones borrowed.
#[derive(Debug, Default)]
pub struct Output {
    /// Written up to `front_offset`; the last one grows while it is `Owned`.
    segments: VecDeque<Segment>,
    /// How much of the first segment is written.
    front_offset: usize,
    /// Sum of all segments less `front_offset`.
    remaining: usize,
    /// An emptied buffer, kept for the next answer while the connection is busy.
    spare: Vec<u8>,
}

#[derive(Debug)]
enum Segment {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Segment {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A segment of this length is not made to grow: growing doubles it, and the unused half is memory too.
const SEGMENT_BYTES: usize = 32 * 1024;

/// Room for a response head in front of reserved content (arbitrary: a usual one).
const USUAL_HEAD_BYTES: usize = 512;

/// A spare buffer above this is given back to the allocator (arbitrary: a usual response head and body).
const SPARE_BYTES: usize = 4 * 1024;

impl Output {
    /// Bytes not written yet.
    pub fn len(&self) -> usize {
        self.remaining
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// Copy bytes behind what is queued.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.remaining += bytes.len();
        if let Some(Segment::Owned(last)) = self.segments.back_mut()
            && (last.len() < SEGMENT_BYTES || last.capacity() - last.len() >= bytes.len())
        {
            last.extend_from_slice(bytes);
            return;
        }
        let mut owned = std::mem::take(&mut self.spare);
        owned.extend_from_slice(bytes);
        self.segments.push_back(Segment::Owned(owned));
    }

    /// Make room for bytes that will be copied, if there are many and nothing is queued.
    pub fn reserve(&mut self, bytes: usize) {
        if self.segments.is_empty() && bytes > SPARE_BYTES {
            self.spare.reserve_exact(bytes.min(SEGMENT_BYTES) + USUAL_HEAD_BYTES);
        }
    }

    /// Queue bytes without a copy.
    pub fn share(&mut self, bytes: Bytes) {
        self.remaining += bytes.len();
        self.segments.push_back(Segment::Shared(bytes));
    }

    /// The first unwritten bytes; empty when there are none.
    pub fn front(&self) -> &[u8] {
        self.segments.front().map_or(&[], |segment| &segment.as_slice()[self.front_offset..])
    }

    /// Whether one plain write can take everything.
    pub fn is_contiguous(&self) -> bool {
        self.segments.len() <= 1
    }

    /// Fill `slices` with the first segments and return how many there are.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; WRITE_SEGMENTS]) -> usize {
        let mut count = 0;
        for (slot, segment) in slices.iter_mut().zip(&self.segments) {
            let skip = if count == 0 { self.front_offset } else { 0 };
            *slot = IoSlice::new(&segment.as_slice()[skip..]);
            count += 1;
        }
        count
    }

    /// Note that the first `written` bytes are on their way.
    pub fn advance(&mut self, written: usize) {
        self.remaining -= written;
        self.front_offset += written;
        while let Some(front) = self.segments.front() {
            let length = front.as_slice().len();
            if self.front_offset < length {
                break;
            }
            self.front_offset -= length;
            if let Some(Segment::Owned(mut buffer)) = self.segments.pop_front()
                && buffer.capacity() <= SPARE_BYTES
            {
                buffer.clear();
                self.spare = buffer;
            }
        }
    }

    /// Throw away what is not written, and every buffer.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Give back the memory kept for the next answer: for a connection that goes idle.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_across_partial_writes() {
        let mut output = Output::default();
        output.extend(b"head");
        output.share(Bytes::from_static(b"large"));
        output.extend(b"tail");
        let mut written = Vec::new();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_SEGMENTS];
            let count = output.slices(&mut slices);
            let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            let take = all.len().min(3);
            written.extend_from_slice(&all[..take]);
            output.advance(take);
        }
        assert_eq!(written, b"headlargetail");
        assert!(output.front().is_empty());
    }
}
